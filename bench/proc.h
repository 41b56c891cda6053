/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* What a process and all its descendants use, from /proc. */
#ifndef BENCH_PROC_H
#define BENCH_PROC_H

/* Seconds of the tree's processes so far, those included that have ended. */
double proc_cpu(int root);
/* Seconds of all the machine's processors at work so far. */
double proc_machine(void);
/* Anonymous and shared memory of the tree, each page once, in bytes. */
double proc_memory(int root);

#endif
