"""When a worker's program, its public files and its views were last changed.

Only the status of files in the worker's own folder is read. No file is opened (O_PATH opens none,
open(2)), so a FIFO or a device keeps nobody waiting. No link is followed, for a worker could let it
lead to a folder that is mounted when somebody looks: of a link its own time is told.

The program is the file that ExecStart= runs: the program itself, or the script that it gives to a
runtime. It is found by its name, as the first word of the command that is such a file.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import PurePath
from typing import Final

from tqunits.config import programs
from tqunits.light_dataclass import dataclass
from tqunits.system import ownership

PUBLIC: Final = "public"
VIEWS: Final = "views"

_FOLDER: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC

_WHY: Final = {
    errno.ENOENT: "there is none",
    errno.EACCES: "this user may not look there",
    errno.ELOOP: "a link leads there, and it is not followed",
    errno.ENOTDIR: "a link leads there, and it is not followed",
}


@dataclass(frozen=True, slots=True)
class FileTime:
    """When a file was last changed."""

    path: str
    at: int | None  # µs since 1970
    why: str = ""  # why that is not known


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFiles:
    """The files that a worker is made of."""

    program: FileTime
    public: FileTime
    views: FileTime


def look(source: str, command: Sequence[str], public: str | None = None) -> WorkerFiles:
    """Look at the files of a worker now.

    `source`: its worker.yaml. `command`: of ExecStart=; empty: its unit is not loaded. `public`:
    the folder that the router serves, if it serves one.
    """
    folder = folder_of(source)
    return WorkerFiles(
        program=program(folder, command),
        public=_time_of(folder, public or f"{folder}/{PUBLIC}"),
        views=_time_of(folder, f"{folder}/{VIEWS}"),
    )


def folder_of(source: str) -> str:
    """The folder of the worker whose worker.yaml this is."""
    return str(PurePath(source).parent.parent)


def program(folder: str, command: Sequence[str]) -> FileTime:
    """The time of the worker's program."""
    if not command:
        return FileTime("", None, "its unit is not loaded")
    why = "its command names no file in its folder"
    for word in programs.own_files(command):
        path = os.path.normpath(os.path.join(folder, word))  # noqa: PTH118 - a pure join, of text
        if not path.startswith(f"{folder}/"):
            continue
        found = _time_of(folder, path, is_file=True)
        if found.at is not None:
            return found
        why = found.why if found.why == _WHY[errno.EACCES] else why
    return FileTime("", None, why)


def _time_of(folder: str, path: str, *, is_file: bool = False) -> FileTime:
    """`is_file`: a file or a link is wanted, no folder."""
    if not path.startswith(f"{folder}/"):
        return FileTime(path, None, "it is not in the worker's folder")
    try:
        status = _status(folder, path[len(folder) + 1 :].split("/"))
    except OSError as error:
        return FileTime(path, None, _WHY.get(error.errno or 0, os.strerror(error.errno or 0).lower()))
    if is_file and not (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
        return FileTime(path, None, "it is no regular file")
    return FileTime(path, status.st_mtime_ns // 1000)


def _status(folder: str, names: Sequence[str]) -> os.stat_result:
    """The status of what has this path below the folder. Raises OSError."""
    above = os.open(folder, _FOLDER)
    try:
        found = ownership.open_below(above, names, os.O_PATH)
    finally:
        os.close(above)
    try:
        return os.fstat(found)
    finally:
        os.close(found)
