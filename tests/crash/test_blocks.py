# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""R94: the store on a real file system on a disk that may lose what was not
flushed. The disk's writes and flushes are recorded while a path runs
(logdisk.c); then what it would hold after a power cut is mounted, so that the
file system recovers as it does, and the store must be as after any crash."""
import os
import random
import shutil
import struct
import subprocess
import time
from pathlib import Path

import pytest

from crashlib import KEEP, SEED, TOOLS, memory_dir, tell_states, tool
from test_crash import FROM_NOTHING, PATHS

FSES = {  # how it is made; the size of the disk in MiB
    "ext4": (["mkfs.ext4", "-q", "-F"], 96),
    "xfs": (["mkfs.xfs", "-q", "-f"], 320),
    "btrfs": (["mkfs.btrfs", "-q", "-f"], 160),
}
# In every run: one path of each file system; the hunt tries all.
STATES = int(os.environ.get("BLOCK_STATES", "16"))
SOME = [("ext4", "append"), ("xfs", "flags"), ("btrfs", "segment-roll"), ("ext4", "compact")]
ALL = [(fs, path) for fs in FSES for path, program in sorted(PATHS.items())
       if program == "storeload" and path not in FROM_NOTHING]


def command(*args, **more):
    r = subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=60, **more)
    assert r.returncode == 0, (args, r.stdout[-2000:], r.stderr[-2000:])
    return r.stdout.strip()


def able(fs):
    """Why it cannot be tried here, or None."""
    if os.geteuid() != 0:
        return "mounting file systems needs root"
    if not (TOOLS / "logdisk").exists() or not Path("/dev/fuse").exists():
        return "no libfuse or no /dev/fuse"
    if shutil.which(FSES[fs][0][0]) is None:
        return f"no {FSES[fs][0][0]}"
    if shutil.disk_usage(memory_dir_root()).free < 2 << 30:
        return "too little room"
    try:
        subprocess.run(["losetup", "-f"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return "no loop devices"
    return None


def memory_dir_root():
    return "/dev/shm" if Path("/dev/shm").exists() else "/tmp"


class Mounted:
    """A file with a file system in it, mounted."""

    def __init__(self, file, at):
        self.file, self.at, self.loop = str(file), Path(at), None

    def __enter__(self):
        self.at.mkdir(exist_ok=True)
        self.loop = command("losetup", "-f", "--show", self.file)
        try:
            command("mount", "-o", "noatime", self.loop, self.at)
        except AssertionError:
            command("losetup", "-d", self.loop)
            raise
        return self.at

    def __exit__(self, *_):
        for _ in range(50):
            if subprocess.run(["umount", str(self.at)], capture_output=True).returncode == 0:
                break
            time.sleep(0.1)
        command("losetup", "-d", self.loop)


class Disk:
    """What logdisk serves, with its log."""

    def __init__(self, top, fs):
        self.top, self.fs = top, fs
        self.image, self.log = top / "image", top / "log"
        self.fuse, self.mnt = top / "fuse", top / "mnt"
        with open(self.image, "wb") as f:
            f.truncate(FSES[fs][1] << 20)
        command(*FSES[fs][0], self.image)
        shutil.copyfile(self.image, top / "base")

    def run(self, path, nosync):
        """The path runs on it; leaves its facts. Returns the log."""
        env = dict(os.environ)
        if nosync:
            env.update(LD_PRELOAD=tool("record.so"), RECORD_NOSYNC="1", RECORD_PASS="1",
                       RECORD_DIR=str(self.mnt / "data"), RECORD_LOG=str(self.top / "unused"))
        self.fuse.mkdir()
        server = subprocess.Popen([tool("logdisk"), str(self.image), str(self.log), str(self.fuse)])
        try:
            end = time.monotonic() + 20
            while not (self.fuse / "disk").exists():
                assert server.poll() is None and time.monotonic() < end
                time.sleep(0.02)
            with Mounted(self.fuse / "disk", self.mnt) as m:
                (m / "data").mkdir()
                r = subprocess.run(
                    ["bash", "-c", 'exec 200>"$0"; exec "$@"', str(self.fuse / "ack"), tool("storeload"),
                     "run", path, str(m / "data"), str(self.top / "facts")],
                    env=env, capture_output=True, text=True, timeout=120)
                assert r.returncode == 0, (path, r.stdout[-2000:], r.stderr[-2000:])
        finally:
            subprocess.run(["umount", str(self.fuse)], capture_output=True)
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
        return self.read()

    def read(self):
        """[(kind, offset, bytes)]"""
        data, i, out = self.log.read_bytes(), 0, []
        while i + 13 <= len(data):
            kind, off, n = struct.unpack_from("<cQI", data, i)
            out.append((kind, off, data[i + 13:i + 13 + n]))
            i += 13 + n
        return out


def torn(rng, write):
    """A part of it, in sectors."""
    off, data = write
    sectors = [(off + i, data[i:i + 512]) for i in range(0, len(data), 512)]
    return [s for s in sectors if rng.random() < 0.5]


def survivors(rng, volatile):
    """What the disk has kept of what was not flushed."""
    how = rng.randrange(5)
    if how == 0:
        return []
    if how == 1:
        return volatile
    if how == 2:  # all up to somewhere
        return volatile[:rng.randrange(len(volatile) + 1)]
    kept = [w for w in volatile if rng.random() < 0.5]
    if how == 4 and volatile:
        kept += torn(rng, rng.choice(volatile))
    return kept  # two writes of one place keep their order: the same queue


def acks_text(acks):
    """The last number of each kind."""
    last = {}
    for a in acks:
        number, _, kind = a.partition(" ")
        last[kind] = number
    return ",".join(f"{n} {k}".strip() for k, n in last.items())


def states(disk, log, count, rng):
    """Yields (file, acknowledged, words): the disk after a power cut."""
    first = next(i for i, r in enumerate(log) if r[0] == b"A")
    points = sorted(rng.randrange(first + 1, len(log) + 1) for _ in range(count))
    current = disk.top / "current"
    shutil.copyfile(disk.top / "base", current)
    with open(current, "r+b") as f:
        volatile, acks, at = [], [], 0
        for point in points:
            for kind, off, data in log[at:point]:
                if kind == b"A":
                    acks.append(data.decode())
                elif kind == b"W":
                    volatile.append((off, data))
                else:
                    for o, d in volatile:
                        os.pwrite(f.fileno(), d, o)
                    volatile = []
            at = point
            kept = survivors(rng, volatile)
            state = disk.top / "state"
            command("cp", "--sparse=always", current, state)
            with open(state, "r+b") as g:
                for o, d in kept:
                    os.pwrite(g.fileno(), d, o)
            yield state, acks_text(acks), f"record {point} of {len(log)}, {len(kept)} of {len(volatile)}"


def check(disk, state, acked):
    """None, or what is wrong."""
    try:
        with Mounted(state, disk.top / "look") as m:
            r = subprocess.run([tool("storeload"), "verify", str(m / "data"), acked, str(disk.top / "facts")],
                               capture_output=True, text=True, timeout=60)
            return None if r.returncode == 0 else (r.stdout + r.stderr)[-3000:]
    except AssertionError as e:
        return f"the file system itself: {e}"


def tried(fs, path, count, nosync=False):
    """(states, [what was bad])"""
    why = able(fs)
    if why is not None:
        pytest.skip(why)
    top = memory_dir()
    rng = random.Random(f"{SEED} {fs} {path}")
    n, bad = 0, []
    try:
        disk = Disk(top, fs)
        log = disk.run(path, nosync)
        for state, acked, words in states(disk, log, count, rng):
            n += 1
            # The file system recovers in the file: it is wanted as it was.
            command("cp", "--sparse=always", state, top / "tried")
            wrong = check(disk, top / "tried", acked)
            if wrong is not None:
                bad.append(f"{words}, acknowledged {acked}: {wrong}")
                if not nosync:
                    keep = KEEP / "blocks"
                    keep.mkdir(parents=True, exist_ok=True)
                    command("cp", "--sparse=always", state, keep / f"{fs}-{path}-{n}")
                    shutil.copy(top / "facts", keep / f"{fs}-{path}-facts")
        return n, bad
    finally:
        shutil.rmtree(top, ignore_errors=True)


@pytest.mark.parametrize("fs,path", ALL if "BLOCK_STATES" in os.environ else SOME)
def test_r94(fs, path):
    n, bad = tried(fs, path, STATES)
    tell_states(f"blocks.{fs}", n)
    assert not bad, "\n".join(bad[:5])


def test_without_flushes_it_fails():
    """It would be noticed: with no flush done, much of it is bad."""
    n, bad = tried("ext4", "append", 16, nosync=True)
    assert len(bad) > n / 4
