/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The process that holds the private keys of TLS and signs for the others:
 * no file, no socket but its channels, no thread.
 *
 * (1) It signs digests, and only ones of a digest's exact length, so that a
 *     captured front cannot have it sign anything else with RSA (but for
 *     PSS, whose encoding the front makes, of the modulus's length).
 * (2) A key is read from the descriptor that the supervisor passed, before
 *     anything from a front is read. A reload brings a whole new set, with
 *     numbers of its own; the set before it stays, since fronts may still
 *     have connections on it.
 */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "daemon/daemon_int.h"

#define KEYS_MAX 1024
#define PEERS_MAX (FRONTS_MAX + 4)
#define KEY_FILE_MAX (64 << 10)

struct peer {
	struct chan *chan;
	uint8_t kind;
	uint32_t index;
};

struct set {
	uint32_t base; /* number of its first key */
	uint32_t n;
	EVP_PKEY *key[KEYS_MAX];
};

struct keys {
	struct chan *up;
	struct set set[3]; /* now; before the last reload; coming (2) */
	struct peer peer[PEERS_MAX];
	size_t npeers;
	bool stop;
};

static EVP_PKEY *
read_key(int fd)
{
	static char pem[KEY_FILE_MAX];
	EVP_PKEY *k = NULL;
	BIO *bio;
	ssize_t n;

	if ((n = os_pread(fd, pem, sizeof(pem), 0)) > 0) {
		bio = BIO_new_mem_buf(pem, (int)n);
		k = PEM_read_bio_PrivateKey(
		    bio, NULL, NULL, (void *)(uintptr_t) "");
		BIO_free(bio);
	}
	x_wipe(pem, sizeof(pem));
	return k;
}

static void
set_free(struct set *set)
{
	for (uint32_t i = 0; i < set->n; i++)
		EVP_PKEY_free(set->key[i]);
	memset(set, 0, sizeof(*set));
}

static void
take_key(struct keys *ks, struct msg *m)
{
	uint32_t all = msg_get_u32(m), number = msg_get_u32(m);
	int fd = msg_get_fd(m);
	struct set *coming = &ks->set[2];

	if (msg_end(m) && all >= 1 && all <= KEYS_MAX) {
		if ((number & (KEYS_MAX - 1)) == 0)
			set_free(coming);
		if (coming->n == 0)
			coming->base = number;
		if ((coming->key[coming->n] = read_key(fd)) == NULL)
			log_error("a private key cannot be read",
			    KV_N("number", number));
		if (++coming->n == all) {
			set_free(&ks->set[1]);
			ks->set[1] = ks->set[0];
			ks->set[0] = *coming;
			memset(coming, 0, sizeof(*coming));
		}
	}
	if (fd >= 0)
		os_close(&fd);
}

static EVP_PKEY *
find_key(const struct keys *ks, uint32_t number)
{
	for (size_t i = 0; i < 2; i++) {
		const struct set *set = &ks->set[i];

		if (number >= set->base && number - set->base < set->n)
			return set->key[number - set->base];
	}
	return NULL;
}

/* A signature of in, or false. */
static bool
sign(EVP_PKEY *k, int nid, int padding, str in, struct buf *out)
{
	EVP_PKEY_CTX *ctx = NULL;
	const EVP_MD *md = nid == 0 ? NULL : EVP_get_digestbynid(nid);
	bool rsa = EVP_PKEY_is_a(k, "RSA");
	bool raw = rsa && padding == RSA_NO_PADDING;
	size_t n = 0;
	bool ok = false;

	/* (1) */
	if (raw ? in.n != (size_t)EVP_PKEY_size(k)
		: md == NULL || in.n != (size_t)EVP_MD_size(md)) {
		/* TLS 1.1's MD5+SHA1 is not offered, so nothing else comes. */
		return false;
	}
	if ((ctx = EVP_PKEY_CTX_new(k, NULL)) == NULL ||
	    EVP_PKEY_sign_init(ctx) != 1)
		goto out;
	if (rsa && EVP_PKEY_CTX_set_rsa_padding(
		       ctx, raw ? RSA_NO_PADDING : RSA_PKCS1_PADDING) != 1)
		goto out;
	if (!raw && EVP_PKEY_CTX_set_signature_md(ctx, md) != 1)
		goto out;
	n = (size_t)EVP_PKEY_size(k);
	if (buf_room(out, n) == NULL ||
	    EVP_PKEY_sign(ctx, (unsigned char *)out->p + out->n, &n,
		(const unsigned char *)in.p, in.n) != 1)
		goto out;
	out->n += n;
	ok = true;
out:
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

/* false: the peer broke the rules. */
static bool
serve_peer(struct keys *ks, struct chan *ch, struct msg *m)
{
	uint64_t request = msg_get_u64(m);
	uint32_t key = msg_get_u32(m);
	int nid = (int)msg_get_u32(m), padding = (int)msg_get_u32(m);
	str in = msg_get_str(m);
	struct buf out = {0};
	EVP_PKEY *k;
	struct msg r;
	bool ok;

	if (m->type != MSG_SIGN || !msg_end(m))
		return false;
	ok = (k = find_key(ks, key)) != NULL && sign(k, nid, padding, in, &out);
	msg_new(&r, MSG_SIGNED);
	msg_u64(&r, request);
	msg_u8(&r, ok);
	msg_str(&r, ok ? buf_str(&out) : S(""));
	buf_free(&out);
	if (chan_send(ch, &r) != OK)
		log_debug("a signature found no taker");
	return true;
}

static void
add_peer(struct keys *ks, struct msg *m)
{
	uint8_t kind = msg_get_u8(m);
	uint32_t index = msg_get_u32(m);
	int fd = msg_get_fd(m);
	size_t i;

	if (!msg_end(m)) {
		if (fd >= 0)
			os_close(&fd);
		return;
	}
	for (i = 0; i < ks->npeers; i++)
		if (ks->peer[i].kind == kind && ks->peer[i].index == index)
			break;
	if (i == PEERS_MAX) {
		os_close(&fd);
		return;
	}
	if (i == ks->npeers)
		ks->npeers++;
	chan_free(&ks->peer[i].chan);
	ks->peer[i] = (struct peer){chan_new(fd), kind, index};
}

static void
from_supervisor(struct keys *ks)
{
	struct msg m;
	bool dead = false;

	while (chan_recv(ks->up, &m, &dead)) {
		if (m.type == MSG_KEYS)
			take_key(ks, &m);
		else if (m.type == MSG_PEER)
			add_peer(ks, &m);
		else if (m.type == MSG_STOP)
			ks->stop = true;
		msg_free(&m);
	}
	if (dead)
		ks->stop = true;
}

static void
from_peer(struct keys *ks, struct peer *p)
{
	struct msg m;
	bool dead = false, ok = true;

	while (ok && chan_recv(p->chan, &m, &dead)) {
		ok = serve_peer(ks, p->chan, &m);
		msg_free(&m);
	}
	if (!ok)
		log_warn("a peer broke the rules", KV_N("kind", p->kind));
	if (!ok || dead)
		chan_free(&p->chan);
}

int
keys_main(void *arg)
{
	struct child *c = arg;
	struct keys *ks = x_alloc(sizeof(*ks));
	struct pollfd fds[PEERS_MAX + 1];
	size_t at[PEERS_MAX + 1];
	struct msg m;
	nfds_t n;

	/* OpenSSL loads what it wants before the box closes. */
	OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG |
				OPENSSL_INIT_ADD_ALL_DIGESTS |
				OPENSSL_INIT_LOAD_CRYPTO_STRINGS,
	    NULL);
	EVP_PKEY_free(EVP_EC_gen("P-256"));
	if (child_box(c) != OK)
		return 1;
	ks->up = chan_new(c->chan);
	msg_new(&m, MSG_READY);
	if (chan_send(ks->up, &m) != OK)
		return 1;
	while (!ks->stop) {
		n = 0;
		fds[n++] = (struct pollfd){chan_fd(ks->up), POLLIN, 0};
		for (size_t i = 0; i < ks->npeers; i++) {
			if (ks->peer[i].chan == NULL)
				continue;
			at[n] = i;
			fds[n++] = (struct pollfd){chan_fd(ks->peer[i].chan),
			    (short)(POLLIN |
				    (chan_flush(ks->peer[i].chan) ? POLLOUT
								  : 0)),
			    0};
		}
		if (poll(fds, n, -1) < 0 && errno != EINTR)
			return 1;
		/* First, so that a new set is there before it is asked for. */
		if (fds[0].revents != 0)
			from_supervisor(ks);
		for (nfds_t i = 1; i < n; i++)
			if ((fds[i].revents & (POLLIN | POLLHUP | POLLERR)) &&
			    ks->peer[at[i]].chan != NULL)
				from_peer(ks, &ks->peer[at[i]]);
	}
	return 0;
}
