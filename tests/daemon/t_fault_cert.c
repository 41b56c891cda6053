/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The n-th call fails, for every n, while the certificate is made, at first
 * and anew. Afterwards there is a pair, or a start makes one; a disk that is
 * full leaves the old pair. (R97, R99)
 */
#include <string.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509.h>

#include "daemon/daemon_int.h"
#include "litter.h"
#include "seeds.h"
#include "store/t_faults.h"

#define DAY_MS INT64_C(86400000)

static char top[64], dir[80];

static void
run(const char *what)
{
	char cmd[256];

	snprintf(cmd, sizeof(cmd), what, top);
	assert_int_equal(system(cmd), 0);
}

static bool
slurp(const char *name, struct buf *out)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return os_slurp(path, 1 << 20, out) == OK;
}

/* Are there key and certificate, of one another? */
static bool
is_pair(void)
{
	struct buf key = {0}, cert = {0};
	EVP_PKEY *k = NULL;
	X509 *x = NULL;
	BIO *bio;
	bool yes;

	if (slurp("key.pem", &key)) {
		bio = BIO_new_mem_buf(key.p, (int)key.n);
		k = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
		BIO_free(bio);
	}
	if (slurp("cert.pem", &cert)) {
		bio = BIO_new_mem_buf(cert.p, (int)cert.n);
		x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
		BIO_free(bio);
	}
	/* Each is whole. */
	assert_true((key.n > 0) == (k != NULL));
	assert_true((cert.n > 0) == (x != NULL));
	yes = k != NULL && x != NULL && X509_check_private_key(x, k) == 1;
	X509_free(x);
	EVP_PKEY_free(k);
	buf_free(&key);
	buf_free(&cert);
	return yes;
}

static enum err
ensure(void)
{
	struct buf why = {0};
	enum err e = cert_ensure(dir, S("mail.example.org"), &why);

	assert_true((e == OK) == (why.n == 0));
	buf_free(&why);
	return e;
}

/* Is the certificate another than the old one? */
static bool
is_new(void)
{
	char cmd[256];

	snprintf(cmd, sizeof(cmd), "! cmp -s %s/tls/cert.pem %s/old/cert.pem",
	    top, top);
	return system(cmd) == 0;
}

/* The child that makes it has a count of its own, so its faults show in what
 * comes of it. True while there was an n-th call. */
static bool
one(const struct fault *x, uint64_t n, bool anew)
{
	int64_t start = os_wall_ms();
	bool made, hit, pair;
	enum err e;

	run(anew ? "rm -rf %1$s/tls && cp -R %1$s/old %1$s/tls"
		 : "rm -rf %s/tls");
	if (anew) /* 20 days from its end */
		os_clock_fix(start + 805 * DAY_MS, 0);
	log_setup("test", LOG_ERROR + 1);
	os_fault_set(x->mask, n, x->error, x->short_by, x->sticky);
	e = ensure();
	hit = os_fault_hit();
	os_fault_clear();
	log_setup("test", LOG_ERROR);
	made = e == OK && is_new();
	pair = is_pair();
	if (made || (anew && x->error == ENOSPC))
		assert_true(pair);
	assert_true(made || e != OK || anew);
	assert_int_equal(ensure(), OK);
	assert_true(is_pair() && is_new());
	os_clock_fix(-1, -1);
	return hit || !made;
}

static void
sweep(bool anew)
{
	for (size_t i = 0; i < NELEM(faults); i++) {
		uint64_t n = 1;

		while (one(&faults[i], n, anew))
			n++;
		if (getenv("TRACE") != NULL)
			print_message("%s, %s: %llu\n", anew ? "anew" : "first",
			    faults[i].name, (unsigned long long)n - 1);
#ifdef RESTANTE_FAULTS
		assert_true(n > 1);
#endif
	}
}

static void
first(void **state)
{
	sweep(false);
}

static void
anew(void **state)
{
	assert_int_equal(ensure(), OK);
	run("cp -R %1$s/tls %1$s/old");
	sweep(true);
}

/* Past its end, an old one serves no longer. */
static void
ended(void **state)
{
	run("rm -rf %1$s/tls && cp -R %1$s/old %1$s/tls");
	os_clock_fix(os_wall_ms() + 826 * DAY_MS, 0);
	log_setup("test", LOG_ERROR + 1);
	os_fault_set(1 << OS_WRITE, 1, ENOSPC, 0, true);
#ifdef RESTANTE_FAULTS
	assert_int_equal(ensure(), ERR_IO);
#endif
	os_fault_clear();
	log_setup("test", LOG_ERROR);
	assert_int_equal(ensure(), OK);
	assert_true(is_pair() && is_new());
	os_clock_fix(-1, -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(first),
	    cmocka_unit_test(anew),
	    cmocka_unit_test(ended),
	};
	int failed;

	log_setup("test", LOG_ERROR);
	if (litter_make(top,
		access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp",
		"t_cert") == NULL)
		return 1;
	snprintf(dir, sizeof(dir), "%s/tls", top);
	failed = cmocka_run_group_tests_name("daemon-fault", tests, NULL, NULL);
	return failed;
}
