/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * A net without sockets or threads, for fuzzers and for tests of sessions:
 * bytes go in by fake_input, come out by fake_output, time goes on by
 * fake_clock alone, and everything happens within the call. It keeps to the contract of net.h.
 */
#ifndef FAKE_NET_H
#define FAKE_NET_H

#include "ipc/ipc.h"
#include "net/net.h"

struct net *fake_net(void);
void fake_net_free(struct net **n);
/* A connection from that address: WHY_OPEN has been run on return. */
struct conn *
fake_open(struct net *n, const struct service *s, void *user, const char *peer);
struct conn *fake_conn(struct net *n, conn_id id);
struct conn *fake_last(struct net *n); /* opened last: by net_add */
void fake_tls(struct net *n, bool on); /* of connections opened later */
/* With TLS they show a client certificate of that name; empty: none. */
void fake_client(struct net *n, str name);
void fake_input(struct conn *c, str bytes);
void fake_why(struct conn *c, enum why why); /* WHY_TIMER, WHY_STOP */
void fake_hangup(struct conn *c);
void fake_work(struct net *n); /* until nobody has anything to do */
/* os_clock_fix has set another time: whose timer is over is told. */
void fake_clock(struct net *n);

str fake_output(struct conn *c); /* since the last fake_forget */
void fake_forget(struct conn *c);
bool fake_is_closed(const struct conn *c);
bool fake_is_detached(const struct conn *c);
bool fake_is_pumped(const struct conn *c);
bool fake_tls_on(const struct conn *c);
int64_t fake_timer(const struct conn *c);
/* Runs that brought neither input nor output on; a loop shows here. */
extern unsigned fake_steps_max;

/* A peer: gets what is sent to the channel; may answer by what the room
 * offers for it. The channel's epoch is in fake_chan_die's hands. */
struct chan *fake_chan(void (*got)(void *arg, struct msg *m), void *arg);
void fake_chan_free(struct chan **c);
/* A message that was built is now one that was received. */
static inline void
fake_read(struct msg *m)
{
	m->d = dec_of(buf_str(&m->b));
	(void)dec_u16(&m->d);
}
void fake_chan_die(struct chan *c, bool dead); /* sends fail while dead */

#endif
