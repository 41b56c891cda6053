/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Channels: a SOCK_SEQPACKET socket with a queue of what it did not take.
 *
 * (1) send_mu guards the queue and the descriptor's change; of two messages,
 *     one sent when chan_send of the other had returned, the order stays.
 * (2) The queue is bounded in bytes and messages; a peer that does not read
 *     is a peer that is not there.
 * (3) chan_rebind drops the queue: what was meant for the old peer is not
 *     for the new one. The descriptor number may be in use by a receiver
 *     then, so the new socket is put in its place with dup2 when there was
 *     one, and the number stays the same.
 * (4) A message whose descriptors found no room in our table is lost alone:
 *     the channel goes on.
 * (5) While nothing is queued, who sends takes no lock: the kernel keeps
 *     messages apart, and a crowd of senders does not wait for the one whose
 *     call wakes the peer. count falls to zero when all has been sent.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "ipc/ipc.h"

#define QUEUE_BYTES (32 << 20)
#define QUEUE_MSGS 65536

struct queued {
	struct queued *next;
	struct msg m;
};

struct chan {
	pthread_mutex_t send_mu;
	atomic_int fd;
	atomic_uint epoch;
	atomic_bool dead; /* the peer has gone; until rebound */
	struct queued *first, **last;
	size_t bytes;
	atomic_size_t count;
	void (*on_queue)(void *arg);
	void *on_queue_arg;
};

struct chan *
chan_new(int fd)
{
	struct chan *c = x_alloc(sizeof(*c));

	pthread_mutex_init(&c->send_mu, NULL);
	c->fd = fd;
	c->dead = fd < 0;
	c->last = &c->first;
	return c;
}

static void
drop_queue(struct chan *c)
{
	struct queued *q;

	while ((q = c->first) != NULL) {
		c->first = q->next;
		msg_free(&q->m);
		x_free(&q);
	}
	c->last = &c->first;
	c->bytes = 0;
	c->count = 0;
}

void
chan_free(struct chan **cp)
{
	struct chan *c = *cp;
	int fd;

	*cp = NULL;
	if (c == NULL)
		return;
	drop_queue(c);
	fd = c->fd;
	if (fd >= 0)
		os_close(&fd);
	pthread_mutex_destroy(&c->send_mu);
	x_free(&c);
}

int
chan_fd(const struct chan *c)
{
	return c->fd;
}

uint32_t
chan_epoch(const struct chan *c)
{
	return c->epoch;
}

void
chan_rebind(struct chan *c, int fd)
{
	pthread_mutex_lock(&c->send_mu);
	drop_queue(c);
	if (c->fd >= 0 && fd >= 0) {
		/* (3) */
		(void)dup3(fd, c->fd, O_CLOEXEC);
		os_close(&fd);
	} else if (fd >= 0) {
		c->fd = fd;
	}
	c->dead = c->fd < 0;
	c->epoch++;
	pthread_mutex_unlock(&c->send_mu);
}

void
chan_on_queue(struct chan *c, void (*fn)(void *arg), void *arg)
{
	c->on_queue = fn;
	c->on_queue_arg = arg;
}

/* 1 sent, 0 the socket is full, -1 the peer has gone or refuses it. */
static int
send_one(struct chan *c, struct msg *m)
{
	struct iovec v = {m->b.p, m->b.n};

	if (os_sendmsg(c->fd, &v, 1, m->fds, m->nfds) >= 0)
		return 1;
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ? 0
									   : -1;
}

/* Takes m over; false: no room. */
static bool
enqueue(struct chan *c, struct msg *m)
{
	struct queued *q;

	if (c->count >= QUEUE_MSGS || c->bytes + m->b.n > QUEUE_BYTES)
		return false;
	q = x_alloc(sizeof(*q));
	q->m = *m;
	*c->last = q;
	c->last = &q->next;
	c->count++;
	c->bytes += m->b.n;
	return true;
}

enum err
chan_offer(struct chan *c, struct msg *m)
{
	bool was_empty = false, queued = false;
	enum err e = OK;
	int sent = 0;

	if (!buf_ok(&m->b))
		return ERR_TOOBIG;
	/* (5) */
	if (!c->dead && c->count == 0)
		sent = send_one(c, m);
	if (sent == 0) {
		pthread_mutex_lock(&c->send_mu);
		was_empty = c->first == NULL;
		queued = !c->dead && enqueue(c, m);
		pthread_mutex_unlock(&c->send_mu);
	}
	if (sent < 0 || (sent == 0 && !queued))
		e = ERR_UNAVAILABLE;
	if (e == OK && !queued)
		msg_free(m);
	else if (queued && was_empty && c->on_queue != NULL)
		c->on_queue(c->on_queue_arg);
	return e;
}

enum err
chan_send(struct chan *c, struct msg *m)
{
	enum err e = chan_offer(c, m);

	if (e != OK)
		msg_free(m);
	return e;
}

bool
chan_flush(struct chan *c)
{
	struct queued *q;
	bool left;
	int sent = 1;

	if (c->count == 0)
		return false;
	pthread_mutex_lock(&c->send_mu);
	while (!c->dead && (q = c->first) != NULL &&
	       (sent = send_one(c, &q->m)) > 0) {
		c->first = q->next;
		if (c->first == NULL)
			c->last = &c->first;
		c->count--;
		c->bytes -= q->m.b.n;
		msg_free(&q->m);
		x_free(&q);
	}
	if (sent < 0) {
		c->dead = true;
		drop_queue(c);
	}
	left = c->first != NULL;
	pthread_mutex_unlock(&c->send_mu);
	return left;
}

/* The peer has gone, or broke the rules. */
static bool
recv_dead(struct chan *c, struct msg *m, bool *dead)
{
	msg_free(m);
	pthread_mutex_lock(&c->send_mu);
	c->dead = true;
	pthread_mutex_unlock(&c->send_mu);
	*dead = true;
	return false;
}

/* One message into m, which is empty. False: errno says why. */
static bool
recv_one(struct chan *c, struct msg *m)
{
	char block[MSG_MAX];
	ssize_t n;

	m->nfds = MSG_FDS_MAX;
	n = os_recvmsg(c->fd, block, sizeof(block), m->fds, &m->nfds);
	if (n < 0) {
		m->nfds = 0;
		return false;
	}
	buf_add(&m->b, block, (size_t)n);
	/* Passwords pass through here. */
	x_wipe(block, (size_t)n);
	m->d = dec_of(buf_str(&m->b));
	return true;
}

bool
chan_recv(struct chan *c, struct msg *m, bool *dead)
{
	uint32_t epoch = c->epoch;
	uint16_t type;

	*dead = false;
	memset(m, 0, sizeof(*m));
	if (c->fd < 0)
		return false;
	if (!recv_one(c, m)) {
		if (errno == EAGAIN || errno == EWOULDBLOCK ||
		    c->epoch != epoch)
			return false;
		if (errno != EMSGSIZE)
			return recv_dead(c, m, dead);
		/* (4) */
		log_error("a message was lost: too long, or no room for its "
			  "descriptors");
		return false;
	}
	if (m->b.n == 0 && c->epoch != epoch)
		return msg_free(m), false;
	type = dec_u16(&m->d);
	if (m->d.bad || type == 0 || type >= MSG_TYPE_MAX)
		return recv_dead(c, m, dead);
	m->type = (enum msg_type)type;
	return true;
}

enum err
chan_wait(struct chan *c, struct msg *m, int ms)
{
	int64_t end = os_mono_ms() + ms;
	struct pollfd p;
	bool dead = false, left;
	int64_t now;

	for (;;) {
		left = chan_flush(c);
		if (chan_recv(c, m, &dead))
			return OK;
		if (dead)
			return ERR_UNAVAILABLE;
		if ((now = os_mono_ms()) >= end)
			return ERR_TIMEOUT;
		p = (struct pollfd){
		    c->fd, (short)(POLLIN | (left ? POLLOUT : 0)), 0};
		if (poll(&p, 1, (int)(end - now)) < 0 && errno != EINTR)
			return ERR_IO;
	}
}
