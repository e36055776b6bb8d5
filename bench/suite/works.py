# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""What is measured: the frames, and the systems they are sent to."""
from stage import SERVER_MAC, SERVER_V4, SERVER_V6

TO_V4, TO_V6 = f"--to {SERVER_V4} --dst-mac {SERVER_MAC}", f"--to {SERVER_V6} --dst-mac {SERVER_MAC}"
NEAR, NEAR_V6 = "--sources 198.18.0.0/16", "--sources 2001:db8::/48"

FLOORS = {1: "bare_drop", 2: "bare_pass", 3: "bare_tx"}  # by XDP verdict


class Work:
    """flood: arguments of build/flood. floor: what the bare program does with it, as it should.
    live: also out of a veth, against the others. filled: every tuple hits the presence filter."""

    def __init__(self, key, label, flood, floor, live=False, filled=False, quick=False, fixed=None, group="common"):
        self.key, self.label, self.flood, self.floor = key, label, flood.split(), floor
        self.live, self.filled, self.quick, self.fixed, self.group = live, filled, quick, fixed, group


WORKS = [
    Work("syn-linux-v4", "Linux SYN, IPv4", f"{TO_V4} {NEAR}", "tx", live=True, quick=True),
    Work("syn-linux-v4-any", "Linux SYN, IPv4, sources over everything", f"{TO_V4} --sources all", "tx"),
    Work("syn-windows-v4", "Windows SYN, IPv4", f"{TO_V4} {NEAR} --options windows", "tx", live=True, quick=True),
    Work("syn-macos-v4", "macOS SYN, IPv4", f"{TO_V4} {NEAR} --options macos", "tx"),
    Work("syn-bare-v4", "bare SYN, IPv4", f"{TO_V4} {NEAR} --options bare", "tx", live=True),
    Work("syn-linux-vlan", "Linux SYN, IPv4, one VLAN tag", f"{TO_V4} {NEAR} --vlan 7", "tx"),
    Work("syn-linux-v6", "Linux SYN, IPv6", f"{TO_V6} {NEAR_V6}", "tx", live=True, quick=True),
    Work("syn-windows-v6", "Windows SYN, IPv6", f"{TO_V6} {NEAR_V6} --options windows", "tx"),
    Work("syn-bare-v6", "bare SYN, IPv6", f"{TO_V6} {NEAR_V6} --options bare", "tx"),
    Work("syn-all-ports", "Linux SYN to all ports, one of them open", f"{TO_V4} {NEAR} --port all", "pass", live=True),
    Work("ack", "ACK without a cookie", f"{TO_V4} {NEAR} --kind ack", "drop", live=True, quick=True),
    Work("ack-v6", "ACK without a cookie, IPv6", f"{TO_V6} {NEAR_V6} --kind ack", "drop"),
    Work("synack", "SYN-ACK reflection", f"{TO_V4} {NEAR} --kind synack", "drop", live=True),
    Work("rst", "RST", f"{TO_V4} {NEAR} --kind rst", "drop", live=True),
    Work("mixed", "mixed flood, all kinds", f"{TO_V4} {NEAR} --kind mixed", "drop", live=True),
    Work("worst-nops", "SYN, 40 bytes of NOPs", f"{TO_V4} {NEAR} --options nops", "tx", live=True, group="costly", quick=True),
    Work("worst-unknown", "SYN, 16 unknown options", f"{TO_V4} {NEAR} --options unknown", "tx", group="costly"),
    Work("worst-ext-1", "SYN, IPv6, one extension header", f"{TO_V6} {NEAR_V6} --ipv6-ext 1", "tx", group="costly"),
    Work("worst-ext-6", "SYN, IPv6, 6 extension headers", f"{TO_V6} {NEAR_V6} --ipv6-ext 6", "tx", group="costly"),
    Work("worst-ext-12", "SYN, IPv6, 12 extension headers", f"{TO_V6} {NEAR_V6} --ipv6-ext 12", "pass", group="costly"),
    Work("worst-filter", "SYN on tuples in the presence filter", f"{TO_V4} {NEAR}", "drop", filled=True, group="costly", quick=True),
    Work("worst-filter-v6", "SYN, IPv6, on tuples in the presence filter", f"{TO_V6} {NEAR_V6}", "drop", filled=True, group="costly"),
    Work("worst-closed", "SYN to a closed port", f"{TO_V4} {NEAR} --port 9", "pass", group="costly"),
    Work("data", "established: one connection's segment", f"{TO_V4} --sources 10.9.0.1/32 --kind ack", "pass", fixed=True,
         group="established", quick=True),
    Work("data-any", "established: every tuple another", f"{TO_V4} {NEAR} --kind ack", "pass", filled=True, group="established"),
]

LIVE = {
    "drop": "bare XDP_DROP",
    "tx": "bare XDP_TX",
    "libxdp": "synward, libxdp",
    "link": "synward, link",
    "generic": "synward, generic XDP",
    "nft": "nftables synproxy",
    "cookies1": "kernel, tcp_syncookies=1",
    "cookies2": "kernel, tcp_syncookies=2",
}
FAST = ("drop", "tx", "libxdp", "link")

# Net ns of the program alone, at most.
GOALS = [("syn-linux-v4", 55), ("syn-windows-v4", 60), ("syn-bare-v4", 60), ("syn-linux-v6", 75), ("ack", 70), ("data", 20)]
