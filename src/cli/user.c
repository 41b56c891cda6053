/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * restante user, restante alias: accounts, passwords, addresses.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "cli/cli.h"

/* The word after the command picks the verb. */
static const char *
next_word(struct cli *c)
{
	const char *w;

	if (c->argc == 0)
		return NULL;
	w = c->argv[0];
	c->argv++;
	c->argc--;
	return w;
}

static int
user_password(struct cli *c, const char *verb)
{
	bool from_stdin = cli_switch(c, "--password-stdin");
	struct buf pw = {0};
	str arg[2];
	int code;

	if (!cli_args(c, 1, 1))
		return EX_USAGE;
	code = cli_password(c, from_stdin, &pw);
	if (code == EX_OK) {
		arg[0] = str_c(c->argv[0]);
		arg[1] = buf_str(&pw);
		code = cli_auth(c, verb, arg, 2, -1, false, NULL);
	}
	if (pw.p != NULL)
		x_wipe(pw.p, pw.cap);
	buf_free(&pw);
	return code;
}

static int
user_one(struct cli *c, const char *verb, bool print)
{
	str arg;

	if (!cli_args(c, 1, 1))
		return EX_USAGE;
	arg = str_c(c->argv[0]);
	return cli_auth(c, verb, &arg, 1, -1, print, NULL);
}

/* auth forgets the name; the running mail hears it from auth. Without a
 * server the store is told here. */
static int
user_remove(struct cli *c)
{
	struct buf name = {0}, number = {0};
	uint64_t id = 0;
	str arg[2];
	int code;

	if (!cli_args(c, 1, 1))
		return EX_USAGE;
	code = cli_account(c, c->argv[0], &id, &name);
	if (code == EX_OK) {
		buf_u64(&number, id);
		arg[0] = str_c(c->argv[0]);
		code = cli_auth(c, "user.remove", arg, 1, -1, false, NULL);
	}
	if (code == EX_OK) {
		arg[0] = buf_str(&number);
		arg[1] = buf_str(&name);
		code = cli_mail(c, "remove", arg, 2, -1, NULL, NULL);
	}
	buf_free(&name);
	buf_free(&number);
	return code;
}

static int
user_list(struct cli *c)
{
	bool postfix = cli_switch(c, "--postfix");

	if (!cli_args(c, 0, 0))
		return EX_USAGE;
	return cli_auth(
	    c, postfix ? "user.postfix" : "user.list", NULL, 0, -1, true, NULL);
}

static int
user_import(struct cli *c)
{
	struct buf last = {0};
	int fd = -1, code;

	if (!cli_args(c, 1, 1))
		return EX_USAGE;
	if ((fd = os_open(c->argv[0], O_RDONLY, 0)) < 0)
		return cli_fail(c, EX_NOINPUT, "cannot open %s: %s", c->argv[0],
		    strerror(errno));
	code = cli_auth(c, "user.import", NULL, 0, fd, true, &last);
	os_close(&fd);
	/* "N added, N replaced, N refused" */
	if (code == EX_OK && !str_ends(buf_str(&last), S(" 0 refused")))
		code = EX_DATAERR;
	buf_free(&last);
	return code;
}

int
cmd_user(struct cli *c)
{
	const char *w = next_word(c);
	str what = str_c(w);

	if (str_eq(what, S("add")))
		return user_password(c, "user.add");
	if (str_eq(what, S("passwd")))
		return user_password(c, "user.passwd");
	if (str_eq(what, S("list")))
		return user_list(c);
	if (str_eq(what, S("show")))
		return user_one(c, "user.show", true);
	if (str_eq(what, S("disable")))
		return user_one(c, "user.disable", false);
	if (str_eq(what, S("enable")))
		return user_one(c, "user.enable", false);
	if (str_eq(what, S("remove")))
		return user_remove(c);
	if (str_eq(what, S("import")))
		return user_import(c);
	return cli_fail(c, EX_USAGE,
	    "add, passwd, list, show, disable, enable, remove or import; see "
	    "restante user --help");
}

int
cmd_alias(struct cli *c)
{
	const char *w = next_word(c);
	str what = str_c(w), arg[2];

	if (str_eq(what, S("list")))
		return cli_args(c, 0, 0)
			   ? cli_auth(c, "alias.list", NULL, 0, -1, true, NULL)
			   : EX_USAGE;
	if (str_eq(what, S("remove")))
		return user_one(c, "alias.remove", false);
	if (str_eq(what, S("add"))) {
		if (!cli_args(c, 2, 2))
			return EX_USAGE;
		arg[0] = str_c(c->argv[0]);
		arg[1] = str_c(c->argv[1]);
		return cli_auth(c, "alias.add", arg, 2, -1, false, NULL);
	}
	return cli_fail(
	    c, EX_USAGE, "add ADDRESS NAME, remove ADDRESS or list");
}
