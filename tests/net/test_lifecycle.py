# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
#    kernel client, cg0 10.1.0.2 ─────────── sw0 10.1.0.1  attach, attach again, detach
#
# Point 17 while things change, and what is left behind: nothing.
import hashlib
import json
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

import frame as f
from conftest import Bed
from guard import EVENTS, REASONS, Guard, leftover_pins
from peer import Peer, Wire
from test_flood import SYN_COUNTER, syns_seen
from server import Echo, Listener, connect, nobody, read_exactly, readable_by_nobody
from world import FLOOD, SYNWARD, Link, Namespace, wait_until

MODES = pytest.mark.parametrize("mode", ["native", "generic"])


class Transfer:
    """A client of the kernel that sends random data to an echo server until told to stop; hashes of both ways."""

    def __init__(self, bed, family, echo):
        self.sock = connect(bed.client, family, bed.guarded.server_addr[family], echo.port, timeout=10)
        self.sent, self.got, self.count, self.running, self.error = hashlib.sha256(), hashlib.sha256(), 0, True, None
        self.returned = 0
        self.threads = [threading.Thread(target=self._send), threading.Thread(target=self._receive)]
        for thread in self.threads:
            thread.start()

    def _send(self):
        try:
            while self.running:
                piece = os.urandom(20000)
                self.sock.sendall(piece)
                self.sent.update(piece)
                self.count += len(piece)
                time.sleep(0.002)
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            self.error = error

    def _receive(self):
        try:
            while piece := self.sock.recv(65536):
                self.got.update(piece)
                self.returned += len(piece)
        except OSError as error:
            self.error = error

    def moves(self, seconds=2.0):
        before = self.returned
        return wait_until(lambda: self.returned > before + 50000, seconds)

    def finish(self):
        self.running = False
        for thread in self.threads:
            thread.join(10)
        self.sock.close()
        assert not self.error
        assert self.returned == self.count and self.got.digest() == self.sent.digest()


@MODES
def test_point_17_connections_survive_attach_reload_and_detach(plain_bed, family, mode):
    bed = plain_bed
    with Echo(bed.server, family) as echo:
        old = Transfer(bed, family, echo)
        assert old.moves()
        bed.guard.attach(mode)
        assert old.moves(), "stopped at attach"
        new = Transfer(bed, family, echo)
        assert new.moves()
        totals = bed.guard.totals()
        assert totals["synack_sent"] == 1
        for _ in range(3):
            bed.guard.attach(mode)
            assert old.moves() and new.moves(), "stopped at reload"
        totals = bed.guard.totals()
        assert totals["ack_invalid"] == 0 and totals["rst_unknown"] == 0
        bed.guard.detach()
        assert old.moves() and new.moves(), "stopped at detach"
        old.finish()
        new.finish()


@MODES
def test_point_17_idle_connections_of_before_are_known(plain_bed, family, mode):
    """Hundreds of them, silent while synward comes; none may be taken for a stray ACK."""
    bed = plain_bed
    with Echo(bed.server, family) as echo:
        socks = [connect(bed.client, family, bed.guarded.server_addr[family], echo.port) for _ in range(300)]
        bed.guard.attach(mode)
        for sock in socks:
            sock.sendall(b"still there?")
            assert read_exactly(sock, 12) == b"still there?"
        assert bed.guard.totals()["ack_invalid"] == 0
        for sock in socks:
            sock.close()


def test_point_17_filter_rebuilds_do_not_lose_connections(plain_bed):
    """Half a minute and a bit: at least one rebuild of the presence filter."""
    bed = plain_bed
    bed.guard.attach("native")
    with Echo(bed.server, "ipv4") as v4, Echo(bed.server, "ipv6") as v6:
        socks = [connect(bed.client, family, bed.guarded.server_addr[family], echo.port)
                 for family, echo in (("ipv4", v4), ("ipv6", v6)) for _ in range(50)]
        assert wait_until(lambda: bed.guard.totals()["walk_done"] >= 1, 70, 1), "no rebuild was finished"
        for sock in socks:
            sock.sendall(b"still there?")
            assert read_exactly(sock, 12) == b"still there?"
        totals = bed.guard.totals()
        assert totals["ack_invalid"] == 0 and totals["known"] >= 100
        assert totals["walk_abandoned"] <= totals["walk_done"]
        for sock in socks:
            sock.close()


# What is left -------------------------------------------------------------------------

def bpf_objects(kind):
    done = subprocess.run(["bpftool", "-j", kind, "list"], capture_output=True, text=True)
    return {entry["id"]: entry for entry in json.loads(done.stdout or "[]")}


def hooks(bed):
    """Programs on the interface, by their ids."""
    link = json.loads(bed.server.ip("-j", "-d", "link", "show", "dev", "sw0").stdout)[0]
    filters = bed.server.run("tc", "filter", "show", "dev", "sw0", "ingress", check=False).stdout
    qdisc = bed.server.run("tc", "qdisc", "show", "dev", "sw0").stdout
    return link.get("xdp", {}).get("prog", {}).get("id") or link.get("prog", {}).get("id"), filters, qdisc


@MODES
def test_detach_leaves_nothing(plain_bed, mode):
    bed = plain_bed
    before = {kind: bpf_objects(kind) for kind in ("prog", "map", "link")}
    hooks_before = hooks(bed)
    bed.guard.attach(mode)
    assert hooks(bed)[0], "no XDP program on the interface"
    with Listener(bed.server, "ipv4") as listener, Peer(bed.guarded, "ipv4", listener.port) as peer:
        peer.connect(b"x")
        assert listener.accept()
    # Others load programs on this machine too: ours are the map-sharing family of the one on the interface.
    progs, mine, maps = bpf_objects("prog"), {hooks(bed)[0]}, set()
    while True:
        maps = {m for p in mine for m in progs[p].get("map_ids", [])}
        more = {p for p, entry in progs.items() if p not in before["prog"] and maps & set(entry.get("map_ids", []))}
        if more <= mine:
            break
        mine |= more
    assert len(mine) >= 2 and len(maps) >= 5
    links = {i for i, entry in bpf_objects("link").items() if entry.get("prog_id") in mine}
    bed.guard.detach()
    assert hooks(bed) == hooks_before
    assert not leftover_pins(bed.server)
    gone = wait_until(lambda: not (mine & set(bpf_objects("prog")) or maps & set(bpf_objects("map")) or links & set(bpf_objects("link"))), 10, 0.2)
    assert gone, f"left: programs {mine & set(bpf_objects('prog'))}, maps {maps & set(bpf_objects('map'))}"


@MODES
def test_attach_and_detach_again_and_again(plain_bed, mode):
    bed = plain_bed
    with Listener(bed.server, "ipv4") as listener:
        for _ in range(3):
            bed.guard.attach(mode)
            with Peer(bed.guarded, "ipv4", listener.port) as peer:
                with bed.guard.counting() as moved:
                    peer.connect(b"x")
                    assert listener.accept()
                assert moved["synack_sent"] == 1
            bed.guard.detach()
            with Peer(bed.guarded, "ipv4", listener.port) as peer:
                peer.connect(b"x")
                assert listener.accept()
    done = bed.guard.detach(check=False)
    assert done.returncode or done.stderr or "not" in done.stdout, "detaching nothing says so"
    assert not leftover_pins(bed.server)


def test_detach_all_detaches_every_interface(plain_bed):
    bed = plain_bed
    both = [Guard(bed.server, name) for name in ("sw0", "dir0")]
    for guard in both:
        guard.attach("native")
        assert guard.attached
    bed.guard.cli("detach", "--all")
    assert not leftover_pins(bed.server)
    for guard in both:
        assert "xdp" not in json.loads(bed.server.ip("-j", "link", "show", "dev", guard.ifname).stdout)[0]


def test_reload_keeps_counters_and_never_leaves_a_gap(plain_bed, family):
    """While SYNs come at a steady rate, attach again: each is answered, none reaches the kernel."""
    bed = plain_bed
    bed.guard.attach("native")
    bed.server.nft(SYN_COUNTER)
    with bed.listen(family) as listener:
        stop, asked, answered = threading.Event(), [0], [0]

        def ask():
            with Peer(bed.guarded, family, listener.port) as peer:
                while not stop.is_set():
                    peer.sport = 10000 + asked[0] % 50000
                    asked[0] += 1
                    answered[0] += peer.ask(0.3) is not None
        thread = threading.Thread(target=ask)
        thread.start()
        time.sleep(0.2)
        before = bed.guard.totals()["synack_sent"]
        for _ in range(3):
            bed.guard.attach("native")
        time.sleep(0.2)
        stop.set()
        thread.join()
        assert bed.guard.totals()["synack_sent"] == asked[0] >= before, "counters were lost"
        assert answered == asked
    assert syns_seen(bed) == 0, "SYNs reached the kernel during the reload"


# Processes die ------------------------------------------------------------------------

def test_guard_stays_when_user_processes_are_killed(plain_bed, family):
    bed = plain_bed
    bed.guard.attach("native")
    reader = bed.server.spawn(SYNWARD, "stats", "sw0", "-j")
    with bed.listen(family) as listener:
        time.sleep(0.3)
        reader.send_signal(signal.SIGKILL)
        reader.wait()
        with bed.guard.counting() as moved, Peer(bed.guarded, family, listener.port) as peer:
            peer.connect(b"x")
            assert listener.accept()
        assert moved["synack_sent"] == 1


def test_attach_killed_at_any_moment_is_repaired_by_the_next(plain_bed):
    bed = plain_bed
    began = time.monotonic()
    bed.guard.attach("native")
    length = time.monotonic() - began
    with bed.listen("ipv4") as listener:
        for at in range(8):
            if at == 4:
                bed.guard.detach()
            child = bed.server.spawn(SYNWARD, "attach", "sw0", "--xdp", "native")
            time.sleep(length * (at % 4 + 1) / 5)
            child.kill()
            child.wait()
            with Peer(bed.guarded, "ipv4", listener.port) as peer:
                peer.connect(b"x")
                assert listener.accept(), f"killed at {at % 4 + 1}/5 of an attach: the listener is cut off"
        bed.guard.attach("native")
        with bed.guard.counting() as moved, Peer(bed.guarded, "ipv4", listener.port) as peer:
            peer.connect(b"x")
            assert listener.accept()
        assert moved["synack_sent"] == 1
    bed.guard.detach()
    assert not leftover_pins(bed.server)
    assert "xdp" not in json.loads(bed.server.ip("-j", "link", "show", "dev", "sw0").stdout)[0]


def test_detach_killed_is_repaired_by_the_next(plain_bed):
    bed = plain_bed
    with bed.listen("ipv4") as listener:
        for at in range(4):
            bed.guard.attach("native")
            child = bed.server.spawn(SYNWARD, "detach", "sw0")
            time.sleep(0.01 * at)
            child.kill()
            child.wait()
            with Peer(bed.guarded, "ipv4", listener.port) as peer:
                peer.connect(b"x")
                assert listener.accept()
            bed.guard.detach(check=False)
            assert not leftover_pins(bed.server)


# Several of them ----------------------------------------------------------------------

def test_same_interface_name_in_two_namespaces():
    one, other = Bed("native"), Bed("native")
    try:
        assert one.guard.pins != other.guard.pins
        for bed in (one, other):
            with bed.listen("ipv4") as listener, Peer(bed.guarded, "ipv4", listener.port) as peer:
                with bed.guard.counting() as moved:
                    peer.connect(b"x")
                    assert listener.accept()
                assert moved["synack_sent"] == 1
        one.guard.detach()
        assert not one.guard.attached and other.guard.attached
        with other.listen("ipv4") as listener, Peer(other.guarded, "ipv4", listener.port) as peer:
            with other.guard.counting() as moved:
                peer.connect(b"x")
                assert listener.accept()
            assert moved["synack_sent"] == 1
    finally:
        one.remove()
        other.remove()


def test_two_guarded_interfaces_of_one_machine(plain_bed, family):
    bed = plain_bed
    guards = [Guard(bed.server, name) for name in ("sw0", "dir0")]
    for guard in guards:
        guard.attach("native")
    with bed.listen(family) as listener:
        for guard, link in zip(guards, (bed.guarded, bed.direct)):
            with guard.counting() as moved, Peer(link, family, listener.port) as peer:
                peer.connect(b"x")
                assert listener.accept()
            assert moved["synack_sent"] == moved["ack_valid"] == 1
        # A SYN over one, the ACK over the other: each interface has keys of its own, or shares them; never a half-made connection.
        with Peer(bed.guarded, family, listener.port) as peer:
            assert peer.ask()
            frame = peer.frame(f.ACK)
            wire = Wire(bed.client, "cd0")
            wire.send(f.mac(bed.direct.server_mac) + f.mac(bed.direct.client_mac) + frame[12:])
            time.sleep(0.1)
            wire.close()
            peer.data(b"over the first")
            conn = listener.accept()
            assert conn and read_exactly(conn, 14) == b"over the first"
    bed.guard.cli("detach", "--all")


# Status and statistics ----------------------------------------------------------------

@MODES
def test_verdicts_add_up_to_the_frames_received(plain_bed, mode):
    bed = plain_bed
    bed.guard.attach(mode)
    with Echo(bed.server, "ipv4") as v4, Echo(bed.server, "ipv6") as v6:
        time.sleep(1)
        before, frames = bed.guard.totals(), bed.client.counters("cg0")["tx_packets"]
        for family, echo in (("ipv4", v4), ("ipv6", v6)):
            for _ in range(20):
                with connect(bed.client, family, bed.guarded.server_addr[family], echo.port) as sock:
                    sock.sendall(b"data" * 100)
                    assert read_exactly(sock, 400) == b"data" * 100
            with Peer(bed.guarded, family, echo.port) as peer:
                for flags in range(256):
                    peer.send(flags, ack=1)
        if mode == "native":
            bed.client.run(FLOOD, "cg0", "--to", "10.1.0.1", "--port", v4.port, "--kind", "mixed", "--seconds", "0.5", "--rate", "50000", "-j")
        time.sleep(0.5)
        sent = bed.client.counters("cg0")["tx_packets"] - frames
        after = bed.guard.totals()
        counted = sum(after[name] - before[name] for name in REASONS)
    print("frames sent", sent, "verdicts", counted)
    assert sent > 500 and abs(counted - sent) <= 2


@pytest.mark.parametrize("how", ["detached", "interface gone"])
@pytest.mark.parametrize("command", ["stats", "trace"])
def test_who_follows_a_guard_is_told_that_it_ends(command, how):
    box, client = Namespace("b"), Namespace("c")
    try:
        Link(client, box, 1, "sw0", "cg0")
        guard = Guard(box, "sw0")
        guard.attach("native")
        follower = box.spawn(SYNWARD, command, "sw0", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            time.sleep(1.5)
            assert follower.poll() is None, "it follows"
            if how == "detached":
                guard.detach()
            else:
                box.ip("link", "del", "sw0")
            _, said = follower.communicate(timeout=5)
        finally:
            follower.kill()
            follower.wait()
        assert follower.returncode == 1
        assert said == f"synward: sw0: {'the guard was taken off' if how == 'detached' else 'the interface is gone'}\n"
    finally:
        for ns in (client, box):
            ns.remove()


def numbers_in(value, names, found):
    """Every number that stands under a counter's name below "totals"."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in names and isinstance(inner, (int, float)):
                found[key] = inner
            else:
                numbers_in(inner, names, found)
    elif isinstance(value, list):
        for inner in value:
            numbers_in(inner, names, found)
    return found


def test_stats_name_every_reason_and_event_and_agree_with_the_maps(plain_bed, family):
    bed = plain_bed
    bed.guard.attach("native")
    with bed.listen(family) as listener, Peer(bed.guarded, family, listener.port) as peer:
        peer.connect(b"x")
        assert listener.accept()
        peer.send(f.SYN | f.FIN)
        time.sleep(0.1)
        totals = bed.guard.stats()["totals"]
        found = numbers_in(totals, REASONS + EVENTS, {})
        assert set(found) == set(REASONS + EVENTS)
        for name in ("synack_sent", "ack_valid", "handoff_done", "flags_invalid"):
            assert found[name] == bed.guard.totals()[name] == 1, name


def test_status_says_what_is_guarded(plain_bed):
    bed = plain_bed
    for mode in ("native", "generic"):
        bed.guard.attach(mode, "-p", "80,8000-8010")
        text = json.dumps(bed.guard.status())
        assert "sw0" in text and mode in text and "8000-8010" in text
        bed.guard.detach()


def test_statistics_are_for_everybody(plain_bed):
    """No capability is needed to read them."""
    bed = plain_bed
    bed.guard.attach("native")
    if subprocess.run([*nobody(), "test", "-r", f"{bed.guard.pins}/counters"]).returncode:
        pytest.skip("bpffs is not to be entered by nobody on this machine")
    copy = readable_by_nobody(SYNWARD)
    try:
        done = bed.server.run(*nobody(), copy, "stats", "sw0", "-j", "-c", "1")
        assert set(numbers_in(json.loads(done.stdout)["totals"], REASONS, {})) == set(REASONS)
        refused = bed.server.run(*nobody(), copy, "detach", "sw0", check=False)
        assert refused.returncode and bed.guard.attached
    finally:
        os.unlink(copy)
        os.rmdir(os.path.dirname(copy))


def test_secrets_are_not_to_be_read_from_any_pin(plain_bed):
    bed = plain_bed
    bed.guard.attach("native")
    pins = os.listdir(bed.guard.pins)
    assert "secrets" not in pins
    for name in pins:
        mode = os.stat(f"{bed.guard.pins}/{name}").st_mode
        assert not mode & 0o022, f"{name} is writable"


# How it is attached -------------------------------------------------------------------

@pytest.mark.parametrize("how", ["link", "libxdp"])
@MODES
def test_each_way_to_attach_guards(plain_bed, mode, how):
    bed = plain_bed
    done = bed.guard.attach(mode, "--attach", how, check=False)
    if done.returncode and how == "libxdp":
        pytest.skip(f"libxdp does not attach here: {done.stderr.strip()[:100]}")
    assert not done.returncode, done.stderr
    with bed.listen("ipv4") as listener, bed.guard.counting() as moved, Peer(bed.guarded, "ipv4", listener.port) as peer:
        peer.connect(b"x")
        assert listener.accept()
    assert moved["synack_sent"] == 1 and moved["handoff_done"] == 1


def test_auto_chooses_generic_where_the_veths_peer_has_no_program():
    """There XDP_TX would wait in the peer's ring."""
    bed = Bed()
    try:
        third = Namespace("x")
        link = Link(third, bed.server, 4, "auto0", "ca0", peer_program=False)
        guard = Guard(bed.server, "auto0")
        guard.attach("auto")
        assert "generic" in json.dumps(guard.status())
        with bed.listen("ipv4") as listener:
            took = []
            for _ in range(10):
                began = time.monotonic()
                with connect(third, "ipv4", link.server_addr["ipv4"], listener.port):
                    took.append(time.monotonic() - began)
                assert listener.accept()
            assert sorted(took)[7] < 0.1, took
        third.remove()
    finally:
        bed.remove()


def test_unknown_interface_is_refused_with_a_reason(plain_bed):
    done = plain_bed.server.run(SYNWARD, "attach", "nosuch0", check=False)
    assert done.returncode and "nosuch0" in done.stderr
