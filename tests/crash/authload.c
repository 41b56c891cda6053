/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* The paths that write the database of names and passwords (load.h). */
#include "load.h"

#include "auth/auth.h"

#include <stdio.h>
#include <stdlib.h>

static struct auth *au;

/* ---- names ---- */

static str
name_of(char buf[64], const char *stem, unsigned i)
{
	return str_of(
	    buf, (size_t)snprintf(buf, 64, "%s%u@example.org", stem, i));
}

static void
line_refused(void *arg, uint32_t line, const char *why)
{
	load_fail("line %u of the import: %s", line, why);
}

/* n accounts stem0.. in one transaction, with hashes that cost nothing. */
static void
import(const char *stem, unsigned from, unsigned n, const char *password)
{
	struct auth_import done;
	struct buf b = {0};
	char name[64];

	for (unsigned i = from; i < from + n; i++)
		buf_f(&b, "%.*s:{PLAIN}%s%u\n", STR_ARG(name_of(name, stem, i)),
		    password, i);
	load_ok(auth_user_import(au, buf_str(&b), line_refused, NULL, &done),
	    "import");
	if (done.added + done.replaced != n)
		load_fail(
		    "import took %u of %u", done.added + done.replaced, n);
	buf_free(&b);
}

static void
setup_accounts(void)
{
	import("user", 0, 30, "first");
}

static void
setup_aliases(void)
{
	char a[64];
	char b[64];

	setup_accounts();
	for (unsigned i = 0; i < 30; i++)
		load_ok(auth_alias_add(au, name_of(a, "alias", i),
			    name_of(b, "user", i % 10)),
		    "alias add");
}

/* ---- steps ---- */

static void
step_add(unsigned lane, unsigned i)
{
	uint64_t id;
	char name[64];

	load_ok(auth_user_add(au, name_of(name, "new", i), S("secret"), &id),
	    "add");
}

static void
step_passwd(unsigned lane, unsigned i)
{
	char name[64];

	load_ok(auth_user_passwd(au, name_of(name, "user", i % 3), S("other")),
	    "passwd");
}

static void
step_enable(unsigned lane, unsigned i)
{
	char name[64];

	load_ok(
	    auth_user_enable(au, name_of(name, "user", i / 2 % 5), i % 2 == 0),
	    "enable");
}

static void
step_remove(unsigned lane, unsigned i)
{
	uint64_t id;
	char name[64];

	load_ok(
	    auth_user_remove(au, name_of(name, "user", i - 1), &id), "remove");
}

/* New ones, and some that are replaced. */
static void
step_import(unsigned lane, unsigned i)
{
	import("more", i * 15, 20, "second");
}

static void
step_alias_add(unsigned lane, unsigned i)
{
	char a[64];
	char b[64];

	load_ok(auth_alias_add(
		    au, name_of(a, "also", i), name_of(b, "user", i % 30)),
	    "alias add");
}

static void
step_alias_remove(unsigned lane, unsigned i)
{
	char a[64];

	load_ok(
	    auth_alias_remove(au, name_of(a, "alias", i - 1)), "alias remove");
}

static const struct load_path paths[] = {
    {"user-add", 12, WHOLE, 0, NULL, step_add},
    {"user-passwd", 12, WHOLE, 0, setup_accounts, step_passwd},
    {"user-enable", 24, WHOLE, 0, setup_accounts, step_enable},
    {"user-remove", 24, WHOLE, 0, setup_aliases, step_remove},
    {"user-import", 16, WHOLE, 0, setup_accounts, step_import},
    {"alias-add", 24, WHOLE, 0, setup_accounts, step_alias_add},
    {"alias-remove", 24, WHOLE, 0, setup_aliases, step_alias_remove},
};

/* ---- the frame's ---- */

static enum err
open_auth(const char *dir, const struct load_path *path)
{
	char sub[4096];

	snprintf(sub, sizeof(sub), "%s/auth", dir);
	return auth_open(&au, sub, NULL);
}

static void
close_auth(void)
{
	auth_close(&au);
}

struct dump {
	struct buf *out;
	uint64_t last;
};

static void
dump_user(void *arg, const struct auth_user *u)
{
	struct dump *d = arg;

	d->last = MAX(d->last, u->id);
	buf_f(d->out, "u %.*s\t%llu %d %.*s %d %d %lld %lld\n",
	    STR_ARG(u->name), (unsigned long long)u->id, u->disabled,
	    STR_ARG(u->scheme), u->scram_sha1, u->scram_sha256,
	    (long long)u->created_s, (long long)u->changed_s);
}

static void
dump_alias(void *arg, str alias, str name)
{
	struct dump *d = arg;

	buf_f(d->out, "a %.*s\t%.*s\n", STR_ARG(alias), STR_ARG(name));
}

static void
dump_auth(unsigned lane, struct buf *out)
{
	static uint64_t last; /* the highest id ever seen */
	struct dump d = {out, last};

	load_ok(auth_user_each(au, dump_user, &d), "list users");
	load_ok(auth_alias_each(au, dump_alias, &d), "list aliases");
	last = d.last;
	buf_f(out, "H ids\t%llu\n", (unsigned long long)d.last);
}

/* Every account can be asked for by its name, and its password is one that
 * it was given. */
static void
check_auth(void)
{
	static const char *const passwords[] = {"first", "second"};
	struct buf mem = {0};
	struct auth_user u;
	char name[64];
	char password[64];
	uint64_t id;

	for (unsigned i = 0; i < 30; i += 7) {
		str n = name_of(name, "user", i);

		if (auth_user_get(au, n, &mem, &u) != OK || u.disabled ||
		    !str_eq(u.scheme, S("PLAIN")))
			continue;
		for (unsigned k = 0; k < NELEM(passwords); k++) {
			size_t len = (size_t)snprintf(password,
			    sizeof(password), "%s%u", passwords[k], i);

			if (auth_check(au, n, str_of(password, len), &id) == OK)
				n = STR_NONE;
		}
		if (n.n > 0)
			load_fail("user%u: no password fits", i);
	}
	buf_free(&mem);
}

/* (2) of auth.h: an id that was once given is not given again. */
static void
go_on_auth(unsigned lane, str facts)
{
	struct buf mem = {0};
	struct auth_user u;
	char name[64];

	import("after", 1, 1, "first");
	load_ok(auth_user_get(au, name_of(name, "after", 1), &mem, &u), "get");
	if (u.id <= load_number(facts, "ids", 0))
		load_fail("id %llu is given again", (unsigned long long)u.id);
	buf_free(&mem);
}

int
main(int argc, char **argv)
{
	const struct load l = {"authload", paths, NELEM(paths), open_auth,
	    close_auth, dump_auth, check_auth, go_on_auth};

	return load_main(argc, argv, &l);
}
