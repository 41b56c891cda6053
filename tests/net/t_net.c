/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The tests of net: peers, and main.
 */
#include <errno.h>
#include <unistd.h>

#include "t_net.h"

int
pair_add(struct net *n, const struct service *s, void *user, conn_id *id)
{
	int fd[2];

	assert_int_equal(os_socketpair(SOCK_STREAM, fd), 0);
	*id = net_add(n, fd[0], s, user, NULL, STR_NONE);
	assert_true(*id != 0);
	return fd[1];
}

void
peer_write(int fd, const char *s)
{
	assert_int_equal(send(fd, s, strlen(s), MSG_NOSIGNAL), strlen(s));
}

void
peer_expect(struct net *n, int fd, const char *s)
{
	size_t want = strlen(s), have = 0;
	int64_t end = os_mono_ms() + 20000;
	char got[65536];
	ssize_t r;

	assert_true(want < sizeof(got));
	while (have < want && os_mono_ms() < end) {
		r = recv(fd, got + have, want - have, MSG_DONTWAIT);
		if (r > 0)
			have += (size_t)r;
		else if (r == 0)
			break;
		else if (n != NULL)
			net_step(n, 5);
		else
			usleep(500);
	}
	got[have] = 0;
	assert_string_equal(got, s);
}

bool
peer_eof(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_DONTWAIT) == 0;
}

void
steps(struct net *n)
{
	while (net_step(n, 0) > 0)
		;
}

int
main(void)
{
	log_setup("t_net", LOG_ERROR);
	return test_pool() + test_out() + test_listen() + test_tls();
}
