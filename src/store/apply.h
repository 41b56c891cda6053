/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Applying records: what commit.c, open.c and the files of apply share.
 */
#ifndef STORE_APPLY_H
#define STORE_APPLY_H

#include "store/mailbox.h"

/* A BODY of the group that is being applied. */
struct group_body {
	uint64_t off; /* of its head */
	struct bytesref data;
	uint64_t size;
	uint64_t share; /* bytes of the log, for each of its accounts */
};

struct apply {
	struct store *st;
	struct logref at; /* the record's head */
	size_t payload;   /* bytes of its payload */
	struct view *author;
	struct group_body *bodies;
	size_t nbodies, cap;
};

/* Applies one record to the resident mailboxes and the index; apply_mu held.
 * An error is fatal: what is durable must be applied. */
enum err apply_record(struct apply *a, const struct record *r) MUST_CHECK;
void apply_group_end(struct apply *a);
void apply_free(struct apply *a);

/* ---- apply_message.c ---- */
enum err apply_body(struct apply *a, const struct record *r) MUST_CHECK;
enum err apply_message(struct apply *a, const struct record *r) MUST_CHECK;
enum err apply_rehome(struct apply *a, const struct record *r) MUST_CHECK;
/* by: +1 an entry more refers to it, -1 one less; at 0 it is freed. */
enum err message_refer(
    struct store *st, uint64_t account, uint64_t message, int by) MUST_CHECK;
void live_add(struct store *st, uint64_t segment, int64_t bytes);
uint64_t live_bytes(struct store *st, uint64_t segment);

/* The stored row of a message. */
struct message_row {
	uint64_t thread;
	uint32_t size, header_size, prefix;
	struct bytesref header;
	uint64_t log_bytes; /* its record */
	uint8_t sha[SHA_LEN];
	uint64_t body_size;
	str summary; /* as it is stored; in buf */
	struct buf buf;
	uint32_t parts;
};
/* Where part of a message's row stands. */
struct key message_key(uint64_t account, uint64_t message, uint16_t part);
enum err message_get(struct store *st, uint64_t account, uint64_t message,
    struct message_row *m) MUST_CHECK;
/* From the first part, in m->buf; what summary has of it stands at its end. */
bool message_decode(struct message_row *m, uint64_t *summary_len);
void message_row_free(struct message_row *m);
/* A message's row, read once for its summary, whose slices point into it,
 * and its source. message_row_free. */
enum err view_row(
    struct view *v, const struct entry *e, struct message_row *m) MUST_CHECK;
enum err
view_row_summary(const struct message_row *m, struct summary *s) MUST_CHECK;
/* An error may only mean that it was moved: then view_source. */
enum err view_row_source(struct view *v, const struct message_row *m,
    struct source **src) MUST_CHECK;
/* Summaries of one message after the other, without their rows: quick when
 * they stand in order. The sizes and places are those of what was summarised,
 * without a prefix. A zeroed walk; false: it is to be read with its row. */
struct view_walk {
	struct index_walk walk;
	struct buf room;
	bool on;
};
bool view_walk_summary(struct view *v, const struct entry *e,
    struct view_walk *w, struct summary *s);
/* Before anything else is asked of the index. */
void view_walk_end(struct view_walk *w);
struct body_row {
	struct logref record;
	struct bytesref data;
	uint64_t size;
	uint64_t count; /* messages of the account that have it */
	uint64_t share;
};
enum err body_decode_row(str row, struct body_row *b) MUST_CHECK;
enum err body_get(struct store *st, uint64_t account,
    const uint8_t sha[SHA_LEN], struct body_row *b) MUST_CHECK;
void body_put(struct store *st, uint64_t account, const uint8_t sha[SHA_LEN],
    const struct body_row *b);
void message_put(struct store *st, uint64_t account, uint64_t message,
    const struct message_row *m);
uint32_t message_refs(struct store *st, uint64_t account, uint64_t message);

/* ---- thread.c ---- */
/* The thread of a message by its ids; 0: none of them is known. */
enum err thread_find(struct store *st, uint64_t account,
    const struct summary *s, uint64_t *thread) MUST_CHECK;
/* on: its ids lead to the thread from now on; off: it goes. */
enum err thread_note(struct store *st, uint64_t account,
    const struct summary *s, uint64_t thread, bool on) MUST_CHECK;
/* Calls each id that counts. */
void
thread_ids(const struct summary *s, bool (*each)(void *ctx, str id), void *ctx);
struct key thread_key(uint64_t account, str id);

/* ---- apply_tree.c ---- */
enum err apply_mailbox(struct apply *a, const struct record *r) MUST_CHECK;
enum err apply_subscribe(struct apply *a, const struct record *r) MUST_CHECK;
enum err apply_account(struct apply *a, const struct record *r) MUST_CHECK;

/* A row of the tree. */
struct node {
	uint32_t id, parent, attrs, mailbox, uidvalidity, children;
	str name; /* in buf */
	struct buf buf;
};
enum err node_get(
    struct store *st, uint64_t account, uint32_t id, struct node *n) MUST_CHECK;
enum err node_decode(str row, struct node *n) MUST_CHECK;
void node_free(struct node *n);
enum err node_find(struct store *st, uint64_t account, uint32_t parent,
    str name, uint32_t *id) MUST_CHECK;

/* ---- apply_entry.c ---- */
enum err apply_entries(struct apply *a, const struct record *r) MUST_CHECK;
enum err apply_flags(struct apply *a, const struct record *r) MUST_CHECK;
enum err apply_expunge(struct apply *a, uint64_t account, uint32_t mailbox,
    uint64_t modseq, int64_t time_s, const struct ranges *uids) MUST_CHECK;
enum err apply_keywords(struct apply *a, const struct record *r) MUST_CHECK;
enum err apply_recent(struct apply *a, const struct record *r) MUST_CHECK;
enum err apply_expire(struct apply *a, const struct record *r) MUST_CHECK;
enum err apply_snapshot(struct apply *a, const struct record *r) MUST_CHECK;
enum err
mbox_forget(struct store *st, uint64_t account, uint32_t id) MUST_CHECK;
/* The mailbox of a record: ERR_NOTFOUND only while rebuilding. */
enum err apply_mbox(
    struct apply *a, uint64_t account, uint32_t id, struct mbox **m) MUST_CHECK;
enum err apply_damage(struct apply *a, const char *what);
void mbox_changed(struct apply *a, struct mbox *m); /* pokes who watches */
struct key
key_expire(int64_t time_s, uint64_t account, uint32_t mailbox, uint64_t modseq);
void more_put(struct mbox *m, uint32_t uid, const uint16_t *v, size_t n);
void entry_count(struct mbox *m, uint64_t flags, uint32_t size, int by);
void uidl_put(struct mbox *m, uint32_t uid, str uidl);
void gone_put(struct mbox *m, struct gone *v, uint32_t n, uint64_t modseq,
    int64_t time_s);
void chunk_remove(struct mbox *m, size_t ci);
/* Takes the entries out of the mailbox; gone has room for all of them. */
enum err entries_take(struct mbox *m, const struct ranges *uids,
    struct gone *gone, uint32_t *n) MUST_CHECK;
enum err entry_add(struct apply *a, struct mbox *m, const struct rec_entry *x,
    uint64_t modseq) MUST_CHECK;
void history_add(struct mbox *m, uint64_t modseq, const struct ranges *uids);

#endif
