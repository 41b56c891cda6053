/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Accounts from a passwd file: name:hash, and whatever follows another
 * colon. One transaction: all good lines, or, when the disk fails, none.
 */
#include "auth/auth_int.h"

struct import {
	struct auth *a;
	struct tx x;
	struct auth_import *n;
	int64_t now_s;
};

static void
import_set(struct acct *u, str hash, const struct scram_keys *k, int64_t now_s)
{
	assert(hash.n <= sizeof(u->hash));
	memcpy(u->hash, hash.p, hash.n);
	u->nhash = (uint16_t)hash.n;
	memcpy(u->keys, k, sizeof(u->keys));
	u->changed_s = now_s;
	u->gen++;
}

static enum err
import_put(struct import *im, str name, str hash, const struct scram_keys *k,
    const char **why)
{
	struct acct u = {0}, old;
	bool there;
	str v;
	enum err e;

	if ((e = acct_get(&im->x, name, &old)) != OK && e != ERR_NOTFOUND)
		goto out;
	there = e == OK;
	if (there) {
		u = old;
	} else if ((e = rec_get(&im->x, REC_ALIAS, name, &v)) == OK) {
		*why = "the name is an alias";
		goto out;
	} else if (e != ERR_NOTFOUND || (e = next_id(&im->x, &u.id)) != OK) {
		goto out;
	} else {
		memcpy(u.name, name.p, name.n);
		u.nname = (uint16_t)name.n;
		u.created_s = im->now_s;
	}
	import_set(&u, hash, k, im->now_s);
	if ((e = acct_put(&im->x, &u, there ? &old : NULL)) == OK)
		*(there ? &im->n->replaced : &im->n->added) += 1;
out:
	x_wipe(&u, sizeof(u));
	x_wipe(&old, sizeof(old));
	return e;
}

/* One line; *why: refused. */
static enum err
import_line(struct import *im, str line, const char **why)
{
	struct scram_keys k[SCRAM_HASHES] = {0};
	struct buf prep = {0}, hash = {0};
	str name = str_cut(&line, ':'), given;
	enum err e = OK;

	given = str_cut(&line, ':');
	if (auth_name(&prep, name) != OK)
		*why = "no name that an account can have";
	else if (given.n == 0)
		*why = "no password hash";
	else if ((*why = hash_import(&hash, given, k)) == NULL)
		e = import_put(im, buf_str(&prep), buf_str(&hash), k, why);
	x_wipe(k, sizeof(k));
	buf_free(&prep);
	wipe_buf(&hash);
	return e;
}

enum err
auth_user_import(struct auth *a, str file,
    void (*refused)(void *arg, uint32_t line, const char *why), void *arg,
    struct auth_import *n)
{
	struct import im = {.a = a, .n = n, .now_s = os_wall_ms() / 1000};
	uint32_t at = 0;
	const char *why;
	str line;
	enum err e;

	memset(n, 0, sizeof(*n));
	if ((e = tx_begin(&im.x, a, true)) != OK)
		return e;
	while (file.n > 0 && e == OK) {
		line = str_cut(&file, '\n');
		at++;
		why = NULL;
		if (str_ends(line, S("\r")))
			line.n--;
		if (line.n == 0 || line.p[0] == '#')
			continue;
		if (line.n > 4096)
			why = "the line is too long";
		else
			e = import_line(&im, line, &why);
		if (why == NULL)
			continue;
		n->refused++;
		if (refused != NULL)
			refused(arg, at, why);
	}
	if (e == OK)
		e = tx_commit(&im.x);
	tx_end(&im.x);
	if (e != OK)
		memset(n, 0, sizeof(*n));
	return e;
}
