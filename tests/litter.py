# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""The folders of tests. Their names carry the process that made them, so that
what one left that was killed goes when the next one starts. (C: litter.h)"""
import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
from pathlib import Path

NAME = re.compile(r"(?:restante-[a-z]+-|crash-)(\d+)-.|(?:t_[a-z_]+|fuzz_[a-z_]+|replay)\.(\d+)\..")


def folder(kind, top=None):
    """A new folder, ours alone."""
    return Path(tempfile.mkdtemp(prefix=f"{kind}-{os.getpid()}-", dir=top))


def maker(name):
    """The process a folder of this name is of, or None."""
    m = NAME.match(name)
    return int(m[1] or m[2]) if m else None


def runs(pid):
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def end_servers(path):
    """Those that serve from a folder whose test has gone: nobody else ends
    them. They are known by the folder they were started with."""
    for proc in Path("/proc").glob("[0-9]*"):
        try:
            args = (proc / "cmdline").read_bytes().split(b"\0")
            if args[1:2] == [b"serve"] and any(x.startswith(os.fsencode(path) + b"/") for x in args):
                os.kill(int(proc.name), signal.SIGKILL)
        except OSError:
            continue


def remove(path):
    """With all that is in it; a disk of its own is unmounted."""
    end_servers(path)
    if os.path.ismount(path):
        subprocess.run(["umount", "-l", str(path)], check=False, capture_output=True)
    shutil.rmtree(path, ignore_errors=True)


def sweep(*tops):
    """Removes what is ours and of processes that have gone; says what."""
    gone = []
    for top in {Path(t).resolve() for t in tops or (tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm")}:
        for p in top.iterdir() if top.is_dir() else ():
            pid = maker(p.name)
            try:
                if pid is None or runs(pid) or p.lstat().st_uid != os.geteuid() or not stat.S_ISDIR(p.lstat().st_mode):
                    continue
            except OSError:
                continue  # another sweeps, too
            remove(p)
            gone.append(p)
    return gone
