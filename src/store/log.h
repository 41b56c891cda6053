/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The log's inside, for commit.c, open.c, check.c and compact.c: positions,
 * writing a group, reading the groups of the past.
 */
#ifndef STORE_LOG_H
#define STORE_LOG_H

#include "store/store_int.h"

struct log {
	pthread_mutex_t mu; /* v, n */
	struct segment **v; /* by number */
	size_t n;
	char *dir;
	/* The committer's. */
	struct segment *cur;       /* the last of v; NULL before log_start */
	struct log_pos pos;        /* where the next group goes */
	struct log_pos durable;    /* the same, for others; mu */
	pthread_mutex_t ahead_mu;  /* growing cur with zeros; cur, cur->size */
	atomic_uint_fast64_t used; /* bytes of cur, for log_ahead */
	atomic_uint_fast64_t flushes;
	atomic_uint_fast64_t bytes; /* of all segments, in use */
};

static inline size_t
log_pad(size_t n)
{
	return (n + 7) & ~(size_t)7;
}
static inline size_t
log_record_size(size_t payload)
{
	return RECORD_HEAD + log_pad(payload);
}

/* After log_open and the replay: goes on at pos; fresh: in a new segment
 * whose head says that the one before ends there. */
enum err
log_start(struct store *st, const struct log_pos *pos, bool fresh) MUST_CHECK;
/* Where the head of the first record of the next group will stand; begins a
 * new segment when the last one is full. */
enum err log_place(struct store *st, struct logref *at) MUST_CHECK;
/* Writes and flushes. OK: durable. ERR_FULL, ERR_IO: it is as if nothing had
 * been written. ERR_UNAVAILABLE: nobody knows; the store is dead. */
enum err
log_commit(struct store *st, const struct log_record *v, size_t n) MUST_CHECK;
/* The last group, which log_commit wrote, is made none again. The store must
 * be dead after this. */
void log_cancel(struct store *st);
/* Zeros ahead of the writer, in the background. */
void log_ahead(struct store *st);
/* Takes a compacted segment out of the list; its file goes with its last
 * reader. */
void log_drop(struct store *st, uint64_t number);

/* Reading the past. */
struct log_reader;
struct log_group {
	uint64_t seq;
	int64_t time_ms;
	uint32_t records;
	struct logref first; /* head of its first record */
	str bytes;           /* its records, until the next call */
};
enum log_next { LOG_GROUP, LOG_END, LOG_TORN, LOG_DAMAGED, LOG_FAILED };
/* direct: past the page cache, for the tail. */
struct log_reader *
log_reader_new(struct store *st, struct segment *s, bool direct);
void log_reader_free(struct log_reader **r);
/* The group at *off of the segment, and moves *off behind it. LOG_END: zeros
 * from there on, or the segment's end; LOG_TORN: something else, and no
 * valid group behind it; LOG_DAMAGED: something else, and a valid group
 * behind it. */
enum log_next log_next_group(
    struct log_reader *r, uint64_t *off, uint64_t end, struct log_group *g);
/* Does a group of this number stand from off to end? Its heads are looked at,
 * not what its records hold. */
bool
log_group_is(struct log_reader *r, uint64_t off, uint64_t end, uint64_t seq);
/* The records of a group, one by one: *at starts at 0. */
bool log_group_record(const struct log_group *g, size_t *at, struct logref *ref,
    enum record_type *type, unsigned *version, str *payload);

#endif
