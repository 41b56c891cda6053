/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* Workloads of restante-bench that read: FETCH, SELECT, SEARCH. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

static uint64_t *hashes; /* of mail 1.. */
static long started;

static void
open_inbox(struct conn *c)
{
	open_user(c);
	if (imap_select(c, "INBOX") < opt.count)
		die("fewer than %ld messages: `fill` first", opt.count);
}

/* Skips the literals of an answer; the last line of it is returned. */
static char *
rest(struct conn *c, char *s)
{
	while (c->lit != SIZE_MAX) {
		take(c, c->lit, NULL);
		s = line(c, NULL);
	}
	return s;
}

/* ---- summary, header fields ---- */

static void
summary_run(struct conn *c)
{
	for (int i = 0; i < opt.batch; i++) {
		long n = 0;
		char *s;

		command(c, "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE "
			   "ENVELOPE BODYSTRUCTURE)");
		while ((s = answer(c))) {
			if (!strstr(s, "FETCH ("))
				continue;
			if (!strstr(s, "ENVELOPE (\"") ||
			    !strstr(s, "BODYSTRUCTURE (") ||
			    !strstr(s, "about number"))
				die("an answer without what was asked: %s", s);
			rest(c, s);
			n++;
		}
		if (n != opt.count)
			die("%ld answers, %ld expected", n, opt.count);
		operations((double)n);
	}
}

static void
fields_run(struct conn *c)
{
	for (int i = 0; i < opt.batch; i++) {
		long n = 0;
		char *s;

		command(c, "FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (%s)])",
		    opt.arg);
		while ((s = answer(c))) {
			if (!strstr(s, "FETCH ("))
				continue;
			if (c->lit == SIZE_MAX || c->lit < 10)
				die("no fields: %s", s);
			payload((double)c->lit);
			rest(c, s);
			n++;
		}
		if (n != opt.count)
			die("%ld answers, %ld expected", n, opt.count);
		operations((double)n);
	}
}

/* ---- bodies ---- */

static void
bodies_before(void)
{
	hashes = calloc((size_t)opt.count + 1, sizeof *hashes);
	if (!hashes)
		die("no memory");
	for (long i = 1; i <= opt.count; i++)
		hashes[i] = mail_hash((uint64_t)i);
}

static void
bodies_run(struct conn *c)
{
	XXH3_state_t *h = XXH3_createState();

	for (int i = 0; i < opt.batch; i++) {
		long n = 0;
		char *s;

		command(c, "FETCH 1:%ld BODY.PEEK[]", opt.count);
		while ((s = answer(c))) {
			long at = strtol(s + 1, NULL, 10);

			if (!strstr(s, "BODY[]") || c->lit == SIZE_MAX)
				die("unexpected: %s", s);
			payload((double)c->lit);
			XXH3_64bits_reset(h);
			take(c, c->lit, h);
			if (at < 1 || at > opt.count ||
			    XXH3_64bits_digest(h) != hashes[at])
				die("message %ld is not what was stored", at);
			line(c, NULL);
			n++;
		}
		if (n != opt.count)
			die("%ld answers, %ld expected", n, opt.count);
		operations((double)n);
	}
	XXH3_freeState(h);
}

static uint64_t part_hash;

static void
part_before(void)
{
	static struct mail m;

	mail_make(&m, 1);
	part_hash = XXH3_64bits(m.p + m.part_at, m.part_n);
}

static void
part_run(struct conn *c)
{
	XXH3_state_t *h = XXH3_createState();

	while (started < opt.batch) {
		char *s;

		started++;
		command(c, "FETCH 1 BODY.PEEK[2]");
		while ((s = answer(c))) {
			if (c->lit == SIZE_MAX)
				die("no literal: %s", s);
			payload((double)c->lit);
			XXH3_64bits_reset(h);
			take(c, c->lit, h);
			if (XXH3_64bits_digest(h) != part_hash)
				die("the part is not what was stored");
			line(c, NULL);
		}
		operations(1);
	}
	XXH3_freeState(h);
}

/* ---- select, search ---- */

static void
select_run(struct conn *c)
{
	while (started < opt.batch) {
		double t = now();

		started++;
		if (imap_select(c, "INBOX") < opt.count)
			die("messages are missing");
		latency(now() - t);
		operations(1);
	}
}

static void
search_run(struct conn *c)
{
	long found = 0;

	for (int i = 0; i < opt.batch; i++) {
		double t = now();
		char *s;
		bool any = false;

		found = 0;
		command(c, "SEARCH %s", opt.arg);
		while ((s = answer(c))) {
			if (strncmp(s, "* SEARCH", 8) != 0)
				continue;
			any = true;
			for (s += 8; *s; s++)
				found += *s == ' ';
		}
		if (!any)
			die("no untagged SEARCH");
		latency(now() - t);
		operations(1);
	}
	if (c->id == 0)
		figure("found", (double)found);
}

const struct workload workloads_fetch[] = {
    {"summary", "FETCH 1:* of what lists show, --batch times", NULL, open_inbox,
	summary_run, NULL, "msg"},
    {"fields", "FETCH 1:* of header fields (--arg), --batch times", NULL,
	open_inbox, fields_run, NULL, "msg"},
    {"bodies", "FETCH of whole messages, --batch times", bodies_before,
	open_inbox, bodies_run, NULL, "MB"},
    {"part", "FETCH of the attachment of message 1, --batch times", part_before,
	open_inbox, part_run, NULL, "MB"},
    {"select", "SELECT, --batch times", NULL, open_user, select_run, NULL,
	"op"},
    {"search", "SEARCH --arg, --batch times", NULL, open_inbox, search_run,
	NULL, "op"},
    {0},
};
