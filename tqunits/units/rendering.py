"""From the configuration to unit files: values from here, words and order from the templates in
unit-templates/.

A template (templates.py) computes nothing: each value it prints has been through quote.py. The
header and the ledger are put around a template's text here: a template that an administrator has
replaced can not lose them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace
from pathlib import PurePosixPath
from signal import Signals as Signal

from tqunits.errors import TqunitsError
from tqunits.layout import Layout
from tqunits.light_dataclass import dataclass
from tqunits.model import (
    INFINITY,
    MANAGER_USER,
    Configuration,
    Host,
    Instance,
    KillMode,
    Listen,
    Mode,
    Server,
    SignalRules,
    Worker,
    WorkerType,
    account_of,
    is_on,
)
from tqunits.units import (
    accounts,
    addresses,
    as_worker,
    build_units,
    command_lines,
    credentials,
    dependencies,
    environment,
    failure_pause,
    ledger_notes,
    name,
    polkit_rule,
    quote,
    release_unit,
    sandbox,
    secret_watch,
    unitfile,
    watch_scope,
)
from tqunits.units.environment import served_folder
from tqunits.units.grants import grant_of
from tqunits.units.refusal import Refusal, refusal
from tqunits.units.unitfile import Assignment

TemplateValues = Mapping[str, object]

_MODE = 0o644
_JOURNALD = "journald@tq-access.conf"
_SYSUSERS = "tqunits-workers.conf"
_DROP_IN = f"{name.DROP_IN}.j2"
_BUILD_DROP_IN = "tq-build.conf.j2"
_RELEASE_DROP_IN = "tq-release.conf.j2"
_BACKOFF_DROP_IN = "tq-backoff.conf.j2"
_MANAGER = quote.account(MANAGER_USER)

_SPARE_DESCRIPTORS = 1024
"""The router's own: the listening and control sockets, the journal, idle connections to workers
being opened."""

_PROXY_MEMORY = 128 * 1024 * 1024
_CONNECTION_MEMORY = 64 * 1024
"""What a router may take, and for each connection: it has 30 MiB and 0.4 KiB for an idle one, 4 KiB
for one whose other side is slow; TLS has its buffers. Up to 144 KiB for each it may hold for a
moment, all of them never. What is in the kernel's buffers counts too, and gives way before anybody
is killed (a full megabyte for a slow download over loopback without a limit)."""

_APPLY_TIMEOUT = 3 * build_units.TIMEOUT
"""A worker's fetch and its build have this time each, and the third part is for what follows. It
ends a run that hangs, and bounds how long a start of it may be in the way of other jobs."""

_USUAL_STOP = "SIGTERM"

_PROXY_STOP_MARGIN_US = 5_000_000
"""Beyond the drain, the router needs moments to close; a router that hangs longer than this is
killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedFile:
    """One file to install."""

    path: PurePosixPath  # absolute, where it goes
    content: str = field(repr=False)  # may be a secret
    mode: int
    unit: str | None  # the unit it is about; None for sysusers.d
    is_secret: bool = False  # its content is shown to nobody


def render(
    configuration: Configuration,
    target: Host,
    ports: Mapping[Instance, int],
    templates: Mapping[str, str],
    copies: credentials.Copies | None = None,
    sockets: addresses.Places | None = None,
    installed: dependencies.Instances | None = None,
    secrets: secret_watch.Watched | None = None,
) -> tuple[RenderedFile, ...]:
    """Every file of the configuration but the copies, sorted by path; each worker that listens on
    TCP has a port.

    `sockets`: which socket unit has which address, where that is not what it would be on a host
    without any. `installed`: the instances of workers that are not in this configuration and stay,
    for others may depend on them. `secrets`: what is watched for those.

    Raises TqunitsError for a value that no unit can express, and for a template that is missing or
    wrong.
    """
    places = sockets or sockets_of(configuration.server, target.layout, {})
    rendering = _Rendering(
        configuration, target, ports, templates, copies or {}, places, installed or {}, secrets or {}
    )
    workers = [w for w in configuration.workers if w.type is not WorkerType.STATIC]
    files = [*rendering.shared(workers)]
    for worker in workers:
        files += rendering.worker(worker)
    return tuple(sorted(files, key=lambda file: file.path))


def sockets_of(server: Server, layout: Layout, installed: addresses.Places) -> addresses.Places:
    """The router's socket units; `installed`: those that are there."""
    return addresses.places(server.listen, installed, _spare(layout))


def refusals(configuration: Configuration, target: Host, copies: credentials.Copies | None = None) -> Iterator[Refusal]:
    """The workers with a value that no unit can express: who they are, where `render` could only
    raise."""
    for worker in configuration.workers:
        if worker.type is WorkerType.STATIC:
            continue
        try:
            for whose in worker.slots:
                socket = environment.socket_path(worker, whose, target.layout.runtime)
                _worker_values(worker, whose, configuration, target, None if socket else 0, socket)
            _dependencies(worker, {})
            credentials.directives(worker, target.layout.state, tuple((copies or {}).get(worker.name, ())))
            for unit in build_units.units(worker):
                build_units.values(worker, unit, target)
            if release_unit.has_any(worker, target):
                release_unit.values(worker, configuration.server.mode, target, {}, ())
            quote.text(watch_scope.note_of(worker, configuration.server.mode, target) or "")
        except TqunitsError as error:
            yield refusal(worker, error.message, error.hint)


class _Rendering:
    """One call of `render`: what all its files share."""

    def __init__(
        self,
        configuration: Configuration,
        target: Host,
        ports: Mapping[Instance, int],
        templates: Mapping[str, str],
        copies: credentials.Copies,
        sockets: addresses.Places,
        installed: dependencies.Instances,
        secrets: secret_watch.Watched,
    ) -> None:
        self._configuration = configuration
        self._target = target
        self._ports = ports
        self._templates = templates
        self._copies = copies
        self._sockets = sockets
        self._staying_secrets = secrets
        self._instances = {**installed, **{worker.name: worker.instances for worker in configuration.workers}}
        from tqunits.units.templates import Templates  # jinja2 is a tenth of the time of `check`, which renders nothing

        self._parsed = Templates(templates)

    def shared(self, workers: list[Worker]) -> Iterable[RenderedFile]:
        """The files that are there once."""
        values = _shared_values(self._configuration, self._target, workers, self._sockets)
        watch = name.CERTIFICATE_UNITS if self._configuration.server.tls.certificate else ()
        yield self._target_unit(values)
        for unit in (
            name.SLICE,
            name.WORKER_SLICE,
            name.WORKER_TEMPLATE,
            name.CONTROL_TEMPLATE,
            *name.REPAIR_UNITS,
            name.BACKOFF_TEMPLATE,
            name.FAILURE_TEMPLATE,
            *name.MANAGER_UNITS,
            *(() if self._target.user_mode else (name.BUILD_TEMPLATE, name.RELEASE_TEMPLATE)),
            *watch,
        ):
            yield self._unit(unit, f"{unit}.j2", values)
        yield self._router(values)
        yield from (self._socket(unit, found, values) for unit, found in self._sockets.items())
        if not self._target.user_mode:  # with --user the one who asks may apply it himself
            for unit in name.APPLY_UNITS:
                yield self._unit(unit, f"{name.APPLY}.j2", {**values, "is_single": unit == name.APPLY_TEMPLATE})
            yield from self._secrets(workers)
            yield self._unit(name.HARVEST_TEMPLATE, f"{name.HARVEST_TEMPLATE}.j2", values)
        if not self._target.user_mode:  # a user's manager has no journals of its own
            path = name.access_journal(self._target.layout.units)
            text = self._from_template(f"{_JOURNALD}.j2", {})
            yield RenderedFile(path=path, content=text, mode=_MODE, unit=name.ACCESS_JOURNAL)
        if self._target.layout.sysusers:
            values = {"manager": _MANAGER, "accounts": [*_accounts(workers), *build_units.accounts(workers)]}
            text = self._from_template(f"{_SYSUSERS}.j2", values)
            yield RenderedFile(path=self._target.layout.sysusers / _SYSUSERS, content=text, mode=_MODE, unit=None)
        if self._target.layout.polkit and self._target.has_polkit:
            operators = polkit_rule.operators_of(workers, self._configuration.server)
            text = self._from_template(polkit_rule.TEMPLATE, polkit_rule.values(operators))
            yield RenderedFile(path=self._target.layout.polkit / polkit_rule.FILE, content=text, mode=_MODE, unit=None)

    def worker(self, worker: Worker) -> Iterable[RenderedFile]:
        """The files of one worker: those of each instance, of its builds and of its release
        command."""
        for whose in worker.slots:
            yield from self._instance(worker, whose)
        if not self._target.user_mode:  # with --user it is the user's own
            for unit in build_units.units(worker):
                yield self._added(worker, unit, _BUILD_DROP_IN, build_units.values(worker, unit, self._target))
        if release_unit.has_any(worker, self._target):
            yield self._added(worker, name.release(worker.name), _RELEASE_DROP_IN, self._release_values(worker))

    def _instance(self, worker: Worker, whose: Instance) -> Iterable[RenderedFile]:
        socket = environment.socket_path(worker, whose, self._target.layout.runtime)
        port = None if socket else self._ports[whose]
        yield self._drop_in(worker, whose, port, socket)
        if whose.number > 1:
            values = _further(worker, whose)
            yield self._added(worker, name.backoff(whose), _BACKOFF_DROP_IN, {**values, "notes": False})
            yield self._added(worker, name.failure(whose), _BACKOFF_DROP_IN, {**values, "notes": True})
        if worker.listen is Listen.FD and socket is not None:
            values = _socket_values(worker, whose, self._target, socket)
            yield self._unit(name.socket(whose), "tq-worker@.socket.j2", values)
        if not self._target.user_mode:  # a user's manager may not mount
            yield self._unit(name.mount(whose), "tq-worker.mount.j2", _mount_values(worker, whose, self._target))

    def _release_values(self, worker: Worker) -> TemplateValues:
        mode, home = self._configuration.server.mode, _home(worker, self._target)
        return release_unit.values(worker, mode, self._target, home, tuple(self._copies.get(worker.name, ())))

    def _target_unit(self, values: TemplateValues) -> RenderedFile:
        """The target, and from which tqunits.yaml all of it is (host/unchanged.py): its change
        restarts nothing."""
        file = self._unit(name.TARGET, f"{name.TARGET}.j2", values)
        server = self._configuration.server
        source = str(server.source)
        hashes = {unitfile.SOURCE_HASH: server.source_hash, unitfile.SETTINGS_HASH: server.settings_hash}
        notes = [Assignment(unitfile.SERVER, key, text) for key, text in hashes.items()]
        if any(origin.mark is not None and origin.mark.file == source for origin in server.origins.values()):
            notes.append(Assignment(unitfile.SERVER, unitfile.SOURCE, quote.text(source)))
        kept = unitfile.dump(notes)
        return replace(file, content=f"{file.content}\n{kept}")

    def _router(self, values: TemplateValues) -> RenderedFile:
        """The template of the processes: what else than its own text makes another router is noted
        below it."""
        notes = {"Listen": " ".join(addresses.all_of(self._sockets)), "Code": self._target.code}
        file = self._unit(name.PROXY_TEMPLATE, f"{name.PROXY_TEMPLATE}.j2", values)
        kept = unitfile.dump(Assignment(unitfile.ROUTER, key, value) for key, value in notes.items())
        return replace(file, content=f"{file.content}\n{kept}")

    def _secrets(self, workers: list[Worker]) -> Iterable[RenderedFile]:
        """The watch over the files that workers are given, if there is any."""
        mode = self._configuration.server.mode
        found = {**self._staying_secrets, **secret_watch.watched(workers, mode, self._copies)}
        if found:
            watch, watcher = (self._unit(unit, f"{unit}.j2", self._secret_values(found)) for unit in name.SECRET_UNITS)
            yield replace(watch, content=f"{watch.content}\n{secret_watch.notes(found)}")
            yield watcher

    def _secret_values(self, found: secret_watch.Watched) -> TemplateValues:
        paths, layout = secret_watch.paths(found), self._target.layout
        find = ["/usr/bin/find", "-H", *secret_watch.folders(found), "-maxdepth", "1", "-cnewer"]
        return {
            "secrets": [quote.path(path) for path in paths],
            "secrets_changed": quote.command(find),
            "noting": quote.command([*self._target.program, "apply", "--note"]),
            "runtime": quote.path_word(str(layout.runtime)),
            "state": quote.path_word(str(layout.state)),
        }

    def _socket(self, unit: str, found: tuple[str, ...], values: TemplateValues) -> RenderedFile:
        own = {
            "listen": found,
            "free_bind": any(map(addresses.is_special, found)),
            "has_file": any(address.startswith("/") for address in found),
            "is_spare": found == (addresses.canonical(_spare(self._target.layout)),),
        }
        return self._unit(unit, f"{name.PROXY_SOCKET}.j2", {**values, **own})

    def _drop_in(self, worker: Worker, whose: Instance, port: int | None, socket: str | None) -> RenderedFile:
        copies = tuple(self._copies.get(worker.name, ()))
        values = _worker_values(worker, whose, self._configuration, self._target, port, socket)
        values = {**values, "credentials": credentials.directives(worker, self._target.layout.state, copies)}
        values = {**values, **_dependencies(worker, self._instances)}
        header = unitfile.header(str(worker.source), worker.source_hash)
        body = f"{header}\n{self._parsed.text(_DROP_IN, values)}"
        enabled = worker.runs_in(self._configuration.server.mode)
        digest = unitfile.restart_hash(body)
        operators = grant_of(worker, self._configuration.server).operators
        watch = watch_scope.note_of(worker, self._configuration.server.mode, self._target)
        notes = [
            *ledger_notes.assignments(
                worker,
                port,
                socket,
                copies=copies,
                watch=watch,
                operators=operators,
                restart_hash=digest,
                enabled=enabled,
            ),
            *([unitfile.SURGE] if whose == worker.surge else []),
        ]
        unit = name.service(whose)
        path = name.drop_in(unit, self._target.layout.units)
        return RenderedFile(path=path, content=f"{body}\n{unitfile.dump(notes)}", mode=_MODE, unit=unit)

    def _added(self, worker: Worker, unit: str, template: str, values: TemplateValues) -> RenderedFile:
        """The drop-in of a unit beside the worker's own."""
        text = self._parsed.text(template, values)
        path = name.drop_in(unit, self._target.layout.units)
        content = f"{unitfile.header(str(worker.source), worker.source_hash)}\n{text}"
        return RenderedFile(path=path, content=content, mode=_MODE, unit=unit)

    def _unit(self, unit: str, template: str, values: TemplateValues) -> RenderedFile:
        content = self._from_template(template, values)
        return RenderedFile(path=self._target.layout.units / unit, content=content, mode=_MODE, unit=unit)

    def _from_template(self, template: str, values: TemplateValues) -> str:
        """A file whose source is the template alone."""
        text = self._parsed.text(template, values)
        digest = hashlib.sha256(self._templates[template].encode()).hexdigest()
        header = unitfile.header(template, digest, rule=template == polkit_rule.TEMPLATE)
        return f"{header}\n{text}"


def _spare(layout: Layout) -> str:
    """What tq-proxy.socket listens on when every address is in another unit."""
    return str(layout.runtime / "proxy" / "http.sock")


def _shared_values(
    configuration: Configuration, target: Host, workers: list[Worker], sockets: addresses.Places
) -> TemplateValues:
    server, layout = configuration.server, target.layout
    groups = [quote.account(account_of(w.name)) for w in workers if w.listen is not Listen.TCP]
    routes = str(layout.routes)
    runtime, folders = str(layout.runtime), str(layout.runtime / "workers")
    absent = ["--traffic", str(layout.traffic), "--unready", str(layout.unready)]
    served = (folder for worker in configuration.workers if (folder := served_folder(worker)))
    homes = any(sandbox.hidden_home(path) for path in (*map(PurePosixPath, target.program), *served))
    watched = tuple(_watched(configuration, target))
    return {
        "user_mode": target.user_mode,
        "systemd": target.systemd,
        "build_timeout": quote.span(build_units.TIMEOUT),
        "release_timeout": quote.span(release_unit.TIMEOUT),
        "namespace": name.ACCESS_LOG,
        "namespace_option": "" if target.user_mode else f" --journal-namespace {name.ACCESS_LOG}",
        "units": quote.path(str(layout.units)),
        "later": quote.unit_list([*map(name.control, range(1, server.proxy.processes + 1)), *name.MANAGER_UNITS]),
        "sockets": quote.socket_list(sockets),
        "code": quote.assignment(environment.CODE, target.code),
        "groups": " ".join(groups),
        "command": quote.command([*target.program, "proxy", "--routes", routes, "--serving", folders, *absent]),
        "repair": quote.path(str(layout.repair_request)),
        "repairing": quote.command([*target.program, *(["--user"] if target.user_mode else []), "repair"]),
        "missing": quote.command([*target.argv_alone("missing"), str(layout.ledger), str(layout.units)]),
        **_manager_values(server, target),
        "manager_home": "read-only" if homes or any(map(sandbox.hidden_home, watched)) else "yes",
        "manager_tmp": quote.boolean(value=not any(map(sandbox.is_temporary, watched))),
        "applying": quote.command([*target.program, "apply", "--unattended"]),
        "harvesting": quote.command([*target.program, "harvest"]),
        "apply_timeout": quote.span(_APPLY_TIMEOUT),
        "workers": quote.path_word(str(server.workers.directory)),
        "in_development": server.mode is Mode.DEVELOPMENT,
        "configuration": quote.path_word(str(layout.configuration)),
        "pausing": quote.command(
            [*target.argv_alone("backoff"), *(["--user"] if target.user_mode else []), "--units", str(layout.units)]
        ),
        "runtime": quote.path(runtime),
        "folders": quote.command([runtime, folders]),
        "manager": _MANAGER,
        "protect_home": "read-only" if homes else "yes",
        "descriptors": quote.count(2 * server.proxy.max_connections + _SPARE_DESCRIPTORS),
        "memory": quote.size(_PROXY_MEMORY + _CONNECTION_MEMORY * server.proxy.max_connections),
        "stop": quote.span(_proxy_stop(server.timeouts.drain)),
        **_certificate_values(server, target),
    }


def _watched(configuration: Configuration, target: Host) -> Iterator[PurePosixPath]:
    """The folders that the manager looks at, with the rights of everybody."""
    server = configuration.server
    for worker in configuration.workers:
        if watch_scope.note_of(worker, server.mode, target) is not None:
            yield worker.folder
    if is_on(server.watch.new, server.mode):
        yield server.workers.directory


def _manager_values(server: Server, target: Host) -> TemplateValues:
    """Its sandbox lets it listen on the address of its metrics, and on nothing else. With --user
    nothing is applied by itself: there is no tq-apply.service."""
    manager, watch = server.manager, server.watch
    metrics = manager.metrics
    own = ["--user"] if target.user_mode else []
    options = [] if metrics is None else ["--metrics", metrics]
    options += ["--rolls", quote.count(manager.max_parallel_rolls), "--workers", str(server.workers.directory)]
    if not target.user_mode:
        options += ["--new"] if is_on(watch.new, server.mode) else []
        options += ["--configuration"] if is_on(watch.enabled, server.mode) else []
    return {
        "managing": quote.command([*target.program, *own, "manager", *options]),
        "metrics_port": "" if manager.port is None else quote.count(manager.port),
        "metrics_family": " AF_INET6" if metrics is not None and metrics.startswith("[") else "",
    }


def _proxy_stop(drain: int) -> int:
    return INFINITY if drain in (0, INFINITY) else drain + _PROXY_STOP_MARGIN_US


def _certificate_values(server: Server, target: Host) -> TemplateValues:
    """The router reads its copies, which systemd makes when it starts; the watch reads the files
    themselves.

    A folder becomes a credential for each file in it (systemd.exec(5)), tls-certificate_NAME.pem.
    Beside a file its folder is watched: certbot puts a link in another's place, and no watched file
    changes by that.
    """
    files = {"certificate": server.tls.certificate, "key": server.tls.key}
    paths = {option: path for option, path in files.items() if path is not None}
    folders = [str(PurePosixPath(path).parent) for path in paths.values()] if "key" in paths else []
    check = [word for option, path in paths.items() for word in (f"--{option}", path)]
    watched = tuple(dict.fromkeys([*paths.values(), *folders]))
    return {
        "credentials": [quote.credential(f"tls-{option}", path) for option, path in paths.items()],
        "tls": "".join(f" --{option} ${{CREDENTIALS_DIRECTORY}}/tls-{option}" for option in paths),
        "watched": [quote.path(path) for path in watched],
        "changed": quote.command(["/usr/bin/find", "-L", *watched, "-maxdepth", "0", "-cnewer"]),
        "check": quote.command([*target.program, "proxy", "--check", *check]),
        "proxies": [name.proxy(number) for number in range(1, server.proxy.processes + 1)],
    }


def _worker_values(
    worker: Worker,
    whose: Instance,
    configuration: Configuration,
    target: Host,
    port: int | None,
    socket: str | None,
) -> TemplateValues:
    folders = environment.folders(worker, whose, target)
    contract = environment.contract(worker, configuration.server.mode, port=port, socket=socket, folders=folders)
    variables = {**_home(worker, target), **contract}
    known = {**contract, **folders}
    filled = environment.fill_in(worker, known)
    argv = command_lines.launched(worker, whose, command_lines.in_folder(worker, filled), target)
    leaks = environment.leaks(variables) if target.user_mode else ()
    return {
        **as_worker.values(worker, whose, argv, variables, target),
        "user_mode": target.user_mode,
        "description": quote.text(f"Worker {whose} on {worker.routes[0]}"),
        "started": command_lines.started(whose, target, command_lines.asked(worker, port, socket, known)),
        "leave": command_lines.leave(worker, whose, target),
        "leaks": quote.variables(leaks),
        **(_further(worker, whose) if whose.number > 1 else {"further": False}),
        "sockets": name.socket(whose) if worker.listen is Listen.FD else "",
        "unix": worker.listen is Listen.UNIX,
        **_life(worker, target),
    }


def _further(worker: Worker, whose: Instance) -> TemplateValues:
    """What the templates can not say of an instance beyond the first: for them `%i` is the
    worker's name."""
    return {
        "further": True,
        "source": quote.path(str(worker.source)),
        "data": str(environment.DATA / worker.name),
        "begun": failure_pause.begun(whose),
        "field": quote.word(f"TQUNITS_WORKER={worker.name}"),
    }


def _home(worker: Worker, target: Host) -> Mapping[str, str]:
    """HOME for who has none of its own. systemd's would be the account's (systemd.exec(5)); a
    YAML's wins."""
    if target.user_mode or worker.user != account_of(worker.name):
        return {}
    return {"HOME": str(accounts.state_of(worker.name, target.layout.state))}


def _life(worker: Worker, target: Host) -> TemplateValues:
    """How it starts, stops and comes back."""
    return {
        "type": worker.service_type.value,
        "start": _patience(command_lines.start_patience(worker)),
        "stop": _patience(worker.timeouts.stop),
        "signals": _signals(worker.signals, target),
        "restart": worker.restart.policy.value,
        "delay": quote.span(worker.restart.delay),
        "gives_up": failure_pause.GIVEN_UP if worker.restart.max_restarts else None,
    }


def _signals(signals: SignalRules, target: Host) -> list[tuple[str, str]]:
    """What differs from the template, and the reload, which runs as the worker's own user in its
    sandbox."""
    rows: list[tuple[str, str]] = []
    if signals.kill_mode is not KillMode.CONTROL_GROUP:
        rows.append(("KillMode", quote.word(signals.kill_mode.value)))
    if signals.stop != _USUAL_STOP:
        by_it = f"{128 + Signal[signals.stop]} {signals.stop}"  # caught by a runtime, or not at all
        rows += [("KillSignal", quote.word(signals.stop)), ("SuccessExitStatus", quote.verbatim(by_it))]
    if signals.reload is not None:
        tell = [*target.argv_alone("tell"), str(int(Signal[signals.reload]))]
        rows.append(("ExecReload", f"{quote.command(tell)} $MAINPID"))
    if signals.watchdog:
        rows.append(("WatchdogSec", quote.span(signals.watchdog)))
    return rows


def _mount_values(worker: Worker, whose: Instance, target: Host) -> TemplateValues:
    return {
        "description": quote.text(f"Runtime folder of worker {whose}"),
        "source": quote.path(str(worker.source)),
        "folder": quote.path(str(target.layout.runtime / "workers" / str(whose))),
    }


def _socket_values(worker: Worker, whose: Instance, target: Host, socket: str) -> TemplateValues:
    """The worker is handed the socket and needs no right to its file; the router does, and joins
    worker-NAME alone."""
    own = account_of(worker.name)
    return {
        "user_mode": target.user_mode,
        "description": quote.text(f"Socket of worker {whose}"),
        "source": quote.path(str(worker.source)),
        "address": quote.address(socket),
        "user": "" if worker.group == own else quote.account(worker.user),  # for its gate, which asks at this file
        "group": quote.account(own),
    }


def _patience(span: int) -> str:
    return quote.span(span or INFINITY)


def _dependencies(worker: Worker, instances: dependencies.Instances) -> TemplateValues:
    """The units that it names, and what else its YAML has for the unit as it stands."""
    after = dict.fromkeys([*worker.depends.after, *worker.depends.requires])
    return {
        "after": quote.unit_list(dependencies.all_instances(after, instances)),
        "requires": quote.unit_list(dependencies.all_instances(worker.depends.requires, instances)),
        "pass_through": _pass_through(worker, instances),
    }


def _pass_through(worker: Worker, instances: dependencies.Instances) -> Mapping[str, list[tuple[str, str]]]:
    sections: dict[str, list[tuple[str, str]]] = {"Unit": [], "Service": []}
    for section, directive, value in worker.unit:
        if section not in sections:
            raise TqunitsError(f"worker {worker.name!r}: unit.{section}: only Unit and Service pass through")
        is_list = section == "Unit" and directive in dependencies.ORDERED
        told = " ".join(dependencies.all_instances(value.split(), instances)) if is_list else value
        sections[section].append((quote.directive(directive), quote.verbatim(told)))
    return sections


def _accounts(workers: Iterable[Worker]) -> list[Mapping[str, str]]:
    """worker-NAME, with a group of that name, where it is needed. Accounts of others are not ours
    to make."""
    return [
        {
            "user": quote.account(account_of(worker.name)),
            "description": quote.word(accounts.description_of(worker.name)),
            "home": quote.path(accounts.NO_HOME),
            "shell": quote.path(accounts.NO_SHELL),
        }
        for worker in workers
        if accounts.needs_own(worker)
    ]
