# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
#    peers, cg0 ──────────── sw0 (synward: XDP, GRO, tc ingress) box bs0 ──────── ss0, listener
#
# While connections carry large data XDP lets long frames by unread, and tc ingress accounts for them. What must
# not get by that way: anything that only XDP can judge. Whether XDP reads is seen by what becomes of such a frame:
# it is counted as large_stray, or as it always was.
import contextlib
import os
import socket
import struct
import time

import pytest

import frame as f
from burst import FRAMES, Burst
from guard import bpf_open, map_info, map_write, unpinned
from peer import Peer, Wire
from proxy_world import ProxyBed
from server import Echo, connect, read_exactly
from test_proxy_behind import established, routed  # noqa: F401
from world import wait_until

LONG = 1303  # SW_LONG_FRAME, bytes
DATA = 1400  # of a segment in such a frame
DISTRUST_S = 3  # SW_DISTRUST_NS


@pytest.fixture(scope="module")
def bed():
    made = ProxyBed("routed", "native")
    yield made
    made.remove()


def forgive(bed):
    """As if no stray had come: struct sw_trust."""
    table = bpf_open(f"{bed.guard.pins}/flows")
    fd = unpinned("trust", map_info(table)[0])
    map_write(fd, struct.pack("QQ", 0, 0))
    os.close(fd)
    os.close(table)


@contextlib.contextmanager
def upload(bed, family):
    """send(): large data on a connection, which arrives; from then on XDP trusts."""
    with bed.listen(family) as listener, Peer(bed.guarded, family, listener.port) as peer:
        conn = established(listener, peer)

        def send():
            peer.data(b"\7" * DATA)
            assert read_exactly(conn, DATA) == b"\7" * DATA
        send.port = listener.port
        forgive(bed)
        yield send
        send()


def long_syn(peer, length=LONG, tags=()):
    """A SYN with so much data that its frame is of that length."""
    peer.syn(payload=bytes(length - len(peer.syn_frame(tags=tags))), tags=tags)


def fragment(peer):
    return dict(df=False, fragment=(0, True)) if peer.family == "ipv4" else dict(extensions=[(44, f.fragment_extension(0, True))])


UNPROVEN = {"ack_unproven", "ack_invalid"}
STRAYS = {
    "syn": (long_syn, {"synack_sent"}),
    "ack": (lambda peer: peer.send(f.ACK, ack=1, payload=bytes(DATA)), UNPROVEN),
    "fin": (lambda peer: peer.send(f.ACK | f.FIN, ack=1, payload=bytes(DATA)), UNPROVEN),
    "rst": (lambda peer: peer.send(f.RST, payload=bytes(DATA)), {"rst_unknown"}),
    "synack": (lambda peer: peer.send(f.SYN | f.ACK, ack=1, payload=bytes(DATA)), {"synack_unsolicited"}),
    "no flags": (lambda peer: peer.send(0, payload=bytes(DATA)), {"flags_invalid"}),
    "first fragment": (lambda peer: peer.send(f.SYN, payload=bytes(DATA), ip=fragment(peer)), {"syn_fragment"}),
}


def verdicts(bed, stray, peer):
    """What is counted while such a frame comes in."""
    with bed.guard.counting() as moved:
        stray(peer)
        time.sleep(0.05)
    return moved.tcp


def frames_of(wire, peer=None):
    """Those that have come by there, of that peer or of anybody."""
    found = []
    while got := wire.read(0):
        segment = f.dissect(got[0], got[1])
        if segment and peer in (None, segment.sport):
            found.append(got[0])
    return found


@pytest.mark.parametrize("kind", STRAYS)
def test_a_stray_is_refused_and_the_next_one_read(bed, family, kind):
    stray, usual = STRAYS[kind]
    with upload(bed, family) as send, Peer(bed.guarded, family, send.port) as peer:
        there = Wire(bed.server, "ss0")
        send()
        there.flush()
        assert verdicts(bed, stray, peer) == {"large_stray": 1}
        assert not peer.receive(0.1), "nobody has read what is answered"
        assert not frames_of(there, peer.sport)
        for _ in range(2):
            send()  # does not make XDP trust again
            found = verdicts(bed, stray, peer)
            assert found and set(found) <= usual, found


def test_trust_comes_back_and_goes(bed, family):
    with upload(bed, family) as send, Peer(bed.guarded, family, send.port) as peer:
        for _ in range(2):
            send()
            assert verdicts(bed, long_syn, peer) == {"large_stray": 1}
            send()
            assert verdicts(bed, long_syn, peer) == {"synack_sent": 1}
            time.sleep(DISTRUST_S + 0.1)
        assert verdicts(bed, long_syn, peer) == {"synack_sent": 1}, "nothing was there to be trusted"
        end = time.monotonic() + DISTRUST_S + 0.5
        while time.monotonic() < end:
            send()
            assert verdicts(bed, long_syn, peer) == {"synack_sent": 1}, "strays that XDP sees keep it from trusting"


@pytest.mark.parametrize("tags", [(), ((f.ETH_8021Q, 0),)], ids=["untagged", "priority tag"])
@pytest.mark.parametrize("length", range(LONG - 5, LONG + 6))
def test_there_is_no_length_that_neither_of_the_two_judges(bed, length, tags, family="ipv4"):
    """Around the one from which on XDP lets frames by; tc ingress sees them without their tag."""
    with upload(bed, family) as send, Peer(bed.guarded, family, send.port) as peer:
        there = Wire(bed.server, "ss0")
        send()
        there.flush()
        found = verdicts(bed, lambda p: long_syn(p, length, tags), peer)
        assert found == ({"large_stray": 1} if length >= LONG else {"synack_sent": 1})
        assert not frames_of(there, peer.sport)


def test_a_flood_of_strays_gets_as_far_as_tc_once(bed, family):
    """A batch of them in one NAPI poll, and thousands more behind it; the connection goes on meanwhile."""
    with upload(bed, family) as send, Peer(bed.guarded, family, send.port) as peer, \
            Burst(bed.client, "cg0") as burst, bed.guarded.taking_live_frames():
        there, frames = Wire(bed.server, "ss0"), []
        for at in range(FRAMES):
            peer.sport = 20000 + at
            frames.append(peer.frame(f.ACK, ack=1, payload=bytes(DATA)))
        send()
        there.flush()
        with bed.guard.counting() as moved:
            for _ in range(100):
                burst.send(frames)
            assert wait_until(lambda: bed.guard.totals()["ack_invalid"])
            send()
        strays = moved["large_stray"]
        assert 1 <= strays <= FRAMES * 8, moved  # what the ring and GRO held
        twice = strays + moved["ack_invalid"] + moved["ack_unproven"] - 100 * FRAMES
        assert 0 <= twice < strays, moved  # what XDP has read and let by right after
        reached = [frame for frame in frames_of(there) if len(frame) >= LONG]
        assert len(reached) <= moved["ack_unproven"] - twice + 1, "a budget of XDP's, and the connection's own"


def test_what_is_none_of_the_guards_passes_and_is_counted(routed, family):
    """A connection from before, a port that is not guarded, UDP: while XDP trusts."""
    address, kind = routed.guarded.server_addr[family], socket.AF_INET if family == "ipv4" else socket.AF_INET6
    with Echo(routed.server, family) as echo, Echo(routed.server, family, port=20000) as other, \
            connect(routed.client, family, address, echo.port) as old, connect(routed.client, family, address, other.port) as unguarded:
        for sock in (old, unguarded):
            sock.sendall(b"old")
            assert read_exactly(sock, 3) == b"old"
        with routed.server:
            there = socket.socket(kind, socket.SOCK_DGRAM)
        there.bind((address, 5353))
        there.settimeout(2)
        with routed.client:
            here = socket.socket(kind, socket.SOCK_DGRAM)
        routed.attach("--ports", f"{echo.port},1-9999")
        old.sendall(b"new")
        assert read_exactly(old, 3) == b"new"  # proves it
        with upload(routed, family) as send, Peer(routed.guarded, family, send.port) as peer:
            send()
            with routed.guard.counting() as moved:
                for _ in range(20):
                    send()
                    for sock in (old, unguarded):
                        sock.sendall(b"\1" * DATA)
                        assert read_exactly(sock, DATA) == b"\1" * DATA
                    here.sendto(bytes(DATA), (address, 5353))
                    assert len(there.recv(2000)) == DATA
            assert moved["direct_segment"] >= 20 and moved["not_guarded"] >= 20 and moved["other_traffic"] >= 20, moved
            assert not moved["large_stray"] and not moved["ack_unproven"] and moved["flow_segment"] == 20, moved
            assert verdicts(routed, long_syn, peer)["large_stray"] == 1, "all of that was let by unread"


CONFIG = """
[interface sw0]
xdp = native
to = 10.5.0.0/24,fd00:5::/64,10.1.0.1,fd00:1::1
[service own]
ports = 7000
path = host
[service rest]
ports = 1-9999
"""


def test_a_listener_of_our_own_gets_its_data(family, tmp_path):
    """Beside translated connections: data in one batch with the ACK, and data without the ACK, which is sent again."""
    bed = ProxyBed("routed")
    try:
        bed.mode = "native"
        (tmp_path / "conf").write_text(CONFIG)
        done = bed.guard.cli("attach", "sw0", "--config", str(tmp_path / "conf"), check=False)
        if "path = host" in done.stderr:
            pytest.skip("this kernel takes no hand-overs")
        assert not done.returncode, done.stderr
        ours = {"ipv4": "10.1.0.1", "ipv6": "fd00:1::1"}[family]
        with Echo(bed.box, family, port=7000) as echo, connect(bed.client, family, ours, echo.port) as sock:
            sock.sendall(b"own")
            assert read_exactly(sock, 3) == b"own"
            assert bed.guard.totals()["handoff_done"]
            with upload(bed, family) as send, Burst(bed.client, "cg0") as burst, bed.guarded.taking_live_frames():
                for lost in (False, True):
                    with Peer(bed.guarded, family, echo.port, dst=ours) as peer:
                        assert peer.ask()
                        send()
                        block = os.urandom(DATA)
                        data = peer.frame(f.ACK | f.PSH, payload=block)
                        with bed.guard.counting() as moved:
                            burst.send([data] if lost else [peer.frame(f.ACK), data])
                            if lost:
                                assert wait_until(lambda: bed.guard.totals()["large_stray"]), "its cookie is XDP's to judge"
                                burst.send([data])
                            peer.snd_nxt = (peer.snd_nxt + DATA) & 0xFFFFFFFF
                            assert peer.read(DATA) == block
                        assert moved["large_stray"] == lost and moved["handoff_done"] == 1, moved
                    with bed.guard.counting() as moved:
                        for _ in range(5):
                            sock.sendall(b"\6" * DATA)
                            assert read_exactly(sock, DATA) == b"\6" * DATA
                            send()
                    assert moved["large_stray"] == 0 and moved["known"] + moved["direct_segment"] >= 5, moved
    finally:
        bed.remove()
