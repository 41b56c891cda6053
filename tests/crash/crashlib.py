# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""Records a program and replays what a power cut could have left of it."""
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from litter import folder

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("RESTANTE_BUILD", ROOT / "build"))
TOOLS = BUILD / "tests" / "crash"
KEEP = Path(os.environ.get("CRASH_KEEP", BUILD / "crash-bad"))
SEED = int(os.environ.get("SEED", "93"))


def tool(name):
    p = TOOLS / name
    if not p.exists():
        pytest.fail(f"{p} is not built")
    return str(p)


def tell_states(path, states):
    """Leaves the number for tests/run.py or script/hunt, which add them up."""
    folder = Path(os.environ.get("CRASH_TOLD", BUILD / "crash-states"))
    folder.mkdir(exist_ok=True)
    (folder / path).write_text(f"{states}\n")


def memory_dir():
    """A directory in memory when there is room: half a gigabyte."""
    shm = Path("/dev/shm")
    room = shm.exists() and shutil.disk_usage(shm).free > 1 << 29
    return folder("crash", shm if room else None)


class Recording:
    """A directory with data, its log beside it; gone when it was good."""

    def __init__(self, name):
        self.name = name
        self.top = memory_dir()
        self.data = self.top / "data"
        self.log = self.top / "ops.log"
        self.data.mkdir()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        shutil.rmtree(self.top, ignore_errors=True)

    def env(self, **more):
        return dict(os.environ, RECORD_DIR=str(self.data), RECORD_LOG=str(self.log),
                    LD_PRELOAD=tool("record.so"), **more)

    def run(self, args, check=True, timeout=60, **more):
        """Runs a program under the recorder; more: its environment."""
        r = subprocess.run([str(a) for a in args], env=self.env(**more), text=True,
                           timeout=timeout, capture_output=True)
        if check:
            assert r.returncode == 0, (self.name, r.returncode, r.stdout[-2000:], r.stderr[-2000:])
        return r

    def replay(self, program, checker=(), states=300, keep=True, **options):
        """Returns (states, bad, all the output)."""
        args = program + [str(self.log), "--states", str(states), "--seed", str(SEED)]
        for k, v in options.items():
            args += ["--" + k, str(v)]
        if keep:
            shutil.rmtree(KEEP / self.name, ignore_errors=True)
            KEEP.mkdir(parents=True, exist_ok=True)
            args += ["--keep", str(KEEP / self.name)]
        args += list(checker)
        r = subprocess.run(args, text=True, capture_output=True,
                           timeout=int(os.environ.get("CRASH_SECONDS", "600")))
        m = re.search(r"^states (\d+) bad (\d+)", r.stdout, re.M)
        assert m is not None, (self.name, r.returncode, r.stdout[-2000:], r.stderr[-2000:])
        if keep and int(m.group(2)) > 0:
            for p in (self.log, self.top / "facts"):
                if p.exists():
                    subprocess.run(["cp", "--sparse=always", str(p), str(KEEP / self.name)])
        return int(m.group(1)), int(m.group(2)), r.stdout + r.stderr
