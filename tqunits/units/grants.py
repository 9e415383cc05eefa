"""What a worker whose files are not root's may ask for.

Such a worker is called a request. Its author decides what its own account does, and nothing else:
it gets no route, port, account, file or unit of somebody else, and no more of the machine than
`defaults` gives to every worker. Root can allow it more in `grants` of tqunits.yaml, by the
worker's name.

    free                                            by grant
    the routes /NAME and below                      any other route, and any host
    a port that is assigned, a socket               a port of its own choice
    files below its own folder                      any other file, judged by who may change it
    strict, standard, jit, and their parts          legacy, and every other relaxation
    limits up to the defaults                       higher ones
    the watch of its own files                      -
    Description=, Documentation=                    other directives; other units in any directive
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from fnmatch import fnmatchcase
from itertools import groupby
from pathlib import PurePosixPath
from typing import Final

from tqunits.light_dataclass import dataclass
from tqunits.model import (
    ALLOWANCES,
    ANYBODY,
    INFINITY,
    MAX_START_OF_A_REQUEST,
    Grant,
    NotRoots,
    Profile,
    Relaxation,
    Server,
    Worker,
    WorkerType,
    account_of,
)
from tqunits.resources import LIMITS, Measure, Share
from tqunits.units import quote
from tqunits.units.dependencies import foreign_dependencies
from tqunits.units.environment import served_folder
from tqunits.units.refusal import Item, Refusal, refusal

Owners = Mapping[str, Set[str]]
"""Route -> the workers that have it or have a right to it, on any host."""

NONE: Final = Grant()

_EVERYTHING = "/**"
_TRUSTED = Grant(credentials=(_EVERYTHING,), environment_files=(_EVERYTHING,))

_FREE_PROFILES = frozenset({Profile.STRICT, Profile.STANDARD, Profile.JIT})
_FREE_RELAXATIONS = frozenset({Relaxation.OUTBOUND, Relaxation.PROC, Relaxation.NETLINK, Relaxation.WRITE_EXECUTE})
"""The relaxations that one of these profiles contains anyway."""

SANDBOXES: Final = frozenset({*Profile, *Relaxation}) - _FREE_PROFILES - _FREE_RELAXATIONS
"""The profiles and relaxations that need a grant."""

_FREE_DIRECTIVES = frozenset({"Description", "Documentation", "After", "Before", "Wants"})
"""In the last three of these, units of others need a grant."""

_WHOLE = 10_000  # 100% in a Share
_MEASURES = {"disk_max": Measure.BYTES, "min_workers": Measure.COUNT}
"""Of the settings in ALLOWANCES."""

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_/.@%+-")


@dataclass(frozen=True, slots=True)
class _Ask:
    """One thing that a worker asks for: the grant that would allow it, and where it is written."""

    key: str  # of the grant
    setting: str  # of worker.yaml
    value: str | int | Share
    name: str = ""  # of the limit
    item: Item = None  # in a list


def grant_of(worker: Worker, server: Server) -> Grant:
    """The grant of a worker. No grant counts where others than root may make a folder of that
    name."""
    if server.trusted:
        return _TRUSTED
    if server.workers.not_roots is not None:
        return NONE
    return server.grants.get(worker.name) or server.grants.get(ANYBODY) or NONE


def may_name(worker: Worker, patterns: Iterable[str], path: str) -> bool:
    """Whether the worker may name this file. A worker of root's may name any file; a request those
    in its folder, and others by a grant."""
    if worker.not_roots is None or _is_own(worker, path):
        return True
    return any(_matches(path, pattern) for pattern in patterns)


def owned_routes(worker: Worker, server: Server) -> Collection[str]:
    """The routes that a worker has a right to, besides /NAME: for a worker of root's all its
    routes, for a request those in its grant."""
    if worker.not_roots is None:
        return worker.routes
    granted = grant_of(worker, server).routes
    return [route for route in worker.routes if route in granted]


def refusals(
    worker: Worker,
    server: Server,
    grants: PurePosixPath,
    canonical: Mapping[str, str] | None = None,
    owners: Owners | None = None,
    memory: int = 0,
) -> tuple[Refusal, ...]:
    """What this worker asks for and may not have. `grants` is the file in which root would grant
    it.

    `canonical`: for each unit with several names (Alias=) its own name. `owners`: the owners of all
    routes. A route below another worker's, except below "/", would take requests away from that
    worker. `memory`: the host's memory in bytes, for shares; 0 when unknown: then a size and a
    share can not be compared, and need a grant.
    """
    if worker.not_roots is None or server.trusted:
        return ()
    grant, names = grant_of(worker, server), canonical or {}
    asked = tuple(_asked(worker, server, owners or {}, memory))
    refused = [ask for ask in asked if not _is_granted(ask, grant, server, names, memory)]
    found = [refusal(worker, _message(ask, worker.not_roots), None, *_settings(ask), item=ask.item) for ask in refused]
    if found:
        *rest, last = found
        hint = _hint(worker, worker.not_roots, server, grants, asked)
        found = [*rest, Refusal(worker=last.worker, message=last.message, mark=last.mark, hint=hint)]
    return (*found, *_waits(worker))


def _settings(ask: _Ask) -> tuple[str, ...]:
    """The settings at which it may be written: `unit` and all below it are one setting."""
    return ask.setting, ask.setting.partition(".")[0]


def _asked(worker: Worker, server: Server, owners: Owners, memory: int) -> Iterator[_Ask]:
    own = account_of(worker.name)
    for at, route in enumerate(worker.routes):
        if not _is_free(route, worker.name, owners):
            yield _Ask("routes", "path", route, item=at)
    yield from (_Ask("hosts", "host", host, item=at) for at, host in enumerate(worker.hosts))
    if worker.port is not None:
        yield _Ask("ports", "port", worker.port)
    if worker.type is not WorkerType.STATIC:
        if worker.user != own:
            yield _Ask("user", "user", worker.user)
        if worker.group != own:
            yield _Ask("group", "group" if "group" in worker.origins else "user", worker.group)
    yield from _files(worker)
    yield from _units(worker)
    yield from _limits(worker, server, memory)
    yield from _sandbox(worker)


def _files(worker: Worker) -> Iterator[_Ask]:
    folder = served_folder(worker)
    named = [
        *(("credentials", "credentials", path, at) for at, (_, path) in enumerate(worker.credentials)),
        *(("environment_files", "environment_file", path, at) for at, path in enumerate(worker.environment_file)),
        *([("static", "static.directory", str(folder), None)] if folder is not None else []),
    ]
    return (_Ask(key, setting, path, item=at) for key, setting, path, at in named if not _is_own(worker, path))


def _units(worker: Worker) -> Iterator[_Ask]:
    yield from (_Ask("depends", key, unit, item=unit) for key, unit in foreign_dependencies(worker))
    for at, (_, directive, _) in enumerate(worker.unit):
        if directive not in _FREE_DIRECTIVES:
            yield _Ask("unit", "unit", directive, item=at)


def _limits(worker: Worker, server: Server, memory: int) -> Iterator[_Ask]:
    given = {name: worker.limits.most(name) for name in LIMITS}
    given["disk_max"] = worker.build.disk_max if worker.build.command else None
    is_asked = worker.type is not WorkerType.STATIC and worker.name not in server.scale
    given["min_workers"] = worker.scaling.min_workers if is_asked else None
    for name, value in given.items():
        if value is not None and not _fits(value, _bound(name, server), memory):
            yield _Ask("limits", f"{ALLOWANCES.get(name, 'limits')}.{name}", value, name)


def _bound(name: str, server: Server) -> int | Share:
    """The limit up to which a request needs no grant."""
    if name in ALLOWANCES:
        return server.allowances[name]
    bounds = server.bounds
    if name == "memory_high" and bounds.memory_high is None:  # below memory_max it only makes the worker slower
        return bounds.memory_max
    return bounds.most(name) or LIMITS[name].usual or 0


def _sandbox(worker: Worker) -> Iterator[_Ask]:
    sandbox = worker.sandbox
    if sandbox.profile not in _FREE_PROFILES:
        yield _Ask("sandbox", "sandbox", sandbox.profile.value, item=sandbox.profile.value)
    words = (relaxation.value for relaxation in sandbox.relaxations if relaxation not in _FREE_RELAXATIONS)
    yield from (_Ask("sandbox", "sandbox", word, item=word) for word in words)


def _is_granted(ask: _Ask, grant: Grant, server: Server, canonical: Mapping[str, str], memory: int) -> bool:
    value = ask.value
    if ask.key == "limits" and not isinstance(value, str):
        return _fits(value, grant.limits.get(ask.name, _bound(ask.name, server)), memory)
    if ask.key == "depends":
        return canonical.get(str(value), value) in {canonical.get(unit, unit) for unit in grant.depends}
    if ask.key in _PATTERNS:
        return any(_matches(str(value), pattern) for pattern in _PATTERNS[ask.key](grant))
    return value in _LISTS[ask.key](grant)


_PATTERNS: Mapping[str, Callable[[Grant], Collection[str]]] = {
    "credentials": lambda grant: grant.credentials,
    "environment_files": lambda grant: grant.environment_files,
    "static": lambda grant: grant.static,
}
_LISTS: Mapping[str, Callable[[Grant], Collection[object]]] = {
    "routes": lambda grant: grant.routes,
    "hosts": lambda grant: grant.hosts,
    "ports": lambda grant: grant.ports,
    "user": lambda grant: grant.users,
    "group": lambda grant: grant.groups,
    "sandbox": lambda grant: [word.value for word in grant.sandbox],
    "unit": lambda grant: grant.unit,
}
"""The values that each key grants, as they are written in worker.yaml."""


def _fits(value: int | Share, most: int | Share, memory: int) -> bool:
    """Whether the value is not more than `most`. A share is taken of a host with that much memory,
    as systemd does it."""
    match value, most:
        case Share(), Share():
            return value.permyriad <= most.permyriad
        case int(), int():
            return value <= most
        case Share(), int():
            return most == INFINITY or 0 < memory * value.permyriad <= most * _WHOLE
        case int(), Share():
            return value * _WHOLE <= memory * most.permyriad
    raise AssertionError


def _is_free(route: str, name: str, owners: Owners) -> bool:
    """/NAME is always free. A route below it is free too, unless another worker owns a route on the
    way."""
    if not f"{route}/".startswith(f"/{name}/"):
        return False
    on_the_way = [route, *map(str, PurePosixPath(route).parents)][:-1]  # the last is "/"
    return route == f"/{name}" or all(owners.get(above, {name}) <= {name} for above in on_the_way)


def _is_own(worker: Worker, path: str) -> bool:
    pure = PurePosixPath(path)
    return pure.is_relative_to(worker.folder) and ".." not in pure.parts


def _matches(path: str, pattern: str) -> bool:
    """Compares name by name, so that * does not match a slash. The pattern for every path is an
    exception."""
    if pattern == _EVERYTHING:
        return True
    names, wanted = PurePosixPath(path).parts, PurePosixPath(pattern).parts
    if len(names) != len(wanted) or ".." in names:
        return False
    return all(fnmatchcase(name, want) for name, want in zip(names, wanted, strict=True))


def _waits(worker: Worker) -> Iterator[Refusal]:
    """For so long a worker could delay a shutdown, or a caller that waits for its start. No grant
    allows more."""
    for key, span in (("timeouts.start", worker.timeouts.start), ("timeouts.stop", worker.timeouts.stop)):
        if span > MAX_START_OF_A_REQUEST:
            shown = "no end" if span == INFINITY else quote.span(span)
            message = f"{key}: {shown} is too long for a worker that is not root's ({worker.not_roots})"
            yield refusal(worker, message, f"write at most {quote.span(MAX_START_OF_A_REQUEST)}", key)


def _message(ask: _Ask, not_roots: NotRoots) -> str:
    return f"{ask.setting}: {_shown(ask)} needs a grant, for the worker is not root's: {not_roots}"


def _shown(ask: _Ask) -> str:
    value = ask.value
    if isinstance(value, Share):
        return quote.percent(value.permyriad)
    if isinstance(value, str) or ask.key != "limits":
        return str(value)
    if value == INFINITY:
        return "infinity"
    match _MEASURES.get(ask.name) or LIMITS[ask.name].measure:
        case Measure.BYTES:
            return quote.size(value)
        case Measure.CPU:
            return quote.quota(value)
        case Measure.COUNT:
            return str(value)


def _hint(worker: Worker, not_roots: NotRoots, server: Server, grants: PurePosixPath, asked: Sequence[_Ask]) -> str:
    if server.workers.not_roots is not None:
        return (
            f"leave it out; a grant counts only where workers.directory is root's, and {server.workers.not_roots}"
            if server.workers.not_roots.path != not_roots.path
            else "leave it out, or have workers.directory below a folder of root's: there a grant counts"
        )
    how = f"leave it out, {_for_root(worker, not_roots)}, or write in {grants}"
    return f"{how}: grants: {{{worker.name}: {block(asked)}}}"


def _for_root(worker: Worker, not_roots: NotRoots) -> str:
    """What would make the worker root's. Folders above its own may belong to others too, so no
    command is given."""
    path = not_roots.path
    if path.is_relative_to(worker.folder):
        return f"give the worker to root (chown -R root: {path} && chmod -R go-w {path})"
    return f"keep the worker where root alone may write (others may in {path})"


def block(asked: Iterable[_Ask]) -> str:
    """The smallest grant that allows everything asked for, as YAML on one line.

    It contains what the worker has already: the grant of a name replaces the grant of "*", and does
    not add to it.
    """
    parts: list[str] = []
    for key, group in groupby(sorted(asked, key=lambda ask: ask.key), key=lambda ask: ask.key):
        asks = list(group)
        if key == "limits":
            parts.append(f"limits: {{{', '.join(f'{ask.name}: {_shown(ask)}' for ask in asks)}}}")
        else:
            parts.append(f"{key}: [{', '.join(dict.fromkeys(_quoted(_shown(ask)) for ask in asks))}]")
    return f"{{{', '.join(parts)}}}"


def _quoted(text: str) -> str:
    """The text as an item of a YAML list in brackets."""
    if text and set(text) <= _PLAIN and text[0] not in "%@-":
        return text
    return "'" + text.replace("'", "''") + "'"
