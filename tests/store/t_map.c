/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * R100: the index's map is full. Changes are taken or refused, none is lost,
 * and with a larger map the store goes on.
 */
#include "store/t_store.h"

#include <cmocka.h>

enum { TRIES = 4000, SMALL = 1 << 20 };

static void
test_map_full(void **state)
{
	struct fix *f = fix_new();
	unsigned taken = 0;
	enum err e = OK;
	struct mailbox_status s;

	limits.index_map_bytes = SMALL;
	limits.index_commit_bytes = 1 << 16;
	log_setup("test", LOG_ERROR + 1);
	fix_reopen(f);
	while (taken < TRIES && e == OK) {
		e = fix_append_to(f, 1, fix_message(f, "m", 300), 0, NULL);
		taken += e == OK;
		if (e == OK && taken % 200 == 0)
			e = fix_reopen_as(f, false);
	}
	print_message("%u taken, then %s\n", taken, err_name(e));
	assert_int_equal(e, ERR_FULL);
	limits.index_map_bytes = UINT64_C(1) << 28;
	log_setup("test", LOG_ERROR);
	fix_reopen(f);
	assert_int_equal(mailbox_status(f->a, 1, &s), OK);
	assert_int_equal(s.messages, taken);
	fix_check(f);
	fix_append(f, "after", 0);
	fix_check(f);
	limits_default(&limits);
	fix_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_map_full)};

	return cmocka_run_group_tests_name("store-map", tests, NULL, NULL);
}
