/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * A consistent copy while others work: the index as of one of its commits,
 * and the log up to a point that is durable and not before that commit. What
 * the index lacks then is the tail, which the store reads when it opens the
 * copy, as it does after a crash.
 *
 * (1) The index is copied first, so that the log reaches at least as far.
 * (2) Segments are held while they are copied: compaction may take their
 *     files, but not their bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/store_int.h"

#define CHUNK (1 << 20)

/* One file to be copied, handed out; the descriptor is the receiver's. */
static enum err
give(int fd, const char *name, uint64_t n,
    enum err (*each)(void *ctx, const char *name, int fd, uint64_t n),
    void *ctx)
{
	if (fd < 0)
		return err_errno(errno);
	return each(ctx, name, fd, n);
}

static enum err
give_index(struct store *st, struct log_pos *pos,
    enum err (*each)(void *ctx, const char *name, int fd, uint64_t n),
    void *ctx)
{
	int fd = store_tmpfile(st);
	struct stat s;
	enum err e;

	if (fd < 0)
		return err_errno(errno);
	e = index_copy(st, fd, pos);
	if (e == OK && os_fstat(fd, &s) != 0)
		e = err_errno(errno);
	if (e != OK) {
		os_close(&fd);
		return e;
	}
	return give(fd, "index/data.mdb", (uint64_t)s.st_size, each, ctx);
}

static enum err
give_format(struct store *st,
    enum err (*each)(void *ctx, const char *name, int fd, uint64_t n),
    void *ctx)
{
	struct buf path = {0};
	struct stat s;
	enum err e;
	int fd;

	buf_f(&path, "%s/FORMAT%c", st->dir, 0);
	fd = os_open(path.p, O_RDONLY, 0);
	buf_free(&path);
	if (fd >= 0 && os_fstat(fd, &s) != 0) {
		e = err_errno(errno);
		os_close(&fd);
		return e;
	}
	return give(fd, "FORMAT", fd < 0 ? 0 : (uint64_t)s.st_size, each, ctx);
}

static enum err
give_segments(struct store *st,
    enum err (*each)(void *ctx, const char *name, int fd, uint64_t n),
    void *ctx)
{
	struct segment **v = NULL;
	struct log_pos end;
	struct buf name = {0};
	size_t n = 0;
	enum err e;

	e = log_segments(st, &v, &n, &end);
	for (size_t i = 0; i < n; i++) {
		struct segment *s = v[i];
		str path = str_c(s->path);
		size_t slash = str_rchr(path, '/');

		if (e == OK && s->number <= end.seg) {
			buf_reset(&name);
			buf_f(&name, "log/%s%c",
			    s->path + (slash < path.n ? slash + 1 : 0), 0);
			e = give(fcntl(s->fd, F_DUPFD_CLOEXEC, 3), name.p,
			    s->number == end.seg ? end.off : s->end, each, ctx);
		}
		segment_unref(&s);
	}
	x_free(&v);
	buf_free(&name);
	return e;
}

enum err
store_backup_files(struct store *st,
    enum err (*each)(void *ctx, const char *name, int fd, uint64_t n),
    void *ctx)
{
	struct log_pos pos;
	enum err e;

	if ((e = give_index(st, &pos, each, ctx)) != OK || /* (1) */
	    (e = give_segments(st, each, ctx)) != OK)
		return e;
	return give_format(st, each, ctx);
}

/* ---- into a directory ---- */

/* FORMAT says that a copy is whole; so it has another name until the end. */
#define FORMAT_PART "FORMAT.part"

enum err
store_backup_copy(int dirfd, const char *name, int from, uint64_t n)
{
	const char *as = strcmp(name, "FORMAT") == 0 ? FORMAT_PART : name;
	int fd = os_openat(dirfd, as, O_WRONLY | O_CREAT | O_EXCL, 0600);
	char *p = x_try(CHUNK);
	enum err e = OK;
	uint64_t at = 0;

	if (fd < 0 || p == NULL)
		e = fd < 0 ? err_errno(errno) : ERR_NOMEM;
	while (e == OK && at < n) {
		size_t k = (size_t)MIN(n - at, (uint64_t)CHUNK);
		ssize_t r = os_pread(from, p, k, (off_t)at);

		if (r <= 0)
			e = r < 0 ? err_errno(errno) : ERR_CORRUPT;
		else if (os_write_all(fd, p, (size_t)r) != 0)
			e = err_errno(errno);
		else
			at += (uint64_t)r;
	}
	if (e == OK && os_fsync(fd) != 0)
		e = err_errno(errno);
	if (fd >= 0)
		os_close(&fd);
	x_free(&p);
	return e;
}

static enum err
copy_each(void *ctx, const char *name, int fd, uint64_t n)
{
	enum err e = store_backup_copy(*(int *)ctx, name, fd, n);

	os_close(&fd);
	return e;
}

static enum err
sync_dir(int dirfd, const char *name)
{
	int fd = os_openat(dirfd, name, O_RDONLY | O_DIRECTORY, 0);
	enum err e = OK;

	if (fd < 0)
		return err_errno(errno);
	if (os_fsync(fd) != 0)
		e = err_errno(errno);
	os_close(&fd);
	return e;
}

enum err
store_backup_begin(int dirfd)
{
	if (os_mkdirat(dirfd, "log", 0700) != 0 ||
	    os_mkdirat(dirfd, "index", 0700) != 0)
		return err_errno(errno);
	return OK;
}

enum err
store_backup_end(int dirfd)
{
	enum err e;

	if ((e = sync_dir(dirfd, "log")) != OK ||
	    (e = sync_dir(dirfd, "index")) != OK ||
	    (e = sync_dir(dirfd, ".")) != OK)
		return e;
	if (os_renameat(dirfd, FORMAT_PART, "FORMAT") != 0)
		return err_errno(errno);
	return sync_dir(dirfd, ".");
}

enum err
store_backup(struct store *st, int dirfd)
{
	enum err e;

	if ((e = store_backup_begin(dirfd)) != OK ||
	    (e = store_backup_files(st, copy_each, &dirfd)) != OK)
		return e;
	return store_backup_end(dirfd);
}
