/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The frame of front and intake. The main thread hears the supervisor; the
 * pool does all else.
 *
 * (1) Private keys are in the process keys, which is asked under a lock:
 *     its answers come in the order of the questions, each within
 *     milliseconds. One that does not come in SIGN_MS fails its handshake.
 */
#include <unistd.h>

#include "daemon/outer.h"

#define SIGN_MS 2000
#define CERTS_MAX (16 << 20)
#define THREADS 16

/* ---- signing ---- */

static enum err
sign(void *arg, uint32_t key, int nid, int padding, str in, struct buf *sig)
{
	struct outer *o = arg;
	uint64_t request, answers;
	enum err e;
	struct msg m;

	pthread_mutex_lock(&o->sign_lock);
	request = ++o->request;
	msg_new(&m, MSG_SIGN);
	msg_u64(&m, request);
	msg_u32(&m, key);
	msg_u32(&m, (uint32_t)nid);
	msg_u32(&m, (uint32_t)padding);
	msg_str(&m, in);
	if ((e = chan_send(o->keys, &m)) != OK)
		goto out;
	for (;;) {
		if ((e = chan_wait(o->keys, &m, SIGN_MS)) != OK)
			goto out;
		answers = msg_get_u64(&m);
		if (m.type != MSG_SIGNED || answers == request)
			break;
		msg_free(&m); /* to a question that was given up */
	}
	e = ERR_INVALID;
	if (m.type == MSG_SIGNED && msg_get_u8(&m) == 1) {
		buf_str_add(sig, msg_get_str(&m));
		if (msg_end(&m))
			e = OK;
	}
	msg_free(&m);
out:
	pthread_mutex_unlock(&o->sign_lock);
	if (e != OK)
		log_error("no signature", KV_ERR(e), KV_N("key", key));
	return e;
}

/* ---- what the supervisor says ---- */

static bool
take_settings(struct outer *o, struct msg *m)
{
	struct settings *s = settings_new();
	str encoded = msg_get_str(m);

	if (!msg_end(m) || settings_decode(s, encoded) != OK) {
		settings_free(&s);
		return false;
	}
	settings_free(&o->settings);
	o->settings = s;
	limits_copy(&limits, &s->limits);
	log_least(s->log_level);
	o->configure(o);
	return true;
}

static bool
make_contexts(struct outer *o, const struct tls_cert *certs, size_t n, str ca)
{
	struct tls *fresh;

	for (size_t i = 0; i < o->nservices; i++) {
		struct outer_service *v = &o->services[i];
		struct tls_opts t = {.certs = certs,
		    .ncerts = n,
		    .client_ca_pem = ca,
		    .alpn = v->alpn,
		    .strict_sni = o->settings->tls_strict_sni,
		    .sign = sign,
		    .sign_arg = o};

		if (tls_new(&t, &fresh) != OK)
			return false;
		net_listen_tls(o->net, v->s, fresh);
		pthread_mutex_lock(&o->door_lock);
		tls_unref(&v->tls);
		v->tls = fresh;
		pthread_mutex_unlock(&o->door_lock);
	}
	return true;
}

static bool
take_certs(struct outer *o, struct msg *m)
{
	uint32_t base = msg_get_u32(m), n;
	struct tls_cert *certs = NULL;
	struct blob b = {0};
	struct dec d;
	bool ok = false;
	str ca;

	if (msg_get_blob(m, CERTS_MAX, &b) != OK || !msg_end(m))
		return false;
	d = dec_of(b.s);
	n = dec_u32(&d);
	if (n > 0 && n <= dec_left(&d)) {
		certs = x_array(n, sizeof(*certs));
		for (uint32_t i = 0; i < n; i++)
			certs[i] = (struct tls_cert){dec_str(&d), base + i};
		ca = dec_str(&d);
		ok = dec_end(&d);
		if (ok && make_contexts(o, certs, n, ca)) {
			o->has_tls = true;
			o->client_ca = ca.n > 0;
			o->configure(o);
		}
	}
	x_free(&certs);
	blob_free(&b);
	return ok;
}

/* door_lock held. */
static void
serve(struct outer *o, const struct outer_held *h)
{
	struct outer_service *v = &o->services[h->service];

	net_listen(o->net, h->fd, v->s, h->tls ? v->tls : NULL, o->env);
}

void
outer_open(struct outer *o)
{
	pthread_mutex_lock(&o->door_lock);
	for (size_t i = 0; i < o->nheld; i++)
		serve(o, &o->held[i]);
	o->nheld = 0;
	o->shut = false;
	pthread_mutex_unlock(&o->door_lock);
}

static bool
take_listener(struct outer *o, struct msg *m)
{
	uint8_t protocol = msg_get_u8(m), tls = msg_get_u8(m);
	struct outer_held h = {.fd = msg_get_fd(m), .tls = tls != 0};
	bool ok = msg_end(m) && h.fd >= 0;

	while (ok && h.service < o->nservices &&
	       (o->services[h.service].protocol != protocol ||
		   (h.tls && o->services[h.service].tls == NULL)))
		h.service++;
	if (!ok || h.service == o->nservices) {
		log_error("a listener cannot be served",
		    KV_N("protocol", protocol), KV_N("tls", tls));
		if (h.fd >= 0)
			os_close(&h.fd);
		return true;
	}
	pthread_mutex_lock(&o->door_lock);
	if (o->shut) {
		o->held = x_grow(o->held, o->nheld + 1, sizeof(*o->held));
		o->held[o->nheld++] = h;
	} else {
		serve(o, &h);
	}
	pthread_mutex_unlock(&o->door_lock);
	return true;
}

static bool
take_peer(struct outer *o, struct msg *m)
{
	enum proc kind = msg_get_u8(m);
	uint32_t index = msg_get_u32(m);
	int fd = msg_get_fd(m);

	if (!msg_end(m) || fd < 0 || index != 0)
		goto bad;
	if (kind == PROC_AUTH) {
		link_bind(&o->auth, fd);
	} else if (kind == PROC_MAIL) {
		link_bind(&o->mail, fd);
	} else if (kind == PROC_KEYS) {
		pthread_mutex_lock(&o->sign_lock);
		chan_rebind(o->keys, fd);
		pthread_mutex_unlock(&o->sign_lock);
	} else {
		goto bad;
	}
	return true;
bad:
	if (fd >= 0)
		os_close(&fd);
	return false;
}

/* False: it is time to end. */
static bool
hear(struct outer *o)
{
	struct msg m;
	bool ok;
	enum err e = chan_wait(o->up, &m, 3600 * 1000);

	if (e != OK)
		return e != ERR_UNAVAILABLE;
	switch (m.type) {
	case MSG_SETTINGS:
		ok = take_settings(o, &m);
		break;
	case MSG_CERTS:
		ok = take_certs(o, &m);
		break;
	case MSG_LISTEN:
		ok = take_listener(o, &m);
		break;
	case MSG_PEER:
		ok = take_peer(o, &m);
		break;
	case MSG_STOP:
		msg_free(&m);
		return false;
	default:
		ok = false;
	}
	if (!ok)
		log_error(
		    "the supervisor is not understood", KV_N("type", m.type));
	msg_free(&m);
	return true;
}

/* ---- the whole ---- */

/* auth or mail, who have more rights than we, are not understood: one of us
 * is at fault, and begins anew. */
static void
end_now(struct link *l)
{
	_exit(1);
}

static void
net_begin(struct outer *o)
{
	struct net_opts n = {
	    .threads_min = 2,
	    .threads_max = THREADS,
	    .conns_max = o->conns,
	};
	uint64_t fds = 0;

	if (os_fd_limit((uint64_t)o->conns * 4 + 256, &fds) == OK)
		n.fds_max = fds;
	if (o->child->kind == PROC_FRONT) {
		n.shared_counts = o->child->counts;
		n.counts_rows = o->child->fronts;
		n.counts_row = o->child->index;
		/* The secret of the hash was made before we were. */
		n.counts_seed = hash_keyed(S("addresses"));
	}
	o->net = net_new(&n);
	net_tick(o->net, REST_MS, child_rest, NULL);
	link_init(&o->auth, o->net, "auth", o->message, o);
	link_init(&o->mail, o->net, "mail", o->message, o);
	o->auth.bad = o->mail.bad = end_now;
}

int
outer_main(struct outer *o)
{
	const struct child *c = o->child;
	struct msg m;
	int code = 1;

	pthread_mutex_init(&o->sign_lock, NULL);
	pthread_mutex_init(&o->door_lock, NULL);
	o->keys = chan_new(-1);
	o->settings = settings_new();
	limits_copy(&limits, &c->settings->limits);
	net_begin(o);
	if (child_box(c) != OK)
		return 1;
	o->up = chan_new(c->chan);
	o->env = o->begin(o);
	if (net_start(o->net) != OK)
		goto out;
	msg_new(&m, MSG_READY);
	if (chan_send(o->up, &m) != OK)
		goto out;
	while (hear(o))
		;
	code = 0;
out:
	net_stop(o->net);
	link_close(&o->auth);
	link_close(&o->mail);
	net_free(&o->net);
	o->end(o);
	for (size_t i = 0; i < o->nservices; i++)
		tls_unref(&o->services[i].tls);
	chan_free(&o->keys);
	chan_free(&o->up);
	settings_free(&o->settings);
	for (size_t i = 0; i < o->nheld; i++)
		os_close(&o->held[i].fd);
	x_free(&o->held);
	pthread_mutex_destroy(&o->door_lock);
	pthread_mutex_destroy(&o->sign_lock);
	return code;
}
