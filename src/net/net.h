/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * net: sessions without a thread each. One epoll set, a pool of threads,
 * every descriptor armed one-shot; a connection goes round
 *
 *     PARK     in epoll: no thread, no buffer, no stack
 *     COLLECT  service->gather takes one whole command, non-blocking
 *     RUN      service->run, plain sequential code on a borrowed thread;
 *              it may wait for the store, never for a peer
 *     DRAIN    the output queue is written; socket full: PARK
 *
 * (1) One owner at a time: gather, run and closed of one connection never
 *     overlap, so sessions have no locks. From outside there is only
 *     conn_poke and conn_post, by id; an id whose connection has gone is
 *     harmless (slot and generation).
 * (2) A parked connection with nothing buffered holds no buffer.
 * (3) Output is queued, never written, by run. Past the high-water mark
 *     out_full says so; whoever has output without bound then returns
 *     NEXT_MORE and is called again when the queue has drained.
 * (4) No lock and no transaction is held when run returns.
 * (5) The pool grows while its threads wait, up to its bound; a session
 *     that has used its share of commands or milliseconds goes to the back.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include "base/base.h"
#include "os/os.h"

struct net;
struct conn;
typedef uint64_t conn_id; /* slot and generation; 0: nobody */

enum why {
	WHY_OPEN,  /* just added (TLS handshake done, if any): greet */
	WHY_INPUT, /* gather said GATHER_RUN */
	WHY_MORE,  /* after NEXT_MORE, the queue has drained */
	WHY_POKE,  /* conn_poke or conn_post; also after NEXT_WAIT */
	WHY_TIMER, /* conn_timer ran out */
	WHY_STOP   /* the server stops: say goodbye, return NEXT_CLOSE */
};
enum next {
	NEXT_INPUT, /* park; go on with input (what is buffered first) */
	NEXT_MORE,  /* call again when the output queue has drained */
	NEXT_WAIT,  /* park; input is not looked at; go on when poked */
	NEXT_HOLD,  /* as NEXT_WAIT, for an answer that is on its way: what is
		       queued is sent with it, and nobody looks at the peer */
	NEXT_TLS,   /* write the queue, then the handshake (STARTTLS). Input
		       that is already there closes the connection (R20) */
	NEXT_PUMP,  /* write the queue, then pump between this TLS
		       connection and the descriptor given to conn_pump */
	NEXT_GONE,  /* the socket was taken by conn_detach: forget it */
	NEXT_CLOSE  /* write the queue, then close */
};
enum gather { GATHER_MORE, GATHER_RUN, GATHER_CLOSE };

struct service {
	const char *name;
	/* New bytes are there: look with conn_input, take with conn_eat, keep
	 * what the command needs in the session. Called again with what is
	 * left. May queue output ("+ OK"). NULL: run is called with
	 * WHY_INPUT whenever there are bytes. */
	enum gather (*gather)(struct conn *c);
	enum next (*run)(struct conn *c, enum why why);
	/* The connection has ended, for whatever reason (also when run never
	 * saw it): free the session. The last call. */
	void (*closed)(struct conn *c);
	/* What a client hears that is refused before it is let in ("* BYE
	 * ...\r\n"); NULL: nothing. Not with implicit TLS. */
	const char *busy;
};

/* ---- the pool ---- */
struct net_opts {
	unsigned threads_min, threads_max;
	uint32_t conns_max; /* slots */
	uint64_t fds_max;   /* soft limit of descriptors; 80 %: listeners are
				   disarmed, the oldest unauthenticated goes */
	uint32_t *shared_counts; /* per-address counters shared between fronts,
				   or NULL: [counts_rows][65536] */
	uint32_t counts_rows, counts_row; /* and this process's row */
	uint64_t counts_seed;             /* the same in all that share */
	/* A connection with a label (net_label) has ended. Any thread. */
	void (*ended)(void *arg, uint64_t label);
	void *arg;
};
struct net *net_new(const struct net_opts *o);
void net_free(struct net **n);
enum err net_start(struct net *n) MUST_CHECK; /* starts the threads */
void net_stop(struct net *n); /* WHY_STOP to all, waits (≤ 10 s), joins */
/* One thread, for tests: handles what is ready, or waits up to ms. Returns
 * the number of events handled. Instead of net_start. */
int net_step(struct net *n, int ms);

/* Accepts on fd for service; user is what conn_user says at WHY_OPEN.
 * tls: implicit TLS with that context, or NULL. Admission: conns_max,
 * limits.connections_per_address. */
struct tls;
void net_listen(struct net *n, int fd, const struct service *s, struct tls *tls,
    void *user);
void net_listen_stop(struct net *n); /* closes all listeners */
/* Adds a connected socket; takes fd (closed on failure too). input: bytes
 * already read. 0: refused (full). */
conn_id net_add(struct net *n, int fd, const struct service *s, void *user,
    const struct os_addr *peer, str input);
/* Calls ready(arg) on a pool thread whenever fd is readable (and, after
 * net_watch_write, writable); never two at once for one watch. For the
 * channels to other processes. */
struct watch;
struct watch *
net_watch(struct net *n, int fd, void (*ready)(void *arg), void *arg);
/* The same; *w is set before ready can run. */
void net_watch_into(struct net *n, int fd, void (*ready)(void *arg), void *arg,
    struct watch **w);
void net_watch_write(struct watch *w, bool on);
/* For ready: when it returns, nobody is called for ms. */
void net_watch_rest(struct watch *w, int ms);
void net_unwatch(struct watch **w);
/* Calls tick(arg) every ms on a pool thread. */
void net_tick(struct net *n, int ms, void (*tick)(void *arg), void *arg);
/* Runs job(arg) once, soon, on a pool thread; it may wait for the store. */
void net_job(struct net *n, void (*job)(void *arg), void *arg);
/* From a job or a watch's ready that does not wait any more: what it adds or
 * pokes from here on may be run by this thread when the job has ended. */
void net_last(void);
void net_poke_all(struct net *n);
uint32_t net_count(struct net *n);
uint32_t net_fds(struct net *n); /* descriptors of connections */
/* Connections that this thread adds from now on bear this label: an account,
 * for net_each and net_opts.ended. 0: none. */
void net_label(uint64_t label);
/* Every connection: told what conn_describe last said. For who and kick. */
struct net_seen {
	conn_id id;
	uint64_t label;
	str what;
	const struct os_addr *peer;
	int64_t since_ms; /* wall clock */
};
void net_each(struct net *n, void (*each)(void *ctx, const struct net_seen *c),
    void *ctx);
bool net_kick(struct net *n, conn_id id); /* as WHY_STOP, for one */

/* ---- a connection, from its own gather, run, closed ---- */
conn_id conn_self(const struct conn *c);
struct net *conn_net(const struct conn *c);
void *conn_user(const struct conn *c);
void conn_set_user(struct conn *c, void *user);
void conn_set_service(struct conn *c, const struct service *s);
const struct os_addr *conn_peer(const struct conn *c);
void conn_describe(struct conn *c, str what); /* e.g. "imap ann INBOX idle" */
void conn_authenticated(struct conn *c, bool yes); /* exempt from shedding */
str conn_input(struct conn *c);
void conn_eat(struct conn *c, size_t n);
/* Whether the peer has hung up and all that he sent was eaten: asked at the
 * end of a step by a command that works long for nobody but him (R60). */
bool conn_left(struct conn *c);
/* Runs out once after ms (monotonic), then WHY_TIMER; 0: off. One per
 * connection; counts on while run works. */
void conn_timer(struct conn *c, int64_t ms);
/* The next message posted to the connection, or NULL; the caller's. */
void *conn_mail(struct conn *c);
/* Takes the plaintext socket away; bytes not eaten go to *rest. Return
 * NEXT_GONE after it. Nothing may be in the output queue. */
int conn_detach(struct conn *c, struct buf *rest);
/* For NEXT_PUMP: bytes not eaten are passed first. Takes fd. */
void conn_pump(struct conn *c, int fd);

/* ---- a connection, from anywhere ---- */
void conn_poke(struct net *n, conn_id id);
/* Hands msg over and pokes; drop(msg) when the connection has gone. */
void conn_post(struct net *n, conn_id id, void *msg, void (*drop)(void *msg));

/* ---- output ---- */
void out_add(struct conn *c, const void *p, size_t n);
void out_str(struct conn *c, str s);
#define out_s(c, lit) out_str((c), S(lit))
void out_f(struct conn *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* n octets of src from at on; takes a reference of its own. A read that
 * fails later closes the connection, since its length has been promised. */
void out_ref(struct conn *c, struct source *src, uint64_t at, uint64_t n);
/* POP3's dot-stuffed body from a source: adds no final ".". *lines < 0: all;
 * else stops after the header and that many lines. A final line without
 * end gets CR LF; bare LF is passed as CR LF. */
void out_dotted(struct conn *c, struct source *src, uint64_t at, uint64_t n,
    uint64_t header_len, int64_t lines);
/* The same for a text in memory, which is copied. */
void
out_dotted_str(struct conn *c, str text, uint64_t header_len, int64_t lines);
bool out_full(const struct conn *c); /* past the high-water mark */
size_t out_queued(const struct conn *c);

/* ---- TLS ---- */
struct tls_cert {
	str chain_pem; /* leaf first */
	uint32_t key;  /* the number by which sign names the key */
};
struct tls_opts {
	const struct tls_cert *certs; /* [0] is used when no name matches */
	size_t ncerts;
	str client_ca_pem; /* empty: no client certificates */
	const char *alpn;  /* "imap", "pop3", or NULL: any refused other */
	bool strict_sni;   /* unknown name: alert */
	/* Signs with a private key held elsewhere; blocking, ≤ 1 ms. digest
	 * and padding in OpenSSL's terms: nid of the digest, RSA padding (0
	 * for EC). The input is the digest value (RSA PSS: already encoded
	 * when padding is RSA_NO_PADDING). */
	enum err (*sign)(void *arg, uint32_t key, int digest_nid, int padding,
	    str in, struct buf *sig);
	void *sign_arg;
};
/* A context is counted; connections hold the one they began with, so a
 * reload makes a new one. */
enum err tls_new(const struct tls_opts *o, struct tls **t) MUST_CHECK;
struct tls *tls_ref(struct tls *t);
void tls_unref(struct tls **t);
/* The context for NEXT_TLS and for later implicit TLS of the listener's. */
void net_listen_tls(struct net *n, const struct service *s, struct tls *t);
void conn_set_tls(struct conn *c, struct tls *t);

struct tls_facts {
	bool on;
	str version, cipher, sni; /* live as long as the connection */
	str client_name;          /* from a verified client certificate: its
				   rfc822 name, else CN; empty: none */
	uint8_t exporter[32];     /* tls-exporter (RFC 9266); TLS 1.3 or EMS */
	bool has_exporter;
};
void conn_tls(const struct conn *c, struct tls_facts *f);

#endif
