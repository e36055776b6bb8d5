# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Frames, byte by byte: TCP segments made to order, and what comes back taken apart.

Plain struct and not scapy, which needs a millisecond a frame and repairs what a test
wants broken.
"""
import ipaddress
import random
import struct
from dataclasses import dataclass, field

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80
ETH_IPV4, ETH_IPV6, ETH_ARP, ETH_8021Q, ETH_8021AD = 0x0800, 0x86DD, 0x0806, 0x8100, 0x88A8
TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
HOP_BY_HOP, ROUTING, FRAGMENT, DEST_OPTIONS = 0, 43, 44, 60


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def addr(text):
    return ipaddress.ip_address(text).packed


def add16(data):
    if len(data) & 1:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def checksum(data):
    return ~add16(data) & 0xFFFF


def pseudo(src, dst, length, proto):
    if len(src) == 4:
        return src + dst + struct.pack("!BBH", 0, proto, length)
    return src + dst + struct.pack("!II", length, proto)


# TCP options ------------------------------------------------------------------------

EOL, NOP = b"\0", b"\1"
SACK_PERMITTED = b"\4\2"


def mss(value):
    return struct.pack("!BBH", 2, 4, value)


def wscale(shift):
    return bytes([3, 3, shift])


def tstamp(tsval, tsecr=0):
    return struct.pack("!BBII", 8, 10, tsval & 0xFFFFFFFF, tsecr & 0xFFFFFFFF)


def parse_options(data):
    """[(kind, value)], NOP and EOL among them: the order is part of what is compared."""
    found, at = [], 0
    while at < len(data):
        kind = data[at]
        if kind in (0, 1):
            found.append((kind, b""))
            at += 1
            if kind == 0:
                break
            continue
        length = data[at + 1] if at + 1 < len(data) else 0
        if length < 2 or at + length > len(data):
            found.append((kind, None))
            break
        found.append((kind, data[at + 2:at + length]))
        at += length
    return found


# Building ---------------------------------------------------------------------------

def tcp_header(src, dst, sport, dport, seq, ack, flags, *, window=65535, options=b"", payload=b"",
               data_offset=None, urgent=0, ns=0, csum=None):
    """csum: None right, "partial" the pseudo-header's sum alone, "bad" wrong, or the value."""
    options += b"\0" * (-len(options) % 4)
    words = 5 + len(options) // 4 if data_offset is None else data_offset
    head = struct.pack("!HHIIBBHHH", sport, dport, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF,
                       words << 4 | ns, flags, window, 0, urgent)
    segment = head + options + payload
    src, dst = addr(src), addr(dst)
    start = pseudo(src, dst, len(segment), TCP)
    if csum == "partial":
        value = add16(start)
    elif isinstance(csum, int):
        value = csum
    else:
        value = checksum(start + segment)
        if csum == "bad":
            value ^= 0x5555
    return segment[:16] + struct.pack("!H", value) + segment[18:]


def ip_packet(src, dst, proto, payload, *, ttl=64, tos=0, df=True, ident=None, ip_options=b"",
              extensions=(), fragment=(0, False), ip_csum=None, flow_label=0):
    """extensions: [(kind, bytes from the second byte on)] of IPv6; fragment: (offset/8, more)."""
    s, d = addr(src), addr(dst)
    if len(s) == 4:
        ip_options += b"\0" * (-len(ip_options) % 4)
        ihl = 5 + len(ip_options) // 4
        frag = (0x4000 if df else 0) | (0x2000 if fragment[1] else 0) | fragment[0]
        head = struct.pack("!BBHHHBBH4s4s", 0x40 | ihl, tos, ihl * 4 + len(payload),
                           random.getrandbits(16) if ident is None else ident, frag, ttl, proto, 0, s, d)
        head += ip_options
        value = checksum(head)
        if ip_csum == "bad":
            value ^= 0x5555
        return head[:10] + struct.pack("!H", value) + head[12:] + payload
    chain, kinds = b"", [kind for kind, _ in extensions] + [proto]
    for at, (_, body) in enumerate(extensions):
        chain += bytes([kinds[at + 1]]) + body
    return struct.pack("!IHBB", 6 << 28 | tos << 20 | flow_label, len(chain) + len(payload),
                       kinds[0], ttl) + s + d + chain + payload


def padding_extension(eights=0):
    """The body of hop-by-hop or destination options, 8 * (eights + 1) bytes in all: one option to be
    skipped if unknown. PadN over 7 bytes would be dropped by the kernel."""
    room = 8 * (eights + 1) - 4
    return bytes([eights, 0x1E, room]) + b"\0" * room


def fragment_extension(offset=0, more=False, ident=0x51515151):
    return struct.pack("!BHI", 0, offset << 3 | more, ident)


def routing_extension(segments_left=0):
    """Type 2 (mobility), one address."""
    return bytes([2, 2, segments_left]) + b"\0" * 4 + addr("2001:db8:1::99")


def ethernet(dst_mac, src_mac, payload, proto, tags=()):
    frame = mac(dst_mac) + mac(src_mac)
    for tpid, tci in tags:
        frame += struct.pack("!HH", tpid, tci)
    return frame + struct.pack("!H", proto) + payload


# Taking apart -----------------------------------------------------------------------

@dataclass
class Segment:
    """A received TCP segment; times in seconds, numbers in host order."""
    src: str
    dst: str
    sport: int
    dport: int
    seq: int
    ack: int
    flags: int
    window: int
    urgent: int
    options: list
    raw_options: bytes
    payload: bytes
    ttl: int
    tos: int
    df: bool
    ident: int
    flow_label: int
    tags: tuple
    ip_csum_right: bool
    csum_right: bool
    frame: bytes = field(repr=False)
    when: float = 0.0

    def option(self, kind):
        for found, value in self.options:
            if found == kind:
                return value
        return None

    @property
    def tsval(self):
        value = self.option(8)
        return struct.unpack("!I", value[:4])[0] if value else None

    @property
    def tsecr(self):
        value = self.option(8)
        return struct.unpack("!I", value[4:])[0] if value else None

    @property
    def mss(self):
        value = self.option(2)
        return struct.unpack("!H", value)[0] if value else None

    @property
    def wscale(self):
        value = self.option(3)
        return value[0] if value else None

    @property
    def is_synack(self):
        return self.flags & (SYN | ACK | RST | FIN) == SYN | ACK

    def options_but_times(self):
        """The option bytes in order; TSval, which differs from run to run, is left out."""
        return [(kind, value[4:] if kind == 8 and value else value) for kind, value in self.options]


def flag_names(flags):
    return "".join(name for bit, name in zip((1, 2, 4, 8, 16, 32, 64, 128), "FSRPAUEC") if flags & bit) or "none"


def dissect(frame, tags=()):
    """A Segment, or None if it is not a whole TCP segment (extension headers are not walked)."""
    proto, at, tags = struct.unpack("!H", frame[12:14])[0], 14, tuple(tags)
    while proto in (ETH_8021Q, ETH_8021AD):
        tags += ((proto, struct.unpack("!H", frame[at:at + 2])[0]),)
        proto, at = struct.unpack("!H", frame[at + 2:at + 4])[0], at + 4
    if proto == ETH_IPV4:
        ihl = (frame[at] & 15) * 4
        if frame[at + 9] != TCP:
            return None
        total, ident, frag = struct.unpack("!HHH", frame[at + 2:at + 8])
        if frag & 0x1FFF:
            return None
        src, dst = frame[at + 12:at + 16], frame[at + 16:at + 20]
        info = dict(ttl=frame[at + 8], tos=frame[at + 1], df=bool(frag & 0x4000), ident=ident, flow_label=0,
                    ip_csum_right=add16(frame[at:at + ihl]) == 0xFFFF)
        segment = frame[at + ihl:at + total]
    elif proto == ETH_IPV6:
        first, length, following, hops = struct.unpack("!IHBB", frame[at:at + 8])
        if following != TCP:
            return None
        src, dst = frame[at + 8:at + 24], frame[at + 24:at + 40]
        info = dict(ttl=hops, tos=first >> 20 & 255, df=True, ident=0, flow_label=first & 0xFFFFF,
                    ip_csum_right=True)
        segment = frame[at + 40:at + 40 + length]
    else:
        return None
    if len(segment) < 20:
        return None
    sport, dport, seq, ack, words, flags, window, _, urgent = struct.unpack("!HHIIBBHHH", segment[:20])
    head = (words >> 4) * 4
    right = add16(pseudo(src, dst, len(segment), TCP) + segment) == 0xFFFF
    return Segment(src=str(ipaddress.ip_address(src)), dst=str(ipaddress.ip_address(dst)), sport=sport,
                   dport=dport, seq=seq, ack=ack, flags=flags, window=window, urgent=urgent,
                   options=parse_options(segment[20:head]), raw_options=segment[20:head],
                   payload=segment[head:], tags=tags, csum_right=right, frame=frame, **info)
