/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * One SASL exchange, server side, on decoded messages. SCRAM is GNU SASL's,
 * from stored keys; PLAIN, LOGIN and EXTERNAL, which are one line each, are
 * read here: the library would normalise passwords that imported hashes
 * were made of as they were.
 *
 * (1) The library takes base64 with stray bits and compares what it made of
 *     it; so the binding, the gs2 header and the proof are checked here
 *     first, strictly, against what we know (R36).
 * (2) SCRAM for an unknown name, a disabled one or one without keys goes to
 *     its end, on a salt that depends on the name and the server's secret,
 *     and on keys that nobody has.
 * (3) The authorisation identity is empty or names the same account.
 */
#include <stdio.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "auth/auth_int.h"

#define NONCE_MAX 512

/* ---- the callback of GNU SASL ---- */

static void
fake_part(struct auth *a, const char *what, const struct sasl *x, str name,
    uint8_t out[32])
{
	struct buf b = {0};

	buf_f(&b, "scram-%d-%s:", (int)x->hash, what);
	buf_str_add(&b, name);
	if (HMAC(EVP_sha256(), a->secret, sizeof(a->secret), (const void *)b.p,
		b.n, out, NULL) == NULL)
		os_random(out, 32);
	buf_free(&b);
}

/* (2) */
static void
fake_keys(struct auth *a, const struct sasl *x, str name, struct scram_keys *k)
{
	uint8_t salt[32];

	memset(k, 0, sizeof(*k));
	k->iter = (uint32_t)limits.scram_rounds;
	k->nsalt = 16;
	fake_part(a, "salt", x, name, salt);
	memcpy(k->salt, salt, k->nsalt);
	fake_part(a, "stored", x, name, k->stored);
	fake_part(a, "server", x, name, k->server);
}

static int
property_b64(Gsasl_session *g, Gsasl_property p, const void *bytes, size_t n)
{
	struct buf b = {0};
	int rc;

	base64_put(&b, str_of(bytes, n));
	buf_c(&b, '\0');
	rc = gsasl_property_set(g, p, b.p);
	wipe_buf(&b);
	return rc;
}

static int
scram_identify(struct sasl *x, Gsasl_session *g)
{
	str typed = str_c(gsasl_property_fast(g, GSASL_AUTHID));
	size_t n = scram_size(x->hash);
	struct scram_keys fake, *k = &fake;
	char iter[16];
	int rc;

	buf_reset(&x->name);
	buf_str_add(&x->name, typed);
	buf_reset(&x->prep);
	x->e = login_find(x->a, typed, &x->prep, &x->u);
	fake_keys(x->a, x, x->prep.n > 0 ? buf_str(&x->prep) : typed, &fake);
	x->known = x->e == OK && !x->u.disabled && x->u.keys[x->hash].iter != 0;
	if (x->e != OK && x->e != ERR_NOTFOUND && x->e != ERR_INVALID)
		return GSASL_AUTHENTICATION_ERROR;
	x->e = OK;
	if (x->known)
		k = &x->u.keys[x->hash];
	snprintf(iter, sizeof(iter), "%u", k->iter);
	if ((rc = gsasl_property_set(g, GSASL_SCRAM_ITER, iter)) == GSASL_OK &&
	    (rc = property_b64(g, GSASL_SCRAM_SALT, k->salt, k->nsalt)) ==
		GSASL_OK &&
	    (rc = property_b64(g, GSASL_SCRAM_STOREDKEY, k->stored, n)) ==
		GSASL_OK)
		rc = property_b64(g, GSASL_SCRAM_SERVERKEY, k->server, n);
	x_wipe(&fake, sizeof(fake));
	return rc;
}

static int
answer(Gsasl *ctx, Gsasl_session *g, Gsasl_property p)
{
	struct sasl *x = g == NULL ? NULL : gsasl_session_hook_get(g);

	if (x == NULL)
		return GSASL_NO_CALLBACK;
	switch (p) {
	case GSASL_SCRAM_ITER:
		return scram_identify(x, g);
	case GSASL_CB_TLS_EXPORTER:
		if (x->plus)
			return property_b64(g, p, x->exporter.p, x->exporter.n);
		return GSASL_NO_CB_TLS_EXPORTER;
	default:
		return GSASL_NO_CALLBACK;
	}
}

/* ---- SCRAM: what is checked first ---- */

static bool
printable(str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '!' || s.p[i] > '~')
			return false;
	return s.n > 0 && s.n <= NONCE_MAX;
}

/* gs2-header n=name,r=nonce[,extensions]; keeps the header. */
static enum sasl_result
scram_first(struct sasl *x, str data)
{
	bool offered = x->exporter.n > 0 && scram_announced(x->a, x->hash);
	str rest = data, flag, authzid, user, nonce;

	flag = str_cut(&rest, ',');
	authzid = str_cut(&rest, ',');
	buf_reset(&x->first);
	buf_add(&x->first, data.p, data.n - rest.n);
	user = str_cut(&rest, ',');
	nonce = str_cut(&rest, ',');
	if (!utf8_valid(data) || memchr(data.p, 0, data.n) != NULL)
		return SASL_MALFORMED;
	if ((authzid.n > 0 && !str_starts(authzid, S("a="))) ||
	    !str_starts(user, S("n=")) || user.n < 3 || user.n > TYPED_MAX ||
	    !str_starts(nonce, S("r=")) || !printable(str_from(nonce, 2)))
		return SASL_MALFORMED;
	if (str_eq(flag, S("n")))
		return x->plus ? SASL_WRONG : SASL_OK;
	/* "I could have bound, but you do not offer it": we did, so
	 * somebody between us took it out. */
	if (str_eq(flag, S("y")))
		return x->plus || offered ? SASL_WRONG : SASL_OK;
	if (!str_starts(flag, S("p=")))
		return SASL_MALFORMED;
	return x->plus && str_eq(flag, S("p=tls-exporter")) ? SASL_OK
							    : SASL_WRONG;
}

/* c=binding,r=nonce[,extensions],p=proof */
static enum sasl_result
scram_final(struct sasl *x, str data)
{
	size_t comma = str_rchr(data, ',');
	str rest = data, c = str_cut(&rest, ','), p = str_from(data, comma + 1);
	struct buf got = {0}, want = {0}, proof = {0};
	enum sasl_result r = SASL_MALFORMED;

	if (!utf8_valid(data) || memchr(data.p, 0, data.n) != NULL ||
	    !str_starts(c, S("c=")) || !str_starts(p, S("p=")) ||
	    !str_starts(rest, S("r=")))
		return r;
	if (base64_get(&got, str_from(c, 2)) != OK ||
	    base64_get(&proof, str_from(p, 2)) != OK)
		goto out;
	buf_str_add(&want, buf_str(&x->first));
	if (x->plus)
		buf_str_add(&want, x->exporter);
	r = SASL_WRONG;
	if (proof.n == scram_size(x->hash) && got.n == want.n &&
	    CRYPTO_memcmp(got.p, want.p, want.n) == 0)
		r = SASL_OK;
out:
	wipe_buf(&got);
	wipe_buf(&want);
	wipe_buf(&proof);
	return r;
}

static bool
authzid_ok(const struct sasl *x, str authzid)
{
	struct buf b = {0};
	bool ok;

	if (authzid.n == 0)
		return true;
	ok = auth_name(&b, authzid) == OK &&
	     (str_eq(buf_str(&b), buf_str(&x->prep)) ||
		 str_eq(buf_str(&b), acct_name(&x->u)));
	buf_free(&b);
	return ok;
}

/* The exchange took its time: the account may have changed since. */
static enum sasl_result
still_there(struct sasl *x)
{
	struct acct now;
	enum err e = acct_find(x->a, acct_name(&x->u), &now);
	bool same = e == OK && now.id == x->u.id && now.gen == x->u.gen &&
		    !now.disabled;

	x_wipe(&now, sizeof(now));
	if (e != OK && e != ERR_NOTFOUND)
		return SASL_TEMP;
	return same ? SASL_OK : SASL_WRONG;
}

static enum sasl_result
scram_step(struct sasl *x, str data, struct buf *out)
{
	char *in, *got = NULL;
	size_t n = 0;
	enum sasl_result r;
	int rc;

	r = x->step == 0   ? scram_first(x, data)
	    : x->step == 1 ? scram_final(x, data)
			   : SASL_MALFORMED;
	if (r != SASL_OK)
		return r;
	in = x_cstr(data);
	rc = gsasl_step(x->gs, in, data.n, &got, &n);
	x_wipe(in, data.n);
	x_free(&in);
	if (rc == GSASL_NEEDS_MORE && x->step == 0) {
		r = SASL_CHALLENGE;
	} else if (rc == GSASL_OK && x->step == 1 && x->known) {
		str az = str_c(gsasl_property_fast(x->gs, GSASL_AUTHZID));
		r = authzid_ok(x, az) ? still_there(x) : SASL_WRONG;
	} else if (rc == GSASL_MECHANISM_PARSE_ERROR) {
		r = SASL_MALFORMED;
	} else {
		r = x->e != OK ? SASL_TEMP : SASL_WRONG;
	}
	if (r == SASL_CHALLENGE || r == SASL_OK)
		buf_add(out, got, n);
	if (got != NULL)
		gsasl_free(got);
	x->step++;
	return r;
}

/* ---- the short ones ---- */

static enum sasl_result
take_password(struct sasl *x, str name, str password)
{
	buf_reset(&x->name);
	buf_str_add(&x->name, str_head(name, TYPED_MAX + 1));
	/* One byte over the most is as wrong as a megabyte. */
	buf_str_add(&x->password, str_head(password, AUTH_PASSWORD_MAX + 1));
	return SASL_PASSWORD;
}

static enum sasl_result
plain_step(struct sasl *x, str data)
{
	str rest = data, authzid, name;
	size_t nul = 0;

	for (size_t i = 0; i < data.n; i++)
		nul += data.p[i] == '\0';
	if (nul != 2)
		return SASL_MALFORMED;
	authzid = str_cut(&rest, '\0');
	name = str_cut(&rest, '\0');
	if (name.n == 0 || rest.n == 0 || !utf8_valid(authzid))
		return SASL_MALFORMED;
	/* (3): by names alone, since the account is not looked up yet. */
	if (authzid.n > 0 && !str_eq(authzid, name)) {
		struct buf a = {0}, b = {0};
		bool same = auth_name(&a, authzid) == OK &&
			    auth_name(&b, name) == OK &&
			    str_eq(buf_str(&a), buf_str(&b));
		buf_free(&a);
		buf_free(&b);
		if (!same) {
			buf_str_add(&x->name, str_head(name, TYPED_MAX + 1));
			return SASL_WRONG;
		}
	}
	return take_password(x, name, rest);
}

static enum sasl_result
login_step(struct sasl *x, str data, struct buf *out)
{
	if (x->step++ == 0) {
		if (data.n == 0 || data.n > TYPED_MAX)
			return SASL_MALFORMED;
		buf_str_add(&x->name, data);
		buf_s(out, "Password:");
		return SASL_CHALLENGE;
	}
	buf_str_add(&x->password, str_head(data, AUTH_PASSWORD_MAX + 1));
	return SASL_PASSWORD;
}

static enum sasl_result
external_step(struct sasl *x, str data)
{
	enum err e;

	/* R29: no name in the certificate is no name at all. */
	if (x->cert.n == 0)
		return SASL_WRONG;
	buf_str_add(&x->name, str_head(x->cert, TYPED_MAX + 1));
	if (memchr(data.p, 0, data.n) != NULL || !utf8_valid(data))
		return SASL_MALFORMED;
	e = login_find(x->a, x->cert, &x->prep, &x->u);
	if (e == ERR_NOTFOUND || e == ERR_INVALID)
		return SASL_WRONG;
	if (e != OK)
		return SASL_TEMP;
	return !x->u.disabled && authzid_ok(x, data) ? SASL_OK : SASL_WRONG;
}

/* ---- the exchange ---- */

enum sasl_result
sasl_step(struct sasl *x, str data, struct buf *out)
{
	if (data.p == NULL)
		data = S("");
	if (data.n > SASL_DATA_MAX)
		return SASL_MALFORMED;
	switch (x->mech) {
	case MECH_USERPASS: {
		str rest = data, name = str_cut(&rest, '\0');
		return name.n < data.n ? take_password(x, name, rest)
				       : SASL_MALFORMED;
	}
	case MECH_PLAIN:
		return plain_step(x, data);
	case MECH_LOGIN:
		return login_step(x, data, out);
	case MECH_EXTERNAL:
		return external_step(x, data);
	case MECH_SCRAM:
		return scram_step(x, data, out);
	default:
		return SASL_MALFORMED;
	}
}

static enum sasl_result
scram_start(struct sasl *x, const char *name)
{
	if (x->plus && x->exporter.n == 0)
		return SASL_NOMECH;
	gsasl_callback_set(x->a->gsasl, answer);
	if (gsasl_server_start(x->a->gsasl, name, &x->gs) != GSASL_OK)
		return SASL_TEMP;
	gsasl_session_hook_set(x->gs, x);
	x->mech = MECH_SCRAM;
	return SASL_CHALLENGE;
}

enum sasl_result
sasl_start(struct sasl *x, struct auth *a, str mech, str exporter, str cert)
{
	static const struct {
		const char *name;
		enum scram_hash hash;
		bool plus;
	} scrams[] = {
	    {"SCRAM-SHA-1", SCRAM_SHA1, false},
	    {"SCRAM-SHA-1-PLUS", SCRAM_SHA1, true},
	    {"SCRAM-SHA-256", SCRAM_SHA256, false},
	    {"SCRAM-SHA-256-PLUS", SCRAM_SHA256, true},
	};
	bool external;

	*x = (struct sasl){.a = a, .exporter = exporter, .cert = cert};
	if (mech.n == 0)
		x->mech = MECH_USERPASS;
	else if (str_caseeq(mech, S("PLAIN")))
		x->mech = MECH_PLAIN;
	else if (str_caseeq(mech, S("LOGIN")))
		x->mech = MECH_LOGIN;
	if (x->mech != MECH_NONE)
		return SASL_CHALLENGE;
	if (str_caseeq(mech, S("EXTERNAL"))) {
		pthread_mutex_lock(&a->mu);
		external = a->external;
		pthread_mutex_unlock(&a->mu);
		x->mech = external ? MECH_EXTERNAL : MECH_NONE;
		return external ? SASL_CHALLENGE : SASL_NOMECH;
	}
	for (size_t i = 0; i < NELEM(scrams); i++)
		if (str_caseeq(mech, str_c(scrams[i].name))) {
			x->hash = scrams[i].hash;
			x->plus = scrams[i].plus;
			return scram_start(x, scrams[i].name);
		}
	return SASL_NOMECH;
}

void
sasl_end(struct sasl *x)
{
	if (x->gs != NULL)
		gsasl_finish(x->gs);
	wipe_buf(&x->first);
	wipe_buf(&x->name);
	wipe_buf(&x->prep);
	wipe_buf(&x->password);
	x_wipe(&x->u, sizeof(x->u));
	x->gs = NULL;
}
