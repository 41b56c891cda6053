/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* The log: escaping and cutting (R121), rate (R124). */
#include "t_base.h"

#include <fcntl.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

static int out[2];

static int
set_up(void **state)
{
	if (pipe2(out, O_NONBLOCK | O_CLOEXEC) != 0)
		return -1;
	log_fd(out[1]);
	log_setup("test", LOG_DEBUG);
	return 0;
}

static int
tear_down(void **state)
{
	log_fd(2);
	close(out[0]);
	close(out[1]);
	return 0;
}

/* What has been logged since the last time. */
static str
logged(void)
{
	static char t[65536];
	size_t n = 0;
	ssize_t r;

	while (n < sizeof(t) && (r = read(out[0], t + n, sizeof(t) - n)) > 0)
		n += (size_t)r;
	return str_of(t, n);
}

static size_t
lines(str s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += s.p[i] == '\n';
	return n;
}

static bool
has(str s, const char *what)
{
	return str_find(s, str_c(what)) < s.n;
}

static void
test_line(void **state)
{
	str s;

	log_info("login", KV_C("user", "ann"), KV_N("account", -7),
	    KV_ERR(ERR_FULL), KV_C("none", ""));
	s = logged();
	assert_int_equal(lines(s), 1);
	assert_true(str_starts(s, S("ts=20")));
	assert_true(has(s, "Z level=info proc=test msg=\"login\" user=ann "
			   "account=-7 err=\"disk full\" none=\"\"\n"));
	log_warn("nothing more");
	assert_true(
	    has(logged(), "level=warn proc=test msg=\"nothing more\"\n"));
	log_setup("test", LOG_WARN);
	log_info("too low");
	assert_int_equal(logged().n, 0);
	log_setup("test", LOG_DEBUG);
}

static void
test_escape(void **state)
{
	/* R121 */
	static const struct {
		str in;
		str out;
	} rows[] = {
	    {S("plain"), S("plain")},
	    {S("a\r\nts=1"), S("a\\x0d\\x0ats=1")},
	    {S("\t\x1b[31m\0"), S("\\x09\\x1b[31m\\x00")},
	    {S("say \"x\" \\x"), S("say \\x22x\\x22 \\x5cx")},
	    {S("%n%s"), S("%n%s")},
	    {S("\xc3\xa4\xe2\x82\xac"), S("\xc3\xa4\xe2\x82\xac")},
	    {S("\xc3("), S("\\xc3(")},
	    {S("\xed\xa0\x80"), S("\\xed\\xa0\\x80")},
	    {S("\xc2\x9b"), S("\\xc2\\x9b")},
	    {S("\xe2\x80\xa8"), S("\\xe2\\x80\\xa8")},
	    {S("\xe2\x80\xae"), S("\\xe2\\x80\\xae")},
	    {S("\x7f"), S("\\x7f")},
	};
	struct buf b = {0};

	for (size_t i = 0; i < NELEM(rows); i++) {
		buf_reset(&b);
		log_escape(&b, rows[i].in);
		assert_str(buf_str(&b), rows[i].out);
	}
	buf_free(&b);
	log_info("quotes", KV_C("a", "x y"), KV_C("b", "x=y"),
	    KV_C("c", "x\"y"), KV_C("d", "x\ny"));
	assert_true(has(logged(), " a=\"x y\" b=\"x=y\" c=\"x\\x22y\" "
				  "d=\"x\\x0ay\"\n"));
}

static void
test_cut(void **state)
{
	size_t n = 1 << 20;
	char *big = x_alloc(n);
	struct buf b = {0};
	str s;

	/* R121: a mebibyte of it. */
	memset(big, 'x', n);
	log_escape(&b, str_of(big, 1000));
	assert_int_equal(b.n, 1000);
	assert_true(str_ends(buf_str(&b), S("xxxx")));
	buf_reset(&b);
	log_escape(&b, str_of(big, 1001));
	assert_int_equal(b.n, 1000);
	assert_true(str_ends(buf_str(&b), S("x...")));
	memset(big, 0x1b, n);
	buf_reset(&b);
	log_escape(&b, str_of(big, n));
	assert_true(b.n <= 1000);
	assert_true(str_ends(buf_str(&b), S("\\x1b...")));
	buf_free(&b);
	/* More than a line holds. */
	log_info("long", KV_S("a", str_of(big, n)), KV_S("b", str_of(big, n)),
	    KV_S("c", str_of(big, n)), KV_S("d", str_of(big, n)),
	    KV_S("e", str_of(big, n)), KV_S("f", str_of(big, n)),
	    KV_S("g", str_of(big, n)), KV_S("h", str_of(big, n)),
	    KV_S("j", str_of(big, n)));
	s = logged();
	assert_int_equal(lines(s), 1);
	assert_true(s.n <= 8192);
	assert_true(str_ends(s, S(" cut=1\n")));
	assert_false(has(s, " j="));
	x_free(&big);
}

static void
next_second(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec++;
	t.tv_nsec = 1000000;
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static void
test_rate(void **state)
{
	static const char *const msg = "flood";
	str s;

	/* R124: ten a second, then a sum. */
	next_second();
	for (int i = 0; i < 1000; i++)
		log_error(msg, KV_N("i", i));
	log_error("another");
	s = logged();
	assert_int_equal(lines(s), 11);
	assert_true(has(s, "msg=\"flood\" i=9\n"));
	next_second();
	log_flush();
	s = logged();
	assert_int_equal(lines(s), 1);
	assert_true(has(s, "level=error proc=test msg=\"flood\" "
			   "suppressed=990\n"));
	log_flush();
	assert_int_equal(logged().n, 0);
	log_error(msg, KV_N("i", 1));
	assert_int_equal(lines(logged()), 1);
}

static void *
shout(void *arg)
{
	/* Each string is a message of its own: more than the table holds. */
	static const char many[200][2] = {{'m', 0}};

	for (size_t i = 0; i < NELEM(many); i++)
		log_info(many[i], KV_C("thread", arg));
	return NULL;
}

static void
test_threads(void **state)
{
	pthread_t t[4];
	str s;

	for (size_t i = 0; i < NELEM(t); i++)
		pthread_create(&t[i], NULL, shout, (void *)(uintptr_t) "x");
	for (size_t i = 0; i < NELEM(t); i++)
		pthread_join(t[i], NULL);
	for (s = logged(); s.n > 0;) {
		str line = str_cut(&s, '\n');

		assert_true(str_starts(line, S("ts=")));
		assert_true(str_ends(line, S(" thread=x")));
	}
}

int
t_log(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_line),
	    cmocka_unit_test(test_escape),
	    cmocka_unit_test(test_cut),
	    cmocka_unit_test(test_rate),
	    cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests_name("log", tests, set_up, tear_down);
}
