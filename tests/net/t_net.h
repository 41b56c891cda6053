/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * What the tests of net share: peers at the other end of a socketpair.
 */
#ifndef TESTS_NET_T_NET_H
#define TESTS_NET_T_NET_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "net/net_int.h"

int test_pool(void);
int test_out(void);
int test_listen(void);
int test_tls(void);

/* Adds one end of a socketpair as a connection; returns the other. */
int pair_add(struct net *n, const struct service *s, void *user, conn_id *id);
void peer_write(int fd, const char *s);
/* Steps n (NULL: it has threads) until exactly these bytes have come. */
void peer_expect(struct net *n, int fd, const char *s);
bool peer_eof(int fd);
/* Steps until nothing happens any more. */
void steps(struct net *n);

#endif
