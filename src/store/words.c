/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Flag words in plans (new.h).
 *
 * (1) A keyword keeps its index for good: 57 of them have bits of the word,
 *     the others stand in a list of their own, ascending.
 * (2) The committer adds keywords of one change a group to a mailbox, so that
 *     their numbers are those of the committed list.
 */
#include "store/copy.h"

#include <stdlib.h>

static int
by_number(const void *a, const void *b)
{
	return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b;
}

void
copy_sort(uint16_t *v, size_t n)
{
	qsort(v, n, sizeof(*v), by_number);
}

/* Index of the keyword, or of the new one; SIZE_MAX: left out. */
static enum err
keyword_index(struct mbox *m, struct plan *p, str name, bool create,
    struct new_words *nw, size_t *out)
{
	struct buf f = {0};
	size_t i;

	*out = SIZE_MAX;
	keyword_fold(name, &f);
	i = (size_t)(uintptr_t)map_get(m->kw, buf_str(&f));
	buf_free(&f);
	if (i > 0) {
		*out = i - 1;
		return OK;
	}
	if (!create)
		return OK;
	for (i = 0; i < nw->n; i++) {
		if (str_caseeq(nw->v[i], name)) {
			*out = m->nkeywords + i;
			return OK;
		}
	}
	if (name.n == 0)
		return ERR_INVALID;
	if (name.n > limits.keyword_bytes_max) {
		limit_hit(LIMIT_keyword_bytes_max, STR_NONE);
		return ERR_LIMIT;
	}
	if (m->nkeywords + nw->n >= limits.keywords_max) {
		limit_hit(LIMIT_keywords_max, STR_NONE);
		return ERR_LIMIT;
	}
	if (m->plan_new_keywords > 0)
		return ERR_BUSY; /* (2) */
	if (!ARENA_PUSH(p->arena, nw->v, nw->n, nw->cap))
		return ERR_LIMIT;
	nw->v[nw->n++] = name;
	*out = m->nkeywords + nw->n - 1;
	return OK;
}

enum err
words_plan(struct mbox *m, struct plan *p, const struct flag_set *f,
    bool create, struct new_words *nw, struct words *w)
{
	enum err e = mbox_keywords(m);
	size_t n = 0;

	words_free(w);
	w->flags = f->system & FLAG_SYSTEM;
	for (size_t k = 0; k < f->nkeywords && e == OK; k++) {
		size_t i;

		e = keyword_index(m, p, f->keywords[k], create, nw, &i);
		if (e != OK || i == SIZE_MAX)
			continue;
		if (i < KEYWORDS_IN_WORD) {
			w->flags |= KEYWORD_BIT(i);
			continue;
		}
		w->more = x_grow(w->more, w->nmore + 1, sizeof(*w->more));
		w->more[w->nmore++] = (uint16_t)i;
	}
	if (w->nmore > 0) {
		qsort(w->more, w->nmore, sizeof(*w->more), by_number);
		for (size_t i = 0; i < w->nmore; i++)
			if (n == 0 || w->more[n - 1] != w->more[i])
				w->more[n++] = w->more[i];
		w->nmore = n;
		w->flags |= FLAG_MORE;
	}
	return e;
}

void
words_add(struct plan *p, struct mbox *m, struct new_words *nw)
{
	struct record r = {.type = REC_KEYWORDS,
	    .account = m->account,
	    .mailbox = m->id,
	    .first = m->nkeywords,
	    .names = nw->v,
	    .nnames = nw->n};

	if (nw->n == 0)
		return;
	plan_add(p, &r);
	m->plan_new_keywords += (uint32_t)nw->n;
}

void
words_free(struct words *w)
{
	x_free(&w->more);
	w->nmore = 0;
}

static bool
has(const uint16_t *v, size_t n, uint16_t x)
{
	for (size_t i = 0; i < n; i++)
		if (v[i] == x)
			return true;
	return false;
}

void
words_apply(struct arena *a, enum flag_op op, const struct words *set,
    uint64_t flags, const struct more *more, struct rec_word *out)
{
	size_t had = more == NULL ? 0 : more->n;
	uint16_t *v = NULL;
	size_t n = 0;

	if (had + set->nmore > 0)
		v = arena_array(a, had + set->nmore, sizeof(*v));
	for (size_t i = 0; op != FLAGS_SET && i < had; i++)
		if (!has(set->more, set->nmore, more->v[i]))
			v[n++] = more->v[i];
	for (size_t i = 0; op != FLAGS_DEL && i < set->nmore; i++)
		v[n++] = set->more[i];
	if (n > 1)
		qsort(v, n, sizeof(*v), by_number);
	flags &= ~FLAG_MORE;
	if (op == FLAGS_SET)
		flags = set->flags;
	else if (op == FLAGS_ADD)
		flags |= set->flags;
	else
		flags &= ~set->flags;
	flags = (flags & ~FLAG_MORE) | (n > 0 ? FLAG_MORE : 0);
	*out = (struct rec_word){.flags = flags, .more = v, .nmore = n};
}
