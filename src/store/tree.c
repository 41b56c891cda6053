/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Changes of the tree of mailboxes and of subscriptions; accounts that are
 * made and removed.
 *
 * (1) One such change of an account in a group. A mailbox that it makes,
 *     empties or deletes is its own in that group.
 * (2) The index is committed before the answer, so that lists, which read
 *     LMDB, show what was answered.
 * (3) UIDVALIDITY: the seconds of the clock, but always more than the last
 *     one given in the account, whatever the clock does (R104).
 */
#include "store/copy.h"
#include "store/names.h"

#include <stdlib.h>

enum tree_op {
	TREE_CREATE,
	TREE_DELETE,
	TREE_RENAME,
	TREE_SUBSCRIBE,
	TREE_UIDS,
	TREE_ACCOUNT,
	TREE_RESTORED,
	TREE_GONE
};

struct tree_change {
	struct change c;
	enum tree_op op;
	struct acct *a;
	str name, to;
	unsigned use;
	bool yes;
	uint32_t id; /* result, or the mailbox it is about */
	uint32_t uidvalidity, uidnext;
	struct mbox *inbox; /* RENAME INBOX: pinned */
	/* while planning */
	uint32_t next_mailbox, last_uidvalidity, nodes;
	int64_t now_s;
};

/* ---- pieces of plans ---- */

static uint32_t
new_uidvalidity(struct tree_change *x)
{
	uint64_t now = (uint64_t)MAX(x->now_s, (int64_t)1);
	uint64_t v = MAX(now, (uint64_t)x->last_uidvalidity + 1); /* (3) */

	if (v > UINT32_MAX)
		v = (uint64_t)x->last_uidvalidity + 1;
	x->last_uidvalidity = (uint32_t)v;
	return x->last_uidvalidity;
}

static void
add_node(struct plan *p, struct tree_change *x, const struct node *n)
{
	struct record r = {.type = REC_MAILBOX,
	    .account = x->a->ac->id,
	    .op = MBOP_PUT,
	    .mailbox = n->mailbox,
	    .node = n->id,
	    .parent = n->parent,
	    .attrs = n->attrs,
	    .uidvalidity = n->uidvalidity,
	    .name = n->name,
	    .time_s = x->now_s};

	plan_add(p, &r);
}

/* A mailbox for the node: its record, and the node's numbers. */
static void
add_content(struct plan *p, struct tree_change *x, struct node *n)
{
	struct record r = {.type = REC_MAILBOX,
	    .account = x->a->ac->id,
	    .op = MBOP_CONTENT,
	    .node = n->id,
	    .uidnext = 1,
	    .time_s = x->now_s};

	n->mailbox = x->next_mailbox++;
	n->uidvalidity = new_uidvalidity(x);
	r.mailbox = n->mailbox;
	r.uidvalidity = n->uidvalidity;
	plan_add(p, &r);
}

static enum err
kill_content(struct plan *p, struct tree_change *x, uint32_t id)
{
	struct record r = {.type = REC_MAILBOX,
	    .account = x->a->ac->id,
	    .op = MBOP_KILL,
	    .mailbox = id,
	    .time_s = x->now_s};
	struct mbox *m;
	enum err e = mbox_get(p->st, x->a->ac->id, id, &m);

	if (e != OK)
		return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
	plan_mbox(p, m);
	m->plan_alone = true;
	mbox_unref(&m);
	plan_add(p, &r);
	return OK;
}

/* Makes the levels of missing below deepest; the last one is *last. */
static enum err
make_levels(struct plan *p, struct tree_change *x, uint32_t deepest,
    str missing, unsigned use, struct node *last)
{
	str level;

	while (name_level(&missing, &level)) {
		if (++x->nodes > limits.mailboxes_max ||
		    x->next_mailbox >= UINT32_MAX - 2) {
			limit_hit(LIMIT_mailboxes_max, STR_NONE);
			return ERR_LIMIT;
		}
		*last = (struct node){.parent = deepest, .name = level};
		/* Node and mailbox have one number in the beginning. */
		last->id = x->next_mailbox;
		if (missing.n == 0)
			last->attrs = use & MB_SPECIAL_USE;
		add_content(p, x, last);
		add_node(p, x, last);
		deepest = last->id;
	}
	return OK;
}

static enum err
plan_create(struct plan *p, struct tree_change *x)
{
	uint32_t id, deepest;
	struct node n = {0};
	str missing;
	enum err e =
	    name_walk(p->st, x->a->ac->id, x->name, &id, &deepest, &missing);

	if (e == ERR_NOTFOUND) {
		e = make_levels(p, x, deepest, missing, x->use, &n);
		x->id = n.mailbox;
		return e;
	}
	if (e != OK || (e = node_get(p->st, x->a->ac->id, id, &n)) != OK)
		return e;
	if (n.mailbox != 0) {
		e = ERR_EXISTS;
	} else {
		n.attrs = x->use & MB_SPECIAL_USE;
		add_content(p, x, &n);
		add_node(p, x, &n);
		x->id = n.mailbox;
	}
	node_free(&n);
	return e;
}

static enum err
plan_delete(struct plan *p, struct tree_change *x)
{
	struct record r = {.type = REC_MAILBOX,
	    .account = x->a->ac->id,
	    .op = MBOP_REMOVE,
	    .time_s = x->now_s};
	uint32_t id, deepest;
	struct node n;
	str missing;
	uint32_t mailbox;
	enum err e =
	    name_walk(p->st, x->a->ac->id, x->name, &id, &deepest, &missing);

	if (e != OK || (e = node_get(p->st, x->a->ac->id, id, &n)) != OK)
		return e;
	mailbox = n.mailbox;
	if (n.children > 0 && mailbox == 0) {
		e = ERR_CANNOT;
	} else if (n.children > 0) {
		n.mailbox = 0;
		n.uidvalidity = 0;
		n.attrs = 0;
		add_node(p, x, &n);
	} else {
		r.node = id;
		r.parent = n.parent;
		plan_add(p, &r);
	}
	node_free(&n);
	if (e == OK && mailbox != 0)
		e = kill_content(p, x, mailbox);
	return e;
}

/* INBOX stays; what is in it moves, in one record. */
static enum err
move_inbox(struct plan *p, struct tree_change *x, uint32_t to)
{
	struct mbox *m = x->inbox;
	struct record r = {.type = REC_MOVE,
	    .account = m->account,
	    .mailbox = to,
	    .modseq = 2,
	    .from_mailbox = m->id,
	    .time_s = x->now_s};
	struct record k = {
	    .type = REC_KEYWORDS, .account = m->account, .mailbox = to};
	struct ranges all = {0};
	struct rec_entry *v;
	size_t n = 0;
	enum err e;

	v = arena_array(p->arena, m->messages + 1u, sizeof(*v));
	if (v == NULL)
		return ERR_NOMEM;
	pthread_mutex_lock(&m->mu);
	e = mbox_keywords(m);
	for (size_t ci = 0; ci < m->nc && e == OK; ci++) {
		struct chunk *c = m->c[ci];

		e = chunk_facts(m, c);
		for (uint32_t i = 0; i < c->u->n && e == OK; i++) {
			uint32_t uid = c->u->uid[i];
			struct more *more = c->flags[i] & FLAG_MORE
						? map_get_u64(m->more, uid)
						: NULL;

			v[n] = (struct rec_entry){.uid = (uint32_t)n + 1,
			    .flags = c->flags[i],
			    .f = c->facts[i]};
			v[n].f.savedate = x->now_s;
			v[n].more = more == NULL ? NULL : more->v;
			v[n++].nmore = more == NULL ? 0 : more->n;
			ranges_add(&all, uid, uid);
		}
	}
	if (e == OK) {
		k.names = m->keywords;
		k.nnames = m->nkeywords;
		if (k.nnames > 0)
			plan_add(p, &k);
		r.entries = v;
		r.nentries = n;
		r.uids = all;
		r.from_modseq = ++m->plan_modseq;
		if (n > 0)
			plan_add(p, &r);
		m->plan_alone = true;
	}
	pthread_mutex_unlock(&m->mu);
	ranges_free(&all);
	return e;
}

static enum err
plan_rename(struct plan *p, struct tree_change *x)
{
	uint64_t account = x->a->ac->id;
	bool inbox = str_eq(x->name, S("INBOX"));
	uint32_t from, to, deepest;
	struct node above = {0};
	struct node n;
	str missing, last;
	size_t cut;
	enum err e;

	e = name_walk(p->st, account, x->name, &from, &deepest, &missing);
	if (e != OK)
		return e;
	e = name_walk(p->st, account, x->to, &to, &deepest, &missing);
	if (e == OK)
		return ERR_EXISTS;
	if (e != ERR_NOTFOUND)
		return e;
	if (inbox) {
		plan_mbox(p, x->inbox);
		if (x->inbox->plan_alone || x->inbox->plan_uids.n > 0 ||
		    x->inbox->plan_modseq != atomic_load(&x->inbox->modseq))
			return ERR_BUSY; /* (1) */
		e = make_levels(p, x, deepest, missing, 0, &n);
		return e != OK ? e : move_inbox(p, x, n.mailbox);
	}
	cut = str_rchr(missing, '/');
	last = cut < missing.n ? str_from(missing, cut + 1) : missing;
	if (cut < missing.n) {
		e = make_levels(
		    p, x, deepest, str_head(missing, cut), 0, &above);
		deepest = above.id;
	} else {
		e = OK;
	}
	if (e != OK || (e = node_get(p->st, account, from, &n)) != OK)
		return e;
	n.parent = deepest;
	n.name = last;
	add_node(p, x, &n);
	node_free(&n);
	return OK;
}

static enum err
plan_subscribe(struct plan *p, struct tree_change *x)
{
	struct record r = {.type = REC_SUBSCRIBE,
	    .account = x->a->ac->id,
	    .on = x->yes,
	    .name = x->name};
	bool is;
	enum err e = name_subscribed(p->st, x->a->ac->id, x->name, &is);

	if (e != OK || is == x->yes)
		return e;
	if (x->yes && x->a->ac->subscriptions >= limits.mailboxes_max) {
		limit_hit(LIMIT_mailboxes_max, STR_NONE);
		return ERR_LIMIT;
	}
	plan_add(p, &r);
	return OK;
}

/* UIDVALIDITY and UIDNEXT of a mailbox, and its node's copy of them. */
static enum err
set_uids(struct plan *p, struct tree_change *x, struct mbox *m,
    uint32_t uidvalidity, uint32_t uidnext)
{
	struct record r = {.type = REC_MAILBOX,
	    .account = m->account,
	    .op = MBOP_UIDS,
	    .mailbox = m->id,
	    .uidvalidity = uidvalidity,
	    .uidnext = uidnext,
	    .time_s = x->now_s};
	struct node n;
	enum err e = node_get(p->st, m->account, m->node, &n);

	if (e != OK)
		return e;
	n.uidvalidity = uidvalidity;
	plan_add(p, &r);
	add_node(p, x, &n);
	node_free(&n);
	return OK;
}

static enum err
plan_uids(struct plan *p, struct tree_change *x)
{
	struct mbox *m;
	enum err e = mbox_get(p->st, x->a->ac->id, x->id, &m);

	if (e != OK)
		return e;
	plan_mbox(p, m);
	if (m->dead)
		e = ERR_NOTFOUND;
	else if (x->op == TREE_RESTORED)
		e = set_uids(p, x, m, new_uidvalidity(x), m->uidnext);
	else if (m->uidvalidity == x->uidvalidity && !m->plan_alone &&
		 x->uidnext >= m->plan_uidnext)
		e = set_uids(p, x, m, x->uidvalidity, x->uidnext);
	else if (m->messages > 0 || m->uidnext > 1 || m->views != NULL ||
		 m->plan_uidnext > 1)
		e = ERR_CANNOT;
	else
		e = set_uids(p, x, m, x->uidvalidity, x->uidnext);
	if (e == OK)
		m->plan_alone = true;
	mbox_unref(&m);
	return e;
}

/* ---- accounts ---- */

static const struct {
	str name;
	unsigned use;
} first_mailboxes[] = {{{"INBOX", 5}, 0}, {{"Drafts", 6}, MB_DRAFTS},
    {{"Sent", 4}, MB_SENT}, {{"Junk", 4}, MB_JUNK}, {{"Trash", 5}, MB_TRASH},
    {{"Archive", 7}, MB_ARCHIVE}};

static enum err
plan_account_new(struct plan *p, struct tree_change *x)
{
	struct record r = {.type = REC_ACCOUNT,
	    .account = x->a->ac->id,
	    .on = true,
	    .name = x->name};

	if (x->a->ac->there)
		return OK;
	if (x->a->ac->next_mailbox > INBOX_ID)
		return ERR_CANNOT; /* it was removed: ids are not used again */
	plan_add(p, &r);
	for (size_t i = 0; i < NELEM(first_mailboxes); i++) {
		struct record s = {.type = REC_SUBSCRIBE,
		    .account = x->a->ac->id,
		    .on = true,
		    .name = first_mailboxes[i].name};
		struct node n = {0};
		enum err e = make_levels(p, x, 0, first_mailboxes[i].name,
		    first_mailboxes[i].use, &n);

		if (e != OK)
			return e;
		assert(i > 0 || n.mailbox == INBOX_ID);
		plan_add(p, &s);
	}
	return OK;
}

static enum err
plan_account_gone(struct plan *p, struct tree_change *x)
{
	struct record r = {.type = REC_ACCOUNT,
	    .account = x->a->ac->id,
	    .on = false,
	    .name = x->a->ac->name};

	if (!x->a->ac->there)
		return ERR_NOTFOUND;
	if (x->a->ac->nodes > 0)
		return ERR_CANNOT;
	plan_add(p, &r);
	return OK;
}

static enum err
plan_tree(struct plan *p, struct change *c)
{
	struct tree_change *x = (struct tree_change *)c;
	struct account *ac = x->a->ac;
	enum err e = ERR_INVALID;

	plan_account(p, ac);
	if (ac->plan_names)
		return ERR_BUSY; /* (1) */
	if (!ac->there && x->op != TREE_ACCOUNT)
		return ERR_NOTFOUND;
	x->next_mailbox = ac->next_mailbox;
	x->last_uidvalidity = ac->uidvalidity;
	x->nodes = ac->nodes;
	x->now_s = os_wall_ms() / 1000;
	switch (x->op) {
	case TREE_CREATE:
		e = plan_create(p, x);
		break;
	case TREE_DELETE:
		e = plan_delete(p, x);
		break;
	case TREE_RENAME:
		e = plan_rename(p, x);
		break;
	case TREE_SUBSCRIBE:
		e = plan_subscribe(p, x);
		break;
	case TREE_UIDS:
	case TREE_RESTORED:
		e = plan_uids(p, x);
		break;
	case TREE_ACCOUNT:
		e = plan_account_new(p, x);
		break;
	case TREE_GONE:
		e = plan_account_gone(p, x);
		break;
	}
	if (e == OK)
		ac->plan_names = true;
	return e;
}

static enum err
tree_commit(struct tree_change *x)
{
	struct store *st = x->a->st;
	enum err e;

	x->c.plan = plan_tree;
	e = commit(st, &x->c);
	if (e != OK)
		return e;
	/* (2); a full disk is no reason to call it undone: it is durable. */
	e = index_flush(st);
	return e == ERR_FULL ? OK : e;
}

/* ---- the calls ---- */

static bool
may_change(const struct acct *a)
{
	return acct_may(a, 1u << GRANT_LOGIN | 1u << GRANT_ADMIN);
}

enum err
mailbox_create(struct acct *a, str name, unsigned use, uint32_t *id)
{
	struct tree_change x = {
	    .op = TREE_CREATE, .a = a, .name = name, .use = use};
	enum err e;

	if (!may_change(a))
		return ERR_DENIED;
	if (str_eq(name, S("INBOX")))
		return ERR_CANNOT;
	e = tree_commit(&x);
	if (id != NULL)
		*id = e == OK ? x.id : 0;
	return e;
}

enum err
mailbox_delete(struct acct *a, str name)
{
	struct tree_change x = {
	    .op = TREE_DELETE, .a = a, .name = name, .c.frees = true};

	if (!may_change(a))
		return ERR_DENIED;
	if (str_eq(name, S("INBOX")))
		return ERR_CANNOT;
	return tree_commit(&x);
}

/* Would names below `from` become too long or too deep? */
static enum err
rename_fits(struct acct *a, str from, str to)
{
	struct arena *ar = arena_new(0);
	struct mailbox_info *v;
	size_t n;
	enum err e = mailbox_list(a, ar, &v, &n);

	for (size_t i = 0; i < n && e == OK; i++) {
		str rest = str_from(v[i].name, from.n);
		uint64_t depth = 1;

		if (!str_starts(v[i].name, from) || !str_starts(rest, S("/")) ||
		    (v[i].attrs & MB_NONEXISTENT))
			continue;
		for (size_t j = 0; j < rest.n; j++)
			depth += rest.p[j] == '/';
		for (size_t j = 0; j < to.n; j++)
			depth += to.p[j] == '/';
		if (rest.n + to.n > limits.mailbox_name_max) {
			limit_hit(LIMIT_mailbox_name_max, STR_NONE);
			e = ERR_LIMIT;
		} else if (depth > limits.mailbox_depth_max) {
			limit_hit(LIMIT_mailbox_depth_max, STR_NONE);
			e = ERR_LIMIT;
		}
	}
	arena_free(&ar);
	return e;
}

enum err
mailbox_rename(struct acct *a, str from, str to)
{
	struct tree_change x = {
	    .op = TREE_RENAME, .a = a, .name = from, .to = to};
	bool inbox = str_eq(from, S("INBOX"));
	enum err e;

	if (!may_change(a))
		return ERR_DENIED;
	if (!inbox && to.n > from.n && str_starts(to, from) &&
	    to.p[from.n] == '/')
		return ERR_CANNOT;
	if (!inbox && (e = rename_fits(a, from, to)) != OK)
		return e;
	if (!inbox)
		return tree_commit(&x);
	if ((e = mbox_get(a->st, a->ac->id, INBOX_ID, &x.inbox)) != OK)
		return e;
	if ((e = mbox_pin(x.inbox, CONTENT_FULL)) == OK) {
		e = tree_commit(&x);
		mbox_unpin(x.inbox);
	}
	mbox_unref(&x.inbox);
	return e;
}

enum err
mailbox_subscribe(struct acct *a, str name, bool yes)
{
	struct tree_change x = {
	    .op = TREE_SUBSCRIBE, .a = a, .name = name, .yes = yes};

	if (!may_change(a))
		return ERR_DENIED;
	return tree_commit(&x);
}

enum err
mailbox_set_uids(
    struct acct *a, uint32_t id, uint32_t uidvalidity, uint32_t uidnext)
{
	struct tree_change x = {.op = TREE_UIDS,
	    .a = a,
	    .id = id,
	    .uidvalidity = uidvalidity,
	    .uidnext = MAX(uidnext, 1u)};

	if (!may_change(a))
		return ERR_DENIED;
	if (uidvalidity == 0 || uidnext == UINT32_MAX)
		return ERR_INVALID;
	return tree_commit(&x);
}

enum err
account_make(struct acct *a, str name)
{
	struct tree_change x = {.op = TREE_ACCOUNT, .a = a, .name = name};

	return tree_commit(&x);
}

/* ---- all mailboxes of an account, one after the other ---- */

static enum err
remove_mailboxes(struct acct *a)
{
	struct arena *ar = arena_new(1ull << 32);
	struct mailbox_info *v;
	size_t n;
	enum err e = mailbox_list(a, ar, &v, &n);

	/* From the end: what is below comes after what it is below of. */
	while (n > 0 && e == OK) {
		struct tree_change x = {.op = TREE_DELETE,
		    .a = a,
		    .name = v[--n].name,
		    .c.frees = true,
		    .c.plan = plan_tree};

		if (!(v[n].attrs & MB_NONEXISTENT))
			e = commit(a->st, &x.c);
		if ((e == OK || e == ERR_NOTFOUND) &&
		    (v[n].attrs & MB_SUBSCRIBED)) {
			x.op = TREE_SUBSCRIBE;
			x.yes = false;
			e = commit(a->st, &x.c);
		}
		if (e == ERR_NOTFOUND)
			e = OK;
	}
	arena_free(&ar);
	return e;
}

enum err
acct_remove(struct store *st, const struct grant *g)
{
	struct acct a = {.st = st, .g = *g};
	struct tree_change x = {.op = TREE_GONE, .a = &a, .c.frees = true};
	enum err e;

	if (g->kind != GRANT_ADMIN)
		return ERR_DENIED;
	if ((e = account_get(st, g->account, &a.ac)) != OK)
		return e;
	if (!a.ac->there)
		e = ERR_NOTFOUND;
	/* Somebody may make one meanwhile. */
	for (int i = 0; i < 100 && e == OK; i++) {
		if ((e = index_flush(st)) == OK)
			e = remove_mailboxes(&a);
		if (e == OK && (e = tree_commit(&x)) == OK)
			break;
		if (e == ERR_CANNOT)
			e = OK;
	}
	account_unref(&a.ac);
	return e;
}

struct all_mailboxes {
	uint64_t *account;
	uint32_t *id;
	size_t n, cap;
};

static bool
each_mailbox(void *ctx, str key, str row)
{
	struct all_mailboxes *l = ctx;
	struct dec d = dec_of(key);

	if (l->n == l->cap) {
		l->cap = MAX((size_t)64, l->cap * 2);
		l->account = x_grow(l->account, l->cap, sizeof(uint64_t));
		l->id = x_grow(l->id, l->cap, sizeof(uint32_t));
	}
	l->account[l->n] = dec_be64(&d);
	l->id[l->n++] = dec_be32(&d);
	return true;
}

enum err
store_restored(struct store *st)
{
	struct key all = {.p = "M", .n = 1};
	struct all_mailboxes l = {0};
	enum err e = index_flush(st);

	if (e == OK)
		e = index_scan(st, &all, STR_NONE, each_mailbox, &l);
	for (size_t i = 0; i < l.n && e == OK; i++) {
		struct acct a = {.st = st, .g.kind = GRANT_ADMIN};
		struct tree_change x = {.op = TREE_RESTORED,
		    .a = &a,
		    .id = l.id[i],
		    .c.plan = plan_tree};

		if ((e = account_get(st, l.account[i], &a.ac)) != OK)
			break;
		e = commit(st, &x.c);
		if (e == ERR_NOTFOUND)
			e = OK; /* deleted */
		account_unref(&a.ac);
	}
	x_free(&l.account);
	x_free(&l.id);
	return e != OK ? e : index_flush(st);
}
