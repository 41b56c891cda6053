# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""Random work of many clients, a nemesis, a history, and its check.

    soak.py SECONDS [--seed N] [--server SCRIPT] [--no-nemesis] [--keep FOLDER]
            [--history FILE]
    soak.py --check FILE

The seed decides what each client and the nemesis do; how their work falls
together it does not. A history that is bad is kept, and its name printed.
"""
import argparse
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]
import checker  # noqa: E402
from clients import CHURN, ImapClient, LmtpClient, Mover, Pop3Client, known  # noqa: E402
from harness import Imap, Line  # noqa: E402
from history import Recorder, read  # noqa: E402
from litter import folder, sweep  # noqa: E402
from servers import Adapter, Restante, answers  # noqa: E402

EVERY = 12  # seconds between checkpoints


class Soak:
    def __init__(self, server, path, seed, nemesis=True):
        self.server, self.seed = server, seed
        self.rec = Recorder(path)
        self.rng = random.Random(seed)
        self.pause, self.resume, self.ended = (threading.Event() for _ in range(3))
        self.password = server.password
        self.uidl = server.uidl
        self.delivered_to = list(server.accounts[:2])
        self.lmtp_rest, self.rest = 0.15, 0.1
        self.kinds = server.nemesis() + ["cut"] * 3 if nemesis else []
        self.did = Counter()
        self.last = 0.0
        self.ckpts = 0
        server.start()
        self.ports = server.ports
        with Imap(self.ports["imap"]) as c:
            c.response()
            c.ok(f'LOGIN {server.accounts[0]} "{self.password}"')
            self.caps = b" ".join(c.ok("CAPABILITY")).decode().split()
        self.prepare()
        a, b, m = server.accounts
        self.clients = [
            *(ImapClient(self, f"imap{k}", a, k % 2 == 1, f"{seed}.{k}") for k in range(4)),
            *(ImapClient(self, f"imap{k}", b, k % 2 == 1, f"{seed}.{k}") for k in range(4, 6)),
            Mover(self, "move0", m, False, f"{seed}.m0"), Mover(self, "move1", m, True, f"{seed}.m1"),
            Pop3Client(self, "pop0", a, False, f"{seed}.p0"), Pop3Client(self, "pop1", b, True, f"{seed}.p1"),
            LmtpClient(self, "lmtp0", None, False, f"{seed}.l0"),
            LmtpClient(self, "lmtp1", None, False, f"{seed}.l1"),
        ]

    def prepare(self):
        rec = self.rec
        rec.put("strict", yes=self.server.strict)
        a, b, m = self.server.accounts
        for acct, boxes in ((a, ["Store"]), (b, ["Store"]), (m, ["Left", "Right"])):
            rec.put("names", acct=acct, boxes=[])
            with Imap(self.ports["imap"]) as c:
                c.response()
                c.ok(f'LOGIN {acct} "{self.password}"')
                for x in boxes:
                    c.ok(f'CREATE "{x}"')
        rec.put("bank", acct=m, boxes=["Left", "Right"])

    def trouble(self, since):
        """Whether the nemesis was at work then, or shortly before."""
        return self.last > since - 10

    def run(self, seconds):
        for c in self.clients:
            c.start()
        end = time.monotonic() + seconds
        try:
            while (now := time.monotonic()) < end:
                stop = min(end, now + EVERY)
                while time.monotonic() < stop:
                    time.sleep(0.2 + self.rng.random() * 0.8)
                    if self.kinds and time.monotonic() < stop:
                        self.strike(self.rng.choice(self.kinds))
                    self.look()
                self.checkpoint(last=time.monotonic() >= end)
        except BaseException:
            for c in self.clients:
                c.cut()  # whatever they wait for
            raise
        finally:
            self.ended.set()
            self.resume.set()
            for c in self.clients:
                c.join(60)
            self.rec.close()
        self.look()

    def look(self):
        for c in self.clients:
            if c.error:
                raise c.error

    def strike(self, kind):
        self.last = time.monotonic() + 3
        if kind == "cut":
            c = self.rng.choice(self.clients)
            c.cut()
            said = f"cut {c.name}"
        else:
            said = self.server.do(kind)
        self.did[re.sub(r",? \d+ faults.*| [-+]\d+ s$| (imap|pop|move|lmtp)\d$", "", said)] += 1
        self.rec.put("nem", what=said)
        self.last = time.monotonic() + 3

    def checkpoint(self, last):
        self.resume.clear()
        self.pause.set()
        for c in self.clients:
            if not c.quiet.wait(90):
                raise AssertionError(f"{c.name} does not come to rest")
        until = time.monotonic() + 60
        for acct in self.server.accounts:
            while not answers(self.server, acct):
                if time.monotonic() > until:
                    raise AssertionError(f"no login for {acct} a minute after the last fault")
                time.sleep(0.1)
        time.sleep(1)
        self.ckpts += 1
        n = self.ckpts
        self.rec.put("ckpt", n=n)
        for c in self.clients:
            c.at_checkpoint(n)
        for acct in self.server.accounts:
            self.fresh(n, acct)
            self.pop3(n, acct)
        faults, text = self.server.verify(full=last)
        self.rec.put("verify", n=n, faults=faults, text=text)
        self.pause.clear()
        self.resume.set()

    def fresh(self, n, acct):
        """All mailboxes of an account, as a new session sees them."""
        with Imap(self.ports["imap"]) as c:
            c.response()
            c.ok(f'LOGIN {acct} "{self.password}"')
            names = []
            for r in c.ok('LIST "" "*"'):
                m = re.match(rb'\* LIST \(([^)]*)\) \S+ "?([^"]+)"?$', r)
                if m and b"Noselect" not in m.group(1):
                    names.append(m.group(2).decode())
            boxes = []
            for name in names:
                said = b"\n".join(c.ok(f'EXAMINE "{name}"'))
                uv = int(re.search(rb"UIDVALIDITY (\d+)", said)[1])
                uidnext = int(re.search(rb"UIDNEXT (\d+)", said)[1])
                boxes.append([name, uv])
                count = int(re.search(rb"\* (\d+) EXISTS", said)[1])
                msgs = []
                for r in c.ok("FETCH 1:* (UID FLAGS RFC822.SIZE BODY.PEEK[])") if count else ():
                    row = {}
                    ImapClient.fetched(None, r, row)
                    if "mid" in row:
                        msgs.append([row["uid"], row["flags"], row["mid"], row["sha"], row["size"]])
                if len(msgs) != count:
                    raise AssertionError(f"{acct} {name}: {count} EXISTS, {len(msgs)} bodies")
                self.rec.put("view", n=n, how="fresh", acct=acct, box=name, uv=uv, uidnext=uidnext, msgs=msgs)
            c.cmd("UNSELECT" if "UNSELECT" in self.caps else "CLOSE")
            items = "MESSAGES UIDNEXT UIDVALIDITY UNSEEN" + (" SIZE" if "STATUS=SIZE" in self.caps else "")
            for name in names:
                r = b"".join(c.ok(f'STATUS "{name}" ({items})'))
                got = {k.lower(): int(v) for k, v in re.findall(r"([A-Z]+) (\d+)", r.decode().partition("(")[2])}
                got["uv"] = got.pop("uidvalidity")
                self.rec.put("status", n=n, acct=acct, box=name, **got)
            self.rec.put("list", n=n, acct=acct, boxes=boxes)

    def pop3(self, n, acct):
        with Line(self.ports["pop3"]) as c:
            c.line()
            c.ask(f"USER {acct}")
            assert c.ask(f"PASS {self.password}").startswith(b"+OK")
            assert c.ask("UIDL").startswith(b"+OK")
            rows = [line.decode().split(" ") for line in c.multiline()]
            msgs, uv = [], None
            for k, uidl in rows:
                uid, uv = self.uidl(uidl)
                assert c.ask(f"TOP {k} 0").startswith(b"+OK")
                msgs.append([uid, [], known(b"\r\n".join(c.multiline()) + b"\r\n")[0]])
            c.ask("QUIT")
        if uv is not None:
            self.rec.put("view", n=n, how="pop3", acct=acct, box="INBOX", uv=uv, msgs=msgs)


def report(c, caps, t0):
    for k, why in checker.applies(caps).items():
        mine = [f for f in c.faults if f[0] == k]
        print(f"{k:4} {'FAILS' if mine else '-' if why and k != 'I13' else 'holds'}  {checker.NAMES[k]}"
              + (f" ({why})" if why else ""))
    for rule, text, t in c.faults[:40]:
        print(f"{rule} at {t - t0 if t else 0:.3f}: {text}")
    if len(c.faults) > 40:
        print(f"... {len(c.faults) - 40} more")
    print(", ".join(f"{v} {k}" for k, v in sorted(c.counts.items())))


def run(seconds, seed, server, keep=None, nemesis=True, history=None):
    """0 when nothing is wrong."""
    place = folder("restante-soak")
    try:
        return run_in(place / "history.jsonl", seconds, seed, server, keep, nemesis, history)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def run_in(path, seconds, seed, server, keep, nemesis, history):
    print(f"soak: seed {seed}, {server.version}, {seconds} s", flush=True)
    error, soak = None, None
    try:
        soak = Soak(server, path, seed, nemesis)
        try:
            soak.run(seconds)
        except Exception as e:  # the history is checked all the same
            error = e
    finally:
        log = server.log()
        try:
            server.close()
        except AssertionError as e:
            error = error or e
    print(f"soak: {soak.rec.ops} operations, {soak.rec.untagged} untagged replies, {soak.ckpts} checkpoints; "
          + ", ".join(f"{k}: {v}" for k, v in soak.did.most_common())
          + (f"; {server.page.hits()} calls failed" if getattr(server, "page", None) else ""), flush=True)
    rows = read(path)
    if history:
        shutil.copy(path, history)
    c = checker.check(rows)
    report(c, soak.caps, rows[0]["t"])
    if error:
        print(f"soak: {type(error).__name__}: {error}")
    if error or c.faults:
        kept = Path(keep or os.environ.get("SOAK_KEEP") or tempfile.gettempdir()) / f"soak-bad-{seed}.jsonl"
        shutil.move(path, kept)
        kept.with_suffix(".log").write_text(log)
        print(f"soak: FAILS; seed {seed}; its history is {kept}")
        return 1
    print(f"soak: seed {seed}: all that applies holds")
    return 0


def ended(*_):
    """As when it ends by itself: what was made goes."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(143)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("seconds", type=int, nargs="?")
    p.add_argument("--seed", type=int)
    p.add_argument("--server", help="an adapter of bench/servers")
    p.add_argument("--no-nemesis", action="store_true")
    p.add_argument("--keep", help="the folder for a bad history")
    p.add_argument("--history", help="keep the history here in any case")
    p.add_argument("--check", help="check a history that was kept")
    a = p.parse_args()
    if a.check:
        rows = read(a.check)
        c = checker.check(rows)
        report(c, [], rows[0]["t"])
        return bool(c.faults)
    if not a.seconds:
        p.error("for how many seconds?")
    signal.signal(signal.SIGTERM, ended)
    sweep()
    seed = a.seed if a.seed is not None else random.randrange(1 << 30)
    server = Adapter(a.server, seed) if a.server else Restante(seed)
    return run(a.seconds, seed, server, a.keep, not a.no_nemesis, a.history)


if __name__ == "__main__":
    sys.exit(main())
