/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * restante import: mail of other programs is read here (the server may not
 * open files of users) and taken in by the store, in batches.
 *
 * (1) A batch that was answered is on disk: an import that is cut short can
 *     be run again, and adds only what is missing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"
#include "daemon/ctl.h"
#include "store/import.h"

#define BATCH_BYTES (4 << 20)
#define BATCH_ITEMS 500

struct intake {
	struct cli *c;
	str id, name;
	struct buf batch;
	size_t items;
	uint64_t fresh, known;
};

static void
count_line(void *arg, str line, int fd)
{
	struct intake *in = arg;
	struct scan s = scan_of(line);
	uint64_t fresh, known;

	if (fd >= 0)
		os_close(&fd);
	if (scan_u64(&s, &fresh) && scan_lit(&s, S(" new, ")) &&
	    scan_u64(&s, &known)) {
		in->fresh += fresh;
		in->known += known;
	}
}

static int
send_batch(struct intake *in)
{
	str arg[2] = {in->id, in->name};
	int fd, code;

	if (in->items == 0)
		return EX_OK;
	if (!buf_ok(&in->batch) || (fd = os_memfd("restante-import")) < 0)
		return cli_fail(in->c, EX_OSERR, "no memory for a batch");
	if (os_write_all(fd, in->batch.p, in->batch.n) != 0)
		code = cli_fail(in->c, EX_OSERR, "no memory for a batch: %s",
		    strerror(errno));
	else
		code = cli_mail(in->c, "append", arg, 2, fd, count_line, in);
	os_close(&fd);
	buf_reset(&in->batch);
	in->items = 0;
	return code;
}

static int
take_all(struct intake *in, struct import *im)
{
	struct import_item item;
	uint64_t done, all, messages, skipped;
	bool end = false;
	enum err e;
	int code = EX_OK;

	while (code == EX_OK) {
		if ((e = import_next(im, &item, &end)) != OK)
			return cli_fail(in->c, cli_exit(e),
			    "the source cannot be read: %s", err_name(e));
		if (end)
			break;
		ctl_batch_add(&in->batch, &item);
		in->items++;
		if (in->batch.n >= BATCH_BYTES || in->items >= BATCH_ITEMS)
			code = send_batch(in);
		import_progress(im, &done, &all, &messages, &skipped);
		cli_progress(
		    "import", MIN(done, all > 0 ? all - 1 : 0), all, messages);
	}
	if (code == EX_OK)
		code = send_batch(in);
	import_progress(im, &done, &all, &messages, &skipped);
	if (code == EX_OK)
		cli_progress("import", all, all, messages);
	printf("%llu messages read, %llu new, %llu already there, %llu passed "
	       "over\n",
	    (unsigned long long)messages, (unsigned long long)in->fresh,
	    (unsigned long long)in->known, (unsigned long long)skipped);
	return code == EX_OK && skipped > 0 ? EX_DATAERR : code;
}

static bool
kind_of(const char *word, enum import_kind *kind)
{
	static const struct {
		const char *name;
		enum import_kind kind;
	} kinds[] = {
	    {"auto", IMPORT_AUTO},
	    {"maildir", IMPORT_MAILDIR},
	    {"mbox", IMPORT_MBOX},
	    {"mh", IMPORT_MH},
	    {"eml", IMPORT_EML},
	};

	for (size_t i = 0; i < NELEM(kinds); i++)
		if (strcmp(word, kinds[i].name) == 0)
			return *kind = kinds[i].kind, true;
	return false;
}

int
cmd_import(struct cli *c)
{
	const char *user = cli_option(c, "--user");
	const char *word = cli_option(c, "--kind");
	const char *into = cli_option(c, "--mailbox");
	enum import_kind kind = IMPORT_AUTO;
	struct intake in = {.c = c};
	struct import *im = NULL;
	struct buf name = {0}, number = {0};
	uint64_t id = 0;
	enum err e;
	int fd, code;

	if (!cli_args(c, 1, 1))
		return EX_USAGE;
	if (user == NULL)
		return cli_fail(c, EX_USAGE, "whose mail is it? --user NAME");
	if (word != NULL && !kind_of(word, &kind))
		return cli_fail(
		    c, EX_USAGE, "--kind is maildir, mbox, mh or eml");
	if ((fd = os_open(c->argv[0], O_RDONLY, 0)) < 0)
		return cli_fail(c, EX_NOINPUT, "cannot open %s: %s", c->argv[0],
		    strerror(errno));
	mime_charsets_load();
	if ((e = import_open(fd, kind, str_c(into), &im)) != OK)
		return cli_fail(c,
		    cli_exit(e) == EX_NOUSER ? EX_NOINPUT : cli_exit(e),
		    "%s holds no mail that is known here: %s", c->argv[0],
		    err_name(e));
	if ((code = cli_account(c, user, &id, &name)) == EX_OK) {
		buf_u64(&number, id);
		in.id = buf_str(&number);
		in.name = buf_str(&name);
		code = take_all(&in, im);
	}
	import_free(&im);
	buf_free(&in.batch);
	buf_free(&name);
	buf_free(&number);
	return code;
}
