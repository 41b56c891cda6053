/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * For unit tests: cmocka, and properties that hold for many random inputs.
 *
 *   for_seeds(&r, 1000) { ... rnd(&r, 10) ... }
 *
 * Each turn has a seed of its own. When a turn fails, its seed is printed;
 * SEED=N in the environment runs that one turn alone. TURNS=N multiplies
 * the number of turns, for long runs; FIRST=N is the seed of the first one.
 */
#ifndef TESTS_SEEDS_H
#define TESTS_SEEDS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/base.h"

struct rnd {
	uint64_t state;
	uint64_t seed;
	uint64_t turn;
	uint64_t turns;
};

static inline uint64_t
rnd64(struct rnd *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* 0 .. below - 1 */
static inline uint64_t
rnd(struct rnd *r, uint64_t below)
{
	return rnd64(r) % below;
}

/* A number with a random count of bits, so that small ones and limits of
 * width are common. */
static inline uint64_t
rnd_bits(struct rnd *r)
{
	return rnd64(r) >> rnd(r, 64);
}

static inline bool
seeds_next(struct rnd *r, uint64_t turns)
{
	const char *seed = getenv("SEED");
	const char *more = getenv("TURNS");
	const char *first = getenv("FIRST");

	if (r->turn == 0 && more != NULL)
		turns *= strtoull(more, NULL, 10);
	if (r->turn == 0)
		r->turns = seed != NULL ? 1 : turns;
	if (r->turn == r->turns)
		return false;
	r->seed = r->turn + (first != NULL ? strtoull(first, NULL, 10) : 1);
	if (seed != NULL)
		r->seed = strtoull(seed, NULL, 10);
	r->state = r->seed * 0x2545f4914f6cdd1du;
	r->turn++;
	return true;
}

#define for_seeds(r, turns) \
	for (*(r) = (struct rnd){0}; seeds_next((r), (turns));)

/* Fails the test and says which seed did it. */
#define seed_true(r, cond)                                         \
	do {                                                       \
		if (!(cond))                                       \
			fail_msg("SEED=%llu: %s",                  \
			    (unsigned long long)(r)->seed, #cond); \
	} while (0)

#define assert_str(a, b)                                                  \
	do {                                                              \
		str a_ = (a);                                             \
		str b_ = (b);                                             \
		if (!str_eq(a_, b_))                                      \
			fail_msg("\"%.*s\" is not \"%.*s\"", STR_ARG(a_), \
			    STR_ARG(b_));                                 \
	} while (0)

#endif
