/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The inside of the daemon room: what the supervisor hands to a child, and
 * the main function of each kind of process.
 *
 * A child is forked from the supervisor, which has parsed no network byte
 * and holds no private key (it passes files of keys on as descriptors). It
 * gets its channel to the supervisor, enters its box before its first
 * thread, and is told everything else by messages:
 *
 *   MSG_SETTINGS   first, and again at a reload
 *   MSG_CERTS      front, intake: the chains; key numbers are their places
 *   MSG_KEYS       keys: one message a key, its file as a descriptor
 *   MSG_LISTEN     front: IMAP, POP3; intake: LMTP; mail: the control socket
 *   MSG_PEER       a channel to another process; a peer that was there
 *                  before with the same kind and index is replaced
 *   MSG_READY      from the child, when it can work
 *   MSG_STOP       drain and end with 0
 *
 * pairs that talk: front-auth, front-mail, front-keys, intake-auth,
 * intake-mail, intake-keys, auth-mail. When a peer dies, its channels are
 * dead at once and new ones come with MSG_PEER when it is back.
 */
#ifndef DAEMON_DAEMON_INT_H
#define DAEMON_DAEMON_INT_H

#include "daemon/daemon.h"
#include "ipc/ipc.h"
#include "os/os.h"

#define FRONTS_MAX 256

/* What a child knows from its birth. */
struct child {
	enum proc kind;
	uint32_t index;  /* among the fronts */
	uint32_t fronts; /* how many there are */
	const struct settings *settings;
	const char *data;
	uid_t uid; /* (uid_t)-1: stay */
	gid_t gid;
	uint32_t *counts; /* shared per-address counters, [fronts][65536] */
	bool rebuild;     /* mail: set the index aside, make it from the log */
	int chan;         /* to the supervisor */
	int control;      /* auth: listening DATA/run/auth.sock, or -1 */
	int dovecot;      /* auth: listening auth_socket, or -1 */
};

/* Enters the box of the child's kind and logs what is in force. */
enum err child_box(const struct child *c) MUST_CHECK;

/* A tick of the pool, every REST_MS: memory that is not used goes back. */
#define REST_MS 2000
void child_rest(void *arg);

int front_main(void *child);
int intake_main(void *child);
int auth_main(void *child);
int keys_main(void *child);
int mail_main(void *child);

/* The certificate made at first start, DATA/tls/cert.pem and key.pem: made
 * when missing, and anew when it ends within 30 days; one that cannot be made
 * anew serves until its end. */
enum err cert_ensure(const char *dir, str hostname, struct buf *why) MUST_CHECK;
/* That of DATA is missing, or its end is near. */
bool cert_due(const char *data);

#endif
