/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * LMDB's own calls, sent through the hook for faults: programs linked with
 * lmdb_wrap_args (src/os/meson.build) have these in place of libc's.
 *
 * (1) The wraps catch every call in what is linked statically, not LMDB's
 *     alone. So the kinds that also serve sockets and pipes ask the hook
 *     for regular files only; os itself asks the system by number.
 * (2) A write that the hook cuts short returns the short count, as the
 *     kernel does; LMDB takes that for an error.
 */
#include "os/os_int.h"

ssize_t __wrap_pread(int fd, void *p, size_t n, off_t at);
ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t at);
ssize_t __wrap_write(int fd, const void *p, size_t n);
ssize_t __wrap_writev(int fd, const struct iovec *v, int n);
ssize_t __wrap_pwritev(int fd, const struct iovec *v, int n, off_t at);
int __wrap_fdatasync(int fd);
int __wrap_fsync(int fd);
int __wrap_ftruncate(int fd, off_t n);
int __wrap_msync(void *p, size_t n, int flags);

static bool
regular(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

/* Asks the hook; what is left of *n is written first, then comes the
 * error. True: return -1 at once. */
static bool
refused(enum os_call call, size_t *n)
{
	int e = os_fault(call, n);

	if (e == 0 || *n > 0)
		return false;
	errno = e;
	return true;
}

ssize_t
__wrap_pread(int fd, void *p, size_t n, off_t at)
{
	return refused(OS_READ, &n) ? -1 : raw_pread(fd, p, n, at);
}

ssize_t
__wrap_pwrite(int fd, const void *p, size_t n, off_t at)
{
	return refused(OS_WRITE, &n) ? -1 : raw_pwrite(fd, p, n, at);
}

ssize_t
__wrap_write(int fd, const void *p, size_t n)
{
	if (regular(fd) && refused(OS_WRITE, &n))
		return -1;
	return raw_write(fd, p, n);
}

static size_t
total(const struct iovec *v, int n)
{
	size_t sum = 0;

	for (int i = 0; i < n; i++)
		sum += v[i].iov_len;
	return sum;
}

/* The first bytes of v as writev, or as pwritev when at is not -1. */
static ssize_t
write_part(int fd, const struct iovec *v, int n, size_t bytes, off_t at)
{
	ssize_t sum = 0;

	for (int i = 0; i < n && bytes > 0; i++) {
		size_t k = MIN(bytes, v[i].iov_len);
		ssize_t r = at == -1
				? raw_write(fd, v[i].iov_base, k)
				: raw_pwrite(fd, v[i].iov_base, k, at + sum);

		if (r < 0)
			return sum > 0 ? sum : -1;
		sum += r;
		bytes -= k;
		if ((size_t)r < k)
			break;
	}
	return sum;
}

ssize_t
__wrap_writev(int fd, const struct iovec *v, int n)
{
	size_t all = total(v, n);
	size_t left = all;

	if (regular(fd) && refused(OS_WRITE, &left))
		return -1;
	return left < all ? write_part(fd, v, n, left, -1)
			  : raw_writev(fd, v, n);
}

ssize_t
__wrap_pwritev(int fd, const struct iovec *v, int n, off_t at)
{
	size_t all = total(v, n);
	size_t left = all;

	if (refused(OS_WRITE, &left))
		return -1;
	return left < all ? write_part(fd, v, n, left, at)
			  : raw_pwritev(fd, v, n, at);
}

static int
fault_plain(enum os_call call)
{
	int e = os_fault(call, NULL);

	if (e == 0)
		return 0;
	errno = e;
	return -1;
}

int
__wrap_fdatasync(int fd)
{
	return fault_plain(OS_SYNC) != 0 ? -1 : raw_fdatasync(fd);
}

int
__wrap_fsync(int fd)
{
	return fault_plain(OS_SYNC) != 0 ? -1 : raw_fsync(fd);
}

int
__wrap_ftruncate(int fd, off_t n)
{
	return fault_plain(OS_TRUNCATE) != 0 ? -1 : raw_ftruncate(fd, n);
}

int
__wrap_msync(void *p, size_t n, int flags)
{
	if (fault_plain(OS_SYNC) != 0)
		return -1;
	return (int)syscall(SYS_msync, p, n, flags);
}
