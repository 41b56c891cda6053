/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Accounts, aliases, domains: what the command line changes and what
 * logins and recipients are looked up in.
 *
 * (1) A name is an account's or an alias's, never both.
 */
#include <stdlib.h>

#include "auth/auth_int.h"

static int64_t
now_s(void)
{
	return os_wall_ms() / 1000;
}

/* ---- settings ---- */

void
auth_configure(struct auth *a, const struct auth_conf *conf)
{
	struct buf b = {0};
	str rest = conf->domains, d;
	size_t n;

	buf_c(&b, '\0');
	while (rest.n > 0) {
		for (n = 0; n < rest.n && strchr(" \t,;", rest.p[n]) == NULL;)
			n++;
		d = str_head(rest, n);
		rest = str_from(rest, n + 1);
		if (d.n == 0)
			continue;
		/* Prepared like the domain of a name, by being one. */
		struct buf name = {0}, prep = {0};
		buf_s(&name, "x@");
		buf_str_add(&name, d);
		if (auth_name(&prep, buf_str(&name)) == OK)
			buf_add(&b, prep.p + 2, prep.n - 2);
		else
			log_warn("a name in domains is none", KV_S("name", d));
		buf_c(&b, '\0');
		buf_free(&name);
		buf_free(&prep);
	}
	pthread_mutex_lock(&a->mu);
	x_free(&a->domains);
	a->domains = b.p;
	a->ndomains = b.n;
	a->scram[SCRAM_SHA1] = conf->scram_sha1;
	a->scram[SCRAM_SHA256] = conf->scram_sha256;
	a->external = conf->external;
	pthread_mutex_unlock(&a->mu);
}

bool
domain_ours(struct auth *a, str domain)
{
	struct buf b = {0};
	bool ours;

	buf_c(&b, '\0');
	buf_str_add(&b, domain);
	buf_c(&b, '\0');
	pthread_mutex_lock(&a->mu);
	ours = a->ndomains <= 1 || str_find(str_of(a->domains, a->ndomains),
				       buf_str(&b)) != a->ndomains;
	pthread_mutex_unlock(&a->mu);
	buf_free(&b);
	return ours;
}

/* ---- making and changing ---- */

static enum err
set_password(struct auth *a, struct acct *u, str password)
{
	struct buf h = {0};
	bool want[SCRAM_HASHES];
	enum err e;

	pthread_mutex_lock(&a->mu);
	memcpy(want, a->scram, sizeof(want));
	pthread_mutex_unlock(&a->mu);
	if ((e = hash_make(&h, password)) != OK)
		goto out;
	assert(h.n <= sizeof(u->hash));
	memcpy(u->hash, h.p, h.n);
	u->nhash = (uint16_t)h.n;
	for (int i = 0; i < SCRAM_HASHES && e == OK; i++) {
		memset(&u->keys[i], 0, sizeof(u->keys[i]));
		if (want[i])
			e = scram_make(&u->keys[i], (enum scram_hash)i,
			    password, (uint32_t)limits.scram_rounds);
	}
	u->changed_s = now_s();
	u->gen++;
out:
	wipe_buf(&h);
	return e;
}

enum err
auth_user_add(struct auth *a, str name, str password, uint64_t *id)
{
	struct acct u = {0}, other;
	struct buf prep = {0};
	struct tx x = {0};
	str v;
	enum err e;

	if ((e = auth_name(&prep, name)) != OK ||
	    (e = set_password(a, &u, password)) != OK)
		goto out;
	memcpy(u.name, prep.p, prep.n);
	u.nname = (uint16_t)prep.n;
	u.created_s = u.changed_s;
	if ((e = tx_begin(&x, a, true)) != OK)
		goto out;
	if ((e = acct_get(&x, acct_name(&u), &other)) != ERR_NOTFOUND ||
	    (e = rec_get(&x, REC_ALIAS, acct_name(&u), &v)) != ERR_NOTFOUND) {
		e = e == OK ? ERR_EXISTS : e;
		goto out;
	}
	if ((e = next_id(&x, &u.id)) != OK ||
	    (e = acct_put(&x, &u, NULL)) != OK || (e = tx_commit(&x)) != OK)
		goto out;
	*id = u.id;
out:
	tx_end(&x);
	buf_free(&prep);
	x_wipe(&u, sizeof(u));
	x_wipe(&other, sizeof(other));
	return e;
}

enum err
auth_user_passwd(struct auth *a, str name, str password)
{
	struct acct fresh = {0}, old, u;
	struct buf prep = {0};
	struct tx x = {0};
	enum err e;

	/* Hashing comes before the transaction: it takes its time. */
	if ((e = auth_name(&prep, name)) != OK ||
	    (e = acct_find(a, buf_str(&prep), &old)) != OK ||
	    (e = set_password(a, &fresh, password)) != OK ||
	    (e = tx_begin(&x, a, true)) != OK ||
	    (e = acct_get(&x, buf_str(&prep), &old)) != OK)
		goto out;
	u = old;
	u.nhash = fresh.nhash;
	memcpy(u.hash, fresh.hash, sizeof(u.hash));
	memcpy(u.keys, fresh.keys, sizeof(u.keys));
	u.changed_s = fresh.changed_s;
	u.gen++;
	if ((e = acct_put(&x, &u, &old)) == OK)
		e = tx_commit(&x);
out:
	tx_end(&x);
	buf_free(&prep);
	x_wipe(&u, sizeof(u));
	x_wipe(&old, sizeof(old));
	x_wipe(&fresh, sizeof(fresh));
	return e;
}

enum err
auth_user_enable(struct auth *a, str name, bool enable)
{
	struct acct old, u;
	struct buf prep = {0};
	struct tx x = {0};
	enum err e;

	if ((e = auth_name(&prep, name)) != OK ||
	    (e = tx_begin(&x, a, true)) != OK ||
	    (e = acct_get(&x, buf_str(&prep), &old)) != OK)
		goto out;
	if (old.disabled == !enable)
		goto out;
	u = old;
	u.disabled = !enable;
	u.gen++;
	if ((e = acct_put(&x, &u, &old)) == OK)
		e = tx_commit(&x);
out:
	tx_end(&x);
	buf_free(&prep);
	x_wipe(&u, sizeof(u));
	x_wipe(&old, sizeof(old));
	return e;
}

struct strays {
	str name;
	struct buf list; /* enc_str each */
};

static bool
stray(void *arg, str key, str v)
{
	struct strays *s = arg;

	if (str_eq(v, s->name))
		enc_str(&s->list, key);
	return true;
}

/* The aliases of an account that goes. */
static enum err
aliases_del(struct tx *x, str name)
{
	struct strays s = {.name = name};
	struct dec d;
	enum err e;

	e = rec_each(x, REC_ALIAS, stray, &s);
	d = dec_of(buf_str(&s.list));
	while (e == OK && dec_left(&d) > 0)
		e = rec_del(x, REC_ALIAS, dec_str(&d));
	buf_free(&s.list);
	return e;
}

enum err
auth_user_remove(struct auth *a, str name, uint64_t *id)
{
	struct acct old;
	struct buf prep = {0};
	struct tx x = {0};
	enum err e;

	if ((e = auth_name(&prep, name)) != OK ||
	    (e = tx_begin(&x, a, true)) != OK ||
	    (e = acct_get(&x, buf_str(&prep), &old)) != OK ||
	    (e = aliases_del(&x, acct_name(&old))) != OK ||
	    (e = acct_del(&x, &old)) != OK || (e = tx_commit(&x)) != OK)
		goto out;
	*id = old.id;
out:
	tx_end(&x);
	buf_free(&prep);
	x_wipe(&old, sizeof(old));
	return e;
}

struct forget_arg {
	bool (*fn)(void *arg, uint64_t id);
	void *arg;
};

static bool
forget_one(void *arg, str key, str v)
{
	struct forget_arg *f = arg;
	struct dec d = dec_of(key);
	uint64_t id = dec_be64(&d);

	return !dec_end(&d) || f->fn(f->arg, id);
}

enum err
forget_each(struct auth *a, bool (*fn)(void *arg, uint64_t id), void *arg)
{
	struct forget_arg f = {fn, arg};
	struct tx x;
	enum err e;

	if ((e = tx_begin(&x, a, false)) != OK)
		return e;
	e = rec_each(&x, REC_FORGET, forget_one, &f);
	tx_end(&x);
	return e;
}

enum err
forget_done(struct auth *a, uint64_t id)
{
	struct buf k = {0};
	struct tx x;
	enum err e;

	enc_be64(&k, id);
	if ((e = tx_begin(&x, a, true)) != OK)
		goto out;
	if ((e = rec_del(&x, REC_FORGET, buf_str(&k))) == OK)
		e = tx_commit(&x);
out:
	tx_end(&x);
	buf_free(&k);
	return e == ERR_NOTFOUND ? OK : e;
}

/* ---- asking ---- */

static void
user_of(const struct acct *u, struct auth_user *out)
{
	*out = (struct auth_user){
	    .id = u->id,
	    .name = acct_name(u),
	    .disabled = u->disabled,
	    .scheme = hash_scheme(acct_hash(u)),
	    .scram_sha1 = u->keys[SCRAM_SHA1].iter != 0,
	    .scram_sha256 = u->keys[SCRAM_SHA256].iter != 0,
	    .created_s = u->created_s,
	    .changed_s = u->changed_s,
	};
}

enum err
auth_user_get(struct auth *a, str name, struct buf *mem, struct auth_user *out)
{
	struct buf prep = {0};
	struct acct u;
	size_t n;
	enum err e;

	if ((e = auth_name(&prep, name)) == OK &&
	    (e = acct_find(a, buf_str(&prep), &u)) == OK) {
		user_of(&u, out);
		buf_reset(mem);
		buf_str_add(mem, out->name);
		n = mem->n;
		buf_str_add(mem, out->scheme);
		out->name = str_of(mem->p, n);
		out->scheme = str_of(mem->p + n, mem->n - n);
	}
	x_wipe(&u, sizeof(u));
	buf_free(&prep);
	return e;
}

struct each_arg {
	void (*fn)(void *arg, const struct auth_user *u);
	void *arg;
	enum err e;
};

static bool
each_one(void *arg, str key, str v)
{
	struct each_arg *f = arg;
	struct auth_user out;
	struct acct u;

	if ((f->e = acct_decode(key, v, &u)) == OK) {
		user_of(&u, &out);
		f->fn(f->arg, &out);
	}
	x_wipe(&u, sizeof(u));
	return f->e == OK;
}

enum err
auth_user_each(
    struct auth *a, void (*fn)(void *arg, const struct auth_user *u), void *arg)
{
	struct each_arg f = {fn, arg, OK};
	struct tx x;
	enum err e;

	if ((e = tx_begin(&x, a, false)) != OK)
		return e;
	e = rec_each(&x, REC_ACCT, each_one, &f);
	tx_end(&x);
	return e == OK ? f.e : e;
}

/* ---- aliases ---- */

enum err
auth_alias_add(struct auth *a, str alias, str name)
{
	struct buf from = {0}, to = {0};
	struct acct u;
	struct tx x = {0};
	str v;
	enum err e;

	if ((e = auth_name(&from, alias)) != OK ||
	    (e = auth_name(&to, name)) != OK ||
	    (e = tx_begin(&x, a, true)) != OK ||
	    (e = acct_get(&x, buf_str(&to), &u)) != OK)
		goto out;
	if ((e = acct_get(&x, buf_str(&from), &u)) != ERR_NOTFOUND ||
	    (e = rec_get(&x, REC_ALIAS, buf_str(&from), &v)) != ERR_NOTFOUND) {
		e = e == OK ? ERR_EXISTS : e;
		goto out;
	}
	if ((e = rec_put(&x, REC_ALIAS, buf_str(&from), buf_str(&to))) == OK)
		e = tx_commit(&x);
out:
	tx_end(&x);
	x_wipe(&u, sizeof(u));
	buf_free(&from);
	buf_free(&to);
	return e;
}

enum err
auth_alias_remove(struct auth *a, str alias)
{
	struct buf from = {0};
	struct tx x = {0};
	enum err e;

	if ((e = auth_name(&from, alias)) == OK &&
	    (e = tx_begin(&x, a, true)) == OK &&
	    (e = rec_del(&x, REC_ALIAS, buf_str(&from))) == OK)
		e = tx_commit(&x);
	tx_end(&x);
	buf_free(&from);
	return e;
}

struct alias_arg {
	void (*fn)(void *arg, str alias, str name);
	void *arg;
};

static bool
alias_one(void *arg, str key, str v)
{
	struct alias_arg *f = arg;

	f->fn(f->arg, key, v);
	return true;
}

enum err
auth_alias_each(
    struct auth *a, void (*fn)(void *arg, str alias, str name), void *arg)
{
	struct alias_arg f = {fn, arg};
	struct tx x;
	enum err e;

	if ((e = tx_begin(&x, a, false)) != OK)
		return e;
	e = rec_each(&x, REC_ALIAS, alias_one, &f);
	tx_end(&x);
	return e;
}
