# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""What stands on a NIC, beside it or in front of it: VLANs, bonds, bridges, large frames, bad lines, firewalls."""
import contextlib
import json
import shutil
import threading
import time

from bench import Pulse, attach, exchanges, picked, refusal, throughput, warnings
from drivers import check_serving
from guard import Guard
from nics import ends
from report import Skip
from server import Echo, connect, read_exactly
from world import Link, Namespace, wait_until

FIREWALL = """
table inet guest {
    chain in {
        type filter hook input priority 0; policy drop;
        iif lo accept
        meta l4proto { icmp, ipv6-icmp } accept
        ct state established,related accept
        tcp dport 1024-65535 ct state new accept
    }
}
"""


@contextlib.contextmanager
def guarded(ns, ifname, mode="auto", result=None):
    guard = Guard(ns, ifname)
    done = attach(guard, mode)
    if result:
        result.said = picked(guard, done)
    try:
        yield guard
    finally:
        guard.detach(check=False)


def served(link, guard, port):
    """Serves, and synward it was that answered."""
    with guard.counting() as moved:
        check_serving(link, port)
    assert moved["synack_sent"] >= 300 and moved["ack_valid"] >= 18, dict(moved)


@contextlib.contextmanager
def vlan(link, proto, tag=7):
    """VLAN interfaces on both ends."""
    for ns, below, name in ((link.server, link.server_if, "svlan"), (link.client, link.client_if, "cvlan")):
        ns.ip("link", "add", "link", below, "name", name, "type", "vlan", "proto", proto, "id", tag)
    try:
        yield ends(link.client, link.server, 20 + link.number, "svlan", "cvlan")
    finally:
        link.server.ip("link", "del", "svlan")
        link.client.ip("link", "del", "cvlan")


def strips(link, value=None):
    """rx-vlan-offload of the server's NIC; None if it has no such switch."""
    if value is not None:
        link.server.run("ethtool", "-K", link.server_if, "rxvlan", value)
    for line in link.server.run("ethtool", "-k", link.server_if).stdout.splitlines():
        if line.startswith("rx-vlan-offload:"):
            return None if "[fixed]" in line else line.split()[1]
    return None


def check_vlans(report, link, mode):
    if mode == "native" and strips(link):
        with report.case(link.driver, mode, "802.1Q with rx-vlan-offload on is refused") as result, vlan(link, "802.1Q"):
            strips(link, "on")
            done = Guard(link.server, link.server_if).attach(mode, check=False)
            result.said, result.works = refusal(done), False
            assert f"ethtool -K {link.server_if} rxvlan off" in result.said, result.said
    if mode == "generic" and strips(link):
        with report.case(link.driver, mode, "802.1Q with rx-vlan-offload on") as result, vlan(link, "802.1Q") as tagged, \
                Echo(link.server, "ipv6", dual=True) as echo:
            strips(link, "on")
            with guarded(link.server, link.server_if, mode, result) as guard:
                served(tagged, guard, echo.port)
    for proto in ("802.1Q", "802.1ad") if link.number == 1 else ("802.1Q",):
        test = proto + (" with rx-vlan-offload off" if strips(link) else "")
        with report.case(link.driver, mode, test) as result, vlan(link, proto) as tagged, Echo(link.server, "ipv6", dual=True) as echo:
            if strips(link):
                strips(link, "off")
            with guarded(link.server, link.server_if, mode, result) as guard:
                served(tagged, guard, echo.port)
    if strips(link):
        strips(link, "on")


def check_bridge(report, link):
    with report.case(link.driver, "auto", "port of a bridge that has the address") as result, Echo(link.server, "ipv6", dual=True) as echo:
        link.server.ip("link", "add", "br0", "type", "bridge")
        link.server.ip("link", "set", link.server_if, "master", "br0")
        try:
            bridged = ends(link.client, link.server, 30 + link.number, "br0", link.client_if)
            with guarded(link.server, link.server_if, result=result) as guard:
                served(bridged, guard, echo.port)
        finally:
            link.server.ip("link", "del", "br0")


def check_macvlan(report, link):
    with report.case(link.driver, "auto", "macvlan on top") as result, Echo(link.server, "ipv6", dual=True) as echo:
        link.server.ip("link", "add", "link", link.server_if, "name", "mv0", "type", "macvlan", "mode", "bridge")
        try:
            above = ends(link.client, link.server, 40 + link.number, "mv0", link.client_if)
            with guarded(link.server, link.server_if, result=result) as guard:
                with guard.counting() as moved:
                    exchanges(above, echo.port)
                    exchanges(link, echo.port)
            assert moved["synack_sent"] >= 24 and moved["ack_valid"] >= 24, dict(moved)
        finally:
            link.server.ip("link", "del", "mv0")


def check_bond(report, one, other):
    """Active-backup on both sides; the first cable is pulled under way."""
    with report.case("bonding over " + one.driver, "auto", "bond, and one cable pulled") as result, Echo(one.server, "ipv6", dual=True) as echo:
        sides = ((one.server, "sbond", one.server_if, other.server_if), (one.client, "cbond", one.client_if, other.client_if))
        for ns, bond, first, second in sides:
            ns.ip("link", "add", bond, "type", "bond", "mode", "active-backup", "miimon", 50)
            for nic in (first, second):
                ns.ip("link", "set", nic, "down")
                ns.ip("link", "set", nic, "master", bond)
        try:
            bonded = ends(one.client, one.server, 50, "sbond", "cbond")
            with guarded(one.server, "sbond", result=result) as guard:
                served(bonded, guard, echo.port)
                for ns, bond, first, second in sides:
                    ns.ip("link", "set", "dev", bond, "type", "bond", "active_slave", second)
                served(bonded, guard, echo.port)
        finally:
            for ns, bond, first, second in sides:
                ns.ip("link", "del", bond)


@contextlib.contextmanager
def large_frames(link, mtu=9000):
    sides = ((link.server, link.server_if), (link.client, link.client_if))
    for ns, nic in sides:
        ns.ip("link", "set", nic, "mtu", mtu)
    try:
        yield
    finally:
        for ns, nic in sides:
            ns.ip("link", "set", nic, "mtu", 1500)


def check_large_frames(report, link):
    """MTU 9000: data in frames of several buffers goes through the program. Where native mode cannot, auto takes generic."""
    payload = bytes(range(256)) * (1200 if link.carries_large else 1)
    for mode in ("native", "auto"):
        with report.case(link.driver, mode, "MTU 9000") as result, large_frames(link), Echo(link.server, "ipv6", dual=True) as echo:
            if link.carries_large:
                exchanges(link, echo.port, ("ipv4",), 1, payload=payload, timeout=20)
            guard = Guard(link.server, link.server_if)
            done = guard.attach(mode, check=False)
            if done.returncode:
                result.said, result.works = refusal(done), False
                assert mode == "native" and "native XDP" in result.said and "generic" in result.said, result.said
                continue
            try:
                result.said = picked(guard, done)
                assert mode == "native" or "generic XDP, not native: " in result.said, result.said
                served(link, guard, echo.port)
                exchanges(link, echo.port, count=2, payload=payload, timeout=60)
            finally:
                guard.detach()
        if result.works:
            return


def check_proxy(report, link):
    """The proxy path's program at tc egress: by tcx, or by clsact on kernels without (6.1)."""
    with report.case(link.driver, "native", "proxy path, tc egress") as result, Echo(link.server, "ipv6", dual=True) as echo:
        guard = Guard(link.server, link.server_if)
        options = ("--path", "proxy", "--ports", str(echo.port), "--flows", "4k")
        done = guard.attach("native", *options, check=False)
        if done.returncode:
            result.said, result.works = refusal(done), False
            assert "the kernel lacks bpf_xdp_load_bytes" in result.said, result.said
            return
        try:
            kind = guard.status()[0]["tc"]
            filters = link.server.run("tc", "filter", "show", "dev", link.server_if, "egress").stdout
            assert kind == ("clsact" if "synward_tc" in filters else "tcx"), (kind, filters)
            result.said = f"native: by {kind}"
            with guard.counting() as moved:
                check_serving(link, echo.port)
            assert moved["synack_sent"] >= 300 and moved["flow_answered"] + moved["direct_proved"] >= 18, dict(moved)
        finally:
            guard.detach()
        assert "clsact" not in link.server.run("tc", "qdisc", "show", "dev", link.server_if).stdout, "detach left clsact"
        exchanges(link, echo.port, count=1)


def check_path_change(report, link):
    """To the proxy path while the guard runs: the other tc hook, and in libxdp's dispatcher two programs for a moment."""
    with report.case(link.driver, "native", "to the proxy path while the guard runs") as result, Echo(link.server, "ipv6", dual=True) as echo:
        guard = Guard(link.server, link.server_if)
        attach(guard, "native", "--ports", str(echo.port))
        before = guard.status()[0]
        try:
            with connect(link.client, "ipv4", link.server_addr["ipv4"], echo.port, timeout=10) as old, Callers(link, echo.port) as callers:
                done = guard.attach("native", "--path", "proxy", "--ports", str(echo.port), "--flows", "4k", check=False)
                if done.returncode:
                    result.said, result.works = refusal(done), False
                    assert "the kernel lacks bpf_xdp_load_bytes" in result.said, result.said
                    return
                after = guard.status()[0]
                assert after["path"] == "proxy" and after["tc"] in ("tcx", "clsact"), after
                old.sendall(b"from before")
                assert read_exactly(old, 11) == b"from before"
                with guard.counting() as moved:
                    callers.more(20)
                assert moved["flow_answered"] >= 15, dict(moved)
            assert not callers.errors, (callers.count, callers.errors)
            result.said = f"from {before['path']}, {'dispatcher' if before['dispatcher'] else 'alone'}, by {after['tc']}"
        finally:
            guard.detach()
        assert "clsact" not in link.server.run("tc", "qdisc", "show", "dev", link.server_if).stdout, "detach left clsact"
        exchanges(link, echo.port, count=1)


class Callers:
    """Clients one after the other, while something changes."""

    def __init__(self, link, port):
        self.link, self.port, self.count, self.errors, self.running = link, port, 0, [], True

    def _call(self):
        while self.running:
            try:
                with connect(self.link.client, "ipv4", self.link.server_addr["ipv4"], self.port, timeout=10) as sock:
                    sock.sendall(b"hello")
                    assert read_exactly(sock, 5) == b"hello"
                self.count += 1
            except (OSError, AssertionError) as error:
                self.errors.append(repr(error))

    def more(self, count):
        until = self.count + count
        assert wait_until(lambda: self.count >= until or self.errors, 60), self.count

    def __enter__(self):
        self.thread = threading.Thread(target=self._call)
        self.thread.start()
        self.more(2)
        return self

    def __exit__(self, *_):
        self.running = False
        self.thread.join(20)


@contextlib.contextmanager
def proxied(link, port):
    """synward on the proxy path below link, which may be a VLAN on it."""
    guard = Guard(link.server, link.server_if)
    attach(guard, "native", "--path", "proxy", "--ports", str(port), "--flows", "4k")
    try:
        yield guard
    finally:
        guard.detach()


def check_proxy_vlan(report, link):
    """Tags in the frames where XDP sees them, beside them where tc egress does."""
    with report.case(link.driver, "native", "proxy path, 802.1Q") as result, vlan(link, "802.1Q") as tagged, \
            Echo(link.server, "ipv6", dual=True) as echo:
        if strips(link):
            strips(link, "off")
        with proxied(link, echo.port) as guard, guard.counting() as moved:
            check_serving(tagged, echo.port)
        assert moved["synack_sent"] >= 300 and moved["flow_answered"] >= 6, dict(moved)
        result.said = "native"
    if strips(link):
        strips(link, "on")


def check_ipvs(report, link):
    """A virtual server whose real one is in another namespace, by NAT; IPv4 and IPv6."""
    with report.case(link.driver, "native", "proxy path, IPVS") as result:
        if not shutil.which("ipvsadm"):
            raise Skip("ipvsadm is missing")
        if link.server.run("ipvsadm", "-Ln", check=False).returncode:
            raise Skip("this kernel has no IPVS")
        real = Namespace("r")
        try:
            behind = Link(link.server, real, 6, "re0", "rs0", peer_program=False)
            real.run("ip", "-batch", "-", input=f"route add default via {behind.client_addr['ipv4']}\n"
                                                f"route add default via {behind.client_addr['ipv6']}\n")
            link.server.sysctl("net.ipv4.ip_forward", 1)
            link.server.sysctl("net.ipv6.conf.all.forwarding", 1)
            with Echo(real, "ipv6", dual=True) as echo:
                for family, form in (("ipv4", "{}:{}"), ("ipv6", "[{}]:{}")):
                    virtual, to = form.format(link.server_addr[family], echo.port), form.format(behind.server_addr[family], echo.port)
                    link.server.run("ipvsadm", "-A", "-t", virtual, "-s", "rr")
                    link.server.run("ipvsadm", "-a", "-t", virtual, "-r", to, "-m")
                with proxied(link, echo.port) as guard, guard.counting() as moved:
                    check_serving(link, echo.port)
                assert moved["synack_sent"] >= 300 and moved["flow_answered"] >= 6, dict(moved)
                assert echo.count >= 18
                result.said = "native"
        finally:
            link.server.run("ipvsadm", "-C", check=False)
            link.server.sysctl("net.ipv4.ip_forward", 0)
            link.server.sysctl("net.ipv6.conf.all.forwarding", 0)
            real.remove()


LINES = {
    "10 % lost": "loss 10%",
    "reordered": "delay 5ms reorder 30% 50%",
    "half of it twice": "duplicate 50%",
    "300 ms away": "delay 300ms",
}


def check_bad_lines(report, link, mode):
    """netem at the client's end, on what it sends."""
    with Echo(link.server, "ipv6", dual=True) as echo, guarded(link.server, link.server_if, mode) as guard:
        for name, netem in LINES.items():
            with report.case(link.driver, mode, f"line: {name}") as result:
                link.client.run("tc", "qdisc", "add", "dev", link.client_if, "root", "netem", *netem.split())
                try:
                    try:
                        with guard.counting() as moved:
                            took = exchanges(link, echo.port, payload=b"through a bad line" * 500, timeout=30)
                    except OSError as error:
                        raise AssertionError(f"{error}; {dict(moved)}") from None
                    result.figures["connect_ms"] = round(1000 * sorted(took)[len(took) // 2])
                    assert moved["synack_sent"] >= 12, dict(moved)
                finally:
                    link.client.run("tc", "qdisc", "del", "dev", link.client_if, "root")


def check_firewall(report, link, mode):
    """nftables that accepts what conntrack knows, and new connections to some ports."""
    link.server.nft(FIREWALL)
    try:
        with report.case(link.driver, mode, "stateful firewall, nf_conntrack_tcp_loose=1") as result, Echo(link.server, "ipv6", dual=True) as echo:
            link.server.sysctl("net.netfilter.nf_conntrack_tcp_loose", 1)
            with guarded(link.server, link.server_if, mode) as guard:
                served(link, guard, echo.port)
        with report.case(link.driver, mode, "stateful firewall, nf_conntrack_tcp_loose=0 is warned of") as result:
            link.server.sysctl("net.netfilter.nf_conntrack_tcp_loose", 0)
            guard = Guard(link.server, link.server_if)
            said = [text for text in warnings(attach(guard, mode)) if "conntrack" in text]
            guard.detach()
            result.works, result.said = False, " | ".join(said)
            assert len(said) == 1 and "nf_conntrack_tcp_loose is 0" in said[0], said
    finally:
        link.server.sysctl("net.netfilter.nf_conntrack_tcp_loose", 1)
        link.server.nft("flush ruleset")


def carrier_changes(link):
    """How often the server's link went up or down."""
    found = json.loads(link.server.ip("-s", "-s", "-j", "link", "show", "dev", link.server_if).stdout)
    return found[0]["stats64"]["tx"]["carrier_changes"]


def check_cost(report, link):
    """What a guard costs a connection that is there: its throughput, and frames lost while one goes on."""
    with report.case(link.driver, "-", "what established traffic pays") as result:
        bare = throughput(link)
        result.figures["bare"] = 1.0
        for mode in ("generic", "native"):
            guard = Guard(link.server, link.server_if)
            carrier = carrier_changes(link)
            with Pulse(link) as pulse:
                done = guard.attach(mode, check=False)
            if done.returncode:
                continue
            try:
                told = [text for text in warnings(done) if "took the link down" in text]
                assert bool(told) == (carrier_changes(link) > carrier), (told, warnings(done))
                result.said = " | ".join(filter(None, (result.said, *told)))
                figures = {"share": round(throughput(link) / bare, 2), "attach": pulse.figures()}
                if mode == "native":
                    with Pulse(link) as pulse:
                        attach(guard, mode)
                    figures["again"] = pulse.figures()
            finally:
                with Pulse(link) as pulse:
                    guard.detach()
            figures["detach"] = pulse.figures()
            figures["carrier"] = carrier_changes(link) - carrier
            result.figures[mode] = figures
        with Pulse(link) as pulse:
            time.sleep(1.5)
        result.figures["quiet"] = pulse.figures()
        print(link.driver, result.figures, flush=True)
