# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
#    kernel client, cg0 10.1.0.2 ─────────── sw0 10.1.0.1  synward run -c FILE: start, reload, stop, kill -9
#                   cd0 10.2.0.2 ─────────── dir0 10.2.0.1 named by some files too
#
# The daemon speaks to a notify socket of the test's, as it would to systemd.
# SYNWARD_SOAK_MINUTES=20 makes the test of growth that long.
import json
import os
import re
import selectors
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import pytest

from conftest import Bed
from guard import Guard, leftover_pins, map_read, bpf_open
from peer import Peer, synack_look
from server import Echo, connect, read_exactly
from world import FLOOD, ROOT, SYNWARD, VETH_PEER, Link, wait_until

PLAIN = "[interface sw0]\nxdp = native\n"
CAP_BPF_AND_NET_ADMIN = 1 << 39 | 1 << 12


class Daemon:
    """synward run in the server's namespace, under a configuration of its own."""

    def __init__(self, ns, text=PLAIN, *options, **environment):
        self.ns, self.options, self.program = ns, options, SYNWARD
        self.place = tempfile.mkdtemp(prefix="swt-daemon-")
        self.path, self.log_path = f"{self.place}/conf", f"{self.place}/log"
        self.write(text)
        open(self.log_path, "w").close()
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(f"{self.place}/notify")
        self.told, self.child, self.wrapper = [], None, ()
        threading.Thread(target=self._listen, daemon=True).start()
        self.environment = {**os.environ, "NOTIFY_SOCKET": f"{self.place}/notify", **environment}

    def _listen(self):
        while message := self.notify.recv(4096):
            self.told += message.decode().splitlines()

    def write(self, text):
        with open(self.path, "w") as f:
            f.write(text)
        os.chmod(self.path, 0o644)

    def forget(self):
        """What a daemon told that is gone may still be unread: its READY=1 is not the next one's."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"LAST", f"{self.place}/notify")
        assert wait_until(lambda: "LAST" in self.told, 30)
        self.told.clear()

    def start(self, ready=True):
        self.forget()
        with open(self.log_path, "a") as log:
            self.child = self.ns.spawn(*self.wrapper, self.program, "run", "-c", self.path, *self.options, stderr=log, env=self.environment)
        if ready:
            assert self.hears("READY=1"), self.log()
        return self

    def hears(self, what, seconds=40):
        """True once the daemon has told its manager so."""
        wait_until(lambda: what in self.told or self.child.poll() is not None, seconds)
        return what in self.told

    def status_line(self):
        return [line for line in self.told if line.startswith("STATUS=")][-1][len("STATUS="):]

    def log(self):
        with open(self.log_path) as f:
            return f.read()

    def says(self, text, seconds=30):
        return wait_until(lambda: text in self.log(), seconds)

    def reload(self, text=None, check=True):
        if text is not None:
            self.write(text)
        return self.ns.run(SYNWARD, "reload", check=check)

    def stop(self, how=signal.SIGTERM):
        if self.child and self.child.poll() is None:
            self.child.send_signal(how)
            return self.child.wait(60)
        return None

    def processes(self):
        """The daemon and its helper."""
        done = subprocess.run(["pgrep", "-P", str(self.child.pid)], capture_output=True, text=True)
        return [self.child.pid, *map(int, done.stdout.split())]

    def close(self):
        self.stop()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", f"{self.place}/notify")  # ends the listening
        shutil.rmtree(self.place)


@pytest.fixture
def daemon(plain_bed):
    made = Daemon(plain_bed.server)
    yield made
    print(made.log())
    made.close()


def answers(bed, family="ipv4", port=None):
    """True if a SYN is answered by the guard; the listener is the test's own if no port is given."""
    with bed.listen(family, port=port) as listener, Peer(bed.guarded, family, listener.port) as peer:
        with bed.guard.counting() as moved:
            peer.connect(b"x")
            assert listener.accept()
        return moved["synack_sent"] == 1 and moved["handoff_done"] == 1


# What the unit's ProtectClock= does: adjtimex() and clock_adjtime() fail with EPERM, for children as well.
WITHOUT_CLOCK = """
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
forbidden = {"x86_64": (159, 305), "aarch64": (171, 266)}[os.uname().machine]
code = [(0x20, 0, 0, 0)]
for at, number in enumerate(forbidden):
    code.append((0x15, len(forbidden) - at, 0, number))
code += [(0x06, 0, 0, 0x7fff0000), (0x06, 0, 0, 0x00050001)]
raw = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in code))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(code), ctypes.addressof(raw)))
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0):
    raise OSError(ctypes.get_errno(), "seccomp")
try:
    os.execv(sys.argv[1], sys.argv[1:])
finally:
    os._exit(1)
"""


# The file -----------------------------------------------------------------------------

GOOD = "[synward]\nkey-rotation = 6h\n[interface sw0]\n[interface sw1]\nservices = web, dns\n" \
       "[service web]\naddress = 192.0.2.0/24, 2001:db8::1\nports = 80,443\nmode = auto\n[service dns]\nports = 53\n"


def config_check(path, *options):
    return subprocess.run([SYNWARD, "config", "check", path, *options], capture_output=True, text=True)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "synward.conf"

    def write(text, mode=0o644, owner=0):
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        os.chmod(path, mode)
        os.chown(path, owner, 0)
        return str(path)
    return write


def test_a_good_file_is_good(file):
    done = config_check(file(GOOD))
    assert not done.returncode and "2 interfaces, 2 services" in done.stdout
    assert json.loads(config_check(file(GOOD), "-j").stdout)["services"] == 2


@pytest.mark.parametrize("line, key, says", [
    ("mode = sometimes", "mode", "off|monitor|always|auto"),
    ("hold = 10", "hold", "100ms-1d"),
    ("hold = 2d", "hold", "100ms-1d"),
    ("syn-start = 4294967296", "syn-start", "0-4294967295"),
    ("syn-start = -1", "syn-start", "0-4294967295"),
    ("syn-end = 2001", "syn-end", "syn-start"),
    ("address = 192.0.2.1/24", "address", "2001:db8"),
    ("address = 192.0.2", "address", "2001:db8"),
    ("ports = 53", "ports", "already"),
    ("allow = lists/allow", "allow", "absolute"),
    ("colour = red", "colour", "half-open-start"),
    ("[interface sw2]\npath = host\nto = 192.0.2.1", "to", "path = proxy"),
    ("[service smtp]\npath = proxy\n[interface sw2]\npath = host", "path", "auto|host"),
    ("[service smtp]\npath = host\n[interface sw2]\npath = compat", "path", "auto"),
    ("path = compat", "path", "auto|host|proxy"),
    ("[service dns]", "dns", "already"),
    ("[service a b]", "[service NAME]", "letters"),
    ("[servce x]", "servce x", "[interface NAME]"),
    ("[interface a/b]", "[interface NAME]", "15"),
    ("[interface sw1]", "sw1", "already"),
    ("[service x", "", "]"),
    ("nonsense", "", "KEY = VALUE"),
    (" mode = off", "", "space"),
    ("mode\x01 = off", "", "control"),
    ("mode = " + "x" * 300, "", "198"),
])
def test_a_wrong_line_is_named(file, line, key, says):
    path = file(GOOD + line + "\n")
    done = config_check(path)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    number = 10 if key == "syn-end" else 12  # what only the whole shows is said of the section
    assert f"{path}:{number}: {key}" in done.stderr and says in done.stderr
    fault = json.loads(config_check(path, "-j").stdout)
    assert fault["line"] == number and fault["file"] == path and fault.get("key", "") == key
    assert says in fault.get("allowed", "") + fault["error"]


@pytest.mark.parametrize("text", [b"", b"\0\0\0", b"\xff\xfe[", b"[", b"]", b"=", b"[interface sw0]\n\0", b"\n" * 100, os.urandom(5000),
                                  b"[interface sw0]\nservices = nobody\n", b"[service x]\n", b"xdp = auto\n",
                                  b"".join(b"[interface i%d]\n" % i for i in range(65)),
                                  b"[interface sw0]\n[service x]\nports = " + b",".join(b"%d" % (2 * i + 1) for i in range(50)) +
                                  b"\naddress = 10.0.0.1,10.0.0.2\n", b"[interface sw0]\n" + b"#" * (1 << 20)],
                         ids=range(15))
def test_hostile_files_get_one_line(file, text):
    done = config_check(file(text))
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done


def test_a_file_others_could_write_is_refused(file, tmp_path):
    for mode, owner, says in ((0o664, 0, "writable"), (0o646, 0, "writable"), (0o644, 65534, "owned by root")):
        done = config_check(file(GOOD, mode, owner))
        assert done.returncode == 1 and says in done.stderr
    prefixes = tmp_path / "list"
    prefixes.write_text("192.0.2.0/24\n")
    for mode, code in ((0o666, 1), (0o644, 0)):
        os.chmod(prefixes, mode)
        assert config_check(file(f"[interface sw0]\n[service x]\nallow = {prefixes}\n")).returncode == code
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, tmp_path / "nothing", "/dev/zero"):
        assert config_check(path).returncode == 1


def test_every_key_is_listed_with_its_default():
    keys = json.loads(subprocess.run([SYNWARD, "config", "keys", "-j"], capture_output=True, text=True, check=True).stdout)
    assert {key["section"] for key in keys} == {"synward", "interface", "service"}
    assert all(key["allowed"] and key["text"] for key in keys)
    plain = subprocess.run([SYNWARD, "config", "keys"], capture_output=True, text=True, check=True).stdout
    assert all(key["key"] in plain for key in keys)


# What is packaged ---------------------------------------------------------------------

def test_example_configuration_is_good(file):
    with open(f"{ROOT}/packaging/synward.conf") as f:
        text = f.read()
    done = config_check(file(text))
    assert not done.returncode, done.stderr
    done = config_check(file(re.sub(r"(?m)^#(?=[a-z\[])", "", text)))
    assert not done.returncode, f"with all that it suggests: {done.stderr}"


def test_unit_is_sound_and_hardened(tmp_path):
    with open(f"{ROOT}/packaging/synward.service") as f:
        text = f.read().replace("/usr/sbin/synward", SYNWARD)
    unit = tmp_path / "synward.service"
    unit.write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)
    assert not done.returncode and not done.stderr, done.stderr
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=20", unit], capture_output=True, text=True)
    assert not done.returncode, done.stdout[-300:]


# Starting and stopping ----------------------------------------------------------------

def test_started_guards_and_says_ready(plain_bed, daemon, family):
    daemon.start()
    assert daemon.status_line() == "guarding sw0"
    assert answers(plain_bed, family)
    assert daemon.stop() == 0 and daemon.hears("STOPPING=1")
    assert plain_bed.guard.attached and answers(plain_bed, family), "stopped, the guard stays on"


def test_stopped_detaches_if_told_to(plain_bed, daemon):
    daemon.write("[synward]\non-stop = detach\n" + PLAIN)
    daemon.start()
    assert answers(plain_bed)
    assert daemon.stop(signal.SIGINT) == 0
    assert not leftover_pins(plain_bed.server)


def test_gives_up_privileges(daemon):
    daemon.start()
    status = dict(line.split(":\t", 1) for line in open(f"/proc/{daemon.child.pid}/status").read().splitlines() if ":\t" in line)
    for name in ("CapPrm", "CapEff", "CapBnd"):
        assert int(status[name], 16) == CAP_BPF_AND_NET_ADMIN, name
    assert status["NoNewPrivs"] == "1"


def test_an_attack_is_told_in_the_log(plain_bed, daemon):
    daemon.write(PLAIN + "[service web]\nmode = auto\nsyn-start = 500\nsyn-end = 300\nhold = 1s\n")
    daemon.options = ("-j",)
    daemon.start()
    with plain_bed.guarded.taking_live_frames():
        listener = plain_bed.listen("ipv4")
        plain_bed.client.spawn(FLOOD, "cg0", "--to", plain_bed.guarded.server_addr["ipv4"], "--port", listener.port,
                               "--sources", "198.18.0.0/15", "--seconds", 2, "--rate", 5000).wait()
        assert daemon.says("attack is over"), daemon.log()
    told = [json.loads(line) for line in daemon.log().splitlines() if '"event"' in line]
    assert [(line["event"], line["service"], line["interface"]) for line in told] == [
        ("armed", "web", "sw0"), ("disarmed", "web", "sw0")]
    assert told[0]["reason"] == "syn_rate" and told[0]["syns_per_s"] >= 500
    refused = plain_bed.server.run(SYNWARD, "events", "sw0", "-c", "1", check=False)
    assert refused.returncode == 1 and "log" in refused.stderr


def test_one_daemon_a_namespace(plain_bed, daemon):
    done = plain_bed.server.run(SYNWARD, "reload", check=False)
    assert done.returncode == 1 and "no 'synward run'" in done.stderr
    daemon.start()
    done = plain_bed.server.run(SYNWARD, "run", "-c", daemon.path, check=False)
    assert done.returncode == 1 and "already" in done.stderr
    daemon.reload()


def test_does_not_start_on_a_wrong_file_or_without_anything_to_guard(plain_bed, daemon):
    daemon.write(PLAIN + "colour = red\n")
    daemon.start(ready=False)
    assert daemon.child.wait(60) == 1 and "conf:3: colour" in daemon.log()
    daemon.write(PLAIN)
    plain_bed.server.run(VETH_PEER, "sw0", "on")
    daemon.start(ready=False)
    assert daemon.child.wait(60) == 1 and "holds the hook" in daemon.log()


def test_one_interface_that_cannot_be_guarded_is_tried_again(plain_bed, daemon):
    plain_bed.server.run(VETH_PEER, "dir0", "on")
    daemon.write(PLAIN + "[interface dir0]\n")
    daemon.start()
    assert daemon.status_line() == "guarding sw0; waiting for dir0" and "holds the hook" in daemon.log()
    plain_bed.server.run(VETH_PEER, "dir0", "off")
    assert daemon.says("dir0: guarded")


def test_messages_suit_the_journal_and_json(plain_bed):
    for options, environment, form in (((), {"JOURNAL_STREAM": None}, r"<[3-6]>"), (("-j",), {}, r"\{")):
        daemon = Daemon(plain_bed.server, PLAIN, *options)
        if "JOURNAL_STREAM" in environment:
            st = os.stat(daemon.log_path)
            daemon.environment["JOURNAL_STREAM"] = f"{st.st_dev}:{st.st_ino}"
        daemon.start()
        daemon.stop()
        lines = daemon.log().splitlines()
        assert len(lines) >= 3 and all(re.match(form, line) for line in lines), lines
        if form == r"\{":
            assert {"time", "level", "message"} <= set(json.loads(lines[0])) and json.loads(lines[0])["interface"] == "sw0"
        daemon.close()


def test_watchdog_is_fed(daemon):
    daemon.start()
    assert daemon.hears("WATCHDOG=1")
    daemon.told.clear()
    assert daemon.hears("WATCHDOG=1")


def test_attach_takes_the_file_without_a_daemon(plain_bed, daemon):
    bed = plain_bed
    daemon.write(PLAIN + "ports = 80,8000-8100\n[interface dir0]\n")
    bed.guard.cli("attach", "sw0", "-c", daemon.path)
    assert bed.guard.status()[0]["ports"] == "80,8000-8100"
    for wrong in (("attach", "sw1", "-c", daemon.path), ("attach", "sw0", "-c", daemon.path, "-p", "80"), ("attach", "sw0", "-c", "/nothing")):
        assert bed.guard.cli(*wrong, check=False).returncode


# Reloading ----------------------------------------------------------------------------

def ports_of(guard):
    return guard.status()[0]["ports"]


@pytest.mark.parametrize("how", ["command", "signal"])
def test_reload_applies_the_difference(plain_bed, daemon, how):
    bed = plain_bed
    daemon.start()
    with Echo(bed.server, "ipv4") as echo, connect(bed.client, "ipv4", "10.1.0.1", echo.port) as sock:
        before = bed.guard.totals()
        daemon.write(PLAIN + "ports = 80,443\n[interface dir0]\nxdp = native\nports = 1000-2000\n")
        if how == "command":
            assert "guarding sw0, dir0" in daemon.reload().stdout
        else:
            daemon.child.send_signal(signal.SIGHUP)
            assert daemon.says("reloaded:")
        assert daemon.hears("RELOADING=1")
        assert ports_of(bed.guard) == "80,443" and ports_of(Guard(bed.server, "dir0")) == "1000-2000"
        assert bed.guard.totals()["synack_sent"] >= before["synack_sent"] == 1
        sock.sendall(b"still here")
        assert read_exactly(sock, 10) == b"still here"
    daemon.reload(PLAIN)
    assert ports_of(bed.guard) == "auto" and answers(bed)
    assert len(leftover_pins(bed.server)) == 1, "an interface no longer named is let go"


@pytest.mark.parametrize("text, says", [
    (PLAIN + "ports = 80a\n", "conf:3: ports"),
    (PLAIN + "ports = 80\n[interface dir0]\n", "dir0: the XDP program"),  # dir0's hook is taken
    ("[interface sw0]\nxdp = generic\n", "sw0: xdp: the guard is on with native"),
    ("[interface sw0]\nattach = link\n", "sw0: attach: the guard is on with libxdp"),
    (PLAIN + "path = compat\n", "sw0: path: the guard is on with host"),
    ("", "no interface is named"),
])
def test_reload_refused_leaves_everything_as_it_was(plain_bed, daemon, text, says):
    bed = plain_bed
    daemon.write(PLAIN + "ports = 4000-65535\n")
    daemon.start()
    bed.server.run(VETH_PEER, "dir0", "on")
    fd = bpf_open(f"{bed.guard.pins}/config")
    before = map_read(fd, 24 + 65536 // 8)[16:]
    done = daemon.reload(text, check=False)
    assert done.returncode == 1 and says in done.stderr and done.stderr.count("\n") == 1
    assert map_read(fd, 24 + 65536 // 8)[16:] == before
    os.close(fd)
    assert "reload refused, nothing changed" in daemon.log() and len(leftover_pins(bed.server)) == 1
    assert json.loads(bed.guard.cli("reload", "-j", check=False).stdout)["error"]
    assert answers(bed)
    daemon.reload(PLAIN)


def test_reload_of_a_file_others_may_write_is_refused(plain_bed, daemon):
    daemon.start()
    os.chmod(daemon.path, 0o666)
    done = daemon.reload(check=False)
    assert done.returncode == 1 and "writable" in done.stderr
    assert answers(plain_bed)


def test_a_guard_taken_off_by_hand_stays_off_until_a_reload(plain_bed, daemon):
    bed = plain_bed
    daemon.start()
    bed.guard.detach()
    assert daemon.says("taken off by hand")
    assert not bed.guard.attached
    daemon.reload()
    assert answers(bed)


# Interfaces that come and go ----------------------------------------------------------

def test_interface_that_comes_later_is_guarded(plain_bed, daemon):
    bed = plain_bed
    daemon.write(PLAIN + "[interface late0]\nxdp = native\n")
    daemon.start()
    assert daemon.status_line() == "guarding sw0; waiting for late0"
    for round in range(2):
        link = Link(bed.client, bed.server, 3, "late0", "cl0")
        guard = Guard(bed.server, "late0")
        assert wait_until(lambda: daemon.log().count("late0: guarded") == round + 1, 30)
        with bed.listen("ipv4") as listener, Peer(link, "ipv4", listener.port) as peer, guard.counting() as moved:
            peer.connect(b"x")
            assert listener.accept()
        assert moved["synack_sent"] == 1
        bed.server.ip("link", "del", "late0")
        assert daemon.says("late0: is gone") and wait_until(lambda: not os.path.exists(guard.pins), 30)
        assert answers(bed)


def test_renamed_interface_is_guarded_under_its_new_name(plain_bed, daemon):
    bed = plain_bed
    daemon.write(PLAIN + "[interface wan0]\nports = 4000-65535\n")
    daemon.start()

    def rename(old, new):
        bed.server.ip("link", "set", old, "down")
        bed.server.ip("link", "set", old, "name", new)
        bed.server.ip("link", "set", new, "up")
    rename("dir0", "wan0")  # not guarded before, named now
    assert daemon.says("wan0: guarded")
    rename("wan0", "dir0")  # guarded, and no longer named: stays so until the next reload
    assert daemon.says("is called dir0 now and stays guarded until")
    assert Guard(bed.server, "dir0").status()[0]["state"] == "on"
    rename("dir0", "wan0")
    assert daemon.says("dir0: warning: is called wan0 now and stays guarded\n")
    assert wait_until(lambda: daemon.status_line() == "guarding sw0, wan0", 30)
    rename("wan0", "dir0")
    assert wait_until(lambda: daemon.log().count("until the next reload") == 2, 30)
    daemon.reload()
    assert len(leftover_pins(bed.server)) == 1 and daemon.log().count(": guarded") == 2, "no guard was put on twice"
    assert answers(bed)


# What is read again -------------------------------------------------------------------

def test_route_metrics_changed_at_run_time_are_seen(plain_bed, daemon):
    bed = plain_bed
    daemon.start()
    with bed.listen("ipv4") as listener:
        def routes(*metrics):
            for link in (bed.guarded, bed.direct):
                bed.server.ip("route", "replace", f"100.64.{link.number}.0/24", "via", link.client_addr["ipv4"],
                              "dev", link.server_if, *metrics)

        def alike():
            direct, guarded = bed.both(lambda link: synack_look(link, "ipv4", listener.port))
            return direct == guarded and direct
        plain = wait_until(alike)
        assert plain
        routes("advmss", "1000")
        changed = wait_until(lambda: (look := alike()) and look != plain and look, 40, 0.5)
        assert changed, "a route's advmss is not seen"
        routes()
        assert wait_until(lambda: alike() == plain, 40, 0.5)


def test_ports_redirected_later_are_left_alone_on_the_host_path(plain_bed, daemon):
    bed = plain_bed
    daemon.write(PLAIN + "path = host\n")
    daemon.start()
    bed.server.nft("table ip synward_test {\n chain pre {\n type nat hook prerouting priority -100\n tcp dport 8080 dnat to 10.1.0.9:80\n }\n}\n")
    assert daemon.says("port 8080 is redirected") and ports_of(bed.guard) == "1-8079,8081-65535"
    bed.server.nft("delete table ip synward_test")
    assert wait_until(lambda: ports_of(bed.guard) == "auto", 40, 0.5)


def test_keys_are_rotated_by_time(plain_bed, daemon):
    bed = plain_bed
    daemon.write("[synward]\nkey-rotation = 5min\n" + PLAIN)
    daemon.start()
    with bed.listen("ipv4") as listener, Peer(bed.guarded, "ipv4", listener.port) as peer:
        bed.guard.shift_clock(400)
        assert peer.ask()
        assert daemon.says("new cookie key")
        peer.data(b"the cookie is of the key before")
        assert listener.accept()
    assert daemon.log().count("new cookie key") == 1 and answers(bed)


# Killed and restarted; reloads under connections -----------------------------------------

class Traffic:
    """Connections to an echo server: so many a second, each with a word and a close, and long ones that
    keep sending. Nothing may fail: errors are collected."""

    def __init__(self, bed, family, rate=200, long=50):
        self.bed, self.family, self.rate = bed, family, rate
        self.echo = Echo(bed.server, family)
        self.addr = bed.guarded.server_addr[family]
        self.errors, self.made, self.rounds, self.running = [], 0, 0, True
        self.long = [connect(bed.client, family, self.addr, self.echo.port, 10) for _ in range(long)]
        self.threads = [threading.Thread(target=self._short, args=(n,)) for n in range(4)] + [threading.Thread(target=self._long)]
        for thread in self.threads:
            thread.start()

    def _short(self, number):
        due = time.monotonic()
        while self.running:
            due += 4 / self.rate
            time.sleep(max(0, due - time.monotonic()))
            try:
                with connect(self.bed.client, self.family, self.addr, self.echo.port, 10) as sock:
                    sock.sendall(b"word")
                    if read_exactly(sock, 4) != b"word":
                        self.errors.append("short: closed early")
                self.made += 1
            except OSError as error:
                self.errors.append(f"short: {error}")

    def _long(self):
        block, got = os.urandom(2000), {}
        with selectors.DefaultSelector() as chosen:
            for sock in self.long:
                chosen.register(sock, selectors.EVENT_READ)
                got[sock] = b""
                sock.sendall(block)
            while self.running and not self.errors:
                for key, _ in chosen.select(0.2):
                    sock = key.fileobj
                    try:
                        piece = sock.recv(4096)
                        got[sock] += piece
                        if not piece or not block.startswith(got[sock]):
                            self.errors.append("long: closed or mixed up")
                        elif got[sock] == block:
                            got[sock] = b""
                            self.rounds += 1
                            sock.sendall(block)
                    except OSError as error:
                        self.errors.append(f"long: {error}")
                time.sleep(0.02)

    def stop(self):
        self.running = False
        for thread in self.threads:
            thread.join()
        for sock in self.long:
            sock.close()
        self.echo.close()


def test_whoever_read_its_log_is_gone(plain_bed, daemon):
    """Without systemd, which has it ignore SIGPIPE."""
    reader = subprocess.Popen(["head", "-n", "1"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    daemon.child = plain_bed.server.spawn(SYNWARD, "run", "-c", daemon.path, stderr=reader.stdin, env=daemon.environment)
    reader.stdin.close()
    assert daemon.hears("READY=1")
    assert reader.wait(20) == 0
    for _ in range(3):
        daemon.reload(PLAIN)
    assert daemon.child.poll() is None and daemon.stop() == 0


def test_killed_and_started_again_under_connections(plain_bed, daemon):
    bed = plain_bed
    daemon.start()
    traffic = Traffic(bed, "ipv4")
    began = time.monotonic()
    for round in range(5):
        daemon.child.kill()
        daemon.child.wait()
        assert bed.guard.attached
        before = traffic.made
        assert wait_until(lambda: traffic.made > before + 50, 10), "no connections without the daemon"
        daemon.start()
        assert daemon.log().count("guard taken over") == round + 1
    took = time.monotonic() - began
    traffic.stop()
    print(f"5 kills in {took:.1f} s: {traffic.made} connections, {traffic.rounds} rounds of the long ones, errors: {traffic.errors[:3]}")
    assert not traffic.errors and traffic.rounds > 100
    assert bed.guard.totals()["handoff_done"] >= traffic.made
    daemon.reload()


def test_ends_when_its_helper_is_killed(plain_bed, daemon):
    """So that whoever started it starts both."""
    daemon.start()
    os.kill(daemon.processes()[1], signal.SIGKILL)
    assert daemon.child.wait(60) == 1 and "helper process died" in daemon.log()
    assert answers(plain_bed)
    daemon.start()


def test_a_hundred_reloads_under_connections(plain_bed, daemon, family):
    bed = plain_bed
    daemon.start()
    traffic = Traffic(bed, family)
    other, began, reloads = f"[synward]\nkey-rotation = 2h\n{PLAIN}ports = 4000-65535\n[interface dir0]\nxdp = native\n", time.monotonic(), 100
    try:
        for number in range(reloads):
            daemon.reload(other if number % 10 == 5 else PLAIN + f"ports = 4000-{60000 + number}\n")
        took = time.monotonic() - began
        wait_until(lambda: traffic.made > 200)
    finally:
        traffic.stop()
    print(f"{reloads} reloads in {took:.1f} s: {traffic.made} connections, {traffic.rounds} rounds of the long ones, errors: {traffic.errors[:3]}")
    assert not traffic.errors and traffic.made > 200 and traffic.rounds > 100
    assert bed.guard.totals()["handoff_done"] >= traffic.made + 50, "not all were guarded"


# Growth -------------------------------------------------------------------------------

def belongings(pid):
    fds = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    with open(f"/proc/{pid}/status") as f:
        rss = int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))
    return {"fds": len(fds), "bpf": sum("bpf" in name for name in fds), "rss": rss}


def test_nothing_grows_over_reloads(plain_bed, daemon):
    bed = plain_bed
    both = PLAIN + "[interface dir0]\nxdp = native\n"
    daemon.start()
    traffic = Traffic(bed, "ipv4", long=10)

    def round():
        """Guards put on and taken off, files refused, an interface that comes and goes."""
        daemon.reload(both)
        daemon.reload(both + "ports = 80a\n", check=False)
        daemon.reload(PLAIN + "ports = 4000-5000\n")
        daemon.reload(PLAIN)

    def settled():
        return {pid: belongings(pid) for pid in daemon.processes()}
    for _ in range(3):
        round()
    before = settled()
    minutes = float(os.environ.get("SYNWARD_SOAK_MINUTES", "0"))
    end, rounds = time.monotonic() + 60 * minutes, 0
    try:
        while rounds < 6 or time.monotonic() < end:
            round()
            rounds += 1
        after = settled()
    finally:
        traffic.stop()
    print(f"{rounds} rounds, 4 reloads each: before {before}, after {after}; {traffic.made} connections made, errors: {traffic.errors}")
    assert not traffic.errors
    assert len(before) == 2 and before.keys() == after.keys()
    for pid, had in before.items():
        assert after[pid]["fds"] == had["fds"] and after[pid]["bpf"] == had["bpf"]
        assert after[pid]["rss"] < had["rss"] * 1.1 + 1024


@pytest.mark.skipif("SYNWARD_LONG" not in os.environ, reason="waits for the daemon's look at the clock: make check-modes")
def test_clock_under_the_units_filter(plain_bed, daemon, tmp_path):
    """What it may not ask it does not claim; that the clock was set it still sees."""
    key = tmp_path / "key"
    plain_bed.server.run(SYNWARD, "key", "generate", key)
    daemon.write(f"{PLAIN}[synward]\nkey-file = {key}\n")
    daemon.wrapper = ("/usr/bin/python3", "-c", WITHOUT_CLOCK)
    daemon.start()
    plain_bed.guard.shift_clock(3)
    # It leaves its turn, each 5 s, to whoever attaches anywhere on this machine.
    assert daemon.says("the clock of day was set by -3.0 s", 120)
    assert "nothing keeps this machine's clock right" not in daemon.log()
