/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* UTF-8; R18. */
#include "t_base.h"

#include <time.h>

static void
test_valid(void **state)
{
	/* R18 */
	static const struct {
		str s;
		bool ok;
	} rows[] = {
	    {S(""), true},
	    {S("a\0b"), true},
	    {S("\x7f"), true},
	    {S("\xc2\x80"), true},
	    {S("\xdf\xbf"), true},
	    {S("\xe0\xa0\x80"), true},
	    {S("\xed\x9f\xbf"), true},
	    {S("\xee\x80\x80"), true},
	    {S("\xef\xbf\xbf"), true},
	    {S("\xf0\x90\x80\x80"), true},
	    {S("\xf4\x8f\xbf\xbf"), true},
	    {S("12345678\xc3\xa4"), true},
	    /* alone, cut short */
	    {S("\x80"), false},
	    {S("\xbf"), false},
	    {S("\xc3"), false},
	    {S("\xe2\x82"), false},
	    {S("\xf0\x9f\x98"), false},
	    {S("\xc3(\xa4"), false},
	    {S("\xe2(\xa1"), false},
	    {S("\xe2\x82("), false},
	    {S("\xf0\x9f\x98("), false},
	    /* overlong */
	    {S("\xc0\x80"), false},
	    {S("\xc1\xbf"), false},
	    {S("\xe0\x80\xaf"), false},
	    {S("\xe0\x9f\xbf"), false},
	    {S("\xf0\x80\x80\xaf"), false},
	    {S("\xf0\x8f\xbf\xbf"), false},
	    /* surrogates, too high, never used */
	    {S("\xed\xa0\x80"), false},
	    {S("\xed\xbf\xbf"), false},
	    {S("\xf4\x90\x80\x80"), false},
	    {S("\xf5\x80\x80\x80"), false},
	    {S("\xf8\x88\x80\x80\x80"), false},
	    {S("\xfe"), false},
	    {S("\xff"), false},
	    {S("12345678\xff"), false},
	};

	for (size_t i = 0; i < NELEM(rows); i++) {
		struct buf out = {0};

		if (utf8_valid(rows[i].s) != rows[i].ok)
			fail_msg("row %zu", i);
		assert_int_equal(
		    utf8_nfc(&out, rows[i].s), rows[i].ok ? OK : ERR_INVALID);
		buf_reset(&out);
		utf8_fold(&out, rows[i].s); /* whatever it is */
		buf_free(&out);
	}
}

/* Every code point, to bytes and back. */
static void
test_code_points(void **state)
{
	struct buf b = {0};

	for (uint32_t c = 0; c <= 0x10ffff; c++) {
		uint32_t back = 0;

		if (c >= 0xd800 && c <= 0xdfff)
			continue;
		buf_reset(&b);
		utf8_put(&b, c);
		if (utf8_get(buf_str(&b), &back) != b.n || back != c ||
		    !utf8_valid(buf_str(&b)))
			fail_msg("U+%04x", c);
	}
	buf_free(&b);
}

static void
nfc_is(const char *in, const char *out)
{
	struct buf b = {0};

	assert_int_equal(utf8_nfc(&b, str_c(in)), OK);
	assert_str(buf_str(&b), str_c(out));
	buf_free(&b);
}

static void
fold_same(const char *x, const char *y)
{
	struct buf a = {0}, b = {0};

	utf8_fold(&a, str_c(x));
	utf8_fold(&b, str_c(y));
	assert_str(buf_str(&a), buf_str(&b));
	buf_free(&a);
	buf_free(&b);
}

static void
test_forms(void **state)
{
	nfc_is("plain", "plain");
	nfc_is("a\xcc\x88", "\xc3\xa4");
	nfc_is("\xe2\x84\xab", "\xc3\x85");               /* ANGSTROM SIGN */
	nfc_is("q\xcc\x87\xcc\xa3", "q\xcc\xa3\xcc\x87"); /* order of marks */
	nfc_is("\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab", "\xed\x95\x9c");
	fold_same("HELLO", "hello");
	fold_same("Stra\xc3\x9f"
		  "e",
	    "STRASSE");
	fold_same("\xc3\x84PFEL", "a\xcc\x88pfel");
	fold_same("\xce\xa3\xce\x8a\xce\xa3\xce\xa5\xce\xa6\xce\x9f\xce\xa3",
	    "\xcf\x83\xce\xaf\xcf\x83\xcf\x85\xcf\x86\xce\xbf\xcf\x82");
	fold_same("\xff\xc3\x84", "\xff\xc3\xa4"); /* malformed byte kept */
}

/* Where a text is cut into pieces makes no difference. */
static void
test_pieces(void **state)
{
	/* clang-format off */
	static const char *const unit[] = {
		"a\xcc\x88",
		"\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab",
		"\xe0\xa7\x87\xe0\xa6\xbe",
		"q\xcc\x87\xcc\xa3",
	};
	/* clang-format on */
	static const char *const nfc[] = {
	    "\xc3\xa4", "\xed\x95\x9c", "\xe0\xa7\x8b", "q\xcc\xa3\xcc\x87"};
	struct rnd r;

	for_seeds(&r, 100)
	{
		struct buf in = {0}, want = {0}, got = {0};

		for (uint64_t i = rnd(&r, 3000); i > 0; i--) {
			size_t k = rnd(&r, NELEM(unit));

			buf_str_add(&in, str_c(unit[k]));
			buf_str_add(&want, str_c(nfc[k]));
		}
		seed_true(&r, utf8_nfc(&got, buf_str(&in)) == OK);
		seed_true(&r, str_eq(buf_str(&got), buf_str(&want)));
		buf_reset(&got);
		buf_reset(&want);
		utf8_fold(&got, buf_str(&in));
		for (size_t i = 0; i < in.n; i += 2000) {
			/* Folding what is folded changes nothing. */
			buf_reset(&want);
			utf8_fold(&want, buf_str(&got));
		}
		seed_true(
		    &r, in.n == 0 || str_eq(buf_str(&got), buf_str(&want)));
		buf_free(&in);
		buf_free(&want);
		buf_free(&got);
	}
}

/* A megabyte of marks in the worst order: no quadratic time. */
static void
test_marks(void **state)
{
	struct buf in = {0}, out = {0};
	clock_t start = clock();

	buf_c(&in, 'a');
	while (in.n < 1 << 20)
		buf_str_add(&in, in.n % 4 == 1 ? S("\xcc\x81") : S("\xcc\xa3"));
	assert_int_equal(utf8_nfc(&out, buf_str(&in)), OK);
	utf8_fold(&out, buf_str(&in));
	assert_true(clock() - start < 10 * CLOCKS_PER_SEC);
	buf_free(&in);
	buf_free(&out);
}

static void
test_noise(void **state)
{
	struct rnd r;

	for_seeds(&r, 2000)
	{
		char t[40];
		size_t n = rnd(&r, sizeof(t));
		struct buf out = {0};
		str s = str_of(t, n);

		for (size_t i = 0; i < n; i++)
			t[i] = rnd(&r, 2)
				   ? (char)rnd(&r, 256)
				   : "\xc3\xa4\xe2\x82\xacXy"[rnd(&r, 7)];
		seed_true(&r, (utf8_nfc(&out, s) == OK) == utf8_valid(s));
		seed_true(&r, utf8_valid(buf_str(&out)) || !utf8_valid(s));
		utf8_fold(&out, s);
		buf_free(&out);
	}
}

int
t_utf8(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_valid),
	    cmocka_unit_test(test_code_points),
	    cmocka_unit_test(test_forms),
	    cmocka_unit_test(test_pieces),
	    cmocka_unit_test(test_marks),
	    cmocka_unit_test(test_noise),
	};

	return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}
