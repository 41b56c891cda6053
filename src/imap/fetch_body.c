/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Parts of messages: BODY[...], RFC822, BINARY[...] (RFC 3516). Bodies are
 * referred to, not copied; a header comes from the summary when the
 * summary keeps all the fields that are asked for.
 */
#include "imap/fetch.h"

/* A header or a decoded part longer than this is handed over as a source
 * of its own, so that it is not copied once more. */
enum { OWN_SOURCE = 65536 };
/* Octets of messages in memory that may wait for the peer. */
enum { WAITING_MAX = 65536 };

enum err
fetched_summary(struct fetched *m)
{
	enum err e = OK;

	if (!m->has_summary)
		e = view_summary(m->s->view, m->e, m->ar, &m->summary);
	m->has_summary = e == OK;
	return e;
}

static enum err
open_source(struct fetched *m)
{
	return m->src != NULL ? OK : view_source(m->s->view, m->e, &m->src);
}

/* True when the message is in memory: it is small, and there is room for it
 * in what may wait for the peer. */
static bool
whole(struct fetched *m)
{
	uint32_t header_size;

	if (m->tried_whole)
		return m->has_whole;
	m->tried_whole = true;
	if (m->src != NULL || m->e->size > TEXT_MAX ||
	    out_queued(m->s->conn) + m->text.n + m->e->size > WAITING_MAX)
		return false;
	m->has_whole =
	    view_text(m->s->view, m->e, &m->whole, &header_size) == OK &&
	    m->whole.n == m->e->size;
	return m->has_whole;
}

void
fetched_send(struct fetched *m)
{
	size_t done = 0;

	for (size_t i = 0; i < m->nrefs; i++) {
		struct fetch_ref *r = &m->refs[i];

		out_add(m->s->conn, m->text.p + done, r->at - done);
		done = r->at;
		out_ref(m->s->conn, r->src, r->from, r->n);
	}
	out_add(m->s->conn, m->text.p + done, m->text.n - done);
}

void
fetched_free(struct fetched *m)
{
	for (size_t i = 0; i < m->nrefs; i++)
		source_unref(&m->refs[i].src);
	m->nrefs = 0;
	m->refs = NULL;
	m->refcap = 0;
	source_unref(&m->src);
	buf_reset(&m->text);
	buf_reset(&m->whole);
	arena_reset(m->ar);
	m->has_summary = m->has_whole = m->tried_whole = false;
}

void
fetched_rest(struct fetched *m)
{
	buf_free(&m->text);
	buf_free(&m->whole);
}

/* ---- putting octets ---- */

/* Cuts from..n of a text of size octets to what "<from.len>" asks for. */
static void
cut(const struct imap_section *x, uint64_t size, uint64_t *from, uint64_t *n)
{
	*from = 0;
	*n = size;
	if (!x->partial)
		return;
	*from = MIN(x->from, size);
	*n = MIN(x->len, size - *from);
}

static enum err
put_ref(struct fetched *m, struct source *src, uint64_t from, uint64_t n)
{
	if (from > src->size || n > src->size - from)
		return ERR_CORRUPT;
	if (n == 0)
		return OK;
	if (!ARENA_PUSH(m->ar, m->refs, m->nrefs, m->refcap))
		return ERR_NOMEM;
	m->refs[m->nrefs++] =
	    (struct fetch_ref){m->text.n, source_ref(src), from, n};
	return OK;
}

static void
put_size(struct fetched *m, uint64_t n, bool literal8)
{
	buf_str_add(&m->text, literal8 ? S(" ~{") : S(" {"));
	buf_u64(&m->text, n);
	buf_s(&m->text, "}\r\n");
}

/* n octets of the message from at on. */
static enum err
put_span(struct fetched *m, const struct imap_section *x, uint64_t at,
    uint64_t n, bool literal8)
{
	uint64_t from, len;
	enum err e = OK;

	cut(x, n, &from, &len);
	if (whole(m) && at <= m->whole.n && n <= m->whole.n - at) {
		put_size(m, len, literal8);
		buf_add(&m->text, m->whole.p + at + from, len);
		return OK;
	}
	if ((e = open_source(m)) != OK)
		return e;
	put_size(m, len, literal8);
	return put_ref(m, m->src, at + from, len);
}

/* Octets in memory; b is taken. literal8: if there is a NUL in them. */
static enum err
put_buf(struct fetched *m, const struct imap_section *x, struct buf *b,
    bool literal8)
{
	uint64_t from, n;
	enum err e = OK;

	cut(x, b->n, &from, &n);
	if (literal8)
		literal8 = n > 0 && memchr(b->p + from, '\0', n) != NULL;
	put_size(m, n, literal8);
	if (n > OWN_SOURCE) {
		struct source *src = source_of_buf(b);

		e = put_ref(m, src, from, n);
		source_unref(&src);
	} else if (n > 0) {
		buf_add(&m->text, b->p + from, n);
	}
	buf_free(b);
	return e;
}

static enum err
put_str(struct fetched *m, const struct imap_section *x, str s)
{
	struct buf b = {0};

	buf_str_add(&b, s);
	return buf_ok(&b) ? put_buf(m, x, &b, false) : ERR_NOMEM;
}

static enum err
put_nil(struct fetched *m)
{
	buf_s(&m->text, " NIL");
	return OK;
}

/* ---- finding the part ---- */

struct span {
	uint64_t at, n;
};

/* The octets that a section's numbers and text name, in the message.
 * false: there is no such part. */
static bool
find_part(struct fetched *m, const struct imap_section *x, struct part *p,
    uint32_t *index)
{
	return mime_part_find(&m->summary, x->part, x->nparts, p, index);
}

/* The header of the message that section [n.HEADER...] or [HEADER...] is
 * about, or its text with text. */
static bool
find_enclosed(
    struct fetched *m, const struct imap_section *x, bool text, struct span *sp)
{
	struct part p;
	uint32_t index;

	if (x->nparts == 0) {
		uint64_t header = m->summary.header_size;

		sp->at = text ? header : 0;
		sp->n = text ? m->summary.size - header : header;
		return true;
	}
	if (!find_part(m, x, &p, &index) || p.kind != PART_MESSAGE ||
	    !mime_part(&m->summary, index + 1, &p))
		return false;
	sp->at = text ? p.body_at : p.header_at;
	sp->n = text ? p.body_len : p.header_len;
	return true;
}

static bool
find_span(struct fetched *m, const struct imap_section *x, struct span *sp)
{
	struct part p;
	uint32_t index;

	if (x->text == SECTION_HEADER || x->text == SECTION_TEXT)
		return find_enclosed(m, x, x->text == SECTION_TEXT, sp);
	if (x->nparts == 0) {
		*sp = (struct span){0, m->e->size};
		return true;
	}
	if (!find_part(m, x, &p, &index))
		return false;
	if (x->text == SECTION_MIME)
		*sp = (struct span){p.header_at, p.header_len};
	else
		*sp = (struct span){p.body_at, p.body_len};
	return true;
}

/* ---- headers ---- */

static enum err
read_span(struct fetched *m, struct span sp, str *out)
{
	char *p = arena_alloc(m->ar, sp.n);
	enum err e = open_source(m);

	if (e != OK)
		return e;
	if (p == NULL)
		return ERR_NOMEM;
	if (sp.at > m->src->size || sp.n > m->src->size - sp.at)
		return ERR_CORRUPT;
	e = m->src->ops->read(m->src, sp.at, p, sp.n);
	*out = (str){p, sp.n};
	return e;
}

static bool
all_kept(const struct imap_section *x)
{
	if (x->text != SECTION_FIELDS)
		return false;
	for (size_t i = 0; i < x->nnames; i++) {
		if (!mime_field_kept(x->names[i]))
			return false;
	}
	return true;
}

/* The header text to pick fields from; *nil: there is none. */
static enum err
header_text(
    struct fetched *m, const struct imap_section *x, str *header, bool *nil)
{
	struct span sp;

	*nil = false;
	if (x->nparts == 0) {
		if (all_kept(x)) {
			*header = m->summary.fields;
			return OK;
		}
		return view_header(m->s->view, m->e, m->ar, header);
	}
	if (!find_enclosed(m, x, false, &sp)) {
		*nil = true;
		return OK;
	}
	return read_span(m, sp, header);
}

static enum err
put_fields(struct fetched *m, const struct imap_section *x)
{
	struct buf b = {0};
	bool nil;
	str header;
	enum err e = header_text(m, x, &header, &nil);

	if (e != OK)
		return e;
	if (nil)
		return put_nil(m);
	mime_header_fields(
	    header, x->names, x->nnames, x->text == SECTION_FIELDS_NOT, &b);
	if (!buf_ok(&b)) {
		buf_free(&b);
		return ERR_NOMEM;
	}
	return put_buf(m, x, &b, false);
}

static enum err
put_header(struct fetched *m, const struct imap_section *x)
{
	str header;
	enum err e = view_header(m->s->view, m->e, m->ar, &header);

	return e != OK ? e : put_str(m, x, header);
}

/* ---- BODY[...] ---- */

void
fetch_section_name(struct buf *b, const struct imap_section *x)
{
	static const char *const names[] = {[SECTION_ALL] = "",
	    [SECTION_HEADER] = "HEADER",
	    [SECTION_FIELDS] = "HEADER.FIELDS",
	    [SECTION_FIELDS_NOT] = "HEADER.FIELDS.NOT",
	    [SECTION_TEXT] = "TEXT",
	    [SECTION_MIME] = "MIME"};

	buf_c(b, '[');
	for (size_t i = 0; i < x->nparts; i++) {
		if (i > 0)
			buf_c(b, '.');
		buf_u64(b, x->part[i]);
	}
	if (x->nparts > 0 && x->text != SECTION_ALL)
		buf_c(b, '.');
	buf_str_add(b, str_c(names[x->text]));
	for (size_t i = 0; i < x->nnames; i++) {
		buf_str_add(b, i == 0 ? S(" (") : S(" "));
		imap_put_astring(b, x->names[i], false);
	}
	if (x->nnames > 0)
		buf_c(b, ')');
	buf_c(b, ']');
	if (x->partial)
		buf_f(b, "<%llu>", (unsigned long long)x->from);
}

static enum err
put_section(struct fetched *m, const struct imap_section *x)
{
	struct span sp;

	if (x->text == SECTION_FIELDS || x->text == SECTION_FIELDS_NOT)
		return put_fields(m, x);
	if (x->text == SECTION_HEADER && x->nparts == 0)
		return put_header(m, x);
	if (!find_span(m, x, &sp))
		return put_nil(m);
	return put_span(m, x, sp.at, sp.n, false);
}

/* ---- BINARY[...] ---- */

/* What BINARY[...] names: octets as they stand (then *b is empty), or
 * decoded ones. *nil: no such part. */
static enum err
binary_of(struct fetched *m, const struct imap_section *x, struct span *sp,
    struct buf *b, bool *decoded, bool *nil)
{
	struct part p = {0};
	uint32_t index;
	str body;
	enum err e;

	*nil = false;
	*decoded = false;
	if (x->nparts == 0) {
		*sp = (struct span){0, m->summary.size};
		return OK;
	}
	if (!find_part(m, x, &p, &index)) {
		*nil = true;
		return OK;
	}
	*sp = (struct span){p.body_at, p.body_len};
	if (p.kind == PART_MULTIPART || p.kind == PART_MESSAGE)
		return OK;
	if (p.encoding == CTE_UNKNOWN) {
		m->unknown_cte = true;
		*nil = true;
		return OK;
	}
	if (p.encoding == CTE_7BIT || p.encoding == CTE_8BIT ||
	    p.encoding == CTE_BINARY)
		return OK;
	*decoded = true;
	if ((e = read_span(m, *sp, &body)) != OK)
		return e;
	e = mime_decode(body, (enum cte)p.encoding, b);
	return e == OK && !buf_ok(b) ? ERR_NOMEM : e;
}

static enum err
put_binary(struct fetched *m, const struct imap_section *x)
{
	struct span sp;
	struct buf b = {0};
	bool decoded, nil;
	bool nul = false;
	str raw;
	enum err e = binary_of(m, x, &sp, &b, &decoded, &nil);

	if (e == OK && nil)
		e = put_nil(m);
	else if (e == OK && decoded)
		return put_buf(m, x, &b, true);
	else if (e == OK) {
		if (m->summary.has_nul && (e = read_span(m, sp, &raw)) == OK)
			nul = str_chr(raw, '\0') < raw.n;
		if (e == OK)
			e = put_span(m, x, sp.at, sp.n, nul);
	}
	buf_free(&b);
	return e;
}

static enum err
put_binary_size(struct fetched *m, const struct imap_section *x)
{
	struct span sp;
	struct buf b = {0};
	bool decoded, nil;
	enum err e = binary_of(m, x, &sp, &b, &decoded, &nil);

	if (e == OK) {
		buf_c(&m->text, ' ');
		buf_u64(&m->text, nil ? 0 : decoded ? b.n : sp.n);
	}
	buf_free(&b);
	return e;
}

/* ---- all of them ---- */

/* BODY[] and RFC822: no summary is needed for them. */
static bool
is_all(const struct fetch_part *part)
{
	return part->kind == ASKED_RFC822 ||
	       (part->kind == ASKED_BODY && part->section.nparts == 0 &&
		   part->section.text == SECTION_ALL);
}

enum err
fetch_part_put(struct fetched *m, const struct fetch_part *part)
{
	static const struct imap_section all = {.text = SECTION_ALL};
	static const struct imap_section text = {.text = SECTION_TEXT};
	static const struct imap_section header = {.text = SECTION_HEADER};
	enum err e;

	if (!is_all(part) && (e = fetched_summary(m)) != OK)
		return e;
	buf_c(&m->text, ' ');
	switch (part->kind) {
	case ASKED_RFC822:
		buf_s(&m->text, "RFC822");
		return put_section(m, &all);
	case ASKED_RFC822_HEADER:
		buf_s(&m->text, "RFC822.HEADER");
		return put_section(m, &header);
	case ASKED_RFC822_TEXT:
		buf_s(&m->text, "RFC822.TEXT");
		return put_section(m, &text);
	case ASKED_BINARY:
		buf_s(&m->text, "BINARY");
		fetch_section_name(&m->text, &part->section);
		return put_binary(m, &part->section);
	case ASKED_BINARY_SIZE:
		buf_s(&m->text, "BINARY.SIZE");
		fetch_section_name(&m->text, &part->section);
		return put_binary_size(m, &part->section);
	case ASKED_BODY:
		break;
	}
	buf_s(&m->text, "BODY");
	fetch_section_name(&m->text, &part->section);
	return put_section(m, &part->section);
}
