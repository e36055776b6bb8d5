# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
#    raw peer, cg0 ──────────── sw0 (synward)  ┐
#    raw peer, cd0 ──────────── dir0           ┴ one listener
#
# Points 4 to 7: what the SYN offers, what the SYN-ACK says, what the socket then has.
import random
import struct
import time

import pytest

import frame as f
from peer import ECN_STACKS, STACKS, TSVAL, Peer, look, synack_look
from server import Echo, connect, read_exactly, tcp_info

# Point 4 ------------------------------------------------------------------------------

LAYOUTS = {
    "none": b"",
    "mss_absent": f.SACK_PERMITTED + f.tstamp(TSVAL) + f.NOP + f.wscale(7),
    "mss_0": f.mss(0),
    "mss_1": f.mss(1),
    "mss_535": f.mss(535),
    "mss_536": f.mss(536),
    "mss_1219": f.mss(1219),
    "mss_1220": f.mss(1220),
    "mss_65535": f.mss(65535) + f.NOP + f.wscale(2),
    "mss_length_3": bytes([2, 3, 5, 1]),
    "mss_length_5": bytes([2, 5, 5, 180, 9, 1, 1, 1]),
    "mss_cut_off": bytes([1, 1, 1, 2]),
    "mss_value_cut_off": bytes([1, 1, 2, 4]),
    "length_0": f.mss(1400) + bytes([8, 0, 1, 1]) + f.SACK_PERMITTED + f.NOP + f.NOP,
    "length_1": f.mss(1400) + bytes([3, 1, 7, 1]) + f.SACK_PERMITTED + f.NOP + f.NOP,
    "length_beyond_the_header": f.mss(1400) + f.SACK_PERMITTED + bytes([3, 40]),
    "kind_without_length": f.mss(1400) + f.NOP * 3 + b"\4",
    "mss_twice": f.mss(1400) + f.mss(700),
    "wscale_twice": f.mss(1400) + f.NOP + f.wscale(3) + f.NOP + f.wscale(9),
    "timestamps_twice": f.tstamp(TSVAL + 77) + f.tstamp(TSVAL),
    "sack_twice": f.SACK_PERMITTED + f.SACK_PERMITTED,
    "unknown": bytes([200, 6, 1, 2, 3, 4]) + f.mss(1400) + bytes([99, 2]),
    "unknown_that_spells_an_option": bytes([200, 10]) + f.mss(500) + f.mss(600),
    "after_the_end": f.SACK_PERMITTED + f.EOL + f.EOL + f.mss(700),
    "end_first": f.EOL + f.wscale(3) + f.mss(700),
    "forty_nops": f.NOP * 40,
    "nops_to_each_side": f.NOP * 3 + f.mss(1400) + f.NOP * 5 + f.wscale(5) + f.NOP * 2 + f.SACK_PERMITTED + f.NOP,
    "wscale_14": f.mss(1400) + f.NOP + f.wscale(14),
    "wscale_15": f.mss(1400) + f.NOP + f.wscale(15),
    "wscale_255": f.mss(1400) + f.NOP + f.wscale(255),
    "wscale_0": f.mss(1400) + f.NOP + f.wscale(0),
    "wscale_length_2": f.mss(1400) + bytes([3, 2, 1, 1]),
    "wscale_length_4": f.mss(1400) + bytes([3, 4, 7, 7]),
    "timestamps_length_8": f.mss(1400) + bytes([8, 8, 1, 2, 3, 4, 5, 6]),
    "timestamps_length_12": bytes([8, 12]) + b"\x11" * 10,
    "timestamps_cut_off": f.NOP * 10 + bytes([8, 10]) + b"\x22" * 4,
    "timestamps_unaligned": f.NOP + f.tstamp(TSVAL) + f.NOP,
    "sack_length_3": f.mss(1400) + bytes([4, 3, 1, 1]),
    "sack_blocks_in_a_syn": f.mss(1400) + bytes([5, 10]) + b"\x33" * 8 + f.NOP * 2,
    "linux_without_sack": f.mss(1400) + f.NOP + f.NOP + f.tstamp(TSVAL) + f.NOP + f.wscale(7),
    "full_header": f.mss(1400) + f.SACK_PERMITTED + f.tstamp(TSVAL) + f.wscale(7) + bytes([254, 18]) + b"\x44" * 16 + f.NOP * 3,
}


def fate(listener, link, family, **how):
    """What the SYN-ACK looks like, and what the socket got."""
    with Peer(link, family, listener.port, **how) as peer:
        synack = peer.ask()
        if not synack:
            return None, None
        peer.data(b"x")
        conn = listener.accept()
        assert conn, "SYN-ACK but no connection"
        assert read_exactly(conn, 1) == b"x"
        info = tcp_info(conn)
        conn.close()
        return look(synack), info


@pytest.mark.parametrize("layout", LAYOUTS)
def test_point_04_odd_options_are_read_as_the_kernel_reads_them(bed, family, layout):
    with bed.listen(family) as listener:
        (synack, info), (guarded, got) = bed.both(lambda link: fate(listener, link, family, options=LAYOUTS[layout]))
        assert guarded == synack
        assert (got.tstamp, got.sack, got.wscale, got.snd_wscale, got.rcv_wscale) == \
            (info.tstamp, info.sack, info.wscale, info.snd_wscale, info.rcv_wscale)
        assert got.snd_mss <= info.snd_mss, "sends more than the client offered"


@pytest.mark.parametrize("words", range(5, 16))
def test_point_04_data_offset_as_direct(bed, family, words):
    """The options are cut where the data offset says, data follows."""
    everything = (f.mss(1400) + f.SACK_PERMITTED + f.tstamp(TSVAL) + f.NOP + f.wscale(7)).ljust(40, f.NOP)
    room = (words - 5) * 4
    with bed.listen(family) as listener:
        def run(link):
            with Peer(link, family, listener.port) as peer:
                return look(peer.ask(options=everything[:room], payload=everything[room:], data_offset=words))
        direct, guarded = bed.both(run)
        assert guarded == direct and guarded


@pytest.mark.parametrize("words", [0, 1, 4, 11, 15])
def test_point_04_data_offset_that_cannot_be_is_dropped(bed, family, words):
    """Below 5 words, or beyond the packet's end."""
    with bed.listen(family) as listener:
        def run(link):
            with Peer(link, family, listener.port) as peer:
                peer.syn(data_offset=words)
                return peer.receive(0.2)
        with bed.guard.counting() as moved:
            assert bed.both(run) == (None, None)
        assert moved.tcp == {"header_invalid": 1}


def test_point_04_random_options_as_direct(bed, family):
    chance = random.Random(f"{family}")
    pieces = [f.EOL, f.NOP, f.NOP, f.NOP, f.SACK_PERMITTED, f.wscale(5), f.tstamp(TSVAL), f.mss(1400)]
    with bed.listen(family) as listener:
        for attempt in range(200):
            options = b""
            while len(options) < chance.randrange(4, 44):
                options += chance.choice(pieces) if chance.random() < 0.7 else \
                    bytes(chance.choice([chance.randrange(12), chance.randrange(256)]) for _ in range(chance.randrange(1, 5)))
            options = options[:40][:len(options[:40]) // 4 * 4]
            asked = next((value for kind, value in f.parse_options(options) if kind == 2 and value and len(value) == 2), None)
            if asked and 0 < struct.unpack("!H", asked)[0] < 1220:
                continue  # left to the kernel, within its budget
            direct, guarded = bed.both(lambda link: synack_look(link, family, listener.port, options=options, timeout=0.3))
            if direct is None:
                # With room for a TCP-MD5 option behind a broken one, this kernel drops the SYN
                # (tcp_parse_auth_options()); answering it is no harm if nothing is invented.
                offered = {kind for kind, _ in f.parse_options(options)}
                assert guarded is None or {kind for kind, _ in guarded["options"] if kind > 2} <= offered
                continue
            assert guarded == direct, f"attempt {attempt}: options {options.hex()}"


def test_point_04_a_length_beyond_the_frame_is_not_answered(bed, family):
    """The IP header says more than the frame holds."""
    with bed.listen(family) as listener:
        def run(link):
            answers = []
            with Peer(link, family, listener.port) as peer:
                whole = peer.syn_frame(payload=bytes(200), csum="partial")
                for cut in (1, 100, 200, 215, 230):
                    peer.wire.send(whole[:-cut])
                    answers.append(peer.receive(0.1))
            return answers
        assert bed.both(run) == ([None] * 5, [None] * 5)


# Point 5 ------------------------------------------------------------------------------

def test_point_05_only_what_was_offered_and_allowed(bed, family):
    parts = {"mss": f.mss(1400), "sack": f.NOP + f.NOP + f.SACK_PERMITTED, "ts": f.NOP + f.NOP + f.tstamp(TSVAL), "ws": f.NOP + f.wscale(7)}
    kinds = {"mss": 2, "sack": 4, "ts": 8, "ws": 3}
    with bed.listen(family) as listener:
        for bits in range(16):
            offered = [name for at, name in enumerate(parts) if bits >> at & 1]
            options = b"".join(parts[name] for name in offered)
            direct, guarded = bed.both(lambda link: synack_look(link, family, listener.port, options=options))
            assert guarded == direct, offered
            agreed = {kind for kind, _ in guarded["options"] if kind > 1}
            assert agreed <= {kinds[name] for name in offered} | {2}


@pytest.mark.parametrize("offer, used", [(0, 0), (1, 1), (14, 14), (15, 14), (200, 14)])
@pytest.mark.parametrize("with_timestamps", [True, False])
def test_point_05_window_scale_over_14_is_14(bed, family, offer, used, with_timestamps):
    options = f.mss(1400) + f.NOP + f.wscale(offer) + (f.NOP + f.NOP + f.tstamp(TSVAL) if with_timestamps else b"")
    with bed.listen(family) as listener:
        for (_, info) in bed.both(lambda link: fate(listener, link, family, options=options)):
            assert (info.wscale, info.snd_wscale) == (True, used)


@pytest.mark.parametrize("timestamps", [1, 2])
def test_point_05_timestamps_echo_and_never_step_back(bed, family, timestamps):
    with bed.server.having(tcp_timestamps=timestamps), bed.listen(family) as listener:
        time.sleep(0.4)
        for attempt in range(40):
            # Other option bits each time: they stand in the low bits of the SYN-ACK's TSval.
            options = f.mss(random.choice([1460, 1200, 1400, 9000])) + f.NOP + f.wscale(attempt % 15) + f.NOP + f.NOP + \
                f.tstamp(TSVAL + attempt) + (f.SACK_PERMITTED + f.NOP + f.NOP if attempt & 1 else b"")
            with Peer(bed.guarded, family, listener.port, options=options, tsval=TSVAL + attempt) as peer:
                synack = peer.ask()
                assert synack.tsecr == TSVAL + attempt
                began = time.monotonic()
                peer.tsval += 1
                peer.data(b"request")
                conn = listener.accept()
                assert conn and read_exactly(conn, 7) == b"request"
                conn.sendall(b"answer")
                last, answered = synack.tsval, None
                while not answered:
                    segment = peer.receive(1.0)
                    assert segment, "no answer"
                    ahead = (segment.tsval - last) & 0xFFFFFFFF
                    assert ahead < 1 << 31, f"TSval stepped back by {(1 << 32) - ahead}: PAWS would drop it"
                    assert segment.tsecr == peer.tsval
                    last = segment.tsval
                    answered = segment.payload
                took = time.monotonic() - began
                assert (last - synack.tsval) & 0xFFFFFFFF <= took * 1000 + 300, "TSval leapt"
                conn.close()


def test_point_05_a_kernel_client_loses_no_time_to_retransmissions(bed, family):
    """One connection in five lost 200 ms when the SYN-ACK's TSval ran ahead."""
    signs = ("TcpRetransSegs", "TcpExtTCPDSACKOldSent", "TcpExtPAWSEstab", "TcpExtTCPTimeouts")
    with Echo(bed.server, family) as echo:
        def run(link):
            slow, before = 0, sum(bed.client.netstat(name) for name in signs)
            for _ in range(60):
                began = time.monotonic()
                with connect(bed.client, family, link.server_addr[family], echo.port) as sock:
                    sock.sendall(b"hello")
                    assert read_exactly(sock, 5) == b"hello"
                    slow += time.monotonic() - began > 0.15
            return slow, sum(bed.client.netstat(name) for name in signs) - before
        direct, guarded = bed.both(run)
    print("slow connections and signs of retransmission at the client: direct", direct, "guarded", guarded)
    assert guarded[0] <= direct[0] + 2 and guarded[1] <= direct[1] + 2


# Point 6 ------------------------------------------------------------------------------

ECN_OFFERS = {
    "none": dict(flags=f.SYN),
    "ece_alone": dict(flags=f.SYN | f.ECE),
    "cwr_alone": dict(flags=f.SYN | f.CWR),
    "both": dict(flags=f.SYN | f.ECE | f.CWR),
    "accecn": dict(flags=f.SYN | f.ECE | f.CWR, ns=1),
    "accecn_bit_alone": dict(flags=f.SYN, ns=1),
    "both_in_a_marked_packet": dict(flags=f.SYN | f.ECE | f.CWR, ip=dict(tos=2)),
    "both_in_a_packet_marked_ce": dict(flags=f.SYN | f.ECE | f.CWR, ip=dict(tos=3)),
}


@pytest.mark.parametrize("sysctl", [0, 1, 2])
def test_point_06_ecn_is_agreed_on_as_direct(bed, family, sysctl):
    with bed.server.having(tcp_ecn=sysctl), bed.listen(family) as listener:
        for name, how in ECN_OFFERS.items():
            for stack in ("linux", "macos", "freebsd"):
                def run(link):
                    with Peer(link, family, listener.port, stack) as peer:
                        synack = peer.ask(**how)
                        peer.data(b"x")
                        conn = listener.accept()
                        assert read_exactly(conn, 1) == b"x"
                        return look(synack), tcp_info(conn).ecn
                direct, guarded = bed.both(run)
                assert guarded == direct, (name, stack)


@pytest.mark.parametrize("sysctl", [0, 1, 2])
def test_point_06_without_timestamps_ecn_is_never_claimed_wrongly(bed, family, sysctl):
    """The cookie of such clients has no room for it: it may be refused, not invented or half agreed on."""
    with bed.server.having(tcp_ecn=sysctl), bed.listen(family) as listener:
        for name, how in ECN_OFFERS.items():
            def run(link):
                with Peer(link, family, listener.port, "windows") as peer:
                    synack = peer.ask(**how)
                    peer.data(b"x")
                    conn = listener.accept()
                    return bool(synack.flags & f.ECE), tcp_info(conn).ecn
            direct, guarded = bed.both(run)
            assert guarded[0] == guarded[1]
            assert guarded[0] <= direct[0], name


def test_point_06_an_ecn_connection_marks_its_data_and_answers_marks(bed, family):
    with bed.server.having(tcp_ecn=1), bed.listen(family) as listener:
        def run(link):
            with Peer(link, family, listener.port, "ios") as peer:
                peer.connect()
                conn = listener.accept()
                conn.sendall(b"marked")
                marks = {segment.tos & 3 for segment in peer.receive_all() if segment.payload}
                peer.rcv_nxt += 6
                peer.data(b"congested", ip=dict(tos=3))
                echoes = any(segment.flags & f.ECE for segment in peer.receive_all())
                return marks, echoes
        direct, guarded = bed.both(run)
        assert guarded == direct == ({2}, True)


# Point 7 ------------------------------------------------------------------------------

@pytest.mark.parametrize("ecn", [False, True], ids=["no-ecn", "ecn"])
@pytest.mark.parametrize("stack", STACKS)
def test_point_07_synack_equals_the_kernels_own(bed, family, stack, ecn):
    if ecn and stack not in ("linux", "macos", "ios", "freebsd"):
        pytest.skip("ECN needs timestamps: the cookie has no room otherwise")
    with bed.listen(family) as listener:
        direct, guarded = bed.both(lambda link: synack_look(link, family, listener.port, stack, ecn=ecn))
        assert guarded == direct and guarded


@pytest.mark.parametrize("mss", [536, 600, 1220, 1300, 1400, 1440, 1460, 8960, 65535])
def test_point_07_whatever_the_mss(bed, family, mss):
    with bed.listen(family) as listener:
        for stack in ("linux", "windows", "embedded"):
            direct, guarded = bed.both(lambda link: synack_look(link, family, listener.port, stack, mss=mss))
            assert guarded == direct and guarded, stack


def test_point_07_on_a_listener_for_both_families(bed, family):
    with bed.listen("ipv6", dual=True) as listener:
        direct, guarded = bed.both(lambda link: synack_look(link, family, listener.port))
        assert guarded == direct and guarded


@pytest.mark.parametrize("tos", [0, 0x10, 0xB8])
def test_point_07_traffic_class_of_the_syn_is_treated_as_direct(bed, family, tos):
    with bed.listen(family) as listener:
        for reflect in (0, 1):
            with bed.server.having(tcp_reflect_tos=reflect):
                time.sleep(0.4)

                def run(link):
                    with Peer(link, family, listener.port) as peer:
                        return look(peer.ask(ip=dict(tos=tos)))
                direct, guarded = bed.both(run)
                assert guarded == direct and guarded


def test_point_07_frame_is_well_formed(bed, family):
    with bed.listen(family) as listener:
        for stack in STACKS:
            with Peer(bed.guarded, family, listener.port, stack, ecn=stack in ECN_STACKS) as peer:
                synack = peer.ask()
                assert synack.csum_right and synack.ip_csum_right
                assert synack.frame[:6] == f.mac(bed.guarded.client_mac)
                assert synack.frame[6:12] == f.mac(bed.guarded.server_mac)
                assert synack.payload == b""
