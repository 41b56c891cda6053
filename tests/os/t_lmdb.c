/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* LMDB's own calls meet the hook too: R97, R98. */
#include "t_os.h"

#include <errno.h>
#include <lmdb.h>
#include <unistd.h>

#ifdef RESTANTE_FAULTS

static MDB_env *env;

static void
open_env(void)
{
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_mapsize(env, 1 << 24), 0);
	assert_int_equal(
	    mdb_env_open(env, in_work("mdb"), MDB_NOSUBDIR, 0600), 0);
}

/* One transaction: n values of 1 000 bytes. */
static int
put_many(int from, int n)
{
	MDB_txn *txn = NULL;
	MDB_dbi dbi;
	char t[1000] = {0};
	int e;

	if ((e = mdb_txn_begin(env, NULL, 0, &txn)) != 0)
		return e;
	if ((e = mdb_dbi_open(txn, NULL, 0, &dbi)) != 0)
		goto out;
	for (int i = from; i < from + n; i++) {
		MDB_val k = {sizeof(i), &i};
		MDB_val v = {sizeof(t), t};

		if ((e = mdb_put(txn, dbi, &k, &v, 0)) != 0)
			goto out;
	}
	return mdb_txn_commit(txn);
out:
	mdb_txn_abort(txn);
	return e;
}

static size_t
entries(void)
{
	MDB_stat st;

	assert_int_equal(mdb_env_stat(env, &st), 0);
	return st.ms_entries;
}

static void
test_every_n(void **state)
{
	static const int errors[] = {EIO, ENOSPC};

	for (size_t k = 0; k < NELEM(errors); k++) {
		size_t have;
		bool hit = true;
		int next = (int)k * 100000;

		open_env();
		have = entries();
		for (uint64_t n = 1; hit; n++) {
			int e;

			os_fault_set(1u << OS_WRITE | 1u << OS_SYNC, n,
			    errors[k], n % 3, false);
			e = put_many(next, 20);
			hit = os_fault_hit();
			assert_true(os_fault_calls() > 0);
			os_fault_clear();
			assert_true(hit == (e != 0));
			/* LMDB may be unsure of itself: open it anew. */
			mdb_env_close(env);
			open_env();
			if (e == 0)
				have += 20;
			if (entries() == have + 20)
				have += 20; /* refused, yet all there */
			assert_int_equal(entries(), have);
			next += 20;
		}
		mdb_env_close(env);
	}
}

int
t_lmdb(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_n),
	};

	return cmocka_run_group_tests_name("lmdb", tests, NULL, NULL);
}

#else

int
t_lmdb(void)
{
	return 0;
}

#endif
