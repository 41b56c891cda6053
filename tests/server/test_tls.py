# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""TLS, STARTTLS, and what must not cross them."""
import re
import socket
import ssl
import time

import pytest

from harness import PASSWORD, Imap, Line, Lmtp, tls_wrap


STARTS = {"imap": (b"s1 STARTTLS\r\n", b"s1 OK", b"x2 NOOP\r\n"),
          "pop3": (b"STLS\r\n", b"+OK", b"CAPA\r\n"),
          "lmtp": (b"STARTTLS\r\n", b"220", b"NOOP\r\n")}


@pytest.mark.parametrize("proto", sorted(STARTS))
@pytest.mark.parametrize("how", ["one segment", "later segment", "split"])
def test_r20_injection(shared_server, proto, how):
    """R20 R21: what stands behind STARTTLS in clear is never run, and the
    connection ends."""
    start, ok, evil = STARTS[proto]
    c = (Lmtp if proto == "lmtp" else Line)(shared_server.ports[proto])
    c.line()
    if proto == "lmtp":
        c.lhlo()
    if how == "one segment":
        c.write(start + evil)
    elif how == "split":
        whole = start + evil
        try:
            for i in range(len(whole)):
                c.write(whole[i:i + 1])
        except (BrokenPipeError, ConnectionResetError):
            pass  # ended before the last of it was sent
    else:
        c.write(start)
        assert c.line().startswith(ok)
        c.write(evil)
    rest = c.buf
    try:
        while True:
            more = c.sock.recv(4096)
            if not more:
                break
            rest += more
    except (ConnectionResetError, socket.timeout):
        pass
    assert b"x2 OK" not in rest and b"UIDL" not in rest and rest.count(b"250") == 0, rest


def test_r22_forgotten(shared_server):
    """R22: a second STARTTLS is refused; capabilities are told anew."""
    with shared_server.imap() as c:
        c.ok("STARTTLS")
        c.starttls()
        got = c.ok("CAPABILITY")
        assert b"STARTTLS" not in got[0] and b"LOGINDISABLED" not in got[0]
        c.bad("STARTTLS")
        c.ok("NOOP")


def test_r23_no_password_in_clear(shared_server, user):
    """R23: off loopback plaintext logins are refused. Loopback is exempt, so
    the rule itself is shown by the setting that ends the exemption."""
    from harness import Server
    with Server(users=("carl",), settings=["plaintext_loopback=no"]) as s:
        with s.imap() as c:
            assert b"LOGINDISABLED" in c.greeting and b"AUTH=PLAIN" not in c.greeting
            c.no(f'LOGIN carl "{PASSWORD}"', "PRIVACYREQUIRED")
            assert re.match(rb"NO \[PRIVACYREQUIRED\]", c.cmd("AUTHENTICATE PLAIN AGNhcmwAeA==")[1])
            c.ok("STARTTLS")
            c.starttls()
            c.ok(f'LOGIN carl "{PASSWORD}"')
        with s.pop3() as c:
            assert c.ask("USER carl").startswith(b"-ERR")
        assert PASSWORD not in s.tail(100000)


def test_r25_alpn_and_http(shared_server):
    """R25: another protocol's ALPN is refused; HTTP gets no echo."""
    sock = socket.create_connection(("127.0.0.1", shared_server.ports["imaps"]), 10)
    with pytest.raises(ssl.SSLError):
        tls_wrap(sock, alpn=["http/1.1"])
    sock = socket.create_connection(("127.0.0.1", shared_server.ports["imaps"]), 10)
    t = tls_wrap(sock, alpn=["imap"])
    assert t.selected_alpn_protocol() == "imap"
    t.close()
    for proto in ("imap", "pop3", "lmtp"):
        c = Line(shared_server.ports[proto])
        c.line()
        c.write(b"GET /evil-echo HTTP/1.1\r\nHost: x\r\n\r\n")
        rest = b""
        try:
            while more := c.sock.recv(4096):
                rest += more
        except ConnectionResetError:
            pass
        assert b"evil-echo" not in rest


def test_r27_versions_and_records(shared_server, user):
    """R27: TLS 1.2 and 1.3, one-byte records; 1.1 is refused."""
    for v in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        sock = tls_wrap(socket.create_connection(("127.0.0.1", shared_server.ports["imaps"]), 10), version=v)
        for b in b"a NOOP\r\n":
            sock.send(bytes([b]))
        got = b""
        while b"a OK" not in got:
            got += sock.recv(4096)
        sock.close()


def test_r28_half_done_handshakes(shared_server, user):
    """R28: handshakes that stop do not keep others out."""
    held = []
    for _ in range(40):
        s = socket.create_connection(("127.0.0.1", shared_server.ports["imaps"]), 10)
        s.send(b"\x16\x03\x01\x02\x00\x01")
        held.append(s)
    start = time.monotonic()
    with shared_server.imap(user, tls=True) as c:
        c.ok("NOOP")
    assert time.monotonic() - start < 20
    for s in held:
        s.close()


def test_r30_resumption_does_not_log_in(shared_server, user):
    """R30: a resumed TLS session starts without a login."""
    ctx = ssl.create_default_context()
    ctx.check_hostname = False
    ctx.verify_mode = ssl.CERT_NONE
    ctx.maximum_version = ssl.TLSVersion.TLSv1_2
    port = shared_server.ports["imaps"]
    one = ctx.wrap_socket(socket.create_connection(("127.0.0.1", port), 10), server_hostname="localhost")
    one.send(f'a LOGIN {user} "{PASSWORD}"\r\n'.encode())
    got = b""
    while b"a OK" not in got:
        got += one.recv(4096)
    session = one.session
    one.close()
    two = ctx.wrap_socket(socket.create_connection(("127.0.0.1", port), 10), server_hostname="localhost",
                          session=session)
    two.send(b"b SELECT INBOX\r\n")
    got = b""
    while b"b " not in got:
        got += two.recv(4096)
    assert b"b OK" not in got
    two.close()


def test_r13_clear_bytes_after_tls(shared_server, user):
    """R13: after close_notify in mid-literal, clear bytes are not read."""
    ctx = ssl.create_default_context()
    ctx.check_hostname = False
    ctx.verify_mode = ssl.CERT_NONE
    raw = socket.create_connection(("127.0.0.1", shared_server.ports["imaps"]), 10)
    t = ctx.wrap_socket(raw, server_hostname="localhost", suppress_ragged_eofs=True)
    t.send(f'a LOGIN {user} "{PASSWORD}"\r\n'.encode())
    got = b""
    while b"a OK" not in got:
        got += t.recv(4096)
    t.send(b"b APPEND INBOX {100+}\r\nSubject: half\r\n")
    t.settimeout(2)
    try:
        raw = t.unwrap()
    except (ssl.SSLError, OSError, socket.timeout):
        raw = None
    if raw is not None:
        try:
            raw.send(b"x" * 200 + b"\r\nc CREATE evil\r\n")
        except OSError:
            pass
    time.sleep(0.3)
    with shared_server.imap(user) as c:
        assert not any(b"evil" in r for r in c.ok('LIST "" *'))
        c.select()
        assert c.uids() == []


def test_starttls_each_protocol(shared_server, user):
    with shared_server.pop3() as c:
        assert c.ask("STLS").startswith(b"+OK")
        c.starttls()
        assert c.ask(f"USER {user}").startswith(b"+OK")
        assert c.ask(f"PASS {PASSWORD}").startswith(b"+OK")
    with shared_server.lmtp() as c:
        c.lhlo()
        assert c.ask("STARTTLS")[0] == 220
        c.starttls()
        c.lhlo()
        assert not any("STARTTLS" in e for e in c.extensions)
        assert c.send(b"Subject: x\r\n\r\n", user)[0][0] == 250


def test_big_download_over_tls(shared_server, user):
    body = bytes(range(33, 127)) * 40000
    msg = b"Subject: big\r\n\r\n" + b"\r\n".join(body[i:i + 76] for i in range(0, len(body), 76)) + b"\r\n"
    with shared_server.imap(user, tls=True) as c:
        c.append(msg)
        c.select()
        assert c.body(1) == msg
    with shared_server.pop3(user, tls=True) as c:
        assert c.ask("RETR 1").startswith(b"+OK")
        assert b"".join(x + b"\r\n" for x in c.multiline()) == msg


