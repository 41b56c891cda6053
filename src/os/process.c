/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Processes: children that die with us, names, limits.
 *
 * (1) A child begins with the descriptors it was given and no other, with
 *     ordinary signals, none blocked; SIGPIPE and SIGXFSZ are ignored,
 *     since the calls that raise them also return an error.
 */
#include "os/os_int.h"

#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

/* The memory that ps shows: the arguments, and behind them the
 * environment, which os_title moves away first. */
static char *title_at;
static size_t title_room;
static bool environ_moved;

__attribute__((constructor)) static void
title_find(int argc, char **argv, char **envp)
{
	char *end;

	if (argc < 1 || argv == NULL || argv[0] == NULL)
		return;
	title_at = argv[0];
	end = title_at;
	for (int i = 0; i < argc && argv[i] == end; i++)
		end += strlen(argv[i]) + 1;
	for (char **e = envp; *e != NULL && *e == end; e++)
		end += strlen(*e) + 1;
	title_room = (size_t)(end - title_at);
}

static void
move_environ(void)
{
	static char **copy;
	size_t n = 0;

	while (environ[n] != NULL)
		n++;
	copy = x_array(n + 1, sizeof(*copy));
	for (size_t i = 0; i < n; i++)
		copy[i] = x_cstr(str_c(environ[i]));
	environ = copy;
	environ_moved = true;
}

void
os_title(const char *title)
{
	char name[16];

	snprintf(name, sizeof(name), "%s", title);
	prctl(PR_SET_NAME, name);
	fault_title(title);
	if (title_at == NULL || title_room < 2)
		return;
	if (!environ_moved)
		move_environ();
	memset(title_at, 0, title_room);
	snprintf(title_at, title_room, "%s", title);
}

static void
reset_signals(void)
{
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		if (i != SIGKILL && i != SIGSTOP)
			signal(i, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* keep[] to 3, 4, ...; everything else but 0, 1, 2 is closed. First all go
 * above the places they shall have, for they may stand in each other's. */
static bool
arrange_fds(const int *keep, size_t nkeep)
{
	int above = 3 + (int)nkeep;
	int high[64];

	if (nkeep > NELEM(high))
		return false;
	for (size_t i = 0; i < nkeep; i++) {
		high[i] = fcntl(keep[i], F_DUPFD_CLOEXEC, above);
		if (high[i] < 0)
			return false;
	}
	for (size_t i = 0; i < nkeep; i++)
		if (dup3(high[i], 3 + (int)i, O_CLOEXEC) < 0)
			return false;
	return syscall(SYS_close_range, (unsigned)above, ~0u, 0) == 0;
}

_Noreturn static void
child(pid_t parent, const char *title, const int *keep, size_t nkeep,
    int (*run)(void *arg), void *arg)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
		_exit(127); /* the parent was quicker to die */
	reset_signals();
	if (!arrange_fds(keep, nkeep)) {
		log_error("cannot arrange descriptors", KV_ERRNO(errno));
		_exit(127);
	}
	os_title(title);
	_exit(run(arg));
}

enum err
os_spawn(struct os_child *c, const char *title, const int *keep, size_t nkeep,
    int (*run)(void *arg), void *arg)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid < 0)
		return err_errno(errno);
	if (pid == 0)
		child(parent, title, keep, nkeep, run, arg);
	c->pid = pid;
	c->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (c->pidfd < 0) {
		enum err e = err_errno(errno);

		kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			continue;
		return e;
	}
	return OK;
}

void
os_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	size_t n = path == NULL ? 0 : strlen(path);
	int fd;

	if (n < 2 || n >= sizeof(un.sun_path))
		return;
	memcpy(un.sun_path, path, n);
	if (un.sun_path[0] == '@')
		un.sun_path[0] = '\0'; /* the abstract name space */
	if ((fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0)
		return;
	/* Whoever asked to be told may be gone: nothing depends on it. */
	(void)sendto(fd, state, strlen(state), MSG_NOSIGNAL,
	    (struct sockaddr *)&un,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
	os_close(&fd);
}

enum err
os_fd_limit(uint64_t want, uint64_t *have)
{
	struct rlimit now;
	struct rlimit next;

	if (getrlimit(RLIMIT_NOFILE, &now) != 0)
		return err_errno(errno);
	*have = now.rlim_cur;
	if (now.rlim_cur >= want)
		return OK;
	next.rlim_cur = want;
	next.rlim_max = MAX((rlim_t)want, now.rlim_max);
	if (setrlimit(RLIMIT_NOFILE, &next) != 0) {
		/* No right to raise the hard limit: as far as it goes. */
		next.rlim_cur = MIN((rlim_t)want, now.rlim_max);
		next.rlim_max = now.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &next) != 0)
			return err_errno(errno);
	}
	*have = next.rlim_cur;
	return OK;
}

void
os_no_core(void)
{
	struct rlimit none = {0, 0};

	setrlimit(RLIMIT_CORE, &none);
#ifndef RESTANTE_WIDE_SECCOMP
	/* Sanitizers look for leaks by ptrace. */
	prctl(PR_SET_DUMPABLE, 0);
#endif
}

/* ---- memory ---- */

enum { HEAPS_MIN = 2, HEAPS_MAX = 8, WORKED_US = 500, BUSY = 100, LONG = 60 };

void
os_memory(void)
{
	cpu_set_t set;
	int n = HEAPS_MIN;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		n = MIN(MAX(CPU_COUNT(&set), HEAPS_MIN), HEAPS_MAX);
	mallopt(M_ARENA_MAX, n);
}

static int64_t
cpu_us(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) != 0)
		return 0;
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* It looks at every free page of a heap, which nobody else can use meanwhile:
 * not while there is work (a BUSYth of one core), for then somebody waits for
 * it; but then at least every LONG calls. */
void
os_memory_rest(void)
{
	static int64_t seen_us, seen_cpu, given_cpu;
	static unsigned calls;
	int64_t now = os_mono_us(), cpu = cpu_us();
	bool busy = (cpu - seen_cpu) * BUSY > now - seen_us;

	seen_us = now;
	seen_cpu = cpu;
	if (cpu - given_cpu < WORKED_US || (busy && ++calls < LONG))
		return;
	calls = 0;
	malloc_trim(0);
	given_cpu = cpu_us();
}
