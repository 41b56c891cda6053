/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Mailboxes and accounts in memory.
 *
 * A mailbox is a head (the row of its counts) and a content: chunks of
 * entries, in the order of UIDs. Each chunk stands in the index as two rows,
 * state and facts, under the chunk's key.
 *
 * (1) Only apply changes any of it, holding apply_mu, and the mailbox's mu
 *     where others look. A chunk's UIDs are shared with versions, and are
 *     copied before they change when somebody else holds them.
 * (2) content goes NONE -> TAIL (the last chunk only: enough for appending)
 *     -> FULL, and back to NONE when it is dropped. At TAIL only appending
 *     is done, so that the rows below the tail stay as they are.
 * (3) Content is dropped only when the index has all of it, nobody has it
 *     pinned, and every viewer is parked.
 * (4) A chunk's key is the UID with which it began; it stays when that UID
 *     goes, and keys ascend.
 */
#ifndef STORE_MAILBOX_H
#define STORE_MAILBOX_H

#include "store/store_int.h"

#define CHUNK_MAX 128
#define VALUE_MAX 4000 /* a row's value, its checksum apart */
#define INBOX_ID 1
#define FLAG_MORE (1ull << 63)
#define KEYWORD_BIT(i) (1ull << (6 + (i)))
#define KEYWORDS_IN_WORD 57

struct uids {
	atomic_uint refs;
	uint32_t n;
	uint32_t uid[CHUNK_MAX];
};

struct chunk {
	struct uids *u;
	struct facts *facts; /* CHUNK_MAX of them; NULL: not read yet */
	uint64_t max_modseq;
	uint32_t key;
	bool stored; /* has rows in the index */
	bool state_dirty, facts_dirty;
	uint64_t modseq[CHUNK_MAX];
	uint64_t flags[CHUNK_MAX];
};

/* An immutable list of UIDs. start[i]: how many stand before chunk i. */
struct version {
	atomic_uint refs;
	uint32_t n;
	uint32_t nchunks;
	struct uids **u;
	uint32_t *start;
};

struct more {
	size_t n;
	uint16_t v[];
};

/* An expunged message that can still be read. */
struct gone {
	uint32_t uid;
	uint64_t flags;
	struct facts f;
};
struct gone_row { /* a row of table X */
	uint64_t modseq;
	uint32_t part;
	uint32_t n;
	int64_t time_s;
	struct gone *v;
};
struct hist_page {      /* a row of table H */
	uint64_t first; /* modseq, and part: its key */
	uint32_t part;
	uint64_t last;
	bool dirty;
	struct buf b;
};

enum content { CONTENT_NONE, CONTENT_TAIL, CONTENT_FULL };

struct mbox {
	struct store *st;
	uint64_t account;
	uint32_t id;
	pthread_mutex_t mu;
	unsigned refs; /* reg_mu: pins of the struct: views, changes */
	unsigned pins; /* mu: the content must stay */
	atomic_int_fast64_t used_ms;
	/* the head */
	atomic_bool dead; /* deleted; what is left waits to be freed */
	bool dirty;       /* head or content; apply_mu */
	bool freed;       /* dead, and its rows are deleted */
	unsigned flying;  /* flushes its rows are in; apply_mu */
	uint32_t node;
	atomic_uint uidvalidity;
	uint32_t uidnext;
	uint32_t recent_from, recent;
	uint32_t messages, unseen, deleted;
	uint32_t nkeywords;
#define UIDLS_UNKNOWN UINT32_MAX /* a row of before: counted when read */
	uint32_t uidls;
	uint64_t size, deleted_size;
	uint64_t last_expunge; /* modseq */
	atomic_uint_fast64_t modseq;
	/* the content */
	enum content content;
	struct chunk **c;
	size_t nc, ccap;
	struct map *more; /* uid -> struct more */
	struct map *uidl; /* uid -> char * */
	struct map *gone; /* uid -> struct gone, inside grows */
	struct gone_row *grows;
	size_t ngrows;
	struct hist_page *hist; /* the last page of LMDB, and later ones */
	size_t nhist;
	bool keywords_loaded;
	str *keywords;
	struct map *kw;          /* folded name -> index + 1 */
	struct version *version; /* the current one; NULL: to be made */
	/* of sessions; mu */
	uint32_t recent_taken; /* UIDs below have been somebody's \Recent */
	struct view *views;
	/* the committer's plan, on top of what is committed */
	bool planned;
	uint32_t plan_uidnext;
	uint64_t plan_modseq;
	uint32_t plan_new_keywords;
	bool plan_alone; /* a change that wants the mailbox for itself */
	struct ranges plan_uids; /* whose flags or life change */
	struct mbox *plan_next;
};

struct account {
	struct store *st;
	uint64_t id;
	unsigned refs; /* reg_mu */
	atomic_bool there;
	bool dirty;      /* apply_mu */
	unsigned flying; /* apply_mu */
	str name;
	uint32_t next_mailbox;
	uint32_t uidvalidity; /* the last one given */
	uint32_t nodes;
	uint32_t subscriptions;
	uint64_t next_message;
	uint64_t tree_version;   /* in memory only: grows with the tree */
	atomic_bool names_whole; /* in memory only: every node has its name */
	/* sessions that watch; mu */
	pthread_mutex_t mu;
	struct acct *accts;
	/* plan */
	bool planned;
	uint64_t plan_message;
	bool plan_names; /* a change of the tree */
	struct account *plan_next;
};

struct acct {
	struct store *st;
	struct account *ac;
	struct grant g;
	uint64_t watcher;
	struct acct *next, *prev;
};

/* Bytes of a segment that are still needed; apply_mu. */
struct live {
	uint64_t segment;
	uint64_t bytes;
	bool dirty;
};

/* ---- resident.c ---- */
void mbox_dirty(struct mbox *m); /* apply_mu held */
void account_dirty(struct account *a);
enum err mbox_head_decode(str row, struct mbox *m) MUST_CHECK;
enum err account_decode(str row, struct account *a) MUST_CHECK;
void keyword_fold(str name, struct buf *out);
/* Finds or reads. The struct is pinned until mbox_unref. ERR_NOTFOUND. */
enum err mbox_get(struct store *st, uint64_t account, uint32_t id,
    struct mbox **m) MUST_CHECK;
void mbox_unref(struct mbox **m);
/* A new one, for apply: there is none yet. */
struct mbox *mbox_new(struct store *st, uint64_t account, uint32_t id);
/* Content at least so far; pinned until mbox_unpin. */
enum err mbox_pin(struct mbox *m, enum content c) MUST_CHECK;
/* The UIDL of a message that came without one. */
void mbox_uidl(struct buf *out, uint32_t uidvalidity, uint32_t uid);
void mbox_unpin(struct mbox *m);
enum err
mbox_keywords(struct mbox *m) MUST_CHECK; /* makes them known; mu held */
enum err chunk_facts(
    struct mbox *m, struct chunk *c) MUST_CHECK; /* the same for facts */
void mbox_drop_content(struct mbox *m);          /* mu held; (3) */
enum err account_get(struct store *st, uint64_t id,
    struct account **ac) MUST_CHECK; /* made when missing: there is false */
void account_unref(struct account **ac);
void account_ref(struct account *ac);
/* resident.c alone: its row, and its end when nobody has it. */
void account_encode(const struct account *a, struct buf *b);
void account_free(struct account *a);
void resident_flush_begin(struct store *st); /* apply_mu held */
void resident_flush_end(struct store *st);
void resident_sweep(struct store *st, bool all); /* drops what is not needed */
void resident_close(struct store *st);

/* ---- chunk.c ---- */
struct chunk *chunk_new(uint32_t key);
void chunk_free(struct chunk **c);
struct uids *uids_new(void);
void uids_unref(struct uids **u);
struct uids *chunk_own_uids(struct chunk *c); /* to change them: (1) */
void state_encode(const struct chunk *c, struct buf *out);
enum err state_decode(str row, struct chunk *c) MUST_CHECK;
void facts_encode(const struct chunk *c, struct buf *out);
enum err facts_decode(str row, struct chunk *c) MUST_CHECK;
void gone_encode(const struct gone_row *r, struct buf *out);
enum err gone_decode(str row, struct gone_row *r) MUST_CHECK;
/* Where a UID stands: chunk and index; false: nowhere. */
bool mbox_find(const struct mbox *m, uint32_t uid, size_t *ci, size_t *i);
/* The first entry with a UID >= uid; false: none. */
bool mbox_seek(const struct mbox *m, uint32_t uid, size_t *ci, size_t *i);
void mbox_chunk_add(struct mbox *m, size_t at, struct chunk *c);
/* The state row key and its like. */
struct key key_mbox(char table, const struct mbox *m);
struct key key_chunk(char table, const struct mbox *m, uint32_t key);

/* ---- version.c ---- */
struct version *version_current(struct mbox *m); /* mu held; counted */
/* From old: without what has gone (drop), with what is new (add). */
struct version *version_next(struct mbox *m, const struct version *old,
    uint32_t old_next, bool drop, bool add);
/* The version that a view had when all before modseq was told, up to next. */
enum err version_wake(struct mbox *m, uint64_t modseq, uint32_t next,
    struct version **v) MUST_CHECK;
void version_unref(struct version **v);
uint32_t version_seq(const struct version *v, uint32_t uid);
uint32_t version_uid(const struct version *v, uint32_t seq);
/* UIDs expunged with a modseq above it, from the history. mu held. */
enum err
history_since(struct mbox *m, uint64_t modseq, struct ranges *out) MUST_CHECK;

#endif
