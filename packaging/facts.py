"""What the man pages tell of the program, from where the program has it: settings, presets, exit
statuses, variables, states, sandboxes, paths."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import PurePosixPath
from types import ModuleType

import states
from roff import bold, item, line, roff, sentence

from tqunits import __version__
from tqunits.alone import verdicts
from tqunits.alone.variables import RESERVED
from tqunits.config.parse import Text, WorkerText, parse_server, parse_workers
from tqunits.config.presets import BY_FILE, BY_PROGRAM, PRESETS
from tqunits.config.setting import File, Setting
from tqunits.config.settings import GROUPS, SERVER, WORKER
from tqunits.config.start_files import starting_files
from tqunits.control import deploy_protocol, manager_protocol, protocol
from tqunits.control.protocol import EndpointStatus, Status, WorkerStatus
from tqunits.errors import ExitStatus
from tqunits.layout import SYSTEM_LAYOUT
from tqunits.lifecycle.state import Detail, Event
from tqunits.model import Mode, Worker, WorkerType
from tqunits.units.environment import CONTRACT, FOLDERS, usual_variables
from tqunits.units.sandbox import EFFECTS, PROFILES

_COMMENTED = re.compile(r"^ *[A-Z_]+ = (\d+)  # (.*)$", re.MULTILINE)


def parts() -> Mapping[str, str]:
    """What stands in the place of a line of a page's source, by that line."""
    return {
        "@WORKER@": settings(WORKER.values()),
        "@SERVER@": settings(SERVER.values()),
        "@PRESETS@": presets(),
        "@EXIT_STATUS@": numbers(ExitStatus),
        "@VERDICTS@": numbers(verdicts, at_least=verdicts.UNHEALTHY),
        "@VARIABLES@": "".join(item(*row) for row in CONTRACT.items()),
        "@FOLDERS@": "".join(item(*row) for row in FOLDERS.items()),
        "@RUNTIMES@": runtimes(),
        "@STATES@": states.picture(),
        "@DETAILS@": states.list_of(Detail),
        "@EVENTS@": states.list_of(Event),
        "@RESERVED@": line(", ".join(sorted(RESERVED)) + "."),
        "@PROFILES@": "".join(item(*row) for row in PROFILES.items()),
        "@RELAXATIONS@": "".join(item(*row) for row in EFFECTS.items()),
        "@STATUS@": members(Status),
        "@WORKER_STATUS@": members(WorkerStatus),
        "@ENDPOINT_STATUS@": members(EndpointStatus),
        **{f"@PROGRAM {path}@": "".join(map(line, text.splitlines())) for path, text in program().items()},
    }


def words() -> Mapping[str, str]:
    """What stands in the place of a word: defaults of settings by their keys, paths, limits."""
    layout = SYSTEM_LAYOUT
    paths = {f"layout.{field.name}": str(getattr(layout, field.name)) for field in fields(layout)}
    return {
        **{row.key: str(row.default) for row in (*SERVER.values(), *WORKER.values())},
        **paths,
        "layout.control": str(layout.control_socket("N")),
        "layout.leave": str(layout.leave_socket("N")),
        "layout.routes": str(layout.routes),
        "layout.traffic": str(layout.traffic),
        "layout.ledger": str(layout.ledger),
        "layout.waiting": str(layout.waiting),
        "manager.socket": str(layout.manager_socket),
        "manager.release": manager_protocol.RELEASE,
        "manager.instances": manager_protocol.INSTANCES,
        "manager.watches": manager_protocol.WATCHES,
        "manager.events": manager_protocol.EVENTS,
        "manager.logs": manager_protocol.LOGS,
        "manager.start": manager_protocol.START,
        "manager.stop": manager_protocol.STOP,
        "manager.restart": manager_protocol.RESTART,
        "manager.deploy": deploy_protocol.DEPLOY,
        "manager.deploys": deploy_protocol.DEPLOYS,
        "manager.prune": deploy_protocol.PRUNE,
        "version": __version__,
        **{f"protocol.{name}": getattr(protocol, name.upper()) for name in ("status", "metrics", "pause")},
        **{f"protocol.{name}": getattr(protocol, name.upper()) for name in ("resume", "maintenance")},
    }


def numbers(source: ModuleType | type, *, at_least: int = 0) -> str:
    """A list of exit statuses: of each the number and the comment behind it, where it is
    defined."""
    found = ((int(number), text) for number, text in _COMMENTED.findall(inspect.getsource(source)))
    return "".join(item(str(number), text) for number, text in found if number >= at_least)


def members(record: type[Status | WorkerStatus | EndpointStatus]) -> str:
    """A list of an answer's members: its fields, and the comments behind them."""
    told = dict(re.findall(r"^    (\w+): .*  # (.*)$", inspect.getsource(record), re.MULTILINE))
    names = (field.name for field in fields(record))
    return "".join(f".TP\n\\fI{roff(name)}\\fR\n{line(sentence(told[name]))}" for name in names)


def settings(rows: Iterable[Setting[object]]) -> str:
    """The reference of settings: those of no group, then group by group, in the order of the
    table."""
    groups: dict[str, str] = {"": ""}
    for row in rows:
        groups.setdefault(row.group, f".SS {roff(row.group)}\n{line(sentence(GROUPS.get(row.group, '')))}")
        groups[row.group] += setting(row)
    return "".join(groups.values())


def setting(row: Setting[object]) -> str:
    """One setting: what it takes, its default, what it is for, the directive it decides."""
    default = "must be written" if row.default is None else f"default: {row.default}"
    facts = [f"Feeds {row.feeds}."] if row.feeds else []
    facts += [] if row.in_effect else ["Read and checked, but not in effect yet."]
    facts += [] if row.for_all or row.file is File.SERVER else ["Not allowed in the defaults of tqunits.yaml."]
    head = f".TP\n{bold(row.key)}: {roff(row.takes)} ({roff(default)})\n"
    return head + line(" ".join([row.doc, *facts]))


def presets() -> str:
    """What each type presets, and each program."""
    types = "".join(f".TP\n{bold(kind)}\n{line(preset(kind))}" for kind in PRESETS)
    by_rows: dict[str, list[str]] = {}
    for program_name, rows in BY_PROGRAM.items():
        by_rows.setdefault(listed(rows), []).append(program_name)
    programs = "".join(f".TP\n{', '.join(map(bold, names))}\n{line(rows)}" for rows, names in by_rows.items())
    return f"{types}.PP\nWhat the program of a command presets, where no type is written:\n{programs}"


def preset(kind: WorkerType) -> str:
    """What a type presets, in words."""
    file, rows = BY_FILE.get(kind, ("", {}))
    with_file = f"with {file} {listed(rows)}" if rows else ""
    return "; ".join(filter(None, (listed(PRESETS[kind]), with_file))) or "nothing"


def listed(rows: Mapping[str, str]) -> str:
    """Settings and their values."""
    return ", ".join(f"{key}: {value}" for key, value in rows.items())


def runtimes() -> str:
    """The variables that are usual in a runtime, by type, and those that settings make."""
    folders = {name: f"${name}" for name in FOLDERS}
    usual = ((kind, usual_variables(_worker(kind), Mode.PRODUCTION, folders)) for kind in PRESETS)
    rows = (row for row in WORKER.values() if row.group == "runtime" and row.feeds)
    return "".join(_usual(kind, variables) for kind, variables in usual if variables) + "".join(map(_fed, rows))


def _usual(kind: WorkerType, variables: Mapping[str, str]) -> str:
    named = (f"{name}={value}" for name, value in variables.items())
    return f".TP\n{bold(kind)}\n{line(', '.join(named))}"


def _fed(row: Setting[object]) -> str:
    return f".TP\n{bold(row.key)}\n{line(row.feeds)}"


def program() -> Mapping[str, str]:
    """The files of the smallest worker in Python, as `tqunits init shop --type python` writes
    them."""
    return starting_files("shop", WorkerType.PYTHON)


def _worker(kind: WorkerType) -> Worker:
    """A worker of that type, which has nothing else of its own."""
    (worker,) = _parsed(f"path: /shop\ntype: {kind}\ncommand: [bin/shop]\n")
    return worker


def _parsed(yaml: str) -> Iterator[Worker]:
    root = PurePosixPath("/srv/tqunits")
    text = Text(path=root / "workers/shop/config/worker.yaml", content=yaml.encode())
    server = parse_server(None, [], source=root / "config/tqunits.yaml", root=root)
    found = WorkerText(name="shop", folder=root / "workers/shop", text=text, not_roots=None)
    configuration = parse_workers([found], server).configuration
    assert configuration is not None, yaml
    return iter(configuration.workers)
