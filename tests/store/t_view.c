/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The life of messages as views see it.
 */
#include "store/t_store.h"

static void
test_basic(void **state)
{
	struct fix *f = fix_new();
	struct view *v;
	struct entry e;
	struct summary s;
	str header;
	str m = fix_message(f, "one", 5000);
	uint32_t uid;

	assert_int_equal(fix_append_to(f, 1, m, FLAG_SEEN, &uid), OK);
	assert_int_equal(uid, 1);
	assert_int_equal(fix_append(f, "two", 0), 2);
	for (int round = 0; round < 3; round++) {
		v = fix_view(f, 1);
		assert_int_equal(view_exists(v), 2);
		assert_int_equal(view_recent(v), round == 0 ? 2 : 0);
		assert_int_equal(view_uidnext(v), 3);
		assert_int_equal(view_unseen_first(v), 2);
		assert_str(fix_show(f, v), S("1:\\Seen 2:"));
		assert_str(fix_read(f, v, 1), m);
		assert_int_equal(view_entries(v, 1, &e, 1), 1);
		assert_int_equal(e.size, m.n);
		assert_int_equal(e.internaldate.sec, 1234567890);
		assert_int_equal(e.internaldate.zone_min, 60);
		assert_int_equal(view_summary(v, &e, f->ar, &s), OK);
		assert_int_equal(s.size, m.n);
		assert_int_equal(view_header(v, &e, f->ar, &header), OK);
		assert_str(header, str_head(m, s.header_size));
		view_close(&v);
		if (round < 2)
			assert_int_equal(fix_reopen_as(f, round == 1), OK);
	}
	fix_check(f);
	fix_free(f);
}

static void
test_flags_expunge(void **state)
{
	struct fix *f = fix_new();
	struct view *v, *w;
	struct changes c;
	struct ranges gone = {0};
	struct entry e;

	for (int i = 1; i <= 5; i++)
		fix_append(f, "x", 0);
	v = fix_view(f, 1);
	w = fix_view(f, 1);
	assert_int_equal(fix_store(v, 2, 3, FLAGS_ADD, FLAG_DELETED), OK);
	assert_false(view_dirty(v));
	assert_true(view_dirty(w));
	assert_int_equal(view_sync(w, SYNC_ALL, f->ar, &c), OK);
	assert_int_equal(ranges_count(&c.flags), 2);
	changes_free(&c);
	assert_int_equal(store_expunge(v, NULL, false, &gone), OK);
	assert_int_equal(ranges_count(&gone), 2);
	ranges_free(&gone);
	fix_append(f, "y", 0);
	/* Expunges are withheld, the rest is told. */
	assert_int_equal(view_sync(w, SYNC_EXISTS | SYNC_FLAGS, f->ar, &c), OK);
	assert_int_equal(c.nexpunged, 0);
	assert_true(c.exists_changed);
	assert_int_equal(view_exists(w), 6);
	changes_free(&c);
	assert_str(fix_show(f, w), S("1: 2x:\\Deleted 3x:\\Deleted 4: 5: 6:"));
	assert_int_equal(view_entries(w, 2, &e, 1), 1);
	assert_int_equal(fix_read(f, w, 2).n, e.size);
	assert_int_equal(view_sync(w, SYNC_ALL, f->ar, &c), OK);
	assert_int_equal(c.nexpunged, 2);
	assert_int_equal(c.expunged[0], 2);
	assert_int_equal(c.expunged[1], 2);
	changes_free(&c);
	assert_str(fix_show(f, w), S("1: 4: 5: 6:"));
	assert_false(view_dirty(w));
	assert_int_equal(view_sync(v, SYNC_ALL, f->ar, &c), OK);
	assert_int_equal(c.nexpunged, 2);
	changes_free(&c);
	view_close(&v);
	view_close(&w);
	fix_reopen(f);
	v = fix_view(f, 1);
	assert_str(fix_show(f, v), S("1: 4: 5: 6:"));
	view_close(&v);
	fix_check(f);
	fix_free(f);
}

struct seen {
	struct fix *f;
	struct view *v;
	size_t n, stop;
};

/* The same as view_summary says. */
static bool
glance(void *ctx, const struct entry *e, const struct glance *g)
{
	struct seen *s = ctx;
	struct summary m;

	assert_int_equal(view_summary(s->v, e, s->f->ar, &m), OK);
	assert_str(g->envelope, m.envelope);
	assert_str(g->bodystructure, m.bodystructure);
	assert_str(g->fields, m.fields);
	return ++s->n < s->stop;
}

/* Glances, of rows in memory, in LMDB, in both, with gaps, and of a row that
 * must go the long way. */
static void
test_glances(void **state)
{
	struct fix *f = fix_new();
	struct entry e[64];
	struct seen s = {f, NULL, 0, 100};
	struct buf big = {0};
	size_t n;

	for (int i = 0; i < 40; i++)
		fix_append(f, "x", 0);
	for (int round = 0; round < 3; round++) {
		s.v = fix_view(f, 1);
		n = view_entries(s.v, 1, e, NELEM(e));
		s.n = 0;
		s.stop = 100;
		assert_int_equal(view_glances(s.v, e, n, true, glance, &s), n);
		assert_int_equal(s.n, n);
		s.n = 0;
		s.stop = 7;
		assert_int_equal(view_glances(s.v, e, n, true, glance, &s), 7);
		/* Backwards. */
		for (size_t i = n; i-- > 0;) {
			s.n = 0;
			assert_int_equal(
			    view_glances(s.v, &e[i], 1, true, glance, &s), 1);
		}
		view_close(&s.v);
		fix_reopen(f);
		if (round == 0) {
			s.v = fix_view(f, 1);
			assert_int_equal(
			    fix_store(s.v, 3, 9, FLAGS_ADD, FLAG_DELETED), OK);
			assert_int_equal(
			    store_expunge(s.v, NULL, false, NULL), OK);
			view_close(&s.v);
		}
		fix_append(f, "more", 0);
	}
	buf_s(&big, "Subject: long\r\nReferences:");
	for (int i = 0; i < 400; i++)
		buf_f(&big, " <%016llx@example.org>\r\n",
		    (unsigned long long)hash_xxh3(str_of(&i, sizeof(i)), 0));
	buf_s(&big, "\r\nx");
	assert_int_equal(fix_append_to(f, 1, buf_str(&big), 0, NULL), OK);
	s.v = fix_view(f, 1);
	n = view_entries(s.v, 1, e, NELEM(e));
	s.stop = 100;
	assert_int_equal(view_glances(s.v, e, n, true, glance, &s), n - 1);
	view_close(&s.v);
	buf_free(&big);
	fix_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_basic),
	    cmocka_unit_test(test_flags_expunge),
	    cmocka_unit_test(test_glances),
	};

	return cmocka_run_group_tests_name("store-view", tests, NULL, NULL);
}
