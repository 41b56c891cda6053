/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* Charsets; R59. */
#include <sys/wait.h>
#include <unistd.h>

#include "t_mime.h"

static void
test_rows(void **state)
{
	static const struct {
		str charset, in, out;
	} rows[] = {
	    {S("us-ascii"), S("abc"), S("abc")},
	    {S("US-ASCII"), S("a\xe4"), S("a\xef\xbf\xbd")},
	    {S(""), S("a"), S("a")},
	    {S("utf-8"), S("\xc3\xa4\xff x"), S("\xc3\xa4\xef\xbf\xbd x")},
	    {S("utf-8"), S("\xe2\x82"), S("\xef\xbf\xbd")},
	    {S("utf8"), S("\xed\xa0\x80"),
		S("\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd")},
	    {S("ISO-8859-1"), S("\xe4\x80"), S("\xc3\xa4\xc2\x80")},
	    {S("latin1"), S("\xe4"), S("\xc3\xa4")},
	    {S("windows-1252"), S("\x80\xe4"), S("\xe2\x82\xac\xc3\xa4")},
	    {S("iso-8859-15"), S("\xa4"), S("\xe2\x82\xac")},
	    {S("koi8-r"), S("\xc1"), S("\xd0\xb0")},
	    {S("x-sjis"), S("\x82\xa0"), S("\xe3\x81\x82")},
	    {S("Shift_JIS"), S("\x82\xa0"), S("\xe3\x81\x82")},
	    {S("cp-850"), S("\x84"), S("\xc3\xa4")},
	    {S("ibm850"), S("\x84"), S("\xc3\xa4")},
	    {S("ks_c_5601-1987"), S("\xb0\xa1"), S("\xea\xb0\x80")},
	    {S("gb2312"), S("\xb0\xa1"), S("\xe5\x95\x8a")},
	    {S("big5"), S("\xa4\xa4"), S("\xe4\xb8\xad")},
	    {S("euc-jp"), S("\xa4\xa2"), S("\xe3\x81\x82")},
	    {S("iso-2022-jp"), S("\x1b$B$\"\x1b(B."), S("\xe3\x81\x82.")},
	    {S("unicode-1-1-utf-7"), S("a+AOQ-b"),
		S("a\xc3\xa4"
		  "b")},
	    {S("utf-7"), S("+-"), S("+")},
	    {S("utf-16be"), S("\0a\0b"), S("ab")},
	    {S("csISO2022JP"), S("x"), S("x")},
	    {S("ansi_x3.4-1968"), S("x"), S("x")},
	};
	struct buf b = {0};

	for (size_t i = 0; i < NELEM(rows); i++) {
		buf_reset(&b);
		assert_int_equal(
		    mime_to_utf8(rows[i].charset, rows[i].in, &b), OK);
		assert_str(buf_str(&b), rows[i].out);
		assert_true(mime_charset_known(rows[i].charset));
	}
	buf_free(&b);
}

/* Only what the table names reaches iconv. */
static void
test_unknown(void **state)
{
	static const str rows[] = {
	    S("nonsense"),
	    S("../../etc/passwd"),
	    S("//TRANSLIT"),
	    S("iso-2022-cn-ext"),
	    S("UTF-8//IGNORE//x"),
	    S("x-"),
	    S("-"),
	    S("utf-8\0x"),
	    S("internal"),
	    S("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
	};
	struct buf b = {0};

	for (size_t i = 0; i < NELEM(rows); i++) {
		buf_reset(&b);
		assert_int_equal(
		    mime_to_utf8(rows[i], S("a\xe4"), &b), ERR_INVALID);
		assert_str(buf_str(&b), S("a\xef\xbf\xbd"));
		assert_false(mime_charset_known(rows[i]));
	}
	buf_free(&b);
}

/* Every charset of the table opens; called twice it does nothing. */
static void
test_load(void **state)
{
	mime_charsets_load();
	mime_charsets_load();
}

static const char *const stateful[] = {"utf-8", "iso-2022-jp", "iso-2022-kr",
    "iso-2022-cn", "utf-7", "utf-16", "utf-32", "big5", "big5-hkscs", "euc-tw",
    "gb18030", "shift_jis", "iso-2022-jp-3", "viscii", "tcvn", "windows-1258",
    "euc-jp", "koi8-r"};

/* Output is UTF-8 and bounded; of well-formed text it is the same in pieces
 * as at once. */
static void
test_pieces(void **state)
{
	static const char *const bits[] = {"\x1b$B", "\x1b(B", "\x1b$)C",
	    "\x0e", "\x0f", "+", "-", "\x82\xa0", "a", "\xe4", "\xff", "\0",
	    "\x81\x30\x81\x30", "\xc3\xa4", "\xf0\x9f", "\x98\x80", "$\"",
	    "\x1b$)A", "\xfe\xff", "\xd8\x00"};
	struct rnd r;

	for_seeds(&r, 4000)
	{
		str cs = str_c(stateful[rnd(&r, NELEM(stateful))]), rest;
		struct buf in = {0}, one = {0}, two = {0};
		struct conv *c;
		bool known;

		for (size_t k = rnd(&r, 20); k > 0; k--) {
			size_t i = rnd(&r, NELEM(bits));

			buf_add(&in, bits[i], i == 11 ? 1 : strlen(bits[i]));
		}
		seed_true(&r, mime_to_utf8(cs, buf_str(&in), &one) == OK);
		seed_true(&r, utf8_valid(buf_str(&one)));
		seed_true(&r, one.n <= in.n * 12 + 16);
		c = conv_open(cs, &known);
		seed_true(&r, known);
		for (rest = buf_str(&in); rest.n > 0;) {
			size_t n = 1 + rnd(&r, rest.n);

			conv_feed(c, str_head(rest, n), &two);
			rest = str_from(rest, n);
		}
		conv_end(&c, &two);
		seed_true(&r, utf8_valid(buf_str(&two)));
		if (str_find(buf_str(&one), S("\xef\xbf\xbd")) == one.n)
			seed_true(&r, str_eq(buf_str(&one), buf_str(&two)));
		buf_free(&in);
		buf_free(&one);
		buf_free(&two);
	}
}

/* More converters at once than the cache holds. */
static void
test_many(void **state)
{
	struct conv *c[NELEM(stateful)];
	struct buf b = {0};
	bool known;

	for (int turn = 0; turn < 3; turn++) {
		for (size_t i = 0; i < NELEM(stateful); i++)
			c[i] = conv_open(str_c(stateful[i]), &known);
		for (size_t i = 0; i < NELEM(stateful); i++)
			conv_end(&c[i], &b);
	}
	buf_free(&b);
}

static const char *const all[] = {"big5", "big5-hkscs", "euc-jp", "euc-kr",
    "euc-tw", "gb18030", "iso-2022-jp", "iso-2022-jp-3", "iso-2022-kr",
    "iso-2022-cn", "iso-8859-2", "iso-8859-5", "iso-8859-6", "iso-8859-7",
    "iso-8859-8", "iso-8859-15", "koi8-r", "koi8-u", "windows-1250",
    "windows-1251", "windows-1253", "windows-1258", "shift_jis", "tis-620",
    "cp437", "cp850", "cp866", "macintosh", "utf-7", "utf-16", "viscii",
    "johab", "windows-874"};

/* After mime_charsets_load no file is needed any more. */
static void
test_closed_box(void **state)
{
	char dir[] = "/tmp/mime-box-XXXXXX";
	struct buf b = {0};
	int status;
	pid_t pid;

	assert_non_null(mkdtemp(dir));
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		mime_charsets_load();
		if (chroot(dir) != 0)
			_exit(77); /* only root can */
		for (int turn = 0; turn < 3; turn++) {
			for (size_t i = 0; i < NELEM(all); i++) {
				str cs = str_c(all[i]);

				if (mime_to_utf8(cs, S("ab c\xe4"), &b) != OK)
					_exit(1);
			}
		}
		_exit(0);
	}
	assert_true(waitpid(pid, &status, 0) == pid);
	rmdir(dir);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

int
t_charset(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_unknown),
	    cmocka_unit_test(test_pieces),
	    cmocka_unit_test(test_many),
	    cmocka_unit_test(test_load),
	    cmocka_unit_test(test_closed_box),
	};

	return cmocka_run_group_tests_name("charset", tests, NULL, NULL);
}
