/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * FETCH's parts: the command with its items (cmd_fetch.c), the parts of
 * messages (fetch_body.c), and the short way of what lists ask for
 * (fetch_list.c).
 *
 * (1) What a message's response needs is read before its first byte is
 *     queued; so a message that cannot be read leaves no half response.
 */
#ifndef IMAP_FETCH_H
#define IMAP_FETCH_H

#include "imap/imap_int.h"

enum item {
	ITEM_UID = 1,
	ITEM_FLAGS = 2,
	ITEM_INTERNALDATE = 4,
	ITEM_SIZE = 8,
	ITEM_ENVELOPE = 16,
	ITEM_BODY = 32,
	ITEM_BODYSTRUCTURE = 64,
	ITEM_EMAILID = 128,
	ITEM_THREADID = 256,
	ITEM_SAVEDATE = 512,
	ITEM_SUMMARY = ITEM_ENVELOPE | ITEM_BODY | ITEM_BODYSTRUCTURE
};

enum part_kind_asked {
	ASKED_BODY,
	ASKED_RFC822,
	ASKED_RFC822_HEADER,
	ASKED_RFC822_TEXT,
	ASKED_BINARY,
	ASKED_BINARY_SIZE
};
struct fetch_part {
	enum part_kind_asked kind;
	struct imap_section section;
};

struct fetch_args {
	struct imap_set set;
	unsigned items;
	struct fetch_part *parts;
	size_t n, cap;
	bool seen; /* reading marks as read */
};

/* A run of a source's octets that stands at .at of the text. */
struct fetch_ref {
	size_t at;
	struct source *src;
	uint64_t from, n;
};

/* One message while its response is made. */
struct fetched {
	struct session *s;
	const struct entry *e;
	struct arena *ar; /* emptied after each message */
	bool has_summary;
	struct summary summary;
	struct source *src; /* opened when it is needed */
	struct buf whole;   /* or, when it is small, read at once */
	bool has_whole, tried_whole;
	struct buf text;
	struct fetch_ref *refs;
	size_t nrefs, refcap;
	bool unknown_cte;
};

enum err fetched_summary(struct fetched *m) MUST_CHECK;
/* Appends " BODY[...] {n}..." and its like to m->text. */
enum err
fetch_part_put(struct fetched *m, const struct fetch_part *part) MUST_CHECK;
/* Queues what has been made. */
void fetched_send(struct fetched *m);
void fetched_free(struct fetched *m); /* before the next message */
void fetched_rest(struct fetched *m); /* before others run: no memory */
/* "[HEADER.FIELDS (FROM)]". */
void fetch_section_name(struct buf *b, const struct imap_section *x);

/* ---- fetch_list.c ---- */
struct fetch_list;
/* NULL: something is asked for that entries and glances do not hold. */
struct fetch_list *fetch_list_new(
    struct session *s, struct arena *ar, const struct fetch_args *args);
/* Queues responses for entries in order until the queue is full, or one
 * must go the long way; returns how many. */
size_t fetch_list_put(struct fetch_list *l, const struct entry *e, size_t n);
void fetch_list_free(struct fetch_list **l);

#endif
