/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The store's own limits, each at one below, at and one beyond: what is kept
 * for how long, when a segment is full, when the index is written and when
 * its map is full. R124
 */
#include "store/t_store.h"
#include "store/index_int.h"
#include "store/log.h"

enum { MIB = 1 << 20, PAGE = 4096 };
#define START INT64_C(1750000000000)

/* Bytes of which none are saved by compression. */
static str
noise(struct fix *f, uint64_t seed, size_t n)
{
	struct rnd r = {.state = seed};
	char *p = arena_alloc(f->ar, n + 8);

	assert_non_null(p);
	for (size_t i = 0; i < n; i += 8) {
		uint64_t v = rnd64(&r);

		memcpy(p + i, &v, 8);
	}
	return str_of(p, n);
}

static void
put(struct fix *f, str value)
{
	struct key k = key_of('~', 1);

	pthread_mutex_lock(&f->st->apply_mu);
	index_put(f->st, &k, value);
	pthread_mutex_unlock(&f->st->apply_mu);
}

static bool
count_row(void *ctx, str key, str value)
{
	++*(unsigned *)ctx;
	return true;
}

/* How many expunged wait in the index. */
static unsigned
waiting(struct fix *f)
{
	struct key all = {.p = "E", .n = 1};
	unsigned n = 0;

	assert_int_equal(index_flush(f->st), OK);
	assert_int_equal(index_scan(f->st, &all, STR_NONE, count_row, &n), OK);
	return n;
}

/* R124: expunged_keep_s -1 0 +1, in milliseconds too. */
static void
test_keep(void **state)
{
	static const int64_t around[] = {-1000, -1, 0, 1, 1000};
	int64_t now = START;
	struct fix *f;

	os_clock_fix(now, now);
	f = fix_new();
	limits.expunged_keep_s = 7;
	for (size_t i = 0; i < NELEM(around); i++) {
		int64_t late =
		    now + (int64_t)limits.expunged_keep_s * 1000 + around[i];
		struct view *v;
		bool more;

		fix_append(f, "a", FLAG_DELETED);
		v = fix_view(f, 1);
		assert_int_equal(store_expunge(v, NULL, true, NULL), OK);
		view_close(&v);
		assert_int_equal(waiting(f), 1);
		os_clock_fix(late, late);
		assert_int_equal(store_expire(f->st, &more), OK);
		assert_int_equal(waiting(f), around[i] < 0);
		now += 1000000;
		os_clock_fix(now, now);
		assert_int_equal(store_expire(f->st, &more), OK);
		assert_int_equal(waiting(f), 0);
	}
	fix_check(f);
	fix_free(f);
}

static struct log_pos
log_end(struct fix *f)
{
	struct segment **v;
	struct log_pos end;
	size_t n;

	assert_int_equal(log_segments(f->st, &v, &n, &end), OK);
	for (size_t i = 0; i < n; i++)
		segment_unref(&v[i]);
	x_free(&v);
	return end;
}

/* R124: segment_bytes -1 0 +1: a segment that has as many takes no more. */
static void
test_segment(void **state)
{
	struct fix *f = fix_new();

	for (int more = -1; more <= 1; more++) {
		struct log_pos was, now;

		limits.segment_bytes = 4 * MIB;
		do {
			assert_int_equal(
			    fix_append_to(f, 1,
				noise(f, (uint64_t)more + 5, 300000), 0, NULL),
			    OK);
			was = log_end(f);
		} while (was.off <= MIB + PAGE);
		limits.segment_bytes = (uint64_t)((int64_t)was.off - more);
		assert_true(limits.segment_bytes >= MIB);
		fix_append(f, "next", 0);
		now = log_end(f);
		assert_int_equal(now.seg, was.seg + (more >= 0));
		assert_int_equal(now.off < was.off, more >= 0);
	}
	fix_check(f);
	fix_free(f);
}

/* R124: index_commit_bytes -1 0 +1: with as many it is written at once. */
static void
test_commit_bytes(void **state)
{
	struct fix *f = fix_new();
	struct index *ix = f->st->index;
	size_t rest;

	assert_int_equal(index_flush(f->st), OK);
	limits.index_commit_bytes = 65536;
	put(f, S("x"));
	rest = ix->active.bytes - 1;
	for (int more = -1; more <= 1; more++) {
		size_t n = (size_t)((int64_t)limits.index_commit_bytes + more);

		put(f, noise(f, 1, n - rest));
		assert_int_equal(ix->active.bytes, n);
		assert_int_equal(index_due(f->st), more >= 0);
	}
	fix_free(f);
}

/* How many pages the index has when a row of n bytes is in it; 0: the map
 * is full, and what was there is there. */
static size_t
pages(uint64_t map, size_t n)
{
	struct fix *f = fix_new();
	struct buf b = {0};
	struct key k = key_of('~', 1);
	MDB_envinfo info;
	enum err e;

	limits.index_map_bytes = map;
	fix_reopen(f);
	put(f, noise(f, 2, n));
	log_setup("test", LOG_ERROR + 1);
	e = index_flush(f->st);
	assert_true(e == OK || e == ERR_FULL);
	assert_int_equal(index_get(f->st, &k, &b), OK);
	assert_int_equal(b.n, n);
	assert_int_equal(mdb_env_info(f->st->index->env, &info), 0);
	fix_free(f);
	log_setup("test", LOG_ERROR);
	buf_free(&b);
	return e == OK ? info.me_last_pgno + 1 : 0;
}

/* R124: index_map_bytes -1 0 +1, in pages, of which LMDB leaves one empty:
 * the least map that may be set is full when that many are used. */
static void
test_map(void **state)
{
	size_t map = 1 << 24, n = 15 * MIB, used;

	os_clock_fix(START, START);
	used = pages(64 * MIB, n);
	assert_true(used > n / PAGE && used < map / PAGE);
	for (int more = -1; more <= 1; more++) {
		size_t want = (size_t)((int64_t)(map / PAGE) + more);
		size_t got = pages(map, n + (want - used) * PAGE);

		limits.index_map_bytes = map;
		assert_int_equal(got, more < 0 ? want : 0);
	}
}

static bool
unwritten(struct index *ix)
{
	bool yes;

	pthread_mutex_lock(&ix->mu);
	yes = ix->active.m != NULL || ix->flushing.m != NULL;
	pthread_mutex_unlock(&ix->mu);
	return yes;
}

/* R124: index_commit_ms -1 0 +1: what is changed is not written before, and
 * then soon (how soon is the machine's affair). */
static void
test_commit_ms(void **state)
{
	struct fix *f = fix_new();
	struct store_opts o = {.dir = f->dir, .fatal = fix_fatal};
	struct grant g = {.kind = GRANT_LOGIN, .account = 7};

	for (int more = -1; more <= 1; more++) {
		uint64_t ms = 150 + (uint64_t)more;
		int64_t start, end;

		acct_close(&f->a);
		store_close(&f->st);
		limits.index_commit_ms = ms;
		assert_int_equal(store_open(&o, &f->st), OK);
		assert_int_equal(acct_open(f->st, &g, S("ann"), &f->a), OK);
		while (unwritten(f->st->index))
			usleep(1000);
		start = os_mono_us();
		fix_append(f, "m", 0);
		while (unwritten(f->st->index))
			usleep(200);
		end = os_mono_us();
		assert_true(end - start >= (int64_t)ms * 1000);
		assert_true(end - start < 10 * 1000000);
	}
	fix_free(f);
}

static int
restore(void **state)
{
	limits_default(&limits);
	os_clock_fix(-1, -1);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(test_keep, restore),
	    cmocka_unit_test_teardown(test_segment, restore),
	    cmocka_unit_test_teardown(test_commit_bytes, restore),
	    cmocka_unit_test_teardown(test_map, restore),
	    cmocka_unit_test_teardown(test_commit_ms, restore),
	};

	return cmocka_run_group_tests_name("store-limits", tests, NULL, NULL);
}
