/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* Dates, against the C library's. */
#include "t_base.h"

#include <time.h>

static void
test_civil(void **state)
{
	struct rnd r;

	for_seeds(&r, 5000)
	{
		/* The years 1 to 9999. */
		time_t sec = (time_t)rnd(&r, 315537811200) - 62135510400;
		struct stamp t = {sec, (int16_t)(rnd(&r, 2879) - 1439)};
		time_t local = sec + t.zone_min * 60;
		struct stamp back;
		struct civil c;
		struct tm tm;

		gmtime_r(&local, &tm);
		stamp_civil(t, &c);
		seed_true(&r, c.year == tm.tm_year + 1900);
		seed_true(&r, c.month == tm.tm_mon + 1);
		seed_true(&r, c.day == tm.tm_mday);
		seed_true(&r, c.hour == tm.tm_hour);
		seed_true(&r, c.minute == tm.tm_min);
		seed_true(&r, c.second == tm.tm_sec);
		seed_true(&r, c.weekday == tm.tm_wday);
		seed_true(&r, stamp_from_civil(&c, t.zone_min, &back));
		seed_true(&r, back.sec == t.sec && back.zone_min == t.zone_min);
		seed_true(
		    &r, stamp_day(t) == civil_day(c.year, c.month, c.day));
	}
}

static void
test_edges(void **state)
{
	static const struct {
		struct civil c;
		int zone;
		bool ok;
	} rows[] = {
	    {{1, 1, 1, 0, 0, 0, 0}, 0, true},
	    {{9999, 12, 31, 23, 59, 60, 0}, 0, true},
	    {{2000, 2, 29, 0, 0, 0, 0}, 1439, true},
	    {{2024, 2, 29, 0, 0, 0, 0}, -1439, true},
	    {{1900, 2, 29, 0, 0, 0, 0}, 0, false},
	    {{2023, 2, 29, 0, 0, 0, 0}, 0, false},
	    {{2023, 4, 31, 0, 0, 0, 0}, 0, false},
	    {{2023, 0, 1, 0, 0, 0, 0}, 0, false},
	    {{2023, 13, 1, 0, 0, 0, 0}, 0, false},
	    {{2023, 1, 0, 0, 0, 0, 0}, 0, false},
	    {{0, 1, 1, 0, 0, 0, 0}, 0, false},
	    {{10000, 1, 1, 0, 0, 0, 0}, 0, false},
	    {{2023, 1, 1, 24, 0, 0, 0}, 0, false},
	    {{2023, 1, 1, 0, 60, 0, 0}, 0, false},
	    {{2023, 1, 1, 0, 0, 61, 0}, 0, false},
	    {{2023, 1, 1, 0, 0, -1, 0}, 0, false},
	    {{2023, 1, 1, 0, 0, 0, 0}, 1440, false},
	    {{2023, 1, 1, 0, 0, 0, 0}, -1440, false},
	};
	static const int64_t wild[] = {
	    INT64_MIN, INT64_MAX, 0, -62135596800 - 1, 253402300799 + 1};
	struct stamp t;
	struct civil c;

	for (size_t i = 0; i < NELEM(rows); i++)
		if (stamp_from_civil(&rows[i].c, rows[i].zone, &t) !=
		    rows[i].ok)
			fail_msg("row %zu", i);
	/* A stamp from a damaged disk still shows as some date. */
	for (size_t i = 0; i < NELEM(wild); i++) {
		t = (struct stamp){wild[i], (int16_t)(i * 300)};
		stamp_civil(t, &c);
		assert_in_range(c.year, 1, 9999);
		assert_in_range(c.weekday, 0, 6);
		(void)stamp_day(t);
	}
	assert_int_equal(civil_day(1970, 1, 1), 0);
	assert_int_equal(civil_day(1969, 12, 31), -1);
	assert_string_equal(month_name[11], "Dec");
	assert_string_equal(weekday_name[0], "Sun");
}

int
t_stamp(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_civil),
	    cmocka_unit_test(test_edges),
	};

	return cmocka_run_group_tests_name("stamp", tests, NULL, NULL);
}
