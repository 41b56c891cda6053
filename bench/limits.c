/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * What the machine can do, so that rates of servers can be read beside it:
 * loopback, flushes, memcpy, zstd, AES-GCM. Figures are printed one a line as
 * restante-bench does, each measured for SECONDS. Usage: limits [DIR]; the
 * flushes are of a file in DIR.
 */
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

#define SECONDS 0.7
#define FLUSHERS_MAX 16
#define COPY_BYTES (64 << 20)
#define RECORD 16384
/* As restante compresses. */
#define LEVEL 1

/* What mail.c asks for. */
struct options opt = {.size = 4096, .kind = "text"};

static const char *dir = ".";
static atomic_bool ended;

void
die(const char *fmt, ...)
{
	va_list ap;

	fputs("limits: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	_exit(1);
}

static void
say(const char *name, double value)
{
	printf("%s %.6g\n", name, value);
}

static void *
room(size_t n)
{
	char *p = malloc(n);

	if (!p)
		die("no memory");
	for (size_t i = 0; i < n; i += 4096)
		p[i] = (char)i;
	return p;
}

/* ---- loopback ---- */

static void
connected(int fd[2])
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t n = sizeof a;
	int l = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (l < 0 || fd[0] < 0 || bind(l, (void *)&a, sizeof a) ||
	    listen(l, 1) || getsockname(l, (void *)&a, &n) ||
	    connect(fd[0], (void *)&a, sizeof a) ||
	    (fd[1] = accept(l, NULL, NULL)) < 0)
		die("loopback: %s", strerror(errno));
	close(l);
	setsockopt(fd[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	setsockopt(fd[1], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static void *
pour(void *arg)
{
	int fd = *(int *)arg;
	char *b = room(256 << 10);

	while (!atomic_load(&ended))
		if (send(fd, b, 256 << 10, MSG_NOSIGNAL) < 0)
			break;
	shutdown(fd, SHUT_WR);
	free(b);
	return NULL;
}

static void *
echo(void *arg)
{
	int fd = *(int *)arg;
	char b[64];
	ssize_t n;

	while ((n = recv(fd, b, sizeof b, 0)) > 0)
		if (send(fd, b, (size_t)n, MSG_NOSIGNAL) != n)
			break;
	return NULL;
}

static void
loopback(void)
{
	char *b = room(256 << 10);
	double t = now(), bytes = 0, turns = 0;
	pthread_t peer;
	ssize_t n;
	int fd[2];

	connected(fd);
	if (pthread_create(&peer, NULL, pour, &fd[1]))
		die("no thread");
	while (now() - t < SECONDS) {
		n = recv(fd[0], b, 256 << 10, 0);
		if (n <= 0)
			die("loopback: %s", strerror(errno));
		bytes += (double)n;
	}
	say("loopback_MBps", bytes / (now() - t) / 1e6);
	atomic_store(&ended, true);
	while (recv(fd[0], b, 256 << 10, 0) > 0)
		;
	pthread_join(peer, NULL);
	close(fd[0]);
	close(fd[1]);

	connected(fd);
	if (pthread_create(&peer, NULL, echo, &fd[1]))
		die("no thread");
	for (t = now(); now() - t < SECONDS; turns++)
		if (send(fd[0], "x", 1, MSG_NOSIGNAL) != 1 ||
		    recv(fd[0], b, 1, 0) != 1)
			die("loopback: %s", strerror(errno));
	say("loopback_turns_per_s", turns / (now() - t));
	shutdown(fd[0], SHUT_WR);
	pthread_join(peer, NULL);
	close(fd[0]);
	close(fd[1]);
	free(b);
}

/* ---- flushes ---- */

struct flusher {
	pthread_t thread;
	int number;
	double times, seconds;
};

/* 4 KiB at the end of a file, and fdatasync, as a commit does at best. */
static void *
flusher(void *arg)
{
	struct flusher *f = arg;
	char path[4096], b[4096];
	double t = now();
	int fd;

	memset(b, 'x', sizeof b);
	snprintf(path, sizeof path, "%s/limits.%d.%d", dir, (int)getpid(),
	    f->number);
	fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_APPEND, 0600);
	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	unlink(path);
	for (; f->seconds < SECONDS; f->times++, f->seconds = now() - t)
		if (write(fd, b, sizeof b) != (ssize_t)sizeof b ||
		    fdatasync(fd))
			die("%s: %s", path, strerror(errno));
	close(fd);
	return NULL;
}

static void
flushes(int n)
{
	struct flusher f[FLUSHERS_MAX] = {0};
	double times = 0, seconds = 0;
	char name[64];

	for (int i = 0; i < n; i++) {
		f[i].number = i;
		if (pthread_create(&f[i].thread, NULL, flusher, &f[i]))
			die("no thread");
	}
	for (int i = 0; i < n; i++) {
		pthread_join(f[i].thread, NULL);
		times += f[i].times / f[i].seconds;
		seconds += f[i].seconds / f[i].times;
	}
	snprintf(name, sizeof name, "flushes_per_s_%d", n);
	say(name, times);
	snprintf(name, sizeof name, "flush_ms_%d", n);
	say(name, 1e3 * seconds / n);
}

/* ---- memory, zstd, AES ---- */

static void
copying(void)
{
	char *a = room(COPY_BYTES), *b = room(COPY_BYTES);
	double t = now(), n = 0;

	for (; now() - t < SECONDS; n++) {
		a[(size_t)n] = (char)n; /* so that none is left out */
		memcpy(b, a, COPY_BYTES);
		__asm__ volatile("" : : "r"(b) : "memory");
	}
	say("memcpy_MBps", n * COPY_BYTES / (now() - t) / 1e6);
	free(a);
	free(b);
}

static void
compressing(void)
{
	static struct mail mail[64];
	size_t max = ZSTD_compressBound(1 << 16), packed[64], total = 0,
	       small = 0;
	ZSTD_CCtx *cc = ZSTD_createCCtx();
	ZSTD_DCtx *dc = ZSTD_createDCtx();
	char *out = room(64 * max), *back = room(1 << 16);
	double t, n = 0;

	opt.kind = "list";
	for (uint64_t i = 0; i < 64; i++) {
		mail_make(&mail[i], i);
		if (mail[i].n > 1 << 16)
			die("mail of %zu bytes", mail[i].n);
		total += mail[i].n;
	}
	for (t = now(); now() - t < SECONDS; n++) {
		small = 0;
		for (int i = 0; i < 64; i++) {
			packed[i] = ZSTD_compressCCtx(cc, out + i * max, max,
			    mail[i].p, mail[i].n, LEVEL);
			if (ZSTD_isError(packed[i]))
				die("zstd");
			small += packed[i];
		}
	}
	say("zstd_compress_MBps", n * (double)total / (now() - t) / 1e6);
	say("zstd_ratio", (double)small / (double)total);
	for (t = now(), n = 0; now() - t < SECONDS; n++)
		for (int i = 0; i < 64; i++)
			if (ZSTD_decompressDCtx(dc, back, 1 << 16,
				out + i * max, packed[i]) != mail[i].n)
				die("zstd");
	say("zstd_decompress_MBps", n * (double)total / (now() - t) / 1e6);
	ZSTD_freeCCtx(cc);
	ZSTD_freeDCtx(dc);
	free(out);
	free(back);
}

static void
enciphering(const char *name, const EVP_CIPHER *cipher)
{
	static const unsigned char key[32] = "key", iv[12] = "iv";
	EVP_CIPHER_CTX *x = EVP_CIPHER_CTX_new();
	unsigned char *in = room(RECORD), *out = room(RECORD + 16), tag[16];
	double t = now(), n = 0;
	int k;

	if (EVP_EncryptInit_ex(x, cipher, NULL, key, iv) != 1)
		die("AES");
	for (; now() - t < SECONDS; n++)
		if (EVP_EncryptInit_ex(x, NULL, NULL, NULL, iv) != 1 ||
		    EVP_EncryptUpdate(x, out, &k, in, RECORD) != 1 ||
		    EVP_EncryptFinal_ex(x, out + k, &k) != 1 ||
		    EVP_CIPHER_CTX_ctrl(x, EVP_CTRL_AEAD_GET_TAG, 16, tag) != 1)
			die("AES");
	say(name, n * RECORD / (now() - t) / 1e6);
	EVP_CIPHER_CTX_free(x);
	free(in);
	free(out);
}

int
main(int ac, char **av)
{
	if (ac > 2 || (ac == 2 && av[1][0] == '-')) {
		fputs("usage: limits [DIR]\n", stderr);
		return 64;
	}
	if (ac == 2)
		dir = av[1];
	loopback();
	flushes(1);
	flushes(4);
	flushes(FLUSHERS_MAX);
	copying();
	compressing();
	enciphering("aes_128_gcm_MBps", EVP_aes_128_gcm());
	enciphering("aes_256_gcm_MBps", EVP_aes_256_gcm());
	return 0;
}
