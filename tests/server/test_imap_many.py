# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""Many sessions at one mailbox at random, each keeping the count: what a
session is told must make sense in order (R119), and in the end all agree.
The seed is printed; SEED= repeats the choices (not the interleaving)."""
import collections
import os
import random
import re
import threading
import time

SESSIONS = 6
SECONDS = 4


class Client:
    """A session that believes nothing."""

    def __init__(self, conn, seed):
        self.c = conn
        self.rnd = random.Random(seed)
        self.n = 0
        self.by_number = False  # a FETCH, STORE or SEARCH by number runs
        self.select("INBOX")

    def select(self, box):
        self.uids = []
        self.fresh = True
        return self.cmd(f"SELECT {box}")

    def cmd(self, text, body=None):
        self.n += 1
        line = f"t{self.n} {text}".encode()
        if body is not None:
            line += b"{%d+}\r\n" % len(body) + body
        self.c.write(line + b"\r\n")
        return self.wait()

    def wait(self):
        while True:
            r = self.c.response()
            if r.startswith(b"t%d " % self.n):
                self.by_number = False
                return r
            assert not r.startswith(b"* BYE"), r
            m = re.match(rb"\* (\d+) (EXISTS|EXPUNGE|FETCH)", r)
            if m:
                getattr(self, "on_" + m.group(2).decode())(int(m.group(1)), r)

    def on_EXISTS(self, n, r):
        assert self.fresh or n >= len(self.uids), (n, len(self.uids))
        self.fresh = False
        self.uids += [None] * (n - len(self.uids))

    def on_EXPUNGE(self, n, r):
        assert not self.by_number, "no EXPUNGE while numbers are in use"
        assert 1 <= n <= len(self.uids), (n, len(self.uids))
        del self.uids[n - 1]

    def on_FETCH(self, n, r):
        assert 1 <= n <= len(self.uids), (n, len(self.uids))
        m = re.search(rb"UID (\d+)", r)
        if m:
            assert self.uids[n - 1] in (None, int(m.group(1))), r
            self.uids[n - 1] = int(m.group(1))

    def some(self):
        return self.rnd.randint(1, max(len(self.uids), 1))

    def step(self):
        rnd = self.rnd
        op = rnd.choice(["append", "append", "fetch", "fetch", "store", "store", "expunge", "copy", "move",
                         "search", "noop", "idle", "select", "status", "uidexpunge"])
        if op == "append":
            flags = rnd.choice(["", "(\\Seen) ", f"(kw{rnd.randint(0, 40)}) "])
            return self.cmd(f"APPEND {rnd.choice(['INBOX', 'Archive'])} {flags}",
                            b"Subject: x%d\r\n\r\n" % rnd.randint(0, 9) + b"y" * rnd.randint(0, 3000) + b"\r\n")
        if op == "fetch":
            self.by_number = True
            what = rnd.choice(["ENVELOPE", "BODY[]", "RFC822.SIZE", "BODYSTRUCTURE", "BODY.PEEK[TEXT]<1.20>"])
            return self.cmd(f"FETCH {rnd.choice([self.some(), '1:*'])} (UID FLAGS {what})")
        if op == "store":
            self.by_number = rnd.random() < .5
            return self.cmd(f"{'' if self.by_number else 'UID '}STORE {self.some()} {rnd.choice(['+', '-', ''])}FLAGS"
                            f"{rnd.choice(['', '.SILENT'])} "
                            f"({rnd.choice([chr(92) + 'Deleted', chr(92) + 'Seen', f'kw{rnd.randint(0, 70)}'])})")
        if op == "search":
            self.by_number = True
            return self.cmd("SEARCH " + rnd.choice(["ALL", "SEEN", "TEXT y", "RETURN (SAVE COUNT) UNSEEN"]))
        if op == "idle":
            self.n += 1
            self.c.write(b"t%d IDLE\r\n" % self.n)
            time.sleep(rnd.random() * .05)
            self.c.write(b"DONE\r\n")
            return self.wait()
        if op == "select":
            return self.select(rnd.choice(["INBOX", "INBOX", "Archive"]))
        return self.cmd({"expunge": "EXPUNGE", "copy": f"COPY {self.some()} {rnd.choice(['INBOX', 'Archive'])}",
                         "move": f"UID MOVE {self.some()} Archive", "noop": "NOOP", "uidexpunge": "UID EXPUNGE 1:*",
                         "status": "STATUS Archive (MESSAGES UNSEEN UIDNEXT SIZE)"}[op])


def good(r):
    return re.match(rb"t\d+ (OK|NO \[EXPUNGEISSUED\]|BAD There are not that many)", r)


def test_many_sessions(shared_server, user):
    seed = int(os.environ.get("SEED", random.randrange(10**9)))
    print("SEED=%d" % seed)
    end = time.time() + SECONDS
    wrong, final = [], {}
    done = threading.Barrier(SESSIONS)

    def work(k):
        try:
            with shared_server.imap(user) as conn:
                c = Client(conn, seed + k)
                while time.time() < end and not wrong:
                    r = c.step()
                    if not good(r):
                        wrong.append(r)
                done.wait(30)
                c.select("INBOX")
                c.cmd("FETCH 1:* (UID)")
                final[k] = c.uids
        except Exception as e:
            wrong.append(e)
            done.abort()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(SESSIONS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong, wrong[:3]
    assert len(final) == SESSIONS and len({tuple(u) for u in final.values()}) == 1


class Gone(Exception):
    """BYE: the mailbox that was selected has been deleted."""


class Nomad(Client):
    """A session whose mailboxes are renamed and deleted by others."""
    NAMES = ["one", "two", "three/four"]

    def wait(self):
        try:
            return super().wait()
        except AssertionError as e:
            if "* BYE The selected mailbox" in str(e):
                raise Gone from e
            raise

    def step(self):
        rnd = self.rnd
        a, b = rnd.choice(self.NAMES), rnd.choice(self.NAMES)
        op = rnd.choice(["SELECT", "SELECT", "CREATE", "CREATE", "RENAME", "RENAME", "DELETE", "INBOX", "COPY", "MOVE",
                         "any", "any", "any"])
        if op == "any":
            return super().step()
        if op == "SELECT":
            return self.select(a)
        if op in ("COPY", "MOVE"):
            return self.cmd(f"UID {op} 1:* {a}")
        return self.cmd({"CREATE": f"CREATE {a}", "DELETE": f"DELETE {a}", "INBOX": f"RENAME INBOX {a}",
                         "RENAME": f"RENAME {a} {b}"}[op])


NOMAD_GOOD = re.compile(
    rb"t\d+ (OK|NO \[(EXPUNGEISSUED|NONEXISTENT|ALREADYEXISTS|TRYCREATE|CANNOT|HASCHILDREN)\]"
    rb"|BAD (There are not that many|No mailbox is selected))")


def test_r119_names_change(shared_server, user):
    """Mailboxes are made, renamed and deleted under the sessions that have
    them selected: the count of each is right, and he whose mailbox goes is
    told BYE and finds all in order when he comes back."""
    seed = int(os.environ.get("SEED", random.randrange(10**9)))
    print("SEED=%d" % seed)
    end = time.time() + SECONDS
    wrong, byes = [], []

    def work(k):
        try:
            while time.time() < end and not wrong:
                with shared_server.imap(user) as conn:
                    try:
                        c = Nomad(conn, seed + k + 1000 * len(byes))
                        while time.time() < end and not wrong:
                            r = c.step()
                            if not NOMAD_GOOD.match(r):
                                wrong.append(r)
                    except Gone:
                        byes.append(k)
        except Exception as e:
            wrong.append(e)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(SESSIONS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong, wrong[:3]
    assert byes, "nobody's mailbox was deleted"
    with shared_server.imap(user) as c:
        for r in c.ok('LIST "" "*"'):
            name = r.split(b'"/" ')[1].decode()
            if b"\\Noselect" in r:
                continue
            count = int(re.search(rb"MESSAGES (\d+)", c.ok(f"STATUS {name} (MESSAGES)")[0]).group(1))
            c.ok(f"EXAMINE {name}")
            assert len(c.uids()) == count


def test_r120_each_change_once(shared_server, user):
    """What one session does, each that idles hears once, in order, within a
    second; he himself hears no echo."""
    watchers = [shared_server.imap(user) for _ in range(4)]
    with shared_server.imap(user) as c:
        c.append(b"Subject: x\r\n\r\n")
        c.select()
        for w in watchers:
            w.select()
            w.write(b"i IDLE\r\n")
            assert w.line().startswith(b"+")
            w.sock.settimeout(1)
        for i in range(20):
            got = c.ok(f"STORE 1 +FLAGS.SILENT (k{i})")
            assert not any(b"FETCH" in r for r in got)
            for w in watchers:
                while b"FETCH" not in (r := w.response()):
                    assert b"FLAGS" in r, r  # a new keyword
                assert re.search(rb"[( ]k%d[ )]" % i, r), r
        for i in range(10):
            c.append(b"Subject: y\r\n\r\n")
            for w in watchers:
                while b"EXISTS" not in (r := w.response()):
                    assert b"RECENT" in r, r
                assert r == b"* %d EXISTS" % (i + 2), r
        c.ok("STORE 1:* +FLAGS.SILENT (\\Deleted)")
        c.ok("EXPUNGE")
        for w in watchers:
            w.write(b"DONE\r\n")
            got, end = w.until("i")
            assert end.startswith(b"OK")
            kinds = collections.Counter(r.split()[2] for r in got)
            assert kinds[b"EXPUNGE"] == 11, kinds
            got, end = w.cmd("NOOP")
            assert got == [], got
            w.close()
