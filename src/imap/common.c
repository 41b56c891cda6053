/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * What several commands need: arguments, names, sets, walks.
 */
#include "imap/imap_int.h"

#define SAME(a, b) _Static_assert((int)(a) == (int)(b), #a)
SAME(IMAP_SEEN, FLAG_SEEN);
SAME(IMAP_ANSWERED, FLAG_ANSWERED);
SAME(IMAP_FLAGGED, FLAG_FLAGGED);
SAME(IMAP_DELETED, FLAG_DELETED);
SAME(IMAP_DRAFT, FLAG_DRAFT);

/* ---- arguments ---- */

bool
arg_mailbox(struct parse *p, str *raw)
{
	if (imap_sp(&p->s) && imap_astring(&p->s, p->ar, raw))
		return true;
	return parse_bad(p, "The name of a mailbox was expected");
}

bool
arg_set(struct parse *p, struct imap_set *set)
{
	if (imap_sp(&p->s) && imap_set_get(&p->s, p->ar, set))
		return true;
	return parse_bad(p, "A set of message numbers was expected");
}

bool
parse_none(struct parse *p)
{
	return true;
}

bool
parse_mailbox(struct parse *p)
{
	str *name = ARGS(p, str);

	return name != NULL && arg_mailbox(p, name);
}

struct flag_set
flags_of(const struct imap_flags *f)
{
	return (struct flag_set){f->system, f->keywords, f->nkeywords};
}

/* ---- names ---- */

const struct special_use special_uses[] = {
    {S("All"), MB_ALL},
    {S("Archive"), MB_ARCHIVE},
    {S("Drafts"), MB_DRAFTS},
    {S("Flagged"), MB_FLAGGED},
    {S("Important"), MB_IMPORTANT},
    {S("Junk"), MB_JUNK},
    {S("Sent"), MB_SENT},
    {S("Trash"), MB_TRASH},
};
const size_t special_uses_n = NELEM(special_uses);

enum err
name_decode(struct session *s, struct arena *ar, str raw, str *out)
{
	struct buf utf8 = {0};
	struct buf nfc = {0};
	enum err e = OK;

	if (s->utf8)
		buf_str_add(&utf8, raw);
	else
		e = mutf7_get(&utf8, raw);
	if (e == OK)
		e = utf8_nfc(&nfc, buf_str(&utf8));
	if (e == OK) {
		*out = arena_buf(ar, &nfc);
		if (out->p == NULL && nfc.n > 0)
			e = ERR_NOMEM;
	}
	buf_free(&utf8);
	buf_free(&nfc);
	return e;
}

enum err
name_get(struct session *s, struct arena *ar, str raw, str *name)
{
	enum err e = name_decode(s, ar, raw, name);

	return e != OK ? e : mailbox_name(ar, *name, name);
}

bool
name_find(struct session *s, struct cmd *x, str raw, bool trycreate,
    struct mailbox_info *m)
{
	str name;
	enum err e = name_get(s, x->ar, raw, &name);

	if (e == OK)
		e = mailbox_find(s->acct, x->ar, name, m);
	if (e == OK && (m->attrs & MB_NONEXISTENT))
		e = ERR_NOTFOUND;
	if (e == OK && (m->attrs & MB_NOSELECT))
		e = ERR_CANNOT;
	if (e == ERR_NOTFOUND && trycreate)
		answer_no(x, "TRYCREATE", "There is no such mailbox yet");
	else if (e == ERR_CANNOT)
		answer_no(x, "CANNOT", "That is a level, and holds no mail");
	else if (e != OK)
		answer_err(x, e);
	return e == OK;
}

bool
name_changed(struct session *s, struct arena *ar, str raw)
{
	str name;

	return s->rev2 && name_decode(s, ar, raw, &name) == OK &&
	       !str_eq(name, raw);
}

void
put_oldname(struct session *s, const char *attrs, str name, const str *old)
{
	struct buf b = {0};

	buf_f(&b, "* LIST (%s) \"/\" ", attrs);
	imap_put_mailbox(&b, name, s->utf8);
	if (old != NULL) {
		buf_s(&b, " (\"OLDNAME\" (");
		imap_put_quoted(&b, *old);
		buf_s(&b, "))");
	}
	buf_s(&b, "\r\n");
	out_str(s->conn, buf_str(&b));
	buf_free(&b);
}

/* ---- sets ---- */

bool
set_uids(struct session *s, struct cmd *x, const struct imap_set *set,
    bool uids, struct ranges *out)
{
	uint32_t exists = view_exists(s->view);
	uint32_t last = exists;
	struct ranges given = {0};

	if (uids) {
		last = exists == 0 ? 0 : view_uid(s->view, exists);
	} else if (imap_set_max(set) > exists ||
		   (exists == 0 && imap_set_star(set))) {
		answer_bad(x, "There are not that many messages");
		return false;
	}
	imap_set_resolve(set, last, x->ar, &given);
	view_resolve(s->view, &given, uids, out);
	if (set->saved) {
		struct ranges saved = {0};

		view_resolve(s->view, &s->saved, true, &saved);
		ranges_union(out, &saved);
		ranges_free(&saved);
	}
	ranges_free(&given);
	if (arena_failed(x->ar)) {
		answer_err(x, ERR_LIMIT);
		return false;
	}
	return true;
}

void
seqs_of(const struct view *v, const struct ranges *uids, struct ranges *out)
{
	struct range *r;

	ranges_reset(out);
	if (uids->n == 0)
		return;
	r = x_array(uids->n, sizeof(*r));
	for (size_t i = 0; i < uids->n; i++) {
		r[i].lo = view_seq(v, uids->v[i].lo);
		r[i].hi = view_seq(v, uids->v[i].hi);
		assert(r[i].lo != 0 && r[i].lo <= r[i].hi);
	}
	ranges_set(out, r, uids->n);
	x_free(&r);
}

/* ---- walks ---- */

bool
walk_new(struct walk *w, struct arena *ar, size_t batch)
{
	w->e = arena_array(ar, batch, sizeof(*w->e));
	w->cap = batch;
	w->next = 1;
	w->n = 0;
	w->i = 0;
	w->broken = false;
	return w->e != NULL;
}

bool
walk_fill(struct walk *w, struct view *v)
{
	size_t n = 1;

	if (!ranges_next(&w->seqs, w->next, &w->next))
		return false;
	while (n < w->cap && ranges_has(&w->seqs, w->next + (uint32_t)n))
		n++;
	w->n = view_entries(v, w->next, w->e, n);
	w->i = 0;
	w->next += (uint32_t)w->n;
	w->broken = w->n == 0;
	return w->n > 0;
}

void
walk_free(struct walk *w)
{
	ranges_free(&w->seqs);
}

/* ---- a source in memory ---- */

struct mem_source {
	struct source s;
	struct buf b;
};

static enum err
mem_read(struct source *s, uint64_t at, void *p, size_t n)
{
	struct mem_source *m = (struct mem_source *)s;

	if (at > m->b.n || n > m->b.n - at)
		return ERR_IO;
	if (n > 0)
		memcpy(p, m->b.p + at, n);
	return OK;
}

static void
mem_free(struct source *s)
{
	struct mem_source *m = (struct mem_source *)s;

	buf_free(&m->b);
	x_free(&m);
}

struct source *
source_of_buf(struct buf *b)
{
	static const struct source_ops ops = {
	    .read = mem_read, .free = mem_free};
	struct mem_source *m = x_alloc(sizeof(*m));

	m->s.ops = &ops;
	atomic_init(&m->s.refs, 1);
	m->s.size = b->n;
	m->b = *b;
	*b = (struct buf){0};
	return &m->s;
}
