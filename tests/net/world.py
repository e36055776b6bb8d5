# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Network namespaces made for a test module and taken down with it, whatever happens.

Everything made here is registered in `leftovers` until it is gone; conftest.py clears
that list when the session ends, and atexit does when it ends badly. Names begin with
swt-PID-, so that what a killed run left is recognised and swept by the next one.
"""
import atexit
import contextlib
import ctypes
import glob
import itertools
import os
import re
import signal
import socket
import subprocess
import threading
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("SYNWARD_BUILD", os.path.join(ROOT, "build"))
SYNWARD = os.path.join(BUILD, "synward")
FLOOD = os.path.join(BUILD, "flood")
VETH_PEER = os.path.join(BUILD, "veth-peer")

PREFIX = "swt"
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1

libc = ctypes.CDLL(None, use_errno=True)
numbers = itertools.count()
leftovers = []


def setns(fd):
    if libc.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def die_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Namespace:
    """A network namespace. `with ns:` puts the calling thread into it: a socket belongs to
    the namespace it is made in and stays usable outside."""

    def __init__(self, role):
        self.name = f"{PREFIX}-{os.getpid()}-{next(numbers)}{role}"
        self.path = f"/var/run/netns/{self.name}"
        self.children = []
        self._back = threading.local()
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        leftovers.append(self)
        self.fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        self.inode = os.fstat(self.fd).st_ino
        self.ip("link", "set", "lo", "up")

    def __enter__(self):
        if not hasattr(self._back, "fds"):
            self._back.fds = []
        self._back.fds.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        setns(self.fd)
        return self

    def __exit__(self, *_):
        fd = self._back.fds.pop()
        setns(fd)
        os.close(fd)

    def command(self, *command):
        return ["nsenter", f"--net={self.path}", *map(str, command)]

    def run(self, *command, check=True, input=None, timeout=60):
        """`ip netns exec` would hide /sys/fs/bpf behind a fresh /sys."""
        done = subprocess.run(self.command(*command), input=input, text=True, capture_output=True, timeout=timeout)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def spawn(self, *command, **options):
        options.setdefault("stdout", subprocess.DEVNULL)
        options.setdefault("stderr", subprocess.DEVNULL)
        child = subprocess.Popen(self.command(*command), preexec_fn=die_with_parent, **options)
        self.children.append(child)
        return child

    def ip(self, *arguments):
        return self.run("ip", *arguments)

    def nft(self, rules):
        return self.run("nft", "-f", "-", input=rules)

    def sysctl(self, name, value=None):
        """Sets a sysctl below net. and returns what it was."""
        with self, open("/proc/sys/" + name.replace(".", "/"), "r+" if value is not None else "r") as f:
            old = f.read().strip()
            if value is not None:
                f.seek(0)
                f.write(str(value))
        return old

    @contextlib.contextmanager
    def having(self, **sysctls):
        """Within: sysctls of net. changed, written tcp_ecn=1 or with / for dots; restored after."""
        named = {name if "/" in name else f"net.ipv4.{name}": value for name, value in sysctls.items()}
        old = {name: self.sysctl(name, value) for name, value in named.items()}
        try:
            yield
        finally:
            for name, value in old.items():
                self.sysctl(name, value)

    def socket(self, *arguments):
        with self:
            return socket.socket(*arguments)

    def counters(self, ifname):
        """Frames and bytes of an interface, by /proc/net/dev's names."""
        with self, open("/proc/thread-self/net/dev") as f:
            for line in f:
                if line.strip().startswith(ifname + ":"):
                    value = list(map(int, line.split(":")[1].split()))
                    return {"rx_packets": value[1], "rx_dropped": value[3], "tx_packets": value[9], "tx_dropped": value[11]}
        raise KeyError(ifname)

    def netstat(self, name):
        """A counter of nstat, such as TcpExtListenOverflows."""
        for path in ("netstat", "snmp"):
            with self, open(f"/proc/thread-self/net/{path}") as f:
                lines = f.read().splitlines()
            for keys, values in zip(lines[::2], lines[1::2]):
                group = keys.split(":")[0]
                for key, value in zip(keys.split()[1:], values.split()[1:]):
                    if group + key == name:
                        return int(value)
        raise KeyError(name)

    def remove(self):
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.wait()
        self.children.clear()
        if os.path.exists(SYNWARD) and glob.glob(f"/sys/fs/bpf/synward/{self.inode}-*"):
            subprocess.run(self.command(SYNWARD, "detach", "--all"), capture_output=True)
        os.close(self.fd)
        # Sockets of ours can hold a namespace for a while: take its interfaces down by hand.
        subprocess.run(["ip", "-n", self.name, "link", "set", "group", "default", "down"], capture_output=True)
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True)
        leftovers.remove(self)


def clear_leftovers():
    for thing in reversed(leftovers[:]):
        try:
            thing.remove()
        except Exception as error:
            print(f"left behind: {thing}: {error}")


def sweep():
    """Namespaces of runs that were killed, and pins of namespaces that are gone."""
    for path in glob.glob(f"/var/run/netns/{PREFIX}-*"):
        name = os.path.basename(path)
        owner = re.match(rf"{PREFIX}-(\d+)-", name)
        if owner and not os.path.exists(f"/proc/{owner.group(1)}"):
            subprocess.run(["nsenter", f"--net={path}", SYNWARD, "detach", "--all"], capture_output=True)
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


atexit.register(clear_leftovers)


class Ends:
    """Two interfaces with a cable between, one in a client's and one in a server's namespace; address() makes them usable.

    number: it makes MAC addresses, subnets and the prefix that raw peers take source addresses
    from, which the client's kernel does not own and so never answers for.
    """

    def __init__(self, client, server, number, server_if, client_if, server_mac, client_mac):
        self.client, self.server, self.number = client, server, number
        self.server_if, self.client_if = server_if, client_if
        self.server_mac, self.client_mac = server_mac, client_mac
        self.server_addr = {"ipv4": f"10.{number}.0.1", "ipv6": f"fd00:{number}::1"}
        self.client_addr = {"ipv4": f"10.{number}.0.2", "ipv6": f"fd00:{number}::2"}
        self._peers = itertools.count(1)

    def address(self):
        """Addresses, routes and neighbours of both ends."""
        self.address_server()
        self.address_client()

    def address_server(self):
        route = [f"route add 100.64.{self.number}.0/24 via {self.client_addr['ipv4']} dev {self.server_if}",
                 f"route add 2001:db8:{self.number}::/48 via {self.client_addr['ipv6']} dev {self.server_if}"]
        if self.number == 1:  # where a flood's answers would go
            route.append(f"route add 198.18.0.0/15 via {self.client_addr['ipv4']} dev {self.server_if}")
        self._address(self.server, self.server_if, self.server_addr, self.client_addr, self.client_mac, route)

    def address_client(self):
        self._address(self.client, self.client_if, self.client_addr, self.server_addr, self.server_mac)

    @staticmethod
    def _address(ns, ifname, mine, theirs, their_mac, more=()):
        for sysctl in ("router_solicitations", "accept_ra", "accept_dad", "autoconf"):
            ns.sysctl(f"net.ipv6.conf.{ifname}.{sysctl}", 0)
        ns.sysctl(f"net.ipv4.conf.{ifname}.rp_filter", 0)
        batch = [f"link set {ifname} addrgenmode none",
                 f"addr add {mine['ipv4']}/24 brd + dev {ifname}", f"addr add {mine['ipv6']}/64 dev {ifname} nodad",
                 f"link set {ifname} up",
                 *(f"neigh replace {theirs[family]} lladdr {their_mac} dev {ifname} nud permanent" for family in theirs), *more]
        ns.run("ip", "-batch", "-", input="\n".join(batch) + "\n")

    def next_source(self, family):
        number = next(self._peers)
        if family == "ipv4":
            return f"100.64.{self.number}.{number % 250 + 2}"
        return f"2001:db8:{self.number}::{number + 16:x}"

class Link(Ends):
    """One veth, addressed, without neighbour discovery. number: 1 to 9."""

    def __init__(self, client, server, number, server_if, client_if, mtu=1500, peer_program=True):
        super().__init__(client, server, number, server_if, client_if, f"02:00:00:00:{number:02x}:01", f"02:00:00:00:{number:02x}:02")
        server.ip("link", "add", server_if, "address", self.server_mac, "mtu", str(mtu),
                  "numtxqueues", "2", "numrxqueues", "2", "type", "veth", "peer", "name", client_if,
                  "address", self.client_mac, "mtu", str(mtu), "netns", client.name, "numtxqueues", "2", "numrxqueues", "2")
        self.address()
        if peer_program and os.path.exists(VETH_PEER):
            # Without a program here an XDP_TX of the other end would wait in this end's ring.
            client.run(VETH_PEER, client_if, "on")

    @contextlib.contextmanager
    def taking_live_frames(self):
        """Within: redirected frames get in at the server's end. A veth has the queue they need only
        with native XDP or GRO."""
        self.server.run("ethtool", "-K", self.server_if, "gro", "on")
        try:
            yield
        finally:
            self.server.run("ethtool", "-K", self.server_if, "gro", "off")


def wait_until(condition, seconds=3.0, step=0.02):
    """Returns condition's first true value, or its last one."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(step)
