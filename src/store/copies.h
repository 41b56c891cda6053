/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Bytes as copies of what stands before them in one window, some in lower
 * case, and of what is new: quick to make again, and small where one text
 * says what another does (copies.c).
 */
#ifndef STORE_COPIES_H
#define STORE_COPIES_H

#include "base/base.h"

/* A window is shorter than this. */
#define COPIES_MAX 65536
/* Bytes behind a window that copies_get may write. */
#define COPIES_SLACK 16

#define COPIES_HEADS 4096
#define COPIES_KNOWN 2048
/* With what a window begins, made ready once. At least 4 bytes, fewer than
 * COPIES_KNOWN. */
struct copies_known {
	size_t n;
	uint16_t head[COPIES_HEADS], last[COPIES_KNOWN];
};
void copies_know(struct copies_known *k, const char *w, size_t n);

struct copies;
/* For the window w of n bytes, which begins with those and is longer. */
struct copies *
copies_new(const struct copies_known *k, const char *w, size_t n);
/* Appends what makes w[from, to) of what stands before. Ascending places. */
void copies_put(struct copies *c, size_t from, size_t to, struct buf *out);
void copies_free(struct copies **c);
/* Makes w[from, to) again; false: it is not all of that. */
bool copies_get(str coded, char *w, size_t from, size_t to);

#endif
