/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Inside fsmodel: shared by the model (fsmodel.c) and the making of states
 * (fsplace.c). Names are never freed: they are few, and stand in many
 * lists.
 */
#ifndef TESTS_CRASH_FSMODEL_INT_H
#define TESTS_CRASH_FSMODEL_INT_H

#include "fsmodel.h"

struct image {
	char *p;
	size_t n, cap;
};

/* A change of a file's bytes or size that no flush has made certain. */
struct change {
	enum reclog_op kind; /* WRITE, ZERO, ALLOC, TRUNCATE (at = size) */
	uint64_t at, n;
	const char *bytes;
	bool certain; /* (3) */
};

struct node;
struct name {
	const char *name;
	struct node *node;
};
struct names {
	struct name *v;
	size_t n, cap;
};

struct node {
	bool dir;
	/* A file: what is certain, and what is not. */
	struct image disk;
	struct change *changes;
	size_t n, cap;
	/* A directory: what is certain, what is so now, and in the state
	 * that is being made. */
	struct names certain, now, state;
	struct node *next; /* of all nodes */
};

/* An uncertain change of names: dir/name becomes node (NULL: goes); of a
 * rename also where it came from. */
struct move {
	struct node *dir;
	const char *name;
	struct node *node;
	struct node *from_dir;
	const char *from_name;
};

struct fs {
	struct node *root;
	struct node *nodes;
	struct node **handles;
	size_t nhandles;
	struct move *moves;
	size_t nmoves, cap_moves;
	uint64_t epoch; /* grows with each change of what may be */
	struct image image;
};

_Noreturn void fs_fail(const char *what);
void image_size(struct image *im, uint64_t n);
void image_apply(struct image *im, const struct change *c);
struct node *names_find(const struct names *v, const char *name);
void names_set(struct names *v, const char *name, struct node *node);
void names_copy(struct names *to, const struct names *from);
void move_apply(const struct move *m, struct names *(*of)(struct node *));

#endif
