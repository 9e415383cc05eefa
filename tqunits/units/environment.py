"""What a worker finds in its environment: the contract that a program relies on, and nothing of the host's.

Besides these there is HOME, the worker's state (units/render.py), and systemd sets its own: USER, STATE_DIRECTORY and
the like, CREDENTIALS_DIRECTORY (systemd.exec(5), ENVIRONMENT VARIABLES IN SPAWNED PROCESSES).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import assert_never

from tqunits.errors import TqunitsError
from tqunits.model import Listen, Mode, Worker, WorkerType

SESSION_VARIABLES = (
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "GPG_AGENT_INFO",
    "SSH_AGENT_PID",
    "SSH_AUTH_SOCK",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
)
"""What a desktop session hands to its service manager, and it to every unit. The system's manager hands on nothing."""

_MEBIBYTE = 1024 * 1024
_PLACEHOLDER = re.compile(r"\$\{((?:WORKER_[A-Z]+)|PORT)\}")


def socket_path(worker: Worker, runtime: PurePosixPath) -> str | None:
    """The Unix socket of a worker that listens on one; `runtime` is the layout's folder.

    A worker makes its own in its RuntimeDirectory=, which systemd removes with it. The socket of a socket unit outlives
    the worker, so it lies elsewhere.
    """
    match worker.listen:
        case Listen.TCP:
            return None
        case Listen.UNIX:
            return str(runtime / "workers" / worker.name / "http.sock")
        case Listen.FD:
            return str(runtime / "sockets" / f"{worker.name}.sock")
        case _:
            assert_never(worker.listen)


def serving_file(worker: str, runtime: PurePosixPath) -> str:
    """The file that says that a worker takes requests, in its RuntimeDirectory=."""
    return str(runtime / "workers" / worker / "serving")


def leaving_file(worker: str, runtime: PurePosixPath) -> str:
    """What a worker that was asked to leave has in its place (alone/leave.py)."""
    return str(runtime / "workers" / worker / "leaving")


def place(worker: str, runtime: PurePosixPath) -> Mapping[str, str]:
    """Where a worker joins and leaves the routers: the options of the programs that do it."""
    return {"--serving": serving_file(worker, runtime), "--routers": str(runtime / "leave"), "--name": worker}


def contract(worker: Worker, mode: Mode, *, port: int | None, socket: str | None) -> Mapping[str, str]:
    """Name and value of every variable. The worker's own win over those for its runtime, the contract's over all."""
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
    return variables | runtime_variables(worker) | dict(worker.environment) | variables


def fill_in(worker: Worker, variables: Mapping[str, str]) -> tuple[str, ...]:
    """The worker's command with `${WORKER_PORT}` and the other names of the contract replaced by their values.

    Only these, once, and in one word: every other "$" stays what it is. Raises TqunitsError for a name without a value.
    """

    def value(match: re.Match[str]) -> str:
        if match[1] not in variables:
            raise TqunitsError(
                f"worker {worker.name!r}: {match[0]} in its command has no value",
                hint=f"with `listen: {worker.listen}` there are {', '.join(_placeholders(variables))}",
            )
        return variables[match[1]]

    return tuple(_PLACEHOLDER.sub(value, word) for word in worker.command)


def leaks(variables: Iterable[str]) -> tuple[str, ...]:
    """The session's variables that a worker must not see; one that it sets itself is its own."""
    return tuple(name for name in SESSION_VARIABLES if name not in set(variables))


def _placeholders(variables: Iterable[str]) -> list[str]:
    return [f"${{{name}}}" for name in variables if _PLACEHOLDER.fullmatch(f"${{{name}}}")]


def runtime_variables(worker: Worker) -> dict[str, str]:
    """What the language runtimes read for themselves: pkg.go.dev/runtime, nodejs.org/api/cli.html (NODE_OPTIONS)."""
    runtime = worker.runtime
    variables: dict[str, str] = {}
    if runtime.go_mem_limit:
        variables["GOMEMLIMIT"] = _go_size(runtime.go_mem_limit)
    if runtime.go_max_procs:
        variables["GOMAXPROCS"] = str(runtime.go_max_procs)
    if runtime.node_max_old_space and worker.type is WorkerType.NODE:
        mebibytes = max(1, runtime.node_max_old_space // _MEBIBYTE)
        variables["NODE_OPTIONS"] = f"--max-old-space-size={mebibytes}"
    return variables


def _go_size(value: int) -> str:
    return f"{value // _MEBIBYTE}MiB" if value % _MEBIBYTE == 0 else f"{value}B"
