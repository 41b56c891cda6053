/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * mbox in its four kinds. mboxo and mboxrd put '>' before lines that begin
 * with "From " (mboxrd also before ">From "); mboxcl quotes as mboxo does and
 * says the length in a header field; mboxcl2 only says the length.
 *
 * (1) A Content-Length counts when it is true: a From_ line, or the end of
 *     the file, stands where it points. It is believed before From_ lines
 *     are looked for, so that mboxcl2 is read as it was meant.
 * (2) Quoting is taken away as mboxrd has it (one '>' of ">+From "), but not
 *     from a file of kind mboxcl2: one of whose messages holds a bare From_
 *     line within its true length.
 * (3) Memory is bounded by the message size limit: a longer message is
 *     passed over.
 */
#include <fcntl.h>

#include "store/import_int.h"

#define CHUNK (256 * 1024)

struct mbox {
	int fd;
	bool own_fd;
	uint64_t at; /* file offset of the window's end */
	bool eof;
	struct buf buf;
	size_t off;    /* what is before it in buf is done */
	uint64_t base; /* octets of the files before this one */
	bool cl2;
};

/* A message within the window. */
struct extent {
	size_t head; /* where the message begins, behind the From_ line */
	size_t body; /* behind the header */
	size_t end;  /* behind the message's last byte */
	size_t next; /* the next From_ line, or the end */
	bool length; /* its Content-Length is true */
	bool too_big;
};

void
mbox_free(struct mbox **p)
{
	struct mbox *m = *p;

	*p = NULL;
	if (m == NULL)
		return;
	if (m->own_fd)
		os_close(&m->fd);
	buf_free(&m->buf);
	x_free(&m);
}

/* The window: it begins with a message's From_ line, or before. */
static inline char *
win(const struct mbox *m)
{
	return m->buf.p + m->off;
}

static inline size_t
win_n(const struct mbox *m)
{
	return m->buf.n - m->off;
}

static inline str
win_str(const struct mbox *m)
{
	return str_of(win(m), win_n(m));
}

/* Reads on until the window holds n bytes, or the file ends. */
static void
fill(struct mbox *m, size_t n)
{
	while (!m->eof && win_n(m) < n) {
		char *p;
		ssize_t r;

		buf_eat(&m->buf, m->off);
		m->off = 0;
		p = buf_room(&m->buf, CHUNK);
		r = p == NULL ? -1 : os_pread(m->fd, p, CHUNK, (off_t)m->at);
		if (r < CHUNK)
			m->eof = true;
		if (r > 0) {
			m->buf.n += (size_t)r;
			m->at += (uint64_t)r;
		}
	}
}

static str
line_at(const struct mbox *m, size_t at)
{
	str s = str_from(win_str(m), at);

	s = str_head(s, str_chr(s, '\n'));
	if (s.n > 0 && s.p[s.n - 1] == '\r')
		s.n--;
	return s;
}

static size_t
next_line(const struct mbox *m, size_t at)
{
	size_t n = str_chr(str_from(win_str(m), at), '\n');

	return MIN(at + n + 1, win_n(m));
}

/* "Name:", as a header's first line has it. */
static bool
is_field(str line)
{
	size_t n = str_chr(line, ':');

	for (size_t i = 0; i < n; i++) {
		if (line.p[i] <= ' ' || line.p[i] >= 0x7f)
			return false;
	}
	return n > 0 && n < line.n;
}

/* A From_ line begins at at, with a date; or with a time, after an empty
 * line or before a header; or with neither, between the two. */
static bool
from_at(struct mbox *m, size_t at, bool *dated, struct stamp *t)
{
	struct stamp own;
	const char *p;
	bool time, empty, field;

	fill(m, at + 4096);
	p = win(m);
	*dated = false;
	if (!str_starts(str_from(win_str(m), at), S("From ")))
		return false;
	time = import_from_line(line_at(m, at), dated, t == NULL ? &own : t);
	if (*dated)
		return true;
	empty = at == 0 || (at >= 2 && p[at - 2] == '\n') ||
		(at >= 3 && p[at - 2] == '\r' && p[at - 3] == '\n');
	field = is_field(line_at(m, next_line(m, at)));
	if (str_eq(str_trim(line_at(m, at)), S("From -")))
		time = true; /* Mozilla's */
	return time ? empty || field : empty && field;
}

/* Where the body of the message at head begins. */
static size_t
body_at(struct mbox *m, size_t head)
{
	size_t at = head;
	bool dated;

	while (at < limits.header_max + head) {
		fill(m, at + CHUNK);
		if (at >= win_n(m))
			return at;
		if (line_at(m, at).n == 0)
			return next_line(m, at);
		if (at > head && from_at(m, at, &dated, NULL))
			return at; /* a message without a body */
		at = next_line(m, at);
	}
	return at;
}

/* (1) */
static bool
length_true(struct mbox *m, struct extent *x)
{
	str header = str_of(win(m) + x->head, x->body - x->head);
	struct field f;
	uint64_t n;
	size_t end, at;
	bool dated;

	if (!mime_field_find(header, S("Content-Length"), &f) ||
	    !str_u64(str_trim(f.value), &n) || n > limits.message_size_max)
		return false;
	end = x->body + (size_t)n;
	fill(m, end + 1024);
	if (end > win_n(m))
		return false;
	at = end;
	for (int i = 0; i < 3 && at < win_n(m) && line_at(m, at).n == 0; i++)
		at = next_line(m, at);
	if (at < win_n(m) && !from_at(m, at, &dated, NULL))
		return false;
	if (at < win_n(m) && win(m)[at - 1] != '\n')
		return false;
	x->end = end;
	x->next = at;
	return true;
}

/* The line end that the format puts behind each message is no part of it;
 * the one that ends the header is. */
static size_t
trim_end(const struct mbox *m, size_t body, size_t end)
{
	const char *p = win(m);

	if (end > body && end >= 2 && memcmp(p + end - 2, "\n\n", 2) == 0)
		return end - 1;
	if (end > body + 1 && end >= 4 &&
	    memcmp(p + end - 4, "\r\n\r\n", 4) == 0)
		return end - 2;
	return end;
}

/* From the header on, until the next From_ line. */
static void
find_end(struct mbox *m, struct extent *x)
{
	size_t at = x->body > x->head ? x->body - 1 : x->body;
	size_t max = limits.message_size_max + limits.header_max;
	bool dated;

	for (;;) {
		size_t hit = str_find(str_from(win_str(m), at), S("\nFrom "));

		if (at + hit < win_n(m)) {
			at += hit + 1;
			if (from_at(m, at, &dated, NULL)) {
				x->next = at;
				break;
			}
			continue;
		}
		if (m->eof) {
			x->next = win_n(m);
			break;
		}
		at = win_n(m) > 8 ? MAX(at, win_n(m) - 8) : at;
		if (win_n(m) > max) { /* (3): drop what was seen */
			m->off += at;
			x->too_big = true;
			x->head = x->body = at = 0;
		}
		fill(m, win_n(m) + CHUNK);
	}
	x->end = trim_end(m, x->body, x->next);
}

static bool
has_bare_from(str body)
{
	return str_starts(body, S("From ")) ||
	       str_find(body, S("\nFrom ")) < body.n;
}

/* The extent of the message whose From_ line begins the window. */
static void
extent_find(struct mbox *m, struct extent *x)
{
	*x = (struct extent){.head = next_line(m, 0)};
	x->body = body_at(m, x->head);
	x->length = length_true(m, x);
	if (!x->length)
		find_end(m, x);
	else if (has_bare_from(str_of(win(m) + x->body, x->end - x->body)))
		m->cl2 = true; /* (2) */
}

/* Whether a later message shows the file to be mboxcl2: as far as one
 * window reaches. */
static bool
is_cl2(int fd)
{
	struct mbox m = {.fd = fd};
	struct extent x;
	bool dated;

	fill(&m, 16 << 20);
	m.eof = true;
	while (win_n(&m) > 0 && !m.cl2 && from_at(&m, 0, &dated, NULL)) {
		extent_find(&m, &x);
		m.off += x.next;
	}
	buf_free(&m.buf);
	return m.cl2;
}

/* ---- what mbox programs keep in the header ---- */

static void
status(str v, struct import_item *item)
{
	for (size_t i = 0; i < v.n; i++) {
		char c = v.p[i];

		item->flags |= c == 'R'   ? FLAG_SEEN
			       : c == 'A' ? FLAG_ANSWERED
			       : c == 'F' ? FLAG_FLAGGED
			       : c == 'T' ? FLAG_DRAFT
			       : c == 'D' ? FLAG_DELETED
					  : 0u;
	}
}

static void
keywords(struct import *im, str v, struct import_item *item)
{
	str *all = NULL, s = str_trim(v);
	size_t n = 0, cap = 0;

	while (s.n > 0) {
		str w = str_trim(str_cut(&s, ' '));

		if (w.n > 0 && ARENA_PUSH(im->item_ar, all, n, cap))
			all[n++] = arena_dup(im->item_ar, w);
	}
	item->keywords = all;
	item->nkeywords = n;
}

/* "UIDVALIDITY last-uid keywords..." */
static void
imap_base(struct import *im, str v)
{
	uint32_t validity, last;

	v = str_trim(v);
	if (!str_u32(str_cut(&v, ' '), &validity) ||
	    !str_u32(str_trim(str_cut(&v, ' ')), &last) || validity == 0)
		return;
	if (im->uidvalidity == 0) {
		im->uidvalidity = validity;
		im->uidnext = last < UINT32_MAX ? last + 1 : last;
	}
}

/* Takes in a field that is the mbox's and not the message's. */
static bool
own_field(struct import *im, const struct field *f, bool length,
    struct import_item *item)
{
	uint32_t uid;

	if (str_caseeq(f->name, S("Status")) ||
	    str_caseeq(f->name, S("X-Status")))
		status(f->value, item);
	else if (str_caseeq(f->name, S("X-Keywords")))
		keywords(im, f->value, item);
	else if (str_caseeq(f->name, S("X-UID")))
		item->uid = str_u32(str_trim(f->value), &uid) ? uid : 0;
	else if (str_caseeq(f->name, S("X-IMAPbase")) ||
		 str_caseeq(f->name, S("X-IMAP")))
		imap_base(im, f->value);
	else
		return length && str_caseeq(f->name, S("Content-Length"));
	return true;
}

static void
header_copy(struct import *im, str header, bool length,
    struct import_item *item, struct buf *out)
{
	struct field f;
	size_t at = 0, done = 0, start;

	while (mime_field_next(header, &at, &f)) {
		start = (size_t)(f.whole.p - header.p);
		if (!own_field(im, &f, length, item))
			continue;
		buf_add(out, header.p + done, start - done);
		done = start + f.whole.n;
	}
	buf_str_add(out, str_from(header, done));
}

/* (2) */
static void
unquote(str body, struct buf *out)
{
	while (body.n > 0) {
		size_t n = str_chr(body, '\n'), k = 0;
		str line = str_head(body, MIN(n + 1, body.n));

		while (k < line.n && line.p[k] == '>')
			k++;
		if (k > 0 && str_starts(str_from(line, k), S("From ")))
			buf_str_add(out, str_from(line, 1));
		else
			buf_str_add(out, line);
		body = str_from(body, line.n);
	}
}

/* The message that c-client keeps for itself at the start of a file. */
static bool
is_internal(str header)
{
	struct field f;

	return mime_field_find(header, S("X-IMAP"), &f) &&
	       mime_field_find(header, S("Subject"), &f) &&
	       str_starts(str_trim(f.value), S("DON'T DELETE THIS MESSAGE"));
}

bool
mbox_load(struct import *im, const struct import_box *b)
{
	struct mbox *m = x_alloc(sizeof(*m));
	struct field f;
	struct stat st;
	size_t at = 0;
	str header;

	im->mbox = m;
	m->base = im->done;
	m->own_fd = !im->root_is_file;
	m->fd = im->root_is_file ? im->root
				 : import_openat(im->root, b->path, O_RDONLY);
	if (m->fd < 0 || fstat(m->fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		m->own_fd = m->own_fd && m->fd >= 0;
		return false;
	}
	m->cl2 = is_cl2(m->fd);
	fill(m, 65536);
	/* Empty lines before the first From_ line are forgiven. */
	while (at < win_n(m) && line_at(m, at).n == 0)
		at = next_line(m, at);
	m->off += at;
	header = str_from(win_str(m), next_line(m, 0));
	header = str_head(header, mime_header_len(header));
	if (mime_field_find(header, S("X-IMAPbase"), &f) ||
	    mime_field_find(header, S("X-IMAP"), &f))
		imap_base(im, f.value);
	return true;
}

/* One message of the window; false: not one to be shown. */
static bool
take(struct import *im, struct mbox *m, struct import_item *item)
{
	struct extent x;
	struct stamp t;
	bool dated = false, ok;
	str header, body;

	if (!from_at(m, 0, &dated, &t))
		dated = false;
	extent_find(m, &x);
	header = str_of(win(m) + x.head, MIN(x.body, x.end) - x.head);
	body = str_of(win(m) + MIN(x.body, x.end), x.end - MIN(x.body, x.end));
	buf_reset(&im->raw);
	ok = !x.too_big && !is_internal(header);
	if (ok) {
		header_copy(im, header, x.length, item, &im->raw);
		if (m->cl2)
			buf_str_add(&im->raw, body);
		else
			unquote(body, &im->raw);
		import_crlf(buf_str(&im->raw), &im->text);
		if (dated)
			item->internaldate = t;
		else if (!import_received(
			     buf_str(&im->text), &item->internaldate))
			item->internaldate = os_now();
		ok = im->text.n > 0 && buf_ok(&im->text) && buf_ok(&im->raw);
	}
	if (x.too_big || x.head == x.end)
		im->skipped++;
	m->off += x.next;
	return ok;
}

bool
mbox_next(struct import *im, struct import_item *item)
{
	struct mbox *m = im->mbox;
	str name = item->mailbox;
	bool ok;

	for (;;) {
		fill(m, 1024);
		if (win_n(m) == 0)
			return false;
		*item = (struct import_item){
		    .mailbox = name, .uidvalidity = im->uidvalidity};
		ok = take(im, m, item);
		im->done = m->base + m->at - win_n(m);
		if (ok)
			return true;
		buf_reset(&im->text);
	}
}
