/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The command line's door: DATA/run/control.sock. A request is run on the
 * pool thread that reads it; its lines go back as they come.
 *
 * (1) Only root and the user that this process runs as may ask (R122).
 * (2) A caller that does not read holds up its own request alone, and for
 *     limits.stall_s at most.
 */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "auth/auth.h"
#include "daemon/ctl.h"
#include "daemon/mail_int.h"

#define ARGS_MAX 64

struct control {
	struct mail *mail;
	struct chan *ch;
	struct watch *watch;
	struct ctl_kept kept;
	bool gone; /* the caller does not read, or has hung up */
};

static void
control_free(struct control *c)
{
	struct mail *m = c->mail;

	pthread_mutex_lock(&m->control_lock);
	for (size_t i = 0; i < CONTROLS_MAX; i++)
		if (m->controls[i] == c)
			m->controls[i] = NULL;
	pthread_mutex_unlock(&m->control_lock);
	net_unwatch(&c->watch);
	ctl_forget(&c->kept);
	chan_free(&c->ch);
	x_free(&c);
}

/* (2) */
static void
control_send(struct control *c, struct msg *m)
{
	int64_t end = os_mono_ms() + (int64_t)limits.stall_s * 1000;
	struct pollfd p = {chan_fd(c->ch), POLLOUT, 0};

	if (c->gone) {
		msg_free(m);
		return;
	}
	if (chan_send(c->ch, m) != OK)
		c->gone = true;
	while (!c->gone && chan_flush(c->ch)) {
		if (os_mono_ms() >= end)
			c->gone = true;
		else
			(void)poll(&p, 1, 1000);
	}
}

static void
control_line(void *ctx, str line, int fd)
{
	struct msg m;

	msg_new(&m, MSG_CTL_LINE);
	msg_str(&m, line);
	if (fd >= 0)
		msg_fd(&m, fd);
	control_send(ctx, &m);
}

/* ---- who and kick ---- */

static void
who_line(void *ctx, const struct net_seen *s)
{
	struct buf b = {0};
	uint16_t port = 0;

	if (s->label == 0)
		return;
	log_escape(&b, s->what);
	buf_c(&b, '\t');
	os_addr_print(s->peer, &b, &port);
	if (port != 0)
		buf_f(&b, " %u", (unsigned)port);
	buf_f(&b, "\t%lld s",
	    (long long)(MAX(os_wall_ms() - s->since_ms, 0) / 1000));
	control_line(ctx, buf_str(&b), -1);
	buf_free(&b);
}

static enum err
kick(struct control *c, str typed, struct buf *why)
{
	struct buf name = {0}, line = {0};
	uint64_t account = 0;

	if (auth_name(&name, typed) == OK)
		account = sessions_account(c->mail, buf_str(&name));
	buf_free(&name);
	if (account == 0) {
		buf_s(why, "nobody of that name is logged in");
		return ERR_NOTFOUND;
	}
	buf_f(&line, "%u sessions end", sessions_kick(c->mail, account));
	control_line(c, buf_str(&line), -1);
	buf_free(&line);
	return OK;
}

/* ---- requests ---- */

static enum err
control_run(struct control *c, str verb, const str *arg, size_t n, int fd,
    struct buf *why)
{
	if (str_eq(verb, S("who"))) {
		net_each(c->mail->net, who_line, c);
		return OK;
	}
	if (str_eq(verb, S("kick")) && n == 1)
		return kick(c, arg[0], why);
	return ctl_run(
	    c->mail->store, verb, arg, n, fd, control_line, c, why, &c->kept);
}

/* False: that was no request. */
static bool
control_request(struct control *c, struct msg *m)
{
	str verb = msg_get_str(m), arg[ARGS_MAX];
	uint32_t n = msg_get_u32(m);
	struct buf why = {0};
	struct msg end;
	int fd = -1;
	enum err e;

	if (m->type != MSG_CTL || n > ARGS_MAX)
		return false;
	for (uint32_t i = 0; i < n; i++)
		arg[i] = msg_get_str(m);
	if (m->nfds > 0)
		fd = msg_get_fd(m);
	if (!msg_end(m)) {
		if (fd >= 0)
			os_close(&fd);
		return false;
	}
	log_info("control", KV_S("verb", verb));
	e = control_run(c, verb, arg, n, fd, &why);
	if (fd >= 0)
		os_close(&fd);
	msg_new(&end, MSG_CTL_END);
	msg_u8(&end, (uint8_t)e);
	msg_str(&end, e == OK ? S("") : buf_str(&why));
	control_send(c, &end);
	buf_free(&why);
	return true;
}

static void
control_ready(void *arg)
{
	struct control *c = arg;
	bool dead = false, good = true;
	struct msg m;

	while (good && !c->gone && chan_recv(c->ch, &m, &dead)) {
		good = control_request(c, &m);
		msg_free(&m);
	}
	if (!good)
		log_warn("the control socket was misused");
	if (!good || dead || c->gone)
		control_free(c);
}

/* ---- who may come in ---- */

/* False: there are as many as there may be. */
static bool
control_new(struct mail *m, int fd)
{
	struct control *c = NULL;

	pthread_mutex_lock(&m->control_lock);
	for (size_t i = 0; i < CONTROLS_MAX && c == NULL; i++)
		if (m->controls[i] == NULL)
			m->controls[i] = c = x_alloc(sizeof(*c));
	pthread_mutex_unlock(&m->control_lock);
	if (c == NULL)
		return false;
	c->mail = m;
	c->ch = chan_new(fd);
	/* It may run before we have been told which watch it is. */
	net_watch_into(m->net, fd, control_ready, c, &c->watch);
	return true;
}

static void
control_accept(void *arg)
{
	struct mail *m = arg;
	struct os_addr peer;
	uid_t uid;
	int fd;

	while ((fd = os_accept(m->control_fd, &peer)) >= 0) {
		/* (1) */
		if (os_peer_uid(fd, &uid) != 0 ||
		    (uid != 0 && uid != geteuid())) {
			log_warn("a stranger at the control socket",
			    KV_N("uid", uid));
			os_close(&fd);
			continue;
		}
		if (!control_new(m, fd)) {
			log_warn("too many at the control socket");
			os_close(&fd);
		}
	}
	if (errno != EAGAIN && errno != ECONNABORTED)
		log_error("control socket", KV_ERRNO(errno));
}

void
control_begin(struct mail *m, int fd)
{
	control_end(m);
	m->control_fd = fd;
	m->control = net_watch(m->net, fd, control_accept, m);
}

void
control_end(struct mail *m)
{
	net_unwatch(&m->control);
	if (m->control_fd >= 0)
		os_close(&m->control_fd);
}

void
control_free_all(struct mail *m)
{
	for (size_t i = 0; i < CONTROLS_MAX; i++)
		if (m->controls[i] != NULL)
			control_free(m->controls[i]);
}
