# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The proxy path on a router. A lane here is three network namespaces in a row:

  ...-c                      ...-r                                     ...-s
  c0 10.9.0.1  ---- veth ----  r0 10.9.0.2   r1 10.9.1.1  ---- veth ----  s0 10.9.1.2

The router's two receive threads have a CPU of their own, and their CPU time is what is counted: all that
is done to a frame between its coming in and its leaving. Client, server and generator share the other.
"""
import socket
import struct
import time

from measure import LOADER, Acceptor, spread
from works import FLOORS
from stage import ACCEPT_PORT, CLIENT_MAC, ECHO_PORT, FLOOD, PORT, SERVER_MAC, SOCKETS, SYNWARD, BenchError, Meter, Namespace, cpu_ns, run

CLIENT, ROUTER_IN, ROUTER_OUT, SERVER = "10.9.0.1", "10.9.0.2", "10.9.1.1", "10.9.1.2"
SERVERS = "10.9.1.0/24"
PORTS = f"{PORT}-{ECHO_PORT}"
R0_MAC, R1_MAC, S0_MAC = SERVER_MAC, "02:00:00:00:00:03", "02:00:00:00:00:04"
SEGMENT = 64  # bytes of data in an established segment
FRAME = 1514  # bytes of a full one
BURST, BURSTS_MOST = 50000, 100  # frames; more than a veth's ring holds are lost before the router sees them

CONNTRACK = """
table ip bench {
    chain through {
        type filter hook forward priority filter; policy drop;
        ct state established,related accept
        tcp dport { %s } ct state new accept
    }
}
""" % PORTS

# Without timestamps: with them its ACK to the server echoes a wrong one, which this kernel (6.18) does not take in
# SYN_RECV, so that a handshake is over only with the client's first data.
SYNPROXY = """
table ip bench {
    chain before {
        type filter hook prerouting priority raw; policy accept;
        iifname r0 tcp dport { %s } tcp flags syn notrack
    }
    chain through {
        type filter hook forward priority filter; policy accept;
        iifname r0 tcp dport { %s } ct state { invalid, untracked } synproxy mss 1460 wscale 7 sack-perm
        ct state invalid drop
    }
}
""" % (PORTS, PORTS)


def bare_pass(lane):
    """What any XDP program costs there, however little it does."""
    lane.meter.ask("attach", lane.router.name, "r0", "bare_pass")


def nft(rules):
    def set_up(lane):
        router = lane.router
        router.run("nft", "-f", "-", input=rules)
        # The clients are made up and end with RST: what conntrack remembers must not fill its table.
        router.sysctl(**{f"netfilter__nf_conntrack_tcp_timeout_{state}": 1
                         for state in ("close", "time_wait", "syn_sent", "syn_recv", "last_ack", "close_wait", "fin_wait")})
        router.sysctl(netfilter__nf_conntrack_tcp_loose=0)
    return set_up


def guard(*options):
    return lambda lane: lane.router.run(SYNWARD, "attach", "r0", "--xdp", "native", "--path", "proxy", "--ports", PORTS, "--to", SERVERS, *options)


SYSTEMS = {
    "plain": ("plain forwarding", lambda lane: None),
    "pass": ("the same under XDP_PASS", bare_pass),
    "conntrack": ("forwarding with conntrack", nft(CONNTRACK)),
    "synproxy": ("nftables synproxy", nft(SYNPROXY)),
    "proxy": ("synward, proxy path", guard()),
    "forward": ("synward, --forward", guard("--forward", "r1")),
}


SINK = """
table netdev bench {
    chain in { type filter hook ingress device %s priority 0; policy drop; }
}
"""


def received(netns, interface):
    """Frames so far."""
    with netns.entered(), open("/proc/thread-self/net/dev") as f:
        return next(int(line.split()[2]) for line in f if line.split()[0] == interface + ":")


class Lane:
    def __init__(self, stage, meter, system):
        self.stage, self.meter, self.system = stage, meter, system
        self.client, self.router, self.server = (Namespace(f"router-{system}-{end}") for end in "crs")
        self.wire(self.client, "c0", CLIENT, CLIENT_MAC, self.router, "r0", ROUTER_IN, R0_MAC)
        self.wire(self.router, "r1", ROUTER_OUT, R1_MAC, self.server, "s0", SERVER, S0_MAC)
        self.client.ip("route", "add", "default", "via", ROUTER_IN)
        self.server.ip("route", "add", "default", "via", ROUTER_OUT)
        self.router.ip("route", "add", "default", "via", CLIENT)
        self.router.sysctl(ipv4__ip_forward=1)
        for netns, interface in ((self.client, "c0"), (self.server, "s0")):
            # Frames as a wire has them: their checksums finished, none longer than the MTU.
            netns.run("ethtool", "-K", interface, "tx", "off", "gso", "off")
        self.ends("bare_pass")
        SYSTEMS[system][1](self)
        self.threads = [self.router.receive_thread(interface, stage.server_cpu) for interface in ("r0", "r1")]
        for netns, interface in ((self.client, "c0"), (self.server, "s0")):
            netns.receive_thread(interface, stage.flood_cpu, first=True)
        self.server.spawn(stage, SOCKETS, "echo", ECHO_PORT, cpu=stage.flood_cpu)

    @staticmethod
    def wire(a, a_name, a_v4, a_mac, b, b_name, b_v4, b_mac):
        run("ip", "link", "add", a_name, "netns", a.name, "address", a_mac, "type", "veth",
            "peer", "name", b_name, "netns", b.name, "address", b_mac)
        for netns, name, address, peer, mac in ((a, a_name, a_v4, b_v4, b_mac), (b, b_name, b_v4, a_v4, a_mac)):
            netns.ip("addr", "add", f"{address}/24", "dev", name)
            netns.ip("link", "set", name, "up")
            netns.ip("neigh", "replace", peer, "lladdr", mac, "dev", name, "nud", "permanent")
            netns.run("ethtool", "-K", name, "gro", "on")

    def used_ns(self):
        return sum(map(cpu_ns, self.threads))

    def ends(self, program):
        for netns, interface in ((self.client, "c0"), (self.server, "s0")):
            self.meter.ask("attach", netns.name, interface, program)

    def settle(self):
        """Until the router has nothing left to do; what it has used."""
        used = self.used_ns()
        while True:
            time.sleep(0.003)
            now = self.used_ns()
            if now - used < 10000:
                return now
            used = now

    def connect(self):
        """A connection that synward translates, if it is there: one that it learns from goes to the server as it is."""
        for _ in range(5):
            connection = self.client.connect(SERVER, ECHO_PORT)
            if self.system not in ("proxy", "forward"):
                return connection
            if int(self.router.run(SYNWARD, "flows", "r0", "--count", "--state", "established")):
                return connection
            connection.close()
            time.sleep(1.1)
        raise BenchError(f"{self.system}: connections are not translated")

    def establish(self):
        """A connection that lasts, and its client's and its server's last data segment as the wire had them."""
        taps = []
        for netns, interface in ((self.client, "c0"), (self.server, "s0")):
            with netns.entered():
                taps.append(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003)))
            taps[-1].bind((interface, 0x0003))
            taps[-1].setblocking(False)
        self.connection = self.connect()
        for _ in range(3):
            self.connection.sendall(bytes(SEGMENT))
            if len(self.connection.recv(SEGMENT, socket.MSG_WAITALL)) != SEGMENT:
                raise BenchError(f"{self.system}: the connection has ended")
        segments = [last_segment(tap) for tap in taps]
        for tap in taps:
            tap.close()
        if not all(segments):
            raise BenchError(f"{self.system}: no data segments were captured")
        return segments


def last_segment(tap):
    """The last frame with SEGMENT bytes of TCP data that left by the tap's interface."""
    found = None
    while True:
        try:
            frame, address = tap.recvfrom(2048)
        except BlockingIOError:
            return found
        if address[2] == socket.PACKET_OUTGOING and frame[12:14] == b"\x08\x00" and frame[23] == socket.IPPROTO_TCP:
            length, = struct.unpack(">H", frame[16:18])
            if length - 20 - (frame[46] >> 4) * 4 == SEGMENT:
                found = frame[:14 + length]


def inward(lane):
    return lane.client, "c0", "r0"


def outward(lane):
    return lane.server, "s0", "r1"


def flood(lane, frames, work, netns, out, into):
    """Frames at full speed to one of the router's interfaces until it has taken so many: ns of router for each, and
    how many they were in the end."""
    used, before = lane.settle(), received(lane.router, into)
    taken = bursts = 0
    while taken < frames:
        if bursts == BURSTS_MOST:
            raise BenchError(f"{lane.system}: the router took {taken} frames")
        lane.meter.ask("live", work, netns.name, out, BURST)
        taken = received(lane.router, into) - before
        bursts += 1
    used = lane.settle() - used
    taken = received(lane.router, into) - before
    return used / taken, taken


def packets(stage, plan, lanes, segments):
    """SYNs of a flood, and one connection's data segments to and from the server."""
    samples = {}
    for system, lane in lanes.items():
        for way, segment in zip(("in", "out"), segments[system]):
            lane.meter.ask("frame", f"{system}-{way}", len(segment), 0, segment[:-SEGMENT].hex())
        lane.ends("sink")
    next(iter(lanes.values())).meter.ask("work", "routed-syn", "--to", SERVER, "--dst-mac", R0_MAC, "--sources", "198.18.0.0/16")
    for _ in range(plan.router_rounds):
        for system, lane in lanes.items():
            for way, of in {"in": (f"{system}-in", *inward(lane)), "out": (f"{system}-out", *outward(lane)),
                            "syn": ("routed-syn", *inward(lane))}.items():
                cell = samples.setdefault(way, {}).setdefault(system, {"ns": [], "arrived": []})
                end = (lane.client, "c0") if way == "out" else (lane.server, "s0")
                arrived = received(*end)
                ns, taken = flood(lane, plan.router_frames, *of)
                cell["ns"].append(ns)
                cell["arrived"].append((received(*end) - arrived) / taken)
    for lane in lanes.values():
        lane.ends("bare_pass")
    for of in samples.values():
        for cell in of.values():
            for other in ("conntrack", "synproxy"):
                cell[f"of_{other}"] = [theirs / ours for ours, theirs in zip(cell["ns"], of[other]["ns"])]
    return {way: {system: {name: spread(values) for name, values in cell.items()} for system, cell in of.items()}
            for way, of in samples.items()}


RATE = 10000


def handshakes(stage, plan, lanes):
    """10,000 a second, as long as they last; of the router's CPU time, how much each took."""
    acceptors = {system: Acceptor(stage, lane.server, stage.flood_cpu) for system, lane in lanes.items()}
    samples = {system: {"us": [], "per_s": []} for system in lanes}
    time.sleep(0.4)
    for _ in range(plan.router_slow_rounds):
        for system, lane in lanes.items():
            lane.meter.ask("attach", lane.client.name, "c0", "answer")
            used, done, began = lane.settle(), acceptors[system].count(), time.monotonic()
            lane.client.spawn(stage, FLOOD, "c0", "--to", SERVER, "--dst-mac", R0_MAC, "--port", ACCEPT_PORT, "--sources", LOADER,
                              "--rate", RATE, "--seconds", plan.hand_s, cpu=stage.flood_cpu).wait()
            took = time.monotonic() - began
            used, done = lane.settle() - used, acceptors[system].count() - done
            lane.meter.ask("attach", lane.client.name, "c0", "bare_pass")
            if not done:
                raise BenchError(f"{system}: no handshake was completed through the router")
            samples[system]["us"].append(used / 1000 / done)
            samples[system]["per_s"].append(done / took)
    return {system: {name: spread(values) for name, values in cell.items()} for system, cell in samples.items()}


def full_size(segment):
    """The headers of a segment that fills its frame with zeros."""
    header = 20 + (segment[46] >> 4) * 4
    ip, tcp = bytearray(segment[14:34]), bytearray(segment[34:14 + header])
    ip[2:4], ip[10:12], tcp[16:18] = struct.pack(">H", FRAME - 14), bytes(2), bytes(2)
    tcp[13] = 0x10  # without PSH, which would end what GRO puts together
    ip[10:12] = checksum(ip)
    tcp[16:18] = checksum(ip[12:20] + struct.pack(">HH", socket.IPPROTO_TCP, FRAME - 34) + tcp)
    return segment[:14] + ip + tcp


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total & 0xffff) + (total >> 16)
    return struct.pack(">H", ~((total & 0xffff) + (total >> 16)) & 0xffff)


def bulk(stage, plan, lanes, segments):
    """A stream of full frames to and from the server: Gbit for each second of the router's CPU. The router's GRO
    makes large segments of them, and they leave as such, as by a NIC's TSO: a veth does that as long as there is no
    XDP program at its other end."""
    compared, samples = ("conntrack", "pass", "proxy"), {}  # differ by hundredths: in more rounds than the others
    for system, lane in lanes.items():
        lane.router.sysctl(netfilter__nf_conntrack_tcp_be_liberal=1)  # the sender waits for no window
        for way, segment in zip(("in", "out"), segments[system]):
            headers = full_size(segment)
            lane.meter.ask("frame", f"{system}-full-{way}", FRAME, FRAME - len(headers), headers.hex())
        for netns, interface in ((lane.client, "c0"), (lane.server, "s0")):
            lane.meter.ask("detach", netns.name, interface)
            netns.run("nft", "-f", "-", input=SINK % interface)
    for at in range(plan.bulk_rounds):
        for system, lane in lanes.items():
            if at >= plan.router_rounds and system not in compared:
                continue
            for way, of in {"in": inward(lane), "out": outward(lane)}.items():
                ns, _ = flood(lane, plan.router_frames, f"{system}-full-{way}", *of)
                samples.setdefault(way, {}).setdefault(system, []).append((FRAME - 14) * 8 / ns)
    return {way: {system: {"gbit": spread(values), "of_conntrack": spread([ours / theirs for ours, theirs in zip(values, of["conntrack"])])}
                  for system, values in of.items()} for way, of in samples.items()}


FLOWS_BITS = (0, 10, 16, 20)
CONNTRACK_BITS = 16  # at most: its table ends at 262,144 entries, for all of this machine


def flows(stage, plan, lanes):
    """Acknowledgements of a client, each on another one of so many connections: router's ns for each, and net ns of
    synward's program alone. Its table, a new one, holds a million all the while. The stack itself has more to do where
    each packet is of another connection: hence plain forwarding beside it."""
    lane, tracked, plain = lanes["proxy"], lanes["conntrack"], lanes["plain"]
    tracked.router.sysctl(netfilter__nf_conntrack_tcp_loose=1)  # makes its own entries of them
    counts = FLOWS_BITS[::3] if plan.quick else FLOWS_BITS
    lane.router.run(SYNWARD, "detach", "r0")
    SYSTEMS["proxy"][1](lane)
    stage.meter.ask("flows", lane.router.pin("flows"), max(counts), "100.64.0.0", 1024, SERVER, PORT)
    for bits in counts:
        for meter in (lane.meter, stage.meter):
            meter.ask("work", f"flows-{bits}", "--to", SERVER, "--dst-mac", R0_MAC, "--kind", "ack",
                      "--sources", f"100.64.0.0/{32 - bits}", "--source-port", 1024)
    result = {str(1 << bits): {"net_ns": [], "plain": [], "proxy": [], "conntrack": []} for bits in counts}
    for _ in range(plan.router_slow_rounds):
        for bits in counts:
            cell, work = result[str(1 << bits)], f"flows-{bits}"
            ns, verdict = map(int, stage.meter.ask("replay", work, lane.router.name, "r0", "attached", plan.cost_frames))
            if FLOORS.get(verdict) != "bare_pass":
                raise BenchError("flows: a segment was not let by")
            bare, _ = map(int, stage.meter.ask("replay", work, lane.router.name, "r0", "bare_pass", plan.cost_frames))
            cell["net_ns"].append(ns - bare)
            cell["plain"].append(flood(plain, plan.slow_frames, work, *inward(plain))[0])
            cell["proxy"].append(flood(lane, plan.slow_frames, work, *inward(lane))[0])
            if bits <= CONNTRACK_BITS:
                cell["conntrack"].append(flood(tracked, max(plan.slow_frames, 2 << bits), work, *inward(tracked))[0])
    return {count: {name: spread(values) for name, values in cell.items()} for count, cell in result.items()}


def router(stage, plan):
    meter = Meter(stage.flood_cpu)
    lanes = {}
    try:
        for system in SYSTEMS:
            lanes[system] = Lane(stage, meter, system)
        for _ in range(2):  # what synward learns the server from, once a second
            for lane in lanes.values():
                lane.client.connect(SERVER, ECHO_PORT).close()
            time.sleep(1.1)
        segments = {system: lane.establish() for system, lane in lanes.items()}
        return {"packets": packets(stage, plan, lanes, segments), "handshakes": handshakes(stage, plan, lanes),
                "bulk": bulk(stage, plan, lanes, segments), "flows": flows(stage, plan, lanes)}
    finally:
        stage.end_children()
        for lane in lanes.values():
            lane.router.run(SYNWARD, "detach", "--all", check=False)
        meter.close()
