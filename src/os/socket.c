/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Sockets, and descriptors that travel over them.
 *
 * (1) A message that did not arrive whole (bytes or descriptors) is not
 *     handed out at all: what came of it is closed.
 */
#include "os/os_int.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/un.h>

enum { FDS_MAX = 64 };

static int
new_socket(int family, int type)
{
	if (fault_here(OS_SOCKET) != 0)
		return -1;
	return socket(family, type | SOCK_CLOEXEC, 0);
}

static int
fail_closing(int fd)
{
	int saved = errno;

	os_close(&fd);
	errno = saved;
	return -1;
}

static int
sock_type(const struct os_addr *a)
{
	return a->packets ? SOCK_SEQPACKET : SOCK_STREAM;
}

/* A socket file that nobody listens on is left from an earlier life. */
static int
remove_stale(const struct os_addr *a)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)&a->ss;
	struct stat st;
	int fd;

	if (lstat(un->sun_path, &st) != 0)
		return errno == ENOENT ? 0 : -1;
	if (!S_ISSOCK(st.st_mode)) {
		errno = EEXIST;
		return -1;
	}
	if ((fd = new_socket(AF_UNIX, sock_type(a) | SOCK_NONBLOCK)) < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)&a->ss, a->len) == 0 ||
	    errno != ECONNREFUSED) {
		os_close(&fd);
		errno = EADDRINUSE;
		return -1;
	}
	os_close(&fd);
	return os_unlink(un->sun_path);
}

static int
bind_unix(int fd, const struct os_addr *a, mode_t mode)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)&a->ss;

	if (remove_stale(a) != 0 ||
	    bind(fd, (const struct sockaddr *)&a->ss, a->len) != 0)
		return -1;
	/* Until listen() nobody gets in, so there is no moment with the
	 * wrong rights. */
	return chmod(un->sun_path, mode);
}

static int
bind_inet(int fd, const struct os_addr *a)
{
	int on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
		return -1;
	if (a->ss.ss_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0)
		return -1;
	return bind(fd, (const struct sockaddr *)&a->ss, a->len);
}

int
os_listen(const struct os_addr *a, int backlog, mode_t unix_mode)
{
	int fd = new_socket(a->ss.ss_family, sock_type(a) | SOCK_NONBLOCK);
	int r;

	if (fd < 0)
		return -1;
	if (a->ss.ss_family == AF_UNIX)
		r = bind_unix(fd, a, unix_mode);
	else
		r = bind_inet(fd, a);
	if (r != 0 || listen(fd, backlog) != 0)
		return fail_closing(fd);
	return fd;
}

int
os_accept(int fd, struct os_addr *peer)
{
	int r;

	do {
		if (fault_here(OS_ACCEPT) != 0)
			return -1;
		memset(peer, 0, sizeof(*peer));
		peer->len = sizeof(peer->ss);
		r = accept4(fd, (struct sockaddr *)&peer->ss, &peer->len,
		    SOCK_CLOEXEC | SOCK_NONBLOCK);
		/* A client that left while it waited is no error of ours. */
	} while (r < 0 && (errno == EINTR || errno == ECONNABORTED));
	return r;
}

/* A connect that a signal interrupted goes on by itself. */
static int
await_connect(int fd)
{
	struct pollfd p = {fd, POLLOUT, 0};
	int error = 0;
	socklen_t n = sizeof(error);
	int r;

	do
		r = poll(&p, 1, -1);
	while (r < 0 && errno == EINTR);
	if (r < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0)
		return -1;
	errno = error;
	return error == 0 ? 0 : -1;
}

int
os_connect(const struct os_addr *a)
{
	int fd = new_socket(a->ss.ss_family, sock_type(a));

	if (fd < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)&a->ss, a->len) == 0)
		return fd;
	if (errno == EINTR && await_connect(fd) == 0)
		return fd;
	return fail_closing(fd);
}

int
os_socketpair(int type, int fd[2])
{
	if (fault_here(OS_SOCKET) != 0)
		return -1;
	return socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd);
}

union control {
	char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
	struct cmsghdr align;
};

ssize_t
os_sendmsg(int sock, const struct iovec *v, int n, const int *fds, int nfds)
{
	union control control = {.bytes = {0}};
	struct msghdr m = {
	    .msg_iov = (struct iovec *)(uintptr_t)v, .msg_iovlen = (size_t)n};
	ssize_t r;

	if (nfds < 0 || nfds > FDS_MAX) {
		errno = EINVAL;
		return -1;
	}
	if (nfds > 0) {
		size_t bytes = (size_t)nfds * sizeof(int);
		struct cmsghdr *c;

		m.msg_control = control.bytes;
		m.msg_controllen = CMSG_SPACE(bytes);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(bytes);
		memcpy(CMSG_DATA(c), fds, bytes);
	}
	if (fault_here(OS_SOCKET) != 0)
		return -1;
	do
		r = sendmsg(sock, &m, MSG_NOSIGNAL);
	while (r < 0 && errno == EINTR);
	return r;
}

/* Takes the descriptors out of m into fds (room for max); false, and all
 * closed, when something is missing or there are more than that. */
static bool
take_fds(struct msghdr *m, int *fds, int max, int *nfds)
{
	bool ok = (m->msg_flags & (MSG_CTRUNC | MSG_TRUNC)) == 0;
	int got = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL;
	     c = CMSG_NXTHDR(m, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (got < max) {
				fds[got++] = fd;
			} else {
				/* Padding let one more in than was asked. */
				os_close(&fd);
				ok = false;
			}
		}
	}
	for (; !ok && got > 0; got--)
		os_close(&fds[got - 1]);
	if (nfds != NULL)
		*nfds = got;
	return ok;
}

ssize_t
os_recvmsg(int sock, void *p, size_t n, int *fds, int *nfds)
{
	int max = nfds == NULL ? 0 : MIN(*nfds, FDS_MAX);
	union control control;
	struct iovec v = {p, n};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	ssize_t r;

	if (nfds != NULL)
		*nfds = 0;
	if (fault_here(OS_SOCKET) != 0)
		return -1;
	do {
		m.msg_control = max > 0 ? control.bytes : NULL;
		m.msg_controllen =
		    max > 0 ? CMSG_SPACE((size_t)max * sizeof(int)) : 0;
		r = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return -1;
	if (!take_fds(&m, fds, max, nfds)) {
		errno = EMSGSIZE; /* (1) */
		return -1;
	}
	return r;
}

int
os_peer_uid(int sock, uid_t *uid)
{
	struct ucred c;
	socklen_t n = sizeof(c);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &c, &n) != 0)
		return -1;
	*uid = c.uid;
	return 0;
}
