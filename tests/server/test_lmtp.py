# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""LMTP: ends of data, recipients, sizes, and the truth of each 250."""

import pytest

from harness import Server, message, stuff

FALSE_ENDS = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\n.\r", b"\r.\n"]


@pytest.mark.parametrize("end", FALSE_ENDS)
@pytest.mark.parametrize("pad", [0, 1, 4090, 4095, 65530, 65535])
def test_r67_smuggling(shared_server, user, end, pad):
    """R67: only CR LF . CR LF ends DATA; the rest is refused whole."""
    with shared_server.lmtp() as c:
        c.lhlo()
        c.ask("MAIL FROM:<a@example.org>")
        c.ask(f"RCPT TO:<{user}>")
        assert c.ask("DATA")[0] == 354
        evil = b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<%s>\r\nDATA\r\nSubject: smuggled\r\n\r\n" % user.encode()
        body = b"Subject: one\r\n\r\n" + b"\r\n".join(b"x" * 70 for _ in range(pad // 72)) + b"y" * (pad % 72)
        c.write(body + end + evil + b"\r\n.\r\n")
        code, text = c.reply()
        assert 500 <= code < 600 and "5.6" in text or code in (550, 554, 501, 500), text
        assert c.ask("NOOP")[0] == 250
    with shared_server.imap(user) as c:
        c.select()
        assert c.uids() == []


def test_r67_fix_setting():
    """R67: with the setting, bare LF becomes CR LF and never ends DATA."""
    with Server(users=("ann",), settings=["lmtp_bare_lf=fix"]) as s:
        with s.lmtp() as c:
            c.lhlo()
            c.ask("MAIL FROM:<a@example.org>")
            c.ask("RCPT TO:<ann>")
            c.ask("DATA")
            c.write(b"Subject: one\r\n\r\na\n.\nb\n.\r\nc\r\n.\r\n")
            assert c.reply()[0] == 250
        with s.imap("ann") as c:
            c.select()
            assert len(c.uids()) == 1
            assert c.body(1).endswith(b"a\r\n.\r\nb\r\n.\r\nc\r\n") or b"a\r\n" in c.body(1)


def test_r69_recipients(shared_server):
    """R69 R125: odd paths get clean replies; nothing is ever run."""
    with shared_server.lmtp() as c:
        c.lhlo()
        c.ask("MAIL FROM:<a@example.org>")
        for rcpt in ['""@x', "", "a" * 400 + "@x", "ü@x", "|cmd", "$(id)@x", "`id`", "-oProxyCommand=x", "a b@c",
                     "<a@b>", "a@[127.0.0.1]", "@a,@b:c@d", "a@b> NOTIFY=NEVER <c"]:
            code, text = c.ask(f"RCPT TO:<{rcpt}>")
            assert 500 <= code < 560, (rcpt, code, text)
        assert c.ask("NOOP")[0] == 250


def test_r70_parameters(shared_server, user):
    """R70: parameters, odd and many."""
    with shared_server.lmtp() as c:
        c.lhlo()
        for p in ["AUTH=", "AUTH=<>", 'BODY="', "SIZE=x", "SIZE=", "FOO=bar", "=", "SIZE=1 SIZE=1", "X" * 900,
                  "XCLIENT " * 50]:
            code, _ = c.ask(f"MAIL FROM:<a@b> {p}")
            if code == 250:
                c.ask("RSET")
            else:
                assert 500 <= code < 560, (p, code)
        for _ in range(300):
            c.write(b"XCLIENT ADDR=1.2.3.4\r\n")
            c.reply()
            break
        assert c.ask(f"MAIL FROM:<a@b>")[0] == 250
        assert c.ask(f"RCPT TO:<{user}> ORCPT=rfc822;x")[0] in (250, 555, 501, 504)


def test_r71_reply_per_recipient(shared_server):
    """R71: many recipients, some unknown, replies in order and true."""
    names = [f"r71u{i}" for i in range(12)]
    for n in names:
        shared_server.add_user(n)
    shared_server.cli("user", "disable", names[5])
    to = []
    for i, n in enumerate(names):
        to.append(n)
        if i % 3 == 0:
            to.append(f"nobody{i}")
    with shared_server.lmtp() as c:
        c.lhlo()
        c.write(b"MAIL FROM:<a@b>\r\n" + b"".join(b"RCPT TO:<%s>\r\n" % t.encode() for t in to) + b"DATA\r\n")
        assert c.reply()[0] == 250
        accepted = []
        for t in to:
            code, text = c.reply()
            if t.startswith("nobody"):
                assert code == 550 and "5.1.1" in text
            elif t == names[5]:
                assert code == 550 and "5.2.1" in text
            else:
                assert code == 250
                accepted.append(t)
        assert c.reply()[0] == 354
        c.write(stuff(message(71)))
        for _ in accepted:
            assert c.reply()[0] == 250
    for t in accepted:
        with shared_server.imap(t) as c:
            c.select()
            assert len(c.uids()) == 1
            assert b"Delivered-To: " + t.encode() in c.body(1)


def test_r72_dropped_before_the_reply(shared_server, user):
    """R72: gone after the dot: the message is there once, or not at all; a
    retry is never lost."""
    for _ in range(5):
        c = shared_server.lmtp()
        c.lhlo()
        c.ask("MAIL FROM:<a@b>")
        c.ask(f"RCPT TO:<{user}>")
        c.ask("DATA")
        c.write(stuff(message(72)))
        c.close()
    shared_server.deliver(message(72), user)
    with shared_server.imap(user) as c:
        c.select()
        assert 1 <= len(c.uids()) <= 6


def test_bdat_and_sizes(shared_server, user):
    with shared_server.lmtp() as c:
        c.lhlo()
        size = next(int(e.split()[1]) for e in c.extensions if e.startswith("SIZE"))
        assert size == 52428800
        for e in ("PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "CHUNKING", "BINARYMIME"):
            assert e in c.extensions, e
        assert c.ask(f"MAIL FROM:<a@b> SIZE={size + 1}")[0] == 552
        assert c.ask(f"MAIL FROM:<a@b> BODY=BINARYMIME")[0] == 250
        assert c.ask(f"RCPT TO:<{user}>")[0] == 250
        c.write(b"BDAT 13\r\nSubject: b\r\n\rBDAT 5\r\n\na\0\nb")
        assert c.reply()[0] == 250
        assert c.reply()[0] == 250
        c.write(b"BDAT 0 LAST\r\n")
        assert c.reply()[0] == 250
        c.write(b"BDAT 5 LAST\r\nabcde")
        assert c.reply()[0] == 503
        assert c.ask("NOOP")[0] == 250
    with shared_server.imap(user) as c:
        c.select()
        assert c.body(1).endswith(b"Subject: b\r\n\r\na\0\nb")


def test_lines_too_long(shared_server):
    with shared_server.lmtp() as c:
        c.lhlo()
        code, _ = c.ask("NOOP " + "x" * 100000)
        assert 500 <= code < 560
        try:
            c.write(b"N" * 300000 + b"\r\n")
            while c.reply()[0]:
                pass
        except (EOFError, OSError, ValueError):
            pass


def test_detail_and_unicode(shared_server, user):
    with shared_server.lmtp() as c:
        c.lhlo()
        assert c.ask("MAIL FROM:<δοκιμή@παράδειγμα.example> SMTPUTF8")[0] == 250
        assert c.ask(f"RCPT TO:<{user}+détail@example.org>")[0] == 250
        assert c.ask("DATA")[0] == 354
        c.write("Subject: δ\r\n\r\nδ\r\n.\r\n".encode())
        assert c.reply()[0] == 250
    with shared_server.imap(user) as c:
        c.select()
        assert "Return-Path: <δοκιμή@παράδειγμα.example>".encode() in c.body(1)


def test_connection_kept(shared_server, user):
    """Postfix keeps the connection and sends RSET between deliveries."""
    with shared_server.lmtp() as c:
        c.lhlo()
        for i in range(30):
            assert c.send(message(i), user)[0][0] == 250
            assert c.ask("RSET")[0] == 250
    with shared_server.imap(user) as c:
        c.select()
        assert len(c.uids()) == 30


