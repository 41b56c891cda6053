# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""POP3: the three states, snapshots, stable UIDLs. R73"""
import re

from harness import PASSWORD, message


def lines(c, cmd):
    r = c.ask(cmd)
    assert r.startswith(b"+OK"), (cmd, r)
    return c.multiline()


def test_dele_needs_quit(shared_server, user):
    """R73: without QUIT nothing is deleted; with it, it is gone for good."""
    for i in range(3):
        shared_server.deliver(message(i), user)
    c = shared_server.pop3(user)
    assert c.ask("DELE 2").startswith(b"+OK")
    assert c.ask("DELE 2").startswith(b"-ERR")
    assert c.ask("RETR 2").startswith(b"-ERR")
    assert c.ask("STAT").split()[1] == b"2"
    c.close()
    with shared_server.pop3(user) as c:
        assert c.ask("STAT").split()[1] == b"3"
        c.ask("DELE 1")
        c.ask("DELE 3")
        assert c.ask("RSET").startswith(b"+OK")
        c.ask("DELE 2")
        assert c.ask("QUIT").startswith(b"+OK")
        assert c.at_end()
    with shared_server.pop3(user) as c:
        got = lines(c, "RETR 2")
        assert b"Subject: a test 2" in got
        assert c.ask("STAT").split()[1] == b"2"


def test_uidl_is_stable(shared_server, user):
    """R73: over expunges, other sessions and time."""
    for i in range(5):
        shared_server.deliver(message(i), user)
    with shared_server.pop3(user) as c:
        first = dict(x.split() for x in lines(c, "UIDL"))
        sizes = dict(x.split() for x in lines(c, "LIST"))
        for n in (b"1", b"4"):
            c.ask(b"DELE " + n)
        c.ask("QUIT")
    for u in first.values():
        assert re.fullmatch(rb"[\x21-\x7e]{1,70}", u)
    with shared_server.pop3(user) as c:
        assert [x.split()[1] for x in lines(c, "UIDL")] == [first[n] for n in (b"2", b"3", b"5")]
        assert c.ask("UIDL 1").split()[2] == first[b"2"]
        assert c.ask("LIST 1").split()[2] == sizes[b"2"]


def test_snapshot(shared_server, user):
    """R73: several sessions and IMAP at once; a message expunged meanwhile
    can still be read, and counts as done at QUIT."""
    for i in range(3):
        shared_server.deliver(message(i, body=b"text %d\r\n" % i), user)
    a, b = shared_server.pop3(user), shared_server.pop3(user)
    with shared_server.imap(user) as i:
        i.select()
        i.ok("STORE 1:2 +FLAGS.SILENT (\\Deleted)")
        i.ok("EXPUNGE")
    shared_server.deliver(message(9), user)
    assert a.ask("STAT").split()[1] == b"3"
    assert b"text 0" in lines(a, "RETR 1")
    assert a.ask("DELE 1").startswith(b"+OK")
    assert a.ask("DELE 3").startswith(b"+OK")
    assert a.ask("QUIT").startswith(b"+OK")
    assert b"text 2" in lines(b, "RETR 3")
    assert b.ask("QUIT").startswith(b"+OK")
    with shared_server.pop3(user) as c:
        assert c.ask("STAT").split()[1] == b"1"
    a.close()
    b.close()


def test_dots_and_top(shared_server, user):
    """R73: dot-stuffing; TOP 0, TOP 2³², TOP of all is RETR."""
    body = b".\r\n..\r\n.x\r\nFrom y\r\n\r\nlast\r\n"
    shared_server.deliver(message(1, body=body), user)
    with shared_server.pop3(user) as c:
        all_ = lines(c, "RETR 1")
        assert all_[-6:] == [b".", b"..", b".x", b"From y", b"", b"last"]
        assert lines(c, "TOP 1 99999999") == all_
        zero = lines(c, "TOP 1 0")
        assert zero[-1] == b"" and b".x" not in zero
        two = lines(c, "TOP 1 2")
        assert two[-2:] == [b".", b".."]
        r = c.ask("TOP 1 4294967296")
        assert r.startswith((b"-ERR", b"+OK"))
        if r.startswith(b"+OK"):
            c.multiline()
        assert c.ask("TOP 1 -1").startswith(b"-ERR")
        size = int(c.ask("LIST 1").split()[2])
        assert size == sum(len(x) + 2 for x in all_)


def test_message_that_ends_in_its_header(shared_server, user):
    """Outlook Express needs the empty line (oe-ns-eoh)."""
    with shared_server.imap(user) as i:
        i.append(b"Subject: no body\r\n")
    with shared_server.pop3(user) as c:
        assert lines(c, "RETR 1")[:1] == [b"Subject: no body"]


def test_pipelining(shared_server, user):
    for i in range(20):
        shared_server.deliver(message(i), user)
    with shared_server.pop3() as c:
        c.write(f"USER {user}\r\nPASS {PASSWORD}\r\nSTAT\r\n".encode()
                + b"".join(b"RETR %d\r\n" % (i + 1) for i in range(20)) + b"QUIT\r\n")
        assert c.line().startswith(b"+OK")
        assert c.line().startswith(b"+OK")
        assert c.line().startswith(b"+OK 20 ")
        for _ in range(20):
            assert c.line().startswith(b"+OK")
            c.multiline()
        assert c.line().startswith(b"+OK")


def test_capabilities(shared_server, user):
    with shared_server.pop3() as c:
        caps = [x.split()[0] for x in lines(c, "CAPA")]
        for want in (b"TOP", b"USER", b"SASL", b"RESP-CODES", b"PIPELINING", b"UIDL", b"STLS", b"AUTH-RESP-CODE",
                     b"UTF8", b"LANG", b"IMPLEMENTATION"):
            assert want in caps, (want, caps)
    with shared_server.pop3(user) as c:
        caps = [x for x in lines(c, "CAPA")]
        assert b"EXPIRE NEVER" in caps
        assert c.ask("STLS").startswith(b"-ERR")


def test_utf8(shared_server, user):
    with shared_server.pop3() as c:
        assert c.ask("UTF8").startswith(b"+OK")
        c.ask(f"USER {user}")
        assert c.ask(f"PASS {PASSWORD}").startswith(b"+OK")
        assert c.ask("LANG en").startswith(b"+OK")
        assert c.ask("LANG tlh").startswith(b"-ERR")
