# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
#    real client, raw peers, flood ── cg0 ─────────── sw0 (synward, traced)
#
# What synward trace tells is compared with what the peers sent and got; and that it is off
# whenever nobody looks.
import json
import os
import signal
import struct
import subprocess
import tempfile
import time

import frame as f
import pytest
from guard import bpf_open, map_read
from peer import Peer
from proxy_world import ProxyBed
from server import Echo, connect, nobody, read_exactly, readable_by_nobody
from test_flood import under_flood  # noqa: F401: a fixture
from world import SYNWARD, wait_until

SEGMENTS, SAMPLE = 1, 2  # headers/trace.h: bits of sw_trace.on


def switched_on(bed):
    fd = bpf_open(f"{bed.guard.pins}/trace")
    try:
        return struct.unpack_from("=I", map_read(fd, 64))[0]
    finally:
        os.close(fd)


class Trace:
    """synward trace while it runs; done() ends it and returns what it said."""

    def __init__(self, bed, *options, locale="C.UTF-8"):
        self.out = tempfile.TemporaryFile("w+")
        self.child = bed.server.spawn("env", f"LC_ALL={locale}", SYNWARD, "trace", "sw0", *options, stdout=self.out,
                                      stderr=subprocess.STDOUT)
        if not wait_until(lambda: switched_on(bed) & SEGMENTS, 5):
            raise AssertionError(f"does not trace: {self.done()}")

    def text(self):
        self.out.seek(0)
        return self.out.read()

    def done(self, wait=0.4):
        time.sleep(wait)  # what was held back to be put in order
        self.child.send_signal(signal.SIGINT)
        assert self.child.wait(5) == 0, self.text()
        return self.text()

    def segments(self, wait=0.4):
        return [json.loads(line) for line in self.done(wait).splitlines()]


def exchange(bed, family, port, payload=b"x" * 100, times=1):
    with connect(bed.client, family, bed.guarded.server_addr[family], port) as sock:
        for _ in range(times):
            sock.sendall(payload)
            assert read_exactly(sock, len(payload)) == payload
        return sock.getsockname()[1]


def test_a_handshake_to_its_close(bed, family):
    """Every segment on the wire, in order, with verdicts; sequence numbers that fit each other."""
    with Echo(bed.server, family) as echo:
        trace = Trace(bed, "-j", "--port", echo.port)
        port = exchange(bed, family, echo.port)
        told = trace.segments()
    assert {s["client_port"] for s in told} == {port} and {s["client"] for s in told} == {bed.guarded.client_addr[family]}
    syn, synack, ack = told[:3]
    assert (syn["sender"], syn["flags"], syn["verdict"], syn["action"]) == ("client", "SYN", "synack_sent", "tx")
    assert syn["options"].keys() == {"mss", "wscale", "sack_permitted", "tsval", "tsecr"} and syn["seq_relative"] == 0
    assert (synack["sender"], synack["flags"], synack["ack"]) == ("synward", "SYN ACK", syn["seq"] + 1 & 0xFFFFFFFF)
    assert synack["options"]["tsecr"] == syn["options"]["tsval"] and synack["options"]["mss"] == (1460 if family == "ipv4" else 1440)
    assert (ack["flags"], ack["verdict"], ack["seq_relative"], ack["ack_relative"]) == ("ACK", "ack_valid", 1, 1)
    sent = {who: sum(s["payload_bytes"] for s in told if s["sender"] == who) for who in ("client", "kernel")}
    assert sent == {"client": 100, "kernel": 100}, told
    assert [s["sender"] for s in told if "FIN" in s["flags"]] == ["client", "kernel"]
    assert told[-1]["ack_relative"] == 102
    times = [s["time"] for s in told]
    assert times == sorted(times)


def test_the_proxy_path(family):
    """The same on the proxy path: the ACK opens a flow, and what the server says is told as it leaves."""
    made = ProxyBed("local", "native")
    try:
        with Echo(made.server, family) as echo:
            exchange(made, family, echo.port)  # its options are known from now on
            time.sleep(0.5)
            trace = Trace(made, "-j", "--port", echo.port)
            port = exchange(made, family, echo.port)
            told = [s for s in trace.segments() if s["client_port"] == port]
        verdicts = [s["verdict"] for s in told if s["sender"] == "client"]
        assert verdicts[:2] == ["synack_sent", "flow_opened"] and told[1]["sender"] == "synward", told
        assert set(verdicts[2:]) == {"flow_segment"}, told
        assert sum(s["payload_bytes"] for s in told if s["sender"] == "kernel") == 100, told
    finally:
        made.remove()


def test_the_ladder(bed, family):
    with Echo(bed.server, family) as echo:
        trace = Trace(bed, "--port", echo.port)
        port = exchange(bed, family, echo.port, times=30)
        ladder = trace.done()
    client = bed.guarded.client_addr[family]
    assert ladder.startswith(f"{client}:{port} > " if family == "ipv4" else f"[{client}]:{port} > "), ladder
    for rung in ("│── SYN ─", "synack_sent (tx): SYN answered with a SYN cookie", "─ SYN ACK ──│ sent by synward, XDP_TX",
                 "ack_valid (pass)", "sent by this machine's TCP", "─ FIN ACK ──│", "wscale", "sack, ts "):
        assert rung in ladder, ladder
    hidden = [line for line in ladder.splitlines() if "segments, " in line]
    assert hidden and len(ladder.splitlines()) < 50, "mid-connection is not summed up"


def test_ascii_where_the_locale_is_no_utf8(bed):
    with Echo(bed.server, "ipv4") as echo:
        trace = Trace(bed, "--port", echo.port, locale="C")
        exchange(bed, "ipv4", echo.port)
        ladder = trace.done()
    assert ladder.isascii() and "|-- SYN ---" in ladder and "--- SYN ACK --|" in ladder, ladder


def test_dropped_segments_and_their_reasons(bed, family):
    link = bed.guarded
    with Echo(bed.server, family) as echo, Peer(link, family, echo.port) as peer:
        trace = Trace(bed, "-j", "--client", peer.src)
        peer.send(f.ACK, seq=1000, ack=2000)
        peer.send(f.RST, seq=1000)
        peer.send(f.SYN | f.FIN, seq=1000)
        peer.send(f.SYN | f.ACK, seq=1000, ack=2000)
        peer.wire.send(bytearray(peer.syn_frame())[:-1] + b"\xff")  # one byte of its options: a wrong checksum
        told = trace.segments()
    assert [(s["flags"], s["verdict"], s["action"]) for s in told] == [
        ("ACK", "ack_invalid", "drop"), ("RST", "rst_unknown", "drop"), ("SYN FIN", "flags_invalid", "drop"),
        ("SYN ACK", "synack_unsolicited", "drop"), ("SYN", "checksum_invalid", "drop")]


def test_segments_of_others_are_not_told(bed, family):
    """The filter of client and port, in the kernel: the egress tap's too."""
    with Echo(bed.server, family) as echo, Echo(bed.server, family) as other, Peer(bed.guarded, family, other.port) as peer:
        trace = Trace(bed, "-j", "--client", peer.src, "--port", other.port)
        exchange(bed, family, echo.port)
        exchange(bed, family, other.port)
        peer.connect()
        peer.data(b"hello")
        assert peer.read(5) == b"hello"
        told = trace.segments()
    assert {(s["client"], s["server_port"]) for s in told} == {(peer.src, other.port)}
    assert {s["sender"] for s in told} == {"client", "synward", "kernel"}


def test_a_prefix_of_clients(bed):
    prefix = f"100.64.{bed.guarded.number}.0/24"
    with Echo(bed.server, "ipv4") as echo, Peer(bed.guarded, "ipv4", echo.port) as peer:
        trace = Trace(bed, "-j", "--client", prefix)
        exchange(bed, "ipv4", echo.port)
        peer.connect()
        told = trace.segments()
    assert {s["client"] for s in told} == {peer.src}


def test_unguarded_port_is_said(bed):
    """Nothing listens: asked about that port, trace tells why nothing was done."""
    with Peer(bed.guarded, "ipv4", 9) as peer:
        trace = Trace(bed, "-j", "--port", 9)
        peer.syn()
        told = trace.segments()
    assert told[0]["verdict"] == "not_guarded" and ("kernel", "RST ACK") in [(s["sender"], s["flags"]) for s in told]


def test_pcap_holds_what_was_dropped_and_answered(bed, family):
    with tempfile.NamedTemporaryFile(suffix=".pcapng") as file:
        with Echo(bed.server, family) as echo, Peer(bed.guarded, family, echo.port) as peer:
            trace = Trace(bed, "--client", peer.src, "--pcap", file.name)
            peer.send(f.ACK, seq=1000, ack=2000)
            peer.connect()
            trace.done()
        dump = subprocess.run(["tcpdump", "-nr", file.name], capture_output=True, text=True, check=True).stdout
        raw = open(file.name, "rb").read()
    assert dump.count("Flags [S]") == 1 and dump.count("Flags [S.]") == 1 and "ack 2000" in dump, dump
    for comment in (b"ack_invalid (drop): ", b"synack_sent (tx): ", b"sent by synward, XDP_TX", b"ack_valid (pass): "):
        assert comment in raw


def test_pcap_to_a_pipe(bed):
    with Echo(bed.server, "ipv4") as echo:
        with subprocess.Popen(["tcpdump", "-nlr", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as dump:
            trace = bed.server.spawn(SYNWARD, "trace", "sw0", "--port", echo.port, "--pcap", "-", "-c", "3", stdout=dump.stdin)
            assert wait_until(lambda: switched_on(bed) & SEGMENTS, 5)
            exchange(bed, "ipv4", echo.port)
            assert trace.wait(5) == 0
            dump.stdin.close()
            assert dump.stdout.read().count(b"Flags [S") == 2


def test_count_ends_it(bed):
    with Echo(bed.server, "ipv4") as echo:
        trace = Trace(bed, "-j", "--port", echo.port, "-c", "4")
        exchange(bed, "ipv4", echo.port)
        assert trace.child.wait(5) == 0
        assert len(trace.text().splitlines()) == 4
        assert not switched_on(bed) & SEGMENTS


def test_a_killed_tracer_costs_nothing_for_long(bed):
    with Echo(bed.server, "ipv4") as echo:
        trace = Trace(bed, "--port", echo.port)
        trace.child.send_signal(signal.SIGKILL)
        trace.child.wait()
        assert switched_on(bed) & SEGMENTS

        def off():
            exchange(bed, "ipv4", echo.port)
            return not switched_on(bed) & SEGMENTS

        assert wait_until(off, 8, 0.3), "it goes on without a reader"
        again = Trace(bed, "-j", "--port", echo.port)
        exchange(bed, "ipv4", echo.port)
        assert again.segments()[0]["flags"] == "SYN"


def test_one_tracer_at_a_time(bed):
    trace = Trace(bed, "--port", "9")
    second = bed.guard.cli("trace", "sw0", check=False)
    assert second.returncode == 1 and second.stderr == f"synward: sw0: is being traced by process {trace.child.pid}; one at a time\n"
    trace.done()


def test_a_traced_client_is_seen_through_a_flood(bed, under_flood):  # noqa: F811
    """Without a filter the flood may fill its share; connections have one of their own. Losses are said."""
    with Echo(bed.server, "ipv4") as echo, Peer(bed.guarded, "ipv4", echo.port) as peer:
        under_flood("ipv4", echo.port, rate=200000)
        trace = Trace(bed, "-j")
        peer.connect()
        peer.data(b"hello")
        assert peer.read(5) == b"hello"
        told = trace.segments(2)
        assert sum(s.get("lost", 0) for s in told) > 10000
        assert any(s.get("verdict") == "ack_valid" and s["client"] == peer.src for s in told)
        assert len(told) < 50000, "not limited"
    with Peer(bed.guarded, "ipv4", echo.port) as peer:
        trace = Trace(bed, "-j", "--client", peer.src)
        peer.syn()
        told = trace.segments(1)
    assert told and {s.get("client") for s in told} == {peer.src} and not any("lost" in s for s in told)


def test_refusals_are_one_clear_line(bed):
    def refused(*arguments, status=1):
        done = bed.guard.cli("trace", *arguments, check=False)
        assert done.returncode == status and not done.stdout, done
        assert len(done.stderr.splitlines()) == (1 if status == 1 else 2), done.stderr
        return done.stderr

    assert refused("dir0") == "synward: dir0: is not guarded; 'synward attach dir0' does that\n"
    assert "no such interface" in refused("nope0")
    assert "no address or prefix: '10.0.0'" in refused("sw0", "--client", "10.0.0", status=2)
    assert "no port of 1 to 65535: '0'" in refused("sw0", "--port", "0", status=2)
    assert "cannot write /nonexistent/f" in refused("sw0", "--pcap", "/nonexistent/f")
    assert not switched_on(bed) & SEGMENTS


def test_without_privileges_it_is_refused(bed):
    done = bed.server.run(*nobody(), readable_by_nobody(SYNWARD), "trace", "sw0", check=False)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and "root" in done.stderr, done


@pytest.mark.parametrize("bed", ["native"], indirect=True)
def test_an_upgrade_does_not_end_it(bed):
    with Echo(bed.server, "ipv4") as echo:
        trace = Trace(bed, "-j", "--port", echo.port)
        bed.guard.attach(bed.mode)
        exchange(bed, "ipv4", echo.port)
        assert trace.segments()[0]["verdict"] == "synack_sent"
