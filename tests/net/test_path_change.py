# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
#    client, cg0 10.1.0.2 ──── 10.1.0.1 sw0 (synward)  ┐ box ┬ listeners on ports from 10000 on
#                                                      ┘     └ bs0 ──── ss0 server: 1-9999, once nft says so
#
# A guard that goes from the host or compat path to the proxy path while it runs: what is under
# way then, and what a failure on the way leaves.
import contextlib
import functools
import json
import os
import subprocess
import threading
import time

import pytest

import frame as f
from guard import Guard
from peer import Peer
from proxy_world import NFT, PORTS, ProxyBed
import server
from server import Echo, Listener, read_exactly
from test_daemon import Daemon
from test_lifecycle import Transfer
from world import FLOOD, SYNWARD, VETH_PEER, wait_until

connect = functools.partial(server.connect, timeout=20)  # a busy machine's
OURS = {"ipv4": "10.1.0.1", "ipv6": "fd00:1::1"}
TRACKED = "table inet track { chain in { type filter hook input priority 0; ct state established accept; }; }"


@pytest.fixture
def box():
    """A box that tracks connections from the start: of what it did not see begin, NAT would make another."""
    bed = ProxyBed("routed")
    bed.guard = Guard(bed.box, "sw0")
    bed.guarded.server_addr = dict(OURS)
    bed.box.nft(TRACKED)
    try:
        yield bed
    finally:
        bed.remove()


def path(bed):
    return bed.guard.status()[0]["path"]


def echoes(sock, text=b"hello"):
    sock.sendall(text)
    return read_exactly(sock, len(text)) == text


class Callers:
    """Clients that come one after the other until told to stop; how many, and what went wrong."""

    def __init__(self, bed, family, port):
        self.args, self.count, self.errors, self.running = (bed.client, family, OURS[family], port), 0, [], True
        self.thread = threading.Thread(target=self._call)
        self.thread.start()

    def _call(self):
        while self.running:
            try:
                with connect(*self.args) as sock:
                    assert echoes(sock)
                self.count += 1
            except (OSError, AssertionError) as error:
                self.errors.append(repr(error))
            time.sleep(0.005)

    def finish(self):
        self.running = False
        self.thread.join(30)
        assert not self.errors, (self.count, self.errors)


@contextlib.contextmanager
def flooded(bed, family, port):
    flood = bed.client.spawn(FLOOD, "cg0", "--to", OURS[family], "--port", port, "--seconds", 60,
                             "--dst-mac", bed.guarded.server_mac, stderr=subprocess.DEVNULL)
    try:
        before = bed.guard.totals()["synack_sent"]
        assert wait_until(lambda: bed.guard.totals()["synack_sent"] > before + 10000, 20)
        yield
    finally:
        flood.kill()
        flood.wait()


@pytest.mark.parametrize("how, family", [("host", "ipv6"), ("compat", "ipv4")])
def test_all_goes_on_when_the_path_changes_under_a_flood(box, how, family):
    """Also what has said nothing since before; and no moment without a guard."""
    box.guard.attach("native", "--path", how)
    with Echo(box.box, family, port=12000) as local, Echo(box.server, family, port=8000):
        spoke, silent = (connect(box.client, family, OURS[family], local.port) for _ in range(2))
        with spoke, silent:
            assert echoes(spoke)
            moving, callers = Transfer(box, family, local), Callers(box, family, local.port)
            with flooded(box, family, local.port):
                program, before, half_open = box.guard.program_id(), box.guard.totals(), []
                watch = threading.Thread(target=lambda: [half_open.append(box.half_open()) or time.sleep(0.02) for _ in range(100)])
                watch.start()
                box.guard.attach("native", "--path", "proxy")
                assert path(box) == "proxy" and box.guard.program_id() != program
                assert moving.moves(20) and echoes(spoke) and echoes(silent)
                watch.join()
                assert wait_until(lambda: box.guard.totals()["flow_opened"] > 5, 10)
                assert box.guard.totals()["not_guarded"] - before["not_guarded"] < 500  # tens of thousands without what was known
                box.box.nft(NFT.format(ports=PORTS))
                with connect(box.client, family, OURS[family], 8000) as inside:
                    assert echoes(inside)
                assert moving.moves(20) and echoes(spoke) and echoes(silent)
                assert box.guard.totals()["synack_sent"] > before["synack_sent"] + 10000, "counters went on"
            callers.finish()
            moving.finish()
            assert max(half_open) < 100 and callers.count > 10, (half_open, callers.count)


@pytest.mark.parametrize("how, family", [("host", "ipv4"), ("compat", "ipv6")])
def test_attached_again_auto_follows_a_redirection(box, how, family):
    """All ports go by the proxy path then, those of the box itself as well, and what was before goes on."""
    box.guard.attach("native", "--path", how, "--ports", "7000-20000")
    with Echo(box.box, family, port=12000) as local, Echo(box.server, family, port=8000) as inside:
        with connect(box.client, family, OURS[family], local.port) as old:
            assert echoes(old)
            box.box.nft(NFT.format(ports=PORTS))
            said = box.guard.attach("native", "--ports", "7000-20000").stderr
            assert f"proxy path, not {how}: port 1 is redirected (nft inet shop pre)" in said and path(box) == "proxy"
            assert echoes(old)
            with box.guard.counting() as moved:
                for port in (local.port, inside.port):
                    with connect(box.client, family, OURS[family], port) as sock:
                        assert echoes(sock)
            assert moved["flow_answered"] + moved["direct_segment"] >= 2
            box.box.nft("delete table inet shop")
            box.guard.attach("native", "--ports", "7000-20000")
            assert path(box) == "proxy" and echoes(old), "the way back is by detaching"


UNTRACKED = """table inet untrack {
    chain before { type filter hook prerouting priority raw; tcp dport 12000 notrack; };
    chain out { type filter hook output priority raw; tcp sport 12000 notrack; }; }"""
MASQUERADE = "table ip elsewhere { chain post { type nat hook postrouting priority srcnat; oifname bs0 masquerade; }; }"


def test_where_nat_is_on_auto_leaves_the_host_path(box):
    """Any NAT at all: the kernel's takes hand-overs from their listener, even where it changes nothing."""
    def served(count=3):
        for _ in range(count):
            with connect(box.client, "ipv4", OURS["ipv4"], 12000) as sock:
                assert echoes(sock)
        return True

    def served_or_reset():
        try:
            return served(1)
        except (OSError, AssertionError):
            return False
    with Echo(box.box, "ipv4", port=12000):
        box.guard.attach("native")
        assert path(box) == "host" and served()
        box.box.nft(MASQUERADE)
        said = box.guard.attach("native", "--path", "host").stderr
        assert "NAT is on here (nft ip elsewhere post)" in said
        wait_until(lambda: not served_or_reset(), 5)
        box.box.nft(UNTRACKED)
        assert served()
        box.box.nft("delete table inet untrack")
        said = box.guard.attach("native").stderr
        assert "proxy path, not host: NAT is on here" in said and path(box) == "proxy" and served()
        box.guard.detach()
        said = box.guard.attach("native").stderr
        assert "compat path, not host: NAT is on here" in said and path(box) == "compat" and served()
        box.guard.detach()
        box.box.nft("delete table ip elsewhere")
        box.guard.attach("native")
        assert path(box) == "host" and served()


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_nat_that_comes_later_resets_nobody(box, family):
    """Without a daemon: on the host path listeners that NAT looks at are left to the kernel, until it is gone."""
    nat = MASQUERADE.replace("table ip ", "table ip6 ") if family == "ipv6" else MASQUERADE

    def served():
        before = box.guard.totals()
        for _ in range(5):
            with connect(box.client, family, OURS[family], 12000) as sock:
                assert echoes(sock)
        after = box.guard.totals()
        return {name: after[name] - before[name] for name in ("ack_valid", "listener_nat")}
    with Echo(box.box, family, port=12000):
        box.guard.attach("native")
        assert path(box) == "host"
        wait_until(lambda: served()["ack_valid"] == 5, 5)
        box.box.nft(nat)
        time.sleep(0.5)  # what is known of a listener is a quarter of a second old at most
        counted = served()
        assert counted["ack_valid"] == 0 and counted["listener_nat"] > 0, counted
        box.box.nft(nat.split("{")[0].replace("table", "delete table"))
        time.sleep(0.5)
        assert served() == {"ack_valid": 5, "listener_nat": 0}


@pytest.mark.parametrize("how, family", [("host", "ipv4"), ("compat", "ipv6")])
def test_a_handshake_under_way_is_finished(box, how, family):
    """The SYN-ACK was the old path's, the ACK comes to the new one; data ahead of its window may be sent twice."""
    box.guard.attach("native", "--path", how, "--ports", "7000-20000")
    with Echo(box.box, family, port=12000) as echo:
        with Peer(box.guarded, family, echo.port) as early, Peer(box.guarded, family, echo.port, "windows") as plain:
            assert early.ask() and plain.ask()
            box.guard.attach("native", "--path", "proxy", "--ports", "7000-20000")
            for peer in (early, plain):
                peer.tsval += 1
                peer.send(f.ACK)

                def answered():
                    peer.send(f.ACK | f.PSH, payload=b"hello")
                    return peer.receive(0.3, lambda s: s.payload == b"hello" and s.seq == peer.rcv_nxt)
                assert wait_until(answered, 15)
            assert echo.count == 2


def test_the_first_word_of_a_connection_from_before_does_not_open_it_again(box, family="ipv4"):
    """It brings the cookie once more, and the cookie is good."""
    box.guard.attach("native", "--ports", "7000-20000")
    with Listener(box.box, family, port=12000) as listener, connect(box.client, family, OURS[family], 12000) as sock:
        conn = listener.accept()
        box.guard.attach("native", "--path", "proxy", "--ports", "7000-20000")
        with box.guard.counting() as moved:
            sock.sendall(b"late")
            assert read_exactly(conn, 4) == b"late"
        assert moved["direct_segment"] and not moved["flow_opened"] and listener.nothing_more()
        conn.sendall(b"well")
        assert read_exactly(sock, 4) == b"well"


def hooks(bed):
    """What of ours is where, and its pins."""
    return bed.guard.program_id(), bed.box.run("bpftool", "-j", "net", "show", "dev", "sw0").stdout, sorted(os.listdir(bed.guard.pins))


def test_a_change_that_fails_leaves_the_old_path_on(box):
    """Of the last step but one, when all else is there: another program is on the servers' interface."""
    box.guard.attach("native", "--ports", "7000-20000")
    box.box.run(VETH_PEER, "bs0", "on")
    box.server.run(VETH_PEER, "ss0", "on")
    before = hooks(box)
    with Echo(box.box, "ipv4", port=12000) as echo, connect(box.client, "ipv4", OURS["ipv4"], echo.port) as old:
        done = box.guard.attach("native", "--forward", "bs0", check=False)
        assert done.returncode == 1 and "another one is there" in done.stderr and done.stderr.count("\n") == 1, done.stderr
        assert hooks(box) == before and path(box) == "host" and echoes(old)
        with box.guard.counting() as moved, connect(box.client, "ipv4", OURS["ipv4"], echo.port) as sock:
            assert echoes(sock)
        assert moved["synack_sent"] >= 1 and moved["handoff_done"] >= 1


@pytest.fixture
def daemon(box):
    made = Daemon(box.box, "[interface sw0]\nxdp = native\n", "-j")
    yield made
    print(made.log())
    made.close()


def told(daemon):
    return [line for line in map(json.loads, daemon.log().splitlines()) if line.get("event") == "path_changed"]


def test_under_the_daemon_auto_follows_a_redirection_by_itself(box, daemon):
    """One line in the log; the daemon goes on with the guard, and killed and started again takes it as it is."""
    daemon.start()
    with Echo(box.box, "ipv4", port=12000) as local, Echo(box.server, "ipv4", port=8000) as inside:
        with connect(box.client, "ipv4", OURS["ipv4"], local.port) as old:
            assert echoes(old) and path(box) == "host"
            box.box.nft(NFT.format(ports="8000"))
            assert wait_until(lambda: path(box) == "proxy", 40, 0.3) and echoes(old)
            assert wait_until(lambda: told(daemon), 10)
            line, = told(daemon)
            assert (line["from"], line["to"]) == ("host", "proxy") and "port 8000 is redirected" in line["reason"]
            for port in (local.port, inside.port):
                with connect(box.client, "ipv4", OURS["ipv4"], port) as sock:
                    assert echoes(sock)
            daemon.reload("[interface sw0]\nxdp = native\nports = 8000-20000\n")
            assert box.guard.status()[0]["ports"] == "8000-20000" and echoes(old)
            daemon.stop()
            box.box.nft("delete table inet shop")
            daemon.start()
            assert path(box) == "proxy" and echoes(old) and len(told(daemon)) == 1


STRICT = "table inet strict { chain in { type filter hook input priority 0; ct state invalid drop; }; }"


def test_under_the_daemon_auto_leaves_a_path_that_loses_its_connections(box, daemon):
    """A firewall that takes no connection up in its middle drops each hand-over; with proxy it sees a handshake."""
    box.box.nft(STRICT)
    box.box.sysctl("net.netfilter.nf_conntrack_tcp_loose", 0)
    daemon.start()
    with Echo(box.box, "ipv4", port=12000) as echo:
        def lost():
            connect(box.client, "ipv4", OURS["ipv4"], echo.port).close()
            return path(box) == "proxy"
        for _ in range(3):
            assert not lost()
        assert wait_until(lost, 40, 0.2)
        assert wait_until(lambda: told(daemon), 10)
        line, = told(daemon)
        assert "got no socket" in line["reason"]
        with connect(box.client, "ipv4", OURS["ipv4"], echo.port) as sock:
            assert echoes(sock)


PORT_OF = {"bad": 12000, "good": 12001, "fixed": 12002}


def services_with(interface="", **paths):
    return f"[interface sw0]\nxdp = native\n{interface}" + "".join(
        f"[service {name}]\nports = {PORT_OF[name]}\npath = {way}\n" for name, way in paths.items())


def how(bed, name):
    """The service of that name is served; and the verdict of its own that tells how."""
    service, = (s for s in bed.guard.status()[0]["services"] if s["name"] == name)
    before = bed.guard.totals([1 + service["slot"]])
    with connect(bed.client, "ipv4", OURS["ipv4"], PORT_OF[name]) as sock:
        assert echoes(sock)
    after = bed.guard.totals([1 + service["slot"]])
    return " ".join(verdict for verdict in ("ack_valid", "flow_opened") if after[verdict] > before[verdict])


def drops_what_it_did_not_see_begin(port):
    return f"table inet strict{port} {{ chain in {{ type filter hook input priority 0; tcp dport {port} ct state invalid drop; }}; }}"


def test_under_the_daemon_only_the_service_that_loses_its_connections_is_translated(box, daemon):
    """On the host path, which the guard leaves for it, then on the proxy path; what was found out outlives the daemon."""
    asked = services_with(bad="auto", good="auto", fixed="host")
    box.box.nft(drops_what_it_did_not_see_begin(12000))
    box.box.sysctl("net.netfilter.nf_conntrack_tcp_loose", 0)

    def services():
        return {s["name"]: s for s in box.guard.status()[0]["services"]}

    def events(name):
        return [line["service"] for line in map(json.loads, daemon.log().splitlines()) if line.get("event") == name]

    def tries(name):
        connect(box.client, "ipv4", OURS["ipv4"], PORT_OF[name]).close()
        return True

    daemon.write(asked)
    daemon.start()
    with contextlib.ExitStack() as stack:
        for port in PORT_OF.values():
            stack.enter_context(Echo(box.box, "ipv4", port=port))
        assert path(box) == "host" and "translated" not in services()["bad"]
        callers = Callers(box, "ipv4", PORT_OF["good"])
        assert wait_until(lambda: tries("bad") and path(box) == "proxy", 40, 0.2)
        assert wait_until(lambda: told(daemon), 10) and len(told(daemon)) == 1
        callers.finish()
        assert events("service_translated") == ["bad"] and callers.count > 10
        assert {name: s["translated"] for name, s in services().items()} == {"bad": True, "good": False, "fixed": False}
        assert [how(box, name) for name in PORT_OF] == ["flow_opened", "ack_valid", "ack_valid"]

        for port in (12001, 12002):
            box.box.nft(drops_what_it_did_not_see_begin(port))
        assert wait_until(lambda: tries("good") and tries("fixed") and events("service_losing") and len(events("service_translated")) == 2, 40, 0.2)
        assert events("service_translated") == ["bad", "good"] and events("service_losing") == ["fixed"] and len(told(daemon)) == 1
        daemon.stop()
        daemon.start()
        daemon.reload(asked + "[service other]\nports = 7000\n")
        assert how(box, "good") == how(box, "bad") == "flow_opened"
        assert {name for name, s in services().items() if s["translated"]} == {"bad", "good"}
        daemon.reload(asked.replace("path = auto", "path = host"))
        assert not any(s["translated"] for s in services().values())


def test_each_service_goes_the_way_the_file_says(box, daemon):
    """At once, and after each reload; one that is to be translated takes the guard to the proxy path."""
    daemon.write(services_with(good="auto", bad="auto"))
    daemon.start()
    with Echo(box.box, "ipv4", port=12000), Echo(box.box, "ipv4", port=12001), connect(box.client, "ipv4", OURS["ipv4"], 12000) as old:
        assert path(box) == "host" and echoes(old)
        for interface, good, bad, expected in (("", "auto", "proxy", "ack_valid flow_opened"),
                                               ("", "proxy", "proxy", "flow_opened flow_opened"),
                                               ("path = proxy\n", "host", "auto", "ack_valid flow_opened"),
                                               ("path = proxy\n", "auto", "auto", "flow_opened flow_opened"),
                                               ("", "host", "auto", "ack_valid ack_valid")):
            daemon.reload(services_with(interface, good=good, bad=bad))
            assert path(box) == "proxy" and echoes(old)
            assert wait_until(lambda: how(box, "good") + " " + how(box, "bad") == expected, 3), (interface, good, bad)
        assert not {line.get("level") for line in map(json.loads, daemon.log().splitlines())} & {"error"}


def test_where_the_kernel_takes_no_cookies_all_is_translated(box, daemon):
    """It would refuse what is handed over: found by the doctor, and at the next attach or reload."""
    daemon.write(services_with(good="proxy", bad="auto"))
    daemon.start()
    with Echo(box.box, "ipv4", port=12000):
        assert how(box, "bad") == "ack_valid"
        box.box.sysctl("net.ipv4.tcp_syncookies", 0)
        assert "tcp_syncookies is 0" in box.guard.cli("doctor", "sw0", check=False).stdout
        for value, expected in ((0, "flow_opened"), (1, "ack_valid")):
            box.box.sysctl("net.ipv4.tcp_syncookies", value)
            daemon.reload()
            assert wait_until(lambda: how(box, "bad") == expected, 3), expected
        box.box.sysctl("net.ipv4.tcp_syncookies", 0)
        done = daemon.reload(services_with(good="proxy", bad="host"), check=False)
        assert done.returncode == 1 and "a service has path = host: net.ipv4.tcp_syncookies is 0" in done.stderr
        assert done.stderr.count("\n") == 1 and box.guard.status()[0]["services"][1]["path"] == "auto"


def test_killed_on_the_way_the_next_finishes_it(box):
    began = time.monotonic()
    box.guard.attach("native")
    length = time.monotonic() - began
    with Echo(box.box, "ipv4", port=12000) as echo:
        for part in (0.7, 0.9, 1.05, 1.2):
            child = box.box.spawn(SYNWARD, "attach", "sw0", "--xdp", "native", "--path", "proxy", "--flows", "64k")
            time.sleep(length * part)
            child.kill()
            child.wait()
            with connect(box.client, "ipv4", OURS["ipv4"], echo.port) as sock:
                assert echoes(sock), part
            box.guard.attach("native", "--path", "proxy", "--flows", "64k")
            with connect(box.client, "ipv4", OURS["ipv4"], echo.port) as sock, box.guard.counting() as moved:
                assert path(box) == "proxy" and echoes(sock), part
            assert moved["flow_segment"] + moved["direct_segment"], part
            box.guard.detach()
            assert "synward" not in box.box.run("bpftool", "net", "show", "dev", "sw0").stdout and not box.guard.attached
            box.guard.attach("native")


def test_a_reload_can_ask_for_the_proxy_path(box, daemon):
    daemon.start()
    assert path(box) == "host"
    daemon.reload("[interface sw0]\nxdp = native\nflows = 64k\nto = 10.5.0.0/24\n")
    assert path(box) == "proxy" and "the configuration asks for it" in told(daemon)[0]["reason"]
    with Echo(box.server, "ipv4") as echo, connect(box.client, "ipv4", "10.5.0.1", echo.port) as sock:
        assert echoes(sock)
    done = daemon.reload("[interface sw0]\nxdp = native\npath = host\n", check=False)
    assert done.returncode == 1 and "path: the guard is on with proxy" in done.stderr


def test_no_other_way_but_by_detaching(box):
    box.guard.attach("native")
    done = box.guard.attach("native", "--path", "compat", check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "detach first" in done.stderr
    box.guard.attach("native", "--to", "10.5.0.0/24")
    assert path(box) == "proxy"
    done = box.guard.attach("native", "--path", "host", check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "--drain" in done.stderr
    box.guard.detach()
    assert not box.guard.attached and "synward" not in box.box.run("bpftool", "net", "show", "dev", "sw0").stdout
