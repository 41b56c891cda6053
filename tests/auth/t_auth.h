/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* The groups of tests of the room auth; each returns how many failed. */
#ifndef TESTS_AUTH_T_AUTH_H
#define TESTS_AUTH_T_AUTH_H

#include "seeds.h"

#include "auth/auth_int.h"

/* A directory for this run, made before and removed after the tests. */
extern char work[64];
/* A database of its own, in an empty directory of the given name. */
struct auth *fresh(const char *name, const struct auth_conf *conf);
const char *in_work(const char *name);

int t_boxed(void);
int t_dovecot(void);
int t_lookup(void);
int t_name(void);
int t_sasl(void);
int t_schemes(void);
int t_server(void);
int t_throttle(void);
int t_users(void);

#endif
