/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * SASL as IMAP (RFC 9051 6.2.2) and POP3 (RFC 5034) carry it: lines of
 * strict base64, "*" to cancel, "=" for an empty initial response, names of
 * mechanisms. The mechanisms themselves are auth's.
 *
 * (1) Base64 is checked here, before any mechanism sees it: padded, no white
 *     space, no stray bits (R36).
 */
#ifndef PROTO_SASL_H
#define PROTO_SASL_H

#include "base/base.h"

enum sasl_line {
	SASL_DATA,   /* decoded into out */
	SASL_CANCEL, /* "*" */
	SASL_BAD     /* no base64 */
};
/* A client's line in the exchange, without its line end. */
enum sasl_line sasl_line(str line, struct buf *out);
/* The initial response of the command: base64, or "=" for an empty one. */
enum err sasl_initial(str word, struct buf *out) MUST_CHECK;
/* 1 to 20 of A-Z a-z 0-9 - _ (RFC 4422 3.1). */
bool sasl_mech_valid(str name);
/* Is name, in any case, one of the space-separated list? *out: as listed. */
bool sasl_mech_in(str list, str name, str *out);
/* The next name of the list; false at its end. */
bool sasl_mech_next(str *list, str *name);
/* Does the password itself cross the line (PLAIN, LOGIN)? */
bool sasl_mech_plaintext(str name);

#endif
