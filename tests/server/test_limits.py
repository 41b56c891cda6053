# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""R124: each limit of src/base/limits.h, which is read here, at one below, at
and one beyond: what is within is served, what is beyond is refused, ends the
connection or is described no further, as the limit's kind says; and is logged,
once. Where memory, disk and time must be the test's, a unit test has the three;
a comment in it says so: "R124: NAME -1 0 +1". A limit that has them nowhere
fails."""
import base64
import re
import socket
import threading
import time

import pytest

from harness import PASSWORD, ROOT, Imap, Lmtp, Server, tls_wrap

pytestmark = pytest.mark.xdist_group("limits")

TABLE = {name: (kind, int(low.replace("LL", ""), 0) if "<<" not in low else eval(low.replace("LL", "")))
         for name, kind, low in re.findall(r"(?m)^\tX\((\w+),\s*(\w+),\s+\w+,\s+([\w <]+),",
                                           (ROOT / "src/base/limits.h").read_text())}

TIGHT = {
    "line_max": 2000, "prelogin_bytes_max": 1024, "message_size_max": 20000, "literal_max": 3000,
    "literal_sum_max": 8000, "literal_count_max": 8, "header_max": 4096, "mime_depth_max": 5, "mime_parts_max": 9,
    "search_depth_max": 10, "search_keys_max": 20, "set_ranges_max": 12, "mailbox_name_max": 50,
    "mailbox_depth_max": 5, "mailboxes_max": 20, "keywords_max": 57, "keyword_bytes_max": 20,
    "connections_max": 30, "connections_per_account": 3, "bad_commands_max": 5, "lmtp_recipients_max": 100,
    "prelogin_s": 4, "idle_s": 60, "pop3_idle_s": 60, "lmtp_idle_s": 10, "stall_s": 5,
}

CASES = {}


def limit(name, last=0):
    """last: how far from the limit the last one is that is served."""
    def keep(fn):
        CASES[name] = fn, last
        return fn
    return keep


@pytest.fixture(scope="module")
def tight():
    s = Server(users=("ann",), settings=[f"{k}={v}" for k, v in TIGHT.items()])
    with s:
        s.ended = {}
        s.silent = [threading.Thread(target=watch, args=(s, *w), daemon=True) for w in SILENT]
        for t in s.silent:
            t.start()
        yield s


_n = iter(range(1000))


def session(s):
    """A new account's session, its INBOX with one message selected."""
    name = f"u{next(_n)}"
    s.add_user(name)
    c = s.imap(name)
    c.name = name
    c.append(b"Subject: x\r\n\r\n")
    c.select()
    return c


def yes(c, text):
    return c.cmd(text)[1].startswith(b"OK")


@limit("line_max")
def line_max(s, n):
    with session(s) as c:
        c.write(b'x LIST "" ' + b"a" * (n - 11) + b"\r\n")  # its CR counts, its LF does not
        return c.until("x")[1].startswith(b"OK")


@limit("prelogin_bytes_max")
def prelogin_bytes_max(s, n):
    got = set()
    for proto in ("imap", "pop3", "lmtp"):
        with getattr(s, proto)() as c:
            c.write((b"a " if proto == "imap" else b"").ljust(n - 2, b"x") + b"\r\n")
            try:
                c.line()
                c.write({"imap": b"b NOOP\r\n", "pop3": b"CAPA\r\n", "lmtp": b"NOOP\r\n"}[proto])
                got.add(c.line().startswith((b"b OK", b"+OK", b"250")))
            except (EOFError, ConnectionError):
                got.add(False)
    assert len(got) == 1
    return got.pop()


@limit("message_size_max")
def message_size_max(s, n):
    message = b"Subject: x\r\n\r\n".ljust(n, b"y")
    with session(s) as c, s.lmtp() as m:
        m.lhlo()
        # LMTP counts what ends with CR LF
        code = m.send(message[:-2] + b"\r\n", c.name)[0][0]
        size = m.ask(f"MAIL FROM:<a@b.c> SIZE={n}")[0]
        got = {yes(c, ["APPEND INBOX ", message]), code == 250, size == 250}
        r = s.cli("deliver", "--user", c.name, input=message, check=False)
        got.add(r.returncode == 0)
        assert len(got) == 1, (got, code, size, r)
        return got.pop()


def search(s, *sizes):
    with session(s) as c:
        c.write(b"x SEARCH" + b"".join(b" TEXT {%d+}\r\n" % n + b"a" * n for n in sizes) + b"\r\n")
        return c.until("x")[1].startswith(b"OK")


@limit("literal_max")
def literal_max(s, n):
    return search(s, n)


@limit("literal_sum_max")
def literal_sum_max(s, n):
    return search(s, 2000, 2000, 2000, n - 6000)


@limit("literal_count_max")
def literal_count_max(s, n):
    return search(s, *[1] * n)


def appended(s, message):
    with session(s) as c:
        c.append(message)
        assert c.body(2) == message
        return b"".join(c.ok("FETCH 2 (BODYSTRUCTURE BODY.PEEK[TEXT])")).lower()


@limit("header_max")
def header_max(s, n):
    """Past it is body: the empty line too, if that is where it ends."""
    head = b"Subject: s\r\n" + b"".join(b"X-More: " + b"m" * 60 + b"\r\n" for _ in range(50))
    head += b"X-Last: ".ljust(n - len(head) - 4, b"y") + b"\r\n\r\n"
    assert len(head) == n
    return b"body[text] {6}\r\nbody\r\n" in appended(s, head + b"body\r\n")


@limit("mime_depth_max")
def mime_depth_max(s, n):
    head = "".join(f"Content-Type: multipart/mixed; boundary=b{i}\r\n\r\n--b{i}\r\n" for i in range(n))
    end = "".join(f"--b{i}--\r\n" for i in reversed(range(n)))
    got = appended(s, ("Subject: x\r\n" + head + "Content-Type: text/html\r\n\r\nx\r\n" + end).encode())
    return b'"html"' in got.split(b"body[text]")[0]


@limit("mime_parts_max")
def mime_parts_max(s, n):
    """The whole message is one of them."""
    got = appended(s, b"Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
                   + b"--b\r\nContent-Type: text/html\r\n\r\nx\r\n" * (n - 1) + b"--b--\r\n")
    return got.split(b"body[text]")[0].count(b'"html"') == n - 1


@limit("search_depth_max")
def search_depth_max(s, n):
    with session(s) as c:
        got = {yes(c, "SEARCH " + "NOT " * n + "ALL"), yes(c, "SEARCH " + "(" * n + "ALL" + ")" * n)}
        assert len(got) == 1
        return got.pop()


@limit("search_keys_max")
def search_keys_max(s, n):
    with session(s) as c:
        return yes(c, "SEARCH" + " ALL" * n)


@limit("set_ranges_max")
def set_ranges_max(s, n):
    with session(s) as c:
        got = {yes(c, verb.format(",".join(["1"] * n)))
               for verb in ("FETCH {} UID", "SEARCH {}", "STORE {} +FLAGS.SILENT (x)", "COPY {} Trash")}
        assert len(got) == 1
        return got.pop()


@limit("mailbox_name_max")
def mailbox_name_max(s, n):
    with session(s) as c:
        got = yes(c, "CREATE " + "n" * n)
        c.ok("CREATE p/qq")
        assert yes(c, "RENAME p " + "m" * (n - 3)) == got  # what is below grows too
        return got


@limit("mailbox_depth_max")
def mailbox_depth_max(s, n):
    with session(s) as c:
        got = yes(c, "CREATE " + "/".join("abcdefgh"[:n]))
        c.ok("CREATE p/q")
        assert yes(c, "RENAME p " + "/".join("rstuvwxy"[:n - 1])) == got
        return got


@limit("mailboxes_max")
def mailboxes_max(s, n):
    with session(s) as c:
        have = len([r for r in c.ok('LIST "" "*"') if r.startswith(b"* LIST")])
        return all([yes(c, f"CREATE m{i}") for i in range(have, n)])


@limit("keywords_max")
def keywords_max(s, n):
    with session(s) as c:
        return yes(c, "STORE 1 +FLAGS.SILENT (" + " ".join(f"k{i}" for i in range(n)) + ")")


@limit("keyword_bytes_max")
def keyword_bytes_max(s, n):
    with session(s) as c:
        return yes(c, "STORE 1 +FLAGS (" + "k" * n + ")")


def logins(s, names):
    """Whether each gets in while those before are."""
    held, good = [], []
    for name in names:
        c = s.imap()
        held.append(c)
        try:
            c.write(f'x LOGIN {name} "{PASSWORD}"\r\n')
            good.append(c.until("x")[1].startswith(b"OK"))
        except (EOFError, ConnectionError):
            good.append(False)
    for c in held:
        c.close()
    assert all(good[:-1]), good
    return good[-1]


@limit("connections_max")
def connections_max(s, n):
    """Of those that are logged in."""
    names = [f"u{next(_n)}" for _ in range(-(-n // 3))]
    for name in names:
        s.add_user(name)
    end = time.monotonic() + 10
    while (who := s.cli("who").stdout.count(b"\n")) > 2 and time.monotonic() < end:
        time.sleep(0.1)
    return logins(s, [names[i // 3] for i in range(n - who)])


@limit("connections_per_account")
def connections_per_account(s, n):
    s.add_user(name := f"u{next(_n)}")
    return logins(s, [name] * n)


@limit("bad_commands_max", last=-1)
def bad_commands_max(s, n):
    """As many in a row end it."""
    got = set()
    for c in (session(s), s.imap(), s.pop3(), s.lmtp()):
        try:
            for _ in range(n):
                c.write(b"x NONSENSE\r\n")
                c.line()
            # POP3 has no NOOP before login.
            c.write(b"x NOOP\r\n" if isinstance(c, Imap) else b"NOOP\r\n" if isinstance(c, Lmtp) else b"CAPA\r\n")
            got.add(c.line().startswith((b"x OK", b"+OK", b"250")))
        except (EOFError, ConnectionError):
            got.add(False)
        c.close()
    assert len(got) == 1, got
    return got.pop()


@limit("lmtp_recipients_max")
def lmtp_recipients_max(s, n):
    with s.lmtp() as c:
        c.lhlo()
        c.ask("MAIL FROM:<a@example.org>")
        codes = [c.ask(f"RCPT TO:<ann+{i}@example.org>")[0] for i in range(n)]
        assert set(codes[:-1]) == {250}, codes
        return codes[-1] == 250


@pytest.mark.parametrize("more", [-1, 0, 1])
@pytest.mark.parametrize("name", [n for n in TABLE if n in CASES])
def test_r124_limit(tight, name, more):
    fn, last = CASES[name]
    before = tight.log.read_bytes().count(b"limit reached: %s" % name.encode())
    assert fn(tight, TIGHT[name] + more) == (more <= last), (name, more)
    end = time.monotonic() + (10 if more > last else 0.05)
    while True:  # another process may be the one that tells
        after = tight.log.read_bytes().count(b"limit reached: %s" % name.encode())
        if time.monotonic() > end or (more > last and after > 0):
            break
        time.sleep(0.02)
    assert after > 0 if more > last else after == before, (name, more, before, after)


# ---- time ----

def is_silent(s, proto):
    c = getattr(s, proto)("ann") if proto != "lmtp" else s.lmtp()
    return c.sock


def before_login(s):
    return socket.create_connection(("127.0.0.1", s.ports["imap"]), 100)


def handshake(s):
    return socket.create_connection(("127.0.0.1", s.ports["imaps"]), 100)


SILENT = [("prelogin_s", before_login), ("prelogin_s", handshake), ("idle_s", lambda s: is_silent(s, "imap")),
          ("pop3_idle_s", lambda s: is_silent(s, "pop3")), ("lmtp_idle_s", lambda s: is_silent(s, "lmtp"))]


def watch(s, name, opening):
    """Notes how long a connection that says nothing is kept."""
    sock = opening(s)
    sock.settimeout(TIGHT[name] + 20)
    start = time.monotonic()
    try:
        while sock.recv(4096):
            pass
    except OSError:
        pass
    s.ended.setdefault(name, []).append(time.monotonic() - start)
    sock.close()


def test_r124_stall(tight):
    """Who reads nothing of what he asked for."""
    with session(tight) as c:
        c.append(b"Subject: big\r\n\r\n".ljust(TIGHT["message_size_max"], b"z"))
        name = c.name
    for tls in (False, True):
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        raw.settimeout(20)
        raw.connect(("127.0.0.1", tight.ports["imaps" if tls else "imap"]))
        sock = tls_wrap(raw) if tls else raw
        sock.sendall(f'a LOGIN {name} "{PASSWORD}"\r\nb SELECT INBOX\r\n'.encode())
        sock.sendall(b"c FETCH 2 BODY.PEEK[]\r\n" * 1000)
        start = time.monotonic()
        while name.encode() + b" " in tight.cli("who").stdout or time.monotonic() - start < 0.5:
            assert time.monotonic() - start < TIGHT["stall_s"] + 20
            time.sleep(0.1)
        assert time.monotonic() - start > TIGHT["stall_s"] - 1
        sock.close()
    assert "limit reached: stall_s" in tight.tail(1 << 24)


@pytest.mark.parametrize("name", sorted({w[0] for w in SILENT}))
def test_r124_silence(tight, name):
    """A second before it is kept; a second after it (and a busy machine's
    moment), it is not."""
    for t in tight.silent:
        if t.is_alive():
            t.join(100)
    assert len(tight.ended[name]) == sum(w[0] == name for w in SILENT)
    for t in tight.ended[name]:
        assert TIGHT[name] - 1 < t < TIGHT[name] + 4, (name, t)
    assert f"limit reached: {name}" in tight.tail(1 << 24)


# ---- no bound to anybody ----

def test_r124_index_commit_ms():
    """Mail is in the log at once, and in the index that much later."""
    with Server(users=("ann",), settings=["index_commit_ms=1000"]) as s:
        s.deliver(b"Subject: x\r\n\r\n", "ann")  # makes the account
        index = s.data / "index" / "data.mdb"
        before = None
        while before != (now := index.stat().st_mtime_ns):  # till it is quiet
            before = now
            time.sleep(2.5)
        start = time.monotonic()
        s.deliver(b"Subject: x\r\n\r\n", "ann")
        while index.stat().st_mtime_ns == before:
            assert time.monotonic() - start < 10
            time.sleep(0.02)
        assert time.monotonic() - start > 0.8


@pytest.mark.parametrize("rounds", [4096, 4097, 9999, 10000, 10001])
def test_r124_scram_rounds(rounds):
    with Server(users=(), settings=[f"scram_rounds={rounds}"]) as s:
        s.add_user("ann")
        with s.imap() as c:
            c.write(b"a AUTHENTICATE SCRAM-SHA-256\r\n")
            assert c.line().startswith(b"+")
            c.write(base64.b64encode(b"n,,n=ann,r=abcdefghijklmnop") + b"\r\n")
            assert base64.b64decode(c.line()[2:]).endswith(b",i=%d" % rounds)


# ---- the table ----

def unit_tests():
    """{limit: file} of the C tests that say they have its three; each must set
    or read it in the function below the comment, and be a test that is run."""
    found = {}
    for p in sorted((ROOT / "tests").glob("*/t_*.c")):
        text = p.read_text()
        for m in re.finditer(r"R124: (.*?)\*/\s*(static void\s+(\w+)\(void \*\*state\).*?\n}\n)?", text, re.S):
            says = " ".join(re.sub(r"(?m)^\s*\*", " ", m.group(1)).split())
            names = re.findall(r"(\w+) -1 0 \+1", says)
            if not names:
                continue
            body, fn = (m.group(2), m.group(3)) if m.group(2) else (inner(text, m.start()), None)
            for name in names:
                assert name in TABLE, (p, name)
                assert re.search(rf"\blimits\.{name}\b", body), (p, name)
                assert fn is None or text.count(fn) > 1, (p, fn)
                found[name] = p.name
    return found


def inner(text, at):
    """The function that the comment at this place stands in."""
    return text[text.rindex("\n{\n", 0, at):text.index("\n}\n", at)]


def test_r124_every_limit_has_its_test():
    units = unit_tests()
    assert len(TABLE) > 35
    assert set(TABLE) == set(CASES) | set(units), set(TABLE) - set(CASES) - set(units)
    # Time is the real one, too.
    assert {w[0] for w in SILENT} <= set(units)


def test_r124_every_limit_is_told():
    """But those that bound nobody."""
    code = "".join(p.read_text() for p in (ROOT / "src").rglob("*.c"))
    for name, (kind, _) in TABLE.items():
        assert (f"limit_hit(LIMIT_{name}," in re.sub(r"\(\s+", "(", code)) == (kind != "TUNES"), name


def test_r124_no_flood_of_the_log():
    """However often: at once, then every ten seconds, with how often."""
    with Server(users=("ann",), settings=["search_keys_max=20", "bad_commands_max=1000"]) as s:
        with s.imap("ann") as c:
            c.select()
            for _ in range(200):
                c.bad("SEARCH" + " ALL" * 21)
            time.sleep(10.5)
            c.bad("SEARCH" + " ALL" * 21)
        told = [x for x in s.tail(1 << 20).splitlines() if "limit reached: search_keys_max" in x]
        assert 2 <= len(told) <= 3, told
        assert sum(int(re.search(r"times=(\d+)", x).group(1)) for x in told) == 201
