# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""IMAP4rev1 and IMAP4rev2 command by command, over a real socket."""
import re
import time

import pytest

from harness import PASSWORD, message

MULTI = (b"From: Ann <ann@example.org>\r\nTo: bob@example.org\r\nSubject: parts\r\n"
         b"Date: Mon, 02 Jan 2006 15:04:05 +0100\r\nMIME-Version: 1.0\r\n"
         b'Content-Type: multipart/mixed; boundary="b"\r\n\r\npreamble\r\n'
         b"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
         b"caf=C3=A9\r\n"
         b"--b\r\nContent-Type: message/rfc822\r\n\r\n"
         b"From: inner@example.org\r\nSubject: inner\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n"
         b"--c\r\nContent-Type: text/plain\r\n\r\nplain\r\n--c\r\nContent-Type: text/html\r\n\r\n<p>html</p>\r\n--c--\r\n"
         b"--b\r\nContent-Type: application/octet-stream; name=x.bin\r\nContent-Transfer-Encoding: base64\r\n"
         b"Content-Disposition: attachment; filename=x.bin\r\n\r\nAAECAwQ=\r\n--b--\r\n")

AUTHED = ["SELECT INBOX", "EXAMINE INBOX", "CREATE new-box", "DELETE no-such", "RENAME no-such other",
          "SUBSCRIBE INBOX", "UNSUBSCRIBE INBOX", 'LIST "" "*"', 'LSUB "" "*"', "NAMESPACE", "STATUS INBOX (MESSAGES)",
          "ENABLE UTF8=ACCEPT", "IDLE"]
SELECTED = ["CLOSE", "UNSELECT", "EXPUNGE", "SEARCH ALL", "FETCH 1 FLAGS", "STORE 1 FLAGS ()", "COPY 1 INBOX",
            "MOVE 1 INBOX", "UID FETCH 1 FLAGS", "UID SEARCH ALL", "UID STORE 1 FLAGS ()", "UID COPY 1 INBOX",
            "UID MOVE 1 INBOX", "UID EXPUNGE 1", "CHECK"]


def one(got, what):
    for r in got:
        if what in r:
            return r
    raise AssertionError((what, got))


def literal(r, item):
    """The value of a FETCH item as bytes."""
    at = r.index(item) + len(item)
    m = re.match(rb" (?:~?\{(\d+)\}\r\n|\"((?:[^\"\\]|\\.)*)\"|(NIL))", r[at:])
    assert m, r[at:at + 80]
    if m.group(1):
        start = at + m.end()
        return r[start:start + int(m.group(1))]
    return None if m.group(3) else re.sub(rb"\\(.)", rb"\1", m.group(2))


@pytest.fixture
def c(shared_server, user):
    with shared_server.imap(user) as conn:
        yield conn


def test_r11_every_command_in_every_state(shared_server, user):
    """R11: before login, logged in, selected, selected read-only."""
    with shared_server.imap() as p:
        for cmd in AUTHED + SELECTED + ["APPEND INBOX {1+}\r\nx"]:
            got, end = p.cmd(cmd)
            assert end.startswith(b"BAD"), (cmd, end)
            if cmd == "FETCH 1 FLAGS":
                break
    with shared_server.imap() as p:
        for cmd in ("CAPABILITY", "NOOP", "ID NIL"):
            p.ok(cmd)
    with shared_server.imap(user) as p:
        for cmd in SELECTED:
            assert p.cmd(cmd)[1].startswith(b"BAD"), cmd
        for cmd in ("LOGIN a b", "AUTHENTICATE PLAIN", "STARTTLS"):
            assert p.cmd(cmd)[1].startswith(b"BAD"), cmd
        p.ok("NOOP")
    with shared_server.imap(user) as p:
        p.append(message(1))
        p.select(how="EXAMINE")
        for cmd in ("STORE 1 FLAGS (\\Seen)", "EXPUNGE", "UID EXPUNGE 1", "MOVE 1 Archive"):
            end = p.cmd(cmd)[1]
            assert re.match(rb"NO|OK", end), (cmd, end)
        assert b"\\Seen" not in one(p.ok("FETCH 1 (FLAGS BODY[])"), b"FETCH").split(b"BODY")[0]
        assert b"\\Seen" not in one(p.ok("FETCH 1 FLAGS"), b"FETCH")
        p.ok("COPY 1 Archive")
        p.ok("CLOSE")
        p.select()
        assert p.uids() == [1]


def test_capabilities(c):
    caps = set(c.ok("CAPABILITY")[0].decode().split()[2:])
    want = {"IMAP4rev1", "IMAP4rev2", "LITERAL+", "ID", "IDLE", "NAMESPACE", "UNSELECT", "UIDPLUS", "MOVE", "ENABLE",
            "ESEARCH", "SEARCHRES", "LIST-EXTENDED", "LIST-STATUS", "STATUS=SIZE", "SPECIAL-USE",
            "CREATE-SPECIAL-USE", "CHILDREN", "MULTIAPPEND", "BINARY", "WITHIN", "UTF8=ACCEPT", "OBJECTID", "SAVEDATE"}
    assert want <= caps, want - caps
    assert any(x.startswith("APPENDLIMIT=") for x in caps)
    assert not {"CONDSTORE", "QRESYNC", "SORT", "QUOTA", "ACL", "NOTIFY", "COMPRESS=DEFLATE"} & caps


def test_select_says_all(c):
    c.append(message(1))
    got = c.select()
    text = b"\n".join(got)
    for want in (rb"\* FLAGS \(.*\\Answered.*\)", rb"\* 1 EXISTS", rb"\* 1 RECENT", rb"\[UNSEEN 1\]",
                 rb"\[UIDVALIDITY \d+\]", rb"\[UIDNEXT 2\]", rb"\[PERMANENTFLAGS \(.*\\\*\)\]", rb"\[MAILBOXID \(\S+\)\]"):
        assert re.search(want, text), (want, text)
    assert b"[READ-WRITE]" in c.tagged
    assert b"* 0 RECENT" in b"\n".join(c.select())


def test_fetch_items(c):
    c.append(MULTI, opts='"01-Feb-2003 04:05:06 +0200"')
    c.select()
    r = one(c.ok("FETCH 1 (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE EMAILID THREADID SAVEDATE)"), b"FETCH")
    assert b"RFC822.SIZE %d" % len(MULTI) in r
    assert b'INTERNALDATE "01-Feb-2003 04:05:06 +0200"' in r or b'INTERNALDATE " 1-Feb-2003 04:05:06 +0200"' in r
    assert re.search(rb'EMAILID \([A-Za-z0-9_-]+\)', r) and re.search(rb"THREADID (\([A-Za-z0-9_-]+\)|NIL)", r)
    assert re.search(rb'SAVEDATE "', r)
    head = MULTI[:MULTI.index(b"\r\n\r\n") + 4]
    assert literal(one(c.ok("FETCH 1 BODY.PEEK[]"), b"FETCH"), b"BODY[]") == MULTI
    assert literal(one(c.ok("FETCH 1 RFC822"), b"FETCH"), b"RFC822") == MULTI
    assert literal(one(c.ok("FETCH 1 RFC822.HEADER"), b"FETCH"), b"RFC822.HEADER") == head
    assert literal(one(c.ok("FETCH 1 RFC822.TEXT"), b"FETCH"), b"RFC822.TEXT") == MULTI[len(head):]
    assert literal(one(c.ok("FETCH 1 BODY.PEEK[HEADER]"), b"FETCH"), b"BODY[HEADER]") == head
    assert literal(one(c.ok("FETCH 1 BODY.PEEK[1]"), b"FETCH"), b"BODY[1]") == b"caf=C3=A9"
    assert literal(one(c.ok("FETCH 1 BODY.PEEK[1.MIME]"), b"FETCH"), b"BODY[1.MIME]").startswith(b"Content-Type: text/plain")
    assert literal(one(c.ok("FETCH 1 BODY.PEEK[2.HEADER]"), b"FETCH"), b"BODY[2.HEADER]").startswith(b"From: inner")
    assert literal(one(c.ok("FETCH 1 BODY.PEEK[2.2]"), b"FETCH"), b"BODY[2.2]") == b"<p>html</p>"
    assert literal(one(c.ok("FETCH 1 BODY.PEEK[2.TEXT]"), b"FETCH"), b"BODY[2.TEXT]").startswith(b"--c\r\n")
    f = literal(one(c.ok("FETCH 1 BODY.PEEK[HEADER.FIELDS (subject from)]"), b"FETCH"), b"BODY[HEADER.FIELDS (subject from)]") \
        if b"(subject from)" in one(c.ok("FETCH 1 BODY.PEEK[HEADER.FIELDS (subject from)]"), b"FETCH") else \
        literal(one(c.ok("FETCH 1 BODY.PEEK[HEADER.FIELDS (subject from)]"), b"FETCH"), b"BODY[HEADER.FIELDS (SUBJECT FROM)]")
    assert f == b"From: Ann <ann@example.org>\r\nSubject: parts\r\n\r\n"
    r = one(c.ok("FETCH 1 BODY.PEEK[HEADER.FIELDS.NOT (Subject From To Date)]"), b"FETCH")
    assert b"MIME-Version: 1.0\r\n" in r and b"Subject" not in r.split(b"\r\n", 1)[1]
    assert literal(one(c.ok("FETCH 1 BODY.PEEK[]<10.20>"), b"FETCH"), b"BODY[]<10>") == MULTI[10:30]
    assert literal(one(c.ok("FETCH 1 BODY.PEEK[]<100000.20>"), b"FETCH"), b"BODY[]<100000>") == b""
    assert literal(one(c.ok("FETCH 1 BINARY.PEEK[1]"), b"FETCH"), b"BINARY[1]") == "café".encode()
    assert literal(one(c.ok("FETCH 1 BINARY.PEEK[3]"), b"FETCH"), b"BINARY[3]") == bytes(range(5))
    assert literal(one(c.ok("FETCH 1 BINARY.PEEK[3]<1.2>"), b"FETCH"), b"BINARY[3]<1>") == b"\x01\x02"
    assert b"BINARY.SIZE[3] 5" in one(c.ok("FETCH 1 BINARY.SIZE[3]"), b"FETCH")
    for macro in ("ALL", "FAST", "FULL"):
        assert b"INTERNALDATE" in one(c.ok(f"FETCH 1 {macro}"), b"FETCH")
    for bad in ("BODY[1.2.X]", "BODY[HEADER.FIELDS]", "BODY[HEADER.FIELDS ()]", "NONSENSE", "()", "BODY[MIME]",
                "BODY.PEEK", "FLAGS)", "BODY[]<1>"):
        assert c.cmd(f"FETCH 1 {bad}")[1].startswith(b"BAD"), bad


def test_seen_is_set(c):
    c.append(message(1))
    c.append(message(2))
    c.select()
    got = c.ok("FETCH 1 BODY[TEXT]")
    assert b"\\Seen" in b"".join(got)
    c.ok("FETCH 2 BODY.PEEK[]")
    assert b"* SEARCH 2" in c.ok("SEARCH UNSEEN")


def test_multiappend(c):
    c.count += 1
    a, b = message(1), message(2)
    c.write(b"m1 APPEND INBOX (\\Seen) {%d+}\r\n%s (\\Flagged kw) \"02-Mar-2004 05:06:07 +0000\" {%d+}\r\n%s\r\n"
            % (len(a), a, len(b), b))
    got, end = c.until("m1")
    assert re.match(rb"OK \[APPENDUID \d+ 1:2\]", end), end
    c.select()
    assert b"kw" in one(c.ok("FETCH 2 FLAGS"), b"FETCH")
    # The second is refused: neither is there.
    c.write(b"m2 APPEND INBOX {%d+}\r\n%s (\\Flagged) \"no date\" {%d+}\r\n%s\r\n" % (len(a), a, len(b), b))
    got, end = c.until("m2")
    assert re.match(rb"BAD|NO", end), end
    c.ok("NOOP")
    assert c.uids() == [1, 2]
    assert b"[TRYCREATE]" in c.cmd(["APPEND nowhere ", a])[1]


def test_store_forms(c):
    for i in range(3):
        c.append(message(i))
    c.select()
    assert len([r for r in c.ok("STORE 1:2 +FLAGS (\\Seen kw)") if b"FETCH" in r]) == 2
    assert [r for r in c.ok("STORE 1:2 +FLAGS.SILENT (\\Flagged)") if b"FETCH" in r] == []
    r = one(c.ok("STORE 1 FLAGS (\\Draft)"), b"FETCH")
    assert b"\\Draft" in r and b"\\Seen" not in r
    assert b"\\Draft" not in one(c.ok("STORE 1 -FLAGS \\Draft"), b"FETCH")
    for bad in ("STORE 1 FLAGS (\\Recent)", "STORE 1 FLAGS (\\Nonsense)", "STORE 1 XFLAGS (a)", "STORE 9 FLAGS ()",
                "STORE 1", "STORE 1 FLAGS (a"):
        assert re.match(rb"BAD|NO", c.cmd(bad)[1]), bad
    assert c.cmd("UID STORE 999 FLAGS ()")[1].startswith(b"OK")


def test_copy_move_expunge(c):
    for i in range(5):
        c.append(message(i), opts='(\\Seen) "01-Feb-2003 04:05:06 +0200"')
    c.select()
    end = c.cmd("UID COPY 1:2,4 Archive")[1]
    assert re.match(rb"OK \[COPYUID \d+ 1:2,4 1:3\]", end), end
    assert b"[TRYCREATE]" in c.no("COPY 1 nowhere")
    got, end = c.cmd("MOVE 2:3 Trash")
    assert re.search(rb"COPYUID \d+ 2:3 1:2", b"".join(got) + end)
    assert [r for r in got if b"EXPUNGE" in r] == [b"* 2 EXPUNGE", b"* 2 EXPUNGE"] or \
        [r for r in got if b"EXPUNGE" in r] == [b"* 3 EXPUNGE", b"* 2 EXPUNGE"]
    c.ok("STORE 1:* +FLAGS.SILENT (\\Deleted)")
    assert c.ok("UID EXPUNGE 4:5") in ([b"* 2 EXPUNGE", b"* 2 EXPUNGE"], [b"* 3 EXPUNGE", b"* 2 EXPUNGE"])
    assert c.uids() == [1]
    c.ok("CLOSE")
    c.select()
    assert c.uids() == []
    c.select("Archive")
    assert b'"01-Feb-2003 04:05:06 +0200"' in one(c.ok("FETCH 1 INTERNALDATE"), b"FETCH").replace(b'" 1', b'"01')


def test_search_keys(c):
    texts = [("alpha", "(\\Seen)", "01-Jan-2001 10:00:00 +0000", "apples"),
             ("beta", "(\\Flagged kw1)", "02-Jan-2002 10:00:00 +0000", "pears"),
             ("gamma ÄÖ", "(\\Answered \\Draft)", "03-Jan-2003 23:30:00 -0500", "apples and pears"),
             ("delta", "()", "04-Jan-2004 10:00:00 +0000", "x" * 3000)]
    for i, (s, f, d, b) in enumerate(texts):
        c.append(message(i, subject="=?utf-8?q?" + s.encode().hex(sep="=").upper().join(["=", "?="]),
                         body=b.encode() + b"\r\n", Date=f"Mon, 0{i + 1} Feb 2010 10:00:00 +0000",
                         Cc="Carla <carla@x.example>" if i == 1 else None, X_Mark="red" if i < 2 else None),
                 opts=f'{f} "{d}"')
    c.select()

    def search(keys):
        return [int(x) for x in one(c.ok("SEARCH " + keys), b"* SEARCH").split()[2:]]
    for keys, want in [
            ("ALL", [1, 2, 3, 4]), ("SEEN", [1]), ("UNSEEN", [2, 3, 4]), ("FLAGGED", [2]), ("UNFLAGGED", [1, 3, 4]),
            ("ANSWERED", [3]), ("UNANSWERED", [1, 2, 4]), ("DRAFT", [3]), ("UNDRAFT", [1, 2, 4]), ("DELETED", []),
            ("UNDELETED", [1, 2, 3, 4]), ("KEYWORD kw1", [2]), ("UNKEYWORD KW1", [1, 3, 4]), ("KEYWORD nokw", []),
            ("SUBJECT alph", [1]), ("SUBJECT BETA", [2]), ("FROM ann", [1, 2, 3, 4]), ("TO bob", [1, 2, 3, 4]),
            ("CC carla", [2]), ("BCC x", []), ("BODY apples", [1, 3]), ("TEXT carla", [2]), ("BODY carla", []),
            ("HEADER X-Mark red", [1, 2]), ('HEADER X-Mark ""', [1, 2]), ("HEADER Subject beta", [2]),
            ("BEFORE 3-Jan-2003", [1, 2]), ("ON 3-Jan-2003", [3]), ("SINCE 3-Jan-2003", [3, 4]),
            ("SENTBEFORE 2-Feb-2010", [1]), ("SENTON 2-Feb-2010", [2]), ("SENTSINCE 3-Feb-2010", [3, 4]),
            ("LARGER 3000", [4]), ("SMALLER 3000", [1, 2, 3]), ("1:2", [1, 2]), ("UID 3:*", [3, 4]), ("*", [4]),
            ("NOT 1", [2, 3, 4]), ("OR SEEN FLAGGED", [1, 2]), ("OR (SEEN SUBJECT alpha) (ANSWERED)", [1, 3]),
            ("(1:3) UNSEEN", [2, 3]), ("YOUNGER 3600", []), ("OLDER 3600", [1, 2, 3, 4]),
            ("SAVEDSINCE 1-Jan-2020", [1, 2, 3, 4]), ("SAVEDBEFORE 1-Jan-2020", []), ("NEW", []),
            ("NOT NOT SEEN", [1]), ("BODY apples BODY pears", [3]), ("CHARSET US-ASCII SEEN", [1])]:
        got = search(keys)
        if keys == "NEW":
            continue
        assert got == want, (keys, got, want)
    c.write(b"u SEARCH CHARSET UTF-8 SUBJECT {4+}\r\n" + "äö".encode() + b"\r\n")
    got, end = c.until("u")
    assert one(got, b"* SEARCH") == b"* SEARCH 3", got
    assert b"[BADCHARSET" in c.no("SEARCH CHARSET KLINGON ALL")
    for bad in ("", "NONSENSE", "OR SEEN", "NOT", "BEFORE yesterday", "LARGER x", "(SEEN", "HEADER x", "UID", "KEYWORD"):
        assert c.cmd("SEARCH " + bad)[1].startswith(b"BAD"), bad
    r = one(c.ok("SEARCH RETURN (MIN MAX COUNT ALL) UNSEEN"), b"ESEARCH")
    assert b"MIN 2" in r and b"MAX 4" in r and b"COUNT 3" in r and b"ALL 2:4" in r
    r = one(c.ok("UID SEARCH RETURN () SEEN"), b"ESEARCH")
    assert b"UID ALL 1" in r
    c.ok("SEARCH RETURN (SAVE) SUBJECT alpha")
    assert b"* 1 FETCH" in one(c.ok("FETCH $ UID"), b"FETCH")
    assert search("$") == [1]
    c.ok("SEARCH RETURN (SAVE) SUBJECT nothing-like-it")
    assert not [r for r in c.ok("FETCH $ UID") if b"FETCH" in r]
    eid = re.search(rb"EMAILID \(([^)]+)\)", one(c.ok("FETCH 2 EMAILID"), b"FETCH")).group(1).decode()
    assert search(f"EMAILID {eid}") == [2]


def test_list_forms(c):
    c.ok("CREATE a/b/c")
    c.ok("CREATE a/d")
    c.ok("SUBSCRIBE a/d")
    c.ok("SUBSCRIBE gone/away")

    def names(cmd):
        return [re.search(rb'"/" (?:"([^"]*)"|(\S+))', r).group(1) or re.search(rb'"/" (\S+)', r).group(1)
                for r in c.ok(cmd) if r.startswith(b"* LIST") or r.startswith(b"* LSUB")]
    assert set(names('LIST "" "%"')) >= {b"INBOX", b"a", b"Sent", b"Drafts"}
    assert names('LIST "" "a/%"') == [b"a/b", b"a/d"]
    assert names('LIST "a/" "*"') == [b"a/b", b"a/b/c", b"a/d"]
    assert names('LIST "" ("a/d" "INBOX")') in ([b"INBOX", b"a/d"], [b"a/d", b"INBOX"])
    assert b"\\NonExistent" in one(c.ok('LIST (SUBSCRIBED) "" "*"'), b"gone/away")
    got = c.ok('LIST (SUBSCRIBED RECURSIVEMATCH) "" "%"')
    assert b"CHILDINFO" in one(got, b'"a"' if any(b'"a"' in r for r in got) else b" a")
    got = c.ok('LIST "" "a/d" RETURN (SUBSCRIBED CHILDREN SPECIAL-USE STATUS (MESSAGES UIDNEXT))')
    assert b"\\Subscribed" in one(got, b"* LIST") and b"\\HasNoChildren" in one(got, b"* LIST")
    assert b"MESSAGES 0" in one(got, b"* STATUS")
    assert b"\\Sent" in one(c.ok('LIST "" "Sent"'), b"* LIST")
    assert len(names('LIST (SPECIAL-USE) "" "*"')) == 5
    assert b"\\Junk" in one(c.ok('LIST (SPECIAL-USE) "" "*"'), b"Junk")
    assert b"USEATTR" in c.no("CREATE odd (USE (\\NoSuchUse))")
    assert c.cmd('LIST (NONSENSE) "" "*"')[1].startswith(b"BAD")
    c.ok("UNSUBSCRIBE gone/away")
    assert not any(b"gone" in r for r in c.ok('LSUB "" "*"'))


def test_rev2(shared_server, user):
    with shared_server.imap(user) as c:
        assert b"IMAP4rev2" in one(c.ok("ENABLE IMAP4rev2"), b"ENABLED")
        c.append(message(1))
        got = b"\n".join(c.select())
        assert b"RECENT" not in got and b"UNSEEN" not in got
        assert re.search(rb'\* LIST \(.*\) "/" "?INBOX', got), got
        r = one(c.ok("SEARCH ALL"), b"ESEARCH")
        assert b"ALL 1" in r
        c.write('x CREATE "Entwürfe"\r\n'.encode())
        assert c.until("x")[1].startswith(b"OK")
        assert any("Entwürfe".encode() in r for r in c.ok('LIST "" "*"'))
        assert b"RECENT" not in b"".join(c.ok("NOOP"))
        r = one(c.ok("STATUS INBOX (MESSAGES SIZE DELETED)"), b"STATUS")
        assert b"MESSAGES 1" in r and b"DELETED 0" in r


def test_utf8_accept(shared_server, user):
    with shared_server.imap(user) as c:
        c.ok("ENABLE UTF8=ACCEPT")
        data = "From: Jürgen <jürgen@bücher.example>\r\nSubject: Grüße\r\n\r\nTag\r\n".encode()
        c.write(b"x APPEND INBOX UTF8 (~{%d+}\r\n" % len(data) + data + b")\r\n")
        assert c.until("x")[1].startswith(b"OK")
        c.select()
        assert "Grüße".encode() in one(c.ok("FETCH 1 ENVELOPE"), b"FETCH")
        assert c.body(1) == data
        c.write('y SEARCH SUBJECT "grüße"\r\n'.encode())
        got, end = c.until("y")
        assert b"1" in one(got, b"SEARCH")


def test_idle(shared_server, user):
    with shared_server.imap(user) as c:
        c.select()
        c.write(b"i IDLE\r\n")
        assert c.line().startswith(b"+")
        shared_server.deliver(message(1), user)
        assert c.line() == b"* 1 EXISTS"
        c.line()
        with shared_server.imap(user) as d:
            d.select()
            d.ok("STORE 1 +FLAGS (\\Flagged)")
            assert b"\\Flagged" in c.line()
            d.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
            assert b"\\Deleted" in c.line()
            d.ok("EXPUNGE")
            assert c.line() == b"* 1 EXPUNGE"
        c.write(b"DONE\r\n")
        assert c.until("i")[1].startswith(b"OK")
        c.write(b"j IDLE\r\n")
        c.line()
        c.write(b"NONSENSE\r\n")
        assert c.until("j")[1].startswith(b"BAD")
        c.ok("NOOP")


def test_no_expunge_in_fetch(shared_server, user):
    with shared_server.imap(user) as a, shared_server.imap(user) as b:
        for i in range(3):
            a.append(message(i))
        a.select()
        b.select()
        b.ok("STORE 2 +FLAGS.SILENT (\\Deleted)")
        b.ok("EXPUNGE")
        for cmd in ("FETCH 1:3 (FLAGS)", "STORE 1 +FLAGS (x)", "SEARCH ALL", "FETCH 2 BODY.PEEK[TEXT]"):
            got, end = a.cmd(cmd)
            assert not any(b"EXPUNGE" in r for r in got), cmd
        # What stands in the view can still be read.
        assert b"Hello" in b"".join(a.ok("FETCH 2 BODY.PEEK[]"))
        assert b"* 2 EXPUNGE" in a.ok("NOOP")
        assert a.uids() == [1, 3]


def test_long_commands(c):
    """60 KB of UIDs, as old clients send them."""
    c.append(message(1))
    c.select()
    c.ok("UID FETCH " + ",".join(str(i * 2 + 1) for i in range(9000)) + " (FLAGS)")
    assert re.match(rb"BAD|NO", c.cmd("NOOP " + "x" * 70000)[1])
    c.ok("NOOP")


def test_big_mailbox(shared_server, user):
    with shared_server.imap(user) as c:
        for at in range(0, 3000, 100):
            parts = ["APPEND INBOX "]
            for k in range(100):
                parts += [message(at + k), " "]
            got, end = c.cmd(parts[:-1])
            assert end.startswith(b"OK"), end
        c.select()
        got = c.ok("FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)")
        assert len([r for r in got if b"FETCH" in r]) == 3000
        end = c.cmd("COPY 1:* Archive")[1]
        assert b"1:3000 1:3000" in end
        start = time.monotonic()
        c.ok("STORE 1:* +FLAGS.SILENT (\\Deleted)")
        assert len([r for r in c.ok("EXPUNGE") if b"EXPUNGE" in r]) == 3000
        assert time.monotonic() - start < 30
        assert b"MESSAGES 3000" in c.ok("STATUS Archive (MESSAGES)")[0]


def test_bye_after_many_bad(shared_server, user):
    with shared_server.imap(user) as c:
        try:
            for _ in range(60):
                c.cmd("NONSENSE")
            raise AssertionError("no BYE")
        except (EOFError, OSError, AssertionError) as e:
            assert not str(e).startswith("no BYE")


def test_wrong_then_right_password(shared_server, user):
    with shared_server.imap() as c:
        assert b"[AUTHENTICATIONFAILED]" in c.no(f'LOGIN {user} "nope"')
        c.ok(f'LOGIN {user} "{PASSWORD}"')


def test_search_charsets(c):
    """Strings in the charset that is named, and UTF-8 by whom habit names
    another one."""
    c.append("Subject: 日本語 Grüße a+b\r\n\r\n".encode())
    c.select()

    def found(charset, text):
        got, end = c.cmd([f"SEARCH CHARSET {charset} SUBJECT ", text])
        assert end.startswith(b"OK"), end
        return got == [b"* SEARCH 1"]
    for charset in ("ISO-2022-JP", "Shift_JIS", "EUC-JP", "UTF-8"):
        assert found(charset, "日本".encode(charset)), charset
        assert not found(charset, "日光".encode(charset)), charset
    assert found("UTF-7", "日本".encode("utf-7"))
    assert found("ISO-8859-1", "grüß".encode("latin-1"))
    assert found("ISO-8859-1", "grüß".encode())
    assert found("US-ASCII", b"a+b") and found("UTF-8", b"A+B")
    assert c.no("SEARCH CHARSET x-klingon ALL").startswith(b"NO [BADCHARSET (UTF-8")


def test_rev1_after_enable_rev2(shared_server, user):
    """What IMAP4rev2 has dropped is still there for those who ask."""
    with shared_server.imap(user) as c:
        c.ok("ENABLE IMAP4rev2")
        c.append(message(1))
        c.ok('LSUB "" *')
        assert b"RECENT" in one(c.ok("STATUS INBOX (RECENT)"), b"STATUS")
        c.select()
        c.ok("CHECK")
        for item in ("RFC822", "RFC822.HEADER", "RFC822.TEXT"):
            assert item.encode() + b" {" in b"".join(c.ok(f"FETCH 1 {item}"))
        for key, want in (("NEW", b""), ("RECENT", b" ALL 1"), ("OLD", b"")):
            assert one(c.ok(f"SEARCH {key}"), b"ESEARCH").endswith(b")" + want)
        assert not any(b"Recent" in r for r in c.ok("FETCH 1 FLAGS"))


def test_binary_of_whole_parts(c):
    """BINARY of what has no encoding of its own: the octets as they stand."""
    inner = b"Subject: inner\r\n\r\nbody"
    data = (b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n"
            + inner + b"\r\n--b--\r\n")
    c.append(data)
    c.select()
    assert b"BINARY[1] {%d}\r\n" % len(inner) + inner in b"".join(c.ok("FETCH 1 BINARY.PEEK[1]"))
    assert b"BINARY.SIZE[1] %d" % len(inner) in b"".join(c.ok("FETCH 1 BINARY.SIZE[1]"))
    assert b"BINARY[] {%d}\r\n" % len(data) + data in b"".join(c.ok("FETCH 1 BINARY.PEEK[]"))


def test_ids_stay(c):
    """RFC 8474, RFC 8514: a copy is the same message, a renamed mailbox the
    same mailbox; flags and dates go with a copy, SAVEDATE does not."""
    def facts(n="1"):
        r = one(c.ok(f"FETCH {n} (EMAILID THREADID INTERNALDATE FLAGS)"), b"FETCH")
        return [re.search(p, r).group() for p in (rb"EMAILID \(\S+\)", rb"THREADID \S+", rb'INTERNALDATE "[^"]+"')] \
            + [set(re.search(rb"FLAGS \(([^)]*)\)", r).group(1).split()) - {b"\\Recent"}]

    def box(name):
        return re.search(rb"MAILBOXID \((\S+)\)", c.ok(f"STATUS {name} (MAILBOXID)")[0]).group(1)
    c.append(message(1), opts='(\\Flagged kw) " 1-Jan-2020 00:00:00 +0130"')
    c.append(message(1))
    c.select()
    mine = facts()
    assert mine[2] == b'INTERNALDATE "01-Jan-2020 00:00:00 +0130"' and mine[3] == {b"\\Flagged", b"kw"}
    assert facts("2")[0] != mine[0], "another message, though the same octets"
    c.ok("COPY 1 Archive")
    c.ok("COPY 1 INBOX")
    assert facts("3") == mine
    c.ok("MOVE 1 Trash")
    for name in ("Archive", "Trash"):
        c.select(name)
        assert facts() == mine
        assert c.ok("SEARCH SAVEDON 1-Jan-2020") == [b"* SEARCH"]
        assert c.ok("SEARCH SAVEDSINCE 1-Jan-2020 ON 1-Jan-2020") == [b"* SEARCH 1"]
    was = box("Trash")
    c.ok("RENAME Trash Bin")
    assert box("Bin") == was and facts() == mine
    c.ok("CREATE Trash")
    assert box("Trash") != was
    inbox = box("INBOX")
    c.ok("RENAME INBOX Old")
    assert box("INBOX") == inbox != box("Old")
    c.select("Old")
    assert facts("2") == mine
