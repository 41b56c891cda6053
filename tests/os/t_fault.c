/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* The hook, and the calls that meet it: R97, R98, R99. */
#include "t_os.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef RESTANTE_FAULTS

#define ANY ((1u << OS_CALL_MAX) - 1)

static int fd = -1;

static int
set_up(void **state)
{
	fd = os_open(in_work("f"), O_RDWR | O_CREAT | O_TRUNC, 0600);
	return fd < 0 ? -1 : 0;
}

static int
tear_down(void **state)
{
	os_fault_clear();
	os_close(&fd);
	return 0;
}

static void
test_nth(void **state)
{
	char c;

	os_fault_set(1u << OS_WRITE | 1u << OS_SYNC, 3, EIO, 0, false);
	assert_int_equal(os_pwrite(fd, "a", 1, 0), 1);
	assert_int_equal(os_pread(fd, &c, 1, 0), 1); /* another kind */
	assert_int_equal(os_fdatasync(fd), 0);
	assert_false(os_fault_hit());
	assert_int_equal(os_pwrite(fd, "b", 1, 0), -1);
	assert_int_equal(errno, EIO);
	assert_true(os_fault_hit());
	assert_int_equal(os_pwrite(fd, "c", 1, 0), 1);
	assert_int_equal(os_fault_calls(), 4);
	os_fault_set(1u << OS_SYNC, 2, EIO, 0, true);
	assert_int_equal(os_fsync(fd), 0);
	assert_int_equal(os_fsync(fd), -1);
	assert_int_equal(os_fdatasync(fd), -1);
	assert_int_equal(os_fsync_dir(work), -1);
	os_fault_clear();
	assert_int_equal(os_fsync(fd), 0);
}

static void
test_short_write(void **state)
{
	static const struct {
		size_t n;
		size_t short_by;
		ssize_t done;
	} rows[] = {
	    {10, 1, 9},
	    {10, 9, 1},
	    {10, 10, -1},
	    {10, 11, -1},
	    {10, 0, -1},
	};

	/* R98, R99 */
	for (size_t i = 0; i < NELEM(rows); i++) {
		char out[20];

		assert_int_equal(os_ftruncate(fd, 0), 0);
		os_fault_set(
		    1u << OS_WRITE, 1, ENOSPC, rows[i].short_by, false);
		assert_int_equal(
		    os_pwrite(fd, "0123456789", rows[i].n, 0), rows[i].done);
		assert_int_equal(errno, ENOSPC);
		os_fault_clear();
		assert_int_equal(
		    os_pread(fd, out, sizeof(out), 0), MAX(rows[i].done, 0));
	}
}

/* R99: EINTR never comes back, wherever it strikes. */
static void
test_eintr(void **state)
{
	char t[100], out[100];

	memset(t, 'x', sizeof(t));
	for (uint64_t n = 1; n < 4; n++) {
		os_fault_set(ANY, n, EINTR, 30, true);
		assert_int_equal(os_pwrite(fd, t, sizeof(t), 0), sizeof(t));
		assert_int_equal(
		    os_pread(fd, out, sizeof(out), 0), sizeof(out));
		assert_int_equal(os_fsync(fd), 0);
		assert_int_equal(os_ftruncate(fd, 50), 0);
		assert_int_equal(os_spill(in_work("e"), S("x"), 0600), OK);
		assert_true(os_fault_hit());
		os_fault_clear();
	}
	assert_memory_equal(t, out, sizeof(t));
}

static void
test_gather(void **state)
{
	char in[1000], out[1000];
	struct rnd r;

	for_seeds(&r, 300)
	{
		struct iovec v[30];
		int n = (int)rnd(&r, NELEM(v));
		size_t all = 0;
		size_t cut = 1 + rnd(&r, 600);
		ssize_t got;

		for (int i = 0; i < n; i++) {
			v[i].iov_base = in + all;
			v[i].iov_len = rnd(&r, 20);
			all += v[i].iov_len;
		}
		for (size_t i = 0; i < all; i++)
			in[i] = (char)rnd64(&r);
		seed_true(&r, os_ftruncate(fd, 0) == 0);
		os_fault_set(
		    1u << OS_WRITE, 1 + rnd(&r, 2), ENOSPC, cut, false);
		got = os_pwritev(fd, v, n, 0);
		if (!os_fault_hit())
			seed_true(&r, got == (ssize_t)all);
		else
			seed_true(&r, got < (ssize_t)all && errno == ENOSPC);
		os_fault_clear();
		/* What it says it wrote is there, and no more. */
		seed_true(&r, os_pread(fd, out, sizeof(out), 0) == MAX(got, 0));
		seed_true(&r, got <= 0 || memcmp(in, out, (size_t)got) == 0);
	}
}

/* R97, R98: whichever call fails, the file is the old one or the new one,
 * and OK means the new one. */
static void
test_spill_every_n(void **state)
{
	static const int errors[] = {EIO, ENOSPC, EDQUOT, EMFILE};
	char path[256];

	snprintf(path, sizeof(path), "%s", in_work("atomic"));
	for (size_t k = 0; k < NELEM(errors); k++) {
		bool hit = true;

		for (uint64_t n = 1; hit; n++) {
			struct buf b = {0};
			enum err e;

			assert_int_equal(os_spill(path, S("old"), 0600), OK);
			os_fault_set(ANY, n, errors[k], n % 2, false);
			e = os_spill(path, S("new content"), 0600);
			hit = os_fault_hit();
			os_fault_clear();
			assert_true(hit == (e != OK));
			assert_int_equal(os_slurp(path, 100, &b), OK);
			if (e == OK || b.n != 3)
				assert_str(buf_str(&b), S("new content"));
			else
				assert_str(buf_str(&b), S("old"));
			assert_int_equal(
			    access(in_work("atomic.tmp"), F_OK), -1);
			buf_free(&b);
		}
	}
}

static void
test_others(void **state)
{
	struct buf b = {0};
	int pair[2];

	os_fault_set(ANY, 1, EMFILE, 0, true);
	assert_int_equal(os_open(work, O_RDONLY, 0), -1);
	assert_int_equal(errno, EMFILE);
	assert_int_equal(os_memfd("x"), -1);
	assert_int_equal(os_tmpfile(work), -1);
	assert_int_equal(os_lock(in_work("lock")), -1);
	assert_int_equal(os_socketpair(SOCK_STREAM, pair), -1);
	assert_int_equal(os_mkdir(in_work("x"), 0700), -1);
	assert_int_equal(os_unlink(in_work("x")), -1);
	assert_int_equal(os_rename(in_work("x"), in_work("y")), -1);
	assert_int_equal(os_allocate(fd, 0, 10), -1);
	assert_int_equal(os_slurp(work, 1, &b), ERR_LIMIT);
	assert_null(x_try(10));
	os_fault_clear();
	b.p = x_try(10);
	assert_non_null(b.p);
	buf_free(&b);
}

static int
flush_as(const char *title)
{
	os_title(title);
	return os_fsync(fd) == 0 ? 0 : 1;
}

/* $RESTANTE_FAULT is read before main: so this program is run anew, with a
 * word that makes it flush once under each of two titles. */
int
fault_again(void)
{
	int first;

	fd = os_memfd("x");
	first = flush_as("restante: auth");
	return first | flush_as("restante: mail") << 1;
}

static void
test_environment(void **state)
{
	static const struct {
		const char *wish;
		int status;
	} rows[] = {
	    {"sync:1:EIO", 1},
	    {"sync:2:EIO", 2},
	    {"sync:1:EIO:sticky", 3},
	    {"write+sync:1:ENOSPC:in=mail", 2},
	    {"sync:1:EIO:in=keys", 0},
	    {"sync:2:EIO:in=auth:short", 2},
	    {"sync:1:ENONSENSE", SIGABRT << 8},
	    {"nothing:1:EIO", SIGABRT << 8},
	    {"sync:x:EIO", SIGABRT << 8},
	};

	for (size_t i = 0; i < NELEM(rows); i++) {
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			setenv("RESTANTE_FAULT", rows[i].wish, 1);
			if (rows[i].status == SIGABRT << 8)
				close(2); /* it would only look like trouble */
			execl("/proc/self/exe", "t_os", "fault_again", NULL);
			_exit(99);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		status = WIFEXITED(status) ? WEXITSTATUS(status)
					   : WTERMSIG(status) << 8;
		if (status != rows[i].status)
			fail_msg("%s: %d", rows[i].wish, status);
	}
}

int
t_fault(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_environment),
	    cmocka_unit_test(test_nth),
	    cmocka_unit_test(test_short_write),
	    cmocka_unit_test(test_eintr),
	    cmocka_unit_test(test_gather),
	    cmocka_unit_test(test_spill_every_n),
	    cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests_name("fault", tests, set_up, tear_down);
}

#else

int
fault_again(void)
{
	return 0;
}

int
t_fault(void)
{
	/* Built without the hooks. */
	return 0;
}

#endif
