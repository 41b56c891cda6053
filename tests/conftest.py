# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""Fixtures: a server for a module (fast), or one of a test's own."""
import signal
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import litter  # noqa: E402
from harness import Server, corpus as corpus_folder  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "xdist_group(name): tests that share a server")
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, ended)
    if not hasattr(config, "workerinput"):  # of xdist
        litter.sweep()


def ended(*_):
    """An end like any other, so that fixtures clean up."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pytest.exit("SIGTERM", 143)


@pytest.fixture(scope="module")
def shared_server():
    """One server for a whole module: each test uses accounts of its own."""
    with Server(users=()) as s:
        yield s


@pytest.fixture
def server():
    """A server of the test's own with the users ann and bob."""
    with Server() as s:
        yield s


_numbers = iter(range(1, 1 << 30))


@pytest.fixture
def user(shared_server):
    """A new account on the shared server."""
    name = f"user{next(_numbers)}"
    shared_server.add_user(name)
    return name


@pytest.fixture(scope="session")
def corpus():
    p = corpus_folder()
    if p is None:
        pytest.skip("no corpus of real mail: set RESTANTE_CORPUS to its folder")
    return p
