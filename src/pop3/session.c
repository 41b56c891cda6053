/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The POP3 session: the maildrop, the phases. See pop3.h.
 */
#include "pop3/pop3_int.h"

struct login {
	uint64_t account;
	int64_t at_ms;
};

/* ---- the environment ---- */

struct pop3_env *
pop3_env_new(const struct pop3_opts *o)
{
	struct pop3_env *e = x_alloc(sizeof(*e));

	e->net = o->net;
	e->store = o->store;
	pthread_mutex_init(&e->lock, NULL);
	pop3_configure(e, o);
	return e;
}

void
pop3_configure(struct pop3_env *e, const struct pop3_opts *o)
{
	pthread_mutex_lock(&e->lock);
	e->login_delay_s = o->login_delay_s;
	pthread_mutex_unlock(&e->lock);
}

void
pop3_env_free(struct pop3_env **ep)
{
	struct pop3_env *e = *ep;

	if (e == NULL)
		return;
	pthread_mutex_destroy(&e->lock);
	x_free(&e->logins);
	x_free(ep);
}

/* Is this login of the account too soon after the last one (RFC 2449 6.5)?
 * Logins older than the delay are forgotten on the way. */
static bool
too_soon(struct pop3_env *e, uint64_t account)
{
	int64_t now = os_mono_ms();
	bool soon = false;
	size_t n = 0;

	pthread_mutex_lock(&e->lock);
	for (size_t i = 0; i < e->nlogins; i++) {
		if (now - e->logins[i].at_ms >=
		    (int64_t)e->login_delay_s * 1000)
			continue;
		soon = soon || e->logins[i].account == account;
		e->logins[n++] = e->logins[i];
	}
	e->nlogins = n;
	if (e->login_delay_s > 0 && !soon) {
		if (e->nlogins == e->logins_cap) {
			e->logins_cap = e->logins_cap * 2 + 16;
			e->logins = x_grow(
			    e->logins, e->logins_cap, sizeof(*e->logins));
		}
		e->logins[e->nlogins++] = (struct login){account, now};
	}
	pthread_mutex_unlock(&e->lock);
	return soon;
}

const char *
pop3_refusal(enum err e)
{
	switch (e) {
	case ERR_EXPUNGED:
	case ERR_NOTFOUND:
		return "-ERR That message has been removed meanwhile\r\n";
	case ERR_CORRUPT:
		return "-ERR [SYS/PERM] That message is damaged: tell the "
		       "administrator\r\n";
	case ERR_AUTH:
	case ERR_DENIED:
		return "-ERR [SYS/TEMP] The login is no longer good: log in "
		       "anew\r\n";
	default:
		return "-ERR [SYS/TEMP] That does not work just now: try again "
		       "later\r\n";
	}
}

/* ---- the maildrop ---- */

#define BATCH 256

static enum err
snapshot(struct session *s)
{
	struct entry e[BATCH];
	uint32_t seq = 1;

	s->n = view_exists(s->view);
	if (s->n > 0 && (s->sizes = x_try(s->n * sizeof(*s->sizes))) == NULL)
		return ERR_NOMEM;
	while (seq <= s->n) {
		size_t got = view_entries(
		    s->view, seq, e, MIN((size_t)BATCH, s->n - seq + 1));

		if (got == 0)
			return ERR_IO;
		for (size_t i = 0; i < got; i++) {
			s->sizes[seq - 1 + i] = e[i].size;
			s->octets += e[i].size;
		}
		seq += (uint32_t)got;
	}
	s->left = s->n;
	return OK;
}

static enum err
maildrop(struct session *s)
{
	struct arena *a = arena_new(65536);
	struct mailbox_info info;
	enum err e;

	e = acct_open(s->env->store, &s->grant, s->name, &s->acct);
	if (e == OK)
		e = mailbox_find(s->acct, a, S("INBOX"), &info);
	if (e == OK)
		e = view_open(s->acct, info.id, false, 0, &s->view);
	if (e == OK)
		e = snapshot(s);
	arena_free(&a);
	return e;
}

bool
pop3_marked(const struct session *s, uint32_t n)
{
	return s->marked != NULL &&
	       (s->marked[(n - 1) / 64] >> ((n - 1) % 64) & 1) != 0;
}

void
pop3_mark(struct session *s, uint32_t n)
{
	if (s->marked == NULL)
		s->marked = x_array(s->n / 64 + 1, sizeof(*s->marked));
	s->marked[(n - 1) / 64] |= 1ull << ((n - 1) % 64);
	s->left--;
	s->octets -= s->sizes[n - 1];
}

void
pop3_unmark_all(struct session *s)
{
	x_free(&s->marked);
	s->left = s->n;
	s->octets = 0;
	for (uint32_t i = 0; i < s->n; i++)
		s->octets += s->sizes[i];
}

/* UPDATE: (2) of pop3.h. */
enum err
pop3_update(struct session *s)
{
	struct ranges uids = {0};
	struct range *v;
	size_t n = 0;
	enum err e;

	if (s->left == s->n)
		return OK;
	if ((v = x_try((s->n - s->left) * sizeof(*v))) == NULL)
		return ERR_NOMEM;
	for (uint32_t i = 1; i <= s->n; i++) {
		uint32_t uid;

		if (pop3_marked(s, i) && (uid = view_uid(s->view, i)) != 0)
			v[n++] = (struct range){uid, uid};
	}
	ranges_set(&uids, v, n);
	x_free(&v);
	/* Who was expunged meanwhile is gone already, which is as good. */
	e = n == 0 ? OK : store_expunge(s->view, &uids, true, NULL);
	ranges_free(&uids);
	if (e != OK)
		log_warn("deletions failed", KV_S("user", s->name), KV_ERR(e));
	return e;
}

/* ---- phases ---- */

static enum gather
gather(struct conn *c)
{
	struct session *s = conn_user(c);
	str in = conn_input(c);
	size_t n = str_chr(in, '\n');
	bool whole = n < in.n;

	n = whole ? n + 1 : in.n;
	if (s->line.n + n > limits.line_max) {
		limit_hit(LIMIT_line_max, s->name);
		s->overlong = true;
		return GATHER_RUN;
	}
	buf_str_add(&s->line, str_head(in, n));
	conn_eat(c, n);
	if (!whole)
		return GATHER_MORE;
	s->line.n--;
	if (s->line.n > 0 && s->line.p[s->line.n - 1] == '\r')
		s->line.n--;
	return GATHER_RUN;
}

static void
describe(struct conn *c, struct session *s)
{
	struct buf what = {0};

	buf_s(&what, "pop3 ");
	buf_str_add(&what, s->name);
	conn_describe(c, buf_str(&what));
	buf_free(&what);
}

static enum next
open_session(struct conn *c, struct session *s)
{
	enum err e;

	describe(c, s);
	conn_authenticated(c, true);
	if (too_soon(s->env, s->grant.account)) {
		out_s(c, "-ERR [LOGIN-DELAY] That is too soon after the last "
			 "login\r\n");
		return NEXT_CLOSE;
	}
	if ((e = maildrop(s)) != OK) {
		log_warn("no maildrop", KV_S("user", s->name), KV_ERR(e));
		out_str(c, str_c(pop3_refusal(e)));
		return NEXT_CLOSE;
	}
	out_f(c, "+OK Logged in: %u messages, %llu octets\r\n", s->n,
	    (unsigned long long)s->octets);
	return NEXT_INPUT;
}

static enum next
input(struct conn *c, struct session *s)
{
	enum next next;

	if (s->overlong) {
		out_s(c, "-ERR That line is too long\r\n");
		return NEXT_CLOSE;
	}
	if (view_gone(s->view)) {
		out_s(c, "-ERR [SYS/PERM] The mailbox is gone\r\n");
		return NEXT_CLOSE;
	}
	next = pop3_command(c, s);
	buf_free(&s->line);
	if (s->bad >= limits.bad_commands_max) {
		limit_hit(LIMIT_bad_commands_max, s->name);
		out_s(c, "-ERR Too much that makes no sense\r\n");
		return NEXT_CLOSE;
	}
	return next;
}

static enum next
run(struct conn *c, enum why why)
{
	struct session *s = conn_user(c);
	enum next next = NEXT_INPUT;

	switch (why) {
	case WHY_OPEN:
		next = open_session(c, s);
		break;
	case WHY_INPUT:
		next = input(c, s);
		break;
	case WHY_MORE:
		if (s->listing != LIST_NONE)
			next = pop3_list_more(c, s);
		break;
	case WHY_POKE:
		return s->listing != LIST_NONE ? NEXT_MORE : NEXT_INPUT;
	case WHY_TIMER:
		/* Whoever still takes a long message is not idle. */
		if (out_queued(c) > 0) {
			next = s->listing != LIST_NONE ? NEXT_MORE : NEXT_INPUT;
			break;
		}
		limit_hit(LIMIT_pop3_idle_s, s->name);
		/* RFC 1939 section 3: without a word, and without UPDATE. */
		return NEXT_CLOSE;
	case WHY_STOP:
		if (s->listing == LIST_NONE)
			out_s(c, "-ERR [SYS/TEMP] The server stops: come again "
				 "soon\r\n");
		return NEXT_CLOSE;
	}
	conn_timer(c, (int64_t)limits.pop3_idle_s * 1000);
	if (s->view != NULL && next == NEXT_INPUT && conn_input(c).n == 0)
		view_park(s->view);
	return next;
}

static void
session_free(struct session *s)
{
	view_close(&s->view);
	acct_close(&s->acct);
	x_free(&s->sizes);
	x_free(&s->marked);
	x_free_str(&s->name);
	x_free_str(&s->mechs);
	buf_free(&s->line);
	x_free(&s);
}

static void
closed(struct conn *c)
{
	session_free(conn_user(c));
}

const struct service pop3_service = {"pop3", gather, run, closed};

conn_id
pop3_begin(struct pop3_env *e, int fd, const struct grant *g, str name, str tag,
    str input_read, const struct os_addr *peer)
{
	struct session *s = x_alloc(sizeof(*s));
	struct pop3_pass pass;
	conn_id id;

	s->env = e;
	s->grant = *g;
	s->name = x_dup(name);
	if (pop3_pass_get(tag, &pass)) {
		s->utf8 = pass.utf8;
		s->user = pass.user;
		s->mechs = x_dup(pass.mechs);
	}
	id = net_add(e->net, fd, &pop3_service, s, peer, input_read);
	if (id == 0)
		session_free(s);
	return id;
}
