/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * One INBOX in memory, with as much of store.h as a POP3 session uses: for
 * tests and fuzzers of sessions.
 */
#ifndef FAKE_STORE_H
#define FAKE_STORE_H

#include "store/store.h"

struct store *fake_store(void);
void fake_store_free(struct store **s);
void fake_store_add(struct store *s, str message);
/* Others expunge, meanwhile. */
void fake_store_expunge(struct store *s, uint32_t uid);
void fake_store_fail(struct store *s, enum err e); /* changes and reads */
/* The UIDs that are left, as a set. */
void fake_store_print(struct store *s, struct buf *out);
int fake_store_open(const struct store *s); /* views and accounts open */
unsigned fake_store_changes(const struct store *s);

#endif
