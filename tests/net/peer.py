# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Raw TCP clients: a stack of the test's own, speaking through AF_PACKET from an address no kernel owns."""
import random
import socket
import struct
import time

import frame as f

SOL_PACKET, PACKET_AUXDATA, PACKET_IGNORE_OUTGOING = 263, 8, 23
TP_STATUS_CSUMNOTREADY, TP_STATUS_VLAN_VALID, TP_STATUS_VLAN_TPID_VALID = 1 << 3, 1 << 4, 1 << 6
ETH_P_ALL = 3

TSVAL = 0x5A000000

# What stacks put into a SYN, in their order; what a client without them offers; RFC numbers where one decides.
STACKS = {
    "linux": lambda mss: f.mss(mss) + f.SACK_PERMITTED + f.tstamp(TSVAL) + f.NOP + f.wscale(7),
    "windows": lambda mss: f.mss(mss) + f.NOP + f.wscale(8) + f.NOP + f.NOP + f.SACK_PERMITTED,
    "macos": lambda mss: f.mss(mss) + f.NOP + f.wscale(6) + f.NOP + f.NOP + f.tstamp(TSVAL) + f.SACK_PERMITTED + f.EOL + f.EOL,
    "ios": lambda mss: f.mss(mss) + f.NOP + f.wscale(7) + f.NOP + f.NOP + f.tstamp(TSVAL) + f.SACK_PERMITTED + f.EOL + f.EOL,
    "freebsd": lambda mss: f.mss(mss) + f.NOP + f.wscale(6) + f.SACK_PERMITTED + f.tstamp(TSVAL),
    "old": lambda mss: b"",
    "embedded": lambda mss: f.mss(mss),
}
STACK_WINDOW = {"linux": 64240, "windows": 64240, "macos": 65535, "ios": 65535, "freebsd": 65535, "old": 8192, "embedded": 5840}
ECN_STACKS = ("ios",)  # asks for ECN with each SYN


def stack_mss(stack, family):
    if stack == "embedded":
        return 536 if family == "ipv4" else 1220  # lwIP's TCP_MSS, and the least IPv6 carries
    return 1460 if family == "ipv4" else 1440


class Wire:
    """An AF_PACKET socket on one interface: sends frames, and hands out those received."""

    def __init__(self, ns, ifname):
        with ns:
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
            self.sock.bind((ifname, 0))
        self.sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self.sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)

    def send(self, frame):
        self.sock.send(frame)

    def read(self, timeout):
        """(frame, tags the kernel took out of it, whether its checksum is yet to be made), or None."""
        self.sock.settimeout(max(timeout, 0.000001))
        try:
            data, control, _, _ = self.sock.recvmsg(65536, 256)
        except (TimeoutError, BlockingIOError):
            return None
        tags, partial = (), False
        for level, kind, value in control:
            if level == SOL_PACKET and kind == PACKET_AUXDATA:
                status, _, _, _, _, tci, tpid = struct.unpack("=IIIHHHH", value[:20])
                partial = bool(status & TP_STATUS_CSUMNOTREADY)
                if status & TP_STATUS_VLAN_VALID:
                    tags = ((tpid if status & TP_STATUS_VLAN_TPID_VALID else f.ETH_8021Q, tci),)
        return data, tags, partial

    def flush(self):
        while self.read(0):
            pass

    def close(self):
        self.sock.close()


class Peer:
    """One client connection. snd_nxt and rcv_nxt move as a stack's would; nothing is sent unasked."""

    def __init__(self, link, family, dport, stack="linux", *, src=None, sport=None, isn=None, options=None,
                 ecn=None, mss=None, tsval=TSVAL, wire=None, dst=None):
        self.link, self.family, self.dport, self.stack = link, family, dport, stack
        self.src = src or link.next_source(family)
        self.dst = dst or link.server_addr[family]
        self.sport = sport or random.randrange(20000, 60000)
        self.isn = random.getrandbits(32) if isn is None else isn
        self.mss = mss or stack_mss(stack, family)
        self.options = STACKS[stack](self.mss) if options is None else options
        self.window = STACK_WINDOW[stack]
        self.ecn = stack in ECN_STACKS if ecn is None else ecn
        self.tsval, self.ts_recent, self.tstamp = tsval, 0, False
        self.snd_nxt, self.rcv_nxt = (self.isn + 1) & 0xFFFFFFFF, 0
        self.synack = None
        self.shut = False  # the SYN-ACK's window was 0, and nothing has opened it yet
        self.wire = wire or Wire(link.client, link.client_if)
        self.wire_is_mine = wire is None
        self.l3 = {}

    def close(self):
        if self.wire_is_mine:
            self.wire.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def frame(self, flags, *, seq=None, ack=None, payload=b"", options=None, tags=(), ip=None, proto=None, **tcp):
        seq = self.snd_nxt if seq is None else seq
        ack = (self.rcv_nxt if flags & f.ACK else 0) if ack is None else ack
        if options is None:
            options = f.NOP + f.NOP + f.tstamp(self.tsval, self.ts_recent) if self.tstamp and not flags & f.RST else b""
        tcp.setdefault("window", self.window)
        segment = f.tcp_header(self.src, self.dst, self.sport, self.dport, seq, ack, flags,
                               options=options, payload=payload, **tcp)
        packet = f.ip_packet(self.src, self.dst, f.TCP, segment, **{**self.l3, **(ip or {})})
        return f.ethernet(self.link.server_mac, self.link.client_mac, packet,
                          f.ETH_IPV4 if self.family == "ipv4" else f.ETH_IPV6, tags)

    def send(self, flags, **how):
        self.wire.send(self.frame(flags, **how))

    def syn_frame(self, **how):
        flags = f.SYN | (f.ECE | f.CWR if self.ecn else 0)
        how.setdefault("options", self.options)
        how.setdefault("seq", self.isn)
        return self.frame(how.pop("flags", flags), **how)

    def syn(self, **how):
        self.wire.send(self.syn_frame(**how))

    def receive(self, timeout=1.0, want=None):
        """The next segment to this peer (that want is true for), or None."""
        end = time.monotonic() + timeout
        while True:
            got = self.wire.read(end - time.monotonic())
            if not got:
                return None
            segment = f.dissect(got[0], got[1])
            if (segment and segment.dst == self.src and segment.dport == self.sport and segment.sport == self.dport
                    and (want is None or want(segment))):
                segment.when, segment.partial = time.monotonic(), got[2]
                self.shut &= not segment.window or bool(segment.flags & f.SYN)
                return segment

    def receive_all(self, quiet=0.15):
        """What comes until nothing has come for a while."""
        found = []
        while True:
            segment = self.receive(quiet)
            if not segment:
                return found
            found.append(segment)

    def take_synack(self, segment):
        self.synack = segment
        self.shut = not segment.window
        self.rcv_nxt = (segment.seq + 1) & 0xFFFFFFFF
        self.tstamp = segment.tsval is not None
        if self.tstamp:
            self.ts_recent = segment.tsval

    def ask(self, timeout=2.0, **how):
        """SYN out, SYN-ACK back, or None."""
        self.syn(**how)
        segment = self.receive(timeout, lambda s: s.is_synack)
        if segment:
            self.take_synack(segment)
        return segment

    def connect(self, payload=b"", **how):
        """A whole handshake; payload rides on the last ACK."""
        assert self.ask(**how), f"no SYN-ACK for {self.stack} from {self.src}:{self.sport}"
        self.tsval += 1
        self.data(payload)
        return self

    def wait_for_window(self, timeout=2.0):
        """Proxy mode: data may go once the server is there. Nothing to wait for elsewhere."""
        end = time.monotonic() + timeout
        while self.shut and time.monotonic() < end:
            self.send(f.ACK)  # a stack's probe
            self.receive(0.25, lambda s: s.window and not s.flags & f.SYN)

    def data(self, payload, flags=f.ACK, **how):
        if payload or flags & f.FIN:
            self.wait_for_window()
        if payload:
            flags |= f.PSH
        self.send(flags, payload=payload, **how)
        self.snd_nxt = (self.snd_nxt + len(payload) + bool(flags & f.FIN)) & 0xFFFFFFFF

    def take(self, segment):
        """Accepts a segment's data and FIN in order, as a receiver would."""
        if segment.seq == self.rcv_nxt:
            self.rcv_nxt = (self.rcv_nxt + len(segment.payload) + bool(segment.flags & f.FIN)) & 0xFFFFFFFF
            if segment.tsval is not None:
                self.ts_recent = segment.tsval
        return segment.payload

    def read(self, count, timeout=2.0, acknowledge=True):
        """count bytes of data, acknowledged as they come."""
        got, end = b"", time.monotonic() + timeout
        while len(got) < count:
            segment = self.receive(end - time.monotonic())
            if not segment:
                break
            if segment.payload and segment.seq == self.rcv_nxt:
                got += self.take(segment)
                if acknowledge:
                    self.send(f.ACK)
        return got

    def tell(self, segment):
        """A segment as told relative to this connection: what two runs of it can be compared by."""
        ours = self.synack.seq if self.synack else 0
        return (f.flag_names(segment.flags), (segment.seq - ours) & 0xFFFFFFFF if segment.seq else 0,
                (segment.ack - self.isn) & 0xFFFFFFFF if segment.flags & f.ACK else 0, len(segment.payload))


def look(segment):
    """What a SYN-ACK looks like, but for ISN, TSval, IP id and flow label; None if there was none."""
    return segment and dict(options=segment.options_but_times(), window=segment.window, ttl=segment.ttl, df=segment.df,
                            tos=segment.tos, flags=f.flag_names(segment.flags), urgent=segment.urgent)


def synack_look(link, family, port, stack="linux", timeout=2.0, **how):
    with Peer(link, family, port, stack, **how) as peer:
        synack = peer.ask(timeout)
        peer.send(f.RST)  # or direct requests would pile up until the kernel turns to its cookies
        return look(synack)
