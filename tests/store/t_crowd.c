/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Many threads at once on one store: they deliver, append, change flags,
 * expunge, copy, look and sleep, while the store sweeps, expires and compacts.
 * At the end nothing is lost and the check is clean; run under the thread
 * sanitizer. (R114, R115, R119)
 */
#include <pthread.h>
#include <unistd.h>

#include "store/log.h"
#include "store/mailbox.h"
#include "store/t_store.h"

enum { THREADS = 6, ROUNDS = 60, ACCOUNTS = 3 };

struct worker {
	struct fix *f;
	struct rnd r;
	unsigned n;
	unsigned delivered[ACCOUNTS];
	pthread_t t;
	unsigned started;
	atomic_uint done;
};

/* A delivery that nobody waits for. */
struct started {
	struct worker *w;
	struct delivery d[ACCOUNTS];
	size_t n;
	struct buf m;
	atomic_uint calls;
};

static struct acct *
open_account(struct fix *f, uint64_t id)
{
	struct grant g = {.kind = GRANT_LOGIN, .account = 100 + id};
	struct acct *a;

	assert_int_equal(acct_open(f->st, &g, S("somebody"), &a), OK);
	return a;
}

static void
started_done(void *arg)
{
	struct started *x = arg;
	struct worker *w = x->w;

	assert_int_equal(atomic_fetch_add(&x->calls, 1), 0);
	for (size_t i = 0; i < x->n; i++)
		assert_int_equal(x->d[i].result, OK);
	buf_free(&x->m);
	x_free(&x);
	atomic_fetch_add(&w->done, 1);
}

static void
deliver(struct worker *w, struct acct **a, str m)
{
	struct started *x = x_alloc(sizeof(*x));
	struct stamp now = {1500000000, 0};
	size_t n = 1 + rnd(&w->r, ACCOUNTS);

	x->w = w;
	x->n = n;
	buf_str_add(&x->m, m);
	for (size_t i = 0; i < n; i++) {
		x->d[i] = (struct delivery){.account = a[i],
		    .prefix = S("Return-Path: <x@example.org>\r\n")};
		w->delivered[i]++;
	}
	w->started++;
	if (rnd(&w->r, 2) == 0) {
		store_deliver_start(w->f->st, x->d, n, buf_str(&x->m), STR_NONE,
		    now, started_done, x);
		return;
	}
	store_deliver(w->f->st, x->d, n, buf_str(&x->m), STR_NONE, now);
	started_done(x);
}

/* All that was started comes to its end, by whatever thread. */
static void
deliver_all(struct worker *w)
{
	for (int i = 0; i < 10000 && atomic_load(&w->done) < w->started; i++)
		usleep(1000);
	assert_int_equal(atomic_load(&w->done), w->started);
}

static void
change(struct worker *w, struct acct *a, struct view *v, struct arena *ar)
{
	uint32_t n = view_exists(v);
	uint32_t seq = n == 0 ? 0 : (uint32_t)rnd(&w->r, n) + 1;
	uint32_t uid = view_uid(v, seq);
	struct ranges set = {0};
	struct changes c;
	struct entry e;
	uint32_t validity;
	uint32_t *from, *to;
	size_t k;

	if (uid == 0)
		return;
	ranges_add(&set, uid, uid);
	switch (rnd(&w->r, 5)) {
	case 0:
	case 1: {
		str kw = arena_f(ar, "kw%u", (unsigned)rnd(&w->r, 80));
		struct flag_change f = {.op = (enum flag_op)rnd(&w->r, 3),
		    .flags = {(unsigned)rnd(&w->r, 8), &kw, 1},
		    .unchangedsince = UINT64_MAX,
		    .silent = true};

		assert_int_equal(store_flags(v, &set, &f, NULL, NULL), OK);
		break;
	}
	case 2:
		assert_int_equal(store_copy(v, &set, 4, false, ar, &validity,
				     &from, &to, &k),
		    OK);
		break;
	case 3:
		assert_int_equal(view_entries(v, seq, &e, 1), 1);
		if (!e.expunged || e.message != 0)
			assert_int_equal((int)(e.size > 0), 1);
		break;
	default:
		view_park(v);
	}
	assert_int_equal(view_sync(v, SYNC_ALL, ar, &c), OK);
	changes_free(&c);
	ranges_free(&set);
}

static void *
work(void *arg)
{
	struct worker *w = arg;
	struct arena *ar = arena_new(0);
	struct acct *a[ACCOUNTS];
	struct view *v;
	char subject[40];

	for (unsigned i = 0; i < ACCOUNTS; i++)
		a[i] = open_account(w->f, i);
	assert_int_equal(view_open(a[0], 1, false, w->n, &v), OK);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct buf b = {0};

		snprintf(subject, sizeof(subject), "t%u-%u", w->n, i % 7);
		buf_f(&b, "Subject: %s\r\nMessage-ID: <%s@x>\r\n\r\n%s\r\n",
		    subject, subject, subject);
		deliver(w, a, buf_str(&b));
		buf_free(&b);
		change(w, a[0], v, ar);
		arena_reset(ar);
	}
	view_close(&v);
	deliver_all(w);
	for (unsigned i = 0; i < ACCOUNTS; i++)
		acct_close(&a[i]);
	arena_free(&ar);
	return NULL;
}

/* Copies in one mailbox are expunged; the store tidies up. */
static void *
tidy(void *arg)
{
	struct worker *w = arg;
	struct acct *a = open_account(w->f, 0);

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct view *v;
		bool more;

		assert_int_equal(view_open(a, 4, false, 0, &v), OK);
		assert_int_equal(store_expunge(v, NULL, true, NULL), OK);
		view_close(&v);
		resident_sweep(w->f->st, true);
		assert_int_equal(store_expire(w->f->st, &more), OK);
		assert_int_equal(store_compact(w->f->st, &more), OK);
	}
	acct_close(&a);
	return NULL;
}

static void
test_threads(void **state)
{
	struct fix *f = fix_new();
	struct worker w[THREADS + 1] = {0};
	unsigned all[ACCOUNTS] = {0};

	limits.segment_bytes = 50000;
	limits.expunged_keep_s = 0;
	for (unsigned i = 0; i <= THREADS; i++) {
		w[i].f = f;
		w[i].n = i + 1;
		w[i].r.state = i * 77;
		pthread_create(&w[i].t, NULL, i < THREADS ? work : tidy, &w[i]);
	}
	for (unsigned i = 0; i <= THREADS; i++) {
		pthread_join(w[i].t, NULL);
		for (unsigned j = 0; j < ACCOUNTS; j++)
			all[j] += w[i].delivered[j];
	}
	for (int round = 0; round < 3; round++) {
		for (unsigned j = 0; j < ACCOUNTS; j++) {
			struct acct *a = open_account(f, j);
			struct mailbox_status s;

			assert_int_equal(mailbox_status(a, 1, &s), OK);
			assert_int_equal(s.messages, all[j]);
			acct_close(&a);
		}
		fix_check(f);
		assert_int_equal(fix_reopen_as(f, round == 1), OK);
	}
	limits_default(&limits);
	fix_free(f);
}

/* One flush for a crowd: far fewer flushes than changes. */
static void
test_groups(void **state)
{
	struct fix *f = fix_new();
	struct worker w[THREADS] = {0};
	struct store_stats before, after;

	store_stats(f->st, &before);
	for (unsigned i = 0; i < THREADS; i++) {
		w[i].f = f;
		w[i].n = i + 1;
		pthread_create(&w[i].t, NULL, work, &w[i]);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(w[i].t, NULL);
	store_stats(f->st, &after);
	assert_true(
	    after.flushes - before.flushes < after.changes - before.changes);
	fix_free(f);
}

/* A segment that was begun for a group on its way is empty: compaction must
 * not take it for dead, or what comes into it is missing from the log. */
static void
test_begun(void **state)
{
	struct fix *f = fix_new();
	struct logref at;
	struct mailbox_status s;
	bool more;
	unsigned n = 0;

	limits.segment_bytes = 4000;
	for (; n < 10; n++)
		fix_append(f, "before", 0);
	/* As the committer does between a group's plan and its flush. */
	do {
		fix_append(f, "before", 0);
		n++;
		pthread_mutex_lock(&f->st->apply_mu);
		assert_int_equal(log_place(f->st, &at), OK);
		pthread_mutex_unlock(&f->st->apply_mu);
	} while (at.off > SEGMENT_HEAD + GROUP_HEAD);
	for (int i = 0; i < 2; i++)
		assert_int_equal(store_compact(f->st, &more), OK);
	for (int i = 0; i < 30; i++, n++)
		fix_append(f, "after", 0);
	do
		assert_int_equal(store_compact(f->st, &more), OK);
	while (more);
	limits_default(&limits);
	limits.index_map_bytes = UINT64_C(1) << 30;
	assert_int_equal(fix_reopen_as(f, true), OK);
	assert_int_equal(mailbox_status(f->a, 1, &s), OK);
	assert_int_equal(s.messages, n);
	fix_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_threads),
	    cmocka_unit_test(test_groups),
	    cmocka_unit_test(test_begun),
	};

	return cmocka_run_group_tests_name("store-crowd", tests, NULL, NULL);
}
