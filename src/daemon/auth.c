/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The process auth: enters its box, opens the secrets, and serves.
 */
#include "auth/auth.h"
#include "daemon/daemon_int.h"

struct told {
	struct settings *settings;
};

static bool
take_settings(void *arg, str encoded, struct auth_conf *conf)
{
	struct told *t = arg;
	struct settings *s = settings_new();

	if (settings_decode(s, encoded) != OK) {
		settings_free(&s);
		return false;
	}
	settings_free(&t->settings);
	t->settings = s;
	limits_copy(&limits, &s->limits);
	log_least(s->log_level);
	settings_auth(s, conf);
	return true;
}

int
auth_main(void *arg)
{
	const struct child *c = arg;
	struct told told = {0};
	struct auth_conf conf;
	struct auth_env env = {.control = c->control,
	    .dovecot = c->dovecot,
	    .settings = take_settings,
	    .arg = &told};
	struct buf dir = {0};
	struct auth *a = NULL;
	enum err e;
	char *path;

	if (child_box(c) != OK)
		return 1;
	buf_f(&dir, "%s/auth", c->data);
	path = x_cstr(buf_str(&dir));
	settings_auth(c->settings, &conf);
	e = auth_open(&a, path, &conf);
	x_free(&path);
	buf_free(&dir);
	if (e != OK) {
		log_error("the accounts cannot be opened", KV_ERR(e));
		return 1;
	}
	env.supervisor = chan_new(c->chan);
	e = auth_serve(a, &env);
	auth_close(&a);
	chan_free(&env.supervisor);
	settings_free(&told.settings);
	return e == OK ? 0 : 1;
}
