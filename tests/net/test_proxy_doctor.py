# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
#    client, cg0 ──────────── sw0 (synward) box bs0 ──────── ss0, listener
#    client, cd0 ──────────── dir0           `synward doctor sw0`
#
# What keeps the proxy path from its servers, or their answers from it: each really caused, and
# gone once its cause is.
import types

import pytest

import frame as f
from peer import Peer
from proxy_world import ProxyBed, grow_older, heard, silence
from test_doctor import doctor, found
from test_proxy_forward import ready
from world import VETH_PEER, wait_until


def box_of(bed):
    """As test_doctor.py has a bed."""
    return types.SimpleNamespace(server=bed.box)


def told(bed, check):
    return found(box_of(bed), check)


@pytest.fixture(scope="module")
def bed():
    made = ProxyBed("routed", "native")
    yield made
    made.remove()


@pytest.fixture
def sound(bed):
    assert {f["check"]: f["text"] for f in doctor(box_of(bed))["findings"] if f["state"] != "ok"} == {}
    yield bed


def test_forwarding(sound):
    for name, check in (("net.ipv4.ip_forward", "net.ipv4.conf.sw0.forwarding is 0"),
                        ("net.ipv6.conf.all.forwarding", "net.ipv6.conf.all.forwarding is 0")):
        sound.box.sysctl(name, 0)
        state, text = told(sound, "forwarding")
        assert state == "failure" and check in text and f"sysctl -w {name}=1" in text
        sound.box.sysctl(name, 1)
        assert told(sound, "forwarding")[0] == "ok"


def test_mtu_behind(sound):
    sound.box.ip("link", "set", "bs0", "mtu", "1400")
    state, text = told(sound, "MTU behind")
    assert state == "warning" and "MTU 1500 here, and 1400 of bs0" in text and "ip link set bs0 mtu 1500" in text
    sound.box.ip("link", "set", "bs0", "mtu", "9000")
    assert "MTU 1500 here, and 9000 of bs0" in told(sound, "MTU behind")[1]
    sound.box.ip("link", "set", "bs0", "mtu", "1500")
    assert told(sound, "MTU behind")[0] == "ok"


def test_strict_rp_filter(sound):
    sound.box.sysctl("net.ipv4.conf.sw0.rp_filter", 1)
    assert told(sound, "rp_filter")[0] == "ok"  # no default route that leads elsewhere
    sound.box.ip("route", "add", "default", "via", "10.2.0.2", "dev", "dir0")
    state, text = told(sound, "rp_filter")
    assert state == "warning" and "the default route leaves by dir0" in text
    sound.box.ip("route", "replace", "default", "via", "10.1.0.2", "dev", "sw0")
    assert told(sound, "rp_filter")[0] == "ok"
    sound.box.ip("route", "del", "default")
    sound.box.sysctl("net.ipv4.conf.sw0.rp_filter", 0)


STRAY = {"ipv4": ("100.64.1.0/24", "10.2.0.2", "10.1.0.2"), "ipv6": ("2001:db8:1::/48", "fd00:2::2", "fd00:1::2")}


def test_answers_that_leave_by_another_interface_are_named(sound, family):
    prefix, astray, right = STRAY[family]
    with sound.listen(family) as listener, Peer(sound.guarded, family, listener.port) as peer:
        sound.box.ip("route", "replace", prefix, "via", astray, "dev", "dir0")
        with sound.guard.counting() as moved:
            peer.connect()
            assert not peer.receive(0.2)
        assert moved["flow_opened"] == 1 and not moved["flow_answered"]
        assert told(sound, "answers")[0] == "ok"  # not yet
        grow_older(sound, peer, 4)
        state, text = told(sound, "answers")
        assert state == "warning" and f"what goes to {peer.src} leaves by dir0" in text and text.startswith("1 connections got no answer, of 1")
        sound.box.ip("route", "replace", prefix, "via", right, "dev", "sw0")
        assert "leaves by dir0" not in told(sound, "answers")[1]
        forget(sound, peer)
    assert told(sound, "answers")[0] == "ok"


def forget(bed, peer):
    """The client gives up: its reset ends the flow."""
    peer.send(f.RST, seq=peer.snd_nxt)
    assert wait_until(lambda: told(bed, "answers")[0] == "ok")


def test_silent_servers_are_named(sound):
    with sound.listen("ipv4") as listener, Peer(sound.guarded, "ipv4", listener.port) as peer:
        silence(sound.server, listener.port)
        peer.connect()
        assert wait_until(lambda: heard(sound.server) == 1)
        grow_older(sound, peer, 4)
        state, text = told(sound, "answers")
        assert state == "warning" and f"as of 10.5.0.1 port {listener.port}" in text and "--state syn_sent" in text
        sound.server.run("nft", "delete", "table", "inet", "silent")
        forget(sound, peer)


def test_forward_to_an_interface_that_cannot_send():
    bed = ready(ProxyBed("routed"))
    try:
        bed.mode = "native"
        bed.attach("--forward", "bs0")
        assert told(bed, "--forward")[0] == "ok"
        bed.server.run(VETH_PEER, "ss0", "off")
        state, text = told(bed, "--forward")
        assert state == "failure" and text.startswith("bs0 cannot send what XDP redirects")
        bed.box.ip("link", "set", "bs0", "name", "bs9")
        assert told(bed, "--forward")[1].startswith("bs9 cannot send")
        bed.box.ip("link", "del", "bs9")
        state, text = told(bed, "--forward")
        assert state == "warning" and "all takes the stack" in text
    finally:
        bed.remove()


def test_syncookies_of_the_kernel_are_not_needed():
    """Its sockets get SYNs: a router with net.ipv4.tcp_syncookies=0 is guarded all the same."""
    bed = ProxyBed("routed")
    try:
        bed.box.sysctl("net.ipv4.tcp_syncookies", 0)
        bed.mode = "native"
        bed.attach()
        with bed.listen("ipv4") as listener, Peer(bed.guarded, "ipv4", listener.port) as peer:
            peer.connect(b"word")
            assert listener.accept()
        assert told(bed, "syncookies")[0] == "ok"
    finally:
        bed.remove()
