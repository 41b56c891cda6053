/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * restante: one program, its sub-commands in one table.
 *
 * The common options stand anywhere before "--": --data DIR, --config FILE,
 * --set NAME=VALUE (any number), --help.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli.h"

/* clang-format off */
static const struct cli_command commands[] = {
	{"serve", "[--imap ADDR:PORT] [--imaps ..] [--pop3 ..] [--pop3s ..] [--lmtp ADDR:PORT|PATH] [--tls-cert FILE --tls-key FILE] [--hostname NAME]",
	    "serve mail until told to stop", cmd_serve,
	    "SIGHUP reloads certificates and settings, SIGTERM ends after saying goodbye.\n"},
	{"user", "add|passwd|list|show|disable|enable|remove|import NAME",
	    "accounts and their passwords", cmd_user,
	    "  add NAME [--password-stdin]     passwd NAME [--password-stdin]\n"
	    "  list [--postfix]                show NAME\n"
	    "  disable NAME    enable NAME     remove NAME (and all its mail)\n"
	    "  import FILE     lines \"name:{SCHEME}hash\"\n"
	    "Without --password-stdin the password is asked for.\n"},
	{"alias", "add ADDRESS NAME | remove ADDRESS | list",
	    "further addresses of an account", cmd_alias, NULL},
	{"mailbox", "list USER | create USER NAME [--use sent] | rename USER FROM TO | delete USER NAME",
	    "the mailboxes of an account", cmd_mailbox, NULL},
	{"who", "", "who is logged in", cmd_who, NULL},
	{"kick", "USER", "end the sessions of an account", cmd_kick, NULL},
	{"deliver", "--user USER [--mailbox NAME]",
	    "take the message on standard input into a mailbox", cmd_deliver,
	    "For machines without an MTA. A message that is delivered is on disk. A mailbox\n"
	    "that is missing is made.\n"},
	{"import", "PATH --user USER [--kind maildir|mbox|mh|eml] [--mailbox NAME]",
	    "take in mail of another program", cmd_import,
	    "Knows Maildir++ (Dovecot, Courier), mbox, MH, and folders of .eml files; keeps\n"
	    "folders, flags, received dates, subscriptions and, where the account is empty,\n"
	    "UIDs. Repeated, it adds only what is new.\n"},
	{"export", "PATH --user USER [--kind maildir|mbox] [--mailbox NAME]",
	    "write an account's mail as Maildir++ or mbox", cmd_export,
	    "PATH must not exist or be empty.\n"},
	{"check", "[--full]", "verify all that is on disk", cmd_check_data,
	    "--full also reads every record and body of the log.\n"},
	{"backup", "DIR", "copy a consistent state, while the server runs", cmd_backup, NULL},
	{"restore", "DIR", "make the data directory anew from a backup", cmd_restore,
	    "The data directory must not exist or be empty.\n"},
	{"rebuild", "", "make the index anew from the log", cmd_rebuild,
	    "The server must not run.\n"},
	{"compact", "", "give back the space of expunged mail now", cmd_compact, NULL},
	{"stats", "", "numbers of the store", cmd_stats, NULL},
	{"selftest", "", "what each process is denied on this machine", cmd_selftest, NULL},
	{"settings", "", "print every setting, its meaning and value", cmd_settings, NULL},
};
/* clang-format on */

static int
usage(FILE *f)
{
	fputs("restante: a mail access server\n"
	      "usage: restante COMMAND [--data DIR] [--config FILE] "
	      "[--set NAME=VALUE]... ...\n\n",
	    f);
	for (size_t i = 0; i < NELEM(commands); i++)
		fprintf(f, "  %-10s %s\n", commands[i].name, commands[i].what);
	fputs("\nrestante COMMAND --help tells more; so does the manual, "
	      "restante(1).\n",
	    f);
	return f == stdout ? EX_OK : EX_USAGE;
}

static int
help(const struct cli_command *k)
{
	printf("usage: restante %s %s\n%s\n", k->name, k->args, k->what);
	if (k->more != NULL)
		fputs(k->more, stdout);
	puts("\n  --data DIR          where everything is kept\n"
	     "  --config FILE       settings (restante.conf(5))\n"
	     "  --set NAME=VALUE    a setting");
	return EX_OK;
}

/* DATA: as root /var/lib/restante, else below the user's own data. */
static char *
data_default(void)
{
	const char *home;
	struct buf b = {0};
	char *out;

	if (geteuid() == 0)
		return x_cstr(S("/var/lib/restante"));
	if ((home = getenv("XDG_DATA_HOME")) != NULL && home[0] == '/')
		buf_f(&b, "%s/restante", home);
	else if ((home = getenv("HOME")) != NULL && home[0] == '/')
		buf_f(&b, "%s/.local/share/restante", home);
	else
		return NULL;
	out = x_cstr(buf_str(&b));
	buf_free(&b);
	return out;
}

/* Absolute, since processes change their directory. */
static char *
absolute(const char *path)
{
	char here[PATH_MAX];
	struct buf b = {0};
	char *out;

	if (path[0] == '/')
		return x_cstr(str_c(path));
	if (getcwd(here, sizeof(here)) == NULL)
		return NULL;
	buf_f(&b, "%s/%s", here, path);
	out = x_cstr(buf_str(&b));
	buf_free(&b);
	return out;
}

/* Takes the settings from the file and the command line out of c. */
static int
load_settings(struct cli *c, struct settings *to)
{
	const char *config = cli_option(c, "--config");
	const char *set;
	struct buf why = {0};
	str name, value;
	enum err e;
	int code = EX_OK;

	e = settings_load(to,
	    config != NULL ? config : "/etc/restante/restante.conf",
	    config != NULL, &why);
	/* A flag replaces what the file says, --set then adds to a list. */
	if (e == OK && (code = cli_flags(c, to)) != EX_OK) {
		buf_free(&why);
		return code;
	}
	while (e == OK && (set = cli_option(c, "--set")) != NULL) {
		value = str_c(set);
		if (str_chr(value, '=') == value.n) {
			buf_s(&why, "--set takes NAME=VALUE");
			e = ERR_INVALID;
			break;
		}
		name = str_cut(&value, '=');
		e = settings_set(to, name, value, S("--set"), &why);
	}
	if (e != OK)
		code = cli_fail(c, EX_CONFIG, "%.*s", STR_ARG(buf_str(&why)));
	buf_free(&why);
	return code;
}

/* The words of the command line as they were, for a reload. */
static char **words;
static int nwords;

struct settings *
cli_reload(void *command)
{
	struct cli c = {.command = command, .argc = nwords};
	struct settings *s = settings_new();
	char **own;

	c.argv = own = x_array((size_t)nwords + 1, sizeof(*c.argv));
	memcpy(c.argv, words, (size_t)nwords * sizeof(*words));
	if (load_settings(&c, s) != EX_OK)
		settings_free(&s);
	x_free(&own);
	return s;
}

static int
run(const struct cli_command *k, int argc, char **argv)
{
	struct cli c = {.command = k->name, .argc = argc};
	const char *data;
	char *owned = NULL, **own;
	int code;

	/* argv is kept whole, and taken apart in a copy. */
	words = argv;
	nwords = argc;
	c.argv = own = x_array((size_t)argc + 1, sizeof(*c.argv));
	memcpy(c.argv, argv, (size_t)argc * sizeof(*argv));
	if (cli_switch(&c, "--help") || cli_switch(&c, "-h")) {
		x_free(&own);
		return help(k);
	}
	data = cli_option(&c, "--data");
	owned = data != NULL ? absolute(data) : data_default();
	if (owned == NULL) {
		x_free(&own);
		return cli_fail(&c, EX_USAGE, "where is the data? --data DIR");
	}
	c.data = owned;
	c.settings = settings_new();
	code = load_settings(&c, c.settings);
	limits_copy(&limits, &c.settings->limits);
	log_setup("restante", c.settings->log_level);
	if (code == EX_OK)
		code = k->run(&c);
	cli_close();
	settings_free(&c.settings);
	x_free(&owned);
	x_free(&own);
	if (fflush(stdout) != 0 && code == EX_OK)
		code = EX_IOERR;
	return code;
}

int
main(int argc, char **argv)
{
	uint64_t secret;

	os_random(&secret, sizeof(secret));
	hash_seed(secret);
	limits_default(&limits);
	if (argc < 2)
		return usage(stderr);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0)
		return usage(stdout);
	if (strcmp(argv[1], "--version") == 0) {
		printf("restante %s (format %d)\n", RESTANTE_VERSION,
		    STORE_FORMAT);
		return EX_OK;
	}
	for (size_t i = 0; i < NELEM(commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return run(&commands[i], argc - 2, argv + 2);
	fprintf(stderr,
	    "restante: no command \"%s\"; restante --help lists them\n",
	    argv[1]);
	return EX_USAGE;
}
