/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * base: what every room stands on. No input or output (but the log), no
 * state that outlives a call. This header brings in the whole room.
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
#define NELEM(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#include "base/err.h"
#include "base/str.h"
#include "base/mem.h"
#include "base/buf.h"
#include "base/arena.h"
#include "base/scan.h"
#include "base/enc.h"
#include "base/map.h"
#include "base/range.h"
#include "base/utf8.h"
#include "base/base64.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/grant.h"
#include "base/stamp.h"
#include "base/source.h"

#endif
