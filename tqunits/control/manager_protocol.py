"""The requests at the manager's control socket, version 1. No other module has their paths and
sizes.

    GET /version                         its release and its state
    GET /instances                       what the registry knows of each instance
    GET /watches                         how the folders of workers are watched
    GET /events?after=12&wait_us=5000000 the changes after number 12; with none, it waits for one
    GET /logs?worker=api&lines=100       the last lines of the worker's journal
    GET /logs?worker=api&after=CURSOR&wait_us=5000000  those after that place; with none, it waits
    POST /start, /stop, /restart {"worker": "api", "wait_us": 5000000}   what came of the jobs

The wait for a change ends early, with none, when other workers are installed than before. Numbers
count from the manager's start, which an answer has as `since_us`: another start is another count.

/version is for everybody. Root and the manager's own user may ask for all, an operator for what is
about his workers. Instead of `worker` the last four take `instances`, names of single instances:
`instances=api,api:2`, or a list in JSON. Every answer is one JSON object with `version`, as those
of the routers (protocol.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from tqunits.control.protocol import LONGEST_WAIT_US, Body, Problem
from tqunits.late_pattern import late_pattern
from tqunits.light_dataclass import dataclass
from tqunits.model import Instance
from tqunits.units import name

RELEASE: Final = "/version"
INSTANCES: Final = "/instances"
WATCHES: Final = "/watches"
EVENTS: Final = "/events"
LOGS: Final = "/logs"
START: Final = "/start"
STOP: Final = "/stop"
RESTART: Final = "/restart"

METHODS: Final[Mapping[str, str]] = {START: "StartUnit", STOP: "StopUnit", RESTART: "RestartUnit"}
"""What systemd is asked for by a POST at this path."""

OFFER: Final = (
    "there are GET /version, /instances, /watches, /events?after=N&wait_us=N and "
    "/logs?worker=NAME&lines=N&after=CURSOR&wait_us=N, POST /start, /stop, /restart"
)

MAX_ASKED: Final = 4096
"""The greatest request for jobs that a client sends, in bytes: a hundred instances by names."""

LONGEST_JOB_WAIT_US: Final = 900_000_000
"""The longest wait for a job: longer than a worker that is not root's may take to start or to stop,
which is ten minutes."""

MOST_LINES: Final = 500
"""Lines of a journal in one answer."""

_EVENTS: Final = late_pattern(r"/events(?:\?after=([0-9]{1,18})(?:&wait_us=([0-9]{1,12}))?)?")

_CURSOR: Final = r"@[0-9]{1,16}|[a-z]=[0-9a-f]{1,32}(?:;[a-z]=[0-9a-f]{1,32}){1,8}"
"""A place in the journal: journald's own (sd_journal_get_cursor(3)), or a moment, in µs since
1970."""

_LOGS: Final = late_pattern(
    r"/logs\?(?:worker=(?P<worker>[a-z0-9_-]{1,40})|instances=(?P<instances>[a-z0-9_:,-]{1,3000}))"
    rf"(?:&lines=(?P<lines>[0-9]{{1,6}}))?(?:&after=(?P<after>{_CURSOR}))?(?:&wait_us=(?P<wait>[0-9]{{1,12}}))?"
)

_KEYS: Final = frozenset({"worker", "instances", "wait_us"})


@dataclass(frozen=True, slots=True)
class Meant:
    """The instances that a request is about: all of a worker's, or single ones."""

    worker: str = ""
    single: tuple[Instance, ...] = ()

    @property
    def workers(self) -> frozenset[str]:
        """The workers of these."""
        return frozenset({self.worker} if self.worker else {each.worker for each in self.single})

    def __str__(self) -> str:
        return self.worker or ",".join(map(str, self.single))


@dataclass(frozen=True, slots=True)
class LogQuestion:
    """Which lines of whose journal."""

    meant: Meant
    lines: int
    after: str = ""  # a place in the journal; "": its last lines
    wait_us: int = 0


@dataclass(frozen=True, slots=True)
class JobQuestion:
    """Whose job, and how long to wait for it."""

    meant: Meant
    wait_us: int


def events_target(after: int, wait_us: int) -> str:
    """The target of a question for changes."""
    return f"{EVENTS}?after={after}&wait_us={wait_us}"


def events_question(target: str) -> tuple[int, int]:
    """The number and the wait, in µs, of such a target. Raises Problem."""
    match = _EVENTS.fullmatch(target)
    if match is None:
        raise Problem(404, OFFER)
    return int(match[1] or 0), min(int(match[2] or 0), LONGEST_WAIT_US)


def logs_target(instances: Iterable[Instance], lines: int, after: str = "", wait_us: int = 0) -> str:
    """The target of a question for lines of a journal."""
    place = f"&after={after}" if after else ""
    return f"{LOGS}?instances={','.join(map(str, instances))}&lines={lines}{place}&wait_us={wait_us}"


def logs_question(target: str) -> LogQuestion:
    """The question in such a target. Raises Problem."""
    match = _LOGS.fullmatch(target)
    if match is None:
        raise Problem(404, OFFER)
    names = match["instances"].split(",") if match["instances"] else None
    lines = min(int(match["lines"] or MOST_LINES), MOST_LINES)
    return LogQuestion(
        _meant(match["worker"], names), lines, match["after"] or "", min(int(match["wait"] or 0), LONGEST_WAIT_US)
    )


def job_body(instances: Iterable[Instance], wait_us: int) -> Body:
    """The body of a POST."""
    return {"instances": [str(each) for each in instances], "wait_us": wait_us}


def job_question(body: Body) -> JobQuestion:
    """The question in such a body. Raises Problem."""
    wait_us, unknown = body.get("wait_us", LONGEST_WAIT_US), sorted(body.keys() - _KEYS)
    if unknown:
        raise Problem(400, f"unknown: {', '.join(map(ascii, unknown))}; there are worker, instances and wait_us")
    if type(wait_us) is not int or wait_us < 0:
        raise Problem(400, "wait_us is a number of microseconds")
    return JobQuestion(_meant(body.get("worker"), body.get("instances")), min(wait_us, LONGEST_JOB_WAIT_US))


def document(answer: bytes) -> Mapping[str, object] | None:
    """An answer, parsed; None when it is not a JSON object."""
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def members(found: Mapping[str, object], key: str) -> list[Mapping[str, object]] | None:
    """The objects under a key of a document; None when it has none."""
    rows = found.get(key)
    return rows if isinstance(rows, list) and all(isinstance(each, dict) for each in rows) else None


def _meant(worker: object, instances: object) -> Meant:
    """What either of them names. Raises Problem for a text that is no name, which a pattern is not
    either."""
    if (worker is None) == (instances is None):
        raise Problem(400, "say worker (a name) or instances (names such as api and api:2)")
    if instances is None:
        if not isinstance(worker, str) or not name.is_worker_name(worker):
            raise Problem(400, f"no worker can be called {_shown(worker)}")
        return Meant(worker=worker)
    texts: Sequence[object] = instances if isinstance(instances, list) else ()
    if not texts:
        raise Problem(400, "instances is a list of names such as api and api:2")
    return Meant(single=tuple(dict.fromkeys(map(_instance, texts))))


def _instance(text: object) -> Instance:
    found = name.instance(text) if isinstance(text, str) else None
    if found is None:
        raise Problem(400, f"no instance can be called {_shown(text)}")
    return found


def _shown(value: object) -> str:
    return ascii(value)[:60]
