/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * How the n-th call fails, for the tests that let it: with an error of the
 * disk, a full disk, a write cut short.
 */
#ifndef TESTS_STORE_T_FAULTS_H
#define TESTS_STORE_T_FAULTS_H

#include <errno.h>

#include "os/os.h"

static const struct fault {
	const char *name;
	unsigned mask;
	int error;
	size_t short_by;
	bool sticky;
} faults[] = {
    {"EIO",
	1 << OS_WRITE | 1 << OS_SYNC | 1 << OS_TRUNCATE | 1 << OS_ALLOCATE |
	    1 << OS_OPEN | 1 << OS_RENAME | 1 << OS_UNLINK | 1 << OS_MKDIR,
	EIO, 0, false},
    {"EIO for good",
	1 << OS_WRITE | 1 << OS_SYNC | 1 << OS_TRUNCATE | 1 << OS_ALLOCATE |
	    1 << OS_OPEN,
	EIO, 0, true},
    {"a flush fails", 1 << OS_SYNC, EIO, 0, false},
    {"ENOSPC", 1 << OS_WRITE | 1 << OS_ALLOCATE, ENOSPC, 0, false},
    {"ENOSPC for good", 1 << OS_WRITE | 1 << OS_ALLOCATE, ENOSPC, 0, true},
    {"a short write", 1 << OS_WRITE, ENOSPC, 7, false},
};

#endif
