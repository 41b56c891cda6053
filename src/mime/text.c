/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The searchable text of a message: transfer encodings undone, in UTF-8,
 * folded.
 *
 * (1) Text is made in pieces of some PIECE bytes whatever the size of a
 *     part, so a search holds little memory.
 * (2) A piece is cut before an ASCII character where there is one: nothing
 *     combines across the cut.
 */
#include "mime/mime_int.h"

#define PIECE 32768
#define CUT_SEARCH 1024

struct sink {
	bool (*each)(void *ctx, str folded);
	void *ctx;
	size_t overlap;
	struct buf utf8;   /* not folded yet */
	struct buf folded; /* the overlap, and what is being given */
	bool stop;
};

static void
fold_give(struct sink *s, str text)
{
	utf8_fold(&s->folded, text);
	if (!s->each(s->ctx, buf_str(&s->folded)) || !buf_ok(&s->folded))
		s->stop = true;
	if (s->folded.n > s->overlap)
		buf_eat(&s->folded, s->folded.n - s->overlap);
}

static void
give(struct sink *s, size_t n)
{
	if (n == 0 || s->stop)
		return;
	fold_give(s, str_of(s->utf8.p, n));
	buf_eat(&s->utf8, n);
}

/* (2) */
static size_t
cut_at(const struct buf *b)
{
	size_t i, least = b->n > CUT_SEARCH ? b->n - CUT_SEARCH : 1;

	for (i = b->n - 1; i >= least; i--)
		if ((unsigned char)b->p[i] < 0x80)
			return i;
	for (i = b->n - 1; i > 0 && ((unsigned char)b->p[i] & 0xc0) == 0x80;)
		i--;
	return i > 0 ? i : b->n;
}

static void
sink_more(struct sink *s)
{
	if (s->utf8.n >= PIECE)
		give(s, cut_at(&s->utf8));
}

static void
sink_end(struct sink *s)
{
	give(s, s->utf8.n);
	buf_reset(&s->utf8);
	buf_reset(&s->folded);
}

/* Where a piece of raw body may end without cutting an escape in two. */
static size_t
raw_cut(str body, enum cte e)
{
	size_t n = MIN(body.n, PIECE), i;

	if (n == body.n || e != CTE_QP)
		return n;
	i = str_rchr(str_head(body, n), '\n');
	if (i < n)
		return i + 1;
	/* One long line. Spaces before a line end that is not seen yet stay
	 * text; that is how (1) of decode.c reads such lines too late. */
	for (i = n; i > n - 3;)
		if (body.p[--i] == '=')
			return i;
	return n;
}

static bool
is_ascii(str s)
{
	uint64_t w, all = 0;
	size_t i = 0;

	for (; i + sizeof(w) <= s.n; i += sizeof(w)) {
		memcpy(&w, s.p + i, sizeof(w));
		all |= w;
	}
	for (; i < s.n; i++)
		all |= (unsigned char)s.p[i];
	return (all & 0x8080808080808080) == 0;
}

/* What stands there as it is: folded from where it stands. */
static void
ascii_part(struct sink *s, str body)
{
	while (body.n > 0 && !s->stop) {
		fold_give(s, str_head(body, PIECE));
		body = str_from(body, PIECE);
	}
	sink_end(s);
}

static void
text_part(struct sink *s, str header, str body, enum cte e)
{
	struct arena *a = arena_new((size_t)limits.arena_max);
	struct field f;
	struct b64 d = {0};
	struct buf raw = {0};
	struct conv *c;
	str charset = {0};
	bool known;
	size_t n;

	if (mime_field_find(header, S("content-type"), &f))
		charset = mime_charset_of(a, f.value);
	/* 8-bit text that names no charset: UTF-8, as most of it is. */
	if (charset.n == 0 || str_caseeq(charset, S("us-ascii")))
		charset = S("utf-8");
	if (str_caseeq(charset, S("utf-8")) && e != CTE_BASE64 && e != CTE_QP &&
	    is_ascii(body)) {
		ascii_part(s, body);
		arena_free(&a);
		return;
	}
	c = conv_open(charset, &known);
	while (body.n > 0 && !s->stop) {
		n = raw_cut(body, e);
		buf_reset(&raw);
		if (e == CTE_BASE64)
			mime_b64_feed(&d, str_head(body, n), &raw);
		else if (e == CTE_QP)
			mime_qp(str_head(body, n), false, &raw);
		else
			buf_str_add(&raw, str_head(body, n));
		body = str_from(body, n);
		if (body.n == 0 && e == CTE_BASE64)
			mime_b64_end(&d, &raw);
		conv_feed(c, buf_str(&raw), &s->utf8);
		sink_more(s);
	}
	conv_end(&c, &s->utf8);
	sink_end(s);
	buf_free(&raw);
	arena_free(&a);
}

static void
header_text(struct sink *s, str header)
{
	size_t at = 0;
	struct field f;
	struct buf u = {0};

	while (!s->stop && mime_field_next(header, &at, &f)) {
		buf_str_add(&s->utf8, f.name);
		buf_s(&s->utf8, ": ");
		buf_reset(&u);
		mime_unfold(f.value, &u);
		mime_decode_words(buf_str(&u), &s->utf8);
		buf_c(&s->utf8, '\n');
		sink_more(s);
	}
	buf_free(&u);
	sink_end(s);
}

void
mime_text(str message, const struct summary *sum, enum mime_where where,
    size_t overlap, bool (*each)(void *ctx, str folded), void *ctx)
{
	struct sink s = {each, ctx, overlap, {0}, {0}, false};
	struct part p, parent;
	uint32_t i;
	str header;

	if (message.n < sum->size)
		return;
	for (i = 0; !s.stop && mime_part(sum, i, &p); i++) {
		header = str_of(message.p + p.header_at, p.header_len);
		mime_part(sum, p.parent, &parent);
		if (i == 0 ? where == MIME_IN_TEXT
			   : parent.kind == PART_MESSAGE)
			header_text(&s, header);
		if (p.kind == PART_TEXT)
			text_part(&s, header,
			    str_of(message.p + p.body_at, p.body_len),
			    (enum cte)p.encoding);
	}
	buf_free(&s.utf8);
	buf_free(&s.folded);
}

void
mime_header_text(
    str header, str name, bool (*each)(void *ctx, str folded), void *ctx)
{
	struct buf u = {0}, d = {0}, folded = {0};
	size_t at = 0;
	struct field f;
	bool more = true;

	while (more && mime_field_next(header, &at, &f)) {
		if (!str_caseeq(f.name, name))
			continue;
		buf_reset(&u);
		buf_reset(&d);
		buf_reset(&folded);
		mime_unfold(f.value, &u);
		mime_decode_words(buf_str(&u), &d);
		utf8_fold(&folded, buf_str(&d));
		more = each(ctx, buf_str(&folded));
	}
	buf_free(&u);
	buf_free(&d);
	buf_free(&folded);
}
