"""Values to the model: which setting becomes which field. Nothing is decided here but what depends on two settings."""

from __future__ import annotations

from pathlib import PurePosixPath

from tqunits.config import php, programs
from tqunits.config.layers import Values
from tqunits.config.presets import FETCHES, of_sandbox
from tqunits.config.server_settings import ServerSettings as S
from tqunits.config.worker_settings import WorkerSettings as W
from tqunits.health import Health
from tqunits.model import (
    Build,
    Depends,
    HeadLimits,
    Limits,
    ManagerSettings,
    NotRoots,
    OriginKind,
    ProxyRules,
    Restart,
    Runtime,
    Sandbox,
    Scaling,
    Server,
    ServerProxy,
    ServerTimeouts,
    Signals,
    Static,
    Timeouts,
    Tls,
    Watch,
    Worker,
    WorkersSettings,
    WorkerType,
)


def worker(
    values: Values,
    *,
    name: str,
    folder: PurePosixPath,
    source: PurePosixPath,
    source_hash: str,
    not_roots: NotRoots | None,
) -> Worker:
    """The worker of these values. Relative paths are in its folder."""
    user, sandbox = values[W.user], _sandbox(values)
    return Worker(
        name=name,
        folder=folder,
        source=source,
        source_hash=source_hash,
        not_roots=not_roots,
        routes=values[W.path],
        hosts=values[W.host],
        strip_prefix=values[W.strip_prefix],
        type=values[W.type],
        service_type=values[W.service_type],
        enabled=values[W.enabled],
        build=_build(values),
        command=_command(values, sandbox),
        user=user,
        group=values[W.group] if values.written(W.group) else user,
        environment=values[W.environment],
        environment_file=tuple(str(folder / path) for path in values[W.environment_file]),
        credentials=tuple((key, str(folder / path)) for key, path in values[W.credentials]),
        listen=values[W.listen],
        port=values[W.port],
        runtime=_runtime(values),
        limits=_limits(values),
        health=_health(values),
        restart=_restart(values),
        signals=_signals(values),
        scaling=_scaling(values),
        timeouts=_timeouts(values),
        proxy=_proxy(values),
        watch=_watch(values),
        sandbox=sandbox,
        depends=Depends(after=values[W.depends_after], requires=values[W.depends_requires]),
        writable=values[W.writable],
        static=Static(directory=values[W.static_directory], prefix=values[W.static_prefix]),
        unit=values[W.unit],
        origins=values.origins,
    )


def server(
    values: Values, bounds: Values, *, source: PurePosixPath, root: PurePosixPath | None, workers: PurePosixPath
) -> Server:
    """The server of these values; `bounds` are a worker's that writes nothing.

    Relative paths are below `-C DIR`, else beside tqunits.yaml. Where it says nothing of them, workers are in
    DIR/workers, else in `workers`.
    """
    base = root if root is not None else source.parent
    unsaid = root / "workers" if root is not None else workers
    directory = base / values[S.directory] if values.written(S.directory) else unsaid
    certificate, key = values[S.certificate], values[S.key]
    return Server(
        source=source,
        mode=values[S.mode],
        listen=values[S.listen],
        workers=WorkersSettings(directory=directory, port_range=values[S.port_range]),
        proxy=ServerProxy(
            processes=values[S.processes],
            trusted_proxies=values[S.trusted_proxies],
            access_log=values[S.access_log],
            max_connections=values[S.max_connections],
            max_connections_per_client=values[S.max_connections_per_client],
            heads=HeadLimits(values[S.max_request_line], values[S.max_head], values[S.max_fields]),
        ),
        timeouts=ServerTimeouts(head=values[S.head], idle=values[S.idle], drain=values[S.drain]),
        tls=Tls(
            certificate=None if certificate is None else str(base / certificate),
            key=None if key is None else str(base / key),
            redirect=values[S.redirect],
            hsts=values[S.hsts],
        ),
        manager=ManagerSettings(max_parallel_rolls=values[S.max_parallel_rolls], keep_releases=values[S.keep_releases]),
        grants=values[S.grants],
        bounds=_limits(bounds),
        origins=values.origins,
    )


def _command(values: Values, sandbox: Sandbox) -> tuple[str, ...]:
    """The command; the preset one of PHP with its settings, and any of PHP with what the sandbox asks of it."""
    command = values[W.command]
    if values[W.type] is WorkerType.PHP and not values.written(W.command):
        command = php.command(command, values[W.php_settings], values[W.php_document_root])
    return php.sandboxed(command, sandbox)


def _build(values: Values) -> Build:
    """What somebody wrote is one step: nobody knows which part of it loads something."""
    is_preset = values.origin(W.build_command).kind is OriginKind.PRESET
    return Build(
        command=values[W.build_command],
        environment=values[W.build_environment],
        disk_max=values[W.disk_max],
        fetch=FETCHES.get(values[W.type]) if is_preset else None,
    )


def _runtime(values: Values) -> Runtime:
    return Runtime(
        go_mem_limit=values[W.go_mem_limit],
        go_max_procs=values[W.go_max_procs],
        node_max_old_space=values[W.node_max_old_space],
        max_requests=values[W.max_requests],
        max_age=values[W.max_age],
        language=_language(values),
    )


def _language(values: Values) -> WorkerType:
    """Whose runtime it is: a type says so, and where none is written the command's program does."""
    worker_type = values[W.type]
    return programs.runtime(values[W.command]) if worker_type is WorkerType.EXEC else worker_type


def _limits(values: Values) -> Limits:
    return Limits(
        memory_max=values[W.memory_max],
        memory_high=values[W.memory_high],
        cpu_quota=values[W.cpu_quota],
        cpu_weight=values[W.cpu_weight],
        tasks_max=values[W.tasks_max],
        limit_nofile=values[W.limit_nofile],
        limit_nproc=values[W.limit_nproc],
        io_weight=values[W.io_weight],
    )


def _health(values: Values) -> Health:
    return Health(
        type=values[W.health_type],
        host=values[W.health_host],
        status=values[W.health_status],
        command=values[W.health_command],
        path=values[W.health_path],
        interval=values[W.health_interval],
        timeout=values[W.health_timeout],
        failure_threshold=values[W.failure_threshold],
        success_threshold=values[W.success_threshold],
        start_period=values[W.start_period],
    )


def _restart(values: Values) -> Restart:
    return Restart(
        policy=values[W.restart_policy],
        delay=values[W.restart_delay],
        max_restarts=values[W.max_restarts],
        period=values[W.restart_period],
        backoff_max=values[W.backoff_max],
    )


def _signals(values: Values) -> Signals:
    return Signals(
        kill_mode=values[W.kill_mode],
        stop=values[W.stop_signal],
        reload=values[W.reload],
        watchdog=values[W.watchdog] or 0,
    )


def _scaling(values: Values) -> Scaling:
    return Scaling(
        min_workers=values[W.min_workers],
        max_workers=values[W.max_workers],
        target_inflight=values[W.target_inflight],
        scale_down_delay=values[W.scale_down_delay],
        idle_stop=values[W.idle_stop],
    )


def _timeouts(values: Values) -> Timeouts:
    return Timeouts(
        start=values[W.timeout_start],
        stop=values[W.timeout_stop],
        drain=values[W.timeout_drain],
        request=values[W.timeout_request],
        read=values[W.timeout_read],
        write=values[W.timeout_write],
        idle=values[W.timeout_idle],
        body=values[W.timeout_body],
        stream=values[W.timeout_stream],
    )


def _proxy(values: Values) -> ProxyRules:
    return ProxyRules(
        max_body=values[W.max_body],
        min_body_rate=values[W.min_body_rate],
        max_inflight=values[W.max_inflight],
        queue_timeout=values[W.queue_timeout],
        retry=values[W.retry],
        buffer_requests=values[W.buffer_requests],
        allow_encoded_slash=values[W.allow_encoded_slash],
        on_client_gone=values[W.on_client_gone],
        max_response_head=values[W.max_response_head],
        max_response_fields=values[W.max_response_fields],
        raw_path=values[W.raw_path],
        via=values[W.via],
    )


def _watch(values: Values) -> Watch:
    return Watch(
        enabled=values[W.watch_enabled],
        paths=values[W.watch_paths],
        ignore=values[W.watch_ignore],
        debounce=values[W.debounce],
    )


def _sandbox(values: Values) -> Sandbox:
    """Relaxations alone keep the profile that is preset."""
    profile, relaxations = values[W.sandbox]
    return Sandbox(profile=profile or of_sandbox(values[W.type], values[W.command]), relaxations=relaxations)
