/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Fuzz target: whole sessions, two on one small store in memory. Lines that
 * begin with "\1" go to the other one; "\2" makes the next change fail; "\3"
 * lets the timer of the one run out. What comes out keeps to IMAP's rules:
 *
 * - each line begins with "* ", "+ " or a tag;
 * - EXISTS never falls but by EXPUNGE, no EXPUNGE is past EXISTS;
 * - a tag that was never sent answers nothing.
 *
 * R01, R05, R08, R11, R14, R119
 */
#include "../fake/fake_net.h"
#include "fuzz.h"
#include "imap/imap.h"
#include "mem_store.h"

static struct net *net;

static void
poke(void *arg, uint64_t watcher)
{
	conn_poke(net, watcher);
}

struct told {
	uint32_t exists;
	bool selected;
};

/* Skips a quoted string or literal's octets within a line of output. */
static size_t
line_end(str s)
{
	size_t i = 0;

	while (i < s.n) {
		if (s.p[i] != '\n') {
			i++;
			continue;
		}
		FUZZ_TRUE(i > 0 && s.p[i - 1] == '\r');
		if (i >= 2 && s.p[i - 2] == '}') {
			size_t open = i - 2;
			uint64_t n;

			while (open > 0 && s.p[open - 1] >= '0' &&
			       s.p[open - 1] <= '9')
				open--;
			if (open > 0 && s.p[open - 1] == '{' &&
			    str_u64((str){s.p + open, i - 2 - open}, &n)) {
				FUZZ_TRUE(n <= s.n - i - 1);
				i += 1 + (size_t)n;
				continue;
			}
		}
		return i + 1;
	}
	FUZZ_TRUE(s.n == 0);
	return i;
}

static void
untagged(struct told *t, str line)
{
	struct scan s = scan_of(line);
	uint32_t n;

	if (str_starts(line, S("OK [CLOSED]"))) {
		t->selected = false;
		return;
	}
	if (!scan_u32(&s, &n))
		return;
	if (scan_lit(&s, S(" EXISTS"))) {
		FUZZ_TRUE(!t->selected || n >= t->exists);
		t->exists = n;
		t->selected = true;
	} else if (scan_lit(&s, S(" EXPUNGE"))) {
		FUZZ_TRUE(t->selected && n >= 1 && n <= t->exists);
		t->exists--;
	} else if (scan_lit(&s, S(" FETCH"))) {
		FUZZ_TRUE(t->selected && n >= 1 && n <= t->exists);
	}
}

static void
check(struct conn *c, struct told *t)
{
	str out = fake_output(c);

	while (out.n > 0) {
		size_t n = line_end(out);
		str line = str_head(out, n);

		FUZZ_TRUE(line.n > 2);
		if (str_starts(line, S("* ")))
			untagged(t, str_from(line, 2));
		else if (!str_starts(line, S("+ ")) &&
			 str_find(line, S(" OK Left")) < line.n)
			t->selected = false;
		else if (str_find(line, S(" OK Closed")) < line.n)
			t->selected = false;
		out = str_from(out, n);
	}
	fake_forget(c);
}

static struct conn *
begin(struct store *st, struct imap_env *env)
{
	struct imap_login l = {
	    .user = S("ann"), .tag = S("l"), .reply = S("Logged in"), .fd = -1};

	l.acct = mem_acct(st);
	FUZZ_TRUE(imap_start(env, &l) == OK);
	return fake_last(net);
}

void
fuzz_one(str in)
{
	struct store *st;
	struct imap_env env;
	struct conn *c[2];
	struct told told[2] = {{0}};

	log_setup("fuzz", LOG_ERROR);
	limits.message_size_max = 10000;
	limits.literal_max = 1000;
	limits.literal_sum_max = 3000;
	limits.line_max = 4000;
	limits.bad_commands_max = 1000;
	net = fake_net();
	st = mem_store(poke, NULL);
	env = (struct imap_env){net, st};
	for (int i = 0; i < 2; i++) {
		c[i] = begin(st, &env);
		check(c[i], &told[i]);
	}
	while (in.n > 0) {
		str line = str_head(in, MIN(str_chr(in, '\n') + 1, in.n));
		int who = 0;

		in = str_from(in, line.n);
		if (line.p[0] == '\1') {
			who = 1;
			line = str_from(line, 1);
		} else if (line.p[0] == '\2') {
			mem_store_fail(st, 1, ERR_FULL);
			line = str_from(line, 1);
		} else if (line.p[0] == '\3') {
			fake_why(c[0], WHY_TIMER);
			continue;
		}
		fake_input(c[who], line);
		fake_work(net);
		for (int i = 0; i < 2; i++)
			check(c[i], &told[i]);
	}
	fake_net_free(&net);
	mem_store_free(&st);
}
