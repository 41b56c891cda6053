# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""Each invariant of the checker bites: a small good history, changed a little
each time, must make it name that invariant. R115 R117 R118 R119"""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
import checker  # noqa: E402
import linear  # noqa: E402
from linear import Op  # noqa: E402


class Story:
    """A history, a tick of a second each line; sessions that see what they
    are told to see."""

    def __init__(self):
        self.rows, self.t, self.i = [], 0.0, 0
        self.put("strict", yes=True)
        self.put("names", acct="ann", boxes=[])

    def put(self, e, **rest):
        self.t += 1
        row = dict(rest, e=e, t=self.t)
        self.rows.append(row)
        return row

    def inv(self, s, o, **rest):
        self.i += 1
        self.put("inv", i=self.i, s=s, o=o, **rest)
        return self.i

    def end(self, i, r="ok", x="", **rest):
        self.put("end", i=i, r=r, x=x, **rest)

    def op(self, s, o, r="ok", x="", said=(), answer=None, **rest):
        i = self.inv(s, o, **rest)
        for k, what in said:
            self.put("unt", s=s, k=k, **what)
        self.end(i, r, x, **(answer or {}))
        return i


def good():
    """ann has two sessions, POP3, and mail by LMTP; moves go to Left and
    Right of sue."""
    h = Story()
    put, op = h.put, h.op
    put("bank", acct="sue", boxes=["Left", "Right"])
    put("open", s="a", acct="ann", proto="imap")
    put("open", s="b", acct="ann", proto="imap")
    put("open", s="l", acct=None, proto="lmtp")
    put("open", s="m", acct="sue", proto="imap")
    op("a", "append", box="INBOX", flags=["\\Flagged"], mid="m1", sha="s1", size=10, answer=dict(uv=7, uid=1))
    op("l", "lmtp", mid="m2", to=["ann", "nobody"], sha="s2", size=20, answer=dict(replies={"ann": 250, "nobody": 550}))
    for s in "ab":
        op(s, "select", box="INBOX", said=[("exists", dict(n=2))], answer=dict(uv=7, uidnext=3, modseq=9))
        op(s, "fetch", all=True, said=[
            ("fetch", dict(n=1, uid=1, flags=["\\Flagged"], mid="m1", modseq=5)),
            ("fetch", dict(n=2, uid=2, flags=[], mid="m2", sha="s2", modseq=6))])
    op("a", "store", uids=[2], mode="+", flags=["kw1"], since=6, uid=True,
       said=[("fetch", dict(n=2, uid=2, flags=["kw1"], modseq=7))])
    op("b", "store", uids=[2], mode="+", flags=["$Kw2"], since=6, uid=True, answer=dict(modified=[2]))
    op("b", "store", uids=[2], mode="+", flags=["$Kw2"], uid=True)
    op("a", "search", flag="kw1", uid=True, said=[("search", dict(ids=[2]))])
    op("a", "noop", said=[("fetch", dict(n=2, flags=["kw1", "$Kw2"], modseq=8))])
    op("a", "copy", uids=[1], to="Store", uid=True, answer=dict(uv=8, src=[1], dst=[1]))
    op("a", "store", uids=[1], mode="+", flags=["\\Deleted"], uid=True)
    op("a", "expunge", said=[("expunge", dict(n=1))])
    op("b", "noop", said=[("expunge", dict(n=1))])
    op("b", "fetch", uids=[2], said=[("fetch", dict(n=1, uid=2, flags=["kw1", "$Kw2"], modseq=8))])
    op("a", "create", box="One")
    op("a", "status", box="One", answer=dict(uv=9, uidnext=1, messages=0))
    op("a", "create", r="no", x="NO [ALREADYEXISTS]", box="One")
    op("a", "rename", box="One", to="Two")
    op("a", "delete", box="Two")
    op("a", "status", r="no", x="NO [NONEXISTENT]", box="Two")
    op("a", "status", box="INBOX", answer=dict(uv=7, uidnext=3, messages=1, modseq=11))
    op("b", "select", box="INBOX", said=[("exists", dict(n=1))], answer=dict(uv=7, uidnext=3, modseq=11))
    op("b", "fetch", all=True, said=[("fetch", dict(n=1, uid=2, flags=["kw1", "$Kw2"], mid="m2"))])
    op("m", "append", box="Left", flags=[], mid="m3", sha="s3", size=30, answer=dict(uv=4, uid=1))
    op("m", "select", box="Left", said=[("exists", dict(n=1))], answer=dict(uv=4, uidnext=2))
    op("m", "fetch", all=True, said=[("fetch", dict(n=1, uid=1, flags=[], mid="m3"))])
    op("m", "move", uids=[1], to="Right", uid=True, said=[("expunge", dict(n=1))],
       answer=dict(uv=5, src=[1], dst=[1]))
    i = h.inv("l", "lmtp", mid="m4", to=["ann"], sha="s4", size=5)
    h.end(i, "unk")
    i = h.inv("a", "store", uids=[2], mode="-", flags=["kw1"], uid=True)
    h.end(i, "unk")
    put("shut", s="a")
    put("ckpt", n=1)
    put("view", n=1, how="session", acct="ann", box="INBOX", uv=7, s="b", msgs=[[2, ["kw1", "$Kw2"], "m2"]])
    put("view", n=1, how="qresync", acct="ann", box="INBOX", uv=7, s="q", msgs=[[2, ["$Kw2", "kw1"], "m2"]])
    put("view", n=1, how="fresh", acct="ann", box="INBOX", uv=7, uidnext=3,
        msgs=[[2, ["kw1", "$Kw2", "\\Recent"], "m2", "s2", 20]])
    put("view", n=1, how="fresh", acct="ann", box="Store", uv=8, uidnext=2, msgs=[[1, ["\\Flagged"], "m1", "s1", 10]])
    put("view", n=1, how="pop3", acct="ann", box="INBOX", uv=7, msgs=[[2, [], "m2"]])
    put("view", n=1, how="fresh", acct="sue", box="Left", uv=4, uidnext=2, msgs=[])
    put("view", n=1, how="fresh", acct="sue", box="Right", uv=5, uidnext=2, msgs=[[1, [], "m3", "s3", 30]])
    put("status", n=1, acct="ann", box="INBOX", uv=7, messages=1, unseen=1, uidnext=3, size=20)
    put("list", n=1, acct="ann", boxes=[["INBOX", 7], ["Store", 8]])
    put("verify", n=1, faults=0, text="")
    put("ckpt", n=2)
    put("list", n=2, acct="ann", boxes=[["INBOX", 7], ["Store", 8]])
    return h.rows


def rules(rows):
    return {f[0] for f in checker.check(rows).faults}


def find(rows, **what):
    return [r for r in rows if all(r.get(k) == v for k, v in what.items())]


def test_the_good_one_is_good():
    c = checker.check(good())
    assert c.faults == []
    assert c.counts["copies"] == 5 and c.counts["undecided"] == 0


def drop(rows, r):
    rows.remove(r)


def lost(rows):
    """I1: the acknowledged copy in Store is not there."""
    find(rows, e="view", box="Store")[0]["msgs"] = []


def mailbox_lost(rows):
    find(rows, e="list", n=2)[0]["boxes"] = [["INBOX", 7]]


def told_gone(rows):
    """I1: a session is told of an expunge that nobody made."""
    i = rows.index(find(rows, e="ckpt", n=1)[0])
    t = rows[i]["t"] - 0.9
    rows[i:i] = [dict(e="inv", i=90, s="b", o="noop", t=t), dict(e="unt", s="b", k="expunge", n=1, t=t + 0.1),
                 dict(e="end", i=90, r="ok", x="", t=t + 0.2)]


def unsent(rows):
    find(rows, e="view", box="Store")[0]["msgs"].append([2, [], "m99", "s99", 1])


def other_bytes(rows):
    find(rows, e="view", box="Store")[0]["msgs"][0][3] = "not s1"


def elsewhere(rows):
    """I2: ann's mail is with sue."""
    find(rows, e="view", box="Right")[0]["msgs"].append([2, [], "m2", "s2", 20])


def refused_is_there(rows):
    find(rows, e="end", i=1)[0]["r"] = "no"


def twice(rows):
    """I3: a delivery without an answer made two."""
    for v in find(rows, e="view", box="INBOX", n=1):
        v["msgs"] += [[3, [], "m4"] + (["s4", 5] if v["how"] == "fresh" else []),
                      [4, [], "m4"] + (["s4", 5] if v["how"] == "fresh" else [])]
    find(rows, e="status", n=1)[0].update(messages=3, unseen=3, size=30)


def moved_and_there(rows):
    find(rows, e="view", box="Left")[0]["msgs"].append([1, [], "m3", "s3", 30])


def moved_and_gone(rows):
    find(rows, e="view", box="Right")[0]["msgs"] = []


def other_message(rows):
    """I4: UID 2 was m2, and is m1."""
    find(rows, e="view", how="session")[0]["msgs"][0][2] = "m1"


def low_uid(rows):
    """I4: a new message has a UID below UIDNEXT."""
    i = rows.index(find(rows, e="ckpt", n=1)[0])
    t = rows[i]["t"] - 0.9
    rows[i:i] = [dict(e="inv", i=90, s="b", o="append", box="INBOX", flags=[], mid="m9", sha="s9", size=1, t=t),
                 dict(e="end", i=90, r="ok", x="", uv=7, uid=2, t=t + 0.1)]


def next_falls(rows):
    find(rows, e="end", uv=7, messages=1)[0]["uidnext"] = 2


def modseq_falls(rows):
    find(rows, e="end", uv=7, messages=1)[0]["modseq"] = 8


def validity_changes(rows):
    find(rows, e="end", uv=7, messages=1)[0]["uv"] = 6


def returns(rows):
    """I6: the expunged UID 1 is there again."""
    for v in find(rows, e="view", box="INBOX", n=1):
        v["msgs"].insert(0, [1, ["\\Flagged"], "m1"] + (["s1", 10] if v["how"] == "fresh" else []))
    find(rows, e="status", n=1)[0].update(messages=2, unseen=2, size=30)


def equal_modseq(rows):
    find(rows, e="unt", modseq=8)[0]["modseq"] = 7


def modseq_stays(rows):
    for r in find(rows, e="unt", modseq=8):
        r["modseq"] = 6


def both_win(rows):
    del find(rows, e="end", modified=[2])[0]["modified"]


def lost_flag(rows):
    """I9: + of one session is undone by + of another."""
    for r in find(rows, e="unt", modseq=8):
        r["flags"] = ["$Kw2"]


def search_misses(rows):
    find(rows, e="unt", k="search")[0]["ids"] = []


def no_such_name(rows):
    """I9: STATUS of a deleted mailbox says OK."""
    r = find(rows, e="end", x="NO [NONEXISTENT]")[0]
    r.update(r="ok", x="")


def number_past_end(rows):
    find(rows, e="unt", s="b", k="expunge")[0]["n"] = 3


def exists_falls(rows):
    r = find(rows, e="unt", s="b", k="expunge")[0]
    r.update(k="exists", n=1)


def expunge_in_fetch(rows):
    i = rows.index(find(rows, e="inv", s="b", o="noop")[0])
    rows[i]["o"] = "fetch"


def other_uid(rows):
    r = find(rows, e="unt", s="b", n=1, uid=2)[0]
    r["uid"] = 1


def views_differ(rows):
    find(rows, e="view", how="session")[0]["msgs"][0][1] = ["kw1", "$Kw2", "\\Seen"]


def pop3_differs(rows):
    find(rows, e="view", how="pop3")[0]["msgs"] = []


def store_damaged(rows):
    find(rows, e="verify")[0].update(faults=1, text="one")


def resync_differs(rows):
    find(rows, e="view", how="qresync")[0]["msgs"] = []


def wrong_count(rows):
    find(rows, e="status", n=1)[0]["unseen"] = 0


def wrong_sum(rows):
    find(rows, e="status", n=1)[0]["size"] = 21


def never_delivered(rows):
    """I14: 250, and no copy at all."""
    i = rows.index(find(rows, e="ckpt", n=1)[0])
    t = rows[i]["t"] - 0.9
    rows[i:i] = [dict(e="inv", i=90, s="l", o="lmtp", mid="m9", to=["ann"], sha="s9", size=1, t=t),
                 dict(e="end", i=90, r="ok", x="", replies={"ann": 250}, t=t + 0.1)]


def refused_but_there(rows):
    find(rows, e="end", i=2)[0]["replies"]["ann"] = 550


MUTANTS = {
    "I1": [lost, mailbox_lost, told_gone, never_delivered],
    "I2": [unsent, other_bytes, elsewhere, refused_is_there],
    "I3": [twice, moved_and_there, moved_and_gone],
    "I4": [other_message, low_uid],
    "I5": [next_falls, modseq_falls, validity_changes],
    "I6": [returns],
    "I7": [equal_modseq, modseq_stays],
    "I8": [both_win],
    "I9": [lost_flag, search_misses, no_such_name],
    "I10": [number_past_end, exists_falls, expunge_in_fetch, other_uid],
    "I11": [views_differ, pop3_differs, store_damaged],
    "I12": [resync_differs],
    "I13": [wrong_count, wrong_sum],
    "I14": [never_delivered, refused_but_there],
}


@pytest.mark.parametrize("rule, mutate", [(k, f) for k, v in MUTANTS.items() for f in v],
                         ids=lambda x: x if isinstance(x, str) else x.__name__)
def test_a_mutant_is_caught(rule, mutate):
    rows = good()
    mutate(rows)
    assert rule in rules(rows)


def test_a_view_that_moved_says_nothing_of_what_is_not_there():
    """UID 2 is listed late, after EXPUNGE of a number whose UID was not known."""
    h = Story()
    h.put("open", s="a", acct="ann", proto="imap")
    for k in (1, 2, 3):
        h.op("a", "append", box="INBOX", flags=["\\Deleted"] if k == 2 else [], mid=f"m{k}", sha="s", size=1,
             answer=dict(uv=7, uid=k))
    h.op("a", "select", box="INBOX", said=[("exists", dict(n=3))], answer=dict(uv=7, uidnext=4))
    h.op("a", "fetch", r="no", all=True)
    h.op("a", "expunge", said=[("expunge", dict(n=2))])
    h.op("a", "fetch", all=True, said=[("fetch", dict(n=1, uid=1, flags=[], mid="m1")),
                                       ("fetch", dict(n=2, uid=3, flags=[], mid="m3"))])
    assert checker.check(h.rows).faults == []


def test_each_invariant_has_mutants_or_a_reason():
    """I15 speaks of replicas, of which there are none yet."""
    assert set(checker.NAMES) - set(MUTANTS) == {"I15"}
    assert set(k for k, v in checker.applies([]).items() if v) == {"I7", "I8", "I12", "I13", "I15"}


def register(state, what):
    k, v = what
    if k == "set":
        return (v,)
    return (state,) if state == v else ()


@pytest.mark.parametrize("ops, good_", [
    ([Op(0, 1, ("set", 1)), Op(2, 3, ("get", 1))], True),
    ([Op(0, 1, ("set", 1)), Op(2, 3, ("get", 0))], False),
    # At once: either is right, but not both orders.
    ([Op(0, 5, ("set", 1)), Op(1, 2, ("get", 0)), Op(3, 4, ("get", 1))], True),
    ([Op(0, 5, ("set", 1)), Op(1, 2, ("get", 1)), Op(3, 4, ("get", 0))], False),
    # Without an answer: also later, or never, but not twice.
    ([Op(0, 9, ("set", 1), True), Op(3, 4, ("get", 0)), Op(5, 6, ("get", 1))], True),
    ([Op(0, 9, ("set", 1), True), Op(10, 11, ("get", 0))], True),
    ([Op(0, 9, ("set", 1), True), Op(10, 11, ("get", 0)), Op(12, 13, ("get", 1))], False),
    ([Op(0, 9, ("set", 1), True), Op(1, 2, ("get", 1)), Op(3, 4, ("set", 0)), Op(5, 6, ("get", 1))], False),
])
def test_linear(ops, good_):
    assert (linear.check(ops, 0, register) is None) == good_


def test_linear_against_all_orders():
    """Beside a search of all orders, on small random histories."""
    import itertools
    import random
    rng = random.Random(5)

    def naive(ops):
        must = [k for k, o in enumerate(ops) if not o.may]
        for n in range(len(ops) + 1):
            for order in itertools.permutations(range(len(ops)), n):
                if not set(must) <= set(order):
                    continue
                if any(ops[b].end < ops[a].begin for x, a in enumerate(order) for b in order[x + 1:]):
                    continue
                state = 0
                for k in order:
                    nxt = register(state, ops[k].what)
                    if not nxt:
                        break
                    state = nxt[0]
                else:
                    return True
        return False
    seen = set()
    for _ in range(400):
        ops = []
        for _ in range(rng.randint(1, 5)):
            a, b = rng.sample(range(20), 2)
            ops.append(Op(min(a, b) + 0.1 * len(ops), max(a, b) + 0.01 * len(ops),
                          (rng.choice(["set", "get"]), rng.randint(0, 1)), rng.random() < 0.3))
        want = naive(ops)
        seen.add(want)
        assert (linear.check(ops, 0, register) is None) == want, [(o.begin, o.end, o.what, o.may) for o in ops]
    assert seen == {True, False}
