# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The chart of docs/performance.md: bars, drawn by hand."""
from report import middle, number
from works import LIVE

WIDTH, LABEL, RIGHT, ROW, BAR = 900, 300, 140, 25, 15
COLORS = {"libxdp": "#0b7a75", "link": "#0b7a75", "generic": "#6fb7b3", "nft": "#b4532a", "cookies1": "#8a8f98", "cookies2": "#8a8f98",
          "drop": "#c9ccd1", "tx": "#c9ccd1"}
FONT = "font-family='system-ui,Segoe UI,Helvetica,Arial,sans-serif'"


def escape(text):
    return str(text).replace("&", "&amp;").replace("<", "&lt;")


def panel(y, title, note, rows):
    """rows: (label, color, cell of spread(), text). Returns the drawing and its height."""
    out = [f"<text x='20' y='{y + 16}' font-size='15' font-weight='600' fill='#1c2024'>{escape(title)}</text>",
           f"<text x='20' y='{y + 34}' font-size='12' fill='#60646c'>{escape(note)}</text>"]
    y += 46
    scale = (WIDTH - LABEL - RIGHT) / max(max(cell["max"] for _, _, cell, _ in rows), 1e-9)
    for label, color, cell, text in rows:
        length = max(cell["median"] * scale, 1)
        end = max(cell["max"] * scale, length)
        center = y + BAR / 2
        out += [f"<text x='{LABEL - 10}' y='{y + 12.5}' font-size='13' text-anchor='end' fill='#1c2024'>{escape(label)}</text>",
                f"<rect x='{LABEL}' y='{y}' width='{length:.1f}' height='{BAR}' rx='2' fill='{color}'/>",
                f"<line x1='{LABEL + max(cell['min'] * scale, 0):.1f}' x2='{LABEL + end:.1f}' y1='{center}' y2='{center}' stroke='#1c2024' stroke-width='1'/>",
                f"<text x='{LABEL + end + 8:.1f}' y='{y + 12.5}' font-size='13' fill='#1c2024'>{escape(text)}</text>"]
        y += ROW
    return out, y + 14


def bars(cells, key, unit):
    rows = [(LIVE[name], COLORS[name], cell[key], number(middle(cell[key])) + unit) for name, cell in cells.items() if cell.get(key)]
    return sorted(rows, key=lambda row: middle(row[2]))


def draw(result):
    out, y = [], 18
    for key, title in (("syn-linux-v4", "A SYN answered (Linux, IPv4): CPU time"), ("ack", "An ACK without a cookie refused: CPU time")):
        work = result["live"].get(key)
        if work:
            cells = {name: cell for name, cell in work["systems"].items() if name not in ("drop", "tx")}
            drawn, y = panel(y, title, f"ns per packet over bare XDP_{work['floor'].upper()}, live frames on a veth, shorter is better",
                             bars(cells, "net_ns", " ns"))
            out += drawn
    if result.get("capacity"):
        drawn, y = panel(y, "What one core takes of a SYN flood", "packets per second of its CPU time, longer is better",
                         bars(result["capacity"], "pps", "/s")[::-1])
        out += drawn
    shown = [cell for cell in result["cost"].values() if cell["net_ns"]]
    rows = [(cell["label"], COLORS["nft"] if cell["group"] == "costly" else COLORS["libxdp"], cell["net_ns"],
             f"{number(middle(cell['net_ns']))} ns over {cell['floor']}") for cell in shown]
    drawn, y = panel(y, "synward's program alone, frame by frame", "ns per packet over the bare program with the same verdict; "
                     "brown: made to be costly", rows)
    out += drawn
    return (f"<!-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only -->\n"
            f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{y}' viewBox='0 0 {WIDTH} {y}' {FONT}>\n"
            f"<rect width='{WIDTH}' height='{y}' fill='#ffffff'/>\n" + "\n".join(out) + "\n</svg>\n")
