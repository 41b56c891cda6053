/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * What front and intake have in common: they meet strangers, with TLS, and
 * talk to auth, mail and keys. Each fills in an outer with what is its own.
 */
#ifndef DAEMON_OUTER_H
#define DAEMON_OUTER_H

#include "daemon/daemon_int.h"
#include "daemon/link.h"

#define OUTER_SERVICES 2

struct outer {
	const struct child *child;
	struct settings *settings; /* as last told */
	struct net *net;
	struct link auth, mail;

	/* Its own, set before outer_main. */
	struct outer_service {
		const struct service *s;
		enum protocol protocol;
		const char *alpn; /* NULL: none */
		struct tls *tls;  /* as made of the last MSG_CERTS; door_lock */
	} services[OUTER_SERVICES];
	size_t nservices;
	uint32_t conns; /* slots */
	/* Links, net and settings are there: makes the environment, the user
	 * of every connection. */
	void *(*begin)(struct outer *o);
	/* Settings or certificates have changed. */
	void (*configure)(struct outer *o);
	void (*end)(struct outer *o);
	/* A message of auth or mail. */
	bool (*message)(struct link *l, struct msg *m);
	void *env;
	bool has_tls, client_ca;

	/* Listeners that wait for outer_open. */
	pthread_mutex_t door_lock;
	bool shut; /* set before outer_main by who wants it; door_lock */
	struct outer_held {
		int fd;
		size_t service;
		bool tls;
	} * held; /* door_lock */
	size_t nheld;

	/* The signer. */
	pthread_mutex_t sign_lock;
	struct chan *keys; /* sign_lock */
	uint64_t request;  /* sign_lock */
	struct chan *up;
};

/* Serves until MSG_STOP; an exit code. */
int outer_main(struct outer *o);
/* There is all that clients need: listeners are served from now on. Any
 * thread. */
void outer_open(struct outer *o);

#endif
