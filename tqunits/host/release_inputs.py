"""What a release is made from, as an ID: the same sources, settings and tools have the same one.

Of the sources the path, the content, the executable bit and the text of links count, and never a
time: a checkout gives files any time. Of a program of the toolchain its file counts, by its size
and time: a package of the distribution that brings another one brings another time. An empty folder
has no part in it.

The worker's folder may be a repository of somebody else's. Its revision is read from its files,
within bounds and without following a link: git itself would run programs that the repository's
configuration names.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Final

from tqunits.errors import TqunitsError
from tqunits.host import source_tree
from tqunits.host.lacking import SEARCH_PATH
from tqunits.host.release_manifests import folder_of
from tqunits.host.source_tree import Scope, Sources
from tqunits.late_pattern import late_pattern
from tqunits.layout import Layout
from tqunits.lifecycle.release import Tool
from tqunits.light_dataclass import dataclass
from tqunits.system import files
from tqunits.system.ownership import open_below
from tqunits.system.survey import READ, opened_for_root

MAX_REFERENCE: Final = 4096
"""Bytes of HEAD and of a branch's file: a name of at most PATH_MAX."""

MAX_PACKED: Final = 16 << 20
"""Bytes of packed-refs: two hundred thousand branches and tags."""

_FORM: Final = "tqunits-inputs 1"
_MAX_HOPS: Final = 3  # HEAD is a name, which may stand for another name
_REVISION: Final = late_pattern(rb"[0-9a-f]{40}|[0-9a-f]{64}")
_REFERENCE: Final = late_pattern(rb"ref: (refs(?:/[^/\x00-\x20\x7f]+)+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """What a release would be made from."""

    id: str  # of the release
    sources: Sources
    sources_digest: str
    recipe_digest: str
    toolchain: tuple[Tool, ...]


def identify(
    folder: Path, *, without: Collection[str], recipe: str, programs: Sequence[str], known: Sources
) -> Identified:
    """Look at the sources in a folder, and at the programs that build them.

    `without`: paths that are no sources. `recipe`: a text that is another one for other settings.
    `programs`: names to look for in the PATH of builds, or absolute paths. `known`: what an earlier
    look found, so that only changed files are read. Raises OSError, and TqunitsError beyond a
    bound.
    """
    sources = source_tree.sources(folder, known, Scope(without=without, is_exact=True))
    toolchain = tuple(_tool(program) for program in dict.fromkeys(programs))
    of_sources = source_tree.digest_of(sources)
    of_recipe = _digest([recipe])
    of_tools = (part for tool in toolchain for part in (tool.path, tool.version))
    return Identified(
        id=_digest([of_sources, of_recipe, *of_tools])[:12],
        sources=sources,
        sources_digest=of_sources,
        recipe_digest=of_recipe,
        toolchain=toolchain,
    )


def known_sources(worker: str, layout: Layout) -> Sources:
    """What was remembered last; nothing when there is none, or when it can not be parsed. Raises
    OSError, TqunitsError."""
    try:
        text = files.read_regular(_record(worker, layout), source_tree.MAX_RECORD)
    except FileNotFoundError:
        return {}
    form, *rows = os.fsdecode(text).split("\0")
    try:
        return dict(map(source_tree.parse_row, rows[:-1])) if form == _FORM else {}
    except ValueError:
        return {}


def remember(worker: str, layout: Layout, sources: Sources) -> None:
    """Keep what was found, for the next look. Raises OSError."""
    lines = [_FORM, *(source_tree.row_text(path, entry) for path, entry in sources.items())]
    files.write_atomically(_record(worker, layout), "".join(f"{line}\0" for line in lines), 0o600)


def revision(folder: Path) -> str | None:
    """The git revision that the sources were checked out from, of the repository that has the
    folder. Whether they differ from it, only a look at every file and at git's objects could tell.

    None without a repository, or where `.git` is a file (a worktree) or somewhere else: what it
    names could be anybody's.
    """
    for place in (folder, *folder.parents):
        try:
            with opened_for_root(place / ".git") as repository:
                return _resolved(repository, b"HEAD")
        except FileNotFoundError:
            continue
        except OSError:
            return None
    return None


def _resolved(repository: int, name: bytes) -> str | None:
    """The revision that a name in a repository stands for. Raises OSError."""
    for _ in range(_MAX_HOPS):
        text = _read(repository, name, MAX_REFERENCE) or _packed(repository, name)
        if _REVISION.fullmatch(text):
            return text.decode("ascii")
        reference = _REFERENCE.fullmatch(text)
        if reference is None or {b".", b".."} & set(reference[1].split(b"/")):
            return None
        name = reference[1]
    return None


def _packed(repository: int, name: bytes) -> bytes:
    for line in _read(repository, b"packed-refs", MAX_PACKED).splitlines():
        found, _, of_name = line.partition(b" ")
        if of_name == name:
            return found
    return b""


def _read(repository: int, name: bytes, most: int) -> bytes:
    """A file of the repository without the space around it; nothing for one that is not there, no
    regular file, or too long."""
    path = Path(os.fsdecode(name))
    try:
        return files.read_opened(open_below(repository, path.parts, READ), path, most).strip()
    except (FileNotFoundError, TqunitsError):
        return b""


def _tool(program: str) -> Tool:
    """A program by its file. A path that is relative to the worker's folder is a source itself."""
    is_source = "/" in program and not program.startswith("/")
    path = None if is_source else shutil.which(program, path=SEARCH_PATH)
    if path is None:
        return Tool(program, "")
    found = Path(path).stat()
    return Tool(os.path.realpath(path), f"{found.st_size}-{found.st_mtime_ns}")


def _record(worker: str, layout: Layout) -> Path:
    return folder_of(worker, layout) / "inputs"


def _digest(parts: Iterable[str]) -> str:
    """A digest of texts; no text has a NUL."""
    digest = hashlib.blake2b(digest_size=20)
    for part in parts:
        digest.update(os.fsencode(part) + b"\0")
    return digest.hexdigest()
