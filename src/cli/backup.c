/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * restante backup, restore, rebuild.
 *
 * A backup is the accounts (a copy of auth's database) and the log as far as
 * it was durable at one moment. The server names the files and passes
 * descriptors; they are copied here, so it needs no right to write elsewhere.
 *
 * (1) A backup is complete when the file FORMAT is in it, which comes last; a
 *     folder without one is refused by restore.
 * (2) restore writes only into an empty place.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"

struct copying {
	struct cli *c;
	int dir;
	int code;
	uint64_t files, bytes;
};

static char *
join(const char *dir, str name)
{
	struct buf b = {0};
	char *out;

	buf_str_add(&b, str_c(dir));
	buf_c(&b, '/');
	buf_str_add(&b, name);
	out = x_cstr(buf_str(&b));
	buf_free(&b);
	return out;
}

/* n bytes of from, made durable at path. */
static enum err
copy_file(int from, uint64_t n, const char *path)
{
	static char block[1 << 18];
	enum err e = OK;
	uint64_t at = 0;
	ssize_t got;
	int fd;

	if ((fd = os_open(path, O_WRONLY | O_CREAT | O_EXCL, 0600)) < 0)
		return err_errno(errno);
	while (at < n && e == OK) {
		got = os_pread(
		    from, block, (size_t)MIN(n - at, sizeof(block)), (off_t)at);
		if (got <= 0)
			e = got < 0 ? err_errno(errno) : ERR_CORRUPT;
		else if (os_write_all(fd, block, (size_t)got) != 0)
			e = err_errno(errno);
		at += (uint64_t)MAX(got, 0);
	}
	if (e == OK && os_fsync(fd) != 0)
		e = err_errno(errno);
	os_close(&fd);
	return e;
}

/* "NAME LENGTH" with a descriptor. */
static void
take_file(void *arg, str line, int fd)
{
	struct copying *k = arg;
	str rest = line, name = str_cut(&rest, ' ');
	uint64_t n;
	char *path;
	enum err e;

	if (fd < 0 || k->code != EX_OK) {
		if (fd >= 0)
			os_close(&fd);
		return;
	}
	path = x_cstr(name);
	if (!str_u64(rest, &n))
		k->code = cli_fail(
		    k->c, EX_SOFTWARE, "the server named a file out of form");
	else if ((e = store_backup_copy(k->dir, path, fd, n)) != OK)
		k->code = cli_fail(k->c, cli_exit(e), "cannot write %s: %s",
		    path, err_name(e));
	x_free(&path);
	k->files++;
	k->bytes += n;
	os_close(&fd);
}

static bool
make_dirs(struct cli *c, const char *top, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char *path = join(top, str_c(names[i]));
		int r = os_mkdir_durable(path, 0700);

		if (r != 0)
			cli_fail(c, EX_CANTCREAT, "cannot make %s: %s", path,
			    strerror(errno));
		x_free(&path);
		if (r != 0)
			return false;
	}
	return true;
}

/* auth's database: its server, or LMDB's copy, writes into a file of ours. */
static int
backup_auth(struct cli *c, const char *to)
{
	char *path = join(to, S("auth/secrets.mdb"));
	int fd, code;

	if ((fd = os_open(path, O_RDWR | O_CREAT | O_EXCL, 0600)) < 0)
		code = cli_fail(c, EX_CANTCREAT, "cannot make %s: %s", path,
		    strerror(errno));
	else
		code = cli_auth(c, "backup", NULL, 0, fd, false, NULL);
	if (fd >= 0 && code == EX_OK && os_fsync(fd) != 0)
		code = cli_fail(
		    c, EX_IOERR, "cannot write %s: %s", path, strerror(errno));
	if (fd >= 0)
		os_close(&fd);
	x_free(&path);
	return code;
}

static int
sync_dirs(struct cli *c, const char *top, const char *const *names, size_t n)
{
	int code = EX_OK;

	for (size_t i = 0; i < n && code == EX_OK; i++) {
		char *path = join(top, str_c(names[i]));

		if (os_fsync_dir(path) != 0)
			code = cli_fail(c, EX_IOERR, "cannot flush %s: %s",
			    path, strerror(errno));
		x_free(&path);
	}
	return code;
}

static const char *const folders[] = {"", "log", "index", "auth"};

int
cmd_backup(struct cli *c)
{
	static const char *const mine[] = {"", "auth"};
	struct copying k = {.c = c};
	enum err e;
	int code;

	if (!cli_args(c, 1, 1))
		return EX_USAGE;
	if ((code = cli_data(c, false)) != EX_OK)
		return code;
	if (!cli_is_empty(c->argv[0]))
		return cli_fail(c, EX_CANTCREAT,
		    "%s is not empty: a backup wants a folder of its own",
		    c->argv[0]);
	if (!make_dirs(c, c->argv[0], mine, NELEM(mine)))
		return EX_CANTCREAT;
	/* Accounts first: whoever has mail in the copy of the log that is made
	 * then, and is not in them, was added meanwhile. */
	if ((code = backup_auth(c, c->argv[0])) != EX_OK ||
	    (code = sync_dirs(c, c->argv[0], mine, NELEM(mine))) != EX_OK)
		return code;
	if ((k.dir = os_open(c->argv[0], O_RDONLY | O_DIRECTORY, 0)) < 0 ||
	    store_backup_begin(k.dir) != OK)
		return cli_fail(
		    c, EX_CANTCREAT, "cannot write to %s", c->argv[0]);
	code = cli_mail(c, "backup", NULL, 0, -1, take_file, &k);
	if (code == EX_OK)
		code = k.code;
	if (code == EX_OK && (e = store_backup_end(k.dir)) != OK) /* (1) */
		code = cli_fail(c, cli_exit(e), "cannot write to %s: %s",
		    c->argv[0], err_name(e));
	os_close(&k.dir);
	if (code == EX_OK)
		printf("%llu files, %llu bytes\n", (unsigned long long)k.files,
		    (unsigned long long)k.bytes);
	return code;
}

/* One file; what is no regular one is passed over. */
static int
restore_file(struct cli *c, const char *src, const char *dst, const char *name)
{
	char *from = join(src, str_c(name));
	char *to = join(dst, str_c(name));
	int fd = os_open(from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	struct stat st;
	int code = EX_OK;
	enum err e;

	if (fd < 0 ? errno != ELOOP : os_fstat(fd, &st) != 0)
		code = cli_fail(
		    c, EX_IOERR, "cannot read %s: %s", from, strerror(errno));
	else if (fd >= 0 && S_ISREG(st.st_mode) &&
		 (e = copy_file(fd, (uint64_t)st.st_size, to)) != OK)
		code = cli_fail(
		    c, cli_exit(e), "cannot write %s: %s", to, err_name(e));
	if (fd >= 0)
		os_close(&fd);
	x_free(&from);
	x_free(&to);
	return code;
}

/* Copies the regular files of one folder of the backup, which may lack it. */
static int
restore_folder(struct cli *c, const char *from, const char *folder)
{
	char *src = join(from, str_c(folder)),
	     *dst = join(c->data, str_c(folder));
	struct os_dir *d = os_dir_open(src);
	const char *name;
	int code = EX_OK;

	while (d != NULL && code == EX_OK && (name = os_dir_next(d)) != NULL)
		code = restore_file(c, src, dst, name);
	if (code == EX_OK && errno != 0 && (d != NULL || errno != ENOENT))
		code = cli_fail(
		    c, EX_IOERR, "cannot read %s: %s", src, strerror(errno));
	os_dir_close(&d);
	x_free(&src);
	x_free(&dst);
	return code;
}

/* FORMAT itself is not copied: the store writes it when all is done. */
static int
known_format(struct cli *c, const char *from, unsigned *format)
{
	char *path = join(from, S("FORMAT"));
	struct buf b = {0};
	uint64_t v = 0;
	int code = EX_OK;

	if (os_slurp(path, 100, &b) != OK)
		code = cli_fail(
		    c, EX_NOINPUT, "%s holds no complete backup", from);
	else if (!str_u64(str_trim(buf_str(&b)), &v) || v == 0 ||
		 v > STORE_FORMAT)
		code =
		    cli_fail(c, EX_NOINPUT, "%s is of a newer version", from);
	*format = (unsigned)v;
	buf_free(&b);
	x_free(&path);
	return code;
}

static void
progress(void *arg, const char *what, uint64_t done, uint64_t all)
{
	(void)arg;
	cli_progress(what, done, all, 0);
}

/* Opens the store offline: rebuild from the log, or after a restore. */
static int
open_offline(struct cli *c, bool rebuild, bool restored, unsigned format)
{
	struct store_opts o = {.dir = c->data,
	    .no_background = true,
	    .rebuild = rebuild,
	    .restored = restored,
	    .restored_format = format,
	    .progress = progress};
	struct store *st = NULL;
	struct store_stats s;
	enum err e;

	mime_charsets_load();
	e = store_open(&o, &st);
	if (e == ERR_BUSY)
		return cli_fail(c, EX_TEMPFAIL,
		    "a server runs on %s: stop it first", c->data);
	if (e != OK)
		return cli_fail(c, cli_exit(e),
		    "the store cannot be opened: %s", err_name(e));
	store_stats(st, &s);
	printf("%llu accounts, %llu mailboxes, %llu messages\n",
	    (unsigned long long)s.accounts, (unsigned long long)s.mailboxes,
	    (unsigned long long)s.messages);
	store_close(&st);
	return EX_OK;
}

int
cmd_restore(struct cli *c)
{
	unsigned format;
	int code;

	if (!cli_args(c, 1, 1))
		return EX_USAGE;
	if ((code = known_format(c, c->argv[0], &format)) != EX_OK)
		return code;
	if (!cli_is_empty(c->data)) /* (2) */
		return cli_fail(c, EX_CANTCREAT,
		    "%s is not empty: move it away first", c->data);
	if ((code = cli_data(c, true)) != EX_OK)
		return code;
	if (!make_dirs(c, c->data, folders, NELEM(folders)))
		return EX_CANTCREAT;
	/* The first is the folder with FORMAT: no server starts on half a
	 * copy. */
	for (size_t i = 1; i < NELEM(folders) && code == EX_OK; i++)
		code = restore_folder(c, c->argv[0], folders[i]);
	if (code == EX_OK)
		code = sync_dirs(c, c->data, folders, NELEM(folders));
	return code == EX_OK ? open_offline(c, false, true, format) : code;
}

int
cmd_rebuild(struct cli *c)
{
	int code;

	if (!cli_args(c, 0, 0))
		return EX_USAGE;
	if ((code = cli_data(c, false)) != EX_OK)
		return code;
	return open_offline(c, true, false, 0);
}
