/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* A passwd file. Each line is taken or refused; what is taken is read again
 * as itself; names stand still. */
#include "fuzz.h"

#include "auth_db.h"

static void
refused(void *arg, uint32_t line, const char *why)
{
	uint32_t *last = arg;

	FUZZ_TRUE(line > *last && why != NULL);
	*last = line;
}

static void
line(str l)
{
	struct buf name = {0}, again = {0}, hash = {0}, same = {0};
	struct scram_keys k[SCRAM_HASHES] = {0};
	str typed = str_cut(&l, ':');

	if (auth_name(&name, typed) == OK) {
		FUZZ_TRUE(name.n > 0 && name.n <= AUTH_NAME_MAX);
		FUZZ_TRUE(auth_name(&again, buf_str(&name)) == OK);
		FUZZ_TRUE(str_eq(buf_str(&name), buf_str(&again)));
	}
	if (hash_import(&hash, l, k) == NULL) {
		FUZZ_TRUE(hash.n > 0 && hash.n <= HASH_MAX);
		FUZZ_TRUE(hash_scheme(buf_str(&hash)).n > 0);
		FUZZ_TRUE(hash_import(&same, buf_str(&hash), k) == NULL);
		FUZZ_TRUE(str_eq(buf_str(&hash), buf_str(&same)));
		for (int h = 0; h < SCRAM_HASHES; h++)
			FUZZ_TRUE(
			    k[h].iter == 0 || (k[h].iter >= SCRAM_ITER_MIN &&
						  k[h].iter <= SCRAM_ITER_MAX));
	}
	buf_free(&name);
	buf_free(&again);
	buf_free(&hash);
	buf_free(&same);
}

void
fuzz_one(str in)
{
	struct auth *a = auth_db();
	struct auth_import n;
	uint32_t last = 0;
	str rest = in;

	if (in.n > 16384)
		return;
	while (rest.n > 0)
		line(str_cut(&rest, '\n'));
	FUZZ_TRUE(auth_user_import(a, in, refused, &last, &n) == OK);
	FUZZ_TRUE((n.refused > 0) == (last > 0));
}
