/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* See t_rig.h. */
#include "t_rig.h"

#include <sys/wait.h>
#include <unistd.h>

static struct auth_conf rig_conf;

static bool
settings(void *arg, str encoded, struct auth_conf *conf)
{
	*conf = rig_conf;
	/* Limits belong to the serving thread. */
	if (str_starts(encoded, S("delay="))) {
		uint64_t ms = 0;
		if (!str_u64(str_from(encoded, 6), &ms))
			return false;
		limits.auth_delay_ms = limits.auth_delay_max_ms = ms;
		return true;
	}
	conf->domains = encoded;
	return !str_eq(encoded, S("?"));
}

static void *
serve(void *arg)
{
	struct rig *r = arg;

	r->result = auth_serve(r->a, &r->env);
	return NULL;
}

/* The same in a process of its own, in its box. */
static void
boxed(struct rig *r, const char *dir)
{
	struct os_box_opts o = {.dir = dir, .uid = (uid_t)-1, .gid = (gid_t)-1};
	int abi = 0;

	if (auth_open(&r->a, dir, &rig_conf) != OK)
		_exit(10);
	if (os_box_enter(BOX_AUTH, &o, &abi) != OK)
		_exit(11);
	_exit(auth_serve(r->a, &r->env) == OK ? 0 : 12);
}

static int
listener(const char *path, bool packets)
{
	struct os_addr a;
	size_t n;
	int fd;

	assert_int_equal(os_addr_parse(str_c(path), &a, 1, &n), OK);
	a.packets = packets;
	fd = os_listen(&a, 16, 0600);
	assert_true(fd >= 0);
	return fd;
}

static struct chan *
pair(int *far)
{
	int fd[2];

	assert_int_equal(os_socketpair(SOCK_SEQPACKET, fd), 0);
	*far = fd[1];
	return chan_new(fd[0]);
}

struct chan *
rig_peer(struct rig *r, enum proc kind, uint32_t index)
{
	struct chan *c;
	struct msg m;
	int far;

	c = pair(&far);
	msg_new(&m, MSG_PEER);
	msg_u8(&m, (uint8_t)kind);
	msg_u32(&m, index);
	msg_fd(&m, far);
	assert_int_equal(chan_send(r->sup, &m), OK);
	return c;
}

void
rig_start(struct rig *r, const char *name, const struct auth_conf *conf,
    void (*fill)(struct auth *a))
{
	bool box = r->box;
	char path[128];
	struct msg m;
	int far;

	memset(r, 0, sizeof(*r));
	r->box = box;
	rig_conf = *conf;
	snprintf(r->data, sizeof(r->data), "%s/%s", work, name);
	assert_int_equal(os_mkdir(r->data, 0700), 0);
	snprintf(path, sizeof(path), "%s/run", r->data);
	assert_int_equal(os_mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/run/auth.sock", r->data);
	r->env.control = listener(path, true);
	snprintf(path, sizeof(path), "%s/run/dovecot.sock", r->data);
	r->env.dovecot = listener(path, false);
	r->sup = pair(&far);
	r->sup_far = chan_new(far);
	r->env.supervisor = r->sup_far;
	r->env.threads = 2;
	r->env.settings = settings;
	snprintf(path, sizeof(path), "%s/auth", r->data);
	assert_int_equal(auth_open(&r->a, path, conf), OK);
	if (fill != NULL)
		fill(r->a);
	if (box) {
		auth_close(&r->a);
		if ((r->child = fork()) == 0)
			boxed(r, path);
		assert_true(r->child > 0);
		chan_free(&r->sup_far);
		os_close(&r->env.control);
		os_close(&r->env.dovecot);
	} else {
		assert_int_equal(pthread_create(&r->thread, NULL, serve, r), 0);
	}
	rig_get(r->sup, MSG_READY, &m);
	msg_free(&m);
	r->mail = rig_peer(r, PROC_MAIL, 0);
	r->front = rig_peer(r, PROC_FRONT, 1);
	r->intake = rig_peer(r, PROC_INTAKE, 0);
}

void
rig_stop(struct rig *r)
{
	struct msg m;

	msg_new(&m, MSG_STOP);
	(void)chan_send(r->sup, &m);
	if (r->box) {
		int status = -1;
		assert_int_equal(waitpid(r->child, &status, 0), r->child);
		assert_int_equal(status, 0);
	} else {
		pthread_join(r->thread, NULL);
		assert_int_equal(r->result, OK);
	}
	chan_free(&r->sup);
	chan_free(&r->sup_far);
	chan_free(&r->front);
	chan_free(&r->intake);
	chan_free(&r->mail);
	auth_close(&r->a);
}

void
rig_get(struct chan *c, enum msg_type want, struct msg *m)
{
	enum err e;

	for (;;) {
		e = chan_wait(c, m, 20000);
		if (e != OK)
			fail_msg("no message %d: %s", (int)want, err_name(e));
		if (m->type == want)
			return;
		if (m->type != MSG_AUTH_MECHS)
			fail_msg("message %d, not %d", (int)m->type, (int)want);
		msg_free(m);
	}
}

void
rig_none(struct chan *c, int ms)
{
	struct msg m;
	enum err e = chan_wait(c, &m, ms);

	if (e == OK)
		fail_msg("message %d", (int)m.type);
}

void
rig_login(struct chan *c, uint64_t conn, const char *mech, const str *initial,
    str address, str exporter)
{
	struct msg m;

	msg_new(&m, MSG_AUTH_START);
	msg_u64(&m, conn);
	msg_u8(&m, PROTO_IMAP);
	msg_str(&m, str_c(mech));
	msg_u8(&m, initial != NULL);
	msg_str(&m, initial != NULL ? *initial : STR_NONE);
	msg_str(&m, address);
	msg_str(&m, S("192.0.2.1"));
	msg_u8(&m, exporter.n > 0);
	msg_str(&m, exporter);
	msg_str(&m, STR_NONE);
	assert_int_equal(chan_send(c, &m), OK);
}
