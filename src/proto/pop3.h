/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * POP3's grammar without I/O (RFC 1939, 2449, 5034, 6856), for the part
 * before login (room login) and the part after it (room pop3).
 */
#ifndef PROTO_POP3_H
#define PROTO_POP3_H

#include "base/base.h"

/* A command line without its line end: the verb, and the rest behind the
 * first space as it stands (PASS may hold spaces). false: no verb of 1 to 16
 * letters, digits or hyphens, or a NUL, CR or other control in the line. */
bool pop3_split(str line, str *verb, str *rest, bool *has_rest);
/* The next word of rest, cut at spaces; false at the end. */
bool pop3_word(str *rest, str *word);
/* A message number, as digits alone: > 0 and fits. */
bool pop3_number(str word, uint32_t *n);
/* A line count for TOP: digits alone; what does not fit counts as the
 * greatest, since no message is that long (R73). */
bool pop3_count(str word, int64_t *n);

/* What LANG says (RFC 6856 section 3). false: the language is not spoken. */
bool pop3_lang(str rest, struct buf *out);

/* What CAPA lists, in AUTHORIZATION and TRANSACTION alike but for STLS. */
struct pop3_caps {
	bool stls; /* offered here and now */
	bool user; /* USER and PASS are accepted */
	str mechs; /* SASL names, space-separated; empty: no SASL */
	uint32_t login_delay_s; /* 0: none */
};
/* The whole answer to CAPA, with its "+OK" and its ".". */
void pop3_capa(const struct pop3_caps *c, struct buf *out);

/* What login passes to the session after it, beside what any session gets:
 * travels where IMAP has its tag. */
struct pop3_pass {
	bool utf8; /* UTF8 was said */
	bool user; /* see pop3_caps: CAPA says the same in both states */
	str mechs;
};
void pop3_pass_put(const struct pop3_pass *p, struct buf *out);
bool pop3_pass_get(str s, struct pop3_pass *p); /* slices of s */

#endif
