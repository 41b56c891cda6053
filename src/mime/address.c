/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Address lists (RFC 5322 3.4, with the obsolete forms of 4.4), lenient.
 *
 * One pass over the bytes, token by token. What may become an address is
 * gathered twice, since only its end tells what it was: as a phrase (words
 * with the spaces between them) and as an addr-spec (no space around "." and
 * "@").
 *
 * (1) Every token is at least one byte, and no byte is looked at more than
 *     twice. (A quoted string without an end is looked for once: it can only
 *     be the last quote.)
 * (2) What is no address is still shown: words without "@" as a local part
 *     with the empty domain, or, when they are several, as a name.
 * (3) A comment without its end goes to the end.
 */
#include "mime/mime_int.h"

struct ap {
	struct arena *arena;
	const char *p, *end;
	struct address *v;
	size_t n, cap, max;
	bool in_group;
	bool no_quote_end, no_bracket_end;
	/* the address in hand */
	struct buf phrase, spec;
	str comment;        /* the last one, raw; p NULL: none */
	size_t at;          /* index + 1 of the last "@" in spec; 0: none */
	size_t word;        /* where the last word before "@" starts */
	size_t word_phrase; /* the same in phrase: its name ends here */
	size_t tail;        /* where spec's domain ends; 0: at its end */
	size_t tail_phrase; /* and what follows it in phrase */
	bool spaced;        /* white space before the next token */
	bool last_special;  /* the last token was "." or "@" */
	bool angle;         /* <...> was seen: a.* are set */
	struct address a;
};

const char *
mime_skip_comment(const char *p, const char *end)
{
	size_t depth = 0;

	while (p < end) {
		switch (*p++) {
		case '\\':
			if (p < end)
				p++;
			break;
		case '(':
			depth++;
			break;
		case ')':
			if (--depth == 0)
				return p;
			break;
		}
	}
	return end;
}

const char *
mime_skip_cfws(const char *p, const char *end)
{
	while (p < end) {
		if (is_lwsp(*p))
			p++;
		else if (*p == '(')
			p = mime_skip_comment(p, end);
		else
			break;
	}
	return p;
}

/* The text of a quoted string or comment: escapes and line ends removed. */
static void
unescape(str s, struct buf *out)
{
	const char *p = s.p, *end = p + s.n, *q;

	while (p < end) {
		for (q = p; q < end && *q != '\\' && *q != '\r' && *q != '\n';)
			q++;
		buf_add(out, p, (size_t)(q - p));
		if (q == end)
			return;
		if (*q == '\\' && q + 1 < end)
			buf_c(out, *++q);
		p = q + 1;
	}
}

static str
unescaped(struct arena *a, str s)
{
	struct buf b = {0};
	str r;

	s = str_trim(s);
	if (memchr(s.p, '\\', s.n) == NULL && memchr(s.p, '\n', s.n) == NULL)
		return arena_dup(a, s);
	unescape(s, &b);
	r = arena_buf(a, &b);
	buf_free(&b);
	return r;
}

static void
emit(struct ap *s, struct address a)
{
	if (s->n < s->max && ARENA_PUSH(s->arena, s->v, s->n, s->cap))
		s->v[s->n++] = a;
}

static void
start_over(struct ap *s)
{
	buf_reset(&s->phrase);
	buf_reset(&s->spec);
	s->comment = STR_NONE;
	s->at = s->word = s->word_phrase = s->tail = s->tail_phrase = 0;
	s->spaced = s->last_special = s->angle = false;
	s->a = (struct address){0};
}

static str
keep(struct ap *s, const struct buf *b, size_t from, size_t to)
{
	if (to == from)
		return str_of("", 0);
	return arena_dup(s->arena, str_of(b->p + from, to - from));
}

/* The name that a phrase from..to gives, or the comment. */
static str
name_of(struct ap *s, size_t from, size_t to)
{
	str t = {0};

	if (s->phrase.n > 0)
		t = str_trim(str_of(s->phrase.p + from, to - from));
	if (t.n > 0)
		return arena_dup(s->arena, t);
	if (s->comment.p != NULL && s->comment.n > 0) {
		t = unescaped(s->arena, s->comment);
		if (t.n > 0)
			return t;
	}
	return STR_NONE;
}

/* local and domain out of spec[from..to). */
static void
split_spec(struct ap *s, size_t from, size_t to)
{
	if (s->at > from) {
		s->a.local = keep(s, &s->spec, from, s->at - 1);
		s->a.domain = keep(s, &s->spec, s->at, MAX(to, s->at));
	} else {
		s->a.local = keep(s, &s->spec, from, to);
		s->a.domain = str_of("", 0);
	}
}

/* What was gathered ends here: at a comma, a semicolon or the end. */
static void
finish(struct ap *s)
{
	if (s->angle) {
		if (s->a.name.p == NULL)
			s->a.name = name_of(s, 0, s->phrase.n);
		emit(s, s->a);
	} else if (s->at > 0) {
		split_spec(s, s->word, s->tail > 0 ? s->tail : s->spec.n);
		if (s->word > 0)
			s->a.name = name_of(s, 0, s->word_phrase);
		else if (s->tail > 0)
			s->a.name = name_of(s, s->tail_phrase, s->phrase.n);
		else
			s->a.name = name_of(s, 0, 0);
		emit(s, s->a);
	} else if (s->spec.n > 0) {
		/* (2) */
		if (s->word > 0) {
			s->a.name = name_of(s, 0, s->phrase.n);
			s->a.local = s->a.domain = str_of("", 0);
		} else {
			split_spec(s, 0, s->spec.n);
			s->a.name = name_of(s, 0, 0);
		}
		emit(s, s->a);
	}
	start_over(s);
}

/* A token that belongs to a phrase or an addr-spec is about to be added. */
static void
before(struct ap *s, bool special)
{
	bool gap = s->spaced && !special && !s->last_special;

	if (gap && s->spec.n > 0) {
		if (s->at == 0) {
			buf_c(&s->spec, ' ');
			s->word = s->spec.n;
			s->word_phrase = s->phrase.n;
		} else if (s->tail == 0) {
			s->tail = s->spec.n;
			s->tail_phrase = s->phrase.n;
		}
	}
	if (s->spaced && s->phrase.n > 0)
		buf_c(&s->phrase, ' ');
	s->spaced = false;
	s->last_special = special;
}

static void
add(struct ap *s, str t)
{
	buf_str_add(&s->phrase, t);
	if (s->tail == 0)
		buf_str_add(&s->spec, t);
}

static void
quoted(struct ap *s)
{
	const char *p = s->p + 1;
	size_t from;

	while (p < s->end && *p != '"')
		p += *p == '\\' && p + 1 < s->end ? 2 : 1;
	before(s, false);
	if (p >= s->end) {
		s->no_quote_end = true;
		add(s, str_of(s->p++, 1));
		return;
	}
	from = s->phrase.n;
	unescape(str_of(s->p + 1, (size_t)(p - s->p - 1)), &s->phrase);
	if (s->tail == 0 && s->phrase.n > from)
		buf_add(&s->spec, s->phrase.p + from, s->phrase.n - from);
	s->p = p + 1;
}

static bool
is_atom(char c)
{
	switch (c) {
	case ' ':
	case '\t':
	case '\r':
	case '\n':
	case '(':
	case '<':
	case '>':
	case '@':
	case ',':
	case ';':
	case ':':
	case '"':
	case '.':
	case '[':
		return false;
	default:
		return true;
	}
}

static void
atom(struct ap *s)
{
	const char *p = s->p + 1;

	while (p < s->end && is_atom(*p))
		p++;
	before(s, false);
	add(s, str_of(s->p, (size_t)(p - s->p)));
	s->p = p;
}

/* A domain literal stands behind "@" only. */
static void
bracket(struct ap *s)
{
	const char *p = NULL;

	if (s->at > 0 && s->at == s->spec.n && !s->no_bracket_end) {
		p = memchr(s->p, ']', (size_t)(s->end - s->p));
		s->no_bracket_end = p == NULL;
	}
	p = p == NULL ? s->p + 1 : p + 1;
	before(s, false);
	add(s, str_of(s->p, (size_t)(p - s->p)));
	s->p = p;
}

/* One token of a phrase or addr-spec, or space, or a comment. */
static void
token(struct ap *s)
{
	const char *p = s->p;

	if (is_lwsp(*p)) {
		s->spaced = true;
		s->p++;
	} else if (*p == '(') {
		s->p = mime_skip_comment(p, s->end);
		s->comment = str_of(p + 1, (size_t)(s->p - p - 1));
		if (s->comment.n > 0 && s->comment.p[s->comment.n - 1] == ')')
			s->comment.n--;
		s->spaced = true;
	} else if (*p == '"' && !s->no_quote_end) {
		quoted(s);
	} else if (*p == '.' || *p == '@') {
		before(s, true);
		add(s, str_of(p, 1));
		if (*p == '@' && s->tail == 0)
			s->at = s->spec.n;
		s->p++;
	} else if (*p == '[') {
		bracket(s);
	} else {
		atom(s);
	}
}

/* <@a,@b:local@domain> */
static void
angle_addr(struct ap *s)
{
	const char *p = ++s->p;
	str name = name_of(s, 0, s->phrase.n);

	start_over(s);
	s->a.name = name;
	p = mime_skip_cfws(p, s->end);
	if (p < s->end && *p == '@') {
		const char *colon = p;

		while (colon < s->end && *colon != ':' && *colon != '>')
			colon++;
		if (colon < s->end && *colon == ':') {
			s->a.route = arena_dup(
			    s->arena, str_trim(str_of(p, (size_t)(colon - p))));
			s->p = colon + 1;
		}
	}
	while (s->p < s->end && *s->p != '>' && *s->p != ',') {
		if (*s->p == '<')
			s->p++;
		else
			token(s);
	}
	if (s->p < s->end && *s->p == '>')
		s->p++;
	split_spec(
	    s, s->at > 0 ? s->word : 0, s->tail > 0 ? s->tail : s->spec.n);
	s->angle = true;
	/* A name may still follow. */
	buf_reset(&s->phrase);
	buf_reset(&s->spec);
	s->at = s->word = s->word_phrase = s->tail = s->tail_phrase = 0;
	s->spaced = s->last_special = false;
}

static void
group_start(struct ap *s)
{
	struct address g = {0};

	if (s->angle) {
		s->p++;
		return;
	}
	if (s->in_group)
		emit(s, (struct address){0});
	g.local = keep(s, &s->phrase, 0, s->phrase.n);
	emit(s, g);
	start_over(s);
	s->in_group = true;
	s->p++;
}

static void
list(struct ap *s)
{
	while (s->p < s->end && s->n < s->max && !arena_failed(s->arena)) {
		switch (*s->p) {
		case ',':
			finish(s);
			s->p++;
			break;
		case ';':
			finish(s);
			if (s->in_group)
				emit(s, (struct address){0});
			s->in_group = false;
			s->p++;
			break;
		case ':':
			if (s->at > 0)
				atom(s);
			else
				group_start(s);
			break;
		case '<':
			if (s->angle)
				finish(s);
			angle_addr(s);
			break;
		default:
			token(s);
		}
	}
	finish(s);
	if (s->in_group)
		emit(s, (struct address){0});
}

enum err
mime_addresses(
    struct arena *a, str value, struct address **v, size_t *n, size_t max)
{
	struct ap s = {0};

	s.arena = a;
	s.p = value.p;
	s.end = value.n > 0 ? value.p + value.n : value.p;
	s.max = max;
	list(&s);
	buf_free(&s.phrase);
	buf_free(&s.spec);
	*v = s.v;
	*n = s.n;
	return arena_failed(a) ? ERR_LIMIT : OK;
}
