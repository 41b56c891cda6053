/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* Buffers: growth, bound, failure. */
#include "t_base.h"

static void
test_add(void **state)
{
	struct buf b = {0};

	buf_s(&b, "a");
	buf_c(&b, 'b');
	buf_u64(&b, 0);
	buf_u64(&b, UINT64_MAX);
	buf_f(&b, "%s%d", "x", -5);
	assert_str(buf_str(&b), S("ab018446744073709551615x-5"));
	buf_eat(&b, 3);
	assert_str(buf_str(&b), S("18446744073709551615x-5"));
	buf_eat(&b, b.n);
	assert_int_equal(b.n, 0);
	buf_eat(&b, 0);
	buf_str_add(&b, STR_NONE);
	assert_true(buf_ok(&b));
	buf_free(&b);
	assert_null(b.p);
}

static void
test_long_format(void **state)
{
	struct buf b = {0};
	char big[1000];

	memset(big, 'x', sizeof(big));
	for (size_t n = 250; n < 262; n++) {
		buf_reset(&b);
		buf_f(&b, "%.*s", (int)n, big);
		assert_str(buf_str(&b), str_of(big, n));
	}
	buf_f(&b, "%.*s", (int)sizeof(big), big);
	assert_int_equal(b.n, 261 + sizeof(big));
	buf_free(&b);
}

static void
test_bound(void **state)
{
	struct buf b = {.max = 100};
	char t[101] = {0};

	buf_add(&b, t, 99); /* R124: one less, at, one more */
	assert_true(buf_ok(&b));
	buf_c(&b, 'x');
	assert_true(buf_ok(&b));
	buf_c(&b, 'x');
	assert_false(buf_ok(&b));
	assert_int_equal(b.n, 100);
	buf_reset(&b);
	assert_true(buf_ok(&b));
	buf_add(&b, t, 101);
	assert_false(buf_ok(&b));
	assert_int_equal(b.n, 0);
	assert_null(buf_room(&b, 1));
	buf_reset(&b);
	assert_null(buf_room(&b, SIZE_MAX));
	buf_free(&b);
}

static bool
refuse(void)
{
	return true;
}

static void
test_no_memory(void **state)
{
	struct buf b = {0};

	buf_s(&b, "kept");
	mem_fault = refuse;
	assert_non_null(buf_room(&b, 60000));
	assert_null(buf_room(&b, 70000));
	assert_null(x_try(70000));
	mem_fault = NULL;
	assert_false(buf_ok(&b));
	assert_str(buf_str(&b), S("kept"));
	buf_free(&b);
}

int
t_buf(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_add),
	    cmocka_unit_test(test_long_format),
	    cmocka_unit_test(test_bound),
	    cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
