# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
import os
import signal
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

import world  # noqa: E402
from guard import Guard  # noqa: E402
from server import Listener  # noqa: E402
from world import Link, Namespace  # noqa: E402


def pytest_configure(config):
    if os.geteuid():
        pytest.exit("tests/net needs root: it makes network namespaces", returncode=2)
    # SIGTERM ends a run as Ctrl-C does, with fixtures taken down.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    world.sweep()


def pytest_unconfigure(config):
    world.clear_leftovers()


class Bed:
    """What most tests stand on.

        client namespace                 server namespace
        cg0  10.1.0.2 fd00:1::2 -------- 10.1.0.1 fd00:1::1  sw0    synward is attached here
        cd0  10.2.0.2 fd00:2::2 -------- 10.2.0.1 fd00:2::1  dir0   never guarded: "direct"

    Raw peers speak from 100.64.N.0/24 and 2001:db8:N::/48 behind the client's end. One
    listener is reached over both links: the same stimulus over both gives the direct answer
    and the guarded one.
    """

    def __init__(self, mode=None, *options, path="host"):
        self.mode, self.path = mode, path
        self.server, self.client = Namespace("s"), Namespace("c")
        self.guarded = Link(self.client, self.server, 1, "sw0", "cg0")
        self.direct = Link(self.client, self.server, 2, "dir0", "cd0")
        for name, value in (("net.ipv4.tcp_no_metrics_save", 1), ("net.ipv4.icmp_ratelimit", 0),
                            ("net.ipv6.icmp.ratelimit", 0), ("net.ipv4.tcp_max_syn_backlog", 4096)):
            self.server.sysctl(name, value)
        for ns in (self.server, self.client):
            ns.sysctl("net.core.somaxconn", 8192)
        self.client.sysctl("net.ipv4.ip_local_port_range", "10000 65000")
        self.guard = Guard(self.server, "sw0")
        if path == "hosted":  # the proxy path, which hands over to listeners of its own machine
            options = ("--flows", "1k", *options)
        if path == "compat":
            options = ("--path", "compat", *options)
            self.server.sysctl("net.ipv4.tcp_timestamps", 2)  # the compat path keeps options in plain timestamps
        if mode:
            try:
                self.guard.attach(mode, *options)
            except BaseException:
                self.remove()
                raise

    def second_guard(self):
        """Another guarded interface of the same namespace: not attached yet."""
        return Guard(self.server, "dir0")

    def listen(self, family, **how):
        return Listener(self.server, family, **how)

    def handed(self, moved):
        """Of counters that moved: connections given to a listener. On the compat path the kernel makes them, uncounted."""
        return moved["ack_valid"] if self.path == "compat" else moved["handoff_done"]

    def both(self, stimulus, *arguments):
        """(direct, guarded): what the stimulus gives over either link."""
        return stimulus(self.direct, *arguments), stimulus(self.guarded, *arguments)

    def remove(self):
        for ns in (self.server, self.client):
            if ns in world.leftovers:
                ns.remove()


@pytest.fixture(scope="module", params=["native", "generic"])
def bed(request):
    """The bed with synward attached, once a module and mode."""
    made = Bed(request.param)
    yield made
    made.remove()


@pytest.fixture
def plain_bed():
    """A bed of the test's own, nothing attached yet."""
    made = Bed()
    yield made
    made.remove()


@pytest.fixture(params=["ipv4", "ipv6"])
def family(request):
    return request.param
