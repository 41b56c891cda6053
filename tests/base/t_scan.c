/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* Scanners: they move only when they succeed. */
#include "t_base.h"

static bool
is_a(unsigned char c)
{
	return c == 'a';
}

static void
test_scan(void **state)
{
	struct scan s = scan_of(S("aab 12 2024x"));
	uint32_t u = 42;
	str t;

	assert_true(scan_while(&s, is_a, &t));
	assert_str(t, S("aa"));
	assert_false(scan_while(&s, is_a, &t));
	assert_false(scan_char(&s, 'a'));
	assert_true(scan_char(&s, 'b'));
	assert_false(scan_u32(&s, &u));
	assert_int_equal(scan_peek(&s), ' ');
	assert_true(scan_lit(&s, S(" ")));
	assert_true(scan_u32(&s, &u));
	assert_int_equal(u, 12);
	assert_true(scan_char(&s, ' '));
	assert_false(scan_digits(&s, 5, &u));
	assert_true(scan_digits(&s, 4, &u));
	assert_int_equal(u, 2024);
	assert_false(scan_take(&s, 2, &t));
	assert_false(scan_caselit(&s, S("XY")));
	assert_true(scan_caselit(&s, S("X")));
	assert_true(scan_end(&s));
	assert_int_equal(scan_peek(&s), -1);
	assert_true(scan_take(&s, 0, &t));
}

static void
test_edges(void **state)
{
	static const str bad[] = {
	    S("4294967296"), S("99999999999999999999999"), S(""), S("x")};
	struct scan s;
	uint32_t u = 42;
	uint64_t v = 42;

	for (size_t i = 0; i < NELEM(bad); i++) {
		s = scan_of(bad[i]);
		assert_false(scan_u32(&s, &u));
		assert_int_equal(scan_left(&s), bad[i].n);
		assert_int_equal(u, 42);
	}
	s = scan_of(S("18446744073709551616"));
	assert_false(scan_u64(&s, &v));
	assert_int_equal(scan_left(&s), 20);
	s = scan_of(S("12a4"));
	assert_false(scan_digits(&s, 4, &u));
	assert_false(scan_digits(&s, 0, &u));
	assert_true(scan_digits(&s, 2, &u));
}

int
t_scan(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_scan),
	    cmocka_unit_test(test_edges),
	};

	return cmocka_run_group_tests_name("scan", tests, NULL, NULL);
}
