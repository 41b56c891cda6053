/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* Time and chance, real and fixed. */
#include "t_os.h"

static void
test_clock(void **state)
{
	int64_t a = os_mono_us();
	int64_t b = os_mono_us();

	assert_true(b >= a);
	assert_true(os_wall_ms() > INT64_C(1700000000000));
	assert_true(os_mono_ms() > 0);
	os_clock_fix(1234567890123, 42);
	assert_int_equal(os_wall_ms(), 1234567890123);
	assert_int_equal(os_mono_ms(), 42);
	assert_int_equal(os_mono_us(), 42000);
	assert_int_equal(os_now().sec, 1234567890);
	os_clock_fix(-1, -1);
	assert_true(os_wall_ms() > INT64_C(1700000000000));
}

static void
test_random(void **state)
{
	char a[1000] = {0}, b[1000] = {0};

	os_random(a, sizeof(a));
	os_random(b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
	os_random_fix(7);
	os_random(a, 13);
	os_random_fix(7);
	os_random(b, 13);
	assert_memory_equal(a, b, 13);
	os_random(b, 13);
	assert_memory_not_equal(a, b, 13);
}

int
t_clock(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_clock),
	    cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
