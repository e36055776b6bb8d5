# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
#    flood, real clients ── cg0 ─────────── sw0 (synward)   top on a pseudo-terminal
#
# The screen as a terminal shows it (pyte), against what the guard counts.
import fcntl
import os
import pty
import re
import signal
import struct
import termios
import threading

import pyte
import pytest
from conftest import Bed
from peer import Peer
from server import Echo, connect, nobody, readable_by_nobody
from test_daemon import PLAIN, Daemon
from test_flood import under_flood  # noqa: F401: a fixture
from world import SYNWARD, wait_until


@pytest.fixture(scope="module")
def bed():
    made = Bed("native")
    yield made
    made.remove()


class Top:
    """synward top on a terminal of its own."""

    def __init__(self, bed, *arguments, columns=80, lines=24, command=(SYNWARD,), locale="C.UTF-8"):
        self.lock = threading.Lock()
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self.master, slave = pty.openpty()
        self.raw = b""
        self.size(columns, lines)
        self.before = termios.tcgetattr(slave)
        self.child = bed.server.spawn("setsid", "-c", "env", "TERM=xterm-256color", f"LC_ALL={locale}", *command, "top", *arguments,
                                      stdin=slave, stdout=slave, stderr=slave)
        self.slave = slave
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def size(self, columns, lines):
        with self.lock:  # what is drawn for the new size comes after it
            self.screen.resize(lines, columns)
            fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def _read(self):
        try:
            while data := os.read(self.master, 65536):
                self.raw += data
                with self.lock:
                    self.stream.feed(data)
        except OSError:
            pass

    @property
    def lines(self):
        return [line.rstrip() for line in self.screen.display]

    def shows(self, pattern, seconds=8):
        return wait_until(lambda: re.search(pattern, "\n".join(self.lines), re.M), seconds, 0.1)

    def press(self, keys):
        os.write(self.master, keys)

    def end(self):
        """Exit status; the terminal must be as it was."""
        status = self.child.wait(5)
        assert termios.tcgetattr(self.slave) == self.before, "terminal left in another state"
        assert b"\x1b[?1049h" in self.raw and wait_until(lambda: b"\x1b[?1049l" in self.raw, 2), "alternate screen left on"
        return status


def test_under_a_flood(bed, under_flood):  # noqa: F811
    with Echo(bed.server, "ipv4") as echo:
        under_flood("ipv4", echo.port, rate=100000)
        top = Top(bed, "sw0")
        assert top.shows(r"^verdicts a second"), top.lines
        assert top.shows(r"^synack_sent +tx +\d{4,}   █+"), top.lines
        for _ in range(3):
            connect(bed.client, "ipv4", bed.guarded.server_addr["ipv4"], echo.port, timeout=5).close()
        assert top.shows(r"^syns +\d{4,}   .*[▁▂▃▄▅▆▇█]{3}"), top.lines
        before = bed.guard.totals()["synack_sent"]
        shown = top.shows(r"^198\.1[89]\.\d+\.0/24 +(\d+\.\d) % +\d+")
        assert shown, top.lines
        assert wait_until(lambda: bed.guard.totals()["synack_sent"] > before)
        assert re.match(r" synward top  sw0  host path, native  key age \d+ min +\d\d:\d\d:\d\d", top.lines[0])
        assert all(len(line) <= 80 for line in top.lines) and len(top.lines) == 24
        rate = int(re.search(r"^synacks +(\d+)", "\n".join(top.lines), re.M).group(1))
        assert 1000 < rate < 1000000
    top.press(b"q")
    assert top.end() == 0


def test_one_source_stands_out(bed):
    """A prefix that sends all there is has it all."""
    with Echo(bed.server, "ipv6") as echo, Peer(bed.guarded, "ipv6", echo.port) as peer:
        top = Top(bed)  # the first guard it finds

        def seen():
            for _ in range(50):
                peer.syn()
            return top.shows(r"^2001:db8:1::/48 +(100\.0|9\d\.\d) %", 0.3)

        assert wait_until(seen, 10, 0.1), top.lines
    top.press(b"q")
    assert top.end() == 0


def test_services_stand_with_their_modes(plain_bed):
    """Each with its own SYNs; the one under attack comes first, and one that is renamed begins anew."""
    bed = plain_bed
    services = "[service quiet]\nports = 8002\n[service web]\nports = 8001\nmode = auto\nsyn-start = 20\nsyn-end = 10\n"
    daemon = Daemon(bed.server, PLAIN + services).start()
    try:
        top = Top(bed, "sw0")
        assert top.shows("^services: SYNs a second\nquiet +always +0.*\nweb +auto, idle +0"), top.lines
        with bed.listen("ipv4", port=8001), Peer(bed.guarded, "ipv4", 8001) as peer:
            assert wait_until(lambda: [peer.syn() for _ in range(50)] and
                              top.shows("second\nweb +auto, armed +[1-9]\\d+   [▁▂▃▄▅▆▇█].*\nquiet +always +0", 0.2), 10, 0.05), top.lines
            assert top.shows("^verdicts a second\nsyn_\\w+ +pass"), top.lines  # there is room for both
        daemon.reload(PLAIN + services.replace("quiet", "other"))
        assert top.shows("^web .*\nother +always +0") or top.shows("^other +always +0.*\nweb ", 1), top.lines
        assert all(len(line) <= 80 for line in top.lines)
        top.press(b"q")
        assert top.end() == 0
    finally:
        daemon.close()


def test_it_follows_the_size_of_its_terminal(bed):
    top = Top(bed, "sw0")
    assert top.shows("^frames ")
    top.size(120, 40)
    assert wait_until(lambda: re.search(r"\d\d:\d\d:\d\d ?$", top.lines[0].ljust(120)[100:]), 5), top.lines
    top.size(40, 8)
    assert top.shows("^40x8 is too small$"), top.lines
    top.size(80, 24)
    assert top.shows("^frames "), top.lines
    top.press(b"q")
    assert top.end() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_restore_the_terminal(bed, number):
    top = Top(bed, "sw0", locale="C")
    assert top.shows("^frames ")
    top.child.send_signal(number)
    assert top.end() == 0


def test_without_a_terminal_it_is_refused(bed):
    done = bed.guard.cli("top", "sw0", check=False)
    assert done.returncode == 1 and done.stderr == "synward: sw0: top needs a terminal; 'synward stats' writes lines\n"


def test_without_privileges_it_shows_all_but_the_sources(bed):
    top = Top(bed, "sw0", command=(*nobody(), readable_by_nobody(SYNWARD)))
    assert top.shows("^frames ") and top.shows("^sources: .*root"), top.lines
    top.press(b"q")
    assert top.end() == 0


def test_it_ends_with_the_guard(plain_bed):
    bed = plain_bed
    bed.guard.attach("native")
    top = Top(bed, "sw0")
    assert top.shows("^frames ")
    bed.guard.detach()
    assert top.end() == 1
    assert wait_until(lambda: b"the guard was taken off" in top.raw, 2)
