/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * SEARCH over a view. The keys stand in one array, every key behind its
 * children, and are worked out for a message in stages, each dearer than the
 * one before: its entry, its summary, its header, its whole text. A value is
 * false, unknown or true; a stage is reached only while the root is unknown,
 * and in it only keys that still matter are looked at.
 *
 * (1) No recursion: the nesting of keys costs no stack (R60).
 * (2) A message's text is decoded once for all keys that need it.
 * (3) Summaries are looked up in one walk through the index, which ends
 *     before anything else is asked of the store: whoever holds a reader of
 *     the index must not wait for another.
 * (4) Between steps nothing is held but the array, what was found, and how
 *     far it has come, also within the text of one message.
 */
#include "os/os.h"
#include "store/apply.h"
#include "store/summary.h"

enum value { NO, UNKNOWN, YES };
enum stage { ENTRY, SUMMARY, HEADER, TEXT, STAGES };

struct term {
	const struct search_key *key;
	uint32_t parent; /* index; of the root its own */
	uint8_t stage;
	uint8_t value; /* enum value */
	bool needed;
	uint64_t mask; /* KEYWORD: its bit; 0: ask the view */
	str needle;    /* folded */
};

struct search {
	struct view *v;
	struct term *nodes;
	size_t n, cap;
	struct ranges within; /* sequence numbers that can match */
	struct ranges found;
	uint32_t next; /* sequence number to look at */
	int64_t now_s;
	/* The text of one message, gone through in part (4). */
	uint32_t part_seq;    /* 0: none */
	uint64_t piece, leaf; /* where to go on */
	int64_t deadline_ms;  /* of this step */
	struct arena *scratch;
	struct buf text;
	bool summaries;        /* a key asks for them */
	struct view_walk walk; /* (3) */
	struct entry batch[64];
	size_t have, at;
};

/* ---- the keys, made ready ---- */

static enum stage
stage_of(const struct search_key *k)
{
	switch (k->op) {
	case SEARCH_SENTBEFORE:
	case SEARCH_SENTON:
	case SEARCH_SENTSINCE:
	case SEARCH_FROM:
	case SEARCH_TO:
	case SEARCH_CC:
	case SEARCH_BCC:
	case SEARCH_SUBJECT:
		return SUMMARY;
	case SEARCH_HEADER:
		return mime_field_kept(k->name) ? SUMMARY : HEADER;
	case SEARCH_BODY:
	case SEARCH_TEXT:
		return k->text.n == 0 ? ENTRY : TEXT;
	default:
		return ENTRY;
	}
}

static bool
is_inner(const struct search_key *k)
{
	return k->op == SEARCH_AND || k->op == SEARCH_OR || k->op == SEARCH_NOT;
}

static enum err
node_add(struct search *s, struct arena *ar, const struct search_key *k)
{
	struct term *n;
	struct buf b = {0};

	if (s->n >= limits.search_keys_max + limits.search_depth_max)
		return ERR_LIMIT;
	if (!ARENA_PUSH(ar, s->nodes, s->n, s->cap))
		return ERR_NOMEM;
	n = &s->nodes[s->n++];
	*n = (struct term){.key = k, .stage = (uint8_t)stage_of(k)};
	s->summaries |= n->stage == SUMMARY;
	if (is_inner(k) || k->text.n == 0 || k->op == SEARCH_KEYWORD)
		return OK;
	utf8_fold(&b, k->text);
	n->needle = arena_buf(ar, &b);
	buf_free(&b);
	return n->needle.p == NULL ? ERR_NOMEM : OK;
}

/* A key whose children are being added, and the first of its own nodes. */
struct frame {
	const struct search_key *key, *kid;
	size_t first;
};

/* Adds the children of f->key that are left; true when it is complete, false
 * when *down must come first. */
static enum err
frame_go(struct search *s, struct arena *ar, struct frame *f,
    const struct search_key **down)
{
	enum err e;

	*down = NULL;
	for (; f->kid != NULL; f->kid = f->kid->next) {
		if (is_inner(f->kid)) {
			*down = f->kid;
			f->kid = f->kid->next;
			return OK;
		}
		if ((e = node_add(s, ar, f->kid)) != OK)
			return e;
	}
	return node_add(s, ar, f->key);
}

/* The node that was added last has as children those from first on that have
 * no parent yet: parent is UINT32_MAX until then. */
static void
adopt(struct search *s, size_t first)
{
	uint32_t self = (uint32_t)s->n - 1;

	for (size_t i = self; i-- > first;) {
		if (s->nodes[i].parent == 0)
			s->nodes[i].parent = self;
	}
}

static enum err
compile(struct search *s, struct arena *ar, const struct search_key *root)
{
	struct frame *st;
	const struct search_key *down;
	size_t depth = 0, max = limits.search_depth_max + 1;
	enum err e;

	if (!is_inner(root))
		return node_add(s, ar, root);
	if ((st = arena_array(ar, max, sizeof(*st))) == NULL)
		return ERR_NOMEM;
	st[depth++] = (struct frame){root, root->kids, 0};
	while (depth > 0) {
		struct frame *f = &st[depth - 1];

		if ((e = frame_go(s, ar, f, &down)) != OK)
			return e;
		if (down == NULL) {
			adopt(s, f->first);
			depth--;
		} else if (depth == max) {
			return ERR_LIMIT;
		} else {
			st[depth++] = (struct frame){down, down->kids, s->n};
		}
	}
	return OK;
}

/* Sequence numbers of k's set. */
static void
key_seqs(struct search *s, const struct search_key *k, struct ranges *out)
{
	struct ranges uids = {0};

	if (k->op == SEARCH_SEQS) {
		ranges_copy(out, &k->set);
		return;
	}
	view_resolve(s->v, &k->set, true, &uids);
	for (size_t i = 0; i < uids.n; i++) {
		uint32_t lo = view_seq(s->v, uids.v[i].lo);
		uint32_t hi = view_seq(s->v, uids.v[i].hi);

		if (lo != 0 && lo <= hi)
			ranges_add(out, lo, hi);
	}
	ranges_free(&uids);
}

/* Sets that the root demands bound the walk from the start. */
static void
bound(struct search *s, const struct search_key *root)
{
	const struct search_key *k = root->op == SEARCH_AND ? root->kids : root;
	uint32_t exists = view_exists(s->v);

	if (exists > 0)
		ranges_add(&s->within, 1, exists);
	for (; k != NULL; k = root->op == SEARCH_AND ? k->next : NULL) {
		struct ranges r = {0};

		if (k->op != SEARCH_SEQS && k->op != SEARCH_UIDS)
			continue;
		key_seqs(s, k, &r);
		ranges_intersect(&s->within, &r);
		ranges_free(&r);
	}
}

enum err
search_new(struct view *v, struct arena *ar, struct search_key *root,
    struct search **out)
{
	struct search *s = x_alloc(sizeof(*s));
	enum err e;

	*out = NULL;
	s->v = v;
	s->next = 1;
	s->now_s = os_wall_ms() / 1000;
	if ((e = compile(s, ar, root)) != OK) {
		search_free(&s);
		return e;
	}
	bound(s, root);
	*out = s;
	return OK;
}

void
search_free(struct search **p)
{
	struct search *s = *p;

	*p = NULL;
	if (s == NULL)
		return;
	ranges_free(&s->within);
	ranges_free(&s->found);
	arena_free(&s->scratch);
	buf_free(&s->text);
	x_free(&s);
}

const struct ranges *
search_found(const struct search *s)
{
	return &s->found;
}

/* ---- keys that the entry answers ---- */

static bool
text_is(struct search *s, const struct entry *e, const struct search_key *k)
{
	struct buf b = {0};
	bool same;

	if (k->op == SEARCH_EMAILID)
		view_emailid(s->v, e, &b);
	else
		view_threadid(s->v, e, &b);
	same = str_eq(buf_str(&b), k->text);
	buf_free(&b);
	return same;
}

static bool
before_on_since(
    enum search_op op, enum search_op before, int64_t day, int64_t want)
{
	if (op == before)
		return day < want;
	return op == before + 1 ? day == want : day >= want;
}

static int64_t
day_of(int64_t sec)
{
	return stamp_day((struct stamp){.sec = sec});
}

static bool
entry_number(
    struct search *s, const struct entry *e, const struct search_key *k)
{
	int64_t n = (int64_t)k->number;

	switch (k->op) {
	case SEARCH_LARGER:
		return e->size > k->number;
	case SEARCH_SMALLER:
		return e->size < k->number;
	case SEARCH_MODSEQ:
		return e->modseq >= k->number;
	case SEARCH_OLDER:
		return e->internaldate.sec <= s->now_s - n;
	case SEARCH_YOUNGER:
		return e->internaldate.sec >= s->now_s - n;
	case SEARCH_BEFORE:
	case SEARCH_ON:
	case SEARCH_SINCE:
		return before_on_since(
		    k->op, SEARCH_BEFORE, stamp_day(e->internaldate), n);
	default: /* SEARCH_SAVEDBEFORE, ..ON, ..SINCE */
		return before_on_since(
		    k->op, SEARCH_SAVEDBEFORE, day_of(e->savedate), n);
	}
}

static bool
entry_match(struct search *s, const struct entry *e, const struct term *n)
{
	const struct search_key *k = n->key;

	switch (k->op) {
	case SEARCH_ALL:
	case SEARCH_BODY: /* for nothing, or it would be of another stage */
	case SEARCH_TEXT:
		return true;
	case SEARCH_NONE:
		return false;
	case SEARCH_FLAGS:
		return (e->flags & k->number) == k->number;
	case SEARCH_KEYWORD:
		if (n->mask != 0)
			return (e->flags & n->mask) != 0;
		return view_has_keyword(s->v, e, k->text);
	case SEARCH_RECENT:
		return e->recent;
	case SEARCH_OLD:
		return !e->recent;
	case SEARCH_NEW:
		return e->recent && !(e->flags & FLAG_SEEN);
	case SEARCH_SEQS:
		return ranges_has(&k->set, e->seq);
	case SEARCH_UIDS:
		return ranges_has(&k->set, e->uid);
	case SEARCH_EMAILID:
	case SEARCH_THREADID:
		return text_is(s, e, k);
	default:
		return entry_number(s, e, k);
	}
}

/* ---- keys that the summary or the header answers ---- */

struct look {
	str needle;
	bool found;
};

static bool
look_in(void *ctx, str folded)
{
	struct look *l = ctx;

	l->found = l->needle.n == 0 || str_find(folded, l->needle) < folded.n;
	return !l->found;
}

static bool
holds(str text, str needle)
{
	return needle.n == 0 || str_find(text, needle) < text.n;
}

static bool
summary_match(const struct summary *m, const struct term *n)
{
	const struct search_key *k = n->key;
	struct look l = {n->needle, false};

	switch (k->op) {
	case SEARCH_FROM:
		return holds(m->text[SUM_FROM], n->needle);
	case SEARCH_TO:
		return holds(m->text[SUM_TO], n->needle);
	case SEARCH_CC:
		return holds(m->text[SUM_CC], n->needle);
	case SEARCH_BCC:
		return holds(m->text[SUM_BCC], n->needle);
	case SEARCH_SUBJECT:
		return holds(m->text[SUM_SUBJECT], n->needle);
	case SEARCH_HEADER:
		mime_header_text(m->fields, k->name, look_in, &l);
		return l.found;
	default: /* SEARCH_SENTBEFORE, ..ON, ..SINCE */
		return m->has_date &&
		       before_on_since(k->op, SEARCH_SENTBEFORE,
			   stamp_day(m->date), (int64_t)k->number);
	}
}

static bool
header_match(str header, const struct term *n)
{
	struct look l = {n->needle, false};

	mime_header_text(header, n->key->name, look_in, &l);
	return l.found;
}

/* ---- keys that only the whole text answers ---- */

struct walk {
	struct search *s;
	enum search_op op;
	uint64_t piece; /* number of this piece */
	bool late;
};

/* One piece of the text: for every key of the pass that is still open. Goes
 * on where the last step stopped; looks at the clock after every key, but
 * not before it has done one thing (4). */
static bool
walk_piece(void *ctx, str folded)
{
	struct walk *w = ctx;
	struct search *s = w->s;
	uint64_t me = w->piece++;
	bool open = false;

	if (me < s->piece)
		return true;
	for (size_t i = s->leaf; i < s->n; i++) {
		struct term *n = &s->nodes[i];

		if (n->key->op != w->op || n->stage != TEXT || !n->needed ||
		    n->value != UNKNOWN)
			continue;
		if (holds(folded, n->needle))
			n->value = YES;
		else
			open = true;
		if (os_mono_ms() >= s->deadline_ms) {
			s->leaf = i + 1;
			s->piece = me;
			w->late = true;
			return false;
		}
	}
	s->leaf = 0;
	s->piece = me + 1;
	/* Keys before the place where this step began may be open too. */
	for (size_t i = 0; i < s->n && !open; i++)
		open = s->nodes[i].key->op == w->op &&
		       s->nodes[i].stage == TEXT && s->nodes[i].needed &&
		       s->nodes[i].value == UNKNOWN;
	return open;
}

/* Whether a key of TEXT is open: BODY does not look at the header. */
static bool
header_wanted(const struct search *s)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct term *n = &s->nodes[i];

		if (n->stage == TEXT && n->key->op == SEARCH_TEXT &&
		    n->needed && n->value == UNKNOWN)
			return true;
	}
	return false;
}

/* Reads the message but for large parts that are not text, into s->text. */
static enum err
text_load(struct search *s, const struct entry *e,
    const struct message_row *row, const struct summary *m)
{
	struct source *src = NULL;
	uint64_t at = 0, to;
	struct part p;
	enum err r = view_row_source(s->v, row, &src);
	char *t;

	if (r != OK && (r = view_source(s->v, e, &src)) != OK)
		return r;
	buf_reset(&s->text);
	if ((t = buf_room(&s->text, (size_t)src->size + 1)) == NULL)
		r = ERR_NOMEM;
	else if (!header_wanted(s) && m->fields.n <= m->header_size &&
		 m->header_size <= src->size) {
		/* What says how the text is encoded is in the summary. */
		memset(t, '\n', m->header_size);
		if (m->fields.n > 0)
			memcpy(t, m->fields.p, m->fields.n);
		at = m->header_size;
	}
	for (uint32_t i = 0; r == OK && i <= m->parts; i++) {
		bool got = i < m->parts && mime_part(m, i, &p);

		if (got && (p.kind != PART_LEAF || p.body_len < 65536))
			continue;
		to = got ? p.body_at : src->size;
		if (to > src->size || (got && p.body_len > src->size - to))
			r = ERR_CORRUPT;
		else if (to > at)
			r = src->ops->read(src, at, t + at, (size_t)(to - at));
		if (r == OK && got && to >= at) {
			memset(t + to, 0, p.body_len);
			at = to + p.body_len;
		}
	}
	s->text.n = (size_t)src->size;
	source_unref(&src);
	return r;
}

/* The pass for all keys of one kind; false: the step's time is over. The
 * pieces of the second pass are numbered from TEXT_BASE on. */
#define TEXT_BASE (UINT64_C(1) << 40)

static bool
text_pass(struct search *s, const struct summary *m, enum search_op op)
{
	uint64_t base = op == SEARCH_TEXT ? TEXT_BASE : 0;
	struct walk w = {.s = s, .op = op, .piece = base};
	size_t overlap = 0, wanted = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct term *n = &s->nodes[i];

		if (n->key->op != op || n->stage != TEXT)
			continue;
		/* of all keys, so that the pieces are the same each step */
		overlap = MAX(overlap, n->needle.n - 1);
		wanted += n->needed && n->value == UNKNOWN;
	}
	if (wanted == 0)
		return true;
	if (s->piece < base) {
		s->piece = base;
		s->leaf = 0;
	}
	mime_text(buf_str(&s->text), m,
	    op == SEARCH_BODY ? MIME_IN_BODY : MIME_IN_TEXT, overlap,
	    walk_piece, &w);
	if (w.late)
		return false;
	for (size_t i = 0; i < s->n; i++) {
		struct term *n = &s->nodes[i];

		if (n->key->op == op && n->stage == TEXT && n->needed &&
		    n->value == UNKNOWN)
			n->value = NO;
	}
	return true;
}

static enum err
text_stage(struct search *s, const struct entry *e,
    const struct message_row *row, const struct summary *m, bool *late)
{
	enum err r;

	if ((r = text_load(s, e, row, m)) != OK)
		return r;
	if (s->part_seq != e->seq) {
		s->part_seq = e->seq;
		s->piece = s->leaf = 0;
	}
	*late = !text_pass(s, m, SEARCH_BODY) || !text_pass(s, m, SEARCH_TEXT);
	if (!*late)
		s->part_seq = 0;
	if (s->text.cap > 1 << 20)
		buf_free(&s->text);
	return OK;
}

/* ---- one message ---- */

/* Works out the inner nodes from the leaves; the root's value. */
static enum value
settle(struct search *s)
{
	for (size_t i = 0; i < s->n; i++) {
		struct term *n = &s->nodes[i];

		if (is_inner(n->key))
			n->value = n->key->op == SEARCH_OR ? NO : YES;
	}
	for (size_t i = 0; i < s->n; i++) {
		struct term *n = &s->nodes[i], *p = &s->nodes[n->parent];

		if (n->key->op == SEARCH_NOT)
			n->value = (uint8_t)(YES - n->value);
		if (i + 1 == s->n)
			break;
		if (p->key->op == SEARCH_OR)
			p->value = MAX(p->value, n->value);
		else
			p->value = MIN(p->value, n->value);
	}
	return s->nodes[s->n - 1].value;
}

/* Marks the unknown keys below inner nodes that are still unknown. */
static void
mark(struct search *s)
{
	s->nodes[s->n - 1].needed = true;
	for (size_t i = s->n - 1; i-- > 0;) {
		struct term *n = &s->nodes[i], *p = &s->nodes[n->parent];

		n->needed =
		    p->needed && p->value == UNKNOWN && n->value == UNKNOWN;
	}
}

/* A TEXT key whose needle stands in the summary needs no text. */
static bool
summary_has(const struct summary *m, const struct term *n)
{
	static const enum sum_text where[] = {
	    SUM_SUBJECT, SUM_FROM, SUM_TO, SUM_CC};

	for (size_t i = 0; i < NELEM(where); i++) {
		if (holds(m->text[where[i]], n->needle))
			return true;
	}
	return false;
}

static enum err
cheap_stage(struct search *s, const struct entry *e, enum stage stage,
    const struct summary *m)
{
	str header = STR_NONE;
	enum err r;

	for (size_t i = 0; i < s->n; i++) {
		struct term *n = &s->nodes[i];

		if (is_inner(n->key) || !n->needed)
			continue;
		if (stage == SUMMARY && n->stage == TEXT &&
		    n->key->op == SEARCH_TEXT && summary_has(m, n))
			n->value = YES;
		if (n->stage != stage)
			continue;
		if (stage == HEADER && header.p == NULL &&
		    (r = view_header(s->v, e, s->scratch, &header)) != OK)
			return r;
		if (stage == ENTRY)
			n->value = entry_match(s, e, n) ? YES : NO;
		else if (stage == SUMMARY)
			n->value = summary_match(m, n) ? YES : NO;
		else
			n->value = header_match(header, n) ? YES : NO;
	}
	return OK;
}

/* What the entry, and stages before from, do not answer. */
static enum err
stages(struct search *s, const struct entry *e, const struct message_row *row,
    const struct summary *m, enum stage from, enum value *v, bool *late)
{
	bool again = s->part_seq == e->seq;
	enum err r;

	for (enum stage st = from; st < TEXT && !again; st++) {
		mark(s);
		if ((r = cheap_stage(s, e, st, m)) != OK)
			return r;
		if ((*v = settle(s)) != UNKNOWN)
			return OK;
	}
	mark(s);
	r = text_stage(s, e, row, m, late);
	*v = settle(s);
	return r;
}

/* *late: the message's text was gone through in part; again next step. */
static enum err
message(struct search *s, const struct entry *e, enum value *v, bool *late)
{
	struct message_row row;
	struct summary m;
	enum err r = OK;
	bool again = s->part_seq == e->seq;
	enum stage from = SUMMARY;

	if (!again) {
		for (size_t i = 0; i < s->n; i++) {
			s->nodes[i].value = UNKNOWN;
			s->nodes[i].needed = true;
		}
		if ((r = cheap_stage(s, e, ENTRY, NULL)) != OK)
			return r;
	}
	*v = settle(s);
	if (*v != UNKNOWN)
		return OK;
	if (!again && s->summaries &&
	    view_walk_summary(s->v, e, &s->walk, &m)) {
		mark(s);
		if ((r = cheap_stage(s, e, SUMMARY, &m)) != OK ||
		    (*v = settle(s)) != UNKNOWN)
			return r;
		from = HEADER;
	}
	view_walk_end(&s->walk);
	if ((r = view_row(s->v, e, &row)) != OK)
		return r;
	r = summary_load(row.summary, s->scratch, &row.summary);
	if (r == OK && (r = view_row_summary(&row, &m)) == OK)
		r = stages(s, e, &row, &m, from, v, late);
	message_row_free(&row);
	return r;
}

/* ---- steps ---- */

/* Keywords may have come since the last step. */
static enum err
keywords(struct search *s)
{
	str *names;
	size_t count;
	enum err r;
	bool any = false;

	for (size_t i = 0; i < s->n; i++)
		any |= s->nodes[i].key->op == SEARCH_KEYWORD;
	if (!any)
		return OK;
	if ((r = view_keywords(s->v, s->scratch, &names, &count)) != OK)
		return r;
	for (size_t i = 0; i < s->n; i++) {
		struct term *n = &s->nodes[i];

		if (n->key->op != SEARCH_KEYWORD)
			continue;
		n->mask = 0;
		for (size_t k = 0; k < MIN(count, (size_t)57); k++) {
			if (str_caseeq(names[k], n->key->text))
				n->mask = UINT64_C(1) << (6 + k);
		}
	}
	return OK;
}

/* The next message that can match; NULL: there is none. */
static enum err
next_entry(struct search *s, struct entry **e)
{
	uint32_t seq;

	*e = NULL;
	if (!ranges_next(&s->within, s->next, &seq))
		return OK;
	if (s->at >= s->have || s->batch[s->at].seq > seq ||
	    s->batch[s->have - 1].seq < seq) {
		view_walk_end(&s->walk);
		s->have = view_entries(s->v, seq, s->batch, NELEM(s->batch));
		s->at = 0;
		if (s->have == 0)
			return ERR_CORRUPT; /* the store has said why */
	}
	while (s->batch[s->at].seq < seq)
		s->at++;
	*e = &s->batch[s->at];
	return OK;
}

/* One that is gone does not match. One that cannot be read ends the search:
 * what was found would be taken for all there is. */
static enum err
forgive(enum err r, const struct entry *e)
{
	if (r == ERR_CORRUPT)
		log_error("a message could not be searched",
		    KV_N("message", e->message), KV_ERR(r));
	return r == ERR_EXPUNGED ? OK : r;
}

enum err
search_step(struct search *s, int ms, bool *done)
{
	struct entry *e;
	enum value v = NO;
	enum err r = OK;
	bool late = false;

	*done = false;
	s->deadline_ms = os_mono_ms() + ms;
	s->have = 0; /* flags may have changed meanwhile */
	s->scratch = arena_new(0);
	if ((r = keywords(s)) != OK)
		goto out;
	for (unsigned seen = 1; (r = next_entry(s, &e)) == OK && e != NULL;
	     seen++) {
		r = message(s, e, &v, &late);
		if (r != OK) {
			v = NO;
			s->part_seq = 0;
			if ((r = forgive(r, e)) != OK)
				break;
		}
		if (late)
			goto out;
		if (v == YES)
			ranges_add(&s->found, e->seq, e->seq);
		s->next = e->seq + 1;
		if (arena_used(s->scratch) > 0)
			arena_reset(s->scratch);
		if ((seen % 64 == 0 || s->text.n > 0) &&
		    os_mono_ms() >= s->deadline_ms)
			goto out;
		buf_reset(&s->text);
	}
	*done = r == OK;
out:
	view_walk_end(&s->walk);
	arena_free(&s->scratch);
	buf_free(&s->text);
	return r;
}
