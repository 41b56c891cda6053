/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * IMAP's words: see imap.h, whose numbers are cited here.
 */
#include "proto/imap.h"

/* ---- characters ---- */

bool
imap_is_atom_char(unsigned char c)
{
	switch (c) {
	case '(':
	case ')':
	case '{':
	case ' ':
	case '%':
	case '*':
	case '"':
	case '\\':
	case ']':
		return false;
	default:
		return c > 0x20 && c < 0x7f;
	}
}

bool
imap_is_astring_char(unsigned char c)
{
	return c == ']' || imap_is_atom_char(c);
}

static bool
is_tag_char(unsigned char c)
{
	return c != '+' && imap_is_astring_char(c);
}

static bool
is_list_char(unsigned char c)
{
	return c == '%' || c == '*' || imap_is_astring_char(c);
}

/* ---- the command line ---- */

/* The digits of a literal: a number as a program writes it, without
 * leading zeros (R04), that a file can have as its size. */
static bool
literal_number(str digits, uint64_t *n)
{
	if (digits.n > 1 && digits.p[0] == '0')
		return false;
	return str_u64(digits, n) && *n <= INT64_MAX;
}

enum imap_lit_kind
imap_lit_end(str line, struct imap_lit *l)
{
	size_t open, end = line.n;
	str digits;

	*l = (struct imap_lit){0};
	if (end == 0 || line.p[end - 1] != '}')
		return IMAP_LIT_NONE;
	end--;
	if (end > 0 && line.p[end - 1] == '+') {
		l->nonsync = true;
		end--;
	}
	for (open = end;
	     open > 0 && line.p[open - 1] >= '0' && line.p[open - 1] <= '9';
	     open--)
		continue;
	if (open == end || open == 0 || line.p[open - 1] != '{')
		return IMAP_LIT_NONE;
	digits = (str){line.p + open, end - open};
	open--;
	if (open > 0 && line.p[open - 1] == '~') {
		l->is8 = true;
		open--;
	}
	/* A literal is a word of its own: behind SP or "(". */
	if (open == 0 || (line.p[open - 1] != ' ' && line.p[open - 1] != '('))
		return IMAP_LIT_NONE;
	l->at = open;
	return literal_number(digits, &l->n) ? IMAP_LIT_OK : IMAP_LIT_BAD;
}

bool
imap_head_get(str command, struct imap_head *h)
{
	struct scan s = scan_of(command);
	str tag;

	*h = (struct imap_head){.tag = {command.p, 0}, .name = {command.p, 0}};
	h->args = s;
	if (!imap_tag(&s, &tag) || (!scan_end(&s) && scan_peek(&s) != ' '))
		return false;
	h->tag = tag;
	h->args = s;
	if (!imap_sp(&s) || !imap_atom(&s, &h->name))
		return false;
	h->args = s;
	return true;
}

/* ---- words ---- */

bool
imap_sp(struct scan *s)
{
	return scan_char(s, ' ');
}

bool
imap_tag(struct scan *s, str *out)
{
	struct scan t = *s;

	if (!scan_while(&t, is_tag_char, out) || out->n > IMAP_TAG_MAX)
		return false;
	*s = t;
	return true;
}

bool
imap_atom(struct scan *s, str *out)
{
	return scan_while(s, imap_is_atom_char, out);
}

bool
imap_word(struct scan *s, str word)
{
	struct scan t = *s;
	str atom;

	if (!imap_atom(&t, &atom) || !str_caseeq(atom, word))
		return false;
	*s = t;
	return true;
}

/* Removes the backslashes of a quoted string's inside. */
static bool
unescape(struct arena *a, str in, str *out)
{
	char *p = arena_alloc(a, in.n);
	size_t n = 0;

	if (p == NULL)
		return false;
	for (size_t i = 0; i < in.n; i++) {
		if (in.p[i] == '\\')
			i++;
		p[n++] = in.p[i];
	}
	*out = (str){p, n};
	return true;
}

bool
imap_quoted(struct scan *s, struct arena *a, str *out)
{
	const char *p = s->p;
	bool escapes = false;
	bool high = false;
	str in;

	if (p == s->end || *p++ != '"')
		return false;
	for (; p < s->end && *p != '"'; p++) {
		if (*p == '\0' || *p == '\r' || *p == '\n')
			return false;
		if ((unsigned char)*p >= 0x80)
			high = true;
		if (*p != '\\')
			continue;
		escapes = true;
		p++;
		if (p == s->end || (*p != '"' && *p != '\\'))
			return false;
	}
	if (p == s->end)
		return false;
	in = (str){s->p + 1, (size_t)(p - s->p - 1)};
	if (high && !utf8_valid(in)) /* (3) */
		return false;
	if (escapes && !unescape(a, in, &in))
		return false;
	*out = in;
	s->p = p + 1;
	return true;
}

bool
imap_literal_head(struct scan *s, struct imap_lit *l)
{
	struct scan t = *s;
	const char *from;
	uint64_t n;

	*l = (struct imap_lit){0};
	l->is8 = scan_char(&t, '~');
	if (!scan_char(&t, '{'))
		return false;
	from = t.p;
	if (!scan_u64(&t, &n) ||
	    !literal_number((str){from, (size_t)(t.p - from)}, &l->n))
		return false;
	l->nonsync = scan_char(&t, '+');
	if (!scan_lit(&t, S("}\r\n")))
		return false;
	*s = t;
	return true;
}

static bool
literal_of(struct scan *s, bool is8, str *out)
{
	struct scan t = *s;
	struct imap_lit l;

	if (!imap_literal_head(&t, &l) || l.is8 != is8)
		return false;
	if (l.n > scan_left(&t) || !scan_take(&t, (size_t)l.n, out))
		return false;
	if (!is8 && str_chr(*out, '\0') < out->n) /* (3) */
		return false;
	*s = t;
	return true;
}

bool
imap_literal(struct scan *s, str *out)
{
	return literal_of(s, false, out);
}

bool
imap_literal8(struct scan *s, str *out)
{
	return literal_of(s, true, out);
}

bool
imap_string(struct scan *s, struct arena *a, str *out)
{
	return imap_quoted(s, a, out) || imap_literal(s, out);
}

bool
imap_astring(struct scan *s, struct arena *a, str *out)
{
	return scan_while(s, imap_is_astring_char, out) ||
	       imap_string(s, a, out);
}

bool
imap_nstring(struct scan *s, struct arena *a, str *out)
{
	if (imap_word(s, S("NIL"))) {
		*out = STR_NONE;
		return true;
	}
	return imap_string(s, a, out);
}

bool
imap_list_mailbox(struct scan *s, struct arena *a, str *out)
{
	return scan_while(s, is_list_char, out) || imap_string(s, a, out);
}

bool
imap_nz_number(struct scan *s, uint32_t *out)
{
	struct scan t = *s;

	if (scan_peek(&t) == '0' || !scan_u32(&t, out))
		return false;
	*s = t;
	return true;
}

bool
imap_number64(struct scan *s, uint64_t *out)
{
	struct scan t = *s;

	if (!scan_u64(&t, out) || *out > INT64_MAX)
		return false;
	*s = t;
	return true;
}

/* ---- sequence sets ---- */

static bool
seq_number(struct scan *s, uint32_t *out)
{
	*out = 0;
	return scan_char(s, '*') || imap_nz_number(s, out);
}

static bool
set_element(struct scan *s, struct arena *a, struct imap_set *out, size_t *cap)
{
	struct range r;

	if (scan_char(s, '$')) {
		out->saved = true;
		return true;
	}
	if (!seq_number(s, &r.lo))
		return false;
	r.hi = r.lo;
	if (scan_char(s, ':') && !seq_number(s, &r.hi))
		return false;
	if (out->n >= limits.set_ranges_max) {
		limit_hit(LIMIT_set_ranges_max, STR_NONE);
		return false;
	}
	if (!ARENA_PUSH(a, out->v, out->n, *cap))
		return false;
	out->v[out->n++] = r;
	return true;
}

bool
imap_set_get(struct scan *s, struct arena *a, struct imap_set *out)
{
	struct scan t = *s;
	size_t cap = 0;

	*out = (struct imap_set){0};
	do {
		if (!set_element(&t, a, out, &cap))
			return false;
	} while (scan_char(&t, ','));
	*s = t;
	return true;
}

void
imap_set_resolve(const struct imap_set *set, uint32_t max, struct arena *a,
    struct ranges *out)
{
	struct range *v;
	size_t n = 0;

	ranges_reset(out);
	v = arena_array(a, set->n, sizeof(*v));
	if (v == NULL)
		return;
	for (size_t i = 0; i < set->n; i++) {
		struct range r = set->v[i];

		if (max == 0 && (r.lo == 0 || r.hi == 0))
			continue;
		v[n].lo = r.lo == 0 ? max : r.lo;
		v[n].hi = r.hi == 0 ? max : r.hi;
		n++;
	}
	ranges_set(out, v, n);
}

uint32_t
imap_set_max(const struct imap_set *set)
{
	uint32_t max = 0;

	for (size_t i = 0; i < set->n; i++)
		max = MAX(max, MAX(set->v[i].lo, set->v[i].hi));
	return max;
}

bool
imap_set_star(const struct imap_set *set)
{
	for (size_t i = 0; i < set->n; i++) {
		if (set->v[i].lo == 0 || set->v[i].hi == 0)
			return true;
	}
	return false;
}

/* ---- flags ---- */

static const struct {
	str name;
	unsigned bit;
} system_flags[] = {
    {S("Seen"), IMAP_SEEN},
    {S("Answered"), IMAP_ANSWERED},
    {S("Flagged"), IMAP_FLAGGED},
    {S("Deleted"), IMAP_DELETED},
    {S("Draft"), IMAP_DRAFT},
};

static unsigned
system_flag(str name)
{
	for (size_t i = 0; i < NELEM(system_flags); i++) {
		if (str_caseeq(name, system_flags[i].name))
			return system_flags[i].bit;
	}
	return 0;
}

/* Lists are short; past some dozens, doubles are left to the store, so that
 * a long one costs no square (R63). */
static bool
has_keyword(const struct imap_flags *f, str name)
{
	for (size_t i = 0; i < f->nkeywords && i < 64; i++) {
		if (str_caseeq(f->keywords[i], name))
			return true;
	}
	return false;
}

bool
imap_flag_get(struct scan *s, struct arena *a, struct imap_flags *f)
{
	struct scan t = *s;
	bool system = scan_char(&t, '\\');
	unsigned bit;
	str name;

	if (!imap_atom(&t, &name))
		return false;
	if (system) {
		if ((bit = system_flag(name)) == 0)
			return false;
		f->system |= bit;
	} else if (!has_keyword(f, name)) {
		if (!ARENA_PUSH(a, f->keywords, f->nkeywords, f->cap))
			return false;
		f->keywords[f->nkeywords++] = name;
	}
	*s = t;
	return true;
}

bool
imap_flag_list(struct scan *s, struct arena *a, struct imap_flags *f)
{
	struct scan t = *s;

	if (!scan_char(&t, '('))
		return false;
	if (!scan_char(&t, ')')) {
		do {
			if (!imap_flag_get(&t, a, f))
				return false;
		} while (imap_sp(&t));
		if (!scan_char(&t, ')'))
			return false;
	}
	*s = t;
	return true;
}

/* ---- dates ---- */

static bool
month_get(struct scan *s, int *month)
{
	for (int i = 0; i < 12; i++) {
		if (scan_caselit(s, (str){month_name[i], 3})) {
			*month = i + 1;
			return true;
		}
	}
	return false;
}

/* day "-" month "-" year, where the day has one or two digits. */
static bool
day_month_year(struct scan *s, struct civil *c)
{
	uint32_t day, year;

	if (!scan_digits(s, 2, &day) && !scan_digits(s, 1, &day))
		return false;
	if (!scan_char(s, '-') || !month_get(s, &c->month) ||
	    !scan_char(s, '-') || !scan_digits(s, 4, &year))
		return false;
	c->day = (int)day;
	c->year = (int)year;
	return true;
}

bool
imap_date(struct scan *s, int64_t *day)
{
	struct scan t = *s;
	struct civil c = {0};
	struct stamp ignored;
	bool quoted = scan_char(&t, '"');

	if (!day_month_year(&t, &c) || (quoted && !scan_char(&t, '"')))
		return false;
	if (!stamp_from_civil(&c, 0, &ignored)) /* 31-Feb */
		return false;
	*day = civil_day(c.year, c.month, c.day);
	*s = t;
	return true;
}

static bool
zone_get(struct scan *s, int *zone_min)
{
	bool minus = scan_char(s, '-');
	uint32_t hours, minutes;

	if (!minus && !scan_char(s, '+'))
		return false;
	if (!scan_digits(s, 2, &hours) || !scan_digits(s, 2, &minutes) ||
	    hours > 23 || minutes > 59)
		return false;
	*zone_min = (int)(hours * 60 + minutes);
	if (minus)
		*zone_min = -*zone_min;
	return true;
}

static bool
time_get(struct scan *s, struct civil *c)
{
	uint32_t h, m, sec;

	if (!scan_digits(s, 2, &h) || !scan_char(s, ':') ||
	    !scan_digits(s, 2, &m) || !scan_char(s, ':') ||
	    !scan_digits(s, 2, &sec))
		return false;
	c->hour = (int)h;
	c->minute = (int)m;
	c->second = (int)sec;
	return true;
}

bool
imap_date_time(struct scan *s, struct stamp *out)
{
	struct scan t = *s;
	struct civil c = {0};
	int zone = 0;

	if (!scan_char(&t, '"'))
		return false;
	(void)scan_char(&t, ' '); /* date-day-fixed: SP DIGIT */
	if (!day_month_year(&t, &c) || !imap_sp(&t) || !time_get(&t, &c) ||
	    !imap_sp(&t) || !zone_get(&t, &zone) || !scan_char(&t, '"'))
		return false;
	if (!stamp_from_civil(&c, zone, out))
		return false;
	*s = t;
	return true;
}

/* ---- sections ---- */

/* section-part: nz-number *("." nz-number), and the "." behind it when a
 * text follows. */
static bool
section_parts(
    struct scan *s, struct arena *a, struct imap_section *x, bool *more)
{
	uint32_t n;

	*more = true;
	while (imap_nz_number(s, &n)) {
		if (!ARENA_PUSH(a, x->part, x->nparts, x->partcap))
			return false;
		x->part[x->nparts++] = n;
		*more = scan_char(s, '.');
		if (!*more)
			return true;
	}
	return true;
}

static bool
section_names(struct scan *s, struct arena *a, struct imap_section *x)
{
	if (!imap_sp(s) || !scan_char(s, '('))
		return false;
	do {
		str name;

		if (!imap_astring(s, a, &name) ||
		    !ARENA_PUSH(a, x->names, x->nnames, x->namecap))
			return false;
		x->names[x->nnames++] = name;
	} while (imap_sp(s));
	return scan_char(s, ')');
}

static bool
section_text(struct scan *s, struct arena *a, struct imap_section *x)
{
	if (scan_caselit(s, S("HEADER.FIELDS.NOT"))) {
		x->text = SECTION_FIELDS_NOT;
		return section_names(s, a, x);
	}
	if (scan_caselit(s, S("HEADER.FIELDS"))) {
		x->text = SECTION_FIELDS;
		return section_names(s, a, x);
	}
	if (scan_caselit(s, S("HEADER"))) {
		x->text = SECTION_HEADER;
		return true;
	}
	if (scan_caselit(s, S("TEXT"))) {
		x->text = SECTION_TEXT;
		return true;
	}
	x->text = SECTION_MIME;
	return x->nparts > 0 && scan_caselit(s, S("MIME"));
}

bool
imap_section_get(
    struct scan *s, struct arena *a, bool binary, struct imap_section *out)
{
	struct scan t = *s;
	bool text;

	*out = (struct imap_section){0};
	if (!scan_char(&t, '[') || !section_parts(&t, a, out, &text))
		return false;
	/* "[]" and "[1.2]" end here; "[1.]" does not. */
	if (text && (out->nparts > 0 || scan_peek(&t) != ']')) {
		if (binary || !section_text(&t, a, out))
			return false;
	}
	if (!scan_char(&t, ']'))
		return false;
	*s = t;
	return true;
}

bool
imap_partial_get(struct scan *s, struct imap_section *out)
{
	struct scan t = *s;

	if (!scan_char(&t, '<'))
		return true;
	if (!imap_number64(&t, &out->from) || !scan_char(&t, '.') ||
	    !imap_number64(&t, &out->len) || out->len == 0 ||
	    !scan_char(&t, '>'))
		return false;
	out->partial = true;
	*s = t;
	return true;
}
