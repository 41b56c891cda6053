/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * FETCH's two halves: the command with its items (cmd_fetch.c), and the
 * parts of messages (fetch_body.c).
 *
 * (1) What a message's response needs is read before its first byte is
 *     queued; so a message that cannot be read leaves no half response.
 */
#ifndef IMAP_FETCH_H
#define IMAP_FETCH_H

#include "imap/imap_int.h"

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
void fetched_free(struct fetched *m);

#endif
