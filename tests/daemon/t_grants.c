/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Grants: good once, for whom they were given, in their time. R51, R90.
 */
#include <pthread.h>
#include <unistd.h>

#include "t_daemon.h"
#include "daemon/mail_int.h"

static const uint8_t number[16] = "0123456789abcde";

static bool
give(struct grants *g, uint8_t kind, uint64_t account, uint32_t valid)
{
	struct msg m;
	bool ok;

	msg_new(&m, MSG_GRANT);
	msg_bytes(&m, number, 16);
	msg_u8(&m, kind);
	msg_u8(&m, PROTO_IMAP);
	msg_u64(&m, account);
	msg_str(&m, S("ann"));
	msg_u32(&m, 3);
	msg_u64(&m, 77);
	msg_u32(&m, valid);
	m.d = dec_of(buf_str(&m.b));
	(void)dec_u16(&m.d);
	ok = grants_add(g, &m);
	msg_free(&m);
	return ok;
}

static enum err
take(struct grants *g, enum grant_kind kind, enum protocol p, uint32_t front,
    uint64_t conn, struct grant *out)
{
	struct grant_wanted want = {number, kind, p, front, conn};
	str name;
	enum err e = grants_take(g, &want, out, &name);

	if (e == OK)
		assert_true(str_eq(name, S("ann")));
	else
		assert_int_equal(name.n, 0);
	x_free_str(&name);
	return e;
}

static void
once(void **state)
{
	struct grants *g = grants_new();
	struct grant got;

	assert_true(give(g, GRANT_LOGIN, 9, 10000));
	assert_int_equal(take(g, GRANT_LOGIN, PROTO_IMAP, 3, 77, &got), OK);
	assert_int_equal(got.account, 9);
	assert_int_equal(got.kind, GRANT_LOGIN);
	assert_int_equal(
	    take(g, GRANT_LOGIN, PROTO_IMAP, 3, 77, &got), ERR_DENIED);
	grants_free(&g);
}

/* Whoever presents it for another is denied, and it is used up. */
static void
for_nobody_else(void **state)
{
	struct grants *g = grants_new();
	struct grant got;

	assert_true(give(g, GRANT_LOGIN, 9, 10000));
	assert_int_equal(
	    take(g, GRANT_APPEND, PROTO_IMAP, 3, 77, &got), ERR_DENIED);
	assert_true(give(g, GRANT_LOGIN, 9, 10000));
	assert_int_equal(
	    take(g, GRANT_LOGIN, PROTO_POP3, 3, 77, &got), ERR_DENIED);
	assert_true(give(g, GRANT_LOGIN, 9, 10000));
	assert_int_equal(
	    take(g, GRANT_LOGIN, PROTO_IMAP, 2, 77, &got), ERR_DENIED);
	assert_true(give(g, GRANT_LOGIN, 9, 10000));
	assert_int_equal(
	    take(g, GRANT_LOGIN, PROTO_IMAP, 3, 78, &got), ERR_DENIED);
	assert_int_equal(
	    take(g, GRANT_LOGIN, PROTO_IMAP, 3, 77, &got), ERR_DENIED);
	grants_free(&g);
}

static void
in_its_time(void **state)
{
	struct grants *g = grants_new();
	struct grant got;

	os_clock_fix(1000, 1000);
	assert_true(give(g, GRANT_LOGIN, 9, 10000));
	os_clock_fix(11000, 11000);
	assert_int_equal(
	    take(g, GRANT_LOGIN, PROTO_IMAP, 3, 77, &got), ERR_DENIED);
	assert_true(give(g, GRANT_LOGIN, 9, 10000));
	os_clock_fix(20999, 20999);
	assert_int_equal(take(g, GRANT_LOGIN, PROTO_IMAP, 3, 77, &got), OK);
	os_clock_fix(-1, -1);
	grants_free(&g);
}

static void
revoked(void **state)
{
	struct grants *g = grants_new();
	struct grant got;

	assert_true(give(g, GRANT_LOGIN, 9, 10000));
	grants_revoke(g, 8);
	grants_expire(g);
	assert_int_equal(take(g, GRANT_LOGIN, PROTO_IMAP, 3, 77, &got), OK);
	assert_true(give(g, GRANT_LOGIN, 9, 10000));
	grants_revoke(g, 9);
	assert_int_equal(
	    take(g, GRANT_LOGIN, PROTO_IMAP, 3, 77, &got), ERR_DENIED);
	grants_free(&g);
}

static void *
late(void *arg)
{
	usleep(100000);
	assert_true(give(arg, GRANT_LOGIN, 9, 10000));
	return NULL;
}

/* auth's word comes by another thread, a little later. */
static void
comes_late(void **state)
{
	struct grants *g = grants_new();
	struct grant got;
	pthread_t t;

	pthread_create(&t, NULL, late, g);
	assert_int_equal(take(g, GRANT_LOGIN, PROTO_IMAP, 3, 77, &got), OK);
	pthread_join(t, NULL);
	grants_free(&g);
}

static void
malformed(void **state)
{
	struct grants *g = grants_new();

	assert_false(give(g, GRANT_ADMIN, 9, 10000)); /* never by message */
	assert_false(give(g, 0, 9, 10000));
	assert_false(give(g, GRANT_LOGIN, 0, 10000));
	assert_false(give(g, GRANT_LOGIN, 9, 4000000000u));
	grants_free(&g);
}

int
test_grants(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(once),
	    cmocka_unit_test(for_nobody_else),
	    cmocka_unit_test(in_its_time),
	    cmocka_unit_test(revoked),
	    cmocka_unit_test(comes_late),
	    cmocka_unit_test(malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
