/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The short way of FETCH: what programs ask for when they show a list. All of
 * it stands in the entry, and in the summary's first fields in the form that
 * goes to the client, so a response is put together in one buffer, without
 * parsing, allocating or formatting by printf. The answer is octet for octet
 * what cmd_fetch.c would make.
 *
 * Header fields that the summary does not keep come from the header; then
 * nothing else may be asked for that does not stand in the entry.
 *
 * (1) A response is queued when it is whole, so one that fails leaves
 *     nothing, and the long way makes it, or says why not.
 */
#include "imap/fetch.h"

enum {
	LISTED = ITEM_UID | ITEM_FLAGS | ITEM_INTERNALDATE | ITEM_SIZE |
		 ITEM_ENVELOPE | ITEM_BODYSTRUCTURE,
	FIXED = 192, /* octets of names and numbers, at most */
	DATE_LEN = 28
};

struct fetch_list {
	struct session *s;
	const struct fetch_args *args;
	bool glance;       /* more than the entry is needed */
	bool header;       /* and that is the header */
	struct arena *ar;  /* for one header */
	struct buf text;   /* the response */
	bool whole;        /* it was queued */
	struct buf fields; /* of one part */
	str *names;        /* "BODY[HEADER.FIELDS (...)] {" of each part */
	/* "FLAGS (...)" of the last entry, and what it is for. */
	struct buf flags;
	uint64_t flags_of;
	bool flags_known, flags_recent;
	/* The last INTERNALDATE; a new one of the same day changes digits. */
	struct buf date;
	int64_t day;
	int zone;
};

/* Fields of the message's own header, whole. */
static bool
part_listed(const struct fetch_part *p)
{
	const struct imap_section *x = &p->section;

	return p->kind == ASKED_BODY && x->nparts == 0 && !x->partial &&
	       (x->text == SECTION_FIELDS || x->text == SECTION_FIELDS_NOT);
}

static bool
part_kept(const struct fetch_part *p)
{
	const struct imap_section *x = &p->section;

	if (x->text != SECTION_FIELDS)
		return false;
	for (size_t i = 0; i < x->nnames; i++) {
		if (!mime_field_kept(x->names[i]))
			return false;
	}
	return true;
}

struct fetch_list *
fetch_list_new(
    struct session *s, struct arena *ar, const struct fetch_args *args)
{
	struct fetch_list *l;
	struct buf b = {0};
	bool header = false;

	if (args->seen || (args->items & ~(unsigned)LISTED) != 0)
		return NULL;
	for (size_t i = 0; i < args->n; i++) {
		if (!part_listed(&args->parts[i]))
			return NULL;
		header = header || !part_kept(&args->parts[i]);
	}
	if (header && (args->items & (ITEM_ENVELOPE | ITEM_BODYSTRUCTURE)))
		return NULL;
	l = arena_new_of(ar, struct fetch_list);
	if (l == NULL)
		return NULL;
	l->s = s;
	l->args = args;
	l->glance =
	    args->n > 0 || (args->items & (ITEM_ENVELOPE | ITEM_BODYSTRUCTURE));
	l->header = header;
	if (header)
		l->ar = arena_new(0);
	l->names = arena_array(ar, args->n, sizeof(*l->names));
	for (size_t i = 0; i < args->n && l->names != NULL; i++) {
		buf_reset(&b);
		buf_s(&b, "BODY");
		fetch_section_name(&b, &args->parts[i].section);
		buf_s(&b, " {");
		l->names[i] = arena_dup(ar, buf_str(&b));
	}
	buf_free(&b);
	if (arena_failed(ar))
		fetch_list_free(&l);
	return l;
}

void
fetch_list_free(struct fetch_list **l)
{
	if (*l == NULL)
		return;
	buf_free(&(*l)->text);
	buf_free(&(*l)->fields);
	buf_free(&(*l)->flags);
	buf_free(&(*l)->date);
	if ((*l)->ar != NULL)
		arena_free(&(*l)->ar);
	*l = NULL;
}

/* ---- pieces: each ends with a SP ---- */

static char *
put_number(char *p, uint64_t v)
{
	char t[20];
	size_t at = sizeof(t);

	do {
		t[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	for (; at < sizeof(t); at++)
		*p++ = t[at];
	return p;
}

static char *
put_bytes(char *p, str s)
{
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return p + s.n;
}

static void
flags_ready(struct fetch_list *l, const struct entry *e)
{
	/* Keywords past the flag word are not told by it. */
	if (l->flags_known && l->flags_of == e->flags &&
	    l->flags_recent == e->recent && e->flags >> 63 == 0)
		return;
	buf_reset(&l->flags);
	put_flags(l->s, e, &l->flags);
	buf_c(&l->flags, ' ');
	l->flags_of = e->flags;
	l->flags_recent = e->recent;
	l->flags_known = true;
}

static void
date_ready(struct fetch_list *l, struct stamp t)
{
	int64_t local = t.sec + t.zone_min * 60;
	int64_t day = local / 86400;
	unsigned rest = (unsigned)(local - day * 86400);
	char *p;

	if (local < 0 || l->date.n != DATE_LEN || day != l->day ||
	    t.zone_min != l->zone) {
		buf_reset(&l->date);
		imap_put_date_time(&l->date, t);
		l->day = local < 0 ? INT64_MIN : day;
		l->zone = t.zone_min;
		return;
	}
	p = l->date.p + 13; /* "17-Jul-1996 hh:mm:ss */
	p[0] = (char)('0' + rest / 36000);
	p[1] = (char)('0' + rest / 3600 % 10);
	p[3] = (char)('0' + rest / 600 % 6);
	p[4] = (char)('0' + rest / 60 % 10);
	p[6] = (char)('0' + rest / 10 % 6);
	p[7] = (char)('0' + rest % 10);
}

/* "* n FETCH (" and what the entry holds. */
static char *
put_entry(struct fetch_list *l, const struct entry *e, char *p)
{
	unsigned items = l->args->items;

	p = put_bytes(p, S("* "));
	p = put_number(p, e->seq);
	p = put_bytes(p, S(" FETCH ("));
	if (items & ITEM_UID) {
		p = put_bytes(p, S("UID "));
		p = put_number(p, e->uid);
		*p++ = ' ';
	}
	if (items & ITEM_FLAGS)
		p = put_bytes(p, buf_str(&l->flags));
	if (items & ITEM_INTERNALDATE) {
		p = put_bytes(p, S("INTERNALDATE "));
		p = put_bytes(p, buf_str(&l->date));
		*p++ = ' ';
	}
	if (items & ITEM_SIZE) {
		p = put_bytes(p, S("RFC822.SIZE "));
		p = put_number(p, e->size);
		*p++ = ' ';
	}
	return p;
}

static void
put_part(struct fetch_list *l, size_t i, str header)
{
	const struct imap_section *x = &l->args->parts[i].section;
	struct buf *f = &l->fields;
	char *p;

	buf_reset(f);
	mime_header_fields(
	    header, x->names, x->nnames, x->text == SECTION_FIELDS_NOT, f);
	p = buf_room(&l->text, l->names[i].n + f->n + FIXED);
	if (p == NULL)
		return;
	p = put_bytes(p, l->names[i]);
	p = put_number(p, f->n);
	p = put_bytes(p, S("}\r\n"));
	p = put_bytes(p, buf_str(f));
	*p++ = ' ';
	l->text.n = (size_t)(p - l->text.p);
}

static bool
put_one(void *ctx, const struct entry *e, const struct glance *g)
{
	struct fetch_list *l = ctx;
	unsigned items = l->args->items;
	char *p;

	flags_ready(l, e);
	date_ready(l, e->internaldate);
	buf_reset(&l->text);
	p = buf_room(&l->text, FIXED + l->flags.n + l->date.n + g->envelope.n +
				   g->bodystructure.n);
	if (p == NULL)
		return false;
	p = put_entry(l, e, p);
	if (items & ITEM_ENVELOPE) {
		p = put_bytes(p, S("ENVELOPE "));
		p = put_bytes(p, g->envelope);
		*p++ = ' ';
	}
	if (items & ITEM_BODYSTRUCTURE) {
		p = put_bytes(p, S("BODYSTRUCTURE "));
		p = put_bytes(p, g->bodystructure);
		*p++ = ' ';
	}
	l->text.n = (size_t)(p - l->text.p);
	for (size_t i = 0; i < l->args->n; i++)
		put_part(l, i, g->fields);
	l->text.n--; /* the last SP */
	buf_s(&l->text, ")\r\n");
	l->whole = buf_ok(&l->text) && buf_ok(&l->fields);
	if (l->whole)
		out_str(l->s->conn, buf_str(&l->text));
	return l->whole && !out_full(l->s->conn);
}

static size_t
put_headers(struct fetch_list *l, const struct entry *e, size_t n)
{
	struct glance g = {0};
	size_t i = 0;
	bool more = true;

	for (; i < n && more; i++) {
		if (view_header(l->s->view, &e[i], l->ar, &g.fields) != OK)
			break;
		more = put_one(l, &e[i], &g);
		arena_reset(l->ar);
		if (!l->whole) /* too large for us: the long way */
			break;
	}
	return i;
}

size_t
fetch_list_put(struct fetch_list *l, const struct entry *e, size_t n)
{
	static const struct glance none;
	size_t i = 0;

	l->flags_known = false; /* others may have been at work */
	if (l->header)
		return put_headers(l, e, n);
	if (l->glance)
		return view_glances(
		    l->s->view, e, n, l->args->n > 0, put_one, l);
	while (i < n && put_one(l, &e[i++], &none))
		;
	return i;
}
