/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * record.so: preloaded into a program, records each change of the files
 * below RECORD_DIR into RECORD_LOG (reclog.h), for replay.
 *
 *   RECORD_DIR=data RECORD_LOG=ops.log LD_PRELOAD=.../record.so program ...
 *
 * A write to descriptor 200 is not done but recorded: an acknowledgement.
 * RECORD_NOSYNC=1: flushes are neither done nor recorded, and O_DSYNC means
 * nothing: what a program without flushes would be.
 * RECORD_KILL_AT=n: the n-th change, counted over all processes, is not
 * made; its process is killed instead.
 * RECORD_SIZE=bytes: of the log; 1 GiB, sparse.
 * RECORD_PASS=1: acknowledgements are also written to their descriptor.
 *
 * (1) The calls are caught where libc offers them, and in syscall(), by
 *     which src/os makes most of them.
 * (2) Call and record are made under one lock, so their order is true. A
 *     flush is too: what is written meanwhile stands after it.
 * (3) A descriptor is known by its device and inode, looked at in each
 *     call: one that was closed or replaced behind our back is not mistaken
 *     for what it was. One never seen (passed over a socket) is looked up
 *     by its path.
 * (4) Not seen: stores into a mapping (the mapping itself is recorded, and
 *     replay refuses it), io_uring, calls made by the instruction itself,
 *     stdio, mkostemp, files without a name.
 */
/* Each name of libc's is defined below as it is, without renaming. */
#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE

#include "reclog.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FD_MAX 65536

static long (*raw)(long number, ...);
static struct reclog *rl; /* NULL: nothing is recorded */
static char root[PATH_MAX];
static size_t root_n;
static bool nosync;
static bool pass;
static uint64_t kill_at;

/* What a descriptor is; guarded by rl->mu. handle 0: none of ours. */
static struct known {
	dev_t dev;
	ino_t ino;
	uint32_t handle;
	int flags; /* of open(2) */
} known[FD_MAX];

/* ---- the log ---- */

static void
log_make(int fd, size_t size)
{
	pthread_mutexattr_t a;

	if (raw(SYS_ftruncate, fd, (long)size) != 0)
		return;
	rl = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (rl == MAP_FAILED) {
		rl = NULL;
		return;
	}
	if (memcmp(rl->magic, RECLOG_MAGIC, 8) == 0)
		return;
	pthread_mutexattr_init(&a);
	pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&rl->mu, &a);
	rl->size = size;
	memcpy(rl->magic, RECLOG_MAGIC, 8);
}

/* The first process makes the log; those that it starts find it. */
__attribute__((constructor)) static void
record_init(void)
{
	const char *dir = getenv("RECORD_DIR");
	const char *path = getenv("RECORD_LOG");
	const char *size = getenv("RECORD_SIZE");
	const char *at = getenv("RECORD_KILL_AT");
	size_t bytes = size != NULL ? strtoull(size, NULL, 10) : 1ull << 30;
	int fd;

	if (raw != NULL)
		return;
	*(void **)&raw = dlsym(RTLD_NEXT, "syscall");
	if (dir == NULL || path == NULL || realpath(dir, root) == NULL)
		return;
	root_n = strlen(root);
	nosync = getenv("RECORD_NOSYNC") != NULL;
	pass = getenv("RECORD_PASS") != NULL;
	kill_at = at != NULL ? strtoull(at, NULL, 10) : 0;
	fd = (int)raw(
	    SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600L);
	if (fd < 0)
		return;
	log_make(fd, bytes);
	raw(SYS_close, fd);
}

static bool
enter(void)
{
	if (raw == NULL)
		record_init();
	if (rl == NULL)
		return false;
	if (pthread_mutex_lock(&rl->mu) == EOWNERDEAD)
		pthread_mutex_consistent(&rl->mu);
	return true;
}

/* Leaves errno as the call has left it. */
static void
leave(void)
{
	int saved = errno;

	pthread_mutex_unlock(&rl->mu);
	errno = saved;
}

/* A change is about to be made. */
static void
mutation(void)
{
	if (++rl->mutations == kill_at)
		raw(SYS_kill, raw(SYS_getpid), (long)SIGKILL);
}

static void
put(const struct reclog_rec *head, const void *p, size_t n)
{
	uint64_t need = sizeof(*head) + ((n + 7) & ~(size_t)7);
	char *at = (char *)rl + RECLOG_HEAD + rl->end;
	struct reclog_rec r = *head;

	if (RECLOG_HEAD + rl->end + need > rl->size || n > UINT32_MAX) {
		rl->overflowed = 1;
		return;
	}
	r.len = (uint32_t)n;
	r.pid = (uint32_t)raw(SYS_getpid);
	memcpy(at, &r, sizeof(r));
	if (n > 0)
		memcpy(at + sizeof(r), p, n);
	rl->end += need;
}

static void
put_op(enum reclog_op op, uint32_t handle, uint64_t at)
{
	put(&(struct reclog_rec){.op = (uint8_t)op, .handle = handle, .at = at},
	    NULL, 0);
}

static void
put_path(enum reclog_op op, const char *path)
{
	put(&(struct reclog_rec){.op = (uint8_t)op}, path, strlen(path));
}

static void
put_count(enum reclog_op op, uint32_t handle, uint64_t at, uint64_t n)
{
	put(&(struct reclog_rec){.op = (uint8_t)op, .handle = handle, .at = at},
	    &n, sizeof(n));
}

/* ---- paths ---- */

/* Removes "//", "/./" and "/x/.." in place. */
static void
squeeze(char *path)
{
	char *out = path;
	char *s = path;

	while (*s != '\0') {
		size_t n = strcspn(s + 1, "/");

		if (n == 2 && s[1] == '.' && s[2] == '.') {
			while (out > path && *--out != '/')
				;
		} else if (n > 0 && !(n == 1 && s[1] == '.')) {
			memmove(out, s, n + 1);
			out += n + 1;
		}
		s += n + 1;
	}
	*out = '\0';
}

/* The path below root, or NULL when it is elsewhere. Made from the text as
 * far as it goes: in a box the links of /proc cannot be read. */
static const char *
below(int dirfd, const char *path, char buf[PATH_MAX])
{
	char base[PATH_MAX] = "";
	char link[64];

	if (path[0] != '/' && dirfd == AT_FDCWD) {
		if (getcwd(base, sizeof(base)) == NULL)
			return NULL;
	} else if (path[0] != '/') {
		ssize_t n;

		snprintf(link, sizeof(link), "/proc/self/fd/%d", dirfd);
		n = readlink(link, base, sizeof(base) - 1);
		if (n <= 0)
			return NULL;
		base[n] = '\0';
	}
	if (snprintf(buf, PATH_MAX, "%s/%s", base, path) >= PATH_MAX)
		return NULL;
	squeeze(buf);
	if (strncmp(buf, root, root_n) != 0 ||
	    (buf[root_n] != '\0' && buf[root_n] != '/'))
		return NULL;
	return buf + root_n;
}

/* ---- descriptors ---- */

static uint32_t
remember(int fd, const struct stat *st, const char *path, int flags)
{
	struct known *k = &known[fd];

	k->dev = st->st_dev;
	k->ino = st->st_ino;
	k->flags = flags;
	k->handle = 0;
	if (path == NULL || (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode)))
		return 0;
	k->handle = ++rl->handles;
	put(&(struct reclog_rec){.op = REC_OPEN,
		.flags = S_ISDIR(st->st_mode) ? RECLOG_DIR : 0,
		.handle = k->handle,
		.at = (uint64_t)flags},
	    path, strlen(path));
	return k->handle;
}

/* The handle of a descriptor, 0 for what is none of ours. (3) */
static uint32_t
handle_of(int fd)
{
	char link[64];
	char path[PATH_MAX];
	char buf[PATH_MAX];
	struct stat st;
	ssize_t n;

	if (fd < 0 || fd >= FD_MAX || fstat(fd, &st) != 0)
		return 0;
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return 0;
	if (known[fd].dev == st.st_dev && known[fd].ino == st.st_ino)
		return known[fd].handle;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	if (n <= 0 || st.st_nlink == 0)
		return remember(fd, &st, NULL, 0);
	return remember(fd, &st, below(AT_FDCWD, path, buf),
	    (int)raw(SYS_fcntl, fd, (long)F_GETFL));
}

/* ---- opening ---- */

static int
do_open(int dirfd, const char *path, int flags, mode_t mode)
{
	char buf[PATH_MAX];
	const char *rel;
	struct stat st;
	int fd;

	if (!enter())
		return (int)raw(SYS_openat, dirfd, path, flags, (long)mode);
	rel = below(dirfd, path, buf);
	if (rel != NULL && (flags & O_TMPFILE) == O_TMPFILE)
		rel = NULL;
	if (rel != NULL && (flags & (O_CREAT | O_TRUNC)))
		mutation();
	fd = (int)raw(SYS_openat, dirfd, path, flags, (long)mode);
	if (fd >= 0 && fd < FD_MAX && fstat(fd, &st) == 0)
		remember(fd, &st, rel, flags);
	leave();
	return fd;
}

static mode_t
mode_arg(int flags, va_list ap)
{
	if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE)
		return va_arg(ap, mode_t);
	return 0;
}

#define OPEN(name)                                           \
	int name(const char *path, int flags, ...);          \
	int name(const char *path, int flags, ...)           \
	{                                                    \
		va_list ap;                                  \
		mode_t mode;                                 \
                                                             \
		va_start(ap, flags);                         \
		mode = mode_arg(flags, ap);                  \
		va_end(ap);                                  \
		return do_open(AT_FDCWD, path, flags, mode); \
	}
#define OPENAT(name)                                           \
	int name(int dirfd, const char *path, int flags, ...); \
	int name(int dirfd, const char *path, int flags, ...)  \
	{                                                      \
		va_list ap;                                    \
		mode_t mode;                                   \
                                                               \
		va_start(ap, flags);                           \
		mode = mode_arg(flags, ap);                    \
		va_end(ap);                                    \
		return do_open(dirfd, path, flags, mode);      \
	}
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

int
creat(const char *path, mode_t mode)
{
	return do_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

int
close(int fd)
{
	if (fd >= 0 && fd < FD_MAX && enter()) {
		known[fd] = (struct known){0};
		leave();
	}
	if (raw == NULL)
		record_init();
	return (int)raw(SYS_close, fd);
}

/* ---- writing ---- */

static bool
all_zeros(const char *p, size_t n)
{
	return n >= 512 && p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

/* Records what was written: zeros shortly, for there are many ahead. */
static void
put_written(uint32_t handle, uint64_t at, const char *p, size_t n, bool durable)
{
	if (!durable && all_zeros(p, n)) {
		put_count(REC_ZERO, handle, at, n);
		return;
	}
	put(&(struct reclog_rec){.op = REC_WRITE,
		.flags = durable ? RECLOG_DURABLE : 0,
		.handle = handle,
		.at = at},
	    p, n);
}

/* Before a change through a descriptor: locked, and its handle; or 0, and
 * not locked, when it is none of ours. */
static uint32_t
changing(int fd)
{
	uint32_t h;

	if (!enter())
		return 0;
	if ((h = handle_of(fd)) == 0) {
		leave();
		return 0;
	}
	mutation();
	return h;
}

static void
put_pieces(
    uint32_t h, uint64_t at, const struct iovec *v, size_t left, bool durable)
{
	for (; left > 0; v++) {
		size_t k = v->iov_len < left ? v->iov_len : left;

		put_written(h, at, v->iov_base, k, durable);
		at += k;
		left -= k;
	}
}

/* Any writing call; at -1: where the descriptor stands. */
static ssize_t
do_write(int fd, const struct iovec *v, int n, off_t at, int how)
{
	const int dsync = RWF_DSYNC | RWF_SYNC;
	uint32_t h = changing(fd);
	off_t pos = at;
	ssize_t done;
	bool durable;

	if (h != 0 && nosync)
		how &= ~dsync;
	if (h != 0 && at == -1)
		pos = lseek(
		    fd, 0, known[fd].flags & O_APPEND ? SEEK_END : SEEK_CUR);
	if (how != 0)
		done = raw(SYS_pwritev2, fd, v, n, at, 0L, how);
	else if (at == -1)
		done = raw(SYS_writev, fd, v, n);
	else
		done = raw(SYS_pwritev, fd, v, n, at, 0L);
	if (h == 0)
		return done;
	durable = (known[fd].flags & (O_DSYNC | O_SYNC)) || (how & dsync);
	if (done > 0)
		put_pieces(
		    h, (uint64_t)pos, v, (size_t)done, durable && !nosync);
	leave();
	return done;
}

/* An acknowledgement, or false. */
static bool
ack(int fd, const void *p, size_t n)
{
	if (fd != RECLOG_ACK_FD || !enter())
		return false;
	put(&(struct reclog_rec){.op = REC_ACK}, p, n);
	leave();
	return !pass;
}

static ssize_t
write_one(int fd, const void *p, size_t n, off_t at)
{
	struct iovec v = {(void *)(uintptr_t)p, n};

	if (at == -1 && ack(fd, p, n))
		return (ssize_t)n;
	return do_write(fd, &v, 1, at, 0);
}

ssize_t
write(int fd, const void *p, size_t n)
{
	return write_one(fd, p, n, -1);
}

ssize_t
pwrite(int fd, const void *p, size_t n, off_t at)
{
	return write_one(fd, p, n, at);
}

ssize_t
writev(int fd, const struct iovec *v, int n)
{
	return do_write(fd, v, n, -1, 0);
}

ssize_t
pwritev(int fd, const struct iovec *v, int n, off_t at)
{
	return do_write(fd, v, n, at, 0);
}

ssize_t
pwritev2(int fd, const struct iovec *v, int n, off_t at, int how)
{
	return do_write(fd, v, n, at, how);
}

/* Records what the system has copied into a file by itself. */
static void
put_copied(int fd, uint32_t h, off_t at, size_t n)
{
	char piece[65536];

	while (n > 0) {
		size_t k = n < sizeof(piece) ? n : sizeof(piece);
		long r = raw(SYS_pread64, fd, piece, k, at);

		if (r <= 0)
			break;
		put_written(h, (uint64_t)at, piece, (size_t)r, false);
		at += r;
		n -= (size_t)r;
	}
}

ssize_t
copy_file_range(
    int from, off64_t *at, int to, off64_t *to_at, size_t n, unsigned flags)
{
	uint32_t h = changing(to);
	off64_t pos = to_at != NULL ? *to_at : lseek(to, 0, SEEK_CUR);
	ssize_t done = raw(SYS_copy_file_range, from, at, to, to_at, n, flags);

	if (h == 0)
		return done;
	if (done > 0)
		put_copied(to, h, pos, (size_t)done);
	leave();
	return done;
}

ssize_t
sendfile(int to, int from, off_t *at, size_t n)
{
	uint32_t h = changing(to);
	off_t pos = h != 0 ? lseek(to, 0, SEEK_CUR) : 0;
	ssize_t done = raw(SYS_sendfile, to, from, at, n);

	if (h == 0)
		return done;
	if (done > 0)
		put_copied(to, h, pos, (size_t)done);
	leave();
	return done;
}

int
ftruncate(int fd, off_t n)
{
	uint32_t h = changing(fd);
	int r = (int)raw(SYS_ftruncate, fd, n);

	if (h == 0)
		return r;
	if (r == 0)
		put_op(REC_TRUNCATE, h, (uint64_t)n);
	leave();
	return r;
}

int
truncate(const char *path, off_t n)
{
	int fd = do_open(AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0);
	int r = fd < 0 ? -1 : ftruncate(fd, n);

	if (fd >= 0)
		close(fd);
	return r;
}

int
fallocate(int fd, int mode, off_t at, off_t n)
{
	uint32_t h = changing(fd);
	int r = (int)raw(SYS_fallocate, fd, mode, at, n);

	if (h == 0)
		return r;
	if (r == 0 && (mode & ~FALLOC_FL_KEEP_SIZE) != 0)
		put_count(REC_ZERO, h, (uint64_t)at, (uint64_t)n);
	else if (r == 0 && mode == 0)
		put_count(REC_ALLOC, h, (uint64_t)at, (uint64_t)n);
	leave();
	return r;
}

int
posix_fallocate(int fd, off_t at, off_t n)
{
	int saved = errno;
	int r = fallocate(fd, 0, at, n) == 0 ? 0 : errno;

	errno = saved;
	return r;
}

/* ---- flushing ---- */

static int
do_sync(int fd, long call)
{
	uint32_t h = changing(fd);
	int r;

	if (h == 0)
		return (int)raw(call, fd);
	r = nosync ? 0 : (int)raw(call, fd);
	if (r == 0 && !nosync)
		put_op(REC_SYNC, h, 0);
	leave();
	return r;
}

int
fsync(int fd)
{
	return do_sync(fd, SYS_fsync);
}

int
fdatasync(int fd)
{
	return do_sync(fd, SYS_fdatasync);
}

int
sync_file_range(int fd, off64_t at, off64_t n, unsigned flags)
{
	uint32_t h = changing(fd);
	int r = (int)raw(SYS_sync_file_range, fd, at, n, flags);

	if (h == 0)
		return r;
	put_op(REC_RANGE, h, (uint64_t)at);
	leave();
	return r;
}

static void *
do_mmap(void *p, size_t n, int prot, int flags, int fd, off_t at)
{
	uint32_t h = 0;
	long r;

	if (fd >= 0 && (prot & PROT_WRITE) && (flags & MAP_TYPE) != MAP_PRIVATE)
		h = changing(fd);
	r = raw(SYS_mmap, p, n, prot, flags, fd, at);
	if (h != 0) {
		put_op(REC_MAPPED, h, (uint64_t)at);
		leave();
	}
	return (void *)r;
}

void *
mmap(void *p, size_t n, int prot, int flags, int fd, off_t at)
{
	if (raw == NULL)
		record_init();
	return do_mmap(p, n, prot, flags, fd, at);
}

/* Where offsets have 64 bits anyway, both names are one. */
#define SAME(of) __attribute__((alias(#of)))
SAME(pwrite) ssize_t pwrite64(int, const void *, size_t, off64_t);
SAME(pwritev) ssize_t pwritev64(int, const struct iovec *, int, off64_t);
SAME(pwritev2)
ssize_t pwritev64v2(int, const struct iovec *, int, off64_t, int);
SAME(sendfile) ssize_t sendfile64(int, int, off64_t *, size_t);
SAME(ftruncate) int ftruncate64(int, off64_t);
SAME(fallocate) int fallocate64(int, int, off64_t, off64_t);
SAME(posix_fallocate) int posix_fallocate64(int, off64_t, off64_t);
SAME(mmap) void *mmap64(void *, size_t, int, int, int, off64_t);

/* ---- names ---- */

/* Two names; recorded when both are ours. One that comes from elsewhere or
 * goes there is recorded as gone. */
static int
do_two(enum reclog_op op, long call, int d1, const char *p1, int d2,
    const char *p2, unsigned flags)
{
	char b1[PATH_MAX];
	char b2[PATH_MAX];
	char both[2 * PATH_MAX];
	const char *from;
	const char *to;
	size_t n;
	int r;

	if (!enter())
		return (int)raw(call, d1, p1, d2, p2, flags);
	from = below(d1, p1, b1);
	to = below(d2, p2, b2);
	if (from != NULL || to != NULL)
		mutation();
	r = (int)raw(call, d1, p1, d2, p2, flags);
	if (r == 0 && from != NULL && to != NULL) {
		n = strlen(from) + 1;
		memcpy(both, from, n);
		memcpy(both + n, to, strlen(to));
		n += strlen(to);
		put(&(struct reclog_rec){.op = (uint8_t)op}, both, n);
	} else if (r == 0 && from != NULL && op == REC_RENAME) {
		put_path(REC_UNLINK, from);
	}
	leave();
	return r;
}

static int
do_rename(int d1, const char *p1, int d2, const char *p2, unsigned flags)
{
	return do_two(REC_RENAME, SYS_renameat2, d1, p1, d2, p2, flags);
}

int
rename(const char *from, const char *to)
{
	return do_rename(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int
renameat(int d1, const char *from, int d2, const char *to)
{
	return do_rename(d1, from, d2, to, 0);
}

int
renameat2(int d1, const char *from, int d2, const char *to, unsigned flags)
{
	return do_rename(d1, from, d2, to, flags);
}

int
linkat(int d1, const char *from, int d2, const char *to, int flags)
{
	return do_two(REC_LINK, SYS_linkat, d1, from, d2, to, (unsigned)flags);
}

int
link(const char *from, const char *to)
{
	return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

static int
do_one(enum reclog_op op, long call, int dirfd, const char *path, long arg)
{
	char buf[PATH_MAX];
	const char *rel;
	int r;

	if (!enter())
		return (int)raw(call, dirfd, path, arg);
	rel = below(dirfd, path, buf);
	if (rel != NULL)
		mutation();
	r = (int)raw(call, dirfd, path, arg);
	if (r == 0 && rel != NULL)
		put_path(op, rel);
	leave();
	return r;
}

int
unlinkat(int dirfd, const char *path, int flags)
{
	return do_one(REC_UNLINK, SYS_unlinkat, dirfd, path, flags);
}

int
unlink(const char *path)
{
	return unlinkat(AT_FDCWD, path, 0);
}

int
rmdir(const char *path)
{
	return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int
remove(const char *path)
{
	int r = unlink(path);

	return r != 0 && errno == EISDIR ? rmdir(path) : r;
}

int
mkdirat(int dirfd, const char *path, mode_t mode)
{
	return do_one(REC_MKDIR, SYS_mkdirat, dirfd, path, (long)mode);
}

int
mkdir(const char *path, mode_t mode)
{
	return mkdirat(AT_FDCWD, path, mode);
}

/* ---- the same by number (1) ---- */

/* Like a call made by name, with what the registers hold. Those of 32-bit
 * machines, with offsets in two halves, are not seen. */
static long
by_number(long call, const long a[6], bool *ours)
{
	const struct iovec *v = (const struct iovec *)a[1];
	const char *path = (const char *)a[1];
	int fd = (int)a[0];

	*ours = true;
	switch (call) {
	case SYS_write:
		return write_one(fd, path, (size_t)a[2], -1);
	case SYS_pwrite64:
		return write_one(fd, path, (size_t)a[2], a[3]);
	case SYS_writev:
		return do_write(fd, v, (int)a[2], -1, 0);
	case SYS_pwritev:
		return do_write(fd, v, (int)a[2], a[3], 0);
	case SYS_pwritev2:
		return do_write(fd, v, (int)a[2], a[3], (int)a[5]);
	case SYS_ftruncate:
		return ftruncate(fd, a[1]);
	case SYS_fallocate:
		return fallocate(fd, (int)a[1], a[2], a[3]);
	case SYS_fsync:
	case SYS_fdatasync:
		return do_sync(fd, call);
	case SYS_openat:
		return do_open(fd, path, (int)a[2], (mode_t)a[3]);
	case SYS_close:
		return close(fd);
	case SYS_renameat2:
		return do_rename(
		    fd, path, (int)a[2], (const char *)a[3], (unsigned)a[4]);
	case SYS_linkat:
		return linkat(
		    fd, path, (int)a[2], (const char *)a[3], (int)a[4]);
	case SYS_unlinkat:
		return unlinkat(fd, path, (int)a[2]);
	case SYS_mkdirat:
		return mkdirat(fd, path, (mode_t)a[2]);
	default:
		*ours = false;
		return 0;
	}
}

long
syscall(long call, ...)
{
	va_list ap;
	long a[6];
	long r;
	bool ours;

	va_start(ap, call);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (raw == NULL)
		record_init();
	r = by_number(call, a, &ours);
	return ours ? r : raw(call, a[0], a[1], a[2], a[3], a[4], a[5]);
}
