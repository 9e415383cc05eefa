"""Names of units, by the rules of systemd.unit(5) and our own.

What follows the "@" is a worker's name: `tq-worker@NAME.service`, and `tq-worker@NAME:2.service`
for the second process of a worker (model.Instance). It consists of letters, digits, "_", "-" and
that colon. So it never needs escaping, and `%i` in a unit is the name itself. (`%I` is not: systemd
turns each "-" into "/".)
"""

from __future__ import annotations

from pathlib import PurePosixPath

from tqunits.late_pattern import late_pattern
from tqunits.model import Instance

Whose = Instance | str
"""An instance; or a worker's name, which means its first instance."""

TARGET = "tq.target"
SLICE = "tq.slice"
WORKER_SLICE = "tq-worker.slice"
PROXY_SOCKET = "tq-proxy.socket"
PROXY_TEMPLATE = "tq-proxy@.service"
CONTROL_TEMPLATE = "tq-proxy-control@.socket"
WORKER_TEMPLATE = "tq-worker@.service"
BUILD_TEMPLATE = "tq-build@.service"
CERTIFICATE_UNITS = ("tq-proxy-certificate.path", "tq-proxy-certificate.service")
"""The unit that watches the router's certificate, and the unit that it starts."""
REPAIR_UNITS = ("tq-repair.path", "tq-repair.service")
"""The unit by which a router asks for the repair of a worker that is held for no reason, and the
unit that it starts."""
MANAGER_SOCKET = "tq-manager.socket"
MANAGER = "tq-manager.service"
MANAGER_UNITS = (MANAGER_SOCKET, MANAGER)
APPLY = "tq-apply.service"
APPLY_TEMPLATE = "tq-apply@.service"
APPLY_UNITS = (APPLY, APPLY_TEMPLATE)
"""The units by which the manager has root apply the configuration: of all workers, and of one."""
SECRET_UNITS = ("tq-secrets.path", "tq-secrets.service")
"""The unit that watches the secrets of workers (secret_watch.py), and the unit that it starts."""
HARVEST_TEMPLATE = "tq-harvest@.service"
"""The unit by which the manager has root make a worker's release, and point instances to one."""
RELEASE_TEMPLATE = "tq-release@.service"
"""The unit by which the manager has a worker's `release.command` run."""
IN_GROUPS = (PROXY_TEMPLATE, MANAGER)
"""The units of those who reach the sockets of workers (listen: unix, fd): they are in the workers'
groups."""
BACKOFF_TEMPLATE = "tq-backoff@.service"
"""The wait before a failed worker is started again."""
FAILURE_TEMPLATE = "tq-failure@.service"
"""The note that a worker has failed, without which nothing waits."""
ACCESS_LOG = "tq-access"
"""The journal's namespace for the router's access log (systemd-journald.service(8), JOURNAL
NAMESPACES)."""
ACCESS_JOURNAL = f"systemd-journald@{ACCESS_LOG}.service"
ACCESS_JOURNAL_UNITS = (
    f"systemd-journald@{ACCESS_LOG}.socket",
    f"systemd-journald-varlink@{ACCESS_LOG}.socket",
    ACCESS_JOURNAL,
)
"""The sockets come first: they would start the service."""
DROP_IN = "10-tqunits.conf"
"""Drop-ins are sorted by file name: systemd's own 50-*.conf of `systemctl set-property` and
`systemctl edit` come later."""

WORKER_PATTERN = r"[a-z][a-z0-9_-]{0,23}"  # so that "worker-NAME" has at most 31 characters
NUMBER_PATTERN = r"([2-9]|[1-9][0-9]{1,3})"  # one spelling: no `:1`, no `:02`
_WORKER_NAME = late_pattern(WORKER_PATTERN)
_LONGEST_UNIT_NAME = 255  # UNIT_NAME_MAX is 256 with its NUL (systemd's basic/unit-name.h)
_WORKER_TEMPLATES = frozenset({WORKER_TEMPLATE, "tq-worker@.socket"})
_TYPES = "automount|device|mount|path|scope|service|slice|socket|swap|target|timer"
_UNIT_NAME = late_pattern(rf"[A-Za-z0-9:_.\\-]+(@[A-Za-z0-9:_.\\-]*)?\.({_TYPES})")
_PROXY_SOCKETS = "tq-proxy-"
_MOUNT = "run-tqunits-workers-"
_DASH = r"\x2d"
_INSTANCE = late_pattern(rf"({WORKER_PATTERN})(?::{NUMBER_PATTERN})?")


def is_worker_name(text: str) -> bool:
    """Whether a worker may have this name."""
    return _WORKER_NAME.fullmatch(text) is not None


def is_unit_name(text: str) -> bool:
    """Whether this is a valid unit name, with its type (systemd.unit(5), DESCRIPTION)."""
    return len(text) <= _LONGEST_UNIT_NAME and _UNIT_NAME.fullmatch(text) is not None


def instance(text: str) -> Instance | None:
    """Parse `api` or `api:2`; None for anything else."""
    match = _INSTANCE.fullmatch(text)
    return Instance(match[1], int(match[2] or 1)) if match else None


def service(whose: Whose) -> str:
    """The service of an instance."""
    return f"tq-worker@{whose}.service"


def drop_in(unit: str, units: PurePosixPath) -> PurePosixPath:
    """The path of our drop-in of a unit, below the folder of the units."""
    return units / f"{unit}.d" / DROP_IN


def apply(worker: str) -> str:
    """The unit that applies the settings of an installed worker."""
    return f"tq-apply@{worker}.service"


def harvest(worker: str) -> str:
    """The unit that makes releases of a worker."""
    return f"tq-harvest@{worker}.service"


def socket(whose: Whose) -> str:
    """The socket unit of an instance with `listen: fd`."""
    return f"tq-worker@{whose}.socket"


def backoff(whose: Whose) -> str:
    """The unit that waits after a failure of the instance."""
    return f"tq-backoff@{whose}.service"


def failure(whose: Whose) -> str:
    """The unit that notes a failure of the instance."""
    return f"tq-failure@{whose}.service"


def paused_by(unit: str) -> Instance | None:
    """The instance that a back-off unit belongs to; None for every other unit."""
    return instance(_behind_at(unit)) if template_of(unit) == BACKOFF_TEMPLATE else None


def after_failures_of(unit: str) -> Instance | None:
    """The instance after whose failures the unit runs; None for every other unit."""
    return instance(_behind_at(unit)) if template_of(unit) in {BACKOFF_TEMPLATE, FAILURE_TEMPLATE} else None


def mount(whose: Whose) -> str:
    """The unit that mounts the instance's runtime folder, /run/tqunits/workers/NAME
    (systemd.unit(5), STRING ESCAPING)."""
    return f"{_MOUNT}{str(whose).replace('-', _DASH)}.mount"


def unit_at(path: PurePosixPath) -> str:
    """The unit that a unit file or a drop-in belongs to."""
    return path.parent.name.removesuffix(".d") if path.suffix == ".conf" else path.name


def access_journal(units: PurePosixPath) -> PurePosixPath:
    """The configuration of the access log's journal (journald.conf(5)), beside the folder of the
    units."""
    return units.parent / f"journald@{ACCESS_LOG}.conf"


def build(worker: str) -> str:
    """The unit that builds a worker."""
    return f"tq-build@{worker}.service"


def fetch(worker: str) -> str:
    """The unit that loads what a worker's build needs.

    The suffix has a dot, which no worker's name contains. A colon would not do: systemd-analyze(1)
    would read it as a file and an alias.
    """
    return f"tq-build@{worker}.fetch.service"


def release(worker: str) -> str:
    """The unit that runs a worker's `release.command`."""
    return f"tq-release@{worker}.service"


def journals_of(whose: Instance) -> tuple[str, ...]:
    """The units whose journal tells about an instance: its own, its pauses after failed starts,
    what builds it, where the reason is when it has no program, and what prepares its releases."""
    return service(whose), backoff(whose), build(whose.worker), fetch(whose.worker), release(whose.worker)


def is_build(unit: str) -> bool:
    """Whether the unit is a build or the fetch of one."""
    return unit != BUILD_TEMPLATE and template_of(unit) == BUILD_TEMPLATE


def built_by(unit: str) -> str | None:
    """The worker of a build or a fetch; None for every other unit."""
    return _behind_at(unit).partition(".")[0] if is_build(unit) else None


def prepared_by(unit: str) -> str | None:
    """The worker whose releases a unit prepares: by a build, a fetch or a `release.command`; None
    for every other unit."""
    if template_of(unit) == RELEASE_TEMPLATE:
        return _behind_at(unit) or None
    return built_by(unit)


def proxy(number: int) -> str:
    """The unit of the router's process `number`, counting from 1."""
    return f"tq-proxy@{number}.service"


def control(number: int) -> str:
    """The control socket of the router's process `number`."""
    return CONTROL_TEMPLATE.replace("@", f"@{number}")


def proxy_socket(address: str) -> str:
    """The socket unit of one address of the router, except the address in tq-proxy.socket.

    The address is escaped as `systemd-escape ADDRESS` does it (systemd.unit(5), STRING ESCAPING).
    """
    return f"{_PROXY_SOCKETS}{_escaped(address)}.socket"


def is_proxy_socket(unit: str) -> bool:
    """Whether the unit holds addresses of the router. Each router process gets the sockets of all
    these units."""
    return unit == PROXY_SOCKET or (unit.startswith(_PROXY_SOCKETS) and is_socket(unit) and "@" not in unit)


def socket_of(service: str) -> str | None:
    """The socket unit of this service alone: that of a worker, or the control socket of a router
    process or of the manager."""
    found = instance_of(service)
    if found:
        return socket(found)
    if service == MANAGER:
        return MANAGER_SOCKET
    return CONTROL_TEMPLATE.replace("@", f"@{_behind_at(service)}") if is_proxy(service) else None


def instance_of(unit: str) -> Instance | None:
    """The instance that a service, a socket or a mount belongs to; None for every other unit."""
    if template_of(unit) in _WORKER_TEMPLATES:
        return instance(_behind_at(unit))
    found = instance(unit.removeprefix(_MOUNT).removesuffix(".mount").replace(_DASH, "-"))
    return found if found is not None and unit == mount(found) else None


def worker_of(unit: str) -> str | None:
    """The worker that a unit of one of its instances belongs to; None for every other unit, also
    for the template."""
    found = instance_of(unit)
    return found.worker if found else None


def is_worker(unit: str) -> bool:
    """Whether the unit is a process of a worker."""
    return unit != WORKER_TEMPLATE and template_of(unit) == WORKER_TEMPLATE


def named(text: str) -> str:
    """A process as the user named it: the instance (`api`, `api:2`) if the text is its unit,
    otherwise the text."""
    return str(instance_of(text) or text)


def template_of(unit: str) -> str:
    """The template of an instantiated unit; for other units the unit itself."""
    prefix, at, rest = unit.partition("@")
    return f"{prefix}@.{rest.rpartition('.')[2]}" if at else unit


def is_socket(unit: str) -> bool:
    """Whether the unit is a socket."""
    return unit.endswith(".socket")


def comes_and_goes(unit: str) -> bool:
    """Whether the unit's file exists only with some settings. It is removed when it is not
    needed."""
    return is_socket(unit) or unit in {*CERTIFICATE_UNITS, *SECRET_UNITS}


def is_proxy(unit: str) -> bool:
    """Whether the unit is one of the router's processes."""
    return unit != PROXY_TEMPLATE and template_of(unit) == PROXY_TEMPLATE


def process_of(unit: str) -> str:
    """The number of a router process, which is part of the paths of its sockets."""
    return _behind_at(unit)


def _escaped(text: str) -> str:
    """The output of `systemd-escape TEXT`."""
    kept = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.")
    first = text.encode()[:1] == b"."
    escaped = "".join(
        "-" if byte == ord("/") else chr(byte) if byte in kept else f"\\x{byte:02x}" for byte in text.encode()
    )
    return rf"\x2e{escaped[1:]}" if first else escaped


def _behind_at(unit: str) -> str:
    """The text between the "@" and the type, which systemd calls the instance."""
    return unit.partition("@")[2].rpartition(".")[0]
