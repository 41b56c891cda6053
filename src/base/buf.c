/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Growing runs of bytes.
 *
 * (1) n <= cap <= bound of the buffer; p has cap bytes.
 * (2) A failed buffer never grows again, so what it holds is a prefix of
 *     what was meant, and buf_ok tells.
 */
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>

enum { SMALL = 65536, FIRST = 64 };
#define DEFAULT_MAX ((size_t)1 << 30)

/* realloc that refuses when tests say so; small sizes end the process. */
static char *
regrow(char *p, size_t n)
{
	if (n <= SMALL)
		return x_grow(p, n, 1);
	if (mem_fault != NULL && mem_fault())
		return NULL;
	return realloc(p, n);
}

char *
buf_room(struct buf *b, size_t n)
{
	size_t max = b->max == 0 ? DEFAULT_MAX : b->max;
	size_t cap;
	char *p;

	if (b->failed)
		return NULL;
	if (n <= b->cap - b->n && b->p != NULL)
		return b->p + b->n;
	if (b->n > max || n > max - b->n) {
		b->failed = true;
		return NULL;
	}
	cap = MAX(b->cap + b->cap / 2, MAX((size_t)FIRST, b->n + n));
	cap = MAX(MIN(cap, max), b->n + n);
	p = regrow(b->p, cap);
	if (p == NULL) {
		b->failed = true;
		return NULL;
	}
	b->p = p;
	b->cap = cap;
	return b->p + b->n;
}

void
buf_add(struct buf *b, const void *p, size_t n)
{
	char *to;

	if (n == 0 || (to = buf_room(b, n)) == NULL)
		return;
	memcpy(to, p, n);
	b->n += n;
}

void
buf_str_add(struct buf *b, str s)
{
	buf_add(b, s.p, s.n);
}

void
buf_c(struct buf *b, char c)
{
	if (!b->failed && b->n < b->cap)
		b->p[b->n++] = c;
	else
		buf_add(b, &c, 1);
}

void
buf_u64(struct buf *b, uint64_t v)
{
	char t[20];
	size_t at = sizeof(t);

	do {
		t[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	buf_add(b, t + at, sizeof(t) - at);
}

void
buf_f(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vf(b, fmt, ap);
	va_end(ap);
}

void
buf_vf(struct buf *b, const char *fmt, va_list ap)
{
	char small[256];
	va_list again;
	char *to;
	int n;

	va_copy(again, ap);
	n = vsnprintf(small, sizeof(small), fmt, ap);
	if (n < 0) {
		b->failed = true;
	} else if ((size_t)n < sizeof(small)) {
		buf_add(b, small, (size_t)n);
	} else if ((to = buf_room(b, (size_t)n + 1)) != NULL) {
		/* One more byte of room, for the NUL that is not kept. */
		vsnprintf(to, (size_t)n + 1, fmt, again);
		b->n += (size_t)n;
	}
	va_end(again);
}

void
buf_eat(struct buf *b, size_t n)
{
	assert(n <= b->n);
	b->n -= n;
	if (b->n > 0 && n > 0)
		memmove(b->p, b->p + n, b->n);
}

void
buf_reset(struct buf *b)
{
	b->n = 0;
	b->failed = false;
}

void
buf_free(struct buf *b)
{
	x_free(&b->p);
	b->n = 0;
	b->cap = 0;
	b->failed = false;
}
