/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * A moment with the zone it was written in: INTERNALDATE, Date:.
 */
#ifndef BASE_STAMP_H
#define BASE_STAMP_H

struct stamp {
	int64_t sec;      /* seconds since 1970-01-01T00:00:00Z */
	int16_t zone_min; /* minutes east of UTC, -1439..1439 */
};

struct civil {
	int year;  /* 1..9999 */
	int month; /* 1..12 */
	int day;   /* 1..31 */
	int hour, minute, second;
	int weekday; /* 0 = Sunday */
};

/* Proleptic Gregorian, in the stamp's own zone. */
void stamp_civil(struct stamp t, struct civil *c);
/* The inverse; false when a field is out of range (second 60 is 59). */
bool stamp_from_civil(const struct civil *c, int zone_min, struct stamp *t);
/* Days since 1970-01-01 of the stamp's own calendar date, zone respected:
 * what SEARCH ON, SENTON compare (RFC 3501 6.4.4 disregards time and zone). */
int64_t stamp_day(struct stamp t);
/* Days since 1970-01-01 of a date. */
int64_t civil_day(int year, int month, int day);
extern const char month_name[12][4];  /* "Jan" ... */
extern const char weekday_name[7][4]; /* "Sun" ... */

#endif
