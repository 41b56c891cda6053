/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Inside the box: its two fences, each in a file of its own.
 */
#ifndef OS_BOX_INT_H
#define OS_BOX_INT_H

#include "os/os_int.h"

/* Landlock: nothing but what lies beneath dir (NULL: nothing at all), or of
 * that only what is within (NULL: all), no TCP, no signals and no abstract
 * sockets out of the box. *abi: the version of the kernel's rules in force, 0
 * when the kernel has none. */
enum err
landlock_enter(const char *dir, const char *const *within, int *abi) MUST_CHECK;
/* seccomp: the list of calls of that box. */
enum err seccomp_enter(enum os_box box) MUST_CHECK;

#endif
