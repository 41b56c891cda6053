/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The last step of making the index from a log with holes: what records that
 * are gone had counted is counted anew, from the entries.
 *
 * (1) Messages that no entry refers to are dropped; bodies count the messages
 *     that are left; segments count what is needed of them.
 */
#include "store/apply.h"
#include "store/log.h"

#include <stdlib.h>

struct numbers {
	uint64_t *a, *b;
	size_t n, cap;
};

static void
numbers_add(struct numbers *v, uint64_t a, uint64_t b)
{
	if (v->n == v->cap) {
		v->cap = MAX((size_t)256, v->cap * 2);
		v->a = x_grow(v->a, v->cap, sizeof(uint64_t));
		v->b = x_grow(v->b, v->cap, sizeof(uint64_t));
	}
	v->a[v->n] = a;
	v->b[v->n++] = b;
}

static void
numbers_free(struct numbers *v)
{
	x_free(&v->a);
	x_free(&v->b);
	v->n = v->cap = 0;
}

static bool
each_mailbox(void *ctx, str key, str row)
{
	struct dec d = dec_of(key);
	uint64_t account = dec_be64(&d);

	numbers_add(ctx, account, dec_be32(&d));
	return true;
}

/* First parts only. */
static bool
each_message(void *ctx, str key, str row)
{
	struct dec d = dec_of(key);
	uint64_t account = dec_be64(&d);
	uint64_t message = dec_be64(&d);

	if (dec_left(&d) == 2 && d.p[0] == 0 && d.p[1] == 0)
		numbers_add(ctx, account, message);
	return true;
}

struct bodies {
	struct store *st;
	uint64_t *account;
	uint8_t (*sha)[SHA_LEN];
	size_t n, cap;
};

static bool
each_body(void *ctx, str key, str row)
{
	struct bodies *b = ctx;
	struct dec d = dec_of(key);
	str sha;

	if (b->n == b->cap) {
		b->cap = MAX((size_t)256, b->cap * 2);
		b->account = x_grow(b->account, b->cap, sizeof(uint64_t));
		b->sha = x_grow(b->sha, b->cap, SHA_LEN);
	}
	b->account[b->n] = dec_be64(&d);
	sha = dec_take(&d, SHA_LEN);
	if (!d.bad)
		memcpy(b->sha[b->n++], sha.p, SHA_LEN);
	return true;
}

static enum err
scan(struct store *st, char table, bool (*each)(void *ctx, str key, str value),
    void *ctx)
{
	struct key k = {.p = {(uint8_t)table}, .n = 1};

	return index_scan(st, &k, STR_NONE, each, ctx);
}

static enum err
count_mailbox(struct store *st, uint64_t account, uint32_t id)
{
	struct mbox *m;
	struct node n;
	enum err e = mbox_get(st, account, id, &m);

	if (e != OK)
		return e;
	if (!m->dead) {
		uint32_t holds = 0;

		e = node_get(st, account, m->node, &n);
		if (e == OK) {
			holds = n.mailbox;
			node_free(&n);
		}
		if (holds != id) {
			mbox_unref(&m);
			return e == OK || e == ERR_NOTFOUND
				   ? mbox_forget(st, account, id)
				   : e;
		}
	}
	e = mbox_pin(m, CONTENT_FULL);
	if (e != OK) {
		mbox_unref(&m);
		return e;
	}
	st->stat_mailboxes++;
	st->stat_entries += m->messages;
	for (size_t ci = 0; ci < m->nc && e == OK; ci++) {
		e = chunk_facts(m, m->c[ci]);
		for (uint32_t i = 0; i < m->c[ci]->u->n && e == OK; i++)
			e = message_refer(
			    st, account, m->c[ci]->facts[i].message, 1);
	}
	for (size_t i = 0; i < m->ngrows && e == OK; i++)
		for (uint32_t j = 0; j < m->grows[i].n && e == OK; j++)
			e = message_refer(
			    st, account, m->grows[i].v[j].f.message, 1);
	mbox_unpin(m);
	mbox_unref(&m);
	return e;
}

static enum err
count_message(struct store *st, uint64_t account, uint64_t message)
{
	struct message_row row;
	struct body_row b;
	enum err e;

	if ((e = message_get(st, account, message, &row)) != OK)
		return e;
	st->stat_messages++;
	live_add(st, row.header.seg, (int64_t)row.log_bytes);
	if (row.body_size > 0) {
		e = body_get(st, account, row.sha, &b);
		if (e == OK) {
			if (b.count++ == 0)
				live_add(st, b.record.seg, (int64_t)b.share);
			body_put(st, account, row.sha, &b);
		} else if (e == ERR_NOTFOUND) {
			/* Of one that nothing refers to it went before. */
			if (message_refs(st, account, message) > 0)
				log_error("the body of a message is lost",
				    KV_N("account", account),
				    KV_N("message", message));
			e = OK;
		}
	}
	message_row_free(&row);
	return e;
}

/* When all are counted: those that no entry refers to go. */
static enum err
drop_message(struct store *st, uint64_t account, uint64_t message)
{
	enum err e = OK;

	if (message_refs(st, account, message) > 0)
		return OK;
	/* One that comes and goes: so it is dropped in order. */
	if ((e = message_refer(st, account, message, 1)) == OK)
		e = message_refer(st, account, message, -1);
	return e;
}

static enum err
count_bodies(struct store *st)
{
	struct bodies all = {.st = st};
	struct body_row b;
	enum err e = scan(st, 'B', each_body, &all);

	for (size_t i = 0; i < all.n && e == OK; i++) {
		e = body_get(st, all.account[i], all.sha[i], &b);
		b.count = 0;
		if (e == OK)
			body_put(st, all.account[i], all.sha[i], &b);
	}
	x_free(&all.account);
	x_free(&all.sha);
	return e;
}

static bool
each_doomed(void *ctx, str key, str row)
{
	struct store *st = ctx;
	struct key k = {.p = "R", .n = 1};

	memcpy(k.p + 1, key.p, key.n);
	k.n += key.n;
	index_del(st, &k);
	return true;
}

static void
reset_counts(struct store *st)
{
	size_t at = 0;
	void *v;

	while (map_next(st->live, &at, NULL, &v)) {
		((struct live *)v)->bytes = 0;
		((struct live *)v)->dirty = true;
	}
	st->stat_mailboxes = st->stat_messages = st->stat_entries = 0;
	st->totals_dirty = true;
}

/* Steps of some size, so that the memory of the index stays small. */
static enum err
step(struct store *st)
{
	enum err e;

	if (!index_due(st))
		return OK;
	pthread_mutex_unlock(&st->apply_mu);
	e = index_flush(st);
	resident_sweep(st, true);
	pthread_mutex_lock(&st->apply_mu);
	return e;
}

enum err
rebuild_finish(struct store *st)
{
	struct numbers v = {0};
	enum err e;

	if ((e = index_flush(st)) != OK)
		return e;
	pthread_mutex_lock(&st->apply_mu);
	st->rebuilding = false;
	reset_counts(st);
	e = scan(st, 'R', each_doomed, st);
	if (e == OK)
		e = count_bodies(st);
	if (e == OK)
		e = scan(st, 'M', each_mailbox, &v);
	for (size_t i = 0; i < v.n && e == OK; i++)
		if ((e = count_mailbox(st, v.a[i], (uint32_t)v.b[i])) == OK)
			e = step(st);
	v.n = 0;
	if (e == OK)
		e = scan(st, 'S', each_message, &v);
	for (size_t i = 0; i < v.n && e == OK; i++)
		if ((e = count_message(st, v.a[i], v.b[i])) == OK)
			e = step(st);
	for (size_t i = 0; i < v.n && e == OK; i++)
		if ((e = drop_message(st, v.a[i], v.b[i])) == OK)
			e = step(st);
	pthread_mutex_unlock(&st->apply_mu);
	numbers_free(&v);
	if (e == OK)
		log_info("references were counted anew",
		    KV_N("messages", st->stat_messages));
	return e != OK ? e : index_flush(st);
}
