/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Verified passwords, for limits.auth_cache_s: web mail logs in for every
 * click, and a hash costs tens of milliseconds.
 *
 * (1) An entry is an HMAC, under a key of this process, of account,
 *     mechanism and password; its place is account and mechanism, so that
 *     two people never share one (R39).
 * (2) It can only say yes: whatever it does not have is hashed.
 * (3) It holds for the state of the account it was made with: a change of
 *     password or state counts gen up.
 */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "auth/auth_int.h"

#define ENTRIES_MAX 65536

struct entry {
	struct entry *older, *newer;
	str key;
	uint32_t gen;
	int64_t until_ms;
	uint8_t mac[32];
};

struct cache {
	struct map *map;
	struct entry *oldest, *newest;
	uint8_t key[32];
};

struct cache *
cache_new(void)
{
	struct cache *c = x_alloc(sizeof(*c));

	c->map = map_new();
	os_random(c->key, sizeof(c->key));
	return c;
}

static void
entry_free(struct cache *c, struct entry *e)
{
	map_del(c->map, e->key);
	*(e->older != NULL ? &e->older->newer : &c->oldest) = e->newer;
	*(e->newer != NULL ? &e->newer->older : &c->newest) = e->older;
	x_free_str(&e->key);
	x_wipe(e, sizeof(*e));
	x_free(&e);
}

void
cache_free(struct cache **cp)
{
	struct cache *c = *cp;

	if (c == NULL)
		return;
	while (c->oldest != NULL)
		entry_free(c, c->oldest);
	map_free(&c->map);
	x_wipe(c->key, sizeof(c->key));
	x_free(cp);
}

size_t
cache_count(const struct cache *c)
{
	return map_count(c->map);
}

static void
key_make(struct buf *k, uint64_t account, str mech)
{
	enc_u64(k, account);
	buf_str_add(k, mech);
}

static bool
mac_of(
    struct cache *c, uint64_t account, str mech, str password, uint8_t mac[32])
{
	struct buf b = {0};
	bool ok;

	enc_u64(&b, account);
	enc_str(&b, mech);
	enc_str(&b, password);
	ok = HMAC(EVP_sha256(), c->key, sizeof(c->key), (const void *)b.p, b.n,
		 mac, NULL) != NULL;
	wipe_buf(&b);
	return ok;
}

bool
cache_has(struct cache *c, const struct acct *u, str mech, str password)
{
	struct buf k = {0};
	struct entry *e;
	uint8_t mac[32];
	bool ok = false;

	key_make(&k, u->id, mech);
	if ((e = map_get(c->map, buf_str(&k))) != NULL) {
		if (os_mono_ms() >= e->until_ms || e->gen != u->gen)
			entry_free(c, e);
		else
			ok = !u->disabled &&
			     mac_of(c, u->id, mech, password, mac) &&
			     CRYPTO_memcmp(mac, e->mac, sizeof(mac)) == 0;
	}
	x_wipe(mac, sizeof(mac));
	buf_free(&k);
	return ok;
}

void
cache_put(struct cache *c, const struct acct *u, str mech, str password)
{
	struct entry *e = x_alloc(sizeof(*e)), *old;
	struct buf k = {0};

	if (!mac_of(c, u->id, mech, password, e->mac)) {
		x_free(&e);
		return;
	}
	key_make(&k, u->id, mech);
	if ((old = map_get(c->map, buf_str(&k))) != NULL)
		entry_free(c, old);
	else if (map_count(c->map) >= ENTRIES_MAX)
		entry_free(c, c->oldest);
	e->key = x_dup(buf_str(&k));
	e->gen = u->gen;
	e->until_ms = os_mono_ms() + (int64_t)limits.auth_cache_s * 1000;
	map_put(c->map, e->key, e);
	e->older = c->newest;
	*(c->newest != NULL ? &c->newest->newer : &c->oldest) = e;
	c->newest = e;
	buf_free(&k);
}

void
cache_drop(struct cache *c, uint64_t account)
{
	static const str mechs[] = {S(""), S("PLAIN"), S("LOGIN")};
	struct buf k = {0};
	struct entry *e;

	for (size_t i = 0; i < NELEM(mechs); i++) {
		buf_reset(&k);
		key_make(&k, account, mechs[i]);
		if ((e = map_get(c->map, buf_str(&k))) != NULL)
			entry_free(c, e);
	}
	buf_free(&k);
}
