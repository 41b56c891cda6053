/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * lmtp: dialogues with an auth and a mail that are played here, whole, byte
 * by byte and split at random; the end of DATA against a second, slow
 * reading of the rule.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "fake/fake_net.h"
#include "lmtp/data.h"
#include "lmtp/lmtp.h"
#include "mime/mime.h"

struct world {
	struct net *net;
	struct chan *auth, *mail;
	struct lmtp_env *env;
	struct conn *c;
	bool hold; /* auth's answers wait in asked, newest first */
	struct msg asked[64];
	size_t nasked;
	struct buf message; /* the last delivered */
	struct buf prefix;  /* of its first recipient */
	unsigned deliveries, recipients;
	bool mute; /* mail does not answer */
};

/* auth: the account's name says what becomes of it. */
static void
auth_answer(struct world *w, struct msg *m)
{
	uint64_t conn = msg_get_u64(m);
	uint32_t index = msg_get_u32(m);
	str address = msg_get_str(m);
	uint8_t grant[16] = {0}, why = 0;
	struct msg r;

	(void)msg_get_u8(m);
	assert_true(msg_end(m));
	memcpy(grant, address.p, MIN(address.n, 16));
	if (str_starts(address, S("nobody")))
		why = RCPT_UNKNOWN;
	else if (str_starts(address, S("closed")))
		why = RCPT_DISABLED;
	else if (str_starts(address, S("later")))
		why = RCPT_TEMP;
	msg_new(&r, why == 0 ? MSG_RCPT_OK : MSG_RCPT_NO);
	msg_u64(&r, conn);
	msg_u32(&r, index);
	if (why == 0) {
		msg_bytes(&r, grant, 16);
		msg_u64(&r, 1);
		msg_str(&r, address);
		msg_str(&r, STR_NONE);
	} else {
		msg_u8(&r, why);
	}
	fake_read(&r);
	assert_true(lmtp_reply(w->env, &r));
}

static void
auth_got(void *arg, struct msg *m)
{
	struct world *w = arg;

	assert_int_equal(m->type, MSG_RCPT);
	if (!w->hold) {
		auth_answer(w, m);
		return;
	}
	assert_true(w->nasked < NELEM(w->asked));
	w->asked[w->nasked] = *m;
	fake_read(&w->asked[w->nasked]);
	w->nasked++;
	*m = (struct msg){0};
}

/* Answers what was held back, in the wrong order. */
static void
auth_release(struct world *w)
{
	while (w->nasked > 0) {
		auth_answer(w, &w->asked[--w->nasked]);
		msg_free(&w->asked[w->nasked]);
	}
	fake_work(w->net);
}

static void
mail_got(void *arg, struct msg *m)
{
	struct world *w = arg;
	struct arena *a = arena_new(0);
	struct lmtp_delivery d;
	struct summary sum;
	struct msg r;

	assert_int_equal(m->type, MSG_DELIVER);
	assert_true(m->b.n <= MSG_MAX);
	assert_int_equal(lmtp_delivery_get(m, a, &d), OK);
	assert_int_equal(mime_summary_get(d.summary.s, &sum), OK);
	assert_int_equal(sum.size, d.message.s.n);
	buf_reset(&w->message);
	buf_str_add(&w->message, d.message.s);
	buf_reset(&w->prefix);
	buf_str_add(&w->prefix, d.to[0].prefix);
	w->deliveries++;
	w->recipients += d.n;
	msg_new(&r, MSG_DELIVERED);
	msg_u64(&r, d.conn);
	msg_u32(&r, d.n);
	for (uint32_t i = 0; i < d.n; i++) {
		const char *who = (const char *)d.to[i].grant;

		msg_u8(&r, strncmp(who, "full", 4) == 0     ? ERR_FULL
			   : strncmp(who, "quota", 5) == 0  ? ERR_OVERQUOTA
			   : strncmp(who, "broken", 6) == 0 ? ERR_IO
							    : OK);
	}
	blob_free(&d.message);
	blob_free(&d.summary);
	arena_free(&a);
	if (w->mute) {
		msg_free(&r);
		return;
	}
	fake_read(&r);
	assert_true(lmtp_reply(w->env, &r));
}

#define LOOP "127.0.0.1:5000"
#define FAR "192.0.2.7:5000"
#define NEAR "10.1.2.3:5000"

static void
open_world(struct world *w, const char *peer, bool fix)
{
	struct lmtp_opts o = {.hostname = S("mail.example"),
	    .networks = S("10.0.0.0/8, 2001:db8::/32"),
	    .bare_lf_fix = fix,
	    .tls = true};

	*w = (struct world){0};
	w->net = o.net = fake_net();
	w->auth = o.auth = fake_chan(auth_got, w);
	w->mail = o.mail = fake_chan(mail_got, w);
	w->env = lmtp_env_new(&o);
	w->c = fake_open(w->net, &lmtp_service, w->env, peer);
}

static void
close_world(struct world *w)
{
	while (w->nasked > 0)
		msg_free(&w->asked[--w->nasked]);
	fake_net_free(&w->net);
	lmtp_env_free(&w->env);
	fake_chan_free(&w->auth);
	fake_chan_free(&w->mail);
	buf_free(&w->message);
	buf_free(&w->prefix);
}

static uint32_t
chance(uint32_t *seed)
{
	return *seed = *seed * 1664525 + 1013904223;
}

struct dialogue {
	bool fix;
	str in;
	const char *out; /* behind the greeting and LHLO's reply */
	str message;     /* as delivered last */
};

#define OKS(what) "250 2." what "\r\n"
#define MAIL_OK "250 2.1.0 For whom is it?\r\n"
#define RCPT_OK "250 2.1.5 Mail for that one is taken\r\n"
#define DATA_OK "354 Send the message; end it with a lone dot\r\n"
#define ENVELOPE "MAIL FROM:<s@x>\r\nRCPT TO:<ann@y>\r\nDATA\r\n"
#define TAKEN MAIL_OK RCPT_OK DATA_OK
#define DONE_ANN "250 2.0.0 <ann@y> Delivered\r\n"
#define LF_REFUSED \
	"550 5.5.2 <ann@y> Bare LF in the message: lines end with CR LF\r\n"
#define CR_REFUSED \
	"550 5.5.2 <ann@y> Bare CR in the message: lines end with CR LF\r\n"
#define NOTHING "250 2.0.0 Nothing done\r\n"

/* clang-format off */
static const struct dialogue dialogues[] = {
	{false, S(ENVELOPE "Subject: x\r\n\r\n..dot\r\n...\r\n.\r\nNOOP\r\n"),
	 TAKEN DONE_ANN NOTHING, S("Subject: x\r\n\r\n.dot\r\n..\r\n")},
	{false, S(ENVELOPE ".\r\n"), TAKEN DONE_ANN, S("")},
	/* R71: a reply for each recipient, true and in order */
	{false, S("MAIL FROM:<>\r\nRCPT TO:<ann@y>\r\nRCPT TO:<nobody@y>\r\n"
	   "RCPT TO:<full@y>\r\nRCPT TO:<closed@y>\r\nRCPT TO:<later@y>\r\n"
	   "RCPT TO:<quota@y>\r\nRCPT TO:<broken@y>\r\nRCPT TO:<bob>\r\nDATA\r\nx\r\n.\r\n"),
	 MAIL_OK RCPT_OK "550 5.1.1 Nobody of that name lives here\r\n" RCPT_OK
	 "550 5.2.1 That mailbox is closed\r\n"
	 "451 4.3.0 Cannot say now whether that one lives here: try again\r\n"
	 RCPT_OK RCPT_OK RCPT_OK DATA_OK DONE_ANN
	 "452 4.3.1 <full@y> The disk is full: try again later\r\n"
	 "452 4.2.2 <quota@y> The mailbox is full\r\n"
	 "451 4.3.0 <broken@y> Not delivered now: try again\r\n"
	 "250 2.0.0 <bob> Delivered\r\n", S("x\r\n")},
	/* R67: only CR LF . CR LF ends */
	{false, S(ENVELOPE "a\n.\nb\r\n.\r\nNOOP\r\n"), TAKEN LF_REFUSED NOTHING, S("")},
	{false, S(ENVELOPE "a\n.\r\nb\r\n.\r\nNOOP\r\n"), TAKEN LF_REFUSED NOTHING, S("")},
	{false, S(ENVELOPE "a\r\n.\nb\r\n.\r\nNOOP\r\n"), TAKEN LF_REFUSED NOTHING, S("")},
	{false, S(ENVELOPE "a\r.\rb\r\n.\r\nNOOP\r\n"), TAKEN CR_REFUSED NOTHING, S("")},
	{false, S(ENVELOPE "a\r\n.\rb\r\n.\r\nNOOP\r\n"), TAKEN CR_REFUSED NOTHING, S("")},
	{false, S(ENVELOPE "a\r\n.\r\r\nb\r\n.\r\nNOOP\r\n"), TAKEN CR_REFUSED NOTHING, S("")},
	{false, S(ENVELOPE "a\r\r\n.\r\nNOOP\r\n"), TAKEN CR_REFUSED NOTHING, S("")},
	{false, S(ENVELOPE "a\0b\r\n.\r\nNOOP\r\n"),
	 TAKEN "550 5.5.2 <ann@y> NUL in the message\r\n" NOTHING, S("")},
	{true, S(ENVELOPE "a\n.\nb\n.\r\nc\n..\n\r\n.\r\nNOOP\r\n"), TAKEN DONE_ANN NOTHING,
	 S("a\r\n.\r\nb\r\n.\r\nc\r\n..\r\n\r\n")},
	{true, S(ENVELOPE "a\r\n.\nb\r\n.\r\nNOOP\r\n"), TAKEN DONE_ANN NOTHING,
	 S("a\r\n\r\nb\r\n")},
	{true, S(ENVELOPE "a\rb\r\n.\r\nNOOP\r\n"), TAKEN CR_REFUSED NOTHING, S("")},
	/* BDAT keeps every octet (R68) */
	{false, S("MAIL FROM:<s@x> BODY=BINARYMIME SIZE=10\r\nRCPT TO:<ann@y>\r\n"
	   "BDAT 6\r\na\n.\r\nbBDAT 0\r\nBDAT 3 LAST\r\n\r\0cNOOP\r\n"),
	 MAIL_OK RCPT_OK "250 2.0.0 And then?\r\n250 2.0.0 And then?\r\n" DONE_ANN NOTHING,
	 S("a\n.\r\nb\r\0c")},
	{false, S("MAIL FROM:<s@x>\r\nRCPT TO:<ann@y>\r\nBDAT 3\r\nabcBDAT 0 LAST\r\n"),
	 MAIL_OK RCPT_OK "250 2.0.0 And then?\r\n" DONE_ANN, S("abc")},
	{false, S("BDAT 6\r\nNOOP\r\nMAIL FROM:<s@x>\r\nRCPT TO:<nobody@y>\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n"),
	 "503 5.5.1 Say MAIL FROM and RCPT TO first\r\n" MAIL_OK
	 "550 5.1.1 Nobody of that name lives here\r\n"
	 "503 5.5.1 Say MAIL FROM and RCPT TO first\r\n" NOTHING, S("")},
	{false, S("MAIL FROM:<s@x>\r\nRCPT TO:<ann@y>\r\nBDAT 1\r\naDATA\r\nRCPT TO:<bob>\r\nRSET\r\nDATA\r\n"),
	 MAIL_OK RCPT_OK "250 2.0.0 And then?\r\n503 5.5.1 DATA after BDAT does not go\r\n"
	 "503 5.5.1 The message has begun: finish it, or say RSET\r\n250 2.0.0 Forgotten\r\n"
	 "503 5.5.1 Say MAIL FROM and RCPT TO first\r\n", S("")},
	{false, S("MAIL FROM:<s@x> BODY=BINARYMIME\r\nRCPT TO:<ann@y>\r\nDATA\r\n"),
	 MAIL_OK RCPT_OK "503 5.5.1 BINARYMIME wants BDAT\r\n", S("")},
	/* order, and R69, R70 */
	{false, S("RCPT TO:<ann@y>\r\nDATA\r\nMAIL FROM:<s@x>\r\nMAIL FROM:<t@x>\r\n"
	   "RCPT TO:<nobody@y>\r\nDATA\r\n"),
	 "503 5.5.1 Say MAIL FROM first\r\n503 5.5.1 Say MAIL FROM and RCPT TO first\r\n"
	 MAIL_OK "503 5.5.1 One sender is enough: RSET starts anew\r\n"
	 "550 5.1.1 Nobody of that name lives here\r\n503 5.5.1 No recipient was accepted\r\n", S("")},
	{false, S("MAIL FROM:<s@x>\r\nRCPT TO:<\"\"@x>\r\nRCPT TO:<>\r\nRCPT TO:<\"a b\"@y>\r\n"
	   "RCPT TO:ann@y\r\nRCPT TO:<ann@y> NOTIFY=NEVER\r\nRCPT TO:<\xc3\xa4@y>\r\nRCPT TO:<|cmd>\r\n"),
	 MAIL_OK "501 5.1.3 That is no address: say <name@domain>\r\n"
	 "501 5.1.3 The recipient is missing\r\n" RCPT_OK
	 "501 5.1.3 The address must stand between < and >\r\n"
	 "555 5.5.4 That parameter is not known here\r\n"
	 "553 5.6.7 That address needs SMTPUTF8 with MAIL\r\n" RCPT_OK, S("")},
	{false, S("MAIL FROM:<s@x> AUTH=<>\r\nMAIL FROM:<s@x> SIZE=99999999999\r\n"
	   "MAIL FROM:<s@x> SIZE=x\r\nMAIL FROM:<s@x> BODY=9BIT\r\nMAIL FROM:<\"s@x>\r\n"
	   "MAIL\r\nMAIL FROM:<\xc3\xa4@x> SMTPUTF8\r\n"),
	 "555 5.5.4 That parameter is not known here\r\n"
	 "552 5.3.4 The message is too large; LHLO says how large it may be\r\n"
	 "501 5.5.4 SIZE= wants a number of octets, once\r\n"
	 "501 5.5.4 BODY= is 7BIT, 8BITMIME or BINARYMIME\r\n"
	 "501 5.1.3 That is no address: say <name@domain>\r\n"
	 "501 5.5.4 Say MAIL FROM:<address>\r\n" MAIL_OK, S("")},
	{false, S("EHLO x\r\nFROB\r\nVRFY ann\r\nEXPN x\r\nDATA x\r\nRSET\r\nNOOP x\r\nQUIT\r\nNOOP\r\n"),
	 "500 5.5.1 This is LMTP: say LHLO\r\n500 5.5.1 There is no such command; HELP lists all\r\n"
	 "252 2.5.2 Say RCPT TO: its reply tells\r\n502 5.5.1 There are no lists here\r\n"
	 "501 5.5.4 Nothing may follow that command\r\n250 2.0.0 Forgotten\r\n" NOTHING
	 "221 2.0.0 Until next time\r\n", S("")},
	{false, S("LHLO\r\nLHLO a b\r\nLHLO [127.0.0.1]\r\nSTARTTLS x\r\n"),
	 "501 5.5.4 Say LHLO and your host's name\r\n501 5.5.4 Say LHLO and your host's name\r\n"
	 "250-mail.example\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n"
	 "250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n250-BINARYMIME\r\n250-STARTTLS\r\n"
	 "250 CHUNKING\r\n501 5.5.4 Nothing may follow that command\r\n", S("")},
};
/* clang-format on */

static void
check(const struct dialogue *d, struct world *w)
{
	str got = fake_output(w->c);

	if (!str_eq(got, str_c(d->out))) {
		print_error("in:\n%.*s\nwanted:\n%s\ngot:\n%.*s\n",
		    STR_ARG(d->in), d->out, STR_ARG(got));
		fail();
	}
	if (!str_eq(buf_str(&w->message), d->message)) {
		print_error("in:\n%.*s\nmessage:\n%.*s\n", STR_ARG(d->in),
		    STR_ARG(buf_str(&w->message)));
		fail();
	}
}

/* R08, R11, R67 to R71 */
static void
test_dialogues(void **state)
{
	uint32_t seed = 1;

	for (size_t i = 0; i < NELEM(dialogues); i++) {
		for (size_t how = 0; how < 6; how++) {
			const struct dialogue *d = &dialogues[i];
			str in = d->in;
			struct world w;

			open_world(&w, LOOP, d->fix);
			fake_input(w.c, S("LHLO client.example\r\n"));
			assert_true(
			    str_ends(fake_output(w.c), S("250 CHUNKING\r\n")));
			fake_forget(w.c);
			while (in.n > 0) {
				size_t k = how == 0 ? in.n
					   : how == 1
					       ? 1
					       : 1 + chance(&seed) / 4096 % 9;

				fake_input(w.c, str_head(in, k));
				in = str_from(in, k);
			}
			check(d, &w);
			close_world(&w);
		}
	}
}

/* Pipelined recipients are all asked about at once; replies keep order. */
static void
test_pipelined(void **state)
{
	struct world w;

	open_world(&w, LOOP, false);
	fake_input(w.c, S("LHLO x\r\nMAIL FROM:<s@x>\r\n"));
	fake_forget(w.c);
	w.hold = true;
	fake_input(
	    w.c, S("RCPT TO:<ann@y>\r\nRCPT TO:bad\r\nRCPT TO:<nobody@y>\r\n"
		   "RCPT TO:<bob@y>\r\nDATA\r\nx\r\n.\r\nNOOP\r\n"));
	assert_int_equal(w.nasked, 3);
	assert_int_equal(fake_output(w.c).n, 0);
	auth_release(&w);
	assert_true(str_eq(fake_output(w.c),
	    S(RCPT_OK
		"501 5.1.3 The address must stand between < and >\r\n"
		"550 5.1.1 Nobody of that name lives here\r\n" RCPT_OK DATA_OK
		    DONE_ANN "250 2.0.0 <bob@y> Delivered\r\n" NOTHING)));
	assert_int_equal(w.deliveries, 1);
	close_world(&w);
}

static void
test_header_lines(void **state)
{
	struct world w;
	str p;

	open_world(&w, LOOP, false);
	fake_input(w.c, S("LHLO client.example\r\nMAIL FROM:<s@x> SMTPUTF8\r\n"
			  "RCPT TO:<\"ann x\"@y>\r\nDATA\r\nx\r\n.\r\n"));
	p = buf_str(&w.prefix);
	assert_true(str_starts(
	    p, S("Return-Path: <s@x>\r\nDelivered-To: \"ann x\"@y\r\n")));
	close_world(&w);
	open_world(&w, LOOP, false);
	fake_input(w.c, S("LHLO client.example\r\nMAIL FROM:<s@x> SMTPUTF8\r\n"
			  "RCPT TO:<@a,@b:ann+d@y>\r\nDATA\r\nx\r\n.\r\n"));
	p = buf_str(&w.prefix);
	assert_true(
	    str_starts(p, S("Return-Path: <s@x>\r\nDelivered-To: ann+d@y\r\n"
			    "Received: from client.example ([127.0.0.1])\r\n"
			    "\tby mail.example (restante) with UTF8LMTP id ")));
	assert_true(str_find(p, S("\r\n\tfor <ann+d@y>; ")) < p.n);
	close_world(&w);
	open_world(&w, "/run/lmtp.sock", false);
	fake_input(w.c, S("LHLO x\r\n" ENVELOPE ".\r\n"));
	p = buf_str(&w.prefix);
	assert_true(str_find(p, S("\r\nReceived: from x (local)\r\n")) < p.n);
	assert_true(str_ends(p, S("\r\n")));
	close_world(&w);
}

/* R71, R124: very many recipients, in batches; the limit. */
static void
test_many(void **state)
{
	struct buf in = {0};
	struct world w;
	size_t n = 0;
	str out;

	open_world(&w, LOOP, false);
	buf_s(&in, "LHLO x\r\nMAIL FROM:<s@x>\r\n");
	for (uint64_t i = 0; i < limits.lmtp_recipients_max + 2; i++)
		buf_f(&in, "RCPT TO:<%s%llu@y.example>\r\n",
		    i % 7 == 3 ? "full" : "user", (unsigned long long)i);
	fake_input(w.c, buf_str(&in));
	out = fake_output(w.c);
	assert_true(str_ends(out,
	    S(RCPT_OK "452 4.5.3 Too many recipients: send the rest in another "
		      "transaction\r\n452 4.5.3 Too many recipients: send the "
		      "rest in another transaction\r\n")));
	fake_forget(w.c);
	fake_input(w.c, S("DATA\r\nx\r\n.\r\n"));
	out = fake_output(w.c);
	str_cut(&out, '\n');
	for (; out.n > 0; n++) {
		str line = str_cut(&out, '\n');
		char want[100];

		snprintf(want, sizeof(want), "%s<%s%zu@y.example>",
		    n % 7 == 3 ? "452 4.3.1 " : "250 2.0.0 ",
		    n % 7 == 3 ? "full" : "user", n);
		assert_true(str_starts(line, str_c(want)));
	}
	assert_int_equal(n, limits.lmtp_recipients_max);
	assert_int_equal(w.recipients, n);
	assert_true(w.deliveries > 1);
	close_world(&w);
	buf_free(&in);
}

/* R07, R124: message_size_max at the edge; larger than memory. */
static void
test_sizes(void **state)
{
	uint64_t was = limits.message_size_max;
	char *big = x_alloc(300000);
	struct world w;

	memset(big, 'x', 300000);
	for (size_t i = 78; i + 2 < 300000; i += 80)
		memcpy(big + i, "\r\n", 2);
	memcpy(big + 299998, "\r\n", 2);
	for (uint64_t max = 299999; max <= 300001; max++) {
		limits.message_size_max = max;
		open_world(&w, LOOP, false);
		fake_input(w.c, S("LHLO x\r\n" ENVELOPE));
		fake_forget(w.c);
		for (size_t i = 0; i < 300000; i += 7000)
			fake_input(w.c, str_of(big + i, MIN(7000, 300000 - i)));
		fake_input(w.c, S(".\r\n"));
		if (max < 300000) {
			assert_true(str_eq(
			    fake_output(w.c), S("552 5.3.4 <ann@y> The message "
						"is too large\r\n")));
		} else {
			assert_true(str_eq(fake_output(w.c), S(DONE_ANN)));
			assert_true(
			    str_eq(buf_str(&w.message), str_of(big, 300000)));
		}
		close_world(&w);
	}
	limits.message_size_max = was;
	x_free(&big);
}

/* R12, R32, R71, R72: auth or mail dies, or the client. */
static void
test_deaths(void **state)
{
	struct world w;

	open_world(&w, LOOP, false);
	fake_input(w.c, S("LHLO x\r\nMAIL FROM:<s@x>\r\n"));
	fake_forget(w.c);
	w.hold = true;
	fake_input(w.c, S("RCPT TO:<ann@y>\r\nRCPT TO:<bob@y>\r\nDATA\r\n"));
	fake_chan_die(w.auth, true);
	fake_chan_die(w.auth, false);
	net_poke_all(w.net);
	fake_work(w.net);
	assert_true(str_starts(fake_output(w.c), S("451 4.3.0 ")));
	assert_true(str_ends(
	    fake_output(w.c), S("503 5.5.1 No recipient was accepted\r\n")));
	auth_release(&w); /* too late, and harmless */
	fake_forget(w.c);
	w.hold = false;
	w.mute = true;
	fake_input(w.c, S("RCPT TO:<ann@y>\r\nDATA\r\nx\r\n.\r\nNOOP\r\n"));
	assert_true(str_eq(fake_output(w.c), S(RCPT_OK DATA_OK)));
	fake_chan_die(w.mail, true);
	fake_chan_die(w.mail, false);
	net_poke_all(w.net);
	fake_work(w.net);
	assert_true(str_eq(fake_output(w.c),
	    S(RCPT_OK DATA_OK
		"451 4.3.0 <ann@y> Not delivered now: try again\r\n" NOTHING)));
	w.mute = false;
	fake_chan_die(w.mail, true);
	fake_forget(w.c);
	fake_input(w.c, S(ENVELOPE "x\r\n.\r\n"));
	assert_true(str_eq(fake_output(w.c),
	    S(TAKEN "451 4.3.0 <ann@y> Not delivered now: try again\r\n")));
	fake_input(w.c, S(ENVELOPE "x\r\n"));
	fake_hangup(w.c); /* R13: in the middle of DATA */
	close_world(&w);
}

/* R124: lmtp_idle_s -1 0 +1, in milliseconds. */
static void
test_idle_ends(void **state)
{
	struct world w;

	limits.lmtp_idle_s = 33;
	for (int more = -1; more <= 1; more++) {
		os_clock_fix(1000000, 1000000);
		open_world(&w, LOOP, false);
		os_clock_fix(1030000, 1030000);
		fake_clock(w.net);
		fake_input(w.c, S("LHLO x\r\nMAIL FROM:<s@x>\r\n"));
		os_clock_fix(1063000 + more, 1063000 + more);
		fake_clock(w.net);
		assert_int_equal(fake_is_closed(w.c), more >= 0);
		close_world(&w);
	}
	limits_default(&limits);
	os_clock_fix(-1, -1);
}

/* R124: who waits for auth or mail is not idle. */
static void
test_idle(void **state)
{
	struct world w;

	open_world(&w, LOOP, false);
	fake_input(w.c, S("LHLO x\r\nMAIL FROM:<s@x>\r\n"));
	assert_int_equal(fake_timer(w.c), limits.lmtp_idle_s * 1000);
	w.hold = true;
	fake_forget(w.c);
	fake_input(w.c, S("RCPT TO:<ann@y>\r\nNOOP\r\n"));
	fake_why(w.c, WHY_TIMER);
	assert_true(str_starts(fake_output(w.c), S("451 4.3.0 ")));
	assert_true(str_ends(fake_output(w.c), S(NOTHING)));
	w.hold = false;
	w.mute = true;
	fake_forget(w.c);
	fake_input(w.c, S("RCPT TO:<ann@y>\r\nDATA\r\nx\r\n.\r\n"));
	fake_why(w.c, WHY_TIMER);
	fake_why(w.c, WHY_STOP);
	assert_false(fake_is_closed(w.c));
	assert_true(str_eq(fake_output(w.c), S(RCPT_OK DATA_OK)));
	close_world(&w);
	open_world(&w, LOOP, false);
	fake_why(w.c, WHY_TIMER);
	assert_true(str_ends(
	    fake_output(w.c), S("421 4.4.2 Nothing came for too long\r\n")));
	assert_true(fake_is_closed(w.c));
	close_world(&w);
}

static void
test_who_may(void **state)
{
	struct world w;

	open_world(&w, FAR, false);
	assert_true(fake_is_closed(w.c));
	assert_true(str_starts(fake_output(w.c), S("554 5.7.1 ")));
	close_world(&w);
	open_world(&w, NEAR, false);
	assert_true(str_starts(fake_output(w.c), S("220 mail.example ")));
	close_world(&w);
	open_world(&w, "[2001:db8:1::5]:99", false);
	assert_true(str_starts(fake_output(w.c), S("220 mail.example ")));
	close_world(&w);
	assert_true(lmtp_networks_valid(S("127.0.0.1 10.0.0.0/8,::1/128")));
	assert_false(lmtp_networks_valid(S("10.0.0.0/33")));
	assert_false(lmtp_networks_valid(S("example.org")));
}

/* From elsewhere, with client certificates: nothing without one, whatever
 * the order of commands. */
static void
test_certificates(void **state)
{
	struct lmtp_opts o = {
	    .hostname = S("mail.example"), .tls = true, .client_ca = true};
	struct world w;

	for (int has = 0; has < 2; has++) {
		open_world(&w, FAR, false);
		lmtp_configure(w.env, &o);
		fake_client(w.net, has ? S("mx.example") : STR_NONE);
		w.c = fake_open(w.net, &lmtp_service, w.env, FAR);
		assert_true(str_starts(fake_output(w.c), S("220 ")));
		fake_input(w.c, S("LHLO x\r\n"));
		fake_forget(w.c);
		fake_input(w.c, S("MAIL FROM:<s@x>\r\nRCPT TO:<ann@y>\r\n"
				  "BDAT 1 LAST\r\nxDATA\r\n"));
		assert_true(str_eq(fake_output(w.c),
		    S("530 5.7.0 Send STARTTLS first, with a client "
		      "certificate\r\n503 5.5.1 Say MAIL FROM first\r\n"
		      "503 5.5.1 Say MAIL FROM and RCPT TO first\r\n"
		      "503 5.5.1 Say MAIL FROM and RCPT TO first\r\n")));
		assert_int_equal(w.nasked, 0);
		fake_input(w.c, S("STARTTLS\r\n"));
		assert_true(fake_tls_on(w.c));
		fake_input(w.c, S("LHLO x\r\n"));
		fake_forget(w.c);
		fake_input(w.c, S(ENVELOPE "x\r\n.\r\n"));
		if (has)
			assert_true(
			    str_eq(fake_output(w.c), S(TAKEN DONE_ANN)));
		else
			assert_true(
			    str_starts(fake_output(w.c), S("550 5.7.1 ")));
		assert_int_equal(w.deliveries, has);
		close_world(&w);
	}
}

/* R20, R21, R22 */
static void
test_starttls(void **state)
{
	struct world w;

	open_world(&w, LOOP, false);
	fake_input(w.c, S("LHLO x\r\nSTARTTLS\r\nNOOP\r\n"));
	assert_true(fake_is_closed(w.c));
	close_world(&w);
	/* R21: while an answer of auth is awaited */
	open_world(&w, LOOP, false);
	w.hold = true;
	fake_input(w.c, S("LHLO x\r\nMAIL FROM:<s@x>\r\nRCPT "
			  "TO:<a>\r\nSTARTTLS\r\nNOOP\r\n"));
	assert_false(fake_is_closed(w.c));
	auth_release(&w);
	assert_true(fake_is_closed(w.c));
	assert_false(fake_tls_on(w.c));
	assert_true(str_ends(
	    fake_output(w.c), S(RCPT_OK "220 2.0.0 Begin TLS now\r\n")));
	close_world(&w);
	open_world(&w, LOOP, false);
	fake_input(w.c, S("LHLO x\r\nMAIL FROM:<s@x>\r\nSTARTTLS\r\n"));
	assert_true(fake_tls_on(w.c));
	fake_forget(w.c);
	fake_input(w.c, S("MAIL FROM:<s@x>\r\nSTARTTLS\r\n"));
	assert_true(str_eq(fake_output(w.c),
	    S("503 5.5.1 Say LHLO first\r\n503 5.5.1 TLS is on already\r\n")));
	close_world(&w);
}

/* ---- the end of DATA, by a second reading ---- */

/* The rule by the book: the data ends at the first CR LF . CR LF (or . CR
 * LF at the very beginning). Returns the length with the end, or 0. */
static size_t
book_end(str in)
{
	size_t at;

	if (str_starts(in, S(".\r\n")))
		return 3;
	at = str_find(in, S("\r\n.\r\n"));
	return at < in.n ? at + 5 : 0;
}

/* R67, R68: all strings of seven octets out of six, each cut everywhere. */
static void
test_every_end(void **state)
{
	static const char set[] = {'.', '\r', '\n', 'a', '\0', '.'};

	for (unsigned k = 0; k < 6 * 6 * 6 * 6 * 6 * 6 * 6; k++) {
		char text[12];
		unsigned v = k;
		size_t want, n = 0;
		bool end;

		for (int i = 0; i < 7; i++, v /= 6)
			text[n++] = set[v % 6];
		memcpy(text + 7, "\r\n.\r\n", 5);
		n = 12;
		want = book_end(str_of(text, n));
		for (size_t cut = 0; cut <= n; cut++) {
			struct data d;
			size_t eaten;

			data_begin(&d, false);
			eaten = data_eat(&d, str_of(text, cut), &end);
			if (!end) {
				assert_int_equal(eaten, cut);
				eaten += data_eat(
				    &d, str_of(text + cut, n - cut), &end);
			}
			assert_true(end);
			assert_int_equal(eaten, want);
			data_free(&d);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_dialogues),
	    cmocka_unit_test(test_pipelined),
	    cmocka_unit_test(test_header_lines),
	    cmocka_unit_test(test_many),
	    cmocka_unit_test(test_sizes),
	    cmocka_unit_test(test_deaths),
	    cmocka_unit_test(test_idle_ends),
	    cmocka_unit_test(test_idle),
	    cmocka_unit_test(test_who_may),
	    cmocka_unit_test(test_certificates),
	    cmocka_unit_test(test_starttls),
	    cmocka_unit_test(test_every_end),
	};

	limits_default(&limits);
	log_setup("t_lmtp", LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
