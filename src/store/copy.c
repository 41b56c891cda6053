/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * COPY and MOVE: entries only; no byte of a message is touched.
 *
 * (1) A copy takes also what was expunged meanwhile, as long as it can be
 *     read: so it is all or nothing without a surprise. A move takes what is
 *     still there.
 * (2) A move of many is cut into slices; in each a message appears and
 *     disappears in one record.
 */
#include "store/view.h"
#include "store/copy.h"

/* ---- keywords from one mailbox to another ---- */

struct translation {
	struct mbox *from, *to;
};

static enum err
translate_one(struct translation *t, struct plan *p, struct new_words *nw,
    size_t index, struct words *out)
{
	struct flag_set one = {
	    .keywords = &t->from->keywords[index], .nkeywords = 1};
	struct words w = {0};
	enum err e = words_plan(t->to, p, &one, true, nw, &w);

	if (e == OK) {
		out->flags |= w.flags;
		if (w.nmore > 0) {
			out->more = x_grow(
			    out->more, out->nmore + 1, sizeof(*out->more));
			out->more[out->nmore++] = w.more[0];
		}
	}
	words_free(&w);
	return e;
}

static enum err
translate(struct translation *t, struct plan *p, struct new_words *nw,
    uint64_t flags, const struct more *more, struct words *out)
{
	enum err e = OK;

	out->flags = flags & FLAG_SYSTEM;
	for (size_t i = 0; i < KEYWORDS_IN_WORD && e == OK; i++)
		if ((flags & KEYWORD_BIT(i)) && i < t->from->nkeywords)
			e = translate_one(t, p, nw, i, out);
	for (size_t i = 0; more != NULL && i < more->n && e == OK; i++)
		if (more->v[i] < t->from->nkeywords)
			e = translate_one(t, p, nw, more->v[i], out);
	return e;
}

/* ---- gathering ---- */

static bool
take_entry(struct copy *x, struct plan *p, uint32_t uid, size_t n)
{
	struct mbox *m = x->from;
	struct rec_entry *y = &x->entries[n];
	struct more *more = NULL;
	struct gone *g;
	size_t ci, i;

	if (mbox_find(m, uid, &ci, &i)) {
		if (chunk_facts(m, m->c[ci]) != OK)
			return false;
		*y = (struct rec_entry){.uid = uid,
		    .flags = m->c[ci]->flags[i],
		    .f = m->c[ci]->facts[i]};
	} else if (!x->move && (g = map_get_u64(m->gone, uid)) != NULL) {
		*y = (struct rec_entry){
		    .uid = uid, .flags = g->flags, .f = g->f}; /* (1) */
	} else {
		return false;
	}
	if ((y->flags & FLAG_MORE) &&
	    (more = map_get_u64(m->more, uid)) != NULL) {
		uint16_t *v =
		    arena_array(p->arena, more->n, sizeof(more->v[0]));

		memcpy(v, more->v, more->n * sizeof(more->v[0]));
		y->more = v;
		y->nmore = more->n;
	}
	return true;
}

static enum err
gather(struct copy *x, struct plan *p)
{
	enum err e;

	x->n = 0;
	pthread_mutex_lock(&x->from->mu);
	e = mbox_keywords(x->from);
	for (size_t k = 0; e == OK && k < x->uids->n; k++) {
		for (uint64_t uid = x->uids->v[k].lo; uid <= x->uids->v[k].hi;
		     uid++) {
			if (x->n == x->room)
				break;
			if (take_entry(x, p, (uint32_t)uid, x->n))
				x->n++;
		}
	}
	pthread_mutex_unlock(&x->from->mu);
	return e;
}

/* The words of the target. Names of the source's keywords stay where they
 * are while apply_mu is held. */
static enum err
reword(struct copy *x, struct plan *p, struct new_words *nw)
{
	struct translation t = {x->from, x->to};
	enum err e = OK;

	pthread_mutex_lock(&x->to->mu);
	for (size_t i = 0; i < x->n && e == OK; i++) {
		struct rec_entry *y = &x->entries[i];
		struct words w = {0};
		struct more *more = NULL;
		uint16_t *v = NULL;
		uint64_t in;

		if (y->flags >> 6 == 0)
			continue;
		/* Most have the same word as one before. */
		if (y->nmore == 0 && x->last_in == y->flags) {
			y->flags = x->last_out;
			continue;
		}
		in = y->nmore == 0 ? y->flags : 0;
		if (y->nmore > 0) {
			more = arena_alloc(p->arena,
			    sizeof(*more) + y->nmore * sizeof(more->v[0]));
			more->n = y->nmore;
			memcpy(more->v, y->more, y->nmore * sizeof(more->v[0]));
		}
		e = translate(&t, p, nw, y->flags, more, &w);
		if (w.nmore > 0) {
			v = arena_array(p->arena, w.nmore, sizeof(*v));
			memcpy(v, w.more, w.nmore * sizeof(*v));
			copy_sort(v, w.nmore);
		}
		y->flags = w.flags;
		y->more = v;
		y->nmore = w.nmore;
		x->last_in = w.nmore == 0 ? in : 0;
		x->last_out = w.flags;
		words_free(&w);
	}
	pthread_mutex_unlock(&x->to->mu);
	return e;
}

/* ---- the plan ---- */

enum err
plan_copy(struct plan *p, struct change *c)
{
	struct copy *x = (struct copy *)c;
	struct record r = {.type = x->move ? REC_MOVE : REC_COPY,
	    .account = x->to->account,
	    .mailbox = x->to->id,
	    .time_s = os_wall_ms() / 1000};
	struct new_words nw = {0};
	struct ranges left = {0};
	enum err e;

	if (x->from->dead || x->to->dead)
		return ERR_NOTFOUND;
	if (change_clash(p, x->from, x->uids))
		return ERR_BUSY;
	plan_mbox(p, x->to);
	if (x->to->plan_alone)
		return ERR_BUSY;
	x->last_in = 0;
	if ((e = gather(x, p)) != OK)
		return e;
	if (x->n == 0)
		return OK;
	if ((uint64_t)x->to->plan_uidnext + x->n >= UINT32_MAX)
		return ERR_LIMIT;
	if (x->from != x->to && (e = reword(x, p, &nw)) != OK)
		return e;
	words_add(p, x->to, &nw);
	for (size_t i = 0; i < x->n; i++) {
		struct rec_entry *y = &x->entries[i];

		x->from_uids[i] = y->uid;
		ranges_add(&left, y->uid, y->uid);
		x->to_uids[i] = y->uid = x->to->plan_uidnext++;
		y->f.savedate = r.time_s;
	}
	r.modseq = ++x->to->plan_modseq;
	r.entries = x->entries;
	r.nentries = x->n;
	if (x->move) {
		r.from_mailbox = x->from->id;
		r.from_modseq = ++x->from->plan_modseq;
		r.uids = left;
	}
	plan_add(p, &r);
	if (x->move)
		ranges_union(&x->from->plan_uids, &left);
	ranges_free(&left);
	return OK;
}

/* ---- the call ---- */

static enum err
copy_run(struct view *v, struct copy *x, const struct ranges *uids, size_t room,
    size_t *done)
{
	uint64_t at = 0;
	enum err e = OK;

	*done = 0;
	if (!x->move) {
		x->uids = uids;
		x->room = room;
		e = commit(v->st, &x->c);
		*done = e == OK ? x->n : 0;
		return e;
	}
	x->uids = &x->slice;
	while (e == OK && change_slice(uids, &at, &x->slice)) {
		x->room = room - *done;
		e = commit(v->st, &x->c);
		if (e != OK)
			break;
		*done += x->n;
		x->from_uids += x->n;
		x->to_uids += x->n;
	}
	ranges_free(&x->slice);
	return e;
}

enum err
store_copy(struct view *v, const struct ranges *uids, uint32_t mailbox,
    bool move, struct arena *ar, uint32_t *uidvalidity, uint32_t **from,
    uint32_t **to, size_t *n)
{
	struct copy x = {
	    .c.plan = plan_copy, .c.author = v, .from = v->m, .move = move};
	struct ranges real = {0};
	size_t room;
	enum err e;

	*n = 0;
	if (!acct_may(v->a, 1u << GRANT_LOGIN | 1u << GRANT_ADMIN))
		return ERR_DENIED;
	if (move && v->readonly)
		return ERR_READONLY;
	if ((e = view_wake(v)) != OK)
		return e;
	if ((e = mbox_get(v->st, v->m->account, mailbox, &x.to)) != OK)
		return e;
	view_resolve(v, uids, true, &real);
	room = (size_t)ranges_count(&real);
	*from = arena_array(ar, room + 1, sizeof(**from));
	*to = arena_array(ar, room + 1, sizeof(**to));
	if (*from == NULL || *to == NULL)
		e = ERR_LIMIT;
	x.entries = x_array(room + 1, sizeof(*x.entries));
	x.from_uids = *from;
	x.to_uids = *to;
	if (e == OK && (e = mbox_pin(x.to, CONTENT_TAIL)) == OK) {
		*uidvalidity = x.to->uidvalidity;
		e = copy_run(v, &x, &real, room, n);
		mbox_unpin(x.to);
	}
	/* What is durable is told, even if a later slice failed. */
	if (move && *n > 0)
		e = OK;
	x_free(&x.entries);
	ranges_free(&real);
	mbox_unref(&x.to);
	return e;
}
