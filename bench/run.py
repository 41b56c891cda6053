# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""Runs restante-bench against servers in turn, and prints a Markdown table.

Every round starts each server once, on an empty folder, one at a time: what
the machine does meanwhile meets all of them alike. A cell is the median of the
rounds and their spread; the ratio is restante's median to the better one of
the others, above 1 where restante is better. CPU is that of all the server's
processes together: on a busy machine it is steadier than a rate. It is
counted in hundredths of a second; a dash is less than one.
"""
import argparse
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
USERS = 256


class Failed(Exception):
    pass


class Bench:
    """One server in one round; rows collects what every workload measures."""

    def __init__(self, o, server, top, rows):
        self.o, self.server, self.rows = o, server, rows
        self.scale = 10 if o.quick else 1
        self.seed = 0
        self.env = dict(os.environ, BENCH_DIR=str(top / server), BENCH_USERS=str(USERS),
                        BENCH_PORT=str(o.port + 10 * o.servers.index(server)))

    def adapter(self, word):
        r = subprocess.run([HERE / "servers" / f"{self.server}.sh", word], env=self.env,
                           stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
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

    def note(self, row, unit, value, less=False, f=None):
        """One value for a row; f, the figures, adds the CPU of an operation."""
        if self.o.quick:
            row = row.replace(" of 10k", " of 1k")
        cell = self.rows.setdefault(row, {"unit": unit, "less": less, "own": 0, "of": {}})
        v = cell["of"].setdefault(self.server, {"value": [], "cpu": []})
        v["value"].append(value)
        if f:
            v["cpu"].append(1e6 * f["server_cpu"] / f["operations"])
            cell["own"] = max(cell["own"], f["own_cpu_share"])
            if "found" in f:
                cell.setdefault("found", f["found"])
                if cell["found"] != f["found"]:
                    raise Failed(f"{row}: {self.server} finds {f['found']:.0f},"
                                 f" another {cell['found']:.0f}")

    def rate(self, row, unit, workload, **args):
        f = self.load(workload, **args)
        self.note(row, f"{unit}/s", f["operations"] / f["seconds"], f=f)

    def megabytes(self, row, workload, **args):
        f = self.load(workload, **args)
        self.note(row, "MB/s", f["bytes"] / f["seconds"] / 1e6, f=f)

    def delay(self, row, workload, **args):
        f = self.load(workload, **args)
        # Heard before the 250: as good as at once.
        self.note(row, "ms", max(1e3 * f["latency_median"], 0.01), less=True, f=f)

    def n(self, full, least=1):
        """A count: a tenth with --quick."""
        return max(least, full // self.scale)


def deliver(b):
    for conns, count in ((1, 2000), (8, 4000), (64, 6400)):
        b.rate(f"deliver 4 KiB, {conns} connection{'s' * (conns > 1)}", "msg", "deliver",
               conns=conns, users=conns, count=b.n(count, 2 * conns))
    b.megabytes("deliver 64 KiB, 8 connections", "deliver", conns=8, users=8, count=b.n(1000, 16), size=65536)
    b.megabytes("deliver 1 MiB, 8 connections", "deliver", conns=8, users=8, count=b.n(160, 16), size=1 << 20)
    b.rate("deliver 4 KiB, 50 recipients", "msg", "deliver", count=b.n(100), rcpts=50, first=100)


def append(b):
    for conns, count in ((1, 2000), (8, 4000), (64, 6400)):
        b.rate(f"append 4 KiB, {conns} connection{'s' * (conns > 1)}", "msg", "append",
               conns=conns, users=conns, count=b.n(count, 2 * conns))
    b.rate("multiappend 4 KiB, 100 a command", "msg", "append", batch=100, count=b.n(10000, 200), first=100)


def flags(b):
    b.load("fill", conns=8, users=64, count=b.n(200), batch=50)
    b.load("fill", count=b.n(10000), batch=100, first=100)
    for conns, count in ((1, 10000), (8, 20000), (64, 20000)):
        b.rate(f"flags one by one, {conns} connection{'s' * (conns > 1)}, own mailboxes", "op", "flags",
               conns=conns, users=conns, count=b.n(count))
    b.rate("flags one by one, 8 connections, one mailbox", "op", "flags", conns=8, one=True,
           first=100, count=b.n(10000))
    b.rate("STORE 1:* of 10k", "msg", "storeall", first=100, count=b.n(40, 4))


def summary(b):
    n = b.n(10000)
    b.load("fill", count=n, batch=100)
    b.rate("summary of 10k, first", "msg", "summary", count=n)
    b.rate("summary of 10k, repeated", "msg", "summary", count=n, batch=5)
    b.load("fill", count=n, batch=100, first=1)
    b.rate("header fields that lists show, first", "msg", "fields", count=n, first=1,
           arg="FROM TO SUBJECT DATE MESSAGE-ID")
    b.rate("header fields that lists show, repeated", "msg", "fields", count=n, first=1, batch=5,
           arg="FROM TO SUBJECT DATE MESSAGE-ID")
    b.load("fields", count=n, first=1, arg="X-MAILER RECEIVED")
    b.rate("other header fields, repeated", "msg", "fields", count=n, first=1, batch=2,
           arg="X-MAILER RECEIVED")


def bodies(b):
    n, m = b.n(5000), b.n(1000)
    b.load("fill", count=n, batch=100, users=8, conns=2)
    b.load("fill", count=m, batch=20, users=4, conns=2, first=10, kind="mixed")
    b.load("fill", count=3, first=20, kind="attachment", size=3 << 20)
    # The first reading, which may sort things out for later ones, is not timed.
    b.load("bodies", count=n, conns=1)
    b.megabytes("bodies, 4 KiB", "bodies", count=n, conns=4, users=4, batch=4)
    b.megabytes("bodies, mixed", "bodies", count=m, conns=4, users=4, first=10, kind="mixed", batch=2)
    b.megabytes("bodies, mixed, TLS", "bodies", count=m, conns=4, users=4, first=10, kind="mixed", batch=2, tls=True)
    b.megabytes("one 3 MiB part", "part", count=3, first=20, kind="attachment", size=3 << 20, batch=b.n(200))
    b.megabytes("one 3 MiB part, TLS", "part", count=3, first=20, kind="attachment", size=3 << 20,
                batch=b.n(200), tls=True)
    b.rate("pop3 drain 4 KiB, 8 connections", "msg", "drain", count=n, conns=8, users=8, batch=2)
    b.megabytes("pop3 drain, mixed, TLS, 4 connections", "drain", count=m, conns=4, users=4, first=10,
                kind="mixed", batch=2, tls=True)


def drain(b):
    n = b.n(5000)
    b.load("fill", count=n, batch=100, users=8, conns=2)
    b.rate("pop3 drain and delete 4 KiB, 8 connections", "msg", "delete", count=n, conns=8, users=8)


def logins(b):
    b.load("logins", count=USERS, users=USERS)
    b.rate("logins, plaintext, 8 connections", "op", "logins", conns=8, users=200, count=b.n(8000))
    b.rate("logins, TLS, 8 connections", "op", "logins", conns=8, users=200, count=b.n(2400), tls=True)


def copy(b):
    n = b.n(10000)
    b.load("fill", count=n, batch=100)
    b.rate("copy of 10k", "msg", "copy")
    b.rate("move of 10k, and back", "msg", "move")


def select(b):
    for n, name in ((1000, "1k"),) + (() if b.o.quick else ((10000, "10k"), (100000, "100k"))):
        u = n.bit_length()
        b.load("fill", count=n, batch=500, first=u, size=1024)
        b.load("select", first=u)
        b.delay(f"select of {name}, warm", "select", first=u, batch=b.n(200))
        b.adapter("restart")
        b.load("logins", first=u)
        b.delay(f"select of {name}, after restart", "select", first=u)


def search(b):
    n = b.n(10000)
    b.load("fill", count=n, batch=100)
    for row, key, times in (("SUBJECT", "SUBJECT ber", 20), ("HEADER X-Mailer", "HEADER X-Mailer ing", 5),
                            ("UNSEEN LARGER", "UNSEEN LARGER 3000", 20), ("SENTSINCE", "SENTSINCE 15-Jan-2006", 20),
                            ("BODY", "BODY enanber", 2), ("TEXT", "TEXT enanber", 2)):
        b.delay(f"search {row} of 10k, first", "search", arg=key)
        b.delay(f"search {row} of 10k, repeated", "search", arg=key, batch=b.n(times, 2))


def mix(b):
    b.load("fill", count=b.n(1000, 100), users=8, conns=2, batch=50)
    b.rate("mix, 8 connections", "op", "mix", conns=8, users=8, count=b.n(20000, 960))


def idle(b):
    users, n = (10, 100) if b.o.quick else (20, 10000)
    b.load("fill", count=n, users=users, conns=2, batch=500, size=1024)
    for tls in (False, True):
        b.adapter("restart")
        b.load("logins", users=USERS, count=USERS)
        f = b.load("idle", conns=b.n(2000), count=n, users=users, batch=20, tls=tls)
        what = "TLS" if tls else "plaintext"
        b.note(f"idle, memory of a connection, {what}", "KiB", f["connection_bytes"] / 1024, less=True)
        b.note(f"opening idle connections, {what}", "op/s", f["open_rate"])


def notify(b):
    b.delay("from the 250 to EXISTS", "notify", conns=2, count=b.n(20, 3))
    b.delay("from the 250 to EXISTS, burst of 100", "notify", conns=2, count=b.n(5, 2), batch=100)


def disk(b):
    for kind, row in (("text", "list mail of 4 KiB"), ("mixed", "mail with attachments")):
        b.adapter("wipe")
        b.adapter("start")
        f = b.load("fill", count=2000, batch=100, kind=kind)
        b.load("summary", count=2000)
        b.adapter("stop")
        used = sum(p.lstat().st_blocks * 512 for p in Path(b.adapter("store")).rglob("*"))
        b.adapter("start")
        b.note(f"bytes on disk a byte, {row}", "", used / f["bytes"], less=True)


WORKLOADS = {f.__name__: f for f in (deliver, append, flags, summary, bodies, drain, logins, copy, select,
                                     search, mix, idle, notify, disk)}


def short(v):
    return f"{v:,.0f}" if v >= 100 else f"{v:.1f}" if v >= 10 else f"{v:.2f}"


def table(o, rows):
    head = ["workload"] + o.servers + (["ratio"] if len(o.servers) > 1 else []) + ["server CPU each"]
    head += (["CPU ratio"] if len(o.servers) > 1 else []) + ["load's CPU"]
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row, c in rows.items():
        med, cpu, out = {}, {}, [row]
        for s in o.servers:
            v = c["of"].get(s)
            if not v:
                out.append("failed")
                continue
            med[s] = statistics.median(v["value"])
            if v["cpu"]:
                cpu[s] = statistics.median(v["cpu"])
            out.append(f"{short(med[s])} {c['unit']} ({short(min(v['value']))}..{short(max(v['value']))})")
        mine, others = o.servers[0], o.servers[1:]
        if others:
            theirs = [med[s] for s in others if s in med]
            if mine in med and theirs:
                r = min(theirs) / med[mine] if c["less"] else med[mine] / max(theirs)
                out.append(f"×{short(r)}")
            else:
                out.append("")
        out.append(" / ".join(short(cpu[s]) if cpu[s] else "—" for s in o.servers if s in cpu) + (" µs" if cpu else ""))
        if others:
            theirs = [cpu[s] for s in others if s in cpu]
            out.append(f"{cpu[mine] / min(theirs):.2f}" if cpu.get(mine) and theirs and min(theirs) > 0 else "")
        out.append(f"{c['own']:.0%}" if cpu else "")
        yield "| " + " | ".join(out) + " |"


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


def machine():
    cpu = next((x.split(":")[1].strip() for x in open("/proc/cpuinfo") if x.startswith("model name")), "?")
    return f"{cpu}, {os.cpu_count()} cores, Linux {platform.release()}"


def main():
    ap = argparse.ArgumentParser(prog="script/bench", epilog="workloads: " + " ".join(WORKLOADS))
    ap.add_argument("--quick", action="store_true", help="a tenth of the work, three rounds")
    ap.add_argument("--rounds", type=int)
    ap.add_argument("--servers", default="restante,dovecot-maildir,dovecot-sdbox",
                    help="names in bench/servers; ratios are the first one's")
    ap.add_argument("--dir", default="/var/tmp", help="where the servers keep their mail")
    ap.add_argument("workloads", nargs="*", metavar="WORKLOAD")
    o = ap.parse_args()
    o.servers = o.servers.split(",")
    o.bin = Path(os.environ["RESTANTE_BUILD"]) / "bench" / "restante-bench"
    for w in o.workloads:
        if w not in WORKLOADS:
            ap.error(f"no workload {w}")
    for s in o.servers:
        if not (HERE / "servers" / f"{s}.sh").exists():
            ap.error(f"no server {s}")
    rounds = o.rounds or (3 if o.quick else 5)
    o.port = free_ports(10 * len(o.servers))
    top = Path(tempfile.mkdtemp(prefix="restante-bench-", dir=o.dir))
    top.chmod(0o711)
    rows, failed = {}, []
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for name in o.workloads or WORKLOADS:
            for r in range(rounds):
                for server in o.servers:
                    began = time.monotonic()
                    b = Bench(o, server, top, rows)
                    try:
                        (top / server).mkdir(exist_ok=True)
                        b.adapter("start")
                        WORKLOADS[name](b)
                    except Failed as e:
                        failed.append(str(e))
                        print(f"bench: {e}", file=sys.stderr)
                    finally:
                        b.adapter("wipe")
                    print(f"bench: {name}, round {r + 1}, {server}: {time.monotonic() - began:.0f} s",
                          file=sys.stderr)
    except KeyboardInterrupt:
        failed.append("interrupted")
    try:
        versions = ", ".join(Bench(o, s, top, rows).adapter("version") for s in o.servers)
    finally:
        shutil.rmtree(top, ignore_errors=True)
    print(f"{machine()}; {versions}; {rounds} rounds{', quick' if o.quick else ''}; {time.strftime('%Y-%m-%d')}\n")
    print("\n".join(table(o, rows)))
    if failed:
        print("\nFailed:\n\n" + "\n".join(f"- {x}" for x in failed))
        sys.exit(1)


if __name__ == "__main__":
    main()
