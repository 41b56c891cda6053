/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The grammar of SMTP commands as LMTP uses them (RFC 5321, 2033, 1870, 3030,
 * 6152, 6531), without I/O.
 *
 * (1) Nothing that comes out of here holds a control character, so an
 *     address can be put into a header or a log as it is.
 * (2) What is refused comes back as the whole reply, with its codes: the
 *     words say what to do.
 */
#ifndef PROTO_SMTP_H
#define PROTO_SMTP_H

#include "base/base.h"

#define SMTP_LOCAL_MAX 255  /* octets of a local part; RFC 5321 asks for 64 */
#define SMTP_DOMAIN_MAX 255 /* octets of a domain */

/* A command line without its line end: the verb and the rest behind it,
 * spaces trimmed. false: no verb of 1 to 16 letters, or a control character
 * in the line. */
bool smtp_split(str line, str *verb, str *rest);

/* The name a client gives with LHLO: a domain or an address literal, also
 * the odd ones (underscores, UTF-8). */
bool smtp_helo(str rest, str *name);

enum smtp_body { SMTP_7BIT, SMTP_8BITMIME, SMTP_BINARYMIME };

/* Where mail comes from or goes to. */
struct smtp_path {
	str path;    /* what stood between < and >, without source route */
	str address; /* local@domain, or local alone: unquoted, in the arena;
			empty: <> */
	bool utf8;   /* holds bytes outside ASCII */
};

struct smtp_mail {
	struct smtp_path from;
	bool has_size;
	uint64_t size; /* SIZE= */
	enum smtp_body body;
	bool utf8; /* SMTPUTF8 */
};

/* The rest of MAIL and RCPT. NULL, or the reply that refuses it, with its CR
 * LF. */
const char *smtp_mail(struct arena *a, str rest, struct smtp_mail *m);
const char *smtp_rcpt(struct arena *a, str rest, struct smtp_path *to);
/* The rest of BDAT. */
bool smtp_bdat(str rest, uint64_t *size, bool *last);

/* A path with its < and >; moves only when it succeeds. NULL, or why not. */
const char *smtp_path(struct arena *a, struct scan *s, struct smtp_path *p);

#endif
