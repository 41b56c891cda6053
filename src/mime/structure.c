/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * ENVELOPE, BODYSTRUCTURE and BODY as IMAP sends them (RFC 3501 7.4.2, RFC
 * 9051 7.5.2).
 *
 * (1) A string is quoted when it is 7-bit, without CR, LF and NUL, and
 *     shorter than QUOTED_MAX; else it is a literal. NUL cannot be sent in
 *     either: it becomes U+FFFD.
 * (2) Values are unfolded, not decoded.
 * (3) Types, encodings and the names of parameters are in lower case.
 * (4) The tree is printed along its parts; no recursion.
 */
#include "mime/mime_int.h"

#define QUOTED_MAX 1000

/* ---- strings ---- */

static void
literal(str s, struct buf *out)
{
	struct buf b = {0};
	const char *p = s.p, *end = p + s.n, *nul;

	if (memchr(s.p, 0, s.n) != NULL) {
		while ((nul = memchr(p, 0, (size_t)(end - p))) != NULL) {
			buf_add(&b, p, (size_t)(nul - p));
			utf8_put(&b, 0xfffd);
			p = nul + 1;
		}
		buf_add(&b, p, (size_t)(end - p));
		s = buf_str(&b);
	}
	buf_c(out, '{');
	buf_u64(out, s.n);
	buf_s(out, "}\r\n");
	buf_str_add(out, s);
	buf_free(&b);
}

/* (1) */
static void
string(str s, struct buf *out)
{
	size_t i, from = 0;
	bool quotes = false;
	unsigned char c;

	if (s.n >= QUOTED_MAX) {
		literal(s, out);
		return;
	}
	for (i = 0; i < s.n; i++) {
		c = (unsigned char)s.p[i];
		if (c >= 0x80 || c == '\r' || c == '\n' || c == 0) {
			literal(s, out);
			return;
		}
		quotes |= c == '"' || c == '\\';
	}
	buf_c(out, '"');
	for (i = 0; quotes && i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\') {
			buf_add(out, s.p + from, i - from);
			buf_c(out, '\\');
			from = i;
		}
	}
	if (s.n > from)
		buf_add(out, s.p + from, s.n - from);
	buf_c(out, '"');
}

static void
nstring(str s, struct buf *out)
{
	if (s.p == NULL)
		buf_s(out, "NIL");
	else
		string(s, out);
}

/* A header value: (2). */
static void
value(struct scratch *s, str v, struct buf *out)
{
	if (v.p == NULL) {
		buf_s(out, "NIL");
		return;
	}
	v = str_trim(v);
	if (v.n > 0 && memchr(v.p, '\n', v.n) != NULL) {
		buf_reset(&s->a);
		mime_unfold(v, &s->a);
		v = buf_str(&s->a);
	}
	string(v, out);
}

static void
lower_string(str v, struct buf *out)
{
	size_t i, at;

	at = out->n;
	string(v, out);
	if (out->n > at && out->p[at] == '"')
		for (i = at; i < out->n; i++)
			out->p[i] = lower(out->p[i]);
}

/* ---- ENVELOPE ---- */

static void
one_address(const struct address *a, struct buf *out)
{
	buf_c(out, '(');
	nstring(a->name, out);
	buf_c(out, ' ');
	nstring(a->route, out);
	buf_c(out, ' ');
	nstring(a->local, out);
	buf_c(out, ' ');
	nstring(a->domain, out);
	buf_c(out, ')');
}

/* Where the list stands in out: it may be wanted again. */
struct list {
	size_t at, n;
	size_t count;
};

static struct list
address_list(struct scratch *s, str v, struct buf *out)
{
	struct list l = {out->n, 0, 0};
	struct address *a = NULL;
	size_t i;

	if (v.p != NULL && s->addresses > 0 && str_trim(v).n > 0) {
		str u = v;

		if (memchr(v.p, '\n', v.n) != NULL) {
			buf_reset(&s->a);
			mime_unfold(v, &s->a);
			u = buf_str(&s->a);
		}
		if (mime_addresses(s->arena, u, &a, &l.count, s->addresses) !=
		    OK)
			l.count = 0;
	}
	s->addresses -= l.count;
	if (l.count == 0) {
		buf_s(out, "NIL");
	} else {
		buf_c(out, '(');
		for (i = 0; i < l.count; i++)
			one_address(&a[i], out);
		buf_c(out, ')');
	}
	l.n = out->n - l.at;
	arena_reset(s->arena);
	return l;
}

/* Sender and Reply-To, which are From when they are not there. */
static void
address_or(struct scratch *s, str v, struct list from, struct buf *out)
{
	struct list l;
	char *p;

	l = address_list(s, v, out);
	if (l.count > 0 || from.count == 0 || from.count > s->addresses)
		return;
	s->addresses -= from.count;
	out->n -= l.n;
	p = buf_room(out, from.n);
	if (p == NULL)
		return;
	memcpy(p, out->p + from.at, from.n);
	out->n += from.n;
}

void
mime_envelope(struct scratch *s, str header, struct buf *out)
{
	static const enum field_id rest[] = {F_TO, F_CC, F_BCC};
	str f[F_MAX];
	struct buf all[F_BCC + 1] = {0};
	struct list from;
	size_t i;

	mime_fields_of(header, f, all);
	buf_c(out, '(');
	value(s, f[F_DATE], out);
	buf_c(out, ' ');
	value(s, f[F_SUBJECT], out);
	buf_c(out, ' ');
	from = address_list(s, f[F_FROM], out);
	buf_c(out, ' ');
	address_or(s, f[F_SENDER], from, out);
	buf_c(out, ' ');
	address_or(s, f[F_REPLY_TO], from, out);
	for (i = 0; i < NELEM(rest); i++) {
		buf_c(out, ' ');
		address_list(s, f[rest[i]], out);
	}
	buf_c(out, ' ');
	value(s, f[F_IN_REPLY_TO], out);
	buf_c(out, ' ');
	value(s, f[F_MESSAGE_ID], out);
	buf_c(out, ')');
	for (i = 0; i < NELEM(all); i++)
		buf_free(&all[i]);
}

/* ---- BODYSTRUCTURE ---- */

static void
param_list(struct scratch *s, str v, bool text, struct buf *out)
{
	struct param *p = NULL;
	size_t n = 0, i;
	str type;
	bool charset = false;

	if (v.p != NULL && mime_params_raw(s->arena, v, &type, &p, &n) != OK)
		n = 0;
	if (n == 0 && !text) {
		buf_s(out, "NIL");
		arena_reset(s->arena);
		return;
	}
	buf_c(out, '(');
	for (i = 0; i < n; i++) {
		if (i > 0)
			buf_c(out, ' ');
		string(p[i].name, out);
		buf_c(out, ' ');
		string(p[i].value.p == NULL ? str_of("", 0) : p[i].value, out);
		charset |= str_eq(p[i].name, S("charset"));
	}
	/* What RFC 2045 5.2 says is meant. */
	if (text && !charset) {
		if (n > 0)
			buf_c(out, ' ');
		buf_s(out, "\"charset\" \"us-ascii\"");
	}
	buf_c(out, ')');
	arena_reset(s->arena);
}

static void
disposition(struct scratch *s, str v, struct buf *out)
{
	const char *p, *end, *q;

	if (v.p == NULL || v.n == 0) {
		buf_s(out, "NIL");
		return;
	}
	end = v.p + v.n;
	p = mime_skip_cfws(v.p, end);
	for (q = p; q < end && is_token_char((unsigned char)*q);)
		q++;
	if (q == p) {
		buf_s(out, "NIL");
		return;
	}
	buf_c(out, '(');
	lower_string(str_of(p, (size_t)(q - p)), out);
	buf_c(out, ' ');
	param_list(s, v, false, out);
	buf_c(out, ')');
}

/* "en, de" */
static void
language(str v, struct buf *out)
{
	const char *p = v.p, *end = v.n == 0 ? p : p + v.n, *q;
	bool any = false;

	for (; p < end; p = q) {
		for (q = p; q < end && is_token_char((unsigned char)*q);)
			q++;
		if (q == p) {
			q = *p == '(' ? mime_skip_comment(p, end) : p + 1;
			continue;
		}
		buf_c(out, any ? ' ' : '(');
		string(str_of(p, (size_t)(q - p)), out);
		any = true;
	}
	if (any)
		buf_c(out, ')');
	else
		buf_s(out, "NIL");
}

/* What ends every part: disposition, language, location. */
static void
extension(struct scratch *s, const struct node *n, struct buf *out)
{
	buf_c(out, ' ');
	disposition(s, n->field[F_DISPOSITION], out);
	buf_c(out, ' ');
	language(n->field[F_LANGUAGE], out);
	buf_c(out, ' ');
	value(s, n->field[F_LOCATION], out);
	buf_c(out, ')');
}

static void
open_part(struct scratch *s, const struct node *n, const struct node *child,
    struct buf *out)
{
	str token;

	buf_c(out, '(');
	if (n->part.kind == PART_MULTIPART)
		return;
	if (n->unread) {
		buf_s(out, "\"application\" \"octet-stream\" NIL");
	} else {
		lower_string(n->type, out);
		buf_c(out, ' ');
		lower_string(n->subtype, out);
		buf_c(out, ' ');
		param_list(s, n->field[F_TYPE], n->part.kind == PART_TEXT, out);
	}
	buf_c(out, ' ');
	value(s, n->field[F_ID], out);
	buf_c(out, ' ');
	value(s, n->field[F_DESCRIPTION], out);
	buf_c(out, ' ');
	mime_cte(n->field[F_ENCODING], &token);
	lower_string(token, out);
	buf_c(out, ' ');
	buf_u64(out, n->part.body_len);
	if (n->part.kind == PART_MESSAGE) {
		buf_c(out, ' ');
		mime_envelope(s, child->header, out);
		buf_c(out, ' ');
	}
}

static void
close_part(struct scratch *s, const struct node *n, struct buf *out)
{
	if (n->part.kind == PART_MULTIPART) {
		buf_c(out, ' ');
		lower_string(n->subtype, out);
		buf_c(out, ' ');
		param_list(s, n->field[F_TYPE], false, out);
	} else {
		if (n->part.kind == PART_TEXT || n->part.kind == PART_MESSAGE) {
			buf_c(out, ' ');
			buf_u64(out, n->part.body_lines);
		}
		buf_c(out, ' ');
		value(s, n->field[F_MD5], out);
	}
	extension(s, n, out);
}

void
mime_bodystructure(struct scratch *s, const struct tree *t, struct buf *out)
{
	size_t i;
	uint32_t k, next;

	for (i = 0; i < t->n; i++) {
		open_part(
		    s, &t->v[i], i + 1 < t->n ? &t->v[i + 1] : &t->v[i], out);
		/* Close all that end here: up to the next one's parent. */
		k = (uint32_t)i;
		next = i + 1 < t->n ? t->v[i + 1].part.parent : UINT32_MAX;
		while (k != next) {
			close_part(s, &t->v[k], out);
			if (k == 0)
				break;
			k = t->v[k].part.parent;
		}
	}
}

/* ---- BODY out of BODYSTRUCTURE ---- */

/* Behind a quoted string, literal or atom at p; NULL: there is none. */
static const char *
skip_string(const char *p, const char *end)
{
	struct scan s;
	uint64_t n;

	if (p < end && *p == '"') {
		for (p++; p < end && *p != '"'; p++)
			if (*p == '\\' && ++p == end)
				return NULL;
		return p < end ? p + 1 : NULL;
	}
	if (p < end && *p == '{') {
		s = (struct scan){p + 1, end};
		if (!scan_u64(&s, &n) || !scan_lit(&s, S("}\r\n")) ||
		    n > scan_left(&s))
			return NULL;
		return s.p + n;
	}
	while (p < end && *p != ' ' && *p != '(' && *p != ')' && *p != '"' &&
	       *p != '{')
		p++;
	return p;
}

/* Behind one item, a list included. */
static const char *
skip_item(const char *p, const char *end)
{
	size_t depth = 0;
	const char *q;

	for (;;) {
		if (p == end)
			return NULL;
		if (*p == '(') {
			depth++;
			p++;
		} else if (*p == ')') {
			if (depth == 0)
				return NULL;
			depth--;
			p++;
		} else if (*p == ' ' && depth > 0) {
			p++;
		} else {
			q = skip_string(p, end);
			if (q == NULL || q == p)
				return NULL;
			p = q;
		}
		if (depth == 0)
			return p;
	}
}

/* n items, each with the space before it, copied or passed over. */
static const char *
items(const char *p, const char *end, size_t n, struct buf *out)
{
	const char *q;

	while (n-- > 0) {
		if (p == end || *p != ' ')
			return NULL;
		q = skip_item(p + 1, end);
		if (q == NULL)
			return NULL;
		if (out != NULL)
			buf_add(out, p, (size_t)(q - p));
		p = q;
	}
	return p;
}

enum body_kind { BODY_MULTI, BODY_MESSAGE };

/* What follows the children or the child, to the ")" included. */
static const char *
body_tail(enum body_kind kind, const char *p, const char *end, struct buf *out)
{
	p = items(p, end, 1, out); /* subtype, or lines */
	while (p != NULL && p < end && *p == ' ')
		p = items(p, end, 1, NULL);
	if (p == NULL || p == end || *p != ')')
		return NULL;
	buf_c(out, ')');
	return p + 1;
}

static bool
item_is(const char *p, const char *end, str lit)
{
	return str_casestarts(str_of(p, (size_t)(end - p)), lit);
}

/* A part that is no multipart, at its type; *message: its child is next. */
static const char *
body_leaf(const char *p, const char *end, bool *message, struct buf *out)
{
	size_t more = 0;
	const char *q;

	*message = item_is(p, end, S("\"message\" \"rfc822\"")) ||
		   item_is(p, end, S("\"message\" \"global\""));
	if (item_is(p, end, S("\"text\" ")))
		more = 1;
	if ((q = skip_string(p, end)) == NULL || q == p)
		return NULL;
	buf_add(out, p, (size_t)(q - p));
	p = items(q, end, 6 + more, out);
	if (p == NULL || !*message)
		return p;
	p = items(p, end, 1, out); /* envelope */
	if (p == NULL || p == end || *p != ' ')
		return NULL;
	buf_c(out, ' ');
	return p + 1;
}

static bool
body_of(str b, struct buf *out)
{
	const char *p = b.p, *end = p + b.n;
	uint8_t *stack = NULL;
	size_t depth = 0, cap = 0;
	bool message, ok = false;

	for (;;) {
		if (p == NULL || p == end)
			break;
		if (*p == '(') {
			if (depth == cap) {
				cap = cap == 0 ? 64 : cap * 2;
				stack = x_grow(stack, cap, 1);
			}
			buf_c(out, '(');
			p++;
			if (p < end && *p == '(') {
				stack[depth++] = BODY_MULTI;
				continue;
			}
			p = body_leaf(p, end, &message, out);
			if (p != NULL && message) {
				stack[depth++] = BODY_MESSAGE;
				continue;
			}
			while (p != NULL && p < end && *p == ' ')
				p = items(p, end, 1, NULL);
			if (p == NULL || p == end || *p != ')')
				break;
			buf_c(out, ')');
			p++;
		} else if (depth > 0) {
			p = body_tail(stack[--depth], p, end, out);
		} else {
			break;
		}
		if (depth == 0) {
			ok = p == end;
			break;
		}
		/* After the child of a message its lines must follow. */
		if (stack[depth - 1] == BODY_MESSAGE && p != NULL && p < end &&
		    *p == '(')
			break;
	}
	x_free(&stack);
	return ok;
}

void
mime_body_of(str bodystructure, struct buf *out)
{
	size_t at = out->n;

	if (bodystructure.n > 0 && body_of(bodystructure, out))
		return;
	/* Not of our making: say as little as the grammar allows. */
	out->n = at;
	buf_s(out, "(\"text\" \"plain\" NIL NIL NIL \"7bit\" 0 0)");
}
