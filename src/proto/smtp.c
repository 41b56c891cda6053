/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * SMTP commands: see smtp.h.
 */
#include "proto/smtp.h"

#define VERB_MAX 16

/* ---- characters ---- */

static bool
is_alnum(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c >= '0' && c <= '9');
}

/* atext of RFC 5322, and UTF-8 by RFC 6531. */
static bool
is_atext(unsigned char c)
{
	return is_alnum(c) || c >= 128 ||
	       (c != 0 && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static bool
is_domain(unsigned char c)
{
	return is_alnum(c) || c >= 128 || c == '-' || c == '.' || c == '_';
}

/* Between the brackets of an address literal. */
static bool
is_literal(unsigned char c)
{
	return c > ' ' && c < 127 && c != '[' && c != ']' && c != '\\';
}

static bool
is_param(unsigned char c)
{
	return is_alnum(c) || c == '-';
}

static bool
is_value(unsigned char c)
{
	return c > ' ' && c != '=' && c != 127;
}

bool
smtp_split(str line, str *verb, str *rest)
{
	size_t n = 0;

	for (size_t i = 0; i < line.n; i++) {
		unsigned char c = (unsigned char)line.p[i];

		if ((c < ' ' && c != '\t') || c == 127)
			return false;
	}
	while (n < line.n && is_alnum((unsigned char)line.p[n]))
		n++;
	if (n == 0 || n > VERB_MAX ||
	    (n < line.n && line.p[n] != ' ' && line.p[n] != '\t'))
		return false;
	*verb = str_head(line, n);
	*rest = str_trim(str_from(line, n));
	return true;
}

/* domain or [literal], at least one byte. */
static bool
scan_domain(struct scan *s, str *out)
{
	struct scan t = *s;
	str inner;

	if (scan_char(&t, '[')) {
		if (!scan_while(&t, is_literal, &inner) || !scan_char(&t, ']'))
			return false;
	} else {
		if (!scan_while(&t, is_domain, &inner))
			return false;
		if (inner.p[0] == '.' || inner.p[0] == '-' ||
		    str_find(inner, S("..")) < inner.n)
			return false;
	}
	*out = str_of(s->p, (size_t)(t.p - s->p));
	*s = t;
	return true;
}

bool
smtp_helo(str rest, str *name)
{
	struct scan s = scan_of(rest);

	return scan_domain(&s, name) && scan_end(&s) &&
	       name->n <= SMTP_DOMAIN_MAX && utf8_valid(*name);
}

/* ---- paths ---- */

/* "@one,@two:" before the mailbox: accepted and forgotten (RFC 5321
 * appendix C). */
static bool
skip_route(struct scan *s)
{
	struct scan t = *s;
	str domain;

	if (scan_peek(&t) != '@')
		return true;
	do {
		if (!scan_char(&t, '@') || !scan_domain(&t, &domain))
			return false;
	} while (scan_char(&t, ','));
	if (!scan_char(&t, ':'))
		return false;
	*s = t;
	return true;
}

/* "quoted string": unquoted into out. */
static bool
scan_quoted(struct scan *s, struct buf *out)
{
	struct scan t = *s;

	if (!scan_char(&t, '"'))
		return false;
	while (t.p < t.end && *t.p != '"') {
		unsigned char c;

		if (*t.p == '\\' && ++t.p == t.end)
			return false;
		c = (unsigned char)*t.p++;
		if (c < ' ' || c == 127)
			return false;
		buf_c(out, (char)c);
	}
	if (!scan_char(&t, '"'))
		return false;
	*s = t;
	return true;
}

/* atoms with dots between; some odd but living ones (a dot at the end, two
 * in a row) pass too: the address is looked up, not judged. */
static bool
scan_dots(struct scan *s, struct buf *out)
{
	struct scan t = *s;

	if (scan_peek(&t) < 0 || !is_atext((unsigned char)*t.p))
		return false;
	while (t.p < t.end && (is_atext((unsigned char)*t.p) || *t.p == '.'))
		buf_c(out, *t.p++);
	*s = t;
	return true;
}

static const char *
mailbox(struct arena *a, struct scan *s, struct smtp_path *p)
{
	struct buf b = {.max = 4096};
	struct scan t = *s;
	const char *why = "501 5.1.3 That is no address: say <name@domain>\r\n";
	str domain = STR_NONE;
	size_t local;

	if (scan_peek(&t) == '"' ? !scan_quoted(&t, &b) : !scan_dots(&t, &b))
		goto out;
	local = b.n;
	if (local == 0)
		goto out;
	if (scan_char(&t, '@')) {
		if (!scan_domain(&t, &domain))
			goto out;
		buf_c(&b, '@');
		buf_str_add(&b, domain);
	}
	if (local > SMTP_LOCAL_MAX || domain.n > SMTP_DOMAIN_MAX || b.failed) {
		why = "501 5.1.3 That address is too long\r\n";
		goto out;
	}
	p->path = str_of(s->p, (size_t)(t.p - s->p));
	p->address = arena_buf(a, &b);
	p->utf8 = false;
	for (size_t i = 0; i < p->path.n; i++)
		if ((unsigned char)p->path.p[i] >= 128)
			p->utf8 = true;
	if (p->utf8 && !utf8_valid(p->path)) {
		why = "501 5.1.3 That address is not valid UTF-8\r\n";
		goto out;
	}
	why = p->address.p == NULL ? "452 4.3.1 Out of memory\r\n" : NULL;
	*s = t;
out:
	buf_free(&b);
	return why;
}

const char *
smtp_path(struct arena *a, struct scan *s, struct smtp_path *p)
{
	static const char angle[] =
	    "501 5.1.3 The address must stand between < and >\r\n";
	struct scan t = *s;
	const char *why;

	if (!scan_char(&t, '<'))
		return angle;
	if (scan_char(&t, '>')) {
		*p = (struct smtp_path){S(""), S(""), false};
		*s = t;
		return NULL;
	}
	if (!skip_route(&t))
		return "501 5.1.3 That is no address: say <name@domain>\r\n";
	if ((why = mailbox(a, &t, p)) != NULL)
		return why;
	if (!scan_char(&t, '>'))
		return angle;
	*s = t;
	return NULL;
}

/* ---- parameters ---- */

struct param_row {
	str name;
	const char *(*take)(struct smtp_mail *m, str value, bool has_value);
};

static const char *
take_size(struct smtp_mail *m, str value, bool has_value)
{
	if (!has_value || m->has_size || value.n > 20 ||
	    !str_u64(value, &m->size))
		return "501 5.5.4 SIZE= wants a number of octets, once\r\n";
	m->has_size = true;
	return NULL;
}

static const char *
take_body(struct smtp_mail *m, str value, bool has_value)
{
	if (has_value && str_caseeq(value, S("7BIT")))
		m->body = SMTP_7BIT;
	else if (has_value && str_caseeq(value, S("8BITMIME")))
		m->body = SMTP_8BITMIME;
	else if (has_value && str_caseeq(value, S("BINARYMIME")))
		m->body = SMTP_BINARYMIME;
	else
		return "501 5.5.4 BODY= is 7BIT, 8BITMIME or BINARYMIME\r\n";
	return NULL;
}

static const char *
take_utf8(struct smtp_mail *m, str value, bool has_value)
{
	if (has_value)
		return "501 5.5.4 SMTPUTF8 takes no value\r\n";
	m->utf8 = true;
	return NULL;
}

static const struct param_row mail_params[] = {
    {S("SIZE"), take_size},
    {S("BODY"), take_body},
    {S("SMTPUTF8"), take_utf8},
};

static const char *
params(struct scan *s, struct smtp_mail *m)
{
	static const char form[] =
	    "501 5.5.4 After the address come NAME=VALUE parameters\r\n";
	str name, value;

	while (!scan_end(s)) {
		bool has_value;
		size_t i;
		const char *why;

		if (!scan_char(s, ' '))
			return form;
		while (scan_char(s, ' '))
			;
		if (!scan_while(s, is_param, &name))
			return form;
		value = STR_NONE;
		has_value = scan_char(s, '=');
		if (has_value && !scan_while(s, is_value, &value))
			return form;
		for (i = 0; m != NULL && i < NELEM(mail_params); i++)
			if (str_caseeq(name, mail_params[i].name))
				break;
		if (m == NULL || i == NELEM(mail_params))
			return "555 5.5.4 That parameter is not known here\r\n";
		if ((why = mail_params[i].take(m, value, has_value)) != NULL)
			return why;
	}
	return NULL;
}

/* ---- commands ---- */

const char *
smtp_mail(struct arena *a, str rest, struct smtp_mail *m)
{
	struct scan s = scan_of(rest);
	const char *why;

	*m = (struct smtp_mail){0};
	if (!scan_caselit(&s, S("FROM:")))
		return "501 5.5.4 Say MAIL FROM:<address>\r\n";
	while (scan_char(&s, ' '))
		;
	if ((why = smtp_path(a, &s, &m->from)) != NULL)
		return why;
	if ((why = params(&s, m)) != NULL)
		return why;
	if (m->from.utf8 && !m->utf8)
		return "553 5.6.7 That address needs the SMTPUTF8 "
		       "parameter\r\n";
	return NULL;
}

const char *
smtp_rcpt(struct arena *a, str rest, struct smtp_path *to)
{
	struct scan s = scan_of(rest);
	const char *why;

	if (!scan_caselit(&s, S("TO:")))
		return "501 5.5.4 Say RCPT TO:<address>\r\n";
	while (scan_char(&s, ' '))
		;
	if ((why = smtp_path(a, &s, to)) != NULL)
		return why;
	if (to->address.n == 0)
		return "501 5.1.3 The recipient is missing\r\n";
	return params(&s, NULL);
}

bool
smtp_bdat(str rest, uint64_t *size, bool *last)
{
	str number = str_cut(&rest, ' ');

	rest = str_trim(rest);
	*last = str_caseeq(rest, S("LAST"));
	return number.n <= 20 && str_u64(number, size) &&
	       (*last || rest.n == 0);
}
