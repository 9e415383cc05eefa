"""A folder under watch, with real files."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tqunits.system.inotify import FolderWatch


def changes(folder: Path, *steps: str) -> list[str | None]:
    """What is told of these shell commands, each waited for; the last makes `end`."""

    async def scenario() -> list[str | None]:
        told: list[str | None] = []
        ended = asyncio.Event()

        def on_change(name: str | None) -> None:
            told.append(name)
            if name == "end":
                ended.set()

        watch = FolderWatch(folder, asyncio.get_running_loop(), on_change)
        for step in (*steps, "touch end"):
            process = await asyncio.create_subprocess_shell(step, cwd=folder)
            assert await process.wait() == 0
        await asyncio.wait_for(ended.wait(), 10)
        watch.close()
        return told[: told.index("end")]

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("step", "name"),
    [
        pytest.param("echo x > new", "new", id="written"),
        pytest.param("echo x > ../aside && mv ../aside old", "old", id="renamed over"),
        pytest.param("rm old", "old", id="removed"),
        pytest.param("mv old ../aside", "old", id="moved away"),
    ],
)
def test_a_change_is_told_by_name(tmp_path: Path, step: str, name: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "old").write_text("")
    assert changes(folder, step) == [name]


def test_what_only_reads_is_not_told(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("")
    assert changes(tmp_path, "cat old", "mkdir sub", "exec 3>>begun") == ["begun"]


def test_a_folder_that_is_not_there_is_an_error_and_leaves_no_descriptor(tmp_path: Path) -> None:
    async def scenario() -> None:
        before = os.listdir("/proc/self/fd")
        with pytest.raises(FileNotFoundError):
            FolderWatch(tmp_path / "none", asyncio.get_running_loop(), lambda _: None)
        assert len(os.listdir("/proc/self/fd")) == len(before)

    asyncio.run(scenario())
