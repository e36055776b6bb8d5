# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The client of two guests: role_server.py has the drawing."""
import json
import time

from bench import Flood, exchanges
from nics import take
from pairs import CLIENT_MAC, SERVER_MAC
from role_server import CONTROL_PORT, ECHO_PORT, NUMBER
from server import connect
from world import Ends, Namespace, wait_until


def patient_connect(link, seconds=200):
    """The server's guest may still boot, or attach."""
    end = time.monotonic() + seconds
    while True:
        try:
            return connect(link.client, "ipv4", link.server_addr["ipv4"], CONTROL_PORT, 3)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(1)


def run(report, options):
    ns = Namespace("c")
    driver = take(ns, CLIENT_MAC.format(NUMBER), "cl7")
    link = Ends(ns, None, NUMBER, None, "cl7", SERVER_MAC.format(NUMBER), CLIENT_MAC.format(NUMBER))
    link.address_client()
    with report.case(driver, "two guests", "client: connects, also under its own flood of forged SYNs"):
        control = patient_connect(link)
        control.settimeout(60)
        with control, control.makefile("rw") as lines:
            def ask(word="?"):
                print(word, file=lines, flush=True)
                return json.loads(lines.readline())
            ask()
            exchanges(link, ECHO_PORT)
            with Flood(link, ECHO_PORT) as flood:
                assert wait_until(lambda: flood.sent > 2000, 30), "the flood does not start"
                exchanges(link, ECHO_PORT)
                state = ask()
            assert state["half_open"] == 0, state
            assert state["synack_sent"] > 500 and state["handoff_done"] == 24, state
            ask("bye")
