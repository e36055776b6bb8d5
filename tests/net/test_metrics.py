# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
#    real clients ── cg0 ─────────── sw0 (synward)   metrics ── curl, promtool
#
# What Prometheus reads equals what the guard counts; the dashboard and the rules use
# nothing that is not told.
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time

import pytest
from conftest import Bed
from peer import Peer
from server import Echo, connect, nobody, readable_by_nobody, read_exactly
from test_daemon import PLAIN, Daemon
from world import BUILD, ROOT, SYNWARD, wait_until

PROMTOOL = shutil.which("promtool") or os.path.join(BUILD, "tools", "promtool")
# What only services in mode auto or monitor tell, or only the proxy path.
OTHER_MODES = {"synward_flows", "synward_flows_limit", "synward_service_armed", "synward_service_armed_total", "synward_service_half_open", "synward_service_monitored_total"}
RTT = "synward_handshake_rtt_seconds"
URL = "http://127.0.0.1:9879"


@pytest.fixture(scope="module")
def bed():
    made = Bed("native")
    with Echo(made.server, "ipv4") as echo:
        for _ in range(5):
            with connect(made.client, "ipv4", made.guarded.server_addr["ipv4"], echo.port) as sock:
                sock.sendall(b"hello")
                assert read_exactly(sock, 5) == b"hello"
        yield made
    made.remove()


@pytest.fixture
def http(bed):
    """synward metrics as it runs."""
    child = bed.server.spawn(SYNWARD, "metrics")
    assert wait_until(lambda: curl(bed, "/healthz", check=False).stdout == "ok\n", 5)
    yield child
    child.terminate()
    assert child.wait(5) == 0


def curl(bed, path, *options, check=True):
    return bed.server.run("curl", "-s", "--max-time", "10", *options, URL + path, check=check)


def promtool(*arguments, **options):
    if not os.path.exists(PROMTOOL):
        pytest.skip("promtool is missing: packaging/deps check")
    return subprocess.run([PROMTOOL, *arguments], text=True, capture_output=True, **options)


def samples(text):
    """{'name{labels}': value}"""
    return {name: float(value) for name, value in re.findall(r"^([a-z_]+(?:\{[^}]*\})?) (\S+)$", text, re.M)}


def defined():
    """Names of the list that defines the metrics."""
    return re.findall(r'^METRIC\(\w+, "(\w+)"', open(f"{ROOT}/user/observe/metrics.def").read(), re.M)


def used(text):
    names = set(re.findall(r"\bsynward_[a-z_]+\b", text))
    return {re.sub("(?<=_rtt_seconds)_(bucket|sum|count)$", "", name) for name in names}


def test_counters_are_the_guards(bed):
    text = bed.guard.cli("metrics", "--once").stdout
    told, totals = samples(text), bed.guard.totals()
    for reason, action in (("synack_sent", "tx"), ("ack_valid", "pass"), ("ack_invalid", "drop")):
        assert told[f'synward_verdicts_total{{interface="sw0",reason="{reason}",action="{action}"}}'] == totals[reason]
    assert told['synward_verdicts_total{interface="sw0",reason="synack_sent",action="tx"}'] == 5
    assert told['synward_events_total{interface="sw0",event="handoff_done"}'] == totals["handoff_done"]
    assert told['synward_guard_on{interface="sw0"}'] == 1
    assert told['synward_listeners{interface="sw0",state="open"}'] >= 1
    assert told['synward_presence_filter_bytes{interface="sw0"}'] == 128 * 1024
    assert 0 <= told['synward_key_age_seconds{interface="sw0"}'] < 600
    assert abs(told['synward_guard_attached_timestamp_seconds{interface="sw0"}'] - time.time()) < 600
    assert not [line for line in text.splitlines() if "dir0" in line]


def test_every_metric_is_told_and_documented(bed):
    text = bed.guard.cli("metrics", "--once").stdout
    page = open(f"{ROOT}/docs/metrics.md").read()
    for name in defined():
        assert f"# TYPE {name} " in text and f"# HELP {name} " in text
        if name not in OTHER_MODES:
            assert re.search(rf"^{name}(_bucket)?\b", text, re.M), f"{name} has no sample"
        assert f"`{name}`" in page
    assert used(text) == set(defined())


def test_promtool_finds_nothing_to_complain_about(bed):
    done = promtool("check", "metrics", input=bed.guard.cli("metrics", "--once").stdout)
    assert done.returncode == 0 and not done.stderr, done


def test_dashboard_and_rules_use_what_is_told():
    dashboard = open(f"{ROOT}/packaging/grafana/synward.json").read()
    rules = open(f"{ROOT}/packaging/prometheus/synward.rules.yml").read()
    json.loads(dashboard)
    assert used(dashboard) | used(rules) <= set(defined())
    assert used(dashboard) == set(defined()), "something told is not on the dashboard"
    listing = open(f"{ROOT}/headers/reason.def").read() + open(f"{ROOT}/headers/event.def").read()
    known = {name.lower() for name in re.findall(r"^SW_(?:REASON|EVENT)\((\w+),", listing, re.M)}
    labels = re.findall(r'(?:reason|event)=~?\\?"([a-z_|]+)', dashboard + rules)
    assert labels and {name for label in labels for name in label.split("|")} <= known


def test_alert_rules():
    for arguments in (("check", "rules", f"{ROOT}/packaging/prometheus/synward.rules.yml"),
                      ("test", "rules", f"{ROOT}/tests/prometheus/rules_test.yml")):
        done = promtool(*arguments)
        assert done.returncode == 0, done


SERVICES = """
[service web]
ports = 8001
mode = auto
syn-start = 20
syn-end = 10
[service seen]
ports = 8002
mode = monitor
[service rest]
ports = 8003-65535
mode = always
"""


def test_services_tell_their_own(plain_bed):
    """Handshakes to each of three: what one counts is no other's, and a flood arms the one in auto."""
    bed = plain_bed
    daemon = Daemon(bed.server, PLAIN + SERVICES).start()
    address = bed.guarded.server_addr["ipv4"]

    def told():
        return samples(bed.guard.cli("metrics", "--once").stdout)

    def of(name, service, extra=""):
        return told().get(f'synward_service_{name}{{interface="sw0",service="{service}"{extra}}}')

    try:
        with contextlib.ExitStack() as stack:
            listeners = [stack.enter_context(bed.listen("ipv4", port=port, backlog=512)) for port in (8001, 8002, 8003)]
            assert of("armed", "web") == 0 and of("armed_total", "web") == 0 and of("half_open", "web") == 0
            assert of("armed", "rest") is None and of("info", "seen", ',mode="monitor"') == 1
            made = [0, 0, 0]

            def visit(which, times):
                for _ in range(times):
                    connect(bed.client, "ipv4", address, listeners[which].port).close()
                    listeners[which].accept().close()
                made[which] += times

            visit(0, 3)
            visit(1, 4)
            # One handshake in 64 is timed, by a keyed hash: some more or fewer.
            assert wait_until(lambda: visit(2, 64) or told()[f'{RTT}_count{{interface="sw0",service="rest"}}'], 20, 0)
            assert (of("syns_total", "web"), of("synacks_total", "web")) == (3, 0)
            assert (of("syns_total", "seen"), of("synacks_total", "seen")) == (4, 0)
            assert of("monitored_total", "seen", ',reason="synack_sent",action="tx"') == 4
            assert of("syns_total", "rest") == of("synacks_total", "rest") == of("valid_total", "rest") == made[2]
            check_histogram(told(), "rest")
            with Peer(bed.guarded, "ipv4", 8001) as peer:
                assert wait_until(lambda: [peer.syn() for _ in range(20)] and of("armed", "web") == 1, 10, 0.05)
            assert of("armed_total", "web") == 1 and of("armed", "web") == 1
            visit(0, 1)
            assert of("synacks_total", "web") == 1 and of("synacks_total", "seen") == 0
    finally:
        daemon.close()


def check_histogram(told, service):
    """Each bucket holds those below it, and the sum is what they can add up to."""
    labels = f'interface="sw0",service="{service}"'
    count, total = told[f"{RTT}_count{{{labels}}}"], told[f"{RTT}_sum{{{labels}}}"]
    buckets = [(float(bound), told[f'{RTT}_bucket{{{labels},le="{bound}"}}'])
               for bound in re.findall(rf'{RTT}_bucket{{{labels},le="([^"]+)"', "\n".join(told))]
    values = [value for _, value in buckets]
    assert count > 0 and buckets[0][0] == 2e-6 and buckets == sorted(buckets) and values == sorted(values) and buckets[-1] == (float("inf"), count)
    least = sum(bound / 2 * (value - before) for (bound, value), before in zip(buckets[:-1], [0, *values]))
    assert least <= total * 1.001 and total < 2 * least


def test_http(bed, http):
    answer = curl(bed, "/metrics", "-i").stdout
    assert answer.startswith("HTTP/1.1 200 ") and "text/plain; version=0.0.4" in answer
    assert 'synward_verdicts_total{interface="sw0",reason="synack_sent",action="tx"} 5\n' in answer
    assert curl(bed, "/metrics", "-I").stdout.startswith("HTTP/1.1 200 ")
    assert curl(bed, "/", "-i").stdout.startswith("HTTP/1.1 404 ")
    assert curl(bed, "/metrics/../healthz", "-i", "--path-as-is").stdout.startswith("HTTP/1.1 404 ")
    for method in ("POST", "PUT", "DELETE"):
        assert curl(bed, "/metrics", "-i", "-X", method, "-d", "x" * 100000).stdout.count("HTTP/1.1 405 ") == 1
    listening = bed.server.run("ss", "-Hltn").stdout
    assert "127.0.0.1:9879" in listening and "0.0.0.0:9879" not in listening


def test_http_bears_those_who_hold_connections(bed, http):
    """Idle and slow ones: limited in number, ended by time; those of another address go on."""
    held = []
    for _ in range(30):
        sock = bed.server.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.settimeout(10)
        sock.bind(("127.0.0.2", 0))
        sock.connect(("127.0.0.1", 9879))
        try:
            sock.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
        except OSError:
            pass  # over the limit: closed at once
        held.append(sock)
    assert "synward_build_info" in curl(bed, "/metrics").stdout

    def ended(sock):
        try:
            return sock.recv(1) == b""
        except ConnectionResetError:
            return True

    assert all(ended(sock) for sock in held)
    with bed.server.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.settimeout(10)
        sock.connect(("127.0.0.1", 9879))
        sock.sendall(b"GET /" + b"x" * 100000 + b" HTTP/1.1\r\n\r\n")
        assert not sock.recv(100).startswith(b"HTTP/1.1 200")
    assert "synward_build_info" in curl(bed, "/metrics").stdout


def test_textfile_is_replaced_in_one_step(bed):
    with tempfile.TemporaryDirectory() as place:
        path = f"{place}/synward.prom"
        for _ in range(2):
            bed.guard.cli("metrics", "-o", path)
            assert "synward_guard_on" in open(path).read() and os.stat(path).st_mode & 0o777 == 0o644
        assert os.listdir(place) == ["synward.prom"]
        broken = bed.guard.cli("metrics", "-o", f"{place}/none/synward.prom", check=False)
        assert broken.returncode == 1 and len(broken.stderr.splitlines()) == 1


def test_without_privileges_what_may_be_read_is_told(bed):
    os.chmod("/sys/fs/bpf", 0o755)
    done = bed.server.run(*nobody(), readable_by_nobody(SYNWARD), "metrics", "--once", check=False)
    assert done.returncode == 0 and 'reason="synack_sent",action="tx"} 5' in done.stdout, done
    assert "synward_key_age_seconds{" not in done.stdout


def test_a_port_in_use_and_nonsense_are_refused(bed, http):
    taken = bed.server.run("timeout", "5", SYNWARD, "metrics", check=False)
    assert taken.returncode == 1 and taken.stderr == "synward: cannot answer Prometheus there: Address already in use\n"
    assert bed.guard.cli("metrics", "--listen", "nowhere", check=False).returncode == 2


def test_a_guard_that_lost_its_program_shows(bed):
    """Last: somebody takes the tc program off."""
    os.unlink(f"{bed.guard.pins}/tc_link")
    assert samples(bed.guard.cli("metrics", "--once").stdout)['synward_guard_on{interface="sw0"}'] == 0


def test_the_daemon_answers_as_well(plain_bed):
    bed = plain_bed
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as conf:
        conf.write("[synward]\nmetrics = 127.0.0.1:9879\non-stop = detach\n[interface sw0]\nxdp = native\n")
        conf.flush()
        child = bed.server.spawn(SYNWARD, "run", "-c", conf.name)
        assert wait_until(lambda: 'synward_verdicts_total{interface="sw0"' in curl(bed, "/metrics", check=False).stdout, 15, 0.2)
        child.terminate()
        assert child.wait(10) == 0


def test_the_daemon_tells_as_much_without_its_privileges(plain_bed):
    """It sees no programs itself: its helper looks for it."""
    daemon = Daemon(plain_bed.server, PLAIN + "[synward]\nmetrics = 127.0.0.1:9879\n")
    try:
        daemon.start()
        told = samples(curl(plain_bed, "/metrics").stdout)
        once = samples(plain_bed.guard.cli("metrics", "--once").stdout)
        assert set(told) == set(once)
        assert told['synward_guard_on{interface="sw0"}'] == 1 and told['synward_key_stale{interface="sw0"}'] == 0
        assert 0 <= told['synward_key_age_seconds{interface="sw0"}'] < 60
        plain_bed.server.ip("link", "set", "dev", "sw0", "xdp", "off")
        assert samples(curl(plain_bed, "/metrics").stdout)['synward_guard_on{interface="sw0"}'] == 0
    finally:
        daemon.close()
