/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * What the tests of the store share: a store in a directory of its own,
 * messages to put into it, and short ways to ask.
 */
#ifndef TESTS_STORE_T_STORE_H
#define TESTS_STORE_T_STORE_H

#include <string.h>
#include <unistd.h>

#include "litter.h"
#include "seeds.h"
#include "store/import.h"
#include "store/store.h"

struct fix {
	char dir[64];
	struct store *st;
	struct acct *a;
	struct arena *ar;
	bool died;
	bool works; /* t_damage: change what is there, too */
	uint64_t pokes;
};

static void
fix_fatal(void *arg)
{
	((struct fix *)arg)->died = true;
}

static void
fix_poke(void *arg, uint64_t watcher)
{
	__atomic_add_fetch(&((struct fix *)arg)->pokes, 1, __ATOMIC_RELAXED);
}

static inline void
fix_dir(struct fix *f)
{
	assert_non_null(litter_make(f->dir, NULL, "t_store"));
}

/* A closed store in a copy of f's directory, which fix_remove takes away. */
static inline void
fix_copy(const struct fix *f, struct fix *g)
{
	char cmd[400];

	*g = *f;
	g->st = NULL;
	g->a = NULL;
	fix_dir(g);
	snprintf(cmd, sizeof(cmd), "cp -r %s/. %s", f->dir, g->dir);
	assert_int_equal(system(cmd), 0);
}

static inline void
fix_remove(struct fix *g)
{
	assert_int_equal(litter_remove(g->dir), 0);
}

static inline enum err
fix_reopen_as(struct fix *f, bool rebuild)
{
	struct store_opts o = {.dir = f->dir,
	    .no_background = true,
	    .fatal = fix_fatal,
	    .fatal_arg = f,
	    .poke = fix_poke,
	    .poke_arg = f,
	    .rebuild = rebuild};
	struct grant g = {.kind = GRANT_LOGIN, .account = 7};
	enum err e;

	acct_close(&f->a);
	store_close(&f->st);
	e = store_open(&o, &f->st);
	if (e == OK)
		e = acct_open(f->st, &g, S("ann"), &f->a);
	return e;
}

static inline void
fix_reopen(struct fix *f)
{
	assert_int_equal(fix_reopen_as(f, false), OK);
}

static inline struct fix *
fix_new(void)
{
	struct fix *f = calloc(1, sizeof(*f));

	log_setup("test", LOG_ERROR);
	/* Address space is dear under the thread sanitizer. */
	limits.index_map_bytes = UINT64_C(1) << 30;
	fix_dir(f);
	f->ar = arena_new(1ull << 32);
	fix_reopen(f);
	return f;
}

static inline void
fix_free(struct fix *f)
{
	acct_close(&f->a);
	store_close(&f->st);
	arena_free(&f->ar);
	fix_remove(f);
	free(f);
}

/* A message with this subject, and a body of about n bytes. */
static inline str
fix_message(struct fix *f, const char *subject, size_t n)
{
	struct buf b = {0};
	str s;

	buf_f(&b,
	    "From: a@example.org\r\nTo: b@example.org\r\nSubject: %s\r\n"
	    "Message-ID: <%s@example.org>\r\n"
	    "Date: Mon, 02 Jan 2006 15:04:05 +0100\r\n\r\n",
	    subject, subject);
	for (size_t i = 0; b.n < n; i++)
		buf_f(&b, "%s line %zu\r\n", subject, i);
	s = arena_buf(f->ar, &b);
	buf_free(&b);
	return s;
}

static inline enum err
fix_append_to(
    struct fix *f, uint32_t mailbox, str message, unsigned flags, uint32_t *uid)
{
	struct new_message m = {.message = message,
	    .flags.system = flags,
	    .internaldate = {1234567890, 60}};
	uint32_t v, u = 0;
	enum err e = store_append(f->a, mailbox, &m, 1, &v, &u);

	if (uid != NULL)
		*uid = u;
	return e;
}

static inline uint32_t
fix_append(struct fix *f, const char *subject, unsigned flags)
{
	uint32_t uid;

	assert_int_equal(
	    fix_append_to(f, 1, fix_message(f, subject, 300), flags, &uid), OK);
	return uid;
}

static inline struct view *
fix_view(struct fix *f, uint32_t mailbox)
{
	struct view *v;

	assert_int_equal(view_open(f->a, mailbox, false, 1, &v), OK);
	return v;
}

static inline struct ranges
fix_set(uint32_t lo, uint32_t hi)
{
	struct ranges r = {0};

	ranges_add(&r, lo, hi);
	return r;
}

static inline enum err
fix_store(
    struct view *v, uint32_t lo, uint32_t hi, enum flag_op op, unsigned flags)
{
	struct ranges r = fix_set(lo, hi);
	struct flag_change c = {.op = op,
	    .flags.system = flags,
	    .unchangedsince = UINT64_MAX,
	    .silent = true};
	enum err e = store_flags(v, &r, &c, NULL, NULL);

	ranges_free(&r);
	return e;
}

/* "uid:flags uid:flags ...", of what the view has. */
static inline str
fix_show(struct fix *f, struct view *v)
{
	struct buf b = {0};
	struct entry e;
	str s;

	for (uint32_t i = 1; view_entries(v, i, &e, 1) == 1; i++) {
		if (i > 1)
			buf_c(&b, ' ');
		buf_f(&b, "%u", e.uid);
		if (e.expunged)
			buf_c(&b, 'x');
		buf_c(&b, ':');
		e.recent = false;
		view_flags(v, &e, &b);
	}
	s = arena_buf(f->ar, &b);
	buf_free(&b);
	return s;
}

/* The same by view_text, when the message is small; behind what is there. */
static inline void
fix_read_small(struct view *v, const struct entry *e, str want)
{
	uint32_t header_size = 0;
	struct buf b = {0};

	buf_s(&b, "before");
	assert_int_equal(view_text(v, e, &b, &header_size),
	    want.n <= TEXT_MAX ? OK : ERR_LIMIT);
	if (want.n <= TEXT_MAX) {
		assert_true(str_eq(str_from(buf_str(&b), 6), want));
		assert_true(header_size <= want.n);
	}
	assert_true(str_starts(buf_str(&b), S("before")));
	buf_free(&b);
}

static inline str
fix_read(struct fix *f, struct view *v, uint32_t uid)
{
	struct source *src = NULL;
	struct entry e;
	char *p;

	assert_int_equal(view_entries(v, view_seq(v, uid), &e, 1), 1);
	assert_int_equal(view_source(v, &e, &src), OK);
	p = arena_alloc(f->ar, src->size + 1);
	assert_int_equal(src->ops->read(src, 0, p, src->size), OK);
	str s = str_of(p, src->size);
	source_unref(&src);
	fix_read_small(v, &e, s);
	return s;
}

/* Everything of the account, as text. */
static inline str
fix_account(struct fix *f)
{
	struct exporter *ex;
	struct import_item it;
	struct buf b = {0};
	bool end;
	str s;

	assert_int_equal(exporter_new(f->a, STR_NONE, &ex), OK);
	for (;;) {
		assert_int_equal(exporter_next(ex, &it, &end), OK);
		if (end)
			break;
		buf_f(&b, "%d %.*s v%u n%u f%x d%lld z%d u%u l%.*s m%016llx",
		    it.what, STR_ARG(it.mailbox), it.uidvalidity, it.uidnext,
		    it.flags, (long long)it.internaldate.sec,
		    it.internaldate.zone_min, it.uid, STR_ARG(it.uidl),
		    (unsigned long long)hash_xxh3(it.message, 0));
		for (size_t i = 0; i < it.nkeywords; i++)
			buf_f(&b, " %.*s", STR_ARG(it.keywords[i]));
		buf_c(&b, '\n');
	}
	assert_int_equal(exporter_skipped(ex), 0);
	exporter_free(&ex);
	s = arena_buf(f->ar, &b);
	buf_free(&b);
	return s;
}

static void
fix_fault(void *arg, str sentence)
{
	print_message("check: %.*s\n", STR_ARG(sentence));
}

static inline void
fix_check(struct fix *f)
{
	assert_int_equal(store_check(f->st, true, fix_fault, NULL), 0);
}

#endif
