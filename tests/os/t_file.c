/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* Files, without faults. */
#include "t_os.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

static void
test_read_write(void **state)
{
	int fd = os_open(in_work("a"), O_RDWR | O_CREAT | O_TRUNC, 0600);
	struct iovec v[40];
	char in[40], out[64];

	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	for (size_t i = 0; i < NELEM(v); i++) {
		in[i] = (char)('a' + i % 26);
		/* More pieces than are written at once, some empty. */
		v[i] = (struct iovec){&in[i], i % 5 != 0};
	}
	assert_int_equal(os_pwritev(fd, v, NELEM(v), 3), 32);
	assert_int_equal(os_pwrite(fd, "xyz", 3, 0), 3);
	assert_int_equal(os_pread(fd, out, sizeof(out), 0), 35);
	assert_memory_equal(out, "xyzbcdeghij", 11);
	assert_int_equal(os_pread(fd, out, sizeof(out), 35), 0);
	assert_int_equal(os_pread(fd, out, 4, 33), 2);
	assert_int_equal(os_pwrite(fd, NULL, 0, 0), 0);
	assert_int_equal(os_fdatasync(fd), 0);
	assert_int_equal(os_fsync(fd), 0);
	assert_int_equal(os_ftruncate(fd, 1), 0);
	assert_int_equal(os_pread(fd, out, 9, 0), 1);
	assert_int_equal(os_allocate(fd, 1, 100000), 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), 100001);
	assert_int_equal(os_close(&fd), 0);
	assert_int_equal(fd, -1);
	assert_int_equal(os_close(&fd), 0);
	assert_int_equal(os_pread(-1, out, 1, 0), -1);
	assert_int_equal(errno, EBADF);
}

static void
test_names(void **state)
{
	int fd;

	assert_int_equal(os_mkdir(in_work("d"), 0700), 0);
	assert_int_equal(os_mkdir(in_work("d"), 0700), 0);
	assert_int_equal(os_mkdir(in_work("a"), 0700), -1);
	assert_int_equal(errno, EEXIST);
	assert_int_equal(os_mkdir(in_work("no/d"), 0700), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(os_rename(in_work("a"), in_work("b")), 0);
	assert_int_equal(os_fsync_dir(work), 0);
	assert_int_equal(os_unlink(in_work("b")), 0);
	assert_int_equal(os_unlink(in_work("b")), -1);
	fd = os_tmpfile(work);
	assert_true(fd >= 0);
	assert_int_equal(os_write_all(fd, "abc", 3), 0);
	os_close(&fd);
	fd = os_memfd("test");
	assert_int_equal(os_write_all(fd, "abc", 3), 0);
	assert_int_equal(
	    fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK), 0);
	assert_int_equal(os_pwrite(fd, "x", 1, 0), -1);
	os_close(&fd);
}

static void
test_lock(void **state)
{
	int one = os_lock(in_work("lock"));
	int two;

	assert_true(one >= 0);
	two = os_lock(in_work("lock"));
	assert_int_equal(two, -1);
	assert_int_equal(errno, EWOULDBLOCK);
	os_close(&one);
	two = os_lock(in_work("lock"));
	assert_true(two >= 0);
	os_close(&two);
}

static void
test_slurp_spill(void **state)
{
	struct buf b = {0};
	struct stat st;
	char *big = x_alloc(100000);

	memset(big, 'x', 100000);
	assert_int_equal(os_slurp(in_work("none"), 10, &b), ERR_NOTFOUND);
	assert_int_equal(os_slurp(work, 10, &b), ERR_INVALID);
	assert_int_equal(os_spill(in_work("s"), S("hello"), 0640), OK);
	assert_int_equal(stat(in_work("s"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	/* R124: at the bound, and one past it. */
	assert_int_equal(os_slurp(in_work("s"), 5, &b), OK);
	assert_str(buf_str(&b), S("hello"));
	assert_int_equal(os_slurp(in_work("s"), 4, &b), ERR_TOOBIG);
	assert_str(buf_str(&b), S("hello"));
	/* One that a crash has left behind is no hindrance. */
	assert_int_equal(os_spill(in_work("s.tmp"), S("old"), 0400), OK);
	assert_int_equal(os_spill(in_work("s"), str_of(big, 100000), 0600), OK);
	assert_int_equal(access(in_work("s.tmp"), F_OK), -1);
	buf_reset(&b);
	assert_int_equal(os_slurp(in_work("s"), 100000, &b), OK);
	assert_int_equal(b.n, 100000);
	assert_int_equal(os_spill(in_work("no/s"), S("x"), 0600), ERR_NOTFOUND);
	buf_free(&b);
	x_free(&big);
}

/* R98: a file that may grow no further; the write was begun. */
static void
test_real_limit(void **state)
{
	struct rlimit old, small;
	int fd = os_open(in_work("l"), O_RDWR | O_CREAT | O_TRUNC, 0600);
	char t[100] = {0};

	getrlimit(RLIMIT_FSIZE, &old);
	small = old;
	small.rlim_cur = 1000;
	setrlimit(RLIMIT_FSIZE, &small);
	assert_int_equal(os_pwrite(fd, t, 100, 950), 50);
	assert_int_equal(errno, EFBIG);
	assert_int_equal(os_pwrite(fd, t, 100, 1000), -1);
	assert_int_equal(errno, EFBIG);
	assert_int_equal(os_allocate(fd, 0, 2000), -1);
	setrlimit(RLIMIT_FSIZE, &old);
	os_close(&fd);
}

int
t_file(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_read_write),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_lock),
	    cmocka_unit_test(test_slurp_spill),
	    cmocka_unit_test(test_real_limit),
	};

	return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
