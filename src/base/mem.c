/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Heap memory. The small kind ends the process when there is none: nothing
 * that needs a few bytes could go on in a useful way.
 */
#include "base/base.h"

#include <stdlib.h>

bool (*mem_fault)(void);

void *
x_alloc(size_t n)
{
	void *p = calloc(1, n == 0 ? 1 : n);

	if (p == NULL)
		log_panic("out of memory");
	return p;
}

void *
x_array(size_t count, size_t size)
{
	size_t n;

	if (__builtin_mul_overflow(count, size, &n))
		log_panic("array size overflows");
	return x_alloc(n);
}

void *
x_grow(void *p, size_t count, size_t size)
{
	size_t n;
	void *q;

	if (__builtin_mul_overflow(count, size, &n))
		log_panic("array size overflows");
	q = realloc(p, n == 0 ? 1 : n);
	if (q == NULL)
		log_panic("out of memory");
	return q;
}

void *
x_try(size_t n)
{
	if (mem_fault != NULL && mem_fault())
		return NULL;
	return malloc(n == 0 ? 1 : n);
}

char *
x_cstr(str s)
{
	char *p = x_alloc(s.n + 1);

	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return p;
}

str
x_dup(str s)
{
	return (str){x_cstr(s), s.n};
}

void
x_free_str(str *s)
{
	free((void *)(uintptr_t)s->p);
	*s = STR_NONE;
}

void
x_free_ptr(void **p)
{
	free(*p);
	*p = NULL;
}

void
x_wipe(void *p, size_t n)
{
	if (n > 0)
		explicit_bzero(p, n);
}
