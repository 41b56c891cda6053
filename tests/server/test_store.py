# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""What the store does behind the protocols, as a client can see it."""
import re

from harness import Server, message


def numbers(s):
    return {k: int(v) for k, v in (x.split("=") for x in s.cli("stats").stdout.decode().split())}


def test_r61_references(shared_server, user):
    """R61: cycles of References, 10⁵ references in a header, one shared
    subject: delivered, given threads, browsed, without a deep stack."""
    ids = [f"<r{i}@example.org>" for i in range(100000)]
    many = "References: " + "\r\n ".join(" ".join(ids[i:i + 8]) for i in range(0, 30000, 8)) + "\r\n"
    with shared_server.imap(user) as c:
        c.append(b"Message-ID: <a@x>\r\nIn-Reply-To: <b@x>\r\nReferences: <b@x> <a@x>\r\nSubject: Re: s\r\n\r\n1\r\n")
        c.append(b"Message-ID: <b@x>\r\nIn-Reply-To: <a@x>\r\nReferences: <a@x> <b@x>\r\nSubject: Re: s\r\n\r\n2\r\n")
        c.append(b"Message-ID: <c@x>\r\nReferences: <c@x>\r\nSubject: Re: s\r\n\r\n3\r\n")
        c.append(many.encode() + b"Message-ID: <d@x>\r\nSubject: Re: s\r\n\r\n4\r\n")
        for i in range(200):
            c.append(f"Message-ID: <s{i}@x>\r\nSubject: Re: s\r\n\r\n{i}\r\n".encode())
        c.select()
        got = c.ok("FETCH 1:* (THREADID ENVELOPE)")
        assert len(got) == 204
        threads = [re.search(rb"THREADID (\(([^)]+)\)|NIL)", r).group(1) for r in got]
        assert threads[0] == threads[1], "a reply is in its thread"
    assert shared_server.proc.poll() is None


def test_r66_no_sharing_across_accounts():
    """R66: the second copy of a body costs the same in another account, so
    nobody learns by size what others have; within one account it is free."""
    with Server(users=("ann", "bob")) as s:
        body = b"".join(b"%032x\r\n" % (i * 0x9e3779b97f4a7c15 % (1 << 128)) for i in range(4000))

        def cost(who, n):
            before = numbers(s)["log_bytes"]
            with s.imap(who) as c:
                c.append(message(n, body=body))
            return numbers(s)["log_bytes"] - before
        first, other, again = cost("ann", 1), cost("bob", 2), cost("ann", 3)
        assert abs(first - other) < 4096, (first, other)
        assert again < first / 4, (first, again)


def test_one_body_for_many_recipients():
    """A message to many is stored once."""
    names = [f"u{i}" for i in range(10)]
    with Server(users=names) as s:
        body = b"".join(b"%032x\r\n" % (i * 0x9e3779b97f4a7c15 % (1 << 128)) for i in range(4000))
        before = numbers(s)["log_bytes"]
        s.deliver(message(1, body=body), *names)
        assert numbers(s)["log_bytes"] - before < 2 * len(body)
        for n in names:
            with s.imap(n) as c:
                c.select()
                assert c.body(1).endswith(body)


def test_numbers_over_restarts(shared_server):
    """UIDVALIDITY stays, UIDNEXT does not fall, over restarts and expunges."""
    with Server(users=("ann",)) as s:
        last = (None, 0)
        for n in range(4):
            with s.imap("ann") as c:
                c.append(message(n))
                c.select()
                c.ok("STORE 1:* +FLAGS.SILENT (\\Deleted)")
                c.ok("EXPUNGE")
                r = c.ok("STATUS Sent (UIDVALIDITY)") + c.ok("STATUS INBOX (UIDVALIDITY UIDNEXT)")
                v = int(re.search(rb"UIDVALIDITY (\d+)", r[-1]).group(1))
                u = int(re.search(rb"UIDNEXT (\d+)", r[-1]).group(1))
            assert last[0] in (None, v) and u > last[1]
            last = (v, u)
            s.restart()


def test_space_comes_back():
    """Expunged mail is freed and its segments are rewritten."""
    with Server(users=("ann",), settings=["expunged_keep_s=1", "segment_bytes=1m"]) as s:
        import os
        import time
        with s.imap("ann") as c:
            for n in range(12):
                c.append(message(n, body=os.urandom(150000).hex().encode() + b"\r\n"))
            c.select()
            full = numbers(s)["log_bytes"]
            c.ok("STORE 1:11 +FLAGS.SILENT (\\Deleted)")
            c.ok("EXPUNGE")
            c.ok("UNSELECT")
        end = time.monotonic() + 20
        while True:
            time.sleep(1.5)
            s.cli("compact")
            if numbers(s)["log_bytes"] < full * 0.6:
                break
            assert time.monotonic() < end, (full, numbers(s))
        assert s.cli("check", "--full").stdout.strip().endswith(b"0 faults")
        s.restart()
        with s.imap("ann") as c:
            c.select()
            assert c.uids() == [12]
            assert len(c.body(12)) > 300000
