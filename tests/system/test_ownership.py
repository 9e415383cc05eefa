"""Paths that only root can change, in all their folders, and paths that another user may change."""

import os
import socket
from pathlib import Path

import pytest

from tqunits.system.ownership import anchor, first_not_roots, is_roots, open_below

ALICE = 40123


def _of(path: Path, users: frozenset[int] = frozenset({0})) -> tuple[str, tuple[str, ...]]:
    with anchor(path, users=users) as found:
        assert os.readlink(f"/proc/self/fd/{found.descriptor}") == str(found.path)
        return str(found.path), found.rest


def test_a_file_of_roots_in_folders_of_roots(roots: Path) -> None:
    (roots / "file").write_text("x")
    assert _of(roots / "file") == (str(roots / "file"), ())
    assert is_roots(roots / "file")


def test_a_name_that_is_not_there_is_left(roots: Path) -> None:
    assert _of(roots / "a" / "b") == (str(roots), ("a", "b"))
    assert not is_roots(roots / "a")


@pytest.mark.parametrize(
    ("mode", "owner", "group", "is_root"),
    [
        pytest.param(0o755, 0, 0, True, id="root's"),
        pytest.param(0o775, 0, 0, True, id="root's group may write"),
        pytest.param(0o775, 0, ALICE, False, id="another group may write"),
        pytest.param(0o755, 0, ALICE, True, id="another group may read"),
        pytest.param(0o757, 0, 0, False, id="everybody may write"),
        pytest.param(0o1777, 0, 0, False, id="the sticky bit"),
        pytest.param(0o755, ALICE, 0, False, id="another's"),
        pytest.param(0o500, ALICE, ALICE, False, id="another's, who may chmod it"),
    ],
)
def test_a_folder_on_the_way(roots: Path, mode: int, owner: int, group: int, *, is_root: bool) -> None:
    folder = roots / "folder"
    folder.mkdir()
    (folder / "file").write_text("x")
    os.chown(folder, owner, group)
    folder.chmod(mode)
    expected = (str(folder / "file"), ()) if is_root else (str(roots), ("folder", "file"))
    assert _of(folder / "file") == expected


def test_a_file_of_somebody_else(roots: Path) -> None:
    file = roots / "file"
    file.write_text("x")
    os.chown(file, ALICE, ALICE)
    assert _of(file) == (str(roots), ("file",))
    assert _of(file, frozenset({0, ALICE})) == (str(file), ())


def test_a_link_of_roots_is_followed_and_one_of_somebody_else_is_not(roots: Path) -> None:
    (roots / "real").mkdir()
    (roots / "real" / "file").write_text("x")
    (roots / "link").symlink_to("real")
    (roots / "absolute").symlink_to(roots / "link")
    assert _of(roots / "absolute" / "file") == (str(roots / "real" / "file"), ())
    alices = roots / "alice"
    alices.mkdir()
    (alices / "link").symlink_to("/etc")
    os.chown(alices, ALICE, ALICE)
    assert _of(alices / "link" / "shadow") == (str(roots), ("alice", "link", "shadow"))
    (roots / "to-alice").symlink_to("alice/link")
    assert _of(roots / "to-alice" / "shadow") == (str(roots), ("alice", "link", "shadow"))


def test_links_with_two_dots(roots: Path) -> None:
    (roots / "a").mkdir()
    (roots / "file").write_text("x")
    (roots / "a" / "up").symlink_to("../file")
    assert _of(roots / "a" / "up") == (str(roots / "file"), ())
    os.chown(roots / "a", ALICE, ALICE)
    with pytest.raises(OSError, match=r"'\.\.'"):
        _of(roots / "a" / ".." / "file")


def test_links_in_a_circle(roots: Path) -> None:
    (roots / "a").symlink_to("b")
    (roots / "b").symlink_to("a")
    with pytest.raises(OSError, match="Too many levels"):
        _of(roots / "a")


def test_a_path_through_a_file(roots: Path) -> None:
    (roots / "file").write_text("x")
    with pytest.raises(NotADirectoryError):
        _of(roots / "file" / "x")


def test_a_relative_path_is_none() -> None:
    with pytest.raises(OSError, match="absolute"):
        anchor("etc/shadow")


def test_no_descriptor_is_left(roots: Path) -> None:
    (roots / "a").symlink_to("a")
    (roots / "file").write_text("x")
    before = len(os.listdir("/proc/self/fd"))
    for path in (roots, roots / "file", roots / "none", roots / "a", roots / "file" / "x"):
        try:
            anchor(path).close()
        except OSError:
            continue
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_is_opened_below_a_folder(roots: Path) -> None:
    (roots / "a" / "b").mkdir(parents=True)
    (roots / "a" / "b" / "file").write_text("x")
    (roots / "a" / "link").symlink_to("b")
    (roots / "a" / "b" / "link").symlink_to("/etc/shadow")
    with anchor(roots) as found:
        descriptor = open_below(found.descriptor, ("a", "b", "file"), os.O_RDONLY)
        assert os.read(descriptor, 10) == b"x"
        os.close(descriptor)
        for names in (("a", "link", "file"), ("a", "b", "link")):
            with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
                open_below(found.descriptor, names, os.O_RDONLY)


def test_a_socket_is_a_file_like_any_other(roots: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(roots / "s"))
        assert _of(roots / "s") == (str(roots / "s"), ())


def place(path: Path) -> str:
    found = first_not_roots(path)
    assert found is not None
    return str(found.path)


def test_the_first_name_that_is_not_roots(roots: Path) -> None:
    folder = roots / "folder"
    folder.mkdir()
    (folder / "file").write_text("x")
    assert first_not_roots(folder / "file") is None
    os.chown(folder / "file", ALICE, 0)
    assert place(folder / "file") == str(folder / "file")
    os.chown(folder, ALICE, 0)
    assert place(folder / "file") == str(folder)
    assert place(folder / "missing") == str(folder)
    (roots / "link").symlink_to("folder")
    assert place(roots / "link" / "file") == str(folder)
    (roots / "circle").symlink_to("circle")
    assert place(roots / "circle") == str(roots / "circle")


def test_whoever_asks_it_is_about_root(roots: Path) -> None:
    (roots / "file").write_text("x")
    os.chown(roots / "file", ALICE, 0)
    os.seteuid(ALICE)
    try:
        assert place(roots / "file") == str(roots / "file")
    finally:
        os.seteuid(0)
