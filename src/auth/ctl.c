/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The verbs of the command line, the same whether the server runs them or
 * the command itself does.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "auth/auth_int.h"

#define IMPORT_MAX (256 << 20)
#define WAIT_MS 600000

struct call {
	struct auth *a;
	const str *arg;
	size_t n;
	int fd;
	void (*line)(void *ctx, str line);
	void *ctx;
	struct buf *why;
	struct effects *fx;
};

static void
out(struct call *c, struct buf *b)
{
	if (c->line != NULL)
		c->line(c->ctx, buf_str(b));
	buf_reset(b);
}

static enum err
explain(struct call *c, enum err e, const char *exists)
{
	if (e == OK || c->why->n > 0)
		return e;
	switch (e) {
	case ERR_NOTFOUND:
		buf_s(c->why, "no such account");
		break;
	case ERR_EXISTS:
		buf_str_add(c->why, str_c(exists));
		break;
	case ERR_INVALID:
		buf_s(c->why, "not a name that an account can have");
		break;
	default:
		buf_str_add(c->why, str_c(err_name(e)));
	}
	return e;
}

static bool
password_ok(struct call *c, str pw)
{
	if (pw.n == 0)
		buf_s(c->why, "the password is empty");
	else if (pw.n > AUTH_PASSWORD_MAX)
		buf_f(c->why, "the password is longer than %d bytes",
		    AUTH_PASSWORD_MAX);
	else if (memchr(pw.p, 0, pw.n) != NULL)
		buf_s(c->why, "the password has a NUL in it");
	else
		return true;
	return false;
}

static enum err
account_id(struct call *c, uint64_t *id)
{
	struct auth_user u;
	struct buf mem = {0};
	enum err e = auth_user_get(c->a, c->arg[0], &mem, &u);

	*id = e == OK ? u.id : 0;
	buf_free(&mem);
	return explain(c, e, "");
}

static enum err
user_add(struct call *c)
{
	uint64_t id;

	if (!password_ok(c, c->arg[1]))
		return ERR_INVALID;
	return explain(c, auth_user_add(c->a, c->arg[0], c->arg[1], &id),
	    "the name is taken");
}

static enum err
user_passwd(struct call *c)
{
	enum err e;

	if (!password_ok(c, c->arg[1]))
		return ERR_INVALID;
	if ((e = account_id(c, &c->fx->changed)) != OK)
		return e;
	return explain(c, auth_user_passwd(c->a, c->arg[0], c->arg[1]), "");
}

static enum err
user_disable(struct call *c)
{
	enum err e;

	if ((e = account_id(c, &c->fx->changed)) != OK ||
	    (e = explain(c, auth_user_enable(c->a, c->arg[0], false), "")) !=
		OK)
		return e;
	c->fx->revoke = c->fx->changed;
	return OK;
}

static enum err
user_enable(struct call *c)
{
	return explain(c, auth_user_enable(c->a, c->arg[0], true), "");
}

static enum err
user_remove(struct call *c)
{
	uint64_t id;
	enum err e;

	e = explain(c, auth_user_remove(c->a, c->arg[0], &id), "");
	if (e == OK)
		c->fx->changed = c->fx->revoke = c->fx->forget = id;
	return e;
}

static void
keys_put(struct buf *b, const struct auth_user *u)
{
	if (u->scram_sha256)
		buf_s(b, "SCRAM-SHA-256");
	if (u->scram_sha1 && u->scram_sha256)
		buf_c(b, ' ');
	if (u->scram_sha1)
		buf_s(b, "SCRAM-SHA-1");
}

static void
list_one(void *arg, const struct auth_user *u)
{
	struct call *c = arg;
	struct buf b = {0};

	buf_f(&b, "%.*s\t%llu\t%s\t%.*s\t", STR_ARG(u->name),
	    (unsigned long long)u->id, u->disabled ? "disabled" : "enabled",
	    STR_ARG(u->scheme));
	keys_put(&b, u);
	out(c, &b);
	buf_free(&b);
}

static enum err
user_list(struct call *c)
{
	return explain(c, auth_user_each(c->a, list_one, c), "");
}

static void
stamp_put(struct buf *b, int64_t sec)
{
	struct civil t;

	stamp_civil((struct stamp){sec, 0}, &t);
	buf_f(b, "%04d-%02d-%02d %02d:%02d:%02d UTC", t.year, t.month, t.day,
	    t.hour, t.minute, t.second);
}

struct alias_find {
	struct call *c;
	str name;
};

static void
alias_of(void *arg, str alias, str name)
{
	struct alias_find *f = arg;
	struct buf b = {0};

	if (str_eq(name, f->name)) {
		buf_f(&b, "alias: %.*s", STR_ARG(alias));
		out(f->c, &b);
	}
	buf_free(&b);
}

static enum err
user_show(struct call *c)
{
	struct alias_find f = {c, STR_NONE};
	struct buf mem = {0}, b = {0};
	struct auth_user u;
	enum err e;

	if ((e = auth_user_get(c->a, c->arg[0], &mem, &u)) != OK)
		goto out;
	buf_f(&b, "name: %.*s", STR_ARG(u.name));
	out(c, &b);
	buf_f(&b, "id: %llu", (unsigned long long)u.id);
	out(c, &b);
	buf_f(&b, "state: %s", u.disabled ? "disabled" : "enabled");
	out(c, &b);
	buf_f(&b, "password: %.*s", STR_ARG(u.scheme));
	out(c, &b);
	buf_s(&b, "scram keys: ");
	keys_put(&b, &u);
	out(c, &b);
	buf_s(&b, "created: ");
	stamp_put(&b, u.created_s);
	out(c, &b);
	buf_s(&b, "password set: ");
	stamp_put(&b, u.changed_s);
	out(c, &b);
	f.name = u.name;
	e = auth_alias_each(c->a, alias_of, &f);
out:
	buf_free(&mem);
	buf_free(&b);
	return explain(c, e, "");
}

static enum err
user_id(struct call *c)
{
	struct buf mem = {0}, b = {0};
	struct auth_user u;
	enum err e;

	if ((e = auth_user_get(c->a, c->arg[0], &mem, &u)) == OK) {
		buf_f(
		    &b, "%llu %.*s", (unsigned long long)u.id, STR_ARG(u.name));
		out(c, &b);
	}
	buf_free(&mem);
	buf_free(&b);
	return explain(c, e, "");
}

static void
refused(void *arg, uint32_t line, const char *why)
{
	struct call *c = arg;
	struct buf b = {0};

	buf_f(&b, "%u: %s", line, why);
	out(c, &b);
	buf_free(&b);
}

static enum err
fd_read(int fd, struct buf *b)
{
	ssize_t n;
	char *p;

	b->max = IMPORT_MAX;
	do {
		if ((p = buf_room(b, 65536)) == NULL)
			return ERR_LIMIT;
		if ((n = os_read(fd, p, 65536)) < 0)
			return err_errno(errno);
		b->n += (size_t)n;
	} while (n > 0);
	return OK;
}

static enum err
user_import(struct call *c)
{
	struct auth_import n = {0};
	struct buf file = {0}, b = {0};
	enum err e;

	if (c->fd < 0) {
		buf_s(c->why, "no file was given");
		return ERR_INVALID;
	}
	if ((e = fd_read(c->fd, &file)) == OK)
		e = auth_user_import(c->a, buf_str(&file), refused, c, &n);
	if (e == OK) {
		c->fx->all = true;
		buf_f(&b, "%u added, %u replaced, %u refused", n.added,
		    n.replaced, n.refused);
		out(c, &b);
	}
	wipe_buf(&file);
	buf_free(&b);
	return explain(c, e, "");
}

/* An address of Postfix's map; a name without a domain stands for itself
 * in each of ours. */
static void
postfix_put(struct call *c, str name)
{
	struct buf b = {0};
	str rest = STR_NONE;

	if (str_chr(name, '@') == name.n) {
		pthread_mutex_lock(&c->a->mu);
		buf_add(&b, c->a->domains, c->a->ndomains);
		pthread_mutex_unlock(&c->a->mu);
		rest = str_from(buf_str(&b), 1);
	}
	if (rest.n == 0) {
		buf_reset(&b);
		buf_f(&b, "%.*s OK", STR_ARG(name));
		out(c, &b);
	}
	while (rest.n > 0) {
		struct buf l = {0};
		str d = str_cut(&rest, '\0');
		buf_f(&l, "%.*s@%.*s OK", STR_ARG(name), STR_ARG(d));
		out(c, &l);
		buf_free(&l);
	}
	buf_free(&b);
}

static void
postfix_user(void *arg, const struct auth_user *u)
{
	if (!u->disabled)
		postfix_put(arg, u->name);
}

/* What auth_alias_each holds is a transaction: another read is fine. */
static void
postfix_alias(void *arg, str alias, str name)
{
	struct call *c = arg;
	struct acct u;

	if (acct_find(c->a, name, &u) == OK && !u.disabled)
		postfix_put(c, alias);
	x_wipe(&u, sizeof(u));
}

static enum err
user_postfix(struct call *c)
{
	enum err e;

	if ((e = auth_user_each(c->a, postfix_user, c)) == OK)
		e = auth_alias_each(c->a, postfix_alias, c);
	return explain(c, e, "");
}

static enum err
alias_add(struct call *c)
{
	return explain(c, auth_alias_add(c->a, c->arg[0], c->arg[1]),
	    "the name is an account's or another alias's");
}

static enum err
alias_remove(struct call *c)
{
	enum err e = auth_alias_remove(c->a, c->arg[0]);

	if (e == ERR_NOTFOUND)
		buf_s(c->why, "no such alias");
	return explain(c, e, "");
}

static void
alias_one(void *arg, str alias, str name)
{
	struct buf b = {0};

	buf_f(&b, "%.*s\t%.*s", STR_ARG(alias), STR_ARG(name));
	out(arg, &b);
	buf_free(&b);
}

static enum err
alias_list(struct call *c)
{
	return explain(c, auth_alias_each(c->a, alias_one, c), "");
}

static enum err
recipient(struct call *c)
{
	static const char *const words[] = {"", "unknown", "disabled",
	    "the database cannot be read", "no address"};
	struct auth_recipient r;
	struct buf mem = {0}, b = {0};
	enum rcpt_fail why;
	enum err e;

	e = auth_recipient(c->a, c->arg[0], &mem, &r, &why);
	if (e == OK && why != 0) {
		buf_str_add(c->why, str_c(words[why]));
		e = why == RCPT_TEMP ? ERR_IO : ERR_NOTFOUND;
	} else if (e == OK) {
		buf_f(&b, "%llu %.*s", (unsigned long long)r.account,
		    STR_ARG(r.name));
		if (r.detail.n > 0)
			buf_f(&b, " %.*s", STR_ARG(r.detail));
		out(c, &b);
	}
	buf_free(&mem);
	buf_free(&b);
	return e;
}

static enum err
mechanisms(struct call *c)
{
	struct buf b = {0};

	for (int tls = 0; tls < 2; tls++) {
		mechs_put(c->a, &b, tls);
		out(c, &b);
	}
	buf_free(&b);
	return OK;
}

static enum err
backup(struct call *c)
{
	enum err e;

	if (c->fd < 0) {
		buf_s(c->why, "no file was given");
		return ERR_INVALID;
	}
	e = db_copy(c->a, c->fd);
	return explain(c, e, "");
}

static const struct verb {
	str name;
	size_t args;
	enum err (*run)(struct call *c);
} verbs[] = {
    {S("user.add"), 2, user_add},
    {S("user.passwd"), 2, user_passwd},
    {S("user.list"), 0, user_list},
    {S("user.postfix"), 0, user_postfix},
    {S("user.show"), 1, user_show},
    {S("user.id"), 1, user_id},
    {S("user.disable"), 1, user_disable},
    {S("user.enable"), 1, user_enable},
    {S("user.remove"), 1, user_remove},
    {S("user.import"), 0, user_import},
    {S("alias.add"), 2, alias_add},
    {S("alias.remove"), 1, alias_remove},
    {S("alias.list"), 0, alias_list},
    {S("rcpt"), 1, recipient},
    {S("mechs"), 0, mechanisms},
    {S("backup"), 0, backup},
};

enum err
verb_run(struct auth *a, str verb, const str *arg, size_t n, int fd,
    void (*line)(void *ctx, str line), void *ctx, struct buf *why,
    struct effects *fx)
{
	struct call c = {a, arg, n, fd, line, ctx, why, fx};

	memset(fx, 0, sizeof(*fx));
	for (size_t i = 0; i < NELEM(verbs); i++) {
		if (!str_eq(verbs[i].name, verb))
			continue;
		if (verbs[i].args == n)
			return verbs[i].run(&c);
		buf_f(why, "%.*s takes %zu arguments", STR_ARG(verb),
		    verbs[i].args);
		return ERR_INVALID;
	}
	buf_s(why, "auth knows no such verb");
	return ERR_INVALID;
}

/* ---- the command line's side ---- */

static struct chan *
server_of(const char *data)
{
	struct buf path = {0};
	struct os_addr a;
	size_t n = 0;
	int fd = -1;

	buf_f(&path, "%s/run/auth.sock", data);
	if (os_addr_parse(buf_str(&path), &a, 1, &n) == OK && n == 1) {
		a.packets = true;
		fd = os_connect(&a);
	}
	buf_free(&path);
	if (fd < 0)
		return NULL;
	/* So that chan_wait's time holds. */
	(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	return chan_new(fd);
}

static enum err
ask(struct chan *ch, struct msg *m, void (*line)(void *ctx, str line),
    void *ctx, struct buf *why)
{
	enum err e;
	str s;

	if ((e = chan_send(ch, m)) != OK)
		return e;
	for (;;) {
		if ((e = chan_wait(ch, m, WAIT_MS)) != OK)
			return e;
		if (m->type == MSG_CTL_LINE) {
			s = msg_get_str(m);
			if (!msg_end(m))
				break;
			if (line != NULL)
				line(ctx, s);
			msg_free(m);
			continue;
		}
		if (m->type != MSG_CTL_END)
			break;
		e = msg_get_u8(m);
		s = msg_get_str(m);
		if (!msg_end(m) || e >= ERR_MAX)
			break;
		buf_str_add(why, s);
		msg_free(m);
		return e;
	}
	msg_free(m);
	return ERR_CORRUPT;
}

static enum err
ask_server(struct chan *ch, str verb, const str *arg, size_t n, int fd,
    void (*line)(void *ctx, str line), void *ctx, struct buf *why)
{
	struct msg m;
	int copy;
	enum err e;

	msg_new(&m, MSG_CTL);
	msg_str(&m, verb);
	msg_u32(&m, (uint32_t)n);
	for (size_t i = 0; i < n; i++)
		msg_str(&m, arg[i]);
	if (fd >= 0 && (copy = dup(fd)) >= 0)
		msg_fd(&m, copy);
	e = ask(ch, &m, line, ctx, why);
	if (e != OK && why->n == 0)
		buf_f(why, "the server does not answer: %s", err_name(e));
	return e;
}

enum err
auth_command(const char *data, const struct auth_conf *conf, str verb,
    const str *arg, size_t n, int fd, void (*line)(void *ctx, str line),
    void *ctx, struct buf *why)
{
	struct chan *ch = server_of(data);
	struct auth *a = NULL;
	struct buf dir = {0};
	struct effects fx = {0};
	enum err e;

	if (ch != NULL) {
		e = ask_server(ch, verb, arg, n, fd, line, ctx, why);
		chan_free(&ch);
		return e;
	}
	buf_f(&dir, "%s/auth", data);
	buf_c(&dir, '\0');
	if ((e = auth_open(&a, dir.p, conf)) == OK)
		e = verb_run(a, verb, arg, n, fd, line, ctx, why, &fx);
	else if (e == ERR_BUSY)
		buf_s(why, "a server has the accounts open, but does not "
			   "listen to commands");
	else
		buf_f(why, "cannot open the accounts: %s", err_name(e));
	auth_close(&a);
	buf_free(&dir);
	return e;
}
