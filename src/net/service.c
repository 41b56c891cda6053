/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * What a service asks of the connection that it runs for: who it is, who the
 * peer is, its input, its timer. Only its owner asks.
 */
#include <errno.h>
#include <sys/epoll.h>

#include "net/net_int.h"

conn_id
conn_self(const struct conn *c)
{
	return id_make(c->slot, word_gen(atomic_load(&c->word)));
}

struct net *
conn_net(const struct conn *c)
{
	return c->net;
}

void *
conn_user(const struct conn *c)
{
	return c->user;
}

void
conn_set_user(struct conn *c, void *user)
{
	c->user = user;
}

void
conn_set_service(struct conn *c, const struct service *s)
{
	c->svc = s;
}

/* Slots keep the short form; the long one is good until this thread has
 * asked for three others. */
const struct os_addr *
conn_peer(const struct conn *c)
{
	static _Thread_local struct os_addr last[4];
	static _Thread_local unsigned turn;
	struct os_addr *a = &last[turn++ % NELEM(last)];

	memset(a, 0, sizeof(*a));
	memcpy(&a->ss, &c->peer, sizeof(c->peer));
	a->len = c->peer.sa.sa_family == AF_INET6  ? sizeof(c->peer.v6)
		 : c->peer.sa.sa_family == AF_INET ? sizeof(c->peer.v4)
						   : sizeof(sa_family_t);
	return a;
}

void
conn_authenticated(struct conn *c, bool yes)
{
	if (yes)
		young_del(c);
	else
		young_add(c);
}

str
conn_input(struct conn *c)
{
	if (c->io == NULL)
		return STR_NONE;
	return str_from(buf_str(&c->io->in), c->io->at);
}

void
conn_eat(struct conn *c, size_t n)
{
	assert(n <= conn_input(c).n);
	if (n > 0)
		c->io->at += n;
}

bool
conn_left(struct conn *c)
{
	ssize_t r;
	char byte;

	if (conn_input(c).n > 0)
		return false;
	do
		r = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	while (r < 0 && errno == EINTR);
	return r == 0 || (r < 0 && errno != EAGAIN);
}

void
conn_timer(struct conn *c, int64_t ms)
{
	c->rang = false;
	c->deadline_ms = ms == 0 ? 0 : os_mono_ms() + ms;
	timer_want(c);
}

int
conn_detach(struct conn *c, struct buf *rest)
{
	int fd = c->fd;

	assert(out_empty(c) && !tls_on(c));
	buf_str_add(rest, conn_input(c));
	if (c->in_epoll)
		epoll_ctl(c->net->ep, EPOLL_CTL_DEL, fd, NULL);
	c->in_epoll = false;
	c->fd = -1;
	atomic_fetch_sub(&c->net->nfds, 1);
	return fd;
}
