/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* Sockets, and descriptors that travel; R92 (close-on-exec), R99. */
#include "t_os.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <unistd.h>

/* The number of the lowest free descriptor: the same before and after
 * means that nothing leaked (as long as no hole was left). */
static int
next_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

static ssize_t
send_fds(int sock, const char *text, const int *fds, int nfds)
{
	struct iovec v = {(void *)(uintptr_t)text, strlen(text)};

	return os_sendmsg(sock, &v, 1, fds, nfds);
}

static void
test_pass(void **state)
{
	int before = next_fd();
	int pair[2], in[3], out[3] = {-1, -1, -1};
	int n = 3;
	char t[10];

	assert_int_equal(os_socketpair(SOCK_SEQPACKET, pair), 0);
	assert_int_equal(os_recvmsg(pair[1], t, sizeof(t), out, &n), -1);
	assert_int_equal(errno, EAGAIN);
	for (size_t i = 0; i < NELEM(in); i++)
		in[i] = os_memfd("x");
	assert_int_equal(send_fds(pair[0], "abc", in, 3), 3);
	n = 3;
	assert_int_equal(os_recvmsg(pair[1], t, sizeof(t), out, &n), 3);
	assert_int_equal(n, 3);
	for (size_t i = 0; i < NELEM(in); i++) {
		struct stat a, b;

		assert_true(fcntl(out[i], F_GETFD) & FD_CLOEXEC);
		assert_int_equal(fstat(in[i], &a), 0);
		assert_int_equal(fstat(out[i], &b), 0);
		assert_int_equal(a.st_ino, b.st_ino);
		os_close(&in[i]);
		os_close(&out[i]);
	}
	assert_int_equal(send_fds(pair[0], "none", NULL, 0), 4);
	n = 3;
	assert_int_equal(os_recvmsg(pair[1], t, sizeof(t), out, &n), 4);
	assert_int_equal(n, 0);
	os_close(&pair[0]);
	n = 3;
	assert_int_equal(os_recvmsg(pair[1], t, sizeof(t), out, &n), 0);
	os_close(&pair[1]);
	assert_int_equal(next_fd(), before);
}

/* More descriptors than were expected, in all mixtures: none is taken,
 * none leaks. */
static void
test_too_many(void **state)
{
	int before = next_fd();
	int pair[2];

	assert_int_equal(os_socketpair(SOCK_SEQPACKET, pair), 0);
	for (int sent = 1; sent < 8; sent++) {
		for (int room = 0; room < sent; room++) {
			int in[8], out[8];
			int n = room;
			char t[10];

			for (int i = 0; i < sent; i++)
				in[i] = 0;
			assert_int_equal(send_fds(pair[0], "x", in, sent), 1);
			assert_int_equal(
			    os_recvmsg(pair[1], t, sizeof(t),
				room == 0 ? NULL : out, room == 0 ? NULL : &n),
			    -1);
			assert_int_equal(errno, EMSGSIZE);
			assert_int_equal(room == 0 ? 0 : n, 0);
		}
	}
	os_close(&pair[0]);
	os_close(&pair[1]);
	assert_int_equal(next_fd(), before);
}

static void
test_too_long(void **state)
{
	int before = next_fd();
	int pair[2], fd = 0, out[1];
	int n = 1;
	char t[2];

	assert_int_equal(os_socketpair(SOCK_SEQPACKET, pair), 0);
	assert_int_equal(send_fds(pair[0], "abc", &fd, 1), 3);
	assert_int_equal(os_recvmsg(pair[1], t, sizeof(t), out, &n), -1);
	assert_int_equal(errno, EMSGSIZE);
	assert_int_equal(n, 0);
	assert_int_equal(send_fds(pair[0], "x", &fd, 65), -1);
	assert_int_equal(errno, EINVAL);
	os_close(&pair[0]);
	os_close(&pair[1]);
	assert_int_equal(next_fd(), before);
}

/* A full table: the kernel drops descriptors and says so. */
static void
test_table_full(void **state)
{
	struct rlimit old, small;
	int pair[2], in[3] = {0, 0, 0}, out[3];
	int n = 3;
	char t[10];
	int free_fd;

	assert_int_equal(os_socketpair(SOCK_SEQPACKET, pair), 0);
	assert_int_equal(send_fds(pair[0], "abc", in, 3), 3);
	free_fd = next_fd();
	getrlimit(RLIMIT_NOFILE, &old);
	small = old;
	small.rlim_cur = (rlim_t)free_fd + 1; /* room for one */
	setrlimit(RLIMIT_NOFILE, &small);
	assert_int_equal(os_recvmsg(pair[1], t, sizeof(t), out, &n), -1);
	assert_int_equal(errno, EMSGSIZE);
	assert_int_equal(next_fd(), free_fd);
	setrlimit(RLIMIT_NOFILE, &old);
	os_close(&pair[0]);
	os_close(&pair[1]);
}

static int
listen_on(const char *text, struct os_addr *a)
{
	size_t n;

	assert_int_equal(os_addr_parse(str_c(text), a, 1, &n), OK);
	return os_listen(a, 5, 0600);
}

static void
test_inet(void **state)
{
	struct os_addr a, peer;
	int fd = listen_on("127.0.0.1:0", &a);
	int client, server;
	uint16_t port;
	struct buf b = {0};

	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(os_accept(fd, &peer), -1);
	assert_int_equal(errno, EAGAIN);
	a.len = sizeof(a.ss);
	getsockname(fd, (struct sockaddr *)&a.ss, &a.len);
	client = os_connect(&a);
	assert_true(client >= 0);
	server = os_accept(fd, &peer);
	assert_true(server >= 0);
	assert_true(fcntl(server, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(server, F_GETFD) & FD_CLOEXEC);
	os_addr_print(&peer, &b, &port);
	assert_str(buf_str(&b), S("127.0.0.1"));
	assert_true(port > 0);
	buf_free(&b);
	os_close(&server);
	os_close(&client);
	os_close(&fd);
	assert_int_equal(os_connect(&a), -1);
	assert_int_equal(errno, ECONNREFUSED);
}

static void
test_unix(void **state)
{
	struct os_addr a, peer;
	int fd = listen_on(in_work("sock"), &a);
	int client, server, other;
	struct stat st;
	uid_t uid = 12345;

	assert_true(fd >= 0);
	assert_int_equal(stat(in_work("sock"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	client = os_connect(&a);
	server = os_accept(fd, &peer);
	assert_true(server >= 0);
	assert_true(os_addr_loopback(&peer));
	assert_int_equal(os_peer_uid(server, &uid), 0);
	assert_int_equal(uid, getuid());
	/* One that is in use is not taken away. */
	assert_int_equal(os_listen(&a, 5, 0600), -1);
	assert_int_equal(errno, EADDRINUSE);
	os_close(&server);
	os_close(&client);
	os_close(&fd);
	/* A stale one is; another kind of file is not. */
	fd = os_listen(&a, 5, 0600);
	assert_true(fd >= 0);
	os_close(&fd);
	assert_int_equal(os_spill(in_work("file"), S("x"), 0600), OK);
	other = listen_on(in_work("file"), &a);
	assert_int_equal(other, -1);
	assert_int_equal(errno, EEXIST);
}

int
t_socket(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_pass),
	    cmocka_unit_test(test_too_many),
	    cmocka_unit_test(test_too_long),
	    cmocka_unit_test(test_table_full),
	    cmocka_unit_test(test_inet),
	    cmocka_unit_test(test_unix),
	};

	return cmocka_run_group_tests_name("socket", tests, NULL, NULL);
}
