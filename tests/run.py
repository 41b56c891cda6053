# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""Builds restante in its three ways and runs every test.

Parts (name them to run only those): lint, unit (cmocka, under ASan and
UBSan), fuzz (stored inputs replayed, under ASan and UBSan), tsan (what has
threads), server (pytest against a server built with the sanitizers), release
(pytest that wants the release build: crash, kill, isolation, load), soak (a minute
of it, under ASan and UBSan, and its checker), clients (real mail programs).
Each tool's own count is added up; reasons of skips and the output of failures
are printed; the last line is the sum.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = Path(os.environ.get("RESTANTE_BUILDS", ROOT))
PARTS = ["lint", "unit", "fuzz", "tsan", "server", "release", "soak", "clients"]
BUILDS = {
    "build": ["-Dbuildtype=debugoptimized"],
    "build-asan": ["-Db_sanitize=address,undefined", "-Db_lundef=false",
                   "-Dwide_seccomp=true", "-Dfaults=true",
                   "-Doptimization=1", "-Ddebug=true", "-Dwerror=false"],
    "build-tsan": ["-Db_sanitize=thread", "-Db_lundef=false",
                   "-Dwide_seccomp=true", "-Doptimization=1", "-Dwerror=false"],
}
passed = failed = 0
skipped = []
fallen = []  # the names of what failed, said once more at the end
ENV = dict(os.environ,
           TSAN_OPTIONS="halt_on_error=0:second_deadlock_stack=1",
           ASAN_OPTIONS="detect_leaks=1:abort_on_error=1:allocator_may_return_null=1",
           UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1",
           LC_ALL="C.UTF-8", PYTHONDONTWRITEBYTECODE="1")


def say(text):
    print(text, flush=True)


def call(args, env=ENV):
    """What a command says, and how it ends. When we are told to end, it and
    those it started are told so, and have their time to put things away."""
    with subprocess.Popen(args, cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, start_new_session=True) as p:
        try:
            out, _ = p.communicate()
        except BaseException:
            os.killpg(p.pid, signal.SIGTERM)
            try:
                p.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                os.killpg(p.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(args, p.returncode, out)


def ended(*_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(143)


def build(name):
    """Configures once, builds; False (counted as a failure) when it fails."""
    global failed
    folder = OUT / name
    start = time.time()
    steps = []
    if not (folder / "build.ninja").exists():
        steps.append(["meson", "setup", str(folder), str(ROOT)] + BUILDS[name])
    steps.append(["ninja", "-C", str(folder)])
    for step in steps:
        r = call(step)
        if r.returncode != 0:
            say(r.stdout[-8000:])
            say(f"FAILED {name}: {' '.join(step)}")
            failed += 1
            return False
    say(f"-- {name} built in {time.time() - start:.0f} s")
    return True


def meson(name, *suites, timeout=10):
    """Runs the build's unit tests of these suites; counts each program's."""
    global passed, failed
    folder = OUT / name
    if not build(name):
        return
    args = ["meson", "test", "-C", str(folder), "--no-rebuild",
            "--print-errorlogs", "-t", str(timeout)]
    for s in suites:
        args += ["--suite", s]
    start = time.time()
    log = folder / "meson-logs" / "testlog.json"
    log.unlink(missing_ok=True)
    r = call(args)
    good = bad = 0
    if log.exists():
        for line in log.read_text().splitlines():
            t = json.loads(line)
            if t["result"] in ("OK", "EXPECTEDFAIL"):
                good += 1
            elif t["result"] == "SKIP":
                why = (t.get("stdout") or t.get("stderr") or "").strip()
                skipped.append(f"{t['name']}: {why.splitlines()[-1] if why else 'skipped'}")
            else:
                bad += 1
                fallen.append((f"{name} {t['name']} ({t['result']}, {t['duration']:.0f} s)",
                               (t.get("stdout") or "") + (t.get("stderr") or "")))
    if r.returncode != 0 and bad == 0:
        bad = 1
    if bad:
        say(r.stdout[-20000:])
    passed += good
    failed += bad
    say(f"-- {name} {' '.join(suites)}: {good} passed, {bad} failed"
        f" in {time.time() - start:.0f} s")


def pytest(name, *paths, workers=2, only=None):
    """Runs pytest on the paths against the build; counts each test."""
    global passed, failed
    if not build(name):
        return
    for p in paths:
        if not (ROOT / p).exists():
            say(f"FAILED: no tests at {p}")
            failed += 1
            return
    report = OUT / name / ("pytest-" + paths[0].replace("/", "-") + ".xml")
    report.unlink(missing_ok=True)
    env = dict(ENV, RESTANTE_BUILD=str(OUT / name))
    args = ["/usr/bin/python3", "-m", "pytest", "-q", "-rN",
            "--tb=short", "-p", "no:cacheprovider", f"--junitxml={report}",
            "-n", str(workers), "--dist", "loadgroup"] + list(paths)
    if only:
        args += ["-k", only]
    start = time.time()
    r = call(args, env)
    good = bad = skips = 0
    if report.exists():
        for case in ET.parse(report).getroot().iter("testcase"):
            kinds = {c.tag for c in case}
            if kinds & {"failure", "error"}:
                bad += 1
                why = case.find("failure") if case.find("failure") is not None else case.find("error")
                fallen.append((f"{name} {case.get('classname')}.{case.get('name')}",
                               why.text or why.get("message", "")))
            elif "skipped" in kinds:
                skips += 1
                why = case.find("skipped").get("message", "")
                skipped.append(f"{case.get('classname')}.{case.get('name')}: {why}")
            else:
                good += 1
    if r.returncode not in (0, 5) and bad == 0:
        bad = 1
    if bad:
        say(r.stdout[-30000:])
    passed += good
    failed += bad
    say(f"-- pytest {' '.join(paths)} on {name}: {good} passed, {bad} failed,"
        f" {skips} skipped in {time.time() - start:.0f} s")


def crash_states(name):
    """What the crash tests left: the different states of each path."""
    global passed, failed
    paths = [line.split()[0] for line in (ROOT / "tests" / "crash" / "PATHS").read_text().splitlines()
             if line and line[0] not in "#-"]
    folder = OUT / name / "crash-states"
    had = {p: int((folder / p).read_text()) if (folder / p).exists() else 0 for p in paths}
    few = [p for p in paths if had[p] < 200]
    good = sum(had.values()) >= 10000 and not few
    passed += good
    failed += not good
    say(f"-- crash states: {sum(had.values())} over {len(had)} paths, least {min(had.values())}"
        + (f"; too few: {' '.join(few)}" if few else ""))


def lint():
    global passed, failed
    start = time.time()
    r = subprocess.run([str(ROOT / "script" / "lint")], cwd=ROOT, env=ENV,
                       text=True, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT)
    if r.returncode == 0:
        passed += 1
    else:
        failed += 1
        say(r.stdout[-20000:])
    say(f"-- lint: {'passed' if r.returncode == 0 else 'failed'}"
        f" in {time.time() - start:.0f} s")


def main(parts):
    for p in parts:
        if p not in PARTS:
            say(f"no part {p}; parts: {' '.join(PARTS)}")
            return 64
    signal.signal(signal.SIGTERM, ended)
    parts = parts or PARTS
    if "lint" in parts:
        lint()
    if "unit" in parts:
        meson("build-asan", "unit", "corpus", timeout=10)
    if "fuzz" in parts:
        meson("build-asan", "fuzz", timeout=10)
    if "tsan" in parts:
        meson("build-tsan", "threads", timeout=10)
        # Several sessions at once, through the whole server.
        pytest("build-tsan", "tests/talk/test_talk.py", "tests/server/test_property.py",
               "tests/server/test_imap_many.py", "tests/server/test_sessions.py",
               only="two or histories or many or sessions")
    if "server" in parts:
        pytest("build-asan", "tests/talk", "tests/server")
    if "release" in parts:
        shutil.rmtree(OUT / "build" / "crash-states", ignore_errors=True)
        pytest("build", "tests/release", "tests/crash", "tests/load")
        crash_states("build")
    if "soak" in parts:
        pytest("build-asan", "tests/soak")
    if "clients" in parts:
        pytest("build", "tests/clients")
    for name, text in fallen:
        if len(text) > 3000:
            text = text[:1500] + "\n...\n" + text[-1500:]
        say(f"failed: {name}\n{text.rstrip()}")
    groups = {}
    for s in skipped:
        name, _, why = s.partition(": ")
        groups.setdefault(why, []).append(name)
    for why, names in groups.items():
        say(f"skipped {len(names)}: {why} ({names[0]}{', ...' if len(names) > 1 else ''})")
    say(f"{passed} passed, {failed} failed, {len(skipped)} skipped")
    return 1 if failed or passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
