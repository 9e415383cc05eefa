"""When a worker's files were changed: of files in its folder, without waiting for anybody."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tqunits.host import worker_files
from tqunits.host.worker_files import FileTime

AT = 1_700_000_000_000_000  # µs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A worker's folder, next to another one."""
    for name in ("api/config", "api/src", "api/bin", "api/public", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("api/src/main.py", "api/bin/serve", "elsewhere/file"):
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, ns=(0, AT * 1000))
    os.utime(tmp_path / "api/public", ns=(0, AT * 1000))
    return tmp_path / "api"


def look(folder: Path, *command: str, public: str | None = None) -> worker_files.WorkerFiles:
    return worker_files.look(f"{folder}/config/worker.yaml", command, public)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["/usr/bin/python3", "src/main.py"], "src/main.py"),
        (["/usr/bin/python3", "-u", "-m", "app", "src/main.py"], "src/main.py"),
        (["/usr/bin/env", "python3", "./src/../src/main.py"], "src/main.py"),
        (["{folder}/bin/serve", "--with", "src/main.py"], "bin/serve"),
        (["/usr/bin/python3", "src", "src/main.py"], "src/main.py"),
    ],
)
def test_the_program(folder: Path, command: list[str], expected: str) -> None:
    found = look(folder, *(word.format(folder=folder) for word in command)).program
    assert found == FileTime(f"{folder}/{expected}", AT)


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ([], "its unit is not loaded"),
        (["/usr/bin/serve"], "its command names no file in its folder"),
        (["/usr/bin/python3", "../elsewhere/file"], "its command names no file in its folder"),
        (["/usr/bin/python3", "fifo"], "its command names no file in its folder"),
        (["/usr/bin/python3", *["x"] * 100, "src/main.py"], "its command names no file in its folder"),
    ],
)
def test_why_there_is_no_program(folder: Path, command: list[str], why: str) -> None:
    os.mkfifo(folder / "fifo")
    assert look(folder, *command).program == FileTime("", None, why)


def test_folders(folder: Path) -> None:
    found = look(folder)
    assert found.public == FileTime(f"{folder}/public", AT)
    assert found.views == FileTime(f"{folder}/views", None, "there is none")
    assert look(folder, public=f"{folder}/src").public.path == f"{folder}/src"
    assert look(folder, public="/srv").public == FileTime("/srv", None, "it is not in the worker's folder")


def test_no_link_is_followed(folder: Path) -> None:
    (folder / "views").symlink_to(folder.parent / "elsewhere")
    os.utime(folder / "views", ns=(0, 7_000), follow_symlinks=False)
    (folder / "way").symlink_to(folder.parent / "elsewhere")
    found = look(folder, "/usr/bin/python3", "way/file", public=f"{folder}/way/file")
    assert found.views == FileTime(f"{folder}/views", 7)
    assert found.public == FileTime(f"{folder}/way/file", None, "a link leads there, and it is not followed")
    assert found.program.at is None


def test_a_fifo_keeps_nobody_waiting(folder: Path) -> None:
    os.mkfifo(folder / "views")
    assert look(folder).views.at is not None


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    found = look(tmp_path / "nothing", "/usr/bin/python3", "main.py")
    assert (found.public.why, found.program.at) == ("there is none", None)
