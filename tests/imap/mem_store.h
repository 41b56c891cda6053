/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * A store in memory, for fuzzers and tests of IMAP sessions: the obvious way
 * to do what store.h says, without durability, threads or thrift. Entries
 * are freed with the store alone.
 */
#ifndef MEM_STORE_H
#define MEM_STORE_H

#include "store/store.h"

struct store *mem_store(void (*poke)(void *arg, uint64_t watcher), void *arg);
void mem_store_free(struct store **st);
/* The next n-th call that changes something fails so, once. */
void mem_store_fail(struct store *st, unsigned n, enum err e);
struct acct *mem_acct(struct store *st);

#endif
