/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* Connections in IDLE: what each costs, and how soon it hears of new mail. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static double memory0, opened0;
static double delivered; /* when the 250 of the last message came */
static long exists;

static void
idle(struct conn *c)
{
	char *s;

	dial(c, opt.tls ? opt.imaps : opt.imap, opt.tls);
	imap_login(c, user_of(c));
	if (imap_select(c, "INBOX") < opt.count)
		die("fewer than %ld messages", opt.count);
	command(c, "IDLE");
	do {
		s = line(c, NULL);
	} while (s[0] == '*');
	if (s[0] != '+')
		die("IDLE: %s", s);
}

static void
done(struct conn *c)
{
	put(c, "DONE\r\n", 6);
	while (answer(c))
		;
}

static void
memory_before(void)
{
	memory0 = user_memory();
	opened0 = now();
}

static void
memory_run(struct conn *c)
{
	if (c->id != 0)
		return;
	figure("open_rate", opt.conns / (now() - opened0));
	sleep((unsigned)opt.batch); /* a server may want time to settle */
	figure("connection_bytes", (user_memory() - memory0) / opt.conns);
	operations(opt.conns);
}

/* Connection 0 delivers, connection 1 is in IDLE. */
static void
notify_prepare(struct conn *c)
{
	if (c->id == 0) {
		lmtp_open(c);
		return;
	}
	dial(c, opt.imap, false);
	imap_login(c, opt.first);
	exists = imap_select(c, "INBOX");
	command(c, "IDLE");
	if (line(c, NULL)[0] != '+')
		die("IDLE");
}

static double heard;

static void
notify_run(struct conn *c)
{
	static struct mail m;

	for (long i = 0; i < opt.count; i++) {
		static long want;

		if (c->id == 0) {
			if (!m.p)
				mail_make(&m, 1);
			want = exists + opt.batch;
			for (int k = 0; k < opt.batch; k++)
				lmtp_send(c, m.p, m.n, opt.first, 1);
			delivered = now();
		} else {
			long v = 0;

			while (v == 0 || v < want) {
				char *e, *s = line(c, NULL);
				long k =
				    s[0] == '*' ? strtol(s + 1, &e, 10) : 0;

				if (s[0] == '*' && strcmp(e, " EXISTS") == 0)
					v = k;
			}
			heard = now();
			exists = v;
		}
		wait_all(c);
		if (c->id == 0) {
			latency(heard > delivered ? heard - delivered : 0);
			operations(opt.batch);
			/* Servers hold back what follows shortly. */
			usleep(1500000);
		}
	}
	if (c->id == 1)
		done(c);
}

const struct workload workloads_idle[] = {
    {"idle", "memory of connections in IDLE, after --batch seconds",
	memory_before, idle, memory_run, done, "connection"},
    {"notify", "from the 250 of --batch messages to EXISTS, --count times",
	NULL, notify_prepare, notify_run, NULL, "msg"},
    {0},
};
