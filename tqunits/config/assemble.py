"""Makes the model from setting values. A setting fills the field of the same name, or the field
that its row names (`Setting.field`).

So only what is not a plain copy is written out here: values that depend on two settings, on the
worker's folder, or on its program. A row without a field, and a field without a row, make the
model's constructors raise TypeError.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import PurePosixPath
from typing import Final, TypeVar

from tqunits.config import php, programs
from tqunits.config.layers import Values
from tqunits.config.presets import FETCHES, of_sandbox
from tqunits.config.server_settings import ServerSettings as S
from tqunits.config.setting import Setting
from tqunits.config.settings import SERVER, WORKER
from tqunits.config.worker_settings import WorkerSettings as W
from tqunits.health import Health
from tqunits.model import (
    BuildRules,
    Depends,
    Fetch,
    HeadLimits,
    ManagerSettings,
    NotRoots,
    OriginKind,
    ProxyRules,
    RestartRules,
    Runtime,
    Sandbox,
    Scaling,
    Server,
    ServerProxy,
    ServerTimeouts,
    SignalRules,
    Static,
    Timeouts,
    Tls,
    Worker,
    WorkersSettings,
    WorkerType,
)
from tqunits.resources import Limits
from tqunits.watch import ServerWatch, WatchRules

T = TypeVar("T")


NO_COPIES: Final = frozenset[Setting[object]](
    {
        W.command,
        W.release_command,
        W.group,
        W.environment_file,
        W.credentials,
        W.sandbox,
        W.watchdog,
        W.php_document_root,
        W.php_settings,
        S.directory,
        S.certificate,
        S.key,
    }
)
"""The settings that are not copied to a field; the functions `worker` and `server` use them."""


def _fields(table: Mapping[str, Setting[object]]) -> Mapping[str, list[tuple[str, str]]]:
    """For each group of the model's fields: pairs of a field and the key of the setting that fills
    it."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for key, row in table.items():
        if row not in NO_COPIES:
            group, _, name = row.field.rpartition(".")
            groups.setdefault(group, []).append((name, key))
    return groups


_WORKER = _fields(WORKER)
_SERVER = _fields(SERVER)


def worker(
    values: Values,
    *,
    name: str,
    folder: PurePosixPath,
    source: PurePosixPath,
    source_hash: str,
    not_roots: NotRoots | None,
    in_development: bool,
) -> Worker:
    """The worker with these values. Relative paths are below its folder. `in_development`: the
    host's mode."""
    fill, sandbox = values.fill, _sandbox(values)
    own = partial(
        Worker,
        name=name,
        folder=folder,
        source=source,
        source_hash=source_hash,
        not_roots=not_roots,
        in_development=in_development,
        command=_command(values, sandbox),
        release_command=php.sandboxed(values[W.release_command], sandbox),
        group=values[W.group] if values.written(W.group) else values[W.user],
        environment_file=tuple(str(folder / path) for path in values[W.environment_file]),
        credentials=tuple((key, str(folder / path)) for key, path in values[W.credentials]),
        sandbox=sandbox,
        build=fill(partial(BuildRules, fetch=_fetch(values)), _WORKER["build"]),
        runtime=fill(partial(Runtime, language=_language(values)), _WORKER["runtime"]),
        limits=fill(Limits, _WORKER["limits"]),
        health=fill(Health, _WORKER["health"]),
        restart=fill(RestartRules, _WORKER["restart"]),
        signals=fill(partial(SignalRules, watchdog=values[W.watchdog] or 0), _WORKER["signals"]),
        scaling=fill(Scaling, _WORKER["scaling"]),
        timeouts=fill(Timeouts, _WORKER["timeouts"]),
        proxy=fill(ProxyRules, _WORKER["proxy"]),
        watch=fill(WatchRules, _WORKER["watch"]),
        depends=fill(Depends, _WORKER["depends"]),
        static=fill(Static, _WORKER["static"]),
        origins=values.origins,
    )
    return fill(own, _WORKER[""])


def server(
    values: Values,
    bounds: Values,
    *,
    source: PurePosixPath,
    source_hash: str,
    settings_hash: str,
    root: PurePosixPath | None,
    workers: PurePosixPath,
) -> Server:
    """The server with these values. `bounds`: the values of a worker that writes nothing.

    Relative paths are below DIR of `-C DIR`, otherwise in the folder of tqunits.yaml. If it does
    not name the folder of the workers, they are in DIR/workers, otherwise in `workers`.
    """
    fill, base = values.fill, root if root is not None else source.parent
    unsaid = root / "workers" if root is not None else workers
    directory = base / values[S.directory] if values.written(S.directory) else unsaid
    certificate, key = values[S.certificate], values[S.key]
    tls = partial(
        Tls,
        certificate=None if certificate is None else str(base / certificate),
        key=None if key is None else str(base / key),
    )
    own = partial(
        Server,
        source=source,
        source_hash=source_hash,
        settings_hash=settings_hash,
        workers=fill(partial(WorkersSettings, directory=directory), _SERVER["workers"]),
        proxy=fill(partial(ServerProxy, heads=fill(HeadLimits, _SERVER["proxy.heads"])), _SERVER["proxy"]),
        timeouts=fill(ServerTimeouts, _SERVER["timeouts"]),
        tls=fill(tls, _SERVER["tls"]),
        manager=fill(ManagerSettings, _SERVER["manager"]),
        watch=fill(ServerWatch, _SERVER["watch"]),
        bounds=bounds.fill(Limits, _WORKER["limits"]),
        allowances={row.name: bounds[row] for row in (W.disk_max, W.min_workers)},
        origins=values.origins,
    )
    return fill(own, _SERVER[""])


def _command(values: Values, sandbox: Sandbox) -> tuple[str, ...]:
    """The command. PHP's preset command gets its settings, and every PHP command what the sandbox
    requires."""
    command = values[W.command]
    if values[W.type] is WorkerType.PHP and not values.written(W.command):
        command = php.command(command, values[W.php_settings], values[W.php_document_root])
    return php.sandboxed(command, sandbox)


def _fetch(values: Values) -> Fetch | None:
    """What a preset build loads first. A build whose command is written in worker.yaml is one step:
    nobody knows which part of it loads something."""
    is_preset = values.origin(W.build_command).kind is OriginKind.PRESET
    return FETCHES.get(values[W.type]) if is_preset else None


def _language(values: Values) -> WorkerType:
    """The language of the runtime: of the type, or, if none is written, of the command's
    program."""
    worker_type = values[W.type]
    return programs.runtime(values[W.command]) if worker_type is WorkerType.EXEC else worker_type


def _sandbox(values: Values) -> Sandbox:
    """The sandbox. Relaxations without a profile add to the preset profile."""
    profile, relaxations = values[W.sandbox]
    return Sandbox(profile=profile or of_sandbox(values[W.type], values[W.command]), relaxations=relaxations)
