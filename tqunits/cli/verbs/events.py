"""Show what has happened to the workers: each change of a state, with its time and its cause.

The changes come from the manager, which keeps the last 1000 since its start. -f goes on with those
that come, until you interrupt it or the manager ends. All of them, of earlier starts too, are in
the journal: 'journalctl -u tq-manager', with the fields TQUNITS_WORKER, TQUNITS_EVENT,
TQUNITS_STATE and TQUNITS_CAUSE to search for.

--json prints one document; with -f, one JSON object a line.

Root is told of all workers, an operator of his own (grants.NAME.operators), others of none.

Exit status: 0, 3 when the manager does not answer, 4 no such worker, 5 not permitted.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence

from tqunits.cli.condition import STYLES
from tqunits.cli.context import Context
from tqunits.cli.output import Output
from tqunits.cli.selection import named
from tqunits.control import managers
from tqunits.control.managers import Changes
from tqunits.errors import ExitStatus
from tqunits.host.installed import installed
from tqunits.printable import printable

_WAIT_US = 25_000_000

_Event = Mapping[str, object]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits events`."""
    parser.add_argument("names", metavar="NAME", nargs="*", help="worker, its unit, or a pattern such as 'api-*'")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Show them, and follow."""
    wanted = {each.name for each in named(arguments.names, installed(context.layout), context)}
    found = managers.changes(context.layout, after=0)
    if arguments.json and not arguments.follow:
        context.output.json("events", 1, events=_chosen(found, wanted))
        return ExitStatus.OK
    _print(_chosen(found, wanted), context.output, as_json=arguments.json)
    if not arguments.follow:
        return ExitStatus.OK
    try:
        return _follow(found, wanted, context, as_json=arguments.json)
    except KeyboardInterrupt:
        return ExitStatus.OK


def _follow(found: Changes, wanted: set[str], context: Context, *, as_json: bool) -> ExitStatus:
    output = context.output
    output.owes_document = False
    while True:
        output.flush()
        later = managers.changes(context.layout, after=found.last, wait_us=_WAIT_US)
        if later.lost(found.last):
            output.message("some changes came too fast to be shown: 'journalctl -u tq-manager' has them")
        _print(_chosen(later, wanted), output, as_json=as_json)
        found = later


def _chosen(found: Changes, wanted: set[str]) -> Sequence[_Event]:
    return [event for event in found.events if not wanted or event.get("name") in wanted]


def _print(events: Sequence[_Event], output: Output, *, as_json: bool) -> None:
    for event in events:
        output.line(json.dumps(event) if as_json else _line(event, output))


def _line(event: _Event, output: Output) -> str:
    at = event.get("at_us")
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime((at if isinstance(at, int) else 0) / 1e6))
    after = str(event.get("after"))
    cause = f": {event['cause']}" if event.get("cause") else ""
    state = output.styled(after, STYLES.get(after, ""))
    before = printable(f"{event.get('name')}  {event.get('before')}")
    return f"{when}  {before} -> {state}{printable(cause)}"
