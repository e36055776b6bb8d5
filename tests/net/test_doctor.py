# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
#    client cg0 ─────────── sw0 server: synward doctor sw0
#
# Each finding is really caused, and gone once its cause is.
import json
import os
import struct

import pytest

from guard import EVENTS, REASONS, bpf_open, leftover_pins, map_read, map_write, possible_cpus
from peer import Peer
from world import SYNWARD, VETH_PEER, Namespace, wait_until


def doctor(bed, *options, ifname="sw0", command=()):
    done = bed.server.run(*command, SYNWARD, "doctor", "-j", *([ifname] if ifname else []), *options, check=False)
    report = json.loads(done.stdout)
    if "findings" in report:
        assert done.returncode == (1 if report["failures"] else 0) or options
        assert report["failures"] == sum(f["state"] == "failure" for f in report["findings"])
        assert report["warnings"] == sum(f["state"] == "warning" for f in report["findings"])
    return report


def found(bed, check, **how):
    """(state, text) of one check; the last of several."""
    return [(f["state"], f.get("text", "")) for f in doctor(bed, **how)["findings"] if f["check"] == check][-1]


@pytest.fixture
def sound(plain_bed):
    """A bed with nothing to be said."""
    with plain_bed.listen("ipv4"):
        assert {f["check"]: f["state"] for f in doctor(plain_bed)["findings"]} == dict.fromkeys(
            (f["check"] for f in doctor(plain_bed)["findings"]), "ok")
        yield plain_bed


def test_nothing_is_wrong_and_nothing_is_changed(sound):
    assert doctor(sound)["result"] == "ok"
    assert not leftover_pins(sound.server)
    text = sound.server.run(SYNWARD, "doctor", "sw0").stdout
    assert "ok       sw0: MTU" in text and text.endswith("synward: 0 failures, 0 warnings\n")
    sound.guard.attach("native")
    assert doctor(sound, ifname=None)["result"] == "ok"


@pytest.mark.parametrize("name,check,state", [
    ("tcp_syncookies", "syncookies", "failure"), ("tcp_timestamps", "TCP options", "warning"),
    ("tcp_sack", "TCP options", "warning"), ("tcp_window_scaling", "TCP options", "warning")])
def test_sysctls(sound, name, check, state):
    with sound.server.having(**{name: 0}):
        assert found(sound, check)[0] == state
        assert f"sysctl -w net.ipv4.{name}=1" in found(sound, check)[1]
    assert found(sound, check)[0] == "ok"


def test_attach_refuses_what_the_doctor_calls_a_failure(sound):
    with sound.server.having(tcp_syncookies=0):
        text = found(sound, "syncookies")[1]
        done = sound.guard.attach("native", check=False)
        assert done.returncode == 1 and text in done.stderr


@pytest.mark.parametrize("name", ["tcp_timestamps", "tcp_sack", "tcp_window_scaling"])
def test_attach_warns_of_what_the_doctor_warns_of(sound, name):
    with sound.server.having(**{name: 0}):
        assert found(sound, "TCP options")[1] in sound.guard.attach("native").stderr


def test_attach_refuses_a_small_mtu(sound):
    sound.server.ip("link", "set", "sw0", "mtu", "500")
    done = sound.guard.attach("native", check=False)
    assert done.returncode == 1 and found(sound, "MTU")[1] in done.stderr and not leftover_pins(sound.server)


def test_strict_makes_warnings_fail(sound):
    with sound.server.having(tcp_sack=0):
        assert sound.server.run(SYNWARD, "doctor", "sw0", check=False).returncode == 0
        assert sound.server.run(SYNWARD, "doctor", "sw0", "--strict", check=False).returncode == 1


def test_strict_conntrack(sound):
    sound.server.nft("table ip t { chain c { type filter hook input priority 0; ct state established accept; }; }")
    with sound.server.having(**{"net/netfilter/nf_conntrack_tcp_loose": 0}):
        assert found(sound, "conntrack")[0] == "warning"
        assert "nf_conntrack_tcp_loose=1" in found(sound, "conntrack")[1]


def test_veth_peer_without_a_program(sound):
    sound.client.run(VETH_PEER, "cg0", "off")
    assert found(sound, "XDP mode")[0] == "warning"
    assert "peer has no XDP program" in found(sound, "XDP mode")[1]
    sound.client.run(VETH_PEER, "cg0", "on")
    assert found(sound, "XDP mode")[0] == "ok"


def test_a_driver_without_native_xdp(sound):
    state, text = found(sound, "XDP mode", ifname="lo")
    assert state == "warning" and "no native XDP" in text
    done = sound.server.run(SYNWARD, "attach", "lo", "--xdp", "native", check=False)
    assert done.returncode == 1 and "the driver has no native XDP" in done.stderr


def test_hand_overs_that_the_kernel_refuses(sound):
    sound.guard.attach("native")
    assert found(sound, "hand-over")[0] == "ok"
    with sound.listen("ipv4") as listener, Peer(sound.guarded, "ipv4", listener.port) as peer:
        assert peer.ask().tsval is not None
        with sound.server.having(tcp_timestamps=0):
            peer.data(b"x")
            assert wait_until(lambda: found(sound, "hand-over") == (
                "warning", "the kernel refused 1 validated connections; 'synward events sw0' says with which error"), 5, 0.2)


def test_frames_without_room(sound):
    """No driver here is like that: the counter is written."""
    sound.guard.attach("native")
    fd = bpf_open(f"{sound.guard.pins}/counters")
    names = REASONS + EVENTS
    raw = bytearray(map_read(fd, 8 * len(names) * possible_cpus()))
    struct.pack_into("Q", raw, 8 * names.index("no_room"), 3)
    map_write(fd, bytes(raw))
    os.close(fd)
    state, text = found(sound, "hand-over")
    assert state == "warning" and "3 frames had no room" in text and "--xdp generic" in text


def test_mtu(sound):
    for mtu, state in ((500, "failure"), (1000, "warning"), (1500, "ok")):
        sound.server.ip("link", "set", "sw0", "mtu", str(mtu))
        assert found(sound, "MTU")[0] == state
    assert sound.server.run(SYNWARD, "attach", "sw0").returncode == 0


def test_another_xdp_program(sound):
    sound.server.run(VETH_PEER, "sw0", "on")
    state, text = found(sound, "other XDP programs")
    assert state == "failure" and "veth_peer" in text and "ip link set sw0 xdp off" in text
    sound.server.ip("link", "set", "sw0", "xdp", "off")
    assert found(sound, "other XDP programs")[0] == "ok"


def test_attach_warns_where_nothing_listens(plain_bed):
    assert found(plain_bed, "listeners")[1] in plain_bed.server.run(SYNWARD, "attach", "sw0").stderr
    with plain_bed.listen("ipv4"):
        assert "listens" not in plain_bed.server.run(SYNWARD, "attach", "sw0").stderr


def test_listeners_in_another_namespace(plain_bed):
    assert found(plain_bed, "listeners")[0] == "warning"
    other = Namespace("o")
    try:
        child = other.spawn("/usr/bin/python3", "-c", "import socket,sys,time; s=socket.create_server(('127.0.0.1', 0)); print('on', flush=True); time.sleep(300)",
                            stdout=-1)
        child.stdout.readline()
        state, text = found(plain_bed, "listeners")
        assert state == "warning" and "in this network namespace, but in" in text and "nsenter --net -t" in text
    finally:
        other.remove()
    with plain_bed.listen("ipv6"):
        assert found(plain_bed, "listeners")[0] == "ok"


def test_redirected_ports(sound):
    """As attach has it: with auto it takes the proxy path, on the host path it leaves them alone."""
    sound.server.nft("table ip nat { chain pre { type nat hook prerouting priority dstnat; tcp dport 8080 redirect to :80; }; }")
    state, text = found(sound, "redirected ports")
    assert state == "warning" and "proxy path, not host: port 8080 is redirected" in text
    assert found(sound, "nat")[0] == "ok"
    sound.guard.attach("native", "--path", "host")
    state, text = found(sound, "nat")
    assert state == "warning" and "port 8080 is redirected" in text and "left alone" in text


def test_a_guard_somebody_took_a_program_of(sound):
    sound.guard.attach("native", "--attach", "libxdp")
    assert found(sound, "hooks")[0] == "ok"
    sound.server.ip("link", "set", "sw0", "xdp", "off")
    state, text = found(sound, "hooks")
    assert state == "failure" and "XDP program is gone; 'synward attach sw0'" in text


def test_privileges(sound):
    state, text = found(sound, "privileges", command=("setpriv", "--bounding-set=-bpf,-sys_admin", "--inh-caps=-all", "--"))
    assert state == "failure" and "CAP_BPF" in text


def test_without_bpffs(sound):
    """As under 'ip netns exec': a sysfs of its own."""
    state, text = found(sound, "bpffs", command=("unshare", "--mount", "sh", "-c", 'umount /sys/fs/bpf && exec "$@"', "sh"))
    assert state == "warning" and "no bpffs" in text


def test_keys_on_a_clock_that_nobody_keeps(sound, tmp_path):
    key = tmp_path / "key"
    sound.server.run(SYNWARD, "key", "generate", key)
    sound.guard.attach("native", "--key-file", str(key))
    sound.guard.shift_clock(60)
    state, text = found(sound, "keys and clock")
    assert state == "warning" and "clock of day was set" in text


def test_an_interface_that_is_not_there(plain_bed):
    done = plain_bed.server.run(SYNWARD, "doctor", "nope0", check=False)
    assert done.returncode == 1 and "no such interface" in done.stderr
