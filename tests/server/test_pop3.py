# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""POP3: the three states, snapshots, stable UIDLs. R73"""
import os
import re
import shutil
import signal
import time

from harness import PASSWORD, Server, message


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


def test_uidl_for_ever(tmp_path):
    """R73: over a rebuild of the index, a restored backup (which gives new
    UIDVALIDITYs), both again, and compaction; and a UIDL never means another
    message, also when the backup lacked the one that had it."""
    with Server(users=("ann",)) as s:
        known = {}  # UIDL -> message

        def look():
            with s.pop3("ann") as c:
                uidls = [x.split()[1] for x in lines(c, "UIDL")]
                assert len(set(uidls)) == len(uidls)
                for n, u in enumerate(uidls, 1):
                    m = b"\n".join(lines(c, f"RETR {n}"))
                    assert known.setdefault(u, m) == m
            return uidls

        for turn in range(3):
            for i in range(4):
                s.deliver(message(10 * turn + i), "ann")
            with s.pop3("ann") as c:
                c.ask("DELE 2")
                c.ask("QUIT")
            before = look()
            s.cli("backup", str(tmp_path / f"copy{turn}"))
            s.deliver(message(10 * turn + 9), "ann")
            lost = look()[-1]
            s.stop()
            shutil.rmtree(s.data)
            s.cli("restore", str(tmp_path / f"copy{turn}"))
            s.start()
            assert look() == before
            s.deliver(message(10 * turn + 8), "ann")
            assert lost not in look()
            with s.imap("ann") as c:
                c.select()
                c.ok("COPY 1 INBOX")
            after = look()
            assert after[:len(before)] == before
            s.cli("compact")
            s.stop()
            s.cli("rebuild")
            s.start()
            assert look() == after
        assert s.cli("check", "--full").stdout.strip().endswith(b"0 faults")


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


BEFORE_LOGIN = {  # the first octet of the reply, before and after login
    "CAPA": "++", "CAPA x": "--", "STAT": "-+", "STAT x": "--", "LIST": "-+", "LIST 1": "-+", "LIST 0": "--",
    "LIST 3": "--", "LIST 1 2": "--", "LIST x": "--", "UIDL": "-+", "UIDL 2": "-+", "UIDL 3": "--", "RETR 1": "-+",
    "RETR": "--", "RETR 3": "--", "RETR 01": "-?", "TOP 1 0": "-+", "TOP 1": "--", "TOP 1 x": "--", "TOP 0 1": "--",
    "TOP 1 0 0": "--", "DELE 1": "-+", "DELE": "--", "DELE 4294967297": "--", "NOOP": "-+", "NOOP x": "--",
    "RSET": "-+", "LANG": "++", "LANG EN": "++", "LANG *": "++", "LANG tlh": "--", "LANG en de": "--",
    "UTF8": "+-", "UTF8 x": "--", "USER": "--", "PASS x": "--", "APOP ann 00": "--", "AUTH FROB": "--",
    "AUTH PLAIN =": "--", "AUTH PLAIN !!!": "--", "LAST": "--", "XYZZY": "--", "": "--", " STAT": "--",
    "NOOP\x00": "--", "STLS x": "--", "RETR 1\t": "--", "DELE 99999999999999999999": "--", "QUIT": "++"}


def test_every_command_in_both_states(shared_server, user):
    """R11 R19: one reply for each, of its kind; the session goes on."""
    for i in range(2):
        shared_server.deliver(message(i), user)
    for cmd, signs in BEFORE_LOGIN.items():
        for state in (0, 1):
            with shared_server.pop3(user if state else None) as c:
                r = c.ask(cmd)
                assert signs[state] == "?" or r[:1] == signs[state].encode(), (cmd, state, r)
                if r[:1] == b"+" and cmd in ("CAPA", "LIST", "UIDL", "RETR 1", "RETR 01", "TOP 1 0", "LANG"):
                    c.multiline()
                if cmd == "QUIT":
                    assert c.at_end()
                    continue
                if state:
                    assert c.ask("NOOP") == b"+OK Nothing done", cmd
                else:
                    assert c.ask("LANG en").startswith(b"+OK"), cmd


def test_two_delete_the_same(shared_server, user):
    """Both are told that it is done; what came meanwhile stays."""
    for i in range(4):
        shared_server.deliver(message(i), user)
    with shared_server.pop3(user) as a, shared_server.pop3(user) as b:
        for c in (a, b):
            assert c.ask("DELE 1").startswith(b"+OK")
        assert a.ask("DELE 2").startswith(b"+OK")
        assert b.ask("DELE 3").startswith(b"+OK")
        shared_server.deliver(message(5), user)
        assert a.ask("QUIT").startswith(b"+OK")
        assert b"Subject: a test 1" in lines(b, "RETR 2")
        assert b.ask("QUIT").startswith(b"+OK")
    with shared_server.pop3(user) as c:
        assert c.ask("STAT").split()[1] == b"2"
        assert b"Subject: a test 3" in lines(c, "TOP 1 0")
        assert b"Subject: a test 5" in lines(c, "TOP 2 0")


def test_octets_are_octets(shared_server, user):
    """What LIST and RETR say is what comes, un-stuffed."""
    bodies = [b"x\r\n", b"", b"x", b".", b".\r\n", b"..\r\n.\r\n", b"\r\n\r\n", b"." * 5000, b".\r\n" * 30000,
              b"a\0b\r\n", b"a\rb\r\n", b"\xff\r\n"]
    with shared_server.lmtp() as c:
        c.lhlo()
        for b in bodies:
            for code, text in c.send(b"Subject: x\r\n\r\n" + b, user, bdat=True):
                assert code == 250, text
    with shared_server.pop3(user) as c:
        for n, b in enumerate(bodies, 1):
            size = int(c.ask(f"LIST {n}").split()[2])
            assert c.ask(f"RETR {n}") == b"+OK %d octets" % size
            raw = b""
            while not raw.endswith(b"\r\n.\r\n"):
                raw += c.line() + b"\r\n"
            got = re.sub(rb"(?m)^\.", b"", raw[:-3])
            assert got.rpartition(b"Subject: x\r\n\r\n")[2] == (b if b.endswith(b"\n") or not b else b + b"\r\n")
            assert len(got) - size == (0 if b.endswith(b"\n") or not b else 2)


def test_bad_commands_end_it(shared_server, user):
    """R124: bad_commands_max in a row, overlong lines."""
    with shared_server.pop3(user) as c:
        for _ in range(19):
            assert c.ask("XYZZY").startswith(b"-ERR")
        assert c.ask("NOOP").startswith(b"+OK")
        for _ in range(20):
            assert c.ask("XYZZY").startswith(b"-ERR")
        assert c.line().startswith(b"-ERR") and c.at_end()
    with shared_server.pop3(user) as c:
        assert c.ask("NOOP " + "x" * 65000).startswith(b"-ERR")
        c.write(b"N" * 70000 + b"\r\n")
        assert c.line().startswith(b"-ERR") and c.at_end()


def test_login_delay():
    """RFC 2449 6.5, with its response code, announced."""
    with Server(users=("ann", "bob"), settings=["pop3_login_delay=4"]) as s:
        with s.pop3("ann") as c:
            since = time.monotonic()
            assert b"LOGIN-DELAY 4" in lines(c, "CAPA")
            c.ask("QUIT")
        with s.pop3() as c:
            c.ask("USER ann")
            assert c.ask(f"PASS {PASSWORD}").startswith(b"-ERR [LOGIN-DELAY]")
            assert c.at_end()
        with s.pop3("bob") as c:
            c.ask("QUIT")
        time.sleep(max(0, since + 4.1 - time.monotonic()))
        with s.pop3("ann") as c:
            assert c.ask("STAT").startswith(b"+OK")


def test_kicked_or_cut_deletes_nothing(shared_server, user):
    for i in range(2):
        shared_server.deliver(message(i), user)
    with shared_server.pop3(user) as c:
        c.ask("DELE 1")
        shared_server.cli("kick", user)
        c.line() if not c.at_end() else None
    c = shared_server.pop3(user)
    c.write(b"DELE 1\r\nDELE 2\r\nQUI")
    c.close()
    with shared_server.pop3(user) as c:
        assert c.ask("STAT").split()[1] == b"2"
        c.write(b"DELE 1\r\nQUIT\r\n")  # said, though nobody waits for the answer
    for _ in range(100):
        with shared_server.pop3(user) as c:
            if c.ask("STAT").split()[1] == b"1":
                return
    assert False, "QUIT was not obeyed"


def test_update_is_whole():
    """R73 R91: mail is killed around QUIT: all of them are gone, or none;
    after +OK all. UIDLs of those that stay are as before."""
    n = 300
    with Server(users=("ann",)) as s:
        outcomes = set()
        for turn in range(8):
            with s.pop3("ann") as c:
                have = int(c.ask("STAT").split()[1])
            with s.lmtp() as c:
                c.lhlo()
                for i in range(have, n):
                    c.write(b"MAIL FROM:<>\r\nRCPT TO:<ann>\r\nBDAT %d LAST\r\n" % len(message(i)) + message(i))
                for i in range(have, n):
                    assert [c.reply()[0] for _ in range(3)] == [250] * 3
            c = s.pop3("ann")
            uidl = lines(c, "UIDL")
            c.write(b"".join(b"DELE %d\r\n" % (i + 1) for i in range(n - 1)))
            for i in range(n - 1):
                assert c.line().startswith(b"+OK")
            pid = s.pids("mail")[0]
            c.write(b"QUIT\r\n")
            time.sleep(turn * 0.0004)
            os.kill(pid, signal.SIGKILL)
            try:
                said = c.line().startswith(b"+OK")
            except (EOFError, OSError):
                said = False
            c.close()
            for _ in range(200):
                try:
                    with s.pop3("ann") as c:
                        left = lines(c, "UIDL")
                        break
                except (AssertionError, EOFError, OSError):
                    time.sleep(0.05)
            assert len(left) in (1, n) and (not said or len(left) == 1)
            assert left[-1].split()[1] == uidl[-1].split()[1]
            outcomes.add(len(left))
        assert s.cli("check", "--full").stdout.strip().endswith(b"0 faults")
