/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Put in front of each file of mime and base for t_linear.c: what the C
 * library does byte by byte is counted in bytes. (Blocks of code count
 * themselves, by -fsanitize-coverage=trace-pc.)
 */
#ifndef TESTS_MIME_COUNTED_H
#define TESTS_MIME_COUNTED_H

#include <stddef.h>
#include <string.h>

extern unsigned long long work;

static inline void *
counted_memchr(const void *p, int c, size_t n)
{
	const char *q = memchr(p, c, n);

	work += q == NULL ? n : (size_t)(q + 1 - (const char *)p);
	return (void *)(size_t)q;
}

static inline int
counted_memcmp(const void *a, const void *b, size_t n)
{
	work += n;
	return memcmp(a, b, n);
}

static inline void *
counted_memcpy(void *a, const void *b, size_t n)
{
	work += n;
	return memcpy(a, b, n);
}

static inline void *
counted_memmove(void *a, const void *b, size_t n)
{
	work += n;
	return memmove(a, b, n);
}

static inline void *
counted_memset(void *a, int c, size_t n)
{
	work += n;
	return memset(a, c, n);
}

static inline void *
counted_memmem(const void *h, size_t hn, const void *n, size_t nn)
{
	const char *q = memmem(h, hn, n, nn);

	work += q == NULL ? hn : (size_t)(q - (const char *)h) + nn;
	return (void *)(size_t)q;
}

#define memchr counted_memchr
#define memcmp counted_memcmp
#define memcpy counted_memcpy
#define memmove counted_memmove
#define memset counted_memset
#define memmem counted_memmem

#endif
