# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""A restante server of its own for a test, and small clients to talk to it.

The clients are dumb on purpose: they send bytes, and read lines and
literals; what a reply must be, the tests say.
"""
import fcntl
import hashlib
import os
import pwd
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from litter import folder

ROOT = Path(__file__).resolve().parent.parent
BUILD = Path(os.environ.get("RESTANTE_BUILD", ROOT / "build"))
RESTANTE = BUILD / "src" / "cli" / "restante"
PASSWORD = "correct horse"


def free_port():
    """A loopback port nobody has now, and that the kernel gives to nobody: a
    server that is started anew finds its port again."""
    try:
        low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError):
        low = 32768
    for _ in range(1000):
        port = random.SystemRandom().randrange(10000, low) if low > 12000 else 0
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            return s.getsockname()[1]
    raise AssertionError("no port is free")


def corpus():
    """The folder of real mail, or None."""
    p = Path(os.environ.get("RESTANTE_CORPUS", ROOT.parent / "shared" / "corpus"))
    return p if (p / "facts.jsonl").exists() else None


def no_users():
    """Settings for a server that root starts: the users of an installation
    need not be on a test machine, and where they are they may not enter
    the folders that pytest makes."""
    return [f"user_{u}=" for u in ("mail", "front", "auth", "keys")] if os.geteuid() == 0 else []


def serve_fails(data, *args):
    """restante serve that is to end by itself: its CompletedProcess."""
    args = [str(RESTANTE), "serve", "--data", str(data), *map(str, args)]
    for s in no_users():
        args += ["--set", s]
    return subprocess.run(args, capture_output=True, timeout=60)


USERS = ("restante", "restante-front", "restante-auth", "restante-keys")


def make_users(*args):
    """Has restante serve say which users are missing, and does what it
    says: their names."""
    r = subprocess.run([str(RESTANTE), "serve", *args], capture_output=True, timeout=60)
    m = re.fullmatch(r"restante serve: no user ([\w -]+); make (?:it|them) with: (.*)\n", r.stderr.decode())
    assert r.returncode == 67 and m, r
    env = dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin")
    subprocess.run(["sh", "-ec", m.group(2)], check=True, env=env, capture_output=True, timeout=60)
    return m.group(1).split()


def remove_users(names):
    for u in names:
        subprocess.run(["userdel", u], check=False, capture_output=True, timeout=60,
                       env=dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin"))


@contextmanager
def installed_users():
    """The users of an installation, as long as it lasts; nobody else on this
    machine does such a test meanwhile, as it also has fixed ports."""
    with open("/tmp/restante-test-root.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = []
        try:
            if any(not has_user(u) for u in USERS):
                made = make_users("--data", "/nonexistent/restante")
                assert all(map(has_user, USERS))
            yield made
        finally:
            remove_users(made)


def has_user(name):
    try:
        return bool(pwd.getpwnam(name))
    except KeyError:
        return False


def tls_wrap(sock, name="localhost", alpn=None, version=None):
    """TLS to a server whose certificate is its own."""
    ctx = ssl.create_default_context()
    ctx.check_hostname = False
    ctx.verify_mode = ssl.CERT_NONE
    if alpn:
        ctx.set_alpn_protocols(alpn)
    if version:
        ctx.minimum_version = ctx.maximum_version = version
    return ctx.wrap_socket(sock, server_hostname=name)


class Server:
    """restante serve in a folder of its own, on loopback, ended by pid."""

    def __init__(self, settings=(), users=("ann", "bob"), data=None, env=None):
        self.own = data is None
        self.top = Path(data or folder("restante-test"))
        self.top.chmod(0o711)
        self.data = self.top / "data"
        self.settings = list(settings) + no_users()
        # The thread sanitizer leaves no room for a large map.
        self.small = [f"index_map_bytes={1 << 30}"] if BUILD.name == "build-tsan" else []
        self.settings += self.small
        self.ports = {}
        self.config = None
        self.proc = None
        self.log = self.top / "log"
        self.env = dict(os.environ, **(env or {}))
        self.data.mkdir(exist_ok=True)
        for u in users:
            self.add_user(u)

    def cli(self, *args, input=None, check=True, timeout=60):
        """Runs a sub-command on this server's data; returns its output."""
        small = [x for s in self.small for x in ("--set", s)]
        r = subprocess.run([str(RESTANTE), *args, "--data", str(self.data), *small],
                           input=input, capture_output=True, timeout=timeout,
                           env=self.env)
        if check and r.returncode != 0:
            raise AssertionError(f"restante {' '.join(args)}: {r.returncode}"
                                 f" {r.stderr.decode(errors='replace')}")
        return r

    def add_user(self, name, password=PASSWORD):
        self.cli("user", "add", name, "--password-stdin",
                 input=password.encode() + b"\n")

    def start(self, wait=20):
        """Starts it; when somebody took a port meanwhile, on other ones."""
        for _ in range(4):
            said = self.log.stat().st_size if self.log.exists() else 0
            chosen = {p for p in ("imap", "imaps", "pop3", "pop3s", "lmtp") if p not in self.ports}
            try:
                return self.start_once(wait)
            except AssertionError:
                if not chosen or b"Address already in use" not in self.log.read_bytes()[said:]:
                    raise
                for p in chosen:
                    del self.ports[p]
        return self.start_once(wait)

    def start_once(self, wait):
        for p in ("imap", "imaps", "pop3", "pop3s", "lmtp"):
            self.ports.setdefault(p, free_port())
        args = [str(RESTANTE), "serve", "--data", str(self.data)]
        for p, n in self.ports.items():
            args += [f"--{p}", f"127.0.0.1:{n}"]
        if self.config:
            args += ["--config", str(self.config)]
        for s in self.settings:
            args += ["--set", s]
        self.logfile = open(self.log, "ab")
        self.proc = subprocess.Popen(args, stdout=subprocess.DEVNULL,
                                     stderr=self.logfile, env=self.env)
        end = time.monotonic() + wait
        while True:
            if self.proc.poll() is not None:
                raise AssertionError("restante serve ended: " + self.tail())
            try:
                for p in ("imap", "lmtp"):
                    with socket.create_connection(("127.0.0.1", self.ports[p]), 2) as s:
                        s.settimeout(5)
                        if not s.recv(10):
                            raise OSError("closed")
                return self
            except OSError:
                if time.monotonic() > end:
                    raise AssertionError("restante serve is not ready: " + self.tail())
                time.sleep(0.05)

    def tail(self, n=3000):
        return self.log.read_bytes()[-n:].decode(errors="replace") if self.log.exists() else ""

    def pids(self, title=None):
        """Process ids of the children whose title holds the text."""
        out = []
        for p in Path("/proc").glob("[0-9]*"):
            try:
                stat = (p / "stat").read_text()
                ppid = int(stat.rpartition(")")[2].split()[1])
                name = stat[stat.index("(") + 1:stat.rindex(")")]
                line = (p / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except (OSError, ValueError, IndexError):
                continue
            if self.proc and ppid == self.proc.pid and (title is None or title in name or title in line):
                out.append(int(p.name))
        return out

    def stop(self, sig=signal.SIGTERM, wait=30):
        if self.proc and self.proc.poll() is None:
            self.proc.send_signal(sig)
            try:
                self.proc.wait(wait)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()
                raise AssertionError("restante serve did not stop: " + self.tail())
        code = self.proc.returncode if self.proc else 0
        self.proc = None
        if sig == signal.SIGTERM and code not in (0, None):
            raise AssertionError(f"restante serve ended with {code}: " + self.tail())

    def kill(self):
        """When it never came to be, and nobody asks how it ended."""
        if self.proc and self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait()
        self.proc = None
        self.remove()

    def remove(self):
        if self.own and not os.environ.get("RESTANTE_KEEP"):
            shutil.rmtree(self.top, ignore_errors=True)

    def restart(self):
        self.stop()
        return self.start()

    def close(self):
        try:
            self.stop()
            text = self.log.read_text(errors="replace") if self.log.exists() else ""
            for word in ("AddressSanitizer", "runtime error:", "ThreadSanitizer", "LeakSanitizer"):
                if word in text:
                    at = text.index(word)
                    raise AssertionError("sanitizer: " + text[max(0, at - 500):at + 4000])
        finally:
            self.remove()

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.kill()
            raise

    def __exit__(self, *_):
        self.close()

    # -- clients --
    def imap(self, user=None, tls=False, password=PASSWORD):
        c = Imap(self.ports["imaps" if tls else "imap"], tls)
        c.greeting = c.line()
        if user:
            c.ok(f'LOGIN {user} "{password}"')
        return c

    def pop3(self, user=None, tls=False, password=PASSWORD):
        c = Line(self.ports["pop3s" if tls else "pop3"], tls)
        c.greeting = c.line()
        if user:
            assert c.ask(f"USER {user}").startswith(b"+OK")
            r = c.ask(f"PASS {password}")
            assert r.startswith(b"+OK"), r
        return c

    def lmtp(self):
        c = Lmtp(self.ports["lmtp"])
        c.greeting = c.reply()
        return c

    def deliver(self, message, *to, sender="sender@example.org"):
        """One message by LMTP to the users; asserts 250 for each."""
        with self.lmtp() as c:
            c.lhlo()
            for code, text in c.send(message, *to, sender=sender):
                assert code == 250, text


class Line:
    """A connection that reads lines."""

    def __init__(self, port, tls=False, timeout=30, host="127.0.0.1"):
        self.sock = socket.create_connection((host, port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buf = b""
        if tls:
            self.starttls()

    def starttls(self):
        ctx = ssl.create_default_context()
        ctx.check_hostname = False
        ctx.verify_mode = ssl.CERT_NONE
        self.sock = ctx.wrap_socket(self.sock, server_hostname="localhost")

    def write(self, data):
        self.sock.sendall(data.encode() if isinstance(data, str) else data)

    def fill(self):
        more = self.sock.recv(1 << 16)
        if not more:
            raise EOFError(f"closed; had {self.buf[-200:]!r}")
        self.buf += more

    def line(self):
        """The next line, without its CR LF."""
        while b"\r\n" not in self.buf:
            self.fill()
        line, _, self.buf = self.buf.partition(b"\r\n")
        return line

    def take(self, n):
        parts, have = [self.buf], len(self.buf)
        while have < n:
            more = self.sock.recv(min(1 << 20, n - have))
            if not more:
                raise EOFError("closed within a literal")
            parts.append(more)
            have += len(more)
        data = b"".join(parts)
        self.buf = data[n:]
        return data[:n]

    def ask(self, text):
        self.write(text.encode() + b"\r\n" if isinstance(text, str) else text + b"\r\n")
        return self.line()

    def multiline(self):
        """Lines up to a lone dot, un-stuffed (POP3)."""
        out = []
        while (x := self.line()) != b".":
            out.append(x[1:] if x.startswith(b".") else x)
        return out

    def at_end(self):
        """True when the server closes, and sends nothing before."""
        try:
            return self.buf == b"" and self.sock.recv(1) == b""
        except (ConnectionResetError, ssl.SSLError):
            return True

    def close(self):
        try:
            self.sock.close()
        except OSError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Imap(Line):
    """An IMAP client: responses are bytes, literals inline."""
    count = 0

    def response(self):
        """One whole response, literals included."""
        out = b""
        while True:
            x = self.line()
            out += x
            m = re.search(rb"\{(\d+)\}$", x)
            if not m:
                return out
            out += b"\r\n" + self.take(int(m.group(1)))

    def until(self, tag):
        """Untagged responses and the tagged one."""
        got = []
        while True:
            r = self.response()
            if r.startswith(tag.encode() + b" "):
                return got, r[len(tag) + 1:]
            got.append(r)

    def cmd(self, text):
        """Sends a command; text may be a list: strings go as they are,
        bytes as synchronising literals. Returns (untagged, tagged)."""
        self.count += 1
        tag = f"t{self.count}"
        parts = [text] if isinstance(text, (str, bytes)) else list(text)
        line = tag.encode() + b" "
        early = []
        if isinstance(parts[0], bytes):
            parts[0] = parts[0].decode("latin-1")
        for p in parts:
            if isinstance(p, str):
                line += p.encode("utf-8", "surrogateescape")
                continue
            self.write(line + b"{%d}\r\n" % len(p))
            while True:
                r = self.response()
                if r.startswith(b"+"):
                    break
                if r.startswith(tag.encode() + b" "):
                    return early, r[len(tag) + 1:]
                early.append(r)
            line = p
        self.write(line + b"\r\n")
        got, end = self.until(tag)
        return early + got, end

    def ok(self, text):
        got, end = self.cmd(text)
        assert end.startswith(b"OK"), (text, end, got)
        self.tagged = end
        return got

    def no(self, text, code=None):
        got, end = self.cmd(text)
        assert end.startswith(b"NO"), (text, end)
        assert code is None or code.encode() in end, (text, end)
        return end

    def bad(self, text):
        got, end = self.cmd(text)
        assert end.startswith(b"BAD"), (text, end)
        return end

    def select(self, box="INBOX", how="SELECT"):
        return self.ok(f'{how} "{box}"')

    def append(self, message, box="INBOX", opts=""):
        got, end = self.cmd([f'APPEND "{box}" {opts}{" " if opts else ""}', message])
        assert end.startswith(b"OK"), end
        m = re.search(rb"APPENDUID (\d+) ([\d:,]+)", end)
        return int(m.group(2)) if m and m.group(2).isdigit() else None

    def body(self, uid):
        """BODY.PEEK[] of a UID."""
        for r in self.ok(f"UID FETCH {uid} (BODY.PEEK[])"):
            m = re.search(rb"BODY\[\] \{(\d+)\}\r\n", r)
            if m:
                return r[m.end():m.end() + int(m.group(1))]
            if b'BODY[] ""' in r:
                return b""
        raise AssertionError(f"no body of UID {uid}")

    def uids(self):
        for r in self.ok("UID SEARCH ALL"):
            if r.startswith(b"* SEARCH"):
                return [int(x) for x in r.split()[2:]]
        return []


class Lmtp(Line):
    @classmethod
    def at(cls, path):
        """Over a UNIX socket; its greeting is read."""
        c = cls.__new__(cls)
        c.sock = socket.socket(socket.AF_UNIX)
        c.sock.settimeout(30)
        c.sock.connect(str(path))
        c.buf = b""
        c.greeting = c.reply()
        assert c.greeting[0] == 220, c.greeting
        return c

    def reply(self):
        """(code, text) of one reply, which may have several lines."""
        lines = []
        while True:
            x = self.line()
            lines.append(x[4:])
            if x[3:4] != b"-":
                return int(x[:3]), b"\n".join(lines).decode(errors="replace")

    def ask(self, text):
        self.write(text.encode("utf-8", "surrogateescape") + b"\r\n" if isinstance(text, str) else text + b"\r\n")
        return self.reply()

    def lhlo(self):
        code, text = self.ask("LHLO test.example")
        assert code == 250, text
        self.extensions = text.split("\n")[1:]

    def send(self, message, *to, sender="sender@example.org", bdat=False):
        """MAIL, RCPTs, DATA; a list of replies, one for each accepted
        recipient (refused recipients' replies come first)."""
        code, text = self.ask(f"MAIL FROM:<{sender}>")
        assert code == 250, text
        replies, good = [], 0
        for t in to:
            r = self.ask(f"RCPT TO:<{t}>")
            if r[0] == 250:
                good += 1
            else:
                replies.append(r)
        if not good:
            return replies
        if bdat:
            self.write(b"BDAT %d LAST\r\n" % len(message) + message)
        else:
            code, text = self.ask("DATA")
            assert code == 354, text
            self.write(stuff(message))
        return replies + [self.reply() for _ in range(good)]


def crlf(data):
    """Bare LF made CR LF; the rest as it is."""
    return re.sub(rb"(?<!\r)\n", b"\r\n", data)


def stuff(message):
    """As it goes after DATA: dot-stuffed, ended."""
    if not message.endswith(b"\r\n"):
        message += b"\r\n"
    return re.sub(rb"(?m)^\.", b"..", message) + b".\r\n"


def sha(data):
    return hashlib.sha256(data).hexdigest()


def message(n=1, subject="a test", body=b"Hello\r\n", **headers):
    """A small message."""
    h = {"From": "Ann <ann@example.org>", "To": "bob@example.org",
         "Subject": f"{subject} {n}", "Date": "Mon, 02 Jan 2006 15:04:05 +0100",
         "Message-ID": f"<m{n}@example.org>"}
    h.update({k.replace("_", "-"): v for k, v in headers.items()})
    head = "".join(f"{k}: {v}\r\n" for k, v in h.items() if v is not None)
    return head.encode() + b"\r\n" + body


class Background(threading.Thread):
    """Runs fn in a thread; result() gives its value or raises its error."""

    def __init__(self, fn, *args):
        super().__init__(daemon=True)
        self.fn, self.args_, self.error, self.value = fn, args, None, None
        self.start()

    def run(self):
        try:
            self.value = self.fn(*self.args_)
        except BaseException as e:  # handed to result()
            self.error = e

    def result(self, timeout=120):
        self.join(timeout)
        assert not self.is_alive(), "still running"
        if self.error:
            raise self.error
        return self.value
