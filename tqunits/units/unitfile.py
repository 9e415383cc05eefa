"""Read a unit file as systemd does, and read back what we noted in ours.

The syntax (systemd.syntax(7), src/shared/conf-parser.c): sections in brackets, NAME=VALUE lines,
comments begin with "#" or ";", a backslash at a line's end joins the next line (comments between
are skipped), a name may come many times. Lines end with a newline or a carriage return only:
Python's splitlines() would see more ends than systemd does.

Each worker's drop-in ends with a section [X-Tqunits], which systemd ignores by its name: the
ledger. It makes the installed files the only state of ours: what is installed, from what source, on
which port, and since which change a restart is due.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

from tqunits.units import quote
from tqunits.units.limits import LIMIT_DIRECTIVES

LEDGER = "X-Tqunits"
ROUTER = "X-Tqunits-Router"
"""A section of the routers' template, ignored by systemd as well: what besides its lines makes
another router."""

SERVER = "X-Tqunits-Server"
SOURCE_HASH = "SourceHash"
"""A section of the target: which tqunits.yaml all of it is from."""

LIVE_DIRECTIVES = LIMIT_DIRECTIVES | {
    "ExecReload",
    "ExecStop",
    "KillMode",
    "KillSignal",
    "Restart",
    "RestartPreventExitStatus",
    "RestartSec",
    "SuccessExitStatus",
    "TimeoutStartSec",
    "TimeoutStopSec",
}
"""What takes no restart: limits, and what systemd itself goes by when a process starts, stops or
ends. It has that from the files as they were at the last daemon-reload, not at the start of the
process."""

_BEGIN = f"\n[{LEDGER}]\n"

_TEXTS = 4096
"""Units whose meaning is kept: a plan asks some ten times of each what it says, and reading takes
0.1 ms."""

_MARK = "# Rendered by tqunits from "
_WHITESPACE = " \t\n\r"
_COMMENT = ("#", ";")


class Assignment(NamedTuple):
    """One NAME=VALUE line; continuation lines are joined with a blank, as systemd does."""

    section: str
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Copy:
    """A file of somebody else's that a worker's unit has a copy of.

    Its time tells anybody who may look at the file whether it has changed since. A hash of the
    content would as well, but this stands in a file that all may read: it would tell them whether
    they have guessed a password.
    """

    id: str
    source: str
    modified: int  # ns since 1970; 0 when nobody has seen it


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What a worker's installed drop-in remembers."""

    worker: str
    source: str
    source_hash: str
    port: int | None
    socket: str | None
    routes: tuple[str, ...]
    hosts: tuple[str, ...]
    enabled: bool
    restart_hash: str
    copies: tuple[Copy, ...] = ()


@lru_cache(maxsize=_TEXTS)
def parse(text: str) -> tuple[Assignment, ...]:
    """Every assignment, in order. A line that is neither section, comment nor assignment is
    skipped, as by systemd."""
    section = ""
    found: list[Assignment] = []
    for line in _logical_lines(text):
        if line.startswith("["):
            section = line[1:].partition("]")[0]
        elif "=" in line:
            name, _, value = line.partition("=")
            found.append(Assignment(section, name.strip(_WHITESPACE), value.strip(_WHITESPACE)))
    return tuple(found)


def dump(assignments: Iterable[Assignment]) -> str:
    """The text of a unit file that parses to the same."""
    sections = groupby(assignments, key=lambda a: a.section)
    return "\n".join(f"[{section}]\n" + "".join(f"{a.name}={a.value}\n" for a in group) for section, group in sections)


def sets(text: str, directive: str) -> bool:
    """Whether a unit file has that directive in any section."""
    return any(a.name == directive for a in parse(text))


def last_value(text: str, section: str, name: str) -> str | None:
    """What a directive with one value comes to in this file: its last assignment, as it stands
    there."""
    values = [a.value for a in parse(text) if (a.section, a.name) == (section, name)]
    return values[-1] if values else None


def header(source: str, digest: str) -> str:
    """The first line of every file of ours: what it is made from, and how to change it."""
    return f"{_MARK}{quote.comment(source)} (sha256 {digest}). Do not edit: change that, then run 'tqunits install'."


def is_ours(text: str) -> bool:
    """Whether tqunits has written this file, and so may overwrite or remove it."""
    return text.startswith(_MARK)


def notes_of(text: str) -> tuple[Assignment, ...]:
    """What stands in the ledger. It is the end of what we write, and then nothing before it has to
    be read."""
    before, mark, end = text.rpartition(_BEGIN)
    is_end = bool(mark) and _BEGIN.strip() not in before and "\\\n" not in f"{before}\n" and "\r" not in text
    return tuple(a for a in parse(mark + end if is_end else text) if a.section == LEDGER)


@lru_cache(maxsize=_TEXTS)
def ledger(text: str) -> Ledger | None:
    """What a drop-in of ours remembers; None for every other file."""
    notes = notes_of(text) if is_ours(text) else ()
    if not notes:
        return None
    port = _first(notes, "Port")
    return Ledger(
        worker=_first(notes, "Worker"),
        source=_first(notes, "Source"),
        source_hash=_first(notes, SOURCE_HASH),
        port=int(port) if port.isascii() and port.isdigit() else None,
        socket=_first(notes, "Socket") or None,
        routes=_all(notes, "Route"),
        hosts=_all(notes, "Host"),
        enabled=_first(notes, "Enabled") == "yes",
        restart_hash=_first(notes, "RestartHash"),
        copies=tuple(copy for note in _all(notes, "Copy") if (copy := _copy(note))),
    )


def copy_note(copy: Copy) -> str:
    """A copy as a line of the ledger."""
    return f"{copy.id} {copy.modified} {copy.source}"


def restart_hash(text: str) -> str:
    """The sha256, in hex, of all that a running worker can only take by a restart: not our notes,
    not what is live."""
    import hashlib  # with OpenSSL, 3 ms: `tqunits ls` reads files and hashes none

    assignments = [*parse(text), *_soft_limits(text)]
    kept = (a for a in assignments if a.name not in LIVE_DIRECTIVES and a.section != LEDGER)
    return hashlib.sha256(dump(kept).encode()).hexdigest()


def _soft_limits(text: str) -> Iterable[Assignment]:
    """A soft limit of its own is the program's from its start on: who would change it later may
    undo its choice."""
    found = (a for a in parse(text) if a.name == "LimitNOFILE" and ":" in a.value)
    return (Assignment("", "soft limit of files", a.value.partition(":")[0]) for a in found)


def _logical_lines(text: str) -> Iterable[str]:
    pending = ""
    for line in text.replace("\r", "\n").split("\n"):
        bare = line.lstrip(_WHITESPACE)
        if bare[:1] in _COMMENT:
            continue
        joined = pending + bare
        if bare.endswith("\\") and _is_continued(bare):
            pending = joined[:-1] + " "
        else:
            pending = ""
            yield joined
    if pending:
        yield pending


def _is_continued(line: str) -> bool:
    """An odd number of backslashes ends it."""
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _copy(note: str) -> Copy | None:
    """What `copy_note` was given."""
    credential, _, rest = note.partition(" ")
    modified, _, source = rest.partition(" ")
    is_number = modified.isascii() and modified.isdigit() and len(modified) < 20
    return Copy(credential, source, int(modified)) if source and is_number else None


def _all(notes: Iterable[Assignment], name: str) -> tuple[str, ...]:
    return tuple(quote.untext(a.value) for a in notes if a.name == name)


def _first(notes: Iterable[Assignment], name: str) -> str:
    return next(iter(_all(notes, name)), "")
