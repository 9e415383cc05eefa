"""A look at the folder of a worker: what counts, what is watched, and what a hostile tree gets."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import pytest
from host.releases import written

from tqunits.errors import NotPermitted, TqunitsError
from tqunits.host.source_tree import FILE, Scope, Sources, TreeEntry, sources
from tqunits.host.watched_tree import MAX_TREE_TEXT, MAX_WATCHED_PATHS, TreeLook, change_in_words, look
from tqunits.lifecycle import ignoring
from tqunits.lifecycle.release import MAX_MESSAGE
from tqunits.system.survey import MAX_DEPTH
from tqunits.units.watch_note import WatchNote

ALL = WatchNote(paths=(".",), ignore=(), without=(), debounce=100_000, max_wait=2_000_000, may_write=False)
ALICE = 12345


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path / "api", **{"main.go": "package main", "lib/data.txt": "data", "lib/deep/er.go": "er"})


def seen(
    folder: Path, note: WatchNote = ALL, *, known: Sources | None = None, results: Collection[str] = ()
) -> tuple[TreeLook, list[str]]:
    """A look, and the folders that it wants to have watched."""
    watched: list[str] = []
    found = look(folder, note, known or {}, results=results, watch=lambda _, path: watched.append(path))
    assert found.folders == len(watched)
    assert found.took > 0
    return found, sorted(watched)


def test_all_counts_but_what_is_no_source(folder: Path) -> None:
    written(folder, **{"config/worker.yaml": "a", "config/app.toml": "b", ".git/HEAD": "c", "__pycache__/x.pyc": "d"})
    found, watched = seen(folder)
    assert found.sources.keys() == {"main.go", "lib/data.txt", "lib/deep/er.go", "config/app.toml"}
    assert watched == ["", "config", "lib", "lib/deep"]


def test_a_folder_is_watched_before_it_is_listed(folder: Path) -> None:
    """What appears in between is found."""

    def watch(descriptor: int, path: str) -> None:
        assert os.path.samestat(os.fstat(descriptor), (folder / path).stat())
        (folder / path / "new").write_text(path)

    found = look(folder, ALL, {}, results=(), watch=watch)
    assert {"new", "lib/new", "lib/deep/new"} < found.sources.keys()


def test_what_is_ignored_is_neither_listed_nor_watched(folder: Path) -> None:
    written(folder, **{"node_modules/a/b.js": "1", "app.log": "2", "tmp/x": "3", "made/x": "4", "state/x": "5"})
    written(folder, **{".gitignore": "/tmp\n", "lib/.gitignore": "deep/\n"})
    note = replace(ALL, without=("state",), ignore=("data.*",))
    found, watched = seen(folder, note, results={"made"})
    assert found.sources.keys() == {"main.go", ".gitignore", "lib/.gitignore"}
    assert watched == ["", "lib"]


def test_what_worker_yaml_takes_back(folder: Path) -> None:
    written(folder, **{".gitignore": "*.txt\n", "venv/x": "1"})
    found, watched = seen(folder, replace(ALL, ignore=("!data.txt", "!venv/")))
    assert found.sources.keys() == {"main.go", ".gitignore", "lib/data.txt", "lib/deep/er.go", "venv/x"}
    assert watched == ["", "lib", "lib/deep", "venv"]


def test_paths_that_are_named(folder: Path) -> None:
    written(folder, **{"a/b/c/x": "1", "a/b/y": "2", "a/.gitignore": "skipped\n", "a/b/c/skipped": "3", "z/x": "4"})
    found, watched = seen(folder, replace(ALL, paths=("a/b/c", "main.go")))
    assert found.sources.keys() == {"main.go", "a/b/c/x"}
    assert watched == ["", "a", "a/b", "a/b/c"]


NO_CHANGE = {
    "touch": lambda f: os.utime(f / "main.go", (0, 0)),
    "the same content": lambda f: (f / "main.go").write_text("package main"),
    "a new file with the same content": lambda f: replaced(f / "main.go", "package main"),
    "an empty folder": lambda f: (f / "empty").mkdir(),
    "an editor's file": lambda f: (f / ".main.go.swp").write_text("x"),
    "a mode that no one sees": lambda f: (f / "main.go").chmod(0o664),
}
CHANGES = {
    "another content": lambda f: (f / "main.go").write_text("package mine"),
    "another file": lambda f: replaced(f / "main.go", "package mine"),
    "a file more": lambda f: (f / "lib/new").write_text(""),
    "a file less": lambda f: (f / "main.go").unlink(),
    "executable": lambda f: (f / "main.go").chmod(0o755),
    "closed": lambda f: (f / "main.go").chmod(0o600),
    "another name": lambda f: (f / "lib").rename(f / "lab"),
    "a rule": lambda f: (f / ".gitignore").write_text("*.txt"),
}


def replaced(path: Path, text: str) -> None:
    """As editors do that write beside the file, and rename."""
    beside = path.with_name("beside")
    beside.write_text(text)
    beside.rename(path)


@pytest.mark.parametrize("change", NO_CHANGE.values(), ids=NO_CHANGE)
def test_it_is_the_same_content(folder: Path, change: Callable[[Path], object]) -> None:
    before, _ = seen(folder)
    change(folder)
    now, _ = seen(folder, known=before.sources)
    assert now.digest == before.digest == seen(folder)[0].digest


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_it_is_another_content(folder: Path, change: Callable[[Path], object]) -> None:
    before, _ = seen(folder)
    change(folder)
    now, _ = seen(folder, known=before.sources)
    assert now.digest != before.digest
    assert now.digest == seen(folder)[0].digest


def test_a_link_switch_is_one_change(folder: Path) -> None:
    written(folder, **{"releases/1/x": "1", "releases/2/x": "2"})
    (folder / "current").symlink_to("releases/1")
    before, _ = seen(folder)
    (folder / "next").symlink_to("releases/2")
    (folder / "next").rename(folder / "current")
    now, _ = seen(folder, known=before.sources)
    assert change_in_words(before.sources, now.sources) == "current has changed"


def test_what_an_event_tells(folder: Path) -> None:
    written(folder, **{".gitignore": "*.txt\n/deep\n", "lib/.gitignore": "!kept.txt\n/here\n"})
    note = replace(ALL, ignore=("mine",), without=("state",))
    rules = seen(folder, note, results=("made",))[0].rules
    no_sources = ["a.txt", "lib/deep/a.txt", "lib/here", "mine", "state", "made", ".git", "lib/4913"]
    no_sources += ["config/worker.yaml"]
    edits = ["main.go", "kept", "lib/kept.txt", "lib/deep/here", ".gitignore", "lib/.gitignore", "new.go"]
    assert [path for path in no_sources if not rules.is_ignored(path, is_folder=False)] == []
    assert [path for path in edits if rules.is_ignored(path, is_folder=False)] == []
    assert rules.is_ignored("deep", is_folder=True)
    assert not rules.is_ignored("lib/deep", is_folder=True)


def test_what_an_event_tells_is_what_a_look_finds(folder: Path) -> None:
    written(folder, **{".gitignore": "*.txt\n/deep\n", "lib/.gitignore": "!data.txt\n/deep/*.go\n", "lib/x.log": "1"})
    written(folder, **{"a/b/x.txt": "2", "a/b/y": "3", "state/x": "4", "deep/x": "5", "z": "6"})
    for note in (ALL, replace(ALL, paths=("a", "lib/data.txt"), without=("state",))):
        found, watched = seen(folder, note)
        names = [path.relative_to(folder) for each in watched for path in (folder / each).iterdir() if path.is_file()]
        told = {str(path) for path in names if not found.rules.is_ignored(str(path), is_folder=False)}
        rules = {path for path in told if Path(path).name == ".gitignore"}
        assert told - rules == found.sources.keys() - rules
        assert len(rules) == 2


def test_what_an_event_tells_beside_the_paths_that_are_named(folder: Path) -> None:
    rules = seen(folder, replace(ALL, paths=("lib/deep",)))[0].rules
    assert [rules.is_ignored(path, is_folder=False) for path in ("x", "lib/x")] == [True, True]
    edits = ["lib/deep", "lib/deep/x", "lib/.gitignore"]
    assert [path for path in edits if rules.is_ignored(path, is_folder=False)] == []
    assert [rules.is_ignored(path, is_folder=True) for path in ("lib", "src", "lib/deep/x")] == [False, True, False]


def a_link(place: Path) -> None:
    place.symlink_to("/etc/passwd")


def a_closed_one(place: Path) -> None:
    place.write_text("*")
    place.chmod(0o600)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, a_link, a_closed_one])
def test_a_gitignore_that_is_none(folder: Path, make: Callable[[Path], None]) -> None:
    before, _ = seen(folder)
    make(folder / ".gitignore")
    assert {path for path in seen(folder)[0].sources if path != ".gitignore"} == before.sources.keys()


def too_long(folder: Path) -> None:
    written(folder, **{"lib/.gitignore": "#" * (ignoring.MAX_TEXT + 1)})


def too_many(folder: Path) -> None:
    written(folder, **{"lib/.gitignore": "a\n" * (ignoring.MAX_PATTERNS + 1)})


def too_many_in_all(folder: Path) -> None:
    written(folder, **{f"{number}/.gitignore": "a\n" * 1000 for number in range(6)})


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (too_long, r"lib/\.gitignore has more than 64 KiB"),
        (too_many, r"lib/\.gitignore and those above it have more than 1000 patterns"),
        (too_many_in_all, r"its \.gitignore files have more than 5000 patterns"),
    ],
)
def test_a_gitignore_beyond_a_bound_is_told_and_can_be_left_out(
    folder: Path, make: Callable[[Path], None], expected: str
) -> None:
    make(folder)
    with pytest.raises(TqunitsError, match=expected) as caught:
        seen(folder)
    assert caught.value.hint == "name it in watch.ignore of its worker.yaml: then it is not read"
    assert "main.go" in seen(folder, replace(ALL, ignore=(".gitignore",)))[0].sources


def test_bounds_of_a_tree(tmp_path: Path) -> None:
    (tmp_path / "/".join(["d"] * MAX_DEPTH)).mkdir(parents=True)
    with pytest.raises(TqunitsError, match=f"{tmp_path}: it has folders more than {MAX_DEPTH} deep") as caught:
        seen(tmp_path)
    assert caught.value.hint == "name what is no source in watch.ignore of its worker.yaml"
    assert seen(tmp_path, replace(ALL, ignore=("/d/d/",)))[1] == ["", "d"]


def test_a_tree_may_have_so_many_names(folder: Path) -> None:
    assert len(sources(folder, {}, Scope(most=5))) == 3
    with pytest.raises(TqunitsError, match="it has more than 4 files and folders"):
        sources(folder, {}, Scope(most=4))


def test_long_paths_count(folder: Path) -> None:
    """In a deep folder with long names twenty thousand files would take more than a GiB."""
    deep = folder
    for _ in range(8):
        deep = deep / ("n" * 255)
    deep.mkdir(parents=True)
    few, _ = seen(folder)
    length = len(str((deep / "0").relative_to(folder)))
    for number in range(MAX_WATCHED_PATHS // length + 1):
        (deep / str(number)).symlink_to("x")
    with pytest.raises(TqunitsError, match="the paths of its files have more than 16 Mi characters"):
        seen(folder)
    for each in deep.iterdir():
        if each.name != "0":
            each.unlink()
    more, _ = seen(folder)
    assert more.rows >= few.rows + 1 + length // 256


def test_gitignore_files_may_have_so_much_text(folder: Path) -> None:
    """What is made of them stays in the manager's memory."""
    one = "# a comment that is as long as a line may be\n" * 1000
    count = MAX_TREE_TEXT // len(one)
    written(folder, **{f"{number}/.gitignore": one for number in range(count)})
    seen(folder)
    written(folder, **{"more/.gitignore": one})
    with pytest.raises(TqunitsError, match=r"its \.gitignore files have more than 128 KiB") as caught:
        seen(folder)
    assert caught.value.hint == "name it in watch.ignore of its worker.yaml: then it is not read"


@pytest.mark.root
def test_a_folder_that_is_closed_to_us(roots: Path) -> None:
    written(roots, **{"own/api/main.go": "1"})
    (roots / "own").chmod(0o700)
    assert refused(roots / "own/api") == (f"others may not enter {roots}/own", f"chmod o+x {roots}/own")
    (roots / "own").chmod(0o755)
    (roots / "own/api").chmod(0o711)
    assert refused(roots / "own/api") == (f"others may not list {roots}/own/api", f"chmod o+rx {roots}/own/api")


def refused(folder: Path) -> tuple[str, str | None]:
    """What an unprivileged process is told."""
    os.seteuid(ALICE)
    try:
        with pytest.raises(NotPermitted) as caught:
            seen(folder)
    finally:
        os.seteuid(0)
    return caught.value.message, caught.value.hint


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        seen(tmp_path / "gone")


def rows(*paths: str, content: str = "1") -> Sources:
    return {path: TreeEntry(FILE, 1, 1, 1, content) for path in paths}


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        pytest.param(rows("a"), rows("a", content="2"), "a has changed", id="changed"),
        pytest.param(rows("a"), rows("a", "b"), "b is new", id="new"),
        pytest.param(rows("a", "b"), rows("a"), "b is gone", id="gone"),
        pytest.param(rows(), rows("c", "b", "a"), "3 files have changed: a, b, c", id="three"),
        pytest.param(rows(), rows(*map(str, range(200))), "200 files have changed: 0, 1, 10 and 197 more", id="many"),
        pytest.param(rows(), rows("a\x1b\n"), "a\\x1b\\n is new", id="not printable"),
    ],
)
def test_words(before: Sources, now: Sources, expected: str) -> None:
    assert change_in_words(before, now) == expected


def test_words_are_bounded() -> None:
    now = rows(*("\n" * 4000 + str(number) for number in range(10)))
    told = change_in_words({}, now)
    assert told.isprintable()
    assert len(told) <= MAX_MESSAGE
    assert told.endswith(" and 7 more")
    assert len(change_in_words({}, rows("\n" * 4000))) <= MAX_MESSAGE
