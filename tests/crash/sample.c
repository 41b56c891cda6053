/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * A small program whose durability is known, to try the machinery on: it
 * appends a blob to a file and flushes it, commits a reference to it in
 * LMDB, and acknowledges. With a fault by name it leaves one thing out, and
 * the replay must notice.
 *
 *   crash_sample write DIR COUNT [noblobsync|nodirsync|nosync|nometasync|
 *     norenamedir|fork|raw]
 *   crash_sample check DIR ACKED
 */
#include <fcntl.h>
#include <lmdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOB 5000

static const char *dir;
static const char *fault = "";

static bool
is(const char *name)
{
	return strcmp(fault, name) == 0;
}

static void
need(bool good, const char *what)
{
	if (good)
		return;
	printf("%s\n", what);
	exit(1);
}

static const char *
in_dir(const char *name)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static MDB_env *
env_open(unsigned flags)
{
	MDB_env *env;

	need(mdb_env_create(&env) == 0, "no LMDB");
	mdb_env_set_mapsize(env, 64 << 20);
	if (mdb_env_open(env, dir, flags, 0600) != 0)
		return NULL;
	return env;
}

static void
sync_dir(void)
{
	int fd = open(dir, O_RDONLY);

	if (!is("nodirsync"))
		need(fsync(fd) == 0, "fsync of the directory");
	close(fd);
}

static void
blob_fill(char *b, int i)
{
	memset(b, 'a' + i % 26, BLOB);
	snprintf(b, 20, "%08d", i);
}

static void
index_put(MDB_env *env, int i, long off)
{
	char value[1200];
	MDB_val k = {sizeof(i), &i};
	MDB_val v = {sizeof(value), value};
	MDB_txn *txn;
	MDB_dbi dbi;

	memset(value, i % 251, sizeof(value));
	memcpy(value, &off, sizeof(off));
	need(mdb_txn_begin(env, NULL, 0, &txn) == 0, "begin");
	need(mdb_dbi_open(txn, NULL, 0, &dbi) == 0, "dbi");
	need(mdb_put(txn, dbi, &k, &v, 0) == 0, "put");
	need(mdb_txn_commit(txn) == 0, "commit");
}

/* A file replaced by rename: its number must never fall. */
static void
counter_put(int i)
{
	char path[4096];
	char text[32];
	int n = snprintf(text, sizeof(text), "%d", i);
	int fd;

	snprintf(path, sizeof(path), "%s", in_dir("count.tmp"));
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	need(write(fd, text, (size_t)n) == n, "counter");
	need(fsync(fd) == 0, "counter");
	close(fd);
	need(rename(path, in_dir("count")) == 0, "rename");
	if (!is("norenamedir"))
		sync_dir();
}

static void
one(MDB_env *env, int seg, int i)
{
	char b[BLOB];
	char text[32];
	long off = lseek(seg, 0, SEEK_END);
	int n = snprintf(text, sizeof(text), "%d", i);
	bool raw = is("raw"); /* by number, as src/os does */

	blob_fill(b, i);
	if (raw)
		need(syscall(SYS_pwrite64, seg, b, sizeof(b), off) == BLOB,
		    "write");
	else
		need(write(seg, b, sizeof(b)) == BLOB, "write");
	if (!is("noblobsync"))
		need((raw ? syscall(SYS_fdatasync, seg) : fdatasync(seg)) == 0,
		    "flush");
	index_put(env, i, off);
	if (i % 8 == 7)
		counter_put(i);
	(void)!write(200, text, (size_t)n);
}

static void
work(int from, int to)
{
	unsigned flags = is("nosync")       ? MDB_NOSYNC
			 : is("nometasync") ? MDB_NOMETASYNC
					    : 0;
	MDB_env *env = env_open(flags);
	int seg = open(in_dir("seg"), O_WRONLY | O_CREAT | O_APPEND, 0600);

	need(env != NULL && seg >= 0, "open");
	sync_dir();
	for (int i = from; i < to; i++)
		one(env, seg, i);
	mdb_env_close(env);
	close(seg);
}

/* Half the work in a child, so that two processes write one log. */
static int
write_all(int count)
{
	int half = is("fork") ? count / 2 : 0;
	int st = 0;
	pid_t pid;

	if (half > 0) {
		if ((pid = fork()) == 0) {
			work(0, half);
			_exit(0);
		}
		need(
		    pid > 0 && waitpid(pid, &st, 0) == pid && st == 0, "child");
	}
	work(half, count);
	return 0;
}

static int
check_blobs(MDB_txn *txn, MDB_dbi dbi)
{
	int seg = open(in_dir("seg"), O_RDONLY);
	MDB_cursor *cu;
	MDB_val k;
	MDB_val v;

	need(mdb_cursor_open(txn, dbi, &cu) == 0, "cursor");
	while (mdb_cursor_get(cu, &k, &v, MDB_NEXT) == 0) {
		const unsigned char *p = v.mv_data;
		char want[BLOB];
		char got[BLOB];
		long off;
		int i;

		memcpy(&i, k.mv_data, sizeof(i));
		memcpy(&off, p, sizeof(off));
		blob_fill(want, i);
		need(pread(seg, got, BLOB, off) == BLOB, "blob is cut");
		need(memcmp(want, got, BLOB) == 0, "blob is wrong");
		for (int j = sizeof(off); j < 1200; j++)
			need(p[j] == i % 251, "value is wrong");
	}
	mdb_cursor_close(cu);
	return 0;
}

static int
counter_get(void)
{
	char text[32] = "";
	int fd = open(in_dir("count"), O_RDONLY);

	if (fd < 0)
		return -1;
	need(read(fd, text, sizeof(text) - 1) > 0, "counter is empty");
	close(fd);
	return (int)strtol(text, NULL, 10);
}

static int
check(int acked)
{
	MDB_env *env = env_open(MDB_NOLOCK);
	MDB_txn *txn;
	MDB_dbi dbi;
	int r;

	need(env != NULL || acked < 0, "does not open");
	if (env == NULL)
		return 0;
	need(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) == 0, "begin");
	r = mdb_dbi_open(txn, NULL, 0, &dbi);
	need(r == 0 || acked < 0, "no database");
	if (r == 0 && acked >= -1)
		check_blobs(txn, dbi);
	for (int i = 0; r == 0 && i <= acked; i++) {
		MDB_val k = {sizeof(i), &i};
		MDB_val v;

		need(mdb_get(txn, dbi, &k, &v) == 0, "acknowledged, not there");
	}
	need(counter_get() >= (acked + 1) / 8 * 8 - 1 || acked < 7,
	    "the counter has fallen");
	return 0;
}

int
main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	dir = argv[2];
	if (argc > 4)
		fault = argv[4];
	if (strcmp(argv[1], "write") == 0)
		return write_all(atoi(argv[3]));
	return check(argv[3][0] != '\0' ? atoi(argv[3]) : -1);
}
