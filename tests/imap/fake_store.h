/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * A store in memory, for fuzzers and tests of IMAP sessions: the obvious way
 * to do what store.h says, without durability, threads or thrift. Entries
 * are freed with the store alone.
 */
#ifndef FAKE_STORE_H
#define FAKE_STORE_H

#include "store/store.h"

struct store *fake_store(void (*poke)(void *arg, uint64_t watcher), void *arg);
void fake_store_free(struct store **st);
/* The next n-th call that changes something fails so, once. */
void fake_store_fail(struct store *st, unsigned n, enum err e);
struct acct *fake_acct(struct store *st);

#endif
