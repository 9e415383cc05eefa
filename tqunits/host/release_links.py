"""Which release each instance of a worker runs at its next start, and which was healthy last.

Each is a symbolic link of root's, swapped by one rename(2): at any moment, also after a power cut,
it leads to the old or to the new release. An instance resolves its link once, when it starts; so a
change of the link is nothing to one that runs. What runs shows in the mount that PID 1 has made for
it (`mounted`).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tqunits.host import release_manifests
from tqunits.late_pattern import late_pattern
from tqunits.layout import Layout
from tqunits.lifecycle.release import is_release_id
from tqunits.system import files, mounts
from tqunits.system.survey import opened_for_root

_RUNS: Final = "runs"
_STABLE: Final = "stable"
_ABOVE: Final = "../"
_INSTANCE = late_pattern(r"[1-9][0-9]{0,3}")


def runs_folder(layout: Layout, worker: str) -> Path:
    """The folder with a link for each instance, by its number."""
    return release_manifests.folder_of(worker, layout) / _RUNS


def point(layout: Layout, worker: str, runs: Mapping[int, str]) -> None:
    """Let these instances run these releases at their next start.

    Raises NoSuchRelease before the first change when one is not there; and OSError, when some of
    the links may be the new ones.
    """
    for release in sorted(set(runs.values())):
        release_manifests.read(layout, worker, release)
    if runs:
        with _opened(runs_folder(layout, worker)) as folder:
            for number, release in sorted(runs.items()):
                _swap(folder, str(number), f"{_ABOVE}{release}")
            os.fsync(folder)


def clear(layout: Layout, worker: str, numbers: Collection[int]) -> None:
    """Let these instances run from the worker's own folder at their next start. Raises OSError."""
    if numbers:
        with _opened(runs_folder(layout, worker)) as folder:
            for number in numbers:
                with suppress(FileNotFoundError):
                    os.unlink(str(number), dir_fd=folder)
            os.fsync(folder)


def runs_of(layout: Layout, worker: str) -> Mapping[int, str]:
    """Instance -> the release that it runs at its next start, whether or not that is still there;
    none for who may not look."""
    folder, runs = runs_folder(layout, worker), dict[int, str]()
    with suppress(FileNotFoundError, PermissionError):
        for name in sorted(os.listdir(folder)):  # noqa: PTH208 - the names alone
            release = _target(folder / name).removeprefix(_ABOVE)
            if _INSTANCE.fullmatch(name) and is_release_id(release):
                runs[int(name)] = release
    return runs


def is_released(layout: Layout, worker: str) -> bool:
    """Whether a release decides what the worker runs, and not its folder, in production mode. In
    development mode a link stays as it is, and nothing follows it."""
    return bool(runs_of(layout, worker))


def stable_of(layout: Layout, worker: str) -> str | None:
    """The last release that was wholly healthy; None before the first one."""
    release = _target(release_manifests.folder_of(worker, layout) / _STABLE)
    return release if is_release_id(release) else None


def mark_stable(layout: Layout, worker: str, release: str) -> None:
    """Remember that this release was wholly healthy. Raises NoSuchRelease, and OSError."""
    release_manifests.read(layout, worker, release)
    with _opened(release_manifests.folder_of(worker, layout)) as folder:
        _swap(folder, _STABLE, release)
        os.fsync(folder)


def complete(layout: Layout, worker: str, numbers: Collection[int]) -> None:
    """Give each of these instances a release, if it has none that is there: the last stable one;
    before the first stable one, the newest. Without any release nothing is done.

    Raises OSError.
    """
    there = [manifest.release for manifest in release_manifests.all_of(layout, worker)]
    runs, stable = runs_of(layout, worker), stable_of(layout, worker)
    if there:
        release = stable if stable in there else there[0]
        point(layout, worker, {number: release for number in numbers if runs.get(number) not in there})


def mounted(layout: Layout, worker: str) -> frozenset[str]:
    """The releases that are mounted anywhere, so that a process may run them. Raises OSError."""
    try:
        place = mounts.place_of(release_manifests.folder_of(worker, layout))
    except FileNotFoundError:
        return frozenset()
    above = place.path.rstrip(b"/") + b"/"
    found = (each.path.removeprefix(above) for each in mounts.everywhere() if _is_below(each, place.device, above))
    names = (os.fsdecode(path.split(b"/", 1)[0]) for path in found)
    return frozenset(name for name in names if is_release_id(name))


def _is_below(each: mounts.FilePlace, device: bytes, above: bytes) -> bool:
    return each.device == device and each.path.startswith(above)


def _target(link: Path) -> str:
    """Where a link leads; empty for what is none."""
    try:
        return str(link.readlink())
    except OSError:
        return ""


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    files.make_folder(folder)
    with opened_for_root(folder) as descriptor:
        yield descriptor


def _swap(folder: int, name: str, target: str) -> None:
    temporary = files.temporary_name()
    os.symlink(target, temporary, dir_fd=folder)
    try:
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        os.unlink(temporary, dir_fd=folder)
        raise
