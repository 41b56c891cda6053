/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * login, lmtp and pop3 on the real net and the real channels: one thread,
 * socketpairs for peers (net_step). What they say in detail is tested
 * beside each; here, that they and the net understand each other.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <poll.h>
#include <unistd.h>
#include <cmocka.h>

#include "fake/fake_store.h"
#include "lmtp/lmtp.h"
#include "login/login.h"
#include "pop3/pop3.h"
#include "proto/pop3.h"

struct world {
	struct net *net;
	struct chan *auth, *mail;           /* the room's ends */
	struct chan *auth_peer, *mail_peer; /* ours */
	struct login_env *login;
	struct lmtp_env *lmtp;
	struct pop3_env *pop3;
	struct store *st;
	struct os_addr peer;
	int client;
	struct buf got; /* by the client */
	bool eof;
	int session; /* the socket that mail got; -1 */
	struct buf rest;
	struct buf message;
};

static void
pair(struct chan **a, struct chan **b)
{
	int fd[2];

	assert_int_equal(os_socketpair(SOCK_SEQPACKET, fd), 0);
	*a = chan_new(fd[0]);
	*b = chan_new(fd[1]);
}

static void
open_world(struct world *w)
{
	struct net_opts no = {.threads_min = 1,
	    .threads_max = 1,
	    .conns_max = 64,
	    .fds_max = 1000};
	struct login_opts l = {.hostname = S("h")};
	struct lmtp_opts m = {.hostname = S("h")};
	struct pop3_opts p = {0};
	size_t n;

	*w = (struct world){.client = -1, .session = -1};
	assert_int_equal(os_addr_parse(S("127.0.0.1:9"), &w->peer, 1, &n), OK);
	w->net = l.net = m.net = p.net = net_new(&no);
	pair(&w->auth, &w->auth_peer);
	pair(&w->mail, &w->mail_peer);
	l.auth = m.auth = w->auth;
	l.mail = m.mail = w->mail;
	w->st = p.store = fake_store();
	w->login = login_env_new(&l);
	w->lmtp = lmtp_env_new(&m);
	w->pop3 = pop3_env_new(&p);
}

static void
close_world(struct world *w)
{
	if (w->client >= 0)
		os_close(&w->client);
	if (w->session >= 0)
		os_close(&w->session);
	for (int i = 0; i < 20; i++)
		net_step(w->net, 0);
	assert_int_equal(net_count(w->net), 0);
	net_free(&w->net);
	login_env_free(&w->login);
	lmtp_env_free(&w->lmtp);
	pop3_env_free(&w->pop3);
	fake_store_free(&w->st);
	chan_free(&w->auth);
	chan_free(&w->auth_peer);
	chan_free(&w->mail);
	chan_free(&w->mail_peer);
	buf_free(&w->got);
	buf_free(&w->rest);
	buf_free(&w->message);
}

static int
client(struct world *w)
{
	int fd[2];

	assert_int_equal(os_socketpair(SOCK_STREAM, fd), 0);
	w->client = fd[0];
	return fd[1];
}

/* ---- the peers ---- */

static void
auth_turn(struct world *w)
{
	struct msg m, r;
	bool dead = false;
	uint64_t conn;
	uint32_t index;
	str secret;

	while (chan_recv(w->auth_peer, &m, &dead)) {
		conn = msg_get_u64(&m);
		if (m.type == MSG_RCPT) {
			index = msg_get_u32(&m);
			msg_new(&r, MSG_RCPT_OK);
			msg_u64(&r, conn);
			msg_u32(&r, index);
			msg_bytes(&r, "0123456789abcdef", 16);
			msg_u64(&r, 1);
			msg_str(&r, S("ann"));
			msg_str(&r, STR_NONE);
		} else {
			(void)msg_get_u8(&m);
			(void)msg_get_str(&m);
			(void)msg_get_u8(&m);
			secret = msg_get_str(&m);
			if (str_ends(secret, S("right"))) {
				msg_new(&r, MSG_AUTH_DONE);
				msg_u64(&r, conn);
				msg_bytes(&r, "0123456789abcdef", 16);
				msg_u64(&r, 1);
				msg_str(&r, S("ann"));
				msg_u8(&r, 0);
				msg_str(&r, STR_NONE);
			} else {
				msg_new(&r, MSG_AUTH_FAILED);
				msg_u64(&r, conn);
				msg_u8(&r, AUTH_WRONG);
				msg_u32(&r, 0);
			}
		}
		msg_free(&m);
		assert_int_equal(chan_send(w->auth_peer, &r), OK);
	}
	assert_false(dead);
	while (chan_recv(w->auth, &m, &dead)) {
		if (m.type == MSG_RCPT_OK)
			assert_true(lmtp_reply(w->lmtp, &m));
		else
			assert_true(login_auth_reply(w->login, &m));
	}
}

static void
mail_session(struct world *w, struct msg *m)
{
	uint8_t grant[16];

	(void)msg_get_u64(m);
	msg_get_bytes(m, grant, sizeof(grant));
	(void)msg_get_u8(m);
	(void)msg_get_str(m);
	(void)msg_get_str(m);
	buf_str_add(&w->rest, msg_get_str(m));
	(void)msg_get_str(m);
	(void)msg_get_u16(m);
	(void)msg_get_u8(m);
	(void)msg_get_str(m);
	(void)msg_get_str(m);
	w->session = msg_get_fd(m);
	assert_true(msg_end(m));
}

static void
mail_turn(struct world *w)
{
	struct arena *a = arena_new(0);
	struct lmtp_delivery d;
	struct msg m, r;
	bool dead = false;

	while (chan_recv(w->mail_peer, &m, &dead)) {
		if (m.type == MSG_SESSION) {
			mail_session(w, &m);
			msg_free(&m);
			continue;
		}
		assert_int_equal(lmtp_delivery_get(&m, a, &d), OK);
		buf_reset(&w->message);
		buf_str_add(&w->message, d.message.s);
		msg_new(&r, MSG_DELIVERED);
		msg_u64(&r, d.conn);
		msg_u32(&r, d.n);
		for (uint32_t i = 0; i < d.n; i++)
			msg_u8(&r, OK);
		blob_free(&d.message);
		blob_free(&d.summary);
		msg_free(&m);
		assert_int_equal(chan_send(w->mail_peer, &r), OK);
	}
	while (chan_recv(w->mail, &m, &dead))
		assert_true(lmtp_reply(w->lmtp, &m));
	arena_free(&a);
}

/* Everybody works until the client has seen what ends in end, or EOF. */
static void
turn(struct world *w, str end)
{
	for (int i = 0; i < 100000; i++) {
		char b[65536];
		ssize_t n;

		net_step(w->net, 0);
		auth_turn(w);
		mail_turn(w);
		while ((n = read(w->client, b, sizeof(b))) > 0)
			buf_add(&w->got, b, (size_t)n);
		w->eof = n == 0;
		if (w->eof || w->session >= 0)
			return;
		if (end.n > 0 && str_ends(buf_str(&w->got), end))
			return;
	}
	print_error("got: %.*s\n", STR_ARG(buf_str(&w->got)));
	fail();
}

static void
say(struct world *w, str s)
{
	size_t at = 0;

	while (at < s.n) {
		ssize_t n = write(w->client, s.p + at, s.n - at);

		if (n > 0)
			at += (size_t)n;
		net_step(w->net, 0);
	}
}

/* ---- tests ---- */

/* The client's own socket arrives at mail, with what was read too far. */
static void
test_login(void **state)
{
	struct world w;
	char b[8];

	open_world(&w);
	assert_int_not_equal(
	    net_add(w.net, client(&w), &login_imap, w.login, &w.peer, STR_NONE),
	    0);
	turn(&w, S("restante ready\r\n"));
	say(&w, S("a LOGIN ann wrong\r\n"));
	turn(&w, S("a NO [AUTHENTICATIONFAILED] Wrong name or password\r\n"));
	say(&w, S("b LOGIN {3+}\r\nann right\r\nc SELECT IN"));
	turn(&w, STR_NONE);
	assert_true(w.session >= 0);
	assert_true(str_eq(buf_str(&w.rest), S("c SELECT IN")));
	assert_int_equal(write(w.session, "hello", 5), 5);
	assert_int_equal(read(w.client, b, sizeof(b)), 5);
	assert_int_equal(net_count(w.net), 0);
	close_world(&w);
}

/* R32: auth is started anew while a client waits. */
static void
test_auth_dies(void **state)
{
	struct world w;
	struct chan *peer;
	int fd[2];

	open_world(&w);
	assert_int_not_equal(
	    net_add(w.net, client(&w), &login_pop3, w.login, &w.peer, STR_NONE),
	    0);
	turn(&w, S("restante ready\r\n"));
	say(&w, S("USER ann\r\nPASS right\r\n"));
	for (int i = 0; i < 20; i++)
		net_step(w.net, 0);
	assert_int_equal(os_socketpair(SOCK_SEQPACKET, fd), 0);
	peer = w.auth_peer;
	w.auth_peer = chan_new(fd[1]);
	chan_free(&peer);
	chan_rebind(w.auth, fd[0]);
	net_poke_all(w.net);
	turn(&w, S("try again in a moment\r\n"));
	say(&w, S("USER ann\r\nPASS right\r\n"));
	turn(&w, STR_NONE);
	assert_true(w.session >= 0);
	close_world(&w);
}

static void
test_lmtp(void **state)
{
	struct buf big = {0};
	struct world w;

	open_world(&w);
	assert_int_not_equal(net_add(w.net, client(&w), &lmtp_service, w.lmtp,
				 &w.peer, STR_NONE),
	    0);
	turn(&w, S("restante LMTP ready\r\n"));
	for (int i = 0; i < 5000; i++)
		buf_f(&big, "line %d of a message that is long\r\n", i);
	say(&w, S("LHLO x\r\nMAIL FROM:<s@x>\r\nRCPT TO:<a@y>\r\nRCPT "
		  "TO:<b@y>\r\nDATA\r\n"));
	say(&w, buf_str(&big));
	say(&w, S(".\r\nQUIT\r\n"));
	turn(&w, S("<a@y> Delivered\r\n250 2.0.0 <b@y> Delivered\r\n"
		   "221 2.0.0 Until next time\r\n"));
	assert_true(str_eq(buf_str(&w.message), buf_str(&big)));
	buf_free(&big);
	close_world(&w);
}

/* A long message by reference, dots stuffed by the net, and pipelined. */
static void
test_pop3(void **state)
{
	struct grant g = {.kind = GRANT_LOGIN, .account = 7};
	struct buf big = {0}, want = {0};
	struct world w;

	open_world(&w);
	buf_s(&big, "Subject: x\r\n\r\n");
	buf_s(&want, "+OK Logged in: 2 messages, 300042 octets\r\n"
		     "+OK 300014 octets\r\nSubject: x\r\n\r\n");
	for (int i = 0; i < 60000; i++) {
		buf_s(&big, ".ab\r\n");
		buf_s(&want, "..ab\r\n");
	}
	buf_s(&want, ".\r\n+OK 28 octets\r\nSubject: y\r\n\r\n..\r\nno line "
		     "end\r\n.\r\n");
	fake_store_add(w.st, buf_str(&big));
	fake_store_add(w.st, S("Subject: y\r\n\r\n.\r\nno line end"));
	buf_free(&big);
	assert_int_not_equal(pop3_begin(w.pop3, client(&w), &g, S("ann"),
				 STR_NONE, S("RETR 1\r\nRETR"), &w.peer),
	    0);
	say(&w, S(" 2\r\n"));
	turn(&w, S("no line end\r\n.\r\n"));
	assert_true(str_eq(buf_str(&w.got), buf_str(&want)));
	say(&w, S("DELE 1\r\nTOP 2 0\r\nQUIT\r\n"));
	turn(&w, S("+OK 1 messages deleted, 1 left\r\n"));
	buf_free(&want);
	buf_free(&big);
	close_world(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_login),
	    cmocka_unit_test(test_auth_dies),
	    cmocka_unit_test(test_lmtp),
	    cmocka_unit_test(test_pop3),
	};

	limits_default(&limits);
	log_setup("t_wire", LOG_ERROR + 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
