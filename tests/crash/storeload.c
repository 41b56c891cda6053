/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The paths that write the store (load.h): what each step does. How the
 * state is told and checked is in storedump.c.
 */
#include "storeload.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- messages ---- */

/* Message number i of a kind: some short, some longer, some with a body
 * that others have too. Incompressible when noisy. */
static void
message_make(struct buf *b, unsigned lane, unsigned i, size_t bytes, bool noisy)
{
	uint64_t x = i * 0x9e3779b97f4a7c15u + 1;

	buf_f(b,
	    "From: lane%u <lane%u@example.org>\r\n"
	    "To: somebody@example.org\r\n"
	    "Subject: number %u\r\n"
	    "Message-ID: <%u.%u@example.org>\r\n"
	    "Date: Mon, 7 Feb 2022 21:52:25 +0100\r\n\r\n",
	    lane, lane, i, i, lane);
	for (size_t n = 0; n < bytes; n += 62) {
		for (unsigned k = 0; k < 60; k++) {
			x = x * 6364136223846793005u + 1442695040888963407u;
			buf_c(b, noisy ? (char)('!' + (x >> 33) % 90)
				       : (char)('a' + (n / 62 + k) % 26));
		}
		buf_s(b, "\r\n");
	}
}

static size_t
bytes_of(unsigned i)
{
	static const size_t sizes[] = {100, 700, 0, 3000, 100, 9000};

	return sizes[i % NELEM(sizes)];
}

static struct stamp
date_of(unsigned i)
{
	return (struct stamp){1600000000 + i, (int16_t)(i % 3 * 60)};
}

static uint32_t
mailbox_id(struct acct *a, const char *name)
{
	struct arena *ar = arena_new(0);
	struct mailbox_info info;

	load_ok(mailbox_find(a, ar, str_c(name), &info), name);
	arena_free(&ar);
	return info.id;
}

void
append_some(unsigned account, const char *mailbox, unsigned first, unsigned n,
    size_t bytes, bool noisy)
{
	static const str words[] = {{"$Forwarded", 10}, {"later", 5}};
	struct acct *a = account_of(account);
	struct new_message m[16] = {0};
	struct buf b[16] = {0};
	uint32_t uids[16];
	uint32_t validity;

	for (unsigned k = 0; k < n; k++) {
		unsigned i = first + k;

		message_make(
		    &b[k], account, i, bytes ? bytes : bytes_of(i), noisy);
		m[k].message = buf_str(&b[k]);
		m[k].internaldate = date_of(i);
		m[k].flags.system = i % 4 == 0 ? FLAG_SEEN : 0;
		m[k].flags.keywords = words;
		m[k].flags.nkeywords = i % 3;
	}
	load_ok(store_append(a, mailbox_id(a, mailbox), m, n, &validity, uids),
	    "append");
	for (unsigned k = 0; k < n; k++)
		buf_free(&b[k]);
}

/* ---- setups ---- */

static void
setup_inbox(void)
{
	for (unsigned i = 0; i < 4; i++)
		append_some(1, "INBOX", i * 10, 10, 0, false);
}

static void
setup_tree(void)
{
	static const char *const names[] = {
	    "work", "work/a", "work/a/deep", "work/b", "home/x", "old"};

	for (unsigned i = 0; i < NELEM(names); i++) {
		uint32_t id;

		load_ok(mailbox_create(account_of(1), str_c(names[i]), 0, &id),
		    names[i]);
		append_some(1, names[i], i * 10, 3, 0, false);
	}
	append_some(1, "INBOX", 90, 4, 0, false);
}

static void
setup_account(void)
{
	account_of(1);
}

static void
setup_many_accounts(void)
{
	for (unsigned i = 1; i <= ACCOUNTS; i++)
		account_of(i);
}

static void
setup_filled_accounts(void)
{
	for (unsigned i = 1; i <= ACCOUNTS; i++)
		append_some(i, "INBOX", i * 10, 3, 0, false);
}

static void
expunge_uids(unsigned account, const char *mailbox, uint32_t lo, uint32_t hi)
{
	struct acct *a = account_of(account);
	struct ranges uids = {0};
	struct view *v;

	load_ok(view_open(a, mailbox_id(a, mailbox), false, 0, &v), "view");
	ranges_add(&uids, lo, hi);
	load_ok(store_expunge(v, &uids, true, NULL), "expunge");
	ranges_free(&uids);
	view_close(&v);
}

/* Segments with little that still lives. */
static void
setup_dead(void)
{
	for (unsigned i = 0; i < 12; i++)
		append_some(1, "INBOX", i * 8, 8, 22000, true);
	expunge_uids(1, "INBOX", 3, 50);
	expunge_uids(1, "INBOX", 53, 90);
}

static void
expire_all(void)
{
	bool more = true;

	while (more)
		load_ok(store_expire(store_now(), &more), "expire");
}

static void
setup_compact(void)
{
	setup_dead();
	/* The dead are kept for a second. */
	os_clock_fix(os_wall_ms() + 5000, os_mono_ms() + 5000);
	expire_all();
}

/* ---- steps: messages ---- */

static void
step_append(unsigned lane, unsigned i)
{
	append_some(1, i % 5 == 0 ? "Sent" : "INBOX", i, 1, 0, false);
}

/* From nothing: the store, an account, mail. */
static void
step_format(unsigned lane, unsigned i)
{
	if (i == 1)
		account_of(1);
	else
		step_append(lane, i);
}

static void
step_append_large(unsigned lane, unsigned i)
{
	append_some(1, "INBOX", i, 1, 150000, i % 2 == 0);
}

static void
step_multiappend(unsigned lane, unsigned i)
{
	append_some(1, "INBOX", i * 16, 2 + i % 7, 0, false);
}

static void
step_roll(unsigned lane, unsigned i)
{
	append_some(1, "INBOX", i, 1, 120000, true);
}

static void
step_deliver(unsigned lane, unsigned i)
{
	struct delivery d[ACCOUNTS] = {0};
	struct buf b = {0};
	char prefix[ACCOUNTS][64];
	unsigned n = 1 + i * 5 % ACCOUNTS;

	message_make(&b, 0, i, bytes_of(i), false);
	for (unsigned k = 0; k < n; k++) {
		int len = snprintf(prefix[k], 64, "Delivered-To: a%u\r\n", k);

		d[k].account = account_of(1 + (i + k) % ACCOUNTS);
		d[k].prefix = str_of(prefix[k], (size_t)len);
	}
	store_deliver(store_now(), d, n, buf_str(&b), STR_NONE, date_of(i));
	for (unsigned k = 0; k < n; k++)
		load_ok(d[k].result, "deliver");
	buf_free(&b);
}

static void
change_flags(unsigned account, uint32_t lo, uint32_t hi, unsigned i)
{
	static const str words[] = {{"blue", 4}, {"green", 5}, {"later", 5}};
	struct acct *a = account_of(account);
	struct flag_change c = {
	    .op = (enum flag_op)(i % 3), .unchangedsince = UINT64_MAX};
	struct ranges uids = {0};
	struct ranges modified = {0};
	struct ranges gone = {0};
	struct view *v;

	c.flags.system = 1u << i % 5;
	c.flags.keywords = &words[i % 3];
	c.flags.nkeywords = i % 2;
	load_ok(view_open(a, mailbox_id(a, "INBOX"), false, 0, &v), "view");
	ranges_add(&uids, lo, hi);
	load_ok(store_flags(v, &uids, &c, &modified, &gone), "flags");
	ranges_free(&uids);
	ranges_free(&modified);
	ranges_free(&gone);
	view_close(&v);
}

static void
step_flags(unsigned lane, unsigned i)
{
	change_flags(1, 1 + i % 30, 1 + i % 30 + i % 10, i);
}

/* So many keywords that some have no bit. */
static void
step_keywords(unsigned lane, unsigned i)
{
	struct acct *a = account_of(1);
	struct flag_change c = {.op = FLAGS_ADD, .unchangedsince = UINT64_MAX};
	struct ranges uids = {0};
	struct ranges modified = {0};
	struct ranges gone = {0};
	char names[8][16];
	str words[8];
	struct view *v;

	for (unsigned k = 0; k < 8; k++)
		words[k] = str_of(names[k],
		    (size_t)snprintf(names[k], 16, "word%u", i * 8 + k));
	c.flags.keywords = words;
	c.flags.nkeywords = 8;
	load_ok(view_open(a, mailbox_id(a, "INBOX"), false, 0, &v), "view");
	ranges_add(&uids, 1 + i, 3 + i);
	load_ok(store_flags(v, &uids, &c, &modified, &gone), "flags");
	ranges_free(&uids);
	ranges_free(&modified);
	ranges_free(&gone);
	view_close(&v);
}

static void
step_expunge(unsigned lane, unsigned i)
{
	expunge_uids(1, "INBOX", i * 2 - 1, i * 2 - 1 + i % 2);
}

static void
copy_uids(unsigned account, const char *to, uint32_t lo, uint32_t hi, bool move)
{
	struct acct *a = account_of(account);
	struct arena *ar = arena_new(0);
	struct ranges set = {0};
	struct ranges uids = {0};
	uint32_t validity;
	uint32_t *from;
	uint32_t *became;
	struct view *v;
	size_t n;

	load_ok(view_open(a, mailbox_id(a, "INBOX"), false, 0, &v), "view");
	ranges_add(&set, lo, hi);
	view_resolve(v, &set, true, &uids);
	load_ok(store_copy(v, &uids, mailbox_id(a, to), move, ar, &validity,
		    &from, &became, &n),
	    "copy");
	view_close(&v);
	ranges_free(&set);
	ranges_free(&uids);
	arena_free(&ar);
}

static void
step_copy(unsigned lane, unsigned i)
{
	copy_uids(1, i % 4 == 0 ? "INBOX" : "Archive", i, i + i % 7, false);
}

static void
step_move(unsigned lane, unsigned i)
{
	copy_uids(
	    1, i % 2 ? "Archive" : "Trash", i * 2 - 1, i * 2 - 1 + i % 2, true);
}

static void
step_move_many(unsigned lane, unsigned i)
{
	copy_uids(1, "Archive", 1 + (i - 1) * 10, i * 10, true);
}

/* A little of everything, each lane in its own account. */
static void
step_crowd(unsigned lane, unsigned i)
{
	unsigned account = lane + 1;

	if (i % 4 == 1)
		change_flags(account, 1, i, i);
	else if (i % 4 == 3)
		expunge_uids(account, "INBOX", i / 4 + 1, i / 4 + 1);
	else
		append_some(account, "INBOX", i * 4, 1 + i % 3, 0, false);
}

/* ---- steps: mailboxes ---- */

static void
step_create(unsigned lane, unsigned i)
{
	char name[64];
	uint32_t id;
	int n = i % 3 == 0 ? snprintf(name, sizeof(name), "top%u/mid/low", i)
			   : snprintf(name, sizeof(name), "box%u", i);

	load_ok(mailbox_create(account_of(1), str_of(name, (size_t)n),
		    i == 4 ? MB_FLAGGED : 0, &id),
	    "create");
}

static void
step_delete(unsigned lane, unsigned i)
{
	static const char *const names[] = {
	    "work/a", "work/a/deep", "old", "work", "home/x"};

	load_ok(mailbox_delete(account_of(1), str_c(names[i - 1])), "delete");
}

static void
step_rename(unsigned lane, unsigned i)
{
	static const char *const names[][2] = {{"old", "older"},
	    {"work/a", "new/place/a"}, {"work", "play"}, {"INBOX", "kept"},
	    {"home", "house"}, {"new", "home"}};

	load_ok(mailbox_rename(account_of(1), str_c(names[i - 1][0]),
		    str_c(names[i - 1][1])),
	    "rename");
}

static void
step_subscribe(unsigned lane, unsigned i)
{
	static const char *const names[] = {"work", "work/b", "nowhere/at/all"};

	load_ok(mailbox_subscribe(
		    account_of(1), str_c(names[i / 2 % 3]), i % 2 == 0),
	    "subscribe");
}

/* Who looks first takes \\Recent: a record that nothing waits for. */
static void
step_recent(unsigned lane, unsigned i)
{
	struct acct *a = account_of(1);
	struct view *v;

	if (i % 2 == 1) {
		append_some(1, "INBOX", i, 1, 0, false);
		return;
	}
	load_ok(view_open(a, mailbox_id(a, "INBOX"), false, 0, &v), "view");
	if (view_recent(v) != 1)
		load_fail("%u are recent", view_recent(v));
	view_close(&v);
}

static void
step_set_uids(unsigned lane, unsigned i)
{
	struct acct *a = account_of(1);
	char name[64];
	uint32_t id;
	int n = snprintf(name, sizeof(name), "import%u", (i + 1) / 2);

	if (i % 2 == 1)
		load_ok(mailbox_create(a, str_of(name, (size_t)n), 0, &id),
		    "create");
	else
		load_ok(mailbox_set_uids(
			    a, mailbox_id(a, name), 1234567 + i, 1000 * i),
		    "set uids");
}

/* With the UIDs and UIDLs that they had elsewhere. */
static void
step_import(unsigned lane, unsigned i)
{
	struct acct *a = account_of(1);
	struct new_message m[3] = {0};
	struct buf b[3] = {0};
	char uidl[3][32];
	uint32_t uids[3];
	uint32_t validity;

	for (unsigned k = 0; k < 3; k++) {
		message_make(&b[k], 1, i * 3 + k, bytes_of(i), false);
		m[k].message = buf_str(&b[k]);
		m[k].internaldate = date_of(i);
		m[k].uid = i * 100 + k * 7;
		m[k].uidl = str_of(uidl[k],
		    (size_t)snprintf(uidl[k], 32, "UID%u-old", m[k].uid));
	}
	load_ok(
	    store_append(a, mailbox_id(a, "Archive"), m, 3, &validity, uids),
	    "import");
	for (unsigned k = 0; k < 3; k++)
		buf_free(&b[k]);
}

/* ---- steps: the store ---- */

static void
step_account(unsigned lane, unsigned i)
{
	account_of(i);
}

static void
step_account_remove(unsigned lane, unsigned i)
{
	account_remove(i);
}

static void
step_expire(unsigned lane, unsigned i)
{
	bool more;

	if (i % 2 == 1)
		expunge_uids(1, "INBOX", 50 + i, 50 + i);
	load_ok(store_expire(store_now(), &more), "expire");
}

static void
step_compact(unsigned lane, unsigned i)
{
	bool more;

	load_ok(store_compact(store_now(), &more), "compact");
	if (i % 3 == 0)
		append_some(1, "INBOX", 500 + i, 1, 0, false);
}

static void
step_close(unsigned lane, unsigned i)
{
	append_some(1, "INBOX", i, 1, 0, false);
	reopen();
}

/* A process that dies at work, and another that takes over. */
static void
step_recover(unsigned lane, unsigned i)
{
	pid_t pid;

	store_drop();
	if ((pid = fork()) == 0) {
		reopen();
		append_some(1, "INBOX", i * 3, 1, 0, false);
		change_flags(1, 1, 2 + i, i);
		append_some(1, "INBOX", i * 3 + 1, 1, 0, false);
		raise(SIGKILL);
	}
	waitpid(pid, NULL, 0);
	reopen();
}

static void
step_rebuild(unsigned lane, unsigned i)
{
	append_some(1, "INBOX", i, 1, 0, false);
	rebuild();
}

/* R105 */
static void
step_upgrade(unsigned lane, unsigned i)
{
	upgrade_step(2 + 2 * i);
	append_some(1, "INBOX", i, 1, 0, false);
}

static void
step_restored(unsigned lane, unsigned i)
{
	if (i % 2 == 1)
		append_some(1, "INBOX", i, 1, 0, false);
	else
		load_ok(store_restored(store_now()), "restored");
}

/* clang-format off */
static const struct load_path paths[] = {
	/* name            steps unit         lanes setup                  step */
	{ "format",           3, WHOLE,       0,    NULL,                  step_format },
	{ "append",          16, WHOLE,       0,    setup_account,         step_append },
	{ "append-large",     8, WHOLE,       0,    setup_account,         step_append_large },
	{ "multiappend",     12, WHOLE,       0,    setup_account,         step_multiappend },
	{ "deliver",         16, PER_MESSAGE, 0,    setup_many_accounts,   step_deliver },
	{ "flags",           24, PER_MESSAGE, 0,    setup_inbox,           step_flags },
	{ "keywords",        12, PER_MESSAGE, 0,    setup_inbox,           step_keywords },
	{ "expunge",         18, PER_MESSAGE, 0,    setup_inbox,           step_expunge },
	{ "copy",            16, WHOLE,       0,    setup_inbox,           step_copy },
	{ "move",            18, PER_MESSAGE, 0,    setup_inbox,           step_move },
	{ "move-many",        4, PER_MESSAGE, 0,    setup_inbox,           step_move_many },
	{ "create",          12, WHOLE,       0,    setup_account,         step_create },
	{ "delete",           5, WHOLE,       0,    setup_tree,            step_delete },
	{ "rename",           6, WHOLE,       0,    setup_tree,            step_rename },
	{ "subscribe",       12, WHOLE,       0,    setup_tree,            step_subscribe },
	{ "recent",          16, WHOLE,       0,    setup_account,         step_recent },
	{ "set-uids",         8, WHOLE,       0,    setup_account,         step_set_uids },
	{ "import",           8, WHOLE,       0,    setup_account,         step_import },
	{ "account-create",  10, WHOLE,       0,    NULL,                  step_account },
	{ "account-remove",   6, PIECES,      0,    setup_filled_accounts, step_account_remove },
	{ "expire",           8, PER_MESSAGE, 0,    setup_dead,            step_expire },
	{ "compact",          9, WHOLE,       0,    setup_compact,         step_compact },
	{ "segment-roll",    24, WHOLE,       0,    setup_account,         step_roll },
	{ "index-commit",    16, WHOLE,       0,    setup_account,         step_append },
	{ "close",            8, WHOLE,       0,    setup_account,         step_close },
	{ "recover",          8, PER_MESSAGE, 0,    setup_inbox,           step_recover },
	{ "rebuild",          4, WHOLE,       0,    setup_tree,            step_rebuild },
	{ "restored",         6, PER_MESSAGE, 0,    setup_inbox,           step_restored },
	{ "upgrade",          3, WHOLE,       0,    setup_tree,            step_upgrade },
	{ "crowd",           16, PER_MESSAGE, 4,    setup_many_accounts,   step_crowd },
};
/* clang-format on */

int
main(int argc, char **argv)
{
	const struct load l = {"storeload", paths, NELEM(paths), open_store,
	    close_store, dump_store, check_store, go_on_store};

	return load_main(argc, argv, &l);
}
