# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
#    client namespace          server namespace             inside namespace
#    cg0 10.1.0.2 ─────────── sw0 10.1.0.1 (synward)
#                              in0 10.3.0.1 ─────────────── ci0 10.3.0.2
#    cd0 10.2.0.2 ─────────── dir0 10.2.0.1 (direct)
#
# Points 15 and 17: everything that is not for a guarded listener. The server forwards
# between sw0 and in0 where a test says so.
import hashlib
import os
import socket
import struct
import threading
import time

import pytest

import frame as f
from conftest import Bed
from peer import Peer, Wire
from server import Echo, FAMILY, Listener, connect, read_exactly, tcp_info
from world import Link, Namespace, wait_until


@pytest.fixture(scope="module", params=["native", "generic"])
def bed(request):
    made = Bed(request.param)
    made.inside_ns = Namespace("i")
    made.inside = Link(made.inside_ns, made.server, 3, "in0", "ci0")
    made.inside_ns.ip("route", "add", "default", "via", "10.3.0.1")
    made.inside_ns.ip("-6", "route", "add", "default", "via", "fd00:3::1")
    for name in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
        made.server.sysctl(name, 1)
    made.client.ip("route", "add", "10.3.0.0/24", "via", "10.1.0.1")
    made.client.ip("-6", "route", "add", "fd00:3::/64", "via", "fd00:1::1")
    yield made
    made.inside_ns.remove()
    made.remove()


# Point 15 -----------------------------------------------------------------------------

def foreign_frames(bed, family, open_port):
    """name -> frame: what must reach the kernel byte for byte."""
    link = bed.guarded
    with Peer(link, family, 9) as peer:
        src, dst = peer.src, peer.dst
        proto = f.ETH_IPV4 if family == "ipv4" else f.ETH_IPV6

        def eth(packet, kind=proto):
            return f.ethernet(link.server_mac, link.client_mac, packet, kind)

        def ip(payload, number, **how):
            return eth(f.ip_packet(src, dst, number, payload, **how))
        udp = struct.pack("!HHHH", 1234, open_port, 8 + 5, 0x1234) + b"hello"
        frames = {
            "udp_to_the_port": ip(udp, f.UDP),
            "icmp": ip(b"\x08\0\x12\x34\0\1\0\1ping", f.ICMP if family == "ipv4" else f.ICMPV6),
            "icmp_unreachable": ip(b"\x03\4\x12\x34\0\0\5\x14" + bytes(28), f.ICMP if family == "ipv4" else f.ICMPV6),
            "sctp": ip(bytes(32), 132),
            "gre": ip(bytes(32), 47),
            "esp": ip(bytes(32), 50),
            "unknown_protocol": ip(bytes(32), 253),
            "arp": eth(struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1, f.mac(link.client_mac), bytes([10, 1, 0, 2]), bytes(6), bytes([10, 1, 0, 9])), f.ETH_ARP),
            "neighbour_solicitation": eth(f.ip_packet("fd00:1::2", "fd00:1::1", f.ICMPV6, b"\x87\0\0\0\0\0\0\0" + f.addr("fd00:1::9"), ttl=255), f.ETH_IPV6),
            "lldp": eth(bytes(46), 0x88CC),
            "ip_with_another_version": eth(b"\x95" + bytes(45), proto),
            "short": eth(b"\x45\0", f.ETH_IPV4),
            "closed_port_syn": peer.syn_frame(),
            "closed_port_ack": peer.frame(f.ACK, ack=77),
            "closed_port_xmas": peer.frame(0xFF),
            "closed_port_bad_checksum": peer.syn_frame(csum="bad"),
            "foreign_address_syn": f.ethernet(link.server_mac, link.client_mac, f.ip_packet(
                src, "10.9.9.9" if family == "ipv4" else "2001:db8:99::9", f.TCP,
                f.tcp_header(src, "10.9.9.9" if family == "ipv4" else "2001:db8:99::9", 1000, open_port, 1, 0, f.SYN)), proto),
        }
    return frames


def test_point_15_other_traffic_reaches_the_kernel_byte_for_byte(bed, family):
    with bed.listen(family) as listener:
        tap, wire = Wire(bed.server, "sw0"), Wire(bed.client, "cg0")
        for name, frame in foreign_frames(bed, family, listener.port).items():
            tap.flush()
            with bed.guard.counting() as moved:
                wire.send(frame)
                seen, end = [], time.monotonic() + 0.5
                while frame not in seen and (got := tap.read(end - time.monotonic())):
                    seen.append(got[0])
                assert frame in seen, f"{name}: not seen behind XDP, or changed"
            assert not any(count for reason, count in moved.verdicts.items()
                           if reason not in ("other_traffic", "not_guarded", "truncated", "later_fragment")), (name, moved)
        tap.close()
        wire.close()


def ping(ns, family, addr, count=3):
    """How many of count echo requests are answered."""
    answered = 0
    request, reply = (8, 0) if family == "ipv4" else (128, 129)
    with ns.socket(FAMILY[family], socket.SOCK_RAW, f.ICMP if family == "ipv4" else f.ICMPV6) as sock:
        for at in range(count):
            message = struct.pack("!BBHHH", request, 0, 0, os.getpid() & 0xFFFF, at) + b"echo"
            if family == "ipv4":  # the kernel fills in ICMPv6's
                message = message[:2] + struct.pack("!H", f.checksum(message)) + message[4:]
            sock.sendto(message, (addr, 0))
            end = time.monotonic() + 2
            while (left := end - time.monotonic()) > 0:
                sock.settimeout(left)
                try:
                    got = sock.recv(2000)
                except TimeoutError:
                    break
                if family == "ipv4":
                    got = got[20:]
                if got[0] == reply and got[4:] == message[4:]:
                    answered += 1
                    break
    return answered


def test_point_15_ping_works(bed, family):
    with bed.guard.counting() as moved:
        assert ping(bed.client, family, bed.guarded.server_addr[family]) == 3
        assert ping(bed.server, family, bed.guarded.client_addr[family]) == 3
    assert not moved.tcp


def test_point_15_neighbour_discovery_works(bed, family):
    link = bed.guarded
    for ns, ifname, other in ((bed.server, "sw0", link.client_addr), (bed.client, "cg0", link.server_addr)):
        ns.ip("neigh", "del", other[family], "dev", ifname)
    try:
        assert ping(bed.client, family, link.server_addr[family], 1) == 1
    finally:
        bed.server.ip("neigh", "replace", link.client_addr[family], "lladdr", link.client_mac, "dev", "sw0", "nud", "permanent")
        bed.client.ip("neigh", "replace", link.server_addr[family], "lladdr", link.server_mac, "dev", "cg0", "nud", "permanent")


def test_point_15_udp_service_on_the_guarded_port_works(bed, family):
    with bed.listen(family) as listener:
        server = bed.server.socket(FAMILY[family], socket.SOCK_DGRAM)
        server.bind((listener.sock.getsockname()[0], listener.port))
        server.settimeout(2)
        client = bed.client.socket(FAMILY[family], socket.SOCK_DGRAM)
        client.settimeout(2)
        for size in (1, 100, 1400, 4000):  # the last one in fragments
            client.sendto(bytes(size), (bed.guarded.server_addr[family], listener.port))
            data, who = server.recvfrom(9000)
            assert len(data) == size
            server.sendto(data, who)
            assert len(client.recv(9000)) == size
        server.close()
        client.close()


def test_point_15_fragmentation_needed_lowers_the_path_mtu(bed, family):
    with bed.listen(family) as listener:
        def run(link):
            with Peer(link, family, listener.port) as peer:
                peer.connect(b"x")
                conn = listener.accept()
                assert conn
                before = tcp_info(conn).pmtu
                quoted = f.ip_packet(peer.dst, peer.src, f.TCP, f.tcp_header(
                    peer.dst, peer.src, peer.dport, peer.sport, peer.synack.seq + 1, peer.snd_nxt, f.ACK))
                conn.sendall(bytes(3000))
                peer.receive_all(0.03)
                if family == "ipv4":
                    message = struct.pack("!BBHHH", 3, 4, 0, 0, 1300) + quoted[:28]
                    message = message[:2] + struct.pack("!H", f.checksum(message)) + message[4:]
                    packet = f.ip_packet(link.client_addr["ipv4"], peer.dst, f.ICMP, message)
                else:
                    message = struct.pack("!BBHI", 2, 0, 0, 1300) + quoted
                    check = f.checksum(f.pseudo(f.addr(link.client_addr["ipv6"]), f.addr(peer.dst), len(message), f.ICMPV6) + message)
                    message = message[:2] + struct.pack("!H", check) + message[4:]
                    packet = f.ip_packet(link.client_addr["ipv6"], peer.dst, f.ICMPV6, message)
                peer.wire.send(f.ethernet(link.server_mac, link.client_mac, packet, f.ETH_IPV4 if family == "ipv4" else f.ETH_IPV6))
                wait_until(lambda: tcp_info(conn).pmtu == 1300, 0.5)
                return before, tcp_info(conn).pmtu
        direct, guarded = bed.both(run)
        assert guarded == direct == (1500, 1300)


def test_point_15_closed_port_is_refused_as_direct(bed, family):
    def run(link):
        with pytest.raises(ConnectionRefusedError):
            connect(bed.client, family, link.server_addr[family], 1)
        with Peer(link, family, 2) as peer:
            told = []
            for flags in (f.SYN, f.ACK, f.FIN, f.RST, 0, f.SYN | f.FIN):
                peer.send(flags, ack=7, options=b"")
                told.append([f.flag_names(s.flags) for s in peer.receive_all(0.03)])
            return told
    direct, guarded = bed.both(run)
    assert guarded == direct


def test_point_15_port_not_on_the_list_is_left_alone(bed, family):
    with bed.listen(family) as listed, bed.listen(family) as unlisted:
        bed.guard.attach(bed.mode, "-p", str(listed.port))
        try:
            time.sleep(0.3)
            for listener, verdict in ((listed, "synack_sent"), (unlisted, "not_guarded")):
                with bed.guard.counting() as moved, Peer(bed.guarded, family, listener.port) as peer:
                    assert peer.ask()
                assert moved.tcp == {verdict: 1}
        finally:
            bed.guard.attach(bed.mode, "-p", "auto")


def test_point_15_forwarded_connections_pass(bed, family):
    """To a server behind this router, on a port this machine listens on as well."""
    with bed.listen(family) as here, Echo(bed.inside_ns, family, port=here.port):
        with bed.guard.counting() as moved:
            with connect(bed.client, family, bed.inside.client_addr[family], here.port) as sock:
                sock.sendall(b"through" * 1000)
                assert read_exactly(sock, 7000) == b"through" * 1000
        assert set(moved.tcp) == {"not_guarded"}
        # The other way round: a client inside, a server in front.
        with Echo(bed.client, family) as outside:
            bed.client.ip("route", "replace", *(["10.3.0.0/24", "via", "10.1.0.1"] if family == "ipv4" else ["fd00:3::/64", "via", "fd00:1::1"]))
            with connect(bed.inside_ns, family, bed.guarded.client_addr[family], outside.port) as sock:
                sock.sendall(b"back")
                assert read_exactly(sock, 4) == b"back"


def dnat_rules(family, port, to_port):
    word, to = ("ip", "10.3.0.2") if family == "ipv4" else ("ip6", "[fd00:3::2]")
    return f"""
table {word} swt_dnat {{
    chain prerouting {{
        type nat hook prerouting priority dstnat; policy accept;
        iifname "sw0" tcp dport {port} dnat to {to}:{to_port}
    }}
}}
"""


@pytest.mark.parametrize("userland_proxy", [False, True], ids=["alone", "with_a_userland_proxy"])
def test_point_15_dnated_port_reaches_its_container(bed, family, userland_proxy):
    """As Docker does it: the port is DNATed to another namespace; perhaps a proxy listens here as well."""
    port = 8080 if family == "ipv4" else 8081
    proxy = bed.listen(family, port=port) if userland_proxy else None
    try:
        with Echo(bed.inside_ns, family) as container:
            bed.server.nft(dnat_rules(family, port, container.port))
            attached = bed.guard.attach(bed.mode, "-p", "auto")
            time.sleep(0.6)
            with connect(bed.client, family, bed.guarded.server_addr[family], port) as sock:
                sock.sendall(b"to the container")
                assert read_exactly(sock, 16) == b"to the container"
            print(attached.stdout, attached.stderr)
    finally:
        bed.server.run("nft", "-f", "-", check=False, input=f"delete table {'ip' if family == 'ipv4' else 'ip6'} swt_dnat\n")
        if proxy:
            proxy.close()
        bed.guard.detach()  # on the proxy path it would stay
        bed.guard.attach(bed.mode, "-p", "auto")


FIREWALL = """
table inet swt_fw {
    chain input {
        type filter hook input priority filter; policy drop;
        iif lo accept
        ct state established,related accept
        ct state invalid drop
        meta l4proto { icmp, ipv6-icmp } accept
        tcp dport PORT ct state new accept
    }
}
"""


def test_stateful_firewall_lets_connections_through(bed, family):
    """conntrack never sees the SYN: it takes the ACK for a new connection picked up mid-stream."""
    with Echo(bed.server, family) as echo:
        bed.server.nft(FIREWALL.replace("PORT", str(echo.port)))
        try:
            with bed.guard.counting() as moved:
                for _ in range(20):
                    with connect(bed.client, family, bed.guarded.server_addr[family], echo.port) as sock:
                        sock.sendall(b"through the firewall" * 500)
                        assert read_exactly(sock, 10000) == b"through the firewall" * 500
            assert moved["ack_valid"] >= 20
        finally:
            bed.server.nft("delete table inet swt_fw")


def test_strict_conntrack_is_pointed_out_at_attach(bed):
    if not os.path.exists("/proc/sys/net/netfilter/nf_conntrack_tcp_loose"):
        pytest.skip("no conntrack in this kernel")
    old = bed.server.sysctl("net.netfilter.nf_conntrack_tcp_loose", 0)
    try:
        done = bed.guard.attach(bed.mode)
        assert "nf_conntrack_tcp_loose" in done.stdout + done.stderr
    finally:
        bed.server.sysctl("net.netfilter.nf_conntrack_tcp_loose", old)


# Point 17 -----------------------------------------------------------------------------

def test_point_17_outgoing_connections_of_this_host(bed, family):
    """Also from a port that something listens on here, the worst case for SYN-ACKs coming in."""
    with Echo(bed.client, family) as far, bed.listen(family) as listener:
        with bed.guard.counting() as moved:
            for bind in (None, listener.port):
                def prepare(sock):
                    if bind:
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                        sock.bind((bed.guarded.server_addr[family], bind))
                try:
                    sock = connect(bed.server, family, bed.guarded.client_addr[family], far.port, prepare=prepare)
                except OSError as error:
                    assert bind and error.errno == 98, error  # the listener keeps its port to itself
                    continue
                with sock:
                    sock.sendall(b"out" * 10000)
                    assert read_exactly(sock, 30000) == b"out" * 10000
        assert moved["synack_unsolicited"] == 0 and moved["ack_invalid"] == 0 and moved["rst_unknown"] == 0


def test_point_17_outgoing_from_a_listening_port(bed, family):
    """SO_REUSEPORT on both: the same local port listens and connects (BGP, peer to peer)."""
    def shared(sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    with Echo(bed.client, family) as far, bed.listen(family, prepare=shared) as listener:
        def prepare(sock):
            shared(sock)
            sock.bind((bed.guarded.server_addr[family], listener.port))
        with bed.guard.counting() as moved:
            with connect(bed.server, family, bed.guarded.client_addr[family], far.port, prepare=prepare) as sock:
                for _ in range(20):
                    sock.sendall(b"out" * 1000)
                    assert read_exactly(sock, 3000) == b"out" * 1000
        assert moved["known"] > 0
        assert moved["synack_unsolicited"] == 0 and moved["ack_invalid"] == 0 and moved["syn_known"] == 0


def test_point_17_connection_that_moves_to_the_guarded_interface(bed, family):
    """Made over the other link after attach, then routed over this one: failover, ECMP, asymmetric return."""
    with bed.listen(family) as listener, Peer(bed.direct, family, listener.port) as peer:
        peer.connect(b"one")
        conn = listener.accept()
        assert conn and read_exactly(conn, 3) == b"one"
        frame = peer.frame(f.ACK | f.PSH, payload=b"two")
        peer.snd_nxt += 3
        wire = Wire(bed.client, "cg0")
        with bed.guard.counting() as moved:
            for _ in range(3):
                wire.send(f.mac(bed.guarded.server_mac) + f.mac(bed.guarded.client_mac) + frame[12:])
                time.sleep(0.05)
        wire.close()
        assert moved["ack_invalid"] == 0
        assert read_exactly(conn, 3) == b"two"


def test_point_17_refused_outgoing_connection_is_refused_at_once(bed, family):
    """The RST that answers our own SYN must come through."""
    def shared(sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    with bed.listen(family, prepare=shared) as listener:
        def prepare(sock):
            shared(sock)
            sock.bind((bed.guarded.server_addr[family], listener.port))
        began = time.monotonic()
        with pytest.raises(ConnectionRefusedError):
            connect(bed.server, family, bed.guarded.client_addr[family], 1, prepare=prepare)
        assert time.monotonic() - began < 0.5


def test_connection_to_oneself_over_loopback(bed, family):
    with Echo(bed.server, family) as echo:
        for addr in ({"ipv4": "127.0.0.1", "ipv6": "::1"}[family], bed.guarded.server_addr[family]):
            with connect(bed.server, family, addr, echo.port) as sock:
                sock.sendall(b"me")
                assert read_exactly(sock, 2) == b"me"
