/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Each row of the index is lost in its turn, LMDB being in order otherwise, as
 * if there had never been one. (R101)
 *
 * (1) What is asked of the store then is answered as before, or not at all.
 * (2) The store does not open, or dies, or check finds it: each time.
 * (3) The next start, or a rebuild, has it all again.
 *
 * Each try runs in a child, by itself.
 */
#include <lmdb.h>
#include <signal.h>
#include <sys/wait.h>

#include "store/store_int.h"
#include "store/t_store.h"

enum { MSGS = 6, KEYWORDS = 64, RIGHT = 0, FOUND = 1, WRONG = 2, ROWS = 512 };

static struct fix *model; /* closed; the others are copies */
static str want;

static void
fill(struct fix *f)
{
	struct ranges gone = fix_set(2, 3);
	char word[KEYWORDS][8];
	str words[KEYWORDS];
	uint32_t id, validity, uid;
	struct view *v;

	assert_int_equal(mailbox_create(f->a, S("a/b"), 0, &id), OK);
	assert_int_equal(mailbox_subscribe(f->a, S("a/b"), true), OK);
	assert_int_equal(mailbox_subscribe(f->a, S("nowhere"), true), OK);
	for (unsigned i = 0; i < KEYWORDS; i++) {
		snprintf(word[i], sizeof(word[i]), "word%u", i);
		words[i] = str_c(word[i]);
	}
	for (unsigned i = 0; i < MSGS; i++) {
		struct new_message m = {.internaldate = {1234567890 + i, 60}};
		char text[20];

		snprintf(text, sizeof(text), "s%u", i);
		m.message = fix_message(f, text, 500 + i * 150);
		m.flags.keywords = words;
		m.flags.nkeywords = i % 2 ? KEYWORDS : 1;
		m.uidl = i % 3 ? STR_NONE : str_c(text);
		assert_int_equal(
		    store_append(f->a, id, &m, 1, &validity, &uid), OK);
	}
	v = fix_view(f, id);
	assert_int_equal(store_expunge(v, &gone, true, NULL), OK);
	ranges_free(&gone);
	view_close(&v);
}

/* ---- what is answered ---- */

static enum err
tell_list(struct fix *f, struct buf *b)
{
	static const char *const names[] = {"INBOX", "a", "a/b", "Sent", "no"};
	struct mailbox_info *v, m;
	size_t n;
	enum err e = mailbox_list(f->a, f->ar, &v, &n);

	for (size_t i = 0; i < n; i++)
		buf_f(b, "%.*s %u %x %u\n", STR_ARG(v[i].name), v[i].id,
		    v[i].attrs, v[i].uidvalidity);
	for (size_t i = 0; i < NELEM(names) && e == OK; i++) {
		e = mailbox_find(f->a, f->ar, str_c(names[i]), &m);
		if (e == OK || e == ERR_NOTFOUND) {
			buf_f(b, "%s %u\n", names[i], e == OK ? m.id : 0);
			e = OK;
		}
	}
	return e;
}

static enum err
tell_mail(struct fix *f, struct buf *b)
{
	struct exporter *ex;
	struct import_item it;
	bool end = false;
	enum err e = exporter_new(f->a, STR_NONE, &ex);

	if (e != OK)
		return e;
	while (e == OK && (e = exporter_next(ex, &it, &end)) == OK && !end) {
		buf_f(b, "%d %.*s %u %u %x %u %.*s %016llx", it.what,
		    STR_ARG(it.mailbox), it.uidvalidity, it.uidnext, it.flags,
		    it.uid, STR_ARG(it.uidl),
		    (unsigned long long)hash_xxh3(it.message, 0));
		for (size_t i = 0; i < it.nkeywords; i++)
			buf_f(b, " %.*s", STR_ARG(it.keywords[i]));
		buf_c(b, '\n');
	}
	if (e == OK && exporter_skipped(ex) > 0)
		e = ERR_CORRUPT;
	exporter_free(&ex);
	return e;
}

static enum err
tell(struct fix *f, struct buf *b)
{
	enum err e = tell_list(f, b);

	return e != OK ? e : tell_mail(f, b);
}

/* ---- trying ---- */

static int
child(struct fix *f, bool rebuild)
{
	struct buf b = {0};
	enum err e;
	int r = RIGHT;

	log_setup("test", LOG_ERROR + 1);
	f->a = NULL;
	f->st = NULL;
	if (fix_reopen_as(f, rebuild) != OK)
		return FOUND;
	e = tell(f, &b);
	if (e != OK || f->died)
		r = FOUND;
	else if (!str_eq(buf_str(&b), want))
		r |= WRONG;
	buf_free(&b);
	if (store_check(f->st, true, NULL, NULL) > 0)
		r |= FOUND;
	acct_close(&f->a);
	store_close(&f->st);
	return r;
}

static int
try_it(struct fix *f, bool rebuild)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		alarm(60);
		close(2);
		_exit(child(f, rebuild));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) && WEXITSTATUS(status) <= (FOUND | WRONG)
		   ? WEXITSTATUS(status)
		   : WRONG;
}

/* Deletes the row of this number; its table, or 0 when there are not that
 * many. */
static char
lose(const char *dir, unsigned number)
{
	char path[200];
	char table = 0;
	MDB_env *env;
	MDB_txn *t;
	MDB_dbi dbi;
	MDB_cursor *c;
	MDB_val k, v;
	int r;

	snprintf(path, sizeof(path), "%s/index", dir);
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_mapsize(env, 1 << 30), 0);
	assert_int_equal(mdb_env_open(env, path, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &t), 0);
	assert_int_equal(mdb_dbi_open(t, NULL, 0, &dbi), 0);
	assert_int_equal(mdb_cursor_open(t, dbi, &c), 0);
	do
		r = mdb_cursor_get(c, &k, &v, MDB_NEXT);
	while (r == 0 && number-- > 0);
	if (r == 0) {
		table = *(char *)k.mv_data;
		assert_int_equal(mdb_cursor_del(c, 0), 0);
	}
	mdb_cursor_close(c);
	assert_int_equal(mdb_txn_commit(t), 0);
	mdb_env_close(env);
	return table;
}

static void
test_rows(void **state)
{
	struct buf b = {0};
	unsigned tables[128] = {0};
	char table = 1;

	model = fix_new();
	fill(model);
	fix_reopen(model);
	fix_check(model);
	assert_int_equal(tell(model, &b), OK);
	want = buf_str(&b);
	acct_close(&model->a);
	store_close(&model->st);
	for (unsigned i = 0; i < ROWS && table != 0; i++) {
		struct fix g;
		int x;

		fix_copy(model, &g);
		if ((table = lose(g.dir, i)) != 0) {
			tables[(int)table]++;
			x = try_it(&g, false);
			if (x != FOUND) /* (1), (2) */
				fail_msg("a row of %c: %d", table, x);
			x = try_it(&g, false);
			if (x != RIGHT)
				x = try_it(&g, true);
			if (x != RIGHT) /* (3) */
				fail_msg("%c, later: %d", table, x);
		}
		fix_remove(&g);
	}
	for (const char *p = "ABDEFGHKLMNPRSTUVWXZ"; *p != 0; p++)
		assert_true(tables[(int)*p] > 0);
	buf_free(&b);
	fix_reopen(model);
	fix_free(model);
}

int
main(void)
{
	if (getenv("TMPDIR") == NULL && access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 1);
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows),
	};

	return cmocka_run_group_tests_name("store-lost", tests, NULL, NULL);
}
