/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Names of mailboxes: normalising, finding, listing.
 *
 * (1) A name is found level by level, whatever the size of the tree; a list
 *     reads every level once and joins names from the top down.
 * (2) A row that is lost is not taken for one that never was: a list has as
 *     many levels and subscriptions as the account counts, and a name is not
 *     there only if no level has it.
 */
#include "store/names.h"

#include <stdlib.h>

/* ---- one name ---- */

static bool
level_ok(str level)
{
	uint32_t cp;
	size_t k;

	if (level.n == 0)
		return false;
	for (size_t i = 0; i < level.n; i += k) {
		k = utf8_get(str_from(level, i), &cp);
		if (k == 0 || cp < 0x20 || (cp >= 0x7f && cp < 0xa0) ||
		    cp == 0x2028 || cp == 0x2029)
			return false;
	}
	return true;
}

bool
name_level(str *rest, str *level)
{
	if (rest->n == 0)
		return false;
	*level = str_cut(rest, '/');
	return true;
}

enum err
mailbox_name(struct arena *a, str name, str *out)
{
	struct buf b = {0};
	str rest, level;
	uint64_t depth = 0;
	enum err e;

	if (name.n > limits.mailbox_name_max + 1) {
		limit_hit(LIMIT_mailbox_name_max, STR_NONE);
		return ERR_LIMIT;
	}
	if ((e = utf8_nfc(&b, name)) != OK)
		goto out;
	rest = buf_str(&b);
	if (str_ends(rest, S("/")))
		rest.n--;
	*out = arena_dup(a, rest);
	if (out->p == NULL || rest.n == 0 || str_ends(rest, S("/")))
		e = ERR_INVALID;
	else if (rest.n > limits.mailbox_name_max) {
		limit_hit(LIMIT_mailbox_name_max, STR_NONE);
		e = ERR_LIMIT;
	}
	while (e == OK && name_level(&rest, &level)) {
		if (!level_ok(level))
			e = ERR_INVALID;
		else if (++depth > limits.mailbox_depth_max) {
			limit_hit(LIMIT_mailbox_depth_max, STR_NONE);
			e = ERR_LIMIT;
		}
	}
	if (e == OK && str_casestarts(*out, S("INBOX")) &&
	    (out->n == 5 || out->p[5] == '/'))
		memcpy((char *)(uintptr_t)out->p, "INBOX", 5);
out:
	buf_free(&b);
	return e;
}

enum err
name_walk(struct store *st, uint64_t account, str name, uint32_t *node,
    uint32_t *deepest, str *missing)
{
	uint32_t parent = 0;
	str rest = name;
	str level;
	str before = rest;
	enum err e = ERR_NOTFOUND;

	*node = 0;
	while (name_level(&rest, &level)) {
		e = node_find(st, account, parent, level, node);
		if (e != OK)
			break;
		parent = *node;
		before = rest;
	}
	*deepest = parent;
	*missing = before;
	return e;
}

enum err
name_subscribed(struct store *st, uint64_t account, str name, bool *yes)
{
	struct key k = key_of('Z', account);
	struct buf row = {0};
	struct dec d;
	enum err e;

	*yes = false;
	key_u64(&k, hash_xxh3(name, 0));
	e = index_get(st, &k, &row);
	d = dec_of(buf_str(&row));
	dec_u8(&d);
	while (e == OK && dec_left(&d) > 0) {
		str x = dec_str(&d);

		dec_var(&d);
		*yes = *yes || (!d.bad && str_eq(x, name));
	}
	buf_free(&row);
	return e == ERR_NOTFOUND ? OK : e;
}

static unsigned
node_attrs(const struct node *n)
{
	return (n->attrs & MB_SPECIAL_USE) |
	       (n->mailbox == 0 ? MB_NOSELECT : 0u) |
	       (n->children > 0 ? MB_HAS_CHILDREN : 0u);
}

struct lost {
	uint32_t parent; /* of a name; or the mailbox's number */
	str level;
	bool named, there;
};

static bool
lost_name(void *ctx, str key, str row)
{
	struct lost *l = ctx;
	struct dec d = dec_of(row);

	dec_u8(&d);
	while (dec_left(&d) > 0 && !d.bad) {
		l->named = l->named || str_eq(dec_str(&d), l->level);
		dec_var(&d);
	}
	return !l->named;
}

static bool
lost_node(void *ctx, str key, str row)
{
	struct lost *l = ctx;
	struct node n;

	l->there = !l->named && node_decode(row, &n) == OK &&
		   n.parent == l->parent && str_eq(n.name, l->level);
	return !l->named && !l->there;
}

/* What the names and the nodes of an account come to. */
struct tally {
	uint64_t named, there;
	bool bad;
};

static uint64_t
tally_of(uint32_t parent, uint32_t node, str name)
{
	return hash_xxh3(name, (uint64_t)parent << 32 | node);
}

static bool
tally_name(void *ctx, str key, str row)
{
	struct tally *t = ctx;
	struct dec k = dec_of(key);
	struct dec d = dec_of(row);
	uint32_t parent = dec_be32(&k);

	dec_u8(&d);
	while (dec_left(&d) > 0) {
		str name = dec_str(&d);

		t->named += tally_of(parent, (uint32_t)dec_var(&d), name);
	}
	t->bad = t->bad || d.bad || k.bad;
	return !t->bad;
}

static bool
tally_node(void *ctx, str key, str row)
{
	struct tally *t = ctx;
	struct dec k = dec_of(key);
	struct node n;

	n.id = dec_be32(&k);
	t->bad = t->bad || !dec_end(&k) || node_decode(row, &n) != OK;
	if (!t->bad)
		t->there += tally_of(n.parent, n.id, n.name);
	return !t->bad;
}

/* One look at all of them is enough: else each name that is not there, such
 * as each that is about to be made, would cost a look at all the others. */
static enum err
names_whole(struct acct *a, bool *yes)
{
	struct tally t = {0};
	struct index_part v[2] = {
	    {key_of('N', a->ac->id), tally_name},
	    {key_of('D', a->ac->id), tally_node},
	};
	enum err e = OK;

	*yes = atomic_load(&a->ac->names_whole);
	if (*yes || (e = index_scan_parts(a->st, v, NELEM(v), &t)) != OK)
		return e;
	*yes = !t.bad && t.named == t.there;
	if (*yes)
		atomic_store(&a->ac->names_whole, true);
	return OK;
}

/* (2): nobody is told so without a look at the levels themselves. */
static enum err
name_missing(struct acct *a, uint32_t parent, str missing)
{
	struct lost l = {.parent = parent};
	bool whole;
	struct index_part v[2] = {
	    {key_of('N', a->ac->id), lost_name},
	    {key_of('D', a->ac->id), lost_node},
	};
	enum err e;

	if (!name_level(&missing, &l.level))
		return ERR_NOTFOUND;
	if ((e = names_whole(a, &whole)) != OK || whole)
		return e != OK ? e : ERR_NOTFOUND;
	key_u32(&v[0].prefix, parent);
	key_u64(&v[0].prefix, hash_xxh3(l.level, 0));
	if ((e = index_scan_parts(a->st, v, NELEM(v), &l)) != OK)
		return e;
	if (!l.there)
		return ERR_NOTFOUND;
	index_damaged(a->st, "the name of a mailbox is missing");
	return ERR_CORRUPT;
}

static bool
lost_box(void *ctx, str key, str row)
{
	struct lost *l = ctx;

	l->named = l->named || key.n == 0;
	return false;
}

static bool
lost_owner(void *ctx, str key, str row)
{
	struct lost *l = ctx;
	struct node n;

	l->there =
	    !l->named && node_decode(row, &n) == OK && n.mailbox == l->parent;
	return !l->named && !l->there;
}

enum err
box_missing(struct acct *a, uint32_t id)
{
	struct lost l = {.parent = id};
	struct index_part v[2] = {
	    {key_of('M', a->ac->id), lost_box},
	    {key_of('D', a->ac->id), lost_owner},
	};
	enum err e;

	key_u32(&v[0].prefix, id);
	if ((e = index_scan_parts(a->st, v, NELEM(v), &l)) != OK)
		return e;
	if (!l.there)
		return ERR_NOTFOUND;
	index_damaged(a->st, "the row of a mailbox is missing");
	return ERR_CORRUPT;
}

enum err
mailbox_find(
    struct acct *a, struct arena *ar, str name, struct mailbox_info *info)
{
	uint32_t id, deepest;
	struct node n;
	str missing;
	bool yes;
	enum err e = name_walk(a->st, a->ac->id, name, &id, &deepest, &missing);

	if (e == ERR_NOTFOUND)
		return name_missing(a, deepest, missing);
	if (e == OK)
		e = node_get(a->st, a->ac->id, id, &n);
	if (e != OK)
		return e;
	*info = (struct mailbox_info){.id = n.mailbox,
	    .name = arena_dup(ar, name),
	    .attrs = node_attrs(&n),
	    .uidvalidity = n.uidvalidity};
	node_free(&n);
	e = name_subscribed(a->st, a->ac->id, name, &yes);
	if (yes)
		info->attrs |= MB_SUBSCRIBED;
	return e != OK ? e : info->name.p == NULL ? ERR_LIMIT : OK;
}

/* ---- all of them ---- */

struct listed {
	struct node n;
	str whole; /* p NULL: not joined yet */
};

struct listing {
	struct arena *ar;
	struct listed *v;
	size_t n, cap;
	struct map *by_id; /* index + 1 */
	struct mailbox_info *out;
	size_t nout, out_cap;
	struct map *by_name; /* index + 1 */
	str *subs;
	size_t nsubs, subs_cap;
	struct account counted; /* its nodes and subscriptions */
	bool full, bad;
};

static bool
each_account(void *ctx, str key, str row)
{
	struct listing *l = ctx;

	if (key.n > 0)
		return false;
	l->bad = account_decode(row, &l->counted) != OK;
	x_free_str(&l->counted.name);
	return false;
}

static bool
each_node(void *ctx, str key, str row)
{
	struct listing *l = ctx;
	struct dec d = dec_of(key);
	struct listed x = {0};

	x.n.id = dec_be32(&d);
	if (!dec_end(&d) || node_decode(row, &x.n) != OK) {
		l->bad = true;
		return false;
	}
	x.n.name = arena_dup(l->ar, x.n.name);
	if (x.n.name.p == NULL || !ARENA_PUSH(l->ar, l->v, l->n, l->cap)) {
		l->full = true;
		return false;
	}
	l->v[l->n++] = x;
	map_put_u64(l->by_id, x.n.id, (void *)(uintptr_t)l->n);
	return true;
}

/* Joins the name of a node with those above it, each once (1). */
static bool
join(struct listing *l, size_t at)
{
	size_t chain[64];
	size_t n = 0;

	while (l->v[at].whole.p == NULL) {
		size_t up = l->v[at].n.parent == 0
				? 0
				: (size_t)(uintptr_t)map_get_u64(
				      l->by_id, l->v[at].n.parent);

		if (l->v[at].n.parent == 0) {
			l->v[at].whole = l->v[at].n.name;
			break;
		}
		if (up == 0)
			return false;
		if (n == NELEM(chain)) {
			/* Very deep: what is above first, then again. */
			if (!join(l, up - 1))
				return false;
			continue;
		}
		chain[n++] = at;
		at = up - 1;
	}
	while (n > 0) {
		str above = l->v[at].whole;

		at = chain[--n];
		if (l->v[at].whole.p == NULL)
			l->v[at].whole = arena_f(l->ar, "%.*s/%.*s",
			    STR_ARG(above), STR_ARG(l->v[at].n.name));
		if (l->v[at].whole.p == NULL) {
			l->full = true;
			return false;
		}
	}
	return true;
}

static bool
each_subscription(void *ctx, str key, str row)
{
	struct listing *l = ctx;
	struct dec d = dec_of(row);

	dec_u8(&d);
	while (dec_left(&d) > 0) {
		str name = arena_dup(l->ar, dec_str(&d));

		dec_var(&d);
		if (d.bad)
			break;
		if (name.p == NULL ||
		    !ARENA_PUSH(l->ar, l->subs, l->nsubs, l->subs_cap)) {
			l->full = true;
			return false;
		}
		l->subs[l->nsubs++] = name;
	}
	l->bad = l->bad || d.bad;
	return !d.bad;
}

static bool
is_inbox(str s)
{
	return str_eq(s, S("INBOX"));
}

/* INBOX first; then so that what is below follows what it is below of. */
static int
by_name(const void *a, const void *b)
{
	str x = ((const struct mailbox_info *)a)->name;
	str y = ((const struct mailbox_info *)b)->name;
	size_t n = MIN(x.n, y.n);

	if (is_inbox(x) != is_inbox(y))
		return is_inbox(x) ? -1 : 1;
	for (size_t i = 0; i < n; i++) {
		unsigned c = x.p[i] == '/' ? 0 : (unsigned char)x.p[i] + 1u;
		unsigned d = y.p[i] == '/' ? 0 : (unsigned char)y.p[i] + 1u;

		if (c != d)
			return c < d ? -1 : 1;
	}
	return x.n < y.n ? -1 : x.n > y.n;
}

static enum err
list_nodes(struct listing *l)
{
	for (size_t i = 0; i < l->n; i++) {
		struct listed *x = &l->v[i];

		if (!join(l, i))
			return l->full ? ERR_LIMIT : ERR_CORRUPT;
		if (!ARENA_PUSH(l->ar, l->out, l->nout, l->out_cap))
			return ERR_LIMIT;
		l->out[l->nout++] = (struct mailbox_info){.id = x->n.mailbox,
		    .name = x->whole,
		    .attrs = node_attrs(&x->n),
		    .uidvalidity = x->n.uidvalidity};
		map_put(l->by_name, x->whole, (void *)(uintptr_t)l->nout);
	}
	return OK;
}

static enum err
list_subscriptions(struct listing *l)
{
	for (size_t k = 0; k < l->nsubs; k++) {
		size_t i = (size_t)(uintptr_t)map_get(l->by_name, l->subs[k]);

		if (i > 0) {
			l->out[i - 1].attrs |= MB_SUBSCRIBED;
			continue;
		}
		if (!ARENA_PUSH(l->ar, l->out, l->nout, l->out_cap))
			return ERR_LIMIT;
		l->out[l->nout++] = (struct mailbox_info){.name = l->subs[k],
		    .attrs = MB_SUBSCRIBED | MB_NONEXISTENT};
	}
	return OK;
}

enum err
mailbox_list(
    struct acct *a, struct arena *ar, struct mailbox_info **v, size_t *n)
{
	struct listing l = {.ar = ar, .by_id = map_new(), .by_name = map_new()};
	const struct index_part parts[] = {
	    {key_of('A', a->ac->id), each_account},
	    {key_of('D', a->ac->id), each_node},
	    {key_of('Z', a->ac->id), each_subscription},
	};
	enum err e = index_scan_parts(a->st, parts, NELEM(parts), &l);

	if (e == OK && l.full)
		e = ERR_LIMIT;
	if (e == OK && (l.bad || l.n != l.counted.nodes ||
			   l.nsubs != l.counted.subscriptions)) {
		index_damaged(a->st, "rows of the tree are missing"); /* (2) */
		e = ERR_CORRUPT;
	}
	if (e == OK)
		e = list_nodes(&l);
	if (e == OK)
		e = list_subscriptions(&l);
	if (e == OK && l.nout > 1)
		qsort(l.out, l.nout, sizeof(*l.out), by_name);
	map_free(&l.by_id);
	map_free(&l.by_name);
	*v = l.out;
	*n = e == OK ? l.nout : 0;
	return e;
}

/* ---- a mailbox's numbers ---- */

enum err
mailbox_status(struct acct *a, uint32_t id, struct mailbox_status *s)
{
	struct mbox *m;
	enum err e = id == 0 ? ERR_CANNOT : mbox_get(a->st, a->ac->id, id, &m);
	size_t ci, i;
	bool gone;

	if (e != OK)
		return e == ERR_NOTFOUND ? box_missing(a, id) : e;
	pthread_mutex_lock(&m->mu);
	gone = m->dead;
	*s = (struct mailbox_status){.messages = m->messages,
	    .unseen = m->unseen,
	    .deleted = m->deleted,
	    .recent = m->recent,
	    .uidnext = m->uidnext,
	    .uidvalidity = m->uidvalidity,
	    .highestmodseq = atomic_load(&m->modseq),
	    .size = m->size,
	    .deleted_size = m->deleted_size};
	if (m->recent_taken >= m->uidnext)
		s->recent = 0;
	else if (m->recent_taken > m->recent_from &&
		 m->content == CONTENT_FULL) {
		s->recent = 0;
		if (mbox_seek(m, m->recent_taken, &ci, &i))
			for (; ci < m->nc; ci++, i = 0)
				s->recent += m->c[ci]->u->n - (uint32_t)i;
	}
	pthread_mutex_unlock(&m->mu);
	mbox_unref(&m);
	return gone ? ERR_NOTFOUND : OK;
}

void
mailbox_objectid(const struct acct *a, uint32_t id, struct buf *out)
{
	buf_f(out, "m%llx-%x", (unsigned long long)a->ac->id, id);
}
