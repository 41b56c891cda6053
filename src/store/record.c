/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Writing and reading change records (record.h). Each type has its writer
 * and its reader side by side; lists have theirs first.
 *
 * (1) A count that is read is at most the bytes that are left: what is made
 *     in the arena is bounded by the input.
 */
#include "store/record.h"

enum { FIRST_MORE = 57 };

/* ---- lists ---- */

static void
enc_ranges(struct buf *b, const struct ranges *r)
{
	uint64_t at = 0;

	enc_var(b, r->n);
	for (size_t i = 0; i < r->n; i++) {
		enc_var(b, r->v[i].lo - at);
		enc_var(b, r->v[i].hi - r->v[i].lo);
		at = (uint64_t)r->v[i].hi + 1;
	}
}

/* A count of things of at least `least` bytes each: (1). */
static size_t
dec_count(struct dec *d, size_t least)
{
	uint64_t n = dec_var(d);

	if (d->bad || n > dec_left(d) / least) {
		d->bad = true;
		return 0;
	}
	return (size_t)n;
}

static void *
dec_array(struct dec *d, struct arena *a, size_t n, size_t size)
{
	void *p = n == 0 ? NULL : arena_array(a, n, size);

	if (n > 0 && p == NULL)
		d->bad = true;
	return p;
}

static void
dec_ranges(struct dec *d, struct arena *a, struct ranges *r)
{
	size_t n = dec_count(d, 2);
	struct range *v = dec_array(d, a, n, sizeof(*v));
	uint64_t at = 0;

	for (size_t i = 0; i < n && !d->bad; i++) {
		uint64_t lo = dec_var(d);
		uint64_t len = dec_var(d);

		/* Ascending, disjoint, not adjacent. */
		if (lo > UINT32_MAX || len > UINT32_MAX ||
		    at + lo + len > UINT32_MAX || (i > 0 && lo == 0)) {
			d->bad = true;
			break;
		}
		v[i].lo = (uint32_t)(at + lo);
		v[i].hi = (uint32_t)(at + lo + len);
		at = (uint64_t)v[i].hi + 1;
	}
	*r = (struct ranges){d->bad ? NULL : v, d->bad ? 0 : n, 0};
}

static void
enc_more(struct buf *b, const uint16_t *more, size_t n)
{
	unsigned at = FIRST_MORE;

	enc_var(b, n);
	for (size_t i = 0; i < n; i++) {
		enc_var(b, more[i] - at);
		at = more[i] + 1u;
	}
}

static const uint16_t *
dec_more(struct dec *d, struct arena *a, size_t *n)
{
	uint16_t *v;
	uint64_t at = FIRST_MORE;

	*n = dec_count(d, 1);
	v = dec_array(d, a, *n, sizeof(*v));
	for (size_t i = 0; i < *n && !d->bad; i++) {
		uint64_t x = dec_var(d);

		if (x > UINT16_MAX || at + x > UINT16_MAX) {
			d->bad = true;
			break;
		}
		v[i] = (uint16_t)(at + x);
		at = v[i] + 1u;
	}
	return d->bad ? NULL : v;
}

/* Entries stand in the order of their UIDs; most numbers as differences. */
static void
enc_entries(struct buf *b, const struct record *r)
{
	uint64_t uid = 0, message = 0, modseq = 0;
	int64_t date = 0, saved = r->time_s;

	enc_var(b, r->nentries);
	for (size_t i = 0; i < r->nentries; i++) {
		const struct rec_entry *e = &r->entries[i];

		enc_var(b, e->uid - uid);
		enc_zig(b, (int64_t)(e->modseq - modseq));
		enc_var(b, e->flags);
		enc_zig(b, (int64_t)(e->f.message - message));
		enc_zig(b, (int64_t)(e->f.message - e->f.thread));
		enc_var(b, e->f.size);
		enc_zig(
		    b, (int64_t)((uint64_t)e->f.internaldate - (uint64_t)date));
		enc_zig(b, e->f.zone_min);
		enc_zig(
		    b, (int64_t)((uint64_t)e->f.savedate - (uint64_t)saved));
		enc_more(b, e->more, e->nmore);
		enc_str(b, e->uidl);
		uid = e->uid;
		modseq = e->modseq;
		message = e->f.message;
		date = e->f.internaldate;
		saved = e->f.savedate;
	}
}

static void
dec_entry(struct dec *d, struct arena *a, struct rec_entry *e,
    const struct rec_entry *last, bool first)
{
	uint64_t step = dec_var(d);
	uint64_t uid = last->uid + step;
	uint64_t size;
	int64_t zone;

	e->modseq = last->modseq + (uint64_t)dec_zig(d);
	e->flags = dec_var(d);
	e->f.message = last->f.message + (uint64_t)dec_zig(d);
	e->f.thread = e->f.message - (uint64_t)dec_zig(d);
	size = dec_var(d);
	e->f.internaldate =
	    (int64_t)((uint64_t)last->f.internaldate + (uint64_t)dec_zig(d));
	zone = dec_zig(d);
	e->f.savedate =
	    (int64_t)((uint64_t)last->f.savedate + (uint64_t)dec_zig(d));
	e->more = dec_more(d, a, &e->nmore);
	e->uidl = dec_str(d);
	/* (3). In any order a difference comes round; else it must not. */
	if (uid == 0 || uid > UINT32_MAX || size > UINT32_MAX || zone < -1439 ||
	    zone > 1439 || (!first && (step == 0 || step > UINT32_MAX)))
		d->bad = true;
	e->uid = (uint32_t)uid;
	e->f.size = (uint32_t)size;
	e->f.zone_min = (int16_t)zone;
}

static void
dec_entries(struct dec *d, struct arena *a, struct record *r, bool any_order)
{
	size_t n = dec_count(d, 11);
	struct rec_entry *v = dec_array(d, a, n, sizeof(*v));
	struct rec_entry zero = {.f.savedate = r->time_s};

	for (size_t i = 0; i < n && !d->bad; i++)
		dec_entry(d, a, &v[i], i > 0 ? &v[i - 1] : &zero,
		    i == 0 || any_order);
	r->entries = v;
	r->nentries = d->bad ? 0 : n;
}

static void
enc_words(struct buf *b, const struct record *r)
{
	enc_var(b, r->nwords);
	for (size_t i = 0; i < r->nwords; i++) {
		enc_var(b, r->words[i].flags);
		enc_more(b, r->words[i].more, r->words[i].nmore);
		enc_ranges(b, &r->words[i].uids);
	}
}

static void
dec_words(struct dec *d, struct arena *a, struct record *r)
{
	size_t n = dec_count(d, 3);
	struct rec_word *v = dec_array(d, a, n, sizeof(*v));

	for (size_t i = 0; i < n && !d->bad; i++) {
		v[i].flags = dec_var(d);
		v[i].more = dec_more(d, a, &v[i].nmore);
		dec_ranges(d, a, &v[i].uids);
	}
	r->words = v;
	r->nwords = d->bad ? 0 : n;
}

static void
enc_names(struct buf *b, const struct record *r)
{
	enc_var(b, r->first);
	enc_var(b, r->nnames);
	for (size_t i = 0; i < r->nnames; i++)
		enc_str(b, r->names[i]);
}

static uint32_t
dec_u32v(struct dec *d)
{
	uint64_t v = dec_var(d);

	if (v > UINT32_MAX)
		d->bad = true;
	return (uint32_t)v;
}

static void
dec_names(struct dec *d, struct arena *a, struct record *r)
{
	str *v;

	r->first = dec_u32v(d);
	r->nnames = dec_count(d, 1);
	v = dec_array(d, a, r->nnames, sizeof(*v));
	for (size_t i = 0; i < r->nnames && !d->bad; i++)
		v[i] = dec_str(d);
	r->names = v;
}

/* ---- types ---- */

static void
enc_body(struct buf *b, const struct record *r)
{
	enc_var(b, r->naccounts);
	for (size_t i = 0; i < r->naccounts; i++)
		enc_var(b, r->accounts[i]);
	buf_add(b, r->sha, SHA_LEN);
	enc_var(b, r->body_size);
	enc_var(b, r->rest.n);
}

static void
dec_body(struct dec *d, struct arena *a, struct record *r)
{
	uint64_t *v;
	str sha;

	r->naccounts = dec_count(d, 1);
	v = dec_array(d, a, r->naccounts, sizeof(*v));
	for (size_t i = 0; i < r->naccounts && !d->bad; i++)
		v[i] = dec_var(d);
	r->accounts = v;
	sha = dec_take(d, SHA_LEN);
	if (!d->bad)
		memcpy(r->sha, sha.p, SHA_LEN);
	r->body_size = dec_var(d);
	r->rest.n = dec_var(d);
}

static void
enc_message(struct buf *b, const struct record *r)
{
	enc_var(b, r->account);
	enc_var(b, r->message);
	enc_var(b, r->thread);
	enc_var(b, r->size);
	enc_var(b, r->header_size);
	enc_var(b, r->prefix);
	enc_var(b, r->body_size);
	buf_add(b, r->sha, SHA_LEN);
	enc_var(b, r->back);
	enc_u8(b, r->moved);
	enc_var(b, r->header.n);
	enc_var(b, r->summary.n);
}

static void
dec_message(struct dec *d, struct record *r)
{
	str sha;

	r->account = dec_var(d);
	r->message = dec_var(d);
	r->thread = dec_var(d);
	r->size = dec_u32v(d);
	r->header_size = dec_u32v(d);
	r->prefix = dec_u32v(d);
	r->body_size = dec_var(d);
	sha = dec_take(d, SHA_LEN);
	if (!d->bad)
		memcpy(r->sha, sha.p, SHA_LEN);
	r->back = dec_var(d);
	r->moved = dec_u8(d) != 0;
	r->header.n = dec_var(d);
	r->summary.n = dec_var(d);
	if (r->message == 0 || r->header_size > r->size ||
	    r->prefix > r->header_size ||
	    r->body_size != r->size - r->header_size)
		d->bad = true;
}

static void
enc_row(struct buf *b, const struct record *r)
{
	enc_u8(b, (uint8_t)r->op);
	enc_var(b, r->node);
	enc_var(b, r->parent);
	enc_var(b, r->attrs);
	enc_var(b, r->uidvalidity);
	enc_var(b, r->uidnext);
	enc_str(b, r->name);
}

static void
dec_row(struct dec *d, struct record *r)
{
	r->op = dec_u8(d);
	r->node = dec_u32v(d);
	r->parent = dec_u32v(d);
	r->attrs = dec_u32v(d);
	r->uidvalidity = dec_u32v(d);
	r->uidnext = dec_u32v(d);
	r->name = dec_str(d);
	if (r->op < MBOP_PUT || r->op > MBOP_UIDS)
		d->bad = true;
}

static void
enc_snapshot(struct buf *b, const struct record *r)
{
	enc_u8(b, (uint8_t)r->part);
	switch (r->part) {
	case SNAP_BEGIN:
		enc_var(b, r->modseq);
		enc_var(b, r->node);
		enc_var(b, r->attrs);
		enc_var(b, r->uidvalidity);
		enc_var(b, r->recent_from);
		enc_names(b, r);
		break;
	case SNAP_ENTRIES:
	case SNAP_GONE:
		enc_entries(b, r);
		break;
	case SNAP_HISTORY:
		enc_var(b, r->modseq);
		enc_var(b, r->first);
		enc_str(b, r->page);
		break;
	case SNAP_ACCOUNT:
	case SNAP_NUMBERS:
		enc_u8(b, r->on);
		enc_str(b, r->name);
		enc_var(b, r->uidvalidity);
		enc_var(b, r->next_mailbox);
		enc_var(b, r->next_message);
		break;
	case SNAP_END:
		enc_var(b, r->modseq);
		enc_var(b, r->uidnext);
		enc_var(b, r->recent_from);
		break;
	}
}

static void
dec_snapshot(struct dec *d, struct arena *a, struct record *r)
{
	r->part = dec_u8(d);
	switch (r->part) {
	case SNAP_BEGIN:
		r->modseq = dec_var(d);
		r->node = dec_u32v(d);
		r->attrs = dec_u32v(d);
		r->uidvalidity = dec_u32v(d);
		r->recent_from = dec_u32v(d);
		dec_names(d, a, r);
		break;
	case SNAP_ENTRIES:
	case SNAP_GONE:
		dec_entries(d, a, r, r->part == SNAP_GONE);
		break;
	case SNAP_HISTORY:
		r->modseq = dec_var(d);
		r->first = dec_u32v(d);
		r->page = dec_str(d);
		break;
	case SNAP_ACCOUNT:
	case SNAP_NUMBERS:
		r->on = dec_u8(d) != 0;
		r->name = dec_str(d);
		r->uidvalidity = dec_u32v(d);
		r->next_mailbox = dec_u32v(d);
		r->next_message = dec_var(d);
		break;
	case SNAP_END:
		r->modseq = dec_var(d);
		r->uidnext = dec_u32v(d);
		r->recent_from = dec_u32v(d);
		break;
	default:
		d->bad = true;
	}
}

static bool
has_mailbox(enum record_type t)
{
	switch (t) {
	case REC_BODY:
	case REC_MESSAGE:
	case REC_SUBSCRIBE:
	case REC_ACCOUNT:
	case REC_REHOME:
	case REC_DROPPED:
		return false;
	default:
		return true;
	}
}

static void
enc_mailbox_types(struct buf *b, const struct record *r)
{
	switch (r->type) {
	case REC_APPEND:
	case REC_COPY:
		enc_var(b, r->modseq);
		enc_entries(b, r);
		break;
	case REC_MOVE:
		enc_var(b, r->modseq);
		enc_entries(b, r);
		enc_var(b, r->from_mailbox);
		enc_var(b, r->from_modseq);
		enc_ranges(b, &r->uids);
		break;
	case REC_FLAGS:
		enc_var(b, r->modseq);
		enc_var(b, 0); /* the viewer: everybody */
		enc_words(b, r);
		break;
	case REC_EXPUNGE:
		enc_var(b, r->modseq);
		enc_ranges(b, &r->uids);
		break;
	case REC_EXPIRE:
		enc_var(b, r->modseq);
		enc_var(b, r->uidnext);
		break;
	case REC_MAILBOX:
		enc_row(b, r);
		break;
	case REC_KEYWORDS:
		enc_names(b, r);
		break;
	case REC_RECENT:
		enc_var(b, r->recent_from);
		break;
	case REC_SNAPSHOT:
		enc_snapshot(b, r);
		break;
	default:
		break;
	}
}

static void
dec_mailbox_types(struct dec *d, struct arena *a, struct record *r)
{
	switch (r->type) {
	case REC_APPEND:
	case REC_COPY:
		r->modseq = dec_var(d);
		dec_entries(d, a, r, false);
		break;
	case REC_MOVE:
		r->modseq = dec_var(d);
		dec_entries(d, a, r, false);
		r->from_mailbox = dec_u32v(d);
		r->from_modseq = dec_var(d);
		dec_ranges(d, a, &r->uids);
		break;
	case REC_FLAGS:
		r->modseq = dec_var(d);
		if (dec_var(d) != 0)
			d->bad = true;
		dec_words(d, a, r);
		break;
	case REC_EXPUNGE:
		r->modseq = dec_var(d);
		dec_ranges(d, a, &r->uids);
		break;
	case REC_EXPIRE:
		r->modseq = dec_var(d);
		r->uidnext = dec_u32v(d);
		break;
	case REC_MAILBOX:
		dec_row(d, r);
		break;
	case REC_KEYWORDS:
		dec_names(d, a, r);
		break;
	case REC_RECENT:
		r->recent_from = dec_u32v(d);
		break;
	case REC_SNAPSHOT:
		dec_snapshot(d, a, r);
		break;
	default:
		d->bad = true;
	}
}

void
record_encode(const struct record *r, struct buf *b, str rest[2])
{
	rest[0] = rest[1] = STR_NONE;
	if (r->type == REC_BODY) {
		enc_body(b, r);
		rest[0] = r->rest;
		return;
	}
	if (r->type == REC_MESSAGE) {
		enc_message(b, r);
		rest[0] = r->header;
		rest[1] = r->summary;
		return;
	}
	if (r->type == REC_DROPPED) {
		enc_var(b, r->segment);
		return;
	}
	enc_var(b, r->account);
	if (has_mailbox(r->type)) {
		enc_var(b, r->mailbox);
		enc_zig(b, r->time_s);
		enc_mailbox_types(b, r);
		return;
	}
	if (r->type == REC_REHOME) {
		buf_add(b, r->sha, SHA_LEN);
		enc_var(b, r->back);
		return;
	}
	enc_u8(b, r->on);
	enc_str(b, r->name);
	if (r->type == REC_ACCOUNT)
		enc_var(b, r->uidvalidity);
}

/* What is not of a mailbox and carries no rest. */
static void
dec_others(struct dec *d, struct record *r)
{
	if (r->type == REC_DROPPED) {
		r->segment = dec_var(d);
		return;
	}
	r->account = dec_var(d);
	if (r->type == REC_REHOME) {
		str sha = dec_take(d, SHA_LEN);

		if (!d->bad)
			memcpy(r->sha, sha.p, SHA_LEN);
		r->back = dec_var(d);
		return;
	}
	r->on = dec_u8(d) != 0;
	r->name = dec_str(d);
	if (r->type == REC_ACCOUNT)
		r->uidvalidity = dec_u32v(d);
}

/* A large piece: from rest, or what follows the head. */
static void
dec_rest(struct dec *d, str *piece, str given, bool apart)
{
	if (!apart) {
		*piece = dec_take(d, piece->n);
		return;
	}
	if (piece->n != given.n)
		d->bad = true;
	*piece = given;
}

enum err
record_decode(enum record_type type, unsigned version, str head,
    const str rest[2], struct arena *a, struct record *r)
{
	struct dec d = dec_of(head);
	bool apart = rest != NULL;

	*r = (struct record){.type = type};
	if (version != REC_VERSION)
		return ERR_CORRUPT;
	if (type == REC_BODY) {
		dec_body(&d, a, r);
		dec_rest(&d, &r->rest, apart ? rest[0] : STR_NONE, apart);
	} else if (type == REC_MESSAGE) {
		dec_message(&d, r);
		dec_rest(&d, &r->header, apart ? rest[0] : STR_NONE, apart);
		dec_rest(&d, &r->summary, apart ? rest[1] : STR_NONE, apart);
	} else if (has_mailbox(type)) {
		r->account = dec_var(&d);
		r->mailbox = dec_u32v(&d);
		r->time_s = dec_zig(&d);
		dec_mailbox_types(&d, a, r);
	} else {
		dec_others(&d, r);
	}
	return dec_end(&d) ? OK : ERR_CORRUPT;
}

const char *
record_name(enum record_type t)
{
	static const char *const names[REC_MAX] = {"", "body", "message",
	    "append", "flags", "expunge", "copy", "move", "mailbox", "keywords",
	    "subscribe", "account", "expire", "snapshot", "rehome", "dropped",
	    "recent"};

	return (unsigned)t < REC_MAX ? names[t] : "unknown";
}
