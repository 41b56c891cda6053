# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""Many clients, each crowd of them in a process of its own with a descriptor
table of its own: a loop over epoll, no thread each.

A crowd is told to open n connections and says what has become of them. Its
kinds differ in what a client does: sits in IDLE (Idlers), asks at a steady
pace (Askers), writes a byte now and then (Drippers), reads one (Sippers),
connects and says nothing (Flood)."""
import errno
import multiprocessing
import resource
import select
import socket
import time
from collections import deque

FORK = multiprocessing.get_context("fork")
AT_ONCE = 128  # that are on their way in


def all_files():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Crowd:
    """The parent's end, and what runs in the child."""

    def __init__(self, port, **how):
        self.port, self.how = port, how
        self.pipe, child = FORK.Pipe()
        self.process = FORK.Process(target=self.main, args=(child,), daemon=True)
        self.process.start()
        child.close()

    # -- the parent --
    def ask(self, word, wait=120):
        self.pipe.send(word)
        assert self.pipe.poll(wait), f"{type(self).__name__} does not answer"
        got = self.pipe.recv()
        if isinstance(got, Exception):
            raise got
        return got

    def state(self):
        return self.ask("state")

    def until(self, good, wait=120):
        end = time.monotonic() + wait
        while not good(s := self.state()):
            assert time.monotonic() < end, s
            time.sleep(0.05)
        return s

    def end(self):
        try:
            self.pipe.send("end")
            self.process.join(30)
        except OSError:
            pass
        if self.process.is_alive():
            self.process.kill()
            self.process.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    # -- the child --
    def main(self, pipe):
        all_files()
        self.ep = select.epoll()
        self.ep.register(pipe.fileno(), select.EPOLLIN)
        self.socks = {}  # fd -> client
        self.count = dict.fromkeys(("begun", "in", "refused", "closed"), 0)
        self.more = {}
        try:
            self.begin(**self.how)
            while True:
                for fd, ev in self.ep.poll(self.tick()):
                    if fd != pipe.fileno():
                        if fd in self.socks:
                            self.event(self.socks[fd], ev)
                    elif (word := pipe.recv()) == "end":
                        return
                    else:
                        pipe.send(self.told(word))
        except (EOFError, KeyboardInterrupt):
            pass
        except Exception as e:  # the parent hears of it
            pipe.recv()
            pipe.send(RuntimeError(f"{type(self).__name__}: {e!r}"))

    def told(self, word):
        return dict(self.count, **self.more, open=len(self.socks))

    def open(self, c, rcvbuf=None, frm=None):
        s = socket.socket()
        s.setblocking(False)
        if rcvbuf:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if frm:
            s.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
            s.bind((frm, 0))
        e = s.connect_ex(("127.0.0.1", self.port))
        if e not in (0, errno.EINPROGRESS):
            s.close()
            self.count["refused"] += 1
            return False
        c.sock, c.fd = s, s.fileno()
        c.got, c.at, c.step = b"", time.monotonic(), 0
        self.socks[c.fd] = c
        self.ep.register(c.fd, select.EPOLLIN)
        self.count["begun"] += 1
        return True

    def drop(self, c, how="closed"):
        self.count[how] += 1
        del self.socks[c.fd]
        c.sock.close()

    def read(self, c, n=65536):
        """What has come; None: it has ended."""
        try:
            b = c.sock.recv(n)
        except BlockingIOError:
            return b""
        except OSError:
            b = b""
        return b or None


class Client:
    pass


class Sessions(Crowd):
    """Logs in, with what is to be said at once behind it; then .ready."""
    then = b""
    rcvbuf = None

    def begin(self, users, password):
        self.password = password
        self.waiting = deque(users)
        self.coming = 0
        self.go_on()

    def go_on(self):
        while self.waiting and self.coming < AT_ONCE:
            c = Client()
            c.user = self.waiting.popleft()
            if self.open(c, self.rcvbuf):
                self.coming += 1

    def event(self, c, ev):
        b = self.read(c)
        if b is None:
            if c.step < 2:
                self.coming -= 1
            self.drop(c, "refused" if c.step < 2 else "closed")
            self.go_on()
            return
        if c.step == 2:
            self.heard(c, b)
            return
        c.got += b
        if c.step == 0 and b"\r\n" in c.got:
            if c.got.startswith(b"* OK"):
                c.sock.send(b'a LOGIN %s "%s"\r\n' % (c.user.encode(), self.password.encode()) + self.then)
            c.got, c.step = b"", 1
        elif c.step == 1 and self.is_in(c.got):
            rest, c.got, c.step = c.got, b"", 2
            self.count["in"] += 1
            self.coming -= 1
            self.ready(c, rest)
            self.go_on()

    def is_in(self, got):
        return b"a OK" in got and got.endswith(b"\r\n")

    def ready(self, c, rest):
        pass

    def heard(self, c, b):
        pass

    def tick(self):
        return 1


class Idlers(Sessions):
    """In IDLE, INBOX selected; notes who has heard of new mail, and when."""
    then = b"b SELECT INBOX\r\nc IDLE\r\n"

    def is_in(self, got):
        return b"b OK" in got and (got.endswith(b"\r\n") and b"\r\n+ " in got)

    def ready(self, c, rest):
        c.told = False

    def heard(self, c, b):
        if b" EXISTS" in b and not c.told:
            c.told = True
            self.more["told"] = self.more.get("told", 0) + 1
            self.more["last"] = time.monotonic()


class Askers(Sessions):
    """Each asks every pace seconds, one after the other; all answers checked.
    "start" forgets, "stop" gives the times."""
    then = b"b SELECT INBOX\r\n"
    commands = (b"x NOOP\r\n", b"x UID FETCH 1:10 (FLAGS ENVELOPE)\r\n", b"x SEARCH UNSEEN\r\n",
                b"x UID FETCH 1:* FLAGS\r\n", b"x UID STORE 1 +FLAGS.SILENT (\\Flagged)\r\n")

    def begin(self, users, password, pace):
        self.pace, self.times, self.due, self.late = pace, [], deque(), 0
        super().begin(users, password)

    def is_in(self, got):
        return b"b OK" in got and got.endswith(b"\r\n")

    def ready(self, c, rest):
        c.turn = len(self.due)
        self.due.append((time.monotonic() + self.pace * (c.turn % 50) / 50, c))

    def tick(self):
        now = time.monotonic()
        while self.due and self.due[0][0] <= now:
            _, c = self.due.popleft()
            if c.fd not in self.socks:
                continue
            c.turn += 1
            c.asked = time.monotonic()
            c.sock.send(self.commands[c.turn % len(self.commands)])
        return max(0, self.due[0][0] - time.monotonic()) if self.due else 1

    def heard(self, c, b):
        c.got = (c.got + b)[-4096:]
        if c.got.endswith(b"\r\n") and b"x " in c.got.rsplit(b"\r\n", 2)[-2][:2]:
            assert c.got.rsplit(b"\r\n", 2)[-2].startswith(b"x OK"), c.got[-200:]
            now = time.monotonic()
            self.times.append(now - c.asked)
            c.got = b""
            self.due.append((now + self.pace, c))

    def told(self, word):
        if word == "start":
            self.times = []
        return sorted(self.times) if word == "stop" else super().told(word)


class Sippers(Sessions):
    """Ask for much, and read a byte a second."""
    rcvbuf = 4096

    def begin(self, users, password, ask):
        self.then = b"b SELECT INBOX\r\n"
        self.wanted, self.next, self.sips = ask, 0, []
        super().begin(users, password)

    def is_in(self, got):
        return b"b OK" in got and got.endswith(b"\r\n")

    def ready(self, c, rest):
        c.sock.send(self.wanted)
        self.ep.unregister(c.fd)  # what comes waits in the kernel
        self.sips.append(c)

    def tick(self):
        now = time.monotonic()
        if now >= self.next:
            self.next = now + 1
            for c in list(self.sips):
                if c.fd in self.socks and self.read(c, 1) is None:
                    self.sips.remove(c)
                    self.drop(c)
        return max(0, self.next - time.monotonic())


class Drippers(Crowd):
    """Write a byte every pace seconds, and never log in. Their ends are noted:
    the shortest and the longest life."""

    def begin(self, n, pace):
        self.left, self.pace, self.due = n, pace, deque()
        self.more = {"short": 1e9, "long": 0}

    def tick(self):
        now = time.monotonic()
        for _ in range(200):
            if self.left == 0:
                break
            self.left -= 1
            c = Client()
            if self.open(c):
                self.due.append((now + self.pace * (self.left % 100) / 100, c))
        while self.due and self.due[0][0] <= now:
            _, c = self.due.popleft()
            if c.fd in self.socks:
                try:
                    c.sock.send(b"x")
                except BlockingIOError:
                    pass
                except OSError:
                    continue  # its end is read
                self.due.append((now + self.pace, c))
        if self.left:
            return 0
        return max(0, min(1, self.due[0][0] - time.monotonic())) if self.due else 1

    def event(self, c, ev):
        b = self.read(c)
        if b is None:
            life = time.monotonic() - c.at
            self.more["short"] = min(self.more["short"], life)
            self.more["long"] = max(self.more["long"], life)
            self.drop(c)
        elif b and c.step == 0:
            c.step = 1
            self.count["in"] += 1


class Flood(Crowd):
    """So many connections a second, from one address or many; each is held
    for hold seconds, or until the server ends it; then it comes again."""

    def begin(self, rate, hold, addresses, most):
        self.rate, self.hold, self.addresses, self.most = rate, hold, addresses, most
        self.start, self.made, self.ages, self.stopped = time.monotonic(), 0, deque(), False

    def tick(self):
        now = time.monotonic()
        while self.ages and self.ages[0].at + self.hold <= now:
            c = self.ages.popleft()
            if self.socks.get(c.fd) is c:
                self.drop(c)
        for _ in range(500):
            if self.stopped or self.made >= (now - self.start) * self.rate:
                break
            self.made += 1
            c = Client()
            n = self.made % self.addresses
            if len(self.socks) < self.most and self.open(
                    c, frm=None if self.addresses == 1 else f"127.{1 + n % 200}.{n // 200 % 250}.{1 + n % 250}"):
                self.ages.append(c)
        return 0.002 if not self.stopped else 1

    def event(self, c, ev):
        b = self.read(c)
        if b is None:
            self.drop(c)
        elif b.startswith((b"* BYE", b"-ERR", b"421")):
            self.count["refused"] += 1
        elif c.step == 0:
            c.step = 1
            self.count["in"] += 1

    def told(self, word):
        if word == "stop":
            self.stopped = True
            for c in list(self.socks.values()):
                self.drop(c)
        return dict(super().told(word), seconds=time.monotonic() - self.start)
