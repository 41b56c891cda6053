/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * SASL's outer grammar: see sasl.h.
 */
#include "proto/sasl.h"

enum sasl_line
sasl_line(str line, struct buf *out)
{
	if (str_eq(line, S("*")))
		return SASL_CANCEL;
	return base64_get(out, line) == OK ? SASL_DATA : SASL_BAD;
}

enum err
sasl_initial(str word, struct buf *out)
{
	if (str_eq(word, S("=")))
		return OK;
	if (word.n == 0)
		return ERR_INVALID;
	return base64_get(out, word);
}

bool
sasl_mech_valid(str name)
{
	if (name.n == 0 || name.n > 20)
		return false;
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
			(c >= '0' && c <= '9') || c == '-' || c == '_'))
			return false;
	}
	return true;
}

bool
sasl_mech_next(str *list, str *name)
{
	while (list->n > 0) {
		*name = str_cut(list, ' ');
		if (name->n > 0)
			return true;
	}
	return false;
}

bool
sasl_mech_in(str list, str name, str *out)
{
	str one;

	while (sasl_mech_next(&list, &one)) {
		if (str_caseeq(one, name)) {
			*out = one;
			return true;
		}
	}
	return false;
}

bool
sasl_mech_plaintext(str name)
{
	return str_caseeq(name, S("PLAIN")) || str_caseeq(name, S("LOGIN"));
}
