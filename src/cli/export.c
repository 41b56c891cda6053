/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * restante export: the store gives items in batches, which are written here
 * as Maildir++ or mbox, so that nobody is locked in.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "daemon/ctl.h"
#include "store/import.h"

struct writing {
	struct cli *c;
	struct export *ex;
	int code;
	uint64_t messages;
};

static enum err
write_batch(struct writing *w, str batch)
{
	struct arena *a = arena_new(0);
	struct dec d = dec_of(batch);
	struct import_item item;
	bool bad = false;
	enum err e = OK;

	while (e == OK && ctl_batch_next(&d, a, &item, &bad)) {
		e = export_put(w->ex, &item);
		w->messages += item.what == IMPORT_MESSAGE;
		arena_reset(a);
	}
	arena_free(&a);
	return bad ? ERR_CORRUPT : e;
}

static void
take_batch(void *arg, str line, int fd)
{
	struct writing *w = arg;
	struct stat st;
	void *p;
	enum err e;

	(void)line;
	if (fd < 0)
		return;
	if (w->code == EX_OK && fstat(fd, &st) == 0 && st.st_size > 0) {
		p = mmap(
		    NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		e = p == MAP_FAILED
			? ERR_NOMEM
			: write_batch(w, str_of(p, (size_t)st.st_size));
		if (p != MAP_FAILED)
			munmap(p, (size_t)st.st_size);
		if (e != OK)
			w->code = cli_fail(
			    w->c, cli_exit(e), "cannot write: %s", err_name(e));
	}
	os_close(&fd);
}

/* An empty folder: what is there is nobody's to be mixed with. */
static int
open_target(struct cli *c, enum export_kind kind, struct export **ex)
{
	const char *path = c->argv[0];
	enum err e;
	int dir;

	if (!cli_is_empty(path))
		return cli_fail(c, EX_CANTCREAT,
		    "%s is not empty: an export wants a folder of its own",
		    path);
	if (os_mkdir(path, 0700) != 0 ||
	    (dir = os_open(path, O_RDONLY | O_DIRECTORY, 0)) < 0)
		return cli_fail(c, EX_CANTCREAT, "cannot make %s: %s", path,
		    strerror(errno));
	if ((e = export_open(dir, kind, ex)) != OK)
		return cli_fail(c, EX_CANTCREAT, "%s: %s", path, err_name(e));
	return EX_OK;
}

int
cmd_export(struct cli *c)
{
	const char *user = cli_option(c, "--user");
	const char *word = cli_option(c, "--kind");
	const char *box = cli_option(c, "--mailbox");
	enum export_kind kind = EXPORT_MAILDIR;
	struct writing w = {.c = c};
	struct buf name = {0}, number = {0};
	uint64_t id = 0;
	str arg[3];
	enum err e;
	int code;

	if (!cli_args(c, 1, 1))
		return EX_USAGE;
	if (user == NULL)
		return cli_fail(c, EX_USAGE, "whose mail is it? --user NAME");
	if (word != NULL && strcmp(word, "mbox") == 0)
		kind = EXPORT_MBOX;
	else if (word != NULL && strcmp(word, "maildir") != 0)
		return cli_fail(c, EX_USAGE, "--kind is maildir or mbox");
	if ((code = cli_account(c, user, &id, &name)) == EX_OK &&
	    (code = open_target(c, kind, &w.ex)) == EX_OK) {
		buf_u64(&number, id);
		arg[0] = buf_str(&number);
		arg[1] = buf_str(&name);
		arg[2] = str_c(box);
		code = cli_mail(c, "export", arg, 3, -1, take_batch, &w);
		if (w.code != EX_OK)
			code = w.code;
		if ((e = export_close(&w.ex)) != OK && code == EX_OK)
			code = cli_fail(
			    c, cli_exit(e), "cannot write: %s", err_name(e));
		if (code == EX_OK)
			printf(
			    "%llu messages\n", (unsigned long long)w.messages);
	}
	buf_free(&name);
	buf_free(&number);
	return code;
}
