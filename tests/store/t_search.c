/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * store/search.c over a view made here: random trees of keys against a plain
 * evaluator, in one step and in many; bounds and time (R60).
 */
#include "os/os.h"
#include "seeds.h"
#include "store/apply.h"

#define COUNT 150

static struct rnd R;

/* ---- a view ---- */

struct msg {
	struct entry e;
	struct buf text, sum;
	struct summary s;
};
struct view {
	struct msg m[COUNT];
	uint32_t exists;
	unsigned bodies; /* opened */
};
static str keyword_names[] = {S("$Label1"), S("work")};

uint32_t
view_exists(const struct view *v)
{
	return v->exists;
}

uint32_t
view_seq(const struct view *v, uint32_t uid)
{
	for (uint32_t i = 0; i < v->exists; i++) {
		if (v->m[i].e.uid == uid)
			return i + 1;
	}
	return 0;
}

void
view_resolve(const struct view *v, const struct ranges *set, bool uids,
    struct ranges *out)
{
	for (uint32_t i = 0; i < v->exists; i++) {
		uint32_t uid = v->m[i].e.uid;

		if (ranges_has(set, uids ? uid : i + 1))
			ranges_add(out, uid, uid);
	}
}

size_t
view_entries(struct view *v, uint32_t seq, struct entry *e, size_t n)
{
	size_t k = 0;

	for (; k < n && seq + k <= v->exists; k++)
		e[k] = v->m[seq + k - 1].e;
	return k;
}

enum err
view_keywords(struct view *v, struct arena *ar, str **names, size_t *n)
{
	*names = arena_array(ar, 1, sizeof(str));
	**names = keyword_names[0];
	*n = 1;
	return OK;
}

bool
view_has_keyword(struct view *v, const struct entry *e, str keyword)
{
	return (str_caseeq(keyword, keyword_names[0]) && (e->flags & 64)) ||
	       (str_caseeq(keyword, keyword_names[1]) && (e->flags >> 63));
}

void
view_emailid(const struct view *v, const struct entry *e, struct buf *out)
{
	buf_f(out, "M%u", (unsigned)e->message);
}

void
view_threadid(const struct view *v, const struct entry *e, struct buf *out)
{
	buf_f(out, "T%u", (unsigned)e->thread);
}

enum err
view_row(struct view *v, const struct entry *e, struct message_row *row)
{
	struct msg *m = &v->m[e->seq - 1];

	*row = (struct message_row){.thread = e->seq};
	buf_str_add(&row->buf, buf_str(&m->sum));
	row->summary = buf_str(&row->buf);
	return OK;
}

enum err
view_row_summary(const struct message_row *row, struct summary *s)
{
	return mime_summary_get(row->summary, s);
}

/* Every other one. */
bool
view_walk_summary(struct view *v, const struct entry *e, struct view_walk *w,
    struct summary *s)
{
	w->on = true;
	return e->seq % 2 == 0 &&
	       mime_summary_get(buf_str(&v->m[e->seq - 1].sum), s) == OK;
}

void
view_walk_end(struct view_walk *w)
{
	w->on = false;
}

void
message_row_free(struct message_row *row)
{
	buf_free(&row->buf);
}

enum err
view_header(
    struct view *v, const struct entry *e, struct arena *ar, str *header)
{
	struct msg *m = &v->m[e->seq - 1];

	*header = arena_dup(ar, str_head(buf_str(&m->text), m->s.header_size));
	return OK;
}

struct src {
	struct source s;
	struct msg *m;
};

static enum err
src_read(struct source *s, uint64_t at, void *p, size_t n)
{
	memcpy(p, ((struct src *)s)->m->text.p + at, n);
	return OK;
}

static void
src_free(struct source *s)
{
	x_free(&s);
}

static const struct source_ops ops = {.read = src_read, .free = src_free};

static enum err
source_new(struct view *v, uint64_t seq, struct source **out)
{
	struct src *s = x_alloc(sizeof(*s));

	v->bodies++;
	s->s.ops = &ops;
	atomic_init(&s->s.refs, 1);
	s->m = &v->m[seq - 1];
	s->s.size = s->m->text.n;
	*out = &s->s;
	return OK;
}

/* The row is of another time, now and then. */
enum err
view_row_source(
    struct view *v, const struct message_row *row, struct source **out)
{
	return row->thread % 5 == 0 ? ERR_CORRUPT
				    : source_new(v, row->thread, out);
}

enum err
view_source(struct view *v, const struct entry *e, struct source **out)
{
	return source_new(v, e->seq, out);
}

/* ---- its messages ---- */

static const char *const words[] = {
    "alpha", "Beta", "gamma", "Österreich", "delta", "ÉTÉ", "omega"};

static str
word(void)
{
	return str_c(words[rnd(&R, NELEM(words))]);
}

static void
make(struct msg *m, uint32_t seq, uint32_t uid)
{
	struct buf *b = &m->text;

	buf_f(b, "From: %.*s <a%u@example.org>\r\n", STR_ARG(word()),
	    (unsigned)rnd(&R, 4));
	buf_f(b, "To: %.*s@example.org\r\nX-Other: %.*s\r\n", 5, "alpha",
	    STR_ARG(word()));
	buf_f(b, "Subject: %.*s %.*s\r\n", STR_ARG(word()), STR_ARG(word()));
	if (rnd(&R, 4) > 0)
		buf_f(b, "Date: %u Feb 2026 12:00:00 +0000\r\n",
		    (unsigned)rnd(&R, 20) + 1);
	if (rnd(&R, 3) == 0) {
		buf_s(b, "Content-Type: multipart/mixed; boundary=x\r\n\r\n"
			 "--x\r\nContent-Type: text/plain; charset=utf-8\r\n");
		buf_f(b, "\r\n%.*s\r\n--x\r\nContent-Type: image/png\r\n\r\n",
		    STR_ARG(word()));
		for (unsigned n = rnd(&R, 2) ? 70000 : 3; n > 0; n--)
			buf_c(b, 'q');
		buf_f(b, "\r\n--x--\r\n");
	} else {
		buf_s(b, "Content-Type: text/plain; charset=utf-8\r\n\r\n");
		for (unsigned n = rnd(&R, 9); n > 0; n--)
			buf_f(b, "%.*s\r\n", STR_ARG(word()));
	}
	assert_int_equal(mime_summarise(buf_str(b), &m->sum), OK);
	assert_int_equal(mime_summary_get(buf_str(&m->sum), &m->s), OK);
	m->e = (struct entry){.seq = seq,
	    .uid = uid,
	    .modseq = rnd(&R, 100),
	    .flags = rnd(&R, 128) & ~UINT64_C(32),
	    .message = rnd(&R, 5),
	    .thread = rnd(&R, 5),
	    .size = (uint32_t)b->n,
	    .recent = rnd(&R, 2),
	    .internaldate = {1767225600 + (int64_t)rnd(&R, 40) * 43200, 60},
	    .savedate = 1767225600 + (int64_t)rnd(&R, 40) * 43200};
	if (rnd(&R, 5) == 0)
		m->e.flags |= UINT64_C(1) << 63;
}

static struct view *
view_make(uint32_t n)
{
	struct view *v = x_alloc(sizeof(*v));
	uint32_t uid = 0;

	v->exists = n;
	for (uint32_t i = 0; i < n; i++) {
		uid += (uint32_t)rnd(&R, 3) + 1;
		make(&v->m[i], i + 1, uid);
	}
	return v;
}

static void
view_free(struct view *v)
{
	for (uint32_t i = 0; i < COUNT; i++) {
		buf_free(&v->m[i].text);
		buf_free(&v->m[i].sum);
	}
	x_free(&v);
}

/* ---- keys ---- */

static struct search_key *
leaf(struct arena *ar)
{
	static const str names[] = {
	    S("subject"), S("x-other"), S("x-none"), S("From")};
	static const str parts[] = {S("a"), S("österr"), S("été"), S("BETA"),
	    S("mma"), S("example.org"), S("nowhere"), S("")};
	struct search_key *k = arena_new_of(ar, struct search_key);

	k->op = (enum search_op)rnd(&R, SEARCH_THREADID + 1);
	if (k->op == SEARCH_AND || k->op == SEARCH_OR || k->op == SEARCH_NOT)
		k->op = SEARCH_TEXT;
	k->text = parts[rnd(&R, NELEM(parts))];
	k->name = names[rnd(&R, NELEM(names))];
	k->number = rnd(&R, 100);
	if (k->op == SEARCH_FLAGS)
		k->number = UINT64_C(1) << rnd(&R, 5);
	if (k->op == SEARCH_LARGER || k->op == SEARCH_SMALLER)
		k->number = 100 + rnd(&R, 300);
	if (k->op >= SEARCH_BEFORE && k->op <= SEARCH_SAVEDSINCE)
		k->number = (uint64_t)civil_day(2026, 1, 1) + rnd(&R, 40);
	if (k->op == SEARCH_OLDER || k->op == SEARCH_YOUNGER)
		k->number = (uint64_t)(os_wall_ms() / 1000 - 1767225600) -
			    rnd(&R, 20) * 86400;
	if (k->op == SEARCH_KEYWORD)
		k->text = rnd(&R, 3) ? keyword_names[rnd(&R, 2)] : S("none");
	if (k->op == SEARCH_EMAILID)
		k->text = S("M3");
	if (k->op == SEARCH_THREADID)
		k->text = S("T2");
	for (int i = 0; i < 3; i++) {
		uint32_t lo = (uint32_t)rnd(&R, 250) + 1;

		ranges_add(&k->set, lo, lo + (uint32_t)rnd(&R, 60));
	}
	return k;
}

static struct search_key *
tree(struct arena *ar, unsigned depth)
{
	struct search_key *k, *kid;

	if (depth == 0 || rnd(&R, 3) == 0)
		return leaf(ar);
	k = arena_new_of(ar, struct search_key);
	k->op = (enum search_op)(SEARCH_AND + rnd(&R, 3));
	for (uint64_t n = k->op == SEARCH_NOT ? 1 : rnd(&R, 4) + 1; n > 0;
	     n--) {
		kid = tree(ar, depth - 1);
		kid->next = k->kids;
		k->kids = kid;
	}
	return k;
}

static void
tree_free(struct search_key *k)
{
	for (; k != NULL; k = k->next) {
		tree_free(k->kids);
		ranges_free(&k->set);
	}
}

/* ---- the plain evaluator ---- */

struct find {
	struct buf needle;
	bool found;
};

static bool
find_in(void *ctx, str s)
{
	struct find *f = ctx;

	f->found |= f->needle.n == 0 || str_find(s, buf_str(&f->needle)) < s.n;
	return true;
}

static bool
has(str s, struct find *f)
{
	find_in(f, s);
	return f->found;
}

static bool plain(struct view *v, struct msg *m, const struct search_key *k);

static bool
plain_text(struct msg *m, const struct search_key *k)
{
	struct find f = {0};
	bool r;

	utf8_fold(&f.needle, k->text);
	switch (k->op) {
	case SEARCH_HEADER:
		mime_header_text(str_head(buf_str(&m->text), m->s.header_size),
		    k->name, find_in, &f);
		break;
	case SEARCH_FROM:
		has(m->s.text[SUM_FROM], &f);
		break;
	case SEARCH_TO:
		has(m->s.text[SUM_TO], &f);
		break;
	case SEARCH_CC:
		has(m->s.text[SUM_CC], &f);
		break;
	case SEARCH_BCC:
		has(m->s.text[SUM_BCC], &f);
		break;
	case SEARCH_SUBJECT:
		has(m->s.text[SUM_SUBJECT], &f);
		break;
	case SEARCH_BODY:
		f.found = f.needle.n == 0;
		mime_text(
		    buf_str(&m->text), &m->s, MIME_IN_BODY, 100, find_in, &f);
		break;
	default:
		f.found = f.needle.n == 0;
		mime_text(
		    buf_str(&m->text), &m->s, MIME_IN_TEXT, 100, find_in, &f);
	}
	r = f.found;
	buf_free(&f.needle);
	return r;
}

static bool
plain_day(int64_t day, unsigned how, const struct search_key *k)
{
	int64_t want = (int64_t)k->number;

	return how == 0 ? day < want : how == 1 ? day == want : day >= want;
}

static bool
plain(struct view *v, struct msg *m, const struct search_key *k)
{
	const struct search_key *c;
	struct entry *e = &m->e;
	int64_t now = os_wall_ms() / 1000;
	struct buf b = {0};
	bool r;

	switch (k->op) {
	case SEARCH_ALL:
		return true;
	case SEARCH_NONE:
		return false;
	case SEARCH_AND:
		for (c = k->kids; c != NULL; c = c->next) {
			if (!plain(v, m, c))
				return false;
		}
		return true;
	case SEARCH_OR:
		for (c = k->kids; c != NULL; c = c->next) {
			if (plain(v, m, c))
				return true;
		}
		return false;
	case SEARCH_NOT:
		return !plain(v, m, k->kids);
	case SEARCH_FLAGS:
		return (e->flags & k->number) == k->number;
	case SEARCH_KEYWORD:
		return view_has_keyword(v, e, k->text);
	case SEARCH_RECENT:
		return e->recent;
	case SEARCH_NEW:
		return e->recent && !(e->flags & FLAG_SEEN);
	case SEARCH_OLD:
		return !e->recent;
	case SEARCH_SEQS:
		return ranges_has(&k->set, e->seq);
	case SEARCH_UIDS:
		return ranges_has(&k->set, e->uid);
	case SEARCH_LARGER:
		return e->size > k->number;
	case SEARCH_SMALLER:
		return e->size < k->number;
	case SEARCH_BEFORE:
	case SEARCH_ON:
	case SEARCH_SINCE:
		return plain_day(
		    stamp_day(e->internaldate), k->op - SEARCH_BEFORE, k);
	case SEARCH_SENTBEFORE:
	case SEARCH_SENTON:
	case SEARCH_SENTSINCE:
		return m->s.has_date && plain_day(stamp_day(m->s.date),
					    k->op - SEARCH_SENTBEFORE, k);
	case SEARCH_SAVEDBEFORE:
	case SEARCH_SAVEDON:
	case SEARCH_SAVEDSINCE:
		return plain_day(
		    e->savedate / 86400, k->op - SEARCH_SAVEDBEFORE, k);
	case SEARCH_OLDER:
		return e->internaldate.sec <= now - (int64_t)k->number;
	case SEARCH_YOUNGER:
		return e->internaldate.sec >= now - (int64_t)k->number;
	case SEARCH_MODSEQ:
		return e->modseq >= k->number;
	case SEARCH_EMAILID:
	case SEARCH_THREADID:
		if (k->op == SEARCH_EMAILID)
			view_emailid(v, e, &b);
		else
			view_threadid(v, e, &b);
		r = str_eq(buf_str(&b), k->text);
		buf_free(&b);
		return r;
	default:
		return plain_text(m, k);
	}
}

/* ---- tests ---- */

static void
run(struct view *v, struct search_key *root, int ms, struct ranges *found)
{
	struct arena *ar = arena_new(0);
	struct search *s = NULL;
	bool done = false;

	assert_int_equal(search_new(v, ar, root, &s), OK);
	while (!done)
		assert_int_equal(search_step(s, ms, &done), OK);
	ranges_copy(found, search_found(s));
	search_free(&s);
	arena_free(&ar);
}

static void
differential(void **state)
{
	os_clock_fix(1770000000000, 5);
	for_seeds(&R, 3)
	{
		struct view *v = view_make(COUNT);

		for (int i = 0; i < 200; i++) {
			struct arena *ar = arena_new(0);
			struct search_key *root = tree(ar, 4);
			struct ranges a = {0}, b = {0};

			run(v, root, 1000, &a);
			run(v, root, 0, &b);
			for (uint32_t q = 1; q <= COUNT; q++) {
				bool want = plain(v, &v->m[q - 1], root);

				assert_int_equal(ranges_has(&a, q), want);
				assert_int_equal(ranges_has(&b, q), want);
			}
			ranges_free(&a);
			ranges_free(&b);
			tree_free(root);
			arena_free(&ar);
		}
		view_free(v);
	}
}

/* Cheap keys decide first: no body is opened in vain. */
static void
lazy(void **state)
{
	struct view *v = view_make(COUNT);
	struct search_key text = {.op = SEARCH_TEXT, .text = S("zzz")};
	struct search_key none = {
	    .op = SEARCH_FLAGS, .number = 8, .next = &text};
	struct search_key root = {.op = SEARCH_AND, .kids = &none};
	struct ranges r = {0};

	for (uint32_t i = 0; i < COUNT; i++)
		v->m[i].e.flags = i == 7 ? 8 : 0;
	run(v, &root, 1000, &r);
	assert_int_equal(v->bodies, 1);
	root.op = SEARCH_OR;
	run(v, &root, 1000, &r);
	assert_int_equal(v->bodies, COUNT);
	assert_int_equal(ranges_count(&r), 1);
	ranges_free(&r);
	view_free(v);
}

/* R60: depth and number of keys at the limit and past it. */
static void
bounds(void **state)
{
	struct view *v = view_make(3);
	struct search_key *k = x_array(2000, sizeof(*k));
	struct arena *ar = arena_new(0);
	struct search *s = NULL;

	for (unsigned i = 0; i < 2000; i++)
		k[i] = (struct search_key){.op = SEARCH_NOT, .kids = k + i + 1};
	k[limits.search_depth_max].op = SEARCH_ALL;
	assert_int_equal(search_new(v, ar, k, &s), OK);
	search_free(&s);
	k[limits.search_depth_max].op = SEARCH_NOT;
	k[1999].op = SEARCH_ALL;
	assert_int_equal(search_new(v, ar, k, &s), ERR_LIMIT);
	assert_null(s);
	k[0] = (struct search_key){.op = SEARCH_AND, .kids = k + 1};
	for (unsigned i = 1; i < 2000; i++)
		k[i] = (struct search_key){
		    .op = SEARCH_SUBJECT, .text = S("x"), .next = k + i + 1};
	k[limits.search_keys_max].next = NULL;
	assert_int_equal(search_new(v, ar, k, &s), OK);
	search_free(&s);
	k[limits.search_keys_max].next = k + limits.search_keys_max + 1;
	k[1999].next = NULL;
	assert_int_equal(search_new(v, ar, k, &s), ERR_LIMIT);
	arena_free(&ar);
	x_free(&k);
	view_free(v);
}

/* R60: a thousand keys over a large text give up the thread in time, and end
 * with the right answer. */
static void
yields(void **state)
{
	struct view *v = view_make(1);
	struct search_key *k = x_array(999, sizeof(*k));
	struct search_key root = {.op = SEARCH_OR, .kids = k};
	struct arena *ar = arena_new(0);
	struct search *s = NULL;
	bool done = false;
	int64_t longest = 0, t;
	unsigned steps = 0;

	buf_reset(&v->m[0].text);
	buf_reset(&v->m[0].sum);
	buf_s(&v->m[0].text, "Subject: x\r\n\r\n");
	while (v->m[0].text.n < 4000000)
		buf_s(&v->m[0].text, "abcdefgh abcdefgh abcdefgh\r\n");
	buf_s(&v->m[0].text, "needle\r\n");
	assert_int_equal(
	    mime_summarise(buf_str(&v->m[0].text), &v->m[0].sum), OK);
	assert_int_equal(
	    mime_summary_get(buf_str(&v->m[0].sum), &v->m[0].s), OK);
	for (unsigned i = 0; i < 999; i++)
		k[i] = (struct search_key){.op = SEARCH_TEXT,
		    .text = arena_f(ar, "abcdefgh %u", i),
		    .next = i < 998 ? k + i + 1 : NULL};
	k[600].text = S("NEEDLE");
	assert_int_equal(search_new(v, ar, &root, &s), OK);
	while (!done) {
		t = os_mono_ms();
		assert_int_equal(search_step(s, 50, &done), OK);
		t = os_mono_ms() - t;
		longest = MAX(longest, t);
		steps++;
	}
	assert_int_equal(ranges_count(search_found(s)), 1);
	assert_true(steps > 1);
	assert_true(longest < 2000);
	search_free(&s);
	arena_free(&ar);
	x_free(&k);
	view_free(v);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lazy), cmocka_unit_test(bounds),
	    cmocka_unit_test(yields),
	    cmocka_unit_test(differential), /* stops the clock */
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
