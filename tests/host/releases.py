"""What the tests of releases share: a layout in a folder, a tree, a draft of a manifest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

from tqunits.host import release_store
from tqunits.host.release_tree import TreeSource
from tqunits.layout import SYSTEM_LAYOUT, Layout
from tqunits.lifecycle.release import Manifest, Tool
from tqunits.system.survey import Bounds

API = "api"
ONE, TWO, THREE = "000000000001", "000000000002", "000000000003"
BOUNDS = Bounds(size=4 << 30)


def layout_in(folder: Path) -> Layout:
    return replace(SYSTEM_LAYOUT, state=PurePosixPath(folder))


def draft(release: str = ONE) -> Manifest:
    return Manifest(
        worker=API,
        release=release,
        sources_digest="ab",
        recipe_digest="cd",
        toolchain=(Tool("/usr/bin/go", "1-2"),),
        revision=None,
        is_dirty=False,
        actor="alice",
        message="first",
        made_us=int(release, 16),
        took_us=7,
        size=0,
        files=0,
    )


def own(folder: Path, *, bounds: Bounds = BOUNDS, mount_points: tuple[str, ...] = ()) -> TreeSource:
    """A worker's own folder as a source."""
    return TreeSource(folder, None, bounds, frozenset(), mount_points)


def written(folder: Path, **contents: str) -> Path:
    """A folder with these files; "__" in a name stands for "/", unless it has that one."""
    for name, text in contents.items():
        path = folder / (name if "/" in name else name.replace("__", "/"))
        assert path.is_relative_to(folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def taken(layout: Layout, source: Path, *releases: str) -> None:
    for release in releases:
        release_store.take(layout, API, own(source), draft(release))


def tree(folder: Path) -> set[str]:
    """All paths below a folder; a folder's ends with a slash."""
    return {f"{p.relative_to(folder)}{'/' * (p.is_dir() and not p.is_symlink())}" for p in folder.rglob("*")}
