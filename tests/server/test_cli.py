# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""Each sub-command by itself: --help, --data, exit codes as sysexits.h has
them, errors of one line that say what to do. R123"""
import os
import re
import subprocess

import pytest

from harness import PASSWORD, RESTANTE, message

USAGE, DATAERR, NOINPUT, NOUSER, UNAVAILABLE, CANTCREAT, TEMPFAIL, CONFIG = 64, 65, 66, 67, 69, 73, 75, 78

# The words, the code, what the one line holds. {top} is a folder with a file
# "text" in it; ann has the mailboxes that everybody has, and the alias p.
WRONG = [
    ("user", USAGE, "add, passwd, list"),
    ("user frob", USAGE, "add, passwd, list"),
    ("user add", USAGE, "too few arguments; see restante user --help"),
    ("user add x y", USAGE, "too many arguments"),
    ("user add x", USAGE, "--password-stdin"),
    ("user add x --password-stdin", NOINPUT, "no password"),
    ("user show nobody", NOUSER, "no such account"),
    ("user disable nobody", NOUSER, "no such account"),
    ("user remove nobody", NOUSER, "no such account"),
    ("user import {top}/no", NOINPUT, "cannot open {top}/no"),
    ("alias", USAGE, "add ADDRESS NAME"),
    ("alias add x nobody", NOUSER, "no such account"),
    ("alias add p ann", CANTCREAT, "another alias's"),
    ("alias remove x", NOUSER, "no such alias"),
    ("mailbox", USAGE, "create USER NAME"),
    ("mailbox list", USAGE, "too few"),
    ("mailbox list nobody", NOUSER, "no such account"),
    ("mailbox create ann Sent", CANTCREAT, 'mailbox "Sent" is there already'),
    ("mailbox create ann X --use frob", DATAERR, "archive drafts"),
    ("mailbox rename ann x y", NOUSER, 'no mailbox "x"'),
    ("mailbox rename ann Sent Trash", CANTCREAT, 'mailbox "Trash" is there already'),
    ("mailbox delete ann x", NOUSER, 'no mailbox "x"'),
    ("mailbox delete ann INBOX", UNAVAILABLE, 'mailbox "INBOX" cannot be changed so'),
    ("who", TEMPFAIL, "no server runs on"),
    ("kick ann", TEMPFAIL, "no server runs on"),
    ("deliver", USAGE, "--user NAME"),
    ("deliver --user nobody", DATAERR, "no message"),
    ("deliver --user ann", DATAERR, "no message"),
    ("import", USAGE, "too few"),
    ("import {top}/text", USAGE, "--user NAME"),
    ("import {top}/no --user ann", NOINPUT, "cannot open {top}/no"),
    ("import {top}/text --user ann", NOINPUT, "holds no mail that is known here"),
    ("import {top} --user ann", NOINPUT, "holds no mail that is known here"),
    ("import {top}/text --user ann --kind frob", USAGE, "maildir, mbox, mh or eml"),
    ("export {top}/e", USAGE, "--user NAME"),
    ("export {top}/e --user nobody", NOUSER, "no such account"),
    ("export {top}/e --user ann --kind frob", USAGE, "maildir or mbox"),
    ("export {top} --user ann", CANTCREAT, "is not empty"),
    ("export /proc/x/y --user ann", CANTCREAT, "cannot make /proc/x/y"),
    ("check --ful", USAGE, "no option --ful here"),
    ("backup", USAGE, "too few"),
    ("backup {top}", CANTCREAT, "is not empty"),
    ("restore {top}", NOINPUT, "holds no complete backup"),
    ("restore {top}/no", NOINPUT, "holds no complete backup"),
    ("rebuild x", USAGE, "too many"),
    ("compact x", USAGE, "too many"),
    ("stats x", USAGE, "too many"),
    ("selftest x", USAGE, "too many"),
    ("settings x", USAGE, "too many"),
    ("serve x", USAGE, "too many"),
    ("serve --imap", USAGE, "no option --imap here, or its value is missing"),
    ("settings --set", USAGE, "no option --set here, or its value is missing"),
    ("settings --set imap", CONFIG, "NAME=VALUE"),
    ("settings --set idle_second=5", CONFIG, 'no setting is called "idle_second"; the nearest is idle_s'),
    ("settings --set idle_s=abc", CONFIG, 'idle_s cannot be "abc": say a number from'),
    ("settings --set message_size_max=0", CONFIG, "say a number from"),
    ("settings --config {top}/no", CONFIG, "cannot read {top}/no"),
    ("settings --config {top}/text", CONFIG, "{top}/text, line 1"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    top = tmp_path_factory.mktemp("cli")
    (top / "text").write_text("vm\nnothing = 1\n")
    for args, stdin in (("user add ann --password-stdin", PASSWORD), ("alias add p ann", ""), ("mailbox list ann", "")):
        subprocess.run([str(RESTANTE), *args.split(), "--data", str(top / "data")], input=stdin.encode(), check=True,
                       capture_output=True)
    return top


def run(data, *args, input=b""):
    return subprocess.run([str(RESTANTE), *args, "--data", str(data / "data")], input=input, capture_output=True,
                          timeout=60)


@pytest.mark.parametrize("args,code,word", WRONG)
def test_wrong(data, args, code, word):
    r = run(data, *args.format(top=data).split())
    said = r.stderr.decode()
    assert r.returncode == code, r
    assert word.format(top=data) in said, said
    assert said.startswith(f"restante {args.split()[0]}: ") and said.count("\n") == 1 and r.stdout == b"", r


def test_no_data(tmp_path):
    """Nothing but a first account makes the folder; a typing error in --data
    is told."""
    for args in ("user list", "user show ann", "alias list", "mailbox list ann", "who", "kick ann", "stats", "check",
                 "compact", "rebuild", f"backup {tmp_path}/b", f"export {tmp_path}/e --user ann"):
        r = run(tmp_path, *args.split())
        assert r.returncode == NOINPUT and f"there is no {tmp_path}/data; --data DIR".encode() in r.stderr, r
        assert r.stderr.count(b"\n") == 1 and os.listdir(tmp_path) == [], r
    deep = tmp_path / "a" / "b"
    r = run(deep, "user", "add", "ann", "--password-stdin", input=b"pw\n")
    assert r.returncode == 0 and (deep / "data").stat().st_mode & 0o777 == 0o700, r


def test_names_on_one_line(data):
    """What a name holds cannot make a second line."""
    for name in ("a\nb", "\x1b[31mx", "x\r"):
        r = run(data, "mailbox", "delete", "ann", name)
        assert r.returncode in (NOUSER, DATAERR) and r.stderr.count(b"\n") == 1, r
        assert b"\x1b" not in r.stderr and b"\r" not in r.stderr, r


def test_help():
    top = subprocess.run([str(RESTANTE), "--help"], capture_output=True, check=True).stdout.decode()
    names = re.findall(r"(?m)^  ([a-z]+) ", top)
    assert len(names) >= 17
    for n in names:
        for h in ("--help", "-h"):
            r = subprocess.run([str(RESTANTE), n, h], capture_output=True, timeout=20)
            assert r.returncode == 0 and r.stderr == b"" and r.stdout.startswith(f"usage: restante {n}".encode()), r
            assert b"--data DIR" in r.stdout and b"--config FILE" in r.stdout
    for args, code in ((["frob"], USAGE), ([], USAGE), (["--frob"], USAGE)):
        assert subprocess.run([str(RESTANTE), *args], capture_output=True).returncode == code


def test_config_file(tmp_path):
    """--config is read by every command, the line of an error is named."""
    conf = tmp_path / "restante.conf"
    conf.write_text("# a comment\n\nmessage_size_max = 2k\n")
    run(tmp_path, "user", "add", "ann", "--password-stdin", input=b"pw\n")
    r = run(tmp_path, "deliver", "--user", "ann", "--config", str(conf), input=message(1, body=b"x" * 5000))
    assert r.returncode == DATAERR and b"message_size_max (2048)" in r.stderr, r
    assert run(tmp_path, "deliver", "--user", "ann", input=message(1, body=b"x" * 5000)).returncode == 0
    assert b"\nmessage_size_max = 2048\n" in run(tmp_path, "settings", "--config", str(conf)).stdout
    assert b"\nidle_s = 99\n" in run(tmp_path, "settings", "--set", "idle_s=99", "--config", str(conf)).stdout
    conf.write_text("# a comment\n\nmesage_size_max = 2k\n")
    for command in ("check", "settings", "who"):
        r = run(tmp_path, command, "--config", str(conf))
        assert r.returncode == CONFIG and f"{conf}, line 3".encode() in r.stderr and b"message_size_max" in r.stderr, r


def test_export_one_mailbox(tmp_path):
    run(tmp_path, "user", "add", "ann", "--password-stdin", input=b"pw\n")
    for box in ("INBOX", "Work"):
        assert run(tmp_path, "deliver", "--user", "ann", "--mailbox", box, input=message(1)).returncode == 0
    r = run(tmp_path, "export", str(tmp_path / "e"), "--user", "ann", "--mailbox", "Work", "--kind", "mbox")
    assert r.returncode == 0 and r.stdout == b"1 messages\n", r
    assert [f.name for f in (tmp_path / "e").rglob("*") if f.is_file() and f.stat().st_size > 100] == ["Work.mbox"]
    # An mbox without mail is one.
    (tmp_path / "empty").touch()
    r = run(tmp_path, "import", str(tmp_path / "empty"), "--user", "ann")
    assert r.returncode == 0 and r.stdout.startswith(b"0 messages read"), r


def test_progress(tmp_path):
    """On a terminal: a bar with rate and time left."""
    import pty
    n = 10000
    with open(tmp_path / "many", "wb") as f:
        for i in range(n):
            f.write(b"From x@example.org Mon Jan  2 15:04:05 2006\n" + message(i).replace(b"\r\n", b"\n") + b"\n")
    run(tmp_path, "user", "add", "ann", "--password-stdin", input=b"pw\n")
    me, it = pty.openpty()
    p = subprocess.Popen([str(RESTANTE), "import", str(tmp_path / "many"), "--user", "ann", "--data",
                          str(tmp_path / "data")], stdout=subprocess.PIPE, stderr=it)
    os.close(it)
    seen = b""
    try:
        while x := os.read(me, 65536):
            seen += x
    except OSError:  # the other end is closed
        pass
    os.close(me)
    assert b"%d messages read, %d new" % (n, n) in p.stdout.read() and p.wait(30) == 0
    bars = seen.split(b"\r")
    assert re.search(rb"import \[#{30}\] 100 % 10000 messages, \d+/s, \d+\.\d s", seen), seen
    assert len(bars) > 2 and re.search(rb"\[#*\.+\] +\d+ % \d+ messages, \d+/s, \d+ (s|min) left", seen), seen


def test_password_typed(tmp_path):
    """On a terminal it is asked for twice, and not seen."""
    import pty
    for typed, code, word in ((("pw", "pw"), 0, b""), (("pw", "other"), DATAERR, b"the two differ"),
                              (("", ""), DATAERR, b"1 to")):
        pid, me = pty.fork()
        if pid == 0:
            os.execv(RESTANTE, [str(RESTANTE), "user", "add", f"u{code}", "--data", str(tmp_path / "d")])
        seen = b""
        for prompt, x in zip((b"Password: ", b"Again: "), typed):
            while not seen.endswith(prompt):
                seen += os.read(me, 1000)
            os.write(me, x.encode() + b"\n")
        try:
            while more := os.read(me, 1000):
                seen += more
        except OSError:  # the other end is closed
            pass
        os.close(me)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == code and word in seen, seen
        assert b"pw" not in seen and b"other" not in seen, seen
