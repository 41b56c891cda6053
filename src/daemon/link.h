/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * A link: a channel to another process, watched by a session pool, through
 * its deaths. What comes is given to a function; when the peer dies, or is
 * started anew, every connection is poked, so that those who wait for it
 * look at chan_epoch.
 */
#ifndef DAEMON_LINK_H
#define DAEMON_LINK_H

#include <pthread.h>

#include "ipc/ipc.h"
#include "net/net.h"

struct link {
	struct net *net;
	struct chan *ch;
	const char *name;
	/* One message at a time; false: it breaks the rules (R90). May empty
	 * m. */
	bool (*message)(struct link *l, struct msg *m);
	void *arg;
	uint32_t index;
	/* Tells the supervisor, who starts the peer anew. */
	void (*bad)(struct link *l);
	/* Nobody waits for what comes, or who does takes it by link_hear: no
	 * thread is woken more often than this, in ms. 0: for each message. */
	int rest_ms;
	pthread_mutex_t hears; /* held by who takes messages */
	pthread_mutex_t lock;
	struct watch *watch; /* lock; NULL: not connected */
	bool writing;        /* lock: it waits for room, too */
};

/* Not connected yet. */
void link_init(struct link *l, struct net *n, const char *name,
    bool (*message)(struct link *l, struct msg *m), void *arg);
/* The peer is there, or there again; takes fd. */
void link_bind(struct link *l, int fd);
/* Takes what has come and nobody has taken yet, on this thread: what was sent
 * before something that we know of has been dealt with when it returns. */
void link_hear(struct link *l);
void link_close(struct link *l);

#endif
