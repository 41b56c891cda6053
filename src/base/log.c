/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The log: one line, one write.
 *
 * (1) A line is built in a fixed buffer on the stack: logging needs no
 *     heap, so it works when there is none left. What does not fit is left
 *     out and "cut=1" says so.
 * (2) Nothing that a stranger wrote ends a line or a value: controls,
 *     quotes, the backslash and malformed UTF-8 appear as \xHH.
 * (3) `gate` guards the table of repeated messages. It is a leaf: nothing
 *     is locked and nothing but the log is written under it.
 * (4) The system is asked by number, not through libc's write, which tests
 *     wrap: the log is no place for a fault to hit.
 */
#include "base/base.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_ = 8192, VALUE_MAX = 1000, SLOTS = 64, PER_SECOND = 10 };

/* How often a message came within its current second. */
struct slot {
	const char *msg;
	int64_t second;
	unsigned count;
	uint64_t held; /* not written */
	enum log_level level;
};

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static struct slot slots[SLOTS]; /* gate */
static unsigned held_slots;      /* gate: slots with held > 0 */
static char process[32] = "restante";
static _Atomic enum log_level least = LOG_INFO;
static int out_fd = 2;

static const char *const level_name[] = {"debug", "info", "warn", "error"};

struct line {
	char v[LINE_MAX_];
	size_t n;
	bool cut;
};

/* Room is kept for " cut=1\n". */
static bool
line_add(struct line *l, const char *p, size_t n)
{
	if (l->cut || n > sizeof(l->v) - 8 - l->n) {
		l->cut = true;
		return false;
	}
	memcpy(l->v + l->n, p, n);
	l->n += n;
	return true;
}

/* Code points that steer a terminal or end a line though they are well
 * formed: C1 controls, line separators, marks that turn the direction. */
static bool
steers(uint32_t cp)
{
	return (cp >= 0x7f && cp < 0xa0) || (cp >= 0x2028 && cp <= 0x202e) ||
	       (cp >= 0x2066 && cp <= 0x2069) || cp == 0x200e || cp == 0x200f ||
	       cp == 0x061c || cp == 0xfeff;
}

/* Escapes what is next in *s into t (16 bytes are enough); returns the
 * number of bytes and moves *s. Free text keeps quotes and backslashes. */
static size_t
escape_one(str *s, bool free_text, char t[17])
{
	uint32_t cp = 0;
	size_t n = utf8_get(*s, &cp);
	size_t at = 0;

	if (n > 0 && cp >= 0x20 && !steers(cp) &&
	    (free_text || (cp != '"' && cp != '\\'))) {
		memcpy(t, s->p, n);
		*s = str_from(*s, n);
		return n;
	}
	for (size_t i = 0; i < MAX(n, (size_t)1); i++)
		at += (size_t)snprintf(
		    t + at, 5, "\\x%02x", (unsigned)(unsigned char)s->p[i]);
	*s = str_from(*s, MAX(n, (size_t)1));
	return at;
}

/* s escaped into out, at most VALUE_MAX bytes; returns how many. */
static size_t
escape(str s, bool free_text, char out[VALUE_MAX])
{
	size_t n = 0;
	size_t whole = 0; /* the longest prefix that leaves room for "..." */
	char t[17];

	while (s.n > 0) {
		size_t k = escape_one(&s, free_text, t);

		if (k > VALUE_MAX - n) {
			memcpy(out + whole, "...", 3);
			return whole + 3;
		}
		memcpy(out + n, t, k);
		n += k;
		if (n <= VALUE_MAX - 3)
			whole = n;
	}
	return n;
}

void
log_escape(struct buf *out, str s)
{
	char t[VALUE_MAX];

	buf_add(out, t, escape(s, false, t));
}

void
log_escape_text(struct buf *out, str s)
{
	char t[VALUE_MAX];

	buf_add(out, t, escape(s, true, t));
}

static void
line_value(struct line *l, str s, bool quote)
{
	char t[VALUE_MAX + 2];
	size_t n = escape(s, false, t + 1);

	for (size_t i = 1; i <= n && !quote; i++)
		quote = t[i] == ' ' || t[i] == '=' || t[i] == '\\';
	if (n == 0 || quote) {
		t[0] = '"';
		t[n + 1] = '"';
		line_add(l, t, n + 2);
	} else {
		line_add(l, t + 1, n);
	}
}

static void
line_pair(struct line *l, const struct log_kv *kv)
{
	size_t before = l->n;
	char t[32];

	line_add(l, " ", 1);
	line_add(l, kv->key, strlen(kv->key));
	line_add(l, "=", 1);
	if (kv->kind == LOG_N) {
		int n = snprintf(t, sizeof(t), "%lld", (long long)kv->n);

		line_add(l, t, (size_t)n);
	} else {
		line_value(l, kv->s, false);
	}
	if (l->cut)
		l->n = before; /* no half pairs */
}

static void
line_head(struct line *l, enum log_level level, const char *msg)
{
	struct timespec now;
	struct civil c;
	char t[96];
	int n;

	clock_gettime(CLOCK_REALTIME, &now);
	stamp_civil((struct stamp){now.tv_sec, 0}, &c);
	n = snprintf(t, sizeof(t),
	    "ts=%04d-%02d-%02dT%02d:%02d:%02d.%03dZ level=%s proc=%s msg=",
	    c.year, c.month, c.day, c.hour, c.minute, c.second,
	    (int)(now.tv_nsec / 1000000), level_name[level & 3], process);
	line_add(l, t, MIN((size_t)n, sizeof(t) - 1));
	line_value(l, str_c(msg), true);
}

static void
line_send(struct line *l)
{
	if (l->cut) {
		memcpy(l->v + l->n, " cut=1", 6);
		l->n += 6;
	}
	l->v[l->n++] = '\n';
	/* A log that cannot be written has nobody to tell: (4). */
	(void)syscall(SYS_write, out_fd, l->v, l->n);
}

static int64_t
second_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

/* Writes the sum of what the slot held back. Under gate. */
static void
slot_sum(struct slot *s)
{
	struct log_kv kv = KV_N("suppressed", s->held);
	struct line l;

	if (s->held == 0)
		return;
	s->held = 0;
	held_slots--;
	l.n = 0;
	l.cut = false;
	line_head(&l, s->level, s->msg);
	line_pair(&l, &kv);
	line_send(&l);
}

/* Writes all sums whose second is over. Under gate. */
static void
sums_due(int64_t second)
{
	for (unsigned i = 0; i < SLOTS && held_slots > 0; i++)
		if (slots[i].held > 0 && slots[i].second != second)
			slot_sum(&slots[i]);
}

/* The slot of msg: its own, or one taken over from the message among its
 * neighbours that has been silent longest. Under gate. */
static struct slot *
slot_of(const char *msg)
{
	size_t h = (size_t)(((uintptr_t)msg * 0x9e3779b97f4a7c15u) >> 32);
	struct slot *old = NULL;

	for (size_t i = 0; i < 8; i++) {
		struct slot *s = &slots[(h + i) % SLOTS];

		if (s->msg == msg)
			return s;
		if (old == NULL || s->second < old->second)
			old = s;
	}
	slot_sum(old);
	*old = (struct slot){.msg = msg, .second = -1};
	return old;
}

/* May this one be written? Counts it when not. Under gate. */
static bool
admit(enum log_level level, const char *msg, int64_t second)
{
	struct slot *s = slot_of(msg);

	if (s->second != second) {
		slot_sum(s);
		s->second = second;
		s->count = 0;
	}
	s->level = level;
	if (s->count < PER_SECOND) {
		s->count++;
		return true;
	}
	if (s->held++ == 0)
		held_slots++;
	return false;
}

void
log_write(enum log_level level, const char *msg, const struct log_kv *kv)
{
	int64_t second;
	struct line l;
	bool ok;

	if (level < least)
		return;
	second = second_now();
	pthread_mutex_lock(&gate);
	sums_due(second);
	ok = admit(level, msg, second);
	pthread_mutex_unlock(&gate);
	if (!ok)
		return;
	l.n = 0;
	l.cut = false;
	line_head(&l, level, msg);
	for (; kv->key != NULL; kv++)
		line_pair(&l, kv);
	line_send(&l);
}

void
log_flush(void)
{
	pthread_mutex_lock(&gate);
	sums_due(second_now());
	pthread_mutex_unlock(&gate);
}

void
log_setup(const char *name, enum log_level level)
{
	snprintf(process, sizeof(process), "%s", name);
	log_least(level);
}

void
log_least(enum log_level level)
{
	least = level;
}

void
log_fd(int fd)
{
	out_fd = fd;
}

void
log_panic(const char *msg)
{
	struct line l;

	l.n = 0;
	l.cut = false;
	line_head(&l, LOG_ERROR, msg);
	line_send(&l);
	abort();
}
