/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Building and reading messages.
 *
 * (1) What was read wrong marks the message's decoder bad; later gets yield
 *     zero, and msg_end says false.
 * (2) A descriptor belongs to the message until it is taken (msg_get_fd) or
 *     the message is freed, which closes what is left.
 * (3) A blob in a memfd is mapped only when it is sealed against shrinking
 *     and writing: else the sender could cut or change it under us.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ipc/ipc.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

enum { BLOB_INLINE = 1, BLOB_FD = 2 };

void
msg_new(struct msg *m, enum msg_type t)
{
	memset(m, 0, sizeof(*m));
	m->type = t;
	m->b.max = MSG_MAX;
	enc_u16(&m->b, (uint16_t)t);
}

void
msg_u8(struct msg *m, uint8_t v)
{
	enc_u8(&m->b, v);
}

void
msg_u32(struct msg *m, uint32_t v)
{
	enc_u32(&m->b, v);
}

void
msg_u64(struct msg *m, uint64_t v)
{
	enc_u64(&m->b, v);
}

void
msg_i64(struct msg *m, int64_t v)
{
	enc_u64(&m->b, (uint64_t)v);
}

void
msg_bytes(struct msg *m, const void *p, size_t n)
{
	buf_add(&m->b, p, n);
}

void
msg_str(struct msg *m, str s)
{
	enc_str(&m->b, s);
}

static enum err
seal(int fd)
{
	int have = fcntl(fd, F_GET_SEALS);

	if (have < 0)
		return err_errno(errno);
	if ((have & SEALS) != SEALS && fcntl(fd, F_ADD_SEALS, SEALS) != 0)
		return err_errno(errno);
	return OK;
}

enum err
msg_blob(struct msg *m, str content)
{
	enum err e = OK;
	int fd;

	if (content.n <= MSG_INLINE_MAX &&
	    m->b.n + content.n + 1024 < MSG_MAX) {
		enc_u8(&m->b, BLOB_INLINE);
		enc_str(&m->b, content);
		return OK;
	}
	if ((fd = os_memfd("restante-blob")) < 0)
		return err_errno(errno);
	if (os_write_all(fd, content.p, content.n) != 0)
		e = err_errno(errno);
	if (e == OK)
		e = msg_blob_fd(m, fd, content.n);
	os_close(&fd);
	return e;
}

enum err
msg_blob_fd(struct msg *m, int memfd, size_t n)
{
	enum err e;
	int copy;

	if ((e = seal(memfd)) != OK)
		return e;
	if ((copy = fcntl(memfd, F_DUPFD_CLOEXEC, 0)) < 0)
		return err_errno(errno);
	enc_u8(&m->b, BLOB_FD);
	enc_u64(&m->b, n);
	msg_fd(m, copy);
	return OK;
}

void
msg_fd(struct msg *m, int fd)
{
	assert(m->nfds < MSG_FDS_MAX);
	m->fds[m->nfds++] = fd;
}

void
msg_free(struct msg *m)
{
	for (int i = m->fds_taken; i < m->nfds; i++)
		if (m->fds[i] >= 0)
			os_close(&m->fds[i]);
	m->nfds = m->fds_taken = 0;
	/* Passwords pass through here. */
	if (m->b.p != NULL)
		x_wipe(m->b.p, m->b.n);
	buf_free(&m->b);
}

uint8_t
msg_get_u8(struct msg *m)
{
	return dec_u8(&m->d);
}

uint32_t
msg_get_u32(struct msg *m)
{
	return dec_u32(&m->d);
}

uint64_t
msg_get_u64(struct msg *m)
{
	return dec_u64(&m->d);
}

int64_t
msg_get_i64(struct msg *m)
{
	return (int64_t)dec_u64(&m->d);
}

void
msg_get_bytes(struct msg *m, void *p, size_t n)
{
	str s = dec_take(&m->d, n);

	if (m->d.bad)
		memset(p, 0, n);
	else
		memcpy(p, s.p, n);
}

str
msg_get_str(struct msg *m)
{
	return dec_str(&m->d);
}

int
msg_get_fd(struct msg *m)
{
	int fd;

	if (m->fds_taken >= m->nfds) {
		m->d.bad = true;
		return -1;
	}
	fd = m->fds[m->fds_taken];
	m->fds[m->fds_taken++] = -1;
	return fd;
}

/* Maps a sealed memfd of exactly n bytes. */
static enum err
map_blob(int fd, uint64_t n, struct blob *b)
{
	struct stat st;
	int have = fcntl(fd, F_GET_SEALS);

	if (have < 0 || (have & SEALS) != SEALS || fstat(fd, &st) != 0 ||
	    (uint64_t)st.st_size != n)
		return ERR_CORRUPT;
	if (n == 0)
		return OK;
	b->map = mmap(NULL, (size_t)n, PROT_READ, MAP_SHARED, fd, 0);
	if (b->map == MAP_FAILED) {
		b->map = NULL;
		return ERR_NOMEM;
	}
	b->maplen = (size_t)n;
	b->s = str_of(b->map, (size_t)n);
	return OK;
}

enum err
msg_get_blob(struct msg *m, size_t max, struct blob *b)
{
	uint8_t how = dec_u8(&m->d);
	uint64_t n;
	enum err e;
	int fd;

	memset(b, 0, sizeof(*b));
	if (how == BLOB_INLINE) {
		b->s = dec_str(&m->d);
		if (m->d.bad)
			return ERR_CORRUPT;
		return b->s.n <= max ? OK : ERR_TOOBIG;
	}
	n = dec_u64(&m->d);
	fd = msg_get_fd(m);
	if (how != BLOB_FD || m->d.bad || fd < 0) {
		m->d.bad = true;
		if (fd >= 0)
			os_close(&fd);
		return ERR_CORRUPT;
	}
	e = n <= max ? map_blob(fd, n, b) : ERR_TOOBIG;
	os_close(&fd);
	if (e == ERR_CORRUPT)
		m->d.bad = true;
	return e;
}

void
blob_free(struct blob *b)
{
	if (b->map != NULL)
		munmap(b->map, b->maplen);
	memset(b, 0, sizeof(*b));
}

bool
msg_end(struct msg *m)
{
	return dec_end(&m->d) && m->fds_taken == m->nfds;
}
