/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The certificate that is made at first start: ECDSA P-256, self-signed, no
 * authority (CA:FALSE), for servers, with the names that this machine goes
 * by; made anew by itself when its end is near.
 *
 * (1) The key is made and written in a child of its own, so that no process
 *     that is later forked ever held it.
 * (2) The new certificate is on the disk, under another name, before the key
 *     takes its place: a disk that is full leaves the old pair.
 * (3) Where a new one cannot be made, an old one serves until its end.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "daemon/daemon_int.h"

#define CERT_DAYS 825
#define CERT_RENEW_DAYS 30

static bool
add_extension(X509 *x, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *ext;
	bool ok;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
	if ((ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value)) == NULL)
		return false;
	ok = X509_add_ext(x, ext, -1) == 1;
	X509_EXTENSION_free(ext);
	return ok;
}

static bool
fill(X509 *x, EVP_PKEY *key, const char *host)
{
	unsigned char serial[16];
	struct buf names = {0};
	BIGNUM *bn;
	X509_NAME *name = X509_get_subject_name(x);
	bool ok;

	os_random(serial, sizeof(serial));
	serial[0] &= 0x7f;
	bn = BN_bin2bn(serial, sizeof(serial), NULL);
	buf_f(&names, "DNS:%s%sIP:127.0.0.1,IP:::1", host,
	    strcmp(host, "localhost") == 0 ? "," : ",DNS:localhost,");
	buf_c(&names, '\0');
	ok = bn != NULL && X509_set_version(x, 2) == 1 &&
	     BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(x)) != NULL &&
	     X509_gmtime_adj(X509_getm_notBefore(x), -3600) != NULL &&
	     X509_gmtime_adj(X509_getm_notAfter(x), 86400L * CERT_DAYS) !=
		 NULL &&
	     X509_set_pubkey(x, key) == 1 &&
	     X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
		 (const unsigned char *)host, -1, -1, 0) == 1 &&
	     X509_set_issuer_name(x, name) == 1 &&
	     add_extension(x, NID_basic_constraints, "critical,CA:FALSE") &&
	     add_extension(x, NID_key_usage, "critical,digitalSignature") &&
	     add_extension(x, NID_ext_key_usage, "serverAuth") &&
	     add_extension(x, NID_subject_alt_name, names.p) &&
	     X509_sign(x, key, EVP_sha256()) > 0;
	BN_free(bn);
	buf_free(&names);
	return ok;
}

static char *
path_in(const char *dir, const char *file)
{
	struct buf path = {0};
	char *p;

	buf_f(&path, "%s/%s", dir, file);
	p = x_cstr(buf_str(&path));
	buf_free(&path);
	return p;
}

static enum err
spill_bio(const char *dir, const char *file, BIO *bio, mode_t mode)
{
	char *p;
	long n = BIO_get_mem_data(bio, &p);
	char *path = path_in(dir, file);
	enum err e = os_spill(path, str_of(p, (size_t)n), mode);

	x_free(&path);
	return e;
}

#define CERT_NEXT "cert.pem.new"

static enum err
put_in_place(const char *dir)
{
	char *from = path_in(dir, CERT_NEXT), *to = path_in(dir, "cert.pem");
	enum err e = OK;

	if (os_rename(from, to) != 0 || os_fsync_dir(dir) != 0)
		e = err_errno(errno);
	x_free(&from);
	x_free(&to);
	return e;
}

/* In the child: makes and writes both files; the certificate comes last. */
static enum err
make(const char *dir, const char *host)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	BIO *kb = BIO_new(BIO_s_mem()), *cb = BIO_new(BIO_s_mem());
	enum err e = ERR_IO;

	if (key != NULL && x != NULL && fill(x, key, host) &&
	    PEM_write_bio_PrivateKey(kb, key, NULL, NULL, 0, NULL, NULL) == 1 &&
	    PEM_write_bio_X509(cb, x) == 1 &&
	    (e = spill_bio(dir, CERT_NEXT, cb, 0644)) == OK && /* (2) */
	    (e = spill_bio(dir, "key.pem", kb, 0600)) == OK)
		e = put_in_place(dir);
	BIO_free(kb);
	BIO_free(cb);
	X509_free(x);
	EVP_PKEY_free(key);
	return e;
}

/* True when the file holds a certificate that is good for so many days. */
static bool
good(const char *dir, int days)
{
	struct buf pem = {0};
	BIO *bio;
	X509 *x = NULL;
	char *path = path_in(dir, "cert.pem");
	time_t soon = (time_t)(os_wall_ms() / 1000) + 86400L * days;
	bool ok = false;

	if (os_slurp(path, 1 << 20, &pem) == OK) {
		bio = BIO_new_mem_buf(pem.p, (int)pem.n);
		x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
		BIO_free(bio);
		ok = x != NULL &&
		     X509_cmp_time(X509_get0_notAfter(x), &soon) > 0;
	}
	X509_free(x);
	x_free(&path);
	buf_free(&pem);
	return ok;
}

enum err
cert_ensure(const char *dir, str hostname, struct buf *why)
{
	char *host;
	int status = 0;
	pid_t pid;

	if (os_mkdir_durable(dir, 0700) != 0) {
		buf_f(why, "cannot make %s: %s", dir, strerror(errno));
		return err_errno(errno);
	}
	if (good(dir, CERT_RENEW_DAYS))
		return OK;
	/* Names longer than a certificate's CN may be are cut to localhost. */
	host = x_cstr(
	    hostname.n > 0 && hostname.n <= 64 ? hostname : S("localhost"));
	if ((pid = fork()) == 0) /* (1) */
		_exit((int)make(dir, host));
	x_free(&host);
	if (pid < 0)
		return err_errno(errno);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		if (good(dir, 0)) { /* (3) */
			log_error(
			    "cannot renew the certificate", KV_C("dir", dir));
			return OK;
		}
		buf_f(why, "cannot make a certificate in %s", dir);
		return ERR_IO;
	}
	log_info("made a self-signed certificate", KV_C("dir", dir));
	return OK;
}

bool
cert_due(const char *data)
{
	char *dir = path_in(data, "tls");
	bool due = !good(dir, CERT_RENEW_DAYS);

	x_free(&dir);
	return due;
}
