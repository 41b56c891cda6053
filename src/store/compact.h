/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Compaction: compact.c, and the snapshots that it needs (snapshot.c).
 */
#ifndef STORE_COMPACT_H
#define STORE_COMPACT_H

#include "store/commit.h"
#include "store/log.h"

struct snapshot_change {
	struct change c;
	struct mbox *m; /* pinned, whole */
};
enum err plan_snapshot(struct plan *p, struct change *c);

struct tree;
struct account_change {
	struct change c;
	struct account *ac;
	struct tree *tree; /* NULL: the row only */
	uint64_t version;
};
enum err snapshot_account_now(
    struct store *st, uint64_t account, bool with_tree) MUST_CHECK;
void compaction_free(struct store *st);

#endif
