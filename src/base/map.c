/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * A hash map with open addressing and linear probing.
 *
 * (1) cap is a power of two; used (entries and tombstones) stays below
 *     three quarters of it, so that every probe ends at an empty slot.
 * (2) A slot's hash is EMPTY, GONE, or a hash with bit 1 set. Deleting
 *     leaves a tombstone and moves nothing, so that map_next may be mixed
 *     with map_del of the entry just visited.
 * (3) Short keys (numbers among them) stand in the slot, long ones on the
 *     heap.
 */
#include "base/base.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { EMPTY = 0, GONE = 1, MARK = 2, INLINE_MAX = 16, FIRST = 16 };

struct slot {
	uint64_t hash;
	union {
		char in[INLINE_MAX];
		char *out;
	} key;
	size_t n;
	void *value;
};

struct map {
	struct slot *v;
	size_t cap;
	size_t used; /* entries and tombstones */
	size_t count;
};

static uint64_t secret;

void
hash_seed(uint64_t s)
{
	secret = s;
}

uint64_t
hash_xxh3(str s, uint64_t seed)
{
	return XXH3_64bits_withSeed(s.n == 0 ? "" : s.p, s.n, seed);
}

uint64_t
hash_keyed(str s)
{
	return hash_xxh3(s, secret);
}

static uint64_t
hash_of(str key)
{
	return hash_keyed(key) | MARK;
}

static str
key_of(const struct slot *s)
{
	return (str){s->n <= INLINE_MAX ? s->key.in : s->key.out, s->n};
}

struct map *
map_new(void)
{
	return x_alloc(sizeof(struct map));
}

void
map_free(struct map **m)
{
	if (*m == NULL)
		return;
	for (size_t i = 0; i < (*m)->cap; i++) {
		struct slot *s = &(*m)->v[i];

		if (s->hash > GONE && s->n > INLINE_MAX)
			x_free(&s->key.out);
	}
	x_free(&(*m)->v);
	x_free(m);
}

static struct slot *
find(const struct map *m, str key, uint64_t hash)
{
	if (m->cap == 0)
		return NULL;
	for (size_t i = hash >> 2;; i++) {
		struct slot *s = &m->v[i & (m->cap - 1)];

		if (s->hash == EMPTY)
			return NULL;
		if (s->hash == hash && str_eq(key_of(s), key))
			return s;
	}
}

/* The first slot on the key's way that holds no entry. */
static struct slot *
vacant(struct map *m, uint64_t hash)
{
	for (size_t i = hash >> 2;; i++) {
		struct slot *s = &m->v[i & (m->cap - 1)];

		if (s->hash <= GONE)
			return s;
	}
}

/* Makes (1) hold for one entry more; drops the tombstones on the way. */
static void
make_room(struct map *m)
{
	struct slot *old = m->v;
	size_t old_cap = m->cap;

	if (m->cap > 0 && (m->used + 1) * 4 <= m->cap * 3)
		return;
	m->cap = MAX((size_t)FIRST, old_cap);
	while ((m->count + 1) * 2 > m->cap)
		m->cap *= 2;
	m->v = x_array(m->cap, sizeof(*m->v));
	for (size_t i = 0; i < old_cap; i++)
		if (old[i].hash > GONE)
			*vacant(m, old[i].hash) = old[i];
	m->used = m->count;
	x_free(&old);
}

size_t
map_count(const struct map *m)
{
	return m->count;
}

void *
map_get(const struct map *m, str key)
{
	struct slot *s = find(m, key, hash_of(key));

	return s == NULL ? NULL : s->value;
}

void *
map_put(struct map *m, str key, void *value)
{
	uint64_t hash = hash_of(key);
	struct slot *s = find(m, key, hash);
	void *old = NULL;

	if (s != NULL) {
		old = s->value;
		s->value = value;
		return old;
	}
	make_room(m);
	s = vacant(m, hash);
	if (s->hash == EMPTY)
		m->used++;
	m->count++;
	s->hash = hash;
	s->n = key.n;
	s->value = value;
	if (key.n > INLINE_MAX)
		s->key.out = x_cstr(key);
	else if (key.n > 0)
		memcpy(s->key.in, key.p, key.n);
	return old;
}

void *
map_del(struct map *m, str key)
{
	struct slot *s = find(m, key, hash_of(key));
	void *old;

	if (s == NULL)
		return NULL;
	old = s->value;
	if (s->n > INLINE_MAX)
		x_free(&s->key.out);
	s->hash = GONE;
	s->value = NULL;
	m->count--;
	return old;
}

bool
map_next(const struct map *m, size_t *at, str *key, void **value)
{
	for (; *at < m->cap; ++*at) {
		const struct slot *s = &m->v[*at];

		if (s->hash > GONE) {
			if (key != NULL)
				*key = key_of(s);
			if (value != NULL)
				*value = s->value;
			++*at;
			return true;
		}
	}
	return false;
}

void *
map_get_u64(const struct map *m, uint64_t key)
{
	return map_get(m, str_of(&key, sizeof(key)));
}

void *
map_put_u64(struct map *m, uint64_t key, void *value)
{
	return map_put(m, str_of(&key, sizeof(key)), value);
}

void *
map_del_u64(struct map *m, uint64_t key)
{
	return map_del(m, str_of(&key, sizeof(key)));
}
