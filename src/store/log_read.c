/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Reading the log: groups one after the other, and single records by their
 * place.
 *
 * (1) Every length is compared with what is left before it is used; every
 *     record's checksum and the group's are compared before anything of it
 *     is believed.
 * (2) The tail is read past the page cache: after a failed flush the cache
 *     may show what the disk never got.
 * (3) Behind something torn a group is looked for at each place. What people
 *     send may be full of heads of groups, each with a long way to its end;
 *     so the search has a bound, linear in what is searched.
 */
#include "store/log_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef RESTANTE_FUZZ
enum { WINDOW = 1 << 13, ALIGN = 4096 }; /* small inputs come past its end */
#else
enum { WINDOW = 1 << 20, ALIGN = 4096 };
#endif
#define SEARCH_MIN (UINT64_C(1) << 28) /* octets: a fifth of a second */
#define SEARCH_TIMES 16

struct log_reader {
	struct segment *s;
	int fd; /* its own, O_DIRECT; or -1: the segment's */
	char *window;
	uint64_t at;
	size_t n;
	uint64_t spent; /* octets read and copied, for (3) */
	struct buf group;
};

struct log_reader *
log_reader_new(struct store *st, struct segment *s, bool direct)
{
	struct log_reader *r = x_alloc(sizeof(*r));

	r->s = s;
	r->fd = -1;
	if (direct) {
		r->fd = os_open(s->path, O_RDONLY | O_DIRECT, 0);
		if (r->fd < 0) {
			/* No such thing here: at least drop what is clean. */
			log_debug("no direct reads", KV_ERRNO(errno));
			(void)posix_fadvise(s->fd, 0, 0, POSIX_FADV_DONTNEED);
		}
	}
	r->window = aligned_alloc(ALIGN, WINDOW);
	if (r->window == NULL)
		log_panic("no memory for reading the log");
	return r;
}

void
log_reader_free(struct log_reader **rp)
{
	struct log_reader *r = *rp;

	if (r == NULL)
		return;
	os_close(&r->fd);
	free(r->window);
	buf_free(&r->group);
	x_free(rp);
}

/* Up to n bytes at off; fewer at the file's end; -1. */
static ssize_t
reader_read(struct log_reader *r, uint64_t off, char *p, size_t n)
{
	size_t done = 0;

	while (done < n) {
		uint64_t x = off + done;
		size_t k;

		if (x < r->at || x >= r->at + r->n) {
			ssize_t got;

			r->at = x & ~(uint64_t)(ALIGN - 1);
			r->n = 0;
			got = os_pread(r->fd >= 0 ? r->fd : r->s->fd, r->window,
			    WINDOW, (off_t)r->at);
			if (got < 0)
				return -1;
			r->n = (size_t)got;
			r->spent += (uint64_t)got;
			if (x >= r->at + r->n)
				break;
		}
		k = MIN(n - done, (size_t)(r->at + r->n - x));
		memcpy(p + done, r->window + (x - r->at), k);
		done += k;
		r->spent += k;
	}
	return (ssize_t)done;
}

struct group_head {
	uint32_t count;
	uint64_t len;
	uint64_t seq;
	uint64_t time_ms;
	uint64_t check;
};

static bool
head_get(const char *p, struct group_head *h)
{
	struct dec d = dec_of(str_of(p, GROUP_HEAD));

	if (dec_u32(&d) != GROUP_MAGIC)
		return false;
	h->count = dec_u32(&d);
	h->len = dec_u64(&d);
	h->seq = dec_u64(&d);
	h->time_ms = dec_u64(&d);
	h->check = dec_u64(&d);
	return h->len % 8 == 0 && h->count <= h->len / RECORD_HEAD;
}

bool
log_group_record(const struct log_group *g, size_t *at, struct logref *ref,
    enum record_type *type, unsigned *version, str *payload)
{
	struct dec d = dec_of(str_from(g->bytes, *at));
	uint32_t n;

	if (*at + RECORD_HEAD > g->bytes.n)
		return false;
	*type = dec_u8(&d);
	*version = dec_u8(&d);
	dec_u16(&d);
	n = dec_u32(&d);
	if (n > g->bytes.n - *at - RECORD_HEAD)
		return false;
	ref->seg = g->first.seg;
	ref->off = g->first.off + *at;
	*payload = str_of(g->bytes.p + *at + RECORD_HEAD, n);
	*at += log_record_size(n);
	return true;
}

/* All checks of a group whose bytes are there. */
static bool
group_valid(struct log_reader *r, const char *head, const struct group_head *h,
    struct log_group *g)
{
	struct buf heads = {0};
	struct logref ref;
	enum record_type type;
	unsigned version;
	str payload;
	size_t at = 0;
	uint32_t n = 0;
	bool ok = true;

	buf_add(&heads, head, GROUP_HEAD - 8);
	while (ok && at < g->bytes.n) {
		const char *p = g->bytes.p + at;
		struct dec d;

		if (!log_group_record(
			g, &at, &ref, &type, &version, &payload)) {
			ok = false;
			break;
		}
		buf_add(&heads, p, RECORD_HEAD);
		d = dec_of(str_of(p + 8, 8));
		ok = dec_u64(&d) == log_record_check(r->s, &ref, (uint8_t)type,
					(uint8_t)version, (uint32_t)payload.n,
					hash_xxh3(payload, 0));
		n++;
	}
	ok = ok && n == h->count && buf_ok(&heads) &&
	     hash_xxh3(buf_str(&heads),
		 r->s->salt ^ (g->first.off - GROUP_HEAD)) == h->check;
	buf_free(&heads);
	return ok;
}

/* Do the heads of its records agree with the group's? Costs little beside
 * reading all of it. */
static bool
heads_agree(
    struct log_reader *r, uint64_t off, const char *head, struct group_head h)
{
	uint64_t at = off + GROUP_HEAD;
	uint64_t end = at + h.len;
	char p[RECORD_HEAD];
	struct buf heads = {0};
	bool ok;

	buf_add(&heads, head, GROUP_HEAD - 8);
	while (at < end && h.count-- > 0 &&
	       reader_read(r, at, p, sizeof(p)) == (ssize_t)sizeof(p)) {
		struct dec d = dec_of(str_of(p + 4, 4));

		buf_add(&heads, p, sizeof(p));
		at += log_record_size(dec_u32(&d));
	}
	ok = at == end && h.count == 0 && buf_ok(&heads) &&
	     hash_xxh3(buf_str(&heads), r->s->salt ^ off) == h.check;
	buf_free(&heads);
	return ok;
}

bool
log_group_is(struct log_reader *r, uint64_t off, uint64_t end, uint64_t seq)
{
	char head[GROUP_HEAD];
	struct group_head h;

	return end >= off + GROUP_HEAD &&
	       reader_read(r, off, head, sizeof(head)) ==
		   (ssize_t)sizeof(head) &&
	       head_get(head, &h) && h.len == end - off - GROUP_HEAD &&
	       h.seq == seq && heads_agree(r, off, head, h);
}

/* 1: a valid group; 0: none; -1: cannot be read. */
static int
group_at(struct log_reader *r, uint64_t off, uint64_t end, struct log_group *g)
{
	char head[GROUP_HEAD];
	struct group_head h;
	ssize_t n = reader_read(r, off, head, sizeof(head));
	char *p;

	if (n < 0)
		return -1;
	if ((size_t)n < sizeof(head) || !head_get(head, &h) ||
	    end < off + GROUP_HEAD || h.len > end - off - GROUP_HEAD)
		return 0;
	buf_reset(&r->group);
	r->group.max = SIZE_MAX;
	p = buf_room(&r->group, MAX((size_t)h.len, (size_t)1));
	if (p == NULL)
		return -1;
	n = reader_read(r, off + GROUP_HEAD, p, (size_t)h.len);
	if (n < 0)
		return -1;
	if ((size_t)n < h.len)
		return 0;
	r->group.n = (size_t)h.len;
	g->seq = h.seq;
	g->time_ms = (int64_t)h.time_ms;
	g->records = h.count;
	g->first = (struct logref){r->s->number, off + GROUP_HEAD};
	g->bytes = buf_str(&r->group);
	return group_valid(r, head, &h, g) ? 1 : 0;
}

/* How many octets of zeros the window holds from there on, in large steps:
 * most of what stands behind the last group are zeros written ahead. */
static uint64_t
zeros_at(const struct log_reader *r, uint64_t off)
{
	static const char zeros[512];
	size_t at = (size_t)(off - r->at);
	size_t n = 0;

	if (off < r->at || at > r->n)
		return 0;
	while (r->n - at - n >= sizeof(zeros) &&
	       memcmp(r->window + at + n, zeros, sizeof(zeros)) == 0)
		n += sizeof(zeros);
	return n;
}

/* 1: a group may well stand there; 0: none does; -1: cannot be read. */
static int
group_likely(struct log_reader *r, uint64_t off, uint64_t end)
{
	char head[GROUP_HEAD];
	struct group_head h;
	ssize_t n = reader_read(r, off, head, sizeof(head));

	if (n < 0)
		return -1;
	return (size_t)n == sizeof(head) && head_get(head, &h) &&
	       end >= off + GROUP_HEAD && h.len <= end - off - GROUP_HEAD &&
	       heads_agree(r, off, head, h);
}

/* What stands where no group does. (3) */
static enum log_next
what_follows(struct log_reader *r, uint64_t off, uint64_t end)
{
	uint64_t bound = r->spent + SEARCH_MIN +
			 SEARCH_TIMES * MIN(end - off, SEARCH_MIN << 8);
	enum log_next what = LOG_END;
	struct log_group g;
	char word[8];

	for (; off < end; off += 8) {
		ssize_t n = reader_read(r, off, word, sizeof(word));
		struct dec d = dec_of(str_of(word, sizeof(word)));
		int v;

		if (n < 0)
			return LOG_FAILED;
		if (n == 0)
			break;
		if ((size_t)n == sizeof(word) && dec_u64(&d) == 0) {
			off += zeros_at(r, off + sizeof(word));
			continue;
		}
		what = LOG_TORN;
		d = dec_of(str_of(word, 4));
		if ((size_t)n < sizeof(word) || dec_u32(&d) != GROUP_MAGIC)
			continue;
		if (r->spent > bound) {
			log_warn("the torn end of the log holds too much that "
				 "looks like groups",
			    KV_N("segment", r->s->number), KV_N("offset", off));
			break;
		}
		if ((v = group_likely(r, off, end)) > 0)
			v = group_at(r, off, end, &g);
		if (v != 0)
			return v > 0 ? LOG_DAMAGED : LOG_FAILED;
	}
	return what;
}

enum log_next
log_next_group(
    struct log_reader *r, uint64_t *off, uint64_t end, struct log_group *g)
{
	int v;

	if (*off >= end)
		return LOG_END;
	v = group_at(r, *off, end, g);
	if (v < 0)
		return LOG_FAILED;
	if (v == 0)
		return what_follows(r, *off, end);
	*off += GROUP_HEAD + g->bytes.n;
	return LOG_GROUP;
}

/* ---- by place ---- */

enum err
log_read(struct store *st, const struct bytesref *ref, uint64_t at, void *p,
    size_t n)
{
	struct segment *s = segment_get(st, ref->seg);
	enum err e = OK;
	ssize_t got;

	if (s == NULL || at > ref->len || n > ref->len - at) {
		segment_unref(&s);
		return ERR_CORRUPT;
	}
	got = os_pread(s->fd, p, n, (off_t)(ref->off + at));
	if (got < 0)
		e = ERR_IO;
	else if ((size_t)got < n)
		e = ERR_CORRUPT;
	if (e != OK)
		log_error("the log cannot be read", KV_N("segment", ref->seg),
		    KV_N("offset", ref->off + at), KV_ERR(e));
	segment_unref(&s);
	return e;
}

enum err
log_record_read(struct store *st, const struct logref *at,
    enum record_type *type, unsigned *version, struct buf *out)
{
	struct segment *s = segment_get(st, at->seg);
	char head[RECORD_HEAD];
	struct dec d = dec_of(str_of(head, sizeof(head)));
	enum err e = ERR_CORRUPT;
	uint64_t check;
	uint32_t n;
	char *p;

	if (s == NULL)
		return ERR_CORRUPT;
	if (os_pread(s->fd, head, sizeof(head), (off_t)at->off) !=
	    (ssize_t)sizeof(head))
		goto out;
	*type = dec_u8(&d);
	*version = dec_u8(&d);
	dec_u16(&d);
	n = dec_u32(&d);
	check = dec_u64(&d);
	if (at->off + RECORD_HEAD + n > s->end)
		goto out;
	p = buf_room(out, MAX(n, 1u));
	if (p == NULL) {
		e = ERR_NOMEM;
		goto out;
	}
	if (os_pread(s->fd, p, n, (off_t)(at->off + RECORD_HEAD)) != (ssize_t)n)
		goto out;
	if (check != log_record_check(s, at, (uint8_t)*type, (uint8_t)*version,
			 n, hash_xxh3(str_of(p, n), 0)))
		goto out;
	out->n += n;
	e = OK;
out:
	if (e == ERR_CORRUPT)
		log_error("a record of the log is damaged",
		    KV_N("segment", at->seg), KV_N("offset", at->off));
	segment_unref(&s);
	return e;
}
