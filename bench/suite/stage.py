# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The stage: a lane for each system, all alike and all there at once, so that rounds can go
from one to the next in no time. A lane is two network namespaces and a veth between them:

  synward-bench-PID-LANE-c                   synward-bench-PID-LANE-s
  floods, load client, real clients          the system measured, listeners
  c0 10.9.0.1 fd09::1   ------ veth ------   s0 10.9.0.2 fd09::2, default route: c0
"""
import contextlib
import ctypes
import glob
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("B", "build")
SYNWARD, FLOOD, METER, SOCKETS = BUILD / "synward", BUILD / "flood", BUILD / "bench/meter", BUILD / "bench/sockets"
PREFIX = "synward-bench-"
CLIENT_MAC, SERVER_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
CLIENT_V4, SERVER_V4, CLIENT_V6, SERVER_V6 = "10.9.0.1", "10.9.0.2", "fd09::1", "fd09::2"
PORT, ACCEPT_PORT, ECHO_PORT = 80, 81, 82
CLONE_NEWNET = 0x40000000
BACKLOG = 4096

libc = ctypes.CDLL(None, use_errno=True)

SYNPROXY = """
table inet bench {
    chain before {
        type filter hook prerouting priority raw; policy accept;
        tcp dport { 80-82 } tcp flags syn notrack
    }
    chain in {
        type filter hook input priority filter; policy accept;
        tcp dport { 80-82 } ct state { invalid, untracked } synproxy mss 1460 wscale 7 timestamp sack-perm
        ct state invalid drop
    }
}
"""

NGINX_CONF = """
user root; worker_processes 1; daemon on;
pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
    server {{ listen 8080 backlog=4096; return 200 "served\\n"; }}
}}
"""


class BenchError(Exception):
    """A line for the user."""


def run(*command, check=True, input=None, timeout=60):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, input=input, timeout=timeout)
    if check and done.returncode:
        said = (done.stderr or done.stdout).strip() or f"exit status {done.returncode}"
        raise BenchError(f"{' '.join(str(word) for word in command)}: {said}")
    return done.stdout


def pids_named(start):
    """Of processes and kernel threads whose name begins so."""
    found = set()
    for comm in glob.glob("/proc/[0-9]*/comm"):
        try:
            if pathlib.Path(comm).read_text().startswith(start):
                found.add(int(comm.split("/")[2]))
        except OSError:
            pass
    return found


def cpu_ns(pid):
    """What a process has used of its CPU, kernel threads too, to the nanosecond."""
    try:
        return time.clock_gettime_ns(~pid << 3 | 2)  # clock_getcpuclockid(3)
    except OSError:
        return 0


def bpftool(*words):
    path = shutil.which("bpftool", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    return json.loads(run(path, "-j", *words))


class Meter:
    """bench/suite/meter.c, which says what each command does."""

    def __init__(self, cpu):
        ksoftirqd = pids_named(f"ksoftirqd/{cpu}\n").pop()
        self.child = subprocess.Popen([METER, str(cpu), str(ksoftirqd)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, *words):
        line = " ".join(str(word) for word in words)
        self.child.stdin.write(line + "\n")
        self.child.stdin.flush()
        answer = self.child.stdout.readline().split()
        if not answer or answer[0] != "ok":
            raise BenchError(f"meter: {line}: {' '.join(answer[1:]) or 'it has ended'}")
        return answer[1:]

    def close(self):
        self.child.stdin.close()
        self.child.wait()


class Namespace:
    def __init__(self, name):
        self.name = f"{PREFIX}{os.getpid()}-{name}"
        self.path = f"/run/netns/{self.name}"
        run("ip", "netns", "add", self.name)
        self.ip("link", "set", "lo", "up")

    def command(self, *command):
        # Not `ip netns exec`: its fresh /sys would hide the BPF file system.
        return ["nsenter", f"--net={self.path}", *(str(word) for word in command)]

    def run(self, *command, **options):
        return run(*self.command(*command), **options)

    def ip(self, *words):
        return run("ip", "-n", self.name, *words)

    def sysctl(self, **values):
        for name, value in values.items():
            self.run("tee", "/proc/sys/net/" + name.replace("__", "/"), input=str(value))

    @contextlib.contextmanager
    def entered(self):
        """Sockets made in here are of this namespace."""
        with open("/proc/self/ns/net") as home, open(self.path) as there:
            if libc.setns(there.fileno(), CLONE_NEWNET):
                raise BenchError("setns: " + os.strerror(ctypes.get_errno()))
            try:
                yield
            finally:
                libc.setns(home.fileno(), CLONE_NEWNET)

    def listen(self, port):
        """A listener on all addresses that nobody accepts from."""
        with self.entered():
            sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("::", port))
            sock.listen(BACKLOG)
            return sock

    def connect(self, address, port):
        """To a server that may still be starting."""
        deadline = time.monotonic() + 2
        with self.entered():
            while True:
                try:
                    return socket.create_connection((address, port), timeout=5)
                except ConnectionRefusedError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.02)

    def pin(self, name):
        """A map of the guard in here."""
        return glob.glob(f"/sys/fs/bpf/synward/{os.stat(self.path).st_ino}-*/{name}")[0]

    def set_threaded(self, interface, value):
        # A fresh /sys shows this namespace's interfaces.
        run("ip", "netns", "exec", self.name, "sh", "-c", f"echo {value} >/sys/class/net/{interface}/threaded")

    def receive_thread(self, interface, cpu, first=False):
        """Of a veth, which otherwise has the sender's CPU do the receiver's work. It runs as the kernel starts
        it, at nice 0; first: before any process, as a NIC's softirq would."""
        before = pids_named(f"napi/{interface}-")
        self.set_threaded(interface, 1)
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            new = pids_named(f"napi/{interface}-") - before
            if new:
                thread = new.pop()
                os.sched_setaffinity(thread, {cpu})
                if first:
                    os.sched_setscheduler(thread, os.SCHED_FIFO, os.sched_param(1))
                return thread
            time.sleep(0.02)
        raise BenchError(f"no receive thread of {interface} appeared")

    def spawn(self, stage, *command, cpu=None, nice=0, **options):
        words = self.command(*(["taskset", "-c", cpu] if cpu is not None else []), *(["nice", "-n", nice] if nice else []), *command)
        options.setdefault("stdout", subprocess.DEVNULL)
        child = subprocess.Popen(words, text=True, stderr=subprocess.DEVNULL, **options)
        stage.children.append(child)
        return child


class Lane:
    """One system on its wire. system: a key of SYSTEMS."""

    def __init__(self, stage, name, system):
        self.stage, self.name, self.system = stage, name, system
        self.attached, self.receiver, self.attach_s = False, None, None
        self.client, self.server = Namespace(name + "-c"), Namespace(name + "-s")
        self.make_wire()
        self.socket = self.server.listen(PORT)
        SYSTEMS[system](self)
        stage.meter.ask("attach", self.client.name, "c0", "sink")

    def make_wire(self):
        run("ip", "link", "add", "c0", "netns", self.client.name, "address", CLIENT_MAC, "type", "veth",
            "peer", "name", "s0", "netns", self.server.name, "address", SERVER_MAC)
        ends = ((self.client, "c0", CLIENT_V4, CLIENT_V6, SERVER_V4, SERVER_V6, SERVER_MAC),
                (self.server, "s0", SERVER_V4, SERVER_V6, CLIENT_V4, CLIENT_V6, CLIENT_MAC))
        for netns, interface, v4, v6, peer_v4, peer_v6, mac in ends:
            netns.ip("addr", "add", f"{v4}/24", "dev", interface)
            netns.ip("addr", "add", f"{v6}/64", "dev", interface, "nodad")
            netns.ip("link", "set", interface, "up")
            netns.ip("neigh", "replace", peer_v4, "lladdr", mac, "dev", interface, "nud", "permanent")
            netns.ip("neigh", "replace", peer_v6, "lladdr", mac, "dev", interface, "nud", "permanent")
        self.server.ip("route", "add", "default", "via", CLIENT_V4)
        self.server.ip("-6", "route", "add", "default", "via", CLIENT_V6)
        self.client.sysctl(ipv4__ip_local_port_range="1024 65535")
        self.server.sysctl(core__somaxconn=BACKLOG, ipv4__tcp_max_syn_backlog=BACKLOG)

    def client_end(self, program):
        self.stage.meter.ask("attach", self.client.name, "c0", program)

    def own_receive_thread(self, cpu, first=False):
        if not self.receiver:
            self.receiver = self.server.receive_thread("s0", cpu, first)
        return self.receiver

    def use_softirq(self):
        self.server.set_threaded("s0", 0)
        self.receiver = None

    def spawn(self, netns, *command, **options):
        return netns.spawn(self.stage, *command, **options)

    def flood(self, *words, cpu):
        return self.spawn(self.client, FLOOD, "c0", "--to", SERVER_V4, "--dst-mac", SERVER_MAC, "-j", *words,
                          cpu=cpu, nice=-5, stdout=subprocess.PIPE)

    def synward(self, *options):
        began = time.monotonic()
        self.attached = True
        self.server.run(SYNWARD, "attach", "s0", *options)
        self.attach_s = time.monotonic() - began

    def snmp(self, name):
        """A counter of the server's kernel, such as TcpPassiveOpens."""
        lines = self.server.run("cat", "/proc/self/net/snmp", "/proc/self/net/netstat").splitlines()
        for keys, values in zip(lines[::2], lines[1::2]):
            group = keys.split(":")[0]
            for key, value in zip(keys.split()[1:], values.split()[1:]):
                if group + key == name:
                    return int(value)
        raise KeyError(name)

    def close(self):
        self.socket.close()
        if self.attached:
            self.server.run(SYNWARD, "detach", "s0", check=False)


def gro(lane):
    """Frames that are redirected into a veth without a program need it."""
    lane.server.run("ethtool", "-K", "s0", "gro", "on")


def bare(program):
    return lambda lane: lane.stage.meter.ask("attach", lane.server.name, "s0", program)


def cookies(value):
    def set_up(lane):
        gro(lane)
        lane.server.sysctl(ipv4__tcp_syncookies=value)
    return set_up


def synproxy(lane):
    gro(lane)
    lane.server.run("nft", "-f", "-", input=SYNPROXY)
    # The probes end with RST and use few addresses: what conntrack remembers of a port must not fail its next use.
    lane.server.sysctl(netfilter__nf_conntrack_tcp_loose=0, netfilter__nf_conntrack_tcp_timeout_close=1)


def guard(*options, gro_on=False):
    def set_up(lane):
        if gro_on:
            gro(lane)
        lane.synward(*options)
    return set_up


SYSTEMS = {
    "none": lambda lane: None,
    "drop": bare("bare_drop"),
    "tx": bare("bare_tx"),
    "pass": bare("bare_pass"),
    "cookies1": cookies(1),
    "cookies2": cookies(2),
    "nft": synproxy,
    "libxdp": guard("--xdp", "native", "--attach", "libxdp"),
    "link": guard("--xdp", "native", "--attach", "link"),
    "proxy": guard("--xdp", "native", "--path", "proxy", "--ports", PORT),
    "generic": guard("--xdp", "generic", "--attach", "link", gro_on=True),
}


class Stage:
    """`with Stage() as stage:` whatever happens, nothing stays."""

    def __init__(self):
        cpus = sorted(os.sched_getaffinity(0))
        self.flood_cpu, self.server_cpu = cpus[0], cpus[-1]
        self.lanes, self.children = {}, []
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="synward-bench."))
        self.meter = None

    def __enter__(self):
        try:
            self.sweep()
            self.meter = Meter(self.server_cpu)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def lane(self, name, system=None):
        if name not in self.lanes:
            self.lanes[name] = Lane(self, name, system or name)
        return self.lanes[name]

    def end_children(self):
        for child in self.children:
            if child.poll() is None:
                child.kill()
        for child in self.children:
            child.wait()
            if child.stdout:
                child.stdout.close()
        self.children.clear()

    def start_nginx(self, lane, cpu):
        place = self.dir / f"nginx-{lane.name}"
        place.mkdir(exist_ok=True)
        conf = place / "nginx.conf"
        conf.write_text(NGINX_CONF.format(dir=place))
        lane.server.run("taskset", "-c", cpu, "nginx", "-e", place / "error.log", "-c", conf)

    def stop_nginx(self):
        for pid_file in self.dir.glob("nginx-*/nginx.pid"):
            try:
                os.kill(int(pid_file.read_text()), signal.SIGTERM)
            except (OSError, ValueError):
                pass

    @staticmethod
    def sweep(own=False):
        """Of runs that were killed; own: of this one."""
        for path in glob.glob(f"/run/netns/{PREFIX}*"):
            pid = int(os.path.basename(path).removeprefix(PREFIX).split("-")[0])
            if pid == os.getpid() if own else not os.path.exists(f"/proc/{pid}"):
                subprocess.run(["nsenter", f"--net={path}", SYNWARD, "detach", "--all"], capture_output=True)
                subprocess.run(["ip", "netns", "delete", os.path.basename(path)], capture_output=True)

    def close(self):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.end_children()
        self.stop_nginx()
        for lane in self.lanes.values():
            lane.close()
        if self.meter:
            self.meter.close()
        self.sweep(own=True)
        shutil.rmtree(self.dir, ignore_errors=True)
        signal.signal(signal.SIGINT, signal.default_int_handler)
