"""When a file that a worker is given was changed last."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tqunits.host.old_runs import changed_us

LONG_AGO = (1, 1)


def ctime_us(path: Path) -> int:
    return path.lstat().st_ctime_ns // 1000


def test_a_file_that_brings_an_old_time_along_is_as_new_as_its_arrival(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("old")
    os.utime(key, LONG_AGO)
    assert changed_us(str(key)) == ctime_us(key)


def test_a_time_of_writing_that_is_later_counts(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("x")
    later = key.stat().st_ctime_ns + 10**12
    os.utime(key, ns=(later, later))
    assert changed_us(str(key)) == later // 1000


def test_each_link_on_the_way_counts(tmp_path: Path) -> None:
    """`..` in a link, and a link to an absolute path."""
    (tmp_path / "one").mkdir()
    key = tmp_path / "one/key"
    key.write_text("x")
    (tmp_path / "two").mkdir()
    (tmp_path / "two/now").symlink_to("../one")
    (tmp_path / "last").symlink_to(tmp_path / "two")
    paths = (key, tmp_path / "two/now", tmp_path / "last")
    for link in paths:
        later = max(map(ctime_us, paths)) + 10**9
        os.utime(link, ns=(later * 1000, later * 1000), follow_symlinks=False)
        assert changed_us(f"{tmp_path}/last/./now//key") == later


def test_the_files_of_a_folder_count(tmp_path: Path) -> None:
    key = tmp_path / "keys/key"
    key.parent.mkdir()
    key.write_text("x")
    later = ctime_us(key) + 10**9
    os.utime(key, ns=(later * 1000, later * 1000))
    assert changed_us(str(tmp_path / "keys")) == later


@pytest.mark.parametrize("name", ["gone", "gone/key", "nowhere", "loop", "file/key"])
def test_what_is_not_there_was_never_changed(tmp_path: Path, name: str) -> None:
    (tmp_path / "nowhere").symlink_to("gone")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_text("x")
    assert changed_us(str(tmp_path / name)) == 0
