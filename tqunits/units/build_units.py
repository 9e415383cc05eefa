"""The units of a build: what stands in the drop-ins of tq-build@NAME.service and
tq-build@NAME.fetch.service.

A build that loads modules and one that runs their code are two units, for a unit has one network:
the fetch reaches other hosts and runs nothing of what it gets, the build has no network at all.
They are instances of one template, so nothing of the sandbox can be in one and not in the other,
and the build requires its fetch: whoever starts it gets both. A build that somebody wrote is one
step, and has the network.

With the network, no other program of this host is reached on loopback but systemd-resolved's stub
(127.0.0.53), nor what answers on link-local addresses (a cloud's metadata, 169.254.169.254). What
listens on this host's other addresses is as near as to any host of its network: systemd has no word
for "the host's own".

A build runs in its copy of the worker's folder. What it makes may name the path where it was made
(the scripts of a virtual environment do), so the copy is mounted at the folder's own path, and the
folder itself at `_SOURCES`, where the copy is made from. PID 1 resolves both with root's rights. So
that is done where nobody but root can put another folder in the place of this one
(sandbox.put_back); elsewhere, and where systemd can not say the path, a build runs in its
workspace.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from tqunits import placeholders
from tqunits.model import Host, Worker, build_account_of
from tqunits.units import name, quote, sandbox
from tqunits.units.sandbox import Directives

_OUTWARD: Directives = (("IPAddressDeny", "localhost link-local multicast"), ("IPAddressAllow", "127.0.0.53"))
_NO_NETWORK: Directives = (("PrivateNetwork", "yes"),)

_EMPTY = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - the template's TemporaryFileSystem=

_SOURCES = "/var/tmp/sources"  # noqa: S108 - in the build's own file system: the path is nobody else's

_CACHES = {"XDG_CACHE_HOME": ".", "GOCACHE": "go", "GOMODCACHE": "mod", "npm_config_cache": "npm"}
"""Variable -> folder below the worker's cache: nobody plants an object file in another one's
build."""


def units(worker: Worker) -> tuple[str, ...]:
    """The units of its build, in the order in which they run; none where there is nothing to
    build."""
    if not worker.build.command:
        return ()
    return (*((name.fetch(worker.name),) if worker.build.fetch else ()), name.build(worker.name))


def folder(worker: str, above: PurePosixPath) -> PurePosixPath:
    """Where a worker's builds have their workspace, or their caches, below the layout's folder."""
    return above / "builds" / worker


def copy(worker: str, above: PurePosixPath) -> PurePosixPath:
    """Where the copy of the worker's folder lies. Not in the workspace, where the build could put a
    link in its place: PID 1 mounts it, as root.
    """
    return above / "copies" / worker


def values(worker: Worker, unit: str, target: Host) -> Mapping[str, object]:
    """What the template tq-build.conf.j2 places for one of `units`."""
    fetch = worker.build.fetch
    is_fetch = unit == name.fetch(worker.name)
    offline = fetch.offline if fetch and not is_fetch else ()
    fixed = {**dict(_own_variables(worker.name, target)), **dict(offline)}
    variables = {**dict(placeholders.constant(worker.environment)), **fixed, **dict(worker.build.environment)}
    state = PurePosixPath(target.layout.state.name)
    return {
        "description": quote.text(f"{'Fetch for the build' if is_fetch else 'Build'} of worker {worker.name}"),
        "source": quote.path(str(worker.source)),
        "fetch": name.fetch(worker.name) if fetch and not is_fetch else "",
        "command": quote.command(_command(worker, target, is_fetch=is_fetch)),
        "account": quote.account(build_account_of(worker.name)),
        "workspace": f"{folder(worker.name, state)} {copy(worker.name, state)}",
        "cache": str(folder(worker.name, state)),
        "disk_max": quote.size(worker.build.disk_max),
        "variables": [quote.assignment(variable, value) for variable, value in variables.items()],
        "sandbox": (*(_NO_NETWORK if fetch and not is_fetch else _OUTWARD), *_paths(worker, target)),
    }


def accounts(workers: Iterable[Worker]) -> list[Mapping[str, str]]:
    """build-NAME for sysusers.d(5), where there is something to build."""
    return [
        {
            "user": quote.account(build_account_of(worker.name)),
            "description": quote.word(description_of(worker.name)),
            "home": HOME,
            "shell": NO_SHELL,
        }
        for worker in workers
        if worker.build.command
    ]


DISK_MAX_OF_A_REQUEST = 4 << 30
"""The default: who is not root takes no more of everybody's disk."""

TIMEOUT = 15 * 60 * 1_000_000
"""µs. A cold build of a large Go or Node program takes minutes, not a quarter of an hour."""

HOME = "/nonexistent"
"""Where builds' accounts live."""

NO_SHELL = "/usr/sbin/nologin"


def description_of(worker: str) -> str:
    """The comment of its account in passwd(5), by which `uninstall` knows that it is ours."""
    return f"tqunits build of {worker}"


def is_in_place(worker: Worker, target: Host) -> bool:
    """Whether its build runs at the path of the worker's folder."""
    try:
        quote.mount_word(str(worker.folder), target.systemd)
    except quote.Unquotable:
        return False
    return sandbox.put_back(worker) == worker.folder


def results(worker: str, target: Host) -> PurePosixPath:
    """The file that says what of the worker's folder builds have made, and so is no source."""
    return target.layout.state / "built" / worker / "results"


def _command(worker: Worker, target: Host, *, is_fetch: bool) -> list[str]:
    """The first step copies the worker's folder."""
    build, in_place = worker.build, is_in_place(worker, target)
    copied = is_fetch or not build.fetch
    source = ["--copy", _SOURCES if in_place else str(worker.folder)] if copied else []
    without = ["--without", str(results(worker.name, target))] if copied else []
    place = ["--at", str(worker.folder)] if in_place else []
    needs = ["--needs", build.fetch.needs] if is_fetch and build.fetch else []
    program = build.fetch.command if is_fetch and build.fetch else build.command
    workspace = str(folder(worker.name, target.layout.state))
    options = (*source, *without, "--in", str(copy(worker.name, target.layout.state)), *place, *needs)
    return [*target.argv_alone("workspace"), *options, workspace, "--", *program]


def _own_variables(worker: str, target: Host) -> Iterable[tuple[str, str]]:
    workspace, cache = folder(worker, target.layout.state), folder(worker, target.layout.cache)
    yield from (("HOME", str(workspace)), ("TMPDIR", str(workspace / "tmp")))
    yield from ((variable, str(cache / below)) for variable, below in _CACHES.items())


def _paths(worker: Worker, target: Host) -> Directives:
    """Where the build sees its copy, the folder that this is of, and what it has to see of what its
    sandbox hides.

    Of a folder on whose way somebody else may rename, only the first that is not root's is put
    back: the build goes on from there with its own rights, as the worker does.
    """
    systemd, own, in_place = target.systemd, sandbox.put_back(worker), is_in_place(worker, target)
    needed = [path for path in (own, target.alone) if path is not None and _is_hidden(path)]
    homes = any(map(sandbox.hidden_home, needed))
    seen = (path for path in needed if not (in_place and path == own))
    rows = [("ProtectHome", "tmpfs" if homes else "yes")]
    if in_place:
        copied = str(copy(worker.name, target.layout.state))
        rows.append(("BindReadOnlyPaths", quote.mount_pair(str(worker.folder), _SOURCES, systemd)))
        rows.append(("BindPaths", quote.mount_pair(copied, str(worker.folder), systemd)))
    return (*rows, *(("BindReadOnlyPaths", quote.mount_word(str(path), systemd)) for path in seen))


def _is_hidden(path: PurePosixPath) -> bool:
    return sandbox.hidden_home(path) or any(path.is_relative_to(place) for place in _EMPTY)
