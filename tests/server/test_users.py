# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""Accounts from the command line: with a server and without, while they are
logged in, imported from another server's passwd file; and what becomes of it
when processes are killed. R32 R39 R91"""
import base64
import ctypes
import ctypes.util
import hashlib
import hmac
import os
import re
import shutil
import signal
import time

import pytest

from harness import PASSWORD, Server, message


def gone(c, seconds=10):
    """Does the server end the connection?"""
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            c.write(b"x NOOP\r\n")
            c.line()
            time.sleep(0.05)
    except (EOFError, OSError):
        return True
    return False


def words(s, *args):
    return s.cli(*args).stdout.decode().splitlines()


@pytest.mark.parametrize("running", [True, False])
def test_accounts(running):
    """Every verb of user and alias, good and bad, the same both ways."""
    with Server(users=()) as s:
        if not running:
            s.stop()

        def fails(*args, code, **kw):
            r = s.cli(*args, check=False, **kw)
            assert r.returncode == code and r.stderr.startswith(b"restante ") and r.stderr.count(b"\n") == 1, (args, r)
            return r.stderr

        pw = b"correct horse\n"
        s.cli("user", "add", "ann", "--password-stdin", input=pw)
        s.cli("user", "add", "Bob@Example.ORG", "--password-stdin", input=pw)
        fails("user", "add", "ANN", "--password-stdin", input=pw, code=73)
        fails("user", "add", "a b", "--password-stdin", input=pw, code=65)
        fails("user", "add", "cid", "--password-stdin", input=b"\n", code=65)
        fails("user", "add", "cid", "--password-stdin", input=b"", code=66)
        fails("user", "add", "cid", "--password-stdin", input=b"x" * 5000 + b"\n", code=65)
        fails("user", "add", "cid", input=b"x\n", code=64)
        assert [x.split("\t")[0] for x in words(s, "user", "list")] == ["ann", "bob@example.org"]
        shown = dict(x.split(": ", 1) for x in words(s, "user", "show", "ann"))
        assert shown["password"] == "yescrypt" and "SCRAM-SHA-256" in shown["scram keys"]
        for verb in ("show", "passwd", "disable", "enable", "remove"):
            more = ["--password-stdin"] if verb == "passwd" else []
            fails("user", verb, "nobody", *more, code=67, input=pw)
        fails("alias", "add", "x", "nobody", code=67)
        fails("alias", "add", "ann", "bob@example.org", code=73)
        fails("alias", "remove", "x", code=67)
        s.cli("alias", "add", "Post.Master@example.org", "ann")
        fails("alias", "add", "post.master@example.org", "ann", code=73)
        fails("user", "add", "post.master@example.org", "--password-stdin", input=pw, code=73)
        assert words(s, "alias", "list") == ["post.master@example.org\tann"]
        assert words(s, "user", "list", "--postfix") == ["ann OK", "bob@example.org OK", "post.master@example.org OK"]
        s.cli("user", "disable", "ann")
        assert words(s, "user", "list", "--postfix") == ["bob@example.org OK"]
        s.cli("user", "enable", "ann")
        s.cli("user", "passwd", "ann", "--password-stdin", input=b"another")
        for args in (["user"], ["user", "frob", "x"], ["user", "add"], ["user", "add", "a", "b"], ["user", "show"],
                     ["user", "list", "x"], ["user", "list", "--frob"], ["alias"], ["alias", "add", "x"]):
            fails(*args, code=64)
        if not running:
            s.start()
        with s.imap("ann", password="another") as c:
            c.ok("NOOP")
        with s.imap() as c:
            c.no(f'LOGIN ann "{PASSWORD}"')
        with s.imap("BOB@example.org") as c:
            c.ok("NOOP")
        if not running:
            s.stop()
        s.cli("user", "remove", "ann")
        assert words(s, "alias", "list") == []
        assert words(s, "user", "list", "--postfix") == ["bob@example.org OK"]
        if not running:
            s.start()
        with s.lmtp() as c:
            c.lhlo()
            c.ask("MAIL FROM:<a@b>")
            for to in ("ann", "post.master@example.org"):
                code, text = c.ask(f"RCPT TO:<{to}>")
                assert code == 550 and "5.1.1" in text
            assert c.ask("RCPT TO:<bob+x@example.org>")[0] == 250


@pytest.mark.parametrize("running", [True, False])
def test_mailboxes(running):
    """mailbox, deliver, check, stats; and names that are odd or wrong."""
    with Server(users=("ann",)) as s:
        if not running:
            s.stop()

        def fails(*args, code, **kw):
            r = s.cli(*args, check=False, **kw)
            assert r.returncode == code and r.stderr.startswith(b"restante ") and r.stderr.count(b"\n") == 1, (args, r)

        s.cli("mailbox", "create", "ann", "Wörk/2026")
        s.cli("mailbox", "create", "ann", "Old", "--use", "all")
        fails("mailbox", "create", "ann", "Old", code=73)
        fails("mailbox", "create", "ann", "inbox", code=69)
        fails("mailbox", "create", "ann", "", code=65)
        fails("mailbox", "create", "ann", "x", "--use", "frob", code=65)
        fails("mailbox", "create", "nobody", "x", code=67)
        fails("mailbox", "delete", "ann", "nothing", code=67)
        fails("mailbox", "rename", "ann", "nothing", "x", code=67)
        fails("mailbox", "list", code=64)
        s.cli("mailbox", "rename", "ann", "Wörk", "Arbeit")
        names = [x.split("\t")[0] for x in words(s, "mailbox", "list", "ann")]
        assert "INBOX" in names and "Arbeit/2026" in names and "Old" in names and not any("rk" in n for n in names)
        s.cli("deliver", "--user", "ann", "--mailbox", "Made/for it", input=message(1))
        s.cli("deliver", "--user", "ANN", input=message(2))
        fails("deliver", "--user", "nobody", input=message(1), code=67)
        fails("deliver", input=message(1), code=64)
        fails("deliver", "--user", "ann", input=b"", code=65)
        fails("deliver", "--user", "ann", "--set", "message_size_max=1024", input=b"S: x\r\n\r\n" + b"x" * 1020, code=65)
        assert s.cli("check", "--full").stdout.strip().endswith(b"0 faults")
        assert s.cli("check").stdout.strip().endswith(b"0 faults")
        assert b"messages=2" in s.cli("stats").stdout
        s.cli("compact")
        if running:
            with s.imap("ann") as c:
                assert any("ann" in x for x in words(s, "who"))
        else:
            fails("who", code=75)
            fails("kick", "ann", code=75)
            s.start()
        with s.imap("ann") as c:
            c.select("Made/for it")
            assert c.body(1) == message(1)
            c.select()
            assert c.body(1) == message(2)


def test_deliver_lines():
    """What a program on this machine pipes in has LF line ends: they become
    CR LF, by the rule of import; other bytes stay as they are."""
    cases = [
        (b"Subject: unix\n\n.\nFrom here\n", b"Subject: unix\r\n\r\n.\r\nFrom here\r\n"),
        (b"Subject: unix\nX: y\r\n\n\r\0\n", b"Subject: unix\r\nX: y\r\n\r\n\r\0\r\n"),
        (b"Subject: net\r\n\r\nbare\nlf\r\n", b"Subject: net\r\n\r\nbare\nlf\r\n"),
        (b"Subject: no end", b"Subject: no end"),
        (b"\nno header\n", b"\r\nno header\r\n"),
        (b"Subject: big\n\n" + b"0123456789\n" * 100000, b"Subject: big\r\n\r\n" + b"0123456789\r\n" * 100000),
    ]
    with Server(users=("ann",)) as s:
        for sent, _ in cases:
            s.cli("deliver", "--user", "ann", input=sent)
        with s.imap("ann") as c:
            c.select()
            for uid, (_, want) in enumerate(cases, 1):
                assert c.body(uid) == want, want[:40]


@pytest.mark.parametrize("how", ["remove", "disable"])
def test_while_logged_in(how):
    """R39: sessions end, in all protocols; a removed account's mail is not
    there for the next of that name."""
    with Server(users=("ann", "bob")) as s:
        for i in range(3):
            s.deliver(message(i), "ann")
        i, t, p = s.imap("ann"), s.imap("ann", tls=True), s.pop3("ann")
        i.select()
        t.select()
        t.write(b"idle IDLE\r\n")
        assert t.line().startswith(b"+")
        assert p.ask("DELE 1").startswith(b"+OK")
        m = s.lmtp()
        m.lhlo()
        m.ask("MAIL FROM:<a@b>")
        assert m.ask("RCPT TO:<ann>")[0] == 250
        assert m.ask("RCPT TO:<bob>")[0] == 250
        other = s.imap("bob")
        s.cli("user", how, "ann")
        assert gone(i) and gone(p)
        try:
            while t.line():
                pass
        except (EOFError, OSError):
            pass
        other.ok("NOOP")
        # R71: what was granted before is answered for each, and truly.
        assert m.ask("DATA")[0] == 354
        m.write(b"Subject: x\r\n\r\nx\r\n.\r\n")
        replies = [m.reply() for _ in range(2)]
        assert replies[1][0] == 250
        if how == "remove":
            assert replies[0][0] in (450, 451, 550), replies
        m.close()
        with s.imap() as c:
            c.no(f'LOGIN ann "{PASSWORD}"')
        with s.lmtp() as c:
            c.lhlo()
            c.ask("MAIL FROM:<a@b>")
            assert ("5.1.1" if how == "remove" else "5.2.1") in c.ask("RCPT TO:<ann>")[1]
        if how == "disable":
            s.cli("user", "enable", "ann")
            with s.pop3("ann") as c:
                assert int(c.ask("STAT").split()[1]) == 3 + (replies[0][0] == 250)
        else:
            s.add_user("ann")
            with s.imap("ann") as c:
                c.select()
                assert c.uids() == []
        other.close()
        assert s.cli("check", "--full").stdout.strip().endswith(b"0 faults")


# ---- passwd files ----

PW = "pässword 1:2"


def b64(x):
    return base64.b64encode(x).decode()


def argon2():
    """A hash by libargon2, whatever the machine has; None: nothing."""
    path = ctypes.util.find_library("argon2")
    if path is None:
        return {}
    lib = ctypes.CDLL(path)
    out = {}
    for name, fn in (("ARGON2I", "argon2i_hash_encoded"), ("ARGON2ID", "argon2id_hash_encoded")):
        buf = ctypes.create_string_buffer(200)
        pw = PW.encode()
        z = ctypes.c_size_t
        assert getattr(lib, fn)(2, 1024, 1, pw, z(len(pw)), b"somesalt12345678", z(16), z(32), buf, z(200)) == 0
        out[name] = "{%s}%s" % (name, buf.value.decode())
    return out


def crypt_of(salt):
    lib = ctypes.CDLL(ctypes.util.find_library("crypt"))
    lib.crypt.restype = ctypes.c_char_p
    h = (lib.crypt(PW.encode(), salt.encode()) or b"*").decode()
    return None if h.startswith("*") else h


def scram_keys(alg, rounds=4096):
    salt = b"0123456789abcdef"
    salted = hashlib.pbkdf2_hmac(alg, PW.encode(), salt, rounds)
    client = hmac.new(salted, b"Client Key", alg).digest()
    return f"{rounds},{b64(salt)},{b64(hashlib.new(alg, client).digest())}," + b64(
        hmac.new(salted, b"Server Key", alg).digest())


def hashes():
    """What stands behind name: in a passwd file, of PW, in every scheme."""
    pw, salt = PW.encode(), b"NaCl5678"
    out = {"PLAIN.B64": "{PLAIN.B64}" + b64(pw), "PLAIN.HEX": "{PLAIN.HEX}" + pw.hex(),
           "CLEARTEXT.BASE64": "{CLEARTEXT.BASE64}" + b64(pw)}
    for name, alg in (("SHA", "sha1"), ("SHA1", "sha1"), ("SHA256", "sha256"), ("SHA512", "sha512"),
                      ("PLAIN-MD5", "md5"), ("LDAP-MD5", "md5")):
        d = hashlib.new(alg, pw).digest()
        out[name] = "{%s}%s" % (name, d.hex() if name == "PLAIN-MD5" else b64(d))
        out[name + ".HEX"] = "{%s.HEX}%s" % (name, d.hex())
        out[name + ".B64"] = "{%s.b64}%s" % (name, b64(d))
    for name, alg in (("SSHA", "sha1"), ("SSHA256", "sha256"), ("SSHA512", "sha512"), ("SMD5", "md5")):
        d = hashlib.new(alg, pw + salt).digest() + salt
        out[name] = "{%s}%s" % (name, b64(d))
        out[name + ".HEX"] = "{%s.HEX}%s" % (name, d.hex())
    for name, setting in (("MD5-CRYPT", "$1$saltsalt"), ("BLF-CRYPT", "$2y$05$" + "abcdefghijklmnopqrstuu"),
                          ("SHA256-CRYPT", "$5$rounds=1000$saltsalt"), ("SHA512-CRYPT", "$6$saltsalt"),
                          ("DES-CRYPT", "ab"), ("yescrypt", "$y$j9T$abcdefgh"), ("gost", "$gy$j9T$abcdefgh"),
                          ("scrypt", "$7$CU..../....abcdefgh")):
        h = crypt_of(setting)
        if h is None:
            continue
        if name.endswith("CRYPT"):
            out[name] = "{%s}%s" % (name, h)
            out[name + ".B64"] = "{%s.B64}%s" % (name, b64(h.encode()))
        out["CRYPT " + name] = "{CRYPT}" + h
        out["bare " + name] = h
    out["MD5"] = "{MD5}" + crypt_of("$1$saltsalt")
    out["PBKDF2"] = "{PBKDF2}$1$saltsalt$5000$" + hashlib.pbkdf2_hmac("sha1", pw, b"saltsalt", 5000).hex()
    out["SCRAM-SHA-1"] = "{SCRAM-SHA-1}" + scram_keys("sha1")
    out["SCRAM-SHA-256"] = "{SCRAM-SHA-256}" + scram_keys("sha256")
    out.update(argon2())
    out["lower"] = "{ssha}" + b64(hashlib.sha1(pw + salt).digest() + salt)
    return out


BAD = ["{KLINGON}x", "{PLAIN}", "{PLAIN", "{SHA}!!", "{SSHA}QUJD", "{SHA.FROB}QUJD", "*", "!", "x", "{CRYPT}*0",
       "{CRYPT}$9$x$y", "{SHA512-CRYPT}$1$abc$def", "{PBKDF2}$1$salt$0$00", "{PBKDF2}$1$salt$999999999$" + "00" * 20,
       "{ARGON2ID}$argon2id$v=19$m=99999999,t=3,p=1$c29tZXNhbHQ$" + "A" * 43, "{SCRAM-SHA-256}1,AAAA,AAAA,AAAA",
       "{CRAM-MD5}" + "0" * 64, "{SHA512-CRYPT}$6$rounds=999999999$saltsalt$" + "x" * 86]


@pytest.mark.parametrize("running", [True, False])
def test_every_scheme(running):
    """Each logs in with its password and no other, and gets SCRAM keys by
    its first plaintext login; each bad line is named by its number."""
    good = hashes()
    assert len(good) > 35
    names = {f"u{i}": k for i, k in enumerate(good)}
    lines = ["# a comment", ""]
    lines += [f"{u}:{good[k]}:1000:1000::/home/{u}::x=y" for u, k in names.items()]
    bad_at = []
    for i, h in enumerate(BAD):
        bad_at.append(len(lines) + 1)
        lines.append(f"bad{i}:{h}")
    for line in ("a b:{PLAIN}x", "nocolon", ":{PLAIN}x"):
        bad_at.append(len(lines) + 1)
        lines.append(line)
    lines.append("last@example.org:{PLAIN}pw")  # without a line end
    with Server(users=("u0",)) as s:
        f = s.top / "passwd"
        f.write_text("\n".join(lines))
        if not running:
            s.stop()
        r = s.cli("user", "import", str(f), check=False)
        out = r.stdout.decode().splitlines()
        assert [int(x.split(":")[0]) for x in out[:-1]] == bad_at, out
        assert out[-1] == f"{len(names)} added, 1 replaced, {len(bad_at)} refused", out[-1]
        assert r.returncode == 65, r
        listed = {x.split("\t")[0] for x in words(s, "user", "list")}
        assert listed == set(names) | {"last@example.org"}
        if not running:
            s.start()
        wrong = []
        for u, k in names.items():
            with s.pop3() as c:
                r = c.ask(f"AUTH PLAIN {b64(f'{chr(0)}{u}{chr(0)}{PW}'.encode())}")
                if not r.startswith(b"+OK"):
                    wrong.append((k, r))
        assert wrong == []
        assert "SCRAM-SHA-256" not in [x for x in words(s, "user", "list") if x.startswith("last@")][0]
        for u, k in names.items():
            shown = dict(x.split(": ", 1) for x in words(s, "user", "show", u)) if k in (
                "SSHA", "BLF-CRYPT", "PLAIN.B64", "PBKDF2", "ARGON2ID") else None
            assert shown is None or "SCRAM-SHA-256" in shown["scram keys"], (k, shown)
        for u, k in list(names.items())[::9]:
            with s.pop3() as c:
                c.ask(f"USER {u}")
                assert c.ask(f"PASS x{PW}").startswith(b"-ERR"), k


def test_ten_thousand():
    """In a few seconds, and the work does not grow with what is there."""
    with Server(users=()) as s:
        h = crypt_of("$6$saltsalt")
        for turn in range(2):
            f = s.top / f"passwd{turn}"
            f.write_text("".join(f"user{turn}.{i}:{{CRYPT}}{h}\n" for i in range(10000)))
            start = time.monotonic()
            assert b"10000 added" in s.cli("user", "import", str(f)).stdout
            assert time.monotonic() - start < 20
        start = time.monotonic()
        assert len(words(s, "user", "list", "--postfix")) == 20000
        assert time.monotonic() - start < 10


# ---- kill and start anew ----

def ended(pid):
    """Gone, or but a zombie, whose sockets are closed."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def kill_all(s):
    """The supervisor first, which would start the others again."""
    pids = [s.proc.pid] + s.pids()
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    s.proc.wait()
    s.proc = None
    end = time.monotonic() + 10
    while not all(map(ended, pids)) and time.monotonic() < end:
        time.sleep(0.01)


def test_killed_and_started_anew():
    """R91: what exit 0, 250 and +OK said is there after kill -9 of all."""
    with Server(users=("ann",)) as s:
        for turn in range(4):
            name = f"new{turn}"
            s.add_user(name)
            s.cli("alias", "add", f"alias{turn}", name)
            s.cli("mailbox", "create", name, "Box")
            s.cli("deliver", "--user", name, "--mailbox", "Box", input=message(turn))
            s.deliver(message(turn), f"alias{turn}", "ann")
            with s.pop3("ann") as c:
                assert c.ask("STAT").split()[1] == b"1"
                c.ask("UIDL")
                uidl = c.multiline()
                assert c.ask("DELE 1").startswith(b"+OK")
                assert c.ask("QUIT").startswith(b"+OK")
            if turn:
                s.cli("user", "remove", f"new{turn - 1}")
            kill_all(s)
            s.start()
            assert {x.split("\t")[0] for x in words(s, "user", "list")} == {"ann", name}
            with s.imap(name) as c:
                c.select("Box")
                assert c.body(1) == message(turn)
                c.select()
                assert len(c.uids()) == 1
            with s.pop3("ann") as c:
                assert c.ask("STAT").split()[1] == b"0"
            s.deliver(message(100 + turn), "ann")
            with s.pop3("ann") as c:
                c.ask("UIDL")
                assert c.multiline() != uidl
                c.ask("DELE 1")
                c.ask("QUIT")
        assert s.cli("check", "--full").stdout.strip().endswith(b"0 faults")


def test_backup_of_accounts(tmp_path):
    """A backup under load holds accounts, aliases, passwords and whole
    messages; restored, it serves them."""
    with Server(users=("ann", "bob")) as s:
        s.cli("alias", "add", "post", "ann")
        c = s.lmtp()
        c.lhlo()
        for i in range(50):
            c.write(b"MAIL FROM:<a@b>\r\nRCPT TO:<ann>\r\nBDAT %d LAST\r\n" % len(message(i)) + message(i))
        s.cli("backup", str(tmp_path / "copy"))
        r = s.cli("backup", str(tmp_path / "copy"), check=False)
        assert r.returncode == 73, r
        for i in range(50):
            assert [c.reply()[0] for _ in range(3)] == [250] * 3
        c.close()
        assert s.cli("restore", str(tmp_path / "copy"), check=False).returncode == 73
        assert s.cli("rebuild", check=False).returncode == 75
        s.stop()
        shutil.rmtree(s.data)
        assert s.cli("restore", str(tmp_path), check=False).returncode == 66
        s.cli("restore", str(tmp_path / "copy"))
        s.start()
        assert words(s, "alias", "list") == ["post\tann"]
        s.deliver(message(77), "post")
        with s.imap("ann") as c:
            c.select()
            uids = c.uids()
            assert c.body(uids[-1]).endswith(message(77))
            for n, u in enumerate(uids[:-1]):
                assert c.body(u).endswith(message(n))
        with s.imap("bob") as c:
            c.ok("NOOP")
        assert s.cli("check", "--full").stdout.strip().endswith(b"0 faults")
