/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * auth: who is who. The only reader of names, aliases and passwords: the
 * secrets database, password schemes, SASL mechanisms, recipients, the
 * throttling of guessing, and the loop of the auth process.
 *
 * (1) Names are prepared once, by auth_name, before any look-up: valid
 *     UTF-8, no control, no space, normalised (NFC of the case-folded
 *     form). What the database holds is prepared (R41).
 * (2) Account ids are given here, start at 1 and are never used again. The
 *     mail process makes an account's store when it first sees a grant.
 * (3) A change is on disk when its function returns OK.
 * (4) No password is ever logged or kept in clear; buffers that held one
 *     are overwritten (R43).
 * (5) The database is opened by one process at a time: DATA/auth/lock.
 */
#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H

#include "base/base.h"
#include "ipc/ipc.h"
#include "os/os.h"

#define AUTH_NAME_MAX 320     /* bytes of a prepared name */
#define AUTH_PASSWORD_MAX 511 /* bytes of a password: crypt(3)'s most */

struct auth;

/* What the settings say; copied. */
struct auth_conf {
	str domains;     /* names, separated by spaces or commas; the domains
			    whose recipients and logins are also tried as
			    the bare local part. Empty: any domain */
	bool scram_sha1; /* scram_keys: what new passwords get */
	bool scram_sha256;
	bool external; /* tls_client_ca is set: EXTERNAL is served */
};

/* ---- names ---- */

/* The prepared form of a name or address as typed, appended to out.
 * ERR_INVALID: no such name can exist. */
enum err auth_name(struct buf *out, str typed) MUST_CHECK;

/* ---- the database ---- */

/* dir: DATA/auth; made when missing. conf NULL: SCRAM-SHA-256 keys, any
 * domain. ERR_BUSY: another process has it open. */
enum err auth_open(struct auth **out, const char *dir,
    const struct auth_conf *conf) MUST_CHECK;
void auth_close(struct auth **a);
void auth_configure(struct auth *a, const struct auth_conf *conf);

struct auth_user {
	uint64_t id;
	str name;
	bool disabled;
	str scheme;      /* "yescrypt", "SSHA256", ...; "" without a hash */
	bool scram_sha1; /* has such keys */
	bool scram_sha256;
	int64_t created_s; /* seconds since 1970 */
	int64_t changed_s; /* of the password */
};

/* Names are taken as typed. ERR_INVALID: no name, or no usable password;
 * ERR_EXISTS: the name is an account's or an alias's; ERR_NOTFOUND. */
enum err
auth_user_add(struct auth *a, str name, str password, uint64_t *id) MUST_CHECK;
enum err auth_user_passwd(struct auth *a, str name, str password) MUST_CHECK;
enum err auth_user_enable(struct auth *a, str name, bool enable) MUST_CHECK;
/* Also its aliases go. Mail is told at once, or when it next starts. */
enum err auth_user_remove(struct auth *a, str name, uint64_t *id) MUST_CHECK;
/* u->name and u->scheme are slices of mem. */
enum err auth_user_get(
    struct auth *a, str name, struct buf *mem, struct auth_user *u) MUST_CHECK;
/* All, sorted by name's bytes; slices hold during the call of fn. */
enum err auth_user_each(struct auth *a,
    void (*fn)(void *arg, const struct auth_user *u), void *arg) MUST_CHECK;

/* A passwd file: name:hash[:...] a line, the hash with a {SCHEME} prefix or
 * as crypt(3) makes it; # comments. In one transaction: good lines become
 * accounts (of an existing one the hash is replaced), each bad one is told
 * to refused with its number and why. */
struct auth_import {
	uint32_t added, replaced, refused;
};
enum err auth_user_import(struct auth *a, str file,
    void (*refused)(void *arg, uint32_t line, const char *why), void *arg,
    struct auth_import *n) MUST_CHECK;

/* An alias is another address of one account. ERR_NOTFOUND: no such
 * account or alias. */
enum err auth_alias_add(struct auth *a, str alias, str name) MUST_CHECK;
enum err auth_alias_remove(struct auth *a, str alias) MUST_CHECK;
enum err auth_alias_each(struct auth *a,
    void (*fn)(void *arg, str alias, str name), void *arg) MUST_CHECK;

/* Who a recipient is: the full address, an alias, both without +detail,
 * then the bare local part if its domain is ours. *fail is 0 when found. */
struct auth_recipient {
	uint64_t account;
	str name;   /* of the account; slices of mem */
	str detail; /* what stood after the + */
};
enum err auth_recipient(struct auth *a, str address, struct buf *mem,
    struct auth_recipient *r, enum rcpt_fail *fail) MUST_CHECK;
/* A plaintext password, without throttle or cache. ERR_AUTH: wrong name or
 * password, or disabled. */
enum err
auth_check(struct auth *a, str name, str password, uint64_t *id) MUST_CHECK;

/* ---- the command line ---- */

/* Runs a verb: in the running server, over DATA/run/auth.sock, or here
 * when none runs. line (may be NULL) gets each line of output, without its
 * newline; why, in words, what went wrong. Verbs and arguments:
 *
 *   user.add NAME PASSWORD      user.passwd NAME PASSWORD
 *   user.list                   user.postfix
 *   user.show NAME              user.id NAME          ("ID NAME")
 *   user.disable NAME           user.enable NAME
 *   user.remove NAME            user.import           (fd: the file)
 *   alias.add ALIAS NAME        alias.remove ALIAS    alias.list
 *   rcpt ADDRESS                ("ID NAME [DETAIL]")
 *   mechs                       (clear, then TLS)
 *   backup                      (fd: an empty file, which becomes a copy of
 *                               the database: auth/secrets.mdb)
 *
 * user.list lines: NAME TAB ID TAB enabled|disabled TAB scheme TAB SCRAM
 * keys. user.import lines: "LINE: why", then "N added, N replaced, N
 * refused". user.postfix: "ADDRESS OK", a map for relay_recipient_maps; an
 * account or alias without a domain comes once for each of domains.
 * ERR_BUSY: a server runs but does not listen. conf is used offline only. */
enum err auth_command(const char *data, const struct auth_conf *conf, str verb,
    const str *arg, size_t n, int fd, void (*line)(void *arg, str line),
    void *ctx, struct buf *why) MUST_CHECK;

/* ---- the auth process ---- */

struct auth_env {
	struct chan *supervisor; /* MSG_SETTINGS, MSG_PEER, MSG_STOP; auth
				    sends MSG_READY */
	int control;      /* listening, DATA/run/auth.sock; -1: none. Taken */
	int dovecot;      /* listening, setting auth_socket; -1: none. Taken */
	unsigned threads; /* that hash; 0: cores - 1, at least 1 */
	/* Decodes MSG_SETTINGS (and sets limits); false: malformed. The
	 * slices of conf must hold until the next call. */
	bool (*settings)(void *arg, str encoded, struct auth_conf *conf);
	void *arg;
};
/* Serves until MSG_STOP or until the supervisor has gone. Called after the
 * box was entered; starts its threads itself.
 *
 * For fronts: MSG_AUTH_MECHS names what auth serves; a front leaves out
 * PLAIN and LOGIN (and refuses them) in clear off loopback, -PLUS where it
 * has no tls-exporter value, EXTERNAL without a verified client
 * certificate. MSG_AUTH_START's initial of mechanism "" is name NUL
 * password; of a mechanism with an empty initial response: has initial 1,
 * initial empty. One exchange per connection: a new START ends the old. */
enum err auth_serve(struct auth *a, const struct auth_env *env) MUST_CHECK;

#endif
