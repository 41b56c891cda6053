/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The timer wheel: WHEEL buckets of WHEEL_MS each. A connection stands in
 * the bucket of its time modulo one turn; whoever is due later than this
 * turn is passed by.
 *
 * (1) Setting a later time does not move the entry: it fires early, its
 *     owner finds that nothing is due and puts it back. So a session that
 *     pushes its idle time ahead with every command pays one store.
 * (2) The timerfd rings at the earliest time that matters, so that an idle
 *     server sleeps.
 */
#include <stdlib.h>
#include <unistd.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "net/net_int.h"

void
timer_init(struct net *n)
{
	for (unsigned i = 0; i < WHEEL; i++)
		n->wheel[i] = NO_SLOT;
	n->wheel_at = os_mono_ms() / WHEEL_MS * WHEEL_MS;
}

void
timer_free(struct net *n)
{
	struct tick *t, *next;

	for (t = n->ticks; t != NULL; t = next) {
		next = t->next;
		x_free(&t);
	}
	n->ticks = NULL;
}

/* Makes the timerfd ring at ms at the latest. The lock is held. */
static void
ring_at(struct net *n, int64_t ms)
{
	struct itimerspec it = {0};
	int64_t in;

	if (n->tfd_ms != 0 && n->tfd_ms <= ms)
		return;
	n->tfd_ms = ms;
	in = MAX(ms - os_mono_ms(), 1);
	it.it_value.tv_sec = in / 1000;
	it.it_value.tv_nsec = in % 1000 * 1000000;
	timerfd_settime(n->tfd, 0, &it, NULL);
}

/* The lock is held. */
static void
wheel_out(struct net *n, struct conn *c)
{
	int64_t at = atomic_load_explicit(&c->wheel_ms, memory_order_relaxed);
	uint32_t *head = &n->wheel[at / WHEEL_MS % WHEEL];

	if (c->wheel_prev == NO_SLOT)
		*head = c->wheel_next;
	else
		net_slot(n, c->wheel_prev)->wheel_next = c->wheel_next;
	if (c->wheel_next != NO_SLOT)
		net_slot(n, c->wheel_next)->wheel_prev = c->wheel_prev;
	atomic_store_explicit(&c->wheel_ms, 0, memory_order_relaxed);
	n->wheel_count--;
}

/* The lock is held. */
static void
wheel_in(struct net *n, struct conn *c, int64_t at)
{
	uint32_t *head;

	/* Up to the next bucket: never early, and never in one passed by. */
	at = (MAX(at, n->wheel_at) / WHEEL_MS + 1) * WHEEL_MS;
	head = &n->wheel[at / WHEEL_MS % WHEEL];
	c->wheel_prev = NO_SLOT;
	c->wheel_next = *head;
	if (*head != NO_SLOT)
		net_slot(n, *head)->wheel_prev = c->slot;
	*head = c->slot;
	atomic_store_explicit(&c->wheel_ms, at, memory_order_relaxed);
	n->wheel_count++;
	ring_at(n, at);
}

void
timer_want(struct conn *c)
{
	struct net *n = c->net;
	int64_t at = c->deadline_ms, have;

	if (at == 0 || (c->guard_ms != 0 && c->guard_ms < at))
		at = c->guard_ms;
	if (at == 0)
		return;
	have = atomic_load_explicit(&c->wheel_ms, memory_order_relaxed);
	if (have != 0 && have <= at + WHEEL_MS)
		return; /* (1) */
	pthread_mutex_lock(&n->tlock);
	if (atomic_load_explicit(&c->wheel_ms, memory_order_relaxed) != 0)
		wheel_out(n, c);
	wheel_in(n, c, at);
	pthread_mutex_unlock(&n->tlock);
}

void
timer_drop(struct conn *c)
{
	struct net *n = c->net;

	/* Only its owner puts it in, so zero stays zero. */
	if (atomic_load_explicit(&c->wheel_ms, memory_order_relaxed) == 0)
		return;
	pthread_mutex_lock(&n->tlock);
	if (atomic_load_explicit(&c->wheel_ms, memory_order_relaxed) != 0)
		wheel_out(n, c);
	pthread_mutex_unlock(&n->tlock);
}

/* Takes up to max entries that are due by now. The lock is held. */
static unsigned
wheel_due(struct net *n, int64_t now, conn_id *ids, unsigned max)
{
	unsigned count = 0;
	uint32_t s, next;
	int64_t from = n->wheel_at;

	/* After a long sleep one whole turn visits every bucket. */
	if (now - from > (int64_t)WHEEL * WHEEL_MS)
		from = now / WHEEL_MS * WHEEL_MS - (int64_t)WHEEL * WHEEL_MS;
	for (; from <= now; from += WHEEL_MS) {
		for (s = n->wheel[from / WHEEL_MS % WHEEL]; s != NO_SLOT;
		     s = next) {
			struct conn *c = net_slot(n, s);

			next = c->wheel_next;
			if (atomic_load_explicit(
				&c->wheel_ms, memory_order_relaxed) > now)
				continue;
			if (count == max)
				return count; /* this bucket again */
			wheel_out(n, c);
			ids[count++] =
			    id_make(s, word_gen(atomic_load(&c->word)));
		}
		n->wheel_at = from;
	}
	return count;
}

/* What rings next without the wheel; INT64_MAX: nothing does. The lock is
 * held. */
static int64_t
other_ring(struct net *n, int64_t now)
{
	int64_t at = INT64_MAX;

	for (struct tick *t = n->ticks; t != NULL; t = t->next)
		if (!t->running)
			at = MIN(at, MAX(t->due_ms, now + 1));
	return n->held_until_ms != 0 ? MIN(at, n->held_until_ms) : at;
}

/* Rings for the earliest entry, if that comes before the other rings: what
 * lies behind them is looked at then, so that a crowd that sleeps for half an
 * hour is not gone through each time. The lock is held. */
static void
wheel_ring(struct net *n, int64_t now)
{
	int64_t until = other_ring(n, now);

	if (n->wheel_count > 0)
		until = MIN(until, n->wheel_at + (int64_t)WHEEL * WHEEL_MS);
	if (until != INT64_MAX)
		ring_at(n, until);
	if (n->wheel_count == 0)
		return;
	for (unsigned i = 1; i < WHEEL; i++) {
		int64_t at = n->wheel_at + (int64_t)i * WHEEL_MS;
		uint32_t s = n->wheel[at / WHEEL_MS % WHEEL];

		if (at > until)
			return;
		for (; s != NO_SLOT; s = net_slot(n, s)->wheel_next)
			if (atomic_load_explicit(&net_slot(n, s)->wheel_ms,
				memory_order_relaxed) <= at) {
				ring_at(n, at);
				return;
			}
	}
}

static struct tick *
tick_due(struct net *n, int64_t now)
{
	struct tick *t;

	for (t = n->ticks; t != NULL; t = t->next)
		if (!t->running && t->due_ms <= now)
			return t;
	return NULL;
}

/* Runs the ticks that are due. The lock is held, and let go meanwhile. */
static void
ticks_run(struct net *n)
{
	struct tick *t;

	while ((t = tick_due(n, os_mono_ms())) != NULL) {
		t->running = true;
		pthread_mutex_unlock(&n->tlock);
		t->fn(t->arg);
		pthread_mutex_lock(&n->tlock);
		t->running = false;
		t->due_ms = os_mono_ms() + t->ms;
		ring_at(n, t->due_ms);
	}
}

/* Is it time that what rests is armed again? */
static bool
held_over(struct net *n)
{
	bool over;

	pthread_mutex_lock(&n->tlock);
	over = n->held_until_ms != 0 && n->held_until_ms <= os_mono_ms();
	if (over)
		n->held_until_ms = 0;
	pthread_mutex_unlock(&n->tlock);
	return over;
}

void
timer_turn(struct net *n)
{
	conn_id ids[64];
	int64_t now;
	unsigned count;
	uint64_t rings;
	bool in = true;

	if (read(n->tfd, &rings, sizeof(rings)) < 0)
		rings = 0;
	if (held_over(n)) {
		listen_resume(n);
		watch_resume(n);
	}
	do {
		now = os_mono_ms();
		pthread_mutex_lock(&n->tlock);
		if (n->tfd_ms <= now)
			n->tfd_ms = 0;
		count = wheel_due(n, now, ids, NELEM(ids));
		if (count < NELEM(ids))
			wheel_ring(n, now);
		pthread_mutex_unlock(&n->tlock);
		for (unsigned i = 0; i < count; i++)
			pool_signal(n, ids[i], EV_TIMER);
	} while (count == NELEM(ids));
	/* Armed again before the ticks run: they may take long. */
	pool_arm(
	    n, n->tfd, ID_SPECIAL | (uint64_t)SP_TIMER << 32, EPOLLIN, &in);
	pthread_mutex_lock(&n->tlock);
	ticks_run(n);
	pthread_mutex_unlock(&n->tlock);
}

/* Rings again in ms at the latest, for the sake of listeners and watches
 * that rest. */
void
timer_hold(struct net *n, int64_t ms)
{
	int64_t at = os_mono_ms() + ms;

	pthread_mutex_lock(&n->tlock);
	if (n->held_until_ms == 0 || n->held_until_ms > at)
		n->held_until_ms = at;
	ring_at(n, at);
	pthread_mutex_unlock(&n->tlock);
}

void
net_tick(struct net *n, int ms, void (*tick)(void *arg), void *arg)
{
	struct tick *t = x_alloc(sizeof(*t));

	t->ms = MAX(ms, 1);
	t->fn = tick;
	t->arg = arg;
	pthread_mutex_lock(&n->tlock);
	t->due_ms = os_mono_ms() + t->ms;
	t->next = n->ticks;
	n->ticks = t;
	ring_at(n, t->due_ms);
	pthread_mutex_unlock(&n->tlock);
}
