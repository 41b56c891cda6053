# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""Installed, and started by root: users of their own, ports below 1024."""
import os
import pwd
import re
import shutil
import socket
import stat
import subprocess
import time
from pathlib import Path

import pytest

from harness import (BUILD, PASSWORD, RESTANTE, USERS, Imap, Line, Lmtp, has_user, installed_users, make_users, message,
                     remove_users)
from litter import folder

OWNER = {"front": "restante-front", "intake": "restante-front", "auth": "restante-auth", "keys": "restante-keys",
         "mail": "restante"}
POSTFIX = Path("/var/spool/postfix/private")
HOST = "127.0.7.143"


# One at a time: they share users, ports, and Postfix's folder.
pytestmark = pytest.mark.xdist_group("root")
root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has users for its processes")


@pytest.fixture(scope="module")
def users():
    """The users of an installation: those that lack are made as serve says,
    and removed afterwards."""
    with installed_users() as made:
        yield made


def owner(path):
    return pwd.getpwuid(os.lstat(path).st_uid).pw_name


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


def test_install(tmp_path):
    """Each file where it belongs; the unit names the program."""
    meson = shutil.which("meson")
    if meson is None or not (BUILD / "build.ninja").exists():
        pytest.skip("no meson, or no build folder")
    subprocess.run([meson, "install", "-C", str(BUILD), "--no-rebuild", "--destdir", str(tmp_path)], check=True,
                   capture_output=True, timeout=120)
    files = {str(p.relative_to(tmp_path)): p for p in tmp_path.rglob("*") if p.is_file()}
    [prefix] = {n[:-len("bin/restante")] for n in files if n.endswith("bin/restante")}
    assert set(files) == {prefix + n for n in (
        "bin/restante", "share/man/man1/restante.1", "share/man/man5/restante.conf.5",
        "share/man/man8/restante-serve.8", "lib/systemd/system/restante.service", "lib/sysusers.d/restante.conf")}
    assert mode(files[prefix + "bin/restante"]) & 0o111
    unit = files[prefix + "lib/systemd/system/restante.service"].read_text()
    assert f"ExecStart=/{prefix}bin/restante serve\n" in unit
    users = files[prefix + "lib/sysusers.d/restante.conf"].read_text()
    assert re.findall(r"(?m)^u (\S+)", users) == list(USERS)
    conf = files[prefix + "share/man/man5/restante.conf.5"].read_text()
    for line in subprocess.run([str(RESTANTE), "settings", "--data", str(tmp_path)], check=True, capture_output=True,
                               timeout=20).stdout.decode().splitlines():
        if m := re.match(r"(\w+) = ", line):
            assert m.group(1) in conf, f"{m.group(1)} is not in the manual"
    sysusers = shutil.which("systemd-sysusers")
    if sysusers:
        (tmp_path / "etc").mkdir()
        subprocess.run([sysusers, f"--root={tmp_path}", "restante.conf"], check=True, capture_output=True, timeout=20)
        made = (tmp_path / "etc" / "passwd").read_text()
        assert all(f"{u}:" in made for u in USERS)


@pytest.fixture
def office(users):
    """As root, with the users and ports of an installation, at an address of
    this machine alone; LMTP where it is without being told."""
    for port in (143, 993, 110, 995):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind((HOST, port))
            except OSError:
                pytest.skip(f"port {port} is taken")
    top = folder("restante-root", "/var/tmp")
    top.chmod(0o755)
    data = top / "var" / "lib" / "data"

    def cli(*args, input=None, check=True):
        r = subprocess.run([str(RESTANTE), *args, "--data", str(data)], input=input, capture_output=True, timeout=60)
        assert not check or r.returncode == 0, r
        return r

    for u in ("ann", "bob"):
        cli("user", "add", u, "--password-stdin", input=PASSWORD.encode() + b"\n")
    cli("deliver", "--user", "ann", input=message(1))
    args = [str(RESTANTE), "serve", "--data", str(data)]
    for name, port in (("imap", 143), ("imaps", 993), ("pop3", 110), ("pop3s", 995)):
        args += [f"--{name}", f"{HOST}:{port}"]
    s = Running(top, data, args, cli)
    try:
        s.start()
        yield s
    finally:
        s.stop()
        shutil.rmtree(top, ignore_errors=True)


class Running:
    def __init__(self, top, data, args, cli):
        self.top, self.data, self.args, self.cli = top, data, args, cli
        self.starts = 0

    def start(self):
        self.starts += 1
        with open(self.top / "log", "ab") as log:
            self.proc = subprocess.Popen(self.args, stdout=log, stderr=log)
        self.wait("restante: ready", self.starts)

    def stop(self):
        if self.proc.poll() is None:
            self.proc.terminate()
        return self.proc.wait(30)

    def text(self):
        return (self.top / "log").read_text(errors="replace")

    def wait(self, text, count=1):
        end = time.monotonic() + 20
        while self.text().count(text) < count:
            assert self.proc.poll() is None and time.monotonic() < end, self.text()
            time.sleep(0.05)

    def children(self):
        """{pid: what it is}"""
        out = {}
        for p in Path(f"/proc/{self.proc.pid}/task/{self.proc.pid}/children").read_text().split():
            try:
                words = Path(f"/proc/{p}/cmdline").read_bytes().split(b"\0")[0].decode().split()
            except FileNotFoundError:
                continue
            if words:  # else it has just died
                out[int(p)] = words[0]
        return out

    def imap(self, user="ann", port=143, tls=False):
        c = Imap(port, tls, host=HOST)
        c.line()
        c.ok(f'LOGIN {user} "{PASSWORD}"')
        return c

    def lmtp(self):
        """Over the socket in DATA/run."""
        c = Lmtp.at(self.data / "run" / "lmtp.sock")
        c.lhlo()
        return c


def check_owners(office):
    assert owner(office.data) == "restante" and mode(office.data) == 0o711
    for name, who, bits in (("auth", "restante-auth", 0o700), ("tls", "root", 0o700), ("run", "root", 0o711),
                            ("log", "restante", 0o700), ("index", "restante", 0o700)):
        assert (owner(office.data / name), mode(office.data / name)) == (who, bits), name
    for p in office.data.rglob("*"):
        top = p.relative_to(office.data).parts[0]
        if not p.is_file():
            continue
        assert owner(p) == {"auth": "restante-auth", "tls": "root", "run": "root"}.get(top, "restante"), p
        if top != "run" and p.name != "cert.pem":
            assert mode(p) & 0o077 == 0, (p, oct(mode(p)))


@root
def test_as_root(office):
    # Each process as its user, with no group of root's and no capability.
    kinds = office.children()
    assert set(kinds.values()) == set(OWNER), kinds
    for pid, kind in kinds.items():
        status = Path(f"/proc/{pid}/status").read_text()
        u = pwd.getpwnam(OWNER[kind])
        assert re.search(r"(?m)^Uid:\s+(.*)$", status).group(1).split() == [str(u.pw_uid)] * 4, kind
        assert re.search(r"(?m)^Gid:\s+(.*)$", status).group(1).split() == [str(u.pw_gid)] * 4, kind
        assert re.search(r"(?m)^Groups:[ \t]*(.*)$", status).group(1).split() == [], kind
        for which in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(re.search(rf"(?m)^{which}:\s+(\w+)$", status).group(1), 16) == 0, (kind, which)
        if kind in ("front", "intake", "keys"):
            assert "(deleted)" in os.readlink(f"/proc/{pid}/root"), kind
    check_owners(office)
    # What root's commands wrote before the start is served; mail comes in.
    with office.lmtp() as c:
        assert c.send(message(2), "ann", "bob")[0][0] == 250
    for port, tls in ((143, False), (993, True)):
        with office.imap("ann", port, tls) as c:
            c.select()
            assert len(c.uids()) == 2
    for port, tls in ((110, False), (995, True)):
        with Line(port, tls, host=HOST) as c:
            c.line()
            assert c.ask("USER ann").startswith(b"+OK") and c.ask(f"PASS {PASSWORD}").startswith(b"+OK")
            assert c.ask("STAT").split()[1] == b"2"
    # Root's commands ask the server, whose files stay its own.
    office.cli("user", "add", "carol", "--password-stdin", input=PASSWORD.encode() + b"\n")
    office.cli("deliver", "--user", "carol", input=message(3))
    office.cli("backup", str(office.top / "backup"))
    assert b"ann" in office.cli("user", "list").stdout
    assert office.cli("check", "--full").returncode == 0
    with office.imap("carol") as c:
        assert b"carol" in office.cli("who").stdout
        c.select()
        assert len(c.uids()) == 1
    check_owners(office)
    # A reload needs the key, which root alone can read.
    before = office.text().count("level=error")
    os.kill(office.proc.pid, 1)
    time.sleep(0.5)
    with office.imap("bob", 993, True) as c:
        c.ok("NOOP")
    # A child that dies comes back with its user.
    for pid, kind in kinds.items():
        if kind in ("auth", "mail"):
            os.kill(pid, 9)
            end = time.monotonic() + 20
            while [k for p, k in office.children().items() if p != pid].count(kind) != 1:
                assert time.monotonic() < end
                time.sleep(0.05)
    end = time.monotonic() + 20
    while True:
        try:
            with office.imap("carol") as c:
                c.select()
                assert len(c.uids()) == 1
            break
        except (AssertionError, EOFError, OSError):
            assert time.monotonic() < end, office.text()
            time.sleep(0.2)
    for pid, kind in office.children().items():
        assert os.stat(f"/proc/{pid}").st_uid in (0, pwd.getpwnam(OWNER[kind]).pw_uid)
        assert f"Uid:\t{pwd.getpwnam(OWNER[kind]).pw_uid}\t" in Path(f"/proc/{pid}/status").read_text()
    assert office.text().count("level=error") == before, office.text()
    # Stopped, its sockets are gone, and root's commands work on the data;
    # what these write is the users' at the next start.
    assert office.stop() == 0
    assert not list((office.data / "run").glob("*.sock"))
    assert office.cli("check", "--full").returncode == 0
    office.cli("user", "add", "dave", "--password-stdin", input=PASSWORD.encode() + b"\n")
    office.cli("deliver", "--user", "dave", input=message(4))
    office.start()
    check_owners(office)
    with office.lmtp() as c:
        assert c.send(message(5), "dave")[0][0] == 250
    with office.imap("dave") as c:
        c.select()
        assert len(c.uids()) == 2


def connects(path, user):
    """Whether a process of the user's may connect."""
    code = f"import socket; socket.socket(socket.AF_UNIX).connect({str(path)!r})"
    return subprocess.run(["/usr/bin/python3", "-c", code], user=user, group=pwd.getpwnam(user).pw_gid, extra_groups=[],
                          cwd="/", capture_output=True, timeout=20).returncode == 0


@root
def test_sockets(office):
    """Postfix may connect, and nobody else; the control sockets are root's."""
    run = office.data / "run"
    for name in ("control.sock", "auth.sock"):
        assert owner(run / name) == "root" and mode(run / name) == 0o600, name
        assert not connects(run / name, "nobody"), name
    assert not connects(run / "lmtp.sock", "nobody")
    if not has_user("postfix"):
        pytest.skip("no Postfix here (script/setup clients)")
    assert (owner(run / "lmtp.sock"), mode(run / "lmtp.sock")) == ("postfix", 0o660)
    assert connects(run / "lmtp.sock", "postfix")
    if POSTFIX.is_dir():
        assert (owner(POSTFIX / "restante"), mode(POSTFIX / "restante")) == ("postfix", 0o600)
        assert connects(POSTFIX / "restante", "postfix") and not connects(POSTFIX / "restante", "nobody")
        office.stop()
        assert not (POSTFIX / "restante").exists()


@root
def test_selftest_as_root(office):
    """What is denied holds for processes that root started."""
    out = office.cli("selftest").stdout.decode()
    for proc in ("front", "intake", "keys", "auth", "mail"):
        part = re.search(rf"(?ms)^{proc}:$(.*?)(?=^\w+:$|\Z)", out).group(1)
        rows = dict(re.findall(r"(?m)^\s+(\w+) (denied|allowed)", part))
        for call in ("execve", "ptrace", "fork"):
            assert rows.get(call) == "denied", (proc, call, out)


@root
def test_missing_users(tmp_path):
    """The error names the users that lack, and one command that makes them;
    then it serves. One may be missing, or all."""
    names = {u: f"restante-t{os.getpid()}-{u}" for u in ("mail", "front", "auth", "keys")}
    top = folder("restante-root", "/var/tmp")
    top.chmod(0o711)
    args = ["--data", str(top / "d")]
    for u, n in names.items():
        args += ["--set", f"user_{u}={n}"]
    made = []
    try:
        made = make_users(*args)
        assert set(made) == set(names.values()) and all(map(has_user, made)) and not (top / "d").exists()
        remove_users([names["auth"]])
        assert make_users(*args) == [names["auth"]]
        for p in ("imap", "imaps", "pop3", "pop3s"):
            args += [f"--{p}", "127.0.7.143:0"]
        s = Running(top, top / "d", [str(RESTANTE), "serve", *args, "--lmtp", str(top / "lmtp")], None)
        try:
            s.start()
            assert owner(top / "d") == names["mail"] and owner(top / "d" / "auth") == names["auth"]
            with Lmtp.at(top / "lmtp") as c:
                c.lhlo()
        finally:
            s.stop()
    finally:
        remove_users(made)
        shutil.rmtree(top, ignore_errors=True)
    assert not any(map(has_user, names.values()))


@root
def test_users_cannot_reach_the_data(users):
    """A folder of root's alone above DATA is told at the start."""
    top = folder("restante-root")
    try:
        assert mode(top) == 0o700
        r = subprocess.run([str(RESTANTE), "serve", "--data", str(top / "a" / "d"), "--imap", "127.0.0.1:0"],
                           capture_output=True, timeout=20)
        assert r.returncode == 77 and f"chmod o+x {top}\n".encode() in r.stderr, r.stderr
    finally:
        shutil.rmtree(top)


@root
def test_read_only_system(users):
    """As the unit runs it: everything read-only but DATA and /tmp, few
    capabilities, its umask."""
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0:
        pytest.skip("no mount namespaces here")
    top = folder("restante-root", "/var/tmp")
    top.chmod(0o755)
    (top / "log").touch()
    unit = (BUILD / "dist" / "restante.service").read_text()
    caps = "".join(f",+{c[4:].lower()}" for c in re.search(r"(?m)^CapabilityBoundingSet=(.*)", unit).group(1).split())
    mask = re.search(r"(?m)^UMask=(.*)", unit).group(1)
    script = (f"mount --bind {top} {top} && mount -t tmpfs none /tmp && mount -o remount,bind,ro / && "
              'for m in /run /var; do mountpoint -q "$m" && mount -o remount,bind,ro "$m"; done; '
              f"umask {mask}; exec setpriv --bounding-set -all{caps} --no-new-privs {RESTANTE} serve --data {top}/d "
              f"--imap {HOST}:0 --imaps {HOST}:0 --pop3 {HOST}:0 --pop3s {HOST}:0 --lmtp {top}/lmtp")
    if str(RESTANTE).startswith("/tmp/"):
        pytest.skip("the program itself is in /tmp")
    proc = subprocess.Popen(["unshare", "-m", "sh", "-c", script], stdout=open(top / "log", "ab"),
                            stderr=subprocess.STDOUT)
    try:
        end = time.monotonic() + 20
        while "restante: ready" not in (text := (top / "log").read_text()):
            assert proc.poll() is None and time.monotonic() < end, text
            time.sleep(0.05)
        time.sleep(0.5)
        text = (top / "log").read_text()
        assert "level=error" not in text and "died" not in text, text
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(str(top / "lmtp"))
            assert s.recv(100).startswith(b"220")
    finally:
        if proc.poll() is None:
            proc.terminate()
            proc.wait(30)
        shutil.rmtree(top, ignore_errors=True)
