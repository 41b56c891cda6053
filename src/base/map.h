/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * A hash map from a slice, or a 64-bit number, to a pointer. Keyed by a
 * secret of the process (R16), open addressing, grows by doubling. Keys of
 * map_put are copied. Not thread-safe: its owner locks.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

struct map;

struct map *map_new(void);
void map_free(struct map **m);               /* the values are the caller's */
void *map_get(const struct map *m, str key); /* NULL: not there */
/* Puts or replaces; returns the value that was there, or NULL. */
void *map_put(struct map *m, str key, void *value);
void *map_del(struct map *m, str key); /* returns what was there */
size_t map_count(const struct map *m);
/* Visits every entry: *at starts at 0; false at the end. The map must not
 * change meanwhile, but for map_del of the entry just visited. */
bool map_next(const struct map *m, size_t *at, str *key, void **value);

/* The same with a number as the key. */
void *map_get_u64(const struct map *m, uint64_t key);
void *map_put_u64(struct map *m, uint64_t key, void *value);
void *map_del_u64(struct map *m, uint64_t key);

/* XXH3-64 with the process's secret seed: for tables in memory only. */
uint64_t hash_keyed(str s);
/* XXH3-64 with the given seed: the checksum of everything on disk. */
uint64_t hash_xxh3(str s, uint64_t seed);
/* Sets the secret; before the first map, from os_random. */
void hash_seed(uint64_t secret);

#endif
