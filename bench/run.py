# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""Runs restante-bench against servers in turn, and prints a Markdown report.

Every round starts each server once, one at a time, on an empty folder (or, for
mailboxes that take long to make, on the folder of the round before): what the
machine does meanwhile meets all of them alike. Results are appended to a file
as they come, from which a run that was cut off goes on, and from which
report.py makes the tables. CPU is that of all the server's processes together:
on a busy machine it is steadier than a rate.
"""
import argparse
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import report

HERE = Path(__file__).resolve().parent
BUILD = Path(os.environ.get("RESTANTE_BUILD", HERE.parent / "build-release"))


class Failed(Exception):
    pass


class Bench:
    """One server in one round; rows collects what the workload measures."""

    def __init__(self, o, server, folder, users=256, env=None):
        self.o, self.server, self.folder, self.users = o, server, folder, users
        self.scale = 10 if o.quick else 1
        self.seed = 0
        self.rows, self.others, self.loads = [], [], 0
        self.env = dict(os.environ, BENCH_DIR=str(folder), BENCH_USERS=str(users), **(env or {}),
                        BENCH_PORT=str(o.port + 10 * o.servers.index(server)))

    def adapter(self, word):
        r = subprocess.run([HERE / "servers" / f"{self.server}.sh", word], env=self.env,
                           stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900)
        if r.returncode:
            raise Failed(f"{self.server}: {word}: {r.stderr.strip()}")
        return r.stdout.strip()

    def load(self, workload, **args):
        """Runs restante-bench; returns its figures."""
        self.seed += 1
        cmd = [str(self.o.bin), workload, *self.adapter("ports").split(),
               "--root", self.adapter("pids"), "--seed", str(self.seed)]
        for k, v in args.items():
            if v is True:
                cmd.append(f"--{k}")
            elif v is not False:
                cmd += [f"--{k}", str(v)]
        r = subprocess.run(cmd, capture_output=True, text=True, timeout=1800)
        if r.returncode:
            raise Failed(f"{self.server}: {r.stderr.strip()}\n  {' '.join(cmd)}")
        return {k: float(v) for k, v in (x.split() for x in r.stdout.splitlines())}

    def once(self, what, workload, **args):
        """A load that a folder which is kept needs no second time."""
        done = self.folder / f"made.{what}"
        if not done.exists():
            self.load(workload, **args)
            done.touch()

    def note(self, row, unit, value, less=False, f=None):
        """One value for a row; f, the figures, adds the CPU of an operation."""
        r = {"row": row, "unit": unit, "less": less, "value": value}
        if f:
            r["cpu"] = 1e6 * f["server_cpu"] / f["operations"]
            r["own"] = f["own_cpu_share"]
            if "latency_p99" in f:
                r["p99_ms"] = 1e3 * f["latency_p99"]
            if "found" in f:
                r["found"] = f["found"]
            if f["seconds"] >= 0.1:     # the machine's time is told in ticks
                self.others.append(f["others_cpu_share"])
        self.rows.append(r)

    def rate(self, row, unit, workload, **args):
        f = self.load(workload, **args)
        self.note(row, f"{unit}/s", f["operations"] / f["seconds"], f=f)

    def megabytes(self, row, workload, **args):
        f = self.load(workload, **args)
        self.note(row, "MB/s", f["bytes"] / f["seconds"] / 1e6, f=f)

    def delay(self, row, workload, least=0.001, **args):
        f = self.load(workload, **args)
        self.note(row, "ms", max(1e3 * f["latency_median"], least), less=True, f=f)

    def n(self, full, least=1):
        """A count: a tenth with --quick."""
        return max(least, full // self.scale)


WORKLOADS = {}


def workload(f=None, **how):
    """A workload. keep: folders stay from round to round. env, users: for the
    adapters. rounds: not more, where they differ by nothing."""
    def add(g):
        WORKLOADS[g.__name__] = (g, how)
        return g
    return add(f) if f else add


def plural(conns):
    return f"{conns} connection{'s' * (conns > 1)}"


@workload
def deliver(b):
    for conns, count in ((1, 2000), (8, 4000), (64, 6400)):
        b.rate(f"deliver 4 KiB, {plural(conns)}", "msg", "deliver", conns=conns, users=conns,
               count=b.n(count, 2 * conns))
    b.megabytes("deliver 64 KiB, 8 connections", "deliver", conns=8, users=8, count=b.n(1000, 16), size=65536)
    b.megabytes("deliver 1 MiB, 8 connections", "deliver", conns=8, users=8, count=b.n(160, 16), size=1 << 20)
    b.rate("deliver 4 KiB, 50 recipients", "msg", "deliver", count=b.n(100), rcpts=50, first=100)


@workload
def append(b):
    for conns, count in ((1, 2000), (8, 4000), (64, 6400)):
        b.rate(f"append 4 KiB, {plural(conns)}", "msg", "append", conns=conns, users=conns,
               count=b.n(count, 2 * conns))
    b.rate("multiappend 4 KiB, 100 a command", "msg", "append", batch=100, count=b.n(10000, 200), first=100)


@workload
def drain(b):
    n, m = b.n(5000), b.n(1000)
    b.load("fill", count=n, batch=100, users=8, conns=2)
    b.load("fill", count=m, batch=20, users=4, conns=2, first=10, kind="mixed")
    b.rate("pop3 drain 4 KiB, 8 connections", "msg", "drain", count=n, conns=8, users=8, batch=2)
    b.megabytes("pop3 drain, mixed, TLS, 4 connections", "drain", count=m, conns=4, users=4, first=10,
                kind="mixed", batch=2, tls=True)
    b.rate("pop3 drain and delete 4 KiB, 8 connections", "msg", "delete", count=n, conns=8, users=8)


@workload(keep=True)
def select(b):
    sizes = ((1000, "1k"), (10000, "10k"), (100000, "100k"), (1000000, "1M"))
    for k, (n, name) in enumerate(sizes[:2] if b.o.quick else sizes):
        b.once(name, "fill", count=n, batch=500, distinct=min(n, 5000), first=k, size=1024)
        b.load("select", first=k, count=n)
        b.delay(f"select of {name}, warm", "select", first=k, count=n, batch=b.n(100 if n < 1e6 else 30, 10))
        b.adapter("restart")
        b.load("logins", first=100)     # the server is up; this mailbox is not
        b.delay(f"select of {name}, after restart", "select", first=k, count=n)


@workload
def summary(b):
    n, m = b.n(10000), b.n(100000)
    b.load("fill", count=n, batch=100)
    b.rate("summary of 10k, first", "msg", "summary", count=n)
    b.rate("summary of 10k, repeated", "msg", "summary", count=n, batch=5)
    b.load("fill", count=m, batch=100, distinct=m // 16, first=1)
    b.rate("summary of 100k, first", "msg", "summary", count=m, distinct=m // 16, first=1)
    b.rate("summary of 100k, repeated", "msg", "summary", count=m, distinct=m // 16, first=1)


@workload
def fields(b):
    n = b.n(10000)
    b.load("fill", count=n, batch=100)
    kept = "FROM TO SUBJECT DATE MESSAGE-ID"
    b.rate("header fields that are stored, first", "msg", "fields", count=n, arg=kept)
    b.rate("header fields that are stored, repeated", "msg", "fields", count=n, batch=5, arg=kept)
    b.rate("other header fields, first", "msg", "fields", count=n, arg="X-MAILER RECEIVED")
    b.rate("other header fields, repeated", "msg", "fields", count=n, batch=3, arg="X-MAILER RECEIVED")


@workload
def bodies(b):
    n, m = b.n(5000), b.n(1000)
    big = {"count": 3, "first": 20, "kind": "attachment", "size": 3 << 20}
    mixed = {"count": m, "conns": 4, "users": 4, "first": 10, "kind": "mixed"}
    b.load("fill", count=n, batch=100, users=4, conns=2)
    b.load("fill", **dict(mixed, conns=2), batch=20)
    b.load("fill", **big)
    # The first reading, which may sort things out for later ones, is not timed.
    b.load("bodies", count=n, conns=1)
    b.megabytes("bodies, 4 KiB", "bodies", count=n, conns=4, users=4, batch=4)
    b.megabytes("bodies, 4 KiB, TLS", "bodies", count=n, conns=4, users=4, batch=4, tls=True)
    b.megabytes("bodies, mixed", "bodies", **mixed, batch=2)
    b.megabytes("bodies, mixed, TLS", "bodies", **mixed, batch=2, tls=True)
    b.megabytes("bodies, 3 MiB", "bodies", **big, batch=b.n(60))
    b.megabytes("bodies, 3 MiB, TLS", "bodies", **big, batch=b.n(60), tls=True)
    b.megabytes("one 3 MiB part", "part", **big, batch=b.n(200))
    b.megabytes("one 3 MiB part, TLS", "part", **big, batch=b.n(200), tls=True)


@workload
def flags(b):
    b.load("fill", conns=8, users=64, count=b.n(200), batch=50)
    b.load("fill", count=b.n(10000), batch=100, first=100)
    for conns, count in ((1, 10000), (8, 20000), (64, 20000)):
        b.rate(f"flags one by one, {plural(conns)}, own mailboxes", "op", "flags", conns=conns, users=conns,
               count=b.n(count))
    for conns in (8, 64):
        b.rate(f"flags one by one, {conns} connections, one mailbox", "op", "flags", conns=conns, one=True,
               first=100, count=b.n(10000))
    b.rate("STORE 1:* of 10k", "msg", "storeall", first=100, count=b.n(40, 4))


@workload(env={"BENCH_FSYNC": "always"})
def durable(b):
    b.load("fill", conns=8, users=64, count=b.n(200), batch=50)
    for conns, count in ((1, 4000), (8, 8000), (64, 8000)):
        b.rate(f"flags one by one, {plural(conns)}, mail_fsync=always", "op", "flags", conns=conns,
               users=conns, count=b.n(count))


@workload
def copy(b):
    b.load("fill", count=b.n(10000), batch=100)
    b.rate("copy of 10k", "msg", "copy")
    b.rate("move of 10k, and back", "msg", "move")


@workload
def search(b):
    b.load("fill", count=b.n(10000), batch=100)
    # What is told apart on arrival, other fields, what a server always has,
    # and the text; each key is asked for the first time in this mailbox.
    for row, key, times in (("FROM", "FROM ber", 20), ("SUBJECT", "SUBJECT ber", 20),
                            ("SENTSINCE", "SENTSINCE 15-Jan-2006", 20),
                            ("HEADER X-Mailer", "HEADER X-Mailer ing", 5),
                            ("UNSEEN LARGER", "UNSEEN LARGER 3000", 20), ("SINCE", "SINCE 1-Jan-2020", 20),
                            ("KEYWORD", "NOT KEYWORD $Junk", 20), ("UID", "UID 100:900,1000:*", 20),
                            ("OR FROM NOT TO", "OR FROM ber NOT TO bob", 10),
                            ("BODY", "BODY enanber", 2), ("TEXT", "TEXT enanber", 2)):
        b.delay(f"search {row} of 10k, first", "search", arg=key)
        b.delay(f"search {row} of 10k, repeated", "search", arg=key, batch=b.n(times, 2))


@workload
def logins(b):
    b.load("logins", count=b.users, users=b.users)
    b.rate("logins, plaintext, 8 connections", "op", "logins", conns=8, users=200, count=b.n(8000))
    b.rate("logins, TLS, 8 connections", "op", "logins", conns=8, users=200, count=b.n(2400), tls=True)


@workload(env={"BENCH_HASH": "default"}, users=32)
def hashes(b):
    b.rate("logins, each one's default hash, first", "op", "logins", conns=8, users=32, count=32)
    b.rate("logins, each one's default hash, plaintext", "op", "logins", conns=8, users=32, count=b.n(2000))
    b.rate("logins, each one's default hash, TLS", "op", "logins", conns=8, users=32, count=b.n(1000), tls=True)


@workload
def mix(b):
    b.load("fill", count=b.n(1000, 100), users=8, conns=2, batch=50)
    b.rate("mix, 8 connections", "op", "mix", conns=8, users=8, count=b.n(20000, 960))


@workload(keep=True)
def idle(b):
    users, n = (20, 1000) if b.o.quick else (200, 10000)
    b.once("idle", "fill", count=n, users=users, conns=2, batch=500, distinct=n // 16, size=1024)
    for tls, what in ((False, "plaintext"), (True, "TLS")):
        b.adapter("restart")
        b.load("logins", users=users, count=users)
        f = b.load("idle", conns=b.n(2000), count=n, users=users, batch=12, tls=tls)
        b.note(f"idle, memory of a connection, {what}", "KiB", f["connection_bytes"] / 1024, less=True)
        b.note(f"opening idle connections, {what}", "op/s", f["open_rate"])


@workload
def notify(b):
    # Heard before the 250, or with it: no more is told apart than the time of
    # one turn of this loop on a busy machine.
    b.delay("from the 250 to EXISTS", "notify", least=0.1, conns=2, count=b.n(10, 3))
    b.delay("from the 250 to EXISTS, burst of 100", "notify", least=0.1, conns=2, count=b.n(4, 2), batch=100)


def real_mail(b):
    """The public list archive of a corpus, framed for restante-bench, or None."""
    got = list(Path(os.environ.get("RESTANTE_CORPUS", "/nonexistent")).glob("threads/linux-serial-*.tar.zst"))
    out = b.folder.parent / "list-mail"
    if not got or shutil.which("zstd") is None:
        return None
    if not out.exists():
        with tempfile.TemporaryDirectory(dir=b.folder.parent) as d:
            subprocess.run(f"zstd -dc '{got[0]}' | tar x -C '{d}'", shell=True, check=True)
            with open(out, "wb") as w:
                for p in sorted(Path(d).rglob("*.eml")):
                    x = p.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
                    if x and b"\0" not in x:
                        w.write(b"%d\n" % len(x) + x)
    return out


@workload(rounds=2)
def disk(b):
    mail = real_mail(b)
    kinds = [("list", b.n(40000, 20000), "list mail", {}), ("mixed", b.n(1500, 500), "mail with attachments", {})]
    if mail:
        kinds.append(("file", b.n(11000, 4000), "list mail of the corpus", {"mail": mail}))
    for kind, n, row, more in kinds:
        b.adapter("wipe")
        b.folder.mkdir()
        b.adapter("start")
        f = b.load("fill", count=n, batch=100, kind=kind, **more)
        # What a mail program asks for first: a server may keep the answers.
        if not more:
            b.load("bodies", count=n, kind=kind)
            if kind == "mixed":
                b.load("summary", count=n, kind=kind)
        b.adapter("stop")
        used = sum(p.lstat().st_blocks * 512 for p in Path(b.adapter("store")).rglob("*"))
        b.note(f"bytes on disk a byte, {row}", "", used / f["bytes"], less=True)


def free_ports(n):
    """A base with n free ports behind it."""
    for base in range(21000, 32000, 100):
        try:
            for i in range(n):
                with socket.socket() as s:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    s.bind(("127.0.0.1", base + i))
            return base
        except OSError:
            continue
    raise Failed("no free ports")


def machine(folder):
    cpu = next((x.split(":")[1].strip() for x in open("/proc/cpuinfo") if x.startswith("model name")), "?")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    r = subprocess.run(["findmnt", "-no", "FSTYPE", "-T", folder], capture_output=True, text=True)
    return (f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release()},"
            f" {r.stdout.strip()}")


def commit():
    def git(*a):
        return subprocess.run(["git", "-C", HERE, *a], capture_output=True, text=True).stdout.strip()
    return (git("rev-parse", "--short", "HEAD") or "?") + ("+" if git("status", "--porcelain", "../src") else "")


class Run:
    """Workloads, round by round, into the file of results."""

    def __init__(self, o):
        self.o, self.done, self.commit = o, set(), commit()
        self.top = Path(tempfile.mkdtemp(prefix="restante-bench-", dir=o.dir))
        self.top.chmod(0o711)

    def write(self, record):
        with open(self.o.results, "a") as f:
            f.write(json.dumps(record) + "\n")

    def resume(self):
        """Takes up the newest run of the file; False if there is none."""
        runs = report.read(self.o.results) if self.o.results.exists() else []
        if not runs:
            return False
        head, records = runs[-1]
        for k in ("workloads", "rounds", "quick", "servers"):
            setattr(self.o, k, head[k])
        self.done = {(r["workload"], r["round"], r["server"]) for r in records if not r.get("failed")}
        return True

    def begin(self):
        limits = subprocess.run([BUILD / "bench" / "limits", self.top], capture_output=True, text=True)
        versions = ", ".join(Bench(self.o, s, self.top / s).adapter("version") for s in self.o.servers)
        self.write({"head": {
            "started": time.strftime("%Y-%m-%d %H:%M:%S"), "machine": machine(self.top), "versions": versions,
            "limits": {k: float(v) for k, v in (x.split() for x in limits.stdout.splitlines())},
            "workloads": self.o.workloads, "rounds": self.o.rounds, "quick": self.o.quick,
            "servers": self.o.servers}})

    def one(self, name, r, server):
        work, how = WORKLOADS[name]
        folder = self.top / f"{name}-{server}"
        b = Bench(self.o, server, folder, users=how.get("users", 256), env=how.get("env"))
        began, failed = time.monotonic(), None
        folder.mkdir(exist_ok=True)
        try:
            b.adapter("start")
            work(b)
        except (Failed, subprocess.TimeoutExpired) as e:
            failed = str(e)
            print(f"bench: {failed}", file=sys.stderr)
        finally:
            b.adapter("stop" if how.get("keep") else "wipe")
            # What this one left to be written is not charged to the next.
            os.sync()
        took = time.monotonic() - began
        # Half of a round is none: it would be measured again beside itself.
        self.write({"workload": name, "round": r, "server": server, "commit": self.commit,
                    "when": time.strftime("%Y-%m-%d %H:%M"), "seconds": round(took, 1), "failed": failed,
                    "others": sum(b.others) / len(b.others) if b.others else None,
                    "rows": [] if failed else b.rows})
        print(f"bench: {name}, round {r}, {server}: {took:.0f} s", file=sys.stderr)
        return failed is None

    def workload(self, name):
        good = True
        try:
            for r in range(1, min(self.o.rounds, WORKLOADS[name][1].get("rounds", 99)) + 1):
                for server in self.o.servers:
                    if (name, r, server) not in self.done:
                        good &= self.one(name, r, server)
        finally:
            for server in self.o.servers:
                folder = self.top / f"{name}-{server}"
                if folder.exists():
                    Bench(self.o, server, folder).adapter("wipe")
        return good


def options():
    ap = argparse.ArgumentParser(prog="script/bench", epilog="workloads: " + " ".join(WORKLOADS))
    ap.add_argument("--quick", action="store_true", help="a tenth of the work, one round")
    ap.add_argument("--rounds", type=int, help="5, or 1 with --quick")
    ap.add_argument("--servers", default="restante,dovecot-maildir,dovecot-sdbox",
                    help="names in bench/servers; ratios are the first one's")
    ap.add_argument("--dir", default="/var/tmp", help="where the servers keep their mail")
    ap.add_argument("--results", type=Path, default=BUILD / "bench" / "results.jsonl",
                    help="results are appended to this file")
    ap.add_argument("--resume", action="store_true", help="go on with the newest run of that file")
    ap.add_argument("--report", type=Path, metavar="FILE",
                    help="measure nothing; print the report of a file of results")
    ap.add_argument("--brief", action="store_true", help="with --report: what is asked for, and no more")
    ap.add_argument("workloads", nargs="*", metavar="WORKLOAD")
    o = ap.parse_args()
    o.servers = o.servers.split(",")
    o.workloads = o.workloads or list(WORKLOADS)
    o.rounds = o.rounds or (1 if o.quick else 5)
    o.bin = BUILD / "bench" / "restante-bench"
    for w in o.workloads:
        if w not in WORKLOADS:
            ap.error(f"no workload {w}")
    for s in o.servers:
        if not (HERE / "servers" / f"{s}.sh").exists():
            ap.error(f"no server {s}")
    return o


def main():
    o = options()
    if o.report:
        table = report.brief if o.brief else report.markdown
        print("\n".join(table(report.read(o.report), WORKLOADS)))
        return
    run, good = Run(o), True
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if not o.resume or not run.resume():
            o.port = free_ports(10 * len(o.servers))
            run.begin()
        o.port = free_ports(10 * len(o.servers))
        for name in o.workloads:
            good &= run.workload(name)
    except KeyboardInterrupt:
        good = False
    finally:
        shutil.rmtree(run.top, ignore_errors=True)
    print("\n".join(report.markdown(report.read(o.results)[-1:], WORKLOADS)))
    sys.exit(not good)


if __name__ == "__main__":
    main()
