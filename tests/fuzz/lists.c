/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * For fuzz targets that open a store for each input. LMDB has lists of 1 and
 * 2 MiB, which it needs to a few octets of; under ASan they cost more than all
 * else, for each is mapped anew and its shadow written twice. Here they are
 * kept for the next environment (linked in with --wrap).
 *
 * (1) Only blocks of just these sizes are kept, and nothing of ours has such
 *     a size; all others go their way.
 * (2) A block from calloc is zeros again.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
	LIST = ((1 << 17) - 1 + 2) * 8, /* of page numbers */
	DIRTY = (1 << 17) * 16,         /* of dirty pages */
	KEPT = 16,
	PAGE = 4096
};

/* Called for each block of the program: neither counted nor watched. */
#define PLAIN __attribute__((no_sanitize("coverage", "address", "undefined")))

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void __wrap_free(void *p);

static struct kept {
	void *p;
	size_t n;
	int used;
} kept[KEPT];
static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;

PLAIN static void *
take(size_t n, int fresh)
{
	struct kept *k = NULL;

	pthread_mutex_lock(&mu);
	for (int i = 0; i < KEPT && k == NULL; i++)
		if (!kept[i].used && (kept[i].n == n || kept[i].p == NULL))
			k = &kept[i];
	if (k != NULL && k->p == NULL && (k->p = __real_calloc(1, n)) != NULL) {
		k->n = n;
		fresh = 0;
	}
	if (k != NULL && k->p != NULL) {
		k->used = 1;
		if (fresh) { /* (2) */
			uintptr_t from = (uintptr_t)k->p + PAGE - 1;
			uintptr_t to = (uintptr_t)k->p + n;

			from &= ~(uintptr_t)(PAGE - 1);
			to &= ~(uintptr_t)(PAGE - 1);
			memset(k->p, 0, from - (uintptr_t)k->p);
			madvise((void *)from, to - from, MADV_DONTNEED);
			memset((void *)to, 0, (uintptr_t)k->p + n - to);
		}
	}
	pthread_mutex_unlock(&mu);
	return k == NULL ? NULL : k->p;
}

PLAIN static struct kept *
kept_at(void *p)
{
	for (int i = 0; i < KEPT && kept[i].p != NULL && p != NULL; i++)
		if (kept[i].p == p)
			return &kept[i];
	return NULL;
}

PLAIN void *
__wrap_malloc(size_t n)
{
	void *p = n == LIST ? take(n, 0) : NULL;

	return p != NULL ? p : __real_malloc(n);
}

PLAIN void *
__wrap_calloc(size_t n, size_t size)
{
	void *p = n * size == DIRTY ? take(DIRTY, 1) : NULL;

	return p != NULL ? p : __real_calloc(n, size);
}

PLAIN void
__wrap_free(void *p)
{
	struct kept *k = kept_at(p);

	if (k == NULL) {
		__real_free(p);
		return;
	}
	pthread_mutex_lock(&mu);
	k->used = 0;
	pthread_mutex_unlock(&mu);
}

/* A list that grows: what it was is kept. */
PLAIN void *
__wrap_realloc(void *p, size_t n)
{
	struct kept *k = kept_at(p);
	void *q;

	if (k == NULL)
		return __real_realloc(p, n);
	if ((q = __wrap_malloc(n)) != NULL) {
		memcpy(q, p, n < k->n ? n : k->n);
		__wrap_free(p);
	}
	return q;
}
