/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Parameters of Content-Type and Content-Disposition (RFC 2045 5.1), with
 * continuations and charsets (RFC 2231).
 *
 * (1) The pieces "name*0", "name*1*", ... are joined in the order of their
 *     numbers wherever they stand; a gap ends the value. They are sorted by
 *     name and number, so 10^6 of them cost n log n, not n^2.
 * (2) At most PARAMS_MAX pieces are looked at.
 * (3) Names come out in lower case; of several of one name, all come out.
 */
#include <stdlib.h>

#include "mime/mime_int.h"

struct piece {
	str name;      /* lower case, without "*..." */
	uint32_t seq;  /* number of the continuation */
	bool numbered; /* has one */
	bool extended; /* ends in "*": %-encoded, the first with charset */
	str value;
	size_t place; /* where it stood */
};

bool
is_token_char(unsigned char c)
{
	static const char tspecials[] = "()<>@,;:\\\"/[]?=";

	return c > ' ' && c != 127 && strchr(tspecials, c) == NULL;
}

/* A value that is not quoted goes to the next ";" (mailers forget to quote
 * spaces and slashes), a comment behind it apart. */
static const char *
bare_value(const char *p, const char *end, str *out)
{
	const char *q = p;

	while (q < end && *q != ';' && *q != '(' && *q != '\n')
		q++;
	*out = str_trim(str_of(p, (size_t)(q - p)));
	return q;
}

/* A quoted string at p; behind it. One without an end is none. */
static const char *
quoted_value(struct arena *a, const char *p, const char *end, str *out)
{
	const char *q = p + 1;
	bool plain = true;
	struct buf b = {0};

	while (q < end && *q != '"') {
		if (*q == '\\' && q + 1 < end)
			q++;
		plain = plain && *q != '\r' && *q != '\n' && q[-1] != '\\';
		q++;
	}
	if (q >= end)
		return bare_value(p + 1, end, out);
	*out = str_of(p + 1, (size_t)(q - p - 1));
	if (!plain) {
		for (p++; p < q; p++) {
			if (*p == '\\' && p + 1 < q)
				buf_c(&b, *++p);
			else if (*p != '\r' && *p != '\n')
				buf_c(&b, *p);
		}
		*out = arena_buf(a, &b);
		buf_free(&b);
	}
	return q + 1;
}

static str
lower_dup(struct arena *a, str s)
{
	char *p;
	size_t i;

	for (i = 0; i < s.n && !(s.p[i] >= 'A' && s.p[i] <= 'Z');)
		i++;
	if (i == s.n)
		return s;
	p = arena_alloc(a, s.n);
	if (p == NULL)
		return STR_NONE;
	for (i = 0; i < s.n; i++)
		p[i] = lower(s.p[i]);
	return str_of(p, s.n);
}

/* "name*7*" */
static void
piece_name(struct arena *a, str name, struct piece *x)
{
	size_t star;
	str num;

	if (name.n > 1 && name.p[name.n - 1] == '*') {
		x->extended = true;
		name.n--;
	}
	star = str_rchr(name, '*');
	if (star > 0 && star < name.n) {
		num = str_from(name, star + 1);
		if (num.n <= 9 && str_u32(num, &x->seq)) {
			x->numbered = true;
			name.n = star;
		}
	}
	x->name = lower_dup(a, name);
}

/* Behind a ";" at p: one parameter, if there is one. Behind it. */
static const char *
one_piece(struct arena *a, const char *p, const char *end, struct piece *x,
    bool *found)
{
	const char *q;
	str name;

	*found = false;
	*x = (struct piece){0};
	p = mime_skip_cfws(p, end);
	for (q = p; q < end && *q != '=' && *q != ';' && !is_lwsp(*q) &&
		    *q != '"' && *q != '(';)
		q++;
	name = str_of(p, (size_t)(q - p));
	p = mime_skip_cfws(q, end);
	if (name.n == 0 || p == end || *p != '=')
		return p;
	p = mime_skip_cfws(p + 1, end);
	piece_name(a, name, x);
	if (p < end && *p == '"')
		p = quoted_value(a, p, end, &x->value);
	else
		p = bare_value(p, end, &x->value);
	*found = true;
	return p;
}

/* To the next ";" outside of quotes; behind it. */
static const char *
skip_to_next(const char *p, const char *end)
{
	while (p < end && *p != ';') {
		if (*p == '(')
			p = mime_skip_comment(p, end);
		else if (*p++ == '"') {
			while (p < end && *p != '"')
				p += *p == '\\' && p + 1 < end ? 2 : 1;
			p += p < end;
		}
	}
	return p < end ? p + 1 : end;
}

static enum err
pieces(struct arena *a, str value, str *type, struct piece **v, size_t *n)
{
	const char *p = value.p, *end, *q;
	size_t cap = 0;
	struct piece x;
	bool found;

	*v = NULL;
	*n = 0;
	*type = STR_NONE;
	if (value.n == 0)
		return OK;
	end = p + value.n;
	p = mime_skip_cfws(p, end);
	for (q = p; q < end && *q != ';' && *q != '(';)
		q++;
	*type = str_trim(str_of(p, (size_t)(q - p)));
	p = skip_to_next(q, end);
	while (p < end && *n < PARAMS_MAX) {
		p = one_piece(a, p, end, &x, &found);
		if (found) {
			if (!ARENA_PUSH(a, *v, *n, cap))
				return ERR_LIMIT;
			x.place = *n;
			(*v)[(*n)++] = x;
		}
		p = skip_to_next(p, end);
	}
	return arena_failed(a) ? ERR_LIMIT : OK;
}

static int
by_name(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;
	int c = str_cmp(x->name, y->name);

	if (c != 0)
		return c;
	if (x->numbered != y->numbered)
		return x->numbered ? 1 : -1;
	if (x->numbered && x->seq != y->seq)
		return x->seq < y->seq ? -1 : 1;
	return x->place < y->place ? -1 : x->place > y->place;
}

static void
percent_decode(str s, struct buf *out)
{
	size_t i;

	for (i = 0; i < s.n; i++) {
		int hi = -1, lo = -1;

		if (s.p[i] == '%' && i + 2 < s.n) {
			hi = hex_digit(s.p[i + 1]);
			lo = hex_digit(s.p[i + 2]);
		}
		if (hi >= 0 && lo >= 0) {
			buf_c(out, (char)(hi << 4 | lo));
			i += 2;
		} else {
			buf_c(out, s.p[i]);
		}
	}
}

/* Charset'language'text: charset, and *text what follows; without the
 * quotes all is text. */
static str
extended_charset(str value, str *text)
{
	str rest = value, charset = str_cut(&rest, '\'');

	if (charset.n == value.n) {
		*text = value;
		return STR_NONE;
	}
	str_cut(&rest, '\'');
	*text = rest;
	return charset;
}

/* v[0..n): the pieces of one value, in order. */
static str
decode_value(struct arena *a, const struct piece *v, size_t n)
{
	struct buf bytes = {0}, out = {0};
	str charset = {0}, text, r;
	size_t i;
	bool extended = false;

	for (i = 0; i < n; i++)
		extended |= v[i].extended;
	for (i = 0; i < n; i++) {
		text = v[i].value;
		if (i == 0 && v[i].extended)
			charset = extended_charset(v[i].value, &text);
		if (v[i].extended)
			percent_decode(text, &bytes);
		else
			buf_str_add(&bytes, text);
	}
	if (!extended)
		mime_decode_words(buf_str(&bytes), &out);
	else if (charset.n == 0 ||
		 mime_to_utf8(charset, buf_str(&bytes), &out) != OK) {
		buf_reset(&out);
		mime_decode_words(buf_str(&bytes), &out);
	}
	r = arena_buf(a, &out);
	buf_free(&bytes);
	buf_free(&out);
	return r;
}

/* The same, undecoded. When one piece is extended, all are written so. */
static str
join_value(struct arena *a, const struct piece *v, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	struct buf out = {0};
	size_t i, k;
	str r;
	bool extended = false;

	if (n == 1)
		return v[0].value;
	for (i = 0; i < n; i++)
		extended |= v[i].extended;
	if (extended && !v[0].extended)
		buf_s(&out, "''");
	for (i = 0; i < n; i++) {
		if (!extended || v[i].extended) {
			buf_str_add(&out, v[i].value);
			continue;
		}
		for (k = 0; k < v[i].value.n; k++) {
			unsigned char c = (unsigned char)v[i].value.p[k];

			if (is_token_char(c) && c < 127 && c != '%' &&
			    c != '*' && c != '\'') {
				buf_c(&out, (char)c);
			} else {
				buf_c(&out, '%');
				buf_c(&out, digits[c >> 4]);
				buf_c(&out, digits[c & 15]);
			}
		}
	}
	r = arena_buf(a, &out);
	buf_free(&out);
	return r;
}

static str
starred(struct arena *a, str name)
{
	char *p = arena_alloc(a, name.n + 1);

	if (p == NULL)
		return STR_NONE;
	memcpy(p, name.p, name.n);
	p[name.n] = '*';
	return str_of(p, name.n + 1);
}

struct joined {
	struct param p;
	size_t place;
};

static int
by_place(const void *a, const void *b)
{
	const struct joined *x = a, *y = b;

	return x->place < y->place ? -1 : x->place > y->place;
}

/* v[0..n): pieces of one name in order; the length of the first value. */
static size_t
run_of(const struct piece *v, size_t n)
{
	size_t i;

	if (!v[0].numbered)
		return 1;
	for (i = 1; i < n && v[i].numbered && str_eq(v[i].name, v[0].name) &&
		    v[i].seq == v[0].seq + i;)
		i++;
	return i;
}

static enum err
params(struct arena *a, str value, str *type, struct param **out, size_t *n,
    bool decode)
{
	struct piece *v;
	struct joined *j;
	size_t count, i, run, k;
	bool numbered = false, extended;
	enum err e;

	*out = NULL;
	*n = 0;
	if ((e = pieces(a, value, type, &v, &count)) != OK || count == 0)
		return e;
	for (i = 0; i < count; i++)
		numbered |= v[i].numbered;
	if (numbered)
		qsort(v, count, sizeof(*v), by_name);
	j = arena_array(a, count, sizeof(*j));
	*out = arena_array(a, count, sizeof(**out));
	if (j == NULL || *out == NULL)
		return ERR_LIMIT;
	for (i = 0; i < count; i += run) {
		run = run_of(&v[i], count - i);
		/* (1): a value that does not start at 0, or what is left of
		 * one behind a gap, is no value. */
		if (v[i].numbered && v[i].seq > 0 && i > 0 &&
		    v[i - 1].numbered && str_eq(v[i].name, v[i - 1].name))
			continue;
		for (extended = false, k = i; k < i + run; k++)
			extended |= v[k].extended;
		j[*n].place = v[i].place;
		j[*n].p.name =
		    extended && !decode ? starred(a, v[i].name) : v[i].name;
		j[*n].p.value = decode ? decode_value(a, &v[i], run)
				       : join_value(a, &v[i], run);
		(*n)++;
	}
	if (numbered)
		qsort(j, *n, sizeof(*j), by_place);
	for (i = 0; i < *n; i++)
		(*out)[i] = j[i].p;
	return arena_failed(a) ? ERR_LIMIT : OK;
}

enum err
mime_params(struct arena *a, str value, str *type, struct param **v, size_t *n)
{
	return params(a, value, type, v, n, true);
}

enum err
mime_params_raw(
    struct arena *a, str value, str *type, struct param **v, size_t *n)
{
	return params(a, value, type, v, n, false);
}

str
mime_charset_of(struct arena *a, str value)
{
	struct param *v;
	size_t n, i;
	str type;

	if (mime_params(a, value, &type, &v, &n) == OK)
		for (i = 0; i < n; i++)
			if (str_eq(v[i].name, S("charset")))
				return v[i].value;
	return STR_NONE;
}
