/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Snapshots: what is known of a mailbox or an account, as records, so that
 * the records that told it before can go.
 *
 * (1) A snapshot is one group: it is there whole or not at all. It is planned
 *     when nothing else of its mailbox (or tree) is in the group.
 */
#include "store/compact.h"

#include <stdlib.h>

/* ---- mailboxes ---- */

struct snap {
	struct plan *p;
	struct mbox *m;
	struct record r; /* account, mailbox, time are set */
	enum err e;
};

static void
entry_extras(struct snap *s, struct rec_entry *y)
{
	struct mbox *m = s->m;
	struct more *more =
	    y->flags & FLAG_MORE ? map_get_u64(m->more, y->uid) : NULL;
	const char *uidl = map_get_u64(m->uidl, y->uid);

	if (more != NULL) {
		y->more = more->v;
		y->nmore = more->n;
	}
	if (uidl != NULL)
		y->uidl = str_c(uidl);
}

static void
snap_chunks(struct snap *s)
{
	struct rec_entry v[CHUNK_MAX];

	s->r.part = SNAP_ENTRIES;
	for (size_t ci = 0; ci < s->m->nc && s->e == OK; ci++) {
		struct chunk *c = s->m->c[ci];

		if ((s->e = chunk_facts(s->m, c)) != OK)
			return;
		for (uint32_t i = 0; i < c->u->n; i++) {
			v[i] = (struct rec_entry){.uid = c->u->uid[i],
			    .modseq = c->modseq[i],
			    .flags = c->flags[i],
			    .f = c->facts[i]};
			entry_extras(s, &v[i]);
		}
		s->r.entries = v;
		s->r.nentries = c->u->n;
		plan_add(s->p, &s->r);
		s->r.entries = NULL;
		s->r.nentries = 0;
	}
}

static void
snap_gone(struct snap *s)
{
	int64_t now = s->r.time_s;

	s->r.part = SNAP_GONE;
	for (size_t i = 0; i < s->m->ngrows; i++) {
		const struct gone_row *g = &s->m->grows[i];
		struct rec_entry *v = x_array(g->n + 1u, sizeof(*v));

		for (uint32_t j = 0; j < g->n; j++) {
			v[j] = (struct rec_entry){.uid = g->v[j].uid,
			    .modseq = g->modseq,
			    .flags = g->v[j].flags,
			    .f = g->v[j].f};
			entry_extras(s, &v[j]);
		}
		s->r.time_s = g->time_s;
		s->r.entries = v;
		s->r.nentries = g->n;
		s->r.first = g->part;
		plan_add(s->p, &s->r);
		x_free(&v);
	}
	s->r.time_s = now;
	s->r.nentries = 0;
}

static bool
each_page(void *ctx, str key, str row)
{
	struct snap *s = ctx;
	struct dec d = dec_of(key);
	const struct hist_page *first = s->m->nhist > 0 ? &s->m->hist[0] : NULL;

	s->r.modseq = dec_be64(&d);
	s->r.first = dec_be32(&d);
	if (first != NULL &&
	    (s->r.modseq > first->first ||
		(s->r.modseq == first->first && s->r.first >= first->part)))
		return false; /* from here on memory has it */
	s->r.page = row;
	plan_add(s->p, &s->r);
	return true;
}

static void
snap_history(struct snap *s)
{
	struct key k = key_mbox('H', s->m);

	s->r.part = SNAP_HISTORY;
	s->e = index_scan(s->m->st, &k, STR_NONE, each_page, s);
	for (size_t i = 0; i < s->m->nhist; i++) {
		s->r.modseq = s->m->hist[i].first;
		s->r.first = s->m->hist[i].part;
		s->r.page = buf_str(&s->m->hist[i].b);
		plan_add(s->p, &s->r);
	}
}

enum err
plan_snapshot(struct plan *p, struct change *c)
{
	struct snapshot_change *x = (struct snapshot_change *)c;
	struct mbox *m = x->m;
	struct snap s = {.p = p,
	    .m = m,
	    .r = {.type = REC_SNAPSHOT,
		.account = m->account,
		.mailbox = m->id,
		.time_s = os_wall_ms() / 1000}};

	if (m->freed)
		return OK;
	plan_mbox(p, m);
	if (m->plan_alone || m->plan_uids.n > 0 || m->plan_new_keywords > 0 ||
	    m->plan_modseq != atomic_load(&m->modseq))
		return ERR_BUSY; /* (1) */
	m->plan_alone = true;
	pthread_mutex_lock(&m->mu);
	if ((s.e = mbox_keywords(m)) == OK) {
		s.r.part = SNAP_BEGIN;
		s.r.modseq = atomic_load(&m->modseq);
		s.r.node = m->node;
		s.r.attrs = m->dead;
		s.r.uidvalidity = m->uidvalidity;
		s.r.recent_from = m->recent_from;
		s.r.names = m->keywords;
		s.r.nnames = m->nkeywords;
		plan_add(p, &s.r);
		snap_chunks(&s);
	}
	if (s.e == OK)
		snap_gone(&s);
	if (s.e == OK)
		snap_history(&s);
	s.r.part = SNAP_END;
	s.r.modseq = m->last_expunge;
	s.r.uidnext = m->uidnext;
	s.r.recent_from = m->recent;
	if (s.e == OK)
		plan_add(p, &s.r);
	pthread_mutex_unlock(&m->mu);
	return s.e;
}

/* ---- accounts ---- */

struct level {
	struct node n;
	unsigned depth;
};

struct tree {
	struct arena *ar;
	struct level *v;
	size_t n, cap;
	struct map *by_id; /* index + 1 */
	str *names;
	size_t nnames, names_cap;
	bool bad;
};

static bool
each_level(void *ctx, str key, str row)
{
	struct tree *t = ctx;
	struct dec d = dec_of(key);
	struct level x = {.n.id = dec_be32(&d)};

	if (!dec_end(&d) || node_decode(row, &x.n) != OK ||
	    !ARENA_PUSH(t->ar, t->v, t->n, t->cap)) {
		t->bad = true;
		return false;
	}
	x.n.name = arena_dup(t->ar, x.n.name);
	t->v[t->n++] = x;
	map_put_u64(t->by_id, x.n.id, (void *)(uintptr_t)t->n);
	return x.n.name.p != NULL;
}

static bool
each_name(void *ctx, str key, str row)
{
	struct tree *t = ctx;
	struct dec d = dec_of(row);

	dec_u8(&d);
	while (dec_left(&d) > 0) {
		str name = dec_str(&d);

		dec_var(&d);
		if (d.bad ||
		    !ARENA_PUSH(t->ar, t->names, t->nnames, t->names_cap)) {
			t->bad = true;
			return false;
		}
		t->names[t->nnames++] = arena_dup(t->ar, name);
	}
	return !d.bad;
}

static int
by_depth(const void *a, const void *b)
{
	const struct level *x = a;
	const struct level *y = b;

	return (x->depth > y->depth) - (x->depth < y->depth);
}

/* What is above comes first, so that it is there to count its children. */
static void
sort_levels(struct tree *t)
{
	for (size_t i = 0; i < t->n; i++) {
		uint32_t up = t->v[i].n.parent;

		while (up != 0 && t->v[i].depth <= t->n) {
			size_t at =
			    (size_t)(uintptr_t)map_get_u64(t->by_id, up);

			t->v[i].depth++;
			up = at == 0 ? 0 : t->v[at - 1].n.parent;
		}
	}
	if (t->n > 1)
		qsort(t->v, t->n, sizeof(*t->v), by_depth);
}

static enum err
plan_account_snapshot(struct plan *p, struct change *c)
{
	struct account_change *x = (struct account_change *)c;
	struct account *ac = x->ac;
	struct record r = {.type = REC_SNAPSHOT,
	    .account = ac->id,
	    .part = x->tree != NULL ? SNAP_ACCOUNT : SNAP_NUMBERS,
	    .on = ac->there,
	    .name = ac->name,
	    .uidvalidity = ac->uidvalidity,
	    .next_mailbox = ac->next_mailbox,
	    .next_message = ac->next_message,
	    .time_s = os_wall_ms() / 1000};
	struct tree *t = x->tree;

	plan_account(p, ac);
	if (ac->plan_names || ac->plan_message != ac->next_message)
		return ERR_BUSY; /* (1) */
	if (t != NULL && ac->tree_version != x->version)
		return ERR_EXISTS; /* it has changed: gather again */
	plan_add(p, &r);
	ac->plan_names = true;
	for (size_t i = 0; t != NULL && i < t->n; i++) {
		const struct node *n = &t->v[i].n;
		struct record q = {.type = REC_MAILBOX,
		    .op = MBOP_PUT,
		    .account = ac->id,
		    .mailbox = n->mailbox,
		    .node = n->id,
		    .parent = n->parent,
		    .attrs = n->attrs,
		    .uidvalidity = n->uidvalidity,
		    .name = n->name,
		    .time_s = r.time_s};

		plan_add(p, &q);
	}
	for (size_t i = 0; t != NULL && i < t->nnames; i++) {
		struct record q = {.type = REC_SUBSCRIBE,
		    .account = ac->id,
		    .on = true,
		    .name = t->names[i]};

		plan_add(p, &q);
	}
	return OK;
}

enum err
snapshot_account_now(struct store *st, uint64_t account, bool with_tree)
{
	struct account_change x = {.c.plan = plan_account_snapshot,
	    .c.background = true,
	    .c.frees = true};
	struct key d = key_of('D', account);
	struct key z = key_of('Z', account);
	enum err e = account_get(st, account, &x.ac);

	if (e != OK)
		return e;
	for (int i = 0; i < 20; i++) {
		struct tree t = {
		    .ar = arena_new(1ull << 33), .by_id = map_new()};

		if (with_tree) {
			pthread_mutex_lock(&st->apply_mu);
			x.version = x.ac->tree_version;
			pthread_mutex_unlock(&st->apply_mu);
			x.tree = &t;
			e = index_flush(st);
			if (e == OK)
				e = index_scan(
				    st, &d, STR_NONE, each_level, &t);
			if (e == OK)
				e = index_scan(st, &z, STR_NONE, each_name, &t);
			if (e == OK && t.bad)
				e = ERR_CORRUPT;
			sort_levels(&t);
		}
		if (e == OK)
			e = commit(st, &x.c);
		map_free(&t.by_id);
		arena_free(&t.ar);
		if (e != ERR_EXISTS)
			break;
		e = OK;
	}
	account_unref(&x.ac);
	return e;
}
