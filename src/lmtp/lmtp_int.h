/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The inside of lmtp: the session, and who sees it.
 */
#ifndef LMTP_INT_H
#define LMTP_INT_H

#include <pthread.h>

#include "lmtp/data.h"
#include "lmtp/lmtp.h"
#include "proto/smtp.h"

/* conn_user is the environment until WHY_OPEN, a session from then on; the
 * first byte of both tells which. */
enum user_kind { USER_ENV = 1, USER_SESSION = 2 };

struct network {
	uint8_t addr[16];
	uint8_t len; /* 4 or 16 */
	uint8_t bits;
};

struct lmtp_env {
	uint8_t kind;
	struct net *net;
	struct chan *auth, *mail;
	pthread_mutex_t lock; /* guards what follows */
	str hostname;
	struct network *networks;
	size_t nnetworks;
	bool bare_lf_fix, tls, client_ca;
};

enum mode {
	IN_COMMAND, /* the next input is a command line */
	IN_DATA,
	IN_BDAT,
	IN_DELIVERY /* mail works; input is not looked at */
};

struct rcpt {
	enum { RCPT_ASKED, RCPT_YES, RCPT_NO } state;
	uint32_t index; /* as auth was told */
	const char *no; /* the reply, RCPT_NO */
	uint8_t grant[16];
	str path;   /* as given: for Delivered-To and replies */
	str prefix; /* once it is on its way */
	enum err result;
};

struct session {
	uint8_t kind;
	struct lmtp_env *env;
	enum mode mode;
	bool overlong, trusted, stopping;
	bool held;    /* a whole command waits for replies about recipients */
	uint32_t bad; /* bad commands in a row */
	struct buf line;
	struct buf helo; /* empty: no LHLO yet */

	/* The transaction. Recipients [0, nok) are accepted, [told, n) have
	 * been asked about or refused, and wait for their reply in order. */
	struct arena *a; /* NULL: none */
	bool has_mail, bdat, bdat_last, bdat_skip;
	struct smtp_mail mail;
	struct rcpt *v;
	size_t nok, told, n, cap;
	uint32_t next_index, auth_epoch;

	/* The message. */
	struct data data;
	uint64_t bdat_left;
	size_t sent, answered; /* of the nok: told to mail, replied about */
	uint32_t mail_epoch;
	str message;
	struct buf summary;
	struct buf id; /* for Received and the log */
	struct stamp arrival;
};

/* session.c */
void lmtp_hostname(struct lmtp_env *e, struct buf *out);
bool lmtp_offers_tls(struct conn *c, struct session *s);
/* May the client deliver? false: it has been told why not. */
bool lmtp_may_deliver(struct conn *c, struct session *s);
void lmtp_reset(struct session *s); /* the transaction is over */

/* command.c */
enum next lmtp_command(struct conn *c, struct session *s);

/* rcpt.c */
enum next lmtp_rcpt(struct conn *c, struct session *s, str rest);
void lmtp_rcpt_reply(struct session *s, struct msg *m);
void lmtp_rcpt_lost(struct session *s); /* auth has died */
void lmtp_rcpt_flush(struct conn *c, struct session *s);

/* deliver.c */
enum next lmtp_data_done(struct conn *c, struct session *s);
enum next lmtp_delivered(struct conn *c, struct session *s, struct msg *m);
enum next lmtp_delivery_lost(struct conn *c, struct session *s);

#endif
