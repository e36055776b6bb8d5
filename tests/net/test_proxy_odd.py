# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
#    client, cg0 ──────────── sw0 (synward) box bs0 ──────── ss0, a stack that is no Linux (odd_server.py)
#                                            or in the box, or there: a Linux with unusual settings
import os
import socket
import threading

import pytest

import frame as f
from odd_server import OddServer
from peer import Peer
from proxy_world import ProxyBed
from server import Listener, connect, next_port, read_exactly, tcp_info
from world import wait_until

STACKS = {
    "bare": (b"", 536),
    "mss_536": (f.mss(536), 536),
    "mss_8960": (f.mss(8960), 8960),
    "no_sack": (f.mss(1460) + f.NOP + f.wscale(7), 1460),
    "scale_0": (f.mss(1460) + f.NOP + f.wscale(0), 1460),
    "scale_14": (f.mss(1460) + f.NOP + f.wscale(14), 1460),
}
BANNER = b"220 odd ready\r\n" * 100
LEAST_MSS = {"ipv4": 536, "ipv6": 1220}
ADDR = {"ipv4": "10.5.0.9", "ipv6": "fd00:5::9"}


@pytest.fixture(scope="module", params=[("routed", None), ("routed", "native"), ("nft", "native")], ids=["plain", "proxy", "nft-proxy"])
def bed(request):
    made = ProxyBed(*request.param)
    for addr in ADDR.values():
        made.box.ip("neigh", "replace", addr, "lladdr", made.back.server_mac, "dev", "bs0", "nud", "permanent")
    # The kernel there is to leave that address alone.
    made.server.sysctl("net.ipv4.ip_forward", 0)
    yield made
    made.remove()


def lead_to(bed, family, port):
    """The address by which the client knows the port of that stack."""
    if bed.topology == "routed":
        return ADDR[family]
    ip, ours = "ip6" if family == "ipv6" else "ip", bed.guarded.server_addr[family]
    bed.box.run("nft", "insert", "rule", "inet", "shop", "pre", ip, "daddr", ours, "tcp", "dport", port, "dnat", ip, "to", ADDR[family])
    return ours


@pytest.mark.parametrize("stack", STACKS)
def test_a_server_with_odd_options_is_served_through(bed, family, stack):
    """The first connection is made when nothing is known of it, the later ones when all is; every other begins
    with a banner."""
    options, mss = STACKS[stack]
    port, back = next_port(), bed.back
    addr = lead_to(bed, family, port)
    with OddServer(bed.server, "ss0", back.server_mac, back.client_mac, family, ADDR[family], port, options, min(mss, 1400)) as server:
        for number in range(4):
            server.banner = banner = BANNER if number % 2 else b""
            with connect(bed.client, family, addr, port, timeout=8) as sock:
                assert read_exactly(sock, len(banner)) == banner
                for size in (1, 400, 3000):
                    sock.sendall(bytes([number]) * size)
                    assert read_exactly(sock, size) == bytes([number]) * size, f"connection {number}"
                # Before the server is known, what every host takes.
                assert tcp_info(sock).snd_mss <= max(mss, LEAST_MSS[family])
        assert server.syns >= 4
        # What the client may send it has to understand: no timestamps, no SACK blocks.
        assert not server.odd, server.odd[0]


# Linux, with settings of the namespace and options of the listener.
CLAMP = 10  # TCP_WINDOW_CLAMP
SETTINGS = {
    "no_sack": ({"tcp_sack": 0}, None),
    "no_timestamps": ({"tcp_timestamps": 0}, None),
    "no_scale": ({"tcp_window_scaling": 0}, None),
    "scale_0": ({}, lambda sock: sock.setsockopt(socket.IPPROTO_TCP, CLAMP, 60000)),
    "scale_14": ({"tcp_rmem": f"4096 131072 {1 << 30}"}, None),
    "mss_536": ({}, lambda sock: sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)),
}


@pytest.fixture(scope="module", params=[("local", "ipv4"), ("local", "ipv6"), ("routed", "ipv6"), ("nft", "ipv4")], ids="-".join)
def linux(request):
    """(bed, family)"""
    made = ProxyBed(request.param[0], "native")
    yield made, request.param[1]
    made.remove()


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_linux_with_unusual_settings_is_served_through(linux, setting):
    """Before it is known, and after: then both ends have agreed on what it has."""
    (bed, family), (sysctls, prepare) = linux, SETTINGS[setting]
    with bed.server.having(**sysctls), Listener(bed.server, family, prepare=prepare) as listener:
        for number in range(4):
            if number == 2:
                bed.teach(family, listener.port)
                while listener.accept(0.05):
                    pass
            with connect(bed.client, family, bed.guarded.server_addr[family], listener.port, timeout=8) as sock:
                conn = listener.accept()
                assert conn, f"connection {number}"
                conn.settimeout(8)
                ends = [(sock, conn), (conn, sock)]
                for one, other in reversed(ends) if number % 2 else ends:
                    content = os.urandom(100_000)
                    sender = threading.Thread(target=one.sendall, args=(content,))
                    sender.start()
                    assert read_exactly(other, len(content)) == content, f"connection {number}"
                    sender.join()
                client, server = tcp_info(sock), tcp_info(conn)
        assert client.sack == (setting != "no_sack")
        # Without timestamps a frame of veth may have no room for it in the SYN (bpf/lib/inward.h).
        assert server.sack == client.sack or setting == "no_timestamps"
        assert client.tstamp == server.tstamp == (setting != "no_timestamps")
        assert client.wscale == server.wscale == (setting != "no_scale")
        assert client.snd_wscale == server.rcv_wscale and client.rcv_wscale == server.snd_wscale
        if setting.startswith("scale_"):
            assert client.snd_wscale == int(setting[6:])
        if setting == "mss_536":
            assert client.snd_mss <= 536


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
