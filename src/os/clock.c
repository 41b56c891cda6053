/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Time and chance, real or as a test has fixed them.
 */
#include "os/os_int.h"

#include <stdatomic.h>
#include <sys/random.h>
#include <time.h>

static _Atomic bool clock_fixed;
static _Atomic int64_t fixed_wall_ms;
static _Atomic int64_t fixed_mono_ms;

static _Atomic bool random_fixed;
static _Atomic uint64_t random_state;

static int64_t
clock_us(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t
os_mono_us(void)
{
	if (atomic_load_explicit(&clock_fixed, memory_order_acquire))
		return atomic_load(&fixed_mono_ms) * 1000;
	return clock_us(CLOCK_MONOTONIC);
}

int64_t
os_mono_ms(void)
{
	return os_mono_us() / 1000;
}

int64_t
os_wall_ms(void)
{
	if (atomic_load_explicit(&clock_fixed, memory_order_acquire))
		return atomic_load(&fixed_wall_ms);
	return clock_us(CLOCK_REALTIME) / 1000 + fault_wall_ms();
}

struct stamp
os_now(void)
{
	time_t sec = (time_t)(os_wall_ms() / 1000);
	struct stamp t = {sec, 0};
	struct tm tm;

	if (localtime_r(&sec, &tm) != NULL)
		t.zone_min = (int16_t)(tm.tm_gmtoff / 60);
	return t;
}

void
os_clock_fix(int64_t wall_ms, int64_t mono_ms)
{
	atomic_store(&fixed_wall_ms, wall_ms);
	atomic_store(&fixed_mono_ms, mono_ms);
	atomic_store_explicit(&clock_fixed, wall_ms >= 0, memory_order_release);
}

/* splitmix64: every bit of the state shows in every bit of the result. */
static uint64_t
random_next(void)
{
	uint64_t z = atomic_fetch_add(&random_state, 0x9e3779b97f4a7c15u);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

void
os_random(void *p, size_t n)
{
	char *to = p;

	if (atomic_load_explicit(&random_fixed, memory_order_acquire)) {
		while (n > 0) {
			uint64_t v = random_next();
			size_t k = MIN(n, sizeof(v));

			memcpy(to, &v, k);
			to += k;
			n -= k;
		}
		return;
	}
	while (n > 0) {
		ssize_t r = getrandom(to, MIN(n, (size_t)256), 0);

		if (r < 0 && errno != EINTR)
			log_panic("no randomness");
		if (r > 0) {
			to += r;
			n -= (size_t)r;
		}
	}
}

void
os_random_fix(uint64_t seed)
{
	atomic_store(&random_state, seed);
	atomic_store_explicit(&random_fixed, true, memory_order_release);
}
