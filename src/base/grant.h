/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * A grant: auth's word to mail that somebody may use an account. Only a
 * grant opens an account; it is good once and for a short time. A front
 * can present a number, and can invent none.
 */
#ifndef BASE_GRANT_H
#define BASE_GRANT_H

enum grant_kind {
	GRANT_LOGIN = 1, /* everything a person may do with his account */
	GRANT_APPEND,    /* a recipient: deliver one message to INBOX */
	GRANT_ADMIN      /* the command line, with the operator's rights */
};

enum protocol { PROTO_IMAP = 1, PROTO_POP3, PROTO_LMTP, PROTO_CONTROL };

struct grant {
	uint8_t number[16]; /* random; zero for GRANT_ADMIN */
	enum grant_kind kind;
	enum protocol protocol;
	uint64_t account;   /* account id, never 0, never reused */
	uint32_t front;     /* index of the front or intake it is for */
	uint64_t conn;      /* and its connection */
	int64_t expires_ms; /* monotonic clock of mail, set on arrival */
};

#endif
