/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Sets of 32-bit numbers as ranges.
 *
 * (1) v[i].lo <= v[i].hi, and v[i].hi + 1 < v[i + 1].lo: ascending,
 *     disjoint, not adjacent. So a set has exactly one form.
 */
#include "base/base.h"

#include <stdlib.h>

static void
reserve(struct ranges *r, size_t n)
{
	if (n <= r->cap)
		return;
	r->cap = MAX(n, MAX((size_t)4, r->cap + r->cap / 2));
	r->v = x_grow(r->v, r->cap, sizeof(*r->v));
}

/* Index of the first range whose hi >= x; n when there is none. */
static size_t
lower_bound(const struct ranges *r, uint64_t x)
{
	size_t lo = 0;
	size_t hi = r->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (r->v[mid].hi >= x)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

/* Replaces the ranges from..to (to not included) by the k given ones. */
static void
replace(struct ranges *r, size_t from, size_t to, const struct range *with,
    size_t k)
{
	reserve(r, r->n - (to - from) + k);
	if (r->n > to)
		memmove(
		    r->v + from + k, r->v + to, (r->n - to) * sizeof(*r->v));
	if (k > 0)
		memcpy(r->v + from, with, k * sizeof(*r->v));
	r->n = r->n - (to - from) + k;
}

void
ranges_add(struct ranges *r, uint32_t lo, uint32_t hi)
{
	struct range x = {lo, hi};
	size_t from, to;

	if (lo > hi)
		return;
	/* Adjacent ranges are joined: (1). */
	from = lower_bound(r, lo == 0 ? 0 : lo - 1);
	for (to = from; to < r->n && r->v[to].lo <= (uint64_t)hi + 1; to++) {
		x.lo = MIN(x.lo, r->v[to].lo);
		x.hi = MAX(x.hi, r->v[to].hi);
	}
	replace(r, from, to, &x, 1);
}

void
ranges_del(struct ranges *r, uint32_t lo, uint32_t hi)
{
	struct range left[2];
	size_t from, to;
	size_t k = 0;

	if (lo > hi)
		return;
	from = lower_bound(r, lo);
	for (to = from; to < r->n && r->v[to].lo <= hi; to++)
		continue;
	if (from == to)
		return;
	if (r->v[from].lo < lo)
		left[k++] = (struct range){r->v[from].lo, lo - 1};
	if (r->v[to - 1].hi > hi)
		left[k++] = (struct range){hi + 1, r->v[to - 1].hi};
	replace(r, from, to, left, k);
}

/* Appends a range that begins no earlier than the last one begins. */
static void
append(struct ranges *r, uint32_t lo, uint32_t hi)
{
	if (r->n > 0 && lo <= (uint64_t)r->v[r->n - 1].hi + 1) {
		r->v[r->n - 1].hi = MAX(r->v[r->n - 1].hi, hi);
		return;
	}
	reserve(r, r->n + 1);
	r->v[r->n++] = (struct range){lo, hi};
}

static int
by_lo(const void *a, const void *b)
{
	const struct range *x = a;
	const struct range *y = b;

	return (x->lo > y->lo) - (x->lo < y->lo);
}

static void
take_over(struct ranges *r, struct ranges *from)
{
	x_free(&r->v);
	*r = *from;
}

void
ranges_set(struct ranges *r, const struct range *v, size_t n)
{
	struct ranges out = {0};
	struct range *sorted;

	if (n == 0) {
		ranges_reset(r);
		return;
	}
	sorted = x_array(n, sizeof(*sorted));
	for (size_t i = 0; i < n; i++) {
		sorted[i].lo = MIN(v[i].lo, v[i].hi);
		sorted[i].hi = MAX(v[i].lo, v[i].hi);
	}
	qsort(sorted, n, sizeof(*sorted), by_lo);
	for (size_t i = 0; i < n; i++)
		append(&out, sorted[i].lo, sorted[i].hi);
	x_free(&sorted);
	take_over(r, &out);
}

bool
ranges_has(const struct ranges *r, uint32_t x)
{
	size_t i = lower_bound(r, x);

	return i < r->n && r->v[i].lo <= x;
}

uint64_t
ranges_count(const struct ranges *r)
{
	uint64_t n = 0;

	for (size_t i = 0; i < r->n; i++)
		n += (uint64_t)r->v[i].hi - r->v[i].lo + 1;
	return n;
}

bool
ranges_next(const struct ranges *r, uint32_t x, uint32_t *out)
{
	size_t i = lower_bound(r, x);

	if (i == r->n)
		return false;
	*out = MAX(x, r->v[i].lo);
	return true;
}

void
ranges_copy(struct ranges *to, const struct ranges *from)
{
	if (to == from)
		return;
	reserve(to, from->n);
	if (from->n > 0)
		memcpy(to->v, from->v, from->n * sizeof(*to->v));
	to->n = from->n;
}

void
ranges_intersect(struct ranges *r, const struct ranges *with)
{
	struct ranges out = {0};
	size_t i = 0;
	size_t j = 0;

	while (i < r->n && j < with->n) {
		uint32_t lo = MAX(r->v[i].lo, with->v[j].lo);
		uint32_t hi = MIN(r->v[i].hi, with->v[j].hi);

		if (lo <= hi)
			append(&out, lo, hi);
		if (r->v[i].hi < with->v[j].hi)
			i++;
		else
			j++;
	}
	take_over(r, &out);
}

void
ranges_union(struct ranges *r, const struct ranges *with)
{
	struct ranges out = {0};
	size_t i = 0;
	size_t j = 0;

	if (with->n == 0 || r == with)
		return;
	while (i < r->n || j < with->n) {
		const struct range *x;

		if (j == with->n || (i < r->n && r->v[i].lo <= with->v[j].lo))
			x = &r->v[i++];
		else
			x = &with->v[j++];
		append(&out, x->lo, x->hi);
	}
	take_over(r, &out);
}

void
ranges_minus(struct ranges *r, const struct ranges *with)
{
	struct ranges out = {0};
	size_t j = 0;

	if (with->n == 0)
		return;
	for (size_t i = 0; i < r->n; i++) {
		uint64_t lo = r->v[i].lo;
		uint32_t hi = r->v[i].hi;

		while (j < with->n && with->v[j].hi < lo)
			j++;
		for (size_t k = j; k < with->n && with->v[k].lo <= hi; k++) {
			if (with->v[k].lo > lo)
				append(&out, (uint32_t)lo, with->v[k].lo - 1);
			lo = (uint64_t)with->v[k].hi + 1;
			j = k; /* it may reach into the next range of r */
		}
		if (lo <= hi)
			append(&out, (uint32_t)lo, hi);
	}
	take_over(r, &out);
}

void
ranges_reset(struct ranges *r)
{
	r->n = 0;
}

void
ranges_free(struct ranges *r)
{
	x_free(&r->v);
	r->n = 0;
	r->cap = 0;
}

void
ranges_print(struct buf *b, const struct ranges *r)
{
	for (size_t i = 0; i < r->n; i++) {
		if (i > 0)
			buf_c(b, ',');
		buf_u64(b, r->v[i].lo);
		if (r->v[i].hi > r->v[i].lo) {
			buf_c(b, ':');
			buf_u64(b, r->v[i].hi);
		}
	}
}
