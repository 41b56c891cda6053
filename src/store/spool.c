/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * A message on its way in: in memory while it is small, then in an unlinked
 * file below DATA that is mapped when the whole is wanted.
 *
 * (1) What was refused adds nothing: after an error the spool is only good
 *     for spool_free.
 * (2) The bytes of spool_bytes do not move until the next spool_add.
 */
#include <errno.h>
#include <sys/mman.h>

#include "store/store_int.h"

struct spool {
	struct store *st;
	struct buf mem;
	int fd; /* -1: in memory */
	uint64_t n;
	void *map;
	size_t mapped;
	bool failed;
};

enum err
spool_new(struct store *st, struct spool **out)
{
	struct spool *sp = x_alloc(sizeof(*sp));

	sp->st = st;
	sp->fd = -1;
	*out = sp;
	return OK;
}

static enum err
fail(struct spool *sp, enum err e, const char *what, int error)
{
	sp->failed = true;
	log_warn("an arriving message could not be kept", KV_C("call", what),
	    KV_ERRNO(error));
	return e;
}

static enum err
write_at_end(struct spool *sp, const void *p, size_t n)
{
	ssize_t r = os_pwrite(sp->fd, p, n, (off_t)sp->n);

	if (r < 0 || (size_t)r != n)
		return fail(sp, err_errno(errno), "write", errno);
	sp->n += n;
	return OK;
}

/* From memory to a file. */
static enum err
to_file(struct spool *sp)
{
	size_t n = sp->mem.n;
	enum err e;

	sp->fd = store_tmpfile(sp->st);
	if (sp->fd < 0)
		return fail(sp, err_errno(errno), "open", errno);
	sp->n = 0;
	e = write_at_end(sp, sp->mem.p, n);
	buf_free(&sp->mem);
	return e;
}

static void
unmap(struct spool *sp)
{
	if (sp->map != NULL)
		munmap(sp->map, sp->mapped);
	sp->map = NULL;
}

enum err
spool_add(struct spool *sp, const void *p, size_t n)
{
	enum err e;

	if (sp->failed)
		return ERR_UNAVAILABLE;
	if (n == 0)
		return OK;
	if (n > limits.message_size_max - sp->n) {
		sp->failed = true;
		return ERR_TOOBIG;
	}
	unmap(sp);
	if (sp->fd < 0 && sp->n + n <= limits.spool_memory_max) {
		buf_add(&sp->mem, p, n);
		sp->n += n;
		if (buf_ok(&sp->mem))
			return OK;
		sp->failed = true;
		return ERR_NOMEM;
	}
	if (sp->fd < 0 && (e = to_file(sp)) != OK)
		return e;
	return write_at_end(sp, p, n);
}

enum err
spool_bytes(struct spool *sp, str *whole)
{
	if (sp->failed)
		return ERR_UNAVAILABLE;
	if (sp->fd < 0) {
		*whole = buf_str(&sp->mem);
		return OK;
	}
	if (sp->map == NULL) {
		sp->map = mmap(
		    NULL, (size_t)sp->n, PROT_READ, MAP_PRIVATE, sp->fd, 0);
		if (sp->map == MAP_FAILED) {
			sp->map = NULL;
			return fail(sp, ERR_NOMEM, "mmap", errno);
		}
		sp->mapped = (size_t)sp->n;
	}
	*whole = str_of(sp->map, (size_t)sp->n);
	return OK;
}

void
spool_free(struct spool **p)
{
	struct spool *sp = *p;

	*p = NULL;
	if (sp == NULL)
		return;
	unmap(sp);
	buf_free(&sp->mem);
	if (sp->fd >= 0)
		os_close(&sp->fd);
	x_free(&sp);
}
