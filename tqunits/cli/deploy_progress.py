"""The common part of deploy, rollback, build and restart: ask the manager, and tell each step until
all have ended.

The manager does the work. So whoever follows may leave at any moment, and a manager that ends
meanwhile is waited for: the next one goes on with what was written down.
"""

from __future__ import annotations

import argparse
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from tqunits.cli.context import Context
from tqunits.cli.deploy_words import DeployForm, Documents, Lines, goes_on
from tqunits.cli.output import Output
from tqunits.cli.results import Progress, name_again
from tqunits.cli.selection import named, parted, refuse_single
from tqunits.control import deploying
from tqunits.control.deploy_protocol import MOST_NUMBERS, DeployOrder, in_requests, is_message
from tqunits.control.deploying import Away
from tqunits.errors import ExitStatus, NoSuchWorker, TqunitsError, UsageError
from tqunits.host.installed import Installed, installed, served
from tqunits.layout import Layout
from tqunits.lifecycle.deploys import DeployOutcome, DeployRecord, DeployStep
from tqunits.lifecycle.release import MAX_MESSAGE
from tqunits.routing.codec.document import Served

INTERRUPTED: Final = 128 + signal.SIGINT

_WAIT_US: Final = 5_000_000
"""The wait in one question: on a terminal something is said about as often."""

_RETURN_S: Final = 60.0
"""How long a manager may be away: systemd starts it again at once, unless it fails at once."""

_PAUSE_S: Final = 0.2
"""Between two questions to a manager that is away, or has just begun."""

_WELL: Final = frozenset({DeployOutcome.DONE, DeployOutcome.UNCHANGED})


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare --message, --detach and --json."""
    parser.add_argument("-m", "--message", metavar="TEXT", default="", help="why, in a line that 'history' shows")
    parser.add_argument("--detach", action="store_true", help="return when the manager has taken it over")
    parser.add_argument("--json", action="store_true", help="print JSON: an object a line, for each step and each end")


def refuse_user_mode(context: Context) -> None:
    """Raises UsageError with --user, where no manager runs."""
    if context.user_mode:
        hint = "with --user a worker runs from its own folder: 'tqunits --user restart NAME' takes what has changed"
        raise UsageError("deploys are for the host's own services", hint=hint)


def whole_workers(names: Sequence[str], context: Context) -> tuple[str, ...]:
    """The workers that are named; where none is, all that are installed, but for static files that
    are in no release.

    Raises UsageError for one of several instances and with --user, NoSuchWorker.
    """
    refuse_user_mode(context)
    present, files = installed(context.layout), served(context.layout)
    every: list[Installed | Served] = [*present, *(each for each in files if names or each.release is not None)]
    meant = named(names, every, context) if names else every
    if not meant:
        raise NoSuchWorker("no worker is installed", hint="see 'tqunits install --help'")
    instances = [each.instance for each in meant if isinstance(each, Installed)]
    whole, single = parted(instances, [each.instance for each in present])
    refuse_single(single)
    return tuple(sorted({*whole, *(each.name for each in meant if isinstance(each, Served))}))


def perform(order: DeployOrder, arguments: argparse.Namespace, context: Context) -> int:
    """Ask for it, and tell how it goes; returns the exit status. Raises TqunitsError."""
    if not is_message(order.message):
        raise UsageError(f"a message is one printable line of at most {MAX_MESSAGE} characters")
    form: DeployForm = Documents(context.output) if arguments.json else Lines(context.output)
    accepted: list[DeployRecord] = []
    try:
        _ask(order, accepted, context)
        for record in accepted:
            form.accepted(record, is_left=arguments.detach)
        if arguments.detach:
            return ExitStatus.OK
        ended = follow(accepted, form, context)
    except KeyboardInterrupt:
        if not accepted:
            raise
        context.output.message(f"interrupted; {goes_on(accepted)}")
        return INTERRUPTED
    return _conclude(ended, context.output)


def _ask(order: DeployOrder, accepted: list[DeployRecord], context: Context) -> None:
    """Ask for all, in as many requests as that needs, and add what is accepted. Raises
    TqunitsError; what was accepted before goes on."""
    try:
        for workers in in_requests(order.workers):
            accepted += deploying.deploy(context.layout, replace(order, workers=workers))
    except TqunitsError:
        if accepted:
            context.output.message(f"{len(accepted)} are accepted; {goes_on(accepted)}")
        raise


def follow(
    accepted: Sequence[DeployRecord], form: DeployForm, context: Context, until: float | None = None
) -> Sequence[DeployRecord]:
    """These when they have ended, or at that moment of the monotonic clock; each step is told as it
    comes. Raises TqunitsError when the manager does not come back."""
    return [record for some in _windows(accepted) for record in _followed(some, form, context, until)]


def _windows(records: Sequence[DeployRecord]) -> Iterator[Sequence[DeployRecord]]:
    """As many as one question can be about. They are done about in the order of their numbers."""
    return (records[first : first + MOST_NUMBERS] for first in range(0, len(records), MOST_NUMBERS))


def _followed(
    accepted: Sequence[DeployRecord], form: DeployForm, context: Context, until: float | None
) -> Sequence[DeployRecord]:
    known = {record.number: record for record in accepted}
    for record in accepted:
        _tell(form, record, record.steps)
    watch, shown, begin = DeployWatch(context), Progress(context.output), time.monotonic()
    while running := [record for record in known.values() if not record.outcome.is_ended]:
        for record in watch.changed([each.number for each in running], wait_us=_wait_us(until)):
            told = set(known[record.number].steps)  # a record with many drops some
            known[record.number] = record
            _tell(form, record, [step for step in record.steps if step not in told])
        context.output.flush()
        late = [record.worker for record in running if not known[record.number].outcome.is_ended]
        if late:
            shown.say(late, time.monotonic() - begin)
        if until is not None and time.monotonic() >= until:
            break
    return tuple(known.values())


def _wait_us(until: float | None) -> int:
    """How long the manager may wait for a change."""
    return _WAIT_US if until is None else min(_WAIT_US, max(0, int((until - time.monotonic()) * 1e6)))


def _tell(form: DeployForm, record: DeployRecord, steps: Sequence[DeployStep]) -> None:
    for step in steps:
        form.step(record, step)
    if record.outcome.is_ended:
        form.ended(record)


def _conclude(ended: Sequence[DeployRecord], output: Output) -> ExitStatus:
    failed = [record.worker for record in ended if record.outcome not in _WELL]
    name_again(failed, output)
    return ExitStatus.FAILED if failed else ExitStatus.OK


class DeployWatch:
    """The questions for changes, one after the other."""

    def __init__(self, context: Context, *, return_s: float = _RETURN_S) -> None:
        """`return_s`: how long, in seconds, the manager may be away."""
        self._layout: Layout = context.layout
        self._output = context.output
        self._return_s = return_s
        self._after, self._since = 0, 0  # the last event that is known, and the start of who counts it
        self._away_since: float | None = None

    def changed(self, numbers: Sequence[int], *, wait_us: int = _WAIT_US) -> Sequence[DeployRecord]:
        """Those of these deploys that have changed, or none after so many µs. Raises TqunitsError
        when the manager refuses, or does not come back."""
        try:
            found = deploying.progress(self._layout, numbers, after=self._after, wait_us=wait_us)
        except Away as away:
            self._wait_for_manager(away)
            return ()
        if self._away_since is not None:
            self._output.message("the manager is back")
            self._away_since = None
        if found.since_us != self._since and self._after:
            self._after = 0  # another manager counts anew: ask for all that there is
            return ()
        if found.deploys and found.last_event == self._after:
            time.sleep(_PAUSE_S)  # a manager that has just begun: there is no event yet to wait from
        self._after, self._since = found.last_event, found.since_us
        return [record for record in found.deploys if record.number in numbers]

    def _wait_for_manager(self, away: Away) -> None:
        now = time.monotonic()
        if self._away_since is None:
            self._away_since = now
            self._output.message("the manager is away: it goes on when it is back", style="yellow")
        if now - self._away_since > self._return_s:
            hint = f"what was asked for is written down, and the next one goes on with it; {away.hint}"
            raise TqunitsError(f"the manager was away for {self._return_s:.0f} s", hint=hint)
        time.sleep(_PAUSE_S)
