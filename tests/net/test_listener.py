# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
#    raw peer, kernel client, cg0 ─── sw0 (synward)  ┐
#    raw peer, cd0 ────────────────── dir0           ┴ one listener
#
# Point 18 and what is learned from the listener: accept queue, options set on it, sysctls,
# MTU, TCP-MD5, MPTCP. No configuration: each change must show within a second.
import socket
import struct
import time

import pytest

import frame as f
from peer import Peer, synack_look
from server import FAMILY, connect, read_exactly, tcp_info
from world import wait_until

TCP_MD5SIG, TCP_MD5SIG_EXT, IPPROTO_MPTCP = 14, 32, 262
MD5_FLAG_PREFIX = 1


# Point 18 -----------------------------------------------------------------------------

@pytest.mark.parametrize("pause", [0, 0.6], ids=["at_once", "once_the_cache_is_stale"])
def test_point_18_listener_gone_with_cookies_out_the_client_gets_a_reset(bed, family, pause):
    def run(link):
        listener = bed.listen(family)
        with Peer(link, family, listener.port) as peer:
            assert peer.ask()
            listener.close()
            time.sleep(pause)
            peer.data(b"anybody there?")
            answer = peer.receive()
            return answer and f.flag_names(answer.flags)
    direct, guarded = bed.both(run)
    assert guarded is not None and "R" in guarded
    assert guarded == direct


def test_point_18_a_port_nobody_listens_on_any_more_stays_closed(bed, family):
    listener = bed.listen(family)
    port = listener.port
    with Peer(bed.guarded, family, port) as peer:
        assert peer.ask()
    listener.close()
    time.sleep(0.6)
    with Peer(bed.guarded, family, port) as peer:
        peer.syn()
        answer = peer.receive()
        assert answer and answer.flags & f.RST
    with bed.listen(family, port=port), Peer(bed.guarded, family, port) as peer:
        assert wait_until(lambda: peer.ask(0.1), 1.0), "listening again was not noticed within a second"


# Accept queue -------------------------------------------------------------------------

def test_full_accept_queue_drops_syns_as_the_kernel_does_and_recovers(bed, family):
    with bed.listen(family, backlog=3) as listener:
        peers = []
        for _ in range(4):  # backlog + 1 fit
            peers.append(Peer(bed.guarded, family, listener.port).connect(b"x"))
        time.sleep(0.4)
        with bed.guard.counting() as moved, Peer(bed.guarded, family, listener.port) as late:
            for _ in range(3):
                late.syn()
                assert not late.receive(0.05)
        assert moved.tcp == {"accept_queue_full": 3}
        with Peer(bed.direct, family, listener.port) as late:
            late.syn()
            assert not late.receive(0.1), "the kernel drops them too"
        for _ in range(4):
            assert listener.accept()
        with Peer(bed.guarded, family, listener.port) as late:
            assert wait_until(lambda: late.ask(0.05), 1.0), "room again, not noticed within a second"
            late.data(b"x")
            assert listener.accept()
        for peer in peers:
            peer.close()


# Changes at run time ------------------------------------------------------------------

def follows(bed, family, listener, change, stack="linux", changed=True):
    """After change() the guarded SYN-ACK must become what the direct one is by then, within a second."""
    def both():
        return bed.both(lambda link: synack_look(link, family, listener.port, stack))
    before = both()
    assert before[0] == before[1]
    change()
    began = time.monotonic()
    while True:
        now = both()
        if now[0] == now[1] and now[0] or time.monotonic() - began > 1.2:
            break
        time.sleep(0.05)
    assert now[1] == now[0], "the SYN-ACK did not follow within a second"
    if changed:
        assert now != before, "the change has no effect: this test shows nothing"


def option(level, name, value):
    return lambda listener: listener.sock.setsockopt(level, name, value)


SOCKET_CHANGES = {
    "rcvbuf_small": (option(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096), "linux"),
    "rcvbuf_middle": (option(socket.SOL_SOCKET, socket.SO_RCVBUF, 100000), "linux"),
    "rcvbuf_large": (option(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20), "windows"),
    "maxseg": (option(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 700), "linux"),
    "window_clamp": (option(socket.IPPROTO_TCP, socket.TCP_WINDOW_CLAMP, 20000), "linux"),
}
FAMILY_CHANGES = {
    "ttl": {"ipv4": option(socket.IPPROTO_IP, socket.IP_TTL, 99),
            "ipv6": option(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 99)},
    "tos": {"ipv4": option(socket.IPPROTO_IP, socket.IP_TOS, 0x48),
            "ipv6": option(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, 0x48)},
}


@pytest.mark.parametrize("what", SOCKET_CHANGES)
def test_socket_option_changed_at_run_time_shows_within_a_second(bed, family, what):
    change, stack = SOCKET_CHANGES[what]
    with bed.listen(family) as listener:
        follows(bed, family, listener, lambda: change(listener), stack)


@pytest.mark.parametrize("what", FAMILY_CHANGES)
def test_ip_option_changed_at_run_time_shows_within_a_second(bed, family, what):
    with bed.listen(family) as listener:
        follows(bed, family, listener, lambda: FAMILY_CHANGES[what][family](listener))


def test_dont_fragment_follows_the_socket(bed):
    """Whatever IP_MTU_DISCOVER says: as direct."""
    for value in (0, 1, 2, 3):
        with bed.listen("ipv4") as listener:
            listener.sock.setsockopt(socket.IPPROTO_IP, 10, value)
            direct, guarded = bed.both(lambda link: synack_look(link, "ipv4", listener.port))
            assert guarded == direct, f"IP_MTU_DISCOVER {value}"


SYSCTLS = [("tcp_sack", 0, "linux"), ("tcp_sack", 0, "windows"), ("tcp_timestamps", 0, "linux"), ("tcp_window_scaling", 0, "linux"),
           ("tcp_window_scaling", 0, "windows"), ("tcp_rmem", "4096 20000 40000", "linux"), ("tcp_rmem", "4096 500000 33554432", "linux"),
           ("tcp_ecn", 0, "ios"), ("tcp_ecn", 1, "ios")]


@pytest.mark.parametrize("name, value, stack", SYSCTLS)
def test_sysctl_changed_at_run_time_shows_within_a_second(bed, family, name, value, stack):
    """A new tcp_rmem counts for sockets made after it: the listener here is older, its maximum is not."""
    with bed.listen(family) as listener:
        before = bed.server.sysctl(f"net.ipv4.{name}")
        try:
            follows(bed, family, listener, lambda: bed.server.sysctl(f"net.ipv4.{name}", value), stack, changed=name not in ("tcp_rmem", "tcp_ecn"))
            with bed.listen(family) as younger:
                direct, guarded = bed.both(lambda link: synack_look(link, family, younger.port, stack))
                assert guarded == direct
            time.sleep(0.3)  # each CPU reads the listener for itself
            with Peer(bed.guarded, family, listener.port, stack) as peer:
                peer.connect(b"x")
                conn = listener.accept()
                assert conn and conn.recv(1) == b"x", "the hand-over with this setting"
        finally:
            bed.server.sysctl(f"net.ipv4.{name}", before)


def test_default_ttl_changed_at_run_time_shows_within_a_second(bed, family):
    with bed.listen(family) as listener:
        if family == "ipv4":
            names = ["net.ipv4.ip_default_ttl"]
        else:
            names = [f"net.ipv6.conf.{name}.hop_limit" for name in ("all", "sw0", "dir0")]
        old = {name: bed.server.sysctl(name) for name in names}
        try:
            follows(bed, family, listener, lambda: [bed.server.sysctl(name, 77) for name in names])
        finally:
            for name, value in old.items():
                bed.server.sysctl(name, value)


@pytest.mark.parametrize("mtu", [1400, 1280])
def test_mtu_changed_at_run_time_shows_within_a_second(bed, family, mtu):
    def change(value):
        for link in (bed.guarded, bed.direct):
            link.server.ip("link", "set", link.server_if, "mtu", value)
    with bed.listen(family) as listener:
        try:
            follows(bed, family, listener, lambda: change(mtu))
        finally:
            change(1500)


@pytest.mark.parametrize("value", [1000, 1300])
def test_route_with_its_own_advmss_is_as_direct(bed, value):
    with bed.listen("ipv4") as listener:
        for link in (bed.guarded, bed.direct):
            bed.server.ip("route", "replace", f"100.64.{link.number}.0/24", "via", link.client_addr["ipv4"],
                          "dev", link.server_if, "advmss", value)
        try:
            time.sleep(0.4)
            direct, guarded = bed.both(lambda link: synack_look(link, "ipv4", listener.port))
        finally:
            for link in (bed.guarded, bed.direct):
                bed.server.ip("route", "replace", f"100.64.{link.number}.0/24", "via", link.client_addr["ipv4"], "dev", link.server_if)
        if guarded != direct:
            pytest.xfail("a route's own metrics are not read; the kernel's SYN-ACK has them")


def test_syncookies_switched_off_leaves_the_listener_alone(bed, family):
    """The hand-over would be refused."""
    with bed.server.having(tcp_syncookies=0), bed.listen(family) as listener:
        time.sleep(0.4)
        with bed.guard.counting() as moved, Peer(bed.guarded, family, listener.port) as peer:
            peer.connect(b"x")
            conn = listener.accept()
            assert conn and conn.recv(1) == b"x"
        assert set(moved.tcp) == {"not_guarded"}


def test_refused_hand_over_is_counted(bed, family):
    """Timestamps agreed on by the SYN-ACK, switched off before the ACK: the kernel refuses the hand-over."""
    with bed.listen(family) as listener, Peer(bed.guarded, family, listener.port) as peer:
        assert peer.ask().tsval is not None
        with bed.server.having(tcp_timestamps=0), bed.guard.counting() as moved:
            peer.data(b"x")
            assert not listener.accept(0.2)
        assert moved["ack_valid"] == 1 and moved["handoff_refused"] == 1 and moved["handoff_done"] == 0


# TCP-MD5 and MPTCP --------------------------------------------------------------------

def md5_key(family, addr, key=b"between routers"):
    if family == "ipv4":
        ss = struct.pack("=HH4s", socket.AF_INET, 0, socket.inet_aton(addr))
    else:
        ss = struct.pack("=HHI16s", socket.AF_INET6, 0, 0, socket.inet_pton(socket.AF_INET6, addr))
    return struct.pack("=128sBBHi80s", ss, 0, 0, len(key), 0, key)


def test_md5_listener_keeps_working(bed, family):
    """BGP must survive: a signed SYN passes to the kernel where the listener holds keys."""
    client_addr, server_addr = bed.guarded.client_addr[family], bed.guarded.server_addr[family]
    try:
        listener = bed.listen(family, prepare=lambda s: s.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG, md5_key(family, client_addr)))
    except OSError as error:
        pytest.skip(f"no TCP-MD5 in this kernel: {error}")
    with listener:
        with bed.guard.counting() as moved:
            sock = connect(bed.client, family, server_addr, listener.port,
                           prepare=lambda s: s.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG, md5_key(family, server_addr)))
            conn = listener.accept()
            assert conn
            conn.settimeout(2)
            for at in range(20):
                sock.sendall(b"keepalive")
                assert read_exactly(conn, 9) == b"keepalive"
                conn.sendall(b"update")
                assert read_exactly(sock, 6) == b"update"
                time.sleep(0.02)
            sock.close()
        assert moved["syn_to_kernel"] == 1 and moved["synack_sent"] == 0
        # Without the key nothing is let in.
        with Peer(bed.guarded, family, listener.port, src=client_addr) as stranger:
            stranger.syn()
            if synack := stranger.receive(0.2, lambda s: s.is_synack):
                stranger.take_synack(synack)
                stranger.data(b"unsigned")
            assert listener.nothing_more(0.3)


def test_md5_option_to_a_listener_without_keys_is_as_direct(bed, family):
    with bed.listen(family) as listener:
        def run(link):
            with Peer(link, family, listener.port, options=f.mss(1400) + bytes([19, 18]) + bytes(16) + f.NOP * 2) as peer:
                peer.syn()
                return peer.receive(0.3) is not None
        direct, guarded = bed.both(run)
        print("answered: direct", direct, "guarded", guarded)
        if direct is False:
            with bed.guard.counting() as moved, Peer(bed.guarded, family, listener.port, options=f.mss(1400) + bytes([19, 18]) + bytes(16) + f.NOP * 2) as peer:
                if peer.ask(0.3):
                    peer.send(f.ACK)
                    assert listener.accept(0.3) is not None, "answered, then not let in"


def test_mptcp_listener_is_left_alone(bed, family):
    try:
        listener = bed.listen(family, proto=IPPROTO_MPTCP)
    except OSError as error:
        pytest.skip(f"no MPTCP in this kernel: {error}")
    with listener:
        with bed.guard.counting() as moved:
            sock = bed.client.socket(FAMILY[family], socket.SOCK_STREAM, IPPROTO_MPTCP)
            sock.settimeout(3)
            sock.connect((bed.guarded.server_addr[family], listener.port))
            conn = listener.accept()
            sock.sendall(b"over several paths")
            assert conn and read_exactly(conn, 18) == b"over several paths"
            sock.close()
        assert set(moved.tcp) == {"not_guarded"}
        assert bed.server.netstat("MPTcpExtMPCapableSYNRX") >= 1 if has_mptcp_counters(bed) else True


def has_mptcp_counters(bed):
    try:
        bed.server.netstat("MPTcpExtMPCapableSYNRX")
        return True
    except KeyError:
        return False


def test_mptcp_client_of_a_plain_listener_falls_back_to_tcp(bed, family):
    with bed.listen(family) as listener:
        try:
            sock = bed.client.socket(FAMILY[family], socket.SOCK_STREAM, IPPROTO_MPTCP)
        except OSError as error:
            pytest.skip(f"no MPTCP in this kernel: {error}")
        sock.settimeout(3)
        with bed.guard.counting() as moved:
            sock.connect((bed.guarded.server_addr[family], listener.port))
            conn = listener.accept()
            sock.sendall(b"hello")
            assert conn and read_exactly(conn, 5) == b"hello"
        assert moved["synack_sent"] == 1
        sock.close()


def test_listeners_on_one_port_and_different_addresses_are_told_apart(bed, family):
    """Two addresses, two listeners, other options on each."""
    second = {"ipv4": "10.1.0.77", "ipv6": "fd00:1::77"}[family]
    bed.server.ip("addr", "add", second + {"ipv4": "/24", "ipv6": "/64"}[family], "dev", "sw0", *(["nodad"] if family == "ipv6" else []))
    with bed.listen(family, addr=bed.guarded.server_addr[family]) as one, \
            bed.listen(family, port=one.port, addr=second, prepare=lambda s: s.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 800)) as two:
        time.sleep(0.3)
        looks = {}
        for listener, dst in ((one, bed.guarded.server_addr[family]), (two, second)):
            with Peer(bed.guarded, family, one.port, dst=dst) as peer:
                looks[dst] = peer.ask().mss
                peer.data(b"x")
                conn = listener.accept()
                assert conn and conn.recv(1) == b"x"
        assert looks[second] == 800 != looks[bed.guarded.server_addr[family]]


def test_reuseport_group_shares_the_connections(bed, family):
    def prepare(sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    with bed.listen(family, prepare=prepare) as one, bed.listen(family, port=one.port, prepare=prepare) as two:
        peers = [Peer(bed.guarded, family, one.port).connect(b"x") for _ in range(40)]
        time.sleep(0.1)
        counts = []
        for listener in (one, two):
            count = 0
            while listener.accept(0.05):
                count += 1
            counts.append(count)
        for peer in peers:
            peer.close()
    assert sum(counts) == 40 and min(counts) >= 5, counts
