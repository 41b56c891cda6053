/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Watches: descriptors that are no connections, such as the channels to
 * other processes. Few, so one lock serves them all (net.wlock).
 *
 * (1) ready of one watch never runs twice at once: it is armed one-shot and
 *     armed again only when ready has returned.
 *     Between the two it may rest: there is news, and nobody is woken.
 * (2) When net_unwatch returns, ready does not run and will not, unless
 *     net_unwatch was called by ready itself.
 */
#include <stdlib.h>
#include <sys/epoll.h>

#include "net/net_int.h"

static uint64_t
watch_id(const struct watch *w)
{
	return ID_SPECIAL | (uint64_t)SP_WATCH << 32 |
	       (uint64_t)(w->gen & 0x3fffff) << 10 | w->index;
}

/* The lock is held. */
static void
watch_arm(struct watch *w, bool in)
{
	w->resting = false;
	pool_arm(w->net, w->fd, watch_id(w),
	    EPOLLIN | (w->writing ? EPOLLOUT : 0), &in);
}

void
net_watch_into(struct net *n, int fd, void (*ready)(void *arg), void *arg,
    struct watch **out)
{
	struct watch *w = x_alloc(sizeof(*w));

	w->net = n;
	w->fd = fd;
	w->ready = ready;
	w->arg = arg;
	pthread_mutex_lock(&n->wlock);
	for (w->index = 0; w->index < WATCH_MAX; w->index++)
		if (n->watches[w->index] == NULL)
			break;
	if (w->index >= WATCH_MAX) {
		log_panic("too many watches");
		return; /* never: for the reader that does not know */
	}
	n->watches[w->index] = w;
	n->watches_end = MAX(n->watches_end, w->index + 1);
	w->gen = ++n->watch_gen;
	*out = w;
	watch_arm(w, false);
	pthread_mutex_unlock(&n->wlock);
}

struct watch *
net_watch(struct net *n, int fd, void (*ready)(void *arg), void *arg)
{
	struct watch *w;

	net_watch_into(n, fd, ready, arg, &w);
	return w;
}

void
net_watch_write(struct watch *w, bool on)
{
	struct net *n = w->net;

	pthread_mutex_lock(&n->wlock);
	if (w->writing != on && !w->dead) {
		w->writing = on;
		/* While it runs it is not armed; it will be when it ends. */
		if (!w->running)
			watch_arm(w, true);
	}
	pthread_mutex_unlock(&n->wlock);
}

void
net_watch_rest(struct watch *w, int ms)
{
	pthread_mutex_lock(&w->net->wlock);
	w->rest_ms = ms;
	pthread_mutex_unlock(&w->net->wlock);
}

/* Some time has passed: those that rest are armed again. */
void
watch_resume(struct net *n)
{
	pthread_mutex_lock(&n->wlock);
	for (unsigned i = 0; i < n->watches_end; i++)
		if (n->watches[i] != NULL && n->watches[i]->resting)
			watch_arm(n->watches[i], true);
	pthread_mutex_unlock(&n->wlock);
}

void
net_unwatch(struct watch **wp)
{
	struct watch *w = *wp;
	struct net *n;

	if (w == NULL)
		return;
	*wp = NULL;
	n = w->net;
	pthread_mutex_lock(&n->wlock);
	w->dead = true;
	epoll_ctl(n->ep, EPOLL_CTL_DEL, w->fd, NULL);
	n->watches[w->index] = NULL;
	if (w->running && pthread_equal(w->runner, pthread_self())) {
		/* watch_ready frees it when ready returns. */
		pthread_mutex_unlock(&n->wlock);
		return;
	}
	w->waited_for = w->running; /* we wait, and free it */
	while (w->running)
		pthread_cond_wait(&n->wcond, &n->wlock);
	pthread_mutex_unlock(&n->wlock);
	x_free(&w);
}

void
watch_ready(struct net *n, uint64_t id)
{
	struct watch *w;
	bool by_itself;
	int rest_ms;

	pthread_mutex_lock(&n->wlock);
	w = n->watches[id & (WATCH_MAX - 1)];
	/* A late event of one that has gone, or of its predecessor. */
	if (w == NULL || w->running || watch_id(w) != id) {
		pthread_mutex_unlock(&n->wlock);
		return;
	}
	w->running = true;
	w->runner = pthread_self();
	pthread_mutex_unlock(&n->wlock);
	w->ready(w->arg);
	pthread_mutex_lock(&n->wlock);
	w->running = false;
	by_itself = w->dead;
	rest_ms = w->rest_ms;
	w->rest_ms = 0;
	if (w->dead) {
		pthread_cond_broadcast(&n->wcond);
	} else if (rest_ms > 0 && !w->writing) {
		w->resting = true;
		timer_hold(n, rest_ms);
	} else {
		watch_arm(w, true);
	}
	/* If another thread waits in net_unwatch, it frees. */
	if (by_itself && w->waited_for)
		by_itself = false;
	pthread_mutex_unlock(&n->wlock);
	if (by_itself)
		x_free(&w);
}

void
watch_free(struct net *n)
{
	for (unsigned i = 0; i < WATCH_MAX; i++)
		x_free(&n->watches[i]);
}
