/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * cli: the command line. One table of sub-commands (main.c), one file a
 * family. A command returns an exit code as sysexits.h has them, and says on
 * standard error, in one line, what went wrong and what to do.
 *
 * (1) Work on accounts and mail is asked of the running server over its
 *     control sockets; when none runs, the command opens the data itself
 *     (a lock decides), with the same functions.
 * (2) Files outside the data directory are opened here, never by the server.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdio.h>
#include <sysexits.h>

#include "auth/auth.h"
#include "base/base.h"
#include "daemon/daemon.h"
#include "daemon/settings.h"
#include "ipc/ipc.h"
#include "os/os.h"
#include "store/store.h"

struct cli {
	const char *command; /* "user add": for messages */
	const char *data;    /* DATA, found out */
	struct settings *settings;
	char **argv; /* what is left after the common options */
	int argc;
};

struct cli_command {
	const char *name;
	const char *args; /* for --help: "NAME [--password-stdin]" */
	const char *what; /* one line */
	int (*run)(struct cli *c);
	const char *more; /* further lines for --help, or NULL */
};

/* Says "restante COMMAND: text" and returns code. */
int
cli_fail(const struct cli *c, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Exit code for a kind of failure. */
int cli_exit(enum err e);
/* Takes an option out of argv: a switch; or one with a value ("--user U",
 * "--user=U"), NULL when it is not there. */
bool cli_switch(struct cli *c, const char *name);
const char *cli_option(struct cli *c, const char *name);
/* Insists on min..max arguments and no unknown option; false: said. */
bool cli_args(struct cli *c, int min, int max);
/* Reads a password: from standard input's first line with from_stdin, else
 * from the terminal, twice, unseen. An exit code. Wipe it. */
int cli_password(struct cli *c, bool from_stdin, struct buf *out);

/* Insists that DATA is there, or makes it. An exit code. */
int cli_data(const struct cli *c, bool make);
/* Whether nothing is in the folder, or it is not there. */
bool cli_is_empty(const char *dir);
/* Asks auth; prints what it says on standard output when print is set. kept
 * (may be NULL) gets the last line then, the first one otherwise. An exit
 * code. */
int cli_auth(struct cli *c, const char *verb, const str *arg, size_t n, int fd,
    bool print, struct buf *kept);
/* The account of a name: id and name as the store knows it. An exit code. */
int
cli_account(struct cli *c, const char *user, uint64_t *id, struct buf *name);
/* Asks mail (or the store, when no server runs): each line of the answer
 * goes to line. fd -1: none. An exit code. */
int cli_mail(struct cli *c, const char *verb, const str *arg, size_t n, int fd,
    void (*line)(void *arg, str line, int fd), void *ctx);
/* Closes what asking has opened; the last call. */
void cli_close(void);
/* A line printer for cli_mail. */
void cli_print(void *arg, str line, int fd);
/* Progress on a terminal: a bar with rate and time left, at most 10 times
 * a second; elsewhere a line each 10 s. done == all ends it. */
void
cli_progress(const char *what, uint64_t done, uint64_t all, uint64_t messages);

/* Takes the flags of serve (--imap ...) into settings; an exit code. */
int cli_flags(struct cli *c, struct settings *to);
/* Settings read anew, for SIGHUP; NULL: said why not. */
struct settings *cli_reload(void *command);

int cmd_serve(struct cli *c);
int cmd_user(struct cli *c);
int cmd_alias(struct cli *c);
int cmd_mailbox(struct cli *c);
int cmd_who(struct cli *c);
int cmd_kick(struct cli *c);
int cmd_import(struct cli *c);
int cmd_export(struct cli *c);
int cmd_deliver(struct cli *c);
int cmd_check_data(struct cli *c);
int cmd_backup(struct cli *c);
int cmd_restore(struct cli *c);
int cmd_rebuild(struct cli *c);
int cmd_selftest(struct cli *c);
int cmd_stats(struct cli *c);
int cmd_compact(struct cli *c);
int cmd_settings(struct cli *c);

#endif
