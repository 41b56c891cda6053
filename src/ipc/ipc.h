/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * ipc: typed messages between restante's processes, over SOCK_SEQPACKET
 * socketpairs made by the supervisor, and between the command line and the
 * server over a UNIX socket (same framing).
 *
 * (1) A message is a peer's input: every get is checked, msg_end insists
 *     that nothing is left, and a message that fails is dropped with its
 *     peer (R90).
 * (2) Sending never waits: what the socket does not take is queued, up to a
 *     bound (then ERR_UNAVAILABLE).
 * (3) Large content (over MSG_INLINE_MAX) travels as a sealed memfd.
 */
#ifndef IPC_IPC_H
#define IPC_IPC_H

#include "base/base.h"
#include "os/os.h"

#define MSG_MAX 131072       /* bytes of one message */
#define MSG_INLINE_MAX 65536 /* content within a message */
#define MSG_FDS_MAX 4

/* clang-format off */
enum msg_type {
	/* supervisor -> all */
	MSG_SETTINGS = 1, /* str: encoded settings (daemon/settings.h) */
	MSG_PEER,	  /* u8 kind (enum proc), u32 index; fd: the channel */
	MSG_LISTEN,	  /* u8 protocol, u8 implicit TLS; fd */
	MSG_CERTS,	  /* front, intake: u32 number of the first key, blob: u32 n,
			   n × str PEM chain, str client CA */
	MSG_KEYS,	  /* keys: u32 how many, u32 number; fd: a PEM key. Numbers
			   of a set begin at a multiple of 1024 */
	MSG_READY,	  /* all -> supervisor: started */
	MSG_STOP,	  /* drain and end */
	MSG_BAD_PEER,	  /* all -> supervisor: u8 kind, u32 index: it broke the
			   rules of messages, and is to be started anew */

	/* front <-> auth. conn: the front's connection id, echoed */
	MSG_AUTH_START = 20, /* u64 conn, u8 protocol, str mechanism ("" for
			   LOGIN and USER/PASS: then the two strings of
			   initial are name NUL password), u8 has initial,
			   str initial, str peer address key, str peer
			   address text, u8 tls, str exporter, str client
			   certificate name */
	MSG_AUTH_STEP,	 /* u64 conn, str client data (already decoded) */
	MSG_AUTH_ABORT,	 /* u64 conn */
	MSG_AUTH_CHALLENGE, /* -> front: u64 conn, str data */
	MSG_AUTH_DONE,	 /* -> front: u64 conn, 16 bytes grant, u64 account,
			   str name, u8 has final, str final server data */
	MSG_AUTH_FAILED, /* -> front: u64 conn, u8 enum auth_fail, u32 delay_ms
			   (already waited for by auth) */
	MSG_AUTH_MECHS,	 /* -> front, at start and when it changes: str
			   mechanisms in SASL names, space-separated, for
			   clear (loopback) and, second str, for TLS */

	/* intake <-> auth */
	MSG_RCPT = 40,	 /* u64 conn, u32 index, str address, u8 is UTF-8 */
	MSG_RCPT_OK,	 /* -> intake: u64 conn, u32 index, 16 bytes grant, u64
			   account, str name, str detail (after +) */
	MSG_RCPT_NO,	 /* -> intake: u64 conn, u32 index, u8 enum rcpt_fail */

	/* auth -> mail */
	MSG_GRANT = 50,	 /* 16 bytes, u8 kind, u8 protocol, u64 account, str
			   name, u32 front index, u64 conn, u32 valid_ms */
	MSG_REVOKE,	 /* u64 account: disabled or removed: end sessions */
	MSG_FORGET,	 /* u64 account: removed: its mail is freed */
	MSG_FORGOTTEN,	 /* mail -> auth: u64 account: it is, for good (until
			    then auth tells every mail process anew) */

	/* front -> mail */
	MSG_SESSION = 60, /* u64 conn, 16 bytes grant, u8 protocol, str tag, str
			   reply text, str input already read, str peer text,
			   u16 peer port, u8 tls, str tls version, str cipher;
			   fd: the client, or one end of a socketpair */
	MSG_SESSION_NO,	 /* -> front: u64 conn; mail could not take it (logged)*/

	/* intake <-> mail */
	MSG_DELIVER = 70, /* u64 conn, u32 nrcpt, nrcpt × (16 bytes grant, str
			   prefix: this recipient's own header lines), i64 sec
			   + zone (zigzag var): arrival, blob message, blob
			   summary (of the message without prefix) */
	MSG_DELIVERED,	 /* -> intake: u64 conn, u32 nrcpt, nrcpt × u8 enum err */

	/* front -> keys, answered in order */
	MSG_SIGN = 80,	 /* u64 request, u32 key, i32 digest nid, i32 padding, str */
	MSG_SIGNED,	 /* u64 request, u8 ok, str signature */

	/* command line <-> mail or auth, over the control sockets */
	MSG_CTL = 100,	 /* str verb, u32 n, n × str arguments; fds as the verb
			   says */
	MSG_CTL_LINE,	 /* -> str: a line of output, any number of them */
	MSG_CTL_END,	 /* -> u8 enum err, str: what went wrong, in words */
	MSG_TYPE_MAX
};
/* clang-format on */
enum proc {
	PROC_SUPERVISOR,
	PROC_FRONT,
	PROC_INTAKE,
	PROC_AUTH,
	PROC_KEYS,
	PROC_MAIL
};
enum auth_fail {
	AUTH_WRONG = 1, /* name or password: [AUTHENTICATIONFAILED] */
	AUTH_TEMP,      /* [UNAVAILABLE] */
	AUTH_MECH,      /* no such mechanism */
	AUTH_MALFORMED, /* the exchange broke the grammar: BAD */
	AUTH_EXPIRED,
	AUTH_THROTTLED /* too many failures: as wrong, with [UNAVAILABLE]? the
			    same words as AUTH_WRONG */
};
enum rcpt_fail { RCPT_UNKNOWN = 1, RCPT_DISABLED, RCPT_TEMP, RCPT_SYNTAX };

struct msg {
	enum msg_type type;
	struct buf b; /* being built, or as received */
	struct dec d; /* reading position */
	int fds[MSG_FDS_MAX];
	int nfds, fds_taken;
};

/* Building. */
void msg_new(struct msg *m, enum msg_type t);
void msg_u8(struct msg *m, uint8_t v);
void msg_u32(struct msg *m, uint32_t v);
void msg_u64(struct msg *m, uint64_t v);
void msg_i64(struct msg *m, int64_t v);
void msg_bytes(struct msg *m, const void *p, size_t n); /* fixed length */
static inline void
msg_u16(struct msg *m, uint16_t v)
{
	msg_bytes(m, (uint8_t[]){(uint8_t)v, (uint8_t)(v >> 8)}, 2);
}
void msg_str(struct msg *m, str s); /* length and bytes */
/* Inline, or in a memfd when large. ERR_NOMEM. */
enum err msg_blob(struct msg *m, str content) MUST_CHECK;
/* Content that already is in a memfd of size n; the message keeps a
 * duplicate. */
enum err msg_blob_fd(struct msg *m, int memfd, size_t n) MUST_CHECK;
void msg_fd(struct msg *m, int fd); /* taken: closed when sent */
void msg_free(struct msg *m);

/* Reading. */
uint8_t msg_get_u8(struct msg *m);
uint32_t msg_get_u32(struct msg *m);
uint64_t msg_get_u64(struct msg *m);
int64_t msg_get_i64(struct msg *m);
void msg_get_bytes(struct msg *m, void *p, size_t n);
static inline uint16_t
msg_get_u16(struct msg *m)
{
	uint8_t b[2] = {0, 0};

	msg_get_bytes(m, b, sizeof(b));
	return (uint16_t)(b[0] | b[1] << 8);
}
str msg_get_str(struct msg *m);
int msg_get_fd(struct msg *m); /* -1: none; the caller's */
/* A blob: *s inline, or a mapping of its memfd to be released. The memfd
 * must be sealed against shrinking and writing, or it is refused. */
struct blob {
	str s;
	void *map;
	size_t maplen;
};
enum err msg_get_blob(struct msg *m, size_t max, struct blob *b) MUST_CHECK;
void blob_free(struct blob *b);
/* All was read, nothing went wrong, no descriptor is left. */
bool msg_end(struct msg *m);

/* One end of a channel. chan_send is thread-safe, and so is receiving (one
 * at a time). A channel outlives its peer: chan_rebind gives it a new
 * socket when the peer has been started anew, and chan_epoch grows. */
struct chan;
struct chan *chan_new(int fd); /* takes fd; -1: not connected yet */
void chan_free(struct chan **c);
int chan_fd(const struct chan *c);
void chan_rebind(struct chan *c, int fd);
uint32_t chan_epoch(const struct chan *c);
/* Sends and frees m, whatever comes of it. ERR_UNAVAILABLE: no peer. */
enum err chan_send(struct chan *c, struct msg *m);
/* The same, but what could not be sent is still the caller's. */
enum err chan_offer(struct chan *c, struct msg *m) MUST_CHECK;
/* The next message, or false: none now. *dead: the peer has gone (or sent
 * what is no message): drop the channel. Free m after use. */
bool chan_recv(struct chan *c, struct msg *m, bool *dead);
/* Writes what is queued; true: some is left, so watch for writable. */
bool chan_flush(struct chan *c);
/* Called (any thread) when the queue becomes non-empty. */
void chan_on_queue(struct chan *c, void (*fn)(void *arg), void *arg);
/* Blocking exchange, for the command line and for keys: waits ms. */
enum err chan_wait(struct chan *c, struct msg *m, int ms) MUST_CHECK;

#endif
