# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
#    client, cg0 ──────────── sw0 (synward) box bs0 ──────── ss0, listener
#
# What `synward flows` tells, of real flows and of a million made up.
import json
import os
import re
import signal
import socket
import struct
import subprocess
import time

import pytest

from proxy_world import ProxyBed, write_flows
from server import connect, linger_reset, read_exactly
from test_metrics import RTT, check_histogram, samples
from world import SYNWARD, wait_until

MANY = 1_000_000


@pytest.fixture(scope="module")
def bed():
    made = ProxyBed("routed", "native", "--flows", "2M")
    yield made
    made.remove()


def flows(bed, *options):
    return [json.loads(line) for line in bed.guard.cli("flows", "sw0", "-j", *options).stdout.splitlines()]


def metrics(bed):
    """synward_flows by state, and the limit."""
    text = bed.guard.cli("metrics", "--once").stdout
    told = dict(re.findall(r'^synward_flows\{interface="sw0",state="(\w+)"\} (\S+)$', text, re.M))
    told["limit"], = re.findall(r'^synward_flows_limit\{interface="sw0"\} (\S+)$', text, re.M)
    return {state: float(count) for state, count in told.items()}


def test_metrics_and_status_say_how_full_the_table_is(bed):
    with bed.listen("ipv4") as listener:
        before, shown = metrics(bed), bed.guard.status()[0]["flows"]
        socks = [connect(bed.client, "ipv4", bed.guarded.server_addr["ipv4"], listener.port) for _ in range(5)]
        assert wait_until(lambda: metrics(bed)["established"] == before["established"] + 5)
        status = bed.guard.status()[0]
        assert status["flows"] == shown + 5 and status["flows_limit"] == before["limit"] == 2 << 20
        for sock in socks:
            linger_reset(sock)
            sock.close()
        assert wait_until(lambda: metrics(bed)["reset"] == before["reset"] + 5)
        assert bed.guard.status()[0]["flows"] == shown
        assert "room for     2097152" in bed.guard.cli("status", "sw0").stdout


def test_round_trips_are_timed_where_a_flow_is_opened(bed):
    with bed.listen("ipv4", backlog=512) as listener:
        def told():
            return samples(bed.guard.cli("metrics", "--once").stdout)

        def visit(times):
            for _ in range(times):
                connect(bed.client, "ipv4", bed.guarded.server_addr["ipv4"], listener.port).close()
                listener.accept().close()

        # One handshake in 64 is timed, by a keyed hash: some more or fewer.
        assert wait_until(lambda: visit(64) or told()[f'{RTT}_count{{interface="sw0",service="all"}}'], 20, 0)
        check_histogram(told(), "all")


def test_a_flow_is_told_from_its_first_segment_to_its_last(bed, family):
    with bed.listen(family) as listener:
        sock = connect(bed.client, family, bed.guarded.server_addr[family], listener.port)
        conn = listener.accept()
        sock.sendall(bytes(1000))
        assert len(read_exactly(conn, 1000)) == 1000
        conn.sendall(bytes(5000))
        assert len(read_exactly(sock, 5000)) == 5000
        port = str(listener.port)
        flow, = flows(bed, "--port", port)
        assert (flow["client"], flow["client_port"]) == sock.getsockname()[:2]
        assert (flow["server"], flow["server_port"]) == sock.getpeername()[:2]
        assert flow["state"] == "established" and flow["interface"] == "sw0"
        assert (flow["bytes_in"], flow["bytes_out"]) == (1000, 5000)
        assert flow["packets_in"] >= 3 and flow["packets_out"] >= 1 and 0 <= flow["idle_s"] <= flow["age_s"] < 30
        assert flow["seq_offset"] != 0
        sock.shutdown(socket.SHUT_WR)
        assert conn.recv(1) == b""
        assert flows(bed, "--port", port)[0]["state"] == "client_done"
        conn.close()
        assert sock.recv(1) == b""
        assert wait_until(lambda: flows(bed, "--port", port)[0]["state"] == "time_wait")
        sock.close()


def test_filters(bed):
    with bed.listen("ipv4") as listener:
        sock = connect(bed.client, "ipv4", bed.guarded.server_addr["ipv4"], listener.port)
        only = ("--port", str(listener.port))
        for options, count in (((), 1), (("--client", "10.1.0.0/16"), 1), (("--client", "10.2.0.0/16"), 0), (("--server", "10.5.0.1"), 1),
                               (("--server", "fd00::/16"), 0), (("--state", "established"), 1), (("--state", "reset"), 0)):
            assert len(flows(bed, *only, *options)) == count, options
        table = bed.guard.cli("flows", *only).stdout.splitlines()
        assert table[0].split()[0] == "client" and len(table) == 2 and "established" in table[1]
        assert bed.guard.cli("flows", "sw0", "--count", *only).stdout == "1\n"
        sock.close()


@pytest.mark.parametrize("options, said", [(("--port", "none"), "no list of ports"), (("--state", "open"), "no state"),
                                           (("--client", "10.0.0.1/8"), "bits set behind"), (("nowhere",), "nowhere"), (("dir0",), "not guarded")])
def test_what_cannot_be_is_said_in_one_line(bed, options, said):
    done = bed.guard.cli("flows", *options, check=False)
    assert done.returncode in (1, 2) and said in done.stderr.splitlines()[0]


def test_a_million_flows_are_listed_in_seconds(bed):
    many = write_flows(bed, MANY, lambda at: struct.pack("<QQQQHHI", 0, at + 0x0A000000, 0, 0x0100050A, at & 0xFFFF, 20000, 0))
    began = time.monotonic()
    count = int(bed.guard.cli("flows", "sw0", "--count", "--port", "20000").stdout)
    counted = time.monotonic() - began
    began = time.monotonic()
    listed = bed.box.run(SYNWARD, "flows", "sw0", "-j", "--port", "20000", timeout=60).stdout.count("\n")
    print(f"{count} flows counted in {counted:.2f} s, listed in {time.monotonic() - began:.2f} s")
    assert count == listed == many > MANY - 20
    assert counted < 10
    began = time.monotonic()
    told, status = metrics(bed), bed.guard.status()[0]
    print(f"estimated in {time.monotonic() - began:.2f} s for metrics and status: {told['established']:.0f}, {status['flows']}")
    assert abs(told["established"] - MANY) < 0.04 * MANY and abs(status["flows"] - MANY) < 0.04 * MANY
    assert told["limit"] == status["flows_limit"] == 2 << 20


def test_a_full_table_forgets_the_longest_silent_and_takes_new_ones():
    bed = ProxyBed("local", "native", "--flows", "1k")
    try:
        with bed.listen("ipv4", backlog=4096) as listener:
            with bed.guard.counting() as moved:
                socks = [connect(bed.client, "ipv4", bed.guarded.server_addr["ipv4"], listener.port) for _ in range(1700)]
            # Of 1024 hardly any is lost; here a set of 15 places is asked for 13 and more.
            held = [(flow["client"], flow["client_port"]) for flow in flows(bed)]
            assert 1024 < len(held) == len(set(held)) <= 128 * 15 and moved["flow_forgotten"] > 0
            assert len(held) + moved["flow_forgotten"] == 1700
            assert socks[-1].getsockname() in held
            # Forgotten are earlier ones: the second half has kept more than the first.
            kept = [sock.getsockname() in set(held) for sock in socks]
            assert sum(kept[850:]) > sum(kept[:850])
            assert sum(listener.accept() is not None for _ in socks) == 1700
            socks[-1].sendall(b"the newest works")
            assert read_exactly(listener.accepted[-1], 16) == b"the newest works"
            for sock in socks:
                sock.close()
    finally:
        bed.remove()


def test_detach_waits_for_flows_if_told_to(family):
    made = ProxyBed("routed", "native")
    try:
        with made.listen(family) as listener:
            def pair():
                sock = connect(made.client, family, made.guarded.server_addr[family], listener.port)
                return sock, listener.accept()

            def speaks(sock, conn):
                sock.sendall(b"x")
                return read_exactly(conn, 1) == b"x"

            old, old_conn = pair()
            with old, old_conn:
                child = made.box.spawn(SYNWARD, "detach", "sw0", "--drain", "60")
                time.sleep(0.7)  # listeners are looked at anew four times a second
                with made.guard.counting() as moved:
                    new, new_conn = pair()
                with new, new_conn:
                    assert moved["synack_sent"] == 0
                    assert speaks(old, old_conn) and speaks(new, new_conn) and child.poll() is None
                    assert made.guard.attached
                    old.close()
                    assert old_conn.recv(1) == b""
                    old_conn.close()
                    assert child.wait(20) == 0 and not made.guard.attached
                    assert speaks(new, new_conn)
    finally:
        made.remove()


def test_detach_says_what_it_loses_and_an_interrupted_drain_goes_on():
    made = ProxyBed("routed", "native")
    try:
        with made.listen("ipv4") as listener:
            with connect(made.client, "ipv4", made.guarded.server_addr["ipv4"], listener.port) as sock, listener.accept() as conn:
                child = made.box.spawn(SYNWARD, "detach", "sw0", "--drain", "60", stderr=subprocess.PIPE)
                time.sleep(0.5)
                child.send_signal(signal.SIGINT)
                assert b"stays guarded" in child.communicate(timeout=20)[1] and child.returncode == 1
                time.sleep(0.5)
                with made.guard.counting() as moved, \
                        connect(made.client, "ipv4", made.guarded.server_addr["ipv4"], listener.port), listener.accept():
                    pass
                assert moved["synack_sent"] == 1
                sock.sendall(b"x")
                assert read_exactly(conn, 1) == b"x"
                done = made.guard.cli("detach", "sw0", "--drain", "0")
                assert "translated connections are lost" in done.stderr and not made.guard.attached
    finally:
        made.remove()
