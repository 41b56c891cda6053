/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * A growing run of bytes on the heap. A zeroed struct buf is an empty one.
 * Growth never fails below max (0: 1 GiB); past max, or when memory for a
 * large buffer cannot be had, the buffer is marked failed, later adds do
 * nothing, and buf_ok says false: one check at the end is enough.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>

struct buf {
	char *p;
	size_t n;   /* bytes in use */
	size_t cap; /* bytes allocated */
	size_t max; /* bound; 0: 1 GiB */
	bool failed;
};

static inline str
buf_str(const struct buf *b)
{
	return (str){b->p, b->n};
}

void buf_add(struct buf *b, const void *p, size_t n);
void buf_str_add(struct buf *b, str s);
#define buf_s(b, lit) buf_str_add((b), S(lit))
void buf_c(struct buf *b, char c);
void buf_u64(struct buf *b, uint64_t v); /* decimal */
void buf_f(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_vf(struct buf *b, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);
/* Room for n more bytes at b->p + b->n, for a read(); NULL when failed.
 * The caller then adds what it used to b->n. */
char *buf_room(struct buf *b, size_t n);
/* Removes the first n bytes. */
void buf_eat(struct buf *b, size_t n);
static inline bool
buf_ok(const struct buf *b)
{
	return !b->failed;
}
void buf_reset(struct buf *b); /* empties, keeps the memory */
void buf_free(struct buf *b);

#endif
