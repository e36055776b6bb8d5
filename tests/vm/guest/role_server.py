# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The server of two guests: guarded, and asked by the client over a port that is not.

        guest "client"                        guest "server"
        cl7 10.7.0.2 ──── emulators' socket ──── 10.7.0.1 sv7   synward
"""
import json

from bench import attach, half_open
from guard import Guard
from nics import take
from pairs import CLIENT_MAC, SERVER_MAC
from server import Echo, Listener
from world import Ends, Namespace

NUMBER, ECHO_PORT, CONTROL_PORT = 7, 7000, 7001


def run(report, options):
    ns = Namespace("s")
    driver = take(ns, SERVER_MAC.format(NUMBER), "sv7")
    link = Ends(None, ns, NUMBER, "sv7", None, SERVER_MAC.format(NUMBER), CLIENT_MAC.format(NUMBER))
    link.address_server()
    guard = Guard(ns, "sv7")
    with report.case(driver, "two guests", "server: guarded while another machine connects and floods"), \
            Echo(ns, "ipv6", ECHO_PORT, dual=True), Listener(ns, "ipv6", CONTROL_PORT, dual=True) as control:
        attach(guard, "native", "--ports", str(ECHO_PORT))
        before = guard.totals()
        conn = control.accept(240)
        assert conn, "the client never came"
        conn.settimeout(240)
        with conn, conn.makefile("rw") as lines:
            for line in lines:
                moved = {name: value - before[name] for name, value in guard.totals().items()}
                print(json.dumps({"half_open": half_open(link), **moved}), file=lines, flush=True)
                if line.strip() == "bye":
                    break
        guard.detach()
