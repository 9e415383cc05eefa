"""The router together with programs of other projects. `make test-real` installs them and selects
the mark `real`.

These tests run only if the mark `real` is selected, whatever else is selected: they need programs
that the other tests do not. If a program is missing, the test fails with its name.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "proxy"))  # peers: the real router as a process


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path, because a socket's path has at most 108 bytes. Everybody may read
    it; otherwise no static file would be served from it."""
    with tempfile.TemporaryDirectory(prefix="tq", ignore_cleanup_errors=True) as path:
        Path(path).chmod(0o755)
        yield Path(path)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.real)
