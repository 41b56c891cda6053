/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * SASL exchanges: with GNU SASL as the client where all is well, and with
 * a client of our own where the line is tampered with (R36, R37, R38).
 */
#include "t_auth.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#define EXPORTER "0123456789abcdef0123456789abcdef"

static struct auth *db;

/* ---- GNU SASL as the client ---- */

struct person {
	const char *name, *password, *authzid, *exporter;
};

static int
client_answer(Gsasl *ctx, Gsasl_session *g, Gsasl_property p)
{
	struct person *w = gsasl_session_hook_get(g);
	struct buf b = {0};
	int rc;

	switch (p) {
	case GSASL_AUTHID:
		return gsasl_property_set(g, p, w->name);
	case GSASL_PASSWORD:
		return gsasl_property_set(g, p, w->password);
	case GSASL_AUTHZID:
		return w->authzid == NULL
			   ? GSASL_NO_CALLBACK
			   : gsasl_property_set(g, p, w->authzid);
	case GSASL_CB_TLS_EXPORTER:
		if (w->exporter == NULL)
			return GSASL_NO_CALLBACK;
		base64_put(&b, str_c(w->exporter));
		buf_c(&b, '\0');
		rc = gsasl_property_set(g, p, b.p);
		buf_free(&b);
		return rc;
	default:
		return GSASL_NO_CALLBACK;
	}
}

/* A whole exchange; the client's first message is an initial response. */
static enum sasl_result
talk(const char *mech, struct person *w, str exporter, bool *mutual)
{
	Gsasl *ctx = NULL;
	Gsasl_session *g = NULL;
	struct sasl x;
	struct buf out = {0};
	enum sasl_result r;
	char *p = NULL;
	size_t n = 0;
	int rc = GSASL_NEEDS_MORE;

	assert_int_equal(gsasl_init(&ctx), GSASL_OK);
	gsasl_callback_set(ctx, client_answer);
	assert_int_equal(gsasl_client_start(ctx, mech, &g), GSASL_OK);
	gsasl_session_hook_set(g, w);
	r = sasl_start(&x, db, str_c(mech), exporter, STR_NONE);
	for (int i = 0; i < 6 && r == SASL_CHALLENGE; i++) {
		rc = gsasl_step(g, out.n > 0 ? out.p : "", out.n, &p, &n);
		if (rc != GSASL_OK && rc != GSASL_NEEDS_MORE)
			break;
		buf_reset(&out);
		r = sasl_step(&x, str_of(p, n), &out);
		gsasl_free(p);
	}
	*mutual = false;
	if (r == SASL_OK && out.n > 0 &&
	    gsasl_step(g, out.p, out.n, &p, &n) == GSASL_OK) {
		*mutual = true;
		gsasl_free(p);
	}
	if (r == SASL_PASSWORD)
		r = x.password.n > 0 ? SASL_OK : SASL_WRONG;
	sasl_end(&x);
	gsasl_finish(g);
	gsasl_done(ctx);
	buf_free(&out);
	return r;
}

static void
test_library(void **state)
{
	static const char *const mechs[] = {"SCRAM-SHA-1", "SCRAM-SHA-1-PLUS",
	    "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"};
	bool mutual;

	for (size_t i = 0; i < NELEM(mechs); i++) {
		bool plus = strstr(mechs[i], "PLUS") != NULL;
		struct person ann = {
		    "ann", "pencil", NULL, plus ? EXPORTER : NULL};
		str exporter = plus ? S(EXPORTER) : STR_NONE;

		assert_int_equal(
		    talk(mechs[i], &ann, exporter, &mutual), SASL_OK);
		assert_true(mutual);
		ann.name = "ANN";
		assert_int_equal(
		    talk(mechs[i], &ann, exporter, &mutual), SASL_OK);
		ann.authzid = "ann";
		assert_int_equal(
		    talk(mechs[i], &ann, exporter, &mutual), SASL_OK);
		ann.authzid = "bob";
		assert_int_equal(
		    talk(mechs[i], &ann, exporter, &mutual), SASL_WRONG);
		ann.authzid = NULL;
		ann.password = "Pencil";
		assert_int_equal(
		    talk(mechs[i], &ann, exporter, &mutual), SASL_WRONG);
		/* Unknown, disabled, without keys: to the end, and wrong. */
		ann.password = "pencil";
		ann.name = "nobody";
		assert_int_equal(
		    talk(mechs[i], &ann, exporter, &mutual), SASL_WRONG);
		ann.name = "off";
		assert_int_equal(
		    talk(mechs[i], &ann, exporter, &mutual), SASL_WRONG);
		ann.name = "nokeys";
		assert_int_equal(
		    talk(mechs[i], &ann, exporter, &mutual), SASL_WRONG);
		if (!plus)
			continue;
		ann.name = "ann";
		ann.exporter = "another connection's exporter...";
		assert_int_equal(
		    talk(mechs[i], &ann, exporter, &mutual), SASL_WRONG);
		assert_int_equal(
		    talk(mechs[i], &ann, STR_NONE, &mutual), SASL_NOMECH);
	}
}

/* ---- a client of our own ---- */

static void
hmac(const char *key, size_t nkey, str s, char out[32])
{
	assert_non_null(HMAC(EVP_sha256(), key, (int)nkey, (const void *)s.p,
	    s.n, (unsigned char *)out, NULL));
}

/* What the client sends, each part replaceable. */
struct tamper {
	const char *gs2;     /* "n,," */
	const char *binding; /* what c= encodes; NULL: gs2 + exporter */
	const char *c;       /* the c= text itself */
	const char *nonce;   /* instead of the server's */
	const char *proof;   /* the p= text */
	const char *tail;    /* after the proof */
	bool plus;
	str exporter;
	enum sasl_result want;
};

static void
final_message(const struct tamper *t, str first_bare, str server_first,
    const char *password, struct buf *final)
{
	struct buf salt = {0}, bind = {0}, auth = {0};
	str rest = server_first, nonce, s, i;
	char salted[32], key[32], stored[32], sig[32], proof[32];
	uint32_t iter;

	nonce = str_from(str_cut(&rest, ','), 2);
	s = str_from(str_cut(&rest, ','), 2);
	i = str_from(rest, 2);
	assert_true(str_u32(i, &iter));
	assert_int_equal(base64_get(&salt, s), OK);
	if (t->nonce != NULL)
		nonce = str_c(t->nonce);
	if (t->binding != NULL) {
		buf_str_add(&bind, str_c(t->binding));
	} else {
		buf_str_add(&bind, str_c(t->gs2));
		if (t->gs2[0] == 'p')
			buf_str_add(&bind, t->exporter);
	}
	buf_s(final, "c=");
	if (t->c != NULL)
		buf_str_add(final, str_c(t->c));
	else
		base64_put(final, buf_str(&bind));
	buf_s(final, ",r=");
	buf_str_add(final, nonce);
	buf_str_add(&auth, first_bare);
	buf_c(&auth, ',');
	buf_str_add(&auth, server_first);
	buf_c(&auth, ',');
	buf_str_add(&auth, buf_str(final));
	PKCS5_PBKDF2_HMAC(password, -1, (void *)salt.p, (int)salt.n, (int)iter,
	    EVP_sha256(), 32, (void *)salted);
	hmac(salted, 32, S("Client Key"), key);
	EVP_Digest(key, 32, (void *)stored, NULL, EVP_sha256(), NULL);
	hmac(stored, 32, buf_str(&auth), sig);
	for (int k = 0; k < 32; k++)
		proof[k] = key[k] ^ sig[k];
	buf_s(final, ",p=");
	if (t->proof != NULL)
		buf_str_add(final, str_c(t->proof));
	else
		base64_put(final, str_of(proof, 32));
	if (t->tail != NULL)
		buf_str_add(final, str_c(t->tail));
	buf_free(&salt);
	buf_free(&bind);
	buf_free(&auth);
}

static enum sasl_result
scram(const struct tamper *t, const char *name, const char *password,
    struct buf *first_kept, struct buf *final_kept)
{
	struct sasl x;
	struct buf first = {0}, bare = {0}, server = {0}, final = {0};
	struct buf out = {0};
	enum sasl_result r;

	r = sasl_start(&x, db,
	    t->plus ? S("SCRAM-SHA-256-PLUS") : S("SCRAM-SHA-256"), t->exporter,
	    STR_NONE);
	if (r != SASL_CHALLENGE)
		goto out;
	buf_f(&bare, "n=%s,r=fyko+d2lbbFgONRv9qkxdawL", name);
	buf_str_add(&first, str_c(t->gs2));
	buf_str_add(&first, buf_str(&bare));
	r = sasl_step(&x, buf_str(&first), &server);
	if (r != SASL_CHALLENGE)
		goto out;
	final_message(t, buf_str(&bare), buf_str(&server), password, &final);
	r = sasl_step(&x, buf_str(&final), &out);
	if (first_kept != NULL) {
		buf_str_add(first_kept, buf_str(&first));
		buf_str_add(final_kept, buf_str(&final));
	}
out:
	sasl_end(&x);
	buf_free(&first);
	buf_free(&bare);
	buf_free(&server);
	buf_free(&final);
	buf_free(&out);
	return r;
}

#define E S(EXPORTER)

/* R36 */
static void
test_tampered(void **state)
{
	static const struct tamper rows[] = {
	    {"n,,", .want = SASL_OK},
	    {"n,a=ann,", .want = SASL_OK},
	    {"n,a=bob,", .want = SASL_WRONG},
	    {"y,,", .want = SASL_OK}, /* nothing to bind to was offered */
	    {"p=tls-exporter,,", .plus = true, .exporter = E, .want = SASL_OK},
	    {"n,,", .exporter = E, .want = SASL_OK},
	    /* "you do not offer PLUS": we did */
	    {"y,,", .exporter = E, .want = SASL_WRONG},
	    {"y,,", .plus = true, .exporter = E, .want = SASL_WRONG},
	    {"n,,", .plus = true, .exporter = E, .want = SASL_WRONG},
	    {"p=tls-exporter,,", .exporter = E, .want = SASL_WRONG},
	    {"p=tls-unique,,", .plus = true, .exporter = E, .want = SASL_WRONG},
	    {"p=tls-server-end-point,,", .plus = true, .exporter = E,
		.want = SASL_WRONG},
	    {"p=,,", .plus = true, .exporter = E, .want = SASL_WRONG},
	    {"p=tls-exporter,,", .plus = true, .want = SASL_NOMECH},
	    /* the header that is bound is not the one that was sent */
	    {"n,,", .binding = "y,,", .want = SASL_WRONG},
	    {"y,,", .binding = "n,,", .want = SASL_WRONG},
	    {"n,,", .binding = "n,a=ann,", .want = SASL_WRONG},
	    {"n,a=ann,", .binding = "n,,", .want = SASL_WRONG},
	    {"n,,", .binding = "", .want = SASL_WRONG},
	    {"p=tls-exporter,,", .binding = "p=tls-exporter,,", .plus = true,
		.exporter = E, .want = SASL_WRONG},
	    {"p=tls-exporter,,", .binding = "p=tls-exporter,,x", .plus = true,
		.exporter = E, .want = SASL_WRONG},
	    {"p=tls-exporter,,",
		.binding = "p=tls-unique,,0123456789abcdef0123456789abcdef",
		.plus = true, .exporter = E, .want = SASL_WRONG},
	    /* "biws" is n,, : stray bits, space, padding, garbage behind */
	    {"n,,", .c = "biws", .want = SASL_OK},
	    {"n,,", .c = "biwt", .want = SASL_WRONG},
	    {"n,,", .c = "biws=", .want = SASL_MALFORMED},
	    {"n,,", .c = "biws====", .want = SASL_MALFORMED},
	    {"n,,", .c = "bi ws", .want = SASL_MALFORMED},
	    {"n,,", .c = "biws\n", .want = SASL_MALFORMED},
	    {"n,,", .c = "biwsA", .want = SASL_MALFORMED},
	    {"n,,", .c = "biw", .want = SASL_MALFORMED},
	    {"n,,", .c = "", .want = SASL_WRONG},
	    {"n,,", .c = "\xff", .want = SASL_MALFORMED},
	    /* another nonce, none, that of the client alone */
	    {"n,,", .nonce = "fyko+d2lbbFgONRv9qkxdawL", .want = SASL_WRONG},
	    {"n,,", .nonce = "x", .want = SASL_WRONG},
	    {"n,,", .nonce = "", .want = SASL_MALFORMED},
	    /* the proof */
	    {"n,,", .proof = "AAAA", .want = SASL_WRONG},
	    {"n,,", .proof = "", .want = SASL_WRONG},
	    {"n,,", .proof = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		.want = SASL_WRONG},
	    {"n,,", .proof = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=",
		.want = SASL_MALFORMED},
	    {"n,,", .tail = " ", .want = SASL_MALFORMED},
	    {"n,,", .tail = ",x=y", .want = SASL_MALFORMED},
	    /* the first message's header */
	    {"", .want = SASL_MALFORMED},
	    {"n,", .want = SASL_MALFORMED},
	    {"x,,", .want = SASL_MALFORMED},
	    {"n,b=ann,", .want = SASL_MALFORMED},
	    {"n,,m=ext,", .want = SASL_MALFORMED},
	};

	for (size_t i = 0; i < NELEM(rows); i++) {
		enum sasl_result r =
		    scram(&rows[i], "ann", "pencil", NULL, NULL);
		if (r != rows[i].want)
			fail_msg("row %zu: %d, not %d", i, (int)r,
			    (int)rows[i].want);
	}
}

/* R38: what was sent once is worth nothing the second time. */
static void
test_replay(void **state)
{
	static const struct tamper plain = {.gs2 = "n,,"};
	struct buf first = {0}, final = {0}, out = {0};
	struct sasl x;

	assert_int_equal(
	    scram(&plain, "ann", "pencil", &first, &final), SASL_OK);
	assert_int_equal(
	    sasl_start(&x, db, S("SCRAM-SHA-256"), STR_NONE, STR_NONE),
	    SASL_CHALLENGE);
	assert_int_equal(sasl_step(&x, buf_str(&first), &out), SASL_CHALLENGE);
	assert_int_equal(sasl_step(&x, buf_str(&final), &out), SASL_WRONG);
	/* Nor is there a third step. */
	assert_int_equal(sasl_step(&x, buf_str(&final), &out), SASL_MALFORMED);
	sasl_end(&x);
	buf_free(&first);
	buf_free(&final);
	buf_free(&out);
}

/* The salt of a name that nobody has does not change, and is not that of
 * another; the rounds are those of a real account. */
static void
test_fake(void **state)
{
	static const char *const names[] = {
	    "nobody", "NOBODY", "nemo", "nokeys", "off"};
	char salt[NELEM(names)][64];

	for (size_t i = 0; i < NELEM(names); i++) {
		struct sasl x;
		struct buf out = {0}, in = {0};
		str rest;

		buf_f(&in, "n,,n=%s,r=abcdef", names[i]);
		sasl_start(&x, db, S("SCRAM-SHA-256"), STR_NONE, STR_NONE);
		assert_int_equal(
		    sasl_step(&x, buf_str(&in), &out), SASL_CHALLENGE);
		rest = buf_str(&out);
		str_cut(&rest, ',');
		snprintf(salt[i], 64, "%.*s", STR_ARG(rest));
		assert_true(str_ends(rest, S(",i=10000")));
		sasl_end(&x);
		buf_free(&out);
		buf_free(&in);
	}
	assert_string_equal(salt[0], salt[1]);
	for (size_t i = 2; i < NELEM(names); i++)
		assert_string_not_equal(salt[0], salt[i]);
}

/* ---- the short mechanisms ---- */

static void
test_short(void **state)
{
	static const struct {
		const char *mech;
		str in[2];
		enum sasl_result want;
		const char *name, *password;
	} rows[] = {
	    {"PLAIN", {S("\0ann\0pw")}, SASL_PASSWORD, "ann", "pw"},
	    {"plain", {S("ann\0ann\0pw")}, SASL_PASSWORD, "ann", "pw"},
	    {"PLAIN", {S("ANN\0ann\0pw")}, SASL_PASSWORD, "ann", "pw"},
	    {"PLAIN", {S("bob\0ann\0pw")}, SASL_WRONG, NULL, NULL},
	    {"PLAIN", {S("ann\0pw")}, SASL_MALFORMED, NULL, NULL},
	    {"PLAIN", {S("\0ann\0p\0w")}, SASL_MALFORMED, NULL, NULL},
	    {"PLAIN", {S("\0\0pw")}, SASL_MALFORMED, NULL, NULL},
	    {"PLAIN", {S("\0ann\0")}, SASL_MALFORMED, NULL, NULL},
	    {"PLAIN", {S("")}, SASL_MALFORMED, NULL, NULL},
	    {"", {S("ann\0pw")}, SASL_PASSWORD, "ann", "pw"},
	    {"", {S("ann\0p\0w")}, SASL_PASSWORD, "ann", "p"},
	    {"", {S("ann")}, SASL_MALFORMED, NULL, NULL},
	    {"LOGIN", {S("ann"), S("pw")}, SASL_PASSWORD, "ann", "pw"},
	    {"LOGIN", {S(""), S("pw")}, SASL_MALFORMED, NULL, NULL},
	    {"CRAM-MD5", {S("")}, SASL_NOMECH, NULL, NULL},
	    {"ANONYMOUS", {S("x")}, SASL_NOMECH, NULL, NULL},
	    {"EXTERNAL", {S("")}, SASL_NOMECH, NULL, NULL},
	    {"X", {S("")}, SASL_NOMECH, NULL, NULL},
	};

	for (size_t i = 0; i < NELEM(rows); i++) {
		struct sasl x;
		struct buf out = {0};
		enum sasl_result r;

		r = sasl_start(&x, db, str_c(rows[i].mech), STR_NONE, STR_NONE);
		for (int k = 0; k < 2 && r == SASL_CHALLENGE; k++) {
			buf_reset(&out);
			r = sasl_step(&x, rows[i].in[k], &out);
		}
		if (r != rows[i].want)
			fail_msg("row %zu: %d", i, (int)r);
		if (r == SASL_PASSWORD) {
			assert_str(buf_str(&x.name), str_c(rows[i].name));
			if (rows[i].in[0].n < 8)
				assert_true(str_starts(buf_str(&x.password),
				    str_c(rows[i].password)));
		}
		sasl_end(&x);
		buf_free(&out);
	}
}

/* R29: the certificate's name or none; the offered one does not count. */
static void
test_external(void **state)
{
	static const struct auth_conf on = {
	    .scram_sha256 = true, .scram_sha1 = true, .external = true};
	static const struct auth_conf off = {
	    .scram_sha256 = true, .scram_sha1 = true};
	static const struct {
		const char *cert, *authzid;
		enum sasl_result want;
	} rows[] = {
	    {"ann", "", SASL_OK},
	    {"Ann", "ann", SASL_OK},
	    {"ann", "bob", SASL_WRONG},
	    {"", "", SASL_WRONG},
	    {"", "ann", SASL_WRONG},
	    {"nobody", "ann", SASL_WRONG},
	    {"nobody", "nobody", SASL_WRONG},
	    {"off", "", SASL_WRONG},
	    {"a b", "", SASL_WRONG},
	    {"ann", "\xff", SASL_MALFORMED},
	};

	auth_configure(db, &on);
	for (size_t i = 0; i < NELEM(rows); i++) {
		struct sasl x;
		struct buf out = {0};

		assert_int_equal(sasl_start(&x, db, S("EXTERNAL"), STR_NONE,
				     str_c(rows[i].cert)),
		    SASL_CHALLENGE);
		if (sasl_step(&x, str_c(rows[i].authzid), &out) != rows[i].want)
			fail_msg("row %zu", i);
		sasl_end(&x);
		buf_free(&out);
	}
	auth_configure(db, &off);
}

/* Any bytes at any step: an answer, and no fault. */
static void
test_garbage(void **state)
{
	static const char *const mechs[] = {"", "PLAIN", "LOGIN", "SCRAM-SHA-1",
	    "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"};
	struct rnd r;

	for_seeds(&r, 3000)
	{
		struct sasl x;
		struct buf out = {0}, in = {0};
		enum sasl_result e;

		e = sasl_start(
		    &x, db, str_c(mechs[rnd(&r, NELEM(mechs))]), E, STR_NONE);
		for (int k = 0; k < 4 && e == SASL_CHALLENGE; k++) {
			static const char *const bits[] = {"n,,", "y,,", ",",
			    "n=ann", "r=abc", "c=biws", "p=AAAA", "=2C", "=3D",
			    "=", "a=ann", "p=tls-exporter,,", "\xc3\xa9"};
			buf_reset(&in);
			for (size_t i = rnd(&r, 8); i > 0; i--)
				if (rnd(&r, 5) == 0)
					buf_c(&in, (char)rnd(&r, 256));
				else
					buf_str_add(&in,
					    str_c(bits[rnd(&r, NELEM(bits))]));
			e = sasl_step(&x, buf_str(&in), &out);
			seed_true(&r, e != SASL_OK);
		}
		sasl_end(&x);
		buf_free(&out);
		buf_free(&in);
	}
}

/* R124: a message at the limit and one byte past it. */
static void
test_big(void **state)
{
	static char big[SASL_DATA_MAX + 1];
	struct sasl x;
	struct buf out = {0};

	memset(big, 'a', sizeof(big));
	big[0] = big[4] = '\0';
	sasl_start(&x, db, S("PLAIN"), STR_NONE, STR_NONE);
	assert_int_equal(
	    sasl_step(&x, str_of(big, SASL_DATA_MAX), &out), SASL_PASSWORD);
	assert_int_equal(x.password.n, AUTH_PASSWORD_MAX + 1);
	sasl_end(&x);
	sasl_start(&x, db, S("PLAIN"), STR_NONE, STR_NONE);
	assert_int_equal(sasl_step(&x, str_of(big, SASL_DATA_MAX + 1), &out),
	    SASL_MALFORMED);
	sasl_end(&x);
	buf_free(&out);
}

static int
setup(void **state)
{
	static const struct auth_conf both = {
	    .scram_sha256 = true, .scram_sha1 = true};
	struct auth_import n;
	uint64_t id;

	db = fresh("sasl", &both);
	assert_int_equal(auth_user_add(db, S("ann"), S("pencil"), &id), OK);
	assert_int_equal(auth_user_add(db, S("bob"), S("pencil"), &id), OK);
	assert_int_equal(auth_user_add(db, S("off"), S("pencil"), &id), OK);
	assert_int_equal(auth_user_enable(db, S("off"), false), OK);
	assert_int_equal(
	    auth_user_import(db, S("nokeys:{PLAIN}pencil"), NULL, NULL, &n),
	    OK);
	/* PLUS is offered when SCRAM is; one without keys hinders both. */
	assert_int_equal(auth_user_enable(db, S("nokeys"), false), OK);
	return 0;
}

static int
teardown(void **state)
{
	auth_close(&db);
	return 0;
}

int
t_sasl(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_library),
	    cmocka_unit_test(test_tampered),
	    cmocka_unit_test(test_replay),
	    cmocka_unit_test(test_fake),
	    cmocka_unit_test(test_short),
	    cmocka_unit_test(test_external),
	    cmocka_unit_test(test_garbage),
	    cmocka_unit_test(test_big),
	};

	return cmocka_run_group_tests_name("sasl", tests, setup, teardown);
}
