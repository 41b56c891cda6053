/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Slabs, in blocks (as without the sanitizers): what is given out is zeroed,
 * aligned and nobody else's, and the last object that goes takes its block.
 */
#include "seeds.h"
#include "store/slab.h"

enum { MANY = 1000, TURNS = 8000 };

static bool
is(const unsigned char *p, size_t n, int c)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != c)
			return false;
	return true;
}

/* Objects come and go at random; each keeps the octet written all over it.
 * It grows, then shrinks, and so on. */
static void
turns(struct rnd *r, size_t size)
{
	struct slab s = {.size = size, .lock = PTHREAD_MUTEX_INITIALIZER};
	static unsigned char *have[MANY];

	for (int t = 0; t < TURNS; t++) {
		size_t i = rnd(r, t / (TURNS / 8) % 2 == 0 ? MANY : MANY / 8);
		int mark = (int)(i % 251) + 1;

		if (have[i] == NULL) {
			have[i] = slab_alloc(&s);
			seed_true(r, (uintptr_t)have[i] % 16 == 0);
			seed_true(r, is(have[i], size, 0));
			memset(have[i], mark, size);
		} else {
			seed_true(r, is(have[i], size, mark));
			slab_free(&s, have[i]);
			have[i] = NULL;
		}
	}
	for (size_t i = 0; i < MANY; i++) {
		if (have[i] != NULL)
			seed_true(r, is(have[i], size, (int)(i % 251) + 1));
		slab_free(&s, have[i]);
		have[i] = NULL;
	}
	seed_true(r, s.room == NULL); /* all blocks have gone */
}

static void
test_sizes(void **state)
{
	static const size_t sizes[] = {1, 8, 24, 100, 1312, 5000, 30000};
	struct rnd r;

	(void)state;
	for_seeds(&r, 14) turns(&r, sizes[r.seed % NELEM(sizes)]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_sizes)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
