# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
#    raw peer, cg0 ──────────── sw0 (synward)  ┐
#    raw peer, cd0 ──────────── dir0           ┴ one listener
#
# Points 2, 12 and 13: segments no handshake uses, damaged ones, and headers around them.
import socket
import time

import pytest

import frame as f
from peer import Peer, look, stack_mss
from server import Echo, connect, read_exactly

# Point 2 ------------------------------------------------------------------------------


def expected_verdict(flags):
    """Of a segment to an open port, no connection, no cookie: the table of docs/design."""
    kind = flags & (f.SYN | f.ACK | f.RST | f.FIN)
    if kind == f.SYN:
        return "synack_sent"
    if kind in (f.ACK, f.ACK | f.FIN):
        return "ack_invalid"
    if kind == f.SYN | f.ACK:
        return "synack_unsolicited"
    if kind in (f.RST, f.RST | f.ACK):
        return "rst_unknown"
    return "flags_invalid"


def test_point_02_each_combination_of_flags_has_its_verdict_and_only_syn_earns_an_answer(bed, family):
    with bed.listen(family) as listener:
        for flags in range(256):
            with Peer(bed.guarded, family, listener.port) as peer:
                with bed.guard.counting() as moved:
                    peer.send(flags, seq=peer.isn, ack=0x12345678, options=b"")
                    time.sleep(0.002)
                verdict = expected_verdict(flags)
                assert moved.tcp == {verdict: 1}, f.flag_names(flags)
                answer = peer.receive(0.05 if verdict == "synack_sent" else 0.005)
                assert bool(answer) == (verdict == "synack_sent"), f.flag_names(flags)
        assert listener.nothing_more(0.05)


def test_point_02_rst_to_a_listener_changes_nothing(bed, family):
    with bed.listen(family) as listener:
        def run(link):
            with Peer(link, family, listener.port) as peer:
                assert peer.ask()
                peer.send(f.RST, seq=peer.snd_nxt + 999999)
                peer.send(f.RST | f.ACK, seq=peer.snd_nxt + 999999, ack=99)
                assert not peer.receive(0.1)
                peer.data(b"after the resets")
                conn = listener.accept()
                return conn is not None and read_exactly(conn, 16)
        assert bed.both(run) == (b"after the resets", b"after the resets")


@pytest.mark.parametrize("flags", [f.ACK, f.ACK | f.PSH, f.ACK | f.FIN])
def test_point_02_segment_to_nobody_is_dropped_and_counted(bed, family, flags):
    with bed.listen(family) as listener, Peer(bed.guarded, family, listener.port) as peer:
        with bed.guard.counting() as moved:
            peer.send(flags, ack=4711, payload=b"data" if flags & f.PSH else b"")
            assert not peer.receive(0.15)
        assert moved.tcp == {"ack_invalid": 1}
        assert listener.nothing_more(0.05)


# Point 12 -----------------------------------------------------------------------------

DAMAGE = {
    "tcp_checksum": dict(csum="bad"),
    "tcp_checksum_zero": dict(csum=0),
    "tcp_checksum_of_data": dict(csum="bad", payload=b"some data, an odd number of bytes"),
    "ip_checksum": dict(ip=dict(ip_csum="bad")),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_point_12_bad_checksum_earns_nothing(bed, family, damage):
    if damage == "ip_checksum" and family == "ipv6":
        pytest.skip("IPv6 has none")
    with bed.listen(family) as listener:
        def run(link):
            with Peer(link, family, listener.port) as peer:
                peer.syn(**DAMAGE[damage])
                return peer.receive(0.2)
        with bed.guard.counting() as moved:
            assert bed.both(run) == (None, None)
        assert moved.tcp == {"checksum_invalid": 1}


def test_point_12_each_flipped_bit_is_noticed(bed, family):
    """One bit anywhere in the TCP header or the data: no SYN-ACK to this peer."""
    with bed.listen(family) as listener, Peer(bed.guarded, family, listener.port) as peer:
        whole = peer.syn_frame(payload=b"123")
        at = 34 if family == "ipv4" else 54
        with bed.guard.counting() as moved:
            for bit in range((len(whole) - at) * 8):
                frame = bytearray(whole)
                frame[at + bit // 8] ^= 1 << bit % 8
                peer.wire.send(bytes(frame))
            answers = peer.receive_all(0.4)  # until what was learned of the ports next to it is stale
        assert not answers and moved["synack_sent"] == 0
        assert moved["checksum_invalid"] > (len(whole) - at) * 8 - 64, moved


def test_point_12_unfinished_checksum_of_a_local_sender_is_right(bed, family):
    with bed.listen(family) as listener:
        for payload in (b"", b"data"):
            with Peer(bed.guarded, family, listener.port) as peer:
                synack = peer.ask(csum="partial", payload=payload)
                assert synack and synack.csum_right and synack.ip_csum_right


def test_point_12_kernel_client_with_transmit_checksumming_connects(bed, family):
    features = bed.client.run("ethtool", "-k", "cg0").stdout
    assert "tx-checksumming: on" in features, "the point of this test"
    with Echo(bed.server, family) as echo:
        with bed.guard.counting() as moved, \
                connect(bed.client, family, bed.guarded.server_addr[family], echo.port) as sock:
            sock.sendall(b"0123456789" * 5000)
            assert read_exactly(sock, 50000) == b"0123456789" * 5000
        assert moved["synack_sent"] == 1 and moved["ack_valid"] == 1 and moved["checksum_invalid"] == 0


# Point 13 -----------------------------------------------------------------------------

@pytest.mark.parametrize("options", [b"\x01\x01\x01\x01", b"\x07\x07\x04" + b"\0" * 5, b"\x94\x04\x00\x00", b"\x44\x08\x05\x00\0\0\0\0"],
                         ids=["nops", "record_route", "router_alert", "timestamp"])
def test_point_13_ip_options_are_left_to_the_kernel(bed, options):
    with bed.listen("ipv4") as listener:
        def run(link):
            with Peer(link, "ipv4", listener.port) as peer:
                peer.l3 = dict(ip_options=options)
                synack = peer.ask()
                assert synack, "no answer"
                peer.data(b"hello")
                conn = listener.accept()
                return look(synack), conn and read_exactly(conn, 5)
        with bed.guard.counting() as moved:
            direct, guarded = bed.both(run)
        assert guarded == direct
        assert moved["syn_to_kernel"] == 1 and moved["synack_sent"] == 0


def test_point_13_ip_options_have_a_budget(bed):
    """Unbounded they would be a way around the guard."""
    with bed.listen("ipv4") as listener, Peer(bed.guarded, "ipv4", listener.port) as peer:
        with bed.guard.counting() as moved:
            for at in range(1000):
                peer.sport = 10000 + at
                peer.syn(ip=dict(ip_options=b"\x01" * 4))
        assert 1 <= moved["syn_to_kernel"] <= 300, "100 a second and CPU"
        assert moved["syn_to_kernel"] + moved["syn_over_budget"] == 1000


def test_point_13_dont_fragment_clear_is_answered(bed):
    with bed.listen("ipv4") as listener:
        def run(link):
            with Peer(link, "ipv4", listener.port) as peer:
                peer.l3 = dict(df=False)
                synack = peer.ask()
                peer.data(b"x")
                conn = listener.accept()
                return look(synack), conn and read_exactly(conn, 1)
        direct, guarded = bed.both(run)
        assert guarded == direct


def fragments(peer, packet_of_tcp, cut):
    """The packet in two fragments."""
    if peer.family == "ipv4":
        pieces = [(packet_of_tcp[:cut], dict(df=False, ident=77, fragment=(0, True))),
                  (packet_of_tcp[cut:], dict(df=False, ident=77, fragment=(cut // 8, False)))]
    else:
        pieces = [(packet_of_tcp[:cut], dict(extensions=[(f.FRAGMENT, f.fragment_extension(0, True))])),
                  (packet_of_tcp[cut:], dict(extensions=[(f.FRAGMENT, f.fragment_extension(cut // 8, False))]))]
    return [f.ethernet(peer.link.server_mac, peer.link.client_mac, f.ip_packet(peer.src, peer.dst, f.TCP, data, **how),
                       f.ETH_IPV4 if peer.family == "ipv4" else f.ETH_IPV6) for data, how in pieces]


def test_point_13_syn_in_fragments_is_dropped_and_counted(bed, family):
    with bed.listen(family) as listener, Peer(bed.guarded, family, listener.port) as peer:
        segment = f.tcp_header(peer.src, peer.dst, peer.sport, peer.dport, peer.isn, 0, f.SYN, options=peer.options, payload=bytes(40))
        with bed.guard.counting() as moved:
            for frame in fragments(peer, segment, 48):
                peer.wire.send(frame)
            assert not peer.receive(0.2)
        assert moved.tcp == {"syn_fragment": 1, "later_fragment": 1}


def test_point_13_fragmented_data_of_a_connection_arrives(bed, family):
    with bed.listen(family) as listener, Peer(bed.guarded, family, listener.port) as peer:
        peer.connect()
        conn = listener.accept()
        assert conn
        peer.receive_all(0.05)
        time.sleep(0.2)
        payload = bytes(range(200))
        segment = f.tcp_header(peer.src, peer.dst, peer.sport, peer.dport, peer.snd_nxt, peer.rcv_nxt, f.ACK | f.PSH,
                               options=f.NOP + f.NOP + f.tstamp(peer.tsval, peer.ts_recent), payload=payload)
        with bed.guard.counting() as moved:
            for frame in fragments(peer, segment, 64):
                peer.wire.send(frame)
            assert read_exactly(conn, 200) == payload
        assert moved.tcp == {"known": 1, "later_fragment": 1}


CHAINS = {
    "hop_by_hop": [(f.HOP_BY_HOP, f.padding_extension())],
    "destination": [(f.DEST_OPTIONS, f.padding_extension())],
    "destination_of_64_bytes": [(f.DEST_OPTIONS, f.padding_extension(7))],
    "hop_by_hop_and_destination": [(f.HOP_BY_HOP, f.padding_extension(1)), (f.DEST_OPTIONS, f.padding_extension(2))],
    "routing_done": [(f.ROUTING, f.routing_extension(0))],
    "whole_packet_fragment": [(f.FRAGMENT, f.fragment_extension(0, False))],
    "four": [(f.HOP_BY_HOP, f.padding_extension()), (f.DEST_OPTIONS, f.padding_extension()),
             (f.FRAGMENT, f.fragment_extension(0, False)), (f.DEST_OPTIONS, f.padding_extension())],
}


@pytest.mark.parametrize("chain", CHAINS)
def test_point_13_ipv6_extension_headers_are_walked(bed, chain):
    with bed.listen("ipv6") as listener:
        def run(link):
            with Peer(link, "ipv6", listener.port) as peer:
                peer.l3 = dict(extensions=CHAINS[chain])
                synack = peer.ask(0.3)
                if not synack:
                    return None
                peer.data(b"behind extensions")
                conn = listener.accept()
                return look(synack), conn and read_exactly(conn, 17)
        with bed.guard.counting() as moved:
            direct, guarded = bed.both(run)
        assert guarded == direct
        if direct:
            assert moved["synack_sent"] == 1 and bed.handed(moved) == 1, moved


def test_point_13_ipv6_chains_beyond_the_bound_have_a_defined_action(bed):
    """More headers than are walked: the frame passes, the kernel answers as ever."""
    with bed.listen("ipv6") as listener:
        def run(link):
            with Peer(link, "ipv6", listener.port) as peer:
                peer.l3 = dict(extensions=[(f.DEST_OPTIONS, f.padding_extension())] * 8)
                return look(peer.ask(0.3))
        with bed.guard.counting() as moved:
            direct, guarded = bed.both(run)
        assert guarded == direct
        assert moved["synack_sent"] == 0


TAGS = {
    "802.1Q": [(f.ETH_8021Q, 100)],
    "802.1Q_with_priority": [(f.ETH_8021Q, 0xE000 | 7)],
    "802.1ad": [(f.ETH_8021AD, 200)],
    "802.1ad_and_802.1Q": [(f.ETH_8021AD, 200), (f.ETH_8021Q, 100)],
}


@pytest.mark.parametrize("tags", TAGS)
def test_point_13_vlan_tags_are_kept_in_the_reply(bed, family, tags):
    with bed.listen(family) as listener, Peer(bed.guarded, family, listener.port) as peer:
        with bed.guard.counting() as moved:
            synack = peer.ask(tags=TAGS[tags])
            assert synack, "not answered"
        assert moved.tcp == {"synack_sent": 1}
        assert list(synack.tags) == TAGS[tags]
        assert synack.csum_right and synack.ip_csum_right
        # Its ACK is recognised; that no VLAN interface takes it here is the kernel's business.
        with bed.guard.counting() as moved:
            peer.send(f.ACK, tags=TAGS[tags])
            time.sleep(0.05)
        assert moved.tcp == {"ack_valid": 1}


def test_point_13_three_tags_pass_untouched(bed, family):
    with bed.listen(family) as listener, Peer(bed.guarded, family, listener.port) as peer:
        with bed.guard.counting() as moved:
            peer.syn(tags=[(f.ETH_8021AD, 1), (f.ETH_8021Q, 2), (f.ETH_8021Q, 3)])
            assert not peer.receive(0.1)
        assert moved["other_traffic"] >= 1 and not moved.tcp
