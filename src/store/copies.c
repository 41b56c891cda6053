/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Copies, coded (docs/format.md): until all is made,
 *
 *   u8   new << 4 | (length - 4); 15 in either: a var more
 *   var  what new has beyond 15, if it is 15
 *   new bytes; when that was all, nothing follows
 *   var  what length has beyond 19, if the low half is 15
 *   var  place << 1 | lower; ASCII letters are copied in lower case then
 *
 * (1) A copy ends before the place where it goes.
 * (2) Coding is linear: of the places where four bytes stand as here, the
 *     last TRIES are tried, and what is copied is passed over.
 * (3) What is read is input: every number is checked.
 */
#include "store/copies.h"

#include <stdlib.h>

enum { TRIES = 8, ENOUGH = 24, LEAST = 4, NIBBLE = 15 };

struct copies {
	const char *w;
	size_t n;
	size_t learnt; /* places before this are found */
	uint16_t head[COPIES_HEADS];
	uint16_t last[]; /* the place before with this hash; 0: none */
};

void
copies_free(struct copies **p)
{
	x_free(p);
}

/* Of either case the same. */
static unsigned
hash_at(const char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return (v | 0x20202020u) * 2654435761u >> 20;
}

static size_t
learn(const char *w, size_t from, size_t to, uint16_t *head, uint16_t *last)
{
	for (; from < to; from++) {
		unsigned h = hash_at(w + from);

		last[from] = head[h];
		head[h] = (uint16_t)from;
	}
	return from;
}

void
copies_know(struct copies_known *k, const char *w, size_t n)
{
	assert(n < COPIES_KNOWN);
	/* 0 says that there is none */
	k->n = learn(w, 1, n - LEAST + 1, k->head, k->last);
}

struct copies *
copies_new(const struct copies_known *k, const char *w, size_t n)
{
	struct copies *c = x_alloc(sizeof(*c) + (n + 1) * sizeof(c->last[0]));

	assert(n < COPIES_MAX && k->n < n);
	c->w = w;
	c->n = n;
	c->learnt = k->n;
	memcpy(c->head, k->head, sizeof(c->head));
	memcpy(c->last, k->last, k->n * sizeof(c->last[0]));
	return c;
}

static char
lower(char x)
{
	return x >= 'A' && x <= 'Z' ? (char)(x + 32) : x;
}

struct match {
	size_t place, n;
	bool lower;
};

static struct match
best_at(struct copies *c, size_t at, size_t to)
{
	struct match m = {0};
	size_t q;

	if (to - at < LEAST)
		return m;
	q = c->head[hash_at(c->w + at)];
	for (int i = 0; q != 0 && i < TRIES; i++, q = c->last[q]) {
		size_t max = MIN(to - at, at - q), k = 0, l = 0; /* (1) */

		if (m.n >= max || /* it is no longer than the best */
		    ((c->w[q + m.n] ^ c->w[at + m.n]) & ~0x20) != 0)
			continue;
		while (k < max && c->w[q + k] == c->w[at + k])
			k++;
		while (k < max && l < max && lower(c->w[q + l]) == c->w[at + l])
			l++;
		if (MAX(k, l) > m.n)
			m = (struct match){q, MAX(k, l), l > k};
		if (m.n >= ENOUGH)
			break;
	}
	if (m.n < LEAST + (m.place >= 8192))
		m.n = 0;
	return m;
}

static void
emit(const char *w, size_t from, size_t at, const struct match *m,
    struct buf *out)
{
	size_t new = at - from, more = m->n == 0 ? 0 : m->n - LEAST;

	enc_u8(out, (uint8_t)(MIN(new, (size_t)NIBBLE) << 4 |
			      MIN(more, (size_t)NIBBLE)));
	if (new >= NIBBLE)
		enc_var(out, new - NIBBLE);
	buf_add(out, w + from, new);
	if (m->n == 0)
		return;
	if (more >= NIBBLE)
		enc_var(out, more - NIBBLE);
	enc_var(out, (uint64_t)m->place << 1 | m->lower);
}

void
copies_put(struct copies *c, size_t from, size_t to, struct buf *out)
{
	const struct match none = {0};
	size_t at = from;

	while (at < to) {
		struct match m;

		c->learnt = learn(c->w, c->learnt, MIN(at, c->n - LEAST + 1),
		    c->head, c->last);
		m = best_at(c, at, to);
		if (m.n == 0) {
			at++;
			continue;
		}
		emit(c->w, from, at, &m, out);
		from = at += m.n;
	}
	if (from < to)
		emit(c->w, from, to, &none, out);
}

/* At most three bytes, in the shortest form. */
static bool
number(const unsigned char **p, const unsigned char *end, size_t *v)
{
	size_t x = 0;

	for (int shift = 0; shift < 21 && *p < end; shift += 7) {
		unsigned b = *(*p)++;

		x |= (size_t)(b & 127) << shift;
		if (b < 128) {
			*v = x;
			return b != 0 || shift == 0;
		}
	}
	return false;
}

static void
copy(char *to, const char *from, size_t n, bool fold)
{
	char x[COPIES_SLACK];

	if (fold) {
		for (size_t i = 0; i < n; i++)
			to[i] = lower(from[i]);
	} else if (n <= sizeof(x)) {
		memcpy(x, from, sizeof(x));
		memcpy(to, x, sizeof(x));
	} else {
		memcpy(to, from, n);
	}
}

bool
copies_get(str coded, char *w, size_t at, size_t to)
{
	const unsigned char *p = (const unsigned char *)coded.p;
	const unsigned char *end = coded.n == 0 ? p : p + coded.n;

	while (at < to) {
		unsigned token;
		size_t n, more, place;

		if (p == end)
			return false;
		token = *p++;
		n = token >> 4;
		if (n == NIBBLE && !number(&p, end, &n))
			return false;
		n += token >> 4 == NIBBLE ? NIBBLE : 0;
		if (n > (size_t)(end - p) || n > to - at)
			return false;
		memcpy(w + at, p, n);
		p += n;
		at += n;
		if (at == to)
			break;
		more = token & NIBBLE;
		if (more == NIBBLE && !number(&p, end, &more))
			return false;
		more += (token & NIBBLE) == NIBBLE ? NIBBLE : 0;
		more += LEAST;
		if (!number(&p, end, &place) || (place >> 1) >= at ||
		    more > at - (place >> 1) || more > to - at)
			return false;
		copy(w + at, w + (place >> 1), more, (place & 1) != 0);
		at += more;
	}
	return p == end;
}
