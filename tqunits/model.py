"""The words of the product as frozen values: what a worker, the server and the host are.

Units: sizes are bytes, time spans are microseconds (systemd's usec), CPU quotas are microseconds of
CPU per second of wall time (systemd's CPUQuotaPerSecUSec). INFINITY is systemd's own value for "no
limit" in all three. Values come from `config/parse.py`, already valid: nothing below the parser
checks them again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Final

from tqunits.errors import Mark
from tqunits.health import Health
from tqunits.layout import Layout
from tqunits.resources import Limits, Share

INFINITY = 2**64 - 1
"""UINT64_MAX: systemd's "infinity" for sizes and spans, on D-Bus too."""


@dataclass(frozen=True, slots=True, order=True)
class Instance:
    """One process of a worker. The first is known by the worker's own name; further ones count from
    2."""

    worker: str
    number: int = 1

    def __str__(self) -> str:
        """As its units, its runtime folder and people have it: `api`, `api:2`."""
        return self.worker if self.number == 1 else f"{self.worker}:{self.number}"


def instances_of(worker: str, count: int) -> tuple[Instance, ...]:
    """Those of a worker that has so many, in the order of their numbers."""
    return tuple(Instance(worker, number) for number in range(1, count + 1))


def zero_if_endless(value: int) -> int:
    """A size or a span for the router, to which 0 is the only "no limit"."""
    return 0 if value == INFINITY else value


class Mode(StrEnum):
    """What the host is for: development builds and reloads eagerly, production does neither by
    itself."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class WorkerType(StrEnum):
    """The runtime of a worker: presets for its build, its command and its sandbox."""

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
    """systemd's Type= for a worker: `exec` with the readiness gate, or `notify` for one that says
    READY=1 itself."""

    EXEC = "exec"
    NOTIFY = "notify"


class KillMode(StrEnum):
    """systemd's KillMode=: who is told to stop. `process` and `none` would leave some behind, which
    hold the port."""

    CONTROL_GROUP = "control-group"
    MIXED = "mixed"


class RestartPolicy(StrEnum):
    """systemd's Restart=, as far as it makes sense for a worker."""

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
    """What becomes of a request whose client has ended its side of the connection: it left, or only
    sends no more."""

    FINISH = "finish"
    ABORT = "abort"


class Profile(StrEnum):
    """The named sandboxes, strictest first."""

    STRICT = "strict"
    STANDARD = "standard"
    JIT = "jit"
    LEGACY = "legacy"


class Relaxation(StrEnum):
    """One hole in a sandbox, by name: shown by `tqunits show` and in the exposure score."""

    WRITABLE_CODE = "writable-code"  # the worker may write its own folder
    HOST_USERS = "host-users"  # no PrivateUsers=
    WRITE_EXECUTE = "write-execute"  # no MemoryDenyWriteExecute=
    DEVICES = "devices"  # no PrivateDevices=
    NETLINK = "netlink"  # AF_NETLINK
    PROC = "proc"  # ProcSubset=all
    RESOURCES = "resources"  # @resources system calls
    HOME = "home"  # ProtectHome=read-only
    OUTBOUND = "outbound"  # reach other hosts than this one
    JOURNAL = "journal"  # the journal's own sockets: messages with fields, of any size


class OriginKind(StrEnum):
    """Who decided a setting."""

    DEFAULT = "default"  # the SETTINGS table
    PRESET = "preset"  # the worker's type, or its command's program
    SERVER = "server"  # `defaults:` of tqunits.yaml
    WORKER = "worker"  # its own worker.yaml


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingOrigin:
    """Where an effective setting comes from; `mark` for SERVER and WORKER, for PRESET the type or
    the program.

    `items` are the values in a list, or in a mapping, as they are written and where, from the first
    to the last.
    """

    kind: OriginKind
    preset: str = ""
    mark: Mark | None = None
    items: tuple[tuple[str, Mark], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """What the language runtime is told; sizes in bytes, `None` and 0 leave it alone."""

    go_mem_limit: int | None
    go_max_procs: int | None
    node_max_old_space: int | None
    max_requests: int
    max_age: int
    language: WorkerType = WorkerType.EXEC  # whose it is: the type's, or the command's program's; EXEC: nobody knows


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartRules:
    """Restart policy: first after `delay` and then later and later, up to `backoff_max`; at most
    `max_restarts` times (0: no limit) in a row, and a run that was good for `period` begins a new
    one.
    """

    policy: RestartPolicy
    delay: int
    max_restarts: int
    period: int
    backoff_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalRules:
    """What systemd sends to the processes, by the names of signal(7), and what it waits to hear."""

    kill_mode: KillMode
    stop: str
    reload: str | None  # None: it can not be reloaded
    watchdog: int  # µs between two signs of life; 0: none is waited for


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
    """What the router does for this worker."""

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
class WatchRules:
    """What triggers a rebuild; `enabled` None means: in development mode."""

    enabled: bool | None
    paths: tuple[str, ...]
    ignore: tuple[str, ...]
    debounce: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """A profile and the holes in it."""

    profile: Profile
    relaxations: tuple[Relaxation, ...]

    @property
    def has_write_execute(self) -> bool:
        """Whether memory may be writable and executable, as who compiles while it runs has it."""
        return self.profile in (Profile.JIT, Profile.LEGACY) or Relaxation.WRITE_EXECUTE in self.relaxations


@dataclass(frozen=True, slots=True, kw_only=True)
class Depends:
    """Units that start before this worker, and units it can not run without."""

    after: tuple[str, ...]
    requires: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Static:
    """Files the router serves itself."""

    directory: str
    prefix: str


UNSERVED: Final = tuple(PurePosixPath("/", name) for name in ("proc", "run", "sys", "dev"))
"""From below these no file is served, whoever may read it: they are the kernel's, and of what runs
at the moment."""


@dataclass(frozen=True, slots=True)
class NotRoots:
    """Why a path is not root's: the first name on the way that somebody else may change, and who
    that is."""

    path: PurePosixPath
    because: str  # "belongs to uid 1001 (deploy)"

    def __str__(self) -> str:
        return f"{self.path} {self.because}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """What a build loads from the network before it, as a step of its own."""

    needs: str  # a file of the worker's folder; without it there is nothing to load
    command: tuple[str, ...]
    offline: tuple[tuple[str, str], ...]  # what the build is told by it, besides: it has no network then


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRules:
    """How a worker's program is made."""

    command: tuple[str, ...]  # empty: nothing to build
    environment: tuple[tuple[str, str], ...]
    disk_max: int  # bytes: its workspace and its caches together
    fetch: Fetch | None  # a preset's alone; without one the build itself has the network


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One worker.yaml, valid and complete: every default is filled in."""

    name: str
    folder: PurePosixPath  # absolute
    source: PurePosixPath  # its worker.yaml, absolute
    source_hash: str  # sha256 of every file that decided it, hex
    not_roots: NotRoots | None  # of the way to worker.yaml; None: all of it is root's, and so is the worker

    routes: tuple[str, ...]  # each begins with "/", none but "/" ends with it
    hosts: tuple[str, ...]  # empty: any host
    strip_prefix: bool
    type: WorkerType
    service_type: ServiceType
    enabled: Enabled
    build: BuildRules
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

    @property
    def instances(self) -> tuple[Instance, ...]:
        """Its processes, as install writes them: the first alone, as yet."""
        return instances_of(self.name, 1)

    @property
    def has_credentials(self) -> bool:
        """Whether systemd gives it a folder of credentials: environment files reach it as such,
        too."""
        return bool(self.credentials or self.environment_file)

    @property
    def modes(self) -> frozenset[Mode]:
        """On hosts of which mode it is meant to run."""
        return frozenset(mode for mode in Mode if self.runs_in(mode))

    def runs_in(self, mode: Mode) -> bool:
        """Whether this worker is meant to run on a host of that mode."""
        return self.enabled is Enabled.TRUE or self.enabled.value == mode.value


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersSettings:
    """Where the workers live and which ports they get, both ends included."""

    directory: PurePosixPath
    port_range: tuple[int, int]
    not_roots: NotRoots | None = None  # of the way to `directory`: whoever may make a folder there has any name


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """How large the head of a message may be."""

    request_line: int = 8 * 1024  # bytes; RFC 9112 §3 recommends that at least 8000 octets are understood
    head: int = 32 * 1024  # bytes: room for the cookies of a careless site, and still little per connection
    fields: int = 100  # HAProxy's and Envoy's figure; browsers send 10 to 20


USUAL_HEADS: Final = HeadLimits()
"""What holds where nothing else is said."""

USUAL_RESPONSE_HEADS: Final = HeadLimits(request_line=32 * 1024)
"""The same for a worker's: its status line may be as long as all of the head."""


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
    """The router's patience with clients, in microseconds."""

    head: int
    idle: int
    drain: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """What the router encrypts with; a certificate without a key is a folder of pairs."""

    certificate: str | None  # absolute
    key: str | None  # absolute
    redirect: bool
    hsts: int  # microseconds, whole seconds; 0: not said


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagerSettings:
    """The control plane's settings."""

    max_parallel_rolls: int
    keep_releases: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What root lets a worker have that is not root's, besides what every one of them has."""

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
    operators: tuple[str, ...] = ()  # users, and %groups


ANYBODY = "*"
"""The grant of every worker that has none by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """tqunits.yaml with its drop-ins, valid and complete."""

    source: PurePosixPath  # tqunits.yaml, whether or not it exists
    source_hash: str = field(compare=False)  # sha256 of it and its drop-ins, hex: another text may mean the same
    mode: Mode
    listen: tuple[str, ...]  # HOST:PORT, [HOST]:PORT or /absolute/path.sock
    workers: WorkersSettings
    proxy: ServerProxy
    timeouts: ServerTimeouts
    tls: Tls
    manager: ManagerSettings
    grants: Mapping[str, Grant]  # by worker, or ANYBODY
    bounds: Limits  # what `defaults` and the table give: a worker that is not root's gets no more by itself
    trusted: bool = False  # --trust: what the workers ask for counts as root's; whose their files are stays as it is
    origins: Mapping[str, SettingOrigin] = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The whole desired state, in one value: the server and its workers by name."""

    server: Server
    workers: tuple[Worker, ...]  # those that are right, sorted by name
    broken: tuple[str, ...] = ()  # those whose worker.yaml has an error, or can not be read

    @property
    def names(self) -> frozenset[str]:
        """Every worker that there is, right or wrong."""
        return frozenset((*(worker.name for worker in self.workers), *self.broken))

    def running(self) -> tuple[Worker, ...]:
        """The workers that are meant to run in this server's mode and have a process of their
        own."""
        return tuple(w for w in self.workers if w.runs_in(self.server.mode) and w.type is not WorkerType.STATIC)


MANAGER_USER = "tqunits"
"""Who may use the routers' control sockets, besides root. No worker runs as that user."""

PRIVILEGED_GROUPS = frozenset(
    ("root", "wheel", "sudo", "admin", "shadow", "disk", "kmem", "docker", "lxd", "libvirt", "systemd-journal")
)
"""Groups that are as good as root."""

MAX_START: Final = 3600 * 1_000_000
"""µs that `timeouts.start` may be: so long the start of a worker counts as one, and is waited
for."""

MAX_START_OF_A_REQUEST: Final = 600 * 1_000_000
"""The same for a worker that is not root's and has no grant for more."""


def account_of(worker: str) -> str:
    """The user and the group that a worker has for itself."""
    return f"worker-{worker}"


def is_some_workers(account: str) -> bool:
    """Whether this is a name that some worker has its account by."""
    return account.startswith(account_of(""))


def build_account_of(worker: str) -> str:
    """The user and the group that a worker's builds run as, and nothing else."""
    return f"build-{worker}"


def is_reserved_account(account: str) -> bool:
    """Whether no worker ever gets the user or the group of that name: root's, and tqunits' own (the
    router, builds)."""
    return account in {"root", MANAGER_USER} or account.startswith(("tq-", build_account_of("")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The host that units are rendered for."""

    systemd: int  # major version: 252 on Debian 12, 257 on Debian 13
    layout: Layout
    user_mode: bool  # rendered for `systemctl --user`
    program: tuple[str, ...]  # argv that runs tqunits, absolute: ("/usr/bin/tqunits",)
    alone: PurePosixPath  # the folder of the programs that workers' units run; its path stands in every unit
    code: str  # what tells the router's code from every other release's

    def argv_alone(self, program: str) -> tuple[str, ...]:
        """How a unit runs one of them: the distribution's own Python, isolated, with nothing but
        what is built in."""
        return ("/usr/bin/python3", "-I", "-S", str(self.alone / f"{program}.py"))
