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
import textwrap
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness import PASSWORD, Server, crlf, message, sha
from litter import folder

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
    home = folder("restante-client")
    shutil.chown(home, *who)
    try:
        yield who, home
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def office():
    s = Server(users=(), settings=["connections_per_account=1000"])
    s.settings.append(f"lmtp={s.top}/lmtp")
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

    def connect():
        if mode == "tls":
            m = imaplib.IMAP4_SSL("127.0.0.1", office.ports["imaps"], ssl_context=context())
        else:
            m = imaplib.IMAP4("127.0.0.1", office.ports["imap"])
            if mode == "starttls":
                m.starttls(context())
        m.login(name, PASSWORD)
        return m

    m = connect()
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
    for _ in range(2):
        m = connect()
        assert m.select(readonly=True)[1] == [b"18"]
        typ, data = m.uid("fetch", "1:*", "(UID FLAGS BODY.PEEK[])")
        assert [sha(d[1]) for d in data if isinstance(d, tuple)] == hashes[2:]
        assert m.uid("search", None, "SEEN")[1] == [b"3 4 5"]
        m.logout()


@pytest.mark.parametrize("mode", MODES)
def test_poplib(office, box, mode):
    name, hashes = box

    def connect():
        if mode == "tls":
            m = poplib.POP3_SSL("127.0.0.1", office.ports["pop3s"], context=context())
        else:
            m = poplib.POP3("127.0.0.1", office.ports["pop3"])
            if mode == "starttls":
                m.stls(context())
        m.user(name)
        m.pass_(PASSWORD)
        return m

    def all_of(m, n):
        assert m.stat()[0] == n == len(m.list()[1])
        return [sha(b"".join(x + b"\r\n" for x in m.retr(i + 1)[1])) for i in range(n)]

    m = connect()
    uidl = [x.split()[1] for x in m.uidl()[1]]
    assert all_of(m, N) == hashes
    assert m.top(3, 0)[1][-1] == b""
    m.dele(1)
    m.dele(2)
    m.rset()
    m.dele(1)
    m.quit()
    for _ in range(2):
        m = connect()
        assert all_of(m, N - 1) == hashes[1:]
        assert [x.split()[1] for x in m.uidl()[1]] == uidl[1:]
        m.quit()


def url(office, proto, mode):
    port = office.ports[proto + ("s" if mode == "tls" else "")]
    args = ["curl", "-sS", "--insecure", "--max-time", "60"]
    if mode == "starttls":
        args.append("--ssl-reqd")
    return args, f"{proto}{'s' if mode == 'tls' else ''}://127.0.0.1:{port}"


@pytest.mark.parametrize("mode", MODES)
def test_curl_imap(office, box, mode, tmp_path):
    need("curl")
    name, hashes = box
    args, at = url(office, "imap", mode)
    args += ["-u", f"{name}:{PASSWORD}"]
    assert b"INBOX" in run(args + [at + "/"]).stdout

    def all_of(uids):
        run(args + ["-o", f"{tmp_path}/#1", f"{at}/INBOX;UID=[{uids[0]}-{uids[-1]}]"])
        return [sha((tmp_path / str(u)).read_bytes()) for u in uids]

    assert all_of(range(1, N + 1)) == hashes
    assert run(args + [f"{at}/INBOX;UID=2;SECTION=HEADER"]).stdout.endswith(b"\r\n\r\n")
    assert b"SEARCH" in run(args + [at + "/INBOX", "-X", "SEARCH SUBJECT test"]).stdout
    (tmp_path / "m").write_bytes(b"Subject: up\r\n\r\nbody\r\n")
    run(args + [at + "/Archive", "-T", tmp_path / "m"])
    assert run(args + [f"{at}/Archive;UID=1"]).stdout == (tmp_path / "m").read_bytes()
    run(args + [at + "/INBOX", "-X", "STORE 1 +Flags \\Deleted"])
    run(args + [at + "/INBOX", "-X", "STORE 2 +Flags \\Flagged"])
    run(args + [at + "/INBOX", "-X", "EXPUNGE"])
    for _ in range(2):
        assert all_of(range(2, N + 1)) == hashes[1:]
        assert run(args + [at + "/INBOX", "-X", "UID SEARCH FLAGGED"]).stdout.split() == [b"*", b"SEARCH", b"2"]
        assert b"EXISTS" in run(args + [at + "/INBOX", "-X", "EXAMINE INBOX"]).stdout
    assert run(args + [f"{at}/INBOX;UID=1"], check=False).returncode != 0
    assert run(args[:-1] + ["wrong:wrong", at + "/"], check=False).returncode == 67


@pytest.mark.parametrize("mode", MODES)
def test_curl_pop3(office, box, mode, tmp_path):
    need("curl")
    name, hashes = box
    args, at = url(office, "pop3", mode)
    args += ["-u", f"{name}:{PASSWORD}"]

    def all_of(n):
        assert len(run(args + [at + "/"]).stdout.splitlines()) == n
        run(args + ["-o", f"{tmp_path}/#1", f"{at}/[1-{n}]"])
        return [sha((tmp_path / str(i + 1)).read_bytes()) for i in range(n)]

    assert all_of(N) == hashes
    uidl = run(args + [at + "/", "-X", "UIDL"]).stdout
    run(args + [at + "/1", "-X", "DELE", "--list-only"])
    for _ in range(2):
        assert all_of(N - 1) == hashes[1:]
        assert [x.split()[1] for x in run(args + [at + "/", "-X", "UIDL"]).stdout.splitlines()] == \
            [x.split()[1] for x in uidl.splitlines()][1:]


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
    def hashes_of():
        return sorted(sha(crlf(f.read_bytes())) for f in (tmp_path / "md" / "new").iterdir())

    # Kept, then nothing new; then deleted, and nothing is there.
    keep = [x.replace("--keep=off", "--keep=on") for x in go]
    for _ in range(2):
        run(keep)
        assert hashes_of() == sorted(hashes)
    run(go)
    run(go)
    assert hashes_of() == sorted(hashes)
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
                  "set copy = no\nset resolve = no\n")
    env = dict(os.environ, TERM="xterm", HOME=str(tmp_path))

    def go(keys):
        (tmp_path / "keys").write_text(f"push '{keys}<quit>'\n")
        return run(["script", "-qec", f"neomutt -n -F {rc} -e 'source {tmp_path}/keys'", "/dev/null"], check=False,
                   env=env, stdin=subprocess.DEVNULL)

    def copied(box):
        """neomutt adds Status headers of its own to what it copies."""
        out = []
        for f in (tmp_path / box).glob("*/*"):
            m = re.sub(rb"(?m)^(Status|X-Status|Content-Length|Lines): .*\n", b"", f.read_bytes())
            out.append(sha(crlf(m)))
        return sorted(out)

    def copy(box):
        return f"<tag-pattern>~A<enter><tag-prefix><copy-message>{tmp_path}/{box}<enter><untag-pattern>~A<enter>"

    r = go(copy("first") + "<first-entry><flag-message><next-entry><delete-message><sync-mailbox>")
    assert copied("first") == sorted(hashes), r.stdout[-1500:]
    with office.imap(name) as c:
        c.select()
        assert c.uids() == [1, *range(3, N + 1)]
        assert c.ok("UID SEARCH FLAGGED")[0].split() == [b"*", b"SEARCH", b"1"]
    # Its own message into a folder by APPEND, another by COPY; run again
    # without change.
    go("<last-entry><copy-message>+Archive<enter>")
    with office.imap(name) as c:
        c.select("Archive")
        assert sha(c.body(1)) == hashes[-1]
        before = c.ok("STATUS INBOX (MESSAGES UIDNEXT)")
        for again in ("second", "third"):
            r = go(copy(again))
            assert copied(again) == sorted(hashes[:1] + hashes[2:]), r.stdout[-1500:]
            assert c.ok("STATUS INBOX (MESSAGES UIDNEXT)") == before


# LMTP has no port with TLS from the first byte.
@pytest.mark.parametrize("mode", ["clear", "starttls", "unix"])
def test_swaks(office, mode):
    need("swaks")
    name, other = f"swaks{mode}", f"swaks{mode}2"
    office.add_user(name)
    office.add_user(other)
    args = ["swaks", "--protocol", "LMTP", "--from", "a@example.org"]
    if mode == "unix":
        args += ["--socket", office.top / "lmtp"]
    else:
        args += ["--server", "127.0.0.1", "--port", office.ports["lmtp"]]
    if mode == "starttls":
        args.append("-tls")
    for i in range(N):
        run(args + ["--to", name, "--body", f".\nline {i}\n..\n"])
    run(args + ["--to", f"{name},{other}", "--body", "for two"])
    # One of two is unknown: swaks says so, the other has it.
    r = run(args + ["--to", f"nobody-{mode},{other}", "--body", "for one"], check=False)
    assert b"550 5.1.1" in r.stdout and r.stdout.count(b"250 2.") >= 2, r.stdout
    with office.imap(name) as c:
        c.select()
        assert len(c.uids()) == N + 1
        for i in range(N):
            assert b"\r\n.\r\nline %d\r\n..\r\n" % i in c.body(i + 1)
    with office.imap(other) as c:
        c.select()
        assert len(c.uids()) == 2


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
    for _ in range(2):
        r = run(["node", here / "flow.mjs", mode, port, name, PASSWORD, "look"])
        again = json.loads(r.stdout.splitlines()[-1])
        assert again == {"hashes": hashes[:-2], "seen": 5, "left": N - 2, "moved": 1}, again
