/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Accounts as grants open them.
 */
#include "store/names.h"

enum err
acct_open(struct store *st, const struct grant *g, str name, struct acct **out)
{
	struct acct *a;
	enum err e;

	*out = NULL;
	if (g->account == 0 || g->kind < GRANT_LOGIN || g->kind > GRANT_ADMIN)
		return ERR_DENIED;
	a = x_alloc(sizeof(*a));
	a->st = st;
	a->g = *g;
	if ((e = account_get(st, g->account, &a->ac)) != OK) {
		x_free(&a);
		return e;
	}
	if (!a->ac->there && (e = account_make(a, name)) != OK) {
		account_unref(&a->ac);
		x_free(&a);
		return e;
	}
	pthread_mutex_lock(&a->ac->mu);
	a->next = a->ac->accts;
	if (a->next != NULL)
		a->next->prev = a;
	a->ac->accts = a;
	pthread_mutex_unlock(&a->ac->mu);
	*out = a;
	return OK;
}

void
acct_close(struct acct **ap)
{
	struct acct *a = *ap;

	*ap = NULL;
	if (a == NULL)
		return;
	pthread_mutex_lock(&a->ac->mu);
	if (a->prev != NULL)
		a->prev->next = a->next;
	else
		a->ac->accts = a->next;
	if (a->next != NULL)
		a->next->prev = a->prev;
	pthread_mutex_unlock(&a->ac->mu);
	account_unref(&a->ac);
	x_free(&a);
}

uint64_t
acct_id(const struct acct *a)
{
	return a->ac->id;
}

void
acct_watch(struct acct *a, uint64_t watcher)
{
	pthread_mutex_lock(&a->ac->mu);
	a->watcher = watcher;
	pthread_mutex_unlock(&a->ac->mu);
}
