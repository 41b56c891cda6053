/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Versions: immutable lists of UIDs, which views hold, made of the UID lists
 * of chunks and sharing them.
 *
 * (1) Every list in a version holds at least one UID, and all ascend.
 */
#include "store/mailbox.h"

static struct version *
version_new(size_t chunks)
{
	struct version *v = x_alloc(sizeof(*v));

	atomic_init(&v->refs, 1);
	v->u = x_array(chunks + 1, sizeof(struct uids *));
	v->start = x_array(chunks + 1, sizeof(uint32_t));
	return v;
}

static void
take(struct version *v, struct uids *u)
{
	atomic_fetch_add_explicit(&u->refs, 1, memory_order_relaxed);
	v->start[v->nchunks] = v->n;
	v->u[v->nchunks++] = u;
	v->n += u->n;
}

void
version_unref(struct version **vp)
{
	struct version *v = *vp;

	*vp = NULL;
	if (v == NULL ||
	    atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (uint32_t i = 0; i < v->nchunks; i++)
		uids_unref(&v->u[i]);
	x_free(&v->u);
	x_free(&v->start);
	x_free(&v);
}

static struct version *
version_ref(struct version *v)
{
	atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
	return v;
}

struct version *
version_current(struct mbox *m)
{
	if (m->version == NULL) {
		m->version = version_new(m->nc);
		for (size_t i = 0; i < m->nc; i++)
			take(m->version, m->c[i]->u);
	}
	return version_ref(m->version);
}

/* Index of the chunk with place i, and the place in it. */
static uint32_t
chunk_at(const struct version *v, uint32_t i)
{
	uint32_t lo = 0;
	uint32_t hi = v->nchunks;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (v->start[mid] <= i)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo - 1;
}

uint32_t
version_uid(const struct version *v, uint32_t seq)
{
	uint32_t c;

	if (seq == 0 || seq > v->n)
		return 0;
	c = chunk_at(v, seq - 1);
	return v->u[c]->uid[seq - 1 - v->start[c]];
}

uint32_t
version_seq(const struct version *v, uint32_t uid)
{
	uint32_t lo = 0;
	uint32_t hi = v->nchunks;
	const struct uids *u;
	uint32_t c;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (v->u[mid]->uid[0] <= uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == 0)
		return 0;
	c = lo - 1;
	u = v->u[c];
	lo = 0;
	hi = u->n;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (u->uid[mid] < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < u->n && u->uid[lo] == uid ? v->start[c] + lo + 1 : 0;
}

/* ---- making others ---- */

struct maker {
	struct uids **u;
	size_t n, cap;
	struct uids *open; /* the one being filled */
};

static void
maker_push(struct maker *k, struct uids *u)
{
	if (k->n == k->cap) {
		k->cap = MAX((size_t)8, k->cap * 2);
		k->u = x_grow(k->u, k->cap, sizeof(struct uids *));
	}
	k->u[k->n++] = u;
}

static void
maker_close(struct maker *k)
{
	if (k->open != NULL)
		maker_push(k, k->open);
	k->open = NULL;
}

static void
maker_uid(struct maker *k, uint32_t uid)
{
	if (k->open == NULL)
		k->open = uids_new();
	k->open->uid[k->open->n++] = uid;
	if (k->open->n == CHUNK_MAX)
		maker_close(k);
}

static void
maker_share(struct maker *k, struct uids *u)
{
	maker_close(k);
	atomic_fetch_add_explicit(&u->refs, 1, memory_order_relaxed);
	maker_push(k, u);
}

static struct version *
maker_done(struct maker *k)
{
	struct version *v;

	maker_close(k);
	v = version_new(k->n);
	for (size_t i = 0; i < k->n; i++) {
		take(v, k->u[i]);
		uids_unref(&k->u[i]);
	}
	x_free(&k->u);
	return v;
}

static bool
is_live(const struct mbox *m, uint32_t uid)
{
	size_t ci, i;

	return mbox_find(m, uid, &ci, &i);
}

/* True when the list is one of the mailbox's own, so that all of it lives. */
static bool
is_shared(const struct mbox *m, const struct uids *u)
{
	size_t ci, i;

	return mbox_find(m, u->uid[0], &ci, &i) && m->c[ci]->u == u;
}

struct version *
version_next(struct mbox *m, const struct version *old, uint32_t old_next,
    bool drop, bool add)
{
	struct maker k = {0};
	size_t ci, i;

	if (drop && add)
		return version_current(m);
	for (uint32_t c = 0; c < old->nchunks; c++) {
		struct uids *u = old->u[c];

		if (!drop || is_shared(m, u)) {
			maker_share(&k, u);
			continue;
		}
		for (uint32_t j = 0; j < u->n; j++)
			if (is_live(m, u->uid[j]))
				maker_uid(&k, u->uid[j]);
	}
	if (add && mbox_seek(m, old_next, &ci, &i)) {
		for (; ci < m->nc; ci++, i = 0) {
			struct uids *u = m->c[ci]->u;

			if (i == 0) {
				maker_share(&k, u);
				continue;
			}
			for (; i < u->n; i++)
				maker_uid(&k, u->uid[i]);
		}
	}
	return maker_done(&k);
}

/* The gone UIDs below limit that have not been put yet. */
struct gone_at {
	const struct ranges *r;
	size_t i;
	uint64_t uid; /* the next one is at least this */
};

static uint64_t
gone_next(const struct gone_at *g)
{
	return g->i < g->r->n ? MAX(g->uid, (uint64_t)g->r->v[g->i].lo)
			      : UINT64_MAX;
}

static void
put_gone(struct maker *k, struct gone_at *g, uint64_t limit)
{
	uint64_t uid;

	while ((uid = gone_next(g)) < limit) {
		maker_uid(k, (uint32_t)uid);
		g->uid = uid + 1;
		if (uid == g->r->v[g->i].hi)
			g->i++;
	}
}

enum err
version_wake(struct mbox *m, uint64_t modseq, uint32_t next, struct version **v)
{
	struct ranges gone = {0};
	struct gone_at g = {&gone, 0, 0};
	struct maker k = {0};
	enum err e;

	if (m->last_expunge <= modseq && m->uidnext == next) {
		*v = version_current(m);
		return OK;
	}
	if (m->last_expunge > modseq &&
	    (e = history_since(m, modseq, &gone)) != OK) {
		ranges_free(&gone);
		return e;
	}
	for (size_t ci = 0; ci < m->nc; ci++) {
		struct uids *u = m->c[ci]->u;

		if (u->uid[u->n - 1] < MIN((uint64_t)next, gone_next(&g))) {
			maker_share(&k, u);
			continue;
		}
		for (uint32_t i = 0; i < u->n && u->uid[i] < next; i++) {
			put_gone(&k, &g, u->uid[i]);
			maker_uid(&k, u->uid[i]);
		}
	}
	put_gone(&k, &g, next);
	ranges_free(&gone);
	*v = maker_done(&k);
	return OK;
}
