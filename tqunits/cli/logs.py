"""Show the journal of workers.

This becomes journalctl(1) with the right units: its pager, its colours and its keys are what you know. Without a name
the journals of all workers and of the router are shown together. Messages of the readiness gate and of systemd about
the worker are among them. The access log alone is `journalctl -t tq-access`.

Reading other users' journals needs root, or membership in the group systemd-journal.
"""

from __future__ import annotations

import argparse

from tqunits.cli.context import Context
from tqunits.cli.selection import installed, named
from tqunits.errors import ExitStatus
from tqunits.system import journal
from tqunits.system.process import replace_process

_EVERYTHING = ("tq-worker@*.service", "tq-proxy@*.service", "tq-proxy*.socket", "tq-proxy-certificate.service")
_VALUED = (("--lines", "lines"), ("--since", "since"), ("--until", "until"), ("--priority", "priority"))


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits logs`."""
    parser.add_argument("names", metavar="NAME", nargs="*", help="worker, its unit, or a pattern such as 'api-*'")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes")
    parser.add_argument("-n", "--lines", metavar="N", help="only the last N lines")
    parser.add_argument("--since", metavar="TIME", help="from then on: '10:00', '-1h', 'yesterday' (systemd.time(7))")
    parser.add_argument("--until", metavar="TIME", help="up to then")
    parser.add_argument("-p", "--priority", metavar="LEVEL", help="as grave as that: err, warning, info, or err..crit")
    parser.add_argument("--json", action="store_true", help="journalctl's own JSON, one object a line")


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Become journalctl."""
    if arguments.names:
        units = [worker.unit for worker in named(arguments.names, installed(context.layout), context)]
    else:
        units = list(_EVERYTHING)
    replace_process(journal.command(units, user_mode=context.user_mode, options=_options(arguments)))


def _options(arguments: argparse.Namespace) -> list[str]:
    options = [f"{option}={getattr(arguments, key)}" for option, key in _VALUED if getattr(arguments, key) is not None]
    options += ["--follow"] if arguments.follow else []
    return [*options, "--output=json"] if arguments.json else options
