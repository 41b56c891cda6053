/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * LIST's patterns: "*" stands for anything, "%" for anything without the
 * hierarchy separator '/'.
 *
 * (1) All states of the pattern are kept at once, as bits, so the time of a
 *     match is (bytes of the name) x (pattern / 64 bytes), whatever the
 *     wildcards (R15).
 */
#ifndef PROTO_MATCH_H
#define PROTO_MATCH_H

#include "base/base.h"

#define MATCH_PATTERN_MAX 4096

struct match;
/* In the arena; NULL: too long, or the arena is full. pattern is UTF-8, as
 * names are. */
struct match *match_new(struct arena *a, str pattern);
/* INBOX, alone or as the first level, is compared without case. */
bool match_name(struct match *m, str name);
/* The pattern matches every name ("*"). */
bool match_all(const struct match *m);

#endif
