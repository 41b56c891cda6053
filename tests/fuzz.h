/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * For fuzz targets. A target is one file:
 *
 *   #include "fuzz.h"
 *
 *   void
 *   fuzz_one(str in)
 *   { ... }
 *
 * With -Dfuzz=true (clang) it is linked with libFuzzer. Without, it has a
 * main of its own that plays stored inputs: PROGRAM FILE-OR-DIRECTORY...
 * Each is also played cut short at some places, and with some bytes
 * changed, so that a small corpus goes a long way in every run.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/base.h"

void fuzz_one(str in);

/* A property: aborts when it does not hold, also with NDEBUG. */
#define FUZZ_TRUE(cond)                                     \
	do {                                                \
		if (!(cond))                                \
			log_panic("does not hold: " #cond); \
	} while (0)

#ifdef RESTANTE_FUZZ

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	fuzz_one(str_of(p, n));
	return 0;
}

#else

/* From a block of exactly that size, so that a sanitizer sees each byte
 * that is read past its end. */
static void
fuzz_exact(str s)
{
	char *p = x_try(s.n);

	if (p == NULL)
		return;
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	fuzz_one(str_of(p, s.n));
	x_free(&p);
}

/* How often each is changed; less for what is slow. */
#ifndef FUZZ_AROUND
#define FUZZ_AROUND 40
#endif

static void
fuzz_around(char *p, size_t n)
{
	uint64_t r = n + 1;

	fuzz_exact(str_of(p, n));
	for (size_t i = 0; i < FUZZ_AROUND && n > 0; i++) {
		size_t at;
		char old;

		r = r * 6364136223846793005u + 1442695040888963407u;
		at = (r >> 33) % n;
		fuzz_exact(str_of(p, at));
		old = p[at];
		p[at] = (r & 1) != 0
			    ? (char)(r >> 20)
			    : "\0\r\n\"(){}[]<>\\%*\xff 9"[r >> 8 & 15];
		fuzz_exact(str_of(p, n));
		p[at] = old;
	}
}

static size_t
fuzz_path(const char *path)
{
	struct stat st;
	size_t played = 0;
	struct dirent *e;
	FILE *f;
	char *p;
	DIR *d;

	if (stat(path, &st) != 0)
		return 0;
	if (S_ISDIR(st.st_mode) && (d = opendir(path)) != NULL) {
		while ((e = readdir(d)) != NULL) {
			char name[4096];

			if (e->d_name[0] == '.')
				continue;
			snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
			played += fuzz_path(name);
		}
		closedir(d);
		return played;
	}
	if (!S_ISREG(st.st_mode) || (f = fopen(path, "rbe")) == NULL)
		return 0;
	p = x_alloc((size_t)st.st_size + 1);
	fuzz_around(p, fread(p, 1, (size_t)st.st_size, f));
	fclose(f);
	x_free(&p);
	return 1;
}

int
main(int argc, char **argv)
{
	size_t played = 0;

	for (int i = 1; i < argc; i++)
		played += fuzz_path(argv[i]);
	printf("%zu inputs\n", played);
	return played > 0 || argc < 2 ? 0 : 1;
}

#endif
#endif
