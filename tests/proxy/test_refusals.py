"""Answers of the router itself: each refusal is logged with its reason, and each answer has an
X-Request-ID."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from control_peers import controlled, relayed
from peers import OK, SWITCHED, UPGRADE, Connection, Router, answering
from secure_peers import make

END = b"Host: a\r\nConnection: close\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"


def entries(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log").read_text().splitlines()]


def log_to(folder: Path) -> str:
    return f"--access-log=json:{folder}/log"


REFUSED = {
    "encoded slash": (400, "an encoded slash in the path", b"GET /@scope%2fname HTTP/1.1\r\n" + END),
    "dot-dot": (400, "a dot segment in the path", b"GET /a/../b HTTP/1.1\r\n" + END),
    "backslash": (400, "an encoded backslash or NUL in the path", b"GET /a%5Cb HTTP/1.1\r\n" + END),
    "no Host": (400, "no Host", b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"),
    "bad field": (400, "a line that is not NAME: VALUE", b"GET / HTTP/1.1\r\nA B: c\r\n" + END),
    "bare LF": (400, "a line that ends without CR", b"GET / HTTP/1.1\nHost: a\n\n"),
    "no route": (404, "No worker serves this path.", b"GET /none HTTP/1.1\r\n" + END),
    "TRACE": (405, "TRACE is not served here", b"TRACE / HTTP/1.1\r\n" + END),
    "too large": (413, "the body is too large", POST + b"Content-Length: 99\r\n\r\n"),
    "chunked, too large": (413, "the body is too large", POST + b"Transfer-Encoding: chunked\r\n\r\nff\r\n"),
    "long line": (414, "the request line is longer than 8192 bytes", b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + END),
    "expectation": (417, "an expectation other than 100-continue", b"GET /w HTTP/1.1\r\nExpect: more\r\n" + END),
    "many fields": (431, "more than 100 fields", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 101 + END),
    "bad chunk": (400, "a chunk", POST + b"Transfer-Encoding: chunked\r\n\r\nxx\r\n"),
    "half a head": (400, "the head is cut short", b"GET / HT"),
}


@pytest.mark.parametrize(("status", "reason", "request_"), REFUSED.values(), ids=REFUSED.keys())
async def test_every_refusal_leaves_its_reason(folder: Path, status: int, reason: str, request_: bytes) -> None:
    routes = ["/"] if b"/none" not in request_ else ["/w"]

    async with relayed(folder, answering(OK), log_to(folder), max_body=10, routes=routes) as (router, _):
        client = await router.connect()
        await client.send(request_)
        if request_[-2:] == b"HT":
            client.half_close()
        assert (await client.rest()).startswith(b"HTTP/1.1 %d " % status)
        (said,) = [line for line in router.said().splitlines() if f"{status} for 127.0.0.1" in line]
        assert reason.rstrip(".") in said
        client.close()  # else a router that stops waits until it has sent the rest
        await router.stop()
    (entry,) = entries(folder)
    assert (entry["status"], entry["end"]) == (status, "refused")
    assert reason in entry["reason"]


async def test_the_reason_names_the_setting_and_the_client_is_not_told(folder: Path) -> None:
    async with relayed(folder, answering(OK), log_to(folder), name="npm") as (router, _):
        page = await router.ask(b"GET /@scope%2fname HTTP/1.1\r\n" + END)
        assert b"npm" not in page and b"allow_encoded_slash" not in page
        assert "worker npm takes it with proxy.allow_encoded_slash: true" in router.said()
        await router.stop()
    assert "proxy.allow_encoded_slash" in entries(folder)[0]["reason"]


async def test_a_flood_of_refusals_is_a_line_and_nothing_of_a_client_is_a_line_of_ours(folder: Path) -> None:
    async with relayed(folder, answering(OK)) as (router, _):
        for number in range(200):
            await router.ask(b'GET /..%%0a<3>x%d"\x7e HTTP/1.1\r\n' % number + END)
        await router.ask(b'GET /a%2f"b\\ HTTP/1.1\r\n' + END)
        said = [line for line in router.said().splitlines() if " for 127.0.0.1" in line]
        assert len(said) == len({re.sub(r'".*?":', "", line) for line in said}) <= 3


STATIC_FAULTS = {
    "a link": ("/link.html", "symbolic link"),
    "a link on the way": ("/dir/page.html", "symbolic link"),
    "a closed file": ("/closed.html", "chmod o+r"),
    "a closed folder": ("/shut/page.html", "chmod o+x"),
    "no index": ("/empty/", "index.html"),
    "a hidden file": ("/.env", "hidden"),
    "nothing": ("/none.html", "nothing has that name"),
}


def public(folder: Path) -> dict[str, str]:
    root = folder / "public"
    for name in ("page.html", "closed.html", "shut/page.html", "real/page.html", ".env"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("page")
    (root / "empty").mkdir()
    (root / "closed.html").chmod(0o640)
    (root / "shut").chmod(0o700)
    (root / "link.html").symlink_to("page.html")
    (root / "dir").symlink_to("real")
    return {"directory": str(root), "prefix": "/"}


@pytest.mark.parametrize(("path", "reason"), STATIC_FAULTS.values(), ids=STATIC_FAULTS.keys())
async def test_a_file_that_is_not_sent_leaves_its_reason(folder: Path, path: str, reason: str) -> None:
    async with relayed(folder, answering(OK), log_to(folder), endpoints=[], static=public(folder)) as (router, _):
        said = await router.ask(f"GET {path} HTTP/1.1\r\n".encode() + END)
        assert said.startswith(b"HTTP/1.1 404 ") and b"No worker" not in said
        assert reason.encode() not in said
        assert any("404 for 127.0.0.1" in line and reason in line for line in router.said().splitlines())
        await router.stop()
    (entry,) = entries(folder)
    assert reason in entry["reason"] and entry["worker"] == "w"


async def test_beside_a_program_it_is_said_too(folder: Path) -> None:
    async with relayed(folder, answering(OK), static=public(folder)) as (router, _):
        for path in ("/none.html", "/.env", "/closed.html", "/empty/"):
            assert (await router.ask(f"GET {path} HTTP/1.1\r\n".encode() + END)).endswith(b"ok"), path
        said = [line for line in router.said().splitlines() if "no file is sent" in line]
        assert len(said) == 1 and "chmod o+r" in said[0]  # a program has paths that are no files


@pytest.mark.parametrize("mode", [0o700, None], ids=["closed", "missing"])
async def test_a_folder_that_can_not_be_served_is_said(folder: Path, mode: int | None) -> None:
    if mode is not None:
        (folder / "public").mkdir(mode)
    static = {"directory": str(folder / "public"), "prefix": "/"}
    reason = "is not there" if mode is None else f"others may not enter {folder}/public; chmod o+x"

    async with relayed(folder, answering(OK), log_to(folder), endpoints=[], static=static) as (router, _):
        assert f"worker w: no file of {folder}/public is served: " in router.said()
        assert reason in router.said()
        assert (await router.ask(b"GET / HTTP/1.1\r\n" + END)).startswith(b"HTTP/1.1 404 ")
        await router.stop()
    assert reason in entries(folder)[0]["reason"]


# X-Request-ID


def identified(answer: bytes) -> str:
    found: list[bytes] = re.findall(
        rb"\r\nX-Request-ID: ([0-9a-f]{32})\r\n", answer.partition(b"\r\n\r\n")[0] + b"\r\n"
    )
    assert len(found) == 1, answer
    return found[0].decode()


ANSWERED = {
    "a file": (200, b"GET /page.html HTTP/1.1\r\n" + END),
    "a file, HEAD": (200, b"HEAD /page.html HTTP/1.1\r\n" + END),
    "a part": (206, b"GET /page.html HTTP/1.1\r\nRange: bytes=1-2\r\n" + END),
    "no such part": (416, b"GET /page.html HTTP/1.1\r\nRange: bytes=9-\r\n" + END),
    "as before": (304, b"GET /page.html HTTP/1.1\r\nIf-None-Match: *\r\n" + END),
    "not as before": (412, b'GET /page.html HTTP/1.1\r\nIf-Match: "x"\r\n' + END),
    "a folder": (301, b"GET /site HTTP/1.1\r\n" + END),
    "no file": (404, b"GET /none HTTP/1.1\r\n" + END),
    "another method": (405, b"PUT /page.html HTTP/1.1\r\n" + END),
    "OPTIONS that end here": (200, b"OPTIONS /page.html HTTP/1.1\r\nMax-Forwards: 0\r\n" + END),
    "malformed": (400, b"GET /\r\n\r\n"),
}


@pytest.mark.parametrize(("status", "request_"), ANSWERED.values(), ids=ANSWERED.keys())
async def test_every_answer_of_the_routers_own_has_its_identifier(folder: Path, status: int, request_: bytes) -> None:
    static = public(folder)
    (folder / "public/site").mkdir()
    (folder / "public/site/index.html").write_text("site")

    async with relayed(folder, answering(OK), log_to(folder), endpoints=[], static=static) as (router, _):
        answer = await router.ask(request_)
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        await router.stop()
    (entry,) = entries(folder)
    assert entry["request_id"] == identified(answer)
    assert ("reason" in entry and bool(entry["reason"])) is (status >= 400)


async def test_a_redirect_and_a_switch_have_it_and_a_trusted_proxys_stands(folder: Path) -> None:
    make(folder, "a", "a.example")
    options = [f"--certificate={folder}/a.pem", f"--key={folder}/a.key", log_to(folder)]
    ours = b"X-Request-ID: proxys.own\r\n"
    redirect = {"redirect": True}

    async def switch(connection: Connection) -> None:
        await connection.head()
        await connection.send(SWITCHED)

    static = public(folder)
    trusted = ["127.0.0.0/8"]
    async with relayed(folder, answering(OK), *options, tls=redirect, static=static, trusted=trusted) as (
        router,
        _,
    ):
        request = b"GET / HTTP/1.1\r\n%b" + END
        assert (await router.ask(request % b"")).startswith(b"HTTP/1.1 308 ")
        identified(await router.ask(request % b""))
        for line in (ours, ours + b"X-Forwarded-Proto: https\r\n"):
            for path in (b"/page.html", b"/..", b"/none/%2f"):
                answer = await router.ask(b"GET %b HTTP/1.1\r\n%b" % (path, line) + END)
                assert answer.count(b"\r\n" + ours) == 1 or path == b"/..", answer
    (folder / "b").mkdir()
    async with relayed(folder / "b", switch) as (router, worker):
        client = await router.connect()
        await client.send(UPGRADE)
        assert identified(await client.head()).encode() in worker.seen[0]


# Expect, Upgrade

EXPECTED = {
    "empty": (b"Expect:\r\n", False),
    "empty, twice": (b"Expect:\r\nExpect: \r\n", False),
    "empty members": (b"Expect: , ,\r\n", False),
    "said": (b"Expect: 100-continue\r\n", True),
    "in capitals": (b"Expect: 100-Continue\r\n", True),
    "twice": (b"Expect: 100-continue\r\nExpect: 100-continue\r\n", True),
    "a list": (b"Expect: 100-continue, ,100-continue\r\n", True),
}


@pytest.mark.parametrize(("lines", "said"), EXPECTED.values(), ids=EXPECTED.keys())
async def test_an_expectation_is_a_list_and_may_be_empty(folder: Path, lines: bytes, *, said: bool) -> None:
    async with relayed(folder, answering(OK)) as (router, worker):
        answer = await router.ask(POST + lines + b"Content-Length: 2\r\n\r\nhi")
        assert answer.endswith(b"ok")
        assert (b"\r\nExpect: 100-continue\r\n" in worker.seen[0]) is said
        assert worker.seen[0].count(b"\r\nExpect:") == said


async def test_an_empty_expectation_waits_for_nothing_where_bodies_are_gathered(folder: Path) -> None:
    async with relayed(folder, answering(OK), buffer_requests=True) as (router, _):
        client = await router.connect()
        await client.send(POST + b"Expect:\r\nContent-Length: 2\r\n\r\n")
        await client.taken()
        await client.send(b"hi")
        assert (await client.rest()).startswith(b"HTTP/1.1 200 ")


async def test_an_upgrade_that_is_not_passed_on_is_said_once(folder: Path) -> None:
    async with relayed(folder, answering(OK)) as (router, worker):
        for protocol in (b"h2c", b"tcp", b"websocket, h2c"):
            asked = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, Upgrade\r\nUpgrade: %b\r\n\r\n" % protocol
            assert (await router.ask(asked)).endswith(b"ok")
        assert not [one for one in worker.seen if b"Upgrade" in one]
        said = [line for line in router.said().splitlines() if "pgrade" in line]
        assert len(said) == 1 and "only to websocket" in said[0]


UPGRADE_REQUIRED = b"HTTP/1.1 426 Upgrade Required\r\nConnection: Upgrade\r\nUpgrade: %b\r\nContent-Length: 2\r\n\r\nno"


@pytest.mark.parametrize("protocol", [b"websocket", b"TLS/1.0, HTTP/2.0"])
async def test_a_426_says_what_to_upgrade_to(folder: Path, protocol: bytes) -> None:
    """RFC 9110 section 15.5.22: the field must be there."""

    async with relayed(folder, answering(UPGRADE_REQUIRED % protocol)) as (router, _):
        client: Connection = await router.connect()
        for _ in range(4):  # the later ones like the one before
            await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            head, _ = await client.response()
            assert b"\r\nUpgrade: %b\r\n" % protocol in head
            assert head.count(b"\r\nConnection: Upgrade\r\n") == 1


async def test_a_router_without_any_worker_says_what_to_do_next(folder: Path) -> None:
    command = controlled(folder, "127.0.0.1:1")
    routes = folder / "routes.json"
    routes.write_text(json.dumps(json.loads(routes.read_text()) | {"workers": []}))
    async with Router(folder, command) as router:
        for accept, form in (b"text/html", b"<h1>404 Not Found</h1>"), (b"*/*", b"404 Not Found: tqunits runs here"):
            answer = await router.ask(b"GET / HTTP/1.1\r\nHost: a\r\nAccept: %b\r\nConnection: close\r\n\r\n" % accept)
            assert answer.startswith(b"HTTP/1.1 404 ")
            assert form in answer
            assert b"no worker is installed yet" in answer
