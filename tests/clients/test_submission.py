# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""A real Postfix asks auth who may submit mail: smtpd_sasl_type = dovecot,
with its own queue folder, on loopback."""
import base64
import hashlib
import hmac
import os
import pwd
import shutil
import smtplib
import subprocess
import time
from pathlib import Path

import pytest

from harness import PASSWORD, Server, free_port
from litter import folder


def b64(x):
    return base64.b64encode(x if isinstance(x, bytes) else x.encode()).decode()


MASTER = Path("/usr/lib/postfix/sbin/master")
QUEUE = ["active", "bounce", "corrupt", "defer", "deferred", "flush", "hold",
         "incoming", "private", "saved", "trace", "pid", "maildrop", "public"]


class Postfix:
    """master with smtpd and what that needs, in a folder of its own."""

    def __init__(self):
        self.top = folder("restante-postfix")
        self.top.chmod(0o755)
        self.port = free_port()
        who = pwd.getpwnam("postfix")
        etc, queue, data = (self.top / x for x in ("etc", "queue", "data"))
        for d in (etc, queue, data):
            d.mkdir()
        os.chown(data, who.pw_uid, -1)
        for d in QUEUE:
            (queue / d).mkdir(mode=0o700)
            os.chown(queue / d, 0 if d == "pid" else who.pw_uid, -1)
        self.socket = queue / "private" / "auth"
        (etc / "main.cf").write_text(f"""\
compatibility_level = 3.6
queue_directory = {queue}
data_directory = {data}
inet_interfaces = loopback-only
inet_protocols = ipv4
mydestination =
myhostname = test.invalid
maillog_file_prefixes = /var, /tmp
maillog_file = {self.top}/log
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = private/auth
smtpd_sasl_security_options = noanonymous
smtpd_relay_restrictions = permit_sasl_authenticated, reject
""")
        (etc / "master.cf").write_text(f"""\
127.0.0.1:{self.port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
rewrite unix - - n - - trivial-rewrite
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
proxymap unix - - n - - proxymap
""")
        self.proc = None

    def start(self):
        self.proc = subprocess.Popen([str(MASTER), "-c", str(self.top / "etc"), "-d"],
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def smtp(self):
        end = time.monotonic() + 20
        while True:
            try:
                s = smtplib.SMTP("127.0.0.1", self.port, timeout=30)
                s.ehlo("x.invalid")
                return s
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def close(self):
        if self.proc is not None:
            self.proc.terminate()
            self.proc.wait(20)
        shutil.rmtree(self.top, ignore_errors=True)


@pytest.fixture(scope="module")
def mta():
    if not MASTER.exists():
        pytest.skip("postfix is not installed (script/setup clients)")
    if os.geteuid() != 0:
        pytest.skip("postfix's master runs as root only")
    p = Postfix()
    s = Server(users=("ann", "off"), settings=[f"auth_socket={p.socket}", "auth_delay_ms=100"])
    try:
        s.cli("user", "disable", "off")
        s.start()
        p.start()
        yield p
    finally:
        p.close()
        s.close()


def test_announced(mta):
    with mta.smtp() as s:
        offered = s.esmtp_features["auth"].split()
        assert {"PLAIN", "LOGIN", "SCRAM-SHA-256"} <= set(offered), offered


def test_plain_and_login(mta):
    with mta.smtp() as s:
        assert s.docmd("AUTH", "PLAIN " + b64(f"\0ann\0{PASSWORD}"))[0] == 235
        assert s.docmd("MAIL", "FROM:<ann@test.invalid>")[0] == 250
        assert s.docmd("RCPT", "TO:<somebody@example.org>")[0] == 250
    with mta.smtp() as s:
        assert s.docmd("AUTH", "PLAIN")[0] == 334
        assert s.docmd(b64(f"\0ANN\0{PASSWORD}"))[0] == 235
    with mta.smtp() as s:
        assert s.docmd("AUTH", "LOGIN")[0] == 334
        assert s.docmd(b64("ann"))[0] == 334
        assert s.docmd(b64(PASSWORD))[0] == 235


def test_refused(mta):
    said = set()
    for name, password in (("ann", "wrong"), ("nobody", "wrong"), ("off", PASSWORD)):
        with mta.smtp() as s:
            said.add(s.docmd("AUTH", "PLAIN " + b64(f"\0{name}\0{password}")))
            assert s.docmd("MAIL", "FROM:<ann@test.invalid>")[0] == 250
            assert s.docmd("RCPT", "TO:<somebody@example.org>")[0] == 554
    assert len(said) == 1 and said.pop()[0] == 535
    with mta.smtp() as s:
        assert s.docmd("AUTH", "PLAIN")[0] == 334
        assert s.docmd("*")[0] == 501
        assert s.docmd("AUTH", "PLAIN " + b64(f"\0ann\0{PASSWORD}"))[0] == 235


def test_scram(mta):
    with mta.smtp() as s:
        nonce = b64(os.urandom(18))
        bare = f"n=ann,r={nonce}"
        code, text = s.docmd("AUTH", "SCRAM-SHA-256 " + b64("n,," + bare))
        assert code == 334
        first = base64.b64decode(text).decode()
        got = dict(p.split("=", 1) for p in first.split(","))
        salted = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), base64.b64decode(got["s"]), int(got["i"]))
        key = hmac.digest(salted, b"Client Key", "sha256")
        final = f"c=biws,r={got['r']}"
        signed = f"{bare},{first},{final}".encode()
        sig = hmac.digest(hashlib.sha256(key).digest(), signed, "sha256")
        final += ",p=" + b64(bytes(a ^ b for a, b in zip(key, sig)))
        code, text = s.docmd(b64(final))
        assert code == 334
        want = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), signed, "sha256")
        assert base64.b64decode(text).decode() == "v=" + b64(want)
        assert s.docmd("")[0] == 235
