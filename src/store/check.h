/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * What check.c gathers and check_compare.c holds against each other.
 */
#ifndef STORE_CHECK_H
#define STORE_CHECK_H

#include "store/apply.h"
#include "store/log.h"

struct check_list {
	void *p;
	size_t n, cap;
};
struct check_account {
	uint64_t id, next_message;
	uint32_t nodes, found, subscriptions, found_subscriptions;
};
struct check_body {
	uint64_t account;
	uint8_t sha[SHA_LEN];
	struct body_row row;
	uint64_t found;
};
struct check_node {
	uint64_t account, name_hash;
	uint32_t id, parent, children, mailbox, uidvalidity, found;
	bool named;
};
struct check_name {
	uint64_t account, hash;
	uint32_t parent, node;
};
struct check_keyword {
	uint64_t account;
	uint32_t mailbox;
};
struct check_wait { /* a row of X, or E */
	uint64_t account, modseq;
	uint32_t mailbox;
};
struct check_live {
	uint64_t segment, counted, found;
};
struct check_thread {
	uint64_t account, hash, count;
};
struct check_run {
	uint64_t account;
	uint32_t mailbox, key, n;
	size_t first; /* of facts */
};
struct check_mailbox {
	uint64_t account, modseq, size, deleted_size;
	uint32_t id, node, uidvalidity, uidnext, messages, unseen, deleted;
	uint32_t keywords, last_uid, found_messages, found_unseen;
	uint32_t found_deleted, found_more, rows_more, found_keywords;
	uint32_t uidls, found_uidls;
	uint64_t found_size, found_deleted_size;
	bool dead, in_tree;
};
struct check_ref {
	uint64_t account, message, count;
};
struct check_message {
	uint64_t account, message;
	uint32_t parts, found;
	struct message_row row;
};

struct check {
	struct store *st;
	void (*fault)(void *arg, str sentence);
	void *arg;
	uint64_t faults;
	struct check_list accounts, bodies, nodes, names, keywords, facts, runs,
	    mailboxes, refs, counted, messages, waits, gone, live, ids, threads,
	    uidls;
	bool totals; /* there is such a row */
	uint64_t total_messages;
	size_t next_run;
	struct segment **segments;
	size_t nsegments;
};

void check_fault(struct check *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
void check_push(struct check_list *l, const void *x, size_t size);
struct check_account *check_find_account(struct check *c, uint64_t id);
void check_compare(struct check *c);
void check_log(struct check *c, const struct log_pos *end);
void check_free(struct check *c);

#endif
