"""The record of what builds have made in a worker's folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from host.releases import API, layout_in

from tqunits.errors import TqunitsError
from tqunits.host import made_paths


def test_what_is_written_is_read(tmp_path: Path) -> None:
    layout = layout_in(tmp_path)
    assert made_paths.read(API, layout) == frozenset()
    for paths in ({"app", "new\nline", os.fsdecode(b"\xff"), "deep/er", " "}, set[str]()):
        made_paths.write(API, layout, paths)
        assert made_paths.read(API, layout) == paths
        assert not stat.S_IMODE(Path(layout.made(API)).stat().st_mode) & 0o007


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"", set[str]()), (b"cut", set[str]()), (b"a\0cut", {"a"}), (b"a\0\0", {"a", ""})],
)
def test_what_is_cut_off_is_left_out(tmp_path: Path, content: bytes, expected: set[str]) -> None:
    layout = layout_in(tmp_path)
    path = Path(layout.made(API))
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert made_paths.read(API, layout) == expected


def test_a_build_that_makes_names_without_end_does_not_fill_the_managers_memory(tmp_path: Path) -> None:
    layout = layout_in(tmp_path)
    made_paths.write(API, layout, [f"{number:0200}" for number in range(made_paths.MOST // 200)])
    with pytest.raises(TqunitsError, match="sources can not be told from them"):
        made_paths.read(API, layout)
