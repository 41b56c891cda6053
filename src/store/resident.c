/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Mailboxes and accounts in memory: found or read, pinned, written behind,
 * dropped. The rules are in mailbox.h.
 *
 * (1) One struct per mailbox and account while anybody holds it or the index
 *     lacks something of it: so what is read is the whole truth.
 */
#include "store/mailbox.h"

#include <stdlib.h>

/* Entries in memory past which unused mailboxes are dropped at once. */
enum { RESIDENT_MAX = 1 << 20, KEEP_MS = 5000 };

struct mbox_key {
	uint64_t account;
	uint64_t id;
};

/* ---- heads ---- */

static void
head_encode(const struct mbox *m, struct buf *b)
{
	bool counted = m->uidls != UIDLS_UNKNOWN;

	enc_u8(b, counted ? 2 : 1);
	enc_u8(b, m->dead);
	enc_var(b, m->node);
	enc_var(b, m->uidvalidity);
	enc_var(b, m->uidnext);
	enc_var(b, atomic_load(&m->modseq));
	enc_var(b, m->last_expunge);
	enc_var(b, m->recent_from);
	enc_var(b, m->recent);
	enc_var(b, m->messages);
	enc_var(b, m->unseen);
	enc_var(b, m->deleted);
	enc_var(b, m->size);
	enc_var(b, m->deleted_size);
	enc_var(b, m->nkeywords);
	if (counted)
		enc_var(b, m->uidls);
}

enum err
mbox_head_decode(str row, struct mbox *m)
{
	struct dec d = dec_of(row);
	unsigned form = dec_u8(&d);

	if (form < 1 || form > 2)
		return ERR_CORRUPT;
	m->dead = dec_u8(&d) != 0;
	m->node = (uint32_t)dec_var(&d);
	m->uidvalidity = (uint32_t)dec_var(&d);
	m->uidnext = (uint32_t)dec_var(&d);
	atomic_store(&m->modseq, dec_var(&d));
	m->last_expunge = dec_var(&d);
	m->recent_from = (uint32_t)dec_var(&d);
	m->recent = (uint32_t)dec_var(&d);
	m->messages = (uint32_t)dec_var(&d);
	m->unseen = (uint32_t)dec_var(&d);
	m->deleted = (uint32_t)dec_var(&d);
	m->size = dec_var(&d);
	m->deleted_size = dec_var(&d);
	m->nkeywords = (uint32_t)dec_var(&d);
	m->uidls = form == 1 ? UIDLS_UNKNOWN : (uint32_t)dec_var(&d);
	return dec_end(&d) ? OK : ERR_CORRUPT;
}

static struct mbox *
find(struct store *st, uint64_t account, uint32_t id)
{
	struct mbox_key k = {account, id};

	return map_get(st->mboxes, str_of(&k, sizeof(k)));
}

struct mbox *
mbox_new(struct store *st, uint64_t account, uint32_t id)
{
	struct mbox_key k = {account, id};
	struct mbox *m = x_alloc(sizeof(*m));

	m->st = st;
	m->account = account;
	m->id = id;
	m->uidnext = 1;
	m->recent_from = 1;
	atomic_store(&m->modseq, 1);
	m->refs = 1;
	pthread_mutex_init(&m->mu, NULL);
	pthread_mutex_lock(&st->reg_mu);
	map_put(st->mboxes, str_of(&k, sizeof(k)), m);
	pthread_mutex_unlock(&st->reg_mu);
	return m;
}

static void
mbox_free(struct mbox *m)
{
	struct mbox_key k = {m->account, m->id};

	mbox_drop_content(m);
	map_del(m->st->mboxes, str_of(&k, sizeof(k)));
	ranges_free(&m->plan_uids);
	pthread_mutex_destroy(&m->mu);
	x_free(&m);
}

enum err
mbox_get(struct store *st, uint64_t account, uint32_t id, struct mbox **out)
{
	struct mbox_key mk = {account, id};
	struct mbox *m;
	struct buf row = {0};
	struct key k = key_of('M', account);
	enum err e;

	pthread_mutex_lock(&st->reg_mu);
	m = find(st, account, id);
	if (m != NULL) {
		m->refs++;
		pthread_mutex_unlock(&st->reg_mu);
		*out = m;
		return OK;
	}
	/* Read under the lock: nobody may make it meanwhile (1). */
	key_u32(&k, id);
	if ((e = index_get(st, &k, &row)) == OK) {
		m = x_alloc(sizeof(*m));
		m->st = st;
		m->account = account;
		m->id = id;
		m->refs = 1;
		if ((e = mbox_head_decode(buf_str(&row), m)) != OK) {
			index_damaged(st, "a mailbox's row is malformed");
			x_free(&m);
		} else {
			pthread_mutex_init(&m->mu, NULL);
			map_put(st->mboxes, str_of(&mk, sizeof(mk)), m);
		}
	}
	pthread_mutex_unlock(&st->reg_mu);
	buf_free(&row);
	*out = m;
	return e;
}

void
mbox_unref(struct mbox **mp)
{
	struct mbox *m = *mp;

	*mp = NULL;
	if (m == NULL)
		return;
	atomic_store(&m->used_ms, os_mono_ms());
	pthread_mutex_lock(&m->st->reg_mu);
	m->refs--;
	pthread_mutex_unlock(&m->st->reg_mu);
}

/* ---- content ---- */

static void
free_num(struct map **m)
{
	size_t at = 0;
	void *v;

	while (*m != NULL && map_next(*m, &at, NULL, &v))
		x_free(&v);
	map_free(m);
}

void
mbox_drop_content(struct mbox *m)
{
	uint64_t n = 0;

	for (size_t i = 0; i < m->nc; i++) {
		n += m->c[i]->u->n;
		chunk_free(&m->c[i]);
	}
	atomic_fetch_sub(&m->st->resident, n);
	x_free(&m->c);
	m->nc = m->ccap = 0;
	free_num(&m->more);
	free_num(&m->uidl);
	map_free(&m->gone);
	for (size_t i = 0; i < m->ngrows; i++)
		x_free(&m->grows[i].v);
	x_free(&m->grows);
	m->ngrows = 0;
	for (size_t i = 0; i < m->nhist; i++)
		buf_free(&m->hist[i].b);
	x_free(&m->hist);
	m->nhist = 0;
	map_free(&m->kw);
	for (size_t i = 0; m->keywords_loaded && i < m->nkeywords; i++)
		x_free_str(&m->keywords[i]);
	x_free(&m->keywords);
	m->keywords_loaded = false;
	version_unref(&m->version);
	m->content = CONTENT_NONE;
}

static enum err
corrupt(struct mbox *m, const char *what)
{
	log_error("the index is damaged", KV_C("what", what),
	    KV_N("account", m->account), KV_N("mailbox", m->id));
	index_damaged(m->st, what);
	return ERR_CORRUPT;
}

enum err
chunk_facts(struct mbox *m, struct chunk *c)
{
	struct key k = key_chunk('F', m, c->key);
	struct buf row = {0};
	enum err e;

	if (c->facts != NULL)
		return OK;
	if ((e = index_get(m->st, &k, &row)) == OK)
		e = facts_decode(buf_str(&row), c);
	buf_free(&row);
	if (e == ERR_NOTFOUND || e == ERR_CORRUPT)
		return corrupt(m, "a row of facts");
	return e;
}

static enum err
load_tail(struct mbox *m)
{
	struct key k = key_mbox('U', m);
	struct buf key = {0};
	struct buf row = {0};
	struct chunk *c;
	struct dec d;
	enum err e;

	key_u32(&k, 0);
	e = index_floor(m->st, &k, S("\xff\xff\xff\xff"), &key, &row);
	if (e == ERR_NOTFOUND) {
		/* Nothing is there: nothing is missing either. */
		m->content = CONTENT_TAIL;
		e = m->messages == 0 ? OK : corrupt(m, "no rows of state");
		goto out;
	}
	if (e != OK)
		goto out;
	d = dec_of(buf_str(&key));
	c = chunk_new(dec_be32(&d));
	c->stored = true;
	if (!dec_end(&d) || state_decode(buf_str(&row), c) != OK ||
	    c->u->n == 0) {
		chunk_free(&c);
		e = corrupt(m, "a row of state");
		goto out;
	}
	mbox_chunk_add(m, m->nc, c);
	atomic_fetch_add(&m->st->resident, c->u->n);
	m->content = CONTENT_TAIL;
out:
	buf_free(&key);
	buf_free(&row);
	return e;
}

/* What the scans below carry. */
struct load {
	struct mbox *m;
	struct chunk **c;
	size_t n, cap;
	uint32_t below; /* keys from here on are in memory already */
	uint64_t entries;
	bool bad;
};

static bool
each_state(void *ctx, str key, str row)
{
	struct load *l = ctx;
	struct dec d = dec_of(key);
	uint32_t uid = dec_be32(&d);
	struct chunk *c;

	if (uid >= l->below && l->below > 0)
		return false;
	c = chunk_new(uid);
	c->stored = true;
	if (!dec_end(&d) || state_decode(row, c) != OK || c->u->n == 0 ||
	    c->u->uid[0] < uid ||
	    (l->n > 0 && l->c[l->n - 1]->u->uid[l->c[l->n - 1]->u->n - 1] >=
			     c->u->uid[0])) {
		chunk_free(&c);
		l->bad = true;
		return false;
	}
	if (l->n == l->cap) {
		l->cap = MAX((size_t)16, l->cap * 2);
		l->c = x_grow(l->c, l->cap, sizeof(*l->c));
	}
	l->c[l->n++] = c;
	l->entries += c->u->n;
	return true;
}

static bool
each_more(void *ctx, str key, str row)
{
	struct load *l = ctx;
	struct dec d = dec_of(key);
	uint32_t uid = dec_be32(&d);
	struct dec v = dec_of(row);
	struct more *more;
	uint64_t n;

	dec_u8(&v);
	n = dec_var(&v);
	if (!dec_end(&d) || v.bad || n > dec_left(&v) / 2) {
		l->bad = true;
		return false;
	}
	if (map_get_u64(l->m->more, uid) != NULL)
		return true;
	more = x_alloc(sizeof(*more) + n * sizeof(more->v[0]));
	more->n = (size_t)n;
	for (size_t i = 0; i < more->n; i++)
		more->v[i] = dec_u16(&v);
	map_put_u64(l->m->more, uid, more);
	return true;
}

static bool
each_uidl(void *ctx, str key, str row)
{
	struct load *l = ctx;
	struct dec d = dec_of(key);
	uint32_t uid = dec_be32(&d);

	if (!dec_end(&d) || row.n < 1) {
		l->bad = true;
		return false;
	}
	if (map_get_u64(l->m->uidl, uid) == NULL)
		map_put_u64(l->m->uidl, uid, x_cstr(str_from(row, 1)));
	return true;
}

static bool
each_gone(void *ctx, str key, str row)
{
	struct load *l = ctx;
	struct mbox *m = l->m;
	struct dec d = dec_of(key);
	struct gone_row g = {.modseq = dec_be64(&d), .part = dec_be32(&d)};

	if (!dec_end(&d) || gone_decode(row, &g) != OK) {
		l->bad = true;
		return false;
	}
	m->grows = x_grow(m->grows, m->ngrows + 1, sizeof(*m->grows));
	m->grows[m->ngrows++] = g;
	for (uint32_t i = 0; i < g.n; i++)
		map_put_u64(m->gone, g.v[i].uid, &g.v[i]);
	return true;
}

static enum err
load_history(struct mbox *m)
{
	struct key k = key_mbox('H', m);
	struct buf key = {0};
	struct hist_page page = {0};
	struct dec d;
	enum err e = index_floor(m->st, &k,
	    S("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), &key,
	    &page.b);

	d = dec_of(buf_str(&key));
	page.first = dec_be64(&d);
	page.part = dec_be32(&d);
	buf_free(&key);
	if (e == OK && !d.bad) {
		page.last = m->last_expunge;
		m->hist = x_alloc(sizeof(page));
		m->hist[0] = page;
		m->nhist = 1;
		return OK;
	}
	buf_free(&page.b);
	if (e == ERR_NOTFOUND && m->last_expunge > 0 && !m->st->rebuilding)
		return corrupt(m, "no rows of history");
	return e == ERR_NOTFOUND ? OK : e;
}

/* Has each entry its list of keywords whose word says that there is one? */
static bool
more_missing(const struct mbox *m, const struct chunk *c)
{
	for (uint32_t i = 0; i < c->u->n; i++)
		if ((c->flags[i] & FLAG_MORE) &&
		    map_get_u64(m->more, c->u->uid[i]) == NULL)
			return true;
	return false;
}

static enum err
load_full(struct mbox *m)
{
	struct load l = {.m = m};
	struct key k = key_mbox('U', m);
	uint64_t have = 0;
	enum err e;

	for (size_t i = 0; i < m->nc; i++)
		have += m->c[i]->u->n;
	l.below = m->nc > 0 ? m->c[0]->key : 0;
	key_u32(&k, 0);
	if (m->more == NULL)
		m->more = map_new();
	if (m->uidl == NULL)
		m->uidl = map_new();
	m->gone = map_new();
	if (have < m->messages)
		e = index_scan(m->st, &k, STR_NONE, each_state, &l);
	else
		e = OK;
	k = key_mbox('W', m);
	if (e == OK)
		e = index_scan(m->st, &k, STR_NONE, each_more, &l);
	k = key_mbox('L', m);
	if (e == OK)
		e = index_scan(m->st, &k, STR_NONE, each_uidl, &l);
	k = key_mbox('X', m);
	if (e == OK)
		e = index_scan(m->st, &k, STR_NONE, each_gone, &l);
	if (e == OK)
		e = load_history(m);
	if (m->uidls == UIDLS_UNKNOWN && e == OK)
		m->uidls = (uint32_t)map_count(m->uidl);
	l.bad = l.bad || map_count(m->uidl) != m->uidls;
	for (size_t i = 0; i < l.n && !l.bad; i++)
		l.bad = more_missing(m, l.c[i]);
	for (size_t i = 0; i < m->nc && !l.bad; i++)
		l.bad = more_missing(m, m->c[i]);
	if (e == OK && (l.bad || l.entries + have != m->messages))
		e = corrupt(m, "rows of a mailbox");
	if (e != OK) {
		for (size_t i = 0; i < l.n; i++)
			chunk_free(&l.c[i]);
		x_free(&l.c);
		return e;
	}
	if (l.n > 0) {
		l.c = x_grow(l.c, l.n + m->nc, sizeof(*l.c));
		if (m->nc > 0)
			memcpy(l.c + l.n, m->c, m->nc * sizeof(*m->c));
		x_free(&m->c);
		m->c = l.c;
		m->nc = m->ccap = l.n + m->nc;
	}
	atomic_fetch_add(&m->st->resident, l.entries);
	m->content = CONTENT_FULL;
	return OK;
}

enum err
mbox_pin(struct mbox *m, enum content want)
{
	enum err e = OK;

	pthread_mutex_lock(&m->mu);
	if (want >= CONTENT_TAIL && m->content < CONTENT_TAIL)
		e = load_tail(m);
	if (e == OK && want == CONTENT_FULL && m->content < CONTENT_FULL)
		e = load_full(m);
	if (e == OK)
		m->pins++;
	else if (m->content < CONTENT_FULL && !m->dirty)
		mbox_drop_content(m);
	pthread_mutex_unlock(&m->mu);
	return e;
}

void
mbox_unpin(struct mbox *m)
{
	pthread_mutex_lock(&m->mu);
	m->pins--;
	pthread_mutex_unlock(&m->mu);
}

struct kwload {
	struct mbox *m;
	size_t n;
};

static bool
each_keyword(void *ctx, str key, str row)
{
	struct kwload *l = ctx;

	if (l->n < l->m->nkeywords && row.n > 1)
		l->m->keywords[l->n++] = x_dup(str_from(row, 1));
	return true;
}

enum err
mbox_keywords(struct mbox *m)
{
	struct kwload l = {m, 0};
	struct key k = key_mbox('K', m);
	enum err e = OK;

	if (m->keywords_loaded)
		return OK;
	m->keywords = x_array(m->nkeywords + 1, sizeof(str));
	m->kw = map_new();
	if (m->nkeywords > 0)
		e = index_scan(m->st, &k, STR_NONE, each_keyword, &l);
	if (e == OK && l.n != m->nkeywords)
		e = corrupt(m, "rows of keywords");
	if (e != OK) {
		for (size_t i = 0; i < l.n; i++)
			x_free_str(&m->keywords[i]);
		x_free(&m->keywords);
		map_free(&m->kw);
		return e;
	}
	for (size_t i = 0; i < l.n; i++) {
		struct buf f = {0};

		keyword_fold(m->keywords[i], &f);
		map_put(m->kw, buf_str(&f), (void *)(uintptr_t)(i + 1));
		buf_free(&f);
	}
	m->keywords_loaded = true;
	return OK;
}

void
keyword_fold(str name, struct buf *out)
{
	buf_reset(out);
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		buf_c(out, c >= 'A' && c <= 'Z' ? (char)(c + 32) : c);
	}
}

/* ---- writing behind ---- */

/* A chunk whose rows would be too long becomes two: only odd numbers do it.
 * mu held. */
static bool
chunk_rows(struct mbox *m, size_t at, struct buf *state, struct buf *facts)
{
	struct chunk *c = m->c[at];
	struct chunk *half;
	struct uids *u;
	uint32_t keep = c->u->n / 2;

	buf_reset(state);
	buf_reset(facts);
	state_encode(c, state);
	if (c->facts_dirty)
		facts_encode(c, facts);
	if (MAX(state->n, facts->n) <= VALUE_MAX || keep == 0)
		return true;
	if (chunk_facts(m, c) != OK)
		return false;
	u = chunk_own_uids(c);
	half = chunk_new(u->uid[keep]);
	half->u->n = u->n - keep;
	half->facts = x_array(CHUNK_MAX, sizeof(struct facts));
	half->state_dirty = half->facts_dirty = c->facts_dirty = true;
	half->max_modseq = c->max_modseq;
	memcpy(half->u->uid, u->uid + keep, half->u->n * sizeof(uint32_t));
	memcpy(half->modseq, c->modseq + keep, half->u->n * sizeof(uint64_t));
	memcpy(half->flags, c->flags + keep, half->u->n * sizeof(uint64_t));
	memcpy(half->facts, c->facts + keep, half->u->n * sizeof(struct facts));
	u->n = keep;
	mbox_chunk_add(m, at + 1, half);
	return chunk_rows(m, at, state, facts);
}

/* mu held: a view may be making the content full at this moment. */
static void
flush_mbox(struct mbox *m, struct buf *a, struct buf *b)
{
	struct store *st = m->st;
	struct key k = key_mbox('M', m);

	if (m->dead && m->messages == 0 && m->ngrows == 0 && m->freed)
		return; /* its rows are gone */
	for (size_t i = 0; i < m->nc; i++) {
		struct chunk *c = m->c[i];

		if (!c->state_dirty && !c->facts_dirty)
			continue;
		if (!chunk_rows(m, i, a, b)) {
			store_die(st, "a mailbox cannot be written");
			return;
		}
		k = key_chunk('U', m, c->key);
		index_put(st, &k, buf_str(a));
		k = key_chunk('F', m, c->key);
		if (c->facts_dirty)
			index_put(st, &k, buf_str(b));
		c->state_dirty = c->facts_dirty = false;
		c->stored = true;
	}
	for (size_t i = 0; i < m->nhist; i++) {
		if (!m->hist[i].dirty)
			continue;
		k = key_mbox('H', m);
		key_u64(&k, m->hist[i].first);
		key_u32(&k, m->hist[i].part);
		index_put(st, &k, buf_str(&m->hist[i].b));
		m->hist[i].dirty = false;
	}
	buf_reset(a);
	head_encode(m, a);
	k = key_mbox('M', m);
	index_put(st, &k, buf_str(a));
}

static void
flush_account(struct account *a, struct buf *b)
{
	struct key k = key_of('A', a->id);

	/* The row of a removed account stays: its numbers are not used again. */
	buf_reset(b);
	account_encode(a, b);
	index_put(a->st, &k, buf_str(b));
}

static void
flush_live(struct store *st, struct buf *b)
{
	size_t at = 0;
	str number;
	void *v;

	while (map_next(st->live, &at, &number, &v)) {
		struct live *l = v;
		struct key k;

		if (!l->dirty)
			continue;
		k = key_of('G', l->segment);
		buf_reset(b);
		enc_u8(b, 1);
		enc_var(b, l->bytes);
		index_put(st, &k, buf_str(b));
		l->dirty = false;
	}
	if (st->totals_dirty) {
		struct key k = {.p = "V", .n = 1};

		buf_reset(b);
		enc_u8(b, 1);
		enc_var(b, st->stat_accounts);
		enc_var(b, st->stat_mailboxes);
		enc_var(b, st->stat_messages);
		enc_var(b, st->stat_entries);
		index_put(st, &k, buf_str(b));
		st->totals_dirty = false;
	}
}

static void
list_add(struct list *l, void *x)
{
	if (l->n == l->cap) {
		l->cap = MAX((size_t)16, l->cap * 2);
		l->v = x_grow(l->v, l->cap, sizeof(*l->v));
	}
	l->v[l->n++] = x;
}

void
mbox_dirty(struct mbox *m)
{
	if (m->dirty)
		return;
	m->dirty = true;
	list_add(&m->st->dirty_mboxes, m);
}

void
account_dirty(struct account *a)
{
	if (a->dirty)
		return;
	a->dirty = true;
	list_add(&a->st->dirty_accounts, a);
}

void
resident_flush_begin(struct store *st)
{
	struct buf a = {0};
	struct buf b = {0};

	for (size_t i = 0; i < st->dirty_mboxes.n; i++) {
		struct mbox *m = st->dirty_mboxes.v[i];

		pthread_mutex_lock(&m->mu);
		flush_mbox(m, &a, &b);
		pthread_mutex_unlock(&m->mu);
		m->dirty = false;
		m->flying++;
		list_add(&st->flying_mboxes, m);
	}
	st->dirty_mboxes.n = 0;
	for (size_t i = 0; i < st->dirty_accounts.n; i++) {
		struct account *x = st->dirty_accounts.v[i];

		flush_account(x, &a);
		x->dirty = false;
		x->flying++;
		list_add(&st->flying_accounts, x);
	}
	st->dirty_accounts.n = 0;
	flush_live(st, &a);
	buf_free(&a);
	buf_free(&b);
}

void
resident_flush_end(struct store *st)
{
	pthread_mutex_lock(&st->apply_mu);
	for (size_t i = 0; i < st->flying_mboxes.n; i++)
		((struct mbox *)st->flying_mboxes.v[i])->flying--;
	for (size_t i = 0; i < st->flying_accounts.n; i++)
		((struct account *)st->flying_accounts.v[i])->flying--;
	st->flying_mboxes.n = st->flying_accounts.n = 0;
	pthread_mutex_unlock(&st->apply_mu);
}

/* ---- dropping ---- */

static bool
all_parked(const struct mbox *m)
{
	return m->pins == 0;
}

static void
sweep_mbox(struct mbox *m, int64_t before_ms)
{
	if (m->dirty || m->flying > 0 || atomic_load(&m->used_ms) > before_ms)
		return;
	if (m->refs == 0) {
		mbox_free(m);
		return;
	}
	pthread_mutex_lock(&m->mu);
	if (m->content != CONTENT_NONE && all_parked(m))
		mbox_drop_content(m);
	pthread_mutex_unlock(&m->mu);
}

void
resident_sweep(struct store *st, bool all)
{
	bool much = atomic_load(&st->resident) > RESIDENT_MAX;
	int64_t before_ms = os_mono_ms() - (all || much ? 0 : KEEP_MS);
	size_t at = 0;
	void *v;

	pthread_mutex_lock(&st->apply_mu);
	pthread_mutex_lock(&st->reg_mu);
	while (map_next(st->mboxes, &at, NULL, &v))
		sweep_mbox(v, before_ms);
	at = 0;
	while (map_next(st->accounts, &at, NULL, &v)) {
		struct account *a = v;

		if (a->refs == 0 && !a->dirty && a->flying == 0)
			account_free(a);
	}
	pthread_mutex_unlock(&st->reg_mu);
	pthread_mutex_unlock(&st->apply_mu);
}

void
resident_close(struct store *st)
{
	size_t at = 0;
	void *v;

	while (st->mboxes != NULL && map_next(st->mboxes, &at, NULL, &v))
		mbox_free(v);
	at = 0;
	while (st->accounts != NULL && map_next(st->accounts, &at, NULL, &v))
		account_free(v);
	at = 0;
	while (st->live != NULL && map_next(st->live, &at, NULL, &v))
		x_free(&v);
	map_free(&st->mboxes);
	map_free(&st->accounts);
	map_free(&st->live);
	x_free(&st->dirty_mboxes.v);
	x_free(&st->dirty_accounts.v);
	x_free(&st->flying_mboxes.v);
	x_free(&st->flying_accounts.v);
}
