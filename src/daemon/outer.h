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
		struct tls *tls;  /* as made of the last MSG_CERTS */
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

	/* The signer. */
	pthread_mutex_t sign_lock;
	struct chan *keys; /* sign_lock */
	uint64_t request;  /* sign_lock */
	struct chan *up;
};

/* Serves until MSG_STOP; an exit code. */
int outer_main(struct outer *o);

#endif
