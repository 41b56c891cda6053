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

/* The mail at a place of a mailbox that `fill` made. */
static uint64_t
mail_at(long place)
{
	return (uint64_t)((place - 1) % opt.distinct + 1);
}

static size_t *sizes; /* of mail 1..distinct */

static void
summary_before(void)
{
	sizes = calloc((size_t)opt.distinct + 1, sizeof *sizes);
	if (!sizes)
		die("no memory");
	for (long i = 1; i <= opt.distinct; i++)
		sizes[i] = mail_size((uint64_t)i);
}

static void
is_summary(const char *s, long place)
{
	char size[64], number[64];
	uint64_t i = mail_at(place);

	snprintf(size, sizeof size, "RFC822.SIZE %zu", sizes[i]);
	snprintf(number, sizeof number, "about number %llu\"",
	    (unsigned long long)i);
	if (!strstr(s, "ENVELOPE (\"") || !strstr(s, "BODYSTRUCTURE (") ||
	    !strstr(s, "INTERNALDATE \"") || !strstr(s, "FLAGS (") ||
	    !strstr(s, size) || !strstr(s, number))
		die("an answer without what was asked: %s", s);
}

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
			if (strtol(s + 1, NULL, 10) != ++n || n > opt.count)
				die("out of order: %s", s);
			is_summary(s, n);
			rest(c, s);
		}
		if (n != opt.count)
			die("%ld answers, %ld expected", n, opt.count);
		operations((double)n);
	}
}

/* Is a line's name one of those in opt.arg, which are parted by blanks? */
static bool
asked(const char *at, size_t n)
{
	for (const char *p = opt.arg; *p; p += strcspn(p, " ")) {
		p += strspn(p, " ");
		if (strcspn(p, " ") == n && strncasecmp(p, at, n) == 0)
			return true;
	}
	return false;
}

/* What HEADER.FIELDS gives of each: whole lines in their order. */
static void
fields_before(void)
{
	static struct mail m;
	XXH3_state_t *h = XXH3_createState();

	hashes = calloc((size_t)opt.distinct + 1, sizeof *hashes);
	if (!hashes)
		die("no memory");
	for (long i = 1; i <= opt.distinct; i++) {
		bool in = false;
		size_t next;

		mail_make(&m, (uint64_t)i);
		XXH3_64bits_reset(h);
		for (size_t at = 0; at < m.head_n; at = next) {
			char *s = m.p + at;

			next = (size_t)((char *)memchr(s, '\n', m.n - at) + 1 -
					m.p);
			if (*s == '\r')
				break;
			if (*s != ' ' && *s != '\t')
				in = asked(s, strcspn(s, ":\r"));
			if (in)
				XXH3_64bits_update(h, s, next - at);
		}
		XXH3_64bits_update(h, "\r\n", 2);
		hashes[i] = XXH3_64bits_digest(h);
	}
	XXH3_freeState(h);
}

static void
fields_run(struct conn *c)
{
	XXH3_state_t *h = XXH3_createState();

	for (int i = 0; i < opt.batch; i++) {
		long n = 0;
		char *s;

		command(c, "FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (%s)])",
		    opt.arg);
		while ((s = answer(c))) {
			if (!strstr(s, "FETCH ("))
				continue;
			if (strtol(s + 1, NULL, 10) != ++n || n > opt.count ||
			    c->lit == SIZE_MAX)
				die("no fields: %s", s);
			payload((double)c->lit);
			XXH3_64bits_reset(h);
			take(c, c->lit, h);
			if (XXH3_64bits_digest(h) != hashes[mail_at(n)])
				die("not the fields of message %ld", n);
			rest(c, line(c, NULL));
		}
		if (n != opt.count)
			die("%ld answers, %ld expected", n, opt.count);
		operations((double)n);
	}
	XXH3_freeState(h);
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
		long n = imap_search(c, opt.arg);

		latency(now() - t);
		operations(1);
		if (i > 0 && n != found)
			die("%ld found, %ld before", n, found);
		found = n;
	}
	if (c->id == 0)
		figure("found", (double)found);
}

const struct workload workloads_fetch[] = {
    {"summary", "FETCH 1:* of what lists show, --batch times", summary_before,
	open_inbox, summary_run, NULL, "msg"},
    {"fields", "FETCH 1:* of header fields (--arg), --batch times",
	fields_before, open_inbox, fields_run, NULL, "msg"},
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
