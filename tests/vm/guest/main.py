#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Runs a guest's tests, as its first process, and turns the guest off."""
import importlib
import os
import signal
import sys
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
os.environ.update(PATH="/usr/sbin:/usr/bin:/sbin:/bin", PYTHONDONTWRITEBYTECODE="1", HOME="/root")
sys.dont_write_bytecode = True
sys.path[:0] = [HERE, os.path.join(HERE, "..", "..", "net")]

from report import Report  # noqa: E402


def words():
    """What the kernel's command line has for us: synward.KEY=VALUE."""
    with open("/proc/cmdline") as f:
        pairs = [word[len("synward."):].split("=", 1) for word in f.read().split() if word.startswith("synward.")]
    return dict(pairs)


def main():
    options = words()
    os.environ["SYNWARD_BUILD"] = options["build"]
    report = Report()
    try:
        importlib.import_module("role_" + options["role"]).run(report, options)
    except BaseException:
        traceback.print_exc()
        with report.case("-", "-", f"the guest's tests run to their end ({options.get('role')})"):
            raise AssertionError(traceback.format_exc().splitlines()[-1])
    report.done()


if __name__ == "__main__":
    try:
        main()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.sync()
        with open("/proc/sysrq-trigger", "w") as f:
            f.write("o")
        signal.pause()
