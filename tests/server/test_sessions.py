# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""Sessions as the operator sees them: their number, who, kick, an account
that is disabled, settings and certificates read anew."""
import os
import signal
import socket
import ssl
import statistics
import subprocess
import time

import pytest

from harness import PASSWORD, Server


def until(ok, seconds=10):
    end = time.monotonic() + seconds
    while not ok():
        assert time.monotonic() < end
        time.sleep(0.05)


def gone(c):
    """The server has said goodbye, or just closed."""
    try:
        while c.sock.recv(4096):
            pass
        return True
    except ConnectionResetError:
        return True
    except socket.timeout:
        return False


@pytest.fixture(scope="module")
def few():
    """A server that allows three sessions of an account."""
    s = Server(settings=["connections_per_account=3"])
    s.start()
    yield s
    s.close()


@pytest.mark.parametrize("tls", [False, True])
def test_r124_sessions_of_an_account(few, tls):
    """R124: as many as allowed, and one more; the others are untouched, and
    there is room again when one has ended."""
    held = [few.imap("ann", tls), few.pop3("ann", tls), few.imap("ann", tls)]
    with few.imap(tls=tls) as c:
        got, end = c.cmd(f'LOGIN ann "{PASSWORD}"')
        assert b"* BYE" in got[0] and end.startswith(b"NO [LIMIT]"), (got, end)
        assert gone(c)
    with few.pop3(tls=tls) as p:
        p.ask("USER ann")
        assert p.ask(f"PASS {PASSWORD}").startswith(b"-ERR [SYS/TEMP]")
        assert gone(p)
    with few.imap("bob", tls) as c:
        c.ok("NOOP")
    held[0].ok("NOOP")
    held[0].ok("LOGOUT")
    held[0].close()

    def again():
        with few.imap(tls=tls) as c:
            return c.cmd(f'LOGIN ann "{PASSWORD}"')[1].startswith(b"OK")
    until(again)
    for c in held:
        c.close()
    until(lambda: b"ann" not in few.cli("who").stdout)


def test_who_and_kick(few):
    """who shows what is there; kick ends one account's sessions alone."""
    a, p, b = few.imap("ann"), few.pop3("ann", tls=True), few.imap("bob")
    a.select()
    out = few.cli("who").stdout.decode()
    assert len([x for x in out.splitlines() if "ann" in x]) == 2, out
    assert "INBOX" in out and "bob" in out and "127.0.0.1" in out, out
    assert b"2 sessions" in few.cli("kick", "ann").stdout
    assert gone(a) and gone(p)
    b.ok("NOOP")
    r = few.cli("kick", "ann", check=False)
    assert r.returncode != 0 and b"logged in" in r.stderr
    b.close()


def test_disabled_account(few):
    """An account that is disabled ends its sessions, with TLS and without;
    enabled again, it is as before."""
    a, t = few.imap("ann"), few.imap("ann", tls=True)
    few.cli("user", "disable", "ann")
    assert gone(a) and gone(t)
    few.cli("user", "enable", "ann")
    with few.imap("ann") as c:
        c.select()


def certificate(top, name, alg):
    subprocess.run(["openssl", "req", "-x509", "-newkey", *alg, "-nodes",
                    "-keyout", f"{top}/{name}.key", "-out", f"{top}/{name}.crt",
                    "-subj", f"/CN={name}.example", "-days", "30", "-addext",
                    f"subjectAltName=DNS:{name}.example"],
                   check=True, capture_output=True)
    os.chmod(f"{top}/{name}.key", 0o600)


def served(port, name, version=None):
    """The certificate that is served for a name."""
    ctx = ssl.create_default_context()
    ctx.check_hostname = False
    ctx.verify_mode = ssl.CERT_NONE
    if version:
        ctx.maximum_version = version
    with ctx.wrap_socket(socket.create_connection(("127.0.0.1", port), 10),
                         server_hostname=name) as s:
        return s.getpeercert(True)


def test_reload(tmp_path):
    """SIGHUP: new certificates, by name, RSA and ECDSA, while sessions go
    on; what is wrong leaves the old ones in place (R123). The keys' process
    may die."""
    conf = tmp_path / "conf"
    conf.write_text("")
    s = Server(users=("ann",))
    s.config = conf
    certificate(tmp_path, "one", ["rsa:2048"])
    certificate(tmp_path, "two", ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
    der = {n: ssl.PEM_cert_to_DER_cert((tmp_path / f"{n}.crt").read_text())
           for n in ("one", "two")}
    pair = "tls_cert = {0}/{1}.crt\ntls_key = {0}/{1}.key\n"
    try:
        s.start()
        port = s.ports["imaps"]
        own = served(port, "localhost")
        old = s.imap("ann", tls=True)
        conf.write_text(pair.format(tmp_path, "one") + pair.format(tmp_path, "two"))
        s.proc.send_signal(signal.SIGHUP)
        until(lambda: served(port, "two.example") == der["two"])
        for v in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            assert served(port, "one.example", v) == der["one"]
            assert served(port, "two.example", v) == der["two"]
            assert served(port, "localhost", v) == der["one"] != own
        old.ok("NOOP")
        old.close()
        os.chmod(tmp_path / "one.key", 0o644)
        for bad in ("tls_cetr = x\n", pair.format(tmp_path, "one"),
                    f"tls_cert = {tmp_path}/two.crt\ntls_key = {tmp_path}/one.key\n"):
            conf.write_text(bad)
            s.proc.send_signal(signal.SIGHUP)
            time.sleep(0.3)
            assert served(port, "two.example") == der["two"]
        for p in s.pids("keys"):
            os.kill(p, signal.SIGKILL)

        def back():
            try:
                return served(port, "two.example") == der["two"]
            except OSError:
                return False
        until(back)
    finally:
        s.close()


def test_r28_r109_crowd():
    """R28 R109 R124: connections that do not log in fill the server up: the
    oldest make room, whoever logs in gets in at once and stays."""
    with Server(users=("ann",), settings=["connections_max=200"]) as s:
        ann = s.imap("ann")
        crowd = []
        for i in range(600):
            c = socket.create_connection(("127.0.0.1", s.ports["imap"]), 10)
            c.sendall(b'a LOGIN ann "corr')
            crowd.append(c)
        times = []
        for _ in range(20):
            start = time.monotonic()
            with s.imap("ann") as c:
                c.ok("NOOP")
            times.append(time.monotonic() - start)
        assert statistics.median(times) < 1 and max(times) < 10, times
        ann.ok("NOOP")
        ann.close()
        for c in crowd:
            c.close()
