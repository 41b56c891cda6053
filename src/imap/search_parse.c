/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The grammar of SEARCH (RFC 3501, RFC 9051 6.4.4, RFC 5032, RFC 8474,
 * RFC 8514) to a tree of keys, whose depth and number are bounded.
 */
#include "imap/search.h"

/* clang-format off */
enum kind {
	KIND_PLAIN,	/* nothing follows */
	KIND_FLAG,	/* a flag of .number is set */
	KIND_UNFLAG,	/* is not set */
	KIND_TEXT,	/* a string */
	KIND_HEADER,	/* a field's name and a string */
	KIND_DATE,
	KIND_SIZE,	/* number64 */
	KIND_AGE,	/* nz-number */
	KIND_KEYWORD, KIND_UNKEYWORD,
	KIND_UID,	/* a set */
	KIND_ID,	/* an object id */
	KIND_NOT, KIND_OR
};
static const struct {
	str name;
	enum kind kind;
	enum search_op op;
	uint64_t number;
} key_names[] = {
	{ S("ALL"),         KIND_PLAIN,     SEARCH_ALL,         0 },
	{ S("ANSWERED"),    KIND_FLAG,      SEARCH_FLAGS,       FLAG_ANSWERED },
	{ S("BCC"),         KIND_TEXT,      SEARCH_BCC,         0 },
	{ S("BEFORE"),      KIND_DATE,      SEARCH_BEFORE,      0 },
	{ S("BODY"),        KIND_TEXT,      SEARCH_BODY,        0 },
	{ S("CC"),          KIND_TEXT,      SEARCH_CC,          0 },
	{ S("DELETED"),     KIND_FLAG,      SEARCH_FLAGS,       FLAG_DELETED },
	{ S("DRAFT"),       KIND_FLAG,      SEARCH_FLAGS,       FLAG_DRAFT },
	{ S("EMAILID"),     KIND_ID,        SEARCH_EMAILID,     0 },
	{ S("FLAGGED"),     KIND_FLAG,      SEARCH_FLAGS,       FLAG_FLAGGED },
	{ S("FROM"),        KIND_TEXT,      SEARCH_FROM,        0 },
	{ S("HEADER"),      KIND_HEADER,    SEARCH_HEADER,      0 },
	{ S("KEYWORD"),     KIND_KEYWORD,   SEARCH_KEYWORD,     0 },
	{ S("LARGER"),      KIND_SIZE,      SEARCH_LARGER,      0 },
	{ S("NEW"),         KIND_PLAIN,     SEARCH_NEW,         0 },
	{ S("NOT"),         KIND_NOT,       SEARCH_NOT,         0 },
	{ S("OLD"),         KIND_PLAIN,     SEARCH_OLD,         0 },
	{ S("OLDER"),       KIND_AGE,       SEARCH_OLDER,       0 },
	{ S("ON"),          KIND_DATE,      SEARCH_ON,          0 },
	{ S("OR"),          KIND_OR,        SEARCH_OR,          0 },
	{ S("RECENT"),      KIND_PLAIN,     SEARCH_RECENT,      0 },
	{ S("SAVEDATESUPPORTED"), KIND_PLAIN, SEARCH_ALL,       0 },
	{ S("SAVEDBEFORE"), KIND_DATE,      SEARCH_SAVEDBEFORE, 0 },
	{ S("SAVEDON"),     KIND_DATE,      SEARCH_SAVEDON,     0 },
	{ S("SAVEDSINCE"),  KIND_DATE,      SEARCH_SAVEDSINCE,  0 },
	{ S("SEEN"),        KIND_FLAG,      SEARCH_FLAGS,       FLAG_SEEN },
	{ S("SENTBEFORE"),  KIND_DATE,      SEARCH_SENTBEFORE,  0 },
	{ S("SENTON"),      KIND_DATE,      SEARCH_SENTON,      0 },
	{ S("SENTSINCE"),   KIND_DATE,      SEARCH_SENTSINCE,   0 },
	{ S("SINCE"),       KIND_DATE,      SEARCH_SINCE,       0 },
	{ S("SMALLER"),     KIND_SIZE,      SEARCH_SMALLER,     0 },
	{ S("SUBJECT"),     KIND_TEXT,      SEARCH_SUBJECT,     0 },
	{ S("TEXT"),        KIND_TEXT,      SEARCH_TEXT,        0 },
	{ S("THREADID"),    KIND_ID,        SEARCH_THREADID,    0 },
	{ S("TO"),          KIND_TEXT,      SEARCH_TO,          0 },
	{ S("UID"),         KIND_UID,       SEARCH_UIDS,        0 },
	{ S("UNANSWERED"),  KIND_UNFLAG,    SEARCH_FLAGS,       FLAG_ANSWERED },
	{ S("UNDELETED"),   KIND_UNFLAG,    SEARCH_FLAGS,       FLAG_DELETED },
	{ S("UNDRAFT"),     KIND_UNFLAG,    SEARCH_FLAGS,       FLAG_DRAFT },
	{ S("UNFLAGGED"),   KIND_UNFLAG,    SEARCH_FLAGS,       FLAG_FLAGGED },
	{ S("UNKEYWORD"),   KIND_UNKEYWORD, SEARCH_KEYWORD,     0 },
	{ S("UNSEEN"),      KIND_UNFLAG,    SEARCH_FLAGS,       FLAG_SEEN },
	{ S("YOUNGER"),     KIND_AGE,       SEARCH_YOUNGER,     0 },
};
/* clang-format on */

static bool key_get(struct parse *p, struct search_args *args, unsigned depth,
    struct search_key **out);

static struct search_key *
key_new(struct parse *p, enum search_op op)
{
	struct search_key *k = arena_new_of(p->ar, struct search_key);

	if (k != NULL)
		k->op = op;
	return k;
}

static struct search_key *
key_not(struct parse *p, struct search_key *kid)
{
	struct search_key *k = key_new(p, SEARCH_NOT);

	if (k != NULL)
		k->kids = kid;
	return k;
}

static bool
may_shift(str s)
{
	return str_chr(s, '\x1b') < s.n || str_chr(s, '~') < s.n ||
	       str_chr(s, '+') < s.n;
}

/* A string to search for, as UTF-8. */
static bool
text_get(struct parse *p, const struct search_args *args, str *out)
{
	struct buf b = {0};
	str raw;

	if (!imap_sp(&p->s) || !imap_astring(&p->s, p->ar, &raw))
		return parse_bad(p, "A string was expected");
	*out = raw;
	/* Some say a charset by habit, and send UTF-8. Octets that may begin
	 * a shift (ISO-2022, HZ, UTF-7) are what the charset says. */
	if (args->charset.n == 0 || (utf8_valid(raw) && !may_shift(raw)))
		return true;
	(void)mime_to_utf8(args->charset, raw, &b);
	*out = arena_buf(p->ar, &b);
	buf_free(&b);
	return out->p != NULL || out->n == 0;
}

static bool
set_key(struct parse *p, struct search_args *args, struct search_key *k)
{
	struct search_set *x;

	if (!ARENA_PUSH(p->ar, args->sets, args->nsets, args->setcap))
		return false;
	x = &args->sets[args->nsets];
	x->key = k;
	if (!imap_set_get(&p->s, p->ar, &x->set))
		return parse_bad(p, "A set of message numbers was expected");
	args->nsets++;
	return true;
}

static bool
keyword_get(struct parse *p, struct search_key *k)
{
	if (!imap_sp(&p->s) || !imap_atom(&p->s, &k->text))
		return parse_bad(p, "A keyword was expected");
	return true;
}

static bool
date_get(struct parse *p, struct search_key *k)
{
	int64_t day;

	if (!imap_sp(&p->s) || !imap_date(&p->s, &day))
		return parse_bad(p, "A date was expected: 1-Feb-1994");
	k->number = (uint64_t)day;
	return true;
}

static bool
number_get(struct parse *p, struct search_key *k, bool age)
{
	uint32_t n;

	if (!imap_sp(&p->s))
		return parse_bad(p, "A number was expected");
	if (!age)
		return imap_number64(&p->s, &k->number) ||
		       parse_bad(p, "A number was expected");
	if (!imap_nz_number(&p->s, &n))
		return parse_bad(p, "A number of seconds was expected");
	k->number = n;
	return true;
}

static bool
kids_get(struct parse *p, struct search_args *args, unsigned depth,
    struct search_key *k, int n)
{
	struct search_key **end = &k->kids;

	for (int i = 0; i < n; i++, end = &(*end)->next) {
		if (!imap_sp(&p->s))
			return parse_bad(p, "A search key was expected");
		if (!key_get(p, args, depth + 1, end))
			return false;
	}
	return true;
}

static bool
key_args(struct parse *p, struct search_args *args, unsigned depth,
    enum kind kind, struct search_key *k)
{
	switch (kind) {
	case KIND_TEXT:
		return text_get(p, args, &k->text);
	case KIND_HEADER:
		if (!imap_sp(&p->s) || !imap_astring(&p->s, p->ar, &k->name))
			return parse_bad(p, "A field's name was expected");
		return text_get(p, args, &k->text);
	case KIND_DATE:
		return date_get(p, k);
	case KIND_SIZE:
		return number_get(p, k, false);
	case KIND_AGE:
		return number_get(p, k, true);
	case KIND_KEYWORD:
	case KIND_UNKEYWORD:
		return keyword_get(p, k);
	case KIND_UID:
		if (!imap_sp(&p->s))
			return parse_bad(p, "A set of UIDs was expected");
		return set_key(p, args, k);
	case KIND_ID:
		if (!imap_sp(&p->s) || !imap_astring(&p->s, p->ar, &k->text))
			return parse_bad(p, "An object id was expected");
		return true;
	case KIND_NOT:
		return kids_get(p, args, depth, k, 1);
	case KIND_OR:
		return kids_get(p, args, depth, k, 2);
	default:
		return true;
	}
}

static bool
named_key(struct parse *p, struct search_args *args, unsigned depth, str name,
    struct search_key **out)
{
	for (size_t i = 0; i < NELEM(key_names); i++) {
		enum kind kind = key_names[i].kind;

		if (!str_caseeq(name, key_names[i].name))
			continue;
		*out = key_new(p, key_names[i].op);
		if (*out == NULL)
			return false;
		(*out)->number = key_names[i].number;
		if (!key_args(p, args, depth, kind, *out))
			return false;
		if (kind == KIND_UNFLAG || kind == KIND_UNKEYWORD)
			*out = key_not(p, *out);
		return *out != NULL;
	}
	return parse_bad(p, "There is no such search key");
}

/* Keys with SP between them, up to ")" or the end. */
static bool
keys_get(struct parse *p, struct search_args *args, unsigned depth,
    struct search_key **out)
{
	struct search_key *all = key_new(p, SEARCH_AND);
	struct search_key **end;

	if (all == NULL)
		return false;
	end = &all->kids;
	do {
		if (!key_get(p, args, depth, end))
			return false;
		end = &(*end)->next;
	} while (imap_sp(&p->s));
	*out = all->kids->next == NULL ? all->kids : all;
	return true;
}

static bool
is_key_char(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool
key_get(struct parse *p, struct search_args *args, unsigned depth,
    struct search_key **out)
{
	int c = scan_peek(&p->s);
	str name;

	if (depth > limits.search_depth_max) {
		limit_hit(LIMIT_search_depth_max, STR_NONE);
		return parse_bad(p, "The search keys are nested too deeply");
	}
	if (++args->keys > limits.search_keys_max) {
		limit_hit(LIMIT_search_keys_max, STR_NONE);
		return parse_bad(p, "Those are too many search keys");
	}
	if (scan_char(&p->s, '(')) {
		if (!keys_get(p, args, depth + 1, out))
			return false;
		return scan_char(&p->s, ')') ||
		       parse_bad(p, "A parenthesis is not closed");
	}
	if (c == '*' || c == '$' || (c >= '0' && c <= '9')) {
		*out = key_new(p, SEARCH_SEQS);
		return *out != NULL && set_key(p, args, *out);
	}
	if (!scan_while(&p->s, is_key_char, &name))
		return parse_bad(p, "A search key was expected");
	return named_key(p, args, depth, name, out);
}

/* ---- RETURN, CHARSET ---- */

static bool
returns_get(struct parse *p, struct search_args *args)
{
	static const struct {
		str name;
		unsigned bit;
	} names[] = {{S("MIN"), RETURN_MIN}, {S("MAX"), RETURN_MAX},
	    {S("ALL"), RETURN_ALL}, {S("COUNT"), RETURN_COUNT},
	    {S("SAVE"), RETURN_SAVE}};

	args->returns = true;
	if (!imap_sp(&p->s) || !scan_char(&p->s, '('))
		return parse_bad(p, "RETURN (...) was expected");
	if (scan_char(&p->s, ')')) {
		args->what = RETURN_ALL;
		return true;
	}
	do {
		unsigned was = args->what;
		str name;

		if (!imap_atom(&p->s, &name))
			return parse_bad(p, "A result option was expected");
		for (size_t i = 0; i < NELEM(names); i++) {
			if (str_caseeq(name, names[i].name))
				args->what |= names[i].bit;
		}
		if (args->what == was)
			return parse_bad(p, "There is no such result option");
	} while (imap_sp(&p->s));
	return scan_char(&p->s, ')');
}

static bool
charset_get(struct parse *p, struct search_args *args)
{
	if (!imap_sp(&p->s) || !imap_astring(&p->s, p->ar, &args->charset))
		return parse_bad(p, "A charset was expected");
	args->bad_charset = !mime_charset_known(args->charset);
	return true;
}

bool
parse_search(struct parse *p)
{
	struct search_args *args = ARGS(p, struct search_args);

	if (args == NULL || !imap_sp(&p->s))
		return parse_bad(p, "A search key was expected");
	if (imap_word(&p->s, S("RETURN"))) {
		if (!returns_get(p, args))
			return false;
		if (!imap_sp(&p->s))
			return parse_bad(p, "A search key was expected");
	}
	if (imap_word(&p->s, S("CHARSET"))) {
		if (!charset_get(p, args))
			return false;
		if (!imap_sp(&p->s))
			return parse_bad(p, "A search key was expected");
	}
	return keys_get(p, args, 0, &args->root);
}
