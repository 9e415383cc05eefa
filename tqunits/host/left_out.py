"""The file in which install notes what it has left out, and why. `ls` and `why` read it, because
they read no YAML.

It is a report and nothing else: no decision depends on it, and without it only these reasons are
lost. It also names the folder of the workers, so that `ls` finds workers that are not installed
yet. Its size is bounded by the greatest number of workers and the longest reason.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import field
from pathlib import Path

from tqunits.errors import TqunitsError
from tqunits.layout import WORKER_YAML, Layout
from tqunits.lifecycle.state import NoInstance
from tqunits.light_dataclass import dataclass
from tqunits.system import files
from tqunits.units import name

_FILE = "left-out.json"
_LOGS = Path("/var/log/tqunits")
_MOST = 4 << 20
_LONGEST = 500  # characters of a reason


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One worker. `kind` is "refused" (for what it asks for, or for its YAML) or "skipped" (its
    host lacks something)."""

    kind: str
    reason: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """The content of the file; empty without one."""

    directory: str = ""
    workers: Mapping[str, LeftOut] = field(default_factory=dict)


def read(layout: Layout) -> Report:
    """The report; an empty one when there is no file or it can not be read."""
    with suppress(OSError, ValueError, TqunitsError):
        found = json.loads(files.read_regular(_path(layout), _MOST))
        if isinstance(found, dict):
            rows = found.get("workers")
            workers = {str(key): _row(row) for key, row in rows.items()} if isinstance(rows, dict) else {}
            return Report(str(found.get("directory", "")), workers)
    return Report()


def write(layout: Layout, directory: str, left: Mapping[str, LeftOut], meant: Collection[str] | None) -> None:
    """Replace the reasons of the workers in `meant` (None: of all)."""
    before = read(layout).workers if meant is not None else {}
    kept = {key: row for key, row in before.items() if meant is not None and key not in meant}
    workers = {key: _cut(row) for key, row in sorted({**kept, **left}.items())}
    content = json.dumps({"directory": directory, "workers": workers}, indent=1) + "\n"
    path = _path(layout)
    if files.read_text_if_exists(path) != content:
        files.write_atomically(path, content, 0o644)


def remove(layout: Layout) -> None:
    """Remove the file: nothing is installed any more."""
    path = _path(layout)
    files.remove(path)
    if layout.sysusers:
        with suppress(OSError):  # not there, or another user's
            path.parent.rmdir()


def instead(left: LeftOut | None) -> NoInstance:
    """What a worker that is not installed has instead of an instance. `left`: what the report has
    of it; a kind that another release has written there says nothing."""
    kinds = (NoInstance.REFUSED, NoInstance.SKIPPED)
    return next((kind for kind in kinds if left is not None and left.kind == kind), NoInstance.NOT_INSTALLED)


def uninstalled(report: Report, others: Collection[str]) -> tuple[str, ...]:
    """Names of folders with a worker.yaml, and of workers that were left out, except `others`.
    Costs two system calls for each folder."""
    if not report.directory.startswith("/"):
        return ()
    try:
        folders = sorted(entry.name for entry in Path(report.directory).iterdir())
    except OSError:
        return ()
    new = (each for each in folders if each not in others and name.is_worker_name(each))
    return tuple(each for each in new if each in report.workers or _has_yaml(Path(report.directory) / each))


def _has_yaml(folder: Path) -> bool:
    try:
        return (folder / WORKER_YAML).is_file()
    except OSError:
        return False


def _path(layout: Layout) -> Path:
    """The file lies with the logs, because it is a report: even an install without changes writes
    it."""
    return (_LOGS if layout.sysusers else Path(layout.state)) / _FILE


def _cut(row: LeftOut) -> Mapping[str, str]:
    return {"kind": row.kind, "reason": row.reason[:_LONGEST], "hint": row.hint[:_LONGEST]}


def _row(row: object) -> LeftOut:
    values = row if isinstance(row, dict) else {}
    return LeftOut(str(values.get("kind", "")), str(values.get("reason", "")), str(values.get("hint", "")))
