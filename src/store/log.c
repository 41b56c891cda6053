/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The log: segments, and writing groups of records into the last of them.
 * Reading the past: log_read.c. Bytes: docs/format.md.
 *
 * (1) One group is on its way at a time, and it is flushed before the next
 *     is written: whatever stands before the end is durable.
 * (2) A write that failed is cancelled before its place is used again: its
 *     head is made zeros, and that is flushed.
 * (3) A flush that failed is final. The group is cancelled by the head of a
 *     new segment, which says where this one ends, if that can be made
 *     durable; otherwise nobody knows, and nothing more is said.
 * (4) A new segment's head, and its name in the directory, are durable
 *     before the first group in it.
 * (5) Nothing that a user writes can look like a group: every check is
 *     seeded with the segment's random salt.
 */
#include "store/log.h"
#include "store/log_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Zeros are written this far ahead; a larger group brings its own room. For
 * fuzz targets all is small, so that small inputs come past it. */
#ifdef RESTANTE_FUZZ
enum { AHEAD = 1 << 15, AHEAD_LOW = 1 << 14, LARGE = 1 << 13, COPIED = 512 };
#else
enum { AHEAD = 1 << 20, AHEAD_LOW = 1 << 19, LARGE = 1 << 18, COPIED = 16384 };
#endif

uint64_t
log_record_check(const struct segment *s, const struct logref *at, uint8_t type,
    uint8_t version, uint32_t length, uint64_t payload_hash)
{
	uint64_t v[5] = {at->seg, at->off, type | (uint64_t)version << 8,
	    length, payload_hash};

	return hash_xxh3(str_of(v, sizeof(v)), s->salt);
}

/* ---- segments ---- */

void
segment_unref(struct segment **sp)
{
	struct segment *s = *sp;

	*sp = NULL;
	if (s == NULL ||
	    atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
		return;
	os_close(&s->fd);
	if (s->drop && os_unlink(s->path) != 0)
		log_warn("a compacted segment stays",
		    KV_N("segment", s->number), KV_ERRNO(errno));
	x_free(&s->path);
	x_free(&s);
}

struct segment *
segment_get(struct store *st, uint64_t number)
{
	struct log *l = st->log;
	struct segment *s = NULL;
	size_t lo = 0;
	size_t hi;

	pthread_mutex_lock(&l->mu);
	hi = l->n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (l->v[mid]->number < number)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo < l->n && l->v[lo]->number == number) {
		s = l->v[lo];
		atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	}
	pthread_mutex_unlock(&l->mu);
	return s;
}

static struct segment *
segment_new(struct log *l, uint64_t number)
{
	static _Atomic uint64_t ids;
	struct segment *s = x_alloc(sizeof(*s));
	char name[32];
	struct buf b = {0};

	snprintf(
	    name, sizeof(name), "/%010llu.seg", (unsigned long long)number);
	buf_str_add(&b, str_c(l->dir));
	buf_str_add(&b, str_c(name));
	s->number = number;
	s->id = ++ids;
	s->fd = -1;
	s->path = x_cstr(buf_str(&b));
	buf_free(&b);
	atomic_init(&s->refs, 1);
	return s;
}

/* The same as SEGMENT_HEAD says: 8 + 4 + 4 + 6 * 8. */
static void
segment_head_put(
    const struct segment *s, const struct log_pos *prev, struct buf *out)
{
	buf_add(out, SEGMENT_MAGIC, 8);
	enc_u32(out, SEGMENT_VERSION);
	enc_u32(out, 0);
	enc_u64(out, s->number);
	enc_u64(out, s->salt);
	enc_u64(out, s->first);
	enc_u64(out, prev->seg);
	enc_u64(out, prev->off);
	enc_u64(out, hash_xxh3(buf_str(out), 0));
}

/* Reads a segment's head. ERR_CORRUPT: it has none, or another's. */
static enum err
segment_head_get(struct segment *s, uint64_t *prev_seg, uint64_t *prev_end)
{
	char head[SEGMENT_HEAD];
	ssize_t n = os_pread(s->fd, head, sizeof(head), 0);
	struct dec d = dec_of(str_of(head, sizeof(head)));
	uint32_t version;

	if (n < 0)
		return ERR_IO;
	if ((size_t)n < sizeof(head) ||
	    !str_eq(dec_take(&d, 8), str_of(SEGMENT_MAGIC, 8)))
		return ERR_CORRUPT;
	version = dec_u32(&d);
	dec_u32(&d);
	if (dec_u64(&d) != s->number)
		return ERR_CORRUPT;
	s->salt = dec_u64(&d);
	s->first = dec_u64(&d);
	*prev_seg = dec_u64(&d);
	*prev_end = dec_u64(&d);
	if (dec_u64(&d) != hash_xxh3(str_of(head, sizeof(head) - 8), 0) ||
	    version != SEGMENT_VERSION)
		return ERR_CORRUPT;
	return OK;
}

/* A new last segment; prev: where the one before ends. */
static enum err
segment_make(struct store *st, const struct log_pos *prev, uint64_t number,
    struct segment **out)
{
	struct log *l = st->log;
	struct segment *s = segment_new(l, number);
	struct buf head = {0};
	int saved = 0;

	os_random(&s->salt, sizeof(s->salt));
	s->first = prev->seq;
	segment_head_put(s, prev, &head);
	s->fd = os_open(s->path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (s->fd < 0 || os_allocate(s->fd, 0, AHEAD) != 0 ||
	    os_pwrite(s->fd, head.p, head.n, 0) != (ssize_t)head.n ||
	    os_fsync(s->fd) != 0 || os_fsync_dir(l->dir) != 0)
		saved = errno;
	buf_free(&head);
	if (saved != 0) {
		log_error("a log segment cannot be made",
		    KV_N("segment", number), KV_ERRNO(saved));
		if (s->fd >= 0)
			(void)os_unlink(s->path);
		segment_unref(&s);
		return err_errno(saved);
	}
	s->end = SEGMENT_HEAD;
	s->size = AHEAD;
	*out = s;
	return OK;
}

/* Zeros, or what was cancelled, behind the end are given back. The next
 * segment's head, which says where this one ends, is durable by now. */
static void
segment_trim(struct segment *s)
{
	if (s->size > s->end && os_ftruncate(s->fd, (off_t)s->end) == 0)
		s->size = s->end;
}

static void
segment_list_add(struct log *l, struct segment *s)
{
	pthread_mutex_lock(&l->mu);
	l->v = x_grow(l->v, l->n + 1, sizeof(*l->v));
	l->v[l->n++] = s;
	pthread_mutex_unlock(&l->mu);
}

enum err
log_segments(
    struct store *st, struct segment ***v, size_t *n, struct log_pos *end)
{
	struct log *l = st->log;

	pthread_mutex_lock(&l->mu);
	*v = x_array(l->n + 1, sizeof(**v));
	*n = l->n;
	for (size_t i = 0; i < l->n; i++) {
		(*v)[i] = l->v[i];
		atomic_fetch_add(&l->v[i]->refs, 1);
	}
	*end = l->durable;
	pthread_mutex_unlock(&l->mu);
	return OK;
}

void
log_drop(struct store *st, uint64_t number)
{
	struct log *l = st->log;
	struct segment *s = NULL;

	pthread_mutex_lock(&l->mu);
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i]->number != number || l->v[i] == l->cur)
			continue;
		s = l->v[i];
		s->drop = true;
		memmove(l->v + i, l->v + i + 1, (l->n - i - 1) * sizeof(*l->v));
		l->n--;
		break;
	}
	pthread_mutex_unlock(&l->mu);
	if (s != NULL)
		atomic_fetch_sub(&l->bytes, s->end);
	segment_unref(&s);
}

/* ---- opening ---- */

static int
by_number(const void *a, const void *b)
{
	const struct segment *x = *(struct segment *const *)a;
	const struct segment *y = *(struct segment *const *)b;

	return (x->number > y->number) - (x->number < y->number);
}

/* A name that the system failed to tell is a segment that would be missing. */
static enum err
list_dir(struct log *l)
{
	struct os_dir *d = os_dir_open(l->dir);
	const char *p;
	enum err e = OK;

	if (d == NULL)
		return err_errno(errno);
	while ((p = os_dir_next(d)) != NULL) {
		str name = str_c(p);
		uint64_t number;

		if (!str_ends(name, S(".seg")) ||
		    !str_u64(str_head(name, name.n - 4), &number) ||
		    number == 0)
			continue;
		segment_list_add(l, segment_new(l, number));
	}
	if (errno != 0) {
		log_error("the segments cannot be listed", KV_ERRNO(errno));
		e = err_errno(errno);
	}
	os_dir_close(&d);
	if (l->n > 0)
		qsort(l->v, l->n, sizeof(*l->v), by_number);
	return e;
}

/* OK: nothing but zeros behind the head. ERR_CORRUPT: something. */
static enum err
never_used(const struct segment *s)
{
	char *p = x_alloc(AHEAD_LOW);
	uint64_t at = SEGMENT_HEAD;
	enum err e = OK;
	ssize_t n;

	while (e == OK && (n = os_pread(s->fd, p, AHEAD_LOW, (off_t)at)) != 0) {
		if (n < 0)
			e = ERR_IO;
		for (ssize_t i = 0; i < n && e == OK; i++)
			if (p[i] != 0)
				e = ERR_CORRUPT;
		at += (uint64_t)MAX(n, (ssize_t)0);
	}
	x_free(&p);
	return e;
}

/* The head of the last segment may be missing: then it was never used (4),
 * and it goes. One in which something stands has lost its head: it stays. */
static enum err
forget_last(struct log *l)
{
	struct segment *s = l->v[l->n - 1];
	enum err e = never_used(s);

	if (e != OK) {
		log_error("the last segment's head is damaged, and it is not "
			  "empty",
		    KV_N("segment", s->number), KV_ERR(e));
		return e;
	}
	log_info("an unfinished segment goes", KV_N("segment", s->number));
	if (os_unlink(s->path) != 0 || os_fsync_dir(l->dir) != 0)
		e = err_errno(errno);
	l->n--;
	segment_unref(&s);
	return e;
}

static enum err
segment_open(struct log *l, size_t i)
{
	struct segment *s = l->v[i];
	struct segment *before = i > 0 ? l->v[i - 1] : NULL;
	struct stat sb;
	uint64_t prev_seg, prev_end;
	enum err e;

	s->fd = os_open(s->path, O_RDWR, 0);
	if (s->fd < 0 || os_fstat(s->fd, &sb) != 0)
		return err_errno(errno);
	s->size = s->end = (uint64_t)sb.st_size;
	if ((e = segment_head_get(s, &prev_seg, &prev_end)) != OK) {
		if (e == ERR_CORRUPT && i == l->n - 1)
			return forget_last(l);
		log_error("a segment's head is damaged",
		    KV_N("segment", s->number), KV_ERR(e));
		return e;
	}
	if (before != NULL && before->number == prev_seg) {
		if (prev_end > before->size) {
			log_error(
			    "a segment is shorter than its successor says",
			    KV_N("segment", before->number));
			return ERR_CORRUPT;
		}
		before->end = prev_end;
		before->ended = true;
	}
	return OK;
}

enum err
log_open(struct store *st)
{
	struct log *l = st->log = x_alloc(sizeof(*l));
	struct buf path = {0};
	enum err e;

	pthread_mutex_init(&l->mu, NULL);
	pthread_mutex_init(&l->ahead_mu, NULL);
	buf_f(&path, "%s/log", st->dir);
	l->dir = x_cstr(buf_str(&path));
	buf_free(&path);
	if ((e = list_dir(l)) != OK)
		return e;
	for (size_t i = 0; i < l->n; i++)
		if ((e = segment_open(l, i)) != OK)
			return e;
	return OK;
}

enum err
log_start(struct store *st, const struct log_pos *pos, bool fresh)
{
	struct log *l = st->log;
	struct segment *s = NULL;
	enum err e;

	for (size_t i = 0; i + 1 < l->n; i++)
		atomic_fetch_add(&l->bytes, l->v[i]->end);
	l->pos = *pos;
	l->cur = l->n > 0 ? l->v[l->n - 1] : NULL;
	if (l->cur != NULL && !fresh && l->cur->number == pos->seg) {
		l->cur->end = pos->off;
		l->durable = l->pos;
		atomic_store(&l->used, pos->off);
		return OK;
	}
	if (l->cur != NULL) {
		l->cur->end = MIN(l->cur->end, pos->off);
		atomic_fetch_add(&l->bytes, l->cur->end);
	}
	e = segment_make(st, pos, l->cur == NULL ? 1 : l->cur->number + 1, &s);
	if (e != OK)
		return e;
	if (l->cur != NULL) {
		l->cur->ended = true;
		segment_trim(l->cur);
	}
	segment_list_add(l, s);
	l->cur = s;
	l->pos.seg = s->number;
	l->pos.off = SEGMENT_HEAD;
	l->pos.last = 0;
	l->durable = l->pos;
	atomic_store(&l->used, SEGMENT_HEAD);
	return OK;
}

void
log_close(struct store *st)
{
	struct log *l = st->log;

	if (l == NULL)
		return;
	/* Zeros written ahead are of use to a writer only. */
	if (l->cur != NULL && st->started && !atomic_load(&st->dead))
		segment_trim(l->cur);
	for (size_t i = 0; i < l->n; i++)
		segment_unref(&l->v[i]);
	x_free(&l->v);
	x_free(&l->dir);
	pthread_mutex_destroy(&l->mu);
	pthread_mutex_destroy(&l->ahead_mu);
	x_free(&st->log);
}

/* ---- writing ---- */

static enum err
roll(struct store *st)
{
	struct log *l = st->log;
	struct segment *s = NULL;
	enum err e = segment_make(st, &l->pos, l->cur->number + 1, &s);

	if (e != OK)
		return e;
	atomic_fetch_add(&l->bytes, l->cur->end);
	pthread_mutex_lock(&l->ahead_mu);
	segment_list_add(l, s);
	l->cur->ended = true;
	segment_trim(l->cur);
	l->cur = s;
	pthread_mutex_unlock(&l->ahead_mu);
	l->pos.seg = s->number;
	l->pos.off = SEGMENT_HEAD;
	l->pos.last = 0;
	atomic_store(&l->used, SEGMENT_HEAD);
	return OK;
}

enum err
log_place(struct store *st, struct logref *at)
{
	struct log *l = st->log;
	enum err e;

	if (l->pos.off >= limits.segment_bytes && (e = roll(st)) != OK)
		return e;
	at->seg = l->pos.seg;
	at->off = l->pos.off + GROUP_HEAD;
	return OK;
}

static int
grow(struct log *l, uint64_t to)
{
	int r = 0;

	pthread_mutex_lock(&l->ahead_mu);
	if (l->cur->size < to) {
		r = os_allocate(l->cur->fd, (off_t)l->cur->size,
		    (off_t)(to - l->cur->size));
		if (r == 0)
			l->cur->size = to;
	}
	pthread_mutex_unlock(&l->ahead_mu);
	return r;
}

void
log_ahead(struct store *st)
{
	struct log *l = st->log;
	uint64_t used;

	pthread_mutex_lock(&l->ahead_mu);
	used = atomic_load_explicit(&l->used, memory_order_relaxed);
	if (l->cur->size < used + AHEAD_LOW && used < limits.segment_bytes &&
	    os_allocate(l->cur->fd, (off_t)l->cur->size, AHEAD) == 0)
		l->cur->size += AHEAD;
	pthread_mutex_unlock(&l->ahead_mu);
}

/* A group made ready: small pieces copied together, large ones pointed at. */
struct pack {
	struct buf small;
	struct iovec *v;
	int n;
	size_t len;
};

static void
pack_small(struct pack *k, const void *p, size_t n)
{
	if (n == 0)
		return;
	/* small was given its room beforehand: it does not move. */
	if (k->n == 0 ||
	    (char *)k->v[k->n - 1].iov_base + k->v[k->n - 1].iov_len !=
		k->small.p + k->small.n)
		k->v[k->n++] =
		    (struct iovec){.iov_base = k->small.p + k->small.n};
	buf_add(&k->small, p, n);
	k->v[k->n - 1].iov_len += n;
	k->len += n;
}

static void
pack_large(struct pack *k, str s)
{
	k->v[k->n++] = (struct iovec){(void *)(uintptr_t)s.p, s.n};
	k->len += s.n;
}

static size_t
payload_len(const struct log_record *r)
{
	return r->piece[0].n + r->piece[1].n + r->piece[2].n;
}

static void
pack_record(struct pack *k, const struct segment *s, const struct logref *at,
    const struct log_record *r, struct buf *heads)
{
	static const char zeros[8];
	size_t n = payload_len(r);
	struct buf head = {0};

	enc_u8(&head, r->type);
	enc_u8(&head, r->version);
	enc_u16(&head, 0);
	enc_u32(&head, (uint32_t)n);
	enc_u64(&head,
	    log_record_check(s, at, r->type, r->version, (uint32_t)n, r->hash));
	pack_small(k, head.p, head.n);
	buf_add(heads, head.p, head.n);
	for (size_t i = 0; i < NELEM(r->piece); i++) {
		if (r->piece[i].n > COPIED)
			pack_large(k, r->piece[i]);
		else
			pack_small(k, r->piece[i].p, r->piece[i].n);
	}
	pack_small(k, zeros, log_pad(n) - n);
	buf_free(&head);
}

static bool
pack_group(struct pack *k, struct log *l, const struct log_record *v, size_t n)
{
	size_t room = GROUP_HEAD + n * (RECORD_HEAD + 8);
	struct logref at = {l->pos.seg, l->pos.off + GROUP_HEAD};
	struct buf heads = {0};
	struct buf head = {0};
	uint64_t len = 0;

	for (size_t i = 0; i < n; i++) {
		len += log_record_size(payload_len(&v[i]));
		for (size_t j = 0; j < NELEM(v[i].piece); j++)
			if (v[i].piece[j].n <= COPIED)
				room += v[i].piece[j].n;
	}
	if (buf_room(&k->small, room) == NULL)
		return false;
	k->v = x_array(4 * n + 2, sizeof(*k->v));
	enc_u32(&head, GROUP_MAGIC);
	enc_u32(&head, (uint32_t)n);
	enc_u64(&head, len);
	enc_u64(&head, l->pos.seq);
	enc_u64(&head, (uint64_t)os_wall_ms());
	enc_u64(&head, 0);
	pack_small(k, head.p, head.n);
	buf_add(&heads, head.p, head.n - 8);
	for (size_t i = 0; i < n; i++) {
		pack_record(k, l->cur, &at, &v[i], &heads);
		at.off += log_record_size(payload_len(&v[i]));
	}
	buf_reset(&head);
	enc_u64(&head, hash_xxh3(buf_str(&heads), l->cur->salt ^ l->pos.off));
	memcpy(k->small.p + GROUP_HEAD - 8, head.p, 8);
	buf_free(&heads);
	buf_free(&head);
	return true;
}

/* (2) */
static enum err
cancel_write(struct store *st, int error)
{
	static const char zeros[GROUP_HEAD];
	struct log *l = st->log;
	enum err e = err_errno(error);

	log_error("a write to the log failed", KV_N("segment", l->pos.seg),
	    KV_N("offset", l->pos.off), KV_ERRNO(error));
	/* Where the file ends before this place nothing was written. */
	if (os_pwrite(l->cur->fd, zeros, sizeof(zeros), (off_t)l->pos.off) !=
		(ssize_t)sizeof(zeros) ||
	    os_fdatasync(l->cur->fd) != 0) {
		struct stat sb;

		if (os_fstat(l->cur->fd, &sb) == 0 &&
		    (uint64_t)sb.st_size <= l->pos.off)
			return e;
		log_error("it cannot be cancelled", KV_ERRNO(errno));
		store_die(st, "a failed write cannot be cancelled");
		return ERR_UNAVAILABLE;
	}
	return e == ERR_FULL ? ERR_FULL : ERR_IO;
}

void
log_cancel(struct store *st)
{
	static const char zeros[GROUP_HEAD];
	struct log *l = st->log;

	if (l->pos.last == 0 ||
	    os_pwrite(l->cur->fd, zeros, sizeof(zeros), (off_t)l->pos.last) !=
		(ssize_t)sizeof(zeros) ||
	    os_fdatasync(l->cur->fd) != 0)
		log_error("a group cannot be cancelled",
		    KV_N("segment", l->pos.seg), KV_N("offset", l->pos.last),
		    KV_ERRNO(errno));
}

/* (3) */
static enum err
cancel_flush(struct store *st, int error)
{
	struct log *l = st->log;
	struct segment *s = NULL;
	enum err e;

	log_error("a flush of the log failed", KV_N("segment", l->pos.seg),
	    KV_N("offset", l->pos.off), KV_ERRNO(error));
	atomic_store(&st->dead, true);
	e = segment_make(st, &l->pos, l->cur->number + 1, &s);
	segment_unref(&s);
	store_die(st, "a flush of the log failed");
	return e == OK ? ERR_IO : ERR_UNAVAILABLE;
}

enum err
log_commit(struct store *st, const struct log_record *v, size_t n)
{
	struct log *l = st->log;
	struct pack k = {0};
	uint64_t end;
	enum err e = OK;

	if (!pack_group(&k, l, v, n)) {
		buf_free(&k.small);
		return ERR_NOMEM;
	}
	end = l->pos.off + k.len;
	if (k.len <= LARGE && end > l->cur->size && grow(l, end + AHEAD) != 0 &&
	    (errno != ENOSPC || grow(l, end) != 0)) {
		e = err_errno(errno);
		goto out;
	}
	/* A large group writes past the zeros ahead: whoever writes zeros
	 * next begins behind it, or he would write over it. */
	pthread_mutex_lock(&l->ahead_mu);
	l->cur->size = MAX(l->cur->size, end);
	pthread_mutex_unlock(&l->ahead_mu);
	if (os_pwritev(l->cur->fd, k.v, k.n, (off_t)l->pos.off) !=
	    (ssize_t)k.len) {
		e = cancel_write(st, errno);
		goto out;
	}
	if (os_fdatasync(l->cur->fd) != 0) {
		e = cancel_flush(st, errno);
		goto out;
	}
	atomic_fetch_add_explicit(&l->flushes, 1, memory_order_relaxed);
	pthread_mutex_lock(&l->ahead_mu);
	l->cur->end = end;
	pthread_mutex_unlock(&l->ahead_mu);
	atomic_store_explicit(&l->used, end, memory_order_relaxed);
	l->pos.last = l->pos.off;
	l->pos.off = end;
	l->pos.seq++;
	pthread_mutex_lock(&l->mu);
	l->durable = l->pos;
	pthread_mutex_unlock(&l->mu);
out:
	x_free(&k.v);
	buf_free(&k.small);
	return e;
}
