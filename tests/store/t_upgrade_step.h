/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Versions of the format that are for tests alone: each step rewrites every
 * row of some tables into new ones, and the next step rewrites them back. So
 * from an even version on an even number of steps leads to data that is as it
 * was, and what is between reads as damaged.
 */
#ifndef TESTS_STORE_T_UPGRADE_STEP_H
#define TESTS_STORE_T_UPGRADE_STEP_H

#include "store/format.h"

enum { STEP_ROWS = 3 };

/* Called now and then in the midst of a step; an error ends it. */
static enum err (*step_midst)(void);

struct step_rows {
	struct store *st;
	char from, to;
	size_t n;
};

static bool
step_row(void *ctx, str key, str value)
{
	struct step_rows *x = ctx;
	struct key k = {.p = {(uint8_t)x->from}, .n = 1 + key.n};

	memcpy(k.p + 1, key.p, key.n);
	index_del(x->st, &k);
	k.p[0] = (uint8_t)x->to;
	index_put(x->st, &k, value);
	return ++x->n < STEP_ROWS;
}

static enum err
step_table(struct store *st, char from, char to)
{
	struct key k = {.p = {(uint8_t)from}, .n = 1};
	struct step_rows x = {st, from, to, 1};
	enum err e = OK;

	while (e == OK && x.n > 0) {
		x.n = 0;
		e = index_scan(st, &k, STR_NONE, step_row, &x);
		if (e == OK)
			e = index_flush(st);
		if (e == OK && step_midst != NULL)
			e = step_midst();
	}
	return e;
}

#define STEP_TABLES "AKNTUZ"

static enum err
step_there(struct store *st)
{
	enum err e = OK;

	for (const char *p = STEP_TABLES; *p != '\0' && e == OK; p++)
		e = step_table(st, *p, (char)(*p + 32));
	return e;
}

static enum err
step_back(struct store *st)
{
	enum err e = OK;

	for (const char *p = STEP_TABLES; *p != '\0' && e == OK; p++)
		e = step_table(st, (char)(*p + 32), *p);
	return e;
}

static inline void
upgrade_to(unsigned now)
{
	static const struct format_step v[] = {{1, 2, NULL}, {2, 3, step_there},
	    {3, 4, step_back}, {4, 5, step_there}, {5, 6, step_back},
	    {6, 7, step_there}, {7, 8, step_back}};

	format_steps = (struct format_steps){now, v, NELEM(v)};
}

#endif
