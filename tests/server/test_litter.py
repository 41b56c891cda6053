# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""What tests leave when they are killed goes when the next ones start, and
nothing else."""
import os
import subprocess
import time

import pytest

import litter


@pytest.mark.parametrize("name, pid", [
    ("restante-soak-123-abc_d1", 123), ("restante-test-9-1", 9), ("crash-9-x", 9), ("t_store.77.AbCdEf", 77),
    ("t_store.77.AbCdEf.XyZabc", 77), ("fuzz_auth.5.a", 5), ("replay.12.ILZLdA", 12),
    ("restante-test-abcdefgh", None), ("restante-test-1234567_", None), ("t_store.88asqd", None),
    ("replay.0F3CiY", None), ("restante-12-x", None), ("restante-test-12-", None), ("crash-12", None),
])
def test_whose(name, pid):
    assert litter.maker(name) == pid


def test_sweep(tmp_path):
    with subprocess.Popen(["true"]) as p:
        p.wait()
    gone = [f"restante-test-{p.pid}-aaa", f"t_store.{p.pid}.bbb"]
    stay = [f"restante-test-{os.getpid()}-aaa", "restante-test-1-aaa", "other", f"restante-test-{p.pid}"]
    for n in gone + stay:
        (tmp_path / n / "deep").mkdir(parents=True)
        (tmp_path / n / "deep" / "file").write_text("x")
    # No folder, though it is named as one.
    (tmp_path / f"t_x.{p.pid}.link").symlink_to(tmp_path / "other")
    # A server of the one that has gone.
    (tmp_path / "serve").write_text("read x; :")
    args = ["sh", "serve", str(tmp_path / gone[0] / "data")]
    with subprocess.Popen(args, cwd=tmp_path, stdin=subprocess.PIPE) as left:
        end = time.monotonic() + 20
        while not (args := open(f"/proc/{left.pid}/cmdline", "rb").read()).startswith(b"sh\0serve"):
            assert time.monotonic() < end, args
        assert {x.name for x in litter.sweep(tmp_path)} == set(gone)
        assert left.wait(20) == -9
    assert {x.name for x in tmp_path.iterdir()} == {*stay, "serve", f"t_x.{p.pid}.link"}
    assert (tmp_path / "other" / "deep" / "file").exists()
    mine = litter.folder("restante-test", tmp_path)
    assert litter.maker(mine.name) == os.getpid() and litter.sweep(tmp_path) == []
