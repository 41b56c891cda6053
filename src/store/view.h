/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * A view's inside: view.c, view_sync.c, and the files of changes.
 *
 * (1) Its owner alone touches it, but for next, prev, watcher, told_expunge
 *     and lowest, which others read under the mailbox's mu.
 * (2) Asleep (ver NULL) it is what it was told: exists, next, told_expunge.
 *     It may only sleep when no expunge is withheld: then what it had is what
 *     lives below next, and what the history tells since.
 */
#ifndef STORE_VIEW_H
#define STORE_VIEW_H

#include "store/commit.h"

struct view {
	struct acct *a;
	struct store *st;
	struct mbox *m;
	struct view *next, *prev;
	uint64_t watcher;
	bool readonly;
	struct version *ver;       /* awake: pinned content and a version */
	uint32_t exists, next_uid; /* as told */
	uint32_t uidvalidity;
	uint32_t nkeywords;
	/* modseqs up to which it was told; quiet: there is nothing to tell */
	uint64_t told_expunge, told_exists, told_flags, quiet;
	struct ranges recent;
	/* own silent changes since flags were told, ascending; and what
	 * others had changed under them */
	uint64_t *silent;
	size_t nsilent;
	struct ranges owed;
};

/* \Recent of what came since; mu held. True: taken, to be noted after. */
bool view_recent_more(struct view *v, uint32_t since);
void view_recent_note(struct view *v, uint32_t upto);
enum err view_wake(struct view *v) MUST_CHECK;
bool view_silent(const struct view *v, uint64_t modseq);
/* An own change of the view is durable: silent, with what it changed. */
struct prior {
	uint32_t uid;
	uint64_t modseq;
};
void view_changed(struct view *v, uint64_t modseq, bool silent,
    const struct prior *p, size_t n);
/* The stored row; ERR_EXPUNGED: freed. */
struct message_row;
enum err view_row(
    struct view *v, const struct entry *e, struct message_row *m) MUST_CHECK;
bool acct_may(const struct acct *a, unsigned kinds); /* 1 << GRANT_* */

#endif
