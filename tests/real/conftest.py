"""The router between programs that others have written. `make test-real` installs them and asks for
the mark `real`.

Who does not ask for the mark does not get these tests, whatever else is asked for: they need
programs that the others do without. A program that is missing is a failure with its name.
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
    """Short, for a socket's path has 108 bytes; everybody may look into it, or no static file is
    served from it."""
    with tempfile.TemporaryDirectory(prefix="tq", ignore_cleanup_errors=True) as path:
        Path(path).chmod(0o755)
        yield Path(path)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.real)
