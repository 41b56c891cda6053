/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Messages and bodies: their rows, who refers to them, and what of the log
 * is still needed.
 *
 * S account message part: the message; long summaries take several parts,
 *   and the first says how many (a missing one is noticed).
 * B account sha: the body, and how many messages of the account have it.
 * R account first: how many entries refer to each of REFS_BLOCK messages.
 * G segment: bytes still needed.
 *
 * (1) A message lives while an entry, or an expunged one, refers to it; it
 *     is freed when the last goes.
 */
#include "store/apply.h"
#include "store/log.h"
#include "store/summary.h"

#include <stdlib.h>

enum { REFS_BLOCK = 64, PART_MAX = 3600 };

/* ---- segments ---- */

void
live_add(struct store *st, uint64_t segment, int64_t bytes)
{
	struct live *l = map_get_u64(st->live, segment);

	if (l == NULL) {
		l = x_alloc(sizeof(*l));
		l->segment = segment;
		map_put_u64(st->live, segment, l);
	}
	if (bytes < 0 && l->bytes < (uint64_t)-bytes)
		l->bytes = 0;
	else
		l->bytes += (uint64_t)bytes;
	l->dirty = true;
}

uint64_t
live_bytes(struct store *st, uint64_t segment)
{
	struct live *l = map_get_u64(st->live, segment);

	return l == NULL ? 0 : l->bytes;
}

/* ---- bodies ---- */

static struct key
body_key(uint64_t account, const uint8_t sha[SHA_LEN])
{
	struct key k = key_of('B', account);

	memcpy(k.p + k.n, sha, SHA_LEN);
	k.n += SHA_LEN;
	return k;
}

enum err
body_decode_row(str row, struct body_row *b)
{
	struct dec d = dec_of(row);

	if (dec_u8(&d) != 1)
		return ERR_CORRUPT;
	b->record.seg = b->data.seg = dec_var(&d);
	b->record.off = dec_var(&d);
	b->data.off = dec_var(&d);
	b->data.len = dec_var(&d);
	b->size = dec_var(&d);
	b->count = dec_var(&d);
	b->share = dec_var(&d);
	return dec_end(&d) ? OK : ERR_CORRUPT;
}

enum err
body_get(struct store *st, uint64_t account, const uint8_t sha[SHA_LEN],
    struct body_row *b)
{
	struct key k = body_key(account, sha);
	struct buf row = {0};
	enum err e = index_get(st, &k, &row);

	if (e == OK)
		e = body_decode_row(buf_str(&row), b);
	buf_free(&row);
	return e;
}

void
body_put(struct store *st, uint64_t account, const uint8_t sha[SHA_LEN],
    const struct body_row *b)
{
	struct key k = body_key(account, sha);
	struct buf row = {0};

	enc_u8(&row, 1);
	enc_var(&row, b->record.seg);
	enc_var(&row, b->record.off);
	enc_var(&row, b->data.off);
	enc_var(&row, b->data.len);
	enc_var(&row, b->size);
	enc_var(&row, b->count);
	enc_var(&row, b->share);
	index_put(st, &k, buf_str(&row));
	buf_free(&row);
}

enum err
apply_body(struct apply *a, const struct record *r)
{
	struct group_body *b;

	if (a->nbodies == a->cap) {
		a->cap = MAX((size_t)8, a->cap * 2);
		a->bodies = x_grow(a->bodies, a->cap, sizeof(*a->bodies));
	}
	b = &a->bodies[a->nbodies++];
	b->off = a->at.off;
	b->data.seg = a->at.seg;
	b->data.off = a->at.off + RECORD_HEAD + a->payload - r->rest.n;
	b->data.len = r->rest.n;
	b->size = r->body_size;
	b->share = log_record_size(a->payload) / MAX(r->naccounts, (size_t)1);
	return OK;
}

static struct group_body *
body_of_group(struct apply *a, uint64_t back)
{
	for (size_t i = a->nbodies; i > 0; i--)
		if (a->bodies[i - 1].off + back == a->at.off)
			return &a->bodies[i - 1];
	return NULL;
}

static void
body_from_group(struct apply *a, const struct group_body *g, struct body_row *b)
{
	b->record = (struct logref){a->at.seg, g->off};
	b->data = g->data;
	b->size = g->size;
	b->share = g->share;
	live_add(a->st, a->at.seg, (int64_t)g->share);
}

/* One message more has the body. */
static enum err
body_refer(struct apply *a, const struct record *r)
{
	struct body_row b = {0};
	struct group_body *g;
	enum err e = body_get(a->st, r->account, r->sha, &b);

	if (e == ERR_NOTFOUND) {
		g = r->back == 0 ? NULL : body_of_group(a, r->back);
		if (g != NULL)
			body_from_group(a, g, &b);
		else if (!a->st->rebuilding)
			return apply_damage(a, "a message without its body");
		else
			return OK; /* a REHOME will bring it */
	} else if (e != OK) {
		return e;
	}
	b.count++;
	body_put(a->st, r->account, r->sha, &b);
	return OK;
}

static enum err
body_unrefer(struct store *st, uint64_t account, const uint8_t sha[SHA_LEN])
{
	struct body_row b;
	struct key k = body_key(account, sha);
	enum err e = body_get(st, account, sha, &b);

	if (e == ERR_NOTFOUND)
		return OK; /* lost, and said so by check and rebuild */
	if (e != OK)
		return e;
	if (b.count > 1) {
		b.count--;
		body_put(st, account, sha, &b);
		return OK;
	}
	live_add(st, b.record.seg, -(int64_t)b.share);
	index_del(st, &k);
	return OK;
}

enum err
apply_rehome(struct apply *a, const struct record *r)
{
	struct body_row b = {0};
	struct group_body *g = body_of_group(a, r->back);
	enum err e = body_get(a->st, r->account, r->sha, &b);

	if (g == NULL)
		return apply_damage(a, "a moved body is not in its group");
	if (e == ERR_NOTFOUND && !a->st->rebuilding)
		return OK; /* freed since */
	if (e == OK)
		live_add(a->st, b.record.seg, -(int64_t)b.share);
	else if (e != ERR_NOTFOUND)
		return e;
	body_from_group(a, g, &b);
	body_put(a->st, r->account, r->sha, &b);
	return OK;
}

/* ---- messages ---- */

struct key
message_key(uint64_t account, uint64_t message, uint16_t part)
{
	struct key k = key_of('S', account);

	key_u64(&k, message);
	k.p[k.n++] = (uint8_t)(part >> 8);
	k.p[k.n++] = (uint8_t)part;
	return k;
}

void
message_put(struct store *st, uint64_t account, uint64_t message,
    const struct message_row *m)
{
	uint32_t parts = (uint32_t)(m->summary.n / PART_MAX + 1);
	struct buf row = {0};

	for (uint32_t i = 0; i < parts; i++) {
		struct key k = message_key(account, message, (uint16_t)i);

		buf_reset(&row);
		enc_u8(&row, 1);
		if (i == 0) {
			enc_var(&row, parts);
			enc_var(&row, m->thread);
			enc_var(&row, m->size);
			enc_var(&row, m->header_size);
			enc_var(&row, m->prefix);
			enc_var(&row, m->header.seg);
			enc_var(&row, m->header.off);
			enc_var(&row, m->header.len);
			enc_var(&row, m->log_bytes);
			buf_add(&row, m->sha, SHA_LEN);
			enc_var(&row, m->body_size);
			enc_var(&row, m->summary.n);
		}
		buf_str_add(
		    &row, str_head(str_from(m->summary, (size_t)i * PART_MAX),
			      PART_MAX));
		index_put(st, &k, buf_str(&row));
	}
	buf_free(&row);
}

bool
message_decode(struct message_row *m, uint64_t *summary_len)
{
	struct dec d = dec_of(buf_str(&m->buf));
	str sha;

	if (dec_u8(&d) != 1)
		return false;
	m->parts = (uint32_t)dec_var(&d);
	m->thread = dec_var(&d);
	m->size = (uint32_t)dec_var(&d);
	m->header_size = (uint32_t)dec_var(&d);
	m->prefix = (uint32_t)dec_var(&d);
	m->header.seg = dec_var(&d);
	m->header.off = dec_var(&d);
	m->header.len = dec_var(&d);
	m->log_bytes = dec_var(&d);
	sha = dec_take(&d, SHA_LEN);
	if (d.bad)
		return false;
	memcpy(m->sha, sha.p, SHA_LEN);
	m->body_size = dec_var(&d);
	*summary_len = dec_var(&d);
	/* The pieces that follow in buf are put behind this one. */
	m->summary.n = dec_left(&d);
	return !d.bad && m->parts == *summary_len / PART_MAX + 1 &&
	       m->summary.n <= PART_MAX;
}

enum err
message_get(
    struct store *st, uint64_t account, uint64_t message, struct message_row *m)
{
	struct key k = message_key(account, message, 0);
	struct buf more = {0};
	uint64_t len = 0;
	size_t at;
	enum err e;

	*m = (struct message_row){0};
	if ((e = index_get(st, &k, &m->buf)) != OK)
		goto out;
	e = message_decode(m, &len) ? OK : ERR_CORRUPT;
	at = m->buf.n - m->summary.n;
	for (uint32_t i = 1; e == OK && i < m->parts; i++) {
		k = message_key(account, message, (uint16_t)i);
		buf_reset(&more);
		e = index_get(st, &k, &more);
		if (e == ERR_NOTFOUND || (e == OK && more.n < 1))
			e = ERR_CORRUPT;
		if (e == OK)
			buf_str_add(&m->buf, str_from(buf_str(&more), 1));
	}
	if (e == OK && m->buf.n - at != len)
		e = ERR_CORRUPT;
	if (e == ERR_CORRUPT)
		index_damaged(st, "a message's row is malformed");
	m->summary = str_from(buf_str(&m->buf), at);
out:
	buf_free(&more);
	if (e != OK)
		buf_free(&m->buf);
	return e;
}

void
message_row_free(struct message_row *m)
{
	buf_free(&m->buf);
}

static void
row_of_record(struct apply *a, const struct record *r, struct message_row *m)
{
	*m = (struct message_row){.thread = r->thread,
	    .size = r->size,
	    .header_size = r->header_size,
	    .prefix = r->prefix,
	    .body_size = r->body_size,
	    .log_bytes = log_record_size(a->payload)};
	m->header.seg = a->at.seg;
	m->header.off =
	    a->at.off + RECORD_HEAD + a->payload - r->header.n - r->summary.n;
	m->header.len = r->header.n;
	memcpy(m->sha, r->sha, SHA_LEN);
}

/* Its ids lead to its thread, or no longer do. */
static enum err
note(struct store *st, uint64_t account, str stored, uint64_t thread, bool on)
{
	struct buf room = {0};
	struct summary s;
	str summary;
	enum err e = summary_unpack(stored, UPTO_ALL, &room, &summary);

	if (e == OK && mime_summary_get(summary, &s) == OK)
		e = thread_note(st, account, &s, thread, on);
	buf_free(&room);
	return e;
}

/* Only its place is new. */
static enum err
message_moved(struct apply *a, const struct record *r, bool *done)
{
	struct message_row old;
	struct message_row new;
	enum err e = message_get(a->st, r->account, r->message, &old);

	*done = e != ERR_NOTFOUND || !a->st->rebuilding;
	if (e == ERR_NOTFOUND)
		return OK; /* freed since; or not seen yet */
	if (e != OK)
		return e;
	live_add(a->st, old.header.seg, -(int64_t)old.log_bytes);
	row_of_record(a, r, &new);
	new.summary = old.summary;
	live_add(a->st, a->at.seg, (int64_t) new.log_bytes);
	message_put(a->st, r->account, r->message, &new);
	message_row_free(&old);
	return OK;
}

enum err
apply_message(struct apply *a, const struct record *r)
{
	struct account *ac;
	struct message_row m;
	struct buf row = {0};
	bool done = false;
	enum err e;

	if (r->moved && ((e = message_moved(a, r, &done)) != OK || done))
		return e;
	row_of_record(a, r, &m);
	if ((m.summary = r->row).n == 0) {
		e = summary_row(
		    r->summary, r->header, r->header_size, r->prefix, &row);
		m.summary = buf_str(&row);
		if (e != OK)
			goto out;
	}
	if ((e = account_get(a->st, r->account, &ac)) != OK)
		goto out;
	message_put(a->st, r->account, r->message, &m);
	live_add(a->st, a->at.seg, (int64_t)m.log_bytes);
	if (r->body_size > 0)
		e = body_refer(a, r);
	if (e == OK)
		e = note(a->st, r->account, m.summary, r->thread, true);
	ac->next_message = MAX(ac->next_message, r->message + 1);
	account_dirty(ac);
	account_unref(&ac);
	a->st->stat_messages++;
	a->st->totals_dirty = true;
out:
	buf_free(&row);
	return e;
}

static enum err
message_drop(struct store *st, uint64_t account, uint64_t message)
{
	struct message_row m;
	enum err e = message_get(st, account, message, &m);

	if (e == ERR_NOTFOUND && st->rebuilding)
		return OK;
	if (e != OK)
		return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
	for (uint32_t i = 0; i < m.parts; i++) {
		struct key k = message_key(account, message, (uint16_t)i);

		index_del(st, &k);
	}
	live_add(st, m.header.seg, -(int64_t)m.log_bytes);
	if (m.body_size > 0)
		e = body_unrefer(st, account, m.sha);
	if (e == OK)
		e = note(st, account, m.summary, m.thread, false);
	message_row_free(&m);
	st->stat_messages -= st->stat_messages > 0;
	st->totals_dirty = true;
	return e;
}

/* ---- references ---- */

static struct key
refs_key(uint64_t account, uint64_t message)
{
	struct key k = key_of('R', account);

	key_u64(&k, message - message % REFS_BLOCK);
	return k;
}

static enum err
refs_get(struct store *st, const struct key *k, uint32_t v[REFS_BLOCK])
{
	struct buf row = {0};
	enum err e = index_get(st, k, &row);
	struct dec d = dec_of(buf_str(&row));

	memset(v, 0, REFS_BLOCK * sizeof(v[0]));
	if (e == OK) {
		if (dec_u8(&d) != 1)
			d.bad = true;
		for (int i = 0; i < REFS_BLOCK && dec_left(&d) > 0; i++)
			v[i] = (uint32_t)dec_var(&d);
		if (!dec_end(&d))
			e = ERR_CORRUPT;
	} else if (e == ERR_NOTFOUND) {
		e = OK;
	}
	buf_free(&row);
	return e;
}

enum err
message_refer(struct store *st, uint64_t account, uint64_t message, int by)
{
	struct key k = refs_key(account, message);
	uint32_t v[REFS_BLOCK];
	uint32_t *n = &v[message % REFS_BLOCK];
	struct buf row = {0};
	int last = -1;
	enum err e;

	if (st->rebuilding)
		return OK; /* counted when all is known: rebuild.c */
	if ((e = refs_get(st, &k, v)) != OK)
		return e;
	if (by < 0 && *n == 0)
		return ERR_CORRUPT;
	*n += (uint32_t)by;
	for (int i = 0; i < REFS_BLOCK; i++)
		if (v[i] > 0)
			last = i;
	if (last < 0) {
		index_del(st, &k);
	} else {
		enc_u8(&row, 1);
		for (int i = 0; i <= last; i++)
			enc_var(&row, v[i]);
		index_put(st, &k, buf_str(&row));
		buf_free(&row);
	}
	return *n == 0 && by < 0 ? message_drop(st, account, message)
				 : OK; /* (1) */
}

uint32_t
message_refs(struct store *st, uint64_t account, uint64_t message)
{
	struct key k = refs_key(account, message);
	uint32_t v[REFS_BLOCK];

	return refs_get(st, &k, v) == OK ? v[message % REFS_BLOCK] : 0;
}
