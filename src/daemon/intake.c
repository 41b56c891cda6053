/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The process intake: takes mail in over LMTP, and makes each message's
 * summary, so that MIME is parsed where there is nothing to steal.
 */
#include "daemon/outer.h"
#include "lmtp/lmtp.h"
#include "mime/mime.h"

#define CONNS 4096

static void
options(const struct outer *o, struct lmtp_opts *l)
{
	*l = (struct lmtp_opts){.net = o->net,
	    .auth = o->auth.ch,
	    .mail = o->mail.ch,
	    .hostname = o->settings->hostname,
	    .networks = o->settings->lmtp_networks,
	    .bare_lf_fix = o->settings->lmtp_bare_lf_fix,
	    .tls = o->has_tls,
	    .client_ca = o->client_ca};
}

static void *
intake_begin(struct outer *o)
{
	struct lmtp_opts l;

	options(o, &l);
	return lmtp_env_new(&l);
}

static void
intake_configure(struct outer *o)
{
	struct lmtp_opts l;

	options(o, &l);
	lmtp_configure(o->env, &l);
}

static void
intake_end(struct outer *o)
{
	struct lmtp_env *e = o->env;

	lmtp_env_free(&e);
}

static bool
intake_message(struct link *l, struct msg *m)
{
	struct outer *o = l->arg;

	return lmtp_reply(o->env, m);
}

int
intake_main(void *arg)
{
	struct outer o = {.child = arg,
	    .services = {{&lmtp_service, PROTO_LMTP, NULL, NULL}},
	    .nservices = 1,
	    .conns = CONNS,
	    .begin = intake_begin,
	    .configure = intake_configure,
	    .end = intake_end,
	    .message = intake_message};

	/* The charsets' tables are files, which cannot be opened later. */
	mime_charsets_load();
	return outer_main(&o);
}
