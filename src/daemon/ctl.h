/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * What the command line can ask of an open store: by the mail process for
 * MSG_CTL over DATA/run/control.sock, and by the command itself when no
 * server runs. The caller has checked that the peer may (same user, or
 * root). Verbs that concern sessions (who, kick) are mail's own.
 *
 * Verbs and arguments; ID and NAME are an account's, as auth gave them:
 *
 *   mailbox.list ID NAME              name TAB messages TAB unseen TAB
 *                                     octets TAB attributes, a line each
 *   mailbox.create ID NAME BOX [USE]  mailbox.delete ID NAME BOX
 *   mailbox.rename ID NAME FROM TO
 *   deliver ID NAME BOX               fd: the message; "" for INBOX
 *   append ID NAME                    fd: a batch (ctl_batch_*); line: how
 *                                     many were new, how many known
 *   export ID NAME BOX                -> lines "BYTES", each with a batch of
 *                                     items as descriptor; "": all
 *   check [full]                      a sentence for each fault, "N faults"
 *   stats                             name=value lines
 *   compact                           expire
 *   backup                            -> lines "NAME LENGTH", each with a
 *                                     descriptor to copy from
 *   remove ID NAME                    the account's mail is freed
 */
#ifndef DAEMON_CTL_H
#define DAEMON_CTL_H

#include "base/base.h"
#include "store/import.h"
#include "store/store.h"

/* What an asker's requests have in common: an import, so far. Zero at first. */
struct ctl_kept {
	uint64_t account;
	struct acct *acct;
	struct importer *importer;
};
void ctl_forget(struct ctl_kept *k);

/* fd: what came with the request, or -1; stays the caller's. line: a line
 * of output with a descriptor (taken) or -1. why: in words, what went
 * wrong. */
enum err ctl_run(struct store *st, str verb, const str *arg, size_t n, int fd,
    void (*line)(void *ctx, str line, int fd), void *ctx, struct buf *why,
    struct ctl_kept *kept) MUST_CHECK;

/* Items of an append batch, as the reader of src/store/import.h gives them. */
void ctl_batch_add(struct buf *batch, const struct import_item *item);
/* The next one; slices of the batch, keywords in the arena. false at the end
 * or when malformed (*bad). */
bool ctl_batch_next(
    struct dec *d, struct arena *a, struct import_item *item, bool *bad);

#endif
