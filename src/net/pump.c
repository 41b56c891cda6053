/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The pump: between a client's TLS connection and the descriptor behind
 * which its session runs. Two independent directions of PUMP_BYTES each.
 *
 * (1) A side is not read while the other side's buffer is full.
 * (2) SSL_read goes on until it says that nothing is left: what OpenSSL
 *     holds would not make the socket readable.
 * (3) The session's end: write what is left, close_notify, close. The
 *     client's end: shutdown towards the session, and nothing is read from
 *     the client's socket any more (R13).
 * (4) Idle, it holds no buffer: they are the thread's.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/epoll.h>

#include "net/net_int.h"

#define PUMP_BYTES 32768
#define RECORD 16384
#define ROUNDS 32

struct way {
	char *p; /* PUMP_BYTES, or NULL */
	size_t at, n;
	bool eof;  /* its source has ended */
	bool shut; /* and that has been passed on */
};
struct pump {
	int fd;
	uint8_t armed2, want2;
	bool in2;       /* epoll knows fd */
	bool ready2;    /* a read of fd may find something */
	struct way in;  /* client to session */
	struct way out; /* session to client */
};

static _Thread_local char *spares[2];

static void
way_need(struct way *w)
{
	for (unsigned i = 0; i < 2 && w->p == NULL; i++) {
		w->p = spares[i];
		spares[i] = NULL;
	}
	if (w->p == NULL)
		w->p = x_alloc(PUMP_BYTES);
}

static void
way_drop(struct way *w)
{
	if (w->p == NULL)
		return;
	x_wipe(w->p, PUMP_BYTES);
	for (unsigned i = 0; i < 2 && w->p != NULL; i++) {
		if (spares[i] != NULL)
			continue;
		spares[i] = w->p;
		w->p = NULL;
	}
	x_free(&w->p);
}

void
pump_forget(void)
{
	x_free(&spares[0]);
	x_free(&spares[1]);
}

void
conn_pump(struct conn *c, int fd)
{
	struct pump *p = x_alloc(sizeof(*p));
	str first = conn_input(c);

	assert(c->pump == NULL);
	p->fd = fd;
	p->armed2 = UNARMED;
	c->pump = p;
	atomic_fetch_add(&c->net->nfds, 1);
	if (first.n == 0)
		return;
	/* More than a buffer is not read before login. */
	way_need(&p->in);
	p->in.n = MIN(first.n, PUMP_BYTES);
	memcpy(p->in.p, first.p, p->in.n);
	conn_eat(c, p->in.n);
}

void
pump_free(struct conn *c)
{
	struct pump *p = c->pump;

	c->pump = NULL;
	if (p == NULL)
		return;
	way_drop(&p->in);
	way_drop(&p->out);
	os_close(&p->fd);
	atomic_fetch_sub(&c->net->nfds, 1);
	free(p);
}

static ssize_t
client_read(struct conn *c, void *to, size_t n, uint8_t *want)
{
	if (tls_on(c))
		return tls_read(c, to, n, want);
	*want = EPOLLIN;
	return conn_raw_read(c, to, n);
}

static ssize_t
client_write(struct conn *c, const void *p, size_t n, uint8_t *want)
{
	if (tls_on(c))
		return tls_write(c, p, MIN(n, RECORD), want);
	*want = EPOLLOUT;
	return send(c->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Client to session. False: the connection is broken. */
static bool
pump_in(struct conn *c, struct pump *p, bool *moved)
{
	struct way *w = &p->in;
	uint8_t want = EPOLLIN;
	ssize_t r;

	while (!w->eof && c->ready && w->n < PUMP_BYTES) {
		way_need(w);
		if (w->at > 0) {
			memmove(w->p, w->p + w->at, w->n - w->at);
			w->n -= w->at;
			w->at = 0;
		}
		r = client_read(c, w->p + w->n, PUMP_BYTES - w->n, &want);
		if (r > 0) {
			w->n += (size_t)r;
			*moved = true;
			continue;
		}
		c->ready = false;
		c->want |= want;
		if (r < 0 && errno != EAGAIN)
			return false;
		w->eof = r == 0;
	}
	while (w->at < w->n) {
		r = send(p->fd, w->p + w->at, w->n - w->at,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
		if (r < 0 && errno == EAGAIN) {
			p->want2 |= EPOLLOUT;
			return true;
		}
		if (r < 0)
			w->at = w->n; /* the session does not read any more */
		else
			w->at += (size_t)r;
		*moved = true;
	}
	w->at = w->n = 0;
	if (w->eof && !w->shut) {
		w->shut = true;
		shutdown(p->fd, SHUT_WR);
	}
	return true;
}

/* Session to client. False: the connection is broken. */
static bool
pump_out(struct conn *c, struct pump *p, bool *moved)
{
	struct way *w = &p->out;
	uint8_t want = EPOLLOUT;
	ssize_t r;

	/* Full records: read until the buffer is full or the source empty. */
	while (!w->eof && p->ready2 && w->n < PUMP_BYTES) {
		way_need(w);
		r = recv(p->fd, w->p + w->n, PUMP_BYTES - w->n, MSG_DONTWAIT);
		if (r > 0) {
			w->n += (size_t)r;
			*moved = true;
			continue;
		}
		if (r < 0 && errno == EINTR)
			continue;
		p->ready2 = false;
		w->eof = r == 0 || errno != EAGAIN;
	}
	if (w->eof && w->at < w->n)
		tls_last(c);
	while (w->at < w->n) {
		r = client_write(c, w->p + w->at, w->n - w->at, &want);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0 && errno == EAGAIN) {
			c->want |= want;
			return true;
		}
		if (r < 0)
			return false;
		w->at += (size_t)r;
		c->progress = true;
		*moved = true;
	}
	w->at = w->n = 0;
	return true;
}

/* A client that takes nothing for stall_s goes. */
static void
pump_guard(struct conn *c, struct pump *p)
{
	if (p->out.n == 0) {
		c->guard_ms = 0;
	} else if (c->guard_ms == 0 || c->progress) {
		c->guard_ms = os_mono_ms() + (int64_t)limits.stall_s * 1000;
		timer_want(c);
	}
	c->progress = false;
}

enum pumped
pump_step(struct conn *c)
{
	struct pump *p = c->pump;
	uint32_t ev = c->pend;
	bool moved;

	if (p == NULL)
		return PUMP_END;
	if ((ev & (EV_IN2 | EV_OUT2 | EV_HUP2)) != 0)
		p->armed2 = UNARMED;
	if ((ev & (EV_IN2 | EV_HUP2)) != 0)
		p->ready2 = true;
	if ((ev & EV_HUP) != 0 && p->in.eof)
		return PUMP_END;
	c->pend &= ~(uint32_t)(EV_IN2 | EV_OUT2 | EV_HUP2 | EV_HUP);
	for (int i = 0; i < ROUNDS; i++) {
		moved = false;
		c->want = p->want2 = 0;
		if ((!p->out.eof && !pump_in(c, p, &moved)) ||
		    !pump_out(c, p, &moved))
			return PUMP_END;
		if (p->out.eof && p->out.n == 0)
			return PUMP_END;
		if (moved)
			continue;
		pump_guard(c, p);
		if (p->in.n == 0)
			way_drop(&p->in);
		if (p->out.n == 0)
			way_drop(&p->out);
		/* (1) */
		if (!p->in.eof && !p->out.eof && p->in.n < PUMP_BYTES &&
		    !c->ready)
			c->want |= EPOLLIN;
		if (!p->out.eof && p->out.n < PUMP_BYTES)
			p->want2 |= EPOLLIN;
		return PUMP_WAIT;
	}
	return PUMP_AGAIN;
}

bool
pump_arm(struct conn *c)
{
	struct pump *p = c->pump;

	/* A closed peer would ring for ever. */
	if (p->armed2 == p->want2 || p->out.eof)
		return true;
	if (!pool_arm(
		c->net, p->fd, ID_SIDE2 | conn_self(c), p->want2, &p->in2))
		return false;
	p->armed2 = p->want2;
	return true;
}
