/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The lists of system calls.
 *
 * (1) What is not in a list fails with EPERM: libraries look for files and
 *     go on without them. What only an intruder would try ends the process.
 * (2) No list has socket, bind, listen or connect: the supervisor binds,
 *     and hands descriptors down.
 * (3) Memory is never made executable, and a process never makes another:
 *     clone is for threads alone. clone3 hides its flags behind a pointer
 *     that no filter can read, so it does not exist (ENOSYS), and the C
 *     library falls back to clone.
 * (4) Signals and limits: its own only.
 * (5) Sending never connects: a listening socket that was shut down can be
 *     connected anew, and MSG_FASTOPEN does so without connect. Nor does it
 *     name a receiver.
 */
#include "os/box_int.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#define ALL (1u << BOX_FRONT | 1u << BOX_KEYS | 1u << BOX_AUTH | 1u << BOX_MAIL)
#define FRONT (1u << BOX_FRONT)
#define FILES (1u << BOX_AUTH | 1u << BOX_MAIL)

struct call {
	unsigned boxes;
	const char *name;
};

/* clang-format off */
static const struct call allowed[] = {
	/* memory and threads */
	{ALL, "brk"}, {ALL, "munmap"}, {ALL, "mremap"}, {ALL, "madvise"},
	{ALL, "mincore"}, {ALL, "futex"}, {ALL, "futex_waitv"},
	{ALL, "set_robust_list"}, {ALL, "get_robust_list"}, {ALL, "rseq"},
	{ALL, "membarrier"}, {ALL, "set_tid_address"}, {ALL, "sched_yield"},
	{ALL, "sched_getaffinity"}, {ALL, "sched_getparam"},
	{ALL, "sched_getscheduler"}, {ALL, "sched_get_priority_min"},
	{ALL, "sched_get_priority_max"}, {ALL, "getcpu"},
	{ALL, "exit"}, {ALL, "exit_group"}, {ALL, "restart_syscall"},
	/* signals */
	{ALL, "rt_sigaction"}, {ALL, "rt_sigprocmask"}, {ALL, "rt_sigreturn"},
	{ALL, "rt_sigtimedwait"}, {ALL, "rt_sigpending"},
	{ALL, "rt_sigsuspend"}, {ALL, "sigaltstack"}, {ALL, "signalfd4"},
	/* who and when */
	{ALL, "getpid"}, {ALL, "gettid"}, {ALL, "getppid"}, {ALL, "getuid"},
	{ALL, "geteuid"}, {ALL, "getgid"}, {ALL, "getegid"},
	{ALL, "uname"}, {ALL, "sysinfo"}, {ALL, "getrusage"}, {ALL, "times"},
	{ALL, "getrandom"}, {ALL, "clock_gettime"}, {ALL, "clock_getres"},
	{ALL, "clock_nanosleep"}, {ALL, "nanosleep"}, {ALL, "gettimeofday"},
	{ALL, "time"},
	/* descriptors */
	{ALL, "read"}, {ALL, "write"}, {ALL, "readv"}, {ALL, "writev"},
	{ALL, "close"}, {ALL, "close_range"}, {ALL, "dup"}, {ALL, "dup2"},
	{ALL, "dup3"}, {ALL, "fstat"}, {ALL, "lseek"}, {ALL, "pipe2"},
	{ALL, "poll"}, {ALL, "ppoll"}, {ALL, "select"}, {ALL, "pselect6"},
	{ALL, "epoll_create1"}, {ALL, "epoll_ctl"}, {ALL, "epoll_wait"},
	{ALL, "epoll_pwait"}, {ALL, "epoll_pwait2"}, {ALL, "eventfd2"},
	{ALL, "timerfd_create"}, {ALL, "timerfd_settime"},
	{ALL, "timerfd_gettime"},
	{ALL, "pread64"}, {ALL, "preadv"},
	/* sockets that were given: (2) */
	{ALL, "recvmsg"}, {ALL, "recvfrom"},
	{ALL, "shutdown"}, {ALL, "getsockname"}, {ALL, "getpeername"},
	{ALL, "getsockopt"},
	{FRONT | FILES, "accept4"}, {FRONT | FILES, "accept"},
	/* anonymous files: a message on its way from intake to mail */
	{FRONT | FILES, "memfd_create"}, {FRONT | FILES, "ftruncate"},
	{FRONT | FILES, "pwrite64"}, {FRONT | FILES, "pwritev"},
	/* files beneath the folder */
	{FILES, "open"}, {FILES, "openat"}, {FILES, "openat2"},
	{FILES, "stat"}, {FILES, "lstat"}, {FILES, "statx"},
	{FILES, "access"}, {FILES, "faccessat"}, {FILES, "faccessat2"},
	{FILES, "readlink"}, {FILES, "readlinkat"}, {FILES, "getcwd"},
	{FILES, "getdents64"}, {FILES, "statfs"}, {FILES, "fstatfs"},
	{FILES, "fdatasync"}, {FILES, "fsync"}, {FILES, "sync_file_range"},
	{FILES, "preadv2"}, {FILES, "pwritev2"},
	{FILES, "truncate"}, {FILES, "fallocate"}, {FILES, "fadvise64"},
	{FILES, "readahead"}, {FILES, "flock"}, {FILES, "fchmod"},
	{FILES, "umask"}, {FILES, "utimensat"},
	{FILES, "rename"}, {FILES, "renameat"}, {FILES, "renameat2"},
	{FILES, "link"}, {FILES, "linkat"},
	{FILES, "unlink"}, {FILES, "unlinkat"}, {FILES, "rmdir"},
	{FILES, "mkdir"}, {FILES, "mkdirat"},
	{FILES, "sendfile"}, {FILES, "copy_file_range"}, {FILES, "splice"},
	{FILES, "mlock"}, {FILES, "munlock"}, {FILES, "msync"},
	{FILES, "setpriority"}, {FILES, "ioprio_set"},
};

static const char *const hostile[] = {
	"execve", "execveat", "fork", "vfork", "ptrace", "process_vm_readv",
	"process_vm_writev", "pidfd_getfd", "kcmp", "open_by_handle_at",
	"mount", "umount2", "pivot_root", "chroot", "setns", "unshare",
	"open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick",
	"mount_setattr", "bpf", "perf_event_open", "userfaultfd",
	"kexec_load", "kexec_file_load", "init_module", "finit_module",
	"delete_module", "reboot", "swapon", "swapoff", "iopl", "ioperm",
	"modify_ldt", "personality", "acct", "quotactl", "keyctl", "add_key",
	"request_key", "settimeofday", "clock_settime", "setuid", "setgid",
	"setreuid", "setregid", "setresuid", "setresgid", "setgroups",
	"setfsuid", "setfsgid", "capset", "mknod", "mknodat",
	"io_uring_setup",
};
/* clang-format on */

static int
rule(scmp_filter_ctx f, uint32_t action, const char *name)
{
	int nr = seccomp_syscall_resolve_name(name);

	/* Not on this machine, or too new for the library: not allowed. */
	if (nr < 0)
		return 0;
	return seccomp_rule_add(f, action, nr, 0);
}

/* One value of one argument. */
static int
allow_when(scmp_filter_ctx f, const char *name, struct scmp_arg_cmp when)
{
	int nr = seccomp_syscall_resolve_name(name);

	if (nr < 0)
		return 0;
	return seccomp_rule_add_array(f, SCMP_ACT_ALLOW, nr, 1, &when);
}

static int
allow_fcntl(scmp_filter_ctx f, enum os_box box)
{
	/* No F_SETOWN or F_SETSIG: they send signals. */
	static const int all[] = {F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD,
	    F_DUPFD_CLOEXEC, F_ADD_SEALS, F_GET_SEALS};
	static const int locks[] = {
	    F_GETLK, F_SETLK, F_SETLKW, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW};
	int r = 0;

	for (size_t i = 0; i < NELEM(all); i++)
		r |= allow_when(
		    f, "fcntl", SCMP_A1_32(SCMP_CMP_EQ, (uint32_t)all[i]));
	for (size_t i = 0; i < NELEM(locks) && (1u << box & FILES); i++)
		r |= allow_when(
		    f, "fcntl", SCMP_A1_32(SCMP_CMP_EQ, (uint32_t)locks[i]));
	return r;
}

static int
allow_sending(scmp_filter_ctx f, enum os_box box)
{
	struct scmp_arg_cmp to[] = {
	    SCMP_A3(SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, 0),
	    SCMP_A4(SCMP_CMP_EQ, 0)};
	struct scmp_arg_cmp option[] = {SCMP_A1_32(SCMP_CMP_EQ, IPPROTO_TCP),
	    SCMP_A2_32(SCMP_CMP_EQ, TCP_NODELAY)};
	int r = allow_when(
	    f, "sendmsg", SCMP_A2(SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, 0));

	r |= seccomp_rule_add_array(
	    f, SCMP_ACT_ALLOW, SCMP_SYS(sendto), NELEM(to), to);
	if (box != BOX_KEYS)
		r |= seccomp_rule_add_array(f, SCMP_ACT_ALLOW,
		    SCMP_SYS(setsockopt), NELEM(option), option);
	return r;
}

/* The calls that are allowed with some arguments only. */
static int
allow_some(scmp_filter_ctx f, enum os_box box)
{
	uint32_t me = (uint32_t)getpid();
	int r = allow_fcntl(f, box) | allow_sending(f, box); /* (5) */

	/* (3) */
	r |= allow_when(f, "mmap", SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	r |= allow_when(
	    f, "mprotect", SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	r |= allow_when(f, "clone",
	    SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	r |= seccomp_rule_add(f, SCMP_ACT_KILL_PROCESS, SCMP_SYS(clone), 1,
	    SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
	r |= rule(f, SCMP_ACT_ERRNO(ENOSYS), "clone3");
	/* (4) */
	r |= allow_when(f, "tgkill", SCMP_A0_32(SCMP_CMP_EQ, me));
	r |= allow_when(f, "kill", SCMP_A0_32(SCMP_CMP_EQ, me));
	r |= allow_when(f, "prlimit64", SCMP_A2(SCMP_CMP_EQ, 0));
	r |= rule(f, SCMP_ACT_ALLOW, "getrlimit");
	r |= allow_when(f, "prctl", SCMP_A0_32(SCMP_CMP_EQ, PR_SET_NAME));
	r |= allow_when(f, "prctl", SCMP_A0_32(SCMP_CMP_EQ, PR_GET_DUMPABLE));
	r |= allow_when(f, "ioctl", SCMP_A1_32(SCMP_CMP_EQ, FIONBIO));
	r |= allow_when(f, "ioctl", SCMP_A1_32(SCMP_CMP_EQ, FIONREAD));
	/* fstat, as the C library calls it. */
	if (1u << box & FILES)
		r |= rule(f, SCMP_ACT_ALLOW, "newfstatat");
	else
		r |= allow_when(f, "newfstatat",
		    SCMP_A3(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH));
	/* The pump between a client's TLS and its session. */
	if (box != BOX_KEYS)
		r |= allow_when(
		    f, "socketpair", SCMP_A0_32(SCMP_CMP_EQ, AF_UNIX));
	return r;
}

#ifdef RESTANTE_WIDE_SECCOMP

static int
fill(scmp_filter_ctx f, enum os_box box)
{
	(void)allowed;
	(void)hostile;
	(void)allow_some;
	return rule(f, SCMP_ACT_KILL_PROCESS, "execve") |
	       rule(f, SCMP_ACT_KILL_PROCESS, "execveat") |
	       rule(f, SCMP_ACT_ERRNO(EPERM), "ptrace");
}
#define OTHERWISE SCMP_ACT_ALLOW

#else

static int
fill(scmp_filter_ctx f, enum os_box box)
{
	int r = allow_some(f, box);

	for (size_t i = 0; i < NELEM(allowed); i++)
		if (allowed[i].boxes & 1u << box)
			r |= rule(f, SCMP_ACT_ALLOW, allowed[i].name);
	for (size_t i = 0; i < NELEM(hostile); i++)
		r |= rule(f, SCMP_ACT_KILL_PROCESS, hostile[i]);
	return r;
}
#define OTHERWISE SCMP_ACT_ERRNO(EPERM)

#endif

enum err
seccomp_enter(enum os_box box)
{
	scmp_filter_ctx f = seccomp_init(OTHERWISE);
	int r;

	if (f == NULL)
		return ERR_NOMEM;
	/* A tree, not a chain: the lists are long. Older libraries have none.
	 */
	(void)seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	r = seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (r == 0)
		r = fill(f, box);
	if (r == 0)
		r = seccomp_load(f);
	seccomp_release(f);
	if (r == 0)
		return OK;
	log_error("seccomp", KV_ERRNO(-r));
	return ERR_DENIED;
}
