"""The units of a build: the content of the drop-ins of tq-build@NAME.service and
tq-build@NAME.fetch.service.

Loading modules and running their code are two units, because a unit either has the network or not:
the fetch reaches other hosts and runs nothing of what it loads; the build has no network at all.
They are instances of one template, so they have the same sandbox. The build requires its fetch, so
a start of the build starts both. A build whose command is written in worker.yaml is one step, with
the network.

A unit with the network can not reach this host's loopback addresses, except systemd-resolved's stub
(127.0.0.53), nor link-local addresses (a cloud's metadata service, 169.254.169.254). It can reach
this host's other addresses, as any host of the network can: systemd has no directive for "this
host's addresses".

A build runs in its copy of the worker's folder. Its results may contain the path where they were
made (the scripts of a virtual environment do). So the copy is mounted at the folder's own path, and
the folder itself at `_SOURCES`, from where it is copied. PID 1 resolves both paths with root's
rights. So this is done only where nobody but root can replace the folder (sandbox.put_back).
Otherwise, and where systemd can not express the path, a build runs in its workspace.
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

_SOURCES = "/var/tmp/sources"  # noqa: S108 - in the build's own file system, where nobody else has a file

_CACHES = {"XDG_CACHE_HOME": ".", "GOCACHE": "go", "GOMODCACHE": "mod", "npm_config_cache": "npm"}
"""Variable -> folder below the worker's own cache, so that no build can change another one's
objects."""


def units(worker: Worker) -> tuple[str, ...]:
    """The units of a worker's build, in the order in which they run; none when it has no build."""
    if not worker.build.command:
        return ()
    return (*((name.fetch(worker.name),) if worker.build.fetch else ()), name.build(worker.name))


def folder(worker: str, above: PurePosixPath) -> PurePosixPath:
    """The workspace, or the caches, of a worker's builds, below the layout's folder `above`."""
    return above / "builds" / worker


def copy(worker: str, above: PurePosixPath) -> PurePosixPath:
    """The copy of the worker's folder. It does not lie in the workspace, where the build could
    replace it with a link: PID 1 mounts it, as root.
    """
    return above / "copies" / worker


def values(worker: Worker, unit: str, target: Host) -> Mapping[str, object]:
    """The values of the template tq-build.conf.j2 for one of `units`."""
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
    """The accounts build-NAME for sysusers.d(5), for workers that have a build."""
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


TIMEOUT = 15 * 60 * 1_000_000
"""µs. A cold build of a large Go or Node program takes some minutes, less than a quarter of an
hour."""

HOME = "/nonexistent"
"""The home of the builds' accounts."""

NO_SHELL = "/usr/sbin/nologin"


def description_of(worker: str) -> str:
    """The description (GECOS) of a build's account, by which `uninstall` knows that it is ours."""
    return f"tqunits build of {worker}"


def is_in_place(worker: Worker, target: Host) -> bool:
    """Whether the worker's build runs at the path of the worker's folder."""
    return quote.is_mountable(str(worker.folder), target.systemd) and sandbox.put_back(worker) == worker.folder


def results(worker: str, target: Host) -> PurePosixPath:
    """The file that lists the results of builds in the worker's folder, which are not sources."""
    return target.layout.state / "built" / worker / "results"


def _command(worker: Worker, target: Host, *, is_fetch: bool) -> list[str]:
    """The arguments of alone/workspace.py. The first unit of a build copies the worker's folder."""
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
    """What the build sees: its copy, the folder that was copied, and what it needs from folders
    that the sandbox hides.

    If others may rename a folder on the path, only the first one that is not root's is mounted.
    From there on the build walks with its own rights, as the worker does.
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
