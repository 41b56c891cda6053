/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Listeners: admission, shedding, counting per address.
 */
#include <unistd.h>

#include "t_net.h"

static unsigned g_greeted, g_gone;
static enum next
greet_run(struct conn *c, enum why why)
{
	if (why == WHY_OPEN) {
		g_greeted++;
		out_s(c, "hi\n");
		if (conn_user(c) != NULL)
			conn_authenticated(c, true);
	}
	if (why == WHY_INPUT)
		conn_eat(c, conn_input(c).n);
	return why == WHY_STOP ? NEXT_CLOSE : NEXT_INPUT;
}
static void
greet_closed(struct conn *c)
{
	g_gone++;
}
static const struct service greet_service = {.name = "greet",
    .run = greet_run,
    .closed = greet_closed,
    .busy = "busy\n"};

struct door {
	struct net *n;
	struct os_addr at;
};

static struct door
door(uint32_t conns, uint64_t fds, void *user)
{
	struct net_opts o = {
	    .threads_max = 1, .conns_max = conns, .fds_max = fds};
	struct door d = {net_new(&o), {{0}}};
	size_t count;
	int fd;

	g_greeted = g_gone = 0;
	assert_int_equal(os_addr_parse(S("127.0.0.1:0"), &d.at, 1, &count), OK);
	fd = os_listen(&d.at, 64, 0);
	assert_true(fd >= 0);
	d.at.len = sizeof(d.at.ss);
	assert_int_equal(
	    getsockname(fd, (struct sockaddr *)&d.at.ss, &d.at.len), 0);
	net_listen(d.n, fd, &greet_service, NULL, user);
	return d;
}

static int
knock(struct door *d)
{
	int fd = os_connect(&d->at);

	assert_true(fd >= 0);
	steps(d->n);
	return fd;
}

static void
accepts(void **state)
{
	struct door d = door(16, 0, NULL);
	int a = knock(&d), b = knock(&d);

	peer_expect(d.n, a, "hi\n");
	peer_expect(d.n, b, "hi\n");
	assert_int_equal(net_count(d.n), 2);
	close(a);
	steps(d.n);
	assert_int_equal(g_gone, 1);
	net_free(&d.n);
	assert_int_equal(g_gone, 2);
	close(b);
}

/* R28, R110: the oldest that has not logged in makes room. */
static void
sheds_the_oldest(void **state)
{
	struct door d = door(3, 0, NULL);
	int a = knock(&d), b = knock(&d), c = knock(&d), e;

	peer_expect(d.n, a, "hi\n");
	e = knock(&d);
	steps(d.n);
	assert_true(peer_eof(a));
	peer_expect(d.n, e, "hi\n");
	peer_expect(d.n, b, "hi\n");
	assert_int_equal(net_count(d.n), 3);
	close(a);
	close(b);
	close(c);
	close(e);
	net_free(&d.n);
}

/* R110: the established are untouched, and the refused hear why. */
static void
refuses(void **state)
{
	struct door d = door(2, 0, &d);
	int a = knock(&d), b = knock(&d), c;

	log_setup("t_net", LOG_ERROR);
	c = knock(&d);
	peer_expect(d.n, c, "busy\n");
	assert_true(peer_eof(c));
	peer_expect(d.n, a, "hi\n");
	peer_expect(d.n, b, "hi\n");
	assert_int_equal(net_count(d.n), 2);
	close(a);
	close(b);
	close(c);
	net_free(&d.n);
}

/* R99: at eight tenths of the descriptors nobody is let in, and nothing
 * spins; when there is room, it goes on. */
static void
holds(void **state)
{
	struct door d = door(64, 10, &d);
	int fd[10], late;

	for (int i = 0; i < 6; i++)
		fd[i] = knock(&d);
	late = knock(&d);
	peer_expect(d.n, late, "busy\n");
	close(late);
	for (int i = 0; i < 6; i++)
		close(fd[i]);
	steps(d.n);
	assert_int_equal(net_count(d.n), 0);
	late = knock(&d);
	peer_expect(d.n, late, "hi\n");
	close(late);
	net_free(&d.n);
}

/* R124: connections_per_address -1 0 +1. Loopback is excepted, so the
 * address is an invented one; IPv6 counts by /64. */
static void
per_address(void **state)
{
	static const char *const from[2][2] = {
	    {"192.0.2.7:1", "192.0.2.8:1"},
	    {"[2001:db8::7]:1", "[2001:db8:0:1::7]:1"},
	};
	enum { MOST = 3 };

	limits.connections_per_address = MOST;
	for (int k = 0; k < 2; k++) {
		struct door d = door(16, 0, NULL);
		struct os_addr far, other;
		int fd[MOST + 3][2];
		size_t n;

		assert_int_equal(
		    os_addr_parse(str_c(from[k][0]), &far, 1, &n), OK);
		assert_int_equal(
		    os_addr_parse(str_c(from[k][1]), &other, 1, &n), OK);
		for (int i = 0; i < MOST + 3; i++) {
			if (i == MOST + 2) {
				/* One goes, so there is room for one. */
				close(fd[0][1]);
				steps(d.n);
			}
			assert_int_equal(os_socketpair(SOCK_STREAM, fd[i]), 0);
			listen_admit(
			    d.n, 0, fd[i][0], i == MOST + 1 ? &other : &far);
			steps(d.n);
			peer_expect(
			    d.n, fd[i][1], i == MOST ? "busy\n" : "hi\n");
			assert_int_equal(peer_eof(fd[i][1]), i == MOST);
		}
		for (int i = 1; i < MOST + 3; i++)
			close(fd[i][1]);
		net_free(&d.n);
	}
	limits_default(&limits);
}

int
test_listen(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(accepts),
	    cmocka_unit_test(sheds_the_oldest),
	    cmocka_unit_test(refuses),
	    cmocka_unit_test(holds),
	    cmocka_unit_test(per_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
