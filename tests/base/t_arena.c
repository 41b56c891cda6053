/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* Arenas: the bound, zeroing (R53), alignment. */
#include "t_base.h"

static bool
zero(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != 0)
			return false;
	return true;
}

static void
test_bound(void **state)
{
	struct arena *a = arena_new(1 << 20);

	/* R124: at the limit, and one past it. */
	assert_non_null(arena_alloc(a, (1 << 20) - 16));
	assert_non_null(arena_alloc(a, 1));
	assert_false(arena_failed(a));
	assert_null(arena_alloc(a, 1));
	assert_true(arena_failed(a));
	assert_int_equal(arena_used(a), 1 << 20);
	assert_null(arena_dup(a, S("x")).p);
	assert_non_null(arena_dup(a, S("")).p);
	assert_null(arena_cstr(a, S("x")));
	assert_null(arena_f(a, "%d", 1).p);
	arena_reset(a);
	assert_false(arena_failed(a));
	assert_null(arena_alloc(a, (1 << 20) + 1));
	assert_null(arena_alloc(a, SIZE_MAX));
	assert_null(arena_array(a, SIZE_MAX / 2, 3));
	assert_true(arena_failed(a));
	arena_free(&a);
	assert_null(a);
	arena_free(&a);
}

static void
test_strings(void **state)
{
	struct arena *a = arena_new(0);
	struct buf b = {.max = 2};
	char big[700];

	memset(big, 'y', sizeof(big));
	assert_str(arena_f(a, "%d %s", 7, "x"), S("7 x"));
	assert_str(arena_f(a, "%.*s", 700, big), str_of(big, 700));
	assert_string_equal(arena_cstr(a, S("abc")), "abc");
	assert_string_equal(arena_cstr(a, STR_NONE), "");
	buf_s(&b, "ab");
	assert_str(arena_buf(a, &b), S("ab"));
	buf_s(&b, "c");
	assert_null(arena_buf(a, &b).p);
	assert_true(arena_failed(a));
	buf_free(&b);
	arena_free(&a);
}

static void
test_push(void **state)
{
	struct arena *a = arena_new(1 << 16);
	uint64_t *v = NULL;
	size_t n = 0;
	size_t cap = 0;

	while (ARENA_PUSH(a, v, n, cap)) {
		v[n] = n;
		n++;
	}
	assert_true(arena_failed(a));
	assert_true(n > 2000 && n == cap);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(v[i], i);
	arena_free(&a);
}

/* Nobody sees what stood in the memory before him, and pieces do not
 * overlap. */
static void
test_property(void **state)
{
	struct rnd r;

	for_seeds(&r, 200)
	{
		struct arena *a = arena_new(4 << 20);

		for (int round = 0; round < 3; round++) {
			char *p[100];
			size_t n[100];
			size_t k = 0;

			for (; k < 100; k++) {
				n[k] = rnd(&r, 1 << rnd(&r, 18));
				p[k] = arena_alloc(a, n[k]);
				if (p[k] == NULL)
					break;
				/* R53 */
				seed_true(&r, zero(p[k], n[k]));
				seed_true(&r, (uintptr_t)p[k] % 16 == 0);
				memset(p[k], (int)k + 1, n[k]);
			}
			seed_true(&r, arena_used(a) <= 4 << 20);
			seed_true(&r, (k < 100) == arena_failed(a));
			for (size_t i = 0; i < k; i++)
				seed_true(
				    &r, n[i] == 0 ||
					    ((unsigned char)p[i][0] == i + 1 &&
						(unsigned char)p[i][n[i] - 1] ==
						    i + 1));
			arena_reset(a);
		}
		arena_free(&a);
	}
}

static bool
refuse(void)
{
	return true;
}

static void
test_no_memory(void **state)
{
	struct arena *a = arena_new(0);

	mem_fault = refuse;
	assert_non_null(arena_alloc(a, 10000));
	assert_null(arena_alloc(a, 1000000));
	mem_fault = NULL;
	assert_true(arena_failed(a));
	arena_free(&a);
}

/* R124: arena_max -1 0 +1, for who names no other bound. */
static void
test_limit(void **state)
{
	size_t max = (size_t)limits.arena_max;

	for (int more = -1; more <= 1; more++) {
		struct arena *a = arena_new(0);

		/* In pieces of 16 bytes, as they are given. */
		assert_non_null(arena_alloc(a, max / 2));
		assert_int_equal(
		    arena_alloc(a, max / 2 + 16 * (size_t)(more + 1) - 16) !=
			NULL,
		    more <= 0);
		assert_int_equal(arena_failed(a), more > 0);
		arena_free(&a);
	}
}

int
t_arena(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_bound),
	    cmocka_unit_test(test_strings),
	    cmocka_unit_test(test_push),
	    cmocka_unit_test(test_property),
	    cmocka_unit_test(test_no_memory),
	    cmocka_unit_test(test_limit),
	};

	return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
