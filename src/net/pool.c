/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The pool: threads, slots, the run queue, and the ownership protocol that
 * net_int.h describes. A thread takes one thing at a time, from the run
 * queue or from epoll; when the last waiting thread takes something, another
 * is started, up to the bound, so that threads may wait for the disk; those
 * that have had nothing to do for SURPLUS_MS end.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/timerfd.h>

#include "net/net_int.h"

#define SURPLUS_MS 2000
#define STACK_BYTES (1024 * 1024)
#define GUARD_BYTES 65536 /* pages are not larger */
#define STOP_MS 10000
#define SLOTS_SPARE 256 /* the shed, until they have ended */

/* ---- ownership ---- */

struct conn *
net_slot(struct net *n, uint32_t slot)
{
	struct conn *chunk;

	if (slot >= n->slots_max)
		return NULL;
	chunk = atomic_load_explicit(
	    &n->chunks[slot / CHUNK], memory_order_acquire);
	return chunk == NULL ? NULL : &chunk[slot % CHUNK];
}

/* Sets ev for the connection id. *claimed: it was parked, and now it is the
 * caller's. False: that connection has gone. */
bool
own_signal(struct net *n, conn_id id, uint32_t ev, struct conn **claimed)
{
	struct conn *c = net_slot(n, id_slot(id));
	uint64_t w, to;

	*claimed = NULL;
	if (c == NULL)
		return false;
	w = atomic_load_explicit(&c->word, memory_order_acquire);
	do {
		if (word_gen(w) != (uint32_t)id || (w & ST_MASK) == ST_FREE)
			return false;
		if ((w & ST_MASK) == ST_OWNED && (w & ev) == ev)
			return true;
		to = (w & ~(uint64_t)ST_MASK) | ST_OWNED | ev;
	} while (!atomic_compare_exchange_weak_explicit(
	    &c->word, &w, to, memory_order_acq_rel, memory_order_acquire));
	if ((w & ST_MASK) == ST_PARKED)
		*claimed = c;
	return true;
}

void
own_take(struct conn *c)
{
	uint64_t w;

	if ((atomic_load_explicit(&c->word, memory_order_relaxed) & EV_ALL) ==
	    0)
		return;
	w = atomic_fetch_and_explicit(
	    &c->word, ~(uint64_t)EV_ALL, memory_order_acq_rel);
	c->pend |= (uint32_t)w & EV_ALL;
}

bool
own_park(struct conn *c)
{
	uint64_t w = atomic_load_explicit(&c->word, memory_order_relaxed);

	do {
		assert((w & ST_MASK) == ST_OWNED);
		if ((w & EV_ALL) != 0)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(&c->word, &w,
	    (w & ~(uint64_t)ST_MASK) | ST_PARKED, memory_order_acq_rel,
	    memory_order_relaxed));
	return true;
}

/* ---- slots ---- */

/* A slot that is the caller's, its generation set; NULL: all are taken. */
struct conn *
slot_take(struct net *n)
{
	struct conn *c = NULL, *chunk;
	uint32_t slot;

	pthread_mutex_lock(&n->lock);
	slot = n->free_head;
	if (slot != NO_SLOT) {
		c = net_slot(n, slot);
		n->free_head = c->queue_next;
	} else if (n->nslots < n->slots_max) {
		slot = n->nslots++;
		chunk = atomic_load(&n->chunks[slot / CHUNK]);
		if (chunk == NULL) {
			chunk = x_array(CHUNK, sizeof(*chunk));
			atomic_store_explicit(&n->chunks[slot / CHUNK], chunk,
			    memory_order_release);
		}
		c = &chunk[slot % CHUNK];
		c->net = n;
		c->slot = slot;
		atomic_store(&c->word, (uint64_t)1 << 32 | ST_FREE);
	}
	pthread_mutex_unlock(&n->lock);
	if (c != NULL)
		atomic_fetch_add(&n->nconns, 1);
	return c;
}

/* The connection has ended: its id is void from now on. */
void
slot_give(struct conn *c)
{
	struct net *n = c->net;
	pthread_mutex_t *m = &n->stripe[c->slot % STRIPES];
	struct post *p, *next;
	uint32_t gen;

	pthread_mutex_lock(m);
	p = c->posts;
	c->posts = NULL;
	x_free(&c->what);
	gen = word_gen(atomic_load(&c->word)) + 1;
	if (gen == 0)
		gen = 1;
	atomic_store_explicit(
	    &c->word, (uint64_t)gen << 32 | ST_FREE, memory_order_release);
	pthread_mutex_unlock(m);
	for (; p != NULL; p = next) {
		next = p->next;
		if (p->drop != NULL)
			p->drop(p->msg);
		free(p);
	}
	pthread_mutex_lock(&n->lock);
	c->queue_next = n->free_head;
	n->free_head = c->slot;
	atomic_fetch_sub(&n->nconns, 1);
	pthread_cond_broadcast(&n->cond);
	pthread_mutex_unlock(&n->lock);
}

/* ---- the run queue ---- */

static void
pool_wake(struct net *n)
{
	uint64_t one = 1;

	while (write(n->ev, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

/* What this thread has queued and will come for at once: one such thing needs
 * nobody else to wake, and most of the time there is one. */
static _Thread_local struct {
	bool on;
	unsigned n;
} soon;
static _Thread_local bool may_soon; /* a job or a watch runs */

void
pool_soon(void)
{
	soon.on = true;
	soon.n = 0;
}

void
pool_soon_end(struct net *n)
{
	bool wake = false;

	soon.on = false;
	if (soon.n > 1) {
		pthread_mutex_lock(&n->lock);
		wake = n->nwaiting > 0;
		pthread_mutex_unlock(&n->lock);
	}
	if (wake)
		pool_wake(n);
}

/* Something was queued, and a thread waits that could take it. */
static void
pool_tell(struct net *n)
{
	if (soon.on)
		soon.n++;
	else
		pool_wake(n);
}

void
pool_push(struct conn *c)
{
	struct net *n = c->net;
	bool wake;

	pthread_mutex_lock(&n->lock);
	c->queue_next = NO_SLOT;
	if (n->queue_tail == NO_SLOT)
		n->queue_head = c->slot;
	else
		net_slot(n, n->queue_tail)->queue_next = c->slot;
	n->queue_tail = c->slot;
	wake = n->nwaiting > 0;
	pthread_mutex_unlock(&n->lock);
	if (wake)
		pool_tell(n);
}

void
net_job(struct net *n, void (*job)(void *arg), void *arg)
{
	struct job *j = x_alloc(sizeof(*j));
	bool wake;

	j->fn = job;
	j->arg = arg;
	pthread_mutex_lock(&n->lock);
	*n->jobs_end = j;
	n->jobs_end = &j->next;
	n->njobs++;
	wake = n->nwaiting > 0;
	pthread_mutex_unlock(&n->lock);
	if (wake)
		pool_tell(n);
}

void
net_last(void)
{
	if (may_soon && !soon.on)
		pool_soon();
}

/* The lock is held. */
static struct job *
job_pop(struct net *n)
{
	struct job *j = n->jobs;

	if (j == NULL)
		return NULL;
	n->jobs = j->next;
	if (n->jobs == NULL)
		n->jobs_end = &n->jobs;
	return j;
}

/* The lock is held, and let go meanwhile. */
static void
job_run(struct net *n, struct job *j)
{
	pthread_mutex_unlock(&n->lock);
	may_soon = n->started;
	j->fn(j->arg);
	may_soon = false;
	if (soon.on)
		pool_soon_end(n);
	free(j);
	pthread_mutex_lock(&n->lock);
	n->njobs--;
	pthread_cond_broadcast(&n->cond);
}

/* The lock is held: is there something to run? */
static bool
queued(const struct net *n)
{
	return n->queue_head != NO_SLOT || n->jobs != NULL;
}

/* The lock is held. */
static struct conn *
queue_pop(struct net *n)
{
	struct conn *c;

	if (n->queue_head == NO_SLOT)
		return NULL;
	c = net_slot(n, n->queue_head);
	n->queue_head = c->queue_next;
	if (n->queue_head == NO_SLOT)
		n->queue_tail = NO_SLOT;
	return c;
}

void
pool_signal(struct net *n, conn_id id, uint32_t ev)
{
	struct conn *c;

	if (own_signal(n, id, ev, &c) && c != NULL)
		pool_push(c);
}

/* Arms fd once for mask; *in says whether epoll knows it. */
bool
pool_arm(struct net *n, int fd, uint64_t id, uint32_t mask, bool *in)
{
	struct epoll_event e = {.events = mask | EPOLLONESHOT, .data.u64 = id};

	if (epoll_ctl(n->ep, *in ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &e) !=
	    0) {
		log_error("epoll_ctl", KV_ERRNO(errno));
		return false;
	}
	*in = true;
	return true;
}

/* ---- threads ---- */

static void
wake_seen(struct net *n)
{
	bool more;

	/* One wake may stand for several pushes: hand it on. */
	pthread_mutex_lock(&n->lock);
	more = (queued(n) && n->nwaiting > 0) || n->quit;
	pthread_mutex_unlock(&n->lock);
	if (more)
		pool_wake(n);
}

static void
pool_event(struct net *n, const struct epoll_event *e)
{
	uint64_t id = e->data.u64;
	uint32_t ev = 0;
	struct conn *c;

	if ((id & ID_SPECIAL) != 0) {
		switch ((enum special)(id >> 32 & 0xff)) {
		case SP_WAKE:
			wake_seen(n);
			break;
		case SP_TIMER:
			timer_turn(n);
			break;
		case SP_LISTEN:
			pool_soon();
			listen_ready(n, (unsigned)(id & 0xff));
			pool_soon_end(n);
			break;
		case SP_WATCH:
			may_soon = n->started;
			watch_ready(n, id);
			may_soon = false;
			if (soon.on)
				pool_soon_end(n);
			break;
		}
		return;
	}
	if ((e->events & (EPOLLIN | EPOLLRDHUP)) != 0)
		ev |= EV_IN;
	if ((e->events & EPOLLOUT) != 0)
		ev |= EV_OUT;
	if ((e->events & (EPOLLHUP | EPOLLERR)) != 0)
		ev |= EV_HUP;
	if ((id & ID_SIDE2) != 0)
		ev *= EV_IN2 / EV_IN;
	if (own_signal(n, id & ~ID_SIDE2, ev, &c) && c != NULL)
		conn_work(c);
}

static void *worker_main(void *arg);

/* Stacks are ours: libc would keep those of threads that have ended. */
static bool
stack_new(struct worker *w, pthread_attr_t *attr)
{
	char *p = mmap(NULL, GUARD_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);

	if (p == MAP_FAILED)
		return false;
	w->stack = p;
	return mprotect(p, GUARD_BYTES, PROT_NONE) == 0 &&
	       pthread_attr_setstack(attr, p + GUARD_BYTES, STACK_BYTES) == 0;
}

static void
stack_free(struct worker *w)
{
	if (w->stack != NULL)
		munmap(w->stack, GUARD_BYTES + STACK_BYTES);
	w->stack = NULL;
}

/* The lock is held; who has ended does not want it any more. */
static void
workers_join(struct net *n)
{
	for (unsigned i = 0; i < n->o.threads_max; i++) {
		struct worker *w = &n->workers[i];

		if (w->state != W_ENDED)
			continue;
		pthread_join(w->id, NULL);
		stack_free(w);
		w->state = W_NONE;
	}
}

/* The lock is held. */
static void
worker_start(struct net *n)
{
	pthread_attr_t attr;
	struct worker *w = NULL;
	sigset_t all, old;

	workers_join(n);
	for (unsigned i = 0; i < n->o.threads_max && w == NULL; i++)
		if (n->workers[i].state == W_NONE)
			w = &n->workers[i];
	if (w == NULL)
		return;
	w->net = n;
	w->state = W_RUNS;
	n->nthreads++;
	pthread_attr_init(&attr);
	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	if (!stack_new(w, &attr) ||
	    pthread_create(&w->id, &attr, worker_main, w) != 0) {
		stack_free(w);
		w->state = W_NONE;
		n->nthreads--;
		log_warn("no new thread", KV_N("threads", n->nthreads));
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
}

/* The lock is held: the caller is about to be busy. */
static void
pool_grow(struct net *n)
{
	if (n->nwaiting == 0 && n->started && !n->quit &&
	    n->nthreads < n->o.threads_max)
		worker_start(n);
}

/* Waits up to ms for one event. 0: none came. */
static int
pool_wait(struct net *n, int ms)
{
	struct epoll_event e;
	int r;

	r = epoll_wait(n->ep, &e, 1, ms);
	pthread_mutex_lock(&n->lock);
	n->nwaiting--;
	if (r > 0)
		pool_grow(n);
	pthread_mutex_unlock(&n->lock);
	if (r <= 0)
		return 0;
	pool_event(n, &e);
	return 1;
}

static void *
worker_main(void *arg)
{
	struct worker *w = arg;
	struct net *n = w->net;
	struct conn *c;
	struct job *j;
	unsigned turns = 0;
	bool idle;
	int r;

	pthread_mutex_lock(&n->lock);
	for (;;) {
		if ((j = job_pop(n)) != NULL) {
			soon.n = 0;
			pool_grow(n);
			job_run(n, j);
		}
		/* Now and then what epoll has comes before the queue; but not
		 * before what only we know of. */
		c = soon.n == 0 && ++turns % 8 == 0 ? NULL : queue_pop(n);
		soon.n = 0;
		if (c != NULL) {
			pool_grow(n);
			pthread_mutex_unlock(&n->lock);
			conn_work(c);
			pthread_mutex_lock(&n->lock);
			continue;
		}
		if (n->quit)
			break;
		r = queued(n)                        ? 0
		    : n->nthreads > n->o.threads_min ? SURPLUS_MS
						     : -1;
		n->nwaiting++;
		pthread_mutex_unlock(&n->lock);
		idle = pool_wait(n, r) == 0 && r != 0;
		pthread_mutex_lock(&n->lock);
		if (idle && n->nthreads > n->o.threads_min && n->nwaiting > 0 &&
		    !queued(n))
			break;
	}
	if (!n->quit) /* then net_stop joins them all */
		workers_join(n);
	n->nthreads--;
	w->state = W_ENDED;
	pthread_cond_broadcast(&n->cond);
	pthread_mutex_unlock(&n->lock);
	io_forget();
	out_forget();
	pump_forget();
	return NULL;
}

int
net_step(struct net *n, int ms)
{
	struct epoll_event e[16];
	struct conn *c;
	struct job *j;
	int r, done = 0;

	timer_turn(n);
	for (;;) {
		pthread_mutex_lock(&n->lock);
		while ((j = job_pop(n)) != NULL) {
			job_run(n, j);
			done++;
		}
		c = queue_pop(n);
		pthread_mutex_unlock(&n->lock);
		if (c == NULL)
			break;
		conn_work(c);
		done++;
		if (done >= 64)
			return done;
	}
	r = epoll_wait(n->ep, e, NELEM(e), done > 0 ? 0 : ms);
	for (int i = 0; i < r; i++) {
		pool_event(n, &e[i]);
		done++;
	}
	timer_turn(n);
	return done;
}

/* ---- the whole ---- */

struct net *
net_new(const struct net_opts *o)
{
	struct net *n = x_alloc(sizeof(*n));
	bool in = false;
	/* Each write wakes one thread, and none reads: were it told by level,
	 * all that wait would wake before the first had read. */
	struct epoll_event e = {.events = EPOLLIN | EPOLLET};

	n->o = *o;
	if (n->o.threads_max == 0)
		n->o.threads_max = 1;
	if (n->o.threads_min > n->o.threads_max)
		n->o.threads_min = n->o.threads_max;
	if (n->o.conns_max == 0)
		n->o.conns_max = 1024;
	n->slots_max = n->o.conns_max + SLOTS_SPARE;
	n->workers = x_array(n->o.threads_max, sizeof(*n->workers));
	n->chunks = x_array(n->slots_max / CHUNK + 1, sizeof(*n->chunks));
	n->queue_head = n->queue_tail = n->free_head = NO_SLOT;
	n->jobs_end = &n->jobs;
	n->young_head = n->young_tail = NO_SLOT;
	pthread_mutex_init(&n->lock, NULL);
	pthread_mutex_init(&n->tlock, NULL);
	pthread_mutex_init(&n->ulock, NULL);
	pthread_mutex_init(&n->wlock, NULL);
	pthread_cond_init(&n->cond, NULL);
	pthread_cond_init(&n->wcond, NULL);
	for (unsigned i = 0; i < STRIPES; i++)
		pthread_mutex_init(&n->stripe[i], NULL);
	signal(SIGPIPE, SIG_IGN);
	n->ep = epoll_create1(EPOLL_CLOEXEC);
	n->ev = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	n->tfd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	e.data.u64 = ID_SPECIAL | (uint64_t)SP_WAKE << 32;
	if (n->ep < 0 || n->ev < 0 || n->tfd < 0 ||
	    epoll_ctl(n->ep, EPOLL_CTL_ADD, n->ev, &e) != 0 ||
	    !pool_arm(
		n, n->tfd, ID_SPECIAL | (uint64_t)SP_TIMER << 32, EPOLLIN, &in))
		log_panic("no epoll");
	timer_init(n);
	return n;
}

enum err
net_start(struct net *n)
{
	unsigned want = MAX(n->o.threads_min, 1), have;

	pthread_mutex_lock(&n->lock);
	n->started = true;
	for (unsigned i = 0; i < want; i++)
		worker_start(n);
	have = n->nthreads;
	pthread_mutex_unlock(&n->lock);
	return have > 0 ? OK : ERR_UNAVAILABLE;
}

static void
signal_all(struct net *n, uint32_t ev)
{
	uint32_t slots;

	pthread_mutex_lock(&n->lock);
	slots = n->nslots;
	pthread_mutex_unlock(&n->lock);
	for (uint32_t i = 0; i < slots; i++) {
		uint64_t w = atomic_load(&net_slot(n, i)->word);

		if ((w & ST_MASK) != ST_FREE)
			pool_signal(n, id_make(i, word_gen(w)), ev);
	}
}

void
net_poke_all(struct net *n)
{
	signal_all(n, EV_POKE);
}

/* No connection is left, and no job. */
static bool
is_empty(struct net *n)
{
	bool empty;

	pthread_mutex_lock(&n->lock);
	empty = atomic_load(&n->nconns) == 0 && n->njobs == 0;
	pthread_mutex_unlock(&n->lock);
	return empty;
}

/* Waits until all is over, or ms have passed. */
static bool
wait_empty(struct net *n, int ms)
{
	int64_t end = os_mono_ms() + ms;
	struct timespec ts;

	while (!is_empty(n) && os_mono_ms() < end) {
		if (!n->started) {
			net_step(n, 10);
			continue;
		}
		clock_gettime(CLOCK_REALTIME, &ts);
		ts.tv_nsec += 50 * 1000 * 1000;
		if (ts.tv_nsec >= 1000000000) {
			ts.tv_sec++;
			ts.tv_nsec -= 1000000000;
		}
		pthread_mutex_lock(&n->lock);
		if (atomic_load(&n->nconns) > 0 || n->njobs > 0)
			pthread_cond_timedwait(&n->cond, &n->lock, &ts);
		pthread_mutex_unlock(&n->lock);
	}
	return is_empty(n);
}

void
net_stop(struct net *n)
{
	struct worker *w;

	atomic_store(&n->stopping, true);
	net_listen_stop(n);
	signal_all(n, EV_STOP);
	if (!wait_empty(n, STOP_MS)) {
		log_warn("sessions ended by force",
		    KV_N("count", atomic_load(&n->nconns)));
		signal_all(n, EV_KILL);
		wait_empty(n, STOP_MS);
	}
	pthread_mutex_lock(&n->lock);
	n->quit = true;
	pthread_mutex_unlock(&n->lock);
	pool_wake(n);
	for (unsigned i = 0; i < n->o.threads_max; i++) {
		w = &n->workers[i];
		pthread_mutex_lock(&n->lock);
		if (w->state == W_NONE) {
			pthread_mutex_unlock(&n->lock);
			continue;
		}
		pthread_mutex_unlock(&n->lock);
		pthread_join(w->id, NULL);
		stack_free(w);
		w->state = W_NONE;
	}
	n->started = false;
}

void
net_free(struct net **np)
{
	struct net *n = *np;

	if (n == NULL)
		return;
	*np = NULL;
	if (n->started || atomic_load(&n->nconns) > 0)
		net_stop(n);
	listen_free(n);
	watch_free(n);
	timer_free(n);
	os_close(&n->ep);
	os_close(&n->ev);
	os_close(&n->tfd);
	for (uint32_t i = 0; i <= n->slots_max / CHUNK; i++)
		free(atomic_load(&n->chunks[i]));
	x_free(&n->chunks);
	x_free(&n->workers);
	x_free(&n->own_counts);
	pthread_mutex_destroy(&n->lock);
	pthread_mutex_destroy(&n->tlock);
	pthread_mutex_destroy(&n->ulock);
	pthread_mutex_destroy(&n->wlock);
	pthread_cond_destroy(&n->cond);
	pthread_cond_destroy(&n->wcond);
	for (unsigned i = 0; i < STRIPES; i++)
		pthread_mutex_destroy(&n->stripe[i]);
	x_free(&n);
	io_forget();
	out_forget();
	pump_forget();
}

uint32_t
net_count(struct net *n)
{
	return atomic_load(&n->nconns);
}

/* ---- from anywhere ---- */

void
conn_poke(struct net *n, conn_id id)
{
	pool_signal(n, id, EV_POKE);
}

bool
net_kick(struct net *n, conn_id id)
{
	struct conn *c;

	if (!own_signal(n, id, EV_STOP, &c))
		return false;
	if (c != NULL)
		pool_push(c);
	return true;
}

void
conn_post(struct net *n, conn_id id, void *msg, void (*drop)(void *msg))
{
	struct conn *c = net_slot(n, id_slot(id));
	struct post *p = x_alloc(sizeof(*p)), **end;
	pthread_mutex_t *m = &n->stripe[id_slot(id) % STRIPES];
	bool there = false;
	uint64_t w;

	p->msg = msg;
	p->drop = drop;
	if (c != NULL) {
		pthread_mutex_lock(m);
		w = atomic_load(&c->word);
		/* (4): under the lock the generation stands still. */
		if (word_gen(w) == (uint32_t)id && (w & ST_MASK) != ST_FREE) {
			for (end = &c->posts; *end != NULL; end = &(*end)->next)
				;
			*end = p;
			there = true;
		}
		pthread_mutex_unlock(m);
	}
	if (!there) {
		free(p);
		if (drop != NULL)
			drop(msg);
		return;
	}
	pool_signal(n, id, EV_POKE);
}

void *
conn_mail(struct conn *c)
{
	pthread_mutex_t *m = &c->net->stripe[c->slot % STRIPES];
	struct post *p;
	void *msg = NULL;

	pthread_mutex_lock(m);
	p = c->posts;
	if (p != NULL) {
		c->posts = p->next;
		msg = p->msg;
	}
	pthread_mutex_unlock(m);
	free(p);
	return msg;
}

void
conn_describe(struct conn *c, str what)
{
	pthread_mutex_t *m = &c->net->stripe[c->slot % STRIPES];
	char *mine = x_cstr(str_head(what, 400)), *old;

	pthread_mutex_lock(m);
	old = c->what;
	c->what = mine;
	pthread_mutex_unlock(m);
	x_free(&old);
}

void
net_each(
    struct net *n, void (*each)(void *ctx, const struct net_seen *c), void *ctx)
{
	uint32_t slots;

	pthread_mutex_lock(&n->lock);
	slots = n->nslots;
	pthread_mutex_unlock(&n->lock);
	for (uint32_t i = 0; i < slots; i++) {
		struct conn *c = net_slot(n, i);
		pthread_mutex_t *m = &n->stripe[i % STRIPES];
		struct os_addr peer = {.len = sizeof(c->peer)};
		struct net_seen seen = {.peer = &peer};
		char what[401] = "";
		uint64_t w;

		pthread_mutex_lock(m);
		w = atomic_load(&c->word);
		if (c->what != NULL)
			memcpy(what, c->what, strlen(c->what) + 1);
		memcpy(&peer.ss, &c->peer, sizeof(c->peer));
		seen.since_ms = c->since_ms;
		seen.label = c->label;
		pthread_mutex_unlock(m);
		seen.id = id_make(i, word_gen(w));
		seen.what = str_c(what);
		if ((w & ST_MASK) != ST_FREE)
			each(ctx, &seen);
	}
}

uint32_t
net_fds(struct net *n)
{
	return atomic_load(&n->nfds);
}
