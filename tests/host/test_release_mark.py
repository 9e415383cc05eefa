"""The release in a file `serving`, whatever a worker makes of that file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from host.hostile_marks import MARK, RELEASE, WITHOUT

from tqunits.system.release_mark import release_in


def test_the_release_is_read(tmp_path: Path) -> None:
    (tmp_path / "serving").write_text(MARK)
    assert release_in(str(tmp_path / "serving")) == RELEASE


@pytest.mark.parametrize("make", WITHOUT)
def test_there_is_none(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "serving")
    assert release_in(str(tmp_path / "serving")) is None


def test_no_file_has_none(tmp_path: Path) -> None:
    assert release_in(str(tmp_path / "api/serving")) is None
