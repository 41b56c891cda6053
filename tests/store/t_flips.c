/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Damage anywhere in the data, at random: flipped bits, a page of zeros, a
 * cut. (R101)
 *
 * (1) What is read of messages afterwards is what was there, or an error; the
 *     process may die of it. (Names and UIDLs are not looked at: a page of the
 *     index that lost such rows is found by check, not by who reads.)
 * (2) If the damage is in live data, the store does not open, or dies, or
 *     check finds it. What is live: of the index, its rows, as they are read
 *     one after the other; of a segment, all but what fills up to eight.
 *     LMDB's two heads may be lost too: without the newer one the index is as
 *     it was a commit ago, without both it is none; the log brings the rest.
 * (3) Damage of a segment that is not in live data is harmless.
 * (4) If only the index is damaged, all is right again after the start that
 *     follows, or the rebuild.
 *
 * Each try runs in a child, by itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "store/store_int.h"
#include "store/t_store.h"

enum { BOXES = 3, MSGS = 36, LINES = 400 };
enum { RIGHT = 0, REFUSED = 3, WRONG = 4 };
enum { HEADS = 8192 };
enum { FOUND = 16 }; /* with one of them: check has found something */

static struct fix *model; /* closed; the others are copies */
static str lines[LINES];
static size_t nlines;
static uint64_t rows_hash; /* of the index */
static unsigned segments;

/* ---- what there is, as lines ---- */

struct look {
	struct fix *f;
	bool learn;
	size_t at;
	int result;
};

/* The next line is this one, or cannot be told. */
static void
line(struct look *l, bool known, struct buf *b)
{
	if (l->learn) {
		assert_true(known && nlines < LINES);
		lines[nlines++] = arena_dup(model->ar, buf_str(b));
	} else if (!known) {
		l->result = MAX(l->result, (int)REFUSED);
	} else if (l->at >= nlines || !str_eq(lines[l->at], buf_str(b))) {
		if (getenv("TRACE") != NULL && l->at < nlines)
			printf("\n%zu is\n%.*s\nnot\n%.*s\n", l->at,
			    STR_ARG(buf_str(b)), STR_ARG(lines[l->at]));
		fflush(stdout);
		l->result = WRONG;
	}
	l->at++;
	buf_free(b);
}

static void
look_message(struct look *l, struct view *v, uint32_t seq)
{
	struct source *src = NULL;
	struct entry e;
	struct summary s;
	struct buf b = {0};
	bool ok = view_entries(v, seq, &e, 1) == 1;
	char *p;

	if (ok) {
		buf_f(&b, "%u %u %lld ", e.uid, e.size,
		    (long long)e.internaldate.sec);
		e.recent = false;
		view_flags(v, &e, &b);
	}
	line(l, ok, &b);
	b = (struct buf){0};
	if (ok && view_summary(v, &e, l->f->ar, &s) == OK)
		buf_f(&b, "%llu %u %.*s %.*s", (unsigned long long)s.size,
		    s.header_size, STR_ARG(s.envelope),
		    STR_ARG(s.bodystructure));
	line(l, b.n > 0, &b);
	b = (struct buf){0};
	if (ok && view_source(v, &e, &src) == OK) {
		p = arena_alloc(l->f->ar, src->size + 1);
		if (src->ops->read(src, 0, p, src->size) == OK)
			buf_f(&b, "%016llx",
			    (unsigned long long)hash_xxh3(
				str_of(p, src->size), 0));
		source_unref(&src);
	}
	line(l, b.n > 0, &b);
}

static void
look_search(struct look *l, struct view *v, enum search_op op, str text)
{
	struct search_key k = {.op = op, .text = text};
	struct search *s = NULL;
	struct buf b = {0};
	bool done = false;
	enum err e = search_new(v, l->f->ar, &k, &s);

	while (e == OK && !done)
		e = search_step(s, 1000, &done);
	if (e == OK) {
		const struct ranges *r = search_found(s);

		buf_s(&b, "search");
		for (size_t i = 0; i < r->n; i++)
			buf_f(&b, " %u:%u", (unsigned)r->v[i].lo,
			    (unsigned)r->v[i].hi);
	}
	line(l, e == OK, &b);
	if (s != NULL)
		search_free(&s);
}

static void
look_box(struct look *l, const struct mailbox_info *m, uint32_t n)
{
	struct view *v = NULL;
	struct buf b = {0};
	enum err e = view_open(l->f->a, m->id, true, 0, &v);

	if (e == OK)
		buf_f(&b, "box %u %u %llu", view_uidnext(v), view_exists(v),
		    (unsigned long long)view_highestmodseq(v));
	line(l, e == OK, &b);
	if (e != OK) {
		l->at += 3 * (size_t)n + 2;
		return;
	}
	for (uint32_t i = 1; i <= n; i++)
		look_message(l, v, i);
	look_search(l, v, SEARCH_SUBJECT, S("s1"));
	look_search(l, v, SEARCH_BODY, S("s2 line 3"));
	view_close(&v);
}

static const uint32_t exists[BOXES] = {MSGS - 6, MSGS, MSGS};

static void
look(struct look *l)
{
	for (uint32_t i = 0; i < BOXES; i++) {
		static const char *const names[] = {"INBOX", "a/b", "a/b/c"};
		struct mailbox_info m;

		if (mailbox_find(l->f->a, l->f->ar, str_c(names[i]), &m) !=
		    OK) {
			l->result = MAX(l->result, (int)REFUSED);
			l->at += 3 * (size_t)exists[i] + 3;
		} else {
			look_box(l, &m, exists[i]);
		}
	}
}

/* ---- what is in it ---- */

static void
fill_box(struct fix *f, uint32_t id, unsigned box)
{
	char text[40];
	char word[16];
	str words[3];

	for (unsigned i = 0; i < MSGS; i++) {
		struct new_message m = {.internaldate = {1234567890 + i, 60}};
		uint32_t validity, uid;

		snprintf(text, sizeof(text), "s%u of %u", i % 5, box);
		m.message = fix_message(f, text, 300 + i * 150);
		m.flags.system = i % 3 ? FLAG_SEEN : 0;
		snprintf(word, sizeof(word), "word%u", i * 2 + box);
		words[0] = str_c(word);
		if (box > 0) {
			m.flags.keywords = words;
			m.flags.nkeywords = 1;
		}
		if (box == 2) {
			m.uid = i * 10 + 5;
			m.uidl = i % 2 ? str_c(text) : STR_NONE;
		}
		if (store_append(f->a, id, &m, 1, &validity, &uid) != OK)
			fail_msg("append");
	}
}

static uint64_t
rows_of(const char *dir)
{
	char path[200];
	MDB_env *env;
	MDB_txn *t;
	MDB_dbi dbi;
	MDB_cursor *c;
	MDB_val k, v;
	uint64_t h = 1;
	int r;

	snprintf(path, sizeof(path), "%s/index", dir);
	if (mdb_env_create(&env) != 0 ||
	    mdb_env_set_mapsize(env, 1 << 30) != 0 ||
	    mdb_env_open(env, path, MDB_RDONLY | MDB_NOLOCK, 0) != 0 ||
	    mdb_txn_begin(env, NULL, MDB_RDONLY, &t) != 0 ||
	    mdb_dbi_open(t, NULL, 0, &dbi) != 0 ||
	    mdb_cursor_open(t, dbi, &c) != 0)
		return 0;
	while ((r = mdb_cursor_get(c, &k, &v, MDB_NEXT)) == 0) {
		h = hash_xxh3(str_of(k.mv_data, k.mv_size), h);
		h = hash_xxh3(str_of(v.mv_data, v.mv_size), h);
	}
	mdb_cursor_close(c);
	mdb_txn_abort(t);
	mdb_env_close(env);
	return r == MDB_NOTFOUND ? h : 0;
}

static void
begin(void)
{
	struct ranges gone = fix_set(3, 8);
	struct look l = {.learn = true};
	struct fix *f;
	struct view *v;
	uint32_t id[BOXES] = {1};

	limits.segment_bytes = 48 << 10;
	model = f = fix_new();
	assert_int_equal(mailbox_create(f->a, S("a/b"), 0, &id[1]), OK);
	assert_int_equal(mailbox_create(f->a, S("a/b/c"), 0, &id[2]), OK);
	assert_int_equal(mailbox_subscribe(f->a, S("a/b"), true), OK);
	assert_int_equal(mailbox_subscribe(f->a, S("nowhere"), true), OK);
	for (unsigned i = 0; i < BOXES; i++)
		fill_box(f, id[i], i);
	v = fix_view(f, 1);
	assert_int_equal(fix_store(v, 10, 20, FLAGS_ADD, FLAG_FLAGGED), OK);
	assert_int_equal(store_expunge(v, &gone, true, NULL), OK);
	ranges_free(&gone);
	view_close(&v);
	fix_reopen(f);
	fix_check(f);
	l.f = f;
	look(&l);
	acct_close(&f->a);
	store_close(&f->st);
	for (segments = 0;; segments++) {
		char path[100];

		snprintf(path, sizeof(path), "%s/log/%010u.seg", f->dir,
		    segments + 1);
		if (access(path, F_OK) != 0)
			break;
	}
	assert_true(segments > 1);
	rows_hash = rows_of(f->dir);
	assert_int_not_equal(rows_hash, 0);
}

/* ---- trying ---- */

static int
child(struct fix *f, bool rebuild)
{
	struct look l = {.f = f};

	log_setup("test", LOG_ERROR + 1);
	f->a = NULL;
	f->st = NULL;
	if (fix_reopen_as(f, rebuild) != OK)
		return REFUSED | FOUND;
	look(&l);
	if (store_check(f->st, true, NULL, NULL) > 0)
		l.result |= FOUND;
	acct_close(&f->a);
	store_close(&f->st);
	return l.result;
}

static int
rows_child(struct fix *f, bool arg)
{
	return rows_of(f->dir) == rows_hash ? RIGHT : WRONG;
}

/* Death is a refusal; and whoever died has been noticed. */
static int
try_it(struct fix *f, int (*what)(struct fix *f, bool arg), bool arg)
{
	static const int deaths[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE};
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		/* cmocka would go on with the next test, in the child. */
		for (size_t i = 0; i < NELEM(deaths); i++)
			signal(deaths[i], SIG_DFL);
		alarm(60);
		close(2);
		_exit(what(f, arg));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		return WRONG; /* it hung */
	if (!WIFEXITED(status))
		return REFUSED | FOUND;
	status = WEXITSTATUS(status);
	return (status & ~FOUND) == RIGHT || (status & ~FOUND) == WRONG
		   ? status
		   : REFUSED | FOUND;
}

/* ---- damage ---- */

struct file {
	char path[200];
	unsigned char *old, *p; /* as it was, as it is */
	size_t n;
	bool cut;
};

static void
file_open(struct file *x, const char *dir, const char *name)
{
	struct buf b = {0};

	snprintf(x->path, sizeof(x->path), "%s/%s", dir, name);
	b.max = SIZE_MAX;
	assert_int_equal(os_slurp(x->path, 1 << 28, &b), OK);
	x->n = b.n;
	x->old = (unsigned char *)b.p;
	x->p = malloc(x->n + 1);
	memcpy(x->p, x->old, x->n);
	x->cut = false;
}

static void
file_save(struct file *x)
{
	int fd = open(x->path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, x->p, x->n), x->n);
	close(fd);
}

static void
file_free(struct file *x)
{
	free(x->p);
	x_free(&x->old);
}

/* used: most flips go into the first so many octets. */
static void
damage(struct rnd *r, struct file *x, size_t used)
{
	unsigned n = rnd(r, 2) ? 1 : 1 + (unsigned)rnd(r, 64);
	size_t at;

	if (x->n == 0)
		return;
	if (rnd(r, 4) == 0)
		used = x->n;
	switch (rnd(r, 10)) {
	case 0:
		x->n = rnd(r, x->n);
		x->cut = true;
		break;
	case 1:
		at = rnd(r, used) & ~(size_t)4095;
		memset(x->p + at, 0, MIN(x->n - at, (size_t)4096));
		break;
	default:
		while (n-- > 0)
			x->p[rnd(r, used)] ^= (unsigned char)(1 << rnd(r, 8));
	}
}

/* ---- the index ---- */

static void
test_index(void **state)
{
	unsigned noticed = 0;
	unsigned live = 0;
	struct rnd r;

	for_seeds(&r, 150)
	{
		struct fix g;
		struct file x;
		bool lives, heads;
		int a;

		fix_copy(model, &g);
		file_open(&x, g.dir, "index/data.mdb");
		damage(&r, &x, x.n);
		file_save(&x);
		lives = try_it(&g, rows_child, false) != RIGHT;
		heads = x.n < HEADS || memcmp(x.p, x.old, HEADS) != 0;
		a = try_it(&g, child, false);
		seed_true(&r, (a & ~FOUND) != WRONG);          /* (1) */
		seed_true(&r, !lives || (a & FOUND) || heads); /* (2) */
		live += lives;
		noticed += (a & FOUND) != 0;
		/* (4): LMDB may have died, before it could be noted. */
		a = try_it(&g, child, false);
		if (a != RIGHT)
			a = try_it(&g, child, true);
		if (a != RIGHT)
			a = try_it(&g, child, true);
		seed_true(&r, a == RIGHT);
		file_free(&x);
		fix_remove(&g);
	}
	print_message("%u in live rows, %u noticed\n", live, noticed);
}

/* ---- segments ---- */

static uint64_t
u_get(const unsigned char *p, size_t n)
{
	uint64_t v = 0;

	while (n-- > 0)
		v = v << 8 | p[n];
	return v;
}

/* Marks what is live; returns the end of it. */
static size_t
map_segment(const struct file *x, bool *live)
{
	size_t off = SEGMENT_HEAD;

	memset(live, 1, SEGMENT_HEAD);
	while (
	    off + GROUP_HEAD <= x->n && memcmp(x->old + off, "RGRP", 4) == 0) {
		size_t end = off + GROUP_HEAD + u_get(x->old + off + 8, 8);

		memset(live + off, 1, GROUP_HEAD);
		off += GROUP_HEAD;
		while (off < end) {
			size_t n = u_get(x->old + off + 4, 4);

			memset(live + off, 1, RECORD_HEAD + n);
			off += RECORD_HEAD + ((n + 7) & ~(size_t)7);
		}
	}
	return off;
}

static void
test_segments(void **state)
{
	unsigned noticed = 0;
	unsigned live = 0;
	struct rnd r;

	for_seeds(&r, 150)
	{
		char name[40];
		struct fix g;
		struct file x;
		bool *map;
		bool lives = false;
		size_t used;
		int a;

		fix_copy(model, &g);
		snprintf(name, sizeof(name), "log/%010u.seg",
		    1 + (unsigned)rnd(&r, segments));
		file_open(&x, g.dir, name);
		map = calloc(x.n + 1, 1);
		used = map_segment(&x, map);
		damage(&r, &x, used);
		file_save(&x);
		for (size_t i = 0; i < used; i++)
			lives = lives ||
				(map[i] && (i >= x.n || x.p[i] != x.old[i]));
		a = try_it(&g, child, false);
		seed_true(&r, (a & ~FOUND) != WRONG);             /* (1) */
		seed_true(&r, !lives || (a & FOUND));             /* (2) */
		seed_true(&r, lives || a == RIGHT || x.n < used); /* (3) */
		live += lives;
		noticed += (a & FOUND) != 0;
		/* The log is the truth: nothing wrong comes of a rebuild. */
		a = try_it(&g, child, true);
		seed_true(&r, lives || x.n < used || a == RIGHT);
		free(map);
		file_free(&x);
		fix_remove(&g);
	}
	print_message("%u in live data, %u noticed\n", live, noticed);
}

/* ---- the other files ---- */

static void
test_others(void **state)
{
	static const char *const names[] = {
	    "FORMAT", "lock", "index/lock.mdb", "ballast"};
	struct rnd r;

	for_seeds(&r, 40)
	{
		struct fix g;
		struct file x;
		int a;

		fix_copy(model, &g);
		snprintf(
		    x.path, sizeof(x.path), "%s/%s", g.dir, names[r.turn % 4]);
		if (access(x.path, F_OK) == 0) {
			file_open(&x, g.dir, names[r.turn % 4]);
			damage(&r, &x, x.n);
			file_save(&x);
			a = try_it(&g, child, false);
			seed_true(&r, (a & ~FOUND) != WRONG);
			seed_true(&r, a == RIGHT || r.turn % 4 == 0);
			file_free(&x);
		}
		fix_remove(&g);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_index),
	    cmocka_unit_test(test_segments),
	    cmocka_unit_test(test_others),
	};
	int failed;

	if (access("/dev/shm", W_OK | X_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0);
	os_clock_fix(INT64_C(1750000000000), INT64_C(1000000));
	begin();
	failed = cmocka_run_group_tests_name("store-flips", tests, NULL, NULL);
	model->st = NULL;
	fix_free(model);
	return failed;
}
