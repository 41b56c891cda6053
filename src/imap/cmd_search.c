/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * SEARCH, UID SEARCH, with ESEARCH (RFC 4731) and SEARCHRES (RFC 5182).
 * The search is done in slices of some milliseconds, so that others get
 * their turn and a client that has gone stops it.
 */
#include "imap/search.h"

enum { SLICE_MS = 20, BATCH = 1024 };

struct search_cur {
	struct search *search;
	struct ranges found; /* sequence numbers, or UIDs with UID SEARCH */
	struct ranges uids;
	bool done, begun;
	uint32_t next;
};

static void
search_end(struct cmd *x)
{
	const struct search_args *args = x->args;
	struct search_cur *c = x->cur;

	if (c->search != NULL)
		search_free(&c->search);
	ranges_free(&c->found);
	ranges_free(&c->uids);
	for (size_t i = 0; i < args->nsets; i++)
		ranges_free(&args->sets[i].key->set);
}

/* "*" and "$" of the keys. Numbers that no message has match nothing. */
static void
resolve_sets(struct session *s, struct cmd *x, const struct search_args *args)
{
	uint32_t exists = view_exists(s->view);
	uint32_t last = exists == 0 ? 0 : view_uid(s->view, exists);

	for (size_t i = 0; i < args->nsets; i++) {
		struct search_set *set = &args->sets[i];
		struct search_key *k = set->key;
		bool uids = k->op == SEARCH_UIDS;

		imap_set_resolve(
		    &set->set, uids ? last : exists, x->ar, &k->set);
		if (!set->set.saved)
			continue;
		/* "$" is UIDs: the rest of the set becomes UIDs too. */
		if (!uids) {
			struct ranges r = {0};

			view_resolve(s->view, &k->set, false, &r);
			ranges_copy(&k->set, &r);
			ranges_free(&r);
			k->op = SEARCH_UIDS;
		}
		ranges_union(&k->set, &s->saved);
	}
}

static bool
search_begin(struct session *s, struct cmd *x)
{
	const struct search_args *args = x->args;
	struct search_cur *c;
	enum err e;

	if (args->bad_charset) {
		answer(x, ANSWER_NO, S("BADCHARSET (UTF-8 US-ASCII)"),
		    "That charset is not known");
		return false;
	}
	c = arena_new_of(x->ar, struct search_cur);
	if (c == NULL) {
		answer_err(x, ERR_LIMIT);
		return false;
	}
	x->cur = c;
	x->free = search_end;
	resolve_sets(s, x, args);
	if (arena_failed(x->ar))
		e = ERR_LIMIT;
	else
		e = search_new(s->view, x->ar, args->root, &c->search);
	if (e != OK)
		answer_err(x, e);
	return e == OK;
}

/* RFC 5182 2.4: MIN and MAX alone save just these. */
static void
save_result(struct session *s, const struct search_args *args,
    const struct ranges *uids)
{
	unsigned what = args->what;

	ranges_reset(&s->saved);
	if (uids->n == 0)
		return;
	if (what & (RETURN_ALL | RETURN_COUNT) ||
	    !(what & (RETURN_MIN | RETURN_MAX))) {
		ranges_copy(&s->saved, uids);
		return;
	}
	if (what & RETURN_MIN)
		ranges_add(&s->saved, uids->v[0].lo, uids->v[0].lo);
	if (what & RETURN_MAX) {
		uint32_t max = uids->v[uids->n - 1].hi;

		ranges_add(&s->saved, max, max);
	}
}

static void
take_result(struct session *s, struct cmd *x, struct search_cur *c)
{
	const struct search_args *args = x->args;
	const struct ranges *found = search_found(c->search);

	view_resolve(s->view, found, false, &c->uids);
	ranges_copy(&c->found, x->uid ? &c->uids : found);
	if (args->what & RETURN_SAVE)
		save_result(s, args, &c->uids);
	search_free(&c->search);
	c->done = true;
}

static void
put_esearch(struct session *s, struct cmd *x, const struct search_cur *c)
{
	const struct search_args *args = x->args;
	unsigned what = args->returns ? args->what : RETURN_ALL;
	const struct ranges *r = &c->found;
	struct buf b = {0};

	if (what == RETURN_SAVE)
		return;
	buf_s(&b, "* ESEARCH (TAG ");
	imap_put_quoted(&b, x->tag);
	buf_c(&b, ')');
	if (x->uid)
		buf_s(&b, " UID");
	if ((what & RETURN_MIN) && r->n > 0)
		buf_f(&b, " MIN %u", r->v[0].lo);
	if ((what & RETURN_MAX) && r->n > 0)
		buf_f(&b, " MAX %u", r->v[r->n - 1].hi);
	if (what & RETURN_COUNT)
		buf_f(&b, " COUNT %llu", (unsigned long long)ranges_count(r));
	if ((what & RETURN_ALL) && r->n > 0) {
		buf_s(&b, " ALL ");
		ranges_print(&b, r);
	}
	buf_s(&b, "\r\n");
	out_str(s->conn, buf_str(&b));
	buf_free(&b);
}

/* "* SEARCH 1 2 3 ...", in pieces. */
static enum step
put_search(struct session *s, struct search_cur *c)
{
	bool more = true;

	if (!c->begun) {
		c->begun = true;
		out_s(s->conn, "* SEARCH");
	}
	while (more) {
		struct buf b = {0};

		for (int i = 0; i < BATCH; i++) {
			more = ranges_next(&c->found, c->next, &c->next);
			if (!more)
				break;
			buf_f(&b, " %u", c->next);
			if (c->next == UINT32_MAX) {
				more = false;
				break;
			}
			c->next++;
		}
		out_str(s->conn, buf_str(&b));
		buf_free(&b);
		if (more && out_full(s->conn))
			return STEP_MORE;
	}
	out_s(s->conn, "\r\n");
	return STEP_DONE;
}

/* $ is empty after a search that was to be saved and failed. */
static enum step
search_failed(struct session *s, struct cmd *x)
{
	const struct search_args *args = x->args;

	if (args->what & RETURN_SAVE)
		ranges_reset(&s->saved);
	return STEP_DONE;
}

enum step
cmd_search(struct session *s, struct cmd *x)
{
	const struct search_args *args = x->args;
	struct search_cur *c;
	enum err e;

	if (x->cur == NULL && !search_begin(s, x))
		return search_failed(s, x);
	c = x->cur;
	if (!c->done) {
		bool done = false;

		if ((e = search_step(c->search, SLICE_MS, &done)) != OK) {
			answer_err(x, e);
			return search_failed(s, x);
		}
		if (!done && conn_left(s->conn)) {
			answer_no(x, "", "Nobody listens");
			return STEP_CLOSE;
		}
		if (!done)
			return STEP_MORE;
		take_result(s, x, c);
	}
	if (args->returns || s->rev2)
		put_esearch(s, x, c);
	else if (put_search(s, c) == STEP_MORE)
		return STEP_MORE;
	answer_ok(x, "Searched");
	return STEP_DONE;
}
