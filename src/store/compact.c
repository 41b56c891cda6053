/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Getting space back: a segment of which little is needed is rewritten. Its
 * living bodies and messages move to the end of the log; snapshots stand for
 * the changes that it told; then it is dropped.
 *
 * (1) What moves is looked at again in the plan: it may have been freed. So
 *     nothing dead moves, and nothing that lives stays behind.
 * (2) A segment is rewritten only when that gives back more than it writes:
 *     its snapshots are estimated first.
 * (3) A segment whose head says that the one before ends early (a group was
 *     cancelled there) stays as long as that one.
 * (4) The file goes when the index has the drop, and nobody reads it.
 * (5) One at a time, under compact_mu; a step moves at most STEP bytes or
 *     writes one snapshot.
 * (6) Only what lies before the durable end is looked at: a segment that was
 *     begun for a group on its way is still empty, and would look dead.
 * (7) That a segment was dropped is said for good: what a later one said of
 *     it is said again when that one goes. So a rebuild knows a segment that
 *     was dropped from one that was lost.
 */
#include "store/compact.h"

#include <stdlib.h>

enum { STEP = 4 << 20, STEP_RECORDS = 2000, ENTRY_COST = 24 };

enum phase {
	PHASE_LOOK,
	PHASE_MOVE,
	PHASE_MAILBOXES,
	PHASE_ACCOUNTS,
	PHASE_DROP
};

struct compaction {
	struct segment *s; /* NULL: to be chosen */
	enum phase phase;
	uint64_t off;
	struct map *mailboxes; /* (account, id) */
	struct map *accounts;  /* account -> 1: numbers, 2: with its tree */
	size_t at;             /* in one of them */
	uint64_t after;        /* segments up to it were looked at */
	uint64_t *dropped;     /* of which it says that they are */
	size_t ndropped;
};

struct pair {
	uint64_t account;
	uint64_t id;
};

/* ---- what a segment tells ---- */

static void
note(struct compaction *k, uint64_t account, uint32_t mailbox, bool tree)
{
	struct pair p = {account, mailbox};
	uintptr_t had = (uintptr_t)map_get_u64(k->accounts, account);
	uintptr_t now = tree ? 2 : 1;

	if (mailbox != 0)
		map_put(k->mailboxes, str_of(&p, sizeof(p)), k);
	if (had < now)
		map_put_u64(k->accounts, account, (void *)now);
}

static void
note_record(struct compaction *k, const struct record *r)
{
	switch (r->type) {
	case REC_BODY:
	case REC_REHOME:
		break;
	case REC_DROPPED:
		k->dropped =
		    x_grow(k->dropped, k->ndropped + 1, sizeof(*k->dropped));
		k->dropped[k->ndropped++] = r->segment;
		break;
	case REC_MESSAGE:
		note(k, r->account, 0, false);
		break;
	case REC_SUBSCRIBE:
	case REC_ACCOUNT:
		note(k, r->account, 0, true);
		break;
	case REC_MAILBOX:
		note(k, r->account, r->mailbox, true);
		break;
	case REC_SNAPSHOT:
		note(k, r->account, r->mailbox, r->part == SNAP_ACCOUNT);
		break;
	case REC_MOVE:
		note(k, r->account, r->from_mailbox, false);
		note(k, r->account, r->mailbox, false);
		break;
	default:
		note(k, r->account, r->mailbox, false);
		break;
	}
}

static enum err
look(struct store *st, struct compaction *k)
{
	struct log_reader *reader = log_reader_new(st, k->s, false);
	struct arena *ar = arena_new(SIZE_MAX / 2);
	uint64_t off = SEGMENT_HEAD;
	struct log_group g;
	enum err e = OK;

	while (e == OK &&
	       log_next_group(reader, &off, k->s->end, &g) == LOG_GROUP) {
		size_t at = 0;
		struct logref ref;
		enum record_type type;
		unsigned version;
		str payload;

		while (e == OK && log_group_record(&g, &at, &ref, &type,
				      &version, &payload)) {
			struct record r;

			e = record_decode(type, version, payload, NULL, ar, &r);
			if (e == OK)
				note_record(k, &r);
		}
		arena_reset(ar);
	}
	if (e == OK && off != k->s->end)
		e = ERR_CORRUPT; /* the log tells; it stays as it is */
	arena_free(&ar);
	log_reader_free(&reader);
	return e;
}

/* (2) */
static uint64_t
cost(struct store *st, struct compaction *k)
{
	uint64_t bytes = 0;
	size_t at = 0;
	str key;
	void *v;

	while (map_next(k->mailboxes, &at, &key, &v)) {
		struct pair p;
		struct mbox *m;

		memcpy(&p, key.p, sizeof(p));
		bytes += 200;
		if (mbox_get(st, p.account, (uint32_t)p.id, &m) != OK)
			continue;
		pthread_mutex_lock(&m->mu);
		bytes += (uint64_t)m->messages * ENTRY_COST;
		pthread_mutex_unlock(&m->mu);
		mbox_unref(&m);
	}
	at = 0;
	while (map_next(k->accounts, &at, &key, &v)) {
		struct account *ac;
		uint64_t id;

		memcpy(&id, key.p, sizeof(id));
		bytes += 100;
		if ((uintptr_t)v < 2 || account_get(st, id, &ac) != OK)
			continue;
		bytes += ac->nodes * 60ull;
		account_unref(&ac);
	}
	return bytes;
}

/* ---- choosing ---- */

/* (3) */
static bool
cuts_the_one_before(struct store *st, struct segment *s)
{
	struct segment *before = segment_get(st, s->number - 1);
	struct log_reader *r;
	struct log_group g;
	uint64_t off;
	enum log_next next;

	if (before == NULL)
		return false;
	off = before->end;
	r = log_reader_new(st, before, false);
	next = log_next_group(r, &off, UINT64_MAX / 2, &g);
	log_reader_free(&r);
	segment_unref(&before);
	return next != LOG_END && next != LOG_TORN;
}

static void
forget(struct compaction *k)
{
	if (k->s != NULL)
		k->after = k->s->number;
	segment_unref(&k->s);
	map_free(&k->mailboxes);
	map_free(&k->accounts);
	x_free(&k->dropped);
	k->ndropped = 0;
}

/* The next segment that is mostly dead. */
static bool
choose(struct store *st, struct compaction *k)
{
	struct segment **v;
	struct log_pos end;
	size_t n;

	if (log_segments(st, &v, &n, &end) != OK)
		return false;
	for (size_t i = 0; i < n; i++) {
		uint64_t live;

		/* (6) */
		if (k->s == NULL && v[i]->number > k->after &&
		    v[i]->number < end.seg) {
			pthread_mutex_lock(&st->apply_mu);
			live = live_bytes(st, v[i]->number);
			pthread_mutex_unlock(&st->apply_mu);
			if (live * 2 < v[i]->end) {
				k->s = v[i];
				continue;
			}
		}
		segment_unref(&v[i]);
	}
	x_free(&v);
	if (k->s == NULL)
		k->after = 0; /* from the first one on, next time */
	return k->s != NULL;
}

static enum err
start(struct store *st, struct compaction *k)
{
	uint64_t live;
	enum err e;

	k->mailboxes = map_new();
	k->accounts = map_new();
	k->off = SEGMENT_HEAD;
	k->at = 0;
	e = look(st, k);
	pthread_mutex_lock(&st->apply_mu);
	live = live_bytes(st, k->s->number);
	pthread_mutex_unlock(&st->apply_mu);
	if (e == OK && (live + cost(st, k)) * 2 < k->s->end &&
	    !cuts_the_one_before(st, k->s))
		k->phase = PHASE_MOVE;
	else
		forget(k);
	return e;
}

/* ---- moving ---- */

struct moving {
	struct logref at;
	enum record_type type;
	struct buf payload;
	struct record r;
};

struct move_change {
	struct change c;
	struct moving *v;
	size_t n, cap;
	size_t bytes;
	struct arena *ar;
};

static enum err
move_body(struct plan *p, struct moving *x)
{
	struct record r = x->r;
	struct logref to;
	uint64_t *v = arena_array(p->arena, r.naccounts + 1, sizeof(*v));
	struct body_row b;
	enum err e;

	r.naccounts = 0;
	for (size_t i = 0; i < x->r.naccounts; i++) {
		uint64_t account = x->r.accounts[i];

		e = body_get(p->st, account, r.sha, &b);
		if (e != OK && e != ERR_NOTFOUND)
			return e;
		if (e == OK && b.record.seg == x->at.seg &&
		    b.record.off == x->at.off)
			v[r.naccounts++] = account;
	}
	if (r.naccounts == 0)
		return OK;
	r.accounts = v;
	to = plan_add(p, &r);
	for (size_t i = 0; i < r.naccounts; i++) {
		struct record h = {.type = REC_REHOME, .account = v[i]};

		memcpy(h.sha, r.sha, SHA_LEN);
		h.back = p->at.off - to.off;
		plan_add(p, &h);
	}
	return OK;
}

static enum err
move_message(struct plan *p, struct moving *x)
{
	struct record r = x->r;
	struct message_row m;
	enum err e = message_get(p->st, r.account, r.message, &m);
	bool here;

	if (e == ERR_NOTFOUND)
		return OK;
	if (e != OK)
		return e;
	here = m.header.seg == x->at.seg &&
	       m.header.off == x->at.off + RECORD_HEAD + x->payload.n -
				   r.header.n - r.summary.n;
	message_row_free(&m);
	if (!here)
		return OK;
	r.moved = true;
	r.back = 0;
	plan_add(p, &r);
	return OK;
}

static enum err
plan_move(struct plan *p, struct change *c)
{
	struct move_change *x = (struct move_change *)c;
	enum err e = OK;

	/* (1) What the group does before is not applied yet. */
	if (p->n > 0)
		return ERR_BUSY;
	for (size_t i = 0; i < x->n && e == OK; i++)
		e = x->v[i].type == REC_BODY ? move_body(p, &x->v[i])
					     : move_message(p, &x->v[i]);
	return e;
}

/* A first look, without the committer's locks: most is dead. */
static bool
may_live(struct store *st, const struct moving *x)
{
	struct message_row m;
	struct body_row b;
	enum err e;

	if (x->type == REC_MESSAGE) {
		e = message_get(st, x->r.account, x->r.message, &m);
		if (e == OK)
			message_row_free(&m);
		return e == OK && m.header.seg == x->at.seg;
	}
	for (size_t i = 0; i < x->r.naccounts; i++)
		if (body_get(st, x->r.accounts[i], x->r.sha, &b) == OK &&
		    b.record.seg == x->at.seg && b.record.off == x->at.off)
			return true;
	return false;
}

static enum err
gather_group(struct store *st, struct move_change *x, const struct log_group *g)
{
	size_t at = 0;
	struct logref ref;
	enum record_type type;
	unsigned version;
	str payload;
	enum err e = OK;

	while (e == OK &&
	       log_group_record(g, &at, &ref, &type, &version, &payload)) {
		struct moving y = {.at = ref, .type = type};

		if (type != REC_BODY && type != REC_MESSAGE)
			continue;
		e = record_decode(type, version, payload, NULL, x->ar, &y.r);
		if (e != OK || !may_live(st, &y))
			continue;
		y.payload.max = SIZE_MAX;
		buf_str_add(&y.payload, payload);
		if (!buf_ok(&y.payload))
			return ERR_NOMEM;
		e = record_decode(
		    type, version, buf_str(&y.payload), NULL, x->ar, &y.r);
		if (x->n == x->cap) {
			x->cap = MAX((size_t)64, x->cap * 2);
			x->v = x_grow(x->v, x->cap, sizeof(*x->v));
		}
		x->v[x->n++] = y;
		x->bytes += payload.n;
	}
	return e;
}

static enum err
move_step(struct store *st, struct compaction *k)
{
	struct move_change x = {.c.plan = plan_move,
	    .c.background = true,
	    .c.frees = true,
	    .ar = arena_new(SIZE_MAX / 2)};
	struct log_reader *r = log_reader_new(st, k->s, false);
	struct log_group g;
	enum log_next next = LOG_END;
	enum err e = OK;

	while (e == OK && x.bytes < STEP && x.n < STEP_RECORDS &&
	       (next = log_next_group(r, &k->off, k->s->end, &g)) == LOG_GROUP)
		e = gather_group(st, &x, &g);
	log_reader_free(&r);
	if (e == OK && next != LOG_GROUP && next != LOG_END)
		e = ERR_CORRUPT;
	if (e == OK && x.n > 0)
		e = commit(st, &x.c);
	for (size_t i = 0; i < x.n; i++)
		buf_free(&x.v[i].payload);
	x_free(&x.v);
	arena_free(&x.ar);
	if (e == OK && k->off >= k->s->end) {
		k->phase = PHASE_MAILBOXES;
		k->at = 0;
	}
	return e;
}

/* ---- snapshots, and the end ---- */

static enum err
mailbox_step(struct store *st, struct compaction *k)
{
	struct snapshot_change x = {
	    .c.plan = plan_snapshot, .c.background = true, .c.frees = true};
	struct pair p;
	str key;
	void *v;
	enum err e;

	if (!map_next(k->mailboxes, &k->at, &key, &v)) {
		k->phase = PHASE_ACCOUNTS;
		k->at = 0;
		return OK;
	}
	memcpy(&p, key.p, sizeof(p));
	e = mbox_get(st, p.account, (uint32_t)p.id, &x.m);
	if (e != OK)
		return e == ERR_NOTFOUND ? OK : e; /* freed */
	if ((e = mbox_pin(x.m, CONTENT_FULL)) == OK) {
		e = commit(st, &x.c);
		mbox_unpin(x.m);
	}
	mbox_unref(&x.m);
	return e;
}

static enum err
account_step(struct store *st, struct compaction *k)
{
	uint64_t id;
	str key;
	void *v;

	if (!map_next(k->accounts, &k->at, &key, &v)) {
		k->phase = PHASE_DROP;
		return OK;
	}
	memcpy(&id, key.p, sizeof(id));
	return snapshot_account_now(st, id, (uintptr_t)v == 2);
}

struct drop_change {
	struct change c;
	const struct compaction *k;
};

static enum err
plan_drop(struct plan *p, struct change *c)
{
	const struct compaction *k = ((struct drop_change *)c)->k;
	struct record r = {.type = REC_DROPPED, .segment = k->s->number};

	plan_add(p, &r);
	for (size_t i = 0; i < k->ndropped; i++) { /* (7) */
		r.segment = k->dropped[i];
		plan_add(p, &r);
	}
	return OK;
}

static enum err
drop_step(struct store *st, struct compaction *k)
{
	struct drop_change x = {
	    .c.plan = plan_drop, .c.background = true, .c.frees = true, .k = k};
	enum err e = commit(st, &x.c);

	if (e == OK)
		e = index_flush(st); /* (4) */
	if (e != OK)
		return e;
	log_info("a segment was compacted", KV_N("segment", k->s->number),
	    KV_N("bytes", k->s->end));
	log_drop(st, k->s->number);
	forget(k);
	return OK;
}

static enum err
step(struct store *st, struct compaction *k)
{
	if (k->s == NULL)
		return choose(st, k) ? start(st, k) : OK;
	switch (k->phase) {
	case PHASE_MOVE:
		return move_step(st, k);
	case PHASE_MAILBOXES:
		return mailbox_step(st, k);
	case PHASE_ACCOUNTS:
		return account_step(st, k);
	case PHASE_DROP:
		return drop_step(st, k);
	case PHASE_LOOK:
		break;
	}
	return start(st, k);
}

enum err
store_compact(struct store *st, bool *more)
{
	struct compaction *k;
	enum err e;

	*more = false;
	if (atomic_load(&st->dead))
		return ERR_UNAVAILABLE;
	pthread_mutex_lock(&st->compact_mu); /* (5) */
	if (st->compaction == NULL)
		st->compaction = x_alloc(sizeof(*st->compaction));
	k = st->compaction;
	e = step(st, k);
	if (e != OK) {
		log_warn("a segment could not be compacted", KV_ERR(e));
		k->phase = PHASE_LOOK;
		forget(k);
	}
	*more = e == OK && (k->s != NULL || k->after > 0);
	pthread_mutex_unlock(&st->compact_mu);
	return e;
}

void
compaction_free(struct store *st)
{
	if (st->compaction == NULL)
		return;
	forget(st->compaction);
	x_free(&st->compaction);
}
