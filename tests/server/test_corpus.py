# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""A byte in is the same byte out: every message of the corpus by LMTP,
APPEND and BDAT, and back over IMAP and POP3. R58 R68"""
import json
import re
import subprocess

import pytest

from harness import ROOT, Server, crlf, sha

pytestmark = pytest.mark.xdist_group("corpus")


def samples():
    return [(p.name, p.read_bytes()) for p in sorted((ROOT / "samples").glob("*.eml"))]


def small_corpus(folder):
    """(name, bytes) of every message of the small groups, from the facts."""
    out = []
    for line in (folder / "facts.jsonl").open():
        f = json.loads(line)
        name = f["file"] if "file" in f else f["path"]
        p = folder / name
        if not p.exists():
            continue
        data = p.read_bytes()
        if p.suffix == ".zst":
            data = subprocess.run(["zstd", "-dcq", str(p)], capture_output=True, check=True).stdout
        if f.get("from_line"):
            data = data.split(b"\n", 1)[1] if b"\n" in data else b""
        out.append((name, data, f))
    return out


def everything(corpus_folder):
    if corpus_folder is None:
        return samples()
    return [(n, d) for n, d, _ in small_corpus(corpus_folder)]


@pytest.fixture(scope="module")
def mails():
    from harness import corpus
    return everything(corpus())


@pytest.fixture(scope="module")
def big_server():
    s = Server(users=("ann", "bob"), settings=["connections_per_account=200"])
    s.start()
    yield s
    s.close()


def split_front(got, size):
    """What LMTP put in front, and the message of that many octets."""
    front = got[:len(got) - size]
    assert re.fullmatch(rb"Return-Path:.*\r\nDelivered-To:.*\r\nReceived:.*\r\n(?:[ \t].*\r\n)*", front), got[:300]
    return front, got[len(got) - size:]


def test_lmtp_to_imap_and_pop3(big_server, mails):
    """DATA takes CR LF lines without NUL or bare CR; such mail comes back
    the same but for a final line end, which DATA cannot leave out."""
    sent = []
    with big_server.lmtp() as c:
        c.lhlo()
        for name, data in mails:
            data = crlf(data)
            if b"\0" in data or re.search(rb"\r(?!\n)", data) or len(data) > 20_000_000:
                continue
            for code, text in c.send(data, "ann"):
                assert code == 250, (name, text)
            sent.append((name, data if data.endswith(b"\r\n") else data + b"\r\n"))
    assert len(sent) >= min(10, len(mails))
    with big_server.imap("ann") as c:
        c.select(how="EXAMINE")
        for uid, (name, data) in enumerate(sent, 1):
            front, got = split_front(c.body(uid), len(data))
            assert got == data, name
            assert front.startswith(b"Return-Path: <sender@example.org>\r\n"), front
    with big_server.pop3("ann") as c:
        assert c.ask("STAT").split()[1] == str(len(sent)).encode()
        for n, (name, data) in enumerate(sent, 1):
            assert c.ask(f"RETR {n}").startswith(b"+OK")
            got = b"".join(x + b"\r\n" for x in c.multiline())
            if b"\r\n\r\n" not in b"X\r\n" + data:
                data += b"\r\n"  # a message that ends in its header
            assert split_front(got, len(data))[1] == data, name


def test_append_and_bdat(big_server, mails):
    """APPEND and BDAT keep every octet (NUL by literal8)."""
    with big_server.lmtp() as l, big_server.imap("bob") as c:
        l.lhlo()
        c.ok("CREATE Appended")
        hashes = []
        for name, data in mails:
            if not data or len(data) > 20_000_000:
                continue
            data = crlf(data)
            hashes.append((name, sha(data), len(data)))
            if b"\0" in data:
                c.count += 1
                c.write(b"x%d APPEND Appended ~{%d+}\r\n" % (c.count, len(data)) + data + b"\r\n")
                _, end = c.until(f"x{c.count}")
                assert end.startswith(b"OK"), (name, end)
            else:
                c.append(data, "Appended")
            for code, text in l.send(data, "bob", bdat=True):
                assert code == 250, (name, text)
        c.select("Appended", "EXAMINE")
        for uid, (name, h, n) in enumerate(hashes, 1):
            got = c.body(uid)
            assert (sha(got), len(got)) == (h, n), name
            size = re.search(rb"RFC822.SIZE (\d+)", c.ok(f"UID FETCH {uid} RFC822.SIZE")[0])
            assert int(size.group(1)) == n, name
        c.select("INBOX", "EXAMINE")
        for uid, (name, h, n) in enumerate(hashes, 1):
            assert sha(split_front(c.body(uid), n)[1]) == h, name


def test_sizes_are_the_facts(big_server, corpus):
    """RFC822.SIZE is what independent parsers count (R58)."""
    with big_server.imap("ann") as c:
        c.ok("CREATE Facts")
        want = []
        for name, data, f in small_corpus(corpus):
            if not data or "nul" in f.get("flags", []) or len(data) > 5_000_000:
                continue
            c.append(crlf(data), "Facts")
            want.append((name, f["rfc822_size"]))
        c.select("Facts", "EXAMINE")
        got = {}
        for r in c.ok("UID FETCH 1:* (RFC822.SIZE ENVELOPE BODYSTRUCTURE)"):
            m = re.search(rb"UID (\d+)", r)
            s = re.search(rb"RFC822.SIZE (\d+)", r)
            got[int(m.group(1))] = int(s.group(1))
        assert [got.get(i) for i in range(1, len(want) + 1)] == [n for _, n in want]
        # Asked again, and of each alone, the answer is the same (R58).
        once = c.ok("UID FETCH 1:* (ENVELOPE BODYSTRUCTURE BODY)")
        again = c.ok("UID FETCH 1:* (ENVELOPE BODYSTRUCTURE BODY)")
        assert once == again
