/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Modified UTF-7: see mutf7.h, whose number is cited here.
 */
#include "proto/mutf7.h"

static const char digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static int
digit_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == ',' ? 63 : -1;
}

static bool
is_plain(uint32_t c)
{
	return c >= 0x20 && c <= 0x7e;
}

/* One UTF-16 unit of a shifted run; *high: the first half of a pair. */
static bool
add_unit(struct buf *out, uint32_t unit, uint32_t *high)
{
	if (*high != 0) {
		if (unit < 0xdc00 || unit > 0xdfff)
			return false;
		utf8_put(
		    out, 0x10000 + ((*high - 0xd800) << 10) + (unit - 0xdc00));
		*high = 0;
		return true;
	}
	if (unit >= 0xd800 && unit <= 0xdbff) {
		*high = unit;
		return true;
	}
	if (is_plain(unit) || (unit >= 0xdc00 && unit <= 0xdfff))
		return false;
	utf8_put(out, unit);
	return true;
}

/* A shifted run behind "&", with the "-" that ends it. */
static bool
get_shifted(struct buf *out, struct scan *s)
{
	uint32_t bits = 0;
	unsigned nbits = 0;
	uint32_t high = 0;
	size_t units = 0;
	int v;

	for (; s->p < s->end && *s->p != '-'; s->p++) {
		if ((v = digit_value(*s->p)) < 0)
			return false;
		bits = bits << 6 | (uint32_t)v;
		nbits += 6;
		if (nbits < 16)
			continue;
		nbits -= 16;
		if (!add_unit(out, bits >> nbits & 0xffff, &high))
			return false;
		bits &= (1u << nbits) - 1;
		units++;
	}
	/* What is left over is less than a digit, and zero. */
	if (units == 0 || high != 0 || nbits >= 6 || bits != 0)
		return false;
	return scan_char(s, '-');
}

static bool
get_all(struct buf *out, struct scan *s)
{
	bool shifted = false; /* a shifted run has just ended */

	while (!scan_end(s)) {
		unsigned char c = (unsigned char)*s->p++;

		if (!is_plain(c))
			return false;
		if (c != '&') {
			buf_c(out, (char)c);
			shifted = false;
		} else if (scan_char(s, '-')) {
			buf_c(out, '&');
			shifted = false;
		} else if (shifted || !get_shifted(out, s)) {
			return false;
		} else {
			shifted = true;
		}
	}
	return true;
}

enum err
mutf7_get(struct buf *out, str name)
{
	struct scan s = scan_of(name);
	size_t n = out->n;

	if (get_all(out, &s))
		return OK;
	out->n = n;
	return ERR_INVALID;
}

/* The bits of a shifted run on their way out. */
struct shift {
	struct buf *out;
	uint32_t bits;
	unsigned nbits;
};

static void
put_unit(struct shift *x, uint32_t unit)
{
	x->bits = x->bits << 16 | unit;
	x->nbits += 16;
	while (x->nbits >= 6) {
		x->nbits -= 6;
		buf_c(x->out, digits[x->bits >> x->nbits & 63]);
	}
	x->bits &= (1u << x->nbits) - 1;
}

static size_t
put_shifted(struct buf *out, str s)
{
	struct shift x = {out, 0, 0};
	size_t at = 0;
	size_t len;
	uint32_t cp;

	buf_c(out, '&');
	while ((len = utf8_get(str_from(s, at), &cp)) > 0 && !is_plain(cp)) {
		if (cp >= 0x10000) {
			put_unit(&x, 0xd800 + ((cp - 0x10000) >> 10));
			put_unit(&x, 0xdc00 + ((cp - 0x10000) & 0x3ff));
		} else {
			put_unit(&x, cp);
		}
		at += len;
	}
	if (x.nbits > 0)
		buf_c(out, digits[x.bits << (6 - x.nbits) & 63]);
	buf_c(out, '-');
	return at;
}

enum err
mutf7_put(struct buf *out, str utf8)
{
	size_t at = 0;

	if (!utf8_valid(utf8))
		return ERR_INVALID;
	while (at < utf8.n) {
		unsigned char c = (unsigned char)utf8.p[at];

		if (!is_plain(c)) {
			at += put_shifted(out, str_from(utf8, at));
			continue;
		}
		if (c == '&')
			buf_s(out, "&-");
		else
			buf_c(out, (char)c);
		at++;
	}
	return OK;
}
