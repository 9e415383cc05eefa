"""More than a thousand connections at once: to a program that raises its own limit of descriptors,
and to one whose unit gives it more."""

from __future__ import annotations

import pytest

from .conftest import Site

STREAMS = 1200
RAISES = """\
import resource

hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
"""
EVENTS = """\
import asyncio, os


async def serve(reader, writer):
    head = await reader.readuntil(b"\\r\\n\\r\\n")
    if b"/health" in head:
        writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nok")
        writer.close()
        return
    writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Type: text/event-stream\\r\\n\\r\\ndata: first\\n\\n")
    await reader.read()
    writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(os.environ["WORKER_PORT"]), backlog=4096)
    await server.serve_forever()


asyncio.run(main())
"""
CLIENT = f"""\
import resource, select, socket

hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
streams = {{}}
for _ in range({STREAMS}):
    stream = socket.create_connection(("127.0.0.1", 8080), 20)
    stream.sendall(b"GET /alpha/events HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
    streams[stream.fileno()] = stream
poll = select.poll()
for number in streams:
    poll.register(number, select.POLLIN)
got = dict.fromkeys(streams, b"")
while len([text for text in got.values() if b"first" in text or b" 50" in text]) < len(streams):
    ready = poll.poll(20000)
    if not ready:
        break
    for number, _ in ready:
        more = streams[number].recv(65536)
        got[number] += more
        if not more:
            poll.unregister(number)
print(sum(b"data: first" in text for text in got.values()), "at once")
"""


@pytest.mark.parametrize(
    ("yaml", "program"),
    [
        pytest.param("", RAISES + EVENTS, id="raises"),
        pytest.param("limits: {limit_nofile: 4096}\n", EVENTS, id="given"),
    ],
)
def test_twelve_hundred_streams_at_once(site: Site, yaml: str, program: str) -> None:
    site.server("proxy: {max_connections_per_client: 0}\n")
    site.worker(
        "alpha", f"{yaml}timeouts: {{drain: 100ms, stop: 1s}}\nproxy: {{max_inflight: 2000}}\n", program=program
    )
    site.install()
    site.machine.write("/srv/client.py", CLIENT)
    assert site.machine.run(["python3", "/srv/client.py"], timeout=60).stdout == f"{STREAMS} at once\n"
    found = site.machine.show("tq-worker@alpha.service", "LimitNOFILESoft")
    assert found == ("4096" if yaml else "1024")
