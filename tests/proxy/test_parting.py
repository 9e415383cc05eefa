"""An early answer arrives although its client still sends a body that nobody reads; and no
connection lingers for ever."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from bodies import MIB, chunked, payload
from control_peers import relayed, until
from peers import PATIENCE, Behaviour, Connection, Router, TcpWorker
from secure_peers import client_context, make

from tqunits.proxy.downstream.parting import LINGERING, LONGEST, SILENT, WORTH_READING, Parting
from tqunits.proxy.reactor.poller import Poller
from tqunits.proxy.reactor.timers import Wheel

EARLY = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 4\r\n\r\nwho?"
SIZE = 60 * MIB
"""Far more bytes than the kernel takes for a peer that does not read."""

GO = """package main
import ("fmt"; "io"; "net/http"; "crypto/tls"; "os"; "bytes")
func main() {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	body, _ := os.ReadFile(os.Args[2])
	for i := 0; i < 10; i++ {
		answer, err := client.Post(os.Args[1], "application/octet-stream", bytes.NewReader(body))
		if err != nil { fmt.Println(err); continue }
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		fmt.Println(answer.StatusCode)
	}
}
"""


async def answering_at_once(connection: Connection) -> None:
    """A worker that does not read a body before it answers, and keeps the connection until the
    router ends it."""
    await connection.head()
    await connection.send(EARLY)
    while await connection.reader.read(4096):
        pass


async def closing_at_once(connection: Connection) -> None:
    """A worker that answers, and closes without having read the body."""
    await connection.head()
    await connection.send(EARLY)


WHO: dict[str, tuple[int, Behaviour, bytes]] = {
    "the router": (10, answering_at_once, b"HTTP/1.1 413 "),
    "a worker": (0, answering_at_once, b"HTTP/1.1 401 "),
    "a worker that leaves": (0, closing_at_once, b"HTTP/1.1 401 "),
}
"""Early answers: the largest body that the router takes, the worker, and the answer."""


@asynccontextmanager
async def early(folder: Path, who: str) -> AsyncIterator[tuple[Router, TcpWorker]]:
    limit, behaviour, _ = WHO[who]
    certificate, key = make(folder, "a", "a.example")
    secured = [f"--certificate={certificate}", f"--key={key}"]
    async with relayed(folder, behaviour, *secured, max_body=limit) as (router, worker):
        yield router, worker


def write_all_then_read(port: int, upload: bytes, *, secured: bool) -> bytes:
    """A usual blocking client."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
        client = sock
        if secured:  # a reset is no regular end
            client = client_context().wrap_socket(sock, server_hostname="a.example", suppress_ragged_eofs=False)
        client.sendall(upload)
        said = b""
        while piece := client.recv(4096):
            said += piece
    return said


UPLOADS: dict[str, Callable[[], bytes]] = {
    "length": lambda: b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (SIZE, payload(SIZE)),
    "chunked": lambda: b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(payload(SIZE)),
}


@pytest.mark.parametrize("secured", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("framing", UPLOADS)
@pytest.mark.parametrize("who", WHO)
async def test_who_writes_all_before_it_reads_gets_the_answer(
    folder: Path, who: str, framing: str, *, secured: bool
) -> None:
    async with early(folder, who) as (router, _):
        said = await asyncio.to_thread(write_all_then_read, router.port, UPLOADS[framing](), secured=secured)
        assert said.startswith(WHO[who][2])
        await until(folder, in_flight=0, connections=0)


async def printed(*command: str | Path) -> list[str]:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    return out.decode().splitlines()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def go_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Go program that uploads a file ten times and prints the statuses, or the errors."""
    folder = tmp_path_factory.mktemp("go")
    (folder / "main.go").write_text(GO)
    build: list[str | Path] = [
        "env",
        f"GOCACHE={folder}/cache",
        "go",
        "build",
        "-o",
        folder / "client",
        folder / "main.go",
    ]
    assert await printed(*build) == []
    return folder / "client"


@pytest.mark.short("the router-https", "a worker-http")
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("who", ["the router", "a worker"])
async def test_wget_curl_and_go_get_the_answer(folder: Path, go_client: Path, who: str, scheme: str) -> None:
    (folder / "body").write_bytes(payload(SIZE))
    status = WHO[who][2][9:12].decode()
    async with early(folder, who) as (router, _):
        url = f"{scheme}://127.0.0.1:{router.port}/"
        assert await printed(go_client, url, folder / "body") == [status] * 10
        for _ in range(10):
            wget = [
                "wget",
                "-nv",
                "-S",
                "-t1",
                "--no-check-certificate",
                "-O",
                "/dev/null",
                f"--post-file={folder}/body",
            ]
            assert f"HTTP/1.1 {status}" in " ".join(await printed(*wget, url))
            curl = ["curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Expect:", "-T"]
            assert await printed(*curl, folder / "body", url) == [status]
        await until(folder, in_flight=0)


async def test_who_says_nothing_more_is_not_waited_for(folder: Path) -> None:
    async with early(folder, "the router") as (router, _):
        client = await router.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
        assert (await client.rest()).startswith(b"HTTP/1.1 413 ")
        await until(folder, connections=0)


@pytest.mark.parametrize(
    ("rate", "ticks"),
    [(1, LINGERING), (WORTH_READING // 2, 2 * LINGERING), (WORTH_READING, LONGEST), (100 * WORTH_READING, LONGEST)],
    ids=["a trickle", "half of what is worth it", "what is worth it", "a flood"],
)
@pytest.mark.loops("uvloop")
async def test_how_long_is_read_on_goes_by_what_comes(rate: int, ticks: int) -> None:
    """`rate`: bytes per tick; the test moves the wheel's time."""
    loop = asyncio.get_running_loop()
    here, there = socket.socketpair()
    wheel = Wheel(loop)
    connection = Parting(here, Poller(loop), wheel)
    connection.linger()
    begin = wheel.tick
    while True:
        wheel.tick += 1
        connection.discard(rate)
        if connection.closed:
            break
        assert connection.deadline - wheel.tick <= SILENT
    assert abs(wheel.tick - begin - ticks) <= 2
    assert there.recv(1) == b""
    there.close()
