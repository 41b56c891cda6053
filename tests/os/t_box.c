/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* The box: what it denies (R88, R92), and what must go on working in it. */
#include "t_os.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <lmdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

static const enum os_box boxes[] = {BOX_FRONT, BOX_KEYS, BOX_AUTH, BOX_MAIL};

static struct os_box_opts
opts_of(enum os_box box)
{
	bool files = box == BOX_AUTH || box == BOX_MAIL;

	return (struct os_box_opts){.dir = files ? work : NULL,
	    .uid = (uid_t)-1,
	    .gid = (gid_t)-1,
	    .chroot_empty = !files};
}

static void
test_probe(void **state)
{
	for (size_t i = 0; i < NELEM(boxes); i++) {
		struct os_box_opts o = opts_of(boxes[i]);
		struct buf b = {0};

		assert_int_equal(os_box_probe(boxes[i], &o, &b), OK);
		assert_true(str_find(buf_str(&b), S("open ")) < b.n);
		assert_true(str_find(buf_str(&b), S("execve denied\n")) < b.n);
#ifndef RESTANTE_WIDE_SECCOMP
		/* R88, R92 */
		if (str_find(buf_str(&b), S("allowed")) < b.n)
			fail_msg("box %zu:\n%.*s", i, STR_ARG(buf_str(&b)));
#endif
		buf_free(&b);
	}
}

/* Runs f in a box; its result, or minus the signal that ended it. */
static int
in_box(enum os_box box, const struct os_box_opts *o, int (*f)(enum os_box))
{
	pid_t pid = fork();
	int status;
	int abi;

	if (pid == 0)
		_exit(os_box_enter(box, o, &abi) == OK ? f(box) : 99);
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void *
thread(void *arg)
{
	char *p = malloc(3 << 20);

	memset(p, 1, 3 << 20);
	free(p);
	return arg;
}

/* What every kind of process does all day. */
static int
work_of_all(enum os_box box)
{
	struct epoll_event e = {.events = EPOLLIN};
	int ep = epoll_create1(EPOLL_CLOEXEC);
	int ev = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	uint64_t one = 1;
	pthread_t t[4];
	struct stat st;
	char r[8];

	if (ep < 0 || ev < 0 || timer < 0)
		return 1;
	if (epoll_ctl(ep, EPOLL_CTL_ADD, ev, &e) != 0 ||
	    write(ev, &one, 8) != 8 || epoll_wait(ep, &e, 1, 1000) != 1)
		return 2;
	for (size_t i = 0; i < NELEM(t); i++)
		if (pthread_create(&t[i], NULL, thread, NULL) != 0)
			return 3;
	for (size_t i = 0; i < NELEM(t); i++)
		pthread_join(t[i], NULL);
	os_random(r, sizeof(r));
	if (os_mono_ms() <= 0 || os_now().sec <= 0)
		return 4;
	if (fstat(ev, &st) != 0)
		return 5;
	os_title("restante: x");
	log_fd(ev);
	log_info("in the box");
	errno = 0;
#ifndef RESTANTE_WIDE_SECCOMP
	/* EPERM, not the end: libraries look for files. */
	if (os_open("/etc/hostname", O_RDONLY, 0) != -1 ||
	    (errno != EPERM && errno != EACCES))
		return 6;
	if (socket(AF_UNIX, SOCK_STREAM, 0) != -1 || errno != EPERM)
		return 7;
	if (kill(getppid(), 0) != -1 || errno != EPERM)
		return 8;
#endif
	return 0;
}

/* What front and intake do besides. */
static int
work_of_front(enum os_box box)
{
	int pair[2];
	int fd = os_memfd("mail");
	char t[4];

	if (fd < 0 || os_write_all(fd, "abc", 3) != 0 ||
	    os_pwrite(fd, "d", 1, 3) != 1 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) != 0)
		return 11;
	if (os_socketpair(SOCK_STREAM, pair) != 0)
		return 12;
	if (send(pair[0], "abc", 3, MSG_NOSIGNAL) != 3 ||
	    recv(pair[1], t, 3, 0) != 3 || shutdown(pair[0], SHUT_WR) != 0)
		return 13;
	return 0;
}

/* And what auth and mail do. */
static int
work_of_files(enum os_box box)
{
	char path[256];
	MDB_env *env = NULL;
	MDB_txn *txn = NULL;
	struct buf b = {0};
	int fd;

	snprintf(path, sizeof(path), "%s", in_work("boxed"));
	fd = os_open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || os_allocate(fd, 0, 100000) != 0 ||
	    os_ftruncate(fd, 10) != 0 || os_fdatasync(fd) != 0)
		return 21;
	if (os_spill(in_work("spilt"), S("x"), 0600) != OK ||
	    os_slurp(in_work("spilt"), 10, &b) != OK)
		return 22;
	if (os_mkdir(in_work("dir"), 0700) != 0 || rmdir(in_work("dir")) != 0 ||
	    os_unlink(path) != 0)
		return 23;
	if ((fd = os_lock(in_work("lock2"))) < 0)
		return 24;
	if (mdb_env_create(&env) != 0 ||
	    mdb_env_set_mapsize(env, 1 << 20) != 0 ||
	    mdb_env_open(env, in_work("boxed.mdb"), MDB_NOSUBDIR, 0600) != 0)
		return 25;
	if (mdb_txn_begin(env, NULL, 0, &txn) != 0 || mdb_txn_commit(txn) != 0)
		return 26;
	mdb_env_close(env);
	buf_free(&b);
	return 0;
}

static void
test_goes_on(void **state)
{
	struct os_box_opts o;

	for (size_t i = 0; i < NELEM(boxes); i++) {
		o = opts_of(boxes[i]);
		assert_int_equal(in_box(boxes[i], &o, work_of_all), 0);
	}
	o = opts_of(BOX_FRONT);
	assert_int_equal(in_box(BOX_FRONT, &o, work_of_front), 0);
	o = opts_of(BOX_AUTH);
	assert_int_equal(in_box(BOX_AUTH, &o, work_of_files), 0);
	o = opts_of(BOX_MAIL);
	assert_int_equal(in_box(BOX_MAIL, &o, work_of_files), 0);
}

static int
end_itself(enum os_box box)
{
	abort();
}

static int
make_process(enum os_box box)
{
	return fork() < 0 ? 1 : 0;
}

static void
test_ends(void **state)
{
	struct os_box_opts o = opts_of(BOX_FRONT);

	signal(SIGABRT, SIG_DFL); /* cmocka catches it */
	assert_int_equal(in_box(BOX_FRONT, &o, end_itself), -SIGABRT);
#ifndef RESTANTE_WIDE_SECCOMP
	assert_int_equal(in_box(BOX_FRONT, &o, make_process), -SIGSYS);
#else
	(void)make_process;
#endif
}

static int
who(enum os_box box)
{
	gid_t groups[8];

	if (getuid() != 65534 || geteuid() != 65534 || getgid() != 65534)
		return 31;
	if (getgroups(8, groups) > 0)
		return 32;
	return setuid(0) == 0 ? 33 : 0;
}

/* As root: another user, in an empty directory that cannot be filled. */
static int
empty(enum os_box box)
{
	if (who(box) != 0)
		return who(box);
	if (access("/etc", F_OK) == 0)
		return 34;
	return mkdir("/x", 0700) == 0 ? 35 : 0;
}

static void
test_user(void **state)
{
	struct os_box_opts o = {.uid = 65534, .gid = 65534};

	if (getuid() != 0) {
		o.uid = getuid() + 1; /* no right to: (2) of box.c */
		assert_int_equal(in_box(BOX_NONE, &o, who), 99);
		return;
	}
	assert_int_equal(in_box(BOX_NONE, &o, who), 0);
	o.chroot_empty = true;
	assert_int_equal(in_box(BOX_NONE, &o, empty), 0);
}

static int
put(const char *name, const char *text)
{
	int fd = open(in_work(name), O_RDWR | O_CREAT | O_TRUNC, 0600);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) > 0;

	if (fd >= 0)
		close(fd);
	return ok ? 0 : -1;
}

/* R89: no secret of another process of the same user is read, written, or
 * brought to where it can be. */
static int
look_around(enum os_box box)
{
	char from[4096];

	(void)box;
	if (open(in_work("mine/x"), O_RDWR) < 0 || put("mine/new", "x") != 0)
		return 1;
	if (open(in_work("one"), O_RDWR) < 0)
		return 2;
	if (open(in_work("theirs/secret"), O_RDONLY) >= 0 ||
	    open(in_work("theirs/secret"), O_WRONLY) >= 0 ||
	    open(in_work("other"), O_RDONLY) >= 0)
		return 3;
	snprintf(from, sizeof(from), "%s", in_work("theirs/secret"));
	if (rename(from, in_work("mine/secret")) == 0 ||
	    link(from, in_work("mine/secret")) == 0)
		return 4;
	snprintf(from, sizeof(from), "%s", in_work("theirs"));
	if (rename(from, in_work("mine/theirs")) == 0)
		return 5;
	if (open(in_work("mine"), O_TMPFILE | O_RDWR, 0600) < 0)
		return 6;
	return 0;
}

static void
test_within(void **state)
{
	static const char *const within[] = {"mine", "one", "missing", NULL};
	struct os_box_opts o = opts_of(BOX_MAIL);

	if (syscall(444, NULL, 0, 1) < 2)
		skip(); /* a kernel without Landlock */
	assert_int_equal(os_mkdir(in_work("mine"), 0700), 0);
	assert_int_equal(os_mkdir(in_work("theirs"), 0700), 0);
	assert_int_equal(put("mine/x", "x"), 0);
	assert_int_equal(put("one", "x"), 0);
	assert_int_equal(put("other", "x"), 0);
	assert_int_equal(put("theirs/secret", "x"), 0);
	o.within = within;
#ifdef RESTANTE_WIDE_SECCOMP
	(void)look_around;
	(void)o;
#else
	assert_int_equal(in_box(BOX_MAIL, &o, look_around), 0);
#endif
	(void)unlink(in_work("theirs/secret"));
	(void)unlink(in_work("mine/x"));
	(void)unlink(in_work("mine/new"));
}

/* What the supervisor keeps: the children can still be other users, and
 * empty their bounding set. */
static int
few_rights(enum os_box box)
{
	struct os_box_opts o = {
	    .uid = 65534, .gid = 65534, .chroot_empty = true};
	int abi;

	if (os_keep_few_rights() != OK)
		return 1;
	if (prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0) != 0 ||
	    prctl(PR_CAPBSET_READ, CAP_NET_RAW, 0, 0, 0) != 0 ||
	    prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 2;
	if (getuid() != 0)
		return 0;
	if (prctl(PR_CAPBSET_READ, CAP_KILL, 0, 0, 0) != 1)
		return 3;
	if (chown(in_work(""), 1, 1) == 0)
		return 4;
	if (os_box_enter(box, &o, &abi) != OK || getuid() != 65534)
		return 5;
	return prctl(PR_CAPBSET_READ, CAP_KILL, 0, 0, 0) == 0 ? 0 : 6;
}

static void
test_few_rights(void **state)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(few_rights(BOX_NONE));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	/* Without root nothing can leave the bounding set; nothing is in the
	 * others either. */
	if (getuid() == 0)
		assert_int_equal(status, 0);
}

int
t_box(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_probe),
	    cmocka_unit_test(test_goes_on),
	    cmocka_unit_test(test_ends),
	    cmocka_unit_test(test_user),
	    cmocka_unit_test(test_within),
	    cmocka_unit_test(test_few_rights),
	};

	return cmocka_run_group_tests_name("box", tests, NULL, NULL);
}
