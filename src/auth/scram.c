/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * SCRAM keys from a password (RFC 5802, section 3), and the form of
 * passwords.
 */
#include <stdlib.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "auth/auth_int.h"

static const EVP_MD *
digest(enum scram_hash h)
{
	return h == SCRAM_SHA1 ? EVP_sha1() : EVP_sha256();
}

size_t
scram_size(enum scram_hash h)
{
	return h == SCRAM_SHA1 ? 20 : 32;
}

/* Clients apply SASLprep to the password before they hash it; what it does
 * not allow they send as it is, or not at all. */
static char *
password_sasl(str password)
{
	char *c = x_cstr(password), *prep = NULL;
	char *keep = NULL;

	if (memchr(password.p, 0, password.n) == NULL &&
	    gsasl_saslprep(c, GSASL_ALLOW_UNASSIGNED, &prep, NULL) == GSASL_OK)
		keep = x_cstr(str_c(prep));
	if (prep != NULL) {
		x_wipe(prep, strlen(prep));
		gsasl_free(prep);
	}
	if (keep == NULL)
		return c;
	x_wipe(c, password.n);
	x_free(&c);
	return keep;
}

/* From k's salt and iter and the password to its two keys. */
static enum err
derive(struct scram_keys *k, enum scram_hash h, str password)
{
	uint8_t salted[32], client[32];
	unsigned n = (unsigned)scram_size(h);
	char *pw = password_sasl(password);
	bool ok;

	ok = PKCS5_PBKDF2_HMAC(pw, (int)strlen(pw), k->salt, k->nsalt,
		 (int)k->iter, digest(h), (int)n, salted) == 1 &&
	     HMAC(digest(h), salted, (int)n, (const void *)"Client Key", 10,
		 client, NULL) != NULL &&
	     EVP_Digest(client, n, k->stored, NULL, digest(h), NULL) == 1 &&
	     HMAC(digest(h), salted, (int)n, (const void *)"Server Key", 10,
		 k->server, NULL) != NULL;
	x_wipe(salted, sizeof(salted));
	x_wipe(client, sizeof(client));
	x_wipe(pw, strlen(pw));
	x_free(&pw);
	return ok ? OK : ERR_NOMEM;
}

enum err
scram_make(struct scram_keys *k, enum scram_hash h, str password, uint32_t iter)
{
	memset(k, 0, sizeof(*k));
	k->iter = MIN(MAX(iter, SCRAM_ITER_MIN), SCRAM_ITER_MAX);
	k->nsalt = 16;
	os_random(k->salt, k->nsalt);
	return derive(k, h, password);
}

bool
scram_verify(const struct scram_keys *k, enum scram_hash h, str password)
{
	struct scram_keys mine = *k;
	bool ok;

	ok = derive(&mine, h, password) == OK &&
	     CRYPTO_memcmp(mine.stored, k->stored, scram_size(h)) == 0;
	x_wipe(&mine, sizeof(mine));
	return ok;
}

/* Dovecot's form: iter,salt,stored,server, the last three in base64. */
bool
scram_parse(str s, enum scram_hash h, struct scram_keys *k)
{
	struct buf b[3] = {0};
	uint32_t iter;
	bool ok = false;

	memset(k, 0, sizeof(*k));
	if (!str_u32(str_cut(&s, ','), &iter) || iter < SCRAM_ITER_MIN ||
	    iter > SCRAM_ITER_MAX)
		return false;
	for (int i = 0; i < 3; i++)
		if (base64_get(&b[i], i < 2 ? str_cut(&s, ',') : s) != OK)
			goto out;
	if (b[0].n == 0 || b[0].n > SALT_MAX || b[1].n != scram_size(h) ||
	    b[2].n != scram_size(h))
		goto out;
	k->iter = iter;
	k->nsalt = (uint8_t)b[0].n;
	memcpy(k->salt, b[0].p, b[0].n);
	memcpy(k->stored, b[1].p, b[1].n);
	memcpy(k->server, b[2].p, b[2].n);
	ok = true;
out:
	for (int i = 0; i < 3; i++)
		wipe_buf(&b[i]);
	return ok;
}

void
password_prepare(struct buf *out, str password)
{
	struct buf b = {0};

	if (utf8_nfc(&b, password) == OK)
		buf_str_add(out, buf_str(&b));
	else
		buf_str_add(out, password);
	wipe_buf(&b);
}

void
wipe_buf(struct buf *b)
{
	if (b->p != NULL)
		x_wipe(b->p, b->cap);
	buf_free(b);
}
