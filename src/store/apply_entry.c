/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Applying what happens to the entries of a mailbox: they come, change their
 * flags, go, and are freed.
 *
 * W account mailbox uid: keywords past the flag word.
 * L account mailbox uid: the POP3 UIDL that was imported with it.
 * X account mailbox modseq part: expunged, kept for a while.
 * H account mailbox modseq: pages of the history of expunges, for good.
 * E time account mailbox modseq: what waits to be freed, oldest first.
 *
 * (1) UIDs only grow; counts in the head are those of the entries.
 */
#include "store/apply.h"

#include <stdlib.h>

enum { HISTORY_PAGE = 3600, GONE_PIECE = 100, EMPTY_BELOW = 64 };

static enum err
damaged(struct apply *a, struct mbox *m, const char *what)
{
	if (!a->st->rebuilding)
		log_error("a mailbox and the log disagree", KV_C("what", what),
		    KV_N("account", m->account), KV_N("mailbox", m->id));
	return apply_damage(a, what);
}

void
entry_count(struct mbox *m, uint64_t flags, uint32_t size, int by)
{
	m->messages += (uint32_t)by;
	m->size += (uint64_t)((int64_t)size * by);
	if (!(flags & FLAG_SEEN))
		m->unseen += (uint32_t)by;
	if (flags & FLAG_DELETED) {
		m->deleted += (uint32_t)by;
		m->deleted_size += (uint64_t)((int64_t)size * by);
	}
}

static void
set_modseq(struct mbox *m, uint64_t modseq)
{
	if (modseq > atomic_load_explicit(&m->modseq, memory_order_relaxed))
		atomic_store(&m->modseq, modseq);
}

/* n 0: none any more. */
void
more_put(struct mbox *m, uint32_t uid, const uint16_t *v, size_t n)
{
	struct key k = key_mbox('W', m);
	struct more *more = NULL;
	struct buf row = {0};

	if (m->more == NULL)
		m->more = map_new();
	key_u32(&k, uid);
	if (n == 0) {
		more = map_del_u64(m->more, uid);
		if (more != NULL)
			index_del(m->st, &k);
		x_free(&more);
		return;
	}
	more = x_alloc(sizeof(*more) + n * sizeof(v[0]));
	more->n = n;
	memcpy(more->v, v, n * sizeof(v[0]));
	more = map_put_u64(m->more, uid, more);
	x_free(&more);
	enc_u8(&row, 1);
	enc_var(&row, n);
	for (size_t i = 0; i < n; i++)
		enc_u16(&row, v[i]);
	index_put(m->st, &k, buf_str(&row));
	buf_free(&row);
}

void
mbox_uidl(struct buf *out, uint32_t uidvalidity, uint32_t uid)
{
	buf_f(out, "%08x.%08x", uidvalidity, uid);
}

void
uidl_put(struct mbox *m, uint32_t uid, str uidl)
{
	struct key k = key_mbox('L', m);
	struct buf row = {0};
	char *old;

	if (m->uidl == NULL)
		m->uidl = map_new();
	key_u32(&k, uid);
	if (uidl.n == 0) {
		old = map_del_u64(m->uidl, uid);
		if (old != NULL)
			index_del(m->st, &k);
		m->uidls -= old != NULL && m->uidls != UIDLS_UNKNOWN;
		x_free(&old);
		return;
	}
	old = map_put_u64(m->uidl, uid, x_cstr(uidl));
	m->uidls += old == NULL && m->uidls != UIDLS_UNKNOWN;
	x_free(&old);
	enc_u8(&row, 1);
	buf_str_add(&row, uidl);
	index_put(m->st, &k, buf_str(&row));
	buf_free(&row);
}

/* ---- coming ---- */

enum err
entry_add(
    struct apply *a, struct mbox *m, const struct rec_entry *x, uint64_t modseq)
{
	struct chunk *c = m->nc > 0 ? m->c[m->nc - 1] : NULL;
	enum err e;
	uint32_t i;

	if (x->uid < m->uidnext)
		return damaged(a, m, "a UID that was given before"); /* (1) */
	if (c == NULL || c->u->n == CHUNK_MAX) {
		c = chunk_new(x->uid);
		c->facts = x_array(CHUNK_MAX, sizeof(*c->facts));
		mbox_chunk_add(m, m->nc, c);
	} else if ((e = chunk_facts(m, c)) != OK) {
		return e;
	}
	i = chunk_own_uids(c)->n++;
	c->u->uid[i] = x->uid;
	c->modseq[i] = modseq;
	c->flags[i] = x->flags;
	c->facts[i] = x->f;
	c->max_modseq = MAX(c->max_modseq, modseq);
	c->state_dirty = c->facts_dirty = true;
	if (x->nmore > 0)
		more_put(m, x->uid, x->more, x->nmore);
	if (x->uidl.n > 0)
		uidl_put(m, x->uid, x->uidl);
	entry_count(m, x->flags, x->f.size, 1);
	m->recent++;
	m->uidnext = x->uid + 1;
	atomic_fetch_add_explicit(&m->st->resident, 1, memory_order_relaxed);
	m->st->stat_entries++;
	return OK;
}

enum err
apply_entries(struct apply *a, const struct record *r)
{
	struct mbox *m;
	enum err e = apply_mbox(a, r->account, r->mailbox, &m);

	if (e != OK)
		return e;
	if ((e = mbox_pin(m, CONTENT_TAIL)) != OK)
		goto unref;
	for (size_t i = 0; i < r->nentries && e == OK; i++)
		e = message_refer(
		    a->st, r->account, r->entries[i].f.message, 1);
	pthread_mutex_lock(&m->mu);
	for (size_t i = 0; i < r->nentries && e == OK; i++)
		e = entry_add(a, m, &r->entries[i], r->modseq);
	set_modseq(m, r->modseq);
	version_unref(&m->version);
	mbox_changed(a, m);
	pthread_mutex_unlock(&m->mu);
	mbox_dirty(m);
	a->st->totals_dirty = true;
	mbox_unpin(m);
unref:
	mbox_unref(&m);
	return e;
}

/* ---- flags ---- */

static void
entry_flags(struct mbox *m, struct chunk *c, size_t i, const struct rec_word *w,
    uint64_t modseq)
{
	uint64_t old = c->flags[i];
	uint64_t diff = old ^ w->flags;
	uint32_t uid = c->u->uid[i];

	if (diff & FLAG_SEEN)
		m->unseen += w->flags & FLAG_SEEN ? -1u : 1u;
	if (diff & FLAG_DELETED) {
		uint32_t size = c->facts[i].size;

		m->deleted += w->flags & FLAG_DELETED ? 1u : -1u;
		m->deleted_size +=
		    w->flags & FLAG_DELETED ? size : -(uint64_t)size;
	}
	if ((old | w->flags) & FLAG_MORE)
		more_put(m, uid, w->more, w->nmore);
	c->flags[i] = w->flags;
	c->modseq[i] = modseq;
	c->max_modseq = MAX(c->max_modseq, modseq);
	c->state_dirty = true;
}

static enum err
flags_range(struct apply *a, struct mbox *m, const struct rec_word *w,
    struct range range, uint64_t modseq)
{
	size_t ci, i;
	uint64_t want = range.lo;
	enum err e;

	if (!mbox_seek(m, range.lo, &ci, &i))
		return damaged(a, m, "flags of a message that is not there");
	for (; ci < m->nc; ci++, i = 0) {
		struct chunk *c = m->c[ci];

		for (; i < c->u->n; i++) {
			if (c->u->uid[i] > range.hi)
				goto out;
			if (c->u->uid[i] != want)
				return damaged(a, m,
				    "flags of a message that is not there");
			if (((c->flags[i] ^ w->flags) & FLAG_DELETED) &&
			    (e = chunk_facts(m, c)) != OK)
				return e;
			entry_flags(m, c, i, w, modseq);
			want++;
		}
	}
out:
	return want == range.hi + 1ull
		   ? OK
		   : damaged(a, m, "flags of a message that is not there");
}

enum err
apply_flags(struct apply *a, const struct record *r)
{
	struct mbox *m;
	enum err e = apply_mbox(a, r->account, r->mailbox, &m);

	if (e != OK)
		return e;
	if ((e = mbox_pin(m, CONTENT_FULL)) != OK)
		goto unref;
	pthread_mutex_lock(&m->mu);
	for (size_t i = 0; i < r->nwords && e == OK; i++)
		for (size_t j = 0; j < r->words[i].uids.n && e == OK; j++)
			e = flags_range(a, m, &r->words[i],
			    r->words[i].uids.v[j], r->modseq);
	set_modseq(m, r->modseq);
	mbox_changed(a, m);
	pthread_mutex_unlock(&m->mu);
	mbox_dirty(m);
	mbox_unpin(m);
unref:
	mbox_unref(&m);
	return e;
}

/* ---- going ---- */

void
history_add(struct mbox *m, uint64_t modseq, const struct ranges *uids)
{
	struct hist_page *p = m->nhist > 0 ? &m->hist[m->nhist - 1] : NULL;
	size_t i = 0;

	/* Long sets are cut; each piece names the same modseq. */
	while (i < uids->n) {
		size_t k = MIN(uids->n - i, (size_t)300);

		if (p == NULL || p->b.n > HISTORY_PAGE - k * 10) {
			struct hist_page fresh = {.first = modseq};

			/* A key of its own, even within one modseq: (pages
			 * are read from the one that may hold a number). */
			if (p != NULL && p->first >= modseq)
				fresh.first = p->first;
			m->hist =
			    x_grow(m->hist, m->nhist + 1, sizeof(*m->hist));
			p = &m->hist[m->nhist++];
			*p = fresh;
			p->part = m->nhist > 1 && m->hist[m->nhist - 2].first ==
						      p->first
				      ? m->hist[m->nhist - 2].part + 1
				      : 0;
			enc_u8(&p->b, 1);
		}
		enc_var(&p->b, modseq - p->first);
		enc_var(&p->b, k);
		for (size_t j = 0; j < k; j++, i++) {
			enc_var(&p->b, uids->v[i].lo);
			enc_var(&p->b, uids->v[i].hi - uids->v[i].lo);
		}
		p->last = modseq;
		p->dirty = true;
	}
}

/* What a question gathers; the pages are not in the order of UIDs. */
struct history {
	uint64_t above;
	const struct hist_page *first; /* of memory: from there on it has all */
	struct range *v;
	size_t n, cap;
	bool bad;
};

static bool
page_scan(struct history *h, str page, uint64_t first)
{
	struct dec d = dec_of(page);

	if (dec_u8(&d) != 1)
		return false;
	while (dec_left(&d) > 0) {
		uint64_t modseq = first + dec_var(&d);
		uint64_t n = dec_var(&d);

		if (d.bad || n > dec_left(&d) / 2)
			return false;
		for (; n > 0; n--) {
			uint64_t lo = dec_var(&d);
			uint64_t len = dec_var(&d);

			if (d.bad || lo > UINT32_MAX || len > UINT32_MAX - lo)
				return false;
			if (modseq <= h->above)
				continue;
			if (h->n == h->cap) {
				h->cap = MAX((size_t)16, h->cap * 2);
				h->v = x_grow(h->v, h->cap, sizeof(*h->v));
			}
			h->v[h->n++] =
			    (struct range){(uint32_t)lo, (uint32_t)(lo + len)};
		}
	}
	return !d.bad;
}

static bool
each_page(void *ctx, str key, str page)
{
	struct history *h = ctx;
	struct dec d = dec_of(key);
	uint64_t first = dec_be64(&d);
	uint32_t part = dec_be32(&d);

	if (h->first != NULL &&
	    (first > h->first->first ||
		(first == h->first->first && part >= h->first->part)))
		return false;
	h->bad = h->bad || !dec_end(&d) || !page_scan(h, page, first);
	return !h->bad;
}

enum err
history_since(struct mbox *m, uint64_t modseq, struct ranges *out)
{
	struct history h = {.above = modseq};
	struct key prefix = key_mbox('H', m);
	struct buf key = {0};
	struct buf row = {0};
	struct buf upto = {0};
	enum err e = OK;

	if (m->nhist > 0)
		h.first = &m->hist[0];
	if (h.first == NULL || h.first->first > modseq + 1 ||
	    h.first->part > 0) {
		/* The page before may reach into what is asked. */
		enc_be64(&upto, modseq);
		enc_be32(&upto, UINT32_MAX);
		e = index_floor(m->st, &prefix, buf_str(&upto), &key, &row);
		if (e == OK || e == ERR_NOTFOUND)
			e = index_scan(
			    m->st, &prefix, buf_str(&key), each_page, &h);
	}
	for (size_t i = 0; e == OK && !h.bad && i < m->nhist; i++)
		h.bad =
		    !page_scan(&h, buf_str(&m->hist[i].b), m->hist[i].first);
	if (e == OK && !h.bad)
		ranges_set(out, h.v, h.n);
	x_free(&h.v);
	buf_free(&key);
	buf_free(&row);
	buf_free(&upto);
	return e != OK ? e : h.bad ? ERR_CORRUPT : OK;
}

struct key
key_expire(int64_t time_s, uint64_t account, uint32_t mailbox, uint64_t modseq)
{
	struct key k = key_of('E', (uint64_t)MAX(time_s, (int64_t)0));

	key_u64(&k, account);
	key_u32(&k, mailbox);
	key_u64(&k, modseq);
	return k;
}

void
gone_put(
    struct mbox *m, struct gone *v, uint32_t n, uint64_t modseq, int64_t time_s)
{
	struct key e = key_expire(time_s, m->account, m->id, modseq);
	uint32_t part =
	    m->ngrows > 0 && m->grows[m->ngrows - 1].modseq == modseq
		? m->grows[m->ngrows - 1].part + 1
		: 0;

	for (uint32_t at = 0; at < n; at += GONE_PIECE, part++) {
		struct gone_row g = {.modseq = modseq,
		    .part = part,
		    .n = MIN(n - at, (uint32_t)GONE_PIECE),
		    .time_s = time_s};
		struct key k = key_mbox('X', m);
		struct buf row = {0};

		g.v = x_array(g.n, sizeof(*g.v));
		memcpy(g.v, v + at, g.n * sizeof(*g.v));
		for (uint32_t i = 0; i < g.n; i++)
			map_put_u64(m->gone, g.v[i].uid, &g.v[i]);
		m->grows = x_grow(m->grows, m->ngrows + 1, sizeof(*m->grows));
		m->grows[m->ngrows++] = g;
		key_u64(&k, modseq);
		key_u32(&k, part);
		gone_encode(&g, &row);
		index_put(m->st, &k, buf_str(&row));
		buf_free(&row);
	}
	if (n > 0)
		index_put(m->st, &e, S("\1"));
}

static void
chunk_rows_del(struct mbox *m, struct chunk *c)
{
	struct key k = key_chunk('U', m, c->key);

	index_del(m->st, &k);
	k = key_chunk('F', m, c->key);
	index_del(m->st, &k);
}

void
chunk_remove(struct mbox *m, size_t ci)
{
	chunk_rows_del(m, m->c[ci]);
	chunk_free(&m->c[ci]);
	memmove(m->c + ci, m->c + ci + 1, (m->nc - ci - 1) * sizeof(*m->c));
	m->nc--;
}

/* Two neighbours that have become small are one. */
static enum err
chunk_merge(struct mbox *m, size_t ci)
{
	struct chunk *a, *b;
	uint32_t n;
	enum err e;

	if (ci == 0 || ci >= m->nc)
		return OK;
	a = m->c[ci - 1];
	b = m->c[ci];
	n = a->u->n;
	if (n + b->u->n > EMPTY_BELOW)
		return OK;
	if ((e = chunk_facts(m, a)) != OK || (e = chunk_facts(m, b)) != OK)
		return e;
	memcpy(chunk_own_uids(a)->uid + n, b->u->uid,
	    b->u->n * sizeof(b->u->uid[0]));
	memcpy(a->modseq + n, b->modseq, b->u->n * sizeof(b->modseq[0]));
	memcpy(a->flags + n, b->flags, b->u->n * sizeof(b->flags[0]));
	memcpy(a->facts + n, b->facts, b->u->n * sizeof(b->facts[0]));
	a->u->n += b->u->n;
	a->max_modseq = MAX(a->max_modseq, b->max_modseq);
	a->state_dirty = a->facts_dirty = true;
	chunk_remove(m, ci);
	return OK;
}

/* Takes what is in uids (and in this chunk) out; adds it to gone. */
static enum err
chunk_take(struct mbox *m, struct chunk *c, const struct ranges *uids,
    struct gone *gone, uint32_t *n)
{
	uint32_t keep = 0;
	struct uids *u;
	enum err e;

	if ((e = chunk_facts(m, c)) != OK)
		return e;
	u = chunk_own_uids(c);
	for (uint32_t i = 0; i < u->n; i++) {
		if (ranges_has(uids, u->uid[i])) {
			gone[(*n)++] =
			    (struct gone){u->uid[i], c->flags[i], c->facts[i]};
			entry_count(m, c->flags[i], c->facts[i].size, -1);
			if (u->uid[i] >= m->recent_from && m->recent > 0)
				m->recent--;
			continue;
		}
		u->uid[keep] = u->uid[i];
		c->modseq[keep] = c->modseq[i];
		c->flags[keep] = c->flags[i];
		c->facts[keep++] = c->facts[i];
	}
	if (keep < u->n)
		c->state_dirty = c->facts_dirty = true;
	u->n = keep;
	return OK;
}

/* Does the chunk from index i on hold one of them? */
static bool
chunk_touched(const struct chunk *c, const struct ranges *uids)
{
	uint32_t x;

	return ranges_next(uids, c->u->uid[0], &x) &&
	       x <= c->u->uid[c->u->n - 1];
}

enum err
entries_take(
    struct mbox *m, const struct ranges *uids, struct gone *gone, uint32_t *n)
{
	size_t ci, i;
	enum err e = OK;

	if (uids->n == 0 || !mbox_seek(m, uids->v[0].lo, &ci, &i))
		return OK;
	for (; ci < m->nc && e == OK &&
	       m->c[ci]->u->uid[0] <= uids->v[uids->n - 1].hi;) {
		struct chunk *c = m->c[ci];

		if (!chunk_touched(c, uids)) {
			ci++;
			continue;
		}
		e = chunk_take(m, c, uids, gone, n);
		if (e == OK && c->u->n == 0) {
			chunk_remove(m, ci);
			continue;
		}
		if (e == OK) {
			size_t before = m->nc;

			e = chunk_merge(m, ci);
			ci += m->nc == before;
		}
	}
	atomic_fetch_sub_explicit(&m->st->resident, *n, memory_order_relaxed);
	return e;
}

enum err
apply_expunge(struct apply *a, uint64_t account, uint32_t mailbox,
    uint64_t modseq, int64_t time_s, const struct ranges *uids)
{
	uint64_t want = ranges_count(uids);
	struct gone *gone;
	struct mbox *m;
	uint32_t n = 0;
	enum err e = apply_mbox(a, account, mailbox, &m);

	if (e != OK)
		return e;
	if ((e = mbox_pin(m, CONTENT_FULL)) != OK)
		goto unref;
	gone = x_array(MIN(want, (uint64_t)m->messages) + 1, sizeof(*gone));
	pthread_mutex_lock(&m->mu);
	e = entries_take(m, uids, gone, &n);
	if (e == OK && n != want)
		e = damaged(a, m, "an expunge of a message that is not there");
	if (e == OK) {
		gone_put(m, gone, n, modseq, time_s);
		history_add(m, modseq, uids);
		m->last_expunge = MAX(m->last_expunge, modseq);
		set_modseq(m, modseq);
	}
	version_unref(&m->version);
	mbox_changed(a, m);
	pthread_mutex_unlock(&m->mu);
	a->st->stat_entries -= MIN(a->st->stat_entries, (uint64_t)n);
	a->st->totals_dirty = true;
	x_free(&gone);
	mbox_dirty(m);
	mbox_unpin(m);
unref:
	mbox_unref(&m);
	return e;
}

/* ---- keywords, recent ---- */

enum err
apply_keywords(struct apply *a, const struct record *r)
{
	struct mbox *m;
	enum err e = apply_mbox(a, r->account, r->mailbox, &m);

	if (e != OK)
		return e;
	pthread_mutex_lock(&m->mu);
	if ((e = mbox_keywords(m)) != OK)
		goto out;
	if (r->first != m->nkeywords) {
		e = damaged(a, m, "keywords out of turn");
		goto out;
	}
	m->keywords = x_grow(
	    m->keywords, m->nkeywords + r->nnames + 1, sizeof(*m->keywords));
	for (size_t i = 0; i < r->nnames; i++) {
		struct key k = key_mbox('K', m);
		struct buf b = {0};

		key_u32(&k, m->nkeywords);
		enc_u8(&b, 1);
		buf_str_add(&b, r->names[i]);
		index_put(m->st, &k, buf_str(&b));
		keyword_fold(r->names[i], &b);
		m->keywords[m->nkeywords++] = x_dup(r->names[i]);
		map_put(m->kw, buf_str(&b), (void *)(uintptr_t)m->nkeywords);
		buf_free(&b);
	}
out:
	pthread_mutex_unlock(&m->mu);
	mbox_dirty(m);
	mbox_unref(&m);
	return e;
}

enum err
apply_recent(struct apply *a, const struct record *r)
{
	struct mbox *m;
	enum err e = apply_mbox(a, r->account, r->mailbox, &m);
	bool count;
	size_t ci, i;

	if (e != OK)
		return e;
	count = r->recent_from < m->uidnext;
	if (count && (e = mbox_pin(m, CONTENT_FULL)) != OK)
		goto unref;
	pthread_mutex_lock(&m->mu);
	m->recent_from = MAX(m->recent_from, r->recent_from);
	m->recent = 0;
	if (count && mbox_seek(m, m->recent_from, &ci, &i))
		for (; ci < m->nc; ci++, i = 0)
			m->recent += m->c[ci]->u->n - (uint32_t)i;
	pthread_mutex_unlock(&m->mu);
	mbox_dirty(m);
	if (count)
		mbox_unpin(m);
unref:
	mbox_unref(&m);
	return e;
}
