"""Show what has happened to the workers: each change of a state, with its time and its cause.

The changes come from the manager, which keeps the last 1000 since its start. -f goes on with those
that come, until you interrupt it. When the manager ends, or is started anew, -f says so and goes on
as soon as it is back. All of them, of earlier starts too, are in
the journal: 'journalctl -u tq-manager', with the fields TQUNITS_WORKER, TQUNITS_EVENT,
TQUNITS_STATE and TQUNITS_CAUSE to search for.

--json prints one document; with -f, one JSON object a line.

Root is told of all workers, an operator of his own (grants.NAME.operators), others of none.

Exit status: 0, 3 when the manager does not answer, 4 no such worker, 5 not permitted; with -f also
141 when nobody reads the output any more.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence

from tqunits.cli.condition import STYLES
from tqunits.cli.context import Context
from tqunits.cli.output import UNREAD, Output
from tqunits.cli.selection import named
from tqunits.control import managers
from tqunits.errors import ExitStatus
from tqunits.host.change_watch import ChangeWatch, Woken
from tqunits.host.installed import slots
from tqunits.printable import printable

_LOOK_S = 25.0
_LOST = "some changes came too fast to be shown: 'journalctl -u tq-manager' has them"
_GONE = "the manager is away: its changes are shown when it is back"
_BACK = "the manager is back"

_Event = Mapping[str, object]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits events`."""
    parser.add_argument("names", metavar="NAME", nargs="*", help="worker, its unit, or a pattern such as 'api-*'")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Show them, and follow."""
    wanted = {each.name for each in named(arguments.names, slots(context.layout), context)}
    found = managers.changes(context.layout, after=0)
    if arguments.follow:
        try:
            return _follow(wanted, context, as_json=arguments.json)
        except KeyboardInterrupt:
            return ExitStatus.OK
    events = _chosen(found.events, wanted)
    if arguments.json:
        context.output.json("events", 1, events=events)
    else:
        _print(events, context.output, as_json=False)
    return ExitStatus.OK


def _follow(wanted: set[str], context: Context, *, as_json: bool) -> int:
    output, was_there = context.output, True
    with ChangeWatch(context.layout, user_mode=context.user_mode) as changes:
        woken = changes.wait(0, {})
        output.owes_document = False
        while not output.is_unread:
            _print(_chosen(woken.events, wanted), output, as_json=as_json)
            _tell(woken, changes, output, was_there=was_there)
            output.flush()
            was_there = changes.is_there
            woken = changes.wait(_LOOK_S, {output.descriptor: 0})
    return UNREAD


def _tell(woken: Woken, changes: ChangeWatch, output: Output, *, was_there: bool) -> None:
    """What is to be said besides the changes themselves."""
    if woken.are_lost:
        output.message(_LOST)
    if changes.is_there is not was_there:
        output.message(_BACK if changes.is_there else _GONE)


def _chosen(events: Sequence[_Event], wanted: set[str]) -> Sequence[_Event]:
    return [event for event in events if not wanted or event.get("name") in wanted]


def _print(events: Sequence[_Event], output: Output, *, as_json: bool) -> None:
    for event in events:
        output.line(json.dumps(event) if as_json else _line(event, output))


def _line(event: _Event, output: Output) -> str:
    at = event.get("at_us")
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime((at if isinstance(at, int) else 0) / 1e6))
    after = str(event.get("after"))
    cause = f": {event['cause']}" if event.get("cause") else ""
    state = output.styled(after, STYLES.get(after, ""))
    who = f"{event.get('name')}{' (surge)' if event.get('surge') is True else ''}"
    before = printable(f"{who}  {event.get('before')}")
    return f"{when}  {before} -> {state}{printable(cause)}"
