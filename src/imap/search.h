/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * SEARCH's two halves: the grammar (search_parse.c) and the command
 * (cmd_search.c).
 */
#ifndef IMAP_SEARCH_H
#define IMAP_SEARCH_H

#include "imap/imap_int.h"

enum {
	RETURN_MIN = 1,
	RETURN_MAX = 2,
	RETURN_ALL = 4,
	RETURN_COUNT = 8,
	RETURN_SAVE = 16
};
/* A key whose set is known only when it runs: "*", "$". */
struct search_set {
	struct search_key *key;
	struct imap_set set;
};
struct search_args {
	bool returns; /* RETURN was said */
	unsigned what;
	bool bad_charset;
	str charset;
	struct search_key *root;
	struct search_set *sets;
	size_t nsets, setcap;
	size_t keys;
};

#endif
