/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * SMTP commands, SASL lines, POP3 lines: each scanner on any line (R69, R70).
 */
#include "fuzz.h"
#include "proto/pop3.h"
#include "proto/sasl.h"
#include "proto/smtp.h"

static void
clean(str s)
{
	for (size_t i = 0; i < s.n; i++)
		FUZZ_TRUE((unsigned char)s.p[i] >= ' ' && s.p[i] != 127);
}

/* What is a reply begins with three digits and ends with CR LF. */
static void
reply(const char *why)
{
	str s = str_c(why);

	FUZZ_TRUE(s.n > 10 && s.p[0] >= '4' && s.p[0] <= '5');
	FUZZ_TRUE(str_ends(s, S("\r\n")));
}

/* The printed path reads as the same address. */
static void
again(struct arena *a, const struct smtp_path *p)
{
	struct buf b = {0};
	struct smtp_path q;
	struct scan s;

	clean(p->path);
	clean(p->address);
	FUZZ_TRUE(p->address.n <= SMTP_LOCAL_MAX + SMTP_DOMAIN_MAX + 1);
	buf_c(&b, '<');
	buf_str_add(&b, p->path);
	buf_c(&b, '>');
	s = scan_of(buf_str(&b));
	FUZZ_TRUE(smtp_path(a, &s, &q) == NULL && scan_end(&s));
	FUZZ_TRUE(str_eq(q.address, p->address) && str_eq(q.path, p->path));
	buf_free(&b);
}

static void
commands(struct arena *a, str rest)
{
	struct smtp_mail mail;
	struct smtp_path to;
	const char *why;
	uint64_t n;
	bool last;
	str name;

	if ((why = smtp_mail(a, rest, &mail)) == NULL)
		again(a, &mail.from);
	else
		reply(why);
	if ((why = smtp_rcpt(a, rest, &to)) == NULL)
		again(a, &to);
	else
		reply(why);
	if (smtp_helo(rest, &name))
		clean(name);
	(void)smtp_bdat(rest, &n, &last);
}

void
fuzz_one(str in)
{
	struct arena *a;
	struct buf out = {0};
	struct pop3_pass pass;
	str verb, rest, word, list = in;
	uint32_t n;
	int64_t lines;
	bool has;

	limits_default(&limits);
	a = arena_new(1 << 20);
	if (smtp_split(in, &verb, &rest)) {
		clean(verb);
		commands(a, rest);
	}
	if (pop3_split(in, &verb, &rest, &has)) {
		(void)pop3_lang(rest, &out);
		while (pop3_word(&rest, &word)) {
			(void)pop3_number(word, &n);
			if (pop3_count(word, &lines))
				FUZZ_TRUE(lines >= 0);
		}
	}
	if (pop3_pass_get(in, &pass))
		clean(pass.mechs);
	buf_reset(&out);
	if (sasl_line(in, &out) == SASL_DATA) {
		struct buf back = {0};

		base64_put(&back, buf_str(&out));
		FUZZ_TRUE(str_eq(buf_str(&back), in));
		buf_free(&back);
	}
	buf_reset(&out);
	if (sasl_initial(in, &out) != OK)
		FUZZ_TRUE(out.n == 0);
	while (sasl_mech_next(&list, &word))
		FUZZ_TRUE(sasl_mech_in(in, word, &word));
	buf_free(&out);
	arena_free(&a);
}
