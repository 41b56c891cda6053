/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The preparation of names, at one place, before any look-up: in the manner
 * of RFC 8265's UsernameCaseMapped, with the characters that addresses may
 * have without quoting.
 *
 * (1) What comes out is valid UTF-8, at most AUTH_NAME_MAX bytes, of the
 *     form local or local@domain, each a row of non-empty atoms with dots
 *     between them.
 * (2) Preparing a prepared name changes nothing.
 */
#include <stdlib.h>

#include <utf8proc.h>

#include "auth/auth_int.h"

#define UTF8PROC_FOLD (UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD)

/* ASCII that an atom of a local part may have; letters come folded. */
static bool
atom_char(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       (c != 0 && c < 128 && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* A code point above ASCII: letters, marks and decimal digits, and none
 * that is a variant of others (ligatures, superscripts), which would make
 * two names look alike. */
static bool
letter(uint32_t cp)
{
	const utf8proc_property_t *p =
	    utf8proc_get_property((utf8proc_int32_t)cp);

	if (p->decomp_type != 0 || p->ignorable)
		return false;
	switch (p->category) {
	case UTF8PROC_CATEGORY_LU:
	case UTF8PROC_CATEGORY_LL:
	case UTF8PROC_CATEGORY_LT:
	case UTF8PROC_CATEGORY_LM:
	case UTF8PROC_CATEGORY_LO:
	case UTF8PROC_CATEGORY_MN:
	case UTF8PROC_CATEGORY_MC:
	case UTF8PROC_CATEGORY_ND:
		return true;
	default:
		return false;
	}
}

static bool
atoms_ok(str s, bool domain)
{
	size_t n;
	uint32_t cp;
	bool dot = true;

	if (s.n == 0)
		return false;
	for (; s.n > 0; s = str_from(s, n)) {
		if ((n = utf8_get(s, &cp)) == 0)
			return false;
		if (cp == '.') {
			if (dot)
				return false;
			dot = true;
			continue;
		}
		dot = false;
		if (cp >= 128 ? !letter(cp) : !atom_char((unsigned char)cp))
			return false;
		if (domain && cp < 128 && !(cp >= 'a' && cp <= 'z') &&
		    !(cp >= '0' && cp <= '9') && cp != '-' && cp != '_')
			return false;
	}
	return !dot;
}

static bool
name_ok(str s)
{
	size_t at = str_rchr(s, '@');

	if (s.n > AUTH_NAME_MAX)
		return false;
	if (at == s.n)
		return atoms_ok(s, false);
	return atoms_ok(str_head(s, at), false) &&
	       atoms_ok(str_from(s, at + 1), true);
}

/* Full- and half-width forms become the ordinary ones (RFC 8265, 3.3.2). */
static bool
narrow(struct buf *out, str s)
{
	utf8proc_int32_t to[8];
	utf8proc_ssize_t k;
	uint32_t cp;
	size_t n;
	int last = 0;

	for (; s.n > 0; s = str_from(s, n)) {
		if ((n = utf8_get(s, &cp)) == 0)
			return false;
		const utf8proc_property_t *p =
		    utf8proc_get_property((utf8proc_int32_t)cp);
		if (p->decomp_type != UTF8PROC_DECOMP_TYPE_WIDE &&
		    p->decomp_type != UTF8PROC_DECOMP_TYPE_NARROW) {
			buf_add(out, s.p, n);
			continue;
		}
		k = utf8proc_decompose_char((utf8proc_int32_t)cp, to, 8,
		    UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT, &last);
		if (k < 1 || k > 8)
			return false;
		for (utf8proc_ssize_t i = 0; i < k; i++)
			utf8_put(out, (uint32_t)to[i]);
	}
	return true;
}

static bool
fold(struct buf *out, str s)
{
	utf8proc_uint8_t *p = NULL;
	utf8proc_ssize_t n;

	n = utf8proc_map((const utf8proc_uint8_t *)s.p, (utf8proc_ssize_t)s.n,
	    &p, UTF8PROC_FOLD);
	if (n < 0)
		return false;
	buf_reset(out);
	buf_add(out, p, (size_t)n);
	free(p);
	return true;
}

static enum err
name_unicode(struct buf *out, str typed)
{
	struct buf a = {0}, b = {0};
	enum err e = ERR_INVALID;

	/* Folding once may leave what folds again; a name is what stands
	 * still (2). */
	if (!narrow(&a, typed) || !fold(&b, buf_str(&a)) ||
	    !fold(&a, buf_str(&b)) || !fold(&b, buf_str(&a)))
		goto out;
	if (!str_eq(buf_str(&a), buf_str(&b)) || !name_ok(buf_str(&b)))
		goto out;
	buf_str_add(out, buf_str(&b));
	e = OK;
out:
	buf_free(&a);
	buf_free(&b);
	return e;
}

enum err
auth_name(struct buf *out, str typed)
{
	char low[AUTH_NAME_MAX];
	size_t i;

	if (typed.n == 0 || typed.n > TYPED_MAX)
		return ERR_INVALID;
	for (i = 0; i < typed.n && (unsigned char)typed.p[i] < 128; i++)
		;
	if (i < typed.n)
		return utf8_valid(typed) ? name_unicode(out, typed)
					 : ERR_INVALID;
	if (typed.n > sizeof(low))
		return ERR_INVALID;
	for (i = 0; i < typed.n; i++) {
		char c = typed.p[i];
		low[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
	}
	if (!name_ok(str_of(low, typed.n)))
		return ERR_INVALID;
	buf_add(out, low, typed.n);
	return OK;
}
