"""Questions about the text of an installed routes.json: which workers are in it, and the same text
without or with some of them.

Entries of workers are copied unchanged, because those of a refused worker may be of an earlier
release. A text that is not ours counts as empty.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Final, NotRequired, TypedDict, cast

from tqunits.errors import TqunitsError
from tqunits.light_dataclass import dataclass
from tqunits.routing.released_files import ReleasedFiles

VERSION: Final = 1
MAX_SNAPSHOT: Final = 16 * 1024 * 1024
"""Ten thousand workers with room; a file beyond it is not a snapshot."""

_NOT_OURS: Final = (ValueError, LookupError, TypeError, RecursionError)
"""What is raised of a text that somebody else has written."""


class _Release(TypedDict):
    link: str
    directory: str


class _Folder(TypedDict):
    directory: str
    prefix: str
    release: NotRequired[_Release | None]  # an earlier release had none


class _Entry(TypedDict):
    """A worker, in so far as something is asked of it here."""

    name: str
    hosts: list[str]
    routes: list[str]
    endpoints: list[str]
    static: _Folder | None
    disabled: NotRequired[bool]  # an earlier release had none


class _Document(TypedDict):
    """What a text should be: where it is something else, its use raises one of _NOT_OURS."""

    version: int
    workers: list[_Entry]


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A worker that is files alone: it has no unit, and the snapshot is all that tells of it."""

    name: str
    hosts: tuple[str, ...]
    routes: tuple[str, ...]
    directory: str  # absolute
    release: ReleasedFiles | None = None


def json_of(text: str) -> object:
    """The JSON value. Raises ValueError, also for a key that is given twice, or RecursionError."""
    return json.loads(text, object_pairs_hook=_no_duplicates)


def text_of(document: Mapping[str, object]) -> str:
    """The same text for the same document: comparing texts tells whether the router has to read it
    again."""
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def files_alone(text: str) -> tuple[Served, ...]:
    """The workers of a snapshot that are files alone. Raises TqunitsError where it is none of
    ours."""
    try:
        document = _read(text)
        if document["version"] != VERSION:
            raise ValueError(f"version {document['version']!r} is not {VERSION}")
        return tuple(
            Served(
                name=str(worker["name"]),
                hosts=tuple(map(str, worker["hosts"])),
                routes=tuple(map(str, worker["routes"])),
                directory=str(worker["static"]["directory"]),
                release=_release(worker["static"]),
            )
            for worker in document["workers"]
            if worker["static"] and not worker["endpoints"]
        )
    except _NOT_OURS as error:
        raise TqunitsError(
            f"routes.json: no routes of tqunits: {error}", hint="'tqunits install' writes it anew"
        ) from None


def folders(text: str) -> Mapping[str, str]:
    """Worker -> the folder of its files in a snapshot; empty when the text is not ours."""
    try:
        workers = _read(text)["workers"]
        return {str(each["name"]): str(each["static"]["directory"]) for each in workers if each["static"]}
    except _NOT_OURS:
        return {}


def installed_routes(text: str) -> Mapping[str, frozenset[tuple[str, str]]]:
    """Worker -> its pairs of a host ("" for any) and a route in a snapshot; empty when the text is
    not ours.

    Disabled workers are left out: another worker may take their routes.
    """
    try:
        workers = [worker for worker in _read(text)["workers"] if not worker.get("disabled")]
        return {str(worker["name"]): frozenset(_routes(worker)) for worker in workers}
    except _NOT_OURS:
        return {}


def without(text: str, workers: Iterable[str]) -> str | None:
    """The same snapshot without these workers; None when the text is no snapshot of ours."""
    gone = frozenset(workers)
    try:
        document = _read(text)
        document["workers"] = [worker for worker in document["workers"] if worker["name"] not in gone]
    except _NOT_OURS:
        return None
    return text_of(document)


def with_workers(text: str, before: str, workers: Collection[str]) -> str:
    """The snapshot with these workers as they were before, without routes that others have now.

    A worker in both keeps its new entry: its program is gone, its files are served.
    """
    if without(before, workers) == text:
        return before
    document = cast(_Document, json_of(text))
    names = {worker["name"] for worker in document["workers"]}
    taken = {route for worker in document["workers"] for route in _routes(worker)}
    try:
        gone = [worker for worker in _read(before)["workers"] if worker["name"] in workers]
        kept = [_left(worker, taken) for worker in gone if worker["name"] not in names]
    except _NOT_OURS:
        return text  # what lay there was no snapshot of ours
    document["workers"] += [worker for worker in kept if worker["routes"]]
    return text_of(document)


def _release(files: _Folder) -> ReleasedFiles | None:
    release = files.get("release")
    return None if release is None else ReleasedFiles(link=str(release["link"]), directory=str(release["directory"]))


def _routes(worker: _Entry) -> Iterable[tuple[str, str]]:
    return ((host, route) for host in worker["hosts"] or [""] for route in worker["routes"])


def _left(worker: _Entry, taken: Collection[tuple[str, str]]) -> _Entry:
    """A route goes if it is taken on any of the worker's hosts: a table with two of the same is
    refused whole."""
    hosts = worker["hosts"] or [""]
    free = [route for route in worker["routes"] if not any((host, route) in taken for host in hosts)]
    return {**worker, "routes": free}


def _read(text: str) -> _Document:
    """Raises one of _NOT_OURS: a key that is given twice, too, as the router does not take it."""
    if len(text) > MAX_SNAPSHOT:
        raise ValueError(f"longer than {MAX_SNAPSHOT} bytes")
    text.encode("utf-8")  # what was read from a file that is not UTF-8 has surrogates
    document = json_of(text)
    if not isinstance(document, dict):
        raise TypeError("not an object")
    return cast(_Document, document)


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key is given twice")
    return members
