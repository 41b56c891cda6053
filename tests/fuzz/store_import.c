/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * What other programs left in files may be anything: lists of UIDs, names,
 * From_ lines, whole mbox files. The first byte says which.
 */
#include "fuzz.h"
#include "store/import_int.h"

static struct arena *ar;

static void
each(void *ctx, str name, uint32_t uid, str uidl)
{
	FUZZ_TRUE(name.n == 0 || memchr(name.p, '\n', name.n) == NULL);
	FUZZ_TRUE(uidl.n <= 1 << 20);
}

static void
names(str in)
{
	static const char seps[] = "./\t";
	str base, s;
	unsigned flags;
	uint32_t letters;
	bool forwarded;

	for (int i = 0; i < 3; i++) {
		s = import_name(ar, in, seps[i]);
		FUZZ_TRUE(utf8_valid(s));
		FUZZ_TRUE(s.n == 0 || (s.p[0] != '/' && s.p[s.n - 1] != '/'));
	}
	import_info(in, &base, &flags, &letters, &forwarded);
	FUZZ_TRUE(base.n <= in.n && flags <= FLAG_SYSTEM);
}

static void
lists(str in)
{
	uint32_t validity, next;
	struct stamp t;
	bool dated;

	import_uidlist(in, &validity, &next, each, NULL);
	import_pop3list(ar, in, each, NULL);
	if (import_from_line(in, &dated, &t) && dated)
		FUZZ_TRUE(t.zone_min > -1440 && t.zone_min < 1440);
}

static void
mbox(str in)
{
	int fd = os_memfd("mbox");
	struct import *im = NULL;
	struct import_item it;
	uint64_t octets = 0;
	bool end = false;

	FUZZ_TRUE(fd >= 0);
	FUZZ_TRUE(os_pwrite(fd, in.p, in.n, 0) == (ssize_t)in.n);
	if (import_open(fd, IMPORT_MBOX, STR_NONE, &im) != OK)
		return;
	while (import_next(im, &it, &end) == OK && !end) {
		octets += it.message.n;
		FUZZ_TRUE(it.what != IMPORT_MESSAGE || it.message.n > 0);
	}
	FUZZ_TRUE(end);
	/* CR LF for LF is the most that grows. */
	FUZZ_TRUE(octets <= 2 * in.n);
	import_free(&im);
}

void
fuzz_one(str in)
{
	if (in.n == 0 || in.n > 1 << 18)
		return;
	ar = arena_new(0);
	switch ((unsigned char)in.p[0] % 3) {
	case 0:
		names(str_from(in, 1));
		break;
	case 1:
		lists(str_from(in, 1));
		break;
	default:
		mbox(str_from(in, 1));
		break;
	}
	arena_free(&ar);
}
