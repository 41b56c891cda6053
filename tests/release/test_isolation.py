# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""What each process is refused. R88 R89 R92"""
import os
import re
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
