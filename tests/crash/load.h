/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * load: the frame of the crash tests' workloads. A workload has paths, each
 * a kind of change, done in steps. After each step the whole state is
 * written as text into the facts, and the step is acknowledged. After a
 * crash the state, as text again, must be that of the last step that was
 * acknowledged, or of the next one: so nothing acknowledged is lost and
 * nothing else is half there, down to each flag, date and octet.
 *
 * The text: a line for each thing, "KEY TAB VALUE". Lines that begin with
 * "H " hold numbers that may only grow: "H NAME TAB N N ...". A state may
 * have larger ones than the facts.
 *
 * (1) The clock stands still within a step and the random numbers have a
 *     seed, so that a run can be repeated, and its facts hold for a run that
 *     was killed.
 * (2) Several lanes run at once, in a path that says so, each with things
 *     and facts of its own.
 */
#ifndef TESTS_CRASH_LOAD_H
#define TESTS_CRASH_LOAD_H

#include "base/base.h"
#include "os/os.h"

enum load_unit {
	WHOLE,       /* a step is there or it is not */
	PER_MESSAGE, /* each line of a step by itself */
	PIECES       /* what a step leaves alone is there; done again, the step
		       ends */
};

struct load_path {
	const char *name;
	unsigned steps;
	enum load_unit unit;
	unsigned lanes; /* 0: one, without threads */
	/* Before the first acknowledgement; may be NULL. */
	void (*setup)(void);
	/* Fails by load_fail. lane: which thread this is. */
	void (*step)(unsigned lane, unsigned i);
};

struct load {
	const char *name;
	const struct load_path *paths;
	size_t npaths;
	/* Sets settings for the path; dir exists. Also makes what is
	 * missing. */
	enum err (*open)(const char *dir, const struct load_path *path);
	void (*close)(void);
	/* The state of a lane, as text. */
	void (*dump)(unsigned lane, struct buf *out);
	/* Looks for damage, complains by load_fail; before dump. */
	void (*check)(void);
	/* Goes on working after the crash; facts: the text that the state
	 * was found to be. */
	void (*go_on)(unsigned lane, str facts);
};

/* Prints and ends the process with 1. */
_Noreturn void load_fail(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* ... unless it is OK. */
void load_ok(enum err e, const char *what);
/* The number after a key of a line "H KEY TAB N ..."; 0: none. */
uint64_t load_number(str facts, const char *key, unsigned nth);

/* run PATH DIR FACTS | verify DIR ACKED FACTS | replay FACTS LOG [options]
 * | recover PATH DIR | tell PATH DIR | paths. The first line of FACTS names the path. */
int load_main(int argc, char **argv, const struct load *l);

#endif
