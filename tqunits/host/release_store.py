"""Makes and removes the releases of a worker (release_manifests.py has their places on disk).

A release is copied to a temporary folder beside its place, flushed, and renamed: at any moment,
also after a power cut, it is there whole or not at all. Whatever fails on the way leaves nothing;
what a killed run has left has a temporary name, or is a manifest without its release, and the next
`take` or `prune` removes it.

One process at a time changes something here: it holds `exclusively`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tqunits.errors import TqunitsError
from tqunits.host import managers_share, release_access, release_links, release_manifests
from tqunits.host.hostile_files import Untaken
from tqunits.host.release_access import ReleaseAccess
from tqunits.host.release_manifests import NoSuchRelease, folder_of, manifest_of
from tqunits.host.release_tree import TreeSource, copy_tree
from tqunits.layout import Layout
from tqunits.lifecycle.release import Manifest, is_release_id, manifest_text
from tqunits.light_dataclass import dataclass
from tqunits.system import files
from tqunits.system.survey import opened, opened_for_root

_CLOSED = 0o700
_MANIFEST_MODE = 0o640
_MARK = ".tqunits-release"  # the file in a release with its ID, which alone/join.py reads


@dataclass(frozen=True, slots=True)
class TakenRelease:
    """A release that is there now."""

    manifest: Manifest
    is_new: bool
    left: Untaken  # names of the source that are not in it


@contextmanager
def exclusively(layout: Layout, worker: str, on_wait: Callable[[str], None] = lambda _: None) -> Iterator[None]:
    """Be the only one who changes a worker's releases; wait for another one, which may take as long
    as a build does. `on_wait` is told first which process that is. Raises OSError."""
    folder = folder_of(worker, layout)
    with files.lock(folder / "lock", wait=on_wait):
        _let_through(folder)
        yield


def _let_through(folder: Path) -> None:
    """The manager may list the releases, by its group. Everybody may go through to one, and whether
    he may enter it is decided there (release_access.py)."""
    group = managers_share.group()
    if group is not None:
        os.chown(folder, 0, group)
    folder.chmod(0o711 if group is None else 0o751)


def take(
    layout: Layout,
    worker: str,
    source: TreeSource,
    draft: Manifest,
    *,
    access: ReleaseAccess = ReleaseAccess(),  # noqa: B008 - a frozen value
    confirm: Callable[[], None] = lambda: None,
) -> TakenRelease:
    """Make the release `draft.release` from a tree. If it is there already, it stays as it is.

    `draft` is its manifest but for the size. `access`: who may enter it, by itself everybody.
    `confirm` is called when all is copied, and may raise: the sources may have changed since the ID
    was made of them. Raises what it raises, OSError, ChangesMeanwhile, and TqunitsError beyond a
    bound; then nothing is left.
    """
    folder = folder_of(worker, layout)
    files.make_folder(folder)
    remove_leftovers(layout, worker)
    try:
        return TakenRelease(release_manifests.read(layout, worker, draft.release), is_new=False, left=Untaken())
    except NoSuchRelease as none:
        if os.path.lexists(folder / draft.release):
            path = folder / draft.release
            raise TqunitsError(f"{path} is in the way: {none}", hint=f"if nothing uses it: rm -r {path}") from None
    with opened_for_root(folder) as place, _new_folder(place, folder) as (name, inside):
        copied = copy_tree(replace(source, without=source.without | {_MARK}), inside)
        files.write_atomically(folder / name / _MARK, f"{draft.release}\n", 0o644)
        release_access.let_in(folder / name, access)
        files.sync_file_system(folder / name)
        confirm()
        manifest = replace(draft, size=copied.size, files=copied.files)
        _publish(manifest_of(layout, worker, draft.release), manifest, name, place)
    return TakenRelease(manifest, is_new=True, left=copied.left)


def prune(layout: Layout, worker: str, keep: int, *, asked_for: str | None = None) -> tuple[str, ...]:
    """Remove old releases. Returns their IDs.

    These stay: the newest `keep`; those that an instance is to run; the last stable one; those that
    are mounted; and the one that was asked for, which may be an old one that no link names yet.
    Raises OSError, TqunitsError.
    """
    remove_leftovers(layout, worker)
    old = [manifest.release for manifest in release_manifests.all_of(layout, worker)[keep:]]
    named = {*release_links.runs_of(layout, worker).values(), release_links.stable_of(layout, worker), asked_for}
    unnamed = [release for release in old if release not in named]
    used = release_links.mounted(layout, worker) if unnamed else frozenset()
    gone = tuple(release for release in unnamed if release not in used)
    for release in gone:
        _remove(layout, worker, release)
    return gone


def remove_leftovers(layout: Layout, worker: str) -> None:
    """Remove what a run that was killed has left: temporary names, and a manifest whose release is
    not there. Raises OSError, TqunitsError."""
    folder = folder_of(worker, layout)
    for place in (folder, release_links.runs_folder(layout, worker)):
        for path in _entries(place):
            if files.is_temporary(path.name):
                files.remove_tree(path)
    for path in _entries(folder):
        if path.suffix == ".json" and is_release_id(path.stem) and not os.path.lexists(path.with_suffix("")):
            path.unlink()


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []


@contextmanager
def _new_folder(place: int, path: Path) -> Iterator[tuple[str, int]]:
    """A new folder that only root may enter. It is removed, unless it has another name by then."""
    name = files.temporary_name()
    os.mkdir(name, _CLOSED, dir_fd=place)
    try:
        with opened(name, place) as inside:
            yield name, inside
    finally:
        if os.path.lexists(path / name):
            files.remove_tree(path / name)


def _publish(path: Path, manifest: Manifest, name: str, place: int) -> None:
    """Write the manifest, and give the folder its name."""
    files.write_atomically(path, manifest_text(manifest), _MANIFEST_MODE, group=managers_share.group())
    try:
        os.rename(name, manifest.release, src_dir_fd=place, dst_dir_fd=place)
    except BaseException:
        path.unlink()
        raise
    os.fsync(place)


def _remove(layout: Layout, worker: str, release: str) -> None:
    """The rename ends the release at once; the rest may be left to the next run."""
    folder = folder_of(worker, layout)
    temporary = (folder / release).rename(folder / files.temporary_name())
    files.sync_folder(folder)
    manifest_of(layout, worker, release).unlink()
    files.remove_tree(temporary)
