/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The commit queue: how a change is handed in, planned, made durable,
 * applied and answered.
 */
#ifndef STORE_COMMIT_H
#define STORE_COMMIT_H

#include "store/apply.h"

struct plan;
struct change {
	/* Runs in the committer, apply_mu held, against the committed state
	 * and the plan so far. Adds its records and returns OK; or, having
	 * added none, ERR_BUSY (again in the next group: something of this
	 * group must be applied first) or why it fails, alone. */
	enum err (*plan)(struct plan *p, struct change *c);
	struct view *author; /* is not poked for it */
	bool background;     /* after what clients wait for */
	bool frees;          /* taken even when the disk is full */
	bool detached;       /* nobody waits; done is called when it is done,
				without a lock, and frees it */
	void (*done)(struct change *c);
	/* the queue's */
	enum err result;
	bool retried;
	_Atomic uint32_t state; /* enum change_state, commit.c */
	struct change *next;
};

/* Hands it in and waits. The result is the change's. */
enum err commit(struct store *st, struct change *c) MUST_CHECK;
/* Hands it in and, as a rule, does not wait: c->done is called once, by whoever
 * has led its group, before or after this returns. While no other such caller
 * is at it, this one stays, as the steward (commit.c): it leads groups until
 * nothing waits in front. */
void commit_start(struct store *st, struct change *c);
/* Hands it in; it is done with some later group. */
void commit_later(struct store *st, struct change *c);
void commit_idle(struct store *st); /* writes what was left for later */
void commit_open(struct store *st);
void commit_close(struct store *st);

/* ---- for plans ---- */
struct plan_record {
	struct buf head;
	struct log_record log;
	str row; /* of a record's */
	struct logref at;
	struct change *of;
};
struct plan {
	struct store *st;
	struct plan_record *v;
	size_t n, cap;
	struct logref at; /* the next record's head */
	size_t bytes;
	struct change *of;
	struct mbox *mboxes; /* that were planned on */
	struct account *accounts;
	struct map *threads; /* of messages in this group: hash -> thread */
	struct arena *arena; /* emptied after the group */
};
/* Adds a record; what r->rest, header, summary, row point at outlives the group.
 * Returns where its head will stand. */
struct logref plan_add(struct plan *p, const struct record *r);
/* The mailbox, with plan_uidnext, plan_modseq to be used and raised. */
void plan_mbox(struct plan *p, struct mbox *m);
void plan_account(struct plan *p, struct account *ac);

#endif
