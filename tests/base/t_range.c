/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* Ranges against a bitmap; R10. */
#include "t_base.h"

#include <time.h>

enum { BITS = 80 };

/* Numbers 0..BITS/2-1, and as many below 2^32, to meet both edges. */
static uint32_t
number(size_t bit)
{
	return bit < BITS / 2 ? (uint32_t)bit
			      : UINT32_MAX - (uint32_t)(BITS - 1 - bit);
}

struct model {
	bool v[BITS];
};

static void
check(struct rnd *r, const struct ranges *s, const struct model *m)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		seed_true(r, s->v[i].lo <= s->v[i].hi);
		if (i > 0)
			seed_true(r, (uint64_t)s->v[i - 1].hi + 1 < s->v[i].lo);
	}
	for (size_t i = 0; i < BITS; i++) {
		uint32_t next = 0;
		size_t j = i;

		n += m->v[i];
		seed_true(r, ranges_has(s, number(i)) == m->v[i]);
		while (j < BITS && !m->v[j])
			j++;
		seed_true(r, ranges_next(s, number(i), &next) == (j < BITS));
		if (j < BITS)
			seed_true(r, next == number(j));
	}
	seed_true(r, ranges_count(s) == n);
}

/* A random range that does not cross the gap in the middle. */
static struct range
random_range(struct rnd *r, size_t *from, size_t *to)
{
	size_t half = rnd(r, 2) * (BITS / 2);

	*from = half + rnd(r, BITS / 2);
	*to = *from + rnd(r, half + BITS / 2 - *from);
	return (struct range){number(*from), number(*to)};
}

static void
random_set(struct rnd *r, struct ranges *s, struct model *m)
{
	memset(m, 0, sizeof(*m));
	for (uint64_t i = rnd(r, 20); i > 0; i--) {
		size_t from, to;
		struct range x = random_range(r, &from, &to);
		bool add = rnd(r, 3) > 0;

		if (add)
			ranges_add(s, x.lo, x.hi);
		else
			ranges_del(s, x.lo, x.hi);
		for (size_t k = from; k <= to; k++)
			m->v[k] = add;
		check(r, s, m);
	}
}

static void
test_model(void **state)
{
	struct rnd r;

	for_seeds(&r, 1500)
	{
		struct ranges a = {0}, b = {0}, c = {0};
		struct model ma, mb, mc;

		random_set(&r, &a, &ma);
		random_set(&r, &b, &mb);
		ranges_copy(&c, &a);
		ranges_union(&c, &b);
		for (size_t i = 0; i < BITS; i++)
			mc.v[i] = ma.v[i] || mb.v[i];
		check(&r, &c, &mc);
		ranges_copy(&c, &a);
		ranges_intersect(&c, &b);
		for (size_t i = 0; i < BITS; i++)
			mc.v[i] = ma.v[i] && mb.v[i];
		check(&r, &c, &mc);
		ranges_copy(&c, &a);
		ranges_minus(&c, &b);
		for (size_t i = 0; i < BITS; i++)
			mc.v[i] = ma.v[i] && !mb.v[i];
		check(&r, &c, &mc);
		ranges_minus(&c, &c);
		seed_true(&r, c.n == 0);
		ranges_free(&a);
		ranges_free(&b);
		ranges_free(&c);
	}
}

static void
test_set(void **state)
{
	struct rnd r;

	for_seeds(&r, 500)
	{
		struct ranges s = {0};
		struct model m = {{false}};
		struct range v[20];
		size_t n = rnd(&r, NELEM(v));

		for (size_t i = 0; i < n; i++) {
			size_t from, to;

			v[i] = random_range(&r, &from, &to);
			if (rnd(&r, 4) == 0)
				v[i] = (struct range){v[i].hi, v[i].lo};
			for (size_t k = from; k <= to; k++)
				m.v[k] = true;
		}
		ranges_set(&s, v, n);
		check(&r, &s, &m);
		/* From its own ranges. */
		ranges_set(&s, s.v, s.n);
		check(&r, &s, &m);
		ranges_free(&s);
	}
}

static void
test_print(void **state)
{
	struct ranges s = {0};
	struct buf b = {0};

	ranges_print(&b, &s);
	assert_int_equal(b.n, 0);
	ranges_add(&s, 7, 9);
	ranges_add(&s, 1, 2);
	ranges_add(&s, 5, 5);
	ranges_add(&s, 3, 3);
	ranges_add(&s, UINT32_MAX, UINT32_MAX);
	ranges_add(&s, 4, 3); /* no range */
	ranges_print(&b, &s);
	assert_str(buf_str(&b), S("1:3,5,7:9,4294967295"));
	ranges_del(&s, 2, UINT32_MAX);
	buf_reset(&b);
	ranges_print(&b, &s);
	assert_str(buf_str(&b), S("1"));
	ranges_add(&s, 0, UINT32_MAX);
	assert_int_equal(ranges_count(&s), (uint64_t)1 << 32);
	ranges_reset(&s);
	assert_int_equal(s.n, 0);
	ranges_free(&s);
	buf_free(&b);
}

/* R10: a set of 10^5 overlapping ranges takes no quadratic time. */
static void
test_many(void **state)
{
	size_t n = 100000;
	struct range *v = x_array(n, sizeof(*v));
	struct ranges s = {0};
	clock_t start = clock();

	for (size_t i = 0; i < n; i++)
		v[i] = (struct range){1, UINT32_MAX};
	ranges_set(&s, v, n);
	assert_int_equal(s.n, 1);
	for (size_t i = 0; i < n; i++)
		v[i].lo = v[i].hi = (uint32_t)(n - i) * 2;
	ranges_set(&s, v, n);
	assert_int_equal(s.n, n);
	assert_true(clock() - start < 5 * CLOCKS_PER_SEC);
	ranges_free(&s);
	x_free(&v);
}

int
t_range(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_model),
	    cmocka_unit_test(test_set),
	    cmocka_unit_test(test_print),
	    cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests_name("range", tests, NULL, NULL);
}
