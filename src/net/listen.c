/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Listeners and admission. A connection is refused, before anything is
 * spent on it, when its address has limits.connections_per_address of them
 * (loopback excepted), or when the slots or six tenths of the descriptors
 * are in use and there is no unauthenticated connection to shed, oldest
 * first. At eight tenths the listeners are not armed at all.
 *
 * The fronts share their listeners. The kernel tells one of them of a
 * connection, the one that asked first; each asks anew after TAKES
 * connections, so that they take turns. It is told of by edge: whoever is
 * told takes what there is, or asks anew.
 *
 * Connections are counted per address in a table that the fronts share:
 * every process writes its own row and reads all, so that a row can be
 * cleared when its process has died.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>

#include "net/net_int.h"

#define COUNTS 65536
#define ACCEPT_AT_ONCE 16
#define TAKES 8
#define HOLD_MS 100

static uint64_t
listen_id(unsigned i)
{
	return ID_SPECIAL | (uint64_t)SP_LISTEN << 32 | i;
}

/* wlock is held. */
static void
listener_arm(struct listener *l, unsigned index)
{
	struct epoll_event e = {
	    .events = EPOLLIN | EPOLLET | EPOLLEXCLUSIVE,
	    .data.u64 = listen_id(index),
	};

	l->armed = true;
	l->again = false;
	l->taken = 0;
	if (epoll_ctl(l->net->ep, EPOLL_CTL_ADD, l->fd, &e) != 0)
		log_error("epoll_ctl", KV_ERRNO(errno));
}

/* By hand, even before closing: the socket lives on in other processes, and
 * what was told to nobody here would be told to nobody there. wlock is held. */
static void
listener_disarm(struct listener *l)
{
	if (l->armed)
		epoll_ctl(l->net->ep, EPOLL_CTL_DEL, l->fd, NULL);
	l->armed = false;
}

void
net_listen(
    struct net *n, int fd, const struct service *s, struct tls *tls, void *user)
{
	struct listener *l;
	int one = 1;

	/* Accepted sockets have it from here; others know no such thing. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	pthread_mutex_lock(&n->wlock);
	if (n->nlisteners == LISTEN_MAX)
		log_panic("too many listeners");
	if (n->own_counts == NULL && n->o.shared_counts == NULL)
		n->own_counts = x_array(COUNTS, sizeof(uint32_t));
	l = &n->listeners[n->nlisteners];
	*l = (struct listener){.net = n, .fd = fd, .svc = s, .user = user};
	l->tls = tls == NULL ? NULL : tls_ref(tls);
	listener_arm(l, n->nlisteners++);
	pthread_mutex_unlock(&n->wlock);
}

void
net_listen_stop(struct net *n)
{
	pthread_mutex_lock(&n->wlock);
	for (unsigned i = 0; i < n->nlisteners; i++) {
		struct listener *l = &n->listeners[i];

		while (l->running && !pthread_equal(l->runner, pthread_self()))
			pthread_cond_wait(&n->wcond, &n->wlock);
		if (l->fd >= 0) {
			listener_disarm(l);
			os_close(&l->fd);
		}
		tls_unref(&l->tls);
	}
	pthread_mutex_unlock(&n->wlock);
}

void
listen_free(struct net *n)
{
	net_listen_stop(n);
	for (unsigned i = 0; i < STLS_MAX; i++)
		tls_unref(&n->stls[i].tls);
}

void
net_listen_tls(struct net *n, const struct service *s, struct tls *t)
{
	unsigned i;

	pthread_mutex_lock(&n->wlock);
	for (i = 0; i < STLS_MAX; i++)
		if (n->stls[i].svc == s || n->stls[i].svc == NULL)
			break;
	if (i >= STLS_MAX) {
		log_panic("too many TLS services");
		return; /* never: for the reader that does not know */
	}
	tls_unref(&n->stls[i].tls);
	n->stls[i].svc = s;
	n->stls[i].tls = tls_ref(t);
	for (i = 0; i < n->nlisteners; i++) {
		struct listener *l = &n->listeners[i];

		if (l->svc != s || l->tls == NULL)
			continue;
		tls_unref(&l->tls);
		l->tls = tls_ref(t);
	}
	pthread_mutex_unlock(&n->wlock);
}

/* The context for a service's NEXT_TLS, counted; NULL: none. */
struct tls *
listen_context(struct net *n, const struct service *s)
{
	struct tls *t = NULL;

	pthread_mutex_lock(&n->wlock);
	for (unsigned i = 0; i < STLS_MAX; i++)
		if (n->stls[i].svc == s && n->stls[i].tls != NULL)
			t = tls_ref(n->stls[i].tls);
	pthread_mutex_unlock(&n->wlock);
	return t;
}

/* ---- the unauthenticated, in order of arrival ---- */

void
young_add(struct conn *c)
{
	struct net *n = c->net;

	pthread_mutex_lock(&n->ulock);
	if (!c->young) {
		c->young = true;
		c->young_next = NO_SLOT;
		c->young_prev = n->young_tail;
		if (n->young_tail == NO_SLOT)
			n->young_head = c->slot;
		else
			net_slot(n, n->young_tail)->young_next = c->slot;
		n->young_tail = c->slot;
	}
	pthread_mutex_unlock(&n->ulock);
}

void
young_del(struct conn *c)
{
	struct net *n = c->net;

	pthread_mutex_lock(&n->ulock);
	if (c->young) {
		c->young = false;
		if (c->young_prev == NO_SLOT)
			n->young_head = c->young_next;
		else
			net_slot(n, c->young_prev)->young_next = c->young_next;
		if (c->young_next == NO_SLOT)
			n->young_tail = c->young_prev;
		else
			net_slot(n, c->young_next)->young_prev = c->young_prev;
	}
	pthread_mutex_unlock(&n->ulock);
}

/* Ends the oldest unauthenticated connection; false: there is none. */
bool
young_shed(struct net *n)
{
	conn_id id = 0;
	struct conn *c;

	pthread_mutex_lock(&n->ulock);
	if (n->young_head != NO_SLOT) {
		c = net_slot(n, n->young_head);
		id = id_make(c->slot, word_gen(atomic_load(&c->word)));
		/* Out of the list at once, so that the next call sheds the
		 * next one. */
		n->young_head = c->young_next;
		if (n->young_head == NO_SLOT)
			n->young_tail = NO_SLOT;
		else
			net_slot(n, n->young_head)->young_prev = NO_SLOT;
		c->young = false;
	}
	pthread_mutex_unlock(&n->ulock);
	if (id == 0)
		return false;
	log_info("connection shed: too many are waiting to log in");
	pool_signal(n, id, EV_KILL);
	return true;
}

/* ---- counting per address ---- */

static _Atomic uint32_t *
counter(struct net *n, uint32_t row, uint32_t at)
{
	uint32_t *v = n->o.shared_counts;

	if (v == NULL)
		return (_Atomic uint32_t *)(n->own_counts + at);
	return (_Atomic uint32_t *)(v + (size_t)row * COUNTS + at);
}

static uint64_t
count_of(struct net *n, uint32_t at)
{
	uint32_t rows = n->o.shared_counts == NULL ? 1 : n->o.counts_rows;
	uint64_t sum = 0;

	for (uint32_t r = 0; r < rows; r++)
		sum += atomic_load_explicit(
		    counter(n, r, at), memory_order_relaxed);
	return sum;
}

void
listen_count(struct conn *c, bool up)
{
	_Atomic uint32_t *v;

	if (c->count_row == NO_SLOT)
		return;
	v = counter(c->net, c->net->o.counts_row, c->count_row);
	if (up)
		atomic_fetch_add_explicit(v, 1, memory_order_relaxed);
	else
		atomic_fetch_sub_explicit(v, 1, memory_order_relaxed);
}

/* ---- accepting ---- */

static void
refuse(const struct listener *l, int fd, struct os_addr *peer, const char *why)
{
	struct buf where = {0};

	os_addr_print(peer, &where, NULL);
	log_warn("connection refused", KV_C("service", l->svc->name),
	    KV_S("peer", buf_str(&where)), KV_C("why", why));
	buf_free(&where);
	/* Best effort: these few bytes fit, or the peer has no luck. */
	if (l->tls == NULL && l->svc->busy != NULL)
		(void)!send(fd, l->svc->busy, strlen(l->svc->busy),
		    MSG_DONTWAIT | MSG_NOSIGNAL);
	os_close(&fd);
}

static bool
crowded(struct net *n)
{
	return atomic_load(&n->nconns) >= n->o.conns_max ||
	       (n->o.fds_max != 0 &&
		   atomic_load(&n->nfds) * 10ull >= n->o.fds_max * 6);
}

void
listen_admit(struct net *n, unsigned index, int fd, struct os_addr *peer)
{
	/* Its service does not change; its context is the accepting one's. */
	const struct listener *l = &n->listeners[index];
	uint32_t row = NO_SLOT;
	char key[16];

	if (!os_addr_loopback(peer)) {
		row = (uint32_t)hash_xxh3(
			  os_addr_key(peer, key), n->o.counts_seed) %
		      COUNTS;
		if (count_of(n, row) >= limits.connections_per_address) {
			limit_hit(LIMIT_connections_per_address, STR_NONE);
			refuse(l, fd, peer, "too many from this address");
			return;
		}
	}
	if (crowded(n))
		limit_hit(LIMIT_connections_max, STR_NONE);
	if (crowded(n) && !young_shed(n)) {
		refuse(l, fd, peer, "too many connections");
		return;
	}
	if (conn_make(n, fd, l->svc, l->user, peer, STR_NONE, l->tls, row) == 0)
		refuse(l, fd, peer, "too many connections");
}

/* Accepts what has come, from l, a copy. Returns how many; *hold: something
 * is short, and the listener is to rest. */
static unsigned
accept_some(const struct listener *l, unsigned index, bool *hold)
{
	struct net *n = l->net;
	struct os_addr peer;
	unsigned i;
	int fd;

	*hold = false;
	for (i = 0; i < ACCEPT_AT_ONCE; i++) {
		if (n->o.fds_max != 0 &&
		    atomic_load(&n->nfds) * 10ull >= n->o.fds_max * 8) {
			*hold = true;
			break;
		}
		fd = os_accept(l->fd, &peer);
		if (fd < 0 && errno == ECONNABORTED)
			continue;
		if (fd < 0) {
			/* No descriptor, no memory: not at once again (R99) */
			*hold = errno != EAGAIN;
			if (*hold)
				log_error("accept", KV_ERRNO(errno));
			break;
		}
		listen_admit(n, index, fd, &peer);
	}
	return i;
}

void
listen_ready(struct net *n, unsigned index)
{
	struct listener *l = &n->listeners[index], copy;
	unsigned taken;
	bool hold;

	pthread_mutex_lock(&n->wlock);
	if (l->fd < 0 || !l->armed || l->running) {
		l->again = true;
		pthread_mutex_unlock(&n->wlock);
		return;
	}
	l->running = true;
	l->runner = pthread_self();
	copy = *l;
	if (copy.tls != NULL)
		tls_ref(copy.tls);
	pthread_mutex_unlock(&n->wlock);
	taken = accept_some(&copy, index, &hold);
	if (hold)
		young_shed(n);
	pthread_mutex_lock(&n->wlock);
	l->running = false;
	pthread_cond_broadcast(&n->wcond);
	l->taken += taken;
	if (l->fd >= 0 && hold) {
		listener_disarm(l);
		timer_hold(n, HOLD_MS);
	} else if (l->fd >= 0 &&
		   (l->again || taken == ACCEPT_AT_ONCE || l->taken >= TAKES)) {
		/* What has come meanwhile is told of again. */
		listener_disarm(l);
		listener_arm(l, index);
	}
	pthread_mutex_unlock(&n->wlock);
	tls_unref(&copy.tls);
}

/* Some time has passed: those that were held are armed again. */
void
listen_resume(struct net *n)
{
	pthread_mutex_lock(&n->wlock);
	for (unsigned i = 0; i < n->nlisteners; i++) {
		struct listener *l = &n->listeners[i];

		if (l->fd >= 0 && !l->armed)
			listener_arm(l, i);
	}
	pthread_mutex_unlock(&n->wlock);
}
