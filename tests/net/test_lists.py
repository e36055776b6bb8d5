# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
#    clients, cg0 ───── sw0 (synward, lists and limits) ── listener
import socket
import time

from conftest import Bed
from test_modes import connects


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


def test_a_hundred_thousand_prefixes_load_soon(tmp_path):
    many = [f"{11 + n // 65536}.{n // 256 % 256}.{n % 256}.0/24" for n in range(100000)]
    bed = attached(tmp_path, deny=["198.51.100.0/24"])
    try:
        began = time.monotonic()
        bed.guard.cli("attach", "sw0")
        without = time.monotonic() - began
        (tmp_path / "deny").write_text("\n".join(many) + "\n")
        began = time.monotonic()
        bed.guard.cli("attach", "sw0", "--deny", str(tmp_path / "deny"))
        took = time.monotonic() - began - without
        print(f"100,000 prefixes: {took:.2f} s over an attach's {without:.2f} s")
        assert took < 5  # less than 1 on a quiet machine
    finally:
        bed.remove()


def test_synacks_to_a_prefix_and_handshakes_are_limited(tmp_path):
    bed = attached(tmp_path, "--synack-limit", "2", "--handshake-limit", "1")
    try:
        listener = bed.listen("ipv4")
        with bed.guard.counting() as moved:
            socks = [bed.client.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(5)]
            for sock in socks:
                sock.setblocking(False)
                sock.connect_ex((bed.guarded.server_addr["ipv4"], listener.port))
            time.sleep(0.3)
            for sock in socks:
                sock.close()
        assert moved["synack_sent"] <= 3 and moved["synack_limit"] >= 2
        assert moved["handshake_limit"] >= 1
    finally:
        bed.remove()
