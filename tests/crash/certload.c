/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The path that writes the certificate of the first start, and those that
 * follow it (load.h). Key and certificate are two files: after a crash each
 * is an old one or a new one, whole, and the next start has a pair.
 */
#include "load.h"

#include "daemon/daemon_int.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509.h>

#define DAY_MS 86400000ll

static char dir[4096];

static void
ensure(int64_t days)
{
	struct buf why = {0};

	os_clock_fix((int64_t)time(NULL) * 1000 + days * DAY_MS, 0);
	if (cert_ensure(dir, S("mail.example.org"), &why) != OK)
		load_fail("no certificate: %.*s", (int)why.n, why.p);
	buf_free(&why);
}

/* The first at once; later ones when the last has come near its end. */
static void
step_certificate(unsigned lane, unsigned i)
{
	ensure(i == 1 ? 0 : 800);
}

static const struct load_path paths[] = {
    {"certificate", 24, PER_MESSAGE, 0, NULL, step_certificate},
};

static enum err
open_dir(const char *data, const struct load_path *path)
{
	snprintf(dir, sizeof(dir), "%s/tls", data);
	return OK;
}

static void
close_dir(void)
{
}

static bool
slurp(const char *name, struct buf *out)
{
	char path[4200];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return os_slurp(path, 1 << 20, out) == OK;
}

/* "NAME TAB the text on one line" */
static void
dump_file(const char *name, struct buf *out)
{
	struct buf text = {0};

	if (slurp(name, &text)) {
		buf_f(out, "%s\t", name);
		for (size_t i = 0; i < text.n; i++)
			buf_c(out, text.p[i] == '\n' ? ' ' : text.p[i]);
		buf_c(out, '\n');
	}
	buf_free(&text);
}

static void
dump_dir(unsigned lane, struct buf *out)
{
	dump_file("key.pem", out);
	dump_file("cert.pem", out);
}

static void
check_dir(void)
{
}

static void
check_pair(void)
{
	struct buf key = {0};
	struct buf cert = {0};
	EVP_PKEY *k = NULL;
	X509 *x = NULL;
	BIO *bio;

	if (!slurp("key.pem", &key) || !slurp("cert.pem", &cert))
		load_fail("key or certificate is missing");
	bio = BIO_new_mem_buf(key.p, (int)key.n);
	k = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	BIO_free(bio);
	bio = BIO_new_mem_buf(cert.p, (int)cert.n);
	x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	BIO_free(bio);
	if (k == NULL || x == NULL || X509_check_private_key(x, k) != 1)
		load_fail("key and certificate are no pair");
	X509_free(x);
	EVP_PKEY_free(k);
	buf_free(&key);
	buf_free(&cert);
}

/* A start makes whole what was begun: a new pair, for the old certificate
 * was near its end. */
static void
go_on_dir(unsigned lane, str facts)
{
	ensure(facts.n == 0 ? 0 : 800);
	check_pair();
}

int
main(int argc, char **argv)
{
	const struct load l = {"certload", paths, NELEM(paths), open_dir,
	    close_dir, dump_dir, check_dir, go_on_dir};

	return load_main(argc, argv, &l);
}
