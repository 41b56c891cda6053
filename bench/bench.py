# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""A first benchmark of restante alone: deliver, flags, summary, idle memory.

The clients are Python in processes of their own, so rates are a lower bound;
the server's CPU time per operation and its memory are exact. Medians of the
rounds.
"""
import argparse
import multiprocessing as mp
import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from harness import PASSWORD, Imap, Lmtp, Server, stuff  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")


def mail(n, size):
    head = (f"From: Ann <ann{n}@example.org>\r\nTo: bob@example.org\r\nSubject: number {n}\r\n"
            f"Date: Mon, 02 Jan 2006 15:04:05 +0100\r\nMessage-ID: <{n}.{size}@example.org>\r\n\r\n").encode()
    line = b"".join(b"%08x" % ((n * 2654435761 + i * 40503) & 0xffffffff) for i in range(9)) + b"\r\n"
    return (head + line * (size // len(line)))[:size - 2] + b"\r\n"


def cpu(server):
    """Seconds of all the server's processes so far."""
    total = 0
    for p in [server.proc.pid] + server.pids():
        f = open(f"/proc/{p}/stat").read().rpartition(")")[2].split()
        total += int(f[11]) + int(f[12])
    return total / TICK


def memory(server):
    """User-space memory of all processes, in bytes."""
    total = 0
    for p in server.pids():
        for line in open(f"/proc/{p}/smaps_rollup"):
            if line.startswith("Pss_Anon:") or line.startswith("Pss_Shmem:"):
                total += int(line.split()[1]) * 1024
    return total


def lmtp_worker(port, user, first, count, size, gate, out):
    c = Lmtp(port)
    c.reply()
    c.lhlo()
    data = [stuff(mail(first + i, size)) for i in range(count)]
    gate.wait(120)
    head = b"MAIL FROM:<a@example.org>\r\nRCPT TO:<%s>\r\nDATA\r\n" % user.encode()
    for d in data:
        c.write(head)
        for want in (250, 250, 354):
            code, text = c.reply()
            assert code == want, text
        c.write(d)
        code, text = c.reply()
        assert code == 250, text
    out.put("done")


def flag_worker(port, user, seqs, count, gate, out):
    c = Imap(port)
    c.line()
    c.ok(f'LOGIN {user} "{PASSWORD}"')
    c.select()
    gate.wait(120)
    for i in range(count):
        c.ok(f"UID STORE {seqs[i % len(seqs)]} {'+' if i // len(seqs) % 2 == 0 else '-'}FLAGS.SILENT (\\Flagged)")
    out.put("done")


def together(server, workers):
    """Runs the workers' loops at once: (seconds, server CPU seconds)."""
    q, gate = mp.Queue(), mp.Barrier(len(workers) + 1)
    ps = [mp.Process(target=f, args=(*a, gate, q)) for f, a in workers]
    for p in ps:
        p.start()
    gate.wait(120)
    before, start = cpu(server), time.monotonic()
    for _ in ps:
        assert q.get(timeout=600) == "done"
    took, used = time.monotonic() - start, cpu(server) - before
    for p in ps:
        p.join()
    return took, used


def row(name, runs, unit):
    rates = [n / t for n, t, _ in runs]
    print(f"| {name} | {statistics.median(rates):,.0f} {unit}/s | "
          f"{min(rates):,.0f}..{max(rates):,.0f} | {statistics.median(1e6 * c / n for n, _, c in runs):,.0f} µs |",
          flush=True)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--quick", action="store_true", help="a tenth of the work")
    ap.add_argument("--rounds", type=int, default=3)
    o = ap.parse_args()
    scale = 10 if o.quick else 1
    with Server(users=[f"u{i}" for i in range(64)], settings=["connections_per_account=100000"]) as s:
        print("| workload | median | spread | server CPU each |\n|---|---|---|---|")
        first = 1
        for conns in (1, 8, 64):
            runs = []
            for _ in range(o.rounds):
                each = max(2, 2000 // conns // scale)
                t, c = together(s, [(lmtp_worker, (s.ports["lmtp"], f"u{i}", first + i * each, each, 4096))
                                    for i in range(conns)])
                first += conns * each
                runs.append((conns * each, t, c))
            row(f"deliver 4 KiB, {conns} connections", runs, "message")
        n = 10000 // scale
        s.add_user("many")
        with s.imap("many") as c:
            for i in range(0, n, 100):
                parts = ["APPEND INBOX "]
                for k in range(100):
                    parts += [mail(i + k, 2048), " "]
                got, end = c.cmd(parts[:-1])
                assert end.startswith(b"OK"), end
        for conns in (1, 8):
            runs = []
            for _ in range(o.rounds):
                each = 2000 // scale
                share = n // conns
                t, c = together(s, [(flag_worker, (s.ports["imap"], "many",
                                                   range(1 + i * share, 1 + (i + 1) * share), each))
                                    for i in range(conns)])
                runs.append((conns * each, t, c))
            row(f"flags one by one, {conns} connections, same mailbox", runs, "STORE")
        runs = []
        with s.imap("many") as c:
            c.select()
            for _ in range(o.rounds + 1):
                before, start = cpu(s), time.monotonic()
                c.write(b"x FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)\r\n")
                size = 0
                tail = b""
                while b"x OK" not in tail:
                    more = c.sock.recv(1 << 20)
                    size += len(more)
                    tail = (tail + more)[-200:]
                runs.append((n, time.monotonic() - start, max(cpu(s) - before, 1e-9)))
        row(f"summary of {n} (first)", runs[:1], "message")
        row(f"summary of {n} (repeated)", runs[1:], "message")
        idle = []
        count = 2000 // scale
        base = memory(s)
        for i in range(count):
            c = s.imap("many")
            c.select()
            c.write(b"i IDLE\r\n")
            assert c.line().startswith(b"+")
            idle.append(c)
        time.sleep(1)
        print(f"| idle, INBOX of {n} selected, plaintext | {(memory(s) - base) / count:,.0f} bytes a connection |"
              f" {count} connections | |")
        for c in idle:
            c.close()


if __name__ == "__main__":
    main()
