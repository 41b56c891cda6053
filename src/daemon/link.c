/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Links to other processes. See link.h.
 *
 * (1) l->watch changes under the lock; net_unwatch, which waits for the
 *     receiver, is called without it.
 * (2) One thread at a time takes messages, and has dealt with each before
 *     the next is taken: who has `hears` knows that nothing is half done.
 */
#include "daemon/link.h"

#define AT_ONCE 64 /* messages before others have their turn */
#define ALL 65536  /* more do not lie in a socket */

static void
link_down(struct link *l)
{
	struct watch *w;

	pthread_mutex_lock(&l->lock);
	w = l->watch;
	l->watch = NULL;
	pthread_mutex_unlock(&l->lock);
	net_unwatch(&w);
}

/* The lock is held. */
static void
writing(struct link *l, bool on)
{
	if (l->watch != NULL && l->writing != on) {
		l->writing = on;
		net_watch_write(l->watch, on);
	}
}

/* Some messages wait for the socket to take them. */
static void
queue_grew(void *arg)
{
	struct link *l = arg;

	pthread_mutex_lock(&l->lock);
	writing(l, true);
	pthread_mutex_unlock(&l->lock);
}

/* Takes up to most messages. False: the peer has gone. */
static bool
take(struct link *l, int most)
{
	bool dead = false, good = true;
	struct msg m;

	pthread_mutex_lock(&l->hears);
	for (int i = 0; i < most && good; i++) {
		if (!chan_recv(l->ch, &m, &dead))
			break;
		good = l->message(l, &m);
		msg_free(&m);
	}
	pthread_mutex_unlock(&l->hears);
	if (good && !dead)
		return true;
	if (good) {
		log_info("a peer has gone", KV_C("peer", l->name),
		    KV_N("index", l->index));
	} else {
		log_error("a peer broke the rules", KV_C("peer", l->name),
		    KV_N("index", l->index));
		if (l->bad != NULL)
			l->bad(l);
	}
	link_down(l);
	net_poke_all(l->net);
	return false;
}

static void
link_ready(void *arg)
{
	struct link *l = arg;

	net_last();
	if (!take(l, AT_ONCE))
		return;
	pthread_mutex_lock(&l->lock);
	writing(l, chan_flush(l->ch));
	if (l->watch != NULL && l->rest_ms > 0)
		net_watch_rest(l->watch, l->rest_ms);
	pthread_mutex_unlock(&l->lock);
}

void
link_hear(struct link *l)
{
	if (chan_fd(l->ch) >= 0)
		(void)take(l, ALL);
}

void
link_init(struct link *l, struct net *n, const char *name,
    bool (*message)(struct link *l, struct msg *m), void *arg)
{
	*l = (struct link){.net = n, .name = name, .message = message};
	l->arg = arg;
	l->ch = chan_new(-1);
	pthread_mutex_init(&l->lock, NULL);
	pthread_mutex_init(&l->hears, NULL);
	chan_on_queue(l->ch, queue_grew, l);
}

void
link_bind(struct link *l, int fd)
{
	link_down(l);
	chan_rebind(l->ch, fd);
	pthread_mutex_lock(&l->lock);
	l->watch = net_watch(l->net, chan_fd(l->ch), link_ready, l);
	l->writing = false;
	writing(l, chan_flush(l->ch));
	pthread_mutex_unlock(&l->lock);
	net_poke_all(l->net);
}

void
link_close(struct link *l)
{
	link_down(l);
	chan_free(&l->ch);
	pthread_mutex_destroy(&l->lock);
	pthread_mutex_destroy(&l->hears);
}
