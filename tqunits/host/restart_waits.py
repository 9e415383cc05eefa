"""The file in which install and apply note which workers wait for a restart: `waiting.json`. The
manager reads it, and replaces their instances one after the other.

It is root's, and everybody may read it: it has the names of workers and of files, and no content. A
worker is in it because something that it gets by a restart alone is newer than one of its runs
(host/old_runs.py). The file is not told when the worker is restarted: a run that began at
`since_us` or later does not wait, whatever the file says.

    {"version": 1, "workers": {"api": {"since_us": 1764431144000, "why": "its unit has changed"}}}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tqunits.errors import TqunitsError
from tqunits.layout import Layout
from tqunits.lifecycle.strict_json import exactly, strict_object
from tqunits.light_dataclass import dataclass
from tqunits.printable import printable
from tqunits.system import files
from tqunits.units import name

VERSION: Final = 1
MODE: Final = 0o644

MAX_WORKERS: Final = 2000
"""As many as there can be (host/sources.py)."""

MAX_WHY: Final = 200
"""Characters of a reason: a sentence with the end of a path."""

MAX_BYTES: Final = 2 << 20
"""2000 workers with reasons of 200 characters of four bytes each are 1.8 MiB."""


@dataclass(frozen=True, slots=True)
class RestartWait:
    """Why a worker waits, and for which of its runs that is so."""

    since_us: int  # µs since 1970: a run that began earlier is an old one
    why: str  # printable; for people


RestartWaits = Mapping[str, RestartWait]
"""Worker -> why it waits."""


def read(layout: Layout) -> RestartWaits:
    """Who waits; nobody when there is no file. Raises OSError, TqunitsError for what is no regular
    file or too long, and ValueError for any other content than `dump` makes."""
    try:
        return parse(files.read_regular(Path(layout.waiting), MAX_BYTES))
    except FileNotFoundError:
        return {}


def write(layout: Layout, waits: RestartWaits) -> None:
    """Have the file say this. Raises OSError."""
    path, content = Path(layout.waiting), dump(waits)
    if _content(path) != content:
        files.write_atomically(path, content, MODE)


def remove(layout: Layout) -> None:
    """Remove the file: nothing is installed any more."""
    files.remove(Path(layout.waiting))


def dump(waits: RestartWaits) -> str:
    """The content of the file."""
    first = sorted(waits.items())[:MAX_WORKERS]
    rows = {worker: {"since_us": wait.since_us, "why": _cut(printable(wait.why))} for worker, wait in first}
    return json.dumps({"version": VERSION, "workers": rows}, indent=1, ensure_ascii=False) + "\n"


def parse(document: str | bytes) -> RestartWaits:
    """The inverse of `dump`. Raises ValueError for anything else."""
    whole = strict_object(document, MAX_BYTES, ("version", "workers"))
    whole.number("version", VERSION, VERSION)
    return {_worker(key): _wait(row, key) for key, row in whole.table("workers", MAX_WORKERS).items()}


def _worker(key: str) -> str:
    if not name.is_worker_name(key):
        raise ValueError(f"{ascii(key)[:60]}: no worker's name")
    return key


def _wait(row: object, key: str) -> RestartWait:
    fields = exactly(row, key, ("since_us", "why"))
    return RestartWait(fields.number("since_us"), fields.text("why", MAX_WHY))


def _cut(text: str) -> str:
    """The end of it: that of a path is its file."""
    return text if len(text) <= MAX_WHY else f"…{text[1 - MAX_WHY :]}"


def _content(path: Path) -> str | None:
    """What the file says now; None also where something else is in its place."""
    try:
        return files.read_text_if_exists(path)
    except TqunitsError:
        return None
