/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The throttle of guessing (R35). Failures are counted per address (IPv6:
 * /64, and more generously /48), per name, and per pair of both.
 *
 * (1) An address over its number is refused for the rest of its minute.
 * (2) A name over its number is refused from addresses that have failed
 *     lately, with whatever name; others may still try: nobody is locked
 *     out by a stranger's guessing.
 * (3) The answer to a failure is late: auth_delay_ms, doubling with each
 *     failure of the pair, up to auth_delay_max_ms.
 * (4) Loopback is no address that can guess (web mail logs all its people
 *     in from there): there only the pair and the name count.
 * (5) The table is bounded; the entries not touched longest go first.
 */
#include "auth/auth_int.h"

#define ENTRIES_MAX 65536
#define WINDOW_MS 60000
#define DIRTY_MS 600000 /* how long an address is remembered as failing */
#define NET48_FACTOR 8

struct entry {
	struct entry *older, *newer;
	str key;
	int64_t window_ms; /* when the minute began */
	int64_t last_ms;   /* of the last failure */
	uint32_t failures; /* in this minute */
	uint32_t in_a_row;
};

struct throttle {
	struct map *map;
	struct entry *oldest, *newest;
};

struct throttle *
throttle_new(void)
{
	struct throttle *t = x_alloc(sizeof(*t));

	t->map = map_new();
	return t;
}

static void
list_del(struct throttle *t, struct entry *e)
{
	*(e->older != NULL ? &e->older->newer : &t->oldest) = e->newer;
	*(e->newer != NULL ? &e->newer->older : &t->newest) = e->older;
	e->older = e->newer = NULL;
}

static void
list_add(struct throttle *t, struct entry *e)
{
	e->older = t->newest;
	e->newer = NULL;
	*(t->newest != NULL ? &t->newest->newer : &t->oldest) = e;
	t->newest = e;
}

static void
entry_free(struct throttle *t, struct entry *e)
{
	map_del(t->map, e->key);
	list_del(t, e);
	x_free_str(&e->key);
	x_free(&e);
}

void
throttle_free(struct throttle **tp)
{
	struct throttle *t = *tp;

	if (t == NULL)
		return;
	while (t->oldest != NULL)
		entry_free(t, t->oldest);
	map_free(&t->map);
	x_free(tp);
}

size_t
throttle_count(const struct throttle *t)
{
	return map_count(t->map);
}

static void
key_make(struct buf *k, char kind, str a, str b)
{
	buf_reset(k);
	buf_c(k, kind);
	enc_str(k, a);
	buf_str_add(k, b);
}

/* (4): the key of ::1 is that of ::/64. */
static bool
local(str a)
{
	static const char zero[16];

	if (a.n == 0)
		return true;
	if (a.n == 4)
		return memcmp(a.p, "\x7f\0\0\1", 4) == 0;
	return a.n >= 8 && a.n <= 16 && memcmp(a.p, zero, a.n - 1) == 0 &&
	       (unsigned char)a.p[a.n - 1] <= 1;
}

static struct entry *
find(struct throttle *t, char kind, str a, str b)
{
	struct buf k = {0};
	struct entry *e;

	key_make(&k, kind, a, b);
	e = map_get(t->map, buf_str(&k));
	buf_free(&k);
	return e;
}

static bool
over(const struct entry *e, int64_t now, uint64_t most)
{
	if (e == NULL || now - e->window_ms >= WINDOW_MS || e->failures < most)
		return false;
	limit_hit(LIMIT_auth_failures_per_minute, STR_NONE);
	return true;
}

bool
throttle_pass(struct throttle *t, str address, str name)
{
	int64_t now = os_mono_ms();
	uint64_t most = limits.auth_failures_per_minute;
	struct entry *e, *pair = find(t, 'p', address, name);

	if (over(pair, now, most))
		return false;
	e = find(t, 'a', address, STR_NONE);
	if (!local(address)) {
		if (over(e, now, most))
			return false;
		if (address.n >= 8 &&
		    over(find(t, 'b', str_head(address, 6), STR_NONE), now,
			most * NET48_FACTOR))
			return false;
	} else {
		e = pair;
	}
	/* (2) */
	return !over(find(t, 'n', name, STR_NONE), now, most) || e == NULL ||
	       now - e->last_ms >= DIRTY_MS;
}

bool
throttle_doubts(struct throttle *t, str address, str name)
{
	const struct entry *a = find(t, 'a', address, STR_NONE);
	const struct entry *n = find(t, 'n', name, STR_NONE);
	int64_t now = os_mono_ms();

	return (a != NULL && now - a->last_ms < DIRTY_MS) ||
	       (n != NULL && now - n->last_ms < WINDOW_MS);
}

static struct entry *
touch(struct throttle *t, char kind, str a, str b)
{
	int64_t now = os_mono_ms();
	struct buf k = {0};
	struct entry *e;

	key_make(&k, kind, a, b);
	e = map_get(t->map, buf_str(&k));
	if (e == NULL) {
		if (map_count(t->map) >= ENTRIES_MAX)
			entry_free(t, t->oldest);
		e = x_alloc(sizeof(*e));
		e->key = x_dup(buf_str(&k));
		e->window_ms = now;
		map_put(t->map, e->key, e);
	} else {
		list_del(t, e);
	}
	list_add(t, e);
	buf_free(&k);
	if (now - e->window_ms >= WINDOW_MS) {
		e->window_ms = now;
		e->failures = 0;
	}
	if (now - e->last_ms >= DIRTY_MS)
		e->in_a_row = 0;
	e->last_ms = now;
	e->failures++;
	e->in_a_row++;
	return e;
}

uint32_t
throttle_failed(struct throttle *t, str address, str name)
{
	uint64_t delay = limits.auth_delay_ms;
	uint32_t row;

	if (!local(address)) {
		touch(t, 'a', address, STR_NONE);
		if (address.n >= 8)
			touch(t, 'b', str_head(address, 6), STR_NONE);
	}
	touch(t, 'n', name, STR_NONE);
	row = touch(t, 'p', address, name)->in_a_row;
	for (uint32_t i = 1; i < row && delay < limits.auth_delay_max_ms; i++)
		delay *= 2;
	return (uint32_t)MIN(delay, limits.auth_delay_max_ms);
}

void
throttle_succeeded(struct throttle *t, str address, str name)
{
	struct entry *e = find(t, 'p', address, name);

	if (e != NULL)
		entry_free(t, e);
}
