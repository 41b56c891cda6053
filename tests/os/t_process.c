/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* Processes; R92. */
#include "t_os.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int
wait_for(const struct os_child *c)
{
	struct pollfd p = {c->pidfd, POLLIN, 0};
	int status;

	assert_int_equal(poll(&p, 1, 20000), 1);
	assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
	close(c->pidfd);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* In the child: 0 when all is as promised, else the number of what is not. */
static int
look_around(void *arg)
{
	const ino_t *inode = arg;
	struct stat st;
	sigset_t blocked;
	int death = 0;

	for (int i = 0; i < 2; i++)
		if (fstat(3 + i, &st) != 0 || st.st_ino != inode[i])
			return 1;
	for (int fd = 5; fd < 256; fd++)
		if (fcntl(fd, F_GETFD) != -1)
			return 2;
	if ((fcntl(3, F_GETFD) & FD_CLOEXEC) == 0)
		return 3;
	if (prctl(PR_GET_PDEATHSIG, &death) != 0 || death != SIGKILL)
		return 4;
	sigprocmask(SIG_SETMASK, NULL, &blocked);
	if (sigismember(&blocked, SIGUSR1) != 0)
		return 5;
	if (signal(SIGUSR1, SIG_DFL) != SIG_DFL ||
	    signal(SIGPIPE, SIG_IGN) != SIG_IGN)
		return 6;
	return 0;
}

static void
test_spawn(void **state)
{
	struct os_child c;
	ino_t inode[2];
	int keep[2];
	int low[2];
	struct stat st;
	sigset_t set;

	low[0] = os_memfd("a");
	low[1] = os_memfd("b");
	/* In each other's places, and one far up. */
	keep[0] = low[1] == 4 ? low[1] : fcntl(low[1], F_DUPFD, 200);
	keep[1] = low[0];
	for (int i = 0; i < 2; i++) {
		fstat(keep[i], &st);
		inode[i] = st.st_ino;
	}
	signal(SIGUSR1, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	assert_int_equal(
	    os_spawn(&c, "restante: child", keep, 2, look_around, inode), OK);
	assert_int_equal(wait_for(&c), 0);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	signal(SIGUSR1, SIG_DFL);
	close(keep[0]);
	close(low[0]);
	if (keep[0] != low[1])
		close(low[1]);
}

static int
say_pid_and_sleep(void *arg)
{
	pid_t pid = getpid();

	if (write(3, &pid, sizeof(pid)) != sizeof(pid))
		return 1;
	sleep(60);
	return 0;
}

static int
parent_of_sleeper(void *arg)
{
	struct os_child c;
	int out = 3;

	if (os_spawn(&c, "sleeper", &out, 1, say_pid_and_sleep, NULL) != OK)
		return 1;
	sleep(60);
	return 0;
}

/* Whoever's parent is killed dies: its end of the pipe closes. */
static void
test_dies_with_parent(void **state)
{
	struct os_child c;
	struct pollfd p;
	int end[2];
	pid_t sleeper;

	assert_int_equal(pipe2(end, O_CLOEXEC), 0);
	assert_int_equal(
	    os_spawn(&c, "middle", &end[1], 1, parent_of_sleeper, NULL), OK);
	close(end[1]);
	assert_int_equal(
	    read(end[0], &sleeper, sizeof(sleeper)), sizeof(sleeper));
	kill(c.pid, SIGKILL);
	assert_int_equal(wait_for(&c), -SIGKILL);
	p = (struct pollfd){end[0], POLLIN, 0};
	assert_int_equal(poll(&p, 1, 10000), 1);
	assert_int_equal(read(end[0], &sleeper, sizeof(sleeper)), 0);
	close(end[0]);
}

static int
show_title(void *arg)
{
	struct buf b = {0};
	bool ok;

	os_title("restante: a title that is rather long, as titles go");
	if (os_slurp("/proc/self/cmdline", 1 << 20, &b) != OK)
		return 1;
	ok = str_starts(buf_str(&b), S("restante: a title that "));
	buf_reset(&b);
	if (os_slurp("/proc/self/comm", 100, &b) != OK)
		return 2;
	ok = ok && str_eq(buf_str(&b), S("restante: a tit\n"));
	buf_free(&b);
	/* The environment is where it was for whoever asks. */
	return ok && getenv("PATH") != NULL ? 0 : 3;
}

static void
test_title(void **state)
{
	struct os_child c;

	assert_int_equal(os_spawn(&c, "short", NULL, 0, show_title, NULL), OK);
	assert_int_equal(wait_for(&c), 0);
}

static void
test_notify(void **state)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char t[32];

	os_notify("READY=1"); /* nobody listens: nothing happens */
	snprintf(un.sun_path, sizeof(un.sun_path), "%s", in_work("notify"));
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	setenv("NOTIFY_SOCKET", un.sun_path, 1);
	os_notify("READY=1");
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(recv(fd, t, sizeof(t), MSG_DONTWAIT), 7);
	assert_memory_equal(t, "READY=1", 7);
	close(fd);
}

static int
limits_of_child(void *arg)
{
	uint64_t have = 0;
	struct rlimit r = {100, 200};

	if (setrlimit(RLIMIT_NOFILE, &r) != 0)
		return 1;
	if (os_fd_limit(50, &have) != OK || have != 100)
		return 2;
	if (os_fd_limit(150, &have) != OK || have != 150)
		return 3;
	/* As far as the hard limit goes, or as root further. */
	if (os_fd_limit(1000, &have) != OK || have < 200)
		return 4;
	os_no_core(); /* R92 */
	if (getrlimit(RLIMIT_CORE, &r) != 0 || r.rlim_max != 0)
		return 5;
	return 0;
}

static void
test_limits(void **state)
{
	struct os_child c;

	assert_int_equal(os_spawn(&c, "x", NULL, 0, limits_of_child, NULL), OK);
	assert_int_equal(wait_for(&c), 0);
}

int
t_process(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_spawn),
	    cmocka_unit_test(test_dies_with_parent),
	    cmocka_unit_test(test_title),
	    cmocka_unit_test(test_notify),
	    cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
