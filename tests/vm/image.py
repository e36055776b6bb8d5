# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The initramfs of a guest: busybox, an init, and the kernel's modules that are used, in the order they load in.

It only mounts this machine's own file system, read-only and below a layer in memory, and goes on
from there: so a guest runs the programs just built, with the libraries they were built against.
"""
import glob
import lzma
import os
import re
import shutil
import subprocess

from packages import Missing

HERE = os.path.dirname(os.path.abspath(__file__))

# With what these depend on. The guest loads all before its first test: Debian's modprobe is no part of the bed.
MODULES = """
    crc32c_generic crc32c_intel virtio_pci 9p 9pnet_virtio overlay
    virtio_net e1000e igb vmxnet3 veth
    8021q bonding bridge macvlan ipv6
    sch_ingress cls_bpf sch_netem
    nf_tables nf_conntrack nft_ct nft_counter nft_reject_inet nft_nat nft_chain_nat
    ip_vs ip_vs_rr
""".split()


def module_name(path):
    return os.path.basename(path).split(".ko")[0].replace("-", "_")


def read_module(path):
    with open(path, "rb") as f:
        data = f.read()
    if path.endswith(".zst"):
        return subprocess.run(["zstd", "-dc"], input=data, capture_output=True, check=True).stdout
    return lzma.decompress(data) if path.endswith(".xz") else data


class Kernel:
    """A kernel package, unpacked in folder."""

    def __init__(self, folder):
        images = glob.glob(f"{folder}/boot/vmlinuz-*") + glob.glob(f"{folder}/usr/lib/modules/*/vmlinuz")
        if not images:
            raise Missing(f"no kernel in {folder}")
        self.image = images[0]
        modules = glob.glob(f"{folder}/**/lib/modules/*/kernel/**/*.ko*", recursive=True)
        self.files = {module_name(path): path for path in modules}

    def with_dependencies(self, name, loaded, data):
        """Appends name to loaded, after what it depends on. Built-in and unknown ones are left out."""
        if name in data or name not in self.files:
            return
        data[name] = read_module(self.files[name])
        depends = re.search(rb"\0depends=([^\0]*)\0", data[name])
        for other in depends.group(1).decode().split(",") if depends else ():
            self.with_dependencies(other.replace("-", "_"), loaded, data)
        loaded.append(name)


def build(kernel, busybox, folder):
    """Writes folder/initramfs for kernel; its path."""
    root = f"{folder}/root"
    shutil.rmtree(root, ignore_errors=True)
    for name in ("bin", "modules", "proc", "sys", "dev", "host", "newer", "layer", "new"):
        os.makedirs(f"{root}/{name}")
    loaded, data = [], {}
    for name in MODULES:
        kernel.with_dependencies(name, loaded, data)
    for name in loaded:
        with open(f"{root}/modules/{name}.ko", "wb") as f:
            f.write(data[name])
    with open(f"{root}/modules/order", "w") as f:
        f.write("".join(f"{name}\n" for name in loaded))
    shutil.copy(busybox, f"{root}/bin/busybox")
    shutil.copy(f"{HERE}/init", f"{root}/init")
    path = f"{folder}/initramfs"
    with open(path, "wb") as out:
        names = subprocess.run(["find", ".", "-mindepth", "1"], cwd=root, capture_output=True, check=True).stdout
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=root, input=names, stdout=out, check=True)
    shutil.rmtree(root)
    return path
