# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""A kernel that is too old: attach and doctor say so, each in one line, and nothing stays behind."""
from bench import exchanges, refusal
from guard import Guard, leftover_pins
from role_matrix import take_links
from server import Echo
from world import Namespace


def run(report, options):
    server, client = Namespace("s"), Namespace("c")
    link = take_links(server, client, (1,))[1]
    lacking = {"auto": "bpf_timer_start", "host": "bpf_sk_assign_tcp_reqsk", "compat": "bpf_timer_start", "proxy": "bpf_xdp_load_bytes"}
    for path, name in lacking.items():
        with report.case(link.driver, "auto", f"--path {path} is refused by what the kernel lacks") as result, \
                Echo(link.server, "ipv6", dual=True) as echo:
            guard = Guard(link.server, link.server_if)
            result.said, result.works = refusal(guard.attach("auto", "--path", path, check=False)), False
            assert f"the kernel lacks {name} (Linux " in result.said, result.said
            assert not leftover_pins(link.server)
            exchanges(link, echo.port, count=1)
    with report.case(link.driver, "auto", "doctor says the same"):
        done = guard.cli("doctor", link.server_if, check=False)
        assert done.returncode == 1 and "the kernel lacks" in done.stdout, done.stdout + done.stderr
