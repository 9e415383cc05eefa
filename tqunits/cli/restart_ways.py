"""Which instances of a restart the manager replaces in a roll, which ones systemd is asked for at
once, and what came of a roll for each unit. Values only."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from tqunits.cli.deploy_words import SUPERSEDED
from tqunits.cli.selection import parted
from tqunits.control.deploy_protocol import DeployOrder, in_requests
from tqunits.host.endings import Ending
from tqunits.lifecycle.deploys import DeployKind, DeployOutcome, DeployRecord
from tqunits.light_dataclass import dataclass
from tqunits.model import Instance
from tqunits.units import name


@dataclass(frozen=True, slots=True)
class RestartWays:
    """The two ways of a restart."""

    rolled: tuple[str, ...]  # workers
    direct: frozenset[Instance]  # for which systemd is asked


def restart_ways(
    chosen: Sequence[Instance],
    present: Sequence[Instance],
    *,
    active: Collection[Instance],
    resting: Collection[Instance],
) -> RestartWays:
    """A worker is rolled if all its replicas are chosen and one of them serves: otherwise there is
    nothing that could take its requests meanwhile. Those of its replicas that rest are started
    beside the roll, which touches only who runs.

    `present`: all replicas that are installed.
    """
    whole, _ = parted(chosen, present)
    serving = {each.worker for each in active}
    rolled = dict.fromkeys(worker for worker in whole if worker in serving)
    return RestartWays((*rolled,), frozenset(each for each in chosen if each.worker not in rolled or each in resting))


def restart_orders(workers: Sequence[str]) -> Iterator[DeployOrder]:
    """The orders to the manager for their rolls: a host may have more than one order can name."""
    for some in in_requests(workers):
        yield DeployOrder(some, DeployKind.RESTART)


def endings_of(record: DeployRecord, instances: Iterable[Instance], *, is_left: bool) -> tuple[Ending, ...]:
    """How the restart of a worker has ended for the units of these replicas. `is_left`: nobody has
    waited for it."""
    units = [(each, name.service(each)) for each in instances]
    if is_left:
        return tuple(Ending(unit=unit, result="queued") for _, unit in units)
    if record.outcome is DeployOutcome.DONE:
        return tuple(Ending(unit=unit, result="done") for _, unit in units)
    done = {step.instance for step in record.steps if step.what == "healthy"}
    failed = [unit for each, unit in units if each.number not in done] or [unit for _, unit in units]
    return tuple(_failed(record, unit) if unit in failed else Ending(unit=unit, result="done") for _, unit in units)


def _failed(record: DeployRecord, unit: str) -> Ending:
    match record.outcome:
        case DeployOutcome.SUPERSEDED:
            return Ending(unit=unit, result="canceled", sentence=SUPERSEDED)
        case DeployOutcome.FAILED:
            details = tuple(map(_detail, record.hint.splitlines()))
            sentence = record.why or "it failed"
            return Ending(unit=unit, result="failed", sentence=sentence, details=details, is_slow=record.is_slow)
        case _:
            sentence = "not done yet; the manager goes on without being waited for"
            return Ending(unit=unit, result="waiting", sentence=sentence, is_slow=True)


def _detail(line: str) -> tuple[str, str]:
    """A line of a record's hint, with the label that the manager has put before it."""
    return ("hint", line.removeprefix("hint: ")) if line.startswith("hint: ") else ("", line)
