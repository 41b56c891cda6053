/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Small messages, read whole and at once. Most mail is small, and a client
 * that takes a mailbox takes it message by message in the order in which it
 * came, which is how it stands in the log.
 *
 * (1) A thread keeps the stretch of the log that it read last. Who asks for
 *     what follows it closely gets a longer stretch, so that a run of
 *     messages costs a few reads; a single message costs one read of what
 *     it needs.
 * (2) Only octets that a flush has covered are read: they do not change. A
 *     segment is known by a number that no other in this process has.
 * (3) Every text has its checksums, which are compared as always. Whatever
 *     is wrong here, the caller asks again by view_source, which reads the
 *     disk anew and says what is wrong.
 */
#include "store/body_int.h"
#include "store/log.h"
#include "store/view.h"

/* The longest stretch that is kept. */
#define AHEAD 65536
#define AHEAD_FIRST 16384
/* What may lie between a message and the next: others' mail, other changes. */
#define GAP 16384
/* A header and a body that lie further apart are read one by one. */
#define APART 32768

/* n octets of the segment at .at, until this thread reads others. */
static enum err
stretch(struct segment *s, uint64_t at, size_t n, const char **p)
{
	struct body_tls *t = body_tls();
	uint64_t end = s->end;
	size_t want = n;
	ssize_t got;

	if (t == NULL)
		return ERR_NOMEM;
	if (at > end || n > end - at || n > AHEAD)
		return ERR_LIMIT;
	if (t->ahead_of == s->id && at >= t->ahead_at) {
		uint64_t in = at - t->ahead_at;

		if (in + n <= t->ahead.n) {
			*p = t->ahead.p + in;
			return OK;
		}
		if (in <= t->ahead.n + GAP) /* (1) */
			want = MIN(MAX(2 * t->ahead.n, (size_t)AHEAD_FIRST),
			    (size_t)AHEAD);
	}
	want = (size_t)MIN(MAX(want, n), end - at); /* (2) */
	t->ahead_of = 0;
	buf_reset(&t->ahead);
	if (buf_room(&t->ahead, AHEAD) == NULL)
		return ERR_NOMEM;
	got = os_pread(s->fd, t->ahead.p, want, (off_t)at);
	if (got < 0)
		return ERR_IO;
	if ((size_t)got < n)
		return ERR_CORRUPT;
	t->ahead.n = (size_t)got;
	t->ahead_at = at;
	t->ahead_of = s->id;
	*p = t->ahead.p;
	return OK;
}

static enum err
text_at(struct store *st, const struct bytesref *r, size_t n, struct buf *out)
{
	struct segment *s = segment_get(st, r->seg);
	const char *p;
	enum err e = ERR_CORRUPT;

	if (s != NULL && r->len <= AHEAD)
		e = stretch(s, r->off, (size_t)r->len, &p);
	if (e == OK)
		e = body_decode_n(str_of(p, (size_t)r->len), n, out);
	segment_unref(&s);
	return e;
}

/* Header and body; b->len may be 0: there is no body. */
static enum err
texts(struct store *st, const struct bytesref *h, size_t header_n,
    const struct bytesref *b, size_t body_n, struct buf *out)
{
	uint64_t from = MIN(h->off, b->off);
	uint64_t to = MAX(h->off + h->len, b->off + b->len);
	struct segment *s;
	const char *p;
	enum err e;

	if (b->len == 0)
		return text_at(st, h, header_n, out);
	if (h->seg != b->seg || h->len > APART || b->len > APART ||
	    to - from > APART) {
		e = text_at(st, h, header_n, out);
		return e == OK ? text_at(st, b, body_n, out) : e;
	}
	if ((s = segment_get(st, h->seg)) == NULL)
		return ERR_CORRUPT;
	e = stretch(s, from, (size_t)(to - from), &p);
	if (e == OK)
		e = body_decode_n(
		    str_of(p + (h->off - from), (size_t)h->len), header_n, out);
	if (e == OK)
		e = body_decode_n(
		    str_of(p + (b->off - from), (size_t)b->len), body_n, out);
	segment_unref(&s);
	return e;
}

enum err
view_text(struct view *v, const struct entry *e, struct buf *out,
    uint32_t *header_size)
{
	struct message_row m;
	struct body_row b = {0};
	size_t was = out->n;
	enum err x = view_row(v, e, &m);

	if (x != OK)
		return x;
	if (m.size > TEXT_MAX || m.body_size > m.size)
		x = ERR_LIMIT;
	else if (m.body_size > 0)
		x = body_get(v->st, v->m->account, m.sha, &b);
	*header_size = m.size - (uint32_t)m.body_size;
	if (x == OK && m.header.len == 0)
		x = ERR_LIMIT; /* nobody writes that; view_source reads it */
	if (x == OK)
		x = texts(v->st, &m.header, *header_size, &b.data,
		    (size_t)m.body_size, out);
	message_row_free(&m);
	if (x != OK)
		out->n = was;
	return x;
}
