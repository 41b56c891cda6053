/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Shows what the import reader makes of a file or directory, one JSON object
 * an item, for import_test.py: import_dump [maildir|mbox|mh|eml] PATH. With
 * a third argument, maildir:DIR or mbox:DIR, writes it there too.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "store/body.h"
#include "store/import.h"

static void
json(struct buf *b, str s)
{
	buf_c(b, '"');
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '"' || c == '\\')
			buf_f(b, "\\%c", c);
		else if (c < 0x20)
			buf_f(b, "\\u%04x", c);
		else
			buf_c(b, (char)c);
	}
	buf_c(b, '"');
}

static void
message(struct buf *b, const struct import_item *it)
{
	static const char *const names[] = {
	    "\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft"};
	const char *comma = "";
	struct buf lf = {0};
	uint8_t h[32];

	buf_s(b, ",\"flags\":[");
	for (int i = 0; i < 5; i++) {
		if (it->flags >> i & 1) {
			buf_f(b, "%s", comma);
			json(b, str_c(names[i]));
			comma = ",";
		}
	}
	for (size_t i = 0; i < it->nkeywords; i++) {
		buf_f(b, "%s", comma);
		json(b, it->keywords[i]);
		comma = ",";
	}
	buf_f(b,
	    "],\"date\":%lld,\"zone\":%d,\"uid\":%u,\"copy\":%u,"
	    "\"size\":%zu,\"uidl\":",
	    (long long)it->internaldate.sec, it->internaldate.zone_min, it->uid,
	    it->copy, it->message.n);
	json(b, it->uidl);
	body_hash(it->message, h);
	buf_s(b, ",\"sha256\":\"");
	hex_put(b, str_of(h, 32));
	for (str rest = it->message; rest.n > 0;) {
		size_t n = str_find(rest, S("\r\n"));

		buf_add(&lf, rest.p, n);
		if (n < rest.n)
			buf_c(&lf, '\n');
		rest = str_from(rest, n + 2);
	}
	body_hash(buf_str(&lf), h);
	buf_s(b, "\",\"sha256_lf\":\"");
	hex_put(b, str_of(h, 32));
	buf_c(b, '"');
	buf_free(&lf);
}

int
main(int argc, char **argv)
{
	static const char *const whats[] = {"box", "message", "end", "sub"};
	static const char *const kinds[] = {
	    "auto", "maildir", "mbox", "mh", "eml"};
	enum import_kind kind = IMPORT_AUTO;
	struct import *im;
	struct import_item it;
	uint64_t done, all, messages, skipped;
	bool end = false;
	enum export_kind ekind;
	struct export *ex = NULL;
	struct buf b = {0};
	enum err e;
	int fd;

	if (argc == 4) {
		str to = str_c(argv[3]);

		ekind = to.p[1] == 'a' ? EXPORT_MAILDIR : EXPORT_MBOX;
		fd = open(to.p + str_chr(to, ':') + 1, O_RDONLY | O_DIRECTORY);
		if (fd < 0 || export_open(fd, ekind, &ex) != OK)
			return 2;
	}
	if (argc >= 3) {
		for (int i = 0; i < 5; i++) {
			if (str_eq(str_c(kinds[i]), str_c(argv[1])))
				kind = (enum import_kind)i;
		}
	}
	fd = open(argv[argc >= 3 ? 2 : 1], O_RDONLY | O_CLOEXEC);
	if (argc < 2 || fd < 0)
		return 2;
	if ((e = import_open(fd, kind, STR_NONE, &im)) != OK) {
		fprintf(stderr, "%s\n", err_name(e));
		return 1;
	}
	while ((e = import_next(im, &it, &end)) == OK && !end) {
		if (ex != NULL && export_put(ex, &it) != OK)
			return 1;
		buf_reset(&b);
		buf_f(&b, "{\"what\":\"%s\",\"mailbox\":", whats[it.what]);
		json(&b, it.mailbox);
		if (it.what == IMPORT_MESSAGE)
			message(&b, &it);
		else
			buf_f(&b, ",\"uidvalidity\":%u,\"uidnext\":%u",
			    it.uidvalidity, it.uidnext);
		buf_s(&b, "}\n");
		fwrite(b.p, 1, b.n, stdout);
	}
	import_progress(im, &done, &all, &messages, &skipped);
	printf("{\"what\":\"sum\",\"done\":%llu,\"all\":%llu,\"messages\":%llu,"
	       "\"skipped\":%llu}\n",
	    (unsigned long long)done, (unsigned long long)all,
	    (unsigned long long)messages, (unsigned long long)skipped);
	import_free(&im);
	buf_free(&b);
	if (e == OK)
		e = export_close(&ex);
	return e == OK ? 0 : 1;
}
