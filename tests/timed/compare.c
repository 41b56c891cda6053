/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Whether the time of a comparison of secrets tells where they differ (R34):
 * two classes, different at the first octet and at the last one, measured in
 * random order; Welch's t of the quicker nine tenths. memcmp is measured too:
 * there it must show, else this machine could not show anything.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base.h"

enum { SIZE = 4096, RUNS = 200000, T_MAX = 10 };

static char secret[SIZE], first[SIZE], last[SIZE];
static double took[2][RUNS];
static volatile bool sink;

static double
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double
welch(size_t n[2])
{
	double mean[2] = {0}, var[2] = {0};

	for (int k = 0; k < 2; k++) {
		qsort(took[k], n[k], sizeof(double), by_value);
		n[k] = n[k] * 9 / 10;
		for (size_t i = 0; i < n[k]; i++)
			mean[k] += took[k][i] / (double)n[k];
		for (size_t i = 0; i < n[k]; i++)
			var[k] += (took[k][i] - mean[k]) *
				  (took[k][i] - mean[k]) / (double)(n[k] - 1);
	}
	return fabs(mean[0] - mean[1]) /
	       sqrt(var[0] / (double)n[0] + var[1] / (double)n[1]);
}

static double
measure(bool (*same)(str, str))
{
	str s = str_of(secret, SIZE);
	str other[2] = {str_of(first, SIZE), str_of(last, SIZE)};
	size_t n[2] = {0};
	uint64_t r = 1;

	for (int i = 0; i < RUNS; i++) {
		int k;
		double t;

		r = r * 6364136223846793005u + 1442695040888963407u;
		k = (int)(r >> 63);
		t = now_ns();
		sink = same(s, other[k]);
		took[k][n[k]++] = now_ns() - t;
	}
	return welch(n);
}

static bool
by_memcmp(str a, str b)
{
	return memcmp(a.p, b.p, a.n) == 0;
}

int
main(void)
{
	double plain, careful;

	memset(secret, 'x', SIZE);
	memcpy(first, secret, SIZE);
	memcpy(last, secret, SIZE);
	first[0] = 'y';
	last[SIZE - 1] = 'y';
	plain = measure(by_memcmp);
	careful = measure(str_eq_secret);
	printf("memcmp t %.1f, str_eq_secret t %.1f\n", plain, careful);
	return plain > T_MAX && careful < T_MAX ? 0 : 1;
}
