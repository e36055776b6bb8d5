# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
#    client, cg0 ──── sw0 (synward --forward bs0) box bs0 ──── ss0, listener
#
# Established segments of routed flows leave the box's stack out: what still takes it is counted
# by nft where it forwards. Checksums are finished at both ends, as a wire has them.
import hashlib
import os
import threading

import pytest

from proxy_world import ProxyBed
from server import Echo, connect, linger_reset, read_exactly
from test_daemon import Daemon
from world import VETH_PEER, wait_until

COUNTER = """
table inet seen {
    chain forward {
        type filter hook forward priority 0
        tcp dport 1-9999 counter
        tcp sport 1-9999 counter
    }
}
"""


def ready(bed):
    """As wires have it: XDP's frames get in at ss0, and checksums are finished by who sends."""
    bed.server.run(VETH_PEER, "ss0", "on")
    bed.server.run("ethtool", "-K", "ss0", "tx", "off")
    bed.client.run("ethtool", "-K", "cg0", "tx", "off")
    bed.box.nft(COUNTER)
    return bed


@pytest.fixture(scope="module")
def bed():
    made = ready(ProxyBed("routed"))
    made.mode = "native"
    made.attach("--forward", "bs0")
    yield made
    made.remove()


@pytest.fixture
def plain_bed():
    made = ready(ProxyBed("routed"))
    yield made
    made.remove()


def seen(bed):
    """Packets that the box's stack has forwarded."""
    listing = bed.box.run("nft", "list", "table", "inet", "seen").stdout.split()
    return sum(int(listing[at + 1]) for at, word in enumerate(listing) if word == "packets")


def reach(bed, family, port):
    return connect(bed.client, family, bed.guarded.server_addr[family], port, timeout=10.0)


def known(bed, family):
    """An echo whose SYN-ACK was seen: the next SYN is not let through to learn from."""
    echo = Echo(bed.server, family)
    bed.teach(family, echo.port)
    return echo


def exchange(sock, count):
    """Sends random bytes and gets them back; a checksum of each must be the same."""
    data = os.urandom(count)
    sender = threading.Thread(target=sock.sendall, args=(data,))
    sender.start()
    got = read_exactly(sock, count)
    sender.join()
    assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()


def test_data_leaves_the_stack_out_both_ways(bed, family):
    with known(bed, family) as echo, bed.guard.counting() as moved:
        with reach(bed, family, echo.port) as sock:
            exchange(sock, 1000)
            before = seen(bed)
            exchange(sock, 4_000_000)
            by_stack = seen(bed) - before
    assert moved["flow_forwarded_in"] > 2000 and moved["flow_forwarded_out"] > 2000
    # The server's segments with SACK take the stack: some hundred where a busy machine lost a few.
    assert by_stack < (moved["flow_forwarded_in"] + moved["flow_forwarded_out"]) / 4, (by_stack, dict(moved))


def test_close_and_reset_are_followed(bed, family):
    with bed.listen(family) as listener:
        for end in ("close", "reset", "server closes", "server resets"):
            sock = reach(bed, family, listener.port)
            conn = listener.accept()
            conn.sendall(b"x" * 3000)
            assert read_exactly(sock, 3000) == b"x" * 3000
            first, second = (conn, sock) if "server" in end else (sock, conn)
            port = sock.getsockname()[1]
            if "reset" in end:
                linger_reset(first)
            first.close()
            second.settimeout(5)
            if "reset" in end:
                with pytest.raises(ConnectionResetError):
                    second.recv(1)
            else:
                assert second.recv(1) == b""
            second.close()
            state = "reset" if "reset" in end else "time_wait"
            assert wait_until(lambda: state in flow_of(bed, port)), end


def flow_of(bed, port):
    flows = bed.guard.cli("flows", "sw0", "-j").stdout.splitlines()
    return "\n".join(line for line in flows if str(port) in line)


def test_what_does_not_fit_takes_the_stack(bed, family):
    """The way to the client gets narrower: the stack says so to the server, which then sends less."""
    with known(bed, family) as echo, reach(bed, family, echo.port) as sock:
        exchange(sock, 100_000)
        client = "10.1.0.2" if family == "ipv4" else "fd00:1::2"
        narrow = (client, "dev", "sw0", "mtu", "lock", "1300")
        bed.box.ip("route", "add", *narrow)
        try:
            with bed.guard.counting() as moved:
                exchange(sock, 1_000_000)
        finally:
            bed.box.ip("route", "del", *narrow)
        assert "mtu 1300" in bed.server.ip("route", "get", client, "from", bed.guarded.server_addr[family]).stdout
        assert moved["flow_forwarded_out"] > 500


def test_without_its_program_and_after_attaching_again_the_stack_does_it(bed):
    with known(bed, "ipv4") as echo, reach(bed, "ipv4", echo.port) as sock:
        exchange(sock, 100_000)
        bed.attach()  # without --forward
        assert "forward" not in bed.guard.status()[0]
        with bed.guard.counting() as moved:
            exchange(sock, 100_000)
        assert not moved["flow_forwarded_in"] and not moved["flow_forwarded_out"]
        bed.attach("--forward", "bs0")
        assert bed.guard.status()[0]["forward"] == "bs0"
        with bed.guard.counting() as moved:
            exchange(sock, 100_000)
        assert moved["flow_forwarded_in"] and moved["flow_forwarded_out"]


def test_nat_takes_the_stack():
    bed = ready(ProxyBed("nft"))
    try:
        bed.mode = "native"
        bed.attach("--forward", "bs0")
        with known(bed, "ipv4") as echo, bed.guard.counting() as moved:
            with reach(bed, "ipv4", echo.port) as sock:
                exchange(sock, 300_000)
        assert moved["flow_segment"] and not moved["flow_forwarded_in"] and not moved["flow_forwarded_out"]
    finally:
        bed.remove()


def xdp_on(bed, name):
    return "xdp" in bed.box.ip("link", "show", "dev", name).stdout


def test_detach_takes_both_programs_off_and_errors_leave_nothing(plain_bed):
    bed = plain_bed
    for wrong, said in (("nosuch", "no interface 'nosuch'"), ("sw0", "not the guarded one")):
        refused = bed.guard.attach("native", "--forward", wrong, check=False)
        assert refused.returncode == 1 and said in refused.stderr and len(refused.stderr.splitlines()) == 1
        assert not bed.guard.attached
    bed.attach("--forward", "bs0")
    assert xdp_on(bed, "bs0")
    bed.guard.detach()
    assert not xdp_on(bed, "bs0") and not bed.guard.attached


def test_the_interface_goes_and_the_guard_stays(plain_bed):
    bed = plain_bed
    bed.attach("--forward", "bs0")
    bed.box.ip("link", "del", "bs0")
    assert "gone" in bed.guard.status()[0]["forward"]
    bed.guard.detach()
    assert not bed.guard.attached


def test_the_daemon_forwards_too_and_a_reload_leaves_it(plain_bed):
    bed = plain_bed
    bed.mode = "native"
    text = "[interface sw0]\nxdp = native\nto = 10.5.0.0/24,fd00:5::/64\nforward = bs0\nports = 1-{}\n"
    daemon = Daemon(bed.box, text.format(9999))
    try:
        daemon.start()
        for last in (9999, 9998, 9997):
            daemon.reload(text.format(last))
            with known(bed, "ipv4") as echo, bed.guard.counting() as moved, reach(bed, "ipv4", echo.port) as sock:
                exchange(sock, 1000)
                exchange(sock, 200_000)
            assert moved["flow_forwarded_in"] > 10 and moved["flow_forwarded_out"] > 10, moved
        refused = daemon.reload(text.format(9999).replace("forward = bs0\n", ""), check=False)
        assert refused.returncode == 1 and "forward: the guard is on with bs0" in refused.stderr
    finally:
        daemon.stop()
        bed.guard.detach()
        daemon.close()
