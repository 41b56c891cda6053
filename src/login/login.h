/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * login: what IMAP and POP3 say before somebody has logged in: the only
 * code of theirs that lives in front. It can open no file and holds no
 * secret; whoever logs in is passed on to mail.
 *
 * (1) front never waits for auth: a request parks the connection, the reply
 *     claims it.
 * (2) What a client sends before login is bounded: prelogin_bytes_max at
 *     once, prelogin_s in all.
 * (3) Off loopback no password crosses the line in clear: LOGIN, USER,
 *     PASS, PLAIN and LOGIN are refused without TLS, and before the password
 *     is looked at (R23).
 * (4) Nothing of a connection's state lives through STARTTLS but the count
 *     of its bad commands (R22).
 * (5) Buffers that held a password are overwritten when the command ends.
 */
#ifndef LOGIN_LOGIN_H
#define LOGIN_LOGIN_H

#include "base/base.h"
#include "ipc/ipc.h"
#include "net/net.h"

struct login_env;

struct login_opts {
	struct net *net;
	struct chan *auth;      /* MSG_AUTH_START, STEP, ABORT go there */
	struct chan *mail;      /* MSG_SESSION goes there */
	str hostname;           /* for greetings */
	bool tls;               /* STARTTLS and STLS are offered */
	bool clear_never;       /* no password in clear on loopback either */
	uint32_t login_delay_s; /* for CAPA; 0: none */
};
struct login_env *login_env_new(const struct login_opts *o);
/* New settings; what o says of net, auth and mail is not looked at. */
void login_configure(struct login_env *e, const struct login_opts *o);
void login_env_free(struct login_env **e); /* after the pool has stopped */

/* For net_listen, with the struct login_env as user. */
extern const struct service login_imap, login_pop3;

/* What came from auth: MSG_AUTH_CHALLENGE, DONE, FAILED (passed on to their
 * connections), MSG_AUTH_MECHS (kept). Empties m. false: it was malformed,
 * so auth is to be dropped. Any thread. After auth or mail has been started
 * anew (chan_rebind), net_poke_all lets those who wait know. */
bool login_auth_reply(struct login_env *e, struct msg *m);

#endif
