/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Date: (RFC 5322 3.3), with what real mail makes of it: obsolete and missing
 * zones, years of two or three digits, the order of asctime(), comments
 * anywhere, "-" between day, month and year, seconds left out.
 *
 * (1) Words are taken one after the other and understood by their form, so
 *     their order matters only between day and year.
 * (2) A zone that is not known counts as UTC.
 */
#include "mime/mime_int.h"

struct dp {
	struct civil c;
	bool day, month, year, time, zone;
	int zone_min;
};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_alpha(char c)
{
	return lower(c) >= 'a' && lower(c) <= 'z';
}

static void
set_year(struct dp *d, uint32_t y, size_t digits)
{
	if (digits <= 2)
		y += y < 50 ? 2000 : 1900;
	else if (digits == 3)
		y += 1900;
	d->c.year = (int)y;
	d->year = true;
}

static bool
number(struct dp *d, str w)
{
	uint32_t v;

	if (w.n > 4 || !str_u32(w, &v))
		return false;
	if (!d->day && w.n <= 2) {
		d->c.day = (int)v;
		d->day = true;
	} else if (!d->year) {
		set_year(d, v, w.n);
	} else if (!d->day) {
		d->c.day = (int)v;
		d->day = true;
	} else {
		return false;
	}
	return true;
}

/* h:mm, hh:mm:ss; "." is seen for ":". Fractions are dropped. */
static bool
clock_time(struct dp *d, str w)
{
	struct scan s = scan_of(w);
	uint32_t h, m, sec = 0;

	if (!scan_u32(&s, &h) || !(scan_char(&s, ':') || scan_char(&s, '.')) ||
	    !scan_u32(&s, &m))
		return false;
	if ((scan_char(&s, ':') || scan_char(&s, '.')) && !scan_u32(&s, &sec))
		return false;
	if (h > 23 || m > 59 || sec > 60)
		return false;
	d->c.hour = (int)h;
	d->c.minute = (int)m;
	d->c.second = sec == 60 ? 59 : (int)sec;
	d->time = true;
	return true;
}

/* +hhmm, -hh:mm, +hh */
static bool
numeric_zone(struct dp *d, str w)
{
	uint32_t v = 0;
	size_t i, n = 0;

	for (i = 1; i < w.n; i++) {
		if (w.p[i] == ':')
			continue;
		if (!is_digit(w.p[i]) || ++n > 4)
			return false;
		v = v * 10 + (uint32_t)(w.p[i] - '0');
	}
	if (n == 0)
		return false;
	if (n <= 2)
		v *= 100;
	d->zone = true;
	if (v / 100 > 23 || v % 100 > 59)
		return true; /* (2) */
	d->zone_min = (int)(v / 100 * 60 + v % 100);
	if (w.p[0] == '-')
		d->zone_min = -d->zone_min;
	return true;
}

static void
named_zone(struct dp *d, str w)
{
	static const struct {
		str name;
		int hours;
	} zones[] = {
	    {S("EDT"), -4},
	    {S("EST"), -5},
	    {S("CDT"), -5},
	    {S("CST"), -6},
	    {S("MDT"), -6},
	    {S("MST"), -7},
	    {S("PDT"), -7},
	    {S("PST"), -8},
	};
	size_t i;

	for (i = 0; i < NELEM(zones); i++)
		if (str_caseeq(w, zones[i].name))
			d->zone_min = zones[i].hours * 60;
	d->zone = true;
}

static void
word(struct dp *d, str w)
{
	size_t i;

	for (i = 0; i < 12 && !d->month; i++) {
		if (w.n >= 3 &&
		    str_caseeq(str_head(w, 3), str_c(month_name[i]))) {
			d->c.month = (int)i + 1;
			d->month = true;
			return;
		}
	}
	if (d->time && str_caseeq(w, S("PM")) && d->c.hour < 12)
		d->c.hour += 12;
	else if (d->time && str_caseeq(w, S("AM")))
		d->c.hour %= 12;
	else if (d->time && !d->zone && !d->year && w.n > 3)
		return;
	else if (d->time && !d->zone)
		named_zone(d, w);
}

/* One run of digits, letters, or a time or zone; behind it. */
static const char *
take(struct dp *d, const char *p, const char *end)
{
	const char *q = p;

	if ((*p == '+' || *p == '-') && d->time && !d->zone) {
		for (q++; q < end && (is_digit(*q) || *q == ':');)
			q++;
		if (numeric_zone(d, str_of(p, (size_t)(q - p))))
			return q;
		d->zone = true; /* (2) */
		return p + 1;
	}
	if (is_digit(*p)) {
		while (q < end && (is_digit(*q) || *q == ':' || *q == '.'))
			q++;
		if (d->time || !clock_time(d, str_of(p, (size_t)(q - p)))) {
			for (q = p; q < end && is_digit(*q);)
				q++;
			if (!number(d, str_of(p, (size_t)(q - p))))
				d->c.day = d->day ? d->c.day : -1;
		}
		return q;
	}
	if (is_alpha(*p)) {
		while (q < end && is_alpha(*q))
			q++;
		word(d, str_of(p, (size_t)(q - p)));
		return q;
	}
	return p + 1;
}

bool
mime_date(str value, struct stamp *t)
{
	struct dp d = {0};
	const char *p = value.p, *end;

	if (value.n == 0)
		return false;
	end = p + MIN(value.n, 1000);
	while ((p = mime_skip_cfws(p, end)) < end)
		p = take(&d, p, end);
	if (!d.day || !d.month || !d.year)
		return false;
	return stamp_from_civil(&d.c, d.zone_min, t);
}

void
mime_date_print(struct stamp t, struct buf *out)
{
	struct civil c;
	int zone = t.zone_min < 0 ? -t.zone_min : t.zone_min;

	stamp_civil(t, &c);
	buf_f(out, "%s, %02d %s %04d %02d:%02d:%02d %c%02d%02d",
	    weekday_name[c.weekday], c.day, month_name[c.month - 1], c.year,
	    c.hour, c.minute, c.second, t.zone_min < 0 ? '-' : '+', zone / 60,
	    zone % 60);
}
