# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
#    flood 198.18/15 ┐
#    real clients    ┴ cg0 ───── sw0 (synward, mode auto) ── listener
#
# A service in mode auto: what arms it and how soon, what it does while idle, that it disarms
# once, and that nothing which was connecting at either edge fails.
# SYNWARD_EDGES=20 goes over both edges so often (default: 1).
import contextlib
import json
import os
import socket
import struct
import threading
import time

import pytest

import frame as f
from conftest import Bed
from guard import SERVICES
from peer import Peer, Wire
from server import linger_reset
from world import FLOOD, wait_until

EDGES = int(os.environ.get("SYNWARD_EDGES", "1"))
WOULD = 1 + SERVICES  # SW_COUNTERS_WOULD
SO_TIMESTAMPNS = 35  # include/uapi/asm-generic/socket.h


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


class Crowd:
    """Accepts, says a byte and goes: what a client has to get that was served."""

    def __init__(self, bed, port=None):
        self.listener, self.address = bed.listen("ipv4", port=port, backlog=4096), bed.guarded.server_addr["ipv4"]
        self.client, self.served, self.failed = bed.client, 0, []
        self.listener.sock.settimeout(None)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                conn, _ = self.listener.sock.accept()
            except OSError:
                return
            with conn:
                conn.send(b"k")

    def visit(self):
        """One client, from its SYN to the byte."""
        try:
            with self.client.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
                sock.settimeout(10)
                sock.connect((self.address, self.listener.port))
                assert sock.recv(1) == b"k"
                linger_reset(sock)
                self.served += 1
        except (OSError, AssertionError) as error:
            self.failed.append(repr(error))

    def visit_for(self, seconds, pause=0):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.visit()
            time.sleep(pause)

    @contextlib.contextmanager
    def visiting(self, pause):
        """Within: clients, one after the other."""
        over = threading.Event()

        def go():
            while not over.is_set():
                self.visit()
                time.sleep(pause)
        thread = threading.Thread(target=go)
        thread.start()
        try:
            yield self
        finally:
            over.set()
            thread.join()

    def close(self):
        self.listener.sock.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def events(bed, count):
    lines = bed.guard.cli("events", "sw0", "-j", "-c", str(count)).stdout.splitlines()
    return [json.loads(line) for line in lines]


def asked(bed, port, count, wire):
    """Handshakes of which the SYN-ACK has come, and the ACK is still to go."""
    peers = [Peer(bed.guarded, "ipv4", port, wire=wire, sport=20000 + n) for n in range(count)]
    for peer in peers:
        assert peer.ask(), "no SYN-ACK"
    return peers


def use_up_lookups(peer):
    """ACKs of no connection, more than are looked up in a second: what comes behind must be known without."""
    for sport in range(30000, 34000):
        peer.sport, was = sport, peer.sport
        frame = peer.frame(f.ACK, ack=1)
        peer.sport = was
        peer.wire.send(frame)


def finished(peers, listener):
    """How many of them become connections that carry data."""
    for peer in peers:
        peer.tsval += 1
        peer.data(b"%5d" % peer.sport)
    got = set()
    while len(got) < len(peers):
        conn = listener.accept(5)
        if not conn:
            break
        got.add(conn.recv(5))
    return len(got & {b"%5d" % peer.sport for peer in peers})


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
        child = flood(bed, listener, 5000, 1)
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


def first_syn_s(wire):
    """CLOCK_REALTIME at which the kernel got the first SYN from the flood."""
    while True:
        data, control, _, _ = wire.sock.recvmsg(2048, 256)
        seen = f.dissect(data, ())
        if seen and seen.flags == f.SYN and seen.src.startswith("198."):
            stamp = [value for _, kind, value in control if kind == SO_TIMESTAMPNS]
            seconds, ns = struct.unpack("qq", stamp[0][:16])
            return seconds + ns / 1e9


def test_a_flood_is_answered_within_100_ms():
    """From its first SYN, as stamped below the kernel's stack, to the data plane's own note that it armed."""
    with standing("--syn-end", "300") as bed, bed.guarded.taking_live_frames():
        listener, wire = bed.listen("ipv4"), Wire(bed.server, "sw0")
        wire.sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        wire.sock.settimeout(10)
        child = flood(bed, listener, 6000, 1)
        began = first_syn_s(wire)
        wire.close()
        armed, = events(bed, 1)
        child.wait()
        assert armed["event"] == "armed" and armed["time"] - began <= 0.1
        assert bed.guard.totals()["syn_idle"] <= 600


def test_a_crowd_of_clients_does_not_flap():
    """Waves of clients over the threshold with pauses far below it: armed once, and not before the second wave disarmed."""
    with standing("--syn-start", "60", "--syn-end", "30") as bed, contextlib.closing(Crowd(bed)) as crowd:
        for _ in range(5):
            crowd.visit_for(0.6)
            time.sleep(0.3)
        state = service(bed)
        assert not crowd.failed and crowd.served > 100
        assert state["armed"] and state["times_armed"] == 1 and state["armed_by"] == "syn_rate"
        assert wait_until(lambda: not service(bed)["armed"], 10, 0.1)
        assert [event["event"] for event in events(bed, 2)] == ["armed", "disarmed"]


def test_clients_below_the_threshold_do_not_arm():
    with standing() as bed, contextlib.closing(Crowd(bed)) as crowd:
        crowd.visit_for(1, pause=0.005)
        assert not crowd.failed and service(bed)["times_armed"] == 0
        assert bed.guard.totals()["synack_sent"] == 0


def test_handshakes_under_way_at_both_edges_are_made():
    """80 with the kernel's SYN-ACK when it arms, 80 with a cookie when it disarms, and clients all along."""
    with standing("--half-open-start", "0") as bed, bed.guarded.taking_live_frames(), contextlib.closing(Crowd(bed)) as crowd:
        bed.server.sysctl("net.ipv4.tcp_synack_retries", 5)
        listener, wire = bed.listen("ipv4", backlog=4096), Wire(bed.client, "cg0")
        with crowd.visiting(0.01):
            for edge in range(1, EDGES + 1):
                before = asked(bed, listener.port, 80, wire)
                # Forged ones into the other listener's queue: this one's has room.
                child = flood(bed, crowd.listener, 6000, 1)
                assert wait_until(lambda: service(bed)["armed"], 5)
                use_up_lookups(before[0])
                assert finished(before, listener) == 80
                with bed.guard.counting() as moved:
                    cookies = asked(bed, listener.port, 80, wire)
                assert moved["synack_sent"] >= 80
                child.wait()
                assert wait_until(lambda: not service(bed)["armed"], 20, 0.05)
                with bed.guard.counting() as moved:
                    assert finished(cookies, listener) == 80
                assert moved["handoff_done"] >= 80
                assert service(bed)["times_armed"] == edge
                for peer in before + cookies:
                    peer.send(f.RST)
        wire.close()
        assert not crowd.failed and crowd.served > 20


def test_half_open_sockets_arm_below_the_rate():
    """A slow flood that fills the backlog; disarmed once, when what it left in the queue has gone."""
    with standing("--half-open-start", "50", "--half-open-end", "20") as bed, bed.guarded.taking_live_frames():
        listener = bed.listen("ipv4", backlog=512)
        child = flood(bed, listener, 200, 2)
        assert wait_until(lambda: service(bed)["armed"], 4)
        assert service(bed)["armed_by"] == "half_open"
        assert connects(bed, listener)
        child.wait()
        assert service(bed)["armed"]
        # The queue is looked at when a SYN comes.
        assert wait_until(lambda: connects(bed, listener) and not service(bed)["armed"], 30, 0.3)
        armed, disarmed = events(bed, 2)
        assert (armed["event"], disarmed["event"]) == ("armed", "disarmed")
        assert armed["half_open"] >= 50 and disarmed["half_open"] < 20 and service(bed)["times_armed"] == 1


def exchange(link, port):
    """What comes back to a handshake with data, a stray ACK, SYN-ACK and RST, told relative."""
    answers = []
    with Peer(link, "ipv4", port) as peer:
        peer.connect(b"hello")
        answers.append([peer.tell(segment) for segment in peer.receive_all()])
        peer.send(f.RST)
    for flags in (f.ACK, f.SYN | f.ACK, f.RST, f.FIN | f.ACK):
        with Peer(link, "ipv4", port) as peer:
            peer.send(flags, ack=0x1000 if flags & f.ACK else 0)
            answers.append([f.flag_names(segment.flags) for segment in peer.receive_all()])
    return answers


@pytest.mark.parametrize("mode", ["off", "monitor"])
def test_the_other_modes_touch_nothing(mode):
    """The same frames over a guarded and an unguarded link get the same answers; monitor has counted what it would have done."""
    bed = Bed("native", "--mode", mode)
    try:
        listener = bed.listen("ipv4")
        with bed.guard.counting() as moved:
            assert connects(bed, listener)
            direct, guarded = bed.both(exchange, listener.port)
        assert guarded == direct and any(guarded[1:])
        assert not {name for name in moved if name in ("synack_sent", "handoff_done", "ack_invalid", "rst_unknown")}
        would = {name: value for name, value in bed.guard.totals([WOULD]).items() if value}
        if mode == "off":
            assert not would
        else:
            assert would == {"synack_sent": 2, "ack_invalid": 2, "synack_unsolicited": 1, "rst_unknown": 1}
            assert moved["syn_monitored"] == 2 and moved["monitored"] == 4
    finally:
        bed.remove()
