"""The frozen values of the product: a worker, the server, the host.

Units: sizes are bytes, time spans are microseconds (systemd's usec), CPU quotas are microseconds of
CPU per second of wall time (systemd's CPUQuotaPerSecUSec). INFINITY is systemd's own value for "no
limit" in all three. `config/parse.py` makes and validates the values; no other code validates them
again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Final

from tqunits.errors import Mark
from tqunits.health import Health
from tqunits.layout import Layout
from tqunits.light_dataclass import dataclass
from tqunits.resources import Limits, Share
from tqunits.watch import ServerWatch, WatchRules

INFINITY = 2**64 - 1
"""UINT64_MAX: systemd's "infinity" for sizes and spans, on D-Bus too."""


@dataclass(frozen=True, slots=True, order=True)
class Instance:
    """One process of a worker. The first instance has the worker's own name; further ones count
    from 2."""

    worker: str
    number: int = 1

    def __str__(self) -> str:
        """The name in its units and its runtime folder: `api`, `api:2`."""
        return self.worker if self.number == 1 else f"{self.worker}:{self.number}"


def instances_of(worker: str, count: int) -> tuple[Instance, ...]:
    """The first `count` instances of a worker, in the order of their numbers."""
    return tuple(Instance(worker, number) for number in range(1, count + 1))


def zero_if_endless(value: int) -> int:
    """A size or a span for the router, whose only value for "no limit" is 0."""
    return 0 if value == INFINITY else value


class Mode(StrEnum):
    """What the host is for. In development each worker runs from its folder, without releases."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


def is_on(setting: bool | None, mode: Mode) -> bool:  # noqa: FBT001 - the setting itself
    """Whether a setting is on whose null means: in development mode."""
    return mode is Mode.DEVELOPMENT if setting is None else setting


class WorkerType(StrEnum):
    """The runtime of a worker. It presets the build, the command and the sandbox."""

    GO = "go"
    PYTHON = "python"
    NODE = "node"
    BUN = "bun"
    DENO = "deno"
    JAVA = "java"
    RUBY = "ruby"
    PHP = "php"
    STATIC = "static"
    EXEC = "exec"


class Enabled(StrEnum):
    """When a worker runs: always, never, or in one mode only."""

    TRUE = "true"
    FALSE = "false"
    DEVELOPMENT = "development"
    PRODUCTION = "production"


class Listen(StrEnum):
    """How a worker takes its connections: a port, a Unix socket, or an inherited descriptor."""

    TCP = "tcp"
    UNIX = "unix"
    FD = "fd"


class ServiceType(StrEnum):
    """systemd's Type= for a worker: `exec` with the readiness gate, or `notify` for a program that
    sends READY=1 itself."""

    EXEC = "exec"
    NOTIFY = "notify"


class KillMode(StrEnum):
    """systemd's KillMode=: which processes get the stop signal. Its values `process` and `none` are
    left out: processes that stay would hold the port."""

    CONTROL_GROUP = "control-group"
    MIXED = "mixed"


class RestartPolicy(StrEnum):
    """systemd's Restart=, the values that make sense for a worker."""

    ALWAYS = "always"
    ON_FAILURE = "on-failure"
    NO = "no"


class Retry(StrEnum):
    """Which requests the router may send again when a worker's connection dies before its
    answer."""

    NEVER = "never"
    UNSENT = "unsent"
    IDEMPOTENT = "idempotent"


class ClientGone(StrEnum):
    """What happens to a request when its client has ended its side of the connection. The client
    may have left, or may only have nothing more to send."""

    FINISH = "finish"
    ABORT = "abort"


class Profile(StrEnum):
    """The named sandboxes, strictest first."""

    STRICT = "strict"
    STANDARD = "standard"
    JIT = "jit"
    LEGACY = "legacy"


class Relaxation(StrEnum):
    """A named hole in a sandbox. `tqunits show` lists it, and it counts in the exposure score."""

    WRITABLE_CODE = "writable-code"  # the worker may write its own folder
    HOST_USERS = "host-users"  # no PrivateUsers=
    WRITE_EXECUTE = "write-execute"  # no MemoryDenyWriteExecute=
    DEVICES = "devices"  # no PrivateDevices=
    NETLINK = "netlink"  # AF_NETLINK
    PROC = "proc"  # ProcSubset=all
    RESOURCES = "resources"  # @resources system calls
    HOME = "home"  # ProtectHome=read-only
    OUTBOUND = "outbound"  # the worker may reach other hosts
    JOURNAL = "journal"  # the journal's own sockets: messages with fields, of any size


class OriginKind(StrEnum):
    """Which source has decided a setting."""

    DEFAULT = "default"  # the SETTINGS table
    PRESET = "preset"  # the worker's type, or its command's program
    SERVER = "server"  # `defaults:` of tqunits.yaml
    WORKER = "worker"  # its own worker.yaml


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingOrigin:
    """Where an effective setting comes from. `mark` is set for SERVER and WORKER; for PRESET there
    is the name of the type or the program.

    `items` are the values of a list or a mapping as they are written, each with its place, in the
    order of the file.
    """

    kind: OriginKind
    preset: str = ""
    mark: Mark | None = None
    items: tuple[tuple[str, Mark], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """Settings of the language runtime. Sizes are bytes; `None` and 0 leave the runtime's own
    value."""

    go_mem_limit: int | None
    go_max_procs: int | None
    node_max_old_space: int | None
    max_requests: int
    max_age: int
    language: WorkerType = WorkerType.EXEC  # whose runtime: of the type or of the command's program; EXEC: unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartRules:
    """The restart policy. The first restart comes after `delay`, later ones after longer and longer
    pauses, up to `backoff_max`. After `max_restarts` restarts in a row (0: no limit) systemd gives
    up. A run that lasted for `period` starts the count again.
    """

    policy: RestartPolicy
    delay: int
    max_restarts: int
    period: int
    backoff_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalRules:
    """The signals that systemd sends to the processes, named as in signal(7), and the watchdog."""

    kill_mode: KillMode
    stop: str
    reload: str | None  # None: the worker can not be reloaded
    watchdog: int  # µs between two keep-alive messages (WATCHDOG=1); 0: no watchdog


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """How many instances run."""

    min_workers: int
    max_workers: int
    target_inflight: int
    scale_down_delay: int
    idle_stop: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Time spans of a worker's life and of its requests; 0 is no limit."""

    start: int
    stop: int
    drain: int
    request: int
    read: int
    write: int
    idle: int
    body: int
    stream: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyRules:
    """What the router does for one worker."""

    max_body: int
    min_body_rate: int  # bytes a second
    max_inflight: int
    queue_timeout: int
    retry: Retry
    buffer_requests: bool
    allow_encoded_slash: bool
    on_client_gone: ClientGone
    max_response_head: int
    max_response_fields: int
    raw_path: bool
    via: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """A profile and the holes in it."""

    profile: Profile
    relaxations: tuple[Relaxation, ...]

    @property
    def has_write_execute(self) -> bool:
        """Whether memory may be writable and executable at once, as just-in-time compilers need
        it."""
        return self.profile in (Profile.JIT, Profile.LEGACY) or Relaxation.WRITE_EXECUTE in self.relaxations


@dataclass(frozen=True, slots=True, kw_only=True)
class Depends:
    """Units that start before this worker, and units that it requires."""

    after: tuple[str, ...]
    requires: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Static:
    """Files the router serves itself."""

    directory: str
    prefix: str


UNSERVED: Final = tuple(PurePosixPath("/", name) for name in ("proc", "run", "sys", "dev"))
"""The router serves no file below these folders, whoever may read it. They hold the kernel's files
and those of running programs."""


@dataclass(frozen=True, slots=True)
class NotRoots:
    """Why a path does not belong to root alone: its first component that somebody else may change,
    and who that is."""

    path: PurePosixPath
    because: str  # "belongs to uid 1001 (deploy)"

    def __str__(self) -> str:
        return f"{self.path} {self.because}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """What a build loads from the network, as a step of its own before the build."""

    needs: str  # a file of the worker's folder; without the file there is nothing to load
    command: tuple[str, ...]
    offline: tuple[tuple[str, str], ...]  # variables for the build itself, which then has no network


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRules:
    """How a worker's program is made."""

    command: tuple[str, ...]  # empty: nothing to build
    environment: tuple[tuple[str, str], ...]
    disk_max: int  # bytes: its workspace and its caches together
    fetch: Fetch | None  # only presets have one; without it the build itself has the network


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One worker.yaml, valid and complete: every default is filled in."""

    name: str
    folder: PurePosixPath  # absolute
    source: PurePosixPath  # its worker.yaml, absolute
    source_hash: str  # sha256, in hex, of every file that decided a setting of this worker
    not_roots: NotRoots | None  # of the way to worker.yaml; None: only root can change it: the worker is root's

    routes: tuple[str, ...]  # each begins with "/", none but "/" ends with it
    hosts: tuple[str, ...]  # empty: any host
    strip_prefix: bool
    type: WorkerType
    service_type: ServiceType
    enabled: Enabled
    build: BuildRules
    release_command: tuple[str, ...]  # runs once, before a new release serves; empty: nothing
    command: tuple[str, ...]  # empty only for `static`
    user: str
    group: str
    environment: tuple[tuple[str, str], ...]
    environment_file: tuple[str, ...]  # absolute
    credentials: tuple[tuple[str, str], ...]  # name, absolute path
    listen: Listen
    port: int | None  # pinned; None: assigned
    runtime: Runtime
    limits: Limits
    health: Health
    restart: RestartRules
    signals: SignalRules
    scaling: Scaling
    timeouts: Timeouts
    proxy: ProxyRules
    watch: WatchRules
    sandbox: Sandbox
    writable: tuple[str, ...]  # folders below its own
    depends: Depends
    static: Static
    unit: tuple[tuple[str, str, str], ...]  # pass-through: section, directive, value
    origins: Mapping[str, SettingOrigin] = field(compare=False, repr=False)  # dotted key -> who decided it
    has_surge: bool = False  # this host has room for one more instance during a roll (units/surges.py decides)
    in_development: bool = False  # the host's mode: it runs from its own folder, whatever releases it has

    @property
    def instances(self) -> tuple[Instance, ...]:
        """Its replicas: the instances that always run."""
        return instances_of(self.name, self.scaling.min_workers)

    @property
    def surge(self) -> Instance | None:
        """The instance beyond its replicas, which only a roll starts; None: it has none."""
        return Instance(self.name, self.scaling.min_workers + 1) if self.has_surge else None

    @property
    def slots(self) -> tuple[Instance, ...]:
        """Its replicas and its surge, as install writes them."""
        return (*self.instances, *([self.surge] if self.surge else []))

    @property
    def has_credentials(self) -> bool:
        """Whether systemd gives it a folder of credentials. Environment files reach the worker as
        credentials, too."""
        return bool(self.credentials or self.environment_file)

    @property
    def modes(self) -> frozenset[Mode]:
        """The modes in which this worker is meant to run."""
        return frozenset(mode for mode in Mode if self.runs_in(mode))

    def runs_in(self, mode: Mode) -> bool:
        """Whether this worker is meant to run on a host of that mode."""
        return self.enabled is Enabled.TRUE or self.enabled.value == mode.value


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersSettings:
    """Where the workers live and which ports they get, both ends included."""

    directory: PurePosixPath
    port_range: tuple[int, int]
    not_roots: NotRoots | None = None  # of the way to `directory`: who makes folders there can use any worker's name


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """How large the head of a message may be."""

    request_line: int = 8 * 1024  # bytes; RFC 9112 §3 recommends that at least 8000 octets are understood
    head: int = 32 * 1024  # bytes: room for the cookies of a careless site, and still little per connection
    fields: int = 100  # HAProxy's and Envoy's figure; browsers send 10 to 20


USUAL_HEADS: Final = HeadLimits()
"""The limits where the configuration sets none."""

USUAL_RESPONSE_HEADS: Final = HeadLimits(request_line=32 * 1024)
"""The same for the responses of workers. A status line may be as long as the whole head."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerProxy:
    """The router's own settings."""

    processes: int
    trusted_proxies: tuple[str, ...]
    access_log: str
    max_connections: int
    max_connections_per_client: int
    heads: HeadLimits  # of requests


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTimeouts:
    """How long the router waits for clients, in microseconds."""

    head: int
    idle: int
    drain: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """The router's certificate and its policy. A certificate without a key is a folder of pairs."""

    certificate: str | None  # absolute
    key: str | None  # absolute
    redirect: bool
    hsts: int  # microseconds, whole seconds; 0: the header field is not sent


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagerSettings:
    """The control plane's settings."""

    metrics: str | None  # 127.0.0.1:PORT or [::1]:PORT; None: its metrics are off
    max_parallel_rolls: int
    keep_releases: int

    @property
    def port(self) -> int | None:
        """The TCP port of its metrics."""
        return None if self.metrics is None else int(self.metrics.rpartition(":")[2])


ALLOWANCES: Final[Mapping[str, str]] = {"disk_max": "build", "min_workers": "scaling"}
"""What `limits` of a grant can allow besides LIMITS: the name of a setting -> its section."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What root allows a worker whose files are not root's, besides what every such worker may
    do."""

    routes: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    credentials: tuple[str, ...] = ()  # patterns of absolute paths
    environment_files: tuple[str, ...] = ()  # the same
    static: tuple[str, ...] = ()  # the same
    depends: tuple[str, ...] = ()  # names of units
    limits: Mapping[str, int | Share] = field(default_factory=dict)  # by name: memory_max
    sandbox: tuple[Profile | Relaxation, ...] = ()
    unit: tuple[str, ...] = ()  # directives: Nice
    operators: tuple[str, ...] = ()  # users, and groups as %group


ANYBODY = "*"
"""The name of the grant for every worker that has no grant of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """tqunits.yaml with its drop-ins, valid and complete."""

    source: PurePosixPath  # tqunits.yaml, whether or not it exists
    source_hash: str = field(compare=False)  # sha256 of it and its drop-ins, hex: another text may mean the same
    settings_hash: str = field(compare=False)  # sha256, hex, of what these files set, whatever their comments say
    mode: Mode
    listen: tuple[str, ...]  # HOST:PORT, [HOST]:PORT or /absolute/path.sock
    workers: WorkersSettings
    proxy: ServerProxy
    timeouts: ServerTimeouts
    tls: Tls
    manager: ManagerSettings
    watch: ServerWatch
    grants: Mapping[str, Grant]  # by worker, or ANYBODY
    scale: Mapping[str, int]  # worker -> how many instances, whatever its worker.yaml says
    bounds: Limits  # what `defaults` and the table give: more than that needs root's files or a grant
    allowances: Mapping[str, int]  # the same for ALLOWANCES, by name
    trusted: bool = False  # --trust: the requests of workers count as root's; the owners of the files stay as they are
    origins: Mapping[str, SettingOrigin] = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The whole desired state, in one value: the server and its workers by name."""

    server: Server
    workers: tuple[Worker, ...]  # those without an error, sorted by name
    broken: tuple[str, ...] = ()  # those whose worker.yaml has an error or can not be read

    @property
    def names(self) -> frozenset[str]:
        """The names of all workers, with and without errors."""
        return frozenset((*(worker.name for worker in self.workers), *self.broken))

    def running(self) -> tuple[Worker, ...]:
        """The workers that are meant to run in this server's mode and have a process of their
        own."""
        return tuple(w for w in self.workers if w.runs_in(self.server.mode) and w.type is not WorkerType.STATIC)


MANAGER_USER = "tqunits"
"""The user who may use the routers' control sockets, besides root. No worker runs as that user."""

PRIVILEGED_GROUPS = frozenset(
    ("root", "wheel", "sudo", "admin", "shadow", "disk", "kmem", "docker", "lxd", "libvirt", "systemd-journal")
)
"""Groups whose members can become root."""

MAX_START: Final = 3600 * 1_000_000
"""The longest `timeouts.start`, in µs. For so long a worker can count as starting, and requests
wait for it."""

MAX_START_OF_A_REQUEST: Final = 600 * 1_000_000
"""The same for a worker whose files are not root's and which has no grant for more."""


def account_of(worker: str) -> str:
    """The user and the group of one worker alone."""
    return f"worker-{worker}"


def is_some_workers(account: str) -> bool:
    """Whether an account of this name belongs to a worker."""
    return account.startswith(account_of(""))


def build_account_of(worker: str) -> str:
    """The user and the group of the worker's builds, and of nothing else."""
    return f"build-{worker}"


def is_reserved_account(account: str) -> bool:
    """Whether no worker may run as the user or the group of this name: root, or an account of
    tqunits itself (the router, builds)."""
    return account in {"root", MANAGER_USER} or account.startswith(("tq-", build_account_of("")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The host that units are rendered for."""

    systemd: int  # major version: 252 on Debian 12, 257 on Debian 13
    layout: Layout
    user_mode: bool  # rendered for `systemctl --user`
    program: tuple[str, ...]  # argv that runs tqunits, absolute: ("/usr/bin/tqunits",)
    alone: PurePosixPath  # the folder of the programs that workers' units run; its path stands in every unit
    code: str  # a fingerprint of the router's code: another release has another one
    has_polkit: bool = False  # polkit is installed, and asks our rule

    def argv_alone(self, program: str) -> tuple[str, ...]:
        """The argv of one of these programs in a unit: the distribution's own Python, isolated
        (-I), with nothing but the standard library (-S)."""
        return ("/usr/bin/python3", "-I", "-S", str(self.alone / f"{program}.py"))
