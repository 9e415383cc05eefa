"""The environment of a worker: the variables that a program can rely on, and nothing of the host's
own environment.

Besides these there is HOME, the worker's state folder (units/rendering.py), and what systemd sets:
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
"""The variables of a desktop session, which the user's service manager passes to every unit. The
system's manager passes none."""

CODE = "TQUNITS_CODE"
"""The variable with the fingerprint of the code that a process of the router was started with
(Host.code); root can read it there."""

_MEBIBYTE = 1024 * 1024
_STATIC_KEYS = ("static.directory", "static.prefix")
_UNWRITTEN = frozenset({OriginKind.DEFAULT, OriginKind.PRESET})
DATA = PurePosixPath("tqunits/workers")
"""The folder of the workers in each of systemd's: a worker's state and cache are below it, and its
instances' runtime folders."""

_STATE_FOLDERS_SINCE = 254
"""Since this version the user's manager has state in $XDG_STATE_HOME, before in $XDG_CONFIG_HOME
(NEWS)."""


def socket_path(worker: Worker, whose: Instance, runtime: PurePosixPath) -> str | None:
    """The Unix socket of an instance; None if it listens on TCP. `runtime` is the layout's folder.

    A worker with `listen: unix` makes its socket in its RuntimeDirectory=, which systemd removes
    after it. The socket of a socket unit stays longer than the worker, so it lies elsewhere.
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
    """The folder whose files the router serves, absolute. For a worker with a program only if
    somebody wrote `static`.

    A folder named public alone does not mean that everybody should read it.
    """
    deciders = {worker.origins[key].kind for key in _STATIC_KEYS if key in worker.origins}
    if worker.type is WorkerType.STATIC or deciders - _UNWRITTEN:
        return worker.folder / worker.static.directory
    return None


def serving_file(whose: Whose, runtime: PurePosixPath) -> str:
    """The path of the file `serving`, in the instance's own RuntimeDirectory=."""
    return f"{runtime}/workers/{whose}/{SERVING}"


def leaving_file(whose: Whose, runtime: PurePosixPath) -> str:
    """The path of the file `leaving`, which replaces `serving` before a stop (alone/leave.py)."""
    return f"{runtime}/workers/{whose}/{LEAVING}"


def place(whose: Whose, runtime: PurePosixPath) -> Mapping[str, str]:
    """The options of the programs in alone/ that tell the routers of an instance."""
    return {"--serving": serving_file(whose, runtime), "--routers": str(runtime / "leave"), "--name": str(whose)}


def contract(
    worker: Worker, mode: Mode, *, port: int | None, socket: str | None, folders: Mapping[str, str] | None = None
) -> Mapping[str, str]:
    """Name and value of every variable. The worker's own `environment` overrides the variables of
    its runtime; the variables of the contract override all.

    `folders`: systemd's folders, for placeholders in `environment` and for the runtime. Raises
    TqunitsError for a placeholder without a value.
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
    """The worker's command with its placeholders replaced. Raises TqunitsError for one without a
    value."""
    return _filled(worker, worker.command, values, "command")


def fill_in_health(worker: Worker, values: Mapping[str, str]) -> tuple[str, ...]:
    """The same for the command of its health check."""
    return _filled(worker, worker.health.command, values, "health.command")


def fill_in_release(worker: Worker, values: Mapping[str, str]) -> tuple[str, ...]:
    """The same for its `release.command`."""
    return _filled(worker, worker.release_command, values, "release.command")


def _filled(worker: Worker, argv: tuple[str, ...], values: Mapping[str, str], setting: str) -> tuple[str, ...]:
    try:
        return placeholders.command_filled(argv, values)
    except KeyError as error:
        raise _without_value(worker, error, setting) from None


def folders(worker: Worker, whose: Instance, target: Host) -> Mapping[str, str]:
    """The folders that systemd makes for an instance, by the names of the variables that it sets
    (systemd.exec(5), RuntimeDirectory=).

    State and cache belong to the worker, the runtime folder to the instance. The paths are computed
    here because systemd expands these variables only in the arguments of a unit's programs.
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
    """The session's variables that a worker must not see. A variable that the worker sets itself is
    left out."""
    return tuple(name for name in SESSION_VARIABLES if name not in set(variables))


def usual_variables(worker: Worker, mode: Mode, folders: Mapping[str, str]) -> dict[str, str]:
    """Variables that are usual for a runtime. They are no settings: the author can override them,
    also in an environment file.

    PYTHONUNBUFFERED (docs.python.org/3/using/cmdline.html): output is in the journal at once, and
    not lost when the process is killed. NODE_ENV (nodejs.org/en/learn): without it Express and
    others run in development mode, under Bun and Deno too; RACK_ENV and RAILS_ENV are the same for
    Ruby (guides.rubyonrails.org/configuring.html). DENO_DIR
    (docs.deno.com/runtime/reference/env_variables): Deno's downloads and compiled code go to the
    cache folder, otherwise below HOME.
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
    """The variables for the settings of `runtime:`: pkg.go.dev/runtime, nodejs.org/api/cli.html
    (NODE_OPTIONS)."""
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
