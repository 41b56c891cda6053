/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Addresses: read from settings, shown in logs, counted.
 *
 * (1) An IPv4 client on an IPv6 socket (::ffff:a.b.c.d) is that IPv4
 *     client, in print, for loopback and for counting.
 */
#include "os/os_int.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/un.h>

static void
make_v4(struct os_addr *a, struct in_addr ip, uint16_t port)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&a->ss;

	memset(a, 0, sizeof(*a));
	in->sin_family = AF_INET;
	in->sin_addr = ip;
	in->sin_port = htons(port);
	a->len = sizeof(*in);
}

static void
make_v6(struct os_addr *a, struct in6_addr ip, uint16_t port)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&a->ss;

	memset(a, 0, sizeof(*a));
	in6->sin6_family = AF_INET6;
	in6->sin6_addr = ip;
	in6->sin6_port = htons(port);
	a->len = sizeof(*in6);
}

static enum err
make_unix(struct os_addr *a, str path)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&a->ss;

	if (path.n >= sizeof(un->sun_path) || str_chr(path, '\0') != path.n)
		return ERR_INVALID;
	memset(a, 0, sizeof(*a));
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path.p, path.n);
	a->len =
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.n + 1);
	return OK;
}

enum err
os_addr_parse(str s, struct os_addr *v, size_t max, size_t *n)
{
	char text[INET6_ADDRSTRLEN + 1] = {0};
	size_t colon = str_rchr(s, ':');
	str host = str_head(s, colon);
	uint32_t port;
	struct in_addr v4 = {.s_addr = htonl(INADDR_ANY)};
	struct in6_addr v6 = IN6ADDR_ANY_INIT;

	*n = 0;
	if (max == 0)
		return ERR_LIMIT;
	if (str_starts(s, S("/"))) {
		*n = 1;
		return make_unix(&v[0], s);
	}
	if (colon == s.n || !str_u32(str_from(s, colon + 1), &port) ||
	    port > 65535)
		return ERR_INVALID;
	if (str_eq(host, S("*"))) {
		if (max < 2)
			return ERR_LIMIT;
		make_v4(&v[0], v4, (uint16_t)port);
		make_v6(&v[1], v6, (uint16_t)port);
		*n = 2;
		return OK;
	}
	if (host.n >= sizeof(text) || str_chr(host, '\0') != host.n)
		return ERR_INVALID;
	if (str_starts(host, S("[")) && str_ends(host, S("]")) && host.n > 2) {
		memcpy(text, host.p + 1, host.n - 2);
		if (inet_pton(AF_INET6, text, &v6) != 1)
			return ERR_INVALID;
		make_v6(&v[0], v6, (uint16_t)port);
	} else {
		memcpy(text, host.p, host.n);
		if (inet_pton(AF_INET, text, &v4) != 1)
			return ERR_INVALID;
		make_v4(&v[0], v4, (uint16_t)port);
	}
	*n = 1;
	return OK;
}

/* The IP address within a: 4 or 16 bytes, 0 when it is none. (1) */
static size_t
ip_of(const struct os_addr *a, const unsigned char **ip, uint16_t *port)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)&a->ss;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&a->ss;

	*port = 0;
	if (a->ss.ss_family == AF_INET) {
		*ip = (const unsigned char *)&in->sin_addr;
		*port = ntohs(in->sin_port);
		return 4;
	}
	if (a->ss.ss_family != AF_INET6)
		return 0;
	*ip = in6->sin6_addr.s6_addr;
	*port = ntohs(in6->sin6_port);
	if (!IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
		return 16;
	*ip += 12;
	return 4;
}

void
os_addr_print(const struct os_addr *a, struct buf *out, uint16_t *port)
{
	char text[INET6_ADDRSTRLEN];
	const unsigned char *ip;
	uint16_t unused;
	size_t n = ip_of(a, &ip, port != NULL ? port : &unused);

	if (n == 0)
		buf_s(out, "local");
	else if (inet_ntop(n == 4 ? AF_INET : AF_INET6, ip, text,
		     sizeof(text)) != NULL)
		buf_str_add(out, str_c(text));
}

bool
os_addr_loopback(const struct os_addr *a)
{
	const unsigned char *ip;
	uint16_t port;

	switch (ip_of(a, &ip, &port)) {
	case 4:
		return ip[0] == 127;
	case 16:
		return memcmp(ip, &in6addr_loopback, 16) == 0;
	default:
		return a->ss.ss_family == AF_UNIX;
	}
}

str
os_addr_key(const struct os_addr *a, char key[16])
{
	const unsigned char *ip;
	uint16_t port;
	size_t n = ip_of(a, &ip, &port);

	if (n == 0)
		return S("");
	n = MIN(n, (size_t)8); /* the /64 of an IPv6 address */
	memcpy(key, ip, n);
	return str_of(key, n);
}
