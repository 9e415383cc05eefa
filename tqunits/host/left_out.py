"""What the last install has left out, and why: a file of root's for those who list workers without
reading YAML.

install writes it, `ls` and `why` read it. It is a report, never an order: nothing is decided by it,
and without it nothing is lost but these reasons. It also has the folder of the workers, where `ls`
finds those that nobody has installed yet. Bounded by the number of workers that there may be, and
by what is kept of a reason.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tqunits.errors import TqunitsError
from tqunits.layout import Layout
from tqunits.system import files
from tqunits.units import name

_FILE = "left-out.json"
_LOGS = Path("/var/log/tqunits")
_MOST = 4 << 20
_LONGEST = 500  # characters of a reason


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One worker. `kind`: refused (what it asks for, or its YAML), or skipped (what its host
    lacks)."""

    kind: str
    reason: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What the file says; empty where there is none."""

    directory: str = ""
    workers: Mapping[str, LeftOut] = field(default_factory=dict)


def read(layout: Layout) -> Report:
    """The report; an empty one where there is none, or none that can be read."""
    with suppress(OSError, ValueError, TqunitsError):
        found = json.loads(files.read_regular(_path(layout), _MOST))
        if isinstance(found, dict):
            rows = found.get("workers")
            workers = {str(key): _row(row) for key, row in rows.items()} if isinstance(rows, dict) else {}
            return Report(str(found.get("directory", "")), workers)
    return Report()


def write(layout: Layout, directory: str, left: Mapping[str, LeftOut], meant: Collection[str] | None) -> None:
    """Replace what is said of the workers that were meant (None: of all)."""
    before = read(layout).workers if meant is not None else {}
    kept = {key: row for key, row in before.items() if meant is not None and key not in meant}
    workers = {key: _cut(row) for key, row in sorted({**kept, **left}.items())}
    content = json.dumps({"directory": directory, "workers": workers}, indent=1) + "\n"
    path = _path(layout)
    if files.read_text_if_exists(path) != content:
        files.write_atomically(path, content, 0o644)


def remove(layout: Layout) -> None:
    """Nothing is installed any more."""
    path = _path(layout)
    files.remove(path)
    if layout.sysusers:
        with suppress(OSError):  # not there, or somebody's
            path.parent.rmdir()


def uninstalled(report: Report, others: Collection[str]) -> tuple[str, ...]:
    """Names of folders with a worker.yaml, or that were left out, besides these: two system calls
    for each."""
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
        return (folder / "config/worker.yaml").is_file()
    except OSError:
        return False


def _path(layout: Layout) -> Path:
    """With the logs, for that is what it is: an install that changes nothing writes it all the
    same."""
    return (_LOGS if layout.sysusers else Path(layout.state)) / _FILE


def _cut(row: LeftOut) -> Mapping[str, str]:
    return {"kind": row.kind, "reason": row.reason[:_LONGEST], "hint": row.hint[:_LONGEST]}


def _row(row: object) -> LeftOut:
    values = row if isinstance(row, dict) else {}
    return LeftOut(str(values.get("kind", "")), str(values.get("reason", "")), str(values.get("hint", "")))
