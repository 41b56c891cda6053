/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Slabs: objects of one size in blocks of their own. Many that come and go
 * together, beside small ones that stay, would leave the heap full of holes
 * which it cannot give back; a block is freed as a whole when the last object
 * in it has gone.
 *
 * (1) lock guards the list and the blocks in it; a block is in the list when
 *     it has room.
 * (2) Under the sanitizers every object is the heap's, so that they see it;
 *     but for the test of this file, which asks for blocks.
 */
#include "store/slab.h"

#include <stdlib.h>

#if !defined(SLAB_BLOCKS) && \
    (defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__))
#define ON_HEAP 1
#else
#define ON_HEAP 0
#endif

#define BLOCK ((size_t)64 << 10)

struct slot {
	union {
		struct slab_block *block; /* given out */
		struct slot *next;        /* free */
	};
	_Alignas(max_align_t) char data[];
};
struct slab_block {
	struct slab_block *next, *prev;
	struct slot *free;
	size_t used; /* slots given out */
	size_t at;   /* bytes that have been slots */
};

static void
list_in(struct slab *s, struct slab_block *b)
{
	b->prev = NULL;
	b->next = s->room;
	if (b->next != NULL)
		b->next->prev = b;
	s->room = b;
}

static void
list_out(struct slab *s, struct slab_block *b)
{
	*(b->prev != NULL ? &b->prev->next : &s->room) = b->next;
	if (b->next != NULL)
		b->next->prev = b->prev;
}

static size_t
slot_size(const struct slab *s)
{
	size_t a = _Alignof(max_align_t);

	return (sizeof(struct slot) + s->size + a - 1) / a * a;
}

static bool
has_room(const struct slab *s, const struct slab_block *b)
{
	return b->free != NULL || b->at + slot_size(s) <= BLOCK;
}

static struct slab_block *
block_new(void)
{
	struct slab_block *b = x_alloc(BLOCK);
	size_t a = _Alignof(max_align_t);

	b->at = (sizeof(*b) + a - 1) / a * a;
	return b;
}

void *
slab_alloc(struct slab *s)
{
	struct slab_block *b;
	struct slot *p;

	if (ON_HEAP)
		return x_alloc(s->size);
	pthread_mutex_lock(&s->lock);
	if ((b = s->room) == NULL) {
		b = block_new();
		list_in(s, b);
	}
	if ((p = b->free) != NULL) {
		b->free = p->next;
		memset(p->data, 0, s->size);
	} else { /* zeros still */
		p = (struct slot *)((char *)b + b->at);
		b->at += slot_size(s);
	}
	b->used++;
	if (!has_room(s, b))
		list_out(s, b);
	pthread_mutex_unlock(&s->lock);
	p->block = b;
	return p->data;
}

void
slab_free(struct slab *s, void *v)
{
	struct slab_block *b;
	struct slot *p;

	if (v == NULL || ON_HEAP) {
		free(v);
		return;
	}
	p = (struct slot *)((char *)v - offsetof(struct slot, data));
	b = p->block;
	pthread_mutex_lock(&s->lock);
	if (!has_room(s, b))
		list_in(s, b);
	p->next = b->free;
	b->free = p;
	if (--b->used == 0)
		list_out(s, b);
	else
		b = NULL;
	pthread_mutex_unlock(&s->lock);
	free(b);
}
