# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""R93 R95: what a power cut, or a kill, may leave at every change on every
path that writes (PATHS): it opens, its check is clean, what was acknowledged
is there, what was not is whole or absent."""
import os
import random
import re
import shutil
import subprocess

import pytest

from crashlib import BUILD, ROOT, SEED, Recording, tell_states, tool

STATES = int(os.environ.get("CRASH_STATES", "450"))
LEAST = 300  # different ones, on each path
CHECKED = 3  # of them, also by restante check
KILLS = int(os.environ.get("CRASH_KILLS", "50"))
# Those begin with nothing; the others when their setup is done.
FROM_NOTHING = {"format", "account-create", "certificate"}


def read_paths():
    paths, commands = {}, set()
    for line in (ROOT / "tests" / "crash" / "PATHS").read_text().splitlines():
        words = line.split()
        if not words or line.startswith("#"):
            continue
        commands.update(words[2:])
        if words[0] != "-":
            paths[words[0]] = words[1]
    return paths, commands


PATHS, KNOWN = read_paths()
LOADS = [(program, path) for path, program in PATHS.items() if program != "command"]

TABLES = [
    # name, file, a row, how many there are at least
    ("imap", "src/imap/commands.c", r'\{ *S\("([A-Z0-9]+)"\), ', 25),
    ("imap", "src/login/imap.c", r'\{S\("([A-Z0-9]+)"\), (?:true|false), ', 7),
    ("pop3", "src/pop3/command.c", r'\{S\("([A-Z0-9]+)"\), [A-Z_]+, ', 10),
    ("pop3", "src/login/pop3.c", r'\{S\("([A-Z0-9]+)"\), [A-Z_]+, ', 8),
    ("lmtp", "src/lmtp/command.c", r'\{S\("([A-Z0-9]+)"\), (?:true|false), ', 10),
    ("cli", "src/cli/main.c", r'^\t\{"([a-z]+)", "', 15),
    ("ctl", "src/daemon/ctl.c", r'\{"([a-z.]+)", \d, \d, (?:true|false), ', 10),
    ("auth", "src/auth/ctl.c", r'\{S\("([a-z.]+)"\), \d, ', 14),
]


@pytest.mark.parametrize("name,file,row,least", TABLES, ids=[t[1] for t in TABLES])
def test_every_command_has_a_path(name, file, row, least):
    found = set(re.findall(row, (ROOT / file).read_text(), re.M))
    assert len(found) >= least, f"{file}: the rows look different now"
    new = {f"{name}:{c}" for c in found} - KNOWN
    assert not new, f"no path in tests/crash/PATHS: {sorted(new)}"


def test_paths_are_the_programs():
    """No path of a program is left out; ten thousand states in all."""
    for program in {p for p, _ in LOADS}:
        has = subprocess.run([tool(program), "paths"], capture_output=True, text=True).stdout.split()
        assert sorted(has) == sorted(path for p, path in LOADS if p == program)
    assert len(LOADS) * LEAST >= 10000


def record(rec, program, path, **env):
    return rec.run([tool(program), "run", path, rec.data, rec.top / "facts"], **env)


def replay(rec, program, path, states, **options):
    if path not in FROM_NOTHING:
        options["from"] = 0
    return rec.replay([tool(program), "replay", str(rec.top / "facts")], states=states, **options)


@pytest.mark.parametrize("program,path", LOADS, ids=[p for _, p in LOADS])
def test_path(program, path):
    with Recording(path) as rec:
        record(rec, program, path)
        states, bad, out = replay(rec, program, path, STATES)
        tell_states(path, states)
        assert bad == 0, out
        assert states >= LEAST, out
        if program == "storeload":
            check_some(rec, program, path, out)


def check_some(rec, program, path, out):
    """Some states, as the program that people have sees them."""
    points, per = map(int, re.search(r"points (\d+) per point (\d+)", out).groups())
    rng = random.Random(f"{SEED} {path}")
    for k in range(CHECKED):
        state = rec.top / f"checked-{k}"
        state.mkdir()
        number = rng.randrange(points * per)
        args = ["--states", str(STATES), "--seed", str(SEED), "--state", str(number), "--dump", str(state)]
        if path not in FROM_NOTHING:
            args += ["--from", "0"]
        r = subprocess.run([tool(program), "replay", str(rec.top / "facts"), str(rec.log), *args],
                           capture_output=True, text=True, timeout=60)
        assert r.returncode == 0, (number, r.stdout, r.stderr)
        if not (state / "FORMAT").exists():
            assert path in FROM_NOTHING, number
            continue
        r = subprocess.run([str(BUILD / "src" / "cli" / "restante"), "check", "--full", "--data", str(state)],
                           capture_output=True, text=True, timeout=60)
        if path == "upgrade" and (state / "FORMAT").read_text() != "2\n":
            # R105: what is newer, or becomes so, is left as it is.
            assert r.returncode != 0 and "newer version" in r.stderr, (args, r.stdout, r.stderr)
            continue
        assert r.returncode == 0, (args, r.stdout, r.stderr)
        assert r.stdout.splitlines()[-1] == "0 faults", (args, r.stdout)


@pytest.mark.parametrize("program,path", [
    ("storeload", "append"), ("storeload", "flags"), ("storeload", "create"),
    ("storeload", "segment-roll"), ("authload", "alias-add")])
def test_without_flushes_it_fails(program, path):
    """The tests would notice: with no flush done, many states are bad."""
    with Recording(path + "-nosync") as rec:
        record(rec, program, path, RECORD_NOSYNC="1")
        states, bad, out = replay(rec, program, path, 60, keep=False)
        assert bad > states / 4, out


@pytest.mark.parametrize("path", ["append", "deliver", "flags", "rename", "segment-roll", "compact"])
def test_crash_in_recovery(path):
    """The power fails again while the store recovers."""
    rng = random.Random(SEED)
    with Recording(path + "-first") as first:
        record(first, "storeload", path)
        log, facts = str(first.log), str(first.top / "facts")
        r = subprocess.run([tool("storeload"), "replay", facts, log, "--states", "60",
                            "--from", "0"], capture_output=True, text=True)
        points, per = map(int, re.search(r"points (\d+) per point (\d+)", r.stdout).groups())
        tried = 0
        for _ in range(5):
            number = rng.randrange(points) * per + 3
            with Recording(path + "-second") as second:
                base = second.top / "base"
                base.mkdir()
                r = subprocess.run([tool("storeload"), "replay", facts, log, "--states", "60",
                                    "--from", "0", "--state", str(number), "--dump", str(base)],
                                   capture_output=True, text=True)
                m = re.search(r"^acknowledged (.+)$", r.stdout, re.M)
                if m is None:
                    continue
                shutil.copytree(base, second.data, dirs_exist_ok=True)
                second.run([tool("storeload"), "recover", path, second.data])
                states, bad, out = second.replay([tool("replay")], states=40, base=base, checker=[
                    "--", tool("storeload"), "verify", "{dir}", m.group(1), facts])
                assert bad == 0, out
                tried += states
        tell_states(f"recovery.{path}", tried)
        assert tried >= 60


def log_says(rec):
    """What was acknowledged last, and how many changes were made."""
    r = subprocess.run([tool("replay"), str(rec.log), "--acked", "--", "true"],
                       capture_output=True, text=True, check=True)
    acked, changes = r.stdout.split("\n")[:2]
    return acked, int(changes)


# Their facts hold for one run only, or their processes are killed anyway.
ONE_RUN = {"crowd", "recover", "certificate"}


@pytest.mark.parametrize("program,path", [(p, n) for p, n in LOADS if n not in ONE_RUN],
                         ids=[n for _, n in LOADS if n not in ONE_RUN])
def test_r95_killed(program, path):
    """Killed at the n-th change: what is on disk is as after a crash."""
    with Recording(path + "-whole") as whole:
        record(whole, program, path)
        facts = whole.top / "facts"
        acked, changes = log_says(whole)
        assert acked != ""
        points = range(1, changes, max(1, changes // KILLS))
        for n in points:
            with Recording(path + "-killed") as rec:
                r = record(rec, program, path, check=False, RECORD_KILL_AT=str(n))
                assert r.returncode in (-9, 0), (n, r.stdout, r.stderr)
                r = subprocess.run([tool(program), "verify", str(rec.data), log_says(rec)[0],
                                    str(facts)], capture_output=True, text=True, timeout=60)
                assert r.returncode == 0, (path, n, r.stdout[-3000:], r.stderr[-1000:])
        tell_states(f"killed.{path}", len(points))


def restante(rec, *args, **more):
    return rec.run([BUILD / "src" / "cli" / "restante", *args], **more)


ACK = ["/usr/bin/python3", "-c", "import os; os.write(200, b'1')"]

# A copy with FORMAT in it is whole; an acknowledged one has it.
CHECK_COPY = """
dir=$1; acked=$2; restante=$3; storeload=$4; facts=$5; step=$6
if [ -e "$dir/copy/FORMAT" ]; then
    "$restante" user list --data "$dir/copy" | grep -q "^ann" || { echo "no ann"; exit 1; }
    exec "$storeload" verify "$dir/copy" "$step" "$facts"
fi
[ -z "$acked" ] || { echo "acknowledged, not whole"; exit 1; }
"""


@pytest.mark.parametrize("what", ["backup", "restore"])
def test_copies(what):
    """restante backup and restore: whole, or seen to be a part."""
    with Recording("data") as source, Recording(what) as rec:
        path = "multiappend"
        record(source, "storeload", path)
        step, _ = log_says(source)
        facts = source.top / "facts"
        program = str(BUILD / "src" / "cli" / "restante")
        subprocess.run([program, "user", "add", "ann", "--password-stdin", "--data", str(source.data)],
                       input="secret\n", text=True, check=True, capture_output=True)
        if what == "restore":
            subprocess.run([program, "backup", str(source.top / "b"), "--data", str(source.data)],
                           check=True, capture_output=True)
            restante(rec, "restore", source.top / "b", "--data", rec.data / "copy")
            # The UIDVALIDITYs are new.
            whole = rec.top / "whole"
            shutil.copytree(rec.data / "copy", whole)
            facts.write_bytes(subprocess.run([tool("storeload"), "tell", path, str(whole)],
                                             check=True, capture_output=True).stdout)
            step = "0"
        else:
            restante(rec, "backup", rec.data / "copy", "--data", source.data)
        rec.run(ACK)
        states, bad, out = rec.replay([tool("replay")], states=700, checker=[
            "--", "sh", "-c", CHECK_COPY, "sh", "{dir}", "{acked}", program, tool("storeload"),
            str(facts), step])
        tell_states(what, states)
        assert bad == 0, out
        assert states >= 200, out
