/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * UTF-8, strict, and what needs Unicode's tables.
 *
 * (1) Normalising sorts combining marks with a bubble sort in utf8proc, so
 *     a text of marks alone would take quadratic time. It is fed in pieces,
 *     cut where nothing can reorder or compose across the cut, and in any
 *     case at PIECE_MAX: no honest text has that many marks in a row.
 */
#include "base/base.h"

#include <stdlib.h>
#include <utf8proc.h>

enum { PIECE = 512, PIECE_MAX = 1024 };

static bool
cont(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

size_t
utf8_get(str s, uint32_t *cp)
{
	const unsigned char *p = (const unsigned char *)s.p;
	uint32_t v;

	if (s.n == 0)
		return 0;
	if (p[0] < 0x80) {
		*cp = p[0];
		return 1;
	}
	if (p[0] < 0xc2 || s.n < 2 || !cont(s.p[1]))
		return 0;
	if (p[0] < 0xe0) {
		*cp = (uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f);
		return 2;
	}
	if (s.n < 3 || !cont(s.p[2]))
		return 0;
	if (p[0] < 0xf0) {
		v = (uint32_t)(p[0] & 0x0f) << 12 |
		    (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
		if (v < 0x800 || (v >= 0xd800 && v <= 0xdfff))
			return 0;
		*cp = v;
		return 3;
	}
	if (p[0] > 0xf4 || s.n < 4 || !cont(s.p[3]))
		return 0;
	v = (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3f) << 12 |
	    (uint32_t)(p[2] & 0x3f) << 6 | (p[3] & 0x3f);
	if (v < 0x10000 || v > 0x10ffff)
		return 0;
	*cp = v;
	return 4;
}

/* Length of the ASCII bytes at the start of s. */
static size_t
ascii_run(str s)
{
	size_t i = 0;

	for (; i + 8 <= s.n; i += 8) {
		uint64_t w;

		memcpy(&w, s.p + i, 8);
		if (w & 0x8080808080808080)
			break;
	}
	while (i < s.n && (unsigned char)s.p[i] < 0x80)
		i++;
	return i;
}

bool
utf8_valid(str s)
{
	uint32_t cp;
	size_t n;

	for (;;) {
		s = str_from(s, ascii_run(s));
		if (s.n == 0)
			return true;
		if ((n = utf8_get(s, &cp)) == 0)
			return false;
		s = str_from(s, n);
	}
}

void
utf8_put(struct buf *b, uint32_t cp)
{
	assert(cp <= 0x10ffff && (cp < 0xd800 || cp > 0xdfff));
	if (cp < 0x80) {
		buf_c(b, (char)cp);
	} else if (cp < 0x800) {
		buf_c(b, (char)(0xc0 | cp >> 6));
		buf_c(b, (char)(0x80 | (cp & 0x3f)));
	} else if (cp < 0x10000) {
		buf_c(b, (char)(0xe0 | cp >> 12));
		buf_c(b, (char)(0x80 | (cp >> 6 & 0x3f)));
		buf_c(b, (char)(0x80 | (cp & 0x3f)));
	} else {
		buf_c(b, (char)(0xf0 | cp >> 18));
		buf_c(b, (char)(0x80 | (cp >> 12 & 0x3f)));
		buf_c(b, (char)(0x80 | (cp >> 6 & 0x3f)));
		buf_c(b, (char)(0x80 | (cp & 0x3f)));
	}
}

/* Nothing before cp can reorder with it or compose with it. Whatever
 * composes with what stands before it is a mark, or a Hangul vowel or
 * final consonant. */
static bool
starts_piece(uint32_t cp)
{
	if (cp < 0x80)
		return true;
	if (cp >= 0x1160 && cp <= 0x11ff)
		return false;
	switch (utf8proc_category((utf8proc_int32_t)cp)) {
	case UTF8PROC_CATEGORY_MN:
	case UTF8PROC_CATEGORY_MC:
	case UTF8PROC_CATEGORY_ME:
		return false;
	default:
		return true;
	}
}

/* Length of the piece at the start of s that can be mapped alone (1): ends
 * at a malformed byte too; 0 when s begins with one. From the byte
 * ascii_from on, it also ends at ASCII. */
static size_t
piece(str s, size_t ascii_from)
{
	size_t at = 0;
	uint32_t cp;
	size_t n;

	while (at < PIECE_MAX && (n = utf8_get(str_from(s, at), &cp)) > 0) {
		if (cp < 0x80 && at >= ascii_from)
			break;
		if (at >= PIECE && starts_piece(cp))
			break;
		at += n;
	}
	return at;
}

static enum err
map_piece(struct buf *out, str s, utf8proc_option_t how)
{
	utf8proc_uint8_t *p = NULL;
	utf8proc_ssize_t n;

	n = utf8proc_map(
	    (const utf8proc_uint8_t *)s.p, (utf8proc_ssize_t)s.n, &p, how);
	if (n >= 0)
		buf_add(out, p, (size_t)n);
	free(p);
	if (n < 0)
		return n == UTF8PROC_ERROR_NOMEM ? ERR_NOMEM : ERR_INVALID;
	return OK;
}

enum err
utf8_nfc(struct buf *out, str s)
{
	size_t n;
	enum err e;

	if (!utf8_valid(s))
		return ERR_INVALID;
	if (ascii_run(s) == s.n) {
		buf_str_add(out, s);
		return buf_ok(out) ? OK : ERR_NOMEM;
	}
	for (; s.n > 0; s = str_from(s, n)) {
		n = piece(s, PIECE);
		e = map_piece(
		    out, str_head(s, n), UTF8PROC_STABLE | UTF8PROC_COMPOSE);
		if (e != OK)
			return e;
	}
	return buf_ok(out) ? OK : ERR_NOMEM;
}

/* Sixteen octets at a time, in the compiler's own words for it. */
typedef uint8_t octets __attribute__((vector_size(16)));

static void
fold_ascii(struct buf *out, str s)
{
	char *to = s.n == 0 ? NULL : buf_room(out, s.n);
	size_t i = 0;
	octets v;

	if (to == NULL)
		return;
	for (; i + sizeof(v) <= s.n; i += sizeof(v)) {
		memcpy(&v, s.p + i, sizeof(v));
		v |= (octets)((v >= 'A') & (v <= 'Z')) & 0x20;
		memcpy(to + i, &v, sizeof(v));
	}
	for (; i < s.n; i++) {
		char c = s.p[i];

		to[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
	}
	out->n += s.n;
}

/* One piece that begins with no ASCII, on the stack. */
static void
fold_piece(struct buf *out, str s)
{
	utf8proc_int32_t cp[4 * PIECE_MAX];
	utf8proc_ssize_t n = utf8proc_decompose((const utf8proc_uint8_t *)s.p,
	    (utf8proc_ssize_t)s.n, cp, NELEM(cp),
	    UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_CASEFOLD);

	if (n < 0 || (size_t)n > NELEM(cp)) {
		/* No code point has so long a form. */
		buf_str_add(out, s);
		return;
	}
	for (utf8proc_ssize_t i = 0; i < n; i++)
		utf8_put(out, (uint32_t)cp[i]);
}

void
utf8_fold(struct buf *out, str s)
{
	while (s.n > 0) {
		size_t n = ascii_run(s);

		fold_ascii(out, str_head(s, n));
		s = str_from(s, n);
		if (s.n == 0)
			return;
		n = piece(s, 1);
		if (n == 0) {
			buf_c(out, s.p[0]); /* malformed: as it is */
			n = 1;
		} else {
			fold_piece(out, str_head(s, n));
		}
		s = str_from(s, n);
	}
}
