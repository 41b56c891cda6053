/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The process's limits, and what they are when nobody says otherwise.
 */
#include "base/base.h"

#define X(name, value, lo, hi, unit, what) \
	_Static_assert((lo) >= 1 && (lo) <= (value) && (value) <= (hi), #name);
LIMITS(X)
#undef X

struct limits limits = {
#define X(name, value, lo, hi, unit, what) .name = (value),
    LIMITS(X)
#undef X
};

void
limits_default(struct limits *l)
{
#define X(name, value, lo, hi, unit, what) l->name = (value);
	LIMITS(X)
#undef X
}

void
limits_copy(struct limits *to, const struct limits *from)
{
#define X(name, value, lo, hi, unit, what) to->name = from->name;
	LIMITS(X)
#undef X
}
