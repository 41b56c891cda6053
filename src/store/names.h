/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Names of mailboxes: the tree (names.c), changes of it (tree.c).
 */
#ifndef STORE_NAMES_H
#define STORE_NAMES_H

#include "store/view.h"

/* The next level of a path: true and *level, and *rest moves behind it. */
bool name_level(str *rest, str *level);
/* The node that a whole name stands for. ERR_NOTFOUND: *deepest is the last
 * level that is there (0: none) and *missing what is not. */
enum err name_walk(struct store *st, uint64_t account, str name, uint32_t *node,
    uint32_t *deepest, str *missing) MUST_CHECK;
enum err name_subscribed(
    struct store *st, uint64_t account, str name, bool *yes) MUST_CHECK;
/* An account at first sight: ACCOUNT, its mailboxes and subscriptions. */
enum err account_make(struct acct *a, str name) MUST_CHECK;

/* No row says that there is such a mailbox: ERR_NOTFOUND, unless a level of
 * the tree holds it: then the row is lost, and that is damage. */
enum err box_missing(struct acct *a, uint32_t id) MUST_CHECK;

#endif
