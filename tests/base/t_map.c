/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* The map against a naive one; R16. */
#include "t_base.h"

enum { KEYS = 60 };

/* Keys of all lengths around the edge of what stands in the slot. */
static str
key_text(size_t k, char t[64])
{
	size_t n = k;

	memset(t, 'k', 64);
	t[0] = (char)k;
	return str_of(t, n == 0 ? 0 : n);
}

static void
check_walk(struct rnd *r, struct map *m, void *const naive[KEYS])
{
	bool seen[KEYS] = {false};
	size_t at = 0;
	size_t n = 0;
	str key;
	void *value;

	while (map_next(m, &at, &key, &value)) {
		size_t k = key.n;

		seed_true(r, k < KEYS && !seen[k] && naive[k] == value);
		seen[k] = true;
		n++;
	}
	seed_true(r, n == map_count(m));
}

static void
test_model(void **state)
{
	struct rnd r;

	for_seeds(&r, 200)
	{
		void *naive[KEYS] = {NULL};
		struct map *m = map_new();
		size_t count = 0;

		hash_seed(rnd64(&r));
		for (int i = 0; i < 400; i++) {
			size_t k = rnd(&r, KEYS);
			void *v = &naive[rnd(&r, KEYS)];
			char t[64];
			str key = key_text(k, t);

			switch (rnd(&r, 3)) {
			case 0:
				seed_true(&r, map_put(m, key, v) == naive[k]);
				count += naive[k] == NULL;
				naive[k] = v;
				break;
			case 1:
				seed_true(&r, map_del(m, key) == naive[k]);
				count -= naive[k] != NULL;
				naive[k] = NULL;
				break;
			default:
				seed_true(&r, map_get(m, key) == naive[k]);
			}
			seed_true(&r, map_count(m) == count);
		}
		check_walk(&r, m, naive);
		map_free(&m);
	}
}

static void
test_numbers(void **state)
{
	struct map *m = map_new();
	static int here;
	size_t at = 0;
	size_t left = 0;
	str key;
	void *value;

	assert_null(map_get_u64(m, 1));
	assert_null(map_del_u64(m, 1));
	for (uint64_t i = 0; i < 100000; i++)
		assert_null(map_put_u64(m, i << 20, &here));
	assert_ptr_equal(map_get_u64(m, 5 << 20), &here);
	assert_null(map_get_u64(m, 5));
	/* Deleting what was just visited is allowed. */
	while (map_next(m, &at, &key, &value)) {
		uint64_t k;

		assert_int_equal(key.n, sizeof(k));
		memcpy(&k, key.p, sizeof(k));
		if ((k >> 20) % 3 != 0)
			assert_ptr_equal(map_del_u64(m, k), &here);
		else
			left++;
	}
	assert_int_equal(left, 33334);
	assert_int_equal(map_count(m), left);
	/* A table of tombstones does not grow without end. */
	for (uint64_t i = 0; i < 1000000; i++) {
		map_put_u64(m, 1, &here);
		map_del_u64(m, 1);
	}
	map_free(&m);
	assert_null(m);
	map_free(&m);
}

/* R16: keys that collide under one seed do not under another. */
static void
test_seed(void **state)
{
	size_t both = 0;
	uint64_t a[256];

	hash_seed(1);
	for (uint64_t i = 0; i < 256; i++)
		a[i] = hash_keyed(str_of(&i, sizeof(i))) & 15;
	hash_seed(2);
	for (uint64_t i = 0; i < 256; i++)
		both += a[i] == (hash_keyed(str_of(&i, sizeof(i))) & 15);
	assert_in_range(both, 0, 60);
	/* The checksum on disk does not know the secret. */
	assert_int_equal(hash_xxh3(S(""), 0), 0x2d06800538d394c2);
	assert_int_equal(hash_xxh3(STR_NONE, 0), 0x2d06800538d394c2);
}

int
t_map(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_model),
	    cmocka_unit_test(test_numbers),
	    cmocka_unit_test(test_seed),
	};

	return cmocka_run_group_tests_name("map", tests, NULL, NULL);
}
