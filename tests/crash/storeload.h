/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The workload of the store, inside: storeload.c does the steps,
 * storedump.c opens the store, tells its state and looks for damage.
 */
#ifndef TESTS_CRASH_STORELOAD_H
#define TESTS_CRASH_STORELOAD_H

#include "load.h"

#include "store/store.h"

#define ACCOUNTS 6 /* ids 1.. */

struct store *store_now(void);
/* The account, open; made when it is not there. */
struct acct *account_of(unsigned id);
void account_remove(unsigned id);
void reopen(void);
/* Opens again, as a program whose version of the format is this. */
void upgrade_step(unsigned now_);
void rebuild(void); /* closes, and opens with a new index */
/* Closes, without a lock that a child would inherit. */
void store_drop(void);
/* bytes 0: of many sizes. */
void append_some(unsigned account, const char *mailbox, unsigned first,
    unsigned n, size_t bytes, bool noisy);

enum err open_store(const char *dir, const struct load_path *path);
void close_store(void);
void dump_store(unsigned lane, struct buf *out);
void check_store(void);
void go_on_store(unsigned lane, str facts);

#endif
