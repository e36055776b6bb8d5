# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Where proxy mode stands: a box whose client-facing interface is guarded, and servers it routes or NATs to.

    client                    box                               server
    cg0 10.1.0.2 ─────────── 10.1.0.1 sw0  synward
                                       bs0 10.5.0.2 ─────────── 10.5.0.1 ss0
    cd0 10.2.0.2 ─────────── 10.2.0.1 dir0 never guarded

IPv6 likewise, fd00:N::. Where the listener is, and by which address the client knows it:

    local   in the box                          10.1.0.1, over dir0 10.2.0.1
    routed  in the server's namespace           10.5.0.1, over dir0 10.6.0.1 (kernel clients)
    nft     there, behind nft DNAT              10.1.0.1, over dir0 10.2.0.1
    iptables                the same by iptables
"""
import mmap
import os
import struct
import time

import frame as f
import world
from guard import Guard, Moved, bpf_open, hash_seed, map_info
from peer import Peer
from server import Listener
from world import Link, Namespace, wait_until

TOPOLOGIES = ["local", "routed", "nft", "iptables"]
PORTS = "1-9999"  # guarded from the first SYN on; with auto a server is first seen, then guarded

# A name of host mode's counters, and the one that says the same here.
SAME = {"ack_valid": "flow_opened", "handoff_done": "flow_answered", "known": "flow_segment"}

NFT = """
table inet shop {{
    chain pre {{
        type nat hook prerouting priority dstnat;
        ip daddr {{ 10.1.0.1, 10.2.0.1 }} tcp dport {ports} dnat ip to 10.5.0.1
        ip6 daddr {{ fd00:1::1, fd00:2::1 }} tcp dport {ports} dnat ip6 to fd00:5::1
    }}
}}
"""


# struct sw_flow_set: its size, places 1 to WAYS, where their tags are; struct sw_flow_place: its size, where its tuple says that it is live, its flow
SET, WAYS, TAGS = 2048, 15, 64
PLACE, LIVE, FLOW, FLOW_SIZE = 128, 37, 40, 88
OPENED, TIME_BITS = FLOW + 20, 24  # a flow's opened, and what it counts in
ALL = (1 << 64) - 1


def tuple_of(peer):
    """struct sw_tuple."""
    words = [struct.unpack("<QQ", f.addr(a)) if ":" in a else (0, struct.unpack("<I", f.addr(a))[0]) for a in (peer.src, peer.dst)]
    return struct.pack("<QQQQHHI", *words[0], *words[1], peer.sport, peer.dport, int(peer.family == "ipv6"))


def mix(value, word):
    """sw_mix()"""
    value = (value ^ word) * 0x9e3779b97f4a7c15 & ALL
    value = (value ^ value >> 32) * 0xbf58476d1ce4e5b9 & ALL
    return value ^ value >> 29


class FlowTable:
    """The table of flows of a guard, as headers/flowset.h has it."""

    def __init__(self, guard):
        fd = bpf_open(f"{guard.pins}/flows")
        number, size, self.sets, _ = map_info(fd)
        assert size == SET
        self.memory, self.seed = mmap.mmap(fd, self.sets * SET), hash_seed(number)
        os.close(fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.memory.close()

    def hash(self, key):
        """sw_tuple_hash()"""
        saddr_hi, saddr, daddr_hi, daddr, sport, dport, v6 = struct.unpack("<QQQQHHI", key)
        value = self.seed[0]
        for word in (saddr_hi, daddr_hi, saddr, daddr) if v6 else ((saddr << 32 | daddr) & ALL,):
            value = mix(value, word)
        return mix(value ^ self.seed[1], sport << 16 | dport)

    def ways(self, value):
        """Where a hash's set begins, and its places, the one it is at home in first."""
        home = 1 + ((value >> 56) * WAYS >> 8)
        return (value >> 32 & self.sets - 1) * SET, [home] + [way for way in range(1, WAYS + 1) if way != home]

    def write(self, key, flow):
        """False if its set is full."""
        value = self.hash(key)
        at, ways = self.ways(value)
        way = next((way for way in ways if not any(self.memory[at + TAGS + 4 * way:at + TAGS + 4 + 4 * way])), None)
        if way is None:
            return False
        place = at + way * PLACE
        self.memory[place:place + PLACE] = key[:LIVE] + b"\1\0\0" + flow
        struct.pack_into("I", self.memory, at + TAGS + 4 * way, value & 0xffffffff or 1)
        return True

    def find(self, key):
        """Where its place begins."""
        at, ways = self.ways(self.hash(key))
        return next(place for place in (at + way * PLACE for way in ways)
                    if self.memory[place:place + LIVE + 1] == key[:LIVE] + b"\1")


def write_flows(bed, count, key):
    """Established flows nobody has made, of the tuples that key(0), key(1), ... are: struct sw_tuple as bytes. How many had room."""
    now = time.monotonic_ns() >> TIME_BITS
    # seen, flags (the server has answered) and server_wscale, opened
    flow = struct.pack("=I14xBBI64x", now, 0x80, 255, now)
    assert len(flow) == FLOW_SIZE
    with FlowTable(bed.guard) as table:
        return sum(table.write(key(at), flow) for at in range(count))


def grow_older(bed, peer, seconds):
    """The flow as if it had begun so long ago."""
    with FlowTable(bed.guard) as table:
        at = table.find(tuple_of(peer)) + OPENED
        opened, = struct.unpack_from("I", table.memory, at)
        struct.pack_into("I", table.memory, at, opened - (int(seconds * 1e9) >> TIME_BITS) & 0xffffffff)


def silence(ns, port):
    ns.nft(f"table inet silent {{ chain in {{ type filter hook input priority 0; tcp dport {port} counter drop\n}}\n}}")


def heard(ns):
    return int(ns.run("nft", "list", "table", "inet", "silent").stdout.split("packets ")[1].split()[0])


class ProxyMoved(Moved):
    def __missing__(self, name):
        return self[SAME[name]] if SAME.get(name) in self else super().__missing__(name)


class ProxyGuard(Guard):
    """Counters by host mode's names where they mean the same, for tests of both."""
    Moved = ProxyMoved

    def attach(self, mode="native", *options, check=True):
        return super().attach(mode, "--path", "proxy", *options, check=check)


def without_window(told):
    """The window of a SYN-ACK is 0 here, and opens when the server is there: left out of what is compared."""
    if isinstance(told, dict):
        return {key: value for key, value in told.items() if key != "window"}
    if isinstance(told, (tuple, list)) and not hasattr(told, "_fields"):
        return type(told)(without_window(part) for part in told)
    return told


class ProxyBed:
    """As conftest.Bed: .server is where listeners are, .guarded and .direct lead to the same listener."""

    path = "proxy"

    def __init__(self, topology, mode=None, *options, mtu=1500, back_mtu=1500):
        self.topology, self.mode = topology, mode
        self.box, self.client = Namespace("b"), Namespace("c")
        self.back = None
        self.server = self.box
        self.guarded = Link(self.client, self.box, 1, "sw0", "cg0", mtu=mtu)
        self.direct = Link(self.client, self.box, 2, "dir0", "cd0", mtu=mtu)
        if topology != "local":
            self.server = Namespace("s")
            self.back = Link(self.box, self.server, 5, "ss0", "bs0", mtu=back_mtu, peer_program=False)
            self._route()
        if topology in ("nft", "iptables"):
            self._translate()
        for ns in (self.server, self.box):
            for name, value in (("net.ipv4.tcp_no_metrics_save", 1), ("net.ipv4.icmp_ratelimit", 0),
                                ("net.ipv6.icmp.ratelimit", 0), ("net.ipv4.tcp_max_syn_backlog", 4096)):
                ns.sysctl(name, value)
        for ns in (self.server, self.client):
            ns.sysctl("net.core.somaxconn", 8192)
        self.client.sysctl("net.ipv4.ip_local_port_range", "10000 65000")
        self.guard = ProxyGuard(self.box, "sw0")
        if mode:
            try:
                self.attach(*options)
            except BaseException:
                self.remove()
                raise

    def attach(self, *options):
        if "--ports" not in options:
            options += ("--ports", PORTS)
        if self.topology == "routed":
            options += ("--to", "10.5.0.0/24,fd00:5::/64")
        return self.guard.attach(self.mode or "native", *options)

    def _route(self):
        box, server = self.box, self.server
        box.sysctl("net.ipv4.ip_forward", 1)
        box.sysctl("net.ipv6.conf.all.forwarding", 1)
        server.run("ip", "-batch", "-", input="\n".join([
            "addr add 10.6.0.1/32 dev ss0", "addr add fd00:6::1/128 dev ss0 nodad",
            "route add default via 10.5.0.2 dev ss0", "route add default via fd00:5::2 dev ss0"]) + "\n")
        box.run("ip", "-batch", "-", input="\n".join([
            "route add 10.6.0.1/32 via 10.5.0.1 dev bs0", "route add fd00:6::1/128 via fd00:5::1 dev bs0"]) + "\n")
        self.client.run("ip", "-batch", "-", input="\n".join([
            "route add 10.5.0.0/24 via 10.1.0.1 dev cg0", "route add fd00:5::/64 via fd00:1::1 dev cg0",
            "route add 10.6.0.0/24 via 10.2.0.1 dev cd0", "route add fd00:6::/64 via fd00:2::1 dev cd0"]) + "\n")
        if self.topology == "routed":
            self.guarded.server_addr = {"ipv4": "10.5.0.1", "ipv6": "fd00:5::1"}
            self.direct.server_addr = {"ipv4": "10.6.0.1", "ipv6": "fd00:6::1"}

    def _translate(self):
        if self.topology == "nft":
            self.box.nft(NFT.format(ports=PORTS))
            return
        for command, ours, server in (("iptables", ("10.1.0.1", "10.2.0.1"), "10.5.0.1"),
                                      ("ip6tables", ("fd00:1::1", "fd00:2::1"), "fd00:5::1")):
            for address in ours:
                self.box.run(command, "-t", "nat", "-A", "PREROUTING", "-d", address, "-p", "tcp", "--dport",
                             PORTS.replace("-", ":"), "-j", "DNAT", "--to-destination", server)

    def listen(self, family, **how):
        """A listener that is known: its SYN-ACK was seen with all options on it."""
        listener = Listener(self.server, family, **how)
        self.teach(family, listener.port)
        return listener

    def teach(self, family, port):
        if not self.mode:
            return

        def taught():
            with Peer(self.guarded, family, port, "ios") as peer:
                synack = peer.ask(1.0)
                peer.send(f.RST, seq=peer.snd_nxt)
                return synack and synack.window
        assert wait_until(taught, 5.0, 0.05), "no SYN reached the server to learn from"
        self.guard.shift_clock(0)  # what CPUs have cached of it is read again

    @staticmethod
    def handed(moved):
        return moved["handoff_done"]

    def both(self, stimulus, *arguments):
        """(direct, guarded): what the stimulus gives over either link."""
        return without_window(stimulus(self.direct, *arguments)), without_window(stimulus(self.guarded, *arguments))

    def half_open(self):
        """SYN_RECV sockets at the server."""
        return len(self.server.run("ss", "-Htn", "state", "syn-recv").stdout.splitlines())

    def remove(self):
        for ns in (self.server, self.box, self.client):
            if ns in world.leftovers:
                ns.remove()
