/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Applying changes of accounts, of the tree of mailboxes, of subscriptions.
 *
 * D account node: a level of the tree: parent, attributes, the mailbox it
 *   holds (0: none), how many children it has, its name.
 * N account parent hash(name): (name, node), several when hashes collide.
 * Z account hash(name): subscribed names.
 *
 * (1) A rename changes one row of D and two of N, whatever stands below.
 */
#include "store/names.h"

#include <stdlib.h>

/* ---- rows ---- */

static struct key
node_key(uint64_t account, uint32_t id)
{
	struct key k = key_of('D', account);

	key_u32(&k, id);
	return k;
}

enum err
node_decode(str row, struct node *n)
{
	struct dec d = dec_of(row);

	if (dec_u8(&d) != 1)
		return ERR_CORRUPT;
	n->parent = (uint32_t)dec_var(&d);
	n->attrs = (uint32_t)dec_var(&d);
	n->mailbox = (uint32_t)dec_var(&d);
	n->uidvalidity = (uint32_t)dec_var(&d);
	n->children = (uint32_t)dec_var(&d);
	n->name = dec_str(&d);
	return dec_end(&d) ? OK : ERR_CORRUPT;
}

enum err
node_get(struct store *st, uint64_t account, uint32_t id, struct node *n)
{
	struct key k = node_key(account, id);
	enum err e;

	*n = (struct node){.id = id};
	e = index_get(st, &k, &n->buf);
	if (e == OK)
		e = node_decode(buf_str(&n->buf), n);
	if (e != OK)
		buf_free(&n->buf);
	return e;
}

void
node_free(struct node *n)
{
	buf_free(&n->buf);
}

static void
node_put(struct store *st, uint64_t account, const struct node *n)
{
	struct key k = node_key(account, n->id);
	struct buf row = {0};

	enc_u8(&row, 1);
	enc_var(&row, n->parent);
	enc_var(&row, n->attrs);
	enc_var(&row, n->mailbox);
	enc_var(&row, n->uidvalidity);
	enc_var(&row, n->children);
	enc_str(&row, n->name);
	index_put(st, &k, buf_str(&row));
	buf_free(&row);
}

static struct key
name_key(uint64_t account, uint32_t parent, str name)
{
	struct key k = key_of('N', account);

	key_u32(&k, parent);
	key_u64(&k, hash_xxh3(name, 0));
	return k;
}

enum err
node_find(
    struct store *st, uint64_t account, uint32_t parent, str name, uint32_t *id)
{
	struct key k = name_key(account, parent, name);
	struct buf row = {0};
	enum err e = index_get(st, &k, &row);
	struct dec d = dec_of(buf_str(&row));

	*id = 0;
	if (e == OK) {
		if (dec_u8(&d) != 1)
			d.bad = true;
		while (dec_left(&d) > 0) {
			str x = dec_str(&d);
			uint32_t n = (uint32_t)dec_var(&d);

			if (!d.bad && str_eq(x, name))
				*id = n;
		}
		e = d.bad ? ERR_CORRUPT : *id == 0 ? ERR_NOTFOUND : OK;
	}
	buf_free(&row);
	return e;
}

/* A list of (name, number) rows, of which one is put (number) or taken out
 * (0). */
static enum err
list_change(struct store *st, const struct key *k, str name, uint32_t number)
{
	struct buf row = {0};
	struct buf out = {0};
	enum err e = index_get(st, k, &row);
	struct dec d = dec_of(buf_str(&row));

	enc_u8(&out, 1);
	if (e == OK && dec_u8(&d) != 1)
		d.bad = true;
	while (e == OK && dec_left(&d) > 0) {
		str x = dec_str(&d);
		uint64_t n = dec_var(&d);

		if (d.bad || str_eq(x, name))
			continue;
		enc_str(&out, x);
		enc_var(&out, n);
	}
	if (e == ERR_NOTFOUND)
		e = OK;
	if (d.bad)
		e = ERR_CORRUPT;
	if (number != 0) {
		enc_str(&out, name);
		enc_var(&out, number);
	}
	if (e == OK && out.n > 1)
		index_put(st, k, buf_str(&out));
	else if (e == OK)
		index_del(st, k);
	buf_free(&row);
	buf_free(&out);
	return e;
}

static enum err
children(struct store *st, uint64_t account, uint32_t id, int by)
{
	struct node n;
	enum err e;

	if (id == 0)
		return OK;
	e = node_get(st, account, id, &n);
	if (e == ERR_NOTFOUND && st->rebuilding)
		return OK;
	if (e != OK)
		return e;
	n.children += (uint32_t)by;
	node_put(st, account, &n);
	node_free(&n);
	return OK;
}

/* ---- the tree ---- */

static enum err
node_out(struct store *st, uint64_t account, const struct node *n)
{
	struct key k = name_key(account, n->parent, n->name);
	enum err e = list_change(st, &k, n->name, 0);

	return e != OK ? e : children(st, account, n->parent, -1);
}

static enum err
tree_put(struct store *st, const struct record *r, struct account *ac)
{
	struct node new = {.id = r->node,
	    .parent = r->parent,
	    .attrs = r->attrs,
	    .mailbox = r->mailbox,
	    .uidvalidity = r->uidvalidity,
	    .name = r->name};
	struct key k = name_key(r->account, r->parent, r->name);
	struct node old;
	bool same = false;
	enum err e = node_get(st, r->account, r->node, &old);

	if (e == OK) {
		same = old.parent == r->parent && str_eq(old.name, r->name);
		new.children = old.children;
		if (!same)
			e = node_out(st, r->account, &old);
		node_free(&old);
	} else if (e == ERR_NOTFOUND) {
		ac->nodes++;
		e = OK;
	}
	if (e == OK && !same)
		e = list_change(st, &k, r->name, r->node);
	if (e == OK && !same)
		e = children(st, r->account, r->parent, 1);
	if (e == OK)
		node_put(st, r->account, &new);
	return e;
}

static enum err
tree_remove(struct store *st, const struct record *r, struct account *ac)
{
	struct key k = node_key(r->account, r->node);
	struct node old;
	enum err e = node_get(st, r->account, r->node, &old);

	if (e != OK)
		return e == ERR_NOTFOUND && !st->rebuilding ? ERR_CORRUPT : e;
	e = node_out(st, r->account, &old);
	node_free(&old);
	index_del(st, &k);
	ac->nodes -= ac->nodes > 0;
	return e;
}

static enum err
content_new(struct apply *a, const struct record *r, struct account *ac)
{
	struct mbox *m;
	enum err e = mbox_get(a->st, r->account, r->mailbox, &m);

	if (e == OK) {
		mbox_unref(&m);
		return apply_damage(a, "a mailbox that was there before");
	}
	if (e != ERR_NOTFOUND)
		return e;
	m = mbox_new(a->st, r->account, r->mailbox);
	m->node = r->node;
	m->uidvalidity = r->uidvalidity;
	m->uidnext = MAX(r->uidnext, 1u);
	ac->uidvalidity = MAX(ac->uidvalidity, r->uidvalidity);
	a->st->stat_mailboxes++;
	mbox_dirty(m);
	mbox_unref(&m);
	return OK;
}

static enum err
content_kill(struct apply *a, const struct record *r)
{
	struct key x =
	    key_expire(r->time_s, r->account, r->mailbox, UINT64_MAX);
	struct mbox *m;
	enum err e = apply_mbox(a, r->account, r->mailbox, &m);

	if (e != OK)
		return e;
	pthread_mutex_lock(&m->mu);
	m->dead = true;
	mbox_changed(a, m);
	pthread_mutex_unlock(&m->mu);
	index_put(a->st, &x, S("\1"));
	mbox_dirty(m);
	mbox_unref(&m);
	return OK;
}

/* POP3 knows messages by their UIDLs for ever: those of INBOX that were made
 * of the UIDVALIDITY which now ends are kept as if they had been given. */
static enum err
keep_uidls(struct mbox *m)
{
	struct buf b = {0};
	enum err e = mbox_pin(m, CONTENT_FULL);

	if (e != OK)
		return e;
	pthread_mutex_lock(&m->mu);
	for (size_t ci = 0; ci < m->nc; ci++) {
		const struct chunk *c = m->c[ci];

		for (uint32_t i = 0; i < c->u->n; i++) {
			uint32_t uid = c->u->uid[i];

			if (map_get_u64(m->uidl, uid) != NULL)
				continue;
			buf_reset(&b);
			mbox_uidl(&b, m->uidvalidity, uid);
			uidl_put(m, uid, buf_str(&b));
		}
	}
	pthread_mutex_unlock(&m->mu);
	mbox_unpin(m);
	buf_free(&b);
	return OK;
}

static enum err
content_uids(struct apply *a, const struct record *r, struct account *ac)
{
	struct mbox *m;
	enum err e = apply_mbox(a, r->account, r->mailbox, &m);

	if (e == OK && m->id == INBOX_ID && m->uidvalidity != r->uidvalidity &&
	    (e = keep_uidls(m)) != OK)
		mbox_unref(&m);
	if (e != OK)
		return e;
	pthread_mutex_lock(&m->mu);
	m->uidvalidity = r->uidvalidity;
	m->uidnext = MAX(m->uidnext, r->uidnext);
	mbox_changed(a, m);
	pthread_mutex_unlock(&m->mu);
	ac->uidvalidity = MAX(ac->uidvalidity, r->uidvalidity);
	mbox_dirty(m);
	mbox_unref(&m);
	return OK;
}

/* Tells who watches the account's mailboxes. */
static void
account_changed(struct account *ac)
{
	struct store *st = ac->st;

	pthread_mutex_lock(&ac->mu);
	for (struct acct *x = ac->accts; x != NULL && st->o.poke != NULL;
	     x = x->next)
		if (x->watcher != 0)
			st->o.poke(st->o.poke_arg, x->watcher);
	pthread_mutex_unlock(&ac->mu);
}

enum err
apply_mailbox(struct apply *a, const struct record *r)
{
	struct account *ac;
	enum err e = account_get(a->st, r->account, &ac);

	if (e != OK)
		return e;
	switch (r->op) {
	case MBOP_PUT:
		e = tree_put(a->st, r, ac);
		break;
	case MBOP_REMOVE:
		e = tree_remove(a->st, r, ac);
		break;
	case MBOP_CONTENT:
		e = content_new(a, r, ac);
		break;
	case MBOP_KILL:
		e = content_kill(a, r);
		break;
	case MBOP_UIDS:
		e = content_uids(a, r, ac);
		break;
	}
	ac->next_mailbox = MAX(ac->next_mailbox, MAX(r->node, r->mailbox) + 1);
	ac->tree_version++;
	a->st->totals_dirty = true;
	account_dirty(ac);
	account_changed(ac);
	account_unref(&ac);
	return e;
}

enum err
apply_subscribe(struct apply *a, const struct record *r)
{
	struct key k = key_of('Z', r->account);
	struct account *ac;
	bool was;
	enum err e = account_get(a->st, r->account, &ac);

	if (e != OK)
		return e;
	key_u64(&k, hash_xxh3(r->name, 0));
	e = name_subscribed(a->st, r->account, r->name, &was);
	if (e == OK)
		e = list_change(a->st, &k, r->name, r->on ? 1 : 0);
	if (r->on && !was)
		ac->subscriptions++;
	else if (!r->on && was)
		ac->subscriptions -= ac->subscriptions > 0;
	ac->tree_version++;
	account_dirty(ac);
	account_changed(ac);
	account_unref(&ac);
	return e;
}

enum err
apply_account(struct apply *a, const struct record *r)
{
	struct account *ac;
	enum err e = account_get(a->st, r->account, &ac);

	if (e != OK)
		return e;
	a->st->stat_accounts += r->on && !ac->there ? 1u : 0u;
	a->st->stat_accounts -= !r->on && ac->there ? 1u : 0u;
	a->st->totals_dirty = true;
	ac->there = r->on;
	ac->uidvalidity = MAX(ac->uidvalidity, r->uidvalidity);
	x_free_str(&ac->name);
	ac->name = x_dup(r->name);
	account_dirty(ac);
	account_unref(&ac);
	return OK;
}
