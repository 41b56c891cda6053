/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * A whole LMTP session. The first octet says how: bit 0: the rest is what
 * stands between DATA and its end, else it is the whole client; bit 1: bare
 * LF is mended; the others seed the cutting.
 *
 * What must hold: the same bytes cut differently give the same replies and
 * messages; one DATA in is one message out, with the content that a second,
 * naive reading of the rule finds (R67).
 */
#include "fuzz.h"
#include "fake/fake_net.h"
#include "lmtp/lmtp.h"

struct world {
	struct net *net;
	struct chan *auth, *mail;
	struct lmtp_env *env;
	struct buf messages; /* each as enc_str */
	unsigned n;
};

static void
auth_got(void *arg, struct msg *m)
{
	struct world *w = arg;
	uint64_t conn = msg_get_u64(m);
	uint32_t index = msg_get_u32(m);
	str address = msg_get_str(m);
	struct msg r;

	(void)msg_get_u8(m);
	FUZZ_TRUE(msg_end(m) && address.n > 0);
	for (size_t i = 0; i < address.n; i++)
		FUZZ_TRUE((unsigned char)address.p[i] >= ' ');
	if (address.p[0] == 'n') {
		msg_new(&r, MSG_RCPT_NO);
		msg_u64(&r, conn);
		msg_u32(&r, index);
		msg_u8(&r, RCPT_UNKNOWN);
	} else {
		msg_new(&r, MSG_RCPT_OK);
		msg_u64(&r, conn);
		msg_u32(&r, index);
		msg_bytes(&r, "0123456789abcdef", 16);
		msg_u64(&r, 1);
		msg_str(&r, address);
		msg_str(&r, STR_NONE);
	}
	fake_read(&r);
	FUZZ_TRUE(lmtp_reply(w->env, &r));
}

static void
mail_got(void *arg, struct msg *m)
{
	struct world *w = arg;
	struct arena *a = arena_new(0);
	struct lmtp_delivery d;
	struct msg r;

	FUZZ_TRUE(lmtp_delivery_get(m, a, &d) == OK);
	enc_str(&w->messages, d.message.s);
	w->n++;
	msg_new(&r, MSG_DELIVERED);
	msg_u64(&r, d.conn);
	msg_u32(&r, d.n);
	for (uint32_t i = 0; i < d.n; i++)
		msg_u8(&r, OK);
	blob_free(&d.message);
	blob_free(&d.summary);
	arena_free(&a);
	fake_read(&r);
	FUZZ_TRUE(lmtp_reply(w->env, &r));
}

/* Plays it; seed 0: in one piece. Replies into out. */
static void
play(struct world *w, str in, bool fix, uint32_t seed, struct buf *out)
{
	struct lmtp_opts o = {
	    .hostname = S("h"), .bare_lf_fix = fix, .tls = true};
	struct conn *c;

	*w = (struct world){0};
	w->net = o.net = fake_net();
	w->auth = o.auth = fake_chan(auth_got, w);
	w->mail = o.mail = fake_chan(mail_got, w);
	w->env = lmtp_env_new(&o);
	c = fake_open(w->net, &lmtp_service, w->env, "127.0.0.1:1");
	while (in.n > 0) {
		size_t k = in.n;

		if (seed != 0) {
			seed = seed * 1664525 + 1013904223;
			k = 1 + (seed >> 16) % 11;
		}
		fake_input(c, str_head(in, k));
		in = str_from(in, k);
	}
	buf_str_add(out, fake_output(c));
	fake_net_free(&w->net);
	lmtp_env_free(&w->env);
	fake_chan_free(&w->auth);
	fake_chan_free(&w->mail);
}

/* The naive reading: cut at CR LF, a line of one dot ends, other leading
 * dots go. false: the message is to be refused. */
static bool
naive(str in, bool fix, struct buf *content)
{
	bool good = true;

	for (;;) {
		size_t n = str_find(in, S("\r\n"));
		str line = str_head(in, n);

		FUZZ_TRUE(n < in.n);
		in = str_from(in, n + 2);
		if (str_eq(line, S(".")))
			return good;
		if (line.n > 0 && line.p[0] == '.')
			line = str_from(line, 1);
		for (size_t i = 0; i < line.n; i++) {
			if (line.p[i] == '\r' || line.p[i] == '\0' ||
			    (line.p[i] == '\n' && !fix))
				good = false;
			if (line.p[i] == '\n')
				buf_c(content, '\r');
			buf_c(content, line.p[i]);
		}
		buf_s(content, "\r\n");
	}
}

static void
check_data(str payload, struct world *w, bool fix)
{
	struct dec d = dec_of(buf_str(&w->messages));
	struct buf all = {0}, content = {0};

	buf_str_add(&all, payload);
	buf_s(&all, "\r\n.\r\n");
	if (naive(buf_str(&all), fix, &content)) {
		FUZZ_TRUE(w->n > 0);
		FUZZ_TRUE(str_eq(dec_str(&d), buf_str(&content)));
	}
	buf_free(&all);
	buf_free(&content);
}

void
fuzz_one(str in)
{
	struct buf session = {0}, one = {0}, two = {0};
	struct world a, b;
	uint8_t how;
	str rest;

	if (in.n == 0)
		return;
	limits_default(&limits);
	log_setup("fuzz", LOG_ERROR + 1);
	how = (uint8_t)in.p[0];
	rest = str_from(in, 1);
	buf_s(&session, "LHLO x\r\n");
	if ((how & 1) != 0)
		buf_s(&session, "MAIL FROM:<s@x>\r\nRCPT TO:<a>\r\nDATA\r\n");
	buf_str_add(&session, rest);
	if ((how & 1) != 0)
		buf_s(&session, "\r\n.\r\nNOOP\r\n");
	os_clock_fix(1, 1);
	os_random_fix(1);
	play(&a, buf_str(&session), (how & 2) != 0, 0, &one);
	play(&b, buf_str(&session), (how & 2) != 0, 1u + how, &two);
	/* R20 is the one thing that depends on the cutting. */
	if (str_casefind(rest, S("STARTTLS")) == rest.n) {
		FUZZ_TRUE(str_eq(buf_str(&one), buf_str(&two)));
		FUZZ_TRUE(str_eq(buf_str(&a.messages), buf_str(&b.messages)));
	}
	if ((how & 1) != 0)
		check_data(rest, &a, (how & 2) != 0);
	buf_free(&a.messages);
	buf_free(&b.messages);
	buf_free(&session);
	buf_free(&one);
	buf_free(&two);
}
