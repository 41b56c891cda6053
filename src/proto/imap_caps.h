/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The capabilities of IMAP, in one table for all who announce them: the
 * greeting, CAPABILITY before and after login, the tagged OK of a login.
 */
#ifndef PROTO_IMAP_CAPS_H
#define PROTO_IMAP_CAPS_H

#include "base/base.h"

enum imap_caps_when {
	IMAP_CAPS_CLEAR = 1, /* before login, no TLS yet */
	IMAP_CAPS_TLS = 2,   /* before login, under TLS */
	IMAP_CAPS_IN = 4     /* logged in */
};
struct imap_cap {
	str name;
	unsigned when; /* IMAP_CAPS_*: announced then */
	unsigned rfc;
};
extern const struct imap_cap imap_caps[];
extern const size_t imap_caps_n;

struct imap_caps_facts {
	enum imap_caps_when when;
	bool starttls;       /* TLS can be begun */
	bool login_disabled; /* no plaintext login here */
	str mechanisms;      /* SASL names, separated by SP; before login */
};
/* "IMAP4rev1 IMAP4rev2 LITERAL+ ...", without "CAPABILITY" before it. */
void imap_caps_put(struct buf *out, const struct imap_caps_facts *f);

#endif
