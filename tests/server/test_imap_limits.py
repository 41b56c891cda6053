# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""Each bound of base/limits.h that IMAP knows, below, at and above (R124):
refused in the protocol's words, and the session goes on, or ends with BYE."""
import re

import pytest

from harness import Server

LINE, LITERAL, SUM, COUNT, DEPTH, KEYS, RANGES = 2000, 300000, 1 << 20, 8, 10, 20, 12
NAME, LEVELS, BOXES, KEYWORDS, KEYWORD, MESSAGE, BAD = 50, 5, 20, 57, 20, 4000, 5


@pytest.fixture(scope="module")
def tight():
    s = Server(users=(), settings=[
        f"line_max={LINE}", f"literal_max={LITERAL}", f"literal_sum_max={SUM}", f"literal_count_max={COUNT}",
        f"search_depth_max={DEPTH}", f"search_keys_max={KEYS}", f"set_ranges_max={RANGES}",
        f"mailbox_name_max={NAME}", f"mailbox_depth_max={LEVELS}", f"mailboxes_max={BOXES}",
        f"keywords_max={KEYWORDS}", f"keyword_bytes_max={KEYWORD}", f"message_size_max={MESSAGE}",
        f"bad_commands_max={BAD}"])
    s.start()
    yield s
    s.close()


_n = iter(range(1000))


@pytest.fixture
def c(tight):
    name = f"tight{next(_n)}"
    tight.add_user(name)
    with tight.imap(name) as conn:
        conn.append(b"Subject: x\r\n\r\n")
        conn.select()
        yield conn
        conn.ok("NOOP")  # the session has gone on


def test_line(c):
    def line(n):  # its CR counts, its LF does not
        c.write(b'x LIST "" ' + b"a" * (n - 11) + b"\r\n")
        return c.until("x")[1]
    assert line(LINE - 1).startswith(b"OK")
    assert line(LINE).startswith(b"OK")
    assert line(LINE + 1).startswith(b"BAD [TOOBIG]")
    assert line(100 * LINE).startswith(b"BAD [TOOBIG]")
    # The lines between literals count together.
    assert c.bad(['SEARCH TEXT "' + "a" * 1500 + '" TEXT ', b"x", ' TEXT "' + "a" * 600 + '"']).startswith(
        b"BAD [TOOBIG]")


def search(c, *sizes, plus=True):
    c.write(b"x SEARCH" + b"".join(b" TEXT {%d+}\r\n" % n + b"a" * n for n in sizes) + b"\r\n")
    return c.until("x")[1]


def test_literal(c):
    assert search(c, LITERAL - 1).startswith(b"OK")
    assert search(c, LITERAL).startswith(b"OK")
    assert search(c, LITERAL + 1).startswith(b"BAD [TOOBIG]")
    # A synchronising one is refused before it is sent.
    c.write(b"y SEARCH TEXT {%d}\r\n" % (LITERAL + 1))
    assert c.line().startswith(b"y BAD [TOOBIG]")


def test_sum_and_count_of_literals(c):
    quarter = SUM // 4
    assert search(c, quarter, quarter, quarter, quarter - 1).startswith(b"OK")
    assert search(c, quarter, quarter, quarter, quarter).startswith(b"OK")
    assert search(c, quarter, quarter, quarter, quarter, 1).startswith(b"BAD [TOOBIG]")
    assert search(c, *[1] * (COUNT - 1)).startswith(b"OK")
    assert search(c, *[1] * COUNT).startswith(b"OK")
    assert search(c, *[1] * (COUNT + 1)).startswith(b"BAD [TOOBIG]")


def test_search_depth_and_keys(c):
    for deep in ("NOT ", "("):
        def nest(n):
            return "SEARCH " + deep * n + "ALL" + (")" * n if deep == "(" else "")
        c.ok(nest(DEPTH - 1))
        c.ok(nest(DEPTH))
        c.bad(nest(DEPTH + 1))
    c.ok("SEARCH" + " ALL" * (KEYS - 1))
    c.ok("SEARCH" + " ALL" * KEYS)
    c.bad("SEARCH" + " ALL" * (KEYS + 1))


def test_ranges_of_a_set(c):
    for verb in ("UID FETCH {} UID", "SEARCH UID {}", "UID STORE {} +FLAGS.SILENT (x)", "UID COPY {} Trash"):
        c.ok(verb.format(",".join(["7"] * (RANGES - 1))))
        c.ok(verb.format(",".join(["7"] * RANGES)))
        c.bad(verb.format(",".join(["7"] * (RANGES + 1))))


def test_name_and_depth_of_a_mailbox(c):
    c.ok("CREATE " + "n" * (NAME - 1))
    c.ok("CREATE " + "n" * NAME)
    assert re.match(rb"NO \[(LIMIT|CANNOT)\]", c.cmd("CREATE " + "n" * (NAME + 1))[1])
    assert re.match(rb"NO \[(LIMIT|CANNOT)\]", c.cmd("RENAME Junk " + "n" * (NAME + 1))[1])
    c.ok("CREATE " + "/".join("abcdefgh"[:LEVELS - 1]))
    c.ok("CREATE " + "/".join("abcdefgh"[:LEVELS]))
    assert re.match(rb"NO \[(LIMIT|CANNOT)\]", c.cmd("CREATE " + "/".join("abcdefgh"[:LEVELS + 1]))[1])
    # RENAME lengthens what stands below, too.
    assert re.match(rb"NO \[(LIMIT|CANNOT)\]", c.cmd("RENAME a " + "m" * (NAME - 5))[1])
    assert re.match(rb"NO \[(LIMIT|CANNOT)\]", c.cmd("RENAME a y/a")[1])
    c.ok("STATUS a/b/c/d/e (MESSAGES)")


def test_number_of_mailboxes(c):
    for _ in range(BOXES):
        have = len([r for r in c.ok('LIST "" "*"') if r.startswith(b"* LIST")])
        end = c.cmd(f"CREATE m{have}")[1]
        if not end.startswith(b"OK"):
            break
    assert have == BOXES and end.startswith(b"NO [LIMIT]"), (have, end)
    assert c.cmd("CREATE deep/er")[1].startswith(b"NO [LIMIT]")
    assert c.cmd("RENAME Junk p/q")[1].startswith(b"NO [LIMIT]")
    c.ok("DELETE Junk")
    c.ok("CREATE again")


def test_keywords(c):
    """Full: NO [LIMIT], no \\* in PERMANENTFLAGS; what is there still works."""
    def flags():
        return [r for r in c.select() if b"PERMANENTFLAGS" in r][0]
    for i in range(KEYWORDS - 1):
        c.ok(f"STORE 1 +FLAGS.SILENT (k{i})")
    assert b"\\*" in flags()
    assert c.cmd("STORE 1 +FLAGS (l1 l2)")[1].startswith(b"NO [LIMIT]")
    c.ok(f"STORE 1 +FLAGS.SILENT (k{KEYWORDS - 1})")
    assert b"\\*" not in flags()
    assert c.cmd("STORE 1 +FLAGS (onemore)")[1].startswith(b"NO [LIMIT]")
    assert c.cmd(["APPEND INBOX (onemore) ", b"Subject: x\r\n\r\n"])[1].startswith(b"NO [LIMIT]")
    c.ok("STORE 1 -FLAGS (onemore)")
    c.ok("STORE 1 +FLAGS (K3)")
    c.append(b"Subject: x\r\n\r\n", opts="(k4 \\Seen)")
    assert b"MESSAGES 2" in c.ok("STATUS INBOX (MESSAGES)")[0]


def test_length_of_a_keyword(c):
    c.ok("STORE 1 +FLAGS (" + "k" * (KEYWORD - 1) + ")")
    c.ok("STORE 1 +FLAGS (" + "l" * KEYWORD + ")")
    assert re.match(rb"NO \[(LIMIT|CANNOT)\]", c.cmd("STORE 1 +FLAGS (" + "m" * (KEYWORD + 1) + ")")[1])


def test_message(c):
    def put(n):
        return c.cmd(["APPEND INBOX ", b"Subject: x\r\n\r\n".ljust(n, b"y")])[1]
    assert put(MESSAGE - 1).startswith(b"OK")
    assert put(MESSAGE).startswith(b"OK")
    assert put(MESSAGE + 1).startswith(b"NO [TOOBIG]")
    # Unasked: read, dropped, and nothing of it run.
    data = b"z LOGOUT\r\n" * 600
    c.write(b"x APPEND INBOX {%d+}\r\n" % len(data) + data + b"\r\n")
    assert c.until("x")[1].startswith(b"NO [TOOBIG]")
    # One too large among others: none of them.
    c.write(b"x APPEND INBOX {3+}\r\nabc {%d+}\r\n" % len(data) + data + b"\r\n")
    assert c.until("x")[1].startswith(b"NO [TOOBIG]")
    assert b"MESSAGES 3 APPENDLIMIT %d" % MESSAGE in c.ok("STATUS INBOX (MESSAGES APPENDLIMIT)")[0]
    assert b"APPENDLIMIT=%d" % MESSAGE in c.ok("CAPABILITY")[0]


def test_sum_of_messages(c):
    def put(*sizes):
        c.write(b"x APPEND INBOX" + b"".join(b" {%d+}\r\n" % n + b"a" * n for n in sizes) + b"\r\n")
        return c.until("x")[1]
    assert put(*[MESSAGE] * 4).startswith(b"OK")
    assert put(*[MESSAGE] * 4, 1).startswith(b"BAD [TOOBIG]")
    assert b"MESSAGES 5" in c.ok("STATUS INBOX (MESSAGES)")[0]


def test_announced_beyond_reading(tight):
    """A non-synchronising literal that cannot be dropped ends the session."""
    tight.add_user("tightlost")
    with tight.imap("tightlost") as c:
        c.write(b"x APPEND INBOX {%d+}\r\n" % (1 << 40))
        got = c.line()
        assert got.startswith(b"* BYE"), got
        assert c.line().startswith(b"x NO [TOOBIG]")
        assert c.at_end()
    with tight.imap("tightlost") as c:
        c.write(b"x SEARCH TEXT {%d+}\r\n" % (1 << 40))
        assert c.line().startswith(b"* BYE")
        assert c.line().startswith(b"x BAD [TOOBIG]")
        assert c.at_end()


def test_bad_commands(tight):
    tight.add_user("tightbad")
    with tight.imap("tightbad") as c:
        for _ in range(3):
            for _ in range(BAD - 1):
                c.bad("NONSENSE")
            c.ok("NOOP")
        for _ in range(BAD):
            c.write(b"x NONSENSE\r\n")
            assert c.line().startswith(b"x BAD")
        assert c.line().startswith(b"* BYE")
        assert c.at_end()


def test_message_of_50_mib():
    """The default, to the octet, in and out."""
    limit = 52428800
    with Server(users=("ann",)) as s, s.imap("ann") as c:
        big = b"Subject: big\r\n\r\n" + (b"0123456789abcdef" * 64 + b"\r\n") * (limit // 1026 + 1)
        c.append(big[:limit])
        assert c.cmd(["APPEND INBOX ", big[:limit + 1]])[1].startswith(b"NO [TOOBIG]")
        c.select()
        r = [x for x in c.ok("FETCH 1 (RFC822.SIZE BODY.PEEK[])") if b"FETCH" in x][0]
        assert b"RFC822.SIZE %d" % limit in r[:200] and big[:limit] in r
