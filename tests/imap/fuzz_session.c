/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Fuzz target: whole sessions, two on one small store. Lines that begin with
 * "\1" go to the other one; "\2" makes the next change fail; "\3" lets the
 * timer of the first one run out. With REAL_STORE the store is the one that
 * is served, else one in memory.
 *
 * A model of the client stands beside each session. It reads what is sent
 * and what comes by IMAP's rules alone:
 *
 * (1) What has been sent wholly is answered wholly: each command once, with
 *     its tag; a literal is asked for, refused or dropped; nothing else comes,
 *     and none of it is half a line.
 * (2) A session that nobody talks to says nothing but in IDLE.
 * (3) EXISTS never falls but by EXPUNGE; no number is past EXISTS; a number
 *     keeps its UID, and UIDs ascend.
 * (4) No EXPUNGE comes with FETCH, STORE and SEARCH by number.
 * (5) Whoever is thrown out is told BYE.
 * (6) The same bytes cut differently give the same replies.
 *
 * R01, R05, R08, R11, R12, R14, R119
 */
#include <unistd.h>

#ifdef REAL_STORE
#define FUZZ_AROUND 6
#endif
#include "../fake/fake_net.h"
#include "fuzz.h"
#include "imap/imap.h"
#include "litter.h"
#include "os/os.h"
#ifndef REAL_STORE
#include "mem_store.h"
#endif

static struct net *net;

static void
poke(void *arg, uint64_t watcher)
{
	conn_poke(net, watcher);
}

/* ---- the store ---- */

#ifdef REAL_STORE

static char dir[64];

static struct store *open_store;
static unsigned worlds;

/* An account of its own for each; a new store now and then. */
static struct store *
world_begin(void)
{
	struct store_opts o = {
	    .dir = dir, .poke = poke, .no_background = true, .no_thread = true};

	worlds++;
	if (open_store != NULL)
		return open_store;
	limits.index_map_bytes = UINT64_C(1) << 28;
	FUZZ_TRUE(litter_make(dir,
		      access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp",
		      "fuzz_imap") != NULL);
	FUZZ_TRUE(store_open(&o, &open_store) == OK);
	return open_store;
}

static void
world_close(void)
{
	if (open_store == NULL)
		return;
	store_close(&open_store);
	FUZZ_TRUE(litter_remove(dir) == 0);
}

static void
world_end(struct store **st)
{
	if (worlds == 1)
		atexit(world_close);
	if (worlds % 200 == 0)
		world_close();
	*st = NULL;
}

static struct acct *
world_acct(struct store *st)
{
	struct grant g = {.kind = GRANT_LOGIN, .account = worlds};
	struct acct *a = NULL;

	FUZZ_TRUE(acct_open(st, &g, S("ann"), &a) == OK);
	return a;
}

static void
world_fail(struct store *st)
{
}

#else

static struct store *
world_begin(void)
{
	return mem_store(poke, NULL);
}

static void
world_end(struct store **st)
{
	mem_store_free(st);
}

static struct acct *
world_acct(struct store *st)
{
	return mem_acct(st);
}

static void
world_fail(struct store *st)
{
	mem_store_fail(st, 1, ERR_FULL);
}

#endif

/* ---- the model ---- */

enum state { AT_COMMAND, AT_REST, AT_LITERAL, AT_IDLE };
enum verb { V_OTHER, V_NUMBERS, V_SEARCH, V_SELECT, V_LEAVE, V_IDLE };

struct client {
	struct conn *c;
	enum state state;
	uint64_t left;   /* of a literal */
	struct buf line; /* that has come in part */
	struct buf tag;
	enum verb verb;
	bool selected;
	uint32_t exists;
	uint32_t *uid; /* by number - 1; 0: not heard yet */
	/* What came since it was last looked at. */
	unsigned lines, answers, asked;
	bool bye;
};

static void
command_begins(struct client *k, str line)
{
	str word = str_cut(&line, ' ');
	bool uid;

	buf_reset(&k->tag);
	buf_str_add(&k->tag, word);
	word = str_cut(&line, ' ');
	uid = str_caseeq(word, S("UID"));
	if (uid)
		word = str_cut(&line, ' ');
	k->verb = V_OTHER;
	if (str_caseeq(word, S("SELECT")) || str_caseeq(word, S("EXAMINE")))
		k->verb = V_SELECT;
	else if (str_caseeq(word, S("CLOSE")) ||
		 str_caseeq(word, S("UNSELECT")))
		k->verb = V_LEAVE;
	else if (str_caseeq(word, S("IDLE")))
		k->verb = V_IDLE;
	else if (str_caseeq(word, S("SEARCH")) && !uid)
		k->verb = V_SEARCH;
	else if ((str_caseeq(word, S("FETCH")) ||
		     str_caseeq(word, S("STORE"))) &&
		 !uid)
		k->verb = V_NUMBERS;
}

/* The literal that a line announces: behind SP or "(". */
static bool
announces(str line, uint64_t *n, bool *unasked)
{
	size_t i = line.n, end;

	*n = UINT64_MAX;
	if (i == 0 || line.p[--i] != '}')
		return false;
	*unasked = i > 0 && line.p[i - 1] == '+';
	i -= *unasked;
	for (end = i; i > 0 && line.p[i - 1] >= '0' && line.p[i - 1] <= '9';)
		i--;
	if (i == end || i == 0 || line.p[i - 1] != '{')
		return false;
	(void)str_u64(str_head(str_from(line, i), end - i), n);
	i--;
	i -= i > 0 && line.p[i - 1] == '~';
	return i > 0 && (line.p[i - 1] == ' ' || line.p[i - 1] == '(');
}

/* ---- what comes ---- */

/* A line with the literals in it, of what the server sent. */
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
	FUZZ_TRUE(s.n == 0); /* (1) */
	return i;
}

/* (3) */
static void
has_uid(struct client *k, uint32_t seq, uint32_t uid)
{
	uint32_t *v = k->uid;
	uint32_t i = seq - 1;

	FUZZ_TRUE(uid != 0 && (v[i] == 0 || v[i] == uid));
	v[i] = uid;
	while (i > 0 && v[i - 1] == 0)
		i--;
	FUZZ_TRUE(i == 0 || v[i - 1] < uid);
	for (i = seq; i < k->exists && v[i] == 0;)
		i++;
	FUZZ_TRUE(i >= k->exists || v[i] > uid);
}

static void
exists(struct client *k, uint32_t n)
{
	if (k->verb == V_SELECT) {
		k->selected = true;
		k->exists = 0;
	}
	FUZZ_TRUE(k->selected && n >= k->exists && n < 1 << 20);
	k->uid = x_grow(k->uid, n + 1, sizeof(*k->uid));
	memset(k->uid + k->exists, 0, (n - k->exists) * sizeof(*k->uid));
	k->exists = n;
}

static void
expunge(struct client *k, uint32_t n)
{
	FUZZ_TRUE(k->verb != V_NUMBERS && k->verb != V_SEARCH); /* (4) */
	FUZZ_TRUE(k->selected && n >= 1 && n <= k->exists);
	memmove(k->uid + n - 1, k->uid + n, (k->exists - n) * sizeof(*k->uid));
	k->exists--;
}

static void
fetch(struct client *k, uint32_t n, str items)
{
	size_t at = 0;
	struct scan s;
	uint32_t uid;

	FUZZ_TRUE(k->selected && n >= 1 && n <= k->exists);
	/* Up to the first string. */
	while (at < items.n && memchr("\"{[", items.p[at], 3) == NULL)
		at++;
	items = str_head(items, at);
	at = str_find(items, S("UID "));
	if (at == items.n || at == 0 ||
	    memchr(" (", items.p[at - 1], 2) == NULL)
		return;
	s = scan_of(str_from(items, at + 4));
	FUZZ_TRUE(scan_u32(&s, &uid));
	has_uid(k, n, uid);
}

static void
found(struct client *k, str numbers)
{
	struct scan s = scan_of(numbers);
	uint32_t n, last = 0;

	while (scan_char(&s, ' ')) {
		FUZZ_TRUE(scan_u32(&s, &n) && n > last);
		FUZZ_TRUE(k->verb != V_SEARCH || n <= k->exists);
		last = n;
	}
	FUZZ_TRUE(scan_lit(&s, S("\r\n")) && scan_end(&s));
}

static void
untagged(struct client *k, str line)
{
	struct scan s = scan_of(line);
	uint32_t n;

	k->answers += str_starts(line, S("BAD ")) || str_starts(line, S("NO "));
	k->bye |= str_starts(line, S("BYE "));
	if (str_starts(line, S("OK [CLOSED]")))
		k->selected = false;
	if (str_starts(line, S("SEARCH")))
		found(k, str_from(line, 6));
	if (!scan_u32(&s, &n))
		return;
	if (scan_lit(&s, S(" EXISTS\r\n")))
		exists(k, n);
	else if (scan_lit(&s, S(" EXPUNGE\r\n")))
		expunge(k, n);
	else if (scan_lit(&s, S(" RECENT\r\n")))
		FUZZ_TRUE(n <= k->exists);
	else if (scan_lit(&s, S(" FETCH (")))
		fetch(k, n, (str){s.p - 1, (size_t)(s.end - s.p) + 1});
	else
		FUZZ_TRUE(!"a number without a word");
}

static void
answered(struct client *k, str line)
{
	str tag = str_cut(&line, ' ');
	str how = str_cut(&line, ' ');

	k->answers++;
	FUZZ_TRUE(str_eq(tag, buf_str(&k->tag)));
	FUZZ_TRUE(str_eq(how, S("OK")) || str_eq(how, S("NO")) ||
		  str_eq(how, S("BAD")));
	if (k->verb == V_LEAVE && str_eq(how, S("OK")))
		k->selected = false;
	if (k->verb == V_SELECT && !str_eq(how, S("BAD")))
		k->selected = str_eq(how, S("OK"));
}

/* Reads what has come. */
static void
hear(struct client *k)
{
	str out = fake_output(k->c);

	k->lines = k->answers = k->asked = 0;
	while (out.n > 0) {
		size_t n = line_end(out);
		str line = str_head(out, n);

		FUZZ_TRUE(line.n > 4);
		k->lines++;
		if (str_starts(line, S("* ")))
			untagged(k, str_from(line, 2));
		else if (str_starts(line, S("+ ")))
			k->asked++;
		else
			answered(k, line);
		out = str_from(out, n);
	}
	fake_forget(k->c);
	FUZZ_TRUE(!fake_is_closed(k->c) || k->bye); /* (5) */
}

/* ---- what is said ---- */

static void
line_said(struct client *k, str line)
{
	bool unasked = false, literal;
	uint64_t n = 0;

	if (k->state == AT_IDLE) {
		k->state = AT_COMMAND;
		FUZZ_TRUE(k->asked == 0);
		FUZZ_TRUE(fake_is_closed(k->c) || k->answers == 1);
		return;
	}
	literal = announces(line, &n, &unasked);
	if (fake_is_closed(k->c)) {
		FUZZ_TRUE(k->answers <= 1);
	} else if (literal && k->lines == 0) { /* taken or dropped */
		FUZZ_TRUE(unasked && n != UINT64_MAX);
		k->left = n;
		k->state = n > 0 ? AT_LITERAL : AT_REST;
	} else if (literal && k->asked == 1) {
		FUZZ_TRUE(!unasked && k->lines == 1 && n != UINT64_MAX);
		k->left = n;
		k->state = n > 0 ? AT_LITERAL : AT_REST;
	} else if (k->asked == 1) {
		FUZZ_TRUE(k->verb == V_IDLE && k->answers == 0);
		k->state = AT_IDLE;
	} else { /* (1) */
		FUZZ_TRUE(k->answers == 1 && k->asked == 0);
		k->state = AT_COMMAND;
	}
}

/* Up to the end of a line or of a literal. Returns how much it was. */
static size_t
say(struct client *k, str in)
{
	size_t n = MIN(str_chr(in, '\n') + 1, in.n);
	str line;

	if (k->state == AT_LITERAL) {
		n = (size_t)MIN(k->left, (uint64_t)in.n);
		fake_input(k->c, str_head(in, n));
		hear(k);
		FUZZ_TRUE(k->lines == 0 || fake_is_closed(k->c));
		k->left -= n;
		if (k->left == 0)
			k->state = AT_REST;
		return n;
	}
	buf_str_add(&k->line, str_head(in, n));
	line = buf_str(&k->line);
	if (line.p[line.n - 1] != '\n') {
		fake_input(k->c, str_head(in, n));
		hear(k);
		FUZZ_TRUE(k->lines == 0);
		return n;
	}
	line.n--;
	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	if (k->state == AT_COMMAND)
		command_begins(k, line);
	fake_input(k->c, str_head(in, n));
	hear(k);
	line_said(k, line);
	buf_reset(&k->line);
	return n;
}

static struct conn *
begin(struct store *st, struct imap_env *env)
{
	struct imap_login l = {
	    .user = S("ann"), .tag = S("l"), .reply = S("Logged in"), .fd = -1};

	l.acct = world_acct(st);
	FUZZ_TRUE(imap_start(env, &l) == OK);
	return fake_last(net);
}

static void
others(struct client *k)
{
	fake_work(net);
	for (int i = 0; i < 2; i++) {
		bool was = fake_is_closed(k[i].c);

		hear(&k[i]);
		FUZZ_TRUE(k[i].answers == 0 && k[i].asked == 0);
		/* (2) */
		FUZZ_TRUE(k[i].lines == 0 || (k[i].state == AT_IDLE && !was) ||
			  fake_is_closed(k[i].c));
	}
}

static void
two_sessions(str in)
{
	struct store *st = world_begin();
	struct imap_env env = {net = fake_net(), st};
	struct client k[2] = {{0}};

	for (int i = 0; i < 2; i++) {
		k[i].c = begin(st, &env);
		buf_s(&k[i].tag, "l");
		hear(&k[i]);
		FUZZ_TRUE(k[i].answers == 1);
	}
	while (in.n > 0) {
		struct client *who = &k[0];
		str line = str_head(in, MIN(str_chr(in, '\n') + 1, in.n));

		in = str_from(in, line.n);
		if (line.p[0] == '\3') {
			fake_why(k[0].c, WHY_TIMER);
			others(k);
			continue;
		}
		if (line.p[0] == '\2')
			world_fail(st);
		if (line.p[0] == '\1')
			who = &k[1];
		if (line.p[0] == '\1' || line.p[0] == '\2')
			line = str_from(line, 1);
		while (line.n > 0 && !fake_is_closed(who->c)) {
			line = str_from(line, say(who, line));
			others(k);
		}
	}
	fake_net_free(&net);
	world_end(&st);
	for (int i = 0; i < 2; i++) {
		buf_free(&k[i].line);
		buf_free(&k[i].tag);
		x_free(&k[i].uid);
	}
}

/* ---- (6) ---- */

#ifdef REAL_STORE

/* Ids hold the account's number, which is another one each time. */
static void
cut_differently(str in)
{
}

#else

static void
one_session(str in, uint32_t seed, struct buf *out)
{
	struct store *st = world_begin();
	struct imap_env env = {net = fake_net(), st};
	struct conn *c = begin(st, &env);

	while (in.n > 0) {
		size_t n = in.n;

		if (seed != 0) {
			seed = seed * 1664525 + 1013904223;
			n = 1 + (seed >> 16) % 40;
		}
		fake_input(c, str_head(in, n));
		in = str_from(in, n);
	}
	buf_str_add(out, fake_output(c));
	fake_net_free(&net);
	world_end(&st);
}

static void
cut_differently(str in)
{
	struct buf one = {0}, two = {0};

	one_session(in, 0, &one);
	one_session(in, 1 + (uint32_t)in.n, &two);
	FUZZ_TRUE(str_eq(buf_str(&one), buf_str(&two)));
	buf_free(&one);
	buf_free(&two);
}

#endif

void
fuzz_one(str in)
{
	log_setup("fuzz", LOG_ERROR + 1);
	limits_default(&limits);
	limits.message_size_max = 10000;
	limits.literal_max = 1000;
	limits.literal_sum_max = 3000;
	limits.line_max = 4000;
	limits.bad_commands_max = 1000;
	os_clock_fix(1700000000, 1);
	os_random_fix(1);
	two_sessions(in);
	if (in.n % 8 == 0)
		cut_differently(in);
}
