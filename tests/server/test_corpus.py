# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""A byte in is the same byte out: every message of the corpus by LMTP (DATA
where it can, BDAT), APPEND, import and deliver, and back over IMAP and POP3;
sizes, ENVELOPE and BODYSTRUCTURE against what independent parsers agree on.
R58 R68"""
import importlib.util
import re
from email.utils import mktime_tz, parsedate_tz

import pytest

from harness import ROOT, Server, corpus as corpus_folder, sha, stuff

pytestmark = pytest.mark.xdist_group("corpus")


def facts_module():
    """tests/mime/corpus.py, which reads the corpus."""
    spec = importlib.util.spec_from_file_location("corpus_facts", ROOT / "tests" / "mime" / "corpus.py")
    m = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(m)
    return m


F = facts_module()

# Without the corpus: what the project has made, and what mail can be.
ODD = [
    b"Subject: ends in its header\r\n", b"Subject: ends in its header", b"Subject: no last line end\r\n\r\nx",
    b"\r\nno header\r\n", b"\r\n", b"x", b"Subject: dots\r\n\r\n.\r\n..\r\n.x\r\n\r\n.\r\n", b"S: nul\r\n\r\na\0b\r\n",
    b"S: bare cr\r\n\r\na\rb\r\r\n\r\n", b"S: 8 bit \xe4\xff\r\n\r\n" + bytes(range(128, 256)) + b"\r\n",
    b"S: long\r\n\r\n" + b"x" * 100000 + b"\r\n", b"From: x\r\n\r\nFrom here\r\n>From there\r\n",
    b".dot: first\r\n\r\n.\r\n", b"Subject: lines\r\n\r\n" + b".\r\n" * 70000,
    b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\n1\r\n--a--\r\n",
    b"Subject: all octets\r\n\r\n" + bytes(b for b in range(256) if b not in b"\r\n") + b"\r\n"]


@pytest.fixture(scope="module", params=["small", "big"])
def mails(request):
    """(name, message, facts or None) of each."""
    folder = corpus_folder()
    if folder is None:
        if request.param == "big":
            pytest.skip("no corpus of real mail: set RESTANTE_CORPUS to its folder")
        own = [(p.name, p.read_bytes(), None) for p in sorted((ROOT / "samples").glob("*.eml"))]
    else:
        facts = F.records(folder, request.param == "big")
        own = [(f["file"], data, f) for f, data in F.messages(folder, facts)]
        # None is left out but those without an octet, which APPEND refuses.
        assert len(own) == len(facts)
    if request.param == "small":
        own += [(f"odd {i}", m, None) for i, m in enumerate(ODD)]
    own = [m for m in own if m[1]]
    assert len(own) >= (18000 if request.param == "big" else 25)
    return own


@pytest.fixture(scope="module")
def office(mails):
    with Server(users=("lmtp", "append", "import"), settings=["connections_per_account=200"]) as s:
        yield s


def read_dotted(c):
    """A multi-line reply of POP3 without its end, un-stuffed."""
    parts, tail = [c.buf], c.buf
    while not tail.endswith(b"\r\n.\r\n") and tail != b".\r\n":
        more = c.sock.recv(1 << 20)
        if not more:
            raise EOFError("closed within a reply")
        parts.append(more)
        tail = (tail + more)[-5:]
    c.buf = b""
    return re.sub(rb"(?m)^\.", b"", b"".join(parts)[:-3])


def check_imap(s, user, box, want):
    """want: (name, message) in the order of UIDs; a front may stand before
    each when front is said."""
    with s.imap(user) as c:
        c.select(box, "EXAMINE")
        for lo in range(1, len(want) + 1, 50):
            hi = min(lo + 49, len(want))
            got = c.ok(f"UID FETCH {lo}:{hi} (RFC822.SIZE BODY.PEEK[])")
            assert len(got) == hi - lo + 1
            for r, (name, data, front) in zip(got, want[lo - 1:hi]):
                m = re.search(rb"RFC822.SIZE (\d+).* BODY\[\] (\{\d+\}\r\n|\"\")", r)
                body = r[m.end():-1] if m.group(2) != b'""' else b""
                assert int(m.group(1)) == len(body), name
                check_one(name, body, data, front)


FRONT = re.compile(rb"Return-Path: <sender@example\.org>\r\nDelivered-To: \S+\r\nReceived:.*\r\n(?:[ \t].*\r\n)*")


def check_one(name, got, data, front):
    if front:
        assert FRONT.fullmatch(got, 0, len(got) - len(data)), (name, got[:400])
        got = got[len(got) - len(data):]
    if got != data:
        assert (len(got), sha(got)) == (len(data), sha(data)), name


def as_pop3(data):
    """What RETR sends of it: ended lines (a CR at the end gets its LF), an
    ended header."""
    if not data.endswith(b"\n"):
        data += b"\n" if data.endswith(b"\r") else b"\r\n"
    if not re.search(rb"\A\r*\n|\n\r*\n", data):
        data += b"\r\n"
    return data


def check_pop3(s, user, want):
    with s.pop3(user) as c:
        assert c.ask("STAT").split()[1] == str(len(want)).encode()
        c.write(b"LIST\r\n")
        assert c.line().startswith(b"+OK")
        sizes = [int(x.split()[1]) for x in c.multiline()]
        for n, (name, data, front) in enumerate(want, 1):
            first = c.ask(f"RETR {n}")
            got = read_dotted(c)
            assert first == b"+OK %d octets" % sizes[n - 1], name
            # Octets said are octets sent, but for what ends the message.
            assert got[sizes[n - 1]:] in (b"", b"\n", b"\r\n", b"\n\r\n", b"\r\n\r\n"), name
            check_one(name, got, as_pop3(data), front)


def test_lmtp(office, mails):
    """R67 R68: by DATA what has CR LF lines without NUL and bare CR, and
    ends a line; the rest by BDAT."""
    want = []
    with office.lmtp() as c:
        c.lhlo()
        for name, data, _ in mails:
            by_data = data.endswith(b"\r\n") and b"\0" not in data and not re.search(rb"\r(?!\n)", data)
            if by_data:
                c.write(b"MAIL FROM:<sender@example.org>\r\nRCPT TO:<lmtp>\r\nDATA\r\n")
                assert [c.reply()[0] for _ in range(3)] == [250, 250, 354], name
                c.write(stuff(data))
            else:
                c.write(b"MAIL FROM:<sender@example.org> BODY=BINARYMIME\r\nRCPT TO:<lmtp>\r\nBDAT %d\r\n" % (
                    len(data) // 2) + data[:len(data) // 2] + b"BDAT %d LAST\r\n" % (
                    len(data) - len(data) // 2) + data[len(data) // 2:])
                assert [c.reply()[0] for _ in range(3)] == [250, 250, 250], name
            code, text = c.reply()
            assert code == 250, (name, text)
            want.append((name, data, True))
    check_imap(office, "lmtp", "INBOX", want)
    check_pop3(office, "lmtp", want)


def test_append(office, mails):
    """R06 R68: literals keep every octet, NUL by literal8."""
    with office.imap("append") as c:
        for lo in range(0, len(mails), 50):
            some = mails[lo:lo + 50]
            for i, (name, data, _) in enumerate(some):
                c.write(b"x%d APPEND INBOX %s{%d+}\r\n" % (i, b"~" if b"\0" in data else b"", len(data)) + data + b"\r\n")
                _, end = c.until(f"x{i}")
                assert end.startswith(b"OK"), (name, end)
    want = [(name, data, False) for name, data, _ in mails]
    check_imap(office, "append", "INBOX", want)
    check_pop3(office, "append", want)


def test_import(office, mails, tmp_path):
    """Import keeps what it is given, CR LF, NUL and all; once more, and
    nothing is new."""
    d = tmp_path / "mails"
    d.mkdir()
    for i, (_, data, _) in enumerate(mails):
        (d / f"{i:06}.eml").write_bytes(data)
    for new in (len(mails), 0):
        r = office.cli("import", str(d), "--user", "import", timeout=500)
        assert f"{len(mails)} messages read, {new} new".encode() in r.stdout, r.stdout
    want = [(name, data, False) for name, data, _ in mails]
    check_imap(office, "import", "INBOX", want)
    check_pop3(office, "import", want)


def test_numbers(office, mails):
    """After all that, everything on disk is as it must be."""
    assert office.cli("check", "--full", timeout=300).stdout.strip().endswith(b"0 faults")


# ---- ENVELOPE, BODYSTRUCTURE, RFC822.SIZE and the facts ----

def same_tree(fact, ours):
    """But for what IMAP's grammar wants in an empty multipart, one
    text/plain, which the facts do not have."""
    todo = [(fact, ours)]
    while todo:
        f, o = todo.pop()
        if isinstance(f, str) or isinstance(o, str):
            if f != o:
                return False
            continue
        if f[0] != o[0]:
            return False
        if len(f) == 1 and o[0].startswith("multipart/") and o[1:] == ["text/plain"]:
            continue  # invented
        if len(f) != len(o):
            return False
        todo.extend(zip(f[1:], o[1:]))
    return True


def differences(fact, size, envelope, body):
    def text(x):
        return F.collapse(x or "")

    if size != fact["rfc822_size"]:
        yield "size", fact["rfc822_size"], size
    if "tree" in fact and not same_tree(fact["tree"], F.body_tree(body)):
        yield "tree", fact["tree"], F.body_tree(body)
    # Behind the id a comment may stand, which ENVELOPE keeps; some have no <>.
    mid = re.sub(r"^<([^>]*)>.*", r"\1", text(envelope[9]))
    if fact.get("message_id") is not None and mid != fact["message_id"]:
        yield "message_id", fact["message_id"], envelope[9]
    if fact.get("from") is not None:
        got = sorted(f"{a[2] or ''}@{a[3]}".lower() if a[3] else (a[2] or "").lower()
                     for a in envelope[2] or [] if a[3] is not None)
        if [F.utf8(x) for x in got if x] != sorted(fact["from"]):
            yield "from", fact["from"], got
    subject = fact.get("subject")
    if subject is not None and "=?" not in (envelope[1] or "") and text(F.utf8(envelope[1] or "")) != subject:
        yield "subject", subject, envelope[1]
    date = fact.get("date")
    if date is not None and (fact["file"], "date") not in F.WRONG:
        parsed = parsedate_tz(envelope[0] or "")
        if parsed and mktime_tz(parsed) != date:
            yield "date", date, envelope[0]


def test_facts(office, mails):
    """R58: they agree wherever the parsers do not contradict each other; and
    asked again, the same octets come."""
    want = [f for _, _, f in mails]
    if not any(want):
        pytest.skip("no corpus of real mail: set RESTANTE_CORPUS to its folder")
    wrong, strict = [], 0
    with office.imap("import") as c:
        c.select(how="EXAMINE")
        for lo in range(1, len(want) + 1, 200):
            items = f"UID FETCH {lo}:{min(lo + 199, len(want))} (RFC822.SIZE ENVELOPE BODYSTRUCTURE)"
            got = c.ok(items)
            for r, fact in zip(got, want[lo - 1:lo + 199]):
                if fact is None:
                    continue
                t = r.decode("latin-1")
                size = int(re.search(r"RFC822\.SIZE (\d+)", t).group(1))
                envelope, at = F.parse(t, t.index("ENVELOPE ") + 9)
                body, _ = F.parse(t, t.index("BODYSTRUCTURE ", at) + 14)
                assert len(envelope) == 10, fact["file"]
                if "disagree" in fact:
                    continue
                strict += 1
                wrong += [(fact["file"], *d) for d in differences(fact, size, envelope, body)]
            if lo == 1:
                assert c.ok(items) == got
    assert strict > 900 and wrong == [], (len(wrong), wrong[:20])
