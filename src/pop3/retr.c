/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * RETR and TOP: the message goes out by reference, dots stuffed on the way.
 *
 * (1) TOP with more lines than there are is RETR, octet for octet.
 * (2) A message that ends within its header gets the empty line: some
 *     programs wait for it.
 */
#include "pop3/pop3_int.h"

/* (2): does the header end without an empty line? ERR of the read. */
static enum err
needs_empty_line(struct source *src, const struct summary *sum, bool *needs)
{
	char end[4] = {0};
	size_t n = MIN(src->size, sizeof(end));
	enum err e;

	*needs = false;
	if (sum->header_size < sum->size)
		return OK;
	if (n > 0 && (e = src->ops->read(src, src->size - n, end, n)) != OK)
		return e;
	*needs = !(n >= 2 && memcmp(end + n - 2, "\n\n", 2) == 0) &&
		 !(n >= 3 && memcmp(end + n - 3, "\n\r\n", 3) == 0) &&
		 !(n == 2 && memcmp(end, "\r\n", 2) == 0) &&
		 !(n == 1 && end[0] == '\n');
	return OK;
}

enum next
pop3_send(struct conn *c, struct session *s, uint32_t n, int64_t lines)
{
	struct arena *a = arena_new(0);
	struct source *src = NULL;
	struct summary sum;
	struct entry entry;
	bool empty_line = false;
	enum err e = ERR_EXPUNGED;

	if (view_entries(s->view, n, &entry, 1) != 1)
		goto out;
	if ((e = view_summary(s->view, &entry, a, &sum)) != OK)
		goto out;
	if ((e = view_source(s->view, &entry, &src)) != OK)
		goto out;
	if ((e = needs_empty_line(src, &sum, &empty_line)) != OK)
		goto out;
	if (lines < 0)
		out_f(c, "+OK %u octets\r\n", entry.size);
	else
		out_s(c, "+OK The top of it\r\n");
	out_dotted(c, src, 0, src->size, sum.header_size, lines);
	/* The last line and what ends it go out in one write, for those who
	 * look for the end at the end of what they read. */
	if (empty_line)
		out_s(c, "\r\n.\r\n");
	else
		out_s(c, ".\r\n");
out:
	if (e != OK) {
		log_warn("message not read", KV_S("user", s->name),
		    KV_N("number", n), KV_ERR(e));
		out_str(c, str_c(pop3_refusal(e)));
	}
	if (src != NULL)
		source_unref(&src);
	arena_free(&a);
	return NEXT_INPUT;
}
