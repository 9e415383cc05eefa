"""Says to the routers which workers an administrator has stopped: /run/tqunits/traffic.json (routing/traffic.py)."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tqunits.errors import TqunitsError
from tqunits.model import Layout
from tqunits.routing.traffic import EVERYBODY, FILE, MAX_TRAFFIC, Traffic, parse_traffic, traffic_text
from tqunits.system import files

_MODE = 0o644


def stop(layout: Layout, workers: Collection[str]) -> None:
    """These are stopped, and nobody is to wait for them. Raises OSError."""
    with _locked(layout) as path:
        now = time.time_ns() // 1000
        _write(path, {**_read(path).stopped, **dict.fromkeys(workers, now)})


def wanted(layout: Layout, workers: Collection[str]) -> None:
    """These are started, or are to be: requests wait for them. Raises OSError."""
    if _read(Path(layout.runtime) / FILE).stopped.keys().isdisjoint(workers):
        return
    with _locked(layout) as path:
        _write(path, {name: then for name, then in _read(path).stopped.items() if name not in workers})


def _write(path: Path, stopped: Mapping[str, int]) -> None:
    if stopped:
        files.write_atomically(path, traffic_text(stopped), _MODE)
    else:
        files.remove(path)


def _read(path: Path) -> Traffic:
    """What does not read is written anew."""
    try:
        return parse_traffic(files.read_regular(path, MAX_TRAFFIC))
    except (OSError, TqunitsError):
        return EVERYBODY


@contextmanager
def _locked(layout: Layout) -> Iterator[Path]:
    """One writer at a time: the others wait, which takes them milliseconds."""
    folder = Path(layout.runtime)
    files.make_folder(folder)
    descriptor = os.open(folder / "traffic.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield folder / FILE
    finally:
        os.close(descriptor)
