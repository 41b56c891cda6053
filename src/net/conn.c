/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * A connection's round: its owner steps it from phase to phase until it
 * must wait, then parks it. What the phases are stands in net_int.h.
 *
 * (1) While output is blocked, input is not read: a peer that does not take
 *     its replies gets no more commands in.
 * (2) Replies of pipelined commands are sent together, as long as the first
 *     is not older than FLUSH_US.
 * (3) A connection that has had TURN_RUNS runs or TURN_US goes to the back
 *     of the run queue.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/epoll.h>

#include "net/net_int.h"

#define READ_SMALL 16384
#define READ_LARGE 65536
#define FLUSH_US 5000
#define TURN_RUNS 64
#define TURN_US 20000
#define TRIM_MS 1000
#define LINGER_MS 2000
#define BYE_MS 10000
#define LINGER_BYTES (1 << 20)
#define STOP_DRAIN_MS 5000

enum step { STEP_AGAIN, STEP_PARK, STEP_YIELD, STEP_END };
struct turn {
	int64_t begin_us;
	unsigned runs;
};

/* ---- buffers ---- */

static _Thread_local struct io *spare;

void
io_need(struct conn *c)
{
	if (c->io != NULL)
		return;
	c->io = spare != NULL ? spare : x_alloc(sizeof(*c->io));
	spare = NULL;
}

static void
io_drop(struct io **io)
{
	struct io *x = *io;

	*io = NULL;
	if (x == NULL)
		return;
	out_clear(&x->out);
	/* What a client sent, passwords too, is not for the next one (R53). */
	if (x->in.p != NULL)
		x_wipe(x->in.p, MIN(MAX(x->high, x->in.n), x->in.cap));
	buf_reset(&x->in);
	if (spare != NULL || x->in.cap > READ_LARGE * 2) {
		buf_free(&x->in);
		free(x);
		return;
	}
	x->at = x->high = 0;
	x->starved = x->greedy = false;
	x->queued_us = 0;
	spare = x;
}

void
io_forget(void)
{
	if (spare == NULL)
		return;
	buf_free(&spare->in);
	x_free(&spare);
}

static size_t
input_left(const struct conn *c)
{
	return c->io == NULL ? 0 : c->io->in.n - c->io->at;
}

/* About to park: keep no more than what is needed. */
static void
io_shrink(struct conn *c)
{
	size_t left = input_left(c);
	struct io *small, *big = c->io;

	if (big == NULL)
		return;
	if (left == 0 && out_empty(c)) {
		io_drop(&c->io);
		return;
	}
	if (big->in.cap <= left + 1024)
		return;
	small = x_alloc(sizeof(*small));
	if (left > 0)
		buf_add(&small->in, big->in.p + big->at, left);
	small->high = left;
	small->starved = big->starved;
	small->out = big->out;
	small->queued_us = big->queued_us;
	big->out = (struct out){0};
	c->io = small;
	io_drop(&big);
}

/* ---- beginning and end ---- */

static void
conn_reset(struct conn *c)
{
	c->svc = NULL;
	c->user = NULL;
	c->io = NULL;
	c->tls = NULL;
	c->pump = NULL;
	c->deadline_ms = c->guard_ms = 0;
	c->count_row = NO_SLOT;
	c->pend = 0;
	c->fd = -1;
	c->armed = UNARMED;
	c->want = 0;
	c->ready = c->eof = c->in_epoll = c->closed = false;
	c->stopping = c->rang = c->trimmed = c->progress = false;
}

static _Thread_local uint64_t next_label;

void
net_label(uint64_t label)
{
	next_label = label;
}

static void
set_peer(struct conn *c, const struct os_addr *peer)
{
	pthread_mutex_t *m = &c->net->stripe[c->slot % STRIPES];

	pthread_mutex_lock(m);
	memset(&c->peer, 0, sizeof(c->peer));
	c->peer.sa.sa_family = AF_UNIX;
	if (peer != NULL && peer->ss.ss_family != AF_UNIX)
		memcpy(&c->peer, &peer->ss, MIN(peer->len, sizeof(c->peer)));
	c->since_ms = os_wall_ms();
	c->label = next_label;
	pthread_mutex_unlock(m);
}

static void
guard_set(struct conn *c, int64_t ms)
{
	c->guard_ms = os_mono_ms() + ms;
	timer_want(c);
}

/* Arms, then parks. False: something has happened meanwhile. */
static bool
conn_park(struct conn *c, bool *bad)
{
	conn_id id = conn_self(c);
	bool in = c->in_epoll;

	io_shrink(c);
	if (c->armed != c->want) {
		if (!pool_arm(c->net, c->fd, id, c->want, &in)) {
			*bad = true;
			return false;
		}
		c->in_epoll = true;
		c->armed = c->want;
	}
	if (c->phase == PH_PUMP && !pump_arm(c)) {
		*bad = true;
		return false;
	}
	return own_park(c);
}

conn_id
conn_make(struct net *n, int fd, const struct service *s, void *user,
    const struct os_addr *peer, str input, struct tls *tls, uint32_t count_row)
{
	struct conn *c = slot_take(n);
	bool bad = false;
	conn_id id;

	if (c == NULL)
		return 0;
	conn_reset(c);
	c->svc = s;
	c->user = user;
	c->fd = fd;
	c->count_row = count_row;
	c->phase = PH_OPEN;
	set_peer(c, peer);
	if (input.n > 0) {
		io_need(c);
		buf_str_add(&c->io->in, input);
		c->io->high = input.n;
	}
	if (tls != NULL) {
		c->phase = PH_SHAKE;
		conn_set_tls(c, tls);
		guard_set(c, (int64_t)limits.prelogin_s * 1000);
	}
	listen_count(c, true);
	atomic_fetch_add(&n->nfds, 1);
	id = id_make(c->slot, word_gen(atomic_load(&c->word)));
	atomic_store_explicit(
	    &c->word, (id & UINT32_MAX) << 32 | ST_OWNED, memory_order_release);
	young_add(c);
	if (atomic_load(&n->stopping))
		c->pend |= EV_KILL;
	/* In TLS the client speaks first: nothing is to be done before. */
	c->want = EPOLLIN;
	if (tls == NULL || c->pend != 0 || !conn_park(c, &bad))
		pool_push(c);
	return id;
}

conn_id
net_add(struct net *n, int fd, const struct service *s, void *user,
    const struct os_addr *peer, str input)
{
	conn_id id = 0;

	if (atomic_load(&n->nconns) >= n->o.conns_max)
		limit_hit(LIMIT_connections_max, STR_NONE);
	else
		id = conn_make(n, fd, s, user, peer, input, NULL, NO_SLOT);
	if (id == 0)
		os_close(&fd);
	return id;
}

static void
call_closed(struct conn *c)
{
	if (c->closed)
		return;
	c->closed = true;
	if (c->svc->closed != NULL)
		c->svc->closed(c);
}

static void
conn_end(struct conn *c)
{
	struct net *n;
	uint64_t label;

	call_closed(c);
	young_del(c);
	timer_drop(c);
	listen_count(c, false);
	tls_conn_free(c);
	pump_free(c);
	io_drop(&c->io);
	if (c->fd >= 0) {
		os_close(&c->fd);
		atomic_fetch_sub(&c->net->nfds, 1);
	}
	label = c->label;
	n = c->net;
	slot_give(c);
	if (label != 0 && n->o.ended != NULL)
		n->o.ended(n->o.arg, label);
}

/* ---- running the service ---- */

static enum step
conn_run(struct conn *c, enum why why, struct turn *t)
{
	static const uint8_t phases[] = {[NEXT_INPUT] = PH_INPUT,
	    [NEXT_MORE] = PH_MORE,
	    [NEXT_WAIT] = PH_WAIT,
	    [NEXT_HOLD] = PH_HOLD,
	    [NEXT_TLS] = PH_TLS,
	    [NEXT_PUMP] = PH_TO_PUMP,
	    [NEXT_GONE] = PH_CLOSE,
	    [NEXT_CLOSE] = PH_CLOSE};
	enum next next;

	t->runs++;
	next = c->svc->run(c, why);
	if (next == NEXT_GONE || c->fd < 0)
		return STEP_END;
	c->phase = phases[next];
	if (why == WHY_STOP && next != NEXT_PUMP)
		c->phase = PH_CLOSE;
	if (c->io != NULL)
		c->io->starved = false;
	return STEP_AGAIN;
}

/* A reason to run that came from outside. */
static bool
called(struct conn *c, enum why *why)
{
	if ((c->pend & EV_STOP) != 0) {
		c->pend &= ~(uint32_t)EV_STOP;
		c->stopping = true;
		*why = WHY_STOP;
		return true;
	}
	if (c->rang) {
		c->rang = false;
		*why = WHY_TIMER;
		return true;
	}
	if ((c->pend & EV_POKE) != 0) {
		c->pend &= ~(uint32_t)EV_POKE;
		*why = WHY_POKE;
		return true;
	}
	return false;
}

static enum step
gather_once(struct conn *c, struct turn *t)
{
	size_t before = input_left(c);
	enum step s;

	if (c->svc->gather == NULL) {
		s = conn_run(c, WHY_INPUT, t);
		if (s == STEP_AGAIN && c->phase == PH_INPUT && c->io != NULL &&
		    input_left(c) == before)
			c->io->starved = true;
		return s;
	}
	switch (c->svc->gather(c)) {
	case GATHER_RUN:
		return conn_run(c, WHY_INPUT, t);
	case GATHER_CLOSE:
		c->phase = PH_CLOSE;
		return STEP_AGAIN;
	case GATHER_MORE:
		break;
	}
	if (c->io != NULL)
		c->io->starved = true;
	return STEP_AGAIN;
}

/* ---- reading ---- */

ssize_t
conn_raw_read(struct conn *c, void *p, size_t n)
{
	ssize_t r;

	do
		r = recv(c->fd, p, n, MSG_DONTWAIT);
	while (r < 0 && errno == EINTR);
	return r;
}

/* One read into the buffer. */
enum filled { FILL_MORE, FILL_NONE, FILL_BAD };
static enum filled
input_fill(struct conn *c)
{
	struct io *io;
	size_t room;
	ssize_t r;
	char *p;

	io_need(c);
	io = c->io;
	if (io->at > 0) {
		buf_eat(&io->in, io->at);
		io->at = 0;
	}
	if (io->in.n > limits.line_max + 2 * READ_LARGE) {
		log_warn("input is not taken", KV_C("service", c->svc->name));
		return FILL_BAD;
	}
	room = io->greedy ? READ_LARGE : READ_SMALL;
	p = buf_room(&io->in, room);
	if (p == NULL)
		return FILL_BAD;
	c->want = EPOLLIN;
	if (tls_on(c))
		r = tls_read(c, p, room, &c->want);
	else
		r = conn_raw_read(c, p, room);
	if (r < 0) {
		c->ready = false;
		return errno == EAGAIN ? FILL_NONE : FILL_BAD;
	}
	if (r == 0) {
		c->eof = true;
		c->ready = false;
		return FILL_MORE;
	}
	io->in.n += (size_t)r;
	io->high = MAX(io->high, io->in.n);
	io->starved = false;
	io->greedy = (size_t)r == room || (tls_on(c) && r == READ_SMALL);
	/* A short read has emptied a plain socket; TLS says when. */
	c->ready = tls_on(c) || (size_t)r == room;
	return FILL_MORE;
}

/* ---- steps ---- */

/* Writes what is queued. True: all has gone. Else *s is what to do. */
static bool
step_drain(struct conn *c, enum step *s)
{
	enum drained d = out_empty(c) ? DRAIN_DONE : out_drain(c);

	switch (d) {
	case DRAIN_DONE:
		if (c->phase != PH_LINGER)
			c->guard_ms = 0;
		return true;
	case DRAIN_SOME:
		c->guard_ms = 0;
		*s = STEP_YIELD;
		return false;
	case DRAIN_BAD:
		*s = STEP_END;
		return false;
	case DRAIN_FULL:
		break;
	}
	if ((c->pend & EV_STOP) != 0 && !c->stopping) {
		c->stopping = c->trimmed = true;
		guard_set(c, STOP_DRAIN_MS);
	} else if (!c->stopping && (c->guard_ms == 0 || c->progress)) {
		c->trimmed = false;
		guard_set(c, MIN(TRIM_MS, (int64_t)limits.stall_s * 1000));
	}
	c->progress = false;
	*s = STEP_PARK;
	return false;
}

static bool
turn_over(const struct turn *t)
{
	return t->runs >= TURN_RUNS ||
	       (t->runs > 0 && os_mono_us() - t->begin_us > TURN_US);
}

static enum step
step_input(struct conn *c, struct turn *t)
{
	enum why why;
	enum step s;
	bool fresh, over = turn_over(t);

	fresh = out_empty(c) || os_mono_us() - c->io->queued_us < FLUSH_US;
	if (!out_full(c) && !over) {
		if (called(c, &why))
			return conn_run(c, why, t);
		if (input_left(c) > 0 && !c->io->starved && fresh)
			return gather_once(c, t);
	}
	if (!step_drain(c, &s))
		return s;
	if (over)
		return STEP_YIELD;
	if (input_left(c) > 0 && !c->io->starved)
		return STEP_AGAIN;
	if (c->eof) {
		c->phase = PH_CLOSE;
		return STEP_AGAIN;
	}
	c->want = EPOLLIN;
	if (!c->ready)
		return STEP_PARK;
	switch (input_fill(c)) {
	case FILL_MORE:
		return STEP_AGAIN;
	case FILL_NONE:
		return STEP_PARK;
	case FILL_BAD:
		break;
	}
	return STEP_END;
}

static enum step
step_more(struct conn *c, struct turn *t)
{
	enum step s = STEP_PARK;
	enum why why;

	if (turn_over(t)) {
		if (!step_drain(c, &s) && s != STEP_YIELD && !out_low(c))
			return s;
		return STEP_YIELD;
	}
	if (out_low(c)) {
		if ((c->pend & EV_STOP) != 0 && called(c, &why))
			return conn_run(c, why, t);
		return conn_run(c, WHY_MORE, t);
	}
	if (step_drain(c, &s))
		return STEP_AGAIN;
	return s == STEP_PARK && out_low(c) ? STEP_AGAIN : s;
}

static enum step
step_wait(struct conn *c, struct turn *t)
{
	enum why why;
	enum step s;

	if (!step_drain(c, &s))
		return s;
	if (called(c, &why))
		return conn_run(c, why, t);
	if ((c->pend & EV_HUP) != 0)
		return STEP_END;
	c->want = 0;
	return STEP_PARK;
}

/* Nothing is asked of epoll: whoever has the answer pokes. */
static enum step
step_hold(struct conn *c, struct turn *t)
{
	enum why why;

	if (called(c, &why))
		return conn_run(c, why, t);
	c->want = c->armed;
	return STEP_PARK;
}

static enum step
step_tls(struct conn *c)
{
	struct tls *t;
	enum step s;
	enum err e;

	if (!step_drain(c, &s))
		return s;
	if (input_left(c) > 0) {
		/* R20: whatever was sent behind STARTTLS is not run. */
		log_warn("input behind STARTTLS: closed");
		return STEP_END;
	}
	t = listen_context(c->net, c->svc);
	e = tls_start(c, t);
	tls_unref(&t);
	if (e != OK)
		return STEP_END;
	c->phase = PH_RESHAKE;
	guard_set(c, (int64_t)limits.prelogin_s * 1000);
	return STEP_AGAIN;
}

static enum step
step_shake(struct conn *c)
{
	if ((c->pend & (EV_STOP | EV_HUP)) != 0 ||
	    (!tls_on(c) && tls_start(c, NULL) != OK))
		return STEP_END;
	switch (tls_shake(c, &c->want)) {
	case SHAKE_DONE:
		c->guard_ms = 0;
		c->ready = true;
		c->phase = c->phase == PH_SHAKE ? PH_OPEN : PH_INPUT;
		return STEP_AGAIN;
	case SHAKE_WAIT:
		return STEP_PARK;
	case SHAKE_BAD:
		break;
	}
	return STEP_END;
}

/* Reads and drops what the peer still sends. */
static enum step
step_linger(struct conn *c)
{
	char drop[4096];
	size_t sum = 0;
	ssize_t r;

	while ((r = conn_raw_read(c, drop, sizeof(drop))) > 0) {
		sum += (size_t)r;
		if (sum > LINGER_BYTES)
			return STEP_END;
	}
	if (r == 0 || errno != EAGAIN || (sum == 0 && c->guard_ms == 0))
		return STEP_END;
	if (c->guard_ms == 0)
		guard_set(c, LINGER_MS);
	c->want = EPOLLIN;
	return STEP_PARK;
}

static enum step
step_close(struct conn *c)
{
	enum step s;

	if (!step_drain(c, &s))
		return s;
	call_closed(c);
	c->phase = PH_BYE;
	guard_set(c, (c->pend & EV_STOP) != 0
			 ? STOP_DRAIN_MS
			 : MIN(TRIM_MS, (int64_t)limits.stall_s * 1000));
	return STEP_AGAIN;
}

/* A close_notify that finds no room would be cut off, and the peer would
 * take what he has for truncated. */
static enum step
step_bye(struct conn *c)
{
	if (!tls_bye(c)) {
		if ((c->pend & EV_STOP) != 0 && !c->stopping) {
			c->stopping = true;
			guard_set(c, STOP_DRAIN_MS);
		}
		c->want = EPOLLOUT;
		return STEP_PARK;
	}
	if (c->eof || shutdown(c->fd, SHUT_WR) != 0)
		return STEP_END;
	c->guard_ms = 0;
	c->phase = PH_LINGER;
	/* The kernel would answer unread input with a reset, and our last
	 * words would be lost. */
	return STEP_AGAIN;
}

static enum step
step_pump(struct conn *c)
{
	if (c->phase == PH_TO_PUMP) {
		enum step s;

		if (!step_drain(c, &s))
			return s;
		c->phase = PH_PUMP;
		c->ready = true;
		io_drop(&c->io);
	}
	switch (pump_step(c)) {
	case PUMP_WAIT:
		return STEP_PARK;
	case PUMP_AGAIN:
		return STEP_YIELD;
	case PUMP_END:
		break;
	}
	/* What was to be said has been written. */
	c->phase = PH_CLOSE;
	return STEP_AGAIN;
}

static enum step
conn_step(struct conn *c, struct turn *t)
{
	switch ((enum phase)c->phase) {
	case PH_OPEN:
		c->phase = PH_INPUT;
		return conn_run(c, WHY_OPEN, t);
	case PH_SHAKE:
	case PH_RESHAKE:
		return step_shake(c);
	case PH_INPUT:
		return step_input(c, t);
	case PH_MORE:
		return step_more(c, t);
	case PH_WAIT:
		return step_wait(c, t);
	case PH_HOLD:
		return step_hold(c, t);
	case PH_TLS:
		return step_tls(c);
	case PH_TO_PUMP:
	case PH_PUMP:
		return step_pump(c);
	case PH_CLOSE:
		return step_close(c);
	case PH_BYE:
		return step_bye(c);
	case PH_LINGER:
		return step_linger(c);
	}
	return STEP_END;
}

/* net's own time has run out. False: the connection ends. */
static bool
guard_rang(struct conn *c)
{
	c->guard_ms = 0;
	switch ((enum phase)c->phase) {
	case PH_SHAKE:
	case PH_RESHAKE:
		limit_hit(LIMIT_prelogin_s, STR_NONE);
		return false;
	case PH_BYE:
	case PH_LINGER:
		return false;
	default:
		break;
	}
	if (c->phase != PH_PUMP && !c->trimmed && !out_empty(c)) {
		c->trimmed = true;
		out_trim(c);
		guard_set(c, (int64_t)limits.stall_s * 1000);
		return true;
	}
	limit_hit(LIMIT_stall_s, STR_NONE);
	log_info("closed: takes nothing", KV_C("service", c->svc->name));
	return false;
}

/* Sorts the events that have come. False: the connection ends. */
static bool
conn_events(struct conn *c)
{
	int64_t now;

	own_take(c);
	if ((c->pend & (EV_IN | EV_OUT | EV_HUP)) != 0) {
		c->armed = UNARMED;
		/* TLS may have wanted to write in order to read. */
		if ((c->pend & (EV_IN | EV_HUP)) != 0 || c->tls != NULL)
			c->ready = true;
		tls_ready(c);
		c->pend &= ~(uint32_t)(EV_IN | EV_OUT);
	}
	if ((c->pend & EV_KILL) != 0)
		return false;
	if ((c->pend & EV_TIMER) == 0)
		return true;
	c->pend &= ~(uint32_t)EV_TIMER;
	now = os_mono_ms();
	if (c->deadline_ms != 0 && c->deadline_ms <= now) {
		c->deadline_ms = 0;
		c->rang = true;
	}
	if (c->guard_ms != 0 && c->guard_ms <= now && !guard_rang(c))
		return false;
	timer_want(c);
	return true;
}

void
conn_work(struct conn *c)
{
	struct turn t = {os_mono_us(), 0};
	bool bad = false;

	for (;;) {
		if (!conn_events(c))
			break;
		switch (conn_step(c, &t)) {
		case STEP_AGAIN:
			continue;
		case STEP_PARK:
			if (conn_park(c, &bad))
				return;
			if (bad)
				break;
			continue;
		case STEP_YIELD:
			pool_push(c);
			return;
		case STEP_END:
			break;
		}
		break;
	}
	conn_end(c);
}
