"""List the workers: state, route, CPU, memory.

Without a name all installed workers are listed, and the exit status is 0. With names or patterns
only these, and the exit status is 3 when one of them is neither healthy nor static.

Those that have failed come first, then those that wait or are not healthy, then the rest, each by
name.

STATE is one of six, which tqunits-contract(7) explains. A worker is starting until its health
check has passed, and healthy from then on. It is unhealthy while it runs and takes no requests, and
after a failure until it is started again; it is failed when it is not started again. It is stopping
while it finishes its requests and ends, and stopped when it has ended, or was never started.

In parentheses stands what the state alone does not say: failing (the worker runs, but fails its
health checks, as the manager tells root and operators), holding (it runs, but its file 'serving' is
gone, so the routers hold its requests), draining (it finishes its requests), health check (its
start has failed, because it did not pass it), systemd's result of another failure, or restarting
(it has ended without one). "again in" is the time until the next start, which grows with each
failure; 'tqunits start' starts it at once. A stopped worker that is not started at boot is called
disabled.

An instance that runs for a roll only is listed while it runs, as api:2 (surge).

A worker that has no process is static (files that the router serves), refused or skipped (by the
last install), or not installed. After the state comes an order about its traffic, if there is one:
pause, drain or maintenance (see 'tqunits resume'). 'tqunits why NAME' explains the state.

Below the table are the workers that the last install has left as they were, with the reason, those
of which changed files should take effect by themselves and do not, with the reason, those that run
as they were started though their unit, a secret or an environment file has changed since, and the
files of workers (environment_file, credentials) that have changed since install copied them.
CPU is the time used since the start; MEM/MAX the memory, caches included, and its limit. "-" is
what does not apply, or what this host does not count. Where workers run releases (see 'tqunits
deploy'), there is a column RELEASE with the one that each serves with now.

With --watch the list is shown again after each change, until you interrupt it. On a terminal it
stays in its place, and what changes all the time (UPTIME, CPU, MEM) is renewed every 2 s. Elsewhere
there is a list for each change, with an empty line between two; with --json there is one document a
line. The manager tells of the changes. When it is away, this is said once, and systemd tells of
them, as it does to whoever may not ask the manager. The exit status is 130 after Ctrl-C, and 141
when nobody reads the output any more.
"""

from __future__ import annotations

import argparse

from tqunits.cli import listing
from tqunits.cli.context import Context
from tqunits.errors import ExitStatus
from tqunits.host import run_time_health


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits ls`."""
    parser.add_argument("names", metavar="NAME", nargs="*", help="worker, its unit, or a pattern such as 'api-*'")
    parser.add_argument("-w", "--watch", action="store_true", help="show the list again after each change")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """List."""
    if arguments.watch:
        from tqunits.cli import live_list  # with what waits and draws, which one list does not need

        return live_list.watch(arguments.names, context, as_json=arguments.json)
    health = run_time_health.ask(context.layout)
    found = listing.look(arguments.names, health, context)
    if arguments.json:
        context.output.json("ls", 1, **found.members())
    else:
        listing.show(found, context.output)
        if found.rows and not found.is_known and run_time_health.may_ask(user_mode=context.user_mode):
            context.output.message(listing.AWAY, style="yellow")
    return ExitStatus.OK if found.is_well or not arguments.names else ExitStatus.NOT_RUNNING
