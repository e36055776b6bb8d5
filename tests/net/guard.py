# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""synward on one interface: the command line, and the maps it pins."""
import contextlib
import ctypes
import glob
import json
import os
import re
import struct

from world import ROOT, SYNWARD, libc

MAP_LOOKUP, MAP_UPDATE, OBJ_GET, PROG_TEST_RUN = 1, 2, 7, 10
PROG_NEXT_ID, PROG_BY_ID, MAP_BY_ID, OBJ_INFO = 11, 13, 14, 15
RDONLY = 1 << 3
SYS_BPF = 321 if os.uname().machine == "x86_64" else 280


def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes + b"\0" * (144 - len(attributes)))
    done = libc.syscall(SYS_BPF, command, buffer, len(buffer))
    if done < 0:
        raise OSError(ctypes.get_errno(), f"bpf({command}): {os.strerror(ctypes.get_errno())}")
    return done


def bpf_open(path, flags=0):
    name = ctypes.create_string_buffer(path.encode())
    return bpf(OBJ_GET, struct.pack("QII", ctypes.addressof(name), 0, flags))


def map_key(key):
    """Of an array its index, else the key's bytes."""
    raw = key if isinstance(key, bytes) else struct.pack("I", key)
    return ctypes.create_string_buffer(raw, len(raw))


def map_read(fd, size, key=0):
    k, value = map_key(key), ctypes.create_string_buffer(size)
    bpf(MAP_LOOKUP, struct.pack("IxxxxQQQ", fd, ctypes.addressof(k), ctypes.addressof(value), 0))
    return value.raw


def map_write(fd, value, key=0):
    k, v = map_key(key), ctypes.create_string_buffer(value, len(value))
    bpf(MAP_UPDATE, struct.pack("IxxxxQQQ", fd, ctypes.addressof(k), ctypes.addressof(v), 0))


def program_maps(fd):
    """Ids of the maps a program uses."""
    ids, info = ctypes.create_string_buffer(4 * 64), ctypes.create_string_buffer(struct.pack("52xIQ", 64, 0), 232)
    struct.pack_into("Q", info, 56, ctypes.addressof(ids))
    bpf(OBJ_INFO, struct.pack("IIQ", fd, len(info), ctypes.addressof(info)))
    return struct.unpack_from(f"{struct.unpack_from('I', info, 52)[0]}I", ids)


def map_info(fd):
    """id, size of a value, entries, name."""
    info = ctypes.create_string_buffer(88)
    bpf(OBJ_INFO, struct.pack("IIQ", fd, len(info), ctypes.addressof(info)))
    _, number, _, size, entries, _, name = struct.unpack_from("6I16s", info)
    return number, size, entries, name.rstrip(b"\0").decode()


def unpinned(wanted, table_id):
    """The map of that name, which is pinned nowhere, of the guard whose programs use that table: a descriptor."""
    program = 0
    while True:
        request = ctypes.create_string_buffer(struct.pack("II", program, 0), 144)
        if libc.syscall(SYS_BPF, PROG_NEXT_ID, request, len(request)):
            raise LookupError("no program uses it")
        program, = struct.unpack_from("I", request, 4)
        try:
            fd = bpf(PROG_BY_ID, struct.pack("I", program))
        except OSError:
            continue
        ids = program_maps(fd)
        os.close(fd)
        for number in ids if table_id in ids else ():
            fd = bpf(MAP_BY_ID, struct.pack("I", number))
            if map_info(fd)[3] == wanted:
                return fd
            os.close(fd)


def hash_seed(table_id):
    """Of a guard's tuples' hash."""
    fd = unpinned("secrets", table_id)
    value = map_read(fd, map_info(fd)[1])
    os.close(fd)
    return struct.unpack("QQ", value[-16:])


def possible_cpus():
    with open("/sys/devices/system/cpu/possible") as f:
        return int(f.read().strip().split("-")[-1].split(",")[-1]) + 1


def names_of(listing, macro):
    with open(os.path.join(ROOT, "headers", listing)) as f:
        return [name.lower() for name in re.findall(rf"^{macro}\((\w+),", f.read(), re.M)]


REASONS = names_of("reason.def", "SW_REASON")
EVENTS = names_of("event.def", "SW_EVENT")
SERVICES = 64  # SW_SERVICES: the counters of slot s are in entry 1 + s


class Moved(dict):
    def __missing__(self, name):
        assert name in REASONS + EVENTS, f"no such counter: {name}"
        return 0

    @property
    def verdicts(self):
        return {name: value for name, value in self.items() if name in REASONS}

    @property
    def tcp(self):
        """Verdicts on TCP: the kernel at the other end may say something of its own (MLD) any time."""
        return {name: value for name, value in self.verdicts.items() if name != "other_traffic"}


class Guard:
    Moved = Moved

    def __init__(self, ns, ifname):
        self.ns, self.ifname = ns, ifname
        links = json.loads(ns.ip("-j", "link", "show", "dev", ifname).stdout)
        self.ifindex = links[0]["ifindex"]
        self.pins = f"/sys/fs/bpf/synward/{ns.inode}-{self.ifindex}"

    def cli(self, *arguments, check=True):
        return self.ns.run(SYNWARD, *arguments, check=check)

    def attach(self, mode="native", *options, check=True):
        return self.cli("attach", self.ifname, "--xdp", mode, *options, check=check)

    def detach(self, check=True):
        return self.cli("detach", self.ifname, check=check)

    @property
    def attached(self):
        return os.path.exists(self.pins)

    def program_id(self):
        """Of what runs first on the interface."""
        return json.loads(self.ns.ip("-j", "link", "show", "dev", self.ifname).stdout)[0]["xdp"]["prog"]["id"]

    def status(self):
        return json.loads(self.cli("status", self.ifname, "-j").stdout)

    def stats(self):
        return json.loads(self.cli("stats", self.ifname, "-j", "-c", "1").stdout)

    def totals(self, entries=range(1 + SERVICES)):
        """Every counter, read from the pinned map: fast enough to be asked around each frame."""
        names = REASONS + EVENTS
        fd = bpf_open(f"{self.pins}/counters", RDONLY)
        try:
            raw = b"".join(map_read(fd, 8 * len(names) * possible_cpus(), entry) for entry in entries)
        finally:
            os.close(fd)
        values = struct.unpack(f"{len(raw) // 8}Q", raw)
        return {name: sum(values[at::len(names)]) for at, name in enumerate(names)}

    @contextlib.contextmanager
    def counting(self):
        """Within: a dict that is filled, at the end, with the counters that moved."""
        before, moved = self.totals(), self.Moved()
        yield moved
        moved.update({name: value - before[name] for name, value in self.totals().items() if value != before[name]})

    def shift_clock(self, seconds):
        """Moves the clock epochs are counted on; struct sw_config: generation at 0, epoch_offset_ns at 8,
        24 bytes before the bits of the ports."""
        fd = bpf_open(f"{self.pins}/config")
        try:
            raw = bytearray(map_read(fd, 24 + 65536 // 8))
            generation, = struct.unpack_from("=I", raw, 0)
            offset, = struct.unpack_from("=Q", raw, 8)
            struct.pack_into("=I", raw, 0, (generation + 1) & 0xFFFFFFFF)
            struct.pack_into("=Q", raw, 8, (offset + int(seconds * 1e9)) & 0xFFFFFFFFFFFFFFFF)
            map_write(fd, bytes(raw))
        finally:
            os.close(fd)


def leftover_pins(ns):
    return glob.glob(f"/sys/fs/bpf/synward/{ns.inode}-*")
