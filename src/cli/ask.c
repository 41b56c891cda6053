/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Asking auth and mail: the running server over its control socket, or,
 * when none runs, the same functions on the data itself.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "daemon/ctl.h"

/* Kept open for the life of the command: an import asks many times. */
static struct store *st;
static struct ctl_kept asked;
static struct chan *ch;

#define ANSWER_MS (3600 * 1000) /* check and compact of a big store */

struct auth_lines {
	struct buf *kept;
	bool print, any;
};

static void
auth_line(void *arg, str line)
{
	struct auth_lines *l = arg;

	if (l->print)
		printf("%.*s\n", STR_ARG(line));
	if (l->kept != NULL && (l->print || !l->any)) {
		buf_reset(l->kept);
		buf_str_add(l->kept, line);
	}
	l->any = true;
}

/* What auth needs to know of the settings when no server runs. */
static void
auth_conf_of(const struct cli *c, struct auth_conf *conf)
{
	settings_auth(c->settings, conf);
}

int
cli_data(const struct cli *c, bool make)
{
	struct stat sb;

	if (!make && stat(c->data, &sb) != 0 && errno == ENOENT)
		return cli_fail(c, EX_NOINPUT,
		    "there is no %s; --data DIR says where the mail is, "
		    "restante user add NAME makes it",
		    c->data);
	if (make && (os_mkdir_above(c->data, 0755) != 0 ||
			os_mkdir_durable(c->data, 0700) != 0))
		return cli_fail(c, EX_CANTCREAT, "cannot make %s: %s", c->data,
		    strerror(errno));
	return EX_OK;
}

/* The first account makes DATA; whatever else is asked would find nothing
 * in it, and a mistyped --data is to be noticed. */
static bool
makes_data(const char *verb)
{
	return strcmp(verb, "user.add") == 0 ||
	       strcmp(verb, "user.import") == 0;
}

int
cli_auth(struct cli *c, const char *verb, const str *arg, size_t n, int fd,
    bool print, struct buf *kept)
{
	struct auth_lines l = {kept, print, false};
	struct auth_conf conf = {0};
	struct buf why = {0};
	enum err e;
	int code;

	auth_conf_of(c, &conf);
	if ((code = cli_data(c, makes_data(verb))) != EX_OK)
		return code;
	e = auth_command(
	    c->data, &conf, str_c(verb), arg, n, fd, auth_line, &l, &why);
	code = cli_exit(e);
	if (e != OK)
		cli_fail(c, code, "%.*s",
		    STR_ARG(why.n > 0 ? buf_str(&why) : str_c(err_name(e))));
	buf_free(&why);
	return code;
}

int
cli_account(struct cli *c, const char *user, uint64_t *id, struct buf *name)
{
	struct buf first = {0};
	str rest, number;
	int code;

	code = cli_auth(
	    c, "user.id", &(str){user, strlen(user)}, 1, -1, false, &first);
	rest = buf_str(&first);
	number = str_cut(&rest, ' ');
	if (code == EX_OK && !str_u64(number, id))
		code = cli_fail(c, EX_SOFTWARE, "auth answered out of form");
	if (code == EX_OK)
		buf_str_add(name, rest);
	buf_free(&first);
	return code;
}

/* Connects to the running server; ERR_UNAVAILABLE: none runs. */
static enum err
connect_mail(const struct cli *c)
{
	struct os_addr addr;
	struct buf path = {0};
	size_t n = 0;
	int fd = -1;
	enum err e;

	buf_f(&path, "%s/run/control.sock", c->data);
	e = os_addr_parse(buf_str(&path), &addr, 1, &n);
	buf_free(&path);
	if (e != OK)
		return e;
	addr.packets = true;
	if ((fd = os_connect(&addr)) < 0) {
		if (errno == EACCES || errno == EPERM)
			return ERR_DENIED;
		return ERR_UNAVAILABLE;
	}
	ch = chan_new(fd);
	return OK;
}

static enum err
ask_server(const char *verb, const str *arg, size_t n, int fd,
    void (*line)(void *arg, str line, int fd), void *ctx, struct buf *why)
{
	struct msg m;
	enum err e;
	int copy;

	msg_new(&m, MSG_CTL);
	msg_str(&m, str_c(verb));
	msg_u32(&m, (uint32_t)n);
	for (size_t i = 0; i < n; i++)
		msg_str(&m, arg[i]);
	if (fd >= 0) {
		if ((copy = dup(fd)) < 0)
			return err_errno(errno);
		msg_fd(&m, copy);
	}
	if ((e = chan_send(ch, &m)) != OK)
		return e;
	for (;;) {
		if ((e = chan_wait(ch, &m, ANSWER_MS)) != OK)
			return e;
		if (m.type == MSG_CTL_LINE) {
			str s = msg_get_str(&m);
			int got = m.nfds > 0 ? msg_get_fd(&m) : -1;

			if (line != NULL)
				line(ctx, s, got);
			else if (got >= 0)
				os_close(&got);
			msg_free(&m);
			continue;
		}
		if (m.type != MSG_CTL_END) {
			msg_free(&m);
			return ERR_CORRUPT;
		}
		e = (enum err)msg_get_u8(&m);
		buf_str_add(why, msg_get_str(&m));
		msg_free(&m);
		return e < ERR_MAX ? e : ERR_CORRUPT;
	}
}

static void
store_progress(void *arg, const char *what, uint64_t done, uint64_t all)
{
	(void)arg;
	cli_progress(what, done, all, 0);
}

static enum err
ask_store(const struct cli *c, const char *verb, const str *arg, size_t n,
    int fd, void (*line)(void *arg, str line, int fd), void *ctx,
    struct buf *why)
{
	struct store_opts o = {
	    .dir = c->data, .no_background = true, .progress = store_progress};
	enum err e;

	if (st == NULL) {
		mime_charsets_load();
		if ((e = store_open(&o, &st)) != OK) {
			if (e == ERR_BUSY)
				buf_s(why, "another process has the data open; "
					   "try again");
			return e;
		}
	}
	return ctl_run(st, str_c(verb), arg, n, fd, line, ctx, why, &asked);
}

/* Only a server has sessions. */
static bool
is_of_sessions(const char *verb)
{
	return strcmp(verb, "who") == 0 || strcmp(verb, "kick") == 0;
}

int
cli_mail(struct cli *c, const char *verb, const str *arg, size_t n, int fd,
    void (*line)(void *arg, str line, int fd), void *ctx)
{
	struct buf why = {0};
	enum err e = OK;
	int code;

	if ((code = cli_data(c, false)) != EX_OK)
		return code;
	if (ch == NULL)
		e = connect_mail(c);
	if (e == OK)
		e = ask_server(verb, arg, n, fd, line, ctx, &why);
	else if (e == ERR_UNAVAILABLE && is_of_sessions(verb))
		buf_f(
		    &why, "no server runs on %s: nobody is logged in", c->data);
	else if (e == ERR_UNAVAILABLE)
		e = ask_store(c, verb, arg, n, fd, line, ctx, &why);
	code = cli_exit(e);
	if (e != OK)
		cli_fail(c, code, "%.*s",
		    STR_ARG(why.n > 0 ? buf_str(&why) : str_c(err_name(e))));
	buf_free(&why);
	return code;
}

void
cli_print(void *arg, str line, int fd)
{
	(void)arg;
	printf("%.*s\n", STR_ARG(line));
	if (fd >= 0)
		os_close(&fd);
}

void
cli_close(void)
{
	chan_free(&ch);
	ctl_forget(&asked);
	if (st != NULL)
		store_close(&st);
}
