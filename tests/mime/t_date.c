/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* Dates. */
#include "t_mime.h"

static void
test_rows(void **state)
{
	static const struct {
		str in;
		str out; /* printed again; empty: no date */
	} rows[] = {
	    {S("Mon, 2 Jan 2006 15:04:05 -0700"),
		S("Mon, 02 Jan 2006 15:04:05 -0700")},
	    {S("2 Jan 06 15:04 GMT"), S("Mon, 02 Jan 2006 15:04:00 +0000")},
	    {S("Mon, 02 Jan 2006 15:04:05 -0700 (MST)"),
		S("Mon, 02 Jan 2006 15:04:05 -0700")},
	    {S("Mon (comment), 2 (x) Jan 2006 15:04:05 (y) +0130"),
		S("Mon, 02 Jan 2006 15:04:05 +0130")},
	    {S("Mon Jan  2 15:04:05 2006"),
		S("Mon, 02 Jan 2006 15:04:05 +0000")},
	    {S("Mon Jan  2 15:04:05 EST 2006"),
		S("Mon, 02 Jan 2006 15:04:05 -0500")},
	    {S("2-Jan-2006 15:04:05 +0100"),
		S("Mon, 02 Jan 2006 15:04:05 +0100")},
	    {S("Sat, 1 Jan 94 00:00:00 PDT"),
		S("Sat, 01 Jan 1994 00:00:00 -0700")},
	    {S("1 Jan 49 0:00"), S("Fri, 01 Jan 2049 00:00:00 +0000")},
	    {S("1 Jan 50 0:00"), S("Sun, 01 Jan 1950 00:00:00 +0000")},
	    {S("1 Jan 106 0:00 Z"), S("Sun, 01 Jan 2006 00:00:00 +0000")},
	    {S("1 January 2006"), S("Sun, 01 Jan 2006 00:00:00 +0000")},
	    {S("31 Dec 2016 23:59:60 +0000"),
		S("Sat, 31 Dec 2016 23:59:59 +0000")},
	    {S("29 Aug 2002 15:36:58 +-0500"),
		S("Thu, 29 Aug 2002 15:36:58 +0000")},
	    {S("18 Apr 93 13:35:23 EDT(-0400)"),
		S("Sun, 18 Apr 1993 13:35:23 -0400")},
	    {S("Mon,\r\n 2 Jan\r\n 2006 15:04:05 +0000"),
		S("Mon, 02 Jan 2006 15:04:05 +0000")},
	    {S("2 Jan 2006 3:04:05 PM"), S("Mon, 02 Jan 2006 15:04:05 +0000")},
	    {S("2 Jan 2006 15:04:05 +9999"),
		S("Mon, 02 Jan 2006 15:04:05 +0000")},
	    {S("Tue, 32 Jan 2006 15:04:05 +0000"), S("")},
	    {S("30 Feb 2006 15:04:05 +0000"), S("")},
	    {S("2 Foo 2006 15:04:05 +0000"), S("")},
	    {S("Jan 2006"), S("")},
	    {S(""), S("")},
	    {S("garbage"), S("")},
	    {S("("), S("")},
	};
	struct buf b = {0};
	struct stamp t;

	for (size_t i = 0; i < NELEM(rows); i++) {
		buf_reset(&b);
		if (mime_date(rows[i].in, &t))
			mime_date_print(t, &b);
		assert_str(buf_str(&b), rows[i].out);
	}
	buf_free(&b);
}

static void
test_round_trip(void **state)
{
	struct rnd r;

	for_seeds(&r, 5000)
	{
		struct stamp t, u;
		struct buf b = {0};

		t.sec = (int64_t)rnd(&r, 253402300799u - 86400) + 86400;
		t.zone_min = (int16_t)((int)rnd(&r, 2 * 1439) - 1439);
		mime_date_print(t, &b);
		seed_true(&r, mime_date(buf_str(&b), &u));
		seed_true(&r, t.sec == u.sec && t.zone_min == u.zone_min);
		buf_free(&b);
	}
}

int
t_date(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_round_trip),
	};

	return cmocka_run_group_tests_name("date", tests, NULL, NULL);
}
