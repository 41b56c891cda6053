/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Keywords past the flag word, limits, conditional stores, \Recent, threads,
 * ids, deliveries to many.
 */
#include "store/t_store.h"

static enum err
keyword(struct view *v, uint32_t uid, enum flag_op op, str kw)
{
	struct ranges r = fix_set(uid, uid);
	struct flag_change c = {
	    .op = op, .flags = {0, &kw, 1}, .unchangedsince = UINT64_MAX};
	enum err e = store_flags(v, &r, &c, NULL, NULL);

	ranges_free(&r);
	return e;
}

/* R63, R16: a thousand keywords, and not one more; the message says all. */
static void
test_keywords(void **state)
{
	struct fix *f = fix_new();
	struct view *v;
	char name[300];
	str *names;
	size_t n;
	struct entry e;
	struct buf b = {0};

	fix_append(f, "k", 0);
	fix_append(f, "l", 0);
	v = fix_view(f, 1);
	limits.keywords_max = 200;
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "Key%d", i);
		assert_int_equal(keyword(v, 1, FLAGS_ADD, str_c(name)), OK);
	}
	assert_int_equal(keyword(v, 1, FLAGS_ADD, S("more")), ERR_LIMIT);
	assert_int_equal(keyword(v, 1, FLAGS_DEL, S("more")), OK);
	/* Case is ignored, and shown as first seen. */
	assert_int_equal(keyword(v, 2, FLAGS_ADD, S("kEY199")), OK);
	assert_int_equal(keyword(v, 2, FLAGS_ADD, S("KEY0")), OK);
	memset(name, 'x', sizeof(name));
	limits.keywords_max = 1000;
	assert_int_equal(
	    keyword(v, 1, FLAGS_ADD, str_of(name, 256)), ERR_LIMIT);
	assert_int_equal(keyword(v, 1, FLAGS_ADD, str_of(name, 255)), OK);
	assert_int_equal(keyword(v, 1, FLAGS_ADD, S("")), ERR_INVALID);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(view_keywords(v, f->ar, &names, &n), OK);
		assert_int_equal(n, 201);
		assert_str(names[0], S("Key0"));
		assert_int_equal(view_entries(v, 1, &e, 1), 1);
		for (int i = 0; i < 200; i++) {
			snprintf(name, sizeof(name), "kEy%d", i);
			assert_true(view_has_keyword(v, &e, str_c(name)));
		}
		assert_false(view_has_keyword(v, &e, S("other")));
		assert_str(str_head(fix_show(f, v), 12), S("1:Key0 Key1 "));
		assert_int_equal(view_entries(v, 2, &e, 1), 1);
		e.recent = false;
		buf_reset(&b);
		view_flags(v, &e, &b);
		assert_str(buf_str(&b), S("Key0 Key199"));
		view_close(&v);
		fix_check(f);
		assert_int_equal(fix_reopen_as(f, round == 1), OK);
		v = fix_view(f, 1);
	}
	buf_free(&b);
	view_close(&v);
	limits_default(&limits);
	fix_free(f);
}

/* R117: of two that store on one state exactly one wins. */
static void
test_unchangedsince(void **state)
{
	struct fix *f = fix_new();
	struct ranges r = fix_set(1, 2);
	struct ranges modified = {0};
	struct view *v, *w;
	struct flag_change c = {
	    .op = FLAGS_ADD, .flags.system = FLAG_SEEN, .silent = true};

	fix_append(f, "a", 0);
	fix_append(f, "b", 0);
	v = fix_view(f, 1);
	w = fix_view(f, 1);
	c.unchangedsince = view_highestmodseq(v);
	assert_int_equal(store_flags(v, &r, &c, &modified, NULL), OK);
	assert_int_equal(modified.n, 0);
	c.flags.system = FLAG_FLAGGED;
	assert_int_equal(store_flags(w, &r, &c, &modified, NULL), OK);
	assert_int_equal(ranges_count(&modified), 2);
	assert_str(fix_show(f, v), S("1:\\Seen 2:\\Seen"));
	/* R19: the ends of the range. */
	c.unchangedsince = INT64_MAX;
	ranges_reset(&modified);
	assert_int_equal(store_flags(w, &r, &c, &modified, NULL), OK);
	assert_int_equal(modified.n, 0);
	c.unchangedsince = 0;
	assert_int_equal(store_flags(w, &r, &c, &modified, NULL), OK);
	assert_int_equal(ranges_count(&modified), 2);
	ranges_free(&modified);
	ranges_free(&r);
	view_close(&v);
	view_close(&w);
	fix_free(f);
}

static void
test_recent(void **state)
{
	struct fix *f = fix_new();
	struct view *v, *w, *ro;
	struct mailbox_status s;
	struct changes c;

	fix_append(f, "a", 0);
	assert_int_equal(view_open(f->a, 1, true, 0, &ro), OK);
	assert_int_equal(view_recent(ro), 1);
	v = fix_view(f, 1);
	w = fix_view(f, 1);
	assert_int_equal(view_recent(v), 1);
	assert_int_equal(view_recent(w), 0);
	fix_append(f, "b", 0);
	assert_int_equal(mailbox_status(f->a, 1, &s), OK);
	assert_int_equal(s.recent, 1);
	assert_int_equal(view_sync(w, SYNC_ALL, f->ar, &c), OK);
	changes_free(&c);
	assert_int_equal(view_sync(v, SYNC_ALL, f->ar, &c), OK);
	changes_free(&c);
	assert_int_equal(view_recent(w), 1);
	assert_int_equal(view_recent(v), 1);
	view_close(&v);
	view_close(&w);
	view_close(&ro);
	fix_reopen(f);
	v = fix_view(f, 1);
	assert_int_equal(view_recent(v), 0);
	view_close(&v);
	fix_free(f);
}

static str
id_of(struct fix *f, struct view *v, uint32_t seq, bool thread)
{
	struct buf b = {0};
	struct entry e;
	str s;

	assert_int_equal(view_entries(v, seq, &e, 1), 1);
	if (thread)
		view_threadid(v, &e, &b);
	else
		view_emailid(v, &e, &b);
	s = arena_buf(f->ar, &b);
	buf_free(&b);
	return s;
}

static void
test_threads(void **state)
{
	static const str m[] = {
	    S("Message-ID: <1@x>\r\nSubject: a\r\n\r\na"),
	    S("Message-ID: <2@x>\r\nIn-Reply-To: <1@x>\r\n\r\nb"),
	    S("Message-ID: <9@x>\r\nSubject: a\r\n\r\nc"),
	    /* The parent comes later than the child. */
	    S("Message-ID: <4@x>\r\nReferences: <3@x>\r\n\r\nd"),
	    S("Message-ID: <3@x>\r\n\r\ne"),
	    S("Subject: none\r\n\r\nf"),
	};
	struct new_message in[NELEM(m)] = {0};
	uint32_t validity, uids[NELEM(m)];

	for (int apart = 0; apart < 2; apart++) {
		struct fix *f = fix_new();
		struct view *v;
		str t[NELEM(m)];

		for (size_t i = 0; i < NELEM(m); i++)
			in[i].message = m[i];
		for (size_t i = 0; i < NELEM(m); i += apart ? 1 : NELEM(m))
			assert_int_equal(
			    store_append(f->a, 1, in + i, apart ? 1 : NELEM(m),
				&validity, uids),
			    OK);
		v = fix_view(f, 1);
		for (size_t i = 0; i < NELEM(m); i++) {
			t[i] = id_of(f, v, (uint32_t)i + 1, true);
			assert_true(t[i].n > 1 && t[i].p[0] == 't');
		}
		assert_str(t[0], t[1]);
		assert_str(t[3], t[4]);
		assert_false(str_eq(t[0], t[2]));
		assert_false(str_eq(t[0], t[3]));
		assert_false(str_eq(t[5], t[0]));
		view_close(&v);
		fix_check(f);
		fix_free(f);
	}
}

/* A copy is the same message: EMAILID stays, no byte is stored again. */
static void
test_copy(void **state)
{
	struct fix *f = fix_new();
	struct store_stats before, after;
	struct ranges r = fix_set(1, 50);
	struct view *v, *w;
	uint32_t id, validity, *from, *to;
	size_t n;

	for (int i = 0; i < 50; i++)
		assert_int_equal(
		    fix_append_to(f, 1, fix_message(f, "c", 20000), 0, NULL),
		    OK);
	assert_int_equal(mailbox_create(f->a, S("copies"), 0, &id), OK);
	v = fix_view(f, 1);
	store_stats(f->st, &before);
	assert_int_equal(
	    store_copy(v, &r, id, false, f->ar, &validity, &from, &to, &n), OK);
	store_stats(f->st, &after);
	assert_int_equal(n, 50);
	assert_true(after.log_bytes - before.log_bytes < 50 * 60);
	assert_int_equal(after.flushes - before.flushes, 1);
	w = fix_view(f, id);
	assert_str(id_of(f, v, 7, false), id_of(f, w, 7, false));
	assert_str(fix_read(f, v, 7), fix_read(f, w, 7));
	/* Into itself: new UIDs. */
	assert_int_equal(
	    store_copy(v, &r, 1, true, f->ar, &validity, &from, &to, &n), OK);
	assert_int_equal(n, 50);
	assert_int_equal(to[0], 51);
	assert_int_equal(
	    store_copy(v, &r, 999, false, f->ar, &validity, &from, &to, &n),
	    ERR_NOTFOUND);
	view_close(&v);
	view_close(&w);
	ranges_free(&r);
	fix_check(f);
	fix_free(f);
}

/* R71: one stored body for all, each with lines of its own; each answer is
 * true. The same body comes again: it is not stored again (R66: within the
 * account). */
static void
test_deliver(void **state)
{
	struct fix *f = fix_new();
	struct delivery d[6] = {0};
	struct store_stats before, after;
	struct stamp now = {1500000000, -300};
	str m = fix_message(f, "deliver", 30000);
	char lines[6][40];

	for (size_t i = 0; i < 6; i++) {
		struct grant g = {.kind = GRANT_APPEND, .account = 20 + i % 5};

		snprintf(
		    lines[i], sizeof(lines[i]), "Delivered-To: u%zu\r\n", i);
		assert_int_equal(
		    acct_open(f->st, &g, S("u"), &d[i].account), OK);
		d[i].prefix = str_c(lines[i]);
	}
	store_stats(f->st, &before);
	store_deliver(f->st, d, 6, m, STR_NONE, now);
	store_stats(f->st, &after);
	assert_int_equal(after.flushes - before.flushes, 1);
	assert_true(after.log_bytes - before.log_bytes < 30000);
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(d[i].result, OK);
	before = after;
	store_deliver(f->st, d, 6, m, STR_NONE, now);
	store_stats(f->st, &after);
	assert_true(after.log_bytes - before.log_bytes < 12000);
	for (size_t i = 0; i < 6; i++) {
		struct grant g = {.kind = GRANT_LOGIN, .account = 20 + i % 5};
		struct summary s;
		struct acct *a;
		struct view *v;
		struct entry e;
		struct part p;
		struct buf want = {0};
		uint32_t uid = i == 5 ? 2 : 1;

		assert_int_equal(acct_open(f->st, &g, S("u"), &a), OK);
		assert_int_equal(view_open(a, 1, true, 0, &v), OK);
		assert_int_equal(view_exists(v), i % 5 == 0 ? 4 : 2);
		buf_str_add(&want, str_c(lines[i]));
		buf_str_add(&want, m);
		assert_str(fix_read(f, v, uid), buf_str(&want));
		assert_int_equal(view_entries(v, uid, &e, 1), 1);
		assert_int_equal(e.size, want.n);
		assert_int_equal(e.internaldate.zone_min, -300);
		assert_int_equal(view_summary(v, &e, f->ar, &s), OK);
		assert_int_equal(s.size, want.n);
		assert_true(mime_part(&s, 0, &p));
		assert_int_equal(p.body_at, s.header_size);
		assert_int_equal(p.body_at + p.body_len, want.n);
		buf_free(&want);
		view_close(&v);
		acct_close(&a);
	}
	fix_check(f);
	for (size_t i = 0; i < 6; i++)
		acct_close(&d[i].account);
	fix_free(f);
}

/* R73, store.h (7): what a snapshot has can be read until it is let go. */
static void
test_snapshot(void **state)
{
	struct fix *f = fix_new();
	struct buf a = {0};
	struct buf b = {0};
	struct view *v, *w;
	struct entry e;
	bool more;
	str m = fix_message(f, "s", 5000);

	assert_int_equal(fix_append_to(f, 1, m, 0, NULL), OK);
	fix_append(f, "t", 0);
	v = fix_view(f, 1);
	assert_int_equal(view_entries(v, 1, &e, 1), 1);
	view_uidl(v, &e, &a);
	w = fix_view(f, 1);
	assert_int_equal(store_expunge(w, NULL, true, NULL), OK);
	view_close(&w);
	limits.expunged_keep_s = 0;
	os_clock_fix(os_wall_ms() + 5000, os_mono_ms() + 5000);
	assert_int_equal(store_expire(f->st, &more), OK);
	assert_str(fix_read(f, v, 1), m);
	view_park(v);
	assert_str(fix_read(f, v, 1), m);
	view_uidl(v, &e, &b);
	assert_str(buf_str(&a), buf_str(&b));
	view_close(&v);
	assert_int_equal(store_expire(f->st, &more), OK);
	v = fix_view(f, 1);
	e.expunged = true;
	struct source *src;
	assert_int_equal(view_source(v, &e, &src), ERR_EXPUNGED);
	view_close(&v);
	buf_free(&a);
	buf_free(&b);
	fix_check(f);
	limits_default(&limits);
	os_clock_fix(-1, -1);
	fix_free(f);
}

/* R19: the last UID. */
static void
test_last_uid(void **state)
{
	struct fix *f = fix_new();
	uint32_t uid;

	assert_int_equal(mailbox_set_uids(f->a, 1, 5, UINT32_MAX - 3), OK);
	assert_int_equal(fix_append(f, "a", 0), UINT32_MAX - 3);
	assert_int_equal(fix_append(f, "b", 0), UINT32_MAX - 2);
	assert_int_equal(
	    fix_append_to(f, 1, S("c: d\r\n\r\n"), 0, &uid), ERR_LIMIT);
	fix_check(f);
	fix_reopen(f);
	fix_check(f);
	fix_free(f);
}

static void
test_odd_messages(void **state)
{
	static const str rows[] = {S(""), S("x"), S("\r\n"), S("\n"), S("a: b"),
	    S("a: b\r\n\r\n"), S("\0\0\0"), S("a: b\r\n\r\n\0\r\n"),
	    S("\r\nbody only"), S("no header at all\r\nsecond line\r\n")};
	struct fix *f = fix_new();
	struct view *v;
	uint32_t uid;
	str big;

	for (size_t i = 0; i < NELEM(rows); i++)
		assert_int_equal(fix_append_to(f, 1, rows[i], 0, &uid), OK);
	fix_reopen_as(f, true);
	v = fix_view(f, 1);
	for (size_t i = 0; i < NELEM(rows); i++)
		assert_str(fix_read(f, v, (uint32_t)i + 1), rows[i]);
	view_close(&v);
	limits.message_size_max = 5000;
	big = fix_message(f, "big", 6000);
	for (size_t n = 4999; n <= 5001; n++)
		assert_int_equal(fix_append_to(f, 1, str_head(big, n), 0, NULL),
		    n <= 5000 ? OK : ERR_TOOBIG);
	limits_default(&limits);
	fix_check(f);
	fix_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_keywords),
	    cmocka_unit_test(test_unchangedsince),
	    cmocka_unit_test(test_recent),
	    cmocka_unit_test(test_threads),
	    cmocka_unit_test(test_copy),
	    cmocka_unit_test(test_deliver),
	    cmocka_unit_test(test_snapshot),
	    cmocka_unit_test(test_last_uid),
	    cmocka_unit_test(test_odd_messages),
	};

	return cmocka_run_group_tests_name("store-flags", tests, NULL, NULL);
}
