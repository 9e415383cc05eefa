"""What the manager remembers of deploys: /var/lib/tqunits/manager/deploys/NAME.json, version 1.

Each step of a deploy is written down before it is taken, so that a manager that is started in the
middle of one knows what was asked for and how far it came. systemd and the links of the releases
say what is true; the file says what was wanted.

One file for each worker has its last deploys, the newest at the end.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from tqunits.errors import TqunitsError
from tqunits.layout import Layout
from tqunits.lifecycle.deploy_rules import MOST_KEPT
from tqunits.lifecycle.deploys import DeployRecord, deploy_body, parse_deploy
from tqunits.system import files
from tqunits.units import name

_VERSION: Final = 1
_MAX_FILE: Final = 16 << 20
"""Bytes: MOST_KEPT deploys have some 100 KiB. A single one always fits: its 200 steps of 4096
characters are 10 MB at the most, as JSON writes them."""

_FRAME: Final = 100  # bytes around the deploys

_MODE: Final = 0o600


class DeployFiles:
    """The files."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def load(self) -> Mapping[str, tuple[DeployRecord, ...]]:
        """Worker -> its deploys. A file that does not read is put aside as NAME.json.unreadable, so
        that the next deploy does not overwrite what somebody may still want to read."""
        paths = sorted(Path(self._layout.deploys("").parent).glob("*.json"))
        return {path.stem: _read(path) for path in paths if name.is_worker_name(path.stem)}

    def save(self, worker: str, deploys: Sequence[DeployRecord]) -> None:
        """Write the last ones down, as many as the file has room for. Raises OSError."""
        path = Path(self._layout.deploys(worker))
        files.make_folder(path.parent, mode=0o700)
        document = f'{{"version": {_VERSION}, "deploys": [{", ".join(_fitting(deploys[-MOST_KEPT:]))}]}}\n'
        files.write_atomically(path, document, _MODE)


def _fitting(deploys: Sequence[DeployRecord]) -> Sequence[str]:
    """The last of these, each as JSON. Otherwise the next manager could not read the file."""
    rows, left = [], _MAX_FILE - _FRAME
    for each in reversed(deploys):
        row = json.dumps(deploy_body(each))
        left -= len(row) + len(", ")
        if left < 0:
            break
        rows.append(row)
    return rows[::-1]


def _read(path: Path) -> tuple[DeployRecord, ...]:
    try:
        document = json.loads(files.read_regular(path, _MAX_FILE))
        if document["version"] != _VERSION:
            raise ValueError(document["version"])
        return tuple(parse_deploy(each) for each in document["deploys"])[-MOST_KEPT:]
    except (OSError, ValueError, TypeError, LookupError, RecursionError, TqunitsError):
        with suppress(OSError):
            path.rename(path.with_name(f"{path.name}.unreadable"))
        return ()
