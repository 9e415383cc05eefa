"""What the manager remembers of the folders that it watches:
/var/lib/tqunits/manager/watched/NAME.json, version 1.

A change is a difference between what lies on disk and what was last acted upon. So a manager that
was away, or killed, finds what has changed meanwhile, and does nothing twice. These are digests;
the files themselves say what is true.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Final

from tqunits.errors import TqunitsError
from tqunits.late_pattern import late_pattern
from tqunits.layout import Layout
from tqunits.lifecycle.strict_json import strict_object
from tqunits.light_dataclass import dataclass
from tqunits.system import files
from tqunits.units.watch_note import WatchNote

_VERSION: Final = 1
_MAX_FILE: Final = 4096  # bytes; three digests have some 250
_MODE: Final = 0o600
_DIGEST: Final = late_pattern(r"[0-9a-f]*")
_DIGESTS: Final = ("sources", "settings", "scope")  # the fields of Acted
_LONGEST_DIGEST: Final = 128  # SHA-512 in hex


@dataclass(frozen=True, slots=True)
class Acted:
    """What was last acted upon, as digests in hex."""

    sources: str
    settings: str = ""  # of worker.yaml; "": it was not there
    scope: str = ""  # of which files counted as sources then


def scope_of(note: WatchNote) -> str:
    """What tells from others which files count as sources: with other ones, another digest of them
    is no change of a file."""
    return hashlib.sha256(repr((note.paths, note.ignore, note.without)).encode()).hexdigest()


class WatchedFiles:
    """The files."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def load(self, worker: str) -> Acted | None:
        """None: nothing was acted upon yet, or the file does not read, which is the same."""
        try:
            text = files.read_regular(self._path(worker), _MAX_FILE)
            found = strict_object(text, _MAX_FILE, ("version", *_DIGESTS))
            if found.number("version") != _VERSION:
                return None
            return Acted(*(found.text(each, _LONGEST_DIGEST, _DIGEST) for each in _DIGESTS))
        except (OSError, ValueError, TqunitsError):
            return None

    def save(self, worker: str, acted: Acted) -> None:
        """Write it down. Raises OSError."""
        path = self._path(worker)
        files.make_folder(path.parent, mode=0o700)
        document = {"version": _VERSION, **asdict(acted)}
        files.write_atomically(path, json.dumps(document) + "\n", _MODE)

    def forget(self, worker: str) -> None:
        """It is watched no more, or uninstalled: another worker of this name has other files."""
        with suppress(OSError):  # then the next one is deployed once more, perhaps
            files.remove(self._path(worker))

    def _path(self, worker: str) -> Path:
        return Path(self._layout.watched(worker))
