# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
#    peer, cg0 ──────────── sw0 (synward: XDP, GRO, tc ingress) box bs0 ──────── ss0, listener
#
# Large data of clients is translated behind GRO, at tc ingress, all other segments by XDP: each by
# one of them, once. What XDP has left is seen on sw0, in front of tc; what came of it on ss0.
import json
import os
import socket
import struct
import subprocess
import threading
import time

import pytest

import frame as f
from burst import Burst, build
from guard import bpf, bpf_open, map_read, map_write
from peer import Peer, Wire
from proxy_world import ProxyBed, write_flows
from server import Echo, connect, read_exactly
from world import FLOOD, SYNWARD, wait_until

LARGE = 512  # SW_LARGE
LINK_CREATE, TCX_INGRESS = 28, 46
KNOWN_WORDS, KNOWN_WORDS_MIN = 1 << 18, 1 << 14  # SW_KNOWN_WORDS, and in use with few sockets

BEDS = [("routed", "native"), ("local", "native"), ("nft", "native"), ("routed", "generic")]


@pytest.fixture(scope="module", params=BEDS, ids="-".join)
def bed(request):
    topology, mode = request.param
    made = ProxyBed(topology, mode, mtu=3000, back_mtu=3000)
    yield made
    made.remove()


@pytest.fixture
def routed():
    """A bed of the test's own, to fill its tables; to be attached."""
    made = ProxyBed("routed")
    made.mode = "native"
    yield made
    made.remove()


def flow(bed, peer):
    return next(json.loads(line) for line in bed.guard.cli("flows", "sw0", "-j", "--port", str(peer.dport)).stdout.splitlines()
                if json.loads(line)["client_port"] == peer.sport)


def established(listener, peer):
    """The server's end of a connection that the guard translates, after a word each way."""
    peer.connect(b"hello")
    conn = listener.accept()
    assert conn and read_exactly(conn, 5) == b"hello"
    conn.sendall(b"ready")
    assert peer.read(5) == b"ready"
    return conn


def seen(wire, peer, count=1, timeout=2.0):
    """Segments with data of peer's connection that wire shows."""
    found, end = [], time.monotonic() + timeout
    while len(found) < count and time.monotonic() < end:
        got = wire.read(end - time.monotonic())
        segment = got and f.dissect(got[0], got[1])
        if segment and segment.src == peer.src and segment.sport == peer.sport and segment.payload:
            segment.partial = got[2]
            found.append(segment)
    return found


def sack(peer, *blocks):
    """SACK blocks in the client's numbers, of what it has acknowledged (RFC 2883)."""
    option = bytes([5, 2 + 8 * len(blocks)]) + b"".join(struct.pack("!II", *((peer.rcv_nxt + edge) & 0xFFFFFFFF for edge in block)) for block in blocks)
    return (f.NOP + f.NOP + f.tstamp(peer.tsval, peer.ts_recent) if peer.tstamp else b"") + f.NOP + f.NOP + option


OPTIONS = {
    "usual": lambda peer: None,
    "sack": lambda peer: sack(peer, (-5, -2)),
    "tight": lambda peer: f.tstamp(peer.tsval, peer.ts_recent) + f.NOP + f.NOP if peer.tstamp else f.NOP * 8,
}


# One segment --------------------------------------------------------------------------

@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("stack", ["linux", "windows"])
def test_one_of_the_two_translates_it(bed, family, stack, options):
    """Small and large, with timestamps and without: the server's numbers reach it, and its data once."""
    with bed.listen(family) as listener, Peer(bed.guarded, family, listener.port, stack) as peer:
        conn = established(listener, peer)
        box, server = Wire(bed.box, "sw0"), Wire(bed.server, "ss0") if bed.back else None
        before, sent = flow(bed, peer), 0
        for size in (1, LARGE - 1, LARGE, 1400, 2800):
            payload = os.urandom(size)
            with bed.guard.counting() as moved:
                peer.send(f.ACK, payload=payload, options=OPTIONS[options](peer))
                peer.snd_nxt = (peer.snd_nxt + size) & 0xFFFFFFFF
                sent += size
                assert read_exactly(conn, size) == payload
            by_xdp, = seen(box, peer)
            behind = by_xdp.ack == peer.rcv_nxt
            assert behind == (size >= LARGE), (size, moved)
            assert behind or by_xdp.flags & f.PSH, "GRO may put it together with others"
            assert moved.tcp == {"flow_segment": moved["flow_segment"]}, moved
            if server:
                there, = seen(server, peer)
                assert (there.csum_right or there.partial) and there.ack != peer.rcv_nxt
                if options == "sack":
                    first, = struct.unpack("!I", there.option(5)[:4])
                    assert (there.ack - first) & 0xFFFFFFFF == 5, "the blocks are not in the server's numbers"
                if peer.tstamp:
                    assert there.tsval == peer.tsval
        after = flow(bed, peer)
        assert after["bytes_in"] - before["bytes_in"] == sent and after["packets_in"] >= before["packets_in"] + 5
        conn.sendall(b"end")
        assert peer.read(3) == b"end"


@pytest.mark.parametrize("size", [LARGE - 1, LARGE])
def test_fin_with_data(bed, family, size):
    with bed.listen(family) as listener, Peer(bed.guarded, family, listener.port) as peer:
        conn = established(listener, peer)
        peer.data(bytes(size), f.ACK | f.FIN)
        assert read_exactly(conn, size) == bytes(size) and conn.recv(1) == b""
        assert wait_until(lambda: flow(bed, peer)["state"] == "client_done")
        conn.close()
        assert peer.receive(2, lambda s: s.flags & f.FIN)
        peer.rcv_nxt = (peer.rcv_nxt + 1) & 0xFFFFFFFF
        peer.send(f.ACK)
        assert wait_until(lambda: flow(bed, peer)["state"] == "time_wait")


@pytest.mark.parametrize("how", [dict(tags=((f.ETH_8021Q, 0),)), dict(csum="bad")], ids=["priority tag", "checksum"])
def test_frames_that_are_not_plain(bed, family, how):
    """A tag takes the long way through XDP. A wrong checksum stays wrong."""
    with bed.listen(family) as listener, Peer(bed.guarded, family, listener.port) as peer:
        conn = established(listener, peer)
        for size in (LARGE - 1, LARGE):
            peer.send(f.ACK | f.PSH, payload=b"\1" * size, **how)
            if "csum" in how:
                conn.settimeout(0.3)
                with pytest.raises(TimeoutError):
                    conn.recv(1)
                conn.settimeout(3)
                continue
            peer.snd_nxt = (peer.snd_nxt + size) & 0xFFFFFFFF
            assert read_exactly(conn, size) == b"\1" * size
        peer.data(b"\2" * LARGE)
        assert read_exactly(conn, LARGE) == b"\2" * LARGE


@pytest.mark.parametrize("size", [LARGE, 1400])
def test_who_traces_sees_it(bed, family, size):
    with bed.listen(family) as listener, Peer(bed.guarded, family, listener.port) as peer:
        conn = established(listener, peer)
        tracer = bed.box.spawn(SYNWARD, "trace", "sw0", "-j",
                               "--port", str(listener.port), stdout=subprocess.PIPE)
        try:
            told, sent, end = b"", 0, time.monotonic() + 10
            os.set_blocking(tracer.stdout.fileno(), False)
            while told.count(b"flow_segment") < 10 and time.monotonic() < end:
                peer.data(b"\3" * size)
                assert read_exactly(conn, size) == b"\3" * size
                time.sleep(0.05)
                told += tracer.stdout.read() or b""
                sent += bool(told)
            # XDP may have trusted when it began, for a fifth of a second
            assert told.count(b"flow_segment") >= 10 and sent < 10 + 8, (sent, told)
        finally:
            tracer.terminate()
            tracer.wait()


# What GRO puts together ---------------------------------------------------------------

BATCHES = {
    "large": [1400] * 20,
    "large, the last one not": [1400] * 5 + [300],
    "small": [300] * 12,
    "mixed": [1400, 1400, 200, 200, 1400, 600, 600, 600, 100, 511, 512, 513, 1400, 1],
}


@pytest.mark.parametrize("sizes", BATCHES.values(), ids=BATCHES)
@pytest.mark.parametrize("stack", ["linux", "windows"])
def test_a_batch(bed, family, stack, sizes):
    """In one NAPI poll: all bytes in their order, each segment translated and counted once."""
    with bed.listen(family) as listener, Peer(bed.guarded, family, listener.port, stack) as peer, \
            Burst(bed.client, "cg0") as burst, bed.guarded.taking_live_frames():
        conn, box = established(listener, peer), Wire(bed.box, "sw0")
        peer.l3 = dict(ident=7) if family == "ipv4" else {}  # with numbers by chance nothing is put together
        for _ in range(3):
            before, frames, sent = flow(bed, peer), [], b""
            for size in sizes:
                payload = os.urandom(size)
                frames.append(peer.frame(f.ACK, payload=payload))
                peer.snd_nxt = (peer.snd_nxt + size) & 0xFFFFFFFF
                sent += payload
            box.flush()
            with bed.guard.counting() as moved:
                burst.send(frames)
                assert read_exactly(conn, len(sent)) == sent
            after = flow(bed, peer)
            assert after["bytes_in"] - before["bytes_in"] == len(sent)
            if bed.mode == "native":
                assert moved.tcp == {"flow_segment": len(sizes)}, moved
                assert after["packets_in"] - before["packets_in"] == len(sizes)
                merged = max(len(segment.payload) for segment in seen(box, peer, len(sizes), 0.2))
                assert (merged > 1400) == (sizes[:2] == [1400, 1400]), f"GRO made {merged} bytes of them"
        assert peer.receive(2, lambda s: s.ack == peer.snd_nxt)
        conn.sendall(b"end")
        assert peer.read(3) == b"end"


def test_a_socket_like_any_other(bed, family):
    """The kernel at both ends, much data both ways."""
    with Echo(bed.server, family) as echo, bed.guarded.taking_live_frames():
        bed.teach(family, echo.port)
        with connect(bed.client, family, bed.guarded.server_addr[family], echo.port) as sock:
            block = os.urandom(1 << 20)
            for _ in range(5):
                thread = threading.Thread(target=sock.sendall, args=(block,), daemon=True)
                thread.start()
                assert read_exactly(sock, len(block)) == block
                thread.join()


@pytest.mark.parametrize("way", ["in", "out"])
def test_segments_that_gro_chains_up(routed, family, way):
    """rx-gro-list: each keeps its header, and all of them are translated where the way on cuts them up again."""
    routed.attach()
    came, left = ("sw0", "bs0") if way == "in" else ("bs0", "sw0")
    routed.box.run("ethtool", "-K", came, "gro", "on", "rx-gro-list", "on")
    routed.box.run("ethtool", "-K", left, "tx-gso-list", "off", "tso", "off", "gso", "off")
    for ns, ifname in ((routed.client, "cg0"), (routed.server, "ss0")):
        ns.run("ethtool", "-K", ifname, "tso", "off", "gso", "off", "tx", "off")
    with routed.listen(family) as listener, \
            connect(routed.client, family, routed.guarded.server_addr[family], listener.port) as sock:
        conn, wire, block = listener.accept(), Wire(routed.box, came), os.urandom(1 << 20)
        sender, receiver = (sock, conn) if way == "in" else (conn, sock)
        ns = routed.client if way == "in" else routed.server
        before, most = ns.netstat("TcpRetransSegs"), 0
        for _ in range(5):
            thread = threading.Thread(target=sender.sendall, args=(block,), daemon=True)
            thread.start()
            assert read_exactly(receiver, len(block)) == block
            thread.join()
            while got := wire.read(0):
                most = max(most, len(got[0]))
        assert most > 3000, "nothing was put together"
        assert ns.netstat("TcpRetransSegs") - before < 20, "segments were refused"


# Where the filter is wrong ------------------------------------------------------------

def fill_filter(bed):
    """Now it says of every tuple that it may be known, and its flow's data large."""
    fd = bpf_open(f"{bed.guard.pins}/known")
    for generation in (0, 1):
        for at in range(KNOWN_WORDS_MIN):
            map_write(fd, b"\xff" * 8, generation * KNOWN_WORDS + at)
    os.close(fd)


def test_connections_without_a_flow_go_on(routed, family):
    """From before attach, and to what is not guarded."""
    with Echo(routed.server, family) as echo:
        with connect(routed.client, family, routed.guarded.server_addr[family], echo.port) as old:
            old.sendall(b"old")
            assert read_exactly(old, 3) == b"old"
            routed.attach("--ports", f"{echo.port},1-9")
            old.sendall(b"go")
            assert read_exactly(old, 2) == b"go"
            fill_filter(routed)
            with routed.guard.counting() as moved:
                for _ in range(20):
                    old.sendall(b"\4" * 3000)
                    assert read_exactly(old, 3000) == b"\4" * 3000
            assert moved["direct_segment"] >= 20 and not moved["ack_invalid"] and not moved["flow_segment"], moved
    with Echo(routed.server, family) as other, \
            connect(routed.client, family, routed.guarded.server_addr[family], other.port) as sock:
        with routed.guard.counting() as moved:
            sock.sendall(b"\5" * 30000)
            assert read_exactly(sock, 30000) == b"\5" * 30000
        assert set(moved.tcp) == {"not_guarded"}, moved


def test_connections_handed_over_go_on(family):
    """A listener of the box itself, whose connections are not translated."""
    bed = ProxyBed("local")
    try:
        bed.mode = "native"
        bed.guard.cli("attach", "sw0", "--xdp", "native", "--path", "auto", "--flows", "1M", "--ports", "1-9999")
        with Echo(bed.server, family) as echo, connect(bed.client, family, bed.guarded.server_addr[family], echo.port) as sock:
            if not bed.guard.totals()["handoff_done"]:
                pytest.skip("this kernel takes no hand-overs")
            fill_filter(bed)
            with bed.guard.counting() as moved:
                for _ in range(20):
                    sock.sendall(b"\6" * 3000)
                    assert read_exactly(sock, 3000) == b"\6" * 3000
            assert not moved["ack_invalid"] and not moved["flow_segment"], moved
    finally:
        bed.remove()


def test_strays_are_refused_behind_as_in_front(routed, family):
    """Large data of no connection, by a filter that is full: a budget passes, to be proved or reset by the server."""
    routed.attach()
    with routed.listen(family) as listener, Peer(routed.guarded, family, listener.port) as peer:
        fill_filter(routed)
        with routed.guard.counting() as moved:
            for _ in range(5000):
                peer.sport = 1024 + (peer.sport + 1) % 60000
                peer.send(f.ACK, payload=bytes(LARGE))
            assert wait_until(lambda: routed.guard.totals()["ack_invalid"] >= 1000)
        cpus, seconds = os.cpu_count(), 10
        assert moved["ack_unproven"] <= 1000 * cpus * seconds and moved["ack_unproven"] + moved["ack_invalid"] == 5000, moved
        with pytest.raises(TimeoutError):
            listener.sock.settimeout(0.1)
            listener.sock.accept()


def test_data_before_the_server_has_answered_is_held(routed, family):
    """Of a client that heeds no window, by a filter that says its flow was seen to carry large data."""
    routed.attach()
    with routed.listen(family) as listener, Peer(routed.guarded, family, listener.port) as peer:
        fill_filter(routed)
        routed.box.run("ip", "link", "set", "bs0", "down")
        try:
            assert peer.ask()
            peer.send(f.ACK)
            with routed.guard.counting() as moved:
                peer.send(f.ACK | f.PSH, payload=bytes(LARGE))
                assert wait_until(lambda: routed.guard.totals()["flow_held"])
            assert moved.tcp == {"flow_held": 1}, moved
        finally:
            routed.box.run("ip", "link", "set", "bs0", "up")


# The filter's size --------------------------------------------------------------------

def walk(bed):
    """Words in use of both generations, and `added`: struct sw_walk stands behind its timer of 16 bytes."""
    fd = bpf_open(f"{bed.guard.pins}/walk")
    masks, added = struct.unpack_from("=2I4xI", map_read(fd, 200), 56)[:2], struct.unpack_from("=I", map_read(fd, 200), 68)[0]
    os.close(fd)
    return [mask + 1 for mask in masks], added


def test_the_filter_grows_with_the_flows_that_frames_mark(routed):
    """They are no sockets, which are counted. A tuple counts once for each time the filter is made anew."""
    routed.attach()
    with routed.listen("ipv4") as listener, Peer(routed.guarded, "ipv4", listener.port) as peer:
        conn = established(listener, peer)
        _, before = walk(routed)
        for _ in range(100):
            peer.data(b"\7" * LARGE)
            assert read_exactly(conn, LARGE) == b"\7" * LARGE
        words, added = walk(routed)
        assert words == [KNOWN_WORDS_MIN] * 2 and added <= before + 4, "of one flow two are marked"
        # 2^17 flows, of which each sends an acknowledgement
        write_flows(routed, 1 << 17, lambda at: struct.pack("<QQ", 0, socket.htonl(0x64400000 + at)) + struct.pack(
            "<QQHHI", 0, struct.unpack("<I", f.addr("10.5.0.1"))[0], 1024, listener.port, 0))
        flood = routed.client.spawn(FLOOD, "cg0", "--to", "10.5.0.1", "--port", listener.port, "--dst-mac", routed.guarded.server_mac,
                                    "--kind", "ack", "--sources", "100.64.0.0/15", "--source-port", "1024", "--rate", "50000", "--seconds", "60")
        try:
            assert wait_until(lambda: max(walk(routed)[0]) > KNOWN_WORDS_MIN, 75, 0.5), walk(routed)
        finally:
            flood.terminate()
            flood.wait()
        assert max(walk(routed)[0]) == 2 * KNOWN_WORDS_MIN, "a word for four"


# Beside others at tc ingress ----------------------------------------------------------

def attach_tcx(ns, ifname, prog_fd):
    """A link, gone with its descriptor."""
    with ns:
        ifindex = json.loads(ns.ip("-j", "link", "show", "dev", ifname).stdout)[0]["ifindex"]
        return bpf(LINK_CREATE, struct.pack("IIII", prog_fd, ifindex, TCX_INGRESS, 0) + bytes(32))


def test_programs_that_take_the_frame_come_behind(routed, family):
    """One attached before the guard was, which ends the chain for every frame."""
    pin = f"/sys/fs/bpf/{routed.box.name}-accept"
    subprocess.run(["bpftool", "prog", "load", build("accept"), pin], check=True, capture_output=True)
    try:
        other = attach_tcx(routed.box, "sw0", bpf_open(pin))
        routed.attach()
        with routed.listen(family) as listener, Peer(routed.guarded, family, listener.port) as peer:
            conn = established(listener, peer)
            for _ in range(3):
                peer.data(b"\x08" * 1000)
                assert read_exactly(conn, 1000) == b"\x08" * 1000
        os.close(other)
    finally:
        os.unlink(pin)
