# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""Hostile bytes at the IMAP parser, before and after login. Every refusal is
in the protocol's words and the server goes on for others."""
import random
import re
import socket
import struct

import pytest

from harness import PASSWORD, Server


def alive(server, user):
    """Others are served as ever."""
    with server.imap(user) as c:
        c.ok("NOOP")


def reply(c):
    """One line, or None when the server closed."""
    try:
        return c.line()
    except (EOFError, ConnectionResetError, BrokenPipeError):
        return None


def test_r01_any_byte_anywhere(shared_server, user):
    """R01: NUL and every byte at every offset of a command."""
    base = [b'x1 LOGIN "a" "b"', b"x1 NOOP", b'x1 LIST "" "*"']
    with shared_server.imap(user) as c:
        for cmd in base[1:]:
            for at in range(len(cmd) + 1):
                for byte in (0, 1, 9, 0x22, 0x5c, 0x7b, 0x28, 0x7f, 0x80, 0xff):
                    line = cmd[:at] + bytes([byte]) + cmd[at:]
                    if re.search(rb"\{\d*\+?\}?$", line):
                        continue
                    c.write(line + b"\r\nzz NOOP\r\n")
                    while True:
                        r = c.response()
                        if r.startswith(b"zz "):
                            assert r.startswith(b"zz OK"), (line, r)
                            break
                        if r.startswith(b"* BYE"):
                            c = shared_server.imap(user)
                            break
    for at in range(len(base[0]) + 1):
        for byte in (0, 0x0d, 0x22, 0x5c, 0x80, 0xff):
            with shared_server.imap() as p:
                p.write(base[0][:at] + bytes([byte]) + base[0][at:] + b"\r\n")
                r = reply(p)
                assert r is None or re.match(rb"\S+ (BAD|NO)|\* (BAD|BYE)|\+ ", r), r
    alive(shared_server, user)


@pytest.mark.parametrize("byte", ["(", ")", "[", "<", "{"])
def test_r02_nesting_before_login(shared_server, user, byte):
    """R02: no end of brackets, no line end."""
    with shared_server.imap() as c:
        try:
            c.write(b"a NOOP " + byte.encode() * 20000)
            r = reply(c)
        except (BrokenPipeError, ConnectionResetError):
            r = None
        assert r is None or b"BAD" in r or b"BYE" in r, r
    alive(shared_server, user)


def test_r03_sums_of_literals(shared_server, user):
    """R03: many small literals, and a few large ones, refused by their sum."""
    with shared_server.imap(user) as c:
        c.select()
        c.write(b"a SEARCH" + b" TEXT {1+}\r\nx" * 2000 + b"\r\n")
        got, end = c.until("a")
        assert re.match(rb"(NO|BAD) ?\[(TOOBIG|LIMIT)\]|BAD", end), end
        c.ok("NOOP")
    with shared_server.imap(user) as c:
        c.select()
        c.write(b"a SEARCH" + (b" TEXT {60000+}\r\n" + b"x" * 60000) * 30 + b"\r\n")
        got, end = c.until("a")
        assert re.match(rb"(NO|BAD)", end), end
    alive(shared_server, user)


@pytest.mark.parametrize("n", ["4294967295", "18446744073709551616", "-1", "2147483648", "99999999999999999999999"])
@pytest.mark.parametrize("plus", ["", "+"])
def test_r04_announced_sizes(shared_server, user, n, plus):
    """R04: refused before a byte of it is taken."""
    with shared_server.imap(user) as c:
        c.write(f"a APPEND INBOX {{{n}{plus}}}\r\n".encode())
        r = reply(c)
        assert r is None or re.match(rb"a (NO|BAD)|\* BYE|\* BAD", r), r
    with shared_server.imap() as c:
        c.write(f"a LOGIN {{{n}{plus}}}\r\n".encode())
        r = reply(c)
        assert r is None or re.match(rb"a (NO|BAD)|\* BYE|\* BAD", r), r
    alive(shared_server, user)


def test_r05_dropped_literal_is_not_run(shared_server, user):
    """R05: the bytes of a refused non-synchronising literal are no commands."""
    evil = b"\r\nq1 CREATE stolen\r\n" * 4000
    with shared_server.imap(user) as c:
        c.write(b"a LIST \"\" {%d+}\r\n" % len(evil) + evil + b"\r\nb NOOP\r\n")
        seen = []
        while True:
            r = reply(c)
            if r is None or r.startswith(b"b "):
                break
            seen.append(r)
        assert not any(s.startswith(b"q1") for s in seen), seen
    with shared_server.imap(user) as c:
        assert not any(b"stolen" in r for r in c.ok('LIST "" *'))


def test_r06_literal8(shared_server, user):
    """R06: NUL by literal8 alone; elsewhere it is refused."""
    data = b"Subject: x\r\n\r\na\0b\r\n"
    with shared_server.imap(user) as c:
        c.write(b"a APPEND INBOX ~{%d+}\r\n" % len(data) + data + b"\r\n")
        _, end = c.until("a")
        assert end.startswith(b"OK"), end
        c.write(b"b APPEND INBOX {%d+}\r\n" % len(data) + data + b"\r\n")
        _, end = c.until("b")
        assert re.match(rb"NO|BAD", end), end
        c.select()
        assert c.body(1) == data
        assert len(c.uids()) == 1


def test_r07_slow_append(shared_server, user):
    """R07: an APPEND that never ends shows nothing."""
    with shared_server.imap(user) as c:
        c.write(b"a APPEND INBOX {1000000+}\r\nSubject: half\r\n\r\n" + b"x" * 5000)
        with shared_server.imap(user) as d:
            d.select()
            assert d.uids() == []
    alive(shared_server, user)


def test_r08_ten_thousand_in_one(shared_server, user):
    """R08: 10 000 commands in one write, answered in order."""
    with shared_server.imap(user, tls=True) as c:
        from harness import Background
        writer = Background(c.write, b"".join(b"n%d NOOP\r\n" % i for i in range(10000)))
        for i in range(10000):
            assert c.line().startswith(b"n%d OK" % i)
        writer.result()


@pytest.mark.parametrize("tag", [b"x" * 65000, b"+", b"", b"*", b"a*b", b"a\"b", b"a{", b"\x1b[31m"])
def test_r09_tags(shared_server, user, tag):
    """R09: nothing is echoed unescaped."""
    with shared_server.imap(user) as c:
        c.write(tag + b" NOOP\r\n")
        r = reply(c)
        assert r is None or r.startswith((b"* BAD", b"* BYE")) or r.startswith(tag + b" "), r[:80]
        assert r is None or b"\x1b" not in r
    alive(shared_server, user)


@pytest.mark.parametrize("text", [
    "1:*,*:1,1:4294967295", "4294967295:1", ",".join(["1:*", "*:1"] * 5000), "*", "*:*", "1,1,1,1:1"])
def test_r10_sets(shared_server, user, text):
    """R10: bounded, and no message twice."""
    with shared_server.imap(user) as c:
        c.append(b"Subject: x\r\n\r\n")
        c.select()
        got, end = c.cmd(f"UID FETCH {text} (UID)")
        assert re.match(rb"OK|BAD|NO", end), end
        if end.startswith(b"OK"):
            assert len([r for r in got if b"FETCH" in r]) == 1
        assert c.cmd("FETCH 0 UID")[1].startswith(b"BAD")


def test_r12_aborted_commands(shared_server, user):
    """R12: gone at each byte, by FIN and by RST, in clear and in TLS."""
    text = b'a LOGIN "%s" "%s"\r\nb APPEND INBOX {5+}\r\nhello\r\nc SELECT INBOX\r\n' % (
        user.encode(), PASSWORD.encode())
    for tls in (False, True):
        for at in range(0, len(text), 3 if not tls else 9):
            c = shared_server.imap(tls=tls)
            c.write(text[:at])
            if at % 2:
                c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            c.close()
    alive(shared_server, user)


def test_r14_progress(shared_server, user):
    """R14: seeded garbage; the server neither hangs nor dies."""
    rng = random.Random(14)
    words = [b"a", b" ", b"(", b")", b"{3+}\r\nabc", b'"', b"\\", b"*", b"BODY[", b"]", b"<0.1>", b"FETCH",
             b"SEARCH", b"1:*", b"\r\n", b"STORE", b"UID", b"NOT", b"OR", b"~{2+}\r\nxy", b"$", b"\x00", b"\xff",
             b"IDLE", b"DONE", b"STATUS", b"INBOX", b"APPEND"]
    for _ in range(30):
        with shared_server.imap(user) as c:
            data = b"".join(rng.choice(words) + (b" " if rng.random() < .5 else b"") for _ in range(400))
            try:
                c.write(data + b"\r\nDONE\r\n")
                c.write(b"zz LOGOUT\r\n" * 3)
                while reply(c) is not None:
                    pass
            except (BrokenPipeError, ConnectionResetError):
                pass
    alive(shared_server, user)


def test_r15_wildcards(shared_server, user):
    """R15: patterns that ruin a backtracking matcher (the step count is
    asserted in tests/proto/t_match.c)."""
    with shared_server.imap(user) as c:
        name = "a" * 200
        c.ok(f"CREATE {name}")
        c.sock.settimeout(10)
        c.ok('LIST "" "' + "*a" * 120 + 'b"')
        c.ok('LIST "" "' + "*%" * 400 + '"')


def test_r16_many_keywords_and_names(shared_server, user):
    """R16 R63: keywords up to the limit, then NO [LIMIT]."""
    with shared_server.imap(user) as c:
        c.append(b"Subject: x\r\n\r\n")
        c.select()
        made = 0
        for at in range(0, 1100, 50):
            got, end = c.cmd("STORE 1 +FLAGS.SILENT (" + " ".join(f"kw{at + i}" for i in range(50)) + ")")
            if not end.startswith(b"OK"):
                assert b"[LIMIT]" in end, end
                break
            made += 50
        assert made >= 950, made
        c.no("STORE 1 +FLAGS (" + "k" * 300 + ")")
        got = c.ok("FETCH 1 FLAGS")
        assert got[0].count(b"kw") == made


def test_r17_long_lists(shared_server, user):
    """R17: ID and ENABLE with all they can hold."""
    with shared_server.imap(user) as c:
        pairs = " ".join(f'"field{i}" "{"v" * 900}"' for i in range(30))
        assert re.match(rb"OK|BAD", c.cmd(f"ID ({pairs})")[1])
        assert c.cmd("ENABLE " + " ".join(f"X{i}" for i in range(2000)))[1].startswith(b"OK")
        pairs = " ".join(f'"f{i}" "v"' for i in range(31))
        assert re.match(rb"OK|BAD", c.cmd(f"ID ({pairs})")[1])


@pytest.mark.parametrize("bad", [b"\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xff\xfe", b"e\xcc\x81"])
def test_r18_utf8(shared_server, user, bad):
    """R18: malformed UTF-8 where text is allowed."""
    with shared_server.imap(user) as c:
        c.ok("ENABLE UTF8=ACCEPT")
        for cmd in (b'CREATE "a%s"', b'SELECT "%s"', b'LIST "" "%s"', b'STATUS "%s" (MESSAGES)'):
            c.write(b"x " + cmd % bad + b"\r\n")
            _, end = c.until("x")
            assert re.match(rb"OK|NO|BAD", end), end
        c.select()
        c.write(b'x SEARCH SUBJECT "%s"\r\n' % bad)
        _, end = c.until("x")
        assert re.match(rb"OK|NO|BAD", end), end


@pytest.mark.parametrize("item,want", [
    ("BODY.PEEK[]<0.0>", b"BAD"), ("BODY.PEEK[]<4294967295.4294967295>", b"OK"),
    ("BODY.PEEK[]<0.4294967296>", b"OK"), ("BODY.PEEK[4294967295]", b"OK"), ("BODY.PEEK[0]", b"BAD")])
def test_r19_numbers(shared_server, user, item, want):
    """R19: edges of numbers."""
    with shared_server.imap(user) as c:
        c.append(b"Subject: x\r\n\r\nbody\r\n")
        c.select()
        got, end = c.cmd(f"FETCH 1 {item}")
        assert end.startswith(want), (item, end)


def test_r53_no_bytes_of_others(shared_server):
    """R53: what one user's session held is not in another's replies."""
    canary = b"CANARY-" + b"5f3a" * 40
    for n in ("ra", "rb"):
        shared_server.add_user("r53" + n)
    with shared_server.imap("r53ra") as c:
        for _ in range(20):
            c.append(b"Subject: " + canary + b"\r\n\r\n" + canary + b"\r\n")
        c.select()
        c.ok("FETCH 1:* BODY.PEEK[]")
    with shared_server.imap("r53rb") as c:
        c.append(b"Subject: x\r\n\r\n")
        c.select()
        got = []
        for cmd in ("FETCH 1:* (ENVELOPE BODYSTRUCTURE BODY[])", 'LIST "" "*"', "SEARCH TEXT CANARY"):
            got += c.ok(cmd)
        assert not any(b"CANARY" in r for r in got)


def test_r60_search_depth(shared_server, user):
    """R60: nesting beyond the bound is refused, below it answered."""
    with shared_server.imap(user) as c:
        c.append(b"Subject: x\r\n\r\n")
        c.select()
        assert c.cmd("SEARCH " + "NOT " * 90 + "SEEN")[1].startswith(b"OK")
        assert re.match(rb"NO|BAD", c.cmd("SEARCH " + "NOT " * 8000 + "SEEN")[1])
        assert re.match(rb"NO|BAD", c.cmd("SEARCH " + "OR SEEN " * 5000 + "SEEN")[1])
        assert re.match(rb"NO|BAD", c.cmd("SEARCH " + "(" * 10000 + "SEEN" + ")" * 10000)[1])
        c.ok("NOOP")
