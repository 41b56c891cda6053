/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Dovecot's authentication client protocol, version 1.x, on a UNIX socket:
 * what Postfix (smtpd_sasl_type = dovecot) and Exim speak to check the
 * people who submit mail. Lines of fields between tabs; requests have
 * numbers, and many may be under way on one connection.
 *
 * (1) A line is bounded, and so are requests under way and unread answers.
 * (2) Passwords in clear: only from loopback or a connection that the peer
 *     says is secured.
 * (3) There is no channel to bind to: no -PLUS, no EXTERNAL.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "auth/serve.h"

#define LINE_MAX_BYTES 16384
#define OUT_MAX 262144
#define REQUESTS_MAX 512

struct dovecot {
	struct watch w;
	struct client c;
	struct dovecot *next;
	struct buf in, out;
	bool greeted;       /* VERSION has come */
	struct map *finals; /* requests that wait to hear the last data */
};

static void
dovecot_free(struct server *s, struct watch *w)
{
	struct dovecot *d = (struct dovecot *)w;

	wipe_buf(&d->in);
	wipe_buf(&d->out);
	os_close(&d->w.fd);
	x_free(&d);
}

static void
finals_free(struct dovecot *d)
{
	size_t at = 0;
	void *v;

	while (d->finals != NULL && map_next(d->finals, &at, NULL, &v))
		x_free(&v);
	map_free(&d->finals);
}

static void
dovecot_drop(struct server *s, struct dovecot *d)
{
	struct dovecot **at;

	for (at = &s->dovecots; *at != NULL && *at != d; at = &(*at)->next)
		;
	if (*at == NULL)
		return;
	*at = d->next;
	s->ndovecots--;
	client_end(s, &d->c);
	finals_free(d);
	watch_end(s, &d->w);
}

/* ---- answers ---- */

/* Writes what it can; false: the peer is gone or does not read. */
static bool
flush(struct server *s, struct dovecot *d)
{
	ssize_t n;

	while (d->out.n > 0) {
		n = send(d->w.fd, d->out.p, d->out.n, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0)
			return false;
		buf_eat(&d->out, (size_t)n);
	}
	watch_set(s, &d->w, d->out.n > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
	return d->out.n <= OUT_MAX;
}

static void
answer(struct server *s, struct dovecot *d, struct buf *line)
{
	if (d->w.dead) {
		buf_free(line);
		return;
	}
	buf_c(line, '\n');
	buf_str_add(&d->out, buf_str(line));
	wipe_buf(line);
	/* Not dropped here: whoever answers is in the middle of a request of
	 * this connection. The end of the stream is seen next. */
	if (!flush(s, d)) {
		buf_free(&d->out);
		(void)shutdown(d->w.fd, SHUT_RDWR);
	}
}

/* Tab, newline, NUL and the escape itself (Dovecot's strescape). */
static void
field(struct buf *b, str v)
{
	for (size_t i = 0; i < v.n; i++) {
		switch (v.p[i]) {
		case '\t':
			buf_s(b, "\001t");
			break;
		case '\n':
			buf_s(b, "\001n");
			break;
		case '\r':
			buf_s(b, "\001r");
			break;
		case '\0':
			buf_s(b, "\0010");
			break;
		case '\001':
			buf_s(b, "\0011");
			break;
		default:
			buf_c(b, v.p[i]);
		}
	}
}

static struct dovecot *
dovecot_of(struct client *c)
{
	return (struct dovecot *)((char *)c - offsetof(struct dovecot, c));
}

static void
dovecot_challenge(struct server *s, struct client *c, uint64_t id, str data)
{
	struct buf b = {0};

	buf_f(&b, "CONT\t%llu\t", (unsigned long long)id);
	base64_put(&b, data);
	answer(s, dovecot_of(c), &b);
}

static void
ok_line(struct buf *b, uint64_t id, str name)
{
	buf_f(b, "OK\t%llu\tuser=", (unsigned long long)id);
	field(b, name);
}

/* SMTP has no place for data in its last reply: they go as one more
 * challenge, whose empty answer gets the OK. */
static bool
dovecot_done(struct server *s, struct client *c, const struct attempt *t,
    const struct acct *u, str final)
{
	struct dovecot *d = dovecot_of(c);
	struct buf b = {0};
	char *old;

	if (final.n == 0) {
		ok_line(&b, t->conn, acct_name(u));
	} else {
		old = map_put_u64(d->finals, t->conn, x_cstr(acct_name(u)));
		x_free(&old);
		buf_f(&b, "CONT\t%llu\t", (unsigned long long)t->conn);
		base64_put(&b, final);
	}
	answer(s, d, &b);
	return true;
}

static void
fail(struct server *s, struct dovecot *d, uint64_t id, const char *rest)
{
	struct buf b = {0};

	buf_f(&b, "FAIL\t%llu%s", (unsigned long long)id, rest);
	answer(s, d, &b);
}

static void
dovecot_failed(struct server *s, struct client *c, const struct attempt *t,
    enum auth_fail why, uint32_t delay_ms)
{
	static const char *const rest[] = {
	    [AUTH_WRONG] = "",
	    [AUTH_TEMP] = "\ttemp",
	    [AUTH_MECH] = "\treason=Unsupported authentication mechanism",
	    [AUTH_MALFORMED] = "\treason=Invalid base64 or grammar",
	    [AUTH_EXPIRED] = "\tpass_expired",
	    [AUTH_THROTTLED] = "",
	};
	struct buf b = {0};

	buf_f(&b, "FAIL\t%llu", (unsigned long long)t->conn);
	if (t->x.name.n > 0) {
		buf_s(&b, "\tuser=");
		field(&b, str_head(buf_str(&t->x.name), AUTH_NAME_MAX));
	}
	buf_str_add(&b, str_c(rest[why]));
	answer(s, dovecot_of(c), &b);
}

static const struct client_ops dovecot_ops = {
    dovecot_challenge, dovecot_done, dovecot_failed};

/* ---- requests ---- */

struct request {
	uint64_t id;
	struct attempt_facts f;
	bool secured, initial;
	struct buf resp;
	char key[16];
};

/* rip=: the key and whether it is this machine. Without it there is no
 * stranger: the peer itself is local. */
static bool
remote(struct request *r, str ip)
{
	char c[INET6_ADDRSTRLEN];

	if (ip.n >= sizeof(c))
		return false;
	memcpy(c, ip.p, ip.n);
	c[ip.n] = '\0';
	if (inet_pton(AF_INET, c, r->key) == 1) {
		r->f.address = str_of(r->key, 4);
	} else if (inet_pton(AF_INET6, c, r->key) == 1) {
		static const char mapped[12] = {[10] = '\xff', [11] = '\xff'};
		if (memcmp(r->key, mapped, 12) == 0) {
			memmove(r->key, r->key + 12, 4);
			r->f.address = str_of(r->key, 4);
		} else {
			r->f.address = str_of(r->key, 8);
		}
	} else {
		return false;
	}
	r->f.text = ip;
	return true;
}

static bool
loopback(const struct request *r)
{
	if (r->f.address.n == 4)
		return r->key[0] == 127;
	return r->f.address.n == 0 || str_eq(r->f.text, S("::1"));
}

/* The fields after mechanism; resp is the last, and the rest of the line.
 * An empty initial response is "="; nothing at all is none: Exim says so for
 * a client that waits to be asked. */
static bool
parameters(struct request *r, str rest)
{
	str f;

	while (rest.n > 0) {
		if (str_starts(rest, S("resp="))) {
			rest = str_from(rest, 5);
			r->initial = rest.n > 0;
			return str_eq(rest, S("=")) ||
			       base64_get(&r->resp, rest) == OK;
		}
		f = str_cut(&rest, '\t');
		if (str_eq(f, S("secured")) || str_starts(f, S("secured=")))
			r->secured = true;
		else if (str_starts(f, S("rip=")) && f.n > 4 &&
			 !remote(r, str_from(f, 4)))
			return false;
	}
	return true;
}

static bool
offered(struct server *s, str mech)
{
	str rest = buf_str(&s->mechs[0]), m;

	while (rest.n > 0) {
		m = str_cut(&rest, ' ');
		if (str_caseeq(m, mech))
			return true;
	}
	return false;
}

/* AUTH id mechanism parameters. False: the connection ends. */
static bool
request(struct server *s, struct dovecot *d, str rest)
{
	struct request r = {0};
	str empty = S(""), data;
	bool plain;

	if (!str_u64(str_cut(&rest, '\t'), &r.id) || r.id > UINT32_MAX)
		return false;
	r.f.mech = str_cut(&rest, '\t');
	plain = str_caseeq(r.f.mech, S("PLAIN")) ||
		str_caseeq(r.f.mech, S("LOGIN"));
	if (map_get_u64(d->c.attempts, r.id) != NULL)
		return false;
	if (map_count(d->c.attempts) + map_count(d->finals) >= REQUESTS_MAX) {
		fail(s, d, r.id, "\ttemp");
	} else if (!parameters(&r, rest)) {
		fail(s, d, r.id, "\treason=Invalid parameters");
	} else if (r.f.mech.n == 0 || !offered(s, r.f.mech)) {
		fail(s, d, r.id,
		    "\treason=Unsupported authentication mechanism");
	} else if (plain && !r.secured && !loopback(&r)) {
		fail(s, d, r.id, "\treason=Plaintext authentication needs TLS");
	} else {
		data = r.resp.n > 0 ? buf_str(&r.resp) : empty;
		attempt_start(s, &d->c, r.id, &r.f, r.initial ? &data : NULL);
	}
	wipe_buf(&r.resp);
	return true;
}

/* CONT id base64 */
static bool
more(struct server *s, struct dovecot *d, str rest)
{
	struct buf data = {0}, b = {0};
	uint64_t id;
	char *name;

	if (!str_u64(str_cut(&rest, '\t'), &id))
		return false;
	if ((name = map_get_u64(d->finals, id)) != NULL) {
		map_del_u64(d->finals, id);
		if (rest.n == 0) {
			ok_line(&b, id, str_c(name));
			answer(s, d, &b);
		} else {
			fail(s, d, id, "");
		}
		x_free(&name);
		return true;
	}
	if (map_get_u64(d->c.attempts, id) == NULL)
		return true;
	if (base64_get(&data, rest) != OK) {
		attempt_abort(s, &d->c, id);
		fail(s, d, id, "\treason=Invalid base64 data");
	} else {
		attempt_step(s, &d->c, id, data.n > 0 ? buf_str(&data) : S(""));
	}
	wipe_buf(&data);
	return true;
}

static bool
cancel(struct server *s, struct dovecot *d, str rest)
{
	uint64_t id;
	char *name;

	if (!str_u64(str_cut(&rest, '\t'), &id))
		return false;
	name = map_del_u64(d->finals, id);
	x_free(&name);
	attempt_abort(s, &d->c, id);
	return true;
}

static bool
line_in(struct server *s, struct dovecot *d, str line)
{
	str rest = line, word = str_cut(&rest, '\t');
	uint32_t major;

	if (!d->greeted) {
		if (!str_eq(word, S("VERSION")) ||
		    !str_u32(str_cut(&rest, '\t'), &major) || major != 1)
			return false;
		d->greeted = true;
		return true;
	}
	if (str_eq(word, S("AUTH")))
		return request(s, d, rest);
	if (str_eq(word, S("CONT")))
		return more(s, d, rest);
	if (str_eq(word, S("CANCEL")))
		return cancel(s, d, rest);
	/* CPID, and what later minor versions may add. */
	return word.n > 0;
}

/* ---- the connection ---- */

static void
greet(struct server *s, struct dovecot *d)
{
	struct buf b = {0};
	str rest = buf_str(&s->mechs[0]), m;
	uint8_t cookie[16];

	buf_s(&b, "VERSION\t1\t2\n");
	while (rest.n > 0) {
		m = str_cut(&rest, ' ');
		buf_s(&b, "MECH\t");
		buf_str_add(&b, m);
		if (str_starts(m, S("SCRAM")))
			buf_s(&b, "\tmutual-auth\n");
		else
			buf_s(&b, "\tplaintext\n");
	}
	os_random(cookie, sizeof(cookie));
	buf_f(&b, "SPID\t%ld\nCUID\t%llu\nCOOKIE\t", (long)getpid(),
	    (unsigned long long)++s->dovecot_next);
	hex_put(&b, str_of(cookie, sizeof(cookie)));
	buf_s(&b, "\nDONE");
	answer(s, d, &b);
}

/* All whole lines. False: drop the peer. */
static bool
lines(struct server *s, struct dovecot *d)
{
	str all = buf_str(&d->in), rest = all;
	size_t nl;
	bool ok = true;

	while (ok && !d->w.dead && (nl = str_chr(rest, '\n')) < rest.n) {
		ok = nl <= LINE_MAX_BYTES && line_in(s, d, str_head(rest, nl));
		rest = str_from(rest, nl + 1);
	}
	if (rest.n > LINE_MAX_BYTES)
		ok = false;
	if (rest.n < all.n) {
		/* The rest moves down; where it stood may be a password. */
		size_t used = all.n - rest.n, n = d->in.n;
		memmove(d->in.p, d->in.p + used, n - used);
		x_wipe(d->in.p + (n - used), used);
		d->in.n = n - used;
	}
	return ok;
}

static void
dovecot_ready(struct server *s, struct watch *w, uint32_t events)
{
	struct dovecot *d = (struct dovecot *)w;
	ssize_t n;
	char *p;

	if ((p = buf_room(&d->in, 4096)) == NULL) {
		dovecot_drop(s, d);
		return;
	}
	n = os_read(d->w.fd, p, 4096);
	if (n > 0)
		d->in.n += (size_t)n;
	if (n == 0 || (n < 0 && errno != EAGAIN) || (n > 0 && !lines(s, d)) ||
	    !flush(s, d))
		dovecot_drop(s, d);
}

void
dovecot_add(struct server *s, int fd)
{
	struct dovecot *d = x_alloc(sizeof(*d));

	d->w.ready = dovecot_ready;
	d->w.free = dovecot_free;
	d->w.fd = fd;
	if (watch_add(s, &d->w, fd, EPOLLIN) != OK) {
		dovecot_free(s, &d->w);
		return;
	}
	client_init(&d->c, &dovecot_ops);
	d->finals = map_new();
	d->next = s->dovecots;
	s->dovecots = d;
	s->ndovecots++;
	greet(s, d);
}

void
dovecot_accept(struct server *s, struct watch *w, uint32_t events)
{
	struct os_addr from;
	int fd;

	if ((fd = os_accept(w->fd, &from)) < 0)
		return;
	if (s->ndovecots < DOVECOTS_MAX) {
		dovecot_add(s, fd);
		return;
	}
	log_warn("too many connections for authentication");
	os_close(&fd);
}

void
dovecots_end(struct server *s)
{
	while (s->dovecots != NULL)
		dovecot_drop(s, s->dovecots);
}
