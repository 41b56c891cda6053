/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The store's state as text, whole: mailboxes, subscriptions, messages with
 * everything that a client can see of them, down to a hash of their octets.
 *
 * (1) To open an account makes it; so only those that the store counts are
 *     opened. They are made, and removed, in the order of their ids.
 * (2) \Recent is not told: who has seen a message first may be forgotten.
 */
#include "storeload.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../store/t_upgrade_step.h"

#define BATCH 64
#define ACCOUNTS_MAX 32

static struct store *st;
static struct acct *open_accounts[ACCOUNTS_MAX];
static char data[4096];
static const struct load_path *now;
static bool index_anew;

struct store *
store_now(void)
{
	return st;
}

static bool
is_path(const char *name)
{
	return strcmp(now->name, name) == 0;
}

struct acct *
account_of(unsigned id)
{
	struct grant g = {
	    .kind = GRANT_LOGIN, .protocol = PROTO_IMAP, .account = id};
	char name[32];
	int n = snprintf(name, sizeof(name), "user%u", id);

	if (id >= ACCOUNTS_MAX)
		load_fail("too many accounts");
	if (open_accounts[id] == NULL)
		load_ok(acct_open(st, &g, str_of(name, (size_t)n),
			    &open_accounts[id]),
		    "account");
	return open_accounts[id];
}

static void
accounts_close(void)
{
	for (unsigned i = 0; i < ACCOUNTS_MAX; i++)
		if (open_accounts[i] != NULL)
			acct_close(&open_accounts[i]);
}

void
account_remove(unsigned id)
{
	struct grant g = {
	    .kind = GRANT_ADMIN, .protocol = PROTO_CONTROL, .account = id};

	if (open_accounts[id] != NULL)
		acct_close(&open_accounts[id]);
	load_ok(acct_remove(st, &g), "remove");
}

/* ---- open and close ---- */

/* The path "upgrade" begins with version 2, in a new folder, and goes up by
 * steps; who looks afterwards has the last one. */
static unsigned upgrade_now;

void
upgrade_step(unsigned now_)
{
	upgrade_now = now_;
	reopen();
}

static void
upgrade_begin(const char *dir)
{
	char path[400];

	snprintf(path, sizeof(path), "%s/FORMAT", dir);
	if (upgrade_now == 0)
		upgrade_now = access(path, F_OK) == 0 ? 8 : 2;
	upgrade_to(upgrade_now);
}

enum err
open_store(const char *dir, const struct load_path *path)
{
	struct store_opts o = {
	    .dir = data, .no_background = true, .rebuild = index_anew};

	now = path;
	if (dir != data)
		snprintf(data, sizeof(data), "%s", dir);
	limits.segment_bytes = 1 << 20;
	limits.index_map_bytes = 1 << 26;
	limits.expunged_keep_s = 1;
	if (is_path("upgrade"))
		upgrade_begin(dir);
	if (is_path("index-commit"))
		limits.index_commit_ms = 1;
	return store_open(&o, &st);
}

void
close_store(void)
{
	accounts_close();
	store_close(&st);
}

void
store_drop(void)
{
	close_store();
}

void
reopen(void)
{
	if (st != NULL)
		close_store();
	load_ok(open_store(data, now), "open again");
}

void
rebuild(void)
{
	index_anew = true;
	reopen();
	index_anew = false;
}

/* ---- text ---- */

static uint64_t
hash(uint64_t h, const void *p, size_t n)
{
	const unsigned char *s = p;

	for (size_t i = 0; i < n; i++)
		h = (h ^ s[i]) * 0x100000001b3u;
	return h;
}

/* The octets, and what the summary says of them. */
static uint64_t
content_hash(struct view *v, const struct entry *e)
{
	struct arena *ar = arena_new(0);
	struct source *src;
	struct summary s;
	uint64_t h = 0xcbf29ce484222325u;
	str header;
	char *p;

	load_ok(view_source(v, e, &src), "source");
	p = x_alloc(src->size + 1);
	load_ok(src->ops->read(src, 0, p, src->size), "read");
	h = hash(h, p, src->size);
	load_ok(view_header(v, e, ar, &header), "header");
	if (header.n > src->size || memcmp(header.p, p, header.n) != 0)
		load_fail("the header is not that of the message");
	if (src->size != e->size)
		load_fail("RFC822.SIZE is wrong");
	load_ok(view_summary(v, e, ar, &s), "summary");
	h = hash(h, s.envelope.p, s.envelope.n);
	x_free(&p);
	source_unref(&src);
	arena_free(&ar);
	return h;
}

/* Key, what may change, and the thing itself. */
static void
dump_entry(unsigned account, str name, struct view *v, const struct entry *e,
    struct buf *out)
{
	buf_f(out, "m %u %.*s %u\t%llu (", account, STR_ARG(name), e->uid,
	    (unsigned long long)e->modseq);
	view_flags(v,
	    &(struct entry){.flags = e->flags,
		.uid = e->uid,
		.seq = e->seq,
		.message = e->message,
		.modseq = e->modseq},
	    out);
	buf_f(out, ") %lld ", (long long)e->savedate);
	view_uidl(v, e, out);
	buf_s(out, "\t");
	view_emailid(v, e, out);
	buf_s(out, " ");
	view_threadid(v, e, out);
	buf_f(out, " %u %lld %d %016llx\n", e->size,
	    (long long)e->internaldate.sec, e->internaldate.zone_min,
	    (unsigned long long)content_hash(v, e));
}

static void
count_entry(struct mailbox_status *s, const struct entry *e)
{
	bool deleted = (e->flags & FLAG_DELETED) != 0;

	s->messages++;
	s->unseen += (e->flags & FLAG_SEEN) == 0;
	s->deleted += deleted;
	s->size += e->size;
	s->deleted_size += deleted ? e->size : 0;
}

static void
dump_entries(unsigned account, struct acct *a, const struct mailbox_info *m,
    const struct mailbox_status *want, struct buf *out)
{
	struct mailbox_status s = {0};
	struct entry e[BATCH];
	struct view *v;
	uint32_t seq = 1;
	uint32_t last = 0;
	size_t n;

	load_ok(view_open(a, m->id, true, 0, &v), "view");
	while ((n = view_entries(v, seq, e, BATCH)) > 0) {
		for (size_t i = 0; i < n; i++) {
			if (e[i].uid <= last || e[i].seq != seq + i ||
			    e[i].uid >= view_uidnext(v))
				load_fail("UIDs are out of order");
			if (e[i].modseq > view_highestmodseq(v))
				load_fail("a modseq above the highest");
			last = e[i].uid;
			count_entry(&s, &e[i]);
			dump_entry(account, m->name, v, &e[i], out);
		}
		seq += (uint32_t)n;
	}
	if (seq - 1 != view_exists(v))
		load_fail("EXISTS is wrong");
	if (s.messages != want->messages || s.unseen != want->unseen ||
	    s.deleted != want->deleted || s.size != want->size ||
	    s.deleted_size != want->deleted_size)
		load_fail("STATUS does not count what is there");
	view_close(&v);
}

static void
dump_mailbox(unsigned account, struct acct *a, const struct mailbox_info *m,
    struct buf *out)
{
	struct mailbox_status s;

	buf_f(out, "b %u %.*s\t%u %u %u\n", account, STR_ARG(m->name), m->id,
	    m->attrs, m->uidvalidity);
	if (m->attrs & (MB_NOSELECT | MB_NONEXISTENT))
		return;
	load_ok(mailbox_status(a, m->id, &s), "status");
	buf_f(out, "H %u %.*s\t%u %llu\n", account, STR_ARG(m->name), s.uidnext,
	    (unsigned long long)s.highestmodseq);
	dump_entries(account, a, m, &s, out);
}

static void
dump_account(unsigned id, struct buf *out)
{
	struct acct *a = account_of(id);
	struct arena *ar = arena_new(0);
	struct mailbox_info *v;
	size_t n;

	load_ok(mailbox_list(a, ar, &v, &n), "list");
	for (size_t i = 0; i < n; i++)
		dump_mailbox(id, a, &v[i], out);
	arena_free(&ar);
}

/* (1) */
static void
accounts_there(unsigned lane, unsigned *first, unsigned *last)
{
	struct store_stats s;

	store_stats(st, &s);
	*first = 1;
	*last = (unsigned)s.accounts;
	if (is_path("account-remove"))
		*first = ACCOUNTS - *last + 1;
	if (is_path("account-remove"))
		*last = ACCOUNTS;
	if (now->lanes > 0)
		*first = *last = lane + 1;
}

void
dump_store(unsigned lane, struct buf *out)
{
	unsigned first;
	unsigned last;

	accounts_there(lane, &first, &last);
	if (now->lanes == 0)
		buf_f(out, "accounts\t%u %u\n", first, last);
	for (unsigned i = first; i <= last; i++)
		dump_account(i, out);
}

/* ---- damage, and life after ---- */

static void
fault(void *arg, str sentence)
{
	printf("check: %.*s\n", STR_ARG(sentence));
}

void
check_store(void)
{
	uint64_t n = store_check(st, true, fault, NULL);

	if (n > 0)
		load_fail("check finds %llu faults", (unsigned long long)n);
}

/* New mail gets a UID and a modification sequence that were never used. */
void
go_on_store(unsigned lane, str facts)
{
	unsigned first;
	unsigned last;

	accounts_there(lane, &first, &last);
	if (is_path("account-remove") && first <= last)
		account_remove(first++);
	for (unsigned i = first; i <= last; i++) {
		struct acct *a = account_of(i);
		struct arena *ar = arena_new(0);
		struct mailbox_info info;
		struct mailbox_status old;
		struct mailbox_status s;
		char key[32];

		snprintf(key, sizeof(key), "%u INBOX", i);
		load_ok(mailbox_find(a, ar, S("INBOX"), &info), "find");
		load_ok(mailbox_status(a, info.id, &old), "status");
		append_some(i, "INBOX", 10000, 2, 0, false);
		load_ok(mailbox_status(a, info.id, &s), "status");
		if (s.uidnext != old.uidnext + 2 ||
		    s.uidnext < load_number(facts, key, 0) + 2 ||
		    s.highestmodseq <= load_number(facts, key, 1))
			load_fail("numbers are used again");
		arena_free(&ar);
	}
}
