/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * RETR and TOP: a small message goes out from memory, others by reference,
 * dots stuffed on the way.
 *
 * (1) TOP with more lines than there are is RETR, octet for octet.
 * (2) A message that ends within its header gets the empty line: some
 *     programs wait for it.
 */
#include "pop3/pop3_int.h"

/* (2): does a header that ends in the n octets at p, with nothing behind it,
 * lack the empty line? */
static bool
lacks_empty_line(const char *p, size_t n)
{
	return !(n >= 2 && memcmp(p + n - 2, "\n\n", 2) == 0) &&
	       !(n >= 3 && memcmp(p + n - 3, "\n\r\n", 3) == 0) &&
	       !(n == 2 && memcmp(p, "\r\n", 2) == 0) &&
	       !(n == 1 && p[0] == '\n');
}

static void
begin(struct conn *c, const struct entry *entry, int64_t lines)
{
	if (lines < 0)
		out_f(c, "+OK %u octets\r\n", entry->size);
	else
		out_s(c, "+OK The top of it\r\n");
}

/* The last line and what ends it go out in one write, for those who look for
 * the end at the end of what they read. */
static void
end(struct conn *c, bool empty_line)
{
	if (empty_line)
		out_s(c, "\r\n.\r\n");
	else
		out_s(c, ".\r\n");
}

/* A small message, from memory. False: it is to be sent by reference. */
static bool
send_small(
    struct conn *c, struct session *s, const struct entry *entry, int64_t lines)
{
	struct buf text = {0};
	uint32_t header_size;
	bool ok = entry->size <= TEXT_MAX &&
		  view_text(s->view, entry, &text, &header_size) == OK &&
		  text.n == entry->size;

	if (ok) {
		begin(c, entry, lines);
		out_dotted_str(c, buf_str(&text), header_size, lines);
		end(c,
		    header_size == text.n && lacks_empty_line(text.p, text.n));
	}
	buf_free(&text);
	return ok;
}

static enum err
send_large(
    struct conn *c, struct session *s, const struct entry *entry, int64_t lines)
{
	struct arena *a = arena_new(0);
	struct source *src = NULL;
	struct summary sum;
	char last[4] = {0};
	size_t n = 0;
	enum err e = view_summary(s->view, entry, a, &sum);

	if (e == OK)
		e = view_source(s->view, entry, &src);
	if (e == OK && sum.header_size == sum.size) {
		n = (size_t)MIN(src->size, sizeof(last));
		if (n > 0)
			e = src->ops->read(src, src->size - n, last, n);
	}
	if (e == OK) {
		begin(c, entry, lines);
		out_dotted(c, src, 0, src->size, sum.header_size, lines);
		end(c,
		    sum.header_size == sum.size && lacks_empty_line(last, n));
	}
	source_unref(&src);
	arena_free(&a);
	return e;
}

enum next
pop3_send(struct conn *c, struct session *s, uint32_t n, int64_t lines)
{
	struct entry entry;
	enum err e = ERR_EXPUNGED;

	if (view_entries(s->view, n, &entry, 1) == 1)
		e = send_small(c, s, &entry, lines)
			? OK
			: send_large(c, s, &entry, lines);
	if (e != OK) {
		log_warn("message not read", KV_S("user", s->name),
		    KV_N("number", n), KV_ERR(e));
		out_str(c, str_c(pop3_refusal(e)));
	}
	return NEXT_INPUT;
}
