/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* Runs the groups. */
#include "t_auth.h"

#include <signal.h>
#include <unistd.h>

#include "litter.h"

char work[64];

const char *
in_work(const char *name)
{
	static char path[10][256];
	static unsigned at;

	at = (at + 1) % 10;
	snprintf(path[at], sizeof(path[at]), "%s/%s", work, name);
	return path[at];
}

struct auth *
fresh(const char *name, const struct auth_conf *conf)
{
	struct auth *a = NULL;

	assert_int_equal(auth_open(&a, in_work(name), conf), OK);
	return a;
}

int
main(void)
{
	int failed;

	if (litter_make(work, "/tmp", "t_auth") == NULL)
		return 1;
	signal(SIGPIPE, SIG_IGN);
	limits_default(&limits);
	log_setup("t_auth", LOG_ERROR);
	failed = t_boxed() + t_name() + t_schemes() + t_users() + t_lookup() +
		 t_throttle() + t_sasl() + t_server() + t_dovecot();
	return failed == 0 ? 0 : 1;
}
