/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The summary of a message: making its stored form, and reading it.
 *
 * The stored form (docs/mime.md): a version byte, then fields, each a tag
 * byte, a length (variable) and as many bytes. A reader passes over tags that
 * it does not know.
 *
 * (1) The form may come from another process: each length, offset and
 *     number is checked by mime_summary_get, so that mime_part and all that
 *     use the summary need not.
 * (2) A folded text that stands within another is stored as its place
 *     there.
 */
#include "mime/mime_int.h"

#define VERSION 1
#define PART_BYTES 28
#define REFERENCES_MAX 1000

enum tag {
	TAG_NUMBERS = 1,
	TAG_ENVELOPE = 2,
	TAG_BODYSTRUCTURE = 3,
	TAG_FIELDS = 4,
	TAG_DATE = 5,
	TAG_MESSAGE_ID = 6,
	TAG_IN_REPLY_TO = 7,
	TAG_REFERENCES = 8,
	TAG_PARTS = 9,
	TAG_TEXT = 16,        /* + enum sum_text */
	TAG_TEXT_WITHIN = 32, /* + enum sum_text: which, offset, length */
};

/* ---- making ---- */

static void
put(struct buf *out, unsigned tag, str s)
{
	enc_u8(out, (uint8_t)tag);
	enc_str(out, s);
}

/* What is made of the header while its fields go by. */
struct header {
	struct scratch *s;
	struct buf fields;
	str first[F_MAX];
	/* All instances of a field of addresses, joined. */
	struct buf all[F_BCC + 1];
};

static void
read_header(struct header *h, str header)
{
	size_t at = 0;
	struct field f;

	mime_fields_of(header, h->first, h->all);
	while (mime_field_next(header, &at, &f))
		if (mime_field_kept(f.name))
			buf_str_add(&h->fields, f.whole);
}

/* Decoded, unfolded and folded. */
static void
fold_value(struct scratch *s, str raw, struct buf *out)
{
	if (raw.n == 0)
		return;
	buf_reset(&s->a);
	buf_reset(&s->b);
	mime_unfold(raw, &s->a);
	mime_decode_words(buf_str(&s->a), &s->b);
	utf8_fold(out, buf_str(&s->b));
}

static void
put_text(struct buf *out, enum sum_text t, struct buf *text)
{
	if (text->n > 0)
		put(out, TAG_TEXT + t, buf_str(text));
}

/* (2) */
static void
put_within(struct buf *out, enum sum_text t, const struct buf *text,
    enum sum_text in, const struct buf *whole)
{
	struct buf b = {0};
	size_t at;

	if (text->n == 0)
		return;
	at = str_find(buf_str(whole), buf_str(text));
	if (at == whole->n) {
		put(out, TAG_TEXT + t, buf_str(text));
		return;
	}
	enc_u8(&b, (uint8_t)in);
	enc_var(&b, at);
	enc_var(&b, text->n);
	put(out, TAG_TEXT_WITHIN + t, buf_str(&b));
	buf_free(&b);
}

static void
subject_texts(struct scratch *s, str subject, struct buf *out)
{
	struct buf whole = {0}, base = {0}, folded = {0};
	bool reply;

	fold_value(s, subject, &whole);
	/* s->b holds the decoded subject. */
	if (whole.n > 0) {
		mime_base_subject(buf_str(&s->b), &base, &reply);
		utf8_fold(&folded, buf_str(&base));
	}
	put_text(out, SUM_SUBJECT, &whole);
	put_within(out, SUM_BASE_SUBJECT, &folded, SUM_SUBJECT, &whole);
	buf_free(&whole);
	buf_free(&base);
	buf_free(&folded);
}

/* 'name <local@domain>, ...', as people type it to search for. */
static void
addresses_text(const struct address *v, size_t n, struct buf *out)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (v[i].local.p == NULL) {
			buf_s(out, ";");
			continue;
		}
		if (i > 0 && v[i - 1].domain.p != NULL)
			buf_s(out, ", ");
		else if (i > 0)
			buf_c(out, ' ');
		if (v[i].domain.p == NULL) {
			mime_decode_words(v[i].local, out);
			buf_c(out, ':');
			continue;
		}
		if (v[i].name.p != NULL) {
			mime_decode_words(v[i].name, out);
			buf_s(out, " <");
		}
		mime_decode_words(v[i].local, out);
		if (v[i].domain.n > 0) {
			buf_c(out, '@');
			mime_decode_words(v[i].domain, out);
		}
		if (v[i].name.p != NULL)
			buf_c(out, '>');
	}
}

/* RFC 5957: the name, or the address. */
static void
display(const struct address *a, struct buf *out)
{
	if (a->name.p != NULL) {
		mime_decode_words(a->name, out);
		return;
	}
	if (a->local.p == NULL)
		return;
	mime_decode_words(a->local, out);
	if (a->domain.p != NULL && a->domain.n > 0) {
		buf_c(out, '@');
		mime_decode_words(a->domain, out);
	}
}

static void
address_texts(struct scratch *s, str raw, enum sum_text whole_id,
    int mailbox_id, int display_id, struct buf *out)
{
	struct buf plain = {0}, whole = {0}, part = {0};
	struct address *v;
	size_t n;

	if (raw.n == 0)
		return;
	if (mime_addresses(s->arena, raw, &v, &n, ADDRESSES_MAX) != OK)
		n = 0;
	if (n > 0) {
		addresses_text(v, n, &plain);
		utf8_fold(&whole, buf_str(&plain));
	}
	put_text(out, whole_id, &whole);
	if (n > 0 && mailbox_id >= 0 && v[0].local.p != NULL) {
		buf_reset(&plain);
		mime_decode_words(v[0].local, &plain);
		utf8_fold(&part, buf_str(&plain));
		put_within(
		    out, (enum sum_text)mailbox_id, &part, whole_id, &whole);
	}
	if (n > 0 && display_id >= 0) {
		buf_reset(&plain);
		buf_reset(&part);
		display(&v[0], &plain);
		utf8_fold(&part, buf_str(&plain));
		put_within(
		    out, (enum sum_text)display_id, &part, whole_id, &whole);
	}
	buf_free(&plain);
	buf_free(&whole);
	buf_free(&part);
	arena_reset(s->arena);
}

struct ids {
	struct buf *out;
	size_t n, max;
};

static bool
add_id(void *ctx, str id)
{
	struct ids *c = ctx;

	if (c->n > 0)
		buf_c(c->out, '\0');
	buf_str_add(c->out, id);
	return ++c->n < c->max;
}

static bool
put_ids(struct scratch *s, struct buf *out, unsigned tag, str raw, size_t max)
{
	struct ids c = {&s->a, 0, max};

	if (raw.n == 0)
		return false;
	buf_reset(&s->a);
	mime_msg_ids(raw, add_id, &c);
	if (s->a.n == 0)
		return false;
	put(out, tag, buf_str(&s->a));
	return true;
}

static void
put_part(struct buf *b, const struct part *p)
{
	enc_u32(b, p->parent);
	enc_u32(b, p->header_at);
	enc_u32(b, p->header_len);
	enc_u32(b, p->body_len);
	enc_u32(b, p->body_lines);
	enc_u32(b, p->number);
	enc_u8(b, p->kind);
	enc_u8(b, p->encoding);
	enc_u8(b, p->flags);
	enc_u8(b, 0);
}

static void
put_tree(struct scratch *s, const struct tree *t, struct buf *out)
{
	struct buf *b = &s->c;
	size_t i;

	buf_reset(b);
	enc_u32(b, (uint32_t)t->message.n);
	enc_u32(b, t->v[0].part.header_len);
	enc_u32(b, t->v[0].part.body_lines);
	enc_u8(b, t->has_nul);
	put(out, TAG_NUMBERS, buf_str(b));
	s->addresses = ADDRESSES_MAX;
	buf_reset(b);
	mime_envelope(s, t->v[0].header, b);
	put(out, TAG_ENVELOPE, buf_str(b));
	s->addresses = ADDRESSES_MAX;
	buf_reset(b);
	mime_bodystructure(s, t, b);
	put(out, TAG_BODYSTRUCTURE, buf_str(b));
	buf_reset(b);
	for (i = 0; i < t->n; i++)
		put_part(b, &t->v[i].part);
}

static void
put_header(struct scratch *s, struct header *h, struct buf *out)
{
	struct stamp date;

	put(out, TAG_FIELDS, buf_str(&h->fields));
	if (mime_date(h->first[F_DATE], &date)) {
		struct buf b = {0};

		enc_zig(&b, date.sec);
		enc_zig(&b, date.zone_min);
		put(out, TAG_DATE, buf_str(&b));
		buf_free(&b);
	}
	if (!put_ids(s, out, TAG_MESSAGE_ID, h->first[F_MESSAGE_ID], 1)) {
		/* No id at all: what stands there is still its name. */
		buf_reset(&s->a);
		mime_unfold(h->first[F_MESSAGE_ID], &s->a);
		if (s->a.n > 0)
			put(out, TAG_MESSAGE_ID, buf_str(&s->a));
	}
	put_ids(s, out, TAG_IN_REPLY_TO, h->first[F_IN_REPLY_TO], 1);
	put_ids(s, out, TAG_REFERENCES, h->first[F_REFERENCES], REFERENCES_MAX);
}

static void
put_texts(struct scratch *s, struct header *h, struct buf *out)
{
	subject_texts(s, h->first[F_SUBJECT], out);
	address_texts(s, h->first[F_FROM], SUM_FROM, SUM_FROM_MAILBOX,
	    SUM_FROM_DISPLAY, out);
	address_texts(
	    s, h->first[F_TO], SUM_TO, SUM_TO_MAILBOX, SUM_TO_DISPLAY, out);
	address_texts(s, h->first[F_CC], SUM_CC, SUM_CC_MAILBOX, -1, out);
	address_texts(s, h->first[F_BCC], SUM_BCC, -1, -1, out);
}

enum err
mime_summarise(str message, struct buf *out)
{
	struct scratch s = {0};
	struct header h = {0};
	struct tree t = {0};
	size_t i;

	if (message.n > INT32_MAX)
		return ERR_TOOBIG;
	mime_tree(message, &t);
	s.arena = arena_new((size_t)limits.arena_max);
	h.s = &s;
	enc_u8(out, VERSION);
	put_tree(&s, &t, out);
	/* s.c holds the parts until they are put. */
	read_header(&h, t.v[0].header);
	put_header(&s, &h, out);
	put(out, TAG_PARTS, buf_str(&s.c));
	put_texts(&s, &h, out);
	buf_free(&h.fields);
	for (i = 0; i < NELEM(h.all); i++)
		buf_free(&h.all[i]);
	buf_free(&s.a);
	buf_free(&s.b);
	buf_free(&s.c);
	arena_free(&s.arena);
	tree_free(&t);
	return buf_ok(out) ? OK : ERR_NOMEM;
}

/* ---- reading ---- */

static bool
get_numbers(str v, struct summary *s)
{
	struct dec d = dec_of(v);
	uint8_t flags;

	s->size = dec_u32(&d);
	s->header_size = dec_u32(&d);
	s->lines = dec_u32(&d);
	flags = dec_u8(&d);
	s->has_nul = (flags & 1) != 0;
	return dec_end(&d) && s->size <= INT32_MAX &&
	       s->header_size <= s->size && s->lines <= s->size && flags <= 1;
}

static bool
get_date(str v, struct summary *s)
{
	struct dec d = dec_of(v);
	int64_t sec = dec_zig(&d), zone = dec_zig(&d);

	s->has_date = true;
	s->date.sec = sec;
	s->date.zone_min = (int16_t)zone;
	return dec_end(&d) && zone >= -1439 && zone <= 1439 &&
	       sec >= -62135596800 - 86400 && sec <= 253402300799 + 86400;
}

static bool
get_within(str v, unsigned t, struct summary *s)
{
	struct dec d = dec_of(v);
	unsigned in = dec_u8(&d);
	uint64_t at = dec_var(&d), n = dec_var(&d);

	if (!dec_end(&d) || in >= SUM_TEXT_MAX)
		return false;
	if (at > s->text[in].n || n > s->text[in].n - at)
		return false;
	if (n > 0)
		s->text[t] = str_of(s->text[in].p + at, (size_t)n);
	return true;
}

static bool
get_field(unsigned tag, str v, struct summary *s)
{
	switch (tag) {
	case TAG_NUMBERS:
		return get_numbers(v, s);
	case TAG_ENVELOPE:
		s->envelope = v;
		return true;
	case TAG_BODYSTRUCTURE:
		s->bodystructure = v;
		return true;
	case TAG_FIELDS:
		s->fields = v;
		return true;
	case TAG_DATE:
		return get_date(v, s);
	case TAG_MESSAGE_ID:
		s->message_id = v;
		return true;
	case TAG_IN_REPLY_TO:
		s->in_reply_to = v;
		return true;
	case TAG_REFERENCES:
		s->references = v;
		return true;
	case TAG_PARTS:
		s->part_table = v;
		s->parts = (uint32_t)(v.n / PART_BYTES);
		return v.n % PART_BYTES == 0 && v.n > 0;
	}
	if (tag >= TAG_TEXT && tag < TAG_TEXT + SUM_TEXT_MAX)
		s->text[tag - TAG_TEXT] = v;
	else if (tag >= TAG_TEXT_WITHIN && tag < TAG_TEXT_WITHIN + SUM_TEXT_MAX)
		return get_within(v, tag - TAG_TEXT_WITHIN, s);
	return true;
}

static bool
within(const struct part *p, const struct part *parent)
{
	return p->header_at >= parent->body_at &&
	       p->body_at + p->body_len <= parent->body_at + parent->body_len;
}

/* (1): the parts are a tree, in order, each within its parent. */
static bool
parts_valid(const struct summary *s)
{
	struct part p, parent;
	uint32_t i;
	uint64_t end;

	for (i = 0; mime_part(s, i, &p); i++) {
		end = (uint64_t)p.header_at + p.header_len + p.body_len;
		if (end > s->size || p.body_lines > p.body_len ||
		    p.kind > PART_MESSAGE || p.encoding > CTE_UNKNOWN)
			return false;
		if (i == 0) {
			if (p.parent != 0 || p.number != 0 ||
			    p.header_at != 0 || p.header_len != s->header_size)
				return false;
			continue;
		}
		if (p.parent >= i || p.number == 0 || p.number > i)
			return false;
		mime_part(s, p.parent, &parent);
		if (parent.kind == PART_MESSAGE
			? p.parent != i - 1 || p.number != 1
			: parent.kind != PART_MULTIPART)
			return false;
		if (!within(&p, &parent))
			return false;
	}
	return true;
}

/* A PART_MESSAGE is followed by its child: what reads it relies on that. */
static bool
messages_valid(const struct summary *s)
{
	struct part p, child;
	uint32_t i;

	for (i = 0; mime_part(s, i, &p); i++)
		if (p.kind == PART_MESSAGE &&
		    (!mime_part(s, i + 1, &child) || child.parent != i))
			return false;
	return true;
}

enum err
mime_summary_get(str stored, struct summary *s)
{
	struct dec d;
	unsigned tag;
	uint64_t seen = 0;
	str v;

	memset(s, 0, sizeof(*s));
	if (stored.n == 0)
		return ERR_CORRUPT;
	d = dec_of(stored);
	if (dec_u8(&d) != VERSION)
		return ERR_CORRUPT;
	while (dec_left(&d) > 0) {
		tag = dec_u8(&d);
		v = dec_str(&d);
		if (d.bad || tag == 0 || !get_field(tag, v, s))
			return ERR_CORRUPT;
		if (tag >= 64)
			continue;
		if (seen >> tag & 1)
			return ERR_CORRUPT;
		seen |= (uint64_t)1 << tag;
	}
	if (!dec_end(&d) || !(seen >> TAG_NUMBERS & 1) ||
	    !(seen >> TAG_ENVELOPE & 1) || !(seen >> TAG_BODYSTRUCTURE & 1) ||
	    !(seen >> TAG_PARTS & 1))
		return ERR_CORRUPT;
	return parts_valid(s) && messages_valid(s) ? OK : ERR_CORRUPT;
}

/* A length and as many bytes behind tag. */
static bool
head_field(str *rest, unsigned tag, str *v)
{
	const unsigned char *p = (const unsigned char *)rest->p;
	size_t i = 1, n;

	if (rest->n < 3 || p[0] != tag)
		return false;
	n = p[i++];
	if (n >= 0x80) {
		n = (n & 0x7f) | (size_t)p[i] << 7;
		if (p[i++] >= 0x80) /* 16 KiB and more */
			return false;
	}
	if (n > rest->n - i)
		return false;
	*v = str_of(rest->p + i, n);
	*rest = str_from(*rest, i + n);
	return true;
}

bool
mime_summary_head(str stored, str *envelope, str *bodystructure, str *fields)
{
	str rest = str_from(stored, 1), numbers;

	return stored.n > 0 && stored.p[0] == VERSION &&
	       head_field(&rest, TAG_NUMBERS, &numbers) &&
	       head_field(&rest, TAG_ENVELOPE, envelope) &&
	       head_field(&rest, TAG_BODYSTRUCTURE, bodystructure) &&
	       (fields == NULL || head_field(&rest, TAG_FIELDS, fields));
}

bool
mime_summary_cut(str stored, str cut[3])
{
	str rest = str_from(stored, 1), v;
	const char *fields;

	if (stored.n == 0 || stored.p[0] != VERSION ||
	    !head_field(&rest, TAG_NUMBERS, &v) ||
	    !head_field(&rest, TAG_ENVELOPE, &v) ||
	    !head_field(&rest, TAG_BODYSTRUCTURE, &v))
		return false;
	fields = rest.p;
	if (!head_field(&rest, TAG_FIELDS, &v))
		return false;
	cut[0] = str_of(stored.p, (size_t)(fields - stored.p));
	cut[1] = str_of(fields, (size_t)(rest.p - fields));
	cut[2] = rest;
	return true;
}

bool
mime_part(const struct summary *s, uint32_t i, struct part *p)
{
	struct dec d;

	if (i >= s->parts)
		return false;
	d = dec_of(
	    str_of(s->part_table.p + (size_t)i * PART_BYTES, PART_BYTES));
	p->parent = dec_u32(&d);
	p->header_at = dec_u32(&d);
	p->header_len = dec_u32(&d);
	if (i == 0)
		p->header_len += s->shift;
	else
		p->header_at += s->shift;
	p->body_len = dec_u32(&d);
	p->body_lines = dec_u32(&d);
	p->number = dec_u32(&d);
	p->body_at = p->header_at + p->header_len;
	p->kind = dec_u8(&d);
	p->encoding = dec_u8(&d);
	p->flags = dec_u8(&d);
	return true;
}

/* The child of parts[i] with that number; i of it. */
static bool
child(const struct summary *s, uint32_t i, uint32_t number, struct part *p,
    uint32_t *index)
{
	uint32_t k;

	for (k = i + 1; mime_part(s, k, p) && p->parent >= i; k++) {
		if (p->parent == i && p->number == number) {
			*index = k;
			return true;
		}
	}
	return false;
}

bool
mime_part_find(const struct summary *s, const uint32_t *section, size_t n,
    struct part *p, uint32_t *index)
{
	size_t i;
	bool message = true; /* *index is a message, its header its own */

	*index = 0;
	if (!mime_part(s, 0, p))
		return false;
	for (i = 0; i < n; i++) {
		if (!message && p->kind == PART_MESSAGE) {
			/* Into the enclosed message. */
			if (!mime_part(s, ++*index, p))
				return false;
			message = true;
		}
		if (p->kind == PART_MULTIPART) {
			if (!child(s, *index, section[i], p, index))
				return false;
		} else if (!message || section[i] != 1) {
			return false;
		}
		message = false;
	}
	return true;
}
