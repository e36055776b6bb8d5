# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Results of a guest: TAP over its second serial port, and beside each a line of JSON that docs/support.md is made from."""
import contextlib
import json
import os
import sys
import time
import traceback

PORT = "/dev/ttyS1"


class Skip(Exception):
    """Why a test does not apply here."""


class Result:
    def __init__(self, driver, mode, test):
        self.driver, self.mode, self.test = driver, mode, test
        self.said = ""  # attach's one line, where it refuses or warns
        self.works = True  # False: it cannot work here, and attach says so, which is what was tested
        self.figures = {}


class Report:
    def __init__(self):
        self.port = open(PORT, "w", buffering=1) if os.path.exists(PORT) else sys.stdout
        self.kernel = os.uname().release
        self.count = 0

    def line(self, text):
        print(text, file=self.port, flush=True)

    @contextlib.contextmanager
    def case(self, driver, mode, test):
        """Within: one test, of a Result to be filled in. What is raised there fails it, and the next goes on."""
        result, began, trouble, skipped = Result(driver, mode, test), time.monotonic(), "", ""
        try:
            yield result
        except Skip as why:
            skipped = str(why)
        except Exception as error:
            trouble = f"{type(error).__name__}: {error}\n" + "".join(traceback.format_tb(error.__traceback__)[-4:])
        self.count += 1
        outcome = "skipped" if skipped else "failed" if trouble else "works" if result.works else "refused"
        self.line("# cell " + json.dumps({"kernel": self.kernel, "driver": driver, "mode": mode, "test": test, "outcome": outcome,
                                          "said": skipped or result.said, "figures": result.figures}))
        took = time.monotonic() - began
        self.line(f"{'not ok' if trouble else 'ok'} {self.count} - {self.kernel} {driver} {mode}: {test} ({took:.0f} s)"
                  + (f" # SKIP {skipped}" if skipped else ""))
        for text in trouble.splitlines():
            self.line(f"#   {text}")

    def done(self):
        self.line(f"1..{self.count}")
