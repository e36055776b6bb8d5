# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Each driver in each mode: it attaches, serves and shields, and leaves no trace; or says in one line that it cannot."""
from bench import Flood, attach, exchanges, half_open, picked, refusal, warnings
from guard import Guard
from server import Echo, connect, read_exactly
from world import wait_until

# What drivers may lack, in attach's words; anything else it refuses with is a failure.
CANNOT = ("the driver has no native XDP", "the kernel lacks")


def check_serving(link, port):
    """Real clients of both families, then the same under forged SYNs that must leave nothing half-open."""
    exchanges(link, port)
    with Flood(link, port) as flood:
        assert wait_until(lambda: flood.sent > 300, 20), "the flood does not start"
        exchanges(link, port, count=3)
        seen = half_open(link)
    guard = Guard(link.server, link.server_if)
    counted = {name: count for name, count in guard.totals().items() if count} if seen and guard.attached else {}
    assert seen == 0, f"{seen} half-open connections under forged SYNs; counted since attach: {counted}"


def established_survives(link, port, step):
    """A connection made before step goes on after it."""
    with connect(link.client, "ipv4", link.server_addr["ipv4"], port, 10) as sock:
        step()
        sock.sendall(b"still there?")
        assert read_exactly(sock, 12) == b"still there?", "a connection that was there before is gone"


def check_mode(report, link, mode):
    with report.case(link.driver, mode, "attach, serve, shield, detach") as result, Echo(link.server, "ipv6", dual=True) as echo:
        guard = Guard(link.server, link.server_if)
        done = guard.attach(mode, check=False)
        if done.returncode:
            result.said = refusal(done)
            result.works = False
            link.native = mode != "native" and link.native
            assert any(words in result.said for words in CANNOT) or attach(guard, mode), result.said
            exchanges(link, echo.port, count=1)  # refused is left as it was
            return
        link.native = mode == "native" or link.native
        result.said = " | ".join(warnings(done))
        try:
            status = guard.status()[0]
            assert status["xdp"] == mode, status
            result.figures["tc"] = status["tc"]
            with guard.counting() as moved:
                check_serving(link, echo.port)
            assert moved["synack_sent"] >= 300 and moved["ack_valid"] >= 18, dict(moved)
            assert not moved["no_room"], dict(moved)
            if link.number == 1:
                established_survives(link, echo.port, lambda: attach(guard, mode))
        finally:
            established_survives(link, echo.port, guard.detach)
        assert not guard.attached
        exchanges(link, echo.port, count=1)


def check_auto(report, link):
    """auto takes the best there is, and says so where that is not native."""
    with report.case(link.driver, "auto", "picks a mode and says it") as result, Echo(link.server, "ipv6", dual=True):
        guard = Guard(link.server, link.server_if)
        done = guard.attach("auto", check=False)
        if done.returncode:
            result.said, result.works = refusal(done), False
            assert "the kernel lacks" in result.said, result.said
            return
        try:
            result.said = picked(guard, done)
            assert result.said.startswith("native") or "generic XDP, not native" in result.said, result.said
        finally:
            guard.detach()
