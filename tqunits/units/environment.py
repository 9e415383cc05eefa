"""What a worker finds in its environment: the contract that a program relies on, and nothing of the
host's.

Besides these there is HOME, the worker's state (units/rendering.py), and systemd sets its own:
USER, STATE_DIRECTORY and the like, CREDENTIALS_DIRECTORY (systemd.exec(5), ENVIRONMENT VARIABLES IN
SPAWNED PROCESSES).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import assert_never

from tqunits import placeholders
from tqunits.errors import TqunitsError
from tqunits.layout import LEAVING, SERVING
from tqunits.model import Host, Instance, Listen, Mode, OriginKind, Worker, WorkerType
from tqunits.units import name
from tqunits.units.name import Whose

CONTRACT: Mapping[str, str] = {
    "WORKER_PORT": "with listen: tcp, the port on 127.0.0.1 to listen on",
    "PORT": "the same port, by the name that many programs know",
    "WORKER_SOCKET": "the path of its Unix socket: with listen: unix the program makes it, with listen: fd it has it",
    "WORKER_NAME": "the worker's name, which is its folder's",
    "WORKER_ROUTE": "its first route, such as /api; / at the top",
    "WORKER_PATH": "the same, for programs that were written for TQServer",
    "WORKER_MODE": "production or development, as mode in tqunits.yaml says",
    "WORKER_TYPE": "its type, as worker.yaml or its preset says",
}
"""What `contract` sets, and what for: tqunits-contract(7) is made of it."""

FOLDERS: Mapping[str, str] = {
    "STATE_DIRECTORY": "what it is to keep: its own, and there after a restart and a reboot; HOME is the same folder",
    "CACHE_DIRECTORY": "what it can make again",
    "RUNTIME_DIRECTORY": "what goes with its process; 16 MiB and 1024 names at most, and they count as its memory",
    "CREDENTIALS_DIRECTORY": "a file for each of its credentials, which no other user can read; only if it has any",
}
"""What `folders` tells, and what for."""

SESSION_VARIABLES = (
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "GPG_AGENT_INFO",
    "SSH_AGENT_PID",
    "SSH_AUTH_SOCK",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
)
"""What a desktop session hands to its service manager, and it to every unit. The system's manager
hands on nothing."""

CODE = "TQUNITS_CODE"
"""Says by what code of ours a process of the router was started (Target.code); root can read it
from there."""

_MEBIBYTE = 1024 * 1024
_STATIC_KEYS = ("static.directory", "static.prefix")
_UNWRITTEN = frozenset({OriginKind.DEFAULT, OriginKind.PRESET})
DATA = PurePosixPath("tqunits/workers")
"""The folder of the workers in each of systemd's: a worker's state and cache are below it, and its
instances' runtime folders."""

_STATE_FOLDERS_SINCE = 254
"""From this version on a user's manager has state in $XDG_STATE_HOME, before in $XDG_CONFIG_HOME
(its NEWS)."""


def socket_path(worker: Worker, whose: Instance, runtime: PurePosixPath) -> str | None:
    """The Unix socket of a worker's instance that listens on one; `runtime` is the layout's folder.

    A worker makes its own in its RuntimeDirectory=, which systemd removes with it. The socket of a
    socket unit outlives the worker, so it lies elsewhere.
    """
    match worker.listen:
        case Listen.TCP:
            return None
        case Listen.UNIX:
            return str(runtime / "workers" / str(whose) / "http.sock")
        case Listen.FD:
            return str(runtime / "sockets" / f"{whose}.sock")
        case _:
            assert_never(worker.listen)


def served_folder(worker: Worker) -> PurePosixPath | None:
    """The folder whose files the router serves, absolute. Beside a program only where somebody
    wrote `static`.

    That a worker has a folder called public is no wish that the world should read it.
    """
    deciders = {worker.origins[key].kind for key in _STATIC_KEYS if key in worker.origins}
    if worker.type is WorkerType.STATIC or deciders - _UNWRITTEN:
        return worker.folder / worker.static.directory
    return None


def serving_file(whose: Whose, runtime: PurePosixPath) -> str:
    """The file that says that it takes requests, in its RuntimeDirectory=: each instance has a
    folder of its own."""
    return str(runtime / "workers" / str(whose) / SERVING)


def leaving_file(whose: Whose, runtime: PurePosixPath) -> str:
    """What one that was asked to leave has in its place (alone/leave.py)."""
    return str(runtime / "workers" / str(whose) / LEAVING)


def place(whose: Whose, runtime: PurePosixPath) -> Mapping[str, str]:
    """Where it joins and leaves the routers: the options of the programs that do it."""
    return {"--serving": serving_file(whose, runtime), "--routers": str(runtime / "leave"), "--name": str(whose)}


def contract(
    worker: Worker, mode: Mode, *, port: int | None, socket: str | None, folders: Mapping[str, str] | None = None
) -> Mapping[str, str]:
    """Name and value of every variable. The worker's own win over those for its runtime, the
    contract's over all.

    `folders` are known to the worker's own as placeholders, and to its runtime. Raises TqunitsError
    for one without a value.
    """
    variables = {
        "WORKER_NAME": worker.name,
        "WORKER_ROUTE": worker.routes[0],
        "WORKER_PATH": worker.routes[0],
        "WORKER_MODE": mode.value,
        "WORKER_TYPE": worker.type.value,
    }
    if port is not None:
        variables |= {"WORKER_PORT": str(port), "PORT": str(port)}
    if socket is not None:
        variables["WORKER_SOCKET"] = socket
    usual = usual_variables(worker, mode, folders or {})
    return variables | usual | runtime_variables(worker) | _own(worker, {**variables, **(folders or {})}) | variables


def _own(worker: Worker, values: Mapping[str, str]) -> dict[str, str]:
    try:
        return {name: placeholders.value_filled(value, values) for name, value in worker.environment}
    except KeyError as error:
        raise _without_value(worker, error, "environment") from None


def fill_in(worker: Worker, values: Mapping[str, str]) -> tuple[str, ...]:
    """The worker's command with its placeholders put in. Raises TqunitsError for one without a
    value."""
    return _filled(worker, worker.command, values, "command")


def fill_in_health(worker: Worker, values: Mapping[str, str]) -> tuple[str, ...]:
    """The same of its health check's."""
    return _filled(worker, worker.health.command, values, "health.command")


def _filled(worker: Worker, argv: tuple[str, ...], values: Mapping[str, str], setting: str) -> tuple[str, ...]:
    try:
        return placeholders.command_filled(argv, values)
    except KeyError as error:
        raise _without_value(worker, error, setting) from None


def folders(worker: Worker, whose: Instance, target: Host) -> Mapping[str, str]:
    """The folders that systemd makes for it, by the variables that it sets (systemd.exec(5),
    RuntimeDirectory=).

    State and cache are the worker's, what lies in /run is the instance's. They are told beforehand,
    for nothing else in a unit than the arguments of its programs knows these variables.
    """
    state, cache, runtime = _above(target)
    variables = {
        "STATE_DIRECTORY": str(state / DATA / worker.name),
        "CACHE_DIRECTORY": str(cache / DATA / worker.name),
        "RUNTIME_DIRECTORY": str(runtime / DATA / str(whose)),
    }
    if worker.has_credentials:
        folder = target.layout.runtime.parent / "credentials" / name.service(whose)
        variables["CREDENTIALS_DIRECTORY"] = str(folder)
    return variables


def _above(target: Host) -> tuple[PurePosixPath, PurePosixPath, PurePosixPath]:
    layout = target.layout
    has_state = not target.user_mode or target.systemd >= _STATE_FOLDERS_SINCE
    state = (layout.state if has_state else layout.configuration).parent
    return state, layout.cache.parent, layout.runtime.parent


def _without_value(worker: Worker, error: KeyError, setting: str) -> TqunitsError:
    return TqunitsError(f"worker {worker.name!r}: ${{{error.args[0]}}} in its {setting} has no value")


def leaks(variables: Iterable[str]) -> tuple[str, ...]:
    """The session's variables that a worker must not see; one that it sets itself is its own."""
    return tuple(name for name in SESSION_VARIABLES if name not in set(variables))


def usual_variables(worker: Worker, mode: Mode, folders: Mapping[str, str]) -> dict[str, str]:
    """What is usual in a runtime, and no setting: its author may have it otherwise, also in an
    environment file.

    PYTHONUNBUFFERED (docs.python.org/3/using/cmdline.html): what is printed is in the journal at
    once, and not lost with a process that is killed. NODE_ENV (nodejs.org/en/learn): without it
    Express and others are in development, under Bun and Deno too; the same of RACK_ENV and
    RAILS_ENV (guides.rubyonrails.org/configuring.html). DENO_DIR
    (docs.deno.com/runtime/reference/env_variables): what Deno loads and compiles is the cache's,
    else it is below HOME.
    """
    match worker.runtime.language:
        case WorkerType.PYTHON:
            return {"PYTHONUNBUFFERED": "1"}
        case WorkerType.NODE | WorkerType.BUN:
            return {"NODE_ENV": mode.value}
        case WorkerType.DENO:
            cache = folders.get("CACHE_DIRECTORY")
            return {"NODE_ENV": mode.value, **({"DENO_DIR": cache} if cache is not None else {})}
        case WorkerType.RUBY:
            return {"RACK_ENV": mode.value, "RAILS_ENV": mode.value}
        case _:
            return {}


def runtime_variables(worker: Worker) -> dict[str, str]:
    """What is set by `runtime:`: pkg.go.dev/runtime, nodejs.org/api/cli.html (NODE_OPTIONS)."""
    runtime = worker.runtime
    variables: dict[str, str] = {}
    if runtime.go_mem_limit:
        variables["GOMEMLIMIT"] = _go_size(runtime.go_mem_limit)
    if runtime.go_max_procs:
        variables["GOMAXPROCS"] = str(runtime.go_max_procs)
    if runtime.node_max_old_space and runtime.language is WorkerType.NODE:
        mebibytes = max(1, runtime.node_max_old_space // _MEBIBYTE)
        variables["NODE_OPTIONS"] = f"--max-old-space-size={mebibytes}"
    return variables


def _go_size(value: int) -> str:
    return f"{value // _MEBIBYTE}MiB" if value % _MEBIBYTE == 0 else f"{value}B"
