"""What one router process counts, as plain numbers that the data path adds to.

The objects are made once per worker and found when routes are loaded; a request then costs a few
additions, and no lookup, label or string. Only rendering (openmetrics.py) makes text of them. They
are never reset: what reads them takes differences, and a process that starts again starts at 0.
"""

from __future__ import annotations

from tqunits.metrics.histogram import Histogram


class WorkerMetrics:
    """What happened to the requests for one worker."""

    __slots__ = (
        "classes",
        "cut",
        "duration",
        "gone",
        "held",
        "queue_full",
        "queue_timeouts",
        "received",
        "retries",
        "sent",
    )

    def __init__(self) -> None:
        self.classes = [0] * 6  # [n]: final responses with status nXX, whoever gave them; [0] stays 0
        self.duration = Histogram()  # of the same responses: from the request's head to the response's last byte
        self.retries = 0  # attempts on another connection
        self.held = 0  # requests that waited for an endpoint or for their turn
        self.queue_full = 0  # requests that found no place to wait
        self.queue_timeouts = 0  # requests that waited in vain
        self.cut = 0  # responses that the worker did not finish
        self.gone = 0  # clients that left before their response was complete
        self.received = 0  # bytes of request bodies
        self.sent = 0  # bytes of response bodies

    def answered(self, status: int, span: int) -> None:
        """An exchange is over whose final response (100 to 599) had begun; it took `span`
        microseconds."""
        self.classes[status // 100] += 1
        self.duration.observe(span)

    def numbers(self) -> list[int]:
        """All of them; none falls while the process runs."""
        rare = [self.retries, self.held, self.queue_full, self.queue_timeouts, self.cut, self.gone]
        return [*self.classes, *self.duration.numbers(), *rare, self.received, self.sent]

    def add(self, other: WorkerMetrics) -> None:
        """Add what another process has counted."""
        self.classes = [mine + its for mine, its in zip(self.classes, other.classes, strict=True)]
        self.duration.add(other.duration)
        self.retries += other.retries
        self.held += other.held
        self.queue_full += other.queue_full
        self.queue_timeouts += other.queue_timeouts
        self.cut += other.cut
        self.gone += other.gone
        self.received += other.received
        self.sent += other.sent


class RouterMetrics:
    """What happened in one router process."""

    __slots__ = ("accept_pauses", "accepted", "idle_closed", "unrouted", "workers")

    def __init__(self) -> None:
        self.accepted = 0  # connections
        self.idle_closed = 0  # connections that were closed to make room for others
        self.accept_pauses = 0  # times that descriptors or memory ran out
        self.unrouted = [0] * 6  # [n]: responses with status nXX to what reached no worker: 404, malformed requests
        self.workers: dict[str, WorkerMetrics] = {}  # all there have been: as many as the administrator ever named

    def worker(self, name: str) -> WorkerMetrics:
        """The numbers of the worker of that name, the same ones after each reload."""
        known = self.workers.get(name)
        if known is None:
            known = self.workers[name] = WorkerMetrics()
        return known

    def numbers(self) -> list[int]:
        """What is not a worker's; none falls while the process runs."""
        return [*self.unrouted, self.accepted, self.idle_closed, self.accept_pauses]

    def add(self, other: RouterMetrics) -> None:
        """Add what another process has counted."""
        self.accepted += other.accepted
        self.idle_closed += other.idle_closed
        self.accept_pauses += other.accept_pauses
        self.unrouted = [mine + its for mine, its in zip(self.unrouted, other.unrouted, strict=True)]
        for name, worker in other.workers.items():
            self.worker(name).add(worker)
