/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* POP3 in restante-bench: drain, and drain with DELE; RETRs pipelined. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

static uint64_t *hashes;

static char *
plus(struct conn *c)
{
	char *s = line(c, NULL);

	if (strncmp(s, "+OK", 3) != 0)
		die("connection %d: %s", c->id, s);
	return s;
}

static void
drain_before(void)
{
	hashes = calloc((size_t)opt.count + 1, sizeof *hashes);
	if (!hashes)
		die("no memory");
	for (long i = 1; i <= opt.count; i++)
		hashes[i] = mail_hash((uint64_t)i);
}

/* Lines up to the lone dot, un-stuffed, into the hash. Lines that follow one
 * another are hashed in one call where they lie. */
static size_t
multiline(struct conn *c, XXH3_state_t *h)
{
	size_t total = 0;

	for (;;) {
		size_t n;
		char *s = line(c, &n);

		if (n == 1 && s[0] == '.')
			return total;
		if (n > 0 && s[0] == '.') {
			s++;
			n--;
		}
		s[n] = '\r'; /* line() put NUL there; LF follows */
		XXH3_64bits_update(h, s, n + 2);
		total += n + 2;
	}
}

static void
pop3_login(struct conn *c, int user)
{
	plus(c);
	putf(c, "USER u%d\r\n", user);
	plus(c);
	putf(c, "PASS %s\r\n", opt.password);
	plus(c);
}

static void
retr_all(struct conn *c, bool dele)
{
	XXH3_state_t *h = XXH3_createState();
	long asked = 0, window = 32;

	for (long i = 1; i <= opt.count; i++) {
		/* Half a window is refilled at a time, in one packet. */
		if (asked - i < window / 2)
			while (asked < opt.count && asked - i < window) {
				asked++;
				putf(c, "RETR %ld\r\n", asked);
				if (dele)
					putf(c, "DELE %ld\r\n", asked);
			}
		plus(c);
		XXH3_64bits_reset(h);
		payload((double)multiline(c, h));
		if (XXH3_64bits_digest(h) != hashes[i])
			die("message %ld is not what was stored", i);
		if (dele)
			plus(c);
		operations(1);
	}
	XXH3_freeState(h);
}

static void
session(struct conn *c, bool dele)
{
	char *s;

	dial(c, opt.tls ? opt.pop3s : opt.pop3, opt.tls);
	pop3_login(c, user_of(c));
	putf(c, "STAT\r\n");
	s = plus(c);
	if (strtol(s + 3, NULL, 10) != opt.count)
		die("%ld messages expected: %s", opt.count, s);
	putf(c, "UIDL\r\n");
	plus(c);
	for (long i = 0; i < opt.count; i++)
		if (strtol(line(c, NULL), NULL, 10) != i + 1)
			die("UIDL is not in order");
	if (strcmp(line(c, NULL), ".") != 0)
		die("UIDL does not end");
	retr_all(c, dele);
	putf(c, "QUIT\r\n");
	plus(c);
	hang_up(c);
}

static void
drain_run(struct conn *c)
{
	for (int i = 0; i < opt.batch; i++)
		session(c, false);
}

static void
delete_run(struct conn *c)
{
	session(c, true);
}

/* They are gone. */
static void
delete_after(struct conn *c)
{
	char *s;

	dial(c, opt.pop3, false);
	pop3_login(c, user_of(c));
	putf(c, "STAT\r\n");
	s = plus(c);
	if (strtol(s + 3, NULL, 10) != 0)
		die("messages that were deleted: %s", s);
	putf(c, "QUIT\r\n");
	plus(c);
}

const struct workload workloads_pop3[] = {
    {"drain", "USER, PASS, STAT, UIDL, RETR of all, --batch times",
	drain_before, NULL, drain_run, NULL, "msg"},
    {"delete", "drain with DELE of all", drain_before, NULL, delete_run,
	delete_after, "msg"},
    {0},
};
