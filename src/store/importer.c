/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Taking in what the import reader found.
 *
 * (1) UIDs, UIDVALIDITY and UIDLs are kept in a mailbox that has never held
 *     a message; in any other, messages get the next UIDs. Whether a mailbox
 *     keeps them shows in its UIDVALIDITY, so that an import that broke off
 *     goes on as it began.
 * (2) A message is known when the mailbox held, when it was first looked at,
 *     as many of the same size and content as the item says (item.copy).
 *     What has the same size is read once, to be hashed: an importer serves
 *     all batches of an import, or each would read it again.
 */
#include "store/import.h"

#define BATCH_MESSAGES 256
#define BATCH_OCTETS (16u << 20)

struct box {
	uint32_t id;
	uint32_t uidvalidity;
	uint32_t uidnext;
	bool keep; /* (1) */
	struct view *view;
	bool looked;
	/* (2) What was there: of each size the last one's number, and of each
	 * the one before it with the same size; 0: none (left). */
	struct map *by_size;
	uint32_t *before;
	struct map *by_hash; /* of those that were read: how many */
};

struct importer {
	struct acct *a;
	struct map *boxes;
	struct arena *ar; /* of one call */
	struct new_message *batch;
	size_t nbatch;
	uint64_t octets;
	struct box *batch_box;
};

struct importer *
importer_new(struct acct *a)
{
	struct importer *im = x_alloc(sizeof(*im));

	im->a = a;
	im->boxes = map_new();
	im->batch = x_array(BATCH_MESSAGES, sizeof(*im->batch));
	return im;
}

static void
box_free(struct box *b)
{
	view_close(&b->view);
	x_free(&b->before);
	map_free(&b->by_size);
	map_free(&b->by_hash);
	x_free(&b);
}

void
importer_free(struct importer **p)
{
	struct importer *im = *p;
	size_t at = 0;
	str key;
	void *v;

	*p = NULL;
	if (im == NULL)
		return;
	while (map_next(im->boxes, &at, &key, &v))
		box_free(v);
	map_free(&im->boxes);
	arena_free(&im->ar);
	x_free(&im->batch);
	x_free(&im);
}

/* ---- mailboxes ---- */

/* A name the store takes: what other programs allowed may be too long, or
 * hold what ours may not. */
static enum err
name_for(struct importer *im, str name, str *out)
{
	enum err e = mailbox_name(im->ar, name, out);
	struct buf b = {0};

	if (e != ERR_INVALID)
		return e;
	for (size_t i = 0; i < name.n; i++) {
		unsigned char c = (unsigned char)name.p[i];

		if (c < 0x20 || c == 0x7f)
			buf_c(&b, '_');
		else if (c != '/' || (b.n > 0 && b.p[b.n - 1] != '/'))
			buf_c(&b, (char)c);
	}
	if (b.n == 0 || !utf8_valid(buf_str(&b)))
		b.n = 0;
	if (b.n == 0)
		buf_s(&b, "Imported");
	e = mailbox_name(im->ar, arena_buf(im->ar, &b), out);
	buf_free(&b);
	return e;
}

static enum err
find_or_make(struct importer *im, str name, struct mailbox_info *info)
{
	uint32_t id;
	enum err e = mailbox_find(im->a, im->ar, name, info);

	if (e == ERR_NOTFOUND || (e == OK && (info->attrs & MB_NOSELECT))) {
		e = mailbox_create(im->a, name, 0, &id);
		if (e == OK)
			e = mailbox_find(im->a, im->ar, name, info);
	}
	return e;
}

/* (1) */
static enum err
box_uids(struct importer *im, struct box *b, uint32_t uidvalidity)
{
	struct mailbox_status s;
	enum err e;

	if ((e = mailbox_status(im->a, b->id, &s)) != OK)
		return e;
	if (uidvalidity != 0 && s.messages == 0 && s.uidnext == 1 &&
	    s.uidvalidity != uidvalidity) {
		e = mailbox_set_uids(im->a, b->id, uidvalidity, 1);
		if (e == OK)
			s.uidvalidity = uidvalidity;
		else if (e != ERR_CANNOT)
			return e;
	}
	b->uidvalidity = s.uidvalidity;
	b->uidnext = s.uidnext;
	b->keep = uidvalidity != 0 && s.uidvalidity == uidvalidity;
	return OK;
}

static enum err
box_get(struct importer *im, const struct import_item *it, struct box **out)
{
	struct mailbox_info info;
	struct box *b;
	str name;
	enum err e;

	if ((*out = map_get(im->boxes, it->mailbox)) != NULL)
		return OK;
	if ((e = name_for(im, it->mailbox, &name)) != OK ||
	    (e = find_or_make(im, name, &info)) != OK)
		return e;
	b = x_alloc(sizeof(*b));
	b->id = info.id;
	if ((e = box_uids(im, b, it->uidvalidity)) != OK) {
		box_free(b);
		return e;
	}
	map_put(im->boxes, it->mailbox, b);
	*out = b;
	return OK;
}

/* ---- what is known (2) ---- */

static enum err
look(struct importer *im, struct box *b)
{
	struct entry e[64];
	uint32_t seq = 1, exists;
	size_t n;
	enum err r;

	if ((r = view_open(im->a, b->id, true, 0, &b->view)) != OK)
		return r;
	b->looked = true;
	exists = view_exists(b->view);
	b->by_size = map_new();
	b->by_hash = map_new();
	b->before = x_array((size_t)exists + 1, sizeof(*b->before));
	while (seq <= exists) {
		if ((n = view_entries(b->view, seq, e, NELEM(e))) == 0)
			return ERR_CORRUPT; /* or it would come in twice */
		for (size_t i = 0; i < n; i++, seq++) {
			b->before[seq] = (uint32_t)(uintptr_t)map_get_u64(
			    b->by_size, e[i].size);
			map_put_u64(
			    b->by_size, e[i].size, (void *)(uintptr_t)seq);
		}
	}
	if (exists == 0)
		view_close(&b->view);
	return OK;
}

/* Counts what message seq holds; one that cannot be read is like none. */
static void
hash_known(struct box *b, uint32_t seq)
{
	struct source *src = NULL;
	struct entry e;
	uint64_t hash;
	uintptr_t had;
	char *p;

	if (view_entries(b->view, seq, &e, 1) != 1 || e.expunged ||
	    view_source(b->view, &e, &src) != OK)
		return;
	if ((p = x_try((size_t)src->size + 1)) != NULL &&
	    src->ops->read(src, 0, p, (size_t)src->size) == OK) {
		hash = hash_keyed(str_of(p, (size_t)src->size));
		had = (uintptr_t)map_get_u64(b->by_hash, hash);
		map_put_u64(b->by_hash, hash, (void *)(had + 1));
	}
	x_free(&p);
	source_unref(&src);
}

static enum err
is_known(
    struct importer *im, struct box *b, const struct import_item *it, bool *yes)
{
	uint32_t seq;
	uintptr_t had;
	enum err e;

	*yes = false;
	if (!b->looked && (e = look(im, b)) != OK)
		return e;
	if (b->view == NULL)
		return OK;
	seq = (uint32_t)(uintptr_t)map_get_u64(b->by_size, it->message.n);
	if (seq != 0)
		map_put_u64(b->by_size, it->message.n, NULL);
	for (; seq != 0; seq = b->before[seq])
		hash_known(b, seq);
	had = (uintptr_t)map_get_u64(b->by_hash, hash_keyed(it->message));
	*yes = had >= MAX(it->copy, 1u);
	return OK;
}

/* ---- messages ---- */

static enum err
flush(struct importer *im)
{
	uint32_t uids[BATCH_MESSAGES], validity;
	enum err e;

	if (im->nbatch == 0)
		return OK;
	e = store_append(
	    im->a, im->batch_box->id, im->batch, im->nbatch, &validity, uids);
	if (e == ERR_LIMIT) { /* too many keywords: better without */
		for (size_t i = 0; i < im->nbatch; i++)
			im->batch[i].flags.nkeywords = 0;
		e = store_append(im->a, im->batch_box->id, im->batch,
		    im->nbatch, &validity, uids);
	}
	im->nbatch = 0;
	im->octets = 0;
	return e;
}

/* A keyword as IMAP can show it: an atom. */
static bool
keyword_ok(str k)
{
	if (k.n == 0 || k.n > limits.keyword_bytes_max)
		return false;
	for (size_t i = 0; i < k.n; i++) {
		unsigned char c = (unsigned char)k.p[i];

		if (c <= 0x20 || c >= 0x7f || strchr("(){%*\"\\]", c) != NULL)
			return false;
	}
	return true;
}

static void
keywords(struct importer *im, const struct import_item *it, struct flag_set *f)
{
	str *v = arena_array(im->ar, it->nkeywords + 1, sizeof(*v));

	f->system = it->flags & FLAG_SYSTEM;
	f->keywords = v;
	for (size_t i = 0; v != NULL && i < it->nkeywords; i++) {
		if (keyword_ok(it->keywords[i]))
			v[f->nkeywords++] = it->keywords[i];
	}
}

static enum err
message(struct importer *im, const struct import_item *it, bool *added)
{
	struct new_message *m;
	struct box *b;
	bool known;
	enum err e;

	if (it->message.n == 0)
		return ERR_INVALID;
	if (it->message.n > limits.message_size_max) {
		limit_hit(LIMIT_message_size_max, STR_NONE);
		return ERR_TOOBIG;
	}
	if ((e = box_get(im, it, &b)) != OK ||
	    (e = is_known(im, b, it, &known)) != OK || known)
		return e;
	if (b != im->batch_box || im->nbatch == BATCH_MESSAGES ||
	    im->octets > BATCH_OCTETS) {
		if ((e = flush(im)) != OK)
			return e;
		im->batch_box = b;
	}
	m = &im->batch[im->nbatch++];
	*m = (struct new_message){
	    .message = it->message, .internaldate = it->internaldate};
	keywords(im, it, &m->flags);
	if (b->keep && it->uid >= b->uidnext) {
		m->uid = it->uid;
		b->uidnext = it->uid == UINT32_MAX ? it->uid : it->uid + 1;
	} else if (b->uidnext < UINT32_MAX) {
		b->uidnext++;
	}
	if (b->keep && it->uidl.n <= 70)
		m->uidl = it->uidl;
	im->octets += it->message.n;
	*added = true;
	return OK;
}

static enum err
box_end(struct importer *im, const struct import_item *it)
{
	struct box *b;
	enum err e;

	e = flush(im);
	im->batch_box = NULL;
	if (e != OK || (e = box_get(im, it, &b)) != OK)
		return e;
	if (b->keep && it->uidnext > b->uidnext) {
		e = mailbox_set_uids(im->a, b->id, b->uidvalidity, it->uidnext);
	}
	/* Whatever comes into it from another place is looked at anew. */
	map_del(im->boxes, it->mailbox);
	box_free(b);
	return e == ERR_CANNOT ? OK : e;
}

static enum err
item(struct importer *im, const struct import_item *it, bool *added)
{
	struct box *b;
	str name;
	enum err e;

	*added = false;
	switch (it->what) {
	case IMPORT_MESSAGE:
		return message(im, it, added);
	case IMPORT_BOX_END:
		return box_end(im, it);
	case IMPORT_BOX:
		if ((e = flush(im)) != OK || (e = box_get(im, it, &b)) != OK ||
		    !it->subscribe)
			return e;
		/* fallthrough */
	case IMPORT_SUBSCRIBED:
		if ((e = flush(im)) != OK ||
		    (e = name_for(im, it->mailbox, &name)) != OK)
			return e;
		return mailbox_subscribe(im->a, name, true);
	}
	return ERR_INVALID;
}

enum err
importer_add(struct importer *im, const struct import_item *v, size_t n,
    bool *added, size_t *at)
{
	enum err e = OK, f;

	im->ar = arena_new(0);
	for (*at = 0; *at < n; ++*at) {
		if ((e = item(im, &v[*at], &added[*at])) != OK)
			break;
	}
	f = flush(im);
	im->batch_box = NULL;
	arena_free(&im->ar);
	return e != OK ? e : f;
}
