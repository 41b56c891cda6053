/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * zstd's contexts, one pair a thread, and its dictionary, one for all.
 */
#include <pthread.h>

#include "store/body_int.h"

/* Headers, and what else is short: small first, for there are many. */
enum { DICT_LEVEL = 5 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static ZSTD_CDict *cdict;
static ZSTD_DDict *ddict;

static void
tls_free(void *arg)
{
	struct body_tls *t = arg;

	ZSTD_freeCCtx(t->cctx);
	ZSTD_freeDCtx(t->dctx);
	buf_free(&t->stored);
	buf_free(&t->frame);
	buf_free(&t->ahead);
	x_free(&t);
}

static void
setup(void)
{
	if (pthread_key_create(&key, tls_free) != 0)
		log_panic("no thread keys left");
	cdict = ZSTD_createCDict(body_dict_v1, body_dict_v1_len, DICT_LEVEL);
	ddict = ZSTD_createDDict(body_dict_v1, body_dict_v1_len);
	if (cdict == NULL || ddict == NULL)
		log_panic("the dictionary could not be loaded");
}

/* The main thread's contexts and the dictionary go with the process. */
__attribute__((destructor)) static void
teardown(void)
{
	void *t;

	if (cdict == NULL)
		return;
	t = pthread_getspecific(key);
	if (t != NULL) {
		pthread_setspecific(key, NULL);
		tls_free(t);
	}
	ZSTD_freeCDict(cdict);
	ZSTD_freeDDict(ddict);
	cdict = NULL;
	ddict = NULL;
}

struct body_tls *
body_tls(void)
{
	struct body_tls *t;

	pthread_once(&once, setup);
	t = pthread_getspecific(key);
	if (t != NULL)
		return t;
	t = x_alloc(sizeof(*t));
	t->cctx = ZSTD_createCCtx();
	t->dctx = ZSTD_createDCtx();
	if (t->cctx == NULL || t->dctx == NULL ||
	    pthread_setspecific(key, t) != 0) {
		tls_free(t);
		return NULL;
	}
	return t;
}

size_t
body_compress_dict(
    struct body_tls *t, char *p, size_t room, str text, const ZSTD_CDict *dict)
{
	size_t r = ZSTD_CCtx_refCDict(t->cctx, dict);

	if (!ZSTD_isError(r))
		r = ZSTD_CCtx_setParameter(t->cctx, ZSTD_c_dictIDFlag, 0);
	if (!ZSTD_isError(r))
		r = ZSTD_CCtx_setParameter(t->cctx, ZSTD_c_contentSizeFlag, 0);
	if (!ZSTD_isError(r))
		r = ZSTD_compress2(t->cctx, p, room, text.p, text.n);
	return r;
}

const ZSTD_CDict *
body_cdict(void)
{
	pthread_once(&once, setup);
	return cdict;
}

const ZSTD_DDict *
body_ddict(void)
{
	pthread_once(&once, setup);
	return ddict;
}
