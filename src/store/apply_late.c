/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Applying EXPIRE, which frees what was expunged, and SNAPSHOT, which stands
 * for the past of a mailbox or account whose segments are gone.
 *
 * (1) A snapshot is made of the state that it describes. So it changes
 *     nothing, unless records before it are missing: only then (rebuilding)
 *     it is taken.
 */
#include "store/apply.h"

/* ---- expire ---- */

/* Frees what was expunged with a modseq of at most this. */
static enum err
expire_gone(struct mbox *m, uint64_t modseq)
{
	size_t keep = 0;
	enum err e = OK;

	for (size_t i = 0; i < m->ngrows; i++) {
		struct gone_row *g = &m->grows[i];
		struct key k = key_mbox('X', m);
		struct key x =
		    key_expire(g->time_s, m->account, m->id, g->modseq);

		if (g->modseq > modseq || e != OK) {
			m->grows[keep++] = *g;
			continue;
		}
		for (uint32_t j = 0; j < g->n && e == OK; j++) {
			map_del_u64(m->gone, g->v[j].uid);
			uidl_put(m, g->v[j].uid, STR_NONE);
			more_put(m, g->v[j].uid, NULL, 0);
			e = message_refer(
			    m->st, m->account, g->v[j].f.message, -1);
		}
		key_u64(&k, g->modseq);
		key_u32(&k, g->part);
		index_del(m->st, &k);
		index_del(m->st, &x);
		x_free(&g->v);
	}
	m->ngrows = keep;
	return e;
}

/* The same for entries of a deleted mailbox, up to this UID. */
static enum err
expire_entries(struct mbox *m, uint32_t upto)
{
	struct ranges uids = {0};
	struct gone *gone = x_array(m->messages + 1u, sizeof(*gone));
	uint32_t n = 0;
	enum err e;

	ranges_add(&uids, 1, upto);
	e = entries_take(m, &uids, gone, &n);
	for (uint32_t i = 0; i < n && e == OK; i++) {
		uidl_put(m, gone[i].uid, STR_NONE);
		more_put(m, gone[i].uid, NULL, 0);
		e = message_refer(m->st, m->account, gone[i].f.message, -1);
	}
	m->st->stat_entries -= MIN(m->st->stat_entries, (uint64_t)n);
	m->st->totals_dirty = true;
	x_free(&gone);
	ranges_free(&uids);
	return e;
}

struct doomed {
	struct store *st;
	struct key prefix;
};

static bool
each_doomed(void *ctx, str key, str row)
{
	struct doomed *d = ctx;
	struct key k = d->prefix;

	memcpy(k.p + k.n, key.p, key.n);
	k.n += key.n;
	index_del(d->st, &k);
	return true;
}

/* All rows of a table that belong to the mailbox. Those in memory only must
 * be known otherwise. */
static enum err
rows_del(struct mbox *m, char table)
{
	struct doomed d = {m->st, key_mbox(table, m)};

	return index_scan(m->st, &d.prefix, STR_NONE, each_doomed, &d);
}

static enum err
mbox_rows_del(struct mbox *m)
{
	enum err e = rows_del(m, 'H');
	struct key k;

	for (size_t i = 0; i < m->nhist; i++) {
		k = key_mbox('H', m);
		key_u64(&k, m->hist[i].first);
		key_u32(&k, m->hist[i].part);
		index_del(m->st, &k);
		m->hist[i].dirty = false;
	}
	for (uint32_t i = 0; i < m->nkeywords; i++) {
		k = key_mbox('K', m);
		key_u32(&k, i);
		index_del(m->st, &k);
	}
	return e;
}

enum err
apply_expire(struct apply *a, const struct record *r)
{
	struct mbox *m;
	enum err e = apply_mbox(a, r->account, r->mailbox, &m);

	if (e != OK)
		return e;
	if ((e = mbox_pin(m, CONTENT_FULL)) != OK)
		goto unref;
	pthread_mutex_lock(&m->mu);
	e = expire_gone(m, r->modseq);
	if (e == OK && m->dead && r->uidnext > 0)
		e = expire_entries(m, r->uidnext);
	if (e == OK && m->dead && m->messages == 0 && m->ngrows == 0 &&
	    r->modseq == UINT64_MAX) {
		struct key k = key_mbox('M', m);
		struct key x =
		    key_expire(r->time_s, m->account, m->id, UINT64_MAX);

		e = mbox_rows_del(m);
		index_del(m->st, &k);
		index_del(m->st, &x);
		m->freed = true;
		m->st->stat_mailboxes -= m->st->stat_mailboxes > 0;
		m->st->totals_dirty = true;
	}
	version_unref(&m->version);
	pthread_mutex_unlock(&m->mu);
	mbox_dirty(m);
	mbox_unpin(m);
unref:
	mbox_unref(&m);
	return e;
}

/* ---- snapshots ---- */

static enum err
wipe(struct mbox *m)
{
	struct ranges all = {0};
	struct gone *gone = x_array(m->messages + 1u, sizeof(*gone));
	uint32_t n = 0;
	enum err e;

	ranges_add(&all, 1, UINT32_MAX);
	e = expire_gone(m, UINT64_MAX);
	if (e == OK)
		e = entries_take(m, &all, gone, &n);
	for (uint32_t i = 0; i < n; i++) {
		uidl_put(m, gone[i].uid, STR_NONE);
		more_put(m, gone[i].uid, NULL, 0);
	}
	m->st->stat_entries -= MIN(m->st->stat_entries, (uint64_t)n);
	if (e == OK)
		e = mbox_rows_del(m);
	for (size_t i = 0; i < m->nhist; i++)
		buf_free(&m->hist[i].b);
	m->nhist = 0;
	x_free(&gone);
	ranges_free(&all);
	return e;
}

static enum err
snapshot_begin(struct apply *a, const struct record *r)
{
	struct mbox *m;
	struct record names = *r;
	enum err e = mbox_get(a->st, r->account, r->mailbox, &m);

	if (e == ERR_NOTFOUND) {
		m = mbox_new(a->st, r->account, r->mailbox);
		a->st->stat_mailboxes++;
		e = OK;
	}
	if (e != OK)
		return e;
	if ((e = mbox_pin(m, CONTENT_FULL)) == OK) {
		pthread_mutex_lock(&m->mu);
		e = wipe(m);
		if (e == OK)
			e = mbox_keywords(m);
		for (uint32_t i = 0; e == OK && i < m->nkeywords; i++)
			x_free_str(&m->keywords[i]);
		if (e == OK) {
			map_free(&m->kw);
			m->kw = map_new();
			m->nkeywords = 0;
		}
		m->dead = r->attrs != 0;
		m->node = r->node;
		m->uidvalidity = r->uidvalidity;
		m->recent_from = r->recent_from;
		m->uidnext = 1; /* the entries raise it */
		m->messages = m->unseen = m->deleted = m->recent = 0;
		m->size = m->deleted_size = 0;
		m->last_expunge = 0;
		atomic_store(&m->modseq, r->modseq);
		pthread_mutex_unlock(&m->mu);
		mbox_dirty(m);
		names.type = REC_KEYWORDS;
		if (e == OK && r->nnames > 0)
			e = apply_keywords(a, &names);
		mbox_unpin(m);
	}
	if (m->dead) {
		struct key x =
		    key_expire(r->time_s, m->account, m->id, UINT64_MAX);

		index_put(a->st, &x, S("\1"));
	}
	mbox_unref(&m);
	return e;
}

static void
snapshot_gone(struct mbox *m, const struct record *r)
{
	struct gone *v = x_array(r->nentries + 1, sizeof(*v));

	for (size_t i = 0; i < r->nentries; i++) {
		const struct rec_entry *x = &r->entries[i];

		v[i] = (struct gone){x->uid, x->flags, x->f};
		if (x->nmore > 0)
			more_put(m, x->uid, x->more, x->nmore);
		if (x->uidl.n > 0)
			uidl_put(m, x->uid, x->uidl);
	}
	gone_put(m, v, (uint32_t)r->nentries, r->entries[0].modseq, r->time_s);
	x_free(&v);
}

static void
snapshot_history(struct mbox *m, const struct record *r)
{
	struct hist_page p = {.first = r->modseq,
	    .part = r->first,
	    .last = m->last_expunge,
	    .dirty = true};

	buf_str_add(&p.b, r->page);
	m->hist = x_grow(m->hist, m->nhist + 1, sizeof(*m->hist));
	m->hist[m->nhist++] = p;
}

static enum err
snapshot_part(struct apply *a, const struct record *r, struct mbox *m)
{
	enum err e = OK;

	switch (r->part) {
	case SNAP_ENTRIES:
		for (size_t i = 0; i < r->nentries && e == OK; i++)
			e = entry_add(
			    a, m, &r->entries[i], r->entries[i].modseq);
		break;
	case SNAP_GONE:
		if (r->nentries > 0)
			snapshot_gone(m, r);
		break;
	case SNAP_HISTORY:
		snapshot_history(m, r);
		break;
	case SNAP_END:
		m->uidnext = MAX(m->uidnext, r->uidnext);
		m->last_expunge = r->modseq;
		m->recent = r->recent_from;
		break;
	default:
		break;
	}
	return e;
}

static enum err
table_del(struct store *st, uint64_t account, char table)
{
	struct doomed d = {st, key_of(table, account)};

	return index_scan(st, &d.prefix, STR_NONE, each_doomed, &d);
}

/* The account's row. With SNAP_ACCOUNT the tree is forgotten, and follows in
 * MAILBOX and SUBSCRIBE records; all that was known of it is in LMDB, for the
 * replay flushes before such a group. */
static enum err
snapshot_account(struct apply *a, const struct record *r)
{
	struct account *ac;
	enum err e = account_get(a->st, r->account, &ac);

	if (e != OK)
		return e;
	a->st->stat_accounts += r->on && !ac->there ? 1u : 0u;
	a->st->stat_accounts -= !r->on && ac->there ? 1u : 0u;
	ac->there = r->on;
	x_free_str(&ac->name);
	ac->name = x_dup(r->name);
	ac->next_mailbox = MAX(ac->next_mailbox, r->next_mailbox);
	ac->next_message = MAX(ac->next_message, r->next_message);
	ac->uidvalidity = MAX(ac->uidvalidity, r->uidvalidity);
	if (r->part == SNAP_ACCOUNT) {
		e = table_del(a->st, r->account, 'D');
		if (e == OK)
			e = table_del(a->st, r->account, 'N');
		if (e == OK)
			e = table_del(a->st, r->account, 'Z');
		ac->nodes = ac->subscriptions = 0;
	}
	account_dirty(ac);
	account_unref(&ac);
	return e;
}

/* A mailbox that no level of the tree holds any more: what told of its end
 * is gone with it. */
enum err
mbox_forget(struct store *st, uint64_t account, uint32_t id)
{
	struct key k;
	struct mbox *m;
	enum err e = mbox_get(st, account, id, &m);

	if (e != OK)
		return e;
	if ((e = mbox_pin(m, CONTENT_FULL)) == OK) {
		pthread_mutex_lock(&m->mu);
		e = wipe(m);
		m->dead = m->freed = true;
		k = key_mbox('M', m);
		index_del(st, &k);
		pthread_mutex_unlock(&m->mu);
		mbox_dirty(m);
		mbox_unpin(m);
	}
	mbox_unref(&m);
	return e;
}

enum err
apply_snapshot(struct apply *a, const struct record *r)
{
	struct mbox *m;
	enum err e;

	if (!a->st->rebuilding)
		return OK; /* (1) */
	if (r->part == SNAP_ACCOUNT || r->part == SNAP_NUMBERS)
		return snapshot_account(a, r);
	if (r->part == SNAP_BEGIN)
		return snapshot_begin(a, r);
	if ((e = apply_mbox(a, r->account, r->mailbox, &m)) != OK)
		return e;
	if ((e = mbox_pin(m, CONTENT_FULL)) == OK) {
		pthread_mutex_lock(&m->mu);
		e = snapshot_part(a, r, m);
		version_unref(&m->version);
		pthread_mutex_unlock(&m->mu);
		mbox_dirty(m);
		mbox_unpin(m);
	}
	mbox_unref(&m);
	return e;
}
