/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Settings: every row at its edges, errors that help, both ways of writing
 * them read back. R123, R124.
 */
#include <stdio.h>

#include "t_daemon.h"
#include "daemon/settings.h"

static enum err
set(const char *name, const char *value, struct buf *why)
{
	struct settings *s = settings_new();
	enum err e;

	buf_reset(why);
	e = settings_set(s, str_c(name), str_c(value), S("--set"), why);
	settings_free(&s);
	return e;
}

/* Whether this number is taken; then it is what is kept. */
static bool
takes(const char *name, uint64_t n, size_t at)
{
	struct settings *s = settings_new();
	struct buf why = {0};
	char v[32];
	enum err e;

	snprintf(v, sizeof(v), "%llu", (unsigned long long)n);
	e = settings_set(s, str_c(name), str_c(v), S("--set"), &why);
	if (e == OK)
		assert_int_equal(*(const _Atomic uint64_t *)(const void
					 *)((const char *)&s->limits + at),
		    n);
	else
		assert_true(str_find(buf_str(&why), str_c(name)) < why.n);
	settings_free(&s);
	buf_free(&why);
	return e == OK;
}

/* R124: the least and the greatest of every limit, one beyond each, and one
 * within. */
static void
limits_at_their_edges(void **state)
{
	static const struct {
		const char *name;
		size_t at;
		uint64_t lo, hi;
	} rows[] = {
#define X(name, kind, value, lo, hi, unit, what) \
	{#name, offsetof(struct limits, name), lo, hi},
	    LIMITS(X)
#undef X
	};
	static const char *const odd[] = {"0", "-1", "", "1x", " ", "1.5",
	    "0x10", "18446744073709551615", "18446744073709551616",
	    "18446744073709551617", "99999999999999999999999"};
	struct buf why = {0};

	for (size_t i = 0; i < NELEM(rows); i++) {
		const char *name = rows[i].name;

		for (int more = -1; more <= 1; more++) {
			assert_int_equal(
			    takes(
				name, rows[i].lo + (uint64_t)more, rows[i].at),
			    more >= 0);
			assert_int_equal(
			    takes(
				name, rows[i].hi + (uint64_t)more, rows[i].at),
			    more <= 0);
		}
		for (size_t k = 0; k < NELEM(odd); k++)
			assert_int_equal(set(name, odd[k], &why), ERR_INVALID);
	}
	buf_free(&why);
}

/* The numbers that are no limits. */
static void
numbers_at_their_edges(void **state)
{
	static const struct {
		const char *name, *least, *most, *below, *beyond, *word;
	} rows[] = {
	    {"pop3_login_delay", "1", "86400", "0", "86401", ""},
	    {"fronts", "1", "256", "0", "257", "auto"},
	    {"threads", "1", "4096", "0", "4097", "auto"},
	};
	struct buf why = {0};

	for (size_t i = 0; i < NELEM(rows); i++) {
		const char *name = rows[i].name;

		assert_int_equal(set(name, rows[i].least, &why), OK);
		assert_int_equal(set(name, rows[i].most, &why), OK);
		assert_int_equal(set(name, rows[i].word, &why), OK);
		assert_int_equal(set(name, rows[i].below, &why), ERR_INVALID);
		assert_int_equal(set(name, rows[i].beyond, &why), ERR_INVALID);
		assert_int_equal(set(name, "-1", &why), ERR_INVALID);
	}
	buf_free(&why);
}

static void
errors_help(void **state)
{
	static const struct {
		const char *name, *value, *says;
	} rows[] = {
	    {"imapz", "x", "nearest is imap"},
	    {"idle", "5", "idle_s"},
	    {"message_size", "5", "message_size_max"},
	    {"log_levle", "info", "log_level"},
	    {"log_level", "loud", "debug, info, warn or error"},
	    {"tls_strict_sni", "maybe", "yes or no"},
	    {"lmtp_bare_lf", "keep", "refuse fix"},
	    {"scram_keys", "md5", "sha256"},
	    {"fronts", "0", "auto"},
	    {"message_size_max", "99999999999", "from 1024 to 2147483647"},
	};
	struct buf why = {0};

	for (size_t i = 0; i < NELEM(rows); i++) {
		assert_int_equal(
		    set(rows[i].name, rows[i].value, &why), ERR_INVALID);
		buf_c(&why, 0);
		if (strstr(why.p, rows[i].says) == NULL)
			fail_msg("%s: %s", rows[i].name, why.p);
		assert_null(strchr(why.p, '\n'));
	}
	buf_free(&why);
}

static void
files(void **state)
{
	struct settings *s = settings_new();
	struct buf why = {0};

	assert_int_equal(settings_parse(s,
			     S("# a comment\n\nimap = 127.0.0.1:143\r\n"
			       "imap=[::1]:143\n  line_max = 128k \n"
			       "log_level=debug"),
			     S("f.conf"), &why),
	    OK);
	assert_true(str_eq(s->imap, S("127.0.0.1:143 [::1]:143")));
	assert_int_equal(s->limits.line_max, 131072);
	assert_int_equal(s->log_level, LOG_DEBUG);
	assert_int_equal(settings_parse(s, S("# x\nimap\n"), S("f.conf"), &why),
	    ERR_INVALID);
	assert_true(str_starts(buf_str(&why), S("f.conf, line 2: a line is")));
	buf_reset(&why);
	assert_int_equal(
	    settings_parse(s, S("\n\nlmpt = /x\n"), S("f.conf"), &why),
	    ERR_INVALID);
	assert_true(str_starts(buf_str(&why), S("f.conf, line 3: ")));
	assert_true(str_find(buf_str(&why), S("nearest is lmtp")) < why.n);
	buf_reset(&why);
	assert_int_equal(
	    settings_load(s, "/no/such/file", true, &why), ERR_NOTFOUND);
	assert_int_equal(settings_load(s, "/no/such/file", false, &why), OK);
	buf_free(&why);
	settings_free(&s);
}

/* What is printed is read back; what goes to the processes, too. */
static void
both_ways(void **state)
{
	struct settings *s = settings_new(), *t = settings_new(),
			*u = settings_new();
	struct buf a = {0}, b = {0}, c = {0}, why = {0};
	const str values[] = {S("no"), S("sha1"), S("3000"), S("40000"),
	    S("2000000"), S("50"), S("20000000")};

	for (size_t i = 0; settings_name(i) != NULL; i++) {
		str name = str_c(settings_name(i));

		/* One of these is good for it, whatever it is. */
		for (size_t k = 0; k < NELEM(values); k++)
			if (settings_set(s, name, values[k], S("t"), &why) ==
			    OK)
				break;
	}
	settings_print(s, &a);
	buf_reset(&why);
	if (settings_parse(t, buf_str(&a), S("f"), &why) != OK)
		fail_msg("%.*s", STR_ARG(buf_str(&why)));
	settings_print(t, &b);
	assert_true(str_eq(buf_str(&a), buf_str(&b)));
	settings_encode(s, &c);
	assert_int_equal(settings_decode(u, buf_str(&c)), OK);
	buf_reset(&b);
	settings_print(u, &b);
	assert_true(str_eq(buf_str(&a), buf_str(&b)));
	/* Cut short anywhere but between two rows: refused. */
	for (size_t n = 0, good = 0; n < c.n; n++) {
		if (settings_decode(u, str_head(buf_str(&c), n)) == OK)
			good++;
		assert_true(good <= 200);
	}
	buf_free(&a);
	buf_free(&b);
	buf_free(&c);
	buf_free(&why);
	settings_free(&s);
	settings_free(&t);
	settings_free(&u);
}

int
test_settings(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(limits_at_their_edges),
	    cmocka_unit_test(numbers_at_their_edges),
	    cmocka_unit_test(errors_help),
	    cmocka_unit_test(files),
	    cmocka_unit_test(both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
