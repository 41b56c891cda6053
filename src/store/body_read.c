/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Reading the encoded form of a text (body.h), whole or from the middle.
 *
 * (1) The head is believed only after its checksum; even then every number
 *     in it is checked, so that no head whatever can make us read or write
 *     out of bounds.
 * (2) Each thread keeps the frame that it decoded last, so that a reader who
 *     takes a frame in pieces decodes it once, and a thousand slow readers
 *     hold nothing; a read that covers a whole frame decodes it straight
 *     into the reader's memory.
 * (3) Small texts are read with one pread and stay in memory.
 */
#include "store/body_int.h"

/* What the first read asks for (3). */
#define FIRST_READ 16384
#define HEAD_READ 512
/* A line of base64 has at most this many, by segment_get. */
#define LINE_OCTETS 750

struct frame {
	uint64_t at; /* from the start of the encoded form */
	uint32_t n;  /* as stored */
	uint64_t sum;
};

struct segment {
	uint64_t at;    /* in the text */
	uint64_t coded; /* in the coded text */
	uint64_t n;     /* octets of the coded text */
	uint32_t line;  /* 0: verbatim */
	bool tail;
};

struct body {
	struct body_ref ref;
	str mem;   /* the encoded form, when it is in memory */
	char *own; /* mem, when it is ours */
	uint64_t size, coded;
	struct frame *frames;
	size_t nframes;
	struct segment *segs;
	size_t nsegs;
	struct frame one; /* frames, when there is only one */
	unsigned bits;
	bool dict;
	uint64_t id;    /* no other has it; 0: not given yet */
	size_t checked; /* the frame last found right, + 1 */
};

/* Exactly n bytes of the encoded form from at on. */
static enum err
raw(struct body *b, uint64_t at, void *p, size_t n)
{
	ssize_t r;

	if (at > b->ref.n || n > b->ref.n - at)
		return ERR_CORRUPT;
	if (b->mem.p != NULL) {
		memcpy(p, b->mem.p + at, n);
		return OK;
	}
	r = os_pread(b->ref.fd, p, n, (off_t)(b->ref.at + at));
	if (r < 0)
		return ERR_IO;
	return (size_t)r == n ? OK : ERR_CORRUPT;
}

/* ---- the head ---- */

static uint64_t
base64_octets(uint64_t n, uint32_t line, bool tail)
{
	uint64_t chars = (n + 2) / 3 * 4;
	uint64_t lines = (chars + line - 1) / line;

	return chars + 2 * (lines - 1) + (tail ? 2 : 0);
}

/* Adds one segment, whose place follows from those before it. */
static enum err
segment_get(struct body *b, struct dec *d, size_t i)
{
	struct segment *s = &b->segs[i];
	uint64_t v = dec_var(d), n = v >> 1;

	if (d->bad || n == 0 || n > UINT32_MAX)
		return ERR_CORRUPT;
	*s = (struct segment){.at = b->size, .coded = b->coded, .n = n};
	if (v & 1) {
		v = dec_var(d);
		if (d->bad || v >> 1 == 0 || v >> 1 > 1000 || (v >> 1) % 4)
			return ERR_CORRUPT;
		s->line = (uint32_t)(v >> 1);
		s->tail = v & 1;
		b->size += base64_octets(n, s->line, s->tail);
	} else {
		b->size += n;
	}
	b->coded += n;
	return b->size > UINT32_MAX ? ERR_CORRUPT : OK;
}

static enum err
segments_get(struct body *b, struct dec *d)
{
	uint64_t size = dec_var(d), n = dec_var(d);
	enum err e;

	if (d->bad || size > UINT32_MAX || n > dec_left(d))
		return ERR_CORRUPT;
	if (n == 0) {
		b->size = b->coded = size;
		return OK;
	}
	b->nsegs = n;
	b->segs = x_array(n, sizeof(*b->segs));
	for (size_t i = 0; i < n; i++) {
		if ((e = segment_get(b, d, i)) != OK)
			return e;
	}
	return b->size == size ? OK : ERR_CORRUPT;
}

/* Octets of the coded text in frame i. */
static size_t
frame_octets(const struct body *b, size_t i)
{
	uint64_t left = b->coded - ((uint64_t)i << b->bits);
	uint64_t full = (uint64_t)1 << b->bits;

	return (size_t)(left < full ? left : full);
}

static enum err
frames_get(struct body *b, struct dec *d, uint64_t at)
{
	uint64_t full = (uint64_t)1 << b->bits, n;

	b->nframes = (size_t)((b->coded + full - 1) >> b->bits);
	if (b->nframes > dec_left(d) / 9)
		return ERR_CORRUPT;
	b->frames =
	    b->nframes <= 1 ? &b->one : x_array(b->nframes, sizeof(*b->frames));
	for (size_t i = 0; i < b->nframes; i++) {
		n = dec_var(d);
		b->frames[i].at = at;
		b->frames[i].sum = dec_u64(d);
		if (d->bad || n == 0 || n > frame_octets(b, i) ||
		    n > b->ref.n - at)
			return ERR_CORRUPT;
		b->frames[i].n = (uint32_t)n;
		at += n;
	}
	return dec_end(d) && at == b->ref.n ? OK : ERR_CORRUPT;
}

static enum err
head_get(struct body *b, str head)
{
	struct dec d = dec_of(str_head(head, head.n - 8));
	struct dec sum = dec_of(str_from(head, head.n - 8));
	unsigned dict;
	enum err e;

	if (hash_xxh3(scan_rest(&(struct scan){d.p, d.end}), 0) !=
	    dec_u64(&sum))
		return ERR_CORRUPT;
	dec_u8(&d); /* the version, seen by the caller */
	dict = dec_u8(&d);
	b->bits = dec_u8(&d);
	if (dict > 1 || b->bits < 10 || b->bits > BODY_FRAME_BITS_MAX ||
	    dec_u8(&d) != 0)
		return ERR_CORRUPT;
	b->dict = dict == 1;
	dec_u32(&d);
	if ((e = segments_get(b, &d)) != OK)
		return e;
	return frames_get(b, &d, head.n);
}

/* first: what the first read gave. */
static enum err
open_head(struct body *b, str first)
{
	struct dec d = dec_of(first);
	unsigned version = dec_u8(&d);
	uint64_t n;
	char *head;
	enum err e;

	dec_take(&d, 3);
	n = dec_u32(&d);
	if (d.bad || version != BODY_VERSION || n < 8 + 2 + 8 ||
	    n > BODY_HEAD_MAX || n > b->ref.n)
		return ERR_CORRUPT;
	if (n <= first.n)
		return head_get(b, str_head(first, n));
	if ((head = x_try(n)) == NULL)
		return ERR_NOMEM;
	if ((e = raw(b, 0, head, n)) == OK)
		e = head_get(b, str_of(head, n));
	x_free(&head);
	return e;
}

static enum err
init_mem(struct body *b, str encoded)
{
	*b = (struct body){.ref = {.fd = -1, .n = encoded.n}, .mem = encoded};
	return open_head(b, encoded);
}

static enum err
init(struct body *b, const struct body_ref *ref)
{
	/* Of a long one only the head is wanted. */
	size_t n = (size_t)(ref->n <= FIRST_READ ? ref->n : HEAD_READ);
	enum err e;

	*b = (struct body){.ref = *ref};
	if ((b->own = x_try(n)) == NULL)
		return ERR_NOMEM;
	if ((e = raw(b, 0, b->own, n)) != OK ||
	    (e = open_head(b, str_of(b->own, n))) != OK)
		return e;
	if (n == ref->n)
		b->mem = str_of(b->own, n);
	else
		x_free(&b->own);
	return OK;
}

static void
fini(struct body *b)
{
	x_free(&b->own);
	if (b->frames != &b->one)
		x_free(&b->frames);
	x_free(&b->segs);
}

enum err
body_open_mem(str encoded, struct body **out)
{
	struct body *b = x_alloc(sizeof(*b));
	enum err e = init_mem(b, encoded);

	if (e != OK)
		body_free(&b);
	*out = b;
	return e;
}

enum err
body_open(const struct body_ref *ref, struct body **out)
{
	struct body *b = x_alloc(sizeof(*b));
	enum err e = init(b, ref);

	if (e != OK)
		body_free(&b);
	*out = b;
	return e;
}

void
body_free(struct body **p)
{
	struct body *b = *p;

	*p = NULL;
	if (b == NULL)
		return;
	fini(b);
	x_free(&b);
}

uint64_t
body_size(const struct body *b)
{
	return b->size;
}

/* ---- frames ---- */

/* Frame i, decoded, into p. */
static enum err
frame_read(struct body *b, size_t i, char *p)
{
	struct frame *f = &b->frames[i];
	struct body_tls *t = body_tls();
	size_t n = frame_octets(b, i), r;
	const char *stored = p;
	enum err e;

	if (t == NULL)
		return ERR_NOMEM;
	if (b->mem.p != NULL) {
		stored = b->mem.p + f->at;
	} else {
		if (f->n < n) {
			buf_reset(&t->stored);
			if ((stored = buf_room(&t->stored, f->n)) == NULL)
				return ERR_NOMEM;
		}
		e = raw(b, f->at, f->n < n ? t->stored.p : p, f->n);
		if (e != OK)
			return e;
	}
	if (hash_xxh3(str_of(stored, f->n), i) != f->sum)
		return ERR_CORRUPT;
	if (f->n == n) {
		if (stored != p)
			memcpy(p, stored, n);
		return OK;
	}
	if (b->dict)
		r = ZSTD_decompress_usingDDict(
		    t->dctx, p, n, stored, f->n, body_ddict());
	else
		r = ZSTD_decompressDCtx(t->dctx, p, n, stored, f->n);
	return !ZSTD_isError(r) && r == n ? OK : ERR_CORRUPT;
}

/* Frame i, decoded, until this thread reads another (2). */
static enum err
frame_kept(struct body *b, size_t i, const char **p)
{
	static _Atomic uint64_t ids;
	struct body_tls *t = body_tls();
	enum err e;

	if (t == NULL)
		return ERR_NOMEM;
	if (b->id == 0)
		b->id = ++ids;
	if (t->frame_of != b->id || t->frame_no != i) {
		t->frame_of = 0;
		buf_reset(&t->frame);
		if (buf_room(&t->frame, frame_octets(b, i)) == NULL)
			return ERR_NOMEM;
		if ((e = frame_read(b, i, t->frame.p)) != OK)
			return e;
		t->frame_of = b->id;
		t->frame_no = i;
	}
	*p = t->frame.p;
	return OK;
}

/* n octets of the coded text from at on. */
static enum err
coded_read(struct body *b, uint64_t at, char *p, size_t n)
{
	const char *kept;

	while (n > 0) {
		size_t i = (size_t)(at >> b->bits), len = frame_octets(b, i);
		size_t off = (size_t)(at - ((uint64_t)i << b->bits));
		size_t k = MIN(len - off, n);
		enum err e;

		if (k == len) { /* (2) */
			e = frame_read(b, i, p);
		} else {
			e = frame_kept(b, i, &kept);
			if (e == OK)
				memcpy(p, kept + off, k);
		}
		if (e != OK)
			return e;
		p += k;
		at += k;
		n -= k;
	}
	return OK;
}

/* ---- segments ---- */

/* A piece of the line that begins at octet from of the segment. */
static enum err
line_read(struct body *b, const struct segment *s, uint64_t from, size_t skip,
    char *p, size_t n, size_t *did)
{
	char coded[LINE_OCTETS], text[LINE_OCTETS / 3 * 4 + 2];
	size_t want = (size_t)MIN(s->line / 4 * 3, s->n - from), got;
	enum err e;

	if ((e = coded_read(b, s->coded + from, coded, want)) != OK)
		return e;
	got = mime_base64_lines_put(
	    str_of(coded, want), s->line, from + want < s->n || s->tail, text);
	if (got <= skip)
		return ERR_CORRUPT;
	*did = MIN(n, got - skip);
	memcpy(p, text + skip, *did);
	return OK;
}

/* Octets of the base64 text of s from off on, at most n and at least one,
 * through *did: as many lines as lie whole in one frame, encoded from where
 * it is kept into the reader's memory; or a piece of one line. */
static enum err
lines_read(struct body *b, const struct segment *s, uint64_t off, char *p,
    size_t n, size_t *did)
{
	size_t per = s->line / 4 * 3, chars = s->line + 2, k, in, i;
	uint64_t from = off / chars * per, at = s->coded + from;
	const char *kept;
	enum err e;

	if (from >= s->n) /* only the last line end can lie there */
		return ERR_CORRUPT;
	i = (size_t)(at >> b->bits);
	in = (size_t)(at - ((uint64_t)i << b->bits));
	k = MIN(n / chars, (frame_octets(b, i) - in) / per);
	k = (size_t)MIN(k, (s->n - from - 1) / per); /* the last is another */
	if (off % chars != 0 || k == 0)
		return line_read(b, s, from, (size_t)(off % chars), p, n, did);
	if ((e = frame_kept(b, i, &kept)) != OK)
		return e;
	*did =
	    mime_base64_lines_put(str_of(kept + in, k * per), s->line, true, p);
	return OK;
}

static const struct segment *
segment_at(const struct body *b, uint64_t at)
{
	size_t lo = 0, hi = b->nsegs;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (b->segs[mid].at <= at)
			lo = mid;
		else
			hi = mid;
	}
	return &b->segs[lo];
}

enum err
body_read(struct body *b, uint64_t at, void *dst, size_t n)
{
	char *p = dst;
	enum err e;

	if (at > b->size || n > b->size - at)
		return ERR_INVALID;
	if (b->nsegs == 0)
		return coded_read(b, at, p, n);
	while (n > 0) {
		const struct segment *s = segment_at(b, at);
		uint64_t end = s + 1 < b->segs + b->nsegs ? s[1].at : b->size;
		uint64_t off = at - s->at;
		size_t k = (size_t)MIN(end - at, n);

		if (s->line == 0)
			e = coded_read(b, s->coded + off, p, k);
		else
			e = lines_read(b, s, off, p, k, &k);
		if (e != OK)
			return e;
		p += k;
		at += k;
		n -= k;
	}
	return OK;
}

static enum err
decode(str encoded, bool any, uint64_t n, struct buf *out)
{
	struct body b;
	enum err e = init_mem(&b, encoded);
	char *p;

	if (e == OK && !any && b.size != n)
		e = ERR_CORRUPT;
	if (e == OK && (p = buf_room(out, (size_t)b.size)) == NULL)
		e = ERR_NOMEM;
	if (e == OK && (e = body_read(&b, 0, p, (size_t)b.size)) == OK)
		out->n += (size_t)b.size;
	fini(&b);
	return e;
}

enum err
body_decode(str encoded, struct buf *out)
{
	return decode(encoded, true, 0, out);
}

enum err
body_decode_n(str encoded, size_t n, struct buf *out)
{
	return decode(encoded, false, n, out);
}

enum err
body_load(const struct body_ref *ref, struct arena *ar, str *text)
{
	struct body b;
	enum err e = init(&b, ref);
	char *p;

	if (e == OK && (p = arena_alloc(ar, (size_t)b.size + 1)) == NULL)
		e = ERR_NOMEM;
	if (e == OK && (e = body_read(&b, 0, p, (size_t)b.size)) == OK)
		*text = str_of(p, (size_t)b.size);
	fini(&b);
	return e;
}

/* ---- a message as a source ---- */

struct message {
	struct source src;
	struct body *part[2]; /* header, body; NULL: empty */
	uint64_t split;       /* octets of the header */
	void (*release)(void *arg);
	void *arg;
};

static enum err
message_read(struct source *src, uint64_t at, void *dst, size_t n)
{
	struct message *m = (struct message *)src;
	char *p = dst;
	enum err e = OK;
	size_t k;

	if (at > src->size || n > src->size - at)
		return ERR_INVALID;
	if (at < m->split) {
		k = (size_t)MIN(m->split - at, n);
		e = body_read(m->part[0], at, p, k);
		p += k;
		at += k;
		n -= k;
	}
	if (e == OK && n > 0)
		e = body_read(m->part[1], at - m->split, p, n);
	return e;
}

/* Frames that stand as they are can be sent from the file, one at a time,
 * each after its checksum was compared: the page cache will hold it. */
static bool
message_file(
    struct source *src, uint64_t at, int *fd, uint64_t *off, uint64_t *n)
{
	struct message *m = (struct message *)src;
	struct body *b = m->part[at < m->split ? 0 : 1];
	size_t i, len, in;
	const char *kept;

	if (at >= src->size || b->nsegs != 0 || b->mem.p != NULL)
		return false;
	if (at >= m->split)
		at -= m->split;
	i = (size_t)(at >> b->bits);
	len = frame_octets(b, i);
	in = (size_t)(at - ((uint64_t)i << b->bits));
	if (b->frames[i].n != len)
		return false;
	if (b->checked != i + 1) {
		if (frame_kept(b, i, &kept) != OK)
			return false; /* read() will say why */
		b->checked = i + 1;
	}
	*fd = b->ref.fd;
	*off = b->ref.at + b->frames[i].at + in;
	*n = len - in;
	return true;
}

static void
message_free(struct source *src)
{
	struct message *m = (struct message *)src;

	body_free(&m->part[0]);
	body_free(&m->part[1]);
	if (m->release != NULL)
		m->release(m->arg);
	x_free(&m);
}

static const struct source_ops message_ops = {
    .read = message_read,
    .file = message_file,
    .free = message_free,
};

enum err
body_source(const struct body_ref *header, const struct body_ref *body,
    void (*release)(void *arg), void *arg, struct source **src)
{
	struct message *m = x_alloc(sizeof(*m));
	enum err e = OK;

	*src = &m->src;
	m->src.ops = &message_ops;
	atomic_init(&m->src.refs, 1);
	m->release = release;
	m->arg = arg;
	if (header->n > 0)
		e = body_open(header, &m->part[0]);
	if (e == OK && body->n > 0)
		e = body_open(body, &m->part[1]);
	if (e != OK) {
		source_unref(src);
		return e;
	}
	m->split = m->part[0] == NULL ? 0 : m->part[0]->size;
	m->src.size = m->split + (m->part[1] == NULL ? 0 : m->part[1]->size);
	return OK;
}
