"""The parts of a request that the router may change for the worker: the authority, dot segments,
the path as it was sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from control_peers import relayed
from peers import OK, answering

END = b"Host: a.example\r\nConnection: close\r\n\r\n"


def line_of(seen: bytes, name: str) -> str:
    (found,) = [one for one in seen.decode().split("\r\n") if one.lower().startswith(name.lower() + ":")]
    return found.partition(":")[2].strip()


NO_HOST = {
    "HTTP/1.0 without Host": b"GET / HTTP/1.0\r\n\r\n",
    "HTTP/1.0 with an empty Host": b"GET / HTTP/1.0\r\nHost:\r\n\r\n",
    "HTTP/1.1 with an empty Host": b"GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n",
    "with spaces": b"GET / HTTP/1.1\r\nHost: \t \r\nConnection: close\r\n\r\n",
    "OPTIONS of the whole": b"OPTIONS * HTTP/1.0\r\n\r\n",
}


@pytest.mark.parametrize("request_", NO_HOST.values(), ids=NO_HOST.keys())
async def test_a_request_without_an_authority_is_for_the_address_that_it_came_to(folder: Path, request_: bytes) -> None:
    async with relayed(folder, answering(OK)) as (router, worker):
        assert (await router.ask(request_)).endswith(b"ok")
        here = f"127.0.0.1:{router.port}"
        seen = worker.connections[-1].seen
        assert line_of(seen, "Host") == line_of(seen, "X-Forwarded-Host") == here
        assert f'host="{here}"' in line_of(seen, "Forwarded")


async def test_and_is_routed_by_it(folder: Path) -> None:
    """An address is a name like any other: the worker that has it as `host:` gets the request."""

    async with relayed(folder, answering(OK), hosts=["127.0.0.1"]) as (router, _):
        assert (await router.ask(b"GET / HTTP/1.0\r\n\r\n")).endswith(b"ok")
    (folder / "b").mkdir()
    async with relayed(folder / "b", answering(OK), hosts=["a.example"]) as (router, _):
        assert (await router.ask(b"GET / HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 404 ")


HOSTS = {"a.example:": "a.example", "[::1]:": "[::1]", "a.example:81": "a.example:81"}


@pytest.mark.parametrize(("written", "host"), HOSTS.items())
async def test_an_empty_port_is_none(folder: Path, written: str, host: str) -> None:
    async with relayed(folder, answering(OK), hosts=[host.removesuffix(":81")]) as (router, worker):
        client = await router.connect()
        for _ in range(4):  # the later ones are read by their difference to the first
            await client.send(f"GET / HTTP/1.1\r\nHost: {written}\r\n\r\n".encode())
            assert (await client.response())[1] == b"ok"
        for seen in worker.connections[-1].seen.split(b"\r\n\r\n")[:-1]:
            assert line_of(seen, "Host") == line_of(seen, "X-Forwarded-Host") == host


async def test_a_single_dot_is_nothing_for_workers_and_for_files(folder: Path) -> None:
    (folder / "public/debs").mkdir(parents=True)
    for name in ("InRelease", "x.deb"):
        (folder / "public/debs" / name).write_bytes(name.encode())
    static = {"directory": str(folder / "public"), "prefix": "/"}

    async with relayed(folder, answering(OK), static=static) as (router, worker):
        for path in ("/debs/./InRelease", "/./debs/./././InRelease", "/debs/%2e/InRelease", "/.//debs/InRelease"):
            assert (await router.ask(f"GET {path} HTTP/1.1\r\n".encode() + END)).endswith(b"InRelease"), path
        assert (await router.ask(b"GET /api/./a/.?b=/./c HTTP/1.1\r\n" + END)).endswith(b"ok")
        assert worker.seen[0].startswith(b"GET /api/a/?b=/./c HTTP/1.1\r\n")
        for path in ("/debs/./../x", "/debs/.;/x", "/a%2F./x", "/./%2e%2e/x", "/./..", "/.;x", "/a/.%2Fb"):
            assert (await router.ask(f"GET {path} HTTP/1.1\r\n".encode() + END)).startswith(b"HTTP/1.1 400 "), path


RAW = {
    "tilde": ("/api/%7Euser", "/%7Euser"),
    "lower case": ("/api/%c3%a9%3f", "/%c3%a9%3f"),
    "slashes": ("/api//a//b", "//a//b"),
    "slashes at the beginning": ("//api/a", "/a"),
    "dots": ("/./api/./a/.", "/./a/."),
    "the prefix in escapes": ("/%61p%69/%61", "/%61"),
    "nothing left": ("/api", "/"),
    "a query alone": ("/%61pi?%7e=%2F", "/?%7e=%2F"),
    "an encoded slash": ("/api/a%2fb", "/a%2fb"),
    "absolute": ("http://a.example/api/%7E", "/%7E"),
}


@pytest.mark.parametrize(("target", "path"), RAW.values(), ids=RAW.keys())
async def test_a_worker_may_have_the_path_as_it_was_sent(folder: Path, target: str, path: str) -> None:
    changes: dict[str, Any] = {"raw_path": True, "encoded_slash": True, "routes": ["/api"]}

    async with relayed(folder, answering(OK), **changes) as (router, worker):
        client = await router.connect()
        for _ in range(3):  # the later ones are read by the short way, if it applies
            await client.send(f"GET {target} HTTP/1.1\r\nHost: a.example\r\n\r\n".encode())
            assert (await client.response())[1] == b"ok"
        lines = [one.split(b"\r\n")[0].decode() for one in worker.connections[-1].seen.split(b"\r\n\r\n")[:-1]]
        assert lines == [f"GET {path} HTTP/1.1"] * 3


async def test_a_path_as_it_was_sent_is_as_valid_as_any(folder: Path) -> None:
    changes: dict[str, Any] = {"raw_path": True, "strip_prefix": False, "routes": ["/api"]}
    refused = ("/api/%2e%2e/x", "/api/..", "/api/%5C", "/api/%00", "/api/%zz", "/api/a%2fb", "/%61pix", "/api/..;x")

    async with relayed(folder, answering(OK), **changes) as (router, worker):
        for path in refused:
            said = await router.ask(f"GET {path} HTTP/1.1\r\n".encode() + END)
            assert said.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 404 ")), path
        assert worker.seen == []
        assert (await router.ask(b"GET //%61pi//%7e HTTP/1.1\r\n" + END)).endswith(b"ok")
        assert worker.seen[0].startswith(b"GET //%61pi//%7e HTTP/1.1\r\n")
