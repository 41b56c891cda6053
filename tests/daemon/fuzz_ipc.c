/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Fuzz target: messages between processes. The first two bytes choose a
 * type, the rest is its content, as a hostile peer would send it. R90.
 */
#include "fuzz.h"
#include "daemon/mail_int.h"

static void
as_message(struct msg *m, str in)
{
	*m = (struct msg){0};
	buf_str_add(&m->b, in);
	m->d = dec_of(buf_str(&m->b));
	m->type = dec_u16(&m->d) % MSG_TYPE_MAX;
}

static void
as_grant(str in)
{
	struct grants *g = grants_new();
	struct msg m;

	as_message(&m, in);
	if (grants_add(g, &m))
		FUZZ_TRUE(m.d.p == m.d.end);
	msg_free(&m);
	grants_free(&g);
}

static void
as_delivery(str in)
{
	struct arena *a = arena_new(1 << 20);
	struct lmtp_delivery d;
	struct msg m;

	as_message(&m, in);
	if (lmtp_delivery_get(&m, a, &d) == OK) {
		FUZZ_TRUE(d.n <= in.n);
		blob_free(&d.message);
		blob_free(&d.summary);
	}
	msg_free(&m);
	arena_free(&a);
}

static void
as_session(str in)
{
	struct asked a = {.fd = -1};
	struct msg m;

	as_message(&m, in);
	/* Without a descriptor there is no session. */
	FUZZ_TRUE(!session_get(&m, &a));
	FUZZ_TRUE(a.fd == -1);
	msg_free(&m);
	as_message(&m, in);
	msg_fd(&m, os_memfd("t"));
	if (session_get(&m, &a))
		FUZZ_TRUE(a.protocol == PROTO_IMAP || a.protocol == PROTO_POP3);
	if (a.fd >= 0)
		os_close(&a.fd);
	msg_free(&m);
}

/* Gets in an order that the input chooses. */
static void
as_anything(str in)
{
	struct blob b;
	struct msg m;
	char raw[64];

	as_message(&m, in);
	while (!m.d.bad && m.d.p < m.d.end) {
		switch ((uint8_t)*m.d.p % 7) {
		case 0:
			(void)msg_get_u8(&m);
			break;
		case 1:
			(void)msg_get_u32(&m);
			break;
		case 2:
			(void)msg_get_u64(&m);
			break;
		case 3:
			(void)msg_get_str(&m);
			break;
		case 4:
			msg_get_bytes(&m, raw, (uint8_t)*m.d.p % 64);
			break;
		case 5:
			if (msg_get_blob(&m, 1000, &b) == OK)
				blob_free(&b);
			else if (!m.d.bad)
				m.d.bad = true; /* too big: given up */
			break;
		default:
			FUZZ_TRUE(msg_get_fd(&m) == -1);
		}
	}
	(void)msg_end(&m);
	msg_free(&m);
}

void
fuzz_one(str in)
{
	static bool quiet;

	if (!quiet)
		log_setup("fuzz", LOG_ERROR + 1);
	quiet = true;
	as_grant(in);
	as_delivery(in);
	as_session(in);
	as_anything(in);
}
