# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""R112: a mailbox of a million messages, an account of a hundred thousand
mailboxes: each command at three sizes, a tenfold apart. CPU of the process
mail, which other work on the machine does not change as it does the time,
grows not faster than n log n; what a session needs is bounded."""
import os
import re
import threading
import time
from pathlib import Path

import pytest

from load.test_load import Loaded, say, size

pytestmark = pytest.mark.xdist_group("big")
FEW = 0.3  # seconds of CPU below which growth is not told from chance


class Cost:
    """What commands cost, by size."""

    def __init__(self, s):
        self.s, self.pid, self.rows = s, s.pids("mail")[0], {}
        self.peak = 0

    def cpu(self):
        v = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(v[11]) + int(v[12])) / os.sysconf("SC_CLK_TCK")

    def anon(self):
        """KiB of the process's own memory."""
        return int(re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text()).group(1))

    def run(self, c, n, name, text=None):
        """Sends it (or many commands, of which none may fail), and reads to
        the end of "zz NOOP"."""
        cpu, start = self.cpu(), time.monotonic()
        data = (text or name).encode() + b"\r\nzz NOOP\r\n"
        t = threading.Thread(target=c.sock.sendall, args=(data,))
        t.start()
        end, tail, bad, looked = b"zz OK", b"", 0, 0
        while not re.search(rb"(^|\n)zz OK[^\n]*\n$", tail):
            got = c.sock.recv(1 << 20)
            assert got, tail
            if time.monotonic() > looked + 0.005:
                looked = time.monotonic()
                self.peak = max(self.peak, self.anon())
            joined = tail[-3:] + got
            bad += len(re.findall(rb"(?<![^\n])a (?:NO|BAD)", joined))
            tail = (tail + got)[-400:]
        t.join()
        assert bad == 0 and end in tail, (name, bad, tail)
        self.rows.setdefault(name, []).append((n, self.cpu() - cpu, time.monotonic() - start))

    def tell(self, title):
        say(title)
        for name, of in self.rows.items():
            say("  %-46s" % name[:46] + "   ".join(f"{n}: {wall:.2f} s, CPU {cpu:.2f}" for n, cpu, wall in of))
        for name, of in self.rows.items():
            for (n0, cpu0, _), (n1, cpu1, _) in zip(of, of[1:]):
                # n log n is 12.5 times here; measured in hundredths
                assert cpu1 < FEW or cpu1 < 25 * n1 / n0 / 10 * max(cpu0, 0.02), (name, of)


def test_r112_messages():
    sizes = size((10000, 100000, 1000000), (1000, 10000))
    with Loaded(len(sizes)) as s:
        for i, n in enumerate(sizes):
            start = time.monotonic()
            s.fill(n, f"u{i}")
            say(f"R112: import of {n}: {time.monotonic() - start:.1f} s")
        s.restart()  # nothing of it is in memory
        cost, memory = Cost(s), 0
        for i, n in enumerate(sizes):
            with s.imap(f"u{i}") as c:
                c.sock.settimeout(120)
                c.ok("CREATE Copied")
                cost.peak = before = cost.anon()
                for text in ("STATUS INBOX (MESSAGES UNSEEN UIDNEXT)", "SELECT INBOX", "FETCH 1:* (FLAGS)",
                             "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)", "SEARCH UNSEEN",
                             "UID SEARCH SUBJECT \"number 77\""):
                    cost.run(c, n, text, "a " + text)
                memory = max(memory, cost.peak - before)
                for text in ("STORE 1:* +FLAGS.SILENT (\\Seen)", "COPY 1:* Copied",
                             "STORE 1:* +FLAGS.SILENT (\\Deleted)", "EXPUNGE", "DELETE Copied"):
                    cost.run(c, n, text, "a " + text)
        cost.tell(f"R112: a mailbox of n messages; a session with the greatest needs {memory / 1024:.0f} MiB")
        assert memory < 64 * 1024


def test_r112_mailboxes():
    sizes = size((1000, 10000, 100000), (100, 1000))
    with Loaded(len(sizes), ["mailboxes_max=200000"]) as s:
        cost, memory = Cost(s), 0
        for i, n in enumerate(sizes):
            def each(verb, top):
                return "\r\n".join(f"a {verb} {top}/g{k // 1000}/m{k}" for k in range(n))
            with s.imap(f"u{i}") as c:
                c.sock.settimeout(120)
                cost.run(c, n, "CREATE each", each("CREATE", "root"))
                cost.peak = before = cost.anon()
                cost.run(c, n, 'LIST "" *', 'a LIST "" *')
                memory = max(memory, cost.peak - before)
                cost.run(c, n, 'LIST "" root/g0/%', 'a LIST "" root/g0/%')
                cost.run(c, n, "SUBSCRIBE each", each("SUBSCRIBE", "root"))
                cost.run(c, n, 'LSUB "" *', 'a LSUB "" *')
                cost.run(c, n, "LIST with STATUS", 'a LIST "" * RETURN (STATUS (MESSAGES))')
                cost.run(c, n, "RENAME of the root", "a RENAME root stem")
                cost.run(c, n, "DELETE each", each("DELETE", "stem"))
        cost.tell(f"R112: an account of n mailboxes; LIST of the greatest needs {memory / 1024:.0f} MiB")
        assert memory < 64 * 1024
