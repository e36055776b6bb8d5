# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
#    client cg0 ─────────── sw0 server: dpkg -i, dpkg -i the next version, dpkg --purge
#
# The Debian package, really installed on this machine, from within the server's namespace: its
# scripts then see the guards of that namespace alone. Skipped where synward is installed already.
import glob
import os
import re
import subprocess
import time

import pytest

from conftest import Bed
from guard import leftover_pins
from server import Echo, connect, read_exactly
from test_daemon import Traffic
from world import BUILD, ROOT, SYNWARD, wait_until

DEB = os.path.join(BUILD, "deb")
OWN = ("/etc/synward", "/usr/sbin/synward", "/usr/share/doc/synward", "/usr/share/man/man8/synward.8.gz", "/lib/systemd/system/synward.service")


def run(*command, **how):
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=600, **how)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def package():
    run("make", "deb", f"B={os.path.relpath(BUILD, ROOT)}")
    return max(glob.glob(f"{DEB}/synward_*.deb"), key=os.path.getmtime)


@pytest.fixture(scope="module")
def next_package(package, tmp_path_factory):
    """The same programs under the next version."""
    tree = str(tmp_path_factory.mktemp("next") / "tree")
    run("dpkg-deb", "-R", package, tree)
    control = os.path.join(tree, "DEBIAN", "control")
    with open(control) as f:
        text = re.sub(r"^Version: (.*)$", r"Version: \1+next1", f.read(), flags=re.M)
    with open(control, "w") as f:
        f.write(text)
    run("dpkg-deb", "--root-owner-group", "-b", tree, tree + ".deb")
    return tree + ".deb"


def test_lintian_has_nothing_to_say(package):
    changes = max(glob.glob(f"{DEB}/*.changes"), key=os.path.getmtime)
    assert run("lintian", "--allow-root", "--fail-on", "error,warning", changes).strip() == ""


def test_what_is_in_it(package):
    listed = run("dpkg-deb", "-c", package)
    for path in OWN + ("/usr/share/man/man5/synward.conf.5.gz", "/usr/share/bash-completion/completions/synward",
                       "/usr/share/doc/synward/examples/synward.conf"):
        assert f".{path}" in listed


def test_what_it_is_built_with_is_what_deps_installs():
    with open(os.path.join(ROOT, "packaging", "deps")) as f:
        libraries = re.search(r"^build_libs='(.*)'$", f.read(), re.M).group(1)
    with open(os.path.join(ROOT, "packaging", "debian", "control")) as f:
        control = f.read()
    assert [entry for entry in libraries.split() if not re.search(rf"^ +{entry.split(':')[1]}\b", control, re.M)] == []


@pytest.mark.parametrize("page", ["synward.8", "synward.conf.5"])
def test_man_pages(package, page):
    path = f"{DEB}/{os.path.basename(package).split('_')[0]}-{package.split('_')[1]}/build/packaging/{page}"
    done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", path], capture_output=True, text=True, env={**os.environ, "MANWIDTH": "200"})
    assert done.returncode == 0 and done.stderr == ""
    if page == "synward.8":
        for command in ("attach", "doctor", "key", "run"):
            assert f"synward {command}" in done.stdout
            for option in re.findall(r"--[a-z-]+", run(SYNWARD, command, "--help")):
                assert option in done.stdout
    else:
        for key in ("key-rotation", "key-file", "syn-start", "ports"):
            assert key in done.stdout


@pytest.mark.parametrize("line,expected", [
    ("synward ", {"attach", "detach", "doctor", "key", "run", "status"}),
    ("synward do", {"doctor"}),
    ("synward attach --sync", {"--syncookies"}),
    ("synward attach --syncookies ", {"set", "refuse"}),
    ("synward attach l", {"lo"}),
    ("synward key ", {"status", "rotate", "generate"}),
    ("synward key rotate l", {"lo"}),
    ("synward config ch", {"check"}),
    ("synward doctor --st", {"--strict"}),
])
def test_completion(package, line, expected):
    words = line.split(" ")
    script = (f"source {DEB}/synward-{package.split('_')[1]}/build/packaging/completion\n"
              f"COMP_WORDS=({' '.join(word or repr('') for word in words)}) COMP_CWORD={len(words) - 1}\n"
              "_synward\nprintf '%s\\n' \"${COMPREPLY[@]}\"")
    got = set(run("bash", "-c", script).split())
    assert got >= expected and (len(expected) > 1 or line.endswith("l") or got == expected), got


def dpkg(bed, *arguments):
    """Others may hold the lock for a while."""
    for _ in range(60):
        done = bed.server.run("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", *arguments, check=False, timeout=300)
        if "lock" not in done.stderr or done.returncode == 0:
            break
        time.sleep(1)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_it_installs_upgrades_with_the_guard_on_and_purges_clean(package, next_package):
    if os.path.exists("/usr/sbin/synward") or os.path.exists("/etc/synward"):
        pytest.skip("synward is installed on this machine")
    bed = Bed()
    try:
        dpkg(bed, "-i", package)
        synward = "/usr/sbin/synward"
        assert bed.server.run(synward, "config", "check", "/usr/share/doc/synward/examples/synward.conf").returncode == 0
        with Echo(bed.server, "ipv4") as echo, connect(bed.client, "ipv4", bed.guarded.server_addr["ipv4"], echo.port) as old:
            traffic = Traffic(bed, "ipv4")
            try:
                bed.server.run(synward, "attach", "sw0", "--ports", f"{traffic.echo.port},{echo.port},9999")
                program = bed.server.run("ip", "-j", "link", "show", "dev", "sw0").stdout
                assert wait_until(lambda: bed.guard.totals()["handoff_done"] > 20, 10)
                said = dpkg(bed, "-i", next_package)
                upgraded = bed.guard.totals()["handoff_done"]
                assert wait_until(lambda: bed.guard.totals()["handoff_done"] > upgraded + 200, 10)
            finally:
                traffic.stop()
            assert "sw0: reloaded" in said
            assert traffic.errors == [] and traffic.rounds > 50
            assert bed.server.run("ip", "-j", "link", "show", "dev", "sw0").stdout != program, "the old program still"
            ports = [[int(end) for end in part.split("-")] for part in bed.guard.status()[0]["ports"].split(",")]
            assert {n for ends in ports for n in range(ends[0], ends[-1] + 1)} == {traffic.echo.port, echo.port, 9999}, "settings were lost"
            assert bed.guard.totals()["ack_invalid"] == 0
            old.sendall(b"still there?")
            assert read_exactly(old, 12) == b"still there?"
            with open("/etc/synward/cluster.key", "w") as f:
                f.write("x")
            dpkg(bed, "--purge", "synward")
            old.sendall(b"and now?")
            assert read_exactly(old, 8) == b"and now?"
        assert not leftover_pins(bed.server)
        assert [path for path in OWN if os.path.exists(path)] == []
        assert "synward" not in run("dpkg", "-l")
    finally:
        subprocess.run(["dpkg", "--purge", "synward"], capture_output=True)
        bed.remove()
