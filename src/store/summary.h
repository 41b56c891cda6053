/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * A message's summary as it is stored: packed (summary.c).
 */
#ifndef STORE_SUMMARY_H
#define STORE_SUMMARY_H

#include "base/base.h"

/* Appends the form for the row of the index, and the one for the log, which
 * is read beside the header that was summarised. ERR_NOMEM. */
enum err summary_pack(
    str summary, str header, struct buf *row, struct buf *logged) MUST_CHECK;
/* The row's form of what the log has; header: the Text there, of size octets,
 * those of the prefix first. ERR_CORRUPT, ERR_NOMEM. */
enum err summary_row(str logged, str header, uint32_t size, uint32_t prefix,
    struct buf *row) MUST_CHECK;
/* How much of it is wanted: ENVELOPE and BODYSTRUCTURE, the kept fields too,
 * or all. */
enum summary_upto { UPTO_LISTS, UPTO_FIELDS, UPTO_ALL };
/* The summary again, out of a row: in room, which begins zeroed and is for
 * nothing else, until the next one; or stored itself. ERR_CORRUPT,
 * ERR_NOMEM. */
enum err summary_unpack(str stored, enum summary_upto upto, struct buf *room,
    str *summary) MUST_CHECK;
/* All of it in the arena, a copy in any case. ERR_LIMIT: it is full. */
enum err summary_load(str stored, struct arena *ar, str *summary) MUST_CHECK;

#endif
