/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * An arena: memory that is freed all at once. Everything a command builds
 * lives in the command's arena. Memory from an arena is never freed alone.
 *
 * (1) The sum of an arena's memory is bounded by its max, so that one bound
 *     covers all that a hostile command can make us build. arena_alloc
 *     within the bound never returns NULL; past it, it returns NULL, and
 *     so does everything below that builds on it (with a slice: p == NULL).
 *     Whoever builds from input checks; arena_failed tells at the end.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

struct arena;

/* max: bytes, 0 for limits.arena_max. The first block is taken when it is
 * needed, so an unused arena costs some 64 bytes. */
struct arena *arena_new(size_t max);
void *arena_alloc(struct arena *a, size_t n); /* zeroed, 16-aligned */
void *arena_array(struct arena *a, size_t count, size_t size);
str arena_dup(struct arena *a, str s);
char *arena_cstr(struct arena *a, str s); /* NUL-terminated copy */
str arena_f(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Copies the buffer's bytes in. */
str arena_buf(struct arena *a, const struct buf *b);
bool arena_failed(const struct arena *a); /* an allocation was refused */
size_t arena_used(const struct arena *a); /* bytes handed out */
/* Empties; keeps at most one block. Contents are overwritten with zeros
 * so that the next user of the memory cannot see them (R53). */
void arena_reset(struct arena *a);
void arena_free(struct arena **a);

#define arena_new_of(a, type) ((type *)arena_alloc((a), sizeof(type)))

/* A growing array in an arena: ARENA_PUSH(a, v, n, cap) makes room for one
 * more element at v[n] and yields false when the arena is full. */
bool arena_more(struct arena *a, void **v, size_t n, size_t *cap, size_t size);
#define ARENA_PUSH(a, v, n, cap) \
	((n) < (cap) ||          \
	    arena_more((a), (void **)(void *)&(v), (n), &(cap), sizeof(*(v))))

#endif
