#!/usr/bin/python3
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""docs/format.md and the code: every number that one has, the other has."""
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOC = (ROOT / "docs/format.md").read_text()
SRC = {p.name: p.read_text() for p in (ROOT / "src/store").glob("*.[ch]")}


def numbers(header, enum, prefix):
    """{number: name} of an enum."""
    body = re.search(r"enum %s \{(.*?)\}" % enum, SRC[header], re.S).group(1)
    found, n = {}, 0
    for name, value in re.findall(r"\b%s(\w+)(?: = (\d+))?" % prefix,
                                  re.sub(r"/\*.*?\*/", "", body, flags=re.S)):
        n = int(value) if value else n + 1
        if name != "MAX":
            found[n] = name
    return found


def test_records():
    code = numbers("record.h", "record_type", "REC_")
    doc = {int(n): name for n, name in re.findall(r"^\| (\d+) ([A-Z]+) \|", DOC,
                                                  re.M)}
    assert doc == code and len(code) == 16


def test_snapshot_parts():
    code = numbers("record.h", "snap_part", "SNAP_")
    part = DOC[DOC.index("A SNAPSHOT stands"):DOC.index("## Text")]
    doc = [int(n) for n in re.findall(r"^\| (\d+) \|", part, re.M)]
    assert doc == sorted(code)


def test_mailbox_ops():
    code = numbers("record.h", "mailbox_op", "MBOP_")
    ops = re.search(r"MAILBOX ops: (.*?)\.", DOC, re.S).group(1)
    doc = [int(n) for n in re.findall(r"(?:^|; )(\d), ", ops.replace("\n", " "))]
    assert doc == sorted(code)


def test_tables_of_the_index():
    """Each first byte of a key, written anywhere, has its row in the doc."""
    code = set()
    for text in SRC.values():
        code |= set(re.findall(r"key_(?:of|mbox|chunk)\('([A-Z])'", text))
        code |= set(re.findall(r'struct key \w+ = \{\.p = "([A-Z])"', text))
    doc = set(re.findall(r"^\| `([A-Z])`", DOC, re.M))
    assert doc == code


def test_magic_numbers():
    assert "RESTLOG1" in SRC["log_int.h"] + SRC["log.h"] + SRC["store_int.h"]
    assert "`RESTLOG1`" in DOC and "`RGRP`" in DOC
    for what in ("SEGMENT_HEAD 64", "GROUP_HEAD 40", "RECORD_HEAD 16"):
        assert "#define " + what in SRC["store_int.h"]
    assert "Head, 64 bytes" in DOC


def test_special_uses():
    for name, bit in re.findall(r"MB_([A-Z]+) = 1 << (\d+)", SRC["store.h"]):
        assert re.search(r"0x%x \\%s" % (1 << int(bit), name.capitalize()),
                         DOC), name


def test_files():
    """Names below DATA that the store makes are in the list."""
    tree = DOC[:DOC.index("The log is the truth")]
    for text in SRC.values():
        for name in re.findall(r'(?:path_of\(st|file_of\([\w>-]+), "([^"]+)"',
                               text):
            assert name.split("/")[-1] in tree, name
        for name in re.findall(r'index_mark\(st, "(\w+)"', text):
            assert "index/" + name in tree


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
