# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""One guest with a pair of each NIC: every driver in every mode, and what stands on them.

        client namespace                      server namespace
        clN ──────── emulated cable N ──────── svN    each in turn guarded
"""
import chain
import drivers
import features
from guard import Guard
from nics import ends, take
from pairs import CLIENT_MAC, SERVER_MAC, TAPS
from world import Namespace


def take_links(server, client, numbers):
    """Link by number, of the NICs that are there."""
    links = {}
    for number in numbers:
        driver = take(server, SERVER_MAC.format(number), f"sv{number}")
        if driver and take(client, CLIENT_MAC.format(number), f"cl{number}"):
            links[number] = ends(client, server, number, f"sv{number}", f"cl{number}")
            links[number].driver, links[number].native = driver, None  # not known yet
            links[number].carries_large = number in TAPS  # the emulator's hub does not
    return links


def run(report, options):
    server, client = Namespace("s"), Namespace("c")
    for ns in (server, client):
        ns.sysctl("net.core.somaxconn", 4096)
    links = take_links(server, client, range(1, 10))
    only = options.get("only", "drivers,features,ways,chain,cost").split(",")
    for link in links.values() if "drivers" in only else ():
        if link.number >= 8:  # for the bond
            continue
        for mode in ("native", "generic"):
            drivers.check_mode(report, link, mode)
        if link.number <= 2:  # one that has native XDP, one that has not
            drivers.check_auto(report, link)
    if "features" in only:
        run_features(report, links)
    if "lines" in only:
        features.check_bad_lines(report, links[1], "native")
        features.check_bad_lines(report, links[1], "generic")
    if "firewall" in only:
        features.check_firewall(report, links[1], "native")
    if "chain" in only:
        chain.check_chain(report, links[1], "native")
    for number in [int(word) for word in options["costs"].split(",") if word] if "cost" in only else ():
        if number in links:
            features.check_cost(report, links[number])
    if "proxy" in only:
        features.check_proxy(report, links[1])
        features.check_path_change(report, links[1])
    if "ways" in only:
        run_proxy_ways(report, links[1])
    if "large" in only:
        features.check_large_frames(report, links[1])
        features.check_large_frames(report, links[3])


def best(link):
    """native where the driver has it."""
    if link.native is None:
        guard = Guard(link.server, link.server_if)
        link.native = not guard.attach("native", check=False).returncode
        guard.detach(check=False)
    return "native" if link.native else "generic"


def run_proxy_ways(report, link):
    features.check_proxy_vlan(report, link)
    features.check_ipvs(report, link)


def run_features(report, links):
    first = links[1]
    for number in (1, 2, 3):
        if number in links:
            features.check_vlans(report, links[number], best(links[number]))
    features.check_bridge(report, first)
    features.check_macvlan(report, first)
    if 9 in links:
        features.check_bond(report, links[8], links[9])
    for number in (1, 3):
        features.check_large_frames(report, links[number])
    features.check_proxy(report, first)
    features.check_path_change(report, first)
    features.check_bad_lines(report, first, "native")
    features.check_firewall(report, first, "native")
