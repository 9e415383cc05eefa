"""Show one worker: how it is and why, every setting and where it comes from, the last exits.

ORIGIN is "default", "preset TYPE" (from `type:`), the file and line that set it, or a drop-in of
the administrator's, which overrides them all. Where the YAML has errors or is gone, the installed
directives are shown instead. A setting that is not in effect yet is shown where you have written
it, and says so. A worker of type static has no unit: the router serves its files, and the folder is
where they are now. Of several instances one is shown, the first or the one that is named, and what
the others are called. Where a worker runs releases (see 'tqunits deploy'), there is the one that
serves now, the one that the next start runs if it is another, and the last that was stable. Where
changes of its folder take effect by themselves, "watched" says how many folders are watched, and
which file has changed last; or why changes are not noticed. "restart" says what has changed since
the start of the worker, and takes effect with the next one.

The last exits are read from the journal, which needs root or membership in the group
systemd-journal.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from tqunits.cli import condition, effective, old_starts
from tqunits.cli import format as human
from tqunits.cli.context import Context
from tqunits.cli.explained import facts_of, known, worker_named
from tqunits.cli.output import Cell, Output
from tqunits.cli.verbs.why import as_json, style_of
from tqunits.cli.watch_words import FolderWatched, watch_of
from tqunits.errors import ExitStatus
from tqunits.host import due, program_age
from tqunits.host.endings import details
from tqunits.host.evidence import of_exit
from tqunits.host.installed import Installed
from tqunits.host.instance_releases import InstanceReleases, releases_of, releases_of_files
from tqunits.host.running_surges import running_surges
from tqunits.host.status import InstanceStatus
from tqunits.host.watched_files_alone import watched_files_alone
from tqunits.lifecycle.causes import judge
from tqunits.lifecycle.facts import Facts
from tqunits.lifecycle.state import State
from tqunits.light_dataclass import dataclass
from tqunits.model import Worker, WorkerType
from tqunits.routing.codec.document import Served
from tqunits.system import journal, published
from tqunits.system.bus import Bus
from tqunits.system.dbus import rows
from tqunits.system.entries import Exit
from tqunits.units import name

EXITS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """All that is shown of one worker."""

    name: str
    worker: Worker | None  # None: not configured, or not validly
    installed: Installed | None = None
    instances: tuple[str, ...] = ()  # of its worker: the replicas, and a surge that runs; one of them is shown
    served: Served | None = None  # files alone, as the router has them
    status: InstanceStatus | None = None  # None: it has no instance
    settings: tuple[effective.Row, ...]
    drop_ins: tuple[str, ...] = ()
    exits: tuple[Exit, ...] = ()
    explained: Facts  # for the sentence at the top
    outdated: str = ""  # why its program is not what its sources say
    newer: str = ""  # that its program is newer than its process
    releases: InstanceReleases = InstanceReleases()
    watched: FolderWatched | None = None  # None: its folder is not watched
    old: str = ""  # what has changed since its start that a restart alone takes

    @property
    def unit(self) -> str | None:
        """None: it has none, or will have none."""
        is_static = self.worker is not None and self.worker.type is WorkerType.STATIC
        return name.service(self.name) if self.installed or not (self.served or is_static) else None


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits show`."""
    parser.add_argument("name", metavar="NAME", help="worker, or its unit")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Show it."""
    facts = _facts(name.named(arguments.name), context)
    if arguments.json:
        context.output.json("show", 1, **_json(facts))
    else:
        _print(facts, context.output)
    return ExitStatus.OK


def _facts(wanted: str, context: Context) -> _Facts:
    of = known(context)
    of.require([wanted])
    configuration = of.loaded.configuration
    if configuration is None or worker_named(wanted) in configuration.broken:
        context.output.message("the YAML has errors ('tqunits check' shows them): this is what is installed")
    worker, here, files = of.configured(wanted), of.installed.get(wanted), of.served.get(wanted)
    ((explained, status),) = facts_of([wanted], of, context)
    if here is not None:
        facts = _installed_facts(here, worker, explained, status, context)
        return replace(facts, instances=(*of.meant(here.worker), *facts.instances))
    settings = effective.settings(worker, ()) if worker else ()
    releases = releases_of_files(files, context.layout) if files is not None else InstanceReleases()
    return _Facts(
        name=wanted,
        worker=worker,
        served=files,
        settings=settings,
        explained=explained,
        releases=releases,
        watched=watch_of(wanted, context.layout) if wanted in watched_files_alone(context.layout) else None,
    )


def _installed_facts(
    here: Installed, worker: Worker | None, explained: Facts, status: InstanceStatus | None, context: Context
) -> _Facts:
    with Bus(user_mode=context.user_mode) as bus:
        paths = [Path(str(path)) for path in rows(bus.property_of(here.unit, "Unit", "DropInPaths", "as"))]
        newer = program_age.newer(here, bus, context.layout) if explained.runs else ""
        surges = running_surges(bus, context.layout, {here.worker})
    overrides = effective.overrides(paths)
    shown = (
        effective.settings(worker, overrides) if worker else effective.directives(here.drop_in, here.text, overrides)
    )
    return _Facts(
        name=here.name,
        worker=worker,
        installed=here,
        instances=tuple(surge.title for surge in surges),
        status=status,
        settings=shown,
        drop_ins=tuple(str(path) for path in paths if path != here.drop_in),
        exits=journal.exits(here.unit, EXITS, user_mode=context.user_mode),
        explained=explained,
        outdated=due.outdated(worker, context.layout) if worker else "",
        newer=newer,
        releases=releases_of(here.instance, context.layout, in_folder=here.ledger.folder_use is not None),
        watched=watch_of(here.worker, context.layout) if here.ledger.watch is not None else None,
        old=old_starts.why_old(here.worker, status, old_starts.waits(context.layout)),
    )


def _print(facts: _Facts, output: Output) -> None:
    judgement = judge(facts.explained)
    output.line(output.styled(f"{facts.name}: {judgement.sentence}", style_of(judgement)))
    for label, text in details(judgement, facts.explained):
        output.line(f"{label + ':' if label else '':<12}{output.styled(text, '')}")
    output.line()
    for label, text in _summary(facts):
        output.line(f"{label + ':':<12}{output.styled(text, '')}")
    output.line()
    output.table(("KEY", "VALUE", "ORIGIN"), [(row.key, row.value, _origin(row)) for row in _told(facts.settings)])
    if facts.exits:
        output.line()
        output.line(output.styled("Last exits:", "bold"))
        for exit_ in facts.exits:
            output.line(f"  {human.moment(exit_.time_us)}  {output.styled(of_exit(exit_), _exit_style(exit_))}")


def _told(settings: Iterable[effective.Row]) -> Iterator[effective.Row]:
    """Without what does nothing yet and nobody has written: a default that does not hold would be a
    lie."""
    return (row for row in settings if row.in_effect or row.place)


def _summary(facts: _Facts) -> list[tuple[str, str]]:
    lines = [("worker", facts.name), *([("unit", facts.unit)] if facts.unit else [])]
    lines += [("instances", " ".join(facts.instances))] if len(facts.instances) > 1 else []
    status = facts.status
    if facts.served is not None:
        why = facts.explained.unserved
        state = f"static: no file is served: {why}" if why else "static: the router serves its files"
        folder = published.served(facts.served.directory, facts.served.release)
        return [*lines, ("state", state), ("folder", folder), *_releases(facts.releases), *_watched(facts.watched)]
    if status is None:
        return [*lines, ("state", facts.explained.state)]
    lines += [("state", ", ".join(filter(None, _state(status, facts.explained)))), *_program(facts)]
    lines += _releases(facts.releases)
    if facts.explained.holder:
        lines.append(("port", f"its port is held by {facts.explained.holder}"))
    if status.memory is not None:
        lines.append(("memory", f"{human.size(status.memory)} of {human.size(status.memory_max)}"))
    if status.cpu_ns is not None:
        lines.append(("cpu", human.cpu(status.cpu_ns)))
    if facts.installed:
        ledger = facts.installed.ledger
        lines += [("source", ledger.source), ("listens on", ledger.socket or f"127.0.0.1:{ledger.port}")]
    lines += [("restart", f"due: {facts.old}")] if facts.old else []
    lines += _watched(facts.watched)
    return [*lines, *(("drop-in", path) for path in facts.drop_ins)]


def _state(status: InstanceStatus, explained: Facts) -> Iterator[str]:
    word = condition.words(status)
    if explained.runs:
        yield f"{word} since {human.span(status.uptime_us)}"
        yield f"process {status.pid}"
    else:
        yield word
    if explained.runs or status.comes_again or status.state is State.FAILED:
        yield f"{status.restarts} restarts"
    yield condition.next_start(status)


def _program(facts: _Facts) -> list[tuple[str, str]]:
    told = facts.outdated.removeprefix("its program is ")
    lines = [f"{told} ({due.ADVICE})"] if told else []
    newer = facts.newer if facts.releases.next_start is None else ""  # of a release it says what _releases does
    return [("program", line) for line in (*lines, *([newer] if newer else []))]


def _releases(found: InstanceReleases) -> list[tuple[str, str]]:
    """Of a worker that runs none there is nothing to say."""
    lines = [("release", found.running)] if found.running else []
    if found.next_start != found.running:
        lines.append(("next start", f"release {found.next_start}" if found.next_start else "its own folder"))
    return [*lines, *([("stable", found.stable)] if found.stable else [])]


def _watched(found: FolderWatched | None) -> list[tuple[str, str]]:
    return [] if found is None else [("watched", found.words)]


def _origin(row: effective.Row) -> Cell:
    if not row.in_effect:
        return Cell(f"{row.origin} (not in effect yet)", "yellow")
    return Cell(row.origin, "dim" if row.origin == "default" else "yellow" if row.origin.startswith("drop-in") else "")


def _exit_style(exit_: Exit) -> str:
    return "" if exit_.result == "success" else "red"


def _json(facts: _Facts) -> Mapping[str, object]:
    return {
        "name": facts.name,
        "unit": facts.unit,
        "instances": list(facts.instances),
        "configured": facts.worker is not None,
        "installed": facts.installed is not None or facts.served is not None,
        **condition.members(facts.explained.state, facts.status),
        "settings": [_setting_json(row) for row in facts.settings],
        "drop_ins": list(facts.drop_ins),
        "exits": [_exit_json(exit_) for exit_ in facts.exits],
        "outdated": facts.outdated or None,
        "newer": facts.newer or None,
        "release": facts.releases.running,
        "next_release": facts.releases.next_start,
        "stable_release": facts.releases.stable,
        "restart_due": facts.old or None,
        "watch": facts.watched.members if facts.watched is not None else None,
        "port_held_by": facts.explained.holder or None,
        "why": as_json(facts.explained, judge(facts.explained)),
    }


def _setting_json(row: effective.Row) -> Mapping[str, object]:
    place = row.place
    return {
        "key": row.key,
        "value": row.value,
        "origin": row.origin,
        "file": place.file if place else None,
        "line": place.line if place else None,
        "in_effect": row.in_effect,
    }


def _exit_json(exit_: Exit) -> Mapping[str, object]:
    return {
        "time_us": exit_.time_us,
        "result": exit_.result,
        "code": exit_.code,
        "status": exit_.status,
        "cause": of_exit(exit_),
        "invocation": exit_.invocation,
    }
