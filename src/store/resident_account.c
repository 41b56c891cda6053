/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Accounts in memory: found or read, counted. The rules are in mailbox.h;
 * when they are written and dropped, resident.c says.
 */
#include "store/mailbox.h"

#include <stdlib.h>

void
account_encode(const struct account *a, struct buf *b)
{
	enc_u8(b, 1);
	enc_u8(b, a->there);
	enc_str(b, a->name);
	enc_var(b, a->next_mailbox);
	enc_var(b, a->uidvalidity);
	enc_var(b, a->nodes);
	enc_var(b, a->subscriptions);
	enc_var(b, a->next_message);
}

enum err
account_decode(str row, struct account *a)
{
	struct dec d = dec_of(row);
	str name;

	if (dec_u8(&d) != 1)
		return ERR_CORRUPT;
	a->there = dec_u8(&d) != 0;
	name = dec_str(&d);
	a->next_mailbox = (uint32_t)dec_var(&d);
	a->uidvalidity = (uint32_t)dec_var(&d);
	a->nodes = (uint32_t)dec_var(&d);
	a->subscriptions = (uint32_t)dec_var(&d);
	a->next_message = dec_var(&d);
	if (!dec_end(&d))
		return ERR_CORRUPT;
	a->name = x_dup(name);
	return OK;
}

static bool
each_any(void *ctx, str key, str row)
{
	(void)key;
	(void)row;
	*(bool *)ctx = true;
	return false;
}

/* No row says that the account is there. Is it new, or has the row been
 * lost? A lost one must not have its numbers given again. */
static enum err
account_new(struct store *st, uint64_t id)
{
	static const char tables[] = {'M', 'D', 'S'};
	bool any = false;
	enum err e = OK;

	for (size_t i = 0; i < sizeof(tables) && e == OK && !any; i++) {
		struct key k = key_of(tables[i], id);

		if (!st->rebuilding)
			e = index_scan(st, &k, STR_NONE, each_any, &any);
	}
	if (!any)
		return e;
	index_damaged(st, "the row of an account is missing");
	return ERR_CORRUPT;
}

enum err
account_get(struct store *st, uint64_t id, struct account **out)
{
	struct key k = key_of('A', id);
	struct buf row = {0};
	struct account *a;
	enum err e = OK;

	pthread_mutex_lock(&st->reg_mu);
	a = map_get_u64(st->accounts, id);
	if (a == NULL) {
		a = x_alloc(sizeof(*a));
		a->st = st;
		a->id = id;
		a->next_mailbox = 1;
		a->next_message = 1;
		pthread_mutex_init(&a->mu, NULL);
		e = index_get(st, &k, &row);
		if (e == OK)
			e = account_decode(buf_str(&row), a);
		else if (e == ERR_NOTFOUND)
			e = account_new(st, id);
		if (e == OK)
			map_put_u64(st->accounts, id, a);
		else
			x_free(&a);
	}
	if (a != NULL)
		a->refs++;
	pthread_mutex_unlock(&st->reg_mu);
	buf_free(&row);
	*out = a;
	return e;
}

void
account_ref(struct account *a)
{
	pthread_mutex_lock(&a->st->reg_mu);
	a->refs++;
	pthread_mutex_unlock(&a->st->reg_mu);
}

void
account_unref(struct account **ap)
{
	struct account *a = *ap;

	*ap = NULL;
	if (a == NULL)
		return;
	pthread_mutex_lock(&a->st->reg_mu);
	a->refs--;
	pthread_mutex_unlock(&a->st->reg_mu);
}

void
account_free(struct account *a)
{
	map_del_u64(a->st->accounts, a->id);
	pthread_mutex_destroy(&a->mu);
	x_free_str(&a->name);
	x_free(&a);
}
