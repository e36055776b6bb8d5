# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Listeners of the kernel under test, and what it says about their connections."""
import itertools
import os
import socket
import struct
import threading
from collections import namedtuple

FAMILY = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
ANY = {"ipv4": "0.0.0.0", "ipv6": "::"}

Info = namedtuple("Info", "state tstamp sack wscale ecn snd_wscale rcv_wscale snd_mss rcv_mss pmtu advmss")

ESTABLISHED, SYN_RECV = 1, 3

# Each test listens on a port of its own: nothing cached about another test's listener is met.
ports = itertools.count(4000)


def next_port():
    return next(ports)


def tcp_info(sock):
    raw = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    options, scales = raw[5], raw[6]
    word = struct.unpack_from("=24I", raw, 8)
    return Info(state=raw[0], tstamp=bool(options & 1), sack=bool(options & 2), wscale=bool(options & 4),
                ecn=bool(options & 8), snd_wscale=scales & 15, rcv_wscale=scales >> 4,
                snd_mss=word[2], rcv_mss=word[3], pmtu=word[13], advmss=word[19])


class Listener:
    def __init__(self, ns, family, port=None, backlog=128, addr=None, proto=0, dual=False, prepare=None):
        """prepare(sock) is called before listen(), for options; dual: IPv6 that takes IPv4 as well."""
        self.ns, self.family = ns, family
        self.port = port or next_port()
        self.sock = ns.socket(FAMILY[family], socket.SOCK_STREAM, proto)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == "ipv6":
            self.sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if dual else 1)
        if prepare:
            prepare(self.sock)
        self.sock.bind((addr or ANY[family], self.port))
        self.sock.listen(backlog)
        self.sock.settimeout(2)
        self.accepted = []

    def accept(self, timeout=2.0):
        """The next connection, or None."""
        self.sock.settimeout(timeout)
        try:
            conn, _ = self.sock.accept()
        except (TimeoutError, BlockingIOError):
            return None
        conn.settimeout(2)
        self.accepted.append(conn)
        return conn

    def nothing_more(self, within=0.15):
        return self.accept(within) is None

    def close(self):
        for conn in self.accepted:
            conn.close()
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def read_exactly(sock, count):
    got = b""
    while len(got) < count:
        piece = sock.recv(count - len(got))
        if not piece:
            break
        got += piece
    return got


class Echo:
    """Listener whose connections get back what they send, from threads of this process."""

    def __init__(self, ns, family, port=None, backlog=4096, dual=False):
        self.listener = Listener(ns, family, port, backlog, dual=dual)
        self.port, self.count = self.listener.port, 0
        self.listener.sock.settimeout(None)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                conn, _ = self.listener.sock.accept()
            except OSError:
                return
            self.count += 1
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    @staticmethod
    def _serve(conn):
        with conn:
            try:
                while piece := conn.recv(65536):
                    conn.sendall(piece)
            except OSError:
                pass

    def close(self):
        try:
            self.listener.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def connect(ns, family, addr, port, timeout=3.0, prepare=None):
    """A client of ns's kernel."""
    sock = ns.socket(FAMILY[family], socket.SOCK_STREAM)
    sock.settimeout(timeout)
    if prepare:
        prepare(sock)
    try:
        sock.connect((addr, port))
    except BaseException:
        sock.close()
        raise
    return sock


def nobody():
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]


def linger_reset(sock):
    """close() sends RST from now on."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def readable_by_nobody(path):
    """A copy where every user can run it."""
    import shutil
    import tempfile
    place = tempfile.mkdtemp(prefix="swt-")
    os.chmod(place, 0o755)
    copy = shutil.copy(path, place)
    os.chmod(copy, 0o755)
    return copy
