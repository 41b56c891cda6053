/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * LIST, also extended (RFC 5258), with STATUS (RFC 5819) and SPECIAL-USE
 * (RFC 6154); LSUB.
 *
 * (1) All names are read once; then each is matched in linear time. What
 *     stands below what (for LSUB's "%", RECURSIVEMATCH) is found through a
 *     map of names, not by comparing all with all.
 */
#include "imap/imap_int.h"
#include "proto/match.h"

enum {
	SEL_SUBSCRIBED = 1,
	SEL_REMOTE = 2,
	SEL_RECURSIVE = 4,
	SEL_SPECIAL = 8,
	RET_SUBSCRIBED = 16,
	RET_CHILDREN = 32,
	RET_SPECIAL = 64
};
enum {
	BATCH = 128,
	TURN = 4096, /* names, then others get their turn */
	PATTERNS_MAX = 100
};

struct list_args {
	bool lsub;
	unsigned options;
	unsigned status; /* RETURN (STATUS (...)) */
	str ref;
	str *patterns;
	size_t n, cap;
};

/* ---- parsing ---- */

struct option {
	str name;
	unsigned bit;
};
static const struct option select_options[] = {
    {S("SUBSCRIBED"), SEL_SUBSCRIBED},
    {S("REMOTE"), SEL_REMOTE},
    {S("RECURSIVEMATCH"), SEL_RECURSIVE},
    {S("SPECIAL-USE"), SEL_SPECIAL},
    {STR_NONE, 0},
};
static const struct option return_options[] = {
    {S("SUBSCRIBED"), RET_SUBSCRIBED},
    {S("CHILDREN"), RET_CHILDREN},
    {S("SPECIAL-USE"), RET_SPECIAL},
    {STR_NONE, 0},
};

static bool
option_get(struct parse *p, struct list_args *args, const struct option *all)
{
	str name;

	if (!imap_atom(&p->s, &name))
		return parse_bad(p, "An option of LIST was expected");
	for (; all->name.n > 0; all++) {
		if (str_caseeq(name, all->name)) {
			args->options |= all->bit;
			return true;
		}
	}
	return parse_bad(p, "There is no such option of LIST");
}

static bool
select_list(struct parse *p, struct list_args *args)
{
	if (!scan_char(&p->s, '('))
		return true;
	if (!scan_char(&p->s, ')')) {
		do {
			if (!option_get(p, args, select_options))
				return false;
		} while (imap_sp(&p->s));
		if (!scan_char(&p->s, ')'))
			return false;
	}
	if ((args->options & SEL_RECURSIVE) &&
	    !(args->options & (SEL_SUBSCRIBED | SEL_SPECIAL)))
		return parse_bad(p, "RECURSIVEMATCH does not stand alone");
	return imap_sp(&p->s);
}

static bool
return_option(struct parse *p, struct list_args *args)
{
	struct scan was = p->s;

	if (imap_word(&p->s, S("STATUS"))) {
		if (!imap_sp(&p->s))
			return parse_bad(p, "A list of items was expected");
		return status_items(p, &args->status);
	}
	p->s = was;
	return option_get(p, args, return_options);
}

static bool
return_list(struct parse *p, struct list_args *args)
{
	if (!imap_sp(&p->s))
		return true;
	if (!imap_word(&p->s, S("RETURN")) || !imap_sp(&p->s) ||
	    !scan_char(&p->s, '('))
		return parse_bad(p, "RETURN (...) was expected");
	if (scan_char(&p->s, ')'))
		return true;
	do {
		if (!return_option(p, args))
			return false;
	} while (imap_sp(&p->s));
	return scan_char(&p->s, ')');
}

static bool
pattern_get(struct parse *p, struct list_args *args)
{
	if (args->n >= PATTERNS_MAX ||
	    !ARENA_PUSH(p->ar, args->patterns, args->n, args->cap) ||
	    !imap_list_mailbox(&p->s, p->ar, &args->patterns[args->n]))
		return parse_bad(p, "A pattern was expected");
	args->n++;
	return true;
}

static bool
pattern_list(struct parse *p, struct list_args *args)
{
	if (!scan_char(&p->s, '('))
		return pattern_get(p, args);
	do {
		if (!pattern_get(p, args))
			return false;
	} while (imap_sp(&p->s));
	return scan_char(&p->s, ')');
}

bool
parse_list(struct parse *p)
{
	struct list_args *args = ARGS(p, struct list_args);

	if (args == NULL || !imap_sp(&p->s) || !select_list(p, args))
		return false;
	if (!imap_astring(&p->s, p->ar, &args->ref) || !imap_sp(&p->s))
		return parse_bad(p, "A reference name was expected");
	return pattern_list(p, args) && return_list(p, args);
}

bool
parse_lsub(struct parse *p)
{
	struct list_args *args = ARGS(p, struct list_args);

	if (args == NULL || !imap_sp(&p->s) ||
	    !imap_astring(&p->s, p->ar, &args->ref) || !imap_sp(&p->s))
		return parse_bad(p, "A reference name was expected");
	args->lsub = true;
	args->options = SEL_SUBSCRIBED;
	return pattern_get(p, args);
}

/* ---- what there is ---- */

struct item {
	struct mailbox_info m;
	bool selected;      /* by the selection options */
	bool child;         /* something below is selected */
	bool child_outside; /* and does not match the pattern */
};
struct list_cur {
	struct item *v;
	size_t n, cap, at;
	struct map *names; /* name -> index + 1 */
	struct match **patterns;
	size_t npatterns;
	bool root; /* a pattern was "" */
};

static void
list_free(struct cmd *x)
{
	struct list_cur *l = x->cur;

	map_free(&l->names);
}

static bool
is_selected(const struct mailbox_info *m, unsigned options)
{
	if ((options & SEL_SUBSCRIBED) && !(m->attrs & MB_SUBSCRIBED))
		return false;
	if ((options & SEL_SPECIAL) && !(m->attrs & MB_SPECIAL_USE))
		return false;
	return (m->attrs & MB_NONEXISTENT) == 0 || (options & SEL_SUBSCRIBED);
}

static bool
matches(struct list_cur *l, str name)
{
	for (size_t i = 0; i < l->npatterns; i++) {
		if (match_name(l->patterns[i], name))
			return true;
	}
	return false;
}

static struct item *
item_add(struct cmd *x, struct list_cur *l, const struct mailbox_info *m)
{
	if (!ARENA_PUSH(x->ar, l->v, l->n, l->cap))
		return NULL;
	l->v[l->n] = (struct item){.m = *m};
	(void)map_put(l->names, m->name, (void *)(uintptr_t)(l->n + 1));
	return &l->v[l->n++];
}

/* Marks all levels above a selected name; a level that is no mailbox (only
 * possible above a name that is subscribed and not there) is added. */
static bool
mark_parents(struct cmd *x, struct list_cur *l, str name)
{
	bool outside = !matches(l, name);
	size_t n;

	while ((n = str_rchr(name, '/')) < name.n) {
		struct item *up;
		uintptr_t i;

		name.n = n;
		i = (uintptr_t)map_get(l->names, name);
		if (i != 0) {
			up = &l->v[i - 1];
		} else {
			struct mailbox_info m = {
			    .name = name, .attrs = MB_NONEXISTENT};

			if ((up = item_add(x, l, &m)) == NULL)
				return false;
		}
		if (up->child && (up->child_outside || !outside))
			return true; /* so are those above it */
		up->child = true;
		up->child_outside |= outside;
	}
	return true;
}

static enum err
read_names(struct session *s, struct cmd *x, struct list_cur *l)
{
	const struct list_args *args = x->args;
	bool parents = args->lsub || (args->options & SEL_RECURSIVE);
	struct mailbox_info *v = NULL;
	size_t n = 0;
	enum err e = mailbox_list(s->acct, x->ar, &v, &n);

	if (e != OK)
		return e;
	l->v = arena_array(x->ar, n, sizeof(*l->v));
	if (l->v == NULL)
		return ERR_LIMIT;
	l->cap = n;
	for (size_t i = 0; i < n; i++) {
		l->v[i].m = v[i];
		l->v[i].selected = is_selected(&v[i], args->options);
		if (parents)
			(void)map_put(
			    l->names, v[i].name, (void *)(uintptr_t)(i + 1));
	}
	l->n = n;
	for (size_t i = 0; parents && i < n; i++) {
		if (l->v[i].selected && !mark_parents(x, l, l->v[i].m.name))
			return ERR_LIMIT;
	}
	return OK;
}

/* Reference and pattern, decoded. What cannot be a name matches nothing. */
static enum err
add_pattern(struct session *s, struct cmd *x, struct list_cur *l, str raw)
{
	const struct list_args *args = x->args;
	str ref, name;
	struct match *m;

	if (raw.n == 0) {
		l->root = true;
		return OK;
	}
	if (name_decode(s, x->ar, args->ref, &ref) != OK ||
	    name_decode(s, x->ar, raw, &name) != OK)
		return OK;
	name = arena_f(x->ar, "%.*s%.*s", STR_ARG(ref), STR_ARG(name));
	/* "a/" is a way to write "a". */
	if (name.n > 1 && name.p[name.n - 1] == '/')
		name.n--;
	if (name.n > MATCH_PATTERN_MAX)
		return OK;
	m = match_new(x->ar, name);
	if (m == NULL)
		return ERR_LIMIT;
	l->patterns[l->npatterns++] = m;
	return OK;
}

static enum err
list_begin(struct session *s, struct cmd *x)
{
	const struct list_args *args = x->args;
	struct list_cur *l = arena_new_of(x->ar, struct list_cur);
	enum err e = OK;

	if (l == NULL)
		return ERR_LIMIT;
	l->names = map_new();
	x->cur = l;
	x->free = list_free;
	l->patterns = arena_array(x->ar, args->n, sizeof(*l->patterns));
	if (l->patterns == NULL)
		return ERR_LIMIT;
	for (size_t i = 0; e == OK && i < args->n; i++)
		e = add_pattern(s, x, l, args->patterns[i]);
	if (e == OK && l->npatterns > 0)
		e = read_names(s, x, l);
	return e;
}

/* ---- printing ---- */

static void
put_attr(struct buf *b, const char *name)
{
	if (b->p[b->n - 1] != '(')
		buf_c(b, ' ');
	buf_c(b, '\\');
	buf_str_add(b, str_c(name));
}

static void
put_attrs(struct buf *b, const struct mailbox_info *m, unsigned options)
{
	buf_c(b, '(');
	if (m->attrs & MB_NONEXISTENT)
		put_attr(b, "NonExistent");
	else if (m->attrs & MB_NOSELECT)
		put_attr(b, "Noselect");
	if (m->attrs & MB_HAS_CHILDREN)
		put_attr(b, "HasChildren");
	else if (!(m->attrs & MB_NONEXISTENT))
		put_attr(b, "HasNoChildren");
	if ((options & (SEL_SUBSCRIBED | RET_SUBSCRIBED)) &&
	    (m->attrs & MB_SUBSCRIBED))
		put_attr(b, "Subscribed");
	/* Also unasked: some look for them in a plain LIST alone. */
	for (size_t i = 0; i < special_uses_n; i++) {
		if (m->attrs & special_uses[i].attr)
			put_attr(b, special_uses[i].name.p);
	}
	buf_c(b, ')');
}

static void
put_list(
    struct session *s, struct buf *b, const struct item *it, unsigned options)
{
	buf_s(b, "* LIST ");
	put_attrs(b, &it->m, options);
	buf_s(b, " \"/\" ");
	imap_put_mailbox(b, it->m.name, s->utf8);
	if ((options & SEL_RECURSIVE) && it->child) {
		buf_s(b, " (\"CHILDINFO\" (");
		if (options & SEL_SUBSCRIBED)
			buf_s(b, "\"SUBSCRIBED\"");
		if ((options & SEL_SUBSCRIBED) && (options & SEL_SPECIAL))
			buf_c(b, ' ');
		if (options & SEL_SPECIAL)
			buf_s(b, "\"SPECIAL-USE\"");
		buf_s(b, "))");
	}
	buf_s(b, "\r\n");
}

static void
put_lsub(struct session *s, struct buf *b, const struct item *it)
{
	bool whole =
	    it->selected && !(it->m.attrs & (MB_NONEXISTENT | MB_NOSELECT));

	buf_str_add(
	    b, whole ? S("* LSUB () \"/\" ") : S("* LSUB (\\Noselect) \"/\" "));
	imap_put_mailbox(b, it->m.name, s->utf8);
	buf_s(b, "\r\n");
}

static void
put_item(struct session *s, const struct list_args *args, struct list_cur *l,
    const struct item *it, struct buf *b)
{
	if (args->lsub) {
		if ((it->selected || it->child_outside) &&
		    matches(l, it->m.name))
			put_lsub(s, b, it);
		return;
	}
	if (!it->selected && !((args->options & SEL_RECURSIVE) && it->child))
		return;
	if (!matches(l, it->m.name))
		return;
	put_list(s, b, it, args->options);
	if (args->status != 0 &&
	    !(it->m.attrs & (MB_NONEXISTENT | MB_NOSELECT))) {
		size_t n = b->n;

		/* One that has just gone has no status. */
		if (put_status(s, &it->m, args->status, b) != OK)
			b->n = n;
	}
}

static enum step
list_run(struct session *s, struct cmd *x)
{
	const struct list_args *args = x->args;
	struct list_cur *l;
	enum err e;

	if (x->cur == NULL && (e = list_begin(s, x)) != OK) {
		answer_err(x, e);
		return STEP_DONE;
	}
	l = x->cur;
	if (l->root) {
		l->root = false;
		out_str(s->conn, args->lsub
				     ? S("* LSUB (\\Noselect) \"/\" \"\"\r\n")
				     : S("* LIST (\\Noselect) \"/\" \"\"\r\n"));
	}
	while (l->at < l->n) {
		struct buf b = {0};

		for (int i = 0; i < BATCH && l->at < l->n; i++)
			put_item(s, args, l, &l->v[l->at++], &b);
		out_str(s->conn, buf_str(&b));
		buf_free(&b);
		if (out_full(s->conn) || (l->at % TURN == 0 && l->at < l->n))
			return STEP_MORE;
	}
	answer_ok(x, "That is all of them");
	return STEP_DONE;
}

enum step
cmd_list(struct session *s, struct cmd *x)
{
	return list_run(s, x);
}

enum step
cmd_lsub(struct session *s, struct cmd *x)
{
	return list_run(s, x);
}
