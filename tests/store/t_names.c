/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Mailbox names, the tree, subscriptions, UIDVALIDITY.
 */
#include "store/mailbox.h"
#include "store/t_store.h"

static str
list(struct fix *f)
{
	struct mailbox_info *v;
	struct buf b = {0};
	size_t n;
	str s;

	assert_int_equal(mailbox_list(f->a, f->ar, &v, &n), OK);
	for (size_t i = 0; i < n; i++) {
		if (v[i].attrs & MB_SPECIAL_USE)
			continue;
		buf_f(&b, "%s%.*s", b.n > 0 ? " " : "", STR_ARG(v[i].name));
		if (v[i].attrs & MB_NOSELECT)
			buf_c(&b, '-');
		if (v[i].attrs & MB_HAS_CHILDREN)
			buf_c(&b, '+');
		if (v[i].attrs & MB_SUBSCRIBED)
			buf_c(&b, 's');
		if (v[i].attrs & MB_NONEXISTENT)
			buf_c(&b, '!');
		assert_true(
		    (v[i].id == 0) ==
		    ((v[i].attrs & (MB_NOSELECT | MB_NONEXISTENT)) != 0));
	}
	s = arena_buf(f->ar, &b);
	buf_free(&b);
	return s;
}

static void
test_names(void **state)
{
	static const struct {
		str in;
		enum err e;
		str out;
	} rows[] = {
	    {S("a"), OK, S("a")},
	    {S("a/"), OK, S("a")},
	    {S("a//"), ERR_INVALID, {0}},
	    {S("/a"), ERR_INVALID, {0}},
	    {S(""), ERR_INVALID, {0}},
	    {S("/"), ERR_INVALID, {0}},
	    {S("a//b"), ERR_INVALID, {0}},
	    {S("inbox"), OK, S("INBOX")},
	    {S("InBoX/x"), OK, S("INBOX/x")},
	    {S("inboxx"), OK, S("inboxx")},
	    {S("x/inbox"), OK, S("x/inbox")},
	    {S("a\001"), ERR_INVALID, {0}},
	    {S("a\0b"), ERR_INVALID, {0}},
	    {S("a\x7f"), ERR_INVALID, {0}},
	    {S("\xff"), ERR_INVALID, {0}},
	    {S("A\xcc\x8a"), OK, S("\xc3\x85")}, /* NFC */
	    {S("\xe2\x80\xa8"), ERR_INVALID, {0}},
	};
	struct arena *a = arena_new(0);
	struct buf b = {0};
	str out;

	for (size_t i = 0; i < NELEM(rows); i++) {
		assert_int_equal(mailbox_name(a, rows[i].in, &out), rows[i].e);
		if (rows[i].e == OK)
			assert_str(out, rows[i].out);
	}
	for (size_t n = 999; n <= 1002; n++) {
		buf_reset(&b);
		while (b.n < n)
			buf_c(&b, 'x');
		assert_int_equal(mailbox_name(a, buf_str(&b), &out),
		    n <= 1000 ? OK : ERR_LIMIT);
	}
	for (size_t n = 99; n <= 101; n++) {
		buf_reset(&b);
		for (size_t i = 0; i < n; i++)
			buf_s(&b, "x/");
		assert_int_equal(mailbox_name(a, buf_str(&b), &out),
		    n <= 100 ? OK : ERR_LIMIT);
	}
	buf_free(&b);
	arena_free(&a);
}

static void
test_tree(void **state)
{
	struct fix *f = fix_new();
	uint32_t id, again;
	struct mailbox_info i;
	uint32_t validity;

	assert_str(list(f), S("INBOXs"));
	assert_int_equal(mailbox_create(f->a, S("a/b/c"), 0, &id), OK);
	assert_int_equal(mailbox_create(f->a, S("a/b"), 0, NULL), ERR_EXISTS);
	assert_int_equal(mailbox_create(f->a, S("INBOX"), 0, NULL), ERR_CANNOT);
	assert_int_equal(mailbox_create(f->a, S("INBOX/x"), 0, NULL), OK);
	assert_str(list(f), S("INBOX+s INBOX/x a+ a/b+ a/b/c"));
	/* With children: only a level. */
	assert_int_equal(mailbox_find(f->a, f->ar, S("a/b"), &i), OK);
	validity = i.uidvalidity;
	id = i.id;
	assert_int_equal(mailbox_delete(f->a, S("a/b")), OK);
	assert_int_equal(mailbox_delete(f->a, S("a/b")), ERR_CANNOT);
	assert_str(list(f), S("INBOX+s INBOX/x a+ a/b-+ a/b/c"));
	assert_int_equal(mailbox_create(f->a, S("a/b"), 0, &again), OK);
	assert_true(again > id);
	assert_int_equal(mailbox_find(f->a, f->ar, S("a/b"), &i), OK);
	assert_true(i.uidvalidity > validity);
	/* Renames carry what is below. */
	assert_int_equal(mailbox_rename(f->a, S("a"), S("a/b/x")), ERR_CANNOT);
	assert_int_equal(mailbox_rename(f->a, S("no"), S("x")), ERR_NOTFOUND);
	assert_int_equal(mailbox_rename(f->a, S("a"), S("INBOX")), ERR_EXISTS);
	assert_int_equal(mailbox_rename(f->a, S("a"), S("n/m")), OK);
	assert_str(list(f), S("INBOX+s INBOX/x n+ n/m+ n/m/b+ n/m/b/c"));
	assert_int_equal(mailbox_rename(f->a, S("n/m/b"), S("b")), OK);
	assert_str(list(f), S("INBOX+s INBOX/x b+ b/c n+ n/m"));
	/* Subscriptions are names. */
	assert_int_equal(mailbox_subscribe(f->a, S("zz/top"), true), OK);
	assert_int_equal(mailbox_subscribe(f->a, S("b/c"), true), OK);
	assert_int_equal(mailbox_subscribe(f->a, S("b/c"), true), OK);
	assert_str(list(f), S("INBOX+s INBOX/x b+ b/cs n+ n/m zz/tops!"));
	assert_int_equal(mailbox_rename(f->a, S("b"), S("q")), OK);
	assert_str(list(f), S("INBOX+s INBOX/x b/cs! n+ n/m q+ q/c zz/tops!"));
	assert_int_equal(mailbox_subscribe(f->a, S("b/c"), false), OK);
	assert_int_equal(mailbox_delete(f->a, S("q/c")), OK);
	assert_int_equal(mailbox_delete(f->a, S("q")), OK);
	for (int round = 0; round < 3; round++) {
		assert_str(list(f), S("INBOX+s INBOX/x n+ n/m zz/tops!"));
		fix_check(f);
		assert_int_equal(fix_reopen_as(f, round == 1), OK);
	}
	fix_free(f);
}

/* RENAME INBOX: its messages go, it stays, and so do its children. */
static void
test_inbox(void **state)
{
	struct fix *f = fix_new();
	struct mailbox_info i;
	struct view *v, *w;
	struct changes c;

	for (int k = 0; k < 3; k++)
		fix_append(f, "m", k == 1 ? FLAG_SEEN : 0);
	assert_int_equal(mailbox_create(f->a, S("INBOX/x"), 0, NULL), OK);
	v = fix_view(f, 1);
	assert_int_equal(mailbox_rename(f->a, S("INBOX"), S("old/in")), OK);
	assert_str(list(f), S("INBOX+s INBOX/x old+ old/in"));
	assert_int_equal(view_sync(v, SYNC_ALL, f->ar, &c), OK);
	assert_int_equal(c.nexpunged, 3);
	changes_free(&c);
	assert_int_equal(fix_append(f, "next", 0), 4);
	assert_int_equal(mailbox_find(f->a, f->ar, S("old/in"), &i), OK);
	w = fix_view(f, i.id);
	assert_str(fix_show(f, w), S("1: 2:\\Seen 3:"));
	view_close(&w);
	view_close(&v);
	fix_check(f);
	fix_free(f);
}

/* R104: whatever the clock does, UIDVALIDITY grows. */
static void
test_uidvalidity(void **state)
{
	static const int64_t times[] = {1700000000000, 1600000000000,
	    2100000000000, 1000, 5000000000000, 1700000000000};
	struct fix *f = fix_new();
	uint32_t last = 0;

	for (size_t k = 0; k < NELEM(times); k++) {
		struct mailbox_info i;

		os_clock_fix(times[k], 1000);
		assert_int_equal(mailbox_create(f->a, S("x"), 0, NULL), OK);
		assert_int_equal(mailbox_find(f->a, f->ar, S("x"), &i), OK);
		assert_true(i.uidvalidity > last);
		last = i.uidvalidity;
		assert_int_equal(mailbox_delete(f->a, S("x")), OK);
		fix_reopen(f);
	}
	os_clock_fix(-1, -1);
	fix_free(f);
}

/* A deleted mailbox ends the views on it; its mail is freed. */
static void
test_delete(void **state)
{
	struct fix *f = fix_new();
	struct store_stats s;
	struct view *v;
	uint32_t id;
	bool more = true;

	assert_int_equal(mailbox_create(f->a, S("d"), 0, &id), OK);
	for (int i = 0; i < 300; i++)
		assert_int_equal(
		    fix_append_to(f, id, fix_message(f, "d", 200), 0, NULL),
		    OK);
	v = fix_view(f, id);
	assert_int_equal(mailbox_delete(f->a, S("d")), OK);
	assert_true(view_gone(v));
	assert_int_equal(
	    fix_append_to(f, id, fix_message(f, "d", 200), 0, NULL),
	    ERR_NOTFOUND);
	limits.expunged_keep_s = 0;
	os_clock_fix(os_wall_ms() + 5000, os_mono_ms() + 5000);
	/* What a view has can still be read (store.h (7)). */
	assert_int_equal(store_expire(f->st, &more), OK);
	assert_true(fix_read(f, v, 300).n > 0);
	view_close(&v);
	for (more = true; more;)
		assert_int_equal(store_expire(f->st, &more), OK);
	store_stats(f->st, &s);
	assert_int_equal(s.messages, 0);
	assert_int_equal(s.entries, 0);
	assert_int_equal(s.mailboxes, 6);
	fix_check(f);
	fix_reopen_as(f, true);
	fix_check(f);
	limits_default(&limits);
	os_clock_fix(-1, -1);
	fix_free(f);
}

static void
test_account(void **state)
{
	struct fix *f = fix_new();
	struct grant admin = {.kind = GRANT_ADMIN, .account = 7};
	struct grant append = {.kind = GRANT_APPEND, .account = 7};
	struct grant other = {.kind = GRANT_LOGIN, .account = 8};
	struct acct *a, *b;
	struct store_stats s;
	uint32_t v, uid;
	struct new_message m = {.message = S("a: b\r\n\r\nc")};
	struct view *w;
	bool more;

	/* R53: a grant to deliver opens nothing else. */
	assert_int_equal(acct_open(f->st, &append, S("ann"), &a), OK);
	assert_int_equal(view_open(a, 1, true, 0, &w), ERR_DENIED);
	assert_int_equal(mailbox_create(a, S("x"), 0, NULL), ERR_DENIED);
	assert_int_equal(store_append(a, 1, &m, 1, &v, &uid), ERR_DENIED);
	acct_close(&a);
	assert_int_equal(acct_open(f->st, &other, S("bob"), &b), OK);
	assert_int_equal(store_append(b, 1, &m, 1, &v, &uid), OK);
	fix_append(f, "mine", 0);
	assert_int_equal(acct_remove(f->st, &other), ERR_DENIED);
	assert_int_equal(acct_remove(f->st, &admin), OK);
	assert_int_equal(acct_remove(f->st, &admin), ERR_NOTFOUND);
	assert_int_equal(fix_append_to(f, 1, m.message, 0, NULL), ERR_NOTFOUND);
	acct_close(&f->a);
	limits.expunged_keep_s = 0;
	os_clock_fix(os_wall_ms() + 5000, os_mono_ms() + 5000);
	for (more = true; more;)
		assert_int_equal(store_expire(f->st, &more), OK);
	store_stats(f->st, &s);
	assert_int_equal(s.accounts, 1);
	assert_int_equal(s.messages, 1);
	assert_int_equal(store_append(b, 1, &m, 1, &v, &uid), OK);
	acct_close(&b);
	fix_check(f);
	limits_default(&limits);
	os_clock_fix(-1, -1);
	fix_free(f);
}

/* R112: many mailboxes, and no step that looks at all of them but a list. */
static void
test_many(void **state)
{
	struct fix *f = fix_new();
	struct mailbox_info *v;
	size_t n;
	int64_t us[2];

	limits.mailboxes_max = 2010;
	for (int half = 0; half < 2; half++) {
		int64_t t = os_mono_us();

		for (int i = 0; i < 1000; i++) {
			char name[32];

			snprintf(name, sizeof(name), "a/b/%d", half * 1000 + i);
			assert_int_equal(
			    mailbox_create(f->a, str_c(name), 0, NULL), OK);
		}
		us[half] = os_mono_us() - t;
	}
	print_message("1000: %lld us, 1000 more: %lld us\n", (long long)us[0],
	    (long long)us[1]);
	assert_int_equal(mailbox_list(f->a, f->ar, &v, &n), OK);
	assert_int_equal(n, 2008);
	assert_int_equal(mailbox_create(f->a, S("x/y/z"), 0, NULL), ERR_LIMIT);
	assert_int_equal(mailbox_create(f->a, S("x/y"), 0, NULL), OK);
	assert_int_equal(mailbox_create(f->a, S("z"), 0, NULL), ERR_LIMIT);
	assert_int_equal(mailbox_rename(f->a, S("a"), S("c")), OK);
	/* Whether all names are there is looked at once. */
	assert_false(atomic_load(&f->a->ac->names_whole));
	assert_int_equal(
	    mailbox_find(f->a, f->ar, S("c/b/no"), v), ERR_NOTFOUND);
	assert_true(atomic_load(&f->a->ac->names_whole));
	fix_check(f);
	limits_default(&limits);
	fix_free(f);
}

static void
test_set_uids(void **state)
{
	struct fix *f = fix_new();
	struct view *v;

	assert_int_equal(mailbox_set_uids(f->a, 1, 4711, 100), OK);
	assert_int_equal(fix_append(f, "x", 0), 100);
	assert_int_equal(mailbox_set_uids(f->a, 1, 4712, 100), ERR_CANNOT);
	v = fix_view(f, 1);
	assert_int_equal(view_uidvalidity(v), 4711);
	view_close(&v);
	assert_int_equal(store_restored(f->st), OK);
	v = fix_view(f, 1);
	assert_true(view_uidvalidity(v) > 4711);
	assert_int_equal(view_uidnext(v), 101);
	view_close(&v);
	fix_check(f);
	fix_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_tree),
	    cmocka_unit_test(test_inbox),
	    cmocka_unit_test(test_uidvalidity),
	    cmocka_unit_test(test_delete),
	    cmocka_unit_test(test_account),
	    cmocka_unit_test(test_many),
	    cmocka_unit_test(test_set_uids),
	};

	return cmocka_run_group_tests_name("store-names", tests, NULL, NULL);
}
