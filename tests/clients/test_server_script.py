# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""script/server, and every line that it prints, as it stands."""
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager, nullcontext

import pytest

from harness import BUILD, ROOT, installed_users
from litter import folder

pytestmark = pytest.mark.xdist_group("root")


@contextmanager
def checkout(user):
    """What script/server needs, beside the build that is there already."""
    top = folder("restante-script", "/var/tmp")
    top.chmod(0o755)
    try:
        for d in ("script", "samples"):
            shutil.copytree(ROOT / d, top / d)
        os.symlink(BUILD, top / "build")
        if user:
            shutil.chown(top, user)
        yield top
    finally:
        shutil.rmtree(top, ignore_errors=True)


class Demo:
    def __init__(self, top, user, *args):
        self.top, self.args = top, [str(top / "script" / "server"), *args]
        self.kw = dict(cwd=top, env=dict(os.environ, HOME=str(top)))
        if user:
            self.kw.update(user=user, group=user == "nobody" and "nogroup" or user, extra_groups=[])

    def start(self):
        with open(self.top / "out", "wb") as out:
            self.proc = subprocess.Popen(self.args, stdout=out, stderr=out, stdin=subprocess.DEVNULL, **self.kw)
        end = time.monotonic() + 120
        while "restante: ready" not in self.text():
            assert self.proc.poll() is None and time.monotonic() < end, self.text()
            time.sleep(0.1)
        return self.text()

    def text(self):
        return (self.top / "out").read_text()

    def sh(self, line, **kw):
        return subprocess.run(["bash", "-c", line], capture_output=True, timeout=60, **self.kw, **kw)

    def stop(self):
        """Ctrl-C."""
        if self.proc.poll() is None:
            self.proc.send_signal(signal.SIGINT)
        assert self.proc.wait(30) == 0, self.text()


def telnet(demo, lines):
    """Typed at a terminal."""
    me, it = pty.openpty()
    p = subprocess.Popen(["bash", "-c", lines[0]], stdin=it, stdout=it, stderr=it, **demo.kw)
    os.close(it)
    got = b""

    def until(word):
        nonlocal got
        end = time.monotonic() + 20
        while word not in got:
            assert time.monotonic() < end, got
            got += os.read(me, 65536)
    try:
        until(b"ready")
        for x in lines[1:]:
            os.write(me, x.encode() + b"\n")
            until(b"\n" + x.split()[0].encode() + b" OK")
    finally:
        p.kill()
        p.wait()
        os.close(me)
    return got


@pytest.mark.parametrize("user", [None, "nobody"])
def test_script_server(user):
    if user and os.geteuid() != 0:
        pytest.skip("only root can be another")
    for tool in ("curl", "telnet", "swaks", "ninja"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed (script/setup demo)")
    if not (BUILD / "build.ninja").exists():
        pytest.skip("no build folder")
    if user and subprocess.run(["test", "-x", str(BUILD / "src" / "cli" / "restante"), "-a", "-w", "/var/tmp"], user=user,
                               extra_groups=[]).returncode != 0:
        pytest.skip("the build is root's alone")
    with installed_users() if os.geteuid() == 0 else nullcontext(), checkout(user) as top:
        # A port that is taken: the next free one.
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", 31143))
            taken.listen()
            demo = Demo(top, user, "30000")
            text = demo.start()
        try:
            assert "127.0.0.1:31144/" in text and "127.0.0.1:31143" not in text
            password = re.search(r"password +(\S+)", text).group(1)
            curls = re.findall(r"(?m)^ +(?:curl +)?(curl -u .*)$", text)
            assert len(curls) == 3
            for line, want in zip(curls, (b'"INBOX"', b"Welcome to restante", b"Welcome to restante")):
                r = demo.sh(line)
                assert r.returncode == 0 and want in r.stdout, (line, r)
            part = text[text.index("  telnet"):text.index("  mail program")]
            lines = [x[12:] for x in part.splitlines() if not x[12:].startswith("(")]
            assert lines[0].startswith("telnet ") and len(lines) == 6
            got = telnet(demo, lines)
            assert b"* 12 EXISTS" in got and b"BODY[2] {" in got and b"Welcome: your mail is waiting" in got
            for proto in ("IMAP", "POP3"):
                tls, clear = re.search(rf"{proto}  127.0.0.1 port (\d+) SSL/TLS \(or (\d+) STARTTLS\)", text).groups()
                cert = re.search(r"self-signed: (\S+)", text).group(1)
                p = proto.lower()
                trust = f"curl -sS --cacert {cert} -u demo:{password}"
                assert demo.sh(f"{trust} {p}s://localhost:{tls}/").returncode == 0
                assert demo.sh(f"{trust} --ssl-reqd {p}://localhost:{clear}/").returncode == 0
            [deliver] = re.findall(r"new mail +(\S.*)", text)
            assert demo.sh(deliver).returncode == 0
            [swaks] = re.findall(r"(?m)^ +(swaks .*)$", text)
            assert demo.sh(swaks).returncode == 0
            assert demo.sh(f"{curls[0]} -X 'STATUS INBOX (MESSAGES)'").stdout == b'* STATUS "INBOX" (MESSAGES 14)\r\n'
            # Another start says what the first said, and goes.
            again = subprocess.run(demo.args, capture_output=True, timeout=60, text=True, **demo.kw)
            assert again.returncode == 0 and password in again.stdout and "runs already" in again.stdout
        finally:
            demo.stop()
        # What is there is started again.
        text = demo.start()
        try:
            assert re.search(r"password +(\S+)", text).group(1) == password and "messages read" not in text
            r = demo.sh(re.findall(r"(?m)^ +curl +(curl -u .*)$", text)[0] + " -X 'STATUS INBOX (MESSAGES)'")
            assert b"(MESSAGES 14)" in r.stdout, r
        finally:
            demo.stop()


def test_script_server_says_how():
    r = subprocess.run([str(ROOT / "script" / "server"), "--help"], capture_output=True, timeout=20)
    assert r.returncode == 64 and b"script/server [PORT-OFFSET]" in r.stdout
