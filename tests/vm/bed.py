# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The guests: their kernels, their NICs, and the emulator's command line."""
import os
import subprocess
from dataclasses import dataclass

from guest.pairs import CLIENT_MAC, SERVER_MAC, TAPS

QEMU = "qemu-system-x86_64"
KERNEL_PARTS = r"linux-(image|binary|modules)-\d.*"


@dataclass(frozen=True)
class Release:
    """A kernel: how it is called here, and the Debian release it is taken from, or its files in Ubuntu's archive: path, SHA-256."""
    name: str
    suite: str = ""
    files: tuple = ()


# Of Ubuntu 22.04 as updated (the kernel it came with has a verifier bug, docs/compat.md), and the one 24.04 came with.
UBUNTU_22_04 = Release("5.15", files=(
    ("linux-image-unsigned-5.15.0-204-generic_5.15.0-204.214_amd64.deb", "2fa65ba92f39485b97c53d68b4245931a2fb6abadadf250769b48f86f7eaa815"),
    ("linux-modules-5.15.0-204-generic_5.15.0-204.214_amd64.deb", "e205a3933a1f6551dc04e3975b46df119fe12a0ba4b5ea37bdcd30862ad69a98")))
UBUNTU_24_04 = Release("6.8", files=(
    ("linux-image-unsigned-6.8.0-31-generic_6.8.0-31.31_amd64.deb", "35115ceb5ddc1e73034a73d6b064b9c6d38c534f20279fd7229c510515b931d8"),
    ("linux-modules-6.8.0-31-generic_6.8.0-31.31_amd64.deb", "3f17f2c279257eb50e40da44390bdf8272c440ca078831c348773d1314b5c2fe")))

DEBIAN = (Release("6.1", "bookworm"), Release("6.12", "trixie"), Release("newest", "trixie-backports"))
KERNELS = (UBUNTU_22_04, DEBIAN[0], UBUNTU_24_04, *DEBIAN[1:])

# Older than what synward needs (5.15): refused, by what it lacks.
TOO_OLD = Release("5.10", "bullseye")

# libxdp of Debian 12 and 13 refuses programs that change packets (xdp-tools #503, fixed in 1.5.5).
NEWER_SUITE = "sid"
NEWER_PACKAGES = ("libc6", "libxdp1", "libbpf1", "libelf1t64", "libpcap0.8t64", "libzstd1", "zlib1g", "xdp-tools")

# Pair number: the server's NIC. The client's is virtio-net.
NICS = {1: "virtio-net-pci", 2: "e1000e", 3: "vmxnet3", 4: "igb", 8: "virtio-net-pci", 9: "virtio-net-pci"}

# Pairs whose cost to established traffic is measured, on two kernels; e1000e's, in generic mode alone, on one.
COSTS = {"6.1": "1", "newest": "1,2,3,4"}


def known_devices():
    text = subprocess.run([QEMU, "-device", "help"], capture_output=True, text=True).stdout
    return {line.split('"')[1] for line in text.splitlines() if line.startswith('name "')}


def pair_options(number, model, queues):
    """One pair of NICs and its cable."""
    words = []
    for end, mac, device in ((0, SERVER_MAC, model), (1, CLIENT_MAC, "virtio-net-pci")):
        name = f"n{number}{end}"
        extra = f",mq=on,vectors={2 * queues + 2}" if queues else ""
        cable = f"tap,id={name},ifname={name},script=no,downscript=no,vhost=off,queues={queues}" if queues else \
            f"hubport,id={name},hubid={number}"
        words += ["-netdev", cable, "-device", f"{device},netdev={name},mac={mac.format(number)}{extra}"]
    return words


def tap_commands(number, queues):
    """For ip -batch: taps of a pair and the bridge between them."""
    lines = [f"link add b{number} type bridge forward_delay 0", f"link set b{number} up"]
    for name in (f"n{number}0", f"n{number}1"):
        lines += [f"tuntap add {name} mode tap multi_queue vnet_hdr", f"link set {name} mtu 9000 master b{number}", f"link set {name} up"]
    return lines


def share(tag, folder):
    """A folder of the host's that guests can mount, to read."""
    return ["-fsdev", f"local,id={tag},path={folder},security_model=none,readonly=on,multidevs=remap",
            "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]


@dataclass
class Guest:
    name: str
    release: Release
    role: str
    cables: tuple  # words for the emulator
    host_commands: tuple = ()  # for ip -batch, in the namespace the emulator runs in
    options: str = ""

    def command(self, kernel, initramfs, folder, root, newer):
        append = (f"console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off net.ifnames=0 synward.role={self.role} "
                  f"synward.main={root}/tests/vm/guest/main.py synward.build={folder} {self.options}")
        shares = share("host", "/") + (share("newer", newer) if newer else [])
        # One thread: with more, QEMU 7.2 at times runs a breakpoint that text_poke() has taken out again ("Oops: int3").
        return [QEMU, "-accel", "tcg,thread=single", "-cpu", "max", "-smp", "2", "-m", "768", "-nodefaults", "-no-reboot", "-display", "none",
                "-kernel", kernel.image, "-initrd", initramfs, "-append", append,
                "-serial", f"file:{folder}/console.log", "-serial", f"file:{folder}/results.tap",
                *shares, *self.cables]


def one_pair(name, release, role, options=""):
    """A guest with the first pair alone."""
    return Guest(name, release, role, tuple(pair_options(1, NICS[1], TAPS[1])), tuple(tap_commands(1, TAPS[1])), options)


def matrix_guest(release):
    devices = known_devices()
    cables, commands = [], []
    for number, model in NICS.items():
        if model not in devices:
            continue
        cables += pair_options(number, model, TAPS.get(number))
        if number in TAPS:
            commands += tap_commands(number, TAPS[number])
    return Guest(release.name, release, "matrix", tuple(cables), tuple(commands),
                 f"{os.environ.get('VM_OPTIONS', '')} synward.costs={COSTS.get(release.name, '')}")


def pair_of_guests(server, client):
    """Two guests on one cable, which the emulators make of a socket."""
    number, guests = 7, []
    for release, role, mac, end in ((server, "server", SERVER_MAC, "listen"), (client, "client", CLIENT_MAC, "connect")):
        words = ("-netdev", f"socket,id=n,{end}=127.0.0.1:5000", "-device", f"virtio-net-pci,netdev=n,mac={mac.format(number)}")
        guests.append(Guest(f"{release.name}-{role}", release, role, words))
    return guests


def all_guests():
    """Groups of guests; those of a group run at the same time."""
    by_name = {release.name: release for release in KERNELS}
    return [pair_of_guests(by_name["6.12"], by_name["6.1"]), *([matrix_guest(release)] for release in DEBIAN),
            [one_pair("unit", by_name["6.12"], "unit")],
            [one_pair(UBUNTU_22_04.name, UBUNTU_22_04, "matrix", "synward.only=drivers,proxy")],
            [one_pair(UBUNTU_24_04.name, UBUNTU_24_04, "matrix", "synward.only=drivers")],
            [one_pair(TOO_OLD.name, TOO_OLD, "old")]]
