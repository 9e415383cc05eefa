"""Parses unit files as systemd does, and reads back our own notes in them.

The syntax (systemd.syntax(7), src/shared/conf-parser.c): sections in brackets, lines NAME=VALUE,
comments that begin with "#" or ";". A backslash at the end of a line joins the next line (comments
between them are skipped). A name may come many times. Lines end with a newline or a carriage return
only: Python's splitlines() knows more line ends than systemd.

Each worker's drop-in ends with a section [X-Tqunits], which systemd ignores because of its name:
the ledger. It makes the installed files the only state of ours: what is installed, from which
source, on which port, and since which change a restart is due.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

from tqunits.health import Health
from tqunits.light_dataclass import dataclass
from tqunits.units import folder_note, health_note, quote, watch_note
from tqunits.units.folder_note import FolderUse
from tqunits.units.limits import LIMIT_DIRECTIVES
from tqunits.units.watch_note import WatchNote

LEDGER = "X-Tqunits"
ROUTER = "X-Tqunits-Router"
"""A section in the template of the routers, which systemd ignores too. It names what makes another
router, besides the template's own lines."""

SERVER = "X-Tqunits-Server"
SOURCE_HASH = "SourceHash"
"""A section of the target: which tqunits.yaml all of it is from."""
SETTINGS_HASH = "SettingsHash"
"""What that file sets: another text with the same hash has other comments alone."""
SOURCE = "Source"
"""Where that file lies, if it says anything."""

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
"""Directives whose change needs no restart: limits, and what systemd itself uses when a process
starts, stops or ends. systemd reads these from the files at a daemon-reload, not at the start of
the process."""

_BEGIN = f"\n[{LEDGER}]\n"

_TEXTS = 4096
"""How many parsed units are kept: a plan parses each unit some ten times, and each time takes 0.1
ms."""

_MARK = "# Rendered by tqunits from "
_RULE_MARK = "// Rendered by tqunits from "
_WHITESPACE = " \t\n\r"
_COMMENT = ("#", ";")


class Assignment(NamedTuple):
    """One line NAME=VALUE. Continuation lines are joined with a blank, as systemd does."""

    section: str
    name: str
    value: str


SURGE = Assignment(LEDGER, "Surge", "yes")
"""The note in the drop-in of a worker's surge (model.Worker.surge)."""


FOLDER_USE = "Folder"
"""The key of the note that a worker runs from its folder, in development mode."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A file that others than root can change and that was copied for a worker's unit.

    Whoever may stat the file sees by its time whether it has changed since. A hash of its content
    would tell this too; but everybody can read the drop-in, and could use the hash to test guesses
    of a password.
    """

    id: str
    source: str
    modified: int  # ns since 1970; 0: not known


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The values in the ledger of a worker's installed drop-in."""

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
    health: Health | None = None  # how it is checked while it runs; None: an earlier release has not noted it
    watch: WatchNote | None = None  # what of its files is watched; None: they are not
    operators: tuple[str, ...] = ()  # who may operate the worker, by a grant of root's: users, and groups as %group
    is_surge: bool = False  # the instance is none of the worker's replicas: only a roll starts it
    folder_use: FolderUse | None = None  # the worker runs from its folder, in development mode


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
    """The text of a unit file with these assignments."""
    sections = groupby(assignments, key=lambda a: a.section)
    return "\n".join(f"[{section}]\n" + "".join(f"{a.name}={a.value}\n" for a in group) for section, group in sections)


def sets(text: str, directive: str) -> bool:
    """Whether a unit file has this directive in any section."""
    return any(a.name == directive for a in parse(text))


def last_value(text: str, section: str, name: str) -> str | None:
    """The effective value of a directive that takes one value: its last assignment in this file,
    unparsed."""
    values = [a.value for a in parse(text) if (a.section, a.name) == (section, name)]
    return values[-1] if values else None


def header(source: str, digest: str, *, rule: bool = False) -> str:
    """The first line of every file of ours: what it was made from, and how to change it. `rule`:
    for polkit, whose comments are JavaScript's."""
    mark = _RULE_MARK if rule else _MARK
    return f"{mark}{quote.comment(source)} (sha256 {digest}). Do not edit: change that, then run 'tqunits install'."


def is_ours(text: str) -> bool:
    """Whether tqunits has written this file, and so may overwrite or remove it."""
    return text.startswith((_MARK, _RULE_MARK))


def notes_of(text: str) -> tuple[Assignment, ...]:
    """The assignments of the ledger. It is the last section that we write, so only the end of the
    text is parsed."""
    before, mark, end = text.rpartition(_BEGIN)
    is_end = bool(mark) and _BEGIN.strip() not in before and "\\\n" not in f"{before}\n" and "\r" not in text
    return tuple(a for a in parse(mark + end if is_end else text) if a.section == LEDGER)


@lru_cache(maxsize=_TEXTS)
def ledger(text: str) -> Ledger | None:
    """The ledger of a drop-in of ours; None for every other file."""
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
        health=health_note.read(_first(notes, "Health")),
        watch=watch_note.read(_first(notes, "Watch")),
        operators=_all(notes, "Operator"),
        is_surge=SURGE in notes,
        folder_use=folder_note.read(_first(notes, FOLDER_USE)),
    )


def copy_note(copy: Copy) -> str:
    """A copy as a line of the ledger."""
    return f"{copy.id} {copy.modified} {copy.source}"


def restart_hash(text: str) -> str:
    """The sha256, in hex, of everything that a running worker gets only by a restart: without our
    notes and live directives."""
    import hashlib  # 3 ms with OpenSSL: `tqunits ls` hashes no file

    assignments = [*parse(text), *_soft_limits(text)]
    kept = (a for a in assignments if a.name not in LIVE_DIRECTIVES and a.section != LEDGER)
    return hashlib.sha256(dump(kept).encode()).hexdigest()


def _soft_limits(text: str) -> Iterable[Assignment]:
    """A soft limit that differs from the hard one. The program may change it after its start, so we
    must not change it at run time."""
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
    """Whether it ends with an odd number of backslashes."""
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _copy(note: str) -> Copy | None:
    """The inverse of `copy_note`."""
    credential, _, rest = note.partition(" ")
    modified, _, source = rest.partition(" ")
    is_number = modified.isascii() and modified.isdigit() and len(modified) < 20
    return Copy(credential, source, int(modified)) if source and is_number else None


def _all(notes: Iterable[Assignment], name: str) -> tuple[str, ...]:
    return tuple(quote.untext(a.value) for a in notes if a.name == name)


def _first(notes: Iterable[Assignment], name: str) -> str:
    return next(iter(_all(notes, name)), "")
