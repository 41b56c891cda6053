/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Links to other processes. See link.h.
 *
 * (1) l->watch changes under the lock; net_unwatch, which waits for the
 *     receiver, is called without it.
 */
#include "daemon/link.h"

#define AT_ONCE 64 /* messages before others have their turn */

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

/* Some messages wait for the socket to take them. */
static void
queue_grew(void *arg)
{
	struct link *l = arg;

	pthread_mutex_lock(&l->lock);
	if (l->watch != NULL)
		net_watch_write(l->watch, true);
	pthread_mutex_unlock(&l->lock);
}

static void
link_ready(void *arg)
{
	struct link *l = arg;
	bool dead = false, good = true;
	struct msg m;

	for (int i = 0; i < AT_ONCE && good; i++) {
		if (!chan_recv(l->ch, &m, &dead))
			break;
		good = l->message(l, &m);
		msg_free(&m);
	}
	if (good && !dead) {
		pthread_mutex_lock(&l->lock);
		if (l->watch != NULL)
			net_watch_write(l->watch, chan_flush(l->ch));
		pthread_mutex_unlock(&l->lock);
		return;
	}
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
}

void
link_init(struct link *l, struct net *n, const char *name,
    bool (*message)(struct link *l, struct msg *m), void *arg)
{
	*l = (struct link){.net = n, .name = name, .message = message};
	l->arg = arg;
	l->ch = chan_new(-1);
	pthread_mutex_init(&l->lock, NULL);
	chan_on_queue(l->ch, queue_grew, l);
}

void
link_bind(struct link *l, int fd)
{
	link_down(l);
	chan_rebind(l->ch, fd);
	pthread_mutex_lock(&l->lock);
	l->watch = net_watch(l->net, chan_fd(l->ch), link_ready, l);
	if (chan_flush(l->ch))
		net_watch_write(l->watch, true);
	pthread_mutex_unlock(&l->lock);
	net_poke_all(l->net);
}

void
link_close(struct link *l)
{
	link_down(l);
	chan_free(&l->ch);
	pthread_mutex_destroy(&l->lock);
}
