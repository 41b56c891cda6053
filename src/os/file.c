/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Files: open, read, write, flush, rename.
 *
 * (1) The hook is asked before each call to the system, so that a test can
 *     fail the second half of a write that was completed in two.
 * (2) EINTR is retried, from the system and from the hook. What a write did
 *     before it failed is returned; a read that failed is -1, for a short
 *     count means the end of the file.
 */
#include "os/os_int.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>

int
os_openat(int dirfd, const char *path, int flags, mode_t mode)
{
	int fd;

	if (fault_here(OS_OPEN) != 0)
		return -1;
	do
		fd = openat(dirfd, path, flags | O_CLOEXEC, mode);
	while (fd < 0 && errno == EINTR);
	return fd;
}

int
os_open(const char *path, int flags, mode_t mode)
{
	return os_openat(AT_FDCWD, path, flags, mode);
}

int
os_close(int *fd)
{
	int r = 0;
	int saved = errno;

	/* Linux closes it even when it says EINTR: never close twice. */
	if (*fd >= 0 && (r = close(*fd)) != 0 && errno == EINTR)
		r = 0;
	*fd = -1;
	if (r == 0)
		errno = saved;
	return r;
}

ssize_t
os_pread(int fd, void *p, size_t n, off_t at)
{
	size_t done = 0;

	while (done < n) {
		size_t k = n - done;
		int e = os_fault(OS_READ, &k);
		ssize_t r = -1;

		if (e != 0)
			errno = e;
		else
			r = raw_pread(
			    fd, (char *)p + done, k, at + (off_t)done);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -1; /* (2) */
		if (r == 0)
			break;
		done += (size_t)r;
	}
	return (ssize_t)done;
}

ssize_t
os_read(int fd, void *p, size_t n)
{
	ssize_t r = -1;

	do {
		size_t k = n;
		int e = os_fault(OS_READ, &k);

		if (e != 0)
			errno = e;
		else
			r = raw_read(fd, p, k);
	} while (r < 0 && errno == EINTR);
	return r;
}

/* Where a gathering write has come to. */
struct cursor {
	const struct iovec *v;
	int n;
	size_t off; /* into v[0] */
};

/* The next bytes (at most limit) as at most max pieces; returns how many
 * pieces. */
static int
cursor_pieces(const struct cursor *c, struct iovec *out, int max, size_t limit)
{
	size_t off = c->off;
	int k = 0;

	for (int i = 0; i < c->n && k < max && limit > 0; i++, off = 0) {
		size_t n = MIN(c->v[i].iov_len - off, limit);

		if (n == 0)
			continue;
		out[k].iov_base = (char *)c->v[i].iov_base + off;
		out[k++].iov_len = n;
		limit -= n;
	}
	return k;
}

static void
cursor_move(struct cursor *c, size_t n)
{
	while (c->n > 0 && n >= c->v[0].iov_len - c->off) {
		n -= c->v[0].iov_len - c->off;
		c->v++;
		c->n--;
		c->off = 0;
	}
	c->off += n;
}

/* All of v at `at`, or with write() when at is -1. */
static ssize_t
write_all(int fd, const struct iovec *v, int n, off_t at)
{
	struct cursor c = {v, n, 0};
	size_t left = 0;
	size_t done = 0;

	for (int i = 0; i < n; i++)
		left += v[i].iov_len;
	while (left > 0) {
		struct iovec piece[16];
		size_t want = left;
		int e = os_fault(OS_WRITE, &want); /* (1) */
		int k = cursor_pieces(&c, piece, NELEM(piece), want);
		ssize_t r = 0;

		if (k > 0)
			r = at == -1
				? raw_writev(fd, piece, k)
				: raw_pwritev(fd, piece, k, at + (off_t)done);
		if (r < 0 && errno == EINTR)
			continue;
		if (r > 0) {
			cursor_move(&c, (size_t)r);
			done += (size_t)r;
			left -= (size_t)r;
		}
		if (e == EINTR)
			continue;
		if (e != 0)
			errno = e;
		else if (r == 0)
			errno = EIO; /* a write of nothing, without a reason */
		if (e != 0 || r <= 0)
			return done > 0 ? (ssize_t)done : -1;
	}
	return (ssize_t)done;
}

ssize_t
os_pwritev(int fd, const struct iovec *v, int n, off_t at)
{
	return write_all(fd, v, n, at);
}

ssize_t
os_pwrite(int fd, const void *p, size_t n, off_t at)
{
	struct iovec v = {(void *)(uintptr_t)p, n};

	return write_all(fd, &v, 1, at);
}

int
os_write_all(int fd, const void *p, size_t n)
{
	struct iovec v = {(void *)(uintptr_t)p, n};

	return write_all(fd, &v, 1, -1) == (ssize_t)n ? 0 : -1;
}

int
os_fdatasync(int fd)
{
	int r;

	if (fault_here(OS_SYNC) != 0)
		return -1;
	do
		r = raw_fdatasync(fd);
	while (r != 0 && errno == EINTR);
	return r;
}

int
os_fsync(int fd)
{
	int r;

	if (fault_here(OS_SYNC) != 0)
		return -1;
	do
		r = raw_fsync(fd);
	while (r != 0 && errno == EINTR);
	return r;
}

int
os_syncfs(int fd)
{
	return fault_here(OS_SYNC) != 0 ? -1 : syncfs(fd);
}

int
os_fsync_dir(const char *path)
{
	int fd = os_open(path, O_RDONLY | O_DIRECTORY, 0);
	int r;

	if (fd < 0)
		return -1;
	r = os_fsync(fd);
	os_close(&fd);
	return r;
}

int
os_ftruncate(int fd, off_t n)
{
	int r;

	if (fault_here(OS_TRUNCATE) != 0)
		return -1;
	do
		r = raw_ftruncate(fd, n);
	while (r != 0 && errno == EINTR);
	return r;
}

/* Zeros over the range: later writes into it change no metadata, so that a
 * flush is data only. Blocks merely reserved would not do. */
static int
write_zeros(int fd, off_t at, off_t n)
{
	static const char zeros[65536];

	while (n > 0) {
		size_t k = (size_t)MIN(n, (off_t)sizeof(zeros));
		ssize_t r = raw_pwrite(fd, zeros, k, at);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0) {
			if (r == 0)
				errno = EIO;
			return -1;
		}
		at += r;
		n -= r;
	}
	return 0;
}

int
os_allocate(int fd, off_t at, off_t n)
{
	int r;

	if (fault_here(OS_ALLOCATE) != 0)
		return -1;
	/* First asks for the blocks at once, for they then lie together, and
	 * a full disk says so before anything is written. */
	do
		r = fallocate(fd, 0, at, n);
	while (r != 0 && errno == EINTR);
	if (r != 0 && errno != EOPNOTSUPP && errno != ENOSYS)
		return -1;
	if (write_zeros(fd, at, n) != 0)
		return -1;
	do
		r = raw_fdatasync(fd);
	while (r != 0 && errno == EINTR);
	return r;
}

int
os_renameat(int dirfd, const char *from, const char *to)
{
	return fault_here(OS_RENAME) != 0 ? -1
					  : renameat(dirfd, from, dirfd, to);
}

int
os_rename(const char *from, const char *to)
{
	return os_renameat(AT_FDCWD, from, to);
}

int
os_unlink(const char *path)
{
	return fault_here(OS_UNLINK) != 0 ? -1 : unlink(path);
}

int
os_mkdirat(int dirfd, const char *path, mode_t mode)
{
	struct stat st;

	if (fault_here(OS_MKDIR) != 0)
		return -1;
	if (mkdirat(dirfd, path, mode) == 0)
		return 0;
	if (errno == EEXIST && fstatat(dirfd, path, &st, 0) == 0) {
		if (S_ISDIR(st.st_mode))
			return 0;
		errno = EEXIST;
	}
	return -1;
}

int
os_mkdir(const char *path, mode_t mode)
{
	return os_mkdirat(AT_FDCWD, path, mode);
}

int
os_memfd(const char *name)
{
	if (fault_here(OS_OPEN) != 0)
		return -1;
	return memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

int
os_tmpfile(const char *dir)
{
	char name[4096];
	int fd = os_open(dir, O_TMPFILE | O_RDWR, 0600);

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
		return fd;
	/* A file system without O_TMPFILE. */
	if (snprintf(name, sizeof(name), "%s/tmp.XXXXXX", dir) >=
	    (int)sizeof(name)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if ((fd = mkostemp(name, O_CLOEXEC)) >= 0)
		(void)unlink(name);
	return fd;
}

int
os_lock(const char *path)
{
	int fd = os_open(path, O_RDWR | O_CREAT, 0600);
	int r;

	if (fd < 0)
		return -1;
	do
		r = flock(fd, LOCK_EX | LOCK_NB);
	while (r != 0 && errno == EINTR);
	if (r != 0) {
		int saved = errno;

		os_close(&fd);
		errno = saved;
	}
	return fd;
}

enum err
os_slurp(const char *path, size_t max, struct buf *out)
{
	int fd = os_open(path, O_RDONLY, 0);
	size_t before = out->n;
	enum err e = OK;
	ssize_t r;
	char *p;

	if (fd < 0)
		return err_errno(errno);
	do {
		p = buf_room(out, 16384);
		if (p == NULL) {
			e = ERR_NOMEM;
			break;
		}
		r = os_read(fd, p, 16384);
		if (r < 0)
			e = errno == EISDIR ? ERR_INVALID : err_errno(errno);
		else
			out->n += (size_t)r;
		if (out->n - before > max)
			e = ERR_TOOBIG;
	} while (e == OK && r > 0);
	os_close(&fd);
	if (e != OK)
		out->n = before;
	return e;
}

/* Flushes the directory that path is in. */
static int
fsync_parent(const char *path)
{
	char dir[4096];
	str s = str_c(path);
	size_t n;

	while (s.n > 1 && s.p[s.n - 1] == '/')
		s.n--;
	n = str_rchr(s, '/');
	if (n == s.n)
		return os_fsync_dir(".");
	if (n == 0)
		return os_fsync_dir("/");
	if (n >= sizeof(dir)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(dir, path, n);
	dir[n] = '\0';
	return os_fsync_dir(dir);
}

int
os_mkdir_durable(const char *path, mode_t mode)
{
	struct stat st;

	if (stat(path, &st) == 0)
		return os_mkdir(path, mode);
	return os_mkdir(path, mode) == 0 ? fsync_parent(path) : -1;
}

int
os_mkdir_above(const char *path, mode_t mode)
{
	char *copy = x_cstr(str_c(path));
	int r = 0;

	for (char *p = copy + 1; copy[0] != '\0' && *p != '\0' && r == 0; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		r = os_mkdir_durable(copy, mode);
		*p = '/';
	}
	x_free(&copy);
	return r;
}

enum err
os_spill(const char *path, str content, mode_t mode)
{
	char tmp[4096];
	int fd = -1;

	if (snprintf(tmp, sizeof(tmp), "%s.tmp", path) >= (int)sizeof(tmp))
		return ERR_INVALID;
	/* One that a crash has left is of no use, and may have other rights. */
	if (unlink(tmp) != 0 && errno != ENOENT)
		return err_errno(errno);
	fd = os_open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_errno(errno);
	if (os_write_all(fd, content.p, content.n) != 0 ||
	    fchmod(fd, mode) != 0 || os_fsync(fd) != 0 ||
	    os_rename(tmp, path) != 0) {
		enum err e = err_errno(errno);

		os_close(&fd);
		(void)unlink(tmp);
		return e;
	}
	os_close(&fd);
	return fsync_parent(path) == 0 ? OK : err_errno(errno);
}

void
os_give(const char *dir, const char *name, uid_t uid, gid_t gid)
{
	char path[4096];
	struct dirent *d;
	struct stat st;
	DIR *dp;
	int fd;

	if (uid == (uid_t)-1)
		return;
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if ((fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) <
	    0)
		return;
	if (fchown(fd, uid, gid) != 0 || (dp = fdopendir(fd)) == NULL) {
		close(fd);
		return;
	}
	while ((d = readdir(dp)) != NULL) {
		if (fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
		    !S_ISREG(st.st_mode) || st.st_nlink != 1 ||
		    st.st_uid == uid)
			continue;
		if (fchownat(fd, d->d_name, uid, gid, AT_SYMLINK_NOFOLLOW) != 0)
			log_warn(
			    "cannot give a file to its user", KV_ERRNO(errno));
	}
	closedir(dp);
}

int
os_fstat(int fd, struct stat *st)
{
	return fault_here(OS_STAT) != 0 ? -1 : fstat(fd, st);
}

int
os_exists(const char *path)
{
	return fault_here(OS_STAT) != 0 ? -1 : access(path, F_OK);
}

struct os_dir {
	DIR *d;
};

struct os_dir *
os_dir_open(const char *path)
{
	struct os_dir *x;
	DIR *d;

	if (fault_here(OS_LIST) != 0 || (d = opendir(path)) == NULL)
		return NULL;
	x = x_alloc(sizeof(*x));
	x->d = d;
	return x;
}

const char *
os_dir_next(struct os_dir *d)
{
	struct dirent *e;

	if (fault_here(OS_LIST) != 0)
		return NULL;
	do {
		errno = 0;
		e = readdir(d->d);
	} while (e != NULL && e->d_name[0] == '.');
	return e != NULL ? e->d_name : NULL;
}

void
os_dir_close(struct os_dir **d)
{
	if (*d != NULL)
		closedir((*d)->d);
	x_free(d);
}
