# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""docs.py BENCH_JSON: puts a run's figures into docs/performance.md, and its chart beside it."""
import json
import sys

sys.dont_write_bytecode = True
import chart  # noqa: E402
import report  # noqa: E402
from stage import ROOT  # noqa: E402

MARKS = ("<!-- figures: make bench-docs -->\n", "<!-- end of figures -->\n")


def main():
    with open(sys.argv[1]) as f:
        result = json.load(f)
    page = ROOT / "docs/performance.md"
    text = page.read_text()
    begin, end = text.index(MARKS[0]) + len(MARKS[0]), text.index(MARKS[1])
    figures = report.heading(result) + "\n\n" + "\n".join(table.markdown() for table in report.tables(result))
    page.write_text(text[:begin] + "\n" + figures + "\n" + text[end:])
    (ROOT / "docs/performance.svg").write_text(chart.draw(result))


main()
