/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Chunks of a mailbox's entries: in memory, and as rows of the index.
 *
 * A row of state: u8 1, u8 count, then for each entry: var UID - last UID,
 * zig modseq - last modseq, var flag word. A row of facts: u8 1, u8 count,
 * then for each: zig message - last message, zig message - thread, var size,
 * zig INTERNALDATE - last, zig zone, zig SAVEDATE - last.
 *
 * (1) Both rows of CHUNK_MAX entries fit VALUE_MAX whatever the numbers, as
 *     long as ids and dates are such as the store gives: 31 octets each.
 */
#include "store/mailbox.h"
#include "store/slab.h"

static struct slab chunks = SLAB_OF(struct chunk);
static struct slab lists = SLAB_OF(struct uids);

struct uids *
uids_new(void)
{
	struct uids *u = slab_alloc(&lists);

	atomic_init(&u->refs, 1);
	return u;
}

struct chunk *
chunk_new(uint32_t key)
{
	struct chunk *c = slab_alloc(&chunks);

	c->key = key;
	c->u = uids_new();
	return c;
}

void
uids_unref(struct uids **up)
{
	struct uids *u = *up;

	*up = NULL;
	if (u != NULL &&
	    atomic_fetch_sub_explicit(&u->refs, 1, memory_order_acq_rel) == 1)
		slab_free(&lists, u);
}

void
chunk_free(struct chunk **c)
{
	uids_unref(&(*c)->u);
	x_free(&(*c)->facts);
	slab_free(&chunks, *c);
	*c = NULL;
}

struct uids *
chunk_own_uids(struct chunk *c)
{
	struct uids *u;

	if (atomic_load_explicit(&c->u->refs, memory_order_acquire) == 1)
		return c->u;
	u = uids_new();
	u->n = c->u->n;
	memcpy(u->uid, c->u->uid, u->n * sizeof(u->uid[0]));
	uids_unref(&c->u);
	c->u = u;
	return u;
}

void
state_encode(const struct chunk *c, struct buf *out)
{
	uint32_t uid = 0;
	uint64_t modseq = 0;

	enc_u8(out, 1);
	enc_u8(out, (uint8_t)c->u->n);
	for (uint32_t i = 0; i < c->u->n; i++) {
		enc_var(out, c->u->uid[i] - uid);
		enc_zig(out, (int64_t)(c->modseq[i] - modseq));
		enc_var(out, c->flags[i]);
		uid = c->u->uid[i];
		modseq = c->modseq[i];
	}
}

enum err
state_decode(str row, struct chunk *c)
{
	struct dec d = dec_of(row);
	uint8_t form = dec_u8(&d);
	uint8_t n = dec_u8(&d);
	uint64_t uid = 0;
	uint64_t modseq = 0;

	if (form != 1 || n > CHUNK_MAX)
		return ERR_CORRUPT;
	for (unsigned i = 0; i < n; i++) {
		uint64_t step = dec_var(&d);

		modseq += (uint64_t)dec_zig(&d);
		uid += step;
		if (step == 0 || step > UINT32_MAX || uid > UINT32_MAX)
			return ERR_CORRUPT;
		c->u->uid[i] = (uint32_t)uid;
		c->modseq[i] = modseq;
		c->flags[i] = dec_var(&d);
		c->max_modseq = MAX(c->max_modseq, modseq);
	}
	c->u->n = n;
	return dec_end(&d) ? OK : ERR_CORRUPT;
}

static void
fact_encode(const struct facts *f, const struct facts *last, struct buf *out)
{
	enc_zig(out, (int64_t)(f->message - last->message));
	enc_zig(out, (int64_t)(f->message - f->thread));
	enc_var(out, f->size);
	/* As it is read: dates may be any numbers. */
	enc_zig(out, (int64_t)((uint64_t)f->internaldate -
			       (uint64_t)last->internaldate));
	enc_zig(out, f->zone_min);
	enc_zig(
	    out, (int64_t)((uint64_t)f->savedate - (uint64_t)last->savedate));
}

static bool
fact_decode(struct dec *d, const struct facts *last, struct facts *f)
{
	uint64_t size;
	int64_t zone;

	f->message = last->message + (uint64_t)dec_zig(d);
	f->thread = f->message - (uint64_t)dec_zig(d);
	size = dec_var(d);
	f->internaldate =
	    (int64_t)((uint64_t)last->internaldate + (uint64_t)dec_zig(d));
	zone = dec_zig(d);
	f->savedate =
	    (int64_t)((uint64_t)last->savedate + (uint64_t)dec_zig(d));
	f->size = (uint32_t)size;
	f->zone_min = (int16_t)zone;
	return !d->bad && size <= UINT32_MAX && zone >= -1439 && zone <= 1439;
}

void
facts_encode(const struct chunk *c, struct buf *out)
{
	struct facts zero = {0};

	enc_u8(out, 1);
	enc_u8(out, (uint8_t)c->u->n);
	for (uint32_t i = 0; i < c->u->n; i++)
		fact_encode(
		    &c->facts[i], i > 0 ? &c->facts[i - 1] : &zero, out);
}

enum err
facts_decode(str row, struct chunk *c)
{
	struct dec d = dec_of(row);
	struct facts zero = {0};
	uint8_t form = dec_u8(&d);
	uint8_t n = dec_u8(&d);
	struct facts *f;

	if (form != 1 || n != c->u->n)
		return ERR_CORRUPT;
	f = x_array(CHUNK_MAX, sizeof(*f));
	for (unsigned i = 0; i < n; i++) {
		if (!fact_decode(&d, i > 0 ? &f[i - 1] : &zero, &f[i])) {
			x_free(&f);
			return ERR_CORRUPT;
		}
	}
	if (!dec_end(&d)) {
		x_free(&f);
		return ERR_CORRUPT;
	}
	c->facts = f;
	return OK;
}

/* A row of X: u8 1, zig time, var count, then for each: var UID - last, var
 * flag word, facts. */
void
gone_encode(const struct gone_row *r, struct buf *out)
{
	struct gone zero = {0};

	enc_u8(out, 1);
	enc_zig(out, r->time_s);
	enc_var(out, r->n);
	for (uint32_t i = 0; i < r->n; i++) {
		const struct gone *last = i > 0 ? &r->v[i - 1] : &zero;

		enc_var(out, r->v[i].uid - last->uid);
		enc_var(out, r->v[i].flags);
		fact_encode(&r->v[i].f, &last->f, out);
	}
}

enum err
gone_decode(str row, struct gone_row *r)
{
	struct dec d = dec_of(row);
	struct gone zero = {0};
	uint8_t form = dec_u8(&d);
	uint64_t n;

	r->time_s = dec_zig(&d);
	n = dec_var(&d);
	if (d.bad || form != 1 || n > dec_left(&d) / 8)
		return ERR_CORRUPT;
	r->n = (uint32_t)n;
	r->v = x_array((size_t)n, sizeof(*r->v));
	for (uint32_t i = 0; i < r->n; i++) {
		const struct gone *last = i > 0 ? &r->v[i - 1] : &zero;
		uint64_t step = dec_var(&d);

		r->v[i].flags = dec_var(&d);
		if (!fact_decode(&d, &last->f, &r->v[i].f) || step == 0 ||
		    step > UINT32_MAX - last->uid) {
			d.bad = true;
			break;
		}
		r->v[i].uid = last->uid + (uint32_t)step;
	}
	if (dec_end(&d))
		return OK;
	x_free(&r->v);
	return ERR_CORRUPT;
}

/* ---- finding ---- */

/* The last chunk whose first UID is <= uid, or 0. */
static size_t
chunk_of(const struct mbox *m, uint32_t uid)
{
	size_t lo = 0;
	size_t hi = m->nc;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (m->c[mid]->u->uid[0] <= uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo > 0 ? lo - 1 : 0;
}

bool
mbox_seek(const struct mbox *m, uint32_t uid, size_t *ci, size_t *i)
{
	size_t lo = 0;
	size_t hi;

	if (m->nc == 0)
		return false;
	*ci = chunk_of(m, uid);
	hi = m->c[*ci]->u->n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (m->c[*ci]->u->uid[mid] < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == m->c[*ci]->u->n) {
		lo = 0;
		if (++*ci == m->nc)
			return false;
	}
	*i = lo;
	return true;
}

bool
mbox_find(const struct mbox *m, uint32_t uid, size_t *ci, size_t *i)
{
	return mbox_seek(m, uid, ci, i) && m->c[*ci]->u->uid[*i] == uid;
}

void
mbox_chunk_add(struct mbox *m, size_t at, struct chunk *c)
{
	if (m->nc == m->ccap) {
		m->ccap = MAX((size_t)4, m->ccap * 2);
		m->c = x_grow(m->c, m->ccap, sizeof(*m->c));
	}
	memmove(m->c + at + 1, m->c + at, (m->nc - at) * sizeof(*m->c));
	m->c[at] = c;
	m->nc++;
}

struct key
key_mbox(char table, const struct mbox *m)
{
	struct key k = key_of(table, m->account);

	key_u32(&k, m->id);
	return k;
}

/* The viewer stands before the UID; 0: everybody. */
struct key
key_chunk(char table, const struct mbox *m, uint32_t key)
{
	struct key k = key_mbox(table, m);

	if (table == 'U')
		key_u32(&k, 0);
	key_u32(&k, key);
	return k;
}
