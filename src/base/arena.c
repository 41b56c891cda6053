/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Arenas: a list of blocks, bump allocation in the newest ordinary one.
 *
 * (1) What is handed out, rounded up to 16 bytes each, never exceeds max.
 * (2) Memory of a block that is not handed out is zero; so arena_alloc
 *     need not clear, and arena_reset clears what was used.
 * (3) Ordinary blocks are at most 64 KiB and cannot be refused; larger
 *     requests get a block of their own, behind the newest in the list, so
 *     that the room left in the newest stays in use. Only those can fail
 *     for want of memory (the arena is then marked failed, like past max).
 */
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>

enum { FIRST = 4096, ORDINARY = 65536, ALIGN = 16 };

struct block {
	struct block *next;
	size_t size; /* of mem */
	size_t used;
	size_t pad;
	_Alignas(16) char mem[];
};

struct arena {
	struct block *head;
	size_t max;
	size_t used;
	size_t next_size;
	bool failed;
};

struct arena *
arena_new(size_t max)
{
	struct arena *a = x_alloc(sizeof(*a));

	a->max = max == 0 ? (size_t)limits.arena_max : max;
	a->next_size = FIRST;
	return a;
}

static void *
refuse(struct arena *a)
{
	if (!a->failed && a->max == limits.arena_max)
		limit_hit(LIMIT_arena_max, STR_NONE);
	a->failed = true;
	return NULL;
}

/* (3): a block for one large thing. */
static void *
alloc_large(struct arena *a, size_t n)
{
	struct block *b = NULL;

	if (n > SIZE_MAX - sizeof(*b))
		return refuse(a);
	if (mem_fault == NULL || !mem_fault())
		b = calloc(1, sizeof(*b) + n);
	if (b == NULL)
		return refuse(a);
	b->size = n;
	b->used = n;
	if (a->head == NULL) {
		a->head = b;
	} else {
		b->next = a->head->next;
		a->head->next = b;
	}
	a->used += n;
	return b->mem;
}

void *
arena_alloc(struct arena *a, size_t n)
{
	struct block *b = a->head;
	void *p;

	if (n > SIZE_MAX - ALIGN)
		return refuse(a);
	n = (MAX(n, (size_t)1) + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	if (n > a->max || a->used > a->max - n) /* (1) */
		return refuse(a);
	if (b == NULL || n > b->size - b->used) {
		if (n > ORDINARY / 4)
			return alloc_large(a, n);
		while (a->next_size < n)
			a->next_size *= 2;
		b = x_alloc(sizeof(*b) + a->next_size);
		b->size = a->next_size;
		b->next = a->head;
		a->head = b;
		a->next_size = MIN(a->next_size * 2, (size_t)ORDINARY);
	}
	p = b->mem + b->used;
	b->used += n;
	a->used += n;
	return p;
}

void *
arena_array(struct arena *a, size_t count, size_t size)
{
	size_t n;

	if (__builtin_mul_overflow(count, size, &n))
		return refuse(a);
	return arena_alloc(a, n);
}

str
arena_dup(struct arena *a, str s)
{
	char *p;

	if (s.n == 0)
		return S("");
	if ((p = arena_alloc(a, s.n)) == NULL)
		return STR_NONE;
	memcpy(p, s.p, s.n);
	return (str){p, s.n};
}

char *
arena_cstr(struct arena *a, str s)
{
	char *p;

	if (s.n == SIZE_MAX)
		return refuse(a);
	if ((p = arena_alloc(a, s.n + 1)) != NULL && s.n > 0)
		memcpy(p, s.p, s.n);
	return p;
}

str
arena_f(struct arena *a, const char *fmt, ...)
{
	char small[256];
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(small, sizeof(small), fmt, ap);
	va_end(ap);
	if (n < 0) {
		a->failed = true;
		return STR_NONE;
	}
	if ((size_t)n < sizeof(small))
		return arena_dup(a, str_of(small, (size_t)n));
	if ((p = arena_alloc(a, (size_t)n + 1)) == NULL)
		return STR_NONE;
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return (str){p, (size_t)n};
}

str
arena_buf(struct arena *a, const struct buf *b)
{
	if (!buf_ok(b)) {
		a->failed = true;
		return STR_NONE;
	}
	return arena_dup(a, buf_str(b));
}

bool
arena_failed(const struct arena *a)
{
	return a->failed;
}

size_t
arena_used(const struct arena *a)
{
	return a->used;
}

void
arena_reset(struct arena *a)
{
	struct block *keep = NULL;
	struct block *next;

	for (struct block *b = a->head; b != NULL; b = next) {
		next = b->next;
		x_wipe(b->mem, b->used); /* (2), and R53 */
		b->used = 0;
		if (keep == NULL && b->size <= ORDINARY)
			keep = b;
		else
			free(b);
	}
	if (keep != NULL)
		keep->next = NULL;
	else
		a->next_size = FIRST;
	a->head = keep;
	a->used = 0;
	a->failed = false;
}

void
arena_free(struct arena **a)
{
	if (*a == NULL)
		return;
	arena_reset(*a);
	free((*a)->head);
	free(*a);
	*a = NULL;
}

bool
arena_more(struct arena *a, void **v, size_t n, size_t *cap, size_t size)
{
	size_t want = *cap == 0 ? 8 : *cap * 2;
	void *p;

	if (want < *cap || (p = arena_array(a, want, size)) == NULL) {
		a->failed = true;
		return false;
	}
	if (n > 0)
		memcpy(p, *v, n * size);
	*v = p;
	*cap = want;
	return true;
}
