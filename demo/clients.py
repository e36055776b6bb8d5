# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Real clients: so many HTTP requests a second, each on a connection of its own.

They come at their time whether those before are served or not, as visitors do. A line
for each that ended: its latency in seconds, or "fail".
usage: clients.py ADDRESS PORT PER_SECOND
"""
import asyncio
import signal
import sys
import time

TIMEOUT_S = 3
REQUEST = b"GET / HTTP/1.0\r\n\r\n"


async def visit(address, port):
    reader, writer = await asyncio.open_connection(address, port)
    try:
        writer.write(REQUEST)
        answer = await reader.read()
        if not answer.startswith(b"HTTP/1.1 200"):
            raise ConnectionError("not the page")
    finally:
        writer.close()


async def one_client(address, port):
    start = time.monotonic()
    try:
        await asyncio.wait_for(visit(address, port), TIMEOUT_S)
        print(f"{time.monotonic() - start:.6f}", flush=True)
    except (OSError, asyncio.TimeoutError):
        print("fail", flush=True)


async def main(address, port, per_second):
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    clients, due = set(), time.monotonic()
    while not stop.is_set():
        print("try", flush=True)
        client = asyncio.create_task(one_client(address, port))
        clients.add(client)
        client.add_done_callback(clients.discard)
        due += 1 / per_second
        await asyncio.sleep(max(0, due - time.monotonic()))
    if clients:
        await asyncio.wait(clients)


signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the demo's to handle
asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
