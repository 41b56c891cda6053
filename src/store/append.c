/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * New messages: APPEND, of several at once, and delivery to many.
 *
 * (1) All that costs time, compression and hashing, is done by the caller's
 *     thread before the change is handed in.
 * (2) A body is always encoded, and left out of the group when every account
 *     of the change has it already.
 */
#include "store/view.h"
#include "store/new.h"
#include "store/summary.h"

/* ---- encoding (1) ---- */

struct text {
	struct summary s;
	struct buf made;   /* the summary, if it was made here */
	struct buf row;    /* as it stands in the index, */
	struct buf logged; /* and in the log */
	str body;
	struct buf body_enc;
	uint8_t sha[SHA_LEN];
};

static void
text_free(struct text *t)
{
	buf_free(&t->made);
	buf_free(&t->row);
	buf_free(&t->logged);
	buf_free(&t->body_enc);
}

static enum err
text_make(struct text *t, str message, str summary)
{
	enum err e = ERR_CORRUPT;

	*t = (struct text){0};
	if (message.n > limits.message_size_max)
		return ERR_TOOBIG;
	/* It may come from a peer: one that does not fit is made anew. */
	if (summary.n > 0)
		e = mime_summary_get(summary, &t->s);
	if (e != OK || t->s.size != message.n || t->s.header_size > message.n) {
		if ((e = mime_summarise(message, &t->made)) != OK)
			return e;
		summary = buf_str(&t->made);
		if ((e = mime_summary_get(summary, &t->s)) != OK)
			return e;
	}
	e = summary_pack(
	    summary, str_head(message, t->s.header_size), &t->row, &t->logged);
	if (e != OK)
		return e;
	t->body = str_from(message, t->s.header_size);
	if (t->body.n == 0)
		return OK;
	body_hash(t->body, t->sha);
	t->body_enc.max = SIZE_MAX;
	return body_encode_parts(
	    t->body, &t->s, t->s.header_size, &t->body_enc);
}

static enum err
header_make(const struct text *t, str message, str prefix, struct buf *out)
{
	struct buf whole = {0};
	enum err e;

	if (prefix.n == 0)
		return body_encode(str_head(message, t->s.header_size), out);
	buf_str_add(&whole, prefix);
	buf_str_add(&whole, str_head(message, t->s.header_size));
	e = buf_ok(&whole) ? body_encode(buf_str(&whole), out) : ERR_NOMEM;
	buf_free(&whole);
	return e;
}

/* ---- records ---- */

/* (2): is the body to be written for this account? */
static enum err
lacks_body(struct store *st, uint64_t account, const struct text *t, bool *yes)
{
	struct body_row b;
	enum err e;

	*yes = false;
	if (t->body.n == 0)
		return OK;
	e = body_get(st, account, t->sha, &b);
	*yes = e == ERR_NOTFOUND;
	return *yes ? OK : e;
}

static struct logref
add_body(
    struct plan *p, const struct text *t, const uint64_t *accounts, size_t n)
{
	struct record r = {.type = REC_BODY,
	    .accounts = accounts,
	    .naccounts = n,
	    .body_size = t->body.n,
	    .rest = buf_str(&t->body_enc)};

	memcpy(r.sha, t->sha, SHA_LEN);
	return plan_add(p, &r);
}

struct noting {
	struct plan *p;
	uint64_t account, thread;
	bool find;
};

/* Messages of the group are not in the index yet. */
static bool
note_thread(void *ctx, str id)
{
	struct noting *n = ctx;
	struct key k = thread_key(n->account, id);
	str key = str_of(k.p, k.n);
	uint64_t *v;

	if (n->p->threads == NULL)
		n->p->threads = map_new();
	v = map_get(n->p->threads, key);
	if (n->find) {
		if (v != NULL)
			n->thread = *v;
		return n->thread == 0;
	}
	if (v == NULL) {
		v = arena_alloc(n->p->arena, sizeof(*v));
		*v = n->thread;
		map_put(n->p->threads, key, v);
	}
	return true;
}

static enum err
pick_thread(struct plan *p, uint64_t account, const struct summary *s,
    uint64_t message, uint64_t *thread)
{
	struct noting n = {p, account, 0, true};
	enum err e = thread_find(p->st, account, s, thread);

	if (e != OK)
		return e;
	if (*thread == 0) {
		thread_ids(s, note_thread, &n);
		*thread = n.thread != 0 ? n.thread : message;
	}
	n.find = false;
	n.thread = *thread;
	thread_ids(s, note_thread, &n);
	return OK;
}

/* body: where it stands in this group, off 0: elsewhere. */
static enum err
add_message(struct plan *p, struct account *ac, const struct text *t,
    str header, uint32_t prefix, const struct logref *body, struct facts *f)
{
	struct record r = {.type = REC_MESSAGE,
	    .account = ac->id,
	    .size = (uint32_t)(prefix + t->s.size),
	    .header_size = prefix + t->s.header_size,
	    .prefix = prefix,
	    .body_size = t->body.n,
	    .header = header,
	    .summary = buf_str(&t->logged),
	    .row = buf_str(&t->row)};
	enum err e;

	r.message = ac->plan_message;
	e = pick_thread(p, ac->id, &t->s, r.message, &r.thread);
	if (e != OK)
		return e;
	ac->plan_message++;
	memcpy(r.sha, t->sha, SHA_LEN);
	if (body->off != 0)
		r.back = p->at.off - body->off;
	plan_add(p, &r);
	f->message = r.message;
	f->thread = r.thread;
	f->size = r.size;
	return OK;
}

/* ---- APPEND ---- */

struct append_item {
	struct text t;
	struct buf header;
	struct logref body;
	struct words w;
};

struct append {
	struct change c;
	struct acct *a;
	struct mbox *m;
	const struct new_message *in;
	struct append_item *item;
	size_t n;
	uint32_t *uids;
	struct rec_entry *entries;
};

/* The words of all messages, before anything is added to the plan. */
static enum err
append_words(struct append *x, struct plan *p, struct new_words *nw)
{
	enum err e = OK;

	pthread_mutex_lock(&x->m->mu);
	for (size_t i = 0; i < x->n && e == OK; i++)
		e = words_plan(
		    x->m, p, &x->in[i].flags, true, nw, &x->item[i].w);
	pthread_mutex_unlock(&x->m->mu);
	return e;
}

/* Several of one command may have the same body. */
static enum err
append_body(struct append *x, struct plan *p, size_t i)
{
	struct append_item *it = &x->item[i];
	bool write;
	enum err e;

	it->body = (struct logref){0};
	for (size_t j = 0; j < i; j++) {
		struct append_item *o = &x->item[j];

		if (o->body.off != 0 &&
		    memcmp(o->t.sha, it->t.sha, SHA_LEN) == 0) {
			it->body = o->body;
			return OK;
		}
	}
	e = lacks_body(p->st, x->a->ac->id, &it->t, &write);
	if (e == OK && write)
		it->body = add_body(p, &it->t, &x->a->ac->id, 1);
	return e;
}

static uint32_t
next_uid(struct mbox *m, uint32_t wanted)
{
	uint32_t uid = MAX(m->plan_uidnext, wanted);

	m->plan_uidnext = uid + 1;
	return uid;
}

static enum err
plan_append(struct plan *p, struct change *c)
{
	struct append *x = (struct append *)c;
	struct mbox *m = x->m;
	struct record r = {.type = REC_APPEND,
	    .account = m->account,
	    .mailbox = m->id,
	    .time_s = os_wall_ms() / 1000};
	struct new_words nw = {0};
	uint64_t last = 0;
	enum err e;

	if (m->dead || !x->a->ac->there)
		return ERR_NOTFOUND;
	plan_mbox(p, m);
	plan_account(p, x->a->ac);
	if (m->plan_alone)
		return ERR_BUSY;
	for (size_t i = 0; i < x->n; i++)
		last = MAX(last, (uint64_t)x->in[i].uid);
	if (MAX(last, (uint64_t)m->plan_uidnext) + x->n >= UINT32_MAX)
		return ERR_LIMIT;
	if ((e = append_words(x, p, &nw)) != OK)
		return e;
	words_add(p, m, &nw);
	for (size_t i = 0; i < x->n && e == OK; i++) {
		struct append_item *it = &x->item[i];
		struct rec_entry *y = &x->entries[i];

		*y = (struct rec_entry){.flags = it->w.flags,
		    .more = it->w.more,
		    .nmore = it->w.nmore,
		    .uidl = x->in[i].uidl};
		y->f.internaldate = x->in[i].internaldate.sec;
		y->f.zone_min = x->in[i].internaldate.zone_min;
		y->f.savedate = r.time_s;
		e = append_body(x, p, i);
		if (e == OK)
			e = add_message(p, x->a->ac, &it->t,
			    buf_str(&it->header), (uint32_t)x->in[i].prefix.n,
			    &it->body, &y->f);
		if (e == OK)
			x->uids[i] = y->uid = next_uid(m, x->in[i].uid);
	}
	if (e != OK)
		return e;
	r.modseq = ++m->plan_modseq;
	r.entries = x->entries;
	r.nentries = x->n;
	plan_add(p, &r);
	return OK;
}

enum err
store_append(struct acct *a, uint32_t mailbox, const struct new_message *in,
    size_t n, uint32_t *uidvalidity, uint32_t *uids)
{
	struct append x = {
	    .c.plan = plan_append, .a = a, .in = in, .n = n, .uids = uids};
	enum err e;

	if (!acct_may(a, 1u << GRANT_LOGIN | 1u << GRANT_ADMIN))
		return ERR_DENIED;
	if ((e = mbox_get(a->st, a->ac->id, mailbox, &x.m)) != OK)
		return e;
	x.item = x_array(n + 1, sizeof(*x.item));
	x.entries = x_array(n + 1, sizeof(*x.entries));
	for (size_t i = 0; i < n && e == OK; i++) {
		struct append_item *it = &x.item[i];

		if (in[i].uidl.n > 70)
			e = ERR_INVALID;
		if (e == OK)
			e = text_make(&it->t, in[i].message, in[i].summary);
		if (e == OK)
			e = header_make(
			    &it->t, in[i].message, in[i].prefix, &it->header);
	}
	if (e == OK && (e = mbox_pin(x.m, CONTENT_TAIL)) == OK) {
		*uidvalidity = x.m->uidvalidity;
		if (n > 0)
			e = commit(a->st, &x.c);
		mbox_unpin(x.m);
	}
	for (size_t i = 0; i < n; i++) {
		text_free(&x.item[i].t);
		buf_free(&x.item[i].header);
		words_free(&x.item[i].w);
	}
	x_free(&x.item);
	x_free(&x.entries);
	mbox_unref(&x.m);
	return e;
}

/* ---- delivery ---- */

struct deliver {
	struct change c;
	struct store *st;
	struct delivery *d;
	struct mbox **m;
	struct buf *header;
	uint64_t *accounts;
	size_t n;
	struct text t;
	struct stamp arrival;
	void (*done)(void *arg);
	void *arg;
};

static enum err
plan_recipient(
    struct plan *p, struct deliver *x, size_t i, const struct logref *body)
{
	struct mbox *m = x->m[i];
	struct rec_entry y = {0};
	struct record r = {.type = REC_APPEND,
	    .account = m->account,
	    .mailbox = m->id,
	    .time_s = os_wall_ms() / 1000,
	    .entries = &y,
	    .nentries = 1};
	enum err e;

	y.f.internaldate = x->arrival.sec;
	y.f.zone_min = x->arrival.zone_min;
	y.f.savedate = r.time_s;
	e = add_message(p, x->d[i].account->ac, &x->t, buf_str(&x->header[i]),
	    (uint32_t)x->d[i].prefix.n, body, &y.f);
	if (e != OK)
		return e;
	y.uid = next_uid(m, 0);
	r.modseq = ++m->plan_modseq;
	plan_add(p, &r);
	return OK;
}

/* May this recipient have it? BUSY: not in this group. */
static enum err
check_recipient(struct plan *p, struct deliver *x, size_t i)
{
	struct mbox *m = x->m[i];

	if (m->dead || !x->d[i].account->ac->there)
		return ERR_NOTFOUND;
	plan_mbox(p, m);
	plan_account(p, x->d[i].account->ac);
	if (m->plan_alone)
		return ERR_BUSY;
	return m->plan_uidnext == UINT32_MAX ? ERR_LIMIT : OK;
}

static enum err
plan_deliver(struct plan *p, struct change *c)
{
	struct deliver *x = (struct deliver *)c;
	struct logref body = {0};
	size_t lacking = 0;
	enum err e = OK;

	for (size_t i = 0; i < x->n; i++) {
		if (x->m[i] != NULL && check_recipient(p, x, i) == ERR_BUSY)
			return ERR_BUSY;
	}
	for (size_t i = 0; i < x->n && e == OK; i++) {
		bool lacks = false;

		if (x->m[i] == NULL)
			continue;
		x->d[i].result = check_recipient(p, x, i);
		if (x->d[i].result != OK)
			continue;
		e = lacks_body(p->st, x->d[i].account->ac->id, &x->t, &lacks);
		if (lacks)
			x->accounts[lacking++] = x->d[i].account->ac->id;
	}
	if (e == OK && lacking > 0)
		body = add_body(p, &x->t, x->accounts, lacking);
	for (size_t i = 0; i < x->n && e == OK; i++)
		if (x->m[i] != NULL && x->d[i].result == OK)
			e = plan_recipient(p, x, i, &body);
	return e;
}

static enum err
open_recipient(struct deliver *x, size_t i, str message)
{
	struct acct *a = x->d[i].account;
	enum err e = mbox_get(x->st, a->ac->id, INBOX_ID, &x->m[i]);

	if (e != OK)
		return e;
	if (x->d[i].prefix.n > limits.header_max)
		e = ERR_TOOBIG;
	if (e == OK)
		e = header_make(&x->t, message, x->d[i].prefix, &x->header[i]);
	if (e == OK)
		e = mbox_pin(x->m[i], CONTENT_TAIL);
	if (e != OK)
		mbox_unref(&x->m[i]);
	return e;
}

/* How many recipients there are to plan for. */
static size_t
deliver_begin(struct deliver *x, str message, str summary)
{
	size_t open = 0, n = x->n;
	enum err e = text_make(&x->t, message, summary);

	x->m = x_array(n + 1, sizeof(struct mbox *));
	x->header = x_array(n + 1, sizeof(*x->header));
	x->accounts = x_array(n + 1, sizeof(*x->accounts));
	for (size_t i = 0; i < n; i++) {
		x->d[i].result = e != OK ? e : open_recipient(x, i, message);
		open += x->d[i].result == OK;
	}
	return open;
}

static void
deliver_end(struct deliver *x, enum err e)
{
	for (size_t i = 0; i < x->n; i++) {
		if (x->m[i] != NULL) {
			if (e != OK)
				x->d[i].result = e;
			mbox_unpin(x->m[i]);
			mbox_unref(&x->m[i]);
		}
		buf_free(&x->header[i]);
	}
	text_free(&x->t);
	x_free(&x->m);
	x_free(&x->header);
	x_free(&x->accounts);
}

static void
delivered(struct change *c)
{
	struct deliver *x = (struct deliver *)c;

	deliver_end(x, c->result);
	x->done(x->arg);
	x_free(&x);
}

void
store_deliver_start(struct store *st, struct delivery *d, size_t n, str message,
    str summary, struct stamp arrival, void (*done)(void *arg), void *arg)
{
	struct deliver *x = x_alloc(sizeof(*x));

	*x = (struct deliver){.c.plan = plan_deliver,
	    .c.done = delivered,
	    .st = st,
	    .d = d,
	    .n = n,
	    .arrival = arrival,
	    .done = done,
	    .arg = arg};
	if (deliver_begin(x, message, summary) > 0)
		commit_start(st, &x->c);
	else
		delivered(&x->c);
}

void
store_deliver(struct store *st, struct delivery *d, size_t n, str message,
    str summary, struct stamp arrival)
{
	struct deliver x = {.c.plan = plan_deliver,
	    .st = st,
	    .d = d,
	    .n = n,
	    .arrival = arrival};
	enum err e = OK;

	if (deliver_begin(&x, message, summary) > 0)
		e = commit(st, &x.c);
	deliver_end(&x, e);
}
