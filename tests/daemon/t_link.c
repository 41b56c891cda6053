/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Links outlive their peers: death, a new peer, a peer that misbehaves.
 */
#include <unistd.h>

#include "t_daemon.h"
#include "daemon/link.h"

static unsigned g_got, g_bad;

static bool
take(struct link *l, struct msg *m)
{
	uint32_t v = msg_get_u32(m);

	g_got++;
	return msg_end(m) && v != 666;
}

static void
bad(struct link *l)
{
	g_bad++;
}

static void
say(struct chan *c, uint32_t v)
{
	struct msg m;

	msg_new(&m, MSG_GRANT);
	msg_u32(&m, v);
	assert_int_equal(chan_send(c, &m), OK);
}

static struct chan *
connect_link(struct link *l)
{
	int fd[2];

	assert_int_equal(os_socketpair(SOCK_SEQPACKET, fd), 0);
	link_bind(l, fd[0]);
	return chan_new(fd[1]);
}

static void
steps(struct net *n)
{
	while (net_step(n, 0) > 0)
		;
}

static void
lives_on(void **state)
{
	struct net_opts o = {.threads_max = 1, .conns_max = 4};
	struct net *n = net_new(&o);
	struct chan *peer;
	struct link l;
	struct msg m;
	bool dead;
	uint32_t epoch;

	g_got = g_bad = 0;
	link_init(&l, n, "peer", take, NULL);
	l.bad = bad;
	msg_new(&m, MSG_STOP);
	assert_int_equal(chan_send(l.ch, &m), ERR_UNAVAILABLE);
	peer = connect_link(&l);
	epoch = chan_epoch(l.ch);
	for (uint32_t i = 0; i < 200; i++)
		say(peer, i);
	steps(n);
	assert_int_equal(g_got, 200);
	/* More than the socket takes is sent when it is read. */
	for (uint32_t i = 0; i < 2000; i++)
		say(l.ch, i);
	for (uint32_t i = 0; i < 2000; i++) {
		while (!chan_recv(peer, &m, &dead))
			assert_true(net_step(n, 100) > 0);
		assert_int_equal(msg_get_u32(&m), i);
		msg_free(&m);
	}
	chan_free(&peer);
	steps(n);
	msg_new(&m, MSG_STOP);
	assert_int_equal(chan_send(l.ch, &m), ERR_UNAVAILABLE);
	peer = connect_link(&l);
	assert_true(chan_epoch(l.ch) != epoch);
	say(peer, 1);
	steps(n);
	assert_int_equal(g_got, 201);
	/* A new peer before the old one's end was seen. */
	chan_free(&peer);
	peer = connect_link(&l);
	say(peer, 1);
	steps(n);
	assert_int_equal(g_got, 202);
	assert_int_equal(g_bad, 0);
	/* One that breaks the rules is not listened to any more. */
	log_setup("t_daemon", LOG_ERROR + 1);
	say(peer, 666);
	say(peer, 1);
	steps(n);
	log_setup("t_daemon", LOG_ERROR);
	assert_int_equal(g_bad, 1);
	assert_int_equal(g_got, 203);
	chan_free(&peer);
	link_close(&l);
	net_free(&n);
}

int
test_link(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lives_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
