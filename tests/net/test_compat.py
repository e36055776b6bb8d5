# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
#    raw peers, kernel client  cg0 ─────────── sw0 (synward --path compat)  ┐
#                              cd0 ─────────── dir0, never guarded          ┴ one listener
#
# Host mode by the kernel's own cookies. With net.ipv4.tcp_syncookies=2 the kernel answers with the
# same ones over the direct link: what the SYN-ACK and the connection look like is compared with that.
import pytest

import frame as f
from conftest import Bed
from peer import Peer
from server import Echo, connect, read_exactly, tcp_info
from world import SYNWARD, VETH_PEER, wait_until

# The tests of the host path that hold here word for word.
from test_handshake import (test_point_01_every_stack_shakes_hands_and_keeps_what_it_offered,  # noqa: F401
                            test_point_03_data_in_the_syn_is_not_acknowledged_and_the_connection_completes,
                            test_point_08_final_ack_duplicated_makes_one_connection,
                            test_point_08_syn_retransmitted_makes_one_connection,
                            test_point_09_fin_on_the_first_segment_completes_and_closes,
                            test_point_09_final_ack_and_data_in_one_batch_loses_nothing,
                            test_point_09_final_ack_lost_data_completes_the_handshake,
                            test_point_14_one_reply_a_syn_and_never_again)
from test_known import (test_point_10_rebooted_client_gets_in_again,  # noqa: F401
                        test_point_10_segment_on_an_established_tuple_is_answered_as_direct,
                        test_point_10_segment_on_time_wait_is_answered_as_direct,
                        test_port_reuse_by_a_client_that_resets_and_returns_at_once)
from test_listener import (test_full_accept_queue_drops_syns_as_the_kernel_does_and_recovers,  # noqa: F401
                           test_reuseport_group_shares_the_connections)
from test_options import (test_point_05_a_kernel_client_loses_no_time_to_retransmissions,  # noqa: F401
                          test_point_05_only_what_was_offered_and_allowed, test_point_06_ecn_is_agreed_on_as_direct,
                          test_point_07_synack_equals_the_kernels_own, test_point_07_whatever_the_mss)

SYNCOOKIES = "net.ipv4.tcp_syncookies"


@pytest.fixture(scope="module", params=["native"])
def bed(request):
    made = Bed(request.param, path="compat")
    yield made
    made.remove()


@pytest.fixture
def compat_bed():
    """A bed of the test's own, nothing attached yet."""
    made = Bed(path="compat")
    yield made
    made.remove()


def attach(bed, *options, mode="native", check=True):
    return bed.guard.attach(mode, "--path", "compat", *options, check=check)


def connects(bed, link=None, family="ipv4"):
    link = link or bed.guarded
    with Echo(bed.server, family) as echo, connect(bed.client, family, link.server_addr[family], echo.port) as sock:
        sock.sendall(b"through")
        return read_exactly(sock, 7) == b"through"


def test_timestamps_never_run_ahead_of_what_the_socket_sends(bed, family):
    """The low bits of TSval hold options: each combination, sent at whatever millisecond it is."""
    with bed.listen(family) as listener:
        for attempt in range(48):
            options = f.mss(1400) + f.NOP + f.wscale(attempt % 15) + f.NOP + f.NOP + f.tstamp(1000 + attempt) + \
                (f.SACK_PERMITTED + f.NOP + f.NOP if attempt & 1 else b"")
            with Peer(bed.guarded, family, listener.port, options=options, tsval=1000 + attempt) as peer:
                synack = peer.ask()
                assert synack.tsval & 15 == attempt % 15
                peer.data(b"request")
                conn = listener.accept()
                assert conn and read_exactly(conn, 7) == b"request"
                segment = peer.receive(1.0)
                assert 0 <= (segment.tsval - synack.tsval) & 0xFFFFFFFF < 3000, "TSval stepped back, or leapt"
                info = tcp_info(conn)
                assert (info.snd_wscale, info.sack) == (attempt % 15, bool(attempt & 1))


def test_with_offsets_in_timestamps_connections_keep_the_mss_alone(compat_bed, family):
    """net.ipv4.tcp_timestamps=1, the default: a timestamp of ours would be taken for one with an offset."""
    bed = compat_bed
    bed.server.sysctl("net.ipv4.tcp_timestamps", 1)
    assert "tcp_timestamps=2" in attach(bed).stderr
    with bed.listen(family) as listener, Peer(bed.guarded, family, listener.port) as peer:
        synack = peer.ask()
        assert (synack.tsval, synack.wscale) == (None, None) and synack.mss
        peer.data(b"hello")
        conn = listener.accept()
        assert conn and read_exactly(conn, 5) == b"hello"
        info = tcp_info(conn)
        assert not (info.tstamp or info.wscale or info.sack or info.ecn)
    assert connects(bed, family=family)


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_no_syn_reaches_a_queue_and_the_kernel_takes_the_cookie(compat_bed, mode):
    bed = compat_bed
    attach(bed, mode=mode)
    received, failed = (bed.server.netstat(f"TcpExtSyncookies{name}") for name in ("Recv", "Failed"))
    with bed.guard.counting() as moved:
        for family in ("ipv4", "ipv6"):
            assert connects(bed, family=family)
    assert moved["synack_sent"] == moved["ack_valid"] == 2
    assert bed.server.netstat("TcpExtSyncookiesRecv") == received + 2
    assert bed.server.netstat("TcpExtSyncookiesFailed") == failed
    assert bed.server.netstat("TcpExtSyncookiesSent") == 0, "the kernel answered a SYN itself"


# net.ipv4.tcp_syncookies --------------------------------------------------------------


@pytest.mark.parametrize("before", ["0", "1", "2"])
def test_syncookies_is_set_and_put_back(compat_bed, before):
    bed = compat_bed
    bed.server.sysctl(SYNCOOKIES, before)
    attach(bed)
    assert bed.server.sysctl(SYNCOOKIES) == "2"
    attach(bed)  # again, on the guarded one: what was there before must not be forgotten
    assert bed.server.sysctl(SYNCOOKIES) == "2"
    bed.guard.detach()
    assert bed.server.sysctl(SYNCOOKIES) == before


def test_syncookies_is_put_back_by_the_last_guard_of_a_namespace(compat_bed):
    bed = compat_bed
    second = bed.second_guard()
    for last, first in ((bed.guard, second), (second, bed.guard)):
        bed.server.sysctl(SYNCOOKIES, 1)
        bed.guard.attach("native", "--path", "compat")
        second.attach("native", "--path", "compat")
        first.detach()
        assert bed.server.sysctl(SYNCOOKIES) == "2"
        last.detach()
        assert bed.server.sysctl(SYNCOOKIES) == "1"


def test_syncookies_is_put_back_after_an_interface_that_is_gone(compat_bed):
    bed = compat_bed
    attach(bed)
    bed.server.ip("link", "del", "sw0")
    bed.server.run(SYNWARD, "detach", "--all")  # sweeps
    assert bed.server.sysctl(SYNCOOKIES) == "1"


def test_syncookies_is_not_touched_where_that_was_asked_for(compat_bed):
    bed = compat_bed
    done = attach(bed, "--syncookies", "refuse", check=False)
    assert done.returncode == 1 and "net.ipv4.tcp_syncookies=2" in done.stderr and done.stderr.count("\n") <= 1
    assert bed.server.sysctl(SYNCOOKIES) == "1" and not bed.guard.attached
    bed.server.sysctl(SYNCOOKIES, 2)
    attach(bed, "--syncookies", "refuse")
    assert connects(bed)
    bed.guard.detach()
    assert bed.server.sysctl(SYNCOOKIES) == "2"


def test_syncookies_is_put_back_if_attaching_fails(compat_bed):
    bed = compat_bed
    bed.server.run(VETH_PEER, "sw0", "on")  # another program holds the hook
    done = attach(bed, "--attach", "link", check=False)
    assert done.returncode == 1
    assert bed.server.sysctl(SYNCOOKIES) == "1" and not bed.guard.attached


def test_syncookies_that_cannot_be_set_is_refused_in_a_line(compat_bed):
    """As under systemd's ProtectKernelTunables=."""
    bed = compat_bed
    inside = f"mount -o bind,ro /proc/sys /proc/sys && exec {SYNWARD} attach sw0 --path compat --xdp native"
    with bed.listen("ipv4"):
        done = bed.server.run("unshare", "-m", "sh", "-c", inside, check=False)
    assert done.returncode == 1 and "tcp_syncookies=2" in done.stderr and done.stderr.count("\n") == 1
    assert not bed.guard.attached
    bed.server.sysctl(SYNCOOKIES, 2)
    assert bed.server.run("unshare", "-m", "sh", "-c", inside).returncode == 0
    assert connects(bed)


def test_syncookies_taken_away_is_told_and_breaks_nothing(compat_bed):
    bed = compat_bed
    attach(bed)
    bed.server.sysctl(SYNCOOKIES, 1)
    assert wait_until(lambda: connects(bed))
    done = bed.guard.cli("status", "sw0", check=False)
    assert done.returncode == 1 and "tcp_syncookies" in done.stdout
    bed.guard.detach()
    assert bed.server.sysctl(SYNCOOKIES) == "1", "somebody's own choice stays"


# Which path ---------------------------------------------------------------------------


def test_path_is_told_and_stays(compat_bed):
    bed = compat_bed
    assert "compat path" in attach(bed).stdout
    assert bed.guard.status()[0]["path"] == "compat"
    assert "compat path" in bed.guard.attach("native").stdout, "attached again without --path it stays"
    done = bed.guard.attach("native", "--path", "host", check=False)
    assert done.returncode == 1 and "detach first" in done.stderr
    assert connects(bed)
    bed.guard.detach()
    assert "host path" in bed.guard.attach("native").stdout, "auto takes the best"
    assert bed.server.sysctl(SYNCOOKIES) == "1"


def test_a_reload_loses_no_cookie(compat_bed, family):
    bed = compat_bed
    attach(bed)
    with bed.listen(family) as listener, Peer(bed.guarded, family, listener.port) as peer:
        assert peer.ask()
        attach(bed)
        peer.data(b"after")
        conn = listener.accept()
        assert conn and read_exactly(conn, 5) == b"after"
