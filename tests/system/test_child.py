"""A program that a coroutine reads from: what it gets, and that it ends."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tqunits.errors import TqunitsError
from tqunits.system.child import Child
from tqunits.system.members import person

pytestmark = pytest.mark.loops("uvloop")


async def read_all(child: Child) -> bytes:
    found = b""
    while data := await child.read():
        found += data
    return found


async def test_its_output_and_its_status() -> None:
    async with Child(["sh", "-c", "echo out; echo err >&2; exit 7"]) as child:
        assert (await read_all(child), await child.status()) == (b"out\n", 7)


async def test_it_gets_nothing_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    async with Child(["sh", "-c", "env; pwd; cat; ls /proc/self/fd"]) as child:
        said = (await read_all(child)).decode()
    assert "SECRET" not in said
    assert "LANG=C.UTF-8" in said
    assert "\n/\n" in said


async def test_it_ends_with_the_block_and_with_its_reader() -> None:
    async def reading() -> None:
        async with Child(["sh", "-c", "echo $$; exec sleep 600"]) as child:
            started.set_result(int(await child.read()))
            await child.read()

    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(reading())
    process = await started
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not Path(f"/proc/{process}").exists()


async def test_a_program_that_is_missing() -> None:
    with pytest.raises(TqunitsError, match="can not be started"):
        async with Child(["/nowhere/at-all"]):
            pass


def test_who_a_number_is() -> None:
    root = person(0)
    assert root is not None
    assert (root.user, "root" in root.groups) == ("root", True)
    mine = person(os.geteuid())
    assert mine is not None
    assert person(4_000_000_000) is None
