# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""The history of a soak: one JSON object a line, in the order of their times.

Each has t (seconds, monotonic) and e:

    open  s acct proto          a session logged in
    shut  s                     it ended, or its connection was lost
    inv   i s o ...             operation i is sent; o names it, the rest are
                                its arguments
    unt   s k ...               an untagged reply: k is exists, expunge, fetch,
                                search, ok, bye
    end   i r x ...             it was answered: r is ok, no, bad, or unk when
                                there was no answer; x is the text, the rest
                                is what the text says
    ckpt  n                     all is quiet: nothing is under way any more
    view  n how acct box ...    who sees what in a mailbox: how is session,
                                fresh, pop3, qresync
    status, list, verify n ...  counts; names; what the server's own check says
    bank  acct boxes            messages of these are only ever moved between
                                them
    strict yes                  replies show what is, not what was at the last
                                answer
    nem   what                  what the nemesis did
    stuck s                     no answer for long although nothing was wrong
"""
import itertools
import json
import threading
import time


class Recorder:
    """Writes a history; any thread may call."""

    def __init__(self, path):
        self.path = path
        self.f = open(path, "w", encoding="utf-8")
        self.lock = threading.Lock()
        self.numbers = itertools.count(1)
        self.ops = self.untagged = 0

    def put(self, e, **rest):
        with self.lock:
            if self.f.closed:
                return
            rest["t"] = round(time.monotonic(), 6)
            rest["e"] = e
            self.ops += e == "inv"
            self.untagged += e == "unt"
            self.f.write(json.dumps(rest, separators=(",", ":")) + "\n")

    def invoke(self, s, o, **args):
        i = next(self.numbers)
        self.put("inv", i=i, s=s, o=o, **args)
        return i

    def end(self, i, r, x="", **what):
        self.put("end", i=i, r=r, x=x[:200], **what)

    def close(self):
        with self.lock:
            self.f.close()


def read(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def write(path, rows):
    with open(path, "w", encoding="utf-8") as f:
        for r in rows:
            f.write(json.dumps(r, separators=(",", ":")) + "\n")
