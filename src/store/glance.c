/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * What lists show of messages, straight from the rows of the index: one read
 * transaction for a batch, a step of a cursor for each message, and no copy
 * but of what is packed.
 *
 * (1) Rows of messages are written once; only the place of the header
 *     changes (compaction), which nobody looks at here. So LMDB is asked
 *     before what is in memory.
 * (2) Whatever is not as it should be is left to view_summary, which tells
 *     a freed message from a damaged row.
 */
#include "store/apply.h"
#include "store/summary.h"
#include "store/view.h"

/* The summary as it is stored, its beginning in the first part of a row. */
static bool
row_summary(str row, str *summary)
{
	const unsigned char *p = (const unsigned char *)row.p;
	const unsigned char *end = p + row.n;
	/* As in message_decode: numbers, the hash, numbers. */
	enum { BEFORE = 9, AFTER = 2 };
	size_t n = 0;

	if (row.n == 0 || *p++ != 1)
		return false;
	for (; n < BEFORE + AFTER && p < end; n++) {
		while (p < end && *p >= 0x80)
			p++;
		if (p == end)
			return false;
		p++;
		if (n + 1 == BEFORE) {
			if (end - p < SHA_LEN)
				return false;
			p += SHA_LEN;
		}
	}
	*summary = str_of((const char *)p, (size_t)(end - p));
	return n == BEFORE + AFTER;
}

size_t
view_glances(struct view *v, const struct entry *e, size_t n, bool fields,
    bool (*each)(void *ctx, const struct entry *e, const struct glance *l),
    void *ctx)
{
	struct index_walk w;
	struct glance l = {0};
	struct buf room = {0};
	size_t i = 0;
	bool more = true;
	str row, summary;

	if (n == 0 || index_walk_begin(v->st, &w) != OK)
		return 0;
	for (; i < n && more; i++) {
		struct key k;

		if (e[i].message == 0)
			break;
		k = message_key(v->m->account, e[i].message, 0);
		if (index_walk_get(&w, &k, &row) != OK ||
		    !row_summary(row, &summary) ||
		    summary_unpack(summary, fields ? UPTO_FIELDS : UPTO_LISTS,
			&room, &summary) != OK ||
		    !mime_summary_head(summary, &l.envelope, &l.bodystructure,
			fields ? &l.fields : NULL))
			break; /* (2) */
		more = each(ctx, &e[i], &l);
	}
	index_walk_end(&w);
	buf_free(&room);
	return i;
}

bool
view_walk_summary(struct view *v, const struct entry *e, struct view_walk *w,
    struct summary *s)
{
	struct key k = message_key(v->m->account, e->message, 0);
	str row, summary;

	if (e->message == 0 ||
	    (!w->on && index_walk_begin(v->st, &w->walk) != OK))
		return false;
	w->on = true;
	return index_walk_get(&w->walk, &k, &row) == OK &&
	       row_summary(row, &summary) &&
	       summary_unpack(summary, UPTO_ALL, &w->room, &summary) == OK &&
	       mime_summary_get(summary, s) == OK;
}

void
view_walk_end(struct view_walk *w)
{
	if (w->on)
		index_walk_end(&w->walk);
	buf_free(&w->room);
	w->on = false;
}
