/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* A connection of Dovecot's authentication protocol, fed in two pieces.
 * What is answered are lines; nobody without the password gets an OK. */
#include "fuzz.h"

#include <poll.h>
#include <sys/socket.h>

#include "auth_db.h"

static void
turns(struct server *s, int fd, struct buf *got)
{
	ssize_t n;
	char *p;

	for (int i = 0; i < 4; i++) {
		server_turn(s, 0);
		while ((p = buf_room(got, 4096)) != NULL &&
		       (n = recv(fd, p, 4096, MSG_DONTWAIT)) > 0)
			got->n += (size_t)n;
	}
}

void
fuzz_one(str in)
{
	static const struct auth_env env = {
	    .control = -1, .dovecot = -1, .threads = 1};
	static struct server s;
	static bool open;
	struct buf got = {0};
	int fd[2];

	limits.auth_delay_ms = limits.auth_delay_max_ms = 1;
	if (!open)
		FUZZ_TRUE(server_open(&s, auth_db(), &env) == OK);
	open = true;
	if (in.n > 65536)
		in.n = 65536;
	FUZZ_TRUE(os_socketpair(SOCK_STREAM, fd) == 0);
	dovecot_add(&s, fd[1]);
	(void)send(fd[0], in.p, in.n / 2, MSG_NOSIGNAL | MSG_DONTWAIT);
	turns(&s, fd[0], &got);
	(void)send(fd[0], in.p + in.n / 2, in.n - in.n / 2,
	    MSG_NOSIGNAL | MSG_DONTWAIT);
	turns(&s, fd[0], &got);
	FUZZ_TRUE(str_starts(buf_str(&got), S("VERSION\t1\t")));
	FUZZ_TRUE(str_ends(buf_str(&got), S("\n")));
	FUZZ_TRUE(str_find(buf_str(&got), S("\nOK\t")) == got.n);
	os_close(&fd[0]);
	for (int i = 0; i < 50 && (s.ndovecots > 0 || s.nattempts > 64); i++)
		server_turn(&s, 1);
	FUZZ_TRUE(s.ndovecots == 0);
	buf_free(&got);
}
