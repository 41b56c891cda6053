/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * record: a change as a value. How every change stands in the log, and how
 * it is read again; docs/format.md has the same, field by field.
 *
 * (1) A record is self-contained: it names results, never operations, so
 *     that applying it needs nothing but what earlier records left.
 * (2) Its payload is a head of small fields and a rest of large bytes (a
 *     body; a header and a summary), which the reader only points at.
 * (3) Bytes come from disk: every count and length is checked, and numbers
 *     that must ascend do.
 */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H

#include "base/base.h"

enum record_type {
	REC_BODY = 1,
	REC_MESSAGE,
	REC_APPEND,
	REC_FLAGS,
	REC_EXPUNGE,
	REC_COPY,
	REC_MOVE,
	REC_MAILBOX,
	REC_KEYWORDS,
	REC_SUBSCRIBE,
	REC_ACCOUNT,
	REC_EXPIRE,
	REC_SNAPSHOT,
	REC_REHOME,
	REC_DROPPED,
	REC_RECENT,
	REC_MAX
};
#define REC_VERSION 1
#define SHA_LEN 32

/* Bytes in a segment, without any header: where an encoded header or body
 * stands. len 0: there is none. */
struct bytesref {
	uint64_t seg;
	uint64_t off;
	uint64_t len;
};

/* What is said of a message in a mailbox once and for all. */
struct facts {
	uint64_t message;
	uint64_t thread;
	uint32_t size;
	int16_t zone_min;
	int64_t internaldate;
	int64_t savedate;
};

/* An entry as APPEND, COPY, MOVE and SNAPSHOT carry it. more: indices of
 * keywords past the flag word (57 and up), ascending. */
struct rec_entry {
	uint32_t uid;
	uint64_t modseq; /* SNAPSHOT, gone entries; else the record's */
	uint64_t flags;
	struct facts f;
	const uint16_t *more;
	size_t nmore;
	str uidl;
};

/* FLAGS: these UIDs now have this word. */
struct rec_word {
	uint64_t flags;
	const uint16_t *more;
	size_t nmore;
	struct ranges uids;
};

enum mailbox_op {
	MBOP_PUT = 1, /* a node of the tree as it now is */
	MBOP_REMOVE,  /* the node goes */
	MBOP_CONTENT, /* a new, empty mailbox */
	MBOP_KILL,    /* the mailbox's mail goes */
	MBOP_UIDS     /* UIDVALIDITY, UIDNEXT set */
};

/* What a SNAPSHOT holds in each of its parts. */
enum snap_part {
	SNAP_BEGIN = 1, /* mailbox row; what was known of it is forgotten */
	SNAP_ENTRIES,
	SNAP_GONE,    /* expunged and kept */
	SNAP_HISTORY, /* a page of expunge history */
	SNAP_ACCOUNT, /* account row; nodes and subscriptions forgotten */
	SNAP_END,
	SNAP_NUMBERS /* the account's row; its tree stays as it is known */
};

struct record {
	enum record_type type;
	uint64_t account;
	uint32_t mailbox; /* of COPY and MOVE: the target */
	uint64_t modseq;
	int64_t time_s; /* when: savedate of what is new, death of the gone */

	/* BODY: whose it is; sha, size, coding in rest */
	const uint64_t *accounts;
	size_t naccounts;
	uint8_t sha[SHA_LEN];
	uint64_t body_size;
	/* MESSAGE; back: distance from this record to its BODY (offsets of
	 * record heads), 0: the account's body of that hash */
	uint64_t message;
	uint64_t thread;
	uint32_t size;        /* all octets */
	uint32_t header_size; /* the prefix counts */
	uint32_t prefix;      /* octets before the header summarised */
	uint64_t back;
	bool moved;  /* compaction: only its place is new */
	str header;  /* encoded */
	str summary; /* the log's form (summary.h) */
	str row;     /* the index's form, where it is made already: not in
			the log */
	str rest;    /* BODY: the encoded bytes */
	/* APPEND, COPY, MOVE, SNAPSHOT */
	const struct rec_entry *entries;
	size_t nentries;
	/* MOVE: what leaves where, with that mailbox's number */
	uint32_t from_mailbox;
	uint64_t from_modseq;
	/* EXPUNGE, MOVE */
	struct ranges uids;
	/* FLAGS */
	const struct rec_word *words;
	size_t nwords;
	/* MAILBOX and SNAPSHOT's account and mailbox rows */
	enum mailbox_op op;
	uint32_t node, parent;
	uint32_t attrs;
	uint32_t uidvalidity;
	uint32_t uidnext;
	uint32_t recent_from; /* RECENT, SNAPSHOT */
	str name;             /* component; subscription; account */
	uint32_t next_mailbox;
	uint64_t next_message;
	bool on; /* SUBSCRIBE: yes; ACCOUNT: is there */
	/* KEYWORDS, SNAPSHOT */
	uint32_t first;
	const str *names;
	size_t nnames;
	/* SNAPSHOT */
	enum snap_part part;
	str page;
	/* DROPPED */
	uint64_t segment;
};

/* Appends head to out; what is in rest is returned in pieces (up to 2). */
void record_encode(const struct record *r, struct buf *head, str rest[2]);
/* Reads a payload: head, and rest as record_encode gave it, or NULL when it
 * all stands in one piece in head. Lists are made in the arena; slices point
 * into the input. ERR_CORRUPT. */
enum err record_decode(enum record_type type, unsigned version, str head,
    const str rest[2], struct arena *a, struct record *r) MUST_CHECK;
const char *record_name(enum record_type t);

#endif
