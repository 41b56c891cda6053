/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Messages and channels: what goes in comes out, whatever is malformed is
 * noticed, descriptors are neither lost nor leaked, a peer may die. R90.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ipc/ipc.h"

static int
open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static void
two(struct chan **a, struct chan **b)
{
	int fd[2];

	assert_int_equal(os_socketpair(SOCK_SEQPACKET, fd), 0);
	*a = chan_new(fd[0]);
	*b = chan_new(fd[1]);
}

static void
there_and_back(void **state)
{
	struct chan *a, *b;
	struct msg m;
	char raw[16];
	bool dead;
	int fds = open_fds(), fd;

	two(&a, &b);
	msg_new(&m, MSG_GRANT);
	msg_u8(&m, 200);
	msg_u16(&m, 60000);
	msg_u32(&m, 4000000000u);
	msg_u64(&m, UINT64_MAX);
	msg_i64(&m, INT64_MIN);
	msg_bytes(&m, "0123456789abcdef", 16);
	msg_str(&m, str_of("a\0b", 3));
	msg_str(&m, STR_NONE);
	msg_fd(&m, open("/dev/null", O_RDONLY | O_CLOEXEC));
	assert_int_equal(chan_send(a, &m), OK);
	assert_true(chan_recv(b, &m, &dead));
	assert_int_equal(m.type, MSG_GRANT);
	assert_int_equal(msg_get_u8(&m), 200);
	assert_int_equal(msg_get_u16(&m), 60000);
	assert_int_equal(msg_get_u32(&m), 4000000000u);
	assert_true(msg_get_u64(&m) == UINT64_MAX);
	assert_true(msg_get_i64(&m) == INT64_MIN);
	msg_get_bytes(&m, raw, 16);
	assert_memory_equal(raw, "0123456789abcdef", 16);
	assert_true(str_eq(msg_get_str(&m), str_of("a\0b", 3)));
	assert_false(msg_end(&m)); /* something is left */
	assert_int_equal(msg_get_str(&m).n, 0);
	assert_false(msg_end(&m)); /* the descriptor is */
	fd = msg_get_fd(&m);
	assert_true(fd >= 0);
	assert_true(msg_end(&m));
	assert_int_equal(msg_get_u8(&m), 0);
	assert_false(msg_end(&m));
	close(fd);
	msg_free(&m);
	assert_false(chan_recv(b, &m, &dead));
	assert_false(dead);
	chan_free(&a);
	assert_false(chan_recv(b, &m, &dead));
	assert_true(dead);
	chan_free(&b);
	assert_int_equal(open_fds(), fds);
}

/* Every message cut short anywhere is refused by its end check. */
static void
cut_short(void **state)
{
	struct msg m, cut;

	msg_new(&m, MSG_RCPT);
	msg_u64(&m, 7);
	msg_str(&m, S("ann@example.org"));
	msg_u8(&m, 1);
	for (size_t n = 0; n < m.b.n; n++) {
		cut = (struct msg){0};
		buf_add(&cut.b, m.b.p, n);
		cut.d = dec_of(buf_str(&cut.b));
		(void)dec_u16(&cut.d);
		(void)msg_get_u64(&cut);
		(void)msg_get_str(&cut);
		(void)msg_get_u8(&cut);
		assert_false(msg_end(&cut));
		msg_free(&cut);
	}
	msg_free(&m);
}

static void
blob_of(size_t size, bool good)
{
	struct chan *a, *b;
	struct msg m;
	struct blob blob;
	bool dead;
	char *p = x_alloc(size + 1);
	enum err e;

	for (size_t i = 0; i < size; i++)
		p[i] = (char)(i * 7);
	two(&a, &b);
	msg_new(&m, MSG_DELIVER);
	assert_int_equal(msg_blob(&m, str_of(p, size)), OK);
	assert_int_equal(msg_blob(&m, S("second")), OK);
	assert_int_equal(chan_send(a, &m), OK);
	assert_true(chan_recv(b, &m, &dead));
	e = msg_get_blob(&m, good ? size : size - 1, &blob);
	assert_int_equal(e, good ? OK : ERR_TOOBIG);
	if (good) {
		assert_true(str_eq(blob.s, str_of(p, size)));
		blob_free(&blob);
		assert_int_equal(msg_get_blob(&m, 10, &blob), OK);
		assert_true(str_eq(blob.s, S("second")));
		blob_free(&blob);
		assert_true(msg_end(&m));
	}
	msg_free(&m);
	chan_free(&a);
	chan_free(&b);
	free(p);
}

static void
blobs(void **state)
{
	const size_t sizes[] = {
	    0, 1, MSG_INLINE_MAX, MSG_INLINE_MAX + 1, 300000, 5000000};
	int fds = open_fds();

	for (size_t i = 0; i < NELEM(sizes); i++) {
		blob_of(sizes[i], true);
		if (sizes[i] > 0)
			blob_of(sizes[i], false);
	}
	assert_int_equal(open_fds(), fds);
}

/* A memfd that its sender can still cut or change is refused. */
static void
unsealed(void **state)
{
	const int seals[] = {0, F_SEAL_SHRINK, F_SEAL_SHRINK | F_SEAL_GROW};
	struct blob blob;
	struct msg m;
	int fds = open_fds();

	for (size_t i = 0; i < NELEM(seals); i++) {
		int fd = os_memfd("t");

		assert_int_equal(write(fd, "hello", 5), 5);
		assert_int_equal(fcntl(fd, F_ADD_SEALS, seals[i]), 0);
		msg_new(&m, MSG_DELIVER);
		m.d = dec_of(S("\2\5\0\0\0\0\0\0\0"));
		msg_fd(&m, fd);
		assert_int_equal(msg_get_blob(&m, 100, &blob), ERR_CORRUPT);
		assert_false(msg_end(&m));
		msg_free(&m);
	}
	/* One of another length, too. */
	for (uint8_t n = 4; n < 7; n++) {
		char raw[] = "\2\0\0\0\0\0\0\0\0";
		int fd = os_memfd("t");

		raw[1] = (char)n;
		assert_int_equal(write(fd, "hello", 5), 5);
		assert_int_equal(
		    fcntl(fd, F_ADD_SEALS,
			F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE),
		    0);
		msg_new(&m, MSG_DELIVER);
		m.d = dec_of(str_of(raw, 9));
		msg_fd(&m, fd);
		assert_int_equal(
		    msg_get_blob(&m, 100, &blob), n == 5 ? OK : ERR_CORRUPT);
		blob_free(&blob);
		msg_free(&m);
	}
	assert_int_equal(open_fds(), fds);
}

static unsigned g_grew;
static void
grew(void *arg)
{
	g_grew++;
}

/* Sending never waits; order is kept; the bound holds; a new peer does not
 * get what was meant for the old one. */
static void
queues(void **state)
{
	struct chan *a, *b;
	struct msg m;
	bool dead;
	uint32_t next = 0, sent = 0, epoch;
	enum err e = OK;
	int fds = open_fds(), fd[2];
	char big[60000] = "";

	two(&a, &b);
	g_grew = 0;
	chan_on_queue(a, grew, NULL);
	while (e == OK && sent < 100000) {
		msg_new(&m, MSG_GRANT);
		msg_u32(&m, sent);
		msg_str(&m, str_of(big, sizeof(big)));
		msg_fd(&m, open("/dev/null", O_RDONLY | O_CLOEXEC));
		if ((e = chan_send(a, &m)) == OK)
			sent++;
	}
	assert_int_equal(e, ERR_UNAVAILABLE);
	assert_int_equal(g_grew, 1);
	assert_true(sent > 100 && sent < 2000);
	while (next < sent) {
		while (chan_recv(b, &m, &dead)) {
			assert_int_equal(msg_get_u32(&m), next++);
			msg_free(&m);
		}
		assert_false(dead);
		(void)chan_flush(a);
	}
	assert_false(chan_flush(a));
	/* Rebound with something in the queue. */
	for (int i = 0; i < 20; i++) {
		msg_new(&m, MSG_GRANT);
		msg_str(&m, str_of(big, sizeof(big)));
		assert_int_equal(chan_send(a, &m), OK);
	}
	epoch = chan_epoch(a);
	chan_free(&b);
	assert_int_equal(os_socketpair(SOCK_SEQPACKET, fd), 0);
	fd[0] = (chan_rebind(a, fd[0]), -1);
	b = chan_new(fd[1]);
	assert_true(chan_epoch(a) != epoch);
	assert_false(chan_flush(a));
	assert_false(chan_recv(b, &m, &dead));
	msg_new(&m, MSG_STOP);
	assert_int_equal(chan_send(a, &m), OK);
	assert_true(chan_recv(b, &m, &dead));
	assert_int_equal(m.type, MSG_STOP);
	msg_free(&m);
	chan_free(&a);
	chan_free(&b);
	assert_int_equal(open_fds(), fds);
}

/* What is no message ends the channel, and sending to it. */
static void
garbage(void **state)
{
	static const char *const bad[] = {"", "x", "\0\0", "\xff\xff", "\0\1x"};
	struct chan *b;
	struct msg m;
	bool dead;
	int fd[2];

	for (size_t i = 0; i < NELEM(bad); i++) {
		size_t n = i == 2 || i == 4 ? 2 : strlen(bad[i]);

		assert_int_equal(os_socketpair(SOCK_SEQPACKET, fd), 0);
		b = chan_new(fd[1]);
		assert_int_equal(send(fd[0], bad[i], n, 0), n);
		assert_false(chan_recv(b, &m, &dead));
		assert_true(dead);
		msg_new(&m, MSG_STOP);
		assert_int_equal(chan_send(b, &m), ERR_UNAVAILABLE);
		close(fd[0]);
		chan_free(&b);
	}
}

/* One message that is too long is lost; the next one comes. */
static void
too_long(void **state)
{
	struct chan *b;
	struct msg m;
	bool dead;
	int fd[2];
	char *p = x_alloc(MSG_MAX + 1);

	log_setup("t_ipc", LOG_ERROR + 1);
	p[0] = MSG_STOP;
	assert_int_equal(os_socketpair(SOCK_SEQPACKET, fd), 0);
	b = chan_new(fd[1]);
	assert_int_equal(send(fd[0], p, MSG_MAX + 1, 0), MSG_MAX + 1);
	assert_int_equal(send(fd[0], p, MSG_MAX, 0), MSG_MAX);
	assert_false(chan_recv(b, &m, &dead));
	assert_false(dead);
	assert_true(chan_recv(b, &m, &dead));
	assert_int_equal(m.b.n, MSG_MAX);
	msg_free(&m);
	log_setup("t_ipc", LOG_ERROR);
	close(fd[0]);
	chan_free(&b);
	/* Nor can one be built. */
	msg_new(&m, MSG_CTL);
	msg_str(&m, str_of(p, MSG_MAX));
	b = chan_new(-1);
	assert_int_equal(chan_send(b, &m), ERR_TOOBIG);
	chan_free(&b);
	free(p);
}

static void *
answerer(void *arg)
{
	struct chan *b = arg;
	struct msg m, r;

	while (chan_wait(b, &m, 5000) == OK) {
		msg_new(&r, MSG_SIGNED);
		msg_u64(&r, msg_get_u64(&m) + 1);
		msg_free(&m);
		(void)chan_send(b, &r);
	}
	return NULL;
}

static void
waits(void **state)
{
	struct chan *a, *b;
	pthread_t t;
	struct msg m;

	two(&a, &b);
	assert_int_equal(chan_wait(a, &m, 20), ERR_TIMEOUT);
	pthread_create(&t, NULL, answerer, b);
	for (uint64_t i = 0; i < 1000; i++) {
		msg_new(&m, MSG_SIGN);
		msg_u64(&m, i);
		assert_int_equal(chan_send(a, &m), OK);
		assert_int_equal(chan_wait(a, &m, 5000), OK);
		assert_int_equal(msg_get_u64(&m), i + 1);
		assert_true(msg_end(&m));
		msg_free(&m);
	}
	chan_free(&a);
	pthread_join(t, NULL);
	chan_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(there_and_back),
	    cmocka_unit_test(cut_short),
	    cmocka_unit_test(blobs),
	    cmocka_unit_test(unsealed),
	    cmocka_unit_test(queues),
	    cmocka_unit_test(garbage),
	    cmocka_unit_test(too_long),
	    cmocka_unit_test(waits),
	};

	log_setup("t_ipc", LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
