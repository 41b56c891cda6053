/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Password hashes: the schemes of crypt(3) and those that Dovecot's passwd
 * files have.
 *
 * (1) The database keeps a hash as {SCHEME}rest: SCHEME in upper case and
 *     without an encoding, rest in crypt's form or digests in base64.
 * (2) Every comparison of secrets takes the same time whatever differs
 *     (R34).
 * (3) What would cost a thread minutes or the machine its memory is
 *     refused when it is imported, not when it is verified.
 */
#include <stdlib.h>

#include <argon2.h>
#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "auth/auth_int.h"

#define ROUNDS_MAX 10000000
#define ARGON_KIB_MAX (1U << 20)
#define ARGON_PASSES_MAX 100
#define ARGON_LANES_MAX 64

enum kind { K_PLAIN, K_DIGEST, K_CRYPT, K_ARGON2, K_PBKDF2, K_SCRAM };

struct scheme {
	str name; /* as in {NAME} */
	str kept; /* as the database has it */
	enum kind kind;
	const EVP_MD *(*md)(void); /* K_DIGEST */
	bool salted;
	bool hex;    /* the encoding when none is named */
	str prefix;  /* K_CRYPT: how the hash begins; empty: any */
	int variant; /* K_ARGON2, K_SCRAM */
};

/* clang-format off */
static const struct scheme schemes[] = {
	{S("PLAIN"),         S(""),              K_PLAIN,  NULL,       0, 0, S(""), 0},
	{S("CLEAR"),         S(""),              K_PLAIN,  NULL,       0, 0, S(""), 0},
	{S("CLEARTEXT"),     S(""),              K_PLAIN,  NULL,       0, 0, S(""), 0},
	{S("SHA"),           S("SHA"),           K_DIGEST, EVP_sha1,   0, 0, S(""), 0},
	{S("SHA1"),          S("SHA"),           K_DIGEST, EVP_sha1,   0, 0, S(""), 0},
	{S("SHA256"),        S("SHA256"),        K_DIGEST, EVP_sha256, 0, 0, S(""), 0},
	{S("SHA512"),        S("SHA512"),        K_DIGEST, EVP_sha512, 0, 0, S(""), 0},
	{S("SSHA"),          S("SSHA"),          K_DIGEST, EVP_sha1,   1, 0, S(""), 0},
	{S("SSHA256"),       S("SSHA256"),       K_DIGEST, EVP_sha256, 1, 0, S(""), 0},
	{S("SSHA512"),       S("SSHA512"),       K_DIGEST, EVP_sha512, 1, 0, S(""), 0},
	{S("PLAIN-MD5"),     S("PLAIN-MD5"),     K_DIGEST, EVP_md5,    0, 1, S(""), 0},
	{S("LDAP-MD5"),      S("PLAIN-MD5"),     K_DIGEST, EVP_md5,    0, 0, S(""), 0},
	{S("SMD5"),          S("SMD5"),          K_DIGEST, EVP_md5,    1, 0, S(""), 0},
	{S("CRYPT"),         S("CRYPT"),         K_CRYPT,  NULL,       0, 0, S(""), 0},
	{S("DES-CRYPT"),     S("CRYPT"),         K_CRYPT,  NULL,       0, 0, S(""), 0},
	{S("MD5"),           S("CRYPT"),         K_CRYPT,  NULL,       0, 0, S("$1$"), 0},
	{S("MD5-CRYPT"),     S("CRYPT"),         K_CRYPT,  NULL,       0, 0, S("$1$"), 0},
	{S("BLF-CRYPT"),     S("CRYPT"),         K_CRYPT,  NULL,       0, 0, S("$2"), 0},
	{S("SHA256-CRYPT"),  S("CRYPT"),         K_CRYPT,  NULL,       0, 0, S("$5$"), 0},
	{S("SHA512-CRYPT"),  S("CRYPT"),         K_CRYPT,  NULL,       0, 0, S("$6$"), 0},
	{S("ARGON2I"),       S("ARGON2I"),       K_ARGON2, NULL,       0, 0, S("$argon2i$"), Argon2_i},
	{S("ARGON2ID"),      S("ARGON2ID"),      K_ARGON2, NULL,       0, 0, S("$argon2id$"), Argon2_id},
	{S("PBKDF2"),        S("PBKDF2"),        K_PBKDF2, NULL,       0, 0, S("$1$"), 0},
	{S("SCRAM-SHA-1"),   S("SCRAM-SHA-1"),   K_SCRAM,  NULL,       0, 0, S(""), SCRAM_SHA1},
	{S("SCRAM-SHA-256"), S("SCRAM-SHA-256"), K_SCRAM,  NULL,       0, 0, S(""), SCRAM_SHA256},
};
/* clang-format on */

/* Splits {NAME.ENC}rest; without braces crypt's form is meant. */
static const struct scheme *
scheme_of(str given, str *enc, str *rest)
{
	str name;
	size_t close;

	*enc = STR_NONE;
	if (given.n > 0 && given.p[0] == '{') {
		close = str_chr(given, '}');
		if (close == given.n)
			return NULL;
		*rest = str_from(given, close + 1);
		*enc = str_of(given.p + 1, close - 1);
		name = str_cut(enc, '.');
	} else {
		*rest = given;
		name = S("CRYPT");
	}
	for (size_t i = 0; i < NELEM(schemes); i++)
		if (str_caseeq(schemes[i].name, name))
			return &schemes[i];
	return NULL;
}

/* ---- digests ---- */

static bool
digest_of(const EVP_MD *md, str password, str salt, uint8_t *out)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	bool ok;

	ok = c != NULL && EVP_DigestInit_ex(c, md, NULL) == 1 &&
	     EVP_DigestUpdate(c, password.p, password.n) == 1 &&
	     EVP_DigestUpdate(c, salt.p, salt.n) == 1 &&
	     EVP_DigestFinal_ex(c, out, NULL) == 1;
	EVP_MD_CTX_free(c);
	return ok;
}

static bool
digest_verify(const struct scheme *s, str rest, str password)
{
	uint8_t mine[EVP_MAX_MD_SIZE];
	size_t n = (size_t)EVP_MD_get_size(s->md());
	struct buf b = {0};
	bool ok = false;

	if (base64_get(&b, rest) != OK || b.n < n)
		goto out;
	ok = digest_of(s->md(), password, str_of(b.p + n, b.n - n), mine) &&
	     CRYPTO_memcmp(mine, b.p, n) == 0;
out:
	x_wipe(mine, sizeof(mine));
	wipe_buf(&b);
	return ok;
}

/* ---- crypt(3) ---- */

static bool
crypt_verify(str hash, str password)
{
	struct crypt_data *cd = x_alloc(sizeof(*cd));
	char *h = x_cstr(hash), *pw = x_cstr(password);
	const char *got = crypt_rn(pw, h, cd, sizeof(*cd));
	bool ok;

	ok = got != NULL && str_eq_secret(str_c(got), hash);
	x_wipe(pw, password.n);
	x_wipe(h, hash.n);
	x_wipe(cd, sizeof(*cd));
	x_free(&pw);
	x_free(&h);
	x_free(&cd);
	return ok;
}

/* (3): the cost that a hash names. */
static bool
crypt_cheap(str h)
{
	static const char itoa64[] = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz";
	str r = str_from(h, 3), digits;
	uint32_t n;

	if (str_starts(h, S("$5$")) || str_starts(h, S("$6$"))) {
		if (!str_starts(r, S("rounds=")))
			return true;
		r = str_from(r, 7);
		digits = str_cut(&r, '$');
		return str_u32(digits, &n) && n <= ROUNDS_MAX;
	}
	if (str_starts(h, S("$2")) && h.n > 7)
		return str_u32(str_of(h.p + 4, 2), &n) && n <= 17;
	if (str_starts(h, S("$y$")) || str_starts(h, S("$gy$"))) {
		size_t at = str_find(h, S("$j"));
		const char *c =
		    at + 2 < h.n ? strchr(itoa64, h.p[at + 2]) : NULL;
		/* N is 2 to the power of the digit's value + 1. */
		return c != NULL && c - itoa64 <= 15;
	}
	if (str_starts(h, S("$7$")) && h.n > 3) {
		const char *c = strchr(itoa64, h.p[3]);
		return c != NULL && c - itoa64 <= 18;
	}
	return !str_starts(h, S("$sha1$")) && !str_starts(h, S("$md5"));
}

static const char *
crypt_check(str h)
{
	char c[CRYPT_OUTPUT_SIZE];
	bool traditional = true;

	if (h.n < 13 || h.n >= sizeof(c))
		return "this is no crypt hash";
	memcpy(c, h.p, h.n);
	c[h.n] = '\0';
	for (size_t i = 0; i < h.n; i++)
		if (c[i] <= ' ' || c[i] > '~' || strchr("*!\\:;", c[i]) != NULL)
			return "the password is locked, or no crypt hash";
	for (size_t i = 0; i < h.n; i++)
		if (!(c[i] >= '.' && c[i] <= '9') &&
		    !(c[i] >= 'A' && c[i] <= 'Z') &&
		    !(c[i] >= 'a' && c[i] <= 'z'))
			traditional = false;
	if (c[0] != '$' && !(traditional && h.n == 13))
		return "this is no crypt hash";
	switch (crypt_checksalt(c)) {
	case CRYPT_SALT_OK:
	case CRYPT_SALT_METHOD_LEGACY:
	case CRYPT_SALT_TOO_CHEAP:
		break;
	default:
		return "this crypt method is not known here";
	}
	return crypt_cheap(h) ? NULL : "this hash costs too much";
}

/* ---- Argon2 ---- */

struct argon {
	uint32_t m, t, p;
	struct buf salt, hash;
};

static void
argon_free(struct argon *g)
{
	wipe_buf(&g->salt);
	wipe_buf(&g->hash);
}

static bool
base64_bare(struct buf *out, str s)
{
	struct buf b = {0};
	bool ok;

	buf_str_add(&b, s);
	while (b.n % 4 != 0)
		buf_c(&b, '=');
	ok = s.n % 4 != 1 && base64_get(out, buf_str(&b)) == OK;
	wipe_buf(&b);
	return ok;
}

/* $argon2id$v=19$m=65536,t=3,p=1$salt$hash */
static bool
argon_parse(const struct scheme *s, str rest, struct argon *g)
{
	struct scan c = scan_of(rest);
	str r, salt;

	if (!scan_lit(&c, s->prefix) || !scan_lit(&c, S("v=19$m=")) ||
	    !scan_u32(&c, &g->m) || !scan_lit(&c, S(",t=")) ||
	    !scan_u32(&c, &g->t) || !scan_lit(&c, S(",p=")) ||
	    !scan_u32(&c, &g->p) || !scan_char(&c, '$'))
		return false;
	r = scan_rest(&c);
	salt = str_cut(&r, '$');
	return base64_bare(&g->salt, salt) && base64_bare(&g->hash, r) &&
	       g->salt.n >= 8 && g->salt.n <= 128 && g->hash.n >= 12 &&
	       g->hash.n <= 128 && g->t >= 1 && g->p >= 1 &&
	       g->m >= 8 * (uint64_t)g->p;
}

static bool
argon_verify(const struct scheme *s, str rest, str password)
{
	struct argon g = {0};
	uint8_t mine[128];
	bool ok = false;

	if (argon_parse(s, rest, &g)) {
		/* One thread for all lanes: the pool has its own number. */
		argon2_context c = {
		    .out = mine,
		    .outlen = (uint32_t)g.hash.n,
		    .pwd = (uint8_t *)(uintptr_t)password.p,
		    .pwdlen = (uint32_t)password.n,
		    .salt = (uint8_t *)g.salt.p,
		    .saltlen = (uint32_t)g.salt.n,
		    .t_cost = g.t,
		    .m_cost = g.m,
		    .lanes = g.p,
		    .threads = 1,
		    .version = ARGON2_VERSION_13,
		    .flags = ARGON2_DEFAULT_FLAGS,
		};
		ok = argon2_ctx(&c, (argon2_type)s->variant) == ARGON2_OK &&
		     CRYPTO_memcmp(mine, g.hash.p, g.hash.n) == 0;
	}
	x_wipe(mine, sizeof(mine));
	argon_free(&g);
	return ok;
}

static const char *
argon_check(const struct scheme *s, str rest)
{
	struct argon g = {0};
	const char *why = NULL;

	if (!argon_parse(s, rest, &g))
		why = "this is no Argon2 hash";
	else if (g.m > ARGON_KIB_MAX || g.t > ARGON_PASSES_MAX ||
		 g.p > ARGON_LANES_MAX)
		why = "this hash costs too much";
	argon_free(&g);
	return why;
}

/* ---- PBKDF2: $1$salt$rounds$hex of HMAC-SHA-1's 20 bytes ---- */

static bool
pbkdf2_parse(str rest, str *salt, uint32_t *rounds, struct buf *hash)
{
	if (!str_starts(rest, S("$1$")))
		return false;
	rest = str_from(rest, 3);
	*salt = str_cut(&rest, '$');
	return str_u32(str_cut(&rest, '$'), rounds) && *rounds >= 1 &&
	       *rounds <= ROUNDS_MAX && hex_get(hash, rest) == OK &&
	       hash->n == 20;
}

static bool
pbkdf2_verify(str rest, str password)
{
	struct buf hash = {0};
	uint8_t mine[20];
	uint32_t rounds;
	str salt;
	bool ok;

	ok = pbkdf2_parse(rest, &salt, &rounds, &hash) &&
	     PKCS5_PBKDF2_HMAC(password.p, (int)password.n,
		 (const void *)salt.p, (int)salt.n, (int)rounds, EVP_sha1(),
		 sizeof(mine), mine) == 1 &&
	     CRYPTO_memcmp(mine, hash.p, sizeof(mine)) == 0;
	x_wipe(mine, sizeof(mine));
	wipe_buf(&hash);
	return ok;
}

/* ---- all of them ---- */

static bool
verify_exact(str hash, str password)
{
	struct scram_keys k;
	str enc, rest;
	const struct scheme *s = scheme_of(hash, &enc, &rest);
	bool ok = false;

	if (s == NULL)
		return false;
	switch (s->kind) {
	case K_PLAIN: /* never kept so (hash_import) */
		return false;
	case K_DIGEST:
		return digest_verify(s, rest, password);
	case K_CRYPT:
		return crypt_verify(rest, password);
	case K_ARGON2:
		return argon_verify(s, rest, password);
	case K_PBKDF2:
		return pbkdf2_verify(rest, password);
	case K_SCRAM:
		ok = scram_parse(rest, (enum scram_hash)s->variant, &k) &&
		     scram_verify(&k, (enum scram_hash)s->variant, password);
		x_wipe(&k, sizeof(k));
		return ok;
	}
	return ok;
}

bool
hash_verify(str hash, str password)
{
	struct buf nfc = {0};
	bool ok;

	/* crypt(3) would stop at a NUL: no password has one. */
	if (password.n == 0 || password.n > AUTH_PASSWORD_MAX ||
	    memchr(password.p, 0, password.n) != NULL)
		return false;
	/* Our own hashes are of the NFC form, imported ones of whatever was
	 * typed then; for most passwords that is the same. */
	password_prepare(&nfc, password);
	ok = verify_exact(hash, buf_str(&nfc));
	if (!ok && !str_eq(buf_str(&nfc), password))
		ok = verify_exact(hash, password);
	wipe_buf(&nfc);
	return ok;
}

enum err
hash_make(struct buf *out, str password)
{
	struct crypt_data *cd = x_alloc(sizeof(*cd));
	char setting[CRYPT_GENSALT_OUTPUT_SIZE], random[16];
	struct buf nfc = {0};
	const char *got;
	enum err e = ERR_INVALID;

	if (password.n == 0 || password.n > AUTH_PASSWORD_MAX ||
	    memchr(password.p, 0, password.n) != NULL)
		goto out;
	password_prepare(&nfc, password);
	if (nfc.n > AUTH_PASSWORD_MAX)
		goto out;
	buf_c(&nfc, '\0');
	os_random(random, sizeof(random));
	e = ERR_NOMEM;
	if (crypt_gensalt_rn("$y$", 0, random, sizeof(random), setting,
		sizeof(setting)) == NULL)
		goto out;
	got = crypt_rn(nfc.p, setting, cd, sizeof(*cd));
	if (got == NULL || got[0] == '*')
		goto out;
	buf_s(out, "{CRYPT}");
	buf_str_add(out, str_c(got));
	e = OK;
out:
	wipe_buf(&nfc);
	x_wipe(cd, sizeof(*cd));
	x_free(&cd);
	return e;
}

/* A password in clear is not kept: it becomes a salted digest, quick enough
 * for ten thousand of them. */
static const char *
import_plain(struct buf *out, str password)
{
	uint8_t raw[64 + 16];
	struct buf nfc = {0};
	const char *why = "no usable password";

	if (password.n == 0 || password.n > AUTH_PASSWORD_MAX ||
	    memchr(password.p, 0, password.n) != NULL)
		return why;
	password_prepare(&nfc, password);
	os_random(raw + 64, 16);
	if (digest_of(EVP_sha512(), buf_str(&nfc), str_of(raw + 64, 16), raw)) {
		buf_s(out, "{SSHA512}");
		base64_put(out, str_of(raw, sizeof(raw)));
		why = NULL;
	}
	wipe_buf(&nfc);
	return why;
}

/* Undoes the encoding that is named, or the one of the scheme. A digest
 * without salt tells hex from base64 by its length, as Dovecot does. */
static bool
decode(const struct scheme *s, str enc, str rest, size_t want, struct buf *out)
{
	bool hex = s->hex;

	if (enc.n == 0 && !s->salted && want > 0)
		hex = rest.n == 2 * want;
	else if (str_caseeq(enc, S("HEX")))
		hex = true;
	else if (str_caseeq(enc, S("B64")) || str_caseeq(enc, S("BASE64")))
		hex = false;
	else if (enc.n > 0)
		return false;
	return (hex ? hex_get(out, rest) : base64_get(out, rest)) == OK;
}

static const char *
import_digest(struct buf *out, const struct scheme *s, str enc, str rest)
{
	size_t want = (size_t)EVP_MD_get_size(s->md());
	struct buf raw = {0};
	const char *why = NULL;

	if (!decode(s, enc, rest, want, &raw) || raw.n < want ||
	    (s->salted ? raw.n > want + 128 : raw.n != want)) {
		why = "the hash is malformed";
	} else {
		buf_f(out, "{%.*s}", STR_ARG(s->kept));
		base64_put(out, buf_str(&raw));
	}
	wipe_buf(&raw);
	return why;
}

/* The other kinds have printable forms of their own, which a suffix may
 * wrap once more. */
static const char *
import_other(struct buf *out, const struct scheme *s, str rest,
    struct scram_keys k[SCRAM_HASHES])
{
	struct buf h = {0};
	const char *why = NULL;
	uint32_t rounds;
	str salt;

	if (!str_starts(rest, s->prefix))
		return "the hash is not of this scheme";
	switch (s->kind) {
	case K_CRYPT:
		why = crypt_check(rest);
		break;
	case K_ARGON2:
		why = argon_check(s, rest);
		break;
	case K_PBKDF2:
		if (!pbkdf2_parse(rest, &salt, &rounds, &h))
			why = "the hash is malformed";
		wipe_buf(&h);
		break;
	default:
		if (!scram_parse(
			rest, (enum scram_hash)s->variant, &k[s->variant]))
			why = "the keys are malformed, or their rounds not "
			      "4096 to 1000000";
	}
	if (why == NULL) {
		buf_f(out, "{%.*s}", STR_ARG(s->kept));
		buf_str_add(out, rest);
	}
	return why;
}

const char *
hash_import(struct buf *out, str given, struct scram_keys k[SCRAM_HASHES])
{
	struct buf raw = {0};
	str enc, rest;
	const struct scheme *s = scheme_of(given, &enc, &rest);
	const char *why;

	if (given.n > HASH_MAX)
		return "the hash is too long";
	if (s == NULL)
		return "unknown scheme";
	if (s->kind == K_DIGEST)
		return import_digest(out, s, enc, rest);
	if (enc.n > 0) {
		if (!decode(s, enc, rest, 0, &raw)) {
			wipe_buf(&raw);
			return "the encoding is malformed or not known";
		}
		rest = buf_str(&raw);
	}
	why = s->kind == K_PLAIN ? import_plain(out, rest)
				 : import_other(out, s, rest, k);
	if (why == NULL && out->n > HASH_MAX)
		why = "the hash is too long";
	wipe_buf(&raw);
	return why;
}

str
hash_scheme(str hash)
{
	str enc, rest, id;

	if (hash.n == 0)
		return STR_NONE;
	if (scheme_of(hash, &enc, &rest) == NULL)
		return S("unknown");
	if (!str_starts(hash, S("{CRYPT}")))
		return str_of(hash.p + 1, (size_t)(rest.p - hash.p) - 2);
	if (!str_starts(rest, S("$")))
		return S("DES-CRYPT");
	rest = str_from(rest, 1);
	id = str_cut(&rest, '$');
	if (str_eq(id, S("y")))
		return S("yescrypt");
	if (str_eq(id, S("1")))
		return S("MD5-CRYPT");
	if (str_eq(id, S("5")))
		return S("SHA256-CRYPT");
	if (str_eq(id, S("6")))
		return S("SHA512-CRYPT");
	return id.n > 0 && id.p[0] == '2' ? S("BLF-CRYPT") : S("CRYPT");
}
