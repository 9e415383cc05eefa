"""The requests for deploys at the manager's control socket, version 1. No other module has their
paths, keys and sizes.

    POST /deploy {"workers": ["api"], "kind": "deploy", "release": null, "message": "text"}
                                       {"deploys": [...]}: they are written down, and wait
    GET /deploys?worker=api&limit=20   {"deploys": [...]}: the newest first; without worker, of all
    GET /deploys?after=12&wait_us=5000000&numbers=5,6
                                       {"last_event": 14, "since_us": 1, "deploys": [...]}: those of
                                       these that have changed since event 12; with none, it waits
    POST /prune {"workers": ["api"], "caches": false}
                           {"pruned": {"api": {"releases": ["0123456789ab"], "caches": false}}}

A deploy is a DeployRecord (lifecycle/deploys.py). `kind` is deploy, rollback, build or restart. A
rollback without `release` is to the last release before the present one that was stable. Who asks
for a restart while one of the worker waits gets that one.

An event is a change of a record. Events have numbers that count from the manager's start, which is
`since_us`: after another start, ask anew with `after=0`. That does not wait, and the answer has all
of these deploys; so it is with an event that has not happened yet.

What can not be done is refused as a whole, and nothing is begun: 404 for a worker that is not
installed, and for a number that no deploy has (any more), 409 with the reason for what can not be
done now, 403 for a caller without the right, 503 where polkit forbids it to the manager.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from tqunits.control.protocol import LONGEST_WAIT_US, MAX_ANSWER, Body, Problem
from tqunits.late_pattern import late_pattern
from tqunits.lifecycle.deploys import DeployKind, DeployRecord, deploy_body, parse_deploy
from tqunits.lifecycle.release import MAX_MESSAGE, is_release_id
from tqunits.light_dataclass import dataclass
from tqunits.units import name

DEPLOY: Final = "/deploy"
DEPLOYS: Final = "/deploys"
PRUNE: Final = "/prune"

PATHS: Final = frozenset({DEPLOY, DEPLOYS, PRUNE})

OFFER: Final = (
    "there are POST /deploy, /prune, GET /deploys?worker=NAME&limit=N and /deploys?after=N&wait_us=N&numbers=N,N"
)

MOST_WORKERS: Final = 1000
"""Workers in one request: five times what a host usually has. Who has more asks again."""

MAX_ASKED_DEPLOY: Final = 64 * 1024
"""The greatest request here, in bytes: the names of the most workers (27 bytes each) and the
longest message (12 bytes a character, as JSON writes those beyond the first plane)."""

MOST_DEPLOYS: Final = 500
"""Deploys in one answer of the history."""

USUAL_DEPLOYS: Final = 20
"""The same for a question without a limit: what a terminal shows at once."""

MOST_NUMBERS: Final = 400
"""Deploys that one question for changes is about: their numbers, of up to 18 digits, fit the
longest request line that every server takes (8 KiB)."""

_ROOM: Final = MAX_ANSWER - 64 * 1024
"""Bytes of records in one answer. A single record always fits: its 200 steps of 4096 characters
are 10 MB at the most."""

_DEPLOY_KEYS: Final = frozenset({"workers", "kind", "release", "message"})
_PRUNE_KEYS: Final = frozenset({"workers", "caches"})

_LIMIT: Final = r"limit=(?P<limit>[0-9]{1,6})"
_HISTORY_OF_ALL: Final = late_pattern(rf"/deploys(?:\?{_LIMIT})?")
_HISTORY: Final = late_pattern(rf"/deploys\?worker=(?P<worker>[a-z0-9_-]{{1,40}})(?:&{_LIMIT})?")
_PROGRESS: Final = late_pattern(
    r"/deploys\?after=(?P<after>[0-9]{1,18})&wait_us=(?P<wait>[0-9]{1,12})"
    rf"&numbers=(?P<numbers>[0-9]{{1,18}}(?:,[0-9]{{1,18}}){{0,{MOST_NUMBERS - 1}}})"
)

NOT_READABLE: Final = (ValueError, LookupError, TypeError, RecursionError)
"""The exceptions that an invalid answer raises."""


@dataclass(frozen=True, slots=True)
class DeployOrder:
    """What is to be done with some workers."""

    workers: tuple[str, ...]
    kind: DeployKind
    release: str | None = None  # of a rollback; None: the last stable one before the present
    message: str = ""


@dataclass(frozen=True, slots=True)
class PruneQuestion:
    """Whose old releases are to go, and whether the caches of their builds, too."""

    workers: tuple[str, ...]
    caches: bool


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed of one worker."""

    releases: tuple[str, ...] = ()
    caches: bool = False  # of its builds: there were some


@dataclass(frozen=True, slots=True)
class HistoryQuestion:
    """Whose deploys, and how many of them."""

    worker: str | None  # None: all workers
    limit: int


@dataclass(frozen=True, slots=True)
class ProgressQuestion:
    """The deploys of which numbers, changed since which event, and how long to wait for a
    change."""

    after: int
    wait_us: int
    numbers: frozenset[int]


@dataclass(frozen=True, slots=True)
class Progressed:
    """Deploys that have changed."""

    last_event: int  # up to it, all changes are in `deploys`
    since_us: int  # the start of the manager that counts the events
    deploys: tuple[DeployRecord, ...]


def deploy_order_body(order: DeployOrder) -> Body:
    """The body of a POST /deploy."""
    return {
        "workers": list(order.workers),
        "kind": order.kind.value,
        "release": order.release,
        "message": order.message,
    }


def deploy_order(body: Body) -> DeployOrder:
    """The order in such a body. Raises Problem."""
    _refuse_others(body, _DEPLOY_KEYS)
    workers, kind, release = _workers(body), _kind(body.get("kind")), body.get("release")
    if release is not None and (not isinstance(release, str) or not is_release_id(release)):
        raise Problem(400, f"no release can be called {_shown(release)}: it has twelve hexadecimal digits")
    if release is not None and (kind is not DeployKind.ROLLBACK or len(workers) > 1):
        raise Problem(400, "a release can be named for a rollback of one worker")
    return DeployOrder(workers, kind, release, _message(body.get("message", "")))


def is_message(text: str) -> bool:
    """Whether it can be the message of a deploy."""
    return len(text) <= MAX_MESSAGE and text.isprintable()


def history_target(worker: str | None, limit: int) -> str:
    """The target of a question for the history."""
    return f"{DEPLOYS}?worker={worker}&limit={limit}" if worker is not None else f"{DEPLOYS}?limit={limit}"


def progress_target(numbers: Iterable[int], after: int, wait_us: int) -> str:
    """The target of a question for changes of at most MOST_NUMBERS deploys."""
    return f"{DEPLOYS}?after={after}&wait_us={wait_us}&numbers={','.join(map(str, numbers))}"


def deploys_question(target: str) -> HistoryQuestion | ProgressQuestion:
    """The question in a target of either kind. Raises Problem."""
    if match := _PROGRESS.fullmatch(target):
        numbers = frozenset(map(int, match["numbers"].split(",")))
        return ProgressQuestion(int(match["after"]), min(int(match["wait"]), LONGEST_WAIT_US), numbers)
    if match := _HISTORY_OF_ALL.fullmatch(target):
        return HistoryQuestion(None, _limit(match["limit"]))
    match = _HISTORY.fullmatch(target)
    if match is None:
        raise Problem(404, OFFER)
    if not name.is_worker_name(match["worker"]):
        raise Problem(400, f"no worker can be called {_shown(match['worker'])}")
    return HistoryQuestion(match["worker"], _limit(match["limit"]))


def prune_body(asked: PruneQuestion) -> Body:
    """The body of a POST /prune."""
    return {"workers": list(asked.workers), "caches": asked.caches}


def prune_question(body: Body) -> PruneQuestion:
    """The question in such a body. Raises Problem."""
    _refuse_others(body, _PRUNE_KEYS)
    caches = body.get("caches", False)
    if not isinstance(caches, bool):
        raise Problem(400, "caches is true or false")
    return PruneQuestion(_workers(body), caches)


def deploys_body(records: Iterable[DeployRecord]) -> Body:
    """The answer with these deploys: the first ones, as many as there is room for."""
    return {"deploys": _fitting(records)}


def deploys_in(found: Mapping[str, object]) -> tuple[DeployRecord, ...]:
    """The inverse. Raises NOT_READABLE for what is no such answer."""
    rows = found["deploys"]
    if not isinstance(rows, list):
        raise TypeError(rows)
    return tuple(map(parse_deploy, rows))


def progress_body(changed: Sequence[tuple[int, DeployRecord]], last_event: int, since_us: int) -> Body:
    """The answer to a ProgressQuestion.

    `changed`: each with the number of its last event, in the order of these numbers. Where there is
    no room for all, the answer's last event is that of the last one that it has: so the next
    question gets the others.
    """
    rows = _fitting(record for _, record in changed)
    last = last_event if len(rows) == len(changed) else changed[len(rows) - 1][0]
    return {"last_event": last, "since_us": since_us, "deploys": rows}


def progress_in(found: Mapping[str, object]) -> Progressed:
    """The inverse. Raises NOT_READABLE for what is no such answer."""
    last, since = found["last_event"], found["since_us"]
    if type(last) is not int or type(since) is not int:
        raise TypeError(last, since)
    return Progressed(last, since, deploys_in(found))


def pruned_body(pruned: Mapping[str, Pruned]) -> Body:
    """The answer to a POST /prune: worker -> what was removed."""
    rows = {worker: {"releases": list(each.releases), "caches": each.caches} for worker, each in pruned.items()}
    return {"pruned": rows}


def pruned_in(found: Mapping[str, object]) -> Mapping[str, Pruned]:
    """The inverse. Raises NOT_READABLE for what is no such answer."""
    rows = found["pruned"]
    if not isinstance(rows, dict) or not all(name.is_worker_name(worker) for worker in rows):
        raise TypeError(rows)
    return {worker: _pruned(row) for worker, row in rows.items()}


def _fitting(records: Iterable[DeployRecord]) -> list[Mapping[str, object]]:
    rows, left = [], _ROOM
    for record in records:
        row = deploy_body(record)
        left -= len(json.dumps(row)) + 2
        if left < 0:
            break
        rows.append(row)
    return rows


def _limit(digits: str | None) -> int:
    return min(int(digits or USUAL_DEPLOYS), MOST_DEPLOYS)


def in_requests(workers: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """These workers, as many at a time as one request can name: a host may have more."""
    for first in range(0, len(workers), MOST_WORKERS):
        yield tuple(workers[first : first + MOST_WORKERS])


def _refuse_others(body: Body, keys: frozenset[str]) -> None:
    unknown = sorted(body.keys() - keys)
    if unknown:
        raise Problem(400, f"unknown: {', '.join(map(_shown, unknown))}; there are {', '.join(sorted(keys))}")


def _workers(body: Body) -> tuple[str, ...]:
    """Each once. Raises Problem."""
    found = body.get("workers")
    if not isinstance(found, list) or not 1 <= len(found) <= MOST_WORKERS:
        raise Problem(400, f"workers is a list of 1 to {MOST_WORKERS} names")
    for each in found:
        if not isinstance(each, str) or not name.is_worker_name(each):
            raise Problem(400, f"no worker can be called {_shown(each)}")
    return tuple(dict.fromkeys(found))


def _kind(value: object) -> DeployKind:
    found = next((kind for kind in DeployKind if kind.value == value), None)
    if found is None:
        raise Problem(400, f"kind is one of {', '.join(sorted(DeployKind))}")
    return found


def _message(value: object) -> str:
    if not isinstance(value, str) or not is_message(value):
        raise Problem(400, f"message is one printable line of at most {MAX_MESSAGE} characters")
    return value


def _pruned(row: Mapping[str, object]) -> Pruned:
    releases, caches = row["releases"], row["caches"]
    if not isinstance(releases, list) or not isinstance(caches, bool):
        raise TypeError(row)
    return Pruned(tuple(map(_release, releases)), caches)


def _release(value: object) -> str:
    if not isinstance(value, str) or not is_release_id(value):
        raise ValueError(value)
    return value


def _shown(value: object) -> str:
    return ascii(value)[:60]
