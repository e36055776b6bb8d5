# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Frames that reach the other end of a veth as one batch.

A sender in user space cannot do that: veth polls after each frame it is given. A run of
BPF_PROG_TEST_RUN with live frames sends with softirqs off and flushes once, so that the
peer's NAPI poll finds all of them (bulks of 16 queued before it runs).
"""
import ctypes
import json
import os
import struct
import subprocess

from guard import PROG_TEST_RUN, bpf, bpf_open, map_write
from world import BUILD, leftovers

LIVE_FRAMES = 1 << 1
FRAMES, ROOM = 64, 1536


def build(name="burst"):
    """The object of tests/net/NAME.bpf.c."""
    source = os.path.join(os.path.dirname(__file__), f"{name}.bpf.c")
    target = os.path.join(BUILD, "tests", "net", f"{name}.bpf.o")
    if not os.path.exists(target) or os.path.getmtime(target) < os.path.getmtime(source):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        clang = os.environ.get("CLANG") or next(
            (name for name in ("clang", *(f"clang-{v}" for v in range(22, 13, -1)))
             if subprocess.run(["which", name], capture_output=True).returncode == 0), "clang")
        subprocess.run([clang, "-O2", "-g", "-target", "bpf", "-mcpu=v3", f"-I/usr/include/{os.uname().machine}-linux-gnu",
                        "-c", source, "-o", target], check=True)
    return target


class Burst:
    def __init__(self, ns, ifname):
        self.ns, self.pins = ns, f"/sys/fs/bpf/{ns.name}-burst"
        leftovers.append(self)
        subprocess.run(["bpftool", "prog", "loadall", build(), self.pins, "pinmaps", self.pins], check=True, capture_output=True)
        self.fds = {name: bpf_open(f"{self.pins}/{name}") for name in ("burst", "frames", "state")}
        self.ifindex = json.loads(ns.ip("-j", "link", "show", "dev", ifname).stdout)[0]["ifindex"]
        map_write(self.fds["state"], struct.pack("I", self.ifindex), 1)

    def send(self, frames):
        assert len(frames) <= FRAMES
        for at, frame in enumerate(frames):
            map_write(self.fds["frames"], struct.pack("II", len(frame), 0) + frame.ljust(ROOM, b"\0"), at)
        map_write(self.fds["state"], struct.pack("I", 0), 0)
        room = ctypes.create_string_buffer(256)
        # prog_fd retval in_size out_size in out repeat duration ctx_in ctx_out ctx... flags cpu batch_size
        attributes = struct.pack("IIIIQQIIIIQQIII", self.fds["burst"], 0, len(room), 0, ctypes.addressof(room), 0,
                                 len(frames), 0, 0, 0, 0, 0, LIVE_FRAMES, 0, 64)
        with self.ns:
            bpf(PROG_TEST_RUN, attributes)

    def remove(self):
        for fd in self.fds.values():
            os.close(fd)
        for name in ("burst", "frames", "state"):
            os.unlink(f"{self.pins}/{name}")
        os.rmdir(self.pins)
        leftovers.remove(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.remove()
