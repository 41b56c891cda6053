/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The inside of net: who owns a connection, and how it changes hands.
 *
 * Connections stand in slots whose memory is never given back while the
 * net lives, so that an id can be looked at at any time. One atomic word a
 * slot holds generation, state and events:
 *
 *     FREE --add--> OWNED <--claim-- PARKED
 *                     |  --park-->
 *                     '--end--> FREE, generation + 1
 *
 * (1) Only the owner (the thread that runs it, or the run queue it stands
 *     in) touches a connection's fields, but for those that name a lock.
 * (2) Whoever has an event for it sets the event's bit. If the connection
 *     was PARKED, the same exchange makes it OWNED by him: he runs it or
 *     puts it in the run queue. If it was OWNED, its owner will see the bit.
 * (3) Parking is one exchange that fails when a bit is set. epoll is armed
 *     before it: an event in between sets a bit and the parking fails.
 * (4) The generation changes when the connection ends, under the same lock
 *     under which messages are posted: a message is either taken by the
 *     connection or dropped, never lost.
 *
 * Locks, in order: net.lock (threads, run queue, free slots); net.tlock
 * (the wheel); net.ulock (the unauthenticated, in order of arrival);
 * net.stripe[slot % STRIPES] (posted messages, description, the end of a
 * connection). None is held while a service's function runs.
 */
#ifndef NET_NET_INT_H
#define NET_NET_INT_H

#include <pthread.h>
#include <stdatomic.h>
#include <netinet/in.h>

#include "net/net.h"

/* Events, in the low bits of the word. */
enum {
	EV_IN = 1 << 0,  /* the socket is readable */
	EV_OUT = 1 << 1, /* writable */
	EV_HUP = 1 << 2, /* both ends are shut, or an error */
	EV_IN2 = 1 << 3, /* the same of the pump's other side */
	EV_OUT2 = 1 << 4,
	EV_HUP2 = 1 << 5,
	EV_POKE = 1 << 6,
	EV_TIMER = 1 << 7,
	EV_STOP = 1 << 8,
	EV_KILL = 1 << 9,
	EV_ALL = (1 << 10) - 1
};
#define ST_FREE (0u << 12)
#define ST_PARKED (1u << 12)
#define ST_OWNED (2u << 12)
#define ST_MASK (3u << 12)

enum phase {
	PH_OPEN,    /* run(WHY_OPEN) comes next */
	PH_SHAKE,   /* TLS handshake, then PH_OPEN */
	PH_RESHAKE, /* TLS handshake after NEXT_TLS, then PH_INPUT */
	PH_INPUT,
	PH_MORE,
	PH_WAIT,
	PH_HOLD,
	PH_TLS,     /* drain, then PH_RESHAKE */
	PH_TO_PUMP, /* drain, then PH_PUMP */
	PH_PUMP,
	PH_CLOSE, /* drain, then PH_BYE */
	PH_BYE,   /* say goodbye, then PH_LINGER or the end */
	PH_LINGER /* the session has gone; what the peer still sends is
			read and dropped, so that he gets our last words */
};

/* The output queue. */
enum seg_kind { SEG_MEM, SEG_REF, SEG_DOT };
struct oseg {
	struct oseg *next;
	enum seg_kind kind;
	bool refilled;     /* MEM: expanded from the REF that follows it */
	bool bol, in_body; /* DOT: at the beginning of a line; behind the
			      header */
	bool last_cr;      /* DOT: the last octet was CR */
	uint32_t at, n, cap;
	struct source *src;
	uint64_t off, left;
	uint64_t header_left;
	int64_t lines;
	char data[];
};
struct out {
	struct oseg *head, *tail;
	size_t mem;    /* bytes in MEM segments */
	uint64_t refs; /* bytes in the others */
};

/* What a connection holds only while it is busy. */
struct io {
	struct buf in;
	size_t at; /* of in: eaten */
	struct out out;
	int64_t queued_us; /* when the oldest unsent output was queued */
	bool starved;      /* gather said MORE for what is there */
	bool greedy;       /* the last read filled its room */
	size_t high;       /* of in: most bytes held, to be wiped */
};

struct pump;
struct tls_conn;
struct post {
	struct post *next;
	void *msg;
	void (*drop)(void *msg);
};

#define NO_SLOT UINT32_MAX
#define UNARMED 0xff

struct conn {
	_Atomic uint64_t word;
	struct net *net;
	const struct service *svc;
	void *user;
	struct io *io;
	struct tls_conn *tls;
	struct pump *pump;
	struct post *posts;              /* stripe */
	char *what;                      /* stripe */
	int64_t since_ms;                /* stripe */
	uint64_t label;                  /* stripe */
	int64_t deadline_ms;             /* the service's timer; 0: off */
	int64_t guard_ms;                /* net's own; 0: off */
	_Atomic int64_t wheel_ms;        /* tlock; 0: not in the wheel */
	uint32_t wheel_next, wheel_prev; /* tlock */
	uint32_t slot;
	uint32_t queue_next;             /* lock */
	uint32_t young_next, young_prev; /* ulock */
	uint32_t count_row;              /* per-address counter, or NO_SLOT */
	uint32_t pend; /* events taken and not yet dealt with */
	int fd;
	uint8_t phase;
	uint8_t armed; /* EPOLLIN | EPOLLOUT | UNARMED */
	uint8_t want;
	bool young;     /* ulock: in the list of the unauthenticated; a byte of
			 * its own, since the bits below are the owner's */
	bool ready : 1; /* a read may find something */
	bool eof : 1;
	bool in_epoll : 1;
	bool closed : 1;   /* service->closed has been called */
	bool progress : 1; /* wrote something since the guard was set */
	bool stopping : 1;
	bool rang : 1;    /* the service's timer has run out */
	bool trimmed : 1; /* the queue is at its smallest */
	union {           /* stripe */
		struct sockaddr sa;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} peer;
};

#define STRIPES 64
#define CHUNK 256
#define WHEEL 1024
#define WHEEL_MS 32
#define WATCH_MAX 1024
#define LISTEN_MAX 64
#define STLS_MAX 8

struct listener {
	struct net *net;
	int fd;
	const struct service *svc;
	struct tls *tls; /* wlock */
	void *user;
	bool armed, running; /* wlock */
	bool again;          /* wlock; told while it ran */
	unsigned taken;      /* wlock; since it was armed */
	pthread_t runner;    /* wlock */
};
struct watch {
	struct net *net;
	int fd;
	void (*ready)(void *arg);
	void *arg;
	uint32_t index, gen;
	bool writing, running, dead, waited_for;
	bool resting; /* not armed until watch_resume */
	int rest_ms;
	pthread_t runner;
};
struct tick {
	struct tick *next;
	int ms;
	int64_t due_ms;
	bool running;
	void (*fn)(void *arg);
	void *arg;
};
struct worker {
	struct net *net;
	pthread_t id;
	char *stack;
	enum { W_NONE, W_RUNS, W_ENDED } state;
};

struct job {
	struct job *next;
	void (*fn)(void *arg);
	void *arg;
};

struct net {
	struct net_opts o;
	int ep, ev, tfd;

	pthread_mutex_t lock;
	pthread_cond_t cond;    /* a connection or a thread has ended */
	struct worker *workers; /* [threads_max] */
	unsigned nthreads, nwaiting;
	uint32_t queue_head, queue_tail;
	struct job *jobs, **jobs_end;
	unsigned njobs; /* queued and running */
	uint32_t free_head;
	uint32_t slots_max; /* conns_max, and room for those on their way out */
	uint32_t nslots;    /* handed out so far */
	bool quit;
	bool started;
	_Atomic(struct conn *) *chunks;

	_Atomic uint32_t nconns;
	_Atomic uint32_t nfds;
	_Atomic bool stopping;

	pthread_mutex_t tlock;
	uint32_t wheel[WHEEL];
	int64_t wheel_at; /* the wheel has turned to this time, ms */
	int64_t tfd_ms;   /* the timerfd rings then; 0: it does not */
	uint32_t wheel_count;
	struct tick *ticks;    /* tlock */
	int64_t held_until_ms; /* tlock; 0, or when the listeners and watches
				  that rest are armed again */

	pthread_mutex_t ulock;
	uint32_t young_head, young_tail;

	pthread_mutex_t wlock; /* watches, listeners, contexts */
	pthread_cond_t wcond;
	struct watch *watches[WATCH_MAX];
	uint32_t watch_gen, watches_end;
	struct listener listeners[LISTEN_MAX];
	unsigned nlisteners;
	struct {
		const struct service *svc;
		struct tls *tls;
	} stls[STLS_MAX];

	uint32_t *own_counts;
	pthread_mutex_t stripe[STRIPES];
};

/* epoll's data: bit 63 special (kind in bits 32..39, index below, with a
 * generation), bit 62 the pump's other side; else a conn_id. */
#define ID_SPECIAL (1ull << 63)
#define ID_SIDE2 (1ull << 62)
enum special { SP_WAKE = 1, SP_TIMER, SP_LISTEN, SP_WATCH };

static inline uint32_t
id_slot(conn_id id)
{
	return (uint32_t)(id >> 32) & 0x3fffffff;
}
static inline conn_id
id_make(uint32_t slot, uint32_t gen)
{
	return (uint64_t)slot << 32 | gen;
}
static inline uint32_t
word_gen(uint64_t w)
{
	return (uint32_t)(w >> 32);
}
struct conn *net_slot(struct net *n, uint32_t slot); /* NULL: never used */

/* pool.c: the ownership protocol. */
bool own_signal(struct net *n, conn_id id, uint32_t ev, struct conn **claimed);
void own_take(struct conn *c); /* the events set meanwhile: into c->pend */
bool own_park(struct conn *c); /* false: there are events */
void pool_signal(struct net *n, conn_id id, uint32_t ev);
void pool_push(struct conn *c); /* to the back of the run queue */
/* Between the two, what this thread queues wakes one other thread at most,
 * and only at the end: it takes the first thing itself. Nothing between them
 * may wait. */
void pool_soon(void);
void pool_soon_end(struct net *n);
struct conn *slot_take(struct net *n);
void slot_give(struct conn *c);
bool pool_arm(struct net *n, int fd, uint64_t id, uint32_t mask, bool *in);

/* conn.c */
void conn_work(struct conn *c);
conn_id conn_make(struct net *n, int fd, const struct service *s, void *user,
    const struct os_addr *peer, str input, struct tls *tls, uint32_t count_row);
void io_need(struct conn *c);
void io_forget(void); /* what this thread keeps for the next connection */
ssize_t conn_raw_read(struct conn *c, void *p, size_t n);

/* out.c */
enum drained { DRAIN_DONE, DRAIN_SOME, DRAIN_FULL, DRAIN_BAD };
enum drained out_drain(struct conn *c);
bool out_empty(const struct conn *c);
void out_clear(struct out *o);
void out_trim(struct conn *c);
bool out_low(const struct conn *c);
void out_forget(void);

/* timer.c */
void timer_init(struct net *n);
void timer_want(struct conn *c); /* after a change of its times */
void timer_drop(struct conn *c);
void timer_turn(struct net *n); /* what is due */
void timer_hold(struct net *n, int64_t ms);
void timer_free(struct net *n);

/* listen.c */
void listen_ready(struct net *n, unsigned index);
void listen_admit(struct net *n, unsigned index, int fd, struct os_addr *peer);
void listen_resume(struct net *n);
void listen_free(struct net *n);
void listen_count(struct conn *c, bool up);
void young_add(struct conn *c);
void young_del(struct conn *c);
bool young_shed(struct net *n);
struct tls *listen_context(struct net *n, const struct service *s);

/* watch.c */
void watch_ready(struct net *n, uint64_t id);
void watch_resume(struct net *n);
void watch_free(struct net *n);

/* tls.c; results as of read and write, errno EAGAIN with *want set. */
enum err tls_start(struct conn *c, struct tls *t) MUST_CHECK;
enum shake { SHAKE_DONE, SHAKE_WAIT, SHAKE_BAD };
enum shake tls_shake(struct conn *c, uint8_t *want);
ssize_t tls_read(struct conn *c, void *p, size_t n, uint8_t *want);
ssize_t tls_write(struct conn *c, const void *p, size_t n, uint8_t *want);
bool tls_on(const struct conn *c);
/* There is news of the socket: a read may find something again. */
void tls_ready(struct conn *c);
/* Says close_notify. False: not yet all, again when c->fd is writable. */
bool tls_bye(struct conn *c);
void tls_conn_free(struct conn *c);
/* What is written from now on is the last: it goes with the stream's end. */
void tls_last(struct conn *c);

/* pump.c */
enum pumped { PUMP_WAIT, PUMP_AGAIN, PUMP_END };
enum pumped pump_step(struct conn *c);
bool pump_arm(struct conn *c);
void pump_free(struct conn *c);
void pump_forget(void);

#endif
