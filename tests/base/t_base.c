/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* The tests of the room base. */
#include "t_base.h"

int
main(void)
{
	int failed = t_str() + t_scan() + t_buf() + t_arena() + t_enc() +
		     t_map() + t_range() + t_utf8() + t_base64() + t_stamp() +
		     t_log();

	return failed == 0 ? 0 : 1;
}
