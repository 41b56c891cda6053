# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""Real mail programs: deliver 20, list, fetch and compare by hash, flag,
delete, run again without change; in clear, by STARTTLS and by TLS."""
import imaplib
import json
import os
import poplib
import pwd
import re
import shutil
import ssl
import subprocess
import tempfile
import textwrap
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness import PASSWORD, Server, crlf, message, sha

MODES = ["clear", "starttls", "tls"]
N = 20


def need(*programs):
    for p in programs:
        if shutil.which(p) is None:
            pytest.skip(f"{p} is not installed (script/setup clients)")


def run(args, check=True, **kw):
    kw.setdefault("timeout", 120)
    r = subprocess.run([str(a) for a in args], capture_output=True, **kw)
    if check and r.returncode != 0:
        raise AssertionError(f"{args[0]}: {r.returncode}\n{r.stdout[-2000:].decode(errors='replace')}\n"
                             f"{r.stderr[-2000:].decode(errors='replace')}")
    return r


@contextmanager
def plain_user():
    """((uid, gid), a folder of theirs): not root, whom some refuse."""
    who = (os.getuid(), os.getgid())
    if who[0] == 0:
        n = pwd.getpwnam("nobody")
        who = (n.pw_uid, n.pw_gid)
    home = Path(tempfile.mkdtemp(prefix="restante-client-"))
    shutil.chown(home, *who)
    try:
        yield who, home
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def office():
    s = Server(users=(), settings=["connections_per_account=1000"])
    s.start()
    yield s
    s.close()


_count = iter(range(1000))


@pytest.fixture
def box(office):
    """A user with 20 delivered messages; their hashes as stored."""
    name = f"client{next(_count)}"
    office.add_user(name)
    for i in range(N):
        office.deliver(message(i, body=b"line of text %d\r\n.dot\r\n" % i * (i + 1)), name)
    with office.imap(name) as c:
        c.select(how="EXAMINE")
        hashes = [sha(c.body(u)) for u in c.uids()]
    assert len(hashes) == N
    return name, hashes


def context():
    ctx = ssl.create_default_context()
    ctx.check_hostname = False
    ctx.verify_mode = ssl.CERT_NONE
    return ctx


@pytest.mark.parametrize("mode", MODES)
def test_imaplib(office, box, mode):
    name, hashes = box
    if mode == "tls":
        m = imaplib.IMAP4_SSL("127.0.0.1", office.ports["imaps"], ssl_context=context())
    else:
        m = imaplib.IMAP4("127.0.0.1", office.ports["imap"])
        if mode == "starttls":
            m.starttls(context())
    m.login(name, PASSWORD)
    assert m.select()[1] == [b"20"]
    typ, data = m.fetch("1:*", "(UID BODY.PEEK[])")
    assert [sha(d[1]) for d in data if isinstance(d, tuple)] == hashes
    m.store("1:5", "+FLAGS", "\\Seen")
    assert len(m.search(None, "SEEN")[1][0].split()) == 5
    m.store("1:2", "+FLAGS", "(\\Deleted)")
    m.expunge()
    assert m.select()[1] == [b"18"]
    assert any(b"Archive" in x for x in m.list()[1])
    m.append("Archive", "(\\Seen)", imaplib.Time2Internaldate(0), b"Subject: x\r\n\r\nhi\r\n")
    assert m.select("Archive")[1] == [b"1"]
    m.logout()


@pytest.mark.parametrize("mode", MODES)
def test_poplib(office, box, mode):
    name, hashes = box
    if mode == "tls":
        m = poplib.POP3_SSL("127.0.0.1", office.ports["pop3s"], context=context())
    else:
        m = poplib.POP3("127.0.0.1", office.ports["pop3"])
        if mode == "starttls":
            m.stls(context())
    m.user(name)
    m.pass_(PASSWORD)
    assert m.stat()[0] == N
    assert [sha(b"".join(x + b"\r\n" for x in m.retr(i + 1)[1])) for i in range(N)] == hashes
    m.dele(1)
    m.quit()
    m = poplib.POP3("127.0.0.1", office.ports["pop3"])
    m.user(name)
    m.pass_(PASSWORD)
    assert m.stat()[0] == N - 1
    m.quit()


def url(office, proto, mode):
    port = office.ports[proto + ("s" if mode == "tls" else "")]
    args = ["curl", "-sS", "--insecure", "--max-time", "60"]
    if mode == "starttls":
        args.append("--ssl-reqd")
    return args, f"{proto}{'s' if mode == 'tls' else ''}://127.0.0.1:{port}"


@pytest.mark.parametrize("mode", MODES)
def test_curl(office, box, mode, tmp_path):
    need("curl")
    name, hashes = box
    args, at = url(office, "imap", mode)
    args += ["-u", f"{name}:{PASSWORD}"]
    assert b"INBOX" in run(args + [at + "/"]).stdout
    for uid in (1, 20):
        assert sha(run(args + [f"{at}/INBOX;UID={uid}"]).stdout) == hashes[uid - 1]
    assert b"SEARCH" in run(args + [at + "/INBOX", "-X", "SEARCH SUBJECT test"]).stdout
    (tmp_path / "m").write_bytes(b"Subject: up\r\n\r\nbody\r\n")
    run(args + [at + "/Archive", "-T", tmp_path / "m"])
    run(args + [at + "/INBOX", "-X", "STORE 1 +Flags \\Deleted"])
    run(args + [at + "/INBOX", "-X", "EXPUNGE"])
    args, at = url(office, "pop3", mode)
    args += ["-u", f"{name}:{PASSWORD}"]
    assert len(run(args + [at + "/"]).stdout.split(b"\r\n")) >= N - 1
    assert sha(run(args + [at + "/1"]).stdout) == hashes[1]


@pytest.mark.parametrize("mode", MODES)
def test_mbsync(office, box, mode, tmp_path):
    need("mbsync")
    name, hashes = box
    port = office.ports["imaps" if mode == "tls" else "imap"]
    kind = {"clear": "None", "starttls": "STARTTLS", "tls": "IMAPS"}[mode]
    cert = office.data / "tls" / "cert.pem"
    certs = [p for p in (office.data / "tls").glob("*.pem") if b"BEGIN CERTIFICATE" in p.read_bytes()]
    (tmp_path / "rc").write_text(textwrap.dedent(f"""\
        IMAPAccount a
        Host localhost
        Port {port}
        User {name}
        Pass "{PASSWORD}"
        SSLType {kind}
        {'CertificateFile ' + str(certs[0] if certs else cert) if mode != 'clear' else ''}
        IMAPStore far
        Account a
        MaildirStore near
        Path {tmp_path}/mail/
        Inbox {tmp_path}/mail/INBOX
        SubFolders Verbatim
        Channel c
        Far :far:
        Near :near:
        Patterns *
        Create Both
        Expunge Both
        Sync All
        SyncState *
        """).replace("\nIMAPStore", "\n\nIMAPStore").replace("\nMaildirStore", "\n\nMaildirStore").replace(
            "\nChannel", "\n\nChannel"))
    (tmp_path / "mail").mkdir()
    go = ["mbsync", "-c", tmp_path / "rc", "-a"]
    run(go)
    files = list((tmp_path / "mail" / "INBOX").glob("*/*"))
    assert len(files) == N
    assert sorted(sha(re.sub(rb"(?m)^X-TUID:.*\n", b"", f.read_bytes()).replace(b"\n", b"\r\n").replace(
        b"\r\r\n", b"\r\n")) for f in files) == sorted(hashes)
    # Two-way: a flag and a new message from here, a deletion from there.
    f = sorted(files)[0]
    f.rename(f.parent.parent / "cur" / (f.name.split(":")[0] + ":2,FS"))
    (tmp_path / "mail" / "INBOX" / "new" / "1.new.local").write_bytes(b"Subject: local\n\nhere\n")
    with office.imap(name) as c:
        c.select()
        c.ok("UID STORE 20 +FLAGS (\\Deleted)")
        c.ok("EXPUNGE")
    run(go)
    with office.imap(name) as c:
        c.select()
        assert len(c.ok("UID SEARCH FLAGGED SEEN")[0].split()) == 3
        assert len(c.uids()) == N
    assert len(list((tmp_path / "mail" / "INBOX").glob("*/*"))) == N
    # A third run finds nothing to do.
    with office.imap(name) as c:
        before = c.ok("STATUS INBOX (MESSAGES UIDNEXT UNSEEN)")
        names = sorted(f.name for f in (tmp_path / "mail").rglob("*"))
        run(go)
        assert c.ok("STATUS INBOX (MESSAGES UIDNEXT UNSEEN)") == before
        assert sorted(f.name for f in (tmp_path / "mail").rglob("*")) == names


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("proto", ["imap", "pop3"])
def test_fetchmail(office, box, mode, proto, tmp_path):
    need("fetchmail")
    name, hashes = box
    port = office.ports[proto + ("s" if mode == "tls" else "")]
    out = tmp_path / "out"
    script = tmp_path / "mda"
    script.write_text(f"#!/bin/sh\ncat > {out}.$$.$(date +%N)\n")
    script.chmod(0o755)
    rc = tmp_path / "rc"
    tls = {"clear": "sslproto ''", "starttls": "sslproto 'TLS1.2+' no sslcertck", "tls": "ssl no sslcertck"}[mode]

    def go(want, options):
        uidl = "uidl " if proto == "pop3" else ""
        rc.write_text(f"set invisible\npoll 127.0.0.1 protocol {proto} {uidl}port {port}\n"
                      f"  user \"{name}\" password \"{PASSWORD}\" {tls} no rewrite{options}\n"
                      f"  mda \"{script}\"\n")
        rc.chmod(0o600)
        env = dict(os.environ, FETCHMAILHOME=str(tmp_path), HOME=str(tmp_path))
        r = run(["fetchmail", "-v", "-f", rc, "--pidfile", tmp_path / "pid"], check=False, env=env)
        assert r.returncode == want, r.stdout[-2000:] + r.stderr[-2000:]
        assert (mode == "starttls") == ((b" STARTTLS\n" if proto == "imap" else b"> STLS\n") in r.stdout), r.stdout
        got = [f.read_bytes() for f in tmp_path.glob("out.*")]
        assert sorted(sha(crlf(x)) for x in got) == sorted(hashes), got[:1]

    # Kept (fetchmail asks with TOP or PEEK), then nothing new, then deleted.
    go(0, " keep")
    go(1, " keep")
    for f in tmp_path.glob("out.*"):
        f.unlink()
    go(0, " fetchall no keep")
    go(1, " fetchall no keep")
    with office.imap(name) as c:
        c.select()
        assert c.uids() == []


# getmail speaks no STARTTLS.
@pytest.mark.parametrize("mode", ["clear", "tls"])
@pytest.mark.parametrize("proto", ["imap", "pop3"])
def test_getmail(office, box, mode, proto, tmp_path):
    need("getmail")
    name, hashes = box
    port = office.ports[proto + ("s" if mode == "tls" else "")]
    kind = {"imap": {"clear": "SimpleIMAPRetriever", "tls": "SimpleIMAPSSLRetriever"},
            "pop3": {"clear": "SimplePOP3Retriever", "tls": "SimplePOP3SSLRetriever"}}[proto][mode]
    with plain_user() as (who, home):
        for d in ("new", "cur", "tmp"):
            os.makedirs(f"{home}/md/{d}")
            shutil.chown(f"{home}/md/{d}", *who)

        def go(delete):
            (home / "rc").write_text(
                f"[retriever]\ntype = {kind}\nserver = 127.0.0.1\nport = {port}\n"
                f"username = {name}\npassword = {PASSWORD}\n"
                f"[destination]\ntype = Maildir\npath = {home}/md/\n"
                f"[options]\ndelete = {delete}\nread_all = false\ndelivered_to = false\nreceived = false\n")
            run(["getmail", "-g", home, "-r", home / "rc"], user=who[0], group=who[1], extra_groups=[],
                env=dict(os.environ, HOME=str(home)), cwd=home)
            return sorted(sha(crlf(re.sub(rb"(?m)^X-getmail-retrieved-from-mailbox: .*\n", b"", f.read_bytes())))
                          for f in (home / "md" / "new").iterdir())

        assert go(False) == sorted(hashes)
        assert go(False) == sorted(hashes)
        assert go(True) == sorted(hashes)
        with office.imap(name) as c:
            c.select()
            assert c.uids() == []
        assert go(True) == sorted(hashes)


@pytest.mark.parametrize("mode", MODES)
def test_mpop(office, box, mode, tmp_path):
    need("mpop")
    name, hashes = box
    port = office.ports["pop3s" if mode == "tls" else "pop3"]
    for d in ("new", "cur", "tmp"):
        (tmp_path / "md" / d).mkdir(parents=True)
    go = ["mpop", "-C", "/dev/null", "--host=127.0.0.1", f"--port={port}", f"--user={name}",
          f"--passwordeval=echo '{PASSWORD}'", f"--delivery=maildir,{tmp_path}/md", "--keep=off", "--auth=user",
          f"--uidls-file={tmp_path}/uidls", "--received-header=off"]
    if mode == "clear":
        go += ["--tls=off"]
    else:
        go += ["--tls=on", "--tls-certcheck=off", "--tls-starttls=" + ("on" if mode == "starttls" else "off")]
    run(go)
    files = list((tmp_path / "md" / "new").iterdir())
    assert sorted(sha(f.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")) for f in files) == sorted(hashes)
    run(go)
    assert len(list((tmp_path / "md" / "new").iterdir())) == N
    with office.imap(name) as c:
        c.select()
        assert c.uids() == []


@pytest.mark.parametrize("mode", MODES)
def test_neomutt(office, box, mode, tmp_path):
    need("neomutt")
    name, hashes = box
    scheme = "imaps" if mode == "tls" else "imap"
    port = office.ports["imaps" if mode == "tls" else "imap"]
    certs = [p for p in (office.data / "tls").glob("*.pem") if b"BEGIN CERTIFICATE" in p.read_bytes()]
    rc = tmp_path / "rc"
    rc.write_text(f"set folder = '{scheme}://{name}@localhost:{port}/'\n"
                  f"set imap_pass = '{PASSWORD}'\nset spoolfile = '+INBOX'\n"
                  f"set ssl_force_tls = {'yes' if mode != 'clear' else 'no'}\n"
                  f"set ssl_starttls = {'yes' if mode == 'starttls' else 'no'}\n"
                  + (f"set certificate_file = '{certs[0]}'\nset ssl_ca_certificates_file = '{certs[0]}'\n" if certs else "")
                  + "set ssl_verify_host = no\nset quit = yes\nset delete = yes\nset mark_old = no\n"
                  "set wait_key = no\nset sleep_time = 0\nset header_cache = ''\n"
                  f"set mbox_type = Maildir\nset confirmappend = no\nset confirmcreate = no\nset sort = mailbox-order\n"
                  "set copy = no\n"
                  f"push '<copy-message>{tmp_path}/copied<enter><first-entry><flag-message><next-entry>"
                  "<delete-message><sync-mailbox><quit>'\n")
    env = dict(os.environ, TERM="xterm", HOME=str(tmp_path))
    r = run(["script", "-qec", f"neomutt -n -F {rc}", "/dev/null"], check=False, env=env, stdin=subprocess.DEVNULL)
    copied = list(Path(tmp_path / "copied").glob("*/*"))
    assert len(copied) == 1, r.stdout[-1500:]
    with office.imap(name) as c:
        c.select()
        assert len(c.uids()) == N - 1
        assert len(c.ok("UID SEARCH FLAGGED")[0].split()) == 3


@pytest.mark.parametrize("mode", ["clear", "starttls"])
def test_swaks(office, mode):
    need("swaks")
    name = f"swaks{mode}"
    office.add_user(name)
    args = ["swaks", "--protocol", "LMTP", "--server", "127.0.0.1", "--port", office.ports["lmtp"],
            "--to", name, "--from", "a@example.org", "--body", ".\nline\n..\n"]
    if mode == "starttls":
        args.append("-tls")
    for _ in range(3):
        run(args)
    with office.imap(name) as c:
        c.select()
        assert len(c.uids()) == 3
        assert b"\r\n.\r\nline\r\n..\r\n" in c.body(1)


@pytest.mark.parametrize("mode", MODES)
def test_imapflow(office, box, mode):
    need("node")
    here = Path(__file__).parent
    if not (here / "node_modules" / "imapflow").exists():
        pytest.skip("imapflow is not installed (script/setup clients)")
    name, hashes = box
    port = office.ports["imaps" if mode == "tls" else "imap"]
    r = run(["node", here / "flow.mjs", mode, port, name, PASSWORD])
    out = json.loads(r.stdout.splitlines()[-1])
    assert out["hashes"] == hashes
    assert out["seen"] == 5 and out["left"] == N - 2 and out["moved"] == 1, out
