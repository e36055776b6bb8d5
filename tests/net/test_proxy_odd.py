# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
#    client, cg0 ──────────── sw0 (synward) box bs0 ──────── ss0, a stack that is no Linux (odd_server.py)
import os

import pytest

import frame as f
from odd_server import OddServer
from peer import Peer
from proxy_world import ProxyBed
from server import connect, next_port, read_exactly, tcp_info
from world import wait_until

STACKS = {
    "bare": (b"", 536),
    "mss_536": (f.mss(536), 536),
    "mss_8960": (f.mss(8960), 8960),
    "scale_0": (f.mss(1460) + f.NOP + f.wscale(0), 1460),
    "scale_14": (f.mss(1460) + f.NOP + f.wscale(14), 1460),
}
LEAST_MSS = {"ipv4": 536, "ipv6": 1220}
ADDR = {"ipv4": "10.5.0.9", "ipv6": "fd00:5::9"}


@pytest.fixture(scope="module", params=[None, "native"], ids=["plain", "proxy"])
def bed(request):
    made = ProxyBed("routed", request.param)
    for addr in ADDR.values():
        made.box.ip("neigh", "replace", addr, "lladdr", made.back.server_mac, "dev", "bs0", "nud", "permanent")
    # The kernel there is to leave that address alone.
    made.server.sysctl("net.ipv4.ip_forward", 0)
    yield made
    made.remove()


@pytest.mark.parametrize("stack", STACKS)
def test_a_server_with_odd_options_is_served_through(bed, family, stack):
    """The first connection is made when nothing is known of it, the later ones when all is."""
    options, mss = STACKS[stack]
    port, addr = next_port(), ADDR[family]
    back = bed.back
    with OddServer(bed.server, "ss0", back.server_mac, back.client_mac, family, addr, port, options, min(mss, 1400)) as server:
        for number in range(4):
            with connect(bed.client, family, addr, port, timeout=8) as sock:
                for size in (1, 400, 3000):
                    sock.sendall(bytes([number]) * size)
                    assert read_exactly(sock, size) == bytes([number]) * size, f"connection {number}"
                # Before the server is known, what every host takes.
                assert tcp_info(sock).snd_mss <= max(mss, LEAST_MSS[family])
        assert server.syns >= 4
        # What the client may send it has to understand: no timestamps, no SACK blocks.
        assert not server.odd, server.odd[0]


@pytest.mark.skipif(not os.environ.get("SYNWARD_LONG"), reason="a minute of real time: SYNWARD_LONG=1")
def test_a_live_connection_stays_known(bed):
    """The presence filter is made anew of this machine's sockets every 26 s; a SYN on a connection to a
    server elsewhere still goes to the server."""
    port, addr, back = next_port(), ADDR["ipv4"], bed.back
    with OddServer(bed.server, "ss0", back.server_mac, back.client_mac, "ipv4", addr, port, f.mss(1460), 1400) as server:
        with Peer(bed.guarded, "ipv4", port, dst=addr) as peer:
            peer.connect(b"one")  # goes through as it is, to learn what the server answers
        with Peer(bed.guarded, "ipv4", port, dst=addr) as peer:
            peer.connect(b"one")
            if bed.mode:
                assert bed.guard.totals()["flow_opened"]
            for _ in range(30):
                peer.data(b"word")
                for segment in peer.receive_all(2):
                    peer.take(segment)
                peer.send(f.ACK)
            syns = server.syns
            peer.syn(seq=(peer.isn + 0x1000000) & 0xFFFFFFFF)
            assert wait_until(lambda: server.syns == syns + 1), peer.receive(1)
