/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Freeing what was expunged, in the background.
 *
 * (1) Table E has what waits, oldest first; one change frees the gone of one
 *     mailbox up to a modseq, or SLICE entries of a deleted one.
 * (2) Nothing is freed that a view still has: its told_expunge is below.
 */
#include "store/view.h"

enum { LOOKED_AT = 1024, AT_ONCE = 64, SLICE = 2000 };

struct waiting {
	int64_t time_s;
	uint64_t account;
	uint32_t mailbox;
	uint64_t modseq;
};

struct due {
	struct waiting v[LOOKED_AT];
	size_t n;
	int64_t before_s;
	bool more;
};

static bool
each_due(void *ctx, str key, str row)
{
	struct due *d = ctx;
	struct dec k = dec_of(key);
	struct waiting w;

	w.time_s = (int64_t)dec_be64(&k);
	w.account = dec_be64(&k);
	w.mailbox = dec_be32(&k);
	w.modseq = dec_be64(&k);
	if (!dec_end(&k) || w.time_s > d->before_s)
		return false;
	if (d->n == LOOKED_AT) {
		d->more = true;
		return false;
	}
	d->v[d->n++] = w;
	return true;
}

struct expire {
	struct change c;
	struct mbox *m;
	struct waiting w;
};

/* (2); mu held. */
static bool
is_seen(const struct mbox *m, uint64_t modseq)
{
	for (const struct view *v = m->views; v != NULL; v = v->next)
		if (v->told_expunge < modseq || m->dead)
			return true;
	return false;
}

static enum err
plan_expire(struct plan *p, struct change *c)
{
	struct expire *x = (struct expire *)c;
	struct mbox *m = x->m;
	struct record r = {.type = REC_EXPIRE,
	    .account = m->account,
	    .mailbox = m->id,
	    .modseq = x->w.modseq,
	    .time_s = x->w.time_s};
	bool seen;

	plan_mbox(p, m);
	if (m->plan_alone || m->plan_uids.n > 0)
		return ERR_BUSY;
	pthread_mutex_lock(&m->mu);
	seen = is_seen(m, x->w.modseq) || m->freed;
	if (x->w.modseq == UINT64_MAX && !m->dead)
		seen = true;
	/* A deleted mailbox goes in slices, from its first UIDs on. */
	if (!seen && m->dead) {
		uint32_t left = SLICE;

		r.uidnext = UINT32_MAX;
		for (size_t ci = 0; ci < m->nc; ci++) {
			const struct uids *u = m->c[ci]->u;

			if (left < u->n) {
				r.uidnext = u->uid[0] - 1;
				break;
			}
			left -= u->n;
		}
	}
	pthread_mutex_unlock(&m->mu);
	if (seen)
		return OK;
	m->plan_alone = true;
	plan_add(p, &r);
	return OK;
}

/* What is left when the mailbox is gone: nothing else names it. */
static void
expire_row(struct store *st, const struct waiting *w)
{
	struct key k = key_expire(w->time_s, w->account, w->mailbox, w->modseq);

	pthread_mutex_lock(&st->apply_mu);
	index_del(st, &k);
	pthread_mutex_unlock(&st->apply_mu);
}

static enum err
expire_one(struct store *st, const struct waiting *w, bool *done)
{
	struct expire x = {.c.plan = plan_expire,
	    .c.background = true,
	    .c.frees = true,
	    .w = *w};
	enum err e = mbox_get(st, w->account, w->mailbox, &x.m);

	*done = true;
	if (e == ERR_NOTFOUND) {
		expire_row(st, w);
		return OK;
	}
	if (e != OK)
		return e;
	pthread_mutex_lock(&x.m->mu);
	*done = !is_seen(x.m, w->modseq);
	pthread_mutex_unlock(&x.m->mu);
	if (*done && (e = mbox_pin(x.m, CONTENT_FULL)) == OK) {
		e = commit(st, &x.c);
		mbox_unpin(x.m);
	}
	mbox_unref(&x.m);
	return e;
}

enum err
store_expire(struct store *st, bool *more)
{
	struct key all = {.p = "E", .n = 1};
	struct due *d = x_alloc(sizeof(*d));
	size_t n = 0;
	size_t i;
	bool done;
	enum err e;

	d->before_s = os_wall_ms() / 1000 - (int64_t)limits.expunged_keep_s;
	e = index_flush(st); /* what is in memory only is not seen */
	if (e == OK)
		e = index_scan(st, &all, STR_NONE, each_due, d);
	for (i = 0; i < d->n && n < AT_ONCE && e == OK; i++) {
		e = expire_one(st, &d->v[i], &done);
		n += done;
	}
	/* The rows that are done must be out of the next look. */
	if (e == OK && n > 0)
		e = index_flush(st);
	*more = e == OK && n > 0 && (i < d->n || d->more || n == AT_ONCE);
	x_free(&d);
	return e;
}
