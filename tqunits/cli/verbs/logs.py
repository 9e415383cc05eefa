"""Show the journal of workers.

This becomes journalctl(1) with the right units: its pager, its colours and its keys are what you
know. Without a name the journals of all workers and of the router are shown together. Messages of
the readiness gate and of systemd about the worker are among them, those of its pauses after failed
starts, and those of its build.

The access log is a journal of its own (the namespace tq-access): --access shows it, for all workers
or for those named, and without a name it is shown among the others. With --user it is in your own
journal. --router shows the router's own messages alone.

--request ID shows all that is known of one request, by the X-Request-ID that its answer had (an
error page shows it too): its line in the access log, and what the router and the workers have said
of it, where they log that ID.

Reading other users' journals needs root, or membership in the group systemd-journal. Without either
an operator of a worker (grants.NAME.operators) gets its lines from the manager: up to 500 with -n,
those that come with -f, and JSON of the manager's own with --json.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence

from tqunits.cli import relayed_logs
from tqunits.cli.context import Context
from tqunits.cli.selection import named
from tqunits.errors import ExitStatus, TqunitsError, UsageError
from tqunits.host.installed import Installed, slots
from tqunits.late_pattern import late_pattern
from tqunits.system import journal
from tqunits.system.process import replace_process
from tqunits.system.process import run as run_program
from tqunits.units import name

_ACCESS = name.ACCESS_LOG
_ROUTER = "tq-proxy@*.service"
_ROUTERS = (_ROUTER, "tq-proxy*.socket", name.CERTIFICATE_UNITS[1], name.REPAIR_UNITS[1])
_EVERYTHING = ("tq-worker@*.service", "tq-backoff@*.service", "tq-build@*.service", "tq-release@*.service", *_ROUTERS)
_BOOT = late_pattern(r"all|[-+]?\d+|[0-9a-f]{32}([-+]\d+)?")
"""What journalctl(1) takes for a boot."""
_VALUED = ("lines", "since", "until", "priority", "grep", "output", "boot")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits logs`."""
    parser.add_argument("names", metavar="NAME", nargs="*", help="worker, its unit, or a pattern such as 'api-*'")
    parser.add_argument("--access", action="store_true", help="the access log, and it alone")
    parser.add_argument("--router", action="store_true", help="the router's own messages, and them alone")
    parser.add_argument("--request", metavar="ID", help="all that is known of this request, by its X-Request-ID")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes")
    parser.add_argument("-n", "--lines", metavar="N", help="only the last N lines")
    parser.add_argument("--since", metavar="TIME", help="from then on: '10:00', '-1h', 'yesterday' (systemd.time(7))")
    parser.add_argument("--until", metavar="TIME", help="up to then")
    parser.add_argument("-p", "--priority", metavar="LEVEL", help="as grave as that: err, warning, info, or err..crit")
    parser.add_argument("-g", "--grep", metavar="PATTERN", help="only messages that match it (a PCRE)")
    parser.add_argument(
        "-b", "--boot", metavar="BOOT", nargs="?", const="0", help="only of this boot; -1: the one before"
    )
    parser.add_argument(
        "-o", "--output", metavar="FORMAT", help="journalctl's format: short-iso, cat, json, verbose ..."
    )
    parser.add_argument(
        "--json", dest="objects", action="store_true", help="the same as --output json: one object a line"
    )


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Become journalctl."""
    if arguments.boot is not None and not _BOOT.fullmatch(arguments.boot):  # `-b NAME`: it is of this boot
        arguments.names, arguments.boot = [arguments.boot, *arguments.names], "0"
    _refuse_contradictions(arguments)
    if relayed_logs.is_needed(context):
        return relayed_logs.show(arguments, context, beyond=_beyond(arguments))
    workers = named(arguments.names, slots(context.layout), context) if arguments.names else ()
    if arguments.request is None:
        replace_process(_command(arguments, workers, user_mode=context.user_mode))
    return _of_request(arguments.request, _options(arguments), context)


def _command(arguments: argparse.Namespace, workers: Sequence[Installed], *, user_mode: bool) -> list[str]:
    options = _options(arguments)
    if arguments.access:
        requests = [f"--identifier={_ACCESS}", *options, *(f"TQ_WORKER={worker.ledger.worker}" for worker in workers)]
        return journal.command([_ROUTER], user_mode=user_mode, options=requests, namespace=_ACCESS)
    own = [unit for worker in workers for unit in name.journals_of(worker.instance)]
    units = own or (_ROUTERS if arguments.router else _EVERYTHING)
    namespace = "" if workers or arguments.router else f"+{_ACCESS}"
    return journal.command(units, user_mode=user_mode, options=options, namespace=namespace)


def _of_request(request: str, options: list[str], context: Context) -> ExitStatus:
    """Its line in the access log with all that the router noted, and then the messages that have
    its ID in them."""
    user_mode, namespace = context.user_mode, "" if context.user_mode else _ACCESS
    noted = [f"--identifier={_ACCESS}", "--output=verbose", *options, f"REQUEST_ID={request}"]
    grep = [f"--grep={re.escape(request)}", "--case-sensitive=yes", *options]
    asked = journal.command([_ROUTER], user_mode=user_mode, options=["--quiet", *noted], namespace=namespace)
    said = journal.command(_EVERYTHING, user_mode=user_mode, options=["--quiet", *grep])
    found = [run_program([*command, "--no-pager"]) for command in (asked, said)]
    for done in found:
        context.output.raw(done.stdout)
    errors = "".join(done.stderr for done in found)
    if errors:
        raise TqunitsError(f"journalctl: {errors.strip()}")
    if not any(done.stdout for done in found):
        hint = "the access log may be switched off (proxy.access_log), or too old; a line that is cut has no ID"
        raise TqunitsError(f"nothing is known of a request {request!r}", hint=hint)
    return ExitStatus.OK


def _refuse_contradictions(arguments: argparse.Namespace) -> None:
    """Raises UsageError."""
    others = [f"--{other}" for other in ("access", "router", "grep", "follow") if getattr(arguments, other)]
    if arguments.request is not None and (arguments.names or others):
        hint = "it finds the request wherever it was"
        raise UsageError(f"--request stands alone, without {', '.join(others) or 'NAME'}", hint=hint)
    if arguments.router and (arguments.names or arguments.access):
        raise UsageError("--router is about no worker, and not the access log", hint="leave one of them out")
    if arguments.objects and arguments.output is not None:
        raise UsageError("--json is --output json", hint="leave one of them out")


def _beyond(arguments: argparse.Namespace) -> list[str]:
    """The given options that only journalctl has."""
    flags = [f"--{flag}" for flag in ("access", "router", "request") if getattr(arguments, flag)]
    return [*flags, *(f"--{key}" for key in _VALUED if key != "lines" and getattr(arguments, key) is not None)]


def _options(arguments: argparse.Namespace) -> list[str]:
    options = [f"--{key}={value}" for key in _VALUED if (value := getattr(arguments, key)) is not None]
    options += ["--follow"] if arguments.follow else []
    return [*options, "--output=json"] if arguments.objects else options
