# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""What each process is refused. R88 R89 R92"""
import os
import pwd
import re
import time

import pytest
import subprocess

from harness import RESTANTE, Server


def test_r88_r89_selftest():
    """R88 R89: open, socket, connect, execve, ptrace, fork, kill are denied
    in each process that meets strangers; keys and mail cannot leave."""
    with Server(users=("ann",)) as s:
        out = s.cli("selftest").stdout.decode()
        for proc in ("front", "intake", "keys"):
            part = re.search(rf"(?ms)^{proc}\b.*?(?=^\w+:?$|\Z)", out) or re.search(rf"(?m)^{proc}.*$", out)
            assert part, out
            rows = dict(re.findall(rf"(?m)^(?:{proc}[: ]+|\s+)(\w+) (denied|allowed)", out[part.start():part.end()]))
            for call in ("open", "connect", "execve", "ptrace", "fork"):
                assert rows.get(call) == "denied", (proc, call, out)



def test_selftest_before_the_first_start(tmp_path):
    """Without a data directory it tells as much, and makes none."""
    r = subprocess.run([str(RESTANTE), "selftest", "--data", str(tmp_path / "none")],
                       capture_output=True, timeout=60)
    assert r.returncode == 0, r.stderr
    for proc in (b"front:", b"intake:", b"keys:", b"auth:", b"mail:"):
        assert proc in r.stdout
    assert not (tmp_path / "none").exists()


def test_r92_descriptors_and_dumps():
    """R92: nothing is inherited; no core dumps; not traceable."""
    with Server(users=("ann",)) as s:
        with s.imap("ann") as c:
            c.select()
            for pid in s.pids():
                links = []
                for fd in os.listdir(f"/proc/{pid}/fd"):
                    try:
                        links.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
                    except OSError:
                        pass
                name = open(f"/proc/{pid}/comm").read()
                if "front" in name or "intake" in name or "keys" in name:
                    assert not any("data.mdb" in x or ".seg" in x or "secrets" in x for x in links), (name, links)
                limits = open(f"/proc/{pid}/limits").read()
                core = re.search(r"Max core file size\s+(\d+|unlimited)", limits).group(1)
                status = open(f"/proc/{pid}/status").read()
                assert re.search(r"NoNewPrivs:\s+1", status), name
                assert re.search(r"Seccomp:\s+2", status), name
                assert core == "0", (name, core)


def caps(pid):
    """The capability sets of a process, as numbers."""
    return {k: int(v, 16) for k, v in re.findall(r"Cap(\w+):\s+([0-9a-f]+)", open(f"/proc/{pid}/status").read())}


# Users that every Debian has; which ones matters not, only that they differ.
USERS = {"mail": "mail", "front": "games", "auth": "news", "keys": "man"}
DAC_OVERRIDE, KILL, SETGID, SETUID, SETPCAP, SYS_CHROOT = 1, 5, 6, 7, 8, 18


def need_root():
    if os.geteuid() != 0:
        pytest.skip("needs root, to start processes as other users")
    for name in USERS.values():
        try:
            pwd.getpwnam(name)
        except KeyError:
            pytest.skip(f"this machine has no user {name}")


def test_r89_rights_of_root():
    """R89: as root the supervisor keeps what starting its children anew
    needs, and they keep nothing, also in the bounding set."""
    need_root()
    s = Server(users=("ann",))
    s.settings += [f"user_{k}={v}" for k, v in USERS.items()]
    with s:
        few = sum(1 << n for n in (DAC_OVERRIDE, KILL, SETGID, SETUID, SETPCAP, SYS_CHROOT))
        before = caps("self")
        boss = caps(s.proc.pid)
        assert boss["Eff"] == boss["Prm"] == few & before["Prm"], boss
        assert boss["Bnd"] == few & before["Bnd"] and boss["Amb"] == boss["Inh"] == 0, boss
        assert "NoNewPrivs:\t1" in open(f"/proc/{s.proc.pid}/status").read()

        def check():
            for title, user in (("front", "front"), ("intake", "front"), ("auth", "auth"),
                                ("keys", "keys"), ("mail", "mail")):
                pids = s.pids(title)
                assert pids, title
                for pid in pids:
                    assert set(caps(pid).values()) == {0}, (title, caps(pid))
                    status = open(f"/proc/{pid}/status").read()
                    uids = set(re.search(r"Uid:\s+(.*)", status).group(1).split())
                    assert uids == {str(pwd.getpwnam(USERS[user]).pw_uid)}, (title, uids)
                    assert re.search(r"(?m)^Groups:\s*$", status), (title, status)
        check()
        with s.imap("ann", tls=True) as c:
            c.ok("NOOP")
        # With what is left children come back, keys are read, and all ends.
        for title in ("mail", "keys", "auth", "front"):
            os.kill(s.pids(title)[0], 9)
        s.proc.send_signal(1)
        end = time.monotonic() + 20
        while True:
            try:
                with s.imap("ann", tls=True) as c:
                    c.ok("NOOP")
                check()
                break
            except (OSError, EOFError, AssertionError):
                assert time.monotonic() < end, s.tail()
                time.sleep(0.2)


def test_r89_mail_cannot_read_secrets():
    """R89: under one user Landlock keeps passwords and keys from mail; the
    folders that it needs it has (new index, backup, spool)."""
    with Server(users=("ann",)) as s:
        if "landlock_abi=0" in s.tail(100000):
            pytest.skip("the kernel has no Landlock")
        s.deliver(b"Subject: x\r\n\r\n" + b"body\r\n" * 100000, "ann")
        with s.imap("ann") as c:
            c.append(b"Subject: big\r\n\r\n" + b"x" * 70 + b"\r\n" * 2000000)
        s.cli("backup", str(s.top / "backup"))
        for name in ("FORMAT", "ballast", "index", "lock", "log"):
            assert (s.data / name).exists(), name
        assert "EACCES" not in s.tail(100000) and "ermission" not in s.tail(100000), s.tail(100000)
