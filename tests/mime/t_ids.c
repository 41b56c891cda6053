/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* Message ids. */
#include "t_mime.h"

static bool
add(void *ctx, str id)
{
	buf_f(ctx, "[%.*s]", STR_ARG(id));
	return true;
}

static bool
first(void *ctx, str id)
{
	add(ctx, id);
	return false;
}

static void
test_rows(void **state)
{
	static const struct {
		str in, out;
	} rows[] = {
	    {S("<a@b>"), S("[a@b]")},
	    {S(" <a@b>\r\n <c@d> "), S("[a@b][c@d]")},
	    {S("<a@b><c@d>"), S("[a@b][c@d]")},
	    {S("Your mail of Monday <a@b>"), S("[a@b]")},
	    {S("<\"a\"@b>"), S("[a@b]")},
	    {S("<\"a\\\"\"@b>"), S("[a\"@b]")},
	    {S("<a @\r\n b>"), S("[a@b]")},
	    {S("<a<b@c>"), S("[b@c]")},
	    {S("<a@b"), S("[a@b]")},
	    {S("<>"), S("")},
	    {S("<><a@b>"), S("[a@b]")},
	    {S("a@b c d@e"), S("[a@b][d@e]")},
	    {S("single"), S("[single]")},
	    {S("two words"), S("")},
	    {S(""), S("")},
	};
	struct buf b = {0};

	for (size_t i = 0; i < NELEM(rows); i++) {
		buf_reset(&b);
		mime_msg_ids(rows[i].in, add, &b);
		assert_str(buf_str(&b), rows[i].out);
	}
	buf_reset(&b);
	mime_msg_ids(S("<a@b> <c@d>"), first, &b);
	assert_str(buf_str(&b), S("[a@b]"));
	buf_free(&b);
}

int
t_ids(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows),
	};

	return cmocka_run_group_tests_name("ids", tests, NULL, NULL);
}
