# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The NICs the emulator gave this guest, in pairs: one for the server's namespace, one for the client's, a cable between."""
import json
import os
import subprocess

from world import Ends



def name_of(mac):
    """The interface of this namespace with that MAC address, or None."""
    for name in os.listdir("/sys/class/net"):
        if not os.path.exists(f"/sys/class/net/{name}/device/driver"):
            continue
        with open(f"/sys/class/net/{name}/address") as f:
            if f.read().strip() == mac:
                return name
    return None


def driver_of(name):
    return os.path.basename(os.readlink(f"/sys/class/net/{name}/device/driver"))


def mac_of(ns, ifname):
    return json.loads(ns.ip("-j", "link", "show", "dev", ifname).stdout)[0]["address"]


def ends(client, server, number, server_if, client_if):
    """Interfaces that are there already, addressed."""
    made = Ends(client, server, number, server_if, client_if, mac_of(server, server_if), mac_of(client, client_if))
    made.address()
    return made


def take(ns, mac, name):
    """Moves the NIC with that MAC address to ns under a new name; its driver, or None if there is no such NIC."""
    old = name_of(mac)
    if not old:
        return None
    driver = driver_of(old)
    subprocess.run(["ip", "link", "set", old, "down", "name", name, "netns", ns.name], check=True)
    return driver
