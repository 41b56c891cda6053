/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * fsmodel: what a file system may hold after the power has gone, given the
 * changes made to it so far (reclog.h).
 *
 * (1) What was flushed is there. Of what was written to a file since, any
 *     part may be there, in units of 512 bytes, in any order, and the size
 *     may be the old one, the new one or anything that the parts make it.
 * (2) A name that was made, changed or removed is certain when its
 *     directory was flushed after; flushing the file is not enough. A
 *     rename is whole, or has not happened.
 * (3) A write to a file opened with O_DSYNC is certain; what was written to
 *     the file before, and not flushed, is not.
 */
#ifndef TESTS_CRASH_FSMODEL_H
#define TESTS_CRASH_FSMODEL_H

#include "base/base.h"
#include "reclog.h"

struct dice {
	uint64_t state;
};
uint64_t dice_throw(struct dice *d, uint64_t sides);

enum loss {
	LOSS_ALL,     /* nothing that is uncertain is there */
	LOSS_NOTHING, /* all of it is */
	LOSS_NAMES,   /* all bytes are, no names */
	LOSS_SOME     /* chance decides */
};

struct fs;
/* base: what is in this directory was there before, or NULL. */
struct fs *fs_new(const char *base);
void fs_free(struct fs **fs);
/* False: the log makes no sense; *why says it. bytes outlive fs. */
bool fs_apply(struct fs *fs, const struct reclog_rec *r, const char *bytes,
    const char **why);
/* Makes the directory hold such a state, touching only what differs.
 * Returns a number that is the same for the same state. */
uint64_t
fs_place(struct fs *fs, enum loss loss, struct dice *d, const char *dir);

#endif
