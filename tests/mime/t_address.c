/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* Address lists; R56. */
#include "t_mime.h"

static void
put(struct buf *b, str s, bool present)
{
	if (!present)
		buf_c(b, '-');
	else
		buf_f(b, "[%.*s]", STR_ARG(s));
}

/* name|route|local|domain, one after the other; "-" is absent. */
static void
show(str value, size_t max, struct buf *b)
{
	struct arena *a = arena_new(0);
	struct address *v;
	size_t n, i;

	buf_reset(b);
	assert_int_equal(mime_addresses(a, value, &v, &n, max), OK);
	for (i = 0; i < n; i++) {
		if (i > 0)
			buf_c(b, ' ');
		put(b, v[i].name, v[i].name.p != NULL);
		put(b, v[i].route, v[i].route.p != NULL);
		put(b, v[i].local, v[i].local.p != NULL);
		put(b, v[i].domain, v[i].domain.p != NULL);
	}
	arena_free(&a);
}

static void
test_rows(void **state)
{
	static const struct {
		str in, out;
	} rows[] = {
	    {S("a@b"), S("--[a][b]")},
	    {S("<a@b>"), S("--[a][b]")},
	    {S("A <a@b>, C D <c@d.e>"), S("[A]-[a][b] [C D]-[c][d.e]")},
	    {S("\"A, B\" <a@b>"), S("[A, B]-[a][b]")},
	    {S("\"A \\\"x\\\" \\\\\" <a@b>"), S("[A \"x\" \\]-[a][b]")},
	    {S("a@b (Ann (nested) B)"), S("[Ann (nested) B]-[a][b]")},
	    {S("(c) a (d) @ (e) b (Name)"), S("[Name]-[a][b]")},
	    {S("John Q. Public <j.q@p>"), S("[John Q. Public]-[j.q][p]")},
	    {S("\"a b\"@c"), S("--[a b][c]")},
	    {S("a . b @ c . d"), S("--[a.b][c.d]")},
	    {S("a@[127.0.0.1]"), S("--[a][[127.0.0.1]]")},
	    {S("a@[IPv6:::1], b@c"), S("--[a][[IPv6:::1]] --[b][c]")},
	    {S("<@x,@y:a@b>"), S("-[@x,@y][a][b]")},
	    {S("g: a@b, C <c@d>;, e@f"),
		S("--[g]- --[a][b] [C]-[c][d] ---- --[e][f]")},
	    {S("undisclosed-recipients:;"),
		S("--[undisclosed-recipients]- ----")},
	    {S("Two Words:;"), S("--[Two Words]- ----")},
	    {S("g: a@b"), S("--[g]- --[a][b] ----")},
	    {S(";;;;"), S("")},
	    {S(",,, ,"), S("")},
	    {S(""), S("")},
	    {S("a;b@c"), S("--[a][] --[b][c]")},
	    /* What is no address is still shown. */
	    {S("local"), S("--[local][]")},
	    {S("two words"), S("[two words]-[][]")},
	    {S("<>"), S("--[][]")},
	    {S("Mailer <>"), S("[Mailer]-[][]")},
	    {S("<a>"), S("--[a][]")},
	    {S("@b"), S("--[][b]")},
	    {S("a@"), S("--[a][]")},
	    {S("a@b@c"), S("--[a@b][c]")},
	    {S("Name a@b"), S("[Name]-[a][b]")},
	    {S("a@b Name"), S("[Name]-[a][b]")},
	    {S("<a@b> Name"), S("[Name]-[a][b]")},
	    {S("<a@b> <c@d>"), S("--[a][b] --[c][d]")},
	    {S("A <a@b, c@d"), S("[A]-[a][b] --[c][d]")},
	    {S("a@b <c@d>"), S("[a@b]-[c][d]")},
	    {S("A\r\n B\r\n\t<a@b>"), S("[A B]-[a][b]")},
	    {S("\"unclosed <a@b>"), S("[\"unclosed]-[a][b]")},
	    {S("(unclosed a@b"), S("")},
	    {S("a@b (x\\"), S("[x]-[a][b]")},
	    {S("=?utf-8?q?=C3=84?= <a@b>"), S("[=?utf-8?q?=C3=84?=]-[a][b]")},
	    {S("\xc3\xa4 <\xc3\xa4@\xc3\xb6>"),
		S("[\xc3\xa4]-[\xc3\xa4][\xc3\xb6]")},
	    {S("[list] <a@b>"), S("[[list]]-[a][b]")},
	};
	struct buf b = {0};

	for (size_t i = 0; i < NELEM(rows); i++) {
		show(rows[i].in, 100, &b);
		assert_str(buf_str(&b), rows[i].out);
	}
	buf_free(&b);
}

static void
test_max(void **state)
{
	struct buf b = {0};

	show(S("a@b, c@d, e@f"), 2, &b);
	assert_str(buf_str(&b), S("--[a][b] --[c][d]"));
	show(S("a@b, c@d"), 3, &b);
	assert_str(buf_str(&b), S("--[a][b] --[c][d]"));
	show(S("g:a@b;"), 2, &b);
	assert_str(buf_str(&b), S("--[g]- --[a][b]"));
	buf_free(&b);
}

/* What is printed in the normal form is read as it was. */
static void
test_round_trip(void **state)
{
	static const char atoms[] = "abcdefghijklmnopqrstuvwxyz0123456789-_+";
	static const char any[] = " ,;:<>@()\"\\.[]ab=?";
	struct rnd r;

	for_seeds(&r, 2000)
	{
		struct buf text = {0}, want = {0}, got = {0};
		size_t n = 1 + rnd(&r, 4);

		for (size_t i = 0; i < n; i++) {
			struct buf name = {0};
			char local[8], domain[8];
			size_t k;

			for (k = 0; k < 7; k++) {
				local[k] = atoms[rnd(&r, sizeof(atoms) - 1)];
				domain[k] = atoms[rnd(&r, sizeof(atoms) - 1)];
			}
			buf_s(&name, "x");
			for (k = rnd(&r, 6); k > 0; k--)
				buf_c(&name, any[rnd(&r, sizeof(any) - 1)]);
			buf_s(&name, "x");
			if (i > 0) {
				buf_s(&text, ", ");
				buf_c(&want, ' ');
			}
			buf_c(&text, '"');
			for (k = 0; k < name.n; k++) {
				if (name.p[k] == '"' || name.p[k] == '\\')
					buf_c(&text, '\\');
				buf_c(&text, name.p[k]);
			}
			buf_f(&text, "\" <%.7s@%.7s>", local, domain);
			buf_f(&want, "[%.*s]-[%.7s][%.7s]",
			    STR_ARG(buf_str(&name)), local, domain);
			buf_free(&name);
		}
		show(buf_str(&text), 100, &got);
		seed_true(&r, str_eq(buf_str(&got), buf_str(&want)));
		buf_free(&text);
		buf_free(&want);
		buf_free(&got);
	}
}

int
t_address(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_max),
	    cmocka_unit_test(test_round_trip),
	};

	return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
