/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * A store whose log was damaged, opened again. The first byte says how: bit
 * 0: the index is lost; bit 1: the checksums of the log are made to fit what
 * it holds now, so that what is behind them is reached; bit 2: it is cut off;
 * bit 3: it is opened only once.
 * Then pieces, each an offset of two bytes, a length, and so many bytes that
 * stand there now.
 *
 * It opens or is refused. While checksums are as they were, what is served
 * is what was put in, and what is appended afterwards is there when it is
 * opened once more. R101, R103
 */
#define FUZZ_AROUND 6

#include "fuzz.h"

#include "folder.h"
#include "store/log_int.h"
#include "store/store.h"
#include "store/store_int.h"

enum { MSGS = 4 };

static struct buf log_file, index_file, format_file;
static char log_name[300];
static str messages[MSGS + 1];
static struct arena *keep;

static void
fatal(void *arg)
{
	*(bool *)arg = true;
}

static enum err
open_it(struct store **st, struct acct **a, bool *dead)
{
	struct store_opts o = {.dir = dir,
	    .no_background = true,
	    .no_thread = true,
	    .fatal = fatal,
	    .fatal_arg = dead};
	struct grant g = {.kind = GRANT_LOGIN, .account = 7};
	enum err e = store_open(&o, st);

	return e != OK ? e : acct_open(*st, &g, S("ann"), a);
}

static void
close_it(struct store **st, struct acct **a)
{
	acct_close(a);
	store_close(st);
}

static enum err
append(struct acct *a, str message)
{
	struct new_message m = {.message = message, .internaldate = {1, 0}};
	uint32_t validity, uid;

	return store_append(a, 1, &m, 1, &validity, &uid);
}

static void
path_of(char *out, size_t n, const char *sub, const char *name)
{
	snprintf(
	    out, n, "%s/%s%s%s", dir, sub, name[0] != '\0' ? "/" : "", name);
}

static void
file_get(const char *path, struct buf *b)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char p[4096];
	ssize_t n;

	FUZZ_TRUE(fd >= 0);
	while ((n = read(fd, p, sizeof(p))) > 0)
		buf_add(b, p, (size_t)n);
	close(fd);
}

static void
messages_new(void)
{
	keep = arena_new(0);
	for (int i = 0; i <= MSGS; i++) {
		struct buf b = {0};

		buf_f(&b, "Subject: m%d\r\nMessage-ID: <%d@x>\r\n\r\n", i, i);
		for (int k = 0; k < 3 * i; k++)
			buf_f(&b, "line %d\r\n", k);
		messages[i] = arena_buf(keep, &b);
		buf_free(&b);
	}
}

/* Flags, keywords, copies, expunged ones, mailboxes: each kind of record. */
static void
changes(struct acct *a)
{
	struct arena *ar = arena_new(0);
	struct flag_change c = {
	    FLAGS_ADD, {.system = FLAG_SEEN}, UINT64_MAX, true};
	struct ranges one = {0}, modified = {0}, missing = {0};
	uint32_t *from, *to, validity, id;
	struct view *v = NULL;
	str word = S("work");
	size_t n;

	c.flags.keywords = &word;
	c.flags.nkeywords = 1;
	FUZZ_TRUE(mailbox_create(a, S("x/y"), 0, &id) == OK);
	FUZZ_TRUE(mailbox_rename(a, S("x"), S("z")) == OK);
	FUZZ_TRUE(view_open(a, 1, false, 0, &v) == OK);
	ranges_add(&one, 1, 2);
	FUZZ_TRUE(store_flags(v, &one, &c, &modified, &missing) == OK);
	FUZZ_TRUE(store_copy(
		      v, &one, id, false, ar, &validity, &from, &to, &n) == OK);
	FUZZ_TRUE(
	    store_copy(v, &one, id, true, ar, &validity, &from, &to, &n) == OK);
	view_close(&v);
	ranges_free(&one);
	ranges_free(&modified);
	ranges_free(&missing);
	arena_free(&ar);
}

/* Made once: the store that each input damages. */
static void
begin(void)
{
	struct store *st = NULL;
	struct acct *a = NULL;
	char path[400];
	struct dirent *e;
	bool dead = false;
	DIR *d;

	messages_new();
	folder_make("fuzz_log");
	FUZZ_TRUE(open_it(&st, &a, &dead) == OK);
	for (int i = 0; i < MSGS; i++)
		FUZZ_TRUE(append(a, messages[i]) == OK);
	changes(a);
	close_it(&st, &a);
	path_of(path, sizeof(path), "log", "");
	FUZZ_TRUE((d = opendir(path)) != NULL);
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] != '.')
			snprintf(log_name, sizeof(log_name), "%s", e->d_name);
	}
	closedir(d);
	path_of(path, sizeof(path), "log", log_name);
	file_get(path, &log_file);
	while (log_file.n > 8 && log_file.p[log_file.n - 1] == '\0')
		log_file.n--;
	log_file.n = (log_file.n + 7) & ~(size_t)7;
	path_of(path, sizeof(path), "index", "data.mdb");
	file_get(path, &index_file);
	path_of(path, sizeof(path), "FORMAT", "");
	file_get(path, &format_file);
}

/* ---- damage ---- */

static void
u64_put(char *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (char)(v >> (8 * i));
}

static uint64_t
u_get(const char *p, size_t n)
{
	uint64_t v = 0;

	while (n-- > 0)
		v = v << 8 | (unsigned char)p[n];
	return v;
}

/* The checksums of one group made right; how long it is, 0: none. */
static size_t
mend_group(struct segment *s, char *p, size_t off, size_t end)
{
	struct buf heads = {0};
	uint64_t len;
	size_t at = 0;

	if (end - off < GROUP_HEAD || u_get(p + off, 4) != GROUP_MAGIC)
		return 0;
	len = u_get(p + off + 8, 8);
	if (len > end - off - GROUP_HEAD)
		return 0;
	buf_add(&heads, p + off, GROUP_HEAD - 8);
	while (at + RECORD_HEAD <= len) {
		struct logref ref = {s->number, off + GROUP_HEAD + at};
		char *r = p + ref.off;
		uint64_t n = u_get(r + 4, 4);

		if (n > len - at - RECORD_HEAD)
			break;
		u64_put(r + 8,
		    log_record_check(s, &ref, (uint8_t)r[0], (uint8_t)r[1],
			(uint32_t)n, hash_xxh3(str_of(r + RECORD_HEAD, n), 0)));
		buf_add(&heads, r, RECORD_HEAD);
		at += RECORD_HEAD + ((n + 7) & ~(uint64_t)7);
	}
	u64_put(p + off + GROUP_HEAD - 8,
	    hash_xxh3(buf_str(&heads), s->salt ^ off));
	buf_free(&heads);
	return GROUP_HEAD + (size_t)len;
}

static void
mend(struct buf *b)
{
	struct segment s = {0};
	size_t off = SEGMENT_HEAD, n;

	if (b->n < SEGMENT_HEAD)
		return;
	u64_put(b->p + SEGMENT_HEAD - 8,
	    hash_xxh3(str_of(b->p, SEGMENT_HEAD - 8), 0));
	s.number = u_get(b->p + 16, 8);
	s.salt = u_get(b->p + 24, 8);
	while (off < b->n && (n = mend_group(&s, b->p, off, b->n)) > 0)
		off += n;
}

static void
damage(str in, uint8_t how, struct buf *b)
{
	buf_str_add(b, buf_str(&log_file));
	while (in.n >= 3) {
		size_t at = (unsigned char)in.p[0] |
			    (size_t)(unsigned char)in.p[1] << 8;
		size_t n = (unsigned char)in.p[2];

		in = str_from(in, 3);
		n = MIN(n, in.n);
		at %= b->n;
		n = MIN(n, b->n - at);
		if (n > 0)
			memcpy(b->p + at, in.p, n);
		in = str_from(in, n);
	}
	if ((how & 4) != 0)
		b->n -= MIN(b->n, (size_t)how * 16);
	if ((how & 2) != 0)
		mend(b);
}

/* ---- what there is then ---- */

static bool
known(str s)
{
	for (int i = 0; i <= MSGS; i++) {
		if (str_eq(s, messages[i]))
			return true;
	}
	return false;
}

/* Returns whether the last message is there; all others are known ones. */
static bool
look_mailbox(struct acct *a, uint32_t id, bool strict)
{
	struct view *v = NULL;
	bool last = false;

	if (view_open(a, id, true, 0, &v) != OK)
		return false;
	for (uint32_t i = 1; i <= view_exists(v) && i < 100; i++) {
		struct source *src = NULL;
		struct entry e;
		struct buf b = {0};
		char *p;

		if (view_entries(v, i, &e, 1) != 1)
			break;
		if (view_source(v, &e, &src) != OK)
			continue;
		if (src->size < 1 << 20 &&
		    (p = buf_room(&b, (size_t)src->size)) != NULL &&
		    src->ops->read(src, 0, p, (size_t)src->size) == OK) {
			b.n = (size_t)src->size;
			FUZZ_TRUE(!strict || known(buf_str(&b)));
			last |= str_eq(buf_str(&b), messages[MSGS]);
		}
		buf_free(&b);
		source_unref(&src);
	}
	view_close(&v);
	return last;
}

static bool
look(struct acct *a, bool strict)
{
	struct arena *ar = arena_new(1 << 24);
	struct mailbox_info *v = NULL;
	size_t n = 0;
	bool last = look_mailbox(a, 1, strict);

	if (mailbox_list(a, ar, &v, &n) != OK)
		n = 0;
	for (size_t i = 0; i < n; i++)
		(void)look_mailbox(a, v[i].id, strict);
	arena_free(&ar);
	return last;
}

static void
put_back(str log, bool index)
{
	folder_empty();
	folder_put(IN_LOG, log_name, log);
	if (index)
		folder_put(IN_INDEX, "data.mdb", buf_str(&index_file));
	folder_put(IN_TOP, "FORMAT", buf_str(&format_file));
}

static void
ignore(void *arg, str sentence)
{
	FUZZ_TRUE(sentence.n > 0);
}

/* Else nothing below would show anything. */
static void
unharmed(void)
{
	struct store *st = NULL;
	struct acct *a = NULL;
	bool dead = false;

	put_back(buf_str(&log_file), false);
	FUZZ_TRUE(open_it(&st, &a, &dead) == OK);
	(void)look(a, true);
	FUZZ_TRUE(store_check(st, true, ignore, NULL) == 0);
	FUZZ_TRUE(append(a, messages[MSGS]) == OK && look(a, true));
	close_it(&st, &a);
}

void
fuzz_one(str in)
{
	struct store *st = NULL;
	struct acct *a = NULL;
	struct buf b = {0};
	bool dead = false, strict, more;
	uint8_t how;

	if (in.n == 0)
		return;
	if (keep == NULL) {
		log_setup("fuzz", LOG_ERROR + 1);
		limits.index_map_bytes = UINT64_C(1) << 28;
		begin();
		unharmed();
	}
	how = (uint8_t)in.p[0];
	strict = (how & 2) == 0;
	damage(str_from(in, 1), how, &b);
	put_back(buf_str(&b), (how & 1) == 0);
	if (open_it(&st, &a, &dead) == OK) {
		(void)look(a, strict);
		(void)store_check(st, true, ignore, NULL);
		more = append(a, messages[MSGS]) == OK;
		close_it(&st, &a);
		if (more && !dead && (how & 8) == 0) {
			enum err e = open_it(&st, &a, &dead);

			FUZZ_TRUE(!strict || (e == OK && look(a, strict)));
		}
	}
	close_it(&st, &a);
	buf_free(&b);
}
