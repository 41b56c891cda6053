/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The supervisor's state, shared by its two files: prepare.c (what is opened
 * and bound before the first child) and supervisor.c (the children).
 */
#ifndef DAEMON_SUPERVISOR_H
#define DAEMON_SUPERVISOR_H

#include "daemon/daemon_int.h"

#define SLOTS_MAX (FRONTS_MAX + 4)
#define LISTENERS_MAX 64
#define CERTS_MAX 1024

struct slot {
	enum proc kind;
	uint32_t index;
	struct os_child child;
	struct chan *chan;
	bool alive, ready;
	bool fatal;      /* it ended saying that it never can start */
	bool rebuild;    /* mail: make the index anew at the next start */
	unsigned deaths; /* in a row */
	int64_t started_ms, start_ms, fault_ms;
};

struct listener {
	int fd;
	enum proc serves;
	enum protocol protocol;
	bool tls;
	struct buf text; /* "IMAP on 127.0.0.1:1143"; empty: not told */
	char *unlink;    /* a UNIX socket of ours, removed at the end */
};

struct supervisor {
	struct settings **settings;
	const char *data;
	struct settings *(*reload)(void *arg);
	void *reload_arg;
	struct {
		uid_t uid;
		gid_t gid;
	} ids[PROC_MAIL + 1];
	struct slot slots[SLOTS_MAX];
	size_t nslots;
	struct listener listeners[LISTENERS_MAX];
	size_t nlisteners;
	uint32_t fronts;
	uint32_t *counts;
	/* Certificates: chains in memory, keys as open files. */
	struct buf certs[CERTS_MAX];
	int keys[CERTS_MAX];
	uint32_t ncerts;
	uint32_t key_base;
	struct buf client_ca;
	int64_t renew_ms; /* when to look at our own certificate next */
	int signals;
	int lock;
	bool stopping;
};

/* Everything before the first child: folders, users, lock, certificates,
 * listeners. An exit code; why in a sentence. */
int supervisor_prepare(struct supervisor *v, struct buf *why);
/* Reads certificates and opens keys as the settings say; on failure the old
 * ones stay. */
enum err supervisor_certs(
    struct supervisor *v, const struct settings *s, struct buf *why) MUST_CHECK;
/* Prints the listeners. */
void supervisor_say(const struct supervisor *v);
void supervisor_close(struct supervisor *v);

#endif
