"""A folder that is mounted somewhere is found in every mount namespace."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tqunits.system import mounts

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts")


@contextmanager
def elsewhere(script: str) -> Iterator[None]:
    """A process in a mount namespace of its own, in which this script has been run."""
    asked, told = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(asked[0], 0)
        os.dup2(told[1], 1)
        os.closerange(3, 64)
        os.execvp("unshare", ["unshare", "-m", "sh", "-c", f"{script} && echo done; read end"])
    os.close(asked[0])
    os.close(told[1])
    try:
        if os.read(told[0], 5) != b"done\n":
            pytest.skip("may not mount")
        yield
    finally:
        os.close(asked[1])
        os.waitpid(child, 0)
        os.close(told[0])


@pytest.mark.parametrize("name", ["plain", "with space", "back\\slash", "new\nline", "tab\t\\040"])
def test_it_is_found_in_another_namespace(roots: Path, name: str) -> None:
    folder, point = roots / name / "below", roots / "point"
    folder.mkdir(parents=True)
    point.mkdir()
    place = mounts.place_of(folder)
    assert place not in set(mounts.everywhere())
    with elsewhere(f"mount --bind '{folder}' '{point}'"):
        assert place in set(mounts.everywhere())
        assert not list(point.parent.glob("point/*"))
    assert place not in set(mounts.everywhere())


def test_a_folder_that_is_not_there_has_no_place(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        mounts.place_of(tmp_path / "none")


def test_the_root_has_a_place() -> None:
    assert mounts.place_of(Path("/")) in set(mounts.everywhere())
