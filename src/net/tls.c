/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * TLS, by OpenSSL, on the non-blocking socket itself.
 *
 * (1) Private keys are not here: an RSA or EC key object holds the public
 *     half and a number, and its methods ask tls_opts.sign. OpenSSL 3 calls
 *     these methods deprecated; a provider would do the same with ten times
 *     the code, and both were seen to work in TLS 1.2 and 1.3.
 * (2) No session is resumed: no tickets, no cache. So a session inherits
 *     nothing, from whatever listener or name (R30).
 * (3) Renegotiation is off; KeyUpdates and other records without data are
 *     counted, and too many in a row end the connection (R27).
 * (4) A context is immutable once made; a reload makes another.
 * (5) What is there is read with one call, headers of records and all; a
 *     short read has emptied the socket, and until epoll tells of more
 *     (tls_ready) it is not asked again.
 */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#include <errno.h>
#include <stdlib.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "net/net_int.h"

#define EMPTY_MAX 64 /* records in a row that bring no data */
#define CIPHERS_12 "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!eNULL:!PSK:!SRP:!SHA1"

struct cert {
	SSL_CTX *ctx;
	X509 *leaf;
	uint32_t key;
	struct tls *tls;
};
struct tls {
	atomic_uint refs;
	struct cert *certs;
	size_t ncerts;
	bool strict_sni, client_ca;
	unsigned char alpn[64]; /* length and name, as on the wire */
	enum err (*sign)(void *arg, uint32_t key, int digest_nid, int padding,
	    str in, struct buf *sig);
	void *sign_arg;
};
struct tls_conn {
	SSL *ssl;
	struct tls *ctx;
	int fd; /* the connection's */
	unsigned empty;
	bool done, broken;
	bool dry;  /* (5) */
	bool last; /* see tls_last */
	const char *version, *cipher, *sni;
	char *client;
	uint8_t exporter[32];
	bool has_exporter;
};

static int key_index = -1, ec_index = -1;
static BIO_METHOD *sock_method;
static RSA_METHOD *rsa_remote;
static EC_KEY_METHOD *ec_remote;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
log_ssl(const char *what)
{
	char text[256] = "";
	unsigned long e = ERR_get_error();

	if (e != 0)
		ERR_error_string_n(e, text, sizeof(text));
	ERR_clear_error();
	log_warn(what, KV_C("ssl", text));
}

/* ---- keys held elsewhere ---- */

static int
remote_sign(const struct cert *k, int nid, int padding, const void *in,
    size_t n, unsigned char *out, size_t max)
{
	struct buf sig = {.max = 4096};
	int r = -1;

	if (k != NULL && k->tls->sign != NULL &&
	    k->tls->sign(k->tls->sign_arg, k->key, nid, padding, str_of(in, n),
		&sig) == OK &&
	    buf_ok(&sig) && sig.n > 0 && sig.n <= max) {
		memcpy(out, sig.p, sig.n);
		r = (int)sig.n;
	}
	buf_free(&sig);
	return r;
}

static int
rsa_priv_enc(
    int n, const unsigned char *from, unsigned char *to, RSA *rsa, int padding)
{
	return remote_sign(RSA_get_ex_data(rsa, key_index), 0, padding, from,
	    (size_t)n, to, (size_t)RSA_size(rsa));
}

/* PKCS#1: the digest itself goes, so that the signer can look at it. */
static int
rsa_sign(int type, const unsigned char *dgst, unsigned int n,
    unsigned char *sig, unsigned int *len, const RSA *rsa)
{
	int got = remote_sign(RSA_get_ex_data(rsa, key_index), type,
	    RSA_PKCS1_PADDING, dgst, n, sig, (size_t)RSA_size(rsa));

	if (got < 0)
		return 0;
	*len = (unsigned)got;
	return 1;
}

static int
rsa_priv_dec(
    int n, const unsigned char *from, unsigned char *to, RSA *rsa, int padding)
{
	return -1; /* no key exchange by RSA encryption */
}

static int
ec_sign(int type, const unsigned char *dgst, int n, unsigned char *sig,
    unsigned int *len, const BIGNUM *kinv, const BIGNUM *r, EC_KEY *ec)
{
	int got = remote_sign(EC_KEY_get_ex_data(ec, ec_index), type, 0, dgst,
	    (size_t)n, sig, (size_t)ECDSA_size(ec));

	if (got < 0)
		return 0;
	*len = (unsigned)got;
	return 1;
}

static int
ec_sign_setup(EC_KEY *ec, BN_CTX *ctx, BIGNUM **kinv, BIGNUM **r)
{
	return 1;
}

static ECDSA_SIG *
ec_sign_sig(const unsigned char *dgst, int n, const BIGNUM *kinv,
    const BIGNUM *r, EC_KEY *ec)
{
	unsigned char der[512];
	const unsigned char *p = der;
	unsigned int len = sizeof(der);
	int type = n == 48 ? NID_sha384 : n == 64 ? NID_sha512 : NID_sha256;

	if (ECDSA_size(ec) > (int)sizeof(der) ||
	    ec_sign(type, dgst, n, der, &len, kinv, r, ec) != 1)
		return NULL;
	return d2i_ECDSA_SIG(NULL, &p, (long)len);
}

/* ---- the socket ---- */

static int
sock_read(BIO *b, char *p, int n)
{
	struct tls_conn *t = BIO_get_data(b);
	ssize_t r;

	BIO_clear_retry_flags(b);
	if (t->dry) {
		BIO_set_retry_read(b);
		return -1;
	}
	do
		r = recv(t->fd, p, (size_t)n, MSG_DONTWAIT);
	while (r < 0 && errno == EINTR);
	t->dry = r != n;
	if (r < 0 && errno == EAGAIN)
		BIO_set_retry_read(b);
	return (int)r;
}

static int
sock_write(BIO *b, const char *p, int n)
{
	const struct tls_conn *t = BIO_get_data(b);
	ssize_t r;

	BIO_clear_retry_flags(b);
	do
		r = send(t->fd, p, (size_t)n,
		    MSG_DONTWAIT | MSG_NOSIGNAL | (t->last ? MSG_MORE : 0));
	while (r < 0 && errno == EINTR);
	if (r < 0 && errno == EAGAIN)
		BIO_set_retry_write(b);
	return (int)r;
}

static long
sock_ctrl(BIO *b, int what, long num, void *p)
{
	return what == BIO_CTRL_FLUSH;
}

static bool
sock_set(struct tls_conn *t, int fd)
{
	BIO *b = BIO_new(sock_method);

	if (b == NULL)
		return false;
	t->fd = fd;
	BIO_set_data(b, t);
	BIO_set_init(b, 1);
	SSL_set_bio(t->ssl, b, b);
	return true;
}

static void
tls_init(void)
{
	sock_method = BIO_meth_new(
	    BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "connection");
	if (sock_method == NULL ||
	    BIO_meth_set_read(sock_method, sock_read) != 1 ||
	    BIO_meth_set_write(sock_method, sock_write) != 1 ||
	    BIO_meth_set_ctrl(sock_method, sock_ctrl) != 1)
		log_panic("no TLS");
	key_index = RSA_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	ec_index = EC_KEY_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	rsa_remote = RSA_meth_dup(RSA_PKCS1_OpenSSL());
	RSA_meth_set1_name(rsa_remote, "remote");
	RSA_meth_set_priv_enc(rsa_remote, rsa_priv_enc);
	RSA_meth_set_sign(rsa_remote, rsa_sign);
	RSA_meth_set_priv_dec(rsa_remote, rsa_priv_dec);
	RSA_meth_set_flags(rsa_remote, RSA_FLAG_EXT_PKEY);
	ec_remote = EC_KEY_METHOD_new(EC_KEY_OpenSSL());
	EC_KEY_METHOD_set_sign(ec_remote, ec_sign, ec_sign_setup, ec_sign_sig);
}

/* The certificate's public key, dressed as a private one. */
static EVP_PKEY *
remote_key(struct cert *k)
{
	EVP_PKEY *pub = X509_get0_pubkey(k->leaf), *pk = EVP_PKEY_new();
	RSA *rsa = NULL;
	EC_KEY *ec = NULL;
	bool ok = false;

	if (pub == NULL || pk == NULL)
		goto out;
	if (EVP_PKEY_base_id(pub) == EVP_PKEY_RSA) {
		rsa = RSAPublicKey_dup(EVP_PKEY_get0_RSA(pub));
		ok = rsa != NULL && RSA_set_method(rsa, rsa_remote) == 1 &&
		     RSA_set_ex_data(rsa, key_index, k) == 1 &&
		     EVP_PKEY_assign_RSA(pk, rsa) == 1;
		if (ok)
			rsa = NULL;
	} else if (EVP_PKEY_base_id(pub) == EVP_PKEY_EC) {
		ec = EC_KEY_dup(EVP_PKEY_get0_EC_KEY(pub));
		ok = ec != NULL && EC_KEY_set_method(ec, ec_remote) == 1 &&
		     EC_KEY_set_ex_data(ec, ec_index, k) == 1 &&
		     EVP_PKEY_assign_EC_KEY(pk, ec) == 1;
		if (ok)
			ec = NULL;
	} else {
		log_error("certificate: only RSA and EC keys are served");
	}
out:
	RSA_free(rsa);
	EC_KEY_free(ec);
	if (!ok) {
		EVP_PKEY_free(pk);
		pk = NULL;
	}
	return pk;
}

/* ---- contexts ---- */

static int
on_alpn(SSL *ssl, const unsigned char **out, unsigned char *outlen,
    const unsigned char *in, unsigned int inlen, void *arg)
{
	struct tls *t = arg;
	unsigned char *sel;

	/* R25: whoever speaks of another protocol is in the wrong place. */
	if (t->alpn[0] == 0 ||
	    SSL_select_next_proto(&sel, outlen, t->alpn, t->alpn[0] + 1u, in,
		inlen) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = sel;
	return SSL_TLSEXT_ERR_OK;
}

static int
on_sni(SSL *ssl, int *alert, void *arg)
{
	struct tls *t = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	if (name == NULL)
		return SSL_TLSEXT_ERR_NOACK;
	for (size_t i = 0; i < t->ncerts; i++) {
		if (X509_check_host(t->certs[i].leaf, name, 0, 0, NULL) != 1)
			continue;
		if (SSL_get_SSL_CTX(ssl) != t->certs[i].ctx)
			SSL_set_SSL_CTX(ssl, t->certs[i].ctx);
		return SSL_TLSEXT_ERR_OK;
	}
	if (!t->strict_sni)
		return SSL_TLSEXT_ERR_NOACK;
	*alert = SSL_AD_UNRECOGNIZED_NAME;
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Counts what brings no data: OpenSSL calls it for each message. */
static void
on_msg(int write, int version, int type, const void *p, size_t n, SSL *ssl,
    void *arg)
{
	struct tls_conn *t = arg;

	if (t == NULL || write != 0 || !t->done)
		return;
	if (type == SSL3_RT_HANDSHAKE && ++t->empty > EMPTY_MAX)
		t->broken = true;
}

/* A client certificate that is not verified ends the handshake; there is
 * nothing to decide here but to go on without one (R29). */
static bool
ctx_clients(SSL_CTX *ctx, str pem)
{
	BIO *b = BIO_new_mem_buf(pem.p, (int)pem.n);
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	X509 *x;
	size_t n = 0;

	while ((x = PEM_read_bio_X509(b, NULL, NULL, NULL)) != NULL) {
		if (X509_STORE_add_cert(store, x) == 1 &&
		    SSL_CTX_add_client_CA(ctx, x) == 1)
			n++;
		X509_free(x);
	}
	ERR_clear_error();
	BIO_free(b);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE, NULL);
	SSL_CTX_set_purpose(ctx, X509_PURPOSE_SSL_CLIENT);
	return n > 0;
}

static bool
ctx_chain(struct cert *k, str pem)
{
	BIO *b = BIO_new_mem_buf(pem.p, (int)pem.n);
	EVP_PKEY *pk = NULL;
	X509 *x;
	bool ok = false;

	k->leaf = PEM_read_bio_X509(b, NULL, NULL, NULL);
	if (k->leaf == NULL || SSL_CTX_use_certificate(k->ctx, k->leaf) != 1)
		goto out;
	while ((x = PEM_read_bio_X509(b, NULL, NULL, NULL)) != NULL)
		if (SSL_CTX_add0_chain_cert(k->ctx, x) != 1) {
			X509_free(x);
			goto out;
		}
	ERR_clear_error(); /* the end of the text */
	pk = remote_key(k);
	ok = pk != NULL && SSL_CTX_use_PrivateKey(k->ctx, pk) == 1;
out:
	EVP_PKEY_free(pk);
	BIO_free(b);
	return ok;
}

static bool
ctx_make(struct tls *t, struct cert *k, const struct tls_cert *from, str ca)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	k->ctx = ctx;
	k->key = from->key;
	k->tls = t;
	if (ctx == NULL ||
	    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set_cipher_list(ctx, CIPHERS_12) != 1)
		return false;
	SSL_CTX_set_options(ctx,
	    SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
		SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_max_early_data(ctx, 0);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS |
				  SSL_MODE_ENABLE_PARTIAL_WRITE |
				  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* (3): give the thread back after every record without data. */
	SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_alpn_select_cb(ctx, on_alpn, t);
	SSL_CTX_set_tlsext_servername_callback(ctx, on_sni);
	SSL_CTX_set_tlsext_servername_arg(ctx, t);
	SSL_CTX_set_msg_callback(ctx, on_msg);
	if (ca.n > 0 && !ctx_clients(ctx, ca))
		return false;
	return ctx_chain(k, from->chain_pem);
}

enum err
tls_new(const struct tls_opts *o, struct tls **out)
{
	struct tls *t;
	size_t n = o->alpn == NULL ? 0 : strlen(o->alpn);

	pthread_once(&once, tls_init);
	*out = NULL;
	if (o->ncerts == 0 || n >= sizeof(t->alpn))
		return ERR_INVALID;
	t = x_alloc(sizeof(*t));
	atomic_store(&t->refs, 1);
	t->certs = x_array(o->ncerts, sizeof(*t->certs));
	t->strict_sni = o->strict_sni;
	t->client_ca = o->client_ca_pem.n > 0;
	t->sign = o->sign;
	t->sign_arg = o->sign_arg;
	if (n > 0) {
		t->alpn[0] = (unsigned char)n;
		memcpy(t->alpn + 1, o->alpn, n);
	}
	for (size_t i = 0; i < o->ncerts; i++) {
		t->ncerts = i + 1;
		if (!ctx_make(
			t, &t->certs[i], &o->certs[i], o->client_ca_pem)) {
			log_ssl("certificate cannot be used");
			tls_unref(&t);
			return ERR_INVALID;
		}
	}
	*out = t;
	return OK;
}

struct tls *
tls_ref(struct tls *t)
{
	atomic_fetch_add(&t->refs, 1);
	return t;
}

void
tls_unref(struct tls **tp)
{
	struct tls *t = *tp;

	*tp = NULL;
	if (t == NULL || atomic_fetch_sub(&t->refs, 1) != 1)
		return;
	for (size_t i = 0; i < t->ncerts; i++) {
		SSL_CTX_free(t->certs[i].ctx);
		X509_free(t->certs[i].leaf);
	}
	x_free(&t->certs);
	x_free(&t);
}

/* ---- connections ---- */

bool
tls_on(const struct conn *c)
{
	return c->tls != NULL && c->tls->ssl != NULL;
}

void
tls_ready(struct conn *c)
{
	if (c->tls != NULL)
		c->tls->dry = false;
}

void
conn_set_tls(struct conn *c, struct tls *t)
{
	if (c->tls == NULL)
		c->tls = x_alloc(sizeof(*c->tls));
	assert(c->tls->ssl == NULL);
	tls_unref(&c->tls->ctx);
	c->tls->ctx = tls_ref(t);
}

enum err
tls_start(struct conn *c, struct tls *t)
{
	struct tls_conn *tc;

	if (c->tls == NULL && t != NULL)
		conn_set_tls(c, t);
	tc = c->tls;
	if (tc == NULL || tc->ssl != NULL) {
		log_error("no TLS to start");
		return ERR_INVALID;
	}
	tc->ssl = SSL_new(tc->ctx->certs[0].ctx);
	if (tc->ssl == NULL || !sock_set(tc, c->fd)) {
		log_ssl("no TLS connection");
		return ERR_NOMEM;
	}
	SSL_set_accept_state(tc->ssl);
	SSL_set_msg_callback_arg(tc->ssl, tc);
	return OK;
}

/* Takes the name that an account may be looked up by: the certificate's
 * rfc822 name, else its CN. */
static char *
client_name(SSL *ssl)
{
	X509 *x = SSL_get0_peer_certificate(ssl);
	GENERAL_NAMES *names;
	char *out = NULL;
	char cn[256];
	int n;

	if (x == NULL || SSL_get_verify_result(ssl) != X509_V_OK)
		return NULL;
	names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	for (int i = 0; i < sk_GENERAL_NAME_num(names) && out == NULL; i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
		str v;

		if (g->type != GEN_EMAIL)
			continue;
		v = str_of(ASN1_STRING_get0_data(g->d.rfc822Name),
		    (size_t)ASN1_STRING_length(g->d.rfc822Name));
		if (v.n > 0 && memchr(v.p, 0, v.n) == NULL)
			out = x_cstr(v);
	}
	GENERAL_NAMES_free(names);
	if (out != NULL)
		return out;
	n = X509_NAME_get_text_by_NID(
	    X509_get_subject_name(x), NID_commonName, cn, sizeof(cn));
	if (n <= 0 || (size_t)n >= sizeof(cn) || strlen(cn) != (size_t)n)
		return NULL;
	return x_cstr(str_of(cn, (size_t)n));
}

static void
facts_take(struct tls_conn *t)
{
	t->version = SSL_get_version(t->ssl);
	t->cipher = SSL_CIPHER_get_name(SSL_get_current_cipher(t->ssl));
	t->sni = SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name);
	if (t->ctx->client_ca)
		t->client = client_name(t->ssl);
	/* RFC 9266: below 1.3 only with the extended master secret. */
	if (SSL_version(t->ssl) >= TLS1_3_VERSION ||
	    SSL_get_extms_support(t->ssl) == 1)
		t->has_exporter =
		    SSL_export_keying_material(t->ssl, t->exporter,
			sizeof(t->exporter), "EXPORTER-Channel-Binding", 24,
			(const unsigned char *)"", 0, 1) == 1;
}

/* What a call that did not succeed waits for: errno EAGAIN and *want; 0:
 * the peer has ended; -1 with another errno: broken. */
static ssize_t
tls_failed(struct tls_conn *t, int r, uint8_t *want)
{
	switch (SSL_get_error(t->ssl, r)) {
	case SSL_ERROR_WANT_READ:
		*want = EPOLLIN;
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_WANT_WRITE:
		*want = EPOLLOUT;
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
	case SSL_ERROR_SSL:
	default:
		t->broken = true;
		ERR_clear_error();
		errno = ECONNRESET;
		return -1;
	}
}

enum shake
tls_shake(struct conn *c, uint8_t *want)
{
	struct tls_conn *t = c->tls;
	int r;

	ERR_clear_error();
	r = SSL_do_handshake(t->ssl);
	if (r == 1) {
		t->done = true;
		facts_take(t);
		return SHAKE_DONE;
	}
	switch (SSL_get_error(t->ssl, r)) {
	case SSL_ERROR_WANT_READ:
		*want = EPOLLIN;
		return SHAKE_WAIT;
	case SSL_ERROR_WANT_WRITE:
		*want = EPOLLOUT;
		return SHAKE_WAIT;
	default:
		t->broken = true;
		log_ssl("TLS handshake failed");
		return SHAKE_BAD;
	}
}

ssize_t
tls_read(struct conn *c, void *p, size_t n, uint8_t *want)
{
	struct tls_conn *t = c->tls;
	unsigned before;
	int r;

	if (t->broken) {
		errno = ECONNRESET;
		return -1;
	}
	do {
		before = t->empty;
		ERR_clear_error();
		r = SSL_read(t->ssl, p, (int)MIN(n, 1 << 20));
		if (t->broken) {
			log_warn("TLS: too many records without data");
			errno = ECONNRESET;
			return -1;
		}
	} while (r <= 0 && t->empty != before);
	if (r > 0) {
		t->empty = 0;
		return r;
	}
	return tls_failed(t, r, want);
}

ssize_t
tls_write(struct conn *c, const void *p, size_t n, uint8_t *want)
{
	struct tls_conn *t = c->tls;
	int r;

	if (t->broken) {
		errno = ECONNRESET;
		return -1;
	}
	ERR_clear_error();
	r = SSL_write(t->ssl, p, (int)n);
	if (r > 0)
		return r;
	if (tls_failed(t, r, want) == 0)
		errno = EPIPE;
	return -1;
}

bool
tls_bye(struct conn *c)
{
	struct tls_conn *t = c->tls;
	bool more;
	int r;

	if (!tls_on(c) || !t->done || t->broken)
		return true;
	ERR_clear_error();
	tls_last(c);
	r = SSL_shutdown(t->ssl);
	more = r < 0 && SSL_get_error(t->ssl, r) == SSL_ERROR_WANT_WRITE;
	ERR_clear_error();
	return !more;
}

void
tls_last(struct conn *c)
{
	if (c->tls != NULL)
		c->tls->last = true;
}

void
tls_conn_free(struct conn *c)
{
	struct tls_conn *t = c->tls;

	c->tls = NULL;
	if (t == NULL)
		return;
	SSL_free(t->ssl);
	tls_unref(&t->ctx);
	x_free(&t->client);
	x_wipe(t->exporter, sizeof(t->exporter));
	free(t);
}

void
conn_tls(const struct conn *c, struct tls_facts *f)
{
	const struct tls_conn *t = c->tls;

	*f = (struct tls_facts){0};
	if (t == NULL || !t->done)
		return;
	f->on = true;
	f->version = str_c(t->version);
	f->cipher = str_c(t->cipher);
	f->sni = str_c(t->sni);
	f->client_name = str_c(t->client);
	memcpy(f->exporter, t->exporter, sizeof(f->exporter));
	f->has_exporter = t->has_exporter;
}
