/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * STORE and EXPUNGE.
 *
 * (1) Work over many messages is cut into slices of SLICE, each a change of
 *     its own: the unit is the message.
 * (2) Two changes of a group never touch the same message: the second waits,
 *     and sees what the first did.
 */
#include "store/view.h"
#include "store/copy.h"

enum { SLICE = 4096 };

/* Do they have a number in common? */
static bool
meet(const struct ranges *a, const struct ranges *b)
{
	size_t i = 0;
	size_t j = 0;

	while (i < a->n && j < b->n) {
		if (a->v[i].hi < b->v[j].lo)
			i++;
		else if (b->v[j].hi < a->v[i].lo)
			j++;
		else
			return true;
	}
	return false;
}

bool
change_clash(struct plan *p, struct mbox *m, const struct ranges *uids)
{
	plan_mbox(p, m);
	return m->plan_alone || meet(&m->plan_uids, uids);
}

/* The next slice of uids from *at on: at most SLICE live numbers. */
bool
change_slice(const struct ranges *uids, uint64_t *at, struct ranges *out)
{
	uint32_t left = SLICE;
	uint32_t x;

	ranges_reset(out);
	while (left > 0 && *at <= UINT32_MAX &&
	       ranges_next(uids, (uint32_t)*at, &x)) {
		uint32_t y = x;

		/* As far as the range goes. */
		while (left > 0) {
			left--;
			if (left == 0 || y == UINT32_MAX ||
			    !ranges_has(uids, y + 1))
				break;
			y++;
		}
		ranges_add(out, x, y);
		*at = (uint64_t)y + 1;
	}
	return out->n > 0;
}

/* ---- STORE ---- */

struct flags_change {
	struct change c;
	struct view *v;
	const struct flag_change *in;
	const struct ranges *uids;
	struct ranges modified, gone;
	struct words set;
	uint64_t modseq; /* 0: nothing changed */
	struct prior *prior;
	size_t nprior;
	/* being planned */
	struct rec_word *words;
	size_t nwords, cap;
};

static struct rec_word *
word_group(struct flags_change *x, struct arena *a, const struct rec_word *w)
{
	for (size_t i = x->nwords; i > 0; i--) {
		struct rec_word *y = &x->words[i - 1];

		if (y->flags == w->flags && y->nmore == w->nmore &&
		    (w->nmore == 0 || memcmp(y->more, w->more,
					  w->nmore * sizeof(w->more[0])) == 0))
			return y;
	}
	if (!ARENA_PUSH(a, x->words, x->nwords, x->cap))
		return NULL;
	x->words[x->nwords] = *w;
	return &x->words[x->nwords++];
}

static enum err
flags_one(
    struct flags_change *x, struct plan *p, const struct chunk *c, uint32_t i)
{
	struct mbox *m = x->v->m;
	uint32_t uid = c->u->uid[i];
	struct more *more = NULL;
	struct rec_word w;
	struct rec_word *g;

	if (c->modseq[i] > x->in->unchangedsince) {
		ranges_add(&x->modified, uid, uid);
		return OK;
	}
	if (c->flags[i] & FLAG_MORE)
		more = map_get_u64(m->more, uid);
	words_apply(p->arena, x->in->op, &x->set, c->flags[i], more, &w);
	if (w.flags == c->flags[i] && w.nmore == (more ? more->n : 0) &&
	    (w.nmore == 0 ||
		memcmp(w.more, more->v, w.nmore * sizeof(w.more[0])) == 0))
		return OK;
	g = word_group(x, p->arena, &w);
	if (g == NULL)
		return ERR_LIMIT;
	ranges_add(&g->uids, uid, uid);
	x->prior[x->nprior++] = (struct prior){uid, c->modseq[i]};
	return OK;
}

static enum err
flags_all(struct flags_change *x, struct plan *p)
{
	struct mbox *m = x->v->m;
	enum err e = OK;

	for (size_t k = 0; k < x->uids->n; k++) {
		uint64_t want = x->uids->v[k].lo;
		size_t ci, i;

		if (mbox_seek(m, (uint32_t)want, &ci, &i)) {
			for (; ci < m->nc && e == OK; ci++, i = 0) {
				const struct chunk *c = m->c[ci];

				for (; i < c->u->n && e == OK; i++) {
					uint32_t uid = c->u->uid[i];

					if (uid > x->uids->v[k].hi)
						goto next;
					if (uid > want)
						ranges_add(&x->gone,
						    (uint32_t)want, uid - 1);
					e = flags_one(x, p, c, (uint32_t)i);
					want = uid + 1ull;
				}
			}
		}
	next:
		if (want <= x->uids->v[k].hi)
			ranges_add(&x->gone, (uint32_t)want, x->uids->v[k].hi);
	}
	return e;
}

static enum err
plan_flags(struct plan *p, struct change *c)
{
	struct flags_change *x = (struct flags_change *)c;
	struct mbox *m = x->v->m;
	struct record r = {
	    .type = REC_FLAGS, .account = m->account, .mailbox = m->id};
	struct new_words nw = {0};
	enum err e;

	if (m->dead)
		return ERR_NOTFOUND;
	if (change_clash(p, m, x->uids))
		return ERR_BUSY; /* (2) */
	ranges_reset(&x->modified);
	ranges_reset(&x->gone);
	x->nprior = x->nwords = x->cap = 0;
	x->words = NULL;
	x->modseq = 0;
	pthread_mutex_lock(&m->mu);
	e = words_plan(
	    m, p, &x->in->flags, x->in->op != FLAGS_DEL, &nw, &x->set);
	if (e == OK)
		e = flags_all(x, p);
	pthread_mutex_unlock(&m->mu);
	if (e == OK && x->nwords > 0) {
		words_add(p, m, &nw);
		r.modseq = x->modseq = ++m->plan_modseq;
		r.words = x->words;
		r.nwords = x->nwords;
		plan_add(p, &r);
		ranges_union(&m->plan_uids, x->uids);
	}
	for (size_t i = 0; i < x->nwords; i++)
		ranges_free(&x->words[i].uids);
	return e;
}

enum err
store_flags(struct view *v, const struct ranges *uids,
    const struct flag_change *in, struct ranges *modified, struct ranges *gone)
{
	/* \Deleted is the first half of an EXPUNGE, which frees: on a full
	 * disk an IMAP client could delete nothing without it (R99). */
	bool deletes = in->op != FLAGS_DEL &&
		       (in->flags.system & FLAG_DELETED) != 0 &&
		       in->flags.nkeywords == 0;
	struct flags_change x = {.c.plan = plan_flags,
	    .c.author = v,
	    .c.frees = deletes,
	    .v = v,
	    .in = in};
	struct ranges slice = {0};
	uint64_t at = 0;
	enum err e;

	if (v->readonly ||
	    !acct_may(v->a, 1u << GRANT_LOGIN | 1u << GRANT_ADMIN))
		return ERR_READONLY;
	if ((e = view_wake(v)) != OK)
		return e;
	x.prior = x_array(SLICE, sizeof(*x.prior));
	x.uids = &slice;
	while (e == OK && change_slice(uids, &at, &slice)) {
		e = commit(v->st, &x.c);
		if (e != OK)
			break;
		view_changed(v, x.modseq, in->silent, x.prior, x.nprior);
		if (modified != NULL)
			ranges_union(modified, &x.modified);
		if (gone != NULL)
			ranges_union(gone, &x.gone);
	}
	ranges_free(&slice);
	ranges_free(&x.modified);
	ranges_free(&x.gone);
	words_free(&x.set);
	x_free(&x.prior);
	return e;
}

/* ---- EXPUNGE ---- */

struct expunge {
	struct change c;
	struct view *v;
	const struct ranges *uids;
	bool any;
	struct ranges gone;
};

static enum err
plan_expunge(struct plan *p, struct change *c)
{
	struct expunge *x = (struct expunge *)c;
	struct mbox *m = x->v->m;
	struct record r = {.type = REC_EXPUNGE,
	    .account = m->account,
	    .mailbox = m->id,
	    .time_s = os_wall_ms() / 1000};

	if (m->dead)
		return ERR_NOTFOUND;
	if (change_clash(p, m, x->uids))
		return ERR_BUSY;
	ranges_reset(&x->gone);
	pthread_mutex_lock(&m->mu);
	for (size_t k = 0; k < x->uids->n; k++) {
		size_t ci, i;

		if (!mbox_seek(m, x->uids->v[k].lo, &ci, &i))
			continue;
		for (; ci < m->nc; ci++, i = 0) {
			const struct chunk *ch = m->c[ci];

			for (;
			     i < ch->u->n && ch->u->uid[i] <= x->uids->v[k].hi;
			     i++)
				if (x->any || (ch->flags[i] & FLAG_DELETED))
					ranges_add(&x->gone, ch->u->uid[i],
					    ch->u->uid[i]);
			if (i < ch->u->n)
				break;
		}
	}
	pthread_mutex_unlock(&m->mu);
	if (x->gone.n == 0)
		return OK;
	r.modseq = ++m->plan_modseq;
	r.uids = x->gone;
	plan_add(p, &r);
	ranges_union(&m->plan_uids, &x->gone);
	return OK;
}

/* The \Deleted ones of the view, so that slices are full of them. */
static void
deleted_uids(struct view *v, struct ranges *out)
{
	struct mbox *m = v->m;

	pthread_mutex_lock(&m->mu);
	for (size_t ci = 0; ci < m->nc && m->deleted > 0; ci++)
		for (uint32_t i = 0; i < m->c[ci]->u->n; i++)
			if ((m->c[ci]->flags[i] & FLAG_DELETED) &&
			    m->c[ci]->u->uid[i] < v->next_uid)
				ranges_add(out, m->c[ci]->u->uid[i],
				    m->c[ci]->u->uid[i]);
	pthread_mutex_unlock(&m->mu);
}

static void
all_uids(struct view *v, struct ranges *out)
{
	const struct version *ver = v->ver;

	for (uint32_t c = 0; c < ver->nchunks; c++)
		for (uint32_t i = 0; i < ver->u[c]->n; i++)
			ranges_add(out, ver->u[c]->uid[i], ver->u[c]->uid[i]);
}

enum err
store_expunge(
    struct view *v, const struct ranges *uids, bool any, struct ranges *gone)
{
	struct expunge x = {.c.plan = plan_expunge,
	    .c.author = v,
	    .c.frees = true,
	    .v = v,
	    .any = any};
	struct ranges all = {0};
	struct ranges slice = {0};
	uint64_t at = 0;
	enum err e;

	if (v->readonly ||
	    !acct_may(v->a, 1u << GRANT_LOGIN | 1u << GRANT_ADMIN))
		return ERR_READONLY;
	if ((e = view_wake(v)) != OK)
		return e;
	if (any)
		all_uids(v, &all);
	else
		deleted_uids(v, &all);
	if (uids != NULL)
		ranges_intersect(&all, uids);
	x.uids = &slice;
	while (e == OK && change_slice(&all, &at, &slice)) {
		e = commit(v->st, &x.c);
		if (e == OK && gone != NULL)
			ranges_union(gone, &x.gone);
	}
	ranges_free(&all);
	ranges_free(&slice);
	ranges_free(&x.gone);
	return e;
}
