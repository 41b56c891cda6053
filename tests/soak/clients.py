# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""Clients that do random work by a seed, and record all they see."""
import hashlib
import random
import re
import socket
import threading
import time

from harness import Imap, Line, Lmtp, stuff

FLAGS = ["\\Seen", "\\Flagged", "\\Answered", "\\Deleted", "\\Draft", "kw1", "$Kw2"]
FIXED = ["INBOX", "Store"]
CHURN = ["One", "Two", "Three"]
FIELDS = "BODY.PEEK[HEADER.FIELDS (X-SOAK)]"
LOST = (OSError, EOFError, ValueError)
PATIENCE = 40


def mail(rng, mid):
    """A message that tells its id, and whose bytes are known."""
    size = rng.choice([0, 200, 1000, 1000, 4000, 4000, 20000, 150000 if rng.random() < 0.2 else 300])
    lines = [f"X-Soak: {mid}", f"From: <s{rng.randrange(9)}@example.org>", f"Subject: soak {mid}",
             f"Message-ID: <{mid}@example.org>", "Date: Mon, 02 Jan 2006 15:04:05 +0100", ""]
    body = []
    while size > 0:
        x = "." * (rng.random() < 0.1) + "%x" % rng.getrandbits(4 * rng.randrange(2, 70))
        body.append(x)
        size -= len(x) + 2
    return "\r\n".join(lines + body + [""]).encode()


def known(text):
    """(mid, sha) of a message; what a server put before it is left out."""
    at = re.search(rb"(?im)^X-Soak: (\S+)\r\n", text)
    if not at:
        return "?", ""
    for line in re.sub(rb"\r\n[ \t]", b" ", text[:at.start()]).split(b"\r\n"):
        if line and not re.match(rb"(?i)(Return-Path|Delivered-To|Received):", line):
            return "?", ""
    return at.group(1).decode("latin-1"), hashlib.sha256(text[at.start():]).hexdigest()[:20]


class Gone(Exception):
    """The connection is lost, or the server said BYE."""


class Client(threading.Thread):
    """One client: steps until told to stop; logs in again when it must."""

    def __init__(self, soak, name, acct, tls, seed):
        super().__init__(daemon=True, name=name)
        self.soak, self.rec, self.acct, self.tls = soak, soak.rec, acct, tls
        self.rng = random.Random(seed)
        self.conn, self.s, self.count, self.mids = None, None, 0, 0
        self.quiet = threading.Event()
        self.error = None
        self.busy_since = None

    def mid(self):
        self.mids += 1
        return f"{self.name}-{self.mids}"

    def run(self):
        try:
            while not self.soak.ended.is_set():
                if self.soak.pause.is_set():
                    self.quiet.set()
                    self.soak.resume.wait(0.2)
                    continue
                self.quiet.clear()
                self.busy_since = time.monotonic()
                try:
                    if self.conn is None:
                        self.login()
                    self.step()
                    if self.rng.random() < 0.6:
                        time.sleep(self.rng.random() * self.soak.rest)
                except Gone:
                    self.drop()
                except LOST as e:
                    if isinstance(e, socket.timeout) and not self.soak.trouble(self.busy_since):
                        self.rec.put("stuck", s=self.s or self.name, x=repr(e))
                    self.drop()
                    time.sleep(0.05 + self.rng.random() * 0.2)
                self.busy_since = None
        except BaseException as e:  # told by the soak
            self.error = e
        finally:
            self.quiet.set()

    def opened(self, proto):
        self.count += 1
        self.s = f"{self.name}.{self.count}"
        self.rec.put("open", s=self.s, acct=self.acct, proto=proto)

    def drop(self):
        if self.s:
            self.rec.put("shut", s=self.s)
            self.s = None
        conn, self.conn = self.conn, None
        if conn:
            conn.close()
        # LOGIN is the only work that a lost connection costs much.

    def cut(self):
        """By the nemesis: the connection breaks."""
        conn = self.conn
        if conn:
            try:
                conn.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def number_set(ns):
    """As a client writes it: runs where there are any."""
    out, ns = [], sorted(ns)
    for n in ns:
        if out and out[-1][1] == n - 1:
            out[-1][1] = n
        else:
            out.append([n, n])
    return ",".join(str(a) if a == b else f"{a}:{b}" for a, b in out)


def numbers(text):
    out = []
    for x in text.split(","):
        a, _, b = x.partition(":")
        lo, hi = sorted((int(a), int(b or a)))
        out += range(lo, hi + 1)
    return out


class ImapClient(Client):
    """The whole of IMAP that changes something, on its account's mailboxes."""

    boxes = FIXED + CHURN

    def login(self):
        c = Imap(self.soak.ports["imaps" if self.tls else "imap"], self.tls, timeout=PATIENCE)
        self.conn = c
        c.response()
        got, end = c.cmd(f'LOGIN {self.acct} "{self.soak.password}"')
        if not end.startswith(b"OK"):
            raise Gone
        self.opened("imap")
        self.box = self.uv = None
        self.map = []
        self.running = None
        self.read_only = False

    # -- one command --
    def untagged(self, r):
        m = re.match(rb"\* (\d+) (EXISTS|EXPUNGE|FETCH)", r)
        if m:
            n, k = int(m.group(1)), m.group(2).decode().lower()
            row = {"n": n}
            if k == "exists":
                self.map += [None] * (n - len(self.map))
            elif k == "expunge":
                if 1 <= n <= len(self.map):
                    del self.map[n - 1]
            else:
                self.fetched(r[m.end():], row)
                if "uid" in row and 1 <= n <= len(self.map):
                    self.map[n - 1] = row["uid"]
            self.rec.put("unt", s=self.s, k=k, **row)
            return row if k == "fetch" else None
        m = re.match(rb"\* SEARCH((?: \d+)*)", r)
        if m:
            self.rec.put("unt", s=self.s, k="search", ids=[int(x) for x in m.group(1).split()])
        elif r.startswith(b"* BYE"):
            self.rec.put("unt", s=self.s, k="bye", x=r.decode("latin-1"))
            raise Gone
        elif r.startswith(b"* OK [") or r.startswith(b"* STATUS") or r.startswith(b"* LIST"):
            self.said.append(r.decode("latin-1"))
        return None

    def fetched(self, rest, row):
        lit = re.search(rb"(BODY\[[^]]*\]) \{(\d+)\}\r\n", rest)
        if lit:
            text = rest[lit.end():lit.end() + int(lit.group(2))]
            whole = lit.group(1) == b"BODY[]"
            row["mid"], sha = known(text)
            if whole:
                row["sha"] = sha
            rest = rest[:lit.start()] + rest[lit.end() + len(text):]
        for k, rx in (("uid", rb"\bUID (\d+)"), ("size", rb"RFC822\.SIZE (\d+)"), ("modseq", rb"MODSEQ \((\d+)\)")):
            m = re.search(rx, rest)
            if m:
                row[k] = int(m.group(1))
        m = re.search(rb"FLAGS \(([^)]*)\)", rest)
        if m:
            row["flags"] = [x for x in m.group(1).decode("latin-1").split() if x != "\\Recent"]

    def do(self, o, line, literal=None, **args):
        """Sends, records; (result, text, rows of FETCH). Gone when there is
        no answer."""
        c = self.conn
        self.said = []
        rows = []
        c.count += 1
        tag = f"t{c.count}"
        i = self.rec.invoke(self.s, o, **args)
        self.running = i
        try:
            if literal is None:
                c.write(f"{tag} {line}\r\n")
            elif self.rng.random() < 0.5:
                c.write(f"{tag} {line} {{{len(literal)}+}}\r\n".encode() + literal + b"\r\n")
            else:
                c.write(f"{tag} {line} {{{len(literal)}}}\r\n")
                while not (r := c.response()).startswith(b"+"):
                    if r.startswith(tag.encode()):
                        return self.tagged(i, o, r[len(tag) + 1:], rows)
                    self.untagged(r)
                c.write(literal + b"\r\n")
            while True:
                r = c.response()
                if r.startswith(tag.encode() + b" "):
                    return self.tagged(i, o, r[len(tag) + 1:], rows)
                row = self.untagged(r)
                if row:
                    rows.append(row)
        except (Gone, *LOST) as e:
            self.rec.end(i, "unk", repr(e))
            raise

    def tagged(self, i, o, r, rows):
        text = r.decode("latin-1")
        word = text.split(" ", 1)[0].lower()
        what = {}
        if word == "ok" and o == "append":
            m = re.search(r"APPENDUID (\d+) (\d+)", text)
            if m:
                what = dict(uv=int(m[1]), uid=int(m[2]))
        elif o in ("copy", "move"):
            for t in self.said + [text]:
                m = re.search(r"COPYUID (\d+) ([\d:,]+) ([\d:,]+)", t)
                if m:
                    what = dict(uv=int(m[1]), src=numbers(m[2]), dst=numbers(m[3]))
        elif o in ("select", "examine"):
            for t in self.said:
                for k, rx in (("uv", r"\[UIDVALIDITY (\d+)"), ("uidnext", r"\[UIDNEXT (\d+)"),
                              ("modseq", r"\[HIGHESTMODSEQ (\d+)")):
                    m = re.search(rx, t)
                    if m:
                        what[k] = int(m[1])
        elif o == "status":
            for t in self.said:
                for k, rx in (("messages", r"MESSAGES (\d+)"), ("uidnext", r"UIDNEXT (\d+)"),
                              ("uv", r"UIDVALIDITY (\d+)"), ("unseen", r"UNSEEN (\d+)"), ("size", r"\bSIZE (\d+)")):
                    m = re.search(rx, t)
                    if m:
                        what[k] = int(m[1])
        # Whether it happened is not said by these.
        if word == "no" and o not in ("select", "examine", "status", "fetch", "search") and \
                re.search(r"UNAVAILABLE|SERVERBUG|INUSE|Internal error", text):
            word = "unk"
        self.rec.end(i, word, text, **what)
        self.running = None
        return word, text, rows, what

    # -- its work --
    def select(self, box, how="SELECT"):
        self.map, self.box, self.uv = [], None, None
        word, text, _, what = self.do(how.lower(), f'{how} "{box}"', box=box)
        if word != "ok":
            if "TRYCREATE" not in text and "NONEXISTENT" not in text:
                time.sleep(0.05)
            return False
        self.box, self.uv, self.read_only = box, what["uv"], how == "EXAMINE"
        self.learn()
        return True

    def learn(self):
        """The UIDs of what is new, and what they are."""
        if None not in self.map:
            return
        first = self.map.index(None) + 1
        self.do("fetch", f"FETCH {first}:* (UID FLAGS {FIELDS})", all=first == 1)

    def some(self, most=6):
        known_ = [u for u in self.map if u is not None]
        return sorted(self.rng.sample(known_, min(len(known_), self.rng.randint(1, most))))

    def target(self, uids):
        """By numbers or by UIDs: (prefix, set, args)."""
        if self.rng.random() < 0.5:
            return "UID ", number_set(uids), dict(uids=uids, uid=True)
        ns = [self.map.index(u) + 1 for u in uids]
        return "", number_set(ns), dict(uids=uids)

    def step(self):
        rng = self.rng
        if self.box is None:
            if not self.select(rng.choice(self.boxes), rng.choice(["SELECT"] * 5 + ["EXAMINE"])):
                self.name_work()
            return
        self.learn()
        known_ = sum(u is not None for u in self.map)
        x = rng.random()
        if x < 0.10:
            self.append()
        elif x < 0.36 and known_:
            self.store()
        elif x < 0.46 and known_:
            self.read()
        elif x < 0.51 and known_:
            flag = rng.choice(FLAGS)
            u = rng.random() < 0.5
            key = {"kw1": "KEYWORD kw1", "$Kw2": "KEYWORD $Kw2"}.get(flag, flag[1:].upper())
            self.do("search", ("UID " if u else "") + "SEARCH " + key, uid=u, flag=flag)
        elif x < 0.58 and known_:
            self.copy_move(rng.choice(["COPY", "MOVE"]))
        elif x < 0.66:
            self.expunge()
        elif x < 0.72:
            self.do("noop", rng.choice(["NOOP", "CHECK"]))
        elif x < 0.78:
            self.idle()
        elif x < 0.83:
            box = rng.choice(self.boxes)
            self.do("status", f'STATUS "{box}" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)', box=box)
        elif x < 0.87:
            self.name_work()
        elif x < 0.89:
            self.leave()
        elif x < 0.90:
            self.logout()
        else:
            self.select(rng.choice(self.boxes + ["INBOX"]), rng.choice(["SELECT"] * 5 + ["EXAMINE"]))
        if known_ > 120 and not self.read_only:
            uids = self.some(60)
            p, n, args = self.target(uids)
            self.do("store", f"{p}STORE {n} +FLAGS.SILENT (\\Deleted)", mode="+", flags=["\\Deleted"], **args)
            self.expunge()

    def append(self, box=None):
        mid = self.mid()
        text = mail(self.rng, mid)
        box = box or self.rng.choice(self.boxes)
        flags = self.rng.sample(FLAGS, self.rng.randint(0, 2))
        self.do("append", f'APPEND "{box}" ({" ".join(flags)})', text, box=box, flags=flags, mid=mid,
                sha=known(text)[1], size=len(text))

    def store(self):
        p, n, args = self.target(self.some())
        mode = self.rng.choice(["+", "+", "-", ""])
        silent = self.rng.choice(["", ".SILENT"])
        flags = self.rng.sample(FLAGS, self.rng.randint(0 if mode == "" else 1, 3))
        self.do("store", f"{p}STORE {n} {mode}FLAGS{silent} ({' '.join(flags)})", mode=mode, flags=flags, **args)

    def read(self):
        p, n, args = self.target(self.some(8))
        seen = self.rng.random() < 0.3
        what = self.rng.choice(["FLAGS", "FLAGS", "BODY.PEEK[]", f"FLAGS {FIELDS}"])
        if seen:
            what = "BODY[]"
        self.do("fetch", f"{p}FETCH {n} (UID {what})", seen=seen, **args)

    def copy_move(self, what):
        if what == "MOVE" and self.read_only:
            what = "COPY"
        p, n, args = self.target(self.some(4))
        to = self.rng.choice(self.boxes)
        word, text, _, _ = self.do(what.lower(), f'{p}{what} {n} "{to}"', to=to, **args)

    def expunge(self):
        known_ = [u for u in self.map if u is not None]
        if known_ and self.rng.random() < 0.4:
            uids = self.some(10)
            self.do("expunge", f"UID EXPUNGE {number_set(uids)}", uids=uids, uid=True)
        else:
            self.do("expunge", "EXPUNGE")

    def leave(self):
        if self.rng.random() < 0.5 or "UNSELECT" not in self.soak.caps:
            self.do("close", "CLOSE")
        else:
            self.do("unselect", "UNSELECT")
        self.box = self.uv = None
        self.map = []

    def logout(self):
        try:
            self.do("logout", "LOGOUT")
        except (Gone, *LOST):
            pass
        raise Gone

    def name_work(self):
        rng = self.rng
        a, b = rng.sample(CHURN, 2)
        if self.box in CHURN:
            return  # under oneself it is another test's work
        k = rng.random()
        if k < 0.55:
            self.do("create", f'CREATE "{a}"', box=a)
        elif k < 0.75:
            self.do("delete", f'DELETE "{a}"', box=a)
        else:
            self.do("rename", f'RENAME "{a}" "{b}"', box=a, to=b)

    def idle(self):
        c = self.conn
        c.count += 1
        tag = f"t{c.count}"
        i = self.rec.invoke(self.s, "idle")
        self.said = []
        try:
            c.write(f"{tag} IDLE\r\n")
            while not (r := c.response()).startswith(b"+"):
                self.untagged(r)
            end = time.monotonic() + self.rng.random() * 0.6
            while (left := end - time.monotonic()) > 0 and not self.soak.pause.is_set():
                if not c.buf and not self.readable(min(left, 0.1)):
                    continue
                self.untagged(c.response())
            c.write("DONE\r\n")
            while not (r := c.response()).startswith(tag.encode() + b" "):
                self.untagged(r)
            self.tagged(i, "idle", r[len(tag) + 1:], [])
        except (Gone, *LOST) as e:
            self.rec.end(i, "unk", repr(e))
            raise

    def readable(self, wait):
        c = self.conn
        if self.tls and c.sock.pending():
            return True
        c.sock.settimeout(wait)
        try:
            c.fill()
            return True
        except socket.timeout:
            return False
        finally:
            c.sock.settimeout(PATIENCE)

    def at_checkpoint(self, n):
        """What this session sees when all is quiet."""
        if self.conn is None or self.box is None:
            return
        try:
            self.do("noop", "NOOP")
            self.do("noop", "NOOP")
            rows = []
            if self.map:
                _, _, rows, _ = self.do("fetch", f"FETCH 1:* (UID FLAGS {FIELDS})")
            msgs = [[r["uid"], r.get("flags", []), r.get("mid")] for r in rows if "uid" in r and "mid" in r]
            self.rec.put("view", n=n, how="session", acct=self.acct, box=self.box, uv=self.uv, s=self.s, msgs=msgs)
        except (Gone, *LOST):
            self.drop()


class Mover(ImapClient):
    """Only moves, between two mailboxes: nothing is ever lost or doubled."""
    boxes = ["Left", "Right"]

    def step(self):
        if self.box is None:
            self.select(self.rng.choice(self.boxes))
            return
        self.learn()
        x = self.rng.random()
        if x < 0.04 and self.mids < 60:
            self.append(self.rng.choice(self.boxes))
        elif x < 0.7 and any(self.map):
            self.move()
        elif x < 0.8:
            self.do("noop", "NOOP")
        else:
            self.select(self.rng.choice(self.boxes))

    def append(self, box=None):
        mid = self.mid()
        text = mail(self.rng, mid)
        self.do("append", f'APPEND "{box}"', text, box=box, flags=[], mid=mid, sha=known(text)[1], size=len(text))

    def move(self):
        p, n, args = self.target(self.some(8))
        to = "Right" if self.box == "Left" else "Left"
        self.do("move", f'{p}MOVE {n} "{to}"', to=to, **args)


class Pop3Client(Client):
    """Drains, deletes some, quits; or resets, or just goes."""

    def login(self):
        c = Line(self.soak.ports["pop3s" if self.tls else "pop3"], self.tls, timeout=PATIENCE)
        self.conn = c
        c.line()

    def step(self):
        c, rng = self.conn, self.rng
        i = self.rec.invoke(self.s or self.name, "pop3", acct=self.acct)
        try:
            c.ask(f"USER {self.acct}")
            said = c.ask(f"PASS {self.soak.password}")
            if not said.startswith(b"+OK"):
                self.rec.end(i, "no", said.decode("latin-1"))
                time.sleep(rng.random() * 0.2)
                raise Gone
            if not c.ask("UIDL").startswith(b"+OK"):
                self.rec.end(i, "no", "UIDL")
                raise Gone
            rows = []
            for line in c.multiline():
                n, uidl = line.decode().split(" ")
                rows.append([*self.soak.uidl(uidl), uidl])
            self.rec.end(i, "ok", rows=rows)
        except LOST as e:
            self.rec.end(i, "unk", repr(e))
            raise
        self.opened("pop3")
        self.work(rows)
        self.drop()
        time.sleep(rng.random() * 0.4)

    def retr(self, n, row):
        c = self.conn
        i = self.rec.invoke(self.s, "retr", uid=row[0], uv_=row[1])
        try:
            first = c.ask(f"RETR {n}")
            if not first.startswith(b"+OK"):
                self.rec.end(i, "no", first.decode("latin-1"))
                return False
            mid, sha = known(b"".join(x + b"\r\n" for x in c.multiline()))
            self.rec.end(i, "ok", mid=mid, sha=sha, uv=row[1])
            return True
        except LOST as e:
            self.rec.end(i, "unk", repr(e))
            raise

    def work(self, rows):
        c, rng = self.conn, self.rng
        dele = []
        for n, row in enumerate(rows, 1):
            # Only what somebody has seen is deleted: all else must be there.
            if rng.random() < 0.5 and self.retr(n, row) and rng.random() < (0.6 if len(rows) > 20 else 0.2):
                if c.ask(f"DELE {n}").startswith(b"+OK"):
                    dele.append(row[:2])
        x = rng.random()
        if x < 0.1:
            if c.ask("RSET").startswith(b"+OK"):
                dele = []
        if x > 0.85:
            return  # without QUIT nothing is deleted
        i = self.rec.invoke(self.s, "quit", dele=dele)
        try:
            r = c.ask("QUIT")
            self.rec.end(i, "ok" if r.startswith(b"+OK") else "unk", r.decode("latin-1"))
        except LOST as e:
            self.rec.end(i, "unk", repr(e))
            raise

    def at_checkpoint(self, n):
        self.drop()


class LmtpClient(Client):
    """One message to one or several recipients, one of whom may not exist."""

    def login(self):
        self.conn = Lmtp(self.soak.ports["lmtp"], timeout=PATIENCE)
        self.conn.reply()
        self.conn.lhlo()
        self.opened("lmtp")

    def step(self):
        rng, c = self.rng, self.conn
        people = self.soak.delivered_to + ["nobody"]
        to = rng.sample(people, rng.choice([1, 1, 2, len(people)]))
        mid = self.mid()
        text = mail(rng, mid)
        i = self.rec.invoke(self.s, "lmtp", mid=mid, to=to, sha=known(text)[1], size=len(text))
        replies = {}
        try:
            code, said = c.ask("MAIL FROM:<soak@example.org>")
            if code != 250:
                self.rec.end(i, "no", said, replies={t: 500 for t in to})
                raise Gone
            good = []
            for t in to:
                code, said = c.ask(f"RCPT TO:<{t}>")
                if code == 250:
                    good.append(t)
                else:
                    # Nothing has been sent yet: it is surely not delivered.
                    replies[t] = 500
            if good:
                if "CHUNKING" in c.extensions and rng.random() < 0.5:
                    cut = rng.randrange(len(text))
                    c.write(b"BDAT %d\r\n" % cut + text[:cut])
                    first = c.reply()
                    if first[0] != 250:
                        self.rec.end(i, "no", first[1], replies={t: first[0] for t in to})
                        raise Gone
                    c.write(b"BDAT %d LAST\r\n" % (len(text) - cut) + text[cut:])
                else:
                    code, said = c.ask("DATA")
                    if code != 354:
                        self.rec.end(i, "no", said, replies={t: 500 for t in to})
                        raise Gone
                    c.write(stuff(text))
                for t in good:
                    replies[t] = c.reply()[0]
            else:
                c.ask("RSET")
            self.rec.end(i, "ok", replies=replies)
        except LOST as e:
            self.rec.end(i, "unk", repr(e), replies=replies)
            raise
        time.sleep(rng.random() * self.soak.lmtp_rest)

    def at_checkpoint(self, n):
        pass
