"""From a path to the names of a file: the one place where a request's path gets a meaning on a
disk.

The path is canonical already (http/target.py): no dot segments in any spelling. What is left of
percent-escapes is decoded here, once and segment by segment, so that an encoded slash (which a
worker may be let have) stays inside its segment and is refused with it. Each name that comes out is
a name: nothing that a file system reads as a way.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote_to_bytes

_PROGRAMS: Final = frozenset({b"php", b"php3", b"php4", b"php5", b"php7", b"php8", b"phtml", b"pht", b"phar"})
"""Extensions of what a PHP worker runs, with its secrets: its public/ has programs and files, only
files are sent."""

_WELL_KNOWN: Final = b".well-known"
"""RFC 8615. All other names with a dot before them are hidden: .env, .git, .htpasswd."""


def file_names(path: bytes) -> list[bytes] | None:
    """`/a/b%20c` as [a, `b c`]; the last name is empty for a folder, as in `/a/`. None: this leads
    to no file."""
    names = path[1:].split(b"/")
    if b"%" in path:
        names = [unquote_to_bytes(name) for name in names]
    if not all(map(_is_visible, names if names[-1] else names[:-1])):
        return None
    _, dot, extension = names[-1].rpartition(b".")
    return None if dot and extension.lower() in _PROGRAMS else names


def _is_visible(name: bytes) -> bool:
    """Whether it is a name, and not hidden."""
    if not name or b"/" in name or b"\0" in name:
        return False
    return name[0] != 0x2E or name == _WELL_KNOWN
