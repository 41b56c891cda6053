/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* The index's inside: index.c, which writes, and index_read.c. */
#ifndef STORE_INDEX_INT_H
#define STORE_INDEX_INT_H

#include <lmdb.h>

#include "store/store_int.h"

enum { READERS = 120, SUM = 8 };

struct mem_value {
	bool gone;
	str v; /* with its checksum */
};
struct mem {
	struct map *m;
	size_t bytes;
};

struct index {
	char *dir;
	MDB_env *env;
	MDB_dbi dbi;
	pthread_mutex_t mu; /* active, flushing */
	struct mem active, flushing;
	pthread_mutex_t flush_mu; /* one flush, copy at a time */
	struct log_pos flush_pos;
	struct log_pos held; /* flush_mu: what LMDB has */
	pthread_mutex_t pool_mu;
	pthread_cond_t pool_cv;
	MDB_txn *pool[READERS];
	unsigned pool_n, pool_out;
	atomic_bool damaged; /* it was told */
};

/* (1) */
static inline uint64_t
sum_of(str key, str value)
{
	return hash_xxh3(value, hash_xxh3(key, 0));
}

/* What LMDB's number means. */
enum err index_mdb_err(int r);

#endif
