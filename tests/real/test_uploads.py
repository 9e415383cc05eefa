"""Uploads that are refused while they are sent: wget, curl and Go get the answer each time."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from control_peers import write_routes
from peers import Router
from real_programs import APPS, Figure, Program, endpoints, run, url

from setup import ROOT

TIMES = 20
MEGABYTES = [3, 20, 60]
UPLOAD = ROOT / "build/real/upload"

Client = Callable[[Path, str, int], Awaitable[str]]
"""One upload; gives "STATUS", or else all output of the client."""


async def wget(folder: Path, address: str, size: int) -> str:
    quiet = ["--quiet", "--server-response", "--tries=1", "--timeout=30", "--output-document=/dev/null"]
    # 6: wget has no password for a 401, 8: another 4xx, and 4: the network failed, which must be
    # seen
    said = await run(folder, "wget", *quiet, f"--post-file={body(folder, size)}", address, statuses=(0, 4, 6, 8))
    return next((word.split()[1] for word in said.split("\n  ") if word.strip().startswith("HTTP/")), said)


async def curl(folder: Path, address: str, size: int) -> str:
    shown = ["--silent", "--show-error", "--max-time", "30", "--output", "/dev/null", "--write-out", "%{http_code}"]
    sent: list[str | Path] = ["--request", "POST", "--header", "Expect:", "--upload-file", body(folder, size)]
    return await run(folder, "curl", *shown, *sent, address, statuses=None)


async def go(folder: Path, address: str, size: int) -> str:
    said = (await run(folder, UPLOAD, "send", address, str(size), "1")).strip()
    return said.split()[0] if '"refused"' in said or said.startswith("413") else said


CLIENTS: dict[str, Client] = {"wget": wget, "curl": curl, "go": go}


def body(folder: Path, size: int) -> Path:
    path = folder / f"{size}.bin"
    if not path.exists():
        with path.open("wb") as file:
            file.truncate(size)
    return path


@asynccontextmanager
async def refusing(folder: Path, who: str) -> AsyncIterator[tuple[Router, str]]:
    """A router, and the status by which uploads are refused: by a worker, or by the router
    itself."""
    kind, _, listens = who.partition(" on ")
    endpoint = endpoints(folder)[listens or "tcp"]
    flask = ["gunicorn", "--bind", endpoint, "--pythonpath", str(APPS), "refusing"]
    program, status, limit = {
        "Flask": (flask, "413", 0),
        "Go": ([str(UPLOAD), "refuse", endpoint, "401"], "401", 0),
        "router": (flask, "413", 1_000_000),
    }[kind]
    write_routes(folder, endpoint, max_body=limit)
    arguments = ["--listen=127.0.0.1:0", f"--routes={folder}/routes.json"]
    async with Program(folder, *program), Router(folder, arguments) as router:
        yield router, status


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def program_in_go() -> None:
    UPLOAD.parent.mkdir(parents=True, exist_ok=True)
    variables = {"GOCACHE": str(ROOT / "build/real/go"), "GO111MODULE": "off", "CGO_ENABLED": "0"}
    await run(ROOT, "go", "build", "-o", UPLOAD, APPS / "upload.go", variables=variables, patience=240)


@pytest.mark.usefixtures("program_in_go")
@pytest.mark.parametrize("who", ["router", "Flask on tcp", "Flask on unix", "Go on tcp", "Go on unix"])
@pytest.mark.parametrize("client", CLIENTS)
async def test_who_uploads_hears_that_it_is_refused(folder: Path, client: str, who: str, figure: Figure) -> None:
    heard: dict[int, Counter[str]] = {}
    async with refusing(folder, who) as (router, status):
        for size in MEGABYTES:
            answers = [await CLIENTS[client](folder, url(router, "/upload"), size * 1_000_000) for _ in range(TIMES)]
            heard[size] = Counter(answers)
    failures = sum(heard[size].total() - heard[size][status] for size in MEGABYTES)
    of = f"{failures} of {TIMES * len(MEGABYTES)}"
    figure(f"{client} sends {MEGABYTES} MB, {status} by {who}: {of} did not hear it")
    assert heard == {size: Counter({status: TIMES}) for size in MEGABYTES}
