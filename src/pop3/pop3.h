/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * pop3: the TRANSACTION and UPDATE states of POP3 (RFC 1939), in the process
 * mail. What comes before login is in the room login.
 *
 * (1) The maildrop is the snapshot of INBOX at login. A message that others
 *     expunge meanwhile can still be read, and counts as done at QUIT.
 * (2) Deletions happen at QUIT, by one change, durably, before its +OK; when
 *     the connection ends in any other way nothing is deleted.
 * (3) An idle session holds a view and four octets for each message.
 */
#ifndef POP3_POP3_H
#define POP3_POP3_H

#include "base/base.h"
#include "net/net.h"
#include "store/store.h"

struct pop3_env;

struct pop3_opts {
	struct net *net;
	struct store *store;
	uint32_t login_delay_s; /* 0: none */
};
struct pop3_env *pop3_env_new(const struct pop3_opts *o);
void pop3_configure(struct pop3_env *e, const struct pop3_opts *o);
void pop3_env_free(struct pop3_env **e); /* after the pool has stopped */

/* Begins a session on the socket that MSG_SESSION brought (taken). grant and
 * name are what auth said, tag and input what front passed. The session
 * itself says +OK, or why not. 0: refused (full), the socket is closed. */
conn_id pop3_begin(struct pop3_env *e, int fd, const struct grant *g, str name,
    str tag, str input, const struct os_addr *peer);

/* The service of those connections: for net_each and tests. */
extern const struct service pop3_service;

#endif
