/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The inside of the process mail: grants, the sessions of each account, and
 * what front, intake and the command line ask for.
 *
 * (1) Nothing of an account is opened without a grant of auth: its number
 *     for the front and connection it was given to, once, in its time.
 * (2) Links only receive; what may wait for the disk is a job of the pool.
 */
#ifndef DAEMON_MAIL_INT_H
#define DAEMON_MAIL_INT_H

#include "daemon/daemon_int.h"
#include "daemon/link.h"
#include "imap/imap.h"
#include "lmtp/lmtp.h"
#include "pop3/pop3.h"
#include "store/store.h"

#define CONTROLS_MAX 16

struct grants;
struct accounts;
struct control;

struct mail {
	const struct child *child;
	struct settings *settings;
	struct net *net;
	struct store *store;
	struct imap_env imap;
	struct pop3_env *pop3;
	struct grants *grants;
	struct accounts *accounts;
	struct link auth, intake;
	struct link *fronts; /* [child->fronts] */
	struct chan *up;
	uint64_t fds_max;
	struct watch *control; /* the listener */
	int control_fd;
	pthread_mutex_t control_lock;
	struct control *controls[CONTROLS_MAX]; /* control_lock */
};

/* mail_grant.c */
struct grants *grants_new(void);
void grants_free(struct grants **g);
/* Called by who looks for a grant that is not there: takes what auth has
 * said. */
void grants_hear(struct grants *g, void (*hear)(void *arg), void *arg);
/* A message of auth: MSG_GRANT. false: malformed. */
bool grants_add(struct grants *g, struct msg *m);
/* The grant of this number for that connection; it is used up. Waits a
 * little, for auth's word may come by another thread. name: the caller's
 * to free. ERR_DENIED. */
struct grant_wanted {
	const uint8_t *number;
	enum grant_kind kind;
	enum protocol protocol;
	uint32_t front;
	uint64_t conn;
};
enum err grants_take(struct grants *g, const struct grant_wanted *want,
    struct grant *out, str *name) MUST_CHECK;
/* Every grant of the account is void. */
void grants_revoke(struct grants *g, uint64_t account);
void grants_expire(struct grants *g);

/* mail_session.c */
struct accounts *accounts_new(void);
void accounts_free(struct accounts **a);
/* A session has ended (net_opts.ended). */
void session_ended(void *mail, uint64_t account);
/* What MSG_SESSION asks for; slices of the message. */
struct asked {
	uint64_t conn;
	uint8_t number[16];
	uint8_t protocol, tls;
	str tag, reply, input, peer, version, cipher;
	uint16_t port;
	int fd; /* the caller's, whatever comes of it; -1: none */
};
/* false: malformed. */
bool session_get(struct msg *m, struct asked *a);
/* Jobs: each takes a message of a link, which is in the argument. */
struct mail_job {
	struct mail *mail;
	struct link *from;
	struct msg m;
	uint64_t account; /* revoke, forget */
};
void session_job(void *job);
void deliver_job(void *job);
void revoke_job(void *job);
void forget_job(void *job);
/* Ends the sessions of an account; how many. */
unsigned sessions_kick(struct mail *m, uint64_t account);
/* The account that has sessions under that name; 0: none. */
uint64_t sessions_account(struct mail *m, str name);

/* mail_ctl.c */
void control_begin(struct mail *m, int fd); /* listening; taken */
void control_end(struct mail *m);           /* no new ones */
void control_free_all(struct mail *m);      /* after the pool has stopped */

#endif
