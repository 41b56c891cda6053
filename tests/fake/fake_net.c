/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * See fake_net.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fake_net.h"

#define CONNS 64

struct post {
	struct post *next;
	void *msg;
	void (*drop)(void *msg);
};
enum phase { PH_INPUT, PH_MORE, PH_WAIT, PH_PUMP, PH_GONE, PH_CLOSED };
struct conn {
	struct net *net;
	const struct service *svc;
	void *user;
	conn_id id;
	struct os_addr peer;
	struct buf in, out;
	size_t drained; /* of out: written to the peer */
	struct post *posts, **posts_end;
	bool poked, hungry, tls;
	enum phase phase;
	int64_t timer_ms;    /* as it was set */
	int64_t deadline_ms; /* 0: none, or it has rung */
	int pump_fd;
};
struct net {
	struct conn *v[CONNS];
	size_t n;
	bool tls;
	str client;
};

unsigned fake_steps_max = 1000000;

struct net *
fake_net(void)
{
	return x_alloc(sizeof(struct net));
}

static void
end(struct conn *c)
{
	struct post *p;

	if (c->phase >= PH_GONE)
		return;
	c->phase = PH_CLOSED;
	c->svc->closed(c);
	c->user = NULL;
	while ((p = c->posts) != NULL) {
		c->posts = p->next;
		p->drop(p->msg);
		x_free(&p);
	}
	c->posts_end = &c->posts;
	if (c->pump_fd >= 0)
		close(c->pump_fd);
	c->pump_fd = -1;
}

void
fake_net_free(struct net **np)
{
	struct net *n = *np;

	for (size_t i = 0; i < n->n; i++) {
		end(n->v[i]);
		buf_free(&n->v[i]->in);
		buf_free(&n->v[i]->out);
		x_free(&n->v[i]);
	}
	x_free(np);
}

static void
after(struct conn *c, enum next next)
{
	switch (next) {
	case NEXT_INPUT:
		c->phase = PH_INPUT;
		c->hungry = false;
		break;
	case NEXT_MORE:
		c->phase = PH_MORE;
		break;
	case NEXT_WAIT:
	case NEXT_HOLD:
		c->phase = PH_WAIT;
		break;
	case NEXT_TLS:
		if (c->in.n > 0) { /* R20 */
			end(c);
			break;
		}
		c->tls = true;
		c->phase = PH_INPUT;
		break;
	case NEXT_PUMP:
		c->phase = PH_PUMP;
		break;
	case NEXT_GONE:
		end(c);
		c->phase = PH_GONE;
		break;
	case NEXT_CLOSE:
		end(c);
		break;
	}
}

/* One step; false: nothing to do. */
static bool
step(struct conn *c)
{
	enum gather g;

	if (c->phase >= PH_PUMP)
		return false;
	if (c->phase == PH_MORE) {
		c->drained = c->out.n;
		after(c, c->svc->run(c, WHY_MORE));
		return true;
	}
	if (c->poked) {
		c->poked = false;
		after(c, c->svc->run(c, WHY_POKE));
		return true;
	}
	if (c->phase != PH_INPUT || c->in.n == 0 || c->hungry)
		return false;
	g = c->svc->gather(c);
	if (g == GATHER_CLOSE) {
		end(c);
	} else if (g == GATHER_MORE) {
		c->hungry = true;
	} else {
		c->drained = c->out.n;
		after(c, c->svc->run(c, WHY_INPUT));
	}
	return true;
}

static void
work(struct conn *c)
{
	unsigned steps = 0;

	while (step(c)) {
		if (++steps > fake_steps_max) {
			fputs("a session works without end\n", stderr);
			abort();
		}
	}
	c->drained = c->out.n; /* the peer takes everything */
}

void
fake_work(struct net *n)
{
	for (size_t i = 0; i < n->n; i++)
		work(n->v[i]);
}

struct conn *
fake_open(struct net *n, const struct service *s, void *user, const char *peer)
{
	struct conn *c = x_alloc(sizeof(*c));
	size_t got;

	if (n->n == CONNS ||
	    os_addr_parse(str_c(peer), &c->peer, 1, &got) != OK)
		abort();
	c->net = n;
	c->svc = s;
	c->user = user;
	c->id = 1000 + n->n;
	c->tls = n->tls;
	c->pump_fd = -1;
	c->posts_end = &c->posts;
	n->v[n->n++] = c;
	after(c, s->run(c, WHY_OPEN));
	work(c);
	return c;
}

struct conn *
fake_last(struct net *n)
{
	return n->n > 0 ? n->v[n->n - 1] : NULL;
}

void
fake_tls(struct net *n, bool on)
{
	n->tls = on;
}

void
fake_client(struct net *n, str name)
{
	n->client = name;
}

void
fake_input(struct conn *c, str bytes)
{
	if (c->phase >= PH_PUMP)
		return;
	buf_str_add(&c->in, bytes);
	c->hungry = false;
	work(c);
}

void
fake_why(struct conn *c, enum why why)
{
	if (c->phase >= PH_PUMP)
		return;
	after(c, c->svc->run(c, why));
	work(c);
}

void
fake_clock(struct net *n)
{
	for (size_t i = 0; i < n->n; i++) {
		struct conn *c = n->v[i];

		if (c->deadline_ms == 0 || c->deadline_ms > os_mono_ms())
			continue;
		c->deadline_ms = 0;
		fake_why(c, WHY_TIMER);
	}
}

void
fake_hangup(struct conn *c)
{
	end(c);
}

str
fake_output(struct conn *c)
{
	return buf_str(&c->out);
}

void
fake_forget(struct conn *c)
{
	c->drained = 0;
	buf_reset(&c->out);
}

bool
fake_is_closed(const struct conn *c)
{
	return c->phase == PH_CLOSED;
}

bool
fake_is_detached(const struct conn *c)
{
	return c->phase == PH_GONE;
}

bool
fake_is_pumped(const struct conn *c)
{
	return c->phase == PH_PUMP;
}

bool
fake_tls_on(const struct conn *c)
{
	return c->tls;
}

int64_t
fake_timer(const struct conn *c)
{
	return c->timer_ms;
}

/* ---- net.h ---- */

conn_id
conn_self(const struct conn *c)
{
	return c->id;
}

struct net *
conn_net(const struct conn *c)
{
	return c->net;
}

void *
conn_user(const struct conn *c)
{
	return c->user;
}

void
conn_set_user(struct conn *c, void *user)
{
	c->user = user;
}

void
conn_set_service(struct conn *c, const struct service *s)
{
	c->svc = s;
}

const struct os_addr *
conn_peer(const struct conn *c)
{
	return &c->peer;
}

void
conn_describe(struct conn *c, str what)
{
}

void
conn_authenticated(struct conn *c, bool yes)
{
}

str
conn_input(struct conn *c)
{
	return buf_str(&c->in);
}

void
conn_eat(struct conn *c, size_t n)
{
	if (n > c->in.n)
		abort();
	buf_eat(&c->in, n);
}

/* Here nobody hangs up. */
bool
conn_left(struct conn *c)
{
	return false;
}

void
conn_timer(struct conn *c, int64_t ms)
{
	c->timer_ms = ms;
	c->deadline_ms = ms == 0 ? 0 : os_mono_ms() + ms;
}

void *
conn_mail(struct conn *c)
{
	struct post *p = c->posts;
	void *msg;

	if (p == NULL)
		return NULL;
	msg = p->msg;
	if ((c->posts = p->next) == NULL)
		c->posts_end = &c->posts;
	x_free(&p);
	return msg;
}

int
conn_detach(struct conn *c, struct buf *rest)
{
	if (out_queued(c) > 0)
		abort();
	buf_str_add(rest, buf_str(&c->in));
	buf_reset(&c->in);
	return dup(2);
}

void
conn_pump(struct conn *c, int fd)
{
	c->pump_fd = fd;
}

struct conn *
fake_conn(struct net *n, conn_id id)
{
	return id < 1000 || id - 1000 >= n->n ? NULL : n->v[id - 1000];
}

static struct conn *
find(struct net *n, conn_id id)
{
	struct conn *c;

	if (id < 1000 || id - 1000 >= n->n)
		return NULL;
	c = n->v[id - 1000];
	return c->phase < PH_GONE ? c : NULL;
}

void
conn_poke(struct net *n, conn_id id)
{
	struct conn *c = find(n, id);

	if (c != NULL)
		c->poked = true;
}

void
net_poke_all(struct net *n)
{
	for (size_t i = 0; i < n->n; i++)
		n->v[i]->poked = n->v[i]->phase < PH_PUMP;
}

void
conn_post(struct net *n, conn_id id, void *msg, void (*drop)(void *msg))
{
	struct conn *c = find(n, id);
	struct post *p;

	if (c == NULL) {
		drop(msg);
		return;
	}
	p = x_alloc(sizeof(*p));
	p->msg = msg;
	p->drop = drop;
	*c->posts_end = p;
	c->posts_end = &p->next;
	c->poked = true;
}

void
out_add(struct conn *c, const void *p, size_t n)
{
	buf_add(&c->out, p, n);
}

void
out_str(struct conn *c, str s)
{
	buf_str_add(&c->out, s);
}

void
out_f(struct conn *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vf(&c->out, fmt, ap);
	va_end(ap);
}

void
out_ref(struct conn *c, struct source *src, uint64_t at, uint64_t n)
{
	char *p = buf_room(&c->out, n);

	if (p == NULL || src->ops->read(src, at, p, n) != OK)
		abort();
	c->out.n += n;
}

/* Line by line, by the book; slow. */
static void
dotted(struct conn *c, str rest, uint64_t header_len, int64_t lines)
{
	uint64_t done = 0;

	while (rest.n > 0 && (lines != 0 || done < header_len)) {
		size_t len = str_chr(rest, '\n');
		str line = str_head(rest, len);

		if (done >= header_len && lines > 0)
			lines--;
		rest = str_from(rest, len + 1);
		done += len + 1;
		if (line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		if (line.n > 0 && line.p[0] == '.')
			buf_c(&c->out, '.');
		buf_str_add(&c->out, line);
		buf_s(&c->out, "\r\n");
	}
}

void
out_dotted(struct conn *c, struct source *src, uint64_t at, uint64_t n,
    uint64_t header_len, int64_t lines)
{
	char *all = x_alloc(n + 1);

	if (src->ops->read(src, at, all, n) != OK)
		abort();
	dotted(c, str_of(all, n), header_len, lines);
	x_free(&all);
}

void
out_dotted_str(struct conn *c, str text, uint64_t header_len, int64_t lines)
{
	dotted(c, text, header_len, lines);
}

bool
out_full(const struct conn *c)
{
	return c->out.n - c->drained > 2000;
}

size_t
out_queued(const struct conn *c)
{
	return c->out.n - c->drained;
}

void
conn_tls(const struct conn *c, struct tls_facts *f)
{
	*f = (struct tls_facts){.on = c->tls};
	if (c->tls) {
		f->version = S("TLSv1.3");
		f->cipher = S("TLS_AES_128_GCM_SHA256");
		f->client_name = c->net->client;
	}
}

conn_id
net_add(struct net *n, int fd, const struct service *s, void *user,
    const struct os_addr *peer, str input)
{
	struct conn *c = fake_open(n, s, user, "127.0.0.1:1");

	close(fd);
	fake_input(c, input);
	return c->id;
}

/* ---- channels ---- */

struct chan {
	void (*got)(void *arg, struct msg *m);
	void *arg;
	uint32_t epoch;
	bool dead;
};

struct chan *
fake_chan(void (*got)(void *arg, struct msg *m), void *arg)
{
	struct chan *c = x_alloc(sizeof(*c));

	c->got = got;
	c->arg = arg;
	return c;
}

void
fake_chan_free(struct chan **c)
{
	x_free(c);
}

void
fake_chan_die(struct chan *c, bool dead)
{
	c->dead = dead;
	if (!dead)
		c->epoch++;
}

int
chan_fd(const struct chan *c)
{
	return c->dead ? -1 : 0;
}

uint32_t
chan_epoch(const struct chan *c)
{
	return c->epoch;
}

enum err
chan_offer(struct chan *c, struct msg *m)
{
	if (c->dead)
		return ERR_UNAVAILABLE;
	/* As the peer sees it. */
	fake_read(m);
	c->got(c->arg, m);
	msg_free(m);
	return OK;
}

enum err
chan_send(struct chan *c, struct msg *m)
{
	enum err e = chan_offer(c, m);

	if (e != OK)
		msg_free(m);
	return e;
}
