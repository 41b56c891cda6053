/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * login: dialogues before login, with an auth and a mail that are played
 * here. Each is run whole, byte by byte, and split at random (R08).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "login/login.h"
#include "fake/fake_net.h"
#include "proto/pop3.h"

struct world {
	struct net *net;
	struct chan *auth, *mail;
	struct login_env *env;
	struct conn *c;
	struct buf starts;  /* what auth was asked, for reading */
	struct buf session; /* what mail was given */
	unsigned aborts;
	bool mute; /* auth does not answer */
};

/* ---- auth: the password is "correct horse" for everybody ---- */

static void
auth_fail(struct world *w, uint64_t conn, enum auth_fail why)
{
	struct msg m;

	msg_new(&m, MSG_AUTH_FAILED);
	msg_u64(&m, conn);
	msg_u8(&m, (uint8_t)why);
	msg_u32(&m, 0);
	fake_read(&m);
	assert_true(login_auth_reply(w->env, &m));
}

static void
auth_challenge(struct world *w, uint64_t conn, str data)
{
	struct msg m;

	msg_new(&m, MSG_AUTH_CHALLENGE);
	msg_u64(&m, conn);
	msg_str(&m, data);
	fake_read(&m);
	assert_true(login_auth_reply(w->env, &m));
}

static void
auth_done(struct world *w, uint64_t conn, str name, bool has_final, str final)
{
	struct msg m;

	msg_new(&m, MSG_AUTH_DONE);
	msg_u64(&m, conn);
	msg_bytes(&m, "0123456789abcdef", 16);
	msg_u64(&m, 7);
	msg_str(&m, name);
	msg_u8(&m, has_final);
	msg_str(&m, final);
	fake_read(&m);
	assert_true(login_auth_reply(w->env, &m));
}

static void
auth_judge(struct world *w, uint64_t conn, str mech, str data)
{
	if (str_eq(mech, S("SCRAM-SHA-256"))) {
		if (str_eq(data, S("first")))
			auth_challenge(w, conn, S("second"));
		else if (str_eq(data, S("third")))
			auth_done(w, conn, S("ann"), true, S("v=final"));
		else
			auth_fail(w, conn, AUTH_WRONG);
		return;
	}
	if (str_find(data, S("down")) < data.n)
		auth_fail(w, conn, AUTH_TEMP);
	else if (str_ends(data, str_of("\0correct horse", 14)))
		auth_done(w, conn, S("ann"), false, STR_NONE);
	else
		auth_fail(w, conn, AUTH_WRONG);
}

static void
auth_started(struct world *w, struct msg *m, uint64_t conn)
{
	str mech, initial;
	bool has;

	buf_f(&w->starts, "%u ", msg_get_u8(m));
	mech = msg_get_str(m);
	has = msg_get_u8(m);
	initial = msg_get_str(m);
	(void)msg_get_str(m);
	buf_f(&w->starts, "[%.*s]", STR_ARG(mech));
	buf_s(&w->starts, " ");
	buf_str_add(&w->starts, msg_get_str(m));
	buf_f(&w->starts, "%s\n", msg_get_u8(m) ? " tls" : "");
	(void)msg_get_str(m);
	(void)msg_get_str(m);
	assert_true(msg_end(m));
	if (w->mute)
		return;
	if (has)
		auth_judge(w, conn, mech, initial);
	else
		auth_challenge(w, conn, STR_NONE);
}

static void
auth_got(void *arg, struct msg *m)
{
	struct world *w = arg;
	uint64_t conn = msg_get_u64(m);
	str starts = buf_str(&w->starts), data;

	if (m->type == MSG_AUTH_ABORT) {
		w->aborts++;
		return;
	}
	if (m->type == MSG_AUTH_START) {
		auth_started(w, m, conn);
		return;
	}
	assert_int_equal(m->type, MSG_AUTH_STEP);
	data = msg_get_str(m);
	assert_true(msg_end(m));
	if (!w->mute)
		auth_judge(w, conn,
		    str_find(starts, S("SCRAM")) < starts.n ? S("SCRAM-SHA-256")
							    : S("PLAIN"),
		    data);
}

static void
mail_got(void *arg, struct msg *m)
{
	struct world *w = arg;
	uint8_t grant[16], protocol;
	struct pop3_pass pass;
	str tag;
	int fd;

	assert_int_equal(m->type, MSG_SESSION);
	(void)msg_get_u64(m);
	msg_get_bytes(m, grant, sizeof(grant));
	assert_memory_equal(grant, "0123456789abcdef", 16);
	protocol = msg_get_u8(m);
	tag = msg_get_str(m);
	if (protocol == PROTO_POP3) {
		assert_true(pop3_pass_get(tag, &pass));
		buf_f(&w->session, "pop3 utf8=%d user=%d mechs=%.*s", pass.utf8,
		    pass.user, STR_ARG(pass.mechs));
	} else {
		buf_f(&w->session, "imap tag=%.*s", STR_ARG(tag));
	}
	buf_s(&w->session, " text=");
	buf_str_add(&w->session, msg_get_str(m));
	buf_s(&w->session, " input=");
	buf_str_add(&w->session, msg_get_str(m));
	(void)msg_get_str(m);
	(void)msg_get_u16(m);
	buf_f(&w->session, " tls=%u", msg_get_u8(m));
	(void)msg_get_str(m);
	(void)msg_get_str(m);
	fd = msg_get_fd(m);
	assert_true(fd >= 0);
	os_close(&fd);
	assert_true(msg_end(m));
}

static void
mechs(struct world *w)
{
	struct msg m;

	msg_new(&m, MSG_AUTH_MECHS);
	msg_str(&m, S("PLAIN LOGIN SCRAM-SHA-256"));
	msg_str(&m, S("PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS EXTERNAL"));
	fake_read(&m);
	assert_true(login_auth_reply(w->env, &m));
}

static void
open_world(struct world *w, const struct service *s, const char *peer, bool tls)
{
	struct login_opts o = {.hostname = S("mail.example"), .tls = true};

	*w = (struct world){0};
	w->net = o.net = fake_net();
	w->auth = o.auth = fake_chan(auth_got, w);
	w->mail = o.mail = fake_chan(mail_got, w);
	w->env = login_env_new(&o);
	mechs(w);
	fake_tls(w->net, tls);
	w->c = fake_open(w->net, s, w->env, peer);
}

static void
close_world(struct world *w)
{
	fake_net_free(&w->net);
	login_env_free(&w->env);
	fake_chan_free(&w->auth);
	fake_chan_free(&w->mail);
	buf_free(&w->starts);
	buf_free(&w->session);
}

static uint32_t
chance(uint32_t *seed)
{
	return *seed = *seed * 1664525 + 1013904223;
}

/* Sends input in pieces of n octets; n 0: split at random. */
static void
send_in(struct world *w, str input, size_t n, uint32_t *seed)
{
	while (input.n > 0) {
		size_t k = n > 0 ? n : 1 + chance(seed) / 4096 % 9;

		fake_input(w->c, str_head(input, k));
		input = str_from(input, k);
	}
}

struct dialogue {
	const struct service *s;
	const char *peer;
	bool tls;
	str in;
	const char *out;     /* behind the greeting; "*" ends a prefix */
	const char *session; /* what mail got, or "" */
};

#define LOOP "127.0.0.1:5000"
#define FAR "192.0.2.7:5000"
#define REFUSED                                                               \
	"NO [PRIVACYREQUIRED] No password in clear: send STARTTLS first, or " \
	"connect with TLS\r\n"
#define WRONG "NO [AUTHENTICATIONFAILED] Wrong name or password\r\n"
#define P_REFUSED \
	"-ERR No password in clear: send STLS first, or connect with TLS\r\n"
#define BAD_LINE "* BAD A line is: tag, space, command\r\n"
#define BAD_AUTH "BAD Say AUTHENTICATE mechanism\r\n"
#define MECHS "mechs=PLAIN LOGIN SCRAM-SHA-256"

/* clang-format off */
static const struct dialogue dialogues[] = {
	/* IMAP */
	{&login_imap, LOOP, false, S("a NOOP\r\nb noop\nc LOGOUT\r\n"),
	 "a OK Nothing done\r\nb OK Nothing done\r\n"
	 "* BYE Until next time\r\nc OK Logged out\r\n", ""},
	{&login_imap, LOOP, false, S("a LOGIN ann \"correct horse\"\r\n"),
	 "", "imap tag=a text=Logged in input= tls=0"},
	{&login_imap, LOOP, false, S("a login {3}\r\nann {13}\r\ncorrect horse\r\n"),
	 "+ Go on\r\n+ Go on\r\n", "imap tag=a text=Logged in input= tls=0"},
	{&login_imap, LOOP, false, S("a LOGIN {3+}\r\nann {13+}\r\ncorrect horse\r\n"),
	 "", "imap tag=a text=Logged in input= tls=0"},
	{&login_imap, LOOP, false, S("a LOGIN \"\xc3\xa4nn\" {3}\r\n\xe4\xff!\r\nb NOOP\r\n"),
	 "+ Go on\r\na " WRONG "b OK Nothing done\r\n", ""},
	{&login_imap, LOOP, false, S("a LOGIN ann wrong\r\nb NOOP\r\n"),
	 "a " WRONG "b OK Nothing done\r\n", ""},
	{&login_imap, LOOP, false, S("a LOGIN ann down\r\n"), "a NO [UNAVAILABLE] *", ""},
	{&login_imap, LOOP, false, S("a LOGIN ann\r\nb LOGIN ann x y\r\n"),
	 "a BAD Say LOGIN name password\r\nb BAD Say LOGIN name password\r\n", ""},
	/* R23: refused before the password is sent, or looked at */
	{&login_imap, FAR, false, S("a LOGIN ann {5}\r\nb LOGIN ann secret\r\n"),
	 "a " REFUSED "b " REFUSED, ""},
	{&login_imap, FAR, false, S("a LOGIN ann {6+}\r\nsecret\r\nb NOOP\r\n"),
	 "a " REFUSED "b OK Nothing done\r\n", ""},
	{&login_imap, FAR, false, S("a AUTHENTICATE PLAIN AGFubgBzZWNyZXQ=\r\n"),
	 "a " REFUSED, ""},
	{&login_imap, FAR, true, S("a LOGIN ann \"correct horse\"\r\n"),
	 "", "imap tag=a text=Logged in input= tls=1"},
	/* SASL */
	{&login_imap, LOOP, false, S("a AUTHENTICATE PLAIN AGFubgBjb3JyZWN0IGhvcnNl\r\n"),
	 "", "imap tag=a text=Logged in input= tls=0"},
	{&login_imap, LOOP, false, S("a AUTHENTICATE plain\r\nAGFubgBjb3JyZWN0IGhvcnNl\r\n"),
	 "+ \r\n", "imap tag=a text=Logged in input= tls=0"},
	{&login_imap, LOOP, false, S("a AUTHENTICATE PLAIN\r\n*\r\nb NOOP\r\n"),
	 "+ \r\na BAD Login given up, as you wished\r\nb OK Nothing done\r\n", ""},
	/* R31, R36: bad base64 ends this attempt and nothing else */
	{&login_imap, LOOP, false, S("a AUTHENTICATE PLAIN\r\nAB=C\r\nb NOOP\r\n"),
	 "+ \r\na BAD That is no base64: login given up\r\nb OK Nothing done\r\n", ""},
	{&login_imap, LOOP, false, S("a AUTHENTICATE PLAIN !!!\r\n"),
	 "a BAD The initial response is no base64\r\n", ""},
	{&login_imap, LOOP, false, S("a AUTHENTICATE PLAIN =\r\n"), "a " WRONG, ""},
	{&login_imap, LOOP, false, S("a AUTHENTICATE CRAM-MD5\r\n"), "a NO [CANNOT] *", ""},
	{&login_imap, LOOP, false, S("a AUTHENTICATE SCRAM-SHA-256-PLUS\r\n"),
	 "a NO [CANNOT] *", ""},
	{&login_imap, LOOP, false,
	 S("a AUTHENTICATE SCRAM-SHA-256 Zmlyc3Q=\r\ndGhpcmQ=\r\n\r\n"),
	 "+ c2Vjb25k\r\n+ dj1maW5hbA==\r\n", "imap tag=a text=Logged in input= tls=0"},
	{&login_imap, LOOP, false,
	 S("a AUTHENTICATE SCRAM-SHA-256 Zmlyc3Q=\r\ndGhpcmQ=\r\nAAAA\r\n"),
	 "+ c2Vjb25k\r\n+ dj1maW5hbA==\r\na BAD That is no base64: login given up\r\n", ""},
	{&login_imap, LOOP, false, S("a AUTHENTICATE\r\nb AUTHENTICATE PLAIN \r\n"),
	 "a " BAD_AUTH "b " BAD_AUTH, ""},
	/* R11: the commands of later states */
	{&login_imap, LOOP, false,
	 S("a SELECT INBOX\r\nb UID FETCH 1 FLAGS\r\nc FROB\r\nd APPEND x {9}\r\ne NOOP x\r\n"),
	 "a BAD Log in first\r\nb BAD Log in first\r\nc BAD There is no such command\r\n"
	 "d BAD Log in first\r\ne BAD Nothing may follow that command\r\n", ""},
	/* R09 */
	{&login_imap, LOOP, false, S("\r\n* NOOP\r\n+ NOOP\r\na\r\n a NOOP\r\n"),
	 BAD_LINE BAD_LINE BAD_LINE "*", ""},
	{&login_imap, LOOP, false,
	 S("a ID NIL\r\nb ID (\"name\" \"x\" \"os\" NIL)\r\nc ID (\r\n"),
	 "* ID (\"name\" \"restante\")\r\na OK Nice to meet you\r\n"
	 "* ID (\"name\" \"restante\")\r\nb OK Nice to meet you\r\nc BAD *", ""},
	/* R04, R05 */
	{&login_imap, LOOP, false, S("a LOGIN {4294967295}\r\nb NOOP\r\n"), "a BAD [LIMIT] *", ""},
	{&login_imap, LOOP, false, S("a LOGIN {18446744073709551616}\r\n"), "a BAD *", ""},
	{&login_imap, LOOP, false, S("a LOGIN {99999+}\r\nb NOOP\r\n"), "* BYE *", ""},
	{&login_imap, LOOP, true, S("a STARTTLS\r\n"), "a BAD TLS is on already\r\n", ""},
	/* R25 */
	{&login_imap, LOOP, false, S("GET / HTTP/1.1\r\nHost: x\r\n"), "", ""},
	{&login_pop3, LOOP, false, S("POST /mail HTTP/1.1\r\n\r\nUSER x\r\n"), "", ""},
	/* POP3 */
	{&login_pop3, LOOP, false, S("USER ann\r\nPASS correct horse\r\n"),
	 "+OK Now the password\r\n",
	 "pop3 utf8=0 user=1 " MECHS " text=Logged in input= tls=0"},
	{&login_pop3, LOOP, false,
	 S("UTF8\r\nSTLS\r\nUSER ann\r\nPASS nope\r\nPASS correct horse\r\n"),
	 "+OK UTF-8 it is\r\n-ERR STLS comes before UTF8\r\n+OK Now the password\r\n"
	 "-ERR [AUTH] Wrong name or password\r\n-ERR Say USER first\r\n", ""},
	{&login_pop3, LOOP, false, S("USER ann\r\nPASS down\r\n"),
	 "+OK Now the password\r\n-ERR [SYS/TEMP] *", ""},
	{&login_pop3, FAR, false, S("USER ann\r\nPASS secret\r\nAUTH PLAIN\r\n"),
	 P_REFUSED P_REFUSED P_REFUSED, ""},
	{&login_pop3, LOOP, false, S("AUTH\r\n"),
	 "+OK\r\nPLAIN\r\nLOGIN\r\nSCRAM-SHA-256\r\n.\r\n", ""},
	{&login_pop3, FAR, false, S("AUTH\r\n"), "+OK\r\nSCRAM-SHA-256\r\n.\r\n", ""},
	{&login_pop3, FAR, true, S("AUTH PLAIN\r\nAGFubgBjb3JyZWN0IGhvcnNl\r\n"),
	 "+ \r\n", "pop3 utf8=0 user=1 " MECHS " text=Logged in input= tls=1"},
	{&login_pop3, LOOP, false, S("AUTH PLAIN\r\n*\r\nAUTH PLAIN x\r\n"),
	 "+ \r\n-ERR Login given up, as you wished\r\n"
	 "-ERR The initial response is no base64\r\n", ""},
	{&login_pop3, LOOP, false,
	 S("STAT\r\nRETR 1\r\nNOOP\r\nAPOP a b\r\nFROB\r\nQUIT x\r\n\r\nLANG\r\n"
	   "LANG *\r\nLANG xx\r\nQUIT\r\n"),
	 "-ERR Log in first: USER and PASS, or AUTH\r\n"
	 "-ERR Log in first: USER and PASS, or AUTH\r\n"
	 "-ERR Log in first: USER and PASS, or AUTH\r\n"
	 "-ERR APOP is not offered: USER and PASS, or AUTH\r\n"
	 "-ERR There is no such command; CAPA says what is\r\n"
	 "-ERR Nothing may follow that command\r\n"
	 "-ERR That is no command; CAPA says what is\r\n"
	 "+OK Languages:\r\nen English\r\n.\r\n+OK en English it is\r\n"
	 "-ERR That language is not spoken here\r\n+OK Until next time\r\n", ""},
};
/* clang-format on */

static void
check(const struct dialogue *d, struct world *w)
{
	str got = fake_output(w->c);
	str want = str_c(d->out);
	bool prefix = want.n > 0 && want.p[want.n - 1] == '*';

	got = str_from(got, str_find(got, S("\r\n")) + 2);
	if (prefix)
		want.n--;
	if (prefix ? !str_starts(got, want) : !str_eq(got, want)) {
		print_error("in:\n%.*s\nwanted:\n%s\ngot:\n%.*s\n",
		    STR_ARG(d->in), d->out, STR_ARG(got));
		fail();
	}
	if (!str_eq(buf_str(&w->session), str_c(d->session))) {
		print_error("in:\n%.*s\nmail: wanted\n%s\ngot\n%.*s\n",
		    STR_ARG(d->in), d->session, STR_ARG(buf_str(&w->session)));
		fail();
	}
}

/* R08, R09, R11, R22, R23, R25, R31 */
static void
test_dialogues(void **state)
{
	uint32_t seed = 1;

	for (size_t i = 0; i < NELEM(dialogues); i++) {
		for (size_t how = 0; how < 6; how++) {
			const struct dialogue *d = &dialogues[i];
			struct world w;

			open_world(&w, d->s, d->peer, d->tls);
			send_in(
			    &w, d->in, how == 0 ? SIZE_MAX : how == 1, &seed);
			check(d, &w);
			close_world(&w);
		}
	}
}

/* Commands pipelined behind the login go to mail, with the socket. */
static void
test_pipelined(void **state)
{
	struct world w;

	open_world(&w, &login_imap, LOOP, false);
	fake_input(
	    w.c, S("a LOGIN ann \"correct horse\"\r\nb SELECT INBOX\r\nc NO"));
	assert_true(fake_is_detached(w.c));
	assert_true(str_eq(buf_str(&w.session),
	    S("imap tag=a text=Logged in input=b SELECT INBOX\r\nc NO tls=0")));
	close_world(&w);
	open_world(&w, &login_imap, LOOP, true);
	fake_input(
	    w.c, S("a LOGIN ann \"correct horse\"\r\nb SELECT INBOX\r\n"));
	assert_true(fake_is_pumped(w.c));
	assert_true(str_eq(conn_input(w.c), S("b SELECT INBOX\r\n")));
	close_world(&w);
}

static bool
has(struct conn *c, const char *what)
{
	str out = fake_output(c);

	return str_find(out, str_c(what)) < out.n;
}

static void
test_caps(void **state)
{
	struct world w;

	open_world(&w, &login_imap, FAR, false);
	assert_true(
	    str_starts(fake_output(w.c), S("* OK [CAPABILITY IMAP4rev1 ")));
	assert_true(has(w.c, " STARTTLS"));
	assert_true(has(w.c, " LOGINDISABLED"));
	assert_false(has(w.c, "AUTH=PLAIN"));
	close_world(&w);
	open_world(&w, &login_imap, FAR, true);
	assert_false(has(w.c, "STARTTLS"));
	assert_false(has(w.c, "LOGINDISABLED"));
	assert_true(has(w.c, " AUTH=PLAIN"));
	/* The fake has no exporter and no client certificate. */
	assert_false(has(w.c, "PLUS"));
	assert_false(has(w.c, "EXTERNAL"));
	close_world(&w);
	open_world(&w, &login_pop3, FAR, false);
	fake_forget(w.c);
	fake_input(w.c, S("CAPA\r\n"));
	assert_true(has(w.c, "\r\nSTLS\r\n"));
	assert_false(has(w.c, "\r\nUSER\r\n"));
	assert_true(str_ends(fake_output(w.c), S("\r\n.\r\n")));
	close_world(&w);
}

/* R20, R22: STARTTLS takes nothing along. */
static void
test_starttls(void **state)
{
	struct world w;

	open_world(&w, &login_imap, FAR, false);
	fake_input(w.c, S("a STARTTLS\r\nb NOOP\r\n"));
	assert_true(fake_is_closed(w.c));
	close_world(&w);
	open_world(&w, &login_pop3, LOOP, false);
	fake_input(w.c, S("USER ann\r\n"));
	fake_input(w.c, S("STLS\r\n"));
	assert_true(fake_tls_on(w.c));
	fake_forget(w.c);
	fake_input(w.c, S("PASS correct horse\r\nSTLS\r\n"));
	assert_true(str_eq(fake_output(w.c),
	    S("-ERR Say USER first\r\n-ERR TLS is on already\r\n")));
	close_world(&w);
}

/* R02, R124: bounds before login. */
static void
test_bounds(void **state)
{
	struct buf line = {0};
	struct world w;

	for (int over = -1; over <= 1; over++) {
		size_t n = (size_t)((int64_t)limits.prelogin_bytes_max + over);

		open_world(&w, &login_imap, LOOP, false);
		buf_reset(&line);
		buf_s(&line, "a NOOP ");
		while (line.n < n - 2)
			buf_c(&line, '(');
		buf_s(&line, "\r\n");
		fake_input(w.c, buf_str(&line));
		assert_int_equal(fake_is_closed(w.c), over > 0);
		close_world(&w);
	}
	open_world(&w, &login_pop3, LOOP, false);
	for (size_t i = 0; i < limits.prelogin_bytes_max; i++)
		fake_input(w.c, S("x"));
	assert_false(fake_is_closed(w.c));
	fake_input(w.c, S("x"));
	assert_true(fake_is_closed(w.c));
	close_world(&w);
	open_world(&w, &login_imap, LOOP, false);
	for (unsigned i = 0; i < limits.bad_commands_max; i++)
		fake_input(w.c, S("x FROB\r\n"));
	assert_true(fake_is_closed(w.c));
	close_world(&w);
	buf_free(&line);
}

/* R124: prelogin_s -1 0 +1, in milliseconds, whatever is said meanwhile. */
static void
test_too_slow(void **state)
{
	static const struct service *const both[] = {&login_imap, &login_pop3};
	struct world w;

	limits.prelogin_s = 9;
	for (int i = 0; i < 6; i++) {
		int more = i / 2 - 1;

		os_clock_fix(1000000, 1000000);
		open_world(&w, both[i % 2], LOOP, false);
		os_clock_fix(1008000, 1008000);
		fake_clock(w.net);
		fake_input(w.c, S("a NOOP\r\n"));
		os_clock_fix(1009000 + more, 1009000 + more);
		fake_clock(w.net);
		assert_int_equal(fake_is_closed(w.c), more >= 0);
		close_world(&w);
	}
	limits_default(&limits);
	os_clock_fix(-1, -1);
}

/* R12, R31, R32: auth dies, mail dies, the client goes. */
static void
test_deaths(void **state)
{
	struct world w;

	open_world(&w, &login_imap, LOOP, false);
	fake_forget(w.c);
	w.mute = true;
	fake_input(w.c, S("a LOGIN ann x\r\n"));
	fake_chan_die(w.auth, true);
	fake_chan_die(w.auth, false);
	net_poke_all(w.net);
	fake_work(w.net);
	assert_true(str_starts(fake_output(w.c), S("a NO [UNAVAILABLE]")));
	fake_chan_die(w.auth, true);
	fake_forget(w.c);
	fake_input(w.c, S("b LOGIN ann x\r\n"));
	assert_true(str_starts(fake_output(w.c), S("b NO [UNAVAILABLE]")));
	fake_chan_die(w.auth, false);
	fake_input(w.c, S("c LOGIN ann x\r\n"));
	fake_hangup(w.c);
	assert_int_equal(w.aborts, 1);
	close_world(&w);
	open_world(&w, &login_imap, LOOP, false);
	fake_chan_die(w.mail, true);
	fake_forget(w.c);
	fake_input(w.c, S("a LOGIN ann \"correct horse\"\r\n"));
	assert_true(str_starts(fake_output(w.c), S("a NO [UNAVAILABLE]")));
	close_world(&w);
}

/* R01: each octet at each offset of some commands; clean, that is all. */
static void
test_every_byte(void **state)
{
	static const str in[] = {
	    S("a LOGIN {3+}\r\nann \"correct\\\" horse\"\r\n"),
	    S("a AUTHENTICATE PLAIN =\r\n"), S("a ID (\"x\" NIL)\r\n")};

	for (size_t i = 0; i < NELEM(in); i++) {
		for (size_t k = 0; k < in[i].n * 256; k++) {
			struct buf b = {0};
			struct world w;

			buf_str_add(&b, in[i]);
			b.p[k / 256] = (char)(k % 256);
			open_world(&w, &login_imap, LOOP, false);
			fake_input(w.c, buf_str(&b));
			fake_input(w.c, S("\r\nb LOGOUT\r\n"));
			close_world(&w);
			buf_free(&b);
		}
	}
}

/* R43, R121: no password in the log or in a reply, whatever goes wrong with
 * it; what a client says of itself is one line there, escaped. */
static void
test_log(void **state)
{
	static const str in[] = {
	    S("a LOGIN ann canary1\r\n"),
	    S("a LOGIN ann \"canary1\r\n"),
	    S("a LOGIN ann canary1 canary1\r\n"),
	    S("a LOGIN ann {7}\r\ncanary1\r\n"),
	    S("a LOGIN ann {7+}\r\ncanary1x\r\n"),
	    S("LOGIN ann canary1\r\n"),
	    S("a AUTHENTICATE PLAIN AGFubgBjYW5hcnkx\r\n"),
	    S("a AUTHENTICATE PLAIN canary1\r\n"),
	    S("a AUTHENTICATE canary1 canary1\r\n"),
	    S("a AUTHENTICATE PLAIN\r\n(canary1)\r\n"),
	    S("a ID (\"name\" {9+}\r\nx\ny\x1b\x80\t\"%n)\r\n"),
	    S("USER ann\r\nPASS canary1\r\nPASS canary1\r\n"),
	    S("USERann canary1\r\nAUTH PLAIN canary1\r\nAUTH canary1\r\n"),
	    S("AUTH PLAIN AGFubgBjYW5hcnkx\r\n"),
	};
	char text[65536];
	ssize_t n;
	int fd[2];
	str log;

	assert_int_equal(pipe(fd), 0);
	log_setup("t_login", LOG_DEBUG);
	log_fd(fd[1]);
	for (size_t i = 0; i < NELEM(in) * 4; i++) {
		struct world w;

		open_world(&w, i % 2 ? &login_pop3 : &login_imap,
		    i / 2 % 2 ? FAR : LOOP, false);
		fake_input(w.c, in[i / 4]);
		fake_hangup(w.c);
		assert_false(has(w.c, "canary1"));
		assert_false(has(w.c, "AGFubgBjYW5hcnkx"));
		close_world(&w);
	}
	log_info("end");
	log_fd(2);
	log_setup("t_login", LOG_ERROR);
	n = read(fd[0], text, sizeof(text));
	assert_true(n > 0);
	log = str_of(text, (size_t)n);
	assert_true(str_find(log, S("canary1")) == log.n);
	assert_true(str_find(log, S("AGFubgBjYW5hcnkx")) == log.n);
	assert_true(str_find(log, S("msg=\"client\" id=")) < log.n);
	while (log.n > 0)
		assert_true(str_starts(str_cut(&log, '\n'), S("ts=")));
	close(fd[0]);
	close(fd[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_dialogues),
	    cmocka_unit_test(test_pipelined),
	    cmocka_unit_test(test_caps),
	    cmocka_unit_test(test_starttls),
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_too_slow),
	    cmocka_unit_test(test_deaths),
	    cmocka_unit_test(test_every_byte),
	    cmocka_unit_test(test_log),
	};

	limits_default(&limits);
	log_setup("t_login", LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
