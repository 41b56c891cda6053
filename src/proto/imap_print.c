/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Printing IMAP's words: see imap_print.h.
 */
#include "proto/imap_print.h"

#include "proto/imap.h"
#include "proto/mutf7.h"

/* Longer ones are literals: no client's line buffer is strained. */
enum { QUOTED_MAX = 1000, TEXT_MAX = 200 };

static bool
can_be_atom(str s)
{
	if (s.n == 0 || str_caseeq(s, S("NIL")))
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (!imap_is_astring_char((unsigned char)s.p[i]))
			return false;
	}
	return true;
}

static bool
can_be_quoted(str s, bool utf8)
{
	bool high = false;

	if (s.n > QUOTED_MAX)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '\0' || c == '\r' || c == '\n')
			return false;
		high |= c >= 0x80;
	}
	return !high || (utf8 && utf8_valid(s));
}

void
imap_put_quoted(struct buf *out, str s)
{
	buf_c(out, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			buf_c(out, '\\');
		buf_c(out, s.p[i]);
	}
	buf_c(out, '"');
}

void
imap_put_literal(struct buf *out, str s)
{
	buf_c(out, '{');
	buf_u64(out, s.n);
	buf_s(out, "}\r\n");
	buf_str_add(out, s);
}

void
imap_put_string(struct buf *out, str s, bool utf8)
{
	if (can_be_quoted(s, utf8))
		imap_put_quoted(out, s);
	else
		imap_put_literal(out, s);
}

void
imap_put_astring(struct buf *out, str s, bool utf8)
{
	if (can_be_atom(s))
		buf_str_add(out, s);
	else
		imap_put_string(out, s, utf8);
}

void
imap_put_nstring(struct buf *out, str s, bool utf8)
{
	if (s.p == NULL)
		buf_s(out, "NIL");
	else
		imap_put_string(out, s, utf8);
}

void
imap_put_mailbox(struct buf *out, str name, bool utf8)
{
	struct buf b = {0};

	if (utf8 || mutf7_put(&b, name) != OK)
		imap_put_quoted(out, name);
	else
		imap_put_quoted(out, buf_str(&b));
	buf_free(&b);
}

static char *
two(char *p, int v)
{
	*p++ = (char)('0' + v / 10);
	*p++ = (char)('0' + v % 10);
	return p;
}

void
imap_put_date_time(struct buf *out, struct stamp t)
{
	struct civil c;
	int zone = t.zone_min < 0 ? -t.zone_min : t.zone_min;
	char b[32], *p = b;

	stamp_civil(t, &c);
	if (c.year < 0 || c.year > 9999) {
		buf_f(out, "\"%02d-%s-%04d %02d:%02d:%02d %c%02d%02d\"", c.day,
		    month_name[c.month - 1], c.year, c.hour, c.minute, c.second,
		    t.zone_min < 0 ? '-' : '+', zone / 60, zone % 60);
		return;
	}
	*p++ = '"';
	p = two(p, c.day);
	*p++ = '-';
	memcpy(p, month_name[c.month - 1], 3);
	p += 3;
	*p++ = '-';
	p = two(two(p, c.year / 100), c.year % 100);
	*p++ = ' ';
	p = two(p, c.hour);
	*p++ = ':';
	p = two(p, c.minute);
	*p++ = ':';
	p = two(p, c.second);
	*p++ = ' ';
	*p++ = t.zone_min < 0 ? '-' : '+';
	p = two(two(p, zone / 60), zone % 60);
	*p++ = '"';
	buf_add(out, b, (size_t)(p - b));
}

void
imap_put_text(struct buf *out, str s)
{
	for (size_t i = 0; i < s.n && i < TEXT_MAX; i++)
		buf_c(out, s.p[i] >= 0x20 && s.p[i] < 0x7f ? s.p[i] : '?');
}
