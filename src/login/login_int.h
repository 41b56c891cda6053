/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The inside of login: one session struct and one way to auth and to mail
 * for both protocols; what they say, and how they parse it, is a dialect.
 */
#ifndef LOGIN_INT_H
#define LOGIN_INT_H

#include <pthread.h>

#include "login/login.h"
#include "proto/sasl.h"

#define MECHS_MAX 512 /* bytes of a list of mechanisms */

/* conn_user is the environment until WHY_OPEN, a session from then on; the
 * first byte of both tells which. */
enum user_kind { USER_ENV = 1, USER_SESSION = 2 };

struct login_env {
	uint8_t kind;
	struct net *net;
	struct chan *auth, *mail;
	pthread_mutex_t lock; /* guards what follows */
	str hostname;
	bool tls, clear_never;
	uint32_t login_delay_s;
	str mechs_clear, mechs_tls; /* of MSG_AUTH_MECHS */
};

enum state {
	AT_COMMAND,  /* the next line is a command */
	AT_AUTH,     /* auth works; input is not looked at */
	AT_RESPONSE, /* a challenge went out: the next line answers it */
	AT_FINAL,    /* the server's last word went out: an empty line */
	AT_HANDOVER  /* logged in; what is queued goes out first */
};

struct session;
struct dialect {
	enum protocol protocol;
	void (*greet)(struct conn *c, struct session *s);
	/* A whole command is in s->line (and, for a refused one, nothing). */
	enum next (*command)(struct conn *c, struct session *s);
	/* The command ends: login failed for that reason. */
	void (*failed)(struct conn *c, struct session *s, enum auth_fail why);
	/* "*", or no base64, where a response was due. */
	void (*cancelled)(struct conn *c, struct session *s, bool malformed);
	/* The line just gathered is not the end of the command: GATHER_MORE
	 * after s->literal was set, else GATHER_RUN or GATHER_CLOSE. */
	enum gather (*line_end)(struct conn *c, struct session *s);
	/* What mail gets as tag and reply text. */
	void (*pass)(struct conn *c, struct session *s, struct buf *tag,
	    struct buf *text);
	const char *too_long, *too_slow, *stopping; /* and then close */
	bool (*idle_line)(str line); /* HTTP and such: close at once */
};

struct session {
	uint8_t kind;
	const struct dialect *d;
	struct login_env *env;
	enum state state;
	struct buf line; /* the command being gathered; wiped */
	size_t literal;  /* octets of a literal still to come */
	size_t literals; /* offset behind the last literal */
	bool overlong;
	bool seen_line;      /* the first line has come */
	bool refused;        /* the command was refused before its literal */
	bool exchange;       /* auth holds an exchange of ours */
	uint32_t epoch;      /* of auth, when it was asked */
	uint32_t bad;        /* bad commands in a row */
	struct buf tag;      /* IMAP: of the command that logs in */
	struct buf name;     /* POP3: of USER */
	bool has_name, utf8; /* POP3 */
	uint8_t grant[16];   /* AT_FINAL, AT_HANDOVER */
	struct buf who;      /* the account's name */
};

/* session.c */
extern const struct dialect login_dialect_imap, login_dialect_pop3;
bool login_secure(struct conn *c, struct session *s);  /* a password may come */
bool login_can_tls(struct conn *c, struct session *s); /* STARTTLS may come */
/* The mechanisms offered on this connection, into out. */
void login_mechs(struct conn *c, struct session *s, struct buf *out);
void login_hostname(struct session *s, struct buf *out);
uint32_t login_delay(struct session *s);
/* After STARTTLS was answered with OK. */
enum next login_tls(struct conn *c, struct session *s);
/* Adds bytes that may hold a password: no stray copy is left. */
void login_keep(struct buf *b, str s);
void login_wipe(struct buf *b); /* overwrites and frees */

/* exchange.c */
/* mech "": initial is name NUL password. */
enum next login_start(
    struct conn *c, struct session *s, str mech, bool has_initial, str initial);
enum next login_response(struct conn *c, struct session *s, str line);
enum next login_poked(struct conn *c, struct session *s);
enum next login_handover(struct conn *c, struct session *s);
void login_abort(struct conn *c, struct session *s);

#endif
