/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * IMAP sessions over socketpairs, one thread, a store in memory: each test
 * is a dialogue. R01, R03, R04, R05, R06, R09, R10, R11, R19, R44, R45, R60,
 * R62, R63, R119
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "imap/imap.h"
#ifdef REAL_STORE
#include "litter.h"
#else
#include "mem_store.h"
#endif

static struct net *net;
static struct store *store;
static struct imap_env env;

struct client {
	int fd;
	struct buf in; /* what came since the last expectation */
	bool closed;
};

static void
poke(void *arg, uint64_t watcher)
{
	conn_poke(net, watcher);
}

#ifdef REAL_STORE

/* The same dialogues on the store that is served. */
static char dir[64];

static struct store *
world_begin(void)
{
	struct store_opts o = {.dir = dir, .poke = poke, .no_background = true};
	struct store *st = NULL;

	assert_non_null(litter_make(dir, NULL, "t_imap"));
	assert_int_equal(store_open(&o, &st), OK);
	return st;
}

static void
world_end(struct store **st)
{
	store_close(st);
	assert_int_equal(litter_remove(dir), 0);
}

static struct acct *
world_acct(struct store *st)
{
	struct grant g = {.kind = GRANT_LOGIN, .account = 7};
	struct acct *a = NULL;

	assert_int_equal(acct_open(st, &g, S("ann"), &a), OK);
	return a;
}

/* Faults of the real one have tests of their own. */
#define FAILING(c, n, e, say, want) ((void)0)

#else

static struct store *
world_begin(void)
{
	return mem_store(poke, NULL);
}

static void
world_end(struct store **st)
{
	mem_store_free(st);
}

static struct acct *
world_acct(struct store *st)
{
	return mem_acct(st);
}

#define FAILING(c, n, e, say, want)          \
	do {                                 \
		mem_store_fail(store, n, e); \
		TALK(c, say, want);          \
	} while (0)

#endif

static int
setup(void **state)
{
	struct net_opts o = {.threads_min = 1,
	    .threads_max = 1,
	    .conns_max = 64,
	    .fds_max = 1000};

	(void)state;
	net = net_new(&o);
	store = world_begin();
	env = (struct imap_env){net, store};
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	net_stop(net);
	net_free(&net);
	world_end(&store);
	limits_default(&limits);
	return 0;
}

/* The store in memory knows no \\Recent, so none is compared. */
static void
without_recent(struct buf *b)
{
	static const str forms[] = {
	    S(" \\Recent"), S("\\Recent "), S("\\Recent")};

	for (size_t i = 0; i < NELEM(forms); i++) {
		size_t n = forms[i].n;
		size_t at;

		while ((at = str_find(buf_str(b), forms[i])) < b->n) {
			memmove(b->p + at, b->p + at + n, b->n - at - n);
			b->n -= n;
		}
	}
}

static void
pump(struct client *c)
{
	int quiet = 0;

	while (quiet < 3) {
		char *p = buf_room(&c->in, 65536);
		ssize_t n = os_read(c->fd, p, 65536);

		if (n > 0) {
			c->in.n += (size_t)n;
			quiet = 0;
			continue;
		}
		if (n == 0)
			c->closed = true;
		without_recent(&c->in);
		if (net_step(net, 0) == 0)
			quiet++;
		else
			quiet = 0;
	}
}

static struct client
login(void)
{
	struct client c = {0};
	struct os_addr peer;
	size_t n;
	int fd[2];
	struct imap_login l = {.user = S("ann"),
	    .tag = S("l1"),
	    .reply = S("Logged in"),
	    .peer = &peer};

	assert_int_equal(os_socketpair(SOCK_STREAM, fd), 0);
	assert_int_equal(os_addr_parse(S("127.0.0.1:1"), &peer, 1, &n), OK);
	l.acct = world_acct(store);
	l.fd = fd[0];
	assert_int_equal(imap_start(&env, &l), OK);
	c.fd = fd[1];
	pump(&c);
	return c;
}

static void
bye(struct client *c)
{
	close(c->fd);
	buf_free(&c->in);
}

static void
send_raw(struct client *c, str s)
{
	while (s.n > 0) {
		ssize_t n = write(c->fd, s.p, s.n);

		if (n > 0)
			s = str_from(s, (size_t)n);
		else if (c->closed)
			return;
		pump(c);
	}
}

/* "*" stands for anything within what was received. */
static bool
like(str p, str s)
{
	size_t pi = 0, si = 0, star = SIZE_MAX, from = 0;

	while (si < s.n) {
		if (pi < p.n && p.p[pi] == '\1') {
			star = pi++;
			from = si;
		} else if (pi < p.n && p.p[pi] == s.p[si]) {
			pi++;
			si++;
		} else if (star != SIZE_MAX) {
			pi = star + 1;
			si = ++from;
		} else {
			return false;
		}
	}
	while (pi < p.n && p.p[pi] == '\1')
		pi++;
	return pi == p.n;
}

/* Sends a line (CR LF is added) and compares all that comes back with the
 * lines wanted, each without its CR LF; "~" stands for anything. */
static void
talk_at(int line, struct client *c, str say, const char *want)
{
	struct buf w = {0};

	buf_reset(&c->in);
	if (say.p != NULL) {
		struct buf b = {0};

		buf_str_add(&b, say);
		buf_s(&b, "\r\n");
		send_raw(c, buf_str(&b));
		buf_free(&b);
	}
	pump(c);
	for (; *want != '\0'; want++) {
		if (*want == '\n')
			buf_s(&w, "\r\n");
		else
			buf_c(&w, *want == '~' ? '\1' : *want);
	}
	if (w.n > 0 && w.p[w.n - 1] != '\n')
		buf_s(&w, "\r\n");
	if (!like(buf_str(&w), buf_str(&c->in))) {
		fprintf(stderr,
		    "line %d: said %.*s\nwanted:\n%.*s\ngot:\n%.*s\n", line,
		    STR_ARG(str_head(say, 200)), STR_ARG(buf_str(&w)),
		    STR_ARG(buf_str(&c->in)));
		fail();
	}
	buf_free(&w);
	buf_reset(&c->in);
}
#define TALK(c, say, want) talk_at(__LINE__, &(c), S(say), want)
#define HEAR(c, want) talk_at(__LINE__, &(c), STR_NONE, want)

#define MSG1                                                               \
	"From: Ann <ann@example.org>\r\nSubject: one\r\n"                  \
	"Date: Mon, 01 Jan 2024 10:00:00 +0000\r\nX-Other: y\r\n\r\nbody " \
	"one\r\n"

static void
append(struct client *c, const char *tag, const char *box, const char *flags,
    const char *msg)
{
	char line[512];

	snprintf(line, sizeof(line), "%s APPEND %s %s{%zu+}\r\n%s\r\n", tag,
	    box, flags, strlen(msg), msg);
	send_raw(c, str_c(line));
	pump(c);
	assert_true(str_find(buf_str(&c->in), S(" OK [APPENDUID ")) < c->in.n);
	buf_reset(&c->in);
}

static void
test_basic(void **state)
{
	struct client c = login();

	(void)state;
	assert_true(str_starts(
	    buf_str(&c.in), S("l1 OK [CAPABILITY IMAP4rev1 IMAP4rev2 ")));
	TALK(c, "a noop", "a OK ~");
	TALK(c, "a CAPABILITY", "* CAPABILITY IMAP4rev1 ~\na OK ~");
	TALK(c, "a NAMESPACE", "* NAMESPACE ((\"\" \"/\")) NIL NIL\na OK ~");
	TALK(c, "a ID NIL", "* ID (\"name\" \"restante\"~\na OK ~");
	TALK(c, "a ID (\"name\" \"x\" \"v\" NIL)", "* ID (~\na OK ~");
	TALK(c, "a ID (\"name\")", "a BAD ~");
	TALK(c, "a ID ()", "* ID (~\na OK ~");
	TALK(c, "a NOOP x", "a BAD ~");
	TALK(c, "a LOGIN x y", "a BAD ~");
	TALK(c, "a XYZZY", "a BAD ~");
	TALK(c, "a", "a BAD ~");
	TALK(c, "", "* BAD ~");
	TALK(c, "+ NOOP", "* BAD ~");
	TALK(c, "a FETCH 1 FLAGS", "a BAD ~");
	TALK(c, "a UID NOOP", "a BAD ~");
	TALK(c, "a UID", "a BAD ~");
	TALK(c, "a ENABLE", "a BAD ~");
	TALK(c, "a ENABLE X-WHAT", "* ENABLED\na OK ~");
	TALK(c, "a LOGOUT", "* BYE ~\na OK ~");
	assert_true(c.closed);
	bye(&c);
}

static void
test_select_fetch(void **state)
{
	struct client c = login();

	(void)state;
	append(&c, "a", "INBOX",
	    "(\\Seen $Forwarded) \"17-Jul-1996 02:44:25 -0700\" ", MSG1);
	append(&c, "a", "INBOX", "", MSG1);
	TALK(c, "a SELECT inbox",
	    "* FLAGS (\\Answered ~ $Forwarded)\n"
	    "* OK [PERMANENTFLAGS (~\\*)] ~\n* 2 EXISTS\n* ~ RECENT\n"
	    "* OK [UNSEEN 2] ~\n* OK [UIDVALIDITY ~] ~\n"
	    "* OK [UIDNEXT 3] ~\n* OK [MAILBOXID (~)] ~\n"
	    "a OK [READ-WRITE] ~");
	TALK(c, "a FETCH 1 (UID FLAGS INTERNALDATE RFC822.SIZE)",
	    "* 1 FETCH (UID 1 FLAGS (\\Seen $Forwarded) INTERNALDATE "
	    "\"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 106)\na OK ~");
	TALK(c, "a fetch 1 fast",
	    "* 1 FETCH (FLAGS (~) INTERNALDATE ~ RFC822.SIZE 106)\na OK ~");
	TALK(c, "a FETCH 1:2 (ENVELOPE)",
	    "* 1 FETCH (ENVELOPE (\"~one~\n* 2 FETCH (ENVELOPE ~\na OK ~");
	TALK(c, "a UID FETCH 2 BODYSTRUCTURE",
	    "* 2 FETCH (UID 2 BODYSTRUCTURE (\"text\" \"plain\" ~))\na OK ~");
	TALK(c, "a FETCH 2 BODY.PEEK[HEADER.FIELDS (SUBJECT)]",
	    "* 2 FETCH (BODY[HEADER.FIELDS (SUBJECT)] {16}\nSubject: "
	    "one\n\n)\na OK ~");
	TALK(c, "a FETCH 2 BODY.PEEK[HEADER.FIELDS (X-Other)]",
	    "* 2 FETCH (BODY[HEADER.FIELDS (X-Other)] {14}\nX-Other: "
	    "y\n\n)\na OK ~");
	TALK(c, "a FETCH 2 BODY.PEEK[TEXT]<5.3>",
	    "* 2 FETCH (BODY[TEXT]<5> {3}\none)\na OK ~");
	TALK(c, "a FETCH 2 BODY.PEEK[1]",
	    "* 2 FETCH (BODY[1] {10}\nbody one\n)\na OK ~");
	TALK(c, "a FETCH 2 BODY.PEEK[9]", "* 2 FETCH (BODY[9] NIL)\na OK ~");
	TALK(c, "a FETCH 2 BODY.PEEK[1.HEADER]",
	    "* 2 FETCH (BODY[1.HEADER] NIL)\na OK ~");
	TALK(c, "a FETCH 2 BODY.PEEK[]<1000.3>",
	    "* 2 FETCH (BODY[]<1000> {0}\n)\na OK ~");
	TALK(c, "a FETCH 2 BODY[]<4294967295.4294967295>",
	    "* 2 FETCH (FLAGS (\\Seen) BODY[]<4294967295> {0}\n)\na OK ~");
	TALK(c, "a FETCH 2 BODY[]<0.0>", "a BAD ~");
	TALK(c, "a FETCH 2 RFC822",
	    "* 2 FETCH (RFC822 {106}\nFrom: ~body one\n)\na OK ~");
	TALK(c, "a FETCH 2 RFC822.HEADER",
	    "* 2 FETCH (RFC822.HEADER {96}\nFrom: ~\n\n)\na OK ~");
	TALK(c, "a FETCH 2 (BINARY.PEEK[1] BINARY.SIZE[1])",
	    "* 2 FETCH (BINARY[1] {10}\nbody one\n BINARY.SIZE[1] 10)\n"
	    "a OK ~");
	TALK(c, "a FETCH 2 (EMAILID THREADID SAVEDATE)",
	    "* 2 FETCH (EMAILID (~) THREADID ~ SAVEDATE "
	    "\"~\")\na OK ~");
	TALK(c, "a FETCH 3 FLAGS", "a BAD ~");
	TALK(c, "a UID FETCH 3:10 FLAGS", "a OK ~");
	TALK(c, "a UID FETCH 9:* FLAGS",
	    "* 2 FETCH (UID 2 FLAGS (\\Seen))\na OK ~");
	TALK(c, "a FETCH 1 (ALL)", "a BAD ~");
	TALK(c, "a FETCH 1 ()", "a BAD ~");
	TALK(c, "a FETCH 1", "a BAD ~");
	TALK(c, "a FETCH 1 BODY[", "a BAD ~");
	TALK(c, "a ENABLE IMAP4rev2", "a BAD ~");
	TALK(c, "a SELECT nowhere", "* OK [CLOSED] ~\na NO [NONEXISTENT] ~");
	TALK(c, "a FETCH 1 FLAGS", "a BAD ~");
	TALK(c, "a EXAMINE INBOX",
	    "~* OK [PERMANENTFLAGS ()] ~\na OK "
	    "[READ-ONLY] ~");
	TALK(c, "a STORE 1 +FLAGS (\\Deleted)", "a NO ~");
	TALK(c, "a EXPUNGE", "a NO ~");
	bye(&c);
}

static void
test_store_expunge(void **state)
{
	struct client c = login();
	struct client d = login();

	(void)state;
	for (int i = 0; i < 4; i++)
		append(&c, "a", "INBOX", "", MSG1);
	TALK(c, "a SELECT INBOX", "~a OK ~");
	TALK(d, "a SELECT INBOX", "~a OK ~");
	TALK(c, "a STORE 1 +Flags \\Deleted",
	    "* 1 FETCH (FLAGS (\\Deleted))\na OK ~");
	TALK(c, "a STORE 2 +FLAGS.SILENT (\\DELETED x)",
	    "* FLAGS (~ x)\n* OK [PERMANENTFLAGS (~ x \\*)] ~\na OK ~");
	TALK(c, "a UID STORE 3 FLAGS ()", "* 3 FETCH (UID 3 FLAGS ())\na OK ~");
	TALK(d, "a NOOP",
	    "* FLAGS ~\n* OK ~\n* 1 FETCH (UID 1 FLAGS (\\Deleted))\n"
	    "* 2 FETCH (UID 2 FLAGS (\\Deleted x))\na OK ~");
	TALK(c, "a STORE 1 +FLAGS (\\Recent)", "a BAD ~");
	TALK(c, "a STORE 1 +FLAGS", "a BAD ~");
	TALK(c, "a STORE 1 GLAFS (x)", "a BAD ~");
	TALK(c, "a UID EXPUNGE 2:4", "* 2 EXPUNGE\na OK ~");
	/* R119: nothing is told in FETCH, STORE, SEARCH by number. */
	TALK(d, "a FETCH 4 UID", "* 4 FETCH (UID 4)\na OK ~");
	TALK(d, "a STORE 2 +FLAGS (\\Seen)", "a NO [EXPUNGEISSUED] ~");
	TALK(d, "a SEARCH ALL", "* SEARCH 1 2 3 4\na OK ~");
	TALK(d, "a FETCH 2 BODY.PEEK[TEXT]",
	    "* 2 FETCH (BODY[TEXT] {10}\nbody one\n)\na OK ~");
	TALK(d, "a UID SEARCH ALL", "* SEARCH 1 2 3 4\n* 2 EXPUNGE\na OK ~");
	TALK(c, "a EXPUNGE", "* 1 EXPUNGE\na OK ~");
	TALK(c, "a STORE 1:2 +FLAGS.SILENT (\\Deleted)", "a OK ~");
	TALK(c, "a CLOSE", "a OK ~");
	TALK(c, "a EXPUNGE", "a BAD ~");
	TALK(d, "a NOOP", "* 1 EXPUNGE\n* 1 EXPUNGE\n* 1 EXPUNGE\na OK ~");
	bye(&c);
	bye(&d);
}

static void
test_append(void **state)
{
	struct client c = login();

	(void)state;
	TALK(c, "a APPEND nowhere {5}", "a NO [TRYCREATE] ~");
	TALK(c, "a APPEND INBOX {5}", "+ ~");
	TALK(c, "a: b\r", "~a OK [APPENDUID ~ 1] ~");
	TALK(c, "a APPEND INBOX (\\Seen \"x {5}", "a BAD ~");
	TALK(c, "a APPEND {5}", "+ ~");
	TALK(c, "INBOX {3+}\r\nabc (\\Seen) {2}", "+ ~");
	TALK(c, "xy", "a OK [APPENDUID ~ 2:3] ~");
	TALK(c, "a APPEND INBOX {0}", "+ ~");
	TALK(c, "", "a NO ~");
	TALK(c, "a APPEND INBOX {3+}\r\na\0b", "a NO ~literal8~");
	TALK(c, "a APPEND INBOX ~{3+}\r\na\0b", "a OK ~");
	TALK(c, "a APPEND INBOX UTF8 (~{3+}\r\nabc)", "a BAD ~");
	TALK(c, "a ENABLE UTF8=ACCEPT", "* ENABLED UTF8=ACCEPT\na OK ~");
	TALK(c, "a APPEND INBOX UTF8 (~{3+}\r\nabc)", "a OK ~");
	TALK(c, "a APPEND INBOX {99999999999}", "a NO [TOOBIG] ~");
	TALK(c, "a APPEND INBOX {3+}\r\nabcd", "a BAD ~");
	TALK(c, "a APPEND INBOX abc", "a BAD ~");
	TALK(c, "a APPEND INBOX", "a BAD ~");
	FAILING(c, 1, ERR_FULL, "a APPEND INBOX {3+}\r\nabc", "a NO [LIMIT] ~");
	TALK(c, "a STATUS INBOX (MESSAGES)",
	    "* STATUS \"INBOX\" (MESSAGES 5)\na OK ~");
	/* A program that announces less than it sends. */
	TALK(c, "a APPEND INBOX {3+}\r\nabc", "a OK ~");
	TALK(c, "garbage", "garbage BAD ~");
	TALK(c, "a NOOP", "a OK ~");
	bye(&c);
}

/* What is refused is read and dropped, never run. R05 */
static void
test_literals(void **state)
{
	struct client c = login();

	(void)state;
	limits.literal_max = 10;
	limits.literal_sum_max = 15;
	limits.literal_count_max = 3;
	limits.message_size_max = 100;
	TALK(c, "a LIST \"\" {10}", "+ ~");
	TALK(c, "0123456789", "a OK ~");
	TALK(c, "a LIST \"\" {11}", "a BAD [TOOBIG] ~");
	TALK(c, "a LIST \"\" {14+}\r\na CREATE evil\r x", "a BAD [TOOBIG] ~");
	TALK(c, "a LIST \"\" {14+}\r\na CREATE evil\r {14+}\r\na CREATE evil\r",
	    "a BAD [TOOBIG] ~");
	TALK(
	    c, "a LIST {10+}\r\n0123456789 {6+}\r\n012345", "a BAD [TOOBIG] ~");
	TALK(c, "a LIST {1+}\r\n1 ({1+}\r\n2 {1+}\r\n3 {1+}\r\n4)",
	    "a BAD [TOOBIG] ~");
	TALK(c, "a SEARCH ~{1+}\r\nx", "a BAD ~");
	TALK(c, "a LIST \"\" {00000001}", "a BAD ~");
	TALK(c, "a LIST \"\" {-1}", "a BAD ~");
	TALK(c, "a APPEND INBOX {101}", "a NO [TOOBIG] ~");
	TALK(c,
	    "a APPEND INBOX {101+}\r\n"
	    "0123456789012345678901234567890123456789012345678"
	    "0123456789012345678901234567890123456789012345678"
	    "ab\r",
	    "a NO [TOOBIG] ~");
	TALK(c, "a APPEND INBOX {3+}\r\na\0b {16+}\r\na CREATE evil\r\nxx",
	    "a NO ~");
	TALK(c, "a LIST \"\" *",
	    "~* LIST (\\HasNoChildren \\Trash) \"/\" \"Trash\"\na OK ~");
	TALK(c, "a LIST \"\" evil", "a OK ~");
	TALK(c, "a NOOP {18446744073709551616+}", "* BYE ~\na BAD ~");
	assert_true(c.closed);
	bye(&c);
}

static void
test_long_line(void **state)
{
	struct client c = login();
	struct buf b = {0};

	(void)state;
	buf_s(&b, "a NOOP ");
	for (size_t i = 0; i < limits.line_max; i++)
		buf_c(&b, '(');
	buf_s(&b, "{13+}\r\na CREATE evil\r\n");
	send_raw(&c, buf_str(&b));
	pump(&c);
	/* "({13+}" is a literal: it is dropped with the line. */
	assert_true(str_ends(buf_str(&c.in), S("The line is too long\r\n")));
	assert_true(str_find(buf_str(&c.in), S("a BAD [TOOBIG]")) < c.in.n);
	buf_reset(&b);
	for (size_t i = 0; i < limits.line_max + 1000; i++)
		buf_c(&b, 't');
	send_raw(&c, buf_str(&b));
	TALK(c, "", "* BAD [TOOBIG] ~");
	TALK(c, "a LIST \"\" evil", "a OK ~");
	buf_free(&b);
	bye(&c);
}

static void
test_copy_move(void **state)
{
	struct client c = login();

	(void)state;
	for (int i = 0; i < 5; i++)
		append(&c, "a", "INBOX", "(k1) ", MSG1);
	TALK(c, "a SELECT INBOX", "~a OK ~");
	TALK(c, "a COPY 1,3 Archive", "a OK [COPYUID ~ 1,3 1:2] ~");
	TALK(c, "a UID COPY 100 Archive", "a OK ~");
	TALK(c, "a COPY 9 Archive", "a BAD ~");
	TALK(c, "a COPY 1 nowhere", "a NO [TRYCREATE] ~");
	TALK(c, "a MOVE 2:3 Trash",
	    "* OK [COPYUID ~ 2:3 1:2] ~\n* 2 EXPUNGE\n* 2 EXPUNGE\n"
	    "a OK ~");
	TALK(c, "a UID MOVE 5 Trash",
	    "* OK [COPYUID ~ 5 3] ~\n* 3 EXPUNGE\na OK ~");
	TALK(c, "a COPY 1:2 INBOX",
	    "* 4 EXISTS\n* ~ RECENT\na OK [COPYUID ~ 1,4 6:7] ~");
	FAILING(c, 1, ERR_IO, "a COPY 1 Archive", "a NO [SERVERBUG] ~");
	TALK(
	    c, "a SELECT Archive", "* OK [CLOSED] ~* FLAGS (~ k1)~* 2 EXISTS~");
	bye(&c);
}

static void
test_idle(void **state)
{
	struct client c = login();
	struct client d = login();

	(void)state;
	TALK(c, "a SELECT INBOX", "~a OK ~");
	TALK(c, "a IDLE", "+ idling");
	append(&d, "a", "INBOX", "", MSG1);
	HEAR(c, "* 1 EXISTS\n* ~ RECENT");
	TALK(d, "a SELECT INBOX", "~a OK ~");
	TALK(d, "a STORE 1 +FLAGS (\\Seen \\Deleted)", "~a OK ~");
	HEAR(c, "* 1 FETCH (UID 1 FLAGS (\\Deleted \\Seen))");
	TALK(d, "a EXPUNGE", "~a OK ~");
	HEAR(c, "* 1 EXPUNGE");
	TALK(c, "done", "a OK ~");
	TALK(c, "a IDLE", "+ idling");
	TALK(c, "NOOP", "a BAD ~");
	TALK(c, "a IDLE", "+ idling");
	TALK(d, "a DELETE INBOX", "a NO [CANNOT] ~");
	TALK(d, "a DELETE Archive", "a OK ~");
	TALK(c, "DONE\r\na SELECT Trash", "~a OK ~");
	TALK(c, "a IDLE", "+ idling");
	TALK(d, "a DELETE Trash", "a OK ~");
	HEAR(c, "* BYE ~");
	assert_true(c.closed);
	bye(&c);
	TALK(d, "a SELECT Sent", "~a OK ~");
	TALK(d, "a DELETE Sent", "* OK [CLOSED] ~\na OK ~");
	TALK(d, "a CLOSE", "a BAD ~");
	bye(&d);
}

static void
test_list(void **state)
{
	struct client c = login();

	(void)state;
	TALK(c, "a CREATE one/two/three", "a OK [MAILBOXID (~)] ~");
	TALK(c, "a CREATE one/two", "a NO [ALREADYEXISTS] ~");
	TALK(c, "a CREATE \"\"", "a NO ~");
	TALK(c, "a CREATE a//b", "a NO ~");
	TALK(c, "a CREATE x/", "a OK ~");
	TALK(c, "a CREATE y (USE (\\Sent))", "a OK ~");
	TALK(c, "a CREATE z (USE (\\All))", "a NO [USEATTR] ~");
	TALK(c, "a CREATE z (USE (\\Sent \\Junk))", "a NO [USEATTR] ~");
	TALK(c, "a CREATE z (USE)", "a BAD ~");
	TALK(c, "a LIST \"\" \"\"", "* LIST (\\Noselect) \"/\" \"\"\na OK ~");
	TALK(c, "a list \"\" %",
	    "* LIST (\\HasNoChildren) \"/\" \"INBOX\"\n~"
	    "* LIST (\\HasNoChildren \\Sent) \"/\" \"Sent\"\n~"
	    "* LIST (\\HasChildren) \"/\" \"one\"\n~a OK ~");
	TALK(c, "a LIST one/ \"*\"",
	    "* LIST (\\HasChildren) \"/\" \"one/two\"\n"
	    "* LIST (\\HasNoChildren) \"/\" \"one/two/three\"\na OK ~");
	TALK(c, "a LIST \"\" inbox/", "* LIST (~) \"/\" \"INBOX\"\na OK ~");
	TALK(c,
	    "a LIST \"\" (one x) RETURN (SUBSCRIBED CHILDREN STATUS "
	    "(MESSAGES SIZE))",
	    "* LIST (\\HasChildren) \"/\" \"one\"\n"
	    "* STATUS \"one\" (MESSAGES 0 SIZE 0)\n"
	    "* LIST (\\HasNoChildren) \"/\" \"x\"\n"
	    "* STATUS \"x\" (MESSAGES 0 SIZE 0)\na OK ~");
	TALK(c, "a LIST (SPECIAL-USE) \"\" \"*\" RETURN (SPECIAL-USE)",
	    "* LIST (\\HasNoChildren \\Archive) ~\na OK ~");
	TALK(c, "a SUBSCRIBE one/two/three", "a OK ~");
	TALK(c, "a SUBSCRIBE gone/one", "a OK ~");
	TALK(c, "a LSUB \"\" \"one/%\"",
	    "* LSUB (\\Noselect) \"/\" \"one/two\"\na OK ~");
	TALK(c, "a LSUB \"\" \"o*\"",
	    "* LSUB () \"/\" \"one/two/three\"\na OK ~");
	TALK(c, "a LSUB \"\" \"g%\"",
	    "* LSUB (\\Noselect) \"/\" \"gone\"\na OK ~");
	TALK(c, "a LIST (SUBSCRIBED) \"\" \"g*\"",
	    "* LIST (\\NonExistent \\Subscribed) \"/\" \"gone/one\"\n"
	    "a OK ~");
	TALK(c, "a LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (g% o%)",
	    "* LIST (\\HasChildren) \"/\" \"one\" (\"CHILDINFO\" "
	    "(\"SUBSCRIBED\"))\n* LIST (\\NonExistent) \"/\" \"gone\" "
	    "(\"CHILDINFO\" (\"SUBSCRIBED\"))\na OK ~");
	TALK(c, "a LIST (RECURSIVEMATCH) \"\" *", "a BAD ~");
	TALK(c, "a LIST (NONSENSE) \"\" *", "a BAD ~");
	TALK(c, "a LIST \"\" \"*%*%*%*%*%*%*\"", "~a OK ~");
	TALK(c, "a RENAME one uno", "a OK ~");
	TALK(c, "a RENAME one uno", "a NO [NONEXISTENT] ~");
	TALK(c, "a RENAME uno uno/x", "a NO ~");
	TALK(c, "a DELETE uno/two", "a OK ~");
	TALK(c, "a SELECT uno/two", "a NO [CANNOT] ~");
	TALK(c, "a LIST \"\" uno/two",
	    "* LIST (\\Noselect \\HasChildren) \"/\" \"uno/two\"\na OK ~");
	TALK(c,
	    "a STATUS Sent (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN "
	    "DELETED SIZE MAILBOXID APPENDLIMIT)",
	    "* STATUS \"Sent\" (MESSAGES 0 RECENT 0 UIDNEXT 1 UIDVALIDITY "
	    "~ UNSEEN 0 DELETED 0 SIZE 0 MAILBOXID (~) APPENDLIMIT "
	    "52428800)\na OK ~");
	TALK(c, "a STATUS Sent (HIGHESTMODSEQ)", "a BAD ~");
	TALK(c, "a STATUS Sent ()", "a BAD ~");
	TALK(c, "a STATUS nowhere (MESSAGES)", "a NO [NONEXISTENT] ~");
	bye(&c);
}

/* One mailbox, two spellings. R44 R45 */
static void
test_names(void **state)
{
	struct client c = login();
	struct client d = login();

	(void)state;
	TALK(c, "a CREATE \"Entw&APw-rfe\"", "a OK ~");
	TALK(c, "a LIST \"\" \"E*\"",
	    "* LIST (~) \"/\" \"Entw&APw-rfe\"\na OK ~");
	TALK(c, "a SELECT \"Entw&AHUDCA-rfe\"", "a NO ~");
	TALK(c, "a SELECT \"Entw\xc3\xbcrfe\"", "a NO ~");
	TALK(c, "a CREATE \"&bad\"", "a NO [CANNOT] ~");
	TALK(c, "a CREATE \"&AC8-\"", "a NO [CANNOT] ~");
	TALK(c, "a LIST \"\" \"&bad\"", "a OK ~");
	TALK(d, "a ENABLE IMAP4rev2 UTF8=ACCEPT",
	    "* ENABLED IMAP4rev2 UTF8=ACCEPT\na OK ~");
	TALK(d, "a LIST \"\" \"E*\"",
	    "* LIST (~) \"/\" \"Entw\xc3\xbcrfe\"\na OK ~");
	/* NFD is the same name. */
	TALK(d, "a SELECT \"Entwu\xcc\x88rfe\"",
	    "~* 0 EXISTS\n* OK [UIDVALIDITY ~* LIST () \"/\" "
	    "\"Entw\xc3\xbcrfe\" "
	    "(\"OLDNAME\" (\"Entwu\xcc\x88rfe\"))\na OK ~");
	TALK(d, "a CREATE a&b", "a OK ~");
	TALK(c, "a STATUS \"a&-b\" (MESSAGES)",
	    "* STATUS \"a&-b\" (MESSAGES 0)\na OK ~");
	TALK(d, "a SEARCH ALL", "* ESEARCH (TAG \"a\")\na OK ~");
	bye(&c);
	bye(&d);
}

static void
test_search(void **state)
{
	struct client c = login();

	(void)state;
	TALK(c, "a SELECT INBOX", "~a OK ~");
	TALK(c, "a SEARCH ALL", "* SEARCH\na OK ~");
	TALK(c, "a FETCH 1:* FLAGS", "a BAD ~");
	TALK(c, "a UID FETCH 1:* FLAGS", "a OK ~");
	for (int i = 0; i < 5; i++)
		append(&c, "a", "INBOX", i % 2 ? "(\\Seen) " : "", MSG1);
	TALK(c, "a SEARCH 1:4 UNSEEN", "* SEARCH 1 3\na OK ~");
	TALK(c, "a search (not seen) (or 1 2)", "* SEARCH 1\na OK ~");
	TALK(c, "a UID SEARCH UID 2:3,9 *", "* SEARCH\na OK ~");
	TALK(c, "a SEARCH CHARSET UTF-8 ALL", "* SEARCH 1 2 3 4 5\na OK ~");
	TALK(c, "a SEARCH CHARSET WHAT ALL", "a NO [BADCHARSET (~)] ~");
	TALK(c, "a SEARCH SUBJECT {3+}\r\none", "* SEARCH 1 2 3 4 5\na OK ~");
	TALK(c, "a SEARCH RETURN (MIN MAX COUNT) SEEN",
	    "* ESEARCH (TAG \"a\") MIN 2 MAX 4 COUNT 2\na OK ~");
	TALK(c, "a UID SEARCH RETURN () 2:4",
	    "* ESEARCH (TAG \"a\") UID ALL 2:4\na OK ~");
	TALK(c, "a SEARCH RETURN (COUNT) DELETED",
	    "* ESEARCH (TAG \"a\") COUNT 0\na OK ~");
	TALK(c, "a SEARCH RETURN (SAVE) SEEN", "a OK ~");
	TALK(
	    c, "a FETCH $ UID", "* 2 FETCH (UID 2)\n* 4 FETCH (UID 4)\na OK ~");
	TALK(c, "a SEARCH NOT $", "* SEARCH 1 3 5\na OK ~");
	TALK(c, "a UID SEARCH UID $", "* SEARCH 2 4\na OK ~");
	TALK(c, "a SEARCH RETURN (SAVE MAX) SEEN",
	    "* ESEARCH (TAG \"a\") MAX 4\na OK ~");
	TALK(c, "a UID STORE $ +FLAGS (\\Deleted)",
	    "* 4 FETCH (UID 4 FLAGS (\\Deleted \\Seen))\na OK ~");
	TALK(c, "a EXPUNGE", "* 4 EXPUNGE\na OK ~");
	TALK(c, "a FETCH $ UID", "a OK ~");
	TALK(c, "a SEARCH KEYWORD x UNKEYWORD y", "* SEARCH\na OK ~");
	TALK(c, "a SEARCH BEFORE 1-Feb-1994 OLDER 10", "* SEARCH\na OK ~");
	TALK(c, "a SEARCH SINCE 31-Feb-1994", "a BAD ~");
	TALK(c, "a SEARCH YOUNGER 0", "a BAD ~");
	TALK(c, "a SEARCH NOT", "a BAD ~");
	TALK(c, "a SEARCH OR 1", "a BAD ~");
	TALK(c, "a SEARCH ()", "a BAD ~");
	TALK(c, "a SEARCH", "a BAD ~");
	TALK(c, "a SEARCH RETURN (X) ALL", "a BAD ~");
	TALK(c, "a SEARCH SAVEDATESUPPORTED", "* SEARCH 1 2 3 4\na OK ~");
	TALK(c, "a SEARCH EMAILID M1 THREADID T1", "* SEARCH\na OK ~");
	bye(&c);
}

/* Nesting and number of keys at their bounds. R60 R124 */
static void
test_search_limits(void **state)
{
	struct client c = login();
	struct buf b = {0};

	(void)state;
	TALK(c, "a SELECT INBOX", "~a OK ~");
	for (int over = 0; over < 2; over++) {
		size_t n = (size_t)limits.search_depth_max + (size_t)over;

		buf_reset(&b);
		buf_s(&b, "a SEARCH ");
		for (size_t i = 0; i < n; i++)
			buf_c(&b, '(');
		buf_s(&b, "ALL");
		for (size_t i = 0; i < n; i++)
			buf_c(&b, ')');
		talk_at(__LINE__, &c, buf_str(&b),
		    over ? "a BAD ~" : "* SEARCH\na OK ~");
		buf_reset(&b);
		n = (size_t)limits.search_keys_max + (size_t)over;
		buf_s(&b, "a SEARCH");
		for (size_t i = 0; i < n; i++)
			buf_s(&b, " ALL");
		talk_at(__LINE__, &c, buf_str(&b),
		    over ? "a BAD ~" : "* SEARCH\na OK ~");
	}
	buf_free(&b);
	bye(&c);
}

/* R124: idle_s -1 0 +1, in milliseconds; in IDLE, too. */
static void
test_idle_ends(void **state)
{
	/* Time goes on only. */
	int64_t start = os_mono_ms() + 1000000;

	(void)state;
	limits.idle_s = 60;
	for (int i = 0; i < 6; i++) {
		int64_t now = start + i * 1000000;
		struct client c;

		os_clock_fix(now, now);
		c = login();
		/* The command begins its time anew. */
		now += 59000;
		os_clock_fix(now, now);
		if (i % 2 == 0)
			TALK(c, "a NOOP", "a OK ~");
		else
			TALK(c, "a IDLE", "+ ~");
		now += 60000 + i / 2 - 1;
		os_clock_fix(now, now);
		pump(&c);
		assert_int_equal(c.closed, i / 2 > 0);
		bye(&c);
	}
	os_clock_fix(-1, -1);
}

static void
test_bad_commands(void **state)
{
	struct client c = login();

	(void)state;
	limits.bad_commands_max = 3;
	TALK(c, "a X", "a BAD ~");
	TALK(c, "a X", "a BAD ~");
	TALK(c, "a NOOP", "a OK ~");
	TALK(c, "a X", "a BAD ~");
	TALK(c, "a X", "a BAD ~");
	TALK(c, "a X", "a BAD ~\n* BYE ~");
	assert_true(c.closed);
	bye(&c);
}

/* More output than the queue takes at once. */
static void
test_much(void **state)
{
	struct client c = login();
	struct buf b = {0};
	size_t lines = 0;

	(void)state;
	for (int i = 0; i < 300; i++)
		append(&c, "a", "INBOX", "", MSG1);
	TALK(c, "a SELECT INBOX", "~a OK ~");
	buf_s(&b, "a FETCH 1:* (FLAGS");
	for (int i = 0; i < 100; i++)
		buf_s(&b, " BODY.PEEK[] BODY.PEEK[TEXT]");
	buf_s(&b, ")");
	talk_at(__LINE__, &c, buf_str(&b), "* 1 FETCH ~a OK ~");
	buf_reset(&b);
	buf_s(&b, "a STORE 1:* +FLAGS (\\Deleted)\r\nb EXPUNGE\r\n");
	send_raw(&c, buf_str(&b));
	pump(&c);
	for (str s = buf_str(&c.in); s.n > 0; lines++)
		(void)str_cut(&s, '\n');
	assert_int_equal(lines, 300 + 1 + 300 + 1);
	TALK(c, "a UID SEARCH 1:*", "* SEARCH\na OK ~");
	buf_free(&b);
	bye(&c);
}

static void
test_stop(void **state)
{
	struct client c[2] = {login(), login()};

	(void)state;
	TALK(c[1], "a IDLE", "+ idling");
	net_poke_all(net);
	HEAR(c[1], "");
	net_stop(net);
	for (int i = 0; i < 2; i++) {
		char got[100] = {0};

		assert_true(read(c[i].fd, got, sizeof(got)) > 0);
		assert_true(str_starts(str_c(got), S("* BYE ")));
		assert_int_equal(read(c[i].fd, got, sizeof(got)), 0);
		bye(&c[i]);
	}
}

static void
test_rev2(void **state)
{
	struct client c = login();

	(void)state;
	append(&c, "a", "INBOX", "", MSG1);
	TALK(c, "a ENABLE IMAP4rev2", "* ENABLED IMAP4rev2\na OK ~");
	TALK(c, "a SELECT INBOX",
	    "* FLAGS ~\n* OK [PERMANENTFLAGS ~\n* 1 EXISTS\n"
	    "* OK [UIDVALIDITY ~\n* OK [UIDNEXT 2] ~\n"
	    "* OK [MAILBOXID ~\n* LIST () \"/\" \"INBOX\"\na OK ~");
	TALK(c, "a UID SEARCH CHARSET UTF-8 ALL",
	    "* ESEARCH (TAG \"a\") UID ALL 1\na OK ~");
	append(&c, "a", "INBOX", "", MSG1);
	TALK(c, "a SEARCH RETURN (COUNT SAVE) 1:*",
	    "* ESEARCH (TAG \"a\") COUNT 2\na OK ~");
	TALK(c, "a COPY $ Sent", "a OK [COPYUID ~ 1:2 1:2] ~");
	TALK(c, "a UNSELECT", "a OK ~");
	TALK(c, "a LIST \"\" Sent RETURN (SPECIAL-USE)",
	    "* LIST (\\HasNoChildren \\Sent) \"/\" \"Sent\"\na OK ~");
	bye(&c);
}

#define MSG2                                                       \
	"Subject: two\r\nMIME-Version: 1.0\r\n"                    \
	"Content-Type: multipart/mixed; boundary=x\r\n\r\n"        \
	"--x\r\nContent-Transfer-Encoding: base64\r\n\r\nYQBj\r\n" \
	"--x\r\nContent-Type: message/rfc822\r\n\r\n"              \
	"Subject: in\r\nX: y\r\n\r\nbody in\r\n"                   \
	"--x\r\nContent-Transfer-Encoding: x-what\r\n\r\n???\r\n--x--\r\n"

static void
test_parts(void **state)
{
	struct client c = login();

	(void)state;
	append(&c, "a", "INBOX", "", MSG2);
	TALK(c, "a EXAMINE INBOX", "~a OK ~");
	TALK(c, "a FETCH 1 BODY[1]", "* 1 FETCH (BODY[1] {4}\nYQBj)\na OK ~");
	TALK(c, "a FETCH 1 BODY[1.MIME]",
	    "* 1 FETCH (BODY[1.MIME] {37}\nContent-Transfer-Encoding: "
	    "base64\n\n)\na OK ~");
	TALK(c, "a FETCH 1 BINARY.SIZE[1]",
	    "* 1 FETCH (BINARY.SIZE[1] 3)\na OK ~");
	buf_reset(&c.in);
	send_raw(&c, S("a FETCH 1 BINARY[1]\r\n"));
	pump(&c);
	assert_true(str_starts(
	    buf_str(&c.in), S("* 1 FETCH (BINARY[1] ~{3}\r\na\0c)\r\n")));
	TALK(c, "a FETCH 1 BINARY[1]<2.9>",
	    "* 1 FETCH (BINARY[1]<2> {1}\nc)\na OK ~");
	TALK(c, "a FETCH 1 BINARY[3]",
	    "* 1 FETCH (BINARY[3] NIL)\na NO [UNKNOWN-CTE] ~");
	TALK(c, "a FETCH 1 BODY[2.HEADER]",
	    "* 1 FETCH (BODY[2.HEADER] {21}\nSubject: in\nX: y\n\n)\na OK ~");
	TALK(c, "a FETCH 1 BODY[2.TEXT]",
	    "* 1 FETCH (BODY[2.TEXT] {7}\nbody in)\na OK ~");
	TALK(c, "a FETCH 1 BODY[2.1]",
	    "* 1 FETCH (BODY[2.1] {7}\nbody in)\na OK ~");
	TALK(c, "a FETCH 1 BODY[2.HEADER.FIELDS.NOT (X)]",
	    "* 1 FETCH (BODY[2.HEADER.FIELDS.NOT (X)] {15}\nSubject: in\n\n)"
	    "\na OK ~");
	TALK(c, "a FETCH 1 BODY[1.TEXT]",
	    "* 1 FETCH (BODY[1.TEXT] NIL)\na OK ~");
	TALK(c, "a FETCH 1 BODY",
	    "* 1 FETCH (BODY ((~)(\"message\" \"rfc822\" ~)(~) \"mixed\"))\n"
	    "a OK ~");
	bye(&c);
}

/* A UIDVALIDITY is the second of its making: two stores may differ in it. */
static void
without_uidvalidity(struct buf *b)
{
	size_t to = 0;

	for (size_t i = 0, run = 0; i < b->n; i++) {
		run = b->p[i] >= '0' && b->p[i] <= '9' ? run + 1 : 0;
		if (run < 10)
			b->p[to++] = b->p[i];
		else if (run == 10)
			to -= 9;
	}
	b->n = to;
}

/* All commands in one write, and byte by byte: the same answers. R08 */
static void
test_split(void **state)
{
	static const char all[] =
	    "a APPEND INBOX {3+}\r\nabc\r\nb SELECT INBOX\r\n"
	    "c FETCH 1 BODY.PEEK[]\r\nd SEARCH BODY {1+}\r\na\r\n"
	    "e NOOP\r\n\r\nf APPEND INBOX (\\Seen) {2+}\r\nxy {1+}\r\nz\r\n"
	    "g IDLE\r\nDONE\r\nh UNSELECT\r\n";
	struct buf first = {0};

	(void)state;
	for (int round = 0; round < 2; round++) {
		struct client c = login();

		buf_reset(&c.in);
		if (round == 0) {
			send_raw(&c, S(all));
		} else {
			for (size_t i = 0; i + 1 < sizeof(all); i++)
				send_raw(&c, str_of(all + i, 1));
		}
		pump(&c);
		without_uidvalidity(&c.in);
		buf_c(&c.in, '\0');
		if (round == 0)
			buf_str_add(&first, buf_str(&c.in));
		else
			assert_string_equal(first.p, c.in.p);
		bye(&c);
		pump(&c);
		buf_free(&c.in);
		world_end(&store);
		store = world_begin();
		env.store = store;
	}
	assert_true(str_find(buf_str(&first), S("h OK ")) < first.n);
	buf_free(&first);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	    T(test_basic),
	    T(test_select_fetch),
	    T(test_store_expunge),
	    T(test_append),
	    T(test_literals),
	    T(test_long_line),
	    T(test_copy_move),
	    T(test_idle),
	    T(test_idle_ends),
	    T(test_list),
	    T(test_names),
	    T(test_search),
	    T(test_search_limits),
	    T(test_bad_commands),
	    T(test_much),
	    T(test_stop),
	    T(test_rev2),
	    T(test_parts),
	    T(test_split),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
