/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The account as a stream of items (import.h).
 *
 * (1) One message is in memory at a time, and one view is open.
 */
#include "store/import.h"

struct exporter {
	struct acct *a;
	struct arena *ar; /* the list of mailboxes */
	struct mailbox_info *boxes;
	size_t nboxes, box, sub;
	bool all;
	struct view *view;
	str *keywords;
	size_t nkeywords;
	struct arena *view_ar;
	struct entry batch[64];
	size_t have, at;
	uint32_t seq;
	struct buf text, uidl;
	struct arena *item_ar;
	uint64_t skipped;
};

enum err
exporter_new(struct acct *a, str box, struct exporter **out)
{
	struct exporter *ex = x_alloc(sizeof(*ex));
	enum err e;

	*out = NULL;
	ex->a = a;
	ex->ar = arena_new(0);
	ex->all = box.n == 0;
	if (ex->all) {
		e = mailbox_list(a, ex->ar, &ex->boxes, &ex->nboxes);
	} else {
		str name;

		ex->boxes = arena_new_of(ex->ar, struct mailbox_info);
		ex->nboxes = 1;
		e = mailbox_name(ex->ar, box, &name);
		if (e == OK)
			e = mailbox_find(a, ex->ar, name, ex->boxes);
	}
	if (e != OK)
		exporter_free(&ex);
	*out = ex;
	return e;
}

void
exporter_free(struct exporter **p)
{
	struct exporter *ex = *p;

	*p = NULL;
	if (ex == NULL)
		return;
	view_close(&ex->view);
	arena_free(&ex->ar);
	arena_free(&ex->view_ar);
	arena_free(&ex->item_ar);
	buf_free(&ex->text);
	buf_free(&ex->uidl);
	x_free(&ex);
}

uint64_t
exporter_skipped(const struct exporter *ex)
{
	return ex->skipped;
}

/* Opens the next mailbox that can hold messages. ERR_NOTFOUND: there is
 * none. One that cannot be read is no reason to go on without it. */
static enum err
next_box(struct exporter *ex, struct import_item *it)
{
	struct mailbox_info *b;
	enum err e;

	while (ex->box < ex->nboxes) {
		b = &ex->boxes[ex->box++];
		if (b->attrs & (MB_NOSELECT | MB_NONEXISTENT))
			continue;
		e = view_open(ex->a, b->id, true, 0, &ex->view);
		if (e == OK) {
			ex->view_ar = arena_new(0);
			e = view_keywords(ex->view, ex->view_ar, &ex->keywords,
			    &ex->nkeywords);
		}
		if (e != OK) {
			view_close(&ex->view);
			arena_free(&ex->view_ar);
			if (e != ERR_NOTFOUND) /* deleted meanwhile */
				return e;
			continue;
		}
		ex->seq = 1;
		ex->have = ex->at = 0;
		it->what = IMPORT_BOX;
		it->mailbox = b->name;
		it->uidvalidity = view_uidvalidity(ex->view);
		return OK;
	}
	return ERR_NOTFOUND;
}

static void
flags(struct exporter *ex, const struct entry *e, struct import_item *it)
{
	str *v = NULL;
	size_t n = 0, cap = 0;
	bool on;

	it->flags = (unsigned)(e->flags & FLAG_SYSTEM);
	for (size_t i = 0; i < ex->nkeywords; i++) {
		if (i < 57)
			on = e->flags >> (6 + i) & 1;
		else
			on = e->flags >> 63 &&
			     view_has_keyword(ex->view, e, ex->keywords[i]);
		if (on && ARENA_PUSH(ex->item_ar, v, n, cap))
			v[n++] = ex->keywords[i];
	}
	it->keywords = v;
	it->nkeywords = n;
}

static enum err
read_text(struct exporter *ex, const struct entry *e)
{
	struct source *src = NULL;
	enum err r;
	char *p;

	if ((r = view_source(ex->view, e, &src)) != OK)
		return r;
	buf_reset(&ex->text);
	if ((p = buf_room(&ex->text, (size_t)src->size + 1)) == NULL)
		r = ERR_NOMEM;
	else
		r = src->ops->read(src, 0, p, (size_t)src->size);
	if (r == OK)
		ex->text.n = (size_t)src->size;
	source_unref(&src);
	if (r == ERR_NOMEM)
		buf_free(&ex->text);
	return r;
}

/* No entry more: is it the end, or can the rest not be read? */
static void
cannot_go_on(struct exporter *ex)
{
	uint32_t exists = view_exists(ex->view);

	if (ex->seq > exists)
		return;
	ex->skipped += exists - ex->seq + 1;
	log_error("messages of a mailbox could not be exported",
	    KV_N("messages", exists - ex->seq + 1));
}

/* The next message of the open view; false: there is none. */
static bool
next_message(struct exporter *ex, struct import_item *it)
{
	struct entry *e;
	enum err r;

	for (;;) {
		if (ex->at == ex->have) {
			ex->at = 0;
			ex->have = view_entries(
			    ex->view, ex->seq, ex->batch, NELEM(ex->batch));
			if (ex->have == 0) {
				cannot_go_on(ex);
				return false;
			}
			ex->seq += (uint32_t)ex->have;
		}
		e = &ex->batch[ex->at++];
		if (e->expunged)
			continue;
		if ((r = read_text(ex, e)) == OK)
			break;
		if (r != ERR_EXPUNGED) {
			ex->skipped++;
			log_error("a message could not be exported",
			    KV_N("message", e->message), KV_ERR(r));
		}
	}
	it->what = IMPORT_MESSAGE;
	it->uid = e->uid;
	it->internaldate = e->internaldate;
	it->copy = 1;
	flags(ex, e, it);
	buf_reset(&ex->uidl);
	view_uidl(ex->view, e, &ex->uidl);
	it->uidl = buf_str(&ex->uidl);
	it->message = buf_str(&ex->text);
	return true;
}

enum err
exporter_next(struct exporter *ex, struct import_item *it, bool *end)
{
	enum err e;

	*it = (struct import_item){0};
	*end = false;
	if (ex->item_ar == NULL)
		ex->item_ar = arena_new(0);
	arena_reset(ex->item_ar);
	if (ex->view == NULL && (e = next_box(ex, it)) != ERR_NOTFOUND)
		return e;
	if (ex->view != NULL) {
		it->mailbox = ex->boxes[ex->box - 1].name;
		it->uidvalidity = view_uidvalidity(ex->view);
		if (next_message(ex, it))
			return OK;
		it->what = IMPORT_BOX_END;
		it->uidnext = view_uidnext(ex->view);
		view_close(&ex->view);
		arena_free(&ex->view_ar);
		return OK;
	}
	for (; ex->all && ex->sub < ex->nboxes; ex->sub++) {
		if (ex->boxes[ex->sub].attrs & MB_SUBSCRIBED) {
			it->what = IMPORT_SUBSCRIBED;
			it->mailbox = ex->boxes[ex->sub++].name;
			return OK;
		}
	}
	*end = true;
	return OK;
}
