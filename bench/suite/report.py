# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""A run's results as tables: plain for the terminal, Markdown for docs/performance.md."""
import router
from works import GOALS, LIVE


def number(value, unit=""):
    if value is None:
        return "-"
    if abs(value) >= 1000000:
        return f"{value / 1000000:.2f} M{unit}"
    if abs(value) >= 1000:
        return f"{value:,.0f}{unit}"
    if abs(value) >= 100:
        return f"{value:.0f}{unit}"
    return f"{value:.3g}{unit}" if value else f"0{unit}"


def middle(cell):
    return cell["median"] if cell else None


def with_spread(cell):
    if not cell:
        return "-"
    return f"{number(cell['median'])} ({number(cell['min'])} to {number(cell['max'])})"


def with_range(cell):
    """Median, and half of least to most as a share of it."""
    if not cell:
        return "-"
    half = (cell["max"] - cell["min"]) / 2
    return f"{number(cell['median'])} ±{half / abs(cell['median']) * 100:.0f}%" if cell["median"] else number(0)


class Table:
    def __init__(self, title, note, header, rows):
        self.title, self.note, self.header, self.rows = title, note, header, rows

    def plain(self):
        widths = [max(len(str(row[i])) for row in [self.header] + self.rows) for i in range(len(self.header))]
        lines = ["", self.title]
        for row in [self.header] + self.rows:
            first, *rest = zip(row, widths)
            lines.append("  " + first[0].ljust(first[1]) + "".join("  " + str(word).rjust(width) for word, width in rest))
        return "\n".join(lines)

    def markdown(self):
        lines = [f"### {self.title}", ""] + ([self.note, ""] if self.note else [])
        lines += ["| " + " | ".join(self.header) + " |", "|---" + "|---:" * (len(self.header) - 1) + "|"]
        return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in self.rows] + [""])


def cost_table(result):
    rows = [[cell["label"], cell["floor"] + ("" if cell["floor"] == cell["expected"] else f" (not {cell['expected']})"), with_spread(cell["net_ns"]), number(middle(cell["floor_ns"]))]
            for cell in result["cost"].values()]
    return Table("Program alone: ns per packet over the bare program",
                 "Median (least to most) of the rounds. The floor is the bare program with the same verdict; its own figure, "
                 "in the last column, is mostly the generator's work.",
                 ["work", "over bare", "net ns", "floor ns"], rows)


def live_table(result):
    systems = [name for name in LIVE if name not in ("drop", "tx") and any(name in work["systems"] for work in result["live"].values())]
    rows = []
    for work in result["live"].values():
        cells = work["systems"]
        rows.append([work["label"], f"{work['floor']} {number(middle(cells[work['floor']]['total_ns']))}"]
                    + [with_range(cells[name]["net_ns"]) if name in cells else "-" for name in systems])
    return Table("On the wire: ns of CPU per packet over the bare program",
                 "Generator, veth and receiver on one CPU; the same generator into the bare program is subtracted. "
                 "The second column is that floor, generator included. ±: half of the least to the most of the rounds.",
                 ["work", "floor"] + [LIVE[name] for name in systems], rows)


def capacity_table(result):
    rows = [[LIVE[name], with_spread(cell["pps"])] for name, cell in result["capacity"].items()]
    return Table("One core: Linux SYNs taken per second of CPU time",
                 "A full-speed flood from the other core; the receive thread's own CPU time.", ["system", "packets/s"], rows)


def rate_table(result):
    """What capacity() measures for one work, for the others."""
    taken, rows = result["capacity"], []
    systems = [name for name in LIVE if name in taken and name not in ("drop", "tx")]
    for work in result["live"].values():
        floor_ns = 1e9 / middle(taken[work["floor"]]["pps"])
        rows.append([work["label"]] + [number(1e9 / (floor_ns + middle(work["systems"][name]["net_ns"]))) for name in systems])
    return Table("One core, other floods: packets per second",
                 "Computed: the time the bare program takes per packet there, and the net ns above.",
                 ["work"] + [LIVE[name] for name in systems], rows)


def proxy_table(result):
    rows = [[cell["label"], with_range(cell["host"]), with_range(cell["proxy"]), number(middle(cell["ratio"]))]
            for cell in result["proxy"].values()]
    return Table("A flood on the proxy path", "The program alone, net ns, as in the first table; turn by turn with the host path.",
                 ["work", "host path", "proxy path", "proxy : host"], rows)


def router_tables(result):
    of, systems = result["router"], router.SYSTEMS
    packets, shakes, bulk = of["packets"], of["handshakes"], of["bulk"]
    yield Table("A router: ns of its CPU for each packet",
                "64-byte segments of one established connection, in from the client and out from the server, and SYNs of a flood, all at full "
                "speed; the share of those SYNs that reached the server. Handshakes: completed and closed, 10,000 a second. "
                "Gbit/s: full frames of one connection, which GRO puts together where the stack sees them, for each second of the router's CPU.",
                ["system", "segment in", "segment out", "SYN", "SYNs to the server", "handshake µs", "Gbit/s in", "Gbit/s out"],
                [[label] + [with_range(packets[way][name]["ns"]) for way in ("in", "out", "syn")]
                 + [f"{middle(packets['syn'][name]['arrived']) * 100:.0f} %", with_range(shakes[name]["us"])]
                 + [with_range(bulk[way][name]["gbit"]) for way in ("in", "out")] for name, (label, _) in systems.items()])
    yield Table("A router: one packet after the other of so many connections",
                "The program alone, net of XDP_PASS; and ns of the router's CPU for all that it does to such a segment, which is more "
                "where each is of another connection, whoever forwards.",
                ["connections", "proxy path alone", "router, plain", "router, proxy path", "router, conntrack"],
                [[f"{int(count):,}"] + [with_range(cell[name]) for name in ("net_ns", "plain", "proxy", "conntrack")]
                 for count, cell in of["flows"].items()])


def router_goals(result, add):
    packets, bulk, flows = (result["router"][name] for name in ("packets", "bulk", "flows"))

    def worst(cells, system, ratio):
        return min(middle(cells[way][system][ratio]) for way in ("in", "out"))

    for what, cells in (("segments", packets), ("bytes", bulk)):
        ratio = worst(cells, "proxy", "of_conntrack")
        add(f"router, {what}: proxy path, of conntrack forwarding's rate", number(ratio), "≥ 1", ratio >= 1)
        add("the same of plain forwarding under a bare XDP_PASS", number(worst(cells, "pass", "of_conntrack")), "-", None)
    ratio = worst(packets, "forward", "of_synproxy")
    add("router, segments: --forward : nftables synproxy", number(ratio), "≥ 3", ratio >= 3)
    counts = list(flows.values())
    ratio = middle(counts[-1]["proxy"]) / middle(counts[0]["proxy"])
    add("router, a segment on one of 1 M flows : on the only one", number(ratio), "≤ 1.5", ratio <= 1.5)
    add("the same of plain forwarding", number(middle(counts[-1]["plain"]) / middle(counts[0]["plain"])), "-", None)


def goal_rows(result):
    cost, rows = result["cost"], []

    def add(text, value, limit, good):
        rows.append([text, limit, value, "yes" if good else "no" if good is not None else "-"])

    for key, most in GOALS:
        if key in cost:
            value = middle(cost[key]["net_ns"])
            add(cost[key]["label"] + ", net ns", number(value), f"≤ {most}", value <= most)
    if "syn-linux-v4" in result.get("proxy", {}):
        ratio = middle(result["proxy"]["syn-linux-v4"]["ratio"])
        add("Linux SYN, proxy path : host path", number(ratio), "≤ 1.1", ratio <= 1.1)
    ratios = {}
    for key, cell in cost.items():
        common = cost.get("syn-linux-v6" if "IPv6" in cell["label"] else "syn-linux-v4")
        if common and (cell["group"] == "costly" or key == "syn-all-ports"):
            ratios[cell["label"]] = middle(cell["net_ns"]) / middle(common["net_ns"])
    if ratios:
        worst = max(ratios, key=ratios.get)
        add(f"worst case ({worst}) : common SYN", number(ratios[worst]), "≤ 3", ratios[worst] <= 3)
    linux = result["live"].get("syn-linux-v4", {}).get("systems", {})
    for name in ("nft", "cookies2"):
        if name in linux:
            ratio = middle(linux[name]["net_ns"]) / middle(linux["libxdp"]["net_ns"])
            add(f"{LIVE[name]} : synward, Linux SYN on the wire", number(ratio), "≥ 25" if name == "nft" else "-",
                ratio >= 25 if name == "nft" else None)
    shakes = result.get("handshakes", {})
    if "libxdp" in shakes:
        ratio = middle(shakes["libxdp"]["20k"]["of_kernel"])
        add("CPU per handshake, of the kernel's", number(ratio), "≤ 0.85", ratio <= 0.85)
    if "iperf-1" in result.get("established", {}):
        ratio = middle(result["established"]["iperf-1"]["over_pass"])
        add("iperf3, of a bare XDP_PASS", number(ratio), "≥ 0.98", ratio >= 0.98)
    probes = result.get("latency", {}).get("systems", {}).get("libxdp", {})
    if "90" in probes:
        p99 = probes["90"]["p99_us"]
        add("real connections at 90 % flood, p99", number(p99 / 1000 if p99 else None, " ms"), "≤ 5 ms", bool(p99) and p99 <= 5000)
    if "100" in probes:
        add("real connections at 100 % flood that fail", probes["100"]["failed"], "0", probes["100"]["failed"] == 0)
    if result.get("router"):
        router_goals(result, add)
    memory = result["attach"]["memory"] / 2**20
    add("memory per attach", f"{memory:.1f} MiB", "≤ 16 MiB", memory <= 16)
    return rows


def tables(result):
    yield Table("Goals", "", ["work", "goal", "measured", "reached"], goal_rows(result))
    yield cost_table(result)
    if result.get("proxy"):
        yield proxy_table(result)
    yield live_table(result)
    if result.get("capacity"):
        yield capacity_table(result)
        yield rate_table(result)
    if result.get("handshakes"):
        scenes = list(next(iter(result["handshakes"].values())))
        yield Table("Handshakes: accepted per second, and CPU µs for each",
                    "Offered per second: the column's; the flood beside it is 100,000 SYNs a second. One core for the server: "
                    "receive thread, accepting process (its share in brackets), ksoftirqd.",
                    ["system"] + [f"{scene} offered" for scene in scenes],
                    [[LIVE[name]] + [f"{number(middle(of[scene]['per_s']))}, {number(middle(of[scene]['cpu_us']))} µs ({number(middle(of[scene]['accept_us']))})" for scene in scenes]
                     for name, of in result["handshakes"].items()])
    if result.get("established"):
        yield Table("Established traffic",
                    "A native XDP program, whatever it does, costs a veth its 64 KB segments: hence the comparison with one "
                    "that passes everything. A NIC's driver pays no such price.",
                    ["work", "unit", "no program", "XDP_PASS", "synward", ": XDP_PASS", ": none"],
                    [[cell["label"], cell["unit"]] + [number(middle(cell["systems"][name])) for name in ("none", "pass", "libxdp")]
                     + [with_spread(cell["over_pass"]), number(middle(cell["over_none"]))] for cell in result["established"].values()])
    if result.get("router"):
        yield from router_tables(result)
    if result.get("latency"):
        pauses = result["latency"]["pauses"]
        yield Table("Real connections beside a flood: connect, 16 bytes there and back",
                    "The flood is that share of what one core takes with that system at full speed, asked anew in each round; the receive thread has "
                    "a core, clients and servers share the other with the flood and go before it. Ring full: frames, real ones "
                    "among them, that found the veth's ring of 256 without room and were lost before any system saw them. This "
                    f"machine, idle, stopped that core for over {pauses['over_us']} µs {pauses['per_s']} times a second, at most for "
                    f"{pauses['longest_us']} µs; 100 µs of 2.5 million frames a second fill that ring.",
                    ["system", "flood", "packets/s", "ring full", "connections", "failed", "p50 ms", "p99 ms", "p99.9 ms"],
                    [[LIVE[name], f"{level} %", number(cell["offered_pps"]), f"{cell['ring_full'] * 100:.1f} %", cell["connections"], cell["failed"]]
                     + [number(cell[at] / 1000) if cell[at] is not None else "-" for at in ("p50_us", "p99_us", "p999_us")]
                     for name, levels in result["latency"]["systems"].items() for level, cell in levels.items()])
    took = result["attach"]
    yield Table("An attach", f"Takes {took['attach_s']} s and {took['memory'] / 2**20:.1f} MiB; 0 bytes per half-open connection.",
                ["program", "instructions verified", "bytes of BPF", "bytes of machine code"],
                [[name, f"{cell['verified']:,}", f"{cell['xlated']:,}", f"{cell['jited']:,}"] for name, cell in took["programs"].items()])


def heading(result):
    m = result["machine"]
    noisy = " NOISY: something else was running." if result["noisy"] else ""
    return (f"{m['cpu']}, {m['cpus']} CPUs ({m['hypervisor']}), Linux {m['kernel']}; {result['date']}, {result['seconds']:.0f} s"
            f"{', QUICK' if result['quick'] else ''}. Load before: {result['load_before']:.2f}.{noisy}")
