/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* The throttle (R35) and the cache of verified passwords (R39). */
#include <semaphore.h>
#include <unistd.h>

#include "t_auth.h"

static const char v6a[] = {0x20, 1, 0xd, (char)0xb8, 0, 1, 0, 2};

static void
test_delay(void **state)
{
	struct throttle *t = throttle_new();
	str a = S("\xc0\x00\x02\x01"), b = S("\xc0\x00\x02\x02");
	static const uint32_t want[] = {
	    1000, 2000, 4000, 8000, 16000, 16000, 16000};

	os_clock_fix(1000000, 1000000);
	assert_false(throttle_doubts(t, a, S("ann")));
	for (size_t i = 0; i < NELEM(want); i++)
		assert_int_equal(throttle_failed(t, a, S("ann")), want[i]);
	assert_true(throttle_doubts(t, a, S("bob")));
	assert_true(throttle_doubts(t, b, S("ann")));
	assert_false(throttle_doubts(t, b, S("bob")));
	/* Another address, another name: from the start. */
	assert_int_equal(throttle_failed(t, b, S("ann")), 1000);
	assert_int_equal(throttle_failed(t, a, S("bob")), 1000);
	throttle_succeeded(t, a, S("ann"));
	assert_int_equal(throttle_failed(t, a, S("ann")), 1000);
	throttle_free(&t);
	os_clock_fix(-1, 0);
}

/* R124: auth_delay_ms -1 0 +1; and auth_delay_max_ms -1 0 +1 beside what
 * doubling gives. */
static void
test_delay_limits(void **state)
{
	str a = S("\xc0\x00\x02\x01");

	os_clock_fix(1000000, 1000000);
	for (int more = -1; more <= 1; more++) {
		struct throttle *t = throttle_new();
		uint32_t first = (uint32_t)(700 + more);

		limits.auth_delay_ms = first;
		limits.auth_delay_max_ms = 60000;
		assert_int_equal(throttle_failed(t, a, S("ann")), first);
		assert_int_equal(throttle_failed(t, a, S("ann")), 2 * first);
		limits.auth_delay_ms = 700;
		limits.auth_delay_max_ms = (uint64_t)(1400 + more);
		assert_int_equal(throttle_failed(t, a, S("bob")), 700);
		assert_int_equal(
		    throttle_failed(t, a, S("bob")), more < 0 ? 1399 : 1400);
		for (int i = 0; i < 40; i++)
			assert_int_equal(
			    throttle_failed(t, a, S("bob")), 1400 + more);
		/* The first one is no longer than the longest. */
		limits.auth_delay_max_ms = (uint64_t)(700 + more);
		assert_int_equal(
		    throttle_failed(t, a, S("cleo")), more < 0 ? 699 : 700);
		throttle_free(&t);
	}
	limits_default(&limits);
	os_clock_fix(-1, 0);
}

/* R124: auth_failures_per_minute -1 0 +1, of an address, of a name, of both
 * from loopback, and of a /48. */
static void
test_most(void **state)
{
	enum { MOST = 7, NET48 = 8 * MOST };
	static const str loop = S("\x7f\0\0\1"), b = S("\xc0\x00\x02\x02"),
			 far = S("\xc0\x00\x02\x01");
	char v6[8], name[16];

	memcpy(v6, v6a, 8);
	os_clock_fix(1000000, 1000000);
	limits.auth_failures_per_minute = MOST;
	for (int more = -1; more <= 1; more++) {
		struct throttle *t = throttle_new();

		for (int i = 0; i < MOST + more; i++) {
			snprintf(name, sizeof(name), "u%d", i);
			throttle_failed(t, far, str_c(name));
			throttle_failed(t, loop, S("ann"));
		}
		assert_int_equal(throttle_pass(t, far, S("x")), more < 0);
		assert_int_equal(throttle_pass(t, loop, S("ann")), more < 0);
		assert_true(throttle_pass(t, loop, S("x")));
		/* The name is closed to who has failed lately. */
		throttle_failed(t, b, S("other"));
		assert_int_equal(throttle_pass(t, b, S("ann")), more < 0);
		for (int i = 0; i < NET48 + more; i++) {
			v6[7] = (char)i;
			throttle_failed(
			    t, str_of(v6, 8), i % 2 ? S("y") : S("z"));
		}
		v6[7] = 99;
		assert_int_equal(
		    throttle_pass(t, str_of(v6, 8), S("x")), more < 0);
		throttle_free(&t);
	}
	limits_default(&limits);
	os_clock_fix(-1, 0);
}

/* What ten a minute is by default; and a minute later. */
static void
test_address(void **state)
{
	struct throttle *t = throttle_new();
	str a = S("\xc0\x00\x02\x01"), b = S("\xc0\x00\x02\x02");
	char name[16];

	os_clock_fix(1000000, 1000000);
	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "u%d", i);
		assert_true(throttle_pass(t, a, S("other")));
		throttle_failed(t, a, str_c(name));
	}
	assert_false(throttle_pass(t, a, S("other")));
	assert_true(throttle_pass(t, b, S("other")));
	os_clock_fix(1059999, 1059999);
	assert_false(throttle_pass(t, a, S("other")));
	os_clock_fix(1060000, 1060000);
	assert_true(throttle_pass(t, a, S("other")));
	throttle_free(&t);
	os_clock_fix(-1, 0);
}

/* A hundred addresses guess at one name: it is closed to them, and open to
 * an address that has not failed. */
static void
test_name(void **state)
{
	struct throttle *t = throttle_new();
	char a[4] = {(char)198, 51, 100, 0};
	int hashed = 0;

	os_clock_fix(1000000, 1000000);
	for (int round = 0; round < 10; round++)
		for (int i = 0; i < 100; i++) {
			a[3] = (char)i;
			hashed += throttle_pass(t, str_of(a, 4), S("ann"));
			throttle_failed(t, str_of(a, 4), S("ann"));
		}
	/* Each address has its first guess; then the name is closed. */
	assert_true(hashed <= 110);
	assert_true(throttle_pass(t, S("\xc0\x00\x02\x09"), S("ann")));
	throttle_free(&t);
	os_clock_fix(-1, 0);
}

static void
test_ipv6(void **state)
{
	struct throttle *t = throttle_new();
	char a[8];

	memcpy(a, v6a, 8);
	os_clock_fix(1000000, 1000000);
	/* 80 failures from many /64 of one /48 close the /48. */
	for (int i = 0; i < 80; i++) {
		a[7] = (char)i;
		assert_true(throttle_pass(t, str_of(a, 8), S("x")));
		throttle_failed(t, str_of(a, 8), i % 2 ? S("y") : S("z"));
	}
	a[7] = 99;
	assert_false(throttle_pass(t, str_of(a, 8), S("x")));
	a[5] = 77;
	assert_true(throttle_pass(t, str_of(a, 8), S("x")));
	throttle_free(&t);
	os_clock_fix(-1, 0);
}

/* From loopback the pair and the name count, not the address. */
static void
test_loopback(void **state)
{
	static const str locals[] = {
	    S(""), S("\x7f\0\0\1"), S("\0\0\0\0\0\0\0\0")};

	os_clock_fix(1000000, 1000000);
	for (size_t k = 0; k < NELEM(locals); k++) {
		struct throttle *t = throttle_new();
		for (int i = 0; i < 10; i++) {
			assert_true(throttle_pass(t, locals[k], S("ann")));
			throttle_failed(t, locals[k], S("ann"));
		}
		assert_false(throttle_pass(t, locals[k], S("ann")));
		assert_true(throttle_pass(t, locals[k], S("bob")));
		throttle_free(&t);
	}
	os_clock_fix(-1, 0);
}

static void
test_bounded(void **state)
{
	struct throttle *t = throttle_new();

	for (uint32_t i = 0; i < 40000; i++)
		throttle_failed(t, str_of(&i, 4), S("x"));
	assert_true(throttle_count(t) <= 65536);
	throttle_free(&t);
}

static void
test_cache(void **state)
{
	struct cache *c = cache_new();
	struct acct ann = {.id = 1, .gen = 3}, bob = {.id = 2, .gen = 3};

	os_clock_fix(1000000, 1000000);
	cache_put(c, &ann, S("PLAIN"), S("pw"));
	assert_true(cache_has(c, &ann, S("PLAIN"), S("pw")));
	/* R124: auth_cache_s -1 0 +1, in milliseconds. */
	for (int more = -1; more <= 1; more++) {
		int64_t ms = (int64_t)limits.auth_cache_s * 1000;

		os_clock_fix(1000000, 1000000 + ms + more);
		assert_int_equal(
		    cache_has(c, &ann, S("PLAIN"), S("pw")), more < 0);
	}
	os_clock_fix(1000000, 1000000);
	cache_put(c, &ann, S("PLAIN"), S("pw"));
	/* Another password, mechanism, account, generation, state. */
	assert_false(cache_has(c, &ann, S("PLAIN"), S("pW")));
	assert_false(cache_has(c, &ann, S("PLAIN"), S("")));
	assert_false(cache_has(c, &ann, S("LOGIN"), S("pw")));
	assert_false(cache_has(c, &bob, S("PLAIN"), S("pw")));
	ann.disabled = true;
	assert_false(cache_has(c, &ann, S("PLAIN"), S("pw")));
	ann.disabled = false;
	ann.gen++;
	assert_false(cache_has(c, &ann, S("PLAIN"), S("pw")));
	assert_int_equal(cache_count(c), 0);
	cache_put(c, &ann, S("PLAIN"), S("pw"));
	cache_put(c, &ann, S(""), S("pw"));
	cache_put(c, &ann, S("LOGIN"), S("pw"));
	cache_put(c, &bob, S("LOGIN"), S("pw"));
	cache_drop(c, 1);
	assert_int_equal(cache_count(c), 1);
	assert_true(cache_has(c, &bob, S("LOGIN"), S("pw")));
	os_clock_fix(1000000, 1000000 + 299999);
	assert_true(cache_has(c, &bob, S("LOGIN"), S("pw")));
	os_clock_fix(1000000, 1000000 + 300000);
	assert_false(cache_has(c, &bob, S("LOGIN"), S("pw")));
	for (uint64_t i = 1; i < 70000; i++) {
		ann.id = i;
		cache_put(c, &ann, S("PLAIN"), S("pw"));
	}
	assert_true(cache_count(c) <= 65536);
	assert_true(cache_has(c, &ann, S("PLAIN"), S("pw")));
	cache_free(&c);
	os_clock_fix(-1, 0);
}

/* ---- who waits for whom ---- */

struct turn {
	struct job j;
	char name;
};
static sem_t gate, taken;
static char order[16];
static size_t norder;

static void
turn_run(struct job *j)
{
	struct turn *t = (struct turn *)j;

	if (t->name == '-') {
		sem_post(&taken);
		sem_wait(&gate);
	} else {
		order[norder++] = t->name;
	}
}

static void
turn_done(struct job *j, void *arg)
{
	++*(size_t *)arg;
}

/* R35: a crowd with one name, and those in doubt, let others go first, but
 * are not forgotten. */
static void
test_turns(void **state)
{
	/* The first one keeps the thread busy while the others come. */
	static const struct turn come[] = {
	    {{.who = 9}, '-'},
	    {{.who = 1}, 'a'},
	    {{.who = 1}, 'b'},
	    {{.who = 1}, 'c'},
	    {{.who = 2, .doubtful = true}, 'd'},
	    {{.who = 3}, 'e'},
	    {{.who = 4}, 'f'},
	    {{.who = 0}, 'g'},
	    {{.who = 0}, 'h'},
	};
	struct turn t[NELEM(come)];
	size_t done = 0;
	struct pool *p = pool_new(1, 100, &done);

	assert_non_null(p);
	sem_init(&gate, 0, 0);
	sem_init(&taken, 0, 0);
	norder = 0;
	for (size_t i = 0; i < NELEM(come); i++) {
		t[i] = come[i];
		t[i].j.run = turn_run;
		t[i].j.done = turn_done;
		assert_true(pool_put(p, &t[i].j));
		if (i == 0)
			sem_wait(&taken);
	}
	sem_post(&gate);
	while (done < NELEM(come)) {
		pool_reap(p);
		usleep(1000);
	}
	assert_memory_equal(order, "aebfghcd", 8);
	pool_free(&p);
	sem_destroy(&gate);
	sem_destroy(&taken);
}

int
t_throttle(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_delay),
	    cmocka_unit_test(test_delay_limits),
	    cmocka_unit_test(test_most),
	    cmocka_unit_test(test_address),
	    cmocka_unit_test(test_name),
	    cmocka_unit_test(test_ipv6),
	    cmocka_unit_test(test_loopback),
	    cmocka_unit_test(test_bounded),
	    cmocka_unit_test(test_cache),
	    cmocka_unit_test(test_turns),
	};

	return cmocka_run_group_tests_name("throttle", tests, NULL, NULL);
}
