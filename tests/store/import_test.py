#!/usr/bin/python3
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""Reads mail stores of other programs with import_dump and compares with what
is known of them: those made here, and those of the corpus when it is there.
"""
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path

DUMP = sys.argv[1]
CORPUS = Path(os.environ.get("RESTANTE_CORPUS", Path(__file__).resolve().parents[2] / "../shared/corpus"))
bad = 0
done = 0


def check(what, got, want):
    global bad, done
    done += 1
    if got != want:
        bad += 1
        print(f"FAIL {what}:\n  got  {str(got)[:400]}\n  want {str(want)[:400]}")


def dump(path, kind="auto", code=0, to=None):
    r = subprocess.run([DUMP, kind, str(path)] + ([to] if to else []), stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120,
                       env=dict(os.environ, TZ="UTC"))
    if r.returncode != code:
        check(f"exit of {path}", (r.returncode, r.stderr[-500:]), code)
    return [json.loads(x) for x in r.stdout.decode("utf-8", "surrogateescape").splitlines()]


def boxes(items):
    out = {}
    for i in items:
        if i["what"] == "box":
            out[i["mailbox"]] = {"uidvalidity": i["uidvalidity"], "messages": []}
        elif i["what"] == "message":
            out[i["mailbox"]]["messages"].append(i)
        elif i["what"] == "end":
            out[i["mailbox"]]["uidnext"] = i["uidnext"]
    return out


def sha(data):
    return hashlib.sha256(data).hexdigest()


def crlf(data):
    return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


# ---- stores made here ----

MSG = b"From: a@example.org\nSubject: %d\nDate: Tue, 3 Feb 2026 04:05:06 +0100\n\nbody %d\n"


def own_maildir(d):
    for sub in ["cur", "new", "tmp"]:
        (d / sub).mkdir(parents=True)
    (d / ".Sent.2020" / "cur").mkdir(parents=True)
    (d / ".Entw&APw-rfe" / "cur").mkdir(parents=True)
    for i in range(1, 5):
        f = d / "cur" / f"100{i}.x.host:2,{['S', 'RS', 'FTa', 'DPb'][i - 1]}"
        f.write_bytes(MSG % (i, i))
        os.utime(f, (1700000000 + i, 1700000000 + i))
    (d / "new" / "2000.new.host").write_bytes((MSG % (9, 9)).replace(b"\n", b"\r\n"))
    (d / "tmp" / "3.tmp").write_bytes(MSG % (3, 3))
    os.symlink("/etc/passwd", d / "cur" / "1009.link:2,S")
    os.mkfifo(d / "cur" / "1010.fifo:2,S")
    (d / ".Sent.2020" / "cur" / "5.y:2,").write_bytes(b"mixed\r\nline\nends\0\n")
    (d / "dovecot-uidlist").write_bytes(
        b"3 V77 N30 Gabc\n3 :1001.x.host\n8 P1-77-old W99 :1002.x.host\n9 :gone\n12 :1004.x.host\n")
    (d / "dovecot-keywords").write_bytes(b"0 $Label1\n1 tax-2020\n")
    (d / "subscriptions").write_bytes(b"Sent.2020\nEntw&APw-rfe\n")


def test_own_maildir(tmp):
    d = tmp / "Maildir"
    own_maildir(d)
    items = dump(d)
    b = boxes(items)
    check("own maildir: boxes", sorted(b), ["Entwürfe", "INBOX", "Sent/2020"])
    m = b["INBOX"]["messages"]
    check("own maildir: uids", [x["uid"] for x in m], [3, 8, 12, 0, 0])
    check("own maildir: uidls", [x["uidl"] for x in m],
          ["000000030000004d", "1-77-old", "0000000c0000004d", "", ""])
    check("own maildir: flags", [sorted(x["flags"]) for x in m],
          [["\\Seen"], ["\\Answered", "\\Seen"], ["$Forwarded", "\\Draft", "tax-2020"],
           ["$Label1", "\\Deleted", "\\Flagged"], []])
    check("own maildir: dates", [x["date"] for x in m[:4]], [1700000001, 1700000002, 1700000004, 1700000003])
    check("own maildir: bytes", [x["sha256"] for x in m], [sha(crlf(MSG % (i, i))) for i in [1, 2, 4, 3, 9]])
    check("own maildir: uidvalidity", (b["INBOX"]["uidvalidity"], b["INBOX"]["uidnext"]), (77, 30))
    check("own maildir: kept as it is", b["Sent/2020"]["messages"][0]["sha256"], sha(b"mixed\r\nline\nends\0\n"))
    check("own maildir: subscriptions", [x["mailbox"] for x in items if x["what"] == "sub"], ["Sent/2020", "Entwürfe"])
    one = dump(d / "cur" / "1001.x.host:2,S")
    check("one file", [x["what"] for x in one], ["box", "message", "end", "sum"])


def test_own_mbox(tmp):
    f = tmp / "box"
    f.write_bytes(
        b"From a@example.org Tue Feb  3 04:05:06 2026\nX-IMAPbase: 99 40 $Label1\nX-UID: 7\nStatus: RO\nX-Status: AF\n"
        b"X-Keywords: $Label1 tax\nSubject: one\n\nFrom here\n>From there\n>>From far\n\n"
        b"From b@example.org  Wed Feb  4 04:05:06 2026 +0100\nSubject: two\nX-UID: 9\n\nx\n\n"
        b"From c Thu Feb  5 04:05:06 2026\nSubject: same\n\ny\n\n"
        b"From c Thu Feb  5 04:05:06 2026\nSubject: same\n\ny\n\n"
        b"From d Thu Feb  5 04:05:06 2026\nSubject: none\n\n")
    b = boxes(dump(f))["INBOX"]
    m = b["messages"]
    check("own mbox: count", len(m), 5)
    check("own mbox: bytes", [x["sha256"] for x in m], [sha(crlf(x)) for x in [
        b"Subject: one\n\nFrom here\nFrom there\n>From far\n", b"Subject: two\n\nx\n", b"Subject: same\n\ny\n",
        b"Subject: same\n\ny\n", b"Subject: none\n\n"]])
    check("own mbox: flags", sorted(m[0]["flags"]), ["$Label1", "\\Answered", "\\Flagged", "\\Seen", "tax"])
    check("own mbox: uids", ([x["uid"] for x in m], b["uidvalidity"], b["uidnext"]), ([7, 9, 0, 0, 0], 99, 41))
    check("own mbox: dates", [x["date"] for x in m[:2]], [1770091506, 1770174306])
    check("own mbox: copies", [x["copy"] for x in m], [1, 1, 1, 2, 1])


def test_own_others(tmp):
    d = tmp / "mh"
    (d / "inbox" / "sub").mkdir(parents=True)
    for i in [1, 2, 10]:
        (d / "inbox" / str(i)).write_bytes(MSG % (i, i))
    (d / "inbox" / "sub" / "3").write_bytes(MSG % (3, 3))
    (d / "inbox" / ".mh_sequences").write_bytes(b"unseen: 2-10\nreplied: 1\nwork: 10\ncur: 1\n")
    b = boxes(dump(d))
    check("own mh: boxes", sorted(b), ["INBOX", "inbox/sub"])
    check("own mh: flags", [sorted(x["flags"]) for x in b["INBOX"]["messages"]], [["\\Answered", "\\Seen"], [], ["work"]])
    e = tmp / "eml"
    (e / "deep").mkdir(parents=True)
    (e / "b.eml").write_bytes(MSG % (2, 2))
    (e / "a.eml").write_bytes(MSG % (1, 1))
    (e / "other.txt").write_bytes(b"no mail")
    (e / "deep" / "c.eml").write_bytes(MSG % (3, 3))
    b = boxes(dump(e))
    check("own eml", {k: [x["sha256"] for x in v["messages"]] for k, v in b.items()},
          {"INBOX": [sha(crlf(MSG % (i, i))) for i in [1, 2]], "deep": [sha(crlf(MSG % (3, 3)))]})
    check("own eml: date", b["deep"]["messages"][0]["date"], 1770087906)
    (tmp / "empty").mkdir()
    dump(tmp / "empty", code=1)


def same(what, src, tmp, kind):
    """Written as kind and read again, it is the same."""
    d = Path(tempfile.mkdtemp(dir=tmp))
    a = dump(src, to=f"{kind}:{d}")
    b = dump(d)
    for i in a + b:
        i.pop("done", 0), i.pop("all", 0)
        i.get("flags", []).sort()
        i.pop("uidl", 0) if kind == "mbox" else 0
    a.sort(key=lambda i: (i["what"], i.get("mailbox", "")))
    b.sort(key=lambda i: (i["what"], i.get("mailbox", "")))
    if kind == "mbox":
        a, b = ([i for i in x if i["what"] == "message"] for x in (a, b))
        for i in a + b:
            if i["uid"] == 0:
                i["date"] = i["uid"] = 0
    for x, y in zip(a, b):
        if not x.get("uidl") and "uidl" in y:
            y["uidl"] = ""  # made of UID and UIDVALIDITY, as Dovecot does
        if kind == "mbox" and x["size"] < y["size"] <= x["size"] + 2:
            continue  # a message without a final line end gets one
        if x != y:
            check(f"{what} as {kind}", y, x)
    check(f"{what} as {kind}: count", len(b), len(a))


def test_export(tmp):
    own_maildir(tmp / "Maildir")
    for kind in ["maildir", "mbox"]:
        same("own maildir", tmp / "Maildir", tmp, kind)
    many = tmp / "many"
    (many / "cur").mkdir(parents=True)
    (many / "courierimapkeywords").mkdir()
    names = [f"key{i}" for i in range(40)]
    (many / "courierimapkeywords" / ":list").write_bytes(
        ("\n".join(names) + "\n\n" + "".join(f"{i}.k:{i} {(i * 7) % 40}\n" for i in range(40))).encode())
    for i in range(40):
        (many / "cur" / f"{i}.k:2,").write_bytes(MSG % (i, i))
    (many / "courierimapuiddb").write_bytes(b"1 5 90\n" + b"".join(b"%d %d.k\n" % (i + 1, i) for i in range(40)))
    for d in ["...x", ".a&AC4-b.c", ".&Jjo-!.e&-f"]:
        (many / d / "cur").mkdir(parents=True)
        (many / d / "cur" / "1.x:2,S").write_bytes(MSG % (1, 1))
    same("forty keywords", many, tmp, "maildir")


# ---- the corpus ----

def unpack(name, tmp):
    d = tmp / name
    d.mkdir()
    subprocess.run(["tar", "--zstd", "-xf", CORPUS / "mailstores/generated" / (name + ".tar.zst"), "-C", d], check=True)
    return d


def expected(name):
    return json.loads((CORPUS / "mailstores/generated" / name).read_text())


def test_dovecot(tmp):
    want = expected("dovecot-expected.json")
    subs = want.pop("_subscribed")
    want = {k.replace(".", "/").replace("Entw&APw-rfe", "Entwürfe"): v for k, v in want.items()}
    items = dump(unpack("dovecot-2.3-maildir", tmp) / "ms1")
    b = boxes(items)
    check("dovecot: boxes", sorted(b), sorted(want))
    for name, w in want.items():
        g = b.get(name, {"messages": []})
        check(f"dovecot {name}: uidvalidity", (g.get("uidvalidity"), g.get("uidnext")), (w["uidvalidity"], w["uidnext"]))
        check(f"dovecot {name}: messages",
              [(m["uid"], sorted(m["flags"]), m["date"], m["size"], m["sha256"]) for m in g["messages"]],
              [(m["uid"], sorted(m["flags"]), int(datetime.strptime(m["internaldate"], "%d-%b-%Y %H:%M:%S %z").timestamp()),
                m["size"], m["sha256_crlf"]) for m in w["messages"]])
    check("dovecot: subscriptions", [i["mailbox"] for i in items if i["what"] == "sub"],
          ["Archive", "Archive/2019", "Entwürfe", "Sent Items"])
    check("dovecot: as many", len(subs), 4)
    same("dovecot", tmp / "dovecot-2.3-maildir" / "ms1", tmp, "maildir")
    same("dovecot", tmp / "dovecot-2.3-maildir" / "ms1", tmp, "mbox")


def test_courier(tmp):
    want = expected("courier-expected.json")
    del want["_subscribed"]
    items = dump(unpack("courier-1.0-maildir", tmp) / "Maildir")
    b = boxes(items)
    names = {("INBOX" if k == "INBOX" else k.removeprefix("INBOX.").replace("Entw&APw-rfe", "Entwürfe").replace(".", "/")): v for k, v in want.items()}
    check("courier: boxes", sorted(b), sorted(names))
    for name, w in names.items():
        g = b.get(name, {"messages": []})
        check(f"courier {name}: uidvalidity", g.get("uidvalidity"), w["uidvalidity"])
        check(f"courier {name}: messages", [(m["uid"], sorted(m["flags"]), m["size"], m["sha256"]) for m in g["messages"]],
              [(m["uid"], sorted(m["flags"]), m["size"], m["sha256_crlf"]) for m in w["messages"]])
    check("courier: subscriptions", [i["mailbox"] for i in items if i["what"] == "sub"], ["Archive", "Sent Items", "Entwürfe"])


def test_mh(tmp):
    want = expected("mh-expected.json")
    root = unpack("mh", tmp) / "MHS"
    b = boxes(dump(root))
    for name, w in want.items():
        g = b.get("INBOX" if name == "inbox" else name, {"messages": []})["messages"]
        check(f"mh {name}: bytes", [m["sha256"] for m in g],
              [sha(crlf((root / name / str(n)).read_bytes())) for n in w["numbers"]])
        s = w["sequences"]
        check(f"mh {name}: flags", [sorted(m["flags"]) for m in g],
              [sorted(([] if n in s["unseen"] else ["\\Seen"]) + (["\\Flagged"] if n in s["flagged"] else []) +
                      (["\\Answered"] if n in s["replied"] else [])) for n in w["numbers"]])


def test_mbox(tmp):
    want = expected("mbox-expected.json")
    for kind, lost in [("mboxcl2", 0), ("mboxcl", 1), ("mboxrd", 1), ("mboxrd-crlf", 1), ("mboxo", 2)]:
        m = boxes(dump(CORPUS / "mailstores/generated" / (kind + ".mbox")))["INBOX"]["messages"]
        check(f"{kind}: count", len(m), len(want))
        diff = [i for i, (g, w) in enumerate(zip(m, want)) if g["sha256_lf"] != w["sha256_lf"]]
        check(f"{kind}: differ {diff}", len(diff) <= lost, True)


def test_counts(tmp):
    counts = json.loads((CORPUS / "mailstores/mbox-counts.json").read_text())
    for name, c in counts.items():
        if "!" in name:
            archive, member = name.split("!", 1)
            path = tmp / member
            if not path.exists():
                subprocess.run(["tar", "--zstd", "-xf", CORPUS / archive, "-C", tmp], check=True)
        else:
            path = CORPUS / name
        want = c.get("truth", c["agreed"])
        if want is None or want == 0:
            continue
        b = boxes(dump(path, "mbox"))
        got = len(b["INBOX"]["messages"])
        # Others count a paragraph that begins with "From " as a message.
        if got < want and name.startswith(("mailstores/pipermail", "mailstores/email-folder/mboxes/mboxcl2")):
            text = path.read_bytes()
            want -= len([x for x in re.findall(rb"(?m)^From .*", text) if not re.search(rb"\d\d:\d\d", x)])
        if not name.endswith(".mac"):  # lines end in CR: no line begins with From_
            check(f"count of {name}", got, want)


def main():
    tests = [test_own_maildir, test_own_mbox, test_own_others, test_export]
    if CORPUS.is_dir():
        tests += [test_dovecot, test_courier, test_mh, test_mbox, test_counts]
    for t in tests:
        with tempfile.TemporaryDirectory() as d:
            t(Path(d))
    print(f"{done - bad} of {done} as expected")
    sys.exit(bad > 0)


main()
