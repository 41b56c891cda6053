/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * A whole session before login. The first octet says how: bit 0: POP3, bit
 * 1: off loopback, bit 2: TLS; the others seed the cutting.
 *
 * What must hold: the same bytes cut differently give the same replies and
 * the same questions to auth; off loopback and in clear auth is never given
 * a password (R23).
 */
#include "fuzz.h"
#include "fake/fake_net.h"
#include "login/login.h"

struct world {
	struct net *net;
	struct chan *auth, *mail;
	struct login_env *env;
	struct buf log; /* what auth and mail got */
	unsigned asked;
	bool must_not_ask;
};

static void
auth_got(void *arg, struct msg *m)
{
	struct world *w = arg;
	uint64_t conn = msg_get_u64(m);
	struct msg r;

	buf_str_add(&w->log, buf_str(&m->b));
	if (m->type == MSG_AUTH_ABORT)
		return;
	if (m->type == MSG_AUTH_START && w->must_not_ask) {
		(void)msg_get_u8(m);
		FUZZ_TRUE(str_eq(msg_get_str(m), S("SCRAM-SHA-256")));
	}
	/* Challenge, fail, let in: in turns. */
	switch (w->asked++ % 3) {
	case 0:
		msg_new(&r, MSG_AUTH_CHALLENGE);
		msg_u64(&r, conn);
		msg_str(&r, S("more"));
		break;
	case 1:
		msg_new(&r, MSG_AUTH_FAILED);
		msg_u64(&r, conn);
		msg_u8(&r, (uint8_t)(AUTH_WRONG + w->asked / 3 % 6));
		msg_u32(&r, 0);
		break;
	default:
		msg_new(&r, MSG_AUTH_DONE);
		msg_u64(&r, conn);
		msg_bytes(&r, "0123456789abcdef", 16);
		msg_u64(&r, 1);
		msg_str(&r, S("ann"));
		msg_u8(&r, w->asked % 2);
		msg_str(&r, w->asked % 2 ? S("final") : STR_NONE);
		break;
	}
	fake_read(&r);
	FUZZ_TRUE(login_auth_reply(w->env, &r));
}

static void
mail_got(void *arg, struct msg *m)
{
	struct world *w = arg;

	/* Without the input that came along, which depends on the cutting. */
	buf_f(&w->log, "session %d", m->type);
}

static bool
begins_tls(str in)
{
	return str_casefind(in, S("STARTTLS")) < in.n ||
	       str_casefind(in, S("STLS")) < in.n;
}

static void
play(struct world *w, str in, uint8_t how, bool cut, struct buf *out)
{
	struct login_opts o = {.hostname = S("h"), .tls = true};
	uint32_t seed = how;
	struct conn *c;
	struct msg m;

	*w = (struct world){.must_not_ask = (how & 6) == 2 && !begins_tls(in)};
	w->net = o.net = fake_net();
	w->auth = o.auth = fake_chan(auth_got, w);
	w->mail = o.mail = fake_chan(mail_got, w);
	w->env = login_env_new(&o);
	msg_new(&m, MSG_AUTH_MECHS);
	msg_str(&m, S("PLAIN LOGIN SCRAM-SHA-256"));
	msg_str(&m, S("PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS EXTERNAL"));
	fake_read(&m);
	FUZZ_TRUE(login_auth_reply(w->env, &m));
	fake_tls(w->net, (how & 4) != 0);
	c = fake_open(w->net, (how & 1) != 0 ? &login_pop3 : &login_imap,
	    w->env, (how & 2) != 0 ? "192.0.2.1:1" : "127.0.0.1:1");
	while (in.n > 0) {
		size_t k = in.n;

		if (cut) {
			seed = seed * 1664525 + 1013904223;
			k = 1 + (seed >> 16) % 11;
		}
		fake_input(c, str_head(in, k));
		in = str_from(in, k);
	}
	buf_str_add(out, fake_output(c));
	fake_net_free(&w->net);
	login_env_free(&w->env);
	fake_chan_free(&w->auth);
	fake_chan_free(&w->mail);
}

void
fuzz_one(str in)
{
	struct buf one = {0}, two = {0};
	struct world a, b;
	uint8_t how;

	if (in.n == 0)
		return;
	limits_default(&limits);
	log_setup("fuzz", LOG_ERROR + 1);
	how = (uint8_t)in.p[0];
	in = str_from(in, 1);
	play(&a, in, how, false, &one);
	play(&b, in, how, true, &two);
	/* R20 is the one thing that depends on the cutting. */
	if (!begins_tls(in)) {
		FUZZ_TRUE(str_eq(buf_str(&one), buf_str(&two)));
		FUZZ_TRUE(str_eq(buf_str(&a.log), buf_str(&b.log)));
	}
	buf_free(&a.log);
	buf_free(&b.log);
	buf_free(&one);
	buf_free(&two);
}
