"""The record of a worker's last build: its sources, its settings and its results.

A program is out of date when the content of its sources is no longer what was built. Times do not
tell: a checkout or a copy gives files any time. So each build leaves a record in a folder of
root's, with --user in the user's own state folder:

    built/NAME/record    the sources (source_tree.py), what was asked for, and how the files look
                         that were made
    built/NAME/names     all that was made, for the next harvest to replace
    built/NAME/results   the topmost of these, NUL behind each, for the next build to leave out: its
                         account may read it

The record is written before the first change in the worker's folder, marked as unfinished, and once
more when all is done. So a build that was interrupted is done again. The record's time is when the
program was built: an instance that was started earlier runs the old program (host/plan.py).

Sources that change during their build are recorded as they were before it: one build too many does
less harm than one too few.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import field, replace
from pathlib import Path

from tqunits.host import installed, made_paths, release_links, source_tree
from tqunits.host.made import Made
from tqunits.host.source_tree import MAX_RECORD, Result, Scope, Sources, TreeEntry
from tqunits.layout import WORKER_YAML, Layout
from tqunits.light_dataclass import dataclass
from tqunits.model import Worker
from tqunits.system import files

MAX_TOLD = 3
"""How many changes are named; the others are counted."""

_MODULES = "node_modules"
_MANAGERS = frozenset({("npm",), ("pnpm",), ("yarn",), ("bun",)})
_LOADS = frozenset({("ci",), ("install",), ("i",), ("clean-install",)})

_FORM = "tqunits-built 1"
_ENDED, _BEGUN = "ended", "begun"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A build whose results were taken, or were about to be."""

    recipe: str  # a digest of the build's settings in worker.yaml
    is_ended: bool
    sources: Sources
    results: Mapping[str, Result]  # of the files that it made, those nearest to the worker's folder
    roots: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """A comparison of the worker's folder with the record."""

    record: Record | None
    sources: Sources = field(default_factory=dict)  # as they are now
    changes: tuple[str, ...] = ()  # in words
    is_missing: bool = False  # a file that the build made is gone or is another file

    @property
    def reason(self) -> str:
        """Why a build is due, in words; empty when none is."""
        more = len(self.changes) - MAX_TOLD
        return ", ".join(self.changes[:MAX_TOLD]) + (f" and {more} more" if more > 0 else "")


def glance(worker: Worker, layout: Layout) -> Glance | None:
    """Compare the worker's sources with the record. None when the worker has no build, or runs
    releases: then `tqunits deploy` makes one of it.

    Raises OSError (PermissionError without the right to read the record), and TqunitsError for a
    folder beyond the bounds.
    """
    if not worker.build.command or runs_release(worker, layout):
        return None
    record = read(worker.name, layout)
    without = {*_whole(worker), _worker_yaml(worker), *worker.writable}
    now = _glance(Path(worker.folder), frozenset(without), layout, record)
    program = own_program(worker)
    if record is None:
        is_built = program is not None and _is_newest(Path(worker.folder) / program, program, now.sources)
        return now if is_built else replace(now, changes=("it was never built",))
    if not record.is_ended:
        return replace(now, changes=("its last build was not finished",))
    if program is not None and program not in record.results and not os.path.lexists(worker.folder / program):
        now = replace(now, changes=(f"{program} is gone", *now.changes), is_missing=True)
    if record.recipe != recipe(worker):
        now = replace(now, changes=("its build is another one", *now.changes))
    return now


def glance_at_installed(worker: str, source: str, layout: Layout, given: Collection[str]) -> Glance | None:
    """The same by the record alone, without YAML, for a worker whose worker.yaml is `source`. None
    when nothing was built.

    `given`: the paths of the folders that the worker itself writes.
    """
    record = read(worker, layout)
    yaml = Path(source)
    if record is None or not record.is_ended or yaml.name != "worker.yaml":
        return None
    if _runs_release(worker, layout):
        return None
    folder = yaml.parent.parent
    own = (os.path.relpath(path, folder) for path in given)
    return _glance(folder, frozenset({WORKER_YAML, *own}), layout, record)


def runs_release(worker: Worker, layout: Layout) -> bool:
    """Whether a release decides what the worker runs as it is configured, and not its folder."""
    return not worker.in_development and release_links.is_released(layout, worker.name)


def told(now: Glance) -> str:
    """What to say of a program that does not match its sources; empty when it does."""
    if not now.reason or now.record is None:
        return ""
    what = "not what was built" if now.is_missing else "older than its sources"
    return f"its program is {what}: {now.reason}"


def recipe(worker: Worker) -> str:
    """A digest of the build's settings in worker.yaml; the settings themselves may be long."""
    build = worker.build
    words = (build.command, sorted(worker.environment), sorted(build.environment), build.fetch)
    return hashlib.sha256(repr(words).encode("utf-8", "surrogateescape")).hexdigest()


def made(worker: Worker, layout: Layout) -> Made:
    """What earlier builds have brought into the worker's folder, which the next build replaces."""
    record = read(worker.name, layout)
    try:
        text = files.read_regular(_folder(worker.name, layout) / "names", MAX_RECORD)
    except FileNotFoundError:
        text = b""
    names = (os.fsdecode(name) for name in text.split(b"\0") if name)
    return Made(record.roots if record else frozenset(), frozenset(names), _whole(worker))


def results_of(worker: Worker, layout: Layout) -> frozenset[str]:
    """What in the worker's folder is a build's and no source, whether a build of ours or somebody
    else has made it."""
    record = read(worker.name, layout)
    return _whole(worker) | (record.roots if record else frozenset[str]())


def lend(worker: Worker, layout: Layout, group: int) -> None:
    """Let the build's account read the list of results, which it leaves out of its copy."""
    path = _folder(worker.name, layout) / "results"
    _write(path, sorted(results_of(worker, layout)))
    os.chown(path, -1, group)
    path.chmod(0o640)


def begin(worker: Worker, layout: Layout, sources: Sources, roots: Made) -> None:
    """Record that the worker's folder is about to change: afterwards it may hold old and new
    results."""
    before = made(worker, layout)
    both = Made(before.roots | roots.roots, before.names | roots.names)
    _save(worker, layout, Record(recipe="", is_ended=False, sources=sources, results={}, roots=both.roots), both)


def end(worker: Worker, layout: Layout, sources: Sources, roots: Made) -> None:
    """Record that the build is finished."""
    folder = Path(worker.folder)
    of_roots = source_tree.below(folder, roots.roots)
    nearest = [path for path in of_roots if path in roots.names]
    kept = {path: source for path, source in sources.items() if not _is_below(path, roots.roots)}
    found = source_tree.results(folder, nearest)
    record = Record(recipe=recipe(worker), is_ended=True, sources=kept, results=found, roots=roots.roots)
    _save(worker, layout, record, roots)


def end_in_place(worker: Worker, layout: Layout, before: Glance) -> None:
    """The same for a build in the worker's folder itself: its results are the files that were not
    there before.

    A source that the build has changed (a lock file) is recorded as it is now. Otherwise a build
    would always be due.
    """
    folder, program = Path(worker.folder), own_program(worker)
    roots = _whole(worker) | (before.record.roots if before.record else frozenset[str]())
    scope = Scope(without=roots | {_worker_yaml(worker)}, all_may_read=layout.sysusers is not None)
    now = source_tree.sources(folder, before.sources, scope)
    changed = {
        path for path, source in now.items() if path in before.sources and _is_other(source, before.sources[path])
    }
    old = _folders(before.sources)
    tops = {_top(path, old) for path in now if path not in before.sources} | (changed & {program or ""})
    roots = frozenset(path for path in (*roots, *tops) if os.path.lexists(folder / path))
    names = frozenset(source_tree.below(folder, roots))
    end(worker, layout, {**before.sources, **{path: now[path] for path in changed}}, Made(roots, names | roots))


def _is_other(now: TreeEntry, before: TreeEntry) -> bool:
    return now.is_what != before.is_what


def _folders(paths: Iterable[str]) -> frozenset[str]:
    """All folders above these paths."""
    parts = (path.split("/") for path in paths)
    return frozenset("/".join(names[:count]) for names in parts for count in range(1, len(names)))


def _top(path: str, old: frozenset[str]) -> str:
    """The topmost folder above a new file that is not one of the old folders; without one, the file
    itself."""
    names = path.split("/")
    tops = ("/".join(names[:count]) for count in range(1, len(names)))
    return next((top for top in tops if top not in old), path)


def settle(worker: Worker, layout: Layout, now: Glance) -> None:
    """No build is due: record how the files look now, so that the next comparison reads fewer of
    them.

    Without a record, a program that is newer than all its sources counts as built, at its own time.
    """
    path = _folder(worker.name, layout) / "record"
    if now.record is None:
        record = Record(recipe=recipe(worker), is_ended=True, sources=now.sources, results={}, roots=frozenset())
        _save(worker, layout, record, Made())
        program = own_program(worker)
        with suppress(OSError):
            time = Path(worker.folder, program or ".").lstat().st_mtime_ns
            os.utime(path, ns=(time, time))
    elif now.sources != now.record.sources:
        files.write_atomically(path, _text(replace(now.record, sources=now.sources)), 0o600, keep_time=True)


def times(layout: Layout) -> Mapping[str, int]:
    """For each worker that runs from its folder when its program was built, in µs since 1970."""
    found = ((path.parent.name, path) for path in Path(layout.state, "built").glob("*/record"))
    own = ((worker, path) for worker, path in found if not _runs_release(worker, layout))
    return {worker: time for worker, path in own if (time := _time_of(path))}


def remains(worker: str, layout: Layout) -> Path:
    """The folder of everything that is remembered of one worker's builds."""
    return _folder(worker, layout)


def read(worker: str, layout: Layout) -> Record | None:
    """The record; None when there is none or it can not be parsed. Raises PermissionError."""
    try:
        text = files.read_regular(_folder(worker, layout) / "record", MAX_RECORD)
    except (FileNotFoundError, NotADirectoryError):
        return None
    lines = os.fsdecode(text).split("\0")
    try:
        return _parse(lines) if lines[0] == _FORM else None
    except (ValueError, IndexError):
        return None


def _runs_release(worker: str, layout: Layout) -> bool:
    """The same of a worker as it is installed."""
    return release_links.is_released(layout, worker) and installed.folder_use(worker, layout) is None


def _glance(folder: Path, without: frozenset[str], layout: Layout, record: Record | None) -> Glance:
    roots = record.roots if record else frozenset[str]()
    known = record.sources if record else {}
    scope = Scope(without=without | roots, all_may_read=layout.sysusers is not None)
    sources = source_tree.sources(folder, known, scope)
    if record is None:
        return Glance(record=None, sources=sources)
    there = source_tree.results(folder, record.results)
    spoilt = [_spoilt(path, there.get(path)) for path, was in record.results.items() if there.get(path) != was]
    changes = (*sorted(spoilt), *source_tree.differences(known, sources))
    return Glance(record=record, sources=sources, changes=changes, is_missing=bool(spoilt))


def _spoilt(path: str, there: Result | None) -> str:
    return f"{path} is gone" if there is None else f"{path} is not what was built"


def own_program(worker: Worker) -> str | None:
    """The worker's own program as a path below its folder; None for a program outside of it."""
    command = worker.command[0] if worker.command else ""
    if "/" not in command:
        return None
    path = os.path.normpath(worker.folder / command)
    return os.path.relpath(path, worker.folder) if path.startswith(f"{worker.folder}/") else None


def _whole(worker: Worker) -> frozenset[str]:
    """The folders that the build makes completely. What a package manager has loaded is not a
    source, whoever has called it.
    """
    commands = (worker.build.command, worker.build.fetch.command if worker.build.fetch else ())
    return frozenset(_MODULES for command in commands if command[:1] in _MANAGERS and command[1:2] in _LOADS)


def _worker_yaml(worker: Worker) -> str:
    return os.path.relpath(worker.source, worker.folder)


def _is_newest(path: Path, program: str, sources: Sources) -> bool:
    """Whether a program is newer than all its sources, by times that nobody can set back
    (ctime)."""
    try:
        found = path.lstat()
    except OSError:
        return False
    others = (max(source.modified, source.changed) for path, source in sources.items() if path != program)
    return min(found.st_mtime_ns, found.st_ctime_ns) >= max(others, default=0)


def _is_below(path: str, roots: frozenset[str]) -> bool:
    parts = path.split("/")
    return any("/".join(parts[:count]) in roots for count in range(1, len(parts) + 1))


def _folder(worker: str, layout: Layout) -> Path:
    return Path(layout.state, "built", worker)


def _time_of(path: Path) -> int | None:
    with suppress(OSError):
        found = path.lstat()
        return min(found.st_mtime_ns, found.st_ctime_ns) // 1000
    return None


def _save(worker: Worker, layout: Layout, record: Record, made_: Made) -> None:
    folder = _folder(worker.name, layout)
    _write(folder / "names", sorted(made_.names))
    _write(folder / "results", sorted(record.roots))
    made_paths.write(worker.name, layout, _whole(worker) | record.roots)
    files.write_atomically(folder / "record", _text(record), 0o600)


def _write(path: Path, names: Iterable[str]) -> None:
    files.write_atomically(path, "".join(f"{name}\0" for name in names), 0o600)


def _text(record: Record) -> str:
    return "".join(f"{line}\0" for line in _lines(record))


def _lines(record: Record) -> Iterator[str]:
    yield from (_FORM, record.recipe, _ENDED if record.is_ended else _BEGUN)
    for root in sorted(record.roots):
        yield f"root {root}"
    for path, result in record.results.items():
        yield f"result {result.size} {result.modified} {path}"
    for path, source in record.sources.items():
        yield f"source {source_tree.row_text(path, source)}"


def _parse(lines: list[str]) -> Record:
    """Raises ValueError or IndexError for lines that are not a record."""
    roots, results, sources = set[str](), dict[str, Result](), dict[str, TreeEntry]()
    for line in lines[3:-1]:
        word, rest = line.split(" ", 1)
        if word == "root":
            roots.add(rest)
        elif word == "result":
            size, modified, path = rest.split(" ", 2)
            results[path] = Result(int(size), int(modified))
        else:
            path, source = source_tree.parse_row(rest)
            sources[path] = source
    ended = lines[2] == _ENDED
    return Record(recipe=lines[1], is_ended=ended, sources=sources, results=results, roots=frozenset(roots))
