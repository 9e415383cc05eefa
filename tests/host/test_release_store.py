"""A release is there whole or not at all, and stays as long as somebody needs it."""

from __future__ import annotations

import grp
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from host.releases import API, ONE, THREE, TWO, draft, layout_in, own, taken, tree, written
from host.small_disks import small_disk

from tqunits.errors import TqunitsError
from tqunits.host import release_links, release_manifests, release_store
from tqunits.host.release_access import ReleaseAccess
from tqunits.host.release_manifests import NoSuchRelease
from tqunits.layout import Layout
from tqunits.model import MANAGER_USER
from tqunits.system import files, users
from tqunits.system.process import run
from tqunits.system.survey import Bounds

NOGROUP = grp.getgrnam("nogroup").gr_gid


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return layout_in(tmp_path / "state")


@pytest.fixture
def folder(layout: Layout) -> Path:
    return release_manifests.folder_of(API, layout)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return written(tmp_path / "source", run="program", lib__data="data")


def test_a_release_is_a_copy_with_its_manifest(layout: Layout, folder: Path, source: Path) -> None:
    (source / "run").chmod(0o700 | 0o055)
    one = release_store.take(layout, API, own(source), draft())
    assert tree(folder) == {
        f"{ONE}/",
        f"{ONE}.json",
        f"{ONE}/run",
        f"{ONE}/lib/",
        f"{ONE}/lib/data",
        f"{ONE}/.tqunits-release",
    }
    assert one.manifest == replace(draft(), size=11, files=2)
    assert one.is_new
    assert release_manifests.read(layout, API, ONE) == one.manifest
    assert (folder / ONE / ".tqunits-release").read_text() == f"{ONE}\n"
    modes = {name: (folder / name).stat().st_mode & 0o7777 for name in (ONE, f"{ONE}.json", f"{ONE}/run", f"{ONE}/lib")}
    assert modes == {ONE: 0o755, f"{ONE}.json": 0o640, f"{ONE}/run": 0o755, f"{ONE}/lib": 0o755}
    assert (folder / ONE / ".tqunits-release").stat().st_mode & 0o7777 == 0o644


def test_a_release_that_is_there_stays_as_it_is(layout: Layout, folder: Path, source: Path) -> None:
    taken(layout, source, ONE)
    before = (folder / ONE).stat()
    again = release_store.take(layout, API, own(written(source, more="x")), replace(draft(), actor="bob"))
    assert not again.is_new
    assert again.manifest.actor == "alice"
    assert (folder / ONE).stat() == before
    assert not (folder / ONE / "more").exists()


def test_a_mark_of_the_sources_is_not_taken(layout: Layout, folder: Path, source: Path) -> None:
    (source / ".tqunits-release").write_text("another\n")
    taken(layout, source, ONE)
    assert (folder / ONE / ".tqunits-release").read_text() == f"{ONE}\n"


def test_who_does_not_confirm_gets_no_release(layout: Layout, folder: Path, source: Path) -> None:
    def changed() -> None:
        assert any(name.endswith("/lib/data") for name in tree(folder))  # all is copied by then
        raise TqunitsError("the sources have changed")

    with pytest.raises(TqunitsError, match="have changed"):
        release_store.take(layout, API, own(source), draft(), confirm=changed)
    assert tree(folder) == set()


@pytest.mark.parametrize(
    "bounds",
    [Bounds(size=10), Bounds(size=1 << 20, entries=2), Bounds(size=1 << 20, depth=1)],
    ids=["too-large", "too-many", "too-deep"],
)
def test_what_is_beyond_a_bound_leaves_nothing(layout: Layout, folder: Path, source: Path, bounds: Bounds) -> None:
    with pytest.raises(TqunitsError, match="it made"):
        release_store.take(layout, API, own(source, bounds=bounds), draft())
    assert tree(folder) == set()


def test_what_is_in_the_way_is_said(layout: Layout, folder: Path, source: Path) -> None:
    taken(layout, source, ONE)
    (folder / f"{ONE}.json").write_text("{}")
    with pytest.raises(TqunitsError, match=rf"{ONE} is in the way: .*its manifest can not be read"):
        release_store.take(layout, API, own(source), draft())
    assert (folder / ONE / "run").read_text() == "program"
    assert release_manifests.all_of(layout, API) == ()


def test_a_manifest_that_can_not_be_written_leaves_nothing(layout: Layout, folder: Path, source: Path) -> None:
    def confirm() -> None:
        (folder / f"{ONE}.json" / "somebody's").mkdir(parents=True)

    with pytest.raises(OSError, match="directory"):
        release_store.take(layout, API, own(source), draft(), confirm=confirm)
    assert tree(folder) == {f"{ONE}.json/", f"{ONE}.json/somebody's/"}


def test_a_folder_that_can_not_be_renamed_leaves_nothing(layout: Layout, folder: Path, source: Path) -> None:
    def confirm() -> None:
        (folder / ONE / "somebody's").mkdir(parents=True)

    with pytest.raises(OSError, match="not empty"):
        release_store.take(layout, API, own(source), draft(), confirm=confirm)
    assert tree(folder) == {f"{ONE}/", f"{ONE}/somebody's/"}


def test_what_a_killed_run_has_left_goes_with_the_next(layout: Layout, folder: Path, source: Path) -> None:
    written(folder, **{".tqunits-0123456789abcdef.tmp__lib__half": "h", f"{TWO}.json": "{}"})
    written(folder, **{"runs__.tqunits-0123456789abcdef.tmp": "", ".tqunits-other": "", "inputs": ""})
    taken(layout, source, ONE)
    own_file = written(folder / ONE, **{".tqunits-0123456789abcdef.tmp": "of the release"})
    release_store.remove_leftovers(layout, API)
    assert {path.name for path in folder.iterdir()} == {ONE, f"{ONE}.json", "runs", ".tqunits-other", "inputs"}
    assert tree(folder / "runs") == set()
    assert ".tqunits-0123456789abcdef.tmp" in tree(own_file)


def test_before_the_first_release_there_is_nothing_to_do(layout: Layout) -> None:
    release_store.remove_leftovers(layout, API)
    assert release_store.prune(layout, API, 0) == ()
    assert release_manifests.all_of(layout, API) == ()


def test_the_newest_stay(layout: Layout, folder: Path, source: Path) -> None:
    taken(layout, source, TWO, ONE, THREE)
    assert [each.release for each in release_manifests.all_of(layout, API)] == [THREE, TWO, ONE]
    assert release_store.prune(layout, API, 2) == (ONE,)
    assert [each.release for each in release_manifests.all_of(layout, API)] == [THREE, TWO]
    assert not any(ONE in name or "tmp" in name for name in tree(folder))


def test_those_that_somebody_is_to_run_stay(layout: Layout, source: Path) -> None:
    taken(layout, source, ONE, TWO, THREE)
    release_links.point(layout, API, {3: ONE})
    release_links.mark_stable(layout, API, TWO)
    assert release_store.prune(layout, API, 0) == (THREE,)
    assert [each.release for each in release_manifests.all_of(layout, API)] == [TWO, ONE]


def test_an_old_one_that_was_asked_for_again_stays(layout: Layout, source: Path) -> None:
    """No link names it until its roll."""
    taken(layout, source, ONE, TWO, THREE)
    assert release_store.prune(layout, API, 1, asked_for=ONE) == (TWO,)
    assert [each.release for each in release_manifests.all_of(layout, API)] == [THREE, ONE]


def no_manifest(folder: Path) -> None:
    (folder / f"{ONE}.json").unlink()


def no_folder(folder: Path) -> None:
    files.remove_tree(folder / ONE)


def a_file_for_a_folder(folder: Path) -> None:
    no_folder(folder)
    (folder / ONE).write_text("")


def the_manifest_of_another(folder: Path) -> None:
    text = (folder / f"{ONE}.json").read_text()
    (folder / f"{ONE}.json").write_text(text.replace(ONE, TWO))


def the_manifest_of_another_worker(folder: Path) -> None:
    text = (folder / f"{ONE}.json").read_text()
    (folder / f"{ONE}.json").write_text(text.replace(API, "web"))


def a_pipe(folder: Path) -> None:
    no_manifest(folder)
    os.mkfifo(folder / f"{ONE}.json")


@pytest.mark.parametrize(
    "spoil",
    [
        no_manifest,
        no_folder,
        a_file_for_a_folder,
        the_manifest_of_another,
        the_manifest_of_another_worker,
        a_pipe,
    ],
)
def test_what_is_not_whole_is_no_release(
    layout: Layout, folder: Path, source: Path, spoil: Callable[[Path], None]
) -> None:
    taken(layout, source, ONE)
    spoil(folder)
    with pytest.raises(NoSuchRelease, match=f"api has no release {ONE}"):
        release_manifests.read(layout, API, ONE)
    assert release_manifests.all_of(layout, API) == ()


@pytest.mark.parametrize("release", [TWO, "../../etc", "", "runs", f"{ONE}\n"])
def test_another_id_is_no_release(layout: Layout, source: Path, release: str) -> None:
    taken(layout, source, ONE)
    with pytest.raises(NoSuchRelease, match="api has no release"):
        release_manifests.read(layout, API, release)


def test_one_at_a_time(layout: Layout, folder: Path) -> None:
    with release_store.exclusively(layout, API):
        assert run(["flock", "-n", str(folder / "lock"), "true"]).returncode != 0
    assert run(["flock", "-n", str(folder / "lock"), "true"]).returncode == 0
    assert (folder / "lock").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="enters as somebody else")
def test_who_may_not_enter_a_release_sees_nothing_of_it(roots: Path, source: Path) -> None:
    """The folder that was copied may lie below one that is closed."""
    layout = layout_in(roots / "a state")
    folder = release_manifests.folder_of(API, layout)
    with release_store.exclusively(layout, API):
        release_store.take(layout, API, own(source), draft(ONE), access=ReleaseAccess(group=NOGROUP - 1))
        release_store.take(layout, API, own(source), draft(TWO))
        release_store.take(layout, API, own(source), draft(THREE), access=ReleaseAccess(group=NOGROUP))
        release_links.point(layout, API, {1: TWO})
    modes = {path.name: (path.stat().st_uid, path.stat().st_mode & 0o7777) for path in (folder, *folder.iterdir())}
    assert modes == {
        API: (0, 0o751 if users.exists(MANAGER_USER) else 0o711),
        ONE: (0, 0o750),
        TWO: (0, 0o755),
        THREE: (0, 0o750),
        **{f"{release}.json": (0, 0o640) for release in (ONE, TWO, THREE)},
        "runs": (0, 0o755),
        "lock": (0, 0o600),
    }
    read = {name: run(["cat", str(folder / name / "run")], user="nobody").stdout for name in (ONE, TWO, THREE)}
    assert read == {ONE: "", TWO: "program", THREE: "program"}, "nobody is in the group of the third"
    assert run(["cat", str(folder / "runs/1/run")], user="nobody").stdout == "program"
    assert run(["ls", str(folder)], user="nobody").returncode != 0
    assert run(["cat", str(folder / f"{TWO}.json")], user="nobody").returncode != 0, "who has made it, and why"


def test_who_waits_for_another_is_told_before(layout: Layout) -> None:
    """It may be a build, which takes minutes."""
    told: list[str] = []
    with ExitStack() as held:
        held.enter_context(release_store.exclusively(layout, API))

        def let_go(holder: str) -> None:
            told.append(holder)
            held.close()

        with release_store.exclusively(layout, API, let_go):
            assert told == [str(os.getpid())]


@pytest.fixture
def small(roots: Path) -> Iterator[Path]:
    with small_disk(roots / "small", 1) as place:
        yield place


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_a_full_disk_leaves_nothing(small: Path, source: Path) -> None:
    layout = layout_in(small)
    (source / "large").write_bytes(b"x" * (2 << 20))
    with pytest.raises(OSError, match="No space left"):
        release_store.take(layout, API, own(source), draft())
    assert tree(small) == {"releases/", "releases/api/"}
    (source / "large").unlink()
    assert release_store.take(layout, API, own(source), draft()).is_new


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_a_release_that_is_mounted_stays(roots: Path, source: Path) -> None:
    layout = layout_in(roots / "a state")
    folder = release_manifests.folder_of(API, layout)
    taken(layout, source, ONE, TWO, THREE)
    (roots / "seen").mkdir()
    (roots / "hidden").mkdir()
    assert release_links.mounted(layout, API) == frozenset()
    if run(["mount", "--bind", str(folder / ONE), str(roots / "seen")]).returncode != 0:
        pytest.skip("may not mount")
    try:
        assert release_links.mounted(layout, API) == {ONE}
        assert release_store.prune(layout, API, 0) == (THREE, TWO)
        assert (folder / ONE / "run").exists()
    finally:
        run(["umount", str(roots / "seen")])
    assert release_store.prune(layout, API, 0) == (ONE,)
