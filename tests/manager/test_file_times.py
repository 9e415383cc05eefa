"""The looks at files: one at a time, and nobody waits for one that takes too long."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event as Gate

import pytest

from tqunits.manager import file_times
from tqunits.manager.file_times import FileTimes
from tqunits.manager.record import InstanceRecord, Place
from tqunits.model import Instance


def record(folder: Path) -> InstanceRecord:
    whose = Instance("api")
    source = f"{folder}/config/worker.yaml"
    return InstanceRecord(
        place=Place(whose=whose, unit="tq-worker@api.service", routes=("/",), hosts=(), address="", source=source)
    )


@pytest.fixture
def times(tmp_path: Path) -> Iterator[FileTimes]:
    with ThreadPoolExecutor(1) as thread:
        yield FileTimes(thread, lambda: [record(tmp_path)])


async def test_what_is_found(times: FileTimes, tmp_path: Path) -> None:
    (tmp_path / "views").mkdir()
    found = file_times.body((await times.now())[Instance("api")])
    assert found is not None
    assert found["views"] == {
        "path": f"{tmp_path}/views",
        "modified_us": (tmp_path / "views").stat().st_mtime_ns // 1000,
        "why": None,
    }
    assert found["public"] == {"path": f"{tmp_path}/public", "modified_us": None, "why": "there is none"}
    assert found["program"] == {"path": None, "modified_us": None, "why": "its unit is not loaded"}


async def test_a_look_that_takes_too_long_keeps_nobody_waiting(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as busy:
        gate = Gate()
        busy.submit(gate.wait)
        times = FileTimes(busy, lambda: [record(tmp_path)], patience=0.01)
        assert await times.now() == {}
        assert await times.now() == {}
        gate.set()
        while not (found := await times.now()):
            pass
        assert set(found) == {Instance("api")}


def test_a_look_that_took_too_long_is_null() -> None:
    assert file_times.body(None) is None
