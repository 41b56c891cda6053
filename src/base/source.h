/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * A counted reference to bytes that can be read again and again, in pieces:
 * a stored message or a part of it. The store makes them, the output queue
 * of net holds them, and neither knows the other.
 */
#ifndef BASE_SOURCE_H
#define BASE_SOURCE_H

#include <stdatomic.h>

struct source;
struct source_ops {
	/* Exactly n bytes from offset at (within size) into p; may wait for
	 * the disk. ERR_IO, ERR_CORRUPT. Any thread; two never at once. */
	enum err (*read)(struct source *s, uint64_t at, void *p, size_t n);
	/* True when the bytes from at on stand as they are in a file: *fd
	 * (owned by the source), *off, and how many of them (*n, at least
	 * 1). NULL: never. */
	bool (*file)(
	    struct source *s, uint64_t at, int *fd, uint64_t *off, uint64_t *n);
	void (*free)(struct source *s); /* the last reference went */
};
struct source {
	const struct source_ops *ops;
	atomic_uint refs; /* made with 1 */
	uint64_t size;    /* octets in all */
};

static inline struct source *
source_ref(struct source *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}
/* Drops *s and sets it to NULL. */
static inline void
source_unref(struct source **s)
{
	struct source *x = *s;

	*s = NULL;
	if (x != NULL &&
	    atomic_fetch_sub_explicit(&x->refs, 1, memory_order_acq_rel) == 1)
		x->ops->free(x);
}

#endif
