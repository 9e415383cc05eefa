"""What is done by itself when files change: the settings `watch`, as values.

A switch that is None follows the mode: it is on in development mode (model.is_on). Paths are below
the worker's folder.
"""

from __future__ import annotations

from tqunits.light_dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchRules:
    """Whether the worker's files are watched, which, and when a change of them counts."""

    enabled: bool | None
    paths: tuple[str, ...]  # "." is all of the folder
    ignore: tuple[str, ...]  # patterns as in a .gitignore
    live: tuple[str, ...]  # their changes need no restart of one that runs from its folder
    debounce: int  # µs without a further change
    max_wait: int  # µs; a change waits no longer


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerWatch:
    """What the manager has applied by itself, besides the changes of single workers."""

    enabled: bool | None  # tqunits.yaml and its drop-ins
    new: bool | None  # new folders of workers
