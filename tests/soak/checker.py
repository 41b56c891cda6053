# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""Checks a history (history.py) against the invariants I1 to I15.

What is said of a mailbox is kept by (account, UIDVALIDITY): no two mailboxes
of an account ever have the same one here. A copy of a message is
(account, UIDVALIDITY, UID). What a message is, its id (mid) tells.

Limits of what can be said: an operation that got no answer may have happened
at any time until the next checkpoint, or not at all. A reply of a server that
is not strict may show what was so at the last answer of that session.
"""
import bisect
import itertools
from collections import defaultdict

import linear
from linear import Op

FOREVER = float("inf")
NAMES = {
    "I1": "no acknowledged message is lost",
    "I2": "no message appears that nobody sent; its bytes are what was sent",
    "I3": "no operation makes more copies than it says; a move leaves one",
    "I4": "(UIDVALIDITY, UID) is one message for ever; UIDs rise",
    "I5": "UIDNEXT, HIGHESTMODSEQ, UIDVALIDITY never fall",
    "I6": "what is expunged never returns",
    "I7": "a change of flags raises MODSEQ; equal MODSEQ, equal flags",
    "I8": "of two conditional stores on one MODSEQ one wins",
    "I9": "per message and per name, the operations are linearizable",
    "I10": "a session's numbers follow from the replies it was sent",
    "I11": "when all is quiet, all agree",
    "I12": "a resynchronised view is a fresh view",
    "I13": "counts are sums",
    "I14": "LMTP's reply for each recipient is true",
    "I15": "synchronised replicas converge",
}
SYNC_FREE = ("fetch", "store", "search")  # no EXPUNGE while these run


class Rising:
    """Values of which each is at least those known before it was asked."""

    def __init__(self):
        self.times, self.best = [], []

    def before(self, t):
        k = bisect.bisect_left(self.times, t)
        return self.best[k - 1] if k else None

    def add(self, t, v):
        self.times.append(t)
        self.best.append(max(v, self.best[-1]) if self.best else v)


class Session:
    def __init__(self, acct, proto, t):
        self.acct, self.proto, self.since = acct, proto, t
        self.box = self.uv = None
        self.map, self.gone = [], set()
        self.op = None  # the inv record that is running
        self.synced = t  # the last answer after which all had been told
        self.fresh = None  # (t0, t1, uids there at selection, or None)
        self.read_only = False


class Copy:
    """What is known of one copy of a message."""

    def __init__(self):
        self.mid = None
        self.ops = []  # of linear
        self.create = None  # (begin, end, flags or None, mid or None)
        self.first = FOREVER


class Checker:
    def __init__(self, rows):
        self.rows = rows
        self.faults = []
        self.sent = {}  # mid -> its inv record
        self.sessions = {}
        self.copy = defaultdict(Copy)
        self.inv = {}
        self.uidnext, self.maxuid, self.modseq = (defaultdict(Rising) for _ in range(3))
        self.names = defaultdict(set)  # (acct, uv) -> its names
        self.of_name = defaultdict(set)  # (acct, name) -> uvs
        self.renamed_to, self.deletable = set(), set()
        self.box_ops = defaultdict(list)  # (acct, uv) -> what may hit any copy
        self.name_ops = defaultdict(list)  # acct -> Op
        self.makers = []  # operations that may have made copies nobody named
        self.popped = defaultdict(dict)  # uidl -> mid
        self.modseqs = defaultdict(list)
        self.conditional = defaultdict(set)
        self.ckpts, self.ckpt_times = {}, []
        self.banks = {}
        self.strict = True
        self.counts = defaultdict(int)
        self.ends = {}
        self.kept_ops = []  # (Op) whose end is the next checkpoint
        self.flag_bit = {}

    # -- saying --
    def bad(self, rule, text, t=None):
        self.faults.append((rule, text, t))

    def bits(self, flags):
        m = 0
        for f in flags:
            f = f.lower()
            if f == "\\recent":
                continue
            m |= self.flag_bit.setdefault(f, 1 << len(self.flag_bit))
        return m

    def words(self, mask):
        return " ".join(sorted(f for f, b in self.flag_bit.items() if mask & b)) or "none"

    # -- the walk --
    def run(self):
        self.bits(["\\Deleted"])
        for r in self.rows:
            if r["e"] == "end":
                self.ends[r["i"]] = r
            elif r["e"] == "ckpt":
                self.ckpt_times.append(r["t"])
            elif r["e"] == "strict":
                self.strict = r["yes"]
        for r in self.rows:
            getattr(self, "on_" + r["e"], self.nothing)(r)
        self.copies()
        self.check_makers()
        self.check_conditional()
        for acct, ops in self.name_ops.items():
            bad = linear.check(ops, frozenset(self.first_names(acct)), name_step)
            self.counts["name histories"] += 1
            if bad == "limit":
                self.counts["undecided"] += 1
            elif bad is not None:
                self.bad("I9", f"{acct}: {bad.what[0]} {' '.join(bad.what[1:])} has no place among the other"
                         " operations on names", bad.end)
        for n in self.ckpts:
            self.check_ckpt(n)
        self.check_lists()
        return self.faults

    def nothing(self, r):
        pass

    def first_names(self, acct):
        for r in self.rows:
            if r["e"] == "names" and r["acct"] == acct:
                return r["boxes"]
        return []

    def quiet_after(self, t):
        """When an operation of time t that got no answer is surely over."""
        k = bisect.bisect_left(self.ckpt_times, t)
        return self.ckpt_times[k] if k < len(self.ckpt_times) else FOREVER

    def on_open(self, r):
        self.sessions[r["s"]] = Session(r["acct"], r["proto"], r["t"])

    def on_shut(self, r):
        self.sessions.pop(r["s"], None)

    def on_bank(self, r):
        self.banks[r["acct"]] = r["boxes"]

    def on_stuck(self, r):
        self.bad("liveness", f"{r['s']}: no answer although nothing was wrong: {r.get('x', '')}", r["t"])

    def on_inv(self, r):
        self.counts["operations"] += 1
        self.inv[r["i"]] = r
        s = self.sessions.get(r["s"])
        r["acct"] = r.get("acct") or (s.acct if s else None)
        if r["o"] in ("append", "lmtp"):
            self.sent[r["mid"]] = r
        if s is None:
            return
        s.op = r
        if r["o"] in ("select", "examine"):
            s.box = s.uv = None
            s.map, s.gone, s.fresh = [], set(), None
        elif r["o"] == "delete":
            self.deletable.add((s.acct, r["box"]))
        elif r["o"] == "rename":
            self.renamed_to.add((s.acct, r["to"]))
            self.deletable |= {(s.acct, r["box"]), (s.acct, r["to"])}
            self.of_name[s.acct, r["to"]] |= self.of_name[s.acct, r["box"]]
            for uv in self.of_name[s.acct, r["box"]]:
                self.names[s.acct, uv].add(r["to"])
        r["uv"], r["box_"] = s.uv, s.box
        r["map"] = [u for u in s.map if u is not None] if r["o"] in ("expunge", "close") else None

    # -- untagged replies: I10 --
    def on_unt(self, r):
        self.counts["untagged replies"] += 1
        s = self.sessions.get(r["s"])
        if s is None:
            return
        getattr(self, "unt_" + r["k"], self.nothing2)(s, r)

    def nothing2(self, s, r):
        pass

    def unt_exists(self, s, r):
        if r["n"] < len(s.map):
            self.bad("I10", f"{r['s']}: EXISTS {r['n']}, but it had been told of {len(s.map)}", r["t"])
            del s.map[r["n"]:]
        s.map += [None] * (r["n"] - len(s.map))

    def unt_expunge(self, s, r):
        o = s.op
        if o is None or (o["o"] in SYNC_FREE and not o.get("uid")):
            self.bad("I10", f"{r['s']}: EXPUNGE {r['n']} " + ("while no command runs" if o is None
                     else f"during {o['o']} by numbers"), r["t"])
        if not 1 <= r["n"] <= len(s.map):
            self.bad("I10", f"{r['s']}: EXPUNGE {r['n']} of {len(s.map)}", r["t"])
            return
        s.fresh = None  # its numbers are others now
        uid = s.map.pop(r["n"] - 1)
        if uid is not None:
            s.gone.add(uid)
            begin = o["t"] if o else r["t"]
            self.add(s, uid, Op(begin, r["t"], ("gone",), ref=r["s"]))

    def unt_fetch(self, s, r):
        n, uid = r["n"], r.get("uid")
        if not 1 <= n <= len(s.map):
            self.bad("I10", f"{r['s']}: FETCH {n} of {len(s.map)}", r["t"])
            return
        if uid is not None:
            if s.map[n - 1] not in (None, uid):
                self.bad("I10", f"{r['s']}: number {n} was UID {s.map[n - 1]}, now {uid}", r["t"])
            if s.map[n - 1] is None:
                lower = next((u for u in reversed(s.map[:n - 1]) if u is not None), 0)
                upper = next((u for u in s.map[n:] if u is not None), FOREVER)
                if not lower < uid < upper:
                    self.bad("I10", f"{r['s']}: UID {uid} at {n} between {lower} and {upper}", r["t"])
                if uid in s.gone:
                    self.bad("I6", f"{r['s']}: UID {uid} returns after EXPUNGE", r["t"])
            s.map[n - 1] = uid
        uid = s.map[n - 1]
        if uid is None or s.uv is None and not (s.op and s.op["o"] in ("select", "examine")):
            return
        begin = s.op["t"] if self.strict and s.op else s.synced
        if "flags" in r and s.uv is not None:
            self.add(s, uid, Op(begin, r["t"], ("read", self.bits(r["flags"])), ref=r["s"]))
            if "modseq" in r:
                self.see_modseq((s.acct, s.uv, uid), begin, r)
        if s.uv is not None:
            self.see(s.acct, s.uv, uid, r)

    def unt_search(self, s, r):
        o = s.op
        if o is None:
            self.bad("I10", f"{r['s']}: SEARCH while no command runs", r["t"])
            return
        if o.get("uid"):
            uids = r["ids"]
        else:
            if any(not 1 <= n <= len(s.map) for n in r["ids"]):
                self.bad("I10", f"{r['s']}: SEARCH gives numbers past {len(s.map)}", r["t"])
                return
            uids = [s.map[n - 1] for n in r["ids"]]
        if "flag" not in o:
            return
        hit = set(uids)
        begin = o["t"] if self.strict else s.synced
        bit = self.bits([o["flag"]])
        for u in s.map:
            if u is not None:
                self.add(s, u, Op(begin, r["t"], ("bit", bit, u in hit), ref=r["s"]))

    # -- what is seen of a copy --
    def add(self, s, uid, op):
        if s.uv is not None:
            self.copy[s.acct, s.uv, uid].ops.append(op)

    def see(self, acct, uv, uid, r):
        c = self.copy[acct, uv, uid]
        c.first = min(c.first, r["t"])
        self.top(acct, uv, uid, r["t"])
        mid = r.get("mid")
        if mid is None:
            return
        sent = self.sent.get(mid)
        if sent is None:
            self.bad("I2", f"{acct} UID {uid}: message {mid!r} that nobody sent", r["t"])
            return
        if sent["o"] == "append" and sent["acct"] != acct or \
                sent["o"] == "lmtp" and acct not in sent["to"]:
            self.bad("I2", f"{acct} UID {uid}: message {mid} that was not sent there", r["t"])
        if "sha" in r and r["sha"] != sent["sha"]:
            self.bad("I2", f"{acct} UID {uid}: the bytes of {mid} are others", r["t"])
        if c.mid is None:
            c.mid = mid
        elif c.mid != mid:
            self.bad("I4", f"{acct} UIDVALIDITY {uv} UID {uid} is {c.mid}, and is {mid}", r["t"])

    def top(self, acct, uv, uid, t):
        self.maxuid[acct, uv].add(t, uid)

    def see_name(self, acct, name, uv, t):
        self.names[acct, uv].add(name)
        had = self.of_name[acct, name]
        if had and uv not in had and (acct, name) not in self.deletable:
            self.bad("I5", f"{acct} {name}: UIDVALIDITY {uv}, it was {max(had)}", t)
        had.add(uv)

    def see_next(self, acct, uv, nxt, begin, t, modseq=None):
        for rising, v, what in ((self.uidnext, nxt, "UIDNEXT"), (self.modseq, modseq, "HIGHESTMODSEQ")):
            if v is None:
                continue
            was = rising[acct, uv].before(begin)
            if was is not None and v < was:
                self.bad("I5", f"{acct} {uv}: {what} {v}, it was {was}", t)
            rising[acct, uv].add(t, v)
        was = self.maxuid[acct, uv].before(begin)
        if nxt is not None and was is not None and nxt <= was:
            self.bad("I5", f"{acct} {uv}: UIDNEXT {nxt} although there is UID {was}", t)

    def see_modseq(self, key, begin, r):
        flags = frozenset(f.lower() for f in r["flags"] if f.lower() != "\\recent")
        for b, t, m, fl in self.modseqs[key]:
            if m == r["modseq"] and fl != flags:
                self.bad("I7", f"{key}: MODSEQ {m} with two sets of flags", r["t"])
            if t < begin and fl != flags and r["modseq"] <= m:
                self.bad("I7", f"{key}: flags changed and MODSEQ {m} became {r['modseq']}", r["t"])
        self.modseqs[key].append((begin, r["t"], r["modseq"], flags))

    # -- answers --
    def on_end(self, r):
        o = self.inv.get(r["i"])
        if o is None:
            return
        self.counts["answered " + r["r"]] += 1
        s = self.sessions.get(o["s"])
        o["r"], o["end"] = r["r"], r["t"] if r["r"] != "unk" else self.quiet_after(r["t"])
        o["answered"] = r["t"]
        f = getattr(self, "end_" + o["o"], None)
        if f:
            f(s, o, r)
        if s is not None:
            if o["o"] not in SYNC_FREE or o.get("uid"):
                s.synced = o["t"]
            s.op = None

    def name_op(self, o, what, may=False):
        self.name_ops[o["acct"]].append(Op(o["t"], o["end"], what, may))

    def answered(self, s, o, r, name, good, absent_code="NONEXISTENT"):
        """An operation that needs the mailbox: what its answer says of it."""
        if (o["acct"], name) not in self.deletable and name not in CHURN:
            return
        if r["r"] == "ok":
            self.name_op(o, good)
        elif r["r"] == "no" and any(c in r["x"] for c in (absent_code, "TRYCREATE", "NONEXISTENT")):
            self.name_op(o, ("missing", name))
        elif r["r"] == "unk" and good[0] != "there":
            self.name_op(o, good, may=True)

    def end_select(self, s, o, r):
        self.answered(s, o, r, o["box"], ("there", o["box"]))
        if s is None or r["r"] != "ok":
            return
        s.box, s.uv, s.read_only = o["box"], r["uv"], o["o"] == "examine"
        s.fresh = [o["t"], r["t"], len(s.map)]
        if not s.map:
            self.fresh_view(s)
        self.see_name(s.acct, s.box, s.uv, r["t"])
        self.see_next(s.acct, s.uv, r.get("uidnext"), o["t"], r["t"], r.get("modseq"))

    end_examine = end_select

    def end_status(self, s, o, r):
        self.answered(s, o, r, o["box"], ("there", o["box"]))
        if r["r"] == "ok" and "uv" in r:
            self.see_name(o["acct"], o["box"], r["uv"], r["t"])
            # Of the mailbox that is selected, it may say what the view is.
            begin = s.synced if s and not self.strict and s.uv == r["uv"] else o["t"]
            self.see_next(o["acct"], r["uv"], r.get("uidnext"), begin, r["t"], r.get("modseq"))

    def end_create(self, s, o, r):
        self.answered(s, o, r, o["box"], ("create", o["box"]))
        if r["r"] == "no" and "ALREADYEXISTS" in r["x"]:
            self.name_op(o, ("there", o["box"]))

    def end_delete(self, s, o, r):
        self.answered(s, o, r, o["box"], ("delete", o["box"]))
        if r["r"] in ("ok", "unk"):
            for uv in self.of_name[o["acct"], o["box"]]:
                self.box_ops[o["acct"], uv].append(Op(o["t"], o["end"], ("remove",), may=True))

    def end_rename(self, s, o, r):
        if r["r"] == "ok":
            self.name_op(o, ("rename", o["box"], o["to"]))
        elif r["r"] == "unk":
            self.name_op(o, ("rename", o["box"], o["to"]), may=True)
        elif r["r"] == "no" and "ALREADYEXISTS" in r["x"]:
            self.name_op(o, ("there", o["to"]))
        elif r["r"] == "no" and "NONEXISTENT" in r["x"]:
            self.name_op(o, ("missing", o["box"]))

    def make(self, o, r, acct, uv, uid, mid, flags):
        """A copy that an answer names."""
        was = self.uidnext[acct, uv].before(o["t"])
        top = self.maxuid[acct, uv].before(o["t"])
        for v, limit in ((was, 0), (top, 1)):
            if v is not None and uid < v + limit:
                self.bad("I4", f"{acct} {uv}: new UID {uid}, but there was {v} before", r["t"])
        c = self.copy[acct, uv, uid]
        if c.create is not None:
            self.bad("I4", f"{acct} {uv}: UID {uid} given twice", r["t"])
            return
        c.create = (o["t"], r["t"], flags, mid)
        if c.mid is None:
            c.mid = mid
        elif mid is not None and c.mid != mid:
            self.bad("I4", f"{acct} {uv}: UID {uid} was given to {mid}, and is {c.mid}", r["t"])
        self.top(acct, uv, uid, r["t"])

    def end_append(self, s, o, r):
        self.answered(s, o, r, o["box"], ("there", o["box"]))
        if r["r"] == "ok" and "uid" in r:
            self.see_name(o["acct"], o["box"], r["uv"], r["t"])
            self.make(o, r, o["acct"], r["uv"], r["uid"], o["mid"], self.bits(o["flags"]))
        elif r["r"] in ("unk", "ok"):
            self.makers.append((o, o["mid"], o["acct"], o["box"]))

    def end_copy(self, s, o, r):
        move = o["o"] == "move"
        acct, uv = o["acct"], o["uv"]
        self.answered(s, o, r, o["to"], ("there", o["to"]))
        if r["r"] == "ok":
            if "uv" in r:
                self.see_name(acct, o["to"], r["uv"], r["t"])
            for src, dst in zip(r.get("src", ()), r.get("dst", ())):
                self.make(o, r, acct, r["uv"], dst, self.copy[acct, uv, src].mid, None)
                if move:
                    self.copy[acct, uv, src].ops.append(Op(o["t"], o["end"], ("remove",)))
        elif r["r"] == "unk":
            for u in o["uids"]:
                c = self.copy[acct, uv, u]
                self.makers.append((o, c.mid, acct, o["to"]))
                if move:
                    c.ops.append(Op(o["t"], o["end"], ("remove",), may=True))

    end_move = end_copy

    def end_store(self, s, o, r):
        may = r["r"] != "ok"
        if s is not None and s.read_only:
            return  # refused, or, by some, ignored with OK
        lost = set(r.get("modified", ()))
        for u in o["uids"]:
            if u in lost or r["r"] == "bad":
                continue
            if "since" in o and r["r"] == "ok":
                self.conditional[o["acct"], o["uv"], u, o["since"]].add(o["i"])
            self.copy[o["acct"], o["uv"], u].ops.append(
                Op(o["t"], o["end"] if r["r"] != "no" else r["t"],
                   ("store", o["mode"], self.bits(o["flags"])), may, o["s"]))

    def end_fetch(self, s, o, r):
        # Without PEEK: \Seen, when it may be set.
        if o.get("seen") and s is not None and not s.read_only:
            for u in o["uids"]:
                self.copy[o["acct"], o["uv"], u].ops.append(
                    Op(o["t"], o["end"], ("store", "+", self.bits(["\\Seen"])), True, o["s"]))
        if s is not None and s.fresh and s.fresh[2] is not None and r["r"] == "ok" and o.get("all"):
            self.fresh_view(s)

    def fresh_view(self, s):
        """The whole mailbox as it was when it was selected."""
        t0, t1, n = s.fresh
        s.fresh = None
        uids = s.map[:n]
        if None in uids or s.gone:
            return
        self.box_ops[s.acct, s.uv].append(Op(t0, t1, ("view", frozenset(uids)), ref=True))

    def end_expunge(self, s, o, r):
        if o["uv"] is None or r["r"] in ("no", "bad") or (s and s.read_only):
            return
        sure = r["r"] == "ok" and self.strict
        for u in (o["uids"] if "uids" in o else o["map"]):
            self.copy[o["acct"], o["uv"], u].ops.append(Op(o["t"], o["end"], ("expunge",), not sure))
        if "uids" not in o:
            self.box_ops[o["acct"], o["uv"]].append(Op(o["t"], o["end"], ("expunge",), True))

    def end_close(self, s, o, r):
        self.end_expunge(s, o, r)
        if s is not None and r["r"] == "ok":
            s.box = s.uv = None
            s.map = []

    def end_lmtp(self, s, o, r):
        replies = r.get("replies", {})
        for to in o["to"]:
            code = replies.get(to, 0)
            if code == 250 or code == 0 or 400 <= code < 500:
                q = dict(o, acct=to)
                q["sure"] = code == 250
                self.makers.append((q, o["mid"], to, "INBOX"))

    def end_pop3(self, s, o, r):
        """A login and UIDL: rows of [uid, uv, uidl]; the view of INBOX."""
        if r["r"] != "ok":
            return
        uids = [x[0] for x in r["rows"]]
        if sorted(set(uids)) != uids:
            self.bad("I4", f"{o['acct']}: POP3's UIDs do not rise", r["t"])
        for uv in {x[1] for x in r["rows"]}:
            self.box_ops[o["acct"], uv].append(Op(o["t"], r["t"], ("view", frozenset(uids)), ref=True))

    def end_retr(self, s, o, r):
        if r["r"] == "ok":
            self.see(o["acct"], r["uv"], o["uid"], r)
        if not self.strict:
            # Some set it, when the session ends.
            self.copy[o["acct"], o["uv_"], o["uid"]].ops.append(
                Op(o["t"], self.quiet_after(r["t"]), ("store", "+", self.bits(["\\Seen"])), True))

    def end_quit(self, s, o, r):
        for uid, uv in o["dele"]:
            if r["r"] in ("ok", "unk", "no"):
                self.copy[o["acct"], uv, uid].ops.append(
                    Op(o["t"], o["end"] if r["r"] != "no" else r["t"], ("remove",), r["r"] != "ok"))

    # -- checkpoints --
    def on_ckpt(self, r):
        self.ckpts[r["n"]] = {"t": r["t"], "view": [], "status": [], "list": [], "verify": []}

    def on_view(self, r):
        self.ckpts[r["n"]]["view"].append(r)
        for row in r["msgs"]:
            q = dict(t=r["t"], mid=row[2])
            if len(row) > 3 and row[3]:
                q["sha"] = row[3]
            self.see(r["acct"], r["uv"], row[0], q)

    def on_status(self, r):
        self.ckpts[r["n"]]["status"].append(r)

    def on_list(self, r):
        self.ckpts[r["n"]]["list"].append(r)

    def on_verify(self, r):
        self.ckpts[r["n"]]["verify"].append(r)

    def check_ckpt(self, n):
        c = self.ckpts[n]
        for v in c["verify"]:
            if v["faults"]:
                self.bad("I11", f"the server's own check finds: {v['text']}", v["t"])
        fresh = {}
        for v in c["view"]:
            if v["how"] == "fresh":
                fresh[v["acct"], v["box"], v["uv"]] = v
                self.bank_view(v)
                self.counts["fresh views"] += 1
        for v in c["view"]:
            if v["how"] == "fresh":
                continue
            f = fresh.get((v["acct"], v["box"], v["uv"]))
            if f is None:
                continue  # a mailbox without that name by now
            rule = "I12" if v["how"] == "qresync" else "I11"
            self.counts["views compared"] += 1
            mine, its = self.flat(v), self.flat(f)
            if v["how"] == "pop3":
                mine = {u: (None, m) for u, (_, m) in mine.items()}
                its = {u: (None, m) for u, (_, m) in its.items()}
            for u in sorted(set(mine) | set(its)):
                a, b = mine.get(u), its.get(u)
                if (a is None) != (b is None):
                    self.bad(rule, f"checkpoint {n}, {v['acct']} {v['box']}: UID {u} is "
                             f"{'there' if a else 'not there'} for {v['how']} {v.get('s', '')}, but "
                             f"{'there' if b else 'not there'} for a fresh session", v["t"])
                elif a[0] != b[0] or (a[1] and b[1] and a[1] != b[1]):
                    self.bad(rule, f"checkpoint {n}, {v['acct']} {v['box']}: UID {u} is {a} for {v['how']}"
                             f" {v.get('s', '')}, {b} for a fresh session", v["t"])
        for s in c["status"]:
            f = fresh.get((s["acct"], s["box"], s["uv"]))
            if f is None:
                self.bad("I11", f"checkpoint {n}, {s['acct']}: STATUS of {s['box']} has UIDVALIDITY {s['uv']},"
                         " SELECT another", s["t"])
                continue
            msgs = f["msgs"]
            want = {"messages": len(msgs), "unseen": sum("\\seen" not in [x.lower() for x in m[1]] for m in msgs)}
            if all(len(m) > 4 for m in msgs):
                want["size"] = sum(m[4] for m in msgs)
            for k, v in want.items():
                if k in s and s[k] != v:
                    self.bad("I13", f"checkpoint {n}, {s['acct']} {s['box']}: STATUS says {k} {s[k]}, it is {v}",
                             s["t"])
            if "uidnext" in s and "uidnext" in f and s["uidnext"] != f["uidnext"]:
                self.bad("I11", f"checkpoint {n}, {s['acct']} {s['box']}: UIDNEXT {s['uidnext']} by STATUS,"
                         f" {f['uidnext']} by SELECT", s["t"])

    def flat(self, v):
        return {m[0]: (frozenset(x.lower() for x in m[1] if x.lower() != "\\recent"), m[2]) for m in v["msgs"]}

    def bank_view(self, v):
        c = self.ckpts[v["n"]]
        boxes = self.banks.get(v["acct"])
        if not boxes or v["box"] not in boxes:
            return
        c.setdefault("bank", defaultdict(list))[v["acct"]].append(v)
        had = c["bank"][v["acct"]]
        if len(had) < len(boxes):
            return
        count = defaultdict(int)
        for x in had:
            for m in x["msgs"]:
                count[m[2]] += 1
        for mid, k in count.items():
            if k > 1:
                self.bad("I3", f"checkpoint {v['n']}, {v['acct']}: {mid} was only moved, and is there {k} times",
                         v["t"])
        for mid, o in self.sent.items():
            if o["o"] == "append" and o["acct"] == v["acct"] and o.get("r") == "ok" and o["answered"] < c["t"] \
                    and o["box"] in boxes and not count[mid]:
                self.bad("I3", f"checkpoint {v['n']}, {v['acct']}: {mid} was only moved, and is gone", v["t"])

    def check_lists(self):
        """A mailbox is there until somebody deletes it."""
        order = sorted(self.ckpts)
        for n, m in zip(order, order[1:]):
            now = {(r["acct"], uv) for r in self.ckpts[m]["list"] for _, uv in r["boxes"]}
            seen = {r["acct"] for r in self.ckpts[m]["list"]}
            for r in self.ckpts[n]["list"]:
                for name, uv in r["boxes"]:
                    if r["acct"] not in seen or (r["acct"], uv) in now:
                        continue
                    names = self.names[r["acct"], uv] | {name}
                    if not any(o["o"] == "delete" and o["acct"] == r["acct"] and o["box"] in names and
                               o.get("r") != "no" and self.ckpts[n]["t"] <= o["t"] <= self.ckpts[m]["t"]
                               for o in self.inv.values()):
                        self.bad("I1", f"{r['acct']}: mailbox {name} ({uv}) is gone at checkpoint {m}, nobody"
                                 " deleted it", self.ckpts[m]["t"])

    # -- copies, at the end --
    def copies(self):
        self.flags_all = 0
        for b in self.flag_bit.values():
            self.flags_all |= b
        by_box = defaultdict(list)
        self.made = defaultdict(list)
        for o, mid, acct, _ in self.makers:
            self.made[mid, acct].append(o)
        for key in self.copy:
            by_box[key[:2]].append(key)
        for n, c in self.ckpts.items():
            for v in c["view"]:
                if v["how"] != "fresh":
                    continue
                self.box_ops[v["acct"], v["uv"]].append(
                    Op(c["t"], v["t"], ("view", frozenset(m[0] for m in v["msgs"])), ref=True))
                for m in v["msgs"]:
                    self.copy[v["acct"], v["uv"], m[0]].ops.append(Op(c["t"], v["t"], ("read", self.bits(m[1]))))
        for b in self.flag_bit.values():
            self.flags_all |= b
        for box, keys in by_box.items():
            views = sorted(self.box_ops[box], key=lambda o: o.begin)
            begins = [o.begin for o in views]
            seen = defaultdict(list)
            for v in views:
                for uid in v.what[1] if v.what[0] == "view" else ():
                    seen[uid].append(v)
            for key in keys:
                self.check_copy(key, views, begins, seen)

    def born(self, key, c):
        """When and how the copy came to be."""
        if c.create is not None:
            begin, end, flags, mid = c.create
            return Op(begin, end, ("create", flags)), mid
        sent = self.sent.get(c.mid)
        made = self.made[c.mid, key[0]]
        if len(made) == 1 and made[0].get("sure"):
            return Op(made[0]["t"], made[0]["end"], ("create", 0)), c.mid
        return Op(sent["t"] if sent else 0, min([c.first] + [o.end for o in c.ops if o.what[0] == "read"]),
                  ("create", None)), c.mid

    def check_copy(self, key, views, begins, seen):
        c = self.copy[key]
        if not c.ops and c.create is None and c.first == FOREVER:
            return
        create, _ = self.born(key, c)
        if create.end == FOREVER:
            return
        self.counts["copies"] += 1
        ops = [create]
        unseen, last = 0, FOREVER
        for v in itertools.islice(views, bisect.bisect_left(begins, create.begin), None):
            if v.what[0] != "view":
                ops.append(v)
            elif key[2] not in v.what[1]:
                ops.append(Op(v.begin, v.end, ("unseen",)))
                unseen += v.begin > create.end
                if unseen == 2:
                    # It is gone for ever: what is left is that nobody sees it.
                    last = v.begin
                    break
        ops += [Op(v.begin, v.end, ("seen",)) for v in seen.get(key[2], ()) if v.begin >= create.begin]
        ops += [o for o in c.ops if o.end >= create.begin and o.begin <= last]
        bad = linear.check(ops, (0, 0, 0), self.step)
        if bad == "limit":
            self.counts["undecided"] += 1
        elif bad is not None:
            self.name_fault(key, c, bad, ops)

    def name_fault(self, key, c, bad, ops):
        what = bad.what[0]
        where = f"{key[0]} {'/'.join(sorted(self.names[key[:2]]))} UID {key[2]} ({c.mid})"
        removers = [o for o in ops if o.what[0] in ("remove", "expunge") and o.begin <= bad.end]
        if what == "unseen":
            self.bad("I1", f"{where} is not there, and no order of the operations explains it"
                     + ("" if removers else ": none could have removed it"), bad.end)
            sent = self.sent.get(c.mid)
            if sent and sent["o"] == "lmtp":
                self.bad("I14", f"{where}: the delivery was acknowledged", bad.end)
        elif what == "seen":
            self.bad("I6", f"{where} is there although it was expunged", bad.end)
        elif what == "gone":
            self.bad("I1", f"{where}: a session is told that it is expunged, but nobody can have done it", bad.end)
        elif what == "read":
            self.bad("I9", f"{where}: flags {self.words(bad.what[1])} have no explanation", bad.end)
        elif what == "bit":
            self.bad("I9", f"{where}: SEARCH {'finds' if bad.what[2] else 'does not find'} "
                     f"{self.words(bad.what[1])} without an explanation", bad.end)
        else:
            self.bad("I9", f"{where}: {what} has no place", bad.end)

    def step(self, state, what):
        """The next states; a state is (0 not yet, 1 there, 2 gone; flags known
        to be set; known not to be)."""
        there, on, off = state
        k = what[0]
        if k == "create":
            if there != 0:
                return ()
            return ((1, what[1], self.flags_all & ~what[1]),) if what[1] is not None else ((1, 0, 0),)
        if k == "read":
            if there != 1:
                return (state,) if there == 2 else ()
            if on & ~what[1] or off & what[1]:
                return ()
            return ((1, what[1], self.flags_all & ~what[1]),)
        if k == "bit":
            if there != 1:
                return (state,) if there == 2 else ()
            if (off if what[2] else on) & what[1]:
                return ()
            return ((1, on | what[1], off),) if what[2] else ((1, on, off | what[1]),)
        if k == "store":
            if there != 1:
                return (state,)
            if what[1] == "+":
                return ((1, on | what[2], off & ~what[2]),)
            if what[1] == "-":
                return ((1, on & ~what[2], off | what[2]),)
            return ((1, what[2], self.flags_all & ~what[2]),)
        if k == "expunge":
            d = 1  # \Deleted has the first bit
            if there != 1 or off & d:
                return (state,)
            return ((2, 0, 0),) if on & d else ((2, 0, 0), (1, on, off | d))
        if k == "remove":
            return ((2, 0, 0),) if there else (state,)
        if k == "seen":
            return (state,) if there == 1 else ()
        if k == "unseen":
            return (state,) if there != 1 else ()
        assert k == "gone", what
        return (state,) if there == 2 else ()

    def check_makers(self):
        """Copies that no answer named, and the operations that may have made
        them."""
        allowed, need = defaultdict(int), []
        for o, mid, acct, box in self.makers:
            allowed[mid, acct] += 1
            if o.get("sure"):
                need.append((o, mid, acct))
        had, ever = defaultdict(list), set()
        for key, c in self.copy.items():
            if c.mid is None or c.first == FOREVER and c.create is None:
                continue
            ever.add((c.mid, key[0]))
            if c.create is None:
                had[c.mid, key[0]].append(key)
        for (mid, acct), keys in had.items():
            if len(keys) > allowed[mid, acct]:
                self.bad("I3", f"{acct}: {mid} is there as {' '.join(f'{k[1]}:{k[2]}' for k in keys)},"
                         f" but {allowed[mid, acct]} operations without a named copy were made")
        for o, mid, acct in need:
            self.counts["deliveries acknowledged"] += 1
            if (mid, acct) not in ever and self.quiet_after(o["answered"]) != FOREVER:
                self.bad("I14", f"{acct}: {mid} was acknowledged by LMTP and never seen")
                self.bad("I1", f"{acct}: {mid} was acknowledged by LMTP and never seen")
        for mid, o in self.sent.items():
            refused = o["o"] == "append" and o.get("r") in ("no", "bad")
            if refused and (mid, o["acct"]) in ever:
                self.bad("I2", f"{o['acct']}: {mid} is there although its APPEND was refused")
            if o["o"] == "lmtp" and "r" in o:
                for to, code in self.ends[o["i"]].get("replies", {}).items():
                    if code >= 500 and (mid, to) in ever:
                        self.bad("I14", f"{to}: {mid} is there although LMTP refused it for good")

    def check_conditional(self):
        for (acct, uv, uid, since), who in self.conditional.items():
            if len(who) > 1:
                self.bad("I8", f"{acct} {uv}:{uid}: {len(who)} stores UNCHANGEDSINCE {since} all said OK")


CHURN = ("One", "Two", "Three")


def name_step(names, what):
    k, n = what[0], what[1]
    if k == "create":
        return (names | {n},) if n not in names else ()
    if k == "delete":
        return (names - {n},) if n in names else ()
    if k == "rename":
        return ((names - {n}) | {what[2]},) if n in names and what[2] not in names else ()
    if k == "there":
        return (names,) if n in names else ()
    return (names,) if n not in names else ()


def applies(caps):
    """Which invariants say something of a server with these capabilities."""
    caps = {c.upper() for c in caps}
    out = {k: None for k in NAMES}
    if "CONDSTORE" not in caps:
        out["I7"] = out["I8"] = "CONDSTORE is not offered"
    if "QRESYNC" not in caps:
        out["I12"] = "QRESYNC is not offered"
    out["I15"] = "there is no replica"
    if "QUOTA" not in caps:
        out["I13"] = "QUOTA is not offered: only STATUS is compared"
    return out


def check(rows):
    c = Checker(rows)
    c.run()
    return c
