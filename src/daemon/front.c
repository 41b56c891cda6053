/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The process front: meets IMAP and POP3 clients until they have logged in,
 * and pumps for those with TLS afterwards. The protocols' words are login's.
 *
 * (1) Nobody is greeted before auth has said which mechanisms there are: a
 *     client that finds a weaker list than yesterday's takes us for another.
 */
#include "daemon/outer.h"
#include "login/login.h"

static void
options(const struct outer *o, struct login_opts *l)
{
	uint64_t delay = 0;

	*l = (struct login_opts){.net = o->net,
	    .auth = o->auth.ch,
	    .mail = o->mail.ch,
	    .hostname = o->settings->hostname,
	    .tls = o->has_tls,
	    .clear_never = !o->settings->plaintext_loopback};
	if (str_u64(o->settings->pop3_login_delay, &delay))
		l->login_delay_s = (uint32_t)MIN(delay, 86400);
}

static void *
front_begin(struct outer *o)
{
	struct login_opts l;

	options(o, &l);
	return login_env_new(&l);
}

static void
front_configure(struct outer *o)
{
	struct login_opts l;

	options(o, &l);
	login_configure(o->env, &l);
}

static void
front_end(struct outer *o)
{
	struct login_env *e = o->env;

	login_env_free(&e);
}

static bool
front_message(struct link *l, struct msg *m)
{
	struct outer *o = l->arg;
	bool mechs = m->type == MSG_AUTH_MECHS;

	if (l == &o->auth) {
		if (!login_auth_reply(o->env, m))
			return false;
		if (mechs)
			outer_open(o); /* (1) */
		return true;
	}
	/* The session did not begin. Its socket is not ours any more, or is a
	 * pump's, whose other end mail has closed. */
	(void)msg_get_u64(m);
	return m->type == MSG_SESSION_NO && msg_end(m);
}

int
front_main(void *arg)
{
	const struct child *c = arg;
	uint64_t all = c->settings->limits.connections_max;
	struct outer o = {.child = c,
	    .services = {{&login_imap, PROTO_IMAP, "imap", NULL},
		{&login_pop3, PROTO_POP3, "pop3", NULL}},
	    .nservices = 2,
	    .shut = true,
	    .conns = (uint32_t)((all + c->fronts - 1) / c->fronts),
	    .begin = front_begin,
	    .configure = front_configure,
	    .end = front_end,
	    .message = front_message};

	return outer_main(&o);
}
