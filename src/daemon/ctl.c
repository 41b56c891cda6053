/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The verbs of the command line, on an open store; ctl.h lists them. Every
 * verb checks its arguments: they come over a socket.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/ctl.h"

struct ctl {
	struct store *st;
	const str *arg;
	size_t n;
	int fd;
	void (*line)(void *ctx, str line, int fd);
	void *ctx;
	struct buf *why;
	struct arena *arena;
	struct acct *acct; /* of the verbs that begin with ID NAME */
	uint64_t account;  /* its id */
	struct ctl_kept *kept;
};

static const struct {
	const char *name;
	unsigned attr;
} uses[] = {
    {"all", MB_ALL},
    {"archive", MB_ARCHIVE},
    {"drafts", MB_DRAFTS},
    {"flagged", MB_FLAGGED},
    {"junk", MB_JUNK},
    {"sent", MB_SENT},
    {"trash", MB_TRASH},
    {"important", MB_IMPORTANT},
};

static enum err
say(struct ctl *c, enum err e, const char *what)
{
	if (e != OK)
		buf_f(c->why, "%s: %s", what, err_name(e));
	return e;
}

static void
put(struct ctl *c, struct buf *b, int fd)
{
	c->line(c->ctx, buf_str(b), fd);
	buf_reset(b);
}

/* ---- mailboxes ---- */

/* Why a command on the mailbox of that name failed. */
static enum err
say_mailbox(struct ctl *c, enum err e, str name)
{
	if (e == OK)
		return OK;
	buf_f(c->why, "%smailbox \"", e == ERR_NOTFOUND ? "no " : "");
	log_escape(c->why, name);
	buf_s(c->why, "\"");
	if (e == ERR_EXISTS)
		buf_s(c->why, " is there already");
	else if (e == ERR_CANNOT)
		buf_s(c->why, " cannot be changed so");
	else if (e == ERR_INVALID)
		buf_s(c->why, " is no name for one");
	else if (e != ERR_NOTFOUND)
		buf_f(c->why, ": %s", err_name(e));
	return e;
}

static enum err
ctl_mailbox_list(struct ctl *c)
{
	struct mailbox_info *v = NULL;
	struct mailbox_status s;
	struct buf b = {0};
	size_t n = 0;
	enum err e;

	if ((e = mailbox_list(c->acct, c->arena, &v, &n)) != OK)
		return e;
	for (size_t i = 0; i < n; i++) {
		memset(&s, 0, sizeof(s));
		if ((v[i].attrs & (MB_NOSELECT | MB_NONEXISTENT)) == 0 &&
		    mailbox_status(c->acct, v[i].id, &s) != OK)
			continue; /* deleted meanwhile */
		log_escape(&b, v[i].name);
		buf_f(&b, "\t%u\t%u\t%llu\t", s.messages, s.unseen,
		    (unsigned long long)s.size);
		if (v[i].attrs & MB_SUBSCRIBED)
			buf_s(&b, "subscribed ");
		if (v[i].attrs & MB_NOSELECT)
			buf_s(&b, "noselect ");
		if (v[i].attrs & MB_NONEXISTENT)
			buf_s(&b, "nonexistent ");
		for (size_t k = 0; k < NELEM(uses); k++)
			if (v[i].attrs & uses[k].attr)
				buf_f(&b, "%s ", uses[k].name);
		if (b.p[b.n - 1] == ' ')
			b.n--;
		put(c, &b, -1);
	}
	buf_free(&b);
	return OK;
}

static enum err
ctl_mailbox_create(struct ctl *c)
{
	unsigned use = 0;
	uint32_t id;
	str name;
	enum err e;

	if (c->n == 4) {
		for (size_t k = 0; k < NELEM(uses); k++)
			if (str_caseeq(c->arg[3], str_c(uses[k].name)))
				use = uses[k].attr;
		if (use == 0) {
			buf_s(c->why, "the use is one of all archive drafts "
				      "flagged junk sent trash important");
			return ERR_INVALID;
		}
	}
	if ((e = mailbox_name(c->arena, c->arg[2], &name)) == OK &&
	    (e = mailbox_create(c->acct, name, use, &id)) == OK)
		e = mailbox_subscribe(c->acct, name, true);
	return say_mailbox(c, e, c->arg[2]);
}

static enum err
ctl_mailbox_delete(struct ctl *c)
{
	str name;
	enum err e;

	if ((e = mailbox_name(c->arena, c->arg[2], &name)) == OK &&
	    (e = mailbox_delete(c->acct, name)) == OK)
		e = mailbox_subscribe(c->acct, name, false);
	return say_mailbox(c, e, c->arg[2]);
}

/* The subscriptions of what was renamed go with it: the command line makes
 * and removes them with the mailboxes. v: what there was before. */
static enum err
move_subscriptions(
    struct ctl *c, const struct mailbox_info *v, size_t n, str from, str to)
{
	enum err e = OK;

	for (size_t i = 0; i < n && e == OK; i++) {
		str old = v[i].name, tail = str_from(old, from.n);
		struct buf name = {0};

		if ((v[i].attrs & MB_SUBSCRIBED) == 0 ||
		    !str_starts(old, from) || (tail.n > 0 && tail.p[0] != '/'))
			continue;
		buf_str_add(&name, to);
		buf_str_add(&name, tail);
		e = mailbox_subscribe(c->acct, buf_str(&name), true);
		if (e == OK)
			e = mailbox_subscribe(c->acct, old, false);
		buf_free(&name);
	}
	return e;
}

static enum err
ctl_mailbox_rename(struct ctl *c)
{
	struct mailbox_info *v = NULL;
	size_t n = 0;
	str from, to;
	enum err e;

	if ((e = mailbox_name(c->arena, c->arg[2], &from)) == OK &&
	    (e = mailbox_name(c->arena, c->arg[3], &to)) == OK &&
	    (e = mailbox_list(c->acct, c->arena, &v, &n)) == OK &&
	    (e = mailbox_rename(c->acct, from, to)) == OK &&
	    !str_eq(from, S("INBOX"))) /* which stays */
		e = move_subscriptions(c, v, n, from, to);
	return say_mailbox(c, e, c->arg[e == ERR_EXISTS ? 3 : 2]);
}

/* ---- mail ---- */

struct mapping {
	str s;
	void *p;
	size_t n;
};

/* The whole of the request's descriptor, at most max bytes. */
static enum err
map_fd(int fd, uint64_t max, struct mapping *m)
{
	struct stat st;

	memset(m, 0, sizeof(*m));
	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return ERR_INVALID;
	if ((uint64_t)st.st_size > max)
		return ERR_TOOBIG;
	if (st.st_size == 0)
		return OK;
	m->n = (size_t)st.st_size;
	m->p = mmap(NULL, m->n, PROT_READ, MAP_PRIVATE, fd, 0);
	if (m->p == MAP_FAILED) {
		m->p = NULL;
		return ERR_NOMEM;
	}
	m->s = str_of(m->p, m->n);
	return OK;
}

static void
unmap(struct mapping *m)
{
	if (m->p != NULL)
		munmap(m->p, m->n);
}

/* The mailbox, made (and subscribed) when it is missing. */
static enum err
want_mailbox(struct ctl *c, str given, bool subscribe,
    struct mailbox_info *info, bool *made)
{
	str name;
	uint32_t id;
	enum err e;

	*made = false;
	if ((e = mailbox_name(
		 c->arena, given.n == 0 ? S("INBOX") : given, &name)) != OK)
		return say(c, e, "mailbox name");
	e = mailbox_find(c->acct, c->arena, name, info);
	if (e == ERR_NOTFOUND) {
		if ((e = mailbox_create(c->acct, name, 0, &id)) != OK)
			return say(c, e, "mailbox");
		*made = true;
		e = mailbox_find(c->acct, c->arena, name, info);
	}
	if (e == OK && subscribe && (info->attrs & MB_SUBSCRIBED) == 0)
		e = mailbox_subscribe(c->acct, name, true);
	return e;
}

static enum err
ctl_deliver(struct ctl *c)
{
	struct new_message m = {.internaldate = os_now()};
	struct mailbox_info info;
	struct mapping map;
	uint32_t uidvalidity, uid;
	bool made;
	enum err e;

	if ((e = map_fd(c->fd, limits.message_size_max, &map)) == ERR_TOOBIG)
		limit_hit(LIMIT_message_size_max, STR_NONE);
	if (e != OK)
		return say(c, e, "message");
	if ((e = want_mailbox(c, c->arg[2], true, &info, &made)) == OK) {
		m.message = map.s;
		e = store_append(c->acct, info.id, &m, 1, &uidvalidity, &uid);
	}
	unmap(&map);
	return say(c, e, "delivery");
}

void
ctl_batch_add(struct buf *b, const struct import_item *m)
{
	enc_u8(b, (uint8_t)m->what);
	enc_str(b, m->mailbox);
	enc_u32(b, m->uidvalidity);
	enc_u32(b, m->uidnext);
	enc_u8(b, m->subscribe);
	enc_u32(b, m->flags);
	enc_var(b, m->nkeywords);
	for (size_t i = 0; i < m->nkeywords; i++)
		enc_str(b, m->keywords[i]);
	enc_zig(b, m->internaldate.sec);
	enc_zig(b, m->internaldate.zone_min);
	enc_u32(b, m->uid);
	enc_str(b, m->uidl);
	enc_u32(b, m->copy);
	enc_str(b, m->message);
}

bool
ctl_batch_next(struct dec *d, struct arena *a, struct import_item *m, bool *bad)
{
	str *kw;
	uint64_t n;
	int64_t zone;

	*bad = false;
	if (dec_end(d))
		return false;
	memset(m, 0, sizeof(*m));
	m->what = (enum import_what)dec_u8(d);
	m->mailbox = dec_str(d);
	m->uidvalidity = dec_u32(d);
	m->uidnext = dec_u32(d);
	m->subscribe = dec_u8(d) != 0;
	m->flags = dec_u32(d) & FLAG_SYSTEM;
	n = dec_var(d);
	*bad = d->bad || m->what > IMPORT_SUBSCRIBED || n > dec_left(d);
	if (*bad || (kw = arena_array(a, (size_t)n + 1, sizeof(*kw))) == NULL)
		return false;
	for (size_t i = 0; i < n; i++)
		kw[i] = dec_str(d);
	m->keywords = kw;
	m->nkeywords = (size_t)n;
	m->internaldate.sec = dec_zig(d);
	zone = dec_zig(d);
	m->internaldate.zone_min = (int16_t)zone;
	m->uid = dec_u32(d);
	m->uidl = dec_str(d);
	m->copy = dec_u32(d);
	m->message = dec_str(d);
	*bad = d->bad || zone < -1439 || zone > 1439;
	return !*bad;
}

void
ctl_forget(struct ctl_kept *k)
{
	importer_free(&k->importer);
	acct_close(&k->acct);
	k->account = 0;
}

/* The importer of the batch before, if it is of the same account. */
static struct importer *
kept_importer(struct ctl *c)
{
	struct ctl_kept *k = c->kept;

	if (k->account != c->account) {
		ctl_forget(k);
		k->account = c->account;
		k->acct = c->acct;
		c->acct = NULL;
		k->importer = importer_new(k->acct);
	}
	return k->importer;
}

static enum err
append_items(struct ctl *c, const struct import_item *v, size_t n)
{
	bool *added = x_array(n + 1, sizeof(*added));
	size_t at = 0, fresh = 0, messages = 0;
	struct buf b = {0};
	enum err e;

	e = importer_add(kept_importer(c), v, n, added, &at);
	if (e != OK && at < n) {
		buf_f(c->why, "%.*s: message %zu: %s", STR_ARG(v[at].mailbox),
		    at + 1, err_name(e));
	} else if (e != OK) {
		e = say(c, e, "import");
	}
	for (size_t i = 0; i < n && e == OK; i++) {
		messages += v[i].what == IMPORT_MESSAGE;
		fresh += v[i].what == IMPORT_MESSAGE && added[i];
	}
	buf_f(&b, "%zu new, %zu known", fresh, messages - fresh);
	if (e == OK)
		put(c, &b, -1);
	buf_free(&b);
	x_free(&added);
	if (e != OK) /* what it has noted may not be so */
		ctl_forget(c->kept);
	return e;
}

static enum err
ctl_append(struct ctl *c)
{
	struct import_item *v = NULL;
	size_t n = 0, cap = 0;
	struct mapping map;
	struct dec d;
	bool bad = false;
	enum err e;

	if ((e = map_fd(
		 c->fd, 2 * limits.message_size_max + (64 << 20), &map)) != OK)
		return say(c, e, "batch");
	d = dec_of(map.s);
	while (ARENA_PUSH(c->arena, v, n, cap) &&
	       ctl_batch_next(&d, c->arena, &v[n], &bad))
		n++;
	if (bad || arena_failed(c->arena))
		e = say(c, ERR_INVALID, "batch");
	else if (n > 0)
		e = append_items(c, v, n);
	unmap(&map);
	return e;
}

/* A batch of items as a descriptor. */
static enum err
put_batch(struct ctl *c, struct buf *batch)
{
	struct buf text = {0};
	int fd;

	if (!buf_ok(batch))
		return ERR_NOMEM;
	if (batch->n == 0)
		return OK;
	if ((fd = os_memfd("restante-export")) < 0)
		return err_errno(errno);
	if (os_write_all(fd, batch->p, batch->n) != 0) {
		os_close(&fd);
		return ERR_NOMEM;
	}
	buf_u64(&text, batch->n);
	put(c, &text, fd);
	buf_free(&text);
	buf_reset(batch);
	return OK;
}

static enum err
ctl_export(struct ctl *c)
{
	struct exporter *ex = NULL;
	struct import_item item;
	struct buf batch = {0};
	bool end = false;
	enum err e;

	if ((e = exporter_new(c->acct, c->arg[2], &ex)) != OK)
		return say(c, e, "mailbox");
	while (e == OK && (e = exporter_next(ex, &item, &end)) == OK && !end) {
		ctl_batch_add(&batch, &item);
		if (batch.n >= (1 << 20))
			e = put_batch(c, &batch);
	}
	if (e == OK)
		e = put_batch(c, &batch);
	if (e == OK && exporter_skipped(ex) > 0) {
		buf_f(c->why,
		    "%llu messages cannot be read; see restante check --full",
		    (unsigned long long)exporter_skipped(ex));
		e = ERR_CORRUPT;
	}
	buf_free(&batch);
	exporter_free(&ex);
	return c->why->n > 0 ? e : say(c, e, "export");
}

/* ---- the whole store ---- */

static void
check_fault(void *arg, str sentence)
{
	struct ctl *c = arg;

	c->line(c->ctx, sentence, -1);
}

static enum err
ctl_check(struct ctl *c)
{
	bool full = c->n == 1 && str_eq(c->arg[0], S("full"));
	uint64_t faults = store_check(c->st, full, check_fault, c);
	struct buf b = {0};

	buf_f(&b, "%llu faults", (unsigned long long)faults);
	put(c, &b, -1);
	buf_free(&b);
	return OK;
}

static enum err
backup_file(void *arg, const char *name, int fd, uint64_t n)
{
	struct ctl *c = arg;
	struct buf b = {0};

	buf_f(&b, "%s %llu", name, (unsigned long long)n);
	put(c, &b, fd);
	buf_free(&b);
	return OK;
}

static enum err
ctl_backup(struct ctl *c)
{
	return say(c, store_backup_files(c->st, backup_file, c), "backup");
}

static enum err
ctl_stats(struct ctl *c)
{
	struct store_stats s;
	struct buf b = {0};

	store_stats(c->st, &s);
#define STAT(name)                                            \
	buf_f(&b, #name "=%llu", (unsigned long long)s.name); \
	put(c, &b, -1)
	STAT(accounts);
	STAT(mailboxes);
	STAT(messages);
	STAT(entries);
	STAT(log_bytes);
	STAT(log_live_bytes);
	STAT(index_bytes);
	STAT(commits);
	STAT(flushes);
	STAT(changes);
	STAT(resident_mailboxes);
#undef STAT
	buf_free(&b);
	return OK;
}

static enum err
ctl_steps(struct ctl *c, enum err (*step)(struct store *, bool *))
{
	bool more = true;
	enum err e = OK;

	while (more && e == OK)
		e = step(c->st, &more);
	return say(c, e, "store");
}

static enum err
ctl_compact(struct ctl *c)
{
	return ctl_steps(c, store_compact);
}

static enum err
ctl_expire(struct ctl *c)
{
	return ctl_steps(c, store_expire);
}

static enum err
ctl_remove(struct ctl *c)
{
	struct grant g = {.kind = GRANT_ADMIN, .protocol = PROTO_CONTROL};
	uint64_t id;
	enum err e;

	if (!str_u64(c->arg[0], &id) || id == 0)
		return say(c, ERR_INVALID, "account");
	g.account = id;
	e = acct_remove(c->st, &g);
	return e == ERR_NOTFOUND ? OK : say(c, e, "account");
}

static const struct verb {
	const char *name;
	size_t min, max;
	bool account; /* begins with ID NAME */
	enum err (*run)(struct ctl *c);
} verbs[] = {
    {"mailbox.list", 2, 2, true, ctl_mailbox_list},
    {"mailbox.create", 3, 4, true, ctl_mailbox_create},
    {"mailbox.delete", 3, 3, true, ctl_mailbox_delete},
    {"mailbox.rename", 4, 4, true, ctl_mailbox_rename},
    {"deliver", 3, 3, true, ctl_deliver},
    {"append", 2, 2, true, ctl_append},
    {"export", 3, 3, true, ctl_export},
    {"check", 0, 1, false, ctl_check},
    {"backup", 0, 0, false, ctl_backup},
    {"stats", 0, 0, false, ctl_stats},
    {"compact", 0, 0, false, ctl_compact},
    {"expire", 0, 0, false, ctl_expire},
    {"remove", 2, 2, false, ctl_remove},
};

static enum err
open_account(struct ctl *c)
{
	struct grant g = {.kind = GRANT_ADMIN, .protocol = PROTO_CONTROL};

	if (!str_u64(c->arg[0], &g.account) || g.account == 0)
		return ERR_INVALID;
	c->account = g.account;
	return acct_open(c->st, &g, c->arg[1], &c->acct);
}

enum err
ctl_run(struct store *st, str verb, const str *arg, size_t n, int fd,
    void (*line)(void *ctx, str line, int fd), void *ctx, struct buf *why,
    struct ctl_kept *kept)
{
	struct ctl c = {.kept = kept,
	    .st = st,
	    .arg = arg,
	    .n = n,
	    .fd = fd,
	    .line = line,
	    .ctx = ctx,
	    .why = why};
	enum err e = OK;

	for (size_t i = 0; i < NELEM(verbs); i++) {
		const struct verb *v = &verbs[i];

		if (!str_eq(verb, str_c(v->name)))
			continue;
		if (n < v->min || n > v->max)
			return say(&c, ERR_INVALID, "arguments");
		c.arena = arena_new(0);
		if (v->account)
			e = say(&c, open_account(&c), "account");
		if (e == OK)
			e = v->run(&c);
		acct_close(&c.acct);
		arena_free(&c.arena);
		return e;
	}
	buf_f(why, "no verb %.*s: are command and server of one version?",
	    STR_ARG(verb));
	return ERR_INVALID;
}
