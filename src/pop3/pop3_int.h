/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The inside of pop3.
 */
#ifndef POP3_INT_H
#define POP3_INT_H

#include <pthread.h>

#include "pop3/pop3.h"
#include "proto/pop3.h"

struct pop3_env {
	struct net *net;
	struct store *store;
	pthread_mutex_t lock; /* guards what follows */
	uint32_t login_delay_s;
	struct login *logins; /* the last of each account, within the delay */
	size_t nlogins, logins_cap;
};

struct session {
	struct pop3_env *env;
	struct grant grant;
	str name;
	str mechs; /* for CAPA */
	bool user, utf8;
	struct acct *acct;
	struct view *view;
	uint32_t n;       /* messages */
	uint32_t *sizes;  /* [n] */
	uint64_t *marked; /* bits, [n / 64 + 1]; NULL: none is deleted */
	uint64_t octets;  /* of those not marked */
	uint32_t left;    /* their number */
	struct buf line;
	bool overlong;
	uint32_t bad; /* bad commands in a row */
	/* A listing that goes on when the queue has drained. */
	enum { LIST_NONE, LIST_SIZES, LIST_UIDL } listing;
	uint32_t at; /* its next message */
};

/* command.c. The syntax of a command, without a session. */
struct pop3_args {
	bool has_n;
	uint32_t n;
	int64_t lines;
	str rest;
};
enum next pop3_command(struct conn *c, struct session *s);
enum next pop3_list_more(struct conn *c, struct session *s);

/* retr.c. lines < 0: the whole message. */
enum next
pop3_send(struct conn *c, struct session *s, uint32_t n, int64_t lines);

/* session.c */
bool pop3_marked(const struct session *s, uint32_t n);
void pop3_mark(struct session *s, uint32_t n);
void pop3_unmark_all(struct session *s);
enum err pop3_update(struct session *s) MUST_CHECK;
/* "-ERR ..." for a failure of the store. */
const char *pop3_refusal(enum err e);

#endif
