/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Reading the index: single rows, runs of them, and walks. The rules stand in
 * index.c; a walk keeps its read transaction until it ends, which is within
 * one call of the store (4).
 */
#include "store/index_int.h"

enum err
index_mdb_err(int r)
{
	if (r == MDB_NOTFOUND)
		return ERR_NOTFOUND;
	if (r == MDB_MAP_FULL)
		return ERR_FULL;
	if (r > 0)
		return err_errno(r);
	/* A commit failed half way; write_txn ends the store for it. */
	return r == MDB_PANIC ? ERR_UNAVAILABLE : ERR_CORRUPT;
}

/* A row is not there, or LMDB says that its pages are damaged. */
static enum err
read_err(struct store *st, int r)
{
	enum err e = index_mdb_err(r);

	if (e == ERR_CORRUPT)
		index_damaged(st, mdb_strerror(r));
	return e;
}

static enum err
reader_get(struct index *ix, MDB_txn **t)
{
	int r;

	pthread_mutex_lock(&ix->pool_mu);
	while (ix->pool_n == 0 && ix->pool_out == READERS)
		pthread_cond_wait(&ix->pool_cv, &ix->pool_mu);
	ix->pool_out++;
	*t = ix->pool_n > 0 ? ix->pool[--ix->pool_n] : NULL;
	pthread_mutex_unlock(&ix->pool_mu);
	r = *t != NULL ? mdb_txn_renew(*t)
		       : mdb_txn_begin(ix->env, NULL, MDB_RDONLY, t);
	if (r == 0)
		return OK;
	log_error("the index cannot be read", KV_C("why", mdb_strerror(r)));
	if (*t != NULL)
		mdb_txn_abort(*t);
	pthread_mutex_lock(&ix->pool_mu);
	ix->pool_out--;
	pthread_cond_signal(&ix->pool_cv);
	pthread_mutex_unlock(&ix->pool_mu);
	return r < 0 ? index_mdb_err(r) : ERR_IO;
}

static void
reader_put(struct index *ix, MDB_txn *t)
{
	mdb_txn_reset(t);
	pthread_mutex_lock(&ix->pool_mu);
	ix->pool_out--;
	ix->pool[ix->pool_n++] = t;
	pthread_cond_signal(&ix->pool_cv);
	pthread_mutex_unlock(&ix->pool_mu);
}

/* (1) */
static enum err
value_check(struct store *st, str key, str whole, str *value)
{
	struct dec d;

	*value = str_head(whole, whole.n < SUM ? 0 : whole.n - SUM);
	d = dec_of(str_from(whole, value->n));
	if (whole.n > SUM && dec_u64(&d) == sum_of(key, *value))
		return OK;
	log_error("a value of the index is damaged",
	    KV_S("table", str_head(key, 1)), KV_N("bytes", whole.n));
	index_damaged(st, "a value of the index is damaged");
	return ERR_CORRUPT;
}

static bool
mem_get(struct mem *m, str key, struct buf *out, enum err *e)
{
	struct mem_value *x = m->m == NULL ? NULL : map_get(m->m, key);

	if (x == NULL)
		return false;
	*e = x->gone ? ERR_NOTFOUND : OK;
	if (!x->gone)
		buf_add(out, x->v.p, x->v.n - SUM);
	return true;
}

enum err
index_get(struct store *st, const struct key *k, struct buf *out)
{
	struct index *ix = st->index;
	str key = str_of(k->p, k->n);
	MDB_val mk = {k->n, (void *)(uintptr_t)k->p};
	MDB_val mv;
	MDB_txn *t;
	str value;
	enum err e;
	bool found;
	int r;

	pthread_mutex_lock(&ix->mu);
	found = mem_get(&ix->active, key, out, &e) ||
		mem_get(&ix->flushing, key, out, &e);
	pthread_mutex_unlock(&ix->mu);
	if (found)
		return e;
	if ((e = reader_get(ix, &t)) != OK)
		return e;
	r = mdb_get(t, ix->dbi, &mk, &mv);
	if (r != 0) {
		e = read_err(st, r);
	} else {
		e = value_check(
		    st, key, str_of(mv.mv_data, mv.mv_size), &value);
		if (e == OK)
			buf_str_add(out, value);
	}
	reader_put(ix, t);
	if (e != OK && e != ERR_NOTFOUND)
		log_error("the index cannot be read", KV_ERR(e));
	return e;
}

static enum err
scan_rows(struct store *st, MDB_cursor *c, const struct key *prefix, str from,
    bool (*each)(void *ctx, str key, str value), void *ctx)
{
	char start[512];
	MDB_val mk = {prefix->n + from.n, start};
	MDB_val mv;
	enum err e = OK;
	int r;

	assert(prefix->n + from.n <= sizeof(start));
	memcpy(start, prefix->p, prefix->n);
	if (from.n > 0)
		memcpy(start + prefix->n, from.p, from.n);
	r = mdb_cursor_get(c, &mk, &mv, MDB_SET_RANGE);
	while (r == 0) {
		str key = str_of(mk.mv_data, mk.mv_size);
		str value;

		if (!str_starts(key, str_of(prefix->p, prefix->n)))
			break;
		e = value_check(
		    st, key, str_of(mv.mv_data, mv.mv_size), &value);
		if (e != OK || !each(ctx, str_from(key, prefix->n), value))
			break;
		r = mdb_cursor_get(c, &mk, &mv, MDB_NEXT);
	}
	return r != 0 && r != MDB_NOTFOUND ? read_err(st, r) : e;
}

/* All in one transaction; n > 1: none has a from. */
static enum err
scan(
    struct store *st, const struct index_part *v, size_t n, str from, void *ctx)
{
	struct index *ix = st->index;
	MDB_cursor *c;
	MDB_txn *t;
	enum err e;
	int r;

	if ((e = reader_get(ix, &t)) != OK)
		return e;
	r = mdb_cursor_open(t, ix->dbi, &c);
	for (size_t i = 0; i < n && r == 0 && e == OK; i++)
		e = scan_rows(st, c, &v[i].prefix, from, v[i].each, ctx);
	if (r == 0)
		mdb_cursor_close(c);
	reader_put(ix, t);
	return r != 0 ? read_err(st, r) : e;
}

enum err
index_scan(struct store *st, const struct key *prefix, str from,
    bool (*each)(void *ctx, str key, str value), void *ctx)
{
	struct index_part one = {*prefix, each};

	return scan(st, &one, 1, from, ctx);
}

enum err
index_scan_parts(
    struct store *st, const struct index_part *v, size_t n, void *ctx)
{
	return scan(st, v, n, STR_NONE, ctx);
}

/* Is a row that stands there found by its key too? A page above it may be
 * damaged. */
static bool
finds(struct index *ix, MDB_txn *t, MDB_val *key, const MDB_val *value)
{
	MDB_val v;

	return mdb_get(t, ix->dbi, key, &v) == 0 &&
	       v.mv_data == value->mv_data && v.mv_size == value->mv_size;
}

/* Every row, with what is known of it; *n counts them. */
static int
verify_rows(struct index *ix, MDB_txn *t, size_t *n,
    bool (*each)(void *ctx, str key, str value, bool ok), void *ctx)
{
	struct buf last = {0};
	MDB_val mk, mv;
	MDB_cursor *c;
	int r = mdb_cursor_open(t, ix->dbi, &c);

	if (r != 0)
		return r;
	while ((r = mdb_cursor_get(c, &mk, &mv, MDB_NEXT)) == 0) {
		str key = str_of(mk.mv_data, mk.mv_size);
		str v = str_of(mv.mv_data, mv.mv_size);
		bool ok = v.n > SUM && key.n > 0;
		str value = str_head(v, ok ? v.n - SUM : 0);
		struct dec d = dec_of(str_from(v, value.n));

		ok = ok && dec_u64(&d) == sum_of(key, value) &&
		     str_cmp(buf_str(&last), key) < 0 && finds(ix, t, &mk, &mv);
		buf_reset(&last);
		buf_str_add(&last, key);
		++*n;
		if (!each(ctx, key, value, ok))
			break;
	}
	mdb_cursor_close(c);
	buf_free(&last);
	return r;
}

enum err
index_verify(struct store *st,
    bool (*each)(void *ctx, str key, str value, bool ok), void *ctx)
{
	struct index *ix = st->index;
	MDB_stat stat;
	MDB_txn *t;
	size_t n = 0;
	enum err e;
	int r;

	if ((e = reader_get(ix, &t)) != OK)
		return e;
	r = mdb_stat(t, ix->dbi, &stat);
	if (r == 0)
		r = verify_rows(ix, t, &n, each, ctx);
	reader_put(ix, t);
	if (r == MDB_NOTFOUND && n != stat.ms_entries) {
		log_error("the index has not the rows that it counts",
		    KV_N("rows", n), KV_N("counted", stat.ms_entries));
		r = MDB_CORRUPTED;
	}
	return r == 0 || r == MDB_NOTFOUND ? OK : read_err(st, r);
}

enum err
index_floor(struct store *st, const struct key *prefix, str upto,
    struct buf *key, struct buf *value)
{
	struct index *ix = st->index;
	str pre = str_of(prefix->p, prefix->n);
	struct key bound = *prefix;
	MDB_val mk, mv;
	MDB_cursor *c;
	MDB_txn *t;
	enum err e;
	int r;

	assert(prefix->n + upto.n <= sizeof(bound.p));
	memcpy(bound.p + bound.n, upto.p, upto.n);
	bound.n += upto.n;
	mk = (MDB_val){bound.n, bound.p};
	if ((e = reader_get(ix, &t)) != OK)
		return e;
	r = mdb_cursor_open(t, ix->dbi, &c);
	if (r != 0) {
		reader_put(ix, t);
		return read_err(st, r);
	}
	r = mdb_cursor_get(c, &mk, &mv, MDB_SET_RANGE);
	if (r == MDB_NOTFOUND)
		r = mdb_cursor_get(c, &mk, &mv, MDB_LAST);
	else if (r == 0 && !str_eq(str_of(mk.mv_data, mk.mv_size),
			       str_of(bound.p, bound.n)))
		r = mdb_cursor_get(c, &mk, &mv, MDB_PREV);
	if (r != 0) {
		e = read_err(st, r);
	} else {
		str k = str_of(mk.mv_data, mk.mv_size);
		str v = str_of(mv.mv_data, mv.mv_size);

		e = str_starts(k, pre) ? value_check(st, k, v, &v)
				       : ERR_NOTFOUND;
		if (e == OK) {
			buf_str_add(key, str_from(k, pre.n));
			buf_str_add(value, v);
		}
	}
	mdb_cursor_close(c);
	reader_put(ix, t);
	return e;
}

/* ---- walks ---- */

enum err
index_walk_begin(struct store *st, struct index_walk *w)
{
	struct index *ix = st->index;
	enum err e;
	int r;

	*w = (struct index_walk){.st = st};
	if ((e = reader_get(ix, &w->t)) != OK)
		return e;
	r = mdb_cursor_open(w->t, ix->dbi, &w->c);
	if (r == 0)
		return OK;
	reader_put(ix, w->t);
	w->t = NULL;
	return read_err(st, r);
}

void
index_walk_end(struct index_walk *w)
{
	if (w->t != NULL) {
		mdb_cursor_close(w->c);
		reader_put(w->st->index, w->t);
	}
	w->t = NULL;
	buf_free(&w->mem);
}

/* The row behind the last one is tried first: most walks are in order. */
static int
walk_to(struct index_walk *w, str key, MDB_val *mv)
{
	MDB_val mk;
	int r;

	if (w->placed && mdb_cursor_get(w->c, &mk, mv, MDB_NEXT) == 0 &&
	    mk.mv_size == key.n && memcmp(mk.mv_data, key.p, key.n) == 0)
		return 0;
	mk = (MDB_val){key.n, (void *)(uintptr_t)key.p};
	r = mdb_cursor_get(w->c, &mk, mv, MDB_SET);
	w->placed = r == 0;
	return r;
}

enum err
index_walk_get(struct index_walk *w, const struct key *k, str *value)
{
	struct index *ix = w->st->index;
	str key = str_of(k->p, k->n);
	enum err e = ERR_NOTFOUND;
	bool found;
	MDB_val mv;
	int r = walk_to(w, key, &mv);

	if (r == 0)
		return value_check(
		    w->st, key, str_of(mv.mv_data, mv.mv_size), value);
	if (r != MDB_NOTFOUND)
		return read_err(w->st, r);
	buf_reset(&w->mem);
	pthread_mutex_lock(&ix->mu);
	found = mem_get(&ix->active, key, &w->mem, &e) ||
		mem_get(&ix->flushing, key, &w->mem, &e);
	pthread_mutex_unlock(&ix->mu);
	*value = buf_str(&w->mem);
	return found ? e : ERR_NOTFOUND;
}
