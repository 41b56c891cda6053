/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The mail of restante-bench: (1) message i of a kind is always the same
 * bytes. Text is words drawn by Zipf's law, so that it compresses about as
 * mail does; attachments are base64 of noise, as pictures and archives are.
 *   text        one part of opt.size
 *   mixed       of a hundred: 70 of 2-8 KiB, 20 with HTML of 20-60 KiB, 10
 *               with an attachment of 64 KiB to 1 MiB
 *   attachment  a text, and an attachment that makes it opt.size
 *   list        as mailing lists send: the header of a relay and of a list, a
 *               signature of DKIM, some quotation; 2-20 KiB, of more various
 *               words, so that level 3 of zstd leaves four to five tenths
 *   file        from opt.mail: "SIZE\n" before each message, round and round
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORDS 4096

static char words[WORDS][12];
static uint16_t zipf[1 << 16];

static uint64_t
mix(uint64_t *s)
{
	uint64_t z = (*s += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static void
make_words(void)
{
	static const char *const part[] = {"an", "ber", "co", "de", "en", "for",
	    "ge", "ing", "lo", "ma", "ne", "on", "per", "ra", "se", "ti"};
	uint64_t s = 7;
	double sum = 0, at = 0;

	for (int i = 0; i < WORDS; i++) {
		int n = i < 64 ? 1 : i < 512 ? 2 : 3;

		for (int k = 0; k < n; k++)
			strcat(words[i], part[mix(&s) % 16]);
		sum += 1.0 / (i + 1);
	}
	for (int i = 0, k = 0; i < WORDS; i++) {
		at += 65536 / (sum * (i + 1));
		while (k < 65536 && k < at)
			zipf[k++] = (uint16_t)i;
	}
}

static void
add(struct mail *m, size_t *cap, const char *p, size_t n)
{
	if (m->n + n > *cap) {
		*cap = (m->n + n) * 2 + 4096;
		m->p = realloc(m->p, *cap);
		if (!m->p)
			die("no memory");
	}
	memcpy(m->p + m->n, p, n);
	m->n += n;
}

static void
add_text(struct mail *m, size_t *cap, uint64_t *s, size_t n, bool html)
{
	size_t end = m->n + n, col = 0;

	while (m->n + 16 < end) {
		const char *w = words[zipf[mix(s) & 65535]];
		size_t k = strlen(w);

		if (html && mix(s) % 12 == 0) {
			add(m, cap, "</p>\r\n<p class=\"body\">", 22);
			col = 20;
		}
		add(m, cap, w, k);
		col += k + 1;
		if (col > 64) {
			add(m, cap, "\r\n", 2);
			col = 0;
		} else {
			add(m, cap, " ", 1);
		}
	}
	add(m, cap, "end.\r\n", 6);
}

static void
add_base64(struct mail *m, size_t *cap, uint64_t *s, size_t n)
{
	static const char abc[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char b[78];

	for (size_t done = 0; done < n; done += 78) {
		for (int i = 0; i < 76; i += 10) {
			uint64_t r = mix(s);

			for (int k = i; k < i + 10 && k < 76; k++, r >>= 6)
				b[k] = abc[r & 63];
		}
		memcpy(b + 76, "\r\n", 2);
		add(m, cap, b, 78);
	}
}

static void
add_header(struct mail *m, size_t *cap, uint64_t i, uint64_t *s, int shape)
{
	static const char *const type[] = {"text/plain; charset=utf-8",
	    "multipart/alternative; boundary=\"=-bound-7\"",
	    "multipart/mixed; boundary=\"=-bound-7\""};
	char b[2048];
	const char *w1 = words[mix(s) % WORDS], *w2 = words[mix(s) % WORDS];
	int n = snprintf(b, sizeof b,
	    "Return-Path: <%s%d@example.org>\r\n"
	    "Received: from mx%d.example.org (mx%d.example.org "
	    "[192.0.2.%d])\r\n"
	    "\tby mail.example.com (Postfix) with ESMTPS id %llX\r\n"
	    "\tfor <bob@example.com>; Mon, 02 Jan 2006 15:04:05 +0100 (CET)\r\n"
	    "From: %s %s <%s%d@example.org>\r\nTo: Bob <bob@example.com>\r\n"
	    "Subject: %s%s %s about number %llu\r\n"
	    "Date: Mon, %02d Jan 2006 %02d:04:05 +0100\r\n"
	    "Message-ID: <%llu.%llx@example.org>\r\n"
	    "List-Id: The %s list <%s.example.org>\r\nX-Mailer: %s 4.2\r\n"
	    "MIME-Version: 1.0\r\nContent-Type: %s\r\n\r\n",
	    w1, (int)(i % 97), (int)(i % 7), (int)(i % 7), (int)(i % 250) + 1,
	    (unsigned long long)mix(s), w1, w2, w1, (int)(i % 97),
	    i % 3 ? "Re: " : "", w2, words[mix(s) % WORDS],
	    (unsigned long long)i, (int)(i % 28) + 1, (int)(i % 24),
	    (unsigned long long)i, (unsigned long long)mix(s), w2, w2, w1,
	    type[shape]);

	add(m, cap, b, (size_t)n);
	m->head_n = m->n;
}

/* ---- as lists send ---- */

/* A word of any of 2^20, the usual ones more often: with names, hashes and
 * figures among them, as lists of programmers have. */
static void
add_various(struct mail *m, size_t *cap, uint64_t *s)
{
	static const char abc[] = "etaoinshrdlucmfwypvbgkqjxzetaoinsr";
	uint64_t r = mix(s), which = r & 1048575;
	char b[16];
	int n;

	if (r >> 59 < 28) {
		const char *w = words[zipf[r & 65535]];

		add(m, cap, w, strlen(w));
		return;
	}
	if (r >> 59 == 31) {
		n = snprintf(b, sizeof b, "%llx",
		    (unsigned long long)(r >> 20 & 0xffffffff));
		add(m, cap, b, (size_t)n);
		return;
	}
	n = 3 + (int)(which % 7);
	for (int i = 0; i < n; i++, which = mix(&which))
		b[i] = abc[which % 34];
	add(m, cap, b, (size_t)n);
}

static void
add_lines(struct mail *m, size_t *cap, uint64_t *s, size_t end)
{
	while (m->n + 100 < end) {
		size_t to = m->n + 30 + mix(s) % 45;

		if (mix(s) % 5 < 2)
			add(m, cap, "> ", 2);
		while (m->n < to) {
			add_various(m, cap, s);
			add(m, cap, " ", 1);
		}
		m->n--;
		add(m, cap, "\r\n", 2);
	}
	add(m, cap, "-- \r\nend.\r\n", 11);
}

static void
add_noise(struct mail *m, size_t *cap, uint64_t *s, int lines)
{
	static const char abc[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char b[75] = "\r\n\t";

	for (int k = 0; k < lines; k++) {
		for (int i = 3; i < 75; i++)
			b[i] = abc[mix(s) & 63];
		add(m, cap, b, sizeof b);
	}
}

static void
make_list(struct mail *m, size_t *cap, uint64_t i, uint64_t *s)
{
	char b[2048];
	const char *w = words[64 + mix(s) % (WORDS - 64)];
	int n = snprintf(b, sizeof b,
	    "Return-Path: <devel-bounces@lists.example.org>\r\n"
	    "Received: from lists.example.org (lists.example.org "
	    "[192.0.2.7])\r\n\tby mail.example.com (Postfix) with ESMTPS id "
	    "%010llX\r\n\tfor <bob@example.com>; Mon, 02 Jan 2006 %02d:%02d:05 "
	    "+0100 (CET)\r\n"
	    "Received: from mx%d.example.net (mx%d.example.net "
	    "[198.51.100.%d])\r\n\tby lists.example.org (Postfix) with ESMTP "
	    "id "
	    "%010llX\r\n\tfor <devel@lists.example.org>; Mon, 02 Jan 2006 "
	    "%02d:%02d:02 +0100 (CET)\r\n"
	    "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; "
	    "d=example.net; s=20051;\r\n\th=from:to:cc:subject:date:message-id"
	    ":in-reply-to:references;\r\n\tbh=;\r\n\tb=",
	    (unsigned long long)mix(s) >> 24, (int)(i / 60 % 24), (int)(i % 60),
	    (int)(i % 97), (int)(i % 97), (int)(i % 250) + 1,
	    (unsigned long long)mix(s) >> 24, (int)(i / 60 % 24),
	    (int)(i % 60));

	add(m, cap, b, (size_t)n);
	add_noise(m, cap, s, 4);
	n = snprintf(b, sizeof b,
	    "\r\nFrom: %s %s <%s%d@example.net>\r\n"
	    "To: devel@lists.example.org\r\nCc: %s <%s@example.com>\r\n"
	    "Subject: Re: [devel] %s %s about number %llu\r\n"
	    "Date: Mon, %02d Jan 2006 %02d:%02d:00 +0100\r\n"
	    "Message-ID: <%016llx.%llu@example.net>\r\n"
	    "In-Reply-To: <%016llx.%llu@example.com>\r\n"
	    "References: <%016llx.%llu@example.com>\r\n"
	    "List-Id: Development <devel.lists.example.org>\r\n"
	    "List-Unsubscribe: <https://lists.example.org/options/devel>,\r\n"
	    "\t<mailto:devel-request@lists.example.org?subject=unsubscribe>\r\n"
	    "Precedence: list\r\nX-Mailer: %s 4.2\r\nMIME-Version: 1.0\r\n"
	    "Content-Type: text/plain; charset=utf-8\r\n"
	    "Content-Transfer-Encoding: 7bit\r\n\r\n",
	    w, words[mix(s) % WORDS], w, (int)(i % 97), words[mix(s) % WORDS],
	    words[mix(s) % 64], words[mix(s) % WORDS], words[mix(s) % WORDS],
	    (unsigned long long)i, (int)(i % 28) + 1, (int)(i % 24),
	    (int)(i % 60), (unsigned long long)mix(s), (unsigned long long)i,
	    (unsigned long long)mix(s), (unsigned long long)i / 2,
	    (unsigned long long)mix(s), (unsigned long long)i / 3,
	    words[mix(s) % 64]);
	add(m, cap, b, (size_t)n);
	m->head_n = m->n;
	add_lines(m, cap, s, 2048 + (mix(s) % 140) * (mix(s) % 140));
}

/* ---- from a file ---- */

static void
from_file(struct mail *m, size_t *cap, uint64_t i)
{
	static const char *map;
	static size_t *at, *size, n;

	if (!map) {
		int fd = open(opt.mail ? opt.mail : "", O_RDONLY | O_CLOEXEC);
		struct stat st;
		size_t k = 0, end;

		if (fd < 0 || fstat(fd, &st))
			die("--mail: %s", strerror(errno));
		end = (size_t)st.st_size;
		map = mmap(NULL, end, PROT_READ, MAP_PRIVATE, fd, 0);
		close(fd);
		if (map == MAP_FAILED)
			die("--mail: %s", strerror(errno));
		while (k < end) {
			size_t v = 0;

			while (k < end && map[k] >= '0' && map[k] <= '9')
				v = v * 10 + (size_t)(map[k++] - '0');
			if (v == 0 || k + 1 >= end || map[k++] != '\n' ||
			    v > end - k)
				die("--mail: not SIZE and message in turn");
			at = realloc(at, (n + 1) * sizeof *at);
			size = realloc(size, (n + 1) * sizeof *size);
			if (!at || !size)
				die("no memory");
			at[n] = k;
			size[n++] = v;
			k += v;
		}
		if (n == 0)
			die("--mail: no message");
	}
	add(m, cap, map + at[i % n], size[i % n]);
	m->head_n = 0;
}

static const char part1[] = "--=-bound-7\r\nContent-Type: text/plain; "
			    "charset=utf-8\r\n\r\n";
static const char html[] = "\r\n--=-bound-7\r\nContent-Type: text/html; "
			   "charset=utf-8\r\n\r\n";
static const char attach[] =
    "\r\n--=-bound-7\r\nContent-Type: image/jpeg; name=\"a.jpg\"\r\n"
    "Content-Disposition: attachment; filename=\"a.jpg\"\r\n"
    "Content-Transfer-Encoding: base64\r\n\r\n";
static const char end[] = "\r\n--=-bound-7--\r\n";

static size_t
between(uint64_t *s, size_t a, size_t b)
{
	return a + mix(s) % (b - a);
}

void
mail_make(struct mail *m, uint64_t i)
{
	size_t cap = m->n_cap;
	uint64_t s = i * 2654435761u + 12345;
	size_t size = opt.size;
	int shape = 0;

	if (!words[0][0])
		make_words();
	m->n = 0;
	if (strcmp(opt.kind, "list") == 0 || strcmp(opt.kind, "file") == 0) {
		if (opt.kind[0] == 'l')
			make_list(m, &cap, i, &s);
		else
			from_file(m, &cap, i);
		m->n_cap = cap;
		m->hash = XXH3_64bits(m->p, m->n);
		return;
	}
	if (strcmp(opt.kind, "mixed") == 0) {
		int r = (int)(i * 37 % 100);

		shape = r < 70 ? 0 : r < 90 ? 1 : 2;
		size = shape == 0   ? between(&s, 2048, 8192)
		       : shape == 1 ? between(&s, 20480, 61440)
				    : between(&s, 65536, 1 << 20);
	} else if (strcmp(opt.kind, "attachment") == 0) {
		shape = 2;
	}
	add_header(m, &cap, i, &s, shape);
	if (shape == 0) {
		add_text(
		    m, &cap, &s, size > m->n + 20 ? size - m->n : 20, false);
	} else {
		size_t text = shape == 1 ? size / 4 : 1500;

		add(m, &cap, part1, sizeof part1 - 1);
		add_text(m, &cap, &s, text, false);
		if (shape == 1) {
			add(m, &cap, html, sizeof html - 1);
			add_text(m, &cap, &s, size - text, true);
		} else {
			add(m, &cap, attach, sizeof attach - 1);
			m->part_at = m->n;
			add_base64(m, &cap, &s, size);
			m->part_n = m->n - m->part_at;
		}
		add(m, &cap, end, sizeof end - 1);
	}
	m->n_cap = cap;
	m->hash = XXH3_64bits(m->p, m->n);
}

uint64_t
mail_hash(uint64_t i)
{
	static struct mail m;

	mail_make(&m, i);
	return m.hash;
}

size_t
mail_size(uint64_t i)
{
	static struct mail m;

	mail_make(&m, i);
	return m.n;
}
