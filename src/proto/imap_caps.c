/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The table of capabilities: see imap_caps.h. What is not complete does not
 * stand here.
 */
#include "proto/imap_caps.h"

#define BEFORE (IMAP_CAPS_CLEAR | IMAP_CAPS_TLS)
#define ALWAYS (BEFORE | IMAP_CAPS_IN)
#define IN IMAP_CAPS_IN

/* clang-format off */
const struct imap_cap imap_caps[] = {
	/* name                     when    RFC */
	{ S("IMAP4rev1"),           ALWAYS, 3501 },
	{ S("IMAP4rev2"),           ALWAYS, 9051 },
	{ S("LITERAL+"),            ALWAYS, 7888 },
	{ S("SASL-IR"),             BEFORE, 4959 },
	{ S("ID"),                  ALWAYS, 2971 },
	{ S("ENABLE"),              ALWAYS, 5161 },
	{ S("IDLE"),                ALWAYS, 2177 },
	{ S("NAMESPACE"),           IN,     2342 },
	{ S("UNSELECT"),            IN,     3691 },
	{ S("UIDPLUS"),             IN,     4315 },
	{ S("MOVE"),                IN,     6851 },
	{ S("ESEARCH"),             IN,     4731 },
	{ S("SEARCHRES"),           IN,     5182 },
	{ S("WITHIN"),              IN,     5032 },
	{ S("LIST-EXTENDED"),       IN,     5258 },
	{ S("LIST-STATUS"),         IN,     5819 },
	{ S("STATUS=SIZE"),         IN,     8438 },
	{ S("SPECIAL-USE"),         IN,     6154 },
	{ S("CREATE-SPECIAL-USE"),  IN,     6154 },
	{ S("CHILDREN"),            IN,     3348 },
	{ S("MULTIAPPEND"),         IN,     3502 },
	{ S("BINARY"),              IN,     3516 },
	{ S("UTF8=ACCEPT"),         IN,     6855 },
	{ S("OBJECTID"),            IN,     8474 },
	{ S("SAVEDATE"),            IN,     8514 },
};
/* clang-format on */
const size_t imap_caps_n = NELEM(imap_caps);

static void
put_mechanisms(struct buf *out, str names)
{
	while (names.n > 0) {
		str name = str_cut(&names, ' ');

		if (name.n == 0)
			continue;
		buf_s(out, " AUTH=");
		buf_str_add(out, name);
	}
}

void
imap_caps_put(struct buf *out, const struct imap_caps_facts *f)
{
	for (size_t i = 0; i < imap_caps_n; i++) {
		if ((imap_caps[i].when & f->when) == 0)
			continue;
		if (i > 0)
			buf_c(out, ' ');
		buf_str_add(out, imap_caps[i].name);
	}
	if (f->when == IMAP_CAPS_IN) { /* RFC 7889 */
		buf_s(out, " APPENDLIMIT=");
		buf_u64(out, limits.message_size_max);
		return;
	}
	if (f->starttls && f->when == IMAP_CAPS_CLEAR)
		buf_s(out, " STARTTLS");
	if (f->login_disabled)
		buf_s(out, " LOGINDISABLED");
	put_mechanisms(out, f->mechanisms);
}
