"""Says to the routers who gets no traffic, and why: /run/tqunits/traffic.json (routing/traffic.py)."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from tqunits.errors import TqunitsError
from tqunits.layout import Layout
from tqunits.routing.traffic import EVERYBODY, MAX_TRAFFIC, Order, Traffic, parse_traffic, traffic_text
from tqunits.system import files

_MODE = 0o644

_T = TypeVar("_T")


def stop(layout: Layout, workers: Collection[str]) -> None:
    """These are stopped, and nobody is to wait for them. Raises OSError."""
    with _locked(layout) as path:
        now = time.time_ns() // 1000
        found = _read(path)
        _write(path, replace(found, stopped={**found.stopped, **dict.fromkeys(workers, now)}))


def wanted(layout: Layout, workers: Collection[str]) -> None:
    """These are started, or are to be: requests wait for them. Raises OSError."""
    if _read(Path(layout.traffic)).stopped.keys().isdisjoint(workers):
        return
    with _locked(layout) as path:
        found = _read(path)
        _write(path, replace(found, stopped=_without(found.stopped, workers)))


def stopped(layout: Layout) -> frozenset[str]:
    """The workers that nobody is to wait for."""
    return frozenset(_read(Path(layout.traffic)).stopped)


def order(layout: Layout, workers: Collection[str], wanted: Order | None) -> None:
    """What these workers' traffic is to do from now on; None: as ever. Raises OSError."""
    with _locked(layout) as path:
        found = _read(path)
        new = {} if wanted is None else dict.fromkeys(workers, wanted)
        _write(path, replace(found, orders={**_without(found.orders, workers), **new}))


def forget(layout: Layout, workers: Collection[str]) -> None:
    """These are gone. Raises OSError."""
    found = _read(Path(layout.traffic))
    if {*found.stopped, *found.orders}.isdisjoint(workers):
        return
    with _locked(layout) as path:
        found = _read(path)
        _write(path, Traffic(_without(found.stopped, workers), _without(found.orders, workers)))


def orders(layout: Layout) -> Mapping[str, Order]:
    """Worker -> what an administrator has ordered."""
    return _read(Path(layout.traffic)).orders


def _without(members: Mapping[str, _T], workers: Collection[str]) -> dict[str, _T]:
    return {name: member for name, member in members.items() if name not in workers}


def _write(path: Path, traffic: Traffic) -> None:
    """Raises OSError, also for what the routers would not read: then what held before holds on."""
    if traffic == EVERYBODY:
        files.remove(path)
        return
    text = traffic_text(traffic)
    if len(text) > MAX_TRAFFIC:
        message = f"{len(text)} bytes of orders are more than the routers read ({MAX_TRAFFIC}): give a shorter text"
        raise OSError(errno.EFBIG, message, str(path))
    files.write_atomically(path, text, _MODE)


def _read(path: Path) -> Traffic:
    """What does not read is written anew."""
    try:
        return parse_traffic(files.read_regular(path, MAX_TRAFFIC))
    except (OSError, TqunitsError):
        return EVERYBODY


@contextmanager
def _locked(layout: Layout) -> Iterator[Path]:
    """One writer at a time: the others wait, which takes them milliseconds."""
    path = Path(layout.traffic)
    files.make_folder(path.parent)
    descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield path
    finally:
        os.close(descriptor)
