/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* The IMAP side of restante-bench, and the workloads that change mail. */
#include "bench.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static struct mail *pool;
static int pool_n;
static long started;

void
command(struct conn *c, const char *fmt, ...)
{
	char b[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(b, sizeof b, fmt, ap);
	va_end(ap);
	putf(c, "t%u %s\r\n", ++c->tag, b);
	flush(c);
}

char *
answer(struct conn *c)
{
	char *s = line(c, NULL), *e;

	if (s[0] != 't')
		return s;
	if (strtoul(s + 1, &e, 10) != c->tag || strncmp(e, " OK", 3) != 0)
		die("connection %d, command %u: %s", c->id, c->tag, s);
	return NULL;
}

static void
to_the_end(struct conn *c)
{
	char *s;

	while ((s = answer(c)))
		if (c->lit != SIZE_MAX)
			take(c, c->lit, NULL);
}

void
ok(struct conn *c, const char *fmt, ...)
{
	char b[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(b, sizeof b, fmt, ap);
	va_end(ap);
	command(c, "%s", b);
	to_the_end(c);
}

void
imap_login(struct conn *c, int user)
{
	char *s = line(c, NULL);

	if (strncmp(s, "* OK", 4) != 0)
		die("greeting: %s", s);
	ok(c, "LOGIN u%d %s", user, opt.password);
}

long
imap_select(struct conn *c, const char *mailbox)
{
	long n = -1;
	char *s;

	command(c, "SELECT %s", mailbox);
	while ((s = answer(c))) {
		char *e;
		long v = s[0] == '*' ? strtol(s + 1, &e, 10) : 0;

		if (s[0] == '*' && strcmp(e, " EXISTS") == 0)
			n = v;
	}
	if (n < 0)
		die("SELECT without EXISTS");
	return n;
}

long
imap_search(struct conn *c, const char *key)
{
	long n = -1;
	char *s;

	command(c, "SEARCH %s", key);
	while ((s = answer(c))) {
		if (strncmp(s, "* SEARCH", 8) != 0)
			continue;
		if (n < 0)
			n = 0;
		for (s += 8; *s; s++)
			n += *s == ' ';
	}
	if (n < 0)
		die("no untagged SEARCH");
	return n;
}

void
open_user(struct conn *c)
{
	dial(c, opt.tls ? opt.imaps : opt.imap, opt.tls);
	imap_login(c, user_of(c));
}

static void
open_inbox(struct conn *c)
{
	open_user(c);
	imap_select(c, "INBOX");
}

/* ---- fill, append, multiappend ---- */

static void
append_some(struct conn *c, uint64_t first, int n)
{
	static struct mail m;

	putf(c, "t%u APPEND INBOX", ++c->tag);
	for (int i = 0; i < n; i++) {
		struct mail *p =
		    pool_n ? &pool[(first + (uint64_t)i) % (uint64_t)pool_n]
			   : &m;

		if (!pool_n)
			mail_make(&m, first + (uint64_t)i);
		putf(c, " {%zu+}\r\n", p->n);
		/* `m` may be made anew while put waits: it must not be read
		 * afterwards, and is not, put having its copy. */
		payload((double)p->n);
		put(c, p->p, p->n);
	}
	put(c, "\r\n", 2);
	to_the_end(c);
	operations(n);
}

/* Copies in the mailbox itself, twice as many each time. */
static void
fill_copies(struct conn *c)
{
	long n = opt.distinct;

	imap_select(c, "INBOX");
	while (n < opt.count) {
		long k = n < opt.count - n ? n : opt.count - n;

		ok(c, "COPY 1:%ld INBOX", k);
		operations((double)k);
		n += k;
	}
}

/* Mail number i of the mailbox is mail number i, from 1; with --distinct they
 * begin anew behind that many. */
static void
fill_run(struct conn *c)
{
	for (int u = c->id; u < opt.users; u += opt.conns) {
		dial(c, opt.imap, false);
		imap_login(c, opt.first + u);
		for (long i = 1; i <= opt.distinct; i += opt.batch) {
			long k = opt.distinct - i + 1;

			append_some(c, (uint64_t)i,
			    (int)(k < opt.batch ? k : opt.batch));
		}
		if (opt.distinct < opt.count)
			fill_copies(c);
		if (imap_select(c, "INBOX") != opt.count)
			die("u%d has not %ld messages", opt.first + u,
			    opt.count);
		ok(c, "LOGOUT");
		hang_up(c);
	}
}

static void
append_before(void)
{
	size_t total = 0;

	pool = calloc(256, sizeof *pool);
	if (!pool)
		die("no memory");
	for (; pool_n < 256 && total < (32 << 20); pool_n++) {
		mail_make(&pool[pool_n], (uint64_t)pool_n);
		total += pool[pool_n].n;
	}
}

static long first_count;

static void
append_prepare(struct conn *c)
{
	open_inbox(c);
	if (c->id < opt.users)
		first_count += imap_select(c, "INBOX");
	ok(c, "CLOSE");
}

static void
append_run(struct conn *c)
{
	while (started < opt.count) {
		uint64_t at = (uint64_t)started;
		double t = now();

		started += opt.batch;
		append_some(c, at, opt.batch);
		latency(now() - t);
	}
}

static void
append_after(struct conn *c)
{
	static long n;
	static int seen;

	if (c->id < opt.users)
		n += imap_select(c, "INBOX");
	if (++seen == opt.conns && n != first_count + started)
		die("%ld messages, %ld expected", n, first_count + started);
}

/* ---- flags ---- */

static long *seqs;

static void
flags_before(void)
{
	seqs = calloc((size_t)opt.conns, sizeof *seqs);
	if (!seqs)
		die("no memory");
}

static void
flags_prepare(struct conn *c)
{
	open_user(c);
	seqs[c->id] = imap_select(c, "INBOX");
	if (opt.one)
		seqs[c->id] /= opt.conns;
	if (seqs[c->id] < 1)
		die("no messages");
}

static void
flags_run(struct conn *c)
{
	long k = 0, n = seqs[c->id], base = opt.one ? n * c->id : 0, last = 0;

	while (started < opt.count) {
		double t = now();

		started++;
		last = base + 1 + k % n;
		ok(c, "STORE %ld %cFLAGS.SILENT (\\Flagged)", last,
		    k / n % 2 ? '-' : '+');
		k++;
		operations(1);
		latency(now() - t);
	}
	seqs[c->id] = last ? (k - 1) / n % 2 ? -last : last : 0;
}

/* What was stored last is seen from another session. */
static void
flags_after(struct conn *c)
{
	long n = seqs[c->id];
	bool found = false;
	char *s;

	if (n == 0)
		return;
	hang_up(c);
	open_inbox(c);
	command(c, "FETCH %ld FLAGS", n < 0 ? -n : n);
	while ((s = answer(c)))
		if (strstr(s, "FLAGS (") && strstr(s, "\\Flagged"))
			found = true;
	if (found != (n > 0))
		die("connection %d: message %ld has not the flag that was set",
		    c->id, n);
}

static void
storeall_run(struct conn *c)
{
	for (long i = 0; i < opt.count; i++) {
		ok(c, "STORE 1:* %cFLAGS.SILENT (\\Answered)",
		    i % 2 ? '-' : '+');
		operations((double)seqs[c->id]);
	}
}

static void
storeall_after(struct conn *c)
{
	long want = opt.count % 2 ? seqs[c->id] : 0;
	long n = imap_search(c, "ANSWERED");

	if (n != want)
		die("%ld messages have the flag, %ld expected", n, want);
}

/* ---- copy and move ---- */

static void
copy_prepare(struct conn *c)
{
	open_user(c);
	ok(c, "CREATE copies%llu", (unsigned long long)opt.seed);
	seqs[c->id] = imap_select(c, "INBOX");
}

static void
copy_run(struct conn *c)
{
	ok(c, "COPY 1:* copies%llu", (unsigned long long)opt.seed);
	operations((double)seqs[c->id]);
}

static void
copy_after(struct conn *c)
{
	char b[64];

	snprintf(b, sizeof b, "copies%llu", (unsigned long long)opt.seed);
	if (imap_select(c, b) != seqs[c->id])
		die("not all were copied");
	ok(c, "CLOSE");
	ok(c, "DELETE %s", b);
}

static void
move_run(struct conn *c)
{
	char b[64];
	long n;

	snprintf(b, sizeof b, "copies%llu", (unsigned long long)opt.seed);
	ok(c, "MOVE 1:* %s", b);
	n = imap_select(c, b);
	if (n != seqs[c->id])
		die("%ld of %ld were moved", n, seqs[c->id]);
	ok(c, "MOVE 1:* INBOX");
	if (imap_select(c, "INBOX") != n)
		die("not all were moved back");
	operations(2.0 * (double)n);
}

static void
move_after(struct conn *c)
{
	ok(c, "DELETE copies%llu", (unsigned long long)opt.seed);
}

/* ---- logins ---- */

static void
logins_run(struct conn *c)
{
	while (started < opt.count) {
		double t = now();

		started++;
		dial(c, opt.tls ? opt.imaps : opt.imap, opt.tls);
		imap_login(c, opt.first + (int)(started % opt.users));
		ok(c, "LOGOUT");
		hang_up(c);
		operations(1);
		latency(now() - t);
	}
}

/* ---- mix ---- */

/* A tenth of each: a mail program at work. Thirty commands a round. */
static void
mix_run(struct conn *c)
{
	uint64_t r = c->rng;

	while (started < opt.count) {
		long n;

		started += 30;
		ok(c, "NOOP");
		n = imap_select(c, "INBOX");
		ok(c, "LIST \"\" *");
		ok(c, "STATUS INBOX (MESSAGES UNSEEN UIDNEXT)");
		for (int i = 0; i < 10 && n > 20; i++) {
			long at =
			    1 +
			    (long)((r = r * 6364136223846793005u + 1) >> 33) %
				(n - 20);

			ok(c,
			    "FETCH %ld:%ld (UID FLAGS INTERNALDATE "
			    "RFC822.SIZE ENVELOPE)",
			    at, at + 20);
			ok(c, "FETCH %ld BODY.PEEK[]", at);
		}
		ok(c, "STORE 1 +FLAGS (\\Seen)");
		ok(c, "UID SEARCH UNSEEN");
		append_some(c, r >> 40, 1);
		ok(c, "STORE * +FLAGS (\\Deleted)");
		ok(c, "EXPUNGE");
		ok(c, "NOOP");
		operations(29); /* append_some counted itself */
	}
}

const struct workload workloads_imap[] = {
    {"fill", "--count messages to each account, to be worked on", NULL, NULL,
	fill_run, NULL, "msg"},
    {"append", "--count messages, --batch in a command", append_before,
	append_prepare, append_run, append_after, "msg"},
    {"flags", "--count STOREs of one message", flags_before, flags_prepare,
	flags_run, flags_after, "op"},
    {"storeall", "STORE 1:*, --count times", flags_before, flags_prepare,
	storeall_run, storeall_after, "msg"},
    {"copy", "COPY 1:*", flags_before, copy_prepare, copy_run, copy_after,
	"msg"},
    {"move", "MOVE 1:* there and back", flags_before, copy_prepare, move_run,
	move_after, "msg"},
    {"logins", "--count times connect, LOGIN, LOGOUT", NULL, NULL, logins_run,
	NULL, "op"},
    {"mix", "--count commands of a mail program", append_before, open_inbox,
	mix_run, NULL, "op"},
    {0},
};
