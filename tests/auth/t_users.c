/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* The secrets database: accounts, aliases, import, damage, faults. */
#include "t_auth.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

static uint32_t
rounds_of(struct auth *a, str name)
{
	struct tx x = {0};
	struct acct u;

	assert_int_equal(tx_begin(&x, a, false), OK);
	assert_int_equal(acct_get(&x, name, &u), OK);
	tx_end(&x);
	return u.keys[SCRAM_SHA256].iter;
}

/* R124: scram_rounds -1 0 +1: keys are made with as many, and those that are
 * there keep theirs. */
static void
test_rounds(void **state)
{
	struct auth *a = fresh("rounds", NULL);
	uint64_t id;

	for (int more = -1; more <= 1; more++) {
		char name[] = {'a', 'n', (char)('y' + more), 0};

		limits.scram_rounds = (uint64_t)(5000 + more);
		assert_int_equal(
		    auth_user_add(a, str_c(name), S("pw"), &id), OK);
		assert_int_equal(rounds_of(a, str_c(name)), 5000 + more);
		assert_int_equal(auth_check(a, str_c(name), S("pw"), &id), OK);
		assert_int_equal(rounds_of(a, S("anx")), 4999);
	}
	assert_int_equal(auth_user_passwd(a, S("anx"), S("new")), OK);
	assert_int_equal(rounds_of(a, S("anx")), 5001);
	limits_default(&limits);
	auth_close(&a);
}

static void
test_life(void **state)
{
	struct auth *a = fresh("life", NULL), *b = NULL;
	struct auth_user u;
	struct buf mem = {0};
	struct counts c;
	uint64_t id, id2;

	assert_int_equal(auth_open(&b, in_work("life"), NULL), ERR_BUSY);
	assert_int_equal(auth_user_add(a, S("Ann"), S("pw"), &id), OK);
	assert_int_equal(id, 1);
	assert_int_equal(auth_user_add(a, S("ann"), S("pw"), &id2), ERR_EXISTS);
	assert_int_equal(
	    auth_user_add(a, S("a b"), S("pw"), &id2), ERR_INVALID);
	assert_int_equal(auth_user_add(a, S("bob"), S(""), &id2), ERR_INVALID);
	assert_int_equal(auth_check(a, S("ANN"), S("pw"), &id2), OK);
	assert_int_equal(id2, id);
	assert_int_equal(auth_check(a, S("ann"), S("PW"), &id2), ERR_AUTH);
	assert_int_equal(auth_check(a, S("nobody"), S("pw"), &id2), ERR_AUTH);
	assert_int_equal(auth_user_get(a, S("ann"), &mem, &u), OK);
	assert_str(u.name, S("ann"));
	assert_str(u.scheme, S("yescrypt"));
	assert_true(u.scram_sha256);
	assert_false(u.scram_sha1);
	assert_int_equal(auth_user_passwd(a, S("ann"), S("new")), OK);
	assert_int_equal(auth_check(a, S("ann"), S("pw"), &id2), ERR_AUTH);
	assert_int_equal(auth_check(a, S("ann"), S("new"), &id2), OK);
	assert_int_equal(auth_user_enable(a, S("ann"), false), OK);
	assert_int_equal(auth_check(a, S("ann"), S("new"), &id2), ERR_AUTH);
	counts_of(a, &c);
	assert_int_equal(c.enabled, 0);
	assert_int_equal(auth_user_enable(a, S("ann"), true), OK);
	counts_of(a, &c);
	assert_int_equal(c.enabled, 1);
	assert_int_equal(c.keys[SCRAM_SHA256], 1);
	assert_int_equal(auth_user_remove(a, S("ann"), &id2), OK);
	assert_int_equal(id2, id);
	assert_int_equal(auth_user_remove(a, S("ann"), &id2), ERR_NOTFOUND);
	assert_int_equal(auth_user_passwd(a, S("ann"), S("x")), ERR_NOTFOUND);
	/* The id is not used again, also after a restart. */
	auth_close(&a);
	a = fresh("life", NULL);
	assert_int_equal(auth_user_add(a, S("ann"), S("pw"), &id2), OK);
	assert_int_equal(id2, id + 1);
	counts_of(a, &c);
	assert_int_equal(c.enabled, 1);
	auth_close(&a);
	buf_free(&mem);
}

static bool
forget_sum(void *arg, uint64_t id)
{
	*(uint64_t *)arg += id;
	return true;
}

static void
test_forget(void **state)
{
	struct auth *a = fresh("forget", NULL);
	uint64_t id, sum = 0;

	assert_int_equal(auth_user_add(a, S("a"), S("pw"), &id), OK);
	assert_int_equal(auth_user_add(a, S("b"), S("pw"), &id), OK);
	assert_int_equal(auth_user_remove(a, S("a"), &id), OK);
	assert_int_equal(auth_user_remove(a, S("b"), &id), OK);
	auth_close(&a);
	a = fresh("forget", NULL);
	assert_int_equal(forget_each(a, forget_sum, &sum), OK);
	assert_int_equal(sum, 3);
	assert_int_equal(forget_done(a, 1), OK);
	assert_int_equal(forget_done(a, 1), OK);
	sum = 0;
	assert_int_equal(forget_each(a, forget_sum, &sum), OK);
	assert_int_equal(sum, 2);
	auth_close(&a);
}

static void
count_alias(void *arg, str alias, str name)
{
	++*(int *)arg;
}

static void
test_alias(void **state)
{
	struct auth *a = fresh("alias", NULL);
	uint64_t id;
	int n = 0;

	assert_int_equal(auth_user_add(a, S("ann"), S("pw"), &id), OK);
	assert_int_equal(
	    auth_alias_add(a, S("info@x.org"), S("bob")), ERR_NOTFOUND);
	assert_int_equal(auth_alias_add(a, S("Info@X.org"), S("ann")), OK);
	assert_int_equal(
	    auth_alias_add(a, S("info@x.org"), S("ann")), ERR_EXISTS);
	assert_int_equal(auth_alias_add(a, S("ann"), S("ann")), ERR_EXISTS);
	assert_int_equal(
	    auth_user_add(a, S("info@x.org"), S("pw"), &id), ERR_EXISTS);
	assert_int_equal(auth_alias_add(a, S("sales"), S("ann")), OK);
	assert_int_equal(auth_alias_each(a, count_alias, &n), OK);
	assert_int_equal(n, 2);
	assert_int_equal(auth_alias_remove(a, S("sales")), OK);
	assert_int_equal(auth_alias_remove(a, S("sales")), ERR_NOTFOUND);
	/* An account's aliases go with it. */
	assert_int_equal(auth_user_remove(a, S("ann"), &id), OK);
	n = 0;
	assert_int_equal(auth_alias_each(a, count_alias, &n), OK);
	assert_int_equal(n, 0);
	auth_close(&a);
}

static void
note_refused(void *arg, uint32_t line, const char *why)
{
	buf_f(arg, "%u ", line);
}

static void
test_import(void **state)
{
	static const char file[] =
	    "# a comment\n"
	    "ann:{SHA}nGKqSw5rZLlGmAU2eg7o7K29zF8=:1000:1000::/home/ann::\n"
	    "bob:{NOSUCH}xyz\n"
	    "\n"
	    "carl:{PLAIN}secret\r\n"
	    "bad name:{PLAIN}secret\n"
	    "dora\n"
	    "eve:\n"
	    "fred:abRy4/6THFs9U\n"
	    "Ann:{PLAIN}other\n"
	    "info:{PLAIN}secret\n"
	    "gus@Example.ORG:{SCRAM-SHA-256}5000,TmFDbDQzMjE=,"
	    "bMbkAQwfjwiLoYg7Dey2PI/qd0+CtaqW4ahNhrQYoHA=,"
	    "bMbkAQwfjwiLoYg7Dey2PI/qd0+CtaqW4ahNhrQYoHA=";
	struct auth *a = fresh("import", NULL);
	struct auth_import n;
	struct buf refused = {0};
	struct counts c;
	uint64_t id;

	assert_int_equal(auth_user_add(a, S("zoe"), S("pw"), &id), OK);
	assert_int_equal(auth_alias_add(a, S("info"), S("zoe")), OK);
	assert_int_equal(
	    auth_user_import(a, S(file), note_refused, &refused, &n), OK);
	assert_str(buf_str(&refused), S("3 6 7 8 11 "));
	assert_int_equal(n.added, 4);
	assert_int_equal(n.replaced, 1);
	assert_int_equal(n.refused, 5);
	assert_int_equal(auth_check(a, S("ann"), S("other"), &id), OK);
	assert_int_equal(auth_check(a, S("carl"), S("secret"), &id), OK);
	assert_int_equal(
	    auth_check(a, S("fred"), S("p\xc3\xa4ssword1"), &id), OK);
	assert_int_equal(
	    auth_check(a, S("gus@example.org"), S("p\xc3\xa4ssword1"), &id),
	    OK);
	counts_of(a, &c);
	assert_int_equal(c.enabled, 5);
	assert_int_equal(c.keys[SCRAM_SHA256], 2);
	buf_free(&refused);
	auth_close(&a);
}

/* Ten thousand accounts in a few seconds: in one commit. */
static void
test_many(void **state)
{
	struct auth *a = fresh("many", NULL);
	struct auth_import n;
	struct buf f = {0};
	int64_t t = os_mono_ms();
	struct counts c;

	for (int i = 0; i < 10000; i++)
		buf_f(&f, "user%d@example.org:{PLAIN}secret%d\n", i, i);
	assert_int_equal(auth_user_import(a, buf_str(&f), NULL, NULL, &n), OK);
	assert_int_equal(n.added, 10000);
	print_message("10000 accounts in %d ms\n", (int)(os_mono_ms() - t));
	assert_int_equal(auth_user_import(a, buf_str(&f), NULL, NULL, &n), OK);
	assert_int_equal(n.replaced, 10000);
	auth_close(&a);
	a = fresh("many", NULL);
	counts_of(a, &c);
	assert_int_equal(c.enabled, 10000);
	auth_close(&a);
	buf_free(&f);
}

/* Wrong bytes in the file are noticed, never taken for a record. */
static void
test_damage(void **state)
{
	struct auth *a = fresh("damage", NULL);
	struct buf file = {0}, path = {0};
	uint64_t id;
	size_t at;
	enum err e;
	int fd;

	assert_int_equal(auth_user_add(a, S("ann"), S("pw"), &id), OK);
	auth_close(&a);
	buf_f(&path, "%s/secrets.mdb", in_work("damage"));
	buf_c(&path, '\0');
	assert_int_equal(os_slurp(path.p, 1 << 20, &file), OK);
	for (size_t from = 0;; from = at + 1) {
		at = from + str_find(str_from(buf_str(&file), from), S("$y$"));
		if (at >= file.n)
			break;
		fd = os_open(path.p, O_WRONLY, 0);
		assert_int_equal(os_pwrite(fd, "#", 1, (off_t)at), 1);
		os_close(&fd);
	}
	e = auth_open(&a, in_work("damage"), NULL);
	if (e == OK)
		e = auth_check(a, S("ann"), S("pw"), &id);
	assert_int_equal(e, ERR_CORRUPT);
	auth_close(&a);
	buf_free(&file);
	buf_free(&path);
}

/* R95: killed at any moment, what was acknowledged is there. */
static void
test_killed(void **state)
{
	for (int turn = 0; turn < 8; turn++) {
		char dir[32];
		struct auth *a;
		uint32_t acked = 0;
		uint64_t id;
		int p[2];
		pid_t child;
		ssize_t n;

		snprintf(dir, sizeof(dir), "killed%d", turn);
		assert_int_equal(pipe(p), 0);
		if ((child = fork()) == 0) {
			if (auth_open(&a, in_work(dir), NULL) != OK)
				_exit(1);
			for (uint32_t i = 0;; i++) {
				struct buf f = {0};
				struct auth_import got;
				buf_f(&f, "u%u:{PLAIN}x\n", i);
				if (auth_user_import(a, buf_str(&f), NULL, NULL,
					&got) != OK ||
				    write(p[1], &i, sizeof(i)) != sizeof(i))
					_exit(1);
				buf_free(&f);
			}
		}
		close(p[1]);
		while ((n = read(p[0], &acked, sizeof(acked))) == sizeof(acked))
			if (acked == 20u + 13 * (uint32_t)turn)
				kill(child, SIGKILL);
		close(p[0]);
		waitpid(child, NULL, 0);
		a = fresh(dir, NULL);
		for (uint32_t i = 0; i <= acked; i++) {
			char name[16];
			struct acct u;
			snprintf(name, sizeof(name), "u%u", i);
			assert_int_equal(acct_find(a, str_c(name), &u), OK);
			assert_int_equal(u.id, i + 1);
		}
		assert_int_equal(auth_user_add(a, S("new"), S("pw"), &id), OK);
		assert_true(id > acked + 1);
		auth_close(&a);
	}
}

#ifdef RESTANTE_FAULTS
/* R97, R98: the n-th call fails; nothing acknowledged is lost, nothing
 * refused is there, and the next change works. */
static void
test_faults(void **state)
{
	for (uint64_t n = 1; n < 60; n++) {
		char dir[32];
		struct auth *a = NULL;
		uint64_t id = 0, other;
		enum err e, f = ERR_IO;
		bool hit;

		snprintf(dir, sizeof(dir), "fault%d", (int)n);
		assert_int_equal(auth_open(&a, in_work(dir), NULL), OK);
		assert_int_equal(
		    auth_user_add(a, S("first"), S("pw"), &id), OK);
		os_fault_set(1u << OS_WRITE | 1u << OS_SYNC | 1u << OS_TRUNCATE,
		    n, n % 2 ? EIO : ENOSPC, 0, false);
		e = auth_user_add(a, S("ann"), S("pw"), &id);
		if (e == OK)
			f = auth_user_enable(a, S("ann"), false);
		hit = os_fault_hit();
		os_fault_clear();
		auth_close(&a);
		a = fresh(dir, NULL);
		assert_int_equal(
		    auth_check(a, S("first"), S("pw"), &other), OK);
		if (e == OK) {
			struct auth_user u;
			struct buf mem = {0};
			assert_int_equal(
			    auth_user_get(a, S("ann"), &mem, &u), OK);
			assert_int_equal(u.disabled, f == OK);
			buf_free(&mem);
		} else {
			assert_int_equal(
			    auth_user_add(a, S("ann"), S("pw"), &other), OK);
		}
		auth_close(&a);
		if (!hit)
			break;
	}
}
#endif

int
t_users(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_life),
	    cmocka_unit_test(test_rounds),
	    cmocka_unit_test(test_forget),
	    cmocka_unit_test(test_alias),
	    cmocka_unit_test(test_import),
	    cmocka_unit_test(test_many),
	    cmocka_unit_test(test_damage),
	    cmocka_unit_test(test_killed),
#ifdef RESTANTE_FAULTS
	    cmocka_unit_test(test_faults),
#endif
	};

	return cmocka_run_group_tests_name("users", tests, NULL, NULL);
}
