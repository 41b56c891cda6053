/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* The groups of tests of the room os; each returns how many failed. */
#ifndef TESTS_OS_T_OS_H
#define TESTS_OS_T_OS_H

#include "seeds.h"

#include "os/os.h"

/* A directory for this run, made before and removed after the tests. */
extern char work[64];
/* "WORK/name"; good until the tenth call after. */
const char *in_work(const char *name);

/* What this program does instead when a test runs it anew. */
int fault_again(void);

int t_addr(void);
int t_box(void);
int t_clock(void);
int t_fault(void);
int t_file(void);
int t_lmdb(void);
int t_process(void);
int t_socket(void);

#endif
