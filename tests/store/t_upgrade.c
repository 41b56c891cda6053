/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * From one version of the format to the next: all of it, whatever breaks in
 * between; and no way back. (R105)
 */
#include <errno.h>

#include "store/t_faults.h"
#include "store/t_store.h"
#include "store/t_upgrade_step.h"

static void
format_put(struct fix *f, const char *line)
{
	char path[100];

	snprintf(path, sizeof(path), "%s/FORMAT", f->dir);
	assert_int_equal(os_spill(path, str_c(line), 0600), OK);
}

static str
format_get(struct fix *f)
{
	char path[100];
	struct buf b = {0};
	str s;

	snprintf(path, sizeof(path), "%s/FORMAT", f->dir);
	assert_int_equal(os_slurp(path, 100, &b), OK);
	s = arena_buf(f->ar, &b);
	buf_free(&b);
	return s;
}

#define IS(a, b) assert_true(str_eq(a, S(b)))

static struct fix *
filled(void)
{
	struct fix *f;
	uint32_t id;

	upgrade_to(2);
	f = fix_new();
	for (int i = 0; i < 7; i++)
		fix_append(f, i % 2 ? "one" : "two", FLAG_SEEN);
	assert_int_equal(mailbox_create(f->a, S("a/b/c"), 0, &id), OK);
	assert_int_equal(mailbox_subscribe(f->a, S("a/b"), true), OK);
	assert_int_equal(
	    fix_append_to(f, id, fix_message(f, "three", 900), 0, NULL), OK);
	fix_reopen(f);
	return f;
}

static void
shut(struct fix *f)
{
	acct_close(&f->a);
	store_close(&f->st);
	f->died = false;
}

static enum err
open_quietly(struct fix *f)
{
	enum err e;

	log_setup("test", LOG_ERROR + 1);
	e = fix_reopen_as(f, false);
	log_setup("test", LOG_ERROR);
	return e;
}

static void
test_steps(void **state)
{
	struct fix *f = filled();
	str shows = fix_account(f);

	IS(format_get(f), "2\n");
	for (unsigned now = 4; now <= 8; now += 4) {
		shut(f);
		upgrade_to(now);
		fix_reopen(f);
		assert_true(str_eq(fix_account(f), shows));
		fix_check(f);
	}
	IS(format_get(f), "8\n");
	fix_append(f, "after", 0);
	fix_check(f);
	fix_free(f);
}

/* A step that has not come to its end: only who knows it goes on. */
static void
test_downgrade(void **state)
{
	struct fix *f = filled();
	str shows = fix_account(f);

	shut(f);
	format_put(f, "2 to 4\n");
	assert_int_equal(open_quietly(f), ERR_CORRUPT);
	IS(format_get(f), "2 to 4\n");
	upgrade_to(4);
	fix_reopen(f);
	IS(format_get(f), "4\n");
	shut(f);
	upgrade_to(2);
	assert_int_equal(open_quietly(f), ERR_CORRUPT);
	IS(format_get(f), "4\n");
	format_put(f, "4 to 2\n");
	upgrade_to(8);
	assert_int_equal(open_quietly(f), ERR_CORRUPT);
	format_put(f, "0\n");
	assert_int_equal(open_quietly(f), ERR_CORRUPT);
	format_put(f, "four\n");
	assert_int_equal(open_quietly(f), ERR_CORRUPT);
	format_put(f, "4\n");
	fix_reopen(f);
	assert_true(str_eq(fix_account(f), shows));
	fix_check(f);
	fix_free(f);
}

/* Data of before there were steps that rewrite. */
static void
test_first(void **state)
{
	struct fix *f = filled();
	str shows = fix_account(f);

	shut(f);
	format_put(f, "1\n");
	fix_reopen(f);
	IS(format_get(f), "2\n");
	assert_true(str_eq(fix_account(f), shows));
	fix_check(f);
	fix_free(f);
}

static unsigned left;

static enum err
give_up(void)
{
	return left-- == 0 ? ERR_UNAVAILABLE : OK;
}

/* Broken off in the midst, at each place, twice. */
static void
test_midst(void **state)
{
	bool more = true;

	for (unsigned n = 0; more; n++) {
		struct fix *f = filled();
		str shows = fix_account(f);

		shut(f);
		upgrade_to(4);
		step_midst = give_up;
		left = n;
		more = open_quietly(f) != OK;
		if (more) {
			IS(format_get(f), "2 to 4\n");
			upgrade_to(2);
			assert_int_equal(open_quietly(f), ERR_CORRUPT);
			upgrade_to(4);
			left = n / 2;
			assert_int_equal(open_quietly(f), ERR_UNAVAILABLE);
		}
		step_midst = NULL;
		upgrade_to(8);
		fix_reopen(f);
		IS(format_get(f), "8\n");
		assert_true(str_eq(fix_account(f), shows));
		fix_check(f);
		assert_int_equal(fix_reopen_as(f, true), OK);
		assert_true(str_eq(fix_account(f), shows));
		fix_free(f);
	}
}

/* R97: each call fails in turn. */
static void
test_faults(void **state)
{
#ifdef RESTANTE_FAULTS
	for (size_t i = 0; i < NELEM(faults); i++) {
		const struct fault *x = &faults[i];
		bool hit = true;

		for (uint64_t n = 1; hit; n++) {
			struct fix *f = filled();
			str shows = fix_account(f);
			enum err e;

			shut(f);
			upgrade_to(4);
			log_setup("test", LOG_ERROR + 1);
			os_fault_set(
			    x->mask, n, x->error, x->short_by, x->sticky);
			e = fix_reopen_as(f, false);
			hit = os_fault_hit();
			shut(f);
			os_fault_clear();
			assert_true(hit || e == OK);
			if (fix_reopen_as(f, false) != OK)
				fail_msg("%s, call %llu", x->name,
				    (unsigned long long)n);
			log_setup("test", LOG_ERROR);
			IS(format_get(f), "4\n");
			assert_true(str_eq(fix_account(f), shows));
			fix_check(f);
			fix_free(f);
		}
	}
#endif
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_steps),
	    cmocka_unit_test(test_downgrade),
	    cmocka_unit_test(test_first),
	    cmocka_unit_test(test_midst),
	    cmocka_unit_test(test_faults),
	};

	if (access("/dev/shm", W_OK | X_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0);
	return cmocka_run_group_tests_name("store-upgrade", tests, NULL, NULL);
}
