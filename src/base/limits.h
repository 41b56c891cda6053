/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Every bound in one table. Each is a setting of the same name
 * (restante.conf(5), --set NAME=VALUE); none can be switched off: 0 is
 * refused, a value outside min..max too (R123). Checked where bytes enter,
 * before allocation (R124). Kinds:
 *
 *     REFUSES  what is beyond is refused
 *     ENDS     what is beyond ends the connection
 *     CUTS     what is beyond is taken, and described only up to here
 *     TUNES    no bound to anybody: how much, how long, how often
 *
 * Whoever reaches one, but of the last kind, is told in the log with
 * limit_hit, rarely however often it happens.
 */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

/* clang-format off */
/*        name                     kind            default      min   max           unit            what */
#define LIMITS(X) \
	X(line_max,                REFUSES,          65536,    1024, 1 << 24,      "bytes",        "a command line, literals apart") \
	X(prelogin_bytes_max,      ENDS,              8192,    1024, 1 << 20,      "bytes",        "what a client may send before it has logged in, at once") \
	X(prelogin_s,              ENDS,                60,       1, 3600,         "seconds",      "time in all to log in") \
	X(message_size_max,        REFUSES,       52428800,    1024, 2147483647,   "bytes",        "a message, by any way in; what SIZE and APPENDLIMIT say") \
	X(literal_max,             REFUSES,          65536,    1024, 1 << 24,      "bytes",        "a literal that is not a message") \
	X(literal_sum_max,         REFUSES,        1048576,    1024, 1 << 28,      "bytes",        "the literals of one command, messages apart, in sum") \
	X(literal_count_max,       REFUSES,           1024,       1, 1 << 20,      "literals",     "literals of one command") \
	X(arena_max,               REFUSES,       67108864, 1048576, 1LL << 40,    "bytes",        "memory that one command may build") \
	X(header_max,              CUTS,           1048576,    4096, 1 << 30,      "bytes",        "the header of a message that is described; past it is body") \
	X(mime_depth_max,          CUTS,               100,       1, 10000,        "levels",       "nesting of MIME parts that is described") \
	X(mime_parts_max,          CUTS,             10000,       1, 1000000,      "parts",        "MIME parts that are described") \
	X(search_depth_max,        REFUSES,            100,       1, 10000,        "levels",       "nesting of SEARCH keys") \
	X(search_keys_max,         REFUSES,           1000,       1, 1000000,      "keys",         "keys of one SEARCH") \
	X(set_ranges_max,          REFUSES,         100000,       1, 10000000,     "ranges",       "ranges of one sequence set") \
	X(mailbox_name_max,        REFUSES,           1000,      10, 4000,         "bytes",        "a mailbox name, UTF-8") \
	X(mailbox_depth_max,       REFUSES,            100,       1, 1000,         "levels",       "depth of the mailbox tree") \
	X(mailboxes_max,           REFUSES,         100000,      10, 100000000,    "mailboxes",    "mailboxes of an account") \
	X(keywords_max,            REFUSES,           1000,      57, 100000,       "keywords",     "keywords of a mailbox") \
	X(keyword_bytes_max,       REFUSES,            255,       8, 1000,         "bytes",        "a keyword") \
	X(connections_max,         REFUSES,          20000,       1, 10000000,     "connections",  "connections of all clients") \
	X(connections_per_address, REFUSES,             50,       1, 10000000,     "connections",  "connections of one address (/64 with IPv6), loopback excepted") \
	X(connections_per_account, REFUSES,            100,       1, 10000000,     "connections",  "sessions of one account") \
	X(auth_failures_per_minute,REFUSES,             10,       1, 1000000,      "failures",     "failed logins a minute of one address (/64, loopback excepted) and of one account") \
	X(auth_delay_ms,           TUNES,             1000,       1, 60000,        "milliseconds", "delay of the first failed login; doubles") \
	X(auth_delay_max_ms,       TUNES,            16000,       1, 600000,       "milliseconds", "the longest delay of a failed login") \
	X(auth_cache_s,            TUNES,              300,       1, 86400,        "seconds",      "how long a verified password is remembered") \
	X(idle_s,                  ENDS,              1800,      60, 86400,        "seconds",      "an IMAP client that sends nothing") \
	X(pop3_idle_s,             ENDS,               600,      60, 86400,        "seconds",      "a POP3 client that sends nothing") \
	X(lmtp_idle_s,             ENDS,               300,      10, 86400,        "seconds",      "an LMTP client that sends nothing") \
	X(stall_s,                 ENDS,               300,       5, 86400,        "seconds",      "a client that takes nothing of what it asked for") \
	X(bad_commands_max,        ENDS,                20,       1, 1000,         "commands",     "commands in a row that make no sense, then BYE") \
	X(lmtp_recipients_max,     REFUSES,           1000,     100, 100000,       "recipients",   "recipients of one message") \
	X(expunged_keep_s,         TUNES,             3600,       1, 315360000,    "seconds",      "how long an expunged message is kept") \
	X(segment_bytes,           TUNES,        134217728, 1048576, 1LL << 33,    "bytes",        "a log segment") \
	X(index_map_bytes,         REFUSES,  1099511627776, 1 << 24, 1LL << 46,    "bytes",        "address space reserved for the index") \
	X(index_commit_ms,         TUNES,               50,       1, 1000,         "milliseconds", "the longest time between two commits of the index") \
	X(index_commit_bytes,      TUNES,          4194304,   65536, 1 << 30,      "bytes",        "log written between two commits of the index") \
	X(spool_memory_max,        TUNES,           262144,    4096, 1 << 30,      "bytes",        "an arriving message kept in memory, not in a file") \
	X(scram_rounds,            TUNES,            10000,    4096, 1000000,      "rounds",       "rounds of new SCRAM keys")
/* clang-format on */

struct limits {
#define X(name, kind, value, lo, hi, unit, what) _Atomic uint64_t name;
	LIMITS(X)
#undef X
};

/* The process's limits: the defaults until settings arrive, set at start and
 * at a reload, while other threads read: each value is old or new. */
extern struct limits limits;
void limits_default(struct limits *l);
void limits_copy(struct limits *to, const struct limits *from);

enum limit {
#define X(name, kind, value, lo, hi, unit, what) LIMIT_##name,
	LIMITS(X)
#undef X
	    LIMIT_MAX
};
/* Logs that a limit was reached: at once, then at most every ten seconds
 * with how often since. who: a user or an address, if known. */
void limit_hit(enum limit l, str who);

#endif
