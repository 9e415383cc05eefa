"""Whether a build is up to date with its sources: compared by content, within limits, in a folder
that another user may own."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from units.cases import build, worker

from tqunits.errors import TqunitsError
from tqunits.host import built
from tqunits.host.made import Made
from tqunits.host.source_tree import Scope, sources
from tqunits.layout import SYSTEM_LAYOUT, Layout
from tqunits.model import Worker
from tqunits.system.survey import MAX_DEPTH

NOTHING = Made()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "api"
    for name in ("config/worker.yaml", "src/main.go", "run"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(name)
    return place


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return replace(SYSTEM_LAYOUT, state=PurePosixPath(tmp_path / "state"))


@pytest.fixture
def api(folder: Path) -> Worker:
    return worker("api", folder=PurePosixPath(folder), build=build("make"), command=("node", "main.js"))


def was_built(api: Worker, layout: Layout, made: Made = NOTHING) -> None:
    built.end(api, layout, seen(api, layout).sources, made)


def seen(api: Worker, layout: Layout) -> built.Glance:
    now = built.glance(api, layout)
    assert now is not None
    return now


def reason(api: Worker, layout: Layout) -> str:
    return seen(api, layout).reason


def test_what_was_never_built_is_to_be_built(api: Worker, layout: Layout) -> None:
    assert reason(api, layout) == "it was never built"
    was_built(api, layout)
    assert reason(api, layout) == ""
    assert built.glance(replace(api, build=build()), layout) is None


def test_what_a_build_makes_completely_is_no_source(api: Worker, layout: Layout) -> None:
    """Whoever has made it: the build does not see it, and a release is not made from it."""
    assert built.results_of(api, layout) == frozenset()
    loading = replace(api, build=build("npm", "ci"))
    assert built.results_of(loading, layout) == {"node_modules"}
    was_built(loading, layout, Made(frozenset({"run"}), frozenset({"run"})))
    built.lend(loading, layout, os.getgid())
    assert Path(layout.state, "built/api/results").read_text() == "node_modules\0run\0"


def touched(folder: Path) -> None:
    os.utime(folder / "src/main.go", (0, 0))


def written_again(folder: Path) -> None:
    (folder / "run").unlink()
    (folder / "run").write_text("run")


def another_yaml(folder: Path) -> None:
    (folder / "config/worker.yaml").write_text("path: /other\n")


def a_secret(folder: Path) -> None:
    (folder / ".env").write_text("TOKEN=1")
    (folder / ".env").chmod(0o600)


def a_closed_folder(folder: Path) -> None:
    (folder / "keys").mkdir(mode=0o700)
    (folder / "keys/token").write_text("1")


def a_commit(folder: Path) -> None:
    (folder / ".git").mkdir()
    (folder / ".git/HEAD").write_text("ref")


def a_pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe")


@pytest.mark.parametrize("change", [touched, written_again, another_yaml, a_secret, a_closed_folder, a_commit, a_pipe])
def test_what_makes_no_other_build(api: Worker, layout: Layout, folder: Path, change: Callable[[Path], None]) -> None:
    was_built(api, layout)
    change(folder)
    assert reason(api, layout) == ""


def changed(folder: Path) -> None:
    (folder / "run").write_text("RUN")


def changed_as_if_it_had_not(folder: Path) -> None:
    found = (folder / "run").stat()
    (folder / "run").write_text("RUN")
    os.utime(folder / "run", ns=(found.st_atime_ns, found.st_mtime_ns))


def executable(folder: Path) -> None:
    (folder / "run").chmod(0o755)


def removed(folder: Path) -> None:
    (folder / "run").unlink()


def added(folder: Path) -> None:
    (folder / "src/more.go").write_text("")


def linked(folder: Path) -> None:
    (folder / "run").unlink()
    (folder / "run").symlink_to("src")


def renamed(folder: Path) -> None:
    (folder / "src").rename(folder / "lib")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (changed, "run has changed"),
        (changed_as_if_it_had_not, "run has changed"),
        (executable, "run has changed"),
        (removed, "run is gone"),
        (added, "src/more.go is new"),
        (linked, "run has changed"),
        (renamed, "lib/main.go is new, src/main.go is gone"),
    ],
)
def test_what_makes_another_build(
    api: Worker, layout: Layout, folder: Path, change: Callable[[Path], None], said: str
) -> None:
    was_built(api, layout)
    change(folder)
    now = seen(api, layout)
    assert now.reason == said
    assert built.told(now) == f"its program is older than its sources: {said}"


def test_a_link_that_says_something_else_is_another_source(api: Worker, layout: Layout, folder: Path) -> None:
    (folder / "current").symlink_to("one")
    was_built(api, layout)
    (folder / "current").unlink()
    (folder / "current").symlink_to("two")
    assert reason(api, layout) == "current has changed"


def test_another_build_in_worker_yaml(api: Worker, layout: Layout) -> None:
    was_built(api, layout)
    variable = (("A", "1"),)
    others = (
        replace(api, build=build("make", "all")),
        replace(api, build=build("make", environment=variable)),
        replace(api, environment=variable),
    )
    assert {reason(other, layout) for other in others} == {"its build is another one"}


def test_only_some_of_what_has_changed_is_told(api: Worker, layout: Layout, folder: Path) -> None:
    was_built(api, layout)
    for name in "abcde":
        (folder / name).write_text("")
    assert reason(api, layout) == "a is new, b is new, c is new and 2 more"


def test_what_was_made_is_no_source_while_it_is_as_it_was_made(api: Worker, layout: Layout, folder: Path) -> None:
    (folder / "lib").mkdir()
    (folder / "lib/made").write_text("made")
    was_built(api, layout, Made(frozenset({"lib"}), frozenset({"lib", "lib/made"})))
    (folder / "lib/upload").write_text("of the worker's")
    assert reason(api, layout) == ""
    (folder / "lib/made").write_text("by hand")
    now = seen(api, layout)
    assert (now.reason, built.told(now)) == (
        "lib/made is not what was built",
        "its program is not what was built: lib/made is not what was built",
    )
    (folder / "lib").rename(folder / "other")
    assert "lib/made is gone" in reason(api, layout)


def test_a_build_that_was_cut_off_is_done_again_and_knows_what_it_had_begun(
    api: Worker, layout: Layout, folder: Path
) -> None:
    was_built(api, layout, Made(frozenset({"old"}), frozenset({"old"})))
    built.begin(api, layout, {}, Made(frozenset({"bin"}), frozenset({"bin", "bin/new"})))
    (folder / "bin").mkdir()
    (folder / "bin/new").write_text("half")
    now = seen(api, layout)
    assert now.reason == "its last build was not finished"
    assert "bin/new" not in now.sources
    assert built.made(api, layout) == Made(frozenset({"old", "bin"}), frozenset({"old", "bin", "bin/new"}))


def test_a_program_of_before_there_were_records_counts_if_it_is_newer_than_all_its_sources(
    api: Worker, layout: Layout, folder: Path
) -> None:
    own = replace(api, command=("bin/api",))
    assert reason(own, layout) == "it was never built"
    (folder / "bin").mkdir()
    (folder / "bin/api").write_text("program")
    now = seen(own, layout)
    assert now.reason == ""
    built.settle(own, layout, now)
    assert built.times(layout)["api"] == (folder / "bin/api").stat().st_mtime_ns // 1000
    changed(folder)
    assert reason(own, layout) == "run has changed"


@pytest.mark.parametrize("damage", [b"", b"other 1\0", b"tqunits-built 1\0x\0ended\0source f 1\0", b"\xff\xfe"])
def test_a_record_that_is_none_is_none(api: Worker, layout: Layout, damage: bytes) -> None:
    was_built(api, layout)
    Path(layout.state, "built/api/record").write_bytes(damage)
    assert reason(api, layout) == "it was never built"


def test_names_of_any_kind_are_remembered(api: Worker, layout: Layout, folder: Path) -> None:
    for name in (b"a b", b"new\nline", b"\xff\xfe", "ß漢".encode()):
        Path(os.fsdecode(os.path.join(os.fsencode(folder), name))).write_text("")
    was_built(api, layout)
    assert reason(api, layout) == ""


def test_nothing_is_read_again_that_has_not_changed(folder: Path) -> None:
    """The recorded content is not that of the file, so the file was not opened."""
    first = sources(folder, {}, Scope())
    known = {
        path: source._replace(changed=(folder / path).stat().st_ctime_ns, content="as known")
        for path, source in first.items()
    }
    assert {source.content for source in sources(folder, known, Scope()).values()} == {"as known"}


def test_a_folder_without_a_bottom_is_not_looked_at(folder: Path) -> None:
    (folder / "/".join("d" * (MAX_DEPTH + 1))).mkdir(parents=True)
    with pytest.raises(TqunitsError, match="deep"):
        sources(folder, {}, Scope())


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other users")
def test_a_link_in_the_place_of_the_folder_shows_nothing(roots: Path) -> None:
    alice = roots / "alice"
    alice.mkdir()
    os.chown(alice, 40123, 40123)
    (alice / "api").symlink_to("/etc")
    with pytest.raises(OSError, match=r"symbolic links|Not a directory"):
        sources(alice / "api", {}, Scope())


def test_a_large_file_with_a_hole_costs_no_reading(folder: Path) -> None:
    (folder / "hole").write_bytes(b"")
    os.truncate(folder / "hole", 1 << 40)
    assert sources(folder, {}, Scope())["hole"].content.startswith(f"{1 << 40}-")


def test_a_build_in_place_knows_what_it_made(folder: Path, api: Worker, layout: Layout) -> None:
    """A file that existed before, and that the build has written to, is still a source, except the
    program itself."""
    mine = replace(layout, sysusers=None)
    own = replace(api, command=("bin/api",))
    for text in ("one", "two"):
        before = seen(own, mine)
        for name in ("bin/api", "lib/deep/made", "src/made"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        (folder / "run").write_text(f"written to: {text}")
        built.end_in_place(own, mine, before)
        assert seen(own, mine).reason == ""
        assert built.made(own, mine).roots == {"bin", "lib", "src/made"}
        (folder / "src/main.go").write_text(f"after {text}")
        assert seen(own, mine).reason == "src/main.go has changed"
