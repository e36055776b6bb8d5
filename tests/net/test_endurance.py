# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
#    200 connections a second, 50 long ones ─────────── sw0  synward run: reloaded, replaced by another
#                                                            start of itself, rotating keys, killed
#
# All of it in turn, as years bring it. SYNWARD_ENDURANCE=full does it 100, 100, 50 and 20 times
# (make check-endurance, five minutes), and upgrades to and fro between two builds of different versions and
# compilers; otherwise a few times each, and between two copies of one.
import itertools
import os
import shutil
import subprocess
import time

import pytest

from test_daemon import PLAIN, Daemon, Traffic
from world import ROOT, SYNWARD, wait_until

FULL = os.environ.get("SYNWARD_ENDURANCE") == "full"
TIMES = {"reload": 100, "upgrade": 100, "rotate": 50, "kill": 20} if FULL else {"reload": 8, "upgrade": 4, "rotate": 2, "kill": 1}

EPOCH_S = 2**35 / 1e9
STEP_S = 10  # of the clock that a handshake under way must bear (docs/cluster.md)


class Years:
    """The events, one at a time."""

    def __init__(self, bed, daemon, other_build):
        self.bed, self.daemon, self.builds = bed, daemon, itertools.cycle([other_build, SYNWARD])
        self.ports, self.versions = itertools.cycle(range(60000, 65535)), set()

    def reload(self):
        self.daemon.reload(PLAIN + f"ports = 4000-{next(self.ports)}\n")

    def upgrade(self):
        """Each start loads its programs and puts them in the place of those that run."""
        before = self.bed.guard.program_id()
        assert self.daemon.stop() == 0, self.daemon.log()[-1000:]
        self.daemon.program = next(self.builds)
        self.daemon.start()
        assert self.bed.guard.program_id() != before, "the same program as before"
        self.versions.add(self.bed.guard.status()[0]["version"])

    def rotate(self):
        """No key may follow another before no cookie is good that was made with the one before it, so
        the guard's clock goes faster, in steps."""
        for _ in range(int(4 * EPOCH_S / STEP_S) + 1):
            self.bed.guard.shift_clock(STEP_S)
            time.sleep(0.1)
        self.bed.server.run(SYNWARD, "key", "rotate", "sw0")

    def kill(self):
        self.daemon.child.kill()
        self.daemon.child.wait()
        assert self.bed.guard.attached
        self.daemon.start()


@pytest.fixture
def other_build(tmp_path):
    if not FULL:
        return shutil.copy(SYNWARD, tmp_path / "synward")
    compiler = next((name for name in ("clang-16", "clang-14", "clang-19") if shutil.which(name)), None)
    subprocess.run(["make", "-s", "-j2", "-C", ROOT, f"B={tmp_path}", "VERSION=0.0.9", f"{tmp_path}/synward"] +
                   [f"CLANG={compiler}"] * bool(compiler), check=True)
    return str(tmp_path / "synward")


def test_nothing_that_happens_costs_a_connection(plain_bed, other_build):
    bed = plain_bed
    daemon = Daemon(bed.server)
    daemon.start()
    traffic = Traffic(bed, "ipv4")
    years = Years(bed, daemon, other_build)
    done = dict.fromkeys(TIMES, 0)
    began = time.monotonic()
    try:
        # Evenly mixed: what is furthest behind its share comes next.
        while behind := [name for name in TIMES if done[name] < TIMES[name]]:
            name = min(behind, key=lambda name: done[name] / TIMES[name])
            getattr(years, name)()
            done[name] += 1
            assert not traffic.errors, (name, done, traffic.errors[:3])
        took = time.monotonic() - began
        before = traffic.made
        assert wait_until(lambda: traffic.made > before + 200, 20)
    finally:
        traffic.stop()
        print(daemon.log()[-2000:])
        daemon.close()
    print(f"{done} in {took:.0f} s: {traffic.made} connections made, {traffic.rounds} rounds of the long ones, errors: {traffic.errors}")
    assert not traffic.errors and traffic.rounds > 500
    assert len(years.versions) == (2 if FULL else 1)
    assert bed.guard.totals()["handoff_done"] >= traffic.made, "not all were guarded"
