/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * imap: what IMAP says after login (RFC 3501, RFC 9051), in mail. A session
 * begins when mail has honoured a grant; what came before is login's.
 */
#ifndef IMAP_IMAP_H
#define IMAP_IMAP_H

#include "base/base.h"
#include "net/net.h"
#include "store/store.h"

struct imap_env {
	struct net *net; /* its connections' ids are the store's watchers */
	struct store *store;
};

extern const struct service imap_service;

struct imap_login {
	struct acct *acct; /* taken, whatever comes of it */
	int fd;            /* taken too */
	const struct os_addr *peer;
	str user;
	str tag;   /* of the LOGIN or AUTHENTICATE that is answered */
	str reply; /* text of that answer: "Logged in" */
	str input; /* bytes that front has already read */
	bool tls;
};
/* Starts a session, whose first words are the tagged OK with the
 * capabilities. ERR_LIMIT: too many connections (the client has been told);
 * ERR_INVALID: no tag. */
enum err
imap_start(struct imap_env *env, const struct imap_login *l) MUST_CHECK;

/* The parser of a whole command (as collected, without its last CR LF), for
 * fuzzing: no session, no store. Returns the name of the command's row, or
 * an empty slice when it is none or malformed. */
str imap_parse_only(str command, struct arena *ar);

#endif
