# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""Mailbox names: one mailbox for each, whatever the spelling, and never a
file name. R44 R45 R51"""
import os
import re

import pytest

from harness import Server

NAMES = ["..", "../x", "/etc", "a/../b", "/abs", "a\\b", "~root", "~/x", "x\x7f", "CON", "aux.txt", "-rf", "a b",
         'a"b', "a{b", "a%b*c", "&", "&-", "é", "日本語", "a.b.c", "$(id)", "|cat", "`id`", "INBOX/x", "inbox/y",
         "x" * 900, "/".join("abc"), "emoji 😀"]


def quoted(raw):
    return b"{%d+}\r\n" % len(raw) + raw


def run(c, *parts):
    c.write(b"q " + b"".join(parts) + b"\r\n")
    return c.until("q")


def files(server):
    """What is in the data folder, but for what grows by itself."""
    return {p for p in server.top.rglob("*") if "log/" not in str(p) and p.name != "ballast"}


@pytest.mark.parametrize("name", NAMES)
def test_r44_round_trip(shared_server, user, name):
    """R44 R45 R125: refused, or made, listed and selected as one and the
    same."""
    before = files(shared_server)
    with shared_server.imap(user) as c:
        c.ok("ENABLE UTF8=ACCEPT")
        raw = name.encode()
        got, end = run(c, b"CREATE ", quoted(raw))
        assert re.match(rb"OK|NO|BAD", end), end
        if end.startswith(b"OK"):
            for cmd in (b"SELECT ", b"STATUS ", b"SUBSCRIBE ", b"UNSUBSCRIBE "):
                tail = b" (MESSAGES)" if cmd == b"STATUS " else b""
                assert run(c, cmd, quoted(raw), tail)[1].startswith(b"OK"), cmd
            c.ok("UNSELECT")
            assert run(c, b"DELETE ", quoted(raw))[1].startswith(b"OK")
    assert files(shared_server) == before


@pytest.mark.parametrize("name", ["&bad", "&AC8-", "&AGE-", "&AGE", "a&2AA-", "&Jjo!", "&,,,,-", "x&AOQ-&AOQ-"])
def test_r44_modified_utf7(shared_server, user, name):
    """R44: what is not canonical is refused."""
    with shared_server.imap(user) as c:
        assert re.match(rb"NO|BAD", c.cmd(f'CREATE "{name}"')[1]), name
        assert re.match(rb"NO|BAD", c.cmd(f'SELECT "{name}"')[1])


def test_r45_spellings(shared_server, user):
    """R45: NFC and NFD, modified UTF-7 and UTF-8, INBOX in any case."""
    with shared_server.imap(user) as old, shared_server.imap(user) as new:
        new.ok("ENABLE UTF8=ACCEPT")
        old.ok('CREATE "Entw&APw-rfe"')
        assert b"[ALREADYEXISTS]" in run(new, b'CREATE "Entw\xc3\xbcrfe"')[1]
        assert b"[ALREADYEXISTS]" in run(new, b'CREATE "Entwu\xcc\x88rfe"')[1]
        assert any("Entwürfe".encode() in r for r in new.ok('LIST "" "*"'))
        assert any(b"Entw&APw-rfe" in r for r in old.ok('LIST "" "*"'))
        for name in ("inbox", "InBoX", "INBOX"):
            old.select(name)
        assert b"ALREADYEXISTS" in old.cmd("CREATE inbox")[1] or old.cmd("CREATE inbox")[1].startswith(b"NO")


def test_depth_and_length(shared_server, user):
    with shared_server.imap(user) as c:
        assert c.cmd("CREATE " + "/".join("d" for _ in range(90)))[1].startswith(b"OK")
        assert c.cmd("CREATE " + "/".join("e" for _ in range(400)))[1].startswith(b"NO")
        assert c.cmd("CREATE " + "n" * 1001)[1].startswith(b"NO")
        assert c.cmd("CREATE " + "n" * 1000)[1].startswith(b"OK")


def test_r51_only_a_grant_opens(shared_server):
    """R51: no name in a session changes whose mail it is."""
    for n in ("r51a", "r51b"):
        shared_server.add_user(n)
    with shared_server.imap("r51a") as a:
        a.ok("CREATE private-of-a")
    with shared_server.imap("r51b") as b:
        for name in ("~r51a/private-of-a", "#user/r51a/private-of-a", "user/r51a", "../r51a/private-of-a",
                     "private-of-a"):
            b.no(f'SELECT "{name}"')
        assert not any(b"private-of-a" in r for r in b.ok('LIST "" "*"'))


def test_rename_and_delete(shared_server, user):
    with shared_server.imap(user) as c:
        c.ok("CREATE a/b/c")
        c.append(b"Subject: x\r\n\r\n", "a/b/c")
        c.no("RENAME a a/b/d")
        c.ok("RENAME a z")
        got = c.ok('STATUS "z/b/c" (MESSAGES)')
        assert b"MESSAGES 1" in got[0]
        c.no("SELECT a", "NONEXISTENT")
        c.append(b"Subject: y\r\n\r\n")
        c.ok("RENAME INBOX old-inbox")
        assert b"MESSAGES 0" in c.ok("STATUS INBOX (MESSAGES)")[0]
        assert b"MESSAGES 1" in c.ok("STATUS old-inbox (MESSAGES)")[0]
        c.select("z/b/c")
        with shared_server.imap(user) as d:
            d.ok("DELETE z/b/c")
        try:
            for _ in range(3):
                c.cmd("NOOP")
        except EOFError:
            pass


def test_nothing_else_in_the_folder():
    """Names are data: the data directory holds the documented files alone."""
    with Server(users=("ann",)) as s:
        with s.imap("ann") as c:
            c.ok("CREATE foo/bar")
        names = {os.path.relpath(p, s.data) for p in s.data.rglob("*")}
        for n in names:
            assert re.fullmatch(r"(log|index|auth|tls|run)(/.*)?|FORMAT|ballast|spool|lock|.*/ballast", n), n
            assert "foo" not in n and "ann" not in n
