# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
#    client, cg0 ──────────── sw0 (synward)  ┐ box ┬ listener, or bs0 ──────── ss0, listener
#    client, cd0 ──────────── dir0           ┘         (proxy_world.py: local, routed, nft, iptables)
#
# Proxy mode with kernels at both ends. Each test runs without synward first: what it then says
# is said of the bed.
import hashlib
import os
import socket
import ssl
import subprocess
import threading
import time

import pytest

import frame as f
from peer import Peer
from proxy_world import TOPOLOGIES, ProxyBed
from server import FAMILY, Echo, Listener, connect, linger_reset, next_port, read_exactly, tcp_info
from test_handshake import (  # noqa: F401
    test_point_01_close_is_as_direct,
    test_point_01_every_stack_shakes_hands_and_keeps_what_it_offered,
)
from world import FLOOD, wait_until

BEDS = [(topology, mode) for topology in TOPOLOGIES for mode in (None, "native")] + [("local", "generic")]


@pytest.fixture(scope="module", params=BEDS, ids=lambda p: f"{p[0]}-{p[1] or 'plain'}")
def any_bed(request):
    """Every bed, first without synward."""
    made = ProxyBed(*request.param)
    yield made
    made.remove()


@pytest.fixture(scope="module", params=TOPOLOGIES)
def bed(request):
    made = ProxyBed(request.param, "native")
    yield made
    made.remove()


@pytest.fixture
def plain_bed():
    """A bed of the test's own, routed, nothing attached yet."""
    made = ProxyBed("routed")
    yield made
    made.remove()


def reach(bed, family, port, **how):
    return connect(bed.client, family, bed.guarded.server_addr[family], port, **how)


# Who speaks first ---------------------------------------------------------------------

def test_client_speaks_first(any_bed, family):
    with Echo(any_bed.server, family) as echo:
        for _ in range(20):
            with reach(any_bed, family, echo.port) as sock:
                sock.sendall(b"0123456789" * 5000)
                assert read_exactly(sock, 50000) == b"0123456789" * 5000


def test_server_speaks_first(any_bed, family):
    """As of ssh and SMTP: without a word of the client's, and at once."""
    with Listener(any_bed.server, family) as listener:
        slow = 0
        for _ in range(20):
            began = time.monotonic()
            with reach(any_bed, family, listener.port) as sock:
                conn = listener.accept()
                assert conn
                conn.sendall(b"220 ready\r\n")
                assert read_exactly(sock, 11) == b"220 ready\r\n"
                slow += time.monotonic() - began > 0.15
                sock.sendall(b"QUIT\r\n")
                assert read_exactly(conn, 6) == b"QUIT\r\n"
                conn.close()
                assert sock.recv(1) == b""
        assert slow <= 2, "the window update is lost, or comes late"


def test_both_ends_agree_on_options(bed, family):
    """Once the server is known the two ends have the same options, as if nobody was between."""
    with bed.listen(family) as listener, reach(bed, family, listener.port) as sock:
        conn = listener.accept()
        client, server = tcp_info(sock), tcp_info(conn)
        assert client.tstamp and client.sack and client.wscale and server.tstamp and server.sack and server.wscale
        assert client.snd_wscale == server.rcv_wscale and client.rcv_wscale == server.snd_wscale


# HTTP and TLS -------------------------------------------------------------------------

NGINX = """
daemon off; master_process off; pid {dir}/pid; error_log {dir}/error;
events {{ worker_connections 512; }}
http {{
    access_log off; client_body_temp_path {dir}/1; proxy_temp_path {dir}/2; fastcgi_temp_path {dir}/3;
    uwsgi_temp_path {dir}/4; scgi_temp_path {dir}/5;
    server {{
        listen {http}; listen [::]:{http}; listen {https} ssl; listen [::]:{https} ssl;
        ssl_certificate {dir}/cert; ssl_certificate_key {dir}/key;
        root {dir}/www;
    }}
}}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """nginx's directory: certificate, a file of 3 MB; and its digest."""
    path = tmp_path_factory.mktemp("site")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=synward", "-keyout", path / "key", "-out", path / "cert"], check=True, capture_output=True)
    (path / "www").mkdir()
    content = os.urandom(3 << 20)
    (path / "www" / "file").write_bytes(content)
    for part in (path, *path.parents):
        if str(part).startswith("/tmp/"):
            os.chmod(part, 0o755)
    return path, hashlib.sha256(content).hexdigest()


def test_http_and_tls(any_bed, family, site):
    path, digest = site
    http, https = next_port(), next_port()
    (path / "conf").write_text("user root;" + NGINX.format(dir=path, http=http, https=https))
    nginx = any_bed.server.spawn("nginx", "-c", path / "conf")
    try:
        assert wait_until(lambda: any_bed.server.run("ss", "-Hltn", f"sport = :{https}").stdout, 10), (path / "error").read_text()
        host = any_bed.guarded.server_addr[family]
        host = f"[{host}]" if ":" in host else host
        for url in (f"http://{host}:{http}/file", f"https://{host}:{https}/file"):
            for _ in range(3):
                got = subprocess.run(any_bed.client.command("curl", "-sk", "--max-time", "20", url), capture_output=True)
                assert got.returncode == 0 and hashlib.sha256(got.stdout).hexdigest() == digest, (url, got.returncode)
    finally:
        nginx.terminate()
        nginx.wait()


# Closing ------------------------------------------------------------------------------

def test_half_close_with_data_flowing_on(any_bed, family):
    with Listener(any_bed.server, family) as listener, reach(any_bed, family, listener.port) as sock:
        conn = listener.accept()
        sock.shutdown(socket.SHUT_WR)
        assert conn.recv(1) == b""
        threading.Thread(target=lambda: (conn.sendall(bytes(3_000_000)), conn.close())).start()
        assert len(read_exactly(sock, 3_000_001)) == 3_000_000


@pytest.mark.parametrize("who", ["client", "server"])
def test_reset_reaches_the_other_end(any_bed, family, who):
    with Listener(any_bed.server, family) as listener, reach(any_bed, family, listener.port) as sock:
        conn = listener.accept()
        one, other = (sock, conn) if who == "client" else (conn, sock)
        one.sendall(b"x")
        assert other.recv(1) == b"x"
        linger_reset(one)
        one.close()
        with pytest.raises(ConnectionResetError):
            other.recv(1)


@pytest.mark.parametrize("first", ["client", "server"])
def test_a_port_is_used_again_at_once(any_bed, family, first):
    """TIME-WAIT at the server's end (or the client's), and a new SYN on the same tuple."""
    sport = next_port() + 5000

    def prepare(sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((any_bed.guarded.client_addr[family], sport))

    any_bed.client.sysctl("net.ipv4.tcp_tw_reuse", 1)
    with Listener(any_bed.server, family) as listener:
        for number in range(2 if first == "client" else 5):
            try:
                sock = reach(any_bed, family, listener.port, prepare=prepare)
            except OSError as error:  # the client's own TIME-WAIT, younger than a second
                assert first == "client" and error.errno in (98, 99), error
                time.sleep(1.1)
                sock = reach(any_bed, family, listener.port, prepare=prepare)
            conn = listener.accept()
            assert conn, f"connection {number}"
            sock.sendall(b"again")
            assert read_exactly(conn, 5) == b"again"
            for end in (conn, sock) if first == "server" else (sock, conn):
                end.close()
                time.sleep(0.02)


def challenged(peer, conn):
    """A SYN out of the window gets the ACK of RFC 5961 4.2, and the connection goes on."""
    peer.receive_all(0.6)  # Linux challenges on one connection twice a second at most
    peer.syn(seq=(peer.isn + 0x1000000) & 0xFFFFFFFF)
    answer = peer.receive(2)
    assert answer and answer.flags & (f.SYN | f.ACK | f.RST) == f.ACK, answer
    peer.data(b"end")
    while not read_exactly(conn, 1) == b"d":
        pass


def test_a_syn_on_a_live_connection_is_the_servers_to_challenge(bed, family):
    with bed.listen(family) as listener, Peer(bed.guarded, family, listener.port) as peer:
        peer.connect(b"one")
        conn = listener.accept()
        assert read_exactly(conn, 3) == b"one"
        challenged(peer, conn)
        bed.attach()
        challenged(peer, conn)


@pytest.mark.parametrize("what", ["ports", "to"])
def test_connections_to_what_is_left_out_go_on(plain_bed, family, what):
    """Also one that was silent meanwhile; new ones are made without the guard."""
    bed = plain_bed
    bed.attach("--ports", "1-65535")
    with Echo(bed.server, family) as echo:
        for _ in range(3):  # the first ones go through as they are, to learn from
            reach(bed, family, echo.port).close()
            time.sleep(0.4)
        with reach(bed, family, echo.port) as sock:
            sock.sendall(b"one")
            assert read_exactly(sock, 3) == b"one"
            assert bed.guard.cli("flows", "--count", "--state", "established").stdout.strip() != "0"
            if what == "ports":
                bed.attach("--ports", "1-9")
            else:
                bed.guard.attach("native", "--ports", "1-65535", "--to", "203.0.113.0/24")
            time.sleep(0.6)
            for word in (b"two", b"six"):
                sock.sendall(word)
                assert read_exactly(sock, 3) == word
        opened = bed.guard.totals()["flow_opened"]
        with reach(bed, family, echo.port) as sock:
            sock.sendall(b"new")
            assert read_exactly(sock, 3) == b"new"
        assert bed.guard.totals()["flow_opened"] == opened


def test_a_server_that_one_cpu_has_seen_is_known_to_all(plain_bed, family):
    """A CPU that took the service for none a moment ago gets the ACK for the cookie that another one made."""
    bed, cpus = plain_bed, sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        pytest.skip("needs two CPUs: SYN and ACK are to come by different ones")
    bed.mode = "native"
    bed.attach("--ports", "auto")
    try:
        for _ in range(20):
            with Listener(bed.server, family) as listener, Peer(bed.guarded, family, listener.port) as first, \
                    Peer(bed.guarded, family, listener.port) as peer:
                os.sched_setaffinity(0, cpus[:1])
                began = time.monotonic()
                assert first.ask().window, "the server's own answer: nobody has seen one yet"
                os.sched_setaffinity(0, cpus[1:2])
                shielded = not peer.ask().window
                os.sched_setaffinity(0, cpus[:1])
                peer.send(f.ACK)
                if time.monotonic() - began < 0.2:  # what is known of a listener is a quarter of a second old at most
                    assert shielded and listener.accept(), "of a connection that had its SYN-ACK"
                    return
    finally:
        os.sched_setaffinity(0, cpus)
    pytest.fail("the machine was never quick enough")


def test_modes_lists_and_limits_hold(plain_bed, family, tmp_path):
    """docs/modes.md, on this path."""
    bed = plain_bed
    deny = tmp_path / "deny"
    deny.write_text(f"{bed.guarded.client_addr[family]}\n")
    bed.mode = "native"
    bed.attach()
    with Echo(bed.server, family) as echo:
        bed.teach(family, echo.port)

        def counted(*options):
            bed.attach(*options)
            with bed.guard.counting() as moved:
                try:
                    with reach(bed, family, echo.port, timeout=1.5) as sock:
                        sock.sendall(b"word")
                        answer = read_exactly(sock, 4)
                except OSError as error:
                    answer = error
            return answer, moved
        answer, moved = counted()
        assert answer == b"word" and moved["flow_opened"] == 1
        answer, moved = counted("--mode", "monitor")
        assert answer == b"word" and moved["syn_monitored"] >= 1 and not moved["flow_opened"]
        answer, moved = counted("--mode", "auto")
        assert answer == b"word" and moved["syn_idle"] >= 1 and not moved["flow_opened"]
        answer, moved = counted("--deny", deny)
        assert isinstance(answer, TimeoutError) and moved["syn_denied"] >= 1 and not moved["synack_sent"]
        bed.attach("--synack-limit", "3")
        with bed.guard.counting() as moved:
            for _ in range(20):
                with Peer(bed.guarded, family, echo.port) as peer:
                    peer.syn()
            wait_until(lambda: bed.guard.totals()["synack_limit"] > 10)
        assert moved["synack_limit"] >= 10 and 1 <= moved["synack_sent"] <= 8, moved


# Servers that do not answer -----------------------------------------------------------

def outcome(bed, family, port, patience):
    """How a client fares, and after how long: connect() itself succeeds where a cookie answers."""
    began = time.monotonic()
    try:
        with reach(bed, family, port, timeout=patience) as sock:
            sock.sendall(b"anybody there?")
            return sock.recv(1) and "data" or "closed", time.monotonic() - began
    except TimeoutError:
        return "silence", time.monotonic() - began
    except OSError as error:
        return type(error).__name__, time.monotonic() - began


def test_a_server_that_refuses_resets_its_client(any_bed, family):
    told, seconds = outcome(any_bed, family, next_port(), 5)
    assert told in ("ConnectionRefusedError", "ConnectionResetError") and seconds < 2


def test_a_server_that_stops_listening_while_cookies_are_out(bed, family):
    """Point 18: the client gets the RST it gets directly."""
    with bed.listen(family) as listener, Peer(bed.guarded, family, listener.port) as peer:
        assert peer.ask().window == 0
        listener.sock.close()
        peer.send(f.ACK)
        answer = peer.receive(2)
        assert answer and answer.flags & f.RST


def test_a_silent_server_leaves_no_flow_alive(plain_bed, family):
    """No SYN-ACK: the client hears nothing, as directly, and the server gets only a few SYNs."""
    plain_bed.attach()
    port = next_port()
    plain_bed.server.nft(f"table inet silent {{ chain in {{ type filter hook input priority 0; tcp dport {port} counter drop\n}}\n}}")
    began = time.monotonic()
    for _ in range(3):
        told, _ = outcome(plain_bed, family, port, 1.5)
        assert told == "silence"
    assert time.monotonic() - began < 10
    counted = int(plain_bed.server.run("nft", "list", "table", "inet", "silent").stdout.split("packets ")[1].split()[0])
    assert 1 <= counted <= 30


# Under a flood ------------------------------------------------------------------------

FORGED = {"ipv4": "198.18.0.0/15", "ipv6": "2001:db8::/32"}


def test_a_flood_never_reaches_the_server_and_clients_do(bed, family, seconds=3):
    if (bed.topology, family) not in (("routed", "ipv6"), ("nft", "ipv4")):
        pytest.skip("the flood sees no difference")
    with Echo(bed.server, family) as echo:
        bed.teach(family, echo.port)
        bed.server.nft(f"""table inet watch {{ chain in {{ type filter hook input priority 0;
            meta l4proto tcp tcp dport {echo.port} ip{6 if family == 'ipv6' else ''} saddr {FORGED[family]} counter\n}}\n}}""")
        target = bed.guarded.server_addr[family]
        flood = bed.client.spawn(FLOOD, "cg0", "--to", target, "--port", echo.port, "--seconds", seconds,
                                 "--dst-mac", bed.guarded.server_mac, stderr=subprocess.PIPE)
        before, most, made, tried = bed.guard.totals()["synack_sent"], 0, 0, 0
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            tried += 1
            with reach(bed, family, echo.port, timeout=8) as sock:
                sock.sendall(b"real")
                made += read_exactly(sock, 4) == b"real"
            most = max(most, bed.half_open())
        flood.wait(30)
        answered = bed.guard.totals()["synack_sent"] - before
        seen = bed.server.run("nft", "list", "table", "inet", "watch").stdout.split("packets ")[1].split()[0]
        bed.server.run("nft", "delete", "table", "inet", "watch")
        print(f"{answered} SYNs answered in {seconds} s, {made} of {tried} clients served, half-open {most}")
        assert made == tried > 0
        assert answered > 1000, flood.stderr.read()
        assert seen == "0" and most <= 1


# Path MTU -----------------------------------------------------------------------------

@pytest.mark.parametrize("mode", [None, "native"], ids=["plain", "proxy"])
def test_path_mtu_is_discovered_through_the_box(family, mode):
    """The way on is narrower than either end knows: the box's ICMP quotes a segment in the server's numbers."""
    bed = ProxyBed("routed", mode)
    try:
        bed.box.ip("link", "set", "bs0", "mtu", "1300")
        with Listener(bed.server, family) as listener:
            for _ in range(2):
                with reach(bed, family, listener.port) as sock:
                    conn = listener.accept()
                    threading.Thread(target=sock.sendall, args=(bytes(500_000),), daemon=True).start()
                    conn.settimeout(10)
                    assert len(read_exactly(conn, 500_000)) == 500_000
                    assert tcp_info(sock).pmtu == 1300
    finally:
        bed.remove()
