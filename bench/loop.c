/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The epoll loop and the connections of restante-bench. Invariants:
 * (1) A coroutine gives way only in yield_for, when its socket would block, and
 *     at the gates; the loop resumes it when the socket is ready.
 * (2) What is put is sent by flush, or when the coroutine waits for input.
 */
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "proc.h"

#define STACK (64 << 10)
#define IN_MIN 4096
#define OUT_MANY (256 << 10)
#define STALL_MS 60000
#define OPENING_MAX 256

static int ep;
static ucontext_t loop_ctx;
static const struct workload *work;
static struct conn *conns;
static struct conn **ready; /* to be resumed without waiting for a socket */
static int ready_n, waiting_n, done_n;
static SSL_CTX *tls_ctx;
static double ops, bytes;
static double *lat;
static size_t lat_n, lat_cap;

void
die(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "restante-bench: %s: ", work ? work->name : "start");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	_exit(1);
}

void
operations(double n)
{
	ops += n;
}

void
payload(double n)
{
	bytes += n;
}

void
latency(double seconds)
{
	if (lat_n == lat_cap) {
		lat_cap = lat_cap ? lat_cap * 2 : 1024;
		lat = realloc(lat, lat_cap * sizeof *lat);
		if (!lat)
			die("no memory");
	}
	lat[lat_n++] = seconds;
}

void
figure(const char *name, double value)
{
	printf("%s %.9g\n", name, value);
}

static void
yield_for(struct conn *c, uint32_t events)
{
	if (events != c->events) {
		struct epoll_event e = {.events = events, .data.ptr = c};

		if (epoll_ctl(ep, c->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD,
			c->fd, &e))
			die("epoll_ctl: %s", strerror(errno));
		c->events = events;
	}
	swapcontext(&c->ctx, &loop_ctx);
}

void
wait_all(struct conn *c)
{
	if (++waiting_n < opt.conns) {
		c->at_gate = true;
		swapcontext(&c->ctx, &loop_ctx);
		return;
	}
	waiting_n = 0;
	for (int i = 0; i < opt.conns; i++) {
		if (!conns[i].at_gate)
			continue;
		conns[i].at_gate = false;
		conns[i].queued = true;
		ready[ready_n++] = &conns[i];
	}
}

static ssize_t
io_read(struct conn *c, char *p, size_t n)
{
	for (;;) {
		ssize_t r;
		uint32_t want = EPOLLIN;

		if (c->ssl) {
			ERR_clear_error();
			r = SSL_read(
			    c->ssl, p, (int)(n > 1 << 20 ? 1 << 20 : n));
			if (r > 0)
				return r;
			switch (SSL_get_error(c->ssl, (int)r)) {
			case SSL_ERROR_WANT_READ:
				break;
			case SSL_ERROR_WANT_WRITE:
				want = EPOLLOUT;
				break;
			default:
				die("connection %d: TLS ended", c->id);
			}
		} else {
			r = recv(c->fd, p, n, 0);
			if (r > 0)
				return r;
			if (r == 0)
				die("connection %d: closed by the server",
				    c->id);
			if (errno != EAGAIN && errno != EINTR)
				die("connection %d: %s", c->id,
				    strerror(errno));
		}
		yield_for(c, want);
	}
}

void
flush(struct conn *c)
{
	size_t at = 0;

	while (at < c->out_n) {
		ssize_t r;
		uint32_t want = EPOLLOUT;

		if (c->ssl) {
			ERR_clear_error();
			r = SSL_write(
			    c->ssl, c->out + at, (int)(c->out_n - at));
			if (r <= 0) {
				int e = SSL_get_error(c->ssl, (int)r);

				if (e == SSL_ERROR_WANT_READ)
					want = EPOLLIN;
				else if (e != SSL_ERROR_WANT_WRITE)
					die("connection %d: TLS write", c->id);
			}
		} else {
			r = send(
			    c->fd, c->out + at, c->out_n - at, MSG_NOSIGNAL);
			if (r < 0 && errno != EAGAIN && errno != EINTR)
				die("connection %d: %s", c->id,
				    strerror(errno));
		}
		if (r > 0)
			at += (size_t)r;
		else
			yield_for(c, want);
	}
	c->out_n = 0;
}

void
put(struct conn *c, const char *p, size_t n)
{
	if (c->out_n + n > c->out_cap) {
		c->out_cap = (c->out_n + n) * 3 / 2 + 512;
		c->out = realloc(c->out, c->out_cap);
		if (!c->out)
			die("no memory");
	}
	memcpy(c->out + c->out_n, p, n);
	c->out_n += n;
	if (c->out_n > OUT_MANY)
		flush(c);
}

void
putf(struct conn *c, const char *fmt, ...)
{
	char b[2048];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(b, sizeof b, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof b)
		die("a command too long");
	put(c, b, (size_t)n);
}

/* Reads more behind what is there. */
static void
fill(struct conn *c)
{
	flush(c);
	if (c->off == c->n)
		c->off = c->n = 0;
	if (c->cap - c->n < IN_MIN / 2 && c->off > 0) {
		memmove(c->in, c->in + c->off, c->n - c->off);
		c->n -= c->off;
		c->off = 0;
	}
	if (c->cap - c->n < IN_MIN / 2) {
		c->cap = c->cap ? c->cap * 2 : IN_MIN;
		if (c->cap > (64 << 20))
			die("a line of more than 64 MiB");
		c->in = realloc(c->in, c->cap);
		if (!c->in)
			die("no memory");
	}
	c->n += (size_t)io_read(c, c->in + c->n, c->cap - c->n);
}

bool
have(struct conn *c)
{
	return c->off < c->n;
}

char *
line(struct conn *c, size_t *np)
{
	size_t seen = 0, n;
	char *nl, *s;

	while (!(nl = c->n > c->off + seen ? memchr(c->in + c->off + seen, '\n',
						 c->n - c->off - seen)
					   : NULL)) {
		seen = c->n - c->off;
		fill(c);
	}
	s = c->in + c->off;
	c->off += (size_t)(nl + 1 - s);
	n = (size_t)(nl - s);
	if (n == 0 || s[n - 1] != '\r')
		die("a line without CR: %.*s", (int)n, s);
	s[--n] = '\0';
	c->lit = SIZE_MAX;
	if (n > 2 && s[n - 1] == '}') {
		size_t b = n - 2;

		while (b > 0 && s[b] >= '0' && s[b] <= '9')
			b--;
		if (s[b] == '{' && b < n - 2)
			c->lit = strtoul(s + b + 1, NULL, 10);
	}
	if (np)
		*np = n;
	return s;
}

void
take(struct conn *c, size_t n, XXH3_state_t *h)
{
	static char big[256 << 10];

	flush(c);
	while (n > 0) {
		size_t k = c->n - c->off;
		const char *p = c->in + c->off;

		if (k > n)
			k = n;
		if (k > 0) {
			c->off += k;
		} else {
			/* Read at once what a buffer of lines has no room for;
			 * never beyond the literal. `big` is used up before
			 * another coroutine runs. */
			k = (size_t)io_read(
			    c, big, n < sizeof big ? n : sizeof big);
			p = big;
		}
		if (h)
			XXH3_64bits_update(h, p, k);
		n -= k;
	}
}

static int
trust(X509_STORE_CTX *x, void *arg)
{
	return 1;
}

void
dial(struct conn *c, int port, bool tls)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	int one = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		die("socket: %s", strerror(errno));
	a.sin_port = htons((uint16_t)port);
	/* 28 000 ports an address: more connections use more addresses. */
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (c->id >= 20000) {
		struct sockaddr_in from = {.sin_family = AF_INET};

		from.sin_addr.s_addr =
		    htonl(INADDR_LOOPBACK + (uint32_t)(c->id / 20000));
		bind(c->fd, (void *)&from, sizeof from);
	}
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	c->events = 0;
	if (connect(c->fd, (void *)&a, sizeof a) != 0) {
		int e = 0;
		socklen_t n = sizeof e;

		if (errno != EINPROGRESS)
			die("connect: %s", strerror(errno));
		yield_for(c, EPOLLOUT);
		if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &n) || e)
			die("connect to %d: %s", port, strerror(e));
	}
	if (!tls)
		return;
	if (!tls_ctx) {
		tls_ctx = SSL_CTX_new(TLS_client_method());
		SSL_CTX_set_verify(tls_ctx, SSL_VERIFY_NONE, NULL);
		/* Else OpenSSL would still build the chain. */
		SSL_CTX_set_cert_verify_callback(tls_ctx, trust, NULL);
		SSL_CTX_set_read_ahead(tls_ctx, 1);
		SSL_CTX_set_session_cache_mode(tls_ctx, SSL_SESS_CACHE_OFF);
		SSL_CTX_set_mode(
		    tls_ctx, SSL_MODE_RELEASE_BUFFERS |
				 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				 SSL_MODE_ENABLE_PARTIAL_WRITE);
	}
	c->ssl = SSL_new(tls_ctx);
	SSL_set_fd(c->ssl, c->fd);
	for (;;) {
		int r = SSL_connect(c->ssl), e;

		if (r == 1)
			return;
		e = SSL_get_error(c->ssl, r);
		if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE)
			die("TLS handshake");
		yield_for(c, e == SSL_ERROR_WANT_READ ? EPOLLIN : EPOLLOUT);
	}
}

void
hang_up(struct conn *c)
{
	if (c->ssl) {
		SSL_shutdown(c->ssl);
		SSL_free(c->ssl);
	}
	c->ssl = NULL;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->events = 0;
	c->off = c->n = c->out_n = 0;
}

double
user_memory(void)
{
	return opt.root ? proc_memory(opt.root) : 0;
}

static double t0, t1, cpu0, cpu1, own0, own1, all0, all1;

static double
own_cpu(void)
{
	return (double)clock() / CLOCKS_PER_SEC;
}

static void
start(void)
{
	if (opt.root && kill(opt.root, 0) != 0 && errno == ESRCH)
		die("there is no process %d", opt.root);
	cpu0 = opt.root ? proc_cpu(opt.root) : 0;
	own0 = own_cpu();
	all0 = proc_machine();
	t0 = now();
}

static void
stop(void)
{
	t1 = now();
	own1 = own_cpu();
	all1 = proc_machine();
	cpu1 = opt.root ? proc_cpu(opt.root) : 0;
}

static void
life(unsigned hi, unsigned lo)
{
	struct conn *c = (void *)(((uintptr_t)hi << 32) | lo);

	if (work->prepare)
		work->prepare(c);
	flush(c);
	if (waiting_n + 1 == opt.conns)
		start();
	wait_all(c);
	work->run(c);
	flush(c);
	if (waiting_n + 1 == opt.conns)
		stop();
	wait_all(c);
	if (work->after)
		work->after(c);
	hang_up(c);
	done_n++;
	swapcontext(&c->ctx, &loop_ctx);
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void
report(void)
{
	figure("operations", ops);
	figure("seconds", t1 - t0);
	figure("bytes", bytes);
	figure("server_cpu", cpu1 - cpu0);
	figure("own_cpu_share", (own1 - own0) / (t1 - t0));
	/* Of whoever else runs here, in cores: how quiet the machine was. */
	figure("others_cpu_share",
	    (all1 - all0 - (cpu1 - cpu0) - (own1 - own0)) / (t1 - t0));
	if (lat_n) {
		qsort(lat, lat_n, sizeof *lat, by_value);
		figure("latency_median", lat[lat_n / 2]);
		figure("latency_p99", lat[lat_n * 99 / 100]);
	}
	fflush(stdout);
}

static void
begin(struct conn *c)
{
	uintptr_t u = (uintptr_t)c;

	c->stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (c->stack == MAP_FAILED)
		die("no memory for a stack");
	getcontext(&c->ctx);
	c->ctx.uc_stack.ss_sp = c->stack;
	c->ctx.uc_stack.ss_size = STACK;
	makecontext(
	    &c->ctx, (void (*)(void))life, 2, (unsigned)(u >> 32), (unsigned)u);
}

/* What comes at a gate is read behind it; a connection that ends is not. */
static void
at_rest(struct conn *c, uint32_t events)
{
	struct epoll_event e = {.events = 0, .data.ptr = c};

	if (events & (EPOLLHUP | EPOLLERR))
		die("connection %d: closed by the server", c->id);
	c->events = EPOLLET; /* not what any wait asks for */
	if (epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e))
		die("epoll_ctl: %s", strerror(errno));
}

/* Not more at once than a queue of connections holds. */
static void
begin_some(void)
{
	static int begun;

	while (begun < opt.conns && begun - waiting_n < OPENING_MAX) {
		struct conn *c = &conns[begun];

		c->id = begun++;
		c->fd = -1;
		c->rng = opt.seed * 1000003 + (uint64_t)begun;
		begin(c);
		swapcontext(&loop_ctx, &c->ctx);
	}
}

void
run_all(const struct workload *w)
{
	work = w;
	ep = epoll_create1(EPOLL_CLOEXEC);
	conns = calloc((size_t)opt.conns, sizeof *conns);
	/* A connection is in the list at most once, being asleep there. */
	ready = calloc((size_t)opt.conns + 1, sizeof *ready);
	if (ep < 0 || !conns || !ready)
		die("no memory");
	if (w->before)
		w->before();
	while (done_n < opt.conns) {
		struct epoll_event ev[256];
		int n;

		begin_some();
		n = ready_n;

		for (int i = 0; i < n; i++) {
			struct conn *c = ready[0];

			ready_n--;
			memmove(
			    ready, ready + 1, (size_t)ready_n * sizeof *ready);
			c->queued = false;
			swapcontext(&loop_ctx, &c->ctx);
		}
		if (done_n == opt.conns)
			break;
		n = epoll_wait(ep, ev, 256, ready_n ? 0 : STALL_MS);
		if (n == 0 && !ready_n)
			die("no answer for a minute");
		for (int i = 0; i < n; i++) {
			struct conn *c = ev[i].data.ptr;

			if (c->at_gate || c->queued)
				at_rest(c, ev[i].events);
			else
				swapcontext(&loop_ctx, &c->ctx);
		}
	}
	report();
}
