/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* An auth process as a thread, with its peers played by the test. */
#ifndef TESTS_AUTH_T_RIG_H
#define TESTS_AUTH_T_RIG_H

#include "t_auth.h"

struct rig {
	bool box; /* set before rig_start: a process in its box */
	pid_t child;
	pthread_t thread;
	struct auth *a;
	struct auth_env env;
	enum err result;
	char data[96];
	struct chan *sup, *front, *intake, *mail; /* the test's ends */
	struct chan *sup_far;
};

/* NAME is that of the data directory. The database may be prepared by
 * fill before the server has it. */
void rig_start(struct rig *r, const char *name, const struct auth_conf *conf,
    void (*fill)(struct auth *a));
void rig_stop(struct rig *r);
/* A new channel of the kind, as the supervisor gives one. */
struct chan *rig_peer(struct rig *r, enum proc kind, uint32_t index);
/* The next message but announcements; fails the test after some seconds. */
void rig_get(struct chan *c, enum msg_type want, struct msg *m);
/* Nothing comes within the time. */
void rig_none(struct chan *c, int ms);
/* MSG_AUTH_START. initial NULL: none. */
void rig_login(struct chan *c, uint64_t conn, const char *mech,
    const str *initial, str address, str exporter);

#endif
