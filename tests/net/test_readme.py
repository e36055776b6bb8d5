# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
#    client ─────────── eth0  what README.md says, line by line as it stands
#
# Left to others: make and systemctl (make check itself, test_package.py, the guest `unit`), editors.
import os
import re
import signal
import stat
import subprocess
import time

import pytest

from server import Echo, connect
from test_daemon import Daemon
from world import ROOT, SYNWARD, Link, Namespace

ENDLESS = ("stats", "trace", "top")  # until interrupted
ELSEWHERE = ("make ", "systemctl", "editor")


def commands():
    with open(f"{ROOT}/README.md") as f:
        blocks = re.findall(r"^```sh\n(.*?)^```", f.read(), re.M | re.S)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not any(word in line for word in ELSEWHERE)]


@pytest.fixture
def host(tmp_path):
    """A machine with an eth0, sudo, and synward installed."""
    server, client = Namespace("s"), Namespace("c")
    link = Link(client, server, 1, "eth0", "cg0")
    (tmp_path / "synward").symlink_to(SYNWARD)
    (tmp_path / "sudo").write_text('#!/bin/sh\nexec "$@"\n')
    os.chmod(tmp_path / "sudo", stat.S_IRWXU)
    yield server, client, link, f"{tmp_path}:{os.environ['PATH']}:/usr/sbin:/sbin"
    server.run(SYNWARD, "detach", "--all", check=False)
    client.remove()
    server.remove()


def run(server, path, line):
    """Its output; what does not end by itself is interrupted, as one does."""
    child = server.spawn("env", f"PATH={path}", "sh", "-c", f"exec {line}", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if line.split()[-1] != "--help" and any(f"synward {word}" in line for word in ENDLESS):
        time.sleep(2.5)
        child.send_signal(signal.SIGINT)
    out = child.communicate(timeout=60)[0].decode()
    assert child.returncode == 0, f"{line}: exit {child.returncode}\n{out}"
    return out


def test_commands_run_as_they_stand(host):
    server, client, link, path = host
    said = {}
    daemon = None
    try:
        with Echo(server, "ipv4", 80):
            for line in commands():
                if line.startswith(("curl", "sudo synward reload")) and not daemon:
                    server.run(SYNWARD, "detach", "--all")
                    daemon = Daemon(server, "[synward]\nmetrics = 127.0.0.1:9879\n[interface eth0]\n")
                    daemon.start()
                if "trace" in line:
                    connect(client, "ipv4", link.server_addr["ipv4"], 80).close()
                said[line] = run(server, path, line)
    finally:
        if daemon:
            daemon.close()
    assert len(said) >= 8, said
    assert "synward_guard_on" in said["curl -s http://127.0.0.1:9879/metrics"]
    assert "attached" in said["sudo synward attach eth0"]
    assert "synacks" in said["synward stats eth0"]


def test_links_lead_somewhere():
    with open(f"{ROOT}/README.md") as f:
        targets = re.findall(r"\]\((?!http)([^)#]+)", f.read())
    missing = [target for target in targets if not os.path.exists(os.path.join(ROOT, target))]
    assert targets and not missing
