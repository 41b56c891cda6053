/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * A message's summary as it is stored: packed (summary.c).
 */
#ifndef STORE_SUMMARY_H
#define STORE_SUMMARY_H

#include "base/base.h"

/* Appends the stored form. ERR_NOMEM. */
enum err summary_pack(str summary, struct buf *out) MUST_CHECK;
/* The summary again: in room, which is emptied first, or stored itself.
 * ERR_CORRUPT, ERR_NOMEM. */
enum err summary_unpack(str stored, struct buf *room, str *summary) MUST_CHECK;
/* The same in the arena, a copy in any case. ERR_LIMIT: it is full. */
enum err summary_load(str stored, struct arena *ar, str *summary) MUST_CHECK;

#endif
