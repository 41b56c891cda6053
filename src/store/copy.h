/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The change that copies or moves entries: copy.c, and names.c for INBOX.
 */
#ifndef STORE_COPY_H
#define STORE_COPY_H

#include "store/new.h"

struct copy {
	struct change c;
	struct mbox *from, *to;
	const struct ranges *uids;
	struct ranges slice; /* of a move: what one record takes */
	bool move;
	size_t room; /* of the arrays */
	struct rec_entry *entries;
	uint32_t *from_uids, *to_uids;
	size_t n;
	uint64_t last_in, last_out; /* a word translated before; 0: none */
};
enum err plan_copy(struct plan *p, struct change *c);
void copy_sort(uint16_t *v, size_t n);

/* ---- change.c ---- */
/* Plans on the mailbox; true when the change has to wait for the next group
 * because of these messages. */
bool change_clash(struct plan *p, struct mbox *m, const struct ranges *uids);
bool change_slice(const struct ranges *uids, uint64_t *at, struct ranges *out);

#endif
