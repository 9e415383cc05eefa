"""A file in a folder of somebody else's is read within bounds; it is nothing but a regular file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tqunits.errors import TqunitsError
from tqunits.system.survey import read_for_root

OWNER = 40123
TEXT = b"an order"


def test_a_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    (tmp_path / "order").write_bytes(TEXT)
    assert read_for_root(tmp_path / "order", len(TEXT)) == TEXT
    with pytest.raises(TqunitsError, match=f"order: longer than {len(TEXT) - 1} bytes"):
        read_for_root(tmp_path / "order", len(TEXT) - 1)


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir], ids=["a pipe", "a folder"])
def test_what_is_no_file_is_not_read(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "order")
    open_before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(TqunitsError, match="order is not a regular file"):
        read_for_root(tmp_path / "order", 100)
    assert len(os.listdir("/proc/self/fd")) == open_before


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other users")
def test_on_the_way_only_a_link_of_roots_is_followed(roots: Path) -> None:
    (roots / "secret").mkdir()
    (roots / "secret/order").write_bytes(TEXT)
    (roots / "orders").symlink_to("secret")
    assert read_for_root(roots / "orders/order", 100) == TEXT
    for path in (roots, roots / "orders"):
        os.chown(path, OWNER, OWNER, follow_symlinks=False)
    with pytest.raises(NotADirectoryError):
        read_for_root(roots / "orders/order", 100)


def test_a_link_in_the_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(TEXT)
    (tmp_path / "order").symlink_to("secret")
    with pytest.raises(OSError, match="symbolic links"):
        read_for_root(tmp_path / "order", 100)
