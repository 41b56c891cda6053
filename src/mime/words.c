/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Encoded words (RFC 2047) and raw 8-bit text in header fields.
 *
 * (1) Words next to each other in one charset are decoded first and
 *     converted together, since some mailers cut characters in two.
 * (2) A word holds no "?" but its own; a run between two "?" is looked at
 *     a fixed number of times, so bombs of "=?" cost their length.
 */
#include "mime/mime_int.h"

#define CHARSET_NAME_MAX 80

struct word {
	str charset, text;
	bool q;
	const char *end; /* behind "?=" */
};

/* The encoded word that starts at p ("=?"), if there is one. */
static bool
word_at(const char *p, const char *end, struct word *w)
{
	const char *q = p + 2, *stop;
	str rest;

	stop = end - q > CHARSET_NAME_MAX ? q + CHARSET_NAME_MAX : end;
	while (q < stop && *q != '?' && !is_lwsp(*q))
		q++;
	if (q + 2 >= end || *q != '?' || q == p + 2 || q[2] != '?')
		return false;
	w->charset = str_of(p + 2, (size_t)(q - p - 2));
	w->charset = str_head(w->charset, str_chr(w->charset, '*'));
	if (lower(q[1]) != 'q' && lower(q[1]) != 'b')
		return false;
	w->q = lower(q[1]) == 'q';
	rest = str_of(q + 3, (size_t)(end - q - 3));
	w->text = str_head(rest, str_chr(rest, '?'));
	q = w->text.p + w->text.n;
	if (q + 1 >= end || q[1] != '=')
		return false;
	w->end = q + 2;
	return true;
}

static void
raw(str s, struct buf *out)
{
	if (utf8_valid(s))
		buf_str_add(out, s);
	else if (mime_to_utf8(S("windows-1252"), s, out) != OK)
		buf_str_add(out, s);
}

/* What was decoded of a run of words in one charset. */
static void
flush(str charset, struct buf *bytes, struct buf *out)
{
	if (bytes->n > 0 && mime_to_utf8(charset, buf_str(bytes), out) != OK) {
		/* The charset is unknown: take it as raw text. */
	}
	buf_reset(bytes);
}

static bool
all_space(const char *p, const char *end)
{
	while (p < end && is_lwsp(*p))
		p++;
	return p == end;
}

void
mime_decode_words(str value, struct buf *out)
{
	const char *p = value.p, *from = p, *end, *q;
	struct buf bytes = {0};
	str charset = {0};
	struct word w;
	struct b64 d;
	bool after = false;

	if (value.n == 0)
		return;
	end = p + value.n;
	while (p < end && (q = memchr(p, '=', (size_t)(end - p))) != NULL) {
		if (q + 1 == end || q[1] != '?' || !word_at(q, end, &w)) {
			p = q + 1;
			continue;
		}
		if (!after || !all_space(from, q)) {
			flush(charset, &bytes, out);
			raw(str_of(from, (size_t)(q - from)), out);
		} else if (!str_caseeq(charset, w.charset)) {
			flush(charset, &bytes, out);
		}
		charset = w.charset;
		if (w.q) {
			mime_qp(w.text, true, &bytes);
		} else {
			d = (struct b64){0};
			mime_b64_feed(&d, w.text, &bytes);
			mime_b64_end(&d, &bytes);
		}
		p = from = w.end;
		after = true;
	}
	flush(charset, &bytes, out);
	if (from < end)
		raw(str_of(from, (size_t)(end - from)), out);
	buf_free(&bytes);
}
