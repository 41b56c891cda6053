# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""What TLS leaves behind in memory; sanitizers would keep what is freed."""
import socket

from harness import Server, tls_wrap


def rss(server):
    total = 0
    for p in server.pids("front"):
        for line in open(f"/proc/{p}/smaps_rollup"):
            if line.startswith("Rss:"):
                total += int(line.split()[1])
    return total


def test_r26_sni_names():
    """R26: names cost nothing that stays: 300 more of them, no megabyte."""
    with Server(users=()) as s:
        def knock(name):
            tls_wrap(socket.create_connection(("127.0.0.1", s.ports["imaps"]), 10), name).close()
        for i in range(300):
            knock(f"warm{i}.example")
        before = rss(s)
        assert before > 0
        for i in range(300):
            knock(f"name{i}.example")
        assert rss(s) - before < 1024, (before, rss(s))
