# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""Logs, settings, and the command line."""
import os
import re
import shlex
import signal
import socket
import subprocess
import time

import pytest

from harness import PASSWORD, RESTANTE, Server, message, serve_fails

LINE = re.compile(r'^ts=\S+ level=(debug|info|warn|error) proc=\S+ msg="[^"\n]*"( [\w.-]+=("([^"\\]|\\.)*"|\S*))*$')


def test_r121_log_lines():
    """R121: whatever a client sends, a log line is one line and parses."""
    with Server(users=("ann",)) as s:
        for bad in (b"a\x1b[2Jb", b"x%n%s%s", b"\xff\xfe", b"u" * 3000, b"tab\there", b"new\\r\\nline"):
            with s.imap() as c:
                c.write(b"x LOGIN {%d+}\r\n" % len(bad) + bad + b" pw\r\n")
                c.until("x")
            with s.pop3() as c:
                c.ask(b"USER " + bad)
                c.ask("PASS x")
            with s.lmtp() as c:
                c.lhlo()
                c.ask(b"MAIL FROM:<a@b>")
                c.ask(b"RCPT TO:<" + bad + b"@x>")
        with s.imap("ann") as c:
            c.ok('ID ("name" "evil\x1b[31m\\"quoted" "version" "' + "v" * 900 + '")')
        log = s.log.read_text(errors="surrogateescape")
        assert log.count("\n") > 5
        for line in log.splitlines():
            if line.startswith("ts="):
                assert LINE.match(line), line
                assert "\x1b" not in line and len(line) < 6000
                shlex.split(line)


def test_r124_no_flood():
    """R124: the same cause is logged a few times a second, then counted."""
    with Server(users=("ann",)) as s:
        before = s.log.stat().st_size
        for _ in range(400):
            with s.imap() as c:
                c.write(b"GET / HTTP/1.0\r\n\r\n")
        time.sleep(1.2)
        assert s.log.stat().st_size - before < 60000


@pytest.mark.parametrize("line,want", [
    ("idle_seconds = 5", "idle_s"),
    ("idle_s = 0", "idle_s"),
    ("idle_s = banana", "idle_s"),
    ("connections_max = 0", "connections_max"),
    ("nonsense_name = 1", "line 2"),
    ("just words", "line 2"),
    ("[weird", "line 2"),
])
def test_r123_settings(tmp_path, line, want):
    """R123: an unknown name or bad value: file, line, nearest name."""
    f = tmp_path / "restante.conf"
    f.write_text("# a comment\n" + line + "\n")
    r = serve_fails(tmp_path / "d", "--config", f)
    assert r.returncode == 78, r
    err = r.stderr.decode()
    assert "restante.conf" in err and want in err, err


def test_r123_world_readable_key(tmp_path):
    """R123: a private key that others can read is refused."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(tmp_path / "k"),
                    "-out", str(tmp_path / "c"), "-days", "2", "-subj", "/CN=x"], check=True, capture_output=True)
    os.chmod(tmp_path / "k", 0o644)
    r = serve_fails(tmp_path / "d", "--tls-cert", tmp_path / "c", "--tls-key", tmp_path / "k")
    assert r.returncode == 78 and f"chmod 600 {tmp_path}/k".encode() in r.stderr, r.stderr


def test_own_certificate_rsa(tmp_path):
    """A certificate given by the administrator is served, RSA too."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(tmp_path / "k"),
                    "-out", str(tmp_path / "c"), "-days", "2", "-subj", "/CN=mail.example"], check=True,
                   capture_output=True)
    os.chmod(tmp_path / "k", 0o600)
    with Server(users=("ann",), settings=[f"tls_cert={tmp_path}/c", f"tls_key={tmp_path}/k"]) as s:
        r = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{s.ports['imaps']}", "-brief"],
                           input=b"", capture_output=True, timeout=20)
        assert b"mail.example" in r.stdout + r.stderr
        with s.imap("ann", tls=True) as c:
            c.ok("NOOP")


def test_port_taken(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        r = serve_fails(tmp_path / "d", "--imap", f"127.0.0.1:{port}")
    assert r.returncode == 69 and f"127.0.0.1:{port}".encode() in r.stderr, r.stderr


def test_r122_control_socket():
    """R122: the control sockets are for the owner alone."""
    with Server(users=("ann",)) as s:
        for sock in (s.data / "run").glob("*.sock"):
            if sock.name in ("control.sock", "auth.sock"):
                assert sock.stat().st_mode & 0o077 == 0, sock


def test_users():
    with Server(users=("ann", "bob@example.org")) as s:
        assert b"ann" in s.cli("user", "list").stdout
        assert s.cli("user", "add", "ann", "--password-stdin", input=b"x\n", check=False).returncode != 0
        assert s.cli("user", "show", "nobody", check=False).returncode != 0
        s.cli("alias", "add", "postmaster", "ann")
        assert b"postmaster" in s.cli("alias", "list").stdout
        s.deliver(message(1), "postmaster", "postmaster@anywhere.example")
        with s.imap("ann") as c:
            c.select()
            assert len(c.uids()) == 2
        with s.imap("bob@example.org") as c:
            c.ok("NOOP")
        s.cli("user", "remove", "ann")
        with s.imap() as c:
            c.no(f'LOGIN ann "{PASSWORD}"')
        s.cli("user", "add", "ann", "--password-stdin", input=PASSWORD.encode() + b"\n")
        with s.imap("ann") as c:
            c.select()
            assert c.uids() == []


def test_user_import():
    """A passwd file with Dovecot's schemes; unknown schemes by number."""
    import base64
    import hashlib
    salt = b"12345678"
    ssha = base64.b64encode(hashlib.sha256(b"pw2" + salt).digest() + salt).decode()
    text = ("u1:{PLAIN}pw1\n" f"u2:{{SSHA256}}{ssha}\n" "u3:{KLINGON}zzz\n"
            "u4:{SHA512-CRYPT}$6$abcdefgh$" + "x" * 86 + "\n" "u5:{SHA1.HEX}" + hashlib.sha1(b"pw5").hexdigest() + "\n")
    with Server(users=()) as s:
        f = s.top / "passwd"
        f.write_text(text)
        r = s.cli("user", "import", str(f), check=False)
        assert b"3" in r.stdout + r.stderr and b"u3" not in s.cli("user", "list").stdout
        for u, p in (("u1", "pw1"), ("u2", "pw2"), ("u5", "pw5")):
            with s.imap(u, password=p) as c:
                c.ok("NOOP")


def test_import_speed():
    """Ten thousand accounts in a few seconds."""
    with Server(users=()) as s:
        f = s.top / "passwd"
        f.write_text("".join(f"user{i}:{{PLAIN}}pw{i}\n" for i in range(10000)))
        start = time.monotonic()
        s.cli("user", "import", str(f))
        assert time.monotonic() - start < 60
        with s.imap("user9999", password="pw9999") as c:
            c.ok("NOOP")


def test_command_line(tmp_path):
    with Server(users=("ann",)) as s:
        s.cli("mailbox", "create", "ann", "Work/2026")
        s.cli("mailbox", "rename", "ann", "Work", "Arbeit")
        assert b"Arbeit/2026" in s.cli("mailbox", "list", "ann").stdout
        s.cli("deliver", "--user", "ann", input=message(1))
        s.cli("mailbox", "delete", "ann", "Arbeit/2026")
        with s.imap("ann") as c:
            c.select()
            assert c.body(1) == message(1)
            assert b"ann" in s.cli("who").stdout
        assert s.cli("check", "--full").stdout.strip().endswith(b"0 faults")
        assert b"messages=1" in s.cli("stats").stdout
        s.stop()
        assert s.cli("check", "--full").stdout.strip().endswith(b"0 faults")
        assert b"INBOX" in s.cli("mailbox", "list", "ann").stdout
        s.cli("deliver", "--user", "ann", input=message(2))
        s.start()
        with s.imap("ann") as c:
            c.select()
            assert c.uids() == [1, 2]


def test_kick(shared_server, user):
    with shared_server.imap(user) as c:
        c.ok("NOOP")
        shared_server.cli("kick", user)
        with pytest.raises((EOFError, OSError, AssertionError)):
            for _ in range(100):
                c.ok("NOOP")
                time.sleep(0.05)


def test_backup_restore_rebuild(tmp_path):
    """R102: the index from the log alone; R103: a backup with less than the
    whole log gives new UIDVALIDITYs."""
    import shutil
    with Server(users=("ann",)) as s:
        for i in range(10):
            s.deliver(message(i), "ann")
        with s.imap("ann") as c:
            c.select()
            c.ok("STORE 3 +FLAGS (\\Seen kw)")
            c.ok("STORE 5 +FLAGS (\\Deleted)")
            c.ok("EXPUNGE")

        def state():
            with s.imap("ann") as c:
                out = [r for r in c.select(how="EXAMINE") if b"UIDVALIDITY" in r or b"EXISTS" in r]
                return out + c.ok("UID FETCH 1:* (FLAGS INTERNALDATE BODY.PEEK[])")
        before = state()
        s.cli("backup", str(tmp_path / "copy"))
        s.deliver(message(99), "ann")
        s.stop()
        shutil.rmtree(s.data / "index")
        s.cli("rebuild")
        s.start()
        after = state()
        assert after[:len(before)][2:] == before[2:] and len(after) == len(before) + 1
        s.stop()
        shutil.rmtree(s.data)
        s.cli("restore", str(tmp_path / "copy"))
        s.start()
        restored = state()
        assert [r for r in restored if b"FETCH" in r] == [r for r in before if b"FETCH" in r]


def test_r105_older_format():
    """R105: serve, in its box, brings data of an older version up."""
    with Server(users=("ann",)) as s:
        s.deliver(message(7), "ann")
        now = (s.data / "FORMAT").read_text()
        s.stop()
        (s.data / "FORMAT").write_text("2\n")
        s.start()
        assert (s.data / "FORMAT").read_text() == now
        with s.imap("ann") as c:
            c.select()
            assert message(7).split(b"\r\n\r\n", 1)[1] in b"".join(c.ok("FETCH 1 BODY[]"))


def test_signals(shared_server, user):
    """SIGHUP reloads without cutting sessions."""
    with shared_server.imap(user) as c:
        shared_server.proc.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        c.ok("NOOP")
    with shared_server.imap(user, tls=True) as c:
        c.ok("NOOP")


def test_help_and_version():
    out = subprocess.run([str(RESTANTE), "--version"], capture_output=True, check=True).stdout.decode()
    assert re.match(r"restante 0\.\d+\.\d+ \(format \d+\)", out)
    text = subprocess.run([str(RESTANTE), "--help"], capture_output=True, check=True).stdout.decode()
    for cmd in re.findall(r"^  (\w+)", text, re.M):
        r = subprocess.run([str(RESTANTE), cmd, "--help"], capture_output=True)
        assert r.returncode == 0 and r.stdout, cmd
    assert subprocess.run([str(RESTANTE), "frobnicate"], capture_output=True).returncode == 64
    assert subprocess.run([str(RESTANTE)], capture_output=True).returncode == 64


def test_bad_values_before_anything_is_made(tmp_path):
    """A value that cannot be is told with what can be, before the data
    directory is made; quotes stay as they are."""
    for setting, value, say in (("imap", "99999", "ADDR:PORT"), ("lmtp", "nonsense", "ADDR:PORT"),
                                ("lmtp_networks", "10.0.0.0/99", "192.0.2.0/24"),
                                ("pop3_login_delay", "x", "from 1 to 86400")):
        r = serve_fails(tmp_path / "none", "--set", f"{setting}={value}")
        assert r.returncode == 78, r
        assert f'{setting} cannot be "{value}": say ' in r.stderr.decode() and say in r.stderr.decode(), r.stderr
        assert not (tmp_path / "none").exists()
