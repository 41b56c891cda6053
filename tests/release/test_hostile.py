# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""What many idle and hostile clients cost: memory and others' time. On the
release build: a sanitizer would be measured instead."""
import resource
import socket
import time

import pytest

from harness import PASSWORD, Server, tls_wrap

FDS = 12000


@pytest.fixture(autouse=True)
def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    want = FDS if hard == resource.RLIM_INFINITY else min(FDS, hard)
    if want < 6000:
        pytest.skip(f"only {hard} open files are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, want), hard))
    yield


def memory(server, title=None):
    """KiB that the processes hold for themselves."""
    total = 0
    for p in server.pids(title):
        for line in open(f"/proc/{p}/smaps_rollup"):
            if line.startswith(("Private_Clean:", "Private_Dirty:")):
                total += int(line.split()[1])
    return total


def login_time(server, tls=False):
    """The best of three: another's work on the machine is not measured."""
    times = []
    for _ in range(3):
        start = time.monotonic()
        with server.imap("ann", tls=tls) as c:
            c.ok("NOOP")
        times.append(time.monotonic() - start)
    return min(times)


def connect(server, proto="imap"):
    return socket.create_connection(("127.0.0.1", server.ports[proto]), 20)


def test_idle_sessions():
    """R112: what a session that is logged in and idle costs mail."""
    with Server(users=("ann",), settings=["connections_per_account=5000"]) as s:
        s.deliver(b"Subject: x\r\n\r\nx\r\n", "ann")

        def open_some(n):
            out = []
            for _ in range(n):
                c = s.imap("ann")
                c.select()
                c.write(b"i IDLE\r\n")
                out.append(c)
            for c in out:
                assert c.line().startswith(b"+")
            return out
        held = open_some(200)
        time.sleep(2)
        before = memory(s)
        held += open_some(1000)
        time.sleep(2)
        each = (memory(s) - before) * 1024 / 1000
        print(f"an idle session in clear: {each:.0f} bytes")
        assert each < 8192, each
        assert login_time(s) < 1
        s.deliver(b"Subject: y\r\n\r\ny\r\n", "ann")
        end = time.monotonic() + 20
        for c in held[::50]:
            while b"EXISTS" not in c.line():
                assert time.monotonic() < end
        for c in held:
            c.close()


def test_idle_before_login():
    """R109: 2 000 that say nothing, and 500 with TLS."""
    with Server(users=("ann",)) as s:
        warm = [connect(s) for _ in range(100)]
        time.sleep(1)
        before = memory(s)
        held = [connect(s) for _ in range(2000)]
        for c in held:
            assert c.recv(10)
        each = (memory(s) - before) * 1024 / 2000
        print(f"an idle connection before login: {each:.0f} bytes")
        assert each < 8192, each
        assert login_time(s) < 1
        before = memory(s)
        tls = [tls_wrap(connect(s, "imaps")) for _ in range(500)]
        each = (memory(s) - before) * 1024 / 500
        print(f"with TLS: {each:.0f} bytes")
        assert each < 65536, each
        assert login_time(s, tls=True) < 1
        for c in held + warm + tls:
            c.close()


def test_slow_writers():
    """R107: a byte now and then from many: bounded, others are served."""
    with Server(users=("ann",), settings=["prelogin_s=30"]) as s:
        before = memory(s)
        held = [connect(s, p) for p in ("imap", "pop3", "lmtp", "imaps") for _ in range(400)]
        for i in range(8):
            for c in held:
                try:
                    c.send(b"x" * 500)
                except OSError:
                    pass
        assert memory(s) - before < 64 * 1024, (before, memory(s))
        assert login_time(s) < 1 and login_time(s, tls=True) < 1
        for c in held:
            c.close()


def test_slow_readers():
    """R110: many that ask for much and read nothing."""
    with Server(users=("ann",), settings=["connections_per_account=200"]) as s:
        with s.imap("ann") as c:
            c.append(b"Subject: big\r\n\r\n" + b"z" * 70 + b"\r\n" + b"w" * 8000000)
        before = memory(s)
        held = []
        for i in range(100):
            c = connect(s)
            c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            c.sendall(f'a LOGIN ann "{PASSWORD}"\r\n'.encode())
            got = b""
            while b"a OK" not in got:
                got += c.recv(4096)
            c.sendall(b"b SELECT INBOX\r\n" + b"c FETCH 1 BODY.PEEK[]\r\n" * 20)
            held.append(c)
        time.sleep(2)
        grown = memory(s) - before
        print(f"a reader that is stuck: {grown / 100:.0f} KiB")
        assert grown < 100 * 1024, grown
        assert login_time(s) < 1
        for c in held:
            c.close()


def test_flood():
    """R109 R124: connections to four times connections_max, again and
    again: bounded; who logs in gets in, who is in stays."""
    with Server(users=("ann",), settings=["connections_max=500"]) as s:
        ann = s.imap("ann")
        peaks = []
        for _ in range(3):
            held = []
            for _ in range(2000):
                try:
                    held.append(connect(s))
                except OSError:
                    pass
            assert login_time(s) < 1
            peaks.append(memory(s))
            for c in held:
                c.close()
        ann.ok("NOOP")
        ann.close()
        assert peaks[2] - peaks[0] < 16 * 1024, peaks
        assert "too many are waiting" in s.tail(1 << 22)
        # The same cause, many times, is no flood of the log (R124).
        assert len(s.log.read_bytes()) < 1 << 20
