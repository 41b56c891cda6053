# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""Bounds before login, of addresses, of messages that are described, of
clients that do not read: one below, exactly, one above. What needs another
address than loopback runs in a network namespace of its own; the full disk
in a mount namespace."""
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness import BUILD, PASSWORD, Server, message, tls_wrap  # noqa: E402

HERE, NEAR, FAR = "10.9.9.1", "10.9.9.2", "10.9.9.3"
HERE6, SAME6, OTHER6 = "fd09:0:0:1::1", "fd09:0:0:1::2", "fd09:0:0:2::1"


@pytest.fixture(scope="module")
def tight():
    s = Server(users=("ann",), settings=[
        "prelogin_bytes_max=1024", "prelogin_s=2", "mime_depth_max=5", "mime_parts_max=6", "header_max=4096",
        "stall_s=5"])
    s.start()
    yield s
    s.close()


@pytest.mark.parametrize("more", [-1, 0, 1])
@pytest.mark.parametrize("proto", ["imap", "pop3"])
def test_r124_bytes_before_login(tight, proto, more):
    """R124: prelogin_bytes_max, its line end included."""
    n = 1024 + more
    with getattr(tight, proto)() as c:
        c.write((b"a " if proto == "imap" else b"").ljust(n - 2, b"x") + b"\r\n")
        got = b""
        try:
            got = c.line()
            if more <= 0:
                c.write(b"b NOOP\r\n" if proto == "imap" else b"CAPA\r\n")
                assert c.line().startswith((b"b OK", b"+OK"))
            else:
                assert got.startswith((b"* BYE", b"-ERR")) and c.at_end(), got
        except ConnectionResetError:
            assert more > 0


@pytest.mark.parametrize("proto", ["imap", "pop3"])
@pytest.mark.parametrize("drip", [False, True])
def test_r107_time_before_login(tight, proto, drip):
    """R107: prelogin_s in all, whatever is sent meanwhile."""
    with getattr(tight, proto)() as c:
        start = time.monotonic()
        c.sock.settimeout(0.3)
        got = None
        while got is None and time.monotonic() - start < 8:
            try:
                if drip:
                    c.write(b"a NOOP\r\n" if proto == "imap" else b"CAPA\r\n")
                while c.sock.recv(4096):
                    pass
                got = time.monotonic() - start
            except socket.timeout:
                pass
            except OSError:
                got = time.monotonic() - start
        assert got is not None and 1 < got < 6, got


def nested(depth):
    """A multipart within a multipart, depth of them, and a text in it."""
    head = lambda i: f"Content-Type: multipart/mixed; boundary=b{i}\r\n\r\n--b{i}\r\n"  # noqa: E731
    return ("Subject: x\r\n" + "".join(head(i) for i in range(depth)) + "Content-Type: text/plain\r\n\r\nx\r\n"
            + "".join(f"--b{i}--\r\n" for i in reversed(range(depth)))).encode()


def test_r124_message_described(tight):
    """R124: depth and parts of MIME past their bound are described as what
    they are in, and served as they came."""
    with tight.imap("ann") as c:
        c.select()
        for n in (3, 4, 5, 6, 7, 200):
            msg = nested(n)
            c.append(msg)
            uid = c.uids()[-1]
            got = b"".join(c.ok(f"UID FETCH {uid} BODYSTRUCTURE"))
            assert got.lower().count(b'"mixed"') <= 6, (n, got)
            if n <= 4:
                assert got.lower().count(b'"mixed"') == n, (n, got)
            assert c.body(uid) == msg
        counts = []
        for n in range(3, 12):
            msg = (b"Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
                   + b"--b\r\nContent-Type: text/html\r\n\r\nx\r\n" * n + b"--b--\r\n")
            c.append(msg)
            uid = c.uids()[-1]
            got = b"".join(c.ok(f"UID FETCH {uid} BODYSTRUCTURE"))
            counts.append(got.lower().count(b'"html"'))
            assert c.body(uid) == msg
        assert counts[:2] == [3, 4] and max(counts) <= 6 and counts[-1] == counts[-2], counts
        for n in (4095, 4096, 4097, 100000):
            msg = b"Subject: s\r\nX-Fill: " + b"f" * 900 + b"\r\n" + b"".join(
                b"X-More: " + b"m" * 60 + b"\r\n" for _ in range((n - 920) // 70))
            msg = msg.ljust(n - 2, b"y") + b"\r\n\r\nbody\r\n"
            c.append(msg)
            uid = c.uids()[-1]
            assert c.body(uid) == msg
            assert b"s" in b"".join(c.ok(f"UID FETCH {uid} ENVELOPE"))


@pytest.mark.parametrize("tls", [False, True])
def test_r110_stuck_reader(tight, tls):
    """R110: who takes nothing of what he asked for goes after stall_s; who
    takes a little, stays."""
    with tight.imap("ann") as c:
        c.select("INBOX")
        c.append(b"Subject: big\r\n\r\n" + b"z" * 70 + b"\r\n" * 10 + b"w" * 20000000)
        uid = c.uids()[-1]
    port = tight.ports["imaps" if tls else "imap"]
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    raw.settimeout(20)
    raw.connect(("127.0.0.1", port))
    sock = tls_wrap(raw) if tls else raw
    sock.sendall(f'a LOGIN ann "{PASSWORD}"\r\n'.encode())
    got = b""
    while b"a OK" not in got:
        got += sock.recv(4096)
    sock.sendall(f"b SELECT INBOX\r\nc UID FETCH {uid} BODY.PEEK[]\r\n".encode())
    end = time.monotonic() + 30
    while time.monotonic() < end and b"ann" in tight.cli("who").stdout:
        time.sleep(0.5)
    assert b"ann" not in tight.cli("who").stdout
    sock.close()


def big():
    return b"Subject: big\r\n\r\n" + (b"z" * 70 + b"\r\n") * 40000


@pytest.mark.parametrize("where", ["intake", "mail"])
def test_r124_no_memory(where):
    """R124: a large buffer that cannot be had refuses one message for now;
    the process goes on."""
    options = json.loads((BUILD / "meson-info" / "intro-buildoptions.json").read_text())
    if not any(o["name"] == "faults" and o["value"] for o in options):
        pytest.skip("a build with -Dfaults=true makes memory fail")
    with Server(users=("ann",), env={"RESTANTE_FAULT": f"memory:1:ENOMEM:sticky:in={where}"}) as s:
        pids = sorted(s.pids())
        with s.lmtp() as c:
            c.lhlo()
            assert c.send(big(), "ann")[0][0] == 451
        with s.imap("ann") as c:
            c.select()
            end = c.cmd(["APPEND INBOX ", big()])[1]
            assert end.startswith(b"NO [LIMIT]" if where == "mail" else b"OK"), end
            assert len(c.uids()) == (0 if where == "mail" else 1)
            c.ok("NOOP")
        assert sorted(s.pids()) == pids


# ---- in a namespace ----

def connect(frm, to, port):
    fam = socket.AF_INET6 if ":" in to else socket.AF_INET
    s = socket.socket(fam)
    s.settimeout(10)
    s.bind((frm, 0))
    s.connect((to, port))
    return s


def word(sock):
    try:
        return sock.recv(200)
    except ConnectionResetError:
        return b""


def far():
    """R124 R23 R35: connections and failures of one address (IPv6: /64); no
    password in clear."""
    s = Server(users=("ann",), settings=[
        "connections_per_address=5", "auth_failures_per_minute=3", "auth_delay_ms=1", "auth_delay_max_ms=1",
        f"imap={HERE}:1430 [{HERE6}]:1430", f"imaps={HERE}:9930", f"pop3={HERE}:1100"])
    with s:
        for frm, same, other, to in ((NEAR, NEAR, FAR, HERE), (SAME6, HERE6, OTHER6, HERE6)):
            held = []
            for i in range(5):
                held.append(connect(frm if i % 2 else same, to, 1430))
                assert word(held[-1]).startswith(b"* OK"), (frm, i)
            for a in {frm, same}:
                one = connect(a, to, 1430)
                assert not word(one).startswith(b"* OK"), a
                one.close()
            assert word(connect(other, to, 1430)).startswith(b"* OK")
            held.pop().close()
            end = time.monotonic() + 5
            while not word(connect(frm, to, 1430)).startswith(b"* OK"):
                assert time.monotonic() < end
                time.sleep(0.1)
            for c in held:
                c.close()
        end = time.monotonic() + 10
        while not (hello := word(c := connect(NEAR, HERE, 1430))).startswith(b"* OK"):
            assert time.monotonic() < end  # till those before have gone
            time.sleep(0.1)
        assert b"LOGINDISABLED" in hello and b"AUTH=PLAIN" not in hello and b"AUTH=LOGIN" not in hello, hello
        c.sendall(f'a LOGIN ann "{PASSWORD}"\r\n'.encode())
        assert word(c).startswith(b"a NO [PRIVACYREQUIRED]")
        c.sendall(b"b AUTHENTICATE PLAIN\r\n")
        assert word(c).startswith(b"b NO [PRIVACYREQUIRED]")
        c.close()
        c = connect(NEAR, HERE, 1100)
        word(c)
        c.sendall(b"USER ann\r\n")
        assert word(c).startswith(b"-ERR")
        c.close()

        def guess(frm, name, password):
            t = tls_wrap(connect(frm, HERE, 9930))
            word(t)
            t.sendall(f'a LOGIN {name} "{password}"\r\n'.encode())
            got = word(t)
            while b"a " not in got:
                got += word(t)
            t.close()
            return b"a OK" in got
        assert guess(NEAR, "ann", PASSWORD)
        assert not guess(FAR, "x1", "x") and not guess(FAR, "x2", "x")
        assert guess(FAR, "ann", PASSWORD)  # the bound is not reached
        assert not guess(FAR, "x3", "x")
        assert not guess(FAR, "ann", PASSWORD)  # it is; with the right one too
        assert guess(NEAR, "ann", PASSWORD)  # nobody else is locked out
        assert PASSWORD not in s.tail(1 << 20)


def full_disk(top):
    """R99 R108: new mail is refused for now, what is there is read and
    expunged, and with room again all goes on."""
    s = Server(users=("ann",), data=top, settings=["segment_bytes=4194304", "index_commit_ms=1"])
    filler = Path(top) / "filler"
    with s:
        for i in range(5):
            s.deliver(message(i), "ann")
        st = os.statvfs(top)
        with open(filler, "wb", buffering=0) as f:
            try:
                for _ in range(st.f_blocks):
                    f.write(b"\0" * st.f_bsize)
            except OSError:
                pass
        big = b"Subject: big\r\n\r\n" + os.urandom(400000).hex().encode()
        big = b"\r\n".join([big[:17]] + [big[i:i + 76] for i in range(17, len(big), 76)]) + b"\r\n"
        codes = []
        with s.lmtp() as c:
            c.lhlo()
            while not codes or codes[-1] == 250:
                codes.append(c.send(big, "ann")[0][0])
                assert len(codes) < 100
            assert 400 <= codes[-1] < 500, codes
        with s.imap("ann") as c:
            c.select()
            uids = c.uids()
            assert len(uids) == 5 + codes.count(250), codes
            assert c.body(uids[0])
            r = c.cmd(["APPEND INBOX ", big])[1]
            assert r.startswith(b"NO ["), r
            c.ok(f"UID STORE {uids[0]} +FLAGS (\\Deleted)")
            c.ok("EXPUNGE")
            assert c.uids() == uids[1:]
        filler.unlink()
        end = time.monotonic() + 30
        while True:
            with s.lmtp() as c:
                c.lhlo()
                if c.send(big, "ann")[0][0] == 250:
                    break
            assert time.monotonic() < end, s.tail()
            time.sleep(0.2)
        with s.imap("ann") as c:
            c.select()
            assert len(c.uids()) == len(uids)
        s.restart()
        with s.imap("ann") as c:
            c.select()
            assert len(c.uids()) == len(uids)
        assert s.cli("check", "--full").stdout.strip().endswith(b"0 faults")


def inside(how, setup, what):
    unshare = shutil.which("unshare")
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    if os.geteuid() != 0 or not unshare or not shutil.which("ip", path=path):
        pytest.skip("needs root, unshare and ip")
    if subprocess.run([unshare, how, "true"], capture_output=True).returncode != 0:
        pytest.skip("no namespaces here")
    r = subprocess.run([unshare, how, "sh", "-ec", f"{setup} exec {sys.executable} {__file__} {what}"],
                       capture_output=True, timeout=150, env=dict(os.environ, PATH=path))
    assert r.returncode == 0, r.stdout.decode()[-3000:] + r.stderr.decode()[-5000:]


def test_one_address():
    adds = "".join(f"ip addr add {a}/32 dev lo; " for a in (HERE, NEAR, FAR))
    adds += "".join(f"ip addr add {a}/128 dev lo nodad; " for a in (HERE6, SAME6, OTHER6))
    inside("-n", f"ip link set lo up; {adds}", "far")


def test_full_disk(tmp_path):
    inside("-m", f"mount -t tmpfs -o size=96m tmpfs {tmp_path}; chmod 711 {tmp_path};", f"full {tmp_path}")


if __name__ == "__main__":
    if sys.argv[1] == "far":
        far()
    else:
        full_disk(sys.argv[2])
