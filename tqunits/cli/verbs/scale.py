"""Say how many instances workers have, and start or stop them; without an argument, list it.

NAME=N is root's own word: it comes before scaling.min_workers of worker.yaml, and takes no grant.
It is written to /etc/tqunits/tqunits.yaml.d/scale.yaml (with -C DIR below DIR/config), as
`scale: {NAME: N}`. Then the same is done as by 'tqunits apply NAME': instances are started or
stopped, no request is lost, and it returns when all are healthy. NAME=- removes the entry, so that
worker.yaml decides again. As with apply, edits of these workers and of the router in tqunits.yaml
that nobody has installed take effect too ('tqunits scale --dry-run NAME=N' shows them); other
workers stay as they are.

Everything is checked first. When a worker is unknown, can not have so many (its max_workers, free
ports), or could not be installed for another reason, nothing is changed, the file neither. The same
holds when another file of yours has a number for the worker, and when scale.yaml has a comment or a
key of yours, which would be lost: the message has the file, line and column. The number stays as
asked for when an instance does not become healthy.

The list has the INSTANCES that are installed, the number that is WANTED, and the file and line that
it is FROM. Where the two numbers differ, 'tqunits apply NAME' makes them equal.

Exit status: 0 done, or nothing to do; 1 something is refused or has failed; 2 the command line is
wrong; 4 no configured worker is called NAME; 5 not permitted; 6 a worker was not healthy in time;
with --dry-run 2 something would change.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from tqunits.cli.context import Context
from tqunits.cli.effective import origin_text
from tqunits.cli.output import Cell
from tqunits.cli.selection import workers_meant
from tqunits.cli.verbs import install
from tqunits.cli.wording import Teller
from tqunits.config.parsers import instances
from tqunits.config.reject import Reject
from tqunits.errors import ExitStatus, Mark, UsageError
from tqunits.host.installed import installed
from tqunits.host.prepare import Choice
from tqunits.host.scaling import ScaleOrder, foresee, rescale
from tqunits.host.sources import Loaded, load
from tqunits.light_dataclass import dataclass
from tqunits.model import WorkerType
from tqunits.units.steps import Options

_OPTIONS = Options(now=True)
_NONE = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scaled:
    """A line of the list. `wanted`: None when no valid worker of that name is configured."""

    name: str
    installed: int
    wanted: int | None
    origin: str
    place: Mark | None


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits scale`."""
    parser.add_argument("wishes", metavar="NAME=N", nargs="*", help="so many instances; NAME=-: as worker.yaml says")
    install.configure_run(parser)


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Scale, or list."""
    if not arguments.wishes:
        return _list(context, as_json=arguments.json)
    wishes = wished(arguments.wishes)
    if arguments.dry_run:
        found = foresee(wishes, context.premises)
        plan = replace(found.outlook.plan, steps=(*found.steps, *found.outlook.plan.steps))
        return install.foretold(replace(found.outlook, plan=plan), context, _OPTIONS, as_json=arguments.json)
    context.require_root("scaling workers")
    changes = rescale(wishes, context.premises, Teller(context.output, quiet=arguments.quiet))
    choice = Choice(names=tuple(wish.worker for wish in wishes), waits=True)
    return install.carry_out(arguments, context, _OPTIONS, choice, changes)


def wished(texts: Iterable[str]) -> tuple[ScaleOrder, ...]:
    """The wishes of a command line. Raises UsageError."""
    pairs = [text.rpartition("=") for text in texts]
    for name, _, number in pairs:
        if not name:
            hint = "write NAME=3, or NAME=- for what worker.yaml says"
            raise UsageError(f"{number!r} is no name and number", hint=hint)
    names = workers_meant(name for name, _, _ in pairs)
    again = next((name for name, count in Counter(names).items() if count > 1), None)
    if again is not None:
        raise UsageError(f"{again!r} is there twice", hint="leave one of them out")
    return tuple(ScaleOrder(name, _number(name, number)) for name, (_, _, number) in zip(names, pairs, strict=True))


def _number(name: str, text: str) -> int | None:
    if text == _NONE:
        return None
    try:
        return instances(text)
    except Reject as error:
        hint = f"'tqunits stop {name}' stops it" if text == "0" else error.hint
        raise UsageError(f"{name}: {error.message}", hint=hint) from error


def _list(context: Context, *, as_json: bool) -> ExitStatus:
    loaded = load(context.root, context.layout, trust=context.trust)
    counts = Counter(each.worker for each in installed(context.layout))
    rows = tuple(_rows(loaded, counts))
    if as_json:
        context.output.json("scale", 1, workers=[_json(row) for row in rows])
    else:
        context.output.table(("NAME", "INSTANCES", "WANTED", "FROM"), [_cells(row) for row in rows])
    return ExitStatus.OK


def _rows(loaded: Loaded, counts: Mapping[str, int]) -> Iterator[_Scaled]:
    configuration = loaded.configured()
    valid = {worker.name: worker for worker in configuration.workers}
    for name in sorted({*configuration.names, *counts, *configuration.server.scale}):
        worker, count = valid.get(name), counts.get(name, 0)
        if worker is None:
            path = loaded.workers.get(name)
            why = "no worker of this name is configured" if path is None else f"{path} has an error"
            yield _Scaled(name=name, installed=count, wanted=None, origin=why, place=None)
        elif worker.type is not WorkerType.STATIC:
            origin = worker.origins["scaling.min_workers"]
            wanted = worker.scaling.min_workers
            yield _Scaled(name=name, installed=count, wanted=wanted, origin=origin_text(origin), place=origin.mark)


def _cells(row: _Scaled) -> Sequence[Cell | str]:
    style = "yellow" if row.wanted not in (None, row.installed) else ""
    return (row.name, Cell(str(row.installed), style), _NONE if row.wanted is None else str(row.wanted), row.origin)


def _json(row: _Scaled) -> Mapping[str, object]:
    return {
        "name": row.name,
        "installed": row.installed,
        "wanted": row.wanted,
        "origin": row.origin,
        "file": row.place.file if row.place else None,
        "line": row.place.line if row.place else None,
    }
