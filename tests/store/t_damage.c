/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Bits flip, pages are zeroed, files are cut, whole files are lost: what is
 * served is right or is refused, and from the log alone all of it comes back.
 * (R101, R102, R103, in small)
 *
 * Each try runs in a child: LMDB may die on a damaged page, and that is an
 * answer too.
 */
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "store/store_int.h"
#include "store/t_store.h"

enum { MSGS = 40, RIGHT = 0, TOLD = 2, REFUSED = 3, WRONG = 4, UNNOTICED = 5 };

static str bodies[MSGS];
static uint32_t uidvalidity;

static void
fill(struct fix *f)
{
	struct view *v;
	struct ranges r = fix_set(1, 5);

	for (int i = 0; i < MSGS; i++) {
		char s[16];

		snprintf(s, sizeof(s), "d%d", i);
		bodies[i] = fix_message(f, s, 400 + (size_t)i * 300);
		assert_int_equal(fix_append_to(f, 1, bodies[i],
				     i % 3 == 0 ? FLAG_SEEN : 0, NULL),
		    OK);
	}
	v = fix_view(f, 1);
	assert_int_equal(fix_store(v, 10, 20, FLAGS_ADD, FLAG_FLAGGED), OK);
	assert_int_equal(store_expunge(v, &r, true, NULL), OK);
	ranges_free(&r);
	uidvalidity = view_uidvalidity(v);
	view_close(&v);
}

/* What there is, compared with what was put in. */
static int
look(struct fix *f)
{
	struct view *v;
	struct entry e;
	struct buf text = {0};
	uint32_t header_size;
	int r = RIGHT;

	if (view_open(f->a, 1, true, 0, &v) != OK)
		return REFUSED;
	/* What is lost is said: the mailbox is another one. */
	if (uidvalidity != 0 && view_uidvalidity(v) != uidvalidity) {
		view_close(&v);
		return TOLD;
	}
	if (view_exists(v) < MSGS - 5)
		r = WRONG;
	for (uint32_t i = 1; r != WRONG && i <= MSGS - 5; i++) {
		struct source *src = NULL;
		struct summary s;
		str want;
		char *p;

		if (view_entries(v, i, &e, 1) != 1) {
			r = REFUSED;
			break;
		}
		if (e.uid != i + 5 || ((e.flags & FLAG_FLAGGED) != 0) !=
					  (e.uid >= 10 && e.uid <= 20))
			r = WRONG;
		want = bodies[e.uid - 1];
		if (view_summary(v, &e, f->ar, &s) != OK)
			r = MAX(r, REFUSED);
		else if (s.size != want.n)
			r = WRONG;
		buf_reset(&text);
		if (view_text(v, &e, &text, &header_size) == OK &&
		    !str_eq(buf_str(&text), want))
			r = WRONG;
		if (view_source(v, &e, &src) != OK) {
			r = MAX(r, REFUSED);
			continue;
		}
		p = arena_alloc(f->ar, src->size + 1);
		if (src->ops->read(src, 0, p, src->size) != OK)
			r = MAX(r, REFUSED);
		else if (!str_eq(str_of(p, src->size), want))
			r = WRONG;
		source_unref(&src);
	}
	view_close(&v);
	buf_free(&text);
	return r;
}

/* Work on what may be damaged: it succeeds or it does not, and what was
 * there stays as it was. */
static void
work(struct fix *f)
{
	struct new_message m = {.message = bodies[3],
	    .flags.system = FLAG_SEEN,
	    .internaldate = {1234567890, 60}};
	struct view *v;
	struct ranges r = fix_set(MSGS + 1, UINT32_MAX - 1);
	uint32_t uidvalidity_now, uid, id;
	enum err e;

	e = store_append(f->a, 1, &m, 1, &uidvalidity_now, &uid);
	e = mailbox_create(f->a, S("more"), 0, &id);
	e = mailbox_subscribe(f->a, S("more"), true);
	e = store_append(f->a, 2, &m, 1, &uidvalidity_now, &uid);
	if (view_open(f->a, 1, false, 0, &v) == OK) {
		e = store_expunge(v, &r, true, NULL);
		view_close(&v);
	}
	ranges_free(&r);
	(void)e;
}

static int
child(struct fix *f, bool rebuild, bool check)
{
	uint64_t faults;
	int r;

	log_setup("test", LOG_ERROR + 1);
	f->a = NULL;
	f->st = NULL;
	if (fix_reopen_as(f, rebuild) != OK)
		return REFUSED;
	r = look(f);
	if (!check || r == WRONG)
		return r;
	if (f->works)
		work(f);
	faults = store_check(f->st, true, NULL, NULL);
	if (r == REFUSED && faults == 0)
		return UNNOTICED;
	if (f->works) { /* in order, as at its end */
		acct_close(&f->a);
		store_close(&f->st);
	}
	return faults > 0 ? REFUSED : r;
}

/* The answer; a death counts as refused. */
static int
try_it(struct fix *f, bool rebuild, bool check)
{
	static const int deaths[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE};
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		/* cmocka would go on with the next test, in the child. */
		for (size_t i = 0; i < NELEM(deaths); i++)
			signal(deaths[i], SIG_DFL);
		alarm(20);
		close(2);
		_exit(child(f, rebuild, check));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		return WRONG; /* it hung */
	return WIFEXITED(status) && WEXITSTATUS(status) <= UNNOTICED &&
		       WEXITSTATUS(status) != 1
		   ? WEXITSTATUS(status)
		   : REFUSED;
}

static void
damage(struct rnd *r, const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct stat sb;
	char page[4096] = {0};
	unsigned n = 1 + (unsigned)rnd(r, 16);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &sb), 0);
	switch (rnd(r, 8)) {
	case 0:
		assert_int_equal(
		    ftruncate(fd, (off_t)rnd(r, (uint64_t)sb.st_size)), 0);
		break;
	case 1:
		assert_true(
		    pwrite(fd, page, sizeof(page),
			(off_t)(rnd(r, (uint64_t)sb.st_size / 4096 + 1) *
				4096)) > 0);
		break;
	default:
		while (n-- > 0) {
			off_t at = (off_t)rnd(r, (uint64_t)sb.st_size);
			char c;

			assert_int_equal(pread(fd, &c, 1, at), 1);
			c ^= (char)(1 << rnd(r, 8));
			assert_int_equal(pwrite(fd, &c, 1, at), 1);
		}
	}
	close(fd);
}

static void
test_index(void **state)
{
	struct fix *f = fix_new();
	struct rnd r;
	unsigned refused = 0;

	fill(f);
	acct_close(&f->a);
	store_close(&f->st);
	for_seeds(&r, 40)
	{
		char path[200];
		struct fix g;
		int x;

		fix_copy(f, &g);
		snprintf(path, sizeof(path), "%s/index/data.mdb", g.dir);
		damage(&r, path);
		g.works = rnd(&r, 2);
		x = try_it(&g, false, true);
		seed_true(&r, x == RIGHT || x == TOLD || x == REFUSED);
		refused += x != RIGHT;
		g.works = false;
		/* A value that was found damaged is mended by the next start;
		 * when LMDB died of it, the index is set aside. */
		x = try_it(&g, false, true);
		if (x == REFUSED)
			x = try_it(&g, true, true);
		if (x == REFUSED)
			x = try_it(&g, true, true);
		seed_true(&r, x == RIGHT);
		fix_remove(&g);
	}
	print_message("%u were noticed\n", refused);
	fix_reopen(f);
	fix_free(f);
}

static void
test_segments(void **state)
{
	struct fix *f = fix_new();
	struct rnd r;
	unsigned refused = 0;

	fill(f);
	acct_close(&f->a);
	store_close(&f->st);
	for_seeds(&r, 60)
	{
		char path[200];
		struct fix g;
		int x;

		fix_copy(f, &g);
		snprintf(path, sizeof(path), "%s/log/0000000001.seg", g.dir);
		damage(&r, path);
		x = try_it(&g, rnd(&r, 2), true);
		seed_true(&r, x == RIGHT || x == TOLD || x == REFUSED);
		refused += x != RIGHT;
		fix_remove(&g);
	}
	print_message("%u were noticed\n", refused);
	fix_reopen(f);
	fix_free(f);
}

/* R102: the index is lost, all of it. */
static void
test_lost_index(void **state)
{
	struct fix *f = fix_new();
	struct fix g;
	char cmd[400];

	fill(f);
	acct_close(&f->a);
	store_close(&f->st);
	fix_copy(f, &g);
	snprintf(cmd, sizeof(cmd), "rm -rf %s/index", g.dir);
	assert_int_equal(system(cmd), 0);
	assert_int_equal(try_it(&g, false, true), RIGHT);
	/* R103: an index of another time, before and after the log. */
	fix_remove(&g);
	fix_copy(f, &g);
	fix_reopen(f);
	fix_append(f, "later", 0);
	acct_close(&f->a);
	store_close(&f->st);
	snprintf(cmd, sizeof(cmd), "cp %s/index/data.mdb %s/index/data.mdb",
	    f->dir, g.dir);
	assert_int_equal(system(cmd), 0);
	assert_int_equal(try_it(&g, false, true), REFUSED);
	assert_int_equal(try_it(&g, true, true), TOLD);
	fix_remove(&g);
	fix_reopen(f);
	fix_check(f);
	fix_free(f);
}

/* In the index of a store that nobody has open: the row of account 7, and
 * mailbox id, in this table is deleted, or, with a value, put. */
static void
tamper(const char *dir, char table, uint32_t id, const char *value)
{
	char path[200];
	char k[13] = {table, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, (char)id};
	MDB_val key = {id == 0 ? 9 : 13, k};
	MDB_val v = {value == NULL ? 0 : strlen(value), (char *)value};
	MDB_env *env;
	MDB_txn *t;
	MDB_dbi dbi;

	snprintf(path, sizeof(path), "%s/index", dir);
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_mapsize(env, 1 << 30), 0);
	assert_int_equal(mdb_env_open(env, path, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &t), 0);
	assert_int_equal(mdb_dbi_open(t, NULL, 0, &dbi), 0);
	if (value == NULL)
		assert_int_equal(mdb_del(t, dbi, &key, NULL), 0);
	else
		assert_int_equal(mdb_put(t, dbi, &key, &v, 0), 0);
	assert_int_equal(mdb_txn_commit(t), 0);
	mdb_env_close(env);
}

/* An account whose row is lost is not made anew over what it has; the next
 * start finds it again. */
static void
test_lost_account(void **state)
{
	struct fix *f = fix_new();

	fill(f);
	acct_close(&f->a);
	store_close(&f->st);
	tamper(f->dir, 'A', 0, NULL);
	log_setup("test", LOG_ERROR + 1);
	assert_int_equal(fix_reopen_as(f, false), ERR_CORRUPT);
	assert_true(f->died);
	log_setup("test", LOG_ERROR);
	fix_reopen(f);
	assert_int_equal(look(f), RIGHT);
	fix_check(f);
	fix_free(f);
}

/* A change that was planned by a damaged index, and cannot be applied, is not
 * in the log for ever. */
static void
test_cancelled(void **state)
{
	struct fix *f = fix_new();
	struct mailbox_info info;
	uint32_t id;

	fill(f);
	acct_close(&f->a);
	store_close(&f->st);
	tamper(f->dir, 'M', 7, "what no one has written");
	fix_reopen(f);
	log_setup("test", LOG_ERROR + 1);
	assert_int_equal(
	    mailbox_create(f->a, S("new"), 0, &id), ERR_UNAVAILABLE);
	assert_true(f->died);
	assert_int_equal(
	    fix_append_to(f, 1, bodies[0], 0, NULL), ERR_UNAVAILABLE);
	log_setup("test", LOG_ERROR);
	fix_reopen(f);
	assert_int_equal(look(f), RIGHT);
	assert_int_equal(
	    mailbox_find(f->a, f->ar, S("new"), &info), ERR_NOTFOUND);
	fix_check(f);
	assert_int_equal(mailbox_create(f->a, S("new"), 0, &id), OK);
	assert_int_equal(id, 7);
	fix_check(f);
	fix_free(f);
}

/* Half a copy is no store; a whole one gets new UIDVALIDITYs, even when that
 * is broken off. */
static void
test_restored(void **state)
{
	struct fix *f = fix_new();
	struct store_opts o = {.no_background = true, .restored = true};
	struct fix g;
	char path[200];
	struct stat sb;

	fill(f);
	acct_close(&f->a);
	store_close(&f->st);
	fix_copy(f, &g);
	snprintf(path, sizeof(path), "%s/FORMAT", g.dir);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(try_it(&g, false, true), REFUSED);
	assert_int_equal(try_it(&g, true, true), REFUSED);
	o.dir = g.dir;
	assert_int_equal(store_open(&o, &g.st), OK);
	store_close(&g.st);
	assert_int_equal(stat(path, &sb), 0);
	assert_int_equal(try_it(&g, false, true), TOLD);
	fix_remove(&g);
	fix_copy(f, &g);
	snprintf(path, sizeof(path), "%s/index/short", g.dir);
	assert_int_equal(os_spill(path, S("x\n"), 0600), OK);
	assert_int_equal(try_it(&g, false, true), TOLD);
	assert_int_not_equal(stat(path, &sb), 0);
	fix_remove(&g);
	fix_reopen(f);
	fix_check(f);
	fix_free(f);
}

/* The log's last group is lost, and the index before that: what LMDB had is
 * still asked how far it had come, but not twice when it died of it. */
static void
test_short_log(void **state)
{
	struct fix *f = fix_new();
	char path[200];
	struct fix g;
	struct stat sb;
	uint64_t used;
	struct store_stats s;

	fill(f);
	store_stats(f->st, &s);
	used = s.log_bytes;
	fix_append(f, "the last one", 0);
	acct_close(&f->a);
	store_close(&f->st);
	fix_copy(f, &g);
	snprintf(path, sizeof(path), "%s/log/0000000001.seg", g.dir);
	assert_int_equal(truncate(path, (off_t)used), 0);
	assert_int_equal(try_it(&g, false, false), REFUSED);
	assert_int_equal(try_it(&g, true, true), TOLD);
	fix_remove(&g);
	fix_copy(f, &g);
	snprintf(path, sizeof(path), "%s/log/0000000001.seg", g.dir);
	assert_int_equal(truncate(path, (off_t)used), 0);
	snprintf(path, sizeof(path), "%s/index/looked", g.dir);
	assert_int_equal(os_spill(path, S("x\n"), 0600), OK);
	assert_int_equal(try_it(&g, true, true), RIGHT);
	assert_int_not_equal(stat(path, &sb), 0);
	fix_remove(&g);
	fix_reopen(f);
	fix_check(f);
	fix_free(f);
}

/* A format of the future is left alone. */
static void
test_format(void **state)
{
	struct fix *f = fix_new();
	char path[200];

	acct_close(&f->a);
	store_close(&f->st);
	snprintf(path, sizeof(path), "%s/FORMAT", f->dir);
	assert_int_equal(os_spill(path, S("4\n"), 0600), OK);
	log_setup("test", LOG_ERROR + 1);
	assert_int_equal(fix_reopen_as(f, false), ERR_CORRUPT);
	log_setup("test", LOG_ERROR);
	assert_int_equal(os_spill(path, S("2\n"), 0600), OK);
	fix_reopen(f);
	fix_free(f);
}

/* A second process finds it taken. */
static void
test_busy(void **state)
{
	struct fix *f = fix_new();
	struct store_opts o = {.dir = f->dir};
	struct store *st;

	assert_int_equal(store_open(&o, &st), ERR_BUSY);
	fix_free(f);
}

/* R98: no room in the log: new mail is refused, expunges work; later all is
 * well again. */
static void
test_full(void **state)
{
#ifdef RESTANTE_FAULTS
	struct fix *f = fix_new();
	struct view *v;
	struct ranges r = fix_set(1, 10);
	enum err e = OK;
	char text[100000];
	str m = {text, sizeof(text)};
	struct rnd x = {.state = 1};

	for (int i = 0; i < 20; i++)
		fix_append(f, "x", 0);
	log_setup("test", LOG_ERROR + 1);
	os_fault_set(1 << OS_ALLOCATE, 1, ENOSPC, 0, true);
	for (int i = 0; i < 100 && e == OK; i++) {
		/* Nothing that could be compressed, or is there already. */
		for (size_t j = 0; j < sizeof(text); j++)
			text[j] = (char)(' ' + rnd(&x, 95));
		memcpy(text, "Subject: x\r\n\r\n", 14);
		for (size_t j = 90; j + 80 < sizeof(text); j += 80)
			memcpy(text + j, "\r\n", 2);
		e = fix_append_to(f, 1, m, 0, NULL);
	}
	assert_int_equal(e, ERR_FULL);
	v = fix_view(f, 1);
	assert_int_equal(store_expunge(v, &r, true, NULL), OK);
	assert_int_equal(fix_append_to(f, 1, m, 0, NULL), ERR_FULL);
	view_close(&v);
	os_fault_clear();
	for (int i = 0; i < 300 && e != OK; i++) {
		usleep(20000);
		e = fix_append_to(f, 1, m, 0, NULL);
	}
	assert_int_equal(e, OK);
	log_setup("test", LOG_ERROR);
	ranges_free(&r);
	fix_check(f);
	fix_free(f);
#endif
}

/* R98: a commit of the index finds no room. Either it can be done later, or
 * the store says that it has ended; it never takes the index for damaged. */
static void
test_full_index(void **state)
{
#ifdef RESTANTE_FAULTS
	bool hit = true;
	unsigned full = 0;
	unsigned ended = 0;

	for (uint64_t n = 1; hit; n++) {
		struct fix *f = fix_new();
		enum err e;

		fix_append(f, "x", 0);
		log_setup("test", LOG_ERROR + 1);
		os_fault_set(1 << OS_WRITE | 1 << OS_SYNC, n, ENOSPC, 0, false);
		e = index_flush(f->st);
		hit = os_fault_hit();
		os_fault_clear();
		if (e == ERR_FULL)
			assert_int_equal(index_flush(f->st), OK);
		else
			assert_int_equal(e, e == OK ? OK : ERR_UNAVAILABLE);
		full += e == ERR_FULL;
		ended += e == ERR_UNAVAILABLE;
		fix_reopen(f);
		log_setup("test", LOG_ERROR);
		fix_check(f);
		fix_free(f);
	}
	assert_true(full > 0 && ended > 0);
#endif
}

int
main(void)
{
	/* Many stores are made here; none needs to outlive the machine. */
	if (getenv("TMPDIR") == NULL && access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 1);
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_index),
	    cmocka_unit_test(test_segments),
	    cmocka_unit_test(test_lost_index),
	    cmocka_unit_test(test_lost_account),
	    cmocka_unit_test(test_cancelled),
	    cmocka_unit_test(test_restored),
	    cmocka_unit_test(test_short_log),
	    cmocka_unit_test(test_format),
	    cmocka_unit_test(test_busy),
	    cmocka_unit_test(test_full),
	    cmocka_unit_test(test_full_index),
	};

	return cmocka_run_group_tests_name("store-damage", tests, NULL, NULL);
}
