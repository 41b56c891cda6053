# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""Random histories of commands over several sessions, beside a small model,
with restarts in between. The model is a mailbox as a list of (uid, flags,
subject); mailboxes are made, renamed (INBOX too) and deleted under those who
have them selected; each session keeps the view that its untagged replies
give it.

What is checked after each step are the truths of docs/design.md: numbers
never fall, no UID means two messages, nothing comes back, views agree when
all have been told. R115 R118 R119 in small.
"""
import re

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from harness import Server, message

pytestmark = pytest.mark.xdist_group("property")
BOXES = ["INBOX", "Archive", "Trash"]
OWN = ["One", "Two", "Drei/Vier"]
ANY = BOXES + OWN
FLAGS = ["\\Seen", "\\Flagged", "\\Deleted", "\\Answered", "kw1", "$Kw2"]


class Box(list):
    """The messages of a mailbox, whatever it is called now."""

    def __init__(self):
        self.next = 1
        self.subject = {}  # of each UID that there ever was
        self.recent = {}  # UID -> the one selection that may see \Recent
        self.validity = None

    def add(self, subject, flags):
        uid = self.next
        self.next += 1
        self.append([uid, set(flags), subject])
        self.subject[uid] = subject
        return uid

    def keep(self, wanted):
        self[:] = [m for m in self if wanted(m)]


class Model:
    def __init__(self):
        self.box = {b: Box() for b in BOXES}
        self.subscribed = {"INBOX", "Archive", "Trash", "Drafts", "Junk", "Sent"}
        self.named = {}  # (name, UIDVALIDITY) -> Box, for ever


class Session:
    """An IMAP session and the view it has been told."""

    def __init__(self, server, user):
        self.server, self.user = server, user
        self.connect()

    def connect(self):
        self.c = self.server.imap(self.user)
        self.box = None
        self.view = []
        self.selection = object()

    def bye(self):
        """The mailbox that was selected is gone."""
        self.c.write(b"x NOOP\r\n")
        r = self.c.line()
        while not r.startswith(b"* BYE"):
            assert r.startswith(b"* "), r
            r = self.c.line()
        assert self.c.at_end()
        self.c.close()
        self.connect()

    def take(self, got, resync=True):
        for r in got:
            m = re.match(rb"\* (\d+) (EXISTS|EXPUNGE|FETCH)", r)
            if not m:
                continue
            n, what = int(m.group(1)), m.group(2)
            if what == b"EXPUNGE":
                assert 1 <= n <= len(self.view), (n, len(self.view))
                del self.view[n - 1]
            elif what == b"EXISTS":
                assert n >= len(self.view), "EXISTS fell without EXPUNGE"
                self.view += [None] * (n - len(self.view))
            else:
                assert 1 <= n <= len(self.view)
                u = re.search(rb"UID (\d+)", r)
                if u:
                    u = int(u.group(1))
                    assert self.view[n - 1] in (None, u), "a number means two messages"
                    self.view[n - 1] = u

    def cmd(self, text, no_expunge=False):
        got, end = self.c.cmd(text)
        if no_expunge:
            assert not any(re.match(rb"\* \d+ EXPUNGE", r) for r in got), (text, got)
        self.take(got)
        return got, end

    def select(self, name, box):
        self.view = []
        self.box = None
        got, end = self.c.cmd(f"SELECT {name}")
        if box is None:
            assert end.startswith(b"NO [NONEXISTENT]"), end
            return
        assert end.startswith(b"OK"), end
        self.box = box
        self.selection = object()
        self.take(got)


op = st.one_of(
    st.tuples(st.just("append"), st.integers(0, 2), st.sampled_from(ANY), st.sets(st.sampled_from(FLAGS))),
    st.tuples(st.just("deliver")),
    st.tuples(st.just("select"), st.integers(0, 2), st.sampled_from(BOXES + ANY)),
    st.tuples(st.just("store"), st.integers(0, 2), st.sampled_from(["+", "-", ""]), st.booleans(),
              st.integers(1, 6), st.integers(1, 6), st.sets(st.sampled_from(FLAGS), min_size=1)),
    st.tuples(st.just("expunge"), st.integers(0, 2)),
    st.tuples(st.just("uidexpunge"), st.integers(0, 2), st.integers(1, 8)),
    st.tuples(st.just("copy"), st.integers(0, 2), st.integers(1, 6), st.integers(1, 6), st.sampled_from(ANY)),
    st.tuples(st.just("move"), st.integers(0, 2), st.integers(1, 6), st.integers(1, 6), st.sampled_from(ANY)),
    st.tuples(st.just("noop"), st.integers(0, 2)),
    st.tuples(st.just("create"), st.integers(0, 2), st.sampled_from(OWN)),
    st.tuples(st.just("delete"), st.integers(0, 2), st.sampled_from(OWN)),
    st.tuples(st.just("rename"), st.integers(0, 2), st.sampled_from(OWN + ["INBOX"]), st.sampled_from(OWN)),
    st.tuples(st.just("subscribe"), st.integers(0, 2), st.booleans(), st.sampled_from(ANY)),
    st.tuples(st.just("idle"), st.integers(0, 2)),
    st.tuples(st.just("fetch"), st.integers(0, 2)),
    st.tuples(st.just("pop"), st.integers(1, 4)),
    st.tuples(st.just("restart"), st.integers(0, 30)),
)


@pytest.fixture(scope="module")
def office():
    s = Server(users=(), settings=["connections_per_account=1000"])
    s.start()
    yield s
    s.close()


_users = iter(range(100000))


class Run:
    def __init__(self, office):
        self.office = office
        self.user = f"prop{next(_users)}"
        office.add_user(self.user)
        self.model = Model()
        self.sessions = [Session(office, self.user) for _ in range(3)]
        self.step = 0

    def flags_of(self, got, n):
        for r in got:
            if r.startswith(b"* %d FETCH" % n):
                return r

    def do(self, op):
        getattr(self, "op_" + op[0])(*op[1:])

    def op_append(self, s, box, flags):
        s = self.sessions[s]
        self.step += 1
        name = f"s{self.step}"
        got, end = s.cmd([f"APPEND {box} ({' '.join(sorted(flags))}) ", message(name)])
        if box not in self.model.box:
            assert end.startswith(b"NO [TRYCREATE]"), end
            return
        m = re.match(rb"OK \[APPENDUID (\d+) (\d+)\]", end)
        assert m, end
        assert int(m.group(2)) == self.model.box[box].add(name, flags), "UIDs are handed out in order"

    def op_deliver(self):
        self.step += 1
        name = f"s{self.step}"
        self.office.deliver(message(name), self.user)
        self.model.box["INBOX"].add(name, ())

    def op_select(self, s, box):
        self.sessions[s].select(box, self.model.box.get(box))

    def uids_at(self, s, lo, hi):
        lo, hi = min(lo, hi), max(lo, hi)
        return [s.view[i - 1] for i in range(lo, hi + 1) if i <= len(s.view)]

    def op_store(self, s, sign, silent, lo, hi, flags):
        s = self.sessions[s]
        if s.box is None or not s.view:
            return
        self.learn(s)
        uids = self.uids_at(s, lo, hi)
        if not uids or max(lo, hi) > len(s.view):
            return
        got, end = s.cmd(f"STORE {min(lo, hi)}:{max(lo, hi)} {sign}FLAGS{'.SILENT' if silent else ''}"
                         f" ({' '.join(sorted(flags))})", no_expunge=True)
        assert end.startswith((b"OK", b"NO")), end
        for m in s.box:
            if m[0] in uids:
                if sign == "+":
                    m[1] |= flags
                elif sign == "-":
                    m[1] -= flags
                else:
                    m[1] = set(flags)

    def learn(self, s):
        """The view's UIDs, from the server; what came meanwhile is told at
        the end of one FETCH and learnt by the next."""
        for _ in range(2):
            if None in s.view:
                s.cmd("FETCH 1:* UID", no_expunge=True)
        assert None not in s.view

    def op_expunge(self, s):
        s = self.sessions[s]
        if s.box is None:
            return
        got, end = s.cmd("EXPUNGE")
        assert end.startswith(b"OK"), end
        s.box.keep(lambda m: "\\Deleted" not in m[1])

    def op_uidexpunge(self, s, uid):
        s = self.sessions[s]
        if s.box is None:
            return
        # A message that this session has not been told of is not in its set.
        known = uid in s.view or s.cmd("NOOP")[1] and (self.learn(s) or uid in s.view)
        got, end = s.cmd(f"UID EXPUNGE {uid}")
        assert end.startswith(b"OK"), end
        if known:
            s.box.keep(lambda m: not (m[0] == uid and "\\Deleted" in m[1]))

    def transfer(self, s, lo, hi, box, verb):
        s = self.sessions[s]
        if s.box is None or max(lo, hi) > len(s.view):
            return
        s.cmd("NOOP")
        self.learn(s)
        if max(lo, hi) > len(s.view):
            return
        uids = self.uids_at(s, lo, hi)
        got, end = s.cmd(f"{verb} {min(lo, hi)}:{max(lo, hi)} {box}")
        if box not in self.model.box:
            assert end.startswith(b"NO [TRYCREATE]"), (verb, box, end)
            return
        assert end.startswith(b"OK"), (verb, box, end)
        copied = [m for m in s.box if m[0] in uids]
        if verb == "MOVE":
            s.box.keep(lambda m: m[0] not in uids)
        for m in copied:
            self.model.box[box].add(m[2], m[1])

    def op_create(self, s, name):
        got, end = self.sessions[s].cmd(f"CREATE {name}")
        if name in self.model.box:
            assert end.startswith(b"NO [ALREADYEXISTS]"), end
            return
        assert end.startswith(b"OK [MAILBOXID"), end
        self.model.box[name] = Box()

    def op_delete(self, s, name):
        s = self.sessions[s]
        got, end = s.c.cmd(f"DELETE {name}")
        if name not in self.model.box:
            assert end.startswith(b"NO [NONEXISTENT]"), end
            s.take(got)
            return
        assert end.startswith(b"OK"), end
        box = self.model.box.pop(name)
        if s.box is box:
            assert any(b"[CLOSED]" in r for r in got), got
            s.box, s.view = None, []
        else:
            s.take(got)
        for other in self.sessions:
            if other.box is box:
                other.bye()

    def op_rename(self, s, old, new):
        box = self.model.box
        got, end = self.sessions[s].cmd(f"RENAME {old} {new}")
        if old not in box:
            assert end.startswith(b"NO [NONEXISTENT]"), end
        elif new in box:
            assert end.startswith(b"NO [ALREADYEXISTS]"), end
        else:
            assert end.startswith(b"OK"), end
            if old == "INBOX":  # its messages go, it stays (RFC 9051 6.3.6)
                box[new] = Box()
                for m in box["INBOX"]:
                    box[new].add(m[2], m[1])
                box["INBOX"].keep(lambda m: False)
            else:
                box[new] = box.pop(old)

    def op_subscribe(self, s, yes, name):
        got, end = self.sessions[s].cmd(f"{'' if yes else 'UN'}SUBSCRIBE {name}")
        assert end.startswith(b"OK"), end
        (self.model.subscribed.add if yes else self.model.subscribed.discard)(name)

    def op_idle(self, s):
        """What comes while a session idles, comes at once."""
        s = self.sessions[s]
        if s.box is None:
            return
        s.c.write(b"i IDLE\r\n")
        got = []
        while not (r := s.c.response()).startswith(b"+"):
            got.append(r)
        self.op_deliver()
        while s.box is self.model.box["INBOX"] and not re.match(rb"\* %d EXISTS" % len(s.box), r):
            r = s.c.response()
            got.append(r)
        s.c.write(b"DONE\r\n")
        more, end = s.c.until("i")
        assert end.startswith(b"OK"), end
        s.take(got + more)

    def op_copy(self, s, lo, hi, box):
        self.transfer(s, lo, hi, box, "COPY")

    def op_move(self, s, lo, hi, box):
        self.transfer(s, lo, hi, box, "MOVE")

    def op_noop(self, s):
        self.sessions[s].cmd("NOOP")

    def op_fetch(self, s):
        s = self.sessions[s]
        if s.box is not None and s.view:
            got, end = s.cmd("FETCH 1:* (UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])", no_expunge=True)
            assert end.startswith((b"OK", b"NO")), end
            for r in got:
                m = re.search(rb"UID (\d+).*Subject: a test (\S+)\r\n", r, re.S)
                if m:
                    uid = int(m.group(1))
                    assert s.box.subject[uid] == m.group(2).decode()
                    if b"\\Recent" in r:
                        assert s.box.recent.setdefault(uid, s.selection) is s.selection, (uid, r)

    def op_pop(self, n):
        with self.office.pop3(self.user) as c:
            have = int(c.ask("STAT").split()[1])
            assert have == len(self.model.box["INBOX"])
            if n <= have:
                assert c.ask(f"DELE {n}").startswith(b"+OK")
            assert c.ask("QUIT").startswith(b"+OK")
            if n <= have:
                del self.model.box["INBOX"][n - 1]

    def op_restart(self, chance):
        if chance != 0:
            return
        for s in self.sessions:
            s.c.close()
        self.office.restart()
        boxes = [s.box for s in self.sessions]
        self.sessions = [Session(self.office, self.user) for _ in range(3)]
        for s, b in zip(self.sessions, boxes):
            for name, box in self.model.box.items():
                if box is b:
                    s.select(name, box)

    def check(self):
        """All have been told: every view, and a fresh session, agree with
        the model."""
        for s in self.sessions:
            if s.box is not None:
                s.cmd("NOOP")
                self.learn(s) if s.view else None
                assert s.view == [m[0] for m in s.box]
        with self.office.imap(self.user) as c:
            for box in OWN:
                if box not in self.model.box:
                    c.no(f"STATUS {box} (MESSAGES)", code="NONEXISTENT")
            got = {r.split(b'"/" ')[1].strip(b'"').decode() for r in c.ok('LSUB "" *')}
            assert got == self.model.subscribed
            for box, want in self.model.box.items():
                got = c.ok(f"STATUS {box} (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)")[0]
                assert f"MESSAGES {len(want)} UIDNEXT {want.next} ".encode() in got, (got, want)
                validity = int(re.search(rb"UIDVALIDITY (\d+)", got).group(1))
                assert want.validity in (None, validity), "UIDVALIDITY changed by itself"
                want.validity = validity
                assert self.model.named.setdefault((box, validity), want) is want, "two mailboxes, one UIDVALIDITY"
                unseen = sum("\\Seen" not in m[1] for m in want)
                assert f"UNSEEN {unseen})".encode() in got, (got, want)
                c.ok(f"EXAMINE {box}")
                rows = c.ok("UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])") if want else []
                rows = [r for r in rows if b"FETCH" in r]
                assert len(rows) == len(want)
                for r, m in zip(rows, want):
                    assert b"UID %d " % m[0] in r or b"UID %d)" % m[0] in r
                    flags = set(re.search(rb"FLAGS \(([^)]*)\)", r).group(1).decode().split()) - {"\\Recent"}
                    assert {f.lower() for f in flags} == {f.lower() for f in m[1]}, (r, m)
                    assert f"Subject: a test {m[2]}\r\n".encode() in r

    def close(self):
        for s in self.sessions:
            s.c.close()


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(ops=st.lists(op, min_size=5, max_size=40))
def test_histories(office, ops):
    run = Run(office)
    try:
        for i, o in enumerate(ops):
            run.do(o)
            if i % 8 == 7:
                run.check()
        run.check()
    finally:
        run.close()


