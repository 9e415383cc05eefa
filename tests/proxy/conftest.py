"""What the router's tests share: a short folder, because a socket's path has 108 bytes, and a look
at descriptors."""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder() -> Iterator[Path]:
    """Everybody may look into it: else the router would serve nothing from below it."""
    with tempfile.TemporaryDirectory(prefix="tq") as path:
        Path(path).chmod(0o755)
        yield Path(path)


@pytest.fixture
def no_descriptor_is_left() -> Iterator[None]:
    gc.collect()  # what tests before this one forgot to close
    gc.freeze()  # what stays need not be looked through again before the next one
    before = sorted(os.listdir("/proc/self/fd"))
    yield
    assert sorted(os.listdir("/proc/self/fd")) == before
