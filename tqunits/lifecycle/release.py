"""The releases of a worker as values, and as the JSON in which they are written and asked for.

A release is an immutable copy of a worker's folder as it was built (host/release_store.py). Its ID
is a digest of what it was made from: the same sources, settings and tools make the same release.

    manifest  ID.json beside the release: what it was made from, by whom, when. Root writes it
    order     what an unprivileged manager asks of root: make a release, let instances run one.
              Root reads it as hostile text
    result    what came of an order. Root writes it, the manager reads it

Each of them is read whole or not at all. A result may tell what a build has printed: it is made
printable and cut to its bounds when it is written, so that its reader never refuses what root says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Final

from tqunits.late_pattern import late_pattern
from tqunits.lifecycle.strict_json import StrictObject, exactly, strict_object, text
from tqunits.light_dataclass import dataclass
from tqunits.printable import printable

FOLDER: Final = "folder"
"""In the `runs` of an order: none, so the instance runs from the worker's own folder."""

MAX_DOCUMENT: Final = 256 * 1024
"""Bytes: an order for a thousand instances, a manifest of MAX_TOOLS, a result; each with room."""

MAX_INSTANCE: Final = 1001
"""scaling.max_workers is at most 1000; one more runs during a roll."""

MAX_ACTOR: Final = 300
"""Characters of who has asked: a number and a user's name, which has at most 256
(LOGIN_NAME_MAX)."""

MAX_MESSAGE: Final = 1000
"""Characters of the message that somebody gives a deploy (`--message`): a short paragraph."""

MAX_TOOLS: Final = 32
"""Programs of a toolchain: a preset names two or three."""

MAX_LEFT: Final = 10
"""Names that are told of what was left out; the others are counted."""

MAX_WHY: Final = 4096
"""Characters of a reason: it may have a path (PATH_MAX)."""

_MAX_PATH: Final = 4096  # PATH_MAX
_MAX_DIGEST: Final = 128  # SHA-512 in hex

RELEASE: Final = late_pattern(r"[0-9a-f]{12}")
"""The ID of a release."""

_RELEASE_OR_FOLDER: Final = late_pattern(rf"[0-9a-f]{{12}}|{FOLDER}")
WORKER: Final = late_pattern(r"[a-z][a-z0-9_-]{0,23}")  # units.name.WORKER_PATTERN, which a sibling may not import
_HEX: Final = late_pattern(r"[0-9a-f]+")
REVISION: Final = late_pattern(r"[0-9a-f]{40}|[0-9a-f]{64}")  # SHA-1, SHA-256
_NUMBER: Final = late_pattern(r"[1-9][0-9]{0,3}")


@dataclass(frozen=True, slots=True)
class Tool:
    """A program of the toolchain."""

    path: str  # absolute, of the file itself; a name that was not found stands alone
    version: str  # what tells another one: its size and time; empty: it was not found


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a release is and where it comes from."""

    worker: str
    release: str  # its ID
    sources_digest: str  # hex
    recipe_digest: str  # hex; of the settings of the build
    toolchain: tuple[Tool, ...]
    revision: str | None  # of git, as the repository says
    is_dirty: bool | None  # whether the sources differ from the revision; None: it is not known
    actor: str  # who has asked for it
    message: str  # and what for
    made_us: int  # µs since 1970
    took_us: int  # µs, with its build
    size: int  # bytes of all its files
    files: int  # files and links


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """Make a release of the sources as they are now. Both texts are printable."""

    actor: str
    message: str
    only_look: bool = False  # find the one that is there, and make none


@dataclass(frozen=True, slots=True, kw_only=True)
class HarvestOrder:
    """What the manager asks of root for one worker, in this order."""

    number: int  # the result has the same
    build: BuildRequest | None
    runs: Mapping[int, str]  # instance -> the release that it runs at its next start, or FOLDER
    stable: str | None  # the release that is the last wholly healthy one from now on
    clear: bool = False  # remove the caches of its builds


@dataclass(frozen=True, slots=True, kw_only=True)
class HarvestResult:
    """What came of an order."""

    number: int
    release: str | None = None  # that the build has made or found; None: none was asked for or is there, or it failed
    is_new: bool = False  # False: there was such a release already; `in_folder`: nothing had to be built
    in_folder: bool = False  # in development mode: its folder is built, and that is what it runs
    revision: str | None = None
    is_dirty: bool | None = None
    cleared: bool = False  # there were caches, and they are removed
    left: tuple[str, ...] = ()  # names that are not in the release, or not taken to the folder: some of them
    left_count: int = 0  # and how many there are
    why: str = ""  # why it failed; empty: all is done
    hint: str = ""  # what to do, or the last lines of the build; of what is done, what is left to do


def is_release_id(text: str) -> bool:
    """Whether it can be the ID of a release."""
    return RELEASE.fullmatch(text) is not None


def parse_manifest(document: str | bytes) -> Manifest:
    """Read a manifest. Raises ValueError."""
    found = strict_object(document, MAX_DOCUMENT, _keys(Manifest))
    return Manifest(
        worker=found.text("worker", 24, WORKER),
        release=found.text("release", 12, RELEASE),
        sources_digest=found.text("sources_digest", _MAX_DIGEST, _HEX),
        recipe_digest=found.text("recipe_digest", _MAX_DIGEST, _HEX),
        toolchain=tuple(_tool(row) for row in found.rows("toolchain", MAX_TOOLS)),
        revision=found.text_or_none("revision", 64, REVISION),
        is_dirty=found.flag_or_none("is_dirty"),
        actor=found.text("actor", MAX_ACTOR),
        message=found.text("message", MAX_MESSAGE),
        made_us=found.number("made_us"),
        took_us=found.number("took_us"),
        size=found.number("size"),
        files=found.number("files"),
    )


def manifest_text(manifest: Manifest) -> str:
    """The text of a manifest."""
    return _json(asdict(manifest))


def parse_order(document: str | bytes) -> HarvestOrder:
    """Read an order. Raises ValueError."""
    found = strict_object(document, MAX_DOCUMENT, _keys(HarvestOrder))
    return HarvestOrder(
        number=found.number("number"),
        build=_build(found),
        runs=_runs(found.table("runs", MAX_INSTANCE)),
        stable=found.text_or_none("stable", 12, RELEASE),
        clear=found.flag("clear"),
    )


def order_text(order: HarvestOrder) -> str:
    """The text of an order. Who makes one makes its texts printable."""
    build = None if order.build is None else asdict(order.build)
    runs = {str(number): release for number, release in sorted(order.runs.items())}
    members = {"number": order.number, "build": build, "runs": runs, "stable": order.stable}
    return _json({**members, "clear": order.clear})


def parse_result(document: str | bytes) -> HarvestResult:
    """Read a result. Raises ValueError."""
    found = strict_object(document, MAX_DOCUMENT, _keys(HarvestResult))
    return HarvestResult(
        number=found.number("number"),
        release=found.text_or_none("release", 12, RELEASE),
        is_new=found.flag("is_new"),
        in_folder=found.flag("in_folder"),
        revision=found.text_or_none("revision", 64, REVISION),
        is_dirty=found.flag_or_none("is_dirty"),
        cleared=found.flag("cleared"),
        left=tuple(text(row, "left", _MAX_PATH) for row in found.rows("left", MAX_LEFT)),
        left_count=found.number("left_count"),
        why=found.text("why", MAX_WHY),
        hint=found.lines("hint", MAX_WHY),
    )


def result_text(result: HarvestResult) -> str:
    """The text of a result. What is too long is cut, and what is not printable is escaped."""
    cut = {
        "left": [printable(name)[:_MAX_PATH] for name in result.left[:MAX_LEFT]],
        "why": printable(result.why)[:MAX_WHY],
        "hint": "\n".join(map(printable, result.hint.split("\n")))[:MAX_WHY],
    }
    return _json({**asdict(result), **cut})


def _tool(row: object) -> Tool:
    found = exactly(row, "toolchain", _keys(Tool))
    return Tool(found.text("path", _MAX_PATH), found.text("version", _MAX_DIGEST))


def _build(order: StrictObject) -> BuildRequest | None:
    if order.members["build"] is None:
        return None
    found = exactly(order.members["build"], "build", _keys(BuildRequest))
    return BuildRequest(
        found.text("actor", MAX_ACTOR), found.text("message", MAX_MESSAGE), only_look=found.flag("only_look")
    )


def _runs(table: Mapping[str, object]) -> Mapping[int, str]:
    runs = {_instance(key): text(value, "runs", 12, _RELEASE_OR_FOLDER) for key, value in table.items()}
    if max(runs, default=1) > MAX_INSTANCE:
        raise ValueError(f"runs: an instance has a number from 1 to {MAX_INSTANCE}")
    return runs


def _instance(key: str) -> int:
    return int(text(key, "runs", 4, _NUMBER))


def _keys(kind: type[Tool | Manifest | BuildRequest | HarvestOrder | HarvestResult]) -> tuple[str, ...]:
    """The keys of the object of one of these values: the names of its fields."""
    return tuple(each.name for each in fields(kind))


def _json(members: Mapping[str, object]) -> str:
    return json.dumps(members) + "\n"
