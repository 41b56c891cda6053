/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Fuzz target: one whole command, as collected, through its row's parser.
 * R01, R10, R14, R60
 */
#include "fuzz.h"
#include "imap/imap.h"

void
fuzz_one(str in)
{
	struct arena *ar = arena_new(1 << 20);

	(void)imap_parse_only(in, ar);
	FUZZ_TRUE(arena_used(ar) <= 1 << 20);
	arena_free(&ar);
}
