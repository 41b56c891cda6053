/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Inside os: system calls by number. libc's functions of these names may be
 * wrapped at link time (lmdbwrap.c) into the hook that our own calls have
 * already asked; asking the system by number keeps them from being counted
 * twice, in programs that are linked with the wraps and in those that are
 * not.
 */
#ifndef OS_OS_INT_H
#define OS_OS_INT_H

#include "os/os.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline ssize_t
raw_pread(int fd, void *p, size_t n, off_t at)
{
	return syscall(SYS_pread64, fd, p, n, at);
}
static inline ssize_t
raw_pwrite(int fd, const void *p, size_t n, off_t at)
{
	return syscall(SYS_pwrite64, fd, p, n, at);
}
static inline ssize_t
raw_pwritev(int fd, const struct iovec *v, int n, off_t at)
{
	/* The last argument is the high half of the offset on machines of
	 * 32 bits, and ignored elsewhere. */
	return syscall(SYS_pwritev, fd, v, n, at, 0);
}
static inline ssize_t
raw_read(int fd, void *p, size_t n)
{
	return syscall(SYS_read, fd, p, n);
}
static inline ssize_t
raw_write(int fd, const void *p, size_t n)
{
	return syscall(SYS_write, fd, p, n);
}
static inline ssize_t
raw_writev(int fd, const struct iovec *v, int n)
{
	return syscall(SYS_writev, fd, v, n);
}
static inline int
raw_fdatasync(int fd)
{
	return (int)syscall(SYS_fdatasync, fd);
}
static inline int
raw_fsync(int fd)
{
	return (int)syscall(SYS_fsync, fd);
}
static inline int
raw_ftruncate(int fd, off_t n)
{
	return (int)syscall(SYS_ftruncate, fd, n);
}

/* Sets the fault that the environment holds for processes of this title. */
void fault_title(const char *title);
/* By how much a test has set the wall clock forward. */
int64_t fault_wall_ms(void);

/* Asks the hook for a call that has no length: 0, or -1 with errno set.
 * EINTR is as if it had been retried, since (1) of os.h hides it. */
static inline int
fault_here(enum os_call call)
{
	int e = os_fault(call, NULL);

	if (e == 0 || e == EINTR)
		return 0;
	errno = e;
	return -1;
}

#endif
