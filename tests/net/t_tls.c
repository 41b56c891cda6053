/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * TLS and the pump, with OpenSSL as the client in a thread of its own.
 */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "t_net.h"

/* ---- certificates, and the signer that holds their keys ---- */

static EVP_PKEY *g_keys[3];
static char *g_pem[3];
static atomic_uint g_signed;

static void
cert_make(unsigned i, int type, const char *name, bool client)
{
	X509 *x = X509_new();
	X509_NAME *dn;
	X509_EXTENSION *ext;
	BIO *b = BIO_new(BIO_s_mem());
	char san[100];
	char *p;
	long n;

	g_keys[i] =
	    type == EVP_PKEY_RSA ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 7 + (long)i);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, g_keys[i]);
	dn = X509_get_subject_name(x);
	X509_NAME_add_entry_by_txt(
	    dn, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(x, dn);
	snprintf(san, sizeof(san), client ? "email:%s" : "DNS:%s", name);
	ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
	X509_add_ext(x, ext, -1);
	X509_EXTENSION_free(ext);
	X509_sign(x, g_keys[i], EVP_sha256());
	PEM_write_bio_X509(b, x);
	n = BIO_get_mem_data(b, &p);
	g_pem[i] = x_cstr(str_of(p, (size_t)n));
	BIO_free(b);
	X509_free(x);
}

static enum err
signer(void *arg, uint32_t key, int nid, int padding, str in, struct buf *sig)
{
	unsigned char out[1024];
	unsigned n = sizeof(out);
	int r;

	atomic_fetch_add(&g_signed, 1);
	if (EVP_PKEY_base_id(g_keys[key]) == EVP_PKEY_RSA) {
		RSA *rsa = (RSA *)(uintptr_t)EVP_PKEY_get0_RSA(g_keys[key]);

		if (padding == RSA_PKCS1_PADDING) {
			r = RSA_sign(nid, (const unsigned char *)in.p,
			    (unsigned)in.n, out, &n, rsa);
		} else {
			r = RSA_private_encrypt((int)in.n,
			    (const unsigned char *)in.p, out, rsa, padding);
			n = (unsigned)r;
		}
	} else {
		assert_true(nid != 0);
		r = ECDSA_sign(nid, (const unsigned char *)in.p, (int)in.n, out,
		    &n, (EC_KEY *)EVP_PKEY_get0_EC_KEY(g_keys[key]));
	}
	if (r <= 0)
		return ERR_IO;
	buf_add(sig, out, n);
	return OK;
}

static struct tls *
context(unsigned key, const char *alpn, bool strict, const char *ca)
{
	struct tls_cert certs[2] = {
	    {str_c(g_pem[key]), key}, {str_c(g_pem[!key]), !key}};
	struct tls_opts o = {.certs = certs,
	    .ncerts = 2,
	    .alpn = alpn,
	    .strict_sni = strict,
	    .client_ca_pem = str_c(ca),
	    .sign = signer};
	struct tls *t;

	assert_int_equal(tls_new(&o, &t), OK);
	return t;
}

/* ---- the client ---- */

struct client {
	int fd;
	int version;
	const char *sni;
	const char *alpn; /* wire form */
	bool cert;
	/* what it found */
	bool shaken, got_close;
	char got[256];
	char cn[64];
	uint8_t exporter[32];
	const char *say;
	const char *before; /* in clear, before the handshake */
	int updates;        /* KeyUpdates, before it says something */
	bool renegotiate;
	SSL_SESSION *session; /* to be resumed; the new one afterwards */
	bool resume, resumed;
};

static void *
client_main(void *arg)
{
	struct client *k = arg;
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl;
	X509 *x;
	size_t n = 0;
	int r;

	SSL_CTX_set_min_proto_version(ctx, k->version);
	SSL_CTX_set_max_proto_version(ctx, k->version);
	if (k->alpn != NULL)
		SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)k->alpn,
		    (unsigned)strlen(k->alpn));
	if (k->cert) {
		BIO *b = BIO_new_mem_buf(g_pem[2], -1);

		x = PEM_read_bio_X509(b, NULL, NULL, NULL);
		SSL_CTX_use_certificate(ctx, x);
		SSL_CTX_use_PrivateKey(ctx, g_keys[2]);
		X509_free(x);
		BIO_free(b);
	}
	ssl = SSL_new(ctx);
	SSL_set_fd(ssl, k->fd);
	if (k->sni != NULL)
		SSL_set_tlsext_host_name(ssl, k->sni);
	if (k->before != NULL)
		(void)!write(k->fd, k->before, strlen(k->before));
	if (k->resume && k->session != NULL) {
		SSL_set_session(ssl, k->session);
		SSL_SESSION_free(k->session);
		k->session = NULL;
	}
	if (SSL_connect(ssl) == 1) {
		k->shaken = true;
		k->resumed = SSL_session_reused(ssl) == 1;
		x = SSL_get0_peer_certificate(ssl);
		X509_NAME_get_text_by_NID(X509_get_subject_name(x),
		    NID_commonName, k->cn, sizeof(k->cn));
		SSL_export_keying_material(ssl, k->exporter, 32,
		    "EXPORTER-Channel-Binding", 24, (const unsigned char *)"",
		    0, 1);
		for (int i = 0; i < k->updates; i++)
			if (SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED) !=
				1 ||
			    SSL_do_handshake(ssl) != 1)
				break;
		if (k->renegotiate && SSL_renegotiate(ssl) == 1)
			(void)SSL_do_handshake(ssl);
		if (k->say != NULL)
			SSL_write(ssl, k->say, (int)strlen(k->say));
		while (n < sizeof(k->got) - 1 &&
		       (r = SSL_read(ssl, k->got + n,
			    (int)(sizeof(k->got) - 1 - n))) > 0)
			n += (size_t)r;
		k->got_close = SSL_get_error(ssl, 0) == SSL_ERROR_ZERO_RETURN;
		if (k->resume)
			k->session = SSL_get1_session(ssl);
	}
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	shutdown(k->fd, SHUT_RDWR);
	return NULL;
}

/* ---- the server's side ---- */

static struct tls_facts g_facts;
static char g_facts_text[256];
static enum next
echo_run(struct conn *c, enum why why)
{
	str in = conn_input(c);
	size_t nl = str_chr(in, '\n');

	if (why == WHY_OPEN) {
		out_s(c, "hi\n");
		return NEXT_INPUT;
	}
	if (why != WHY_INPUT || nl == in.n)
		return why == WHY_INPUT ? NEXT_INPUT : NEXT_CLOSE;
	conn_tls(c, &g_facts);
	snprintf(g_facts_text, sizeof(g_facts_text), "%.*s %.*s %.*s",
	    STR_ARG(g_facts.version), STR_ARG(g_facts.sni),
	    STR_ARG(g_facts.client_name));
	if (str_starts(in, S("STARTTLS"))) {
		conn_eat(c, nl + 1);
		out_s(c, "go\n");
		return NEXT_TLS;
	}
	out_str(c, str_head(in, nl + 1));
	conn_eat(c, nl + 1);
	return str_starts(in, S("quit")) ? NEXT_CLOSE : NEXT_INPUT;
}
static const struct service echo_service = {.name = "echo", .run = echo_run};

static struct net *
one(void)
{
	struct net_opts o = {.threads_max = 1, .conns_max = 16};

	return net_new(&o);
}

/* Runs client k against a connection that begins with TLS. */
static void
meet(struct client *k, struct tls *t)
{
	struct net *n = one();
	pthread_t th;
	int fd[2];

	assert_int_equal(os_socketpair(SOCK_STREAM, fd), 0);
	fcntl(fd[1], F_SETFL, 0);
	k->fd = fd[1];
	assert_true(conn_make(n, fd[0], &echo_service, NULL, NULL, STR_NONE, t,
			NO_SLOT) != 0);
	pthread_create(&th, NULL, client_main, k);
	for (int i = 0; i < 2000 && net_count(n) > 0; i++)
		net_step(n, 5);
	assert_int_equal(net_count(n), 0);
	pthread_join(th, NULL);
	close(fd[1]);
	net_free(&n);
}

static void
speaks(void **state)
{
	const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

	for (unsigned key = 0; key < 2; key++)
		for (unsigned v = 0; v < 2; v++) {
			struct tls *t = context(key, "imap", false, NULL);
			struct client k = {.version = versions[v],
			    .say = "one\ntwo\nquit\n",
			    .alpn = "\4imap"};

			g_signed = 0;
			meet(&k, t);
			assert_true(k.shaken);
			assert_true(k.got_close);
			assert_string_equal(k.got, "hi\none\ntwo\nquit\n");
			assert_int_equal(g_signed, 1);
			assert_true(g_facts.on && g_facts.has_exporter);
			assert_memory_equal(g_facts.exporter, k.exporter, 32);
			tls_unref(&t);
		}
}

/* Several certificates: the name chooses; strict: no other (R25, R26). */
static void
names(void **state)
{
	struct tls *t = context(0, NULL, false, NULL);
	struct client k = {
	    .version = TLS1_3_VERSION, .say = "quit\n", .sni = "two.example"};

	meet(&k, t);
	assert_string_equal(k.cn, "two.example");
	k.sni = "ONE.example";
	meet(&k, t);
	assert_string_equal(k.cn, "one.example");
	k.sni = "other.example";
	meet(&k, t);
	assert_string_equal(k.cn, "one.example");
	tls_unref(&t);
	t = context(0, NULL, true, NULL);
	k.shaken = false;
	meet(&k, t);
	assert_false(k.shaken);
	tls_unref(&t);
}

/* R25 */
static void
alpn(void **state)
{
	static const char *const bad[] = {"\10http/1.1", "\4pop3", "\2h2"};
	struct tls *t = context(0, "imap", false, NULL);

	for (size_t i = 0; i < NELEM(bad); i++) {
		struct client k = {
		    .version = TLS1_3_VERSION, .say = "quit\n", .alpn = bad[i]};

		meet(&k, t);
		assert_false(k.shaken);
	}
	tls_unref(&t);
}

/* R29 */
static void
client_certificates(void **state)
{
	struct tls *t = context(0, NULL, false, g_pem[2]);
	struct client k = {
	    .version = TLS1_3_VERSION, .say = "quit\n", .cert = true};

	meet(&k, t);
	assert_string_equal(k.got, "hi\nquit\n");
	assert_string_equal(g_facts_text, "TLSv1.3  ann@example.org");
	k.cert = false;
	meet(&k, t);
	assert_string_equal(g_facts_text, "TLSv1.3  ");
	tls_unref(&t);
	/* Another authority: the certificate is not verified. */
	t = context(0, NULL, false, g_pem[0]);
	k.cert = true;
	k.got[0] = 0;
	meet(&k, t);
	assert_string_equal(k.got, "");
	tls_unref(&t);
}

/* R27: KeyUpdates end with a bound, renegotiation does not begin. */
static void
floods(void **state)
{
	struct tls *t = context(0, NULL, false, NULL);
	struct client few = {
	    .version = TLS1_3_VERSION, .say = "quit\n", .updates = 20};
	struct client many = {
	    .version = TLS1_3_VERSION, .say = "quit\n", .updates = 2000};
	struct client again = {
	    .version = TLS1_2_VERSION, .say = "quit\n", .renegotiate = true};

	meet(&few, t);
	assert_string_equal(few.got, "hi\nquit\n");
	log_setup("t_net", LOG_ERROR);
	signal(SIGPIPE, SIG_IGN);
	meet(&many, t);
	assert_null(strstr(many.got, "quit"));
	meet(&again, t);
	assert_true(again.shaken);
	tls_unref(&t);
}

/* R30: no session is resumed, so none inherits anything. */
static void
no_resumption(void **state)
{
	const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
	struct tls *t = context(0, NULL, false, NULL);

	for (size_t i = 0; i < NELEM(versions); i++) {
		struct client k = {
		    .version = versions[i], .say = "quit\n", .resume = true};

		for (int round = 0; round < 3; round++) {
			meet(&k, t);
			assert_true(k.shaken);
			assert_false(k.resumed);
		}
		SSL_SESSION_free(k.session);
	}
	tls_unref(&t);
}

/* R124: prelogin_s -1 0 +1, in milliseconds, for a handshake; behind STARTTLS
 * too. The wheel of timers turns by 32 of them. */
static void
slow_handshake(void **state)
{
	struct tls *t = context(0, NULL, false, NULL);

	limits.prelogin_s = 9;
	for (int i = 0; i < 6; i++) {
		int64_t now = 32 * 1000000 - 9000 - 1;
		struct net *n;
		int fd[2];
		conn_id id;

		os_clock_fix(now, now);
		n = one();
		net_listen_tls(n, &echo_service, t);
		if (i % 2 == 0) {
			assert_int_equal(os_socketpair(SOCK_STREAM, fd), 0);
			id = conn_make(n, fd[0], &echo_service, NULL, NULL,
			    STR_NONE, t, NO_SLOT);
			assert_true(id != 0);
		} else {
			fd[1] = pair_add(n, &echo_service, NULL, &id);
			peer_write(fd[1], "STARTTLS\n");
		}
		steps(n);
		os_clock_fix(now + 8000, now + 8000);
		peer_write(fd[1], "\x16\x03\x01");
		steps(n);
		now += 9000 + i / 2;
		os_clock_fix(now, now);
		steps(n);
		assert_int_equal(net_count(n), i / 2 == 0);
		close(fd[1]);
		net_free(&n);
	}
	os_clock_fix(-1, -1);
	limits_default(&limits);
	tls_unref(&t);
}

/* STARTTLS; and R20: what is sent behind it in clear is never run. */
static void
upgrade(const char *first, const char *second, bool good)
{
	struct net *n = one();
	struct tls *t = context(0, NULL, false, NULL);
	struct client k = {
	    .version = TLS1_3_VERSION, .say = "quit\n", .before = second};
	pthread_t th;
	conn_id id;
	int fd;

	net_listen_tls(n, &echo_service, t);
	fd = pair_add(n, &echo_service, NULL, &id);
	steps(n);
	peer_expect(n, fd, "hi\n");
	peer_write(fd, first);
	steps(n);
	if (good || second != NULL)
		peer_expect(n, fd, "go\n");
	fcntl(fd, F_SETFL, 0);
	k.fd = fd;
	pthread_create(&th, NULL, client_main, &k);
	for (int i = 0; i < 2000 && net_count(n) > 0; i++)
		net_step(n, 5);
	assert_int_equal(net_count(n), 0);
	pthread_join(th, NULL);
	assert_int_equal(k.shaken, good);
	assert_string_equal(k.got, good ? "quit\n" : "");
	close(fd);
	net_free(&n);
	tls_unref(&t);
}

static void
starttls(void **state)
{
	log_setup("t_net", LOG_ERROR);
	upgrade("STARTTLS\n", NULL, true);
	upgrade("STARTTLS\nquit\n", NULL, false);
	upgrade("STARTTLS\nq", NULL, false);
	upgrade("STARTTLS\n", "quit\n", false);
	upgrade("STARTTLS\n", "q", false);
}

/* ---- the pump ---- */

static int g_inner;
static enum next
pump_run(struct conn *c, enum why why)
{
	if (why == WHY_OPEN) {
		int fd[2];

		assert_int_equal(os_socketpair(SOCK_STREAM, fd), 0);
		g_inner = fd[1];
		conn_authenticated(c, true);
		conn_pump(c, fd[0]);
		return NEXT_PUMP;
	}
	return NEXT_CLOSE;
}
static const struct service pump_service = {.name = "pump", .run = pump_run};

#define PUMPED 2000000
static char *
noise_text(size_t n)
{
	char *p = x_alloc(n);

	for (size_t i = 0; i < n; i++)
		p[i] = (char)(i * 31 + i / 977);
	return p;
}

static char *g_text;

static void *
pump_client(void *arg)
{
	struct client *k = arg;
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(ctx);
	size_t sent = 0, got = 0;
	char *b = malloc(PUMPED);
	int r;

	SSL_set_fd(ssl, k->fd);
	if (SSL_connect(ssl) == 1) {
		while (
		    sent < PUMPED && (r = SSL_write(ssl, g_text + sent,
					  (int)MIN(PUMPED - sent, 50000))) > 0)
			sent += (size_t)r;
		while (got < PUMPED &&
		       (r = SSL_read(ssl, b + got, (int)(PUMPED - got))) > 0)
			got += (size_t)r;
		k->shaken = got == PUMPED && memcmp(b, g_text, PUMPED) == 0;
		if (k->say != NULL)
			SSL_shutdown(ssl);
		r = SSL_read(ssl, b, 1);
		k->got_close = SSL_get_error(ssl, r) == SSL_ERROR_ZERO_RETURN;
	}
	free(b);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	return NULL;
}

/* Two megabytes each way, then an end from either side. */
static void
pumps(void **state)
{
	for (int client_ends = 0; client_ends < 2; client_ends++) {
		struct net *n = one();
		struct tls *t = context(1, NULL, false, NULL);
		struct client k = {.say = client_ends ? "x" : NULL};
		pthread_t th;
		size_t got = 0, sent = 0;
		bool eof = false;
		char *b = x_alloc(PUMPED);
		int fd[2];

		g_text = noise_text(PUMPED);
		g_inner = -1;
		assert_int_equal(os_socketpair(SOCK_STREAM, fd), 0);
		fcntl(fd[1], F_SETFL, 0);
		k.fd = fd[1];
		conn_make(
		    n, fd[0], &pump_service, NULL, NULL, STR_NONE, t, NO_SLOT);
		pthread_create(&th, NULL, pump_client, &k);
		for (int i = 0; i < 20000 && net_count(n) > 0; i++) {
			ssize_t r;

			net_step(n, 1);
			if (g_inner < 0)
				continue;
			r = recv(g_inner, b + got, PUMPED - got, MSG_DONTWAIT);
			if (r > 0)
				got += (size_t)r;
			if (got < PUMPED)
				continue;
			r = send(g_inner, g_text + sent,
			    MIN(PUMPED - sent, 70000),
			    MSG_DONTWAIT | MSG_NOSIGNAL);
			if (r > 0)
				sent += (size_t)r;
			if (sent < PUMPED)
				continue;
			if (client_ends && !eof) {
				eof = recv(g_inner, b, 1, MSG_DONTWAIT) == 0;
				if (!eof)
					continue;
			}
			close(g_inner);
			g_inner = -1;
		}
		pthread_join(th, NULL);
		assert_true(k.shaken && k.got_close);
		assert_int_equal(net_count(n), 0);
		assert_int_equal(eof, client_ends);
		close(fd[1]);
		free(b);
		free(g_text);
		net_free(&n);
		tls_unref(&t);
	}
}

/* A service that says so much and goes. */
static size_t g_much;

static enum next
much_run(struct conn *c, enum why why)
{
	if (why == WHY_OPEN)
		out_add(c, g_text, g_much);
	return NEXT_CLOSE;
}
static const struct service much_service = {.name = "much", .run = much_run};

static void *
much_client(void *arg)
{
	struct client *k = arg;
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(ctx);
	char b[16384];
	int r = 0;

	SSL_set_fd(ssl, k->fd);
	if (SSL_connect(ssl) == 1) {
		usleep(20000); /* the server finds the socket full */
		k->updates = 0;
		while ((r = SSL_read(ssl, b, sizeof(b))) > 0)
			k->updates += r;
		k->got_close = SSL_get_error(ssl, r) == SSL_ERROR_ZERO_RETURN;
	}
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	return NULL;
}

/* Whatever fills the socket, the close_notify behind it arrives. */
static void
goodbyes(void **state)
{
	struct tls *t = context(1, NULL, false, NULL);

	g_text = noise_text(PUMPED);
	for (g_much = 20000; g_much < 420000; g_much += 10000) {
		struct net *n = one();
		struct client k = {0};
		pthread_t th;
		int fd[2];

		assert_int_equal(os_socketpair(SOCK_STREAM, fd), 0);
		fcntl(fd[1], F_SETFL, 0);
		k.fd = fd[1];
		conn_make(
		    n, fd[0], &much_service, NULL, NULL, STR_NONE, t, NO_SLOT);
		pthread_create(&th, NULL, much_client, &k);
		for (int i = 0; i < 20000 && net_count(n) > 0; i++)
			net_step(n, 1);
		pthread_join(th, NULL);
		close(fd[1]);
		assert_int_equal(k.updates, g_much);
		assert_true(k.got_close);
		net_free(&n);
	}
	free(g_text);
	tls_unref(&t);
}

int
test_tls(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(speaks),
	    cmocka_unit_test(names),
	    cmocka_unit_test(alpn),
	    cmocka_unit_test(client_certificates),
	    cmocka_unit_test(floods),
	    cmocka_unit_test(no_resumption),
	    cmocka_unit_test(slow_handshake),
	    cmocka_unit_test(starttls),
	    cmocka_unit_test(pumps),
	    cmocka_unit_test(goodbyes),
	};
	int r;

	cert_make(0, EVP_PKEY_EC, "one.example", false);
	cert_make(1, EVP_PKEY_RSA, "two.example", false);
	cert_make(2, EVP_PKEY_EC, "ann@example.org", true);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	for (unsigned i = 0; i < 3; i++) {
		EVP_PKEY_free(g_keys[i]);
		free(g_pem[i]);
	}
	return r;
}
