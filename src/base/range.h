/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * A set of 32-bit numbers (UIDs, message sequence numbers) as ascending,
 * disjoint, non-adjacent inclusive ranges. A zeroed struct is the empty set.
 */
#ifndef BASE_RANGE_H
#define BASE_RANGE_H

struct range {
	uint32_t lo;
	uint32_t hi; /* inclusive, lo <= hi */
};

struct ranges {
	struct range *v;
	size_t n;
	size_t cap;
};

void ranges_add(struct ranges *r, uint32_t lo, uint32_t hi);
void ranges_del(struct ranges *r, uint32_t lo, uint32_t hi);
/* Sorts and joins v[0..n) (any order, may overlap) into r, O(n log n):
 * use it for sets from clients, not n calls of ranges_add (R10). */
void ranges_set(struct ranges *r, const struct range *v, size_t n);
bool ranges_has(const struct ranges *r, uint32_t x); /* O(log n) */
uint64_t ranges_count(const struct ranges *r);
/* The smallest member >= x: true and *out. O(log n). */
bool ranges_next(const struct ranges *r, uint32_t x, uint32_t *out);
void ranges_copy(struct ranges *to, const struct ranges *from);
void ranges_intersect(struct ranges *r, const struct ranges *with);
void ranges_union(struct ranges *r, const struct ranges *with);
void ranges_minus(struct ranges *r, const struct ranges *with);
void ranges_reset(struct ranges *r); /* empties, keeps the memory */
void ranges_free(struct ranges *r);
/* "1:3,5,7:9", as IMAP writes sequence sets; empty set: nothing. */
void ranges_print(struct buf *b, const struct ranges *r);

#endif
