/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Transfer encodings: quoted-printable and base64, lenient; and base64 that
 * can be made again exactly.
 *
 * (1) Quoted-printable: "=" that starts nothing stays as it is; white space
 *     at the end of a line is transport padding and goes, even at the end
 *     of a soft line break.
 * (3) uuencode (x-uuencode, from before MIME): from the line "begin" to the
 *     line "end"; each line's first character says how many bytes it holds,
 *     as far as it has them.
 * (2) base64: what is not of the alphabet is passed over; "=" ends a
 *     group, and another may follow it.
 */
#include "mime/mime_int.h"

/* clang-format off */
#define X 64	/* not of the alphabet */
#define P 65	/* "=" */
static const uint8_t value_of[256] = {
	X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,
	X,X,X,X,X,X,X,X,X,X,X,62,X,X,X,63,
	52,53,54,55,56,57,58,59,60,61,X,X,X,P,X,X,
	X,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,
	15,16,17,18,19,20,21,22,23,24,25,X,X,X,X,X,
	X,26,27,28,29,30,31,32,33,34,35,36,37,38,39,40,
	41,42,43,44,45,46,47,48,49,50,51,X,X,X,X,X,
	X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,
	X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,
	X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,
	X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,X,
};
#undef X
#undef P
/* clang-format on */

enum cte
mime_cte(str value, str *token)
{
	static const struct {
		str name;
		enum cte e;
	} names[] = {
	    {S("7bit"), CTE_7BIT},
	    {S("8bit"), CTE_8BIT},
	    {S("binary"), CTE_BINARY},
	    {S("base64"), CTE_BASE64},
	    {S("quoted-printable"), CTE_QP},
	    {S("x-uuencode"), CTE_UU},
	    {S("uuencode"), CTE_UU},
	    {S("x-uue"), CTE_UU},
	};
	const char *p = value.p, *end, *q;
	size_t i;

	*token = S("7bit");
	if (value.n == 0)
		return CTE_7BIT;
	end = p + value.n;
	p = mime_skip_cfws(p, end);
	for (q = p; q < end && is_token_char((unsigned char)*q);)
		q++;
	if (q == p)
		return CTE_7BIT;
	*token = str_of(p, (size_t)(q - p));
	/* "8 bit" */
	if (token->n == 1 && (*p == '7' || *p == '8') && q < end)
		*token = *p == '7' ? S("7bit") : S("8bit");
	for (i = 0; i < NELEM(names); i++) {
		if (str_caseeq(*token, names[i].name)) {
			*token = names[i].name;
			return names[i].e;
		}
	}
	return CTE_UNKNOWN;
}

static unsigned
v64(const char *p)
{
	return value_of[(unsigned char)*p];
}

/* Whole groups of four clean characters; how far it came. */
static const char *
b64_groups(const char *p, const char *end, unsigned char **to)
{
	unsigned char *o = *to;
	unsigned a, b, c, d;

	while (end - p >= 4) {
		a = v64(p);
		b = v64(p + 1);
		c = v64(p + 2);
		d = v64(p + 3);
		if ((a | b | c | d) & 64)
			break;
		o[0] = (unsigned char)(a << 2 | b >> 4);
		o[1] = (unsigned char)(b << 4 | c >> 2);
		o[2] = (unsigned char)(c << 6 | d);
		o += 3;
		p += 4;
	}
	*to = o;
	return p;
}

/* The bytes that less than four characters give. */
static void
b64_flush(struct b64 *d, unsigned char **to)
{
	if (d->n >= 2)
		*(*to)++ = (unsigned char)(d->bits >> (d->n * 6 - 8));
	if (d->n >= 3)
		*(*to)++ = (unsigned char)(d->bits >> (d->n * 6 - 16));
	*d = (struct b64){0};
}

void
mime_b64_feed(struct b64 *d, str s, struct buf *out)
{
	const char *p = s.p, *end;
	unsigned char *o, *start;
	unsigned v;

	if (s.n == 0)
		return;
	end = p + s.n;
	start = o = (unsigned char *)buf_room(out, s.n + 4);
	if (o == NULL)
		return;
	while (p < end) {
		if (d->n == 0) {
			p = b64_groups(p, end, &o);
			if (p == end)
				break;
		}
		v = v64(p++);
		if (v > 64) {
			b64_flush(d, &o);
		} else if (v < 64) {
			d->bits = d->bits << 6 | v;
			if (++d->n == 4) {
				*o++ = (unsigned char)(d->bits >> 16);
				*o++ = (unsigned char)(d->bits >> 8);
				*o++ = (unsigned char)d->bits;
				*d = (struct b64){0};
			}
		}
	}
	out->n += (size_t)(o - start);
}

void
mime_b64_end(struct b64 *d, struct buf *out)
{
	unsigned char two[2], *o = two;

	b64_flush(d, &o);
	buf_add(out, two, (size_t)(o - two));
}

/* One line without its line end; true when it ends in a soft line break. */
static bool
qp_line(const char *p, const char *end, bool q, struct buf *out)
{
	const char *eq;

	while (p < end) {
		eq = memchr(p, '=', (size_t)(end - p));
		if (eq == NULL)
			eq = end;
		buf_add(out, p, (size_t)(eq - p));
		if (eq == end)
			return false;
		if (eq + 1 == end && !q)
			return true;
		if (end - eq >= 3 && hex_digit(eq[1]) >= 0 &&
		    hex_digit(eq[2]) >= 0) {
			buf_c(out,
			    (char)(hex_digit(eq[1]) << 4 | hex_digit(eq[2])));
			p = eq + 3;
		} else {
			buf_c(out, '=');
			p = eq + 1;
		}
	}
	return false;
}

static void
q_word(str s, struct buf *out)
{
	size_t i;
	str rest = s, part;

	/* "_" first, so that "=5F" stays one. */
	while (rest.n > 0) {
		i = str_chr(rest, '_');
		part = str_head(rest, i);
		qp_line(part.p, part.p + part.n, true, out);
		if (i < rest.n)
			buf_c(out, ' ');
		rest = str_from(rest, i + 1);
	}
}

void
mime_qp(str s, bool q, struct buf *out)
{
	const char *p = s.p, *end, *lf, *stop;

	if (s.n == 0)
		return;
	if (q) {
		q_word(s, out);
		return;
	}
	end = p + s.n;
	while (p < end) {
		lf = memchr(p, '\n', (size_t)(end - p));
		stop = lf == NULL ? end : lf;
		if (lf != NULL && stop > p && stop[-1] == '\r')
			stop--;
		/* (1) */
		if (lf != NULL)
			while (stop > p && is_wsp(stop[-1]))
				stop--;
		if (!qp_line(p, stop, false, out) && lf != NULL) {
			if (lf > p && lf[-1] == '\r')
				buf_c(out, '\r');
			buf_c(out, '\n');
		}
		p = lf == NULL ? end : lf + 1;
	}
}

static unsigned
uu(const char *p, const char *end)
{
	return p < end ? ((unsigned char)*p - 32u) & 63 : 0;
}

static void
uu_line(const char *p, const char *end, struct buf *out)
{
	size_t n = uu(p, end), have;
	unsigned a, b, c, d;
	char three[3];

	have = (size_t)(end - p - 1) / 4 * 3 + 2;
	n = MIN(n, have);
	for (p++; n > 0; p += 4) {
		a = uu(p, end);
		b = uu(p + 1, end);
		c = uu(p + 2, end);
		d = uu(p + 3, end);
		three[0] = (char)(a << 2 | b >> 4);
		three[1] = (char)(b << 4 | c >> 2);
		three[2] = (char)(c << 6 | d);
		buf_add(out, three, MIN(n, 3));
		n -= MIN(n, 3);
	}
}

static void
uu_body(str s, struct buf *out)
{
	bool begun = false;
	str line;

	while (s.n > 0) {
		line = str_cut(&s, '\n');
		while (line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		if (!begun)
			begun = str_starts(line, S("begin "));
		else if (str_eq(str_trim(line), S("end")))
			return;
		else if (line.n > 1)
			uu_line(line.p, line.p + line.n, out);
	}
}

enum err
mime_decode(str body, enum cte e, struct buf *out)
{
	struct b64 d = {0};

	switch (e) {
	case CTE_QP:
		mime_qp(body, false, out);
		break;
	case CTE_BASE64:
		mime_b64_feed(&d, body, out);
		mime_b64_end(&d, out);
		break;
	case CTE_UU:
		uu_body(body, out);
		break;
	default:
		buf_str_add(out, body);
	}
	return buf_ok(out) ? OK : ERR_NOMEM;
}

/* One line of characters, without its end; the last may be padded. */
static bool
exact_line(const char *p, size_t n, bool last, unsigned char **to)
{
	const char *end = p + n;
	unsigned a, b, c;

	p = b64_groups(p, end, to);
	if (p == end)
		return true;
	if (!last || end - p != 4 || p[3] != '=')
		return false;
	a = v64(p);
	b = v64(p + 1);
	c = v64(p + 2);
	if ((a | b) & 64)
		return false;
	*(*to)++ = (unsigned char)(a << 2 | b >> 4);
	if (p[2] == '=')
		return (b & 15) == 0;
	if ((c & 64) || (c & 3))
		return false;
	*(*to)++ = (unsigned char)(b << 4 | c >> 2);
	return true;
}

bool
mime_base64_exact(str body, struct buf *decoded, uint32_t *line)
{
	const char *p = body.p, *end, *cr;
	unsigned char *o, *start;
	size_t len, first;

	if (body.n == 0)
		return false;
	end = p + body.n;
	cr = memchr(p, '\r', body.n);
	first = cr == NULL ? body.n : (size_t)(cr - p);
	if (first == 0 || first % 4 != 0 || first > 1 << 30)
		return false;
	start = o = (unsigned char *)buf_room(decoded, body.n / 4 * 3 + 4);
	if (o == NULL)
		return false;
	while (p < end) {
		len = MIN(first, (size_t)(end - p));
		cr = memchr(p, '\r', len);
		if (cr != NULL)
			len = (size_t)(cr - p);
		if (len == 0 || len % 4 != 0)
			return false;
		cr = p + len;
		if (cr < end &&
		    (end - cr < 2 || cr[0] != '\r' || cr[1] != '\n'))
			return false;
		if (!exact_line(p, len, end - cr <= 2, &o))
			return false;
		if (len < first && end - cr > 2)
			return false;
		p = cr < end ? cr + 2 : end;
	}
	decoded->n += (size_t)(o - start);
	*line = (uint32_t)first;
	return true;
}
