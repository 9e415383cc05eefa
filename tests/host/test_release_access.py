"""Who may enter a release: everybody who could enter the folder that it is a copy of; of what a
build has made, only the folder with the static files."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from units.cases import worker

from tqunits.errors import TqunitsError
from tqunits.host import release_access
from tqunits.host.release_access import ReleaseAccess
from tqunits.model import OriginKind, SettingOrigin, Static, Worker, WorkerType

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="is about folders of root's")

GROUP = 12345
WRITTEN = {"static.directory": SettingOrigin(kind=OriginKind.WORKER)}
BUILD = replace(worker("w").build, command=("make",))


def of(folder: Path, directory: str = "public", **changes: object) -> Worker:
    static = Static(directory=directory, prefix="/")
    return worker("api", **{"folder": PurePosixPath(folder), "origins": WRITTEN, "static": static, **changes})


@pytest.fixture
def folder(roots: Path) -> Path:
    found = roots / "srv/api"
    found.mkdir(parents=True)
    return found


@pytest.mark.parametrize("closed", ["srv", "srv/api"])
def test_what_lies_below_a_closed_folder_is_for_the_workers_group_alone(roots: Path, folder: Path, closed: str) -> None:
    assert release_access.access_of(of(folder)) == ReleaseAccess()
    (roots / closed).chmod(0o754)
    assert release_access.access_of(of(folder, group="root")) == ReleaseAccess(group=0)
    assert release_access.access_of(of(folder, group="root", build=BUILD)) == ReleaseAccess(group=0)
    assert release_access.access_of(of(folder, type=WorkerType.STATIC)) == ReleaseAccess(group=0)
    with pytest.raises(TqunitsError, match="there is no group worker-nobody-has"):
        release_access.access_of(of(folder, group="worker-nobody-has"))


def test_of_what_a_build_makes_only_the_static_files_are_for_everybody(folder: Path) -> None:
    built = of(folder, "dist/site", build=BUILD, group="root")
    assert release_access.access_of(built) == ReleaseAccess(group=0, way=("dist", "site"))
    assert release_access.access_of(of(folder, ".", build=BUILD, group="root")) == ReleaseAccess(group=0, way=())
    assert release_access.access_of(replace(built, origins={})) == ReleaseAccess(group=0)
    assert release_access.access_of(replace(built, writable=("dist",))) == ReleaseAccess(group=0)


def modes(release: Path) -> dict[str, tuple[int, int]]:
    """Group and mode of everything but links; the group of what everybody may read is as it was."""
    found = {path: path.stat() for path in (release, *release.rglob("*")) if not path.is_symlink()}
    return {str(path.relative_to(release)): (each.st_gid, each.st_mode & 0o7777) for path, each in found.items()}


@pytest.fixture
def release(roots: Path) -> Path:
    found = roots / "release"
    (found / "dist/site/css").mkdir(parents=True)
    (found / "lib").mkdir()
    for name in (".tqunits-release", "run", "lib/data", "dist/map", "dist/site/index.html", "dist/site/css/a.css"):
        (found / name).write_text(name)
    (found / "run").chmod(0o755)
    (roots / "outside").write_text("")
    (found / "link").symlink_to("../outside")
    return found


def test_a_release_is_open_closed_or_open_along_one_way(release: Path) -> None:
    below = {"lib/data": (0, 0o644), "dist/site/css": (0, 0o755)}
    below |= {f"dist/site/{name}": (0, 0o644) for name in ("index.html", "css/a.css")}
    release_access.let_in(release, ReleaseAccess(group=GROUP, way=("dist", "site")))
    own = {"run": (GROUP, 0o750), "lib": (GROUP, 0o750)}
    own |= dict.fromkeys((".tqunits-release", "dist/map"), (GROUP, 416))
    way = {".": (GROUP, 0o751), "dist": (GROUP, 0o751), "dist/site": (GROUP, 0o755)}
    assert modes(release) == {**below, **own, **way}
    assert (release.parent / "outside").stat().st_gid == 0, "a link is not followed"
    release_access.let_in(release, ReleaseAccess(group=GROUP, way=("lib",)))
    found = modes(release)
    assert (found["."][1], found["lib"][1], found["dist"][1], found["run"][1]) == (0o751, 0o755, 0o750, 0o750)
    release_access.let_in(release, ReleaseAccess(group=54321))
    assert modes(release)["."] == (54321, 0o750)
    assert modes(release)["run"] == modes(release)["dist"] == (54321, 0o750), "or the worker could not read it"
    release_access.let_in(release, ReleaseAccess())
    assert modes(release)["."][1] == 0o755


def test_a_way_that_ends_higher_opens_what_was_closed_beside_the_old_one(release: Path) -> None:
    """`static.directory` is no part of a release's ID, so the release is there already."""
    before = modes(release)
    for way in [("dist", "site", "css"), ("dist",)]:
        release_access.let_in(release, ReleaseAccess(group=GROUP, way=way))
    assert {path: mode for path, (_, mode) in modes(release).items() if path.startswith("dist")} == {
        path: mode for path, (_, mode) in before.items() if path.startswith("dist")
    }
    assert modes(release)["run"] == (GROUP, 0o750)
    release_access.let_in(release, ReleaseAccess(group=GROUP, way=()))
    assert {path: mode for path, (_, mode) in modes(release).items()} == {p: mode for p, (_, mode) in before.items()}
    assert (release.parent / "outside").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("way", [("none",), ("link",), ("run",), ("dist", "none", "below")])
def test_a_way_that_is_not_there_opens_nothing(release: Path, way: tuple[str, ...]) -> None:
    (release.parent / "outside").chmod(0o600)
    release_access.let_in(release, ReleaseAccess(group=GROUP, way=way))
    assert modes(release)["."] == (GROUP, 0o750)
    assert (release.parent / "outside").stat().st_mode & 0o777 == 0o600


def test_why_no_static_file_of_a_release_is_served(roots: Path, folder: Path) -> None:
    release = roots / "release"
    release.mkdir()
    one = of(folder)
    why = "the router serves none of its static files"
    missing = f"{why}: there is no folder public in the release"
    assert release_access.unserved_files(one, release) == missing
    (release / "public").symlink_to("dist")
    (release / "dist").mkdir()
    assert release_access.unserved_files(one, release) == missing
    (release / "public").unlink()
    (release / "public").mkdir()
    assert release_access.unserved_files(one, release) == ""
    assert release_access.unserved_files(of(folder, "."), release) == ""
    (roots / "srv").chmod(0o750)
    assert f"{why}: others may not enter {roots}/srv; chmod o+x" in release_access.unserved_files(one, release)
    assert release_access.unserved_files(replace(one, origins={}), release) == ""
