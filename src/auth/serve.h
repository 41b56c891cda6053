/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The inside of the auth process: one serving thread with an epoll set, and
 * a pool that hashes.
 *
 * (1) Everything here belongs to the serving thread, but jobs while they
 *     run.
 * (2) An attempt belongs to its client until the client is told how it
 *     ended, or goes away; one that is being hashed then lives on, without
 *     a client, so that its failure counts.
 * (3) A watch that ends is freed after the events that were fetched with
 *     it have been seen.
 */
#ifndef AUTH_SERVE_H
#define AUTH_SERVE_H

#include "auth/auth_int.h"

#define ATTEMPTS_MAX 32768
#define HASH_QUEUE_MAX 4096
#define CONTROLS_MAX 32
#define DOVECOTS_MAX 1024
#define GRANT_LOGIN_MS 10000
#define GRANT_APPEND_MS 3600000

struct server;
struct attempt;

struct watch {
	struct watch *next; /* of the dead */
	int fd;
	uint32_t events;
	bool dead;
	void (*ready)(struct server *s, struct watch *w, uint32_t events);
	void (*free)(struct server *s, struct watch *w);
};

/* Somebody who logs people in: a front, or a peer of Dovecot's protocol. */
struct client {
	const struct client_ops *ops;
	struct map *attempts; /* by connection */
};
struct client_ops {
	void (*challenge)(
	    struct server *s, struct client *c, uint64_t conn, str data);
	/* False: it could not be told to whom it must (mail). */
	bool (*done)(struct server *s, struct client *c,
	    const struct attempt *t, const struct acct *u, str final);
	void (*failed)(struct server *s, struct client *c,
	    const struct attempt *t, enum auth_fail why, uint32_t delay_ms);
};

struct attempt {
	struct client *c; /* (2) NULL: gone */
	uint64_t conn;
	struct sasl x;
	bool hashing;
	size_t at; /* place in the heap of the delayed, from 1; 0: none */
	int64_t due_ms;
	enum auth_fail why;
	uint32_t delay_ms;
	uint8_t protocol; /* enum protocol; 0: Dovecot's */
	char mech[24];
	char *address, *text; /* key, and as text */
	size_t naddress, ntext;
	str exporter, cert; /* owned */
};

struct peer;

struct server {
	struct auth *a;
	const struct auth_env *env;
	int ep;
	bool stop;
	struct pool *pool;
	struct throttle *throttle;
	struct cache *cache;
	struct watch *dead;
	struct peer *peers;
	struct watch wake; /* of the pool */
	struct watch control_listener;
	struct watch dovecot_listener;
	struct control *controls;
	struct dovecot *dovecots;
	size_t nattempts, ncontrols, ndovecots;
	uint64_t dovecot_next; /* connect ids */
	struct attempt **heap;
	size_t nheap, heapcap;
	struct buf mechs[2]; /* as told: clear, TLS */
	struct buf forget;   /* u64 each: what mail is still to be told */
};

/* server.c. auth_serve is open, run, close. */
enum err server_open(
    struct server *s, struct auth *a, const struct auth_env *env) MUST_CHECK;
void server_turn(struct server *s, int most_ms); /* one round of events */
void server_close(struct server *s);
enum err watch_add(
    struct server *s, struct watch *w, int fd, uint32_t events) MUST_CHECK;
void watch_set(struct server *s, struct watch *w, uint32_t events);
void watch_end(struct server *s, struct watch *w);
/* To mail: false when there is none. */
bool tell_mail(struct server *s, struct msg *m);
void follow_up(struct server *s, const struct effects *fx);

/* attempt.c */
struct attempt_facts {
	uint8_t protocol;
	str mech, address, text, exporter, cert;
};
void attempt_start(struct server *s, struct client *c, uint64_t conn,
    const struct attempt_facts *f, const str *initial);
void attempt_step(struct server *s, struct client *c, uint64_t conn, str data);
void attempt_abort(struct server *s, struct client *c, uint64_t conn);
void client_init(struct client *c, const struct client_ops *ops);
void client_end(struct server *s, struct client *c);
/* Answers what is due; milliseconds to the next, -1: none. */
int attempts_due(struct server *s);

/* control.c */
void control_accept(struct server *s, struct watch *w, uint32_t events);
void controls_end(struct server *s);
/* dovecot.c */
void dovecot_accept(struct server *s, struct watch *w, uint32_t events);
void dovecot_add(struct server *s, int fd); /* takes fd: one connection */
void dovecots_end(struct server *s);

#endif
