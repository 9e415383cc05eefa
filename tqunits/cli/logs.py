"""Show the journal of workers.

This becomes journalctl(1) with the right units: its pager, its colours and its keys are what you know. Without a name
the journals of all workers and of the router are shown together. Messages of the readiness gate and of systemd about
the worker are among them.

The access log is a journal of its own (the namespace tq-access): --access shows it, for all workers or for those named,
and without a name it is shown among the others. With --user it is in your own journal.

Reading other users' journals needs root, or membership in the group systemd-journal.
"""

from __future__ import annotations

import argparse

from tqunits.cli.context import Context
from tqunits.cli.selection import installed, named
from tqunits.errors import ExitStatus
from tqunits.system import journal
from tqunits.system.process import replace_process
from tqunits.units import name

_ACCESS = name.ACCESS_LOG
_ROUTER = "tq-proxy@*.service"
_EVERYTHING = ("tq-worker@*.service", _ROUTER, "tq-proxy*.socket", "tq-proxy-certificate.service", name.REPAIR_UNITS[1])
_VALUED = (("--lines", "lines"), ("--since", "since"), ("--until", "until"), ("--priority", "priority"))


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits logs`."""
    parser.add_argument("names", metavar="NAME", nargs="*", help="worker, its unit, or a pattern such as 'api-*'")
    parser.add_argument("--access", action="store_true", help="the access log, and it alone")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes")
    parser.add_argument("-n", "--lines", metavar="N", help="only the last N lines")
    parser.add_argument("--since", metavar="TIME", help="from then on: '10:00', '-1h', 'yesterday' (systemd.time(7))")
    parser.add_argument("--until", metavar="TIME", help="up to then")
    parser.add_argument("-p", "--priority", metavar="LEVEL", help="as grave as that: err, warning, info, or err..crit")
    parser.add_argument("--json", action="store_true", help="journalctl's own JSON, one object a line")


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Become journalctl."""
    workers = named(arguments.names, installed(context.layout), context) if arguments.names else ()
    options, user_mode = _options(arguments), context.user_mode
    if arguments.access:
        requests = [f"--identifier={_ACCESS}", *options, *(f"TQ_WORKER={worker.name}" for worker in workers)]
        replace_process(journal.command([_ROUTER], user_mode=user_mode, options=requests, namespace=_ACCESS))
    units = [worker.unit for worker in workers] or _EVERYTHING
    namespace = "" if workers else f"+{_ACCESS}"
    replace_process(journal.command(units, user_mode=user_mode, options=options, namespace=namespace))


def _options(arguments: argparse.Namespace) -> list[str]:
    options = [f"{option}={getattr(arguments, key)}" for option, key in _VALUED if getattr(arguments, key) is not None]
    options += ["--follow"] if arguments.follow else []
    return [*options, "--output=json"] if arguments.json else options
