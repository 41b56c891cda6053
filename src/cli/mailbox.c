/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * restante mailbox, deliver, who, kick, stats, check, compact: what is asked
 * of the store, or of the process that runs the sessions.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"
#include "store/import.h"

/* The verb with account id and name before the given arguments. */
static int
ask_account(struct cli *c, const char *user, const char *verb, const str *more,
    size_t n, int fd)
{
	struct buf name = {0}, number = {0};
	uint64_t id = 0;
	str arg[6];
	int code;

	assert(n <= 4);
	code = cli_account(c, user, &id, &name);
	if (code == EX_OK) {
		buf_u64(&number, id);
		arg[0] = buf_str(&number);
		arg[1] = buf_str(&name);
		for (size_t i = 0; i < n; i++)
			arg[2 + i] = more[i];
		code = cli_mail(c, verb, arg, n + 2, fd, cli_print, NULL);
	}
	buf_free(&name);
	buf_free(&number);
	return code;
}

int
cmd_mailbox(struct cli *c)
{
	static const struct {
		const char *word, *verb;
		int args; /* after the user */
	} verbs[] = {
	    {"list", "mailbox.list", 0},
	    {"create", "mailbox.create", 1},
	    {"delete", "mailbox.delete", 1},
	    {"rename", "mailbox.rename", 2},
	};
	const char *use = cli_option(c, "--use");
	str more[3];
	size_t n = 0;

	for (size_t i = 0; i < NELEM(verbs); i++) {
		if (c->argc == 0 || strcmp(c->argv[0], verbs[i].word) != 0)
			continue;
		if (!cli_args(c, 2 + verbs[i].args, 2 + verbs[i].args))
			return EX_USAGE;
		for (int k = 0; k < verbs[i].args; k++)
			more[n++] = str_c(c->argv[2 + k]);
		if (use != NULL)
			more[n++] = str_c(use);
		return ask_account(c, c->argv[1], verbs[i].verb, more, n, -1);
	}
	return cli_fail(c, EX_USAGE,
	    "list USER, create USER NAME, delete USER NAME or rename USER FROM "
	    "TO");
}

/* Reads all of standard input, at most max octets of it. 0: to its end. */
static int
read_stdin(struct buf *out, uint64_t max)
{
	ssize_t n;
	char *p;

	while (out->n <= max) {
		if ((p = buf_room(out, 65536)) == NULL)
			return -1;
		if ((n = os_read(0, p, 65536)) < 0)
			return -1;
		if (n == 0)
			return 0;
		out->n += (size_t)n;
	}
	return 0;
}

/* The message on standard input as an unlinked file, so that its descriptor
 * can go to the server and its size is known before. Programs on this
 * machine write LF, which becomes CR LF by the rule of import. -1: said why
 * not, *code tells. */
static int
spool_stdin(struct cli *c, int *code)
{
	uint64_t max = limits.message_size_max;
	struct buf raw = {.max = max + (1 << 17)};
	struct buf text = {.max = 2 * max + (1 << 18)};
	int fd = -1;

	*code = EX_OK;
	if (read_stdin(&raw, max) != 0) {
		*code = cli_fail(c, EX_TEMPFAIL, "cannot read the message: %s",
		    strerror(errno));
		goto out;
	}
	import_crlf(buf_str(&raw), &text);
	if (raw.n == 0)
		*code = cli_fail(c, EX_DATAERR, "there is no message");
	else if (raw.n > max || text.n > max)
		*code = cli_fail(c, EX_DATAERR,
		    "the message is larger than message_size_max (%llu)",
		    (unsigned long long)max);
	else if (!buf_ok(&text) || (fd = os_memfd("restante-deliver")) < 0 ||
		 os_write_all(fd, text.p, text.n) != 0)
		*code = cli_fail(c, EX_TEMPFAIL, "no memory for the message");
	if (*code != EX_OK && fd >= 0)
		os_close(&fd);
out:
	buf_free(&raw);
	buf_free(&text);
	return fd;
}

int
cmd_deliver(struct cli *c)
{
	const char *user = cli_option(c, "--user");
	const char *mailbox = cli_option(c, "--mailbox");
	str box = str_c(mailbox);
	int fd, code;

	if (!cli_args(c, 0, 0))
		return EX_USAGE;
	if (user == NULL)
		return cli_fail(c, EX_USAGE, "whose mail is it? --user NAME");
	if ((fd = spool_stdin(c, &code)) < 0)
		return code;
	code = ask_account(c, user, "deliver", &box, 1, fd);
	os_close(&fd);
	return code;
}

int
cmd_who(struct cli *c)
{
	if (!cli_args(c, 0, 0))
		return EX_USAGE;
	return cli_mail(c, "who", NULL, 0, -1, cli_print, NULL);
}

int
cmd_kick(struct cli *c)
{
	str arg;

	if (!cli_args(c, 1, 1))
		return EX_USAGE;
	arg = str_c(c->argv[0]);
	return cli_mail(c, "kick", &arg, 1, -1, cli_print, NULL);
}

int
cmd_stats(struct cli *c)
{
	if (!cli_args(c, 0, 0))
		return EX_USAGE;
	return cli_mail(c, "stats", NULL, 0, -1, cli_print, NULL);
}

int
cmd_compact(struct cli *c)
{
	int code;

	if (!cli_args(c, 0, 0))
		return EX_USAGE;
	code = cli_mail(c, "expire", NULL, 0, -1, cli_print, NULL);
	if (code == EX_OK)
		code = cli_mail(c, "compact", NULL, 0, -1, cli_print, NULL);
	return code;
}

/* The last line is "N faults"; anything but 0 is a failure. */
static void
check_line(void *arg, str line, int fd)
{
	struct buf *last = arg;

	cli_print(NULL, line, fd);
	buf_reset(last);
	buf_str_add(last, line);
}

int
cmd_check_data(struct cli *c)
{
	bool full = cli_switch(c, "--full");
	struct buf last = {0};
	str arg = S("full");
	int code;

	if (!cli_args(c, 0, 0))
		return EX_USAGE;
	code = cli_mail(c, "check", &arg, full ? 1 : 0, -1, check_line, &last);
	if (code == EX_OK && !str_eq(buf_str(&last), S("0 faults")))
		code = EX_DATAERR;
	buf_free(&last);
	return code;
}
