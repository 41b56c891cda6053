/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Messages on their way in: in memory, in a file, too large, on a full disk
 * (R124: the bound is checked before memory is taken).
 */
#include <dirent.h>
#include <errno.h>

#include "os/os.h"
#include "store/t_store.h"

static void
fill(struct spool *sp, size_t n, size_t piece)
{
	char *p = x_alloc(piece);
	size_t at = 0, k;

	for (; at < n; at += k) {
		k = MIN(piece, n - at);
		for (size_t i = 0; i < k; i++)
			p[i] = (char)((at + i) * 31 >> 3);
		assert_int_equal(spool_add(sp, p, k), OK);
	}
	x_free(&p);
}

static void
same(struct spool *sp, size_t n)
{
	str s;

	assert_int_equal(spool_bytes(sp, &s), OK);
	assert_int_equal(s.n, n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(s.p[i], (char)(i * 31 >> 3));
}

static void
sizes(void **state)
{
	struct fix *f = fix_new();
	size_t max = limits.spool_memory_max;
	size_t n[] = {0, 1, max - 1, max, max + 1, 4 * max + 3};

	for (size_t i = 0; i < NELEM(n); i++) {
		for (size_t piece = 1000; piece < 4 * max; piece *= 30) {
			struct spool *sp;

			assert_int_equal(spool_new(f->st, &sp), OK);
			fill(sp, n[i], piece);
			same(sp, n[i]);
			same(sp, n[i]);
			spool_free(&sp);
			assert_null(sp);
		}
	}
	fix_free(f);
}

static int
files_open(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

/* R124: spool_memory_max -1 0 +1: in memory, or in a file. */
static void
where(void **state)
{
	struct fix *f = fix_new();
	int open = files_open();

	limits.spool_memory_max = 5000;
	for (int more = -1; more <= 1; more++) {
		struct spool *sp;

		assert_int_equal(spool_new(f->st, &sp), OK);
		fill(sp, (size_t)(5000 + more), 1000);
		assert_int_equal(files_open() - open, more > 0);
		same(sp, (size_t)(5000 + more));
		spool_free(&sp);
		assert_int_equal(files_open(), open);
	}
	limits_default(&limits);
	fix_free(f);
}

static void
too_big(void **state)
{
	struct fix *f = fix_new();
	uint64_t was = limits.message_size_max;
	struct spool *sp;
	str s;

	limits.message_size_max = 300000;
	assert_int_equal(spool_new(f->st, &sp), OK);
	fill(sp, 300000, 7777);
	same(sp, 300000);
	assert_int_equal(spool_add(sp, "x", 1), ERR_TOOBIG);
	assert_int_not_equal(spool_bytes(sp, &s), OK);
	assert_int_not_equal(spool_add(sp, "", 1), OK);
	spool_free(&sp);
	assert_int_equal(spool_new(f->st, &sp), OK);
	assert_int_equal(spool_add(sp, "x", SIZE_MAX), ERR_TOOBIG);
	spool_free(&sp);
	limits.message_size_max = was;
	fix_free(f);
}

/* Each call to the system fails once: refused, and nothing is left behind. */
static void
faults(void **state)
{
	struct fix *f = fix_new();
	size_t n = limits.spool_memory_max + 5000;
	char *p = x_alloc(n);
	bool hit = true;

	for (uint64_t k = 1; hit && k < 100; k++) {
		struct spool *sp;
		enum err e = OK;
		str s;

		os_fault_set(
		    1u << OS_OPEN | 1u << OS_WRITE, k, ENOSPC, 0, false);
		assert_int_equal(spool_new(f->st, &sp), OK);
		for (size_t at = 0; at < n && e == OK; at += 1000)
			e = spool_add(sp, p + at, MIN(n - at, (size_t)1000));
		hit = os_fault_hit();
		os_fault_clear();
		assert_int_equal(e, hit ? ERR_FULL : OK);
		assert_true(hit == (spool_bytes(sp, &s) != OK));
		spool_free(&sp);
	}
	x_free(&p);
	fix_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sizes),
	    cmocka_unit_test(where),
	    cmocka_unit_test(too_big),
	    cmocka_unit_test(faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
