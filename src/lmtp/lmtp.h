/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * lmtp: mail comes in (RFC 2033), in the process intake. It takes the
 * envelope and the message, makes the message's summary, and hands both to
 * mail with one grant of auth for each recipient.
 *
 * (1) 250 for a recipient is said only after mail has said that the message
 *     is durable for that recipient; every recipient gets his own reply, in
 *     order, and each is true (R71).
 * (2) Only CR LF . CR LF ends DATA. NUL, bare CR and bare LF are refused; a
 *     setting makes bare LF into CR LF. There is never a second reading
 *     (R67).
 * (3) A message is kept in memory while it is small, then in a sealed
 *     anonymous file: a slow or vast sender costs no memory of ours.
 * (4) Off loopback only known networks, or a client certificate, may
 *     deliver.
 */
#ifndef LMTP_LMTP_H
#define LMTP_LMTP_H

#include "base/base.h"
#include "ipc/ipc.h"
#include "net/net.h"

struct lmtp_env;

struct lmtp_opts {
	struct net *net;
	struct chan *auth; /* MSG_RCPT goes there */
	struct chan *mail; /* MSG_DELIVER goes there */
	str hostname;      /* for greetings and Received: */
	str networks;      /* lmtp_networks: 192.0.2.0/24 2001:db8::/32 ... */
	bool bare_lf_fix;  /* lmtp_bare_lf=fix */
	bool tls;          /* STARTTLS is offered */
	bool client_ca;    /* and client certificates are verified */
};
struct lmtp_env *lmtp_env_new(const struct lmtp_opts *o);
/* New settings; what o says of net, auth and mail is not looked at. */
void lmtp_configure(struct lmtp_env *e, const struct lmtp_opts *o);
void lmtp_env_free(struct lmtp_env **e); /* after the pool has stopped */
/* Is it a list of networks (addresses with an optional /bits, separated by
 * spaces or commas)? */
bool lmtp_networks_valid(str list);

/* For net_listen, with the struct lmtp_env as user. */
extern const struct service lmtp_service;

/* What came from auth (MSG_RCPT_OK, MSG_RCPT_NO) or mail (MSG_DELIVERED):
 * passed on to its connection. Empties m. false: malformed, the peer is to
 * be dropped. Any thread. After one of them has been started anew
 * (chan_rebind), net_poke_all lets those who wait know. */
bool lmtp_reply(struct lmtp_env *e, struct msg *m);

/* ---- for mail: what MSG_DELIVER holds ---- */
struct lmtp_delivery {
	uint64_t conn;
	uint32_t n;
	struct lmtp_recipient {
		uint8_t grant[16];
		str prefix; /* slice of the message */
	} * to;             /* in the arena */
	struct stamp arrival;
	struct blob message, summary; /* blob_free both */
};
/* ERR_INVALID: malformed; nothing is to be freed then. */
enum err lmtp_delivery_get(
    struct msg *m, struct arena *a, struct lmtp_delivery *d) MUST_CHECK;

#endif
