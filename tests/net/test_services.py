# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
#    clients, cg0 ───── sw0 (synward, several services) ── a listener each
#
# Services side by side on one interface, and changed while clients come: no connection fails,
# and what one counts is not another's. SYNWARD_RELOADS=200 changes them so often (default: 12).
import contextlib
import os

import pytest

import frame as f
from conftest import Bed
from guard import SERVICES
from peer import Peer
from test_daemon import Daemon
from test_modes import Crowd, connects
from world import wait_until

RELOADS = int(os.environ.get("SYNWARD_RELOADS", "12"))
FIRST_PORT = 7000


def section(name, port, mode):
    return f"[service {name}]\nports = {port}\nmode = {mode}\n"


def conf(*services):
    return "[interface sw0]\nxdp = native\nattach = link\n" + "".join(section(*service) for service in services)


class Many:
    """A bed under `synward run`."""

    def __init__(self, text):
        self.bed = Bed()
        self.daemon = Daemon(self.bed.server, text).start()

    def reload(self, *services):
        self.daemon.reload(conf(*services))

    def slots(self):
        return {s["name"]: s["slot"] for s in self.bed.guard.status()[0]["services"]}

    def counted(self, name):
        """By the service of that name; "": by what is none's."""
        moved = self.bed.guard.totals([0 if not name else 1 + self.slots()[name]])
        return {reason: value for reason, value in moved.items() if value}

    def close(self):
        self.daemon.close()
        self.bed.remove()


@contextlib.contextmanager
def many(*services):
    made = Many(conf(*services))
    try:
        yield made
    finally:
        made.close()


def test_each_service_has_its_own_mode():
    modes = {"off": "not_guarded", "monitor": "syn_monitored", "always": "synack_sent", "auto": "syn_idle"}
    services = [(mode, FIRST_PORT + at, mode) for at, mode in enumerate(modes)]
    with many(*services) as m:
        for name, port, _ in services:
            with m.bed.listen("ipv4", port=port) as listener:
                assert connects(m.bed, listener)
        for name, _, _ in services:
            counted = m.counted(name)
            others = set(modes.values()) - {modes[name], "not_guarded"}
            assert counted.get(modes[name]) if name != "off" else True
            assert not others & set(counted), (name, counted)
        would = {name: m.bed.guard.totals([1 + SERVICES + slot])["synack_sent"] for name, slot in m.slots().items()}
        assert would == {"off": 0, "monitor": 1, "always": 0, "auto": 0}


def test_the_first_that_matches_counts():
    with many(("narrow", FIRST_PORT, "always"), ("wide", f"{FIRST_PORT}-{FIRST_PORT + 9}", "monitor")) as m:
        for port in (FIRST_PORT, FIRST_PORT + 1):
            with m.bed.listen("ipv4", port=port) as listener:
                assert connects(m.bed, listener)
        assert m.counted("narrow")["synack_sent"] == 1 and m.counted("wide")["syn_monitored"] == 1
        m.reload(("wide", f"{FIRST_PORT}-{FIRST_PORT + 9}", "monitor"), ("narrow", FIRST_PORT, "always"))
        with m.bed.listen("ipv4", port=FIRST_PORT) as listener:
            assert connects(m.bed, listener)
        assert m.counted("narrow")["synack_sent"] == 1 and m.counted("wide")["syn_monitored"] == 2


def test_a_slot_that_is_used_again_begins_at_nothing():
    """All 64 slots used, so that new services must take those of the ones that go; and the sum never goes back."""
    full = [(f"s{n}", FIRST_PORT + n, "always") for n in range(SERVICES)]
    with many(*full) as m, m.bed.listen("ipv4", port=FIRST_PORT) as first, m.bed.listen("ipv4", port=FIRST_PORT + 1) as second:
        for listener in (first, second, second):
            assert connects(m.bed, listener)
        before, old = m.bed.guard.totals(), m.slots()
        m.reload(("new", FIRST_PORT, "always"), *full[1:])
        assert m.slots()["new"] == old["s0"] and m.counted("new") == {}
        assert m.counted("s1")["synack_sent"] == 2
        after = m.bed.guard.totals()
        assert not [name for name in before if after[name] < before[name]]
        assert connects(m.bed, first)
        assert m.counted("new")["synack_sent"] == 1
        # Gone, and back under its name in another's place.
        m.reload(("other", FIRST_PORT, "monitor"), *full[1:])
        m.reload(("new", FIRST_PORT, "always"), *full[1:])
        assert m.counted("new") == {}


@pytest.mark.parametrize("others", [[], [(f"x{n}", 9000 + n, "auto") for n in range(SERVICES - 2)]], ids=["few", "full"])
def test_services_change_while_clients_come(others):
    """Modes, ports and names of a service that clients use change with each reload; the one beside it counts only its own."""
    variants = [("a", FIRST_PORT, "always"), ("b", f"{FIRST_PORT}-{FIRST_PORT + 1}", "monitor"), ("a", FIRST_PORT, "auto"),
                ("c", "1-65535", "always"), ("a", FIRST_PORT, "off"), ("a", FIRST_PORT, "monitor")]
    steady = ("steady", 8000, "always")
    with many(variants[0], steady, *others) as m:
        beside = m.bed.listen("ipv4", port=8000)
        with contextlib.closing(Crowd(m.bed, FIRST_PORT)) as crowd, crowd.visiting(0.002):
            for turn in range(1, RELOADS + 1):
                seen = crowd.served
                m.reload(steady, variants[turn % len(variants)], *others)
                assert wait_until(lambda: crowd.served > seen + 20, 10)
                assert connects(m.bed, beside)
        assert not crowd.failed and crowd.served > 20 * RELOADS
        counted = m.counted("steady")
        assert counted["synack_sent"] == counted["ack_valid"] == RELOADS
        assert not {"syn_idle", "syn_monitored", "monitored", "idle"} & set(counted)


def test_handshakes_under_way_when_a_mode_changes_are_made():
    """From each mode to each other: a SYN answered under one, its ACK judged under the other, within the same clock tick at times."""
    modes = ["always", "auto", "off", "monitor"]
    with many(("a", FIRST_PORT, "always")) as m, m.bed.listen("ipv4", port=FIRST_PORT) as listener:
        for before in modes:
            for after in modes:
                if before == after:
                    continue
                m.reload(("a", FIRST_PORT, before))
                with Peer(m.bed.guarded, "ipv4", FIRST_PORT) as peer:
                    assert peer.ask()
                    m.reload(("a", FIRST_PORT, after))
                    peer.data(b"hello")
                    conn = listener.accept(3)
                    assert conn and conn.recv(5) == b"hello", f"from {before} to {after}"
                    peer.send(f.RST)
