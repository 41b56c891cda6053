/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* Addresses. */
#include "t_os.h"

static void
test_parse(void **state)
{
	static const struct {
		const char *in;
		enum err e;
		size_t n;
		const char *shown;
		uint16_t port;
		bool loopback;
	} rows[] = {
	    {"127.0.0.1:143", OK, 1, "127.0.0.1", 143, true},
	    {"192.0.2.1:0", OK, 1, "192.0.2.1", 0, false},
	    {"[::1]:993", OK, 1, "::1", 993, true},
	    {"[2001:db8::1]:65535", OK, 1, "2001:db8::1", 65535, false},
	    {"[::ffff:127.0.0.9]:1", OK, 1, "127.0.0.9", 1, true},
	    {"[::ffff:192.0.2.7]:1", OK, 1, "192.0.2.7", 1, false},
	    {"*:143", OK, 2, "0.0.0.0", 143, false},
	    {"/run/x.sock", OK, 1, "local", 0, true},
	    {"127.0.0.1", ERR_INVALID, 0, NULL, 0, false},
	    {"127.0.0.1:65536", ERR_INVALID, 0, NULL, 0, false},
	    {"127.0.0.1:", ERR_INVALID, 0, NULL, 0, false},
	    {"127.0.0.1:-1", ERR_INVALID, 0, NULL, 0, false},
	    {"127.0.0.256:1", ERR_INVALID, 0, NULL, 0, false},
	    {"::1:143", ERR_INVALID, 0, NULL, 0, false},
	    {"[::1]", ERR_INVALID, 0, NULL, 0, false},
	    {"[]:1", ERR_INVALID, 0, NULL, 0, false},
	    {"[127.0.0.1]:1", ERR_INVALID, 0, NULL, 0, false},
	    {":143", ERR_INVALID, 0, NULL, 0, false},
	    {"", ERR_INVALID, 0, NULL, 0, false},
	    {"localhost:1", ERR_INVALID, 0, NULL, 0, false},
	    {"[1:2:3:4:5:6:7:8:9:1:2:3:4:5:6:7:8:9:1:2:3:4]:1", ERR_INVALID, 0,
		NULL, 0, false},
	};

	for (size_t i = 0; i < NELEM(rows); i++) {
		struct os_addr a[2];
		struct buf b = {0};
		uint16_t port = 9999;
		size_t n;

		if (os_addr_parse(str_c(rows[i].in), a, 2, &n) != rows[i].e)
			fail_msg("%s", rows[i].in);
		if (rows[i].e != OK)
			continue;
		assert_int_equal(n, rows[i].n);
		os_addr_print(&a[0], &b, &port);
		assert_str(buf_str(&b), str_c(rows[i].shown));
		assert_int_equal(port, rows[i].port);
		assert_int_equal(os_addr_loopback(&a[0]), rows[i].loopback);
		buf_free(&b);
	}
}

static void
test_long_path(void **state)
{
	struct os_addr a;
	char t[108];
	size_t n;

	memset(t, 'x', sizeof(t));
	t[0] = '/';
	assert_int_equal(os_addr_parse(str_of(t, 107), &a, 1, &n), OK);
	assert_int_equal(os_addr_parse(str_of(t, 108), &a, 1, &n), ERR_INVALID);
	assert_int_equal(os_addr_parse(S("/a\0b"), &a, 1, &n), ERR_INVALID);
	assert_int_equal(os_addr_parse(S("*:1"), &a, 1, &n), ERR_LIMIT);
}

static str
key_of(const char *text, char key[16])
{
	struct os_addr a[2];
	size_t n;

	assert_int_equal(os_addr_parse(str_c(text), a, 2, &n), OK);
	return os_addr_key(&a[0], key);
}

static void
test_key(void **state)
{
	char x[16], y[16];

	assert_str(key_of("[2001:db8:1:2::1]:1", x),
	    key_of("[2001:db8:1:2:ffff::9]:2", y));
	assert_false(str_eq(key_of("[2001:db8:1:2::1]:1", x),
	    key_of("[2001:db8:1:3::1]:1", y)));
	assert_str(key_of("192.0.2.1:1", x), key_of("[::ffff:192.0.2.1]:2", y));
	assert_false(
	    str_eq(key_of("192.0.2.1:1", x), key_of("192.0.2.2:1", y)));
}

int
t_addr(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_parse),
	    cmocka_unit_test(test_long_path),
	    cmocka_unit_test(test_key),
	};

	return cmocka_run_group_tests_name("addr", tests, NULL, NULL);
}
