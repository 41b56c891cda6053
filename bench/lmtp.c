/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Deliveries by LMTP, as an MTA hands over: MAIL, RCPT and DATA in one packet.
 * Before and after, IMAP tells how many messages each account has, and the last
 * one is read back: a 250 that was not kept is found here.
 */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

#define POOL_MAX 256
#define POOL_BYTES (32 << 20)

static struct mail *pool;
static uint64_t *text_hash;
static int pool_n;
static long started;
static long *had, *got; /* of each account */

int
user_of(const struct conn *c)
{
	return opt.first + (opt.one ? 0 : c->id % opt.users);
}

static void
reply(struct conn *c, int code)
{
	char *s;

	do {
		s = line(c, NULL);
		if (atoi(s) != code)
			die("instead of %d: %s", code, s);
	} while (s[3] == '-');
}

void
lmtp_open(struct conn *c)
{
	dial(c, opt.lmtp, false);
	reply(c, 220);
	putf(c, "LHLO bench.example.org\r\n");
	reply(c, 250);
}

void
lmtp_send(struct conn *c, const char *p, size_t n, int first_user, long rcpts)
{
	static const char dot[] = ".\r\n";

	putf(c, "MAIL FROM:<ann@example.org>\r\n");
	for (long i = 0; i < rcpts; i++)
		putf(c, "RCPT TO:<u%ld>\r\n", first_user + i);
	putf(c, "DATA\r\n");
	for (long i = 0; i < rcpts + 1; i++)
		reply(c, 250);
	reply(c, 354);
	putf(c, "X-Number: %llu\r\n",
	    (unsigned long long)(opt.seed * 1000000 + (uint64_t)started));
	put(c, p, n);
	put(c, dot, 3);
	for (long i = 0; i < rcpts; i++)
		reply(c, 250);
}

static void
before(void)
{
	size_t total = 0;

	pool = calloc(POOL_MAX, sizeof *pool);
	text_hash = calloc(POOL_MAX, sizeof *text_hash);
	had = calloc((size_t)opt.users + (size_t)opt.rcpts, sizeof *had);
	got = calloc((size_t)opt.users + (size_t)opt.rcpts, sizeof *got);
	if (!pool || !text_hash || !had || !got)
		die("no memory");
	for (; pool_n < POOL_MAX && total < POOL_BYTES && pool_n < opt.count;
	     pool_n++) {
		struct mail *m = &pool[pool_n];

		mail_make(m, (uint64_t)pool_n);
		text_hash[pool_n] =
		    XXH3_64bits(m->p + m->head_n, m->n - m->head_n);
		total += m->n;
	}
}

static void
prepare(struct conn *c)
{
	for (long u = c->id; u < opt.users + opt.rcpts - 1; u += opt.conns) {
		dial(c, opt.imap, false);
		imap_login(c, opt.first + (int)u);
		had[u] = imap_select(c, "INBOX");
		ok(c, "LOGOUT");
		hang_up(c);
	}
	lmtp_open(c);
}

static void
deliver(struct conn *c)
{
	while (started < opt.count) {
		struct mail *m = &pool[started % pool_n];
		int u = user_of(c);
		double t = now();

		started++;
		lmtp_send(c, m->p, m->n, u, opt.rcpts);
		for (long i = 0; i < opt.rcpts; i++)
			got[u - opt.first + i]++;
		operations((double)opt.rcpts);
		payload((double)(m->n * (size_t)opt.rcpts));
		latency(now() - t);
	}
	putf(c, "QUIT\r\n");
	reply(c, 221);
}

static void
last_is_right(struct conn *c)
{
	XXH3_state_t *h = XXH3_createState();
	uint64_t hash = 0;
	char *s;

	command(c, "FETCH * BODY.PEEK[TEXT]");
	while ((s = answer(c))) {
		if (!strstr(s, "BODY[TEXT]") || c->lit == SIZE_MAX)
			continue;
		XXH3_64bits_reset(h);
		take(c, c->lit, h);
		hash = XXH3_64bits_digest(h);
		line(c, NULL);
	}
	XXH3_freeState(h);
	for (int i = 0; i < pool_n; i++)
		if (text_hash[i] == hash)
			return;
	die("the last message is not what was delivered");
}

static void
after(struct conn *c)
{
	hang_up(c);
	for (long u = c->id; u < opt.users + opt.rcpts - 1; u += opt.conns) {
		long n;

		dial(c, opt.imap, false);
		imap_login(c, opt.first + (int)u);
		n = imap_select(c, "INBOX");
		if (n != had[u] + got[u])
			die("u%ld: %ld messages, %ld and %ld expected",
			    opt.first + u, n, had[u], got[u]);
		if (got[u] > 0)
			last_is_right(c);
		ok(c, "LOGOUT");
		hang_up(c);
	}
}

const struct workload workloads_lmtp[] = {
    {"deliver", "--count messages by LMTP", before, prepare, deliver, after,
	"msg"},
    {0},
};
