/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * restante-bench, a load generator for mail servers: one thread, one epoll
 * loop, and a coroutine for each connection, so that a workload reads like the
 * dialogue it is. Invariants:
 * (1) Every answer is checked; the first one that is wrong ends the program
 *     with a message and status 1. A rate that is printed is of right answers.
 * (2) Mail is a function of its number and kind: what comes back is compared
 *     by hash with what was stored, by whichever run stored it.
 * (3) The clock runs from when all connections are ready to when all are done.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <ucontext.h>
#include <openssl/ssl.h>
#include <xxhash.h>

struct conn {
	int fd;
	int id;       /* 0.. in this run */
	unsigned tag; /* of the last command */
	SSL *ssl;
	char *in; /* received, not yet read: in[off..n] */
	size_t off, n, cap;
	char *out; /* to be sent */
	size_t out_n, out_cap;
	size_t lit; /* size of the literal a line ended with, or SIZE_MAX */
	uint32_t events;
	ucontext_t ctx;
	void *stack;
	bool at_gate, queued;
	uint64_t rng;
};

struct options {
	int lmtp, imap, imaps, pop3, pop3s;
	int root; /* pid of the server's first process, or 0 */
	int conns;
	long count; /* operations in all, or messages in a mailbox */
	size_t size;
	long rcpts;
	int batch;
	int first; /* number of the first user */
	int users;
	const char *kind; /* of mail */
	const char *mail; /* the file of kind "file" */
	long distinct;    /* messages that `fill` makes, the others are copies;
			   * 0: all */
	const char *arg;
	const char *password;
	bool tls, one; /* one: all on the mailbox of the first user */
	uint64_t seed;
};

struct workload {
	const char *name;
	const char *help;
	void (*before)(void); /* once, without a connection, not timed */
	void (*prepare)(struct conn *c);
	void (*run)(struct conn *c);
	void (*after)(struct conn *c);
	const char *unit;
};

extern struct options opt;
extern const struct workload workloads_lmtp[], workloads_imap[],
    workloads_fetch[], workloads_pop3[], workloads_idle[];

/* Seconds, of a clock that only goes on. */
static inline double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- loop.c ---- */
void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
/* The gate: waits until every connection is here. */
void wait_all(struct conn *c);
void dial(struct conn *c, int port, bool tls);
void hang_up(struct conn *c);
void put(struct conn *c, const char *p, size_t n);
void putf(struct conn *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void flush(struct conn *c);
/* The next line without CR LF, NUL-terminated, valid until the next read;
 * c->lit is set by {n} at its end. */
char *line(struct conn *c, size_t *n);
/* n bytes into the hash (or nowhere). */
void take(struct conn *c, size_t n, XXH3_state_t *h);
/* Is something there to be read without waiting? */
bool have(struct conn *c);
void operations(double n); /* count what was done */
void payload(double bytes);
void latency(double seconds);
void figure(const char *name, double value);
double user_memory(void); /* of the server's processes, bytes */
void run_all(const struct workload *w);

/* ---- mail.c ---- */
struct mail {
	char *p;
	size_t n;
	uint64_t hash;          /* of all of it */
	size_t head_n;          /* with the empty line */
	size_t part_at, part_n; /* of the attachment, if any */
	size_t n_cap;           /* of the buffer */
};
/* Mail number i of opt.kind and opt.size, made in *m's buffer. */
void mail_make(struct mail *m, uint64_t i);
uint64_t mail_hash(uint64_t i);
size_t mail_size(uint64_t i);

/* ---- imap.c ---- */
void imap_login(struct conn *c, int user);
void command(struct conn *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The next line of an answer, or NULL when it ended with OK. */
char *answer(struct conn *c);
void
ok(struct conn *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* SELECT; the number of messages. */
long imap_select(struct conn *c, const char *mailbox);
/* SEARCH; how many are found. */
long imap_search(struct conn *c, const char *key);
void open_user(struct conn *c); /* connects, and logs its user in */

/* ---- lmtp.c ---- */
void lmtp_open(struct conn *c);
void
lmtp_send(struct conn *c, const char *p, size_t n, int first_user, long rcpts);
int user_of(const struct conn *c);

#endif
