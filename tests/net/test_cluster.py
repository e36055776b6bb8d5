# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
#                                     ┌─ 10.71.0.2  ra ── 10.71.0.1 sa   box a (synward) ┐
#    client 10.70.0.2 ── 10.70.0.1 router                                                  10.77.0.1, both
#                                     └─ 10.72.0.2  rb ── 10.72.0.1 sb   box b (synward) ┘
#
# An anycast address behind a route that flips: SYNs to port 7001 go to a and all else of the
# connection to b, for port 7002 the other way round. So no connection is made unless one
# box takes the other's cookie. Boxes get clocks of day of their own by libfaketime: it is in
# the processes that write the guard's clock and keys, and the data plane goes by those.
import glob
import json
import os
import socket
import subprocess
import threading
import time

import pytest

from guard import Guard
from world import ROOT, SYNWARD, VETH_PEER, Namespace, wait_until

VIP = "10.77.0.1"
EPOCH = 2**35 / 1e9
PERIOD = 256 * EPOCH
FLIPS = {7001: ("a", "b"), 7002: ("b", "a")}
FAKETIME = (glob.glob("/usr/lib/*/faketime/libfaketime.so.1") or [None])[0]


class Box:
    def __init__(self, router, name, number):
        self.name, self.ns = name, Namespace("b" + name)
        self.inner, outer = f"s{name}", f"r{name}"
        self.clock_s, self.stopping = 0.0, False
        self.ns.ip("link", "add", self.inner, "type", "veth", "peer", "name", outer, "netns", router.name)
        self.ns.ip("addr", "add", f"10.{number}.0.1/24", "dev", self.inner)
        self.ns.ip("addr", "add", f"{VIP}/32", "dev", self.inner)
        router.ip("addr", "add", f"10.{number}.0.2/24", "dev", outer)
        self.ns.ip("link", "set", self.inner, "up")
        router.ip("link", "set", outer, "up")
        router.run(VETH_PEER, outer, "on")
        self.ns.ip("route", "add", "default", "via", f"10.{number}.0.2")
        router.ip("route", "add", VIP, "via", f"10.{number}.0.1", "table", str(100 + number))
        router.ip("rule", "add", "fwmark", str(number), "lookup", str(100 + number))
        self.guard = Guard(self.ns, self.inner)
        self.listeners = [self._listen(port) for port in FLIPS]

    def _listen(self, port):
        sock = self.ns.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((VIP, port))
        sock.listen(512)
        threading.Thread(target=self._serve, args=(sock,), daemon=True).start()
        return sock

    def _serve(self, sock):
        """Says who it is to whoever says something. The client closes first and has the TIME-WAIT: one
        here would meet the ACK of a client that reuses its port, whose SYN went to the other box."""
        while not self.stopping:
            try:
                conn, _ = sock.accept()
                with conn:
                    conn.settimeout(5)
                    if conn.recv(16):
                        conn.sendall(self.name.encode())
                        conn.recv(16)
            except OSError:
                pass

    def cli(self, *arguments, check=True):
        """The command, on this box's clock of day."""
        return self.ns.run(*self.faked(), SYNWARD, *arguments, check=check)

    def faked(self):
        if not self.clock_s:
            return ()
        return "env", f"LD_PRELOAD={FAKETIME}", f"FAKETIME={self.clock_s:+.3f}s", "DONT_FAKE_MONOTONIC=1"

    def keys(self):
        return json.loads(self.cli("key", "status", self.inner, "-j").stdout)[0]

    def close(self):
        self.stopping = True
        for sock in self.listeners:
            sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        self.ns.remove()


class Cluster:
    def __init__(self, directory):
        assert FAKETIME, "Debian's faketime is missing: packaging/deps check"
        self.client, self.router = Namespace("c"), Namespace("r")
        self.client.ip("link", "add", "c0", "type", "veth", "peer", "name", "rc", "netns", self.router.name)
        self.client.ip("addr", "add", "10.70.0.2/24", "dev", "c0")
        self.router.ip("addr", "add", "10.70.0.1/24", "dev", "rc")
        self.client.ip("link", "set", "c0", "up")
        self.router.ip("link", "set", "rc", "up")
        self.client.ip("route", "add", "default", "via", "10.70.0.1")
        for name in ("all", "default", "rc"):
            self.router.sysctl(f"net.ipv4.conf.{name}.rp_filter", 0)
        self.router.sysctl("net.ipv4.ip_forward", 1)
        numbers = {"a": 71, "b": 72}
        self.box = {name: Box(self.router, name, number) for name, number in numbers.items()}
        rules = "".join(
            f"tcp dport {port} tcp flags & (syn | ack) {relation} syn meta mark set {numbers[name]}\n"
            for port, names in FLIPS.items() for relation, name in zip(("==", "!="), names))
        self.router.nft("table ip flip {\nchain pre {\ntype filter hook prerouting priority mangle;\n"
                        f"{rules}}}\n}}\n")
        self.key_file = os.path.join(directory, "cluster.key")
        self.boxes = list(self.box.values())
        self.error = None

    def attach(self, *options):
        for box in self.boxes:
            done = box.cli("attach", box.inner, "--xdp", "native", *options)
            assert "attached" in done.stdout

    def connect(self, port):
        """Who answered, or None."""
        sock = self.client.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            with sock:
                sock.settimeout(5)
                sock.connect((VIP, port))
                sock.sendall(b"who?")
                return sock.recv(1).decode()
        except OSError as error:
            self.error = error
            return None

    def totals(self):
        return {box.name: {name: value for name, value in box.guard.totals().items() if value} for box in self.boxes}

    def invalid(self):
        return [box.guard.totals()["ack_invalid"] for box in self.boxes]

    def remove(self):
        for box in self.boxes:
            box.close()
        for ns in (self.client, self.router):
            ns.remove()


@pytest.fixture
def cluster(tmp_path):
    made = Cluster(tmp_path)
    yield made
    made.remove()


def generate(cluster):
    subprocess.run([SYNWARD, "key", "generate", cluster.key_file], check=True, capture_output=True)


def until_border():
    return PERIOD - time.time() % PERIOD


@pytest.mark.parametrize("where,after_s", [("border of periods", 0), ("keys move on", 2 * EPOCH)])
def test_no_handshake_is_lost_ten_seconds_apart(cluster, where, after_s):
    """a's clock is ten seconds ahead of b's; both cross that moment, one after the other, while connections are made."""
    generate(cluster)
    a, b = cluster.boxes
    b.clock_s = until_border() + after_s - 14
    a.clock_s = b.clock_s + 10
    cluster.attach("--key-file", cluster.key_file)
    stop, moved = time.monotonic() + 20, set()

    def follow():
        while time.monotonic() < stop:
            for box in cluster.boxes:
                moved.add((box.name, box.cli("key", "rotate", box.inner, "--key-file", cluster.key_file).stdout.strip()))
            time.sleep(0.3)

    follower = threading.Thread(target=follow)
    follower.start()
    made = {port: 0 for port in FLIPS}
    try:
        while time.monotonic() < stop:
            for port, (_, second) in FLIPS.items():
                assert cluster.connect(port) == second, f"port {port}: {cluster.error}, {made}, {cluster.totals()}"
                made[port] += 1
            time.sleep(0.01)
    finally:
        follower.join()
    assert min(made.values()) > 100
    assert cluster.invalid() == [0, 0]
    assert all(box.guard.totals()["synack_sent"] >= made[port] for port, box in zip(FLIPS, cluster.boxes))
    if where == "keys move on":
        assert len([what for what in moved if "next period" in what[1]]) == 2, moved


def test_without_a_common_secret_nothing_gets_through(cluster):
    """That the test's route flips, and what a box with another secret does."""
    cluster.attach()
    assert [cluster.connect(port) for port in FLIPS] == [None, None]
    assert min(cluster.invalid()) > 0


def test_a_box_joins_and_leaves_while_it_runs(cluster):
    generate(cluster)
    a, b = cluster.boxes
    a.cli("attach", a.inner, "--xdp", "native", "--key-file", cluster.key_file)
    b.cli("attach", b.inner, "--xdp", "native")
    assert [box.keys()["source"] for box in cluster.boxes] == ["shared", "random"]
    b.guard.shift_clock(200)  # or it would wait for its own key to be old enough
    done = b.cli("key", "rotate", b.inner, "--key-file", cluster.key_file)
    assert "clock of day was set by -200.0 s" in done.stderr
    assert wait_until(lambda: cluster.connect(7001) == "b", 10)
    assert cluster.connect(7002) == "a"
    # A new version of the program keeps the group's keys, also where it is not told of them.
    assert "reloaded" in b.cli("attach", b.inner).stdout
    assert cluster.connect(7001) == "b"
    assert "a new key comes into use" in b.cli("key", "rotate", b.inner, "--random").stdout
    assert b.keys()["source"] == "random"


def test_a_clock_that_is_wrong_is_said(cluster):
    generate(cluster)
    a, b = cluster.boxes
    cluster.attach("--key-file", cluster.key_file)
    assert [cluster.connect(port) for port in FLIPS] == ["b", "a"]
    b.clock_s = -30
    assert abs(b.keys()["clock_off_s"] - 30) < 1 and "clock of day was set" in b.keys()["advice"]
    b.clock_s = -7
    done = b.cli("key", "rotate", b.inner, "--key-file", cluster.key_file)
    assert "set by -7.0 s" in done.stderr and "lost" not in done.stderr
    assert [cluster.connect(port) for port in FLIPS] == ["b", "a"]
    b.clock_s = -600
    done = b.cli("key", "rotate", b.inner, "--key-file", cluster.key_file)
    assert "set by -593.0 s: handshakes that were under way are lost" in done.stderr
    # b refuses what a makes, ten minutes ahead, and says what it is.
    before = b.guard.totals()["cookie_ahead"]
    assert cluster.connect(7001) is None
    assert b.guard.totals()["cookie_ahead"] > before
    assert "cookies of a machine whose clock is ahead" in b.cli("key", "status", b.inner).stdout


def test_the_daemon_brings_the_next_key_in(cluster, tmp_path):
    """Its clock of day is some seconds before the keys move on; it looks every five."""
    generate(cluster)
    box = cluster.boxes[0]
    box.clock_s = until_border() + 2 * EPOCH - 12
    conf, log = tmp_path / "synward.conf", open(tmp_path / "log", "w+")
    conf.write_text(f"[synward]\nkey-file = {cluster.key_file}\n[interface {box.inner}]\nxdp = native\n")
    box.ns.spawn(*box.faked(), SYNWARD, "run", "-c", str(conf), stdout=log, stderr=log)

    def said(text):
        log.seek(0)
        return text in log.read()

    assert wait_until(lambda: said("ready"), 30), said("")
    assert box.keys()["source"] == "shared"
    due_s = box.keys()["next_s"]
    assert wait_until(lambda: said("next period's shared cookie key is in its place"), 40, 0.2)
    assert box.keys()["next_s"] > due_s
    os.chmod(cluster.key_file, 0o644)
    assert wait_until(lambda: said("chmod 0600; the keys stay as they are"), 15, 0.2)


@pytest.mark.parametrize("content,mode,said", [
    ("short\n", 0o600, "not one line of hex or base64"),
    ("00" * 32 + "\n", 0o600, "a pattern, not a secret"),
    (bytes(range(31)).hex(), 0o600, "31 bytes, and 32 are the least"),
    (bytes(range(32)).hex(), 0o644, "chmod 0600"),
    (None, 0, "No such file"),
], ids=["no hex", "zeroes", "short", "readable", "missing"])
def test_a_bad_key_file_is_refused_before_anything_changes(plain_bed, tmp_path, content, mode, said):
    path = tmp_path / "key"
    if content is not None:
        path.write_text(content)
        path.chmod(mode)
    done = plain_bed.guard.cli("attach", "sw0", "--key-file", str(path), check=False)
    assert done.returncode == 1 and said in done.stderr and (not content or content.strip() not in done.stderr)
    assert not plain_bed.guard.attached


def test_rotation_by_hand_loses_no_handshake_and_is_refused_twice_in_a_row(plain_bed):
    bed = plain_bed
    bed.guard.attach("native")
    bed.guard.shift_clock(200)
    done = bed.guard.cli("key", "rotate", "sw0", "-j")
    wait_s = json.loads(done.stdout)[0]["next_s"]
    assert 0 < wait_s <= 36
    bed.guard.shift_clock(wait_s + 1)
    done = bed.guard.cli("key", "rotate", "sw0", check=False)
    assert done.returncode == 1 and "again in" in done.stderr
    status = json.loads(bed.guard.cli("key", "status", "-j").stdout)[0]
    assert status["source"] == "random" and status["age_s"] <= 5


def test_the_manifest_says_what_the_program_knows(tmp_path):
    import yaml
    with open(os.path.join(ROOT, "packaging", "kubernetes", "daemonset.yaml")) as f:
        kinds = {document["kind"]: document for document in yaml.safe_load_all(f)}
    pod = kinds["DaemonSet"]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert pod["hostNetwork"] and container["command"][:2] == ["synward", "run"]
    conf = tmp_path / "synward.conf"
    conf.write_text(kinds["ConfigMap"]["data"]["synward.conf"])
    done = subprocess.run([SYNWARD, "config", "check", str(conf)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # What the file names is mounted, from volumes that are there, so that only root may read it.
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]}
    key_file = next(line.split("=")[1].strip() for line in conf.read_text().splitlines() if line.startswith("key-file"))
    secret = mounts[os.path.dirname(key_file)]["secret"]
    assert secret["defaultMode"] == 0o400 and secret["items"][0]["path"] == os.path.basename(key_file)
    config_at = container["command"][container["command"].index("-c") + 1]
    assert mounts[os.path.dirname(config_at)]["configMap"]["name"] == kinds["ConfigMap"]["metadata"]["name"]
    assert mounts["/sys/fs/bpf"]["hostPath"]["path"] == "/sys/fs/bpf"
    probe = container["readinessProbe"]["exec"]["command"]
    assert subprocess.run([SYNWARD, probe[1], "--help"], capture_output=True).returncode == 0
