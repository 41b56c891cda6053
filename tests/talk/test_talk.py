# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""Every dialogue, however it is cut into segments and records (R08)."""
import sys
import zlib
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from player import Player  # noqa: E402

HERE = Path(__file__).parent
CASES = []
for f in sorted(HERE.glob("*.talk")):
    words = {line.split()[0] for line in f.read_text(errors="surrogateescape").splitlines() if line.strip()}
    for tls in (False, True):
        if (tls and "clear-only" in words) or (not tls and "tls-only" in words):
            continue
        for mode in ("whole", "bytes", "random"):
            CASES.append(pytest.param(f, tls, mode, id=f"{f.stem}-{'tls' if tls else 'clear'}-{mode}"))


@pytest.mark.parametrize("path,tls,mode", CASES)
def test_talk(shared_server, user, path, tls, mode):
    text = path.read_text(errors="surrogateescape")
    if "${user2}" in text:
        shared_server.add_user(user + "b")
    p = Player(shared_server, text, user, tls, mode, zlib.crc32(path.name.encode()))
    p.vars["user2"] = user + "b"
    p.vars["userlen"] = str(len(user))
    p.play(path.name)
