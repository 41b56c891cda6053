# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""Plays .talk files (see README.md)."""
import random
import re
import select
import time

from harness import PASSWORD, Line

STEP = re.compile(r"^(?:(\w+) )?(C:|C\+|S:|S~|S\?|S\.\.\.:|S=|S\.)(?: (.*))?$")


def unescape(text):
    def one(m):
        x = m.group(1)
        return {"r": "\r", "n": "\n", "0": "\0", "t": "\t", "\\": "\\"}.get(
            x, chr(int(x[1:], 16)) if x[0] == "x" else x)
    return re.sub(r"\\(x[0-9a-fA-F]{2}|.)", one, text).encode("latin-1", "strict") \
        if all(ord(c) < 256 for c in text) else \
        re.sub(r"\\(x[0-9a-fA-F]{2}|.)", one, text).encode()


def pattern(text):
    return re.compile(".*".join(re.escape(p) for p in text.split("*")), re.S)


class Player:
    def __init__(self, server, text, user, tls, mode, seed):
        self.server, self.tls, self.mode = server, tls, mode
        self.rng = random.Random(seed)
        self.vars = {"user": user, "password": PASSWORD}
        self.conns, self.first = {}, None
        self.pending = {}
        self.text = text

    def expand(self, text):
        return re.sub(r"\$\{(\w+)\}", lambda m: str(self.vars[m.group(1)]), text)

    def open(self, name, proto):
        tls = self.tls and proto != "lmtp"
        port = self.server.ports[proto + ("s" if tls else "")]
        self.conns[name] = Line(port, tls, timeout=20)
        self.pending[name] = b""
        self.first = self.first or name

    def flush(self, name):
        data, self.pending[name] = self.pending[name], b""
        c = self.conns[name]
        if self.mode == "whole" or len(data) > 20000:
            c.write(data) if data else None
        elif self.mode == "bytes":
            for i in range(len(data)):
                c.write(data[i:i + 1])
        else:
            while data:
                n = self.rng.randint(1, max(1, min(len(data), 40)))
                c.write(data[:n])
                data = data[n:]
                if self.rng.random() < 0.2:
                    time.sleep(0.002)

    def expect(self, kind, name, arg, where):
        c = self.conns[name]
        if kind == "S.":
            assert c.at_end(), f"{where}: not closed: {c.buf[:200]!r}"
            return
        if kind == "S=":
            want = unescape(arg)
            got = c.take(len(want))
            assert got == want, f"{where}: {got!r}"
            return
        if kind == "S?":
            want = pattern(arg)
            while True:
                if b"\r\n" not in c.buf:
                    r, _, _ = select.select([c.sock], [], [], 0.3)
                    if not r and not getattr(c.sock, "pending", lambda: 0)():
                        return
                    c.fill()
                    continue
                line = c.buf.split(b"\r\n", 1)[0].decode("utf-8", "surrogateescape")
                if not want.fullmatch(line):
                    return
                c.line()
        want = re.compile(arg, re.S) if kind == "S~" else pattern(arg)
        while True:
            try:
                line = c.line().decode("utf-8", "surrogateescape")
            except EOFError:
                raise AssertionError(f"{where}: closed; expected {arg}")
            m = want.search(line) if kind == "S~" else want.fullmatch(line)
            if m:
                self.vars.update(m.groupdict())
                return
            assert kind == "S...:", f"{where}: expected {arg!r}, got {line!r}"

    def play(self, path):
        for number, raw in enumerate(self.text.splitlines(), 1):
            where = f"{path}:{number}"
            if not raw.strip() or raw.startswith("#"):
                continue
            words = raw.split()
            if words[0] == "open":
                self.open(words[1], words[2])
                continue
            if words[0] in ("clear-only", "tls-only", "lines"):
                continue
            if words[0] == "tls":
                name = words[1] if len(words) > 1 else self.first
                self.flush(name)
                self.conns[name].starttls()
                continue
            if words[0] == "sleep":
                time.sleep(float(words[1]))
                continue
            if words[0] == "close":
                self.conns[words[1] if len(words) > 1 else self.first].close()
                continue
            m = STEP.match(raw)
            assert m, f"{where}: not a step: {raw}"
            name, kind, arg = m.group(1) or self.first, m.group(2), self.expand(m.group(3) or "")
            assert name in self.conns, f"{where}: no connection {name}"
            if kind == "C:":
                self.pending[name] += arg.encode("utf-8", "surrogateescape") + b"\r\n"
            elif kind == "C+":
                self.pending[name] += unescape(arg)
            else:
                self.flush(name)
                self.expect(kind, name, arg, where)
        for c in self.conns.values():
            c.close()
