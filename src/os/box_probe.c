/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * What a box denies, found out by trying: each attempt in a child of its
 * own, since some end the process (R88, R92).
 */
#include "os/box_int.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* How a child ends. */
enum { ALLOWED = 40, DENIED, NO_BOX };

/* Made before the box closed, to be used in it. */
static int old_socket = -1;

static bool
try_open(void)
{
	return open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0;
}

static bool
try_create(void)
{
	static const char path[] = "/tmp/restante-probe";

	(void)unlink(path);
	if (open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600) < 0)
		return false;
	(void)unlink(path);
	return true;
}

static bool
try_socket(void)
{
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0;
}

static bool
try_unix_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0;
}

/* Nobody needs to answer: it is enough not to be refused the right. */
static bool
try_connect(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
	    .sin_port = htons(9),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	if (connect(old_socket, (struct sockaddr *)&in, sizeof(in)) == 0)
		return true;
	return errno != EPERM && errno != EACCES;
}

/* As connect, by another way: what is sent makes the connection. */
static bool
try_fastopen(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
	    .sin_port = htons(9),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct iovec v = {(void *)(uintptr_t) "x", 1};
	struct msghdr m = {.msg_name = &in,
	    .msg_namelen = sizeof(in),
	    .msg_iov = &v,
	    .msg_iovlen = 1};

	if (sendto(old_socket, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL,
		(struct sockaddr *)&in, sizeof(in)) >= 0 ||
	    (errno != EPERM && errno != EACCES))
		return true;
	if (sendmsg(old_socket, &m, MSG_FASTOPEN | MSG_NOSIGNAL) >= 0)
		return true;
	return errno != EPERM && errno != EACCES;
}

/* The kernel has more of them than anybody has looked at. */
static bool
try_socket_option(void)
{
	int on = 1;

	return setsockopt(
		   old_socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) == 0;
}

static bool
try_bind(void)
{
	struct sockaddr_in in = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	return bind(old_socket, (struct sockaddr *)&in, sizeof(in)) == 0;
}

static bool
try_execve(void)
{
	char *argv[] = {(char *)(uintptr_t) "true", NULL};
	char *envp[] = {NULL};

	execve("/bin/true", argv, envp);
	return errno != EPERM && errno != EACCES && errno != ENOENT;
}

static bool
try_ptrace(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0;
}

static bool
try_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid > 0;
}

static bool
try_kill(void)
{
	return kill(getppid(), 0) == 0;
}

static bool
try_exec_memory(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}

static bool
try_new_namespace(void)
{
	return unshare(CLONE_NEWUSER) == 0;
}

/* Would the process leave a core, or be read by another of its user? */
static bool
try_core(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_CORE, &r) != 0 || r.rlim_cur != 0)
		return true;
	return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0;
}

static const struct {
	const char *name;
	bool (*worked)(void);
} attempts[] = {
    {"open", try_open},
    {"create", try_create},
    {"socket", try_socket},
    {"unix-socket", try_unix_socket},
    {"connect", try_connect},
    {"connect-by-sending", try_fastopen},
    {"socket-option", try_socket_option},
    {"bind", try_bind},
    {"execve", try_execve},
    {"ptrace", try_ptrace},
    {"fork", try_fork},
    {"kill", try_kill},
    {"exec-memory", try_exec_memory},
    {"namespace", try_new_namespace},
    {"core", try_core},
};

_Noreturn static void
attempt(enum os_box box, const struct os_box_opts *o, bool (*worked)(void))
{
	int abi;

	old_socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (old_socket < 0 || os_box_enter(box, o, &abi) != OK)
		_exit(NO_BOX);
	_exit(worked() ? ALLOWED : DENIED);
}

/* Runs one attempt; the line's word, or NULL when the box did not close. */
static const char *
outcome(enum os_box box, const struct os_box_opts *o, bool (*worked)(void))
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return NULL;
	if (pid == 0)
		attempt(box, o, worked);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return NULL;
	if (WIFEXITED(status) && WEXITSTATUS(status) == NO_BOX)
		return NULL;
	if (WIFSIGNALED(status))
		return "denied";
	/* 0 is what /bin/true says: the attempt to run it worked. */
	return WEXITSTATUS(status) == DENIED ? "denied" : "allowed";
}

enum err
os_box_probe(enum os_box box, const struct os_box_opts *o, struct buf *out)
{
	for (size_t i = 0; i < NELEM(attempts); i++) {
		const char *word = outcome(box, o, attempts[i].worked);

		if (word == NULL)
			return ERR_DENIED;
		buf_f(out, "%s %s\n", attempts[i].name, word);
	}
	return buf_ok(out) ? OK : ERR_NOMEM;
}
