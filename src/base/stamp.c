/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Days and dates of the proleptic Gregorian calendar. Years count from
 * March within, so that the leap day is the last one.
 */
#include "base/base.h"

const char month_name[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul",
    "Aug", "Sep", "Oct", "Nov", "Dec"};
const char weekday_name[7][4] = {
    "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

enum { DAY = 86400, ERA_DAYS = 146097, EPOCH_SHIFT = 719468 };

static int64_t
floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

int64_t
civil_day(int year, int month, int day)
{
	int64_t y = (int64_t)year - (month <= 2);
	int64_t era = floor_div(y, 400);
	int64_t yoe = y - era * 400;
	int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;

	return era * ERA_DAYS + doe - EPOCH_SHIFT;
}

static void
civil_of_day(int64_t days, struct civil *c)
{
	int64_t z = days + EPOCH_SHIFT;
	int64_t era = floor_div(z, ERA_DAYS);
	int64_t doe = z - era * ERA_DAYS;
	int64_t yoe =
	    (doe - doe / 1460 + doe / 36524 - doe / (ERA_DAYS - 1)) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;

	c->day = (int)(doy - (153 * mp + 2) / 5 + 1);
	c->month = (int)(mp < 10 ? mp + 3 : mp - 9);
	c->year = (int)(yoe + era * 400 + (c->month <= 2));
	c->weekday = (int)((days % 7 + 11) % 7); /* day 0 was a Thursday */
}

/* Seconds of the stamp's own clock, kept within the years 1 to 9999: a
 * stamp may come from a damaged disk, and there is no other date to show. */
static int64_t
local_sec(struct stamp t)
{
	static const int64_t least = -62135596800; /* 0001-01-01T00:00:00 */
	static const int64_t most = 253402300799;  /* 9999-12-31T23:59:59 */
	int64_t s;

	if (t.sec < least - DAY)
		return least;
	if (t.sec > most + DAY)
		return most;
	s = t.sec + (int64_t)t.zone_min * 60;
	return MAX(least, MIN(most, s));
}

void
stamp_civil(struct stamp t, struct civil *c)
{
	int64_t s = local_sec(t);
	int64_t days = floor_div(s, DAY);
	int rest = (int)(s - days * DAY);

	civil_of_day(days, c);
	c->hour = rest / 3600;
	c->minute = rest / 60 % 60;
	c->second = rest % 60;
}

static int
month_days(int year, int month)
{
	static const int days[12] = {
	    31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[month - 1] + (month == 2 && leap);
}

bool
stamp_from_civil(const struct civil *c, int zone_min, struct stamp *t)
{
	if (c->year < 1 || c->year > 9999 || c->month < 1 || c->month > 12 ||
	    c->day < 1 || c->day > month_days(c->year, c->month))
		return false;
	if (c->hour < 0 || c->hour > 23 || c->minute < 0 || c->minute > 59 ||
	    c->second < 0 || c->second > 60)
		return false;
	if (zone_min < -1439 || zone_min > 1439)
		return false;
	t->zone_min = (int16_t)zone_min;
	t->sec = civil_day(c->year, c->month, c->day) * DAY + c->hour * 3600 +
		 c->minute * 60 + MIN(c->second, 59) - (int64_t)zone_min * 60;
	return true;
}

int64_t
stamp_day(struct stamp t)
{
	return floor_div(local_sec(t), DAY);
}
