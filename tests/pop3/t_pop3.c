/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * pop3: dialogues over a maildrop in memory, whole, byte by byte and split
 * at random.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "fake/fake_net.h"
#include "fake/fake_store.h"
#include "pop3/pop3.h"
#include "proto/pop3.h"

#define ONE "Subject: one\r\n\r\nfirst\r\n.second\r\n..\r\n"
#define TWO "Subject: two\r\n"
#define THREE "Subject: three\r\n\r\nno end"
#define FOUR "Subject: four\r\n\r\n"

struct world {
	struct net *net;
	struct store *st;
	struct pop3_env *env;
	struct conn *c;
};

static struct conn *
begin(struct world *w, str input)
{
	struct grant g = {
	    .kind = GRANT_LOGIN, .protocol = PROTO_POP3, .account = 7};
	struct pop3_pass pass = {.user = true, .mechs = S("PLAIN")};
	struct os_addr peer;
	struct buf tag = {0};
	size_t n;
	conn_id id;

	assert_int_equal(os_addr_parse(S("127.0.0.1:1"), &peer, 1, &n), OK);
	pop3_pass_put(&pass, &tag);
	id = pop3_begin(
	    w->env, dup(2), &g, S("ann"), buf_str(&tag), input, &peer);
	assert_int_not_equal(id, 0);
	buf_free(&tag);
	return fake_conn(w->net, id);
}

static void
open_world(struct world *w, uint32_t delay_s)
{
	struct pop3_opts o = {.login_delay_s = delay_s};

	*w = (struct world){0};
	w->net = o.net = fake_net();
	w->st = o.store = fake_store();
	fake_store_add(w->st, S(ONE));
	fake_store_add(w->st, S(TWO));
	fake_store_add(w->st, S(THREE));
	fake_store_add(w->st, S(FOUR));
	w->env = pop3_env_new(&o);
}

static void
close_world(struct world *w)
{
	fake_net_free(&w->net);
	pop3_env_free(&w->env);
	assert_int_equal(fake_store_open(w->st), 0);
	fake_store_free(&w->st);
}

static uint32_t
chance(uint32_t *seed)
{
	return *seed = *seed * 1664525 + 1013904223;
}

static const struct dialogue {
	str in;
	const char *out;  /* behind the greeting */
	const char *left; /* of the UIDs 1,2,3,4 */
} dialogues[] = {
    /* clang-format off */
	{S("STAT\r\nnoop\r\nlist 2\r\nUIDL 3\n"),
	 "+OK 4 91\r\n+OK Nothing done\r\n+OK 2 14\r\n+OK 3 fake.3\r\n", "1,2,3,4"},
	{S("LIST\r\nUIDL\r\n"),
	 "+OK 4 messages (91 octets)\r\n1 36\r\n2 14\r\n3 24\r\n4 17\r\n.\r\n"
	 "+OK The unique ids:\r\n1 fake.1\r\n2 fake.2\r\n3 fake.3\r\n4 fake.4\r\n.\r\n", "1,2,3,4"},
	/* R73: dots, ends */
	{S("RETR 1\r\nRETR 2\r\nRETR 3\r\nRETR 4\r\n"),
	 "+OK 36 octets\r\nSubject: one\r\n\r\nfirst\r\n..second\r\n...\r\n.\r\n"
	 "+OK 14 octets\r\n" TWO "\r\n.\r\n+OK 24 octets\r\n" THREE "\r\n.\r\n"
	 "+OK 17 octets\r\n" FOUR ".\r\n", "1,2,3,4"},
	{S("TOP 1 0\r\nTOP 1 1\r\nTOP 1 4294967296\r\nTOP 1 99999999999999999999\r\nTOP 2 0\r\n"),
	 "+OK The top of it\r\nSubject: one\r\n\r\n.\r\n"
	 "+OK The top of it\r\nSubject: one\r\n\r\nfirst\r\n.\r\n"
	 "+OK The top of it\r\nSubject: one\r\n\r\nfirst\r\n..second\r\n...\r\n.\r\n"
	 "+OK The top of it\r\nSubject: one\r\n\r\nfirst\r\n..second\r\n...\r\n.\r\n"
	 "+OK The top of it\r\n" TWO "\r\n.\r\n", "1,2,3,4"},
	{S("DELE 1\r\nDELE 1\r\nRETR 1\r\nLIST 1\r\nSTAT\r\nLIST\r\nUIDL\r\nQUIT\r\n"),
	 "+OK Message 1 will be deleted at QUIT\r\n"
	 "-ERR Message 1 is marked as deleted; RSET takes that back\r\n"
	 "-ERR Message 1 is marked as deleted; RSET takes that back\r\n"
	 "-ERR Message 1 is marked as deleted; RSET takes that back\r\n"
	 "+OK 3 55\r\n+OK 3 messages (55 octets)\r\n2 14\r\n3 24\r\n4 17\r\n.\r\n"
	 "+OK The unique ids:\r\n2 fake.2\r\n3 fake.3\r\n4 fake.4\r\n.\r\n"
	 "+OK 1 messages deleted, 3 left\r\n", "2,3,4"},
	{S("DELE 1\r\nDELE 3\r\nRSET\r\nDELE 2\r\nQUIT\r\nSTAT\r\n"),
	 "+OK Message 1 will be deleted at QUIT\r\n+OK Message 3 will be deleted at QUIT\r\n"
	 "+OK 4 messages (91 octets)\r\n+OK Message 2 will be deleted at QUIT\r\n"
	 "+OK 1 messages deleted, 3 left\r\n", "1,3,4"},
	/* R73: without QUIT nothing is deleted */
	{S("DELE 1\r\n"), "+OK Message 1 will be deleted at QUIT\r\n", "1,2,3,4"},
	{S("QUIT\r\n"), "+OK Until next time\r\n", "1,2,3,4"},
	/* R11, R19 */
	{S("RETR\r\nRETR 0\r\nRETR 5\r\nRETR x\r\nRETR 4294967296\r\nRETR -1\r\nRETR 1 1\r\n"
	   "TOP 1\r\nTOP 1 -1\r\nSTAT 1\r\nFROB\r\n\r\nUSER x\r\nUTF8\r\nSTLS\r\nLIST 9\r\n"),
	 "-ERR Say which message, by its number\r\n-ERR That is no message number\r\n"
	 "-ERR There is no message 5: there are 4\r\n-ERR That is no message number\r\n"
	 "-ERR That is no message number\r\n-ERR That is no message number\r\n"
	 "-ERR That is too much behind the command\r\n-ERR Say TOP message lines\r\n"
	 "-ERR Say TOP message lines\r\n-ERR Nothing may follow that command\r\n"
	 "-ERR There is no such command; CAPA says what is\r\n"
	 "-ERR That is no command; CAPA says what is\r\n-ERR You are logged in already\r\n"
	 "-ERR You are logged in already\r\n-ERR You are logged in already\r\n"
	 "-ERR There is no message 9: there are 4\r\n", "1,2,3,4"},
	{S("CAPA\r\nLANG *\r\n"),
	 "+OK What this server can do:\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n"
	 "PIPELINING\r\nEXPIRE NEVER\r\nUSER\r\nSASL PLAIN\r\nUTF8 USER\r\nLANG\r\n"
	 "IMPLEMENTATION restante-" RESTANTE_VERSION "\r\n.\r\n+OK en English it is\r\n", "1,2,3,4"},
    /* clang-format on */
};

/* R08, R11, R73 */
static void
test_dialogues(void **state)
{
	uint32_t seed = 1;

	for (size_t i = 0; i < NELEM(dialogues) * 6; i++) {
		const struct dialogue *d = &dialogues[i / 6];
		struct buf left = {0};
		str in = d->in, got;
		struct world w;

		open_world(&w, 0);
		w.c = begin(&w, STR_NONE);
		while (in.n > 0) {
			size_t k = i % 6 == 0   ? in.n
				   : i % 6 == 1 ? 1
						: 1 + chance(&seed) / 4096 % 9;

			fake_input(w.c, str_head(in, k));
			in = str_from(in, k);
		}
		got = fake_output(w.c);
		assert_true(str_starts(
		    got, S("+OK Logged in: 4 messages, 91 octets\r\n")));
		got = str_from(got, str_find(got, S("\r\n")) + 2);
		if (!str_eq(got, str_c(d->out))) {
			print_error("in:\n%.*s\nwanted:\n%s\ngot:\n%.*s\n",
			    STR_ARG(d->in), d->out, STR_ARG(got));
			fail();
		}
		fake_hangup(w.c);
		fake_store_print(w.st, &left);
		assert_true(str_eq(buf_str(&left), str_c(d->left)));
		buf_free(&left);
		close_world(&w);
	}
}

/* R73: two sessions and an IMAP client on one maildrop. */
static void
test_together(void **state)
{
	struct buf left = {0};
	struct conn *a, *b;
	struct world w;

	open_world(&w, 0);
	a = begin(&w, STR_NONE);
	b = begin(&w, S("DELE 1\r\nDELE 2\r\nQUIT\r\n"));
	assert_true(fake_is_closed(b));
	fake_store_add(w.st, S("new\r\n"));
	fake_store_expunge(w.st, 3);
	fake_forget(a);
	fake_input(
	    a, S("STAT\r\nRETR 2\r\nDELE 1\r\nDELE 3\r\nDELE 4\r\nQUIT\r\n"));
	assert_true(
	    str_starts(fake_output(a), S("+OK 4 91\r\n+OK 14 octets\r\n")));
	assert_true(
	    str_ends(fake_output(a), S("+OK 3 messages deleted, 1 left\r\n")));
	fake_store_print(w.st, &left);
	assert_true(str_eq(buf_str(&left), S("5")));
	assert_int_equal(fake_store_changes(w.st), 2);
	buf_free(&left);
	close_world(&w);
}

/* docs/VIOLATIONS.md: 8-bit headers as they are, without UTF8 too; bare LF
 * is sent as CR LF and counted as it is stored. */
static void
test_odd_messages(void **state)
{
	struct world w;

	open_world(&w, 0);
	fake_store_add(w.st, S("Subject: \xc3\xa4 \xe4\n\nx\n"));
	w.c = begin(&w, STR_NONE);
	fake_forget(w.c);
	fake_input(w.c, S("LIST 5\r\nRETR 5\r\n"));
	assert_true(str_eq(fake_output(w.c),
	    S("+OK 5 17\r\n+OK 17 octets\r\nSubject: \xc3\xa4 \xe4\r\n\r\nx\r\n"
	      ".\r\n")));
	close_world(&w);
}

/* R97: the store fails; what was not deleted is not said to be. */
static void
test_failures(void **state)
{
	struct buf left = {0};
	struct world w;

	open_world(&w, 0);
	w.c = begin(&w, S("DELE 1\r\n"));
	fake_store_fail(w.st, ERR_IO);
	fake_forget(w.c);
	fake_input(w.c, S("RETR 2\r\nQUIT\r\n"));
	assert_true(str_starts(fake_output(w.c), S("-ERR [SYS/TEMP] ")));
	assert_true(str_ends(fake_output(w.c),
	    S("-ERR [SYS/TEMP] Nothing was deleted: try again later\r\n")));
	fake_store_print(w.st, &left);
	assert_true(str_eq(buf_str(&left), S("1,2,3,4")));
	w.c = begin(&w, STR_NONE);
	assert_true(fake_is_closed(w.c));
	assert_true(str_starts(fake_output(w.c), S("-ERR [SYS/TEMP] ")));
	buf_free(&left);
	close_world(&w);
}

static void
test_delay(void **state)
{
	struct world w;

	os_clock_fix(1000000, 1000000);
	open_world(&w, 60);
	w.c = begin(&w, S("CAPA\r\nQUIT\r\n"));
	assert_true(str_find(fake_output(w.c), S("\r\nLOGIN-DELAY 60\r\n")) <
		    fake_output(w.c).n);
	w.c = begin(&w, STR_NONE);
	assert_true(str_starts(fake_output(w.c), S("-ERR [LOGIN-DELAY] ")));
	assert_true(fake_is_closed(w.c));
	os_clock_fix(1061000, 1061000);
	w.c = begin(&w, STR_NONE);
	assert_true(str_starts(fake_output(w.c), S("+OK Logged in")));
	close_world(&w);
}

/* R124: the limits on lines, bad commands, idleness. */
static void
test_bounds(void **state)
{
	struct buf line = {0};
	struct world w;

	open_world(&w, 0);
	for (int over = -1; over <= 1; over++) {
		size_t n = (size_t)((int64_t)limits.line_max + over);

		w.c = begin(&w, STR_NONE);
		buf_reset(&line);
		buf_s(&line, "NOOP ");
		while (line.n < n - 2)
			buf_c(&line, 'x');
		buf_s(&line, "\r\n");
		fake_input(w.c, buf_str(&line));
		assert_int_equal(fake_is_closed(w.c), over > 0);
	}
	w.c = begin(&w, STR_NONE);
	for (uint64_t i = 1; i <= limits.bad_commands_max; i++) {
		fake_input(w.c, S("FROB\r\n"));
		assert_int_equal(
		    fake_is_closed(w.c), i == limits.bad_commands_max);
	}
	buf_free(&line);
	close_world(&w);
}

/* R124: pop3_idle_s -1 0 +1, in milliseconds: it goes without UPDATE. */
static void
test_idle(void **state)
{
	struct world w;

	limits.pop3_idle_s = 77;
	for (int more = -1; more <= 1; more++) {
		os_clock_fix(1000000, 1000000);
		open_world(&w, 0);
		w.c = begin(&w, S("DELE 1\r\n"));
		/* Each command begins its time anew. */
		os_clock_fix(1070000, 1070000);
		fake_clock(w.net);
		fake_input(w.c, S("NOOP\r\n"));
		os_clock_fix(1147000 + more, 1147000 + more);
		fake_clock(w.net);
		assert_int_equal(fake_is_closed(w.c), more >= 0);
		assert_int_equal(fake_store_changes(w.st), 0);
		close_world(&w);
	}
	limits_default(&limits);
	os_clock_fix(-1, -1);
}

/* R01: every octet at every offset. */
static void
test_every_byte(void **state)
{
	static const str in = S("TOP 1 2\r\nDELE 2\r\n");

	for (size_t k = 0; k < in.n * 256; k++) {
		struct buf b = {0};
		struct world w;

		buf_str_add(&b, in);
		b.p[k / 256] = (char)(k % 256);
		open_world(&w, 0);
		w.c = begin(&w, buf_str(&b));
		fake_input(w.c, S("\r\nQUIT\r\n"));
		assert_true(fake_is_closed(w.c));
		close_world(&w);
		buf_free(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_dialogues),
	    cmocka_unit_test(test_together),
	    cmocka_unit_test(test_odd_messages),
	    cmocka_unit_test(test_failures),
	    cmocka_unit_test(test_delay),
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_idle),
	    cmocka_unit_test(test_every_byte),
	};

	limits_default(&limits);
	log_setup("t_pop3", LOG_ERROR + 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
