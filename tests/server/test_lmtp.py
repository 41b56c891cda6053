# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""LMTP: ends of data, recipients, sizes, and the truth of each 250."""

import hashlib
import itertools
import os
import re
import signal
import time
from pathlib import Path

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


def test_what_delivery_added_is_a_field_like_others(shared_server, user):
    """Fields that stand before the message are fetched and found by name."""
    shared_server.deliver(message(72), user)
    with shared_server.imap(user) as c:
        c.select()
        got = b"".join(c.ok("FETCH 1 BODY.PEEK[HEADER.FIELDS (Delivered-To Subject)]"))
        assert b"Delivered-To: " + user.encode() in got and b"Subject:" in got
        assert b"* SEARCH 1" in b"".join(c.ok(f"SEARCH HEADER Delivered-To {user}"))
        assert b"* SEARCH 1" not in b"".join(c.ok("SEARCH NOT HEADER Return-Path @"))


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


# Commands of each state, and the classes of replies to them.
BEFORE = {"start": [], "lhlo": ["LHLO x"], "mail": ["LHLO x", "MAIL FROM:<a@b>"],
          "rcpt": ["LHLO x", "MAIL FROM:<a@b>", "RCPT TO:<{user}>"],
          "refused": ["LHLO x", "MAIL FROM:<a@b>", "RCPT TO:<nobody-here>"],
          "chunk": ["LHLO x", "MAIL FROM:<a@b>", "RCPT TO:<{user}>", "BDAT 3\r\nabc"]}
COMMANDS = {  # start, lhlo, mail, rcpt, refused, chunk
    "LHLO y": "222222", "LHLO": "555555", "HELO x": "555555", "EHLO x": "555555",
    "MAIL FROM:<c@d>": "525555", "MAIL FROM:c@d": "555555", "MAIL": "555555", "MAIL TO:<c@d>": "555555",
    "RCPT TO:<{user}>": "552225", "RCPT TO:<{user}>junk": "555555", "RCPT FROM:<{user}>": "555555",
    "DATA": "555355", "DATA x": "555555", "BDAT 0": "555252", "BDAT 0 LAST": "555252",
    "BDAT 4\r\n\r\n.\r": "555252", "RSET": "222222", "NOOP": "222222", "NOOP x": "222222", "VRFY {user}": "222222",
    "EXPN x": "555555", "HELP": "222222", "XYZZY": "555555", "": "555555", "RSET x": "555555", "QUIT": "222222",
    "STARTTLS x": "555555", " NOOP": "555555", "MAIL FROM:<a@b> SIZE=52428801": "555555", "NOOP\x00": "555555"}


@pytest.mark.parametrize("state", BEFORE)
def test_every_command_in_every_state(shared_server, user, state):
    """R11: the reply's class, one reply for each, and the session goes on."""
    for cmd, classes in COMMANDS.items():
        with shared_server.lmtp() as c:
            for x in BEFORE[state]:
                c.write(x.format(user=user).encode() + (b"" if x.startswith("BDAT") else b"\r\n"))
                c.reply()
            raw = cmd.format(user=user).encode()
            c.write(raw + (b"" if cmd.startswith("BDAT 4") else b"\r\n"))
            code, text = c.reply()
            want = classes[list(BEFORE).index(state)]
            assert str(code)[0] == want, (state, cmd, code, text)
            if code == 354:
                c.write(b".\r\n")
                assert c.reply()[0] == 250
            if cmd == "QUIT":
                assert c.at_end()
            else:
                assert c.ask("NOOP")[0] == 250, (state, cmd)


def test_bdat_wrong(shared_server, user):
    """R04: sizes that are none end the connection, since what follows would
    be read as commands; others are read and dropped."""
    for bad in ("BDAT", "BDAT x", "BDAT -1", "BDAT 5 FIRST", "BDAT 99999999999999999999", "BDAT 18446744073709551615",
                "BDAT 5 LAST LAST", "BDAT +5", "BDAT 0x5"):
        with shared_server.lmtp() as c:
            c.lhlo()
            c.ask("MAIL FROM:<a@b>")
            c.ask(f"RCPT TO:<{user}>")
            assert c.ask(bad)[0] in (501, 552), bad
            assert c.at_end(), bad
    with shared_server.lmtp() as c:
        c.lhlo()
        c.write(b"BDAT 22\r\nMAIL FROM:<evil@x>\r\n\r\nMAIL FROM:<a@b>\r\n")
        assert c.reply()[0] == 503
        assert c.reply()[0] == 250
        # Several chunks, some empty, cut anywhere.
        text = b"Subject: chunks\r\n\r\n" + bytes(range(256)) + b"\r\n.\r\nQUIT\r\n"
        assert c.ask(f"RCPT TO:<{user}>")[0] == 250
        out = b""
        for i, x in enumerate(text):
            out += b"BDAT 1\r\n" + bytes([x]) + (b"BDAT 0\r\n" if i % 50 == 0 else b"")
        c.write(out)
        for _ in range(out.count(b"BDAT")):
            assert c.reply()[0] == 250
        assert c.ask("BDAT 0 LAST")[0] == 250
        # Nothing at all is a message too.
        c.write(b"MAIL FROM:<>\r\nRCPT TO:<%s>\r\nBDAT 0 LAST\r\n" % user.encode())
        assert [c.reply()[0] for _ in range(3)] == [250] * 3
    with shared_server.imap(user) as c:
        c.select()
        assert c.body(1).endswith(text) and c.uids() == [1, 2]
        assert c.body(2).startswith(b"Return-Path: <>\r\n")


@pytest.mark.parametrize("how", ["DATA", "BDAT", "chunks"])
def test_size_at_its_edge(how):
    """R124: message_size_max octets are taken, one more is refused, by each
    recipient's reply, and the session goes on."""
    n = 100000
    with Server(users=("ann", "bob"), settings=[f"message_size_max={n}"]) as s:
        with s.lmtp() as c:
            c.lhlo()
            assert f"SIZE {n}" in c.extensions
            assert c.ask(f"MAIL FROM:<a@b> SIZE={n}")[0] == 250
            assert c.ask("RSET")[0] == 250
            assert c.ask(f"MAIL FROM:<a@b> SIZE={n + 1}")[0] == 552
            for size in (n - 1, n, n + 1, 3 * n, n):
                m = b"Subject: x\r\n\r\n" + b"..........\r\n" * (size // 12)
                m = m[:size - 2] + b"\r\n" if m[size - 3:size - 2] != b"\r" else m[:size - 3] + b"x\r\n"
                assert len(m) == size
                c.write(b"MAIL FROM:<a@b>\r\nRCPT TO:<ann>\r\nRCPT TO:<bob>\r\n")
                assert [c.reply()[0] for _ in range(3)] == [250] * 3
                want = 250 if size <= n else 552
                if how == "DATA":
                    assert c.ask("DATA")[0] == 354
                    c.write(stuff(m))
                elif how == "BDAT":
                    c.write(b"BDAT %d LAST\r\n" % size + m)
                else:
                    for at in range(0, size, 30000):
                        piece = m[at:at + 30000]
                        c.write(b"BDAT %d\r\n" % len(piece) + piece)
                        assert c.reply()[0] == (250 if at + len(piece) <= n else 552)
                    c.write(b"BDAT 0 LAST\r\n")
                assert [c.reply()[0] for _ in range(2)] == [want] * 2, (size, how)
        with s.imap("ann") as c:
            c.select()
            assert len(c.uids()) == 3


def test_fifty_mebibytes(shared_server, user):
    """As large as it may be, in and out over POP3 and IMAP."""
    line = bytes(range(33, 111)) + b"\r\n"
    m = b"Subject: large\r\n\r\n" + line * 655359
    m += b"y" * (52428800 - len(m) - 2) + b"\r\n"
    assert len(m) == 52428800
    with shared_server.lmtp() as c:
        c.sock.settimeout(120)
        c.lhlo()
        assert c.ask("MAIL FROM:<a@b> SIZE=52428800")[0] == 250
        assert c.ask(f"RCPT TO:<{user}>")[0] == 250
        assert c.ask("DATA")[0] == 354
        c.write(m + b".\r\n")
        assert c.reply()[0] == 250
    with shared_server.imap(user) as c:
        c.sock.settimeout(120)
        c.select()
        got = c.body(1)
        front = len(got) - len(m)
        assert hashlib.sha256(got[front:]).digest() == hashlib.sha256(m).digest()
        assert int(c.ok("FETCH 1 RFC822.SIZE")[0].rpartition(b" ")[2].rstrip(b")")) == len(got)
    with shared_server.pop3(user) as c:
        assert c.ask("LIST 1") == b"+OK 1 %d" % len(got)
        assert c.ask("RETR 1") == b"+OK %d octets" % len(got)
        c.sock.settimeout(120)
        assert c.take(len(got)) == got and c.line() == b"."
        assert c.ask("TOP 1 0").startswith(b"+OK")
        assert len(c.multiline()) < 20


def test_same_recipient_twice(shared_server, user):
    """A reply for each; what is said to be delivered is there as often."""
    with shared_server.lmtp() as c:
        c.lhlo()
        r = c.send(message(1), user, user, f"{user}@example.org", f"{user}+x@example.org", user.upper())
        assert [x[0] for x in r] == [250] * 5
    with shared_server.imap(user) as c:
        c.select()
        got = [c.body(u) for u in c.uids()]
        assert len(got) == 5
        assert [g.split(b"\r\n")[1] for g in got] == [b"Delivered-To: " + t.encode() for t in (
            user, user, f"{user}@example.org", f"{user}+x@example.org", user.upper())]


def test_domains_aliases_details():
    """Full address, alias, without detail, then the bare name in our
    domains; 5.1.1, 5.2.1."""
    with Server(users=("ann", "bob@other.example", "ann@other.example", "off"), settings=["domains=example.org"]) as s:
        s.cli("user", "disable", "off")
        s.cli("alias", "add", "sales@example.org", "bob@other.example")
        s.cli("alias", "add", "web+admin@example.org", "ann")
        s.cli("alias", "add", "closed", "off")
        cases = {"ann": "ann", "ann@example.org": "ann", "ANN@EXAMPLE.ORG": "ann", "ann+x@example.org": "ann",
                 "ann@other.example": "ann@other.example", "ann+y@other.example": "ann@other.example",
                 "sales@example.org": "bob@other.example", "sales+now@example.org": "bob@other.example",
                 "web+admin@example.org": "ann", "ann+": "ann", '"ann"@example.org': "ann",
                 "@relay.example:ann@example.org": "ann",
                 "ann@third.example": "5.1.1", "bob": "5.1.1", "bob@example.org": "5.1.1", "web@example.org": "5.1.1",
                 "+ann@example.org": "5.1.1", "nobody@example.org": "5.1.1", "ann@example.org.": "5.1.",
                 "off": "5.2.1", "off@example.org": "5.2.1", "off+x": "5.2.1", "closed@example.org": "5.2.1"}
        want = {}
        with s.lmtp() as c:
            c.lhlo()
            for to, who in cases.items():
                r = c.send(b"Subject: %s\r\n\r\n" % to.encode(), to)
                if who[0] == "5":
                    assert c.ask("RSET")[0] == 250
                    assert r[0][0] in (550, 501) and who in r[0][1], (to, r)
                else:
                    assert r[0][0] == 250, (to, r)
                    want.setdefault(who, []).append(to.encode())
        for who, tos in want.items():
            with s.imap(who) as c:
                c.select()
                got = [c.body(u).rpartition(b"Subject: ")[2].strip() for u in c.uids()]
                assert got == tos, who


def freeze(pid):
    """SIGSTOP, until each of its threads has stopped."""
    os.kill(pid, signal.SIGSTOP)
    tasks = list(Path(f"/proc/{pid}/task").iterdir())
    end = time.monotonic() + 10
    while any((t / "stat").read_text().rpartition(")")[2].split()[0] not in "TZ" for t in tasks):
        assert time.monotonic() < end
        time.sleep(0.005)


def test_mail_dies_with_a_delivery():
    """R71 R72: while the store is stopped nothing is said; when it dies, 451
    for each; the retry is taken, and nothing is lost or half there."""
    with Server(users=("ann", "bob")) as s:
        for turn in range(3):
            with s.lmtp() as c:
                c.lhlo()
                c.ask("MAIL FROM:<a@b>")
                c.ask("RCPT TO:<ann>")
                c.ask("RCPT TO:<bob>")
                assert c.ask("DATA")[0] == 354
                pid = s.pids("mail")[0]
                freeze(pid)
                c.write(stuff(message(turn, body=b"z" * 400000)))
                c.sock.settimeout(0.5)
                with pytest.raises(TimeoutError):
                    c.reply()
                os.kill(pid, signal.SIGKILL)
                c.sock.settimeout(30)
                replies = [c.reply() for _ in range(2)]
                assert [r[0] for r in replies] == [451, 451] and "4.3.0" in replies[0][1]
                # The session goes on, and soon mail is taken again.
                for _ in range(200):
                    r = c.send(message(turn, body=b"z" * 400000), "ann", "bob")
                    if all(x[0] == 250 for x in r):
                        break
                assert [x[0] for x in r] == [250, 250], r
        for u in ("ann", "bob"):
            with s.imap(u) as c:
                c.select()
                bodies = [c.body(x).rpartition(b"\r\n\r\n")[2] for x in c.uids()]
                assert 3 <= len(bodies) <= 6 and set(bodies) == {b"z" * 400000 + b"\r\n"}


def test_auth_dies_with_recipients():
    """451 for those that were asked about; the next are answered."""
    with Server(users=("ann",)) as s:
        with s.lmtp() as c:
            c.lhlo()
            c.ask("MAIL FROM:<a@b>")
            pid = s.pids("auth")[0]
            freeze(pid)
            c.write(b"RCPT TO:<ann>\r\nRCPT TO:<>\r\nRCPT TO:<nobody>\r\nNOOP\r\n")
            c.sock.settimeout(0.5)
            with pytest.raises(TimeoutError):
                c.reply()
            os.kill(pid, signal.SIGKILL)
            c.sock.settimeout(30)
            assert [c.reply()[0] for _ in range(4)] == [451, 501, 451, 250]
            for _ in range(200):
                r = c.ask("RCPT TO:<ann>")
                if r[0] == 250:
                    break
            assert r[0] == 250
            assert c.ask("RCPT TO:<nobody>")[0] == 550


SMUGGLING = [b"".join(x) for n in (2, 3, 4, 5) for x in itertools.product([b"\r", b"\n", b"."], repeat=n)]


@pytest.mark.parametrize("fix", [False, True])
def test_r67_every_combination(fix):
    """R67: every sequence of two to five of CR, LF and dot in a message is
    read once, and in one way, whatever the pieces that it comes in."""
    settings = ["lmtp_bare_lf=fix"] if fix else []
    with Server(users=("ann",), settings=settings) as s:
        taken = 0
        with s.lmtp() as c:
            c.lhlo()
            for k, seq in enumerate(SMUGGLING):
                head = b"Subject: %d\r\n\r\nx" % k
                data = head + seq + b"y\r\n.\r\n"
                first = data.index(b"\r\n.\r\n") + 5
                # What stands behind the first true end would be commands.
                after = data[first:]
                data = data[:first]
                c.write(b"MAIL FROM:<a@b>\r\nRCPT TO:<ann>\r\nDATA\r\n")
                assert [c.reply()[0] for _ in range(3)] == [250, 250, 354]
                cut = k % (len(data) - 1) + 1
                c.write(data[:cut])
                c.write(data[cut:])
                code, text = c.reply()
                body = data[:-3]
                bare_cr = re.search(rb"\r(?!\n)", body)
                bare_lf = re.search(rb"(?<!\r)\n", body)
                if bare_cr or (bare_lf and not fix):
                    assert code == 550 and "5.5.2" in text, (seq, code, text)
                else:
                    assert code == 250, (seq, code, text)
                    taken += 1
                assert c.ask("NOOP")[0] == 250, (seq, after)
        with s.imap("ann") as c:
            c.select()
            assert len(c.uids()) == taken
            for u in c.uids():
                body = c.body(u)
                assert b"\n" not in body.replace(b"\r\n", b"") and b"\r" not in body.replace(b"\r\n", b"")
