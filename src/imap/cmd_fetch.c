/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * FETCH, UID FETCH: all items of RFC 3501 and RFC 9051, and EMAILID,
 * THREADID (RFC 8474), SAVEDATE (RFC 8514), BINARY (RFC 3516). Browsing
 * never opens a body: what is not in the entry is in the summary.
 */
#include "imap/fetch.h"

enum {
	BATCH = 256,
	BATCH_SEEN = 32 /* messages whose \Seen is set at once */
};

#define FAST (ITEM_FLAGS | ITEM_INTERNALDATE | ITEM_SIZE)

/* clang-format off */
static const struct {
	str name;
	unsigned items;
	bool macro; /* only alone */
} item_names[] = {
	{ S("ALL"),           FAST | ITEM_ENVELOPE,             true },
	{ S("FAST"),          FAST,                             true },
	{ S("FULL"),          FAST | ITEM_ENVELOPE | ITEM_BODY, true },
	{ S("UID"),           ITEM_UID,                         false },
	{ S("FLAGS"),         ITEM_FLAGS,                       false },
	{ S("INTERNALDATE"),  ITEM_INTERNALDATE,                false },
	{ S("RFC822.SIZE"),   ITEM_SIZE,                        false },
	{ S("ENVELOPE"),      ITEM_ENVELOPE,                    false },
	{ S("BODY"),          ITEM_BODY,                        false },
	{ S("BODYSTRUCTURE"), ITEM_BODYSTRUCTURE,               false },
	{ S("EMAILID"),       ITEM_EMAILID,                     false },
	{ S("THREADID"),      ITEM_THREADID,                    false },
	{ S("SAVEDATE"),      ITEM_SAVEDATE,                    false },
};
static const struct {
	str name;
	enum part_kind_asked kind;
	bool section, seen;
} part_names[] = {
	{ S("BODY"),          ASKED_BODY,          true,  true },
	{ S("BODY.PEEK"),     ASKED_BODY,          true,  false },
	{ S("BINARY"),        ASKED_BINARY,        true,  true },
	{ S("BINARY.PEEK"),   ASKED_BINARY,        true,  false },
	{ S("BINARY.SIZE"),   ASKED_BINARY_SIZE,   true,  false },
	{ S("RFC822"),        ASKED_RFC822,        false, true },
	{ S("RFC822.HEADER"), ASKED_RFC822_HEADER, false, false },
	{ S("RFC822.TEXT"),   ASKED_RFC822_TEXT,   false, true },
};
/* clang-format on */

/* ---- parsing ---- */

static bool
is_item_char(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c >= '0' && c <= '9') || c == '.';
}

static bool
add_part(struct parse *p, struct fetch_args *args, size_t row)
{
	struct fetch_part part = {.kind = part_names[row].kind};
	bool binary =
	    part.kind == ASKED_BINARY || part.kind == ASKED_BINARY_SIZE;

	if (part_names[row].section &&
	    !imap_section_get(&p->s, p->ar, binary, &part.section))
		return parse_bad(p, "The section is malformed");
	if (part.kind != ASKED_BINARY_SIZE && part_names[row].section &&
	    !imap_partial_get(&p->s, &part.section))
		return parse_bad(p, "<offset.length> was expected");
	if (!ARENA_PUSH(p->ar, args->parts, args->n, args->cap))
		return false;
	args->parts[args->n++] = part;
	args->seen |= part_names[row].seen;
	return true;
}

static bool
fetch_item(struct parse *p, struct fetch_args *args, bool alone)
{
	bool section;
	str name;

	if (!scan_while(&p->s, is_item_char, &name))
		return parse_bad(p, "An item to fetch was expected");
	section = scan_peek(&p->s) == '[';
	for (size_t i = 0; i < NELEM(part_names); i++) {
		if (section == part_names[i].section &&
		    str_caseeq(name, part_names[i].name))
			return add_part(p, args, i);
	}
	for (size_t i = 0; !section && i < NELEM(item_names); i++) {
		if (!str_caseeq(name, item_names[i].name))
			continue;
		if (item_names[i].macro && !alone)
			return parse_bad(p, "ALL, FAST and FULL stand alone");
		args->items |= item_names[i].items;
		return true;
	}
	return parse_bad(p, "There is no such item to fetch");
}

bool
parse_fetch(struct parse *p)
{
	struct fetch_args *args = ARGS(p, struct fetch_args);

	if (args == NULL || !arg_set(p, &args->set))
		return false;
	if (!imap_sp(&p->s))
		return parse_bad(p, "An item to fetch was expected");
	if (p->uid)
		args->items |= ITEM_UID;
	if (!scan_char(&p->s, '('))
		return fetch_item(p, args, true);
	do {
		if (!fetch_item(p, args, false))
			return false;
	} while (imap_sp(&p->s));
	return scan_char(&p->s, ')');
}

/* ---- one message ---- */

static void
put_entry_items(struct fetched *m, unsigned items)
{
	struct view *v = m->s->view;
	const struct entry *e = m->e;
	struct buf *b = &m->text;

	if (items & ITEM_UID) {
		buf_s(b, " UID ");
		buf_u64(b, e->uid);
	}
	if (items & ITEM_FLAGS) {
		buf_c(b, ' ');
		put_flags(m->s, e, b);
	}
	if (items & ITEM_INTERNALDATE) {
		buf_s(b, " INTERNALDATE ");
		imap_put_date_time(b, e->internaldate);
	}
	if (items & ITEM_SIZE) {
		buf_s(b, " RFC822.SIZE ");
		buf_u64(b, e->size);
	}
	if (items & ITEM_EMAILID) {
		buf_s(b, " EMAILID (");
		view_emailid(v, e, b);
		buf_c(b, ')');
	}
	if ((items & ITEM_THREADID) && e->thread != 0) {
		buf_s(b, " THREADID (");
		view_threadid(v, e, b);
		buf_c(b, ')');
	} else if (items & ITEM_THREADID) {
		buf_s(b, " THREADID NIL");
	}
	if (items & ITEM_SAVEDATE) {
		buf_s(b, " SAVEDATE ");
		imap_put_date_time(b, (struct stamp){.sec = e->savedate});
	}
}

static enum err
put_summary_items(struct fetched *m, unsigned items)
{
	enum err e;

	if ((items & ITEM_SUMMARY) == 0)
		return OK;
	if ((e = fetched_summary(m)) != OK)
		return e;
	if (items & ITEM_ENVELOPE) {
		buf_s(&m->text, " ENVELOPE ");
		buf_str_add(&m->text, m->summary.envelope);
	}
	if (items & ITEM_BODYSTRUCTURE) {
		buf_s(&m->text, " BODYSTRUCTURE ");
		buf_str_add(&m->text, m->summary.bodystructure);
	}
	if (items & ITEM_BODY) {
		buf_s(&m->text, " BODY ");
		mime_body_of(m->summary.bodystructure, &m->text);
	}
	return OK;
}

static enum err
fetch_one(struct fetched *m, const struct fetch_args *args, unsigned items)
{
	size_t open;
	enum err e;

	buf_s(&m->text, "* ");
	buf_u64(&m->text, m->e->seq);
	buf_s(&m->text, " FETCH (");
	open = m->text.n;
	put_entry_items(m, items);
	e = put_summary_items(m, items);
	for (size_t i = 0; e == OK && i < args->n; i++)
		e = fetch_part_put(m, &args->parts[i]);
	if (e == OK && arena_failed(m->ar))
		e = ERR_NOMEM;
	if (e == OK && !buf_ok(&m->text))
		e = ERR_NOMEM;
	if (e != OK)
		return e;
	if (m->text.n > open) { /* the SP before the first item */
		size_t n = m->text.n - open - 1;

		memmove(m->text.p + open, m->text.p + open + 1, n);
		m->text.n--;
		for (size_t i = 0; i < m->nrefs; i++)
			m->refs[i].at--;
	}
	buf_s(&m->text, ")\r\n");
	fetched_send(m);
	return OK;
}

/* ---- all of them ---- */

struct fetch_cur {
	struct walk w;
	struct fetched m;
	struct fetch_list *list; /* NULL: not all can be had that way */
	bool fresh[BATCH_SEEN];  /* \Seen was set by us */
	bool gone, broken, unknown_cte;
};

static void
fetch_free(struct cmd *x)
{
	struct fetch_cur *f = x->cur;

	fetch_list_free(&f->list);
	fetched_free(&f->m);
	fetched_rest(&f->m);
	arena_free(&f->m.ar);
	walk_free(&f->w);
}

static bool
fetch_begin(struct session *s, struct cmd *x)
{
	const struct fetch_args *args = x->args;
	struct fetch_cur *f = arena_new_of(x->ar, struct fetch_cur);
	struct ranges uids = {0};
	bool good;

	if (f == NULL ||
	    !walk_new(&f->w, x->ar, args->seen ? BATCH_SEEN : BATCH)) {
		answer_err(x, ERR_LIMIT);
		return false;
	}
	f->m.s = s;
	f->m.ar = arena_new(0);
	x->cur = f;
	x->free = fetch_free;
	f->list = fetch_list_new(s, x->ar, args);
	good = set_uids(s, x, &args->set, x->uid, &uids);
	if (good)
		seqs_of(s->view, &uids, &f->w.seqs);
	ranges_free(&uids);
	return good;
}

/* Marks the batch as read. What cannot be marked is served all the same:
 * a full disk must not hide mail. */
static void
mark_seen(struct session *s, struct fetch_cur *f)
{
	struct flag_change c = {
	    FLAGS_ADD, {.system = FLAG_SEEN}, UINT64_MAX, true};
	struct ranges uids = {0};
	struct ranges modified = {0};
	struct ranges gone = {0};
	enum err e = OK;

	memset(f->fresh, 0, sizeof(f->fresh));
	if (view_readonly(s->view))
		return;
	for (size_t i = 0; i < f->w.n; i++) {
		const struct entry *en = &f->w.e[i];

		f->fresh[i] = !(en->flags & FLAG_SEEN) && !en->expunged;
		if (f->fresh[i])
			ranges_add(&uids, en->uid, en->uid);
	}
	if (uids.n > 0)
		e = store_flags(s->view, &uids, &c, &modified, &gone);
	if (e != OK)
		memset(f->fresh, 0, sizeof(f->fresh));
	else if (uids.n > 0) {
		size_t n = f->w.n;

		f->w.n = view_entries(s->view, f->w.e[0].seq, f->w.e, n);
		f->broken |= f->w.n < n;
	}
	ranges_free(&uids);
	ranges_free(&modified);
	ranges_free(&gone);
}

static void
fetch_next(
    struct session *s, struct fetch_cur *f, const struct fetch_args *args)
{
	unsigned items = args->items;
	enum err e;

	f->m.e = &f->w.e[f->w.i];
	if (args->seen && f->fresh[f->w.i])
		items |= ITEM_FLAGS;
	f->w.i++;
	f->m.unknown_cte = false;
	e = fetch_one(&f->m, args, items);
	f->unknown_cte |= f->m.unknown_cte;
	if (e == ERR_EXPUNGED || e == ERR_NOTFOUND) {
		f->gone = true;
	} else if (e != OK) {
		f->broken = true;
		log_error("imap: a message could not be read",
		    KV_S("user", s->user), KV_N("uid", f->m.e->uid), KV_ERR(e));
	}
	fetched_free(&f->m);
}

static void
fetch_answer(struct cmd *x, const struct fetch_cur *f)
{
	if (f->broken || f->w.broken)
		answer_no(x, "SERVERBUG", "Some messages could not be read");
	else if (f->gone)
		answer_err(x, ERR_EXPUNGED);
	else if (f->unknown_cte)
		answer_no(x, "UNKNOWN-CTE",
		    "Some parts have an encoding that is not known");
	else
		answer_ok(x, "Fetched");
}

enum step
cmd_fetch(struct session *s, struct cmd *x)
{
	const struct fetch_args *args = x->args;
	struct fetch_cur *f;

	if (x->cur == NULL && !fetch_begin(s, x))
		return STEP_DONE;
	f = x->cur;
	for (;;) {
		if (f->w.i == f->w.n) {
			if (!walk_fill(&f->w, s->view))
				break;
			if (args->seen)
				mark_seen(s, f);
		}
		if (f->list != NULL)
			f->w.i += fetch_list_put(
			    f->list, &f->w.e[f->w.i], f->w.n - f->w.i);
		else if (f->w.i < f->w.n)
			fetch_next(s, f, args);
		if (out_full(s->conn)) {
			fetched_rest(&f->m);
			return STEP_MORE;
		}
		/* What the list could not have. */
		if (f->list != NULL && f->w.i < f->w.n)
			fetch_next(s, f, args);
	}
	fetch_answer(x, f);
	return STEP_DONE;
}
