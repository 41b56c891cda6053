# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""LMTP off loopback: only from lmtp_networks, or with a client certificate.
Runs in a network namespace of its own, so that nothing listens outside."""
import os
import shutil
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness import Lmtp, Server, message  # noqa: E402

HERE, KNOWN, FAR = "10.9.9.1", "10.9.9.2", "10.9.9.3"


def connect(frm, tls=None):
    c = Lmtp.__new__(Lmtp)
    c.sock = socket.create_connection((HERE, 2400), 10, source_address=(frm, 0))
    c.sock.settimeout(10)
    c.buf = b""
    c.greeting = c.reply()
    if tls is not None and c.greeting[0] == 220:
        c.lhlo()
        assert c.ask("STARTTLS")[0] == 220
        c.sock = tls.wrap_socket(c.sock)
    return c


def certificates(top):
    def openssl(*args):
        subprocess.run(["openssl", *args], check=True, capture_output=True, cwd=top)
    for ca in ("ca", "otherca"):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{ca}.key", "-out", f"{ca}.pem", "-days", "2",
                "-subj", f"/CN={ca}")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{ca}-mx.key", "-out", f"{ca}-mx.csr", "-subj",
                "/CN=mx.example.org")
        openssl("x509", "-req", "-in", f"{ca}-mx.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial", "-out",
                f"{ca}-mx.pem", "-days", "2")


def context(top, who=None):
    t = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    t.check_hostname, t.verify_mode = False, ssl.CERT_NONE
    if who:
        t.load_cert_chain(top / f"{who}-mx.pem", top / f"{who}-mx.key")
    return t


def outside_loopback():
    """In the namespace."""
    s = Server(users=("ann",), settings=[f"lmtp={HERE}:2400", f"lmtp_networks={KNOWN}"])
    with s:
        for frm, code in ((KNOWN, 220), (FAR, 554), (HERE, 554)):
            with connect(frm) as c:
                assert c.greeting[0] == code, (frm, c.greeting)
                assert code == 220 or c.at_end()
                if code == 220:
                    c.lhlo()
                    assert c.send(message(1), "ann")[0][0] == 250
    s = Server(users=("ann",))
    certificates(s.top)
    s.settings += [f"lmtp={HERE}:2400", f"lmtp_networks={KNOWN}", f"tls_client_ca={s.top}/ca.pem"]
    with s:
        with connect(FAR) as c:
            c.lhlo()
            assert c.ask("MAIL FROM:<a@b>")[0] == 530
            assert c.ask("RCPT TO:<ann>")[0] == 503
        for who, want in ((None, 550), ("otherca", None), ("ca", 250)):
            try:
                with connect(FAR, context(s.top, who)) as c:
                    c.lhlo()
                    assert c.ask("MAIL FROM:<a@b>")[0] == (want or 550), who
                    if want == 250:
                        assert c.ask("RCPT TO:<ann>")[0] == 250
                        c.ask("RSET")
                        assert c.send(message(2), "ann")[0][0] == 250
            except (ssl.SSLError, EOFError, OSError):
                assert want is None, who
        with s.imap("ann") as c:
            c.select()
            assert c.uids() == [1]
            front = c.body(1).partition(b"\tby ")[0]
            assert b"Received: from test.example ([10.9.9.3])" in front


def test_off_loopback():
    unshare, ip = shutil.which("unshare"), shutil.which("ip", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if os.geteuid() != 0 or not unshare or not ip:
        pytest.skip("needs root, unshare and ip")
    if subprocess.run([unshare, "-n", "true"], capture_output=True).returncode != 0:
        pytest.skip("no network namespaces here")
    adds = "".join(f"{ip} addr add {a}/32 dev lo; " for a in (HERE, KNOWN, FAR))
    r = subprocess.run([unshare, "-n", "sh", "-ec", f"{ip} link set lo up; {adds} exec {sys.executable} {__file__}"],
                       capture_output=True, timeout=120)
    assert r.returncode == 0, r.stderr.decode()[-3000:]


if __name__ == "__main__":
    outside_loopback()
