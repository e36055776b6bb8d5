# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
#    raw peers, client, cg0 ──────────── sw0 (synward)  ┐ box ┬ listeners
#                       cd0 ──────────── dir0           ┘     └ bs0 ──── ss0 server
#
# The proxy path where it hands connections over: to listeners of its own machine, of services that
# allow it. Beside it goes on to translate for all others.
import contextlib
import json
import socket
import struct
import time

import pytest

import frame as f
from conftest import Bed
from guard import Guard
from peer import Peer
from proxy_world import ProxyBed
from server import Echo, connect, read_exactly
from test_path_change import MASQUERADE, TRACKED
from world import SYNWARD, wait_until

# The tests of the host path hold here word for word; these are what differs in how it is reached.
from test_handshake import (test_point_01_every_stack_shakes_hands_and_keeps_what_it_offered,  # noqa: F401
                            test_point_08_final_ack_duplicated_makes_one_connection,
                            test_point_09_final_ack_and_data_in_one_batch_loses_nothing,
                            test_point_09_final_ack_lost_data_completes_the_handshake,
                            test_point_11_a_guessed_or_altered_ack_is_refused,
                            test_point_14_no_reply_to_a_frame_for_another_station)
from test_known import (test_point_10_rebooted_client_gets_in_again,  # noqa: F401
                        test_point_10_segment_on_time_wait_is_answered_as_direct)
from test_listener import test_full_accept_queue_drops_syns_as_the_kernel_does_and_recovers  # noqa: F401
from test_options import test_point_07_synack_equals_the_kernels_own  # noqa: F401

OURS = {"ipv4": "10.1.0.1", "ipv6": "fd00:1::1"}
BEHIND = {"ipv4": "10.5.0.1", "ipv6": "fd00:5::1"}
FLOWS = ("--flows", "1k")  # asks for the proxy path, and nothing else


@pytest.fixture(scope="module")
def bed():
    made = Bed("native", path="hosted")
    yield made
    made.remove()


@pytest.fixture
def box():
    """Nothing attached yet."""
    made = ProxyBed("routed")
    made.guard, made.xdp = Guard(made.box, "sw0"), "native"
    made.guarded.server_addr = dict(OURS)
    made.box.nft(TRACKED)  # from the start: of what it did not see begin, NAT would make another connection
    try:
        yield made
    finally:
        made.remove()


def echoes(sock, text=b"hello"):
    sock.sendall(text)
    return read_exactly(sock, len(text)) == text


def ways(box, family, port, address=None, count=3):
    """How so many connections came to be, all of which worked."""
    with box.guard.counting() as moved:
        for _ in range(count):
            with connect(box.client, family, (address or OURS)[family], port) as sock:
                assert echoes(sock)
    return {name: moved[name] for name in ("handoff_done", "flow_opened") if moved[name]}


HANDED, TRANSLATED = {"handoff_done": 3}, {"flow_opened": 3}


def configured(box, tmp_path, text):
    file = tmp_path / "synward.conf"
    file.write_text(f"[interface sw0]\nxdp = {box.xdp}\nflows = 1k\n{text}")
    box.guard.cli("attach", "sw0", "--config", str(file))


@pytest.mark.parametrize("xdp", ["native", "generic"])
def test_each_service_goes_its_way(box, family, tmp_path, xdp):
    """Two listeners here, one of which wants no hand-over, and a server behind, which can have none."""
    box.xdp = xdp
    services = ("to = 10.5.0.0/24,10.1.0.1,fd00:5::/64,fd00:1::1\n[service own]\naddress = 10.1.0.1,fd00:1::1\nports = 12000\n"
                "path = host\n[service rest]\n")
    with Echo(box.box, family, port=12000) as own, Echo(box.box, family, port=13000) as other, Echo(box.server, family, port=8000) as behind:
        configured(box, tmp_path, services)
        status, = box.guard.status()
        assert status["path"] == "proxy"
        assert {s["name"]: (s["path"], s["translated"]) for s in status["services"]} == {
            "own": ("host", False), "own#2": ("host", False), "rest": ("proxy", True)}
        assert ways(box, family, own.port) == HANDED
        for port, address in ((other.port, OURS), (behind.port, BEHIND)):
            assert wait_until(lambda: ways(box, family, port, address) == TRANSLATED, 20, 0.3), (port, "its server is known by then")
        configured(box, tmp_path, services.replace("path = host", "path = proxy"))
        assert wait_until(lambda: ways(box, family, own.port) == TRANSLATED, 20, 0.3)


def test_a_listener_that_comes_and_goes(box, family):
    box.guard.attach(box.xdp, *FLOWS)
    for _ in range(2):
        began = time.monotonic()
        with pytest.raises(OSError):
            connect(box.client, family, OURS[family], 12000).close()
        assert time.monotonic() - began < 2, "refused at once"
        with Echo(box.box, family, port=12000):
            assert wait_until(lambda: ways(box, family, 12000) == HANDED, 5, 0.3)
        time.sleep(0.3)  # what is known of a listener is a quarter of a second old at most


@contextlib.contextmanager
def lasting(box, family, port):
    with connect(box.client, family, OURS[family], port) as sock:
        assert echoes(sock)
        yield sock
        assert echoes(sock)


def test_what_is_under_way_goes_on_when_a_service_changes_its_way(box, family):
    """Both ways; and a tuple whose last connection was translated is handed its next one."""
    with Echo(box.box, family, port=12000) as echo:
        box.guard.attach(box.xdp, "--path", "proxy", *FLOWS)
        assert wait_until(lambda: ways(box, family, echo.port) == TRANSLATED, 20, 0.3)
        with lasting(box, family, echo.port) as translated:
            last = connect(box.client, family, OURS[family], echo.port)
            port = last.getsockname()[1]
            assert echoes(last)
            box.guard.attach(box.xdp, *FLOWS)
            assert echoes(translated) and echoes(last)
            last.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            last.close()
            assert ways(box, family, echo.port) == HANDED
            with connect(box.client, family, OURS[family], echo.port, prepare=lambda s: s.bind(("", port))) as again:
                assert echoes(again) and echoes(translated)
            with lasting(box, family, echo.port) as handed:
                box.guard.attach(box.xdp, "--path", "proxy", *FLOWS)
                with box.guard.counting() as moved:
                    assert echoes(handed) and echoes(translated)
                assert moved["direct_segment"] and moved["flow_segment"]
                assert wait_until(lambda: ways(box, family, echo.port) == TRANSLATED, 20, 0.3)


def test_where_nat_looks_all_is_translated(box, family):
    """The kernel's NAT would take the hand-over away."""
    nat = MASQUERADE.replace("table ip ", "table ip6 ") if family == "ipv6" else MASQUERADE
    box.guard.attach(box.xdp, *FLOWS)
    with Echo(box.box, family, port=12000) as echo:
        assert ways(box, family, echo.port) == HANDED
        with lasting(box, family, echo.port):
            box.box.nft(nat)
            time.sleep(0.5)
            assert wait_until(lambda: ways(box, family, echo.port) == TRANSLATED, 20, 0.3)
            box.box.nft(nat.split("{")[0].replace("table", "delete table"))
            time.sleep(0.5)
            assert ways(box, family, echo.port) == HANDED


def test_its_program_at_tc_ingress_is_missed_and_put_back(box, family="ipv4"):
    box.guard.attach(box.xdp, *FLOWS)
    with Echo(box.box, family, port=12000) as echo:
        assert ways(box, family, echo.port) == HANDED
        box.box.run("bpftool", "link", "detach", "pinned", f"{box.guard.pins}/tc_hand")
        done = box.guard.cli("status", "sw0", "-j", check=False)
        assert done.returncode == 1 and json.loads(done.stdout)[0]["state"] == "tc program is gone"
        box.guard.attach(box.xdp, *FLOWS)
        assert ways(box, family, echo.port) == HANDED
        box.guard.attach(box.xdp, "--path", "proxy", *FLOWS)
        assert wait_until(lambda: ways(box, family, echo.port) == TRANSLATED, 20, 0.3) and box.guard.status()[0]["state"] == "on"
    box.guard.detach()
    assert "synward" not in box.box.run("bpftool", "net", "show", "dev", "sw0").stdout


def test_a_guard_about_to_go_takes_no_new_ones(box, family="ipv4"):
    """The kernel answers them; the SYN-ACKs that are out stay good. What is translated keeps it waiting."""
    box.guard.attach(box.xdp, "--path", "proxy", *FLOWS)
    with Echo(box.box, family, port=12000) as echo:
        assert wait_until(lambda: ways(box, family, echo.port) == TRANSLATED, 20, 0.3)
        with lasting(box, family, echo.port) as translated:
            box.guard.attach(box.xdp, *FLOWS)
            with Peer(box.guarded, family, echo.port) as early:
                assert early.ask()
                child = box.box.spawn(SYNWARD, "detach", "sw0", "--drain", "60")
                time.sleep(0.7)  # listeners are looked at anew four times a second
                with box.guard.counting() as moved, lasting(box, family, echo.port) as new:
                    assert echoes(translated)
                    early.send(f.ACK)
                    early.send(f.ACK | f.PSH, payload=b"hello")
                    assert early.receive(3, lambda s: s.payload == b"hello")
                assert moved["synack_sent"] == 0 and moved["handoff_done"] == 1, moved
                assert child.poll() is None and echoes(translated)
        assert child.wait(30) == 0 and not box.guard.attached
        with lasting(box, family, echo.port):
            pass
