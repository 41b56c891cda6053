/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Taking in what was imported, giving it out again, copying the store: on a
 * real store.
 */
#include <fcntl.h>
#include <pthread.h>

#include "os/os.h"
#include "store/t_store.h"

static struct import_item
box(const char *name, uint32_t uidvalidity)
{
	return (struct import_item){.what = IMPORT_BOX,
	    .mailbox = str_c(name),
	    .uidvalidity = uidvalidity,
	    .subscribe = true};
}

static struct import_item
mail(struct fix *f, const char *name, uint32_t uidvalidity, const char *subject,
    uint32_t uid)
{
	return (struct import_item){.what = IMPORT_MESSAGE,
	    .mailbox = str_c(name),
	    .uidvalidity = uidvalidity,
	    .flags = FLAG_SEEN,
	    .internaldate = {1000000000 + uid, -300},
	    .uid = uid,
	    .uidl = arena_f(f->ar, "uidl-%u", uid),
	    .copy = 1,
	    .message = fix_message(f, subject, 400)};
}

static struct import_item
box_end(const char *name, uint32_t uidvalidity, uint32_t uidnext)
{
	return (struct import_item){.what = IMPORT_BOX_END,
	    .mailbox = str_c(name),
	    .uidvalidity = uidvalidity,
	    .uidnext = uidnext};
}

/* Takes in v, in calls of at most step, each with an importer of its own, as
 * the command line does. Returns how many were new. */
static size_t
take(struct fix *f, const struct import_item *v, size_t n, size_t step)
{
	size_t fresh = 0;

	for (size_t i = 0; i < n; i += step) {
		struct importer *im = importer_new(f->a);
		bool added[64];
		size_t at, k = MIN(step, n - i);

		assert_int_equal(importer_add(im, v + i, k, added, &at), OK);
		for (size_t j = 0; j < k; j++)
			fresh += added[j];
		importer_free(&im);
	}
	return fresh;
}

static uint32_t
box_id(struct fix *f, const char *name)
{
	struct mailbox_info info;

	assert_int_equal(mailbox_find(f->a, f->ar, str_c(name), &info), OK);
	return info.id;
}

static struct mailbox_status
status(struct fix *f, const char *name)
{
	struct mailbox_status s;

	assert_int_equal(mailbox_status(f->a, box_id(f, name), &s), OK);
	return s;
}

static void
keeps_uids(void **state)
{
	for (size_t step = 1; step <= 8; step++) {
		struct fix *f = fix_new();
		static const str words[] = {
		    S("$Forwarded"), S("not ok"), S("work")};
		struct import_item v[] = {box("INBOX", 77),
		    mail(f, "INBOX", 77, "a", 3), mail(f, "INBOX", 77, "b", 9),
		    mail(f, "INBOX", 77, "n", 0), box_end("INBOX", 77, 30),
		    box("Lists/c", 0), mail(f, "Lists/c", 0, "c", 5),
		    box_end("Lists/c", 0, 0)};
		struct view *w;
		struct buf b = {0};
		struct entry e;

		v[1].keywords = words;
		v[1].nkeywords = NELEM(words);
		assert_int_equal(take(f, v, NELEM(v), step), 4);
		for (int round = 0; round < 2; round++) {
			w = fix_view(f, 1);
			assert_str(fix_show(f, w),
			    S("3:\\Seen $Forwarded work 9:\\Seen 10:\\Seen"));
			assert_int_equal(view_uidvalidity(w), 77);
			assert_int_equal(view_uidnext(w), 30);
			assert_int_equal(view_entries(w, 1, &e, 1), 1);
			assert_int_equal(e.internaldate.sec, 1000000003);
			assert_int_equal(e.internaldate.zone_min, -300);
			buf_reset(&b);
			view_uidl(w, &e, &b);
			assert_str(buf_str(&b), S("uidl-3"));
			assert_str(fix_read(f, w, 3), v[1].message);
			view_close(&w);
			assert_int_equal(status(f, "Lists/c").messages, 1);
			assert_int_equal(status(f, "Lists/c").uidnext, 2);
			/* Again: nothing is new; rebuilt: the same. */
			assert_int_equal(take(f, v, NELEM(v), step), 0);
			assert_int_equal(fix_reopen_as(f, round == 0), OK);
		}
		assert_int_equal(fix_append(f, "later", 0), 30);
		buf_free(&b);
		fix_check(f);
		fix_free(f);
	}
}

/* In a mailbox that has been used, messages get the next UIDs, and the
 * mailbox keeps its UIDVALIDITY. */
static void
used_mailbox(void **state)
{
	struct fix *f = fix_new();
	struct import_item v[] = {box("INBOX", 77),
	    mail(f, "INBOX", 77, "a", 3), mail(f, "INBOX", 77, "b", 9),
	    box_end("INBOX", 77, 30)};
	uint32_t validity = status(f, "INBOX").uidvalidity;
	struct view *w;
	struct buf b = {0};
	struct entry e;

	fix_append(f, "mine", 0);
	assert_int_equal(take(f, v, NELEM(v), 64), 2);
	assert_int_equal(status(f, "INBOX").uidvalidity, validity);
	assert_int_equal(status(f, "INBOX").uidnext, 4);
	w = fix_view(f, 1);
	assert_int_equal(view_entries(w, 2, &e, 1), 1);
	view_uidl(w, &e, &b);
	assert_false(str_eq(buf_str(&b), S("uidl-3")));
	buf_free(&b);
	view_close(&w);
	fix_free(f);
}

/* As many copies as the source has, however often it is imported. */
static void
copies(void **state)
{
	for (size_t step = 1; step < 7; step++) {
		struct fix *f = fix_new();
		struct import_item v[] = {mail(f, "x", 0, "a", 0),
		    mail(f, "x", 0, "a", 0), mail(f, "x", 0, "b", 0),
		    mail(f, "x", 0, "a", 0), mail(f, "y", 0, "a", 0)};

		v[1].copy = 2;
		v[3].copy = 3;
		assert_int_equal(take(f, v, 2, step), 2);
		assert_int_equal(take(f, v, 2, step), 0);
		assert_int_equal(take(f, v, 5, step), 3);
		assert_int_equal(take(f, v, 5, step), 0);
		assert_int_equal(status(f, "x").messages, 4);
		assert_int_equal(status(f, "y").messages, 1);
		fix_free(f);
	}
}

/* Names that other programs allow; what cannot be taken is told. */
static void
odd(void **state)
{
	struct fix *f = fix_new();
	struct import_item v[] = {box("a//b\001/", 0), box("inbox/sub", 0),
	    {.what = IMPORT_SUBSCRIBED, .mailbox = S("not there")},
	    mail(f, "big", 0, "x", 0)};
	struct importer *im = importer_new(f->a);
	uint64_t was = limits.message_size_max;
	bool added[4];
	size_t at;

	limits.message_size_max = v[3].message.n - 1;
	assert_int_equal(importer_add(im, v, 4, added, &at), ERR_TOOBIG);
	assert_int_equal(at, 3);
	limits.message_size_max = was;
	importer_free(&im);
	box_id(f, "a/b_");
	box_id(f, "INBOX/sub");
	fix_free(f);
}

/* ---- export ---- */

static int
dir_new(char *path)
{
	assert_non_null(litter_make(path, NULL, "t_import"));
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void
dir_remove(const char *path)
{
	assert_int_equal(litter_remove(path), 0);
}

static void
export_to(struct fix *f, int dir, enum export_kind kind)
{
	struct exporter *ex;
	struct export *out;
	struct import_item it;
	bool end;

	assert_int_equal(exporter_new(f->a, STR_NONE, &ex), OK);
	assert_int_equal(export_open(dir, kind, &out), OK);
	while (exporter_next(ex, &it, &end) == OK && !end)
		assert_int_equal(export_put(out, &it), OK);
	assert_int_equal(export_close(&out), OK);
	exporter_free(&ex);
}

static void
import_from(struct fix *f, const char *path)
{
	struct import *im;
	struct importer *to = importer_new(f->a);
	struct import_item it;
	bool end, added;
	size_t at;

	assert_int_equal(import_open(open(path, O_RDONLY | O_CLOEXEC),
			     IMPORT_AUTO, STR_NONE, &im),
	    OK);
	while (import_next(im, &it, &end) == OK && !end)
		assert_int_equal(importer_add(to, &it, 1, &added, &at), OK);
	import_free(&im);
	importer_free(&to);
}

/* An account exported as Maildir and imported elsewhere is the same one. */
static void
there_and_back(void **state)
{
	struct fix *f = fix_new(), *g = fix_new();
	char path[64];
	uint32_t id;
	struct view *v;

	setenv("TZ", "UTC", 1);
	for (int i = 0; i < 20; i++) {
		str k = arena_f(f->ar, "k%d", i * 3);
		str two[2] = {k, S("$Label1")};
		struct new_message m = {.message = fix_message(f, "x", 300),
		    .internaldate = {1500000000 + i, 0},
		    .flags = {(unsigned)i & FLAG_SYSTEM, two, 2}};
		uint32_t validity, uid;

		if (i == 0)
			assert_int_equal(
			    mailbox_create(f->a, S("W\xc3\xb6rk/a.b"), 0, &id),
			    OK);
		assert_int_equal(
		    store_append(f->a, i % 2 ? id : 1, &m, 1, &validity, &uid),
		    OK);
	}
	assert_int_equal(
	    mailbox_subscribe(f->a, S("W\xc3\xb6rk/a.b"), true), OK);
	v = fix_view(f, 1);
	assert_int_equal(fix_store(v, 4, 5, FLAGS_ADD, FLAG_DELETED), OK);
	assert_int_equal(store_expunge(v, NULL, false, NULL), OK);
	view_close(&v);
	export_to(f, dir_new(path), EXPORT_MAILDIR);
	import_from(g, path);
	assert_str(fix_account(g), fix_account(f));
	import_from(g, path);
	assert_str(fix_account(g), fix_account(f));
	dir_remove(path);
	fix_check(g);
	fix_free(f);
	fix_free(g);
}

/* ---- backup ---- */

static void
copy_opens(struct fix *f, const char *path, str want)
{
	struct fix g = {.ar = f->ar};

	snprintf(g.dir, sizeof(g.dir), "%s", path);
	for (int rebuild = 0; rebuild < 2; rebuild++) {
		assert_int_equal(fix_reopen_as(&g, rebuild), OK);
		assert_str(fix_account(&g), want);
		fix_check(&g);
	}
	acct_close(&g.a);
	store_close(&g.st);
}

static void
backup(void **state)
{
	struct fix *f = fix_new();
	char path[64];
	int dir;
	str want;

	for (int i = 0; i < 30; i++)
		fix_append(f, "x", FLAG_SEEN);
	want = fix_account(f);
	dir = dir_new(path);
	assert_int_equal(store_backup(f->st, dir), OK);
	os_close(&dir);
	/* What comes later is not in it. */
	fix_append(f, "later", 0);
	copy_opens(f, path, want);
	dir_remove(path);
	fix_free(f);
}

/* While others write: the copy holds all that was acknowledged before. */
static void *
writer(void *arg)
{
	struct fix *f = arg;
	struct new_message m = {
	    .message = S("From: a@example.org\r\nSubject: w\r\n\r\nw\r\n"),
	    .internaldate = {1500000000, 0}};
	uint32_t validity, uid;

	while (__atomic_load_n(&f->pokes, __ATOMIC_RELAXED) < 1000000)
		if (store_append(f->a, 1, &m, 1, &validity, &uid) != OK)
			break;
	return NULL;
}

static void
backup_while_written(void **state)
{
	struct fix *f = fix_new();
	struct store_opts o = {.no_background = true};
	struct grant g = {.kind = GRANT_LOGIN, .account = 7};
	char path[5][64];
	uint32_t told[5];
	pthread_t t;
	int dir;

	assert_int_equal(pthread_create(&t, NULL, writer, f), 0);
	for (int i = 0; i < 5; i++) {
		told[i] = status(f, "INBOX").messages;
		dir = dir_new(path[i]);
		assert_int_equal(store_backup(f->st, dir), OK);
		os_close(&dir);
	}
	__atomic_store_n(&f->pokes, 1000000, __ATOMIC_RELAXED);
	pthread_join(t, NULL);
	for (int i = 0; i < 5; i++) {
		struct fix h = {.ar = f->ar};

		o.dir = path[i];
		assert_int_equal(store_open(&o, &h.st), OK);
		assert_int_equal(acct_open(h.st, &g, S("ann"), &h.a), OK);
		assert_true(status(&h, "INBOX").messages >= told[i]);
		fix_check(&h);
		acct_close(&h.a);
		store_close(&h.st);
		dir_remove(path[i]);
	}
	fix_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(keeps_uids),
	    cmocka_unit_test(used_mailbox),
	    cmocka_unit_test(copies),
	    cmocka_unit_test(odd),
	    cmocka_unit_test(there_and_back),
	    cmocka_unit_test(backup),
	    cmocka_unit_test(backup_while_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
