/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Objects of one size that come in thousands and go as they came. Thread-safe.
 */
#ifndef STORE_SLAB_H
#define STORE_SLAB_H

#include <pthread.h>

#include "base/base.h"

struct slab_block;
struct slab {
	size_t size;
	pthread_mutex_t lock;
	struct slab_block *room; /* blocks that have room */
};
#define SLAB_OF(type)                                         \
	{                                                     \
		sizeof(type), PTHREAD_MUTEX_INITIALIZER, NULL \
	}

void *slab_alloc(struct slab *s); /* zeroed */
void slab_free(struct slab *s, void *p);

#endif
