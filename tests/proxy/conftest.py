"""Fixtures of the router's tests: a folder with a short path (a socket's path has at most 108
bytes), and a check for open descriptors."""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder() -> Iterator[Path]:
    """Everybody may read it; otherwise the router would serve nothing from below it."""
    with tempfile.TemporaryDirectory(prefix="tq") as path:
        Path(path).chmod(0o755)
        yield Path(path)


@pytest.fixture
def no_descriptor_is_left() -> Iterator[None]:
    gc.collect()  # descriptors that earlier tests forgot to close
    gc.freeze()  # the objects that stay need not be looked through again before the next one
    before = sorted(os.listdir("/proc/self/fd"))
    yield
    assert sorted(os.listdir("/proc/self/fd")) == before
