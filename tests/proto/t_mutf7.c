/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Modified UTF-7: one spelling for each name. R44, R45
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "proto/mutf7.h"

static const struct {
	str utf7, utf8;
} good[] = {
    {S(""), S("")},
    {S("INBOX"), S("INBOX")},
    {S("a&-b"), S("a&b")},
    {S("&-&-"), S("&&")},
    {S("Entw&APw-rfe"), S("Entw\xc3\xbcrfe")},
    {S("~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
	S("~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8"
	  "\xaa\x9e")},
    {S("&2D3eAA-"), S("\xf0\x9f\x98\x80")},
    {S("&2D3eANg93gA-"), S("\xf0\x9f\x98\x80\xf0\x9f\x98\x80")},
    {S("&AAA-"), S("\0")},
    {S("&AOk-&-&AOk-"), S("\xc3\xa9&\xc3\xa9")},
};

static const str bad[] = {
    S("&"),
    S("a&"),
    S("&A"),
    S("&AO"),
    S("&AOk"),
    S("a&b"),
    S("&&"),
    S("&AGE-"),      /* ASCII in base64 */
    S("&AC8-"),      /* "/" hidden */
    S("&AC4ALg-"),   /* ".." hidden */
    S("&ACY-"),      /* "&" has its own spelling */
    S("&AOk-&AOk-"), /* two adjacent shifts */
    S("&AOl-"),      /* stray bits */
    S("&AOkA-"),     /* a digit too many */
    S("&AOkAA-"),
    S("&2D0-"),
    S("&3gA-"),
    S("&2D0A6Q-"),
    S("&AOk=-"),
    S("&AO/-"), /* "/" is no digit here */
    S("\xc3\xa9"),
    S("\x7f"),
    S("a\tb"),
    S("a\0b"),
};

static void
test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < NELEM(good); i++) {
		struct buf b = {0};

		assert_int_equal(mutf7_get(&b, good[i].utf7), OK);
		assert_true(str_eq(buf_str(&b), good[i].utf8));
		buf_reset(&b);
		assert_int_equal(mutf7_put(&b, good[i].utf8), OK);
		assert_true(str_eq(buf_str(&b), good[i].utf7));
		buf_free(&b);
	}
}

static void
test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < NELEM(bad); i++) {
		struct buf b = {0};

		buf_s(&b, "x");
		assert_int_equal(mutf7_get(&b, bad[i]), ERR_INVALID);
		assert_true(str_eq(buf_str(&b), S("x")));
		buf_free(&b);
	}
}

/* Whatever can be read prints as it was: (1). */
static void
test_all_short(void **state)
{
	static const char alphabet[] = "&-AGOkl2D,3/a\xc3";
	const size_t k = sizeof(alphabet) - 1;
	char name[6];

	(void)state;
	for (size_t x = 0; x < k * k * k * k * k; x++) {
		struct buf b = {0};
		struct buf back = {0};
		size_t rest = x;

		for (size_t i = 0; i < 5; i++, rest /= k)
			name[i] = alphabet[rest % k];
		if (mutf7_get(&b, str_of(name, 5)) == OK) {
			assert_int_equal(mutf7_put(&back, buf_str(&b)), OK);
			assert_true(str_eq(buf_str(&back), str_of(name, 5)));
		}
		buf_free(&b);
		buf_free(&back);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good),
	    cmocka_unit_test(test_bad),
	    cmocka_unit_test(test_all_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
