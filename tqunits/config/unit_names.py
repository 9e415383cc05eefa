"""Which units of the host a worker may name in `depends:` and in `unit:`.

Two kinds of units are refused for every worker, even with a grant: those whose start ends the
host's work, and the targets that the host's start, or tqunits' own target, reaches after the
workers. A worker that is not root's needs a grant for every other unit (units/dependencies.py).
"""

from __future__ import annotations

from tqunits.boot import BOOT_TARGETS, is_ending
from tqunits.config import words
from tqunits.config.reject import Reject, shown

_WORKER, _SERVICE = "tq-worker@", ".service"


def service(worker: str) -> str:
    """A worker's unit: its first instance's, which stands for all of them."""
    return f"{_WORKER}{worker}{_SERVICE}"


def named(text: str) -> str:
    """Any unit. A name without a suffix is a worker of ours."""
    whole = _worker_of_instance(text)
    if whole is not None:  # how many a worker has is its own matter
        raise Reject(f"{shown(text)} is one instance of the worker {whole}", f"write {whole}: it means all of them")
    return service(text) if words.is_worker_name(text) else words.unit_name(text)


def unit(text: str) -> str:
    """A unit that a worker may start after, or together with."""
    name = named(text)
    if is_ending(name):
        raise Reject(f"starting {name} would end the host's work", "remove it")
    if name in BOOT_TARGETS:
        hint = "name the unit that is needed; a worker starts after basic.target and network.target anyway"
        raise Reject(f"{name} comes to workers, so none can wait for it", hint)
    return name


def worker(text: str) -> str:
    """A unit that may have to wait for a worker: only another worker."""
    name = named(text)
    if name.startswith(_WORKER) and name.endswith(_SERVICE):
        return name
    raise Reject(f"{shown(name)} would wait for a worker, and only another worker may", "use systemctl edit there")


def _worker_of_instance(text: str) -> str | None:
    """The worker of whose instances that is one of several, by its name (`api:2`) or its unit."""
    is_unit = text.startswith(_WORKER) and text.endswith(_SERVICE)
    worker, _, number = (text.removeprefix(_WORKER).removesuffix(_SERVICE) if is_unit else text).partition(":")
    return worker if number.isdecimal() and words.is_worker_name(worker) else None
