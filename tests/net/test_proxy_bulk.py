# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
#    client, cg0 (disturbed) ──────── sw0 (synward) box bs0 (disturbed) ──────── ss0 (disturbed), listener
#
# Much data both ways at once, and the same bytes at the other end. Disturbed interfaces lose, double
# and put behind others one frame in a hundred each, of what comes in. SYNWARD_BULK_MB: how much, each way.
import hashlib
import os
import socket
import threading
import time

import pytest

from burst import build
from proxy_world import ProxyBed
from server import Listener, connect

MEGABYTES = int(os.environ.get("SYNWARD_BULK_MB", "50"))
STALL_S = 30  # a sender that gets nothing away for so long has stalled
BLOCK = os.urandom(1 << 20)


@pytest.fixture(scope="module", params=[("routed", 1500), ("nft", 9000)], ids=lambda p: f"{p[0]}-{p[1]}")
def bed(request):
    topology, mtu = request.param
    made = ProxyBed(topology, "native", mtu=min(mtu, 3498), back_mtu=mtu)
    yield made
    made.remove()


def disturb(ns, ifname):
    ns.run("tc", "qdisc", "add", "dev", ifname, "clsact")
    ns.run("tc", "filter", "add", "dev", ifname, "ingress", "bpf", "da", "obj", build("disturb"), "sec", "tc")


class Pump:
    """Sends and reads megabytes over one socket at once; digests of both ways."""

    def __init__(self, sock, megabytes):
        sock.settimeout(STALL_S)
        self.sock, self.megabytes, self.sent, self.got = sock, megabytes, hashlib.sha256(), hashlib.sha256()
        self.error, self.count = None, 0
        self.threads = [threading.Thread(target=self._guarded, args=(work,), daemon=True) for work in (self._send, self._read)]
        for thread in self.threads:
            thread.start()

    def _guarded(self, work):
        try:
            work()
        except OSError as error:
            self.error = error

    def _send(self):
        for at in range(self.megabytes):
            piece = at.to_bytes(8, "big") + BLOCK[8:]
            self.sent.update(piece)
            self.sock.sendall(piece)
        self.sock.shutdown(socket.SHUT_WR)

    def _read(self):
        while piece := self.sock.recv(1 << 18):
            self.got.update(piece)
            self.count += len(piece)

    def join(self):
        for thread in self.threads:
            thread.join()
        assert not self.error, f"{self.error} after {self.count} bytes"


def exchange(bed, family, megabytes, meanwhile=None):
    with Listener(bed.server, family) as listener:
        # The first connection teaches the server's options, the second one is the flow.
        bed.teach(family, listener.port)
        with connect(bed.client, family, bed.guarded.server_addr[family], listener.port) as sock:
            client, server = Pump(sock, megabytes), Pump(listener.accept(), megabytes)
            if meanwhile:
                meanwhile(client)
            client.join()
            server.join()
            assert client.count == server.count == megabytes << 20
            assert client.got.digest() == server.sent.digest() and server.got.digest() == client.sent.digest()


def test_bulk_both_ways_undisturbed(bed, family):
    exchange(bed, family, MEGABYTES)


def test_programs_are_replaced_under_a_transfer(bed, family):
    """Attached again three times, keys and all: flows go on."""
    def replace(pump):
        for _ in range(3):
            seen = pump.count
            bed.attach()
            end = time.monotonic() + STALL_S
            while pump.count == seen and pump.threads[1].is_alive() and time.monotonic() < end:
                time.sleep(0.02)
            assert pump.count != seen or not pump.threads[1].is_alive(), "nothing comes any more"
    exchange(bed, family, MEGABYTES * 2, replace)


def test_bulk_under_loss_duplication_and_reordering(bed, family):
    """The last test of the bed: it stays disturbed."""
    if family == "ipv4":
        for ns, ifname in ((bed.client, "cg0"), (bed.server, "ss0"), (bed.box, "bs0")):
            disturb(ns, ifname)
    before = bed.client.netstat("TcpRetransSegs")
    began = time.monotonic()
    exchange(bed, family, MEGABYTES)
    seconds = time.monotonic() - began
    repeated = bed.client.netstat("TcpRetransSegs") - before
    print(f"{MEGABYTES} MB each way in {seconds:.1f} s, {repeated} segments sent again by the client")
    assert repeated > 0, "nothing was lost"
