# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""R93: the crash tests' own test. On a program whose durability is known, every
fault that is put in is found, and without one nothing is."""
import subprocess
import threading

import pytest

from crashlib import Recording, tool


def states_of(fault, count=40, states=300, **env):
    with Recording("sample") as rec:
        rec.run([tool("crash_sample"), "write", rec.data, count, fault], **env)
        return rec.replay([tool("replay")], keep=False, states=states, checker=[
            "--", tool("crash_sample"), "check", "{dir}", "{acked}"])


@pytest.mark.parametrize("how", ["none", "raw", "fork"])
def test_correct(how):
    """Calls by name, by number, and from two processes."""
    states, bad, out = states_of(how)
    assert states >= 300, out
    assert bad == 0, out


@pytest.mark.parametrize("fault", [
    "noblobsync", "nodirsync", "nosync", "nometasync", "norenamedir"])
def test_fault_is_found(fault):
    states, bad, out = states_of(fault)
    assert bad > states / 20, out


def test_no_flush_at_all_is_found():
    states, bad, out = states_of("none", RECORD_NOSYNC="1")
    assert bad > states / 3, out


def test_state_can_be_made_again():
    """The same number and seed give the same bytes."""
    with Recording("sample") as rec:
        rec.run([tool("crash_sample"), "write", rec.data, 20])
        made = []
        for k in range(2):
            for n in (40, 41, 42, 43, 44, 45):
                d = rec.top / f"state{k}-{n}"
                d.mkdir()
                subprocess.run([tool("replay"), str(rec.log), "--states", "300", "--seed", "5",
                                "--state", str(n), "--dump", str(d), "--", "true"], check=True)
                made.append(sorted((p.name, p.read_bytes()) for p in d.iterdir()))
        assert made[:6] == made[6:]
        assert any(a != made[0] for a in made)


def test_kill_at():
    """The n-th change is not made, and its process is dead; what is left is
    as good as after a power cut."""
    with Recording("sample") as rec:
        r = rec.run([tool("crash_sample"), "write", rec.data, 40], check=False, RECORD_KILL_AT="30")
        assert r.returncode == -9
        states, bad, out = rec.replay([tool("replay")], keep=False, states=100, checker=[
            "--", tool("crash_sample"), "check", "{dir}", "{acked}"])
        assert states >= 50 and bad == 0, out


def test_processes_share_a_log():
    """Several processes, one log: no record is lost or torn."""
    with Recording("sample") as rec:
        def one(n):
            d = rec.data / str(n)
            rec.run(["mkdir", d])
            rec.run([tool("crash_sample"), "write", d, 10])
        rec.run([tool("crash_sample"), "write", rec.data, 1])
        threads = [threading.Thread(target=one, args=(n,)) for n in range(4)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        states, bad, out = rec.replay([tool("replay")], keep=False, states=50, checker=[
            "--", tool("crash_sample"), "check", "{dir}", "-2"])
        assert bad == 0, out
