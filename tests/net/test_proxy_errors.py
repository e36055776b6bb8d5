# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
#    far, far0 ──────── cf0  client, cg0 ──────────── sw0 (synward) box bs0 ──────── ss0, listener or router
#               MTU 1300                                                               10.5.0.50: no way there
#
# Servers that say nothing, cannot be reached or refuse; what routers on either side say of a
# connection whose two ends count differently.
import os
import struct
import threading
import time

import pytest

import frame as f
from peer import Peer
from proxy_world import ProxyBed, grow_older, heard, silence
from server import Listener, connect, next_port, read_exactly, tcp_info
from world import Link, Namespace, wait_until

SYNS_MOST, ANSWER_S = 12, 60
PROBE_S = 0.17  # SW_SYN_AGAIN_MS is 150
NOWHERE = {"ipv4": "10.5.0.50", "ipv6": "fd00:5::50"}


class FarBed(ProxyBed):
    """With a router in front (the client's kernel), and one behind (the server's) that has no way on."""

    def __init__(self, topology, mode):
        super().__init__(topology, mode)
        self.far = Namespace("f")
        Link(self.far, self.client, 7, "cf0", "far0", peer_program=False)
        self.client.ip("link", "set", "cf0", "mtu", "1300")
        for ns in (self.client, self.server):
            ns.sysctl("net.ipv4.ip_forward", 1)
            ns.sysctl("net.ipv6.conf.all.forwarding", 1)
            ns.sysctl("net.ipv4.icmp_ratelimit", 0)
            ns.sysctl("net.ipv6.icmp.ratelimit", 0)
        self.far.run("ip", "-batch", "-", input="route add default via 10.7.0.1\nroute add default via fd00:7::1\n")
        self.box.run("ip", "-batch", "-", input="route add 10.7.0.0/24 via 10.1.0.2\nroute add fd00:7::/64 via fd00:1::2\n")

    def lead_nowhere(self, family, port, kind):
        """A port of the guarded address whose way ends at the router behind."""
        addr, old = NOWHERE[family], "-6" if family == "ipv6" else "-4"
        self.server.ip(old, "route", "replace", kind, addr)
        self.box.ip(old, "route", "replace", addr, "via", "10.5.0.1" if family == "ipv4" else "fd00:5::1")
        if self.topology == "routed":
            return addr
        ip = "ip" if family == "ipv4" else "ip6"
        ours = self.guarded.server_addr[family]
        self.box.run("nft", "insert", "rule", "inet", "shop", "pre", ip, "daddr", ours, "tcp", "dport", port, "dnat", ip, "to", addr)
        return ours

    def remove(self):
        self.far.remove()
        super().remove()


@pytest.fixture(scope="module", params=["local", "routed", "nft"])
def bed(request):
    made = FarBed(request.param, "native")
    yield made
    made.remove()


@pytest.fixture(scope="module", params=["routed", "nft"])
def behind(request):
    """Where the server is not this machine."""
    made = FarBed(request.param, "native")
    yield made
    made.remove()


# Nothing comes back --------------------------------------------------------------------

def test_a_silent_server_gets_twelve_syns_and_its_client_a_reset_after_a_minute(behind, family):
    bed = behind
    if (bed.topology, family) not in (("routed", "ipv6"), ("nft", "ipv4")):
        pytest.skip("seen in the other")
    with bed.listen(family) as listener, Peer(bed.guarded, family, listener.port) as peer:
        silence(bed.server, listener.port)
        try:
            def probe():
                time.sleep(PROBE_S)
                peer.send(f.ACK, seq=peer.isn)  # RFC 9293 3.8.6.1, as the kernel probes
                return heard(bed.server) >= SYNS_MOST
            with bed.guard.counting() as moved:
                peer.connect()
                assert wait_until(probe, 20, 0)
                probe(), probe()
                assert not peer.receive(0.1)
            assert heard(bed.server) == SYNS_MOST
            assert moved["flow_opened"] == 1 and moved["flow_syn_again"] == SYNS_MOST - 1 and moved["flow_held"] >= 2
            grow_older(bed, peer, ANSWER_S - 20)
            peer.send(f.ACK, seq=peer.isn)
            assert not peer.receive(0.1)
            grow_older(bed, peer, 20)
            with bed.guard.counting() as moved:
                peer.send(f.ACK, seq=peer.isn)
                answer = peer.receive(1)
            assert answer and answer.flags == f.RST | f.ACK and answer.seq == peer.rcv_nxt and answer.csum_right
            assert moved.tcp == {"flow_failed": 1}
            assert heard(bed.server) == SYNS_MOST
        finally:
            bed.server.run("nft", "delete", "table", "inet", "silent")
        # The same client, on the same ports, once the server is there again.
        peer.isn = (peer.isn + 100000) & 0xFFFFFFFF
        peer.snd_nxt = (peer.isn + 1) & 0xFFFFFFFF
        peer.connect(b"hello")
        conn = listener.accept()
        assert conn and read_exactly(conn, 5) == b"hello"


@pytest.mark.skipif(not os.environ.get("SYNWARD_LONG"), reason="two minutes of real time: SYNWARD_LONG=1")
def test_a_kernels_client_is_reset_in_real_time(family):
    """Linux doubles the time between its probes, so its first segment after 60 s comes after 102 s."""
    bed = ProxyBed("routed", "native")
    try:
        with bed.listen(family) as listener:
            silence(bed.server, listener.port)
            began = time.monotonic()
            with connect(bed.client, family, bed.guarded.server_addr[family], listener.port, timeout=150) as sock:
                sock.sendall(b"anybody there?")
                with pytest.raises(ConnectionResetError):
                    sock.recv(1)
            print(f"reset after {time.monotonic() - began:.1f} s, {heard(bed.server)} SYNs")
            assert ANSWER_S < time.monotonic() - began < 130 and heard(bed.server) <= SYNS_MOST
    finally:
        bed.remove()


# No way there --------------------------------------------------------------------------

def icmp_of(frame, family):
    """(type, code, whether its checksum is right, quoted sequence number) of an ICMP error, or None."""
    v6 = family == "ipv6"
    proto = struct.unpack("!H", frame[12:14])[0]
    if proto != (f.ETH_IPV6 if v6 else f.ETH_IPV4) or frame[20 if v6 else 23] != (f.ICMPV6 if v6 else f.ICMP):
        return None
    packet = frame[14:]
    if v6:
        length, = struct.unpack("!H", packet[4:6])
        icmp, inner = packet[40:40 + length], 48
        total = f.add16(f.pseudo(packet[8:24], packet[24:40], length, f.ICMPV6) + icmp)
    else:
        icmp, inner = packet[20:struct.unpack("!H", packet[2:4])[0]], 28
        total = f.add16(icmp)
    if icmp[0] >= 128 or len(icmp) < inner + 8:  # ICMPv6: no error
        return None
    return icmp[0], icmp[1], total == 0xFFFF, struct.unpack("!I", icmp[inner + 4:inner + 8])[0]


def read_icmp(peer, family, timeout=2.0):
    """The next ICMP error that quotes a segment of the peer's."""
    end = time.monotonic() + timeout
    while got := peer.wire.read(end - time.monotonic()):
        told = icmp_of(got[0], family)
        if told and struct.pack("!H", peer.sport) in got[0]:
            return told
    return None


KINDS = {("unreachable", "ipv4"): (3, 1), ("unreachable", "ipv6"): (1, 0), ("prohibit", "ipv4"): (3, 13), ("prohibit", "ipv6"): (1, 1)}


@pytest.mark.parametrize("kind", ["unreachable", "prohibit"])
def test_a_router_behind_that_has_no_way_on(behind, family, kind):
    """The client gets the ICMP error about a segment it has sent, and a reset with its next one."""
    bed, port = behind, next_port()
    addr = bed.lead_nowhere(family, port, kind)
    with Peer(bed.guarded, family, port, dst=addr) as first:
        first.ask(0.05)  # goes through, to learn from, and has an error of its own
    with Peer(bed.guarded, family, port, dst=addr) as peer:
        assert peer.ask()
        with bed.guard.counting() as moved:
            peer.send(f.ACK)
            told = read_icmp(peer, family)
            assert told == (*KINDS[kind, family], True, (peer.isn + 1) & 0xFFFFFFFF)
            peer.send(f.ACK, seq=peer.isn)
            answer = peer.receive(1)
        assert answer and answer.flags == f.RST | f.ACK and answer.seq == peer.rcv_nxt and answer.csum_right
        assert moved.tcp == {"flow_opened": 1, "flow_failed": 1} and moved["flow_icmp"] == 1
    with pytest.raises(OSError) as told:  # if its SYN went through, what connect() says without synward
        with connect(bed.client, family, addr, port, timeout=8) as sock:
            sock.sendall(b"anybody there?")
            sock.recv(1)
    assert not isinstance(told.value, TimeoutError)


# Path MTU ------------------------------------------------------------------------------

def test_path_mtu_towards_the_client_is_discovered(bed, family):
    """A router in front quotes the server's segment in the client's numbers: it finds its connection all the same."""
    with bed.listen(family) as listener, bed.guard.counting() as moved:
        with connect(bed.far, family, bed.guarded.server_addr[family], listener.port) as sock:
            conn = listener.accept()
            assert conn and tcp_info(conn).pmtu == 1500
            conn.settimeout(10)
            threading.Thread(target=conn.sendall, args=(bytes(300_000),), daemon=True).start()
            sock.settimeout(10)
            assert len(read_exactly(sock, 300_000)) == 300_000
            assert tcp_info(conn).pmtu == 1300
    assert moved["flow_icmp"] >= 1 and moved["flow_opened"] == 1


def test_path_mtu_towards_the_server_is_discovered_behind_nat():
    """As test_proxy.py has it for routed servers: DNAT turns the quoted addresses, synward the numbers."""
    bed = ProxyBed("nft", "native")
    try:
        bed.box.ip("link", "set", "bs0", "mtu", "1300")
        for family in ("ipv4", "ipv6"):
            with bed.listen(family) as listener:
                with connect(bed.client, family, bed.guarded.server_addr[family], listener.port, timeout=10) as sock:
                    conn = listener.accept()
                    conn.settimeout(10)
                    threading.Thread(target=sock.sendall, args=(bytes(300_000),), daemon=True).start()
                    assert len(read_exactly(conn, 300_000)) == 300_000
                    assert tcp_info(sock).pmtu == 1300
    finally:
        bed.remove()


@pytest.mark.parametrize("front, back, family", [(9000, 9000, "ipv6"), (9000, 1500, "ipv4"), (1500, 9000, "ipv6")])
def test_jumbo_frames(front, back, family):
    bed = ProxyBed("routed", "native", mtu=front, back_mtu=back)
    try:
        with bed.listen(family) as listener:
            with connect(bed.client, family, bed.guarded.server_addr[family], listener.port, timeout=10) as sock:
                conn = listener.accept()
                conn.settimeout(10)
                content = os.urandom(2_000_000)
                for one, other in ((sock, conn), (conn, sock)):
                    threading.Thread(target=one.sendall, args=(content,), daemon=True).start()
                    assert read_exactly(other, len(content)) == content
                if front == back:
                    assert tcp_info(sock).snd_mss > 8000 and tcp_info(conn).snd_mss > 5000
                assert wait_until(lambda: bed.guard.totals()["flow_opened"] >= 1)
    finally:
        bed.remove()
