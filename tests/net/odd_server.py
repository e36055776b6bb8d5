# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""A TCP server that is no Linux: a small stack of the test's own behind AF_PACKET, with options to order."""
import random
import threading

import frame as f
from peer import Wire

IDLE, WINDOW = 0.2, 8192


class OddServer:
    """Echoes on one port of an address that ns's kernel does not own, after a banner if it has one. Takes segments
    in order, sends one at a time."""

    def __init__(self, ns, ifname, mac, peer_mac, family, addr, port, options=b"", mss=536, banner=b""):
        self.mac, self.peer_mac, self.family, self.addr, self.port = mac, peer_mac, family, addr, port
        self.options, self.mss, self.banner = options, mss, banner
        self.wire = Wire(ns, ifname)
        self.conns, self.unwelcomed, self.syns, self.stopping, self.odd = {}, set(), 0, False, []
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def close(self):
        self.stopping = True
        self.thread.join()
        self.wire.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _send(self, s, flags, seq, ack, payload=b"", options=b""):
        segment = f.tcp_header(self.addr, s.src, self.port, s.sport, seq, ack, flags, options=options, payload=payload, window=WINDOW)
        self.wire.send(f.ethernet(self.peer_mac, self.mac, f.ip_packet(self.addr, s.src, f.TCP, segment),
                                  f.ETH_IPV4 if self.family == "ipv4" else f.ETH_IPV6))

    def _run(self):
        while not self.stopping:
            got = self.wire.read(IDLE)
            segment = got and f.dissect(*got[:2])
            if segment and segment.dst == self.addr and segment.dport == self.port:
                self._take(segment)

    def _take(self, s):
        key = s.src, s.sport
        if s.flags & f.RST:
            self.conns.pop(key, None)
        elif s.flags & f.SYN:
            self.syns += 1
            isn = random.getrandbits(32)
            self.conns[key] = [(isn + 1) & 0xFFFFFFFF, (s.seq + 1) & 0xFFFFFFFF]
            self.unwelcomed.add(key)
            self._send(s, f.SYN | f.ACK, isn, self.conns[key][1], options=self.options)
        elif key in self.conns:
            if self.banner and key in self.unwelcomed:
                self._say(s, self.banner, self.conns[key])
            self.unwelcomed.discard(key)
            self._data(s, self.conns[key])

    def _say(self, s, text, conn):
        for at in range(0, len(text), self.mss):
            piece = text[at:at + self.mss]
            self._send(s, f.ACK | f.PSH, *conn, piece)
            conn[0] = (conn[0] + len(piece)) & 0xFFFFFFFF

    def _data(self, s, conn):
        kinds = {kind for kind, _ in s.options_but_times()} - {0, 1}
        if s.tsval is not None or kinds:
            self.odd.append(s)  # options this stack has not agreed on
        if s.seq != conn[1]:
            self._send(s, f.ACK, *conn)
            return
        conn[1] = (conn[1] + len(s.payload) + bool(s.flags & f.FIN)) & 0xFFFFFFFF
        self._say(s, s.payload, conn)
        if s.flags & f.FIN:
            self._send(s, f.ACK | f.FIN, *conn)
            conn[0] = (conn[0] + 1) & 0xFFFFFFFF
