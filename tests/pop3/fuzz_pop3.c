/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * A whole POP3 session after login. Up to the first NUL: a message of the
 * maildrop; behind it: what the client says.
 *
 * What must hold: the same bytes cut differently give the same replies; what
 * RETR sends, un-stuffed, is the message with CR LF; without QUIT nothing
 * is deleted.
 */
#include <unistd.h>

#include "fuzz.h"
#include "fake/fake_net.h"
#include "fake/fake_store.h"
#include "pop3/pop3.h"

static void
play(str message, str in, uint32_t seed, struct buf *out, struct buf *left)
{
	struct grant g = {.kind = GRANT_LOGIN, .account = 7};
	struct pop3_opts o = {0};
	struct pop3_env *e;
	struct os_addr peer = {0};
	struct conn *c;
	unsigned changes;

	o.net = fake_net();
	o.store = fake_store();
	fake_store_add(o.store, message);
	fake_store_add(o.store, S("Subject: x\r\n\r\n.\r\n"));
	e = pop3_env_new(&o);
	c = fake_conn(o.net,
	    pop3_begin(e, dup(2), &g, S("ann"), STR_NONE, STR_NONE, &peer));
	while (in.n > 0) {
		size_t k = in.n;

		if (seed != 0) {
			seed = seed * 1664525 + 1013904223;
			k = 1 + (seed >> 16) % 11;
		}
		fake_input(c, str_head(in, k));
		in = str_from(in, k);
	}
	changes = fake_store_changes(o.store);
	buf_str_add(out, fake_output(c));
	FUZZ_TRUE(changes == 0 || fake_is_closed(c));
	fake_hangup(c);
	FUZZ_TRUE(fake_store_changes(o.store) == changes);
	FUZZ_TRUE(fake_store_open(o.store) == 0);
	fake_store_print(o.store, left);
	fake_net_free(&o.net);
	pop3_env_free(&e);
	fake_store_free(&o.store);
}

/* What a client makes of RETR's answer is the message, its line ends CR LF,
 * the last one added, and the empty line behind a header. */
static void
check_retr(str message)
{
	struct buf out = {0}, left = {0}, want = {0}, got = {0};
	str rest;

	play(message, S("RETR 1\r\n"), 0, &out, &left);
	rest = buf_str(&out);
	(void)str_cut(&rest, '\n');
	(void)str_cut(&rest, '\n');
	FUZZ_TRUE(str_ends(buf_str(&out), S("\n.\r\n")));
	for (;;) {
		str line = str_cut(&rest, '\n');

		if (str_eq(line, S(".\r")))
			break;
		if (line.n > 0 && line.p[0] == '.')
			line = str_from(line, 1);
		buf_str_add(&got, line);
		buf_c(&got, '\n');
	}
	FUZZ_TRUE(rest.n == 0);
	for (rest = message; rest.n > 0;) {
		str line = str_cut(&rest, '\n');

		if (line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		buf_str_add(&want, line);
		buf_s(&want, "\r\n");
	}
	if (!str_eq(buf_str(&got), buf_str(&want)))
		buf_s(&want, "\r\n");
	FUZZ_TRUE(str_eq(buf_str(&got), buf_str(&want)));
	buf_free(&out);
	buf_free(&left);
	buf_free(&want);
	buf_free(&got);
}

void
fuzz_one(str in)
{
	struct buf one = {0}, two = {0}, left1 = {0}, left2 = {0};
	size_t n = str_chr(in, '\0');
	str message = str_head(in, n), session = str_from(in, n + 1);

	limits_default(&limits);
	log_setup("fuzz", LOG_ERROR + 1);
	os_clock_fix(1, 1);
	play(message, session, 0, &one, &left1);
	play(message, session, 1u + (uint32_t)in.n, &two, &left2);
	FUZZ_TRUE(str_eq(buf_str(&one), buf_str(&two)));
	FUZZ_TRUE(str_eq(buf_str(&left1), buf_str(&left2)));
	check_retr(message);
	buf_free(&one);
	buf_free(&two);
	buf_free(&left1);
	buf_free(&left2);
}
