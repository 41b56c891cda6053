/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* A database for the fuzz targets of auth, gone when the program ends. */
#ifndef TESTS_FUZZ_AUTH_DB_H
#define TESTS_FUZZ_AUTH_DB_H

#include <unistd.h>

#include "auth/serve.h"
#include "litter.h"

static char auth_dir[64];

/* ann and bob have keys; nobody's hash costs nothing. */
static struct auth *
auth_db(void)
{
	static const struct auth_conf conf = {
	    .scram_sha1 = true, .scram_sha256 = true, .external = true};
	static struct auth *a;
	struct auth_import n;
	struct scram_keys k[SCRAM_HASHES];
	uint64_t id;

	if (a != NULL)
		return a;
	log_setup("fuzz", LOG_ERROR + 1);
	limits_default(&limits);
	FUZZ_TRUE(litter_make(auth_dir,
		      access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp",
		      "fuzz_auth") != NULL);
	FUZZ_TRUE(auth_open(&a, auth_dir, &conf) == OK);
	FUZZ_TRUE(hash_import(&a->fake, S("{PLAIN}x"), k) == NULL);
	FUZZ_TRUE(auth_user_add(a, S("ann"), S("pencil"), &id) == OK);
	FUZZ_TRUE(
	    auth_user_import(a, S("bob:{PLAIN}pencil"), NULL, NULL, &n) == OK);
	return a;
}

#endif
