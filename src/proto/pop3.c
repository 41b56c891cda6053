/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * POP3's grammar: see pop3.h.
 */
#include "proto/pop3.h"

#define VERB_MAX 16

static bool
verb_char(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c >= '0' && c <= '9') || c == '-';
}

bool
pop3_split(str line, str *verb, str *rest, bool *has_rest)
{
	size_t n = 0;

	for (size_t i = 0; i < line.n; i++) {
		unsigned char c = (unsigned char)line.p[i];

		/* TAB may stand in a password. */
		if ((c < ' ' && c != '\t') || c == 127)
			return false;
	}
	while (n < line.n && verb_char((unsigned char)line.p[n]))
		n++;
	if (n == 0 || n > VERB_MAX || (n < line.n && line.p[n] != ' '))
		return false;
	*verb = str_head(line, n);
	*has_rest = n < line.n;
	*rest = str_from(line, n + 1);
	return true;
}

bool
pop3_word(str *rest, str *word)
{
	while (rest->n > 0) {
		*word = str_cut(rest, ' ');
		if (word->n > 0)
			return true;
	}
	return false;
}

bool
pop3_number(str word, uint32_t *n)
{
	return str_u32(word, n) && *n > 0;
}

bool
pop3_count(str word, int64_t *n)
{
	uint64_t v;

	if (word.n == 0)
		return false;
	for (size_t i = 0; i < word.n; i++)
		if (word.p[i] < '0' || word.p[i] > '9')
			return false;
	if (!str_u64(word, &v) || v > INT64_MAX)
		v = INT64_MAX;
	*n = (int64_t)v;
	return true;
}

bool
pop3_lang(str rest, struct buf *out)
{
	str word, more;

	if (!pop3_word(&rest, &word)) {
		buf_s(out, "+OK Languages:\r\nen English\r\n.\r\n");
		return true;
	}
	if (pop3_word(&rest, &more))
		return false;
	if (!str_eq(word, S("*")) && !str_caseeq(word, S("en")) &&
	    !str_caseeq(word, S("i-default")))
		return false;
	buf_s(out, "+OK en English it is\r\n");
	return true;
}

void
pop3_capa(const struct pop3_caps *c, struct buf *out)
{
	buf_s(out, "+OK What this server can do:\r\n"
		   "TOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n"
		   "PIPELINING\r\nEXPIRE NEVER\r\n");
	if (c->login_delay_s > 0)
		buf_f(out, "LOGIN-DELAY %u\r\n", c->login_delay_s);
	if (c->user)
		buf_s(out, "USER\r\n");
	if (c->mechs.n > 0)
		buf_f(out, "SASL %.*s\r\n", STR_ARG(c->mechs));
	if (c->stls)
		buf_s(out, "STLS\r\n");
	buf_s(out, "UTF8 USER\r\nLANG\r\n"
		   "IMPLEMENTATION restante-" RESTANTE_VERSION "\r\n.\r\n");
}

void
pop3_pass_put(const struct pop3_pass *p, struct buf *out)
{
	enc_u8(out, (uint8_t)((p->utf8 ? 1 : 0) | (p->user ? 2 : 0)));
	enc_str(out, p->mechs);
}

bool
pop3_pass_get(str s, struct pop3_pass *p)
{
	struct dec d = dec_of(s);
	uint8_t flags = dec_u8(&d);

	p->utf8 = (flags & 1) != 0;
	p->user = (flags & 2) != 0;
	p->mechs = dec_str(&d);
	if (!dec_end(&d) || flags > 3)
		return false;
	/* They are printed in CAPA: nothing that could end a line. */
	for (size_t i = 0; i < p->mechs.n; i++)
		if (p->mechs.p[i] < ' ' || p->mechs.p[i] > '~')
			return false;
	return true;
}
