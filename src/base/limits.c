/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The process's limits, and what they are when nobody says otherwise.
 */
#include "base/base.h"

#include <time.h>

#define QUIET_S 10

#define X(name, kind, value, lo, hi, unit, what) \
	_Static_assert((lo) >= 1 && (lo) <= (value) && (value) <= (hi), #name);
LIMITS(X)
#undef X

struct limits limits = {
#define X(name, kind, value, lo, hi, unit, what) .name = (value),
    LIMITS(X)
#undef X
};

void
limits_default(struct limits *l)
{
#define X(name, kind, value, lo, hi, unit, what) l->name = (value);
	LIMITS(X)
#undef X
}

void
limits_copy(struct limits *to, const struct limits *from)
{
#define X(name, kind, value, lo, hi, unit, what) to->name = from->name;
	LIMITS(X)
#undef X
}

static const struct {
	const char *name, *msg; /* log.c bounds each msg by itself */
} names[] = {
#define X(name, kind, value, lo, hi, unit, what) \
	{#name, "limit reached: " #name},
    LIMITS(X)
#undef X
};

static struct {
	_Atomic int64_t quiet_until; /* seconds; 0: never reached */
	_Atomic uint64_t since;      /* times that were not told */
} hits[LIMIT_MAX];

void
limit_hit(enum limit l, str who)
{
	struct timespec t;
	int64_t until = atomic_load(&hits[l].quiet_until);
	uint64_t times;

	clock_gettime(CLOCK_MONOTONIC, &t);
	atomic_fetch_add(&hits[l].since, 1);
	/* One of those who come at once tells for all. */
	if (t.tv_sec < until ||
	    !atomic_compare_exchange_strong(
		&hits[l].quiet_until, &until, (int64_t)t.tv_sec + QUIET_S))
		return;
	times = atomic_exchange(&hits[l].since, 0);
	if (who.n > 0)
		log_info(names[l].msg, KV_C("limit", names[l].name),
		    KV_N("times", times), KV_S("who", who));
	else
		log_info(names[l].msg, KV_C("limit", names[l].name),
		    KV_N("times", times));
}
