"""Lines of workers' journals by way of the manager, for an operator who may not read the journal
himself.

The manager decides whose lines he gets. They are printed as journalctl prints them, with every
character that a terminal would obey made visible.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Mapping, Sequence
from typing import Final

from tqunits.cli.context import Context
from tqunits.cli.output import Output
from tqunits.cli.selection import named
from tqunits.control import managers
from tqunits.control.manager_protocol import MOST_LINES
from tqunits.control.managers import LogLines
from tqunits.errors import ExitStatus, NotPermitted, TqunitsError, UsageError
from tqunits.host.installed import slots
from tqunits.model import Instance
from tqunits.printable import printable
from tqunits.system import journal
from tqunits.units import name

_WAIT_US: Final = 25_000_000

_FOLLOWED: Final = 10
"""Lines that are shown before those that come, as journalctl(1) does."""

_JOURNAL: Final = "members of the group systemd-journal may read all of it: 'usermod -aG systemd-journal USER'"


def is_needed(context: Context) -> bool:
    """Whether the caller can not read the journal himself."""
    return not context.user_mode and os.geteuid() != 0 and not journal.is_readable()


def show(arguments: argparse.Namespace, context: Context, *, beyond: Sequence[str]) -> ExitStatus:
    """Print the last lines, and follow. `beyond`: the given options that only journalctl has.
    Raises TqunitsError."""
    if beyond:
        text = f"{', '.join(beyond)}: you may not read the journal, and the manager has only -n, -f and --json"
        raise NotPermitted(text, hint=_JOURNAL)
    lines = _lines(arguments)
    try:
        whose = _whose(arguments.names, context)
        found = managers.logs(context.layout, whose, lines=lines)
        _print(found, context.output, as_json=arguments.objects)
        return _follow(found, whose, arguments, context) if arguments.follow else ExitStatus.OK
    except TqunitsError as error:
        error.hint = f"{error.hint}; {_JOURNAL}" if error.hint else _JOURNAL
        raise
    except KeyboardInterrupt:
        return ExitStatus.OK


def _follow(found: LogLines, whose: Sequence[Instance], arguments: argparse.Namespace, context: Context) -> ExitStatus:
    context.output.owes_document = False
    while True:
        context.output.flush()
        found = managers.logs(context.layout, whose, lines=MOST_LINES, after=found.cursor, wait_us=_WAIT_US)
        _print(found, context.output, as_json=arguments.objects)


def _whose(names: Sequence[str], context: Context) -> Sequence[Instance]:
    """The named instances; without a name all that the caller operates."""
    if names:
        return [worker.instance for worker in named(names, slots(context.layout), context)]
    own = (name.instance(str(each.get("name"))) for each in managers.mine(context.layout))
    return [whose for whose in own if whose is not None]


def _lines(arguments: argparse.Namespace) -> int:
    """Raises UsageError."""
    if arguments.lines is None:
        return _FOLLOWED if arguments.follow else MOST_LINES
    if not (arguments.lines.isascii() and arguments.lines.isdigit() and int(arguments.lines) <= MOST_LINES):
        raise UsageError(f"-n {arguments.lines}: the manager gives up to {MOST_LINES} lines", hint=_JOURNAL)
    return int(arguments.lines)


def _print(found: LogLines, output: Output, *, as_json: bool) -> None:
    if found.is_cut:
        output.message("some lines are left out: one answer of the manager has no room for them", style="yellow")
    for line in found.lines:
        output.line(json.dumps(line).replace("\x7f", r"\u007f") if as_json else _shown(line))


def _shown(line: Mapping[str, object]) -> str:
    at, pid = line.get("at_us"), line.get("pid")
    when = time.strftime("%b %d %H:%M:%S", time.localtime((at if isinstance(at, int) else 0) / 1e6))
    process = f"[{pid}]" if isinstance(pid, int) else ""
    lead = f"{when} {printable(str(line.get('identifier') or '-'))}{process}: "
    first, *more = map(printable, str(line.get("message")).split("\n"))
    return "\n".join([f"{lead}{first}", *(f"{' ' * len(lead)}{each}" for each in more)])
