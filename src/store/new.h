/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Flag words in plans: names to bits, new keywords, lists past the word.
 */
#ifndef STORE_NEW_H
#define STORE_NEW_H

#include "store/commit.h"

struct words { /* a flag word; more is owned */
	uint64_t flags;
	uint16_t *more;
	size_t nmore;
};
/* Keywords that the change adds to the mailbox; the names are the caller's. */
struct new_words {
	str *v;
	size_t n, cap;
};

/* The word of a set of flags. create: unknown keywords become new ones,
 * otherwise they are left out. mu held. ERR_LIMIT; ERR_INVALID; ERR_BUSY:
 * another change of the group adds keywords too. w is set anew. */
enum err words_plan(struct mbox *m, struct plan *p, const struct flag_set *f,
    bool create, struct new_words *nw, struct words *w) MUST_CHECK;
/* The KEYWORDS record, when there are some. Frees nw. */
void words_add(struct plan *p, struct mbox *m, struct new_words *nw);
void words_free(struct words *w);
/* Applies op with set to what is there: into out (more in the arena). */
void words_apply(struct arena *a, enum flag_op op, const struct words *set,
    uint64_t flags, const struct more *more, struct rec_word *out);

#endif
