/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* Recipients, logins, and which mechanisms are announced. */
#include "t_auth.h"

static void
test_recipients(void **state)
{
	static const struct auth_conf ours = {
	    .domains = {"Example.ORG, x.org", 18}, .scram_sha256 = true};
	static const struct auth_conf any = {.scram_sha256 = true};
	static const struct {
		const char *address, *name, *detail;
		enum rcpt_fail ours, any;
	} rows[] = {
	    {"ann@example.org", "ann", "", 0, 0},
	    {"ANN@EXAMPLE.ORG", "ann", "", 0, 0},
	    {"ann", "ann", "", 0, 0},
	    {"ann+Lists@example.org", "ann", "Lists", 0, 0},
	    {"ann+a+b@x.org", "ann", "a+b", 0, 0},
	    {"ann@y.org", "ann", "", RCPT_UNKNOWN, 0},
	    {"bob@z.org", "bob@z.org", "", 0, 0},
	    {"bob+x@z.org", "bob@z.org", "x", 0, 0},
	    {"bob@example.org", NULL, "", RCPT_UNKNOWN, RCPT_UNKNOWN},
	    {"bob", NULL, "", RCPT_UNKNOWN, RCPT_UNKNOWN},
	    {"info@z.org", "bob@z.org", "", 0, 0},
	    {"info+y@z.org", "bob@z.org", "y", 0, 0},
	    {"sales@example.org", "ann", "", 0, 0},
	    {"sales@other.net", "ann", "", RCPT_UNKNOWN, 0},
	    {"c+d@example.org", "c+d", "", 0, 0},
	    {"off@example.org", NULL, "", RCPT_DISABLED, RCPT_DISABLED},
	    {"alias-off@example.org", NULL, "", RCPT_DISABLED, RCPT_DISABLED},
	    {"+x@example.org", NULL, "", RCPT_UNKNOWN, RCPT_UNKNOWN},
	    {"ann\x01@example.org", NULL, "", RCPT_UNKNOWN, RCPT_UNKNOWN},
	    {"", NULL, "", RCPT_UNKNOWN, RCPT_UNKNOWN},
	    {"../ann@example.org", NULL, "", RCPT_UNKNOWN, RCPT_UNKNOWN},
	};
	struct auth *a = fresh("rcpt", &ours);
	uint64_t id;

	assert_int_equal(auth_user_add(a, S("ann"), S("x"), &id), OK);
	assert_int_equal(auth_user_add(a, S("bob@z.org"), S("x"), &id), OK);
	assert_int_equal(auth_user_add(a, S("c+d"), S("x"), &id), OK);
	assert_int_equal(auth_user_add(a, S("off"), S("x"), &id), OK);
	assert_int_equal(
	    auth_alias_add(a, S("info@z.org"), S("bob@z.org")), OK);
	assert_int_equal(auth_alias_add(a, S("sales"), S("ann")), OK);
	assert_int_equal(auth_alias_add(a, S("alias-off"), S("off")), OK);
	assert_int_equal(auth_user_enable(a, S("off"), false), OK);
	for (size_t i = 0; i < 2 * NELEM(rows); i++) {
		size_t k = i / 2;
		struct auth_recipient r;
		struct buf mem = {0};
		enum rcpt_fail why, want = i % 2 ? rows[k].any : rows[k].ours;

		auth_configure(a, i % 2 ? &any : &ours);
		assert_int_equal(
		    auth_recipient(a, str_c(rows[k].address), &mem, &r, &why),
		    OK);
		if (why != want)
			fail_msg("%s: %d", rows[k].address, (int)why);
		if (why == 0) {
			assert_str(r.name, str_c(rows[k].name));
			assert_str(r.detail, str_c(rows[k].detail));
			assert_true(r.account > 0);
		}
		buf_free(&mem);
	}
	auth_close(&a);
}

static void
test_logins(void **state)
{
	static const struct auth_conf ours = {
	    .domains = {"example.org", 11}, .scram_sha256 = true};
	struct auth *a = fresh("login", &ours);
	uint64_t id, got;

	assert_int_equal(auth_user_add(a, S("ann"), S("x"), &id), OK);
	assert_int_equal(auth_user_add(a, S("ann@z.org"), S("y"), &id), OK);
	assert_int_equal(auth_check(a, S("ann"), S("x"), &got), OK);
	assert_int_equal(got, 1);
	assert_int_equal(auth_check(a, S("Ann@Example.org"), S("x"), &got), OK);
	assert_int_equal(got, 1);
	assert_int_equal(auth_check(a, S("ann@z.org"), S("y"), &got), OK);
	assert_int_equal(got, 2);
	assert_int_equal(auth_check(a, S("ann@y.org"), S("x"), &got), ERR_AUTH);
	/* Delivery knows details, login does not. */
	assert_int_equal(auth_check(a, S("ann+x"), S("x"), &got), ERR_AUTH);
	auth_close(&a);
}

/* ---- counted hashing ---- */

static _Atomic int hashes;
char *__real_crypt_rn(const char *pw, const char *setting, void *data, int n);
char *__wrap_crypt_rn(const char *pw, const char *setting, void *data, int n);
char *
__wrap_crypt_rn(const char *pw, const char *setting, void *data, int n)
{
	hashes++;
	return __real_crypt_rn(pw, setting, data, n);
}

/* R33: whoever is refused has cost one hash of the same kind: a wrong
 * password, an unknown name, none at all, a disabled account with the right
 * password or a wrong one, an imported digest. */
static void
test_same_work(void **state)
{
	static const struct {
		const char *name, *password;
	} rows[] = {
	    {"ann", "wrong"},
	    {"nobody", "right"},
	    {"no name", "right"},
	    {"off", "right"},
	    {"off", "wrong"},
	    {"digest", "wrong"},
	    {"pbkdf2", "wrong"},
	};
	struct auth *a = fresh("work", NULL);
	struct auth_import n;
	uint64_t id;

	assert_int_equal(auth_user_add(a, S("ann"), S("right"), &id), OK);
	assert_int_equal(auth_user_add(a, S("off"), S("right"), &id), OK);
	assert_int_equal(auth_user_enable(a, S("off"), false), OK);
	assert_int_equal(auth_user_import(a,
			     S("digest:{PLAIN}right\npbkdf2:{PBKDF2}$1$salt$10$"
			       "a8d71fa1d5b6a0691ddaa7eb8ef297755f25d64b\n"),
			     NULL, NULL, &n),
	    OK);
	assert_int_equal(auth_check(a, S("x"), S("y"), &id), ERR_AUTH);
	for (size_t i = 0; i < NELEM(rows); i++) {
		hashes = 0;
		assert_int_equal(auth_check(a, str_c(rows[i].name),
				     str_c(rows[i].password), &id),
		    ERR_AUTH);
		if (hashes != 1)
			fail_msg("%s: %d hashes", rows[i].name, (int)hashes);
	}
	/* And the time of it: medians of 15, printed, held to a third. */
	int64_t t[2][15], m[2];
	for (int i = 0; i < 15; i++)
		for (int k = 0; k < 2; k++) {
			t[k][i] = os_mono_us();
			assert_int_equal(
			    auth_check(
				a, k ? S("ann") : S("nobody"), S("wrong"), &id),
			    ERR_AUTH);
			t[k][i] = os_mono_us() - t[k][i];
		}
	for (int k = 0; k < 2; k++) {
		for (int i = 0; i < 15; i++)
			for (int j = i + 1; j < 15; j++)
				if (t[k][j] < t[k][i]) {
					int64_t x = t[k][i];
					t[k][i] = t[k][j];
					t[k][j] = x;
				}
		m[k] = t[k][7];
	}
	print_message("unknown %lld us, wrong %lld us\n", (long long)m[0],
	    (long long)m[1]);
	assert_true(m[0] * 3 > m[1] * 2 && m[1] * 3 > m[0] * 2);
	auth_close(&a);
}

static const char *
mechs(struct auth *a, bool tls)
{
	static char out[256];
	struct buf b = {0};

	mechs_put(a, &b, tls);
	snprintf(out, sizeof(out), "%.*s", STR_ARG(buf_str(&b)));
	buf_free(&b);
	return out;
}

/* A mechanism is announced when every enabled account can use it. */
static void
test_mechs(void **state)
{
	static const struct auth_conf both = {
	    .scram_sha1 = true, .scram_sha256 = true, .external = true};
	static const struct auth_conf one = {.scram_sha256 = true};
	struct auth *a = fresh("mechs", &one);
	struct auth_import n;
	struct acct u;
	uint64_t id;

	assert_string_equal(mechs(a, false), "SCRAM-SHA-256 PLAIN LOGIN");
	assert_string_equal(
	    mechs(a, true), "SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN");
	auth_configure(a, &both);
	assert_string_equal(mechs(a, true),
	    "EXTERNAL SCRAM-SHA-256-PLUS SCRAM-SHA-256 SCRAM-SHA-1-PLUS "
	    "SCRAM-SHA-1 PLAIN LOGIN");
	auth_configure(a, &one);
	assert_int_equal(auth_user_add(a, S("ann"), S("x"), &id), OK);
	auth_configure(a, &both);
	assert_string_equal(mechs(a, false), "SCRAM-SHA-256 PLAIN LOGIN");
	assert_int_equal(
	    auth_user_import(a, S("bob:{PLAIN}pw\n"), NULL, NULL, &n), OK);
	assert_string_equal(mechs(a, false), "PLAIN LOGIN");
	/* The first plaintext login makes the keys. */
	assert_int_equal(acct_find(a, S("bob"), &u), OK);
	assert_true(login_verify(a, &u, S("pw")));
	login_upgrade(a, &u, S("pw"));
	assert_string_equal(mechs(a, false), "SCRAM-SHA-256 PLAIN LOGIN");
	assert_int_equal(acct_find(a, S("bob"), &u), OK);
	assert_true(scram_verify(&u.keys[SCRAM_SHA1], SCRAM_SHA1, S("pw")));
	/* Not with a password that has been changed meanwhile. */
	assert_int_equal(
	    auth_user_import(a, S("bob:{PLAIN}new\n"), NULL, NULL, &n), OK);
	login_upgrade(a, &u, S("pw"));
	assert_int_equal(acct_find(a, S("bob"), &u), OK);
	assert_int_equal(u.keys[SCRAM_SHA256].iter, 0);
	/* Who is disabled does not count. */
	assert_int_equal(auth_user_enable(a, S("bob"), false), OK);
	assert_string_equal(mechs(a, false), "SCRAM-SHA-256 PLAIN LOGIN");
	auth_close(&a);
}

int
t_lookup(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_recipients),
	    cmocka_unit_test(test_logins),
	    cmocka_unit_test(test_same_work),
	    cmocka_unit_test(test_mechs),
	};

	return cmocka_run_group_tests_name("lookup", tests, NULL, NULL);
}
