/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The settings: one table (settings.c) with a row for each: name, kind,
 * default, a line of documentation. The file is INI without sections,
 * "name = value", '#' begins a comment; the same names serve as --set
 * NAME=VALUE, and the most used as flags of their own. A setting that may be
 * given several times (imap, pop3, ...) collects its values, separated by
 * spaces.
 *
 * (1) An unknown name or a bad value is an error that names file, line and
 *     the nearest valid name; there are no silent fallbacks (R123).
 * (2) No number may be 0 to mean "without bound".
 */
#ifndef DAEMON_SETTINGS_H
#define DAEMON_SETTINGS_H

#include "auth/auth.h"
#include "base/base.h"

struct settings {
	/* Where to listen: "ADDR:PORT" or "/path", separated by spaces;
	 * empty: the default of serve. */
	str imap, imaps, pop3, pop3s, lmtp;
	str hostname; /* in greetings and Received; empty: the system's */
	str tls_cert, tls_key; /* paths, separated by spaces, in pairs; empty:
				  the certificate made at first start */
	str tls_client_ca;     /* path; empty: no client certificates */
	bool tls_strict_sni;
	str domains;
	str lmtp_networks;     /* "192.0.2.0/24 2001:db8::/32" */
	bool lmtp_bare_lf_fix; /* lmtp_bare_lf = refuse | fix */
	bool plaintext_loopback;
	bool scram_sha1, scram_sha256; /* scram_keys = sha256 [sha1] | none */
	str auth_socket;               /* path; empty: none */
	str pop3_login_delay;          /* seconds as digits; empty: none */
	str user_mail, user_front, user_auth, user_keys;
	bool dedup_across_accounts;
	enum log_level log_level;
	str fronts;  /* "auto" or a number */
	str threads; /* "auto" or a number: of mail, at most */
	struct limits limits;
};

/* The defaults. Free with settings_free. */
struct settings *settings_new(void);
void settings_free(struct settings **s);
/* One setting; where it came from ("--set", "file:12") goes into why, a
 * whole sentence, when it is refused: ERR_INVALID. */
enum err settings_set(struct settings *s, str name, str value, str where,
    struct buf *why) MUST_CHECK;
/* Back to nothing, before a flag gives what the file gave too. */
void settings_clear(struct settings *s, str name);
/* A file's content. */
enum err settings_parse(
    struct settings *s, str content, str file, struct buf *why) MUST_CHECK;
/* Reads the file; missing is an error only when must is set. */
enum err settings_load(struct settings *s, const char *path, bool must,
    struct buf *why) MUST_CHECK;
/* For MSG_SETTINGS. settings_decode also is input from a peer: checked. */
void settings_encode(const struct settings *s, struct buf *out);
enum err settings_decode(struct settings *s, str encoded) MUST_CHECK;
/* What auth needs; slices of s. */
void settings_auth(const struct settings *s, struct auth_conf *conf);
/* Every setting with its documentation and value, as a file would have it;
 * all set to their defaults are commented out. */
void settings_print(const struct settings *s, struct buf *out);
/* The name of the i-th setting, NULL at the end: for the manual's test. */
const char *settings_name(size_t i);

#endif
