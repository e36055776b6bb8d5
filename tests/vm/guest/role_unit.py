# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""packaging/synward.service under a systemd of the guest's own.

        namespace "c"                         the guest itself: systemd, synward.service
        cl1 10.1.0.2 ──── emulated cable ──── 10.1.0.1 sv1

The first time main.py comes here it is the guest's first process: it writes the units down and becomes systemd.
That starts it once more, as a service beside synward's.
"""
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time

from bench import exchanges
from guard import Guard
from nics import ends, take
from pairs import CLIENT_MAC, SERVER_MAC
from server import Echo
from world import ROOT, SYNWARD, Namespace, wait_until

SYSTEMD, UNITS, CONFIG = "/lib/systemd/systemd", "/run/systemd/system", "/etc/synward/synward.conf"
PATIENCE = 60
WATCHDOG_S = 12  # not a minute; more than twice as long as between two feedings, for a busy machine
EXPOSURE_MOST = 2.0

MASKED = ("systemd-tmpfiles-setup.service", "systemd-tmpfiles-clean.timer", "systemd-timesyncd.service")  # slow: a /tmp over 9p

TESTS_UNIT = """
[Unit]
Requires=basic.target
After=basic.target

[Service]
Type=exec
ExecStart=/usr/bin/python3 {main}
StandardOutput=file:/dev/ttyS0
StandardError=file:/dev/ttyS0
"""

CONFIG_TEXT = """
[interface sv1]
ports = {ports}
"""


def become_systemd():
    os.makedirs(UNITS)
    with open("/etc/fstab", "w"):  # this machine's disks are not here
        pass
    with contextlib.suppress(FileNotFoundError):
        os.unlink("/.dockerenv")  # nor is the guest a container, whatever this machine is
    for unit in MASKED:
        os.symlink("/dev/null", f"{UNITS}/{unit}")
    shutil.copy(f"{ROOT}/packaging/synward.service", UNITS)
    os.makedirs(f"{UNITS}/synward.service.d")
    with open(f"{UNITS}/synward.service.d/watchdog.conf", "w") as f:
        f.write(f"[Service]\nWatchdogSec={WATCHDOG_S}\n")
    with open(f"{UNITS}/tests.service", "w") as f:
        f.write(TESTS_UNIT.format(main=os.path.join(ROOT, "tests/vm/guest/main.py")))
    shutil.copy(SYNWARD, "/usr/sbin/synward")
    os.makedirs(os.path.dirname(CONFIG), exist_ok=True)
    os.execv(SYSTEMD, [SYSTEMD, "--unit=tests.service", "--show-status=no"])


def systemctl(*words, check=True):
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, timeout=PATIENCE)
    assert not check or not done.returncode, f"systemctl {' '.join(words)}: {done.stdout}{done.stderr}{journal()}"
    return done


def journal():
    return subprocess.run(["journalctl", "-u", "synward", "-o", "cat", "-n", "12", "--no-pager"], capture_output=True, text=True).stdout


def show(*names):
    """Properties of the unit; the one, or a list of them."""
    found = dict(line.split("=", 1) for line in systemctl("show", "synward", "-p", ",".join(names)).stdout.splitlines())
    return found[names[0]] if len(names) == 1 else [found[name] for name in names]


def configure(ports):
    with open(CONFIG, "w") as f:
        f.write(CONFIG_TEXT.format(ports=ports))


class Here(Namespace):
    """The guest's own network namespace."""

    def __init__(self):
        self.name, self.path, self.children, self._back = str(os.getpid()), f"/proc/{os.getpid()}/ns/net", [], threading.local()
        self.fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        self.inode = os.fstat(self.fd).st_ino
        self.ip("link", "set", "lo", "up")


def back(restarts):
    """systemd has started it again, and it is ready."""
    return lambda: show("NRestarts", "ActiveState", "SubState") == [str(restarts), "active", "running"]


def served(link, guard, port):
    with guard.counting() as moved:
        exchanges(link, port, count=2)
    assert moved["ack_valid"] == 4, dict(moved)


def main_pid():
    return int(show("MainPID"))


def run(report, options):
    if os.getpid() == 1:
        become_systemd()
    server, client = Here(), Namespace("c")
    take(server, SERVER_MAC.format(1), "sv1")
    take(client, CLIENT_MAC.format(1), "cl1")
    link = ends(client, server, 1, "sv1", "cl1")
    guard, port = Guard(server, "sv1"), 4999
    with Echo(server, "ipv6", port, dual=True):
        run_tests(report, link, guard, port)


def run_tests(report, link, guard, port):
    def case(test):
        return report.case("systemd", "-", f"unit: {test}")

    configure(port)
    with case("start returns once it guards (Type=notify)") as result:
        systemctl("start", "synward")
        assert show("Type", "NotifyAccess", "ActiveState", "SubState") == ["notify", "main", "active", "running"]
        assert guard.status()[0]["state"] == "on", guard.status()
        result.said = show("StatusText")
        assert "guarding sv1" in result.said, result.said
        served(link, guard, port)
    with case("reload takes a new file, and refuses a wrong one with its reason"):
        pid = main_pid()
        configure(f"{port},5999")
        systemctl("reload", "synward")
        assert "5999" in json.dumps(guard.status()), guard.status()
        configure("nonsense")
        assert systemctl("reload", "synward", check=False).returncode
        assert "nonsense" in journal(), journal()
        assert (main_pid(), show("ActiveState")) == (pid, "active")
        configure(port)
        served(link, guard, port)
    with case("SIGKILL: the guard stays on, the daemon comes back and takes it over") as result:
        systemctl("kill", "--kill-whom=main", "--signal=SIGKILL", "synward")
        began = time.monotonic()
        served(link, guard, port)
        assert wait_until(back(1), PATIENCE), f"{show('NRestarts', 'ActiveState')}: {journal()}"
        result.figures["seconds"] = round(time.monotonic() - began, 1)
        assert "guard taken over" in journal(), journal()
        served(link, guard, port)
    with case("silent: the watchdog ends it, the guard stays on, the daemon comes back") as result:
        os.kill(main_pid(), signal.SIGSTOP)
        began = time.monotonic()
        served(link, guard, port)
        assert wait_until(back(2), PATIENCE), f"{show('NRestarts', 'ActiveState', 'Result')}: {journal()}"
        result.figures["seconds"] = round(time.monotonic() - began, 1)
        said = subprocess.run(["journalctl", "-o", "cat", "--no-pager", "_PID=1"], capture_output=True, text=True).stdout
        assert "Watchdog timeout" in said, said
        served(link, guard, port)
    with case("stop leaves the guard on"):
        systemctl("stop", "synward")
        assert show("ActiveState", "Result") == ["inactive", "success"], journal()
        served(link, guard, port)
    with case(f"systemd-analyze security: {EXPOSURE_MOST} or less") as result:
        done = subprocess.run(["systemd-analyze", "security", "synward", "--no-pager"], capture_output=True, text=True)
        found = re.search(r"Overall exposure level for synward.service: ([\d.]+)", done.stdout)
        assert found, done.stdout + done.stderr
        result.figures["exposure"] = float(found.group(1))
        assert result.figures["exposure"] <= EXPOSURE_MOST, done.stdout
