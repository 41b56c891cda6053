/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The inside of the store, shared by its files alone.
 *
 * The way of a change: a thread encodes what it can (compression, hashes)
 * and hands a struct change to the commit queue (commit.c). The committer
 * plans it against the committed state (numbers are given here), writes all
 * planned records as one group and flushes (log.c), applies each record to
 * the resident mailboxes and the index (apply.c), and wakes the waiters.
 * The index (index.c) takes values into memory and writes them behind, in
 * one LMDB transaction together with the log position reached.
 *
 * (1) Order of locks: apply_mu, reg_mu, account.mu, mbox.mu, index.mu,
 *     log.mu. No lock is held while waiting for the log's flush, but by the
 *     committer, who holds none of the above then.
 * (2) Only the committer changes resident state, holding apply_mu, and the
 *     mbox's mu while it does. So the plan reads without mbox.mu, and
 *     everybody else with it.
 * (3) A mailbox that is not resident has nothing in the index's memory:
 *     what LMDB says of it is all there is.
 */
#ifndef STORE_STORE_INT_H
#define STORE_STORE_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "store/store.h"
#include "store/body.h"
#include "store/record.h"

/* ---- log.c: segments and groups ---- */

struct segment {
	uint64_t number;
	uint64_t id; /* no other in this process has it, or had it */
	int fd;      /* read and write; closed with the last reference */
	atomic_uint refs;
	uint64_t salt;             /* seed of its checksums */
	uint64_t first;            /* sequence number of its first group */
	atomic_uint_fast64_t end;  /* bytes in use; of the last one: so far */
	atomic_uint_fast64_t size; /* of the file, zeros ahead included */
	bool ended;                /* its successor says where it ends */
	bool drop; /* compacted: the file goes with the last reference */
	char *path;
};

/* A record's place: off is where its head stands. */
struct logref {
	uint64_t seg;
	uint64_t off;
};
struct log_pos {
	uint64_t seg;
	uint64_t off;
	uint64_t seq; /* of the group that will stand there */
	/* Offset of the group before, in this segment; 0: there is none. */
	uint64_t last;
};

#define SEGMENT_HEAD 64 /* bytes before the first group */
#define GROUP_HEAD 40
#define RECORD_HEAD 16

/* A record as it goes into a group. hash: XXH3 of the whole payload, seed 0;
 * made by the caller so that the committer need not. */
struct log_record {
	uint8_t type;
	uint8_t version;
	str piece[3]; /* the payload, in pieces */
	uint64_t hash;
};

struct log;
enum err log_open(struct store *st) MUST_CHECK;
void log_close(struct store *st);
/* A counted segment, or NULL when there is none of that number. */
struct segment *segment_get(struct store *st, uint64_t number);
void segment_unref(struct segment **s);
/* All segments, oldest first, each counted; *end: what is durable. The array
 * is the caller's: segment_unref each, x_free. For backup and check. */
enum err log_segments(struct store *st, struct segment ***v, size_t *n,
    struct log_pos *end) MUST_CHECK;
/* Raw bytes of a segment: n bytes at r->off + at. They carry checksums of
 * their own (body.c) or are checked by the caller. ERR_IO, ERR_CORRUPT (past
 * the end, no such segment). */
enum err log_read(struct store *st, const struct bytesref *r, uint64_t at,
    void *p, size_t n) MUST_CHECK;
/* A whole record, checked: payload appended to out. */
enum err log_record_read(struct store *st, const struct logref *r,
    enum record_type *type, unsigned *version, struct buf *out) MUST_CHECK;

/* ---- index.c: LMDB, and what it lacks yet ---- */

struct index;
struct key {
	uint8_t p[64];
	size_t n;
};
static inline struct key
key_of(char table, uint64_t account)
{
	struct key k = {.p = {(uint8_t)table}, .n = 9};

	for (int i = 0; i < 8; i++)
		k.p[1 + i] = (uint8_t)(account >> (56 - 8 * i));
	return k;
}
static inline void
key_u32(struct key *k, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		k->p[k->n++] = (uint8_t)(v >> (24 - 8 * i));
}
static inline void
key_u64(struct key *k, uint64_t v)
{
	key_u32(k, (uint32_t)(v >> 32));
	key_u32(k, (uint32_t)v);
}

/* fresh: what is there is set aside. *pos: the log position it holds (seg 0:
 * it is new); *clean: the last process closed it and the log. */
enum err index_open(
    struct store *st, bool fresh, struct log_pos *pos, bool *clean) MUST_CHECK;
void index_close(struct store *st);
/* Puts a value (without its checksum) into memory; index_del deletes. From
 * apply alone, apply_mu held. */
void index_put(struct store *st, const struct key *k, str value);
void index_del(struct store *st, const struct key *k);
/* Memory first, then LMDB. The value, its checksum verified and removed, is
 * appended to out. ERR_NOTFOUND, ERR_CORRUPT, ERR_IO. */
enum err
index_get(struct store *st, const struct key *k, struct buf *out) MUST_CHECK;
/* Looks up rows that never change, under one read transaction, so that rows
 * in the order of their keys cost little: LMDB first, then memory. A value
 * stands until the next one is asked for. ERR_NOTFOUND: index_get may find
 * it, if it was written since the walk began. */
struct MDB_txn;
struct MDB_cursor;
struct index_walk {
	struct store *st;
	struct MDB_txn *t;
	struct MDB_cursor *c;
	bool placed;    /* the cursor stands on a row */
	struct buf mem; /* a value that was in memory */
};
enum err index_walk_begin(struct store *st, struct index_walk *w) MUST_CHECK;
enum err index_walk_get(
    struct index_walk *w, const struct key *k, str *value) MUST_CHECK;
void index_walk_end(struct index_walk *w);
/* Visits the rows of LMDB alone whose keys begin with prefix, from prefix +
 * from on, in order; each returns false to stop. What is in memory only is
 * not seen: (3), or flush before. key comes without the prefix. */
enum err index_scan(struct store *st, const struct key *prefix, str from,
    bool (*each)(void *ctx, str key, str value), void *ctx) MUST_CHECK;
/* The same for several prefixes, at one moment of LMDB: counts in one table
 * hold for the rows of another. */
struct index_part {
	struct key prefix;
	bool (*each)(void *ctx, str key, str value);
};
enum err index_scan_parts(struct store *st, const struct index_part *v,
    size_t n, void *ctx) MUST_CHECK;
/* The last row of LMDB whose key begins with prefix and is at most prefix +
 * upto. */
enum err index_floor(struct store *st, const struct key *prefix, str upto,
    struct buf *key, struct buf *value) MUST_CHECK;
/* Every row of LMDB as it is at this moment, in order; ok: its checksum
 * holds. For check: the transaction lasts as long as it takes. */
enum err index_verify(struct store *st,
    bool (*each)(void *ctx, str key, str value, bool ok), void *ctx) MUST_CHECK;
/* Writes to LMDB all that is applied, now, with the log position. ERR_FULL:
 * it stays in memory, and will be tried again. Others: the store is dead. */
enum err index_flush(struct store *st) MUST_CHECK;
bool index_due(struct store *st); /* much is in memory, or for long */
/* For backup: a compact copy of the environment into fd. *pos: the log
 * position that the copy holds. */
enum err index_copy(struct store *st, int fd, struct log_pos *pos) MUST_CHECK;
/* Bytes of the index that are in use, and the number of its rows. */
void index_size(struct store *st, uint64_t *bytes, uint64_t *rows);
/* The next start makes the index anew from the log. */
void index_suspect(struct store *st, const char *why);
/* Damage was found: as above, and a process that serves ends, so that this
 * happens soon. A tool goes on with what can be read. */
void index_damaged(struct store *st, const char *why);
/* A file beside the index, for the next start. */
enum err
index_mark(struct store *st, const char *name, const char *why) MUST_CHECK;
enum err index_marked(struct store *st, const char *name, bool *yes) MUST_CHECK;
enum err index_unmark(struct store *st, const char *name) MUST_CHECK;

/* ---- the store ---- */
struct list {
	void **v;
	size_t n, cap;
};
struct store {
	struct store_opts o;
	char *dir;
	int lock_fd;
	struct log *log;
	struct index *index;
	struct committer *cm;
	pthread_mutex_t apply_mu;
	pthread_mutex_t reg_mu; /* accounts, mboxes */
	struct map *accounts;
	struct map *mboxes;
	struct map *live; /* segment -> uint64_t *; apply_mu */
	/* Whose rows the index lacks, and whose are being written: apply_mu. */
	struct list dirty_mboxes, dirty_accounts, flying_mboxes,
	    flying_accounts;
	bool totals_dirty;
	atomic_uint_fast64_t resident; /* entries in memory */
	pthread_t background;
	pthread_mutex_t bg_mu;
	pthread_cond_t bg_cv;
	pthread_mutex_t compact_mu;
	struct compaction *compaction;
	int64_t compact_next_ms; /* the background thread's */
	bool bg_stop, bg_work, ballast_made;
	unsigned format;        /* what FORMAT says, or a restored copy was */
	bool format_begun;      /* an upgrade did not come to its end */
	bool started;           /* the replay is done */
	atomic_bool died;       /* the owner was told */
	struct log_pos applied; /* apply_mu: all groups before it */
	atomic_bool dead;       /* a flush failed: nothing more is said OK */
	atomic_bool full;       /* no room: only what frees some is taken */
	bool rebuilding;
	struct map *dropped;   /* rebuilding: the log says that they are */
	bool index_had;        /* something, when it was opened */
	struct log_pos before; /* what the index held that was set aside */
	uint64_t stat_accounts, stat_mailboxes, stat_messages,
	    stat_entries; /* apply_mu */
	atomic_uint_fast64_t stat_commits, stat_changes;
};

/* An unlinked file, in a folder that is the store's alone; -1 and errno. */
/* DATA/name, to be freed with x_free. */
char *store_path(const struct store *st, const char *name);
int store_tmpfile(struct store *st);
/* A flush failed, or what is durable cannot be applied: nothing is said OK
 * any more, and the process is asked to end. */
void store_die(struct store *st, const char *why);
/* The disk is full: lets the ballast go. */
void store_full(struct store *st);
void store_hurry(struct store *st); /* much is waiting for the index */
/* After a replay with holes: counts what the records could not. */
enum err rebuild_finish(struct store *st) MUST_CHECK;
/* Something is applied: the background thread has to write it. */
void store_wake(struct store *st);

#endif
