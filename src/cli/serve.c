/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * restante serve, selftest, settings.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli.h"

/* Flags of their own for the settings that are given most. */
static const struct {
	const char *flag, *setting;
} flags[] = {
    {"--imap", "imap"},
    {"--imaps", "imaps"},
    {"--pop3", "pop3"},
    {"--pop3s", "pop3s"},
    {"--lmtp", "lmtp"},
    {"--tls-cert", "tls_cert"},
    {"--tls-key", "tls_key"},
    {"--hostname", "hostname"},
};

int
cli_flags(struct cli *c, struct settings *to)
{
	struct buf why = {0};
	const char *value;
	enum err e = OK;
	int code = EX_OK;

	/* What the command line says replaces what the file says. */
	for (size_t i = 0; i < NELEM(flags) && strcmp(c->command, "serve") == 0;
	     i++) {
		bool first = true;

		while (
		    e == OK && (value = cli_option(c, flags[i].flag)) != NULL) {
			if (first)
				settings_clear(to, str_c(flags[i].setting));
			first = false;
			e = settings_set(to, str_c(flags[i].setting),
			    str_c(value), str_c(flags[i].flag), &why);
		}
	}
	if (e != OK)
		code = cli_fail(c, EX_CONFIG, "%.*s", STR_ARG(buf_str(&why)));
	buf_free(&why);
	return code;
}

int
cmd_serve(struct cli *c)
{
	if (!cli_args(c, 0, 0))
		return EX_USAGE;
	return daemon_serve(
	    &c->settings, c->data, cli_reload, (void *)(uintptr_t)c->command);
}

/* Before the first start there is no data directory: an empty folder is as
 * good. */
int
cmd_selftest(struct cli *c)
{
	static const struct {
		const char *name;
		enum os_box box;
	} boxes[] = {
	    {"front", BOX_FRONT},
	    {"intake", BOX_FRONT},
	    {"keys", BOX_KEYS},
	    {"auth", BOX_AUTH},
	    {"mail", BOX_MAIL},
	};
	struct os_box_opts o = {.uid = (uid_t)-1, .gid = (gid_t)-1};
	char none[] = "/tmp/restante-selftest-XXXXXX";
	bool made = access(c->data, F_OK) != 0 && mkdtemp(none) != NULL;
	struct buf out = {0};
	str rest, line;
	enum err e = OK;
	int code = EX_OK;

	if (!cli_args(c, 0, 0))
		code = EX_USAGE;
	for (size_t i = 0; i < NELEM(boxes) && code == EX_OK; i++) {
		o.dir = boxes[i].box == BOX_AUTH || boxes[i].box == BOX_MAIL
			    ? (made ? none : c->data)
			    : NULL;
		buf_reset(&out);
		if ((e = os_box_probe(boxes[i].box, &o, &out)) != OK) {
			code = cli_fail(c, EX_OSERR,
			    "the box of %s cannot be tried: %s", boxes[i].name,
			    err_name(e));
			break;
		}
		printf("%s:\n", boxes[i].name);
		for (rest = buf_str(&out); rest.n > 0;) {
			line = str_cut(&rest, '\n');
			printf("  %.*s\n", STR_ARG(line));
		}
	}
	buf_free(&out);
	if (made)
		(void)rmdir(none);
	return code;
}

int
cmd_settings(struct cli *c)
{
	struct buf b = {0};

	if (!cli_args(c, 0, 0))
		return EX_USAGE;
	settings_print(c->settings, &b);
	fwrite(b.p, 1, b.n, stdout);
	buf_free(&b);
	return EX_OK;
}
