# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""Other programs' mail stores, imported while the server runs, as IMAP and
POP3 clients then see them; exported again; imported twice."""
import json
import os
import re
import shutil
import subprocess
from datetime import datetime

import pytest

from harness import Server, crlf, sha

MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


def seen(s, user="ann"):
    """mailbox -> (uidvalidity, uidnext, [(uid, flags, internaldate, sha)])"""
    out = {}
    with s.imap(user) as c:
        boxes = [re.search(rb'"/" "?([^"]*)"?\r?\n?$', r.strip()).group(1).decode()
                 for r in c.ok('LIST "" "*"') if b"\\Noselect" not in r and r.startswith(b"* LIST")]
        for box in boxes:
            text = b"".join(c.select(box, how="EXAMINE"))
            validity = int(re.search(rb"UIDVALIDITY (\d+)", text).group(1))
            uidnext = int(re.search(rb"UIDNEXT (\d+)", text).group(1))
            messages = []
            for uid in c.uids() if re.search(rb"\* [1-9]\d* EXISTS", text) else []:
                r = b"".join(c.ok(f"UID FETCH {uid} (FLAGS INTERNALDATE)"))
                flags = re.search(rb"FLAGS \(([^)]*)\)", r).group(1).decode().split()
                date = re.search(rb'INTERNALDATE "([^"]*)"', r).group(1).decode().strip()
                messages.append((uid, sorted(f for f in flags if f != "\\Recent"), date, sha(c.body(uid))))
            out[box] = (validity, uidnext, messages)
    return out


def maildir(d):
    """A small Maildir++ as Dovecot leaves it."""
    text = "From: a@example.org\nSubject: number %d\n\nbody %d\n"
    for sub in ("cur", "new", "tmp", ".Work.2020/cur"):
        (d / sub).mkdir(parents=True)
    for i, flags in enumerate(["S", "RSa", "F", "", "DTb"], 1):
        f = d / "cur" / f"{1000 + i}.x.host:2,{flags}"
        f.write_text(text % (i, i))
        os.utime(f, (1700000000 + i, 1700000000 + i))
    (d / ".Work.2020" / "cur" / "1.y:2,").write_text(text % (9, 9))
    (d / "dovecot-uidlist").write_text(
        "3 V1234567 N90 G00\n" + "".join(f"{i * 7} {'Pold-uidl ' if i == 2 else ''}:{1000 + i}.x.host\n" for i in range(1, 6)))
    (d / "dovecot-keywords").write_text("0 $Label1\n1 tax\n")
    (d / "subscriptions").write_text("Work.2020\n")
    return {7 * i: sha(crlf((text % (i, i)).encode())) for i in range(1, 6)}


def test_maildir_while_serving(tmp_path):
    want = maildir(tmp_path / "Maildir")
    env = dict(os.environ, TZ="UTC")
    with Server(users=("ann", "bob"), env=env) as s:
        r = s.cli("import", str(tmp_path / "Maildir"), "--user", "ann")
        assert "6 new" in str(r.stdout), r
        got = seen(s)
        assert got["INBOX"][:2] == (1234567, 90)
        assert {u: h for u, _, _, h in got["INBOX"][2]} == want
        assert [f for _, f, _, _ in got["INBOX"][2]] == [
            ["\\Seen"], ["$Label1", "\\Answered", "\\Seen"], ["\\Flagged"], [], ["\\Deleted", "\\Draft", "tax"]]
        assert len(got["Work/2020"][2]) == 1
        with s.pop3("ann") as c:
            c.ask("UIDL")
            uidls = [x.split()[1].decode() for x in c.multiline()]
            assert uidls == ["0000000700" + "12d687", "old-uidl"] + ["%08x0012d687" % (7 * i) for i in (3, 4, 5)]
        # again: nothing new, and nothing moved
        r = s.cli("import", str(tmp_path / "Maildir"), "--user", "ann")
        assert " 0 new" in str(r.stdout)
        assert seen(s) == got
        # out, and in again for somebody else
        (tmp_path / "out").mkdir()
        s.cli("export", str(tmp_path / "out"), "--user", "ann")
        s.cli("import", str(tmp_path / "out"), "--user", "bob")
        assert seen(s, "bob") == got
        s.restart()
        assert seen(s) == got


def test_mbox_and_eml(tmp_path):
    (tmp_path / "box").write_text(
        "From a@example.org Tue Feb  3 04:05:06 2026\nSubject: one\nStatus: RO\n\n>From here\n\n"
        "From b@example.org Tue Feb  3 04:05:07 2026\nSubject: two\n\nsame\n\n"
        "From b@example.org Tue Feb  3 04:05:08 2026\nSubject: two\n\nsame\n\n")
    (tmp_path / "mails").mkdir()
    (tmp_path / "mails" / "a.eml").write_bytes(b"Subject: nul \0 in it\r\nDate: Tue, 3 Feb 2026 04:05:06 +0100\r\n\r\n\0x\r\n")
    with Server(users=("ann",)) as s:
        for turn in range(2):
            s.cli("import", str(tmp_path / "box"), "--user", "ann", "--mailbox", "Old/box")
            s.cli("import", str(tmp_path / "mails"), "--user", "ann", "--mailbox", "Mails")
            got = seen(s)
            assert [h for _, _, _, h in got["Old/box"][2]] == [
                sha(crlf(x)) for x in (b"Subject: one\n\nFrom here\n",) + (b"Subject: two\n\nsame\n",) * 2]
            assert got["Old/box"][2][0][1] == ["\\Seen"]
            assert [h for _, _, _, h in got["Mails"][2]] == [sha((tmp_path / "mails" / "a.eml").read_bytes())]
            assert got["Mails"][2][0][2].lstrip("0") == "3-Feb-2026 04:05:06 +0100"
        for what in (tmp_path / "nothing", tmp_path):
            r = s.cli("import", str(what / "x"), "--user", "ann", check=False)
            assert r.returncode != 0 and r.stderr
        r = s.cli("import", str(tmp_path / "box"), "--user", "nobody", check=False)
        assert r.returncode != 0


def unpack(folder, name, to):
    to.mkdir()
    subprocess.run(["tar", "--zstd", "-xf", str(folder / "mailstores/generated" / (name + ".tar.zst")), "-C", str(to)], check=True)
    return to


def utf7(name):
    return name.replace("Entwürfe", "Entw&APw-rfe")


@pytest.mark.parametrize("store,root,sep", [("dovecot-2.3-maildir", "ms1", "."), ("courier-1.0-maildir", "Maildir", ".")])
def test_stores_of_the_corpus(corpus, tmp_path, store, root, sep):
    want = json.loads((corpus / "mailstores/generated" / (store.split("-")[0] + "-expected.json")).read_text())
    want.pop("_subscribed")
    d = unpack(corpus, store, tmp_path / "store") / root
    with Server(users=("ann",), env=dict(os.environ, TZ="UTC")) as s:
        s.cli("import", str(d), "--user", "ann")
        got = seen(s)
        for name, w in want.items():
            box = utf7(name if name == "INBOX" else name.removeprefix("INBOX.").replace(sep, "/"))
            g = got[box]
            assert g[0] == w["uidvalidity"], box
            assert g[1] == w.get("uidnext", g[1]), box
            assert [(u, f, h) for u, f, _, h in g[2]] == [
                (m["uid"], sorted(m["flags"]), m["sha256_crlf"]) for m in w["messages"]], box
            for m, x in zip(w["messages"], g[2]):
                if "internaldate" in m:
                    assert x[2].lstrip("0") == m["internaldate"].lstrip("0")
        with s.imap("ann") as c:
            subs = b"".join(c.ok('LSUB "" "*"'))
            assert b"Entw&APw-rfe" in subs and b"Archive" in subs
        # The ids that the other server's POP3 gave; they stay, whatever
        # becomes of the index, the process and the machine.
        w = want["INBOX"]
        uidls = pop3_uidls(s)
        if store.startswith("dovecot"):
            assert uidls == ["%08x%08x" % (m["uid"], w["uidvalidity"]) for m in w["messages"]]
        assert len(set(uidls)) == len(w["messages"])
        s.restart()
        assert pop3_uidls(s) == uidls
        s.stop()
        s.cli("rebuild")
        s.start()
        assert pop3_uidls(s) == uidls and seen(s) == got
        s.cli("backup", str(tmp_path / "copy"))
        s.stop()
        shutil.rmtree(s.data)
        s.cli("restore", str(tmp_path / "copy"))
        s.start()
        assert pop3_uidls(s) == uidls
        assert {b: v[1:] for b, v in seen(s).items()} == {b: v[1:] for b, v in got.items()}


def pop3_uidls(s, user="ann"):
    with s.pop3(user) as c:
        assert c.ask("UIDL").startswith(b"+OK")
        return [x.split()[1].decode() for x in c.multiline()]


MH_FLAGS = {"flagged": "\\Flagged", "replied": "\\Answered", "forwarded": "$Forwarded"}


def test_mh_of_the_corpus(corpus, tmp_path):
    """MH with its sequences, twice, the second time with something new."""
    want = json.loads((corpus / "mailstores/generated/mh-expected.json").read_text())
    d = unpack(corpus, "mh", tmp_path / "store") / "MHS"
    with Server(users=("ann",), env=dict(os.environ, TZ="UTC")) as s:
        for turn in range(2):
            s.cli("import", str(d), "--user", "ann")
            got = seen(s)
            for name, w in want.items():
                box = "INBOX" if name.lower() == "inbox" else name
                assert [x[3] for x in got[box][2]] == [
                    sha(crlf((d / name / str(n)).read_bytes())) for n in w["numbers"]], box
                for n, (_, flags, date, _) in zip(w["numbers"], got[box][2]):
                    seqs = [q for q, v in w["sequences"].items() if n in v and q != "cur"]
                    assert flags == sorted([MH_FLAGS.get(q, q) for q in seqs if q != "unseen"]
                                           + (["\\Seen"] if "unseen" not in seqs else [])), (box, n)
                    when = datetime.strptime(date.strip(), "%d-%b-%Y %H:%M:%S %z").timestamp()
                    assert when == int((d / name / str(n)).stat().st_mtime)
        (d / "inbox" / "9").write_bytes(b"Subject: new\n\nnine\n")
        assert " 1 new" in str(s.cli("import", str(d), "--user", "ann").stdout)


@pytest.mark.parametrize("kind,lost", [("mboxcl2", 0), ("mboxcl", 1), ("mboxrd", 1), ("mboxrd-crlf", 1), ("mboxo", 2)])
def test_mbox_of_the_corpus(corpus, tmp_path, kind, lost):
    """The four kinds: what the kind cannot hold (a missing last line end,
    mboxo's quoting) is lost, nothing else."""
    want = json.loads((corpus / "mailstores/generated/mbox-expected.json").read_text())
    with Server(users=("ann",), env=dict(os.environ, TZ="UTC")) as s:
        for turn in range(2):
            r = s.cli("import", str(corpus / f"mailstores/generated/{kind}.mbox"), "--user", "ann", "--mailbox", "Box")
            assert b"38 messages read" in r.stdout
        with s.imap("ann") as c:
            c.select("Box", how="EXAMINE")
            got = [c.body(u) for u in c.uids()]
        assert len(got) == len(want) == 38
        differ = [i for i, (g, w) in enumerate(zip(got, want)) if sha(g.replace(b"\r\n", b"\n")) != w["sha256_lf"]]
        assert len(differ) <= lost, differ
