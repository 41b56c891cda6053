# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""The servers that a soak can be run on: restante with all that a nemesis can
do to it, and any that has an adapter in bench/servers."""
import json
import mmap
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import time
from pathlib import Path

from harness import BUILD, PASSWORD, RESTANTE, ROOT, Imap, Server, free_port
from litter import folder

KINDS = ("open", "read", "write", "sync", "truncate")  # enum os_call
ERRNO = {"EIO": 5, "ENOSPC": 28}
# As harness.Server: the thread sanitizer leaves no room for a large map.
SMALL = ["--set", f"index_map_bytes={1 << 30}"] if BUILD.name == "build-tsan" else []


def stop_for(pid, seconds):
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:  # also when we are told to end
        os.kill(pid, signal.SIGCONT)


class Page:
    """The page of orders of a build with -Dfaults=true: struct orders in
    src/os/fault.c."""

    def __init__(self, path):
        path.write_bytes(bytes(4096))
        self.f = open(path, "r+b")
        self.m = mmap.mmap(self.f.fileno(), 4096)

    def clock(self, ms):
        struct.pack_into("<q", self.m, 0, ms)

    def fault(self, kinds, error, n=1, sticky=False, title="mail"):
        struct.pack_into("<I", self.m, 8, 0)
        struct.pack_into("<IIi", self.m, 12, ERRNO[error], int(sticky), n)
        struct.pack_into("36s", self.m, 28, title.encode())
        struct.pack_into("<I", self.m, 8, sum(1 << KINDS.index(k) for k in kinds))

    def clear(self):
        struct.pack_into("<I", self.m, 8, 0)

    def hits(self):
        return struct.unpack_from("<I", self.m, 24)[0]


class Restante:
    strict = True
    password = PASSWORD
    accounts = ("ann", "bob", "sue")

    def __init__(self, seed):
        options = json.loads((BUILD / "meson-info" / "intro-buildoptions.json").read_text())
        self.top = folder("restante-soak")
        self.rng = random.Random(seed)
        # A small disk, that can really be full, where this may be mounted.
        mount = ["mount", "-t", "tmpfs", "-o", "size=256m,mode=711", "soak", str(self.top)]
        self.mounted = os.geteuid() == 0 and subprocess.run(mount, check=False, capture_output=True).returncode == 0
        self.page = None
        env = {}
        if any(o["name"] == "faults" and o["value"] for o in options):
            self.page = Page(self.top / "orders")
            env["RESTANTE_FAULT_PAGE"] = str(self.top / "orders")
        settings = ["connections_per_account=1000", "connections_per_address=1000"]
        self.server = Server(users=self.accounts, settings=settings, data=self.top, env=env)
        self.version = "restante, " + BUILD.name

    def start(self):
        self.server.start(60)
        self.ports = self.server.ports

    def close(self):
        try:
            self.server.close()
        finally:
            if self.mounted:
                subprocess.run(["umount", "-l", str(self.top)], check=False)
            shutil.rmtree(self.top, ignore_errors=True)

    def log(self):
        return self.server.tail(1 << 20)

    def verify(self, full=False):
        r = self.server.cli("check", *(["--full"] if full else []), *SMALL, check=False, timeout=300)
        last = r.stdout.decode(errors="replace").splitlines()[-1:]
        good = last == ["0 faults"]
        return 0 if good else 1, "" if good else (r.stdout + r.stderr).decode(errors="replace")[-2000:]

    @staticmethod
    def uidl(text):
        uv, uid = text.split(".")
        return int(uid, 16), int(uv, 16)

    # -- what a nemesis does --
    def nemesis(self):
        kinds = ["kill"] * 5 + ["stop"] * 3 + ["restart", "restart -9", "hup", "compact", "backup"]
        if self.mounted:
            kinds += ["fill"] * 2
        if self.page:
            kinds += ["full"] + ["sync"] * 2 + ["read"] * 2 + ["write"] * 2 + ["clock"] * 2
        return kinds

    def do(self, kind):
        """Does it, and undoes what would last; what it was, in words."""
        rng, s = self.rng, self.server
        if kind in ("kill", "stop"):
            who = rng.choice(["mail", "front", "auth", "keys", "intake"] + ["restante"] * (kind == "stop"))
            pids = [s.proc.pid] if who == "restante" else s.pids(who)
            if not pids:
                return f"no {who}"
            pid = rng.choice(pids)
            try:
                if kind == "kill":
                    os.kill(pid, signal.SIGKILL)
                    return f"kill -9 {who}"
                stop_for(pid, 0.1 + rng.random())
            except ProcessLookupError:
                return f"{who} went by itself"
            return f"stop {who}"
        if kind == "compact":
            r = s.cli("compact", *SMALL, check=False, timeout=120)
            return "compact" if r.returncode == 0 else "compact refused"
        if kind == "backup":
            return self.backup()
        if kind == "hup":
            s.proc.send_signal(signal.SIGHUP)
            return "SIGHUP"
        if kind == "restart":
            s.stop(wait=60)
            s.start(60)
            return "restart"
        if kind == "restart -9":
            kids = s.pids()
            s.stop(signal.SIGKILL)
            end = time.monotonic() + 20
            while any(Path(f"/proc/{p}").exists() for p in kids):
                assert time.monotonic() < end, "children of a supervisor that was killed go on"
                time.sleep(0.02)
            s.start(60)
            return "kill -9 all, start"
        if kind == "fill":
            return self.fill()
        if kind == "full":
            self.fail_for(0.3 + rng.random(), ("write",), "ENOSPC", rng.randrange(1, 10), True)
            return f"writes find no room, {self.page.hits()} faults so far"
        if kind == "clock":
            by = rng.choice([-86400, -3600, -60, 60, 3600, 30 * 86400, 0])
            self.page.clock(by * 1000)
            return f"clock {by:+} s"
        sticky = rng.random() < 0.2
        n = rng.randrange(1, 40)
        self.fail_for(0.3 + rng.random(), (kind,), "EIO", n, sticky)
        return f"{kind}{' always' * sticky} fails, {self.page.hits()} faults so far"

    def fail_for(self, seconds, *fault):
        self.page.fault(*fault)
        try:
            time.sleep(seconds)
        finally:
            self.page.clear()

    def fill(self):
        """The disk is full to the last byte for a while."""
        filler = self.top / "filler"
        try:
            with open(filler, "wb", buffering=0) as f:
                size = 1 << 20
                while size:
                    try:
                        f.write(bytes(size))
                    except OSError:
                        size //= 2
                end = time.monotonic() + 0.3 + self.rng.random()
                said = "disk full"
                if self.rng.random() < 0.3:
                    said += ", kill -9 mail"
                    for pid in self.server.pids("mail"):
                        os.kill(pid, signal.SIGKILL)
                while time.monotonic() < end:
                    try:
                        f.write(bytes(4096))
                    except OSError:
                        time.sleep(0.02)
            return said
        finally:
            filler.unlink(missing_ok=True)

    def backup(self):
        """A backup of the moment; what is restored from it is whole."""
        to, new = self.top / "backup", self.top / "restored"
        try:
            if self.server.cli("backup", str(to), *SMALL, check=False, timeout=120).returncode != 0:
                return "backup refused"
            run = [str(RESTANTE), "restore", str(to), "--data", str(new), *SMALL]
            subprocess.run(run, check=True, timeout=120, capture_output=True)
            run = [str(RESTANTE), "check", "--full", "--data", str(new), *SMALL]
            r = subprocess.run(run, check=False, timeout=120, capture_output=True)
            assert r.stdout.splitlines()[-1:] == [b"0 faults"], (r.stdout + r.stderr)[-2000:]
            return "backup"
        finally:
            shutil.rmtree(to, ignore_errors=True)
            shutil.rmtree(new, ignore_errors=True)


class Adapter:
    """A server of bench/servers. Its replies may lag behind another session's
    work until the next answer that tells of it. It is restarted, and all its
    processes but the first are killed and stopped."""
    strict = False
    password = "bench"
    accounts = ("u0", "u1", "u2")

    def __init__(self, script, seed):
        self.script = str(Path(script).resolve())
        self.top = folder("restante-soak")
        self.rng = random.Random(seed)
        self.port = next(p for p in iter(lambda: random.randrange(20000, 30000), 0)
                         if free_port())
        self.ports = {k: self.port + n for n, k in enumerate(("imap", "imaps", "pop3", "pop3s", "lmtp"))}
        self.version = self.call("version").strip()

    def call(self, what):
        env = dict(os.environ, BENCH_DIR=str(self.top), BENCH_PORT=str(self.port), BENCH_USERS="3")
        r = subprocess.run([self.script, what], env=env, stdout=subprocess.PIPE, timeout=120, check=True, cwd=ROOT)
        return r.stdout.decode(errors="replace")

    def start(self):
        self.call("start")

    def close(self):
        self.call("wipe")
        shutil.rmtree(self.top, ignore_errors=True)

    def log(self):
        p = self.top / "log"
        return p.read_text(errors="replace")[-3000:] if p.exists() else ""

    def verify(self, full=False):
        return 0, ""

    @staticmethod
    def uidl(text):
        m = re.fullmatch(r"([0-9a-f]{8})([0-9a-f]{8})", text)
        return int(m[1], 16), int(m[2], 16)

    def nemesis(self):
        return ["restart"] + ["kill"] * 4 + ["stop"] * 2

    def do(self, kind):
        if kind == "restart":
            self.call("restart")
            return kind
        below = descendants(int(self.call("pids").split()[0]))
        pid, name = self.rng.choice(below) if below else (0, "nothing")
        try:
            if pid and kind == "kill":
                os.kill(pid, signal.SIGKILL)
            elif pid:
                stop_for(pid, 0.1 + self.rng.random())
        except ProcessLookupError:
            pass
        return f"{kind} {name}"


def descendants(top):
    """[(pid, name)] of all processes below this one."""
    of = {}
    for p in Path("/proc").glob("[0-9]*"):
        try:
            stat = (p / "stat").read_text()
        except OSError:
            continue
        of[int(p.name)] = int(stat.rpartition(")")[2].split()[1]), stat[stat.index("(") + 1:stat.rindex(")")]
    out, ring = [], {top}
    while ring:
        ring = {p for p, (up, _) in of.items() if up in ring}
        out += [(p, of[p][1]) for p in sorted(ring)]
    return out


def answers(server, account):
    """Whether it takes a login."""
    try:
        with Imap(server.ports["imap"], timeout=10) as c:
            c.response()
            return c.cmd(f'LOGIN {account} "{server.password}"')[1].startswith(b"OK")
    except (OSError, EOFError):
        return False
