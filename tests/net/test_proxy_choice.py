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
from proxy_world import NFT, PORTS, ProxyBed
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


@pytest.mark.parametrize("options, path", [(("--ports", "20000-30000"), "compat"), (("--path", "host"), "host")])
def test_auto_takes_another_path_where_no_guarded_port_is_redirected(options, path):
    """Not the host path: where there is NAT it loses its connections (test_path_change.py)."""
    with standing("nft") as bed:
        assert "NAT is on here" in bed.guard.attach("native", *options).stderr
        assert bed.guard.status()[0]["path"] == path


def test_auto_takes_the_proxy_path_for_servers_behind_the_box(family):
    with standing("routed") as bed:
        bed.guard.attach("native", "--to", "10.5.0.0/24,fd00:5::/64")
        assert bed.guard.status()[0]["path"] == "proxy"
        with Echo(bed.server, family) as echo:
            assert all(echoes(bed, family, echo.port) for _ in range(3))


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


@pytest.mark.parametrize("mode", ["off", "auto"])
def test_connections_from_while_the_service_was_off_or_idle_go_on(mode, family):
    """They have no flow, and need none: armed, the guard lets through what the server answers to."""
    with standing("routed") as bed, Echo(bed.server, family) as echo:
        address = bed.guarded.server_addr[family]
        behind = ("--path", "proxy", "--ports", "1-65535", "--to", "10.5.0.0/24,fd00:5::/64")
        bed.guard.attach("native", *behind, "--mode", mode)
        with connect(bed.client, family, address, echo.port) as sock, connect(bed.client, family, address, echo.port) as silent:
            sock.sendall(b"before")
            assert read_exactly(sock, 6) == b"before"
            assert not bed.guard.totals()["flow_opened"]
            if mode == "off":
                bed.guard.attach("native", *behind, "--mode", "always")
            flood = bed.client.spawn(FLOOD, "cg0", "--to", address, "--port", echo.port, "--seconds", 30,
                                     "--dst-mac", bed.guarded.server_mac, stderr=subprocess.DEVNULL)
            try:
                assert wait_until(lambda: bed.guard.totals()["synack_sent"] > 1000, 20)
                for n in range(20):
                    for one in (sock, silent):
                        one.sendall(b"after %03d" % n)
                        assert read_exactly(one, 9) == b"after %03d" % n
                opened = bed.guard.totals()["flow_opened"]
                assert echoes(bed, family, echo.port)
                assert bed.guard.totals()["flow_opened"] == opened + 1 == 1
            finally:
                flood.kill()
                flood.wait()
            sock.sendall(b"end")
            assert read_exactly(sock, 3) == b"end"


def test_a_redirection_that_comes_later_where_the_host_path_was_asked_for():
    """Its port is left alone from the next attach on."""
    with standing("routed") as bed, Echo(bed.server, "ipv4") as echo:
        bed.guarded.server_addr["ipv4"] = "10.1.0.1"
        bed.guard.attach("native", "--path", "host")
        bed.box.nft(NFT.format(ports=PORTS))
        assert echoes(bed, "ipv4", echo.port)
        assert "left alone in host mode" in bed.guard.attach("native", "--path", "host").stderr
        assert bed.guard.status()[0]["path"] == "host"
        assert echoes(bed, "ipv4", echo.port) and not bed.guard.totals()["synack_sent"]


def test_a_redirection_that_comes_later_on_the_proxy_path(family):
    """Its servers are another's from then on, and what was learned of the first is no promise to keep."""
    with standing("routed") as bed, Echo(bed.box, family) as local, Echo(bed.server, family, port=local.port) as inside:
        bed.guarded.server_addr = {"ipv4": "10.1.0.1", "ipv6": "fd00:1::1"}
        # Connection tracking from the start: what it has not seen begin, NAT takes for new.
        bed.box.nft("table inet track { chain in { type filter hook input priority 0; ct state established accept; }; }")
        bed.server.sysctl("net.ipv4.tcp_timestamps", 0)
        bed.server.sysctl("net.ipv4.tcp_sack", 0)
        bed.guard.attach("native", "--path", "proxy", "--ports", PORTS)
        assert all(echoes(bed, family, local.port) for _ in range(3)) and local.count == 3
        with connect(bed.client, family, bed.guarded.server_addr[family], local.port) as old:
            old.sendall(b"old")
            assert read_exactly(old, 3) == b"old"
            bed.box.nft(NFT.format(ports=PORTS))
            assert all(echoes(bed, family, local.port, b"new" * 10000) for _ in range(3)) and inside.count == 3
            old.sendall(b"old")
            assert read_exactly(old, 3) == b"old"
