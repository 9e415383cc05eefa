"""A folder that is soon full."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tqunits.system.process import run


@contextmanager
def small_disk(place: Path, mebibytes: int) -> Iterator[Path]:
    """Mount a file system of this size there, for a while. Skips the test without the right."""
    place.mkdir()
    if run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}M", "tmpfs", str(place)]).returncode != 0:
        pytest.skip("may not mount")
    yield place
    run(["umount", str(place)])
