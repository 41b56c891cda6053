/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * What a session has to be told, and when (three clocks: expunges, EXISTS,
 * flags).
 *
 * (1) What EXPUNGE says is the difference of two versions; chunks that both
 *     share are skipped.
 * (2) A flag change is told when the entry's modseq is past the clock, unless
 *     the view's own silent change gave it that number; then only what others
 *     had changed before is owed.
 */
#include "store/view.h"

#include <stdlib.h>

/* ---- expunges ---- */

static bool
lives(const struct mbox *m, uint32_t uid)
{
	size_t ci, i;

	return mbox_find(m, uid, &ci, &i);
}

static bool
same_chunk(const struct mbox *m, const struct uids *u)
{
	size_t ci, i;

	return mbox_find(m, u->uid[0], &ci, &i) && m->c[ci]->u == u;
}

static bool
sync_expunge(struct view *v, struct arena *ar, struct changes *c)
{
	const struct version *ver = v->ver;
	size_t cap = 0;
	size_t k;

	for (uint32_t j = 0; j < ver->nchunks; j++) {
		if (same_chunk(v->m, ver->u[j]))
			continue;
		for (uint32_t i = 0; i < ver->u[j]->n; i++) {
			uint32_t uid = ver->u[j]->uid[i];

			if (lives(v->m, uid))
				continue;
			if (!ARENA_PUSH(ar, c->expunged, c->nexpunged, cap))
				return false;
			k = c->nexpunged++;
			/* Each number counts after the ones before it. */
			c->expunged[k] = ver->start[j] + i + 1 - (uint32_t)k;
			ranges_add(&c->vanished, uid, uid);
			if (v->recent.n > 0)
				ranges_del(&v->recent, uid, uid);
		}
	}
	return true;
}

/* ---- flags ---- */

bool
view_silent(const struct view *v, uint64_t modseq)
{
	size_t lo = 0;
	size_t hi = v->nsilent;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (v->silent[mid] < modseq)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < v->nsilent && v->silent[lo] == modseq;
}

static void
sync_flags(struct view *v, struct changes *c)
{
	const struct mbox *m = v->m;
	uint32_t uid;

	for (size_t ci = 0; ci < m->nc; ci++) {
		const struct chunk *k = m->c[ci];

		if (k->max_modseq <= v->told_flags)
			continue;
		for (uint32_t i = 0; i < k->u->n; i++) {
			uid = k->u->uid[i];
			if (uid >= v->next_uid)
				break;
			if (k->modseq[i] <= v->told_flags ||
			    view_silent(v, k->modseq[i])) /* (2) */
				continue;
			if (version_seq(v->ver, uid) != 0)
				ranges_add(&c->flags, uid, uid);
		}
	}
	for (uint32_t x = 0; ranges_next(&v->owed, x, &uid); x = uid + 1)
		if (lives(m, uid) && version_seq(v->ver, uid) != 0)
			ranges_add(&c->flags, uid, uid);
	ranges_reset(&v->owed);
	v->nsilent = 0;
}

void
view_changed(struct view *v, uint64_t modseq, bool silent,
    const struct prior *p, size_t n)
{
	if (!silent || modseq == 0)
		return;
	for (size_t i = 0; i < n; i++)
		if (p[i].modseq > v->told_flags && p[i].uid < v->next_uid &&
		    !view_silent(v, p[i].modseq))
			ranges_add(&v->owed, p[i].uid, p[i].uid);
	if ((v->nsilent & (v->nsilent - 1)) == 0)
		v->silent = x_grow(v->silent, MAX(v->nsilent * 2, (size_t)4),
		    sizeof(*v->silent));
	v->silent[v->nsilent++] = modseq;
	if (v->quiet + 1 != modseq)
		return;
	/* New keywords are told to their author too. */
	pthread_mutex_lock(&v->m->mu);
	if (v->nkeywords == v->m->nkeywords)
		v->quiet = modseq;
	pthread_mutex_unlock(&v->m->mu);
}

/* ---- the whole ---- */

static void
clocks(struct view *v, unsigned what, uint64_t now)
{
	if ((what & SYNC_EXPUNGE) || v->m->last_expunge <= v->told_expunge)
		v->told_expunge = now;
	if ((what & SYNC_EXISTS) || v->next_uid == v->m->uidnext)
		v->told_exists = now;
	if (what & SYNC_FLAGS)
		v->told_flags = now;
	v->quiet = MAX(
	    v->quiet, MIN(v->told_expunge, MIN(v->told_exists, v->told_flags)));
}

static enum err
sync(struct view *v, unsigned what, struct arena *ar, struct changes *c,
    uint32_t *recent)
{
	struct mbox *m = v->m;
	bool drop = (what & SYNC_EXPUNGE) && m->last_expunge > v->told_expunge;
	bool add = (what & SYNC_EXISTS) && m->uidnext > v->next_uid;
	struct version *next = v->ver;
	uint32_t before = v->exists;

	if (drop && !sync_expunge(v, ar, c))
		return ERR_LIMIT;
	if (what & SYNC_FLAGS)
		sync_flags(v, c);
	if (drop || add) {
		/* Nothing withheld on the other side: the current one. */
		bool clean = m->last_expunge <= v->told_expunge;
		bool none = m->uidnext == v->next_uid;

		next = version_next(
		    m, v->ver, v->next_uid, drop || clean, add || none);
		version_unref(&v->ver);
		v->ver = next;
	}
	if (add) {
		if (view_recent_more(v, v->next_uid))
			*recent = m->uidnext;
		v->next_uid = m->uidnext;
		c->exists_changed = next->n != before - (uint32_t)c->nexpunged;
	}
	v->exists = next->n;
	c->keywords_changed = v->nkeywords != m->nkeywords;
	v->nkeywords = m->nkeywords;
	clocks(v, what, atomic_load(&m->modseq));
	return OK;
}

enum err
view_sync(struct view *v, unsigned what, struct arena *ar, struct changes *c)
{
	uint32_t recent = 0;
	enum err e;

	*c = (struct changes){0};
	if (!view_dirty(v))
		return OK;
	if ((e = view_wake(v)) != OK)
		return e;
	pthread_mutex_lock(&v->m->mu);
	e = sync(v, what, ar, c, &recent);
	pthread_mutex_unlock(&v->m->mu);
	if (recent > 0)
		view_recent_note(v, recent);
	if (e != OK)
		changes_free(c);
	return e;
}

void
changes_free(struct changes *c)
{
	ranges_free(&c->vanished);
	ranges_free(&c->flags);
	c->nexpunged = 0;
}

bool
view_dirty(const struct view *v)
{
	return atomic_load(&v->m->modseq) > v->quiet || view_gone(v);
}
