# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
#    raw peer, curl, cg0 ─────── sw0 (synward)  ┐
#    raw peer, cd0 ───────────── dir0           ┴ one listener
#
# Point 10 and port reuse: segments on tuples the kernel has a socket for.
import socket
import time

import pytest

import frame as f
from peer import Peer
from server import Echo, connect, linger_reset, read_exactly


def established(listener, peer):
    peer.connect()
    conn = listener.accept()
    assert conn
    peer.data(b"hello")
    assert read_exactly(conn, 5) == b"hello"
    peer.receive_all(0.08)
    return conn


def says(conn):
    """What reading from the server's socket gives."""
    conn.settimeout(0.05)
    try:
        return conn.recv(100)
    except TimeoutError:
        return "open"
    except ConnectionResetError:
        return "reset"


STRAY = {
    "syn_in_window": lambda p: p.send(f.SYN, seq=p.snd_nxt + 100, options=p.options),
    "syn_out_of_window": lambda p: p.send(f.SYN, seq=p.snd_nxt + 0x40000000, options=p.options),
    "syn_of_a_rebooted_client": lambda p: p.send(f.SYN, seq=p.isn ^ 0x55555555, options=p.options),
    "syn_with_the_same_isn": lambda p: p.send(f.SYN, seq=p.isn, options=p.options),
    "rst_exact": lambda p: p.send(f.RST),
    "rst_in_window": lambda p: p.send(f.RST, seq=p.snd_nxt + 100),
    "rst_out_of_window": lambda p: p.send(f.RST, seq=p.snd_nxt + 0x40000000),
    "synack": lambda p: p.send(f.SYN | f.ACK, seq=p.snd_nxt),
    "old_ack": lambda p: p.send(f.ACK, ack=p.rcv_nxt - 100000),
    "ack_of_the_future": lambda p: p.send(f.ACK, ack=p.rcv_nxt + 100000),
    "data_out_of_window": lambda p: p.send(f.ACK, seq=p.snd_nxt + 0x40000000, payload=b"x"),
}


@pytest.mark.parametrize("stray", STRAY)
def test_point_10_segment_on_an_established_tuple_is_answered_as_direct(bed, family, stray):
    with bed.listen(family) as listener:
        def run(link):
            with Peer(link, family, listener.port) as peer:
                conn = established(listener, peer)
                STRAY[stray](peer)
                told = [peer.tell(segment) for segment in peer.receive_all(0.12)]
                return told, says(conn)
        direct, guarded = bed.both(run)
        assert guarded == direct


def test_point_10_rebooted_client_gets_in_again(bed, family):
    """RFC 5961 4.2: challenge ACK, RST from the client, which then may begin anew on the same tuple."""
    with bed.listen(family) as listener:
        def run(link):
            with Peer(link, family, listener.port) as peer:
                conn = established(listener, peer)
                peer.snd_nxt_old = peer.snd_nxt
                isn = peer.isn ^ 0x55555555
                peer.send(f.SYN, seq=isn, options=peer.options)
                challenge = peer.receive()
                assert challenge and challenge.flags & (f.SYN | f.ACK) == f.ACK, "no challenge"
                peer.send(f.RST, seq=challenge.ack)
                time.sleep(0.05)
                assert says(conn) == "reset"
                peer.isn, peer.snd_nxt, peer.tstamp = isn, (isn + 1) & 0xFFFFFFFF, False
                assert peer.ask(), "no SYN-ACK after the reset"
                peer.data(b"again")
                again = listener.accept()
                return again and read_exactly(again, 5)
        assert bed.both(run) == (b"again", b"again")


def server_in_time_wait(listener, peer):
    conn = established(listener, peer)
    conn.close()
    fin = peer.receive(want=lambda s: s.flags & f.FIN)
    assert fin
    peer.rcv_nxt += 1
    peer.data(b"", f.ACK | f.FIN)
    peer.receive_all(0.08)


TIME_WAIT = {
    "syn_beyond": lambda p: p.send(f.SYN, seq=p.snd_nxt + 100000, options=f.mss(1400) + f.SACK_PERMITTED + f.tstamp(p.tsval + 5000) + f.NOP + f.wscale(7)),
    "syn_beyond_without_timestamps": lambda p: p.send(f.SYN, seq=p.snd_nxt + 100000, options=f.mss(1400)),
    "syn_within_old_timestamp": lambda p: p.send(f.SYN, seq=p.snd_nxt - 1000, options=f.mss(1400) + f.SACK_PERMITTED + f.tstamp(p.tsval - 5000) + f.NOP + f.wscale(7)),
    "syn_within_newer_timestamp": lambda p: p.send(f.SYN, seq=p.snd_nxt - 1000, options=f.mss(1400) + f.SACK_PERMITTED + f.tstamp(p.tsval + 5000) + f.NOP + f.wscale(7)),
    "old_data": lambda p: p.send(f.ACK, seq=p.isn + 1, payload=b"hello"),
    "fin_again": lambda p: p.send(f.ACK | f.FIN, seq=p.snd_nxt - 1),
    "rst": lambda p: p.send(f.RST),
}


@pytest.mark.parametrize("what", TIME_WAIT)
def test_point_10_segment_on_time_wait_is_answered_as_direct(bed, family, what):
    with bed.listen(family) as listener:
        def run(link):
            with Peer(link, family, listener.port) as peer:
                server_in_time_wait(listener, peer)
                time.sleep(0.15)
                TIME_WAIT[what](peer)
                return [(f.flag_names(s.flags), (s.ack - peer.isn) & 0xFFFFFFFF) for s in peer.receive_all(0.12)]
        direct, guarded = bed.both(run)
        assert guarded == direct


def test_point_10_time_wait_is_reused_for_a_new_connection(bed, family):
    with bed.listen(family) as listener:
        def run(link):
            with Peer(link, family, listener.port) as peer:
                server_in_time_wait(listener, peer)
                peer.isn = (peer.snd_nxt + 500000) & 0xFFFFFFFF
                peer.snd_nxt, peer.tsval, peer.tstamp = (peer.isn + 1) & 0xFFFFFFFF, peer.tsval + 3000, False
                options = f.mss(1400) + f.SACK_PERMITTED + f.tstamp(peer.tsval) + f.NOP + f.wscale(7)
                assert peer.ask(options=options), "no SYN-ACK on TIME-WAIT"
                peer.tsval += 1
                peer.data(b"second life")
                conn = listener.accept()
                return conn and read_exactly(conn, 11)
        assert bed.both(run) == (b"second life", b"second life")


def again_and_again(bed, family, link, echo, rounds, client_first):
    """The same source port for connection after connection, as a proxy in front does; seconds each took."""
    took = []
    port = 20000 + link.number
    for at in range(rounds):
        def prepare(sock):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((link.client_addr[family], port))
            linger_reset(sock)
        began = time.monotonic()
        sock = connect(bed.client, family, link.server_addr[family], echo.port, prepare=prepare)
        sock.sendall(b"ping")
        assert read_exactly(sock, 4) == b"ping"
        took.append(time.monotonic() - began)
        sock.close()
    return took


def test_port_reuse_by_a_client_that_resets_and_returns_at_once(bed, family):
    with Echo(bed.server, family) as echo:
        direct, guarded = bed.both(lambda link: again_and_again(bed, family, link, echo, 30, True))
    assert sum(t > 0.15 for t in guarded) <= sum(t > 0.15 for t in direct) + 1, guarded


def test_port_reuse_by_a_client_that_closed_first(bed, family):
    """The server's socket is gone (it closed last): the tuple is known to the filter, but to no socket."""
    with bed.listen(family) as listener:
        def run(link):
            answered = []
            with Peer(link, family, listener.port) as peer:
                for _ in range(5):
                    peer.tstamp = False
                    conn = established(listener, peer)
                    peer.data(b"", f.ACK | f.FIN)
                    assert conn.recv(10) == b""
                    conn.close()
                    assert peer.receive(want=lambda s: s.flags & f.FIN)
                    peer.rcv_nxt += 1
                    peer.send(f.ACK)
                    peer.receive_all(0.02)
                    peer.isn = (peer.snd_nxt + 70000) & 0xFFFFFFFF
                    peer.snd_nxt, peer.tsval = (peer.isn + 1) & 0xFFFFFFFF, peer.tsval + 100
                    peer.options = f.mss(1400) + f.SACK_PERMITTED + f.tstamp(peer.tsval) + f.NOP + f.wscale(7)
                    answered.append(True)
            return answered
        assert bed.both(run) == ([True] * 5, [True] * 5)


def test_port_reuse_when_the_server_closed_first_leaves_time_wait(bed, family):
    """A kernel client with tcp_tw_reuse off and the same port: SYN on the server's TIME-WAIT."""
    with bed.listen(family) as listener:
        def run(link):
            took = []
            for at in range(5):
                def prepare(sock):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    sock.bind((link.client_addr[family], 21000 + link.number))
                began = time.monotonic()
                sock = connect(bed.client, family, link.server_addr[family], listener.port, prepare=prepare)
                conn = listener.accept()
                conn.sendall(b"bye")
                conn.close()
                assert read_exactly(sock, 3) == b"bye"
                took.append(time.monotonic() - began)
                assert sock.recv(1) == b""
                sock.close()
                time.sleep(0.05)
            return took
        direct, guarded = bed.both(run)
        assert sum(t > 0.15 for t in guarded) <= sum(t > 0.15 for t in direct) + 1, (direct, guarded)


def test_a_known_tuple_is_found_known_by_the_filter_and_a_random_one_pays_no_lookup(bed, family):
    with bed.listen(family) as listener, Peer(bed.guarded, family, listener.port) as peer:
        established(listener, peer)
        time.sleep(0.15)
        with bed.guard.counting() as moved:
            peer.send(f.SYN, seq=peer.snd_nxt + 100, options=peer.options)
            assert peer.receive()
        assert moved.tcp == {"syn_known": 1} and moved["socket_lookup"] == 1
        with bed.guard.counting() as moved:
            with Peer(bed.guarded, family, listener.port) as stranger:
                for at in range(200):
                    stranger.sport = 10000 + at
                    stranger.syn()
                time.sleep(0.1)
        assert moved.tcp["synack_sent"] == 200
        assert moved["socket_lookup"] <= 10, moved
