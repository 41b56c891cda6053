/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The inside of auth: records of the secrets database, password schemes,
 * SASL exchanges, the throttle, the cache of verified passwords, the pool
 * of threads that hash.
 */
#ifndef AUTH_AUTH_INT_H
#define AUTH_AUTH_INT_H

#include <pthread.h>

#include <gsasl.h>
#include <lmdb.h>

#include "auth/auth.h"

#define HASH_MAX 768 /* bytes of a stored hash, its {SCHEME} included */
#define SALT_MAX 64  /* bytes of a SCRAM salt */
#define SCRAM_ITER_MIN 4096
#define SCRAM_ITER_MAX 1000000
#define SASL_DATA_MAX 8192 /* bytes of one message of a client */
#define TYPED_MAX 1024     /* bytes of a name as typed */

/* ---- schemes.c: password hashes ---- */

enum scram_hash { SCRAM_SHA1, SCRAM_SHA256, SCRAM_HASHES };

/* What a SCRAM server needs instead of a password; iter 0: there is none. */
struct scram_keys {
	uint32_t iter;
	uint8_t nsalt;
	uint8_t salt[SALT_MAX];
	uint8_t stored[32];
	uint8_t server[32];
};

size_t scram_size(enum scram_hash h); /* bytes of its digest: 20 or 32 */
enum err scram_make(struct scram_keys *k, enum scram_hash h, str password,
    uint32_t iter) MUST_CHECK;
bool scram_parse(str s, enum scram_hash h, struct scram_keys *k);
bool scram_verify(const struct scram_keys *k, enum scram_hash h, str password);
/* A fresh hash of a password, "{CRYPT}$y$...". */
enum err hash_make(struct buf *out, str password) MUST_CHECK;
/* A hash as a passwd file has it, in the form the database keeps it. NULL,
 * or why it is refused. Keys that the hash holds are put into k. */
const char *
hash_import(struct buf *out, str given, struct scram_keys k[SCRAM_HASHES]);
/* Does the password belong to the hash? */
bool hash_verify(str hash, str password);
str hash_scheme(str hash); /* its name, for show */
/* The form of a password that new hashes are made of: NFC. Appended. */
void password_prepare(struct buf *out, str password);

/* ---- db.c: the secrets database ---- */

/* The record of an account. */
struct acct {
	uint64_t id;
	bool disabled;
	uint32_t gen; /* grows with each change of password or state */
	int64_t created_s, changed_s;
	uint16_t nname, nhash;
	char name[AUTH_NAME_MAX];
	char hash[HASH_MAX];
	struct scram_keys keys[SCRAM_HASHES];
};

static inline str
acct_name(const struct acct *u)
{
	return (str){u->name, u->nname};
}
static inline str
acct_hash(const struct acct *u)
{
	return (str){u->hash, u->nhash};
}

/* Enabled accounts, and those of them with SCRAM keys. */
struct counts {
	int64_t enabled;
	int64_t keys[SCRAM_HASHES];
};

struct auth {
	MDB_env *env;
	MDB_dbi dbi;
	int lock;
	uint8_t secret[32]; /* of the server: fake SCRAM salts */
	Gsasl *gsasl;       /* used by the thread that serves alone */

	/* Guards what follows; innermost, held for moments. */
	pthread_mutex_t mu;
	struct counts counts;
	char *domains; /* prepared, each between two NULs */
	size_t ndomains;
	bool scram[SCRAM_HASHES];
	bool external;
	bool broken;     /* a commit has failed */
	struct buf fake; /* the hash that an unknown name is checked by */
};

/* A transaction. One that is not committed is aborted by tx_end. */
struct tx {
	struct auth *a;
	MDB_txn *t;
	bool write;
	struct counts delta;
};
enum err tx_begin(struct tx *x, struct auth *a, bool write) MUST_CHECK;
enum err tx_commit(struct tx *x) MUST_CHECK;
bool auth_broken(struct auth *a);
void tx_end(struct tx *x);

/* Kinds of records: the first byte of the key. */
#define REC_FORMAT 'F' /* version, next id */
#define REC_SECRET 'S' /* 32 bytes */
#define REC_ACCT 'A'   /* + name */
#define REC_ID 'I'     /* + id, big-endian: name */
#define REC_ALIAS 'L'  /* + alias: name */
#define REC_FORGET 'T' /* + id, big-endian: removed, its mail not yet */

/* *v is a slice of the map, good until the transaction ends. */
enum err rec_get(struct tx *x, char kind, str key, str *v) MUST_CHECK;
enum err rec_put(struct tx *x, char kind, str key, str v) MUST_CHECK;
enum err rec_del(struct tx *x, char kind, str key) MUST_CHECK;
/* Each record of a kind in key order; fn returns false to stop. fn must
 * not change the database. */
enum err rec_each(struct tx *x, char kind,
    bool (*fn)(void *arg, str key, str v), void *arg) MUST_CHECK;

enum err acct_get(struct tx *x, str name, struct acct *u) MUST_CHECK;
enum err acct_decode(str name, str v, struct acct *u) MUST_CHECK;
/* Puts the record; old is what was there, or NULL. */
enum err
acct_put(struct tx *x, const struct acct *u, const struct acct *old) MUST_CHECK;
enum err acct_del(struct tx *x, const struct acct *old) MUST_CHECK;
enum err next_id(struct tx *x, uint64_t *id) MUST_CHECK;
/* One read transaction of its own. */
enum err acct_find(struct auth *a, str name, struct acct *u) MUST_CHECK;
/* A consistent copy of the database into an empty file, flushed. */
enum err db_copy(struct auth *a, int fd) MUST_CHECK;
void counts_of(struct auth *a, struct counts *c);

/* ---- users.c ---- */

/* The account that somebody logs in to as this name (as typed): the name
 * itself, or the bare local part when its domain is ours. The prepared
 * form of the typed name is put into prep. ERR_NOTFOUND, ERR_INVALID. */
enum err login_find(
    struct auth *a, str typed, struct buf *prep, struct acct *u) MUST_CHECK;
/* Verifies; u NULL or disabled: the same work for nothing (R33). */
bool login_verify(struct auth *a, const struct acct *u, str password);
/* After a verified plaintext login: makes the SCRAM keys that are missing.
 * Failures are logged; the login stands. */
void login_upgrade(struct auth *a, const struct acct *u, str password);
bool domain_ours(struct auth *a, str domain);
void wipe_buf(struct buf *b);
enum err forget_each(
    struct auth *a, bool (*fn)(void *arg, uint64_t id), void *arg) MUST_CHECK;
enum err forget_done(struct auth *a, uint64_t id) MUST_CHECK;
/* "PLAIN LOGIN SCRAM-SHA-256", strongest first. */
void mechs_put(struct auth *a, struct buf *out, bool tls);
bool scram_announced(struct auth *a, enum scram_hash h);

/* ---- sasl.c: one exchange ---- */

enum sasl_result {
	SASL_CHALLENGE, /* out is for the client, which answers */
	SASL_PASSWORD,  /* name and password are there: verify them */
	SASL_OK,        /* u is who; out the last data for the client */
	SASL_WRONG,     /* name, keys or binding are wrong */
	SASL_MALFORMED,
	SASL_NOMECH,
	SASL_TEMP
};

enum mech {
	MECH_NONE,
	MECH_USERPASS,
	MECH_PLAIN,
	MECH_LOGIN,
	MECH_EXTERNAL,
	MECH_SCRAM
};

struct sasl {
	struct auth *a;
	enum mech mech;
	enum scram_hash hash;
	bool plus;
	int step;
	str exporter; /* the caller's, kept as long as the exchange */
	str cert;
	Gsasl_session *gs;
	struct buf first; /* SCRAM: the gs2 header */
	struct buf name;  /* as the client typed it */
	struct buf prep;  /* prepared, when it can be */
	struct buf password;
	bool known; /* u holds an enabled account */
	enum err e; /* of a look-up in a callback */
	struct acct u;
};

enum sasl_result
sasl_start(struct sasl *x, struct auth *a, str mech, str exporter, str cert);
enum sasl_result sasl_step(struct sasl *x, str data, struct buf *out);
void sasl_end(struct sasl *x);

/* ---- throttle.c ---- */

struct throttle;
struct throttle *throttle_new(void);
void throttle_free(struct throttle **t);
/* May this address try this name now? */
bool throttle_pass(struct throttle *t, str address, str name);
/* Counts a failure; the delay of its answer in milliseconds. */
/* Whether the address or the name has failed lately. */
bool throttle_doubts(struct throttle *t, str address, str name);
uint32_t throttle_failed(struct throttle *t, str address, str name);
void throttle_succeeded(struct throttle *t, str address, str name);
size_t throttle_count(const struct throttle *t);

/* ---- cache.c ---- */

struct cache;
struct cache *cache_new(void);
void cache_free(struct cache **c);
bool cache_has(struct cache *c, const struct acct *u, str mech, str password);
void cache_put(struct cache *c, const struct acct *u, str mech, str password);
void cache_drop(struct cache *c, uint64_t account);
size_t cache_count(const struct cache *c);

/* ---- pool.c: threads that hash ---- */

struct job {
	struct job *next;
	uint64_t who;               /* whose login; 0: nobody's */
	bool doubtful;              /* may be a guess: others go first */
	void (*run)(struct job *j); /* on a thread of the pool */
	void (*done)(struct job *j, void *arg); /* on the serving thread */
};
struct pool;
struct pool *pool_new(unsigned threads, size_t queue_max, void *arg);
void pool_free(struct pool **p); /* runs done for what is left */
int pool_fd(const struct pool *p);
bool pool_put(struct pool *p, struct job *j); /* false: the queue is full */
void pool_reap(struct pool *p);               /* calls done */

/* ---- ctl.c: verbs of the command line ---- */

/* What a verb changed, for the serving thread to follow up. */
struct effects {
	uint64_t changed; /* account whose verified passwords are forgotten */
	uint64_t revoke;  /* account whose sessions end */
	uint64_t forget;  /* account whose mail is freed */
	bool all;         /* many accounts changed */
};
enum err verb_run(struct auth *a, str verb, const str *arg, size_t n, int fd,
    void (*line)(void *ctx, str line), void *ctx, struct buf *why,
    struct effects *fx) MUST_CHECK;

#endif
