"""Reads the text of a router process back into numbers: the inverse of openmetrics.py.

The manager adds up what all processes have counted, and writes it anew. So nothing of a process'
text gets into the manager's but numbers and checked names: a process that was taken over can lie
about its own numbers, and can not spoil the others'. A family that is not known here is of another
release, and is left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from tqunits.metrics.counters import RouterMetrics, WorkerMetrics
from tqunits.metrics.histogram import LEAST, MOST
from tqunits.metrics.openmetrics import DURATIONS, END, Now, label

MAX_NAMES: Final = 2000
"""Workers, endpoints and certificates of one process, of each kind: a worker takes 3.5 kB of text
and 2 kB of memory."""

_SAMPLE: Final = re.compile(
    r'(?:,?worker="([a-z0-9_-]{1,24})")?,?(?:(code|le|endpoint|certificate)="((?:[^"\\\n]|\\[\\"n]){1,255})")?\}'
    r" ([0-9]{1,20})(?:\.([0-9]{6}))?"
)
"""What stands behind the label of the process."""

_ESCAPED: Final = re.compile(r"\\(.)")

_CODES: Final = {f"{number}xx": number for number in range(1, 6)}

_BOUNDS: Final = {f"{2**length / 1e6!r}": at for at, length in enumerate(range(LEAST, MOST + 1))}

_COUNTERS: Final = {
    "tqunits_retries_total": "retries",
    "tqunits_held_requests_total": "held",
    "tqunits_queue_full_total": "queue_full",
    "tqunits_queue_timeouts_total": "queue_timeouts",
    "tqunits_cut_responses_total": "cut",
    "tqunits_clients_gone_total": "gone",
    "tqunits_request_body_bytes_total": "received",
    "tqunits_response_body_bytes_total": "sent",
    "tqunits_accepted_connections_total": "accepted",
    "tqunits_idle_closed_total": "idle_closed",
    "tqunits_accept_pauses_total": "accept_pauses",
}
"""Sample -> attribute, of a worker's numbers and of the process' own."""


@dataclass(slots=True)
class RouterNumbers:
    """The numbers of a process, or of several."""

    metrics: RouterMetrics = field(default_factory=RouterMetrics)
    connections: int = 0
    log_dropped: int = 0
    in_flight: dict[str, int] = field(default_factory=dict)
    certificates: dict[str, int] = field(default_factory=dict)

    @property
    def now(self) -> Now:
        """What is not in `metrics`."""
        return Now(
            connections=self.connections,
            in_flight=self.in_flight,
            log_dropped=self.log_dropped,
            certificates=self.certificates,
        )


def read(text: bytes, process: str) -> RouterNumbers:
    """The numbers of the process of that name. Raises ValueError for a text that is none of its
    own."""
    if not text.endswith(END.encode()):
        raise ValueError("the text has no end")
    found = _Reader()
    mine = f"{{{label('process', process)}"
    for line in text.decode("utf-8").split("\n"):
        if line and line[0] != "#":
            name, _, rest = line.partition(mine)
            sample = _SAMPLE.fullmatch(rest)
            if sample is None:
                raise ValueError("a line is no sample of this process")
            found.add(name, sample)
    return found.done()


class _Reader:
    """The numbers that were read up to now."""

    def __init__(self) -> None:
        self._found = RouterNumbers()
        self._buckets: dict[str, list[int]] = {}  # cumulative, by worker
        self._counts: dict[str, int] = {}

    def add(self, name: str, sample: re.Match[str]) -> None:
        """Take one sample. Raises ValueError."""
        worker: str | None = sample[1]
        key: str | None = sample[2]
        value: str | None = sample[3]
        number = int(sample[4])
        if worker is not None:
            self._of_worker(worker, name, value or "", number, int(sample[5] or 0))
        elif key == "endpoint":
            _put(self._found.in_flight, _unescaped(value or ""), number)
        elif key == "certificate":
            _put(self._found.certificates, _unescaped(value or ""), number)
        else:
            self._of_process(name, value or "", number)

    def done(self) -> RouterNumbers:
        """The numbers. Raises ValueError for a histogram that is none."""
        for worker, cumulative in self._buckets.items():
            self._found.metrics.worker(worker).duration.take(cumulative, self._counts.get(worker, -1))
        return self._found

    def _of_worker(self, worker: str, name: str, value: str, number: int, fraction: int) -> None:
        numbers = self._worker(worker)
        attribute = _COUNTERS.get(name)
        if attribute is not None:
            setattr(numbers, attribute, number)
        elif name == f"{DURATIONS}_bucket":
            self._bucket(worker, value, number)
        elif name == f"{DURATIONS}_count":
            self._counts[worker] = number
        elif name == f"{DURATIONS}_sum":
            numbers.duration.total = number * 10**6 + fraction
        elif name == "tqunits_requests_total" and value in _CODES:
            numbers.classes[_CODES[value]] = number

    def _worker(self, name: str) -> WorkerMetrics:
        workers = self._found.metrics.workers
        if name not in workers and len(workers) >= MAX_NAMES:
            raise ValueError(f"more than {MAX_NAMES} workers")
        return self._found.metrics.worker(name)

    def _bucket(self, worker: str, bound: str, number: int) -> None:
        """Buckets come in the order of their bounds; the last one is as many as all."""
        known = self._buckets.setdefault(worker, [])
        if bound != "+Inf":
            if _BOUNDS.get(bound) != len(known):
                raise ValueError("a bound of a histogram is not ours")
            known.append(number)

    def _of_process(self, name: str, value: str, number: int) -> None:
        attribute = _COUNTERS.get(name)
        if attribute is not None:
            setattr(self._found.metrics, attribute, number)
        elif name == "tqunits_open_connections":
            self._found.connections = number
        elif name == "tqunits_access_log_dropped_lines_total":
            self._found.log_dropped = number
        elif name == "tqunits_unrouted_requests_total" and value in _CODES:
            self._found.metrics.unrouted[_CODES[value]] = number


def _put(numbers: dict[str, int], name: str, number: int) -> None:
    if len(numbers) >= MAX_NAMES:
        raise ValueError(f"more than {MAX_NAMES} names")
    numbers[name] = number


def _unescaped(value: str) -> str:
    return _ESCAPED.sub(_character, value) if "\\" in value else value


def _character(escape: re.Match[str]) -> str:
    return "\n" if escape[1] == "n" else escape[1]
