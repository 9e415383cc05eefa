"""What each sample does besides the contract: JSON, a password, sessions, comments, and typical
attacks on them."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest
from sample import Sample, build_api, running


def form(value: str) -> bytes:
    return urlencode({"value": value}).encode()


async def sign_in(sample: Sample, name: str = "Ada") -> str:
    """The cookie of a new session."""
    answer = await sample.once("POST", "/session", form(name))
    assert answer.status == 303
    return answer.headers["set-cookie"].partition(";")[0]


async def test_the_api_echoes_json_and_refuses_the_rest(tmp_path: Path) -> None:
    async with running("api", tmp_path, command=await build_api(tmp_path)) as sample:
        echoed = await sample.once("POST", "/echo", b'{"a": [1, "<b>"]}')
        assert (echoed.status, json.loads(echoed.body)) == (200, {"echo": {"a": [1, "<b>"]}})
        assert echoed.headers["content-type"] == "application/json"
        assert (await sample.once("POST", "/echo", b"{")).status == 400
        assert (await sample.once("GET", "/echo")).status == 405
        too_large = await sample.once("POST", "/echo", b'"' + b"a" * 100_000 + b'"')
        assert (too_large.status, "too large" in too_large.body.decode()) == (400, True)


async def test_the_admin_asks_for_the_password_of_its_credential(tmp_path: Path) -> None:
    (tmp_path / "admin_password").write_text("sesame: open\n")

    async with running("admin", tmp_path, CREDENTIALS_DIRECTORY=str(tmp_path)) as sample:

        async def status(words: str, scheme: str = "Basic") -> int:
            value = f"{scheme} {base64.b64encode(words.encode()).decode()}"
            return (await sample.once("GET", "/", Authorization=value)).status

        assert (await sample.once("GET", "/health")).status == 200
        refused = await sample.once("GET", "/")
        assert (refused.status, refused.headers["www-authenticate"]) == (401, "Basic realm=admin")
        assert [await status(words) for words in ("any:sesame: open", "any:sesame", "any:", "", "sesame: open")] == [
            *(200, 401, 401, 401),
            401,
        ]
        assert await status("any:sesame: open", "Bearer") == 401
        assert (await sample.once("POST", "/", b"")).status == 405


async def test_a_comment_is_text_and_survives_a_restart(tmp_path: Path) -> None:
    async with running("blog", tmp_path) as sample:
        cookie = await sign_in(sample, "<i>Ada</i>")
        posted = await sample.once("POST", "/comment", form("<script>alert('x')</script>"), Cookie=cookie)
        assert (posted.status, posted.headers["location"]) == (303, "/")
    async with running("blog", tmp_path) as sample:
        answer = await sample.once("GET", "/", Cookie=cookie)
        page = answer.body.decode()
        assert "&lt;i&gt;Ada&lt;/i&gt;</b>: &lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;" in page
        assert "&lt;i&gt;Ada&lt;/i&gt; says" in page, "the session survived, too"
        assert "<script" not in page
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(
    ("headers", "cookie"),
    [
        pytest.param({}, "Path=/; Max-Age=86400; HttpOnly; SameSite=Strict", id="plain"),
        pytest.param(
            {"X_Forwarded_Prefix": "/blog", "X_Forwarded_Proto": "https"},
            "Path=/blog/; Max-Age=86400; HttpOnly; SameSite=Strict; Secure",
            id="behind-tls",
        ),
        pytest.param(
            {"X_Forwarded_Prefix": "/a\r\n b: c"}, "Path=/; Max-Age=86400; HttpOnly; SameSite=Strict", id="folded"
        ),
        pytest.param(
            {"X_Forwarded_Prefix": "/a; Domain=x"}, "Path=/; Max-Age=86400; HttpOnly; SameSite=Strict", id="x"
        ),
    ],
)
async def test_the_session_cookie_is_for_nobody_else(tmp_path: Path, headers: dict[str, str], cookie: str) -> None:
    async with running("blog", tmp_path) as sample:
        answer = await sample.once("POST", "/session", form("Ada"), **headers)
        assert answer.headers["set-cookie"].partition("; ")[2] == cookie


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"Sec_Fetch_Site": "same-origin", "Origin": "https://blog.example"}, 303, id="own-form"),
        pytest.param({"Sec_Fetch_Site": "cross-site"}, 403, id="another-site"),
        pytest.param({"Sec_Fetch_Site": "same-site"}, 403, id="a-sister-site"),
        pytest.param({"Origin": "https://evil.example"}, 403, id="old-browser"),
        pytest.param({"Origin": "null"}, 403, id="sandboxed-frame"),
    ],
)
async def test_only_the_blogs_own_forms_write(tmp_path: Path, headers: dict[str, str], status: int) -> None:
    async with running("blog", tmp_path) as sample:
        cookie = await sign_in(sample)
        assert (await sample.once("POST", "/comment", form("hi"), Cookie=cookie, **headers)).status == status


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        pytest.param(b"value=" + b"a" * 9000, {}, 413, id="too-large"),
        pytest.param(b"", {"Content_Length": "99999999999999999999"}, 413, id="promises-too-much"),
        pytest.param(b"", {"Content_Length": "-1"}, 411, id="negative"),
        pytest.param(b"0\r\n\r\n", {"Transfer_Encoding": "chunked"}, 411, id="chunked"),
        pytest.param(b"value=a&value=b&c=d", {}, 400, id="too-many-fields"),
        pytest.param(b"value=%20", {}, 400, id="blank"),
        pytest.param(b"\xff\xfe", {}, 400, id="not-text"),
    ],
)
async def test_a_bad_form_is_refused(tmp_path: Path, body: bytes, headers: dict[str, str], status: int) -> None:
    async with running("blog", tmp_path) as sample:
        assert (await sample.once("POST", "/session", body, **headers)).status == status
        assert (await sample.once("GET", "/health")).status == 200


@pytest.mark.parametrize("cookie", ["", "session=guess", "session=", "=;;=", "session=\x01"])
async def test_without_a_session_nobody_writes(tmp_path: Path, cookie: str) -> None:
    async with running("blog", tmp_path) as sample:
        assert (await sample.once("POST", "/comment", form("hi"), Cookie=cookie)).status == 403


@pytest.mark.parametrize("login", ["", "bob:s%40cret@", ":s%40cret@"], ids=["open", "user", "password"])
async def test_sessions_live_in_redis_when_there_is_one(tmp_path: Path, login: str) -> None:
    async with redis() as (port, commands):
        url = f"redis://{login}127.0.0.1:{port}/3"
        async with running("blog", tmp_path, REDIS_URL=url) as sample:
            cookie = await sign_in(sample, "Žofie")
            answer = await sample.once("GET", "/", Cookie=cookie)
    assert "Žofie says" in answer.body.decode()
    user = {"": [], "bob:s%40cret@": [["AUTH", "bob", "s@cret"]], ":s%40cret@": [["AUTH", "default", "s@cret"]]}[login]
    assert [words for words in commands if words[0] == "AUTH"] == user * 2
    key = next(words[1] for words in commands if words[0] == "SET")
    assert ["SELECT", "3"] in commands
    assert ["SET", key, "Žofie", "EX", "86400"] in commands
    assert ["GET", key] in commands


async def test_without_its_redis_the_blog_is_well_and_says_try_again(tmp_path: Path) -> None:
    async with running("blog", tmp_path, REDIS_URL="redis://127.0.0.1:1") as sample:
        answer = await sample.once("POST", "/session", form("Ada"))
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert (await sample.once("GET", "/health")).status == 200
        assert (await sample.once("GET", "/")).status == 200


@asynccontextmanager
async def redis() -> AsyncIterator[tuple[int, list[list[str]]]]:
    """A Redis with two commands: its port, and the commands it has received."""
    store: dict[str, bytes] = {}
    commands: list[list[str]] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            assert line.startswith(b"*")
            words = [await bulk(reader) for _ in range(int(line[1:]))]
            commands.append([word.decode() for word in words])
            writer.write(obey(words))
        writer.close()

    def obey(words: list[bytes]) -> bytes:
        if words[0] == b"GET":
            value = store.get(words[1].decode())
            return b"$-1\r\n" if value is None else b"$%d\r\n%b\r\n" % (len(value), value)
        if words[0] == b"SET":
            store[words[1].decode()] = words[2]
        return b"+OK\r\n"

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], commands


async def bulk(reader: asyncio.StreamReader) -> bytes:
    """One bulk string: $LENGTH, then that many bytes."""
    size = await reader.readline()
    assert size.startswith(b"$")
    return (await reader.readexactly(int(size[1:]) + 2))[:-2]
