# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
#    flood 198.18/15 ┐
#    real clients    ┴ cg0 ───── sw0 (synward, mode auto) ── listener
#
# A service in mode auto: what arms it, what it does while idle, that it disarms once.
import contextlib
import json
import socket
import time

import pytest

from conftest import Bed
from world import FLOOD, wait_until


@contextlib.contextmanager
def standing(*options):
    bed = Bed("native", "--mode", "auto", "--hold", "1s", *options)
    try:
        bed.server.sysctl("net.ipv4.tcp_synack_retries", 1)
        yield bed
    finally:
        bed.remove()


def service(bed):
    return bed.guard.status()[0]["services"][0]


def connects(bed, listener):
    sock = bed.client.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.settimeout(5)
    with sock:
        sock.connect((bed.guarded.server_addr["ipv4"], listener.port))
        sock.sendall(b"x")
        conn = listener.accept()
        return conn is not None and conn.recv(1) == b"x"


def flood(bed, listener, rate, seconds):
    return bed.client.spawn(FLOOD, "cg0", "--to", bed.guarded.server_addr["ipv4"], "--port", listener.port,
                            "--sources", "198.18.0.0/15", "--seconds", seconds, "--rate", rate)


def test_idle_leaves_everything_to_the_kernel():
    with standing() as bed:
        listener = bed.listen("ipv4")
        with bed.guard.counting() as moved:
            assert connects(bed, listener)
        assert moved["syn_idle"] == 1 and moved["synack_sent"] == 0
        assert not service(bed)["armed"]


def test_a_flood_arms_and_its_end_disarms_once():
    with standing("--syn-start", "500", "--syn-end", "300") as bed, bed.guarded.taking_live_frames():
        listener = bed.listen("ipv4")
        child = flood(bed, listener, 5000, 3)
        assert wait_until(lambda: service(bed)["armed"], 2)
        assert service(bed)["armed_by"] == "syn_rate"
        assert connects(bed, listener)
        # What was let through before it armed: a tenth of a second's worth at most, of 5,000.
        assert bed.guard.totals()["syn_idle"] <= 500
        child.wait()
        assert wait_until(lambda: connects(bed, listener) and not service(bed)["armed"], 20, 0.3)
        assert service(bed)["times_armed"] == 1
        lines = bed.guard.cli("events", "sw0", "-j", "-c", "2").stdout.splitlines()
        assert [json.loads(line)["event"] for line in lines] == ["armed", "disarmed"]


def test_half_open_sockets_arm_below_the_rate():
    with standing("--half-open-start", "50", "--half-open-end", "20") as bed, bed.guarded.taking_live_frames():
        listener = bed.listen("ipv4", backlog=512)
        child = flood(bed, listener, 200, 5)
        assert wait_until(lambda: service(bed)["armed"], 4)
        assert service(bed)["armed_by"] == "half_open"
        assert connects(bed, listener)
        child.kill()


@pytest.mark.parametrize("mode", ["off", "monitor"])
def test_the_other_modes_touch_nothing(mode):
    bed = Bed("native", "--mode", mode)
    try:
        listener = bed.listen("ipv4")
        with bed.guard.counting() as moved:
            assert connects(bed, listener)
        assert moved["synack_sent"] == 0
    finally:
        bed.remove()
