"""The same sources, settings and tools have the same ID, whatever times say; a hostile repository
tells nothing but a revision."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from host.releases import API, layout_in, written
from hypothesis import given
from hypothesis import strategies as st

from tqunits.errors import TqunitsError
from tqunits.host import release_inputs, source_tree
from tqunits.host.release_inputs import Identified, identify
from tqunits.host.source_tree import Sources, TreeEntry
from tqunits.lifecycle.release import is_release_id

REVISION = "0123456789abcdef0123456789abcdef01234567"
OTHER = "f" * 40


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path / "api", main="program", lib__data="data")


def seen(
    folder: Path,
    *,
    without: tuple[str, ...] = (),
    recipe: str = "make",
    programs: tuple[str, ...] = ("sh",),
    known: Sources | None = None,
) -> Identified:
    return identify(folder, without=without, recipe=recipe, programs=programs, known=known or {})


def test_it_is_an_id_of_what_was_found(folder: Path) -> None:
    found = seen(folder)
    assert is_release_id(found.id)
    assert found.sources.keys() == {"main", "lib/data"}
    [tool] = found.toolchain
    assert tool.path == os.path.realpath("/bin/sh")
    assert tool.version == f"{os.stat('/bin/sh').st_size}-{os.stat('/bin/sh').st_mtime_ns}"


def nothing(folder: Path) -> None:
    pass


def other_times(folder: Path) -> None:
    os.utime(folder / "main", (0, 0))


def the_same_again(folder: Path) -> None:
    (folder / "main").unlink()
    (folder / "main").write_text("program")


def an_empty_folder(folder: Path) -> None:
    (folder / "empty").mkdir()


def a_repository(folder: Path) -> None:
    written(folder, **{".git/HEAD": REVISION})


def a_secret(folder: Path) -> None:
    written(folder, secret="s")
    (folder / "secret").chmod(0o600)


def another_mode(folder: Path) -> None:
    (folder / "main").chmod(0o664)


@pytest.mark.parametrize(
    "change", [nothing, other_times, the_same_again, an_empty_folder, a_repository, a_secret, another_mode]
)
def test_what_makes_no_other_release(folder: Path, change: Callable[[Path], None]) -> None:
    before = seen(folder)
    change(folder)
    assert seen(folder).id == before.id
    assert seen(folder, known=before.sources).id == before.id


def another_content(folder: Path) -> None:
    found = (folder / "main").stat()
    (folder / "main").write_text("PROGRAM")
    os.utime(folder / "main", ns=(found.st_atime_ns, found.st_mtime_ns))


def another_name(folder: Path) -> None:
    (folder / "main").rename(folder / "other")


def another_place(folder: Path) -> None:
    (folder / "main").rename(folder / "lib/main")


def is_executable(folder: Path) -> None:
    (folder / "main").chmod(0o755)


def one_more(folder: Path) -> None:
    written(folder, more="")


def one_less(folder: Path) -> None:
    (folder / "lib/data").unlink()


def a_link_for_a_file(folder: Path) -> None:
    (folder / "main").unlink()
    (folder / "main").symlink_to("program")


@pytest.mark.parametrize(
    "change", [another_content, another_name, another_place, is_executable, one_more, one_less, a_link_for_a_file]
)
def test_what_makes_another_release(folder: Path, change: Callable[[Path], None]) -> None:
    before = seen(folder)
    change(folder)
    assert seen(folder, known=before.sources).id != before.id
    assert seen(folder).id == seen(folder, known=before.sources).id


def test_other_settings_and_tools_make_another_release(folder: Path) -> None:
    ids = {
        seen(folder).id,
        seen(folder, recipe="make all").id,
        seen(folder, programs=("sh", "env")).id,
        seen(folder, programs=()).id,
        seen(folder, programs=("no-such-program",)).id,
    }
    assert len(ids) == 5
    assert seen(folder, recipe="make all").sources_digest == seen(folder).sources_digest


def test_what_is_excluded_does_not_count(folder: Path) -> None:
    before = seen(folder, without=("lib",))
    written(folder, lib__data="other")
    assert seen(folder, without=("lib",)).id == before.id
    assert seen(folder).id != before.id


@pytest.mark.parametrize("program", ["no-such-program", "/none", "./main", "lib/data", "/etc/passwd", "/etc", ""])
def test_what_is_no_program_of_the_host_has_no_version(folder: Path, program: str) -> None:
    assert [(tool.path, tool.version) for tool in seen(folder, programs=(program,)).toolchain] == [(program, "")]


def test_a_program_is_looked_at_once(folder: Path) -> None:
    assert len(seen(folder, programs=("sh", "sh", "/bin/sh")).toolchain) == 2


def test_a_file_whose_status_is_the_same_is_not_read_again(folder: Path) -> None:
    now = seen(folder).sources["main"]
    status = (folder / "main").stat()
    remembered = now._replace(content="remembered", changed=status.st_ctime_ns)
    assert seen(folder, known={"main": remembered}).sources["main"].content == "remembered"
    vague = remembered._replace(content="7-1")  # an earlier walk knew it by size and time alone
    assert seen(folder, known={"main": vague}).sources["main"].content == now.content


def test_a_folder_that_is_too_large_to_be_known_is_refused(folder: Path) -> None:
    os.truncate(folder / "main", source_tree.MAX_READ_EXACTLY + 1)
    with pytest.raises(TqunitsError, match="more than 16 GiB"):
        seen(folder)


def test_what_was_found_is_remembered(tmp_path: Path, folder: Path) -> None:
    layout = layout_in(tmp_path / "state")
    assert release_inputs.known_sources(API, layout) == {}
    (folder / "a\nb \udcff c").write_text("x")
    found = seen(folder).sources
    release_inputs.remember(API, layout, found)
    assert release_inputs.known_sources(API, layout) == found
    record = tmp_path / "state/releases/api/inputs"
    assert record.stat().st_mode & 0o777 == 0o600
    for text in (b"", b"tqunits-inputs 2\0", b"tqunits-inputs 1\0x\0", b"\xff\0"):
        record.write_bytes(text)
        assert release_inputs.known_sources(API, layout) == {}


paths = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1)


@given(paths, st.sampled_from("lfx"), st.integers(0), st.integers(), st.integers(0))
def test_a_row_comes_back(path: str, kind: str, size: int, modified: int, changed: int) -> None:
    entry = TreeEntry(kind, size, modified, changed, "ab")
    assert source_tree.parse_row(source_tree.row_text(path, entry)) == (path, entry)


# --- the revision ---


def repository(folder: Path, **contents: str) -> None:
    written(folder / ".git", **contents)


HOLDS: dict[str, tuple[dict[str, str], str | None]] = {
    "branch": ({"HEAD": "ref: refs/heads/main\n", "refs/heads/main": f"{REVISION}\n"}, REVISION),
    "deep-branch": ({"HEAD": "ref: refs/heads/a/b\n", "refs/heads/a/b": f"{REVISION}\n"}, REVISION),
    "detached": ({"HEAD": f"{REVISION}\n"}, REVISION),
    "sha256": ({"HEAD": "a" * 64}, "a" * 64),
    "packed": (
        {
            "HEAD": "ref: refs/heads/main",
            "packed-refs": f"# pack-refs\n{OTHER} refs/heads/mainly\n{REVISION} refs/heads/main\n^{OTHER}\n",
        },
        REVISION,
    ),
    "loose-before-packed": (
        {
            "HEAD": "ref: refs/heads/main",
            "refs/heads/main": REVISION,
            "packed-refs": f"{OTHER} refs/heads/main\n",
        },
        REVISION,
    ),
    "name-for-a-name": (
        {"HEAD": "ref: refs/heads/a", "refs/heads/a": "ref: refs/heads/b", "refs/heads/b": REVISION},
        REVISION,
    ),
    "circle": ({"HEAD": "ref: refs/heads/a", "refs/heads/a": "ref: refs/heads/a"}, None),
    "nothing-yet": ({"HEAD": "ref: refs/heads/main\n"}, None),
    "no-head": ({"config": ""}, None),
    "empty": ({"HEAD": ""}, None),
    "no-revision": ({"HEAD": "root:x:0:0"}, None),
    "upper-case": ({"HEAD": "A" * 40}, None),
    "out": ({"HEAD": "ref: refs/../../../secret", "../secret": REVISION}, None),
    "absolute": ({"HEAD": "ref: /etc/passwd"}, None),
    "not-refs": ({"HEAD": "ref: config", "config": REVISION}, None),
    "empty-name": ({"HEAD": "ref: refs//heads", "refs/heads": REVISION}, None),
    "long": ({"HEAD": f"{REVISION}{' ' * release_inputs.MAX_REFERENCE}"}, None),
    "a-folder": ({"HEAD": "ref: refs/heads", "refs/heads/main": REVISION}, None),
}


@pytest.mark.parametrize(("contents", "expected"), HOLDS.values(), ids=HOLDS)
def test_the_revision_of_a_repository(folder: Path, contents: dict[str, str], expected: str | None) -> None:
    repository(folder, **contents)
    assert release_inputs.revision(folder) == expected


def test_a_folder_of_a_repository_has_its_revision(folder: Path) -> None:
    repository(folder, HEAD=REVISION)
    assert release_inputs.revision(folder / "lib") == REVISION


def test_without_a_repository_there_is_none(roots: Path) -> None:
    assert release_inputs.revision(roots) is None


def head_is_a_link(folder: Path, secret: Path) -> None:
    (folder / ".git").mkdir()
    (folder / ".git/HEAD").symlink_to(secret)


def branch_is_a_link(folder: Path, secret: Path) -> None:
    repository(folder, **{"HEAD": "ref: refs/heads/main", "refs/heads/x": ""})
    (folder / ".git/refs/heads/main").symlink_to(secret)


def branches_are_a_link(folder: Path, secret: Path) -> None:
    repository(folder, **{"HEAD": f"ref: refs/heads/{secret.name}", "refs/x": ""})
    (folder / ".git/refs/heads").symlink_to(secret.parent)


def packed_is_a_link(folder: Path, secret: Path) -> None:
    repository(folder, HEAD="ref: refs/heads/main")
    (folder / ".git/packed-refs").symlink_to(secret)


def head_is_a_pipe(folder: Path, _: Path) -> None:
    (folder / ".git").mkdir()
    os.mkfifo(folder / ".git/HEAD")


def it_is_a_file(folder: Path, secret: Path) -> None:
    (folder / ".git").write_text(f"gitdir: {secret.parent}")


def it_is_a_pipe(folder: Path, _: Path) -> None:
    os.mkfifo(folder / ".git")


@pytest.mark.parametrize(
    "trick",
    [
        head_is_a_link,
        branch_is_a_link,
        branches_are_a_link,
        packed_is_a_link,
        head_is_a_pipe,
        it_is_a_file,
        it_is_a_pipe,
    ],
)
def test_nothing_outside_of_it_is_read(folder: Path, tmp_path: Path, trick: Callable[[Path, Path], None]) -> None:
    secret = written(tmp_path / "secret", HEAD=REVISION) / "HEAD"
    secret.write_text(f"{REVISION} refs/heads/main\n" if trick is packed_is_a_link else REVISION)
    trick(folder, secret)
    assert release_inputs.revision(folder) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other users")
def test_a_link_of_somebody_elses_to_a_repository_is_not_followed(roots: Path) -> None:
    folder = written(roots / "api", main="m")
    repository(roots / "other", HEAD=REVISION)
    (folder / ".git").symlink_to(roots / "other/.git")
    os.chown(folder / ".git", 40123, 40123, follow_symlinks=False)
    assert release_inputs.revision(folder) is None
