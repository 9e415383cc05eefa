"""A watched folder, with real files."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tqunits.system import process
from tqunits.system.inotify import MAX_RATE, FolderWatches


async def changes(folder: Path, *steps: str) -> list[str | None]:
    """The events of these shell commands, each waited for; the last command makes `end`."""
    told: list[str | None] = []
    ended = asyncio.Event()

    def on_change(name: str | None) -> None:
        told.append(name)
        if name == "end":
            ended.set()

    watches = FolderWatches(asyncio.get_running_loop())
    watches.add(folder, on_change)
    for step in (*steps, "touch end"):
        done = process.run(["sh", "-c", step], working_directory=folder)  # the loop is blocked: one event for each
        assert done.returncode == 0
    await asyncio.wait_for(ended.wait(), 10)
    watches.close()
    return told[: told.index("end")]


@pytest.mark.parametrize(
    ("step", "name"),
    [
        pytest.param("echo x > new", "new", id="written"),
        pytest.param("echo x > ../aside && mv ../aside old", "old", id="renamed over"),
        pytest.param("rm old", "old", id="removed"),
        pytest.param("mv old ../aside", "old", id="moved away"),
    ],
)
async def test_a_change_is_told_by_name(tmp_path: Path, step: str, name: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "old").write_text("")
    assert await changes(folder, step) == [name]


async def test_what_only_reads_is_not_told(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("")
    assert await changes(tmp_path, "cat old", "ls") == []


async def test_a_file_that_is_made_and_not_written_is_told(tmp_path: Path) -> None:
    assert await changes(tmp_path, "mkdir sub", "ln -s x link") == ["sub", "link"]


async def test_a_folder_that_is_not_there_is_an_error_and_leaves_no_descriptor(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    watches = FolderWatches(asyncio.get_running_loop())
    with pytest.raises(FileNotFoundError):
        watches.add(tmp_path / "none", lambda _: None)
    watches.close()
    assert len(os.listdir("/proc/self/fd")) == len(before)


@pytest.mark.parametrize("step", ["rm -r folder", "mv folder aside"])
async def test_a_folder_that_goes_is_told_and_watched_no_more(tmp_path: Path, step: str) -> None:
    (tmp_path / "folder").mkdir()
    watches = FolderWatches(asyncio.get_running_loop())
    gone = asyncio.Event()
    watch = watches.add(tmp_path / "folder", lambda _: None, gone.set)
    assert watch.alive
    await asyncio.create_subprocess_shell(step, cwd=tmp_path)
    await asyncio.wait_for(gone.wait(), 10)
    watches.close()
    assert not watch.alive


async def test_a_link_in_the_place_of_a_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    watches = FolderWatches(asyncio.get_running_loop())
    with pytest.raises(NotADirectoryError):
        watches.add(tmp_path / "link", lambda _: None)
    watches.close()


async def test_a_folder_in_which_too_much_goes_on_is_watched_no_more(tmp_path: Path) -> None:
    """The others are still reported: a process that fills one folder must not hide the events of
    others."""
    for name in ("busy", "calm"):
        (tmp_path / name).mkdir()
    watches = FolderWatches(asyncio.get_running_loop())
    heard = asyncio.Event()
    busy = watches.add(tmp_path / "busy", lambda _: None)
    watches.add(tmp_path / "calm", lambda _: heard.set())
    for number in range(MAX_RATE):
        (tmp_path / "busy" / str(number % 2)).touch()
        (tmp_path / "busy" / str(number % 2)).unlink()
    (tmp_path / "calm" / "file").touch()
    await asyncio.wait_for(heard.wait(), 10)
    watches.close()
    assert not busy.alive
