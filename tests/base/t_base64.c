/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* Base 64 and 16, strict; R36. */
#include "t_base.h"

static void
test_round_trip(void **state)
{
	struct rnd r;

	for_seeds(&r, 500)
	{
		char t[100];
		size_t n = rnd(&r, sizeof(t));
		struct buf e = {0}, d = {0};

		for (size_t i = 0; i < n; i++)
			t[i] = (char)rnd64(&r);
		base64_put(&e, str_of(t, n));
		seed_true(&r, e.n == (n + 2) / 3 * 4);
		seed_true(&r, base64_get(&d, buf_str(&e)) == OK);
		seed_true(&r, str_eq(buf_str(&d), str_of(t, n)));
		buf_reset(&e);
		buf_reset(&d);
		hex_put(&e, str_of(t, n));
		seed_true(&r, hex_get(&d, buf_str(&e)) == OK);
		seed_true(&r, str_eq(buf_str(&d), str_of(t, n)));
		buf_free(&e);
		buf_free(&d);
	}
}

/* Of all texts of four characters, exactly one decodes to each value. */
static void
test_one_form(void **state)
{
	struct rnd r;

	for_seeds(&r, 20000)
	{
		static const char set[] = "AQgwBCDEFZaz09+/==== \n-_";
		char t[8];
		size_t n = rnd(&r, 9);
		struct buf d = {0}, e = {0};

		for (size_t i = 0; i < n; i++)
			t[i] = set[rnd(&r, sizeof(set) - 1)];
		if (base64_get(&d, str_of(t, n)) == OK) {
			base64_put(&e, buf_str(&d));
			seed_true(&r, str_eq(buf_str(&e), str_of(t, n)));
		} else {
			seed_true(&r, d.n == 0);
		}
		buf_free(&d);
		buf_free(&e);
	}
}

static void
test_strict(void **state)
{
	/* R36 */
	static const str bad[] = {S("A"), S("AA"), S("AAA"), S("AA=A"),
	    S("===="), S("A==="), S("AB=="), S("AAB="), S("AA==AAAA"),
	    S("AAA=AAA="), S("AAAA "), S(" AAAA"), S("AA AA"), S("AAAA\n"),
	    S("AAAA\r\n"), S("AAA\0"), S("AA-_"), S("AAAA="),
	    S("\xff\xff\xff"
	      "\xff")};
	struct buf out = {0};

	buf_s(&out, "kept");
	for (size_t i = 0; i < NELEM(bad); i++) {
		if (base64_get(&out, bad[i]) != ERR_INVALID)
			fail_msg("row %zu", i);
		assert_str(buf_str(&out), S("kept"));
	}
	assert_int_equal(base64_get(&out, S("")), OK);
	assert_int_equal(base64_get(&out, S("AA==")), OK);
	assert_str(buf_str(&out), S("kept\0"));
	assert_int_equal(hex_get(&out, S("0")), ERR_INVALID);
	assert_int_equal(hex_get(&out, S("0g")), ERR_INVALID);
	assert_int_equal(hex_get(&out, S("Ff")), OK);
	buf_free(&out);
}

int
t_base64(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_one_form),
	    cmocka_unit_test(test_strict),
	};

	return cmocka_run_group_tests_name("base64", tests, NULL, NULL);
}
