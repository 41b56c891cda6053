/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The n-th call fails, for every n, where mail is copied: compaction, import,
 * export, backup. (R97, R98, R99)
 *
 * (1) Compaction changes nothing that anybody sees, however far it came.
 * (2) What an import was told is in stays in; run again, it makes all as if
 *     nothing had happened.
 * (3) A backup that is not whole has no FORMAT, and no store opens it; the
 *     source is none the worse.
 * (4) An export that says it is whole is.
 */
#include <dirent.h>
#include <fcntl.h>

#include "store/t_faults.h"
#include "store/t_store.h"

/* Beside those of every path. */
static const struct fault reading = {
    "EIO of a read", 1 << OS_READ, EIO, 0, false};

struct path {
	const char *name;
	void (*begin)(void);
	/* True while there was an n-th call. */
	bool (*one)(const struct fault *x, uint64_t n);
	void (*end)(void);
};

/* Where it is, for what fails. */
static char now[160];

#define MUST(x)                                              \
	do {                                                 \
		if (!(x))                                    \
			fail_msg("%s: not so: %s", now, #x); \
	} while (0)

static void
clock_stands(void)
{
	os_clock_fix(INT64_C(1750000000000), INT64_C(1000000));
}

static void
fault_on(const struct fault *x, uint64_t n)
{
	log_setup("test", LOG_ERROR + 1);
	os_fault_set(x->mask, n, x->error, x->short_by, x->sticky);
}

/* Returns whether it has happened. */
static bool
fault_off(void)
{
	bool hit = os_fault_hit();

	os_fault_clear();
	log_setup("test", LOG_ERROR);
	return hit;
}

/* It has to close, too. After a read that failed it goes on; a write may have
 * been the index's, which then is not used any more. */
static void
close_under(struct fix *f, const struct fault *x)
{
	if (x == &reading && !f->died)
		return;
	acct_close(&f->a);
	store_close(&f->st);
}

static unsigned
count_files(const char *dir, const char *below, const char *ending)
{
	char path[128];
	struct dirent *e;
	unsigned n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/%s", dir, below);
	if ((d = opendir(path)) == NULL)
		return 0;
	while ((e = readdir(d)) != NULL)
		n += str_ends(str_c(e->d_name), str_c(ending));
	closedir(d);
	return n;
}

/* ---- compaction ---- */

static struct fix *model; /* closed; what each turn begins with */
static str model_shows;

/* Letters that do not get smaller. */
static str
noise(struct fix *f, uint64_t x, size_t n)
{
	struct buf b = {0};
	str s;

	buf_f(&b, "Subject: %u\r\n\r\n", (unsigned)x);
	while (b.n < n) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		buf_c(&b, (char)('!' + (x >> 33) % 90));
		if (b.n % 70 == 0)
			buf_s(&b, "\r\n");
	}
	s = arena_buf(f->ar, &b);
	buf_free(&b);
	return s;
}

/* Some segments of which little lives. */
static void
compact_begin(void)
{
	struct ranges gone = fix_set(2, 5);
	struct fix *f = fix_new();
	struct view *v;
	bool more = true;

	limits.segment_bytes = 16384;
	limits.expunged_keep_s = 0;
	for (unsigned i = 1; i <= 8; i++)
		assert_int_equal(
		    fix_append_to(f, 1, noise(f, i, 5000), 0, NULL), OK);
	ranges_add(&gone, 7, 7);
	v = fix_view(f, 1);
	assert_int_equal(fix_store(v, 1, 6, FLAGS_ADD, FLAG_SEEN), OK);
	assert_int_equal(store_expunge(v, &gone, true, NULL), OK);
	view_close(&v);
	ranges_free(&gone);
	os_clock_fix(os_wall_ms() + 5000, os_mono_ms() + 5000);
	for (int i = 0; i < 9 && more; i++)
		assert_int_equal(store_expire(f->st, &more), OK);
	model_shows = fix_account(f);
	acct_close(&f->a);
	store_close(&f->st);
	assert_true(count_files(f->dir, "log", ".seg") >= 3);
	assert_int_equal(count_files(f->dir, "log", "0000000001.seg"), 1);
	model = f;
}

static void
compact_end(void)
{
	limits_default(&limits);
	clock_stands();
	fix_free(model);
}

static struct fix *
from_model(void)
{
	struct fix *f = fix_new();
	char cmd[256];

	acct_close(&f->a);
	store_close(&f->st);
	snprintf(cmd, sizeof(cmd), "rm -rf %s/* && cp -R %s/. %s", f->dir,
	    model->dir, f->dir);
	assert_int_equal(system(cmd), 0);
	fix_reopen(f);
	return f;
}

static enum err
compact_all(struct fix *f)
{
	bool more = true;
	enum err e = OK;

	for (int i = 0; i < 200 && e == OK && more; i++)
		e = store_compact(f->st, &more);
	return e;
}

/* (1) */
static bool
compact_one(const struct fault *x, uint64_t n)
{
	struct fix *f = from_model();
	enum err e;
	bool hit;

	fault_on(x, n);
	e = compact_all(f);
	close_under(f, x);
	hit = fault_off();
	MUST(hit || e == OK);
	if (f->st != NULL) { /* It goes on in the same process. */
		MUST(str_eq(fix_account(f), model_shows));
		MUST(compact_all(f) == OK);
		MUST(str_eq(fix_account(f), model_shows));
		fix_check(f);
	}
	f->died = false;
	MUST(fix_reopen_as(f, false) == OK);
	MUST(str_eq(fix_account(f), model_shows));
	MUST(compact_all(f) == OK);
	fix_check(f);
	/* The log alone tells the same. */
	MUST(fix_reopen_as(f, true) == OK);
	MUST(str_eq(fix_account(f), model_shows));
	fix_check(f);
	if (!hit)
		MUST(count_files(f->dir, "log", "0000000001.seg") == 0);
	fix_append(f, "after", 0);
	fix_free(f);
	return hit;
}

/* ---- import ---- */

enum { BATCHES = 4 };

/* What the source has, a batch a row: the calls the command line makes. */
static struct import_item source[BATCHES][4];
static str import_shows[BATCHES + 1]; /* after so many batches */
static struct fix *import_fix;

static struct import_item
item_box(
    enum import_what what, const char *name, uint32_t validity, uint32_t next)
{
	return (struct import_item){.what = what,
	    .mailbox = str_c(name),
	    .uidvalidity = validity,
	    .uidnext = next,
	    .subscribe = true};
}

static struct import_item
item_mail(const char *name, uint32_t validity, const char *subject,
    uint32_t uid, uint32_t copy)
{
	struct fix *f = import_fix;

	return (struct import_item){.what = IMPORT_MESSAGE,
	    .mailbox = str_c(name),
	    .uidvalidity = validity,
	    .flags = FLAG_SEEN,
	    .internaldate = {1000000000, 0},
	    .uid = uid,
	    .uidl = uid != 0 ? arena_f(f->ar, "uidl-%u", uid) : STR_NONE,
	    .copy = copy,
	    .message = fix_message(f, subject, 400)};
}

/* Takes in batches until one fails; *acked were answered well, *fresh of
 * their messages were new. */
static enum err
take(struct fix *f, unsigned batches, unsigned *acked, unsigned *fresh)
{
	enum err e = OK;

	*acked = *fresh = 0;
	while (*acked < batches && e == OK) {
		struct importer *im = importer_new(f->a);
		bool added[4] = {0};
		size_t at;

		e = importer_add(im, source[*acked], 4, added, &at);
		importer_free(&im);
		for (int i = 0; i < 4 && e == OK; i++)
			*fresh += added[i];
		*acked += e == OK;
	}
	return e;
}

static void
import_begin(void)
{
	const struct import_item all[BATCHES][4] = {
	    {item_box(IMPORT_SUBSCRIBED, "news", 0, 0),
		item_box(IMPORT_BOX, "INBOX", 77, 0), {0}, {0}},
	    {{0}, {0}, item_box(IMPORT_BOX_END, "INBOX", 77, 30),
		item_box(IMPORT_BOX, "Lists/c", 78, 0)},
	};
	unsigned acked, fresh;

	import_fix = fix_new();
	memcpy(source, all, sizeof(source));
	source[0][2] = item_mail("INBOX", 77, "a", 3, 1);
	source[0][3] = item_mail("INBOX", 77, "a", 9, 2);
	source[1][0] = item_mail("INBOX", 77, "b", 12, 1);
	source[1][1] = item_mail("INBOX", 77, "n", 0, 1);
	source[2][0] = item_mail("Lists/c", 78, "c", 5, 1);
	source[2][1] = item_mail("Lists/c", 78, "d", 6, 1);
	source[2][2] = item_mail("Lists/c", 78, "d", 7, 2);
	source[2][3] = item_box(IMPORT_BOX_END, "Lists/c", 78, 8);
	source[3][0] = item_box(IMPORT_BOX, "e", 79, 0);
	source[3][1] = item_mail("e", 79, "c", 1, 1);
	source[3][2] = item_mail("e", 79, "f", 2, 1);
	source[3][3] = item_box(IMPORT_BOX_END, "e", 79, 3);
	for (unsigned i = 0; i <= BATCHES; i++) {
		struct fix *f = fix_new();

		assert_int_equal(take(f, i, &acked, &fresh), OK);
		import_shows[i] = arena_dup(import_fix->ar, fix_account(f));
		fix_free(f);
	}
}

static void
import_end(void)
{
	fix_free(import_fix);
}

/* Is each message that a tells in b, with all that is told of it? */
static bool
messages_in(str a, str b)
{
	while (a.n > 0) {
		str line = str_cut(&a, '\n');

		if (line.n > 2 && line.p[0] == '0' + IMPORT_MESSAGE &&
		    str_find(b, line) == b.n)
			return false;
	}
	return true;
}

/* (2) */
static bool
import_one(const struct fault *x, uint64_t n)
{
	struct fix *f = fix_new();
	unsigned acked, again, fresh;
	enum err e;
	bool hit;
	str shows;

	fault_on(x, n);
	e = take(f, BATCHES, &acked, &fresh);
	close_under(f, x);
	hit = fault_off();
	MUST(hit || e == OK);
	if (f->st == NULL) {
		f->died = false;
		MUST(fix_reopen_as(f, false) == OK);
	}
	fix_check(f);
	shows = fix_account(f);
	MUST(messages_in(import_shows[acked], shows));
	MUST(messages_in(shows, import_shows[BATCHES]));
	MUST(take(f, BATCHES, &again, &fresh) == OK);
	MUST(str_eq(fix_account(f), import_shows[BATCHES]));
	MUST(take(f, BATCHES, &again, &fresh) == OK && fresh == 0);
	fix_check(f);
	fix_free(f);
	return hit;
}

/* ---- backup ---- */

static struct fix *origin;

static void
backup_begin(void)
{
	origin = fix_new();
	for (int i = 0; i < 6; i++)
		fix_append(origin, "old", FLAG_SEEN);
}

static void
backup_end(void)
{
	fix_free(origin);
}

static int
folder_new(char path[64])
{
	int fd;

	snprintf(path, 64, "%.48s.XXXXXX", origin->dir);
	assert_non_null(mkdtemp(path));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void
folder_remove(const char *path)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", path);
	assert_int_equal(system(cmd), 0);
}

/* As cmd_restore would take it. */
static bool
claims_whole(const char *dir)
{
	return count_files(dir, ".", "FORMAT") == 1;
}

static void
backup_opens(struct fix *f, const char *dir, str want)
{
	struct fix g = {.ar = f->ar};

	snprintf(g.dir, sizeof(g.dir), "%s", dir);
	for (int rebuild = 0; rebuild < 2; rebuild++) {
		MUST(fix_reopen_as(&g, rebuild) == OK);
		MUST(str_eq(fix_account(&g), want));
		fix_check(&g);
	}
	acct_close(&g.a);
	store_close(&g.st);
}

/* Nor does an attempt to open it make it look whole. */
static void
backup_refused(struct fix *f, const char *dir)
{
	struct fix g = {.ar = f->ar};
	bool begun = count_files(dir, "log", ".seg") > 0 ||
		     count_files(dir, "index", "data.mdb") > 0;

	snprintf(g.dir, sizeof(g.dir), "%s", dir);
	log_setup("test", LOG_ERROR + 1);
	if (begun)
		MUST(fix_reopen_as(&g, false) == ERR_CORRUPT);
	log_setup("test", LOG_ERROR);
	MUST(!begun || !claims_whole(dir));
}

/* (3) */
static bool
backup_one(const struct fault *x, uint64_t n)
{
	struct fix *f = origin;
	char dir[64];
	str before = fix_account(f);
	enum err e;
	bool hit;
	int fd = folder_new(dir);

	fault_on(x, n);
	e = store_backup(f->st, fd);
	hit = fault_off();
	os_close(&fd);
	MUST(hit || e == OK);
	MUST(e != OK || claims_whole(dir));
	MUST(!f->died && str_eq(fix_account(f), before));
	if (claims_whole(dir))
		backup_opens(f, dir, before);
	else
		backup_refused(f, dir);
	folder_remove(dir);
	fix_append(f, "after", 0);
	if (n % 4 == 1)
		fix_reopen(f);
	fix_check(f);
	return hit;
}

/* ---- export ---- */

static enum export_kind export_kind;
static char export_model[64]; /* one that is whole */

static enum err
export_to(struct fix *f, int dir)
{
	struct exporter *ex;
	struct export *out;
	struct import_item it;
	bool end = false;
	enum err e;

	assert_int_equal(exporter_new(f->a, STR_NONE, &ex), OK);
	if ((e = export_open(dir, export_kind, &out)) == OK) {
		enum err c;

		while ((e = exporter_next(ex, &it, &end)) == OK && !end)
			if ((e = export_put(out, &it)) != OK)
				break;
		c = export_close(&out);
		e = e == OK ? c : e;
	}
	if (e == OK && exporter_skipped(ex) > 0)
		e = ERR_IO;
	exporter_free(&ex);
	return e;
}

static void
export_begin(void)
{
	backup_begin();
	assert_int_equal(mailbox_subscribe(origin->a, S("INBOX"), true), OK);
	assert_int_equal(export_to(origin, folder_new(export_model)), OK);
}

static void
export_end(void)
{
	folder_remove(export_model);
	backup_end();
}

/* (4) */
static bool
export_one(const struct fault *x, uint64_t n)
{
	char path[64], cmd[200];
	enum err e;
	bool hit;
	int dir = folder_new(path);

	fault_on(x, n);
	e = export_to(origin, dir);
	hit = fault_off();
	MUST(hit || e == OK);
	/* The lists of UIDs have a GUID, which is made of chance. */
	snprintf(
	    cmd, sizeof(cmd), "diff -r -I '^3 V' %s %s", export_model, path);
	MUST(e != OK || system(cmd) == 0);
	folder_remove(path);
	fix_check(origin);
	return hit;
}

static void
sweep(const struct path *p, const struct fault *x)
{
	bool more = true;
	uint64_t n;

	for (n = 1; more; n++) {
		snprintf(now, sizeof(now), "%s, call %llu of %s", p->name,
		    (unsigned long long)n, x->name);
		more = p->one(x, n);
	}
	if (getenv("TRACE") != NULL)
		print_message("%s, %s: %llu\n", p->name, x->name,
		    (unsigned long long)n - 2);
#ifdef RESTANTE_FAULTS
	assert_true(n > 2);
#endif
}

static void
sweep_all(const struct path *p)
{
	p->begin();
	for (size_t i = 0; i < NELEM(faults); i++)
		sweep(p, &faults[i]);
	sweep(p, &reading);
	p->end();
}

static void
test_compact(void **state)
{
	const struct path p = {
	    "compact", compact_begin, compact_one, compact_end};

	sweep_all(&p);
}

static void
test_import(void **state)
{
	const struct path p = {"import", import_begin, import_one, import_end};

	sweep_all(&p);
}

static void
test_backup(void **state)
{
	const struct path p = {"backup", backup_begin, backup_one, backup_end};

	sweep_all(&p);
}

static void
test_export(void **state)
{
	const struct path p = {"export", export_begin, export_one, export_end};

	export_kind = EXPORT_MAILDIR;
	sweep_all(&p);
	export_kind = EXPORT_MBOX;
	sweep_all(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_compact),
	    cmocka_unit_test(test_import),
	    cmocka_unit_test(test_backup),
	    cmocka_unit_test(test_export),
	};

	/* Hundreds of stores: that their disk is a real one adds nothing. */
	if (access("/dev/shm", W_OK | X_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0);
	/* UIDVALIDITYs are of the time: the same for what is compared. */
	clock_stands();
	return cmocka_run_group_tests_name("store-copies", tests, NULL, NULL);
}
