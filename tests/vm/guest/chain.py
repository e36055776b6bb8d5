# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""synward and xdp-filter on one interface, through libxdp's dispatcher, with this machine's libxdp and a newer one."""
import os

from bench import exchanges, refusal
from guard import Guard
from report import Skip
from server import Echo
from world import SYNWARD

NEWER = "/run/newer"  # init puts the same file system there, with newer libraries


def libxdp_of(root):
    for name in sorted(os.listdir(f"{root}/usr/lib/x86_64-linux-gnu"), reverse=True):
        if name.startswith("libxdp.so.1."):
            return name.removeprefix("libxdp.so.")
    return "?"


class Programs:
    """The commands of one root directory."""

    def __init__(self, link, root):
        self.link, self.root = link, root

    def run(self, *command):
        chroot = ["chroot", self.root] if self.root != "/" else []
        return self.link.server.run(*chroot, *command, check=False)

    def synward(self, verb, *options):
        return self.run(SYNWARD, verb, self.link.server_if, *options)

    def filter(self, *words):
        return self.run("xdp-filter", words[0], self.link.server_if, *words[1:])

    def chained(self):
        return self.run("xdp-loader", "status", self.link.server_if).stdout


def check_order(report, link, mode, root, first):
    with report.case(link.driver, mode, f"libxdp {libxdp_of(root)}: {'synward, then xdp-filter' if first == 'synward' else 'xdp-filter, then synward'}") as result, \
            Echo(link.server, "ipv6", dual=True) as echo:
        programs, guard = Programs(link, root), Guard(link.server, link.server_if)
        steps = {"synward": lambda: programs.synward("attach", "--xdp", mode),
                 "xdp-filter": lambda: programs.filter("load", "--mode", "skb" if mode == "generic" else mode)}
        order = ("synward", "xdp-filter") if first == "synward" else ("xdp-filter", "synward")
        try:
            done = steps[order[0]]()
            assert not done.returncode, f"{order[0]}: {done.stdout}{done.stderr}"
            done = steps[order[1]]()
            if done.returncode:
                # What is there goes on, and who came second said why not.
                result.works, result.said = False, f"{order[1]}: " + (done.stdout + done.stderr).strip().splitlines()[0]
                if order[1] == "synward":
                    result.said = refusal(done)
                exchanges(link, echo.port, count=1)
                return
            listing = programs.chained()
            assert "synward_xdp" in listing and "xdpfilt" in listing, listing
            for gone in order:  # either one first
                with guard.counting() as moved:
                    exchanges(link, echo.port, count=2)
                assert moved["synack_sent"] >= 4, dict(moved)
                if gone == order[0]:
                    other = order[1]
                    done = programs.filter("unload") if gone == "xdp-filter" else programs.synward("detach")
                    assert not done.returncode, done.stdout + done.stderr
                    break
            listing = programs.chained()
            assert ("synward_xdp" in listing) == (other == "synward") and ("xdpfilt" in listing) == (other == "xdp-filter"), listing
            if other == "synward":
                with guard.counting() as moved:
                    exchanges(link, echo.port, count=2)
                assert moved["synack_sent"] >= 4, dict(moved)
            else:
                exchanges(link, echo.port, count=2)
        finally:
            programs.filter("unload")
            programs.synward("detach")


def check_chain(report, link, mode):
    for root in ("/", NEWER):
        if root == NEWER and not os.path.exists(f"{NEWER}/usr"):
            with report.case(link.driver, mode, "newer libxdp"):
                raise Skip("no newer libxdp could be had")
            continue
        for first in ("synward", "xdp-filter"):
            check_order(report, link, mode, root, first)
