/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The n-th call fails, for every n, on every path that writes: with an error
 * of the disk, a full disk, a write cut short. Afterwards the store opens,
 * the check is clean, what was acknowledged is there, and what was refused is
 * not. (R97, R98, R99)
 */
#include <errno.h>

#include "store/store_int.h"
#include "store/t_faults.h"
#include "store/t_store.h"

/* What a path does, after a setup without faults; returns the call's own
 * answer. */
struct path {
	const char *name;
	enum err (*run)(struct fix *f);
	/* Is it there, wholly? Not at all? Both false: half. */
	bool (*done)(struct fix *f);
	bool (*absent)(struct fix *f);
};

static uint32_t box_id;

static uint32_t
messages(struct fix *f, uint32_t id)
{
	struct mailbox_status s;

	assert_int_equal(mailbox_status(f->a, id, &s), OK);
	return s.messages;
}

static enum err
run_append(struct fix *f)
{
	return fix_append_to(f, 1, fix_message(f, "new", 3000), 0, NULL);
}

static bool
seven(struct fix *f)
{
	return messages(f, 1) == 7;
}

static bool
six(struct fix *f)
{
	return messages(f, 1) == 6;
}

static enum err
run_large(struct fix *f)
{
	struct buf b = {0};
	uint64_t x = 1;
	str m;
	enum err e;

	buf_s(&b, "Subject: large\r\n\r\n");
	for (int i = 0; i < 600000; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		buf_c(&b, (char)('!' + (x >> 33) % 90));
	}
	m = arena_buf(f->ar, &b);
	buf_free(&b);
	e = fix_append_to(f, 1, m, 0, NULL);
	return e;
}

static enum err
run_multi(struct fix *f)
{
	struct new_message in[4] = {0};
	uint32_t validity, uids[4];
	char s[16];

	for (int i = 0; i < 4; i++) {
		snprintf(s, sizeof(s), "mm%d", i);
		in[i].message = fix_message(f, s, 2000);
		in[i].internaldate.sec = 1;
	}
	return store_append(f->a, 1, in, 4, &validity, uids);
}

static bool
ten(struct fix *f)
{
	return messages(f, 1) == 10;
}

static enum err
with_view(struct fix *f, int what)
{
	struct view *v;
	struct ranges set = fix_set(2, 4);
	uint32_t validity, *a, *b;
	size_t n;
	enum err e;

	if ((e = view_open(f->a, 1, false, 0, &v)) != OK) {
		ranges_free(&set);
		return e;
	}
	if (what == 0)
		e = fix_store(v, 2, 4, FLAGS_ADD, FLAG_FLAGGED);
	else if (what == 1)
		e = store_expunge(v, &set, true, NULL);
	else
		e = store_copy(
		    v, &set, box_id, what == 3, f->ar, &validity, &a, &b, &n);
	view_close(&v);
	ranges_free(&set);
	return e;
}

static enum err
run_flags(struct fix *f)
{
	return with_view(f, 0);
}

static unsigned
flagged(struct fix *f)
{
	struct view *v = fix_view(f, 1);
	struct entry e;
	unsigned n = 0;

	for (uint32_t i = 1; view_entries(v, i, &e, 1) == 1; i++)
		n += (e.flags & FLAG_FLAGGED) != 0;
	view_close(&v);
	return n;
}

static bool
flags_done(struct fix *f)
{
	return flagged(f) == 3;
}

static bool
flags_absent(struct fix *f)
{
	return flagged(f) == 0;
}

static enum err
run_expunge(struct fix *f)
{
	return with_view(f, 1);
}

static bool
three(struct fix *f)
{
	return messages(f, 1) == 3;
}

static enum err
run_copy(struct fix *f)
{
	return with_view(f, 2);
}

static bool
copied(struct fix *f)
{
	return messages(f, 1) == 6 && messages(f, box_id) == 3;
}

static bool
as_it_was(struct fix *f)
{
	return messages(f, 1) == 6 && messages(f, box_id) == 0;
}

static enum err
run_move(struct fix *f)
{
	return with_view(f, 3);
}

static bool
moved(struct fix *f)
{
	return messages(f, 1) == 3 && messages(f, box_id) == 3;
}

static bool
there(struct fix *f, const char *name)
{
	struct mailbox_info i;

	return mailbox_find(f->a, f->ar, str_c(name), &i) == OK;
}

static enum err
run_create(struct fix *f)
{
	return mailbox_create(f->a, S("x/y/z"), 0, NULL);
}

static bool
created(struct fix *f)
{
	return there(f, "x") && there(f, "x/y") && there(f, "x/y/z");
}

static bool
not_created(struct fix *f)
{
	return !there(f, "x") && !there(f, "x/y") && !there(f, "x/y/z");
}

static enum err
run_rename(struct fix *f)
{
	return mailbox_rename(f->a, S("box"), S("p/q"));
}

static bool
renamed(struct fix *f)
{
	return there(f, "p") && there(f, "p/q") && !there(f, "box");
}

static bool
not_renamed(struct fix *f)
{
	return !there(f, "p") && !there(f, "p/q") && there(f, "box");
}

static enum err
run_inbox(struct fix *f)
{
	return mailbox_rename(f->a, S("INBOX"), S("old"));
}

static bool
inbox_done(struct fix *f)
{
	struct mailbox_info i;

	return messages(f, 1) == 0 &&
	       mailbox_find(f->a, f->ar, S("old"), &i) == OK &&
	       messages(f, i.id) == 6;
}

static bool
inbox_absent(struct fix *f)
{
	return messages(f, 1) == 6 && !there(f, "old");
}

static enum err
run_delete(struct fix *f)
{
	return mailbox_delete(f->a, S("box"));
}

static bool
deleted(struct fix *f)
{
	return !there(f, "box");
}

static bool
not_deleted(struct fix *f)
{
	return there(f, "box");
}

static enum err
run_subscribe(struct fix *f)
{
	return mailbox_subscribe(f->a, S("news"), true);
}

static bool
subscribed(struct fix *f)
{
	struct mailbox_info *v;
	size_t n;

	assert_int_equal(mailbox_list(f->a, f->ar, &v, &n), OK);
	for (size_t i = 0; i < n; i++)
		if (str_eq(v[i].name, S("news")))
			return true;
	return false;
}

static bool
not_subscribed(struct fix *f)
{
	return !subscribed(f);
}

/* Housekeeping changes nothing that anybody sees. */
static enum err
run_tidy(struct fix *f)
{
	bool more = true;
	enum err e = OK;

	limits.expunged_keep_s = 0;
	e = with_view(f, 3);
	if (e == OK)
		e = mailbox_delete(f->a, S("box"));
	os_clock_fix(os_wall_ms() + 5000, os_mono_ms() + 5000);
	for (int i = 0; i < 9 && e == OK && more; i++)
		e = store_expire(f->st, &more);
	more = true;
	for (int i = 0; i < 60 && e == OK && more; i++)
		e = store_compact(f->st, &more);
	return e;
}

static bool
tidied(struct fix *f)
{
	return messages(f, 1) == 3 && !there(f, "box");
}

static bool
tidy_any(struct fix *f)
{
	return messages(f, 1) == 6 || messages(f, 1) == 3;
}

static const struct path paths[] = {
    {"append", run_append, seven, six},
    {"large", run_large, seven, six},
    {"multiappend", run_multi, ten, six},
    {"flags", run_flags, flags_done, flags_absent},
    {"expunge", run_expunge, three, six},
    {"copy", run_copy, copied, as_it_was},
    {"move", run_move, moved, as_it_was},
    {"create", run_create, created, not_created},
    {"rename", run_rename, renamed, not_renamed},
    {"rename inbox", run_inbox, inbox_done, inbox_absent},
    {"delete", run_delete, deleted, not_deleted},
    {"subscribe", run_subscribe, subscribed, not_subscribed},
    {"tidy", run_tidy, tidied, tidy_any},
};

static struct fix *
setup(void)
{
	struct fix *f = fix_new();

	for (int i = 1; i <= 6; i++)
		fix_append(f, "old", 0);
	assert_int_equal(mailbox_create(f->a, S("box"), 0, &box_id), OK);
	fix_reopen(f);
	return f;
}

/* True while there was an n-th call. */
static bool
one(const struct path *p, const struct fault *x, uint64_t n)
{
	struct fix *f = setup();
	bool hit;
	enum err e, c = OK;

	log_setup("test", LOG_ERROR + 1);
	os_fault_set(x->mask, n, x->error, x->short_by, x->sticky);
	e = p->run(f);
	hit = os_fault_hit();
	acct_close(&f->a);
	store_close(&f->st);
	os_fault_clear();
	log_setup("test", LOG_ERROR);
	c = fix_reopen_as(f, false);
	if (c != OK || (e == OK && !p->done(f)) ||
	    (e != OK && e != ERR_UNAVAILABLE && !p->absent(f)) ||
	    (!p->done(f) && !p->absent(f)))
		fail_msg("%s, call %llu of %s: %s, then %s%s%s", p->name,
		    (unsigned long long)n, x->name, err_name(e), err_name(c),
		    c == OK && p->done(f) ? ", done" : "",
		    c == OK && p->absent(f) ? ", absent" : "");
	fix_check(f);
	/* It goes on. */
	fix_append(f, "after", 0);
	fix_check(f);
	limits_default(&limits);
	os_clock_fix(-1, -1);
	fix_free(f);
	return hit;
}

static void
test_faults(void **state)
{
	const char *only = getenv("PATH_ONLY");

	os_fault_set(0, 1, EIO, 0, false);
	for (size_t i = 0; i < NELEM(paths); i++) {
		if (only != NULL && strcmp(only, paths[i].name) != 0)
			continue;
		for (size_t j = 0; j < NELEM(faults); j++) {
			uint64_t n = 1;

			while (one(&paths[i], &faults[j], n))
				n++;
			if (getenv("TRACE"))
				print_message("%s, %s: %llu\n", paths[i].name,
				    faults[j].name, (unsigned long long)n - 1);
#ifdef RESTANTE_FAULTS
			assert_true(n > 1);
#endif
		}
	}
}

#ifdef RESTANTE_FAULTS
/* The n-th write, and all later ones, finds a full disk; how many there
 * were. */
static uint64_t
full_at(uint64_t n, enum err want)
{
	struct fix *f = fix_new();
	uint64_t writes;

	for (int i = 0; i < 200; i++)
		fix_append(f, "some", 0);
	log_setup("test", LOG_ERROR + 1);
	os_fault_set(1u << OS_WRITE | 1u << OS_ALLOCATE, n, ENOSPC, 1, true);
	assert_int_equal(index_flush(f->st), want);
	writes = os_fault_calls();
	os_fault_clear();
	log_setup("test", LOG_ERROR);
	assert_false(atomic_load(&f->st->dead));
	assert_int_equal(index_flush(f->st), OK);
	fix_append(f, "after", 0);
	fix_check(f);
	fix_free(f);
	return writes;
}
#endif

/* R99: of a write of LMDB's a full disk takes the first part, and LMDB calls
 * that EIO. The store goes on when there is room again. The last write is
 * the meta page's, which has its room. */
static void
test_part_of_a_write(void **state)
{
#ifdef RESTANTE_FAULTS
	uint64_t writes = full_at(1000, OK);

	assert_true(writes > 1);
	for (uint64_t n = 1; n < writes; n++)
		(void)full_at(n, ERR_FULL);
#endif
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_part_of_a_write),
	    cmocka_unit_test(test_faults),
	};

	return cmocka_run_group_tests_name("store-fault", tests, NULL, NULL);
}
