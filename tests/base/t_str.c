/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* Slices; R34. */
#include "t_base.h"

static void
test_compare(void **state)
{
	assert_true(str_cmp(S("a"), S("b")) < 0);
	assert_true(str_cmp(S("a"), S("a")) == 0);
	assert_true(str_cmp(S("ab"), S("a")) > 0);
	assert_true(str_cmp(S("\xff"), S("a")) > 0);
	assert_true(str_cmp(STR_NONE, S("")) == 0);
	assert_true(str_caseeq(S("InBox"), S("INBOX")));
	assert_false(str_caseeq(S("INBOX"), S("INBOX ")));
	/* Bytes that differ in the bit of case only, but are no letters. */
	assert_false(str_caseeq(S("@["), S("`{")));
	assert_true(str_casecmp(S("abc"), S("ABD")) < 0);
	assert_true(str_starts(S("abc"), S("")));
	assert_true(str_starts(S("abc"), S("abc")));
	assert_false(str_starts(S("ab"), S("abc")));
	assert_true(str_casestarts(S("ABc"), S("aB")));
	assert_true(str_ends(S("abc"), S("bc")));
	assert_false(str_ends(S("c"), S("bc")));
}

static void
test_secret(void **state)
{
	/* R34 */
	assert_true(str_eq_secret(S("geheim"), S("geheim")));
	assert_false(str_eq_secret(S("geheim"), S("geheiM")));
	assert_false(str_eq_secret(S("geheim"), S("geheim ")));
	assert_true(str_eq_secret(STR_NONE, S("")));
}

static void
test_cut(void **state)
{
	str s = S("a,b,,c");

	assert_str(str_cut(&s, ','), S("a"));
	assert_str(str_cut(&s, ','), S("b"));
	assert_str(str_cut(&s, ','), S(""));
	assert_str(str_cut(&s, ','), S("c"));
	assert_int_equal(s.n, 0);
	assert_str(str_cut(&s, ','), S(""));
	assert_str(str_trim(S(" \t\r\n x y \n")), S("x y"));
	assert_str(str_trim(S(" \t")), S(""));
	assert_int_equal(str_chr(S("abcb"), 'b'), 1);
	assert_int_equal(str_rchr(S("abcb"), 'b'), 3);
	assert_int_equal(str_chr(S("abc"), 'x'), 3);
	assert_int_equal(str_rchr(STR_NONE, 'x'), 0);
	assert_int_equal(str_from(S("abc"), 9).n, 0);
	assert_str(str_head(S("abc"), 9), S("abc"));
}

static void
test_numbers(void **state)
{
	static const struct {
		str s;
		bool ok;
		uint64_t v;
	} rows[] = {
	    {S("0"), true, 0},
	    {S("007"), true, 7},
	    {S("18446744073709551615"), true, UINT64_MAX},
	    {S("18446744073709551616"), false, 0},
	    {S("99999999999999999999"), false, 0},
	    {S(""), false, 0},
	    {S("-1"), false, 0},
	    {S("+1"), false, 0},
	    {S("1 "), false, 0},
	    {S("1\0"), false, 0},
	};

	for (size_t i = 0; i < NELEM(rows); i++) {
		uint64_t v = 42;

		assert_int_equal(str_u64(rows[i].s, &v), rows[i].ok);
		assert_int_equal(v, rows[i].ok ? rows[i].v : 42);
	}
	uint32_t u;

	assert_true(str_u32(S("4294967295"), &u));
	assert_int_equal(u, UINT32_MAX);
	assert_false(str_u32(S("4294967296"), &u));
}

static size_t
naive_find(str s, str needle, bool fold)
{
	for (size_t i = 0; i + needle.n <= s.n; i++) {
		str at = str_head(str_from(s, i), needle.n);

		if (fold ? str_caseeq(at, needle) : str_eq(at, needle))
			return i;
	}
	return s.n;
}

static void
test_find(void **state)
{
	struct rnd r;

	assert_int_equal(str_find(S("abc"), S("")), 0);
	assert_int_equal(str_find(STR_NONE, S("a")), 0);
	assert_int_equal(str_casefind(S("xABC"), S("bc")), 2);
	for_seeds(&r, 2000)
	{
		char h[64], n[8];
		size_t hn = rnd(&r, sizeof(h)), nn = rnd(&r, sizeof(n));

		for (size_t i = 0; i < hn; i++)
			h[i] = "abAB"[rnd(&r, 4)];
		for (size_t i = 0; i < nn; i++)
			n[i] = "abAB"[rnd(&r, 4)];
		seed_true(
		    &r, str_find(str_of(h, hn), str_of(n, nn)) ==
			    naive_find(str_of(h, hn), str_of(n, nn), false));
		seed_true(
		    &r, str_casefind(str_of(h, hn), str_of(n, nn)) ==
			    naive_find(str_of(h, hn), str_of(n, nn), true));
	}
}

/* R112: a text that is nearly the needle everywhere costs no more than its
 * length, and what is found stays the same. */
static void
test_find_near(void **state)
{
	size_t total = 4000000, nn = 20001;
	char *h = x_alloc(total), *n = x_alloc(nn);

	memset(h, 'a', total);
	memset(n, 'a', nn);
	n[nn / 2] = 'b';
	assert_int_equal(str_find(str_of(h, total), str_of(n, nn)), total);
	h[total - nn / 2 - 1] = 'b';
	assert_int_equal(str_find(str_of(h, total), str_of(n, nn)), total - nn);
	h[total - 1] = 'c';
	assert_int_equal(str_find(str_of(h, total), str_of(n, nn)), total);
	n[nn - 1] = 'c';
	assert_int_equal(str_find(str_of(h, total), str_of(n, nn)), total - nn);
	x_free(&h);
	x_free(&n);
}

/* Matches at and across the edges of the windows of str_casefind. */
static void
test_find_windows(void **state)
{
	static const size_t lengths[] = {1, 2, 7, 1000, 1024, 1025, 5000};
	size_t total = 100000;
	char *h = x_alloc(total);

	memset(h, 'a', total);
	for (size_t i = 0; i < NELEM(lengths); i++) {
		char *n = x_alloc(lengths[i]);

		memset(n, 'A', lengths[i]);
		n[lengths[i] - 1] = 'Z';
		for (size_t at = 8000; at < total; at += 97) {
			h[at] = 'z';
			assert_int_equal(str_casefind(str_of(h, total),
					     str_of(n, lengths[i])),
			    at + 1 - lengths[i]);
			h[at] = 'a';
		}
		assert_int_equal(
		    str_casefind(str_of(h, total), str_of(n, lengths[i])),
		    total);
		x_free(&n);
	}
	x_free(&h);
}

int
t_str(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_compare),
	    cmocka_unit_test(test_secret),
	    cmocka_unit_test(test_cut),
	    cmocka_unit_test(test_numbers),
	    cmocka_unit_test(test_find),
	    cmocka_unit_test(test_find_near),
	    cmocka_unit_test(test_find_windows),
	};

	return cmocka_run_group_tests_name("str", tests, NULL, NULL);
}
