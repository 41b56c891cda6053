# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""Disks that fail: the n-th write or flush of the mail process, for each n.
Clients are told to come again; what was acknowledged is there, nothing is
half there, and a later try works. R95 R124"""
import json
import re
import shutil
import time

import pytest

from harness import BUILD, PASSWORD, Server, message

BODY = b"".join(b"line %d\r\n" % i for i in range(400))
OLD = ["old1", "old2", "old3", "old4"]
FAULT = 'msg="a fault is put in"'
NEVER = 'msg="the store cannot be opened"'
FULL = 'msg="the disk is full: new mail is refused"'
DEAD = 'msg="the store stops"'
PATIENCE = 15
# Not the words for damage: nothing is damaged.
NOT_NOW = rb"NO \[(UNAVAILABLE\]|LIMIT\]|SERVERBUG\] The server could not)"


def mail(name):
    return message(name, body=BODY)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Data with some messages, which each try begins with."""
    options = json.loads((BUILD / "meson-info" / "intro-buildoptions.json").read_text())
    if not any(o["name"] == "faults" and o["value"] for o in options):
        pytest.skip("a build with -Dfaults=true makes writes fail")
    top = tmp_path_factory.mktemp("faults")
    with Server(users=("ann",), data=top) as s:
        for name in OLD:
            s.deliver(mail(name), "ann")
    return top / "data"


class Try:
    """A server with one fault to come; each thing is tried until it is
    acknowledged."""

    def __init__(self, server, waits):
        self.server, self.waits = server, waits
        self.tries = {}
        self.refusals = []

    def told(self, what, answer, good, temporary):
        """Whether it was acknowledged; other answers are temporary ones."""
        if re.match(good, answer):
            return True
        self.refusals.append((what, answer))
        assert re.match(temporary, answer), (what, answer, self.server.tail())
        return False

    def until_done(self, what, do):
        end = time.monotonic() + PATIENCE
        while True:
            self.tries[what] = self.tries.get(what, 0) + 1
            try:
                if do():
                    return
            except (EOFError, ConnectionError):
                # A flush that failed ends the process, soon: not each
                # session hears the reason.
                self.refusals.append((what, b""))
                assert DEAD in self.server.tail(1 << 20), (what, self.server.tail())
            assert time.monotonic() < end, (what, self.refusals, self.server.tail())
            # What is met at each start again is no single fault; that a
            # full disk has room again is seen at once at a start.
            log = self.server.tail(1 << 20)
            again = log.count(NEVER) > 1 or (FULL in log and not self.waits)
            if again and "RESTANTE_FAULT" in self.server.env:
                del self.server.env["RESTANTE_FAULT"]
                self.server.restart()
            time.sleep(0.02)

    def deliver(self, name):
        def do():
            with self.server.lmtp() as c:
                c.lhlo()
                try:
                    code, text = c.send(mail(name), "ann")[-1]
                except EOFError:
                    pytest.fail("intake has gone: " + self.server.tail())
            return self.told(name, f"{code} {text}".encode(), b"250 ", rb"45[12] 4\.")
        self.until_done(name, do)

    def imap(self, what, line):
        def do():
            with self.server.imap() as c:
                for x in (f'LOGIN ann "{PASSWORD}"', "SELECT INBOX", line):
                    if not self.told(what, c.cmd(x)[1], rb"OK", NOT_NOW):
                        return False
            return True
        self.until_done(what, do)

    def pop3(self, name):
        def do():
            with self.server.pop3() as c:
                for x in ("USER ann", f"PASS {PASSWORD}"):
                    if not self.told(name, c.ask(x), rb"\+OK", rb"-ERR \[SYS/TEMP\]"):
                        return False
                count = int(c.ask("STAT").split()[1])
                for i in range(1, count + 1):
                    if not self.told(name, c.ask(f"TOP {i} 0"), rb"\+OK", rb"-ERR \[SYS/TEMP\]"):
                        return False
                    if f"Subject: a test {name}".encode() in c.multiline():
                        assert c.ask(f"DELE {i}").startswith(b"+OK")
                return self.told(name, c.ask("QUIT"), rb"\+OK", rb"-ERR \[SYS/TEMP\]")
        self.until_done("quit", do)

    def read(self):
        """{name: [flags of each message of that name]}, all of them whole."""
        got = {}

        def do():
            got.clear()
            with self.server.imap() as c:
                for x in (f'LOGIN ann "{PASSWORD}"', "EXAMINE INBOX"):
                    if not self.told("read", c.cmd(x)[1], rb"OK", NOT_NOW):
                        return False
                rows, answer = c.cmd("UID FETCH 1:* (FLAGS BODY.PEEK[])")
                if not self.told("read", answer, rb"OK", NOT_NOW):
                    return False
                for r in rows:
                    m = re.search(rb"FLAGS \(([^)]*)\).*BODY\[\] \{(\d+)\}\r\n", r, re.S)
                    if m is None:
                        continue
                    text = r[m.end():m.end() + int(m.group(2))]
                    name = re.search(rb"Subject: a test (\S+)\r\n", text).group(1).decode()
                    assert name in text.decode() and text.endswith(mail(name)), (name, text)
                    got.setdefault(name, []).append({x.decode() for x in m.group(1).split()})
            return True
        self.until_done("read", do)
        return got

    def whole(self):
        self.deliver("delivered")
        self.imap("appended", ["APPEND INBOX ", mail("appended")])
        self.imap("flags", r"UID STORE 1 +FLAGS (\Flagged kw)")
        self.imap("deleted", r"UID STORE 2 +FLAGS.SILENT (\Deleted)")
        self.imap("expunged", "EXPUNGE")
        self.pop3("old3")
        self.deliver("last")
        got = self.read()
        assert set(got) == {"old1", "old4", "delivered", "appended", "last"}, (got, self.refusals)
        for name, flags in got.items():
            assert 1 <= len(flags) <= self.tries.get(name, 1), (name, flags, self.refusals)
            for f in flags:
                assert f - {r"\Recent", r"\Seen"} == ({r"\Flagged", "kw"} if name == "old1" else set())


def one(base, top, fault, waits=False):
    """Whether it happened at all, and what clients were told."""
    shutil.copytree(base, top / "data", symlinks=True)
    s = Server(users=(), data=top, env={"RESTANTE_FAULT": fault + ":in=mail"})
    try:
        with s:
            t = Try(s, waits)
            t.whole()
        s.env.pop("RESTANTE_FAULT", None)
        assert s.cli("check", "--full").stdout.splitlines()[-1] == b"0 faults", s.tail()
        log = s.tail(1 << 20)
        assert fault.count("ENOSPC") or not any(b"LIMIT" in answer for _, answer in t.refusals), log
        return FAULT in log, t.refusals
    finally:
        shutil.rmtree(top, ignore_errors=True)


@pytest.mark.parametrize("fault", ["write+sync:%d:EIO", "write+sync:%d:ENOSPC", "write:%d:ENOSPC:100"])
def test_each_write_fails_once(base, tmp_path, fault):
    refused, after = 0, 0
    for n in range(1, 100):
        top = tmp_path / str(n)
        top.mkdir()
        happened, refusals = one(base, top, fault % n)
        refused += bool(refusals)
        after = 0 if happened else after + 1
        if after == 2:  # no more calls in the whole of it
            break
    print(f"{n} places, {refused} seen by clients")
    assert n > 15 and after == 2 and refused > 5


def test_full_disk_has_room_again(base, tmp_path):
    """R124: mail is taken again by itself."""
    for n in range(4, 40):
        top = tmp_path / str(n)
        top.mkdir()
        happened, refusals = one(base, top, f"write:{n}:ENOSPC", waits=True)
        assert happened
        if any(b"LIMIT" in answer or answer.startswith(b"452") for _, answer in refusals):
            return
    pytest.fail("no write met it")


def test_damaged_index_is_mended(tmp_path):
    """A row that rots is noticed when it is read; the process ends, and the
    next one makes the index anew."""
    with Server(users=("ann",), data=tmp_path) as s:
        s.deliver(message("quagga", body=BODY), "ann")
        s.deliver(mail("other"), "ann")
        s.stop()
        index = tmp_path / "data" / "index" / "data.mdb"
        rows = index.read_bytes()
        assert b"quagga" in rows
        index.write_bytes(rows.replace(b"quagga", b"quaXga"))
        s.start()
        end = time.monotonic() + PATIENCE
        while True:
            got = []
            try:
                with s.imap("ann") as c:
                    c.select(how="EXAMINE")
                    got, answer = c.cmd("UID FETCH 1:* (ENVELOPE)")
            except (AssertionError, EOFError, OSError) as e:
                answer = str(e).encode()
            assert b"quaXga" not in b"".join(got)
            if answer.startswith(b"OK"):
                break
            assert time.monotonic() < end, (answer, s.tail())
            time.sleep(0.05)
        assert len(got) == 2 and b"quagga" in got[0]
        assert DEAD in s.tail(1 << 20)
        s.deliver(mail("last"), "ann")
