# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""README's table of what is supported is what the server announces: no more,
no less."""
import re

import pytest

from harness import ROOT, Server


def row(name):
    text = (ROOT / "README.md").read_text()
    text = text[text.index("## What is supported"):]
    [words] = re.findall(rf"(?m)^\| {name} \| (.*) \|$", text)
    return re.findall(r"[A-Za-z0-9=+-]*[A-Z][A-Za-z0-9=+-]*", re.sub(r"\([^)]*\)|RFC \d+", "", words))


@pytest.fixture(scope="module")
def server():
    with Server(users=("ann",)) as s:
        yield s


def caps(reply):
    [line] = [r for r in reply if r.startswith(b"* CAPABILITY ")]
    return set(line.decode().split()[2:])


def test_imap_and_login(server):
    with server.imap() as c:
        before = caps(c.ok("CAPABILITY"))
    with server.imap("ann") as c:
        after = caps(c.ok("CAPABILITY"))
    mechs = {x[5:] for x in before if x.startswith("AUTH=")}
    with server.imap(tls=True) as c:
        mechs |= {x[5:] for x in caps(c.ok("CAPABILITY")) if x.startswith("AUTH=")}
    told = {x.split("=")[0] if x.startswith("APPENDLIMIT=") else x for x in before | after if not x.startswith("AUTH=")}
    assert told == set(row("IMAP"))
    login = set(row("Login"))
    assert {m.removesuffix("-PLUS") for m in mechs} <= login and "-PLUS" in login


def test_pop3(server):
    with server.pop3() as c:
        assert c.ask("CAPA").startswith(b"+OK")
        told = {x.decode().split()[0] for x in c.multiline()}
    # RFC 1939's own are not listed apart.
    assert told - {"TOP", "UIDL", "USER", "IMPLEMENTATION"} == set(row("POP3")) - {"CAPA"}


def test_lmtp(server):
    with server.lmtp() as c:
        c.lhlo()
        assert {x.split()[0] for x in c.extensions} == set(row("LMTP"))
