# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""README's words on Postfix, taken from README as they stand, on a Debian
Postfix: in a mount namespace of the test's own its folders are where Debian
has them, and the server is started by root without being told anything of
Postfix. R131"""
import os
import re
import shutil
import smtplib
import socket
import subprocess
import time
from pathlib import Path

import pytest

from harness import PASSWORD, RESTANTE, ROOT, Imap, free_port, installed_users, message, sha
from litter import folder

N = 20
HOST = "127.0.7.144"
DIST = Path("/usr/share/postfix")
pytestmark = pytest.mark.xdist_group("root")


def reason():
    if os.geteuid() != 0:
        return "Postfix must be started by root"
    if shutil.which("postfix") is None or not (DIST / "master.cf.dist").exists():
        return "no Debian Postfix is installed (script/setup clients)"
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0:
        return "no mount namespaces here"
    return None


pytestmark = [pytestmark, pytest.mark.skipif(reason() is not None, reason=str(reason()))]


def blocks():
    """README's indented blocks of the chapter on Postfix."""
    text = (ROOT / "README.md").read_text()
    text = text[text.index("### Postfix hands over"):]
    text = text[:text.index("\n### ", 5)]
    return [re.sub(r"(?m)^    ", "", b) for b in re.findall(r"(?m)(?:^    .*\n)+", text)]


def block(word):
    [b] = [b for b in blocks() if word in b]
    return b


class Debian:
    """A Postfix and a server that both believe to be installed."""

    def __init__(self, main, conf=""):
        self.top = folder("restante-debian", "/var/tmp")
        self.top.chmod(0o755)
        for d in ("etc", "queue", "lib", "etc-restante", "data", "log"):
            (self.top / d).mkdir()
        shutil.chown(self.top / "lib", "postfix")
        self.port = free_port()
        self.data = self.top / "data" / "restante"
        etc = Path("/etc/postfix")
        for f in ("postfix-files", "postfix-script", "post-install", "dynamicmaps.cf"):
            if (etc / f).exists():
                shutil.copy2(etc / f, self.top / "etc" / f)
        master = (DIST / "master.cf.dist").read_text()
        (self.top / "etc" / "master.cf").write_text(
            re.sub(r"(?m)^smtp(\s+inet\s)", rf"127.0.0.1:{self.port}\1", master, count=1))
        (self.top / "etc" / "main.cf").write_text(
            "compatibility_level = 3.6\nmyhostname = mail.example.net\nalias_maps =\nalias_database =\n"
            f"mydestination = $myhostname, localhost\ninet_interfaces = 127.0.0.1\ninet_protocols = ipv4\n"
            f"mynetworks = 127.0.0.0/8\nrecipient_delimiter = +\nmaillog_file = /var/log/postfix.log\n" + main)
        (self.top / "etc-restante" / "restante.conf").write_text(conf)
        # /run/user of an own, as nothing else of this machine is to change.
        binds = [("etc", "/etc/postfix"), ("queue", "/var/spool/postfix"), ("lib", "/var/lib/postfix"),
                 ("log", "/var/log")]
        script = " && ".join(f"mount --bind {self.top}/{a} {b}" for a, b in binds)
        serve = f"exec {RESTANTE} serve --data {self.data} --config {self.top}/etc-restante/restante.conf"
        for p, n in (("imap", 143), ("imaps", 993), ("pop3", 110), ("pop3s", 995)):
            serve += f" --{p} {HOST}:{n}"
        self.serve = f"{script} && postfix check && {serve}"
        self.proc = None

    def cli(self, *args, input=None):
        return subprocess.run([str(RESTANTE), *args, "--data", str(self.data), "--config",
                               f"{self.top}/etc-restante/restante.conf"], input=input, check=True, capture_output=True,
                              timeout=60).stdout

    def inside(self, command, check=True):
        """A command line where the installation is."""
        env = dict(os.environ, PATH=f"{RESTANTE.parent}:{os.environ['PATH']}:/usr/sbin:/sbin")
        r = subprocess.run(["nsenter", "-t", str(self.proc.pid), "-m", "sh", "-ec", command], capture_output=True,
                           timeout=60, env=env)
        assert not check or r.returncode == 0, (command, r, self.log())
        return r

    def log(self):
        return "".join(f.read_text(errors="replace") for f in sorted((self.top / "log").glob("*")) if f.is_file()) + \
            (self.top / "out").read_text(errors="replace")

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def start(self):
        with open(self.top / "out", "ab") as out:
            self.proc = subprocess.Popen(["unshare", "-m", "sh", "-ec", self.serve], stdout=out, stderr=out)
        end = time.monotonic() + 30
        while "restante: ready" not in (self.top / "out").read_text():
            assert self.proc.poll() is None and time.monotonic() < end, self.log()
            time.sleep(0.05)
        self.map()
        self.inside("postfix start")
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 5) as s:
                    assert s.recv(4) == b"220 "
                return self
            except OSError:
                assert time.monotonic() < end, self.log()
                time.sleep(0.1)

    def map(self, reload=False):
        """The commands that make the map, as README has them."""
        lines = block("user list --postfix").splitlines()
        assert lines[1] == "postfix reload" and len(lines) == 2
        tell = f"--data {self.data} --config {self.top}/etc-restante/restante.conf"
        self.inside(lines[0].replace("restante user list", f"restante user list {tell}", 1))
        if reload:
            self.inside(lines[1])

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self.proc is not None and self.proc.poll() is None:
            self.inside("postfix stop", check=False)
            self.proc.terminate()
            self.proc.wait(30)
        shutil.rmtree(self.top, ignore_errors=True)

    def smtp(self):
        return smtplib.SMTP("127.0.0.1", self.port, timeout=30)

    def mail(self, user, n):
        end = time.monotonic() + 60
        while True:
            with Imap(143, False, host=HOST) as c:
                c.line()
                c.ok(f'LOGIN {user} "{PASSWORD}"')
                c.select(how="EXAMINE")
                uids = c.uids()
                if len(uids) == n:
                    return [c.body(u) for u in uids]
            assert time.monotonic() < end, self.log()
            time.sleep(0.2)


@pytest.fixture(scope="module")
def users():
    with installed_users():
        yield


def refused(s, rcpt):
    with pytest.raises(smtplib.SMTPRecipientsRefused) as e:
        s.sendmail("x@example.com", [rcpt], message(1))
    return e.value.recipients[rcpt][0]


@pytest.mark.parametrize("form", ["mailbox_transport", "virtual_transport"])
def test_hand_over(users, form):
    main, conf, at = block(form), "", "mail.example.net"
    if form == "virtual_transport":
        conf, at = "domains = example.org\n", "example.org"
    d = Debian(main, conf)
    for u in ("ann", "bob"):
        d.cli("user", "add", u, "--password-stdin", input=PASSWORD.encode() + b"\n")
    with d:
        bodies = [b"line %d\r\n.\r\n..x\r\n" % i * (i + 1) for i in range(N)]
        with d.smtp() as s:
            for i, b in enumerate(bodies):
                s.sendmail("x@example.com", [f"ann@{at}"], message(i, body=b))
            assert refused(s, f"nobody@{at}") == 550
        got = d.mail("ann", N)
        assert sorted(sha(m.partition(b"\r\n\r\n")[2]) for m in got) == sorted(map(sha, bodies))
        assert all(m.startswith(b"Return-Path: <x@example.com>\r\n") for m in got)
        # A tag after the name; a new account is known after the commands.
        d.cli("user", "add", "carol", "--password-stdin", input=PASSWORD.encode() + b"\n")
        d.map(reload=True)
        end = time.monotonic() + 20
        with d.smtp() as s:
            s.sendmail("x@example.com", [f"bob+tag@{at}"], message(1))
        while True:
            try:
                with d.smtp() as s:
                    s.sendmail("x@example.com", [f"carol@{at}"], message(1))
                break
            except (smtplib.SMTPException, OSError):
                assert time.monotonic() < end, d.log()
                time.sleep(0.2)
        d.mail("bob", 1)
        d.mail("carol", 1)
        assert "status=bounced" not in d.log() and "status=deferred" not in d.log()


def test_submission(users):
    text = (ROOT / "README.md").read_text()
    [path] = re.findall(r"`auth_socket =\s(\S+)`", text)
    d = Debian(block("smtpd_sasl_type") + block("virtual_transport") +
               "mynetworks =\nsmtpd_relay_restrictions = permit_sasl_authenticated, reject\n",
               f"domains = example.org\nauth_socket = {path}\n")
    d.cli("user", "add", "ann", "--password-stdin", input=PASSWORD.encode() + b"\n")
    with d:
        with d.smtp() as s:
            s.ehlo()
            assert "PLAIN" in s.esmtp_features["auth"].split()
            with pytest.raises(smtplib.SMTPAuthenticationError):
                s.login("ann", "not " + PASSWORD)
        with d.smtp() as s:
            s.login("ann", PASSWORD)
            s.sendmail("ann@example.org", ["ann@example.org"], message(1))
        d.mail("ann", 1)
