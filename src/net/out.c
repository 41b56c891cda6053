/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The output queue: bytes, and references to sources that are read when
 * their turn comes. Draining expands the next references (refill) on the
 * thread that drains, up to REFILL bytes, and writes until the socket is
 * full. On a plaintext socket a long stretch of a file goes by sendfile.
 *
 * (1) Bytes in memory stay below OUT_HIGH and one handler's step, plus what
 *     a refill has expanded.
 * (2) A peer that takes nothing for a second keeps no expanded bytes beyond
 *     TRIM_KEEP: the rest goes back into its reference and is read again
 *     (R108).
 * (3) A source that fails when its octets have been promised ends the
 *     connection.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>

#include "net/net_int.h"

/* A handler that stops here has 16 KiB for what it was at. */
#define OUT_HIGH 49152
#define OUT_LOW 16384
#define REFILL (256 * 1024)
#define DOT_RAW 65536
#define SEG_SMALL (4096 - sizeof(struct oseg))
#define SEG_LARGE (16384 - sizeof(struct oseg))
#define FILE_MIN 32768
#define TURN_BYTES (1 << 20)
#define TRIM_KEEP 32768
#define RECORD 16384
#define IOVS 32

static _Thread_local char *record; /* RECORD bytes, for TLS */

void
out_forget(void)
{
	x_free(&record);
}

bool
out_empty(const struct conn *c)
{
	return c->io == NULL || c->io->out.head == NULL;
}

size_t
out_queued(const struct conn *c)
{
	if (c->io == NULL)
		return 0;
	return c->io->out.mem + (size_t)c->io->out.refs;
}

bool
out_full(const struct conn *c)
{
	return out_queued(c) >= OUT_HIGH;
}

bool
out_low(const struct conn *c)
{
	return out_queued(c) <= OUT_LOW;
}

/* ---- building ---- */

static struct oseg *
seg_new(enum seg_kind kind, size_t cap)
{
	struct oseg *s = x_grow(NULL, 1, sizeof(*s) + cap);

	*s = (struct oseg){0}; /* the octets behind it need no zeros */
	s->kind = kind;
	s->cap = (uint32_t)cap;
	return s;
}

static void
seg_append(struct conn *c, struct oseg *s)
{
	struct out *o = &c->io->out;

	if (o->head == NULL) {
		o->head = s;
		c->io->queued_us = os_mono_us();
	} else {
		o->tail->next = s;
	}
	o->tail = s;
}

void
out_add(struct conn *c, const void *p, size_t n)
{
	struct oseg *s;
	size_t k;

	io_need(c);
	while (n > 0) {
		s = c->io->out.tail;
		if (s == NULL || s->kind != SEG_MEM || s->n == s->cap) {
			s = seg_new(SEG_MEM, s == NULL && n <= SEG_SMALL
						 ? SEG_SMALL
						 : SEG_LARGE);
			seg_append(c, s);
		}
		k = MIN(n, s->cap - s->n);
		memcpy(s->data + s->n, p, k);
		s->n += (uint32_t)k;
		c->io->out.mem += k;
		p = (const char *)p + k;
		n -= k;
	}
}

void
out_str(struct conn *c, str s)
{
	out_add(c, s.p, s.n);
}

void
out_f(struct conn *c, const char *fmt, ...)
{
	struct buf b = {0};
	va_list ap;

	va_start(ap, fmt);
	buf_vf(&b, fmt, ap);
	va_end(ap);
	out_add(c, b.p, b.n);
	buf_free(&b);
}

static struct oseg *
ref_add(struct conn *c, enum seg_kind kind, struct source *src, uint64_t at,
    uint64_t n)
{
	struct oseg *s;

	io_need(c);
	s = seg_new(kind, 0);
	s->src = source_ref(src);
	s->off = at;
	s->left = n;
	c->io->out.refs += n;
	seg_append(c, s);
	return s;
}

void
out_ref(struct conn *c, struct source *src, uint64_t at, uint64_t n)
{
	if (n > 0)
		ref_add(c, SEG_REF, src, at, n);
}

void
out_dotted(struct conn *c, struct source *src, uint64_t at, uint64_t n,
    uint64_t header_len, int64_t lines)
{
	struct oseg *s;

	if (lines == 0)
		n = MIN(n, header_len);
	if (n == 0)
		return;
	s = ref_add(c, SEG_DOT, src, at, n);
	s->header_left = MIN(header_len, n);
	s->in_body = s->header_left == 0;
	s->lines = lines;
	s->bol = true;
}

static void
seg_free(struct oseg *s)
{
	source_unref(&s->src);
	free(s);
}

void
out_clear(struct out *o)
{
	struct oseg *s, *next;

	for (s = o->head; s != NULL; s = next) {
		next = s->next;
		seg_free(s);
	}
	*o = (struct out){0};
}

/* ---- refilling ---- */

/* True when the octets from seg's offset on can be sent from a file, and
 * there are enough of them to be worth a call. */
static bool
seg_file(
    const struct conn *c, struct oseg *s, int *fd, uint64_t *off, uint64_t *n)
{
	if (s->kind != SEG_REF || s->left < FILE_MIN || c->tls != NULL ||
	    s->src->ops->file == NULL ||
	    !s->src->ops->file(s->src, s->off, fd, off, n))
		return false;
	*n = MIN(*n, s->left);
	return *n >= FILE_MIN || *n == s->left;
}

/* Puts mem before s, whose link is *at. */
static void
seg_before(struct out *o, struct oseg **at, struct oseg *mem)
{
	mem->next = *at;
	*at = mem;
	o->mem += mem->n;
}

/* Expands the next octets of the reference *at into memory before it. */
static bool
refill_ref(struct out *o, struct oseg **at, size_t most)
{
	struct oseg *s = *at, *mem;
	size_t n = (size_t)MIN(s->left, most);

	mem = seg_new(SEG_MEM, n);
	if (s->src->ops->read(s->src, s->off, mem->data, n) != OK) {
		free(mem);
		return false;
	}
	mem->n = (uint32_t)n;
	mem->refilled = true;
	s->off += n;
	s->left -= n;
	o->refs -= n;
	seg_before(o, at, mem);
	return true;
}

/* Copies raw to the wire form of a multi-line reply: lines end in CR LF, a
 * dot at their beginning is doubled. Stops behind the wanted lines. Returns
 * how much of raw was used. */
static size_t
dot_stuff(struct oseg *s, const char *raw, size_t n, struct buf *to)
{
	size_t i = 0, end;

	while (i < n) {
		const char *nl = memchr(raw + i, '\n', n - i);

		if (s->bol && raw[i] == '.')
			buf_c(to, '.');
		end = nl == NULL ? n : (size_t)(nl - raw);
		buf_add(to, raw + i, end - i);
		if (end > i)
			s->last_cr = raw[end - 1] == '\r';
		s->bol = false;
		if (nl == NULL)
			return n;
		if (!s->last_cr)
			buf_c(to, '\r');
		buf_c(to, '\n');
		s->bol = true;
		s->last_cr = false;
		i = end + 1;
		if (s->in_body && s->lines > 0 && --s->lines == 0) {
			s->left = 0;
			return i;
		}
	}
	return n;
}

/* True when dot_stuff would copy the octets as they are, which is so for
 * nearly all mail; the state is then as behind them. last: nothing follows. */
static bool
dot_plain(struct oseg *s, const char *raw, size_t n, bool last)
{
	const char *p = raw, *end = raw + n, *nl;
	bool cr = s->last_cr;

	if (n == 0 || (s->in_body && s->lines > 0) || (s->bol && *p == '.'))
		return false;
	while (p < end && (nl = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		if (nl > raw)
			cr = nl[-1] == '\r';
		if (!cr || (nl + 1 < end && nl[1] == '.'))
			return false;
		p = nl + 1;
	}
	if (last && p < end)
		return false;
	s->bol = p == end;
	s->last_cr = end[-1] == '\r';
	return true;
}

/* How many of the octets that are left may be looked at in one step, of n:
 * header and body are not mixed, since lines count in one. */
static size_t
dot_most(const struct oseg *s, size_t n)
{
	uint64_t most = MIN(s->left, n);

	if (!s->in_body && s->lines >= 0)
		most = MIN(most, s->header_left);
	return (size_t)most;
}

/* used octets of the text have been taken. */
static void
dot_took(struct oseg *s, size_t used)
{
	s->off += used;
	if (s->left != 0)
		s->left -= used;
	s->header_left -= MIN(used, s->header_left);
	s->in_body = s->header_left == 0;
}

/* n octets of the text, in their wire form appended to to. */
static void
dot_step(struct oseg *s, const char *raw, size_t n, struct buf *to)
{
	dot_took(s, dot_stuff(s, raw, n, to));
	if (s->left == 0 && !s->bol) {
		buf_str_add(to, s->last_cr ? S("\n") : S("\r\n"));
		s->bol = true;
	}
}

void
out_dotted_str(struct conn *c, str text, uint64_t header_len, int64_t lines)
{
	struct oseg s = {.lines = lines, .bol = true};
	struct buf to = {0};
	size_t n;

	if (lines == 0)
		text = str_head(text, (size_t)MIN(text.n, header_len));
	s.left = text.n;
	s.header_left = MIN(header_len, text.n);
	s.in_body = s.header_left == 0;
	if (dot_plain(&s, text.p, text.n, true)) {
		out_str(c, text);
		return;
	}
	while (s.left > 0) {
		n = dot_most(&s, text.n);
		dot_step(&s, text.p + s.off, n, &to);
	}
	if (!buf_ok(&to))
		log_panic("out of memory");
	out_str(c, buf_str(&to));
	buf_free(&to);
}

static bool
refill_dot(struct out *o, struct oseg **at)
{
	struct oseg *s = *at, *mem;
	uint64_t before = s->left;
	size_t n = dot_most(s, DOT_RAW);
	struct buf to = {0};

	mem = seg_new(SEG_MEM, n);
	if (s->src->ops->read(s->src, s->off, mem->data, n) != OK) {
		free(mem);
		return false;
	}
	if (dot_plain(s, mem->data, n, n == s->left)) {
		mem->n = (uint32_t)n;
		dot_took(s, n);
	} else {
		dot_step(s, mem->data, n, &to);
		free(mem);
		if (!buf_ok(&to)) {
			buf_free(&to);
			return false;
		}
		mem = seg_new(SEG_MEM, to.n);
		if (to.n > 0)
			memcpy(mem->data, to.p, to.n);
		mem->n = (uint32_t)to.n;
		buf_free(&to);
	}
	o->refs -= before - s->left;
	seg_before(o, at, mem);
	return true;
}

/* Expands references until REFILL bytes stand in memory at the head, or a
 * stretch of a file follows. */
static bool
refill(struct conn *c)
{
	struct out *o = &c->io->out;
	struct oseg **at = &o->head, *s, *mem;
	size_t sum = 0, most = c->trimmed ? TRIM_KEEP : REFILL; /* (2) */
	uint64_t off, n;
	int fd;

	while ((s = *at) != NULL && sum < most) {
		if (s->kind == SEG_MEM) {
			sum += s->n - s->at;
			at = &s->next;
			continue;
		}
		if (s->left == 0) {
			/* Kept only while what it gave may come back. */
			at = &s->next;
			continue;
		}
		if (seg_file(c, s, &fd, &off, &n))
			break;
		if (!(s->kind == SEG_REF ? refill_ref(o, at, most)
					 : refill_dot(o, at)))
			return false;
		mem = *at;
		sum += mem->n;
		at = &mem->next;
	}
	return true;
}

/* What stands from s on was expanded, in turn, from the reference ref behind
 * it: what is beyond TRIM_KEEP goes back there. */
static void
trim_run(struct out *o, struct oseg *s, struct oseg *ref, size_t *kept)
{
	size_t back = 0, len, keep;

	for (; s != ref; s = s->next) {
		len = s->n - s->at;
		keep = *kept >= TRIM_KEEP ? 0 : MIN(len, TRIM_KEEP - *kept);
		s->n -= (uint32_t)(len - keep);
		back += len - keep;
		*kept += keep;
	}
	o->mem -= back;
	ref->off -= back;
	ref->left += back;
	o->refs += back;
}

/* Gives back what was expanded beyond TRIM_KEEP. */
void
out_trim(struct conn *c)
{
	struct out *o;
	struct oseg *s, *ref;
	size_t kept = 0;

	if (c->io == NULL)
		return;
	o = &c->io->out;
	for (s = o->head; s != NULL; s = s == ref ? s->next : ref) {
		ref = s;
		while (ref != NULL && ref->kind == SEG_MEM && ref->refilled)
			ref = ref->next;
		if (ref == s && s->kind == SEG_MEM)
			kept += s->n - s->at;
		else if (ref != NULL && ref->kind == SEG_REF)
			trim_run(o, s, ref, &kept);
	}
	/* Bytes that are kept move to memory of their own size. */
	for (struct oseg **at = &o->head; (s = *at) != NULL; at = &s->next) {
		if (s->kind != SEG_MEM || s->cap < 2 * (s->n - s->at) + 1024)
			continue;
		ref = seg_new(SEG_MEM, s->n - s->at);
		memcpy(ref->data, s->data + s->at, s->n - s->at);
		ref->n = s->n - s->at;
		ref->refilled = s->refilled;
		ref->next = s->next;
		if (o->tail == s)
			o->tail = ref;
		*at = ref;
		free(s);
		s = ref;
	}
}

/* ---- writing ---- */

static void
head_pop(struct out *o)
{
	struct oseg *s = o->head;

	o->head = s->next;
	if (o->head == NULL)
		o->tail = NULL;
	seg_free(s);
}

/* n bytes of memory at the head have been written. */
static void
out_wrote(struct conn *c, size_t n)
{
	struct out *o = &c->io->out;
	size_t k;

	c->progress = true;
	o->mem -= n;
	while (o->head != NULL) {
		struct oseg *s = o->head;

		if (s->kind != SEG_MEM) {
			if (s->left > 0)
				break;
			head_pop(o);
			continue;
		}
		k = MIN(n, s->n - s->at);
		s->at += (uint32_t)k;
		n -= k;
		if (s->at < s->n)
			break;
		head_pop(o);
	}
	assert(n == 0);
}

/* The memory at the head as a vector; *more: something follows it. */
static int
head_vector(struct out *o, struct iovec *v, int max, bool *more)
{
	struct oseg *s;
	int n = 0;

	for (s = o->head; s != NULL && n < max; s = s->next) {
		if (s->kind == SEG_MEM) {
			v[n].iov_base = s->data + s->at;
			v[n++].iov_len = s->n - s->at;
		} else if (s->left > 0) {
			break;
		}
	}
	*more = s != NULL;
	return n;
}

static ssize_t
write_plain(struct conn *c)
{
	struct oseg *s = c->io->out.head;
	struct iovec v[IOVS];
	struct msghdr m = {.msg_iov = v};
	uint64_t off, n;
	off_t at;
	ssize_t r;
	bool more;
	int fd;

	if (s->kind == SEG_REF) {
		if (!seg_file(c, s, &fd, &off, &n))
			return -1;
		at = (off_t)off;
		r = sendfile(c->fd, fd, &at, (size_t)MIN(n, TURN_BYTES));
		if (r == 0)
			errno = EIO; /* (3): the file is shorter */
		if (r <= 0)
			return -1;
		s->off += (uint64_t)r;
		s->left -= (uint64_t)r;
		c->io->out.refs -= (uint64_t)r;
		c->progress = true;
		if (s->left == 0)
			head_pop(&c->io->out);
		return r;
	}
	m.msg_iovlen = (size_t)head_vector(&c->io->out, v, IOVS, &more);
	/* Last words go with the end of the stream, which pushes them. */
	more = more || c->phase == PH_CLOSE;
	r = sendmsg(
	    c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0));
	if (r > 0)
		out_wrote(c, (size_t)r);
	return r;
}

/* One full record, if there is that much. */
static ssize_t
write_record(struct conn *c)
{
	struct iovec v[IOVS];
	size_t n, k;
	const char *from;
	ssize_t r;
	bool more;
	int nv;

	v[0] = (struct iovec){0};
	nv = head_vector(&c->io->out, v, IOVS, &more);
	from = v[0].iov_base;
	n = MIN(v[0].iov_len, RECORD);
	if (n < RECORD && nv > 1) {
		if (record == NULL)
			record = x_alloc(RECORD);
		from = record;
		n = 0;
		for (int i = 0; i < nv && n < RECORD; i++) {
			k = MIN(v[i].iov_len, RECORD - n);
			memcpy(record + n, v[i].iov_base, k);
			n += k;
		}
	}
	r = tls_write(c, from, n, &c->want);
	if (r > 0)
		out_wrote(c, (size_t)r);
	return r;
}

/* Empty segments and finished references at the head would stop us. */
static void
head_clean(struct out *o)
{
	while (o->head != NULL &&
	       (o->head->kind == SEG_MEM ? o->head->at == o->head->n
					 : o->head->left == 0))
		head_pop(o);
}

/* Writes until the queue is empty (DONE), the socket is full (FULL: c->want
 * says what to wait for), or this turn's share is used (SOME). */
enum drained
out_drain(struct conn *c)
{
	struct out *o = &c->io->out;
	size_t sum = 0;
	ssize_t r;

	for (;;) {
		head_clean(o);
		if (o->head == NULL)
			return DRAIN_DONE;
		if (sum >= TURN_BYTES)
			return DRAIN_SOME;
		if (!refill(c)) {
			log_error("output: a source failed",
			    KV_C("service", c->svc->name));
			return DRAIN_BAD;
		}
		head_clean(o);
		if (o->head == NULL)
			return DRAIN_DONE;
		c->want = EPOLLOUT;
		r = tls_on(c) ? write_record(c) : write_plain(c);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return errno == EAGAIN ? DRAIN_FULL : DRAIN_BAD;
		sum += (size_t)r;
	}
}
