"""Writes /run/tqunits/traffic.json, which tells the routers which workers get no traffic, and why
(routing/traffic.py)."""

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
from tqunits.model import Instance
from tqunits.routing.traffic import EVERYBODY, MAX_TRAFFIC, Order, Traffic, parse_traffic, traffic_text
from tqunits.system import files
from tqunits.units import name

_MODE = 0o644

_T = TypeVar("_T")


def stop(layout: Layout, instances: Collection[Instance]) -> None:
    """These instances are stopped: no request is to wait for them. Raises OSError."""
    with _locked(layout) as path:
        now = time.time_ns() // 1000
        found = _read(path)
        _write(path, replace(found, stopped={**found.stopped, **dict.fromkeys(map(str, instances), now)}))


def wanted(layout: Layout, instances: Collection[Instance]) -> None:
    """These instances are started or about to be: requests wait for them. Raises OSError."""
    names = frozenset(map(str, instances))
    if _read(Path(layout.traffic)).stopped.keys().isdisjoint(names):
        return
    with _locked(layout) as path:
        found = _read(path)
        _write(path, replace(found, stopped=_without(found.stopped, names)))


def stopped(layout: Layout) -> frozenset[Instance]:
    """The instances for which no request is to wait."""
    return frozenset(whose for each in _read(Path(layout.traffic)).stopped if (whose := name.instance(each)))


def order(layout: Layout, workers: Collection[str], wanted: Order | None) -> None:
    """Set the order for these workers; None removes their orders and those of all their instances.
    Raises OSError."""
    with _locked(layout) as path:
        found = _read(path)
        new = {} if wanted is None else dict.fromkeys(workers, wanted)
        drained = frozenset(each for each in found.drained if _worker_of(each) not in workers)
        _write(path, replace(found, orders={**_without(found.orders, workers), **new}, drained=drained))


def drain(layout: Layout, instances: Collection[Instance], *, drained: bool) -> None:
    """Whether these instances get no new requests. The other instances of their workers go on.
    Raises OSError."""
    names = frozenset(map(str, instances))
    with _locked(layout) as path:
        found = _read(path)
        _write(path, replace(found, drained=found.drained | names if drained else found.drained - names))


def forget(layout: Layout, workers: Collection[str]) -> None:
    """Remove these workers from the file. Raises OSError."""
    found = _read(Path(layout.traffic))
    if not any(_worker_of(each) in workers for each in (*found.stopped, *found.orders, *found.drained)):
        return
    with _locked(layout) as path:
        found = _read(path)
        names = {each for each in (*found.stopped, *found.drained) if _worker_of(each) in workers}
        stopped = _without(found.stopped, names)
        _write(path, Traffic(stopped, _without(found.orders, workers), found.drained - names))


def orders(layout: Layout) -> Mapping[str, Order]:
    """Worker -> the order that an administrator has given."""
    return _read(Path(layout.traffic)).orders


def drained(layout: Layout) -> frozenset[Instance]:
    """The instances that get no new requests although their worker does."""
    return frozenset(whose for each in _read(Path(layout.traffic)).drained if (whose := name.instance(each)))


def _worker_of(text: str) -> str:
    whose = name.instance(text)
    return whose.worker if whose else text


def _without(members: Mapping[str, _T], names: Collection[str]) -> dict[str, _T]:
    return {each: member for each, member in members.items() if each not in names}


def _write(path: Path, traffic: Traffic) -> None:
    """Write the file. Raises OSError, also for a text that the routers would not read; then the old
    file stays."""
    if traffic == EVERYBODY:
        files.remove(path)
        return
    text = traffic_text(traffic)
    if len(text) > MAX_TRAFFIC:
        message = f"{len(text)} bytes of orders are more than the routers read ({MAX_TRAFFIC}): give a shorter text"
        raise OSError(errno.EFBIG, message, str(path))
    files.write_atomically(path, text, _MODE)


def _read(path: Path) -> Traffic:
    """The file; a file that can not be read counts as empty and is written anew."""
    try:
        return parse_traffic(files.read_regular(path, MAX_TRAFFIC))
    except (OSError, TqunitsError):
        return EVERYBODY


@contextmanager
def _locked(layout: Layout) -> Iterator[Path]:
    """The lock for one writer at a time. The others wait for some milliseconds."""
    path = Path(layout.traffic)
    files.make_folder(path.parent)
    descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield path
    finally:
        os.close(descriptor)
