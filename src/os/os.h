/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * os: the only door to the system. Every call that can fail on real
 * machines goes through here, so that a test can make the n-th one fail.
 *
 * (1) Calls return the result or -1 with errno set, like the ones they
 *     wrap, but EINTR never comes back and short writes are completed (a
 *     short count means an error on the rest, errno set).
 * (2) Every descriptor is close-on-exec.
 * (3) Each call first asks os_fault: one hook for all. LMDB's pwrite,
 *     pwritev, write, fdatasync, fsync, ftruncate are wrapped at link time
 *     (--wrap) into the same hook.
 */
#ifndef OS_OS_H
#define OS_OS_H

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/base.h"

/* ---- faults: for tests ---- */
enum os_call {
	OS_OPEN,
	OS_READ,
	OS_WRITE,
	OS_SYNC,
	OS_TRUNCATE,
	OS_RENAME,
	OS_UNLINK,
	OS_MKDIR,
	OS_ALLOCATE,
	OS_ACCEPT,
	OS_SOCKET,
	OS_MEMORY,
	OS_LIST, /* opening a directory, and its next name */
	OS_STAT, /* fstat, and whether a file is there */
	OS_CALL_MAX
};
/* The n-th call (from 1, counted over all threads from now) of the kinds in
 * mask (1 << OS_WRITE | ...) fails with error; short_by > 0 makes a write
 * that much shorter instead, before failing. sticky: so do all later ones.
 * Also read from $RESTANTE_FAULT at start, in builds with -Dfaults=true:
 * "kinds:n:ERRNO[:short][:sticky][:in=TITLE]", e.g.
 * "write+sync:17:ENOSPC:in=mail": kinds are the names below in lower case;
 * short is "short" (by one) or a number of bytes; with in=, it is set in
 * the process that gives itself, by os_title, a title with TITLE in it.
 * $RESTANTE_FAULT_PAGE names a file (64 bytes; struct orders in fault.c) by
 * which a test makes faults and sets the wall clock while processes run.
 * In a build without -Dfaults=true these do nothing. */
void os_fault_set(
    unsigned mask, uint64_t n, int error, size_t short_by, bool sticky);
void os_fault_clear(void);
uint64_t os_fault_calls(void); /* calls of the mask seen since set */
bool os_fault_hit(void);       /* the fault has happened */
/* What the wrappers ask: 0 or the errno to fail with; *len may shrink. */
int os_fault(enum os_call call, size_t *len);

/* ---- files; paths are ours, never a user's bytes ---- */
int os_open(const char *path, int flags, mode_t mode);
int os_openat(int dirfd, const char *path, int flags, mode_t mode);
int os_close(int *fd); /* sets *fd to -1 */
/* Short only at the end of the file. */
ssize_t os_pread(int fd, void *p, size_t n, off_t at);
/* Fewer than n, and errno: it failed after these; -1: before the first. */
ssize_t os_pwrite(int fd, const void *p, size_t n, off_t at);
ssize_t os_pwritev(int fd, const struct iovec *v, int n, off_t at);
ssize_t os_read(int fd, void *p, size_t n); /* may be short */
/* 0: all of it; -1 and errno: not all. */
int os_write_all(int fd, const void *p, size_t n);
int os_fdatasync(int fd);
int os_fsync(int fd);
int os_fsync_dir(const char *path);
int os_syncfs(int fd);
int os_ftruncate(int fd, off_t n);
int os_allocate(int fd, off_t at, off_t n); /* zeros ahead, on disk */
int os_rename(const char *from, const char *to);
int os_renameat(int dirfd, const char *from, const char *to);
int os_unlink(const char *path);
/* A directory that is there already is success. */
int os_mkdir(const char *path, mode_t mode);
int os_fstat(int fd, struct stat *st);
/* 0: it is there. -1: errno says ENOENT, or why nobody knows. */
int os_exists(const char *path);
/* The names in a directory, but those with a dot in front. NULL at the end,
 * with errno 0, and when it cannot be read. */
struct os_dir;
struct os_dir *os_dir_open(const char *path);
const char *os_dir_next(struct os_dir *d);
void os_dir_close(struct os_dir **d);
int os_mkdirat(int dirfd, const char *path, mode_t mode);
/* The same; one that was made has its name flushed. */
int os_mkdir_durable(const char *path, mode_t mode);
/* Makes the folders above path, as mkdir -p does, in the same way. */
int os_mkdir_above(const char *path, mode_t mode);
int os_memfd(const char *name);  /* sealable anonymous file */
int os_tmpfile(const char *dir); /* unlinked file in dir */
/* Gives the regular files of dir/name (and the folder) to a user; what is
 * no plain file or folder is left alone. (uid_t)-1: nothing to do. */
void os_give(const char *dir, const char *name, uid_t uid, gid_t gid);
/* Exclusive lock of the file, made when missing; -1 EWOULDBLOCK: taken. */
int os_lock(const char *path);
/* Whole file of at most max bytes into out. */
enum err os_slurp(const char *path, size_t max, struct buf *out) MUST_CHECK;
/* Writes path atomically and durably: temporary, flush, rename, flush dir. */
enum err os_spill(const char *path, str content, mode_t mode) MUST_CHECK;

/* ---- time and chance; a test may set both ---- */
int64_t os_mono_ms(void); /* monotonic: timers */
int64_t os_mono_us(void);
int64_t os_wall_ms(void);  /* since 1970: dates */
struct stamp os_now(void); /* wall clock, local zone of the process */
void os_random(void *p, size_t n);
/* Tests: time stands there; a negative wall_ms lets it run again. */
void os_clock_fix(int64_t wall_ms, int64_t mono_ms);
void os_random_fix(uint64_t seed); /* tests: repeatable */

/* ---- a word that one thread waits for ---- */
/* Returns when it was woken, or at once when *word is another value; now and
 * then for no reason: look, and wait again. */
void os_word_wait(_Atomic uint32_t *word, uint32_t is);
/* Wakes who waits. Only the address is used: what was there may be gone. */
void os_word_wake(_Atomic uint32_t *word);

/* ---- sockets ---- */
/* "127.0.0.1:143", "[::1]:143", "*:143" (both families), "/path". */
struct os_addr {
	struct sockaddr_storage ss;
	socklen_t len;
	bool packets; /* UNIX: SOCK_SEQPACKET, for src/ipc; set after parsing */
};
enum err
os_addr_parse(str s, struct os_addr *v, size_t max, size_t *n) MUST_CHECK;
/* "192.0.2.1" / "2001:db8::1" / "local"; port 0 for a UNIX socket. */
void os_addr_print(const struct os_addr *a, struct buf *out, uint16_t *port);
bool os_addr_loopback(const struct os_addr *a); /* 127/8, ::1, UNIX */
/* The key for per-address counting: IPv4 whole, IPv6 /64. */
str os_addr_key(const struct os_addr *a, char key[16]);
/* Bound, listening, non-blocking; a stale UNIX socket is replaced. */
int os_listen(const struct os_addr *a, int backlog, mode_t unix_mode);
int os_accept(int fd, struct os_addr *peer); /* non-blocking socket */
int os_connect(const struct os_addr *a);     /* blocking */
int os_socketpair(int type, int fd[2]);      /* AF_UNIX, non-blocking */
/* One message with up to nfds descriptors. -1 EAGAIN when full or empty.
 * *nfds: in the room of fds, out what came; MSG_CTRUNC gives -1 EMSGSIZE
 * with the descriptors that did arrive closed. */
ssize_t
os_sendmsg(int sock, const struct iovec *v, int n, const int *fds, int nfds);
ssize_t os_recvmsg(int sock, void *p, size_t n, int *fds, int *nfds);
int os_peer_uid(int sock, uid_t *uid);

/* ---- processes ---- */
struct os_child {
	pid_t pid;
	int pidfd;
};
/* Forks; the child runs run(arg) and _exits with its result. The child
 * holds only the descriptors in keep[] (moved to 3, 4, ... in order) beside
 * 0, 1, 2 and dies with its parent. */
enum err os_spawn(struct os_child *c, const char *title, const int *keep,
    size_t nkeep, int (*run)(void *arg), void *arg) MUST_CHECK;
void os_title(const char *title); /* name shown by ps */
/* sd_notify, by hand: sends "READY=1" and such when $NOTIFY_SOCKET is set. */
void os_notify(const char *state);
enum err os_fd_limit(uint64_t want, uint64_t *have); /* raises the soft limit */
void os_no_core(void); /* no dumps, not ptraceable */
/* Before the first thread: as few heaps as the cores can use, for each keeps
 * what it once needed. */
void os_memory(void);
/* To be called now and then, by one thread: when this process has worked and
 * has come to rest, what is free in its heaps goes back to the system. */
void os_memory_rest(void);
/* What a supervisor of root needs to start children anew, for ever: other
 * users, an empty root, signals to them, keys and certificates wherever
 * they lie. All else goes, also from the bounding set, and no_new_privs is
 * set: nothing is run with more. Not root: everything goes. */
enum err os_keep_few_rights(void) MUST_CHECK;

/* ---- the box ---- */
enum os_box {
	BOX_FRONT, /* front and intake: empty root, no file, given sockets */
	BOX_KEYS,  /* no file, no socket but the given ones */
	BOX_AUTH,  /* its folder */
	BOX_MAIL,  /* the data directory */
	BOX_NONE
};
struct os_box_opts {
	const char *dir; /* the folder that stays reachable, or NULL */
	/* NULL, or folders and files in dir, the last one NULL: only they can
	 * be read and written; in dir itself names come and go. What is not
	 * there is passed over. */
	const char *const *within;
	uid_t uid; /* (uid_t)-1: stay who we are */
	gid_t gid;
	bool chroot_empty; /* as root: into an empty directory */
};
/* Before the first thread: chroot, user, no_new_privs, Landlock as far as
 * the kernel goes, then seccomp (a violation ends the process; with the
 * build option -Dwide_seccomp=true the list is widened for sanitizers).
 * *landlock_abi: what is in force, 0 for none (always 0 in a build with
 * -Dwide_seccomp=true). No box can make sockets but by socketpair, or bind,
 * or connect: the supervisor does. Nor can it load a library any more: what
 * iconv, OpenSSL or the C library need later is used once before. */
enum err os_box_enter(
    enum os_box box, const struct os_box_opts *o, int *landlock_abi) MUST_CHECK;
/* What a process of this kind is refused: forks, enters the box, tries
 * open, socket, connect, execve, ptrace, fork, kill one by one, and writes a
 * line "name denied|allowed" for each into out. For restante selftest. */
enum err os_box_probe(
    enum os_box box, const struct os_box_opts *o, struct buf *out) MUST_CHECK;

#endif
