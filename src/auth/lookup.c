/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * From what a peer wrote to an account: recipients, logins, plaintext
 * passwords.
 *
 * (1) Whoever is refused costs the same work as whoever is let in: an
 *     unknown name is checked against a hash of nobody's (R33).
 */
#include "auth/auth_int.h"

/* ---- recipients ---- */

/* An account, or an alias of one. */
static enum err
rcpt_try(struct tx *x, str name, struct acct *u)
{
	str to;
	enum err e;

	if ((e = acct_get(x, name, u)) != ERR_NOTFOUND)
		return e;
	if ((e = rec_get(x, REC_ALIAS, name, &to)) != OK)
		return e;
	return acct_get(x, to, u);
}

/* local and domain (which may be empty), then without +detail. */
static enum err
rcpt_both(struct tx *x, str local, str domain, struct acct *u, str *detail)
{
	size_t plus = str_chr(local, '+');
	struct buf b = {0};
	enum err e = ERR_NOTFOUND;

	*detail = STR_NONE;
	for (int cut = 0; cut < 2 && e == ERR_NOTFOUND; cut++) {
		if (cut && (plus == local.n || plus == 0))
			break;
		buf_reset(&b);
		buf_str_add(&b, str_head(local, cut ? plus : local.n));
		if (domain.n > 0) {
			buf_c(&b, '@');
			buf_str_add(&b, domain);
		}
		if ((e = rcpt_try(x, buf_str(&b), u)) == OK && cut)
			*detail = str_from(local, plus + 1);
	}
	buf_free(&b);
	return e;
}

static enum err
rcpt_find(struct auth *a, str name, struct acct *u, str *detail)
{
	size_t at = str_rchr(name, '@');
	str local = str_head(name, at), domain = str_from(name, at + 1);
	struct tx x;
	enum err e;

	if ((e = tx_begin(&x, a, false)) != OK)
		return e;
	e = rcpt_both(&x, local, domain, u, detail);
	if (e == ERR_NOTFOUND && domain.n > 0 && domain_ours(a, domain))
		e = rcpt_both(&x, local, STR_NONE, u, detail);
	tx_end(&x);
	return e;
}

/* Where the detail stands in the address as typed: preparing may have
 * changed its case and form, and folders care. */
static str
detail_typed(str address, str prepared)
{
	str local = str_head(address, str_rchr(address, '@'));
	size_t plus = str_chr(local, '+');

	return plus < local.n ? str_from(local, plus + 1) : prepared;
}

enum err
auth_recipient(struct auth *a, str address, struct buf *mem,
    struct auth_recipient *r, enum rcpt_fail *fail)
{
	struct buf prep = {0};
	struct acct u;
	str detail;
	size_t n;
	enum err e;

	*fail = 0;
	memset(r, 0, sizeof(*r));
	if (auth_name(&prep, address) != OK) {
		*fail = RCPT_UNKNOWN;
		goto out;
	}
	e = rcpt_find(a, buf_str(&prep), &u, &detail);
	if (e == ERR_NOTFOUND)
		*fail = RCPT_UNKNOWN;
	else if (e != OK)
		*fail = RCPT_TEMP;
	else if (u.disabled)
		*fail = RCPT_DISABLED;
	else {
		if (detail.n > 0)
			detail = detail_typed(address, detail);
		buf_reset(mem);
		buf_str_add(mem, acct_name(&u));
		n = mem->n;
		buf_str_add(mem, detail);
		r->account = u.id;
		r->name = str_of(mem->p, n);
		r->detail = str_of(mem->p + n, mem->n - n);
	}
	x_wipe(&u, sizeof(u));
out:
	buf_free(&prep);
	return OK;
}

/* ---- logins ---- */

enum err
login_find(struct auth *a, str typed, struct buf *prep, struct acct *u)
{
	str name, domain;
	size_t at;
	enum err e;

	memset(u, 0, sizeof(*u));
	if ((e = auth_name(prep, typed)) != OK)
		return e;
	name = buf_str(prep);
	if ((e = acct_find(a, name, u)) != ERR_NOTFOUND)
		return e;
	at = str_rchr(name, '@');
	domain = str_from(name, at + 1);
	if (domain.n == 0 || !domain_ours(a, domain))
		return ERR_NOTFOUND;
	return acct_find(a, str_head(name, at), u);
}

/* (1): made when it is first needed, of a password nobody has. */
static void
fake_hash(struct auth *a, struct buf *out)
{
	char random[32];

	pthread_mutex_lock(&a->mu);
	if (a->fake.n == 0) {
		struct buf pw = {0};
		os_random(random, sizeof(random));
		hex_put(&pw, str_of(random, sizeof(random)));
		if (hash_make(&a->fake, buf_str(&pw)) != OK)
			log_error("cannot make a hash");
		wipe_buf(&pw);
	}
	buf_str_add(out, buf_str(&a->fake));
	pthread_mutex_unlock(&a->mu);
}

bool
login_verify(struct auth *a, const struct acct *u, str password)
{
	struct buf fake = {0};
	bool ok;

	if (u != NULL && u->nhash > 0) {
		ok = hash_verify(acct_hash(u), password);
		/* An imported digest takes no time worth hiding in: a wrong
		 * password costs what an unknown name costs. */
		if (ok || str_starts(acct_hash(u), S("{CRYPT}")))
			return ok && !u->disabled;
	}
	fake_hash(a, &fake);
	(void)hash_verify(buf_str(&fake), password);
	wipe_buf(&fake);
	return false;
}

enum err
auth_check(struct auth *a, str name, str password, uint64_t *id)
{
	struct buf prep = {0};
	struct acct u;
	enum err e;
	bool ok;

	e = login_find(a, name, &prep, &u);
	buf_free(&prep);
	if (e != OK && e != ERR_NOTFOUND && e != ERR_INVALID)
		return e;
	ok = login_verify(a, e == OK ? &u : NULL, password);
	*id = ok ? u.id : 0;
	x_wipe(&u, sizeof(u));
	return ok ? OK : ERR_AUTH;
}

static bool
keys_missing(struct auth *a, const struct acct *u, enum scram_hash h)
{
	bool want;

	pthread_mutex_lock(&a->mu);
	want = a->scram[h];
	pthread_mutex_unlock(&a->mu);
	return want && u->keys[h].iter == 0;
}

void
login_upgrade(struct auth *a, const struct acct *u, str password)
{
	struct acct fresh = *u, old;
	struct tx x = {0};
	struct buf nfc = {0};
	bool any = false;
	enum err e = OK;

	password_prepare(&nfc, password);
	for (int h = 0; h < SCRAM_HASHES && e == OK; h++)
		if (keys_missing(a, u, (enum scram_hash)h)) {
			any = true;
			e = scram_make(&fresh.keys[h], (enum scram_hash)h,
			    buf_str(&nfc), (uint32_t)limits.scram_rounds);
		}
	wipe_buf(&nfc);
	if (!any || e != OK || (e = tx_begin(&x, a, true)) != OK)
		goto out;
	/* Meanwhile the password may have been changed. */
	if ((e = acct_get(&x, acct_name(u), &old)) != OK || old.gen != u->gen ||
	    old.id != u->id)
		goto out;
	if ((e = acct_put(&x, &fresh, &old)) == OK)
		e = tx_commit(&x);
out:
	tx_end(&x);
	if (e != OK && e != ERR_NOTFOUND)
		log_error("cannot keep SCRAM keys", KV_S("user", acct_name(u)),
		    KV_ERR(e));
	x_wipe(&fresh, sizeof(fresh));
	x_wipe(&old, sizeof(old));
}

/* ---- what is announced ---- */

/* Clients take the strongest mechanism and do not fall back: SCRAM is
 * announced when every enabled account can use it. */
bool
scram_announced(struct auth *a, enum scram_hash h)
{
	bool yes;

	pthread_mutex_lock(&a->mu);
	yes = a->counts.enabled > 0 ? a->counts.keys[h] == a->counts.enabled
				    : a->scram[h];
	pthread_mutex_unlock(&a->mu);
	return yes;
}

void
mechs_put(struct auth *a, struct buf *out, bool tls)
{
	bool sha1 = scram_announced(a, SCRAM_SHA1);
	bool sha256 = scram_announced(a, SCRAM_SHA256);
	bool external;

	pthread_mutex_lock(&a->mu);
	external = a->external;
	pthread_mutex_unlock(&a->mu);
	if (tls && external)
		buf_s(out, "EXTERNAL ");
	if (tls && sha256)
		buf_s(out, "SCRAM-SHA-256-PLUS ");
	if (sha256)
		buf_s(out, "SCRAM-SHA-256 ");
	if (tls && sha1)
		buf_s(out, "SCRAM-SHA-1-PLUS ");
	if (sha1)
		buf_s(out, "SCRAM-SHA-1 ");
	buf_s(out, "PLAIN LOGIN");
}
