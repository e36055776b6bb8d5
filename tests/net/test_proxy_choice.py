# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
#    client, cg0 ──────────── sw0 (synward)  ┐ box ┬ listener, or bs0 ──────── ss0, listener
#    client, cd0 ──────────── dir0           ┘         (proxy_world.py)
#
# Which path is taken when none is named, and connections that the proxy path has no flow of.
import contextlib
import subprocess

import pytest

from guard import Guard
from proxy_world import ProxyBed
from server import Echo, connect, read_exactly
from world import FLOOD, wait_until


@contextlib.contextmanager
def standing(topology):
    bed = ProxyBed(topology)
    bed.guard = Guard(bed.box, "sw0")
    try:
        yield bed
    finally:
        bed.remove()


def echoes(bed, family, port, text=b"hello"):
    with connect(bed.client, family, bed.guarded.server_addr[family], port) as sock:
        sock.sendall(text)
        return read_exactly(sock, len(text)) == text


@pytest.mark.parametrize("topology", ["nft", "iptables"])
def test_auto_takes_the_proxy_path_where_a_port_is_sent_to_a_container(topology):
    """And says so; what listens in the box itself is served as well."""
    with standing(topology) as bed:
        said = bed.guard.attach("native", "--ports", "7000-12000").stderr
        assert "proxy path, not host: port 1 is redirected" in said
        assert bed.guard.status()[0]["path"] == "proxy"
        for family in ("ipv4", "ipv6"):
            with Echo(bed.server, family, port=8000) as inside, Echo(bed.box, family, port=11000) as local:
                with bed.guard.counting() as moved:
                    assert all(echoes(bed, family, echo.port) for echo in (inside, local) for _ in range(3))
                assert moved["flow_opened"] >= 4
        # Attached again without a word about it, it stays.
        bed.guard.attach("native", "--ports", "7000-12000")
        assert bed.guard.status()[0]["path"] == "proxy"


@pytest.mark.parametrize("options", [("--ports", "20000-30000"), ("--path", "host")])
def test_auto_takes_the_host_path_where_no_guarded_port_is_redirected(options):
    with standing("nft") as bed:
        bed.guard.attach("native", *options)
        assert bed.guard.status()[0]["path"] == "host"


def test_auto_takes_the_proxy_path_for_servers_behind_the_box(family):
    with standing("routed") as bed:
        bed.guard.attach("native", "--to", "10.5.0.0/24,fd00:5::/64")
        assert bed.guard.status()[0]["path"] == "proxy"
        with Echo(bed.server, family) as echo:
            assert all(echoes(bed, family, echo.port) for _ in range(3))


def test_a_guard_on_the_host_path_refuses_servers_behind_the_box_in_one_line():
    with standing("routed") as bed:
        bed.guard.attach("native")
        done = bed.guard.attach("native", "--to", "10.5.0.0/24", check=False)
        assert done.returncode == 1 and done.stderr.count("\n") == 1 and "detach first" in done.stderr
        assert bed.guard.status()[0]["path"] == "host"


@pytest.mark.parametrize("topology, family", [("routed", "ipv6"), ("nft", "ipv4")])
def test_connections_from_before_go_on_under_a_flood(topology, family):
    """The client speaks first: what the server answers proves the connection."""
    with standing(topology) as bed, Echo(bed.server, family) as echo:
        address = bed.guarded.server_addr[family]
        with connect(bed.client, family, address, echo.port) as sock:
            sock.sendall(b"before")
            assert read_exactly(sock, 6) == b"before"
            to = ("--to", "10.5.0.0/24,fd00:5::/64") if topology == "routed" else ()
            bed.guard.attach("native", "--path", "proxy", "--ports", "1-65535", *to)
            flood = bed.client.spawn(FLOOD, "cg0", "--to", address, "--port", echo.port, "--seconds", 30,
                                     "--dst-mac", bed.guarded.server_mac, stderr=subprocess.DEVNULL)
            try:
                assert wait_until(lambda: bed.guard.totals()["synack_sent"] > 1000, 20)
                for n in range(50):
                    sock.sendall(b"after %03d" % n)
                    assert read_exactly(sock, 9) == b"after %03d" % n
            finally:
                flood.kill()
                flood.wait()
