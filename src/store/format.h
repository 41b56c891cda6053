/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The version of all that is on disk, and the steps from one to the next;
 * format.c says how they are taken.
 */
#ifndef STORE_FORMAT_H
#define STORE_FORMAT_H

#include "store/store_int.h"

/* One step. run: what is on disk becomes the next version's; NULL: the next
 * version only has forms that this one does not know, and reads the old ones.
 * It finds the index open, and the log as it was left; it may be called again
 * on what it has done in part. */
struct format_step {
	unsigned from, to;
	enum err (*run)(struct store *st);
};
struct format_steps {
	unsigned now; /* the version of this program */
	const struct format_step *v;
	size_t n;
};
/* What is used; a test may put others in its place. */
extern struct format_steps format_steps;

/* Reads FORMAT, makes it in what is new; st->format. ERR_CORRUPT: of a newer
 * version, or half a store. */
enum err format_check(struct store *st) MUST_CHECK;
/* Takes the steps that are missing. */
enum err format_upgrade(struct store *st) MUST_CHECK;
/* The same where no step rewrites anything: before a box is closed in which
 * FORMAT cannot be replaced. */
enum err format_prepare(struct store *st) MUST_CHECK;
/* Writes the version of this program. */
enum err format_write(struct store *st) MUST_CHECK;

#endif
