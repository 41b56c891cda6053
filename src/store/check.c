/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Verifying what is on disk: every row of the index by its checksum and
 * form, the sums and counts between the tables; full: every group of the log,
 * and that each message and body stands where the index says, whole.
 *
 * (1) The index is read in one transaction: one moment of it. The tables come
 *     in the order of their letters, and are held against each other as far
 *     as they have come; what is left is compared at the end.
 * (2) Segments are held while it lasts, so that what that moment names can be
 *     read.
 */
#include "store/check.h"
#include "store/summary.h"

#include <stdlib.h>

void
check_fault(struct check *c, const char *fmt, ...)
{
	struct buf b = {0};
	va_list ap;

	c->faults++;
	if (c->fault == NULL)
		return;
	va_start(ap, fmt);
	buf_vf(&b, fmt, ap);
	va_end(ap);
	c->fault(c->arg, buf_str(&b));
	buf_free(&b);
}

void
check_push(struct check_list *l, const void *x, size_t size)
{
	if (l->n == l->cap) {
		l->cap = MAX((size_t)256, l->cap * 2);
		l->p = x_grow(l->p, l->cap, size);
	}
	memcpy((char *)l->p + l->n++ * size, x, size);
}

#define ULL(x) ((unsigned long long)(x))

/* ---- rows, table by table ---- */

static bool
row_account(struct check *c, struct dec *k, str v)
{
	struct account a = {0};
	struct check_account x = {.id = dec_be64(k)};

	if (!dec_end(k) || account_decode(v, &a) != OK)
		return false;
	x.nodes = a.nodes;
	x.subscriptions = a.subscriptions;
	x.next_message = a.next_message;
	x_free_str(&a.name);
	check_push(&c->accounts, &x, sizeof(x));
	return true;
}

static bool
row_body(struct check *c, struct dec *k, str v)
{
	struct check_body x = {.account = dec_be64(k)};
	str sha = dec_take(k, SHA_LEN);

	if (!dec_end(k) || body_decode_row(v, &x.row) != OK)
		return false;
	memcpy(x.sha, sha.p, SHA_LEN);
	check_push(&c->bodies, &x, sizeof(x));
	return true;
}

static bool
row_node(struct check *c, struct dec *k, str v)
{
	struct check_node x = {.account = dec_be64(k)};
	struct node n = {0};

	x.id = dec_be32(k);
	if (!dec_end(k) || node_decode(v, &n) != OK || n.name.n == 0)
		return false;
	x.parent = n.parent;
	x.children = n.children;
	x.mailbox = n.mailbox;
	x.uidvalidity = n.uidvalidity;
	x.name_hash = hash_xxh3(n.name, 0);
	check_push(&c->nodes, &x, sizeof(x));
	return true;
}

static bool
row_facts(struct check *c, struct dec *k, str v)
{
	struct check_run x = {.account = dec_be64(k)};
	struct chunk *ch = chunk_new(0);
	bool ok;

	x.mailbox = dec_be32(k);
	x.key = dec_be32(k);
	ch->u->n = v.n >= 2 ? (uint8_t)v.p[1] : 0;
	ok = dec_end(k) && ch->u->n > 0 && ch->u->n <= CHUNK_MAX &&
	     facts_decode(v, ch) == OK;
	if (ok) {
		x.n = ch->u->n;
		x.first = c->facts.n;
		for (uint32_t i = 0; i < x.n; i++)
			check_push(
			    &c->facts, &ch->facts[i], sizeof(struct facts));
		check_push(&c->runs, &x, sizeof(x));
	}
	chunk_free(&ch);
	return ok;
}

static bool
row_mailbox(struct check *c, struct dec *k, str v)
{
	struct check_mailbox x = {.account = dec_be64(k)};
	struct mbox m = {0};

	x.id = dec_be32(k);
	if (!dec_end(k) || mbox_head_decode(v, &m) != OK || m.uidnext == 0)
		return false;
	x.dead = m.dead;
	if (m.dead) {
		struct check_wait w = {x.account, UINT64_MAX, x.id};

		check_push(&c->gone, &w, sizeof(w));
	}
	x.node = m.node;
	x.uidvalidity = m.uidvalidity;
	x.uidnext = m.uidnext;
	x.modseq = atomic_load(&m.modseq);
	x.messages = m.messages;
	x.unseen = m.unseen;
	x.deleted = m.deleted;
	x.size = m.size;
	x.deleted_size = m.deleted_size;
	x.keywords = m.nkeywords;
	x.uidls = m.uidls;
	check_push(&c->mailboxes, &x, sizeof(x));
	return true;
}

static struct check_mailbox *
find_mailbox(struct check *c, uint64_t account, uint32_t id)
{
	struct check_mailbox *v = c->mailboxes.p;
	size_t lo = 0;
	size_t hi = c->mailboxes.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (v[mid].account < account ||
		    (v[mid].account == account && v[mid].id < id))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < c->mailboxes.n && v[lo].account == account && v[lo].id == id
		   ? &v[lo]
		   : NULL;
}

static void
refer(struct check *c, uint64_t account, uint64_t message)
{
	struct check_ref x = {account, message, 1};

	check_push(&c->refs, &x, sizeof(x));
}

static void
state_entries(struct check *c, struct check_mailbox *m,
    const struct check_run *run, const struct chunk *ch)
{
	const struct facts *f = (struct facts *)c->facts.p + run->first;

	if (ch->u->uid[0] <= m->last_uid || ch->u->uid[0] < run->key)
		check_fault(c, "account %llu mailbox %u: UIDs do not ascend",
		    ULL(m->account), m->id);
	m->last_uid = ch->u->uid[ch->u->n - 1];
	if (m->last_uid >= m->uidnext || ch->max_modseq > m->modseq)
		check_fault(c,
		    "account %llu mailbox %u: a UID or modseq is past the "
		    "mailbox's",
		    ULL(m->account), m->id);
	for (uint32_t i = 0; i < ch->u->n; i++) {
		m->found_messages++;
		m->found_size += f[i].size;
		m->found_unseen += !(ch->flags[i] & FLAG_SEEN);
		if (ch->flags[i] & FLAG_DELETED) {
			m->found_deleted++;
			m->found_deleted_size += f[i].size;
		}
		m->found_more += (ch->flags[i] & FLAG_MORE) != 0;
		refer(c, m->account, f[i].message);
	}
}

static bool
row_state(struct check *c, struct dec *k, str v)
{
	struct check_run *run;
	struct check_mailbox *m;
	struct chunk *ch;
	uint64_t account = dec_be64(k);
	uint32_t mailbox = dec_be32(k);
	uint32_t viewer = dec_be32(k);
	uint32_t key = dec_be32(k);
	bool ok;

	if (!dec_end(k) || viewer != 0)
		return false;
	m = find_mailbox(c, account, mailbox);
	run = c->next_run < c->runs.n
		  ? (struct check_run *)c->runs.p + c->next_run
		  : NULL;
	if (m == NULL || run == NULL || run->account != account ||
	    run->mailbox != mailbox || run->key != key) {
		check_fault(c,
		    "account %llu mailbox %u: a row of state without its "
		    "facts or mailbox",
		    ULL(account), mailbox);
		return true;
	}
	c->next_run++;
	ch = chunk_new(key);
	ok = state_decode(v, ch) == OK && ch->u->n == run->n;
	if (ok)
		state_entries(c, m, run, ch);
	chunk_free(&ch);
	return ok;
}

static bool
row_gone(struct check *c, struct dec *k, str v)
{
	uint64_t account = dec_be64(k);
	uint32_t mailbox = dec_be32(k);
	struct check_wait x = {account, dec_be64(k), mailbox};
	struct check_mailbox *m = find_mailbox(c, account, mailbox);
	struct gone_row g = {0};

	dec_be32(k);
	if (!dec_end(k) || gone_decode(v, &g) != OK)
		return false;
	check_push(&c->gone, &x, sizeof(x));
	if (m == NULL)
		check_fault(c,
		    "account %llu mailbox %u: expunged messages of "
		    "a mailbox that is not there",
		    ULL(account), mailbox);
	for (uint32_t i = 0; i < g.n; i++) {
		refer(c, account, g.v[i].f.message);
		if (m != NULL)
			m->found_more += (g.v[i].flags & FLAG_MORE) != 0;
	}
	x_free(&g.v);
	return true;
}

static bool
row_refs(struct check *c, struct dec *k, str v)
{
	uint64_t account = dec_be64(k);
	uint64_t first = dec_be64(k);
	struct dec d = dec_of(v);

	if (!dec_end(k) || dec_u8(&d) != 1)
		return false;
	for (uint64_t i = 0; dec_left(&d) > 0; i++) {
		struct check_ref x = {account, first + i, dec_var(&d)};

		if (x.count > 0)
			check_push(&c->counted, &x, sizeof(x));
	}
	return dec_end(&d);
}

struct ids {
	struct check *c;
	uint64_t account;
};

static bool
note_id(void *ctx, str id)
{
	struct ids *i = ctx;
	struct check_thread x = {i->account, hash_xxh3(id, 0), 1};

	check_push(&i->c->ids, &x, sizeof(x));
	return true;
}

static void
note_ids(struct check *c, uint64_t account, const struct summary *s)
{
	struct ids i = {c, account};

	thread_ids(s, note_id, &i);
}

static bool
row_thread(struct check *c, struct dec *k, str v)
{
	struct check_thread x = {.account = dec_be64(k)};
	struct dec d = dec_of(v);
	unsigned form = dec_u8(&d);

	x.hash = dec_be64(k);
	if (!dec_end(k) || form < 1 || form > 2)
		return false;
	while (dec_left(&d) > 0) {
		if (form == 1 && hash_xxh3(dec_str(&d), 0) != x.hash)
			return false;
		dec_var(&d);
		x.count += dec_var(&d);
	}
	check_push(&c->threads, &x, sizeof(x));
	return dec_end(&d);
}

static bool
row_wait(struct check *c, struct dec *k, str v)
{
	struct check_wait x = {0};

	dec_be64(k);
	x.account = dec_be64(k);
	x.mailbox = dec_be32(k);
	x.modseq = dec_be64(k);
	if (!dec_end(k))
		return false;
	check_push(&c->waits, &x, sizeof(x));
	return true;
}

static bool
row_totals(struct check *c, struct dec *k, str v)
{
	struct dec d = dec_of(v);

	if (!dec_end(k) || dec_u8(&d) != 1)
		return false;
	dec_var(&d);
	dec_var(&d);
	c->totals = true;
	c->total_messages = dec_var(&d);
	dec_var(&d);
	return dec_end(&d);
}

static bool
row_message(struct check *c, struct dec *k, str v)
{
	struct check_message x = {.account = dec_be64(k)};
	struct message_row m = {0};
	struct summary s;
	uint64_t len;
	unsigned part;
	bool ok;

	x.message = dec_be64(k);
	part = dec_u8(k) * 256u;
	part += dec_u8(k);
	if (!dec_end(k))
		return false;
	if (part > 0) {
		struct check_message *last =
		    (struct check_message *)c->messages.p + c->messages.n - 1;

		if (c->messages.n == 0 || last->account != x.account ||
		    last->message != x.message || last->found != part)
			return false;
		last->found++;
		return true;
	}
	buf_str_add(&m.buf, v);
	ok = message_decode(&m, &len);
	x.found = 1;
	x.parts = m.parts;
	x.row = m;
	/* A summary in one part can be looked at here. */
	if (ok && m.parts == 1) {
		str sum = str_from(buf_str(&m.buf), m.buf.n - m.summary.n);
		struct buf room = {0};

		ok = summary_unpack(sum, UPTO_ALL, &room, &sum) == OK &&
		     mime_summary_get(sum, &s) == OK &&
		     s.size + m.prefix == m.size &&
		     s.header_size + m.prefix == m.header_size;
		if (ok)
			note_ids(c, x.account, &s);
		buf_free(&room);
	}
	buf_free(&m.buf);
	x.row.buf = (struct buf){0};
	if (ok)
		check_push(&c->messages, &x, sizeof(x));
	return ok;
}

static bool
row_name(struct check *c, struct dec *k, str v)
{
	struct check_name x = {.account = dec_be64(k)};
	struct dec d = dec_of(v);

	x.parent = dec_be32(k);
	x.hash = dec_be64(k);
	if (!dec_end(k) || dec_u8(&d) != 1)
		return false;
	while (dec_left(&d) > 0) {
		if (hash_xxh3(dec_str(&d), 0) != x.hash)
			return false;
		x.node = (uint32_t)dec_var(&d);
		check_push(&c->names, &x, sizeof(x));
	}
	return dec_end(&d);
}

static bool
row_more(struct check *c, struct dec *k, str v)
{
	uint64_t account = dec_be64(k);
	struct check_mailbox *m = find_mailbox(c, account, dec_be32(k));

	dec_be32(k);
	if (!dec_end(k) || m == NULL)
		return false;
	m->rows_more++;
	return true;
}

static bool
row_keyword(struct check *c, struct dec *k, str v)
{
	uint64_t account = dec_be64(k);
	uint32_t mailbox = dec_be32(k);
	struct check_keyword x = {account, mailbox};

	dec_be32(k);
	if (!dec_end(k) || v.n < 2)
		return false;
	check_push(&c->keywords, &x, sizeof(x));
	return true;
}

/* The table comes last, the accounts first. */
static bool
row_subscription(struct check *c, struct dec *k, str v)
{
	uint64_t account = dec_be64(k);
	uint64_t hash = dec_be64(k);
	struct dec d = dec_of(v);
	struct check_account *a = check_find_account(c, account);

	if (!dec_end(k) || dec_u8(&d) != 1)
		return false;
	while (dec_left(&d) > 0) {
		if (hash_xxh3(dec_str(&d), 0) != hash || dec_var(&d) != 1)
			return false;
		if (a != NULL)
			a->found_subscriptions++;
	}
	if (a == NULL)
		check_fault(c, "account %llu: subscriptions of no account",
		    ULL(account));
	return dec_end(&d);
}

static bool
row_uidl(struct check *c, struct dec *k, str v)
{
	uint64_t account = dec_be64(k);
	struct check_keyword x = {account, dec_be32(k)};

	dec_be32(k);
	if (!dec_end(k) || v.n < 2)
		return false;
	check_push(&c->uidls, &x, sizeof(x));
	return true;
}

static bool
row_live(struct check *c, struct dec *k, str v)
{
	uint64_t segment = dec_be64(k);
	struct check_live x = {.segment = segment};
	struct dec d = dec_of(v);
	uint64_t bytes;
	bool there = false;

	if (!dec_end(k) || dec_u8(&d) != 1)
		return false;
	bytes = x.counted = dec_var(&d);
	check_push(&c->live, &x, sizeof(x));
	for (size_t i = 0; i < c->nsegments; i++)
		there = there || c->segments[i]->number == segment;
	if (bytes > 0 && !there)
		check_fault(c, "segment %llu is missing", ULL(segment));
	return dec_end(&d);
}

static bool
each_row(void *ctx, str key, str value, bool ok)
{
	static bool (*const tables[128])(struct check *, struct dec *, str) = {
	    ['A'] = row_account,
	    ['B'] = row_body,
	    ['D'] = row_node,
	    ['E'] = row_wait,
	    ['F'] = row_facts,
	    ['G'] = row_live,
	    ['K'] = row_keyword,
	    ['L'] = row_uidl,
	    ['M'] = row_mailbox,
	    ['N'] = row_name,
	    ['R'] = row_refs,
	    ['S'] = row_message,
	    ['T'] = row_thread,
	    ['U'] = row_state,
	    ['V'] = row_totals,
	    ['W'] = row_more,
	    ['X'] = row_gone,
	    ['Z'] = row_subscription};
	struct check *c = ctx;
	unsigned table = (unsigned char)key.p[0];
	struct dec d = dec_of(str_from(key, 1));

	if (!ok) {
		check_fault(c, "index: a row of table %c has a wrong checksum",
		    table > 32 && table < 127 ? (int)table : '?');
		return true;
	}
	if (table >= 128 || strchr("ABDEFGHKLMNPRSTUVWXZ", (int)table) == NULL)
		check_fault(c, "index: a row of a table that is not known");
	else if (tables[table] != NULL && !tables[table](c, &d, value))
		check_fault(
		    c, "index: a row of table %c is malformed", (int)table);
	return true;
}

uint64_t
store_check(struct store *st, bool full, void (*fault)(void *arg, str sentence),
    void *arg)
{
	struct check c = {.st = st, .fault = fault, .arg = arg};
	struct log_pos end;
	enum err e = index_flush(st);

	if (e == OK)
		e = log_segments(st, &c.segments, &c.nsegments, &end);
	if (e == OK)
		e = index_verify(st, each_row, &c);
	if (e != OK)
		check_fault(&c, "the index cannot be read: %s", err_name(e));
	check_compare(&c);
	if (full)
		check_log(&c, &end);
	for (size_t i = 0; i < c.nsegments; i++)
		segment_unref(&c.segments[i]);
	x_free(&c.segments);
	check_free(&c);
	return c.faults;
}
