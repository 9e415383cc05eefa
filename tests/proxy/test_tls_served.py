"""HTTPS through the real router: together with plain HTTP on one port, redirected, reloaded,
drained, and with every kind of bad end."""

from __future__ import annotations

import asyncio
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from bodies import MIB, SIZES, SMALL, digest, get, give_and_take, payload, post, receive, rely
from control_peers import relayed, until, write_routes
from peers import OK, PATIENCE, Behaviour, Connection, Router, TcpWorker, answering
from secure_peers import client_context, make
from test_service import run

CLOSE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
YEAR = 31_536_000
HSTS = b"\r\nStrict-Transport-Security: max-age=31536000\r\n"


@asynccontextmanager
async def secured(
    folder: Path, behaviour: Behaviour | None = None, **changes: Any
) -> AsyncIterator[tuple[Router, TcpWorker]]:
    """A router that speaks TLS too; without a `behaviour`, its worker answers ok."""
    make(folder, "a", "a.example")
    options = [f"--certificate={folder}/a.pem", f"--key={folder}/a.key"]
    async with relayed(folder, behaviour or answering(OK), *options, **changes) as served:
        yield served


async def connect(router: Router, context: ssl.SSLContext | None = None, **how: Any) -> Connection:
    return await router.connect(tls=context or client_context(), **how)


async def ask(router: Router, request: bytes, context: ssl.SSLContext | None = None) -> bytes:
    """A request over TLS, on a connection of its own; gives all bytes until a regular end."""
    client = await connect(router, context)
    await client.send(request)
    try:
        return await client.rest()
    finally:
        client.close()


def shown(client: Connection) -> bytes | None:
    """The certificate that the client received."""
    encrypted: ssl.SSLObject = client.writer.get_extra_info("ssl_object")
    return encrypted.getpeercert(binary_form=True)


async def test_both_are_served_on_one_port_and_the_worker_is_told_which(folder: Path) -> None:
    async with secured(folder, tls={"hsts_s": YEAR}) as (router, worker):
        for how, scheme in ((None, b"http"), (client_context(), b"https")):
            client = await router.connect(tls=how)
            for _ in range(3):
                await client.send(get("/"))
                head = (await receive(client)).head
                assert (HSTS in head) == (scheme == b"https")
            client.close()
            seen = worker.connections[0].seen.split(b"\r\n\r\n")[-2]
            assert b"\r\nX-Forwarded-Proto: %b\r\n" % scheme in seen
            assert b";proto=%b" % scheme in seen


async def test_hsts_is_on_all_answers_over_tls_once(folder: Path) -> None:
    """A field of the worker's own is not changed (RFC 6797 section 7.1)."""
    (folder / "public").mkdir()
    (folder / "public/page.html").write_bytes(b"page")
    own = b"Strict-Transport-Security: max-age=1"

    static = {"directory": f"{folder}/public", "prefix": "/"}
    behaviour = answering(OK.replace(b"\r\n\r\n", b"\r\n%b\r\n\r\n" % own))
    async with secured(folder, behaviour, routes=["/app"], static=static, tls={"hsts_s": YEAR}) as (router, _):
        for path in (b"/app/page.html", b"/app/../", b"/none"):
            request = CLOSE.replace(b"GET /", b"GET " + path)
            assert (await ask(router, request)).count(HSTS) == 1
            assert b"Strict" not in await router.ask(request)
        told = await ask(router, CLOSE.replace(b"GET /", b"GET /app"))
        assert told.count(b"Strict-Transport-Security") == told.count(own) == 1


@pytest.mark.parametrize("own", [b"", b"Strict-Transport-Security: max-age=1\r\n"], ids=["the router's", "its own"])
async def test_on_a_kept_connection_each_answer_over_tls_has_what_the_router_adds_once(
    folder: Path, own: bytes
) -> None:
    """From the third on they are alike, and are read and written by their difference."""
    response = OK.replace(b"\r\nContent", b"\r\nDate: now\r\n%bContent" % own)

    async with secured(folder, answering(response), tls={"hsts_s": YEAR}) as (router, _):
        client = await connect(router)
        for _ in range(4):
            await client.send(CLOSE.replace(b"Connection: close\r\n", b""))
            head, body = await client.response()
            assert body == b"ok"
            assert head.count(b"Strict-Transport-Security: ") == head.count(own or HSTS) == 1
            assert head.count(b"\r\nX-Request-ID: ") == 1
        client.close()


def redirects(port: int) -> dict[bytes, tuple[bytes, bytes]]:
    """Request -> status, and the target of the redirect."""
    here = b"https://a.example:%d" % port
    head = b" HTTP/1.1\r\nConnection: close\r\nHost: "
    return {
        b"GET /x%41?y=z" + head + b"a.example\r\n\r\n": (b"308", here + b"/xA?y=z"),
        b"GET /" + head + b"A.example:8080\r\n\r\n": (b"308", here + b"/"),
        b"GET http://a.example/b" + head + b"other\r\n\r\n": (b"308", here + b"/b"),
        b"POST /" + head + b"a.example\r\nContent-Length: 2\r\n\r\nhi": (b"308", here + b"/"),
        b"OPTIONS *" + head + b"a.example\r\n\r\n": (b"308", here),
        b"GET //evil.example" + head + b"a.example\r\n\r\n": (b"308", here + b"/evil.example"),
        b"GET / HTTP/1.0\r\n\r\n": (b"308", b"https://127.0.0.1:%d/" % port),
    }


async def test_plain_requests_are_sent_to_https(folder: Path) -> None:
    async with secured(folder, tls={"redirect": True, "hsts_s": YEAR}) as (router, worker):
        for request, (status, location) in redirects(router.port).items():
            said = await router.ask(request)
            assert said[9:12] == status, request
            assert (b"\r\nLocation: %b\r\n" % location in said) == bool(location), said
            assert b"Strict" not in said  # over TLS only (RFC 6797 section 7.2)
        assert worker.connections == []
        client = await router.connect()
        for _ in range(2):
            await client.send(get("/"))
            assert (await receive(client)).head.startswith(b"HTTP/1.1 308 ")
        assert (await ask(router, CLOSE)).endswith(b"ok")


async def test_what_a_trusted_proxy_has_had_over_https_is_not_sent_there(folder: Path) -> None:
    async with secured(folder, tls={"redirect": True}, trusted=["127.0.0.1/32"]) as (router, _):
        said = {scheme: await router.ask(forwarded(scheme)) for scheme in (b"https", b"http")}
        assert [said[scheme][9:12] for scheme in said] == [b"200", b"308"]


def forwarded(scheme: bytes) -> bytes:
    return CLOSE.replace(b"Host: a", b"Host: a\r\nX-Forwarded-Proto: " + scheme)


VERSIONS = {"TLS 1.2": ssl.TLSVersion.TLSv1_2, "TLS 1.3": ssl.TLSVersion.TLSv1_3}


@pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS)
async def test_large_bodies_go_both_ways_one_after_the_other(folder: Path, version: ssl.TLSVersion) -> None:
    context = client_context()
    context.minimum_version = context.maximum_version = version
    async with secured(folder, give_and_take) as (router, worker):
        client = await connect(router, context)
        await rely(client)
        for framing, size in product(("length", "chunked"), SIZES):
            await client.send(get(f"/{framing}/{size}"))
            assert (await receive(client)).digest == digest(payload(size))
            await client.send(post(payload(size), framing))
            assert (await receive(client)).body.decode() == digest(payload(size))
        assert len(worker.connections) == 1
        await client.send(get(f"/close/{MIB}", minor=0))
        assert (await receive(client)).digest == digest(payload(MIB))


async def test_a_slow_client_gets_bodies_and_files_whole(folder: Path) -> None:
    (folder / "public").mkdir()
    (folder / "public/file").write_bytes(payload(3 * MIB))

    static = {"directory": f"{folder}/public", "prefix": "/"}
    async with secured(folder, give_and_take, static=static) as (router, _):
        client = await connect(router, receive=SMALL)
        for path in ("/file", f"/length/{3 * MIB}", f"/chunked/{3 * MIB}", "/file"):
            await client.send(get(path))
            assert (await receive(client)).digest == digest(payload(3 * MIB))


async def test_requests_in_one_record_are_answered_in_order(folder: Path) -> None:
    async with secured(folder, give_and_take) as (router, worker):
        client = await connect(router)
        await client.send(b"".join(get(f"/length/{size}") for size in range(200)) + post(payload(MIB)))
        sizes = [len((await receive(client)).body) for _ in range(200)]
        assert sizes == list(range(200))
        assert (await receive(client)).body.decode() == digest(payload(MIB))
        assert len(worker.connections) == 1


async def test_the_end_is_a_regular_one_only_if_the_body_was_whole(folder: Path) -> None:
    async def dying(connection: Connection) -> None:
        await connection.head()
        await connection.send(b"HTTP/1.1 200 OK\r\n\r\n" + payload(MIB))
        connection.reset()

    async with secured(folder, dying) as (router, _):
        client = await connect(router)
        await client.send(get("/", minor=0))
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await receive(client)


async def test_a_new_certificate_is_taken_and_a_bad_one_is_not(folder: Path) -> None:
    async def reload(router: Router, outcome: str) -> None:
        """The router also reads a new file of routes by itself, before or after."""
        router.process.send_signal(signal.SIGHUP)
        while not (await router.told("READY=1")).endswith(outcome):
            pass

    async with secured(folder) as (router, worker):
        first = await connect(router)
        await first.send(get("/"))
        assert (await receive(first)).body == b"ok"
        make(folder, "a", "a.example")
        await reload(router, "routing 1 paths to 1 workers")
        second = await connect(router)
        assert shown(second) not in (None, shown(first))
        (folder / "a.key").write_text("nonsense")
        write_routes(folder, worker.endpoint, tls={"hsts_s": YEAR})  # which do not depend on it
        await reload(router, "the last reload was refused, as before: certificates")
        assert f"{folder}/a.key: no PEM private key in it" in router.said()
        third = await connect(router)
        assert shown(third) == shown(second)
        for client in (first, second, third):
            await client.send(get("/"))
            assert HSTS in (await receive(client)).head
        make(folder, "a", "a.example")
        (folder / "routes.json").write_text("{}")
        await reload(router, "the last reload was refused, as before: routes")
        assert shown(await connect(router)) != shown(third)


async def test_a_check_says_whether_they_are_fit_for_use(folder: Path) -> None:
    for name, days in (("a", 30), ("b", 30), ("old", -1)):
        make(folder, name, "a.example", days=days)
    checks = {
        ("a.pem", "a.key"): (0, ""),
        ("old.pem", "old.key"): (0, "expired on"),
        ("a.pem", "b.key"): (1, "not the key of"),
        ("none.pem", "a.key"): (1, "No such file"),
        ("a.pem", None): (1, "no key for it"),
        (None, None): (2, "nothing to check"),
    }

    async def check(certificate: str | None, key: str | None) -> tuple[int, str]:
        options = {"--certificate": certificate, "--key": key}
        return await run("--check", *(f"{option}={folder}/{name}" for option, name in options.items() if name))

    found = await asyncio.gather(*(check(*files) for files in checks))
    for (status, said), (expected, words) in zip(found, checks.values(), strict=True):
        assert (status, words in said) == (expected, True), said
    assert found[0][1] == ""


async def test_a_proxys_header_comes_before_the_handshake(folder: Path) -> None:
    async with secured(folder, trusted=["127.0.0.1/32"]) as (router, worker):
        client = await router.connect()
        await client.send(b"PROXY TCP4 203.0.113.7 127.0.0.1 4711 443\r\n")
        await client.writer.start_tls(client_context())
        await client.send(get("/"))
        assert (await receive(client)).body == b"ok"
        assert b"\r\nX-Real-IP: 203.0.113.7\r\n" in worker.seen[0]
        assert b"\r\nX-Forwarded-Proto: https\r\n" in worker.seen[0]


async def ending(router: Router, data: bytes) -> bytes:
    """All bytes that come on a plain connection until its end, whatever kind of end that is."""
    client = await router.connect()
    said = []
    with suppress(ConnectionError):
        await client.send(data)
        while piece := await asyncio.wait_for(client.reader.read(1000), PATIENCE):
            said.append(piece)
    client.close()
    return b"".join(said)


HELLO = bytes.fromhex("16 03 01 02 00 01 00 01 fc 03 03")


async def test_a_handshake_has_its_time(folder: Path) -> None:
    async with secured(folder, clients={"head_us": 100_000, "idle_us": 200_000}) as (router, _):
        ends = await asyncio.gather(ending(router, HELLO), ending(router, b""), ending(router, b"GET"))
        assert [end[:13] for end in ends] == [b"", b"", b"HTTP/1.1 408 "]


async def test_what_is_no_handshake_ends_and_harms_nobody(folder: Path) -> None:
    async with secured(folder) as (router, _):
        alert = await ending(router, b"\x16" + b"garbage" * 100)
        assert alert[:1] in (b"", b"\x15")
        assert (await ending(router, b"\x80\x2e\x01\x03\x01")).startswith(b"HTTP/1.1 400 ")
        assert (await ending(router, HELLO[:5] + bytes(512)))[:1] == b"\x15"
        assert (await ask(router, CLOSE)).endswith(b"ok")
        assert "Traceback" not in router.said()


async def test_a_drain_serves_who_has_connected_and_not_asked_yet(folder: Path) -> None:
    """The client's request may be on its way: this holds for TLS as for plain connections."""

    async with secured(folder) as (router, _):
        client = await router.connect()
        await ask(router, CLOSE)  # so the one before is accepted
        await until(folder, connections=0)
        router.process.terminate()
        await router.told("STOPPING=1")
        await client.writer.start_tls(client_context())
        await client.send(get("/"))
        answer = await receive(client)
        assert (answer.body, b"\r\nConnection: close\r\n" in answer.head) == (b"ok", True)
        assert await client.rest() == b""
        assert await asyncio.wait_for(router.process.wait(), PATIENCE) == 0
