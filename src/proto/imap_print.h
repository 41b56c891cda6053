/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * How IMAP's words are printed; what a scanner of imap.h reads back is the
 * same value.
 */
#ifndef PROTO_IMAP_PRINT_H
#define PROTO_IMAP_PRINT_H

#include "base/base.h"

/* As an atom if it can be one, else as imap_put_string. utf8: the client
 * takes UTF-8 in quoted strings. */
void imap_put_astring(struct buf *out, str s, bool utf8);
/* Quoted if it can be (no NUL, CR, LF, nothing from 0x80 on but well-formed
 * UTF-8 with utf8, not long), else a literal. */
void imap_put_string(struct buf *out, str s, bool utf8);
/* NIL when s.p is NULL. */
void imap_put_nstring(struct buf *out, str s, bool utf8);
/* In quotes whatever it holds; the caller knows that it can be. */
void imap_put_quoted(struct buf *out, str s);
void imap_put_literal(struct buf *out, str s);
/* A mailbox name (UTF-8, well-formed): quoted, in modified UTF-7 unless the
 * client takes UTF-8. */
void imap_put_mailbox(struct buf *out, str name, bool utf8);
/* "17-Jul-1996 02:44:25 -0700", with its quotes. */
void imap_put_date_time(struct buf *out, struct stamp t);
/* Text of a response line: everything but printable ASCII as "?", at most
 * 200 octets, so that what a client sent can be told back (R09). */
void imap_put_text(struct buf *out, str s);

#endif
