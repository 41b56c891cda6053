/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* Encoded words; R57, R59. */
#include "t_mime.h"

static void
test_rows(void **state)
{
	static const struct {
		str in, out;
	} rows[] = {
	    {S("plain"), S("plain")},
	    {S("=?utf-8?Q?=C3=A4?="), S("\xc3\xa4")},
	    {S("=?UTF-8?b?w6Q=?="), S("\xc3\xa4")},
	    {S("=?utf-8?b?w6Q?="), S("\xc3\xa4")}, /* no padding */
	    {S("=?iso-8859-1?q?a_b=E4?= c"), S("a b\xc3\xa4 c")},
	    {S("=?us-ascii?q?a?= =?us-ascii?q?b?="), S("ab")},
	    {S("=?us-ascii?q?a?=\r\n =?us-ascii?q?b?="), S("ab")},
	    {S("=?us-ascii?q?a?= x =?us-ascii?q?b?="), S("a x b")},
	    {S("=?us-ascii?q?a?==?us-ascii?q?b?="), S("ab")},
	    {S("x=?us-ascii?q?a?=y"), S("xay")},
	    /* A character cut in two. */
	    {S("=?utf-8?q?=C3?= =?utf-8?q?=A4?="), S("\xc3\xa4")},
	    {S("=?utf-8?q?=C3?= =?UTF-8?b?pA==?="), S("\xc3\xa4")},
	    {S("=?utf-8*de?q?=C3=A4?="), S("\xc3\xa4")},
	    {S("=?iso-2022-jp?b?GyRCJCIbKEI=?="), S("\xe3\x81\x82")},
	    {S("=?utf-8?q?=5F_=5f?="), S("_ _")},
	    {S("=?utf-8?q?"
	       "?="),
		S("")},
	    {S("=?utf-8?q?"
	       "?= =?utf-8?q?x?="),
		S("x")},
	    /* Malformed: as they are. */
	    {S("=?"), S("=?")},
	    {S("=?utf-8"), S("=?utf-8")},
	    {S("=?utf-8?"), S("=?utf-8?")},
	    {S("=?utf-8?q"), S("=?utf-8?q")},
	    {S("=?utf-8?q?"), S("=?utf-8?q?")},
	    {S("=?utf-8?q?a"), S("=?utf-8?q?a")},
	    {S("=?utf-8?q?a?"), S("=?utf-8?q?a?")},
	    {S("=?utf-8?x?a?="), S("=?utf-8?x?a?=")},
	    {S("=??q?a?="), S("=??q?a?=")},
	    {S("=?a?q?=?a?q?b?="), S("=?a?q?b")},
	    {S("a=b?=c"), S("a=b?=c")},
	    {S("=?utf-8?q?=C3?= x"), S("\xef\xbf\xbd x")},
	    {S("=?nonsense?q?a=FF?="), S("a\xef\xbf\xbd")},
	    /* Raw bytes. */
	    {S("\xc3\xa4"), S("\xc3\xa4")},
	    {S("\xe4"), S("\xc3\xa4")},
	    {S("\x93x\x94"), S("\xe2\x80\x9cx\xe2\x80\x9d")},
	    {S(""), S("")},
	};
	struct buf b = {0};

	for (size_t i = 0; i < NELEM(rows); i++) {
		buf_reset(&b);
		mime_decode_words(rows[i].in, &b);
		assert_str(buf_str(&b), rows[i].out);
	}
	buf_free(&b);
}

/* Whatever goes in, UTF-8 comes out. */
static void
test_utf8(void **state)
{
	static const char *const bits[] = {"=?", "?=", "utf-8", "?q?", "?b?",
	    "iso-2022-jp", "=1B$B", "\xe4", "\xc3\xa4", "=C3", " ", "\r\n ",
	    "AAAA", "big5", "=", "?", "_"};
	struct rnd r;

	for_seeds(&r, 5000)
	{
		struct buf in = {0}, out = {0};

		for (size_t k = rnd(&r, 20); k > 0; k--)
			buf_str_add(&in, str_c(bits[rnd(&r, NELEM(bits))]));
		mime_decode_words(buf_str(&in), &out);
		seed_true(&r, utf8_valid(buf_str(&out)));
		buf_free(&in);
		buf_free(&out);
	}
}

int
t_words(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_utf8),
	};

	return cmocka_run_group_tests_name("words", tests, NULL, NULL);
}
