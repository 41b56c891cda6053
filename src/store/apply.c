/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The one function that applies a record, for what has just been flushed and
 * for the replay at start alike.
 *
 * (1) What is durable must be applied: an error here ends the process, and
 *     the index is made anew at the next start.
 * (2) While the log is replayed from a log some of whose segments are gone
 *     (compacted), records may name what is not known; a later SNAPSHOT
 *     tells all of it. Only then is that no error.
 */
#include "store/apply.h"

enum err
apply_damage(struct apply *a, const char *what)
{
	if (a->st->rebuilding)
		return OK; /* (2) */
	log_error("the log and the index disagree", KV_C("what", what),
	    KV_N("segment", a->at.seg), KV_N("offset", a->at.off));
	return ERR_CORRUPT;
}

enum err
apply_mbox(struct apply *a, uint64_t account, uint32_t id, struct mbox **m)
{
	enum err e = mbox_get(a->st, account, id, m);

	if (e == ERR_NOTFOUND && !a->st->rebuilding) {
		log_error("a record of a mailbox that is not there",
		    KV_N("account", account), KV_N("mailbox", id));
		return ERR_CORRUPT;
	}
	return e;
}

/* DROPPED: a segment was compacted. */
static enum err
apply_dropped(struct apply *a, const struct record *r)
{
	struct key k = key_of('G', r->segment);
	struct live *l = map_del_u64(a->st->live, r->segment);

	x_free(&l);
	index_del(a->st, &k);
	if (a->st->rebuilding)
		map_put_u64(a->st->dropped, r->segment, a->st);
	return OK;
}

enum err
apply_record(struct apply *a, const struct record *r)
{
	enum err e = ERR_CORRUPT;

	switch (r->type) {
	case REC_BODY:
		e = apply_body(a, r);
		break;
	case REC_MESSAGE:
		e = apply_message(a, r);
		break;
	case REC_APPEND:
	case REC_COPY:
		e = apply_entries(a, r);
		break;
	case REC_MOVE:
		e = apply_entries(a, r);
		/* (2): either end may be unknown. */
		if (e == OK || (e == ERR_NOTFOUND && a->st->rebuilding))
			e = apply_expunge(a, r->account, r->from_mailbox,
			    r->from_modseq, r->time_s, &r->uids);
		break;
	case REC_FLAGS:
		e = apply_flags(a, r);
		break;
	case REC_EXPUNGE:
		e = apply_expunge(
		    a, r->account, r->mailbox, r->modseq, r->time_s, &r->uids);
		break;
	case REC_MAILBOX:
		e = apply_mailbox(a, r);
		break;
	case REC_KEYWORDS:
		e = apply_keywords(a, r);
		break;
	case REC_SUBSCRIBE:
		e = apply_subscribe(a, r);
		break;
	case REC_ACCOUNT:
		e = apply_account(a, r);
		break;
	case REC_EXPIRE:
		e = apply_expire(a, r);
		break;
	case REC_SNAPSHOT:
		e = apply_snapshot(a, r);
		break;
	case REC_REHOME:
		e = apply_rehome(a, r);
		break;
	case REC_DROPPED:
		e = apply_dropped(a, r);
		break;
	case REC_RECENT:
		e = apply_recent(a, r);
		break;
	case REC_MAX:
		break;
	}
	if (e == ERR_NOTFOUND && a->st->rebuilding)
		e = OK;
	if (e != OK)
		log_error("a record cannot be applied",
		    KV_C("type", record_name(r->type)), KV_ERR(e),
		    KV_N("segment", a->at.seg), KV_N("offset", a->at.off));
	return e;
}

void
apply_group_end(struct apply *a)
{
	a->nbodies = 0;
}

void
apply_free(struct apply *a)
{
	x_free(&a->bodies);
}
