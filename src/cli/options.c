/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * What the sub-commands share: options, messages, exit codes, passwords,
 * progress.
 */
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "cli/cli.h"

int
cli_fail(const struct cli *c, int code, const char *fmt, ...)
{
	va_list ap;
	struct buf b = {0}, safe = {0};

	va_start(ap, fmt);
	buf_vf(&b, fmt, ap);
	va_end(ap);
	log_escape_text(&safe, buf_str(&b));
	fprintf(
	    stderr, "restante %s: %.*s\n", c->command, STR_ARG(buf_str(&safe)));
	buf_free(&b);
	buf_free(&safe);
	return code;
}

int
cli_exit(enum err e)
{
	static const int codes[ERR_MAX] = {
	    [OK] = EX_OK,
	    [ERR_NOTFOUND] = EX_NOUSER,
	    [ERR_EXISTS] = EX_CANTCREAT,
	    [ERR_INVALID] = EX_DATAERR,
	    [ERR_LIMIT] = EX_UNAVAILABLE,
	    [ERR_TOOBIG] = EX_DATAERR,
	    [ERR_DENIED] = EX_NOPERM,
	    [ERR_CANNOT] = EX_UNAVAILABLE,
	    [ERR_READONLY] = EX_NOPERM,
	    [ERR_FULL] = EX_TEMPFAIL,
	    [ERR_OVERQUOTA] = EX_TEMPFAIL,
	    [ERR_IO] = EX_IOERR,
	    [ERR_CORRUPT] = EX_DATAERR,
	    [ERR_BUSY] = EX_TEMPFAIL,
	    [ERR_UNAVAILABLE] = EX_TEMPFAIL,
	    [ERR_NOMEM] = EX_OSERR,
	    [ERR_EXPUNGED] = EX_UNAVAILABLE,
	    [ERR_AUTH] = EX_NOPERM,
	    [ERR_TIMEOUT] = EX_TEMPFAIL,
	};

	return e < ERR_MAX ? codes[e] : EX_SOFTWARE;
}

/* Removes n arguments from argv at i. */
static void
cut_args(struct cli *c, int i, int n)
{
	for (int k = i; k + n <= c->argc; k++)
		c->argv[k] = c->argv[k + n];
	c->argc -= n;
}

bool
cli_switch(struct cli *c, const char *name)
{
	for (int i = 0; i < c->argc && strcmp(c->argv[i], "--") != 0; i++) {
		if (strcmp(c->argv[i], name) != 0)
			continue;
		cut_args(c, i, 1);
		return true;
	}
	return false;
}

const char *
cli_option(struct cli *c, const char *name)
{
	size_t n = strlen(name);
	const char *value;

	for (int i = 0; i < c->argc && strcmp(c->argv[i], "--") != 0; i++) {
		if (strncmp(c->argv[i], name, n) != 0)
			continue;
		if (c->argv[i][n] == '=') {
			value = c->argv[i] + n + 1;
			cut_args(c, i, 1);
			return value;
		}
		if (c->argv[i][n] == '\0' && i + 1 < c->argc) {
			value = c->argv[i + 1];
			cut_args(c, i, 2);
			return value;
		}
	}
	return NULL;
}

bool
cli_args(struct cli *c, int min, int max)
{
	for (int i = 0; i < c->argc; i++) {
		if (strcmp(c->argv[i], "--") == 0) {
			cut_args(c, i, 1);
			break;
		}
		if (c->argv[i][0] == '-' && c->argv[i][1] != '\0') {
			cli_fail(c, EX_USAGE,
			    "no option %s here, or its value is missing; "
			    "see restante %s --help",
			    c->argv[i], c->command);
			return false;
		}
	}
	if (c->argc >= min && c->argc <= max)
		return true;
	cli_fail(c, EX_USAGE, "%s arguments; see restante %s --help",
	    c->argc < min ? "too few" : "too many", c->command);
	return false;
}

/* One line of standard input, without its end. */
static bool
read_line(struct buf *out)
{
	char ch;
	ssize_t n = 0;

	while (out->n < AUTH_PASSWORD_MAX + 1 && (n = read(0, &ch, 1)) == 1 &&
	       ch != '\n')
		buf_c(out, ch);
	if (out->n > 0 && out->p[out->n - 1] == '\r')
		out->n--;
	return n == 1 || out->n > 0;
}

static bool
ask_unseen(const char *prompt, struct buf *out)
{
	struct termios old, quiet;
	bool ok;

	if (tcgetattr(0, &old) != 0)
		return false;
	quiet = old;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	/* Before the prompt: what was typed ahead is thrown away. */
	tcsetattr(0, TCSAFLUSH, &quiet);
	fprintf(stderr, "%s: ", prompt);
	ok = read_line(out);
	tcsetattr(0, TCSADRAIN, &old);
	fputc('\n', stderr);
	return ok;
}

/* Asked twice, unseen. */
static int
ask_twice(struct cli *c, struct buf *out)
{
	struct buf again = {0};
	bool asked, same;

	(void)buf_room(&again, AUTH_PASSWORD_MAX + 2);
	asked = ask_unseen("Password", out) && ask_unseen("Again", &again);
	same = asked && str_eq_secret(buf_str(out), buf_str(&again));
	if (again.p != NULL)
		x_wipe(again.p, again.cap);
	buf_free(&again);
	if (!asked)
		return cli_fail(c, EX_NOINPUT, "no password given");
	return same ? EX_OK : cli_fail(c, EX_DATAERR, "the two differ");
}

int
cli_password(struct cli *c, bool from_stdin, struct buf *out)
{
	int code;

	/* Room at once, so that no copy is left behind by growing. */
	(void)buf_room(out, AUTH_PASSWORD_MAX + 2);
	if (!from_stdin && !isatty(0))
		return cli_fail(c, EX_USAGE,
		    "standard input is no terminal: use --password-stdin");
	if (!from_stdin && (code = ask_twice(c, out)) != EX_OK)
		return code;
	if (from_stdin && !read_line(out))
		return cli_fail(c, EX_NOINPUT, "no password on standard input");
	if (out->n == 0 || out->n > AUTH_PASSWORD_MAX)
		return cli_fail(c, EX_DATAERR, "a password has 1 to %d bytes",
		    AUTH_PASSWORD_MAX);
	return EX_OK;
}

/* "3.2 MB/s, 2 min left" after the bar. */
static void
progress_rate(
    struct buf *b, uint64_t done, uint64_t all, uint64_t messages, int64_t ms)
{
	double s = (double)MAX(ms, 1) / 1000;
	double left = done > 0 ? s * (double)(all - done) / (double)done : 0;

	if (messages > 0)
		buf_f(b, " %llu messages, %.0f/s", (unsigned long long)messages,
		    (double)messages / s);
	if (done >= all)
		buf_f(b, ", %.1f s", s);
	else if (left >= 90)
		buf_f(b, ", %.0f min left", left / 60);
	else
		buf_f(b, ", %.0f s left", left);
}

void
cli_progress(const char *what, uint64_t done, uint64_t all, uint64_t messages)
{
	static int64_t begun, last;
	static const char *current;
	bool tty = isatty(2);
	int64_t now = os_mono_ms();
	struct buf b = {0};
	unsigned filled;

	if (current != what) {
		current = what;
		begun = last = now;
		if (done < all)
			return;
	}
	if (done < all && now - last < (tty ? 100 : 10000))
		return;
	if (done >= all && !tty && now - begun < 1000)
		return;
	last = now;
	filled = all > 0 ? (unsigned)(MIN(done, all) * 30 / all) : 30;
	buf_f(&b, "%s%s [", tty ? "\r" : "", what);
	for (unsigned i = 0; i < 30; i++)
		buf_c(&b, i < filled ? '#' : '.');
	buf_f(&b, "] %3llu %%",
	    (unsigned long long)(all > 0 ? MIN(done, all) * 100 / all : 100));
	progress_rate(&b, done, MAX(all, done), messages, now - begun);
	buf_s(&b, "  ");
	if (!tty || done >= all)
		buf_c(&b, '\n');
	fwrite(b.p, 1, b.n, stderr);
	buf_free(&b);
}

bool
cli_is_empty(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	size_t n = 0;

	if (d == NULL)
		return errno == ENOENT;
	while ((e = readdir(d)) != NULL)
		n +=
		    strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	closedir(d);
	return n == 0;
}
