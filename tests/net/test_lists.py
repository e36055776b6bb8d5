# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
#    clients, cg0 ───── sw0 (synward, lists and limits) ── listener
import contextlib
import json
import resource
import socket
import threading
import time

import pytest

import frame as f
from conftest import Bed
from peer import Peer, Wire
from test_modes import connects
from world import FLOOD, wait_until


@contextlib.contextmanager
def standing(tmp_path, *options, **lists):
    bed = attached(tmp_path, *options, **lists)
    try:
        yield bed
    finally:
        bed.remove()


def attached(tmp_path, *options, **lists):
    for name, lines in lists.items():
        path = tmp_path / name
        path.write_text("".join(line + "\n" for line in lines))
        options += (f"--{name}", str(path))
    return Bed("native", *options)


def test_lists_decide_on_syns_and_the_longest_prefix_counts(tmp_path):
    bed = attached(tmp_path, deny=["10.1.0.0/24  # all of it", "", "fd00::/8"], allow=["10.1.0.2"])
    try:
        listener = bed.listen("ipv4")
        with bed.guard.counting() as moved:
            assert connects(bed, listener)
        assert moved["syn_allowed"] == 1 and moved["synack_sent"] == 0
        v6 = bed.listen("ipv6")
        with bed.guard.counting() as moved, bed.client.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.setblocking(False)
            sock.connect_ex((bed.guarded.server_addr["ipv6"], v6.port))
            time.sleep(0.2)
        assert moved["syn_denied"] >= 1
    finally:
        bed.remove()


def test_a_wrong_line_is_named_and_nothing_changes(tmp_path):
    bed = attached(tmp_path, deny=["198.51.100.0/24"])
    try:
        (tmp_path / "deny").write_text("198.51.100.0/24\n203.0.113.1/24\n")
        refused = bed.guard.cli("attach", "sw0", "--deny", str(tmp_path / "deny"), check=False)
        assert refused.returncode == 1
        assert "deny:2: '203.0.113.1/24' has bits set behind its length" in refused.stderr
        assert bed.guard.status()[0]["services"][0]["listed"]
    finally:
        bed.remove()


def prefixes(family, count):
    for n in range(count):
        yield f"{11 + n // 65536}.{n // 256 % 256}.{n % 256}.0/24" if family == "ipv4" else f"2001:{0x1000 + n // 65536:x}:{n % 65536:x}::/48"


def cpu_s():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_a_hundred_thousand_prefixes_load_within_a_second(tmp_path, family):
    """Over an attach without: in CPU time, what it takes on a machine with nothing else to do."""
    took = []
    with standing(tmp_path, deny=["198.51.100.0/24"]) as bed:
        before = cpu_s()
        bed.guard.cli("attach", "sw0", "--deny", str(tmp_path / "deny"))
        without = cpu_s() - before
        (tmp_path / "deny").write_text("\n".join(prefixes(family, 100000)) + "\n")
        for _ in range(3):
            before = cpu_s()
            bed.guard.cli("attach", "sw0", "--deny", str(tmp_path / "deny"))
            took.append(cpu_s() - before - without)
            if took[-1] < 1:
                break
    print(f"100,000 prefixes, {family}: {min(took):.2f} s of CPU time")
    assert min(took) < 1


@contextlib.contextmanager
def knocking(peers, wire):
    """Within: each of the peers sends SYNs; afterwards: how many each."""
    over, sent = threading.Event(), [0]

    def go():
        frames = [peer.syn_frame() for peer in peers]
        while not over.is_set():
            for frame in frames:
                wire.send(frame)
            sent[0] += 1
            time.sleep(0.001)
    thread = threading.Thread(target=go)
    thread.start()
    try:
        yield sent
    finally:
        over.set()
        thread.join()


def test_a_list_is_replaced_in_one_step(tmp_path):
    """While it is, an allowed client is never refused or challenged, and a denied one never passes."""
    versions = [["100.64.1.0/24", *prefixes("ipv4", 20000)], ["100.64.1.0/24", "100.64.1.8/29", *prefixes("ipv6", 20000)]]
    with standing(tmp_path, deny=versions[0], allow=["100.64.1.20"]) as bed:
        listener, wire = bed.listen("ipv4", backlog=4096), Wire(bed.client, "cg0")
        # A listener nobody accepts from and requests that stay: it is the verdicts that count.
        allowed = Peer(bed.guarded, "ipv4", listener.port, src="100.64.1.20", sport=30000, wire=wire)
        denied = Peer(bed.guarded, "ipv4", listener.port, src="100.64.1.10", sport=30000, wire=wire)
        with bed.guard.counting() as moved:
            with knocking([allowed, denied], wire) as sent:
                for turn in range(5):
                    (tmp_path / "deny").write_text("\n".join(versions[1 - turn % 2]) + "\n")
                    bed.guard.cli("attach", "sw0", "--deny", str(tmp_path / "deny"), "--allow", str(tmp_path / "allow"))
            assert wait_until(lambda: wire.read(0) is None, 5)
        wire.close()
        syns = {name: value for name, value in moved.tcp.items() if "syn" in name}
        assert sent[0] > 200 and syns == {"syn_allowed": sent[0], "syn_denied": sent[0]}


def knock(bed, wire, family, port, sources):
    """A SYN from each."""
    for n, source in enumerate(sources):
        wire.send(Peer(bed.guarded, family, port, src=source, sport=30000 + n, wire=wire).syn_frame())


@pytest.mark.parametrize("family,near,far", [
    ("ipv4", [f"100.64.1.{n}" for n in range(1, 41)], [f"100.64.{n}.1" for n in range(2, 42)]),
    ("ipv6", [f"2001:db8:1::{n:x}" for n in range(1, 41)], [f"2001:db8:1:{n:x}::1" for n in range(2, 42)])])
def test_synacks_to_a_prefix_are_limited(tmp_path, family, near, far):
    with standing(tmp_path, "--synack-limit", "10") as bed:
        listener, wire = bed.listen(family), Wire(bed.client, "cg0")
        began = time.monotonic()
        with bed.guard.counting() as moved:
            knock(bed, wire, family, listener.port, near)
        most = 11 + 10 * (time.monotonic() - began)
        assert 10 <= moved["synack_sent"] <= most and moved["synack_sent"] + moved["synack_limit"] == 40
        with bed.guard.counting() as moved:
            knock(bed, wire, family, listener.port, far)
        assert moved["synack_sent"] == 40, "another prefix pays for the first one"
        time.sleep(1.1)
        with bed.guard.counting() as moved:
            knock(bed, wire, family, listener.port, near[:10])
        assert moved["synack_sent"] == 10, "a second later it has its worth again"
        wire.close()


def test_handshakes_of_a_proven_source_are_limited(tmp_path, family):
    greedy, modest = ("100.64.1.10", "100.64.1.11") if family == "ipv4" else ("2001:db8:1::10", "2001:db8:1::11")
    with standing(tmp_path, "--handshake-limit", "5") as bed:
        listener, wire = bed.listen(family), Wire(bed.client, "cg0")

        def handshakes(source, count):
            with bed.guard.counting() as moved:
                peers = [Peer(bed.guarded, family, listener.port, src=source, wire=wire) for _ in range(count)]
                for peer in peers:
                    assert peer.ask()
                for peer in peers:
                    peer.send(f.ACK)
                wait_until(lambda: bed.guard.totals()["handoff_done"] >= 5, 1)
            return moved
        began = time.monotonic()
        moved = handshakes(greedy, 20)
        assert 5 <= moved["handoff_done"] <= 6 + 5 * (time.monotonic() - began)
        assert moved["handoff_done"] + moved["handshake_limit"] == 20
        assert handshakes(modest, 5)["handshake_limit"] == 0, "another source pays for the first one"
        wire.close()


def test_full_table_refuses_nobody_because_of_another(tmp_path):
    """More source prefixes than places: each new one is answered, and it is said."""
    with standing(tmp_path, "--synack-limit", "1") as bed, bed.guarded.taking_live_frames():
        listener, wire = bed.listen("ipv6"), Wire(bed.client, "cg0")
        wire.sock.bind(("cg0", f.ETH_IPV6))  # not the flood's answers
        forged = bed.listen("ipv4")
        child = bed.client.spawn(FLOOD, "cg0", "--to", bed.guarded.server_addr["ipv4"], "--port", forged.port,
                                 "--sources", "32.0.0.0/4", "--seconds", 2, "--rate", 200000)
        assert wait_until(lambda: bed.guard.totals()["bucket_overwritten"] > 65536, 5)
        for n in range(30):
            with Peer(bed.guarded, "ipv6", listener.port, src=f"2001:db8:1:{n + 16:x}::1", wire=wire) as peer:
                assert peer.ask(), "no SYN-ACK for a prefix that had none yet"
        wire.close()
        child.wait()
        notices = [json.loads(line) for line in bed.guard.cli("events", "sw0", "-j", "-c", "1").stdout.splitlines()]
        assert [(notice["event"], notice["entries"]) for notice in notices] == [("table_full", 65536)]
        # Said once a minute however many more there are.
        assert bed.guard.totals()["bucket_overwritten"] > 65536
