# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The stage: two network namespaces, nginx in one of them. All of it goes with close().

  synward-demo-client                        synward-demo-server
  attacker, real clients                     nginx, port 80
  demo-cli 192.0.2.1  ---- veth ----  demo-srv 192.0.2.2, default route: 192.0.2.1
  sink for answers to forged sources         synward attaches here
"""
import ctypes
import fcntl
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

CLIENT, SERVER = "synward-demo-client", "synward-demo-server"
CLIENT_IF, SERVER_IF = "demo-cli", "demo-srv"
CLIENT_ADDR, SERVER_ADDR, PORT = "192.0.2.1", "192.0.2.2", 80
CLONE_NEWNET = 0x40000000
ETHTOOL_STSO, ETHTOOL_SGRO = 0x1F, 0x2C
FORGED = "198.18.0.0/15"
BUILD = pathlib.Path(__file__).absolute().parent.parent / "build"

NGINX_CONF = """
user root;
worker_processes 1;
pid {dir}/nginx.pid;
error_log {dir}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    server {{ listen {address}:{port}; return 200 "served\\n"; }}
}}
"""


class DemoError(Exception):
    """A line for the user."""


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip() or f"exit status {done.returncode}"
        raise DemoError(f"{' '.join(str(word) for word in command)}: {said}")
    return done.stdout


def inside(netns, *command):
    # Not `ip netns exec`: its fresh /sys would hide the BPF file system.
    return ["nsenter", f"--net=/run/netns/{netns}", *(str(word) for word in command)]


def run_inside(netns, *command):
    return run(*inside(netns, *command))


def sysctl(netns, name):
    return run_inside(netns, "cat", "/proc/sys/" + name.replace(".", "/")).strip()


def ethtool(netns, interface, command, value):
    """One old-style ethtool ioctl: no ethtool needs to be installed."""
    siocethtool = 0x8946
    pid = os.fork()
    if not pid:
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.setns(os.open(f"/run/netns/{netns}", os.O_RDONLY), CLONE_NEWNET):
                os._exit(1)
            data = (ctypes.c_uint32 * 2)(command, value)
            request = struct.pack("16sP16x", interface.encode(), ctypes.addressof(data))
            fcntl.ioctl(socket.socket(), siocethtool, request)
        except OSError:
            os._exit(1)
        os._exit(0)
    if os.waitpid(pid, 0)[1]:
        raise DemoError(f"{interface}: ethtool setting {command:#x} failed")


class Stage:
    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="synward-demo."))
        self.attached = self.guarded = False
        cpus = sorted(os.sched_getaffinity(0))
        # The attacker must not stop for the clients: with two CPUs they share the server's.
        self.attacker_cpu, self.server_cpu = cpus[0], cpus[-1]
        self.client_cpu = cpus[1] if len(cpus) > 1 else cpus[0]
        self.receiver = None  # pid of the server's receive thread

    def open(self):
        self.remove_namespaces()  # of a demo that was killed
        self.make_network()
        self.receiver = self.own_receive_thread(SERVER, SERVER_IF, self.server_cpu)
        self.start_nginx()

    def make_network(self):
        for netns in (CLIENT, SERVER):
            run("ip", "netns", "add", netns)
        run("ip", "link", "add", CLIENT_IF, "netns", CLIENT, "type", "veth",
            "peer", "name", SERVER_IF, "netns", SERVER)
        for netns, interface, address in ((CLIENT, CLIENT_IF, CLIENT_ADDR), (SERVER, SERVER_IF, SERVER_ADDR)):
            run("ip", "-n", netns, "link", "set", "lo", "up")
            run("ip", "-n", netns, "addr", "add", f"{address}/24", "dev", interface)
            run("ip", "-n", netns, "link", "set", interface, "up")
        run("ip", "-n", SERVER, "route", "add", "default", "via", CLIENT_ADDR)
        run_inside(CLIENT, BUILD / "veth-peer", CLIENT_IF, "on", "--sink", FORGED)
        self.one_way_in()

    @staticmethod
    def one_way_in():
        """All frames wait in the server's one receive ring, as they would in a NIC's.

        A redirected frame is taken only by a veth with NAPI: a program, or GRO. And with
        TSO the clients' frames would pass by the ring while there is no program.
        """
        ethtool(SERVER, SERVER_IF, ETHTOOL_SGRO, 1)
        ethtool(CLIENT, CLIENT_IF, ETHTOOL_STSO, 0)

    @staticmethod
    def own_receive_thread(netns, interface, cpu):
        """Otherwise veth has the sender's CPU do the receiver's work, and slow down with it."""
        run("ip", "netns", "exec", netns, "sh", "-c", f"echo 1 >/sys/class/net/{interface}/threaded")
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            for comm in pathlib.Path("/proc").glob("[0-9]*/comm"):
                try:
                    name = comm.read_text()
                except OSError:
                    continue
                if name.startswith(f"napi/{interface}-"):
                    pid = int(comm.parent.name)
                    os.sched_setaffinity(pid, {cpu})
                    return pid
            time.sleep(0.05)
        raise DemoError(f"no receive thread of {interface} appeared")

    def start_nginx(self):
        conf = self.dir / "nginx.conf"
        conf.write_text(NGINX_CONF.format(dir=self.dir, address=SERVER_ADDR, port=PORT))
        run_inside(SERVER, "taskset", "-c", self.server_cpu, "nginx", "-e", self.dir / "error.log", "-c", conf)

    def restart_nginx(self):
        """Half-open connections would outlive a phase by a minute: the next counts only its own."""
        time.sleep(0.5)  # for what still waits in the ring
        self.stop_nginx()
        subprocess.run(inside(SERVER, "ss", "-HKtn", "state", "syn-recv"), capture_output=True)
        self.start_nginx()

    def nginx_pid(self):
        try:
            return int((self.dir / "nginx.pid").read_text())
        except (OSError, ValueError):
            return None

    def attach(self):
        self.attached = True  # perhaps: close() is to try a detach
        said = run_inside(SERVER, BUILD / "synward", "attach", SERVER_IF).strip()
        self.guarded = True
        return said

    def detach(self):
        if self.guarded:
            run_inside(SERVER, BUILD / "synward", "detach", SERVER_IF)
        elif self.attached:
            subprocess.run(inside(SERVER, BUILD / "synward", "detach", SERVER_IF), capture_output=True)
        self.attached = self.guarded = False

    def stop_nginx(self):
        pid = self.nginx_pid()
        if not pid:
            return
        os.kill(pid, signal.SIGTERM)
        for _ in range(60):
            if not os.path.exists(f"/proc/{pid}"):
                return
            time.sleep(0.05)
        os.kill(pid, signal.SIGKILL)

    @staticmethod
    def remove_namespaces():
        for netns in (CLIENT, SERVER):
            if os.path.exists(f"/run/netns/{netns}"):
                run("ip", "netns", "delete", netns)

    def close(self):
        for step in (self.detach, self.stop_nginx, self.remove_namespaces):
            try:
                step()
            except (DemoError, OSError) as error:
                print(f"demo: cleaning up: {error}")
        shutil.rmtree(self.dir, ignore_errors=True)
