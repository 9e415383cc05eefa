"""How root copies single files of a tree that others have made: what build_results.py and
release_tree.py share.

A name is opened once, without following a link, and only what is open is examined: whoever owns the
folder may put something else in its place at any moment.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import field
from typing import BinaryIO, Final

from tqunits.late_pattern import late_pattern
from tqunits.light_dataclass import dataclass
from tqunits.system.survey import Tally

MAX_NAMED: Final = 5
"""How many names are told; the others are counted."""

_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK: Final = 1 << 20
_TAKEN: Final = frozenset({stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK})
_STRANGE = late_pattern("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # an undecodable byte is a surrogate (PEP 383)


@dataclass(slots=True)
class Untaken:
    """Names that are not taken: up to MAX_NAMED of them, and how many there are."""

    names: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, path: str) -> None:
        """Add one name."""
        self.count += 1
        if len(self.names) < MAX_NAMED:
            self.names.append(path)

    def __str__(self) -> str:
        more = self.count - len(self.names)
        return ", ".join(self.names) + (f" and {more} more" if more else "")


def is_strange(name: str) -> bool:
    """Whether a name is not taken: it begins with "-", has a control character or is not UTF-8, and
    somebody's script may read it; or it is `.git`, because git runs its hooks and settings."""
    return name.startswith("-") or name == ".git" or _STRANGE.search(name) is not None


def is_taken_kind(found: os.stat_result) -> bool:
    """Whether it is a regular file, a folder or a link: not a device, a pipe or a socket."""
    return stat.S_IFMT(found.st_mode) in _TAKEN


@contextmanager
def file_copy(reader: BinaryIO, name: str, folder: int, tally: Tally) -> Iterator[int]:
    """Copy an open file to a new name of ours; yields the descriptor of the copy.

    The bytes are counted while they are copied: the file may grow meanwhile, or be a hole. Of its
    mode the copy keeps whether it is executable. It is not flushed to the disk. Raises OSError, and
    Beyond.
    """
    mode = os.fstat(reader.fileno()).st_mode
    with os.fdopen(os.open(name, _CREATE, 0o600, dir_fd=folder), "wb") as writer:
        _share(reader.fileno(), writer.fileno(), tally)
        while chunk := reader.read(_CHUNK):
            tally.add_size(len(chunk))
            writer.write(chunk)
        writer.flush()
        os.fchmod(writer.fileno(), 0o755 if mode & stat.S_IXUSR else 0o644)
        yield writer.fileno()


def _share(source: int, target: int, tally: Tally) -> None:
    """Copy as much as the file system can: some let both files share their blocks (reflinks), until
    one is changed.

    Others, and two different ones, copy some or nothing. The caller copies the rest, and meets an
    error again.
    """
    with suppress(OSError):
        while count := os.copy_file_range(source, target, _CHUNK):
            tally.add_size(count)
