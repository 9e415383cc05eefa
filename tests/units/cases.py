"""Configurations for the tests of rendering, built as values without the parser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from tqunits.config.presets import FETCHES
from tqunits.health import OK, Health, HealthType, Statuses
from tqunits.layout import SYSTEM_LAYOUT, Layout
from tqunits.model import (
    INFINITY,
    BuildRules,
    ClientGone,
    Configuration,
    Depends,
    Enabled,
    HeadLimits,
    Host,
    Instance,
    KillMode,
    Listen,
    ManagerSettings,
    Mode,
    Profile,
    ProxyRules,
    Relaxation,
    RestartPolicy,
    RestartRules,
    Retry,
    Runtime,
    Sandbox,
    Scaling,
    Server,
    ServerProxy,
    ServerTimeouts,
    ServiceType,
    SignalRules,
    Static,
    Timeouts,
    Tls,
    Worker,
    WorkersSettings,
    WorkerType,
)
from tqunits.resources import Descriptors, Limits, Share
from tqunits.units.ports import assign_ports
from tqunits.units.rendering import RenderedFile, render
from tqunits.units.surges import with_surges
from tqunits.watch import ServerWatch, WatchRules

TEMPLATES = {p.name: p.read_text() for p in (Path(__file__).parents[2] / "unit-templates").glob("*.j2")}

SECOND = 1_000_000
MIB = 1 << 20

HOME = PurePosixPath("/home/ada")
USER_LAYOUT = Layout(
    units=HOME / ".config/systemd/user",
    sysusers=None,
    configuration=HOME / ".config/tqunits",
    state=HOME / ".local/state/tqunits",
    runtime=PurePosixPath("/run/user/1000/tqunits"),
    workers=HOME / ".local/share/tqunits/workers",
    cache=HOME / ".cache/tqunits",
)


@dataclass(frozen=True)
class Case:
    """One configuration on one host."""

    configuration: Configuration  # with surges where the test has given them: see `surging`
    target: Host

    def ports(self) -> Mapping[Instance, int]:
        ports = assign_ports(self.configuration, {}).ports
        has_any = any(worker.has_surge for worker in self.configuration.workers)
        return with_surges(self.configuration, ports, {}).ports if has_any else ports

    def files(self) -> tuple[RenderedFile, ...]:
        return render(self.configuration, self.target, self.ports(), TEMPLATES)

    def drop_in(self, name: str) -> str:
        return next(f.content for f in self.files() if f.unit == f"tq-worker@{name}.service")


def target(*, systemd: int = 252, user_mode: bool = False) -> Host:
    return Host(
        systemd=systemd,
        layout=USER_LAYOUT if user_mode else SYSTEM_LAYOUT,
        user_mode=user_mode,
        program=("/usr/bin/tqunits",),
        alone=PurePosixPath("/usr/lib/tqunits"),
        code="c0de",
        has_polkit=not user_mode,
    )


def metrics_at(address: str | None) -> ManagerSettings:
    return ManagerSettings(metrics=address, max_parallel_rolls=2, keep_releases=5)


def server(**changes: Any) -> Server:
    return replace(
        Server(
            source_hash="0" * 64,
            settings_hash="1" * 64,
            source=PurePosixPath("/etc/tqunits/tqunits.yaml"),
            mode=Mode.PRODUCTION,
            listen=("0.0.0.0:8080", "[::]:8080"),
            workers=WorkersSettings(directory=PurePosixPath("/srv/tqunits/workers"), port_range=(9000, 9999)),
            proxy=ServerProxy(
                processes=1,
                trusted_proxies=(),
                access_log="journal",
                max_connections=20000,
                max_connections_per_client=0,
                heads=HeadLimits(),
            ),
            timeouts=ServerTimeouts(head=10 * SECOND, idle=120 * SECOND, drain=30 * SECOND),
            tls=Tls(certificate=None, key=None, redirect=False, hsts=0),
            manager=metrics_at(None),
            watch=ServerWatch(enabled=None, new=None),
            grants={},
            scale={},
            bounds=limits(),
            allowances={"disk_max": 4 << 30, "min_workers": 1},
            origins={},
        ),
        **changes,
    )


def worker(name: str, **changes: Any) -> Worker:
    folder = PurePosixPath("/srv/tqunits/workers") / name
    plain = Worker(
        name=name,
        folder=folder,
        source=changes.get("folder", folder) / "config/worker.yaml",
        source_hash="0" * 64,
        not_roots=None,
        routes=(f"/{name}",),
        hosts=(),
        strip_prefix=True,
        type=WorkerType.EXEC,
        service_type=ServiceType.EXEC,
        enabled=Enabled.TRUE,
        build=build(),
        release_command=(),
        command=("bin/serve",),
        user=f"worker-{name}",
        group=f"worker-{name}",
        environment=(),
        environment_file=(),
        credentials=(),
        listen=Listen.TCP,
        port=None,
        runtime=runtime(changes.get("type", WorkerType.EXEC)),
        limits=limits(),
        health=Health(
            type=HealthType.HTTP,
            path="/health",
            host=None,
            status=OK,
            command=(),
            interval=10 * SECOND,
            timeout=5 * SECOND,
            failure_threshold=3,
            success_threshold=2,
            start_period=60 * SECOND,
        ),
        restart=RestartRules(
            policy=RestartPolicy.ALWAYS, delay=SECOND, max_restarts=0, period=300 * SECOND, backoff_max=30 * SECOND
        ),
        signals=SignalRules(kill_mode=KillMode.CONTROL_GROUP, stop="SIGTERM", reload=None, watchdog=0),
        scaling=Scaling(min_workers=1, max_workers=1, target_inflight=32, scale_down_delay=60 * SECOND, idle_stop=0),
        timeouts=Timeouts(
            start=60 * SECOND,
            stop=30 * SECOND,
            drain=30 * SECOND,
            request=0,
            read=30 * SECOND,
            write=30 * SECOND,
            idle=120 * SECOND,
            body=10 * SECOND,
            stream=3600 * SECOND,
        ),
        proxy=ProxyRules(
            max_body=0,
            min_body_rate=1024,
            max_inflight=1000,
            queue_timeout=30 * SECOND,
            retry=Retry.IDEMPOTENT,
            buffer_requests=False,
            allow_encoded_slash=False,
            on_client_gone=ClientGone.FINISH,
            max_response_head=32 * 1024,
            max_response_fields=100,
            raw_path=False,
            via=False,
        ),
        watch=WatchRules(enabled=None, paths=(".",), ignore=(), live=(), debounce=SECOND // 10, max_wait=2 * SECOND),
        sandbox=Sandbox(profile=Profile.STANDARD, relaxations=()),
        depends=Depends(after=(), requires=()),
        writable=(),
        static=Static(directory="public", prefix="/"),
        unit=(),
        origins={},
    )
    return replace(plain, **changes)


def twice(worker: Worker) -> Worker:
    """The worker with two instances."""
    return replace(worker, scaling=replace(worker.scaling, min_workers=2))


def runtime(language: WorkerType, **changes: Any) -> Runtime:
    plain = Runtime(
        go_mem_limit=None, go_max_procs=None, node_max_old_space=None, max_requests=0, max_age=0, language=language
    )
    return replace(plain, **changes)


def limits(**changes: Any) -> Limits:
    plain = Limits(
        memory_max=512 * MIB,
        memory_high=None,
        cpu_quota=SECOND,
        cpu_weight=100,
        tasks_max=512,
        limit_nofile=Descriptors(1024, 524288),
        limit_nproc=512,
        io_weight=None,
    )
    return replace(plain, **changes)


def build(*command: str, **changes: Any) -> BuildRules:
    return replace(BuildRules(command=command, environment=(), disk_max=4096 * MIB, fetch=None), **changes)


def sandbox(profile: Profile, *relaxations: Relaxation) -> Sandbox:
    return Sandbox(profile=profile, relaxations=relaxations)


def configuration(*workers: Worker, **changes: Any) -> Configuration:
    found = server(**changes)
    moded = (replace(each, in_development=found.mode is Mode.DEVELOPMENT) for each in workers)
    return Configuration(server=found, workers=tuple(sorted(moded, key=lambda w: w.name)))


def surging(site: Configuration) -> Configuration:
    """The configuration as a system's install has it: its workers have surges."""
    return with_surges(site, assign_ports(site, {}).ports, {}).configuration


def case(*workers: Worker, systemd: int = 252, user_mode: bool = False, **changes: Any) -> Case:
    return Case(configuration(*workers, **changes), target(systemd=systemd, user_mode=user_mode))


def samples() -> tuple[Worker, ...]:
    """The kinds of sample worker, one that is disabled, and one without a process."""
    return (
        worker(
            "api",
            type=WorkerType.GO,
            build=build("go", "build", "-o", "bin/api", "./src", fetch=FETCHES[WorkerType.GO]),
            command=("bin/api",),
            runtime=runtime(WorkerType.GO, go_mem_limit=96 * MIB, go_max_procs=1),
        ),
        worker("index", type=WorkerType.PYTHON, routes=("/",), command=("python3", "src/main.py")),
        worker(
            "admin",
            type=WorkerType.NODE,
            command=("node", "src/main.js"),
            runtime=runtime(WorkerType.NODE, node_max_old_space=96 * MIB),
            sandbox=sandbox(Profile.JIT),
        ),
        worker("blog", type=WorkerType.PHP, routes=("/blog", "/journal"), command=("php", "-S", "127.0.0.1:${PORT}")),
        worker("off", enabled=Enabled.FALSE),
        worker("files", type=WorkerType.STATIC, command=()),
    )


def runtimes() -> tuple[Worker, ...]:
    """Each language, with what its programs need. Two are recognised by the program of the command,
    without a type."""
    jit, sessions = sandbox(Profile.JIT), ("session.save_path=${STATE_DIRECTORY}", "session.gc_probability=1")
    settings = (*sessions, "pcre.jit=0", "opcache.jit_buffer_size=0")
    options = tuple(word for setting in settings for word in ("-d", setting))
    deno = ("deno", "run", "--allow-net", "--allow-env", "--allow-read", "main.ts")
    return (
        worker("l-python", type=WorkerType.PYTHON, command=("python3", "src/main.py")),
        worker("l-node", type=WorkerType.NODE, command=("node", "src/main.js"), sandbox=jit),
        worker("l-bun", type=WorkerType.BUN, command=("bun", "run", "index.ts"), sandbox=jit),
        worker("l-deno", type=WorkerType.DENO, command=deno, sandbox=jit),
        worker(
            "l-java",
            type=WorkerType.JAVA,
            build=build("javac", "-d", "bin", "src/Main.java"),
            command=("java", "-cp", "bin", "Main"),
            sandbox=jit,
        ),
        worker(
            "l-ruby",
            type=WorkerType.RUBY,
            command=("puma", "--bind", "tcp://127.0.0.1:${WORKER_PORT}"),
            environment=(("RAILS_ENV", "staging"),),
        ),
        worker(
            "l-php",
            type=WorkerType.PHP,
            command=("php", *options, "-S", "127.0.0.1:${WORKER_PORT}", "-t", "public"),
        ),
        worker("p-npm", command=("npm", "start"), runtime=runtime(WorkerType.NODE), sandbox=jit),
        worker(
            "p-php",
            command=("/usr/bin/php8.2", *options, "artisan", "serve", "--port", "${WORKER_PORT}"),
            runtime=runtime(WorkerType.PHP),
        ),
    )


def profiles() -> tuple[Worker, ...]:
    return tuple(worker(profile.value, sandbox=sandbox(profile)) for profile in Profile)


def relaxations() -> tuple[Worker, ...]:
    """One worker for each relaxation of the sandbox, in the strictest profile, where each makes a
    difference."""
    return tuple(worker(hole.value, sandbox=sandbox(Profile.STRICT, hole)) for hole in Relaxation)


def asked() -> tuple[Worker, ...]:
    """The health checks, without the default one."""
    usual = worker("x").health
    answers = (Statuses(200, 200), Statuses(204, 204), Statuses(300, 399))
    command = ("bin/well", "--title", 'a "b" $HOME 100%', "${WORKER_PORT}")
    return (
        worker("h-answer", health=replace(usual, path="/up?deep=1", status=answers, host="www.example.org")),
        worker("h-tcp", health=replace(usual, type=HealthType.TCP)),
        worker("h-unix", listen=Listen.UNIX, health=replace(usual, type=HealthType.TCP)),
        worker("h-none", listen=Listen.FD, health=replace(usual, type=HealthType.NONE)),
        worker("h-command", health=replace(usual, type=HealthType.COMMAND, command=command)),
    )


def options() -> tuple[Worker, ...]:
    """Everything else that a worker may request."""
    return (
        worker("unix", listen=Listen.UNIX),
        worker("descriptor", listen=Listen.FD, group="web"),
        worker("notify", service_type=ServiceType.NOTIFY, port=9500),
        worker(
            "secrets",
            credentials=(("key", "/etc/tqunits/secrets/a key"), ("half", "/etc/100%")),
            environment_file=("/etc/api.env",),
            watch=replace(worker("x").watch, enabled=True),
        ),
        worker("home", folder=PurePosixPath("/home/ada/site"), hosts=("example.org", "www.example.org")),
        worker(
            "scratch",
            folder=PurePosixPath("/tmp/site"),
            sandbox=sandbox(Profile.STANDARD, Relaxation.WRITABLE_CODE),
        ),
        worker(
            "words",
            command=("bin/serve", "--title", 'a "b" $HOME 100%', "${WORKER_NAME}:${WORKER_PORT}", ""),
            environment=(("GREETING", 'a "b" $HOME 100%'), ("EMPTY", "")),
        ),
        worker(
            "tuned",
            limits=limits(
                memory_max=Share(permyriad=2550), memory_high=Share(permyriad=2000), cpu_quota=INFINITY, io_weight=50
            ),
            depends=Depends(after=("redis.service",), requires=("postgresql.service",)),
            unit=(("Service", "Nice", "5"), ("Service", "IOSchedulingClass", "idle"), ("Unit", "Wants", "a.service")),
            timeouts=replace(worker("x").timeouts, start=0, stop=1_500_000),
        ),
        worker(
            "signals",
            service_type=ServiceType.NOTIFY,
            signals=SignalRules(kill_mode=KillMode.MIXED, stop="SIGQUIT", reload="SIGHUP", watchdog=30 * SECOND),
        ),
        *asked(),
        worker("writes", writable=("data", "public/up loads"), static=Static(directory="public", prefix="/")),
        worker("bounded", restart=replace(worker("x").restart, max_restarts=5)),
        worker(
            "migrates",
            release_command=("bin/migrate", "--to", "${STATE_DIRECTORY}/a b", "${CREDENTIALS_DIRECTORY}"),
            environment=(("URL", "http://127.0.0.1:${WORKER_PORT}"), ("DATA", "${STATE_DIRECTORY}/db")),
            credentials=(("key", "/etc/tqunits/secrets/key"),),
            environment_file=("/etc/migrates.env",),
            restart=replace(worker("x").restart, max_restarts=5),
            unit=(("Service", "Restart", "always"),),
        ),
        worker("www", user="www-data", group="www-data"),
        worker(
            "made",
            folder=PurePosixPath("/home/ada/a 100% folder: mine"),
            command=("python3", "src/main.py"),
            build=build(
                "./make", 'a "b" $HOME 100%', environment=(("GREETING", 'a "b" $HOME 100%'),), disk_max=64 * MIB
            ),
        ),
    )


def several() -> tuple[Worker, ...]:
    """Workers with two instances, and one that depends on them."""
    return (
        twice(worker("a-b", service_type=ServiceType.NOTIFY, listen=Listen.FD)),
        twice(worker("api", build=build("./make"), restart=replace(worker("x").restart, max_restarts=5))),
        worker(
            "web",
            depends=Depends(after=("redis.service",), requires=("tq-worker@api.service",)),
            unit=(("Unit", "After", "tq-worker@a-b.service"), ("Unit", "Before", "tq-worker@later.service")),
        ),
    )


ONE_CERTIFICATE = Tls(
    certificate="/etc/tqunits/tls/a 100% chain.pem", key="/etc/tqunits/keys/key.pem", redirect=True, hsts=86400 * SECOND
)
CERTIFICATES = Tls(certificate="/etc/tqunits/tls", key=None, redirect=False, hsts=0)
TWO_PROCESSES = replace(server().proxy, processes=2)

CASES: Mapping[str, Case] = {
    "samples-252": case(*samples()),
    "samples-257": case(*samples(), systemd=257),
    "profiles": case(*profiles()),
    "relaxations": case(*relaxations()),
    "options": case(*options(), tls=ONE_CERTIFICATE, proxy=TWO_PROCESSES, manager=metrics_at("127.0.0.1:9109")),
    "user": case(*samples(), *profiles(), user_mode=True, tls=CERTIFICATES, manager=metrics_at("[::1]:9109")),
    "runtimes": case(*runtimes(), mode=Mode.DEVELOPMENT),
    "runtimes-user": case(*runtimes(), user_mode=True),
    "several": Case(surging(configuration(*several())), target()),
    "several-user": case(*several(), user_mode=True),
    "empty": case(),
}


def in_home(home: Path) -> Case:
    """A user's own manager. Its files are at their real place, below `home`."""
    program = home / "bin/serve"
    layout = replace(
        USER_LAYOUT,
        units=PurePosixPath(home / "units"),
        configuration=PurePosixPath(home / "configuration"),
        state=PurePosixPath(home / "state"),
        runtime=PurePosixPath(home / "runtime"),
    )
    host = replace(target(user_mode=True), layout=layout, program=(str(program),), alone=PurePosixPath(program.parent))
    workers = (replace(w, command=("bin/serve",), folder=PurePosixPath(home)) for w in (*samples(), *profiles()))
    return Case(configuration(*workers, tls=replace(CERTIFICATES, certificate=str(home / "tls"))), host)
