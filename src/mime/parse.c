/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The tree of parts of a message.
 *
 * One pass over the lines. The open multiparts stand on a stack, and in a
 * table by the hash of their boundary, so that a line costs the same however
 * deep it lies.
 *
 * (1) A delimiter is a whole line: "--", the boundary, "--" perhaps, white
 *     space. So no boundary is the prefix of another. The innermost
 *     multipart with that boundary is meant.
 * (2) The line end before a delimiter is part of it.
 * (3) A delimiter of an outer multipart ends all inner ones. The close
 *     delimiter takes its multipart off the stack: what follows is epilogue.
 * (4) Past mime_depth_max levels, mime_parts_max parts or
 *     PART_HEADERS_FACTOR * header_max bytes of part headers nothing more is
 *     described; delimiters still end what is open.
 * (5) Parts are made in the order of their place, depth first; a child lies
 *     within its parent's body, siblings do not overlap.
 */
#include "mime/mime_int.h"

#define BUCKETS 256

/* A multipart whose boundary is looked for. */
struct open {
	uint32_t node;
	str boundary;
	uint64_t hash;
	uint32_t next; /* index + 1 of the outer one in the bucket */
};

struct parse {
	struct tree *t;
	struct arena *arena; /* boundaries out of quoted strings */
	const char *start, *p, *end;
	struct open *stack;
	size_t depth, stack_cap;
	uint32_t bucket[BUCKETS];
	size_t longest;      /* boundary that was ever open */
	uint32_t cur;        /* innermost part that has not ended */
	size_t headers_left; /* (4) */
};

/* A line that may be a delimiter, taken apart. */
struct delim {
	size_t index; /* on the stack */
	bool close;
};

static uint32_t
at(const struct parse *s, const char *p)
{
	return (uint32_t)(p - s->start);
}

static void
push(struct parse *s, uint32_t node, str boundary)
{
	struct open *o;
	uint32_t *b;

	if (s->depth == s->stack_cap) {
		s->stack_cap = s->stack_cap == 0 ? 16 : s->stack_cap * 2;
		s->stack = x_grow(s->stack, s->stack_cap, sizeof(*s->stack));
	}
	o = &s->stack[s->depth++];
	o->node = node;
	o->boundary = boundary;
	o->hash = hash_keyed(boundary);
	b = &s->bucket[o->hash % BUCKETS];
	o->next = *b;
	*b = (uint32_t)s->depth;
	s->longest = MAX(s->longest, boundary.n);
}

static void
pop(struct parse *s)
{
	struct open *o = &s->stack[--s->depth];

	s->bucket[o->hash % BUCKETS] = o->next;
}

/* The innermost open multipart with that boundary: its place on the
 * stack + 1, or 0. */
static uint32_t
find(const struct parse *s, str boundary)
{
	uint64_t h;
	uint32_t i;

	if (boundary.n > s->longest)
		return 0;
	h = hash_keyed(boundary);
	for (i = s->bucket[h % BUCKETS]; i != 0; i = s->stack[i - 1].next)
		if (s->stack[i - 1].hash == h &&
		    str_eq(s->stack[i - 1].boundary, boundary))
			return i;
	return 0;
}

/* Is the line p..end (with its line end) a delimiter? (1) */
static bool
delimiter(
    const struct parse *s, const char *p, const char *end, struct delim *d)
{
	str line;
	uint32_t exact, closing = 0;

	if (s->depth == 0 || end - p < 2 || p[0] != '-' || p[1] != '-')
		return false;
	p += 2;
	while (end > p && is_lwsp(end[-1]))
		end--;
	line = str_of(p, (size_t)(end - p));
	exact = find(s, line);
	if (line.n >= 2 && line.p[line.n - 1] == '-' &&
	    line.p[line.n - 2] == '-')
		closing = find(s, str_head(line, line.n - 2));
	if (exact == 0 && closing == 0)
		return false;
	d->close = closing > exact;
	d->index = MAX(closing, exact) - 1;
	return true;
}

static struct node *
new_node(struct parse *s, uint32_t parent)
{
	struct tree *t = s->t;
	struct node *n;

	if (t->n == t->cap) {
		t->cap = t->cap == 0 ? 8 : t->cap * 2;
		t->v = x_grow(t->v, t->cap, sizeof(*t->v));
	}
	n = &t->v[t->n];
	memset(n, 0, sizeof(*n));
	n->part.parent = parent;
	if (t->n > 0) {
		n->level = t->v[parent].level + 1;
		n->part.number = ++t->v[parent].children;
	}
	t->n++;
	return n;
}

/* The fields of a part's header that describe it. */
static void
read_fields(struct node *n)
{
	size_t pos = 0;
	struct field f;
	enum field_id id;

	while (mime_field_next(n->header, &pos, &f)) {
		if (f.name.n < 10 || lower(f.name.p[0]) != 'c')
			continue;
		id = mime_field_id(f.name);
		if (id >= F_TYPE && id < F_KEPT && n->field[id].p == NULL)
			n->field[id] = f.value;
	}
}

/* "type/subtype" out of a Content-Type value. What cannot be read is
 * text/plain (RFC 2045 5.2), a lone type apart that tells something. */
static bool
split_type(str value, str *type, str *sub)
{
	const char *p, *end, *q;

	if (value.n == 0)
		return false;
	end = value.p + value.n;
	p = mime_skip_cfws(value.p, end);
	for (q = p; q < end && is_token_char((unsigned char)*q);)
		q++;
	*type = str_of(p, (size_t)(q - p));
	p = mime_skip_cfws(q, end);
	if (type->n == 0 || p == end || *p != '/')
		return false;
	p = mime_skip_cfws(p + 1, end);
	for (q = p; q < end && is_token_char((unsigned char)*q);)
		q++;
	*sub = str_of(p, (size_t)(q - p));
	return sub->n > 0;
}

static bool
is_attachment(str disposition)
{
	const char *p, *end;

	if (disposition.n == 0)
		return false;
	end = disposition.p + disposition.n;
	p = mime_skip_cfws(disposition.p, end);
	return str_casestarts(str_of(p, (size_t)(end - p)), S("attachment"));
}

static void
interpret(struct node *n, bool digest)
{
	struct part *p = &n->part;
	str token;

	if (!split_type(n->field[F_TYPE], &n->type, &n->subtype)) {
		bool message = digest && n->field[F_TYPE].p == NULL;

		n->type = message ? S("message") : S("text");
		n->subtype = message ? S("rfc822") : S("plain");
		/* Its parameters are not to be trusted either. */
		n->field[F_TYPE] = STR_NONE;
	}
	p->kind = PART_LEAF;
	if (str_caseeq(n->type, S("text"))) {
		p->kind = PART_TEXT;
		if (str_caseeq(n->subtype, S("html")))
			p->flags |= PART_HTML;
	} else if (str_caseeq(n->type, S("multipart"))) {
		p->kind = PART_MULTIPART;
		n->digest = str_caseeq(n->subtype, S("digest"));
	} else if (str_caseeq(n->type, S("message")) &&
		   (str_caseeq(n->subtype, S("rfc822")) ||
		       str_caseeq(n->subtype, S("global")))) {
		p->kind = PART_MESSAGE;
	}
	p->encoding = (uint8_t)mime_cte(n->field[F_ENCODING], &token);
	if (is_attachment(n->field[F_DISPOSITION]))
		p->flags |= PART_ATTACHMENT;
}

/* Finds the end of the header that starts at s->p, and moves there. A
 * delimiter ends it too, and stays. */
static void
header_end(struct parse *s, bool top)
{
	const char *p = s->p, *end = s->end, *lf;
	struct delim d;
	size_t n = 0;

	if (top) {
		n = mime_header_len(str_of(p, (size_t)(end - p)));
		for (; (lf = memchr(p, '\n', (size_t)(s->p + n - p))) != NULL;
		     p = lf + 1)
			s->t->lines++;
		s->p += n;
		return;
	}
	if ((size_t)(end - p) > limits.header_max)
		end = p + limits.header_max;
	while (p < end) {
		lf = memchr(p, '\n', (size_t)(end - p));
		if (lf == NULL) {
			p = end;
			break;
		}
		if (*p == '-' && delimiter(s, p, lf + 1, &d))
			break;
		n = *p == '\r' || *p == '\n' ? mime_empty_line(p, end) : 0;
		s->t->lines++;
		p = lf + 1;
		if (n > 0)
			break;
	}
	if (n == 0 && p == end && end < s->end)
		limit_hit(LIMIT_header_max, STR_NONE);
	s->p = p;
}

static str
boundary_of(struct parse *s, const struct node *n)
{
	struct param *v;
	size_t count, i;
	str type, b;

	if (mime_params_raw(s->arena, n->field[F_TYPE], &type, &v, &count) !=
	    OK)
		return STR_NONE;
	for (i = 0; i < count; i++) {
		if (!str_eq(v[i].name, S("boundary")) || v[i].value.p == NULL)
			continue;
		b = v[i].value;
		while (b.n > 0 && is_lwsp(b.p[b.n - 1]))
			b.n--;
		return b;
	}
	return STR_NONE;
}

/* No part may be added below n: (4). */
static bool
at_bound(const struct parse *s, const struct node *n)
{
	if (s->t->n >= limits.mime_parts_max)
		limit_hit(LIMIT_mime_parts_max, STR_NONE);
	else if (n->level >= limits.mime_depth_max)
		limit_hit(LIMIT_mime_depth_max, STR_NONE);
	else
		return s->headers_left == 0;
	return true;
}

/* A part starts at s->p: its header, and those of the messages it holds. */
static void
begin(struct parse *s, uint32_t parent)
{
	struct node *n;
	bool top = s->t->n == 0, digest = !top && s->t->v[parent].digest;
	uint32_t index;
	size_t used;
	str b;

	for (;;) {
		n = new_node(s, parent);
		index = (uint32_t)(n - s->t->v);
		n->part.header_at = at(s, s->p);
		n->header.p = s->p;
		header_end(s, top);
		n->header.n = (size_t)(s->p - n->header.p);
		n->part.header_len = (uint32_t)n->header.n;
		n->part.body_at = at(s, s->p);
		n->part.body_lines = s->t->lines; /* made a difference later */
		used = top ? 0 : n->header.n;
		s->headers_left -= MIN(used, s->headers_left);
		read_fields(n);
		interpret(n, digest);
		s->cur = index;
		if (n->part.kind != PART_MULTIPART &&
		    n->part.kind != PART_MESSAGE)
			return;
		if (at_bound(s, n)) {
			n->unread = true;
			n->part.kind = PART_LEAF;
			return;
		}
		if (n->part.kind == PART_MULTIPART) {
			b = boundary_of(s, n);
			if (b.p != NULL)
				push(s, index, b);
			return;
		}
		parent = index;
		top = digest = false;
	}
}

/* A multipart without a part gets one, since IMAP's grammar wants it. */
static void
invent(struct parse *s, uint32_t parent, uint32_t where)
{
	struct node *n;

	if (at_bound(s, &s->t->v[parent])) {
		s->t->v[parent].unread = true;
		s->t->v[parent].part.kind = PART_LEAF;
		return;
	}
	n = new_node(s, parent);
	n->invented = true;
	n->part.header_at = n->part.body_at = where;
	interpret(n, false);
}

/* Ends the parts from the innermost to, not including, stop. */
static void
end_parts(
    struct parse *s, uint32_t stop, bool all, const char *where, uint32_t lines)
{
	struct node *n;
	uint32_t i = s->cur, to;

	while (all || i != stop) {
		n = &s->t->v[i];
		to = at(s, where);
		n->part.body_len = to - n->part.body_at;
		n->part.body_lines = lines - n->part.body_lines;
		if (n->part.kind == PART_MULTIPART && n->children == 0)
			invent(s, i, to);
		if (i == 0)
			break;
		i = s->t->v[i].part.parent;
	}
	s->cur = stop;
}

/* The delimiter line at p, ending at next. */
static void
at_delimiter(struct parse *s, struct delim d, const char *p, const char *next)
{
	uint32_t node = s->stack[d.index].node, lines = s->t->lines;
	const char *where = p;

	/* (2); but a header that ends here keeps its line end. */
	if (at(s, p) > s->t->v[s->cur].part.body_at) {
		where--;
		lines--;
		if (where > s->start && where[-1] == '\r')
			where--;
	}
	while (s->depth > d.index + 1)
		pop(s);
	end_parts(s, node, false, where, lines);
	s->p = next;
	s->t->lines += next[-1] == '\n';
	if (d.close) {
		pop(s);
	} else if (!at_bound(s, &s->t->v[node])) {
		begin(s, node);
	}
}

static void
body(struct parse *s)
{
	const char *lf, *next;
	struct delim d;

	while (s->p < s->end) {
		lf = memchr(s->p, '\n', (size_t)(s->end - s->p));
		next = lf == NULL ? s->end : lf + 1;
		if (*s->p == '-' && delimiter(s, s->p, next, &d)) {
			at_delimiter(s, d, s->p, next);
			continue;
		}
		s->t->lines += lf != NULL;
		s->p = next;
	}
}

void
mime_tree(str message, struct tree *t)
{
	struct parse s = {0};

	s.t = t;
	s.arena = arena_new((size_t)limits.arena_max);
	s.start = s.p = message.n > 0 ? message.p : "";
	s.end = s.start + message.n;
	s.headers_left = PART_HEADERS_FACTOR * (size_t)limits.header_max;
	t->message = message;
	begin(&s, 0);
	body(&s);
	end_parts(&s, 0, true, s.end, t->lines);
	t->has_nul = message.n > 0 && memchr(message.p, 0, message.n) != NULL;
	x_free(&s.stack);
	arena_free(&s.arena);
}

void
tree_free(struct tree *t)
{
	x_free(&t->v);
	t->n = t->cap = 0;
}
