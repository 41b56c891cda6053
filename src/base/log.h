/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Structured log lines (logfmt) on standard error, one write each:
 *
 *   ts=2026-01-02T03:04:05.678Z level=info proc=mail msg="login" user=ann
 *
 * Values are escaped (controls, quotes, malformed UTF-8 as \xHH) and cut at
 * 1 000 bytes (R121). Passwords and message contents are never logged.
 * A message (the format string) that repeats more than 10 times a second
 * is counted and summed up once a second (R124).
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log_kv {
	const char *key;
	enum { LOG_S, LOG_N } kind;
	str s;
	int64_t n;
};

#define KV_S(k, v) ((struct log_kv){(k), LOG_S, (v), 0})
#define KV_N(k, v) ((struct log_kv){(k), LOG_N, {0}, (int64_t)(v)})
#define KV_C(k, v) KV_S((k), str_c(v))
#define KV_ERR(e) KV_C("err", err_name(e))
#define KV_ERRNO(n) KV_N("errno", (n))

/* log_info("login", KV_S("user", u), KV_N("account", id)); The list that is
 * passed ends with a pair without key; the one in front keeps the comma in
 * its place when there is nothing between. */
#define log_at(level, msg, ...)   \
	log_write((level), (msg), \
	    1 + (const struct log_kv[]){{0}, ##__VA_ARGS__, {0}})
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
void log_write(enum log_level level, const char *msg, const struct log_kv *kv);

/* Name of the process in every line, given before there are threads; the
 * least level that is written. */
void log_setup(const char *process, enum log_level least);
void log_least(enum log_level least); /* any time, any thread */
/* Where lines go; default 2. Tests read it through a pipe. */
void log_fd(int fd);
/* Writes the sums that are due; log_write does so too. For a timer. */
void log_flush(void);
/* Logs and ends the process by abort(): for broken invariants only. */
_Noreturn void log_panic(const char *msg);
/* s as a log value would show it: for messages on a terminal (R121). */
void log_escape(struct buf *out, str s);
/* The same for a line of free text, whose quotes and backslashes stay. */
void log_escape_text(struct buf *out, str s);

#endif
