/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * DATA/auth/secrets.mdb: LMDB, one table, keys of a kind byte and a name
 * or number, values of a body and its checksum.
 *
 * (1) LMDB syncs every commit; the folder is flushed at each start. Never
 *     WRITEMAP, NOSYNC, DUPSORT.
 * (2) A value is body, then XXH3-64 of the body seeded by the key's: wrong
 *     bytes, or right ones under another key, are never taken for secrets.
 * (3) The counts of enabled accounts and of those with SCRAM keys change
 *     with the commit that changes the accounts.
 * (4) After a failed write or flush nothing more is written: what the disk
 *     holds is found out by the next process.
 * (5) LMDB writes the two heads of a new file without a flush between, and
 *     opens none whose heads are torn. So the file is made, and flushed,
 *     under another name.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "auth/auth_int.h"

#define DB_VERSION 1
#define MAP_BYTES (8ULL << 30) /* address space, not memory */
#define KEY_MAX (1 + AUTH_NAME_MAX)
#define ACCT_VERSION 1

static enum err
db_err(int rc, const char *what)
{
	enum err e;

	if (rc == MDB_SUCCESS)
		return OK;
	if (rc == MDB_NOTFOUND)
		return ERR_NOTFOUND;
	if (rc == MDB_MAP_FULL || rc == ENOSPC || rc == EDQUOT)
		e = ERR_FULL;
	else if (rc == MDB_CORRUPTED || rc == MDB_PAGE_NOTFOUND ||
		 rc == MDB_INVALID || rc == MDB_VERSION_MISMATCH)
		e = ERR_CORRUPT;
	else
		e = ERR_IO;
	log_error("secrets database", KV_C("call", what), KV_N("rc", rc),
	    KV_C("why", mdb_strerror(rc)));
	return e;
}

/* (4) */
bool
auth_broken(struct auth *a)
{
	bool broken;

	pthread_mutex_lock(&a->mu);
	broken = a->broken;
	pthread_mutex_unlock(&a->mu);
	return broken;
}

enum err
tx_begin(struct tx *x, struct auth *a, bool write)
{
	*x = (struct tx){.a = a, .write = write};
	if (write && auth_broken(a))
		return ERR_IO;
	return db_err(
	    mdb_txn_begin(a->env, NULL, write ? 0 : MDB_RDONLY, &x->t),
	    "begin");
}

enum err
tx_commit(struct tx *x)
{
	MDB_txn *t = x->t;
	enum err e;

	x->t = NULL;
	e = db_err(mdb_txn_commit(t), "commit");
	if (!x->write || (e != OK && e != ERR_IO))
		return e;
	pthread_mutex_lock(&x->a->mu);
	if (e != OK) {
		x->a->broken = true;
		x->delta = (struct counts){0};
	}
	x->a->counts.enabled += x->delta.enabled;
	for (int h = 0; h < SCRAM_HASHES; h++)
		x->a->counts.keys[h] += x->delta.keys[h];
	pthread_mutex_unlock(&x->a->mu);
	return e;
}

void
tx_end(struct tx *x)
{
	if (x->t != NULL)
		mdb_txn_abort(x->t);
	x->t = NULL;
}

void
counts_of(struct auth *a, struct counts *c)
{
	pthread_mutex_lock(&a->mu);
	*c = a->counts;
	pthread_mutex_unlock(&a->mu);
}

static bool
key_make(char k[KEY_MAX], MDB_val *mk, char kind, str key)
{
	if (key.n >= KEY_MAX)
		return false;
	k[0] = kind;
	if (key.n > 0)
		memcpy(k + 1, key.p, key.n);
	*mk = (MDB_val){key.n + 1, k};
	return true;
}

static uint64_t
checksum(const MDB_val *key, str body)
{
	return hash_xxh3(
	    body, hash_xxh3(str_of(key->mv_data, key->mv_size), 1));
}

/* (2) */
static enum err
value_open(const MDB_val *key, const MDB_val *v, str *body)
{
	struct dec d;

	if (v->mv_size < 8)
		goto bad;
	*body = str_of(v->mv_data, v->mv_size - 8);
	d = dec_of(str_of(body->p + body->n, 8));
	if (dec_u64(&d) == checksum(key, *body))
		return OK;
bad:
	log_error("a record of the secrets database is damaged",
	    KV_S("key", str_of(key->mv_data, key->mv_size)));
	return ERR_CORRUPT;
}

enum err
rec_get(struct tx *x, char kind, str key, str *v)
{
	char k[KEY_MAX];
	MDB_val mk, mv;
	enum err e;

	if (!key_make(k, &mk, kind, key))
		return ERR_NOTFOUND;
	if ((e = db_err(mdb_get(x->t, x->a->dbi, &mk, &mv), "get")) != OK)
		return e;
	return value_open(&mk, &mv, v);
}

enum err
rec_put(struct tx *x, char kind, str key, str v)
{
	char k[KEY_MAX];
	MDB_val mk, mv;
	struct buf b = {0};
	enum err e;

	if (!key_make(k, &mk, kind, key))
		return ERR_INVALID;
	buf_str_add(&b, v);
	enc_u64(&b, checksum(&mk, v));
	mv = (MDB_val){b.n, b.p};
	e = db_err(mdb_put(x->t, x->a->dbi, &mk, &mv, 0), "put");
	wipe_buf(&b);
	return e;
}

enum err
rec_del(struct tx *x, char kind, str key)
{
	char k[KEY_MAX];
	MDB_val mk;

	if (!key_make(k, &mk, kind, key))
		return ERR_NOTFOUND;
	return db_err(mdb_del(x->t, x->a->dbi, &mk, NULL), "del");
}

enum err
rec_each(
    struct tx *x, char kind, bool (*fn)(void *arg, str key, str v), void *arg)
{
	MDB_cursor *c = NULL;
	MDB_val mk = {1, &kind}, mv;
	str v, key;
	enum err e;
	int rc;

	if ((e = db_err(mdb_cursor_open(x->t, x->a->dbi, &c), "cursor")) != OK)
		return e;
	rc = mdb_cursor_get(c, &mk, &mv, MDB_SET_RANGE);
	while (rc == 0) {
		key = str_of(mk.mv_data, mk.mv_size);
		if (key.n < 1 || key.p[0] != kind)
			break;
		if ((e = value_open(&mk, &mv, &v)) != OK)
			goto out;
		if (!fn(arg, str_from(key, 1), v))
			goto out;
		rc = mdb_cursor_get(c, &mk, &mv, MDB_NEXT);
	}
	if (rc != 0 && rc != MDB_NOTFOUND)
		e = db_err(rc, "next");
out:
	mdb_cursor_close(c);
	return e;
}

/* ---- accounts ---- */

static void
keys_encode(struct buf *b, const struct scram_keys *k, enum scram_hash h)
{
	enc_var(b, k->iter);
	if (k->iter == 0)
		return;
	enc_str(b, str_of(k->salt, k->nsalt));
	buf_add(b, k->stored, scram_size(h));
	buf_add(b, k->server, scram_size(h));
}

static void
keys_decode(struct dec *d, struct scram_keys *k, enum scram_hash h)
{
	uint64_t iter = dec_var(d);
	str s;

	if (iter == 0)
		return;
	s = dec_str(d);
	/* R37: bounds on what is stored, too. */
	if (iter < SCRAM_ITER_MIN || iter > SCRAM_ITER_MAX || s.n == 0 ||
	    s.n > SALT_MAX) {
		d->bad = true;
		return;
	}
	k->iter = (uint32_t)iter;
	k->nsalt = (uint8_t)s.n;
	memcpy(k->salt, s.p, s.n);
	s = dec_take(d, scram_size(h));
	if (!d->bad)
		memcpy(k->stored, s.p, s.n);
	s = dec_take(d, scram_size(h));
	if (!d->bad)
		memcpy(k->server, s.p, s.n);
}

enum err
acct_decode(str name, str v, struct acct *u)
{
	struct dec d = dec_of(v);
	str hash;

	memset(u, 0, sizeof(*u));
	if (dec_u8(&d) != ACCT_VERSION || name.n > sizeof(u->name))
		return ERR_CORRUPT;
	u->id = dec_u64(&d);
	u->disabled = dec_u8(&d) != 0;
	u->gen = dec_u32(&d);
	u->created_s = dec_zig(&d);
	u->changed_s = dec_zig(&d);
	hash = dec_str(&d);
	for (int h = 0; h < SCRAM_HASHES; h++)
		keys_decode(&d, &u->keys[h], (enum scram_hash)h);
	if (!dec_end(&d) || hash.n > sizeof(u->hash) || u->id == 0)
		return ERR_CORRUPT;
	u->nname = (uint16_t)name.n;
	memcpy(u->name, name.p, name.n);
	u->nhash = (uint16_t)hash.n;
	if (hash.n > 0)
		memcpy(u->hash, hash.p, hash.n);
	return OK;
}

enum err
acct_get(struct tx *x, str name, struct acct *u)
{
	str v;
	enum err e;

	if ((e = rec_get(x, REC_ACCT, name, &v)) != OK)
		return e;
	if ((e = acct_decode(name, v, u)) != OK)
		log_error("an account record does not make sense",
		    KV_S("name", name));
	return e;
}

static void
count(struct counts *c, const struct acct *u, int by)
{
	if (u == NULL || u->disabled)
		return;
	c->enabled += by;
	for (int h = 0; h < SCRAM_HASHES; h++)
		c->keys[h] += u->keys[h].iter != 0 ? by : 0;
}

static str
id_key(char k[8], uint64_t id)
{
	for (int i = 0; i < 8; i++)
		k[i] = (char)(id >> (56 - 8 * i));
	return str_of(k, 8);
}

enum err
acct_put(struct tx *x, const struct acct *u, const struct acct *old)
{
	struct buf b = {0};
	char k[8];
	enum err e;

	assert(u->id != 0 && u->nname > 0);
	enc_u8(&b, ACCT_VERSION);
	enc_u64(&b, u->id);
	enc_u8(&b, u->disabled);
	enc_u32(&b, u->gen);
	enc_zig(&b, u->created_s);
	enc_zig(&b, u->changed_s);
	enc_str(&b, acct_hash(u));
	for (int h = 0; h < SCRAM_HASHES; h++)
		keys_encode(&b, &u->keys[h], (enum scram_hash)h);
	e = rec_put(x, REC_ACCT, acct_name(u), buf_str(&b));
	wipe_buf(&b);
	if (e == OK && old == NULL)
		e = rec_put(x, REC_ID, id_key(k, u->id), acct_name(u));
	count(&x->delta, old, -1);
	count(&x->delta, u, 1);
	return e;
}

enum err
acct_del(struct tx *x, const struct acct *old)
{
	char k[8];
	enum err e;

	if ((e = rec_del(x, REC_ACCT, acct_name(old))) != OK ||
	    (e = rec_del(x, REC_ID, id_key(k, old->id))) != OK)
		return e;
	count(&x->delta, old, -1);
	return rec_put(x, REC_FORGET, id_key(k, old->id), acct_name(old));
}

static enum err
format_put(struct tx *x, uint64_t next)
{
	struct buf b = {0};
	enum err e;

	enc_u32(&b, DB_VERSION);
	enc_u64(&b, next);
	e = rec_put(x, REC_FORMAT, STR_NONE, buf_str(&b));
	buf_free(&b);
	return e;
}

static enum err
format_get(struct tx *x, uint64_t *next)
{
	struct dec d;
	uint32_t version;
	str v;
	enum err e;

	if ((e = rec_get(x, REC_FORMAT, STR_NONE, &v)) != OK)
		return e;
	d = dec_of(v);
	version = dec_u32(&d);
	*next = dec_u64(&d);
	if (dec_end(&d) && version == DB_VERSION && *next > 0)
		return OK;
	log_error("the secrets database is of another version",
	    KV_N("version", version));
	return ERR_CORRUPT;
}

enum err
next_id(struct tx *x, uint64_t *id)
{
	enum err e;

	if ((e = format_get(x, id)) != OK)
		return e;
	return format_put(x, *id + 1);
}

enum err
acct_find(struct auth *a, str name, struct acct *u)
{
	struct tx x;
	enum err e;

	if ((e = tx_begin(&x, a, false)) != OK)
		return e;
	e = acct_get(&x, name, u);
	tx_end(&x);
	return e;
}

/* One read transaction's view, while others write. */
enum err
db_copy(struct auth *a, int fd)
{
	enum err e;

	e = db_err(mdb_env_copyfd2(a->env, fd, MDB_CP_COMPACT), "copy");
	if (e == OK && os_fsync(fd) != 0)
		e = err_errno(errno);
	return e;
}

/* ---- open and close ---- */

static bool
count_one(void *arg, str key, str v)
{
	struct acct u;

	if (acct_decode(key, v, &u) == OK)
		count(arg, &u, 1);
	x_wipe(&u, sizeof(u));
	return true;
}

/* A new database gets its version and secret. */
static enum err
db_init(struct auth *a)
{
	struct tx x;
	uint64_t next;
	str v;
	enum err e;

	if ((e = tx_begin(&x, a, true)) != OK)
		return e;
	e = format_get(&x, &next);
	if (e == ERR_NOTFOUND) {
		os_random(a->secret, sizeof(a->secret));
		if ((e = format_put(&x, 1)) == OK)
			e = rec_put(&x, REC_SECRET, STR_NONE,
			    str_of(a->secret, sizeof(a->secret)));
	} else if (e == OK &&
		   (e = rec_get(&x, REC_SECRET, STR_NONE, &v)) == OK) {
		if (v.n != sizeof(a->secret))
			e = ERR_CORRUPT;
		else
			memcpy(a->secret, v.p, v.n);
	}
	if (e == OK)
		e = rec_each(&x, REC_ACCT, count_one, &x.delta);
	if (e == OK)
		e = tx_commit(&x);
	tx_end(&x);
	return e;
}

/* (5): made under another name, and whole on disk before it has its own. */
static enum err
db_make(const char *dir, const char *path)
{
	struct buf fresh = {0};
	MDB_env *env = NULL;
	enum err e;

	buf_f(&fresh, "%s/secrets.new", dir);
	buf_c(&fresh, '\0');
	/* What an earlier start has left is of no use. */
	if (os_unlink(fresh.p) != 0 && errno != ENOENT) {
		e = err_errno(errno);
		goto out;
	}
	if ((e = db_err(mdb_env_create(&env), "create")) != OK ||
	    (e = db_err(mdb_env_open(env, fresh.p,
			    MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOTLS, 0600),
		 "make")) != OK ||
	    (e = db_err(mdb_env_sync(env, 1), "sync")) != OK)
		goto out;
	if (os_rename(fresh.p, path) != 0)
		e = err_errno(errno);
out:
	if (env != NULL)
		mdb_env_close(env);
	buf_free(&fresh);
	return e;
}

static enum err
db_open(struct auth *a, const char *dir)
{
	struct buf path = {0};
	struct stat st;
	MDB_txn *t = NULL;
	enum err e;

	buf_f(&path, "%s/secrets.mdb", dir);
	buf_c(&path, '\0');
	if (stat(path.p, &st) != 0 && (e = db_make(dir, path.p)) != OK)
		goto out;
	if ((e = db_err(mdb_env_create(&a->env), "create")) != OK ||
	    (e = db_err(mdb_env_set_mapsize(a->env, MAP_BYTES), "map")) != OK ||
	    (e = db_err(mdb_env_open(a->env, path.p,
			    MDB_NOSUBDIR | MDB_NOTLS | MDB_NORDAHEAD, 0600),
		 "open")) != OK)
		goto out;
	if ((e = db_err(mdb_txn_begin(a->env, NULL, 0, &t), "begin")) != OK)
		goto out;
	if ((e = db_err(mdb_dbi_open(t, NULL, 0, &a->dbi), "dbi")) != OK) {
		mdb_txn_abort(t);
		goto out;
	}
	if ((e = db_err(mdb_txn_commit(t), "commit")) != OK ||
	    (e = db_init(a)) != OK)
		goto out;
	/* (1) The names of the files, too, must outlive a power cut; also
	 * those that a start has made that was then killed. */
	if (os_fsync_dir(dir) != 0)
		e = err_errno(errno);
out:
	buf_free(&path);
	return e;
}

static enum err
dir_make(const char *dir)
{
	struct stat st;
	struct buf b = {0};
	enum err e = OK;
	size_t slash;

	if (stat(dir, &st) == 0)
		return S_ISDIR(st.st_mode) ? OK : ERR_IO;
	slash = str_rchr(str_c(dir), '/');
	if (slash == strlen(dir))
		buf_s(&b, ".");
	else
		buf_add(&b, dir, slash == 0 ? 1 : slash);
	buf_c(&b, '\0');
	if (os_mkdir(dir, 0700) != 0 || os_fsync_dir(b.p) != 0)
		e = err_errno(errno);
	buf_free(&b);
	return e;
}

enum err
auth_open(struct auth **out, const char *dir, const struct auth_conf *conf)
{
	static const struct auth_conf plain = {.scram_sha256 = true};
	struct auth *a = x_alloc(sizeof(*a));
	struct buf path = {0};
	enum err e;

	*out = NULL;
	a->lock = -1;
	pthread_mutex_init(&a->mu, NULL);
	if ((e = dir_make(dir)) != OK) {
		log_error("cannot make the folder of auth", KV_C("dir", dir),
		    KV_ERRNO(errno));
		goto out;
	}
	buf_f(&path, "%s/lock", dir);
	buf_c(&path, '\0');
	if ((a->lock = os_lock(path.p)) < 0) {
		e = errno == EWOULDBLOCK ? ERR_BUSY : err_errno(errno);
		goto out;
	}
	if ((e = db_open(a, dir)) != OK)
		goto out;
	if (gsasl_init(&a->gsasl) != GSASL_OK) {
		e = ERR_NOMEM;
		goto out;
	}
	auth_configure(a, conf != NULL ? conf : &plain);
	*out = a;
	a = NULL;
out:
	buf_free(&path);
	auth_close(&a);
	return e;
}

void
auth_close(struct auth **ap)
{
	struct auth *a = *ap;

	if (a == NULL)
		return;
	if (a->gsasl != NULL)
		gsasl_done(a->gsasl);
	if (a->env != NULL)
		mdb_env_close(a->env);
	if (a->lock >= 0)
		os_close(&a->lock);
	wipe_buf(&a->fake);
	x_free(&a->domains);
	x_wipe(a->secret, sizeof(a->secret));
	pthread_mutex_destroy(&a->mu);
	x_free(ap);
}
