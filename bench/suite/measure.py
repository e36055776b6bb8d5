# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The measurements. Each goes round by round through all systems, and returns what JSON can hold."""
import json
import mmap
import os
import re
import statistics
import struct
import time

from stage import ACCEPT_PORT, ECHO_PORT, PORT, SERVER_MAC, SERVER_V4, SERVER_V6, SOCKETS, SYSTEMS, BenchError, bpftool, cpu_ns
from works import FAST, FLOORS, LIVE, WORKS

FORGED, LOADER = "198.18.0.0/16", "10.64.0.0/10"


def spread(values):
    values = [value for value in values if value is not None]
    if not values:
        return None
    digits = 4 if max(map(abs, values)) < 10 else 1
    return {"median": round(statistics.median(values), digits), "min": round(min(values), digits),
            "max": round(max(values), digits), "rounds": len(values)}


class Plan:
    """How long and how often; QUICK=1 is for a look."""

    def __init__(self, quick):
        self.quick = quick
        self.rounds = 3 if quick else 7
        self.cost_rounds = 5 if quick else 11
        self.cost_frames = 100000 if quick else 200000
        self.fast_frames = 100000 if quick else 200000
        self.slow_frames = 20000 if quick else 30000
        self.window_s = 0.25 if quick else 0.5
        self.hand_s = 0.4 if quick else 0.6
        self.traffic_s = 1 # iperf3 and wrk know whole seconds
        self.traffic_rounds = 1 if quick else 7
        self.router_rounds = 3 if quick else 15
        self.bulk_rounds = 3 if quick else 45
        self.router_frames = 20000 if quick else 60000
        self.router_slow_rounds = 1 if quick else 7
        self.probe_s = 0.5 if quick else 1.5
        self.probe_rounds = 1 if quick else 3
        self.probe_rate = 500
        self.works = [work for work in WORKS if work.quick or not quick]
        self.systems = ("drop", "tx", "libxdp", "nft", "cookies2") if quick else tuple(LIVE)
        self.levels = (90,) if quick else (10, 50, 90, 100)
        self.probe_systems = ("libxdp", "nft") if quick else ("libxdp", "nft", "cookies1", "cookies2")


def attach(stage):
    """What an attach takes: time, memory, and each program's size. Its lane stays, as "libxdp"."""
    programs_before = {item["id"] for item in bpftool("prog", "show")}
    maps_before = {item["id"] for item in bpftool("map", "show")}
    lane = stage.lane("libxdp")
    programs = [item for item in bpftool("prog", "show")
                if item["id"] not in programs_before and item.get("name", "").startswith("synward")]
    ids = {number for item in programs for number in item.get("map_ids", [])}
    maps = [item for item in bpftool("map", "show") if item["id"] not in maps_before]
    maps = [item for item in maps if item["id"] in ids or item.get("name") == "info"]
    words = stage.meter.ask("programs")
    verified = {int(words[i]): int(words[i + 2]) for i in range(0, len(words), 3)}
    return {
        "attach_s": round(lane.attach_s, 2),
        "programs": {item["name"]: {"verified": verified.get(item["id"]), "xlated": item.get("bytes_xlated"),
                                    "jited": item.get("bytes_jited"), "memory": item.get("bytes_memlock", 0)} for item in programs},
        "maps": {item["name"]: item.get("bytes_memlock", 0) for item in maps},
        "memory": sum(item.get("bytes_memlock", 0) for item in maps + programs),
    }


def establish(lane, server=SERVER_V4):
    """One real connection to the guarded port, so that its tuple is in the filter; its socket."""
    lane.client_end("bare_pass")
    sock = lane.client.connect(server, PORT)
    time.sleep(0.3)  # what was handed over counts as fresh for 100 ms
    lane.client_end("sink")
    return sock


def cost(stage, plan, works=None, rounds=None):
    """Each frame given to the program without a wire: nanoseconds over the bare program's."""
    guarded, filled = stage.lane("libxdp"), stage.lane("filled", "link")
    connection = establish(guarded)
    works = works or plan.works
    for work in works:
        if work.fixed:
            stage.meter.ask("fixed", work.key, connection.getsockname()[1], *work.flood)
        else:
            stage.meter.ask("work", work.key, *work.flood)
    nets, floors, verdicts = {}, {}, {}
    for _ in range(rounds or plan.cost_rounds):
        stage.meter.ask("fill", filled.server.pin("known"))  # again: the guard rebuilds it every half minute
        for work in works:
            lane = filled if work.filled else guarded
            ns, verdict = map(int, stage.meter.ask("replay", work.key, lane.server.name, "s0", "attached", plan.cost_frames))
            floor = "bare_drop" if work.key == "mixed" else FLOORS.get(verdict, "bare_pass")
            bare, _ = map(int, stage.meter.ask("replay", work.key, lane.server.name, "s0", floor, plan.cost_frames))
            nets.setdefault(work.key, []).append(ns - bare)
            floors.setdefault(work.key, []).append(bare)
            verdicts[work.key] = floor.removeprefix("bare_")
    connection.close()
    return {work.key: {"label": work.label, "group": work.group, "net_ns": spread(nets[work.key]),
                       "floor_ns": spread(floors[work.key]), "floor": verdicts[work.key], "expected": work.floor}
            for work in works}


PROXY_WORKS = ("syn-linux-v4", "syn-windows-v4", "syn-linux-v6", "ack")


def proxy(stage, plan):
    """What a flood costs on the proxy path and on the host path, turn by turn: net ns of the program alone."""
    lanes = {"host": stage.lane("libxdp"), "proxy": stage.lane("proxy")}
    works = [work for work in plan.works if work.key in PROXY_WORKS]
    for lane in lanes.values():
        for server in (SERVER_V4, SERVER_V6):
            establish(lane, server).close()  # the proxy path learns from it what the server answers
    nets = {work.key: {path: [] for path in lanes} for work in works}
    for work in works:
        stage.meter.ask("work", work.key, *work.flood)
    for _ in range(plan.cost_rounds):
        for lane in lanes.values():  # where a program comes to lie in memory moves it by a tenth
            SYSTEMS[lane.system](lane)
        for work in works:
            for path, lane in lanes.items():
                ns, verdict = map(int, stage.meter.ask("replay", work.key, lane.server.name, "s0", "attached", plan.cost_frames))
                bare, _ = map(int, stage.meter.ask("replay", work.key, lane.server.name, "s0", FLOORS.get(verdict, "bare_pass"),
                                                   plan.cost_frames))
                nets[work.key][path].append(ns - bare)
    return {work.key: {"label": work.label, **{path: spread(of) for path, of in nets[work.key].items()},
                       "ratio": spread([b / a for a, b in zip(nets[work.key]["host"], nets[work.key]["proxy"])])}
            for work in works}


def live(stage, plan, works=None, systems=None, rounds=None):
    """Each frame out of a veth, generator and receiver on one CPU: CPU time over the same
    generator's into the bare program. back: frames that came back for each sent."""
    works = [work for work in works or plan.works if work.live]
    systems = systems or plan.systems
    samples = {}
    for _ in range(rounds or plan.rounds):
        for work in works:
            floor = "tx" if work.floor == "tx" else "drop"
            total = {}
            for system in sorted(systems, key=lambda name: name != floor):
                lane = stage.lane(system)
                frames = plan.fast_frames if system in FAST else plan.slow_frames
                before = int(stage.meter.ask("back")[0])
                used, sent = map(int, stage.meter.ask("live", work.key, lane.client.name, "c0", frames))
                back = int(stage.meter.ask("back")[0]) - before
                total[system] = used / sent
                cell = samples.setdefault(work.key, {}).setdefault(system, {"net": [], "total": [], "back": []})
                cell["net"].append(total[system] - total[floor])
                cell["total"].append(total[system])
                cell["back"].append(back / sent)
    return {work.key: {"label": work.label, "floor": "tx" if work.floor == "tx" else "drop",
                       "systems": {system: {"net_ns": spread(cell["net"]), "total_ns": spread(cell["total"]),
                                            "back": spread(cell["back"])}
                                   for system, cell in samples[work.key].items()}}
            for work in works}


def ksoftirqd(cpu):
    from stage import pids_named
    return pids_named(f"ksoftirqd/{cpu}\n").pop()


def capacity(stage, plan, systems=None):
    """A full-speed flood of Linux SYNs from one CPU, and what the receive thread on the other takes of
    it: per second of its own CPU time, whoever else wants that CPU."""
    systems = [system for system in systems or plan.systems]
    samples = {}
    for _ in range(plan.rounds):
        for system in systems:
            lane = stage.lane(system)
            receiver = lane.own_receive_thread(stage.server_cpu)
            before = cpu_ns(receiver)
            child = lane.flood("--sources", FORGED, "--seconds", plan.window_s, cpu=stage.flood_cpu)
            said = json.loads(child.communicate()[0])
            used = cpu_ns(receiver) - before
            cell = samples.setdefault(system, {"pps": [], "busy": [], "offered": []})
            cell["pps"].append(said["taken"] / used * 1e9)
            cell["busy"].append(used / 1e9 / said["seconds"])
            cell["offered"].append(said["pps"])
    for system in systems:
        stage.lane(system).use_softirq()
    return {system: {name: spread(values) for name, values in cell.items()} for system, cell in samples.items()}


class Acceptor:
    def __init__(self, stage, netns, cpu):
        path = stage.dir / f"accepted-{netns.name}"
        path.write_bytes(bytes(8))
        self.child = netns.spawn(stage, SOCKETS, "accept", ACCEPT_PORT, path, cpu=cpu)
        with open(path, "r+b") as f:
            self.memory = mmap.mmap(f.fileno(), 8)

    def count(self):
        return struct.unpack("Q", self.memory[:8])[0]


def handshakes(stage, plan):
    """A stateless client opens connections; the server accepts and closes them. Its receive thread,
    its process and ksoftirqd have a CPU of their own, whose time is counted."""
    systems = ("cookies1", "libxdp") if plan.quick else ("cookies1", "nft", "libxdp")
    scenes = {"20k": (20000, 0), "20k+flood": (20000, 100000), "60k": (60000, 0)}
    if plan.quick:
        scenes = {"20k": scenes["20k"]}
    acceptors, samples = {}, {}
    for system in systems:
        lane = stage.lane(system)
        lane.client_end("answer")
        lane.own_receive_thread(stage.server_cpu)
        acceptors[system] = Acceptor(stage, lane.server, stage.server_cpu)
    time.sleep(0.4)  # a listener is seen within a quarter of a second
    for _ in range(plan.rounds):
        for system in systems:
            for scene, (rate, flood) in scenes.items():
                lane, acceptor = stage.lane(system), acceptors[system]
                words = ["--port", ACCEPT_PORT, "--sources", LOADER, "--rate", rate, "--seconds", plan.hand_s + 0.2]
                children = [lane.flood(*words, cpu=stage.flood_cpu)]
                if flood:
                    children.append(lane.flood("--port", ACCEPT_PORT, "--sources", FORGED, "--rate", flood,
                                               "--seconds", plan.hand_s + 0.2, cpu=stage.flood_cpu))
                time.sleep(0.2)
                pids = (lane.receiver, acceptor.child.pid, ksoftirqd(stage.server_cpu))
                before, used, began = acceptor.count(), list(map(cpu_ns, pids)), time.monotonic()
                time.sleep(plan.hand_s - 0.05)
                took, done = time.monotonic() - began, acceptor.count() - before
                used = [now - then for now, then in zip(map(cpu_ns, pids), used)]
                said = [json.loads(child.communicate()[0]) for child in children]
                cell = samples.setdefault(system, {}).setdefault(scene, {"per_s": [], "cpu_us": [], "accept_us": [], "offered": [], "busy": []})
                cell["per_s"].append(done / took)
                cell["cpu_us"].append(sum(used) / 1000 / done if done else None)
                cell["accept_us"].append(used[1] / 1000 / done if done else None)
                cell["offered"].append(said[0]["pps"])
                cell["busy"].append(sum(used) / 1e9 / took)
                time.sleep(0.1)
    stage.end_children()
    for system in systems:
        stage.lane(system).client_end("sink")
        stage.lane(system).use_softirq()
    for cells in samples.values():
        for scene, cell in cells.items():
            kernel = samples["cookies1"][scene]["cpu_us"]
            cell["of_kernel"] = [us / theirs for us, theirs in zip(cell["cpu_us"], kernel) if us and theirs]
    return {system: {scene: {name: spread(values) for name, values in cell.items()} for scene, cell in of.items()}
            for system, of in samples.items()}


def iperf(lane, plan, cpu, streams):
    said = lane.client.run("taskset", "-c", cpu, "iperf3", "-c", SERVER_V4, "-t", plan.traffic_s, "-P", streams, "-J", check=False)
    try:
        return json.loads(said)["end"]["sum_received"]["bits_per_second"] / 1e9
    except (KeyError, ValueError):
        return None


def pingpong(lane, plan, cpu):
    return float(lane.client.run("taskset", "-c", cpu, SOCKETS, "pingpong", SERVER_V4, ECHO_PORT, plan.traffic_s))


def web(lane, plan, cpu):
    said = lane.client.run("taskset", "-c", cpu, "wrk", "-t1", "-c16", f"-d{plan.traffic_s}s",
                           "-H", "Connection: close", f"http://{SERVER_V4}:8080/")
    return float(re.search(r"Requests/sec:\s*([\d.]+)", said).group(1))


TRAFFIC = {
    "iperf-1": ("iperf3, one stream", "Gbit/s", lambda lane, plan, cpu: iperf(lane, plan, cpu, 1)),
    "iperf-8": ("iperf3, 8 streams", "Gbit/s", lambda lane, plan, cpu: iperf(lane, plan, cpu, 8)),
    "echo": ("64-byte echo", "round trips/s", pingpong),
    "http": ("HTTP, connection per request (wrk, nginx)", "requests/s", web),
}


def established(stage, plan):
    """Ordinary traffic: without a program, with one that passes everything, with synward."""
    systems = ("none", "pass", "libxdp")
    lanes = [stage.lane(system) for system in systems]
    for lane in lanes:
        if lane.system == "none":
            stage.meter.ask("detach", lane.client.name, "c0")
        else:
            lane.client_end("bare_pass")
        lane.spawn(lane.server, "iperf3", "-s", cpu=stage.server_cpu)
        lane.spawn(lane.server, SOCKETS, "echo", ECHO_PORT, cpu=stage.server_cpu)
        stage.start_nginx(lane, stage.server_cpu)
    time.sleep(0.6)
    kinds = {key: kind for key, kind in TRAFFIC.items() if not plan.quick or key in ("iperf-1", "http")}
    samples = {key: {system: [] for system in systems} for key in kinds}
    for _ in range(plan.traffic_rounds):
        for key, (_, _, measure) in kinds.items():
            for system, lane in zip(systems, lanes):
                samples[key][system].append(measure(lane, plan, stage.flood_cpu))
    stage.end_children()
    stage.stop_nginx()
    return {key: {"label": TRAFFIC[key][0], "unit": TRAFFIC[key][1],
                  "systems": {system: spread(values) for system, values in of.items()},
                  "over_pass": spread([a / b for a, b in zip(of["libxdp"], of["pass"]) if a and b]),
                  "over_none": spread([a / b for a, b in zip(of["libxdp"], of["none"]) if a and b])}
            for key, of in samples.items()}


PAUSE_US = 50


def pauses(cpu, seconds):
    """What this machine takes from a CPU without asking, a hypervisor's own business most of all: a loop's gaps.
    A veth's ring of 256 frames is full after one of 100 µs at 2.5 million frames a second."""
    mine, gaps, now = os.sched_getaffinity(0), [], time.perf_counter_ns
    os.sched_setaffinity(0, {cpu})
    before = now()
    end = before + seconds * 1e9
    while before < end:
        at = now()
        if at - before > PAUSE_US * 1000:
            gaps.append((at - before) / 1000)
        before = at
    os.sched_setaffinity(0, mine)
    return {"over_us": PAUSE_US, "per_s": round(len(gaps) / seconds), "longest_us": round(max(gaps, default=0))}


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))] if values else None


def taken_now(stage, lane):
    """Frames a second of a full-speed flood that the receive thread takes, as fast as this machine is just now."""
    flood = lane.flood("--port", ECHO_PORT, "--sources", FORGED, "--seconds", 0.3, cpu=stage.flood_cpu)
    said = json.loads(flood.communicate()[0])
    return said["taken"] / said["seconds"]


def latency(stage, plan):
    """Real connections beside a flood of a share of what one core takes of it: connect, 16 bytes
    there and back."""
    samples = {}
    for system in plan.probe_systems:
        lane = stage.lane(system)
        lane.client_end("sieve")
        lane.own_receive_thread(stage.server_cpu, first=True)
        lane.spawn(lane.server, "chrt", "-f", "1", SOCKETS, "echo", ECHO_PORT, cpu=stage.flood_cpu)
    time.sleep(0.5)
    for _ in range(plan.probe_rounds):
        for system in plan.probe_systems:
            lane = stage.lane(system)
            full = taken_now(stage, lane)
            for level in (0,) + plan.levels:
                rate = round(full * level / 100)
                if rate:
                    flood = lane.flood("--port", ECHO_PORT, "--sources", FORGED, "--seconds", 60, "--rate", rate, "--even",
                                       cpu=stage.flood_cpu)
                    time.sleep(0.3)
                # Clients and servers on CPUs of their own would not wait for the flood's slices either.
                said = lane.client.run("chrt", "-f", "1", "taskset", "-c", stage.flood_cpu, SOCKETS, "probe", SERVER_V4,
                                       ECHO_PORT, plan.probe_rate, plan.probe_s, 3.2)
                cell = samples.setdefault(system, {}).setdefault(level, {"us": [], "floods": []})
                cell["us"] += [int(word) for word in said.split()]
                if rate:
                    flood.terminate()
                    cell["floods"].append(json.loads(flood.communicate()[0]))
    stage.end_children()
    for system in plan.probe_systems:
        stage.lane(system).client_end("sink")
        stage.lane(system).use_softirq()
    result = {"pauses": pauses(stage.server_cpu, 0.5 if plan.quick else 2), "systems": {}}
    for system, levels in samples.items():
        for level, cell in levels.items():
            good = [us for us in cell["us"] if us >= 0]
            total = {name: sum(flood[name] for flood in cell["floods"]) for name in ("packets", "taken", "dropped", "seconds")}
            seconds, packets = total["seconds"] or 1, total["packets"] or 1
            result["systems"].setdefault(system, {})[str(level)] = {
                "pps": round(total["taken"] / seconds), "offered_pps": round(total["packets"] / seconds),
                "ring_full": round(total["dropped"] / packets, 4),
                "connections": len(cell["us"]), "failed": len(cell["us"]) - len(good),
                "p50_us": percentile(good, 0.5), "p99_us": percentile(good, 0.99), "p999_us": percentile(good, 0.999)}
    return result
