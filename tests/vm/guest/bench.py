# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""What is done to a guarded link: real connections, forged SYNs, and what the server's kernel says of them."""
import concurrent.futures
import random
import re
import socket
import threading
import time

from peer import Peer, Wire
from server import connect, read_exactly
from world import wait_until

CONNECTIONS = 6
FLOOD_FRAMES = 256


def refusal(done):
    """The one line a command refused with, warnings aside."""
    lines = [line for line in (done.stdout + done.stderr).strip().splitlines() if "warning: " not in line]
    assert done.returncode == 1 and len(lines) == 1, f"no one-line refusal: exit {done.returncode}, {lines}"
    assert lines[0].startswith("synward: "), lines[0]
    return lines[0].removeprefix("synward: ")


def warnings(done):
    return [line.split("warning: ", 1)[1] for line in done.stderr.splitlines() if "warning: " in line]


def picked(guard, done):
    """The mode that runs, and what attach warned of."""
    return ": ".join(filter(None, (guard.status()[0]["xdp"], " | ".join(warnings(done)))))


def attach(guard, mode="auto", *options):
    """Attaches; on failure the verifier's log, if there is one, is in the console's log."""
    done = guard.attach(mode, *options, check=False)
    if done.returncode:
        again = guard.attach(mode, "-v", *options, check=False)
        print(f"== attach {guard.ifname} --xdp {mode} {' '.join(options)}\n{again.stdout}{again.stderr}", flush=True)
        if not again.returncode:
            guard.detach()
        raise AssertionError(f"attach: {done.stdout}{done.stderr}".strip())
    return done


def exchange(link, family, port, payload=b"are you there?" * 20, timeout=10, server=None):
    """Connects over link and gets back what it sends; seconds it took to connect."""
    began = time.monotonic()
    with connect(link.client, family, link.server_addr[family], port, timeout) as sock:
        took = time.monotonic() - began
        sock.sendall(payload)
        assert read_exactly(sock, len(payload)) == payload, "the echo is not what was sent"
    return took


def exchanges(link, port, families=("ipv4", "ipv6"), count=CONNECTIONS, **how):
    """count connections of each family at once; raises what the first that failed raised. Seconds to connect of each."""
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        jobs = [pool.submit(exchange, link, family, port, **how) for family in families for _ in range(count)]
        return [job.result() for job in jobs]


def half_open(link):
    return len(link.server.run("ss", "-Htn", "state", "syn-recv").stdout.splitlines())


class Flood:
    """Forged SYNs from many sources, sent again and again while it lasts."""

    def __init__(self, link, port, families=("ipv4", "ipv6")):
        self.wire, self.sent, self.stopping = Wire(link.client, link.client_if), 0, threading.Event()
        self.frames = []
        for at in range(FLOOD_FRAMES):
            family = families[at % len(families)]
            peer = Peer(link, family, port, random.choice(("linux", "windows")), wire=self.wire)
            self.frames.append(peer.syn_frame())
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.stopping.is_set():
            for frame in self.frames:
                try:
                    self.wire.send(frame)
                    self.sent += 1
                except OSError:  # the queue is full
                    time.sleep(0.01)
            time.sleep(0.02)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()
        self.wire.close()


class Pulse:
    """Small numbered frames to the server, 500 a second: how many of them are lost meanwhile, and the longest pause."""
    PAUSE = 0.002

    def __init__(self, link):
        self.got, self.sent, self.stopping = [], 0, threading.Event()
        self.server = link.server.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.server.bind((link.server_addr["ipv4"], 0))
        self.client = link.client.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.client.connect(self.server.getsockname())
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self.send, self.receive)]

    def send(self):
        while not self.stopping.is_set():
            try:
                self.client.send(b"%d" % self.sent)
            except OSError:  # the link is down
                pass
            self.sent += 1
            time.sleep(self.PAUSE)

    def receive(self):
        self.server.settimeout(0.5)
        while True:
            try:
                self.server.recv(64)
                self.got.append(time.monotonic())
            except TimeoutError:
                if self.stopping.is_set():
                    return

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        assert wait_until(lambda: len(self.got) > 20, 10), "no frame arrives"
        return self

    def __exit__(self, *_):
        time.sleep(0.3)
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        self.client.close()
        self.server.close()

    def figures(self):
        pauses = [later - earlier for earlier, later in zip(self.got, self.got[1:])]
        return {"sent": self.sent, "lost": self.sent - len(self.got), "pause_ms": round(1000 * max(pauses, default=0))}


def throughput(link, seconds=2):
    """Mbit/s of one established connection towards the server."""
    server = link.server.spawn("iperf3", "-s", "-1")
    try:
        assert wait_until(lambda: "5201" in link.server.run("ss", "-Htln").stdout, 10)
        done = link.client.run("iperf3", "-c", link.server_addr["ipv4"], "-t", seconds, "-f", "m", check=False, timeout=60)
        found = re.findall(r"([\d.]+) Mbits/sec.*receiver", done.stdout)
        assert found, done.stdout + done.stderr
        return float(found[-1])
    finally:
        server.kill()
        server.wait()
