# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""A real Postfix of the test's own hands over by LMTP, and asks for
passwords over Dovecot's auth protocol. It has folders of its own, listens on
loopback, and is ended by its pid."""
import email
import os
import re
import shutil
import smtplib
import socket
import subprocess
import textwrap
import time
from pathlib import Path

import pytest

from harness import PASSWORD, Server, free_port, message, sha
from litter import folder

N = 20
SBIN = Path("/usr/lib/postfix/sbin")
DOMAIN = "office.example"
SIZE = 100000


def reason():
    """Why Postfix cannot be run here, or None."""
    if os.geteuid() != 0:
        return "Postfix must be started by root"
    if shutil.which("postfix") is None or not (SBIN / "master").exists():
        return "Postfix is not installed (script/setup clients)"
    return None


pytestmark = pytest.mark.skipif(reason() is not None, reason=str(reason()))


class Postfix:
    """An instance: its main.cf from settings, its services on free ports."""

    def __init__(self, top, office, lmtp):
        self.top = Path(top)
        self.conf, self.queue = self.top / "etc", self.top / "queue"
        self.lib, self.log = self.top / "lib", self.top / "log"
        for d in (self.conf, self.queue, self.lib):
            d.mkdir(parents=True)
        shutil.chown(self.lib, "postfix")
        self.smtp, self.submission = free_port(), free_port()
        self.users(office)
        (self.conf / "main.cf").write_text(textwrap.dedent(f"""\
            compatibility_level = 3.6
            queue_directory = {self.queue}
            data_directory = {self.lib}
            maillog_file = {self.log}
            maillog_file_prefixes = {self.top}
            myhostname = mta.{DOMAIN}
            mydestination =
            inet_interfaces = 127.0.0.1
            inet_protocols = ipv4
            mynetworks = 127.0.0.0/8
            alias_maps =
            alias_database =
            biff = no
            disable_vrfy_command = yes
            virtual_mailbox_domains = {DOMAIN}
            virtual_transport = {lmtp}
            lmtp_tls_security_level = none
            lmtp_destination_recipient_limit = 50
            minimal_backoff_time = 1s
            maximal_backoff_time = 2s
            queue_run_delay = 1s
            transport_retry_time = 1s
            notify_classes =
            smtpd_relay_restrictions = permit_mynetworks, reject
            """))
        (self.conf / "master.cf").write_text("".join(
            f"{name} {kind} {private} - n {wakeup} {most} {command}\n" for name, kind, private, wakeup, most, command in [
                (f"127.0.0.1:{self.smtp}", "inet", "n", "-", "-", "smtpd"),
                (f"127.0.0.1:{self.submission}", "inet", "n", "-", "-",
                 "smtpd\n  -o smtpd_sasl_auth_enable=yes\n  -o smtpd_sasl_type=dovecot\n"
                 f"  -o smtpd_sasl_path={office.top}/sasl/auth\n  -o smtpd_sasl_security_options=noanonymous\n"
                 "  -o smtpd_client_restrictions=permit_sasl_authenticated,reject\n"
                 "  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject\n"
                 f"  -o virtual_mailbox_maps=texthash:{self.conf}/users"),
                ("pickup", "unix", "n", "60", "1", "pickup"), ("cleanup", "unix", "n", "-", "0", "cleanup"),
                ("qmgr", "unix", "n", "1", "1", "qmgr"), ("rewrite", "unix", "-", "-", "-", "trivial-rewrite"),
                ("bounce", "unix", "-", "-", "0", "bounce"), ("defer", "unix", "-", "-", "0", "bounce"),
                ("trace", "unix", "-", "-", "0", "bounce"), ("verify", "unix", "-", "-", "1", "verify"),
                ("flush", "unix", "n", "-", "0", "flush"), ("proxymap", "unix", "-", "-", "-", "proxymap"),
                ("error", "unix", "-", "-", "-", "error"), ("retry", "unix", "-", "-", "-", "error"),
                ("smtp", "unix", "-", "-", "-", "smtp"), ("lmtp", "unix", "-", "-", "-", "lmtp"),
                ("tlsmgr", "unix", "-", "1000?", "1", "tlsmgr"),
                ("tlslmtp", "unix", "-", "-", "-", "lmtp -o lmtp_tls_security_level=encrypt"),
                # One delivery after the other, over one connection.
                ("onelmtp", "unix", "-", "-", "1",
                 f"lmtp -o lmtp_connection_cache_destinations={lmtp.partition(':')[2]}"),
                ("anvil", "unix", "-", "-", "1", "anvil"), ("scache", "unix", "-", "-", "1", "scache"),
                ("postlog", "unix-dgram", "n", "-", "1", "postlogd"),
            ]))
        self.proc = None

    def users(self, office):
        """The recipients' map anew, as restante writes it."""
        (self.conf / "users").write_bytes(office.cli("user", "list", "--postfix").stdout)

    def command(self, *args):
        return subprocess.run(["postfix", "-c", str(self.conf), *args], capture_output=True, timeout=60)

    def start(self):
        r = self.command("start")
        assert r.returncode == 0, r.stdout + r.stderr + self.text().encode()
        end = time.monotonic() + 30
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.smtp), 2) as s:
                    s.settimeout(10)
                    assert s.recv(4).startswith(b"220"), self.text()
                return self
            except OSError:
                assert time.monotonic() < end, self.text()
                time.sleep(0.1)

    def set(self, **settings):
        args = [f"{k}={v}" for k, v in settings.items()]
        subprocess.run(["postconf", "-c", str(self.conf), "-e", *args], check=True, timeout=30)
        assert self.command("reload").returncode == 0

    def stop(self):
        """By the pid in the instance's own folder."""
        self.command("stop")

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait_log(self, pattern, count=1, since=0, seconds=60):
        end = time.monotonic() + seconds
        while len(found := re.findall(pattern, self.text()[since:])) < count:
            assert time.monotonic() < end, (pattern, self.text()[since:][-5000:])
            time.sleep(0.1)
        return found

    def waiting(self):
        """Messages still in the queue."""
        return [f for d in ("maildrop", "incoming", "active", "deferred") for f in (self.queue / d).rglob("*")
                if f.is_file()]

    def drained(self, seconds=60):
        end = time.monotonic() + seconds
        while self.waiting():
            assert time.monotonic() < end, self.text()[-5000:]
            time.sleep(0.1)


@pytest.fixture(scope="module")
def pair():
    """A server and the Postfix in front of it."""
    top = folder("restante-mta")
    top.chmod(0o755)
    office = Server(users=("ann", "bob"), data=top, settings=[
        f"message_size_max={SIZE}", f"domains={DOMAIN}", f"auth_socket={top}/sasl/auth", f"lmtp={top}/sasl/lmtp"])
    (top / "sasl").mkdir()
    (top / "sasl").chmod(0o755)
    office.start()
    mta = Postfix(top / "mta", office, f"lmtp:inet:127.0.0.1:{office.ports['lmtp']}")
    try:
        mta.start()
        yield office, mta
    finally:
        mta.stop()
        office.close()
        shutil.rmtree(top, ignore_errors=True)


_names = iter(f"post{i}" for i in range(1000))


@pytest.fixture
def name(pair):
    n = next(_names)
    pair[0].add_user(n)
    return n


def inject(mta, messages, *to, sender=f"ann@{DOMAIN}", options=()):
    with smtplib.SMTP("127.0.0.1", mta.smtp, timeout=30) as s:
        for m in messages:
            s.sendmail(sender, [f"{t}@{DOMAIN}" for t in to], m, mail_options=options)


def mail(office, user):
    with office.imap(user) as c:
        c.select(how="EXAMINE")
        return [c.body(u) for u in c.uids()]


def body_of(m):
    return m.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("how", ["inet", "unix", "tls", "parallel"])
def test_hand_over(pair, name, how):
    office, mta = pair
    inet = f"inet:127.0.0.1:{office.ports['lmtp']}"
    mta.set(virtual_transport={"inet": "lmtp:" + inet, "unix": f"lmtp:unix:{office.top}/sasl/lmtp",
                               "tls": "tlslmtp:" + inet, "parallel": "lmtp:" + inet}[how],
            lmtp_destination_concurrency_limit=20 if how == "parallel" else 2)
    since = len(mta.text())
    bodies = [b"line %d\r\n.\r\n..dots\r\n" % i * (i + 1) + bytes(range(0xa0, 0x100)) + b"\r\n" for i in range(N)]
    inject(mta, [message(i, body=b) for i, b in enumerate(bodies)], name, options=["BODY=8BITMIME"])
    mta.drained()
    got = mail(office, name)
    assert sorted(sha(body_of(m)) for m in got) == sorted(map(sha, bodies))
    for m in got:
        assert m.startswith(b"Return-Path: <ann@office.example>\r\n"), m[:300]
        # Both Received lines, restante's above Postfix's.
        assert len(re.findall(rb"(?m)^Received: ", m)) == 2
        assert (how == "tls") == (b"LMTPS" in m.partition(b"mta.office.example (Postfix)")[0]), m[:900]
    assert len(mta.wait_log(rf"to=<{name}@\S+, .*status=sent \(250", N, since)) == N
    assert "status=deferred" not in mta.text()[since:] and "status=bounced" not in mta.text()[since:]


def test_connection_kept(pair, name):
    """Postfix keeps the connection, and sends RSET before it reuses it."""
    office, mta = pair
    mta.set(virtual_transport=f"onelmtp:inet:127.0.0.1:{office.ports['lmtp']}", onelmtp_destination_concurrency_limit=1)
    since = len(mta.text())
    inject(mta, [message(i) for i in range(N)], name)
    mta.drained()
    assert len(mail(office, name)) == N
    uses = [int(x) for x in mta.wait_log(r"conn_use=(\d+)", 1, since)]
    assert max(uses) > 5, mta.text()[since:][-3000:]


def test_many_recipients_one_unknown(pair, name):
    """One message for three of whom one is unknown: two have it, and the
    sender a bounce that says why."""
    office, mta = pair
    sender, other = next(_names), next(_names)
    office.add_user(sender)
    office.add_user(other)
    mta.set(virtual_transport=f"lmtp:inet:127.0.0.1:{office.ports['lmtp']}")
    since = len(mta.text())
    inject(mta, [message(1)], name, "nobody-here", other, sender=f"{sender}@{DOMAIN}")
    mta.wait_log(r"to=<nobody-here@.*status=bounced \(.*550 5\.1\.1", 1, since)
    mta.drained()
    assert len(mail(office, name)) == len(mail(office, other)) == 1
    [bounce] = mail(office, sender)
    m = email.message_from_bytes(bounce)
    assert m["Return-Path"] == "<>" and m.get_content_type() == "multipart/report"
    assert b"5.1.1" in bounce and b"nobody-here" in bounce
    # Its structure is made at delivery: the report's three parts are there.
    with office.imap(sender) as c:
        c.select(how="EXAMINE")
        [s] = c.ok("FETCH 1 BODYSTRUCTURE")
        assert b'"MESSAGE" "DELIVERY-STATUS"' in s.upper() and b'"REPORT"' in s.upper(), s


def test_size_announced(pair, name):
    """A message above SIZE is bounced by Postfix without being sent."""
    office, mta = pair
    sender = next(_names)
    office.add_user(sender)
    since = len(mta.text())
    inject(mta, [message(1, body=(b"z" * 70 + b"\r\n") * (SIZE // 72 + 1))], name, sender=f"{sender}@{DOMAIN}")
    mta.wait_log(rf"to=<{name}@.*status=bounced \(.*size", 1, since)
    mta.drained()
    assert mail(office, name) == [] and len(mail(office, sender)) == 1


def test_server_away(pair, name):
    """While the server is away mail waits; then each message comes once."""
    office, mta = pair
    mta.set(virtual_transport=f"lmtp:inet:127.0.0.1:{office.ports['lmtp']}")
    office.stop()
    since = len(mta.text())
    inject(mta, [message(i) for i in range(5)], name)
    mta.wait_log(r"status=deferred", 5, since)
    office.start()
    mta.drained()
    assert len(mail(office, name)) == 5


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_submission(pair, name, mechanism):
    """Postfix asks over Dovecot's auth protocol: the right password logs in
    and may send, a wrong one does not."""
    office, mta = pair
    mta.users(office)
    mta.set(virtual_transport=f"lmtp:inet:127.0.0.1:{office.ports['lmtp']}")
    with smtplib.SMTP("127.0.0.1", mta.submission, timeout=30) as s:
        s.ehlo()
        assert mechanism in s.esmtp_features["auth"].split(), s.esmtp_features
        assert s.mail("x@y")[0] in (250, 554) and s.rcpt(f"{name}@{DOMAIN}")[0] in (503, 554)
        s.rset()
        s.user, s.password = name, "wrong " + PASSWORD
        with pytest.raises(smtplib.SMTPAuthenticationError) as e:
            s.auth(mechanism, getattr(s, "auth_" + mechanism.lower()), initial_response_ok=mechanism == "PLAIN")
        assert e.value.smtp_code == 535
        s.password = PASSWORD
        code, _ = s.auth(mechanism, getattr(s, "auth_" + mechanism.lower()), initial_response_ok=mechanism == "PLAIN")
        assert code == 235
        s.sendmail(f"{name}@{DOMAIN}", [f"{name}@{DOMAIN}"], message(1))
        # An unknown recipient is refused by the map that restante wrote.
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            s.sendmail(f"{name}@{DOMAIN}", [f"nobody@{DOMAIN}"], message(1))
    mta.drained()
    assert len(mail(office, name)) == 1
    assert f"sasl_method={mechanism}, sasl_username={name}" in mta.text()


def test_submission_after_auth_died(pair, name):
    """auth is killed and started again: Postfix connects anew."""
    office, mta = pair
    [pid] = office.pids("auth")
    os.kill(pid, 9)
    end = time.monotonic() + 20
    while True:
        try:
            with smtplib.SMTP("127.0.0.1", mta.submission, timeout=30) as s:
                assert s.login(name, PASSWORD)[0] == 235
                break
        except (smtplib.SMTPException, OSError):
            assert time.monotonic() < end, office.tail() + mta.text()[-2000:]
            time.sleep(0.3)
