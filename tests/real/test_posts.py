"""POSTs to workers that close kept connections at any time: each is answered, and done exactly
once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from peers import Connection, Router
from real_programs import APPS, Figure, Program, endpoints, routed_to

POSTS = 3000
CLIENTS = 32

GUNICORN = ["gunicorn", "--log-level=warning", "--pythonpath", str(APPS), "noting", "--bind"]
UVICORN = ["uvicorn", "--log-level=warning", "--app-dir", str(APPS), "--timeout-keep-alive=0", "noting:asynchronous"]
UWSGI = ["uwsgi", "--die-on-term", "--need-app", "--disable-logging", "--master", f"--pythonpath={APPS}"]
UWSGI_APP = ["--module=noting", "--processes=2", "--threads=4"]


def commands(endpoint: str) -> dict[str, list[str]]:
    """The worker's command line, by the way in which it ends connections."""
    path, (address, _, port) = endpoint.removeprefix("unix:"), endpoint.rpartition(":")
    uvicorn = ["--uds", path] if endpoint.startswith("unix:") else ["--host", address, "--port", port]
    recycled = ["--max-requests=50", "--keep-alive=2"]
    return {
        "gunicorn gthread": [*GUNICORN, endpoint, "--workers=2", "--worker-class=gthread", "--threads=8", *recycled],
        "gunicorn sync": [*GUNICORN, endpoint, "--workers=2"],
        "uWSGI http11-socket": [*UWSGI, "--http11-socket", path, *UWSGI_APP],
        "uWSGI http-socket": [*UWSGI, "--http-socket", path, *UWSGI_APP],
        "uWSGI http router": [*UWSGI, "--http", path, "--http-keepalive=2", *UWSGI_APP],
        "uvicorn": [*UVICORN, *uvicorn],
    }


KINDS = [(kind, listens) for kind in commands("1:1") for listens in ("tcp", "unix")]
KINDS.remove(("uWSGI http router", "unix"))  # its processes can not listen there


async def post(client: Connection, name: bytes) -> str:
    """One POST on a kept connection; gives the result, "200" if it is good."""
    await client.send(b"POST /notes HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(name), name))
    head, body = await client.response()
    status = head[9:12].decode()
    return "200 for another" if status == "200" and body != name else status


async def posts(router: Router, names: Iterator[bytes], results: Counter[str]) -> None:
    """A client: one POST after the other, on one connection until it fails."""
    client = await router.connect()
    for name in names:
        try:
            results[await post(client, name)] += 1
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            results[type(error).__name__] += 1
            client.close()
            client = await router.connect()
    client.close()


@pytest.mark.parametrize(("kind", "listens"), KINDS, ids=[" on ".join(pair) for pair in KINDS])
async def test_each_post_is_answered_and_done_once(folder: Path, kind: str, listens: str, figure: Figure) -> None:
    notes = folder / "notes"
    endpoint = endpoints(folder)[listens]
    worker = Program(folder, *commands(endpoint)[kind], variables={"NOTES": str(notes)})
    results: Counter[str] = Counter()
    names = iter([b"%d" % number for number in range(POSTS)])
    async with worker, routed_to(folder, endpoint) as router, asyncio.timeout(120), asyncio.TaskGroup() as clients:
        for _ in range(CLIENTS):
            clients.create_task(posts(router, names, results))
    done = Counter(notes.read_bytes().split())
    lost, doubled = POSTS - len(done), sum(count > 1 for count in done.values())
    figure(f"{kind} on {listens}, {POSTS} POSTs: {dict(results)}, {lost} lost, {doubled} done twice")
    assert (dict(results), lost, doubled) == ({"200": POSTS}, 0, 0), router.said()
