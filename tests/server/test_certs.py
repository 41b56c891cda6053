# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""Certificates: chosen by name, taken in anew at SIGHUP, bound to by SCRAM,
and as a client's name."""
import re
import signal
import subprocess
import time

import pytest
from OpenSSL import SSL

from harness import PASSWORD, Imap, Server, serve_fails
from test_auth import b64, scram


def openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True, timeout=60)


def self_signed(folder, name, alt=None):
    key, cert = folder / f"{name}.key", folder / f"{name}.crt"
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 30,
            "-keyout", key, "-out", cert, "-subj", f"/CN={name}",
            "-addext", f"subjectAltName={alt or 'DNS:' + name}")
    return cert, key


def signed(folder, ca, name, alt):
    """A client's certificate of an authority."""
    key, req, cert, ext = (folder / f"{name}.{x}" for x in ("key", "csr", "crt", "ext"))
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", key, "-out", req, "-subj", f"/CN={name}")
    ext.write_text(f"basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\n{alt}\n")
    openssl("x509", "-req", "-in", req, "-CA", ca[0], "-CAkey", ca[1], "-set_serial", 7, "-days", 30,
            "-extfile", ext, "-out", cert)
    return cert, key


class Tls:
    """OpenSSL's own connection, which also tells what can be bound to."""

    def __init__(self, sock, name="localhost", cert=None, version=None):
        ctx = SSL.Context(SSL.TLS_CLIENT_METHOD)
        if version:
            ctx.set_max_proto_version(version)
        if cert:
            ctx.use_certificate_file(str(cert[0]))
            ctx.use_privatekey_file(str(cert[1]))
        sock.settimeout(None)
        self.c = SSL.Connection(ctx, sock)
        self.c.set_tlsext_host_name(name.encode())
        self.c.set_connect_state()
        self.c.do_handshake()

    def cn(self):
        return self.c.get_peer_certificate().get_subject().CN

    def binding(self):
        return self.c.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")

    def sendall(self, data):
        self.c.sendall(data)

    def recv(self, n):
        try:
            return self.c.recv(n)
        except (SSL.ZeroReturnError, SSL.SysCallError):
            return b""

    def close(self):
        self.c.close()


def imaps(server, **how):
    c = Imap(server.ports["imaps"])
    c.sock = Tls(c.sock, **how)
    c.greeting = c.line()
    return c


def cn_of(server, name):
    c = imaps(server, name=name)
    try:
        return c.sock.cn()
    finally:
        c.close()


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
def test_binding(version):
    """-PLUS over tls-exporter with both hashes: right passes; the binding of
    another connection, or none, does not. R36"""
    with Server(users=(), settings=["scram_keys=sha256 sha1"]) as s:
        s.cli("user", "add", "ann", "--password-stdin", "--set", "scram_keys=sha256 sha1",
              input=PASSWORD.encode() + b"\n")
        for mech in ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"):
            with imaps(s, version=version) as c:
                assert b"AUTH=" + mech.encode() in c.greeting
                r = scram(c, "ann", PASSWORD, mech, "p=tls-exporter,,", cbind=c.sock.binding())
                assert r.startswith(b"OK"), r
                c.select()
            with imaps(s, version=version) as c, imaps(s, version=version) as other:
                r = scram(c, "ann", PASSWORD, mech, "p=tls-exporter,,", cbind=other.sock.binding())
                assert r.startswith((b"NO", b"BAD")), r
            with imaps(s, version=version) as c:
                assert scram(c, "ann", PASSWORD, mech, "n,,").startswith((b"NO", b"BAD"))
        for mech in ("SCRAM-SHA-256", "SCRAM-SHA-1"):
            with imaps(s, version=version) as c:
                assert scram(c, "ann", PASSWORD, mech).startswith(b"OK")


def test_external(tmp_path):
    """EXTERNAL: off until tls_client_ca is set; then the certificate's name
    alone, of that authority alone, is who logs in."""
    ca = self_signed(tmp_path, "authority")
    stranger = self_signed(tmp_path, "stranger")
    ann = signed(tmp_path, ca, "ann", "subjectAltName=email:ann@example.org")
    bob = signed(tmp_path, ca, "bob", "")
    forged = signed(tmp_path, stranger, "forged", "subjectAltName=email:ann@example.org")
    nobody = signed(tmp_path, ca, "nobody", "")

    def external(c, say=""):
        c.write(b"e AUTHENTICATE EXTERNAL\r\n")
        r = c.response()
        if not r.startswith(b"+"):
            return r[2:]
        c.write(b64(say).encode() + b"\r\n")
        while (r := c.response()).startswith(b"* "):
            pass
        return r[2:]

    with Server(users=("ann", "bob")) as s:
        with imaps(s, cert=ann) as c:
            assert b"EXTERNAL" not in c.greeting
            assert external(c).startswith((b"NO", b"BAD"))
    with Server(users=("ann", "bob"), settings=[f"tls_client_ca={ca[0]}"]) as s:
        for cert, name in ((ann, "ann"), (bob, "bob")):
            with imaps(s, cert=cert) as c:
                assert b"AUTH=EXTERNAL" in c.greeting
                assert external(c).startswith(b"OK")
                c.select()
            with imaps(s, cert=cert) as c:
                assert external(c, name).startswith(b"OK")
            with imaps(s, cert=cert) as c:  # somebody else's account
                assert external(c, {"ann": "bob", "bob": "ann"}[name]).startswith(b"NO")
        with imaps(s) as c:
            assert b"EXTERNAL" not in c.greeting
            assert external(c).startswith((b"NO", b"BAD"))
            c.ok(f'LOGIN ann "{PASSWORD}"')
        with imaps(s, cert=nobody) as c:
            assert external(c).startswith(b"NO")
        try:
            with imaps(s, cert=forged) as c:
                assert external(c).startswith((b"NO", b"BAD"))
        except (SSL.Error, EOFError):
            pass  # refused within the handshake: as good


def test_names_and_reload(tmp_path):
    """Several certificates, each for its names; SIGHUP takes in new ones,
    and keeps the old when the new cannot be used."""
    one = self_signed(tmp_path, "one.example")
    two = self_signed(tmp_path, "two.example", "DNS:two.example,DNS:*.wild.example")
    settings = [f"tls_cert={one[0]}", f"tls_key={one[1]}", f"tls_cert={two[0]}", f"tls_key={two[1]}"]
    with Server(users=("ann",), settings=settings) as s:
        assert cn_of(s, "one.example") == "one.example"
        assert cn_of(s, "two.example") == "two.example"
        assert cn_of(s, "mail.wild.example") == "two.example"
        assert cn_of(s, "other.example") == "one.example"
        with imaps(s, name="two.example") as held:
            held.ok(f'LOGIN ann "{PASSWORD}"')
            held.select()
            three = self_signed(tmp_path, "three.example")
            two[0].write_bytes(three[0].read_bytes())
            two[1].write_bytes(three[1].read_bytes())
            s.proc.send_signal(signal.SIGHUP)
            end = time.monotonic() + 10
            while cn_of(s, "three.example") != "three.example":
                assert time.monotonic() < end, s.tail()
                time.sleep(0.05)
            assert cn_of(s, "one.example") == "one.example"
            held.ok("NOOP")
        one[0].write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
        s.proc.send_signal(signal.SIGHUP)
        end = time.monotonic() + 10
        while not re.search(r"level=(error|warn) proc=supervisor", s.tail(20000)):
            assert time.monotonic() < end, s.tail()
            time.sleep(0.05)
        assert cn_of(s, "one.example") == "one.example"
        assert cn_of(s, "three.example") == "three.example"
        with s.imap("ann", tls=True) as c:
            c.select()


def test_key_of_another_certificate(tmp_path):
    """A key that does not belong is said at the start, not at the first
    handshake."""
    one, two = self_signed(tmp_path, "one.example"), self_signed(tmp_path, "two.example")
    r = serve_fails(tmp_path / "data", "--tls-cert", one[0], "--tls-key", two[1])
    assert r.returncode == 78 and b"does not belong" in r.stderr, r
