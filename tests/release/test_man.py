# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""The manual and the program's own tables say the same: each sub-command, each
flag, each setting. The pages are clean."""
import re
import shutil
import subprocess

import pytest

from harness import BUILD, RESTANTE, ROOT

PAGES = {"restante.1": ROOT / "man" / "restante.1", "restante-serve.8": ROOT / "man" / "restante-serve.8",
         "restante.conf.5": BUILD / "man" / "restante.conf.5"}
COMMON = {"--data", "--config", "--set", "--help"}


def out(*args):
    return subprocess.run([str(RESTANTE), *args], check=True, capture_output=True, timeout=20).stdout.decode()


def commands():
    return re.findall(r"(?m)^  ([a-z]+) ", out("--help"))


def flags(text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text))


def page_flags(text):
    return {"--" + f for f in re.findall(r"Fl Fl ([a-z0-9-]+)", text)}


def test_commands_and_flags():
    page, serve = PAGES["restante.1"].read_text(), PAGES["restante-serve.8"].read_text()
    parts = dict.fromkeys(commands(), "")
    # .It Cm user add ... | Cm user list: an item may name a command twice.
    for item in re.findall(r"(?m)^\.It (Cm .*(?:\n[^.].*|\n\.(?!It|El).*)*)", page):
        for name in re.findall(r"Cm ([a-z]+)", item.splitlines()[0]):
            if name in parts:
                parts[name] += item + "\n"
        assert re.match(r"Cm ([a-z]+)", item).group(1) in parts, item
    for name, part in parts.items():
        assert part, f"{name} is not in restante(1)"
        told = flags(out(name, "--help")) - COMMON
        written = page_flags(part) - COMMON
        if name == "serve":
            written = page_flags(serve) - COMMON
        assert told == written, name
    words = re.search(r"usage: restante user (\S+)", out("user", "--help")).group(1).split("|")
    for w in words:
        assert re.search(rf"(?m)^\.It Cm user .*\b{w}\b", page), w


def test_flags_of_the_code():
    """What the code takes is what --help tells."""
    told = set(COMMON) | {"--version"}
    for name in commands():
        told |= flags(out(name, "--help"))
    taken = set()
    for f in (ROOT / "src" / "cli").glob("*.c"):
        text = re.sub(r"(?s)/\*.*?\*/", "", f.read_text())
        taken |= set(re.findall(r'cli_(?:option|switch)\(&?c, "(--[a-z-]+)"\)', text))
        taken |= set(re.findall(r'\{"(--[a-z0-9-]+)", "', text))
    assert taken | {"--version", "--help"} == told


def test_settings():
    page = PAGES["restante.conf.5"].read_text()
    names = re.findall(r"(?m)^#?([a-z0-9_]+) =", out("settings", "--config", "/dev/null"))
    assert len(names) > 50 and len(set(names)) == len(names)
    assert re.findall(r"(?m)^\.It Sy (\w+)", page) == names
    # What other pages and README name is there.
    for text in (PAGES["restante.1"], PAGES["restante-serve.8"], ROOT / "README.md"):
        for name in re.findall(r"`([a-z]+_[a-z_]+)( = [^`]*)?`", text.read_text()):
            assert name[0] in names or name[0].startswith(("virtual_", "local_", "smtpd_", "mailbox_", "server_")), name


@pytest.mark.parametrize("page", PAGES)
def test_clean(page):
    man, mandoc = shutil.which("man"), shutil.which("mandoc")
    if man is None and mandoc is None:
        pytest.skip("neither man nor mandoc is installed")
    if mandoc:
        r = subprocess.run([mandoc, "-T", "lint", "-W", "style", str(PAGES[page])], capture_output=True, timeout=20)
        said = [x for x in r.stdout.decode().splitlines() + r.stderr.decode().splitlines()
                if "referenced manual not found" not in x]
        assert said == []
    if man:
        r = subprocess.run([man, "-l", "--warnings", "-E", "UTF-8", str(PAGES[page])], capture_output=True, timeout=20,
                           env={"PATH": "/usr/bin:/bin", "MANWIDTH": "80", "LC_ALL": "C.UTF-8"})
        assert r.returncode == 0 and r.stderr == b"", r.stderr
        assert max(map(len, re.sub(r".\x08", "", r.stdout.decode()).splitlines())) <= 80
