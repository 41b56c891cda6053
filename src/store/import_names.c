/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The small languages of other programs' mail stores: names of mailboxes and
 * files, lists of UIDs, From_ lines. Pure functions over bytes, which may be
 * anything.
 */
#include "store/import_int.h"

/* ---- names ---- */

static int
b64_value(char c)
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqr"
				  "stuvwxyz0123456789+,";
	const char *p = memchr(set, c, 64);

	return p == NULL ? -1 : (int)(p - set);
}

/* The UTF-16 of one shifted run, appended as UTF-8. */
static bool
unshift(str run, struct buf *out)
{
	uint32_t acc = 0, high = 0, u;
	int bits = 0, v;

	for (size_t i = 0; i < run.n; i++) {
		if ((v = b64_value(run.p[i])) < 0)
			return false;
		acc = acc << 6 | (uint32_t)v;
		bits += 6;
		if (bits < 16)
			continue;
		bits -= 16;
		u = acc >> bits & 0xffff;
		if (u >= 0xd800 && u < 0xdc00) {
			if (high != 0)
				return false;
			high = u;
		} else if (u >= 0xdc00 && u < 0xe000) {
			if (high == 0)
				return false;
			utf8_put(out,
			    0x10000 + ((high & 0x3ff) << 10) + (u & 0x3ff));
			high = 0;
		} else {
			if (high != 0 || u == 0)
				return false;
			utf8_put(out, u);
		}
	}
	return high == 0 && bits < 6 && (acc & ((1u << bits) - 1)) == 0;
}

/* Modified UTF-7 (RFC 3501 5.1.3). False: it is not that. */
static bool
mutf7(str s, struct buf *out)
{
	size_t end;

	for (size_t i = 0; i < s.n; i++) {
		if ((unsigned char)s.p[i] >= 0x80)
			return false;
		if (s.p[i] != '&') {
			buf_c(out, s.p[i]);
			continue;
		}
		end = str_chr(str_from(s, i + 1), '-');
		if (i + 1 + end == s.n)
			return false;
		if (end == 0)
			buf_c(out, '&');
		else if (!unshift(str_of(s.p + i + 1, end), out))
			return false;
		i += end + 1;
	}
	return true;
}

static void
component(str s, struct buf *out)
{
	struct buf b = {0};

	if (!mutf7(s, &b)) {
		buf_reset(&b);
		if (utf8_valid(s)) {
			buf_str_add(&b, s);
		} else {
			for (size_t i = 0; i < s.n; i++)
				utf8_put(&b, (unsigned char)s.p[i]);
		}
	}
	for (size_t i = 0; i < b.n; i++) {
		unsigned char c = (unsigned char)b.p[i];

		buf_c(out, c < 0x20 || c == 0x7f || c == '/' ? '_' : (char)c);
	}
	buf_free(&b);
}

str
import_name(struct arena *a, str name, char sep)
{
	struct buf b = {0};
	str rest = name, s;

	while (rest.n > 0) {
		s = str_cut(&rest, sep);
		if (s.n == 0)
			continue;
		if (b.n > 0)
			buf_c(&b, '/');
		component(s, &b);
	}
	s = arena_buf(a, &b);
	buf_free(&b);
	return s;
}

/* ---- lists of UIDs ---- */

static str
line_cut(str *rest)
{
	str line = str_cut(rest, '\n');

	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	return line;
}

/* "3 V123 N5 G..."; "1 123 5". */
static bool
uidlist_head(
    str line, uint32_t *version, uint32_t *uidvalidity, uint32_t *uidnext)
{
	str tok = str_cut(&line, ' ');
	uint32_t v = 0, n = 0;

	if (!str_u32(tok, version) || (*version != 1 && *version != 3))
		return false;
	if (*version == 1) {
		tok = str_cut(&line, ' ');
		if (!str_u32(tok, &v) || !str_u32(str_cut(&line, ' '), &n))
			return false;
	}
	while (*version == 3 && line.n > 0) {
		tok = str_cut(&line, ' ');
		if (tok.n > 1 && tok.p[0] == 'V')
			str_u32(str_from(tok, 1), &v);
		if (tok.n > 1 && tok.p[0] == 'N')
			str_u32(str_from(tok, 1), &n);
	}
	*uidvalidity = v;
	*uidnext = n;
	return v != 0;
}

static str
strip_info(str name)
{
	str base;
	unsigned flags;
	uint32_t letters;
	bool fwd;

	import_info(name, &base, &flags, &letters, &fwd);
	return base;
}

bool
import_uidlist(str text, uint32_t *uidvalidity, uint32_t *uidnext,
    void (*each)(void *ctx, str name, uint32_t uid, str uidl), void *ctx)
{
	uint32_t version, uid, last = 0;
	str line = line_cut(&text), tok, uidl;

	if (!uidlist_head(line, &version, uidvalidity, uidnext))
		return false;
	while (text.n > 0) {
		line = line_cut(&text);
		if (!str_u32(str_cut(&line, ' '), &uid) || uid <= last)
			continue;
		last = uid;
		uidl = STR_NONE;
		while (version == 3 && line.n > 0 && line.p[0] != ':') {
			tok = str_cut(&line, ' ');
			if (tok.n > 1 && tok.p[0] == 'P')
				uidl = str_from(tok, 1);
		}
		if (version == 3)
			line = str_from(line, 1);
		if (line.n > 0)
			each(ctx, strip_info(line), uid, uidl);
	}
	if (*uidnext <= last && last < UINT32_MAX)
		*uidnext = last + 1;
	return true;
}

/* "/2 next uidvalidity", then "name size uid:uidvalidity". */
void
import_pop3list(struct arena *a, str text,
    void (*each)(void *ctx, str name, uint32_t uid, str uidl), void *ctx)
{
	str line = line_cut(&text), name, tok;
	uint32_t uid, v;

	if (!str_starts(line, S("/2 ")))
		return;
	while (text.n > 0) {
		line = line_cut(&text);
		name = str_cut(&line, ' ');
		str_cut(&line, ' ');
		tok = str_cut(&line, ':');
		if (name.n == 0 || !str_u32(tok, &uid) || uid == 0)
			continue;
		if (str_u32(line, &v) && v != 0)
			tok = arena_f(a, "UID%u-%u", uid, v);
		else
			tok = arena_f(a, "UID%u", uid);
		each(ctx, strip_info(name), 0, tok);
	}
}

/* ---- Maildir file names ---- */

void
import_info(
    str name, str *base, unsigned *flags, uint32_t *letters, bool *forwarded)
{
	size_t at = name.n;

	*base = name;
	*flags = 0;
	*letters = 0;
	*forwarded = false;
	for (size_t i = name.n; i-- > 0 && at == name.n;) {
		if (name.p[i] == ':' || name.p[i] == '!' || name.p[i] == ';')
			at = i;
	}
	if (!str_starts(str_from(name, at + 1), S("2,")))
		return;
	*base = str_head(name, at);
	for (size_t i = at + 3; i < name.n; i++) {
		char c = name.p[i];

		if (c == ',') /* what follows is some program's own */
			break;
		*flags |= c == 'S'   ? FLAG_SEEN
			  : c == 'R' ? FLAG_ANSWERED
			  : c == 'F' ? FLAG_FLAGGED
			  : c == 'T' ? FLAG_DELETED
			  : c == 'D' ? FLAG_DRAFT
				     : 0u;
		*forwarded |= c == 'P';
		if (c >= 'a' && c <= 'z')
			*letters |= 1u << (c - 'a');
	}
}

/* ---- From_ lines ---- */

static int
month_of(str s)
{
	for (int i = 0; i < 12; i++) {
		if (s.n >= 3 &&
		    str_caseeq(str_head(s, 3), str_of(month_name[i], 3)))
			return i + 1;
	}
	return 0;
}

static bool
weekday(str s)
{
	if (s.n > 0 && s.p[s.n - 1] == ',')
		s.n--;
	for (int i = 0; i < 7; i++) {
		if (s.n >= 3 &&
		    str_caseeq(str_head(s, 3), str_of(weekday_name[i], 3)))
			return true;
	}
	return false;
}

/* H:MM or H:MM:SS */
static bool
clock_time(str s, struct civil *c)
{
	str h = str_cut(&s, ':'), m = str_cut(&s, ':');
	uint32_t v;

	if (h.n == 0 || h.n > 2 || m.n != 2 || !str_u32(h, &v) || v > 23)
		return false;
	c->hour = (int)v;
	if (!str_u32(m, &v) || v > 59)
		return false;
	c->minute = (int)v;
	c->second = 0;
	if (s.n == 0)
		return true;
	if (s.n != 2 || !str_u32(s, &v) || v > 60)
		return false;
	c->second = (int)v;
	return true;
}

/* +hhmm */
static bool
offset(str s, int *zone)
{
	uint32_t v;

	if (s.n != 5 || (s.p[0] != '+' && s.p[0] != '-') ||
	    !str_u32(str_from(s, 1), &v) || v % 100 > 59 || v / 100 > 14)
		return false;
	*zone = (int)(v / 100 * 60 + v % 100) * (s.p[0] == '-' ? -1 : 1);
	return true;
}

/* The tokens behind the weekday: month and day in either order, a time, and
 * in any order a year and a zone. */
static bool
asctime_tail(
    const str *tok, size_t n, struct civil *c, int *zone, bool *has_zone)
{
	uint32_t day = 0, year = 0;
	int month = 0;
	bool time = false;

	*has_zone = false;
	for (size_t i = 0; i < n && i < 7; i++) {
		uint32_t v;

		if (!time && clock_time(tok[i], c))
			time = true;
		else if (month == 0 && month_of(tok[i]) != 0)
			month = month_of(tok[i]);
		else if (tok[i].n <= 2 && day == 0 && str_u32(tok[i], &v))
			day = v;
		else if (tok[i].n == 4 && year == 0 && str_u32(tok[i], &v))
			year = v;
		else if (offset(tok[i], zone))
			*has_zone = true;
		else if (str_caseeq(tok[i], S("GMT")) ||
			 str_caseeq(tok[i], S("UTC")))
			*has_zone = true;
	}
	c->day = (int)day;
	c->month = month;
	c->year = (int)year;
	return time && month != 0 && day != 0 && year >= 1970;
}

bool
import_from_line(str line, bool *has_date, struct stamp *t)
{
	str tok[24], rest;
	struct civil c = {0};
	size_t n = 0;
	int zone = 0;
	bool has_zone, time = false;

	*has_date = false;
	if (!str_starts(line, S("From ")))
		return false;
	rest = str_from(line, 5);
	while (rest.n > 0 && n < NELEM(tok)) {
		tok[n] = str_trim(str_cut(&rest, ' '));
		if (tok[n].n > 0)
			time |= clock_time(tok[n++], &c);
	}
	for (size_t i = 0; i < n; i++) {
		if (!weekday(tok[i]) ||
		    !asctime_tail(
			tok + i + 1, n - i - 1, &c, &zone, &has_zone) ||
		    !stamp_from_civil(&c, zone, t))
			continue;
		if (!has_zone) { /* local time, as it mostly is */
			struct stamp local = import_local(t->sec);

			t->zone_min = local.zone_min;
			t->sec -= local.zone_min * 60;
		}
		*has_date = true;
		return true;
	}
	return time;
}
