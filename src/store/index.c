/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The index: an LMDB environment, and in front of it the values it lacks.
 *
 * (1) A value ends with its XXH3-64 over key and value: LMDB has none, and
 *     reads damaged pages without a word.
 * (2) active takes what is applied. A flush makes it the flushing one, under
 *     apply_mu, so that the log position it carries is exact; then it is
 *     written without any lock. When that fails for want of room, the next
 *     flush takes both. Values are looked up in active, flushing, LMDB.
 * (3) Only index_flush writes, one at a time. Any failure of a commit but a
 *     full disk or map is final: LMDB's own flush is not tried twice.
 * (4) Read transactions are borrowed from a pool of at most READERS, and
 *     given back before the call returns.
 * (5) Never WRITEMAP, NOSYNC, NOMETASYNC, DUPSORT. The map is reserved once.
 */
#include "store/mailbox.h"
#include "store/index_int.h"
#include "store/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- values in memory ---- */

static void
mem_free(struct mem *m)
{
	size_t at = 0;
	void *v;

	while (m->m != NULL && map_next(m->m, &at, NULL, &v)) {
		struct mem_value *x = v;

		x_free_str(&x->v);
		x_free(&x);
	}
	map_free(&m->m);
	m->bytes = 0;
}

static void
mem_put(struct mem *m, str key, struct mem_value *x)
{
	struct mem_value *old;

	if (m->m == NULL)
		m->m = map_new();
	m->bytes += key.n + x->v.n + 64;
	old = map_put(m->m, key, x);
	if (old != NULL) {
		m->bytes -= key.n + old->v.n + 64;
		x_free_str(&old->v);
		x_free(&old);
	}
}

static void
put(struct store *st, const struct key *k, struct mem_value *x)
{
	struct index *ix = st->index;

	pthread_mutex_lock(&ix->mu);
	mem_put(&ix->active, str_of(k->p, k->n), x);
	pthread_mutex_unlock(&ix->mu);
}

void
index_put(struct store *st, const struct key *k, str value)
{
	struct mem_value *x = x_alloc(sizeof(*x));
	struct buf b = {0};
	char *room = buf_room(&b, value.n + SUM);

	if (room == NULL)
		log_panic("no memory for a value of the index");
	buf_str_add(&b, value);
	enc_u64(&b, sum_of(str_of(k->p, k->n), value));
	x->v = buf_str(&b); /* the buffer's memory goes over */
	put(st, k, x);
}

void
index_del(struct store *st, const struct key *k)
{
	struct mem_value *x = x_alloc(sizeof(*x));

	x->gone = true;
	put(st, k, x);
}

/* ---- flushing ---- */

struct row {
	str key;
	const struct mem_value *x;
};

static int
by_key(const void *a, const void *b)
{
	return str_cmp(
	    ((const struct row *)a)->key, ((const struct row *)b)->key);
}

static void
put_pos(struct store *st, const struct log_pos *pos, bool clean)
{
	struct key k = {.p = "P", .n = 1};
	struct buf b = {0};

	enc_u8(&b, 1);
	enc_u64(&b, pos->seg);
	enc_u64(&b, pos->off);
	enc_u64(&b, pos->seq);
	enc_u64(&b, pos->last);
	enc_u8(&b, clean);
	index_put(st, &k, buf_str(&b));
	buf_free(&b);
}

/* In the order of their keys, which LMDB likes. */
static int
write_rows(struct index *ix, MDB_txn *t)
{
	size_t n = map_count(ix->flushing.m);
	struct row *v = x_array(n + 1, sizeof(*v));
	size_t at = 0;
	int r = 0;
	void *x;

	n = 0;
	while (map_next(ix->flushing.m, &at, &v[n].key, &x))
		v[n++].x = x;
	qsort(v, n, sizeof(*v), by_key);
	for (size_t i = 0; i < n && r == 0; i++) {
		MDB_val mk = {v[i].key.n, (void *)(uintptr_t)v[i].key.p};
		MDB_val mv = {v[i].x->v.n, (void *)(uintptr_t)v[i].x->v.p};

		if (!v[i].x->gone)
			r = mdb_put(t, ix->dbi, &mk, &mv, 0);
		else if ((r = mdb_del(t, ix->dbi, &mk, NULL)) == MDB_NOTFOUND)
			r = 0;
	}
	x_free(&v);
	return r;
}

/* After an error: MDB_PANIC when nothing more can be read or written. */
static int
panics(struct index *ix, int r)
{
	MDB_txn *t;
	int again = mdb_txn_begin(ix->env, NULL, 0, &t);

	if (again == 0)
		mdb_txn_abort(t);
	return again == MDB_PANIC ? MDB_PANIC : r;
}

/* A full disk may take a part of a write, which LMDB calls an input/output
 * error: is that what it was? */
static bool
no_room(struct store *st)
{
	int fd = store_tmpfile(st);
	bool full = fd < 0 || os_allocate(fd, 0, 1 << 20) != 0;

	full = full && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG);
	if (fd >= 0)
		os_close(&fd);
	return full;
}

static enum err
write_txn(struct store *st)
{
	struct index *ix = st->index;
	MDB_txn *t;
	int r = mdb_txn_begin(ix->env, NULL, 0, &t);

	if (r == 0) {
		r = write_rows(ix, t);
		if (r == 0)
			r = mdb_txn_commit(t);
		else
			mdb_txn_abort(t);
	}
	if (r == 0)
		return OK;
	r = panics(ix, r);
	log_error("the index cannot be written", KV_C("why", mdb_strerror(r)));
	if (r == MDB_MAP_FULL)
		limit_hit(LIMIT_index_map_bytes, STR_NONE);
	if (r == MDB_MAP_FULL || r == ENOSPC || r == EDQUOT || r == EFBIG ||
	    r == ENOMEM || (r == EIO && no_room(st)))
		return ERR_FULL;
	index_suspect(st, "a commit failed"); /* (3) */
	store_die(st, "a commit of the index failed");
	return ERR_UNAVAILABLE;
}

/* (2): active goes over into flushing. */
static void
take_active(struct index *ix)
{
	size_t at = 0;
	str key;
	void *x;

	if (ix->flushing.m == NULL) {
		ix->flushing = ix->active;
		ix->active = (struct mem){0};
		return;
	}
	while (ix->active.m != NULL && map_next(ix->active.m, &at, &key, &x))
		mem_put(&ix->flushing, key, x);
	map_free(&ix->active.m);
	ix->active.bytes = 0;
}

static enum err
flush(struct store *st, bool clean)
{
	struct index *ix = st->index;
	struct mem old;
	enum err e;

	if (atomic_load(&st->dead))
		return ERR_UNAVAILABLE;
	pthread_mutex_lock(&st->apply_mu);
	if (atomic_load(&st->dead)) {
		/* A group that could not be applied may be here in part. */
		pthread_mutex_unlock(&st->apply_mu);
		return ERR_UNAVAILABLE;
	}
	resident_flush_begin(st);
	if (memcmp(&ix->flush_pos, &st->applied, sizeof(st->applied)) != 0 ||
	    ix->active.m != NULL || ix->flushing.m != NULL || clean) {
		ix->flush_pos = st->applied;
		put_pos(st, &st->applied, clean);
	}
	pthread_mutex_lock(&ix->mu);
	take_active(ix);
	pthread_mutex_unlock(&ix->mu);
	pthread_mutex_unlock(&st->apply_mu);
	if (ix->flushing.m == NULL)
		return OK;
	if ((e = write_txn(st)) != OK)
		return e;
	pthread_mutex_lock(&ix->mu);
	old = ix->flushing;
	ix->flushing = (struct mem){0};
	pthread_mutex_unlock(&ix->mu);
	mem_free(&old);
	ix->held = ix->flush_pos;
	resident_flush_end(st);
	return OK;
}

enum err
index_flush(struct store *st)
{
	struct index *ix = st->index;
	enum err e;

	pthread_mutex_lock(&ix->flush_mu);
	e = flush(st, false);
	pthread_mutex_unlock(&ix->flush_mu);
	return e;
}

bool
index_due(struct store *st)
{
	struct index *ix = st->index;
	bool due;

	pthread_mutex_lock(&ix->mu);
	due =
	    ix->active.bytes + ix->flushing.bytes >= limits.index_commit_bytes;
	pthread_mutex_unlock(&ix->mu);
	return due;
}

/* ---- opening ---- */

static char *
file_of(const struct index *ix, const char *name)
{
	struct buf path = {0};
	char *p;

	buf_f(&path, "%s/%s", ix->dir, name);
	p = x_cstr(buf_str(&path));
	buf_free(&path);
	return p;
}

enum err
index_mark(struct store *st, const char *name, const char *why)
{
	char *p = file_of(st->index, name);
	enum err e = os_spill(p, str_c(why), 0600);

	x_free(&p);
	return e;
}

enum err
index_marked(struct store *st, const char *name, bool *yes)
{
	char *p = file_of(st->index, name);
	enum err e = OK;

	*yes = os_exists(p) == 0;
	if (!*yes && errno != ENOENT) {
		e = err_errno(errno);
		log_error("is there a mark beside the index? Nobody knows",
		    KV_C("mark", name), KV_ERRNO(errno));
	}
	x_free(&p);
	return e;
}

enum err
index_unmark(struct store *st, const char *name)
{
	char *p = file_of(st->index, name);
	enum err e = OK;

	if (os_unlink(p) == 0 ? os_fsync_dir(st->index->dir) != 0
			      : errno != ENOENT)
		e = err_errno(errno);
	x_free(&p);
	return e;
}

void
index_suspect(struct store *st, const char *why)
{
	log_error(
	    "the index will be made anew at the next start", KV_C("why", why));
	if (index_mark(st, "suspect", "the index is damaged\n") != OK)
		log_error("this could not be noted", KV_ERRNO(errno));
}

void
index_damaged(struct store *st, const char *why)
{
	if (atomic_exchange(&st->index->damaged, true))
		return;
	index_suspect(st, why);
	if (st->o.fatal != NULL)
		store_die(st, why);
}

/* data.mdb -> data.old: kept until the next time, for who wants to look. */
static enum err
set_aside(struct store *st)
{
	struct index *ix = st->index;
	char *now = file_of(ix, "data.mdb");
	char *old = file_of(ix, "data.old");
	char *lock = file_of(ix, "lock.mdb");
	enum err e = OK;

	if (os_rename(now, old) != 0 && errno != ENOENT)
		e = err_errno(errno);
	(void)os_unlink(lock);
	/* The mark goes when what it marks has gone for good. */
	if (e == OK && os_fsync_dir(ix->dir) != 0)
		e = err_errno(errno);
	if (e == OK)
		e = index_unmark(st, "suspect");
	x_free(&now);
	x_free(&old);
	x_free(&lock);
	return e;
}

static int
open_env(struct index *ix)
{
	MDB_txn *t = NULL;
	int r = mdb_env_create(&ix->env);

	if (r == 0)
		r = mdb_env_set_mapsize(
		    ix->env, (size_t)limits.index_map_bytes);
	if (r == 0)
		r = mdb_env_set_maxreaders(ix->env, READERS + 6);
	if (r == 0)
		r = mdb_env_open(ix->env, ix->dir, MDB_NOTLS, 0600);
	if (r == 0)
		r = mdb_txn_begin(ix->env, NULL, 0, &t);
	if (r == 0 && (r = mdb_dbi_open(t, NULL, 0, &ix->dbi)) != 0)
		mdb_txn_abort(t);
	else if (r == 0)
		r = mdb_txn_commit(t);
	return r;
}

static enum err
dec_pos(str row, struct log_pos *pos, bool *clean)
{
	struct dec d = dec_of(row);

	if (dec_u8(&d) != 1)
		d.bad = true;
	pos->seg = dec_u64(&d);
	pos->off = dec_u64(&d);
	pos->seq = dec_u64(&d);
	pos->last = dec_u64(&d);
	*clean = dec_u8(&d) != 0;
	return dec_end(&d) ? OK : ERR_CORRUPT;
}

static enum err
get_pos(struct store *st, struct log_pos *pos, bool *clean)
{
	struct key k = {.p = "P", .n = 1};
	struct buf b = {0};
	enum err e = index_get(st, &k, &b);

	*pos = (struct log_pos){0};
	*clean = false;
	if (e == OK && (e = dec_pos(buf_str(&b), pos, clean)) != OK)
		index_damaged(st, "the position in the log is malformed");
	else if (e == ERR_NOTFOUND)
		e = OK;
	buf_free(&b);
	return e;
}

/* The position that data.old holds; nothing when it cannot be read. */
static void
old_pos(struct index *ix, struct log_pos *pos)
{
	char *old = file_of(ix, "data.old");
	MDB_val k = {1, (void *)(uintptr_t) "P"};
	MDB_env *env = NULL;
	MDB_txn *t = NULL;
	MDB_dbi dbi;
	MDB_val v;
	bool clean;

	if (mdb_env_create(&env) == 0 &&
	    mdb_env_set_mapsize(env, (size_t)limits.index_map_bytes) == 0 &&
	    mdb_env_open(env, old,
		MDB_NOSUBDIR | MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS, 0) == 0 &&
	    mdb_txn_begin(env, NULL, MDB_RDONLY, &t) == 0 &&
	    mdb_dbi_open(t, NULL, 0, &dbi) == 0 &&
	    mdb_get(t, dbi, &k, &v) == 0 && v.mv_size > SUM) {
		str row = str_of(v.mv_data, v.mv_size - SUM);
		struct dec d = dec_of(str_of(row.p + row.n, SUM));

		if (dec_u64(&d) != sum_of(S("P"), row) ||
		    dec_pos(row, pos, &clean) != OK)
			*pos = (struct log_pos){0};
	}
	if (t != NULL)
		mdb_txn_abort(t);
	if (env != NULL)
		mdb_env_close(env);
	x_free(&old);
}

/* How far the index had come that was set aside: if the log ends before,
 * something is lost. LMDB may die of a damaged page; then the mark stays, and
 * the next start does not look. */
static enum err
last_pos(struct store *st)
{
	bool old, looked;
	enum err e;

	if ((e = index_marked(st, "data.old", &old)) != OK || !old)
		return e;
	if ((e = index_marked(st, "looked", &looked)) != OK)
		return e;
	if (looked) {
		log_warn("how far the index had come cannot be read");
		return index_unmark(st, "looked");
	}
	if (index_mark(st, "looked", "data.old is being read\n") == OK)
		old_pos(st->index, &st->before);
	return index_unmark(st, "looked");
}

enum err
index_open(struct store *st, bool fresh, struct log_pos *pos, bool *clean)
{
	struct index *ix = st->index = x_alloc(sizeof(*ix));
	struct buf path = {0};
	bool suspect;
	enum err e = OK;
	int r;

	pthread_mutex_init(&ix->mu, NULL);
	pthread_mutex_init(&ix->flush_mu, NULL);
	pthread_mutex_init(&ix->pool_mu, NULL);
	pthread_cond_init(&ix->pool_cv, NULL);
	buf_f(&path, "%s/index", st->dir);
	ix->dir = x_cstr(buf_str(&path));
	buf_free(&path);
	if ((e = index_marked(st, "suspect", &suspect)) != OK ||
	    ((fresh || suspect) && (e = set_aside(st)) != OK))
		return e;
	r = open_env(ix);
	if (r == MDB_INVALID || r == MDB_VERSION_MISMATCH) {
		/* A power cut while LMDB made it, for one. */
		log_warn("the index is none: it is made again from the log");
		mdb_env_close(ix->env);
		ix->env = NULL;
		if ((e = set_aside(st)) != OK)
			return e;
		r = open_env(ix);
	}
	if (r != 0) {
		log_error(
		    "the index cannot be opened", KV_C("why", mdb_strerror(r)));
		return index_mdb_err(r);
	}
	/* LMDB does not flush the directory of its new file. */
	if (os_fsync_dir(ix->dir) != 0)
		return err_errno(errno);
	e = get_pos(st, pos, clean);
	if (e == OK && pos->seg == 0 && st->log->n > 0)
		e = last_pos(st);
	/* Not flush_pos: the first flush shall say that we are at work. */
	ix->held = *pos;
	return e;
}

void
index_close(struct store *st)
{
	struct index *ix = st->index;

	if (ix == NULL)
		return;
	if (ix->env != NULL && st->started && flush(st, true) != OK)
		log_error("the index is not up to date; the log is");
	for (unsigned i = 0; i < ix->pool_n; i++)
		mdb_txn_abort(ix->pool[i]);
	if (ix->env != NULL)
		mdb_env_close(ix->env);
	mem_free(&ix->active);
	mem_free(&ix->flushing);
	pthread_mutex_destroy(&ix->mu);
	pthread_mutex_destroy(&ix->flush_mu);
	pthread_mutex_destroy(&ix->pool_mu);
	pthread_cond_destroy(&ix->pool_cv);
	x_free(&ix->dir);
	x_free(&st->index);
}

enum err
index_copy(struct store *st, int fd, struct log_pos *pos)
{
	struct index *ix = st->index;
	int r;

	pthread_mutex_lock(&ix->flush_mu);
	r = mdb_env_copyfd2(ix->env, fd, MDB_CP_COMPACT);
	*pos = ix->held;
	pthread_mutex_unlock(&ix->flush_mu);
	return r == 0 ? OK : index_mdb_err(r);
}

void
index_size(struct store *st, uint64_t *bytes, uint64_t *rows)
{
	MDB_stat s;

	*bytes = *rows = 0;
	if (mdb_env_stat(st->index->env, &s) != 0)
		return;
	*bytes = (uint64_t)s.ms_psize *
		 (s.ms_branch_pages + s.ms_leaf_pages + s.ms_overflow_pages);
	*rows = s.ms_entries;
}
