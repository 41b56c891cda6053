/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* The tests of the room mime. */
#include "t_mime.h"

int
main(void)
{
	int failed = t_header() + t_address() + t_date() + t_words() + t_ids() +
		     t_param() + t_decode() + t_charset() + t_subject() +
		     t_parse() + t_structure() + t_summary() + t_text();

	return failed == 0 ? 0 : 1;
}
