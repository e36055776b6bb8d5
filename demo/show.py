# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The demo: quiet, a flood without synward, the same flood with it. Every number is measured."""
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import threading
import time

import stage
from stage import BUILD, CLIENT, CLIENT_IF, SERVER, SERVER_ADDR, SERVER_IF, DemoError


def setting(name, default):
    value = os.environ.get(name, default)
    if not value.isdecimal() or not int(value):
        sys.exit(f"demo: {name} must be a positive number, not '{value}'")
    return int(value)


FLOOD_PPS = setting("FLOOD_PPS", "400000")
FLOOD_S = setting("DEMO_SECONDS", "8")
QUIET_S = 4
CLIENTS_PER_S = 100
BUSY = 0.3  # of the server's CPU without a flood: not by the demo

TTY = sys.stdout.isatty() and "NO_COLOR" not in os.environ


def say(text="", style=None):
    if style and TTY:
        text = f"\033[{style}m{text}\033[0m"
    print(text, flush=True)


def bold(text):
    say(text, "1")


class Clients:
    """Counts what clients.py says, now and over a phase."""

    def __init__(self, the_stage):
        self.tried, self.failed, self.latencies = 0, 0, []
        self.process = subprocess.Popen(
            stage.inside(CLIENT, "taskset", "-c", the_stage.client_cpu, "/usr/bin/python3",
                         os.path.join(os.path.dirname(__file__), "clients.py"),
                         SERVER_ADDR, stage.PORT, CLIENTS_PER_S),
            stdout=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            word = line.strip()
            if word == "try":
                self.tried += 1
            elif word == "fail":
                self.failed += 1
            else:
                self.latencies.append(float(word))

    def end(self):
        """No new ones; those under way may finish."""
        self.process.terminate()
        self.process.wait()
        self.reader.join()


class Flood:
    def __init__(self, the_stage):
        self.process = subprocess.Popen(
            stage.inside(CLIENT, BUILD / "flood", CLIENT_IF, "--to", SERVER_ADDR, "--port", stage.PORT,
                         "--sources", stage.FORGED, "--rate", FLOOD_PPS, "--seconds", FLOOD_S + 1,
                         "--even", "--cpu", the_stage.attacker_cpu, "-j"),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def check(self):
        if self.process.poll():
            raise DemoError(self.process.stderr.read().strip())

    def end(self):
        self.process.send_signal(signal.SIGINT)
        self.process.communicate()


def interface_counters():
    """Frames the server's interface took, and those lost because its ring was full."""
    for line in stage.run_inside(SERVER, "cat", "/proc/net/dev").splitlines():
        name, _, rest = line.partition(":")
        if name.strip() == SERVER_IF:
            fields = rest.split()
            return int(fields[1]), int(fields[3])
    raise DemoError(f"no counters of {SERVER_IF}")


def synacks_of_synward():
    said = json.loads(stage.run_inside(SERVER, BUILD / "synward", "stats", SERVER_IF, "-j", "-c", 1))
    return said["totals"]["verdicts"]["synack_sent"]


def half_open():
    return len(stage.run_inside(SERVER, "ss", "-Htn", "state", "syn-recv").splitlines())


def cpu_ticks(cpu):
    for line in open("/proc/stat"):
        if line.startswith(f"cpu{cpu} "):
            ticks = [int(word) for word in line.split()[1:9]]
            return sum(ticks), ticks[3] + ticks[4]
    raise DemoError(f"no times of CPU {cpu}")


class Sample:
    """All counters at one moment."""

    def __init__(self, the_stage, clients):
        self.time = time.monotonic()
        self.taken, self.lost = interface_counters()
        self.answered = int(stage.run_inside(CLIENT, BUILD / "veth-peer", CLIENT_IF, "count"))
        self.synacks = synacks_of_synward() if the_stage.guarded else 0
        with open(f"/proc/{the_stage.receiver}/schedstat") as schedstat:
            self.receive_ns = int(schedstat.read().split()[0])
        self.ticks, self.idle_ticks = cpu_ticks(the_stage.server_cpu)
        self.tried, self.failed, self.made = clients.tried, clients.failed, len(clients.latencies)


class Rates:
    """Between two samples."""

    def __init__(self, before, after):
        seconds = after.time - before.time
        self.tried = after.tried - before.tried
        self.failed = after.failed - before.failed
        self.made = after.made - before.made
        self.taken_pps = (after.taken - before.taken) / seconds
        self.lost_pps = (after.lost - before.lost) / seconds
        self.answered_pps = (after.answered - before.answered) / seconds
        self.synacks_pps = (after.synacks - before.synacks) / seconds
        self.receive_share = (after.receive_ns - before.receive_ns) / 1e9 / seconds
        ticks = after.ticks - before.ticks
        self.cpu_share = 1 - (after.idle_ticks - before.idle_ticks) / ticks if ticks else 0


def percentile(latencies, percent):
    if len(latencies) < 2:
        return latencies[0] if latencies else None
    return statistics.quantiles(latencies, n=100, method="inclusive")[percent - 1]


def ms(seconds):
    return "-" if seconds is None else f"{seconds * 1000:.1f} ms" if seconds < 0.1 else f"{seconds * 1000:.0f} ms"


def thousands(pps):
    return f"{pps / 1000:.0f}k" if pps >= 1000 else f"{pps:.0f}"


def live_line(second, rates, latencies, syn_recv, guarded):
    line = (f"  {second:2} s  connections {rates.made:3} made {rates.failed:3} failed"
            f"  p50 {ms(percentile(latencies, 50)):>8}  p99 {ms(percentile(latencies, 99)):>8}"
            f"  SYN_RECV {syn_recv:4}  answered {thousands(rates.answered_pps):>4}/s"
            f"  lost {thousands(rates.lost_pps):>4}/s  server CPU {rates.cpu_share:4.0%}")
    if guarded:
        line += f"  synward: {thousands(rates.synacks_pps)} SYN-ACKs/s"
    say(line, "31" if rates.failed else None)


class Phase:
    """What one phase came to."""

    def __init__(self, the_stage, seconds, flooded):
        clients, flood = Clients(the_stage), None
        self.syn_recv, self.seconds = 0, seconds
        try:
            flood = Flood(the_stage) if flooded else None
            time.sleep(0.5)  # both are at speed
            self.watch(the_stage, clients, flood)
            clients.end()  # the flood goes on for those under way
        finally:
            if flood:
                flood.end()
            clients.process.kill()
        self.tried, self.made = clients.tried, len(clients.latencies)
        self.p50, self.p99 = percentile(clients.latencies, 50), percentile(clients.latencies, 99)

    def watch(self, the_stage, clients, flood):
        first = before = Sample(the_stage, clients)
        for second in range(1, self.seconds + 1):
            time.sleep(max(0, first.time + second - time.monotonic()))
            if flood:
                flood.check()
            now, syn_recv = Sample(the_stage, clients), half_open()
            self.syn_recv = max(self.syn_recv, syn_recv)
            live_line(second, Rates(before, now), clients.latencies[before.made:now.made], syn_recv,
                      the_stage.guarded)
            before = now
        self.rates = Rates(first, before)


def describe(the_stage):
    bold("synward demo: a SYN flood against nginx, in network namespaces of its own")
    say(f"  kernel {platform.release()}; in the server's namespace, all as it comes: "
        f"tcp_syncookies {stage.sysctl(SERVER, 'net.ipv4.tcp_syncookies')}, "
        f"tcp_max_syn_backlog {stage.sysctl(SERVER, 'net.ipv4.tcp_max_syn_backlog')}, "
        f"somaxconn {stage.sysctl(SERVER, 'net.core.somaxconn')}; nginx listens with its default backlog")
    say(f"  server: CPU {the_stage.server_cpu}, nginx and the interface's receive thread (threaded NAPI); "
        f"attacker: CPU {the_stage.attacker_cpu}; clients: CPU {the_stage.client_cpu}")
    say(f"  flood: {FLOOD_PPS} SYNs/s (FLOOD_PPS=) from {stage.FORGED}, options of a Linux client; "
        f"clients: {CLIENTS_PER_S} new connections/s, HTTP GET, 3 s at most")
    if the_stage.server_cpu == the_stage.attacker_cpu:
        say("  only one CPU: attacker, clients and server share it, and the numbers suffer from each other")


def table(without, guarded):
    def per_packet(phase):
        rates = phase.rates
        return f"{rates.receive_share * 1e9 / rates.taken_pps:.0f} ns" if rates.taken_pps else "-"

    rows = (
        ("real connections made of tried", lambda p: f"{p.made} of {p.tried}"),
        ("  latency p50 of those made", lambda p: ms(p.p50)),
        ("  latency p99 of those made", lambda p: ms(p.p99)),
        ("half-open (SYN_RECV), most seen", lambda p: str(p.syn_recv)),
        ("frames coming in per second", lambda p: f"{p.rates.taken_pps + p.rates.lost_pps:,.0f}"),
        ("  lost, receive ring full", lambda p: f"{p.rates.lost_pps:,.0f}"),
        ("  flood SYNs answered", lambda p: f"{p.rates.answered_pps:,.0f}"),
        ("server CPU, all", lambda p: f"{p.rates.cpu_share:.0%}"),
        ("server CPU, receiving", lambda p: f"{p.rates.receive_share:.0%}"),
        ("  for each frame taken", per_packet),
    )
    say()
    bold(f"  {'under the flood':34}{'without':>16}{'with synward':>16}")
    for name, cell in rows:
        say(f"  {name:34}{cell(without):>16}{cell(guarded):>16}")


def show(the_stage):
    the_stage.open()
    describe(the_stage)
    say()
    bold("(a) quiet")
    quiet = Phase(the_stage, QUIET_S, flooded=False)
    if quiet.rates.cpu_share > BUSY:
        say(f"  the server's CPU is {quiet.rates.cpu_share:.0%} busy with something else on this machine: "
            "what follows suffers from it", "33")
    bold("(b) flood, without synward")
    without = Phase(the_stage, FLOOD_S, flooded=True)
    the_stage.restart_nginx()
    bold(f"(c) the same flood, synward attach {SERVER_IF}")
    say("  " + the_stage.attach())
    guarded = Phase(the_stage, FLOOD_S, flooded=True)
    table(without, guarded)


def end_on(signal_number, _frame):
    raise SystemExit(128 + signal_number)


def main():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end_on)
    the_stage = stage.Stage()
    os.sched_setaffinity(0, {the_stage.attacker_cpu})
    try:
        show(the_stage)
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    finally:
        # A second Ctrl-C must not leave namespaces behind.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        the_stage.close()
    return 0


sys.exit(main())
