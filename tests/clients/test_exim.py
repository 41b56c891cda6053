# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""A real Exim hands over, by its lmtp and smtp drivers, and asks for passwords
by its dovecot driver. It has folders of its own, and an /etc of its own in a
mount namespace, since its place and its user are built into it."""
import os
import re
import shutil
import smtplib
import socket
import subprocess
import time
from pathlib import Path

import pytest

from harness import PASSWORD, Server, free_port, message, sha
from litter import folder

N = 20
DOMAIN = "office.example"
# Debian lets one MTA be installed at a time: script/setup clients unpacks
# Exim beside Postfix.
EXIM = next((p for p in (Path("/usr/sbin/exim4"), Path(__file__).parent / "exim4" / "usr" / "sbin" / "exim4")
             if p.exists()), None)


def reason():
    if os.geteuid() != 0:
        return "Exim must be started by root"
    if EXIM is None:
        return "Exim is not there (script/setup clients)"
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0:
        return "no mount namespaces here"
    return None


pytestmark = pytest.mark.skipif(reason() is not None, reason=str(reason()))


class Exim:
    def __init__(self, top, office):
        self.top = Path(top)
        self.office = office
        self.port = free_port()
        for d in ("spool", "log", "etc"):
            (self.top / d).mkdir(parents=True)
        self.proc = None

    def start(self, transport):
        (self.top / "exim4.conf").write_text(f"""\
exim_path = {EXIM}
spool_directory = {self.top}/spool
log_file_path = {self.top}/log/%slog
pid_file_path = {self.top}/pid
primary_hostname = mx.{DOMAIN}
local_interfaces = <; 127.0.0.1.{self.port}
tls_advertise_hosts =
auth_advertise_hosts = *
acl_smtp_rcpt = rcpt
keep_environment =
accept_8bitmime = true
message_size_limit = 10M
remote_max_parallel = 4
log_selector = +all
begin acl
rcpt:
  accept authenticated = *
  deny senders = auth@{DOMAIN}
  accept domains = {DOMAIN}
  deny
begin routers
office:
  driver = accept
  domains = {DOMAIN}
  transport = restante
begin transports
restante:
{transport}
begin retry
* * F,1h,1s
begin authenticators
plain:
  driver = dovecot
  public_name = PLAIN
  server_socket = {self.office.top}/sasl/auth
  server_set_id = $auth1
login:
  driver = dovecot
  public_name = LOGIN
  server_socket = {self.office.top}/sasl/auth
  server_set_id = $auth1
""")
        script = (f"mount -t tmpfs none {self.top}/etc; mkdir {self.top}/etc/u {self.top}/etc/w; "
                  f"mount -t overlay overlay -o lowerdir=/etc,upperdir={self.top}/etc/u,workdir={self.top}/etc/w /etc; "
                  "id Debian-exim >/dev/null 2>&1 || useradd --system --user-group Debian-exim; mkdir -p /etc/exim4; "
                  f"cp {self.top}/exim4.conf /etc/exim4/; chmod 644 /etc/exim4/exim4.conf; "
                  f"chown Debian-exim: {self.top}/spool {self.top}/log {self.office.top}/sasl/auth; "
                  f"exec {EXIM} -bdf -q1s")
        env = dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin")
        with open(self.top / "out", "ab") as out:
            self.proc = subprocess.Popen(["unshare", "-m", "sh", "-ec", script], stdout=out, stderr=out, env=env)
        end = time.monotonic() + 30
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 2) as s:
                    s.settimeout(10)
                    assert s.recv(4).startswith(b"220"), self.text()
                return
            except OSError:
                assert self.proc.poll() is None and time.monotonic() < end, self.text()
                time.sleep(0.1)

    def stop(self):
        if self.proc is not None:
            self.proc.terminate()
            self.proc.wait(30)
            self.proc = None

    def text(self):
        return "".join(p.read_text(errors="replace") for p in [self.top / "out", *sorted((self.top / "log").glob("*"))])

    def wait_log(self, pattern, count=1, seconds=60):
        end = time.monotonic() + seconds
        while len(found := re.findall(pattern, self.text())) < count:
            assert time.monotonic() < end, (pattern, self.text()[-5000:])
            time.sleep(0.1)
        return found


@pytest.fixture
def office():
    top = folder("restante-exim", "/var/tmp")
    top.chmod(0o755)
    (top / "sasl").mkdir()
    (top / "sasl").chmod(0o755)
    s = Server(users=("ann", "bob"), data=top, settings=[
        f"domains={DOMAIN}", f"auth_socket={top}/sasl/auth", f"lmtp={top}/sasl/lmtp", "auth_delay_ms=100"])
    top.chmod(0o755)
    try:
        s.start()
        yield s
    finally:
        s.close()
        shutil.rmtree(top, ignore_errors=True)


def mail(office, user, n):
    end = time.monotonic() + 60
    while True:
        with office.imap(user) as c:
            c.select(how="EXAMINE")
            got = [c.body(u) for u in c.uids()]
        if len(got) == n or time.monotonic() > end:
            return got
        time.sleep(0.2)


TRANSPORTS = {
    "unix": "  driver = lmtp\n  socket = {top}/sasl/lmtp\n  user = Debian-exim\n  batch_max = 20\n",
    "inet": "  driver = smtp\n  protocol = lmtp\n  hosts = 127.0.0.1\n  port = {port}\n  allow_localhost\n"
            "  hosts_avoid_tls = *\n",
    "tls": "  driver = smtp\n  protocol = lmtp\n  hosts = 127.0.0.1\n  port = {port}\n  allow_localhost\n"
           "  hosts_require_tls = *\n  tls_verify_certificates =\n",
}


@pytest.mark.parametrize("how", TRANSPORTS)
def test_exim(office, how):
    """Twenty messages, CHUNKING where it is announced; one recipient of three
    unknown; then who may submit, by Exim's dialogue."""
    mta = Exim(office.top / "exim", office)
    try:
        mta.start(TRANSPORTS[how].format(top=office.top, port=office.ports["lmtp"]))
        bodies = [b"line %d\r\n.\r\n..dots\r\n" % i * (i + 1) + bytes(range(0xa0, 0x100)) + b"\r\n" for i in range(N)]
        with smtplib.SMTP("127.0.0.1", mta.port, timeout=30) as s:
            for i, b in enumerate(bodies):
                s.sendmail(f"bob@{DOMAIN}", [f"ann@{DOMAIN}"], message(i, body=b), mail_options=["BODY=8BITMIME"])
        got = mail(office, "ann", N)
        assert sorted(sha(m.partition(b"\r\n\r\n")[2]) for m in got) == sorted(map(sha, bodies)), mta.text()[-5000:]
        if how == "tls":
            assert all(b"LMTPS" in m for m in got), got[0]
        if how == "inet":
            mta.wait_log(r" => ann.* K .*C=\"250", N)  # K: by BDAT
        with smtplib.SMTP("127.0.0.1", mta.port, timeout=30) as s:
            s.sendmail(f"bob@{DOMAIN}", [f"ann@{DOMAIN}", f"nobody@{DOMAIN}"], message(99))
        assert len(mail(office, "ann", N + 1)) == N + 1
        [bounce] = mail(office, "bob", 1)
        assert b"nobody" in bounce and b"5.1.1" in bounce, bounce
        for mech in ("PLAIN", "LOGIN"):
            with smtplib.SMTP("127.0.0.1", mta.port, timeout=30) as s:
                s.ehlo()
                assert mech in s.esmtp_features["auth"].split(), s.esmtp_features
                s.user, s.password = "ann", "wrong " + PASSWORD
                with pytest.raises(smtplib.SMTPAuthenticationError) as e:
                    s.auth(mech, getattr(s, "auth_" + mech.lower()), initial_response_ok=mech == "PLAIN")
                assert e.value.smtp_code == 535
                s.password = PASSWORD
                assert s.auth(mech, getattr(s, "auth_" + mech.lower()), initial_response_ok=mech == "PLAIN")[0] == 235
                s.sendmail(f"auth@{DOMAIN}", [f"bob@{DOMAIN}"], message(1))
        assert len(mail(office, "bob", 3)) == 3
        assert mta.wait_log(r"A=plain:ann") and mta.wait_log(r"A=login:ann")
    finally:
        mta.stop()
